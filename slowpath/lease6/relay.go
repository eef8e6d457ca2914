package lease6

import "encoding/binary"

// Relay is one relay's part of the relay information: what Kea's
// store-extended-info keeps of a RELAY-FORW message (RFC 8415 §9).
type Relay struct {
	Hop     uint8
	Link    IPv6
	Peer    IPv6
	Options []byte // as on the wire, without the relay-message option
}

const relayFixed = 1 + 16 + 16 + 2

// AppendRelay appends one relay's part to the relay information b: hop count,
// link address, peer address, length of the options (two octets, most
// significant first), options. The relay nearest to the server comes first. More
// than 65535 octets of options are cut, which SetRelays then refuses.
func AppendRelay(b []byte, r *Relay) []byte {
	n := min(len(r.Options), 1<<16-1)
	b = append(b, r.Hop)
	b = append(b, r.Link[:]...)
	b = append(b, r.Peer[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	return append(b, r.Options[:n]...)
}

// NextRelay takes the first relay's part off the relay information b into r,
// whose Options alias b. ok is false at the end, and for what AppendRelay did not
// make.
func NextRelay(b []byte, r *Relay) (rest []byte, ok bool) {
	if len(b) < relayFixed {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(b[relayFixed-2:]))
	if len(b) < relayFixed+n {
		return nil, false
	}
	r.Hop = b[0]
	copy(r.Link[:], b[1:])
	copy(r.Peer[:], b[17:])
	r.Options = b[relayFixed : relayFixed+n]
	return b[relayFixed+n:], true
}

// ValidRelays reports whether b is empty or what AppendRelay makes.
func ValidRelays(b []byte) bool {
	var r Relay
	for len(b) > 0 {
		var ok bool
		if b, ok = NextRelay(b, &r); !ok {
			return false
		}
	}
	return true
}
