package differential

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
)

const (
	// patience is for what must happen, on a busy machine too.
	patience = time.Minute
	// quick is how long an answer takes on an idle one.
	quick = 20 * time.Millisecond
	// grace is how much longer than for the sentinel's answer a server may need
	// when the other is silent too, and doubt when one of them answers: what is
	// only late, for its lease is being written, must not be taken for silence.
	grace = 15 * time.Millisecond
	doubt = 10 * time.Second
)

// serverMAC is that of both servers' interfaces.
var serverMAC = [6]byte{0x02, 0xfd, 0, 0, 0, 1}

// server is one of the two: a process and its network.
type server struct {
	t        testing.TB
	name     string
	argv     []string
	env      []string
	dir      string
	ns, peer *fastpathtest.NS

	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	bad []string
}

func (s *server) process() *server { return s }

// newServer builds the network of one server, which is not started yet. prepare,
// if not nil, is called with each namespace before there are interfaces.
func newServer(t testing.TB, name, cidr string, prepare func(*fastpathtest.NS) error) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgdiff")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, name: name, dir: dir, ns: fastpathtest.NewNS(t), peer: fastpathtest.NewNS(t)}
	t.Cleanup(func() {
		for _, b := range s.bad {
			t.Errorf("%s sent something invalid: %s", name, b)
		}
		if *keep {
			t.Logf("%s: %s", name, dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if prepare != nil {
		if err := errors.Join(prepare(s.ns), prepare(s.peer)); err != nil {
			t.Fatalf("prepare network namespaces: %v", err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	attrs.HardwareAddr = serverMAC[:]
	v := &netlink.Veth{LinkAttrs: attrs, PeerName: "clients", PeerNamespace: netlink.NsFd(int(s.peer.Handle))}
	if err := s.ns.NL.LinkAdd(v); err != nil {
		t.Fatalf("make veth: %v", err)
	}
	a, err := netlink.ParseAddr(cidr)
	if err == nil {
		err = s.ns.NL.AddrAdd(s.ns.Link(t, "eth0"), a)
	}
	if err != nil {
		t.Fatalf("give eth0 its address: %v", err)
	}
	s.peer.Up(t, "clients")
	s.ns.Up(t, "eth0")
	for deadline := time.Now().Add(patience); s.ns.Link(t, "eth0").Attrs().OperState != netlink.OperUp; {
		if time.Now().After(deadline) {
			t.Fatal("eth0 does not come up")
		}
		time.Sleep(2 * time.Millisecond)
	}
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) log() string {
	b, err := os.ReadFile(s.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// run starts the server and waits until it says that it answers.
func (s *server) run() {
	s.t.Helper()
	before := len(s.log())
	f, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() == 0 {
		before = 0
	}
	s.cmd = exec.Command(s.argv[0], s.argv[1:]...)
	s.cmd.Dir = s.dir
	s.cmd.Env = append(os.Environ(), s.env...)
	s.cmd.Stdout, s.cmd.Stderr = f, f
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.ns.In(s.cmd.Start); err != nil {
		s.t.Fatalf("start %s: %v", s.name, err)
	}
	done := make(chan struct{})
	s.done = done
	cmd := s.cmd
	go func() {
		_ = cmd.Wait() // a status is of no interest: the log says why
		close(done)
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-done
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if text := s.log(); started(text[min(before, len(text)):]) {
			return
		}
		select {
		case <-done:
			s.t.Fatalf("%s ended:\n%s", s.name, s.log())
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s does not start:\n%s", s.name, s.log())
		}
	}
}

func started(log string) bool {
	return strings.Contains(log, "DHCP4_STARTED") || strings.Contains(log, "DHCP6_STARTED")
}

// end stops it gently.
func (s *server) end() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatalf("stop %s: %v\n%s", s.name, err, s.log())
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatalf("%s does not end:\n%s", s.name, s.log())
	}
}

func (s *server) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.bad) < 5 {
		s.bad = append(s.bad, fmt.Sprintf(format, args...))
	}
}
