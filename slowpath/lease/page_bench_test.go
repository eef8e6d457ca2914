package lease

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// BenchmarkCommandsBesideService goes through all leases as lease4-get-page and
// lease4-get-all do, while somebody looks leases up: what a worker waits for a
// shard at most is reported beside the time of the whole.
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
	for _, way := range []struct {
		name string
		all  func() int
	}{
		{"page", func() (sum int) {
			for after := dhcp4.IPv4(0); ; after = page[0].Addr {
				k := t.Page(after, page)
				if k == 0 {
					return sum
				}
				sum += k
				page[0].Addr = page[k-1].Addr
			}
		}},
		{"search", func() (sum int) {
			t.Search(&Filter{}, func(*Lease4) bool { sum++; return true })
			return sum
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			var stop atomic.Bool
			done := make(chan []time.Duration)
			go func() {
				var waits []time.Duration
				var l Lease4
				for i := uint32(0); !stop.Load(); i += 7919 {
					from := time.Now()
					t.Get(dhcp4.IPv4(0x0A000001+i%n), &l)
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
