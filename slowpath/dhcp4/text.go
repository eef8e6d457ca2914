package dhcp4

import (
	"encoding/hex"
	"strconv"
)

// AppendText appends a readable form of the message to dst, for traces and
// tests: a line with the message type and the fixed fields that are not zero,
// then a line for each option in the order of the message, each code under
// Kea's name. It is deterministic and takes anything, malformed messages too.
func AppendText(dst, msg []byte) []byte {
	if len(msg) < HeaderLen {
		dst = append(dst, "malformed: "...)
		dst = append(dst, ReasonTooShort.String()...)
		return append(dst, '\n')
	}
	var v View
	v.Lenient = true
	r := v.parse(msg, msg[0])
	if r == ReasonOK {
		dst = append(dst, v.Type().String()...)
	} else {
		dst = append(dst, "malformed: "...)
		dst = append(dst, r.String()...)
		if r == ReasonTooLong || r == ReasonHLen || r == ReasonBadCookie {
			return append(dst, '\n')
		}
	}
	switch v.Op() {
	case BootRequest, BootReply:
	default:
		dst = appendField(dst, "op", uint64(v.Op()))
	}
	if v.HType() != HTypeEthernet {
		dst = appendField(dst, "htype", uint64(v.HType()))
	}
	dst = append(dst, " xid=0x"...)
	dst = appendHex32(dst, v.XID())
	if v.Hops() != 0 {
		dst = appendField(dst, "hops", uint64(v.Hops()))
	}
	if v.Secs() != 0 {
		dst = appendField(dst, "secs", uint64(v.Secs()))
	}
	if v.Broadcast() {
		dst = append(dst, " broadcast"...)
	}
	if f := v.Flags() &^ FlagBroadcast; f != 0 {
		dst = appendField(dst, "flags", uint64(f))
	}
	for _, a := range [...]struct {
		name string
		addr IPv4
	}{{"ciaddr", v.CIAddr()}, {"yiaddr", v.YIAddr()}, {"siaddr", v.SIAddr()}, {"giaddr", v.GIAddr()}} {
		if a.addr != 0 {
			dst = append(dst, ' ')
			dst = append(dst, a.name...)
			dst = append(dst, '=')
			dst = a.addr.Netip().AppendTo(dst)
		}
	}
	dst = append(dst, " chaddr="...)
	for i, c := range v.CHAddr() {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = hex.AppendEncode(dst, []byte{c})
	}
	dst = appendString(dst, " sname=", v.SName())
	dst = appendString(dst, " file=", v.File())
	dst = append(dst, '\n')

	for i := HeaderLen; i < len(msg); {
		code := msg[i]
		if code == OptPad {
			i++
			continue
		}
		if code == OptEnd {
			break
		}
		if i+2 > len(msg) || i+2+int(msg[i+1]) > len(msg) {
			dst = append(dst, "  truncated: "...)
			dst = hex.AppendEncode(dst, msg[i:])
			dst = append(dst, '\n')
			break
		}
		val := msg[i+2 : i+2+int(msg[i+1])]
		i += 2 + len(val)
		dst = append(dst, "  "...)
		dst = appendOption(dst, &optionDefs[code], code, val)
		dst = append(dst, '\n')
	}
	if n := v.Notes(); n != 0 {
		dst = append(dst, "  notes: "...)
		dst = append(dst, n.String()...)
		dst = append(dst, '\n')
	}
	return dst
}

func appendOption(dst []byte, d *optionDef, code uint8, val []byte) []byte {
	if d.name != "" {
		dst = append(dst, d.name...)
	} else {
		dst = append(dst, "option"...)
	}
	dst = append(dst, '(')
	dst = strconv.AppendUint(dst, uint64(code), 10)
	dst = append(dst, ") "...)
	switch {
	case d == &optionDefs[OptMessageType] && len(val) == 1:
		return append(dst, MsgType(val[0]).String()...)
	case d == &optionDefs[OptRelayAgentInformation]:
		return appendRAI(dst, val)
	}
	return appendValue(dst, d, val)
}

func appendRAI(dst, b []byte) []byte {
	dst = append(dst, '{')
	for i := 0; i < len(b); {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if i+2 > len(b) || i+2+int(b[i+1]) > len(b) {
			dst = append(dst, "truncated: "...)
			dst = hex.AppendEncode(dst, b[i:])
			break
		}
		val := b[i+2 : i+2+int(b[i+1])]
		dst = appendOption(dst, &raiDefs[b[i]], b[i], val)
		i += 2 + len(val)
	}
	return append(dst, '}')
}

// appendValue prints val as its type says, in hex if its length does not suit.
func appendValue(dst []byte, d *optionDef, val []byte) []byte {
	size := int(d.size)
	switch {
	case d.text == tString && len(val) > 0:
		return strconv.AppendQuote(dst, string(val))
	case d.text == tHex || len(val) == 0 || size == 0 || len(val)%size != 0:
		dst = append(dst, "0x"...)
		return hex.AppendEncode(dst, val)
	}
	for i := 0; i < len(val); i += size {
		if i > 0 {
			dst = append(dst, ',')
		}
		x := uint64(0)
		for _, c := range val[i : i+size] {
			x = x<<8 | uint64(c)
		}
		switch d.text {
		case tIP:
			dst = IPv4(x).Netip().AppendTo(dst)
		case tInt:
			dst = strconv.AppendInt(dst, int64(int32(x)), 10)
		default:
			dst = strconv.AppendUint(dst, x, 10)
		}
	}
	return dst
}

func appendField(dst []byte, name string, v uint64) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, '=')
	return strconv.AppendUint(dst, v, 10)
}

func appendHex32(dst []byte, v uint32) []byte {
	return hex.AppendEncode(dst, []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// appendString prints a NUL-padded field if it is not empty.
func appendString(dst []byte, name string, b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return dst
	}
	dst = append(dst, name...)
	return strconv.AppendQuote(dst, string(b))
}
