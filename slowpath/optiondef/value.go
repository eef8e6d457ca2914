package optiondef

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// Encode turns the data of an option-data entry into the option's wire form:
// text by its definition, or if csv is not set octets (csv-format), for which o may
// be nil. note is worth a warning: what Kea takes and does not send.
func Encode(o *Def, csv bool, text string) (b []byte, note string, err error) {
	if !csv {
		b, isText := Quoted(text)
		if !isText && text != "" {
			if b, err = ParseHex(text); err != nil {
				return nil, "", fmt.Errorf("data must be hexadecimal digits, as \"c0:00:02:01\", or text in single quotes: it %w", err)
			}
		}
		if o == nil {
			return b, "", nil
		}
		n := len(b)
		if b, err = o.Trim(b); err == nil && len(b) < n && o.Fields[0] != String {
			note = fmt.Sprintf("only the first %d of %d bytes are sent: its definition has no more", len(b), n)
		}
		return b, note, err
	}
	b, surplus, err := o.encode(text)
	if surplus != "" {
		note = fmt.Sprintf(`what follows the comma (%q) is not sent; a comma inside a value is written \\,`, keajson.Clip(surplus))
	}
	if err == nil {
		b, err = o.Trim(b)
	}
	return b, note, err
}

// encode turns the text of an entry into its wire form. surplus is text that is
// not part of it: a scalar takes the first value only, as in Kea.
func (o *Def) encode(text string) (b []byte, surplus string, err error) {
	switch {
	case o.is(121):
		b, err = encodeRoutes(text)
		return b, "", err
	case o.is(162):
		b, err = encodeDNR(text)
		return b, "", err
	case o.is6(DNR6):
		b, err = encodeDNRInstance(text, true)
		return b, "", err
	case o.Fields[0] == Empty:
		if strings.TrimSpace(text) != "" {
			return nil, "", errors.New(`takes no data as text; give it in hexadecimal with "csv-format" false`)
		}
		return []byte{}, "", nil
	case o.Fields[0] == Internal:
		return []byte(text), "", nil // without a format of its own, as Kea
	}
	vals := splitEscaped(text, ',')
	if o.is(119) {
		b, err = encodeSearchList(vals)
		return b, "", err
	}
	if len(vals) < len(o.Fields) && !(o.Array && len(o.Fields) == 1) {
		if len(o.Fields) == 1 {
			return nil, "", fmt.Errorf("data must be %s", expected(o.Fields[0]))
		}
		return nil, "", fmt.Errorf("data must have %d values separated by commas, not %d", len(o.Fields), len(vals))
	}
	b = []byte{}
	for i, v := range vals {
		f := o.Fields[min(i, len(o.Fields)-1)]
		if i >= len(o.Fields) && !o.Array {
			return b, strings.Join(vals[i:], ","), nil
		}
		if b, err = o.append(b, f, strings.TrimSpace(v)); err != nil {
			return nil, "", err
		}
	}
	return b, "", nil
}

// is reports whether o is the built-in option of that code in space dhcp4.
func (o *Def) is(code uint16) bool {
	return o.Code == code && o.Space == SpaceDHCP4 && o.Src == nil
}

// splitEscaped splits at sep; \sep is a separator inside a value, and two
// backslashes are one. Empty values vanish, as in Kea (V4-092).
func splitEscaped(s string, sep byte) []string {
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
		case c == sep:
			flush()
		case c == '\\' && i+1 < len(s) && (s[i+1] == sep || s[i+1] == '\\'):
			i++
			cur = append(cur, s[i])
		default:
			cur = append(cur, c)
		}
	}
	flush()
	return out
}

// expected names the type as an error message expects it.
func expected(t Type) string {
	switch t {
	case Binary:
		return "hexadecimal digits"
	case Bool:
		return "true, false, 1 or 0"
	case Int8:
		return "a number from -128 to 127"
	case Int16:
		return "a number from -32768 to 32767"
	case Int32:
		return "a number from -2147483648 to 2147483647"
	case Uint8:
		return "a number from 0 to 255"
	case Uint16:
		return "a number from 0 to 65535"
	case Uint32:
		return "a number from 0 to 4294967295"
	case IPv4:
		return "an IPv4 address"
	case IPv6:
		return "an IPv6 address"
	case Prefix:
		return "an IPv6 prefix as 2001:db8::/32"
	case PSID:
		return "a port set as PSID/LENGTH"
	case String, Tuple:
		return "text"
	case FQDN:
		return "a domain name"
	}
	return "data"
}

// append encodes one value.
func (o *Def) append(b []byte, t Type, v string) ([]byte, error) {
	bad := func() ([]byte, error) { return nil, fmt.Errorf("expected %s, not %q", expected(t), keajson.Clip(v)) }
	switch t {
	case String:
		if v == "" {
			return nil, errors.New("expected text, not an empty value")
		}
		return append(b, v...), nil
	case Binary:
		h := StripBlanks(v) // white space between digits means nothing to Kea
		x, err := decodeHex(h)
		if err != nil || len(h)%2 != 0 || h == "" {
			return bad()
		}
		return append(b, x...), nil
	case Bool:
		switch i, err := strconv.ParseInt(v, 10, 32); {
		case strings.EqualFold(v, "true") || err == nil && i == 1:
			return append(b, 1), nil
		case strings.EqualFold(v, "false") || err == nil && i == 0:
			return append(b, 0), nil
		}
		return bad()
	case Int8, Int16, Int32, Uint8, Uint16, Uint32:
		i, err := parseInt(v)
		if err != nil || !inRange(t, i) {
			return bad()
		}
		for n := fixed(t) - 1; n >= 0; n-- {
			b = append(b, byte(i>>(8*n)))
		}
		return b, nil
	case IPv4:
		a, err := netip.ParseAddr(v)
		if err != nil || !a.Is4() {
			return bad()
		}
		return append(b, a.AsSlice()...), nil
	case IPv6:
		a, err := netip.ParseAddr(v)
		if err != nil || !a.Is6() || a.Zone() != "" {
			return bad()
		}
		return append(b, a.AsSlice()...), nil
	case Prefix:
		p, err := netip.ParsePrefix(StripBlanks(v))
		if err != nil || !p.Addr().Is6() {
			return bad()
		}
		a := p.Masked().Addr().As16()
		return append(append(b, byte(p.Bits())), a[:(p.Bits()+7)/8]...), nil
	case PSID:
		return appendPSID(b, v)
	case Tuple:
		if o.V6 || o.is(143) { // lengths of 16 bits (RFC 8415 §21.16, RFC 8572 §8.1)
			if len(v) > 65535 {
				return bad()
			}
			b = append(b, byte(len(v)>>8))
		} else if len(v) > 255 {
			return nil, fmt.Errorf("expected text of at most 255 bytes, not %d", len(v))
		}
		return append(append(b, byte(len(v))), v...), nil
	case FQDN:
		return appendName(b, v)
	}
	return bad()
}

func inRange(t Type, i int64) bool {
	switch t {
	case Int8:
		return i == int64(int8(i))
	case Int16:
		return i == int64(int16(i))
	case Int32:
		return i == int64(int32(i))
	case Uint8:
		return i == int64(uint8(i))
	case Uint16:
		return i == int64(uint16(i))
	}
	return i == int64(uint32(i))
}

// parseInt reads a decimal number, or what is none as a hexadecimal one, with or
// without 0x, as Kea does.
func parseInt(s string) (int64, error) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, nil
	}
	h := strings.ToLower(s)
	if t, ok := strings.CutPrefix(h, "0x"); ok {
		h = t
	}
	u, err := strconv.ParseUint(h, 16, 63)
	return int64(u), err
}

// appendPSID encodes PSID/LENGTH: the length, then 16 bits with the PSID in the
// uppermost (RFC 7618 §5). A PSID of no bits is 0 whatever is written.
func appendPSID(b []byte, v string) ([]byte, error) {
	v = StripBlanks(v)
	ps, ls, ok := strings.Cut(v, "/")
	psid, err1 := parseInt(ps)
	length, err2 := parseInt(ls)
	if !ok || err1 != nil || err2 != nil || psid < 0 || psid > 65535 || length < 0 || length > 16 || length > 0 && psid >= 1<<length {
		return nil, fmt.Errorf("expected %s with a PSID that fits in LENGTH (0 to 16) bits, not %q", expected(PSID), keajson.Clip(v))
	}
	p := uint16(psid << (16 - length))
	return append(b, byte(length), byte(p>>8), byte(p)), nil
}

const routesExpected = "routes as \"10.0.0.0/8 - 192.0.2.1, 0.0.0.0/0 - 192.0.2.2\""

// encodeRoutes encodes "10.0.0.0/8 - 192.0.2.1, ..." (RFC 3442): of each
// destination only the significant octets. Bits behind the prefix stay as they
// are written, as in Kea.
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
			return nil, fmt.Errorf("expected %s, not %q", routesExpected, keajson.Clip(strings.TrimSpace(r)))
		}
		b = append(b, byte(p.Bits()))
		d := p.Addr().As4()
		b = append(b, d[:(p.Bits()+7)/8]...)
		b = append(b, a.AsSlice()...)
	}
	if len(b) == 0 {
		return nil, fmt.Errorf("data must be %s", routesExpected)
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
			return nil, fmt.Errorf("expected a domain name, not %q: a label is empty", keajson.Clip(name))
		}
		if len(l) > 63 {
			return nil, fmt.Errorf("a label of a domain name has at most 63 bytes: %q", keajson.Clip(l))
		}
		for i := 0; i < len(l); i++ {
			if l[i] <= ' ' || l[i] >= 0x7f || l[i] == '\\' {
				return nil, fmt.Errorf("expected a domain name, not %q", keajson.Clip(name))
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
