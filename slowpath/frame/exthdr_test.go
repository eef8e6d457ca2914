package frame

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// ext is an extension header of a type with what stands behind its two first
// octets, padded with zeroes, which are Pad1, to a multiple of eight.
type ext struct {
	typ  uint8
	body []byte
}

// withExt puts extension headers into an IPv6 frame with a tag or without.
func withExt(vlans uint8, headers ...ext) []byte {
	b := frame6(vlans, payload)
	at := int(etherLen+vlans*tagLen) + ip6Len
	var chain []byte
	for i, x := range headers {
		next := uint8(protoUDP)
		if i+1 < len(headers) {
			next = headers[i+1].typ
		}
		h := append([]byte{next, 0}, x.body...)
		h = append(h, make([]byte, (8-len(h)%8)%8)...)
		h[1] = uint8(len(h)/8 - 1)
		chain = append(chain, h...)
	}
	b = append(b[:at:at], append(chain, b[at:]...)...)
	if len(headers) > 0 {
		b[at-ip6Len+6] = headers[0].typ
	}
	binary.BigEndian.PutUint16(b[at-ip6Len+4:], uint16(len(b)-at))
	return b
}

// RFC 8200 §4: headers that only have to be passed over are, others are refused.
func TestExtensionHeaders(t *testing.T) {
	hop, dst := ext{0, []byte{5, 2, 0, 0}}, ext{60, []byte{1, 4, 0, 0, 0, 0}}
	route := ext{43, []byte{0, 0, 0, 0, 0, 0}}
	cut := func(n int) func(b []byte) { return func(b []byte) { binary.BigEndian.PutUint16(b[18:], uint16(n)) } }
	for _, c := range []struct {
		name    string
		headers []ext
		mutate  func(b []byte)
		want    Reason
	}{
		{"hop-by-hop with router alert", []ext{hop}, nil, ReasonOK},
		{"destination options", []ext{dst}, nil, ReasonOK},
		{"routing header at its end", []ext{route}, nil, ReasonOK},
		{"all of them (§4.1)", []ext{hop, dst, route, dst}, nil, ReasonOK},
		{"long one", []ext{{60, bytes.Repeat([]byte{1, 0}, 500)}}, nil, ReasonOK},
		{"unknown option to be skipped", []ext{{60, []byte{0x1e, 4, 1, 2, 3, 4}}}, nil, ReasonOK},
		{"five", []ext{hop, dst, route, dst, dst}, nil, ReasonIPv6ExtHeader},
		{"hop-by-hop not first (§4.1)", []ext{dst, hop}, nil, ReasonIPv6ExtHeader},
		{"segments left (§4.4)", []ext{{43, []byte{4, 1, 0, 0, 0, 0}}}, nil, ReasonIPv6ExtHeader},
		{"unknown option to discard at (§4.2)", []ext{{0, []byte{0x5e, 0}}}, nil, ReasonIPv6ExtHeader},
		{"unknown option to report", []ext{{60, []byte{0x9e, 0}}}, nil, ReasonIPv6ExtHeader},
		{"home address", []ext{{60, append([]byte{0xc9, 16}, make([]byte, 16)...)}}, nil, ReasonIPv6ExtHeader},
		{"option past its header", []ext{{60, []byte{1, 5, 0, 0, 0, 0}}}, nil, ReasonIPv6ExtHeader},
		{"option without length", []ext{{60, []byte{0, 0, 0, 0, 0, 0x1e}}}, nil, ReasonIPv6ExtHeader},
		{"fragment header behind another (§4.5)", []ext{dst, {44, []byte{0, 0, 0, 0, 0, 1}}}, nil, ReasonFragment},
		{"fragment that is whole (RFC 6946)", []ext{{44, []byte{0, 0, 0, 0, 0, 1}}}, nil, ReasonFragment},
		{"authentication header", []ext{hop, {51, nil}}, nil, ReasonIPv6ExtHeader},
		{"header past the packet", []ext{dst}, func(b []byte) { b[55] = 200 }, ReasonIPTotalLen},
		{"seven octets of a header", []ext{dst}, cut(7), ReasonIPTotalLen},
		{"a header and no more", []ext{dst}, cut(8), ReasonUDPTruncated},
		{"no next header", []ext{dst}, func(b []byte) { b[54] = 59 }, ReasonNotUDP},
		{"checksum", []ext{dst}, func(b []byte) { b[80] ^= 1 }, ReasonUDPChecksum},
		{"no checksum", []ext{dst}, func(b []byte) { b[68], b[69] = 0, 0 }, ReasonUDPChecksumZero},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := withExt(0, c.headers...)
			if c.mutate != nil {
				c.mutate(b)
			}
			var h Headers
			if r := Decode(b, &h); r != c.want {
				t.Fatalf("%v, want %v", r, c.want)
			}
			if c.want == ReasonOK && (h.Family != 6 || h.DstPort != 547 || !bytes.Equal(b[h.PayloadOff:][:h.PayloadLen], payload)) {
				t.Errorf("headers %+v", h)
			}
		})
	}
	var h Headers
	b := withExt(2, hop, route)
	if r := Decode(b, &h); r != ReasonOK || h.VLANCount != 2 || !bytes.Equal(b[h.PayloadOff:][:h.PayloadLen], payload) {
		t.Errorf("with two tags: %v, %+v", r, h)
	}
	if !raceEnabled {
		if n := testing.AllocsPerRun(100, func() { Decode(b, &h) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
