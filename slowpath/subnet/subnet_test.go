package subnet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

func ip(s string) dhcp4.IPv4 { return dhcp4.AddrFromNetip(netip.MustParseAddr(s)) }

func sub(id uint32, prefix string, set ...func(*config.Subnet4)) *config.Subnet4 {
	p := netip.MustParsePrefix(prefix).Masked()
	first := dhcp4.AddrFromNetip(p.Addr())
	mask := dhcp4.IPv4(uint64(0xFFFFFFFF) << (32 - p.Bits()))
	s := &config.Subnet4{ID: id, Prefix: p, Text: prefix, First: first, Last: first | ^mask, Mask: mask}
	for _, f := range set {
		f(s)
	}
	return s
}

func relay(a ...string) func(*config.Subnet4) {
	return func(s *config.Subnet4) {
		for _, x := range a {
			s.RelayAddrs = append(s.RelayAddrs, ip(x))
		}
	}
}
func iface(n string) func(*config.Subnet4)    { return func(s *config.Subnet4) { s.Interface = n } }
func guard(c ...string) func(*config.Subnet4) { return func(s *config.Subnet4) { s.ClientClasses = c } }

// unguarded allows what has no class guard.
func unguarded(s *config.Subnet4) bool { return len(s.ClientClasses) == 0 }

// TestSelectInNetworks: relay addresses and interface of a shared network are
// those of its subnets without their own (V4-050).
func TestSelectInNetworks(t *testing.T) {
	net := &config.Network4{Interface: "eth1", RelayAddrs: []dhcp4.IPv4{ip("172.16.0.1")}}
	in := func(s *config.Subnet4) { s.Network = net }
	x := NewIndex(&config.Dhcp4{Subnets: []*config.Subnet4{
		sub(1, "10.1.0.0/16", in, relay("172.16.0.2")),
		sub(2, "10.2.0.0/16", in),
		sub(3, "10.3.0.0/16", in, iface("eth3")),
	}})
	for _, c := range []struct {
		s    Selector
		want uint32
	}{
		{Selector{GIAddr: ip("172.16.0.1")}, 2},
		{Selector{GIAddr: ip("172.16.0.2")}, 1},
		{Selector{IfName: "eth1"}, 1},
		{Selector{IfName: "eth3"}, 3},
	} {
		if got := x.Select(&c.s); got == nil || got.ID != c.want {
			t.Errorf("%+v: %+v, want subnet %d", c.s, got, c.want)
		}
	}
}

func TestSelect(t *testing.T) {
	x := NewIndex(&config.Dhcp4{Subnets: []*config.Subnet4{
		// Not in file order of ids: candidates go by id all the same.
		sub(30, "10.0.0.0/8"),
		sub(10, "10.1.0.0/16", guard("premium")),
		sub(20, "10.1.2.0/24"),
		sub(40, "192.0.2.0/24", relay("172.16.0.1")),
		sub(39, "192.0.3.0/24", relay("172.16.0.1"), guard("premium")),
		sub(50, "198.51.100.0/24", iface("eth7")),
		sub(60, "203.0.113.0/24"),
		sub(70, "255.255.255.0/24"),
	}})
	const none = 0
	for _, c := range []struct {
		name string
		s    Selector
		want uint32
	}{
		{"nothing known", Selector{}, none},
		{"link selection by prefix, least id of the covering", Selector{LinkSelection: ip("10.1.2.3")}, 10},
		{"link selection, guard refuses the first", Selector{LinkSelection: ip("10.1.2.3"), Allowed: unguarded}, 20},
		{"link selection, outer prefix", Selector{LinkSelection: ip("10.200.2.3")}, 30},
		{"WR-02: link selection has no fallback", Selector{LinkSelection: ip("9.9.9.9"), GIAddr: ip("203.0.113.1")}, none},
		{"link selection does not look at relay addresses", Selector{LinkSelection: ip("172.16.0.1")}, none},
		{"relay address, least id", Selector{GIAddr: ip("172.16.0.1")}, 39},
		{"relay address, guard", Selector{GIAddr: ip("172.16.0.1"), Allowed: unguarded}, 40},
		{"giaddr by prefix", Selector{GIAddr: ip("203.0.113.9")}, 60},
		{"giaddr without match does not fall back to ciaddr", Selector{GIAddr: ip("9.9.9.9"), CIAddr: ip("203.0.113.9"), IfName: "eth7"}, none},
		{"giaddr before the rest", Selector{GIAddr: ip("203.0.113.9"), CIAddr: ip("10.1.2.3"), Src: ip("10.1.2.3")}, 60},
		{"ciaddr of a unicast", Selector{CIAddr: ip("203.0.113.9"), Src: ip("10.1.2.3"), Dst: ip("192.0.2.1"), IfName: "eth7"}, 60},
		{"ciaddr of a broadcast says nothing", Selector{CIAddr: ip("203.0.113.9"), Dst: dhcp4.Broadcast, IfName: "eth7"}, 50},
		{"source of a unicast", Selector{Src: ip("203.0.113.9"), Dst: ip("192.0.2.1")}, 60},
		{"source of a broadcast says nothing", Selector{Src: ip("203.0.113.9"), Dst: dhcp4.Broadcast, IfName: "eth0", IfAddr: ip("10.5.5.5")}, 30},
		{"interface name", Selector{Dst: dhcp4.Broadcast, IfName: "eth7", IfAddr: ip("10.5.5.5")}, 50},
		{"interface address", Selector{Dst: dhcp4.Broadcast, IfName: "eth0", IfAddr: ip("192.0.2.1")}, 40},
		{"interface address outside", Selector{Dst: dhcp4.Broadcast, IfName: "eth0", IfAddr: ip("9.9.9.9")}, none},
		{"last address of all", Selector{LinkSelection: dhcp4.Broadcast}, 70},
		{"guard refuses the only one", Selector{GIAddr: ip("203.0.113.9"), Allowed: func(*config.Subnet4) bool { return false }}, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := x.Select(&c.s)
			switch {
			case c.want == none && got != nil:
				t.Errorf("got subnet %d, want none", got.ID)
			case c.want != none && (got == nil || got.ID != c.want):
				t.Errorf("got %v, want subnet %d", got, c.want)
			}
		})
	}
}

func TestByID(t *testing.T) {
	x := NewIndex(&config.Dhcp4{Subnets: []*config.Subnet4{sub(7, "10.0.0.0/24"), sub(3, "10.0.1.0/24"), sub(4294967294, "10.0.2.0/24")}})
	for _, id := range []uint32{7, 3, 4294967294} {
		if s := x.ByID(id); s == nil || s.ID != id {
			t.Errorf("ByID(%d) = %v", id, s)
		}
	}
	for _, id := range []uint32{0, 1, 5, 8, 4294967295} {
		if s := x.ByID(id); s != nil {
			t.Errorf("ByID(%d) = %v, want nil", id, s)
		}
	}
	if NewIndex(&config.Dhcp4{}).ByID(1) != nil {
		t.Error("empty index found a subnet")
	}
}

// TestCoveringTwin compares the ranges with a scan over all prefixes.
func TestCoveringTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for round := range 60 {
		var subs []*config.Subnet4
		for i := range 1 + r.IntN(60) {
			// Few different addresses, so that prefixes nest and meet.
			a := dhcp4.IPv4(r.Uint32()&0x0300000F<<(4*r.IntN(3)) | r.Uint32()&1<<31)
			p := netip.PrefixFrom(a.Netip(), r.IntN(33))
			subs = append(subs, sub(uint32(i+1)*7%61+uint32(i)*100, p.String()))
		}
		x := NewIndex(&config.Dhcp4{Subnets: subs})
		var probe []dhcp4.IPv4
		for _, s := range subs {
			probe = append(probe, s.First, s.Last, s.First-1, s.Last+1, dhcp4.IPv4(r.Uint32()))
		}
		for _, a := range probe {
			var want []uint32
			for _, s := range x.All() {
				if s.Prefix.Contains(a.Netip()) {
					want = append(want, s.ID)
				}
			}
			var got []uint32
			for _, s := range x.Covering(a) {
				got = append(got, s.ID)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("round %d: Covering(%v) = %v, want %v", round, a, got, want)
			}
		}
	}
}

func manySubnets(n int) *Index {
	var subs []*config.Subnet4
	for i := range n {
		a := ip("10.0.0.0") + dhcp4.IPv4(i)<<8
		subs = append(subs, sub(uint32(i+1), netip.PrefixFrom(a.Netip(), 24).String(), relay((ip("172.16.0.0")+dhcp4.IPv4(i)).String())))
	}
	return NewIndex(&config.Dhcp4{Subnets: subs})
}

func TestSelectAllocatesNothing(t *testing.T) {
	x := manySubnets(500)
	s := &Selector{GIAddr: ip("10.1.2.3"), Allowed: unguarded}
	if n := testing.AllocsPerRun(100, func() {
		if x.Select(s) == nil {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations per look-up, want 0", n)
	}
}

func BenchmarkSelectGIAddr10000(b *testing.B) {
	x := manySubnets(10000)
	s := &Selector{}
	i := 0
	for b.Loop() {
		i++
		s.GIAddr = ip10 + dhcp4.IPv4(i%10000)<<8 + 1
		if x.Select(s) == nil {
			b.Fatal("not found")
		}
	}
}

var ip10 = ip("10.0.0.0")
