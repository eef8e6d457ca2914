package class

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// TestStrings has an expression of each token that yields a string, with what
// Kea 3.3.1's token.cc makes of it.
func TestStrings(t *testing.T) {
	for _, tt := range []struct{ expr, want string }{
		// Literals (CL-001 … CL-004).
		{`'foo'`, "foo"},
		{`''`, ""},
		{`'a"b\n'`, `a"b\n`},
		{`'äß'`, "äß"},
		{`0x666F`, "fo"},
		{`0X6`, "\x06"},
		{`0x123`, "\x01\x23"},
		{`10.0.0.1`, "\x0a\x00\x00\x01"},
		{`2001:db8::1`, "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01"},
		{`::`, strings.Repeat("\x00", 16)},
		{`::ffff:10.0.0.1`, strings.Repeat("\x00", 10) + "\xff\xff\x0a\x00\x00\x01"},
		{`abcd::`, "\xab\xcd" + strings.Repeat("\x00", 14)},
		{`123`, "\x00\x00\x00\x7b"},
		{`0123`, "\x00\x00\x00\x7b"},
		{`-0`, "\x00\x00\x00\x00"},
		{`4294967295`, "\xff\xff\xff\xff"},
		{`('foo')`, "foo"},
		{"\t'foo'\n", "foo"},

		// Options (CL-006).
		{`option[12].hex`, "FooBar"},
		{`option[host-name].text`, "FooBar"},
		{"option [ host-name\t] . text", "FooBar"},
		{`option[ 12 ].text`, "FooBar"},
		{`option[99].hex`, ""},
		{`option[99].text`, ""},
		{`option[77].hex`, ""},
		{`option[170].option[1].hex`, "ab"}, // two pieces
		{`option[170].option[2].option[1].hex`, "c"},
		{`option[170].option[1].option[1].hex`, ""},
		{`option[172].option[1].hex`, "a"},
		{`option[173].option[1].hex`, ""}, // no place for sub-options after a string
		{`option[12].option[1].hex`, ""},  // encapsulates nothing
		{`option[61].option[1].hex`, ""},  // not defined
		{`option[82].option[1].hex`, "abcd"},
		{`option[43].option[1].hex`, ""}, // not decoded yet
		{`option[43].hex`, "\x00\x01\x02ab\xff\x03\x01c"},
		{`option[125].option[1].hex`, "BC"},
		{`option[124].option[1].hex`, ""},

		// relay4 (CL-007).
		{`relay4[1].hex`, "abcd"},
		{`relay4[9].hex`, ""},
		{`relay4[3].hex`, ""},
		{`relay4[1].option[1].hex`, ""},
		{`relay4[1].option[host-name].hex`, ""}, // a name is grammatical there

		// Textual form.
		{`option[61].text`, "type=061, len=007: 01:02:00:00:00:0a:0b"},
		{`option[2].text`, "type=002, len=004: -10 (int32)"},
		{`option[3].text`, "type=003, len=008: 10.0.0.1 10.0.0.2"},
		{`option[19].text`, "type=019, len=001: true (boolean)"},
		{`option[25].text`, "type=025, len=004: 68(uint16) 1500(uint16)"},
		{`option[50].text`, "type=050, len=004: 192.0.2.1 (ipv4-address)"},
		{`option[53].text`, "type=053, len=001: 3 (uint8)"},
		{`option[55].text`, "type=055, len=003: 1(uint8) 3(uint8) 200(uint8)"},
		{`option[57].text`, "type=057, len=002: 1500 (uint16)"},
		{`option[77].text`, "type=077, len=000: ''"},
		{`option[78].text`, "type=078, len=009: true (boolean) 10.0.0.1 (ipv4-address) 10.0.0.2 (ipv4-address)"},
		{`option[79].text`, `type=079, len=006: false (boolean) "scope" (string)`},
		{`option[80].text`, "type=080, len=000: ''"},
		{`option[82].text`, "type=082, len=010:\n  type=001, len=004: 61:62:63:64 'abcd'\n  type=002, len=002: 00:01"},
		{`option[88].text`, `type=088, len=009: "www.ic." (fqdn) "." (fqdn)`},
		{`option[159].text`, "type=159, len=004: 4 (uint8) len=8,psid=165 (psid)"},
		{`option[170].text`, "type=170, len=013: 4660 (uint16)\n  type=001, len=002: 97 (uint8)\n  type=002, len=003: 01:01:63"},
		{`option[171].text`, `type=171, len=004: "abc" (tuple)`},
		{`relay4[5].text`, "type=005, len=004: 10.0.0.1 (ipv4-address)"},
		{`relay4[1].text`, "type=001, len=004: 61:62:63:64 'abcd'"},

		// The packet (CL-011, CL-012).
		{`pkt.iface`, "eth0.100"},
		{`pkt.src`, "\x0a\x01\x02\x03"},
		{`pkt.dst`, "\x0a\x01\x02\x04"},
		{`pkt.len`, "\x00\x00\x01\x2c"},
		{`pkt4.mac`, "\x02\x00\x00\x00\x0a\x0b"},
		{`pkt4.hlen`, "\x00\x00\x00\x06"},
		{`pkt4.htype`, "\x00\x00\x00\x01"},
		{`pkt4.ciaddr`, "\x0a\x00\x00\x01"},
		{`pkt4.yiaddr`, "\x0a\x00\x00\x02"},
		{`pkt4.siaddr`, "\x0a\x00\x00\x03"},
		{`pkt4.giaddr`, "\x0a\x00\x00\x04"},
		{`pkt4.msgtype`, "\x00\x00\x00\x03"},
		{`pkt4.transid`, "\x00\x00\x30\x39"},

		// Vendors (CL-014, CL-015): of several the least number is looked at.
		{`vendor.enterprise`, "\x00\x00\x00\x0a"},
		{`vendor[*].option[1].hex`, "BC"},
		{`vendor[0].option[1].hex`, "BC"},
		{`vendor[10].option[1].hex`, "BC"},
		{`vendor[10].option[7].hex`, "U"}, // in the second block of that vendor
		{`vendor[4491].option[1].hex`, ""},
		{`vendor[10].option[1].option[2].hex`, ""},
		{`vendor-class.enterprise`, "\x00\x00\x00\x0a"},
		{`vendor-class[*].data`, "xy"},
		{`vendor-class[10].data[0]`, "xy"},
		{`vendor-class[10].data[1]`, ""},
		{`vendor-class[4096].data`, ""},

		// substring (CL-019).
		{`substring('foobar', 0, 6)`, "foobar"},
		{`substring('foobar', 3, 3)`, "bar"},
		{`substring('foobar', 3, all)`, "bar"},
		{`substring('foobar', 1, 4)`, "ooba"},
		{`substring('foobar', -5, 4)`, "ooba"},
		{`substring('foobar', -1, -3)`, "oba"},
		{`substring('foobar', 4, -2)`, "ob"},
		{`substring('foobar', 10, 2)`, ""},
		{`substring('foobar', 6, 1)`, ""},
		{`substring('foobar', -7, 3)`, ""},
		{`substring('foobar', -6, 3)`, "foo"},
		{`substring('foobar', 2, -6)`, "fo"},
		{`substring('foobar', 0, -3)`, ""},
		{`substring('foobar', 0, 0)`, ""},
		{`substring('foobar', 4, 100)`, "ar"},
		{`substring('foobar', -6, all)`, "foobar"},
		{`substring('foobar', 2, -2147483648)`, "fo"},
		{`substring('foobar', 2, 2147483647)`, "obar"},
		{`substring('', 0, 1)`, ""},
		{`substring('', 99999999999, 1)`, ""}, // nothing to cut, so nobody looks
		{`substring(option[12].hex, 3, all)`, "Bar"},
		{`substring(option[99].hex, 3, all)`, ""},

		// split (CL-021).
		{`split('one.two..four', '.', 1)`, "one"},
		{`split('one.two..four', '.', 2)`, "two"},
		{`split('one.two..four', '.', 3)`, ""},
		{`split('one.two..four', '.', 4)`, "four"},
		{`split('one.two..four', '.', 5)`, ""},
		{`split('one.two:four', '.:', 3)`, "four"},
		{`split('.x', '.', 1)`, ""},
		{`split('x.', '.', 2)`, ""},
		{`split('x', '.', 0)`, ""},
		{`split('x', '.', -1)`, ""},
		{`split('x.y', '', 7)`, "x.y"},
		{`split('', '.', 1)`, ""},
		{`split('', '.', 99999999999)`, ""},
		{`split(option[60].text, 0x3a, 2)`, "x"},

		// concat and + (CL-020).
		{`concat('foo', 'bar')`, "foobar"},
		{`concat('', '')`, ""},
		{`'a' + 'b' + 'c'`, "abc"},
		{`'a' + ('b' + 'c')`, "abc"},
		{`concat('a' + 'b', 'c') + option[12].hex`, "abcFooBar"},
		{`'1'+'2'+'3'+'4'+'5'+'6'+'7'+'8'+'9'+pkt.iface`, "123456789eth0.100"},

		// ifelse (CL-022).
		{`ifelse('a' == 'a', 'yes', 'no')`, "yes"},
		{`ifelse('a' == 'b', 'yes', 'no')`, "no"},
		{`ifelse(option[230].exists, option[230].hex, 'none')`, "none"},
		{`ifelse(option[12].exists, option[12].hex, int8totext('xx'))`, "FooBar"}, // the other branch is not evaluated
		{`sifelse('a' == 'b', 'yes', 'no')`, "no"},
		{`sifelse('a' == 'a', 'yes', 'no')`, "yes"},
		{`ifelse('a' == 'b', '1', ifelse('b' == 'b', '2', '3')) + '!'`, "2!"},

		// hexstring (CL-023).
		{`hexstring(0x1234, ':')`, "12:34"},
		{`hexstring(0xF01234, '..')`, "f0..12..34"},
		{`hexstring(0xbcde, '')`, "bcde"},
		{`hexstring('', ':')`, ""},
		{`hexstring(pkt4.mac, '-')`, "02-00-00-00-0a-0b"},

		// lcase, ucase (CL-024): letters of ASCII only.
		{`lcase('LoWeR[@` + "`" + `{Ä')`, "lower[@`{Ä"},
		{`ucase('uPpEr[@{ä')`, "UPPER[@{ä"},
		{`lcase(option[12].hex)`, "foobar"},

		// Conversions (CL-025).
		{`addrtotext(192.10.0.1)`, "192.10.0.1"},
		{`addrtotext(2003:db8::)`, "2003:db8::"},
		{`addrtotext(::1)`, "::1"},
		{`addrtotext(::)`, "::"},
		{`addrtotext(::1.2.3.4)`, "::1.2.3.4"},
		{`addrtotext(::0.0.3.4)`, "::304"},
		{`addrtotext(::ffff:1.2.3.4)`, "::ffff:1.2.3.4"},
		{`addrtotext(2001:0:1:0:1:0:1:0)`, "2001:0:1:0:1:0:1:0"},
		{`addrtotext('')`, ""},
		{`addrtotext(pkt4.giaddr)`, "10.0.0.4"},
		{`int8totext(0xff)`, "-1"},
		{`int8totext(0x7f)`, "127"},
		{`uint8totext(0xff)`, "255"},
		{`int16totext(0xffff)`, "-1"},
		{`int16totext(0x8000)`, "-32768"},
		{`uint16totext(0xffff)`, "65535"},
		{`int32totext(0xffffffff)`, "-1"},
		{`int32totext(4294967295)`, "-1"},
		{`uint32totext(4294967295)`, "4294967295"},
		{`uint32totext(pkt.len)`, "300"},
		{`int8totext('')`, ""},
		{`uint16totext(option[99].hex)`, ""},
	} {
		e, err := Compile(tt.expr, String, testEnv())
		if err != nil {
			t.Errorf("%s: %v", tt.expr, err)
			continue
		}
		var s Scratch
		got := string(e.AppendString(nil, testPacket(), &s))
		if got != tt.want || s.Failed() != FailNone {
			t.Errorf("%s = %q (%v), want %q", tt.expr, got, s.Failed(), tt.want)
		}
	}
}

func TestBooleans(t *testing.T) {
	env := testEnv()
	in, out := env.ClassIndex("in"), env.ClassIndex("out")
	q := testPacket()
	q.classes = map[uint32]bool{in: true, out: false}
	for _, tt := range []struct {
		expr string
		want bool
	}{
		{`'foo' == 'foo'`, true},
		{`'foo' == 'Foo'`, false},
		{`'' == ''`, true},
		{`option[99].hex == ''`, true}, // missing and empty are equal
		{`option[77].hex == option[99].hex`, true},
		{`option[12].hex == 'FooBar'`, true},
		{`'FooBar' == option[12].hex`, true},
		{`option[12].hex == 'FooBaz'`, false},
		{`pkt4.hlen == 6`, true},
		{`pkt4.hlen == 0x06`, false}, // 1 octet against 4
		{`option[53].hex == 3`, false},
		{`option[53].hex == 0x3`, true},
		{`'1' == 1`, false},
		{`10.0.0.4 == pkt4.giaddr`, true},
		{`'a' + 'b' == 'ab'`, true},
		{`'ab' == 'a' + 'b'`, true},
		{`('a' == 'a')`, true},
		{`(('a') == ('a'))`, true},

		{`option[12].exists`, true},
		{`option[77].exists`, true}, // empty, but there
		{`option[99].exists`, false},
		{`option[170].option[2].exists`, true},
		{`option[170].option[3].exists`, false},
		{`option[82].option[2].exists`, true},
		{`option[43].exists`, true},
		{`option[43].option[1].exists`, false},
		{`option[12].option[1].exists`, false},
		{`relay4[1].exists`, true},
		{`relay4[9].exists`, true},
		{`relay4[3].exists`, false},
		{`vendor[10].exists`, true},
		{`vendor[*].exists`, true},
		{`vendor[0].exists`, true},
		{`vendor[4491].exists`, false},
		{`vendor[10].option[5].exists`, true}, // empty
		{`vendor[10].option[6].exists`, false},
		{`vendor-class[10].exists`, true},
		{`vendor-class[*].exists`, true},
		{`vendor-class[4096].exists`, false},

		{`member('in')`, true},
		{`member('out')`, false},
		{`member('never heard of')`, false},

		{`not 'a' == 'a'`, false},
		{`not not 'a' == 'a'`, true},
		{`not member('in') or member('in')`, true},
		{`not (member('in') or member('in'))`, false},
		{`not member('in') and member('out')`, false},
		{`not member('out') and member('in')`, true},
		{`member('in') or member('out') and member('out')`, true},
		{`(member('in') or member('out')) and member('out')`, false},
		{`member('in') sand member('out') or member('in')`, true},
		{`member('in') sor member('in') and member('out')`, true},
		{`member('out') sor member('in') or member('out')`, true},
		{`member('in') and member('in') and member('in')`, true},
		{`member('in') and member('in') and member('out')`, false},
		{`member('out') or member('out') or member('in')`, true},
		{`member('out') sor member('out') sor member('out')`, false},
		{`member('in') sand member('in') sand member('in')`, true},
		{`notmember('out')andmember('in')`, true}, // words need no blanks between them

		// An expression that fails is false, and so is what is around it; the
		// operators that stop early do not get there (CL-017, CL-027).
		{`int8totext('xx') == 'x'`, false},
		{`not int8totext('xx') == 'x'`, false},
		{`member('in') or int8totext('xx') == 'x'`, true},
		{`member('in') sor int8totext('xx') == 'x'`, false},
		{`not (member('out') and int8totext('xx') == 'x')`, true},
		{`not (member('out') sand int8totext('xx') == 'x')`, false},
		{`ifelse(member('in'), 'a', int8totext('xx')) == 'a'`, true},
		{`sifelse(member('in'), 'a', int8totext('xx')) == 'a'`, false},

		{`match('foo.*', lcase('FooBar'))`, true},
		{`match('foo', 'foobar')`, false}, // the whole value
		{`match('.*foo.*', 'is it foo or bar')`, true},
		{`match('^.*foo.*$', 'is it foo or bar')`, true},
		{`match('docsis[0-9]\.[0-9]', substring(option[60].text, 0, 9))`, true},
		{`match('', option[99].hex)`, true},
	} {
		e, err := Compile(tt.expr, Bool, env)
		if err != nil {
			t.Errorf("%s: %v", tt.expr, err)
			continue
		}
		var s Scratch
		if got := e.Test(q, &s); got != tt.want {
			t.Errorf("%s is %v, want %v", tt.expr, got, tt.want)
		}
	}
}

func TestV6(t *testing.T) {
	addr := func(s string) string { return string(unhex(s)) }
	for _, tt := range []struct{ expr, want string }{
		{`pkt6.msgtype`, "\x00\x00\x00\x01"},
		{`pkt6.transid`, "\x00\x00\x30\x39"},
		{`pkt.src`, addr("20010db800000000" + "0000000000000003")},
		{`pkt.iface`, "eth1"},
		{`relay6[0].option[18].hex`, "near"},
		{`relay6[1].option[18].hex`, "far"},
		{`relay6[-1].option[18].hex`, "far"},
		{`relay6[-2].option[18].hex`, "near"},
		{`relay6[-3].option[18].hex`, ""},
		{`relay6[2].option[18].hex`, ""},
		{`relay6[0].option[12].option[1].hex`, "z"},
		{`relay6[0].option[12].option[preference].hex`, ""},
		{`relay6[0].linkaddr`, addr("20010db800000000" + "0000000000000001")},
		{`relay6[-1].peeraddr`, addr("fe80000000000000" + "0000000000000002")},
		{`relay6[5].peeraddr`, ""},
		{`relay6[-32].linkaddr`, ""},
		{`option[12].option[1].hex`, "a"}, // the first, not both
		{`option[12].option[9].hex`, ""},
		{`option[17].option[1].hex`, "AB"},
		{`vendor.enterprise`, "\x00\x00\x11\x8b"},
		{`vendor[4491].option[1].hex`, "AB"},
		{`vendor[3].option[1].hex`, ""},
		{`vendor-class.enterprise`, "\x00\x00\x11\x8b"},
		{`vendor-class[4491].data`, "abc"},
		{`vendor-class[*].data[1]`, "x"},
		{`vendor-class[4491].data[2]`, ""},
		{`vendor-class[1].data`, ""},
		{`option[preference].text`, "type=00007, len=00000: ''"},
		{`option[12].text`, "type=00012, len=00012: 4660 (uint16)\n  type=00001, len=00001: 61 'a'\n  type=00001, len=00001: 62 'b'"},
		{`option[65535].hex`, ""},
		{`ifelse(vendor[4491].option[3].exists, 'y', 'n')`, "y"},
		{`ifelse(relay6[1].option[18].exists, 'y', 'n')`, "y"},
		{`ifelse(relay6[3].option[18].exists, 'y', 'n')`, "n"},
		{`ifelse(vendor-class[4491].exists, 'y', 'n')`, "y"},
	} {
		e := compile(t, tt.expr, String, testEnv6())
		var s Scratch
		if got := string(e.AppendString(nil, testPacket6(), &s)); got != tt.want {
			t.Errorf("%s = %q, want %q", tt.expr, got, tt.want)
		}
	}
}

// TestRepack: .hex of what Kea decodes into sub-options is what it would send.
func TestRepack(t *testing.T) {
	for _, tt := range []struct {
		code       uint16
		data, want string
	}{
		{82, "01 01 61 02 01 62", "01 01 61 02 01 62"},
		{82, "02 01 62 01 01 61", "01 01 61 02 01 62"},             // sorted
		{82, "01 01 61 02 01 62 01 01 63", "01 02 61 63 02 01 62"}, // put together
		{82, "01 01 61 02 05 62", "01 01 61"},                      // cut short
		{82, "01 01 61 02", "01 01 61"},
		{82, "00 00 ff 00", "00 00 ff 00"}, // ordinary codes here
		{82, "", ""},
		{170, "1234 02 00 01 00", "1234 01 00 02 00"},
		{170, "12", "12"},
		{43, "00 02 01 62 01 01 61 ff 03 00", "01 01 61 02 01 62"},
		{43, "01 01 61 00", "01 01 61"},
		{61, "02 01 62 01 01 61", "02 01 62 01 01 61"},
		{125, "0000118b 03 01 01 61", "0000118b 03 01 01 61"},
		{125, "0000118b 05 02 00 01 01 61", "0000118b 05 01 01 61 02 00"},
		{125, "0000118b 03 01 01 61 0000118b 03 01 01 62", "0000118b 06 01 01 61 01 01 62"},
		{125, "0000118b 03 01 01 61 00000009 02 07 00", "00000009 02 07 00"},
		{125, "0000118b", "0000118b 00"},
		{125, "0000118b 03 01", ""},
		{125, "", ""},
		{124, "0000118b 01 61", "0000118b 01 61"},
		{124, "0000118b 01 61 0000118b 02 6263", "0000118b 01 61 0000118b 02 6263"},
		{124, "0000118b 01 61 00000009 01 62", "00000009 01 62"},
		{124, "0000118b 01 61 00000009 09 62", "0000118b 01 61"},
		{124, "0000118b 01 61 0000", ""},
		{124, "0000118b 02 61", "0000118b 02 61"},
		{124, "0000118b", "0000118b"},
		{124, "", ""},
	} {
		q := &fake{options: map[uint16][]byte{tt.code: unhex(tt.data)}}
		e := compile(t, fmt.Sprintf("option[%d].hex", tt.code), String, testEnv())
		s := Scratch{Unpacked: true}
		got := e.AppendString(nil, q, &s)
		if !bytes.Equal(got, unhex(tt.want)) {
			t.Errorf("option %d %s: % x, want %s", tt.code, tt.data, got, tt.want)
		}
		// The comparison that is compiled in its own way agrees.
		e = compile(t, fmt.Sprintf("option[%d].hex == 0x00%s", tt.code, hex.EncodeToString(got)), Bool, testEnv())
		if e.Test(q, &s) {
			t.Errorf("%s is true", e.Text())
		}
		if len(got) > 0 {
			e = compile(t, fmt.Sprintf("option[%d].hex == 0x%x", tt.code, got), Bool, testEnv())
			if !e.Test(q, &s) {
				t.Errorf("%s is false", e.Text())
			}
		}
		exists := tt.want != "" || tt.data == ""
		e = compile(t, fmt.Sprintf("option[%d].exists", tt.code), Bool, testEnv())
		if e.Test(q, &s) != exists {
			t.Errorf("option %d %s: exists is %v", tt.code, tt.data, !exists)
		}
	}
}

// TestUnpacked: options 43 and 224 to 254 are decoded after the first pass.
func TestUnpacked(t *testing.T) {
	env := testEnv()
	def := env.OptionDef
	env.OptionDef = func(space string, code uint16) (OptionDef, bool) {
		if space == "dhcp4" && code == 224 {
			return OptionDef{Type: TypeString}, true
		}
		return def(space, code)
	}
	for _, tt := range []struct{ expr, before, after string }{
		{`option[43].option[1].hex`, "", "ab"}, // after a pad
		{`option[43].option[3].hex`, "", ""},   // behind an end
		{`option[43].text`, "type=043, len=009: 00:01:02:61:62:ff:03:01:63", "type=043, len=009:\n  type=001, len=002: 61:62 'ab'"},
		{`option[224].text`, "type=224, len=003: 01:01:61", "\x01\x01a"},
		{`option[224].hex`, "\x01\x01a", "\x01\x01a"},
	} {
		e := compile(t, tt.expr, String, env)
		var s Scratch
		if got := string(e.AppendString(nil, testPacket(), &s)); got != tt.before {
			t.Errorf("%s = %q before, want %q", tt.expr, got, tt.before)
		}
		s.Unpacked = true
		if got := string(e.AppendString(nil, testPacket(), &s)); got != tt.after {
			t.Errorf("%s = %q after, want %q", tt.expr, got, tt.after)
		}
	}
	// With a sub-option 255 in the space, 255 is no end.
	testDefs["vendor-encapsulated-options-space"] = map[uint16]OptionDef{255: {}}
	defer delete(testDefs, "vendor-encapsulated-options-space")
	e := compile(t, `option[43].option[255].hex`, String, testEnv())
	s := Scratch{Unpacked: true}
	if got := string(e.AppendString(nil, testPacket(), &s)); got != "" {
		t.Errorf("option 255 cut short is %q", got)
	}
	q := testPacket()
	q.options[43] = unhex("ff 01 41 03 01 63")
	if got := string(e.AppendString(nil, q, &s)); got != "A" {
		t.Errorf("sub-option 255 = %q, want A", got)
	}
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		expr string
		want Failure
	}{
		{`addrtotext('abc')`, FailLength},
		{`int8totext('ab')`, FailLength},
		{`uint8totext(1)`, FailLength},
		{`int16totext('a')`, FailLength},
		{`uint16totext('abc')`, FailLength},
		{`int32totext('abc')`, FailLength},
		{`uint32totext(2001:db8::1)`, FailLength},
		{`substring('a', 2147483648, 1)`, FailNumber},
		{`substring('a', 0, -2147483649)`, FailNumber},
		{`split('a', '.', 2147483648)`, FailNumber},
		{`split('a', '', 2147483648)`, FailNumber},
		{`'x' + addrtotext('abc') + 'y'`, FailLength},
		{`ifelse(addrtotext('abc') == '', 'y', 'n')`, FailLength},
		{strings.Repeat(`hexstring(`, 9) + `'` + strings.Repeat("x", 256) + `'` + strings.Repeat(`, '')`, 9), FailTooLong},
		{strings.Repeat(`hexstring(`, 9) + `option[12].hex` + strings.Repeat(`, 'aaaaaaaaaa')`, 9), FailTooLong},
	} {
		e := compile(t, tt.expr, String, testEnv())
		var s Scratch
		if got := e.AppendString([]byte("keep"), testPacket(), &s); string(got) != "keep" || s.Failed() != tt.want {
			t.Errorf("%s = %q, failure %v, want %v", tt.expr, got, s.Failed(), tt.want)
		}
		if cap(s.buf) > MaxValueLen {
			t.Errorf("%s: scratch has %d octets", tt.expr, cap(s.buf))
		}
		e = compile(t, `'keep'`, String, testEnv())
		if got := e.AppendString(nil, testPacket(), &s); string(got) != "keep" || s.Failed() != FailNone {
			t.Errorf("after a failure 'keep' = %q, %v", got, s.Failed())
		}
	}
}

// TestHostileVendorOptions: what is cut short anywhere is no vendor option.
func TestHostileVendorOptions(t *testing.T) {
	for _, tt := range []struct {
		code uint16
		data string
		expr string
		want bool
	}{
		{125, "0000118b", `vendor[4491].exists`, true}, // no data: Kea takes it
		{125, "0000118b 00", `vendor[4491].exists`, true},
		{125, "000011", `vendor[*].exists`, false},
		{125, "0000118b 03 01 01", `vendor[*].exists`, false},
		{125, "0000118b 03 01 02 61", `vendor[*].exists`, false},
		{125, "0000118b 01 01", `vendor[*].exists`, false},
		{125, "0000118b 03 01 01 61 000011", `vendor[4491].option[1].exists`, false},
		{125, "", `vendor[*].exists`, false},
		{124, "0000118b", `vendor-class[*].exists`, false},
		{124, "0000118b 00", `vendor-class[*].exists`, true},
		{124, "0000118b 02 61", `vendor-class[*].exists`, false},
		{124, "0000118b 01 61 0000000a 09 61", `vendor-class[4491].data == 'a'`, true},
		{124, "0000118b 01 61 0000", `vendor-class[*].exists`, false},
		{124, "", `vendor-class[*].exists`, false},
	} {
		q := testPacket()
		q.options[tt.code] = unhex(tt.data)
		e := compile(t, tt.expr, Bool, testEnv())
		var s Scratch
		if got := e.Test(q, &s); got != tt.want {
			t.Errorf("option %d %q: %s is %v, want %v", tt.code, tt.data, tt.expr, got, tt.want)
		}
	}
}

// TestMessage4 evaluates over a message in wire form.
func TestMessage4(t *testing.T) {
	q := message4(t, "350101 0c03666f6f 52080104 61626364 0200 3c046162 0000")
	q.Classes = &fake{classes: map[uint32]bool{0: true}}
	for _, tt := range []struct{ expr, want string }{
		{`option[12].hex`, "foo"},
		{`option[60].hex`, "ab"}, // trailing NULs are cut (V4-117)
		{`relay4[1].hex`, "abcd"},
		{`option[82].option[1].hex`, "abcd"},
		{`ifelse(relay4[2].exists, 'y', 'n')`, "y"},
		{`relay4[3].hex`, ""},
		{`pkt4.msgtype`, "\x00\x00\x00\x01"},
		{`pkt4.mac`, "\x02\x00\x00\x00\x0a\x0b"},
		{`pkt.iface`, "eth0"},
		{`pkt.src`, "\x0a\x01\x02\x03"},
		{`pkt.dst`, "\xff\xff\xff\xff"},
		// 236 without cookie and end, four options of 3, 5, 10 and 4 octets.
		{`uint32totext(pkt.len)`, "258"},
		{`ifelse(member('ALL'), 'y', 'n')`, "y"},
	} {
		e := compile(t, tt.expr, String, testEnv())
		var s Scratch
		if got := string(e.AppendString(nil, q, &s)); got != tt.want {
			t.Errorf("%s = %q, want %q", tt.expr, got, tt.want)
		}
	}
	if q.Option(300) != nil || q.RelayOption(0, 300) != nil {
		t.Error("a code above 255 is there")
	}
	q.Classes = nil
	if q.InClass(0) {
		t.Error("in a class without classes")
	}
}
