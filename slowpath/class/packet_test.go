package class

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// fake is a Packet made of its parts.
type fake struct {
	header   []byte
	options  map[uint16][]byte
	relays   []fakeRelay // from the server
	iface    string
	src, dst netip.Addr
	len      int
	classes  map[uint32]bool
}

type fakeRelay struct {
	header  []byte
	options map[uint16][]byte
}

func (f *fake) Header() []byte         { return f.header }
func (f *fake) Option(c uint16) []byte { return f.options[c] }
func (f *fake) RelayOption(l int, c uint16) []byte {
	if l >= len(f.relays) {
		return nil
	}
	return f.relays[l].options[c]
}
func (f *fake) Relays() int { return len(f.relays) }
func (f *fake) RelayHeader(l int) []byte {
	if l < 0 || l >= len(f.relays) {
		return nil
	}
	return f.relays[l].header
}
func (f *fake) Iface() string         { return f.iface }
func (f *fake) Src() netip.Addr       { return f.src }
func (f *fake) Dst() netip.Addr       { return f.dst }
func (f *fake) Len() int              { return f.len }
func (f *fake) InClass(i uint32) bool { return f.classes[i] }

// numbers gives class names numbers in order of appearance.
type numbers map[string]uint32

func (n numbers) index(name string) uint32 {
	i, ok := n[name]
	if !ok {
		i = uint32(len(n))
		n[name] = i
	}
	return i
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", ":", "").Replace(s))
	if err != nil {
		panic(err)
	}
	return b
}

var testDefs = map[string]map[uint16]OptionDef{
	"dhcp4": {
		3:   {Type: TypeIPv4Address, Array: true},
		2:   {Type: TypeInt32},
		12:  {Type: TypeString},
		19:  {Type: TypeBoolean},
		25:  {Type: TypeUint16, Array: true},
		43:  {Type: TypeEmpty, Encapsulates: "vendor-encapsulated-options-space"},
		50:  {Type: TypeIPv4Address},
		53:  {Type: TypeUint8},
		55:  {Type: TypeUint8, Array: true},
		57:  {Type: TypeUint16},
		60:  {Type: TypeString},
		78:  {Type: TypeRecord, Array: true, Fields: []OptionType{TypeBoolean, TypeIPv4Address}},
		79:  {Type: TypeRecord, Fields: []OptionType{TypeBoolean, TypeString}},
		80:  {Type: TypeEmpty},
		82:  {Type: TypeEmpty, Encapsulates: "dhcp-agent-options-space"},
		88:  {Type: TypeFQDN, Array: true},
		159: {Type: TypeRecord, Fields: []OptionType{TypeUint8, TypePSID}},
		170: {Type: TypeUint16, Encapsulates: "inner"},
		171: {Type: TypeTuple},
		172: {Type: TypeRecord, Fields: []OptionType{TypeUint8, TypeIPv4Address}, Encapsulates: "inner"},
		173: {Type: TypeString, Encapsulates: "inner"},
	},
	"inner":                    {1: {Type: TypeUint8}, 2: {Type: TypeEmpty, Encapsulates: "inner"}},
	"dhcp-agent-options-space": {5: {Type: TypeIPv4Address}},
	"dhcp6":                    {12: {Type: TypeUint16, Encapsulates: "inner6"}},
	"inner6":                   {},
}

func testEnv() *Env {
	return &Env{
		OptionCode: OptionCode4,
		OptionDef: func(space string, code uint16) (OptionDef, bool) {
			d, ok := testDefs[space][code]
			return d, ok
		},
		ClassIndex: numbers{}.index,
	}
}

func testEnv6() *Env {
	e := testEnv()
	e.V6 = true
	e.OptionCode = func(name string) (uint16, bool) { return 7, name == "preference" }
	return e
}

// testPacket is a query with a bit of everything.
func testPacket() *fake {
	h := make([]byte, 240)
	copy(h, unhex("01 01 06 02 00003039 0000 8000 0a000001 0a000002 0a000003 0a000004 020000000a0b"))
	return &fake{
		header: h,
		options: map[uint16][]byte{
			2:   unhex("fffffff6"),
			3:   unhex("0a000001 0a000002"),
			12:  []byte("FooBar"),
			19:  {1},
			25:  unhex("0044 05dc"),
			43:  unhex("00 01 02 6162 ff 03 01 63"),
			50:  unhex("c0000201"),
			53:  {3},
			55:  {1, 3, 200},
			57:  unhex("05dc"),
			60:  []byte("docsis3.0:x"),
			61:  unhex("01 020000000a0b"),
			77:  {},
			78:  unhex("01 0a000001 0a000002"),
			79:  append([]byte{0}, "scope"...),
			80:  {},
			82:  unhex("01 04 61626364 02 02 0001"),
			88:  unhex("03 777777 02 6963 00 00"),
			124: unhex("00001000 03 616263 0000000a 02 7879 00001000 01 7a"),
			125: unhex("0000118b 05 01 01 41 02 00 0000000a 06 01 02 4243 05 00 0000000a 03 07 01 55"),
			159: unhex("04 08 a500"),
			170: unhex("1234 01 01 61 01 01 62 02 03 01 01 63"),
			171: unhex("03 616263"),
			172: unhex("07 0a000001 01 01 61"),
			173: unhex("01 01 61"),
			224: unhex("01 01 61"),
		},
		relays: []fakeRelay{{options: map[uint16][]byte{1: []byte("abcd"), 2: {0, 1}, 5: unhex("0a000001"), 9: {}}}},
		iface:  "eth0.100",
		src:    netip.MustParseAddr("10.1.2.3"),
		dst:    netip.MustParseAddr("10.1.2.4"),
		len:    300,
	}
}

func testPacket6() *fake {
	relay := func(link, peer string, options map[uint16][]byte) fakeRelay {
		h := make([]byte, 0, 34)
		h = append(h, 12, 0)
		h = append(h, netip.MustParseAddr(link).AsSlice()...)
		h = append(h, netip.MustParseAddr(peer).AsSlice()...)
		return fakeRelay{h, options}
	}
	return &fake{
		header: unhex("01 003039"),
		options: map[uint16][]byte{
			1:  unhex("0003 0001 0200000000aa"),
			7:  {},
			12: unhex("1234 0001 0001 61 0001 0001 62"),
			16: unhex("0000118b 0003 616263 0001 78"),
			17: unhex("0000118b 0001 0002 4142 0003 0000"),
		},
		relays: []fakeRelay{
			relay("2001:db8::1", "fe80::1", map[uint16][]byte{18: []byte("near"), 12: unhex("0000 0001 0001 7a")}),
			relay("2001:db8::2", "fe80::2", map[uint16][]byte{18: []byte("far")}),
		},
		iface: "eth1",
		src:   netip.MustParseAddr("2001:db8::3"),
		dst:   netip.MustParseAddr("ff02::1:2"),
		len:   77,
	}
}

func compile(t testing.TB, text string, kind Kind, env *Env) *Expr {
	t.Helper()
	e, err := Compile(text, kind, env)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return e
}

// message4 is a DISCOVER in wire form, parsed.
func message4(t testing.TB, options string) *Message4 {
	t.Helper()
	msg := make([]byte, 240)
	copy(msg, unhex("01 01 06 00 00003039 0000 0000"))
	copy(msg[28:], unhex("020000000a0b"))
	binary.BigEndian.PutUint32(msg[236:], 0x63825363)
	msg = append(append(msg, unhex(options)...), 255)
	v := new(dhcp4.View)
	if r := v.Parse(msg); r != dhcp4.ReasonOK {
		t.Fatalf("parse: %v", r)
	}
	return &Message4{View: v, Interface: "eth0", From: 0x0a010203, To: 0xffffffff}
}
