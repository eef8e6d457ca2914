package slowpath

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// BenchmarkNewClients times what a worker alone spends on the exchange of a new client
// with client identifier behind a relay, journal included, kernel not. An
// iteration is a batch; the medians of what its two halves take are reported.
func BenchmarkNewClients(b *testing.B) {
	snap, err := config.Parse("bench", fmt.Appendf(nil, `{
	"Dhcp4": { "interfaces-config": { "interfaces": [ "dhcp0" ] }, "lease-database": { "type": "memfile", "persist": true },
		"valid-lifetime": 86400,
		"subnet4": [ { "id": 1, "subnet": "10.64.0.0/12", "pools": [ { "pool": "10.68.0.0 - 10.79.255.254" } ],
			"option-data": [ { "name": "routers", "data": "10.67.0.1" }, { "name": "domain-name-servers", "data": "10.67.0.1, 10.67.0.2" } ] } ] },
	"Dataplane": { "lease-directory": %q } }`, filepath.Join(b.TempDir(), "leases")), config.LoadOptions{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Options{Snapshot: snap})
	if err != nil {
		b.Fatal(err)
	}
	s.SetInterfaces([]netio.Interface{{Index: 7, Name: "dhcp0", MAC: netiotest.ServerMAC, Up: true, Addrs4: []netio.Prefix4{{Addr: uint32(serverIP), Len: 12}}}})
	w := s.NewWorker("bench")
	w.Attach(func() {})

	p := make([]netio.Packet, netio.BatchSize)
	bufs := make([][2048]byte, netio.BatchSize)
	now := int64(1_800_000_000_000_000_000)
	handle := func(client uint32, query func(i int, mac netiotest.MAC, opts ...netiotest.Option) *netiotest.Query) float64 {
		for i := range p {
			id := binary.BigEndian.AppendUint32([]byte{1, 2, 0}, client+uint32(i))
			f := query(i, netiotest.ClientMAC(client+uint32(i)), netiotest.Relayed(relayIP, serverIP), netiotest.WithClientID(id...)).Frame()
			p[i] = netio.Packet{Data: bufs[i][:copy(bufs[i][:], f)], IfIndex: 7}
		}
		now += 1_000_000
		start := time.Now()
		w.HandleBatch(p, now)
		d := time.Since(start)
		for i := range p {
			if p[i].Action == netio.Drop {
				b.Fatalf("client %d gets no answer", client+uint32(i))
			}
		}
		for last := p[len(p)-1].CommitPos; w.DurablePos() < last; {
			time.Sleep(20 * time.Microsecond)
		}
		return float64(d.Nanoseconds()) / netio.BatchSize
	}
	var offers, acks []float64
	for n := range b.N {
		base := uint32(n * netio.BatchSize)
		offers = append(offers, handle(base, func(_ int, mac netiotest.MAC, opts ...netiotest.Option) *netiotest.Query {
			return netiotest.Discover(mac, opts...)
		}))
		var addr [netio.BatchSize]dhcp4.IPv4
		for i := range p {
			var h frame.Headers
			var v dhcp4.View
			if frame.Decode(p[i].Data, &h) != frame.ReasonOK || v.ParseReply(p[i].Data[h.PayloadOff:][:h.PayloadLen]) != dhcp4.ReasonOK {
				b.Fatal("no OFFER")
			}
			addr[i] = v.YIAddr()
		}
		acks = append(acks, handle(base, func(i int, mac netiotest.MAC, opts ...netiotest.Option) *netiotest.Query {
			return netiotest.Request(mac, addr[i], serverIP, opts...)
		}))
	}
	median := func(l []float64) float64 {
		slices.Sort(l)
		return l[len(l)/2]
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(offers), "ns/OFFER")
	b.ReportMetric(median(acks), "ns/ACK")
	b.ReportMetric(offers[len(offers)/10]+acks[len(acks)/10], "ns/DORA-p10")
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
