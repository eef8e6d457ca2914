package leasefile

import (
	"errors"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// parseIPv4 reads a dotted quad without leading zeros; 0.0.0.0 is none.
func parseIPv4(b []byte) (addr uint32, ok bool) {
	i := 0
	for part := range 4 {
		if part > 0 {
			if i == len(b) || b[i] != '.' {
				return 0, false
			}
			i++
		}
		v, start := uint32(0), i
		for ; i < len(b) && b[i] >= '0' && b[i] <= '9' && i < start+3; i++ {
			v = v*10 + uint32(b[i]-'0')
		}
		if i == start || v > 255 || b[start] == '0' && i > start+1 {
			return 0, false
		}
		addr = addr<<8 | v
	}
	return addr, i == len(b) && addr != 0
}

func parseUint(b []byte, most uint64) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || d > most || v > (most-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, true
}

func parseBool(b []byte) (v, ok bool) {
	if len(b) != 1 || b[0] != '0' && b[0] != '1' {
		return false, false
	}
	return b[0] == '1', true
}

var (
	errHexDigit     = errors.New("not a hexadecimal digit")
	errHexEmpty     = errors.New("nothing between two separators")
	errHexSeparator = errors.New("more than two digits without separator")
	errHexLong      = errors.New("too many octets")
	errIDShort      = errors.New("fewer than two octets")
)

// parseColonHex appends octets of one or two hexadecimal digits each, with sep
// between them, at most so many. Nothing is no octet.
func parseColonHex(dst, b []byte, sep byte, most int) ([]byte, error) {
	for i := 0; i < len(b); {
		hi := hexValue(b[i])
		switch {
		case b[i] == sep:
			return nil, errHexEmpty
		case hi > 15:
			return nil, errHexDigit
		case len(dst) == most:
			return nil, errHexLong
		}
		if i++; i < len(b) && b[i] != sep {
			lo := hexValue(b[i])
			if lo > 15 {
				return nil, errHexDigit
			}
			hi = hi<<4 | lo
			i++
		}
		dst = append(dst, hi)
		if i < len(b) {
			if b[i] != sep {
				return nil, errHexSeparator
			}
			if i++; i == len(b) {
				return nil, errHexEmpty
			}
		}
	}
	return dst, nil
}

// parseClientID reads Kea's forms: octets with colons or spaces between, or
// digits alone, with or without 0x, of which an odd first one is an octet.
func parseClientID(dst, b []byte) ([]byte, error) {
	sep := byte(0)
	for _, c := range b {
		if c == ':' || c == ' ' && sep == 0 {
			sep = c
		}
		if c == ':' {
			break
		}
	}
	var err error
	if sep != 0 {
		if dst, err = parseColonHex(dst, b, sep, lease.MaxClientIDLen); err != nil {
			return nil, err
		}
	} else {
		if len(b) > 2 && b[0] == '0' && b[1] == 'x' {
			b = b[2:]
		}
		octet, half := byte(0), len(b)%2 != 0
		for _, c := range b {
			v := hexValue(c)
			if v > 15 {
				return nil, errHexDigit
			}
			if octet = octet<<4 | v; half {
				if len(dst) == lease.MaxClientIDLen {
					return nil, errHexLong
				}
				dst = append(dst, octet)
			}
			half = !half
		}
	}
	if len(dst) < minClientIDLen {
		return nil, errIDShort
	}
	return dst, nil
}
