package dhcp6

import (
	"encoding/binary"
	"slices"
)

// MaxReplyOptions is how many options a Reply holds beside IAs and status code.
const MaxReplyOptions = 64

// MaxReplyResources is how many addresses and prefixes the IAs of a Reply hold
// in all: those the client named, and what it gets or loses beside.
const MaxReplyResources = MaxResources + 2*MaxIAs

// Reply is an answer as a list of (code, octets) references and of IAs, encoded
// once by Append. The zero value is an empty reply; Reset makes a used one
// empty again.
//
// Octets given to it stay the caller's: they must not change before the last
// Append. A Reply may be copied by assignment.
type Reply struct {
	// Type 0 means that there is no answer.
	Type MsgType
	XID  uint32 // 24 bits
	// Status is the message's own status code (RFC 8415 §21.13), sent where
	// HaveStatus says so.
	Status     StatusCode
	HaveStatus bool
	nIA        uint8
	n          uint8
	nRelay     uint8
	nResource  uint16
	statusLen  uint8
	statusText [maxStatusText]byte
	opts       [MaxReplyOptions]replyOpt // ascending code, then as they were added
	ias        [MaxIAs]ReplyIA
	resources  [MaxReplyResources]ReplyResource
	relays     [MaxRelays]replyRelay
}

const maxStatusText = 64

type replyOpt struct {
	data []byte
	// inline holds small values by SetU8, SetU16 and SetU32, if inlineLen is set
	// to their length plus one.
	inline    [4]byte
	inlineLen uint8
	code      uint16
}

func (o *replyOpt) value() []byte {
	if o.inlineLen != 0 {
		return o.inline[: o.inlineLen-1 : o.inlineLen-1]
	}
	return o.data
}

// ReplyIA is an IA_NA or IA_PD of a reply. Its resources are in the Reply.
type ReplyIA struct {
	Code     uint16 // OptIANA or OptIAPD
	IAID     uint32
	T1S, T2S uint32 // seconds
	// Status is sent where HaveStatus says so; StatusText is constant text.
	Status     StatusCode
	HaveStatus bool
	StatusText string
	first, n   uint16
}

// ReplyResource is an address or prefix of an IA of a reply.
type ReplyResource struct {
	Addr               IPv6
	PrefixLen          uint8 // 128 in an IA_NA
	PreferredS, ValidS uint32
	// Exclude is the value of option 67 inside the IAPREFIX (RFC 6603 §4.2),
	// nil for none.
	Exclude []byte
}

// replyRelay is a RELAY-REPL: what it repeats of the RELAY-FORW.
type replyRelay struct {
	hdr         []byte
	interfaceID []byte // nil: none
	sourcePort  []byte // nil: none
}

// Reset makes r empty.
func (r *Reply) Reset() {
	r.Type, r.XID = 0, 0
	r.Status, r.HaveStatus, r.statusLen = 0, false, 0
	r.nIA, r.n, r.nRelay, r.nResource = 0, 0, 0, 0
}

// SetStatus sets the message's status code; text is copied and may be cut.
func (r *Reply) SetStatus(s StatusCode, text string) {
	r.Status, r.HaveStatus = s, true
	r.statusLen = uint8(copy(r.statusText[:], text))
}

// StatusText is the text of the message's status code.
func (r *Reply) StatusText() string { return string(r.statusText[:r.statusLen]) }

// CopyRelays makes the reply go through the relays the message came through:
// each RELAY-REPL repeats hop count, addresses, interface-id (RFC 8415 §19.3)
// and relay source port (RFC 8357 §5.2) of its RELAY-FORW.
func (r *Reply) CopyRelays(v *View) {
	r.nRelay = v.nRelay
	for i := range int(v.nRelay) {
		r.relays[i] = replyRelay{
			hdr:         v.RelayHeader(i),
			interfaceID: v.RelayOption(i, OptInterfaceID),
			sourcePort:  v.RelayOption(i, OptRelaySourcePort),
		}
	}
}

// Relays is how many RELAY-REPL messages are around the reply.
func (r *Reply) Relays() int { return int(r.nRelay) }

// AddIA adds an IA behind those there are, nil if there is no room. The pointer
// is valid until Reset.
func (r *Reply) AddIA(code uint16, iaid uint32) *ReplyIA {
	if int(r.nIA) == len(r.ias) {
		return nil
	}
	ia := &r.ias[r.nIA]
	r.nIA++
	*ia = ReplyIA{Code: code, IAID: iaid, first: r.nResource}
	return ia
}

// AddResource adds an address or prefix to the IA that was added last. It
// reports false if there is no room.
func (r *Reply) AddResource(x ReplyResource) bool {
	if r.nIA == 0 || int(r.nResource) == len(r.resources) {
		return false
	}
	r.resources[r.nResource] = x
	r.nResource++
	r.ias[r.nIA-1].n++
	return true
}

// IAs is how many IAs there are, IA returns the i-th; both are for callouts and
// tests too.
func (r *Reply) IAs() int          { return int(r.nIA) }
func (r *Reply) IA(i int) *ReplyIA { return &r.ias[:r.nIA][i] }

// Resources returns the resources of an IA of r, which may be changed.
func (r *Reply) Resources(ia *ReplyIA) []ReplyResource {
	return r.resources[ia.first : ia.first+ia.n]
}

// DropIAs takes all IAs out.
func (r *Reply) DropIAs() { r.nIA, r.nResource = 0, 0 }

// find returns the place of the first option with the code, or where it would
// be, and behind the last one.
func (r *Reply) find(code uint16) (first, end int) {
	for first < int(r.n) && r.opts[first].code < code {
		first++
	}
	for end = first; end < int(r.n) && r.opts[end].code == code; end++ {
	}
	return first, end
}

// Len is how many options there are beside IAs and status code.
func (r *Reply) Len() int { return int(r.n) }

// At returns the i-th option by ascending code. The octets are valid until the
// list is changed.
func (r *Reply) At(i int) (code uint16, data []byte) {
	o := &r.opts[:r.n][i]
	return o.code, o.value()
}

// reserved reports whether the code has its own place in a Reply.
func reserved(code uint16) bool {
	switch code {
	case 0, OptIANA, OptIAPD, OptStatusCode, OptRelayMsg:
		return true
	}
	return false
}

// insert makes a place behind the options with the code, nil if there is no
// room or the code may not be set.
func (r *Reply) insert(code uint16) *replyOpt {
	if reserved(code) || int(r.n) == len(r.opts) {
		return nil
	}
	_, i := r.find(code)
	copy(r.opts[i+1:r.n+1], r.opts[i:r.n])
	r.n++
	o := &r.opts[i]
	*o = replyOpt{code: code}
	return o
}

// Add puts a reference to data into the list, behind other instances of the
// option. It reports false when the list is full, and for IAs, status code and
// relay message.
func (r *Reply) Add(code uint16, data []byte) bool {
	o := r.insert(code)
	if o == nil {
		return false
	}
	o.data = data
	return true
}

// Set is Add in place of all instances that are there.
func (r *Reply) Set(code uint16, data []byte) bool {
	r.Del(code)
	return r.Add(code, data)
}

func (r *Reply) setInline(code uint16, v uint32, n uint8) bool {
	r.Del(code)
	o := r.insert(code)
	if o == nil {
		return false
	}
	binary.BigEndian.PutUint32(o.inline[:], v<<(32-8*n))
	o.inlineLen = n + 1
	return true
}

// SetU8, SetU16 and SetU32 are Set with a value that is kept inside r.
func (r *Reply) SetU8(code uint16, v uint8) bool   { return r.setInline(code, uint32(v), 1) }
func (r *Reply) SetU16(code uint16, v uint16) bool { return r.setInline(code, uint32(v), 2) }
func (r *Reply) SetU32(code uint16, v uint32) bool { return r.setInline(code, v, 4) }

// Has reports whether the option is in the list; of IAs and status code,
// whether there is any.
func (r *Reply) Has(code uint16) bool {
	switch code {
	case OptStatusCode:
		return r.HaveStatus
	case OptIANA, OptIAPD:
		for i := range r.ias[:r.nIA] {
			if r.ias[i].Code == code {
				return true
			}
		}
		return false
	}
	first, end := r.find(code)
	return end > first
}

// Get returns the octets of the first instance of an option, nil if it is
// absent. They are valid until the list is changed.
func (r *Reply) Get(code uint16) []byte {
	first, end := r.find(code)
	if first == end {
		return nil
	}
	if b := r.opts[first].value(); b != nil {
		return b
	}
	return []byte{}
}

// Del removes all instances of an option; of the status code too.
func (r *Reply) Del(code uint16) {
	if code == OptStatusCode {
		r.HaveStatus = false
		return
	}
	first, end := r.find(code)
	if first == end {
		return
	}
	copy(r.opts[first:], r.opts[end:r.n])
	r.n -= uint8(end - first)
}

// never says which options are never left out for want of room.
func never(code uint16) bool {
	switch code {
	case OptClientID, OptServerID, OptRapidCommit, OptIAAddr:
		return true
	}
	return false
}

// iaLen is how many octets the IA takes, header included; with noLost without
// the resources that are only there to say that they are gone.
func (r *Reply) iaLen(ia *ReplyIA, noLost bool) int {
	n := 4 + iaHeader
	if ia.HaveStatus {
		n += 4 + 2 + len(ia.StatusText)
	}
	for i := range r.Resources(ia) {
		n += r.resources[int(ia.first)+i].encodedLen(ia.Code, noLost)
	}
	return n
}

// encodedLen is the length of the resource as an option of an IA of that kind.
func (x *ReplyResource) encodedLen(ia uint16, noLost bool) int {
	switch {
	case noLost && x.ValidS == 0:
		return 0
	case ia == OptIANA:
		return 4 + iaAddrHeader
	case x.Exclude != nil:
		return 4 + iaPrefixHeader + 4 + len(x.Exclude)
	}
	return 4 + iaPrefixHeader
}

// Append encodes r behind dst, RELAY-REPL messages around it, and returns the
// longer slice; dst is only reallocated if its capacity does not do. Options
// come by ascending code.
//
// The whole is at most maxLen octets: what does not fit is left out and counted
// in dropped, the least wanted first, which are the options not in oro (the
// client's option 6) from the greatest code down, those in oro from its end, and
// last the addresses and prefixes that are only there to say that they are gone.
// Client and server identifier, rapid commit, status, and granted resources are
// never left out, so they alone may make the message longer than maxLen.
func (r *Reply) Append(dst []byte, maxLen int, oro []byte) (out []byte, dropped int) {
	var left [MaxReplyOptions]bool
	size := HeaderLen
	if r.HaveStatus {
		size += 4 + 2 + int(r.statusLen)
	}
	for i := range r.opts[:r.n] {
		size += 4 + len(r.opts[i].value())
	}
	for i := range r.ias[:r.nIA] {
		size += r.iaLen(&r.ias[i], false)
	}
	around := 0
	for i := range r.relays[:r.nRelay] {
		around += r.relays[i].len()
	}
	noLost := false
	if size+around > maxLen {
		size, dropped = r.leaveOut(&left, size, maxLen-around, oro)
		if size+around > maxLen {
			noLost = true
			for i := range r.ias[:r.nIA] {
				ia := &r.ias[i]
				size += r.iaLen(ia, true) - r.iaLen(ia, false)
				for j := range r.Resources(ia) {
					if r.resources[int(ia.first)+j].ValidS == 0 {
						dropped++
					}
				}
			}
		}
	}

	start := len(dst)
	dst = slices.Grow(dst, size+around)[:start+size+around]
	b := dst[start:]
	for i := range r.relays[:r.nRelay] {
		b = r.relays[i].put(b)
	}
	binary.BigEndian.PutUint32(b, uint32(r.Type)<<24|r.XID&0xFFFFFF)
	i := HeaderLen
	na, status, pd := false, !r.HaveStatus, false
	for k := range r.opts[:r.n] {
		o := &r.opts[k]
		if !na && o.code > OptIANA {
			i += r.putIAs(b[i:], OptIANA, noLost)
			na = true
		}
		if !status && o.code > OptStatusCode {
			i += putStatus(b[i:], r.Status, r.statusText[:r.statusLen])
			status = true
		}
		if !pd && o.code > OptIAPD {
			i += r.putIAs(b[i:], OptIAPD, noLost)
			pd = true
		}
		if !left[k] {
			i += putOption(b[i:], o.code, o.value())
		}
	}
	if !na {
		i += r.putIAs(b[i:], OptIANA, noLost)
	}
	if !status {
		i += putStatus(b[i:], r.Status, r.statusText[:r.statusLen])
	}
	if !pd {
		r.putIAs(b[i:], OptIAPD, noLost)
	}
	return dst, dropped
}

// leaveOut marks options as left out until the size is at most maxLen.
func (r *Reply) leaveOut(left *[MaxReplyOptions]bool, size, maxLen int, oro []byte) (newSize, dropped int) {
	drop := func(k int) {
		if o := &r.opts[k]; !left[k] && !never(o.code) {
			left[k] = true
			size -= 4 + len(o.value())
			dropped++
		}
	}
	wanted := func(code uint16) bool {
		for i := 0; i+2 <= len(oro); i += 2 {
			if binary.BigEndian.Uint16(oro[i:]) == code {
				return true
			}
		}
		return false
	}
	for k := int(r.n) - 1; k >= 0 && size > maxLen; k-- {
		if !wanted(r.opts[k].code) {
			drop(k)
		}
	}
	for i := len(oro)&^1 - 2; i >= 0 && size > maxLen; i -= 2 {
		first, end := r.find(binary.BigEndian.Uint16(oro[i:]))
		for k := first; k < end; k++ {
			drop(k)
		}
	}
	return size, dropped
}

func (x *replyRelay) len() int {
	n := RelayHeaderLen + 4
	if x.interfaceID != nil {
		n += 4 + len(x.interfaceID)
	}
	if x.sourcePort != nil {
		n += 4 + len(x.sourcePort)
	}
	return n
}

// put writes the RELAY-REPL around what fills the rest of b, which it returns.
func (x *replyRelay) put(b []byte) []byte {
	copy(b, x.hdr)
	b[0] = byte(MsgRelayRepl)
	i := RelayHeaderLen
	if x.interfaceID != nil {
		i += putOption(b[i:], OptInterfaceID, x.interfaceID)
	}
	if x.sourcePort != nil {
		i += putOption(b[i:], OptRelaySourcePort, x.sourcePort)
	}
	putHeader(b[i:], OptRelayMsg, len(b)-i-4)
	return b[i+4:]
}

func putHeader(b []byte, code uint16, n int) {
	binary.BigEndian.PutUint16(b, code)
	binary.BigEndian.PutUint16(b[2:], uint16(n))
}

func putOption(b []byte, code uint16, val []byte) int {
	putHeader(b, code, len(val))
	return 4 + copy(b[4:], val)
}

func putStatus[T string | []byte](b []byte, s StatusCode, text T) int {
	putHeader(b, OptStatusCode, 2+len(text))
	binary.BigEndian.PutUint16(b[4:], uint16(s))
	return 6 + copy(b[6:], text)
}

// putIAs writes the IAs of one kind and returns their length.
func (r *Reply) putIAs(b []byte, code uint16, noLost bool) int {
	i := 0
	for k := range r.ias[:r.nIA] {
		ia := &r.ias[k]
		if ia.Code != code {
			continue
		}
		n := r.iaLen(ia, noLost)
		putHeader(b[i:], code, n-4)
		binary.BigEndian.PutUint32(b[i+4:], ia.IAID)
		binary.BigEndian.PutUint32(b[i+8:], ia.T1S)
		binary.BigEndian.PutUint32(b[i+12:], ia.T2S)
		at := i + 4 + iaHeader
		i += n
		// By ascending code: IAADDR 5, status 13, IAPREFIX 26.
		if ia.HaveStatus && code == OptIAPD {
			at += putStatus(b[at:], ia.Status, ia.StatusText)
		}
		for j := range r.Resources(ia) {
			x := &r.resources[int(ia.first)+j]
			if x.encodedLen(code, noLost) > 0 {
				at += x.put(b[at:], code)
			}
		}
		if ia.HaveStatus && code == OptIANA {
			putStatus(b[at:], ia.Status, ia.StatusText)
		}
	}
	return i
}

func (x *ReplyResource) put(b []byte, ia uint16) int {
	if ia == OptIANA {
		putHeader(b, OptIAAddr, iaAddrHeader)
		copy(b[4:], x.Addr[:])
		binary.BigEndian.PutUint32(b[20:], x.PreferredS)
		binary.BigEndian.PutUint32(b[24:], x.ValidS)
		return 4 + iaAddrHeader
	}
	n := x.encodedLen(ia, false)
	putHeader(b, OptIAPrefix, n-4)
	binary.BigEndian.PutUint32(b[4:], x.PreferredS)
	binary.BigEndian.PutUint32(b[8:], x.ValidS)
	b[12] = x.PrefixLen
	copy(b[13:], x.Addr[:])
	if x.Exclude != nil {
		putOption(b[4+iaPrefixHeader:], OptPDExclude, x.Exclude)
	}
	return n
}
