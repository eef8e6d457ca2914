package lease

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease/leasetest"
)

// BenchmarkCommandsBesideService goes through all leases as lease4-get-page and
// lease4-get-all do.
func BenchmarkCommandsBesideService(b *testing.B) {
	const n = 200_000
	t := NewTable(Options{MaxLeases: n + 10})
	for i := range uint32(n) {
		l := Lease4{Addr: dhcp4.IPv4(0x0A000001 + i), SubnetID: 1, State: StateDefault, ValidLifetimeS: 4000, CLTTUnixS: 1}
		l.SetHW(1, []byte{2, 0, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		if _, err := t.Put(&l, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
	page := make([]Lease4, 1000)
	var found Lease4
	leasetest.BesideService(b, n, func(i uint32) { t.Get(dhcp4.IPv4(0x0A000001+i), &found) },
		leasetest.Way{Name: "page", All: func() (sum int) {
			for after := dhcp4.IPv4(0); ; after = page[0].Addr {
				k := t.Page(after, page)
				if k == 0 {
					return sum
				}
				sum += k
				page[0].Addr = page[k-1].Addr
			}
		}},
		leasetest.Way{Name: "search", All: func() (sum int) {
			t.Search(&Filter{}, func(*Lease4) bool { sum++; return true })
			return sum
		}})
}
