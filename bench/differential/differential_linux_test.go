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

// nextXID is a transaction id of DHCPv4 and of DHCPv6.
func nextXID() uint32 { return xids.Add(1) & 0xFFFFFF }

// requireKea skips where the comparison with a daemon of Kea's cannot be made.
func requireKea(t *testing.T, daemon string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces and raw sockets need root")
	}
	if _, err := exec.LookPath(daemon); err != nil {
		t.Skipf("%s is not installed (Debian: %s-server)", daemon, daemon)
	}
	out, err := exec.Command(daemon, "-v").Output()
	if err != nil {
		t.Fatalf("%s -v: %v", daemon, err)
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
	// Conversations wait for answers and silences nearly all of the time.
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "6")
	}
	code := m.Run()
	if binDir != "" {
		_ = os.RemoveAll(binDir) // in the directory for temporary files
	}
	os.Exit(code)
}

func corpus(t *testing.T) []*script { return scripts(t, "testdata/*.txt") }

// scripts reads the files of a corpus.
func scripts(t *testing.T, pattern string) []*script {
	t.Helper()
	files, err := filepath.Glob(pattern)
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

// family is what conversations in DHCPv4 have otherwise than those in DHCPv6:
// packets P, replies R, and a side S, which is what was learnt from one server.
type family[P, R, S any] struct {
	kea     string // its daemon
	folder  string // of the corpus, for messages
	newWire func(t testing.TB, name string) wire[P, R]
	newSide func() *S
	// build makes a step's packet and says under which transaction id the reply
	// will come.
	build func(st *step, conversation int, xid uint32, s *S) (*P, uint32, error)
	// compare lists how two replies differ, nil being silence.
	compare  func(sc *script, kea, ours *S, k, p *R) ([]string, error)
	describe func(sc *script, s *S, r *R) string
	// probe is what every server answers.
	probe func(sc *script) *step
}

// wire is a server with its clients' sockets.
type wire[P, R any] interface {
	process() *server
	send(*P)
	// expect is where the replies of a transaction come, until forget.
	expect(xid uint32) chan *R
	forget(xid uint32)
}

// waiting are the transactions whose replies somebody waits for.
type waiting[R any] struct {
	lock sync.Mutex
	by   map[uint32]chan *R
}

func (w *waiting[R]) expect(xid uint32) chan *R {
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.by == nil {
		w.by = map[uint32]chan *R{}
	}
	w.by[xid] = make(chan *R, 4)
	return w.by[xid]
}

func (w *waiting[R]) forget(xid uint32) {
	w.lock.Lock()
	defer w.lock.Unlock()
	delete(w.by, xid)
}

func (w *waiting[R]) deliver(xid uint32, r *R) {
	w.lock.Lock()
	c := w.by[xid]
	w.lock.Unlock()
	select {
	case c <- r: // never if nobody waits
	default: // more than a few: the first are enough to tell
	}
}

var family4 = &family[packet, reply, side]{
	kea: "kea-dhcp4", folder: "testdata", newWire: newWire4, newSide: newSide,
	build: func(st *step, conversation int, xid uint32, s *side) (*packet, uint32, error) {
		p, err := build(st, conversation, xid, serverMAC, s.value)
		if err == nil && len(p.msg) >= offSecs {
			xid = binary.BigEndian.Uint32(p.msg[offXID:])
		}
		return p, xid, err
	},
	compare: func(sc *script, kea, ours *side, k, p *reply) ([]string, error) {
		kea.learn(sc, k)
		ours.learn(sc, p)
		return compare(sc, kea, ours, k, p), nil
	},
	describe: func(_ *script, _ *side, r *reply) string { return describe(r) },
	probe: func(sc *script) *step {
		args := sc.sentinel
		if args == nil {
			args = []token{{"ciaddr", "10.1.0.250"}, {"from", "10.1.0.250"}}
		}
		return &step{verb: "INFORM", args: args}
	},
}

var family6 = &family[packet6, reply6, side6]{
	kea: "kea-dhcp6", folder: "testdata/v6", newWire: newWire6, newSide: newSide6,
	build: func(st *step, conversation int, xid uint32, s *side6) (*packet6, uint32, error) {
		p, err := build6(st, conversation, xid, s.value)
		return p, xid, err
	},
	compare:  compare6,
	describe: describe6,
	probe:    func(sc *script) *step { return &step{verb: "INFORMATION-REQUEST", args: sc.sentinel} },
}

func TestDifferential(t *testing.T) { family4.holdAll(t, corpus(t)) }

func TestDifferential6(t *testing.T) { family6.holdAll(t, corpus6(t)) }

// holdAll holds the conversations of each script with a pair of servers.
func (f *family[P, R, S]) holdAll(t *testing.T, all []*script) {
	requireKea(t, f.kea)
	bin, err := buildPeregrine()
	if err != nil {
		t.Fatal(err)
	}
	for _, sc := range all {
		if *only != "" && !slices.ContainsFunc(sc.convs, func(c *conversation) bool { return strings.Contains(c.name, *only) }) {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, f, sc, bin)
			for _, c := range sc.convs {
				if strings.Contains(c.name, *only) {
					b.hold(t, c)
				}
			}
		})
	}
}

// bed is both servers with one configuration.
type bed[P, R, S any] struct {
	f         *family[P, R, S]
	sc        *script
	kea, ours wire[P, R]
}

func newBed[P, R, S any](t *testing.T, f *family[P, R, S], sc *script, bin string) *bed[P, R, S] {
	t.Helper()
	b := &bed[P, R, S]{f: f, sc: sc, kea: f.newWire(t, "kea"), ours: f.newWire(t, "peregrine")}
	kea, ours := b.kea.process(), b.ours.process()
	keaConf, err := sc.config(nil)
	if err != nil {
		t.Fatal(err)
	}
	ourConf, err := sc.config(map[string]any{"Dataplane": map[string]any{"mode": *mode, "lease-directory": ours.path("leases"), "lease-file-mirror": "none"}})
	if err != nil {
		t.Fatal(err)
	}
	kea.argv = []string{f.kea, "-c", kea.path("conf.json")}
	kea.env = []string{"KEA_PIDFILE_DIR=" + kea.dir, "KEA_LOCKFILE_DIR=" + kea.dir}
	ours.argv = []string{bin, "serve", "-c", ours.path("conf.json")}
	if err := errors.Join(os.WriteFile(kea.path("conf.json"), keaConf, 0o600), os.WriteFile(ours.path("conf.json"), ourConf, 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bin, "check", "-c", ours.path("conf.json")).CombinedOutput(); err != nil {
		t.Fatalf("peregrine refuses the configuration: %v\n%s", err, out)
	}
	kea.run()
	ours.run()
	return b
}

// hold holds one conversation with both and compares.
func (b *bed[P, R, S]) hold(t *testing.T, c *conversation) {
	kea, ours := b.f.newSide(), b.f.newSide()
	differed := false
	for _, st := range c.steps {
		where := fmt.Sprintf("%s/%s.txt:%d: %s: %s", b.f.folder, b.sc.name, st.line, c.name, st.verb)
		switch st.verb {
		case "wait":
			time.Sleep(st.wait)
			continue
		case "restart":
			for _, s := range []*server{b.kea.process(), b.ours.process()} {
				s.end()
				s.run()
			}
			continue
		}
		xid := nextXID()
		kp, keaXID, kerr := b.f.build(st, c.index, xid, kea)
		pp, ourXID, perr := b.f.build(st, c.index, xid, ours)
		if err := errors.Join(kerr, perr); err != nil {
			// Where the servers have parted one may lack what the other has.
			if !differed || !errors.Is(err, errUnset) || kerr != nil && perr != nil {
				t.Errorf("%s: %v", where, err)
			}
			return
		}
		k, p, extra := b.exchange(t, st, kp, pp, keaXID, ourXID)
		got, err := b.f.compare(b.sc, kea, ours, k, p)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			return
		}
		got = append(got, extra...)
		if *show {
			t.Logf("%s\n  kea       %s\n  peregrine %s", where, b.f.describe(b.sc, kea, k), b.f.describe(b.sc, ours, p))
		}
		differed = differed || len(got) > 0
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
// Where one server has answered, or is known to, the other gets more time than
// that, unless its silence is what the step expects.
func (b *bed[P, R, S]) exchange(t *testing.T, st *step, kp, pp *P, keaXID, ourXID uint32) (k, p *R, extra []string) {
	kc, pc := b.kea.expect(keaXID), b.ours.expect(ourXID)
	b.kea.send(kp)
	b.ours.send(pp)
	defer func() {
		b.kea.forget(keaXID)
		b.ours.forget(ourXID)
		if len(kc) > 0 || len(pc) > 0 {
			extra = append(extra, fmt.Sprintf("further answers: kea %d, peregrine %d", len(kc), len(pc)))
		}
	}()
	collect := func(d time.Duration, wantKea, wantOurs bool) bool {
		timeout := time.After(d)
		for wantKea && k == nil || wantOurs && p == nil {
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
	if collect(quick, true, true) {
		return k, p, nil
	}
	b.sync(t, b.kea)
	b.sync(t, b.ours)
	keaSilent, oursSilent := st.expectsSilence()
	if !collect(grace, true, true) && (k != nil || p != nil || keaSilent || oursSilent) {
		collect(doubt, !keaSilent, !oursSilent)
	}
	return k, p, nil
}

// sync waits until the server has handled everything sent before.
func (b *bed[P, R, S]) sync(t *testing.T, w wire[P, R]) {
	probe, xid, err := b.f.build(b.f.probe(b.sc), 0xffff, nextXID(), b.f.newSide())
	if err != nil {
		t.Fatalf("sentinel: %v", err)
	}
	c := w.expect(xid)
	defer w.forget(xid)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		w.send(probe)
		select {
		case <-c:
			return
		case <-time.After(time.Second):
		}
	}
	t.Fatalf("%s answers nothing any more:\n%s", w.process().name, w.process().log())
}
