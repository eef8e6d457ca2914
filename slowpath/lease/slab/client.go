package slab

import "sync"

// ClientIndex maps hashes of client keys to references. It answers with
// candidates only: a slot has 32 bits of hash and a 32-bit reference (an address,
// or a shard and a record number), so that walking, inserting and growing never
// touch a record or the lock of its shard. It has locks of its own, which are
// leaves: they may be taken under a shard's lock, and nothing is taken under
// them.
//
// Keys are divided into parts. The first MaxCandidates entries of a key are filed
// under it as a whole, so that one look-up finds them in whatever part; further
// ones under key and part, so that a key with many entries in some part is no
// obstacle to finding those in another. Of these a part has at most MaxCandidates
// that are found: the next one takes the place of the oldest, which is moved to a
// hash of its own, where only Remove looks for it. So a client that piles up leases
// lengthens nobody's walk, its own neither.
type ClientIndex struct {
	shards [clientShards]clientShard
	// Grown is told of bytes allocated; it must be set.
	Grown func(bytes int)
}

const clientShards = 256 // by the upper eight bits of a hash

// MaxCandidates is how many records of one key as a whole, and how many more of a
// part, are found at most.
const MaxCandidates = 8

type clientShard struct {
	mu    sync.Mutex
	n     int
	slots []clientSlot
	later *[]laterSlot      // what InsertLater was given; nil: nothing
	over  map[uint32]uint32 // by hash of a key, how many entries are under its parts
	_     [8]byte           // to a cache line
}

// clientSlot is empty if hash is 0.
type clientSlot struct{ hash, ref uint32 }

type laterSlot struct {
	clientSlot
	part uint32
}

func slotHash(h uint64) uint32 { return max(uint32(h), 1) }

// ownHash is where an entry beyond MaxCandidates is filed.
func ownHash(h32, ref uint32) uint32 {
	return slotHash(Mix(uint64(h32)<<32 | uint64(ref)))
}

// partHash is where the entries of a part are filed that their key has no room
// for.
func partHash(h32, part uint32) uint32 {
	return slotHash(Mix(uint64(part)<<32 | uint64(h32)))
}

// Insert files ref under h, or if that has MaxCandidates entries under the part.
func (x *ClientIndex) Insert(h uint64, part, ref uint32) {
	c := &x.shards[h>>56]
	c.mu.Lock()
	x.settle(c)
	x.insert(c, slotHash(h), part, ref)
	c.mu.Unlock()
}

// InsertLater is Insert, put off until Settle or the next use of that shard of the
// index: inserting many at once, shard by shard, spares most cache misses.
func (x *ClientIndex) InsertLater(h uint64, part, ref uint32) {
	c := &x.shards[h>>56]
	c.mu.Lock()
	if c.later == nil {
		first := make([]laterSlot, 0, max(64, len(c.slots)*3/4))
		c.later = &first
	}
	*c.later = append(*c.later, laterSlot{clientSlot{slotHash(h), ref}, part})
	c.mu.Unlock()
}

// Settle does what InsertLater has put off.
func (x *ClientIndex) Settle() {
	for i := range x.shards {
		c := &x.shards[i]
		c.mu.Lock()
		x.settle(c)
		c.mu.Unlock()
	}
}

func (x *ClientIndex) settle(c *clientShard) {
	if c.later != nil {
		later := *c.later
		c.later = nil
		for _, e := range later {
			x.insert(c, e.hash, e.part, e.ref)
		}
	}
}

func (x *ClientIndex) insert(c *clientShard, h32, part, ref uint32) {
	if (c.n+2)*5 > len(c.slots)*4 {
		x.Grown(c.grow())
	}
	c.n++
	var same [MaxCandidates]int
	p, n := c.end(h32, &same)
	if n < MaxCandidates {
		c.slots[p] = clientSlot{h32, ref}
		return
	}
	if c.over == nil {
		c.over = map[uint32]uint32{}
	}
	c.over[h32]++
	h32 = partHash(h32, part)
	if p, n = c.end(h32, &same); n < MaxCandidates {
		c.slots[p] = clientSlot{h32, ref}
		return
	}
	oldest := c.slots[same[0]].ref
	for k := 1; k < n; k++ {
		c.slots[same[k-1]].ref = c.slots[same[k]].ref
	}
	c.slots[same[n-1]].ref = ref
	c.place(clientSlot{ownHash(h32, oldest), oldest})
}

// end is the first empty slot behind h32's place, and where the entries of h32 are.
func (c *clientShard) end(h32 uint32, same *[MaxCandidates]int) (p, n int) {
	size := len(c.slots)
	p = home(h32, size)
	for c.slots[p].hash != 0 {
		if c.slots[p].hash == h32 && n < MaxCandidates {
			same[n] = p
			n++
		}
		if p++; p == size {
			p = 0
		}
	}
	return p, n
}

func (c *clientShard) place(e clientSlot) {
	size := len(c.slots)
	p := home(e.hash, size)
	for c.slots[p].hash != 0 {
		if p++; p == size {
			p = 0
		}
	}
	c.slots[p] = e
}

// grow returns by how many bytes.
func (c *clientShard) grow() int {
	old := c.slots
	c.slots = slotsOf[clientSlot](indexSize(len(old)))
	for _, e := range old {
		if e.hash != 0 {
			c.place(e)
		}
	}
	return (len(c.slots) - len(old)) * 8
}

// Remove undoes an Insert.
func (x *ClientIndex) Remove(h uint64, part, ref uint32) {
	c := &x.shards[h>>56]
	h32 := slotHash(h)
	c.mu.Lock()
	x.settle(c)
	if p32 := partHash(h32, part); !c.removeEntry(clientSlot{h32, ref}) &&
		(c.removeEntry(clientSlot{p32, ref}) || c.removeEntry(clientSlot{ownHash(p32, ref), ref})) {
		if c.over[h32]--; c.over[h32] == 0 {
			delete(c.over, h32)
		}
	}
	c.mu.Unlock()
}

func (c *clientShard) removeEntry(e clientSlot) bool {
	size := len(c.slots)
	if size == 0 {
		return false
	}
	p := home(e.hash, size)
	for c.slots[p] != e {
		if c.slots[p].hash == 0 {
			return false
		}
		if p++; p == size {
			p = 0
		}
	}
	c.n--
	for j := p; ; {
		if j++; j == size {
			j = 0
		}
		v := c.slots[j]
		if v.hash == 0 {
			break
		}
		if movable(home(v.hash, size), p, j) {
			c.slots[p] = v
			p = j
		}
	}
	c.slots[p] = clientSlot{}
	return true
}

// FindBeyond copies into out the candidates for one part of a key that FindParts
// does not give, oldest first, and returns how many.
func (x *ClientIndex) FindBeyond(h uint64, part uint32, out *[MaxCandidates]uint32) (n int) {
	c := &x.shards[h>>56]
	h32 := slotHash(h)
	c.mu.Lock()
	x.settle(c)
	if c.over[h32] > 0 {
		n = c.find(partHash(h32, part), out[:])
	}
	c.mu.Unlock()
	return n
}

// FindPart copies into out the candidates for one part of a key and returns how
// many; there may be some of other parts among them.
func (x *ClientIndex) FindPart(h uint64, part uint32, out *[2 * MaxCandidates]uint32) int {
	c := &x.shards[h>>56]
	h32 := slotHash(h)
	c.mu.Lock()
	x.settle(c)
	n := c.find(h32, out[:MaxCandidates])
	if len(c.over) > 0 && c.over[h32] > 0 {
		n += c.find(partHash(h32, part), out[n:n+MaxCandidates])
	}
	c.mu.Unlock()
	return n
}

// FindParts copies the candidates for all parts of a key into out; all is false if
// some are not given, for which FindPart or FindBeyond is to be asked.
func (x *ClientIndex) FindParts(h uint64, out *[MaxCandidates]uint32) (n int, all bool) {
	c := &x.shards[h>>56]
	h32 := slotHash(h)
	c.mu.Lock()
	x.settle(c)
	n = c.find(h32, out[:])
	all = len(c.over) == 0 || c.over[h32] == 0
	c.mu.Unlock()
	return n, all
}

// find copies entries of h32 into out, at most as many as it takes.
func (c *clientShard) find(h32 uint32, out []uint32) (n int) {
	size := len(c.slots)
	if size == 0 {
		return 0
	}
	for p := home(h32, size); c.slots[p].hash != 0 && n < len(out); {
		if c.slots[p].hash == h32 {
			out[n] = c.slots[p].ref
			n++
		}
		if p++; p == size {
			p = 0
		}
	}
	return n
}

// Reserve makes an empty index large enough for n entries; parts that are not
// empty are left alone.
func (x *ClientIndex) Reserve(n int) {
	for i := range x.shards {
		if c := &x.shards[i]; len(c.slots) == 0 {
			c.slots = slotsOf[clientSlot](reserveSize(n / clientShards))
			x.Grown(len(c.slots) * 8)
		}
	}
}

// LongestRun is the greatest number of slots in a row that are taken, which
// bounds a look-up; for tests and metrics.
func (x *ClientIndex) LongestRun() int {
	longest := 0
	for i := range x.shards {
		c := &x.shards[i]
		c.mu.Lock()
		x.settle(c)
		run := 0
		for _, e := range c.slots {
			if run++; e.hash == 0 {
				run = 0
			}
			longest = max(longest, run)
		}
		c.mu.Unlock()
	}
	return longest
}

// Len is the number of entries.
func (x *ClientIndex) Len() int {
	n := 0
	for i := range x.shards {
		c := &x.shards[i]
		c.mu.Lock()
		x.settle(c)
		n += c.n
		c.mu.Unlock()
	}
	return n
}
