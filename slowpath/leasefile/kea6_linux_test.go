package leasefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// keaLease6 is a DHCPv6 lease as lease_cmds has it (LS-028).
type keaLease6 struct {
	IPAddress    string          `json:"ip-address"`
	Type         string          `json:"type"`
	PrefixLen    uint8           `json:"prefix-len"` // of prefixes only
	DUID         string          `json:"duid"`
	IAID         uint32          `json:"iaid"`
	SubnetID     uint32          `json:"subnet-id"`
	HWAddress    string          `json:"hw-address"`
	PreferredLft uint32          `json:"preferred-lft"`
	ValidLft     uint32          `json:"valid-lft"`
	CLTT         int64           `json:"cltt"`
	FQDNFwd      bool            `json:"fqdn-fwd"`
	FQDNRev      bool            `json:"fqdn-rev"`
	Hostname     string          `json:"hostname"`
	State        uint8           `json:"state"`
	UserContext  json.RawMessage `json:"user-context"`
}

func (l *keaLease6) text() string {
	return fmt.Sprintf("%s %s/%d duid %s iaid %d subnet %d cltt %d pref %d valid %d state %d fwd %v rev %v hw %s host %q ctx %s", l.Type, l.IPAddress, l.PrefixLen,
		l.DUID, l.IAID, l.SubnetID, l.CLTT, l.PreferredLft, l.ValidLft, l.State, l.FQDNFwd, l.FQDNRev, l.HWAddress, l.Hostname, canonical(l.UserContext))
}

func asKea6(l *lease6.Lease6) string {
	k := keaLease6{
		IPAddress: l.Addr.String(), Type: l.Type.String(), DUID: string(appendColonHex(nil, l.ID())), IAID: l.IAID, SubnetID: l.SubnetID,
		HWAddress: string(appendColonHex(nil, l.HW())), PreferredLft: l.PreferredLifetimeS, ValidLft: l.ValidLifetimeS, CLTT: l.CLTTUnixS,
		FQDNFwd: l.FQDNFwd, FQDNRev: l.FQDNRev, Hostname: string(l.Host()), State: uint8(l.State), UserContext: json.RawMessage(context6(l)),
	}
	if l.Type == lease6.TypePD {
		k.PrefixLen = l.PrefixLen
	}
	if l.DUIDLen == 0 {
		k.DUID = "00:00:00"
	}
	return k.text()
}

func (k *kea) leases6() map[string]string {
	k.t.Helper()
	var all struct{ Leases []keaLease6 }
	if args := k.command("lease6-get-all", nil); len(args) > 0 {
		if err := json.Unmarshal(args, &all); err != nil {
			k.t.Fatalf("%v: %s", err, args)
		}
	}
	m := map[string]string{}
	for _, l := range all.Leases {
		m[l.IPAddress] = l.text()
	}
	return m
}

func tableAsKea6(t *lease6.Table) map[string]string {
	m := map[string]string{}
	t.Search(&lease6.Filter{}, func(l *lease6.Lease6) bool {
		if l.ValidLifetimeS > 0 {
			m[l.Addr.String()] = asKea6(l)
		}
		return true
	})
	return m
}

var keaSubnets6 = []any{
	map[string]any{"id": 1, "subnet": "2001:db8::/32", "pd-pools": []any{map[string]any{"prefix": "3ffe::", "prefix-len": 32, "delegated-len": 56}}},
	map[string]any{"id": 7, "subnet": "3000::/16"},
}

// load6 reads what Kea has left, when the clean-up that Kea starts over a file of
// another schema has ended.
func load6(t *testing.T, path string) (*lease6.Table, *Loaded) {
	t.Helper()
	for deadline := time.Now().Add(keaStarts); ; time.Sleep(50 * time.Millisecond) {
		tab := lease6.NewTable(lease6.Options{})
		sum, err := Load6(path, tab, LoadOptions{RowError: func(e *RowError) { t.Error(e) }})
		if err == nil {
			return tab, sum
		}
		if !errors.Is(err, ErrCleanupRunning) && !errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestFromKea6 reads what kea-dhcp6 writes.
func TestFromKea6(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kea-leases6.csv")
	k := startDaemon(t, "6", path, 0, keaSubnets6)
	add := func(ip, duid string, iaid int, more map[string]any) {
		t.Helper()
		args := map[string]any{"ip-address": ip, "duid": duid, "iaid": iaid}
		for key, v := range more {
			args[key] = v
		}
		k.command("lease6-add", args)
	}
	add("2001:db8::1", "00:01:00:01:aa:bb", 1, nil)
	add("2001:db8::2", "00:02:00:00:11:8b:01", 4294967295, map[string]any{"hw-address": "1a:1b:1c:1d:1e:1f", "hostname": "Host,with&all;\"quoted\"", "fqdn-fwd": true, "fqdn-rev": true})
	add("3ffe:0:0:100::", "00:03:00:01:02:03:04:05:06:07", 7, map[string]any{"type": "IA_PD", "prefix-len": 56, "subnet-id": 1, "preferred-lft": 100, "valid-lft": 200})
	add("2001:db8::3", "00:04:01", 2, map[string]any{"user-context": map[string]any{"a": "x,y&z", "ISC": map[string]any{"relay-info": []any{
		map[string]any{"hop": 0, "link": "2001:db8::10", "peer": "fe80::1", "options": "0x0012000401020304"},
		map[string]any{"hop": 1, "link": "::", "peer": "fe80::2"}}}}})
	add("2001:db8::4", "00:04:02", 2, map[string]any{"state": 1})
	add("3000::5", "00:04:03", 2, map[string]any{"state": 2, "valid-lft": uint32(lease.InfiniteLifetime)})
	add("3000::6", "00:04:04", 2, nil)
	k.command("lease6-del", map[string]any{"ip-address": "3000::6"})
	k.command("lease6-update", map[string]any{"ip-address": "2001:db8::1", "duid": "00:01:00:01:aa:bb", "iaid": 9, "hostname": "moved"})
	want := k.leases6()
	if len(want) != 6 {
		t.Fatalf("Kea has %d leases", len(want))
	}
	k.stop()
	tab, sum := load6(t, path)
	if d := cmp.Diff(want, tableAsKea6(tab)); d != "" {
		t.Error(d)
	}
	if sum.Leases != 6 || sum.Deletions != 1 || !sum.Conversion { // Kea 2.2 has one column less
		t.Errorf("%+v", sum)
	}
	var l lease6.Lease6
	if !tab.Get(lease6.IPv6{0x20, 1, 0xD, 0xB8, 15: 3}, &l) || l.RelayInfoLen == 0 || l.UserContext != `{"a":"x,y\u0026z"}` {
		t.Errorf("relay information %x, user context %s", l.Relays(), l.UserContext)
	}
}

// TestToKea6 has kea-dhcp6 start from our file, and reads what it adds.
func TestToKea6(t *testing.T) {
	r := newRand(t)
	path := filepath.Join(t.TempDir(), "kea-leases6.csv")
	tab := lease6.NewTable(lease6.Options{})
	text := AppendHeader6(nil)
	for n := range 300 {
		l := randomLease6(r, n)
		l.PoolID = 0 // Kea 2.2 has none
		l.State = min(l.State, lease.StateReleased)
		l.SubnetID = 1
		l.SetID(l.ID()[:min(l.DUIDLen, 128)]) // later ones take 130
		l.SetHost([]byte(fmt.Sprintf("host-%d,&", n)))
		if !Writable6(l) {
			continue
		}
		text = AppendRow6(text, l)
		l.Version = uint64(n + 1)
		if n%10 == 0 {
			text = AppendDeletion6(text, l)
			continue
		}
		tab.Load(l)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	k := startDaemon(t, "6", path, 0, keaSubnets6)
	if d := cmp.Diff(tableAsKea6(tab), k.leases6()); d != "" {
		t.Errorf("Kea has other leases: %s", d)
	}
	k.command("lease6-add", map[string]any{"ip-address": "3000::9", "duid": "00:04:04", "iaid": 3})
	want := k.leases6()
	k.stop()
	// A clean-up that ends meanwhile moves the files while they are read.
	for deadline := time.Now().Add(keaStarts); ; time.Sleep(50 * time.Millisecond) {
		again, sum := load6(t, path)
		d := cmp.Diff(want, tableAsKea6(again))
		if d == "" && sum.Leases == tab.Len()+1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("read again: %+v, %s", sum, d)
		}
	}
}
