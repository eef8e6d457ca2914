package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

func TestTable(t *testing.T) {
	for _, c := range []struct{ name, text, arguments, want string }{
		{"leases", "2 IPv4 lease(s) found.", `{"leases": [ {"ip-address": "192.0.2.1", "state": 0, "hostname": ""}, {"ip-address": "192.0.2.10", "state": 1, "user-context": {"a": [1, 2]}} ], "count": 2}`,
			"2 IPv4 lease(s) found.\nIP-ADDRESS  STATE  HOSTNAME  USER-CONTEXT\n192.0.2.1   0      -         -\n192.0.2.10  1      -         {a=1,2}\ncount       2\n"},
		{"statistics", "", `{"pkt4-sent": [ [3, "2026-01-01 00:00:00.000000"], [2, "x"] ], "assigned-nas": [ [340282366920938463463374607431768211455, "t"] ]}`,
			"assigned-nas  340282366920938463463374607431768211455  t\npkt4-sent     3                                        2026-01-01 00:00:00.000000\n"},
		{"result set", "", `{"result-set": {"columns": ["subnet-id", "total"], "rows": [[1, 256], [20, 4]], "timestamp": "t"}}`,
			"SUBNET-ID  TOTAL\n1          256\n20         4\n"},
		{"list", "", `["config-get", "status-get"]`, "config-get\nstatus-get\n"},
		{"map", "", `{"pid": 7, "sockets": {"status": "ready"}, "nothing": null, "yes": true}`, "pid      7\nsockets  {status=ready}\nnothing  -\nyes      true\n"},
		{"terminal", "", `{"hostname": "a\u001b[2Jb\u009bc\n"}`, "hostname  a.[2Jb.c.\n"},
		{"nothing", "done", ``, "done\n"},
	} {
		var out bytes.Buffer
		if err := printTable(&out, &control.Answer{Text: c.text, Arguments: json.RawMessage(c.arguments)}); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if out.String() != c.want {
			t.Errorf("%s:\n%swant\n%s", c.name, out.String(), c.want)
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte(`{"leases": [ {"ip-address": "192.0.2.1"}, {} ]}`))
	f.Add([]byte(`{"result-set": {"columns": 1, "rows": [[], 2]}}`))
	f.Add([]byte(`[[[1, "t"]], {}, null]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var out bytes.Buffer
		_ = printTable(&out, &control.Answer{Arguments: text}) // an error for what is no JSON
		if strings.ContainsRune(out.String(), 0x1b) {
			t.Errorf("an escape sequence reached the terminal: %q", out.String())
		}
	})
}

func TestComplete(t *testing.T) {
	commands := func(words []string) []string {
		if len(words) > 0 && words[0] == "-s" {
			return []string{"lease6-get"}
		}
		return []string{"config-get", "config-set", "status-get"}
	}
	for _, c := range []struct{ line, want string }{
		{"", "check completion ctl lease serve version"},
		{"c", "check completion ctl"},
		{"ctl ", "config-get config-set status-get"},
		{"ctl config-", "config-get config-set"},
		{"ctl -s /run/x ", "lease6-get"},
		{"ctl -table con", "config-get config-set"},
		{"ctl -", "-cacert -cert -key -s -t -table -u"},
		{"ctl -s ", ":file"},
		{"ctl --cacert /et", ":file"},
		{"ctl config-get ", ""},
		{"ctl -s http : //127.0.0.1 : 8000 l", "lease6-get"}, // as bash has it
		{"ctl -s http : ", ":file"},
		{"check -c ", ":file"},
		{"lease ", "export import list"},
		{"lease export ", ":file"},
		{"completion z", "zsh"},
		{"unheard-of ", ""},
	} {
		var out bytes.Buffer
		complete(strings.Split(c.line, " "), &out, commands)
		if got := strings.Join(strings.Fields(out.String()), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.line, got, c.want)
		}
	}
	complete(nil, &bytes.Buffer{}, commands)
}

// Without a server the commands are those of the documentation.
func TestCompleteWithoutServer(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile("(?m)(?:^\\| |DHCPv6 has )`([a-z0-9-]+)`").FindAllSubmatch(page, -1) {
		want = append(want, string(m[1]))
	}
	slices.Sort(want)
	if got := serverCommands([]string{"-s", filepath.Join(t.TempDir(), "none")}); !slices.Equal(got, slices.Compact(want)) {
		t.Errorf("documentedCommands has %v, docs/commands.md %v", got, want)
	}
}

// TestCompletionInShells lets shells that are installed complete lines, with a
// program in place of this one that says how it is called.
func TestCompletionInShells(t *testing.T) {
	dir := t.TempDir()
	program := "#!/bin/sh\nshift\nfor w; do printf '<%s>' \"$w\"; done\necho\n"
	if err := os.WriteFile(filepath.Join(dir, "peregrine"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	// What the shell does between a tab and the list of choices.
	for shell, script := range map[string]string{
		"bash": bashCompletion + `COMP_WORDS=(peregrine ctl -s "/run/a b" le); COMP_CWORD=4; _peregrine; printf '%s\n' "${COMPREPLY[@]}"
COMP_WORDS=(peregrine ""); COMP_CWORD=1; _peregrine; printf '%s\n' "${COMPREPLY[@]}"`,
		"zsh": `compdef() { :; }; compadd() { shift; print -rl -- "${(@P)1}"; }
` + zshCompletion + `words=(peregrine ctl -s "/run/a b" le); CURRENT=5; _peregrine; words=(peregrine ""); CURRENT=2; _peregrine`,
	} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not installed: its script is not tried", shell)
			continue
		}
		cmd := exec.Command(path)
		cmd.Stdin = strings.NewReader(script)
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "<ctl><-s></run/a b><le>\n<>\n" {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}

// The scripts are what their shells take, where these are installed.
func TestCompletionScripts(t *testing.T) {
	for shell, script := range map[string]string{"bash": bashCompletion, "zsh": zshCompletion} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not installed: its script is not tried", shell)
			continue
		}
		cmd := exec.Command(path, "-n")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}
