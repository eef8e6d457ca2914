package class

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Kea gives the regular expression of match() to std::regex, whose default is
// the grammar of ECMAScript, and asks whether it matches the whole value, octet
// by octet (CL-018). compileRegexp writes the same expression for package
// regexp, whose time is linear: sets of octets in place of classes, and octets
// as code points U+0000 to U+00FF in both pattern and subject.
//
// Package regexp keeps the memory of matches in pools, which a garbage collection
// may empty: a match allocates once after that, not in steady state.
//
// Back-references and look-ahead, which no linear matcher has, are refused, as
// are more than 1,000 repetitions by one {}. Where ECMAScript leaves an
// expression open this follows libstdc++, which Kea's packages are built with.

// maxPattern is how long an expression may be, in octets.
const maxPattern = 4096

// maxProg is how many instructions an expression may become.
const maxProg = 10000

// maxGroups is how deep groups may be nested.
const maxGroups = 100

type regexpError struct {
	pos int
	msg string
}

// octets is a set of octets.
type octets [256]bool

func (o *octets) add(lo, hi byte) {
	for c := int(lo); c <= int(hi); c++ {
		o[c] = true
	}
}

func (o *octets) merge(other *octets, not bool) {
	for i, in := range other {
		o[i] = o[i] || in != not
	}
}

// posixClasses are what [: :] has in the C locale, and d, s and w.
var posixClasses = map[string]octets{
	"alnum":  setOf("09", "AZ", "az"),
	"alpha":  setOf("AZ", "az"),
	"blank":  setOf("\t\t", "  "),
	"cntrl":  setOf("\x00\x1f", "\x7f\x7f"),
	"digit":  setOf("09"),
	"d":      setOf("09"),
	"graph":  setOf("!~"),
	"lower":  setOf("az"),
	"print":  setOf(" ~"),
	"punct":  setOf("!/", ":@", "[`", "{~"),
	"space":  setOf("\t\r", "  "),
	"s":      setOf("\t\r", "  "),
	"upper":  setOf("AZ"),
	"w":      setOf("09", "AZ", "az", "__"),
	"xdigit": setOf("09", "AF", "af"),
}

func setOf(ranges ...string) (o octets) {
	for _, r := range ranges {
		o.add(r[0], r[1])
	}
	return o
}

// translator writes an ECMAScript expression for package regexp.
type translator struct {
	in  string
	pos int
	out []byte
	// starts are where the groups around this place begin in out, atom where
	// the last atom does, -1 if a quantifier has nothing to repeat.
	starts []int
	atom   int
}

func compileRegexp(pattern string) (*regexp.Regexp, *regexpError) {
	if len(pattern) > maxPattern {
		return nil, &regexpError{maxPattern, fmt.Sprintf("it is longer than %d octets", maxPattern)}
	}
	t := translator{in: pattern, atom: -1}
	if err := t.translate(); err != nil {
		return nil, err
	}
	text := `\A(?:` + string(t.out) + `)\z`
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		if c := err.(*syntax.Error).Code; c != syntax.ErrInvalidRepeatSize && c != syntax.ErrLarge {
			return nil, &regexpError{0, c.String()}
		}
		return nil, &regexpError{0, "it repeats too much"}
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, &regexpError{0, err.Error()}
	}
	if len(prog.Inst) > maxProg {
		return nil, &regexpError{0, "it repeats too much"}
	}
	r, err := regexp.Compile(text)
	if err != nil {
		return nil, &regexpError{0, err.Error()}
	}
	return r, nil
}

func (t *translator) errorf(pos int, format string, a ...any) *regexpError {
	return &regexpError{pos, fmt.Sprintf(format, a...)}
}

func (t *translator) translate() *regexpError {
	for t.pos < len(t.in) {
		start := t.pos
		c := t.in[t.pos]
		t.pos++
		switch c {
		case '|':
			t.out = append(t.out, '|')
			t.atom = -1
		case '^':
			t.out = append(t.out, `\A`...)
			t.atom = -1
		case '$':
			t.out = append(t.out, `\z`...)
			t.atom = -1
		case '(':
			if err := t.open(start); err != nil {
				return err
			}
		case ')':
			n := len(t.starts)
			if n == 0 {
				return t.errorf(start, ") without (")
			}
			t.out = append(t.out, ')')
			t.atom = t.starts[n-1]
			t.starts = t.starts[:n-1]
		case '*', '+', '?', '{':
			if err := t.repeat(start, c); err != nil {
				return err
			}
		case '.':
			o := setOf("\n\n", "\r\r")
			t.set(&o, true)
		case '[':
			if err := t.class(start); err != nil {
				return err
			}
		case '\\':
			if err := t.escape(start); err != nil {
				return err
			}
		default:
			t.octet(c)
		}
	}
	if n := len(t.starts); n > 0 {
		return t.errorf(len(t.in), "( without )")
	}
	return nil
}

func (t *translator) open(start int) *regexpError {
	if strings.HasPrefix(t.in[t.pos:], "?") {
		switch {
		case strings.HasPrefix(t.in[t.pos:], "?:"):
			t.pos += 2
		case strings.HasPrefix(t.in[t.pos:], "?="), strings.HasPrefix(t.in[t.pos:], "?!"):
			return t.errorf(start, "look-ahead (?= and (?! is not supported: matching takes linear time")
		default:
			return t.errorf(start, "unknown group (?")
		}
	}
	if len(t.starts) == maxGroups {
		return t.errorf(start, "groups are nested deeper than %d levels", maxGroups)
	}
	t.starts = append(t.starts, len(t.out))
	t.out = append(t.out, "(?:"...)
	t.atom = -1
	return nil
}

// octet writes one octet that stands for itself.
func (t *translator) octet(c byte) {
	t.atom = len(t.out)
	t.out = fmt.Appendf(t.out, `\x{%x}`, c)
}

// set writes one octet of a set, or not of it.
func (t *translator) set(o *octets, not bool) {
	t.atom = len(t.out)
	t.out = append(t.out, '[')
	any := false
	for c := 0; c < 256; c++ {
		if o[c] == not {
			continue
		}
		lo := c
		for c+1 < 256 && o[c+1] != not {
			c++
		}
		t.out = fmt.Appendf(t.out, `\x{%x}-\x{%x}`, lo, c)
		any = true
	}
	if !any {
		t.out = append(t.out, `^\x00-\x{10FFFF}`...) // no octet
	}
	t.out = append(t.out, ']')
}

// repeat writes a quantifier. What it repeats is put in a group, so that
// another one may follow.
func (t *translator) repeat(start int, c byte) *regexpError {
	if t.atom < 0 {
		return t.errorf(start, "nothing to repeat before %c", c)
	}
	q := string(c)
	if c == '{' {
		var err *regexpError
		if q, err = t.braces(start); err != nil {
			return err
		}
	}
	if strings.HasPrefix(t.in[t.pos:], "?") {
		t.pos++ // not greedy: the same for a whole match
	}
	t.out = slices.Insert(t.out, t.atom, []byte("(?:")...)
	t.out = append(append(t.out, q...), ')')
	return nil
}

// braces reads n}, n,} or n,m}.
func (t *translator) braces(start int) (string, *regexpError) {
	number := func() (int, bool) {
		n := span(t.in, t.pos, isDigit)
		v := 0
		for _, c := range []byte(t.in[t.pos : t.pos+n]) {
			v = min(v*10+int(c-'0'), 1<<20)
		}
		t.pos += n
		return v, n > 0
	}
	lo, ok := number()
	hi, open := lo, false
	if ok && strings.HasPrefix(t.in[t.pos:], ",") {
		t.pos++
		var given bool
		hi, given = number()
		open = !given
	}
	if !ok || !strings.HasPrefix(t.in[t.pos:], "}") {
		return "", t.errorf(start, "expected {n}, {n,} or {n,m}")
	}
	t.pos++
	if open {
		hi = lo
	}
	if hi < lo {
		return "", t.errorf(start, "{%d,%d} is empty", lo, hi)
	}
	if hi > 1000 {
		return "", t.errorf(start, "more than 1000 repetitions")
	}
	if open {
		return fmt.Sprintf("{%d,}", lo), nil
	}
	return fmt.Sprintf("{%d,%d}", lo, hi), nil
}

// escape reads what follows a backslash outside a class.
func (t *translator) escape(start int) *regexpError {
	if t.pos == len(t.in) {
		return t.errorf(start, "backslash at the end")
	}
	switch c := t.in[t.pos]; c {
	case 'b', 'B':
		t.pos++
		t.out = append(t.out, `\`+string(c)...)
		t.atom = -1
		return nil
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return t.errorf(start, `back-reference \%c is not supported: matching takes linear time`, c)
	}
	o, c, isSet, err := t.escaped(start)
	switch {
	case err != nil:
		return err
	case isSet:
		t.set(&o, false)
	default:
		t.octet(c)
	}
	return nil
}

// escaped reads an escape that stands for an octet or a set of them.
func (t *translator) escaped(start int) (o octets, c byte, isSet bool, err *regexpError) {
	if t.pos == len(t.in) {
		return o, 0, false, t.errorf(start, "backslash at the end")
	}
	c = t.in[t.pos]
	t.pos++
	switch c {
	case 'd', 's', 'w':
		return posixClasses[string(c)], 0, true, nil
	case 'D', 'S', 'W':
		is := posixClasses[string(c+'a'-'A')]
		o.merge(&is, true)
		return o, 0, true, nil
	case '0':
		return o, 0, false, nil
	case 'f':
		return o, '\f', false, nil
	case 'n':
		return o, '\n', false, nil
	case 'r':
		return o, '\r', false, nil
	case 't':
		return o, '\t', false, nil
	case 'v':
		return o, '\v', false, nil
	case 'c':
		if t.pos == len(t.in) || !isLetter(t.in[t.pos]) {
			return o, 0, false, t.errorf(start, `expected a letter after \c`)
		}
		c = t.in[t.pos] & 0x1f
		t.pos++
		return o, c, false, nil
	case 'x', 'u':
		n := 2
		if c == 'u' {
			n = 4
		}
		if span(t.in, t.pos, isHexDigit) < n {
			return o, 0, false, t.errorf(start, `expected %d hexadecimal digits after \%c`, n, c)
		}
		v := 0
		for _, d := range []byte(t.in[t.pos : t.pos+n]) {
			v = v<<4 | hexValue(d)
		}
		t.pos += n
		if v > 255 {
			return o, 0, false, t.errorf(start, `\u%04x is no octet`, v)
		}
		return o, byte(v), false, nil
	}
	return o, c, false, nil // itself
}

func hexValue(d byte) int {
	switch {
	case d <= '9':
		return int(d - '0')
	case d >= 'a':
		return int(d-'a') + 10
	}
	return int(d-'A') + 10
}

// class reads a bracket expression; as in ECMAScript [] is empty and [^] is
// every octet.
func (t *translator) class(start int) *regexpError {
	var set octets
	not := false
	if strings.HasPrefix(t.in[t.pos:], "^") {
		not = true
		t.pos++
	}
	for {
		if t.pos == len(t.in) {
			return t.errorf(start, "[ without ]")
		}
		if t.in[t.pos] == ']' {
			t.pos++
			t.set(&set, not)
			return nil
		}
		at := t.pos
		o, lo, isSet, err := t.classItem()
		if err != nil {
			return err
		}
		if isSet {
			set.merge(&o, false)
			continue
		}
		hi := lo
		if rest := t.in[t.pos:]; len(rest) >= 2 && rest[0] == '-' && rest[1] != ']' {
			t.pos++
			_, h, isSet, err := t.classItem()
			if err != nil {
				return err
			}
			if isSet || h < lo {
				return t.errorf(at, "range %q is no range of octets", t.in[at:t.pos])
			}
			hi = h
		}
		set.add(lo, hi)
	}
}

// classItem reads one octet or one set in a bracket expression.
func (t *translator) classItem() (o octets, c byte, isSet bool, err *regexpError) {
	start := t.pos
	c = t.in[t.pos]
	t.pos++
	switch {
	case c == '\\':
		if strings.HasPrefix(t.in[t.pos:], "b") {
			t.pos++
			return o, '\b', false, nil
		}
		return t.escaped(start)
	case c == '[' && t.pos < len(t.in) && strings.IndexByte(":.=", t.in[t.pos]) >= 0:
		mark := t.in[t.pos : t.pos+1]
		name, _, ok := strings.Cut(t.in[t.pos+1:], mark+"]")
		if !ok {
			return o, 0, false, t.errorf(start, "[%s without %s]", mark, mark)
		}
		t.pos += 1 + len(name) + 2
		if mark != ":" {
			if len(name) != 1 {
				return o, 0, false, t.errorf(start, "unknown collating element %q", name)
			}
			return o, name[0], false, nil
		}
		o, ok = posixClasses[strings.ToLower(name)]
		if !ok {
			return o, 0, false, t.errorf(start, "unknown class [:%s:]", name)
		}
		return o, 0, true, nil
	}
	return o, c, false, nil
}

// matchBytes matches octets. Those from 0x80 on are written as two octets in
// scratch, which is what package regexp takes for U+0080 to U+00FF.
func matchBytes(re *regexp.Regexp, b []byte, s *Scratch) bool {
	high := 0
	for _, c := range b {
		high += int(c >> 7)
	}
	if high > 0 {
		if !s.room(len(b) + high) {
			return false
		}
		mark := len(s.buf)
		for _, c := range b {
			s.buf = utf8.AppendRune(s.buf, rune(c))
		}
		b = s.since(mark)
	}
	return re.Match(b)
}
