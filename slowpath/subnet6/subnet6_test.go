package subnet6

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func sub(id uint32, prefix string, set ...func(*config.Subnet6)) *config.Subnet6 {
	s := &config.Subnet6{ID: id, Prefix: netip.MustParsePrefix(prefix).Masked(), Text: prefix}
	for _, f := range set {
		f(s)
	}
	return s
}

func relay(a ...string) func(*config.Subnet6) {
	return func(s *config.Subnet6) {
		for _, x := range a {
			s.RelayAddrs = append(s.RelayAddrs, ip(x))
		}
	}
}
func iface(n string) func(*config.Subnet6) { return func(s *config.Subnet6) { s.Interface = n } }
func interfaceID(n string) func(*config.Subnet6) {
	return func(s *config.Subnet6) { s.InterfaceID = []byte(n) }
}
func guard(c ...string) func(*config.Subnet6) { return func(s *config.Subnet6) { s.ClientClasses = c } }
func in(n *config.SharedNetwork6) func(*config.Subnet6) {
	return func(s *config.Subnet6) { s.Network = n }
}

// unguarded allows what has no class guard.
func unguarded(s *config.Subnet6) bool { return len(s.ClientClasses) == 0 }

func testIndex() *Index {
	network := &config.SharedNetwork6{Name: "n", RelayAddrs: []netip.Addr{ip("2001:db8:ffff::3")}}
	return NewIndex(&config.Dhcp6{Subnets: []*config.Subnet6{
		// Not in the order of ids: candidates go by id all the same.
		sub(30, "2001:db8::/32"),
		sub(10, "2001:db8:1::/48", guard("premium")),
		sub(20, "2001:db8:1:2::/64"),
		sub(40, "2001:db9:1::/48", relay("2001:db8:ffff::1")),
		sub(39, "2001:db9:2::/48", relay("2001:db8:ffff::1"), guard("premium")),
		sub(50, "2001:db9:3::/48", iface("eth7")),
		sub(60, "2001:db9:4::/48", interfaceID("port 7")),
		sub(61, "2001:db9:5::/48", interfaceID("")),
		sub(70, "2001:db9:6::/48", in(network)),
		sub(71, "2001:db9:7::/48", in(network), relay("2001:db8:ffff::4")),
		sub(80, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:0/112"),
	}})
}

func TestSelect(t *testing.T) {
	x := testIndex()
	const none = 0
	for _, c := range []struct {
		name string
		s    Selector
		want uint32
	}{
		{"nothing known", Selector{}, none},
		{"direct: interface name", Selector{IfName: "eth7", Src: ip("2001:db8:1:2::1")}, 50},
		{"direct: source address, least id of the covering", Selector{IfName: "eth0", Src: ip("2001:db8:1:2::1")}, 10},
		{"direct: guard refuses the first", Selector{Src: ip("2001:db8:1:2::1"), Allowed: unguarded}, 20},
		{"direct: outer prefix", Selector{Src: ip("2001:db8:99::1")}, 30},
		{"direct: link-local source", Selector{Src: ip("fe80::1")}, none},
		{"direct: relay addresses say nothing of sources", Selector{Src: ip("2001:db8:ffff::1")}, 30},
		{"direct: unspecified link-address is none", Selector{LinkAddr: ip("::"), IfName: "eth7"}, 50},
		{"relayed: interface-id before link-address", Selector{InterfaceID: []byte("port 7"), LinkAddr: ip("2001:db8:1:2::1")}, 60},
		{"relayed: interface-id of no octets is one", Selector{InterfaceID: []byte{}}, 61},
		{"relayed: interface-id unknown, then link-address", Selector{InterfaceID: []byte("port 8"), LinkAddr: ip("2001:db8:99::1")}, 30},
		{"relayed: interface-id unknown and no link-address: interface name does not count", Selector{InterfaceID: []byte("port 8"), IfName: "eth7", Src: ip("2001:db8:1:2::1")}, none},
		{"relayed: relay address, least id", Selector{LinkAddr: ip("2001:db8:ffff::1")}, 39},
		{"relayed: relay address, guard", Selector{LinkAddr: ip("2001:db8:ffff::1"), Allowed: unguarded}, 40},
		{"relayed: relay address of the shared network", Selector{LinkAddr: ip("2001:db8:ffff::3")}, 70},
		{"relayed: a subnet's own relay addresses hide its network's", Selector{LinkAddr: ip("2001:db8:ffff::4")}, 71},
		{"relayed: link-address in prefix", Selector{LinkAddr: ip("2001:db9:3::99"), IfName: "eth0"}, 50},
		{"relayed: nothing matches, no fallback to the source", Selector{LinkAddr: ip("2001:dba::1"), IfName: "eth7", Src: ip("2001:db8:1:2::1")}, none},
		{"last address of all", Selector{LinkAddr: ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}, 80},
		{"guard refuses the only one", Selector{IfName: "eth7", Allowed: func(*config.Subnet6) bool { return false }}, none},
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
	x := NewIndex(&config.Dhcp6{Subnets: []*config.Subnet6{sub(7, "2001:db8::/64"), sub(3, "2001:db8:1::/64"), sub(4294967294, "2001:db8:2::/64")}})
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
	if NewIndex(&config.Dhcp6{}).ByID(1) != nil {
		t.Error("empty index found a subnet")
	}
	if l := x.All(); len(l) != 3 || l[0].ID != 3 {
		t.Errorf("All: %v", l)
	}
}

// TestCoveringTwin compares the tree with a scan over all prefixes.
func TestCoveringTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	// Few different addresses, so that prefixes nest and meet.
	addr := func() netip.Addr {
		var a [16]byte
		for _, i := range []int{0, 7, 8, 15} {
			a[i] = []byte{0, 1, 0x80, 0xff}[r.IntN(4)]
		}
		return netip.AddrFrom16(a)
	}
	for range 100 {
		var subs []*config.Subnet6
		for i := range 1 + r.IntN(60) {
			bits := []int{0, 1, 8, 56, 57, 63, 64, 65, 72, 120, 127, 128}[r.IntN(12)]
			subs = append(subs, sub(uint32(i+1)*7%61+uint32(i)*100, netip.PrefixFrom(addr(), bits).String()))
		}
		x := NewIndex(&config.Dhcp6{Subnets: subs})
		slices.SortFunc(subs, func(a, b *config.Subnet6) int { return cmp.Compare(a.ID, b.ID) })
		for range 100 {
			a := addr()
			var want []*config.Subnet6
			for _, s := range subs {
				if s.Prefix.Contains(a) {
					want = append(want, s)
				}
			}
			if got := x.Covering(a); !slices.Equal(got, want) {
				t.Fatalf("%v: %d subnets cover it, want %d", a, len(got), len(want))
			}
		}
	}
}

func TestSelectAllocatesNothing(t *testing.T) {
	x := testIndex()
	for _, s := range []*Selector{
		{IfName: "eth7"},
		{Src: ip("2001:db8:1:2::1")},
		{InterfaceID: []byte("port 8"), LinkAddr: ip("2001:db8:99::1")},
		{LinkAddr: ip("2001:db8:ffff::1"), Allowed: unguarded},
	} {
		if n := testing.AllocsPerRun(100, func() { x.Select(s); x.ByID(60) }); n != 0 {
			t.Errorf("%+v: %v allocations", s, n)
		}
	}
}
