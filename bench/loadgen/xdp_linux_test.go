package loadgen

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
)

// Generator and reflector over a veth with AF_XDP on both ends.
func TestXDP(t *testing.T) {
	fastpathtest.RequireXDP(t)
	for _, c := range []struct {
		name   string
		queues int
		vlans  []uint16
	}{{"one queue", 1, nil}, {"two queues", 2, nil}, {"tag", 1, []uint16{7}}, {"two tags", 1, []uint16{7, 8}}} {
		t.Run(c.name, func(t *testing.T) {
			v := fastpathtest.NewVeth(t, c.queues)
			fastpathtest.AddAddr(t, v.Client.Name, "10.99.0.2/24")
			server, err := FindLink(v.Server.Name, netip.Addr{})
			if err != nil {
				t.Fatal(err)
			}
			far, err := Open(AFXDP, server, server.Addr, 67)
			if err != nil {
				t.Fatal(err)
			}
			var r Reflector
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() { r.Run(far.List, stop) })

			k, err := FindLink("10.99.0.2", netip.Addr{})
			if err != nil || k.Name != v.Client.Name || k.Queues != c.queues || k.MAC != v.Client.MAC || k.Driver != "veth" {
				t.Fatalf("%+v %v", k, err)
			}
			near, err := Open(AFXDP, k, k.Addr, 67)
			if err != nil {
				t.Fatal(err)
			}
			o := options(DiscoverFlood)
			o.Rate, o.Exchanges[0], o.Window, o.Clients, o.VLANs = 0, 5000, 64, 5000, c.vlans
			o.LocalMAC, o.ServerMAC, o.IfIndex = k.MAC, v.Server.MAC, uint32(k.Index)
			g, err := New(o, near.List)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Run(); err != nil {
				t.Fatal(err)
			}
			close(stop)
			wg.Wait()
			if s := &g.Stats[DiscoverOffer]; s.Sent != 5000 || s.Received != 5000 || g.Checks.Failed() || g.Malformed != 0 || r.Packets.Load() != 5000 {
				t.Errorf("sent %d received %d reflected %d, %+v, malformed %d", s.Sent, s.Received, r.Packets.Load(), g.Checks, g.Malformed)
			}
			res := g.Result("test", k, near)
			if res.Interface != "veth" || res.UserNsPerPacket <= 0 || res.Machine.Kernel == "" {
				t.Errorf("%+v", res)
			}
			for _, x := range []*Conns{near, far} {
				if err := x.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Packets to a reflector and back over a veth with AF_XDP on both ends. An
// operation is one there and back; cpu-ns is what it costs both ends and the
// kernel between them, idle spinning included.
func BenchmarkReflector(b *testing.B) {
	fastpathtest.RequireXDP(b)
	v := fastpathtest.NewVeth(b, 1)
	open := func(name string) (*Link, *Conns) {
		k, err := FindLink(name, netip.Addr{})
		if err != nil {
			b.Fatal(err)
		}
		c, err := Open(AFXDP, k, k.Addr, 67)
		if err != nil {
			b.Fatal(err)
		}
		return k, c
	}
	_, far := open(v.Server.Name)
	k, near := open(v.Client.Name)
	defer far.Close()
	defer near.Close()
	var r Reflector
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(far.List, stop) })
	o := options(DiscoverFlood)
	o.Rate, o.Exchanges[0], o.Window, o.Clients = 0, uint64(b.N), 512, 100000
	o.LocalMAC, o.ServerMAC, o.IfIndex = k.MAC, v.Server.MAC, uint32(k.Index)
	g, err := New(o, near.List)
	if err != nil {
		b.Fatal(err)
	}
	u0, s0 := cpuNs()
	b.ResetTimer()
	if err := g.Run(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	u1, s1 := cpuNs()
	close(stop)
	wg.Wait()
	b.ReportMetric(float64(u1-u0)/float64(b.N), "user-ns/op")
	b.ReportMetric(float64(s1-s0)/float64(b.N), "system-ns/op")
	b.ReportMetric(100*float64(g.Stats[DiscoverOffer].Drops())/float64(b.N), "%lost")
}

// The link-layer address of the server comes from the neighbour table.
func TestResolve(t *testing.T) {
	fastpathtest.RequireNet(t)
	v := fastpathtest.NewVeth(t, 1)
	fastpathtest.AddAddr(t, v.Client.Name, "10.98.0.2/24")
	fastpathtest.AddNeighbour(t, v.Client, [4]byte{10, 98, 0, 1}, v.Server.MAC)
	server := netip.MustParseAddr("10.98.0.1")
	k, err := FindLink("", server)
	if err != nil || k.Name != v.Client.Name || k.Addr != netip.MustParseAddr("10.98.0.2") {
		t.Fatalf("%+v %v", k, err)
	}
	if err := k.Resolve(server); err != nil || k.ServerMAC != v.Server.MAC {
		t.Errorf("%x %v", k.ServerMAC, err)
	}
	for _, local := range []string{"no-such-if", "192.0.2.77"} {
		if _, err := FindLink(local, server); err == nil {
			t.Errorf("%s was found", local)
		}
	}
	if _, err := Open("carrier-pigeon", k, k.Addr, 67); err == nil {
		t.Error("an unknown backend was opened")
	}
}
