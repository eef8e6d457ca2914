package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
)

// TestLeaseFile6 takes Kea's DHCPv6 file over, lists it, writes it again, and
// does not go back in time.
func TestLeaseFile6(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "leases")
	in, out := filepath.Join(t.TempDir(), "in.csv"), filepath.Join(t.TempDir(), "out.csv")
	rows := leasefile.Header6 + "\n" +
		"2001:db8::1,00:01:02:03,40,1700000040,8,20,0,7,128,1,0,host,01:ab,0,,6,2,3\n" +
		"3ffe:0:100::,00:01:02:04,40,1700000040,8,20,2,7,56,0,0,,,2,{\"a\":1},0,0,0\n"
	run := func(code int, want string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if got := leaseMain(args, &stdout, &stderr); got != code || !strings.Contains(stdout.String()+stderr.String(), want) {
			t.Errorf("%v: exit %d, want %d with %q:\n%s%s", args, got, code, want, &stdout, &stderr)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(rows)
	run(0, "would import 2 leases", "import", "-d", dir, "-n", in)
	run(0, "imported 2 leases", "import", "-d", dir, in)
	run(0, "2 were there already", "import", "-d", dir, in)
	run(0, "3ffe:0:100::/56", "list", "-d", dir)
	run(0, "2 leases", "export", "-d", dir, "-6", "-o", out)
	run(2, "-6 writes csv", "export", "-d", dir, "-6", "-f", "json")
	run(0, "address,hwaddr", "export", "-d", dir)
	if got, err := os.ReadFile(out); err != nil || string(got) != rows {
		t.Errorf("%v:\n%s", err, got)
	}
	write(strings.ReplaceAll(rows, "1700000040", "1600000040"))
	run(1, "2 leases in "+dir+" are newer", "import", "-d", dir, in)
	run(0, "2 replaced", "import", "-d", dir, "--force", in)
}
