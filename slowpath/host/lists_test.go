package host

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

func TestLists(t *testing.T) {
	a := &config.Subnet4{ID: 2, Reservations: []*config.Reservation4{res(2, config.IdentHWAddr, "x", 10), res(2, config.IdentHWAddr, "y", 10)}}
	b := &config.Subnet4{ID: 3, Reservations: []*config.Reservation4{res(3, config.IdentHWAddr, "x", 20), res(3, config.IdentClientID, "x", 21)}}
	lone := &config.Subnet4{ID: 4, Reservations: []*config.Reservation4{res(4, config.IdentHWAddr, "x", 30), res(4, config.IdentHWAddr, "z", 30)}}
	net := &config.Network4{Subnets: []*config.Subnet4{a, b}}
	a.Network, b.Network = net, net
	other := &config.Network4{Subnets: []*config.Subnet4{{ID: 9}}}
	for _, unique := range []bool{true, false} {
		x := NewLists(&config.Dhcp4{Subnets: []*config.Subnet4{a, b, lone}, IPReservationsUnique: unique})
		var out []*config.Reservation4
		in := func(n *config.Network4, t config.IdentifierType, id string) int {
			out = x.AppendInNetwork(out[:0], n, t, []byte(id))
			return len(out)
		}
		if in(net, config.IdentHWAddr, "x") != 2 || out[0].Addr != 10 || out[1].Addr != 20 {
			t.Errorf("x has %v", out)
		}
		for _, c := range []struct {
			n    *config.Network4
			t    config.IdentifierType
			id   string
			want int
		}{{net, config.IdentHWAddr, "y", 1}, {net, config.IdentClientID, "x", 1}, {net, config.IdentHWAddr, "z", 0}, {other, config.IdentHWAddr, "x", 0}, {net, config.IdentHWAddr, "", 0}, {&config.Network4{}, config.IdentHWAddr, "x", 0}} {
			if got := in(c.n, c.t, c.id); got != c.want {
				t.Errorf("%v %q: %d, want %d", c.t, c.id, got, c.want)
			}
		}
		want := 2
		if unique {
			want = 0
		}
		for _, s := range []uint32{2, 4} {
			if out = x.AppendByAddr(out[:0], s, map[uint32]dhcp4.IPv4{2: 10, 4: 30}[s]); len(out) != want {
				t.Errorf("subnet %d, unique %v: %d reservations of the address", s, unique, len(out))
			}
		}
		if n := testing.AllocsPerRun(10, func() {
			out = x.AppendInNetwork(out[:0], net, config.IdentHWAddr, []byte("x"))
			out = x.AppendByAddr(out[:0], 2, 10)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
