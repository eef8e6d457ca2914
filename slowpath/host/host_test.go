package host

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

func res(subnet uint32, t config.IdentifierType, id string, addr dhcp4.IPv4) *config.Reservation4 {
	return &config.Reservation4{SubnetID: subnet, Type: t, Identifier: []byte(id), Addr: addr}
}

func TestIndex(t *testing.T) {
	global := res(0, config.IdentHWAddr, "\x02\x00\x00\x00\x00\x01", 0)
	a := res(1, config.IdentHWAddr, "\x02\x00\x00\x00\x00\x01", 0x0A000001)
	b := res(2, config.IdentHWAddr, "\x02\x00\x00\x00\x00\x01", 0x0A000001)
	c := res(2, config.IdentClientID, "\x02\x00\x00\x00\x00\x01", 0x0A000002)
	dup := res(2, config.IdentClientID, "\x02\x00\x00\x00\x00\x01", 0x0A000002)
	x := NewIndex(&config.Dhcp4{
		GlobalReservations: []*config.Reservation4{global},
		Subnets: []*config.Subnet4{
			{ID: 1, Reservations: []*config.Reservation4{a}},
			{ID: 2, Reservations: []*config.Reservation4{b, c, dup}},
		},
	})
	for _, q := range []struct {
		subnet uint32
		t      config.IdentifierType
		id     string
		want   *config.Reservation4
	}{
		{0, config.IdentHWAddr, "\x02\x00\x00\x00\x00\x01", global},
		{1, config.IdentHWAddr, "\x02\x00\x00\x00\x00\x01", a},
		{2, config.IdentHWAddr, "\x02\x00\x00\x00\x00\x01", b},
		{2, config.IdentClientID, "\x02\x00\x00\x00\x00\x01", c},
		{1, config.IdentClientID, "\x02\x00\x00\x00\x00\x01", nil},
		{3, config.IdentHWAddr, "\x02\x00\x00\x00\x00\x01", nil},
		{1, config.IdentHWAddr, "\x02\x00\x00\x00\x00", nil},
		{1, config.IdentHWAddr, "", nil},
	} {
		if got := x.ByIdentifier(q.subnet, q.t, []byte(q.id)); got != q.want {
			t.Errorf("ByIdentifier(%d, %d, %x) = %v, want %v", q.subnet, q.t, q.id, got, q.want)
		}
	}
	for _, q := range []struct {
		subnet uint32
		addr   dhcp4.IPv4
		want   *config.Reservation4
	}{{1, 0x0A000001, a}, {2, 0x0A000001, b}, {2, 0x0A000002, c}, {1, 0x0A000002, nil}, {0, 0, nil}, {0, 0x0A000001, nil}} {
		if got := x.ByAddr(q.subnet, q.addr); got != q.want {
			t.Errorf("ByAddr(%d, %v) = %v, want %v", q.subnet, q.addr, got, q.want)
		}
	}
	empty := NewIndex(&config.Dhcp4{})
	if empty.ByAddr(1, 1) != nil || empty.ByIdentifier(1, 0, []byte{1}) != nil {
		t.Error("empty index found a reservation")
	}
}

func many(n int) (*Index, [][]byte) {
	s := &config.Subnet4{ID: 1}
	var ids [][]byte
	for i := range n {
		id := binary.BigEndian.AppendUint32([]byte{2, 0}, uint32(i))
		ids = append(ids, id)
		s.Reservations = append(s.Reservations, &config.Reservation4{SubnetID: 1, Identifier: id, Addr: 0x0A000000 + dhcp4.IPv4(i)})
	}
	return NewIndex(&config.Dhcp4{Subnets: []*config.Subnet4{s}}), ids
}

func TestEveryReservationIsFound(t *testing.T) {
	for _, n := range []int{1, 2, 3, 1000, 65536} {
		x, ids := many(n)
		if x.Len() != n {
			t.Fatalf("Len() = %d, want %d", x.Len(), n)
		}
		for i, id := range ids {
			want := 0x0A000000 + dhcp4.IPv4(i)
			if r := x.ByIdentifier(1, config.IdentHWAddr, id); r == nil || r.Addr != want {
				t.Fatalf("of %d: reservation %d by identifier: %v", n, i, r)
			}
			if r := x.ByAddr(1, want); r == nil || string(r.Identifier) != string(id) {
				t.Fatalf("of %d: reservation %d by address: %v", n, i, r)
			}
			if r := x.ByAddr(2, want); r != nil {
				t.Fatalf("of %d: found in another subnet: %v", n, r)
			}
		}
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	x, ids := many(1000)
	id := ids[500]
	if n := testing.AllocsPerRun(100, func() {
		if x.ByIdentifier(1, config.IdentHWAddr, id) == nil || x.ByAddr(1, 0x0A000001) == nil || x.ByIdentifier(2, config.IdentHWAddr, id) != nil {
			t.Fatal("wrong answer")
		}
	}); n != 0 {
		t.Errorf("%v allocations per look-up, want 0", n)
	}
}

func BenchmarkByIdentifier(b *testing.B) {
	for _, n := range []int{1000, 1000000} {
		x, ids := many(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				if x.ByIdentifier(1, config.IdentHWAddr, ids[i]) == nil {
					b.Fatal("not found")
				}
			}
		})
	}
}
