package slab

import "slices"

// Index maps hashes to record numbers by open addressing with linear probing
// over 8-byte slots: 32 bits of hash and the record number. So looking, growing and
// removing never touch a record of another key. A slot's home is its hash scaled
// to the number of slots, so the table can grow by half: its load stays between
// 0.53 and 0.8 once it is large.
//
// A look-up goes through First and Next until the record is the wanted one.
type Index struct {
	slots []uint64 // 0 is empty
	n     int
}

const (
	indexFirst   = 16
	indexDoubles = 2048

	// MaxNumber is the greatest record number, so that a table's shard and a number
	// fit 32 bits.
	MaxNumber = 1<<24 - 1
)

func indexSlot(h uint64, i uint32) uint64 { return h<<32 | uint64(i) }

func home(h32 uint32, size int) int { return int(uint64(h32) * uint64(size) >> 32) }

// First returns the first slot and record number that may be the wanted one; 0
// if there is none.
func (x *Index) First(h uint64) (slot int, i uint32) {
	if len(x.slots) == 0 {
		return 0, 0
	}
	return x.from(home(uint32(h), len(x.slots)), h)
}

// Next goes on behind slot.
func (x *Index) Next(slot int, h uint64) (int, uint32) {
	if slot++; slot == len(x.slots) {
		slot = 0
	}
	return x.from(slot, h)
}

func (x *Index) from(p int, h uint64) (slot int, i uint32) {
	for slots := x.slots; ; {
		v := slots[p]
		if v == 0 {
			return 0, 0
		}
		if v>>32 == h&(1<<32-1) {
			return p, uint32(v)
		}
		if p++; p == len(slots) {
			p = 0
		}
	}
}

// Set makes record i the one of a slot that First or Next gave for the same
// hash.
func (x *Index) Set(slot int, i uint32, h uint64) { x.slots[slot] = indexSlot(h, i) }

// Len is the number of records.
func (x *Index) Len() int { return x.n }

// indexSize is the next size of an index: twice while it is small, then half as
// much again.
func indexSize(size int) int {
	if size < indexDoubles {
		return max(indexFirst, size*2)
	}
	return size * 3 / 2
}

// Put adds record i, which is not 0, under hash h; its key is not in the index.
// grown is by how many bytes the index has grown.
func (x *Index) Put(i uint32, h uint64) (grown int) {
	if (x.n+1)*5 > len(x.slots)*4 {
		grown = x.grow()
	}
	x.n++
	x.place(indexSlot(h, i))
	return grown
}

func (x *Index) place(v uint64) {
	size := len(x.slots)
	p := home(uint32(v>>32), size)
	for x.slots[p] != 0 {
		if p++; p == size {
			p = 0
		}
	}
	x.slots[p] = v
}

// grow makes room. It runs through the old slots, so new slots are filled nearly
// in order; a shard is a small part of its table.
func (x *Index) grow() int {
	old := x.slots
	x.slots = slotsOf[uint64](indexSize(len(old)))
	for _, v := range old {
		if v != 0 {
			x.place(v)
		}
	}
	return (len(x.slots) - len(old)) * 8
}

// slotsOf returns n empty slots, and as many more as there is memory for behind
// them: allocations are rounded up.
func slotsOf[S any](n int) []S {
	s := slices.Grow([]S(nil), n)
	return s[:cap(s)]
}

// Reserve makes an empty index large enough for n records at a load of 0.76, and
// returns by how many bytes it has grown; one that is not empty is left alone.
func (x *Index) Reserve(n int) int {
	if len(x.slots) != 0 {
		return 0
	}
	x.slots = slotsOf[uint64](reserveSize(n))
	return len(x.slots) * 8
}

func reserveSize(n int) int { return max(n, 0)*21/16 + indexFirst }

// Remove empties a slot and moves back what probing would no longer find.
func (x *Index) Remove(p int) {
	size := len(x.slots)
	x.n--
	for j := p; ; {
		if j++; j == size {
			j = 0
		}
		v := x.slots[j]
		if v == 0 {
			break
		}
		if movable(home(uint32(v>>32), size), p, j) {
			x.slots[p] = v
			p = j
		}
	}
	x.slots[p] = 0
}

// movable reports whether the entry at j, whose home is k, may move to the hole
// at i: it may not if k lies cyclically in (i, j].
func movable(k, i, j int) bool {
	if i <= j {
		return k <= i || k > j
	}
	return k <= i && k > j
}
