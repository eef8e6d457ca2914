package optiondef

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// Quoted returns the bytes of a text in single quotes, 'like this', without blanks
// at its ends.
func Quoted(s string) ([]byte, bool) {
	t := strings.TrimSpace(s)
	if len(t) > 2 && t[0] == '\'' && t[len(t)-1] == '\'' {
		if t = strings.TrimSpace(t[1 : len(t)-1]); t != "" {
			return []byte(t), true
		}
	}
	return nil, false
}

// ParseHex reads the forms of V4-091: "C0 00 03 01", "ab:cd", "0xabcd", "abcd".
// Between separators an octet may have one digit; without, an odd number of
// digits is read as if a 0 stood before.
func ParseHex(s string) ([]byte, error) {
	sep := ""
	switch {
	case strings.Contains(s, ":"):
		sep = ":"
	case strings.Contains(s, " "):
		sep = " "
	}
	if sep == "" {
		h := s
		if len(h) > 2 {
			h = strings.TrimPrefix(h, "0x")
		}
		return decodeHex(h)
	}
	parts := strings.Split(s, sep)
	out := make([]byte, 0, len(parts))
	for _, p := range parts {
		switch {
		case p == "":
			return nil, errors.New("has an empty octet: two separators stand together, or one at an end")
		case len(p) > 2:
			return nil, fmt.Errorf("has %q where an octet of one or two hexadecimal digits is expected", keajson.Clip(p))
		}
		b, err := decodeHex(p)
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}

func decodeHex(h string) ([]byte, error) {
	out := make([]byte, 0, len(h)/2+1)
	half, n := byte(0), len(h)%2
	for i := 0; i < len(h); i++ {
		d, err := strconv.ParseUint(h[i:i+1], 16, 4)
		if err != nil {
			return nil, fmt.Errorf("has %q, which is no hexadecimal digit", h[i])
		}
		half = half<<4 | byte(d)
		if n++; n%2 == 0 {
			out = append(out, half)
			half = 0
		}
	}
	return out, nil
}

// StripBlanks removes all spaces and tabs, as Kea does in prefixes and pools.
func StripBlanks(s string) string {
	if !strings.ContainsAny(s, " \t") {
		return strings.Clone(s)
	}
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, s)
}
