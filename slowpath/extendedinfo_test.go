package slowpath

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// TestExtendedInfoChecks: what leases keep of their relays, in old and bad forms, is
// mended at the next start as extended-info-checks says, and stays so.
func TestExtendedInfoChecks(t *testing.T) {
	contexts := []string{
		``,
		`{ "ISC": { "relay-agent-info": "0x0202ABCD" } }`,
		`{ "ISC": { "relay-agent-info": 5 }, "a": 1 }`,
		`{ "ISC": { "relay-agent-info": { "remote-id": "" } } }`,
	}
	upgraded := `{"ISC":{"relay-agent-info":{"remote-id":"ABCD","sub-options":"0x0202ABCD"}}}`
	for _, c := range []struct {
		mode   string
		want   []string
		failed int
	}{
		{"none", contexts, 0},
		{"fix", []string{``, upgraded, `{"a":1}`, contexts[3]}, 1},
		{"", []string{``, upgraded, `{"a":1}`, contexts[3]}, 1},
		{"strict", []string{``, upgraded, `{"a":1}`, ``}, 2},
	} {
		t.Run(c.mode, func(t *testing.T) {
			dir := t.TempDir()
			text := func(mode string) string {
				if mode != "" {
					mode = fmt.Sprintf(`"sanity-checks": { "extended-info-checks": %q },`, mode)
				}
				return fmt.Sprintf(`{ "Dhcp4": { "lease-database": { "type": "memfile", "persist": true }, %s "subnet4": [ { "id": 1, "subnet": "10.1.0.0/24" } ] }, "Dataplane": { "lease-directory": %q } }`, mode, dir)
			}
			b := newBed(t, text("none"), Options{})
			w := &taker{w: b.s.store.NewWriter("test")}
			for i, ctx := range contexts {
				l := &lease.Lease4{Addr: dhcp4.IPv4(0x0a010005 + i), SubnetID: 1, ValidLifetimeS: lease.InfiniteLifetime, UserContext: ctx}
				l.SetHW(1, []byte{2, 0, 0, 0, 0, byte(i)})
				if err := w.put(func() (lease.Commit, error) { return b.s.table.Put(l, 0, w.w) }); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.wait(); err != nil {
				t.Fatal(err)
			}
			w.w.Retire()
			b.close()
			for _, mode := range []string{c.mode, "none"} {
				var log bytes.Buffer
				b = newBed(t, text(mode), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
				for i, want := range c.want {
					var l lease.Lease4
					if !b.s.table.Get(dhcp4.IPv4(0x0a010005+i), &l) || l.UserContext != want {
						t.Errorf("started with %q: lease %d has %s, want %s", mode, i, l.UserContext, want)
					}
				}
				b.close()
				if n := strings.Count(log.String(), "DHCPSRV_LEASE4_EXTENDED_INFO_SANITY_FAIL"); mode == c.mode && n != c.failed {
					t.Errorf("%d failures logged, want %d", n, c.failed)
				}
			}
		})
	}
}
