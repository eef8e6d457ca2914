package hostname

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// TestSanitizer: what std::regex_replace makes of a name with Kea's expressions
// (DN-009).
func TestSanitizer(t *testing.T) {
	for _, c := range []struct{ set, repl, in, want string }{
		{"[^A-Za-z0-9.-]", "", "a_b c.d-e", "abc.d-e"},
		{"[^A-Za-z0-9.-]", "x", "a_b\xffc\x00", "axbxcx"},
		{"[^]a]", "-", "]ab", "]a-"},
		{`[\]`, "-", `a\b`, "a-b"}, // no escape in brackets
		{"[[:digit:][:upper:]]", "", "a1B2c", "ac"},
		{"[[.-.]_]", "", "a-b_c", "abc"},
		{"[a-]", "x", "a-b", "xxb"},
		{"_+", "-", "a___b_c", "a-b-c"},
		{"[^a-z]+|xy", "-", "a12bxyc", "a-b-c"},
		{"^[0-9]+", "n", "12a12", "na12"},
		{"[0-9]+$", "n", "12a12", "12an"},
		{"^$", "n", "a", "a"},
		{"a|ab|abc", "-", "abcd", "-d"}, // the longest
		{"x*", "-", "abc", "-a-b-c-"},
		{"x*", "-", "xab", "--a-b-"},
		{"(ab){2}", "-", "ababab", "-ab"},
		{"a{2,}", "-", "a aa aaa", "a - -"},
		{"a{1,2}", "-", "aaa", "--"},
		{"a{0}b", "-", "ab", "a-"},
		{"(a|)b", "-", "abb", "--"},
		{"a?", "", "aab", "b"},
		{`\.`, "", "a.b", "ab"},
		{`a\d`, "-", "ad1", "-1"}, // POSIX knows no \d
		{".", "x", "a\x00b", "xxx"},
		{"_", "<$&$$>$", "a_b", "a<_$>$b"},
		{"]", "", "a]", "a"},
		{"a}", "", "a}", ""},
		{"()", "", "ab", "ab"},
		{"(^|-)a", "X", "a-a", "XX"},
		{"(a*)*b", "X", "aaab", "X"},
	} {
		s, err := NewSanitizer(c.set, c.repl)
		if err != nil {
			t.Errorf("%s: %v", c.set, err)
			continue
		}
		if got := string(s.Append(nil, []byte(c.in))); got != c.want {
			t.Errorf("%q with %q in %q: %q, want %q", c.set, c.repl, c.in, got, c.want)
		}
	}
}

// TestSanitizerRefuses: what cannot be compiled is refused, and says where.
func TestSanitizerRefuses(t *testing.T) {
	for _, c := range []struct{ set, repl, want string }{
		{"[a", "", "[ without ]"}, {"[", "", "[ without ]"}, {"[^", "", "[ without ]"}, {"[[:digit:]", "", "[ without ]"},
		{"[[:nope:]]", "", "unknown class"}, {"[[:digit]", "", "[: without :]"}, {"[[.ab.]]", "", "collating element"},
		{"[z-a]", "", "no range"}, {"(a", "", "( without )"}, {"a)", "", ") without ("}, {"*a", "", "nothing to repeat"}, {"a|*", "", "nothing to repeat"},
		{"^*", "", "nothing to repeat"}, {"{2}", "", "nothing to repeat"}, {"a{", "", "expected {n}"}, {"a{2,1}", "", "is empty"}, {`a\`, "", "backslash"},
		{"((a{1000}){1000}){1000}", "", "too complex"}, {"a{20000}", "", "repeats too much"}, {"(a|b)*a(a|b){12}", "", "too complex"},
		{strings.Repeat("(", 200), "", "deeper than"}, {strings.Repeat("a", 5000), "", "at most 4096"},
		{"a", "$1", "not supported"}, {"a", "$`", "not supported"},
	} {
		if _, err := NewSanitizer(c.set, c.repl); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: error %v, want one with %q", c.set, err, c.want)
		}
	}
}

// TestSanitizerTwin holds the automaton against every substring matched whole by
// package regexp, on random expressions.
func TestSanitizerTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var expr func(depth int) string
	expr = func(depth int) string {
		if depth == 0 {
			return []string{"a", "b", "[ab]", "[^a]", ".", "c"}[r.IntN(6)]
		}
		switch r.IntN(6) {
		case 0:
			return expr(depth-1) + expr(depth-1)
		case 1:
			return "(" + expr(depth-1) + "|" + expr(depth-1) + ")"
		case 2:
			return "(" + expr(depth-1) + ")" + []string{"*", "+", "?", "{2}", "{1,3}", "{2,}"}[r.IntN(6)]
		case 3:
			return expr(0) + expr(0)
		case 4:
			return "(" + expr(depth-1) + "|)"
		}
		return expr(depth - 1)
	}
	checked := 0
	for range 300 {
		e := expr(4)
		s, err := NewSanitizer(e, "#")
		if err != nil {
			if !strings.Contains(err.Error(), "too complex") {
				t.Fatalf("%s: %v", e, err)
			}
			continue
		}
		re := regexp.MustCompile(`\A(?:` + e + `)\z`)
		for range 20 {
			b := make([]byte, r.IntN(9))
			for i := range b {
				b[i] = "abcd"[r.IntN(4)]
			}
			var want []byte
			copied := 0
		match:
			for at, wasEmpty := 0, false; ; {
				for from := at; from <= len(b); from++ {
					for to := len(b); to >= from; to-- {
						if !(wasEmpty && to == at) && re.Match(b[from:to]) {
							want = append(append(want, b[copied:from]...), '#')
							copied, at, wasEmpty = to, to, from == to
							continue match
						}
					}
				}
				break
			}
			want = append(want, b[copied:]...)
			if got := s.Append(nil, b); string(got) != string(want) {
				t.Fatalf("%s in %q: %q, want %q", e, b, got, want)
			}
			checked++
		}
	}
	if checked == 0 {
		t.Fatal("nothing was checked")
	}
}

// TestSanitizerAllocs: whatever the expression, a name costs no memory.
func TestSanitizerAllocs(t *testing.T) {
	name := []byte(strings.Repeat("a_b-", 60))
	dst := make([]byte, 0, 512)
	for _, e := range []string{"[^A-Za-z0-9.-]", "[^a-z]+", "^a|b$|(_|-)+", "a*b"} {
		s, err := NewSanitizer(e, "x")
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { s.Append(dst, name) }); n != 0 {
			t.Errorf("%s: %v allocations", e, n)
		}
	}
}

func FuzzSanitizer(f *testing.F) {
	f.Add("[^a]+", "x", "abc")
	f.Add("^(a|b)*$", "$&", "abab")
	f.Add("a{2,3}", "", "aaaa")
	f.Fuzz(func(t *testing.T, set, repl, in string) {
		if len(in) > 255 || len(repl) > 16 {
			return
		}
		if s, err := NewSanitizer(set, repl); err == nil {
			s.Append(nil, []byte(in))
		}
	})
}
