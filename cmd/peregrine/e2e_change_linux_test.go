package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

// loadGenerator builds dhcpgun.
func loadGenerator(t testing.TB) string {
	t.Helper()
	gun := filepath.Join(tempDir(t), "dhcpgun")
	out, err := exec.Command("go", "build", "-o", gun, "github.com/peregrine-dhcp/peregrine/cmd/dhcpgun").CombinedOutput()
	if err != nil {
		t.Fatalf("build dhcpgun: %v\n%s", err, out)
	}
	return gun
}

// TestChangesUnderLoad: subnets, shared networks, classes and reservations come
// and go by command while dhcpgun takes leases. Nothing is lost, nobody gets an
// address of somebody else or one that is reserved, and afterwards leases and
// statistics agree.
func TestChangesUnderLoad(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.newConf("auto")
	c.dhcp4["hooks-libraries"] = hookLibraries("lease_cmds", "host_cmds", "subnet_cmds", "class_cmds", "stat_cmds")
	b.cli.addAddr(t, clientIf, relayIP.String()+"/16")
	b.startWith(c)

	// Addresses in the generator's way that are reserved for clients it has not.
	const kept = 40
	for i := range kept {
		b.command("reservation-add", object{"reservation": object{"subnet-id": 1,
			"hw-address": fmt.Sprintf("02:aa:00:00:00:%02x", i), "ip-address": keptAddr(i)}}, nil)
	}
	before := b.metrics().sum("peregrine_packets_dropped_total")

	const clients = 1500
	report := filepath.Join(b.dir, "gun.json")
	log := filepath.Join(b.dir, "gun.log")
	gun := spawn(t, b.cli, log, loadGenerator(t), "-4", "-l", relayIP.String(), "-r", "250", "-R", fmt.Sprint(clients), "-n", fmt.Sprint(clients), "-n", fmt.Sprint(clients),
		"-d", "60", "-d", "60", "-W", "20000000", "-u", "-x", "e", "--pools", "10.77.1.0-10.77.16.255", "--json", report, serverIP.String())

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	ran, done := map[string]int{}, 0
	wanted := []string{"subnet4-add", "subnet4-del", "subnet4-delta-add", "network4-add", "network4-del", "network4-subnet-add", "class-add", "class-del", "reservation-add", "reservation-del"}
	missing := func() bool { return slices.ContainsFunc(wanted, func(name string) bool { return ran[name] == 0 }) }
	// A slow machine gets through few of them beside the generator: then some come after it.
	for !gun.ended() || done < 5000 && missing() {
		name, args := change(r)
		a, err := b.send(name, args)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, b.p.text())
		}
		done++
		if a.Result == control.ResultSuccess {
			ran[name]++
		} else if name == "subnet4-delta-add" { // of a subnet that is always there
			t.Fatalf("%s %v: %+v", name, args, a)
		}
	}
	// What the wire itself loses on a busy machine is no fault of the server's.
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
	discover, request := result.Exchanges[0], result.Exchanges[1]
	if missing := clients - int(request.Received); discover.Sent != clients || request.Sent != discover.Received || missing > lost {
		t.Errorf("%d DISCOVERs sent, %d answered, %d REQUESTs sent, %d answered; the wire has lost %d", discover.Sent, discover.Received, request.Sent, request.Received, lost)
	}
	leases := b.leases()
	if n := uint64(len(leases)); n < request.Received || n > request.Sent {
		t.Errorf("%d leases of %d clients, %d of which had their REQUEST answered", n, clients, request.Received)
	}
	for i := range kept {
		if l, there := leases[keptAddr(i)]; there {
			t.Errorf("the reserved address %s is leased to %s", l.Address, l.HW)
		}
	}
	if after := b.metrics().sum("peregrine_packets_dropped_total"); after != before {
		t.Errorf("%v packets were dropped", after-before)
	}
	var table struct {
		Set struct{ Rows [][]int64 } `json:"result-set"`
	}
	b.command("stat-lease4-get", object{"subnet-id": 1}, &table)
	if len(table.Set.Rows) != 1 || table.Set.Rows[0][3] != int64(len(leases)) {
		t.Errorf("statistics of the subnet: %v, want %d assigned", table.Set.Rows, len(leases))
	}
	b.p.terminate()
	if bytes.Contains([]byte(b.p.text()), []byte("DATA RACE")) {
		t.Error(b.p.text())
	}
}

// keptAddr is every third address from the beginning of the pool.
func keptAddr(i int) string { return fmt.Sprintf("10.77.1.%d", 3*i+1) }

// change is a random change of what the generator's clients do not use, or of
// what does not change their addresses.
func change(r *rand.Rand) (name string, args object) {
	id := 2 + r.IntN(4)
	prefix := fmt.Sprintf("192.0.%d.0/24", id)
	subnet := object{"subnet4": []any{object{"id": id, "subnet": prefix, "pools": []any{object{"pool": fmt.Sprintf("192.0.%d.0/26", id)}}}}}
	class := fmt.Sprintf("class%d", r.IntN(4))
	mac := fmt.Sprintf("02:bb:00:00:00:%02x", r.IntN(8))
	switch r.IntN(12) {
	case 0:
		return "subnet4-add", subnet
	case 1:
		return "subnet4-del", object{"id": id}
	case 2: // the subnet that is used
		return "subnet4-delta-add", object{"subnet4": []any{object{"id": 1, "subnet": "10.77.0.0/16",
			"option-data": []any{object{"name": "domain-name", "data": fmt.Sprintf("n%d.example.org", r.IntN(100))}}}}}
	case 3:
		return "network4-add", object{"shared-networks": []any{object{"name": class}}}
	case 4:
		return "network4-del", object{"name": class}
	case 5:
		return "class-add", object{"client-classes": []any{object{"name": class, "test": "option[60].text == 'x'"}}}
	case 6:
		return "class-del", object{"name": class}
	case 7: // at the end of the pool, which the generator does not reach
		return "reservation-add", object{"reservation": object{"subnet-id": 1, "hw-address": mac, "ip-address": fmt.Sprintf("10.77.16.%d", r.IntN(250))},
			"operation-target": []string{"database", "memory"}[r.IntN(2)]}
	case 8:
		return "reservation-del", object{"subnet-id": 1, "identifier-type": "hw-address", "identifier": mac, "operation-target": "all"}
	case 9:
		return "network4-subnet-add", object{"name": class, "id": id}
	case 10:
		return "network4-subnet-del", object{"name": class, "id": id}
	}
	return "class-update", object{"client-classes": []any{object{"name": class, "test": fmt.Sprintf("option[60].text == '%d'", r.IntN(9))}}}
}
