package class

// The parts of the grammar that name something of the packet.

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
