package loadgen

import (
	"encoding/binary"
)

// Message types and options of DHCPv6 (RFC 8415 §7.3 and §21) as far as the
// generator needs them.
const (
	msg6Solicit      = 1
	msg6Advertise    = 2
	msg6Request      = 3
	msg6Renew        = 5
	msg6Rebind       = 6
	msg6Reply        = 7
	msg6Release      = 8
	msg6RelayForward = 12
	msg6RelayReply   = 13

	opt6ClientID     = 1
	opt6ServerID     = 2
	opt6IANA         = 3
	opt6IAAddr       = 5
	opt6ORO          = 6
	opt6ElapsedTime  = 8
	opt6RelayMessage = 9
	opt6StatusCode   = 13
	opt6RapidCommit  = 14
	opt6IAPD         = 25
	opt6IAPrefix     = 26

	opt6DNSServers   = 23
	opt6DomainSearch = 24

	header6Len      = 4
	relayHeader6Len = 34
	ia6Len          = 12 // IAID, T1, T2
	iaAddr6Len      = 24
	iaPrefix6Len    = 25
	// maxDUID6 is the longest DUID with its type (RFC 8415 §11.1).
	maxDUID6 = 130
	// maxRelays6 is how many RELAY-REPLs around an answer are taken off.
	maxRelays6 = 8
)

// view6 is a received message. Its slices lie in the message.
type view6 struct {
	Type    uint8
	Relays  int // RELAY-REPLs around it
	XID     uint32
	Rapid   bool
	Status  uint16 // of the message; 0 is success, also if there is none
	Options []byte
	// ClientID, ServerID, IANA and IAPD are the values of the first option of
	// each kind, nil if there is none.
	ClientID, ServerID, IANA, IAPD []byte
	// Addr and Prefix are the first with a lifetime.
	Addr, Prefix       [16]byte
	HasAddr, HasPrefix bool
	PrefixLen          uint8
}

// parse reads a message; false means that it is malformed.
func (v *view6) parse(msg []byte) bool {
	*v = view6{}
	for len(msg) > 0 && msg[0] == msg6RelayReply {
		if v.Relays++; v.Relays > maxRelays6 || len(msg) < relayHeader6Len {
			return false
		}
		var inner []byte
		for rest := msg[relayHeader6Len:]; len(rest) > 0; {
			code, val, next, ok := option6(rest)
			if !ok {
				return false
			}
			if code == opt6RelayMessage && inner == nil {
				inner = val
			}
			rest = next
		}
		msg = inner
	}
	if len(msg) < header6Len {
		return false
	}
	v.Type = msg[0]
	v.XID = uint32(msg[1])<<16 | uint32(msg[2])<<8 | uint32(msg[3])
	v.Options = msg[header6Len:]
	for rest := v.Options; len(rest) > 0; {
		code, val, next, ok := option6(rest)
		if !ok {
			return false
		}
		rest = next
		switch code {
		case opt6ClientID:
			if v.ClientID == nil {
				v.ClientID = val
			}
		case opt6ServerID:
			if v.ServerID == nil {
				v.ServerID = val
			}
		case opt6IANA:
			if len(val) < ia6Len {
				return false
			}
			if v.IANA == nil {
				v.IANA = val
			}
			if !v.lease(val[ia6Len:]) {
				return false
			}
		case opt6IAPD:
			if len(val) < ia6Len {
				return false
			}
			if v.IAPD == nil {
				v.IAPD = val
			}
			if !v.lease(val[ia6Len:]) {
				return false
			}
		case opt6RapidCommit:
			v.Rapid = true
		case opt6StatusCode:
			if len(val) < 2 {
				return false
			}
			v.Status = binary.BigEndian.Uint16(val)
		}
	}
	return len(v.ClientID) <= maxDUID6 && len(v.ServerID) <= maxDUID6
}

// lease reads the options of an IA.
func (v *view6) lease(rest []byte) bool {
	for len(rest) > 0 {
		code, val, next, ok := option6(rest)
		if !ok {
			return false
		}
		rest = next
		switch code {
		case opt6IAAddr:
			if len(val) < iaAddr6Len {
				return false
			}
			if !v.HasAddr && binary.BigEndian.Uint32(val[20:]) > 0 {
				v.Addr, v.HasAddr = [16]byte(val[:16]), true
			}
		case opt6IAPrefix:
			if len(val) < iaPrefix6Len || val[8] > 128 {
				return false
			}
			if !v.HasPrefix && binary.BigEndian.Uint32(val[4:]) > 0 {
				v.Prefix, v.PrefixLen, v.HasPrefix = [16]byte(val[9:25]), val[8], true
			}
		}
	}
	return true
}

// option6 takes one option off b.
func option6(b []byte) (code uint16, val, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, nil, false
	}
	code = binary.BigEndian.Uint16(b)
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n > len(b)-4 {
		return 0, nil, nil, false
	}
	return code, b[4 : 4+n : 4+n], b[4+n:], true
}

// appendOption6 appends an option.
func appendOption6(b []byte, code uint16, val []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(val)))
	return append(b, val...)
}

// appendIA6 appends an IA_NA or IA_PD of perfdhcp's: IAID 1, T1 3600, T2 5400;
// inner is the length of the options that follow.
func appendIA6(b []byte, code uint16, inner int) []byte {
	b = binary.BigEndian.AppendUint16(b, code)
	b = binary.BigEndian.AppendUint16(b, uint16(ia6Len+inner))
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, 3600)
	return binary.BigEndian.AppendUint32(b, 5400)
}

// appendIAAddr6 and appendIAPrefix6 append what is asked for; a client leaves the
// lifetimes to the server (RFC 8415 §18.2.2).
func appendIAAddr6(b []byte, addr *[16]byte) []byte {
	b = append(b, 0, opt6IAAddr, 0, iaAddr6Len)
	b = append(b, addr[:]...)
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0)
}

func appendIAPrefix6(b []byte, prefix *[16]byte, n uint8) []byte {
	b = append(b, 0, opt6IAPrefix, 0, iaPrefix6Len, 0, 0, 0, 0, 0, 0, 0, 0, n)
	return append(b, prefix[:]...)
}
