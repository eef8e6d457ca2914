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

// op is what a node computes.
type op uint8

const (
	// True or false.
	opNot  op = iota
	opAnd     // args, from left to right until one is false
	opSAnd    // all args
	opOr      // args, from left to right until one is true
	opSOr     // all args
	opEqual
	opExists // source
	opMember // index
	opMatch  // lit, args[0]

	// A string.
	opLiteral     // lit
	opValue       // source, text or not
	opHeader      // header[start:start+width], octets as they are
	opHeaderInt   // the same as a 32-bit integer
	opMAC         // chaddr
	opMsgType4    // option 53 as a 32-bit integer
	opIface       //
	opSrc         //
	opDst         //
	opLen         //
	opRelayHeader // level, header[start:start+width]
	opEnterprise  // source
	opVendorData  // source, tuple index
	opSubstring   // args[0], start, width
	opSplit       // args[0], args[1], start
	opConcat      // args
	opIfElse      // args[0] decides whether args[1] or args[2] is evaluated
	opSIfElse     // evaluates all
	opLCase
	opUCase
	opHexString // args[0], args[1]
	opAddrToText
	opIntToText // width in bits, signed
)

// root is where the path of an option begins.
type root uint8

const (
	rootOption      root = iota // options of the message
	rootRelay4                  // sub-options of option 82
	rootRelay6                  // options of a relay
	rootVendor                  // options 125 and 17
	rootVendorClass             // options 124 and 16
)

// source is where an option is looked for.
type source struct {
	root       root
	level      int    // rootRelay6
	enterprise uint32 // rootVendor, rootVendorClass; 0 is any
	path       []uint16
}

// node is an operation and its operands.
type node struct {
	op   op
	args []*node
	lit  []byte
	src  source

	name   string // opMember
	index  uint32 // opMember, opVendorData
	text   bool   // opValue: .text
	signed bool   // opIntToText
	all    bool   // opSubstring: length all
	bad    bool   // opSubstring, opSplit: a number does not fit 32 bits
	start  int
	width  int
	pos    int
}

func (n *node) kind() Kind {
	if n.op < opLiteral {
		return Bool
	}
	return String
}

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

// optionCode takes a number, or a name where names are allowed.
func (p *parser) optionCode(names bool) uint16 {
	p.expect(tokLBracket)
	var code uint16
	switch {
	case p.cur.tok == tokOptionName && names:
		name := p.curText()
		ok := false
		if p.env.OptionCode != nil {
			code, ok = p.env.OptionCode(name)
		}
		if !ok {
			p.fail(p.cur.pos, "option %q is not defined in space %s", clip(name), p.env.space())
		}
		p.advance()
	case p.cur.tok == tokOptionName:
		p.fail(p.cur.pos, "expected the code of a sub-option, got the name %q", clip(p.curText()))
	case p.cur.tok == tokInteger:
		hi := int64(255)
		if p.env.V6 {
			hi = 65535
		}
		code = uint16(p.integer(0, hi))
	default:
		if names {
			p.unexpected("the code or the name of an option")
		}
		p.unexpected("the code of a sub-option")
	}
	p.expect(tokRBracket)
	return code
}

func (p *parser) only4(t token) {
	if p.env.V6 {
		p.fail(p.cur.pos, "%s can only be used in DHCPv4", t)
	}
}

func (p *parser) only6(t token) {
	if !p.env.V6 {
		p.fail(p.cur.pos, "%s can only be used in DHCPv6", t)
	}
}

// option parses option[…]…, relay4[…]… and relay6[…]….
func (p *parser) option(w want) *node {
	switch t := p.cur.tok; t {
	case tokRelay4:
		p.only4(t)
		p.advance()
		return p.path(source{root: rootRelay4, path: []uint16{p.optionCode(false)}}, w)
	case tokRelay6:
		p.only6(t)
		p.advance()
		p.expect(tokLBracket)
		level := int(p.integer(-32, 31))
		p.expect(tokRBracket)
		p.expect(tokDot)
		switch p.cur.tok {
		case tokLinkAddr:
			p.advance()
			return &node{op: opRelayHeader, src: source{root: rootRelay6, level: level}, start: 2, width: 16}
		case tokPeerAddr:
			p.advance()
			return &node{op: opRelayHeader, src: source{root: rootRelay6, level: level}, start: 18, width: 16}
		case tokOption:
			p.advance()
			return p.path(source{root: rootRelay6, level: level, path: []uint16{p.optionCode(false)}}, w)
		}
		p.unexpected("option, linkaddr or peeraddr")
	}
	p.advance()
	return p.path(source{root: rootOption, path: []uint16{p.optionCode(true)}}, w)
}

// maxPath is how many options may be inside each other; an option of 255 octets
// holds no more.
const maxPath = 128

// path parses .option[…] as often as it comes, and what is to be done with the
// last one. Names are allowed behind relay4, relay6 and vendor, where they mean
// options of the message's space: so has Kea's grammar.
func (p *parser) path(src source, w want) *node {
	names := src.root != rootOption
	for {
		p.expect(tokDot)
		switch p.cur.tok {
		case tokOption:
			if len(src.path) == maxPath {
				p.fail(p.cur.pos, "more than %d options inside each other", maxPath)
			}
			p.advance()
			src.path = append(src.path, p.optionCode(names))
			continue
		case tokExists:
			if w == wantString {
				p.unexpected("text or hex, which are strings")
			}
			p.advance()
			return &node{op: opExists, src: src}
		case tokHex:
			p.advance()
			return &node{op: opValue, src: src}
		case tokText:
			p.advance()
			return &node{op: opValue, src: src, text: true}
		}
		if w == wantString {
			p.unexpected("option, text or hex")
		}
		p.unexpected("option, text, hex or exists")
	}
}

// vendor parses vendor… and vendor-class….
func (p *parser) vendor(w want) *node {
	src := source{root: rootVendor}
	if p.cur.tok == tokVendorClass {
		src.root = rootVendorClass
	}
	p.advance()
	if p.accept(tokDot) {
		p.expect(tokEnterprise)
		return &node{op: opEnterprise, src: src}
	}
	if p.cur.tok != tokLBracket {
		p.unexpected("[ or .")
	}
	p.advance()
	if !p.accept(tokAny) {
		if p.cur.tok != tokInteger {
			p.unexpected("an enterprise number or *")
		}
		src.enterprise = uint32(p.integer(0, 1<<32-1))
	}
	p.expect(tokRBracket)
	p.expect(tokDot)
	if p.cur.tok == tokExists && w != wantString {
		p.advance()
		return &node{op: opExists, src: src}
	}
	if src.root == rootVendor {
		if p.cur.tok != tokOption {
			if w == wantString {
				p.unexpected("option")
			}
			p.unexpected("option or exists")
		}
		p.advance()
		src.path = []uint16{p.optionCode(false)}
		return p.path(src, w)
	}
	if p.cur.tok != tokData {
		if w == wantString {
			p.unexpected("data")
		}
		p.unexpected("data or exists")
	}
	p.advance()
	n := &node{op: opVendorData, src: src}
	if p.accept(tokLBracket) {
		n.index = uint32(p.integer(0, 255))
		p.expect(tokRBracket)
	}
	return n
}

func (p *parser) pkt() *node {
	p.advance()
	p.expect(tokDot)
	n := &node{}
	switch p.cur.tok {
	case tokIface:
		n.op = opIface
	case tokSrc:
		n.op = opSrc
	case tokDst:
		n.op = opDst
	case tokLen:
		n.op = opLen
	default:
		p.unexpected("iface, src, dst or len")
	}
	p.advance()
	return n
}

func (p *parser) pkt4() *node {
	p.only4(tokPkt4)
	p.advance()
	p.expect(tokDot)
	n := &node{op: opHeader, width: 4}
	switch p.cur.tok { // offsets: RFC 2131 §2
	case tokMAC:
		n.op = opMAC
	case tokHType:
		n.op, n.start, n.width = opHeaderInt, 1, 1
	case tokHLen:
		n.op, n.start, n.width = opHeaderInt, 2, 1
	case tokTransID:
		n.start = 4
	case tokCIAddr:
		n.start = 12
	case tokYIAddr:
		n.start = 16
	case tokSIAddr:
		n.start = 20
	case tokGIAddr:
		n.start = 24
	case tokMsgType:
		n.op = opMsgType4
	default:
		p.unexpected("mac, hlen, htype, ciaddr, giaddr, yiaddr, siaddr, msgtype or transid")
	}
	p.advance()
	return n
}

func (p *parser) pkt6() *node {
	p.only6(tokPkt6)
	p.advance()
	p.expect(tokDot)
	n := &node{op: opHeaderInt}
	switch p.cur.tok { // offsets: RFC 8415 §8
	case tokMsgType:
		n.width = 1
	case tokTransID:
		n.start, n.width = 1, 3
	default:
		p.unexpected("msgtype or transid")
	}
	p.advance()
	return n
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
