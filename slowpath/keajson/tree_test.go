package keajson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// same says whether two trees hold the same values and comments in order.
func same(a, b *Node) bool {
	if a.Kind != b.Kind || a.Key != b.Key || a.Str != b.Str || len(a.Kids) != len(b.Kids) {
		return false
	}
	for i := range a.Kids {
		if !same(&a.Kids[i], &b.Kids[i]) {
			return false
		}
	}
	return true
}

func TestFormat(t *testing.T) {
	in := `// head
{ # first
  "Dhcp4": { // the server
    /* block */ "valid-lifetime": 4000, // seconds
    "subnet4": [ // none
    ],
    "option-data": [ {"name":"routers", "data": "192.0.2.1" } ], # one
    // last in Dhcp4
  }
  // last of all
}
// tail
`
	want := `// head
{
  # first
  "Dhcp4": {
    // the server
    /* block */
    "valid-lifetime": 4000, // seconds
    "subnet4": [
      // none
    ],
    "option-data": [ { "name": "routers", "data": "192.0.2.1" } ] # one
    // last in Dhcp4
  }
  // last of all
}
// tail
`
	tr, warn, err := ParseTree("f", []byte(in), TreeOptions{})
	if err != nil || len(warn) != 1 {
		t.Fatal(err, warn)
	}
	got := string(tr.Format())
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var b bytes.Buffer
	if n, err := tr.WriteTo(&b); err != nil || int(n) != len(want) || b.String() != want {
		t.Error("WriteTo differs from Format")
	}
	again, _, err := ParseTree("f", []byte(got), TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !same(tr.Root, again.Root) || string(again.Format()) != got {
		t.Errorf("not stable:\n%s", again.Format())
	}
}

func TestFormatComments(t *testing.T) {
	for _, in := range []string{
		"[1 /* a */ // b\n, /* c */ 2 # d\n]",
		"/* a */ /* b */ [ /* c */ ] /* d */ // e",
		"{ \"a\" /* x */ : /* y */ 1 /* z */ }",
		"[ // */ odd\n 1 # */ more\n /* x */, 2]",
	} {
		tr, _, err := ParseTree("f", []byte(in), TreeOptions{})
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		once := tr.Format()
		again, _, err := ParseTree("f", once, TreeOptions{})
		if err != nil {
			t.Fatalf("%q became\n%s\n%v", in, once, err)
		}
		if !same(tr.Root, again.Root) {
			t.Errorf("%q became\n%s", in, once)
		}
		if n := strings.Count(in, "/*") + strings.Count(in, "//") + strings.Count(in, "#"); comments(again) < n-1 {
			t.Errorf("%q lost comments:\n%s", in, once)
		}
	}
}

func comments(t *Tree) int {
	n := len(t.tail)
	for _, x := range t.notes {
		n += len(x.before) + len(x.after) + len(x.inside)
	}
	return n
}

func TestPositions(t *testing.T) {
	o := TreeOptions{ReadFile: files(map[string]string{"inc": "\n [ true,\n  false ]"})}
	tr, _, err := ParseTree("main", []byte("{\n\t\"a\" :\r\n  <?include \"inc\"?>, \"b\": \"\u00e9\", \"c\": 1 }"), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		n    *Node
		key  bool
		want string
	}{
		{tr.Root, false, "main:1:1"},
		{tr.Root.Get("a"), true, "main:2:2"},
		{tr.Root.Get("a"), false, "inc:2:2"},
		{&tr.Root.Get("a").Kids[1], false, "inc:3:3"},
		{&tr.Root.Get("a").Kids[1], true, "inc:3:3"},
		{tr.Root.Get("c"), true, "main:3:33"}, // columns count bytes
	} {
		p := tr.Position(c.n)
		if c.key {
			p = tr.KeyPosition(c.n)
		}
		if p.String() != c.want {
			t.Errorf("got %s, want %s", p, c.want)
		}
	}
	if f := fmt.Sprint(tr.Files()); f != "[main inc]" {
		t.Errorf("files %s", f)
	}
	if tr.Root.Get("a").Get("x") != nil || (*Node)(nil).Get("x") != nil {
		t.Error("Get of no map")
	}
}

// TestManyMembers: the search for duplicates does not become quadratic, and
// finds them however many members there are.
func TestManyMembers(t *testing.T) {
	var b strings.Builder
	b.WriteString("{")
	for i := range 200000 {
		fmt.Fprintf(&b, "\"k%d\":1,", i)
	}
	_, _, err := ParseTree("m", []byte(b.String()+"\"last\":1}"), TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = ParseTree("m", []byte(b.String()+"\"k7\":1}"), TreeOptions{})
	if err == nil || !strings.Contains(err.Error(), `duplicate key "k7", first given at m:1:`) {
		t.Fatal(err)
	}
	tr, _, err := ParseTree("m", []byte(b.String()+"\"k7\":2}"), TreeOptions{Command: true})
	if err != nil || len(tr.Root.Kids) != 200000 || tr.Root.Get("k7").Str != "2" {
		t.Fatal("the last of two members must win in a command:", err)
	}
}

// seeds are whole configurations, and what is short and odd.
func seeds(f *testing.F) {
	for _, dir := range []string{"../config/testdata/good/*.json", "../../docs/*.json"} {
		names, _ := filepath.Glob(dir)
		if len(names) == 0 {
			f.Fatalf("no files in %s", dir)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	for _, s := range []string{``, `{`, `[[[[`, `"\u`, `{"a":1,"a":2}`, "\ufeff{}", `<?include "x"?>`, `[1e5,.5,5.,-0,-.5e-7,00,1E+3]`, "[\"\\ud83d\\ude00\"]",
		"# a\n[/*b*/1//c\n,2/*d*/]#e", "\xff", "[\"\xff\"]", `[1,]`, `{"a":{"b":[]},}`} {
		f.Add([]byte(s))
	}
}

func FuzzParseTree(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		o := TreeOptions{ReadFile: files(map[string]string{"x": `1, 2`, "y": `<?include "y"?>`})}
		tr, _, err := ParseTree("f", text, o)
		if err != nil {
			var e *Errors
			errors.As(err, &e)
			if e == nil || len(e.List) == 0 {
				t.Fatalf("error without content: %v", err)
			}
			for _, x := range e.List {
				if x.Pos.Line < 1 || x.Pos.Col < 1 || strings.Contains(x.Msg, "%!") {
					t.Fatalf("bad message %q", x)
				}
			}
			return
		}
		js := tr.Root.AppendJSON(nil)
		if !json.Valid(js) {
			t.Fatalf("%q gives invalid JSON %q", text, js)
		}
		once := tr.Format()
		again, _, err := ParseTree("f", once, TreeOptions{})
		if err != nil {
			t.Fatalf("%q is formatted as\n%s\n%v", text, once, err)
		}
		if !same(tr.Root, again.Root) {
			t.Fatalf("%q is formatted as\n%s", text, once)
		}
		if a, b := comments(tr), comments(again); a != b {
			t.Fatalf("%q: %d comments became %d in\n%s", text, a, b, once)
		}
		if twice := again.Format(); !bytes.Equal(once, twice) {
			t.Fatalf("%q: formatting is not stable:\n%s\n%s", text, once, twice)
		}
	})
}

// TestManyIncludes: one file cannot include others without end.
func TestManyIncludes(t *testing.T) {
	o := TreeOptions{ReadFile: func(string, int64) ([]byte, error) { return []byte(`1,`), nil }}
	_, _, err := ParseTree("wide", []byte("["+strings.Repeat(`<?include "x"?>`, maxFiles+1)+"]"), o)
	if err == nil || !strings.Contains(err.Error(), "at most 10000 files may be included") {
		t.Errorf("many includes: %v", err)
	}
}

// files reads included files from memory.
func files(m map[string]string) func(string, int64) ([]byte, error) {
	return func(name string, _ int64) ([]byte, error) {
		s, ok := m[name]
		if !ok {
			return nil, os.ErrNotExist
		}
		return []byte(s), nil
	}
}

func TestSuggestions(t *testing.T) {
	words := []string{"subnet4", "valid-lifetime", "option-data", "option-def", "relay", "id", "pools"}
	for in, want := range map[string]string{
		"subent4": "subnet4", "valid_lifetime": "valid-lifetime", "Valid-Lifetime": "valid-lifetime",
		"option_data": "option-data", "realy": "relay", "pool": "pools", "xyz": "", "lifetime": "",
		strings.Repeat("x", 1000): "",
	} {
		if got := Nearest(in, words); got != want {
			t.Errorf("nearest(%.20q) = %q, want %q", in, got, want)
		}
	}
}
