package arguments

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestKinds(t *testing.T) {
	for v, want := range map[string]string{
		`{}`: "map", ` [1]`: "list", `"x"`: "string", `true`: "boolean", `false`: "boolean", `null`: "null",
		`-1`: "integer", `1.0`: "real", `1e3`: "real", ``: "", "  ": "",
	} {
		if got := Kind(json.RawMessage(v)); got != want {
			t.Errorf("Kind(%q) = %q, want %q", v, got, want)
		}
	}
}

func TestTypedMembers(t *testing.T) {
	m := Parse(json.RawMessage(`{"s":"x","n":7,"big":4294967296,"huge":123456789012345678901234567890,"b":true,"r":1.5,"nil":null,"a":"192.0.2.1","bad":"192.0.2.300"}`))
	if !m.Given() || !m.IsMap() || m.Len() != 9 {
		t.Fatalf("%+v", m)
	}
	for _, tc := range []struct {
		what string
		f    func() error
		want string
	}{
		{"string", func() error { _, err := m.String("s"); return err }, ""},
		{"missing string", func() error { _, err := m.String("x"); return err }, "missing parameter 'x'"},
		{"no string", func() error { _, err := m.String("n"); return err }, "invalid type specified for parameter 'n'"},
		{"integer", func() error { n, err := m.Uint32("n", 0); mustBe(t, n, 7); return err }, ""},
		{"absent integer", func() error { n, err := m.Uint32("x", 3); mustBe(t, n, 3); return err }, ""},
		{"real", func() error { _, err := m.Uint32("r", 0); return err }, "invalid type specified for parameter 'r'"},
		{"null", func() error { _, err := m.Uint32("nil", 0); return err }, "invalid type specified for parameter 'nil'"},
		{"too big", func() error { _, err := m.Uint32("big", 0); return err }, "out of range value (4294967296) specified for parameter 'big'"},
		{"beyond 64 bits", func() error { _, err := m.Uint32("huge", 0); return err }, "out of range value (123456789012345678901234567890) specified for parameter 'huge'"},
		{"bool", func() error { b, err := m.Bool("b", false); mustBe(t, b, true); return err }, ""},
		{"no bool", func() error { _, err := m.Bool("n", false); return err }, "invalid type specified for parameter 'n'"},
		{"address", func() error { a, err := m.Addr("a"); mustBe(t, a.String(), "192.0.2.1"); return err }, ""},
		{"no address", func() error { _, err := m.Addr("bad"); return err },
			"Failed to convert '192.0.2.300' to address: Failed to convert string to address '192.0.2.300': Invalid argument"},
	} {
		err := tc.f()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || err.Error() != tc.want) {
			t.Errorf("%s: got %v, want %q", tc.what, err, tc.want)
		}
	}
	if m := Parse(nil); m.Given() || m.IsMap() || m.Has("x") {
		t.Error("no arguments are a map")
	}
	if m := Parse(json.RawMessage(`[1]`)); !m.Given() || m.IsMap() || m.Kind() != "list" {
		t.Error("a list is a map")
	}
}

func mustBe[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestIdentifiers(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []byte
		err  string
	}{
		{"01:2:ab", []byte{1, 2, 0xAB}, ""},
		{"01 02", []byte{1, 2}, ""},
		{"0x0102", []byte{1, 2}, ""},
		{"102", []byte{1, 2}, ""},
		{"", nil, "identifier is too short (0), at least 2 is required"},
		{"11", nil, "identifier is too short (1), at least 2 is required"},
		{strings.Repeat("ab", 256), nil, "identifier is too large (256), at most 255 is required"},
		{"01::02", nil, "two consecutive separators (':') specified in a decoded string '01::02'"},
		{"01:xx", nil, "'x' is not a valid hexadecimal digit in decoded string '01:xx'"},
		{"01:022", nil, "invalid format of the decoded string '01:022'"},
		{"xx", nil, "'xx' is not a valid string of hexadecimal digits"},
		{"+1", nil, "'+1' is not a valid string of hexadecimal digits"},
	} {
		got, err := Identifier(tc.text, 2, 255)
		if tc.err == "" && (err != nil || !bytes.Equal(got, tc.want)) || tc.err != "" && (err == nil || err.Error() != tc.err) {
			t.Errorf("%q: got %x, %v", tc.text, got, err)
		}
	}
	if _, err := HWAddr(strings.Repeat("01:", 20) + "01"); err == nil {
		t.Error("a hardware address of 21 octets was taken")
	}
	if b, err := HWAddr("ff:01:2:03:ff:04"); err != nil || ColonHex(b) != "ff:01:02:03:ff:04" {
		t.Errorf("%x %v", b, err)
	}
	if _, err := HWAddr("aabbccddeeff"); err == nil {
		t.Error("a hardware address without colons was taken")
	}
}

func FuzzIdentifier(f *testing.F) {
	for _, s := range []string{"", "01:02", "0x", "0x1", "zz", ":", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := Identifier(s, 0, 1<<20)
		if err == nil {
			if again, err := Identifier(ColonHex(b), 0, 1<<20); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%q gives %x, written and read again %x, %v", s, b, again, err)
			}
		}
	})
}
