package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// leaseCommand runs "peregrine lease ..." and returns what it said.
func leaseCommand(args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = run("peregrine", append([]string{"lease"}, args...), &out, &err)
	return out.String(), err.String(), code
}

func testLease(last byte, cltt int64) *lease.Lease4 {
	l := &lease.Lease4{Addr: dhcp4.AddrFrom4([4]byte{192, 0, 2, last}), SubnetID: 7, CLTTUnixS: cltt, ValidLifetimeS: 3600}
	l.SetHW(1, []byte{2, 0, 0, 0, 0, last})
	l.SetHost(fmt.Appendf(nil, "host,%d", last))
	return l
}

// fillDir makes a lease directory that no server uses.
func fillDir(t *testing.T, leases ...*lease.Lease4) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "leases")
	table := lease.NewTable(lease.Options{})
	s, _, err := leasestore.Open(leasestore.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	w := s.NewWriter("test")
	var last uint64
	for _, l := range leases {
		c, err := table.Put(l, 0, w)
		if err != nil {
			t.Fatal(err)
		}
		last = c.Pos
	}
	w.Kick()
	if err := w.WaitDurable(context.Background(), last); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func csvOf(leases ...*lease.Lease4) string {
	b := leasefile.AppendHeader4(nil)
	for _, l := range leases {
		b = leasefile.AppendRow4(b, l)
	}
	return string(b)
}

// export is what the directory holds, as a lease file.
func export(t *testing.T, dir string) string {
	t.Helper()
	out, errs, code := leaseCommand("export", "-d", dir)
	if code != 0 || errs != "" {
		t.Fatalf("export: %d, %s", code, errs)
	}
	return out
}

func TestLeaseUsage(t *testing.T) {
	conf := writeFile(t, "bad.json", "{")
	for _, c := range []struct {
		args       string
		code       int
		out, inErr string
	}{
		{"", 2, "", "usage: peregrine lease list|export|import"},
		{"help", 0, leaseUsage, ""},
		{"eat", 2, "", "peregrine lease: there is no command \"eat\"\n"},
		{"list", 2, "", "peregrine lease list: give -d DIR or -c FILE\n"},
		{"list -d . more", 2, "", "peregrine lease list: unexpected argument \"more\"\n"},
		{"list -x", 2, "", "flag provided but not defined: -x"},
		{"export -h", 0, "", "Usage of peregrine lease export"},
		{"export -d . -f xml", 2, "", "peregrine lease export: -f is \"xml\", expected csv or json\n"},
		{"import -d .", 2, "", "peregrine lease import: IN.csv is missing\n"},
		{"import a b -d .", 2, "", "peregrine lease import: unexpected argument \"b\"\n"},
		{"import a", 2, "", "peregrine lease import: give -d DIR or -c FILE\n"},
		{"export -c " + conf, 1, "", conf + ":1:"},
	} {
		out, errs, code := leaseCommand(strings.Fields(c.args)...)
		if code != c.code || out != c.out || !strings.Contains(errs, c.inErr) || c.inErr == "" && errs != "" {
			t.Errorf("lease %s: %d\nstdout: %s\nstderr: %s", c.args, code, out, errs)
		}
	}
}

func TestLeaseExport(t *testing.T) {
	a, b, gone, nobody := testLease(2, 1700000000), testLease(1, 1700000100), testLease(3, 1700000000), testLease(4, 1700000000)
	a.UserContext = `{ "x": [ 1, 2 ] }`
	a.PoolID = 5
	gone.State, gone.ValidLifetimeS = lease.StateReleased, 0
	nobody.SetHW(0, nil)
	dir := fillDir(t, a, b, gone, nobody)
	const left = "peregrine lease export: 2 leases are left out: released ones, which Kea forgets when it restarts, and ones without hardware address and client identifier\n"
	out, errs, code := leaseCommand("export", "-d", dir)
	if d := cmp.Diff(csvOf(b, a), out); d != "" || code != 0 || errs != left {
		t.Errorf("%d, %s%s", code, errs, d)
	}
	to := filepath.Join(t.TempDir(), "out.csv")
	if err := errors.Join(os.WriteFile(to, []byte("old"), 0o600), os.Chmod(to, 0o604)); err != nil {
		t.Fatal(err)
	}
	out, errs, code = leaseCommand("export", "-d", dir, "-o", to)
	text, err := os.ReadFile(to)
	if code != 0 || err != nil || errs != left || out != to+": 2 leases of "+dir+"\n" || string(text) != csvOf(b, a) {
		t.Errorf("%d, %v, %s, %s, %s", code, err, out, errs, text)
	}
	if i, err := os.Stat(to); err != nil || i.Mode().Perm() != 0o604 {
		t.Errorf("mode %v, %v", i.Mode(), err)
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(to), "*")); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}

	out, errs, code = leaseCommand("export", "-d", dir, "-f", "json")
	var j struct{ Leases []map[string]any }
	if err := json.Unmarshal([]byte(out), &j); err != nil || code != 0 || errs != "" || len(j.Leases) != 4 {
		t.Fatalf("%d, %v, %s, %s", code, err, errs, out)
	}
	want := map[string]any{
		"ip-address": "192.0.2.2", "subnet-id": 7.0, "hw-address": "02:00:00:00:00:02", "valid-lft": 3600.0, "cltt": 1.7e9, "fqdn-fwd": false,
		"fqdn-rev": false, "hostname": "host,2", "state": 0.0, "pool-id": 5.0, "user-context": map[string]any{"x": []any{1.0, 2.0}},
	}
	if d := cmp.Diff(want, j.Leases[1]); d != "" {
		t.Error(d)
	}
	empty := fillDir(t)
	if out, errs, code := leaseCommand("export", "-f", "json", "-d", empty); code != 0 || out != "{ \"leases\": [] }\n" {
		t.Errorf("empty: %d, %q, %s", code, out, errs)
	}
	if out := export(t, empty); out != leasefile.Header4+"\n" {
		t.Errorf("empty: %q", out)
	}
	// Kea's clean-up would bring ended leases back.
	if err := os.WriteFile(to+".2", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := leaseCommand("export", "-d", dir, "-o", to); code != 1 || out != "" ||
		errs != "peregrine lease export: "+to+".2: Kea would read it before "+to+"; remove it first\n" {
		t.Errorf("over Kea's files: %d, %s, %s", code, out, errs)
	}
	if out, errs, code := leaseCommand("export", "-d", dir, "-o", filepath.Join(to, "x"), "-f", "json"); code != 1 || out != "" || !strings.HasPrefix(errs, "peregrine lease export: open ") {
		t.Errorf("to nowhere: %d, %s, %s", code, out, errs)
	}
}

func TestLeaseInUse(t *testing.T) {
	dir := fillDir(t, testLease(1, 1700000000))
	s, _, err := leasestore.Open(leasestore.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in := writeFile(t, "in.csv", csvOf(testLease(2, 1700000000)))
	want := dir + " is in use: stop the server first (or ask it: peregrine ctl lease4-get-all)\n"
	for _, args := range [][]string{{"export"}, {"import", in}, {"import", "-n", in}} {
		out, errs, code := leaseCommand(append(args, "-d", dir)...)
		if code != 1 || out != "" || !strings.HasSuffix(errs, want) {
			t.Errorf("%v: %d, %s, %s", args, code, out, errs)
		}
	}
}

func TestLeaseImport(t *testing.T) {
	const day = 1700000000
	dir := fillDir(t, testLease(1, day), testLease(2, day), testLease(3, day+1000), testLease(4, day))
	moved := testLease(2, day+500)
	moved.SetHW(1, []byte{2, 0xFF})
	stale := testLease(3, day)
	in := writeFile(t, "in.csv", csvOf(testLease(1, day), moved, stale, testLease(9, day))+"rubbish\n")
	before := export(t, dir)

	// A lease that is newer than the file's stops it.
	bad := in + ":6: row has 1 columns, expected 12\n"
	refused := bad + "192.0.2.3: the lease of 02:00:00:00:00:03 was last renewed 2023-11-14 22:30:00Z, the one in the file (of 02:00:00:00:00:03) 2023-11-14 22:13:20Z\n" +
		"peregrine lease import: 1 leases in " + dir + " are newer than the file's; nothing was imported; --force replaces them\n"
	for _, args := range [][]string{{in}, {in, "-n"}} {
		out, errs, code := leaseCommand(append([]string{"import", "-d", dir}, args...)...)
		if code != 1 || out != "" || errs != refused {
			t.Errorf("%v: %d, %s\n%s", args, code, out, cmp.Diff(refused, errs))
		}
		if d := cmp.Diff(before, export(t, dir)); d != "" {
			t.Fatal(d)
		}
	}
	sum := "3 leases from " + in + " into " + dir + ": 1 new, 2 replaced; 1 were there already, 1 bad rows skipped\n"
	if out, _, code := leaseCommand("import", "-d", dir, "--force", "-n", in); code != 0 || out != "would import "+sum {
		t.Errorf("dry: %d, %s", code, out)
	}
	if d := cmp.Diff(before, export(t, dir)); d != "" {
		t.Fatal("a dry run imported:", d)
	}
	if out, _, code := leaseCommand("import", "-d", dir, "--force", in); code != 0 || out != "imported "+sum {
		t.Errorf("%d, %s", code, out)
	}
	if d := cmp.Diff(csvOf(testLease(1, day), moved, stale, testLease(4, day), testLease(9, day)), export(t, dir)); d != "" {
		t.Error(d)
	}
	// Again: nothing to do, and nothing is newer.
	sum = "imported 0 leases from " + in + " into " + dir + ": 0 new, 0 replaced; 4 were there already, 1 bad rows skipped\n"
	if out, errs, code := leaseCommand("import", "-d", dir, in); code != 0 || out != sum {
		t.Errorf("again: %d, %s, %s", code, out, errs)
	}
	// A limit of bad rows, and faults of the file.
	for _, c := range []struct{ file, flag, want string }{
		{writeFile(t, "twice.csv", csvOf()+"a\nb\n"), "--max-row-errors=1", "this is more than the 1 bad rows that max-row-errors allows\n"},
		{filepath.Join(dir, "none.csv"), "-n", "none.csv: file does not exist\n"},
		{writeFile(t, "v6.csv", "address,duid\n"), "-n", "this is a DHCPv6 lease file\n"},
	} {
		if out, errs, code := leaseCommand("import", "-d", dir, c.flag, c.file); code != 1 || out != "" || !strings.HasSuffix(errs, c.want) {
			t.Errorf("%s: %d, %s, %s", c.file, code, out, errs)
		}
	}
	long := testLease(8, day)
	long.UserContext = `{ "x": "` + strings.Repeat("y", leasestore.MaxUserContext) + `" }`
	if _, errs, code := leaseCommand("import", "-d", dir, writeFile(t, "long.csv", csvOf(long))); code != 1 ||
		!strings.HasSuffix(errs, "192.0.2.8: user-context has 32779 octets, at most 32768 can be\nperegrine lease import: 1 leases cannot be kept; nothing was imported\n") {
		t.Errorf("long context: %d, %s", code, errs)
	}
}

// TestLeaseImportMany needs more room than the store's ring has, makes the
// directory, and comes out as it went in.
func TestLeaseImportMany(t *testing.T) {
	file := leasefile.AppendHeader4(nil)
	for i := range 40000 {
		l := testLease(1, 1700000000)
		l.Addr = dhcp4.IPv4(0x0A000000 + i)
		l.SetHW(1, []byte{2, 0, byte(i >> 16), byte(i >> 8), byte(i)})
		l.SetHost(bytes.Repeat([]byte{'x'}, 200))
		file = leasefile.AppendRow4(file, l)
	}
	want := string(file)
	in, dir := writeFile(t, "in.csv", want), filepath.Join(t.TempDir(), "new")
	sum := "imported 40000 leases from " + in + " into " + dir + ": 40000 new, 0 replaced; 0 were there already, 0 bad rows skipped\n"
	if out, errs, code := leaseCommand("import", in, "-d", dir); code != 0 || out != sum || errs != "" {
		t.Fatalf("%d, %s, %s", code, out, errs)
	}
	if export(t, dir) != want {
		t.Error("came back different")
	}
}

// TestLeaseWithConfiguration finds the directory and compares the subnets.
func TestLeaseWithConfiguration(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "leases")
	conf := writeFile(t, "kea.json", fmt.Sprintf(`{ "Dhcp4": { "subnet4": [ { "id": 7, "subnet": "192.0.2.0/25" } ] }, "Dataplane": { "lease-directory": %q } }`, dir))
	other, outside := testLease(1, 1700000000), testLease(200, 1700000000)
	other.SubnetID = 8
	in := writeFile(t, "in.csv", csvOf(other, outside, testLease(2, 1700000000)))
	out, errs, code := leaseCommand("import", "-c", conf, in)
	if code != 0 || !strings.HasPrefix(out, "imported 3 leases from "+in+" into "+dir) ||
		errs != "192.0.2.1: warning: the configuration has no subnet with id 8\n192.0.2.200: warning: the address is not in subnet 192.0.2.0/25 with id 7\n" {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
	list, errs, code := leaseCommand("list", "-c", conf)
	if code != 0 || errs != "" || strings.Count(list, "\n") != 4 || !strings.Contains(list, "192.0.2.200      02:00:00:00:00:c8  7          assigned") {
		t.Errorf("%d, %s, %s", code, list, errs)
	}
}
