package dhcp4

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

// msg is a BOOTREQUEST with these octets after the cookie.
func msg(opts ...byte) []byte {
	b := make([]byte, HeaderLen, HeaderLen+len(opts))
	b[0], b[1], b[2] = BootRequest, HTypeEthernet, 6
	binary.BigEndian.PutUint32(b[offXID:], 0x12345678)
	copy(b[offCHAddr:], []byte{2, 0, 0, 0, 0, 9})
	binary.BigEndian.PutUint32(b[offCookie:], cookie)
	return append(b, opts...)
}

// discover is a typical DHCPDISCOVER with seven options.
func discover() []byte {
	return msg(
		53, 1, 1,
		61, 7, 1, 2, 0, 0, 0, 0, 9,
		50, 4, 192, 0, 2, 5,
		57, 2, 5, 220,
		60, 8, 'M', 'S', 'F', 'T', ' ', '5', '.', '0',
		12, 4, 'h', 'o', 's', 't',
		55, 13, 1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 121, 249, 252,
		255)
}

func at(b []byte, i int, v ...byte) []byte {
	copy(b[i:], v)
	return b
}

// rep is n options with that code and value.
func rep(n int, opt ...byte) []byte { return bytes.Repeat(opt, n) }

// parseCases are everything a client can get wrong, and what Kea 3.3 does.
var parseCases = []struct {
	name  string
	msg   []byte
	want  Reason
	notes Notes
}{
	{"typical", discover(), ReasonOK, 0},
	{"empty", nil, ReasonTooShort, 0},
	{"235", msg()[:235], ReasonTooShort, 0},
	{"bootp without cookie", msg()[:236], ReasonTooShort, 0},
	{"half a cookie", msg()[:239], ReasonTooShort, 0},
	{"no options", msg(), ReasonOK, NoteNoEnd},
	{"only end", msg(255), ReasonOK, 0},
	{"bad cookie", at(msg(53, 1, 1, 255), offCookie, 0), ReasonBadCookie, 0},
	{"longest", append(msg(53, 1, 1, 255), make([]byte, MaxMessageLen-HeaderLen-4)...), ReasonOK, 0},
	{"oversized", append(msg(53, 1, 1, 255), make([]byte, MaxMessageLen-HeaderLen-3)...), ReasonTooLong, 0},
	{"bootreply", at(msg(53, 1, 1, 255), 0, 2), ReasonNotBootRequest, 0},
	{"op 0", at(msg(53, 1, 1, 255), 0, 0), ReasonNotBootRequest, 0},
	{"hlen 17", at(msg(53, 1, 1, 255), 2, 17), ReasonOK, NoteHLenMismatch},
	{"hlen 20", at(msg(53, 1, 1, 255), 2, 20), ReasonOK, NoteHLenMismatch},
	{"hlen 21", at(msg(53, 1, 1, 255), 2, 21), ReasonHLen, 0},
	{"hlen 255", at(msg(53, 1, 1, 255), 2, 255), ReasonHLen, 0},
	{"hlen 16", at(msg(53, 1, 1, 255), 2, 16), ReasonOK, NoteHLenMismatch},
	{"hlen 0", at(msg(53, 1, 1, 255), 2, 0), ReasonOK, NoteHLenMismatch | NoteZeroCHAddr},
	{"hlen 5", at(msg(53, 1, 1, 255), 2, 5), ReasonOK, NoteHLenMismatch},
	{"infiniband", at(msg(53, 1, 1, 255), 1, 32, 16), ReasonOK, 0},
	{"htype 6", at(msg(53, 1, 1, 255), 1, 6), ReasonOK, 0},
	{"htype 6, hlen 8", at(msg(53, 1, 1, 255), 1, 6, 8), ReasonOK, NoteHLenMismatch},
	{"zero chaddr", at(msg(53, 1, 1, 255), offCHAddr, 0, 0, 0, 0, 0, 0), ReasonOK, NoteZeroCHAddr},
	{"zero chaddr, junk behind", at(msg(53, 1, 1, 255), offCHAddr, 0, 0, 0, 0, 0, 0, 7), ReasonOK, NoteZeroCHAddr},
	{"broadcast chaddr", at(msg(53, 1, 1, 255), offCHAddr, 255, 255, 255, 255, 255, 255), ReasonOK, NoteBroadcastCHAddr},
	{"16 ones", at(at(msg(53, 1, 1, 255), 1, 32, 16), offCHAddr, rep(16, 255)...), ReasonOK, NoteBroadcastCHAddr},
	{"15 ones", at(at(msg(53, 1, 1, 255), 1, 32, 16), offCHAddr, rep(15, 255)...), ReasonOK, 0},
	{"8 zeros of 9", at(at(msg(53, 1, 1, 255), 1, 32, 9), offCHAddr, 0, 0, 0, 0, 0, 0, 0, 0, 1), ReasonOK, 0},

	{"pads", msg(0, 0, 53, 1, 1, 0, 0, 255), ReasonOK, 0},
	{"no end", msg(53, 1, 1), ReasonOK, NoteNoEnd},
	{"pads to the end", msg(53, 1, 1, 0, 0), ReasonOK, NoteNoEnd},
	{"junk after end", msg(53, 1, 1, 255, 53, 200), ReasonOK, 0},
	{"code without length", msg(53, 1, 1, 12), ReasonOK, NoteTruncatedOption | NoteNoEnd},
	{"truncated option", msg(53, 1, 1, 61, 7, 1, 2), ReasonOK, NoteTruncatedOption | NoteNoEnd},
	{"message type truncated", msg(53, 1), ReasonOK, NoteTruncatedOption | NoteNoEnd},
	{"length swallows end", msg(53, 1, 1, 61, 3, 1, 2, 255), ReasonOK, NoteNoEnd},

	{"53 empty", msg(53, 0, 255), ReasonOptionLen, 0},
	{"53 of two", msg(53, 2, 1, 1, 255), ReasonOptionLen, 0},
	{"two message types", msg(53, 1, 1, 53, 1, 3, 255), ReasonOK, NoteDuplicateOption | NoteContradictoryType | NoteExcessLength},
	{"the same type twice", msg(53, 1, 1, 53, 1, 1, 255), ReasonOK, NoteDuplicateOption | NoteExcessLength},
	{"two types, last long", msg(53, 1, 1, 53, 2, 3, 3, 255), ReasonOptionLen, 0},
	{"50 of three", msg(53, 1, 1, 50, 3, 192, 0, 2, 255), ReasonOptionLen, 0},
	{"50 of five", msg(53, 1, 1, 50, 5, 192, 0, 2, 1, 1, 255), ReasonOptionLen, 0},
	{"50 in halves", msg(53, 1, 1, 50, 2, 192, 0, 50, 2, 2, 5, 255), ReasonOK, NoteDuplicateOption},
	{"50 in halves, one lost", msg(53, 1, 1, 50, 2, 192, 0, 50, 1, 2, 255), ReasonOptionLen, 0},
	{"two addresses", msg(53, 1, 3, 50, 4, 192, 0, 2, 5, 50, 4, 192, 0, 2, 6, 255), ReasonOK, NoteDuplicateOption | NoteExcessLength},
	{"51 of two", msg(53, 1, 1, 51, 2, 0, 0, 255), ReasonOptionLen, 0},
	{"51 of eight", msg(53, 1, 1, 51, 8, 0, 0, 0, 0, 0, 0, 0, 0, 255), ReasonOptionLen, 0},
	{"54 empty", msg(53, 1, 3, 54, 0, 255), ReasonOptionLen, 0},
	{"54 of six", msg(53, 1, 3, 54, 6, 1, 2, 3, 4, 5, 6, 255), ReasonOptionLen, 0},
	{"57 of one", msg(53, 1, 1, 57, 1, 5, 255), ReasonOptionLen, 0},
	{"57 of four", msg(53, 1, 1, 57, 4, 0, 0, 5, 220, 255), ReasonOptionLen, 0},
	{"118 of three", msg(53, 1, 1, 118, 3, 1, 2, 3, 255), ReasonOptionLen, 0},
	{"routers of five", msg(53, 1, 1, 3, 5, 1, 2, 3, 4, 5, 255), ReasonOptionLen, 0},
	{"no routers", msg(53, 1, 1, 3, 0, 255), ReasonOK, 0},
	{"empty prl", msg(53, 1, 1, 55, 0, 255), ReasonOptionLen, 0},
	{"93 of three", msg(53, 1, 1, 93, 3, 0, 7, 0, 255), ReasonOptionLen, 0},
	{"93 of four", msg(53, 1, 1, 93, 4, 0, 7, 0, 9, 255), ReasonOK, 0},
	{"fqdn of two", msg(53, 1, 1, 81, 2, 0, 0, 255), ReasonOptionLen, 0},
	{"overload 3", msg(53, 1, 1, 52, 1, 3, 255), ReasonOK, NoteOverload},
	{"overload 9", msg(53, 1, 1, 52, 1, 9, 255), ReasonOK, NoteOverload},
	{"overload of two", msg(53, 1, 1, 52, 2, 1, 2, 255), ReasonOptionLen, 0},
	{"empty host name", msg(53, 1, 1, 12, 0, 255), ReasonOK, NoteEmptyOption},
	{"host name of NULs", msg(53, 1, 1, 12, 2, 0, 0, 255), ReasonOK, NoteEmptyOption},
	{"empty vendor class", msg(53, 1, 1, 60, 0, 255), ReasonOK, NoteEmptyOption},
	{"empty client-id", msg(53, 1, 1, 61, 0, 255), ReasonOK, 0},
	{"unknown option", msg(53, 1, 1, 250, 0, 255), ReasonOK, 0},

	{"82 empty", msg(53, 1, 1, 82, 0, 255), ReasonOK, 0},
	{"82 typical", msg(53, 1, 1, 82, 9, 1, 3, 'a', 'b', 'c', 2, 2, 8, 9, 255), ReasonOK, 0},
	{"82 truncated", msg(53, 1, 1, 82, 4, 1, 3, 'a', 'b', 255), ReasonOK, NoteTruncatedOption},
	{"82 code only", msg(53, 1, 1, 82, 1, 1, 255), ReasonOK, NoteTruncatedOption},
	{"82.5 of three", msg(53, 1, 1, 82, 5, 5, 3, 10, 0, 0, 255), ReasonRAILen, 0},
	{"82.5 of five", msg(53, 1, 1, 82, 7, 5, 5, 10, 0, 0, 1, 1, 255), ReasonRAILen, 0},
	{"82.11 of zero", msg(53, 1, 1, 82, 2, 11, 0, 255), ReasonRAILen, 0},
	{"82.13 of one", msg(53, 1, 1, 82, 3, 13, 1, 0, 255), ReasonRAILen, 0},
	{"82.5 in halves", msg(53, 1, 1, 82, 8, 5, 2, 10, 0, 5, 2, 0, 1, 255), ReasonOK, NoteDuplicateOption},
	{"82.5 twice", msg(53, 1, 1, 82, 12, 5, 4, 10, 0, 0, 1, 5, 4, 10, 0, 0, 2, 255), ReasonOK, NoteDuplicateOption | NoteExcessLength},
	{"82.5 halves too short", msg(53, 1, 1, 82, 7, 5, 2, 10, 0, 5, 1, 0, 255), ReasonRAILen, 0},
	{"82.5 halves, last long", msg(53, 1, 1, 82, 11, 5, 2, 10, 0, 5, 5, 1, 2, 3, 4, 5, 255), ReasonRAILen, 0},
	{"82 has codes 0 and 255", msg(53, 1, 1, 82, 6, 0, 1, 7, 255, 1, 8, 255), ReasonOK, 0},
	{"82 in pieces", msg(53, 1, 1, 82, 3, 1, 4, 'a', 82, 3, 'b', 'c', 'd', 255), ReasonOK, NoteDuplicateOption},
	{"82 twice", msg(53, 1, 1, 82, 3, 1, 1, 'a', 82, 3, 1, 1, 'b', 255), ReasonOK, NoteDuplicateOption},
	{"82 of eight split", msg(append(append([]byte{53, 1, 1, 82, 48}, splitSubs(8)...), 255)...), ReasonOK, NoteDuplicateOption},
	{"82 of nine split", msg(append(append([]byte{53, 1, 1, 82, 54}, splitSubs(9)...), 255)...), ReasonRAILen, 0},

	{"many pieces", msg(rep(1900, 250, 0)...), ReasonOK, NoteDuplicateOption | NoteNoEnd},
	{"many pieces of host name", msg(rep(1900, 12, 0)...), ReasonOK, NoteEmptyOption | NoteNoEnd},
}

// splitSubs are n sub-options of one octet, each twice.
func splitSubs(n int) (b []byte) {
	for i := range n {
		b = append(b, 100+byte(i), 1, 'a', 100+byte(i), 1, 'b')
	}
	return b
}

func TestParse(t *testing.T) {
	var v View
	reasons, notes := map[Reason]bool{}, Notes(0)
	for _, c := range parseCases {
		got := v.Parse(c.msg)
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
			continue
		}
		if got == ReasonOK && v.Notes() != c.notes {
			t.Errorf("%s: notes %v, want %v", c.name, v.Notes(), c.notes)
		}
		reasons[got] = true
		notes |= v.Notes()
	}
	for r := range NumReasons {
		if !reasons[r] {
			t.Errorf("no case for reason %v", r)
		}
	}
	if want := Notes(1<<NumNotes - 1); notes != want {
		t.Errorf("no case for notes %v", want&^notes)
	}
}

// With lenient-option-parsing too much is cut off, too little is still refused.
func TestParseLenient(t *testing.T) {
	v := View{Lenient: true}
	if r := v.Parse(msg(53, 1, 1, 50, 5, 192, 0, 2, 9, 1, 82, 7, 5, 5, 10, 0, 0, 1, 1, 255)); r != ReasonOK {
		t.Fatal(r)
	}
	if a, ok := v.RequestedIP(); !ok || a != 0xC0000209 {
		t.Error(a, ok)
	}
	if b := v.RAI(RAILinkSelection); !bytes.Equal(b, []byte{10, 0, 0, 1}) {
		t.Error(b)
	}
	if v.Notes() != NoteExcessLength {
		t.Error(v.Notes())
	}
	for _, b := range [][]byte{msg(53, 1, 1, 50, 3, 192, 0, 2, 255), msg(53, 1, 1, 82, 5, 5, 3, 10, 0, 0, 255)} {
		if r := v.Parse(b); r == ReasonOK {
			t.Errorf("%x was accepted", b[HeaderLen:])
		}
	}
}

func TestParseReplyWantsBootReply(t *testing.T) {
	var v View
	if r := v.ParseReply(at(msg(53, 1, 2, 255), 0, 2)); r != ReasonOK {
		t.Error(r)
	}
	if r := v.ParseReply(msg(53, 1, 2, 255)); r != ReasonNotBootRequest {
		t.Error(r)
	}
}

func TestViewFields(t *testing.T) {
	b := discover()
	copy(b, []byte{1, 1, 6, 3})
	binary.BigEndian.PutUint16(b[8:], 17)
	binary.BigEndian.PutUint16(b[10:], 0x8001)
	copy(b[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2, 10, 0, 0, 3, 10, 0, 0, 4})
	copy(b[offSName:], "server")
	copy(b[offFile:], "file")
	var v View
	if r := v.Parse(b); r != ReasonOK {
		t.Fatal(r)
	}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"op", v.Op(), uint8(1)}, {"htype", v.HType(), uint8(1)}, {"hlen", v.HLen(), uint8(6)}, {"hops", v.Hops(), uint8(3)},
		{"xid", v.XID(), uint32(0x12345678)}, {"secs", v.Secs(), uint16(17)}, {"flags", v.Flags(), uint16(0x8001)},
		{"broadcast", v.Broadcast(), true},
		{"ciaddr", v.CIAddr(), IPv4(0x0A000001)}, {"yiaddr", v.YIAddr(), IPv4(0x0A000002)},
		{"siaddr", v.SIAddr(), IPv4(0x0A000003)}, {"giaddr", v.GIAddr(), IPv4(0x0A000004)},
		{"chaddr", string(v.CHAddr()), "\x02\x00\x00\x00\x00\x09"},
		{"sname", string(v.SName()), "server" + string(make([]byte, 58))},
		{"file", string(v.File()), "file" + string(make([]byte, 124))},
		{"type", v.Type(), MsgDiscover},
		{"client-id", string(v.ClientID()), "\x01\x02\x00\x00\x00\x00\x09"},
		{"max size", v.MaxMessageSize(), uint16(1500)},
		{"prl", len(v.PRL()), 13},
		{"host name", string(v.Option(OptHostName)), "host"},
		{"has 53", v.Has(53), true}, {"has 54", v.Has(54), false},
		{"option 54", v.Option(54) == nil, true},
		{"raw", len(v.Raw()), len(b)},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
	if a, ok := v.RequestedIP(); !ok || a != 0xC0000205 {
		t.Error(a, ok)
	}
	if _, ok := v.ServerID(); ok {
		t.Error("server-id")
	}
	if _, ok := v.LeaseTime(); ok {
		t.Error("lease time")
	}
	v.Parse(msg(54, 4, 10, 0, 0, 9, 51, 4, 0, 0, 0x0e, 0x10, 61, 0, 255))
	if a, ok := v.ServerID(); !ok || a != 0x0A000009 {
		t.Error(a, ok)
	}
	if s, ok := v.LeaseTime(); !ok || s != 3600 {
		t.Error(s, ok)
	}
	// Nothing of the message before is left.
	if v.Type() != 0 || v.PRL() != nil || v.MaxMessageSize() != 0 {
		t.Error("options of another message")
	}
	if id := v.ClientID(); id == nil || len(id) != 0 {
		t.Errorf("empty option: %v", id)
	}
}

// RFC 3396 §5 and V4-013: pieces are put together in the order of the message,
// also when other options stand between them.
func TestLongOptions(t *testing.T) {
	a, b := bytes.Repeat([]byte{'a'}, 255), bytes.Repeat([]byte{'b'}, 100)
	opts := append([]byte{53, 1, 1, 77, 255}, a...)
	opts = append(opts, 12, 2, 'h', 0, 61, 2, 1, 2)
	opts = append(append(opts, 77, 100), b...)
	opts = append(opts, 61, 1, 3, 12, 2, 'i', 0, 255)
	var v View
	if r := v.Parse(msg(opts...)); r != ReasonOK {
		t.Fatal(r)
	}
	if got := v.Option(OptUserClass); string(got) != string(a)+string(b) {
		t.Errorf("%d octets", len(got))
	}
	if got := v.ClientID(); !bytes.Equal(got, []byte{1, 2, 3}) {
		t.Error(got)
	}
	// Trailing NULs are cut once the pieces are together.
	if got := v.Option(OptHostName); string(got) != "h\x00i" {
		t.Errorf("%q", got)
	}
	if v.Type() != MsgDiscover {
		t.Error(v.Type())
	}
}

func TestContradictoryTypeIsTheFirst(t *testing.T) {
	var v View
	v.Parse(msg(53, 1, 3, 53, 1, 7, 255))
	if v.Type() != MsgRequest || len(v.Option(53)) != 1 {
		t.Error(v.Type(), v.Option(53))
	}
}

// RFC 8357 §4.1: the relay port sub-option has no octets. Kea defines it as a
// number of two.
func TestRAIRelayPortLength(t *testing.T) {
	for _, m := range [][]byte{
		msg(53, 1, 1, 82, 5, 1, 1, 'p', 19, 0, 255),
		msg(53, 1, 1, 82, 7, 1, 1, 'p', 19, 2, 0x04, 0x2b, 255),
	} {
		var v View
		if r := v.Parse(m); r != ReasonOK || v.RAI(RAIRelayPort) == nil {
			t.Errorf("%v, %v: %x", r, v.RAI(RAIRelayPort), m)
		}
	}
}

func TestRAI(t *testing.T) {
	var v View
	v.Parse(msg(53, 1, 1, 82, 30,
		1, 3, 'a', 'b', 'c',
		2, 1, 'x', 2, 2, 'y', 'z',
		5, 4, 10, 0, 0, 1,
		11, 2, 10, 0, 11, 2, 0, 2,
		12, 0,
		9, 9, // truncated
		255))
	for _, c := range []struct {
		sub  uint8
		want string
	}{{RAICircuitID, "abc"}, {RAIRemoteID, "xyz"}, {RAILinkSelection, "\x0a\x00\x00\x01"}, {RAIServerIDOverride, "\x0a\x00\x00\x02"}} {
		if got := v.RAI(c.sub); string(got) != c.want {
			t.Errorf("sub-option %d: %q, want %q", c.sub, got, c.want)
		}
	}
	if b := v.RAI(RAIRelayID); b == nil || len(b) != 0 {
		t.Errorf("empty sub-option: %v", b)
	}
	if v.RAI(RAIVendorSpecificInformation) != nil || v.RAI(200) != nil {
		t.Error("a sub-option that is not there")
	}
	if len(v.Option(OptRelayAgentInformation)) != 30 {
		t.Error("option 82 is not whole")
	}
	v.Parse(msg(53, 1, 1, 255))
	if v.RAI(RAICircuitID) != nil {
		t.Error("a sub-option of another message")
	}
}

// Slices cannot be appended to into the rest of the message.
func TestViewSlicesAreClipped(t *testing.T) {
	var v View
	v.Parse(discover())
	for _, b := range [][]byte{v.ClientID(), v.CHAddr(), v.SName(), v.File(), v.PRL()} {
		if cap(b) != len(b) {
			t.Errorf("cap %d of len %d", cap(b), len(b))
		}
	}
}

func TestLabels(t *testing.T) {
	seen := map[string]bool{}
	for r := range NumReasons {
		if s := r.String(); s == "" || s == "unknown" || seen[s] {
			t.Errorf("reason %d: %q", r, s)
		} else {
			seen[s] = true
		}
	}
	for i := range NumNotes {
		if s := noteNames[i]; s == "" || seen[s] || Notes(1<<i).String() != s {
			t.Errorf("note %d: %q", i, s)
		} else {
			seen[s] = true
		}
	}
	if NumReasons.String() != "unknown" || Notes(3).String() != "truncated-option,no-end" {
		t.Error("labels")
	}
	if MsgAck.String() != "DHCPACK" || MsgType(99).String() != "UNKNOWN(99)" || MsgType(0).String() != "NONE" {
		t.Error("message types")
	}
	if OptionName(OptDomainNameServer) != "domain-name-servers" || OptionName(80) != "" || RAIName(RAILinkSelection) != "link-selection" {
		t.Error("option names")
	}
}

// naiveOptions is the obvious reading of an options field, the twin of parse.
func naiveOptions(b []byte) map[uint8][]byte {
	m := map[uint8][]byte{}
	for len(b) > 0 && b[0] != OptEnd {
		if b[0] == OptPad {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			break
		}
		if !(b[0] == OptHostName && b[1] == 0) {
			m[b[0]] = append(m[b[0]], b[2:2+int(b[1])]...)
		}
		b = b[2+int(b[1]):]
	}
	return m
}

func checkTwin(t *testing.T, v *View, b []byte) {
	t.Helper()
	want := naiveOptions(b[HeaderLen:])
	for c := range 256 {
		code := uint8(c)
		w, ok := want[code]
		switch f := optionFormats[code]; f.form {
		case fString:
			w = bytes.TrimRight(w, "\x00")
			ok = len(w) > 0
		case fScalar:
			w = w[:min(len(w), int(f.size))]
		}
		if got := v.Option(code); v.Has(code) != ok || (got != nil) != ok || !bytes.Equal(got, w) {
			t.Fatalf("option %d: %x, want %x (%v)", code, got, w, ok)
		}
	}
}

func TestParseTwin(t *testing.T) {
	r := rnd(t)
	var v View
	ok := 0
	for range 20000 {
		var opts []byte
		for range r.IntN(30) {
			code := byte(r.IntN(256))
			if r.IntN(2) == 0 {
				code = []byte{12, 60, 61, 77, 82, 43, 0, 125}[r.IntN(8)]
			}
			n := r.IntN(12)
			if f := optionFormats[code]; f.form == fScalar || f.form == fIPs || f.form == fInts {
				n = int(f.size)
			}
			opts = append(opts, code, byte(n))
			for range n {
				opts = append(opts, byte(r.Uint32N(3)))
			}
		}
		b := msg(opts...)
		if v.Parse(b) == ReasonOK {
			ok++
			checkTwin(t, &v, b)
		}
	}
	if ok < 5000 {
		t.Errorf("only %d messages were valid", ok)
	}
}

func TestNoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	b := discover()
	split := msg(53, 1, 1, 77, 1, 'a', 77, 1, 'b', 82, 6, 1, 1, 'a', 1, 1, 'b', 255)
	var v View
	var r Reply
	out := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		v.Parse(split)
		_ = v.RAI(RAICircuitID)
		v.Parse(b)
		_ = v.Type()
		r.Reset()
		r.CopyHeader(&v)
		r.Type = MsgOffer
		r.SetU32(OptIPAddressLeaseTime, 3600)
		r.SetIP(OptServerIdentifier, 0x0A000001)
		r.Set(OptClientIdentifier, v.ClientID())
		r.Del(OptRenewalTime)
		out, _ = r.Append(out[:0], 576, v.PRL())
		out, _ = r.Append(out[:0], 250, v.PRL())
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range parseCases {
		f.Add(c.msg)
	}
	var v, w View
	f.Fuzz(func(t *testing.T, b []byte) {
		AppendText(nil, b)
		if r := v.Parse(b); r != ReasonOK {
			if r >= NumReasons {
				t.Fatalf("reason %d", r)
			}
			return
		}
		checkTwin(t, &v, b)
		for sub := range 256 {
			v.RAI(uint8(sub))
		}
		// What was read can be written and reads the same.
		var r Reply
		r.CopyHeader(&v)
		r.Op = BootRequest
		for c := range 255 {
			if v.Has(uint8(c)) && r.Len() < MaxReplyOptions {
				r.Set(uint8(c), v.Option(uint8(c)))
			}
		}
		out, dropped := r.Append(nil, 2*MaxMessageLen, nil)
		if dropped != 0 {
			t.Fatalf("dropped %d", dropped)
		}
		if len(out) > MaxMessageLen {
			return
		}
		if got := w.Parse(out); got != ReasonOK {
			t.Fatalf("own message: %v", got)
		}
		for i := range r.Len() {
			c, data := r.At(i)
			if !bytes.Equal(w.Option(c), data) {
				t.Fatalf("option %d: %x, want %x", c, w.Option(c), data)
			}
		}
	})
}

func BenchmarkParseDiscover(b *testing.B) {
	m := discover()
	var v View
	b.ReportAllocs()
	for b.Loop() {
		v.Parse(m)
	}
}

func BenchmarkParseRelayed(b *testing.B) {
	m := msg(53, 1, 1, 61, 7, 1, 2, 0, 0, 0, 0, 9, 55, 7, 1, 28, 2, 3, 15, 6, 12,
		82, 20, 1, 8, 'e', 't', 'h', '0', '/', '1', '/', '2', 2, 8, 1, 2, 3, 4, 5, 6, 7, 8, 255)
	var v View
	b.ReportAllocs()
	for b.Loop() {
		v.Parse(m)
	}
}
