// Package arguments reads the arguments of control commands for hook libraries:
// a JSON map whose members are asked for by name and type, with Kea's words for
// what is missing or wrong. Scripts and Forge look for those words.
package arguments

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// Map is the arguments of a command. The zero Map is none at all.
type Map struct {
	members map[string]json.RawMessage
	kind    string // Kea's name of the type given, "" if nothing was
}

// Parse reads args, which may be nil. What is no map is not an error yet:
// commands have their own words for that.
func Parse(args json.RawMessage) Map {
	m := Map{kind: Kind(args)}
	if m.kind == "map" && json.Unmarshal(args, &m.members) != nil {
		return Map{kind: "invalid"}
	}
	return m
}

// Strict reads text as JSON into into, and refuses members that it has not: a
// misspelt one would change what is meant.
func Strict(text json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// Given reports whether there are arguments of any type.
func (m Map) Given() bool { return m.kind != "" }

// IsMap reports whether the arguments are a map, perhaps an empty one.
func (m Map) IsMap() bool { return m.kind == "map" }

// Kind is Kea's name of the type of what was given.
func (m Map) Kind() string { return m.kind }

// Len is the number of members.
func (m Map) Len() int { return len(m.members) }

// Has reports whether there is a member of that name.
func (m Map) Has(name string) bool { return m.members[name] != nil }

// Raw is the member's JSON, nil if there is none.
func (m Map) Raw(name string) json.RawMessage { return m.members[name] }

// Each calls f for every member in no order.
func (m Map) Each(f func(name string, v json.RawMessage)) {
	for k, v := range m.members {
		f(k, v)
	}
}

// Kind is Kea's name for the type of a JSON value, "" for nothing. Numbers are
// integers unless they have a point or an exponent.
func Kind(v json.RawMessage) string {
	v = bytes.TrimSpace(v)
	if len(v) == 0 {
		return ""
	}
	switch v[0] {
	case '{':
		return "map"
	case '[':
		return "list"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	if bytes.ContainsAny(v, ".eE") {
		return "real"
	}
	return "integer"
}

// StringOf is the text of a JSON string; ok is false for another type.
func StringOf(v json.RawMessage) (s string, ok bool) {
	if Kind(v) != "string" {
		return "", false
	}
	return s, json.Unmarshal(v, &s) == nil
}

// IntegerOf is a JSON integer, limited to 64 bits; ok is false for another type.
func IntegerOf(v json.RawMessage) (n int64, ok bool) {
	if Kind(v) != "integer" {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}

// BoolOf is a JSON boolean; ok is false for another type.
func BoolOf(v json.RawMessage) (b, ok bool) {
	if Kind(v) != "boolean" {
		return false, false
	}
	return b, json.Unmarshal(v, &b) == nil
}

// ListOf is the elements of a JSON list; ok is false for another type.
func ListOf(v json.RawMessage) (l []json.RawMessage, ok bool) {
	if Kind(v) != "list" {
		return nil, false
	}
	return l, json.Unmarshal(v, &l) == nil
}

func missing(name string) error { return fmt.Errorf("missing parameter '%s'", name) }

func badType(name string) error { return fmt.Errorf("invalid type specified for parameter '%s'", name) }

// String is a mandatory string.
func (m Map) String(name string) (string, error) {
	v := m.members[name]
	if v == nil {
		return "", missing(name)
	}
	s, ok := StringOf(v)
	if !ok {
		return "", badType(name)
	}
	return s, nil
}

// Integer is a mandatory integer from min to max.
func (m Map) Integer(name string, min, max int64) (int64, error) {
	v := m.members[name]
	if v == nil {
		return 0, missing(name)
	}
	n, ok := IntegerOf(v)
	if !ok {
		return 0, badType(name)
	}
	if n < min || n > max {
		return 0, fmt.Errorf("out of range value (%s) specified for parameter '%s'", bytes.TrimSpace(v), name)
	}
	return n, nil
}

// Uint32 is an integer of 32 bits, def where it is absent.
func (m Map) Uint32(name string, def uint32) (uint32, error) {
	if !m.Has(name) {
		return def, nil
	}
	n, err := m.Integer(name, 0, math.MaxUint32)
	return uint32(n), err
}

// Bool is a boolean, def where it is absent.
func (m Map) Bool(name string, def bool) (bool, error) {
	v := m.members[name]
	if v == nil {
		return def, nil
	}
	b, ok := BoolOf(v)
	if !ok {
		return def, badType(name)
	}
	return b, nil
}

// ParseAddr is an IP address from text, with Kea's error.
func ParseAddr(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return a, fmt.Errorf("Failed to convert string to address '%s': Invalid argument", text)
	}
	return a, nil
}

// Addr is a mandatory IP address of either family.
func (m Map) Addr(name string) (netip.Addr, error) {
	s, err := m.String(name)
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("Failed to convert '%s' to address: %w", s, err)
	}
	return a, nil
}

// IPv4 turns an address into a number; a must be IPv4.
func IPv4(a netip.Addr) dhcp4.IPv4 { return dhcp4.AddrFromNetip(a) }

// maxHW is the longest hardware address that Kea takes.
const maxHW = 20

// HWAddr reads "01:02:03:04:05:06".
func HWAddr(text string) ([]byte, error) {
	b, err := separated(text, ":")
	if err == nil && len(b) > maxHW {
		err = errors.New("address vector size exceeds MAX_HWADDR_LEN")
	}
	return b, err
}

// Identifier reads a client identifier or DUID of min to max octets: hexadecimal
// with colons, with spaces, or without anything between.
func Identifier(text string, min, max int) ([]byte, error) {
	var b []byte
	var err error
	switch {
	case strings.Contains(text, ":"):
		b, err = separated(text, ":")
	case strings.Contains(text, " "):
		b, err = separated(text, " ")
	default:
		digits := strings.TrimPrefix(text, "0x")
		if len(digits)%2 != 0 {
			digits = "0" + digits
		}
		b = make([]byte, len(digits)/2)
		for i := range b {
			n, perr := strconv.ParseUint(digits[2*i:2*i+2], 16, 8)
			if perr != nil {
				return nil, fmt.Errorf("'%s' is not a valid string of hexadecimal digits", text)
			}
			b[i] = byte(n)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case len(b) < min:
		return nil, fmt.Errorf("identifier is too short (%d), at least %d is required", len(b), min)
	case len(b) > max:
		return nil, fmt.Errorf("identifier is too large (%d), at most %d is required", len(b), max)
	}
	return b, nil
}

func separated(text, sep string) ([]byte, error) {
	parts := strings.Split(text, sep)
	var b []byte
	for _, p := range parts {
		switch {
		case p == "" && len(parts) > 1:
			return nil, fmt.Errorf("two consecutive separators ('%s') specified in a decoded string '%s'", sep, text)
		case p == "":
			continue
		case len(p) > 2:
			return nil, fmt.Errorf("invalid format of the decoded string '%s'", text)
		}
		n := 0
		for i := range len(p) {
			d, err := strconv.ParseUint(p[i:i+1], 16, 8)
			if err != nil {
				return nil, fmt.Errorf("'%c' is not a valid hexadecimal digit in decoded string '%s'", p[i], text)
			}
			n = n<<4 | int(d)
		}
		b = append(b, byte(n))
	}
	return b, nil
}

// ColonHex writes octets as Kea does: "01:23:ab".
func ColonHex(b []byte) string { return net.HardwareAddr(b).String() }

// Compact is v as Kea prints an element in a text.
func Compact(v json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, v) != nil {
		return string(v)
	}
	return b.String()
}
