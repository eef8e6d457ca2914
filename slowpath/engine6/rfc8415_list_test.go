package engine6

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// folders are the packages that testdata/rfc8415.txt names.
var folders = map[string]string{"": ".", "slowpath": "..", "dhcp6": "../dhcp6", "config": "../config", "alloc6": "../alloc6", "subnet6": "../subnet6"}

// testsOf lists the test functions of a package.
func testsOf(t *testing.T, folder string) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", folder, err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				tests[fn.Name.Name] = true
			}
		}
	}
	return tests
}

// requirement is an entry of testdata/rfc8415.txt.
type requirement struct {
	line                int
	section, text       string
	says                bool // without a key word
	tests               []string
	departs, nothingFor bool
}

var (
	sectionLine = regexp.MustCompile(`^section ([0-9.]+)(?:: ([0-9]+) servers, ([0-9]+) others)?$`)
	entryLine   = regexp.MustCompile(`^(MUST NOT|MUST|SHOULD NOT|SHOULD|says) (.+)$`)
)

// readRequirements reads the list and checks its form; servers is how many
// sentences of each section bind a server.
func readRequirements(t *testing.T, name string) (list []requirement, servers map[string]int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	servers = map[string]int{}
	section := ""
	for i, line := range strings.Split(string(b), "\n") {
		at := fmt.Sprintf("%s:%d", name, i+1)
		if detail, ok := strings.CutPrefix(line, "\t"); ok && len(list) > 0 {
			r := &list[len(list)-1]
			kind, text, _ := strings.Cut(detail, ": ")
			switch {
			case text == "":
				t.Fatalf("%s: nothing after %q", at, kind)
			case kind == "test":
				r.tests = append(r.tests, strings.Fields(text)...)
			case kind == "departs":
				r.departs = true
			case kind == "none":
				r.nothingFor = true
			default:
				t.Fatalf("%s: %q is not test, departs or none", at, kind)
			}
			continue
		}
		if m := sectionLine.FindStringSubmatch(line); m != nil {
			section = m[1]
			if _, twice := servers[section]; twice {
				t.Fatalf("%s: section %s comes twice", at, section)
			}
			servers[section] = 0
			if m[2] != "" {
				n, err := strconv.Atoi(m[2])
				if err != nil {
					t.Fatalf("%s: %v", at, err)
				}
				servers[section] = n
			}
			continue
		}
		if m := entryLine.FindStringSubmatch(line); m != nil && section != "" {
			list = append(list, requirement{line: i + 1, section: section, text: m[2], says: m[1] == "says"})
			continue
		}
		if line != "" && !strings.HasPrefix(line, "#") {
			t.Fatalf("%s: not understood: %q", at, line)
		}
	}
	return list, servers
}

// TestRFC8415List checks that each sentence of RFC 8415 that binds a server has
// an entry in testdata/rfc8415.txt, each entry tests that are there or a reason
// why it has none, and that no test of a section is missing from the list.
func TestRFC8415List(t *testing.T) {
	const name = "testdata/rfc8415.txt"
	list, servers := readRequirements(t, name)
	have := map[string]map[string]bool{}
	for p, folder := range folders {
		if _, err := os.Stat(folder); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		have[p] = testsOf(t, folder)
	}
	entries, named := map[string]int{}, map[string]bool{}
	for _, r := range list {
		at := fmt.Sprintf("%s:%d: §%s, %s", name, r.line, r.section, r.text)
		if !r.says {
			entries[r.section]++
		}
		if (len(r.tests) == 0) != r.nothingFor || r.departs && len(r.tests) == 0 {
			t.Errorf("%s: neither tests alone nor a reason alone", at)
		}
		for _, full := range r.tests {
			p, test, ok := strings.Cut(full, ".")
			if !ok {
				p, test = "", full
			}
			if !have[p][test] {
				t.Errorf("%s: there is no test %s", at, full)
			}
			named[full] = true
		}
	}
	for s, n := range servers {
		if entries[s] != n {
			t.Errorf("%s: §%s has %d entries for %d sentences", name, s, entries[s], n)
		}
	}
	for p := range folders {
		for test := range have[p] {
			full := strings.TrimPrefix(p+"."+test, ".")
			if strings.HasPrefix(test, "TestRFC8415_") && !named[full] {
				t.Errorf("%s does not name %s", name, full)
			}
		}
	}
	if len(servers) < 70 || len(list) < 100 {
		t.Errorf("%s: only %d sections and %d entries", name, len(servers), len(list))
	}
}
