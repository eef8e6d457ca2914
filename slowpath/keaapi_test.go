package slowpath

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

// keaCommand is what Kea's description of its API (src/share/api of its source,
// 3.3.1) says of a command.
type keaCommand struct {
	name string
	hook string // the library that has it, "" for the server itself
	// write is its "access".
	write bool
	// good are arguments that are complete and right, "" for none; they are given
	// in the order of the table, so that what is added is there to be removed.
	// Every documented member is there, but for those that exclude each other.
	good string
	// must are the mandatory members.
	must string
	// result is what good is answered with.
	result int
}

// What a command of Kea's two DHCP servers takes. host_cache, perfmon and the
// commands about leases, subnets and hosts are told of in full in
// testdata/commands.
var keaCommands = map[string][]keaCommand{
	"both": {
		{"build-report", "", false, ``, "", 0},
		{"config-backend-pull", "", true, ``, "", 3},
		{"config-get", "", false, ``, "", 0},
		{"config-hash-get", "", false, ``, "", 0},
		{"config-reload", "", true, ``, "", 0},
		{"config-set", "", true, `{"DhcpN": CONFIG}`, "DhcpN", 0},
		{"config-test", "", true, `{"DhcpN": CONFIG}`, "DhcpN", 0},
		{"config-write", "", true, `{"filename": "written.json"}`, "", 0},
		{"dhcp-disable", "", true, `{"max-period": 20, "origin": "ha-partner", "origin-id": 2002}`, "", 0},
		{"dhcp-enable", "", true, `{"origin": "ha-partner", "origin-id": 2002}`, "", 0},
		{"interface-add", "", true, `{"interfaces": ["dhcp1"]}`, "interfaces", 0},
		{"interface-list", "", false, ``, "", 0},
		{"interface-redetect", "", true, ``, "", 0},
		{"kea-lfc-start", "", true, ``, "", 0},
		{"leases-reclaim", "", true, `{"remove": true}`, "remove", 0},
		{"list-commands", "", false, `{}`, "", 0},
		{"server-tag-get", "", false, ``, "", 0},
		{"shutdown", "", true, `{"exit-value": 3}`, "", 0},
		{"statistic-get", "", false, `{"name": "pkt4-received"}`, "name", 0},
		{"statistic-get-all", "", false, `{}`, "", 0},
		{"statistic-global-get-all", "", false, `{}`, "", 0},
		{"statistic-reset", "", true, `{"name": "pktN-received"}`, "name", 0},
		{"statistic-reset-all", "", true, `{}`, "", 0},
		{"statistic-sample-age-set", "", true, `{"name": "pktN-received", "duration": 1245}`, "name duration", 0},
		{"statistic-sample-age-set-all", "", true, `{"duration": 1245}`, "duration", 0},
		{"statistic-sample-count-set", "", true, `{"name": "pktN-received", "max-samples": 100}`, "name max-samples", 0},
		{"statistic-sample-count-set-all", "", true, `{"max-samples": 100}`, "max-samples", 0},
		{"statistic-remove", "", true, `{"name": "pktN-received"}`, "name", 0},
		{"statistic-remove-all", "", true, `{}`, "", 0},
		{"status-get", "", false, ``, "", 0},
		{"version-get", "", false, ``, "", 0},

		{"class-list", "class_cmds", false, ``, "", 3},
		{"class-add", "class_cmds", true, `{"client-classes": [{"name": "voip", "test": "'a' == 'a'", "option-data": []}]}`, "client-classes", 0},
		{"class-get", "class_cmds", false, `{"name": "voip"}`, "name", 0},
		{"class-update", "class_cmds", true, `{"client-classes": [{"name": "voip", "test": "'a' == 'b'"}]}`, "client-classes", 0},
		{"class-del", "class_cmds", true, `{"name": "voip"}`, "name", 0},

		{"cache-size", "host_cache", false, ``, "", 0},
		{"cache-insert", "host_cache", true, `{"hw-address": "01:02:03:04:05:06", "subnet-id4": 1, "subnet-id6": 1, "hostname": "h", "client-classes4": [], "client-classes6": [], "option-data4": [], "option-data6": [], "next-server": "192.0.2.2", "server-hostname": "s", "boot-file-name": "b", "host-id": 0, "ip-address": "10.67.0.9"}`, "", 0},
		{"cache-get", "host_cache", false, ``, "", 0},
		{"cache-get-by-id", "host_cache", false, `{"hw-address": "01:02:03:04:05:06"}`, "", 0},
		{"cache-write", "host_cache", true, `"cache.json"`, "", 0},
		{"cache-remove", "host_cache", true, `{"ip-address": "10.67.0.9", "subnet-id": 1}`, "subnet-id", 0},
		{"cache-load", "host_cache", true, `"cache.json"`, "", 0},
		{"cache-flush", "host_cache", true, `5`, "", 0},
		{"cache-clear", "host_cache", true, ``, "", 0},

		{"perfmon-control", "perfmon", true, `{"enable-monitoring": true, "stats-mgr-reporting": false}`, "", 0},
		{"perfmon-get-all-durations", "perfmon", true, `{"result-set-format": true}`, "", 3},

		{"reservation-get-page", "host_cmds", false, `{"subnet-id": 1, "limit": 10, "source-index": 0, "from": 0}`, "limit", 3},
		{"reservation-get-all", "host_cmds", false, `{"subnet-id": 1, "operation-target": "default"}`, "subnet-id", 3},

		{"sflq-pool4-get-all", "lease_cmds", false, ``, "", 1},
		{"sflq-pool4-get-by-subnet", "lease_cmds", false, `{"subnet-id": 1}`, "subnet-id", 1},
		{"sflq-pool4-get-by-range", "lease_cmds", false, `{"start-address": "10.67.1.0", "end-address": "10.67.1.255"}`, "start-address end-address", 1},
		{"sflq-pool4-rebuild", "lease_cmds", true, `{"start-address": "10.67.1.0", "end-address": "10.67.1.255"}`, "start-address end-address", 1},
		{"sflq-pool4-del", "lease_cmds", true, `{"start-address": "10.67.1.0", "end-address": "10.67.1.255", "force": true}`, "start-address end-address", 1},
		{"sflq-pool6-get-all", "lease_cmds", false, ``, "", 1},
		{"sflq-pool6-get-by-subnet", "lease_cmds", false, `{"subnet-id": 1}`, "subnet-id", 1},
		{"sflq-pool6-get-by-range", "lease_cmds", false, `{"start-address": "2001:db8:1::100", "end-address": "2001:db8:1::1ff"}`, "start-address end-address", 1},
		{"sflq-pool6-rebuild", "lease_cmds", true, `{"start-address": "2001:db8:1::100", "end-address": "2001:db8:1::1ff"}`, "start-address end-address", 1},
		{"sflq-pool6-del", "lease_cmds", true, `{"start-address": "2001:db8:1::100", "end-address": "2001:db8:1::1ff", "force": true}`, "start-address end-address", 1},
	},
	"Dhcp4": {
		{"extended-info4-upgrade", "", true, ``, "", 0},
		{"subnet4-select-test", "", false, `{"interface": "dhcp0", "address": "10.67.0.9", "relay": "10.67.0.2", "local": "10.67.0.1", "remote": "10.67.0.2", "link": "10.67.0.2", "subnet": "10.67.0.2", "classes": ["ALL"]}`, "", 0},
		{"subnet4o6-select-test", "", false, `{"interface": "dhcp0", "interface-id": "'x'", "address": "10.67.0.9", "relay": "10.67.0.2", "local": "2001:db8:1::1", "remote": "2001:db8:1::2", "link": "2001:db8:1::2", "subnet": "10.67.0.2", "classes": ["ALL"]}`, "", 3},

		{"lease4-add", "lease_cmds", true, `{"ip-address": "10.67.0.9", "hw-address": "02:00:00:00:00:09", "subnet-id": 1, "client-id": "01:02:03", "valid-lft": 3600, "expire": 4000000000, "fqdn-fwd": true, "fqdn-rev": true, "hostname": "h.example.org", "pool-id": 0, "state": 0, "user-context": {"a": 1}}`, "ip-address hw-address", 0},
		{"lease4-get", "lease_cmds", false, `{"ip-address": "10.67.0.9"}`, "", 0},
		{"lease4-get-all", "lease_cmds", false, `{"subnets": [1]}`, "subnets", 0},
		{"lease4-get-by-client-id", "lease_cmds", false, `{"client-id": "01:02:03"}`, "client-id", 0},
		{"lease4-get-by-hostname", "lease_cmds", false, `{"hostname": "h.example.org"}`, "hostname", 0},
		{"lease4-get-by-hw-address", "lease_cmds", false, `{"hw-address": "02:00:00:00:00:09"}`, "hw-address", 0},
		{"lease4-get-by-state", "lease_cmds", false, `{"state": 0, "subnet-id": 1}`, "state", 0},
		{"lease4-get-page", "lease_cmds", false, `{"limit": 10, "from": "start"}`, "limit from", 0},
		{"lease4-resend-ddns", "lease_cmds", true, `{"ip-address": "10.67.0.9"}`, "ip-address", 4},
		{"lease4-update", "lease_cmds", true, `{"ip-address": "10.67.0.9", "hostname": "i.example.org", "hw-address": "02:00:00:00:00:09", "subnet-id": 1, "force-create": true}`, "ip-address hw-address", 0},
		{"lease4-write", "lease_cmds", true, `{"filename": "leases.csv"}`, "filename", 0},
		{"lease4-del", "lease_cmds", true, `{"ip-address": "10.67.0.9", "update-ddns": true}`, "", 0},
		{"lease4-wipe", "lease_cmds", true, `{"subnet-id": 1}`, "", 3},

		{"stat-lease4-get", "stat_cmds", false, `{"subnet-id": 1}`, "", 0},

		{"reservation-add", "host_cmds", true, `{"reservation": {"subnet-id": 1, "hw-address": "02:00:00:00:00:07", "ip-address": "10.67.0.7", "boot-file-name": "b", "hostname": "h", "next-server": "192.0.2.2", "option-data": [], "client-classes": ["a"], "server-hostname": "s", "user-context": {}}, "operation-target": "database"}`, "reservation", 0},
		{"reservation-get", "host_cmds", false, `{"subnet-id": 1, "identifier-type": "hw-address", "identifier": "02:00:00:00:00:07", "operation-target": "all"}`, "subnet-id identifier", 0},
		{"reservation-get-by-address", "host_cmds", false, `{"subnet-id": 1, "ip-address": "10.67.0.7", "operation-target": "all"}`, "ip-address", 0},
		{"reservation-get-by-hostname", "host_cmds", false, `{"subnet-id": 1, "hostname": "h", "operation-target": "all"}`, "hostname", 0},
		{"reservation-get-by-id", "host_cmds", false, `{"identifier-type": "hw-address", "identifier": "02:00:00:00:00:07", "operation-target": "all"}`, "identifier-type identifier", 0},
		{"reservation-update", "host_cmds", true, `{"reservation": {"subnet-id": 1, "hw-address": "02:00:00:00:00:07", "ip-address": "10.67.0.8"}, "operation-target": "database"}`, "reservation", 0},
		{"reservation-del", "host_cmds", true, `{"subnet-id": 1, "identifier-type": "hw-address", "identifier": "02:00:00:00:00:07", "operation-target": "all"}`, "subnet-id identifier", 0},
	},
	"Dhcp6": {
		{"extended-info6-upgrade", "", true, ``, "", 0},
		{"subnet6-select-test", "", false, `{"interface": "dhcp0", "interface-id": "'x'", "remote": "fe80::1", "link": "2001:db8:1::2", "classes": ["ALL"]}`, "", 0},

		{"lease6-add", "lease_cmds", true, `{"subnet-id": 1, "ip-address": "2001:db8:1::9", "duid": "1a:1b:1c:1d:1e:1f:20:21:22:23:24", "iaid": 1234, "hw-address": "02:00:00:00:00:09", "preferred-lft": 500, "valid-lft": 1000, "expire": 4000000000, "fqdn-fwd": true, "fqdn-rev": true, "hostname": "h.example.org", "type": "IA_NA", "pool-id": 0, "state": 0, "user-context": {"a": 1}}`, "ip-address duid iaid", 0},
		{"lease6-get", "lease_cmds", false, `{"ip-address": "2001:db8:1::9", "type": "IA_NA"}`, "", 0},
		{"lease6-get-all", "lease_cmds", false, `{"subnets": [1]}`, "subnets", 0},
		{"lease6-get-by-duid", "lease_cmds", false, `{"duid": "1a:1b:1c:1d:1e:1f:20:21:22:23:24"}`, "duid", 0},
		{"lease6-get-by-hostname", "lease_cmds", false, `{"hostname": "h.example.org"}`, "hostname", 0},
		{"lease6-get-by-hw-address", "lease_cmds", false, `{"hw-address": "02:00:00:00:00:09"}`, "hw-address", 0},
		{"lease6-get-by-state", "lease_cmds", false, `{"state": 0, "subnet-id": 1}`, "state", 0},
		{"lease6-get-page", "lease_cmds", false, `{"limit": 10, "from": "start"}`, "limit from", 0},
		{"lease6-resend-ddns", "lease_cmds", true, `{"ip-address": "2001:db8:1::9"}`, "ip-address", 4},
		{"lease6-update", "lease_cmds", true, `{"ip-address": "2001:db8:1::9", "duid": "88:88:88:88", "iaid": 7654321, "hostname": "i.example.org", "subnet-id": 1, "force-create": false}`, "ip-address duid iaid", 0},
		{"lease6-bulk-apply", "lease_cmds", true, `{"deleted-leases": [{"ip-address": "2001:db8:1::9", "type": "IA_NA"}], "leases": [{"subnet-id": 1, "ip-address": "2001:db8:1::a", "type": "IA_NA", "duid": "88:88:88:88", "iaid": 1}]}`, "", 0},
		{"lease6-write", "lease_cmds", true, `{"filename": "leases.csv"}`, "filename", 0},
		{"lease6-del", "lease_cmds", true, `{"ip-address": "2001:db8:1::a", "update-ddns": true}`, "", 0},
		{"lease6-wipe", "lease_cmds", true, `{"subnet-id": 1}`, "", 3},

		{"stat-lease6-get", "stat_cmds", false, `{"subnet-id": 1}`, "", 0},

		{"reservation-add", "host_cmds", true, `{"reservation": {"subnet-id": 1, "duid": "02:00:00:00:00:07", "ip-addresses": ["2001:db8:1::7"], "prefixes": [], "hostname": "h", "option-data": [], "client-classes": ["a"], "user-context": {}}, "operation-target": "database"}`, "reservation", 0},
		{"reservation-get", "host_cmds", false, `{"subnet-id": 1, "identifier-type": "duid", "identifier": "02:00:00:00:00:07", "operation-target": "all"}`, "subnet-id identifier", 0},
		{"reservation-get-by-address", "host_cmds", false, `{"subnet-id": 1, "ip-address": "2001:db8:1::7", "operation-target": "all"}`, "ip-address", 0},
		{"reservation-get-by-hostname", "host_cmds", false, `{"subnet-id": 1, "hostname": "h", "operation-target": "all"}`, "hostname", 0},
		{"reservation-get-by-id", "host_cmds", false, `{"identifier-type": "duid", "identifier": "02:00:00:00:00:07", "operation-target": "all"}`, "identifier-type identifier", 0},
		{"reservation-update", "host_cmds", true, `{"reservation": {"subnet-id": 1, "duid": "02:00:00:00:00:07", "ip-addresses": ["2001:db8:1::8"]}, "operation-target": "database"}`, "reservation", 0},
		{"reservation-del", "host_cmds", true, `{"subnet-id": 1, "identifier-type": "duid", "identifier": "02:00:00:00:00:07", "operation-target": "all"}`, "subnet-id identifier", 0},
	},
}

// keaSubnetCommands are those of subnet_cmds, with the family's digit for N.
var keaSubnetCommands = []keaCommand{
	{"networkN-list", "subnet_cmds", false, ``, "", 3},
	{"subnetN-list", "subnet_cmds", false, ``, "", 0},
	{"subnetN-add", "subnet_cmds", true, `{"subnetN": [{"id": 5, "subnet": "PREFIX"}]}`, "subnetN", 0},
	{"subnetN-get", "subnet_cmds", false, `{"id": 5}`, "", 0},
	{"subnetN-update", "subnet_cmds", true, `{"subnetN": [{"id": 5, "subnet": "PREFIX", "valid-lifetime": 500}]}`, "subnetN", 0},
	{"subnetN-delta-add", "subnet_cmds", true, `{"subnetN": [{"id": 5, "subnet": "PREFIX", "valid-lifetime": 600}]}`, "subnetN", 0},
	{"subnetN-delta-del", "subnet_cmds", true, `{"subnetN": [{"id": 5, "subnet": "PREFIX", "valid-lifetime": 0}]}`, "subnetN", 0},
	{"networkN-add", "subnet_cmds", true, `{"shared-networks": [{"name": "floor13", "subnetN": []}]}`, "shared-networks", 0},
	{"networkN-get", "subnet_cmds", false, `{"name": "floor13"}`, "name", 0},
	{"networkN-subnet-add", "subnet_cmds", true, `{"name": "floor13", "id": 5}`, "name id", 0},
	{"networkN-subnet-del", "subnet_cmds", true, `{"name": "floor13", "id": 5}`, "name id", 0},
	{"networkN-del", "subnet_cmds", true, `{"name": "floor13", "subnets-action": "keep"}`, "name", 0},
	{"subnetN-del", "subnet_cmds", true, `{"id": 5}`, "", 0},
}

// unlike are the members whose wrong type or absence is answered otherwise than
// with an error that names them, and why.
var unlike = map[string]string{
	"dhcp-disable type of origin":                      "origin-id is looked at alone where both are there",
	"dhcp-enable type of origin":                       "origin-id is looked at alone where both are there",
	"class-add without client-classes":                 "the map is then empty, and Kea says that",
	"class-get without name":                           "the map is then empty, and Kea says that",
	"class-update without client-classes":              "the map is then empty, and Kea says that",
	"class-del without name":                           "the map is then empty, and Kea says that",
	"subnet4-select-test type of subnet":               "not looked at where there is a link, as in Kea",
	"lease4-add type of user-context":                  "Kea writes \"user context\"",
	"lease6-add type of user-context":                  "Kea writes \"user context\"",
	"subnet4-delta-del type of subnet4/subnet":         "only the names of what is to be removed count",
	"subnet6-delta-del type of subnet6/subnet":         "only the names of what is to be removed count",
	"subnet4-delta-del type of subnet4/valid-lifetime": "only the names of what is to be removed count",
	"subnet6-delta-del type of subnet6/valid-lifetime": "only the names of what is to be removed count",
}

func (c *keaCommand) in(family string) keaCommand {
	prefix := "192.0.2.0/24"
	if family == "6" {
		prefix = "2001:db8:2::/64"
	}
	r := strings.NewReplacer("networkN", "network"+family, "subnetN", "subnet"+family, "DhcpN", "Dhcp"+family, "pktN", "pkt"+family, "PREFIX", prefix)
	d := *c
	d.name, d.good, d.must = r.Replace(d.name), r.Replace(d.good), r.Replace(d.must)
	return d
}

// wrong is a value of another type than v; v is JSON.
func wrong(v json.RawMessage) string {
	switch v[0] {
	case '"':
		return `false`
	case '[':
		return `{"x": 1}`
	case '{':
		return `[1]`
	case 't', 'f':
		return `"yes"`
	}
	return `{"x": 1}`
}

// mutations calls f with v after each of its members, at any depth, was given
// another type; path is which.
func mutations(v json.RawMessage, f func(path string, changed string)) {
	switch v[0] {
	case '{':
		var m map[string]json.RawMessage
		if json.Unmarshal(v, &m) != nil {
			return
		}
		with := func(name, value string) string {
			var parts []string
			for _, k := range slices.Sorted(maps.Keys(m)) {
				if k != name {
					parts = append(parts, fmt.Sprintf("%q: %s", k, m[k]))
				}
			}
			return "{" + strings.Join(append(parts, fmt.Sprintf("%q: %s", name, value)), ", ") + "}"
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			f(name, with(name, wrong(m[name])))
			if name == "user-context" || strings.HasPrefix(name, "Dhcp") {
				continue // anything goes; the configuration has tests of its own
			}
			mutations(m[name], func(path, changed string) { f(name+"/"+path, with(name, changed)) })
		}
	case '[':
		var l []json.RawMessage
		if json.Unmarshal(v, &l) == nil && len(l) == 1 {
			mutations(l[0], func(path, changed string) { f(path, "["+changed+"]") })
		}
	}
}

func without(v, name string) string {
	var m map[string]json.RawMessage
	if json.Unmarshal([]byte(v), &m) != nil {
		return v
	}
	delete(m, name)
	out, _ := json.Marshal(m)
	return string(out)
}

// Every command that Kea 3.3.1 describes for its DHCP servers and these libraries
// is there, reads or writes as described, takes every documented argument, and
// refuses a wrong or missing one with Kea's result and a text that names it.
func TestCommandsOfKeasDescription(t *testing.T) {
	for _, family := range []string{"4", "6"} {
		t.Run("Dhcp"+family, func(t *testing.T) { testKeaCommands(t, family) })
	}
}

func testKeaCommands(t *testing.T, family string) {
	dir := t.TempDir()
	t.Setenv("KEA_DHCP_DATA_DIR", dir)
	text := testConfig(dir, librariesKey("lease_cmds", "host_cmds", "subnet_cmds", "class_cmds", "stat_cmds", "perfmon", "host_cache"), "")
	if family == "6" {
		text = testConfig6(dir, "", librariesKey("lease_cmds", "host_cmds", "subnet_cmds", "class_cmds", "stat_cmds", "perfmon", "host_cache"), true)
	}
	o := hookOptions()
	o.ConfigFile = dir + "/kea.conf"
	o.Shutdown = func(int) {}
	snap := parse(t, text)
	o.Load = func(string) (*config.Snapshot, error) { return parse(t, text), nil }
	b := newBed(t, text, o)
	defer b.close()
	registry := b.s.registry
	if family == "6" {
		registry = b.s.six.registry
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(snap.Given, &given); err != nil {
		t.Fatal(err)
	}
	run := func(name, args string) control.Response {
		return registry.Run(context.Background(), &control.Call{Command: name, Arguments: json.RawMessage(args)})
	}
	commands := append(slices.Clone(keaCommands["both"]), keaCommands["Dhcp"+family]...)
	commands = append(commands, keaSubnetCommands...)
	names := registry.Names()
	for _, k := range commands {
		k := k.in(family)
		k.good = strings.ReplaceAll(k.good, "CONFIG", string(given["Dhcp"+family]))
		if !slices.Contains(names, k.name) {
			t.Errorf("%s does not exist", k.name)
			continue
		}
		if writes, _ := registry.Mutates(k.name); writes != k.write && !(k.write && harmless[k.name]) {
			t.Errorf("%s: audited %v, it writes %v", k.name, writes, k.write)
		}
		refused := func(what, member, args string) {
			r := run(k.name, args)
			named := r.Result == control.ResultError && strings.Contains(r.Text, member)
			if why := unlike[k.name+" "+what]; named != (why == "") {
				t.Errorf("%s, %s: %d %q (%s)", k.name, what, r.Result, r.Text, why)
			}
		}
		if k.good != "" {
			mutations(json.RawMessage(k.good), func(path, changed string) {
				refused("type of "+path, path[strings.LastIndexByte(path, '/')+1:], changed)
			})
		}
		for m := range strings.FieldsSeq(k.must) {
			refused("without "+m, m, without(k.good, m))
		}
		if r := run(k.name, k.good); r.Result != k.result {
			t.Errorf("%s %s: %d %q, want %d", k.name, k.good, r.Result, r.Text, k.result)
		}
	}
}

// harmless are commands that Kea counts as writing and that change nothing here.
var harmless = map[string]bool{"config-test": true, "interface-redetect": true, "perfmon-get-all-durations": true}
