package frame

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random tests")

func rnd(t testing.TB) *rand.Rand {
	t.Logf("repeat with -seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}

// naiveChecksum is RFC 1071 word by word: the twin of sum and fold.
func naiveChecksum(b []byte) uint16 {
	s := uint32(0)
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		s += w
		if s > 0xffff {
			s = s&0xffff + 1
		}
	}
	return ^uint16(s)
}

func TestChecksumTwin(t *testing.T) {
	r := rnd(t)
	for range 5000 {
		b := make([]byte, r.IntN(1600))
		for i := range b {
			switch r.IntN(4) { // runs of ones are where carries hide
			case 0:
				b[i] = byte(r.Uint32())
			default:
				b[i] = 0xff
			}
		}
		var got [2]byte
		putChecksum(got[:], sum(b, 0))
		want := naiveChecksum(b)
		if g := binary.BigEndian.Uint16(got[:]); g != want && !(g == 0 && want == 0xffff || g == 0xffff && want == 0) {
			t.Fatalf("%d octets: %#04x, want %#04x", len(b), g, want)
		}
	}
}

func out4() Out4 {
	return Out4{
		DstMAC: [6]byte{2, 0, 0, 0, 0, 1}, SrcMAC: [6]byte{2, 0, 0, 0, 0, 2},
		Src4: 0xC0000201, Dst4: 0xC6336402, SrcPort: 67, DstPort: 68,
	}
}

func frame4(vlans uint8, payload []byte) []byte {
	o := out4()
	o.VLANCount = vlans
	o.VLANs = [2]VLAN{{EtherTypeQinQ, 0x0064}, {EtherTypeVLAN, 0xE0C8}}
	b := make([]byte, HeaderLen4(vlans)+len(payload))
	copy(b[HeaderLen4(vlans):], payload)
	return b[:Write4(b, &o, len(payload))]
}

func frame6(vlans uint8, payload []byte) []byte {
	o := Out6{DstMAC: [6]byte{2, 0, 0, 0, 0, 1}, SrcMAC: [6]byte{2, 0, 0, 0, 0, 2}, VLANCount: vlans,
		VLANs: [2]VLAN{{EtherTypeVLAN, 1}, {EtherTypeVLAN, 2}},
		Src6:  [16]byte{0xfe, 0x80, 15: 1}, Dst6: [16]byte{0xff, 2, 13: 1, 15: 2}, SrcPort: 546, DstPort: 547}
	b := make([]byte, HeaderLen6(vlans)+len(payload))
	copy(b[HeaderLen6(vlans):], payload)
	return b[:Write6(b, &o, len(payload))]
}

func TestRoundTrip(t *testing.T) {
	r := rnd(t)
	for range 500 {
		payload := make([]byte, r.IntN(1400))
		for i := range payload {
			payload[i] = byte(r.Uint32())
		}
		vlans := uint8(r.IntN(3))
		for _, b := range [][]byte{frame4(vlans, payload), frame6(vlans, payload)} {
			padded := append(bytes.Clone(b), make([]byte, r.IntN(20))...)
			var h Headers
			if got := Decode(padded, &h); got != ReasonOK {
				t.Fatalf("%d tags, %d octets: %v", vlans, len(payload), got)
			}
			if h.VLANCount != vlans || int(h.L3Off) != etherLen+int(vlans)*tagLen || h.ChecksumPartial {
				t.Fatalf("%+v", h)
			}
			if !bytes.Equal(padded[h.PayloadOff:][:h.PayloadLen], payload) {
				t.Fatalf("payload differs")
			}
		}
	}
}

func TestDecodeFields(t *testing.T) {
	var h Headers
	if r := Decode(frame4(2, []byte("x")), &h); r != ReasonOK {
		t.Fatal(r)
	}
	want := Headers{
		DstMAC: [6]byte{2, 0, 0, 0, 0, 1}, SrcMAC: [6]byte{2, 0, 0, 0, 0, 2},
		VLANs: [2]VLAN{{EtherTypeQinQ, 0x0064}, {EtherTypeVLAN, 0xE0C8}}, VLANCount: 2,
		Family: 4, Src4: 0xC0000201, Dst4: 0xC6336402, SrcPort: 67, DstPort: 68,
		L3Off: 22, PayloadOff: 50, PayloadLen: 1,
	}
	if h != want {
		t.Fatalf("got  %+v\nwant %+v", h, want)
	}
	h = Headers{}
	if r := Decode(frame6(0, []byte("xy")), &h); r != ReasonOK {
		t.Fatal(r)
	}
	want = Headers{
		DstMAC: [6]byte{2, 0, 0, 0, 0, 1}, SrcMAC: [6]byte{2, 0, 0, 0, 0, 2},
		Family: 6, Src6: [16]byte{0xfe, 0x80, 15: 1}, Dst6: [16]byte{0xff, 2, 13: 1, 15: 2},
		SrcPort: 546, DstPort: 547, L3Off: 14, PayloadOff: 62, PayloadLen: 2,
	}
	if h != want {
		t.Fatalf("got  %+v\nwant %+v", h, want)
	}
}

// fix4 repairs the IPv4 header checksum of an untagged frame.
func fix4(b []byte) {
	ip := b[14:]
	n := int(ip[0]&15) * 4
	if n < 20 || n > len(ip) {
		n = 20
	}
	ip[10], ip[11] = 0, 0
	putChecksum(ip[10:], sum(ip[:n], 0))
}

// withIPOptions inserts n octets of IPv4 options (a multiple of 4).
func withIPOptions(b []byte, n int) []byte {
	b = append(b[:34:34], append(bytes.Repeat([]byte{1}, n), b[34:]...)...)
	b[14] = 0x45 + byte(n/4)
	binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
	fix4(b)
	return b
}

var payload = bytes.Repeat([]byte{0xa5, 3}, 150)

// decodeCases are a valid frame and one mutation each.
var decodeCases = []struct {
	name    string
	base    []byte
	mutate  func(b []byte) []byte
	want    Reason
	partial bool
}{
	{"valid v4", frame4(0, payload), nil, ReasonOK, false},
	{"valid v6", frame6(0, payload), nil, ReasonOK, false},
	{"empty payload", frame4(0, nil), nil, ReasonOK, false},
	{"empty", frame4(0, payload), func(b []byte) []byte { return nil }, ReasonEtherTruncated, false},
	{"13 octets", frame4(0, payload), func(b []byte) []byte { return b[:13] }, ReasonEtherTruncated, false},
	{"tag cut", frame4(1, payload), func(b []byte) []byte { return b[:17] }, ReasonEtherTruncated, false},
	{"three tags", frame4(2, payload), func(b []byte) []byte {
		return append(b[:12:12], append([]byte{0x81, 0, 0, 9}, b[12:]...)...)
	}, ReasonVLANDepth, false},
	{"arp", frame4(0, payload), func(b []byte) []byte { b[13] = 6; return b }, ReasonNotIP, false},
	{"802.3 length", frame4(0, payload), func(b []byte) []byte { b[12], b[13] = 0, 100; return b }, ReasonNotIP, false},
	{"no ip header", frame4(0, payload), func(b []byte) []byte { return b[:33] }, ReasonIPTruncated, false},
	{"no ipv6 header", frame6(0, payload), func(b []byte) []byte { return b[:53] }, ReasonIPTruncated, false},
	{"version 6 in 0x0800", frame4(0, payload), func(b []byte) []byte { b[14] = 0x65; return b }, ReasonIPVersion, false},
	{"version 4 in 0x86dd", frame6(0, payload), func(b []byte) []byte { b[14] = 0x45; return b }, ReasonIPVersion, false},
	{"ihl 4", frame4(0, payload), func(b []byte) []byte { b[14] = 0x44; fix4(b); return b }, ReasonIPHeaderLen, false},
	{"ihl past total", frame4(0, payload), func(b []byte) []byte { b[14] = 0x4f; b[16], b[17] = 0, 28; return b }, ReasonIPHeaderLen, false},
	{"ip options", frame4(0, payload), func(b []byte) []byte { return withIPOptions(b, 4) }, ReasonOK, false},
	{"most ip options", frame4(0, payload), func(b []byte) []byte { return withIPOptions(b, 40) }, ReasonOK, false},
	{"total past frame", frame4(0, payload), func(b []byte) []byte { return b[:len(b)-1] }, ReasonIPTotalLen, false},
	{"v6 length past frame", frame6(0, payload), func(b []byte) []byte { return b[:len(b)-1] }, ReasonIPTotalLen, false},
	{"ip checksum", frame4(0, payload), func(b []byte) []byte { b[24] ^= 1; return b }, ReasonIPChecksum, false},
	{"first fragment", frame4(0, payload), func(b []byte) []byte { b[20] = 0x20; fix4(b); return b }, ReasonFragment, false},
	{"last fragment", frame4(0, payload), func(b []byte) []byte { b[20], b[21] = 0, 8; fix4(b); return b }, ReasonFragment, false},
	{"reserved flag", frame4(0, payload), func(b []byte) []byte { b[20] = 0x80; fix4(b); return b }, ReasonOK, false},
	{"v6 fragment", frame6(0, payload), func(b []byte) []byte { b[20] = 44; return b }, ReasonFragment, false},
	{"v6 authentication header", frame6(0, payload), func(b []byte) []byte { b[20] = 51; return b }, ReasonIPv6ExtHeader, false},
	{"tcp", frame4(0, payload), func(b []byte) []byte { b[23] = 6; fix4(b); return b }, ReasonNotUDP, false},
	{"icmpv6", frame6(0, payload), func(b []byte) []byte { b[20] = 58; return b }, ReasonNotUDP, false},
	{"no udp header", frame4(0, payload), func(b []byte) []byte { b[16], b[17] = 0, 27; fix4(b); return b }, ReasonUDPTruncated, false},
	{"udp length 7", frame4(0, payload), func(b []byte) []byte { b[38], b[39] = 0, 7; return b }, ReasonUDPLen, false},
	{"udp past ip", frame4(0, payload), func(b []byte) []byte { b[39]++; return b }, ReasonUDPLen, false},
	{"udp checksum", frame4(0, payload), func(b []byte) []byte { b[60] ^= 4; return b }, ReasonUDPChecksum, false},
	{"v6 udp checksum", frame6(0, payload), func(b []byte) []byte { b[70] ^= 4; return b }, ReasonUDPChecksum, false},
	{"addresses are covered", frame4(0, payload), func(b []byte) []byte { b[29] ^= 1; fix4(b); return b }, ReasonUDPChecksum, false},
	{"no checksum v4", frame4(0, payload), func(b []byte) []byte { b[40], b[41] = 0, 0; return b }, ReasonOK, false},
	{"no checksum v6", frame6(0, payload), func(b []byte) []byte { b[60], b[61] = 0, 0; return b }, ReasonUDPChecksumZero, false},
	{"partial v4", frame4(0, payload), func(b []byte) []byte {
		binary.LittleEndian.PutUint16(b[40:], fold(pseudo4(b[26:34], uint16(len(b)-34))))
		return b
	}, ReasonOK, true},
	{"partial v6", frame6(0, payload), func(b []byte) []byte {
		binary.LittleEndian.PutUint16(b[60:], fold(pseudo6(b[22:54], uint16(len(b)-54))))
		return b
	}, ReasonOK, true},
	{"partial, one off", frame4(0, payload), func(b []byte) []byte {
		binary.LittleEndian.PutUint16(b[40:], fold(pseudo4(b[26:34], uint16(len(b)-34)))+1)
		return b
	}, ReasonUDPChecksum, false},
}

func TestDecode(t *testing.T) {
	seen := map[Reason]bool{}
	for _, c := range decodeCases {
		b := bytes.Clone(c.base)
		if c.mutate != nil {
			b = c.mutate(b)
		}
		var h Headers
		if got := Decode(b, &h); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		} else if got == ReasonOK && h.ChecksumPartial != c.partial {
			t.Errorf("%s: partial %v", c.name, h.ChecksumPartial)
		}
		seen[c.want] = true
	}
	for r := range NumReasons {
		if !seen[r] {
			t.Errorf("no case for %v", r)
		}
	}
}

// A frame as Linux sends it over veth: the field holds the pseudo-header sum.
func TestPartialChecksumValue(t *testing.T) {
	b := frame4(0, []byte("hi"))
	pseudo := append(bytes.Clone(b[26:34]), 0, 17, 0, 10)
	want := ^naiveChecksum(pseudo)
	var got [2]byte
	binary.LittleEndian.PutUint16(got[:], fold(pseudo4(b[26:34], 10)))
	if g := binary.BigEndian.Uint16(got[:]); g != want {
		t.Fatalf("%#04x, want %#04x", g, want)
	}
}

func TestReasonLabels(t *testing.T) {
	seen := map[string]bool{}
	for r := range NumReasons {
		s := r.String()
		if s == "" || s == "unknown" || seen[s] {
			t.Errorf("reason %d: label %q", r, s)
		}
		seen[s] = true
	}
	if NumReasons.String() != "unknown" {
		t.Error("a reason out of range has a label")
	}
}

// RFC 768: a computed checksum of zero is sent as all ones.
func TestChecksumZeroIsSentAsOnes(t *testing.T) {
	p := make([]byte, 2)
	for v := range 0x10000 {
		binary.BigEndian.PutUint16(p, uint16(v))
		b := frame4(0, p)
		c := binary.BigEndian.Uint16(b[40:])
		if c == 0 {
			t.Fatalf("payload %#04x: checksum 0 is written", v)
		}
		if c == 0xffff {
			var h Headers
			if r := Decode(b, &h); r != ReasonOK {
				t.Fatal(r)
			}
			return
		}
	}
	t.Fatal("no payload gives a sum of zero")
}

func TestNoUDPChecksum(t *testing.T) {
	o := out4()
	o.NoUDPChecksum = true
	b := make([]byte, 64)
	n := Write4(b, &o, 10)
	var h Headers
	if r := Decode(b[:n], &h); r != ReasonOK || b[40]|b[41] != 0 {
		t.Fatal(r, b[40:42])
	}
}

func TestWritePanicsWithoutRoom(t *testing.T) {
	for _, n := range []int{-1, 65508, 100} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("payload length %d: no panic", n)
				}
			}()
			o := out4()
			Write4(make([]byte, 50), &o, n)
		}()
	}
}

func TestNoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	b4, b6 := frame4(2, payload), frame6(2, payload)
	var h Headers
	o4, o6 := out4(), Out6{}
	buf := make([]byte, 2048)
	if n := testing.AllocsPerRun(100, func() {
		Decode(b4, &h)
		Decode(b6, &h)
		Write4(buf, &o4, 300)
		Write6(buf, &o6, 300)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range decodeCases {
		b := bytes.Clone(c.base)
		if c.mutate != nil {
			b = c.mutate(b)
		}
		f.Add(b)
	}
	f.Add(frame4(1, payload))
	f.Add(frame6(2, payload))
	f.Add(withExt(0, ext{0, nil}, ext{60, []byte{1, 4, 0, 0, 0, 0}}, ext{43, []byte{0, 0}}))
	f.Add(withExt(1, ext{44, []byte{0, 0, 0, 0, 0, 1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Headers
		if r := Decode(b, &h); r != ReasonOK {
			if r >= NumReasons {
				t.Fatalf("reason %d", r)
			}
			return
		}
		if int(h.PayloadOff)+int(h.PayloadLen) > len(b) {
			t.Fatalf("payload ends at %d of %d", int(h.PayloadOff)+int(h.PayloadLen), len(b))
		}
		// Writing what was read gives a frame that reads the same.
		out := make([]byte, MaxHeaderLen+int(h.PayloadLen))
		var n int
		if h.Family == 4 {
			o := Out4{h.DstMAC, h.SrcMAC, h.VLANs, h.VLANCount, h.Src4, h.Dst4, h.SrcPort, h.DstPort, 0, false}
			copy(out[HeaderLen4(h.VLANCount):], b[h.PayloadOff:][:h.PayloadLen])
			if int(h.PayloadLen) > 0xffff-28 {
				return
			}
			n = Write4(out, &o, int(h.PayloadLen))
		} else {
			o := Out6{h.DstMAC, h.SrcMAC, h.VLANs, h.VLANCount, h.Src6, h.Dst6, h.SrcPort, h.DstPort, 0}
			copy(out[HeaderLen6(h.VLANCount):], b[h.PayloadOff:][:h.PayloadLen])
			n = Write6(out, &o, int(h.PayloadLen))
		}
		var g Headers
		g.VLANs = h.VLANs // unused tags keep what was there
		if r := Decode(out[:n], &g); r != ReasonOK {
			t.Fatalf("own frame: %v", r)
		}
		g.ChecksumPartial, g.PayloadOff = h.ChecksumPartial, h.PayloadOff
		g.Src6, g.Dst6 = h.Src6, h.Dst6
		if g != h {
			t.Fatalf("got  %+v\nwant %+v", g, h)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	f := frame4(0, make([]byte, 300))
	var h Headers
	b.ReportAllocs()
	for b.Loop() {
		Decode(f, &h)
	}
}

func BenchmarkWrite4(b *testing.B) {
	o := out4()
	buf := make([]byte, 512)
	b.ReportAllocs()
	for b.Loop() {
		Write4(buf, &o, 300)
	}
}
