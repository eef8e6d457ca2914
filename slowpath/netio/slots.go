package netio

// Sizes of the socket backends' buffers.
const (
	slotSize = 2048
	// DefaultSlots is how many packets a socket backend can have on loan,
	// replies waiting for their commit included.
	DefaultSlots = 8192
)

// slots is the frame memory of a socket backend: equal pieces of one block, the
// free ones on a stack so that the cache sees the same few again. It belongs to
// one goroutine.
type slots struct {
	buf  []byte
	free []uint32
}

func newSlots(n int) slots {
	s := slots{buf: make([]byte, n*slotSize), free: make([]uint32, n)}
	for i := range s.free {
		s.free[i] = uint32(n - 1 - i)
	}
	return s
}

// at is slot i, whole.
func (s *slots) at(i uint32) []byte {
	o := int(i) * slotSize
	return s.buf[o : o+slotSize : o+slotSize]
}

// pop takes a slot; the caller has checked that there is one.
func (s *slots) pop() uint32 {
	i := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	return i
}

func (s *slots) push(i uint32) { s.free = append(s.free, i) }
