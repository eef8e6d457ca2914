package limits

import (
	"math"
	"sync/atomic"
)

// maxExact is the largest limit for which every admitted packet is remembered,
// as Kea does for any: 128 KiB a limit.
const maxExact = 16384

// window admits at most so many packets in any span of one time unit. It may be
// used by any number of workers and takes no lock.
type window struct {
	limit  uint32
	unitNs int64
	log    *timeLog // limit <= maxExact
	coarse *buckets // limit > maxExact
}

func newWindow(r rateLimit) *window {
	w := &window{limit: r.packets, unitNs: r.unitNs}
	switch {
	case r.packets == 0:
	case r.packets <= maxExact:
		w.log = newTimeLog(r.packets)
	default:
		w.coarse = newBuckets(r)
	}
	return w
}

// take admits a packet at that time and counts it, or refuses it. Times may go
// back a little from call to call.
func (w *window) take(nowNs int64) bool {
	switch {
	case w.log != nil:
		return w.log.take(nowNs, w.unitNs)
	case w.coarse != nil:
		return w.coarse.take(nowNs)
	}
	return false
}

// admits says whether take would admit a packet now.
func (w *window) admits(nowNs int64) bool {
	switch {
	case w.log != nil:
		return w.log.admits(nowNs, w.unitNs)
	case w.coarse != nil:
		return w.coarse.admits(nowNs)
	}
	return false
}

// timeLog remembers when the last len(slots) packets were admitted. A packet is
// admitted if the oldest of them is more than a unit ago, and takes its slot.
//
// head is how many were admitted; the oldest is in slot head mod n. A slot's
// lowest bit is the parity of the lap (head div n) in which it was written, the
// rest the time. It tells a worker that has read head whether another one has
// already written the slot and not yet advanced head; then it advances head
// itself and looks again. A worker that comes late cannot overwrite: a slot's
// parity changes with each write, and the same slot two laps later has another
// time.
type timeLog struct {
	head  atomic.Uint64
	slots []atomic.Int64
}

// neverNs is the time of a slot that was not used, with the parity of the lap
// before the first.
const neverNs = math.MinInt64/2 | 1

func newTimeLog(n uint32) *timeLog {
	l := &timeLog{slots: make([]atomic.Int64, n)}
	for i := range l.slots {
		l.slots[i].Store(neverNs)
	}
	return l
}

// expired says whether a packet admitted at t no longer counts: strictly more
// than a unit ago, as in Kea, or so far in the future that the clock was set
// back.
func expired(t, nowNs, unitNs int64) bool {
	return nowNs-unitNs > t || t-unitNs > nowNs
}

func (l *timeLog) take(nowNs, unitNs int64) bool {
	n := uint64(len(l.slots))
	for {
		head := l.head.Load()
		slot := &l.slots[head%n]
		parity := int64(head / n & 1)
		v := slot.Load()
		if v&1 == parity {
			l.head.CompareAndSwap(head, head+1)
			continue
		}
		if !expired(v&^1, nowNs, unitNs) {
			if l.head.Load() != head {
				continue
			}
			return false
		}
		if slot.CompareAndSwap(v, nowNs&^1|parity) {
			l.head.CompareAndSwap(head, head+1)
			return true
		}
	}
}

func (l *timeLog) admits(nowNs, unitNs int64) bool {
	n := uint64(len(l.slots))
	for {
		head := l.head.Load()
		v := l.slots[head%n].Load()
		if v&1 == int64(head/n&1) {
			l.head.CompareAndSwap(head, head+1)
			continue
		}
		if expired(v&^1, nowNs, unitNs) {
			return true
		}
		if l.head.Load() == head {
			return false
		}
	}
}

// numBuckets is how finely a coarse window slides: a packet counts for a unit
// and at most 1/254 of it longer. It is never counted for less.
const (
	numBuckets = 256
	liveSpan   = numBuckets - 2 // buckets that make up a unit
)

// buckets counts admitted packets by the part of the unit they came in. A
// bucket is its epoch (time divided by the width, 32 bits) and a count. The
// total is the sum of the counts: who replaces an old bucket takes its count off
// the total.
type buckets struct {
	limit   int64
	widthNs int64
	total   atomic.Int64
	current atomic.Int64 // epoch up to which buckets were cleared
	ring    [numBuckets]atomic.Uint64
}

func newBuckets(r rateLimit) *buckets {
	b := &buckets{limit: int64(r.packets), widthNs: (r.unitNs + liveSpan - 1) / liveSpan}
	b.current.Store(math.MinInt64 / 2)
	return b
}

func (b *buckets) take(nowNs int64) bool {
	epoch := nowNs / b.widthNs
	b.advance(epoch)
	if b.total.Add(1) > b.limit {
		b.total.Add(-1)
		return false
	}
	slot := &b.ring[uint64(epoch)%numBuckets]
	for {
		v := slot.Load()
		next := v + 1
		if uint32(v>>32) != uint32(epoch) {
			// A late worker finds a newer bucket in place of its own: it counts
			// there, a little longer than needed. An older one it replaces.
			if int32(uint32(v>>32)-uint32(epoch)) < 0 || uint32(v) == 0 {
				next = uint64(uint32(epoch))<<32 | 1
			}
		}
		if slot.CompareAndSwap(v, next) {
			if uint32(next>>32) != uint32(v>>32) {
				b.total.Add(-int64(uint32(v)))
			}
			return true
		}
	}
}

func (b *buckets) admits(nowNs int64) bool {
	b.advance(nowNs / b.widthNs)
	return b.total.Load() < b.limit
}

// advance takes the counts of buckets that are over off the total. With a clock
// set back by more than the ring, everything is forgotten.
func (b *buckets) advance(epoch int64) {
	cur := b.current.Load()
	if epoch == cur || epoch < cur && cur-epoch < numBuckets {
		return
	}
	if !b.current.CompareAndSwap(cur, epoch) {
		return // another worker does it; until it has, the window is narrower
	}
	from := cur + 1
	if epoch < cur || epoch-cur >= numBuckets {
		from = epoch - numBuckets + 1
	}
	// The bucket after the current one is the oldest that may still count.
	for e := from; e <= epoch; e++ {
		slot := &b.ring[uint64(e+1)%numBuckets]
		for {
			v := slot.Load()
			if uint32(v) == 0 || uint32(v>>32) == uint32(e+1) {
				break
			}
			if slot.CompareAndSwap(v, uint64(uint32(e+1))<<32) {
				b.total.Add(-int64(uint32(v)))
				break
			}
		}
	}
}
