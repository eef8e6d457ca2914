package class

import "bytes"

// generator turns nodes into closures.
type generator struct {
	env *Env
}

// fold makes literals of the nodes below n, and of n, whose operands are all
// literals, unless their evaluation fails: that must happen at run time.
func (g *generator) fold(n *node) {
	constant := len(n.args) > 0 && n.kind() == String
	for _, a := range n.args {
		g.fold(a)
		constant = constant && a.op == opLiteral
	}
	if !constant {
		return
	}
	var s Scratch
	if v := g.str(n)(nil, &s); s.failed == FailNone {
		*n = node{op: opLiteral, lit: bytes.Clone(v), pos: n.pos}
	}
}

// str compiles a node that yields a string.
func (g *generator) str(n *node) strFn {
	switch n.op {
	case opLiteral:
		lit := n.lit
		return func(Packet, *Scratch) []byte { return lit }
	case opValue:
		return g.optionValue(n)
	case opHeader:
		start, end := n.start, n.start+n.width
		return func(q Packet, _ *Scratch) []byte { return q.Header()[start:end] }
	case opHeaderInt:
		return headerInt(n.start, n.width)
	case opMAC:
		return func(q Packet, _ *Scratch) []byte {
			h := q.Header()
			return h[28 : 28+min(int(h[2]), 16)]
		}
	case opMsgType4:
		return func(q Packet, _ *Scratch) []byte {
			if b := q.Option(53); len(b) > 0 {
				return octetInts[b[0]][:]
			}
			return octetInts[0][:]
		}
	case opIface:
		return func(q Packet, s *Scratch) []byte {
			name := q.Iface()
			if !s.room(len(name)) {
				return nil
			}
			mark := len(s.buf)
			s.buf = append(s.buf, name...)
			return s.since(mark)
		}
	case opSrc:
		return func(q Packet, s *Scratch) []byte { return s.addr(q.Src()) }
	case opDst:
		return func(q Packet, s *Scratch) []byte { return s.addr(q.Dst()) }
	case opLen:
		return func(q Packet, s *Scratch) []byte { return s.uint32(uint32(q.Len())) }
	case opRelayHeader:
		level, start, end := n.src.level, n.start, n.start+n.width
		return func(q Packet, _ *Scratch) []byte {
			if h := q.RelayHeader(relayLevel(q, level)); h != nil {
				return h[start:end]
			}
			return nil
		}
	case opEnterprise:
		return g.enterprise(n)
	case opVendorData:
		return g.vendorData(n)
	case opSubstring:
		return g.substring(n)
	case opSplit:
		return g.split(n)
	case opConcat:
		return g.concat(n)
	case opIfElse:
		cond, yes, no := g.boolean(n.args[0]), g.str(n.args[1]), g.str(n.args[2])
		return func(q Packet, s *Scratch) []byte {
			if cond(q, s) {
				return yes(q, s)
			}
			return no(q, s)
		}
	case opSIfElse:
		cond, yes, no := g.boolean(n.args[0]), g.str(n.args[1]), g.str(n.args[2])
		return func(q Packet, s *Scratch) []byte {
			c := cond(q, s)
			y := yes(q, s)
			n := no(q, s)
			if c {
				return y
			}
			return n
		}
	case opLCase:
		return changeCase(g.str(n.args[0]), 'A', 'Z')
	case opUCase:
		return changeCase(g.str(n.args[0]), 'a', 'z')
	case opHexString:
		return g.hexString(n)
	case opAddrToText:
		return addrToText(g.str(n.args[0]))
	case opIntToText:
		return intToText(g.str(n.args[0]), n.width, n.signed)
	}
	panic("class: node yields no string") // the parser has checked
}

// boolean compiles a node that yields true or false.
func (g *generator) boolean(n *node) boolFn {
	switch n.op {
	case opNot:
		f := g.boolean(n.args[0])
		return func(q Packet, s *Scratch) bool { return !f(q, s) }
	case opAnd, opOr, opSAnd, opSOr:
		return g.chain(n)
	case opEqual:
		return g.equal(n)
	case opExists:
		return g.exists(n)
	case opMember:
		i := n.index
		return func(q Packet, _ *Scratch) bool { return q.InClass(i) }
	case opMatch:
		re, _ := compileRegexp(string(n.lit)) // the parser has tried
		f := g.str(n.args[0])
		return func(q Packet, s *Scratch) bool { return matchBytes(re, f(q, s), s) }
	}
	panic("class: node yields neither true nor false") // the parser has checked
}

func (g *generator) chain(n *node) boolFn {
	l := make([]boolFn, len(n.args))
	for i, a := range n.args {
		l[i] = g.boolean(a)
	}
	until := n.op == opOr || n.op == opSOr // what decides
	switch {
	case n.op == opSAnd || n.op == opSOr:
		return func(q Packet, s *Scratch) bool {
			r := !until
			for _, f := range l {
				if f(q, s) == until {
					r = until
				}
			}
			return r
		}
	case len(l) == 2 && until:
		a, b := l[0], l[1]
		return func(q Packet, s *Scratch) bool { return a(q, s) || b(q, s) }
	case len(l) == 2:
		a, b := l[0], l[1]
		return func(q Packet, s *Scratch) bool { return a(q, s) && b(q, s) }
	}
	return func(q Packet, s *Scratch) bool {
		for _, f := range l {
			if f(q, s) == until {
				return until
			}
		}
		return !until
	}
}

func (g *generator) equal(n *node) boolFn {
	a, b := n.args[0], n.args[1]
	fa, fb := g.str(a), g.str(b)
	if a.op == opLiteral {
		a, b, fa = b, a, fb
	}
	if b.op != opLiteral {
		return func(q Packet, s *Scratch) bool {
			x := fa(q, s)
			return string(x) == string(fb(q, s))
		}
	}
	lit := string(b.lit)
	if a.op == opValue && !a.text && a.src.plain(g.env) {
		code := a.src.path[0]
		return func(q Packet, _ *Scratch) bool { return string(q.Option(code)) == lit }
	}
	return func(q Packet, s *Scratch) bool { return string(fa(q, s)) == lit }
}
