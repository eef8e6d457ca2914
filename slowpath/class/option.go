package class

import (
	"encoding/binary"
)

// Codes that the language treats in their own way.
const (
	optVendorEncapsulated = 43  // RFC 2132 §8.4
	optRelayAgent         = 82  // RFC 3046
	optVIVendorClass      = 124 // RFC 3925 §3
	optVIVendorOptions    = 125 // RFC 3925 §4
	optV6VendorClass      = 16  // RFC 8415 §21.16
	optV6VendorOptions    = 17  // RFC 8415 §21.17
)

// deferred reports whether Kea decodes a DHCPv4 option only after the first
// pass of classification (V4-097).
func deferred(code uint16) bool {
	return code == optVendorEncapsulated || code >= 224 && code <= 254
}

// finder returns the value of an option: nil if it is absent, empty but not nil
// if it has no octets.
type finder func(q Packet, s *Scratch) []byte

func absent(Packet, *Scratch) []byte { return nil }

// found is what a finder found, and the definition that applies to it.
type found struct {
	find  finder
	space string
	code  uint16
	def   OptionDef
	// late says that def applies only when Scratch.Unpacked is set.
	late bool
}

// find compiles a path. Kea decodes what a definition says is encapsulated, and
// knows no other sub-options (CL-006).
func (g *generator) find(src source) found {
	v4 := !g.env.V6
	path := src.path
	var f found
	switch {
	case src.root == rootRelay4, v4 && src.root == rootOption && path[0] == optRelayAgent && len(path) > 1:
		if src.root == rootOption {
			path = path[1:]
		}
		code := path[0]
		f = found{space: "dhcp-agent-options-space", code: code,
			find: func(q Packet, _ *Scratch) []byte { return q.RelayOption(0, code) }}
	case src.root == rootRelay6:
		level, code := src.level, path[0]
		f = found{space: "dhcp6", code: code, find: func(q Packet, _ *Scratch) []byte {
			l := relayLevel(q, level)
			if l < 0 {
				return nil
			}
			return q.RelayOption(l, code)
		}}
	case src.root == rootVendor:
		f = g.vendorOption(src.enterprise, path[0])
	case len(path) > 1 && v4 && path[0] == optVIVendorOptions, len(path) > 1 && !v4 && path[0] == optV6VendorOptions:
		path = path[1:]
		f = g.vendorOption(0, path[0])
	default:
		code := path[0]
		f = found{space: g.env.space(), code: code, late: v4 && deferred(code),
			find: func(q Packet, _ *Scratch) []byte { return q.Option(code) }}
		switch {
		case v4 && code == optVIVendorOptions:
			f.find = func(q Packet, s *Scratch) []byte { return repackVendor4(q.Option(optVIVendorOptions), s) }
		case v4 && code == optVIVendorClass:
			f.find = func(q Packet, s *Scratch) []byte { return repackVendorClass4(q.Option(optVIVendorClass), s) }
		}
	}
	f.def, _ = g.env.optionDef(f.space, f.code)
	for _, code := range path[1:] {
		f = g.inside(f, code)
	}
	return f
}

// inside finds an option in the value of another.
func (g *generator) inside(outer found, code uint16) found {
	skip, ok := outer.def.fixedLen()
	if outer.def.Encapsulates == "" || !ok {
		return found{find: absent}
	}
	f := found{space: outer.def.Encapsulates, code: code}
	f.def, _ = g.env.optionDef(f.space, code)
	find, late, v6 := outer.find, outer.late, g.env.V6
	padEnd := g.padEnd(outer)
	f.find = func(q Packet, s *Scratch) []byte {
		if late && !s.Unpacked {
			return nil
		}
		b := find(q, s)
		if len(b) <= skip {
			return nil
		}
		if v6 {
			return find6(b[skip:], code)
		}
		return find4(b[skip:], uint8(code), padEnd, s)
	}
	return f
}

// padEnd says whether codes 0 and 255 are pad and end in what an option
// encapsulates: they are in option 43, unless its space defines sub-options of
// these codes, and are ordinary codes elsewhere.
func (g *generator) padEnd(outer found) (is [2]bool) {
	if g.env.V6 || outer.space != "dhcp4" || outer.code != optVendorEncapsulated {
		return is
	}
	_, pad := g.env.optionDef(outer.def.Encapsulates, 0)
	_, end := g.env.optionDef(outer.def.Encapsulates, 255)
	return [2]bool{!pad, !end}
}

// find4 finds a sub-option. Several of one code are one that came in pieces.
func find4(b []byte, code uint8, padEnd [2]bool, s *Scratch) []byte {
	val, rest := next4(b, code, padEnd)
	if val == nil {
		return nil
	}
	more, rest := next4(rest, code, padEnd)
	if more == nil {
		return val
	}
	if !s.room(len(b)) { // more than all pieces have
		return nil
	}
	mark := len(s.buf)
	s.buf = append(s.buf, val...)
	for more != nil {
		s.buf = append(s.buf, more...)
		more, rest = next4(rest, code, padEnd)
	}
	return s.since(mark)
}

// next4 finds the next sub-option of a code, val is nil if there is none.
func next4(b []byte, code uint8, padEnd [2]bool) (val, rest []byte) {
	for {
		c, v, r, ok := nextAny4(b, padEnd)
		if !ok {
			return nil, nil
		}
		if c == code {
			return v, r
		}
		b = r
	}
}

// nextAny4 reads a sub-option; what is cut short ends the list.
func nextAny4(b []byte, padEnd [2]bool) (code uint8, val, rest []byte, ok bool) {
	for padEnd[0] && len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) < 2 || padEnd[1] && b[0] == 255 || len(b) < 2+int(b[1]) {
		return 0, nil, nil, false
	}
	n := 2 + int(b[1])
	return b[0], b[2:n:n], b[n:], true
}

// find6 finds the first sub-option of a code.
func find6(b []byte, code uint16) []byte {
	for len(b) >= 4 {
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < n {
			break
		}
		if binary.BigEndian.Uint16(b) == code {
			return b[4:n:n]
		}
		b = b[n:]
	}
	return nil
}

// relayLevel counts negative levels from the client; it returns -1 if there is
// no such relay.
func relayLevel(q Packet, level int) int {
	n := q.Relays()
	if level < 0 {
		level += n
	}
	if level >= n {
		return -1
	}
	return max(level, -1)
}

// vendorOption finds a sub-option of options 125 and 17.
func (g *generator) vendorOption(enterprise uint32, code uint16) found {
	f := found{code: code}
	if g.env.V6 {
		f.find = func(q Packet, _ *Scratch) []byte {
			b := q.Option(optV6VendorOptions)
			if vendor6(b, enterprise) == nil {
				return nil
			}
			return find6(b[4:], code)
		}
		return f
	}
	f.find = func(q Packet, _ *Scratch) []byte {
		b := q.Option(optVIVendorOptions)
		id := vendor4(b, enterprise)
		if id == nil {
			return nil
		}
		return vendorSub4(b, id, uint8(code))
	}
	return f
}

// vendor4 returns the enterprise number, 4 octets, of the vendor that Kea looks
// at in option 125, nil if there is none or it is not the one asked for. Of
// several vendors that is the one with the least number, not the first: Kea
// keeps them sorted and examines one (CL-014). An option that is cut short
// anywhere is no option.
func vendor4(b []byte, enterprise uint32) []byte {
	var least []byte
	for len(b) > 0 {
		if len(b) < 4 {
			return nil
		}
		id := b[:4:4]
		if least == nil || binary.BigEndian.Uint32(id) < binary.BigEndian.Uint32(least) {
			least = id
		}
		if len(b) == 4 { // no data, which Kea takes
			break
		}
		n := 5 + int(b[4])
		if len(b) < n {
			return nil
		}
		for sub := b[5:n]; len(sub) > 0; sub = sub[2+int(sub[1]):] {
			if len(sub) < 2 || len(sub) < 2+int(sub[1]) {
				return nil
			}
		}
		b = b[n:]
	}
	return ofEnterprise(least, enterprise)
}

// vendorSub4 finds the first sub-option in the data of a vendor, in an option
// that vendor4 took.
func vendorSub4(b, id []byte, code uint8) []byte {
	for len(b) > 4 {
		n := 5 + int(b[4])
		if string(b[:4]) == string(id) {
			if val, _ := next4(b[5:n], code, [2]bool{}); val != nil {
				return val
			}
		}
		b = b[n:]
	}
	return nil
}

func ofEnterprise(id []byte, enterprise uint32) []byte {
	if id != nil && enterprise != 0 && binary.BigEndian.Uint32(id) != enterprise {
		return nil
	}
	return id
}

// vendor6 returns the enterprise number of options 17 and 16.
func vendor6(b []byte, enterprise uint32) []byte {
	if len(b) < 4 {
		return nil
	}
	return ofEnterprise(b[:4:4], enterprise)
}

// vendorClass4 returns the enterprise number of the vendor that Kea looks at in
// option 124, like vendor4; a vendor without data does not count, and data that
// is cut short ends the option.
func vendorClass4(b []byte, enterprise uint32) []byte {
	var least []byte
	for len(b) > 0 {
		if len(b) < 4 {
			return nil
		}
		if len(b) == 4 || len(b) < 5+int(b[4]) {
			break
		}
		id := b[:4:4]
		if least == nil || binary.BigEndian.Uint32(id) < binary.BigEndian.Uint32(least) {
			least = id
		}
		b = b[5+int(b[4]):]
	}
	return ofEnterprise(least, enterprise)
}

// vendorData4 returns the index-th piece of data of a vendor in option 124.
func vendorData4(b, id []byte, index uint32) []byte {
	for len(b) > 4 && len(b) >= 5+int(b[4]) {
		n := 5 + int(b[4])
		if string(b[:4]) == string(id) {
			if index == 0 {
				return b[5:n:n]
			}
			index--
		}
		b = b[n:]
	}
	return nil
}

// vendorData6 returns the index-th piece of data in option 16.
func vendorData6(b []byte, index uint32) []byte {
	for len(b) >= 2 {
		n := 2 + int(binary.BigEndian.Uint16(b))
		if len(b) < n {
			return nil
		}
		if index == 0 {
			return b[2:n:n]
		}
		index--
		b = b[n:]
	}
	return nil
}

// vendorID compiles the look-up of the enterprise number, nil if the option is
// not there or another vendor's.
func (g *generator) vendorID(src source) finder {
	id := src.enterprise
	switch {
	case src.root == rootVendor && g.env.V6:
		return func(q Packet, _ *Scratch) []byte { return vendor6(q.Option(optV6VendorOptions), id) }
	case src.root == rootVendor:
		return func(q Packet, _ *Scratch) []byte { return vendor4(q.Option(optVIVendorOptions), id) }
	case g.env.V6:
		return func(q Packet, _ *Scratch) []byte { return vendor6(q.Option(optV6VendorClass), id) }
	}
	return func(q Packet, _ *Scratch) []byte { return vendorClass4(q.Option(optVIVendorClass), id) }
}

func (g *generator) enterprise(n *node) strFn { return strFn(g.vendorID(n.src)) }

func (g *generator) vendorData(n *node) strFn {
	id, index := g.vendorID(n.src), n.index
	if g.env.V6 {
		return func(q Packet, s *Scratch) []byte {
			if id(q, s) == nil {
				return nil
			}
			return vendorData6(q.Option(optV6VendorClass)[4:], index)
		}
	}
	return func(q Packet, s *Scratch) []byte {
		v := id(q, s)
		if v == nil {
			return nil
		}
		return vendorData4(q.Option(optVIVendorClass), v, index)
	}
}

func (g *generator) exists(n *node) boolFn {
	if len(n.src.path) == 0 {
		id := g.vendorID(n.src)
		return func(q Packet, s *Scratch) bool { return id(q, s) != nil }
	}
	if n.src.plain(g.env) {
		code := n.src.path[0]
		return func(q Packet, _ *Scratch) bool { return q.Option(code) != nil }
	}
	find := g.find(n.src).find
	return func(q Packet, s *Scratch) bool { return find(q, s) != nil }
}

// plain reports whether a source is an option of the message whose value is the
// octets that were received.
func (s *source) plain(env *Env) bool {
	if s.root != rootOption || len(s.path) > 1 {
		return false
	}
	code := s.path[0]
	d, _ := env.optionDef(env.space(), code)
	return env.V6 || d.Encapsulates == "" && code != optVIVendorOptions && code != optVIVendorClass
}

// optionValue compiles .hex and .text; a missing option is an empty string.
func (g *generator) optionValue(n *node) strFn {
	f := g.find(n.src)
	switch skip, ok := f.def.fixedLen(); {
	case n.text:
		return g.text(f)
	case !g.env.V6 && f.def.Encapsulates != "" && ok:
		padEnd := g.padEnd(f)
		return func(q Packet, s *Scratch) []byte {
			b := f.find(q, s)
			if b == nil || f.late && !s.Unpacked {
				return b
			}
			return repack4(b, skip, padEnd, s)
		}
	}
	return strFn(f.find)
}
