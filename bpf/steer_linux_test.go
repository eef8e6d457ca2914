package bpf

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// steered returns how many of the packets go to each of n sockets, by filling the
// entries one at a time. Every packet must go to exactly one.
func steered(p *program, n uint32, packets [][]byte) []int {
	p.t.Helper()
	p.check(p.SetInterface(testIf, InterfaceConfig{Base: 5, Queues: 1, SocketsPerQueue: n, Enabled4: true, Enabled6: true, Tagged: true}))
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	p.check(err)
	defer unix.Close(fd)
	counts := make([]int, n)
	sum := 0
	for i := range n {
		p.check(p.SetSocket(5+i, fd))
		for _, b := range packets {
			if p.runOnly(b) == uint32(ActionRedirect) {
				counts[i]++
				sum++
			}
		}
		p.check(p.DeleteSocket(5 + i))
	}
	if sum != len(packets) {
		p.t.Fatalf("%d packets went to %d sockets", len(packets), sum)
	}
	return counts
}

func TestSteerToSocket(t *testing.T) {
	p := load(t, Options{})
	redirect := func(f Family) outcome { return outcome{f, ActionRedirect, ReasonSteered} }

	p.socket(0)
	for i, b := range corpus() {
		got, _ := p.run(b)
		want, _ := (&twin{}).decide(b)
		if want.reason == ReasonNoSocket {
			want = redirect(want.family)
		}
		if got != want {
			t.Errorf("packet %d: %v, want %v", i, got, want)
		}
	}
	if got, msgType := p.run(discover().bytes()); got != redirect(FamilyIPv4) || msgType != typeDisc {
		t.Errorf("%v, type %d", got, msgType)
	}
	if got, msgType := p.run(solicit().bytes()); got != redirect(FamilyIPv6) || msgType != typeSol {
		t.Errorf("%v, type %d", got, msgType)
	}

	// Nothing else is: not another entry, not one emptied, not one whose socket
	// was closed.
	p.check(p.DeleteSocket(0))
	p.check(p.DeleteSocket(0))
	p.socket(1)
	p.wantReasons(discover().bytes(), ReasonNoSocket)
	p.check(p.SetInterface(testIf, InterfaceConfig{Base: 1, Queues: 1, SocketsPerQueue: 1, Enabled4: true}))
	p.wantReasons(discover().bytes(), ReasonSteered)
	// Beyond the table there is no socket either, whatever the map says.
	p.check(p.objs.Interfaces.Put(uint32(testIf), &dhcpIface{Base: 1 << 31, Queues: 9, SocketsPerQueue: 3, Flags: 3}))
	p.wantReasons(discover().bytes(), ReasonNoSocket)
	p.check(p.objs.Interfaces.Put(uint32(testIf), &dhcpIface{Base: 1, Queues: 1, SocketsPerQueue: 0, Flags: 3}))
	p.wantReasons(discover().bytes(), ReasonSteered)
}

// Clients whose addresses differ in a few bits only are spread evenly.
func TestSteerEvenly(t *testing.T) {
	p := load(t, Options{})
	const clients = 1024
	for _, pattern := range []struct {
		name   string
		packet func(i int) []byte
	}{
		{"last bytes of chaddr", func(i int) []byte {
			q := discover()
			binary.BigEndian.PutUint32(q.chaddr[2:], uint32(i))
			return q.bytes()
		}},
		{"middle bytes of chaddr", func(i int) []byte {
			q := relayed([4]byte{10, 0, 0, 1})
			binary.BigEndian.PutUint16(q.chaddr[2:], uint16(i)*16)
			return q.bytes()
		}},
		{"last bytes of the DUID", func(i int) []byte {
			d := append(duid(0), byte(i>>8), byte(i))
			return packet6{msg: msg6(typeSol, opt6(1, d...))}.bytes()
		}},
		{"first bytes of the DUID, relayed", func(i int) []byte {
			d := append([]byte{byte(i >> 8), byte(i)}, duid(0)...)
			return packet6{msg: relay6([16]byte{0x20, 1}, [16]byte{0xfe, 0x80}, msg6(typeSol, opt6(1, d...)))}.bytes()
		}},
		{"source address", func(i int) []byte {
			q := packet6{src: [16]byte{0xfe, 0x80}, msg: msg6(typeInf6)}
			binary.BigEndian.PutUint16(q.src[14:], uint16(i))
			return q.bytes()
		}},
		{"client-id without hlen", func(i int) []byte {
			q := discover()
			q.hlen = 0
			q.opts = opts4(opt4(53, typeDisc), opt4(61, 255, 0, 0, 0, 1, 0, 2, byte(i>>8), byte(i)))
			return q.bytes()
		}},
	} {
		t.Run(pattern.name, func(t *testing.T) {
			p.t = t
			packets := make([][]byte, clients)
			for i := range packets {
				packets[i] = pattern.packet(i)
			}
			for _, n := range []uint32{2, 3, 4, 8, 16} {
				counts := steered(p, n, packets)
				mean := clients / int(n)
				// The seed is fixed, so this is no matter of luck: five standard
				// deviations of a random choice.
				slack := 5 * sqrt(mean)
				for i, c := range counts {
					if c < mean-slack || c > mean+slack {
						t.Errorf("%d sockets: socket %d gets %d of %d, want about %d: %v", n, i, c, clients, mean, counts)
						break
					}
				}
			}
		})
	}
}

func sqrt(n int) int {
	r := 0
	for (r+1)*(r+1) <= n {
		r++
	}
	return r
}

// A client meets the same worker whatever it sends and whichever way it comes, and
// what does not identify it does not matter.
func TestSteerSameClient(t *testing.T) {
	p := load(t, Options{})
	a, b := discover(), discover()
	b.chaddr[15] = 9 // beyond hlen
	c := relayed([4]byte{10, 0, 0, 1})
	c.tags = []uint16{0x8100}
	d := renewal()
	noID := discover()
	noID.hlen, noID.opts = 0, opts4(opt4(53, typeDisc))
	noIDLater := noID
	noIDLater.opts = opts4(opt4(53, typeReq))
	withID := discover()
	withID.hlen = 0
	withIDLater := withID
	withIDLater.chaddr = [16]byte{9}
	withIDLater.opts = opts4(opt4(12, 'x'), opt4(61, 1, 2, 0, 0, 0, 0, 1), opt4(53, typeReq))

	sixA := solicit()
	sixB := packet6{src: [16]byte{0x20, 1, 15: 5}, dst: serverAddr6, msg: msg6(typeReq6, opt6(2, duid(7)...), opt6(1, duid(1)...))}
	sixC := packet6{msg: relay6([16]byte{0x20, 1}, [16]byte{0xfe, 0x80, 15: 4}, solicit().msg)}
	sixD := packet6{msg: relay6([16]byte{}, [16]byte{0x20, 1}, relay6([16]byte{0x20, 2}, [16]byte{0xfe, 0x80}, solicit().msg, opt6(18, 'x')))}

	// Five relays deep the client is not reached; its relay's peer-address is.
	deep := func(d byte) packet6 {
		m := msg6(typeSol, opt6(1, duid(d)...))
		for range 5 {
			m = relay6([16]byte{}, [16]byte{0xfe, 0x80, 15: 4}, m)
		}
		return packet6{msg: m}
	}
	for _, same := range [][][]byte{
		{a.bytes(), b.bytes(), c.bytes(), d.bytes()},
		{noID.bytes(), noIDLater.bytes()},
		{withID.bytes(), withIDLater.bytes()},
		{sixA.bytes(), sixB.bytes(), sixC.bytes(), sixD.bytes()},
		{deep(1).bytes(), deep(2).bytes()},
	} {
		for i, n := range steered(p, 101, same) {
			if n != 0 && n != len(same) {
				t.Errorf("%d of %d packets of one client go to socket %d", n, len(same), i)
			}
		}
	}
}

// xdpMD is the context of BPF_PROG_RUN for XDP (struct xdp_md).
type xdpMD struct {
	Data, DataEnd, DataMeta, IngressIfindex, RxQueueIndex, EgressIfindex uint32
}

// Packets of a queue go to that queue's sockets. The device is a multi-queue TAP
// in a network namespace of its own.
func TestSteerByQueue(t *testing.T) {
	p := load(t, Options{})
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and let it end with the goroutine: its namespace is gone with it
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("make network namespace: %w", err)
			}
			var ifr *unix.Ifreq
			const queues = 3
			for range queues {
				fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
				if err != nil {
					return fmt.Errorf("open TAP device: %w", err)
				}
				defer unix.Close(fd)
				if ifr, err = unix.NewIfreq("dhcptest"); err != nil {
					return err
				}
				ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_MULTI_QUEUE)
				if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
					return fmt.Errorf("make TAP interface: %w", err)
				}
			}
			sock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(sock)
			if err := unix.IoctlIfreq(sock, unix.SIOCGIFINDEX, ifr); err != nil {
				return fmt.Errorf("get interface index: %w", err)
			}
			ifindex := ifr.Uint32()

			// Queue 2 has no sockets; queue 0 has, but none is there.
			if err := p.SetInterface(ifindex, InterfaceConfig{Base: 10, Queues: 2, SocketsPerQueue: 4, Enabled4: true}); err != nil {
				return err
			}
			for i := range uint32(4) {
				p.socket(14 + i)
			}
			b := discover().bytes()
			for q, want := range []Reason{ReasonNoSocket, ReasonSteered, ReasonQueueUnused} {
				before, err := p.readCounters()
				if err != nil {
					return err
				}
				md := xdpMD{DataEnd: uint32(len(b)), IngressIfindex: ifindex, RxQueueIndex: uint32(q)}
				if _, err := p.Program().Run(&ebpf.RunOptions{Data: b, Context: md}); err != nil {
					return fmt.Errorf("run on queue %d: %w", q, err)
				}
				after, err := p.readCounters()
				if err != nil {
					return err
				}
				if d := after.Exits[FamilyIPv4][actionOf(want)][want] - before.Exits[FamilyIPv4][actionOf(want)][want]; d != 1 {
					return fmt.Errorf("queue %d: %v counted %d times, want once", q, want, d)
				}
			}
			return nil
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func BenchmarkDiscover(b *testing.B) {
	relayedDeep := packet6{msg: relay6([16]byte{0x20, 1}, [16]byte{0xfe, 0x80}, solicit().msg)}
	arp := put16(12, 0x0806)(discover().bytes())
	dns := put16(offUDP4+2, 53)(discover().bytes())
	for _, bb := range []struct {
		name   string
		packet []byte
		limits bool
	}{
		{"arp", arp, false},
		{"dns", dns, false},
		{"discover", discover().bytes(), false},
		{"discover/limits", discover().bytes(), true},
		{"relayed", relayed([4]byte{10, 0, 0, 1}).bytes(), false},
		{"solicit", solicit().bytes(), false},
		{"solicit/relayed", relayedDeep.bytes(), false},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p := load(b, Options{})
			p.check(p.SetInterface(testIf, InterfaceConfig{Queues: 1, SocketsPerQueue: 4, Enabled4: true, Enabled6: true}))
			for i := range uint32(4) {
				p.socket(i)
			}
			if bb.limits {
				fast := Rate{Tokens: 1e9, Per: 1e9}
				p.check(p.SetLimits(Limits{Client: fast, Relay: fast, NewClients: fast, DiscoverPerCPU: fast}))
				p.check(p.SetScopes([]Scope{{ID: 1, Family: FamilyIPv4, Global: true, IfIndexes: []uint32{testIf}, Rate: fast}}))
			}
			b.ResetTimer()
			verdict, perRun, err := p.Program().Benchmark(bb.packet, b.N, b.ResetTimer)
			p.check(err)
			b.ReportMetric(float64(perRun.Nanoseconds()), "ns/packet")
			if bb.name != "arp" && bb.name != "dns" && verdict != uint32(ActionRedirect) {
				b.Fatalf("verdict %v", Action(verdict))
			}
		})
	}
}
