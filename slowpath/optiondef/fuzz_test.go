package optiondef

import (
	"bytes"
	"testing"
)

// FuzzOptionData: whatever stands in "data", for every definition, as text and as
// octets. What is taken must be taken again as octets, unchanged.
func FuzzOptionData(f *testing.F) {
	for _, s := range []string{"", "1", "10.0.0.1, 10.0.0.2", "a.example., b", "1, 2, 3, x.", "10.0.0.0/8 - 192.0.2.1", "2, a., 10.0.0.1, alpn=dot\\,doq port=1 | 3, b.", "3/4", "2001:db8::/33",
		"\x01a\xc0\x00", "\x00\x06\x00\x02\x03\x01a\x00", "\x00\x00\x11\x8b\x01a", "\\,\\\\", "0x0102", "\x00\x03abc"} {
		f.Add(s)
	}
	var defs []*Def
	for _, s := range Standard {
		for _, d := range s.byCode {
			if !d.V6 {
				defs = append(defs, d)
			}
		}
	}
	for _, t := range []Type{Prefix, PSID, Tuple, FQDN, Bool, Int16, IPv6, Binary, String} {
		defs = append(defs, &Def{Code: 230, Name: "one", Space: "x", Fields: []Type{t}})
		if t != Binary && t != String {
			defs = append(defs, &Def{Code: 230, Name: "array", Space: "x", Fields: []Type{t}, Array: true},
				&Def{Code: 230, Name: "record", Space: "x", Fields: []Type{Uint8, t}, Array: true})
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			return
		}
		for _, d := range defs {
			check := func(b []byte, how string) {
				again, err := d.Trim(b)
				if err != nil || !bytes.Equal(again, b) {
					t.Errorf("%s: %s %q became %x, and that %x (%v)", d, how, text, b, again, err)
				}
			}
			if b, err := d.Trim([]byte(text)); err == nil {
				check(b, "octets")
			}
			if b, _, err := Encode(d, true, text); err == nil {
				check(b, "text")
			}
		}
	})
}
