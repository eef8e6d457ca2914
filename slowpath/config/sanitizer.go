package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Sanitizer replaces what a name may not have: hostname-char-set and
// hostname-char-replacement (DN-009). It is immutable.
//
// The set is a POSIX extended regular expression of octets, of which the leftmost
// longest match is replaced, as in Kea. It is compiled to a deterministic automaton,
// so that cleaning a name allocates nothing and takes no longer than the square of
// its length, whatever the expression.
type Sanitizer struct {
	charSet, replacement string
	// bad are the octets to replace where the expression is one bracket
	// expression, which is all that nearly anybody uses; else there is an
	// automaton.
	bad  [256]bool
	auto *automaton
	// literal are the pieces of the replacement between copies of what was found.
	literal []string
}

// Limits of an expression: its length is Kea's, the others keep what it compiles to
// small.
const (
	maxCharSet       = 4096
	maxExprNodes     = 20000
	maxAutomatStates = 1000
	maxAutomatSteps  = 4 << 20
)

// newSanitizer compiles an expression and the text that takes the place of what it
// finds: $& there stands for what was found, $$ for a dollar.
func newSanitizer(charSet, replacement string) (*Sanitizer, error) {
	if len(charSet) > maxCharSet || len(replacement) > maxCharSet {
		return nil, fmt.Errorf("expression and replacement have at most %d bytes", maxCharSet)
	}
	s := &Sanitizer{charSet: charSet, replacement: replacement}
	var err error
	if s.literal, err = replacementPieces(replacement); err != nil {
		return nil, err
	}
	p := &exprParser{in: charSet}
	root, err := p.parse()
	if err != nil {
		return nil, err
	}
	if n := &p.nodes[root]; n.op == exprSet && len(s.literal) == 1 {
		s.bad = n.set
		s.bad[0] = true
		return s, nil
	}
	s.auto, err = newAutomaton(p.nodes, root)
	return s, err
}

// replacementPieces cuts a replacement at each $&.
func replacementPieces(r string) ([]string, error) {
	out, cur := []string{}, ""
	for i := 0; i < len(r); i++ {
		if r[i] != '$' || i+1 == len(r) {
			cur += r[i : i+1]
			continue
		}
		switch c := r[i+1]; {
		case c == '$':
			cur += "$"
			i++
		case c == '&':
			out, cur = append(out, cur), ""
			i++
		case c == '`' || c == '\'' || c >= '0' && c <= '9':
			return nil, fmt.Errorf("the replacement $%c is not supported: only $& (what was found) and $$ are", c)
		default:
			cur += "$"
		}
	}
	return append(out, cur), nil
}

// Equal says whether both do the same; either may be nil.
func (s *Sanitizer) Equal(o *Sanitizer) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.charSet == o.charSet && s.replacement == o.replacement
}

// Append appends name to dst with what it may not have replaced. No memory is
// allocated beyond what dst has no room for; dst and name may begin at the same
// octet only if the replacement is not longer than what it replaces.
func (s *Sanitizer) Append(dst, name []byte) []byte {
	if s.auto == nil {
		for _, c := range name {
			if s.bad[c] {
				dst = append(dst, s.literal[0]...)
			} else {
				dst = append(dst, c)
			}
		}
		return dst
	}
	// As std::regex_replace: matches from left to right, an empty one between
	// octets too, but behind another empty one only one that is not.
	copied := 0
	for at, wasEmpty := 0, false; ; {
		from, to, ok := s.auto.find(name, at, wasEmpty)
		if !ok {
			break
		}
		dst = appendText(dst, name[copied:from])
		for i, l := range s.literal {
			if i > 0 {
				dst = appendText(dst, name[from:to])
			}
			dst = append(dst, l...)
		}
		copied, at, wasEmpty = to, to, from == to
	}
	return appendText(dst, name[copied:])
}

// appendText leaves NULs out.
func appendText(dst, b []byte) []byte {
	for _, c := range b {
		if c != 0 {
			dst = append(dst, c)
		}
	}
	return dst
}

// exprOp is what a node of an expression is.
type exprOp uint8

const (
	exprEmpty exprOp = iota
	exprSet          // one octet of a set
	exprBegin        // ^
	exprEnd          // $
	exprCat          // left, then right
	exprAlt          // left or right
	exprStar         // left any number of times
)

type exprNode struct {
	op          exprOp
	left, right int
	set         [256]bool
}

// exprParser reads a POSIX extended regular expression as libstdc++ does, which
// Kea uses: a backslash makes the next octet ordinary, but has no meaning in
// brackets; the dot is every octet but NUL.
type exprParser struct {
	in    string
	pos   int
	depth int
	nodes []exprNode
}

func (p *exprParser) errorf(format string, a ...any) error {
	return fmt.Errorf("at %d of %q: %s", p.pos+1, clip(p.in), fmt.Sprintf(format, a...))
}

func (p *exprParser) node(n exprNode) (int, error) {
	if len(p.nodes) == maxExprNodes {
		return 0, p.errorf("it repeats too much")
	}
	p.nodes = append(p.nodes, n)
	return len(p.nodes) - 1, nil
}

func (p *exprParser) parse() (int, error) {
	n, err := p.alternatives()
	if err == nil && p.pos < len(p.in) {
		if p.in[p.pos] == ')' {
			return 0, p.errorf(") without (")
		}
		return 0, p.errorf("nothing to repeat before %c", p.in[p.pos])
	}
	return n, err
}

func (p *exprParser) alternatives() (int, error) {
	left, err := p.sequence()
	for err == nil && p.pos < len(p.in) && p.in[p.pos] == '|' {
		p.pos++
		var right int
		if right, err = p.sequence(); err == nil {
			left, err = p.node(exprNode{op: exprAlt, left: left, right: right})
		}
	}
	return left, err
}

func (p *exprParser) sequence() (int, error) {
	left, err := p.node(exprNode{op: exprEmpty})
	first := true
	for err == nil && p.pos < len(p.in) && strings.IndexByte("|)*+?{", p.in[p.pos]) < 0 {
		var right int
		if right, err = p.term(); err != nil {
			break
		}
		if first {
			left, first = right, false
			continue
		}
		left, err = p.node(exprNode{op: exprCat, left: left, right: right})
	}
	return left, err
}

// term reads one atom and what repeats it.
func (p *exprParser) term() (int, error) {
	start := p.pos
	c := p.in[p.pos]
	p.pos++
	var n int
	var err error
	switch c {
	case '^':
		return p.node(exprNode{op: exprBegin})
	case '$':
		return p.node(exprNode{op: exprEnd})
	case '(':
		if p.depth++; p.depth > 100 {
			return 0, p.errorf("groups are nested deeper than 100 levels")
		}
		if n, err = p.alternatives(); err != nil {
			return 0, err
		}
		p.depth--
		if p.pos == len(p.in) || p.in[p.pos] != ')' {
			p.pos = start
			return 0, p.errorf("( without )")
		}
		p.pos++
	case '[':
		n, err = p.bracket(start)
	case '.':
		e := exprNode{op: exprSet}
		for i := 1; i < 256; i++ {
			e.set[i] = true
		}
		n, err = p.node(e)
	case '\\':
		if p.pos == len(p.in) {
			return 0, p.errorf("backslash at the end")
		}
		c = p.in[p.pos]
		p.pos++
		fallthrough
	default:
		e := exprNode{op: exprSet}
		e.set[c] = true
		n, err = p.node(e)
	}
	for err == nil && p.pos < len(p.in) && strings.IndexByte("*+?{", p.in[p.pos]) >= 0 {
		n, err = p.quantifier(n)
	}
	return n, err
}

func (p *exprParser) quantifier(n int) (int, error) {
	start := p.pos
	c := p.in[p.pos]
	p.pos++
	switch c {
	case '*':
		return p.repeat(n, 0, -1)
	case '+':
		return p.repeat(n, 1, -1)
	case '?':
		return p.repeat(n, 0, 1)
	}
	number := func() (int, bool) {
		v, any := 0, false
		for p.pos < len(p.in) && p.in[p.pos] >= '0' && p.in[p.pos] <= '9' {
			v, any = min(v*10+int(p.in[p.pos]-'0'), 1<<20), true
			p.pos++
		}
		return v, any
	}
	lo, ok := number()
	hi := lo
	if ok && p.pos < len(p.in) && p.in[p.pos] == ',' {
		p.pos++
		if v, given := number(); given {
			hi = v
		} else {
			hi = -1
		}
	}
	if !ok || p.pos == len(p.in) || p.in[p.pos] != '}' {
		p.pos = start
		return 0, p.errorf("expected {n}, {n,} or {n,m}")
	}
	p.pos++
	if hi >= 0 && hi < lo {
		p.pos = start
		return 0, p.errorf("{%d,%d} is empty", lo, hi)
	}
	return p.repeat(n, lo, hi)
}

// repeat makes n repeat lo to hi times, any number of times if hi is negative. A
// part may stand in several places of the tree: the automaton looks at it anew in
// each.
func (p *exprParser) repeat(n, lo, hi int) (int, error) {
	out, err := p.node(exprNode{op: exprEmpty})
	cat := func(right int) {
		if err == nil {
			out, err = p.node(exprNode{op: exprCat, left: out, right: right})
		}
	}
	for range lo {
		if err != nil {
			return 0, err
		}
		cat(n)
	}
	switch {
	case err != nil:
		return 0, err
	case hi < 0:
		var star int
		if star, err = p.node(exprNode{op: exprStar, left: n}); err != nil {
			return 0, err
		}
		cat(star)
	default:
		// (n(n(n)?)?)?
		tail := -1
		for range hi - lo {
			body := n
			if tail >= 0 {
				if body, err = p.node(exprNode{op: exprCat, left: n, right: tail}); err != nil {
					return 0, err
				}
			}
			var none int
			if none, err = p.node(exprNode{op: exprEmpty}); err != nil {
				return 0, err
			}
			if tail, err = p.node(exprNode{op: exprAlt, left: body, right: none}); err != nil {
				return 0, err
			}
		}
		if tail >= 0 {
			cat(tail)
		}
	}
	return out, err
}

// exprClasses are what [: :] has in the C locale.
var exprClasses = map[string]string{
	"alnum": "09AZaz", "alpha": "AZaz", "blank": "\t\t  ", "cntrl": "\x00\x1f\x7f\x7f", "digit": "09", "graph": "!~", "lower": "az",
	"print": " ~", "punct": "!/:@[`{~", "space": "\t\r  ", "upper": "AZ", "xdigit": "09AFaf", "d": "09", "s": "\t\r  ", "w": "09AZ__az",
}

// bracket reads what follows a [.
func (p *exprParser) bracket(start int) (int, error) {
	e := exprNode{op: exprSet}
	not := strings.HasPrefix(p.in[p.pos:], "^")
	if not {
		p.pos++
	}
	unclosed := func() (int, error) { p.pos = start; return 0, p.errorf("[ without ]") }
	// one reads an octet, or a class into the set.
	one := func() (c byte, isClass bool, err error) {
		c = p.in[p.pos]
		p.pos++
		if c != '[' || p.pos == len(p.in) || strings.IndexByte(":.=", p.in[p.pos]) < 0 {
			return c, false, nil
		}
		mark := p.in[p.pos : p.pos+1]
		name, _, ok := strings.Cut(p.in[p.pos+1:], mark+"]")
		if !ok {
			return 0, false, p.errorf("[%s without %s]", mark, mark)
		}
		if mark != ":" {
			if len(name) != 1 {
				return 0, false, p.errorf("unknown collating element %q", clip(name))
			}
			p.pos += 4
			return name[0], false, nil
		}
		ranges, ok := exprClasses[strings.ToLower(name)]
		if !ok {
			return 0, false, p.errorf("unknown class [:%s:]", clip(name))
		}
		p.pos += 1 + len(name) + 2
		for ; ranges != ""; ranges = ranges[2:] {
			for c := int(ranges[0]); c <= int(ranges[1]); c++ {
				e.set[c] = true
			}
		}
		return 0, true, nil
	}
	for first := true; ; first = false {
		switch {
		case p.pos == len(p.in):
			return unclosed()
		case p.in[p.pos] == ']' && !first:
			p.pos++
			if not {
				for c := range e.set {
					e.set[c] = !e.set[c]
				}
			}
			return p.node(e)
		}
		at := p.pos
		lo, isClass, err := one()
		if err != nil {
			return 0, err
		}
		if isClass {
			continue
		}
		hi := lo
		if rest := p.in[p.pos:]; len(rest) >= 2 && rest[0] == '-' && rest[1] != ']' {
			p.pos++
			if hi, isClass, err = one(); err != nil {
				return 0, err
			}
			if isClass || hi < lo {
				return 0, p.errorf("range %q is no range of octets", p.in[at:p.pos])
			}
		}
		for c := int(lo); c <= int(hi); c++ {
			e.set[c] = true
		}
	}
}

// automaton is deterministic: from a state each octet leads to one other.
type automaton struct {
	class [256]uint8 // octets that no set tells apart are of one class
	width int        // classes
	// next has the states by state and class; state 0 leads nowhere.
	next []uint16
	// accept: a match may end here. acceptEnd: it may where the name ends.
	accept, acceptEnd []bool
	// begin is the state at the beginning of a name, later behind it.
	begin, later uint16
}

// find returns the leftmost longest match at or behind at. After an empty match
// there only one that is not empty counts at that place.
func (a *automaton) find(name []byte, at int, wasEmpty bool) (from, to int, ok bool) {
	for from = at; from <= len(name); from++ {
		s := a.later
		if from == 0 {
			s = a.begin
		}
		to = -1
		for i := from; ; i++ {
			if (a.accept[s] || i == len(name) && a.acceptEnd[s]) && !(wasEmpty && i == at) {
				to = i
			}
			if i == len(name) {
				break
			}
			if s = a.next[int(s)*a.width+int(a.class[name[i]])]; s == 0 {
				break
			}
		}
		if to >= 0 {
			return from, to, true
		}
	}
	return 0, 0, false
}

// nfa are states to be told apart: what is expected, and what comes then.
type nfaState struct {
	op    exprOp // exprSet, exprBegin, exprEnd; exprAlt: out or alt; exprEmpty: the end
	set   *[256]bool
	out   int
	other int
}

func newAutomaton(nodes []exprNode, root int) (*automaton, error) {
	errLarge := errors.New("the expression is too complex: it makes too many states")
	states := []nfaState{{op: exprEmpty}}
	var build func(n, then int) int
	full := false
	build = func(n, then int) int {
		if len(states) > maxExprNodes {
			full = true
			return then
		}
		e := &nodes[n]
		switch e.op {
		case exprCat:
			return build(e.left, build(e.right, then))
		case exprAlt:
			l, r := build(e.left, then), build(e.right, then)
			states = append(states, nfaState{op: exprAlt, out: l, other: r})
		case exprStar:
			at := len(states)
			states = append(states, nfaState{op: exprAlt, other: then})
			body := build(e.left, at)
			states[at].out = body
			return at
		case exprEmpty:
			return then
		default:
			states = append(states, nfaState{op: e.op, set: &e.set, out: then})
		}
		return len(states) - 1
	}
	start := build(root, 0)
	if full {
		return nil, errLarge
	}
	a := &automaton{}
	a.classes(states)

	// reach adds what is reached without an octet.
	steps := 0
	var reach func(in map[int]bool, s int, begin, end bool)
	reach = func(in map[int]bool, s int, begin, end bool) {
		if steps++; in[s] {
			return
		}
		in[s] = true
		switch x := &states[s]; {
		case x.op == exprAlt:
			reach(in, x.out, begin, end)
			reach(in, x.other, begin, end)
		case x.op == exprBegin && begin, x.op == exprEnd && end:
			reach(in, x.out, begin, end)
		}
	}
	index := map[string]uint16{"": 0}
	var sets [][]int
	a.next = make([]uint16, a.width)
	a.accept, a.acceptEnd, sets = []bool{false}, []bool{false}, [][]int{nil}
	intern := func(in map[int]bool, begin bool) (uint16, bool) {
		l := make([]int, 0, len(in))
		for s := range in {
			if op := states[s].op; op == exprSet || op == exprEmpty || op == exprEnd {
				l = append(l, s)
			}
		}
		slices.Sort(l)
		key := fmt.Sprint(begin, l)
		if len(l) == 0 {
			key = ""
		}
		if i, ok := index[key]; ok {
			return i, true
		}
		if len(sets) > maxAutomatStates || steps > maxAutomatSteps {
			return 0, false
		}
		i := uint16(len(sets))
		index[key] = i
		end := map[int]bool{}
		for _, s := range l {
			if states[s].op == exprEnd {
				reach(end, states[s].out, begin, true)
			}
		}
		sets = append(sets, l)
		a.accept, a.acceptEnd = append(a.accept, in[0]), append(a.acceptEnd, in[0] || end[0])
		a.next = append(a.next, make([]uint16, a.width)...)
		return i, true
	}
	for _, begin := range []bool{true, false} {
		in := map[int]bool{}
		reach(in, start, begin, false)
		i, ok := intern(in, begin)
		if !ok {
			return nil, errLarge
		}
		if begin {
			a.begin = i
		} else {
			a.later = i
		}
	}
	var of [256]byte // an octet of each class
	for c := 255; c >= 0; c-- {
		of[a.class[c]] = byte(c)
	}
	for done := 1; done < len(sets); done++ {
		for c := range a.width {
			in := map[int]bool{}
			steps += len(sets[done])
			for _, s := range sets[done] {
				if x := &states[s]; x.op == exprSet && x.set[of[c]] {
					reach(in, x.out, false, false)
				}
			}
			i, ok := intern(in, false)
			if !ok || steps > maxAutomatSteps {
				return nil, errLarge
			}
			a.next[done*a.width+c] = i
		}
	}
	return a, nil
}

// classes tells octets apart by the sets they are in.
func (a *automaton) classes(states []nfaState) {
	seen := map[*[256]bool]bool{}
	keys := make([][]byte, 256)
	for i := range states {
		s := states[i].set
		if states[i].op != exprSet || seen[s] {
			continue
		}
		seen[s] = true
		for c := range keys {
			bit := byte(0)
			if s[c] {
				bit = 1
			}
			keys[c] = append(keys[c], bit)
		}
	}
	index := map[string]uint8{}
	for c, k := range keys {
		i, ok := index[string(k)]
		if !ok {
			i = uint8(len(index))
			index[string(k)] = i
		}
		a.class[c] = i
	}
	a.width = len(index)
}
