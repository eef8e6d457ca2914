package class

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
)

// octetInts are the 32-bit integers up to 255, in network order.
var octetInts = func() (t [256][4]byte) {
	for i := range t {
		t[i][3] = byte(i)
	}
	return t
}()

// uint32 makes a 32-bit integer in network order.
func (s *Scratch) uint32(v uint32) []byte {
	if !s.room(4) {
		return nil
	}
	mark := len(s.buf)
	s.buf = binary.BigEndian.AppendUint32(s.buf, v)
	return s.since(mark)
}

func (s *Scratch) addr(a netip.Addr) []byte {
	if !a.IsValid() || !s.room(16) {
		return nil
	}
	mark := len(s.buf)
	if a.Is4() {
		b := a.As4()
		s.buf = append(s.buf, b[:]...)
	} else {
		b := a.As16()
		s.buf = append(s.buf, b[:]...)
	}
	return s.since(mark)
}

// headerInt reads 1 or 3 octets of the header as a 32-bit integer.
func headerInt(start, width int) strFn {
	if width == 1 {
		return func(q Packet, _ *Scratch) []byte { return octetInts[q.Header()[start]][:] }
	}
	return func(q Packet, s *Scratch) []byte {
		b := q.Header()[start : start+3]
		return s.uint32(uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]))
	}
}

// substring is CL-019. Numbers that do not fit 32 bits fail only when there is
// something to cut.
func (g *generator) substring(n *node) strFn {
	f, start, width, all, bad := g.str(n.args[0]), n.start, n.width, n.all, n.bad
	return func(q Packet, s *Scratch) []byte {
		b := f(q, s)
		if len(b) == 0 {
			return nil
		}
		if bad {
			return s.fail(FailNumber)
		}
		return substring(b, start, width, all)
	}
}

func substring(b []byte, start, width int, all bool) []byte {
	if start < -len(b) || start >= len(b) {
		return nil
	}
	if start < 0 {
		start += len(b)
	}
	if all {
		return b[start:]
	}
	if width < 0 {
		return b[max(start+width, 0):start]
	}
	return b[start:min(start+width, len(b))]
}

// split is CL-021.
func (g *generator) split(n *node) strFn {
	f, delim, field, bad := g.str(n.args[0]), g.str(n.args[1]), n.start, n.bad
	return func(q Packet, s *Scratch) []byte {
		b := f(q, s)
		d := delim(q, s)
		if len(b) == 0 {
			return nil
		}
		if bad {
			return s.fail(FailNumber)
		}
		if len(d) == 0 {
			return b
		}
		return split(b, d, field)
	}
}

func split(b, delims []byte, field int) []byte {
	var is [256]bool
	for _, d := range delims {
		is[d] = true
	}
	start := 0
	for i, c := range b {
		if !is[c] {
			continue
		}
		if field--; field == 0 {
			return b[start:i]
		}
		start = i + 1
	}
	if field == 1 {
		return b[start:]
	}
	return nil
}

// concat joins its operands; long chains are trees, so that the values under
// way have a place on the stack.
func (g *generator) concat(n *node) strFn {
	const width = 8
	l := make([]strFn, len(n.args))
	for i, a := range n.args {
		l[i] = g.str(a)
	}
	for len(l) > width {
		var up []strFn
		for len(l) > 0 {
			k := min(width, len(l))
			up = append(up, concat(l[:k:k]))
			l = l[k:]
		}
		l = up
	}
	return concat(l)
}

func concat(l []strFn) strFn {
	return func(q Packet, s *Scratch) []byte {
		var v [8][]byte
		n := 0
		for i, f := range l {
			v[i] = f(q, s)
			n += len(v[i])
		}
		if !s.room(n) {
			return nil
		}
		mark := len(s.buf)
		for i := range l {
			s.buf = append(s.buf, v[i]...)
		}
		return s.since(mark)
	}
}

// changeCase turns letters between lo and hi into those of the other case, and
// leaves all other octets alone.
func changeCase(f strFn, lo, hi byte) strFn {
	return func(q Packet, s *Scratch) []byte {
		b := f(q, s)
		if !s.room(len(b)) {
			return nil
		}
		mark := len(s.buf)
		for _, c := range b {
			if c >= lo && c <= hi {
				c ^= 0x20
			}
			s.buf = append(s.buf, c)
		}
		return s.since(mark)
	}
}

const hexDigits = "0123456789abcdef"

func (g *generator) hexString(n *node) strFn {
	f, sep := g.str(n.args[0]), g.str(n.args[1])
	return func(q Packet, s *Scratch) []byte {
		b := f(q, s)
		between := sep(q, s)
		if len(b) == 0 || !s.room(2*len(b)+(len(b)-1)*len(between)) {
			return nil
		}
		mark := len(s.buf)
		for i, c := range b {
			if i > 0 {
				s.buf = append(s.buf, between...)
			}
			s.buf = append(s.buf, hexDigits[c>>4], hexDigits[c&15])
		}
		return s.since(mark)
	}
}

// addrToText and intToText leave nothing as nothing, and fail for other lengths
// than their type's (CL-025).
func addrToText(f strFn) strFn {
	return func(q Packet, s *Scratch) []byte {
		b := f(q, s)
		if len(b) == 0 {
			return nil
		}
		if len(b) != 4 && len(b) != 16 {
			return s.fail(FailLength)
		}
		if !s.room(46) {
			return nil
		}
		mark := len(s.buf)
		s.buf = appendAddr(s.buf, b)
		return s.since(mark)
	}
}

// appendAddr prints 4 or 16 octets as inet_ntop does.
func appendAddr(dst, b []byte) []byte {
	if len(b) == 4 {
		return netip.AddrFrom4([4]byte(b)).AppendTo(dst)
	}
	// The C library also writes ::a.b.c.d, unlike package netip.
	if bytes.Equal(b[:12], make([]byte, 12)) && b[12]|b[13] != 0 {
		dst = append(dst, "::"...)
		return netip.AddrFrom4([4]byte(b[12:])).AppendTo(dst)
	}
	return netip.AddrFrom16([16]byte(b)).AppendTo(dst)
}

func intToText(f strFn, width int, signed bool) strFn {
	return func(q Packet, s *Scratch) []byte {
		b := f(q, s)
		if len(b) == 0 {
			return nil
		}
		if len(b) != width {
			return s.fail(FailLength)
		}
		if !s.room(11) {
			return nil
		}
		mark := len(s.buf)
		s.buf = appendInt(s.buf, b, signed)
		return s.since(mark)
	}
}

// appendInt prints an integer of 1, 2 or 4 octets.
func appendInt(dst, b []byte, signed bool) []byte {
	var v int64
	for _, c := range b {
		v = v<<8 | int64(c)
	}
	if signed && b[0]&0x80 != 0 {
		v -= 1 << (8 * len(b))
	}
	return strconv.AppendInt(dst, v, 10)
}
