package main

// The end-to-end tests run the program as its users do: as a process of its own
// in a network namespace of its own, with its clients on the other end of a veth.
// The process is this test binary under another name (TestMain), so that it is
// built once and carries the race detector where the tests do.
//
// This file holds the bed: namespaces, configuration, process, control channel,
// metrics. Wires and simple clients are in e2e_wire_linux_test.go.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); name == "peregrine" || strings.HasPrefix(name, "kea-dhcp") {
		os.Exit(run(name, os.Args[1:], os.Stdout, os.Stderr))
	}
	// The race detector waits for a second before a process ends, which would be
	// most of what the hundreds of them take here.
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	// Most tests wait for their client's timers nearly all of the time.
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "8")
	}
	os.Exit(fastpathtest.Main(m.Run))
}

const (
	serverIf   = "dhcp0"
	clientIf   = "client0"
	serverCIDR = "10.77.0.1/16"
	metricsAt  = "127.0.0.1:9547"

	serverIP dhcp4.IPv4 = 0x0A4D0001 // 10.77.0.1
	relayIP  dhcp4.IPv4 = 0x0A4D0002 // 10.77.0.2

	// patience is for what must happen; it is long because the machine may be
	// busy, and costs nothing when all is well.
	patience = 90 * time.Second
)

// program gives the program's path under a name.
func program(t testing.TB, name string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(tempDir(t), name)
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	return link
}

// tempDir is t.TempDir with a path short enough for a unix socket.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pge2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// netNS is a network namespace of a server, a client or a relay.
type netNS struct{ *fastpathtest.NS }

func newNS(t testing.TB) *netNS { return &netNS{fastpathtest.NewNS(t)} }

func (n *netNS) down(t testing.TB, name string) {
	t.Helper()
	if err := n.NL.LinkSetDown(n.Link(t, name)); err != nil {
		t.Fatalf("set %s down: %v", name, err)
	}
}

// lost counts the frames that the bed's wire and its clients' UDP sockets have
// dropped because whoever was to take them was not fast enough.
func (b *bed) lost() int {
	b.t.Helper()
	n := uint64(0)
	for _, l := range []netlink.Link{b.srv.Link(b.t, serverIf), b.cli.Link(b.t, clientIf)} {
		s := l.Attrs().Statistics
		n += s.TxDropped + s.RxDropped
	}
	err := b.cli.In(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		var names []string
		for _, line := range strings.Split(string(text), "\n") {
			if fields := strings.Fields(line); len(fields) == 0 || fields[0] != "Udp:" {
				continue
			} else if names == nil {
				names = fields
			} else if i := slices.Index(names, "RcvbufErrors"); i > 0 && i < len(fields) {
				more, err := strconv.ParseUint(fields[i], 10, 64)
				n += more
				return err
			}
		}
		return errors.New("no Udp RcvbufErrors in net/snmp")
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return int(n)
}

func (n *netNS) addr(t testing.TB, name, cidr string, f func(netlink.Link, *netlink.Addr) error) {
	t.Helper()
	a, err := netlink.ParseAddr(cidr)
	if err == nil {
		err = f(n.Link(t, name), a)
	}
	if err != nil {
		t.Fatalf("change address %s of %s: %v", cidr, name, err)
	}
}

func (n *netNS) addAddr(t testing.TB, name, cidr string) {
	t.Helper()
	n.addr(t, name, cidr, n.NL.AddrAdd)
}

func (n *netNS) delAddr(t testing.TB, name, cidr string) {
	t.Helper()
	n.addr(t, name, cidr, n.NL.AddrDel)
}

// bed is a server's and its clients' network.
type bed struct {
	t       testing.TB
	dir     string
	bin     string
	srv     *netNS
	cli     *netNS
	config  string // path of the configuration file
	socket  string
	lease   string // lease directory
	logFile string
	p       *process // the server running now
	xid     uint32
}

const vethQueues = 2

// newBed builds the network; the server is not started.
func newBed(t testing.TB) *bed {
	t.Helper()
	fastpathtest.RequireNet(t)
	b := newBedWithoutLink(t)
	b.addLink()
	return b
}

func newBedWithoutLink(t testing.TB) *bed {
	t.Helper()
	fastpathtest.RequireNet(t)
	dir := tempDir(t)
	return &bed{t: t, dir: dir, bin: program(t, "peregrine"), srv: newNS(t), cli: newNS(t),
		config: filepath.Join(dir, "peregrine.json"), socket: filepath.Join(dir, "ctl.sock"),
		lease: filepath.Join(dir, "leases"), logFile: filepath.Join(dir, "server.log")}
}

// addLink makes the veth, gives the server's end its address and sets both up.
func (b *bed) addLink() {
	b.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = serverIf
	attrs.NumRxQueues, attrs.NumTxQueues = vethQueues, vethQueues
	v := &netlink.Veth{LinkAttrs: attrs, PeerName: clientIf, PeerNumRxQueues: vethQueues, PeerNumTxQueues: vethQueues,
		PeerNamespace: netlink.NsFd(int(b.cli.Handle))}
	if err := b.srv.NL.LinkAdd(v); err != nil {
		b.t.Fatalf("make veth: %v", err)
	}
	b.srv.addAddr(b.t, serverIf, serverCIDR)
	b.cli.Up(b.t, clientIf)
	b.srv.Up(b.t, serverIf)
	until(b.t, "the veth to come up", func() bool {
		return b.srv.Link(b.t, serverIf).Attrs().OperState == netlink.OperUp && b.cli.Link(b.t, clientIf).Attrs().OperState == netlink.OperUp
	})
}

func (b *bed) serverMAC() (mac [6]byte) {
	b.t.Helper()
	copy(mac[:], b.srv.Link(b.t, serverIf).Attrs().HardwareAddr)
	return mac
}

// object is a map of a configuration.
type object = map[string]any

// conf is a configuration as JSON values; its parts may be changed before it is
// written.
type conf struct{ dhcp4, subnet, dataplane object }

// newConf is one /16 on one interface.
func (b *bed) newConf(mode string) *conf {
	c := &conf{}
	c.subnet = object{
		"id": 1, "subnet": "10.77.0.0/16",
		"pools":       []any{object{"pool": "10.77.1.0 - 10.77.16.255"}},
		"option-data": []any{object{"name": "routers", "data": "10.77.0.1"}},
	}
	c.dhcp4 = object{
		"interfaces-config": object{"interfaces": []any{serverIf}},
		"lease-database":    object{"type": "memfile", "persist": true},
		"control-sockets":   []any{object{"socket-type": "unix", "socket-name": b.socket}},
		"valid-lifetime":    3600, "renew-timer": 900, "rebind-timer": 1800,
		"authoritative":   true,
		"hooks-libraries": hookLibraries("lease_cmds"),
		"subnet4":         []any{c.subnet},
	}
	c.dataplane = object{"mode": mode, "metrics-address": metricsAt, "lease-directory": b.lease}
	return c
}

// hookLibraries loads hook libraries as a configuration written for Kea does.
func hookLibraries(names ...string) (l []any) {
	for _, n := range names {
		l = append(l, object{"library": "/usr/lib/kea/hooks/libdhcp_" + n + ".so"})
	}
	return l
}

func (c *conf) text(t testing.TB) []byte {
	t.Helper()
	text, err := json.MarshalIndent(object{"Dhcp4": c.dhcp4, "Dataplane": c.dataplane}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (b *bed) write(c *conf) { b.writeText(c.text(b.t)) }

func (b *bed) writeText(text []byte) {
	b.t.Helper()
	if err := os.WriteFile(b.config, text, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// process is a program that was started.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
	err  error         // how, after done
}

// spawn starts a program in a namespace with its output in a file; what of it is
// left is killed when the test ends.
func spawn(t testing.TB, ns *netNS, log string, argv ...string) *process {
	t.Helper()
	p := &process{t: t, log: log, done: make(chan struct{}), cmd: exec.Command(argv[0], argv[1:]...)}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.Env = append(os.Environ(), envPIDFileDir+"="+filepath.Dir(log))
	// It ends with the test however that ends.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := ns.In(p.cmd.Start); err != nil {
		t.Fatalf("start %s: %v", argv[0], err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if text := p.text(); t.Failed() {
			t.Logf("what %s said in the end:\n%s", filepath.Base(argv[0]), text[max(0, len(text)-4000):])
		}
	})
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %v: %v", s, err)
	}
}

// kill is the power cut: SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait waits for the end and returns the exit status.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end\n%s", p.cmd.Path, p.text())
	}
	return p.cmd.ProcessState.ExitCode()
}

// terminate ends it gently and expects status 0.
func (p *process) terminate() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		p.t.Errorf("SIGTERM: exit status %d\n%s", code, p.text())
	}
}

func (p *process) text() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// waitFor waits until the output from octet *seen on matches, moves seen behind
// that and returns the groups.
func (p *process) waitFor(seen *int, pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.Now().Add(patience)
	for {
		ended := p.ended()
		text := p.text()
		if m := re.FindStringSubmatchIndex(text[*seen:]); m != nil {
			groups := re.FindStringSubmatch(text[*seen:])
			*seen += m[1]
			return groups
		}
		if ended || time.Now().After(deadline) {
			p.t.Fatalf("%s: no output like %q (ended: %v)\n%s", filepath.Base(p.cmd.Path), pattern, ended, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// until waits for what must come.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// start starts the server and waits until it says that it answers.
func (b *bed) start(extra ...string) {
	b.t.Helper()
	seen := b.startNoWait(extra...)
	b.p.waitFor(&seen, `DHCP4_STARTED`)
}

func (b *bed) startNoWait(extra ...string) (logFrom int) {
	b.t.Helper()
	if st, err := os.Stat(b.logFile); err == nil {
		logFrom = int(st.Size())
	}
	b.p = spawn(b.t, b.srv, b.logFile, append([]string{b.bin, "serve", "-c", b.config}, extra...)...)
	return logFrom
}

func (b *bed) startWith(c *conf) {
	b.t.Helper()
	b.write(c)
	b.start()
}

// logs counts the lines of the server's log that match.
func (b *bed) logs(pattern string) int {
	re := regexp.MustCompile("(?m)" + pattern)
	return len(re.FindAllString(b.p.text(), -1))
}

func (b *bed) send(name string, args any) (*control.Answer, error) {
	req := object{"command": name}
	if args != nil {
		req["arguments"] = args
	}
	text, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	c := control.Client{Target: b.socket, Timeout: patience}
	return c.Send(context.Background(), text)
}

// command runs a control command that must succeed; into may be nil.
func (b *bed) command(name string, args, into any) *control.Answer {
	b.t.Helper()
	a, err := b.send(name, args)
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", name, err, b.p.text())
	}
	if a.Result != control.ResultSuccess && a.Result != control.ResultEmpty {
		b.t.Fatalf("%s: result %d: %s", name, a.Result, a.Text)
	}
	if into != nil && a.Arguments != nil {
		if err := json.Unmarshal(a.Arguments, into); err != nil {
			b.t.Fatalf("%s: %v in %s", name, err, a.Arguments)
		}
	}
	return a
}

// record is a lease as the control channel shows it.
type record struct {
	Address string `json:"ip-address"`
	HW      string `json:"hw-address"`
	Client  string `json:"client-id"`
	Subnet  uint32 `json:"subnet-id"`
	State   int    `json:"state"`
	Valid   uint32 `json:"valid-lft"`
	CLTT    int64  `json:"cltt"`
}

// leases fetches all leases, page by page.
func (b *bed) leases() map[string]record {
	b.t.Helper()
	all := map[string]record{}
	from := "start"
	for {
		var p struct{ Leases []record }
		b.command("lease4-get-page", object{"from": from, "limit": 500}, &p)
		for _, l := range p.Leases {
			if _, twice := all[l.Address]; twice {
				b.t.Fatalf("lease4-get-page gives %s twice", l.Address)
			}
			all[l.Address], from = l, l.Address
		}
		if len(p.Leases) < 500 {
			return all
		}
	}
}

// mode is how the interface is served by status-get, "" if it is not.
func (b *bed) mode() string {
	b.t.Helper()
	var st struct {
		Dataplane struct{ Interfaces []struct{ Name, Mode string } }
	}
	b.command("status-get", nil, &st)
	for _, i := range st.Dataplane.Interfaces {
		if i.Name == serverIf {
			return i.Mode
		}
	}
	return ""
}

// get fetches a URL inside the server's namespace.
func (b *bed) get(req *http.Request) (status int, body string, err error) {
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = b.srv.In(func() (err error) {
			c, err = (&net.Dialer{}).DialContext(ctx, network, addr)
			return err
		})
		return c, err
	}}
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp.StatusCode, string(text), err
}

// samples are metrics by their name with labels, as they stand in the text.
type samples map[string]float64

// metrics scrapes the server.
func (b *bed) metrics() samples {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+metricsAt+"/metrics", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	status, text, err := b.get(req)
	if err != nil || status != http.StatusOK {
		b.t.Fatalf("scrape metrics: status %d: %v: %.300s", status, err, text)
	}
	s := samples{}
	for _, line := range strings.Split(text, "\n") {
		if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			v, err := strconv.ParseFloat(line[at+1:], 64)
			if err != nil {
				b.t.Fatalf("metric %q: %v", line, err)
			}
			s[line[:at]] = v
		}
	}
	return s
}

// sum adds the samples whose name and labels contain all of parts.
func (s samples) sum(name string, parts ...string) (n float64) {
next:
	for k, v := range s {
		if k != name && !strings.HasPrefix(k, name+"{") {
			continue
		}
		for _, p := range parts {
			if !strings.Contains(k, p) {
				continue next
			}
		}
		n += v
	}
	return n
}

// rssKiB is the resident memory of a process.
func rssKiB(t testing.TB, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range bytes.Split(b, []byte("\n")) {
		if rest, ok := bytes.CutPrefix(l, []byte("VmRSS:")); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(string(bytes.TrimSpace(rest)), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("process %d has no VmRSS", pid)
	return 0
}
