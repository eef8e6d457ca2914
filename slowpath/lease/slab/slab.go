// Package slab has the parts that lease tables are built of: pointer-free
// indexes, timer wheels and byte slabs, which the garbage collector never looks
// into. None of them knows what a lease is, and none has a lock but ClientIndex:
// they belong to a table's shard and its lock.
package slab

// Mix is a bijection in which every input bit moves every output bit (the
// finalizer of MurmurHash3 with Stafford's constants).
func Mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	return x ^ x>>31
}

// SetLen makes n, at most len(a), the length of what a lease's array a holds, and
// clears what it held beyond, which is nearly always nothing.
func SetLen[T uint8 | uint16](a []byte, length *T, n int) {
	if was := min(int(*length), len(a)); was > n {
		clear(a[n:was])
	}
	*length = T(n)
}
