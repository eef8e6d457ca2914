package lease

// The address index of a shard is open addressing with linear probing over
// 4-byte slots: 24 bits of record number and 8 bits of hash, which spare nearly
// all looks at records of other addresses. A slot's home is its hash scaled to
// the number of slots, so the table can grow by half: its load stays between
// 0.53 and 0.8 once it is large.
const (
	indexFirst   = 16
	indexDoubles = 2048
	indexIdx     = 1<<24 - 1
	indexTagBit  = 24
)

func tagOf(h uint64) uint32 { return uint32(h>>32) & 0xFF << indexTagBit }

func home(h32 uint32, size int) int { return int(uint64(h32) * uint64(size) >> 32) }

// find returns the record number of addr, 0 if none.
func (s *shard) find(addr uint32, h uint64) uint32 {
	_, i := s.findSlot(addr, h)
	return i
}

func (s *shard) findSlot(addr uint32, h uint64) (slot int, i uint32) {
	size := len(s.index)
	if size == 0 {
		return 0, 0
	}
	tag := tagOf(h)
	for p := home(uint32(h), size); ; {
		v := s.index[p]
		if v == 0 {
			return 0, 0
		}
		if v&^indexIdx == tag {
			if i := v & indexIdx; s.rec(i).addr == addr {
				return p, i
			}
		}
		if p++; p == size {
			p = 0
		}
	}
}

// indexSize is the next size of an index: twice while it is small, then half as
// much again.
func indexSize(size int) int {
	if size < indexDoubles {
		return max(indexFirst, size*2)
	}
	return size * 3 / 2
}

// indexPut adds record i under hash h; its address is not in the index.
func (s *shard) indexPut(i uint32, h uint64) {
	if (s.indexed+1)*5 > len(s.index)*4 {
		s.indexGrow()
	}
	s.indexed++
	s.indexPlace(i, h)
}

func (s *shard) indexPlace(i uint32, h uint64) {
	size := len(s.index)
	p := home(uint32(h), size)
	for s.index[p] != 0 {
		if p++; p == size {
			p = 0
		}
	}
	s.index[p] = i | tagOf(h)
}

// indexGrow makes room. It runs through the old slots, so new slots are filled
// nearly in order; a shard is a 256th of the table.
func (s *shard) indexGrow() {
	old := s.index
	size := indexSize(len(old))
	s.index = make([]uint32, size)
	s.t.bytes.Add(int64(size-len(old)) * 4)
	for _, v := range old {
		if v != 0 {
			i := v & indexIdx
			s.indexPlace(i, s.t.addrHash(s.rec(i).addr))
		}
	}
}

// indexRemove empties slot p and moves back what probing would no longer find.
func (s *shard) indexRemove(p int) {
	size := len(s.index)
	s.indexed--
	for j := p; ; {
		if j++; j == size {
			j = 0
		}
		v := s.index[j]
		if v == 0 {
			break
		}
		if movable(home(uint32(s.t.addrHash(s.rec(v&indexIdx).addr)), size), p, j) {
			s.index[p] = v
			p = j
		}
	}
	s.index[p] = 0
}

// movable reports whether the entry at j, whose home is k, may move to the hole
// at i: it may not if k lies cyclically in (i, j].
func movable(k, i, j int) bool {
	if i <= j {
		return k <= i || k > j
	}
	return k <= i && k > j
}
