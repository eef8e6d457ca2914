package limits

import (
	"flag"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 0, "seed of random tests, 0 takes a new one")

func newRand(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed=%d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// twin is Kea's way: the times of admitted packets in a list.
type twin struct {
	limit  int
	unitNs int64
	times  []int64
}

func (w *twin) take(now int64) bool {
	for len(w.times) > 0 && w.times[0]+w.unitNs < now {
		w.times = w.times[1:]
	}
	if len(w.times) >= w.limit {
		return false
	}
	w.times = append(w.times, now)
	return true
}

func TestWindowIsExact(t *testing.T) {
	r := newRand(t)
	for range 300 {
		limit := uint32(r.IntN(20))
		unit := int64(time.Second)
		w := newWindow(rateLimit{limit, unit})
		naive := &twin{limit: int(limit), unitNs: unit}
		now := int64(1_700_000_000_000_000_000)
		for i := range 400 {
			// Even, because the lowest bit of a time is used otherwise.
			now += r.Int64N(2*unit/(int64(limit)+1)) &^ 1
			if r.IntN(20) == 0 {
				now += unit &^ 1
			}
			admits := w.admits(now)
			want := naive.take(now)
			if got := w.take(now); got != want || admits != want {
				t.Fatalf("limit %d, packet %d at %d: take %v, admits %v, want %v", limit, i, now, got, admits, want)
			}
		}
	}
}

func TestWindowEdges(t *testing.T) {
	const s = int64(time.Second)
	start := 1000 * s
	w := newWindow(rateLimit{1, s})
	for i, tc := range []struct {
		at   int64
		want bool
	}{
		{start, true}, {start, false}, {start + s - 2, false},
		{start + s, false}, // strictly more than a unit, as in Kea
		{start + s + 2, true}, {start + s + 4, false},
		{start + 100*s, true},
		{start + 99*s, false},  // a worker that is late
		{start - 1000*s, true}, // the clock was set back
		{start - 1000*s, false},
	} {
		if got := w.take(tc.at); got != tc.want {
			t.Errorf("%d: at %+d: %v", i, tc.at-start, got)
		}
	}
	zero := newWindow(rateLimit{0, s})
	if zero.take(start) || zero.admits(start) {
		t.Error("limit 0 admitted a packet")
	}
}

// A coarse window never admits more than the limit in any unit, and no less than
// the limit in a unit and its 254th part.
func TestCoarseWindow(t *testing.T) {
	r := newRand(t)
	const limit = 20000
	for _, unit := range []int64{int64(time.Second), int64(365 * 24 * time.Hour)} {
		w := newWindow(rateLimit{limit, unit})
		if w.coarse == nil {
			t.Fatal("not coarse")
		}
		now := int64(1_700_000_000_000_000_000)
		var times []int64
		refused := 0
		for range 200_000 {
			now += r.Int64N(unit / limit)
			if r.IntN(60000) == 0 {
				now += r.Int64N(3 * unit)
			}
			if admits, ok := w.admits(now), w.take(now); admits != ok {
				t.Fatal("admits and take disagree")
			} else if ok {
				times = append(times, now)
				if n := len(times) - limit - 1; n >= 0 && times[n] > now-unit {
					t.Fatalf("%d packets in %d ns", limit+1, now-times[n])
				}
			} else {
				refused++
				if n := len(times) - limit; n < 0 || times[n] <= now-unit-unit/liveSpan-1 {
					t.Fatalf("refused though there were fewer than %d packets", limit)
				}
			}
		}
		if refused == 0 || len(times) < limit {
			t.Errorf("%d admitted, %d refused", len(times), refused)
		}
		// Set back, the clock does not stop service.
		if !w.take(now - 10*unit) {
			t.Error("refused after the clock was set back")
		}
	}
}

func TestWindowIsSharedByWorkers(t *testing.T) {
	for _, limit := range []uint32{1, 3, 64, maxExact + 1} {
		w := newWindow(rateLimit{limit, int64(time.Second)})
		now := int64(1_700_000_000_000_000_000)
		for lap := range 6 {
			var admitted atomic.Int64
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range limit/2 + 20 {
						if w.take(now) {
							admitted.Add(1)
						}
					}
				})
			}
			wg.Wait()
			if got := admitted.Load(); got != int64(limit) {
				t.Fatalf("limit %d, lap %d: %d admitted", limit, lap, got)
			}
			now += 2 * int64(time.Second)
		}
	}
}

// Whatever the interleaving while time goes on, no unit has too many.
func TestWorkersWithDifferentClocks(t *testing.T) {
	const limit, unit = 50, int64(10_000)
	for _, w := range []*window{
		newWindow(rateLimit{limit, unit}),
		{limit: limit, unitNs: unit, coarse: newBuckets(rateLimit{limit, unit})},
	} {
		var clock, admitted atomic.Int64
		clock.Store(1 << 40)
		const steps = 100_000
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range steps {
					if w.take(clock.Add(2)) {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()
		units := int64(4*steps*2)/unit + 1
		// Workers read the clock before they take: a late one may find its time
		// gone by, so a few more than exact are possible, never a unit's worth.
		// A worker that lost its processor for longer than the unit, here 10 µs,
		// looks like a clock set back.
		if got := admitted.Load(); got > units*limit*5/4 || got < units*limit*3/4 {
			t.Errorf("%d admitted in %d units of %d", got, units, limit)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	for name, limit := range map[string]uint32{"exact": 1000, "coarse": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			w := newWindow(rateLimit{limit, int64(time.Second)})
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				now := int64(1 << 60)
				for pb.Next() {
					now += 1000
					w.take(now)
				}
			})
		})
	}
}
