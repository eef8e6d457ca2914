package alloc6

import "math/bits"

// node is 64 neighbours of a pool: of addresses (or prefixes) at level 0, of
// nodes of the level below at the others.
type node struct {
	key nodeKey
	// a, b and c are a bit for each neighbour. At level 0 a and b are the record
	// state (see kind) and c says that a worker has claimed it. Above, they say
	// that the node below has none that is free, has some that are stale, and
	// has some that are offered.
	a, b, c uint64
	// blocked neighbours are not to be had at all: reserved for a host, or
	// overlapped by a prefix of another length.
	blocked uint64
}

// nodeKey is the position of a node among those of its level, and in the topmost
// bits of hi, which no position needs, the level plus one.
type nodeKey struct{ hi, lo uint64 }

func keyOf(level uint, at number) nodeKey {
	return nodeKey{at.hi | uint64(level+1)<<58, at.lo}
}

func (k nodeKey) hash() uint64 { return mix(k.lo ^ mix(k.hi)) }

// mix spreads every bit of v over the result (the finalizer of SplitMix64).
func mix(v uint64) uint64 {
	v = (v ^ v>>30) * 0xBF58476D1CE4E5B9
	v = (v ^ v>>27) * 0x94D049BB133111EB
	return v ^ v>>31
}

func (n *node) empty() bool { return n.a|n.b|n.c|n.blocked == 0 }

// having returns the neighbours among which something of that kind is to be had.
func (n *node) having(level uint, kind int) uint64 {
	if level == 0 {
		var m uint64
		switch kind {
		case kindFree:
			m = ^(n.a | n.b)
		case kindStale:
			m = n.a &^ n.b
		default:
			m = n.b &^ n.a
		}
		return m &^ (n.c | n.blocked)
	}
	switch kind {
	case kindFree:
		return ^(n.a | n.blocked)
	case kindStale:
		return n.b &^ n.blocked
	}
	return n.c &^ n.blocked
}

// nodes is a set of nodes by key: open addressing, at most three quarters full.
// It begins as one table. A large one is cut into several by hash, so that none
// of them takes long to grow.
type nodes struct {
	tables []nodeTable
	shift  uint // of the hash: its bits above say which table
}

type nodeTable struct {
	slots []node // a zero key is an empty slot
	used  int
}

const (
	firstSlots = 8
	cutAt      = 4096 // slots
	cuts       = 64
)

func (s *nodes) table(h uint64) *nodeTable { return &s.tables[h>>s.shift] }

// get returns the node, nil if there is none. It is valid until the next put or
// drop.
func (s *nodes) get(k nodeKey) *node {
	if s.tables == nil {
		return nil
	}
	h := k.hash()
	t := s.table(h)
	mask := uint64(len(t.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch n := &t.slots[i]; n.key {
		case k:
			return n
		case nodeKey{}:
			return nil
		}
	}
}

// put returns the node, which it makes if there is none. It is valid until the
// next put or drop.
func (s *nodes) put(k nodeKey) *node {
	if n := s.get(k); n != nil {
		return n
	}
	if s.tables == nil {
		s.tables = []nodeTable{{slots: make([]node, firstSlots)}}
		s.shift = 64
	}
	h := k.hash()
	t := s.table(h)
	if (t.used+1)*4 > len(t.slots)*3 {
		if len(s.tables) == 1 && len(t.slots) >= cutAt {
			s.cut()
			t = s.table(h)
		} else {
			t.resize(2 * len(t.slots))
		}
	}
	return t.insert(h, node{key: k})
}

// cut makes many tables of one.
func (s *nodes) cut() {
	old := s.tables[0].slots
	s.tables = make([]nodeTable, cuts)
	s.shift = 64 - uint(bits.TrailingZeros(cuts))
	for i := range s.tables {
		s.tables[i].slots = make([]node, 4*len(old)/cuts)
	}
	for i := range old {
		if k := old[i].key; k != (nodeKey{}) {
			h := k.hash()
			t := s.table(h)
			if (t.used+1)*4 > len(t.slots)*3 {
				t.resize(2 * len(t.slots))
			}
			t.insert(h, old[i])
		}
	}
}

func (t *nodeTable) resize(n int) {
	old := t.slots
	t.slots, t.used = make([]node, n), 0
	for i := range old {
		if k := old[i].key; k != (nodeKey{}) {
			t.insert(k.hash(), old[i])
		}
	}
}

// insert adds a node that is not there; there is room.
func (t *nodeTable) insert(h uint64, n node) *node {
	mask := uint64(len(t.slots) - 1)
	i := h & mask
	for t.slots[i].key != (nodeKey{}) {
		i = (i + 1) & mask
	}
	t.slots[i] = n
	t.used++
	return &t.slots[i]
}

// drop removes a node that is there. What stands behind it moves up, so that
// nothing is left of it; a table that has become nearly empty shrinks.
func (s *nodes) drop(n *node) {
	h := n.key.hash()
	t := s.table(h)
	mask := uint64(len(t.slots) - 1)
	i := h & mask
	for t.slots[i].key != n.key {
		i = (i + 1) & mask
	}
	for j := i; ; {
		j = (j + 1) & mask
		if t.slots[j].key == (nodeKey{}) {
			break
		}
		// Slot j may move to i unless it then stood before its place.
		if home := t.slots[j].key.hash() & mask; (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = node{}
	t.used--
	if len(t.slots) > firstSlots && t.used*8 < len(t.slots) {
		t.resize(len(t.slots) / 2)
	}
}
