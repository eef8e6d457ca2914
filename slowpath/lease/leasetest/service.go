// Package leasetest is what the tests of the lease tables of both families share.
package leasetest

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// Way goes through all leases of a table as a command does, and returns how many
// there were.
type Way struct {
	Name string
	All  func() int
}

// BesideService measures ways to go through all n leases of a table while somebody
// looks leases up with get: what a worker waits for a shard at most is reported
// beside the time of the whole.
func BesideService(b *testing.B, n int, get func(i uint32), ways ...Way) {
	for _, way := range ways {
		b.Run(way.Name, func(b *testing.B) {
			var stop atomic.Bool
			done := make(chan []time.Duration)
			go func() {
				var waits []time.Duration
				for i := uint32(0); !stop.Load() || len(waits) == 0; i += 7919 {
					from := time.Now()
					get(i % uint32(n))
					if len(waits) < 1<<20 {
						waits = append(waits, time.Since(from))
					}
				}
				done <- waits
			}()
			for b.Loop() {
				if sum := way.All(); sum != n {
					b.Errorf("%d leases, want %d", sum, n)
					break
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
