package slowpath

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commandTests says which tests show that commands do what they are asked, that
// they refuse what they must, and what DHCP clients notice of them. A test is
//
//	TestName           of this package
//	FOLDER TestName    of another one
//	=NAME              testdata/commands/NAME.txt
//	none: WHY          there is nothing to show
//
// An N in a name stands for 4 and for 6.
type commandTests struct{ names, success, refusals, wire string }

const (
	readsOnly  = "none: reads only"
	countsOnly = "none: about statistics, which decide nothing"
	bare       = "none: takes no arguments and cannot fail"
	described  = "TestCommandsOfKeasDescription"
)

var testsOfCommands = []commandTests{
	{"build-report config-get config-hash-get list-commands server-tag-get status-get version-get", described, bare, readsOnly},
	{"config-backend-pull", described, bare, "none: there is no configuration backend"},
	{"config-test", described, described, readsOnly},
	{"config-set", "TestReload", "TestReload", "TestReload"},
	{"config-reload", described, "cmd/peregrine TestReload", "cmd/peregrine TestReload"},
	{"config-write", described, "cmd/peregrine TestConfigCommands", "none: writes a file"},
	{"dhcp-disable dhcp-enable", "=service", "=service", "=service"},
	{"leases-reclaim", "=service", "=service", "=service"},
	{"extended-info4-upgrade", "TestExtendedInfoUpgrade", "TestExtendedInfoUpgrade", "none: what is sent of a lease is not in its user context"},
	{"kea-lfc-start", "=service", "TestWithoutPersistence", "=service"},
	{"interface-add", described, "=statistics", "cmd/peregrine TestInterfaceAddServes"},
	{"interface-list", described, "=statistics", readsOnly},
	{"interface-redetect", described, bare, "none: interfaces are followed all the time"},
	{"shutdown", "cmd/peregrine TestControlFromCommandLine", described, "cmd/peregrine TestControlFromCommandLine"},
	{"statistic-get statistic-reset statistic-sample-age-set statistic-sample-age-set-all statistic-sample-count-set statistic-sample-count-set-all",
		"=statistics", "=statistics", countsOnly},
	{"statistic-remove", "=statistics", described, countsOnly},
	{"statistic-reset-all", "=statistics", "=statistics", countsOnly},
	{"statistic-get-all", "TestCommands", bare, countsOnly},
	{"statistic-global-get-all statistic-remove-all", "=statistics", bare, countsOnly},
	{"subnet4-select-test", "=select_test", "=select_test", readsOnly},
	{"subnet4o6-select-test", "none: no subnet is for DHCPv4-over-DHCPv6", "=select_test", readsOnly},

	{"lease4-add lease4-del lease4-update lease4-wipe", "=lease_cmds", "=lease_cmds_refused", "=lease_cmds"},
	{"lease4-get lease4-get-all lease4-get-by-client-id lease4-get-by-hostname lease4-get-by-hw-address lease4-get-by-state lease4-get-page",
		"=lease_cmds", "=lease_cmds_refused", readsOnly},
	{"lease4-write", "=lease_cmds", "=lease_cmds_refused", "none: writes a file"},
	{"lease4-resend-ddns", "none: this server sends no DNS updates", "=lease_cmds_refused", "none: this server sends no DNS updates"},
	{"lease6-add lease6-del lease6-update lease6-bulk-apply lease6-wipe", "=lease6_cmds", described, "=lease6_cmds_traffic"},
	{"lease6-get lease6-get-all lease6-get-by-duid lease6-get-by-hostname lease6-get-by-hw-address lease6-get-by-state lease6-get-page",
		"=lease6_cmds", described, readsOnly},
	{"lease6-write", "=lease6_cmds", described, "none: writes a file"},
	{"lease6-resend-ddns", "none: this server sends no DNS updates", described, "none: this server sends no DNS updates"},
	{"sflq-poolN-del sflq-poolN-get-by-range sflq-poolN-get-by-subnet sflq-poolN-rebuild sflq-poolN-get-all",
		"none: there are no such pools", described, "none: there are no such pools"},

	{"class-add class-del class-update", "=class_cmds", "=class_cmds", "=class_cmds_traffic"},
	{"class-get class-list", "=class_cmds", "=class_cmds", readsOnly},

	{"stat-lease4-get", "=stat_cmds", "=stat_cmds", readsOnly},
	{"stat-lease6-get", "=subnet6_cmds", described, readsOnly},

	{"reservation-add reservation-del reservation-update", "=host_cmds", "=host_cmds_refused", "=host_cmds_traffic"},
	{"reservation-get reservation-get-all reservation-get-by-address reservation-get-by-hostname reservation-get-by-id reservation-get-page",
		"=host_cmds", "=host_cmds_refused", readsOnly},

	{"cache-insert cache-load cache-remove cache-flush", "=host_cache", "=host_cache_refused", "=host_cache"},
	{"cache-clear", "=host_cache", bare, "=host_cache"},
	{"cache-get cache-size", "=host_cache", bare, readsOnly},
	{"cache-get-by-id", "=host_cache", "=host_cache_refused", readsOnly},
	{"cache-write", "=host_cache", "=host_cache_refused", "none: writes a file"},

	{"network4-add network4-del network4-subnet-add network4-subnet-del", "=subnet_cmds", "=subnet_cmds_refused", "=network_traffic"},
	{"network4-get", "=subnet_cmds", "=subnet_cmds_refused", readsOnly},
	{"network4-list subnet4-list", "=subnet_cmds", "=subnet_cmds", readsOnly},
	{"subnet4-add subnet4-del subnet4-update", "=subnet_cmds", "=subnet_cmds_refused", "=network_traffic"},
	{"subnet4-delta-add subnet4-delta-del", "=subnet_cmds", "=subnet_cmds_refused", "=network_traffic"},
	{"subnet4-get", "=subnet_cmds", "=subnet_cmds_refused", readsOnly},
	{"network6-add network6-del network6-subnet-add network6-subnet-del", "=subnet6_cmds", "=subnet6_cmds_refused", "=subnet6_cmds_traffic"},
	{"network6-get", "=subnet6_cmds_traffic", "=subnet6_cmds_refused", readsOnly},
	{"network6-list subnet6-list", "=subnet6_cmds", bare, readsOnly},
	{"subnet6-add subnet6-del subnet6-update subnet6-delta-add subnet6-delta-del", "=subnet6_cmds", "=subnet6_cmds_refused", "=subnet6_cmds_traffic"},
	{"subnet6-get", "=subnet6_cmds", "=subnet6_cmds_refused", readsOnly},

	{"perfmon-control perfmon-get-all-durations", "=perfmon", "=perfmon", "none: measures only"},
}

// step is a command of a conversation and the result it had; result is "" where
// it is a client's message.
type step struct{ command, result string }

// conversationSteps are the steps of testdata/commands/NAME.txt.
func conversationSteps(t *testing.T, name string) (steps []step) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/commands", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(text), "\n\n") {
		said, answer, _ := strings.Cut(block, "\n----\n")
		lines := slices.DeleteFunc(strings.Split(said, "\n"), func(l string) bool { return l == "" || l[0] == '#' })
		if len(lines) == 0 {
			continue
		}
		s := step{command: strings.Fields(lines[0])[0]}
		if strings.Contains(s.command, "-") {
			s.result, _, _ = strings.Cut(answer, " ")
		}
		steps = append(steps, s)
	}
	return steps
}

// unshown says in which way a conversation does not show a command's "success",
// "refusals" or "wire", "" if it does.
func unshown(steps []step, command, what string) string {
	succeeded := false
	for _, s := range steps {
		switch {
		case s.command == command && what == "refusals" && s.result != "0":
			return ""
		case s.command == command && s.result == "0":
			if what == "success" {
				return ""
			}
			succeeded = true
		case s.result == "" && what == "wire" && succeeded && !strings.HasPrefix(s.command, "config") && s.command != "restart":
			return ""
		}
	}
	return "does not show its " + what
}

// testSources are the texts of the files that tests of a folder are in, by test.
func testSources(t *testing.T, folder string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), f, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Test") {
				out[fn.Name.Name] = string(text)
			}
		}
	}
	return out
}

var documentedCommand = regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\|")

// Every command of docs/commands.md has a test of its success, its refusals and
// its effect on the wire, and the tests named have something to do with it.
func TestEveryCommandHasTests(t *testing.T) {
	page, err := os.ReadFile("../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, m := range documentedCommand.FindAllStringSubmatch(string(page), -1) {
		missing[m[1]] = true
	}
	if len(missing) < 100 {
		t.Fatalf("docs/commands.md has %d commands", len(missing))
	}
	sources := map[string]map[string]string{}
	steps := map[string][]step{}
	check := func(command, what, by string) {
		folder, test := "slowpath", by
		switch {
		case strings.HasPrefix(by, "none: ") && len(by) > len("none: "):
			return
		case strings.HasPrefix(by, "="):
			if steps[by] == nil {
				steps[by] = conversationSteps(t, by[1:])
			}
			if why := unshown(steps[by], command, what); why != "" {
				t.Errorf("%s: the conversation %s %s", command, by[1:], why)
			}
			return
		case strings.Contains(by, " "):
			folder, test, _ = strings.Cut(by, " ")
		}
		if sources[folder] == nil {
			sources[folder] = testSources(t, folder)
		}
		text, ok := sources[folder][test]
		anyFamily := strings.NewReplacer("4-", "N-", "6-", "N-").Replace(command)
		if !ok {
			t.Errorf("%s: there is no %s in %s for its %s", command, test, folder, what)
		} else if !strings.Contains(text, `"`+command+`"`) && !strings.Contains(text, `"`+anyFamily+`"`) {
			t.Errorf("%s: the file of %s does not name it", command, test)
		}
	}
	seen := map[string]bool{}
	for _, c := range testsOfCommands {
		for name := range strings.FieldsSeq(c.names) {
			names := []string{name}
			if strings.Contains(name, "N-") {
				names = []string{strings.Replace(name, "N-", "4-", 1), strings.Replace(name, "N-", "6-", 1)}
			}
			for _, n := range names {
				if seen[n] {
					t.Errorf("%s is listed twice", n)
				}
				if !missing[n] {
					t.Errorf("%s is not in docs/commands.md", n)
				}
				seen[n] = true
				delete(missing, n)
				check(n, "success", c.success)
				check(n, "refusals", c.refusals)
				check(n, "wire", c.wire)
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("%s: say in testsOfCommands which tests show its success, its refusals and its effect on the wire", n)
	}
}

// What does not show something is found out.
func TestUnshown(t *testing.T) {
	steps := []step{{"config", ""}, {"a-add", "1"}, {"lease", ""}, {"a-del", "0"}, {"config6", ""}, {"a-get", "0"}, {"lease6", ""}, {"a-list", "0"}}
	for _, c := range []struct {
		command, what string
		want          bool
	}{
		{"a-add", "success", false}, {"a-add", "refusals", true}, {"a-add", "wire", false}, {"a-del", "refusals", false}, {"a-del", "wire", true},
		{"a-get", "success", true}, {"a-get", "wire", true}, {"a-list", "wire", false}, {"a-none", "success", false},
	} {
		if got := unshown(steps, c.command, c.what) == ""; got != c.want {
			t.Errorf("%s %s: %v, want %v", c.command, c.what, got, c.want)
		}
	}
}

// What needs leases on disk says so where there are none.
func TestWithoutPersistence(t *testing.T) {
	b := newBed(t, testConfig("", "", ""), hookOptions())
	defer b.close()
	r := b.command(fmt.Sprintf(`{"command":%q}`, "kea-lfc-start"))
	if r.Result != 1 || !strings.Contains(r.Text, "not persisted") {
		t.Errorf("kea-lfc-start: %+v", r)
	}
	b.lease([6]byte{2, 0, 0, 0, 0, 9}) // and goes on
}
