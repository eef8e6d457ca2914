package config

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
	var defs []*optDef
	for _, s := range standardDefs {
		for _, d := range s.byCode {
			if !d.v6 {
				defs = append(defs, d)
			}
		}
	}
	for _, t := range []optType{optPrefix, optPSID, optTuple, optFQDN, optBool, optInt16, optIPv6, optBinary, optString} {
		defs = append(defs, &optDef{code: 230, name: "one", space: "x", fields: []optType{t}})
		if t != optBinary && t != optString {
			defs = append(defs, &optDef{code: 230, name: "array", space: "x", fields: []optType{t}, array: true},
				&optDef{code: 230, name: "record", space: "x", fields: []optType{optUint8, t}, array: true})
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			return
		}
		for _, d := range defs {
			check := func(b []byte, how string) {
				again, err := d.trim(b)
				if err != nil || !bytes.Equal(again, b) {
					t.Errorf("%s: %s %q became %x, and that %x (%v)", d, how, text, b, again, err)
				}
			}
			if b, err := d.trim([]byte(text)); err == nil {
				check(b, "octets")
			}
			if b, _, err := encodeOption(optionRef{space: d.space, code: d.code, def: d, csv: true}, text); err == nil {
				check(b, "text")
			}
		}
		splitSubOptions([]byte(text), true, true)
		splitSubOptions([]byte(text), false, false)
	})
}
