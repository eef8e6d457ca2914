package class

import (
	"encoding/binary"
	"strconv"
)

// OptionType is the type of an option or of a field of a record (V4-096).
type OptionType uint8

const (
	TypeBinary OptionType = iota
	TypeEmpty
	TypeBoolean
	TypeInt8
	TypeInt16
	TypeInt32
	TypeUint8
	TypeUint16
	TypeUint32
	TypeIPv4Address
	TypeIPv6Address
	TypeIPv6Prefix
	TypePSID
	TypeString
	TypeTuple
	TypeFQDN
	TypeRecord
	// TypeInternal is an option with a format of its own, like 121.
	TypeInternal
)

// optionTypes are Kea's names and the lengths in octets, 0 where they vary.
var optionTypes = [...]struct {
	name   string
	len    int
	signed bool
}{
	TypeBinary:      {"binary", 0, false},
	TypeEmpty:       {"empty", 0, false},
	TypeBoolean:     {"boolean", 1, false},
	TypeInt8:        {"int8", 1, true},
	TypeInt16:       {"int16", 2, true},
	TypeInt32:       {"int32", 4, true},
	TypeUint8:       {"uint8", 1, false},
	TypeUint16:      {"uint16", 2, false},
	TypeUint32:      {"uint32", 4, false},
	TypeIPv4Address: {"ipv4-address", 4, false},
	TypeIPv6Address: {"ipv6-address", 16, false},
	TypeIPv6Prefix:  {"ipv6-prefix", 0, false},
	TypePSID:        {"psid", 3, false},
	TypeString:      {"string", 0, false},
	TypeTuple:       {"tuple", 0, false},
	TypeFQDN:        {"fqdn", 0, false},
	TypeRecord:      {"record", 0, false},
	TypeInternal:    {"internal", 0, false},
}

func (t OptionType) String() string { return optionTypes[t].name }

// ParseOptionType finds a type by the name that option-def has for it.
func ParseOptionType(name string) (OptionType, bool) {
	for t := range optionTypes {
		if optionTypes[t].name == name {
			return OptionType(t), true
		}
	}
	return TypeBinary, false
}

// OptionDef is what an expression has to know of an option's definition. The
// zero value is a binary option.
type OptionDef struct {
	Type OptionType
	// Array says that the type, or the last field of a record, repeats.
	Array bool
	// Fields are the types of a record.
	Fields []OptionType
	// Encapsulates is the space of the sub-options after the fields, "" if
	// there are none.
	Encapsulates string
}

// fixedLen is where sub-options begin; ok is false if that varies.
func (d *OptionDef) fixedLen() (n int, ok bool) {
	if d.Array {
		return 0, false
	}
	switch d.Type {
	case TypeEmpty:
		return 0, true
	case TypeRecord:
		for _, t := range d.Fields {
			l := optionTypes[t].len
			if l == 0 {
				return 0, false
			}
			n += l
		}
		return n, true
	}
	n = optionTypes[d.Type].len
	return n, n > 0
}

// text compiles .text. A string option is its value; the others are printed as
// in Kea's logs, with code, length and type. Options with a format of their own
// (81, 121, 124, 125 …) are printed as octets.
func (g *generator) text(f found) strFn {
	find, late, v6, code := f.find, f.late, g.env.V6, f.code
	typed := &printer{v6: v6, def: f.def}
	if f.def.Encapsulates != "" {
		typed.subs = g.subDefs(f.def.Encapsulates)
		typed.padEnd = g.padEnd(f)
	}
	plain := &printer{v6: v6}
	return func(q Packet, s *Scratch) []byte {
		b := find(q, s)
		if b == nil {
			return nil
		}
		p := typed
		if late && !s.Unpacked {
			p = plain
		}
		if p.def.Type == TypeString {
			return b
		}
		if !s.room(64 + 16*len(b)) { // more than any type becomes
			return nil
		}
		mark := len(s.buf)
		s.buf = p.append(s.buf, code, b, 0, s)
		return s.since(mark)
	}
}

// subDefs looks up what a space defines, so that printing needs no Env.
func (g *generator) subDefs(space string) map[uint16]OptionDef {
	m := make(map[uint16]OptionDef)
	for c := range 256 {
		if d, ok := g.env.optionDef(space, uint16(c)); ok {
			m[uint16(c)] = d
		}
	}
	return m
}

// printer prints options of a definition.
type printer struct {
	v6   bool
	def  OptionDef
	subs map[uint16]OptionDef // of the space it encapsulates, nil if none
	// padEnd is for next4.
	padEnd [2]bool
}

// append prints type, length, and the value by its type.
func (p printer) append(dst []byte, code uint16, b []byte, indent int, s *Scratch) []byte {
	for range indent {
		dst = append(dst, ' ')
	}
	width := 3
	if p.v6 {
		width = 5
	}
	fixed, suboptions := 0, false
	if p.subs != nil {
		fixed, suboptions = p.def.fixedLen()
		suboptions = suboptions && len(b) >= fixed
	}
	dst = append(dst, "type="...)
	dst = appendPadded(dst, uint64(code), width)
	dst = append(dst, ", len="...)
	dst = appendPadded(dst, uint64(len(b)), width)
	value := b
	if suboptions {
		value = b[:fixed]
	}
	dst = p.appendValue(append(dst, ':'), value)
	if !suboptions {
		return dst
	}
	return p.appendSubs(dst, b[fixed:], indent+2, s)
}

// appendValue prints what follows the colon.
func (p printer) appendValue(dst, b []byte) []byte {
	d := &p.def
	info := optionTypes[d.Type]
	switch {
	case d.Type == TypeRecord:
		return appendRecord(dst, d, b)
	case d.Type == TypeString:
		dst = append(append(append(dst, ` "`...), b...), '"')
		return appendType(dst, TypeString)
	case d.Type == TypeEmpty && p.subs != nil:
		return dst
	case d.Array && info.len > 0 && len(b)%info.len == 0:
		for ; len(b) > 0; b = b[info.len:] {
			dst = append(dst, ' ')
			switch d.Type {
			case TypeIPv4Address, TypeIPv6Address:
				dst = appendAddr(dst, b[:info.len])
			case TypeBoolean, TypePSID:
				dst, _ = appendField(dst, d.Type, b)
			default:
				dst = appendInt(dst, b[:info.len], info.signed)
				dst = append(append(append(dst, '('), info.name...), ')')
			}
		}
		return dst
	case d.Array && d.Type == TypeFQDN || !d.Array && d.Type != TypeEmpty && d.Type != TypeInternal && d.Type != TypeBinary:
		for first := true; first || d.Array && len(b) > 0; first = false {
			var n int
			if dst, n = appendField(append(dst, ' '), d.Type, b); n == 0 {
				break
			}
			b = b[n:]
		}
		return dst
	}
	return appendOctets(append(dst, ' '), b, true)
}

// appendOctets prints octets in hexadecimal, and as text if all can be printed.
func appendOctets(dst, b []byte, colons bool) []byte {
	if len(b) == 0 {
		return append(dst, "''"...)
	}
	printable := true
	for i, c := range b {
		if i > 0 && colons {
			dst = append(dst, ':')
		}
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		printable = printable && c >= ' ' && c <= '~'
	}
	if printable {
		dst = append(append(append(dst, " '"...), b...), '\'')
	}
	return dst
}

func appendPadded(dst []byte, v uint64, width int) []byte {
	var b [20]byte
	d := strconv.AppendUint(b[:0], v, 10)
	for range width - len(d) {
		dst = append(dst, '0')
	}
	return append(dst, d...)
}

func appendType(dst []byte, t OptionType) []byte {
	return append(append(append(dst, " ("...), optionTypes[t].name...), ')')
}

func appendRecord(dst []byte, d *OptionDef, b []byte) []byte {
	for i := 0; i < len(d.Fields) || d.Array && len(b) > 0; i++ {
		var n int
		if dst, n = appendField(append(dst, ' '), d.Fields[min(i, len(d.Fields)-1)], b); n == 0 {
			break
		}
		b = b[n:]
	}
	return dst
}

// appendField prints a field at the beginning of b with its type, and says how
// long it is; 0 if b has no such field.
func appendField(dst []byte, t OptionType, b []byte) ([]byte, int) {
	n := optionTypes[t].len
	if len(b) < n {
		return appendOctets(dst, b, false), 0
	}
	switch t {
	case TypeBoolean:
		dst = strconv.AppendBool(dst, b[0] != 0)
	case TypeIPv4Address, TypeIPv6Address:
		dst = appendAddr(dst, b[:n])
	case TypePSID:
		dst = strconv.AppendUint(append(dst, "len="...), uint64(b[0]), 10)
		// The number is in the first bits of the field (RFC 7618 §9).
		psid := uint64(0)
		if b[0] > 0 && b[0] <= 16 {
			psid = uint64(binary.BigEndian.Uint16(b[1:])) >> (16 - b[0])
		}
		dst = strconv.AppendUint(append(dst, ",psid="...), psid, 10)
	case TypeFQDN:
		dst, n = appendName(append(dst, '"'), b)
		dst = append(dst, '"')
	case TypeTuple:
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return appendOctets(dst, b, false), 0
		}
		n = 1 + int(b[0])
		dst = append(append(append(dst, '"'), b[1:n]...), '"')
	case TypeString:
		n = len(b)
		dst = append(append(append(dst, '"'), b...), '"')
	case TypeInt8, TypeInt16, TypeInt32, TypeUint8, TypeUint16, TypeUint32:
		dst = appendInt(dst, b[:n], optionTypes[t].signed)
	default:
		n = len(b)
		dst = appendOctets(dst, b, false)
	}
	return appendType(dst, t), n
}

// appendName prints a domain name of RFC 1035 §3.1 without compression, and says
// how many octets it has; 0 if it has no end.
func appendName(dst, b []byte) ([]byte, int) {
	mark := len(dst)
	for i := 0; i < len(b) && b[i] < 64; {
		n := int(b[i])
		if n == 0 {
			if i == 0 {
				dst = append(dst, '.')
			}
			return dst, i + 1
		}
		if i+1+n > len(b) {
			break
		}
		dst = append(append(dst, b[i+1:i+1+n]...), '.')
		i += 1 + n
	}
	return dst[:mark], 0
}

// appendSubs prints sub-options, one a line, in order of their codes.
func (p printer) appendSubs(dst, b []byte, indent int, s *Scratch) []byte {
	if p.v6 {
		for len(b) >= 4 && len(b) >= 4+int(binary.BigEndian.Uint16(b[2:])) {
			code, n := binary.BigEndian.Uint16(b), 4+int(binary.BigEndian.Uint16(b[2:]))
			sub := printer{v6: true, def: p.subs[code]}
			dst = sub.append(append(dst, '\n'), code, b[4:n], indent, s)
			b = b[n:]
		}
		return dst
	}
	var x subIndex
	s.index4(b, p.padEnd, &x)
	for code, i := range x.head {
		if i == 0 {
			continue
		}
		// The pieces are put together at the end of dst, printed behind that,
		// and overwritten.
		mark := len(dst)
		for i != 0 {
			var val []byte
			val, i = x.at(i)
			dst = append(dst, val...)
		}
		val := dst[mark:]
		sub := printer{def: p.subs[uint16(code)]}
		dst = sub.append(append(dst, '\n'), uint16(code), val, indent, s)
		dst = append(dst[:mark], dst[mark+len(val):]...)
	}
	return dst
}
