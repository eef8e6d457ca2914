package hostname

import (
	"fmt"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

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
	return fmt.Errorf("at %d of %q: %s", p.pos+1, keajson.Clip(p.in), fmt.Sprintf(format, a...))
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
				return 0, false, p.errorf("unknown collating element %q", keajson.Clip(name))
			}
			p.pos += 4
			return name[0], false, nil
		}
		ranges, ok := exprClasses[strings.ToLower(name)]
		if !ok {
			return 0, false, p.errorf("unknown class [:%s:]", keajson.Clip(name))
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
