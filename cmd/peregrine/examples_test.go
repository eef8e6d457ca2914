package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// keaExamples is where Debian's kea-doc has Kea's own examples.
const keaExamples = "/usr/share/doc/kea/examples"

// notServedOf says of Kea's examples which parts are not served; what is not named
// is served in all its parts.
var notServedOf = map[string][]string{
	"kea4/all-keys.json":                  {`"dhcp4o6-port"`, `"hosts-databases"`, `"4o6-subnet"`, `"config-databases"`},
	"kea4/all-keys-netconf.json":          {`"dhcp4o6-port"`, `"hosts-databases"`, `"4o6-subnet"`, `"config-databases"`},
	"kea4/config-backend.json":            {`"config-databases"`, `hook library "mysql_cb"`},
	"kea4/dhcpv4-over-dhcpv6.json":        {`"4o6-interface"`, `"4o6-subnet"`, `"dhcp4o6-port"`},
	"kea4/ha-load-balancing-primary.json": {`hook library "ha"`},
	"kea4/hooks-radius.json":              {`hook library "flex_id"`, `hook library "radius"`},
	"kea4/hooks.json":                     {`unknown hook library "security"`, `unknown hook library "charging"`},
	"kea4/mysql-reservations.json":        {`"hosts-database"`},
	"kea4/pgsql-reservations.json":        {`"hosts-databases"`},
	"kea4/with-ddns.json":                 {`"enable-updates"`},
	"kea6/all-keys.json":                  {`"hosts-databases"`, `"config-databases"`},
	"kea6/all-keys-netconf.json":          {`"hosts-databases"`, `"config-databases"`},
	"kea6/config-backend.json":            {`"config-databases"`, `hook library "mysql_cb"`},
	"kea6/dhcpv4-over-dhcpv6.json":        {`"dhcp4o6-port"`},
	"kea6/ha-hot-standby.json":            {`hook library "ha"`},
	"kea6/hooks.json":                     {`unknown hook library "security"`, `unknown hook library "charging"`},
	"kea6/mysql-reservations.json":        {`"hosts-database"`},
	"kea6/pgsql-reservations.json":        {`"hosts-databases"`},
	"kea6/with-ddns.json":                 {`"enable-updates"`},
}

// notOfKea3 are forms that Kea 2 takes and Kea 3 refuses, as this server does.
var notOfKea3 = regexp.MustCompile(`a subnet must have an "id" |"ip-address" was removed from Kea: |was moved out of "dhcp-ddns": `)

// TestKeaExamples: check finds nothing wrong with Kea's own examples but what Kea 3
// finds, and names exactly the parts that are not served, each at its place.
func TestKeaExamples(t *testing.T) {
	files, _ := filepath.Glob(keaExamples + "/kea[46]/*.json")
	if len(files) == 0 {
		t.Skipf("no examples in %s: Debian's kea-doc is not installed", keaExamples)
	}
	seen := map[string]bool{}
	for _, path := range files {
		name, _ := filepath.Rel(keaExamples, path)
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(text), "\n")
			var parts []*keajson.Error
			snap, err := checkFile(path, false, true)
			if e := config.AsErrors(err); e != nil {
				for _, x := range e.List {
					if !notOfKea3.MatchString(x.Msg) {
						t.Errorf("refused: %v", x)
					}
				}
				parts = e.NotServed
			} else if err != nil {
				t.Fatal(err)
			} else {
				parts = snap.NotServed
			}
			var got []string
			quoted := regexp.MustCompile(`"([^"]*)"`)
			for _, x := range parts {
				what, served := strings.CutPrefix(x.Msg, "not served by this version: ")
				if i := strings.IndexAny(what, "("); i > 0 {
					what = strings.TrimSpace(what[:i])
				}
				if served == strings.HasPrefix(what, "unknown") {
					t.Errorf("%v: not what is said of such a part", x)
				}
				got = append(got, what)
				word := quoted.FindStringSubmatch(what)[1]
				if x.Pos.Line < 1 || x.Pos.Line > len(lines) || !strings.Contains(lines[x.Pos.Line-1][x.Pos.Col-1:], word) {
					t.Errorf("%v: there is no %q", x, word)
				}
			}
			if want := notServedOf[name]; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
				t.Errorf("not served are %q, want %q", got, want)
			}
		})
	}
	for name := range notServedOf {
		if !seen[name] {
			t.Errorf("there is no example %s", name)
		}
	}
}

// TestCheckStatus: 0 for a file that is good, 1 for a broken one, 3 for one that has
// parts that are not served, which are all listed, also beside what is broken.
func TestCheckStatus(t *testing.T) {
	const ha = `"hooks-libraries": [ { "library": "/usr/lib/kea/hooks/libdhcp_ha.so" }, { "library": "/opt/charging.so" } ]`
	for _, c := range []struct {
		name, text     string
		status         int
		stdout, stderr string
	}{
		{"good", `{ "Dhcp4": { } }`, 0, "FILE: good: 0 subnets", ""},
		{"broken", `{ "Dhcp4": { "subnet4": [ { "id": 1 } ] } }`, 1, "", `FILE:1:27: `},
		{"not served", `{ "Dhcp4": { ` + ha + `, "dhcp4o6-port": 6767 } }`, 3, "FILE: good but for 3 parts not served: 0 subnets",
			`FILE:1:48: not served by this version: hook library "ha" (from "/usr/lib/kea/hooks/libdhcp_ha.so")
FILE:1:99: unknown hook library "charging" (from "/opt/charging.so"), which is not one of Kea's either
FILE:1:123: not served by this version: "dhcp4o6-port" (only 0 is)
`},
		{"both", `{ "Dhcp4": { ` + ha + `, "valid-lifetime": "x" } }`, 1, "", `unknown hook library "charging"`},
		{"one", `{ "Dhcp6": { "lease-database": { "type": "mysql" } } }`, 3, "FILE: good but for 1 part not served: 0 IPv6 subnets", `FILE:1:42: not served by this version: "type": "mysql"` + "\n"},
		{"misspelt", `{ "Dhcp4": { "hooks-libraries": [ { "library": "/x/libdhcp_lease_cmd.so" } ] } }`, 3, "1 part not served", `unknown hook library "lease_cmd" (from "/x/libdhcp_lease_cmd.so"): did you mean "lease_cmds"?`},
		{"hook parameters", `{ "Dhcp4": { "hooks-libraries": [ { "library": "libdhcp_host_cache.so", "parameters": { "maximum": -5 } } ] } }`, 1, "", `FILE:1:48: load hook library host_cache: `},
		{"certificates", `{ "Dhcp4": { "control-sockets": [ { "socket-type": "https", "trust-anchor": "my-ca", "cert-file": "my-cert", "key-file": "my-key" } ] } }`,
			0, "FILE: good", `FILE:1:35: control socket 127.0.0.1 port 8000: read trust-anchor: stat my-ca: no such file or directory`},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "kea.conf")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr strings.Builder
			status := checkMain([]string{file}, &stdout, &stderr)
			out, said := strings.ReplaceAll(stdout.String(), file, "FILE"), strings.ReplaceAll(stderr.String(), file, "FILE")
			if status != c.status || !strings.Contains(out, c.stdout) || out != "" && c.stdout == "" || !strings.Contains(said, c.stderr) {
				t.Errorf("status %d\n%s%swant %d\n%s\n%s", status, out, said, c.status, c.stdout, c.stderr)
			}
			stderr.Reset()
			if as := keaMain(root4, []string{"-t", file}, &stdout, &stderr); strings.Contains(c.text, "Dhcp4") && (as != 0) != (c.status != 0) {
				t.Errorf("kea-dhcp4 -t: status %d\n%s", as, stderr.String())
			}
		})
	}
}
