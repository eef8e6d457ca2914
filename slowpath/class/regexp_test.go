package class

import (
	"strings"
	"testing"
)

// TestRegexp has what differs between the syntax of package regexp and that of
// ECMAScript as libstdc++ has it, and whole matches of octets.
func TestRegexp(t *testing.T) {
	for _, tt := range []struct {
		re, s string
		want  bool
	}{
		{`foo`, "foo", true},
		{`foo`, "xfoo", false},
		{`a|ab`, "ab", true}, // whole match, whatever comes first
		{`a||b`, "", true},
		{``, "", true},
		{``, "x", false},
		{`.`, "x", true},
		{`.`, "\n", false},
		{`.`, "\r", false},
		{`.`, "\xff", true},
		{`.`, "ä", false}, // two octets
		{`..`, "ä", true},
		{`ä`, "ä", true},
		{`[^a]`, "\x00", true},
		{`\s`, "\v", true},
		{`\S`, "\v", false},
		{`\d+`, "0129", true},
		{`\d`, "\xd9", false},
		{`\D\W`, "a-", true},
		{`\w*`, "aZ_9", true},
		{`\bfoo\b`, "foo", true},
		{`fo\Bo`, "foo", true},
		{`\x41\u0042\cA\0`, "AB\x01\x00", true},
		{`\f\n\r\t\v`, "\f\n\r\t\v", true},
		{`\a\e\-\/\.`, "ae-/.", true}, // unknown escapes are the letter
		{`]}`, "]}", true},
		{`[]x]`, "x]", false}, // an empty class and x]
		{`[^]`, "\n", true},
		{`[a-]+`, "a-", true},
		{`[-a]+`, "a-", true},
		{`[a-c]+`, "abc", true},
		{`[\d\-x]+`, "1-x", true},
		{`[\b]`, "\b", true},
		{`[\]\\]+`, `]\`, true},
		{`[[:alpha:][:digit:]_]+`, "aZ9_", true},
		{`[[:^alpha:]]`, "", false},
		{`[^[:space:]]+`, "ab", true},
		{`[[.a.]-[=c=]]`, "b", true},
		{`[\D]+`, "ab", true},
		{`[\S]`, " ", false},
		{`[\x80-\xff]+`, "\x80\xff", true},
		{`[.*+?{}()|^$]+`, ".*+?{}()|$^", true},
		{`(a)(b)?`, "a", true},
		{`(?:ab)+`, "abab", true},
		{`a{2}`, "aa", true},
		{`a{2}`, "aaa", false},
		{`a{2,}`, "aaa", true},
		{`a{1,2}`, "aaa", false},
		{`a{0}`, "", true},
		{`a{1000}`, strings.Repeat("a", 1000), true},
		{`a**`, "aaa", true}, // a quantifier of a quantifier
		{`a*?b`, "aab", true},
		{`a+?`, "aaa", true},
		{`(a|b)*c`, "ababc", true},
		{`^a$`, "a", true},
		{`a$b`, "ab", false},
		{`a^b`, "ab", false},
		{`(?:)`, "", true},
		{`()`, "", true},
		{`\.\*`, ".*", true},
		{`docsis[123]\.[01].*`, "docsis3.0:xyz", true},
		{`(x+x+)+y`, strings.Repeat("x", 5000), false}, // takes linear time
	} {
		if tt.re == `[[:^alpha:]]` {
			if _, err := compileRegexp(tt.re); err == nil {
				t.Errorf("%s compiles", tt.re)
			}
			continue
		}
		re, err := compileRegexp(tt.re)
		if err != nil {
			t.Errorf("%s: %s", tt.re, err.msg)
			continue
		}
		var s Scratch
		if got := matchBytes(re, []byte(tt.s), &s); got != tt.want {
			t.Errorf("%s on %q is %v, want %v (%s)", tt.re, tt.s, got, tt.want, re)
		}
	}
}

func TestRegexpErrors(t *testing.T) {
	for _, tt := range []struct {
		re  string
		pos int
		msg string
	}{
		{`*`, 0, "nothing to repeat"},
		{`a|*`, 2, "nothing to repeat"},
		{`(*a)`, 1, "nothing to repeat"},
		{`^*`, 1, "nothing to repeat"},
		{`\b+`, 2, "nothing to repeat"},
		{`{2}`, 0, "nothing to repeat"},
		{`a{`, 1, "expected {n}"},
		{`a{,2}`, 1, "expected {n}"},
		{`a{2`, 1, "expected {n}"},
		{`a{x}`, 1, "expected {n}"},
		{`a{3,2}`, 1, "is empty"},
		{`a{1001}`, 1, "more than 1000"},
		{`a{99999999999999999999}`, 1, "more than 1000"},
		{`((((a{100}){100}){100}){100})`, 0, "repeats too much"},
		{`(?:abcdefghijklmnop){900}`, 0, "repeats too much"},
		{strings.Repeat("a*", 2049), 4096, "longer than"},
		{"a" + strings.Repeat("*", 4000), 0, "nests too deeply"},
		{`(`, 1, "( without )"},
		{`)`, 0, ") without ("},
		{`[`, 0, "[ without ]"},
		{`[a`, 0, "[ without ]"},
		{`[z-a]`, 1, "no range"},
		{`[a-\d]`, 1, "no range"},
		{`[[:foo:]]`, 1, "unknown class"},
		{`[[:alpha]`, 1, "[: without :]"},
		{`[[.ab.]]`, 1, "collating"},
		{`\`, 0, "backslash at the end"},
		{`[\`, 1, "backslash at the end"},
		{`\x4`, 0, "hexadecimal"},
		{`\u0100`, 0, "no octet"},
		{`\c1`, 0, "letter"},
		{`(a)\1`, 3, "back-reference"},
		{`(?=a)`, 0, "look-ahead"},
		{`(?!a)b`, 0, "look-ahead"},
		{`(?i)a`, 0, "unknown group"},
		{`(?P<n>a)`, 0, "unknown group"},
		{strings.Repeat("(", 2000) + strings.Repeat(")", 2000), 100, "groups are nested"},
	} {
		_, err := compileRegexp(tt.re)
		if err == nil || err.pos != tt.pos || !strings.Contains(err.msg, tt.msg) {
			t.Errorf("%.40s: %+v, want %d: … %s …", tt.re, err, tt.pos, tt.msg)
		}
	}
}
