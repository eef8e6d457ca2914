package dhcp6

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"testing"
)

var seed = flag.Uint64("seed", rand.Uint64(), "of random tests")

func rnd(t testing.TB) *rand.Rand {
	t.Logf("repeat with -seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}

// opt encodes an option; bodies are put together.
func opt(code uint16, bodies ...[]byte) []byte {
	b := []byte{byte(code >> 8), byte(code), 0, 0}
	for _, x := range bodies {
		b = append(b, x...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-4))
	return b
}

func u32(v ...uint32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

var (
	addr1 = IPv6{0x20, 1, 0x0d, 0xb8, 15: 1}
	addr2 = IPv6{0x20, 1, 0x0d, 0xb8, 15: 2}
	pfx   = IPv6{0x20, 1, 0x0d, 0xb8, 5: 0x40}
	duid  = []byte{0, 3, 0, 1, 2, 0, 0, 0, 0, 9}
)

func msg(t MsgType, opts ...[]byte) []byte {
	b := []byte{byte(t), 0x12, 0x34, 0x56}
	for _, o := range opts {
		b = append(b, o...)
	}
	return b
}

func relayForw(hops uint8, link, peer IPv6, opts ...[]byte) []byte {
	b := append([]byte{byte(MsgRelayForw), hops}, link[:]...)
	b = append(b, peer[:]...)
	for _, o := range opts {
		b = append(b, o...)
	}
	return b
}

func iana(iaid uint32, inside ...[]byte) []byte {
	return opt(OptIANA, append([][]byte{u32(iaid, 0, 0)}, inside...)...)
}
func iapd(iaid uint32, inside ...[]byte) []byte {
	return opt(OptIAPD, append([][]byte{u32(iaid, 0, 0)}, inside...)...)
}
func iaaddr(a IPv6) []byte { return opt(OptIAAddr, a[:], u32(100, 200)) }
func iaprefix(a IPv6, n uint8) []byte {
	return opt(OptIAPrefix, u32(100, 200), []byte{n}, a[:])
}

func nest(n int, m []byte) []byte {
	for i := range n {
		m = relayForw(uint8(min(i, 255)), addr1, addr2, opt(OptRelayMsg, m))
	}
	return m
}

func repeat(n int, o []byte) []byte { return bytes.Repeat(o, n) }

// Bad input, each with its reason (RFC 8415 §16: discard what is malformed).
var parseCases = []struct {
	name   string
	msg    []byte
	reason Reason
	notes  Notes
}{
	{"empty", nil, ReasonTooShort, 0},
	{"three octets", []byte{1, 2, 3}, ReasonTooShort, 0},
	{"no options", msg(MsgSolicit), ReasonOK, 0},
	{"plain", msg(MsgSolicit, opt(OptClientID, duid), iana(1, iaaddr(addr1)), iapd(2, iaprefix(pfx, 56))), ReasonOK, 0},
	{"too long", make([]byte, MaxMessageLen+1), ReasonTooLong, 0},
	{"half an option header", append(msg(MsgSolicit, opt(OptClientID, duid)), 0, 1, 0), ReasonOK, NoteTruncatedOption},
	{"option past the end", append(msg(MsgSolicit), 0, 1, 0, 9, 1), ReasonOK, NoteTruncatedOption},
	{"RELAY-REPL", append([]byte{13, 0}, make([]byte, 60)...), ReasonRelayRepl, 0},
	{"RELAY-REPL inside", relayForw(0, addr1, addr2, opt(OptRelayMsg, append([]byte{13, 0}, make([]byte, 60)...))), ReasonRelayRepl, 0},
	{"relay header cut", relayForw(0, addr1, addr2)[:33], ReasonTooShort, 0},
	{"relay without options", relayForw(0, addr1, addr2), ReasonNoRelayMsg, 0},
	{"relay without message", relayForw(0, addr1, addr2, opt(OptInterfaceID, []byte("x"))), ReasonNoRelayMsg, 0},
	{"empty relay message", relayForw(0, addr1, addr2, opt(OptRelayMsg)), ReasonNoRelayMsg, 0},
	{"relay message of three octets", relayForw(0, addr1, addr2, opt(OptRelayMsg, []byte{1, 2, 3})), ReasonTooShort, 0},
	{"inner relay header cut", relayForw(0, addr1, addr2, opt(OptRelayMsg, []byte{12, 0, 0, 0, 0})), ReasonTooShort, 0},
	{"relay message cut", relayForw(0, addr1, addr2, opt(OptRelayMsg, msg(MsgSolicit)))[:RelayHeaderLen+6], ReasonNoRelayMsg, NoteTruncatedRelayOption},
	{"rest after the relay message", append(relayForw(0, addr1, addr2, opt(OptRelayMsg, msg(MsgSolicit))), 0, 18, 0, 200), ReasonOK, NoteTruncatedRelayOption},
	{"relay option of a bad length", relayForw(0, addr1, addr2, opt(OptRemoteID, []byte{1}), opt(OptRelayMsg, msg(MsgSolicit))), ReasonRelayOptionLen, 0},
	{"32 relays", nest(32, msg(MsgSolicit)), ReasonOK, 0},
	{"33 relays", relayForw(0, addr1, addr2, opt(OptRelayMsg, nest(32, msg(MsgSolicit)))), ReasonTooManyRelays, 0},
	{"hop count 31", relayForw(31, addr1, addr2, opt(OptRelayMsg, msg(MsgSolicit))), ReasonOK, 0},
	{"hop count 32", relayForw(32, addr1, addr2, opt(OptRelayMsg, msg(MsgSolicit))), ReasonHopCount, 0},
	{"hop count 255", relayForw(255, addr1, addr2, opt(OptRelayMsg, msg(MsgSolicit))), ReasonHopCount, 0},
	{"IA_NA of 11 octets", msg(MsgSolicit, opt(OptIANA, make([]byte, 11))), ReasonIALen, 0},
	{"IA_PD of no octets", msg(MsgSolicit, opt(OptIAPD)), ReasonIALen, 0},
	{"IAADDR of 23 octets", msg(MsgSolicit, iana(1, opt(OptIAAddr, make([]byte, 23)))), ReasonIALen, 0},
	{"IAPREFIX of 24 octets", msg(MsgSolicit, iapd(1, opt(OptIAPrefix, make([]byte, 24)))), ReasonIALen, 0},
	{"option cut in an IA", msg(MsgSolicit, iana(1, []byte{0, 5, 0, 24, 1, 2})), ReasonOK, NoteTruncatedIAOption},
	{"prefix of 129 bits", msg(MsgSolicit, iapd(1, iaprefix(pfx, 129))), ReasonPrefixLen, 0},
	{"IAADDR at top level", msg(MsgSolicit, iaaddr(addr1)), ReasonOK, NoteMisplacedOption},
	{"IAADDR in ADDR-REG-INFORM", msg(MsgAddrRegInform, iaaddr(addr1)), ReasonOK, 0},
	{"IAPREFIX at top level", msg(MsgSolicit, iaprefix(pfx, 56)), ReasonOK, NoteMisplacedOption},
	{"IAADDR in IA_PD", msg(MsgSolicit, iapd(1, iaaddr(addr1))), ReasonOK, NoteMisplacedOption},
	{"IAPREFIX in IA_NA", msg(MsgSolicit, iana(1, iaprefix(pfx, 56))), ReasonOK, NoteMisplacedOption},
	{"IA_NA in IA_NA", msg(MsgSolicit, iana(1, iana(2))), ReasonOK, NoteMisplacedOption},
	{"client identifier in IA_PD", msg(MsgSolicit, iapd(1, opt(OptClientID, duid))), ReasonOK, NoteMisplacedOption},
	{"interface-id from a client", msg(MsgSolicit, opt(OptInterfaceID, []byte("x"))), ReasonOK, NoteMisplacedOption},
	{"RSOO from a client", msg(MsgSolicit, opt(OptRSOO)), ReasonOK, NoteMisplacedOption},
	{"IA_TA", msg(MsgSolicit, opt(OptIATA, u32(1))), ReasonOK, NoteIATA},
	{"two IA_NA of one IAID", msg(MsgSolicit, iana(1), iana(1)), ReasonOK, NoteDuplicateIA},
	{"IA_NA and IA_PD of one IAID", msg(MsgSolicit, iana(1), iapd(1), iana(2)), ReasonOK, 0},
	{"two IA_PD of one IAID", msg(MsgSolicit, iapd(7), iana(1), iapd(7)), ReasonOK, NoteDuplicateIA},
	{"ORO of three octets", msg(MsgSolicit, opt(OptORO, []byte{0, 23, 0})), ReasonOptionLen, 0},
	{"empty ORO", msg(MsgSolicit, opt(OptORO)), ReasonOptionLen, 0},
	{"elapsed time of one octet", msg(MsgSolicit, opt(OptElapsedTime, []byte{1})), ReasonOptionLen, 0},
	{"vendor-opts of three octets", msg(MsgSolicit, opt(OptVendorOpts, []byte{1, 2, 3})), ReasonOptionLen, 0},
	{"128 options", msg(MsgSolicit, repeat(128, opt(200))), ReasonOK, 0},
	{"129 options", msg(MsgSolicit, repeat(129, opt(200))), ReasonTooManyOptions, 0},
	{"32 IAs", msg(MsgSolicit, repeat(16, iana(1)), repeat(16, iapd(1))), ReasonOK, NoteDuplicateIA},
	{"33 IAs", msg(MsgSolicit, repeat(17, iana(1)), repeat(16, iapd(1))), ReasonTooManyIAs, 0},
	{"128 addresses", msg(MsgSolicit, iana(1, repeat(128, iaaddr(addr1)))), ReasonOK, 0},
	{"129 addresses", msg(MsgSolicit, iana(1, repeat(128, iaaddr(addr1))), iapd(1, iaprefix(pfx, 64))), ReasonTooManyResources, 0},
}

func TestParse(t *testing.T) {
	var v View
	for _, c := range parseCases {
		if got := v.Parse(c.msg); got != c.reason {
			t.Errorf("%s: %v, want %v", c.name, got, c.reason)
		} else if got == ReasonOK && v.Notes() != c.notes {
			t.Errorf("%s: notes %v, want %v", c.name, v.Notes(), c.notes)
		}
	}
}

func TestParseLenient(t *testing.T) {
	v := View{Lenient: true}
	if r := v.Parse(msg(MsgSolicit, iapd(1, iaprefix(pfx, 200)))); r != ReasonOK {
		t.Fatal(r)
	}
	ia := v.IA(0)
	if x, ok := ia.Next(); !ok || x.PrefixLen != 128 {
		t.Errorf("%+v, %v", x, ok)
	}
}

func TestViewFields(t *testing.T) {
	inner := msg(MsgRequest, opt(OptClientID, duid), iapd(9, iaprefix(IPv6{0x20, 1, 0x0d, 0xb8, 5: 0x4f}, 44)),
		iana(1, opt(OptStatusCode, []byte{0, 0}), iaaddr(addr1), iaaddr(addr2)), opt(OptORO, []byte{0, 23, 0, 82}),
		opt(OptVendorOpts, u32(9)), opt(OptVendorOpts, u32(10)), iana(2), opt(300, []byte("big")))
	outer := relayForw(1, addr2, addr1, opt(OptInterfaceID, []byte("if0")),
		opt(OptRelayMsg, relayForw(0, addr1, addr2, opt(OptRelayMsg, inner), opt(OptClientLinkLayerAddr, []byte{0, 1, 2, 3, 4, 5, 6, 7}))))
	var v View
	if r := v.Parse(outer); r != ReasonOK {
		t.Fatal(r)
	}
	if v.Type() != MsgRequest || v.XID() != 0x123456 || !bytes.Equal(v.ClientID(), duid) || v.ServerID() != nil {
		t.Errorf("%v %x %x %x", v.Type(), v.XID(), v.ClientID(), v.ServerID())
	}
	if v.Count(OptVendorOpts) != 2 || v.Count(OptServerID) != 0 || string(v.Option(300)) != "big" || v.Option(301) != nil {
		t.Error("options")
	}
	if !v.Requests(82) || v.Requests(24) {
		t.Error("ORO")
	}
	if v.Relays() != 2 || v.HopCount(0) != 1 || v.LinkAddr(0) != addr2 || v.PeerAddr(1) != addr2 || v.RelayHeader(2) != nil {
		t.Error("relays")
	}
	if string(v.RelayOption(0, OptInterfaceID)) != "if0" || v.InnermostRelayOption(OptInterfaceID) != nil || len(v.InnermostRelayOption(OptClientLinkLayerAddr)) != 8 {
		t.Error("relay options")
	}
	// IA_NAs first, each kind in the order of the message.
	var got []uint32
	for i := range v.IAs() {
		got = append(got, v.IA(i).IAID)
	}
	if len(got) != 3 || got[0] != 1 || got[1] != 2 || got[2] != 9 {
		t.Fatalf("IAIDs %v", got)
	}
	ia := v.IA(0)
	a, _ := ia.Next()
	b, _ := ia.Next()
	if _, more := ia.Next(); more || a.Addr != addr1 || b.Addr != addr2 || a.PreferredS != 100 || a.ValidS != 200 || a.PrefixLen != 128 {
		t.Errorf("%+v %+v", a, b)
	}
	ia = v.IA(2)
	if p, ok := ia.Next(); !ok || p.Addr != (IPv6{0x20, 1, 0x0d, 0xb8, 5: 0x40}) || p.PrefixLen != 44 {
		t.Errorf("bits beyond the prefix stay: %+v", p)
	}
}

func TestParseAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	m := nest(2, msg(MsgSolicit, opt(OptClientID, duid), iana(1, iaaddr(addr1)), iapd(2, iaprefix(pfx, 56)), opt(OptORO, []byte{0, 23})))
	var v View
	var r Reply
	buf := make([]byte, 0, 2048)
	dns := make([]byte, 32)
	if n := testing.AllocsPerRun(100, func() {
		if v.Parse(m) != ReasonOK {
			t.Fatal("not parsed")
		}
		r.Reset()
		r.Type, r.XID = MsgReply, v.XID()
		r.CopyRelays(&v)
		r.Set(OptClientID, v.ClientID())
		for i := range v.IAs() {
			ia := v.IA(i)
			r.AddIA(ia.Code, ia.IAID)
			for x, ok := ia.Next(); ok; x, ok = ia.Next() {
				r.AddResource(ReplyResource{Addr: x.Addr, PrefixLen: x.PrefixLen})
			}
		}
		r.Set(OptDNSServers, dns)
		buf, _ = r.Append(buf[:0], 1452, v.ORO())
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range parseCases {
		f.Add(c.msg)
	}
	var v View
	f.Fuzz(func(t *testing.T, b []byte) {
		AppendText(nil, b)
		if r := v.Parse(b); r != ReasonOK {
			if r >= NumReasons {
				t.Fatalf("reason %d", r)
			}
			return
		}
		checkTwin(t, &v, b)
		var r Reply
		r.Type, r.XID = v.Type(), v.XID()
		r.CopyRelays(&v)
		for i := range v.Len() {
			if code, data := v.At(i); !reserved(code) {
				r.Add(code, data)
			}
		}
		for i := range v.IAs() {
			ia := v.IA(i)
			x := r.AddIA(ia.Code, ia.IAID)
			x.T1S, x.T2S = ia.T1S, ia.T2S
			for res, ok := ia.Next(); ok; res, ok = ia.Next() {
				if !r.AddResource(ReplyResource{Addr: res.Addr, PrefixLen: res.PrefixLen, PreferredS: res.PreferredS, ValidS: res.ValidS}) {
					t.Fatal("no room for a resource of the query")
				}
			}
		}
		checkReply(t, &r, v.ORO())
	})
}

// checkTwin compares what View says with a slow reading of the same octets.
func checkTwin(t *testing.T, v *View, b []byte) {
	t.Helper()
	level := 0
	for b[0] == byte(MsgRelayForw) {
		if !bytes.Equal(v.RelayHeader(level), b[:RelayHeaderLen]) {
			t.Fatalf("header of level %d", level)
		}
		var inner []byte
		first := map[uint16][]byte{}
		for o := b[RelayHeaderLen:]; len(o) >= 4; {
			n := int(o[2])<<8 | int(o[3])
			if 4+n > len(o) {
				break
			}
			code := uint16(o[0])<<8 | uint16(o[1])
			if _, ok := first[code]; !ok {
				first[code] = o[4 : 4+n]
			}
			if code == OptRelayMsg {
				inner = o[4 : 4+n]
			}
			o = o[4+n:]
		}
		for code, want := range first {
			if got := v.RelayOption(level, code); got == nil || !bytes.Equal(got, want) {
				t.Fatalf("option %d of level %d: %x, want %x", code, level, got, want)
			}
		}
		b = inner
		level++
	}
	if v.Relays() != level || !bytes.Equal(v.Message(), b) {
		t.Fatalf("%d relays, want %d", v.Relays(), level)
	}
	all := map[uint16][][]byte{}
	for o := b[HeaderLen:]; len(o) >= 4; {
		n := int(o[2])<<8 | int(o[3])
		if 4+n > len(o) {
			break
		}
		code := uint16(o[0])<<8 | uint16(o[1])
		all[code] = append(all[code], o[4:4+n])
		o = o[4+n:]
	}
	for code, want := range all {
		if v.Count(code) != len(want) || !bytes.Equal(v.Option(code), want[0]) {
			t.Fatalf("option %d", code)
		}
	}
	ias := append(all[OptIANA], all[OptIAPD]...)
	if v.IAs() != len(ias) {
		t.Fatalf("%d IAs, want %d", v.IAs(), len(ias))
	}
	for i, want := range ias {
		if v.IA(i).IAID != binary.BigEndian.Uint32(want) {
			t.Fatalf("IA %d", i)
		}
	}
}
