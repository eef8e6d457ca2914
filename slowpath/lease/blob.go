package lease

import "encoding/binary"

// blobs keeps byte strings that do not fit into a record, in size classes of
// slabs with free lists: no garbage-collected object per string. It belongs to a
// shard and its lock.
//
// A reference is the class plus one in the upper three bits and a slot number
// below; 0 is the empty string.
type blobs struct {
	class [blobClasses]blobClass
	grown func(bytes int)
}

const (
	blobClasses    = 6
	blobMinShift   = 4 // classes of 16, 32, … 512 bytes
	blobChunkBytes = 2048
	blobSlotBits   = 29
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

// fits reports whether ref is a place of the class that n bytes want.
func (b *blobs) fits(ref uint32, n int) bool {
	if ref == 0 || n == 0 {
		return ref == 0 && n == 0
	}
	return ref>>blobSlotBits-1 == blobClassOf(n)
}

// take returns a place for n bytes, at most 512; their content is undefined.
func (b *blobs) take(n int) uint32 {
	if n == 0 {
		return 0
	}
	c := blobClassOf(n)
	k := &b.class[c]
	if k.free != 0 {
		ref := (c+1)<<blobSlotBits | (k.free - 1)
		k.free = binary.LittleEndian.Uint32(b.bytes(ref))
		return ref
	}
	slot := k.top
	k.top++
	if int(slot>>b.perChunkShift(c)) == len(k.chunks) {
		k.chunks = append(k.chunks, new([blobChunkBytes]byte))
		b.grown(blobChunkBytes + 8)
	}
	return (c+1)<<blobSlotBits | slot
}

func (b *blobs) perChunkShift(c uint32) uint32 { return 11 - blobMinShift - c }

// bytes is the whole place of ref, valid until release.
func (b *blobs) bytes(ref uint32) []byte {
	if ref == 0 {
		return nil
	}
	c := ref>>blobSlotBits - 1
	slot := ref & (1<<blobSlotBits - 1)
	sh := b.perChunkShift(c)
	off := (slot & (1<<sh - 1)) << (blobMinShift + c)
	return b.class[c].chunks[slot>>sh][off : off+1<<(blobMinShift+c)]
}

// release gives ref's place back.
func (b *blobs) release(ref uint32) {
	if ref == 0 {
		return
	}
	k := &b.class[ref>>blobSlotBits-1]
	binary.LittleEndian.PutUint32(b.bytes(ref), k.free)
	k.free = ref&(1<<blobSlotBits-1) + 1
}
