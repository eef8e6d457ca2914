package config

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
	names := map[optType]string{
		optEmpty: "empty", optBinary: "binary", optBool: "boolean", optInt8: "int8", optInt16: "int16", optInt32: "int32",
		optUint8: "uint8", optUint16: "uint16", optUint32: "uint32", optIPv4: "ipv4-address", optIPv6: "ipv6-address",
		optPrefix: "ipv6-prefix", optPSID: "psid", optString: "string", optTuple: "tuple", optFQDN: "fqdn", optInternal: "internal",
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
	for space, defs := range builtinOptions6 {
		for _, d := range defs {
			var fields []string
			for _, x := range d.fields {
				fields = append(fields, names[x])
			}
			into := d.encapsulates
			if into == "" {
				into = "-"
			}
			got := fmt.Sprintln(space, d.code, d.name, strings.Join(fields, ","), d.array, into)
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
