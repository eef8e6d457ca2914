package slab

import "encoding/binary"

// Blobs keeps byte strings that do not fit into a record, in size classes of
// slabs with free lists: no garbage-collected object per string. It belongs to a
// shard and its lock.
//
// A reference is the class plus one in the upper three bits and a slot number
// below; 0 is the empty string.
type Blobs struct {
	class [blobClasses]blobClass
	// Grown is told of bytes allocated; it must be set.
	Grown func(bytes int)
}

const (
	blobClasses    = 7
	blobMinShift   = 4 // classes of 16, 32, … 1024 bytes
	blobChunkBytes = 2048
	blobSlotBits   = 29

	// MaxBlob is the longest string.
	MaxBlob = 1 << (blobMinShift + blobClasses - 1)
)

type blobClass struct {
	chunks []*[blobChunkBytes]byte
	top    uint32 // slots ever used
	free   uint32 // first free slot plus one; its first four bytes name the next
}

func blobClassOf(n int) uint32 {
	c := uint32(0)
	for n > 1<<(blobMinShift+c) {
		c++
	}
	return c
}

// Fits reports whether ref is a place of the class that n bytes want.
func (b *Blobs) Fits(ref uint32, n int) bool {
	if ref == 0 || n == 0 {
		return ref == 0 && n == 0
	}
	return ref>>blobSlotBits-1 == blobClassOf(n)
}

// Take returns a place for n bytes, at most MaxBlob; their content is undefined.
func (b *Blobs) Take(n int) uint32 {
	if n == 0 {
		return 0
	}
	c := blobClassOf(n)
	k := &b.class[c]
	if k.free != 0 {
		ref := (c+1)<<blobSlotBits | (k.free - 1)
		k.free = binary.LittleEndian.Uint32(b.Bytes(ref))
		return ref
	}
	slot := k.top
	k.top++
	if int(slot>>perChunkShift(c)) == len(k.chunks) {
		k.chunks = append(k.chunks, new([blobChunkBytes]byte))
		b.Grown(blobChunkBytes + 8)
	}
	return (c+1)<<blobSlotBits | slot
}

func perChunkShift(c uint32) uint32 { return 11 - blobMinShift - c }

// Bytes is the whole place of ref, valid until Release.
func (b *Blobs) Bytes(ref uint32) []byte {
	if ref == 0 {
		return nil
	}
	c := ref>>blobSlotBits - 1
	slot := ref & (1<<blobSlotBits - 1)
	sh := perChunkShift(c)
	off := (slot & (1<<sh - 1)) << (blobMinShift + c)
	return b.class[c].chunks[slot>>sh][off : off+1<<(blobMinShift+c)]
}

// Release gives ref's place back.
func (b *Blobs) Release(ref uint32) {
	if ref == 0 {
		return
	}
	k := &b.class[ref>>blobSlotBits-1]
	binary.LittleEndian.PutUint32(b.Bytes(ref), k.free)
	k.free = ref&(1<<blobSlotBits-1) + 1
}

// Split copies p to offset off of the space that is a followed by b.
func Split(a, b []byte, off int, p []byte) {
	if off < len(a) {
		c := copy(a[off:], p)
		p = p[c:]
		off += c
	}
	if len(p) > 0 {
		copy(b[off-len(a):], p)
	}
}

// Join fills p from offset off of the space that is a followed by b.
func Join(p, a, b []byte, off int) {
	if off < len(a) {
		c := copy(p, a[off:])
		p = p[c:]
		off += c
	}
	if len(p) > 0 {
		copy(p, b[off-len(a):])
	}
}
