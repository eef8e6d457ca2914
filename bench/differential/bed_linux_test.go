package differential

import (
	"encoding/binary"
	"errors"
	"fmt"

	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
)

const (
	// patience is for what must happen, on a busy machine too.
	patience = 20 * time.Second
	// quick is how long an answer takes on an idle one.
	quick = 20 * time.Millisecond
	// grace is how much longer than for the sentinel's answer a server may need
	// when the other is silent too, and doubt when the other has answered.
	grace = 15 * time.Millisecond
	doubt = 400 * time.Millisecond
)

// serverMAC is that of both servers' interfaces.
var serverMAC = [6]byte{0x02, 0xfd, 0, 0, 0, 1}

// netNS is a network namespace that lives as long as the test or a process in it.
type netNS struct {
	h  netns.NsHandle
	nl *netlink.Handle
}

func newNS(t testing.TB) *netNS {
	t.Helper()
	goruntime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	h, err := netns.New()
	if err != nil {
		goruntime.UnlockOSThread()
		t.Fatalf("make network namespace: %v", err)
	}
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	if err := netns.Set(home); err != nil {
		t.Fatalf("return to the test's network namespace: %v", err) // the thread stays locked and ends
	}
	goruntime.UnlockOSThread()
	n := &netNS{h: h}
	if n.nl, err = netlink.NewHandleAt(h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.nl.Close()
		_ = n.h.Close()
	})
	n.change(t, "lo", n.nl.LinkSetUp)
	return n
}

// in runs f on a thread in the namespace.
func (n *netNS) in(f func() error) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		home, err := netns.Get()
		if err == nil {
			defer home.Close()
			err = netns.Set(n.h)
		}
		if err == nil {
			err = f()
			if back := netns.Set(home); back != nil {
				done <- errors.Join(err, back)
				return // and the thread, still locked, ends with the goroutine
			}
		}
		goruntime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

func (n *netNS) link(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := n.nl.LinkByName(name)
	if err != nil {
		t.Fatalf("find %s: %v", name, err)
	}
	return l
}

func (n *netNS) change(t testing.TB, name string, f func(netlink.Link) error) {
	t.Helper()
	if err := f(n.link(t, name)); err != nil {
		t.Fatalf("change %s: %v", name, err)
	}
}

// server is one of the two, with its wire.
type server struct {
	t        testing.TB
	name     string
	argv     []string
	env      []string
	dir      string
	ns, peer *netNS

	cmd  *exec.Cmd
	done chan struct{}
	fd   int

	mu      sync.Mutex
	waiting map[uint32]chan *reply
	bad     []string
	stop    chan struct{}
	stopped chan struct{}
}

// newServer builds the network of one server, which is not started yet.
func newServer(t testing.TB, name string) *server {
	t.Helper()
	s := newServerAt(t, name, serverCIDR, nil)
	s.openWire()
	return s
}

// newServerAt is newServer without the clients' sockets. prepare, if not nil, is
// called with each namespace before there are interfaces.
func newServerAt(t testing.TB, name, cidr string, prepare func(*netNS) error) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgdiff")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if *keep {
			t.Logf("%s: %s", name, dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s := &server{t: t, name: name, dir: dir, ns: newNS(t), peer: newNS(t), fd: -1,
		waiting: map[uint32]chan *reply{}, stop: make(chan struct{}), stopped: make(chan struct{})}
	if prepare != nil {
		if err := errors.Join(prepare(s.ns), prepare(s.peer)); err != nil {
			t.Fatalf("prepare network namespaces: %v", err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	attrs.HardwareAddr = serverMAC[:]
	v := &netlink.Veth{LinkAttrs: attrs, PeerName: "clients", PeerNamespace: netlink.NsFd(int(s.peer.h))}
	if err := s.ns.nl.LinkAdd(v); err != nil {
		t.Fatalf("make veth: %v", err)
	}
	a, err := netlink.ParseAddr(cidr)
	if err == nil {
		err = s.ns.nl.AddrAdd(s.ns.link(t, "eth0"), a)
	}
	if err != nil {
		t.Fatalf("give eth0 its address: %v", err)
	}
	s.peer.change(t, "clients", s.peer.nl.LinkSetUp)
	s.ns.change(t, "eth0", s.ns.nl.LinkSetUp)
	for deadline := time.Now().Add(patience); s.ns.link(t, "eth0").Attrs().OperState != netlink.OperUp; {
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
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.ns.in(s.cmd.Start); err != nil {
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

// openWire opens a raw socket on the clients' end; one goroutine hands every
// reply to whoever waits for its transaction.
func (s *server) openWire() {
	s.t.Helper()
	index := s.peer.link(s.t, "clients").Attrs().Index
	err := s.peer.in(func() (err error) {
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err == nil {
		err = unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	if err == nil {
		err = unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000})
	}
	if err == nil {
		ip := binary.NativeEndian.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xff})
		err = unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: ip, Ifindex: index})
	}
	if err != nil {
		s.t.Fatalf("open raw socket: %v", err)
	}
	go s.receive()
	s.t.Cleanup(func() {
		close(s.stop)
		<-s.stopped
		unix.Close(s.fd)
		for _, b := range s.bad {
			s.t.Errorf("%s sent something invalid: %s", s.name, b)
		}
	})
}

func (s *server) receive() {
	defer close(s.stopped)
	buf := make([]byte, 8192)
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		n, err := unix.Read(s.fd, buf)
		if err != nil {
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
				continue
			}
			return
		}
		var h frame.Headers
		f := buf[:n]
		switch why := frame.Decode(f, &h); {
		case why != frame.ReasonOK && n > 23 && f[23] == unix.IPPROTO_UDP:
			s.note("frame: %v: %x", why, f)
			continue
		case why != frame.ReasonOK || h.Family != 4 || h.SrcPort != dhcp4.ServerPort:
			continue // ICMP and the like
		}
		r, err := readReply(append([]byte(nil), f[h.PayloadOff:][:h.PayloadLen]...))
		if err != nil {
			s.note("message: %v: %x", err, f)
			continue
		}
		r.dstMAC, r.srcMAC = [6]byte(f[0:6]), [6]byte(f[6:12])
		r.src, r.dst = dhcp4.IPv4(h.Src4).Netip(), dhcp4.IPv4(h.Dst4).Netip()
		r.srcPort, r.dstPort = h.SrcPort, h.DstPort
		s.mu.Lock()
		c := s.waiting[binary.BigEndian.Uint32(r.msg[offXID:])]
		s.mu.Unlock()
		if c != nil {
			select {
			case c <- r:
			default: // more than a few: the first are enough to tell
			}
		}
	}
}

func (s *server) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.bad) < 5 {
		s.bad = append(s.bad, fmt.Sprintf(format, args...))
	}
}

// post sends p; replies with that transaction id come on the channel.
func (s *server) post(p *packet, xid uint32) chan *reply {
	c := make(chan *reply, 4)
	s.mu.Lock()
	s.waiting[xid] = c
	s.mu.Unlock()
	s.send(p)
	return c
}

func (s *server) send(p *packet) {
	room := make([]byte, frame.MaxHeaderLen+len(p.msg))
	f := writeFrame(room, p)
	for range 1000 {
		_, err := unix.Write(s.fd, f)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			s.t.Errorf("send frame of %d octets: %v", len(f), err)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// writeFrame puts Ethernet, IPv4 and UDP headers in front of the message.
func writeFrame(room []byte, p *packet) []byte {
	const headers = 14 + 20 + 8
	copy(room[headers:], p.msg)
	out := frame.Out4{
		DstMAC: p.dstMAC, SrcMAC: p.srcMAC,
		Src4: uint32(dhcp4.AddrFromNetip(p.src)), Dst4: uint32(dhcp4.AddrFromNetip(p.dst)),
		SrcPort: p.srcPort, DstPort: p.dstPort,
	}
	return room[:frame.Write4(room[:headers+len(p.msg)], &out, len(p.msg))]
}
