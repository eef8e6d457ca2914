package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

// TestChangesUnderLoad6 is TestChangesUnderLoad of DHCPv6: subnets, shared
// networks, classes and reservations come and go by command while dhcpgun takes
// addresses and prefixes. Nothing is lost, and nobody gets what is somebody
// else's or reserved.
func TestChangesUnderLoad6(t *testing.T) {
	t.Parallel()
	b := newBed6(t)
	c := b.newConf6("auto")
	c.dhcp6["hooks-libraries"] = hookLibraries("lease_cmds", "host_cmds", "subnet_cmds", "class_cmds", "stat_cmds")
	b.start6(c)

	// Addresses and prefixes in the generator's way that are reserved for clients it has not.
	const kept = 30
	for i := range kept {
		b.command("reservation-add", object{"reservation": object{"subnet-id": 1, "duid": fmt.Sprintf("00:03:00:01:02:aa:00:00:00:%02x", i),
			"ip-addresses": []any{keptAddr6(i)}, "prefixes": []any{fmt.Sprintf("2001:db8:8000:%x00::/56", 3*i+1)}}}, nil)
	}
	before := b.metrics().sum("peregrine_packets_dropped_total")

	const clients = 1000
	report := filepath.Join(b.dir, "gun.json")
	gun := spawn(t, b.cli, filepath.Join(b.dir, "gun.log"), loadGenerator(t), "-6", "-l", clientIf, "-e", "address-and-prefix", "-r", "200",
		"-R", fmt.Sprint(clients), "-n", fmt.Sprint(clients), "-n", fmt.Sprint(clients), "-d", "60", "-d", "60", "-W", "20000000", "-u", "-x", "e", "--json", report)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 6))
	ran, done := map[string]int{}, 0
	wanted := []string{"subnet6-add", "subnet6-del", "subnet6-delta-add", "network6-add", "network6-del", "network6-subnet-add", "class-add", "class-del", "reservation-add", "reservation-del"}
	missing := func() bool { return slices.ContainsFunc(wanted, func(name string) bool { return ran[name] == 0 }) }
	// A slow machine gets through few of them beside the generator: then some come after it.
	for !gun.ended() || done < 5000 && missing() {
		name, args := change6(r)
		a, err := b.send(name, args)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, b.p.text())
		}
		done++
		if a.Result == control.ResultSuccess {
			ran[name]++
		} else if name == "subnet6-delta-add" { // of a subnet that is always there
			t.Fatalf("%s %v: %+v", name, args, a)
		}
	}
	lost := b.lost() + int(b.metrics().sum("peregrine_ring_dropped_packets_total"))
	if code := gun.wait(); code != 0 && (code != 3 || lost == 0) {
		t.Errorf("dhcpgun: exit status %d, %d packets lost\n%s", code, lost, gun.text())
	}
	t.Logf("%d commands, of them with effect: %v", done, ran)
	for _, name := range wanted {
		if ran[name] == 0 {
			t.Errorf("%s never had an effect in %d commands", name, done)
		}
	}
	var result struct {
		Exchanges []struct{ Sent, Received uint64 }
	}
	text, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(text, &result)
	}
	if err != nil || len(result.Exchanges) < 2 {
		t.Fatalf("dhcpgun's report: %v in %.500s", err, text)
	}
	solicit, request := result.Exchanges[0], result.Exchanges[1]
	if missing := clients - int(request.Received); solicit.Sent != clients || request.Sent != solicit.Received || missing > lost {
		t.Errorf("%d SOLICITs sent, %d answered, %d REQUESTs sent, %d answered; the wire has lost %d", solicit.Sent, solicit.Received, request.Sent, request.Received, lost)
	}
	var all struct {
		Leases []struct {
			Address string `json:"ip-address"`
			Type    string
			DUID    string
		}
	}
	b.command("lease6-get-all", nil, &all)
	count := map[string]uint64{}
	kind := map[string]bool{}
	for i := range kept {
		kind[keptAddr6(i)], kind[fmt.Sprintf("2001:db8:8000:%x00::", 3*i+1)] = true, true
	}
	for _, l := range all.Leases {
		count[l.Type]++
		if kind[l.Address] {
			t.Errorf("%s, which is reserved, is leased to %s", l.Address, l.DUID)
		}
	}
	for _, typ := range []string{"IA_NA", "IA_PD"} {
		if n := count[typ]; n < request.Received || n > request.Sent {
			t.Errorf("%d leases of type %s of %d clients, %d of which had their REQUEST answered", n, typ, clients, request.Received)
		}
	}
	if after := b.metrics().sum("peregrine_packets_dropped_total"); after != before {
		t.Errorf("%v packets were dropped", after-before)
	}
	var table struct {
		Set struct {
			Columns []string
			Rows    [][]int64
		} `json:"result-set"`
	}
	b.command("stat-lease6-get", object{"subnet-id": 1}, &table)
	for i, column := range table.Set.Columns {
		if typ := map[string]string{"assigned-nas": "IA_NA", "assigned-pds": "IA_PD"}[column]; typ != "" && (len(table.Set.Rows) != 1 || table.Set.Rows[0][i] != int64(count[typ])) {
			t.Errorf("%s: %v, want %d", column, table.Set.Rows, count[typ])
		}
	}
	b.p.terminate()
	if bytes.Contains([]byte(b.p.text()), []byte("DATA RACE")) || strings.Contains(b.p.text(), "panic") {
		t.Error(b.p.text())
	}
}

// keptAddr6 is every third address from the beginning of the pool.
func keptAddr6(i int) string { return fmt.Sprintf("2001:db8:77::1:%x", 3*i+1) }

// change6 is a random change of what the generator's clients do not use, or of
// what does not change their addresses.
func change6(r *rand.Rand) (name string, args object) {
	id := 2 + r.IntN(4)
	subnet := object{"subnet6": []any{object{"id": id, "subnet": fmt.Sprintf("2001:db8:%x::/64", 0x100+id), "pools": []any{object{"pool": fmt.Sprintf("2001:db8:%x::/96", 0x100+id)}}}}}
	some := fmt.Sprintf("some%d", r.IntN(4))
	duid := fmt.Sprintf("00:03:00:01:02:bb:00:00:00:%02x", r.IntN(8))
	switch r.IntN(12) {
	case 0:
		return "subnet6-add", subnet
	case 1:
		return "subnet6-del", object{"id": id}
	case 2: // the subnet that is used
		return "subnet6-delta-add", object{"subnet6": []any{object{"id": 1, "subnet": "2001:db8:77::/64",
			"option-data": []any{object{"name": "domain-search", "data": fmt.Sprintf("n%d.example.org", r.IntN(100))}}}}}
	case 3:
		return "network6-add", object{"shared-networks": []any{object{"name": some}}}
	case 4:
		return "network6-del", object{"name": some}
	case 5:
		return "network6-subnet-add", object{"name": some, "id": id}
	case 6:
		return "network6-subnet-del", object{"name": some, "id": id}
	case 7:
		return "class-add", object{"client-classes": []any{object{"name": some, "test": "option[16].hex == 'x'"}}}
	case 8:
		return "class-del", object{"name": some}
	case 9: // at the end of the pool, which the generator does not reach
		return "reservation-add", object{"reservation": object{"subnet-id": 1, "duid": duid, "ip-addresses": []any{fmt.Sprintf("2001:db8:77::1:ff%02x", r.IntN(250))}},
			"operation-target": []string{"database", "memory"}[r.IntN(2)]}
	case 10:
		return "reservation-del", object{"subnet-id": 1, "identifier-type": "duid", "identifier": duid, "operation-target": "all"}
	}
	return "class-update", object{"client-classes": []any{object{"name": some, "test": fmt.Sprintf("option[16].hex == '%d'", r.IntN(9))}}}
}
