package optiondef

import (
	"bytes"
	"errors"
	"fmt"
)

const VIVCO = 124 // RFC 3925 §3

// fixed is the length of a type in bytes, 0 where it varies.
func fixed(t Type) int {
	switch t {
	case Bool, Int8, Uint8:
		return 1
	case Int16, Uint16:
		return 2
	case Int32, Uint32, IPv4:
		return 4
	case PSID:
		return 3
	case IPv6:
		return 16
	}
	return 0
}

// Trim holds wire-form data against the definition and returns what of it is
// sent: as in Kea what is behind the fields is not, unless sub-options may stand
// there.
func (o *Def) Trim(b []byte) ([]byte, error) {
	switch {
	case o.is(121):
		return b, checkRoutes(b)
	case o.is(162):
		return b, checkDNR(b)
	case o.is(VIVCO):
		return b, checkVendorClass(b)
	case o.is6(DNR6):
		return b, checkDNR6(b)
	case o.is6(VendorClass6):
		return b, checkVendorClass6(b)
	case !o.V6 && o.Array && len(o.Fields) == 1 && o.Fields[0] == FQDN:
		return o.names(b)
	}
	n, err := o.FieldsLen(b)
	if err != nil {
		return nil, err
	}
	if o.Encapsulates != "" {
		return b, nil
	}
	return b[:n], nil
}

// FieldsLen is how many octets of b the fields take.
func (o *Def) FieldsLen(b []byte) (int, error) {
	n := 0
	for i, f := range o.Fields {
		if o.Array && len(o.Fields) == 1 {
			break
		}
		l, err := o.fieldLen(f, b[n:])
		if err != nil {
			if fixed(f) > 0 && len(o.Fields) == 1 {
				err = fmt.Errorf("data has a length of %d, expected %d", len(b), fixed(f))
			}
			return 0, err
		}
		if n += l; i == len(o.Fields)-1 && !o.Array {
			return n, nil
		}
	}
	f := o.Fields[len(o.Fields)-1]
	record := len(o.Fields) > 1
	switch f {
	case Int8, Int16, Int32, Uint8, Uint16, Uint32, IPv4, IPv6:
		// An array of its own may have no rest, that of a record may.
		size := fixed(f)
		if !record && (len(b)%size != 0 || len(b) == 0 && f != IPv4 && f != IPv6) {
			return 0, fmt.Errorf("data has a length of %d, expected a multiple of %d", len(b), size)
		}
		if record && (len(b)-n)%size != 0 {
			return 0, fmt.Errorf("data has a length of %d, expected a multiple of %d and %d before", len(b), size, n-size)
		}
		return len(b), nil
	}
	for n < len(b) {
		l, err := o.fieldLen(f, b[n:])
		if err != nil {
			return 0, err
		}
		n += l
	}
	return n, nil
}

var errTruncated = errors.New("data ends inside a value")

// fieldLen is how many octets the value of type t at the beginning of b takes.
func (o *Def) fieldLen(t Type, b []byte) (int, error) {
	n := fixed(t)
	switch t {
	case Empty:
		return 0, nil
	case String:
		b = bytes.TrimRight(b, "\x00") // V4-117
		if len(b) == 0 && len(o.Fields) == 1 {
			return 0, errors.New("expected text, not an empty value")
		}
		return len(b), nil
	case Binary, Internal:
		return len(b), nil
	case PSID:
		if len(b) > 0 && b[0] > 16 {
			return 0, fmt.Errorf("the length of a port set has 0 to 16 bits, not %d", b[0])
		}
	case Prefix:
		if len(b) == 0 {
			return 0, errTruncated
		}
		if b[0] > 128 {
			return 0, fmt.Errorf("the length of an IPv6 prefix is at most 128, not %d", b[0])
		}
		n = 1 + (int(b[0])+7)/8
	case Tuple:
		head := 1
		if o.V6 || o.is(143) {
			head = 2
		}
		if len(b) < head {
			return 0, errTruncated
		}
		n = head + int(b[head-1])
		if head == 2 {
			n += int(b[0]) << 8
		}
	case FQDN:
		return nameLen(b)
	}
	if len(b) < n {
		return 0, errTruncated
	}
	return n, nil
}

// names writes a list of domain names, perhaps compressed, anew.
func (o *Def) names(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errors.New("expected a domain name, not nothing")
	}
	var list []string
	for at := 0; at < len(b); {
		name, next, err := readName(b, at)
		if err != nil {
			return nil, err
		}
		list, at = append(list, name), next
	}
	if o.is(119) {
		return encodeSearchList(list)
	}
	out := []byte{}
	var err error
	for _, n := range list {
		if out, err = appendName(out, n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readName reads the domain name at b[at:] and where it ends. Pointers count from
// the beginning of b and lead back only, so that there is an end.
func readName(b []byte, at int) (name string, next int, err error) {
	var s []byte
	for limit := at; ; {
		if at >= len(b) {
			return "", 0, errors.New("data ends inside a domain name")
		}
		l := int(b[at])
		switch {
		case l == 0:
			if next == 0 {
				next = at + 1
			}
			if len(s) > 254 {
				return "", 0, errors.New("a domain name has at most 255 bytes")
			}
			return string(s) + b2s(len(s) == 0, "."), next, nil
		case l >= 0xC0:
			if at+1 >= len(b) {
				return "", 0, errors.New("data ends inside a domain name")
			}
			to := (l&0x3F)<<8 | int(b[at+1])
			if to >= limit {
				return "", 0, fmt.Errorf("a compressed name points to offset %d, which is not before it", to)
			}
			if next == 0 {
				next = at + 2
			}
			at, limit = to, to
		case l > 63:
			return "", 0, errors.New("a label of a domain name has at most 63 bytes")
		case at+1+l > len(b):
			return "", 0, errors.New("data ends inside a domain name")
		default:
			s = append(append(s, b[at+1:at+1+l]...), '.')
			at += 1 + l
		}
		if len(s) > 254 {
			return "", 0, errors.New("a domain name has at most 255 bytes")
		}
	}
}

func b2s(b bool, s string) string {
	if b {
		return s
	}
	return ""
}

// nameLen is the length of the uncompressed domain name at the beginning of b.
func nameLen(b []byte) (int, error) {
	for i := 0; i < len(b); {
		l := int(b[i])
		switch i += 1 + l; {
		case l > 63:
			return 0, errors.New("a label of a domain name has at most 63 bytes")
		case i > 255:
			return 0, errors.New("a domain name has at most 255 bytes")
		case l == 0:
			return i, nil
		}
	}
	return 0, errors.New("data ends inside a domain name")
}

// checkRoutes holds the wire form of option 121 against RFC 3442.
func checkRoutes(b []byte) error {
	if len(b) == 0 {
		return errors.New("data must have at least one route")
	}
	for len(b) > 0 {
		if b[0] > 32 {
			return fmt.Errorf("the width of a destination is at most 32 bits, not %d", b[0])
		}
		n := 1 + (int(b[0])+7)/8 + 4
		if len(b) < n {
			return errors.New("data ends inside a route")
		}
		b = b[n:]
	}
	return nil
}

// checkVendorClass holds option 124 against RFC 3925 §3. As in Kea one entry is of
// one vendor; several vendors have an entry each.
func checkVendorClass(b []byte) error {
	if len(b) < 5 {
		return fmt.Errorf("data has a length of %d, expected an enterprise number of 4 and a length of 1 at least", len(b))
	}
	id := b[:4]
	for len(b) > 0 {
		switch {
		case len(b) < 5 || len(b) < 5+int(b[4]):
			return errors.New("data ends inside a vendor class: an enterprise number, a length and as many bytes are expected")
		case !bytes.Equal(b[:4], id):
			return errors.New("data is of two enterprise numbers: give an entry for each")
		}
		b = b[5+int(b[4]):]
	}
	return nil
}
