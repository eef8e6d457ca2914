package lease6

import (
	"encoding/binary"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// BenchmarkCommandsBesideService goes through all leases as lease6-get-page and
// lease6-get-all do, while somebody looks leases up: what a worker waits for a
// shard at most is reported beside the time of the whole.
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
	for _, way := range []struct {
		name string
		all  func() int
	}{
		{"page", func() (sum int) {
			for after := (IPv6{}); ; after = page[0].Addr {
				k := t.Page(after, page)
				if k == 0 {
					return sum
				}
				sum += k
				page[0].Addr = page[k-1].Addr
			}
		}},
		{"search", func() (sum int) {
			t.Search(&Filter{}, func(*Lease6) bool { sum++; return true })
			return sum
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			var stop atomic.Bool
			done := make(chan []time.Duration)
			go func() {
				var waits []time.Duration
				var l Lease6
				for i := uint32(0); !stop.Load(); i += 7919 {
					from := time.Now()
					t.Get(at(i%n), &l)
					if len(waits) < 1<<20 {
						waits = append(waits, time.Since(from))
					}
				}
				done <- waits
			}()
			for b.Loop() {
				if sum := way.all(); sum != n {
					b.Fatalf("%d leases, want %d", sum, n)
				}
			}
			stop.Store(true)
			waits := <-done
			slices.Sort(waits)
			b.ReportMetric(float64(waits[len(waits)*9999/10000].Nanoseconds())/1e3, "p99.99-wait-µs")
			b.ReportMetric(float64(waits[len(waits)-1].Nanoseconds())/1e3, "max-wait-µs")
		})
	}
}
