// Package hashindex finds positions in a list by hash: open addressing with
// linear probing over eight-byte entries, at most half full, so that a million
// entries cost the collector nothing and a look-up that finds nothing touches
// one cache line. What a hash means, and whether an entry is the one that is
// looked for, is the caller's business.
package hashindex

// Table is filled once and read from any goroutine. An entry is the upper half
// of the hash and the position plus one; 0 is empty.
type Table struct {
	entries []uint64
	mask    uint64
}

// New makes a table for up to n entries, n below 1<<32-1.
func New(n int) Table {
	size := uint64(2)
	for size < 2*uint64(n) {
		size <<= 1
	}
	return Table{entries: make([]uint64, size), mask: size - 1}
}

// Insert adds an entry. Several may have the same hash; they are found in the
// order in which they were inserted. It must not be called more often than New
// was told.
func (t *Table) Insert(hash uint64, pos int) {
	i := hash & t.mask
	for t.entries[i] != 0 {
		i = (i + 1) & t.mask
	}
	t.entries[i] = hash>>32<<32 | uint64(uint32(pos+1))
}

// Cursor goes through the entries of one hash:
//
//	for c := t.Find(hash); c.Next(); {
//		use(c.Pos)
//	}
type Cursor struct {
	// Pos is the position of the entry that Next has moved to. Its hash is equal
	// in the upper half.
	Pos  int
	t    *Table
	hash uint64
	at   uint64
}

// Find returns the cursor of hash. A zero Table has no entries.
func (t *Table) Find(hash uint64) Cursor { return Cursor{t: t, hash: hash, at: hash & t.mask} }

// Next moves to the next entry; false means that there is none.
func (c *Cursor) Next() bool {
	if c.t.entries == nil {
		return false
	}
	for {
		e := c.t.entries[c.at]
		if e == 0 {
			return false
		}
		c.at = (c.at + 1) & c.t.mask
		if e>>32 == c.hash>>32 {
			c.Pos = int(uint32(e) - 1)
			return true
		}
	}
}

// Mix spreads every bit of v over the result (the finalizer of SplitMix64).
func Mix(v uint64) uint64 {
	v += 0x9E3779B97F4A7C15
	v = (v ^ v>>30) * 0xBF58476D1CE4E5B9
	v = (v ^ v>>27) * 0x94D049BB133111EB
	return v ^ v>>31
}
