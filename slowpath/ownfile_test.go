package slowpath

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// Without lease-directory the journal stands where lease4-write and a
// configuration beside it may write: what clients were promised outlives every
// command.
func TestWritingCommandsSpareTheStore(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(testConfig(dir, librariesKey("lease_cmds", "host_cache"), ""), filepath.Join(dir, "leases"), dir, 1)
	text = strings.Replace(text, `"persist": true`, fmt.Sprintf(`"persist": true, "name": %q`, filepath.Join(dir, "kea-leases4.csv")), 1)
	o := hookOptions()
	o.ConfigFile = filepath.Join(dir, "peregrine.conf")
	if err := os.WriteFile(o.ConfigFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBed(t, text, o)
	mac := netiotest.ClientMAC(1)
	addr := b.lease(mac)
	if r := b.command(`{"command":"lease4-write","arguments":{"filename":"copy.csv"}}`); r.Result != control.ResultSuccess {
		t.Fatalf("lease4-write of a file of another name: %+v", r)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{"000000000099.snapshot": true, "000000000001.snapshot.tmp": true, "00000001.hosts": true,
		"00000002.hosts-new": true, serverIDFile: true, "peregrine.conf": true}
	journal := false
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), ".csv") {
			names[e.Name()] = true
			journal = journal || strings.HasSuffix(e.Name(), ".journal")
		}
	}
	if !journal || !names["lock"] {
		t.Fatalf("the store is not in %s: %v", dir, list)
	}
	for n := range maps.Keys(names) {
		for _, name := range []string{n, filepath.Join(dir, n)} {
			r := b.command(fmt.Sprintf(`{"command":"lease4-write","arguments":{"filename":%q}}`, name))
			if r.Result != control.ResultError || !strings.Contains(r.Text, "server's own") {
				t.Errorf("lease4-write of %s: %+v", name, r)
			}
			r = b.command(fmt.Sprintf(`{"command":"cache-write","arguments":%q}`, name))
			if r.Result != control.ResultError || !strings.Contains(r.Text, "server's own") {
				t.Errorf("cache-write of %s: %+v", name, r)
			}
			if n == "peregrine.conf" {
				continue // that is what config-write is for
			}
			r = b.command(fmt.Sprintf(`{"command":"config-write","arguments":{"filename":%q}}`, name))
			if r.Result != control.ResultError || !strings.Contains(r.Text, "server's own") {
				t.Errorf("config-write of %s: %+v", name, r)
			}
		}
	}
	b.close()
	b = newBed(t, text, o)
	defer b.close()
	if got := b.lease(mac); got != addr {
		t.Errorf("after a restart the client gets %v, it had %v", got, addr)
	}
}
