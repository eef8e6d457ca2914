package optiondef

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// Received holds what clients send against the definitions of option-def, as Kea
// does when it takes a message apart (V4-096, V4-116). The built-in options that
// count are checked by dhcp4.View. Options 43 and 224 to 254 are not held against
// anything: Kea decodes them after classification and keeps those that it cannot
// read as they are (V4-097).
//
// It is immutable; a nil one has nothing to check.
type Received struct {
	codes CodeSet // of list
	list  []receivedOption
}

type receivedOption struct {
	code uint8
	def  *receivedDef
}

type receivedSpace struct {
	defs map[uint8]*receivedDef
}

// receivedDef is a Def for reading.
type receivedDef struct {
	fields []Type
	array  bool
	bare   bool           // encapsulates nothing
	sub    *receivedSpace // nil: no sub-options that are known
}

// verdict is what becomes of an option.
type verdict uint8

const (
	verdictGood verdict = iota
	verdictSkip         // the option is taken as not sent
	verdictBad          // the message is dropped
)

// NewReceived returns what global defines in the space of messages, or in one that
// a built-in option encapsulates; nil if that is nothing.
func NewReceived(global *Set) *Received {
	if global == nil {
		return nil
	}
	r := &Received{}
	spaces := map[string]*receivedSpace{}
	add := func(o *Def) {
		r.codes.Add(uint8(o.Code))
		r.list = append(r.list, receivedOption{uint8(o.Code), receivedOf(o, global, spaces)})
	}
	if s := global.spaces[SpaceDHCP4]; s != nil {
		for code, o := range s.byCode {
			if !DeferredCode(code) {
				add(o)
			}
		}
	}
	for _, o := range Standard[SpaceDHCP4].byCode {
		if s := global.spaces[o.Encapsulates]; o.Encapsulates != "" && s != nil {
			add(o)
		}
	}
	if len(r.list) == 0 {
		return nil
	}
	slices.SortFunc(r.list, func(a, b receivedOption) int { return int(a.code) - int(b.code) })
	return r
}

func receivedOf(o *Def, global *Set, spaces map[string]*receivedSpace) *receivedDef {
	d := &receivedDef{fields: o.Fields, array: o.Array, bare: o.Encapsulates == ""}
	if d.bare || o.Encapsulates == SpaceDHCP4 {
		return d
	}
	if s, ok := spaces[o.Encapsulates]; ok {
		d.sub = s
		return d
	}
	s := &receivedSpace{defs: map[uint8]*receivedDef{}}
	spaces[o.Encapsulates] = s // before what is in it: spaces may meet again
	for _, from := range []*Space{global.spaces[o.Encapsulates], Standard[o.Encapsulates]} {
		if from == nil {
			continue
		}
		for code, sub := range from.byCode {
			if !sub.V6 {
				s.defs[uint8(code)] = receivedOf(sub, global, spaces)
			}
		}
	}
	d.sub = s
	return d
}

// Check reports whether the message may be used. Options that Kea passes over
// because of what is in them are taken out of it.
func (r *Received) Check(v *dhcp4.View) bool {
	if r == nil || !v.HasAny((*[4]uint64)(&r.codes)) {
		return true
	}
	for i := range r.list {
		o := &r.list[i]
		if !v.Has(o.code) {
			continue
		}
		switch o.def.check(v.Option(o.code), v.LastPieceLen(o.code), v.Lenient) {
		case verdictBad:
			return false
		case verdictSkip:
			v.Forget(o.code)
		}
	}
	return true
}

// check judges a value whose last piece (RFC 3396) has last octets.
func (d *receivedDef) check(b []byte, last int, lenient bool) verdict {
	switch {
	case len(d.fields) > 1:
		return d.checkRecord(b, lenient)
	case d.array:
		return d.checkArray(b, lenient)
	}
	f := d.fields[0]
	n := 0
	switch f {
	case Empty:
	case Binary, Internal:
		return verdictGood
	case String: // V4-117
		if len(bytes.TrimRight(b, "\x00")) == 0 {
			return verdictSkip
		}
		return verdictGood
	default:
		var ok bool
		if n, ok = receivedLen(f, b); !ok {
			if f == FQDN && lenient {
				return verdictSkip
			}
			return verdictBad
		}
	}
	if size := fixed(f); size > 0 && last > size && d.bare && !lenient {
		return verdictBad
	}
	return d.sub.check(b[n:], lenient)
}

func (d *receivedDef) checkArray(b []byte, lenient bool) verdict {
	good := true
	switch f := d.fields[0]; f {
	case Int8, Int16, Int32, Uint8, Uint16, Uint32:
		good = len(b) > 0 && len(b)%fixed(f) == 0
	case IPv4, IPv6:
		good = len(b)%fixed(f) == 0
	case Bool, PSID: // what is left behind the last value is not looked at
		good = len(b) >= fixed(f)
	case FQDN:
		good = nameListLen(b)
	case Tuple:
		for len(b) > 0 && good {
			n := 1 + int(b[0])
			if n > len(b) {
				good, n = lenient, len(b)
			}
			b = b[n:]
		}
	default:
		for len(b) > 0 && good {
			var n int
			n, good = receivedLen(f, b)
			b = b[n:]
		}
	}
	if !good {
		return verdictBad
	}
	return verdictGood
}

func (d *receivedDef) checkRecord(b []byte, lenient bool) verdict {
	bad := func(f Type) verdict {
		if f == FQDN && lenient {
			return verdictSkip
		}
		return verdictBad
	}
	for _, f := range d.fields {
		n, ok := receivedLen(f, b)
		if f == Prefix && len(b) == 0 {
			n, ok = 0, true // as in Kea
		}
		if !ok {
			return bad(f)
		}
		b = b[n:]
	}
	if !d.array {
		return d.sub.check(b, lenient)
	}
	f := d.fields[len(d.fields)-1]
	for len(b) > 0 {
		n, ok := receivedLen(f, b)
		switch {
		case !ok && fixed(f) > 0:
			return verdictGood // what is left behind the last value is not looked at
		case !ok:
			return bad(f)
		}
		b = b[n:]
	}
	return verdictGood
}

// receivedLen is how many octets the value of type t at the beginning of b takes;
// 0 and false if it is none.
func receivedLen(t Type, b []byte) (int, bool) {
	n := fixed(t)
	switch t {
	case String, Binary:
		return len(b), true
	case Prefix:
		if len(b) == 0 || b[0] > 128 {
			return 0, false
		}
		n = 1 + (int(b[0])+7)/8
	case Tuple:
		if len(b) == 0 {
			return 0, false
		}
		n = 1 + int(b[0])
	case FQDN:
		for n < len(b) {
			l := int(b[n])
			if n += 1 + l; l > 63 || n > 255 {
				return 0, false
			}
			if l == 0 {
				return n, true
			}
		}
		return 0, false
	}
	if len(b) < n {
		return 0, false
	}
	return n, true
}

// nameListLen reports whether b is one or more domain names, perhaps compressed
// (RFC 3397 §2).
func nameListLen(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for at := 0; at < len(b); {
		total, end := 0, 0
		for i, limit := at, at; ; {
			if i >= len(b) {
				return false
			}
			l := int(b[i])
			if l >= 0xC0 {
				if i+1 >= len(b) {
					return false
				}
				to := int(binary.BigEndian.Uint16(b[i:])) & 0x3fff
				if to >= limit {
					return false // not back: there might be no end
				}
				if end == 0 {
					end = i + 2
				}
				i, limit = to, to
				continue
			}
			if total += 1 + l; l > 63 || total > 255 {
				return false
			}
			i += 1 + l
			if l == 0 {
				if end == 0 {
					end = i
				}
				break
			}
		}
		at = end
	}
	return true
}

// check judges sub-options. As in Kea one that is cut short ends them, and those
// of one code are pieces of one.
func (s *receivedSpace) check(b []byte, lenient bool) verdict {
	if s == nil || len(b) == 0 {
		return verdictGood
	}
	var seen, again CodeSet
	for i := 0; i+2 <= len(b) && i+2+int(b[i+1]) <= len(b); i += 2 + int(b[i+1]) {
		if seen.Has(b[i]) {
			again.Add(b[i])
		}
		seen.Add(b[i])
	}
	for i := 0; i+2 <= len(b) && i+2+int(b[i+1]) <= len(b); {
		code, at, n := b[i], i, int(b[i+1])
		val := b[i+2 : i+2+n]
		i += 2 + n
		d := s.defs[code]
		if d == nil {
			continue
		}
		var v verdict
		if again.Has(code) {
			if !seen.Has(code) {
				continue // judged with the first piece
			}
			seen[code>>6] &^= 1 << (code & 63)
			v = d.checkPieces(b[at:], code, lenient)
		} else {
			v = d.check(val, n, lenient)
		}
		if v == verdictBad {
			return v
		}
	}
	return verdictGood
}

// checkPieces puts the pieces of a sub-option together, of which the first is at
// the beginning of b, and judges them.
func (d *receivedDef) checkPieces(b []byte, code uint8, lenient bool) verdict {
	var room [dhcp4.MaxMessageLen]byte
	val, last := room[:0], 0
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		n := int(b[1])
		if b[0] == code {
			val, last = append(val, b[2:2+n]...), n
		}
		b = b[2+n:]
	}
	return d.check(val, last, lenient)
}
