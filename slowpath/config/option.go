package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// spaceDHCP4 is the option space of top-level options.
const spaceDHCP4 = "dhcp4"

// optionRef says which option an option-data entry is about.
type optionRef struct {
	code uint8
	def  *optDef // nil: not built in
	csv  bool
}

// String names the option in messages.
func (r optionRef) String() string {
	if r.def == nil {
		return strconv.Itoa(int(r.code))
	}
	return fmt.Sprintf("%s (%d)", r.def.name, r.code)
}

// resolveOption finds code, definition and format of an entry (V4-090). Where
// d is nil nothing is reported.
func (d *decoder) resolveOption(n *Node) (ref optionRef, ok bool) {
	say := func(at *Node, format string, args ...any) {
		if d != nil {
			d.errorf(at, format, args...)
		}
	}
	name, code, space := n.Get("name"), n.Get("code"), n.Get("space")
	if space != nil && space.Kind == String && space.Str != spaceDHCP4 {
		say(space, "option space %q is not supported yet (only %q is)", clip(space.Str), spaceDHCP4)
		return ref, false
	}
	if name == nil && code == nil {
		say(n, `option-data must have a "name" or a "code"`)
		return ref, false
	}
	if code != nil {
		c := n.int("code", -1)
		switch {
		case code.Kind != Integer || c < 0 || c > 255:
			return ref, false // check has said so
		case c == 0 || c == 255:
			say(code, "option code %d is reserved: options have codes 1 to 254", c)
			return ref, false
		}
		ref.code, ref.def = uint8(c), optByCode[c]
	}
	if name != nil {
		if name.Kind != String {
			return ref, false
		}
		switch byName := optByName[name.Str]; {
		case code == nil && byName == nil:
			if near := nearest(name.Str, optionNames()); near != "" {
				say(name, "unknown option %q; did you mean %q?", clip(name.Str), near)
			} else {
				say(name, "unknown option %q: options without a built-in definition need a \"code\"", clip(name.Str))
			}
			return ref, false
		case code == nil:
			ref.code, ref.def = byName.code, byName
		case ref.def != nil && ref.def.name != name.Str:
			say(name, "option %d is %q, not %q", ref.code, ref.def.name, clip(name.Str))
			return ref, false
		case ref.def == nil && byName != nil:
			say(name, "option %q has code %d, not %d", name.Str, byName.code, ref.code)
			return ref, false
		}
	}
	ref.csv = n.bool("csv-format", ref.def != nil)
	if ref.csv && ref.def == nil {
		at := n.Get("csv-format")
		say(at, `option %d has no built-in definition: give its data in hexadecimal with "csv-format" false`, ref.code)
		return ref, false
	}
	return ref, true
}

func optionNames() []string {
	out := make([]string, 0, len(builtinOptions))
	for i := range builtinOptions {
		out = append(out, builtinOptions[i].name)
	}
	return out
}

// options decodes the option-data of scope n.
func (d *decoder) options(n *Node) Options {
	kids := n.kids("option-data")
	if len(kids) == 0 {
		return nil
	}
	out := make(Options, 0, len(kids))
	var seen [256]bool
	for i := range kids {
		e := &kids[i]
		if e.Kind != Map {
			continue
		}
		d.push("option-data", i)
		ref, ok := d.resolveOption(e)
		if ok {
			o := Option{Code: ref.code, Always: e.bool("always-send", false), Never: e.bool("never-send", false)}
			if data, ok := d.optionData(e, ref, o.Never); ok {
				o.Data = data
				if seen[o.Code] {
					d.warnf(e, "option %d is given twice in this option-data: the first is used", o.Code)
				}
				seen[o.Code] = true
				out = append(out, o)
			}
		}
		d.pop()
	}
	return sortOptions(out)
}

// maxOptionData bounds one option: it must fit in a UDP datagram however it is
// split (RFC 3396).
const maxOptionData = 60000

// optionData encodes the data of an entry.
func (d *decoder) optionData(n *Node, ref optionRef, never bool) (data []byte, ok bool) {
	v := n.Get("data")
	if v != nil && v.Kind != String {
		return nil, false
	}
	if v == nil && never {
		return []byte{}, true // V4-094
	}
	text, at := "", n
	if v != nil {
		text, at = v.Str, v
	}
	fail := func(err error) ([]byte, bool) {
		d.errorf(at, "option %s: %v", ref, err)
		return nil, false
	}
	if !ref.csv {
		b, isText := quoted(text)
		if !isText && text != "" {
			var err error
			if b, err = parseHex(text); err != nil {
				return fail(fmt.Errorf("data must be hexadecimal digits, as \"c0:00:02:01\", or text in single quotes: it %w", err))
			}
		}
		if ref.def != nil {
			if err := ref.def.checkLength(len(b)); err != nil {
				return fail(err)
			}
		}
		if len(b) > maxOptionData {
			return fail(fmt.Errorf("data may have at most %d bytes, not %d", maxOptionData, len(b)))
		}
		if b == nil {
			b = []byte{}
		}
		return b, true
	}
	b, surplus, err := ref.def.encode(text)
	if err != nil {
		return fail(err)
	}
	if surplus != "" {
		d.warnf(at, `option %s: what follows the comma (%q) is not sent; a comma inside a value is written \\,`, ref, clip(surplus))
	}
	if len(b) > maxOptionData {
		return fail(fmt.Errorf("data may have at most %d bytes, not %d", maxOptionData, len(b)))
	}
	return b, true
}

// fixed is the length of a type in bytes, 0 where it varies.
func (t optType) fixed() int {
	switch t {
	case optBool, optInt8, optUint8:
		return 1
	case optInt16, optUint16:
		return 2
	case optInt32, optUint32, optIPv4:
		return 4
	case optPSID:
		return 3
	case optIPv6:
		return 16
	}
	return 0
}

// checkLength holds data given in hexadecimal against the definition.
func (o *optDef) checkLength(n int) error {
	min, varies := 0, false
	for i, f := range o.fields {
		if o.array && i == len(o.fields)-1 {
			last := f.fixed()
			if !varies && last > 0 && (n < min || (n-min)%last != 0) {
				return fmt.Errorf("data has a length of %d, expected a multiple of %d%s", n, last, plusMin(min))
			}
			break
		}
		min += f.fixed()
		varies = varies || f.fixed() == 0
	}
	if o.array {
		return nil
	}
	if n < min || !varies && n > min {
		return fmt.Errorf("data has a length of %d, expected %d", n, min)
	}
	return nil
}

func plusMin(min int) string {
	if min == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d before", min)
}

// encode turns the text of an entry into its wire form. surplus is text that is
// not part of it: a scalar takes the first value only, as in Kea.
func (o *optDef) encode(text string) (b []byte, surplus string, err error) {
	switch o.fields[0] {
	case optEmpty:
		if strings.TrimSpace(text) != "" {
			return nil, "", errors.New(`takes no data as text; give it in hexadecimal with "csv-format" false`)
		}
		return []byte{}, "", nil
	case optLater:
		return nil, "", errors.New(`text is not supported yet; give the data in hexadecimal with "csv-format" false`)
	case optRoutes:
		b, err = encodeRoutes(text)
		return b, "", err
	}
	vals := splitCSV(text)
	if o.code == 119 {
		b, err = encodeSearchList(vals)
		return b, "", err
	}
	if len(vals) < len(o.fields) && !(o.array && len(o.fields) == 1) {
		if len(o.fields) == 1 {
			return nil, "", fmt.Errorf("data must be %s", o.fields[0])
		}
		return nil, "", fmt.Errorf("data must have %d values separated by commas, not %d", len(o.fields), len(vals))
	}
	b = []byte{}
	for i, v := range vals {
		f := o.fields[min(i, len(o.fields)-1)]
		if i >= len(o.fields) && !o.array {
			return b, strings.Join(vals[i:], ","), nil
		}
		if b, err = o.append(b, f, strings.TrimSpace(v)); err != nil {
			return nil, "", err
		}
	}
	return b, "", nil
}

// splitCSV splits at commas; \, is a comma inside a value and \\ a backslash.
// Empty values vanish, as in Kea (V4-092).
func splitCSV(s string) []string {
	var out []string
	var cur []byte
	flush := func() {
		if len(cur) > 0 {
			out = append(out, string(cur))
			cur = cur[:0]
		}
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ',':
			flush()
		case c == '\\' && i+1 < len(s) && (s[i+1] == ',' || s[i+1] == '\\'):
			i++
			cur = append(cur, s[i])
		default:
			cur = append(cur, c)
		}
	}
	flush()
	return out
}

// String names the type as an error message expects it.
func (t optType) String() string {
	switch t {
	case optEmpty:
		return "empty"
	case optBinary:
		return "hexadecimal digits"
	case optBool:
		return "true, false, 1 or 0"
	case optInt8:
		return "a number from -128 to 127"
	case optInt16:
		return "a number from -32768 to 32767"
	case optInt32:
		return "a number from -2147483648 to 2147483647"
	case optUint8:
		return "a number from 0 to 255"
	case optUint16:
		return "a number from 0 to 65535"
	case optUint32:
		return "a number from 0 to 4294967295"
	case optIPv4:
		return "an IPv4 address"
	case optIPv6:
		return "an IPv6 address"
	case optPSID:
		return "a port set as PSID/LENGTH"
	case optString:
		return "text"
	case optTuple:
		return "text"
	case optFQDN:
		return "a domain name"
	case optRoutes:
		return "routes as \"10.0.0.0/8 - 192.0.2.1, 0.0.0.0/0 - 192.0.2.2\""
	}
	return "data"
}

// append encodes one value.
func (o *optDef) append(b []byte, t optType, v string) ([]byte, error) {
	bad := func() ([]byte, error) { return nil, fmt.Errorf("expected %s, not %q", t, clip(v)) }
	switch t {
	case optString:
		if v == "" {
			return nil, errors.New("expected text, not an empty value")
		}
		return append(b, v...), nil
	case optBinary:
		h := stripBlanks(v) // white space between digits means nothing to Kea
		x, err := decodeHex(h)
		if err != nil || len(h)%2 != 0 || h == "" {
			return bad()
		}
		return append(b, x...), nil
	case optBool:
		switch {
		case strings.EqualFold(v, "true") || v == "1":
			return append(b, 1), nil
		case strings.EqualFold(v, "false") || v == "0":
			return append(b, 0), nil
		}
		return bad()
	case optInt8, optInt16, optInt32, optUint8, optUint16, optUint32:
		i, err := parseInt(v)
		if err != nil || !t.inRange(i) {
			return bad()
		}
		for n := t.fixed() - 1; n >= 0; n-- {
			b = append(b, byte(i>>(8*n)))
		}
		return b, nil
	case optIPv4:
		a, err := netip.ParseAddr(v)
		if err != nil || !a.Is4() {
			return bad()
		}
		return append(b, a.AsSlice()...), nil
	case optIPv6:
		a, err := netip.ParseAddr(v)
		if err != nil || !a.Is6() || a.Zone() != "" {
			return bad()
		}
		return append(b, a.AsSlice()...), nil
	case optPSID:
		return appendPSID(b, v)
	case optTuple:
		// Of the v4 options only 143 has tuples, with lengths of 16 bits.
		if len(v) > 65535 {
			return bad()
		}
		return append(append(b, byte(len(v)>>8), byte(len(v))), v...), nil
	case optFQDN:
		return appendName(b, v)
	}
	return bad()
}

func (t optType) inRange(i int64) bool {
	switch t {
	case optInt8:
		return i == int64(int8(i))
	case optInt16:
		return i == int64(int16(i))
	case optInt32:
		return i == int64(int32(i))
	case optUint8:
		return i == int64(uint8(i))
	case optUint16:
		return i == int64(uint16(i))
	}
	return i == int64(uint32(i))
}

// parseInt reads a decimal number, or a hexadecimal one after 0x.
func parseInt(s string) (int64, error) {
	if h, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		u, err := strconv.ParseUint(h, 16, 63)
		return int64(u), err
	}
	return strconv.ParseInt(s, 10, 64)
}

// appendPSID encodes PSID/LENGTH: the length, then 16 bits with the PSID in the
// uppermost (RFC 7618 §5).
func appendPSID(b []byte, v string) ([]byte, error) {
	v = stripBlanks(v)
	ps, ls, ok := strings.Cut(v, "/")
	psid, err1 := parseInt(ps)
	length, err2 := parseInt(ls)
	if !ok || err1 != nil || err2 != nil || psid < 0 || length < 0 || length > 16 || psid >= 1<<length {
		return nil, fmt.Errorf("expected %s with a PSID that fits in LENGTH (0 to 16) bits, not %q", optPSID, clip(v))
	}
	p := uint16(psid << (16 - length))
	return append(b, byte(length), byte(p>>8), byte(p)), nil
}

// encodeRoutes encodes "10.0.0.0/8 - 192.0.2.1, ..." (RFC 3442): of each
// destination only the significant octets.
func encodeRoutes(text string) ([]byte, error) {
	b := []byte{}
	for _, r := range strings.Split(text, ",") {
		if strings.TrimSpace(r) == "" {
			continue
		}
		dst, gw, ok := strings.Cut(r, "-")
		p, err1 := netip.ParsePrefix(strings.TrimSpace(dst))
		a, err2 := netip.ParseAddr(strings.TrimSpace(gw))
		if !ok || err1 != nil || err2 != nil || !p.Addr().Is4() || !a.Is4() {
			return nil, fmt.Errorf("expected %s, not %q", optRoutes, clip(strings.TrimSpace(r)))
		}
		b = append(b, byte(p.Bits()))
		d := p.Masked().Addr().As4()
		b = append(b, d[:(p.Bits()+7)/8]...)
		b = append(b, a.AsSlice()...)
	}
	if len(b) == 0 {
		return nil, fmt.Errorf("data must be %s", optRoutes)
	}
	return b, nil
}

// appendName encodes a domain name without compression (RFC 1035 §3.1). The
// name ends in the root with or without a final dot.
func appendName(b []byte, name string) ([]byte, error) {
	labels, err := splitName(name)
	if err != nil {
		return nil, err
	}
	for _, l := range labels {
		b = append(b, byte(len(l)))
		b = append(b, l...)
	}
	return append(b, 0), nil
}

func splitName(name string) ([]string, error) {
	n := strings.TrimSuffix(name, ".")
	if n == "" {
		if name == "." {
			return nil, nil
		}
		return nil, errors.New("expected a domain name, not an empty one")
	}
	if len(n) > 253 {
		return nil, fmt.Errorf("a domain name has at most 253 bytes, not %d", len(n))
	}
	labels := strings.Split(n, ".")
	for _, l := range labels {
		if l == "" {
			return nil, fmt.Errorf("expected a domain name, not %q: a label is empty", clip(name))
		}
		if len(l) > 63 {
			return nil, fmt.Errorf("a label of a domain name has at most 63 bytes: %q", clip(l))
		}
		for i := 0; i < len(l); i++ {
			if l[i] <= ' ' || l[i] >= 0x7f || l[i] == '\\' {
				return nil, fmt.Errorf("expected a domain name, not %q", clip(name))
			}
		}
	}
	return labels, nil
}

// encodeSearchList encodes domain-search with the compression of RFC 3397 §2:
// pointers count from the first byte of the option's data.
func encodeSearchList(names []string) ([]byte, error) {
	b := []byte{}
	at := map[string]int{} // lower-case suffix to its offset
	for _, name := range names {
		labels, err := splitName(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		done := false
		for i := range labels {
			suffix := strings.ToLower(strings.Join(labels[i:], "."))
			if off, ok := at[suffix]; ok {
				b = append(b, 0xC0|byte(off>>8), byte(off))
				done = true
				break
			}
			if len(b) < 0x4000 {
				at[suffix] = len(b)
			}
			b = append(b, byte(len(labels[i])))
			b = append(b, labels[i]...)
		}
		if !done {
			b = append(b, 0)
		}
	}
	return b, nil
}
