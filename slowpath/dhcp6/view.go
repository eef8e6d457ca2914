package dhcp6

import "encoding/binary"

// View reads one message in place. The zero value is ready; Parse may be called
// again and again. Slices it returns alias the message, must not be written to,
// and are valid until the message is overwritten or Parse is called again.
type View struct {
	// Lenient is Kea's compatibility.lenient-option-parsing: an IAPREFIX of more
	// than 128 bits counts as one of 128. Set it before Parse, which leaves it
	// alone.
	Lenient bool

	notes  Notes
	msg    []byte
	inner  []byte // the client's message
	relays [MaxRelays]relay
	nRelay uint8
	nIA    uint8
	n      uint8 // options
	// present has a bit for each code below 128, so that most look-ups for
	// what is not there cost one load.
	present [2]uint64
	opts    [MaxOptions]entry
	ias     [MaxIAs]uint8 // indexes of opts: IA_NA first, then IA_PD
}

// entry is an option: where its value is in the client's message.
type entry struct{ code, off, len uint16 }

// relay is one RELAY-FORW: where its header is in msg, and its options.
type relay struct{ hdr, opts, end uint16 }

// Parse reads a message that a client or a relay sent. After any reason other
// than ReasonOK only Raw may be used.
func (v *View) Parse(msg []byte) Reason { return v.parse(msg, MsgRelayForw) }

// ParseReply reads a message that a server sent: the relays around it are those
// of RELAY-REPLs.
func (v *View) ParseReply(msg []byte) Reason { return v.parse(msg, MsgRelayRepl) }

// parse reads a message with relay messages of one type around it.
func (v *View) parse(msg []byte, around MsgType) Reason {
	v.msg = msg
	v.notes = 0
	v.nRelay, v.nIA, v.n = 0, 0, 0
	v.present = [2]uint64{}
	if len(msg) > MaxMessageLen {
		return ReasonTooLong
	}
	if len(msg) < HeaderLen {
		return ReasonTooShort
	}
	off, end := 0, len(msg)
	for {
		switch MsgType(msg[off]) {
		case around:
		case MsgRelayForw, MsgRelayRepl:
			return ReasonRelayRepl
		default:
			return v.parseInner(msg[off:end:end])
		}
		if end-off < RelayHeaderLen {
			return ReasonTooShort
		}
		if v.nRelay == MaxRelays {
			return ReasonTooManyRelays
		}
		if msg[off+1] >= MaxRelays {
			return ReasonHopCount
		}
		r := relay{uint16(off), uint16(off + RelayHeaderLen), uint16(end)}
		v.relays[v.nRelay] = r
		v.nRelay++
		var reason Reason
		if off, end, reason = v.relayMsg(r); reason != ReasonOK {
			return reason
		}
	}
}

// relayMsg finds option 9 of a RELAY-FORW and checks the others. As in Kea the
// last one counts if there are several, and what is truncated is left out.
func (v *View) relayMsg(r relay) (off, end int, reason Reason) {
	found := false
	for i := int(r.opts); i < int(r.end); {
		if int(r.end)-i < 4 {
			v.notes |= NoteTruncatedRelayOption
			break
		}
		code := binary.BigEndian.Uint16(v.msg[i:])
		next := i + 4 + int(binary.BigEndian.Uint16(v.msg[i+2:]))
		if next > int(r.end) {
			v.notes |= NoteTruncatedRelayOption
			break
		}
		if code == OptRelayMsg {
			off, end, found = i+4, next, true
		} else if !lengthOK(code, next-i-4) {
			return 0, 0, ReasonRelayOptionLen
		}
		i = next
	}
	if !found || off == end {
		return 0, 0, ReasonNoRelayMsg
	}
	if end-off < HeaderLen {
		return 0, 0, ReasonTooShort
	}
	return off, end, ReasonOK
}

// parseInner indexes the options of the client's message.
func (v *View) parseInner(b []byte) Reason {
	v.inner = b
	ias, pds, resources := 0, 0, 0
	i := HeaderLen
	for i < len(b) {
		if len(b)-i < 4 {
			v.notes |= NoteTruncatedOption
			break
		}
		code := binary.BigEndian.Uint16(b[i:])
		n := int(binary.BigEndian.Uint16(b[i+2:]))
		next := i + 4 + n
		if next > len(b) {
			v.notes |= NoteTruncatedOption
			break
		}
		if !lengthOK(code, n) {
			if code == OptIANA || code == OptIAPD {
				return ReasonIALen
			}
			return ReasonOptionLen
		}
		if v.n == MaxOptions {
			return ReasonTooManyOptions
		}
		v.opts[v.n] = entry{code, uint16(i + 4), uint16(n)}
		if code < 128 {
			v.present[code>>6] |= 1 << (code & 63)
		}
		switch code {
		case OptIANA, OptIAPD:
			if ias+pds == MaxIAs {
				return ReasonTooManyIAs
			}
			if reason := v.checkIA(code, b[i+4+iaHeader:next], &resources); reason != ReasonOK {
				return reason
			}
			if code == OptIANA {
				// IA_PDs met before move behind.
				copy(v.ias[ias+1:], v.ias[ias:ias+pds])
				v.ias[ias] = v.n
				ias++
			} else {
				v.ias[ias+pds] = v.n
				pds++
			}
		case OptIATA:
			v.notes |= NoteIATA
		case OptIAPrefix:
			if reason := v.checkPrefixLen(b[i+4 : next]); reason != ReasonOK {
				return reason
			}
			v.notes |= NoteMisplacedOption
		case OptIAAddr:
			if MsgType(b[0]) != MsgAddrRegInform {
				v.notes |= NoteMisplacedOption
			}
		case OptRelayMsg, OptInterfaceID, OptRSOO, OptRelaySourcePort:
			v.notes |= NoteMisplacedOption
		}
		v.n++
		i = next
	}
	v.nIA = uint8(ias + pds)
	v.noteDuplicateIAs(ias)
	return ReasonOK
}

// checkIA checks the options inside an IA.
func (v *View) checkIA(ia uint16, b []byte, resources *int) Reason {
	for o := Options(b); len(o) > 0; {
		code, data, rest, ok := o.Next()
		if !ok {
			v.notes |= NoteTruncatedIAOption
			break
		}
		o = rest
		if !lengthOK(code, len(data)) {
			return ReasonIALen
		}
		switch code {
		case OptIAAddr:
			if ia != OptIANA {
				v.notes |= NoteMisplacedOption
				continue
			}
			*resources++
		case OptIAPrefix:
			if reason := v.checkPrefixLen(data); reason != ReasonOK {
				return reason
			}
			if ia != OptIAPD {
				v.notes |= NoteMisplacedOption
				continue
			}
			*resources++
		case OptIANA, OptIATA, OptIAPD, OptClientID, OptServerID, OptRelayMsg:
			v.notes |= NoteMisplacedOption
			continue
		}
		if *resources > MaxResources {
			return ReasonTooManyResources
		}
	}
	return ReasonOK
}

func (v *View) checkPrefixLen(b []byte) Reason {
	if b[8] > 128 && !v.Lenient {
		return ReasonPrefixLen
	}
	return ReasonOK
}

func (v *View) noteDuplicateIAs(nas int) {
	for i := 1; i < int(v.nIA); i++ {
		first := 0
		if i >= nas {
			first = nas
		}
		id := v.iaid(i)
		for j := first; j < i; j++ {
			if v.iaid(j) == id {
				v.notes |= NoteDuplicateIA
				return
			}
		}
	}
}

func (v *View) iaid(i int) uint32 {
	return binary.BigEndian.Uint32(v.inner[v.opts[v.ias[i]].off:])
}

// Raw returns the whole message, Message the client's without the relays'.
func (v *View) Raw() []byte     { return v.msg }
func (v *View) Message() []byte { return v.inner }

// Notes returns what the message was accepted with.
func (v *View) Notes() Notes { return v.notes }

// Type and XID are the fields of the client's message (RFC 8415 §8); an XID has
// 24 bits.
func (v *View) Type() MsgType { return MsgType(v.inner[0]) }
func (v *View) XID() uint32   { return binary.BigEndian.Uint32(v.inner) & 0xFFFFFF }

func (v *View) value(e entry) []byte {
	end := int(e.off) + int(e.len)
	return v.inner[e.off:end:end]
}

// absent is a quick test that may miss.
func (v *View) absent(code uint16) bool {
	return code < 128 && v.present[code>>6]&(1<<(code&63)) == 0
}

// Has reports whether the client's message has the option.
func (v *View) Has(code uint16) bool { return v.Option(code) != nil }

// Option returns the value of the first instance of an option of the client's
// message: nil if it is absent, empty but not nil if it has no octets.
func (v *View) Option(code uint16) []byte {
	if v.absent(code) {
		return nil
	}
	for i := range v.opts[:v.n] {
		if v.opts[i].code == code {
			return v.value(v.opts[i])
		}
	}
	return nil
}

// Count is how often the option comes.
func (v *View) Count(code uint16) int {
	if v.absent(code) {
		return 0
	}
	n := 0
	for i := range v.opts[:v.n] {
		if v.opts[i].code == code {
			n++
		}
	}
	return n
}

// Len is how many options there are, At the i-th in the order of the message.
func (v *View) Len() int { return int(v.n) }
func (v *View) At(i int) (code uint16, data []byte) {
	e := v.opts[:v.n][i]
	return e.code, v.value(e)
}

// ClientID and ServerID return a DUID, nil if it is absent.
func (v *View) ClientID() []byte { return v.Option(OptClientID) }
func (v *View) ServerID() []byte { return v.Option(OptServerID) }

// ORO returns the option request option, two octets a code, nil if it is
// absent.
func (v *View) ORO() []byte { return v.Option(OptORO) }

// Requests reports whether the client's ORO has the code.
func (v *View) Requests(code uint16) bool {
	b := v.ORO()
	for i := 0; i+2 <= len(b); i += 2 {
		if binary.BigEndian.Uint16(b[i:]) == code {
			return true
		}
	}
	return false
}

// IAs is how many IA_NA and IA_PD there are; IA returns the i-th: IA_NAs first,
// then IA_PDs, each in the order of the message (V6-006).
func (v *View) IAs() int { return int(v.nIA) }
func (v *View) IA(i int) IA {
	e := v.opts[v.ias[:v.nIA][i]]
	return parseIA(e.code, v.value(e))
}

// Relays is how many RELAY-FORW messages are around the client's. Level 0 is
// that of the relay nearest to the server, the last one that nearest to the
// client.
func (v *View) Relays() int { return int(v.nRelay) }

// RelayHeader returns msg-type, hop-count, link-address and peer-address of a
// level (34 octets), nil if there is no such level.
func (v *View) RelayHeader(level int) []byte {
	if level < 0 || level >= int(v.nRelay) {
		return nil
	}
	h := int(v.relays[level].hdr)
	return v.msg[h : h+RelayHeaderLen : h+RelayHeaderLen]
}

// LinkAddr and PeerAddr are fields of a level that is there.
func (v *View) LinkAddr(level int) IPv6 { return AddrFromSlice(v.RelayHeader(level)[2:]) }
func (v *View) PeerAddr(level int) IPv6 { return AddrFromSlice(v.RelayHeader(level)[18:]) }

// HopCount is the field of a level that is there.
func (v *View) HopCount(level int) uint8 { return v.RelayHeader(level)[1] }

// RelayOptions returns the options of a level, the relayed message among them,
// nil if there is no such level.
func (v *View) RelayOptions(level int) Options {
	if level < 0 || level >= int(v.nRelay) {
		return nil
	}
	r := v.relays[level]
	return Options(v.msg[r.opts:r.end:r.end])
}

// RelayOption returns the first instance of an option of a level, nil if it is
// absent.
func (v *View) RelayOption(level int, code uint16) []byte {
	return v.RelayOptions(level).Find(code)
}

// InnermostRelayOption is RelayOption of the relay nearest to the client.
func (v *View) InnermostRelayOption(code uint16) []byte {
	return v.RelayOption(int(v.nRelay)-1, code)
}
