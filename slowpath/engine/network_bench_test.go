package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// manySubnets is a shared network of n subnets with a pool of size addresses and a
// reservation each.
func manySubnets(n, size int, guard string) string {
	var b strings.Builder
	b.WriteString(`"valid-lifetime": 3600, "shared-networks": [ { "name": "n", "interface": "eth0", "subnet4": [ `)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		p := fmt.Sprintf("10.%d.%d", i>>8, i&255)
		fmt.Fprintf(&b, `{ "id": %d, "subnet": "%s.0/24", %s "pools": [ { "pool": "%s.10 - %s.%d" } ], "reservations": [ { "hw-address": "02:ff:00:00:%02x:%02x", "ip-address": "%s.5" } ] }`,
			i+1, p, guard, p, p, 9+size, i>>8, i&255, p)
	}
	b.WriteString(` ] } ]`)
	return b.String()
}

// BenchmarkNetwork: what a client costs in a shared network of many subnets, when it
// is new, when it has a lease in the middle one, and when all pools are full.
func BenchmarkNetwork(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("new/%d", n), func(b *testing.B) {
			l := newLab(b, manySubnets(n, 200, ""))
			l.j.Quiet = true
			qs := make([]prepared, 150)
			for i := range qs {
				qs[i] = prepare(netiotest.Discover(mac(i + 1)))
			}
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				if i%len(qs) == 0 {
					l.now += 3600 // the offers have ended
				}
				l.run(&qs[i%len(qs)], dhcp4.MsgOffer)
			}
		})
		b.Run(fmt.Sprintf("known/%d", n), func(b *testing.B) {
			l := newLab(b, manySubnets(n, 200, ""))
			l.j.Quiet = true
			addr := dhcp4.AddrFrom4([4]byte{10, byte(n / 2 >> 8), byte(n / 2), 100})
			l.want(dhcp4.MsgAck, netiotest.Request(mac(1), addr, l.ifAddr))
			q := prepare(netiotest.Discover(mac(1)))
			b.ResetTimer()
			for b.Loop() {
				l.run(&q, dhcp4.MsgOffer)
			}
		})
		b.Run(fmt.Sprintf("full/%d", n), func(b *testing.B) {
			l := newLab(b, manySubnets(n, 1, ""))
			l.j.Quiet = true
			for i := range n {
				p := prepare(netiotest.Request(mac(i+1), 0, l.ifAddr, netiotest.Without(50), netiotest.Without(54)))
				l.run(&p, dhcp4.MsgAck)
			}
			q := netiotest.Discover(mac(n + 5))
			b.ResetTimer()
			for b.Loop() {
				if r := l.send(q); r != ReasonPoolExhausted {
					b.Fatal(r)
				}
			}
		})
	}
}
