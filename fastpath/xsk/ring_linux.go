package xsk

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ring is the index part of a ring shared with the kernel. Its producer and
// consumer indices run freely modulo 2^32; only their difference matters.
//
// The other side's index is read with acquire and ours written with release
// semantics, which sync/atomic gives; entries are then plain memory. Indices are
// cached, so that a batch costs one atomic read and one atomic write.
type ring struct {
	producer, consumer *uint32
	// flags is written by the kernel: XDP_RING_NEED_WAKEUP.
	flags *uint32
	size  uint32
	mask  uint32
	// cachedProd and cachedCons: our own index is exact here and published by
	// publish or release; the other's is the last value seen.
	cachedProd, cachedCons uint32
}

// needWakeup says that the kernel waits for a system call on this ring.
func (r *ring) needWakeup() bool {
	return atomic.LoadUint32(r.flags)&unix.XDP_RING_NEED_WAKEUP != 0
}

// free is how many entries the producer may write now. It looks at the shared
// index only if the cached one promises fewer than want.
func (r *ring) free(want uint32) uint32 {
	f := r.size - (r.cachedProd - r.cachedCons)
	if f >= want {
		return f
	}
	r.cachedCons = atomic.LoadUint32(r.consumer)
	f = r.size - (r.cachedProd - r.cachedCons)
	if f > r.size {
		return 0 // the other side's index makes no sense: write nothing
	}
	return f
}

// publish makes everything written before visible to the consumer.
func (r *ring) publish() { atomic.StoreUint32(r.producer, r.cachedProd) }

// unconsumed is how many published entries the consumer has not taken yet.
func (r *ring) unconsumed() uint32 {
	r.cachedCons = atomic.LoadUint32(r.consumer)
	return r.cachedProd - r.cachedCons
}

// available is how many entries the consumer may read now. It looks at the
// shared index only if the cached one promises fewer than want.
func (r *ring) available(want uint32) uint32 {
	a := r.cachedProd - r.cachedCons
	if a >= want {
		return a
	}
	r.cachedProd = atomic.LoadUint32(r.producer)
	a = r.cachedProd - r.cachedCons
	if a > r.size {
		r.cachedProd = r.cachedCons
		return 0
	}
	return a
}

// waiting is how many entries the producer has filled and the consumer not read.
func (r *ring) waiting() uint32 {
	return min(atomic.LoadUint32(r.producer)-r.cachedCons, r.size)
}

// release gives the entries read before back to the producer.
func (r *ring) release() { atomic.StoreUint32(r.consumer, r.cachedCons) }

// descRing is an RX or TX ring.
type descRing struct {
	ring
	descs []unix.XDPDesc
}

// put writes one entry; the caller has checked free.
func (r *descRing) put(addr uint64, length uint32) {
	d := &r.descs[r.cachedProd&r.mask]
	d.Addr, d.Len, d.Options = addr, length, 0
	r.cachedProd++
}

// take reads one entry; the caller has checked available.
func (r *descRing) take() unix.XDPDesc {
	d := r.descs[r.cachedCons&r.mask]
	r.cachedCons++
	return d
}

// addrRing is a FILL or COMPLETION ring.
type addrRing struct {
	ring
	addrs []uint64
}

func (r *addrRing) put(addr uint64) {
	r.addrs[r.cachedProd&r.mask] = addr
	r.cachedProd++
}

func (r *addrRing) take() uint64 {
	a := r.addrs[r.cachedCons&r.mask]
	r.cachedCons++
	return a
}

// frameRing hands frames from one goroutine to one other. It holds the base
// addresses of frames.
type frameRing struct {
	buf  []uint64
	mask uint64
	_    [64]byte
	// head is the consumer's, tail the producer's; each on its own cache line.
	head       atomic.Uint64
	cachedTail uint64
	_          [48]byte
	tail       atomic.Uint64
	cachedHead uint64
	_          [48]byte
}

// newFrameRing returns a ring for size frames, a power of two.
func newFrameRing(size int) *frameRing {
	return &frameRing{buf: make([]uint64, size), mask: uint64(size - 1)}
}

// push appends as many of frames as fit and returns how many. Producer only.
func (r *frameRing) push(frames []uint64) int {
	t := r.tail.Load()
	room := uint64(len(r.buf)) - (t - r.cachedHead)
	if room < uint64(len(frames)) {
		r.cachedHead = r.head.Load()
		room = uint64(len(r.buf)) - (t - r.cachedHead)
	}
	n := min(len(frames), int(room))
	for i := 0; i < n; i++ {
		r.buf[(t+uint64(i))&r.mask] = frames[i]
	}
	if n > 0 {
		r.tail.Store(t + uint64(n))
	}
	return n
}

// pop appends up to limit frames to dst. Consumer only.
func (r *frameRing) pop(dst []uint64, limit int) []uint64 {
	h := r.head.Load()
	n := r.cachedTail - h
	if n == 0 || n < uint64(limit) {
		r.cachedTail = r.tail.Load()
		n = r.cachedTail - h
	}
	n = min(n, uint64(limit))
	for i := uint64(0); i < n; i++ {
		dst = append(dst, r.buf[(h+i)&r.mask])
	}
	if n > 0 {
		r.head.Store(h + n)
	}
	return dst
}

// len is how many frames are in the ring: exact for the two parties when the
// other rests.
func (r *frameRing) len() int { return int(r.tail.Load() - r.head.Load()) }
