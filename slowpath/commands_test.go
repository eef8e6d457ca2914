package slowpath

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite docs/commands.md")

// commandDocs says of every command what it takes and does; the test below
// makes it, docs/commands.md and list-commands agree.
var commandDocs = map[string][2]string{
	"build-report":                   {"", "what the program was built from"},
	"config-backend-pull":            {"", "nothing: there is no configuration backend"},
	"interface-add":                  {"`interfaces`, a list as in `interfaces-config`", "serves these interfaces too; `config-write` keeps that"},
	"interface-list":                 {"", "the interfaces of the system, and which of them are served"},
	"interface-redetect":             {"", "as `interface-list`: interfaces are followed all the time"},
	"config-get":                     {"", "the running configuration with defaults filled in, and its hash; secrets are shown as `*****`, which `config-set` takes as those in force"},
	"config-hash-get":                {"", "the hash of the running configuration (SHA-256)"},
	"config-reload":                  {"", "reads the start-up file again; a bad one leaves the running configuration in place"},
	"config-set":                     {"`{\"Dhcp4\": {…}}`, perhaps `\"Dataplane\"`", "puts a configuration in force; without `Dataplane` the present one is kept"},
	"config-test":                    {"as `config-set`", "says whether `config-set` would take it; hook libraries are not loaded"},
	"config-write":                   {"`filename` (optional)", "writes the running configuration, atomically, into the directory of the start-up file"},
	"dhcp-disable":                   {"`max-period` s, `origin`, `origin-id`", "stops answering for that origin"},
	"dhcp-enable":                    {"`origin`, `origin-id`", "takes that origin's stop back"},
	"extended-info4-upgrade":         {"", "holds what leases keep of their relays against `extended-info-checks` and says how many it has changed; DHCPv6 has `extended-info6-upgrade`"},
	"kea-lfc-start":                  {"", "takes a snapshot of the leases and removes the journal before it"},
	"leases-reclaim":                 {"`remove` (boolean)", "reclaims every expired lease now"},
	"list-commands":                  {"", "the names of all commands"},
	"server-tag-get":                 {"", "the server tag"},
	"shutdown":                       {"`exit-value` (optional)", "ends the server"},
	"statistic-get":                  {"`name`", "the samples of one statistic, newest first; nothing if there is none of that name"},
	"statistic-get-all":              {"", "all statistics"},
	"statistic-global-get-all":       {"", "all statistics but those of subnets"},
	"statistic-remove":               {"`name`", "forgets the samples of a statistic"},
	"statistic-remove-all":           {"", "forgets the samples of all statistics (deprecated by Kea)"},
	"statistic-sample-age-set":       {"`name`, `duration` s", "keeps the samples of a statistic for so long"},
	"statistic-sample-age-set-all":   {"`duration` s", "the same for all statistics"},
	"statistic-sample-count-set":     {"`name`, `max-samples`", "keeps so many samples of a statistic"},
	"statistic-sample-count-set-all": {"`max-samples`", "the same for all statistics"},
	"statistic-reset":                {"`name`", "sets a packet statistic to 0"},
	"statistic-reset-all":            {"", "sets all packet statistics to 0"},
	"status-get":                     {"", "pid, uptime, DHCP state, sockets; ours: `dataplane` (mode in use by interface), `lease-store`"},
	"subnet4-select-test":            {"`interface`, `address` (ciaddr), `relay` (giaddr), `local`, `remote`, `link` (RAI link selection), `subnet` (option 118), `classes`, all optional", "the subnet that such a query would get; DHCPv6 has `subnet6-select-test` (`interface`, `interface-id`, `remote`, `link`, `classes`)"},
	"subnet4o6-select-test":          {"`interface`, `interface-id`, `address`, `relay`, `local`, `remote`, `link`, `subnet`, `classes`, all optional", "3: no subnet is for DHCPv4-over-DHCPv6"},
	"version-get":                    {"", "the version of Kea that is served, and in `extended` our own"},
}

func TestCommandsAreDocumented(t *testing.T) {
	b := newBed(t, testConfig("", "", ""), Options{})
	defer b.close()
	names := b.s.registry.Names()
	var text strings.Builder
	text.WriteString("# Control commands\n\nOver every `control-sockets` entry and through `peregrine ctl`. Answers, result codes and texts are Kea's: 0 success,\n" +
		"1 error, 2 unsupported, 3 empty, 4 conflict, 5 fatal. Hook libraries add theirs, listed below by library. This page is written by a test.\n\n| command | arguments | what it does |\n|---|---|---|\n")
	for _, n := range names {
		d, ok := commandDocs[n]
		if !ok {
			t.Errorf("command %s has no documentation here", n)
		}
		fmt.Fprintf(&text, "| `%s` | %s | %s |\n", n, d[0], d[1])
	}
	if len(names) != len(commandDocs) {
		t.Errorf("%d commands are documented, %d exist", len(commandDocs), len(names))
	}
	text.WriteString(hookDocsPage(t))
	const page = "../docs/commands.md"
	if *rewrite {
		if err := os.WriteFile(page, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != text.String() {
		t.Errorf("docs/commands.md is not what is served (%v): go test ./slowpath -run Documented -rewrite", err)
	}
}
