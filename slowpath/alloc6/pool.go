package alloc6

import (
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// pool is a range of addresses, or of prefixes of one length: units. Unit u
// begins at first + u<<shift.
//
// What is known of the units is a sparse tree with 64 branches at each node. A
// node is there only while something differs from "all free": below the leaves
// of that are units with a record, a claim or a block, above them nodes for what
// is full or has something stale. So the tree grows with the leases, whatever
// the size of the pool, and the next unit that is to be had is found by a few
// steps up and down, however full the pool.
//
// One mutex guards it. It is held for some dozens of nanoseconds at a time.
type pool struct {
	first, end number // first address, and last one of the last unit
	last       number // number of units minus one
	shift      uint   // bits of an address behind the unit
	length     uint8  // of its prefixes; 128 for addresses
	id         uint32
	random     bool

	// claims is how many units are claimed, so that a renewal need not lock.
	claims atomic.Int64

	mu     sync.Mutex
	levels uint // of the tree
	tree   nodes
	// next is where pick goes on, per kind: behind the unit given last. It is
	// what makes the iterative allocator iterate, and for offers the hand of a
	// clock: as units are offered in turn, the next offer is an old one.
	next [kinds]number
	rng  rand.PCG
	// blocks counts what blocks a bit of a node, where more than one thing may.
	blocks map[blockKey]int32

	assigned, declined, registered, offered, stale, cumulative counter
}

// blockKey is a branch of a node.
type blockKey struct {
	node nodeKey
	bit  uint8
}

// What a record makes of a unit; the first three are also what pick looks for.
const (
	kindFree = iota
	kindStale
	kindOffered
	kinds
	inUse = kinds
)

func newPool(first, end number, length uint8, id uint32, random bool) *pool {
	p := &pool{first: first, end: end, shift: uint(128 - length), length: length, id: id, random: random}
	p.last = end.sub(first).shr(p.shift)
	p.levels = max(1, (p.last.len()+5)/6)
	p.rng.Seed(rand.Uint64(), rand.Uint64())
	return p
}

// size is the number of units.
func (p *pool) size() Size { return Size{p.last.hi, p.last.lo}.Add(Size{0, 1}) }

// contains says whether an address is in the pool.
func (p *pool) contains(a number) bool { return !a.less(p.first) && !p.end.less(a) }

// unit is the unit that has an address of the pool.
func (p *pool) unit(a number) number { return a.sub(p.first).shr(p.shift) }

// start is the first address of a unit.
func (p *pool) start(u number) number { return p.first.add(u.shl(p.shift)) }

// exact says whether a prefix (or address, length 128) is a unit of the pool.
func (p *pool) exact(a number, length uint8) bool {
	return length == p.length && p.contains(a) && p.start(p.unit(a)) == a
}

// change calls f on the leaf of unit u with the bit of u, and brings the tree
// up to date. f returns whether it did change anything. p.mu is held.
func (p *pool) change(u number, f func(n *node, bit uint64) bool) {
	n := p.tree.put(keyOf(0, u.shr(6)))
	before := [kinds]bool{n.having(0, 0) != 0, n.having(0, 1) != 0, n.having(0, 2) != 0}
	if f(n, 1<<(u.lo&63)) {
		p.settle(n, 0, u.shr(6), before)
	} else if n.empty() {
		p.tree.drop(n)
	}
}

// settle tells the levels above that a node has changed. before is what could be
// had in it.
func (p *pool) settle(n *node, level uint, at number, before [kinds]bool) {
	for {
		var after [kinds]bool
		for k := range after {
			after[k] = n.having(level, k) != 0
		}
		if n.empty() {
			p.tree.drop(n)
		}
		if after == before || level+1 == p.levels {
			return
		}
		bit := uint64(1) << (at.lo & 63)
		at, level = at.shr(6), level+1
		n = p.tree.put(keyOf(level, at))
		for k := range before {
			before[k] = n.having(level, k) != 0
		}
		setTo(&n.a, bit, !after[kindFree])
		setTo(&n.b, bit, after[kindStale])
		setTo(&n.c, bit, after[kindOffered])
	}
}

func setTo(w *uint64, bit uint64, on bool) {
	if on {
		*w |= bit
	} else {
		*w &^= bit
	}
}

// setState notes what record unit u has, and ends a claim of it.
func (p *pool) setState(u number, state int) {
	p.mu.Lock()
	p.change(u, func(n *node, bit uint64) bool {
		a, b, c := n.a, n.b, n.c
		setTo(&n.a, bit, state&1 != 0)
		setTo(&n.b, bit, state&2 != 0)
		if n.c&bit != 0 {
			n.c &^= bit
			p.claims.Add(-1)
		}
		return n.a != a || n.b != b || n.c != c
	})
	p.mu.Unlock()
}

// claim claims unit u; ok is false if it was claimed already.
func (p *pool) claim(u number) (ok bool) {
	p.mu.Lock()
	p.change(u, func(n *node, bit uint64) bool {
		ok = n.c&bit == 0
		n.c |= bit
		return ok
	})
	if ok {
		p.claims.Add(1)
	}
	p.mu.Unlock()
	return ok
}

// unclaim ends a claim of unit u, if there is one.
func (p *pool) unclaim(u number) {
	p.mu.Lock()
	p.change(u, func(n *node, bit uint64) bool {
		if n.c&bit == 0 {
			return false
		}
		n.c &^= bit
		p.claims.Add(-1)
		return true
	})
	p.mu.Unlock()
}

// pick claims the next unit of a kind from its hand on, around the pool.
func (p *pool) pick(kind int) (number, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.next[kind]
	if p.random && kind != kindOffered {
		from = p.below()
	}
	u, ok := p.firstFrom(from, kind)
	if !ok || p.last.less(u) {
		if from.isZero() {
			return number{}, false
		}
		if u, ok = p.firstFrom(number{}, kind); !ok || !u.less(from) {
			return number{}, false
		}
	}
	p.change(u, func(n *node, bit uint64) bool {
		n.c |= bit
		return true
	})
	p.claims.Add(1)
	if p.next[kind] = u.add(number{0, 1}); p.last.less(p.next[kind]) || p.next[kind].isZero() {
		p.next[kind] = number{}
	}
	return u, true
}

// below is a random unit, never the last of several: Kea's permutation never
// begins with it.
func (p *pool) below() number {
	if p.last.hi == 0 {
		hi, _ := bits.Mul64(p.rng.Uint64(), p.last.lo)
		return number{0, hi}
	}
	// The bits that the last unit needs; about every other one is too large.
	mask := ones(p.last.len())
	for {
		n := number{p.rng.Uint64() & mask.hi, p.rng.Uint64() & mask.lo}
		if n.less(p.last) {
			return n
		}
	}
}

// firstFrom returns the first unit from i on that can be had as kind. Behind the
// pool's last unit it finds free ones that are not there.
func (p *pool) firstFrom(i number, kind int) (number, bool) {
	// find takes for granted that no branch on the way down to i is blocked.
	for level := p.levels - 1; level > 0; level-- {
		at := i.shr(6 * level)
		if n := p.tree.get(keyOf(level, at.shr(6))); n != nil && n.blocked>>(at.lo&63)&1 != 0 {
			at, ok := p.find(level, at.add(number{0, 1}), kind)
			for ; ok && level > 0; level-- {
				at, ok = p.down(level, at, kind)
			}
			return at, ok
		}
	}
	return p.find(0, i, kind)
}

// find returns the first branch from i on, at that level of the tree, that has
// something of that kind.
func (p *pool) find(level uint, i number, kind int) (number, bool) {
	if i.len() > 6*(p.levels-level) {
		return number{}, false
	}
	up, top := i.shr(6), level+1 == p.levels
	if i.lo&63 != 0 || top {
		if m := p.having(level, up, kind) >> (i.lo & 63); m != 0 {
			return i.add(number{0, uint64(bits.TrailingZeros64(m))}), true
		}
		if top {
			return number{}, false
		}
		up = up.add(number{0, 1})
	}
	up, ok := p.find(level+1, up, kind)
	if !ok {
		return number{}, false
	}
	return p.down(level+1, up, kind)
}

// down returns the first branch having something of that kind below branch at of
// a level, which has.
func (p *pool) down(level uint, at number, kind int) (number, bool) {
	m := p.having(level-1, at, kind)
	return at.shl(6).add(number{0, uint64(bits.TrailingZeros64(m))}), m != 0
}

func (p *pool) having(level uint, at number, kind int) uint64 {
	n := p.tree.get(keyOf(level, at))
	switch {
	case n != nil:
		return n.having(level, kind)
	case kind == kindFree:
		return ^uint64(0)
	}
	return 0
}

// block takes the units from first to last, an aligned power of two of them, out
// of what is to be had, d 1, or ends that, d -1. Several may block a unit.
func (p *pool) block(first, last number, d int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	width := last.sub(first).len() // log2 of how many
	level := min(width/6, p.levels-1)
	at := first.shr(6 * level)
	end := last.shr(6 * level)
	if p.blocks == nil {
		p.blocks = make(map[blockKey]int32)
	}
	n := p.tree.put(keyOf(level, at.shr(6)))
	before := [kinds]bool{n.having(level, 0) != 0, n.having(level, 1) != 0, n.having(level, 2) != 0}
	for ; ; at = at.add(number{0, 1}) {
		k := blockKey{n.key, uint8(at.lo & 63)}
		p.blocks[k] += d
		setTo(&n.blocked, 1<<(at.lo&63), p.blocks[k] > 0)
		if p.blocks[k] == 0 {
			delete(p.blocks, k)
		}
		if at == end {
			break
		}
	}
	p.settle(n, level, end.shr(6), before)
}
