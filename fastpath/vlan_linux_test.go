package fastpath_test

import (
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/peregrine-dhcp/peregrine/bpf"
	"github.com/peregrine-dhcp/peregrine/fastpath"
	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// vlanTable is the kernel's list of links, but that some of them pass for VLAN
// interfaces: a kernel without the 802.1Q module has none.
type vlanTable struct {
	mu   sync.Mutex
	over map[string]vlanOver // by name
}

type vlanOver struct {
	parent string
	tag    bpf.Tag
}

func (v *vlanTable) set(name, parent string, tpid, vid uint16) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over == nil {
		v.over = map[string]vlanOver{}
	}
	v.over[name] = vlanOver{parent, bpf.Tag{TPID: tpid, VID: vid}}
}

func (v *vlanTable) Links() ([]fastpath.Link, error) {
	links, err := fastpath.Kernel{}.Links()
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range links {
		o, ok := v.over[links[i].Name]
		if !ok {
			continue
		}
		for j := range links {
			if links[j].Name == o.parent {
				links[i].Parent, links[i].Tag = links[j].Index, o.tag
			}
		}
	}
	return links, err
}

// trunk is a device with VLAN interfaces over it: 5 with an address, service VLAN 7
// without one, and customer VLAN 5 in that with an address.
type trunk struct {
	*fastpathtest.Veth
	table         *vlanTable
	conn          *netio.PacketConn // of the client's end
	v5, v75       *fastpathtest.Veth
	name5, name75 string
}

var (
	addr5  = [4]byte{203, 0, 113, 1}
	addr75 = [4]byte{198, 51, 100, 129}
)

func newTrunk(t *testing.T) *trunk {
	t.Helper()
	v, _ := pair(t, 1)
	n := strings.TrimPrefix(v.Server.Name, "pgs")
	k := &trunk{Veth: v, table: &vlanTable{}, name5: v.Server.Name + ".5", name75: v.Server.Name + ".7.5"}
	k.v5 = fastpathtest.MakeVeth(t, k.name5, "pgx"+n, 1)
	name7 := v.Server.Name + ".7"
	fastpathtest.MakeVeth(t, name7, "pgy"+n, 1)
	k.v75 = fastpathtest.MakeVeth(t, k.name75, "pgz"+n, 1)
	k.table.set(k.name5, v.Server.Name, 0x8100, 5)
	k.table.set(name7, v.Server.Name, 0x88A8, 7)
	k.table.set(k.name75, name7, 0x8100, 5)
	fastpathtest.AddAddr(t, k.name5, "203.0.113.1/24")
	fastpathtest.AddAddr(t, k.name75, "198.51.100.129/25")
	conns, err := netio.OpenPacket(netio.PacketOptions{IfIndex: v.Client.Index, Port4: 67}, 1)
	if err != nil {
		t.Fatal(err)
	}
	k.conn = conns[0]
	t.Cleanup(func() { k.conn.Close() })
	k.conn.SetAddrs4([]uint32{binary.BigEndian.Uint32(relay[:])})
	return k
}

// ask sends a frame and returns the interface it was handled for, 0 if it is not
// within patience; then it checks that the answer carries the frame's tags, and
// that there is only one.
func (k *trunk) ask(t *testing.T, r *rig, name string, frame []byte, patience time.Duration) uint32 {
	t.Helper()
	before := r.handled()
	var p [2]netio.Packet
	if !k.conn.Alloc(&p[0]) {
		t.Fatal("no frame")
	}
	p[0].Data = append(p[0].Data, frame...)
	k.conn.Send(p[:1])
	k.conn.Flush()
	for end := time.Now().Add(patience); r.handled() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return 0
		}
	}
	n := 0
	for end := time.Now().Add(fastpathtest.Patience); n == 0 && time.Now().Before(end); {
		k.conn.Wait(10_000_000)
		n = k.conn.Recv(p[:])
	}
	if n == 0 {
		t.Fatalf("%s: no answer", name)
	}
	ip := 14
	for frame[ip-2] != 8 { // the EtherType of IPv4
		ip += 4
	}
	if got := p[0].Data; len(got) < ip || string(got[12:ip]) != string(frame[12:ip]) {
		t.Errorf("%s: the answer's tags are not those of the question:\n%x\n%x", name, got, frame)
	}
	k.conn.Release(p[:n])
	time.Sleep(5 * time.Millisecond) // a second one would come now
	if got := r.handled() - before; got != 1 {
		t.Errorf("%s: handled %d times", name, got)
	}
	return r.lastInterface()
}

// lastInterface is that of the packet handled last.
func (r *rig) lastInterface() (index uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.made {
		if x := e.last.Swap(0); x != 0 {
			index = x
		}
	}
	return index
}

const shortly = 40 * time.Millisecond

// VLAN interfaces are served from the device below, tag by tag, in every mode
// alike.
func TestVLANInterfaces(t *testing.T) {
	for _, mode := range []fastpath.Mode{fastpath.ModeNative, fastpath.ModeGeneric, fastpath.ModeSocket} {
		t.Run(string(mode), func(t *testing.T) {
			if mode != fastpath.ModeSocket {
				fastpathtest.RequireXDP(t)
			}
			k := newTrunk(t)
			r := mustRig(t, fastpath.Options{Interfaces: []string{k.Server.Name, k.name5, k.name75}, Mode: mode, WorkersPerQueue: 2, Links: k.table})
			for _, name := range []string{k.name5, k.name75} {
				st, below := statusOf(t, r, name), statusOf(t, r, k.Server.Name)
				if st.Mode == "" || st.Mode != below.Mode || st.Device != k.Server.Name || st.Sockets != below.Sockets {
					t.Errorf("%s is served so: %+v; the device so: %+v", name, st, below)
				}
			}
			q := func(dst [4]byte) []byte { return fastpathtest.Query(k.Server.MAC, k.Client.MAC, relay, dst, 3, 4) }
			own := func(mac [6]byte, b []byte) []byte { copy(b, mac[:]); return b }
			everywhere := [4]byte{255, 255, 255, 255}
			parent, five, seven5 := k.Server.Index, k.v5.Server.Index, k.v75.Server.Index
			for _, tc := range []struct {
				name  string
				frame []byte
				want  uint32
			}{
				{"untagged", q(server), parent},
				{"VLAN 5", tagged(q(everywhere), 0x8100_0005), five},
				{"VLAN 5, priority 7, DEI", tagged(q(everywhere), 0x8100_F005), five},
				{"VLAN 5, its address", tagged(q(addr5), 0x8100_0005), five},
				{"VLAN 5, its broadcast", tagged(q([4]byte{203, 0, 113, 255}), 0x8100_0005), five},
				{"VLAN 5, an address of the device", tagged(q(server), 0x8100_0005), five},
				{"VLAN 5, its own MAC address", own(k.v5.Server.MAC, tagged(q(addr5), 0x8100_0005)), five},
				{"VLAN 5, IP options", tagged(withOptions(q(addr5)), 0x8100_0005), five},
				{"VLAN 5, broadcast of the device", tagged(q([4]byte{192, 0, 2, 255}), 0x8100_0005), 0},
				{"VLAN 5, another host", tagged(q([4]byte{203, 0, 113, 2}), 0x8100_0005), 0},
				{"QinQ 7.5", tagged(q(everywhere), 0x88A8_0007, 0x8100_0005), seven5},
				{"QinQ 7.5, its broadcast", tagged(q([4]byte{198, 51, 100, 255}), 0x88A8_0007, 0x8100_0005), seven5},
				{"QinQ 7.5 of customer tags only", tagged(q(everywhere), 0x8100_0007, 0x8100_0005), 0},
				{"QinQ 7.6", tagged(q(everywhere), 0x88A8_0007, 0x8100_0006), 0},
				{"service VLAN 7, not served", tagged(q(everywhere), 0x88A8_0007), 0},
				{"VLAN 6, which there is not", tagged(q(everywhere), 0x8100_0006), 0},
				{"service VLAN 5", tagged(q(everywhere), 0x88A8_0005), 0},
				{"priority tag", tagged(q(everywhere), 0x8100_E000), parent},
				{"priority tag and VLAN 5", tagged(q(everywhere), 0x8100_E000, 0x8100_0005), five},
				{"three tags", tagged(q(everywhere), 0x8100_0000, 0x88A8_0007, 0x8100_0005), 0},
				{"broadcast of VLAN 5, untagged", q([4]byte{203, 0, 113, 255}), 0},
			} {
				patience := fastpathtest.Patience
				if tc.want == 0 {
					patience = shortly
				}
				if got := k.ask(t, r, tc.name, tc.frame, patience); got != tc.want {
					t.Errorf("%s: handled for interface %d, want %d", tc.name, got, tc.want)
				}
			}
		})
	}
}

// The device below need not be served, and VLAN interfaces come and go without
// disturbing the workers.
func TestVLANInterfaceComesAndGoes(t *testing.T) {
	for _, mode := range []fastpath.Mode{fastpath.ModeNative, fastpath.ModeSocket} {
		t.Run(string(mode), func(t *testing.T) {
			if mode != fastpath.ModeSocket {
				fastpathtest.RequireXDP(t)
			}
			k := newTrunk(t)
			r := mustRig(t, fastpath.Options{Interfaces: []string{k.name5}, Mode: mode, WorkersPerQueue: 1, Links: k.table})
			if st := r.d.Status(); len(st) != 1 || st[0].Name != k.name5 || st[0].Device != k.Server.Name {
				t.Fatalf("status is %+v", st)
			}
			made := len(r.made)
			q := func(tags ...uint32) []byte {
				return tagged(fastpathtest.Query(k.Server.MAC, k.Client.MAC, relay, [4]byte{255, 255, 255, 255}, 3, 4), tags...)
			}
			five := q(0x8100_0005)
			want := func(name string, frame []byte, index uint32) {
				t.Helper()
				patience := fastpathtest.Patience
				if index == 0 {
					patience = shortly
				}
				if got := k.ask(t, r, name, frame, patience); got != index {
					t.Errorf("%s: handled for interface %d, want %d", name, got, index)
				}
			}
			want("untagged, not served", q(), 0)
			want("priority tag, not served", q(0x8100_6000), 0)
			want("VLAN 5", five, k.v5.Server.Index)

			// A second one, by another configuration, and the device itself.
			o := r.opt
			o.Interfaces = []string{k.name5, k.name75, k.Server.Name}
			if err := r.d.Apply(o); err != nil {
				t.Fatal(err)
			}
			want("QinQ 7.5", q(0x88A8_0007, 0x8100_0005), k.v75.Server.Index)
			want("untagged, served", q(), k.Server.Index)
			want("VLAN 5, not alone", five, k.v5.Server.Index)
			// And without the first.
			o.Interfaces = []string{k.name75}
			if err := r.d.Apply(o); err != nil {
				t.Fatal(err)
			}
			want("VLAN 5, not configured", five, 0)
			want("untagged, not configured", q(), 0)
			want("QinQ 7.5, configured", q(0x88A8_0007, 0x8100_0005), k.v75.Server.Index)
			o.Interfaces = []string{k.name5}
			if err := r.d.Apply(o); err != nil {
				t.Fatal(err)
			}
			want("VLAN 5, configured again", five, k.v5.Server.Index)

			// Down and up, gone and back.
			l, err := netlink.LinkByName(k.name5)
			if err == nil {
				err = netlink.LinkSetDown(l)
			}
			if err != nil {
				t.Fatal(err)
			}
			waitFor(t, "down", func() bool { return lastUp(r, k.name5) == 0 })
			if err := netlink.LinkSetUp(l); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "up", func() bool { return lastUp(r, k.name5) == 1 })
			want("VLAN 5, up again", five, k.v5.Server.Index)
			device, err := netlink.LinkByName(k.Server.Name)
			if err == nil {
				err = netlink.LinkSetDown(device)
			}
			if err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the device down", func() bool { return lastUp(r, k.Server.Name) == 0 })
			if err := netlink.LinkSetUp(device); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the device up", func() bool { return lastUp(r, k.Server.Name) == 1 })
			want("VLAN 5, the device up again", five, k.v5.Server.Index)
			if len(r.made) != made {
				t.Errorf("%d workers were made, want %d as in the beginning", len(r.made), made)
			}
			k.v5.Delete(t)
			waitFor(t, "no interface served", func() bool { return len(r.d.Status()) == 0 })
			want("VLAN 5, gone", five, 0)
			back := fastpathtest.MakeVeth(t, k.name5, "pgb"+strings.TrimPrefix(k.Server.Name, "pgs"), 1)
			fastpathtest.AddAddr(t, k.name5, "203.0.113.1/24")
			waitFor(t, "served again", func() bool { st := r.d.Status(); return len(st) == 1 && st[0].Mode != "" })
			want("VLAN 5, back", five, back.Server.Index)

			// The device below goes.
			k.Delete(t)
			waitFor(t, "nothing served by it", func() bool {
				st := r.d.Status()
				return len(st) == 0 || len(st) == 1 && st[0].Device == ""
			})
		})
	}
}

// Where there are only UDP sockets, a VLAN interface has one of its own.
func TestVLANInterfaceUDP(t *testing.T) {
	k := newTrunk(t)
	r := mustRig(t, fastpath.Options{Interfaces: []string{k.name5, k.Server.Name}, UDPOnly: true, WorkersPerQueue: 1, Links: k.table})
	for _, name := range []string{k.name5, k.Server.Name} {
		if st := statusOf(t, r, name); st.Mode != fastpath.ModeUDP || st.Device != "" {
			t.Errorf("%s is served so: %+v", name, st)
		}
	}
	// Its wire is its own here, and untagged.
	fastpathtest.AddNeighbour(t, k.v5.Server, [4]byte{203, 0, 113, 9}, k.v5.Client.MAC)
	w := fastpathtest.OpenWire(t, k.v5.Client)
	w.Send(t, fastpathtest.Query(k.v5.Server.MAC, k.v5.Client.MAC, [4]byte{203, 0, 113, 9}, addr5, 1, 1))
	if w.Recv(t, fastpathtest.Patience) == nil {
		t.Error("no answer")
	}
	if got := r.lastInterface(); got != k.v5.Server.Index {
		t.Errorf("handled for interface %d, want %d", got, k.v5.Server.Index)
	}
}

// Frames of VLANs without an interface belong to the device where that is wished.
func TestServeTagged(t *testing.T) {
	for _, mode := range []fastpath.Mode{fastpath.ModeNative, fastpath.ModeSocket} {
		t.Run(string(mode), func(t *testing.T) {
			if mode != fastpath.ModeSocket {
				fastpathtest.RequireXDP(t)
			}
			k := newTrunk(t)
			o := fastpath.Options{Interfaces: []string{k.Server.Name}, Mode: mode, WorkersPerQueue: 1, Links: k.table}
			r := mustRig(t, o)
			six := tagged(fastpathtest.Query(k.Server.MAC, k.Client.MAC, relay, server, 3, 4), 0x8100_0006)
			five := tagged(fastpathtest.Query(k.Server.MAC, k.Client.MAC, relay, server, 3, 4), 0x8100_0005)
			for _, serve := range []bool{false, true, false} {
				o := r.opt
				o.ServeTagged = serve
				if err := r.d.Apply(o); err != nil {
					t.Fatal(err)
				}
				patience, want := shortly, uint32(0)
				if serve {
					patience, want = fastpathtest.Patience, k.Server.Index
				}
				if got := k.ask(t, r, "VLAN 6", six, patience); got != want {
					t.Errorf("ServeTagged %v: handled for interface %d, want %d", serve, got, want)
				}
				if got := k.ask(t, r, "VLAN 5, which has an interface", five, shortly); got != 0 {
					t.Errorf("ServeTagged %v: VLAN 5 is handled for interface %d", serve, got)
				}
			}
		})
	}
}
