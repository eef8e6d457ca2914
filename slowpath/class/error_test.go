package class

import (
	"strings"
	"testing"
)

// TestErrors has what Kea 3.3.1 refuses too, with the column where both find
// the mistake.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		kind   Kind
		expr   string
		column int
		msg    string
	}{
		// Words.
		{Bool, `'`, 1, "quoted string has no end"},
		{Bool, `''' == ''`, 3, "expected == or + after a string, got ' == '"},
		{Bool, "'\n'", 1, "quoted string has no end"},
		{Bool, `0x123h`, 6, `unknown word "h"`},
		{Bool, `:1`, 1, `invalid character ":"`},
		{Bool, `=`, 1, "expected =="},
		{Bool, `subtring`, 1, `unknown word "subtring"`},
		{Bool, ` bar`, 2, `unknown word "bar"`},
		{Bool, `relay[12].hex == 'foo'`, 1, `unknown word "relay"`},
		{Bool, `pkt4.ziaddr`, 6, `unknown word "ziaddr"`},
		{Bool, `members('foo')`, 7, `unknown word "s"`},
		{Bool, `0x`, 2, `unknown word "x"`},
		{Bool, `0abc`, 2, `unknown word "abc"`},
		{Bool, `10.256.0.1`, 1, `"10.256.0.1" is no IP address`},
		{Bool, `10.0.0.01 == ''`, 1, `"10.0.0.01" is no IP address`},
		{Bool, `:::`, 1, `":::" is no IP address`},
		{Bool, `a:b:c`, 1, `"a:b:c" is no IP address`},
		{Bool, `option[123].text < 'foo'`, 18, `invalid character "<"`},
		{Bool, `option[-ab].text`, 8, `invalid character "-"`},
		{Bool, `option[ab_].hex`, 8, `unknown word "ab_"`},
		{Bool, "option[\nhost-name\n].hex =\n= 'foo'", 25, "expected =="},
		{Bool, "'a' ==\r'a'", 7, `invalid character "\r"`},
		{Bool, "'a' == \x00'a'", 8, `invalid character "\x00"`},
		{Bool, "'a' == ä", 8, `invalid character "\xc3"`},
		{Bool, `option[12].hex != 'a'`, 16, "not (… == …)"},
		{Bool, `option[12].hex == "a"`, 19, "single quotes"},
		{Bool, `known`, 1, "member('KNOWN')"},
		{Bool, `not unknown`, 5, "member('UNKNOWN')"},
		{Bool, `12345678901234567890 == ''`, 1, "does not fit 64 bits"},
		{String, `substring('foo',12345678901234567890,1)`, 17, "does not fit 64 bits"},

		// Values.
		{Bool, `option[-1].text`, 8, "out of range: expected 0 to 255"},
		{Bool, `option[256].text`, 8, "out of range: expected 0 to 255"},
		{Bool, `option[ab].text == 'foo'`, 8, `option "ab" is not defined in space dhcp4`},
		{Bool, `option[all].text == 'foo'`, 8, `option "all" is not defined`}, // a name there
		{Bool, `4294967295 == -1`, 15, "out of range"},
		{Bool, `4294967296 == 0`, 1, "out of range"},
		{Bool, `vendor[4294967296].exists`, 8, "out of range"},
		{Bool, `vendor-class[1].data[256] == ''`, 22, "expected 0 to 255"},
		{Bool, `match('[', 'a')`, 8, "[ without ]"},
		{Bool, `match('ab(', 'a')`, 11, "( without )"},

		// Grammar.
		{Bool, ``, 1, "expected a comparison or a condition, got the end"},
		{String, ``, 1, "expected a string, got the end"},
		{Bool, ` `, 2, "got the end of the expression"},
		{Bool, `10.0.1`, 3, "expected == or + after a string, got ."},
		{Bool, `===`, 1, "got =="},
		{Bool, `option[123]`, 12, "expected ., got the end of the expression"},
		{Bool, `option[0ab].text`, 9, "expected ], got ab"},
		{Bool, `'foo''bar'`, 6, "expected == or +"},
		{Bool, `'foo' (`, 7, "got ("},
		{Bool, `== 'ab'`, 1, "got =="},
		{Bool, `'foo' ==`, 9, "expected a string, got the end"},
		{Bool, `('foo' == 'bar'`, 16, "expected ) or and, or"},
		{Bool, `('foo' == 'bar') ''`, 18, "expected and, or or the end of the expression"},
		{Bool, `not`, 4, "got the end"},
		{Bool, `not 'foo'`, 10, "expected == or +"},
		{Bool, `not()`, 5, "got )"},
		{Bool, `(not('foo' 'bar')`, 12, "got 'bar'"},
		{Bool, `and`, 1, "got and"},
		{Bool, `'foo' and`, 7, "expected == or + after a string, got and"},
		{Bool, `'foo' == 'bar' and`, 19, "got the end"},
		{Bool, `'foo' == 'bar' and ''`, 22, "expected == or +"},
		{Bool, `or`, 1, "got or"},
		{Bool, `'foo' or`, 7, "got or"},
		{Bool, `'foo' == 'bar' or ''`, 21, "expected == or +"},
		{Bool, `option 'ab'`, 8, "expected [, got 'ab'"},
		{Bool, `option(10) == 'ab'`, 7, "expected [, got ("},
		{Bool, `option['ab'].text == 'foo'`, 8, "the code or the name of an option"},
		{Bool, `option[0xa].text == 'ab'`, 8, "the code or the name of an option, got 0xa"},
		{Bool, `option[10].bin`, 12, `unknown word "bin"`},
		{Bool, `option[10].mac`, 12, "expected option, text, hex or exists, got mac"},
		{Bool, `option[10].exists == 'foo'`, 19, "expected and, or or the end"},
		{Bool, `option[10].option[host-name].exists`, 19, "expected the code of a sub-option"},
		{Bool, `relay4[host-name].exists`, 8, "expected the code of a sub-option"},
		{Bool, `substring('foobar') == 'f'`, 19, `expected "," or +, got )`},
		{Bool, `substring('foobar',3) == 'bar'`, 21, `expected ",", got )`},
		{Bool, `substring('foobar','3',3) == 'bar'`, 20, "expected an integer"},
		{Bool, `substring('foobar',1,a) == 'foo'`, 22, `unknown word "a"`},
		{Bool, `substring('foobar',all,1) == 'foo'`, 20, "expected an integer, got all"},
		{Bool, `substring('foobar',1,'1') == 'foo'`, 22, "expected an integer or all"},
		{Bool, `concat('foobar') == 'f'`, 16, `expected "," or +`},
		{Bool, `concat('foo','bar','') == 'foobar'`, 19, "expected ) or +"},
		{Bool, `concat('foo'=='foo','bar') == 'foobar'`, 13, `expected "," or +, got ==`},
		{Bool, `ifelse('foo'=='bar','foo')`, 26, `expected "," or +`},
		{Bool, `ifelse('foo'=='bar','foo','bar','')`, 32, "expected ) or +"},
		{Bool, `ifelse('foo','foo','bar') == ''`, 13, "expected == or +"},
		{Bool, `+ 'a' == 'a'`, 1, "got +"},
		{Bool, `'a' + == 'a'`, 7, "expected a string, got =="},
		{Bool, `'a' ++ 'b' == 'ab'`, 6, "expected a string, got +"},
		{Bool, `'a' == 'a' == 'a'`, 12, "got =="},
		{Bool, `'a' == option[1].exists`, 18, "text or hex, which are strings, got exists"},
		{Bool, `'a' == member('ALL')`, 8, "expected a string, got member"},
		{Bool, `'a' == vendor[1].exists`, 18, "expected option, got exists"},
		{Bool, `'a' == vendor-class[1].exists`, 24, "expected data, got exists"},
		{Bool, `('a' == 'a') == 'a'`, 14, "got =="},
		{Bool, `('a' == 'a') + 'a' == 'a'`, 14, "got +"},
		{Bool, `'b' == ('a' == 'a')`, 13, "expected ) or +"},
		{Bool, `hexstring(pkt4.mac) == ''`, 19, `expected "," or +`},
		{Bool, `hexstring(pkt4.mac,) == ''`, 20, "expected a string, got )"},
		{Bool, `addrtotext(10.0.0.1, 10.0.0.2)`, 20, "expected ) or +"},
		{Bool, `addrtotext('cafebabecafebabe')`, 31, "expected == or +"},
		{Bool, `split('a','b','c') == ''`, 15, "expected an integer"},
		{Bool, `member(foo)`, 8, `unknown word "foo"`},
		{Bool, `member(0x41)`, 8, "expected a quoted string"},
		{Bool, `match(0x41, 'a')`, 7, "expected a quoted string"},
		{Bool, `match('a')`, 10, `expected ",", got )`},
		{Bool, `vendor.exists`, 8, "expected enterprise"},
		{Bool, `vendor-class.data == ''`, 14, "expected enterprise"},
		{Bool, `vendor[1].enterprise == 1`, 11, "expected option or exists"},
		{Bool, `vendor[1].data == ''`, 11, "expected option or exists"},
		{Bool, `vendor-class[1].option[1].exists`, 17, "expected data or exists"},
		{Bool, `pkt.mac == ''`, 5, "expected iface, src, dst or len"},
		{Bool, `pkt4.iface == ''`, 6, "expected mac, hlen"},
		{Bool, `pkt == ''`, 5, "expected ., got =="},

		{String, `pkt4.msgtype == 1`, 14, "expected + or the end of the expression, got =="},
		{String, `option[1].exists`, 11, "text or hex, which are strings"},
		{String, `not 'a' == 'a'`, 1, "expected a string, got not"},
		{String, `member('ALL')`, 1, "expected a string, got member"},
		{String, `'a' 'b'`, 5, "expected + or the end"},
		{String, `('a' == 'a')`, 6, "expected ) or +, got =="},

		// The other family.
		{Bool, `relay6[0].linkaddr == ::`, 1, "relay6 can only be used in DHCPv6"},
		{Bool, `pkt6.msgtype == 1`, 1, "pkt6 can only be used in DHCPv6"},
	} {
		_, err := Compile(tt.expr, tt.kind, testEnv())
		e, ok := AsError(err)
		if !ok || e.Column != tt.column || !strings.Contains(e.Msg, tt.msg) {
			t.Errorf("%s: %v, want column %d: … %s …", tt.expr, err, tt.column, tt.msg)
		}
	}
}

func TestErrorsV6(t *testing.T) {
	for _, tt := range []struct {
		expr   string
		column int
		msg    string
	}{
		{`relay4[13].hex == 'thirteen'`, 1, "relay4 can only be used in DHCPv4"},
		{`pkt4.mac == ''`, 1, "pkt4 can only be used in DHCPv4"},
		{`relay6[32].option[123].text == 'foo'`, 8, "expected -32 to 31"},
		{`relay6[-33].option[123].text == 'foo'`, 8, "expected -32 to 31"},
		{`relay6[0].exists`, 11, "expected option, linkaddr or peeraddr"},
		{`relay6[0].option[host].exists`, 18, "code of a sub-option"},
		{`option[65536].text == ''`, 8, "expected 0 to 65535"},
		{`option[host-name].text == ''`, 8, "not defined in space dhcp6"},
		{`pkt6.mac == ''`, 6, "expected msgtype or transid"},
	} {
		_, err := Compile(tt.expr, Bool, testEnv6())
		e, ok := AsError(err)
		if !ok || e.Column != tt.column || !strings.Contains(e.Msg, tt.msg) {
			t.Errorf("%s: %v, want column %d: … %s …", tt.expr, err, tt.column, tt.msg)
		}
	}
}

// TestLimits: what would need a deep stack or much memory is refused, and what
// is only long is not.
func TestLimits(t *testing.T) {
	deep := func(open, close string, n int) string {
		return strings.Repeat(open, n) + "'a'" + strings.Repeat(close, n) + " == 'a'"
	}
	for _, tt := range []struct {
		name, expr, err string
	}{
		{"brackets", deep("(", ")", 1000), "nested deeper"},
		{"functions", deep("lcase(", ")", 1000), "nested deeper"},
		{"not", strings.Repeat("not ", 1000) + "'a' == 'a'", "nested deeper"},
		{"open brackets", strings.Repeat("(", 60000), "nested deeper"},
		{"long", "'" + strings.Repeat("a", MaxTextLen) + "' == 'a'", "longer than"},
		{"path", "option[1]" + strings.Repeat(".option[1]", 1000) + ".exists", "inside each other"},
		{"few brackets", deep("(", ")", 150), ""},
		{"or", strings.Repeat("'a' == 'b' or ", 4000) + "'a' == 'a'", ""},
		{"and", strings.Repeat("'a' == 'a' and ", 4000) + "'a' == 'a'", ""},
		{"plus", "'a'" + strings.Repeat(" + 'a'", 8000) + " + pkt.iface == 'a'", ""},
		{"mixed", strings.Repeat("'a' == 'b' or 'a' == 'b' and ", 2000) + "'a' == 'a'", ""},
		{"string", "'" + strings.Repeat("a", 60000) + "' == ''", ""},
	} {
		e, err := Compile(tt.expr, Bool, testEnv())
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
		}
		if err == nil {
			var s Scratch
			e.Test(testPacket(), &s)
		}
	}
}

// TestExpr checks what an Expr tells of itself.
func TestExpr(t *testing.T) {
	const text = `member('a') or member('b') and not member('a')`
	e := compile(t, text, Bool, testEnv())
	if e.Text() != text || e.Kind() != Bool || strings.Join(e.Members(), ",") != "a,b" {
		t.Errorf("text %q, kind %v, members %q", e.Text(), e.Kind(), e.Members())
	}
	if e := compile(t, `'a'`, String, testEnv()); e.Kind() != String || len(e.Members()) != 0 {
		t.Errorf("kind %v, members %q", e.Kind(), e.Members())
	}
	if _, err := Compile(`member('a')`, Bool, &Env{}); err == nil {
		t.Error("member() without class numbers compiles")
	}
	if _, err := Compile(`option[host-name].exists`, Bool, &Env{}); err == nil {
		t.Error("a name without names compiles")
	}
}
