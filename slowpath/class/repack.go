package class

import "encoding/binary"

// Kea does not keep the octets of an option that it has decoded into
// sub-options: .hex shows what it would send, that is the sub-options in order
// of their codes, pieces of one put together, without what was cut short. That
// is nearly always what was received, and is then returned as it is.

// repack4 returns the value of an option that encapsulates sub-options from
// skip on.
func repack4(b []byte, skip int, padEnd [2]bool, s *Scratch) []byte {
	if len(b) < skip || len(b) >= MaxValueLen {
		return b
	}
	rest := b[skip:]
	last, same := -1, true
	for same && len(rest) > 0 {
		code, _, r, ok := nextAny4(rest, padEnd)
		// A pad in front makes r shorter than the sub-option alone.
		same = ok && int(code) > last && rest[0] == code && len(rest)-len(r) == 2+int(rest[1])
		last, rest = int(code), r
	}
	if same {
		return b
	}
	if !s.room(len(b)) {
		return nil
	}
	mark := len(s.buf)
	s.buf = append(s.buf, b[:skip]...)
	s.buf = s.appendSorted4(s.buf, b[skip:], padEnd, true)
	return s.since(mark)
}

// subIndex is where the sub-options of each code begin, from 1, in the order in
// which they came.
type subIndex struct {
	b    []byte
	head [256]uint16
	next []uint16 // by where a sub-option begins: where the next of its code does, 0 at the last
}

// index4 indexes sub-options in one pass, for whoever wants them sorted: a
// hostile relay may send some hundred in any order. The index is valid until the
// next one; b must have less than 64 KiB.
func (s *Scratch) index4(b []byte, padEnd [2]bool, x *subIndex) {
	if cap(s.next) < len(b) {
		s.next = make([]uint16, max(len(b), 512))
	}
	x.b, x.next = b, s.next[:len(b)]
	var tail [256]uint16
	for rest := b; ; {
		code, val, r, ok := nextAny4(rest, padEnd)
		if !ok {
			return
		}
		at := uint16(len(b) - len(r) - len(val) - 2)
		x.next[at] = 0
		if t := tail[code]; t != 0 {
			x.next[t-1] = at + 1
		} else {
			x.head[code] = at + 1
		}
		tail[code], rest = at+1, r
	}
}

// at returns the sub-option at a place from the index, and the next place.
func (x *subIndex) at(i uint16) (val []byte, next uint16) {
	n := int(i) + 1 + int(x.b[i])
	return x.b[i+1 : n : n], x.next[i-1]
}

// appendSorted4 appends sub-options in order of their codes; pieces of one are
// put together if fuse is set.
func (s *Scratch) appendSorted4(dst, b []byte, padEnd [2]bool, fuse bool) []byte {
	var x subIndex
	s.index4(b, padEnd, &x)
	for code, i := range x.head {
		mark := -1
		for i != 0 {
			var val []byte
			val, i = x.at(i)
			if mark < 0 || !fuse {
				mark = len(dst)
				dst = append(dst, uint8(code), 0)
			}
			dst = append(dst, val...)
			dst[mark+1] = uint8(len(dst) - mark - 2) // Kea cuts it like this too
		}
	}
	return dst
}

// repackVendor4 returns option 125 as Kea has it: of the vendor that it looks
// at, in one block. An option that is cut short is not there.
func repackVendor4(b []byte, s *Scratch) []byte {
	if len(b) == 0 {
		return b
	}
	id := vendor4(b, 0)
	if id == nil {
		return nil
	}
	if len(b) > 4 && len(b) == 5+int(b[4]) && ascending4(b[5:]) {
		return b
	}
	if !s.room(len(b) + 1) {
		return nil
	}
	// Blocks of one vendor follow each other in the scratch, sorted after that.
	mark := len(s.buf)
	for rest := b; len(rest) > 4; {
		n := 5 + int(rest[4])
		if binary.BigEndian.Uint32(rest) == binary.BigEndian.Uint32(id) {
			s.buf = append(s.buf, rest[5:n]...)
		}
		rest = rest[n:]
	}
	blocks := s.since(mark)
	if !s.room(5 + len(blocks)) {
		return nil
	}
	mark = len(s.buf)
	s.buf = append(append(s.buf, id...), uint8(len(blocks)))
	s.buf = s.appendSorted4(s.buf, blocks, [2]bool{}, false)
	return s.since(mark)
}

// ascending4 reports whether sub-options are in order of their codes, of which
// some may be equal.
func ascending4(b []byte) bool {
	last := uint8(0)
	for {
		code, _, rest, ok := nextAny4(b, [2]bool{})
		if !ok {
			return len(b) == 0
		}
		if code < last {
			return false
		}
		last, b = code, rest
	}
}

// repackVendorClass4 returns option 124 as Kea has it: of the vendor that it
// looks at. An option whose end has no room for an enterprise number is not
// there, and one without any data is as it was received.
func repackVendorClass4(b []byte, s *Scratch) []byte {
	id := vendorClass4(b, 0)
	one := true // vendor, and nothing cut short
	rest := b
	for len(rest) > 4 && len(rest) >= 5+int(rest[4]) {
		one = one && id != nil && string(rest[:4]) == string(id)
		rest = rest[5+int(rest[4]):]
	}
	switch {
	case len(rest) > 0 && len(rest) < 4:
		return nil
	case id == nil, one && len(rest) == 0:
		return b
	}
	if !s.room(len(b)) {
		return nil
	}
	mark := len(s.buf)
	for rest := b; len(rest) > 4 && len(rest) >= 5+int(rest[4]); {
		n := 5 + int(rest[4])
		if string(rest[:4]) == string(id) {
			s.buf = append(s.buf, rest[:n]...)
		}
		rest = rest[n:]
	}
	return s.since(mark)
}
