package optiondef

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The definitions of standard options are Kea's: name, code, type, fields and what
// they encapsulate.
func TestStandardOptions6(t *testing.T) {
	text, err := os.ReadFile("testdata/dhcp6-options.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := map[Type]string{
		Empty: "empty", Binary: "binary", Bool: "boolean", Int8: "int8", Int16: "int16", Int32: "int32",
		Uint8: "uint8", Uint16: "uint16", Uint32: "uint32", IPv4: "ipv4-address", IPv6: "ipv6-address",
		Prefix: "ipv6-prefix", PSID: "psid", String: "string", Tuple: "tuple", FQDN: "fqdn", Internal: "internal",
	}
	want := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[0] != "#" {
			fields := f[6]
			if fields == "-" {
				fields = f[3]
			}
			want[fmt.Sprintln(f[0], f[1], f[2], fields, f[4], f[5])] = true
		}
	}
	if len(want) != 100 {
		t.Errorf("the table has %d definitions", len(want))
	}
	for space, defs := range builtin6 {
		for _, d := range defs {
			var fields []string
			for _, x := range d.Fields {
				fields = append(fields, names[x])
			}
			into := d.Encapsulates
			if into == "" {
				into = "-"
			}
			got := fmt.Sprintln(space, d.Code, d.Name, strings.Join(fields, ","), d.Array, into)
			if !want[got] {
				t.Errorf("not Kea's: %s", got)
			}
			delete(want, got)
		}
	}
	for d := range want {
		t.Errorf("missing: %s", d)
	}
}
