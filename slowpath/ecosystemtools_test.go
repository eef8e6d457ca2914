package slowpath

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The commands that tools around Kea send, from their sources; an N is 4 and 6.
// Versions are in docs/stork.md.
var toolCommands = map[string]string{
	"stork": `version-get config-get config-set config-write config-reload list-commands status-get statistic-get statistic-get-all
		reservation-add reservation-del reservation-get-page
		lease4-get lease6-get lease4-get-by-client-id lease6-get-by-duid leaseN-get-by-hostname lease4-get-by-hw-address leaseN-get-by-state
		networkN-add networkN-del networkN-subnet-add networkN-subnet-del
		subnetN-add subnetN-del subnetN-get subnetN-list subnetN-update remote-subnetN-set remote-subnetN-del-by-id`,
	"exporter": `config-get statistic-get-all`,
	// netbox-kea, netbox-kea-ng, the terraform provider, pykeadhcp: one client by HTTP is as the other.
	"netbox": `status-get version-get config-get config-hash-get config-test config-write list-commands dhcp-enable dhcp-disable statistic-get-all
		lease4-get lease4-get-by-hw-address lease4-get-by-hostname leaseN-get-page lease4-add lease4-update lease4-wipe
		subnetN-list subnet4-get subnet4-add subnet4-del subnet4-delta-add subnet4-delta-del stat-leaseN-get class-list
		network4-list network4-get network4-add network4-del network4-subnet-add network4-subnet-del
		reservation-add reservation-get reservation-update reservation-del reservation-get-page remote-subnet4-list`,
	"opnsense": `config-get lease4-get-all lease6-get-page lease4-del`,
	"vyos":     `config-get leaseN-get-all lease4-add lease4-del`,
	"puppet":   `reservation-get reservation-add reservation-update reservation-del`,
}

var recordedCommand = regexp.MustCompile(`(?m)^([a-z]+)(?:-unix|-http)? \{"command": ?"([a-z0-9-]+)"`)

// Every command that a tool sends has a recording with what the tool reads of the
// answer.
func TestToolsAreAnswered(t *testing.T) {
	files, err := filepath.Glob("testdata/ecosystem/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[[2]string]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range recordedCommand.FindAllStringSubmatch(string(text), -1) {
			recorded[[2]string{m[1], m[2]}] = true
		}
	}
	for tool, commands := range toolCommands {
		for c := range strings.FieldsSeq(commands) {
			names := []string{c}
			if strings.Contains(c, "N-") {
				names = []string{strings.Replace(c, "N-", "4-", 1), strings.Replace(c, "N-", "6-", 1)}
			}
			for _, n := range names {
				if !recorded[[2]string{tool, n}] {
					t.Errorf("%s sends %s, and nothing of it is recorded", tool, n)
				}
			}
		}
	}
	for way := range ways {
		tool, _, _ := strings.Cut(way, "-")
		if toolCommands[tool] == "" {
			t.Errorf("it is not said what %s sends", tool)
		}
	}
}

// The tests that docs/stork.md names exist.
func TestToolsPageNamesTests(t *testing.T) {
	page, err := os.ReadFile("../docs/stork.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`Test[A-Z][A-Za-z0-9]+`).FindAllString(string(page), -1)
	if len(names) < 15 {
		t.Errorf("the page names %d tests", len(names))
	}
	there := map[string]bool{}
	for _, folder := range []string{"slowpath", "slowpath/control", "slowpath/metric", "cmd/peregrine"} {
		for name := range testSources(t, folder) {
			there[name] = true
		}
	}
	for _, n := range names {
		if !there[n] {
			t.Errorf("docs/stork.md names %s, which does not exist", n)
		}
	}
}
