package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configurations are those of the other tests, whole and in parts.
func configurations(f *testing.F) {
	for _, dir := range []string{"testdata/good/*.json", "testdata/check/*", "../../docs/example.json"} {
		files, _ := filepath.Glob(dir)
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			for part := range strings.SplitSeq(string(b), "\n----") {
				f.Add([]byte(part))
				for _, v := range []string{"4", "6"} {
					if _, in, ok := strings.Cut(part, "\ndhcp"+v+"\n"); ok {
						f.Add([]byte(`{"Dhcp` + v + `":{` + in + `}}`))
					}
				}
				for cmd, v := range map[string]string{"subnet": "4", "subnet6": "6"} {
					if _, in, ok := strings.Cut(part, "\n"+cmd+"\n"); ok {
						f.Add([]byte(`{"Dhcp` + v + `":{"subnet` + v + `":[{` + in + `}]}}`))
					}
				}
				if _, in, ok := strings.Cut(part, "\ncheck\n"); ok {
					f.Add([]byte(in))
				}
			}
		}
	}
	for _, s := range []string{``, `{`, `[[[[`, `"\u`, `{"a":1,"a":2}`, "\ufeff{}", `<?include "x"?>`, `[1e5,.5,5.,-0,-.5e-7,00,1E+3]`, "[\"\\ud83d\\ude00\"]",
		"# a\n[/*b*/1//c\n,2/*d*/]#e", "\xff", "[\"\xff\"]", `[1,]`, `{"a":{"b":[]},}`} {
		f.Add([]byte(s))
	}
}

// FuzzConfig: no text crashes; what is accepted can be printed and means the
// same when it is read again.
func FuzzConfig(f *testing.F) {
	configurations(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		o := LoadOptions{ReadFile: memFiles(nil)}
		s, err := Parse("f", text, o)
		if err != nil {
			for _, x := range AsErrors(err).List {
				if x.Pos.Line < 1 || strings.Contains(x.Msg, "%!") {
					t.Fatalf("bad message %q", x)
				}
			}
			return
		}
		roundTrip(t, s, o)
	})
}

// FuzzSubOptions: no octets inside an option crash.
func FuzzSubOptions(f *testing.F) {
	for _, s := range []string{"", "\x01", "\x01\x01a\x01\x01b\xff", "\x00\x02\x00\x01a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for _, s := range splitSubOptions(b, true, true) {
			n += len(s.data)
		}
		for _, s := range splitSubOptions(b, false, false) {
			n += len(s.data)
		}
		for _, s := range splitSubOptions6(b) {
			n += len(s.data)
		}
		if n > 3*len(b) {
			t.Errorf("%d octets became %d", len(b), n)
		}
	})
}
