package lease6

import (
	"encoding/binary"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease/leasetest"
)

// BenchmarkCommandsBesideService goes through all leases as lease6-get-page and
// lease6-get-all do.
func BenchmarkCommandsBesideService(b *testing.B) {
	const n = 200_000
	t := NewTable(Options{MaxLeases: n + 10})
	at := func(i uint32) (a IPv6) {
		a[0] = 0x20
		binary.BigEndian.PutUint32(a[12:], i+1)
		return a
	}
	for i := range uint32(n) {
		l := Lease6{Addr: at(i), PrefixLen: 128, Type: TypeNA, SubnetID: 1, IAID: i, State: lease.StateDefault, ValidLifetimeS: 4000, CLTTUnixS: 1}
		l.SetID([]byte{0, 3, 0, 1, 2, 0, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		if _, err := t.Put(&l, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
	page := make([]Lease6, 1000)
	var found Lease6
	leasetest.BesideService(b, n, func(i uint32) { t.Get(at(i), &found) },
		leasetest.Way{Name: "page", All: func() (sum int) {
			for after := (IPv6{}); ; after = page[0].Addr {
				k := t.Page(after, page)
				if k == 0 {
					return sum
				}
				sum += k
				page[0].Addr = page[k-1].Addr
			}
		}},
		leasetest.Way{Name: "search", All: func() (sum int) {
			t.Search(&Filter{}, func(*Lease6) bool { sum++; return true })
			return sum
		}})
}
