package dhcp4

import (
	"encoding/binary"
	"math/bits"
)

// maxSplitRAI is how many different sub-options of option 82 may each come in
// several pieces.
const maxSplitRAI = 8

// View reads one message in place. The zero value is ready; Parse may be called
// again and again. Slices it returns alias the message (or View's own scratch,
// for options that came in pieces), must not be written to, and are valid until
// the message is overwritten or Parse is called again.
type View struct {
	// Lenient is Kea's compatibility.lenient-option-parsing: fixed-size options
	// may be too long. Set it before Parse, which leaves it alone.
	Lenient bool

	notes Notes
	msg   []byte
	hdr   *[HeaderLen]byte // the beginning of msg
	// present has a bit for each option code; only where it is set, index is
	// valid. Clearing 32 octets a message is all that Parse has to forget.
	present [4]uint64
	index   [256]span

	raiSplit  [maxSplitRAI]splitRAI
	nRAISplit uint8

	chaddr [maxHLen]byte // where hlen says more than the field has

	scratchLen uint16
	scratch    [MaxMessageLen]byte
}

// span is where an option's value is: in msg, or in scratch if inScratch is set
// in off.
type span struct{ off, len uint16 }

const inScratch = 0x8000

type splitRAI struct {
	sub uint8
	at  span
}

// Parse reads a message a client or relay sent. After any reason other than
// ReasonOK only Raw may be used.
func (v *View) Parse(msg []byte) Reason { return v.parse(msg, BootRequest) }

// ParseReply reads a message a server sent (op BOOTREPLY).
func (v *View) ParseReply(msg []byte) Reason { return v.parse(msg, BootReply) }

func (v *View) parse(msg []byte, op uint8) Reason {
	v.msg = msg
	v.notes = 0
	v.present = [4]uint64{}
	v.nRAISplit = 0
	v.scratchLen = 0
	if len(msg) < HeaderLen {
		return ReasonTooShort
	}
	if len(msg) > MaxMessageLen {
		return ReasonTooLong
	}
	h := (*[HeaderLen]byte)(msg)
	v.hdr = h
	if binary.BigEndian.Uint32(h[offCookie:]) != cookie {
		return ReasonBadCookie
	}
	if h[0] != op {
		return ReasonNotBootRequest
	}
	if h[2] > maxHLen {
		return ReasonHLen
	}
	if h[2] > chaddrLen {
		copy(v.chaddr[:], h[offCHAddr:offCHAddr+chaddrLen])
	}
	v.noteCHAddr()

	// dup has a bit for codes seen again, odd for those whose length needs a
	// closer look: nearly always none.
	var present, dup, odd [4]uint64
	anyDup, anyOdd := false, false
	i := HeaderLen
	for {
		if i >= len(msg) {
			v.notes |= NoteNoEnd
			break
		}
		code := msg[i]
		if code == OptPad {
			i++
			continue
		}
		if code == OptEnd {
			break
		}
		if i+1 >= len(msg) {
			v.notes |= NoteTruncatedOption | NoteNoEnd
			break
		}
		n := msg[i+1]
		next := i + 2 + int(n)
		if next > len(msg) {
			v.notes |= NoteTruncatedOption | NoteNoEnd
			break
		}
		if n == 0 && code == OptHostName { // V4-012
			v.notes |= NoteEmptyOption
			i = next
			continue
		}
		w, bit := code>>6, uint64(1)<<(code&63)
		if present[w]&bit == 0 {
			present[w] |= bit
			v.index[code] = span{uint16(i + 2), uint16(n)}
			f := &optionFormats[code]
			if n-f.min > f.spread || n&f.mask != 0 || f.form == fString && msg[next-1] == 0 {
				odd[w] |= bit
				anyOdd = true
			}
		} else {
			dup[w] |= bit
			anyDup = true
			v.index[code].len += uint16(n) // at most MaxMessageLen
		}
		i = next
	}
	v.present = present
	if anyDup {
		if r := v.join(&dup, i); r != ReasonOK {
			return r
		}
		for w := range odd {
			odd[w] |= dup[w]
		}
		anyOdd = true
	}
	if anyOdd {
		if r := v.checkOdd(&odd); r != ReasonOK {
			return r
		}
	}
	if present[OptOverload>>6]&(1<<(OptOverload&63)) != 0 {
		v.notes |= NoteOverload
	}
	if present[OptRelayAgentInformation>>6]&(1<<(OptRelayAgentInformation&63)) != 0 {
		return v.checkRAI()
	}
	return ReasonOK
}

// noteCHAddr sets the notes about htype, hlen and chaddr.
func (v *View) noteCHAddr() {
	h := v.hdr
	if (h[1] == HTypeEthernet || h[1] == HTypeIEEE802) && h[2] != 6 {
		v.notes |= NoteHLenMismatch
	}
	hi := binary.BigEndian.Uint64(h[offCHAddr:])
	lo := binary.BigEndian.Uint64(h[offCHAddr+8:])
	// Masks of the first hlen octets.
	mhi, mlo := ^uint64(0), uint64(0)
	if n := h[2]; n < 8 {
		mhi = ^(^uint64(0) >> (8 * n))
	} else if n > 8 {
		mlo = ^(^uint64(0) >> (8 * (n - 8)))
	}
	switch {
	case hi&mhi|lo&mlo == 0:
		v.notes |= NoteZeroCHAddr
	case hi|^mhi == ^uint64(0) && lo|^mlo == ^uint64(0):
		v.notes |= NoteBroadcastCHAddr
	}
}

// join puts the values of the codes in dup together, in scratch, in the order
// of the message. The options end at end. Each octet is copied once, however
// the pieces lie.
func (v *View) join(dup *[4]uint64, end int) Reason {
	v.notes |= NoteDuplicateOption
	total := 0
	for w, m := range dup {
		for ; m != 0; m &= m - 1 {
			s := &v.index[w<<6+bits.TrailingZeros64(m)]
			s.off = uint16(total)
			total += int(s.len)
			s.len = 0 // counts up again while the pieces are copied
			if total > len(v.scratch) {
				return ReasonTooLong
			}
		}
	}
	v.scratchLen = uint16(total)
	var last [256]uint8 // length of the last piece
	for i := HeaderLen; i < end; {
		code := v.msg[i]
		if code == OptPad {
			i++
			continue
		}
		n := int(v.msg[i+1])
		val := v.msg[i+2 : i+2+n]
		i += 2 + n
		if dup[code>>6]&(1<<(code&63)) == 0 || n == 0 && code == OptHostName {
			continue
		}
		s := &v.index[code]
		copy(v.scratch[int(s.off)+int(s.len):], val)
		s.len += uint16(n)
		last[code] = uint8(n)
	}
	for w, m := range dup {
		for ; m != 0; m &= m - 1 {
			code := w<<6 + bits.TrailingZeros64(m)
			s := &v.index[code]
			s.off |= inScratch
			f := optionFormats[code]
			if f.form != fScalar || s.len <= uint16(f.size) {
				continue
			}
			// As Kea: only the length of the last piece is compared, and what
			// is more than the type needs is ignored.
			if last[code] > f.size && !v.Lenient {
				return ReasonOptionLen
			}
			v.notes |= NoteExcessLength
			if code == OptMessageType {
				b := v.bytes(*s)
				for _, t := range b[1:] {
					if t != b[0] {
						v.notes |= NoteContradictoryType
					}
				}
			}
			s.len = uint16(f.size)
		}
	}
	return ReasonOK
}

// checkOdd applies the length rules of the types to the options in odd.
func (v *View) checkOdd(odd *[4]uint64) Reason {
	for w, m := range odd {
		for ; m != 0; m &= m - 1 {
			code := w<<6 + bits.TrailingZeros64(m)
			r, keep := v.checkLen(optionFormats[code], &v.index[code])
			if r != ReasonOK {
				return r
			}
			if !keep {
				v.notes |= NoteEmptyOption
				v.present[w] &^= 1 << (code & 63)
			}
		}
	}
	return ReasonOK
}

// checkLen applies f to the value at s, which it may shorten. keep is false
// when the option counts as absent.
func (v *View) checkLen(f format, s *span) (r Reason, keep bool) {
	n := int(s.len)
	size := int(f.size)
	switch f.form {
	case fScalar:
		if n < size {
			return ReasonOptionLen, true
		}
		if n > size {
			if !v.Lenient {
				return ReasonOptionLen, true
			}
			v.notes |= NoteExcessLength
			s.len = uint16(size)
		}
	case fIPs:
		if n&3 != 0 {
			return ReasonOptionLen, true
		}
	case fInts:
		if n == 0 || n&(size-1) != 0 {
			return ReasonOptionLen, true
		}
	case fMin:
		if n < size {
			return ReasonOptionLen, true
		}
	case fString: // V4-117
		b := v.bytes(*s)
		for n > 0 && b[n-1] == 0 {
			n--
		}
		s.len = uint16(n)
		return ReasonOK, n > 0
	}
	return ReasonOK, true
}

// bytes returns the value at s.
func (v *View) bytes(s span) []byte {
	if s.off&inScratch != 0 {
		o := int(s.off &^ inScratch)
		return v.scratch[o : o+int(s.len) : o+int(s.len)]
	}
	o := int(s.off)
	return v.msg[o : o+int(s.len) : o+int(s.len)]
}

// Raw returns the message.
func (v *View) Raw() []byte { return v.msg }

// Notes returns what the message was accepted with.
func (v *View) Notes() Notes { return v.notes }

// The fields of the fixed part (RFC 2131 §2).

func (v *View) Op() uint8       { return v.hdr[0] }
func (v *View) HType() uint8    { return v.hdr[1] }
func (v *View) HLen() uint8     { return v.hdr[2] }
func (v *View) Hops() uint8     { return v.hdr[3] }
func (v *View) XID() uint32     { return binary.BigEndian.Uint32(v.hdr[offXID:]) }
func (v *View) Secs() uint16    { return binary.BigEndian.Uint16(v.hdr[offSecs:]) }
func (v *View) Flags() uint16   { return binary.BigEndian.Uint16(v.hdr[offFlags:]) }
func (v *View) Broadcast() bool { return v.hdr[offFlags]&(FlagBroadcast>>8) != 0 }
func (v *View) CIAddr() IPv4    { return AddrFromSlice(v.hdr[offCIAddr:]) }
func (v *View) YIAddr() IPv4    { return AddrFromSlice(v.hdr[offYIAddr:]) }
func (v *View) SIAddr() IPv4    { return AddrFromSlice(v.hdr[offSIAddr:]) }
func (v *View) GIAddr() IPv4    { return AddrFromSlice(v.hdr[offGIAddr:]) }

// CHAddr returns the hlen octets of chaddr that count. Up to 20, which is as
// long as hardware addresses get (InfiniBand's), they are filled up with zeros
// beyond the field's 16, as Kea does.
func (v *View) CHAddr() []byte {
	if v.hdr[2] > chaddrLen {
		return v.chaddr[:v.hdr[2]]
	}
	n := offCHAddr + int(v.hdr[2])
	return v.hdr[offCHAddr:n:n]
}

// SName and File return their whole field of 64 and 128 octets. Options in them
// are not looked for (V4-012).
func (v *View) SName() []byte { return v.hdr[offSName:offFile:offFile] }
func (v *View) File() []byte  { return v.hdr[offFile:offCookie:offCookie] }

// Has reports whether the option is there.
func (v *View) Has(code uint8) bool {
	return v.present[code>>6]&(1<<(code&63)) != 0
}

// Option returns the value of an option, all its pieces put together: nil if it
// is absent, empty but not nil if it has no octets. Values of string options
// are without their trailing NULs and absent if nothing is left (V4-117).
func (v *View) Option(code uint8) []byte {
	if v.present[code>>6]&(1<<(code&63)) == 0 {
		return nil
	}
	return v.bytes(v.index[code])
}

// Type returns option 53, 0 if it is absent.
func (v *View) Type() MsgType {
	if b := v.Option(OptMessageType); len(b) > 0 {
		return MsgType(b[0])
	}
	return 0
}

// ClientID returns option 61, nil if it is absent.
func (v *View) ClientID() []byte { return v.Option(OptClientIdentifier) }

// PRL returns option 55, nil if it is absent.
func (v *View) PRL() []byte { return v.Option(OptParameterRequestList) }

// RequestedIP returns option 50.
func (v *View) RequestedIP() (IPv4, bool) { return v.addr(OptRequestedIPAddress) }

// ServerID returns option 54.
func (v *View) ServerID() (IPv4, bool) { return v.addr(OptServerIdentifier) }

func (v *View) addr(code uint8) (IPv4, bool) {
	b := v.Option(code)
	if len(b) < 4 {
		return 0, false
	}
	return AddrFromSlice(b), true
}

// LeaseTime returns option 51 in seconds.
func (v *View) LeaseTime() (seconds uint32, ok bool) {
	b := v.Option(OptIPAddressLeaseTime)
	if len(b) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b), true
}

// MaxMessageSize returns option 57, 0 if it is absent.
func (v *View) MaxMessageSize() uint16 {
	b := v.Option(OptMaxMessageSize)
	if len(b) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

// HasAny reports whether any option is there whose bit is set, that of a code in
// word code/64.
func (v *View) HasAny(codes *[4]uint64) bool {
	p := &v.present
	return p[0]&codes[0]|p[1]&codes[1]|p[2]&codes[2]|p[3]&codes[3] != 0
}

// LastPieceLen is how many octets the last piece of an option has, which is all of
// it where it came in one.
func (v *View) LastPieceLen(code uint8) int {
	if !v.Has(code) {
		return 0
	}
	s := v.index[code]
	if s.off&inScratch == 0 {
		return int(s.len)
	}
	last := 0
	for i := HeaderLen; i+1 < len(v.msg) && v.msg[i] != OptEnd; {
		if v.msg[i] == OptPad {
			i++
			continue
		}
		n := int(v.msg[i+1])
		if i+2+n > len(v.msg) {
			break
		}
		if v.msg[i] == code {
			last = n
		}
		i += 2 + n
	}
	return last
}

// Forget takes an option out of the view, until Parse is called again.
func (v *View) Forget(code uint8) {
	v.present[code>>6] &^= 1 << (code & 63)
}
