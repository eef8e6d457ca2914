package leasefile

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// kea is a running kea-dhcp4 or kea-dhcp6 without interfaces, which answers
// commands.
type kea struct {
	t      *testing.T
	socket string
	stop   func()
}

const keaStarts = time.Minute

// startKea starts Debian's kea-dhcp4 on a lease file.
func startKea(t *testing.T, leaseFile string, lfcInterval int) *kea {
	t.Helper()
	return startDaemon(t, "4", leaseFile, lfcInterval, []any{
		map[string]any{"id": 1, "subnet": "10.0.0.0/8"},
		map[string]any{"id": 7, "subnet": "192.0.2.0/24"},
	})
}

// startDaemon starts the one for a family, "4" or "6".
func startDaemon(t *testing.T, family, leaseFile string, lfcInterval int, subnets []any) *kea {
	t.Helper()
	keaProgram := "kea-dhcp" + family
	program, err := exec.LookPath(keaProgram)
	if err != nil {
		t.Skipf("%s is not installed (Debian's package %s-server)", keaProgram, keaProgram)
	}
	hook := ""
	for _, dir := range []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/local/lib"} {
		if f := filepath.Join(dir, "kea/hooks/libdhcp_lease_cmds.so"); hook == "" {
			if _, err := os.Stat(f); err == nil {
				hook = f
			}
		}
	}
	if hook == "" {
		t.Skip("Kea's hook library lease_cmds is not installed")
	}
	// A short path: a socket's name has 108 octets at most.
	dir, err := os.MkdirTemp("", "kea")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := filepath.Join(dir, "kea.json")
	k := &kea{t: t, socket: filepath.Join(dir, "s")}
	part := map[string]any{
		"interfaces-config": map[string]any{"interfaces": []string{}},
		"control-socket":    map[string]any{"socket-type": "unix", "socket-name": k.socket},
		"hooks-libraries":   []any{map[string]any{"library": hook}},
		"lease-database":    map[string]any{"type": "memfile", "persist": true, "name": leaseFile, "lfc-interval": lfcInterval},
		// Reclaiming would change what is compared.
		"expired-leases-processing": map[string]any{"reclaim-timer-wait-time": 0, "flush-reclaimed-timer-wait-time": 0},
		"subnet" + family:           subnets,
	}
	if family == "6" { // or it keeps its DUID in the system's folder
		part["server-id"] = map[string]any{"type": "EN", "enterprise-id": 2495, "identifier": "0123456789", "persist": false}
	}
	text, err := json.Marshal(map[string]any{"Dhcp" + family: part})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "-c", conf)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Env = append(os.Environ(), "KEA_PIDFILE_DIR="+dir, "KEA_LOCKFILE_DIR=none")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stopped := false
	k.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(keaStarts):
			cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", keaProgram, log.Bytes())
		}
	}
	t.Cleanup(k.stop)
	for deadline := time.Now().Add(keaStarts); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("unix", k.socket); err == nil {
			c.Close()
			return k
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", keaProgram, err, log.Bytes())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s opened no control socket", keaProgram)
		}
	}
}

// command returns the answer; any result but 0 and 3 fails the test.
func (k *kea) command(name string, args any) json.RawMessage {
	k.t.Helper()
	c, err := net.Dial("unix", k.socket)
	if err != nil {
		k.t.Fatal(err)
	}
	defer c.Close()
	query := map[string]any{"command": name}
	if args != nil {
		query["arguments"] = args
	}
	if err := json.NewEncoder(c).Encode(query); err != nil {
		k.t.Fatal(err)
	}
	text, err := io.ReadAll(c)
	if err != nil {
		k.t.Fatal(err)
	}
	var answer struct {
		Result    int
		Text      string
		Arguments json.RawMessage
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		k.t.Fatalf("%s: %v: %s", name, err, text)
	}
	if answer.Result != 0 && answer.Result != 3 {
		k.t.Fatalf("%s: %s", name, answer.Text)
	}
	return answer.Arguments
}

// keaLease is a lease as lease_cmds has it (LS-028).
type keaLease struct {
	IPAddress   string          `json:"ip-address"`
	SubnetID    uint32          `json:"subnet-id"`
	HWAddress   string          `json:"hw-address"`
	ClientID    string          `json:"client-id,omitempty"`
	ValidLft    uint32          `json:"valid-lft"`
	CLTT        int64           `json:"cltt"`
	FQDNFwd     bool            `json:"fqdn-fwd"`
	FQDNRev     bool            `json:"fqdn-rev"`
	Hostname    string          `json:"hostname"`
	State       uint8           `json:"state"`
	UserContext json.RawMessage `json:"user-context,omitempty"`
}

// text is a lease in the form of plain, without what Kea 2.2 does not have. Kea
// writes JSON its own way, so contexts are compared by value.
func (l *keaLease) text() string {
	return fmt.Sprintf("%s subnet %d cltt %d valid %d state %d fwd %v rev %v hw %s cid %s host %q ctx %s", l.IPAddress, l.SubnetID, l.CLTT,
		l.ValidLft, l.State, l.FQDNFwd, l.FQDNRev, l.HWAddress, l.ClientID, l.Hostname, canonical(l.UserContext))
}

func canonical(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err.Error()
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func asKea(l *lease.Lease4) string {
	k := keaLease{
		IPAddress: l.Addr.String(), SubnetID: l.SubnetID, HWAddress: string(appendColonHex(nil, l.HW())), ClientID: string(appendColonHex(nil, l.CID())),
		ValidLft: l.ValidLifetimeS, CLTT: l.CLTTUnixS, FQDNFwd: l.FQDNFwd, FQDNRev: l.FQDNRev, Hostname: string(l.Host()), State: uint8(l.State),
		UserContext: json.RawMessage(l.UserContext),
	}
	return k.text()
}

func (k *kea) leases() map[string]string {
	k.t.Helper()
	args := k.command("lease4-get-all", nil)
	var all struct{ Leases []keaLease }
	if len(args) > 0 {
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

func tableAsKea(t *lease.Table) map[string]string {
	m := map[string]string{}
	page := make([]lease.Lease4, 64)
	for after := dhcp4.IPv4(0); ; {
		n := t.Page(after, page)
		if n == 0 {
			return m
		}
		for i := range page[:n] {
			if page[i].ValidLifetimeS > 0 {
				m[page[i].Addr.String()] = asKea(&page[i])
			}
		}
		after = page[n-1].Addr
	}
}

// TestFromKea lets Kea write leases, clean up and write more, and reads its files
// at each step.
func TestFromKea(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kea-leases4.csv")
	compare := func(k *kea, step string) {
		t.Helper()
		want := k.leases()
		// A clean-up moves the files while they are read; then it says so or the
		// leases differ for a moment.
		var d string
		for deadline := time.Now().Add(keaStarts); ; time.Sleep(50 * time.Millisecond) {
			tab := lease.NewTable(lease.Options{})
			_, err := Load4(path, tab, LoadOptions{RowError: func(e *RowError) { t.Error(e) }})
			if err == nil {
				if d = cmp.Diff(want, tableAsKea(tab)); d == "" {
					return
				}
			} else {
				d = err.Error()
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s", step, d)
			}
		}
	}
	k := startKea(t, path, 1)
	now := time.Now().Unix()
	add := func(ip, hw string, more map[string]any) {
		t.Helper()
		args := map[string]any{"ip-address": ip, "hw-address": hw}
		for key, v := range more {
			args[key] = v
		}
		k.command("lease4-add", args)
	}
	add("192.0.2.1", "1a:1b:1c:1d:1e:1f", nil)
	add("192.0.2.2", "00:00:00:00:00:02", map[string]any{"client-id": "01:02:03", "hostname": "Host,with&all\x01;\"quoted\"", "fqdn-fwd": true, "fqdn-rev": true})
	add("192.0.2.3", "00:00:00:00:00:03", map[string]any{"valid-lft": uint32(lease.InfiniteLifetime), "user-context": map[string]any{"a": "x,y&z\t", "n": []int{1, 2}}})
	add("192.0.2.4", "00:00:00:00:00:04", map[string]any{"state": 1, "expire": now + 1000, "valid-lft": 500})
	add("192.0.2.5", "00:00:00:00:00:05", map[string]any{"state": 2})
	add("10.1.2.3", "00:00:00:00:00:06", nil)
	k.command("lease4-del", map[string]any{"ip-address": "192.0.2.1"})
	k.command("lease4-update", map[string]any{"ip-address": "192.0.2.5", "hw-address": "00:00:00:00:00:07", "hostname": "moved"})
	if n := len(k.leases()); n != 5 {
		t.Fatalf("Kea has %d leases", n)
	}
	compare(k, "first")
	// A clean-up leaves everything in the previous file, more comes after it.
	for deadline := time.Now().Add(keaStarts); ; time.Sleep(50 * time.Millisecond) {
		if is, err := exists(path + suffixPrevious); err != nil {
			t.Fatal(err)
		} else if is {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("Kea did not clean up")
		}
	}
	add("10.1.2.4", "00:00:00:00:00:08", nil)
	k.command("lease4-del", map[string]any{"ip-address": "10.1.2.3"})
	compare(k, "after a clean-up")
	k.stop()
	tab := lease.NewTable(lease.Options{})
	sum, err := Load4(path, tab, LoadOptions{})
	if err != nil || sum.Leases != 5 || len(sum.Files) < 2 {
		t.Errorf("after the end: %+v, %v", sum, err)
	}
	if _, err := NewMirror(MirrorOptions{Path: path, Table: tab}); err == nil || !strings.Contains(err.Error(), "holds leases of Kea's") {
		t.Errorf("a mirror over Kea's files: %v", err)
	}
}

// TestToKea has Kea start from a mirror that was rewritten, followed changes, and
// was cleaned up again, and go on writing to it.
func TestToKea(t *testing.T) {
	r := newRand(t)
	g := newRig(t, MirrorOptions{})
	random := func() {
		l := randomLease(r, addr(10, 0, byte(r.IntN(2)), byte(r.IntN(256))))
		l.SubnetID, l.CLTTUnixS = 1, g.nowS
		if r.IntN(4) == 0 {
			l.Addr, l.SubnetID = addr(192, 0, 2, byte(r.IntN(256))), 7
		}
		l.PoolID = 0
		// Kea 2.2 takes client identifiers up to 128 octets, later ones 255.
		l.SetCID(l.CID()[:min(l.ClientIDLen, 128)])
		// What Kea puts into JSON must be text, and of others than ASCII it makes
		// two of one.
		l.UserContext = strings.ReplaceAll(l.UserContext, "é", "e")
		l.UserContext = strings.ReplaceAll(l.UserContext, `\u00e9`, "e")
		l.SetHost(bytes.Map(func(c rune) rune {
			if c < 0x20 || c > 0x7E {
				return 'x'
			}
			return c
		}, l.Host()))
		switch r.IntN(5) {
		case 0:
			var old lease.Lease4
			if g.table.Get(l.Addr, &old) {
				if _, err := g.table.Delete(l.Addr, old.Version, nil); err != nil {
					t.Fatal(err)
				}
			}
		case 1:
			l.State, l.ValidLifetimeS = lease.StateReleased, 0
			g.put(l)
		default:
			g.put(l)
		}
	}
	for range 1000 {
		random()
	}
	g.m.turn()
	for range 300 {
		random()
	}
	g.m.turn()
	if n := g.m.Stats().Rewrites; n != 1 {
		t.Fatalf("%d rewrites", n)
	}
	want := tableAsKea(g.table)
	for name, file := range map[string]func() string{
		"followed": func() string { return g.path },
		"rewritten": func() string {
			if err := g.m.rewrite(); err != nil {
				t.Fatal(err)
			}
			return g.path
		},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file())
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "kea-leases4.csv")
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			k := startKea(t, path, 0)
			if d := cmp.Diff(want, k.leases()); d != "" {
				t.Error(d)
			}
			if len(want) < 100 {
				t.Errorf("only %d leases", len(want))
			}
			// Kea goes on from it: there and back.
			k.command("lease4-add", map[string]any{"ip-address": "10.9.9.9", "hw-address": "02:00:00:00:00:09"})
			after := k.leases()
			k.stop()
			tab := lease.NewTable(lease.Options{})
			if _, err := Load4(path, tab, LoadOptions{RowError: func(e *RowError) { t.Error(e) }}); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(after, tableAsKea(tab)); d != "" {
				t.Error("back:", d)
			}
		})
	}
}

// TestRowsAsKeaWrites compares rows octet by octet with those that Kea writes of
// the same leases. (Octets that are no printable ASCII are not escaped by Kea 2.2,
// but are by later versions; they are in TestRows.)
func TestRowsAsKeaWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kea-leases4.csv")
	k := startKea(t, path, 0)
	full := &lease.Lease4{Addr: addr(192, 0, 2, 10), SubnetID: 7, CLTTUnixS: 1700000000, ValidLifetimeS: 3600, FQDNFwd: true, UserContext: `{ "a": "x,y&z", "b": [ 1, 2 ] }`}
	full.SetHW(1, []byte{2, 0, 0, 0xAB, 0xCD, 0xEF})
	full.SetCID([]byte{1, 2, 0, 0, 0xAB, 0xCD, 0xEF})
	full.SetHost([]byte("a,b& #x2c;\"c\".example"))
	bare := &lease.Lease4{Addr: addr(10, 0, 0, 1), SubnetID: 1, CLTTUnixS: 1700000000, ValidLifetimeS: lease.InfiniteLifetime, State: lease.StateDeclined}
	bare.SetHW(1, []byte{0xA})
	want := strings.TrimSuffix(Header4, ",pool_id") + "\n"
	for _, l := range []*lease.Lease4{full, bare} {
		args := map[string]any{
			"ip-address": l.Addr.String(), "hw-address": string(appendColonHex(nil, l.HW())), "subnet-id": l.SubnetID, "valid-lft": l.ValidLifetimeS,
			"expire": l.CLTTUnixS + int64(l.ValidLifetimeS), "fqdn-fwd": l.FQDNFwd, "fqdn-rev": l.FQDNRev, "hostname": string(l.Host()), "state": l.State,
		}
		if l.ClientIDLen > 0 {
			args["client-id"] = hex.EncodeToString(l.CID())
		}
		if l.UserContext != "" {
			args["user-context"] = json.RawMessage(l.UserContext)
		}
		k.command("lease4-add", args)
		k.command("lease4-del", map[string]any{"ip-address": l.Addr.String()})
		want += strings.TrimSuffix(string(AppendRow4(nil, l)), ",0\n") + "\n" + strings.TrimSuffix(string(AppendDeletion4(nil, l)), ",0\n") + "\n"
	}
	k.stop()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(string(got), Header4+"\n") {
		want = strings.ReplaceAll(want, "\n", ",0\n") // a Kea that has pool_id
		want = Header4 + strings.TrimPrefix(want, strings.TrimSuffix(Header4, ",pool_id")+",0")
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
}
