package slowpath

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
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

// What leases keep of their relays in old forms, though the server has not loaded
// them so, is mended by command, durably; what needs nothing is left, and what is
// offered to another client.
func TestExtendedInfoUpgrade(t *testing.T) {
	old4, new4 := `{ "ISC": { "relay-agent-info": "0x0202ABCD" } }`, `{"ISC":{"relay-agent-info":{"remote-id":"ABCD","sub-options":"0x0202ABCD"}}}`
	old6, new6 := `{"ISC":{"relays":[{"hop":1,"link":"2001:db8::1","peer":"fe80::1"}]},"a":1}`, `{"ISC":{"relay-info":[{"hop":1,"link":"2001:db8::1","peer":"fe80::1"}]},"a":1}`
	other := `{ "b": [ 1 ] }`
	dir := t.TempDir()
	text := func(mode string) string {
		checks := fmt.Sprintf(`"sanity-checks": { "extended-info-checks": %q },`, mode)
		return testConfig6(dir, `{ "lease-database": { "type": "memfile", "persist": true }, `+checks+` "subnet4": [ { "id": 1, "subnet": "10.67.0.0/16" } ] }`, checks, true)
	}
	b := newBed(t, text("none"), Options{})
	addr4 := func(i int) dhcp4.IPv4 { return dhcp4.IPv4(0x0a430005 + i) }
	addr6 := func(i int) lease6.IPv6 {
		return lease6.AddrFromNetip(netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%d", i+1)))
	}
	w := &taker{w: b.s.store.NewWriter("test")}
	for i, c := range []string{old4, other, old4, old4} {
		l := &lease.Lease4{Addr: addr4(i), SubnetID: 1, ValidLifetimeS: lease.InfiniteLifetime, UserContext: c}
		if l.SetHW(1, []byte{2, 0, 0, 0, 0, byte(i)}); i == 3 {
			l.State = lease.StateReleased
		}
		if err := w.put(func() (lease.Commit, error) { return b.s.table.Put(l, 0, w.w) }); err != nil {
			t.Fatal(err)
		}
	}
	var under lease.Lease4
	b.s.table.Get(addr4(3), &under)
	offer := under
	offer.State = lease.StateOffered
	if _, err := b.s.table.Put(&offer, under.Version, nil); err != nil {
		t.Fatal(err)
	}
	for i, c := range []string{old6, other} {
		l := &lease6.Lease6{Addr: addr6(i), PrefixLen: 128, SubnetID: 1, ValidLifetimeS: lease.InfiniteLifetime, UserContext: c}
		l.SetID([]byte{0, 3, 0, 1, byte(i)})
		if err := w.put(func() (lease.Commit, error) { return b.s.six.table.Put(l, 0, w.w) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.wait(); err != nil {
		t.Fatal(err)
	}
	w.w.Retire()
	run := func(f *family, name, want string) {
		t.Helper()
		if r := f.registry.Run(context.Background(), &control.Call{Command: name}); r.Result != control.ResultSuccess || r.Text != want {
			t.Errorf("%s: %d %q, want %q", name, r.Result, r.Text, want)
		}
	}
	look := func(want4, want6 string) {
		t.Helper()
		var l lease.Lease4
		for i, want := range []string{want4, other, want4, old4} {
			if !(hookLeases{b.s}).Lease(addr4(i), &l) || l.UserContext != want {
				t.Errorf("lease %v has %s, want %s", addr4(i), l.UserContext, want)
			}
		}
		var l6 lease6.Lease6
		for i, want := range []string{want6, other} {
			if !(hookLeases6{b.s, b.s.six}).Lease(addr6(i), &l6) || l6.UserContext != want {
				t.Errorf("lease %v has %s, want %s", addr6(i), l6.UserContext, want)
			}
		}
	}
	four, six := b.s.family, b.s.six.family
	run(four, "extended-info4-upgrade", "Upgraded 0 leases") // the mode is "none"
	run(six, "extended-info6-upgrade", "Upgraded 0 leases")
	look(old4, old6)
	// As a configuration that is in force would have it, without its own check.
	snap := *b.s.Snapshot()
	d4, d6 := *snap.Dhcp4, *snap.Dhcp6
	d4.SanityChecks.ExtendedInfoChecks, d6.ExtendedInfoChecks = "fix", "fix"
	snap.Dhcp4, snap.Dhcp6 = &d4, &d6
	rt := *b.s.runtime.Load()
	rt.snapshot = &snap
	b.s.runtime.Store(&rt)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if r := six.extendedInfoUpgrade(cancelled, nil); r.Result != control.ResultError || r.Text != "context canceled" {
		t.Errorf("cancelled: %d %q", r.Result, r.Text)
	}
	run(four, "extended-info4-upgrade", "Upgraded 2 leases")
	run(four, "extended-info4-upgrade", "Upgraded 0 leases")
	run(six, "extended-info6-upgrade", "Upgraded 0 leases") // that which was cancelled behind it
	look(new4, new6)
	b.close()
	b = newBed(t, text("none"), Options{})
	look(new4, new6)
	b.close()
}

// DHCPv6's are checked at the start, too, and when the configuration changes.
func TestExtendedInfoChecks6(t *testing.T) {
	dir := t.TempDir()
	text := func(mode string) string {
		return testConfig6(dir, "", fmt.Sprintf(`"sanity-checks": { "extended-info-checks": %q },`, mode), true)
	}
	addr := lease6.AddrFromNetip(netip.MustParseAddr("2001:db8:1::9"))
	b := newBed(t, text("none"), Options{})
	put := func(c string) {
		t.Helper()
		h := hookLeases6{b.s, b.s.six}
		old := new(lease6.Lease6)
		h.Lease(addr, old)
		l := &lease6.Lease6{Addr: addr, PrefixLen: 128, SubnetID: 1, ValidLifetimeS: lease.InfiniteLifetime, UserContext: c}
		l.SetID([]byte{0, 3, 0, 1, 9})
		if err := h.Put(context.Background(), l, old.Version); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want string) {
		t.Helper()
		l := new(lease6.Lease6)
		if (hookLeases6{b.s, b.s.six}).Lease(addr, l); l.UserContext != want {
			t.Errorf("%s, want %s", l.UserContext, want)
		}
	}
	bad := `{"ISC":{"relays":[{"hop":1,"peer":"fe80::1"}]},"a":1}`
	put(bad)
	check(bad)
	b.close()
	b = newBed(t, text("fix"), Options{})
	check(`{"ISC":{"relay-info":[{"hop":1,"peer":"fe80::1"}]},"a":1}`)
	if err := b.s.Apply(parse(t, text("strict"))); err != nil {
		t.Fatal(err)
	}
	check(`{"a":1}`)
	b.close()
	b = newBed(t, text("none"), Options{})
	check(`{"a":1}`)
	b.close()
}

// What a command gives a lease is held against extended-info-checks, too, as they
// are in force.
func TestExtendedInfoOfCommands(t *testing.T) {
	old, bad := `{"ISC":{"relay-agent-info":"0x0202ABCD"}}`, `{"ISC":{"relay-agent-info":{"remote-id":"x"}},"a":1}`
	for _, c := range []struct{ mode, old, bad string }{
		{"none", old, bad},
		{"fix", `{"ISC":{"relay-agent-info":{"remote-id":"ABCD","sub-options":"0x0202ABCD"}}}`, bad},
		{"strict", `{"ISC":{"relay-agent-info":{"remote-id":"ABCD","sub-options":"0x0202ABCD"}}}`, `{"a":1}`},
	} {
		b := newBed(t, testConfig("", librariesKey("lease_cmds")+fmt.Sprintf(`"sanity-checks": { "extended-info-checks": %q },`, c.mode), ""), hookOptions())
		for given, want := range map[string]string{old: c.old, bad: c.bad} {
			args := fmt.Sprintf(`{"ip-address": "10.67.0.9", "hw-address": "02:00:00:00:00:09", "force-create": true, "user-context": %s}`, given)
			if r := b.s.registry.Run(context.Background(), &control.Call{Command: "lease4-update", Arguments: json.RawMessage(args)}); r.Result != control.ResultSuccess {
				t.Errorf("%s: %d %s", c.mode, r.Result, r.Text)
			}
			var l lease.Lease4
			if b.s.table.Get(0x0a430009, &l); l.UserContext != want {
				t.Errorf("%s: %s became %s, want %s", c.mode, given, l.UserContext, want)
			}
		}
		b.close()
	}
}
