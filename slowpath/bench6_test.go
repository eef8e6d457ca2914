package slowpath

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// exchanges is one kind of exchange between new clients and a worker: frames of
// the first messages, and of the second by what the first were answered.
type exchanges struct {
	name   string
	first  func(client uint32) []byte
	second func(client uint32, reply []byte) []byte
	ns     []float64 // per exchange, of each batch
}

// BenchmarkFamilies compares what a worker does for new clients' DORA, SARR with
// IA_NA and SARR with IA_NA and IA_PD, all behind a relay. They take turns, so
// that what the machine does meanwhile hits all of them; medians of batches are
// reported, and their ratios.
func BenchmarkFamilies(b *testing.B) {
	dir := b.TempDir()
	snap, err := config.Parse("bench", fmt.Appendf(nil, `{
	"Dhcp4": { "interfaces-config": { "interfaces": [ "dhcp0" ] }, "lease-database": { "type": "memfile", "persist": true },
		"valid-lifetime": 86400,
		"subnet4": [ { "id": 1, "subnet": "10.64.0.0/12", "pools": [ { "pool": "10.68.0.0 - 10.79.255.254" } ],
			"option-data": [ { "name": "routers", "data": "10.67.0.1" }, { "name": "domain-name-servers", "data": "10.67.0.1, 10.67.0.2" } ] } ] },
	"Dhcp6": { "interfaces-config": { "interfaces": [ "dhcp0" ] }, "lease-database": { "type": "memfile", "persist": true },
		"valid-lifetime": 86400, "preferred-lifetime": 80000,
		"subnet6": [ { "id": 1, "subnet": "2001:db8:67::/64", "pools": [ { "pool": "2001:db8:67:0:1::/80" } ],
			"pd-pools": [ { "prefix": "2001:db8:8000::", "prefix-len": 36, "delegated-len": 60 } ],
			"option-data": [ { "name": "dns-servers", "data": "2001:db8:67::1, 2001:db8:67::2" } ] } ] },
	"Dataplane": { "lease-directory": %q } }`, filepath.Join(dir, "leases")), config.LoadOptions{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Options{Snapshot: snap})
	if err != nil {
		b.Fatal(err)
	}
	server6, relay6 := netip.MustParseAddr("2001:db8:67::1").As16(), netip.MustParseAddr("2001:db8:67::2").As16()
	s.SetInterfaces([]netio.Interface{{Index: 7, Name: "dhcp0", MAC: netiotest.ServerMAC, Up: true,
		Addrs4: []netio.Prefix4{{Addr: uint32(serverIP), Len: 12}}, Addrs6: []netio.Prefix6{{Addr: server6, Len: 64}}}})
	w := s.NewWorker("bench")
	w.Attach(func() {})

	relayed := func(m *dhcpv6.Message) []byte {
		r, err := dhcpv6.EncapsulateRelay(m, dhcpv6.MessageTypeRelayForward, relay6[:], relay6[:])
		if err != nil {
			b.Fatal(err)
		}
		msg := r.ToBytes()
		o := frame.Out6{DstMAC: netiotest.ServerMAC, SrcMAC: [6]byte{2, 9}, Src6: relay6, Dst6: server6, SrcPort: 547, DstPort: 547}
		f := make([]byte, frame.HeaderLen6(0)+len(msg))
		copy(f[frame.HeaderLen6(0):], msg)
		return f[:frame.Write6(f, &o, len(msg))]
	}
	sarr := func(name string, kind byte, pd bool) *exchanges {
		return &exchanges{name: name,
			first: func(i uint32) []byte {
				duid := &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, kind, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}}
				m, err := dhcpv6.NewMessage(dhcpv6.WithClientID(duid), dhcpv6.WithIAID([4]byte{0, 0, 0, 1}), dhcpv6.WithRequestedOptions(dhcpv6.OptionDNSRecursiveNameServer))
				if err != nil {
					b.Fatal(err)
				}
				if pd {
					m.AddOption(&dhcpv6.OptIAPD{IaId: [4]byte{0, 0, 0, 1}})
				}
				return relayed(m)
			},
			second: func(_ uint32, reply []byte) []byte {
				r, err := dhcpv6.FromBytes(reply)
				if err != nil {
					b.Fatal(err)
				}
				adv, err := r.GetInnerMessage()
				if err != nil {
					b.Fatal(err)
				}
				req, err := dhcpv6.NewRequestFromAdvertise(adv)
				if err != nil {
					b.Fatal(err)
				}
				return relayed(req)
			},
		}
	}
	all := []*exchanges{
		{name: "DORA",
			first: func(i uint32) []byte {
				return netiotest.Discover(netiotest.ClientMAC(i), netiotest.Relayed(relayIP, serverIP)).Frame()
			},
			second: func(i uint32, reply []byte) []byte {
				var v dhcp4.View
				if v.ParseReply(reply) != dhcp4.ReasonOK {
					b.Fatal("no OFFER")
				}
				return netiotest.Request(netiotest.ClientMAC(i), v.YIAddr(), serverIP, netiotest.Relayed(relayIP, serverIP)).Frame()
			}},
		sarr("SARR-NA", 1, false),
		sarr("SARR-NA-PD", 2, true),
	}

	p := make([]netio.Packet, netio.BatchSize)
	bufs := make([][2048]byte, netio.BatchSize)
	now := int64(1_800_000_000_000_000_000)
	batch := func(x *exchanges, base uint32, stage func(client uint32, i int) []byte) time.Duration {
		for i := range p {
			p[i] = netio.Packet{Data: bufs[i][:copy(bufs[i][:], stage(base+uint32(i), i))], IfIndex: 7}
		}
		start := time.Now()
		w.HandleBatch(p, now)
		d := time.Since(start)
		last := uint64(0)
		for i := range p {
			if p[i].Action == netio.Drop {
				b.Fatalf("%s: client %d gets no answer", x.name, base+uint32(i))
			}
			last = max(last, p[i].CommitPos)
		}
		for w.DurablePos() < last {
			time.Sleep(20 * time.Microsecond)
		}
		return d
	}
	for n := range b.N {
		for _, x := range all {
			base := uint32(n * netio.BatchSize)
			second := make([][]byte, netio.BatchSize)
			d := batch(x, base, func(c uint32, _ int) []byte { return x.first(c) })
			for i := range p {
				var h frame.Headers
				if why := frame.Decode(p[i].Data, &h); why != frame.ReasonOK {
					b.Fatal(why)
				}
				second[i] = x.second(base+uint32(i), p[i].Data[h.PayloadOff:][:h.PayloadLen])
			}
			d += batch(x, base, func(_ uint32, i int) []byte { return second[i] })
			x.ns = append(x.ns, float64(d.Nanoseconds())/netio.BatchSize)
		}
	}
	median := func(x *exchanges) float64 {
		slices.Sort(x.ns)
		return x.ns[len(x.ns)/2]
	}
	b.ReportMetric(0, "ns/op")
	for _, x := range all {
		b.ReportMetric(median(x), "ns/"+x.name)
	}
	b.ReportMetric(median(all[1])/median(all[0]), "NA/DORA")
	b.ReportMetric(median(all[2])/median(all[0]), "NA+PD/DORA")
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
