// Package fastpathtest builds the networks that tests of the dataplane run in
// and says why they cannot where they cannot.
//
// A test binary calls Main from its TestMain: it starts itself again in a network
// namespace of its own, which the kernel takes down with the process however
// that ends. So tests share no device with the machine or each other, and leave
// nothing behind even when killed.
package fastpathtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// Patience is how long a test waits for what must happen before it gives up: long,
// since the machine may be busy, and no test takes longer for it.
const Patience = time.Minute

// envInside marks the second start, inside the namespace; envReason carries why
// there is none.
const (
	envInside = "PEREGRINE_TEST_NETNS"
	envReason = "PEREGRINE_TEST_NETNS_REASON"
)

// Main runs run (m.Run, or a function that checks for leaks around it) in a fresh
// network namespace and returns the exit status. Without the privilege to make
// one it runs in place, and RequireNet skips.
func Main(run func() int) int {
	if os.Getenv(envInside) != "" || os.Getenv(envReason) != "" {
		return run()
	}
	exe, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "find test binary:", err)
		return 1
	}
	start := func(env string, flags uintptr) (*exec.Cmd, error) {
		cmd := exec.Command(exe, os.Args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), env)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
		return cmd, cmd.Start()
	}
	cmd, err := start(envInside+"=1", syscall.CLONE_NEWNET)
	if err != nil {
		cmd, err = start(envReason+"=make a network namespace: "+err.Error(), 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "start test binary again:", err)
		return 1
	}
	// go test asks for stack traces with SIGQUIT; hand signals on.
	sigs := make(chan os.Signal, 4)
	signal.Notify(sigs, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range sigs {
			_ = cmd.Process.Signal(s)
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(1, exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "run tests:", err)
		return 1
	}
	return 0
}

// NoLeaks is run, which is then expected to have left no goroutine behind.
func NoLeaks(run func() int) func() int {
	return func() int {
		code := run()
		if code != 0 {
			return code
		}
		err := goleak.Find()
		for deadline := time.Now().Add(Patience); err != nil && time.Now().Before(deadline); {
			err = goleak.Find() // what is ending may need a while
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
}

// NetReason is why tests with network devices cannot run here; "" if they can.
func NetReason() string {
	if r := os.Getenv(envReason); r != "" {
		return "cannot " + r
	}
	if os.Getenv(envInside) == "" {
		return "the test binary does not use fastpathtest.Main"
	}
	return ""
}

var xdpReason = sync.OnceValue(func() string {
	if r := NetReason(); r != "" {
		return r
	}
	if err := features.HaveProgramType(ebpf.XDP); err != nil {
		return "XDP programs cannot be loaded: " + err.Error()
	}
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "AF_XDP sockets cannot be opened: " + err.Error()
	}
	unix.Close(fd)
	return ""
})

// XDPReason is why tests with XDP cannot run here; "" if they can.
func XDPReason() string { return xdpReason() }

// RequireNet skips the test where it can have no devices.
func RequireNet(tb testing.TB) {
	tb.Helper()
	if r := NetReason(); r != "" {
		tb.Skip(r)
	}
}

// RequireXDP skips the test where there is no XDP.
func RequireXDP(tb testing.TB) {
	tb.Helper()
	if r := XDPReason(); r != "" {
		tb.Skip(r)
	}
}

// End is one end of a veth pair.
type End struct {
	Name  string
	Index uint32
	MAC   [6]byte
}

// Veth is a pair of devices, both up.
type Veth struct {
	Server, Client End
	Queues         int
}

var vethSeq atomic.Uint32

// NewVeth makes a veth pair with the given number of queues and removes it when
// the test ends.
func NewVeth(tb testing.TB, queues int) *Veth {
	tb.Helper()
	RequireNet(tb)
	n := vethSeq.Add(1)
	return MakeVeth(tb, fmt.Sprintf("pgs%d", n), fmt.Sprintf("pgc%d", n), queues)
}

// MakeVeth is NewVeth with chosen names.
func MakeVeth(tb testing.TB, server, client string, queues int) *Veth {
	tb.Helper()
	RequireNet(tb)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = server
	attrs.NumTxQueues, attrs.NumRxQueues = queues, queues
	link := &netlink.Veth{LinkAttrs: attrs, PeerName: client,
		PeerNumTxQueues: uint32(queues), PeerNumRxQueues: uint32(queues)}
	if err := netlink.LinkAdd(link); err != nil {
		tb.Fatalf("add veth %s: %v", server, err)
	}
	tb.Cleanup(func() {
		if l, err := netlink.LinkByName(server); err == nil {
			_ = netlink.LinkDel(l)
		}
	})
	v := &Veth{Queues: queues}
	v.Server = up(tb, server)
	v.Client = up(tb, client)
	// The devices of a pair get their carrier from each other.
	for range 200 {
		if l, err := netlink.LinkByName(server); err == nil && l.Attrs().OperState == netlink.OperUp {
			return v
		}
		time.Sleep(5 * time.Millisecond)
	}
	tb.Fatalf("veth %s does not come up", server)
	return nil
}

// up sets the link up, quiet: no IPv6 chatter of the kernel's own.
func up(tb testing.TB, name string) End {
	tb.Helper()
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
	_ = os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/rp_filter", []byte("0"), 0)
	l, err := netlink.LinkByName(name)
	if err != nil {
		tb.Fatalf("find %s: %v", name, err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		tb.Fatalf("set %s up: %v", name, err)
	}
	e := End{Name: name, Index: uint32(l.Attrs().Index)}
	copy(e.MAC[:], l.Attrs().HardwareAddr)
	return e
}

// Delete removes the pair now.
func (v *Veth) Delete(tb testing.TB) {
	tb.Helper()
	l, err := netlink.LinkByName(v.Server.Name)
	if err == nil {
		err = netlink.LinkDel(l)
	}
	if err != nil {
		tb.Fatalf("delete %s: %v", v.Server.Name, err)
	}
}

// AddAddr gives the named device an address in CIDR form.
func AddAddr(tb testing.TB, dev, cidr string) {
	tb.Helper()
	changeAddr(tb, dev, cidr, netlink.AddrAdd)
}

// DelAddr takes it away.
func DelAddr(tb testing.TB, dev, cidr string) {
	tb.Helper()
	changeAddr(tb, dev, cidr, netlink.AddrDel)
}

func changeAddr(tb testing.TB, dev, cidr string, f func(netlink.Link, *netlink.Addr) error) {
	tb.Helper()
	l, err := netlink.LinkByName(dev)
	if err != nil {
		tb.Fatalf("find %s: %v", dev, err)
	}
	a, err := netlink.ParseAddr(cidr)
	if err != nil {
		tb.Fatalf("parse %s: %v", cidr, err)
	}
	if strings.Contains(cidr, ":") {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := f(l, a); err != nil {
		tb.Fatalf("change address %s of %s: %v", cidr, dev, err)
	}
}

// AddNeighbour makes addr on dev reachable without ARP.
func AddNeighbour(tb testing.TB, dev End, addr [4]byte, mac [6]byte) {
	tb.Helper()
	n := &netlink.Neigh{LinkIndex: int(dev.Index), IP: addr[:], HardwareAddr: mac[:], State: netlink.NUD_PERMANENT}
	if err := netlink.NeighSet(n); err != nil {
		tb.Fatalf("add neighbour on %s: %v", dev.Name, err)
	}
}
