package dhcp6

import (
	"bytes"
	"testing"
)

// checkReply encodes r and looks whether every length adds up and whether
// limits are kept.
func checkReply(t *testing.T, r *Reply, oro []byte) {
	t.Helper()
	out, dropped := r.Append(nil, 1<<16, oro)
	if dropped != 0 {
		t.Fatalf("%d dropped without need", dropped)
	}
	walkReply(t, out)
	for _, limit := range []int{len(out) - 1, len(out) / 2, 0} {
		b, dropped := r.Append([]byte("xy"), limit, oro)
		if string(b[:2]) != "xy" {
			t.Fatal("what was there is gone")
		}
		b = b[2:]
		walkReply(t, b)
		if dropped == 0 && !bytes.Equal(b, out) {
			t.Fatal("something was left out and not counted")
		}
		if len(b) > limit && len(b) > len(out) {
			t.Fatalf("%d octets, limit %d, without limit %d", len(b), limit, len(out))
		}
	}
}

// walkReply wants options in ascending order that end with the message.
func walkReply(t *testing.T, b []byte) {
	t.Helper()
	for b[0] == byte(MsgRelayRepl) {
		o := Options(b[RelayHeaderLen:])
		for {
			code, data, rest, ok := o.Next()
			if !ok {
				t.Fatalf("no relay message: %x", b)
			}
			if code == OptRelayMsg {
				if len(rest) != 0 {
					t.Fatalf("octets after the relay message: %x", rest)
				}
				b = data
				break
			}
			o = rest
		}
	}
	last := uint16(0)
	for o := Options(b[HeaderLen:]); len(o) > 0; {
		code, data, rest, ok := o.Next()
		if !ok {
			t.Fatalf("lengths do not add up: %x", b)
		}
		if code < last {
			t.Fatalf("option %d after %d", code, last)
		}
		if code == OptIANA || code == OptIAPD {
			inside := Options(data[iaHeader:])
			for len(inside) > 0 {
				if _, _, inside, ok = inside.Next(); !ok {
					t.Fatalf("lengths in an IA do not add up: %x", data)
				}
			}
		}
		last, o = code, rest
	}
}

func TestReplyAppend(t *testing.T) {
	q := nest(1, msg(MsgRequest))
	q = relayForw(1, addr2, addr1, opt(OptRelaySourcePort, []byte{0, 0}), opt(OptInterfaceID, []byte("if")), opt(OptRemoteID, u32(9)), opt(OptRelayMsg, q))
	var v View
	if got := v.Parse(q); got != ReasonOK {
		t.Fatal(got)
	}
	var r Reply
	r.Type, r.XID = MsgReply, 0xabcdef
	r.CopyRelays(&v)
	r.Set(OptDNSServers, addr1[:])
	r.Set(OptServerID, []byte{0, 2, 3})
	r.Set(OptClientID, duid)
	r.SetU8(OptPreference, 255)
	r.Add(OptVendorOpts, u32(1))
	r.Add(OptVendorOpts, u32(2))
	r.SetStatus(StatusSuccess, "fine")
	r.AddIA(OptIAPD, 5).T1S = 10
	r.AddResource(ReplyResource{Addr: pfx, PrefixLen: 56, PreferredS: 1, ValidS: 2, Exclude: []byte{60, 1}})
	ia := r.AddIA(OptIANA, 6)
	r.AddResource(ReplyResource{Addr: addr2, PrefixLen: 128, PreferredS: 3, ValidS: 4})
	ia.HaveStatus, ia.Status, ia.StatusText = true, StatusNoBinding, "no"
	got, _ := r.Append(nil, 1500, nil)
	inner := append([]byte{7, 0xab, 0xcd, 0xef}, opt(OptClientID, duid)...)
	inner = append(inner, opt(OptServerID, []byte{0, 2, 3})...)
	inner = append(inner, opt(OptIANA, u32(6, 0, 0), opt(OptIAAddr, addr2[:], u32(3, 4)), opt(OptStatusCode, []byte{0, 3}, []byte("no")))...)
	inner = append(inner, opt(OptPreference, []byte{255})...)
	inner = append(inner, opt(OptStatusCode, []byte{0, 0}, []byte("fine"))...)
	inner = append(inner, opt(OptVendorOpts, u32(1))...)
	inner = append(inner, opt(OptVendorOpts, u32(2))...)
	inner = append(inner, opt(OptDNSServers, addr1[:])...)
	inner = append(inner, opt(OptIAPD, u32(5, 10, 0), opt(OptIAPrefix, u32(1, 2), []byte{56}, pfx[:], opt(OptPDExclude, []byte{60, 1})))...)
	want := relayForw(0, addr1, addr2, opt(OptRelayMsg, inner))
	want[0] = byte(MsgRelayRepl)
	want = relayForw(1, addr2, addr1, opt(OptInterfaceID, []byte("if")), opt(OptRelaySourcePort, []byte{0, 0}), opt(OptRelayMsg, want))
	want[0] = byte(MsgRelayRepl)
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%swant\n%s", AppendText(nil, got), AppendText(nil, want))
	}
	if r.Relays() != 2 || r.StatusText() != "fine" || r.Len() != 6 {
		t.Errorf("%d relays, %q, %d options", r.Relays(), r.StatusText(), r.Len())
	}
	checkReply(t, &r, []byte{0, 23})
}

func TestReplyList(t *testing.T) {
	var r Reply
	for _, code := range []uint16{0, OptIANA, OptIAPD, OptStatusCode, OptRelayMsg} {
		if r.Set(code, []byte{1}) {
			t.Errorf("option %d was set", code)
		}
	}
	r.SetU16(7, 1)
	r.Set(7, []byte{9})
	if !bytes.Equal(r.Get(7), []byte{9}) || r.Len() != 1 {
		t.Errorf("%x, %d", r.Get(7), r.Len())
	}
	r.Add(7, nil)
	if r.Del(7); r.Has(7) || r.Len() != 0 || r.Get(7) != nil {
		t.Error("an instance stays")
	}
	for i := range MaxReplyOptions {
		if !r.Add(uint16(100+i%7), nil) {
			t.Fatalf("no room for option %d", i)
		}
	}
	if r.Add(1, nil) || r.SetU32(1, 1) {
		t.Error("more options than there is room for")
	}
	if r.AddResource(ReplyResource{}) {
		t.Error("a resource without IA")
	}
	for i := range MaxIAs {
		if r.AddIA(OptIANA, uint32(i)) == nil {
			t.Fatal("no room for an IA")
		}
	}
	if r.AddIA(OptIANA, 99) != nil {
		t.Error("more IAs than there is room for")
	}
	if r.Has(OptIAPD) || !r.Has(OptIANA) {
		t.Error("Has of IAs")
	}
}

// What is left out, and in which order.
func TestReplyLeavesOut(t *testing.T) {
	var r Reply
	r.Type = MsgReply
	r.Set(OptClientID, duid)
	r.Set(OptDNSServers, make([]byte, 32))
	r.Set(OptDomainSearch, make([]byte, 32))
	r.Set(OptSNTPServers, make([]byte, 32))
	ia := r.AddIA(OptIANA, 1)
	r.AddResource(ReplyResource{Addr: addr1, PrefixLen: 128, PreferredS: 1, ValidS: 1})
	r.AddResource(ReplyResource{Addr: addr2, PrefixLen: 128})
	oro := []byte{0, 24, 0, 31}
	full, _ := r.Append(nil, 9999, oro)
	steps := []struct {
		size    int
		dropped int
		absent  []uint16
	}{
		{len(full) - 1, 1, []uint16{OptDNSServers}},
		{len(full) - 37, 2, []uint16{OptDNSServers, OptSNTPServers}},
		{len(full) - 73, 3, []uint16{OptDNSServers, OptSNTPServers, OptDomainSearch}},
		{0, 4, []uint16{OptDNSServers, OptSNTPServers, OptDomainSearch}},
	}
	for _, s := range steps {
		b, dropped := r.Append(nil, s.size, oro)
		walkReply(t, b)
		if dropped != s.dropped {
			t.Errorf("%d dropped, want %d", dropped, s.dropped)
		}
		var v View
		if got := v.Parse(b); got != ReasonOK {
			t.Fatal(got)
		}
		for _, code := range s.absent {
			if v.Has(code) {
				t.Errorf("limit %d: option %d is there", s.size, code)
			}
		}
		q := v.IA(0)
		n := 0
		for _, ok := q.Next(); ok; _, ok = q.Next() {
			n++
		}
		if want := 2 - s.dropped/4; n != want {
			t.Errorf("limit %d: %d addresses, want %d", s.size, n, want)
		}
	}
	if len(r.Resources(ia)) != 2 {
		t.Error("Append changed the reply")
	}
}
