package alloc

import (
	"math/bits"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// pool has four bits per address, sixteen addresses to an atomic word, so that
// every transition is one compare-and-swap:
//
//	bits 0, 1  what the lease table has: nothing, a stale record, an offer, or a
//	           record that is in use (default or declined)
//	bit 2      claimed by a worker
//	bit 3      reserved for a host: never picked
//
// An address can be picked as kind k exactly if its four bits are the number k.
// Words come in chunks made when first written; a missing chunk is all free.
// Above the words are three hint bitmaps, one per kind: 4.2 bits per address.
type pool struct {
	subnet *subnet
	first  uint32
	last   uint32
	id     uint32
	words  int
	random bool
	seed   *atomic.Uint64
	chunks []atomic.Pointer[chunk]
	hints  [kinds]hints
	// next is where Pick goes on: behind the last address given, free and stale
	// ones together. It is what makes the iterative allocator iterate, and for
	// offers the hand of a clock: as addresses are offered in turn, the next
	// offer is an old one.
	next [kinds]padded

	assigned, declined, offered, stale, cumulative padded
}

// padded is an atomic on a cache line of its own.
type padded struct {
	atomic.Uint64
	_ [56]byte
}

const (
	kindFree = iota
	kindStale
	kindOffered
	kinds

	inUse = 3 // record state beside the three kinds

	stateMask = 3
	claimed   = 4
	reserved  = 8

	perWord    = 16
	chunkWords = 64
	nibbles    = 0x1111111111111111
)

type chunk [chunkWords]atomic.Uint64

func newPool(s *subnet, first, last dhcp4.IPv4, id uint32, random bool, seed *atomic.Uint64) *pool {
	size := uint64(last) - uint64(first) + 1
	words := int((size + perWord - 1) / perWord)
	p := &pool{
		subnet: s, first: uint32(first), last: uint32(last), id: id, words: words, random: random, seed: seed,
		chunks: make([]atomic.Pointer[chunk], (words+chunkWords-1)/chunkWords),
	}
	for k := range p.hints {
		p.hints[k] = newHints(words, k == kindFree)
	}
	if rest := size % perWord; rest != 0 {
		// Addresses behind the end are never to be had.
		p.word(words - 1).Or(^uint64(0) << (4 * rest))
	}
	return p
}

func (p *pool) size() uint64 { return uint64(p.last) - uint64(p.first) + 1 }

// load is the value of word w.
func (p *pool) load(w int) uint64 {
	c := p.chunks[w/chunkWords].Load()
	if c == nil {
		return 0
	}
	return c[w%chunkWords].Load()
}

// word returns word w for writing.
func (p *pool) word(w int) *atomic.Uint64 {
	at := &p.chunks[w/chunkWords]
	c := at.Load()
	if c == nil {
		c = new(chunk)
		if !at.CompareAndSwap(nil, c) {
			c = at.Load()
		}
	}
	return &c[w%chunkWords]
}

// having returns the lowest bit of each four of v that are the number k.
func having(v uint64, k int) uint64 {
	x := v ^ uint64(k)*nibbles
	return ^(x | x>>1 | x>>2 | x>>3) & nibbles
}

// change clears and then sets some of the four bits of the address at offset off
// and brings the hints up to date. It returns the bits before and after.
func (p *pool) change(off uint32, clear, set uint64) (before, after uint64) {
	w, sh := int(off/perWord), 4*(off%perWord)
	word := p.word(w)
	for {
		v := word.Load()
		before = v >> sh & 15
		after = before&^clear | set
		if before == after {
			return before, after
		}
		if word.CompareAndSwap(v, v&^(15<<sh)|after<<sh) {
			break
		}
	}
	if after < kinds {
		p.hints[after].set(w)
		p.subnet.has(int(after))
	}
	if before < kinds {
		p.emptied(w, int(before))
	}
	return before, after
}

// emptied clears the hint of kind k for word w if the word has none of it.
func (p *pool) emptied(w, k int) {
	if having(p.load(w), k) != 0 {
		return
	}
	p.hints[k].clear(w)
	if having(p.load(w), k) != 0 {
		p.hints[k].set(w)
	}
	if p.hints[k].empty() {
		p.subnet.spent(k)
	}
}

// pickOffered claims the next address that is only offered, from its hand on,
// around the pool.
func (p *pool) pickOffered() (dhcp4.IPv4, bool) {
	start := p.next[kindOffered].Load() % p.size()
	off, ok := p.claimFrom(kindOffered, start, p.size())
	if !ok && start > 0 {
		off, ok = p.claimFrom(kindOffered, 0, start)
	}
	if !ok {
		return 0, false
	}
	p.next[kindOffered].Store(off + 1)
	return dhcp4.IPv4(p.first + uint32(off)), true
}

// pickUnused claims the next address that is free or has a stale record, in the
// order of addresses as Kea's allocator does (V4-063, V4-071): from the hand to
// the end, and with wrap from the beginning to the hand; a random pool from a
// random point around. That point is never the pool's last address: Kea's
// permutation never begins with it, so that of two addresses the first is first.
// kind is kindFree or kindStale.
func (p *pool) pickUnused(wrap bool) (addr dhcp4.IPv4, kind int, ok bool) {
	size := p.size()
	var start uint64
	if p.random {
		start = mix64(p.seed.Add(0x9E3779B97F4A7C15)) >> 32 * max(size-1, 1) >> 32
		wrap = true
	} else if start = p.next[kindFree].Load(); start >= size {
		start = 0
		if !wrap {
			// The end was reached: the next round begins at the beginning.
			p.next[kindFree].Store(0)
			return 0, 0, false
		}
	}
	off, kind, ok := p.claimUnused(start, size)
	if !ok && wrap && start > 0 {
		off, kind, ok = p.claimUnused(0, start)
	}
	if !ok {
		if !p.random {
			p.next[kindFree].Store(0)
		}
		return 0, 0, false
	}
	p.next[kindFree].Store(off + 1)
	return dhcp4.IPv4(p.first + uint32(off)), kind, true
}

// claimUnused claims the first free or stale address with from <= offset < to.
func (p *pool) claimUnused(from, to uint64) (off uint64, kind int, ok bool) {
	for {
		off, ok = p.find(kindFree, from, to)
		end := to
		if ok {
			end = off
		}
		if o, found := p.find(kindStale, from, end); found {
			off, kind, ok = o, kindStale, true
		} else {
			kind = kindFree
		}
		if !ok {
			return 0, 0, false
		}
		if p.claim(off, kind) {
			return off, kind, true
		}
		from = off // somebody was faster: what is there now?
	}
}

// claim claims an address that find has found, if it still is of that kind.
func (p *pool) claim(off uint64, k int) bool {
	w, sh := int(off/perWord), 4*(off%perWord)
	word := p.word(w)
	for {
		v := word.Load()
		if v>>sh&15 != uint64(k) {
			return false
		}
		if word.CompareAndSwap(v, v|claimed<<sh) {
			if having(v, k) == 1<<sh { // it was the last one of the word
				p.emptied(w, k)
			}
			return true
		}
	}
}

// find returns the first address of kind k with from <= offset < to.
func (p *pool) find(k int, from, to uint64) (uint64, bool) {
	skip := uint64(1)<<(4*(from%perWord)) - 1 // of the first word
	for w := int(from / perWord); ; w++ {
		if w = p.hints[k].next(w); w < 0 || uint64(w)*perWord >= to {
			return 0, false
		}
		if w != int(from/perWord) {
			skip = 0
		}
		v := p.load(w)
		m := having(v, k) &^ skip
		if m == 0 {
			if having(v, k) == 0 {
				p.emptied(w, k)
			}
			continue
		}
		off := uint64(w)*perWord + uint64(bits.TrailingZeros64(m))/4
		return off, off < to
	}
}

// claimFrom claims the first address of kind k with from <= offset < to.
func (p *pool) claimFrom(k int, from, to uint64) (uint64, bool) {
	for {
		off, ok := p.find(k, from, to)
		if !ok || p.claim(off, k) {
			return off, ok
		}
		from = off
	}
}

// mix64 makes a sequence of numbers look random (SplitMix64's finalizer).
func mix64(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	return x ^ x>>31
}
