package dhcp4

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// MaxReplyOptions is how many different options a Reply holds, the message type
// not counted.
const MaxReplyOptions = 64

// Reply is an answer as a short list of (code, octets) references, encoded once
// by Append. Adding, replacing and removing options moves no octets. The zero
// value is an empty reply; Reset makes a used one empty again.
//
// Octets given to Set, SName and File stay the caller's: they must not change
// before the last Append. A Reply may be copied by assignment.
type Reply struct {
	// Type is option 53; 0 means there is none.
	Type           MsgType
	Op             uint8 // 0 means BOOTREPLY
	HType, HLen    uint8
	Hops           uint8
	XID            uint32
	Secs, Flags    uint16
	CIAddr, YIAddr IPv4
	SIAddr, GIAddr IPv4
	CHAddr         [chaddrLen]byte
	SName          []byte // at most 64 octets are sent
	File           []byte // at most 128 octets are sent
	present        [4]uint64
	n              uint8
	slotOf         [256]uint8                // indexes of opts by code, of those present
	opts           [MaxReplyOptions]replyOpt // in no order; valid: opts[:n]
	typeOctet      [1]byte
}

type replyOpt struct {
	data   []byte  // the value, unless inlineLen is set
	inline [4]byte // small values by SetU8, SetU16, SetU32, SetIP
	// inlineLen is how much of inline is the value, plus one; 0: data is.
	inlineLen uint8
	code      uint8
	// parts says how data is divided if it takes several options.
	parts uint8
}

func (o *replyOpt) value() []byte {
	if o.inlineLen != 0 {
		return o.inline[: o.inlineLen-1 : o.inlineLen-1]
	}
	return o.data
}

// Reset makes r empty: no options, all fields 0.
func (r *Reply) Reset() {
	r.Type = 0
	r.Op, r.HType, r.HLen, r.Hops = 0, 0, 0, 0
	r.XID = 0
	r.Secs, r.Flags = 0, 0
	r.CIAddr, r.YIAddr, r.SIAddr, r.GIAddr = 0, 0, 0, 0
	r.CHAddr = [chaddrLen]byte{}
	r.SName, r.File = nil, nil
	r.present = [4]uint64{}
	r.n = 0
}

// CopyHeader takes from the query what every reply repeats: xid, flags, hops,
// giaddr, htype, hlen and chaddr (RFC 2131 table 3, V4-028).
func (r *Reply) CopyHeader(v *View) {
	r.XID = v.XID()
	r.Flags = v.Flags()
	r.Hops = v.Hops()
	r.GIAddr = v.GIAddr()
	r.HType = v.HType()
	r.HLen = v.HLen()
	r.CHAddr = [chaddrLen]byte{}
	copy(r.CHAddr[:], v.CHAddr())
}

// Has reports whether the option is in the list.
func (r *Reply) Has(code uint8) bool {
	if code == OptMessageType {
		return r.Type != 0
	}
	return r.present[code>>6]&(1<<(code&63)) != 0
}

// Len is how many options there are, the message type not counted.
func (r *Reply) Len() int { return int(r.n) }

// At returns the i-th option by ascending code, the message type not counted.
// The octets are valid until the list is changed.
func (r *Reply) At(i int) (code uint8, data []byte) {
	for w, m := range r.present {
		if k := bits.OnesCount64(m); i >= k {
			i -= k
			continue
		}
		for range i {
			m &= m - 1
		}
		o := r.opt(w, m)
		return o.code, o.value()
	}
	panic("dhcp4: no such option in the reply")
}

// opt returns the option of the lowest bit of m, a part of present[w].
func (r *Reply) opt(w int, m uint64) *replyOpt {
	return &r.opts[r.slotOf[uint8(w<<6+bits.TrailingZeros64(m))]%MaxReplyOptions]
}

// slot returns the place of the option, a new one if it is absent, nil if there
// is no room or the code may not be set.
func (r *Reply) slot(code uint8) *replyOpt {
	if code == OptPad || code == OptEnd || code == OptMessageType {
		return nil
	}
	w, bit := code>>6, uint64(1)<<(code&63)
	if r.present[w]&bit != 0 {
		return &r.opts[r.slotOf[code]]
	}
	if int(r.n) == len(r.opts) {
		return nil
	}
	r.slotOf[code] = r.n
	o := &r.opts[r.n]
	r.n++
	r.present[w] |= bit
	o.code = code
	return o
}

// Set puts a reference to data into the list, in place of what was there under
// that code. It reports false when the list is full, and for PAD and END.
// Setting the message type sets Type, from one octet.
func (r *Reply) Set(code uint8, data []byte) bool {
	if code == OptMessageType {
		if len(data) != 1 {
			return false
		}
		r.Type = MsgType(data[0])
		return true
	}
	o := r.slot(code)
	if o == nil {
		return false
	}
	o.data = data
	o.inlineLen, o.parts = 0, partsNone
	if code == OptVIVendorClass || code == OptVIVendorSpecificInformation {
		o.parts = partsVendors
	}
	return true
}

// SetSubOptions is Set with data that is, behind the first fields octets, a list
// of sub-options. Where one option cannot hold it each sub-option gets an option
// of its own, so that clients which do not put pieces together find them.
func (r *Reply) SetSubOptions(code uint8, data []byte, fields int) bool {
	if code == OptMessageType || fields < 0 || fields > 253 || !r.Set(code, data) {
		return false
	}
	r.opts[r.slotOf[code]].parts = uint8(fields + 1)
	return true
}

// setInline stores the n octets at the end of v.
func (r *Reply) setInline(code uint8, v uint32, n uint8) bool {
	o := r.slot(code)
	if o == nil {
		return false
	}
	binary.BigEndian.PutUint32(o.inline[:], v<<(32-8*n))
	o.inlineLen, o.parts = n+1, partsNone
	o.data = nil
	return true
}

// SetU8, SetU16, SetU32 and SetIP are Set with a value that is kept inside r.

func (r *Reply) SetU8(code uint8, v uint8) bool {
	if code == OptMessageType {
		r.Type = MsgType(v)
		return true
	}
	return r.setInline(code, uint32(v), 1)
}
func (r *Reply) SetU16(code uint8, v uint16) bool { return r.setInline(code, uint32(v), 2) }
func (r *Reply) SetU32(code uint8, v uint32) bool { return r.setInline(code, v, 4) }
func (r *Reply) SetIP(code uint8, a IPv4) bool    { return r.setInline(code, uint32(a), 4) }

// Get returns the octets of an option, nil if it is absent. They are valid
// until the list is changed.
func (r *Reply) Get(code uint8) []byte {
	if code == OptMessageType {
		if r.Type == 0 {
			return nil
		}
		r.typeOctet[0] = byte(r.Type)
		return r.typeOctet[:]
	}
	if !r.Has(code) {
		return nil
	}
	if b := r.opts[r.slotOf[code]].value(); b != nil {
		return b
	}
	return []byte{}
}

// Del removes an option. Removing the message type sets Type to 0.
func (r *Reply) Del(code uint8) {
	if code == OptMessageType {
		r.Type = 0
		return
	}
	if !r.Has(code) {
		return
	}
	s := r.slotOf[code]
	r.n--
	r.present[code>>6] &^= 1 << (code & 63)
	// Keep the slots dense: the last one moves into the hole.
	if last := &r.opts[r.n]; s != r.n {
		r.opts[s] = *last
		r.slotOf[last.code] = s
	}
}

// never says which options are never left out of a reply for want of room:
// without them it would be another reply.
func never(code uint8) bool {
	switch code {
	case OptIPAddressLeaseTime, OptServerIdentifier, OptClientIdentifier, OptRelayAgentInformation:
		return true
	}
	return false
}

// pieceLen is how long the pieces of an option are that needs several. Kea's
// are so; RFC 3396 §5 would allow 255.
const pieceLen = 253

// encodedLen is what n octets take as one option, in pieces if it must be
// (RFC 3396 §5).
func encodedLen(n int) int {
	if n <= 255 {
		return n + 2
	}
	return n + 2*((n+pieceLen-1)/pieceLen)
}

// Values of replyOpt.parts; from 1 to 254 the value is one octet less of fields
// and then a list of sub-options.
const (
	partsNone    = 0
	partsVendors = 255
)

// encodedLen is what the option takes.
func (o *replyOpt) encodedLen() int {
	if o.parts != partsNone {
		return o.partsLen()
	}
	return encodedLen(len(o.value()))
}

func (o *replyOpt) partsLen() int {
	val, size := o.value(), 0
	for first := true; first || len(val) > 0; first = false {
		n := o.part(val, first)
		size += encodedLen(n)
		val = val[n:]
	}
	return size
}

// part is how many octets at the beginning of val go into an option of their own:
// each vendor of options 124 and 125 gets one, and each sub-option of what is too
// long for one option, for clients that do not put pieces together.
func (o *replyOpt) part(val []byte, first bool) int {
	if o.parts == partsVendors {
		return vendorRun(val)
	}
	if first && len(o.value()) <= 255 {
		return len(val)
	}
	if fields := int(o.parts) - 1; first && fields > 0 && fields <= len(val) {
		return fields
	}
	if len(val) < 2 || 2+int(val[1]) > len(val) {
		return len(val) // not of this form: as it is
	}
	return 2 + int(val[1])
}

// vendorRun is how many octets at the beginning of option 124 or 125 are of one
// vendor: each vendor gets an option of its own, for clients that look at the
// first number only (RFC 3925 §3 and §4 allow both, Kea does this).
func vendorRun(val []byte) int {
	i := 0
	for len(val)-i > 4 {
		n := 5 + int(val[i+4])
		if n > len(val)-i {
			return len(val) // not of this form: as it is
		}
		if i > 0 && [4]byte(val[i:]) != [4]byte(val) {
			return i
		}
		i += n
	}
	return len(val)
}

// Append encodes r behind dst and returns the longer slice; dst is only
// reallocated if its capacity does not do. The message type comes first, then
// the options by ascending code, option 82 second to last, END last (V4-014);
// there is no padding.
//
// The message is at most maxLen octets: what does not fit goes into file and
// sname where these are empty (option 52); what then does not fit is left out and
// counted in dropped, the least wanted first, which are the options not in prl
// (the client's option 55) from the greatest code down and then those in prl
// from its end. Options 53, 54, 51, 61 and 82 are never left out, so they alone
// may make the message longer than maxLen.
func (r *Reply) Append(dst []byte, maxLen int, prl []byte) (out []byte, dropped int) {
	size := HeaderLen + 1
	if r.Type != 0 {
		size += 3
	}
	for i := range r.opts[:r.n] {
		size += r.opts[i].encodedLen()
	}
	send := r.present
	var over overload
	if size > maxLen {
		if over = r.overload(&send, size, maxLen); over.value != 0 {
			size += 3 - over.moved
		}
		if size > maxLen {
			size, dropped = r.leaveOut(&send, size, maxLen, prl)
		}
	}

	start := len(dst)
	dst = slices.Grow(dst, size)[:start+size]
	b := dst[start:]
	h := (*[HeaderLen]byte)(b)
	op := r.Op
	if op == 0 {
		op = BootReply
	}
	h[0], h[1], h[2], h[3] = op, r.HType, r.HLen, r.Hops
	binary.BigEndian.PutUint32(h[offXID:], r.XID)
	binary.BigEndian.PutUint16(h[offSecs:], r.Secs)
	binary.BigEndian.PutUint16(h[offFlags:], r.Flags)
	r.CIAddr.Put(h[offCIAddr:])
	r.YIAddr.Put(h[offYIAddr:])
	r.SIAddr.Put(h[offSIAddr:])
	r.GIAddr.Put(h[offGIAddr:])
	*(*[chaddrLen]byte)(h[offCHAddr:]) = r.CHAddr
	clear(h[offSName:offCookie])
	copy(h[offSName:offFile], r.SName)
	copy(h[offFile:offCookie], r.File)
	if over.value&overloadFile != 0 {
		r.putField(h[offFile:offCookie], &over.file)
	}
	if over.value&overloadSName != 0 {
		r.putField(h[offSName:offFile], &over.sname)
	}
	binary.BigEndian.PutUint32(h[offCookie:], cookie)

	i := HeaderLen
	if r.Type != 0 {
		b[i], b[i+1], b[i+2] = OptMessageType, 1, byte(r.Type)
		i += 3
	}
	if over.value != 0 {
		b[i], b[i+1], b[i+2] = OptOverload, 1, over.value
		i += 3
	}
	send[OptRelayAgentInformation>>6] &^= 1 << (OptRelayAgentInformation & 63)
	for w, m := range send {
		for ; m != 0; m &= m - 1 {
			o := r.opt(w, m)
			if o.parts != partsNone {
				i += o.putParts(b[i:])
			} else {
				i += putOption(b[i:], o.code, o.value())
			}
		}
	}
	if r.Has(OptRelayAgentInformation) {
		o := &r.opts[r.slotOf[OptRelayAgentInformation]]
		i += putOption(b[i:], o.code, o.value())
	}
	b[i] = OptEnd
	return dst, dropped
}

// putParts writes an option that has parts and returns its encoded length.
func (o *replyOpt) putParts(b []byte) int {
	val, size := o.value(), 0
	for first := true; first || len(val) > 0; first = false {
		n := o.part(val, first)
		size += putOption(b[size:], o.code, val[:n])
		val = val[n:]
	}
	return size
}

// putOption writes one option and returns its encoded length.
func putOption(b []byte, code uint8, val []byte) int {
	n := 0
	if len(val) > 255 {
		for len(val) > pieceLen {
			b[n], b[n+1] = code, pieceLen
			copy(b[n+2:], val[:pieceLen])
			n += 2 + pieceLen
			val = val[pieceLen:]
		}
	}
	b[n], b[n+1] = code, uint8(len(val))
	copy(b[n+2:], val)
	return n + 2 + len(val)
}

// leaveOut clears options in send until the size is at most maxLen.
func (r *Reply) leaveOut(send *[4]uint64, size, maxLen int, prl []byte) (newSize, dropped int) {
	var wanted [4]uint64
	for _, c := range prl {
		wanted[c>>6] |= 1 << (c & 63)
	}
	drop := func(o *replyOpt) {
		if send[o.code>>6]&(1<<(o.code&63)) == 0 || never(o.code) {
			return
		}
		send[o.code>>6] &^= 1 << (o.code & 63)
		size -= o.encodedLen()
		dropped++
	}
	for c := 255; c > 0 && size > maxLen; c-- {
		if c, bit := uint8(c), uint64(1)<<(c&63); r.present[c>>6]&bit != 0 && wanted[c>>6]&bit == 0 {
			drop(&r.opts[r.slotOf[c]])
		}
	}
	for i := len(prl) - 1; i >= 0 && size > maxLen; i-- {
		if c := prl[i]; c != OptMessageType && r.Has(c) {
			drop(&r.opts[r.slotOf[c]])
		}
	}
	return size, dropped
}
