package fastpath_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/peregrine-dhcp/peregrine/bpf"
	"github.com/peregrine-dhcp/peregrine/fastpath"
	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

func TestMain(m *testing.M) { os.Exit(fastpathtest.Main(fastpathtest.NoLeaks(m.Run))) }

var (
	server  = [4]byte{192, 0, 2, 1}
	relay   = [4]byte{192, 0, 2, 9}
	foreign = [4]byte{198, 51, 100, 1}
)

// echo answers every packet with its mirror image and counts by worker.
type echo struct {
	n    atomic.Uint64
	last atomic.Uint32 // interface of the last packet
}

func (e *echo) HandleBatch(pkts []netio.Packet, _ int64) {
	for i := range pkts {
		e.last.Store(pkts[i].IfIndex)
		d := pkts[i].Data
		pkts[i].Relayed = len(d) > 70 && binary.BigEndian.Uint32(d[66:]) != 0 // giaddr, if it is IPv4
		fastpathtest.Echo(d)
		pkts[i].Action = netio.Send
	}
	e.n.Add(uint64(len(pkts)))
}
func (e *echo) DurablePos() uint64                                         { return 0 }
func (e *echo) Resume(func(*netio.Packet) bool, []netio.Packet, int64) int { return 0 }
func (e *echo) Attach(func())                                              {}

// rig is a Dataplane of echoes.
type rig struct {
	d    *fastpath.Dataplane
	opt  fastpath.Options
	mu   sync.Mutex
	made map[string]*echo
	done map[string]bool
	seen [][]netio.Interface
	log  strings.Builder
}

func (r *rig) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(b)
}

func newRig(tb testing.TB, opt fastpath.Options) (*rig, error) {
	tb.Helper()
	r := &rig{made: map[string]*echo{}, done: map[string]bool{}}
	opt.Enable4 = true
	opt.Log = slog.New(slog.NewTextHandler(r, nil))
	opt.NewHandler = func(i fastpath.WorkerInfo) (netio.Handler, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		e := &echo{}
		r.made[i.Name] = e
		return e, nil
	}
	opt.WorkerDone = func(i fastpath.WorkerInfo, h netio.Handler) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.done[i.Name] = true
	}
	opt.OnInterfaces = func(l []netio.Interface) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = append(r.seen, l)
	}
	r.opt = opt
	var err error
	r.d, err = fastpath.Start(context.Background(), opt)
	if err == nil {
		tb.Cleanup(func() {
			r.d.Close()
			if tb.Failed() {
				tb.Log(r.log.String())
			}
		})
	}
	return r, err
}

func mustRig(tb testing.TB, opt fastpath.Options) *rig {
	tb.Helper()
	r, err := newRig(tb, opt)
	if err != nil {
		tb.Fatalf("start: %v", err)
	}
	return r
}

func (r *rig) handled() (total uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.made {
		total += e.n.Load()
	}
	return total
}

// expect sends frames and checks how many packets are handled of them: so many, and
// no more.
func (r *rig) expect(tb testing.TB, what string, want uint64, w *fastpathtest.Wire, frames ...[]byte) {
	tb.Helper()
	before := r.handled()
	for _, f := range frames {
		w.Send(tb, f)
	}
	patience := shortly
	if want > 0 {
		patience = fastpathtest.Patience
	}
	for end := time.Now().Add(patience); time.Now().Before(end) && r.handled()-before < max(want, 1); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(5 * time.Millisecond) // one too many would come now
	if got := r.handled() - before; got != want {
		tb.Errorf("%s: handled %d times, want %d", what, got, want)
	}
}

// pair is a veth with an address on the server's end and a relay behind the other.
func pair(tb testing.TB, queues int) (*fastpathtest.Veth, *fastpathtest.Wire) {
	tb.Helper()
	v := fastpathtest.NewVeth(tb, queues)
	fastpathtest.AddAddr(tb, v.Server.Name, "192.0.2.1/24")
	fastpathtest.AddNeighbour(tb, v.Server, relay, v.Client.MAC)
	return v, fastpathtest.OpenWire(tb, v.Client)
}

// exchange sends n queries of each of eight clients and checks that each is
// answered once, in order for each client, and returned as it was.
func exchange(tb testing.TB, v *fastpathtest.Veth, w *fastpathtest.Wire, n int) {
	tb.Helper()
	const clients = 8
	var next [clients]uint32
	for seq := range uint32(n) {
		for c := range uint32(clients) {
			w.Send(tb, fastpathtest.Query(v.Server.MAC, v.Client.MAC, relay, server, c, seq))
		}
		for range clients {
			f := w.Recv(tb, fastpathtest.Patience)
			if f == nil {
				tb.Fatalf("no answer to query %d: %v", seq, next)
			}
			c, s := fastpathtest.ClientSeq(f)
			if c >= clients || s != next[c] {
				tb.Fatalf("answer %d of client %d, want %v", s, c, next)
			}
			next[c]++
			want := fastpathtest.Query(v.Client.MAC, v.Server.MAC, server, relay, c, s)
			if string(f[42:66]) != string(want[42:66]) || string(f[70:]) != string(want[70:]) ||
				string(f[26:38]) != string(want[26:38]) || string(f[:6]) != string(v.Client.MAC[:]) {
				tb.Fatalf("answer is\n%x, want\n%x", f, want)
			}
		}
	}
	if f := w.Recv(tb, 20*time.Millisecond); f != nil {
		tb.Fatalf("one answer too many: %x", f)
	}
}

func statusOf(tb testing.TB, r *rig, name string) fastpath.InterfaceStatus {
	tb.Helper()
	for _, s := range r.d.Status() {
		if s.Name == name {
			return s
		}
	}
	return fastpath.InterfaceStatus{}
}

func TestModes(t *testing.T) {
	for _, tc := range []struct {
		name    string
		opt     fastpath.Options
		queues  int
		want    fastpath.Mode
		workers int
	}{
		{"auto", fastpath.Options{}, 1, fastpath.ModeNative, 0},
		{"native", fastpath.Options{Mode: fastpath.ModeNative, WorkersPerQueue: 2}, 2, fastpath.ModeNative, 5},
		{"native pinned", fastpath.Options{Mode: fastpath.ModeNative, WorkersPerQueue: 1, CPUs: []int{0}}, 1, fastpath.ModeNative, 2},
		{"generic", fastpath.Options{Mode: fastpath.ModeGeneric, WorkersPerQueue: 2}, 1, fastpath.ModeGeneric, 3},
		{"socket", fastpath.Options{Mode: fastpath.ModeSocket, WorkersPerQueue: 2}, 1, fastpath.ModePacket, 2},
		{"udp", fastpath.Options{UDPOnly: true, WorkersPerQueue: 2}, 1, fastpath.ModeUDP, 2},
		{"udp one", fastpath.Options{UDPOnly: true, WorkersPerQueue: 1}, 1, fastpath.ModeUDP, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.want == fastpath.ModeNative || tc.want == fastpath.ModeGeneric {
				fastpathtest.RequireXDP(t)
			}
			v, w := pair(t, tc.queues)
			tc.opt.Interfaces = []string{v.Server.Name}
			r := mustRig(t, tc.opt)
			st := statusOf(t, r, v.Server.Name)
			if st.Mode != tc.want || st.ZeroCopy || tc.workers != 0 && st.Sockets != tc.workers {
				t.Fatalf("status is %+v", st)
			}
			exchange(t, v, w, 200)
			if got := r.handled(); got != 8*200 {
				t.Errorf("%d handled, want %d: some packet twice", got, 8*200)
			}
			for _, ws := range r.d.Workers() {
				if ws.Conn.TxDropped != 0 || ws.Conn.RxDropped != 0 {
					t.Errorf("%s dropped: %+v", ws.Info.Name, ws.Conn)
				}
			}
			if err := r.d.Close(); err != nil {
				t.Error(err)
			}
			for name := range r.made {
				if !r.done[name] {
					t.Errorf("end of worker %s was not told", name)
				}
			}
			l, err := netlink.LinkByName(v.Server.Name)
			if err != nil || l.Attrs().Xdp != nil && l.Attrs().Xdp.Attached {
				t.Errorf("program still attached: %v", err)
			}
		})
	}
}

// A relay is one 5-tuple; its clients are divided among sockets of every kind, each
// client always to the same.
func TestSocketSteering(t *testing.T) {
	for _, o := range []fastpath.Options{{Mode: fastpath.ModeSocket}, {UDPOnly: true}} {
		v, w := pair(t, 1)
		o.Interfaces, o.WorkersPerQueue = []string{v.Server.Name}, 2
		r := mustRig(t, o)
		kind := r.d.Workers()[0].Info.Kind
		t.Run(kind, func(t *testing.T) {
			a, b := r.made[v.Server.Name+"/"+kind+".0"], r.made[v.Server.Name+"/"+kind+".1"]
			const clients = 500
			var at [clients]uint64
			for round := range uint64(2) {
				for c := range uint32(clients) {
					before := a.n.Load()
					w.Send(t, fastpathtest.Query(v.Server.MAC, v.Client.MAC, relay, server, 0x0300_0000+c*7, 1))
					if w.Recv(t, fastpathtest.Patience) == nil {
						t.Fatal("no answer")
					}
					if on := a.n.Load() - before; round == 0 {
						at[c] = on
					} else if at[c] != on {
						t.Fatalf("client %d met two workers", c)
					}
				}
			}
			x, y := a.n.Load(), b.n.Load()
			if x+y != 2*clients || float64(max(x, y)) > 1.25*float64(min(x, y)) {
				t.Errorf("workers got %d and %d", x, y)
			}
		})
		r.d.Close()
		v.Delete(t)
	}
}

// A relay is one 5-tuple on one queue; its clients are divided among the workers.
func TestSteering(t *testing.T) {
	fastpathtest.RequireXDP(t)
	v, w := pair(t, 1)
	r := mustRig(t, fastpath.Options{Interfaces: []string{v.Server.Name}, Mode: fastpath.ModeNative, WorkersPerQueue: 2})
	const clients = 2000
	for c := range uint32(clients) {
		w.Send(t, fastpathtest.Query(v.Server.MAC, v.Client.MAC, relay, server, c, 1))
		if w.Recv(t, fastpathtest.Patience) == nil {
			t.Fatal("no answer")
		}
	}
	a, b := r.made[v.Server.Name+"/0.0"].n.Load(), r.made[v.Server.Name+"/0.1"].n.Load()
	t.Logf("%d and %d packets", a, b)
	if a+b != clients || float64(max(a, b)) > 1.2*float64(min(a, b)) {
		t.Errorf("workers got %d and %d", a, b)
	}
	exits, messages, notes, err := r.d.XDPCounters()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(exits, func(c bpf.Counter) bool { return c.Reason == bpf.ReasonSteered })
	if i < 0 || exits[i].Packets != clients || len(messages) == 0 || len(notes) == 0 {
		t.Errorf("counters are %+v, %+v, %+v", exits, messages, notes)
	}
}

// withOptions puts an IPv4 option (no operation) into a Query.
func withOptions(q []byte) []byte {
	out := append(slices.Clone(q[:34]), 1, 1, 1, 1)
	out = append(out, q[34:]...)
	ip := out[14:]
	ip[0] = 0x46
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	setChecksum(ip[:24])
	return out
}

// setChecksum writes the checksum of an IPv4 header.
func setChecksum(ip []byte) {
	ip[10], ip[11] = 0, 0
	sum := uint32(0)
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum > 0xFFFF {
		sum = sum>>16 + sum&0xFFFF
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
}

// tagged puts VLAN tags into a frame.
func tagged(q []byte, tags ...uint32) []byte {
	out := slices.Clone(q[:12])
	for _, t := range tags {
		out = binary.BigEndian.AppendUint32(out, t)
	}
	return append(out, q[12:]...)
}

// What is not an ordinary frame for us is served once, or not at all, in every
// mode alike.
func TestOddFrames(t *testing.T) {
	for _, mode := range []fastpath.Mode{fastpath.ModeNative, fastpath.ModeGeneric, fastpath.ModeSocket} {
		t.Run(string(mode), func(t *testing.T) {
			if mode != fastpath.ModeSocket {
				fastpathtest.RequireXDP(t)
			}
			v, w := pair(t, 1)
			// The raw socket's frames must keep their tags in line.
			r := mustRig(t, fastpath.Options{Interfaces: []string{v.Server.Name}, Mode: mode, WorkersPerQueue: 2, ServeTagged: true})
			q := func(dst [4]byte) []byte {
				return fastpathtest.Query(v.Server.MAC, v.Client.MAC, relay, dst, 3, 4)
			}
			fragment := q(server)
			fragment[20] = 0x20 // more fragments
			setChecksum(fragment[14:34])
			later := q(server)
			later[21] = 10 // an offset
			setChecksum(later[14:34])
			otherPort := q(server)
			binary.BigEndian.PutUint16(otherPort[36:], 68)
			otherMAC := q(server)
			otherMAC[5] ^= 1
			for _, tc := range []struct {
				name  string
				frame []byte
				want  uint64
			}{
				{"to us", q(server), 1},
				{"broadcast", q([4]byte{255, 255, 255, 255}), 1},
				{"subnet broadcast", q([4]byte{192, 0, 2, 255}), 1},
				{"another host", q(foreign), 0},
				{"IP options", withOptions(q(server)), 1},
				{"IP options, another host", withOptions(q(foreign)), 0},
				{"first fragment", fragment, 0},
				{"later fragment", later, 0},
				{"another port", otherPort, 0},
				{"VLAN", tagged(q(server), 0x8100_0005), 1},
				{"QinQ", tagged(q(server), 0x88A8_0007, 0x8100_0005), 1},
				{"three tags", tagged(q(server), 0x8100_0001, 0x8100_0002, 0x8100_0003), 0},
				{"to us again", q(server), 1},
			} {
				r.expect(t, tc.name, tc.want, w, tc.frame)
			}
			refused := uint64(0)
			for _, ws := range r.d.Workers() {
				refused += ws.Conn.RxRefused
			}
			// Another host (once more with options), the first fragment, and
			// three tags in those modes whose filter looks only at two.
			if refused < 3 {
				t.Errorf("%d frames refused, want at least 3", refused)
			}
		})
	}
}

// The answer to a tagged frame carries its tags.
func TestTagsReturn(t *testing.T) {
	for _, mode := range []fastpath.Mode{fastpath.ModeNative, fastpath.ModeSocket} {
		t.Run(string(mode), func(t *testing.T) {
			if mode != fastpath.ModeSocket {
				fastpathtest.RequireXDP(t)
			}
			v, _ := pair(t, 1)
			mustRig(t, fastpath.Options{Interfaces: []string{v.Server.Name}, Mode: mode, WorkersPerQueue: 1, ServeTagged: true})
			conns, err := netio.OpenPacket(netio.PacketOptions{IfIndex: v.Client.Index, Port4: 67}, 1)
			if err != nil {
				t.Fatal(err)
			}
			conn := conns[0]
			defer conn.Close()
			conn.SetAddrs4([]uint32{binary.BigEndian.Uint32(relay[:])})
			for _, tags := range [][]uint32{{0x8100_2005}, {0x88A8_0007, 0x8100_A005}} {
				var p [1]netio.Packet
				if !conn.Alloc(&p[0]) {
					t.Fatal("no frame")
				}
				p[0].Data = append(p[0].Data, tagged(fastpathtest.Query(v.Server.MAC, v.Client.MAC, relay, server, 3, 4), tags...)...)
				conn.Send(p[:])
				conn.Flush()
				n := 0
				for end := time.Now().Add(fastpathtest.Patience); n == 0 && time.Now().Before(end); {
					conn.Wait(100_000_000)
					n = conn.Recv(p[:])
				}
				if n == 0 {
					t.Fatalf("%x: no answer", tags)
				}
				want := tagged(nil12(p[0].Data), tags...)
				if got := p[0].Data[12 : 12+4*len(tags)]; string(got) != string(want[12:]) {
					t.Errorf("tags are %x, want %x", got, tags)
				}
				conn.Release(p[:])
			}
		})
	}
}

func nil12(b []byte) []byte { return b[:12] }

// Another program's XDP is never replaced.
func TestForeignProgram(t *testing.T) {
	fastpathtest.RequireXDP(t)
	v, w := pair(t, 1)
	other := fastpathtest.NewSteer(t, 1, 1) // no sockets: passes everything
	l, err := link.AttachXDP(link.XDPOptions{Program: other.Program, Interface: int(v.Server.Index)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, mode := range []fastpath.Mode{fastpath.ModeNative, fastpath.ModeGeneric} {
		if r, err := newRig(t, fastpath.Options{Interfaces: []string{v.Server.Name}, Mode: mode}); err == nil || !strings.Contains(err.Error(), "another XDP program") {
			t.Fatalf("mode %s: %v, %v", mode, r, err)
		}
	}
	r := mustRig(t, fastpath.Options{Interfaces: []string{v.Server.Name}})
	st := statusOf(t, r, v.Server.Name)
	if st.Mode != fastpath.ModePacket || len(st.Reasons) != 2 || !strings.Contains(st.Reasons[0], "another XDP program") {
		t.Errorf("status is %+v", st)
	}
	exchange(t, v, w, 20)
}

// Interfaces come, go, and change their addresses.
func TestFollow(t *testing.T) {
	for _, mode := range []fastpath.Mode{fastpath.ModeAuto, fastpath.ModeSocket} {
		t.Run(string(mode), func(t *testing.T) {
			fastpathtest.RequireXDP(t)
			name, peer := "pgf"+string(mode), "pgg"+string(mode)
			r := mustRig(t, fastpath.Options{Mode: mode, Interfaces: []string{name}, WorkersPerQueue: 2})
			if st := r.d.Status(); len(st) != 0 {
				t.Errorf("status of nothing is %+v", st)
			}
			for round := range 3 {
				v := fastpathtest.MakeVeth(t, name, peer, 1+round%2)
				fastpathtest.AddAddr(t, name, "192.0.2.1/24")
				waitFor(t, "interface served", func() bool { return statusOf(t, r, name).Mode != "" && lastHas(r, name, 1) })
				w := fastpathtest.OpenWire(t, v.Client)
				fastpathtest.AddNeighbour(t, v.Server, relay, v.Client.MAC)
				exchange(t, v, w, 10)

				// Down and up again.
				l, err := netlink.LinkByName(name)
				if err == nil {
					err = netlink.LinkSetDown(l)
				}
				if err != nil {
					t.Fatal(err)
				}
				waitFor(t, "link down", func() bool { return lastUp(r, name) == 0 })
				if err := netlink.LinkSetUp(l); err != nil {
					t.Fatal(err)
				}
				waitFor(t, "link up", func() bool { return lastUp(r, name) == 1 })
				fastpathtest.AddNeighbour(t, v.Server, relay, v.Client.MAC)
				waitFor(t, "answer after down and up", func() bool {
					w.Send(t, fastpathtest.Query(v.Server.MAC, v.Client.MAC, relay, server, 1, 1))
					return w.Recv(t, 30*time.Millisecond) != nil
				})
				for w.Recv(t, 30*time.Millisecond) != nil {
				}

				// Another address is answered once it is there, and not after.
				answered := func() bool {
					w.Send(t, fastpathtest.Query(v.Server.MAC, v.Client.MAC, relay, foreign, 1, 1))
					f := w.Recv(t, 30*time.Millisecond)
					for f != nil && [4]byte(f[26:]) != foreign { // a late answer to an earlier query
						f = w.Recv(t, 30*time.Millisecond)
					}
					return f != nil
				}
				if answered() {
					t.Error("answered for an address we do not have")
				}
				fastpathtest.AddAddr(t, name, "198.51.100.1/24")
				waitFor(t, "new address", answered)
				fastpathtest.DelAddr(t, name, "198.51.100.1/24")
				waitFor(t, "old address gone", func() bool { return !answered() })
				v.Delete(t)
				waitFor(t, "interface gone", func() bool { return len(r.d.Status()) == 0 && len(r.d.Workers()) == 0 })
			}
		})
	}
}

// lastHas says whether the last published list has the interface with n IPv4
// addresses.
func lastHas(r *rig, name string, n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) == 0 {
		return false
	}
	for _, i := range r.seen[len(r.seen)-1] {
		if i.Name == name {
			return len(i.Addrs4) == n && i.MAC != [6]byte{} && i.Up
		}
	}
	return false
}

// lastUp is how many interfaces of that name are up in the last published list.
func lastUp(r *rig, name string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range r.seen[len(r.seen)-1] {
		if i.Name == name && i.Up {
			n++
		}
	}
	return n
}

func TestApply(t *testing.T) {
	fastpathtest.RequireXDP(t)
	v1, w1 := pair(t, 1)
	v2 := fastpathtest.NewVeth(t, 1)
	r := mustRig(t, fastpath.Options{Interfaces: []string{v1.Server.Name, v2.Server.Name}, WorkersPerQueue: 1})
	if n := len(r.d.Status()); n != 2 {
		t.Fatalf("%d interfaces served: %+v", n, r.d.Status())
	}
	first := r.made[v1.Server.Name+"/0.0"]

	// Less interfaces and a limit: the first one keeps its worker.
	o := r.opt
	o.Interfaces = []string{v1.Server.Name}
	o.Limits = bpf.Limits{Client: bpf.Rate{Tokens: 1, Per: time.Hour}}
	if err := r.d.Apply(o); err != nil {
		t.Fatal(err)
	}
	if n := len(r.d.Status()); n != 1 || r.made[v1.Server.Name+"/0.0"] != first || !r.done[v2.Server.Name+"/0.0"] {
		t.Errorf("after removing one: %+v", r.d.Status())
	}
	answers := 0
	for i := range 5 {
		w1.Send(t, fastpathtest.Query(v1.Server.MAC, v1.Client.MAC, relay, server, 1, 1))
		patience := 30 * time.Millisecond
		if i == 0 {
			patience = fastpathtest.Patience
		}
		if w1.Recv(t, patience) != nil {
			answers++
		}
	}
	if answers < 1 || answers > 2 {
		t.Errorf("%d answers under a limit of 1", answers)
	}
	// What is not valid changes nothing.
	bad := o
	bad.Mode = "turbo"
	if err := r.d.Apply(bad); err == nil || !strings.Contains(err.Error(), `"turbo"`) {
		t.Errorf("bad mode: %v", err)
	}
	// Another mode rebuilds.
	o.Limits = bpf.Limits{}
	o.Mode = fastpath.ModeSocket
	if err := r.d.Apply(o); err != nil {
		t.Fatal(err)
	}
	if st := statusOf(t, r, v1.Server.Name); st.Mode != fastpath.ModePacket {
		t.Errorf("after change of mode: %+v", st)
	}
	exchange(t, v1, w1, 10)
	o.Mode = fastpath.ModeNative
	if err := r.d.Apply(o); err != nil {
		t.Fatal(err)
	}
	exchange(t, v1, w1, 10)
	r.d.Close()
	if err := r.d.Apply(o); err == nil {
		t.Error("applied after Close")
	}
}

// Without privileges there are still UDP sockets on loopback.
func TestLoopback(t *testing.T) {
	fastpathtest.RequireNet(t)
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := mustRig(t, fastpath.Options{Interfaces: []string{"lo"}, Port4: 10067, WorkersPerQueue: 2})
	if st := statusOf(t, r, "lo"); st.Mode != fastpath.ModeUDP || st.Sockets != 2 {
		t.Fatalf("status is %+v", st)
	}
	c, err := net.Dial("udp4", "127.0.0.1:10067")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	q := fastpathtest.Query([6]byte{}, [6]byte{}, relay, server, 1, 1)[42:]
	for range 100 {
		if _, err := c.Write(q); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(fastpathtest.Patience))
		b := make([]byte, 1500)
		if n, err := c.Read(b); err != nil || string(b[:n]) != string(q) {
			t.Fatalf("answer is %x, %v", b[:n], err)
		}
	}
	if _, err := newRig(t, fastpath.Options{Interfaces: []string{"lo"}, Mode: fastpath.ModeNative}); err == nil {
		t.Error("native mode on lo")
	}
}

// Two servers on one port are one too many.
func TestPortTaken(t *testing.T) {
	v, _ := pair(t, 1)
	c, err := net.ListenPacket("udp4", "0.0.0.0:67")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = newRig(t, fastpath.Options{Interfaces: []string{v.Server.Name}})
	if err == nil || !strings.Contains(err.Error(), "another DHCP server") {
		t.Errorf("error is %v", err)
	}
}

// With Lenient a port that is taken is no error; the interface is served when it
// becomes free.
func TestPortTakenLenient(t *testing.T) {
	v, w := pair(t, 1)
	c, err := net.ListenPacket("udp4", "0.0.0.0:67")
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRig(t, fastpath.Options{Interfaces: []string{v.Server.Name}, Lenient: true, WorkersPerQueue: 1})
	if err != nil {
		c.Close()
		t.Fatal(err)
	}
	if st := statusOf(t, r, v.Server.Name); st.Mode != "" || !strings.Contains(strings.Join(st.Reasons, ";"), "another DHCP server") {
		t.Errorf("status is %+v", st)
	}
	forced := r.opt
	forced.Mode = fastpath.ModeGeneric
	if err := r.d.Apply(forced); err == nil {
		t.Error("a forced mode that cannot be had is no error")
	}
	if err := r.d.Apply(r.opt); err != nil {
		t.Errorf("apply: %v", err)
	}
	c.Close()
	waitFor(t, "served", func() bool { return statusOf(t, r, v.Server.Name).Mode != "" })
	exchange(t, v, w, 3)
}

func TestOptionsRefused(t *testing.T) {
	ok := fastpath.Options{Enable4: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		NewHandler: func(fastpath.WorkerInfo) (netio.Handler, error) { return &echo{}, nil }}
	for name, change := range map[string]func(*fastpath.Options){
		"no family":          func(o *fastpath.Options) { o.Enable4 = false },
		"no handler":         func(o *fastpath.Options) { o.NewHandler = nil },
		"result mode":        func(o *fastpath.Options) { o.Mode = fastpath.ModePacket },
		"workers":            func(o *fastpath.Options) { o.WorkersPerQueue = 1000 },
		"udp only by native": func(o *fastpath.Options) { o.UDPOnly, o.Mode = true, fastpath.ModeNative },
	} {
		o := ok
		change(&o)
		if d, err := fastpath.Start(context.Background(), o); err == nil {
			d.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	d, err := fastpath.Start(context.Background(), ok)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

func waitFor(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(fastpathtest.Patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("%s: not within %v", what, fastpathtest.Patience)
		}
	}
}
