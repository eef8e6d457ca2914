package leasestore

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// latest keeps the latest journal record of each address of one family: copies
// in slabs, each behind four octets that say how much room it has, and over them
// an open-addressed index of 16-byte slots. A record that is replaced by one as
// long or shorter is overwritten in its place.
type latest struct {
	slabs [][]byte
	slots []latestSlot
	n     int
}

// latestSlot is empty if at is 0.
type latestSlot struct {
	hash uint32
	slab uint32
	at   uint32 // where in the slab the record begins, behind its room
}

const (
	slabBytes   = 1 << 20
	latestFirst = 1 << 10
)

func (s *latestSlot) record(x *latest) []byte { return x.slabs[s.slab][s.at:] }

// place makes room for a record of n bytes.
func (x *latest) place(n int) (slab, at uint32) {
	last := len(x.slabs) - 1
	if last < 0 || cap(x.slabs[last])-len(x.slabs[last]) < n+4 {
		x.slabs = append(x.slabs, make([]byte, 0, slabBytes))
		last++
	}
	b := x.slabs[last]
	off := len(b)
	b = b[:off+4+n]
	le.PutUint32(b[off:], uint32(n))
	x.slabs[last] = b
	return uint32(last), uint32(off + 4)
}

// each calls give for the puts, in the order in which their addresses came.
func (x *latest) each(give func(rec []byte)) {
	for _, b := range x.slabs {
		for len(b) > 0 {
			room := le.Uint32(b)
			if rec := b[4 : 4+room]; recOp(rec) == lease.OpPut {
				give(rec)
			}
			b = b[4+room:]
		}
	}
}

// find returns the slot of the address of rec, whose hash is h: an empty one if
// it is not known. There must be an empty one.
func (x *latest) find(rec []byte, h uint32) *latestSlot {
	mask := uint32(len(x.slots) - 1)
	for p := h & mask; ; p = (p + 1) & mask {
		s := &x.slots[p]
		if s.at == 0 || s.hash == h && sameAddr(s.record(x), rec) {
			return s
		}
	}
}

// sameAddr compares records of one family.
func sameAddr(a, b []byte) bool {
	if recFamily(a) == v6 {
		return bytes.Equal(a[28:44], b[28:44])
	}
	return recAddr(a) == recAddr(b)
}

// grow makes room for half as much again as n.
func (x *latest) grow(n int) {
	size := latestFirst
	for size*3 < n*4 {
		size *= 2
	}
	old := x.slots
	x.slots = make([]latestSlot, size)
	mask := uint32(size - 1)
	for _, s := range old {
		if s.at == 0 {
			continue
		}
		p := s.hash & mask
		for x.slots[p].at != 0 {
			p = (p + 1) & mask
		}
		x.slots[p] = s
	}
}

// put keeps rec if it is the latest of its address.
func (x *latest) put(rec []byte, h uint32) {
	if (x.n+1)*4 > len(x.slots)*3 {
		x.grow(2 * (x.n + 1))
	}
	s := x.find(rec, h)
	if s.at == 0 {
		s.hash = h
		s.slab, s.at = x.place(len(rec))
		x.n++
	} else if have := s.record(x); recVersion(have) >= recVersion(rec) {
		return
	} else if int(le.Uint32(x.slabs[s.slab][s.at-4:])) < len(rec) {
		forget(have)
		s.slab, s.at = x.place(len(rec))
	}
	copy(s.record(x), rec)
}

// supersedes reports whether the journal has a record of rec's address that is at
// least as late; else that one is forgotten.
func (x *latest) supersedes(rec []byte, h uint32) bool {
	if x.n == 0 {
		return false
	}
	s := x.find(rec, h)
	if s.at == 0 {
		return false
	}
	have := s.record(x)
	if recVersion(have) >= recVersion(rec) {
		return true
	}
	forget(have)
	return false
}

// forget makes a kept record one that each passes over.
func forget(rec []byte) { rec[24] = byte(lease.OpDelete) }
