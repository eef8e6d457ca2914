package slowpath

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// TestLeaseChecks: leases of a subnet that has another number, or is gone, at the
// next start, with every value of lease-checks; what was changed stays so.
func TestLeaseChecks(t *testing.T) {
	subnets := func(v6 bool, first, second, third int) string {
		if v6 {
			return fmt.Sprintf(`"subnet6": [ { "id": %d, "subnet": "2001:db8:1::/64" }, { "id": %d, "subnet": "2001:db8:2::/64" },
				{ "id": %d, "subnet": "2001:db8:3::/64", "client-classes": [ "ALL" ] } ]`, first, second, third)
		}
		return fmt.Sprintf(`"subnet4": [ { "id": %d, "subnet": "10.1.0.0/24" }, { "id": %d, "subnet": "10.2.0.0/24" },
			{ "id": %d, "subnet": "10.3.0.0/24", "client-classes": [ "ALL" ] } ]`, first, second, third)
	}
	for _, v6 := range []bool{false, true} {
		for _, c := range []struct{ mode, want, logged string }{
			// The subnets 1, 2 and 3 have become 1, 9 and 8, the one of lease 4 is gone.
			{"none", "1 2 3 4", ""},
			{"warn", "1 2 3 4", "FAIL FAIL FAIL"},
			{"", "1 2 3 4", "FAIL FAIL FAIL"},
			{"fix", "1 9 3 4", "FIXED FAIL FAIL"},
			{"fix-del", "1 9 - -", "FIXED FAIL_DISCARD FAIL_DISCARD"},
			{"del", "1 - - -", "FAIL_DISCARD FAIL_DISCARD FAIL_DISCARD"},
		} {
			t.Run(fmt.Sprintf("v6 %v %s", v6, c.mode), func(t *testing.T) {
				dir := t.TempDir()
				text := func(mode, subnets string) string {
					if mode != "" {
						mode = fmt.Sprintf(`"sanity-checks": { "lease-checks": %q },`, mode)
					}
					part := "Dhcp4"
					if v6 {
						part = "Dhcp6"
					}
					return fmt.Sprintf(`{ %q: { "lease-database": { "type": "memfile", "persist": true }, %s %s }, "Dataplane": { "lease-directory": %q } }`, part, mode, subnets, dir)
				}
				b := newBed(t, text("none", subnets(v6, 1, 2, 3)), Options{})
				w := &taker{w: b.s.store.NewWriter("test")}
				for i := range 4 {
					err := w.put(func() (lease.Commit, error) {
						if v6 {
							l := &lease6.Lease6{Addr: lease6.AddrFromNetip(netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::5", i+1))), PrefixLen: 128, Type: lease6.TypeNA,
								SubnetID: uint32(i + 1), IAID: 1, ValidLifetimeS: lease.InfiniteLifetime, DUIDLen: 4}
							return b.s.table6.Put(l, 0, w.w)
						}
						l := &lease.Lease4{Addr: dhcp4.IPv4(0x0a000005 + (i+1)<<16), SubnetID: uint32(i + 1), ValidLifetimeS: lease.InfiniteLifetime}
						l.SetHW(1, []byte{2, 0, 0, 0, 0, byte(i)})
						return b.s.table.Put(l, 0, w.w)
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				if err := w.wait(); err != nil {
					t.Fatal(err)
				}
				w.w.Retire()
				b.close()

				shown := func() string {
					var ids []string
					for i := range 4 {
						id := "-"
						var l4 lease.Lease4
						var l6 lease6.Lease6
						switch {
						case v6 && b.s.table6.Get(lease6.AddrFromNetip(netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::5", i+1))), &l6):
							id = fmt.Sprint(l6.SubnetID)
						case !v6 && b.s.table.Get(dhcp4.IPv4(0x0a000005+(i+1)<<16), &l4):
							id = fmt.Sprint(l4.SubnetID)
						}
						ids = append(ids, id)
					}
					return strings.Join(ids, " ")
				}
				var log bytes.Buffer
				b = newBed(t, text(c.mode, subnets(v6, 1, 9, 8)), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
				got := shown()
				b.close()
				if got != c.want {
					t.Errorf("subnets of the leases %s, want %s", got, c.want)
				}
				var kinds []string
				for line := range strings.Lines(log.String()) {
					if _, k, ok := strings.Cut(line, "DHCPSRV_LEASE_SANITY_"); ok {
						k, _, _ = strings.Cut(k, " ")
						kinds = append(kinds, k)
					}
				}
				if l := strings.Join(kinds, " "); l != c.logged {
					t.Errorf("logged %q, want %q", l, c.logged)
				}
				b = newBed(t, text("none", subnets(v6, 1, 9, 8)), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
				if got := shown(); got != c.want {
					t.Errorf("after another start subnets of the leases %s, want %s", got, c.want)
				}
				// While it runs.
				log.Reset()
				if err := b.s.Apply(parse(t, text(c.mode, subnets(v6, 1, 9, 8)))); err != nil {
					t.Fatal(err)
				}
				still := strings.Count(c.logged, "FAIL") - strings.Count(c.logged, "DISCARD") // of those that were left
				if got, n := shown(), strings.Count(log.String(), "DHCPSRV_LEASE_SANITY_"); got != c.want || n != still {
					t.Errorf("after a reload subnets of the leases %s, want %s; %d lines, want %d", got, c.want, n, still)
				}
				if err := b.s.Apply(parse(t, text("del", subnets(v6, 6, 7, 8)))); err != nil {
					t.Fatal(err)
				}
				if n := b.s.table.Len() + b.s.table6.Len(); n != 0 {
					t.Errorf("%d leases of subnets that are gone", n)
				}
				b.close()
			})
		}
	}
}
