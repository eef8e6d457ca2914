package slowpath

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

func ip4(s string) dhcp4.IPv4 { return dhcp4.AddrFromNetip(netip.MustParseAddr(s)) }

// row is a line of Kea's lease file.
func row(addr, mac string, expire int64) string {
	return fmt.Sprintf("%s,%s,,3600,%d,1,0,0,,0,,0\n", addr, mac, expire)
}

func write(t *testing.T, path, rows string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(leasefile.Header4+"\n"+rows), 0o640); err != nil {
		t.Fatal(err)
	}
}

// named is a configuration with Kea's own key for the lease file.
func named(dir, path string) string {
	return strings.Replace(testConfig(dir, "", ""), `"persist": true`, fmt.Sprintf(`"persist": true, "name": %q`, path), 1)
}

func TestWhichLeaseFile(t *testing.T) {
	data := t.TempDir()
	for _, c := range []struct{ name, database, dataplane, want string }{
		{"Kea's default", `"type": "memfile"`, ``, filepath.Join(data, "kea-leases4.csv")},
		{"a path", `"type": "memfile", "name": "/x/y.csv"`, ``, "/x/y.csv"},
		{"a name", `"type": "memfile", "name": "y.csv"`, ``, filepath.Join(data, "y.csv")},
		{"a path and our directory", `"type": "memfile", "name": "/x/y.csv"`, `"lease-directory": "/z"`, "/x/y.csv"},
		{"our directory alone", `"type": "memfile"`, `"lease-directory": "/z"`, ""},
		{"not persistent", `"type": "memfile", "persist": false, "name": "/x/y.csv"`, ``, ""},
		{"a mirror", `"type": "memfile", "name": "/x/y.csv"`, `"lease-file-mirror": "/m.csv"`, "/m.csv"},
		{"no mirror", `"type": "memfile", "name": "/x/y.csv"`, `"lease-file-mirror": "none"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("KEA_DHCP_DATA_DIR", data)
			snap := parse(t, fmt.Sprintf(`{ "Dhcp4": { "lease-database": { %s } }, "Dataplane": { %s } }`, c.database, c.dataplane))
			if got := leaseFile(snap); got != c.want {
				t.Errorf("the lease file is %q, want %q", got, c.want)
			}
		})
	}
	t.Setenv("KEA_DHCP_DATA_DIR", filepath.Join(data, "missing"))
	if got := leaseFile(parse(t, `{ "Dhcp4": {} }`)); got != "" {
		t.Errorf("the lease file is %q where Kea has no directory, want none", got)
	}
}

// TestFirstStartTakesOverKeasLeases: what Kea granted is known before the first
// answer, Kea's files stay under another name, and the file goes on at its place.
func TestFirstStartTakesOverKeasLeases(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kea-leases4.csv")
	later := time.Now().Unix() + 3000
	write(t, path+".2", row("10.67.1.0", "02:00:00:00:00:01", later)+row("10.67.1.1", "02:00:00:00:00:02", later))
	write(t, path, row("10.67.1.1", "02:00:00:00:00:02", 0)+"nonsense\n"+row("10.67.1.2", "02:00:00:00:00:03", later+1))
	b := newBed(t, named(dir, path), Options{})
	var l lease.Lease4
	for addr, want := range map[string]bool{"10.67.1.0": true, "10.67.1.2": true} {
		if got := b.s.table.Get(ip4(addr), &l); got != want {
			t.Errorf("a lease of %s: %v, want %v", addr, got, want)
		}
	}
	addr := b.lease(netiotest.ClientMAC(7))
	if s := addr.String(); s == "10.67.1.0" || s == "10.67.1.2" {
		t.Errorf("%s, which Kea has leased, went to another client", s)
	}
	b.close()
	for _, n := range []string{path + ".kea", path + ".2.kea"} {
		if _, err := os.Stat(n); err != nil {
			t.Errorf("Kea's file is not kept: %v", err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"10.67.1.0,", "10.67.1.2,", addr.String() + ","} {
		if !strings.Contains(string(data), "\n"+want) {
			t.Errorf("the new file lacks %q:\n%s", want, data)
		}
	}
}

// TestWhatKeaGrantedMeanwhileIsTakenOver: back from Kea, which has gone on in the
// file. Of one address the later transaction counts; a file that only we have
// written is not read.
func TestWhatKeaGrantedMeanwhileIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kea-leases4.csv")
	text := named(dir, path)
	b := newBed(t, text, Options{})
	mine := b.lease(netiotest.ClientMAC(1))
	b.close()

	// Not newer than the journal: ours.
	write(t, path, row("10.67.1.200", "02:00:00:00:00:99", time.Now().Unix()+3000))
	b = newBed(t, text, Options{})
	var l lease.Lease4
	if b.s.table.Get(ip4("10.67.1.200"), &l) {
		t.Error("a file that is not newer than the journal was read")
	}
	b.close()

	old := time.Now().Add(-time.Hour)
	names, err := filepath.Glob(filepath.Join(dir, "leases", "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("the lease directory holds %v, %v", names, err)
	}
	for _, n := range names {
		if err := os.Chtimes(n, old, old); err != nil {
			t.Fatal(err)
		}
	}
	// b.now, the bed's clock, is far ahead: the row for its lease is older.
	write(t, path, row(mine.String(), "02:00:00:00:00:98", time.Now().Unix()+3000)+row("10.67.1.201", "02:00:00:00:00:99", time.Now().Unix()+3000))
	b = newBed(t, text, Options{})
	defer b.close()
	if !b.s.table.Get(ip4("10.67.1.201"), &l) {
		t.Error("a lease that was granted meanwhile is not known")
	}
	if !b.s.table.Get(mine, &l) || l.HW()[5] == 0x98 {
		t.Errorf("the older row won: %x", l.HW())
	}
}

// TestKeasFileOfAnotherKindRefusesToStart: better no server than one that gives
// leased addresses away.
func TestKeasFileOfAnotherKindRefusesToStart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kea-leases4.csv")
	if err := os.WriteFile(path, []byte("what,is,this\n1,2,3\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	_, err := New(Options{Snapshot: parse(t, named(dir, path))})
	if err == nil || !strings.Contains(err.Error(), "kea-leases4.csv") {
		t.Fatalf("error is %v, want one that names the file", err)
	}
}

// TestKeasDHCPv6LeasesAreTakenOverAndMirrored: what Kea granted is known before
// the first answer, also where the journal has served DHCPv4 for long; and the
// file goes on at its place.
func TestKeasDHCPv6LeasesAreTakenOverAndMirrored(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kea-leases6.csv")
	four := fmt.Sprintf(`{ "lease-database": { "type": "memfile", "name": %q } }`, filepath.Join(dir, "kea-leases4.csv"))
	newBed(t, fmt.Sprintf(`{ "Dhcp4": %s, "Dataplane": { "lease-directory": %q } }`, four, filepath.Join(dir, "leases")), Options{}).close()
	text := fmt.Sprintf("%s\n2001:db8:1::100,00:03:00:01:02:00:00:00:00:09,4000,%d,1,3000,0,7,128,0,0,,,0,,,,0\n", leasefile.Header6, time.Now().Unix()+3000)
	// What Kea before 2.3.2 kept of relays.
	text += fmt.Sprintf("2001:db8:1::101,00:03:00:01:02:00:00:00:00:0a,4000,%d,1,3000,0,8,128,0,0,,,0,%s,,,0\n", time.Now().Unix()+3000,
		strings.ReplaceAll(`{"ISC":{"relays":[{"hop":0,"link":"2001:db8:1::1","options":"0x00250005000000017a","peer":"fe80::1"}]}}`, ",", "&#x2c"))
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil { // Kea ended an hour ago
		t.Fatal(err)
	}
	config := strings.Replace(testConfig6(dir, four, "", true), `"persist": true`, fmt.Sprintf(`"persist": true, "name": %q`, path), 1)
	b := newBed(t, config, Options{})
	addr := strings.Fields(leased6(newClient6(b, 1).lease()))[0]
	if addr == "2001:db8:1::100" {
		t.Error("the address that Kea has leased went to another client")
	}
	b.close()
	if _, err := os.Stat(path + ".kea"); err != nil {
		t.Errorf("Kea's file is not kept: %v", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2001:db8:1::100,", "2001:db8:1::101,", addr + ",", "2001:db8:8000:"} {
		if !strings.Contains(string(data), "\n"+want) {
			t.Errorf("the new file lacks %q:\n%s", want, data)
		}
	}
	if !strings.Contains(string(data), `"relay-info":[{`) || !strings.Contains(string(data), `"remote-id":"000000017A"`) || strings.Contains(string(data), `"relays"`) {
		t.Errorf("what relays said is not in today's form:\n%s", data)
	}
}

func TestWhichDHCPv6LeaseFile(t *testing.T) {
	data := t.TempDir()
	t.Setenv("KEA_DHCP_DATA_DIR", data)
	for _, c := range []struct{ name, parts, want string }{
		{"Kea's default", `"Dhcp6": {}`, filepath.Join(data, "kea-leases6.csv")},
		{"a name", `"Dhcp6": { "lease-database": { "type": "memfile", "name": "y.csv" } }`, filepath.Join(data, "y.csv")},
		{"a mirror of the only family", `"Dhcp6": {}, "Dataplane": { "lease-file-mirror": "/m.csv" }`, "/m.csv"},
		{"a mirror of the other family", `"Dhcp4": {}, "Dhcp6": {}, "Dataplane": { "lease-file-mirror": "/m.csv" }`, filepath.Join(data, "kea-leases6.csv")},
		{"no mirror", `"Dhcp4": {}, "Dhcp6": {}, "Dataplane": { "lease-file-mirror": "none" }`, ""},
		{"not persistent", `"Dhcp6": { "lease-database": { "type": "memfile", "persist": false } }`, ""},
	} {
		if got := leaseFile6(WithDhcp4(parse(t, "{"+c.parts+"}"))); got != c.want {
			t.Errorf("%s: the lease file is %q, want %q", c.name, got, c.want)
		}
	}
}
