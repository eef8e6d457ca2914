package class

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// parser is a recursive-descent parser with one lexeme of look-ahead. Chains of
// one operator are one node, so that only brackets make a tree deep.
type parser struct {
	env     *Env
	lex     lexer
	cur     lexeme
	depth   int
	members []string
}

// want is what the context takes.
type want uint8

const (
	wantAny want = iota
	wantString
)

func (p *parser) parse(kind Kind) (n *node, err error) {
	if len(p.lex.text) > MaxTextLen {
		return nil, errorAt(MaxTextLen, fmt.Sprintf("expression is longer than %d octets", MaxTextLen))
	}
	// Errors are panics of *Error up to here: nearly every line of the parser
	// could return one.
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			n, err = nil, e
		}
	}()
	p.advance()
	if kind == Bool {
		n = p.boolean()
		p.expectEnd("and, or or the end of the expression")
	} else {
		n = p.concat(wantString)
		p.expectEnd("+ or the end of the expression")
	}
	return n, nil
}

func (p *parser) advance() {
	var err *Error
	if p.cur, err = p.lex.next(); err != nil {
		panic(err)
	}
}

func (p *parser) fail(pos int, format string, a ...any) {
	panic(errorAt(pos, fmt.Sprintf(format, a...)))
}

// got describes the current lexeme.
func (p *parser) got() string {
	switch p.cur.tok {
	case tokStringLit, tokHexLit, tokInteger, tokAddress, tokOptionName:
		return clip(p.curText())
	}
	return p.cur.tok.String()
}

func (p *parser) curText() string { return p.lex.text[p.cur.pos:p.cur.end] }

func (p *parser) unexpected(expected string) {
	p.fail(p.cur.pos, "expected %s, got %s", expected, p.got())
}

func (p *parser) expectEnd(expected string) {
	if p.cur.tok != tokEnd {
		p.unexpected(expected)
	}
}

// expect takes a lexeme of a type.
func (p *parser) expect(t token) lexeme {
	if p.cur.tok != t {
		p.unexpected(t.String())
	}
	l := p.cur
	p.advance()
	return l
}

// accept takes a lexeme of a type if it is next.
func (p *parser) accept(t token) bool {
	if p.cur.tok != t {
		return false
	}
	p.advance()
	return true
}

func (p *parser) enter() {
	if p.depth++; p.depth > maxDepth {
		p.fail(p.cur.pos, "expression is nested deeper than %d levels", maxDepth)
	}
}

func (p *parser) leave() { p.depth-- }

// boolean parses what must be true or false.
func (p *parser) boolean() *node {
	n := p.logical(0)
	p.mustBool(n)
	return n
}

// mustBool refuses a string before the current lexeme where true or false is
// needed.
func (p *parser) mustBool(n *node) {
	if n.kind() != Bool {
		p.unexpected("== or + after a string")
	}
}

// logicalOps are the operators from the weakest to the strongest (CL-017); all
// are left-associative.
var logicalOps = [...]struct {
	tok token
	op  op
}{
	{tokSOr, opSOr},
	{tokOr, opOr},
	{tokSAnd, opSAnd},
	{tokAnd, opAnd},
}

// logical parses operators of logicalOps[level] and stronger ones. What it
// returns is a string if there are none.
func (p *parser) logical(level int) *node {
	if level == len(logicalOps) {
		return p.not()
	}
	o := logicalOps[level]
	n := p.logical(level + 1)
	if p.cur.tok != o.tok {
		return n
	}
	p.mustBool(n)
	chain := &node{op: o.op, args: []*node{n}, pos: n.pos}
	for p.accept(o.tok) {
		n := p.logical(level + 1)
		p.mustBool(n)
		chain.args = append(chain.args, n)
	}
	return chain
}

func (p *parser) not() *node {
	if p.cur.tok != tokNot {
		return p.comparison()
	}
	pos := p.cur.pos
	p.enter()
	defer p.leave()
	p.advance()
	n := p.not()
	p.mustBool(n)
	return &node{op: opNot, args: []*node{n}, pos: pos}
}

func (p *parser) comparison() *node {
	n := p.concat(wantAny)
	if p.cur.tok != tokEqual || n.kind() == Bool {
		return n // == after true or false is refused by who comes next
	}
	p.advance()
	return &node{op: opEqual, args: []*node{n, p.concat(wantString)}, pos: n.pos}
}

// concat parses operands with + between. That binds stronger than == by types
// alone: Kea's table of precedences has it as the weakest.
func (p *parser) concat(w want) *node {
	n := p.operand(w)
	if p.cur.tok != tokPlus || n.kind() == Bool {
		return n
	}
	chain := &node{op: opConcat, args: []*node{n}, pos: n.pos}
	for p.accept(tokPlus) {
		chain.args = append(chain.args, p.operand(wantString))
	}
	return chain
}

// operand parses a value, a function or what is in brackets. With wantString it
// returns a string.
func (p *parser) operand(w want) *node {
	p.enter()
	defer p.leave()
	pos := p.cur.pos
	t := p.cur.tok
	if w == wantString && (t == tokMember || t == tokMatch || t == tokNot) {
		p.unexpected("a string")
	}
	var n *node
	switch t {
	case tokLParen:
		p.advance()
		if w == wantString {
			n = p.concat(wantString)
		} else {
			n = p.logical(0)
		}
		if p.cur.tok != tokRParen {
			switch {
			case n.kind() == String && w == wantAny:
				p.unexpected(") or == or +")
			case n.kind() == String:
				p.unexpected(") or +")
			default:
				p.unexpected(") or and, or")
			}
		}
		p.advance()
		return n
	case tokStringLit:
		n = literal([]byte(p.lex.text[pos+1 : p.cur.end-1]))
		p.advance()
	case tokHexLit:
		n = literal(hexLiteral(p.curText()))
		p.advance()
	case tokAddress:
		n = literal(netip.MustParseAddr(p.curText()).AsSlice()) // the lexer has parsed it
		p.advance()
	case tokInteger:
		n = literal(binary.BigEndian.AppendUint32(nil, uint32(p.integer(0, 1<<32-1))))
	case tokOption, tokRelay4, tokRelay6:
		n = p.option(w)
	case tokVendor, tokVendorClass:
		n = p.vendor(w)
	case tokPkt:
		n = p.pkt()
	case tokPkt4:
		n = p.pkt4()
	case tokPkt6:
		n = p.pkt6()
	case tokMember:
		n = p.member()
	case tokMatch:
		n = p.match()
	default:
		f, ok := functions[t]
		if !ok {
			if w == wantString {
				p.unexpected("a string")
			}
			p.unexpected("a comparison or a condition")
		}
		n = f(p)
	}
	n.pos = pos
	return n
}

func literal(b []byte) *node { return &node{op: opLiteral, lit: b} }

// hexLiteral decodes 0x…; an odd number of digits gets a 0 in front (CL-002).
func hexLiteral(s string) []byte {
	s = s[2:]
	if len(s)%2 != 0 {
		s = "0" + s
	}
	b, _ := hex.DecodeString(s) // digits by the lexer
	return b
}

// integer takes an integer of a range.
func (p *parser) integer(lo, hi int64) int64 {
	if p.cur.tok != tokInteger {
		p.unexpected("an integer")
	}
	v, _ := strconv.ParseInt(p.curText(), 10, 64) // the lexer has tried
	if v < lo || v > hi {
		p.fail(p.cur.pos, "integer %s is out of range: expected %d to %d", p.curText(), lo, hi)
	}
	p.advance()
	return v
}

// int32 takes an integer that evaluation needs in 32 bits with sign. As in Kea
// one that does not fit is found then, and only if the string is not empty.
func (p *parser) int32() (v int, bad bool) {
	if p.cur.tok != tokInteger {
		p.unexpected("an integer")
	}
	n, err := strconv.ParseInt(p.curText(), 10, 32)
	p.advance()
	return int(n), err != nil
}

func (p *parser) member() *node {
	p.advance()
	p.expect(tokLParen)
	pos := p.cur.pos
	l := p.expect(tokStringLit)
	name := p.lex.text[l.pos+1 : l.end-1]
	if p.env.ClassIndex == nil {
		p.fail(pos, "member() cannot be used here")
	}
	if p.env.ClassDefined != nil && !p.env.ClassDefined(name) {
		p.fail(pos, "class %q is not defined before this one: a class may depend on earlier and built-in classes only", clip(name))
	}
	p.expect(tokRParen)
	if !slices.Contains(p.members, name) {
		p.members = append(p.members, strings.Clone(name))
	}
	return &node{op: opMember, name: name, index: p.env.ClassIndex(name)}
}

func (p *parser) match() *node {
	p.advance()
	p.expect(tokLParen)
	pos := p.cur.pos
	l := p.expect(tokStringLit)
	re := p.lex.text[l.pos+1 : l.end-1]
	if _, err := compileRegexp(re); err != nil {
		p.fail(pos+1+err.pos, "invalid regular expression: %s", err.msg)
	}
	p.expect(tokComma)
	n := &node{op: opMatch, lit: []byte(re), args: []*node{p.concat(wantString)}}
	p.closeCall()
	return n
}

// closeCall takes the bracket behind a string argument.
func (p *parser) closeCall() {
	if p.cur.tok != tokRParen {
		p.unexpected(") or +")
	}
	p.advance()
}

// comma takes the comma behind a string argument.
func (p *parser) comma() {
	if p.cur.tok != tokComma {
		p.unexpected("\",\" or +")
	}
	p.advance()
}

// functions parse what their name begins.
var functions map[token]func(*parser) *node

func init() { // the functions refer to operand, which refers to them
	functions = map[token]func(*parser) *node{
		tokSubstring:    (*parser).substring,
		tokSplit:        (*parser).split,
		tokConcat:       (*parser).concatCall,
		tokIfElse:       func(p *parser) *node { return p.ifelse(opIfElse) },
		tokSIfElse:      func(p *parser) *node { return p.ifelse(opSIfElse) },
		tokHexString:    (*parser).hexstring,
		tokLCase:        func(p *parser) *node { return p.unary(node{op: opLCase}) },
		tokUCase:        func(p *parser) *node { return p.unary(node{op: opUCase}) },
		tokAddrToText:   func(p *parser) *node { return p.unary(node{op: opAddrToText}) },
		tokInt8ToText:   func(p *parser) *node { return p.unary(node{op: opIntToText, width: 1, signed: true}) },
		tokInt16ToText:  func(p *parser) *node { return p.unary(node{op: opIntToText, width: 2, signed: true}) },
		tokInt32ToText:  func(p *parser) *node { return p.unary(node{op: opIntToText, width: 4, signed: true}) },
		tokUint8ToText:  func(p *parser) *node { return p.unary(node{op: opIntToText, width: 1}) },
		tokUint16ToText: func(p *parser) *node { return p.unary(node{op: opIntToText, width: 2}) },
		tokUint32ToText: func(p *parser) *node { return p.unary(node{op: opIntToText, width: 4}) },
	}
}

func (p *parser) unary(n node) *node {
	p.advance()
	p.expect(tokLParen)
	n.args = []*node{p.concat(wantString)}
	p.closeCall()
	return &n
}

func (p *parser) substring() *node {
	p.advance()
	p.expect(tokLParen)
	n := &node{op: opSubstring, args: []*node{p.concat(wantString)}}
	p.comma()
	var badLen bool
	n.start, n.bad = p.int32()
	p.expect(tokComma)
	switch p.cur.tok {
	case tokAll:
		p.advance()
		n.all = true
	case tokInteger:
		n.width, badLen = p.int32()
		n.bad = n.bad || badLen
	default:
		p.unexpected("an integer or all")
	}
	p.expect(tokRParen)
	return n
}

func (p *parser) split() *node {
	p.advance()
	p.expect(tokLParen)
	n := &node{op: opSplit, args: []*node{p.concat(wantString), nil}}
	p.comma()
	n.args[1] = p.concat(wantString)
	p.comma()
	n.start, n.bad = p.int32()
	p.expect(tokRParen)
	return n
}

func (p *parser) concatCall() *node {
	p.advance()
	p.expect(tokLParen)
	n := &node{op: opConcat, args: []*node{p.concat(wantString), nil}}
	p.comma()
	n.args[1] = p.concat(wantString)
	p.closeCall()
	return n
}

func (p *parser) hexstring() *node {
	p.advance()
	p.expect(tokLParen)
	n := &node{op: opHexString, args: []*node{p.concat(wantString), nil}}
	p.comma()
	n.args[1] = p.concat(wantString)
	p.closeCall()
	return n
}

func (p *parser) ifelse(o op) *node {
	p.advance()
	p.expect(tokLParen)
	n := &node{op: o, args: []*node{p.boolean(), nil, nil}}
	if p.cur.tok != tokComma {
		p.unexpected("\",\", and or or")
	}
	p.advance()
	n.args[1] = p.concat(wantString)
	p.comma()
	n.args[2] = p.concat(wantString)
	p.closeCall()
	return n
}
