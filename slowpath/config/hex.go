package config

import (
	"errors"
	"fmt"
	"strings"
)

// quoted returns the bytes of a text in single quotes, 'like this', without blanks
// at its ends.
func quoted(s string) ([]byte, bool) {
	t := strings.TrimSpace(s)
	if len(t) > 2 && t[0] == '\'' && t[len(t)-1] == '\'' {
		if t = strings.TrimSpace(t[1 : len(t)-1]); t != "" {
			return []byte(t), true
		}
	}
	return nil, false
}

// parseHex reads the forms of V4-091: "C0 00 03 01", "ab:cd", "0xabcd", "abcd".
// Between separators an octet may have one digit; without, an odd number of
// digits is read as if a 0 stood before.
func parseHex(s string) ([]byte, error) {
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
			return nil, fmt.Errorf("has %q where an octet of one or two hexadecimal digits is expected", clip(p))
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
	half, n := 0, len(h)%2
	for i := 0; i < len(h); i++ {
		d := unhex(h[i])
		if d < 0 {
			return nil, fmt.Errorf("has %q, which is no hexadecimal digit", h[i])
		}
		half = half<<4 | d
		if n++; n%2 == 0 {
			out = append(out, byte(half))
			half = 0
		}
	}
	return out, nil
}

// ParseIdentifier reads an identifier as a reservation has it: hexadecimal digits,
// or text in single quotes (V4-120). Nothing is an identifier of no octets.
func ParseIdentifier(s string) ([]byte, error) { return parseIdentifier(s) }

// parseIdentifier reads the identifier of a reservation: hexadecimal digits, or
// text in single quotes (V4-120).
func parseIdentifier(s string) ([]byte, error) {
	if b, ok := quoted(s); ok {
		return b, nil
	}
	b, err := parseHex(strings.TrimSpace(s))
	if err != nil {
		return nil, fmt.Errorf("must be hexadecimal digits, as \"1a:1b:1c:1d:1e:1f\", or text in single quotes: %q %w", clip(s), err)
	}
	return b, nil
}
