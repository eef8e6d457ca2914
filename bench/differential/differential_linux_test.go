package differential

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	keep = flag.Bool("keep", false, "keep the servers' directories")
	mode = flag.String("mode", "socket", "Peregrine's dataplane: socket, generic or native")
	only = flag.String("only", "", "hold only the conversations whose name contains this")
	prog = flag.String("peregrine", "", "the program to test; built if empty")
	show = flag.Bool("show", false, "log every reply")
)

// keaVersion is the Kea that the corpus's differences are listed for.
const keaVersion = "2.2."

// xids numbers the transactions of the whole test, so that a late reply is
// never taken for another one.
var xids atomic.Uint32

// requireKea skips where the comparison cannot be made.
func requireKea(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces and raw sockets need root")
	}
	if _, err := exec.LookPath("kea-dhcp4"); err != nil {
		t.Skip("kea-dhcp4 is not installed (Debian: kea-dhcp4-server)")
	}
	out, err := exec.Command("kea-dhcp4", "-v").Output()
	if err != nil {
		t.Fatalf("kea-dhcp4 -v: %v", err)
	}
	if v := strings.TrimSpace(string(out)); !strings.HasPrefix(v, keaVersion) {
		t.Skipf("the corpus is about Kea %sx, this is %s", keaVersion, v)
	}
}

// buildPeregrine returns the path of the program, built once.
var buildPeregrine = sync.OnceValues(func() (string, error) {
	if *prog != "" {
		return filepath.Abs(*prog)
	}
	dir, err := os.MkdirTemp("", "pgdiffbin")
	if err != nil {
		return "", err
	}
	binDir = dir
	bin := filepath.Join(dir, "peregrine")
	out, err := exec.Command("go", "build", "-o", bin, "github.com/peregrine-dhcp/peregrine/cmd/peregrine").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build peregrine: %w\n%s", err, out)
	}
	return bin, nil
})

var binDir string

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if binDir != "" {
		_ = os.RemoveAll(binDir) // in the directory for temporary files
	}
	os.Exit(code)
}

func corpus(t *testing.T) []*script {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var all []*script
	for _, f := range files {
		s, err := loadScript(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func TestDifferential(t *testing.T) {
	requireKea(t)
	bin, err := buildPeregrine()
	if err != nil {
		t.Fatal(err)
	}
	for _, sc := range corpus(t) {
		if *only != "" && !slices.ContainsFunc(sc.convs, func(c *conversation) bool { return strings.Contains(c.name, *only) }) {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, sc, bin)
			for _, c := range sc.convs {
				if strings.Contains(c.name, *only) {
					b.hold(t, c)
				}
			}
		})
	}
}

// bed is both servers with one configuration.
type bed struct {
	sc        *script
	kea, ours *server
}

func newBed(t *testing.T, sc *script, bin string) *bed {
	t.Helper()
	keaConf, err := sc.config(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{sc: sc, kea: newServer(t, "kea"), ours: newServer(t, "peregrine")}
	ourConf, err := sc.config(map[string]any{"Dataplane": map[string]any{"mode": *mode, "lease-directory": b.ours.path("leases"), "lease-file-mirror": "none"}})
	if err != nil {
		t.Fatal(err)
	}
	b.kea.argv = []string{"kea-dhcp4", "-c", b.kea.path("conf.json")}
	b.kea.env = []string{"KEA_PIDFILE_DIR=" + b.kea.dir, "KEA_LOCKFILE_DIR=" + b.kea.dir}
	b.ours.argv = []string{bin, "serve", "-c", b.ours.path("conf.json")}
	write := func(s *server, text []byte) {
		if err := os.WriteFile(s.path("conf.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(b.kea, keaConf)
	write(b.ours, ourConf)
	if out, err := exec.Command(bin, "check", "-c", b.ours.path("conf.json")).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "not supported yet") {
			t.Skipf("waits for what is not served yet:\n%s", out)
		}
		t.Fatalf("peregrine refuses the configuration: %v\n%s", err, out)
	}
	b.kea.run()
	b.ours.run()
	return b
}

// hold holds one conversation with both and compares.
func (b *bed) hold(t *testing.T, c *conversation) {
	kea, ours := newSide(), newSide()
	differed := false
	for _, st := range c.steps {
		where := fmt.Sprintf("testdata/%s.txt:%d: %s: %s", b.sc.name, st.line, c.name, st.verb)
		switch st.verb {
		case "wait":
			time.Sleep(st.wait)
			continue
		case "restart":
			b.kea.end()
			b.ours.end()
			b.kea.run()
			b.ours.run()
			continue
		}
		xid := xids.Add(1)
		kp, kerr := build(st, c.index, xid, serverMAC, kea.value)
		pp, perr := build(st, c.index, xid, serverMAC, ours.value)
		if err := errors.Join(kerr, perr); err != nil {
			// Where the servers have parted one may lack what the other has.
			if !differed || !errors.Is(err, errUnset) || kerr != nil && perr != nil {
				t.Errorf("%s: %v", where, err)
			}
			return
		}
		if len(kp.msg) >= offSecs {
			xid = binary.BigEndian.Uint32(kp.msg[offXID:])
		}
		k, p, extra := b.exchange(t, kp, pp, xid, st.expectsSilence())
		kea.learn(b.sc, k)
		ours.learn(b.sc, p)
		got := append(compare(b.sc, kea, ours, k, p), extra...)
		if *show {
			t.Logf("%s\n  kea       %s\n  peregrine %s", where, describe(k), describe(p))
		}
		if len(got) > 0 {
			differed = true
		}
		if text := explain(got, st); text != "" {
			t.Errorf("%s\n%s", where, text)
		}
	}
}

// explain lists the differences that the step does not expect and those that it
// expects in vain.
func explain(got []string, st *step) string {
	var b strings.Builder
	for _, g := range got {
		if !slices.ContainsFunc(st.known, func(k known) bool { return k.text == g }) {
			fmt.Fprintf(&b, "  != %s\n", g)
		}
	}
	for _, k := range st.known {
		if !slices.Contains(got, k.text) {
			fmt.Fprintf(&b, "  no longer (%s): %s\n", k.reason, k.text)
		}
	}
	return b.String()
}

func describe(r *reply) string {
	if r == nil {
		return "none"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %v:%d %x yiaddr %v ciaddr %v flags %x", r.typeName(), r.dst, r.dstPort, r.dstMAC, r.addr(offYIAddr), r.addr(offCIAddr), r.msg[offFlags:offFlags+2])
	for _, o := range r.opts {
		fmt.Fprintf(&b, " %d=%v", o.code, o)
	}
	return b.String()
}

// exchange sends a message to each server and returns their replies, nil for
// silence. What proves a silence is that the server has answered a later message.
// sure says that one server's silence is expected, so that what proves a silence
// need not be doubted.
func (b *bed) exchange(t *testing.T, kp, pp *packet, xid uint32, sure bool) (k, p *reply, extra []string) {
	kc, pc := b.kea.post(kp, xid), b.ours.post(pp, xid)
	defer func() {
		for _, s := range []*server{b.kea, b.ours} {
			s.mu.Lock()
			delete(s.waiting, xid)
			s.mu.Unlock()
		}
		if len(kc) > 0 || len(pc) > 0 {
			extra = append(extra, fmt.Sprintf("further answers: kea %d, peregrine %d", len(kc), len(pc)))
		}
	}()
	collect := func(d time.Duration) bool {
		timeout := time.After(d)
		for k == nil || p == nil {
			// A nil channel never delivers: one answer of each is enough.
			kw, pw := kc, pc
			if k != nil {
				kw = nil
			}
			if p != nil {
				pw = nil
			}
			select {
			case k = <-kw:
			case p = <-pw:
			case <-timeout:
				return false
			}
		}
		return true
	}
	if collect(quick) {
		return k, p, nil
	}
	b.sync(t, b.kea)
	b.sync(t, b.ours)
	if !collect(grace) && (k != nil || p != nil) && !sure {
		collect(doubt)
	}
	return k, p, nil
}

// sync waits until the server has handled everything sent before.
func (b *bed) sync(t *testing.T, s *server) {
	args := b.sc.sentinel
	if args == nil {
		args = []token{{"ciaddr", "10.1.0.250"}, {"from", "10.1.0.250"}}
	}
	xid := xids.Add(1)
	probe, err := build(&step{verb: "INFORM", args: args}, 0xffff, xid, serverMAC, newSide().value)
	if err != nil {
		t.Fatalf("sentinel: %v", err)
	}
	c := s.post(probe, xid)
	defer func() {
		s.mu.Lock()
		delete(s.waiting, xid)
		s.mu.Unlock()
	}()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); s.send(probe) {
		select {
		case <-c:
			return
		case <-time.After(time.Second):
		}
	}
	t.Fatalf("%s answers nothing any more:\n%s", s.name, s.log())
}
