package cmd

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/peregrine-dhcp/peregrine/"

// rule says what a package may import of ours, and what it must not import of
// anybody's. Patterns are path.Match patterns below the module; "…/*" matches
// one level, an entry ending in "/..." the whole tree.
type rule struct {
	pkg    string
	may    []string
	never  []string
	reason string
}

// rules is the package map of docs/architecture.md. The first that matches a
// package counts.
var rules = []rule{
	{"bpf", nil, []string{"net"}, "bpf holds a program and its maps, no policy"},
	{"slowpath/dhcp4", nil, []string{"net", "log", "log/slog", "os"}, "the wire format is pure"},
	{"slowpath/dhcp6", nil, []string{"net", "log", "log/slog", "os"}, "the wire format is pure"},
	{"slowpath/frame", nil, []string{"net", "log", "log/slog", "os"}, "the wire format is pure"},
	{"slowpath/stat", nil, []string{"net", "log", "log/slog", "os"}, "counters depend on nothing"},
	{"slowpath/netio/netiotest", []string{"slowpath/*"}, nil, "test support"},
	{"slowpath/netio", []string{"slowpath/frame", "slowpath/thread"}, []string{"log", "log/slog"}, "batches of frames know no DHCP"},
	{"fastpath/xsk", []string{"slowpath/netio", "slowpath/frame"}, nil, "AF_XDP knows no DHCP; its caller puts the socket in the map"},
	{"fastpath/fastpathtest", []string{"..."}, nil, "test support"},
	{"fastpath/...", []string{"bpf", "fastpath/...", "slowpath/netio", "slowpath/frame", "slowpath/dhcp4", "slowpath/dhcp6", "slowpath/engine", "slowpath/engine6", "slowpath/lease", "slowpath/config", "slowpath/stat"}, nil,
		"the fast path carries, sheds or repeats; it never decides"},
	{"slowpath/lease/slab", nil, []string{"net", "os", "log/slog"}, "parts of a lease table know no lease"},
	{"slowpath/lease/leasetest", nil, nil, "test support of both tables"},
	{"slowpath/lease", []string{"slowpath/dhcp4", "slowpath/dhcp6", "slowpath/lease/slab"}, []string{"net", "os", "log/slog"}, "leases know no engine and no store"},
	{"slowpath/lease6", []string{"slowpath/lease", "slowpath/lease/slab"}, []string{"net", "os", "log/slog"}, "leases know no engine and no store"},
	{"slowpath/keajson", nil, []string{"net", "log", "log/slog"}, "a text is values and positions"},
	{"slowpath/optiondef", []string{"slowpath/class", "slowpath/dhcp4", "slowpath/keajson"}, []string{"net", "os", "log", "log/slog"}, "a definition knows no configuration"},
	{"slowpath/hostname", []string{"slowpath/keajson"}, []string{"net", "os", "log", "log/slog"}, "a name is octets"},
	{"slowpath/config", []string{"slowpath/dhcp4", "slowpath/dhcp6", "slowpath/lease", "slowpath/class", "slowpath/keajson", "slowpath/optiondef", "slowpath/hostname"}, nil, "configuration knows no engine and no store"},
	{"slowpath/logging", []string{"slowpath/config"}, nil, "logging knows the loggers key and nothing else"},
	{"slowpath/alloc", []string{"slowpath/dhcp4", "slowpath/dhcp6", "slowpath/lease", "slowpath/config"}, []string{"net", "os", "log", "log/slog"}, "deciding does no input or output"},
	{"slowpath/subnet", []string{"slowpath/dhcp4", "slowpath/dhcp6", "slowpath/lease", "slowpath/config"}, []string{"net", "os", "log", "log/slog"}, "deciding does no input or output"},
	{"slowpath/hostset", nil, []string{"net", "os", "log", "log/slog"}, "a set knows no family"},
	{"slowpath/host", []string{"slowpath/dhcp4", "slowpath/config", "slowpath/hashindex", "slowpath/hostset"}, []string{"net", "os", "log", "log/slog"}, "deciding does no input or output"},
	{"slowpath/thread", nil, []string{"net", "os", "log", "log/slog"}, "a wish to the kernel's scheduler"},
	{"slowpath/prefetch", nil, []string{"net", "os", "log", "log/slog", "time"}, "a hint to the processor"},
	{"slowpath/hashindex", nil, []string{"net", "os", "log", "log/slog"}, "an index knows positions and nothing else"},
	{"slowpath/alloc6", []string{"slowpath/dhcp6", "slowpath/lease", "slowpath/lease6", "slowpath/config"}, []string{"net", "os", "log", "log/slog"}, "deciding does no input or output"},
	{"slowpath/subnet6", []string{"slowpath/dhcp6", "slowpath/config"}, []string{"net", "os", "log", "log/slog"}, "deciding does no input or output"},
	{"slowpath/host6", []string{"slowpath/dhcp6", "slowpath/config", "slowpath/hashindex", "slowpath/hostset"}, []string{"net", "os", "log", "log/slog"}, "deciding does no input or output"},
	{"slowpath/engine/enginetest", []string{"slowpath/lease"}, nil, "test support of both engines"},
	{"slowpath/engine", []string{"slowpath/dhcp4", "slowpath/dhcp6", "slowpath/lease", "slowpath/config", "slowpath/alloc", "slowpath/subnet", "slowpath/host", "slowpath/class", "slowpath/optiondef", "slowpath/hostname"}, []string{"net", "os", "log", "log/slog"},
		"the engine is pure: no socket, clock, file, goroutine or log"},
	{"slowpath/engine6", []string{"slowpath/dhcp6", "slowpath/lease", "slowpath/lease6", "slowpath/class", "slowpath/config", "slowpath/alloc6", "slowpath/subnet6", "slowpath/host6"}, []string{"net", "os", "log", "log/slog"},
		"the engine is pure: no socket, clock, file, goroutine or log"},
	{"slowpath/leasestore/...", []string{"slowpath/thread", "slowpath/lease", "slowpath/lease6", "slowpath/dhcp4", "slowpath/leasestore/..."}, []string{"net", "log/slog"}, "the store keeps leases and decides nothing"},
	{"slowpath/hoststore", []string{"slowpath/leasestore"}, []string{"net", "log/slog"}, "the store keeps texts and decides nothing"},
	{"slowpath/leasefile", []string{"slowpath/lease", "slowpath/lease6", "slowpath/dhcp4", "slowpath/dhcp6"}, []string{"net", "log/slog"}, "a lease file is rows and a table"},
	{"slowpath/class", []string{"slowpath/dhcp4", "slowpath/dhcp6"}, []string{"net", "os", "log", "log/slog"}, "deciding does no input or output"},
	{"slowpath/control/controltest", nil, nil, "test support that knows commands alone"},
	{"slowpath/control", []string{"slowpath/stat"}, nil, "the channel carries commands; the server owns them"},
	{"slowpath/metric", []string{"slowpath", "slowpath/*", "hooks", "hooks/all"}, nil, "metrics read the server"},
	{"slowpath", []string{"slowpath/*", "hooks", "hooks/all"}, nil, "the server knows no dataplane"},
	{"hooks/all", []string{"hooks", "hooks/*"}, nil, "the generated list"},
	{"hooks", []string{"slowpath/dhcp4", "slowpath/dhcp6", "slowpath/lease", "slowpath/lease6"}, nil, "hooks see values, not the engine"},
	{"hooks/...", []string{"slowpath/dhcp4", "slowpath/dhcp6", "slowpath/lease", "slowpath/lease6", "hooks", "hooks/hookstest", "hooks/arguments"}, nil, "hooks see values, not the engine"},
	{"bench/...", []string{"slowpath/netio", "slowpath/frame", "slowpath/dhcp4", "slowpath/dhcp6", "fastpath/xsk", "bpf", "bench/..."}, nil,
		"the generator shares no decision code with the server it checks"},
	{"cmd/...", []string{"..."}, nil, "commands join everything"},
}

func matches(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	if p, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == p || strings.HasPrefix(pkg, p+"/")
	}
	ok, err := path.Match(pattern, pkg)
	return err == nil && ok
}

func anyMatch(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if matches(p, pkg) {
			return true
		}
	}
	return false
}

// TestImportDirections checks every package's imports (and its tests', which may
// also use packages whose name ends in "test") against the map.
func TestImportDirections(t *testing.T) {
	type pkgInfo struct {
		ImportPath                         string
		Imports, TestImports, XTestImports []string
	}
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkgInfo
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		var r *rule
		for i := range rules {
			if matches(rules[i].pkg, name) {
				r = &rules[i]
				break
			}
		}
		if r == nil {
			t.Errorf("%s is not in the package map: add it to docs/architecture.md and to this test", name)
			continue
		}
		check := func(imports []string, test bool) {
			for _, imp := range imports {
				if ours, ok := strings.CutPrefix(imp, module); ok {
					if test && (strings.HasSuffix(ours, "test") || ours == name) {
						continue
					}
					if test && (strings.HasPrefix(name, "bench") || strings.HasPrefix(name, "fastpath")) {
						continue // their tests run against real servers
					}
					if !anyMatch(r.may, ours) {
						t.Errorf("%s imports %s: %s", name, ours, r.reason)
					}
				} else if !test && anyMatch(r.never, imp) {
					t.Errorf("%s imports %s: %s", name, imp, r.reason)
				}
				if !test && imp == "unsafe" && name != "fastpath/xsk" && name != "bpf" && name != "slowpath/netio" {
					t.Errorf("%s imports unsafe: only fastpath/xsk, the message headers of slowpath/netio and generated code may", name)
				}
			}
		}
		check(p.Imports, false)
		check(p.TestImports, true)
		check(p.XTestImports, true)
	}
}

// TestPackageTable holds the table of docs/architecture.md against the packages:
// the first row that names one has all that it imports.
func TestPackageTable(t *testing.T) {
	page, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ packages, imports []string }
	var rows []row
	code, aside := regexp.MustCompile("`([^`]+)`"), regexp.MustCompile(` \([^)]*\)`)
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		var r row
		for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
			r.packages = append(r.packages, m[1])
		}
		if list := strings.TrimSpace(aside.ReplaceAllString(cells[3], "")); list == "everything" {
			r.imports = []string{"..."}
		} else if list != "nothing" {
			r.imports = strings.Split(list, ", ")
		}
		rows = append(rows, r)
	}
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		name := strings.TrimPrefix(f[0], module)
		i := slices.IndexFunc(rows, func(r row) bool { return anyMatch(r.packages, name) })
		if i < 0 {
			t.Errorf("%s is not in the table of docs/architecture.md", name)
			continue
		}
		seen[rows[i].packages[0]] = true
		for _, imp := range f[1:] {
			ours, ok := strings.CutPrefix(imp, module)
			// A row may leave out the folder.
			if ok && !anyMatch(rows[i].imports, ours) && !anyMatch(rows[i].imports, strings.TrimPrefix(ours, "slowpath/")) && !anyMatch(rows[i].imports, strings.TrimPrefix(ours, "hooks/")) {
				t.Errorf("%s imports %s, which the table of docs/architecture.md does not say", name, ours)
			}
		}
	}
	for _, r := range rows {
		if !seen[r.packages[0]] {
			t.Errorf("the table of docs/architecture.md has %s, which there is not", r.packages[0])
		}
	}
}

// TestPackageComments: every package says what it is for.
func TestPackageComments(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}\t{{.Doc}}\t{{len .GoFiles}}", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		f := strings.Split(l, "\t")
		if len(f) != 3 {
			t.Errorf("go list printed %q", l)
			continue
		}
		if f[1] == "" && f[2] != "0" {
			t.Errorf("%s has no package comment", f[0])
		}
	}
}
