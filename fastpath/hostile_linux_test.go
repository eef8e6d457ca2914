package fastpath_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/peregrine-dhcp/peregrine/fastpath"
	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// sized is a query of n octets from the IP header on, its message filled up behind
// the end option.
func sized(q []byte, n int) []byte {
	b := append([]byte(nil), q...)
	for len(b) < 14+n {
		b = append(b, 0)
	}
	b = b[:14+n]
	binary.BigEndian.PutUint16(b[16:], uint16(n))
	binary.BigEndian.PutUint16(b[38:], uint16(n-20))
	b[40], b[41] = 0, 0 // no UDP checksum
	setChecksum(b[14:34])
	return b
}

// inject puts frames on the client's wire, whatever the device thinks of them.
func (k *trunk) inject(t *testing.T, frames ...[]byte) {
	t.Helper()
	var p [1]netio.Packet
	for _, f := range frames {
		if !k.conn.Alloc(&p[0]) {
			t.Fatal("no frame")
		}
		p[0].Data = append(p[0].Data, f[:min(len(f), cap(p[0].Data))]...)
		k.conn.Send(p[:])
		k.conn.Flush()
	}
}

// Frames cut off anywhere, with tags or without, are nobody's for XDP, and do no
// harm. (A packet socket hands on what frame.Decode refuses then.)
func TestTruncatedFrames(t *testing.T) {
	for _, mode := range []fastpath.Mode{fastpath.ModeNative, fastpath.ModeGeneric} {
		t.Run(string(mode), func(t *testing.T) {
			fastpathtest.RequireXDP(t)
			k := newTrunk(t)
			r := mustRig(t, fastpath.Options{Interfaces: []string{k.Server.Name, k.name5, k.name75}, Mode: mode, WorkersPerQueue: 2, Links: k.table})
			q := fastpathtest.Query(k.Server.MAC, k.Client.MAC, relay, [4]byte{255, 255, 255, 255}, 3, 4)
			for _, f := range [][]byte{q, tagged(q, 0x8100_0005), tagged(q, 0x88A8_0007, 0x8100_0005), tagged(q, 0x8100_0000, 0x88A8_0007, 0x8100_0005)} {
				for n := 15; n < len(f); n += 1 + n/40 {
					k.inject(t, f[:n])
				}
			}
			// The device may have filled up short frames, but not to the length
			// that their IP header has.
			if got := k.ask(t, r, "a whole one", tagged(q, 0x8100_0005), fastpathtest.Patience); got != k.v5.Server.Index {
				t.Errorf("handled for interface %d, want %d", got, k.v5.Server.Index)
			}
			if got := r.handled(); got != 1 {
				t.Errorf("%d frames handled, want the whole one alone", got)
			}
		})
	}
}

// What is longer than buffers are is counted and not cut, also where the link
// carries it; what fits them is served.
func TestJumboFrames(t *testing.T) {
	for _, mode := range []fastpath.Mode{fastpath.ModeAuto, fastpath.ModeGeneric, fastpath.ModeSocket} {
		t.Run(string(mode), func(t *testing.T) {
			fastpathtest.RequireXDP(t)
			v, w := pair(t, 1)
			for _, name := range []string{v.Server.Name, v.Client.Name} {
				l, err := netlink.LinkByName(name)
				if err == nil {
					err = netlink.LinkSetMTU(l, 9000)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			r := mustRig(t, fastpath.Options{Interfaces: []string{v.Server.Name}, Mode: mode, WorkersPerQueue: 1})
			q := fastpathtest.Query(v.Server.MAC, v.Client.MAC, relay, server, 3, 4)
			for _, tc := range []struct {
				octets int
				want   uint64
			}{{576, 1}, {1500, 1}, {1700, 1}, {2100, 0}, {4000, 0}, {9000, 0}, {1500, 1}} {
				r.expect(t, fmt.Sprintf("%d octets", tc.octets), tc.want, w, sized(q, tc.octets))
			}
			lost := uint64(0)
			for _, ws := range r.d.Workers() {
				lost += ws.Conn.RxDropped + ws.Conn.RxRefused + ws.Conn.RxInvalid
			}
			if lost < 3 {
				t.Errorf("%d frames counted as lost, want the 3 long ones", lost)
			}
		})
	}
}

// Under load the link goes down and up, VLAN interfaces and addresses come and go
// and the MTU changes; afterwards everything is served, and every packet that a
// worker got is accounted for.
func TestChangesUnderLoad(t *testing.T) {
	for _, mode := range []fastpath.Mode{fastpath.ModeNative, fastpath.ModeGeneric, fastpath.ModeSocket} {
		t.Run(string(mode), func(t *testing.T) {
			if mode != fastpath.ModeSocket {
				fastpathtest.RequireXDP(t)
			}
			seed := uint64(time.Now().UnixNano())
			if s, err := strconv.ParseUint(os.Getenv("TEST_SEED"), 10, 64); err == nil {
				seed = s
			}
			t.Logf("TEST_SEED=%d", seed)
			k := newTrunk(t)
			r := mustRig(t, fastpath.Options{Interfaces: []string{k.Server.Name, k.name5, k.name75}, Mode: mode, WorkersPerQueue: 2, Links: k.table})

			load, err := netio.OpenPacket(netio.PacketOptions{IfIndex: k.Client.Index, Port4: 67}, 1)
			if err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Add(1)
			go func() {
				defer wg.Done()
				c := load[0]
				var p, in [netio.BatchSize]netio.Packet
				tags := [][]uint32{nil, {0x8100_0005}, {0x88A8_0007, 0x8100_0005}, {0x8100_0006}, {0x8100_0000}}
				for i := uint32(0); ; {
					select {
					case <-stop:
						return
					default:
					}
					n := 0
					for n < len(p) && c.Alloc(&p[n]) {
						q := fastpathtest.Query(k.Server.MAC, k.Client.MAC, relay, [4]byte{255, 255, 255, 255}, i%50, i)
						p[n].Data = append(p[n].Data, tagged(q, tags[i%5]...)...)
						n, i = n+1, i+1
					}
					c.Send(p[:n])
					c.Flush()
					c.Release(in[:c.Recv(in[:])])
					time.Sleep(200 * time.Microsecond)
				}
			}()

			link := func(name string, f func(netlink.Link) error) {
				l, err := netlink.LinkByName(name)
				if err == nil {
					err = f(l)
				}
				if err != nil {
					t.Errorf("change %s: %v", name, err)
				}
			}
			rng := rand.New(rand.NewPCG(seed, 1))
			all := r.opt.Interfaces
			extra := false
			for range 40 {
				switch rng.IntN(7) {
				case 0:
					link(k.Server.Name, netlink.LinkSetDown)
					time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
					link(k.Server.Name, netlink.LinkSetUp)
				case 1:
					link(k.name5, netlink.LinkSetDown)
					time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
					link(k.name5, netlink.LinkSetUp)
				case 2, 3:
					o := r.opt
					o.Interfaces = nil
					for _, name := range all {
						if rng.IntN(2) == 0 {
							o.Interfaces = append(o.Interfaces, name)
						}
					}
					o.ServeTagged = rng.IntN(2) == 0
					if err := r.d.Apply(o); err != nil {
						t.Errorf("apply %v: %v", o.Interfaces, err)
					}
				case 4:
					if extra = !extra; extra {
						fastpathtest.AddAddr(t, k.name5, "203.0.113.77/24")
					} else {
						fastpathtest.DelAddr(t, k.name5, "203.0.113.77/24")
					}
				case 5:
					link(k.Server.Name, func(l netlink.Link) error { return netlink.LinkSetMTU(l, 1400+rng.IntN(100)) })
				case 6:
					r.d.Status()
					r.d.Workers()
				}
				time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
			}
			close(stop)
			wg.Wait()
			if err := load[0].Close(); err != nil {
				t.Error(err)
			}
			link(k.Server.Name, func(l netlink.Link) error { return netlink.LinkSetMTU(l, 1500) })
			if err := r.d.Apply(r.opt); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "all served", func() bool {
				n := 0
				for _, s := range r.d.Status() {
					if s.Mode != "" {
						n++
					}
				}
				return n == 3
			})
			// Nothing comes any more; what there is is settled.
			settled := func() bool {
				for _, ws := range r.d.Workers() {
					if l := ws.Loop; l.Packets+l.Resumed != l.Sent+l.Dropped+l.Held+l.HoldTimeouts+l.HoldOverflow+l.HoldAbandoned || ws.Conn.RxPackets-l.Packets > ws.Conn.RxRefused {
						return false
					}
				}
				return true
			}
			waitFor(t, "every packet accounted for", settled)
			n := 0
			waitFor(t, "quiet", func() bool {
				before := r.handled()
				time.Sleep(30 * time.Millisecond)
				if r.handled() != before {
					n = 0
				}
				n++
				return n > 3
			})
			var in [netio.BatchSize]netio.Packet
			for m := 1; m > 0; {
				m = k.conn.Recv(in[:])
				k.conn.Release(in[:m])
			}
			r.lastInterface()
			q := fastpathtest.Query(k.Server.MAC, k.Client.MAC, relay, [4]byte{255, 255, 255, 255}, 3, 4)
			for want, f := range map[uint32][]byte{
				k.Server.Index: q, k.v5.Server.Index: tagged(q, 0x8100_0005), k.v75.Server.Index: tagged(q, 0x88A8_0007, 0x8100_0005),
			} {
				if got := k.ask(t, r, "afterwards", f, fastpathtest.Patience); got != want {
					t.Errorf("afterwards: handled for interface %d, want %d", got, want)
				}
			}
		})
	}
}
