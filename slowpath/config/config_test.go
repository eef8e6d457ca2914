package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestCheck runs testdata/check: texts and what is said about them. Commands:
//
//	file name=NAME   a file that later texts may include
//	check            the configuration kea.json: its errors, or ok and warnings
//	command          the same as the argument of config-set
//	dhcp4            the members of a Dhcp4 map, wrapped and checked
//	subnet           the members of a subnet, wrapped and checked
//	dhcp6, subnet6   the same for DHCPv6
//
// Run with -rewrite to regenerate, and read the difference.
func TestCheck(t *testing.T) {
	datadriven.Walk(t, "testdata/check", func(t *testing.T, path string) {
		files := map[string]string{}
		opts := LoadOptions{
			KnownHook: func(name string) bool { return name == "limits" || name == "lease_cmds" },
			ReadFile:  memFiles(files),
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			in := d.Input
			var s *Snapshot
			var err error
			switch d.Cmd {
			case "file":
				var name string
				d.ScanArgs(t, "name", &name)
				files[name] = in
				return ""
			case "check":
				s, err = Parse("kea.json", []byte(in), opts)
			case "command":
				s, err = FromJSON("config-set", []byte(in), opts)
			case "dhcp4":
				s, err = Parse("kea.json", []byte("{ \"Dhcp4\": {\n"+in+"\n} }"), opts)
			case "subnet":
				s, err = Parse("kea.json", []byte("{ \"Dhcp4\": { \"subnet4\": [ {\n"+in+"\n} ] } }"), opts)
			case "dhcp6":
				s, err = Parse("kea.json", []byte("{ \"Dhcp6\": {\n"+in+"\n} }"), opts)
			case "subnet6":
				s, err = Parse("kea.json", []byte("{ \"Dhcp6\": { \"subnet6\": [ {\n"+in+"\n} ] } }"), opts)
			default:
				t.Fatalf("unknown command %s", d.Cmd)
			}
			if err != nil {
				e := AsErrors(err)
				if e == nil {
					t.Fatalf("error is no *Errors: %v", err)
				}
				return e.Error() + "\n"
			}
			roundTrip(t, s, opts)
			out := "ok\n"
			for _, w := range s.Warnings {
				out += w + "\n"
			}
			return out
		})
	})
}

func memFiles(files map[string]string) func(string, int64) ([]byte, error) {
	return func(name string, limit int64) ([]byte, error) {
		s, ok := files[name]
		if !ok {
			return nil, errors.New("no such file or directory")
		}
		return []byte(s), nil
	}
}

// roundTrip holds what config-get prints against what it was printed from.
func roundTrip(t *testing.T, s *Snapshot, opts LoadOptions) {
	t.Helper()
	if !json.Valid(s.Get) {
		t.Fatalf("config-get is no JSON: %s", s.Get)
	}
	again, err := FromJSON("get", s.Get, opts)
	if err != nil {
		t.Fatalf("config-get is refused:\n%v\n%s", err, s.Get)
	}
	if again.Hash != s.Hash {
		t.Fatalf("config-get changed:\n%s\n%s", s.Get, again.Get)
	}
	a, b := *s, *again
	a.Warnings, b.Warnings = nil, nil
	a.Given, b.Given = nil, nil
	cmpNetwork := cmp.FilterPath(func(p cmp.Path) bool {
		switch p.Last().String() {
		case ".renewSet", ".rebindSet", ".minSet", ".maxSet", ".offerSet":
			return true // printed defaults count as set
		case ".Realm":
			return true
		case ".Pos", ".NamePos", ".defs": // places in another text, and definitions in their order
			return true
		case ".valid", ".preferred": // so do they of lifetimes
			return true
		case ".ClassSet", ".ClassNames": // numbered as they come
			return true
		}
		return false
	}, cmp.Ignore())
	if diff := cmp.Diff(a, b, cmpNetwork, cmp.Exporter(func(t reflect.Type) bool { return strings.HasPrefix(t.PkgPath(), "github.com/peregrine-dhcp/") }), cmpopts.IgnoreUnexported(Dhcp4{}, Dhcp6{}), cmp.Comparer(func(a, b json.RawMessage) bool { return string(a) == string(b) }), cmp.Comparer(func(a, b interface{ String() string }) bool { return a.String() == b.String() })); diff != "" {
		t.Fatalf("config-get means something else (-configured +reparsed):\n%s", diff)
	}
}

// TestGood loads whole configurations.
func TestGood(t *testing.T) {
	files, _ := filepath.Glob("testdata/good/*.json")
	files = append(files, "../../docs/example.json")
	if len(files) < 2 {
		t.Fatal("no testdata/good/*.json")
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			s, err := Load(f, LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if s.Dhcp4 == nil && s.Dhcp6 == nil {
				t.Fatal("neither Dhcp4 nor Dhcp6")
			}
			roundTrip(t, s, LoadOptions{})
		})
	}
}

func TestExampleIsClean(t *testing.T) {
	s, err := Load("../../docs/example.json", LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Warnings) > 0 {
		t.Errorf("the example has warnings: %q", s.Warnings)
	}
	if s.Dataplane.LeaseDirectory != "/var/lib/peregrine" || s.Dataplane.Limits.ClientBurst != 40 {
		t.Errorf("dataplane: %+v", s.Dataplane)
	}
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("main.json", []byte(`{ "Dhcp4": { "subnet4": <?include "sub/nets.json"?> } }`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("sub", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("sub/nets.json", []byte("[\n  { \"id\": 0, \"subnet\": \"192.0.2.0/24\" }\n]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(filepath.Join(dir, "main.json"), LoadOptions{})
	want := `sub/nets.json:2:11: "id" must be between 1 and 4294967294, not 0`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	for name, want := range map[string]string{"none.json": "none.json: no such file or directory", "sub": "sub: is a directory"} {
		if _, err := Load(name, LoadOptions{}); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// TestBounds: nothing a file holds makes loading unbounded.
func TestBounds(t *testing.T) {
	deep := strings.Repeat("[", 1<<20)
	_, err := Parse("deep.json", []byte(deep), LoadOptions{})
	if err == nil || !strings.Contains(err.Error(), "deep.json:1:101: lists and maps may be nested at most 100 deep") {
		t.Errorf("deep nesting: %v", err)
	}
	if _, err := Parse("ctx.json", []byte(`{"Dhcp4":{"user-context":`+strings.Repeat(`{"a":`, 90)+"1"+strings.Repeat("}", 90)+`}}`), LoadOptions{}); err != nil {
		t.Errorf("90 levels: %v", err)
	}

	loop := LoadOptions{ReadFile: func(string, int64) ([]byte, error) { return []byte(`<?include "me"?>`), nil }}
	_, err = Parse("me", []byte(`<?include "me"?>`), loop)
	if err == nil || err.Error() != "me:1:1: include files may be nested at most 10 deep" {
		t.Errorf("include loop: %v", err)
	}

	big := LoadOptions{ReadFile: func(_ string, limit int64) ([]byte, error) { return make([]byte, limit+1), nil }}
	_, err = Parse("big", []byte(`<?include "x"?>`), big)
	if err == nil || !strings.Contains(err.Error(), "at most 256 MiB") {
		t.Errorf("big include: %v", err)
	}

	var b strings.Builder
	b.WriteString(`{"Dhcp4":{`)
	for i := range 5000 {
		fmt.Fprintf(&b, "\"k%d\": 1,\n", i)
	}
	b.WriteString(`"valid-lifetime":"x"}}`)
	_, err = Parse("many.json", []byte(b.String()), LoadOptions{})
	if e := AsErrors(err); e == nil || len(e.List) != 100 || !strings.HasSuffix(e.Error(), "\nthere may be more errors: the report ends after 100") {
		t.Errorf("5000 errors: %.300v", err)
	}
	_, err = Parse("many.json", []byte(b.String()), LoadOptions{MaxErrors: 7})
	if e := AsErrors(err); e == nil || len(e.List) != 7 || !e.Full {
		t.Errorf("MaxErrors 7: %.300v", err)
	}
}
