package slowpath

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/all"
)

// hookCommandDocs says of the commands of hook libraries, in order, what they
// take and do.
var hookCommandDocs = map[string][][3]string{
	"class_cmds": {
		{"class-add", "`client-classes`: a list with one class", "adds a class behind the others"},
		{"class-del", "`name`", "removes a class; refused while another class asks for it"},
		{"class-get", "`name`", "the definition of a class"},
		{"class-list", "", "the names of the classes"},
		{"class-update", "as `class-add`", "replaces a class"},
	},
	"subnet_cmds": {
		{"network4-add", "`shared-networks`: a list with one network", "adds a shared network, perhaps with subnets"},
		{"network4-del", "`name`, `subnets-action`: `keep` (default) or `delete`", "removes a shared network"},
		{"network4-get", "`name`", "a shared network as `config-get` has it"},
		{"network4-list", "", "the names of the shared networks"},
		{"network4-subnet-add", "`name`, `id`", "puts a subnet into a shared network"},
		{"network4-subnet-del", "`name`, `id`", "takes a subnet out of a shared network"},
		{"subnet4-add", "`subnet4`: a list with one subnet, without reservations", "adds a subnet"},
		{"subnet4-del", "`id`", "removes a subnet; its leases stay"},
		{"subnet4-delta-add", "as `subnet4-add`: `id`, `subnet`, and what is to be added or changed", "changes parts of a subnet"},
		{"subnet4-delta-del", "as `subnet4-add`: `id`, `subnet`, and what is to be removed", "removes parts of a subnet"},
		{"subnet4-get", "`id` or `subnet`", "a subnet as `config-get` has it"},
		{"subnet4-list", "", "ids, prefixes and shared networks of the subnets"},
		{"subnet4-update", "as `subnet4-add`", "replaces a subnet; its reservations stay"},
		{"network6-add", "`shared-networks`: a list with one network", "adds a shared network, perhaps with subnets"},
		{"network6-del", "`name`, `subnets-action`: `keep` (default) or `delete`", "removes a shared network"},
		{"network6-get", "`name`", "a shared network as `config-get` has it"},
		{"network6-list", "", "the names of the shared networks"},
		{"network6-subnet-add", "`name`, `id`", "puts a subnet into a shared network"},
		{"network6-subnet-del", "`name`, `id`", "takes a subnet out of a shared network"},
		{"subnet6-add", "`subnet6`: a list with one subnet, without reservations", "adds a subnet"},
		{"subnet6-del", "`id`", "removes a subnet; its leases stay"},
		{"subnet6-delta-add", "as `subnet6-add`: `id`, `subnet`, and what is to be added or changed", "changes parts of a subnet"},
		{"subnet6-delta-del", "as `subnet6-add`: `id`, `subnet`, and what is to be removed", "removes parts of a subnet"},
		{"subnet6-get", "`id` or `subnet`", "a subnet as `config-get` has it"},
		{"subnet6-list", "", "ids, prefixes and shared networks of the subnets"},
		{"subnet6-update", "as `subnet6-add`", "replaces a subnet; its reservations stay"},
	},
	"perfmon": {
		{"perfmon-control", "`enable-monitoring`, `stats-mgr-reporting` (booleans, both optional)", "switches measuring and reporting; answers with both"},
		{"perfmon-get-all-durations", "`result-set-format` (boolean, optional)", "the durations of the last complete interval"},
	},
	"stat_cmds": {
		{"stat-lease4-get", "`subnet-id`, or `subnet-range` with `first-subnet-id` and `last-subnet-id`; neither: all", "the lease statistics of subnets as a table"},
		{"stat-lease6-get", "as `stat-lease4-get`", "the same of DHCPv6"},
	},
	"host_cmds": {
		{"reservation-add", "`reservation`: a host with `subnet-id`; `operation-target`", "adds a reservation, to the store unless told otherwise"},
		{"reservation-del", "`subnet-id` and `ip-address`, or `subnet-id`, `identifier-type`, `identifier`; `operation-target`", "removes a reservation"},
		{"reservation-get", "as `reservation-del`", "one reservation"},
		{"reservation-get-all", "`subnet-id`, `operation-target`", "the reservations of a subnet, 0 for the global ones"},
		{"reservation-get-by-address", "`ip-address`, `subnet-id` (optional), `operation-target`", "the reservations of an address"},
		{"reservation-get-by-hostname", "`hostname`, `subnet-id` (optional), `operation-target`", "the reservations of a name, in any case"},
		{"reservation-get-by-id", "`identifier-type`, `identifier`, `operation-target`", "a client's reservations in all subnets"},
		{"reservation-get-page", "`limit`; `source-index` and `from` as the page before said in `next`; `subnet-id` (optional)", "reservations, `limit` at a time: those of the configuration, then the store's"},
		{"reservation-update", "as `reservation-add`", "replaces a reservation"},
	},
	"host_cache": {
		{"cache-clear", "", "removes all hosts from the cache"},
		{"cache-flush", "a number", "removes so many of the oldest hosts"},
		{"cache-get", "", "all cached hosts, oldest first"},
		{"cache-get-by-id", "one of `hw-address`, `duid`, `circuit-id`, `client-id`, `flex-id`", "the cached hosts of a client"},
		{"cache-insert", "a host, or a list of hosts: an identifier and `subnet-id4`, `subnet-id6` or both; optional `ip-address`, `ip-addresses`, `prefixes`, `hostname`, `next-server`, `server-hostname`, `boot-file-name`, `client-classes4`, `client-classes6`, `option-data4`, `option-data6`, `user-context`, `host-id`, `negative`", "caches hosts; what has their identifier or address makes way"},
		{"cache-load", "a file name", "caches the hosts of a file in the data directory"},
		{"cache-remove", "`ip-address` and `subnet-id`, or an identifier and `subnet-id4` or `subnet-id6`", "removes one host"},
		{"cache-size", "", "the number of cached hosts"},
		{"cache-write", "a file name", "writes the cached hosts into a file in the data directory"},
	},
	"lease_cmds": {
		{"lease4-add", "a lease: `ip-address`, `hw-address`; optional `subnet-id`, `client-id`, `valid-lft`, `expire`, `fqdn-fwd`, `fqdn-rev`, `hostname`, `state`, `pool-id`, `user-context`, `comment`", "adds a lease; 4 if the address has one"},
		{"lease4-del", "`ip-address`, or `subnet-id`, `identifier-type` (`hw-address`, `client-id`), `identifier`; `update-ddns`", "removes a lease"},
		{"lease4-get", "as `lease4-del`", "one lease"},
		{"lease4-get-all", "`subnets` (list of ids, optional)", "all leases; service goes on meanwhile"},
		{"lease4-get-by-client-id", "`client-id`", "the leases of a client"},
		{"lease4-get-by-hostname", "`hostname`", "the leases of a name, in any case"},
		{"lease4-get-by-hw-address", "`hw-address`", "the leases of a hardware address"},
		{"lease4-get-by-state", "`state` (number or name), `subnet-id` (optional)", "the leases in a state"},
		{"lease4-get-page", "`from`: `start` or an address, `limit`", "leases in ascending order, `limit` at a time"},
		{"lease4-resend-ddns", "`ip-address`", "4: this server sends no DNS updates"},
		{"lease4-update", "as `lease4-add`, and `force-create`", "replaces a lease"},
		{"lease4-wipe", "`subnet-id` (optional)", "removes all leases of a subnet, or of all"},
		{"lease4-write", "`filename`", "writes the leases into a CSV file in the data directory"},
		{"lease6-add", "a lease: `ip-address`, `duid`, `iaid`; `type` (`IA_NA`, `IA_PD`), `prefix-len` of prefixes; optional `preferred-lft`, `hw-address` and as `lease4-add`", "adds a lease; 4 if the address has one"},
		{"lease6-bulk-apply", "`deleted-leases` and `leases`: lists", "removes and writes many leases; says which failed"},
		{"lease6-del", "`ip-address`, `type`, or `subnet-id`, `identifier-type` (`duid`), `identifier`, `iaid`, `type`", "removes a lease"},
		{"lease6-get", "as `lease6-del`", "one lease"},
		{"lease6-get-all", "`subnets` (list of ids, optional)", "all leases; service goes on meanwhile"},
		{"lease6-get-by-duid", "`duid`", "the leases of a client"},
		{"lease6-get-by-hostname", "`hostname`", "the leases of a name, in any case"},
		{"lease6-get-by-hw-address", "`hw-address`", "the leases of a hardware address"},
		{"lease6-get-by-state", "`state` (number or name), `subnet-id` (optional)", "the leases in a state"},
		{"lease6-get-page", "`from`: `start` or an address, `limit`", "leases in ascending order, `limit` at a time"},
		{"lease6-resend-ddns", "`ip-address`", "4: this server sends no DNS updates"},
		{"lease6-update", "as `lease6-add`, and `force-create`", "replaces a lease"},
		{"lease6-wipe", "`subnet-id` (optional)", "removes all leases of a subnet, or of all"},
		{"lease6-write", "`filename`", "writes the leases into a CSV file in the data directory"},
		{"sflq-pool4-del", "`start-address`, `end-address`, `force`", "1: no pools of the allocator `shared-flq`, which needs a lease database"},
		{"sflq-pool4-get-all", "", "1, as `sflq-pool4-del`"},
		{"sflq-pool4-get-by-range", "`start-address`, `end-address`", "1, as `sflq-pool4-del`"},
		{"sflq-pool4-get-by-subnet", "`subnet-id`", "1, as `sflq-pool4-del`"},
		{"sflq-pool4-rebuild", "`start-address`, `end-address`", "1, as `sflq-pool4-del`"},
		{"sflq-pool6-del", "`start-address`, `end-address`, `force`", "1: no pools of the allocator `shared-flq`, which needs a lease database"},
		{"sflq-pool6-get-all", "", "1, as `sflq-pool6-del`"},
		{"sflq-pool6-get-by-range", "`start-address`, `end-address`", "1, as `sflq-pool6-del`"},
		{"sflq-pool6-get-by-subnet", "`subnet-id`", "1, as `sflq-pool6-del`"},
		{"sflq-pool6-rebuild", "`start-address`, `end-address`", "1, as `sflq-pool6-del`"},
	},
}

// hookDocsPage is the part of docs/commands.md that is about hook libraries. A
// command that a library has and nobody documents, or the other way round, is an
// error.
func hookDocsPage(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for _, name := range all.Names() {
		l, _ := all.New(name)
		var params json.RawMessage
		if name == "rbac" { // has mandatory parameters
			params = json.RawMessage(`{"assign-role-method": "remote-address", "api-files": "/nonexistent"}`)
		}
		pl, err := hooks.Compile([]hooks.Configured{{Library: l, Params: params}}, &hooks.Server{})
		if err != nil {
			t.Errorf("load %s: %v", name, err)
			continue
		}
		docs := map[string][3]string{}
		for _, d := range hookCommandDocs[name] {
			docs[d[0]] = d
		}
		first := true
		for _, c := range pl.Commands() {
			d, ok := docs[c.Name]
			if !ok {
				t.Errorf("command %s of %s has no documentation here", c.Name, name)
				continue
			}
			delete(docs, c.Name)
			if first {
				fmt.Fprintf(&text, "\n## %s\n\n| command | arguments | what it does |\n|---|---|---|\n", name)
				first = false
			}
			fmt.Fprintf(&text, "| `%s` | %s | %s |\n", d[0], d[1], d[2])
		}
		for n := range docs {
			t.Errorf("command %s of %s is documented and does not exist", n, name)
		}
		if err := pl.Close(); err != nil {
			t.Error(err)
		}
	}
	return text.String()
}
