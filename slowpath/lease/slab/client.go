package slab

import "sync"

// ClientIndex maps hashes of client keys to references. It answers with
// candidates only: a slot has 32 bits of hash and a 32-bit reference (an address,
// or a shard and a record number), so that walking, inserting and growing never
// touch a record or the lock of its shard. It has locks of its own, which are
// leaves: they may be taken under a shard's lock, and nothing is taken under
// them.
//
// A key has at most MaxCandidates entries that Find returns. The next one takes
// the place of the oldest, which is moved to a hash of its own, where only
// Remove looks for it. So a client that piles up leases under one hardware
// address lengthens nobody's walk, its own neither.
type ClientIndex struct {
	shards [clientShards]clientShard
	// Grown is told of bytes allocated; it must be set.
	Grown func(bytes int)
}

const clientShards = 256 // by the upper eight bits of a hash

// MaxCandidates is how many records of one key are found at most.
const MaxCandidates = 8

type clientShard struct {
	mu      sync.Mutex
	n       int
	slots   []clientSlot
	evicted int           // entries beyond MaxCandidates of their key, filed elsewhere
	later   *[]clientSlot // what InsertLater was given; nil: nothing
	_       [8]byte       // to a cache line
}

// clientSlot is empty if hash is 0.
type clientSlot struct{ hash, ref uint32 }

func slotHash(h uint64) uint32 { return max(uint32(h), 1) }

// ownHash is where an entry beyond MaxCandidates is filed.
func ownHash(h32, ref uint32) uint32 {
	return slotHash(Mix(uint64(h32)<<32 | uint64(ref)))
}

// Insert files ref under h.
func (x *ClientIndex) Insert(h uint64, ref uint32) {
	c := &x.shards[h>>56]
	c.mu.Lock()
	x.settle(c)
	x.insert(c, slotHash(h), ref)
	c.mu.Unlock()
}

// InsertLater is Insert, put off until Settle or the next use of that part of the
// index: inserting many at once, part by part, spares most cache misses.
func (x *ClientIndex) InsertLater(h uint64, ref uint32) {
	c := &x.shards[h>>56]
	c.mu.Lock()
	if c.later == nil {
		first := make([]clientSlot, 0, max(64, len(c.slots)*3/4))
		c.later = &first
	}
	*c.later = append(*c.later, clientSlot{slotHash(h), ref})
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
			x.insert(c, e.hash, e.ref)
		}
	}
}

func (x *ClientIndex) insert(c *clientShard, h32, ref uint32) {
	if (c.n+2)*5 > len(c.slots)*4 {
		x.Grown(c.grow())
	}
	c.n++
	size := len(c.slots)
	var same [MaxCandidates]int
	n := 0
	p := home(h32, size)
	for c.slots[p].hash != 0 {
		if c.slots[p].hash == h32 && n < MaxCandidates {
			same[n] = p
			n++
		}
		if p++; p == size {
			p = 0
		}
	}
	if n < MaxCandidates {
		c.slots[p] = clientSlot{h32, ref}
	} else {
		oldest := c.slots[same[0]].ref
		for k := 1; k < n; k++ {
			c.slots[same[k-1]].ref = c.slots[same[k]].ref
		}
		c.slots[same[n-1]].ref = ref
		c.place(clientSlot{ownHash(h32, oldest), oldest})
		c.evicted++
	}
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
	c.slots = make([]clientSlot, indexSize(len(old)))
	for _, e := range old {
		if e.hash != 0 {
			c.place(e)
		}
	}
	return (len(c.slots) - len(old)) * 8
}

// Add is Insert unless h has MaxCandidates entries: then it files nothing, remembers for FindAll that there is one more, and
// returns false. Add and Take are not to be mixed with Insert and Remove.
func (x *ClientIndex) Add(h uint64, ref uint32) bool {
	c := &x.shards[h>>56]
	h32 := slotHash(h)
	c.mu.Lock()
	if (c.n+2)*5 > len(c.slots)*4 {
		x.Grown(c.grow())
	}
	size := len(c.slots)
	p, same := home(h32, size), 0
	for c.slots[p].hash != 0 {
		if c.slots[p].hash == h32 {
			same++
		}
		if p++; p == size {
			p = 0
		}
	}
	ok := same < MaxCandidates
	if ok {
		c.slots[p] = clientSlot{h32, ref}
		c.n++
	} else {
		c.evicted++
	}
	c.mu.Unlock()
	return ok
}

// Take undoes an Add and returns what that returned.
func (x *ClientIndex) Take(h uint64, ref uint32) bool {
	c := &x.shards[h>>56]
	c.mu.Lock()
	ok := c.removeEntry(clientSlot{slotHash(h), ref})
	if !ok {
		c.evicted--
	}
	c.mu.Unlock()
	return ok
}

// Remove undoes an Insert.
func (x *ClientIndex) Remove(h uint64, ref uint32) {
	c := &x.shards[h>>56]
	h32 := slotHash(h)
	c.mu.Lock()
	x.settle(c)
	if !c.removeEntry(clientSlot{h32, ref}) && c.removeEntry(clientSlot{ownHash(h32, ref), ref}) {
		c.evicted--
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

// Find copies candidates into out, oldest first, and returns how many.
func (x *ClientIndex) Find(h uint64, out *[MaxCandidates]uint32) int {
	n, _ := x.FindAll(h, out)
	return n
}

// FindAll is Find; complete is false if some key like h, perhaps h itself, has
// entries that are not given.
func (x *ClientIndex) FindAll(h uint64, out *[MaxCandidates]uint32) (n int, complete bool) {
	c := &x.shards[h>>56]
	h32 := slotHash(h)
	c.mu.Lock()
	x.settle(c)
	if size := len(c.slots); size != 0 {
		for p := home(h32, size); c.slots[p].hash != 0 && n < MaxCandidates; {
			if c.slots[p].hash == h32 {
				out[n] = c.slots[p].ref
				n++
			}
			if p++; p == size {
				p = 0
			}
		}
	}
	complete = c.evicted == 0
	c.mu.Unlock()
	return n, complete
}

// Reserve makes an empty index large enough for n entries; parts that are not
// empty are left alone.
func (x *ClientIndex) Reserve(n int) {
	for i := range x.shards {
		if c := &x.shards[i]; len(c.slots) == 0 {
			c.slots = make([]clientSlot, reserveSize(n/clientShards))
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
