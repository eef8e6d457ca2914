package dhcp4

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// codes lists the options of a message in wire order.
func codes(t *testing.T, b []byte) (c []byte) {
	t.Helper()
	for i := HeaderLen; ; {
		if i >= len(b) {
			t.Fatal("no END")
		}
		c = append(c, b[i])
		if b[i] == OptEnd {
			if i != len(b)-1 {
				t.Fatalf("%d octets behind END", len(b)-1-i)
			}
			return c
		}
		i += 2 + int(b[i+1])
	}
}

func offer() *Reply {
	r := &Reply{Type: MsgOffer, XID: 7, HType: 1, HLen: 6, YIAddr: 0xC0000205}
	r.Set(OptRelayAgentInformation, []byte{1, 1, 'a'})
	r.Set(OptDomainName, []byte("example.net"))
	r.SetIP(OptServerIdentifier, 0xC0000201)
	r.SetU32(OptIPAddressLeaseTime, 3600)
	r.SetIP(OptSubnetMask, 0xFFFFFF00)
	r.Set(OptClientIdentifier, []byte{1, 2, 3})
	r.SetU8(OptAutoConfigure, 1)
	r.SetU16(OptInterfaceMTU, 1400)
	r.Set(OptPrivateLast, []byte{})
	return r
}

// V4-014: 53 first, ascending, 82 second to last, END last, no padding.
func TestWireOrder(t *testing.T) {
	b, dropped := offer().Append(nil, 576, nil)
	if want := []byte{53, 1, 15, 26, 51, 54, 61, 116, 254, 82, 255}; !bytes.Equal(codes(t, b), want) || dropped != 0 {
		t.Fatalf("%v, want %v; dropped %d", codes(t, b), want, dropped)
	}
	var v View
	if r := v.ParseReply(b); r != ReasonOK || v.Notes() != NoteZeroCHAddr {
		t.Fatal(r, v.Notes())
	}
	want := map[uint8]string{1: "\xff\xff\xff\x00", 15: "example.net", 26: "\x05\x78", 51: "\x00\x00\x0e\x10",
		54: "\xc0\x00\x02\x01", 61: "\x01\x02\x03", 116: "\x01", 254: "", 82: "\x01\x01a"}
	for c, w := range want {
		if got := v.Option(c); got == nil || string(got) != w {
			t.Errorf("option %d: %q, want %q", c, got, w)
		}
	}
}

func TestHeaderFields(t *testing.T) {
	q := discover()
	copy(q, []byte{1, 1, 6, 4})
	copy(q[offFlags:], []byte{0x80, 0})
	copy(q[offGIAddr:], []byte{10, 1, 2, 3})
	copy(q[offSecs:], []byte{0, 9})
	copy(q[offCHAddr+6:], "junk") // behind hlen
	var v View
	v.Parse(q)
	r := offer()
	r.CopyHeader(&v)
	r.SIAddr, r.CIAddr = 0x0A000001, 0x0A000002
	r.SName, r.File = bytes.Repeat([]byte{'s'}, 70), []byte("pxe")
	b, _ := r.Append([]byte("before"), 576, nil)
	if string(b[:6]) != "before" {
		t.Fatalf("%q", b[:6])
	}
	var w View
	if r := w.ParseReply(b[6:]); r != ReasonOK {
		t.Fatal(r)
	}
	if w.XID() != v.XID() || w.Flags() != 0x8000 || w.Hops() != 4 || w.GIAddr() != 0x0A010203 || w.HLen() != 6 || w.HType() != 1 ||
		w.Secs() != 0 || w.YIAddr() != 0xC0000205 || w.SIAddr() != 0x0A000001 || w.CIAddr() != 0x0A000002 {
		t.Errorf("%s", AppendText(nil, b[6:]))
	}
	if !bytes.Equal(b[6+offCHAddr:][:16], append([]byte{2, 0, 0, 0, 0, 9}, make([]byte, 10)...)) {
		t.Errorf("chaddr %x", b[6+offCHAddr:][:16])
	}
	if string(w.SName()) != string(bytes.Repeat([]byte{'s'}, 64)) || string(w.File()[:4]) != "pxe\x00" {
		t.Errorf("%q %q", w.SName(), w.File())
	}
}

func TestReset(t *testing.T) {
	r := offer()
	r.SName, r.Hops, r.Secs, r.Flags, r.Op = []byte("x"), 1, 2, 3, 1
	r.CHAddr[5], r.GIAddr, r.SIAddr, r.CIAddr = 9, 1, 2, 3
	r.Reset()
	got, _ := r.Append(nil, 576, nil)
	var zero Reply
	want, _ := zero.Append(nil, 576, nil)
	if !bytes.Equal(got, want) || r.Len() != 0 {
		t.Errorf("%x", got)
	}
}

func TestOverwritesOldOctets(t *testing.T) {
	buf := bytes.Repeat([]byte{0xee}, 600)
	r := Reply{Type: MsgAck}
	got, _ := r.Append(buf[:0], 576, nil)
	want, _ := r.Append(nil, 576, nil)
	if !bytes.Equal(got, want) {
		t.Error("octets of the buffer shine through")
	}
}

func TestListOperations(t *testing.T) {
	r := rnd(t)
	var p Reply
	twin := map[uint8][]byte{}
	for step := range 20000 {
		code := uint8(r.IntN(256))
		if step%1000 == 999 {
			p.Reset()
			clear(twin)
		}
		data := []byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}
		full := len(twin) == MaxReplyOptions
		if _, ok := twin[code]; ok {
			full = false
		}
		refused := full || code == 0 || code == 255 || code == 53
		var ok bool
		switch r.IntN(6) {
		case 0:
			if code == 53 {
				continue
			}
			ok = p.Set(code, data)
		case 1:
			if code == 53 {
				continue
			}
			ok, data = p.SetU8(code, data[0]), data[:1]
		case 2:
			ok, data = p.SetU16(code, uint16(data[0])<<8|uint16(data[1])), data[:2]
		case 3:
			ok = p.SetIP(code, AddrFromSlice(data))
		default:
			p.Del(code)
			delete(twin, code)
			continue
		}
		if ok == refused {
			t.Fatalf("step %d, code %d: %v", step, code, ok)
		}
		if ok {
			twin[code] = data
		}
		if p.Len() != len(twin) {
			t.Fatalf("step %d: %d options, want %d", step, p.Len(), len(twin))
		}
		prev := -1
		for i := range p.Len() {
			c, d := p.At(i)
			if int(c) <= prev || !bytes.Equal(d, twin[c]) || !bytes.Equal(p.Get(c), twin[c]) || !p.Has(c) {
				t.Fatalf("step %d, code %d: %x, want %x", step, c, d, twin[c])
			}
			prev = int(c)
		}
	}
}

func TestMessageTypeOption(t *testing.T) {
	var r Reply
	if r.Has(53) || r.Get(53) != nil || r.Get(54) != nil {
		t.Error("empty reply has a type")
	}
	if !r.Set(53, []byte{5}) || r.Type != MsgAck || !r.Has(53) || !bytes.Equal(r.Get(53), []byte{5}) || r.Len() != 0 {
		t.Error("Set")
	}
	if r.Set(53, nil) || r.Set(53, []byte{1, 2}) || !r.SetU8(53, 6) || r.Type != MsgNak {
		t.Error("wrong length")
	}
	r.Del(53)
	if r.Type != 0 {
		t.Error("Del")
	}
	r.Set(61, nil)
	if b := r.Get(61); b == nil {
		t.Error("an option without octets looks absent")
	}
}

// A Reply may be copied: small values are not shared.
func TestCopy(t *testing.T) {
	a := offer()
	b := *a
	a.SetIP(OptServerIdentifier, 1)
	a.Del(OptSubnetMask)
	if !bytes.Equal(b.Get(OptServerIdentifier), []byte{192, 0, 2, 1}) || !b.Has(OptSubnetMask) {
		t.Error("the copy changed with the original")
	}
}

// RFC 3396 §5, V4-013.
func TestLongOptionIsSplit(t *testing.T) {
	for _, n := range []int{0, 1, 254, 255, 256, 509, 510, 511, 600} {
		val := make([]byte, n)
		for i := range val {
			val[i] = byte(i) | 1
		}
		r := Reply{Type: MsgAck}
		r.Set(OptVendorSpecificInformation, val)
		rai := make([]byte, n) // sub-options of code 0 and no octets
		r.Set(OptRelayAgentInformation, rai)
		b, _ := r.Append(nil, 4096, nil)
		c := codes(t, b)
		pieces := 1
		if n > 255 {
			pieces = (n + 252) / 253
		}
		if len(c) != 2+2*pieces {
			t.Errorf("%d octets: %v", n, c)
		}
		var v View
		if got := v.ParseReply(b); got != ReasonOK || !bytes.Equal(v.Option(43), val) || !bytes.Equal(v.Option(82), rai) {
			t.Errorf("%d octets: %v, got %d and %d", n, got, len(v.Option(43)), len(v.Option(82)))
		}
	}
}

// TestParts: vendors and the sub-options of long options have options of their
// own; what is not of such a form is split like any other.
func TestParts(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name   string
		code   uint8
		val    string
		fields int // of sub-options, -1 none
		want   []int
	}{
		{"one vendor", 125, "\x00\x00\x00\x09\x01a\x00\x00\x00\x09\x01b", -1, []int{12}},
		{"two vendors", 125, "\x00\x00\x00\x09\x01a\x00\x00\x00\x08\x00", -1, []int{6, 5}},
		{"and back", 124, "\x00\x00\x00\x09\x01a\x00\x00\x00\x08\x00\x00\x00\x00\x09\x00", -1, []int{6, 5, 5}},
		{"a long vendor", 125, "\x00\x00\x00\x09\xff" + x(255) + "\x00\x00\x00\x08\x00", -1, []int{253, 7, 5}},
		{"cut short", 125, "\x00\x00\x00\x09\x01a\x00\x00\x00\x08\x07x", -1, []int{12}},
		{"no vendor", 124, "", -1, []int{0}},
		{"short", 43, "\x01\x01a\x02\x01b", 0, []int{6}},
		{"long", 43, "\x01\xc8" + x(200) + "\x02\x64" + x(100) + "\x03\x00", 0, []int{202, 102, 2}},
		{"fields", 231, "ab\x01\xff" + x(255) + "\x02\x00", 2, []int{2, 253, 4, 2}},
		{"no list", 43, "\x01\xff" + x(254), 0, []int{253, 3}},
	} {
		r := Reply{Type: MsgAck}
		if c.fields < 0 {
			r.Set(c.code, []byte(c.val))
		} else if !r.SetSubOptions(c.code, []byte(c.val), c.fields) {
			t.Fatal("SetSubOptions")
		}
		b, _ := r.Append(nil, 4096, nil)
		var got []int
		for i := HeaderLen; b[i] != OptEnd; i += 2 + int(b[i+1]) {
			if b[i] == c.code {
				got = append(got, int(b[i+1]))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: pieces of %v, want %v", c.name, got, c.want)
		}
		var v View
		if why := v.ParseReply(b); why != ReasonOK || string(v.Option(c.code)) != c.val {
			t.Errorf("%s: %v, got %d octets of %d", c.name, why, len(v.Option(c.code)), len(c.val))
		}
		// Replacing it forgets how it was divided.
		r.Set(c.code, []byte(x(300)))
		if b, _ := r.Append(nil, 4096, nil); c.code == 43 && len(codes(t, b)) != 4 {
			t.Errorf("%s: replaced: %v", c.name, codes(t, b))
		}
	}
}

func TestLeavesOutTheLeastWanted(t *testing.T) {
	offer := func() *Reply {
		r := offer()
		r.SName, r.File = []byte("s"), []byte("f") // no room there (RFC 2131 §4.1)
		return r
	}
	full, _ := offer().Append(nil, 4096, nil)
	prl := []byte{1, 26, 3, 15, 53, 54}
	var order []byte // in which options disappear as the room shrinks
	prev := codes(t, full)
	for room := len(full); room > 200; room-- {
		b, dropped := offer().Append(nil, room, prl)
		now := codes(t, b)
		if dropped != 11-len(now) {
			t.Fatalf("room %d: dropped %d, kept %v", room, dropped, now)
		}
		for _, c := range prev {
			if !slices.Contains(now, c) {
				order = append(order, c)
			}
		}
		prev = now
		if len(b) > room && !bytes.Equal(now, []byte{53, 51, 54, 61, 82, 255}) {
			t.Fatalf("room %d: %d octets with %v", room, len(b), now)
		}
	}
	if want := []byte{254, 116, 15, 26, 1}; !bytes.Equal(order, want) {
		t.Errorf("left out in order %v, want %v", order, want)
	}
}

func BenchmarkAppend(b *testing.B) {
	r := offer()
	buf := make([]byte, 0, 1024)
	prl := []byte{1, 3, 6, 15}
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = r.Append(buf[:0], 576, prl)
	}
}

func BenchmarkBuildReply(b *testing.B) {
	var v View
	v.Parse(discover())
	var r Reply
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		r.CopyHeader(&v)
		r.Type = MsgOffer
		r.YIAddr = 0xC0000205
		r.SetIP(OptSubnetMask, 0xFFFFFF00)
		r.SetIP(OptRouter, 0xC0000201)
		r.SetU32(OptIPAddressLeaseTime, 3600)
		r.SetIP(OptServerIdentifier, 0xC0000201)
		r.SetU32(OptRenewalTime, 1800)
		r.SetU32(OptRebindingTime, 3150)
		r.Set(OptClientIdentifier, v.ClientID())
		buf, _ = r.Append(buf[:0], 576, v.PRL())
	}
}
