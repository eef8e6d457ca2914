package netio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long what must happen may take on a busy machine.
const patience = time.Minute

// Every Wake ends a Wait, however the two fall together.
func TestWaiterLosesNoWake(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	var w Waiter
	if err := w.Init(pipe[0]); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	const rounds = 20_000
	ack := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for range rounds {
			w.Wake()
			<-ack
		}
	}()
	for i := range rounds {
		start := time.Now()
		w.Wait(int64(patience), true)
		if time.Since(start) > patience/2 {
			t.Errorf("round %d: a wake-up was lost", i)
		}
		ack <- struct{}{}
	}
	wg.Wait()
	// An idle Wait ends by its timeout, and by the descriptor.
	before := time.Now()
	w.Wait(5_000_000, true)
	if d := time.Since(before); d < 4*time.Millisecond {
		t.Errorf("idle wait of 5 ms took %v", d)
	}
	unix.Write(pipe[1], []byte{1})
	before = time.Now()
	w.Wait(int64(patience), true)
	if d := time.Since(before); d > patience/2 {
		t.Errorf("wait on a readable descriptor took %v", d)
	}
	before = time.Now()
	w.Wait(5_000_000, false)
	if d := time.Since(before); d < 4*time.Millisecond {
		t.Errorf("wait that does not watch took %v", d)
	}
	w.Close()
	w.Wake() // does nothing
}

func TestWaiterAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	var w Waiter
	if err := w.Init(pipe[0]); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if n := testing.AllocsPerRun(50, func() { w.Wait(1000, true); w.Wake(); w.Wait(1000, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// ipFrame is an Ethernet frame with the given tags and an IPv4 UDP header with
// options of optLen octets.
func ipFrame(tags []uint32, optLen int, frag uint16, proto byte, port uint16) []byte {
	be := binary.BigEndian
	b := make([]byte, 12)
	for _, t := range tags {
		b = be.AppendUint32(b, t)
	}
	b = be.AppendUint16(b, unix.ETH_P_IP)
	ip := make([]byte, 20+optLen+8+240)
	ip[0] = 0x40 | byte(5+optLen/4)
	be.PutUint16(ip[2:], uint16(len(ip)))
	be.PutUint16(ip[6:], frag)
	ip[9] = proto
	be.PutUint16(ip[20+optLen+2:], port)
	return append(b, ip...)
}

func ip6Frame(tags []uint32, next byte, port uint16) []byte {
	be := binary.BigEndian
	b := make([]byte, 12)
	for _, t := range tags {
		b = be.AppendUint32(b, t)
	}
	b = be.AppendUint16(b, unix.ETH_P_IPV6)
	ip := make([]byte, 40+8+100)
	ip[0] = 0x60
	ip[6] = next
	be.PutUint16(ip[40+2:], port)
	return append(b, ip...)
}

// ip6Chain is an IPv6 frame to a UDP port with extension headers of 16 octets, a
// fragment header of 8, in front.
func ip6Chain(tags []uint32, port uint16, headers ...byte) []byte {
	b := ip6Frame(tags, 17, port)
	at := len(b) - 100 - 8
	var chain []byte
	for i, h := range headers {
		next := byte(unix.IPPROTO_UDP)
		if i+1 < len(headers) {
			next = headers[i+1]
		}
		if h == unix.IPPROTO_FRAGMENT {
			chain = append(chain, next, 0, 0, 1, 0, 0, 0, 0)
			continue
		}
		chain = append(append(chain, next, 1, 1, 12), make([]byte, 12)...)
	}
	if len(headers) > 0 {
		b[at-40+6] = headers[0]
	}
	return append(b[:at:at], append(chain, b[at:]...)...)
}

// ip6Later makes the fragment that begins an untagged frame a later one.
func ip6Later(b []byte) []byte {
	b[14+40+3] |= 8
	return b
}

// The filters run in the kernel, on a pair of unix sockets: no privilege needed.
func TestFilter(t *testing.T) {
	const q, ad = 0x8100_0005, 0x88A8_0006
	for _, ports := range [][2]uint16{{67, 0}, {67, 547}, {10067, 0}} {
		p4, p6 := ports[0], ports[1]
		f := dhcpFilter(p4, p6)
		for _, tc := range []struct {
			name  string
			frame []byte
			want  bool
		}{
			{"plain", ipFrame(nil, 0, 0, 17, p4), true},
			{"don't fragment", ipFrame(nil, 0, 0x4000, 17, p4), true},
			{"options", ipFrame(nil, 40, 0, 17, p4), true},
			{"tag", ipFrame([]uint32{q}, 0, 0, 17, p4), true},
			{"tags", ipFrame([]uint32{ad, q}, 8, 0, 17, p4), true},
			{"three tags", ipFrame([]uint32{ad, q, q}, 0, 0, 17, p4), false},
			{"TCP", ipFrame(nil, 0, 0, 6, p4), false},
			{"other port", ipFrame(nil, 0, 0, 17, p4+1), false},
			{"other port by options", ipFrame(nil, 4, 0, 17, p4+1), false},
			{"first fragment", ipFrame(nil, 0, 0x2000, 17, p4), true},
			{"later fragment", ipFrame(nil, 0, 0x2010, 17, p4), false},
			{"last fragment", ipFrame(nil, 0, 0x0010, 17, p4), false},
			{"ARP", append(make([]byte, 12), 8, 6, 0, 1, 8, 0, 6, 4), false},
			{"short", ipFrame(nil, 0, 0, 17, p4)[:20], false},
			{"no frame", []byte{1}, false},
			{"v6", ip6Frame(nil, 17, 547), p6 != 0},
			{"v6 tag", ip6Frame([]uint32{q}, 17, 547), p6 != 0},
			{"v6 tags", ip6Frame([]uint32{ad, q}, 17, 547), p6 != 0},
			{"v6 other port", ip6Frame(nil, 17, 546), false},
			{"v6 ICMP", ip6Frame(nil, 58, 547), false},
			{"v6 hop-by-hop", ip6Chain(nil, 547, 0), p6 != 0},
			{"v6 all extension headers", ip6Chain([]uint32{q}, 547, 0, 60, 43, 60), p6 != 0},
			{"v6 too many", ip6Chain(nil, 547, 0, 60, 43, 60, 60), false},
			{"v6 other port behind them", ip6Chain([]uint32{ad, q}, 548, 0, 60), false},
			{"v6 authentication header", ip6Chain(nil, 547, 51), false},
			{"v6 first fragment", ip6Chain(nil, 547, 60, 44), p6 != 0},
			{"v6 fragment of another port", ip6Chain(nil, 53, 44), false},
			{"v6 later fragment", ip6Later(ip6Chain(nil, 547, 44)), false},
			{"v6 chain past the frame", ip6Chain(nil, 547, 0, 60)[:60], false},
		} {
			if got := passes(t, f, tc.frame); got != tc.want {
				t.Errorf("ports %v, %s: passes %t, want %t", ports, tc.name, got, tc.want)
			}
		}
	}
	if passes(t, dropAll(), ipFrame(nil, 0, 0, 17, 67)) {
		t.Error("dropAll lets something through")
	}
}

func passes(t *testing.T, f []unix.SockFilter, data []byte) bool {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	if err := unix.SetsockoptSockFprog(fds[1], unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}); err != nil {
		t.Fatal(err)
	}
	_, err = unix.Write(fds[0], data)
	if errors.Is(err, unix.EPERM) {
		return false // how a unix socket reports a filter's no
	}
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := unix.Read(fds[1], b)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	if n > 0 && n != len(data) {
		t.Errorf("filter cut %d octets to %d", len(data), n)
	}
	return n > 0
}

func openLoopback(t testing.TB, n int) []*UDPConn {
	t.Helper()
	conns, err := OpenUDP(UDPOptions{Addr: 0x7F000001, Slots: 256}, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range conns {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return conns
}

// message is a datagram of n octets with client in the end of chaddr.
func message(n int, client uint32) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	if n >= 34 {
		binary.BigEndian.PutUint32(b[30:], client)
	}
	return b
}

// recvOne receives one packet from any of the conns.
func recvOne(t testing.TB, conns []*UDPConn) (Packet, int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		for i, c := range conns {
			var p [1]Packet
			if c.Recv(p[:]) == 1 {
				return p[0], i
			}
		}
		conns[0].Wait(1_000_000)
	}
	t.Fatal("no packet")
	return Packet{}, 0
}

func TestUDPConn(t *testing.T) {
	conns := openLoopback(t, 1)
	c := conns[0]
	client, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(c.Port())})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 33, 34, 300, 1472, slotSize - synthLen} {
		msg := message(n, 7)
		if _, err := client.Write(msg); err != nil {
			t.Fatal(err)
		}
		p, _ := recvOne(t, conns)
		f := p.Data
		if !p.Synthetic || p.IfIndex != uint32(lo.Index) || len(f) != synthLen+n || string(f[synthLen:]) != string(msg) {
			t.Fatalf("%d octets: packet is %+v", n, p)
		}
		be := binary.BigEndian
		if be.Uint16(f[12:]) != 0x0800 || f[14] != 0x45 || int(be.Uint16(f[16:])) != 28+n || f[23] != 17 ||
			be.Uint32(f[26:]) != 0x7F000001 || be.Uint32(f[30:]) != 0x7F000001 ||
			int(be.Uint16(f[34:])) != client.LocalAddr().(*net.UDPAddr).Port || be.Uint16(f[36:]) != c.Port() ||
			int(be.Uint16(f[38:])) != 8+n || be.Uint16(f[40:]) != 0 {
			t.Fatalf("%d octets: header is %x", n, f[:synthLen])
		}
		sum := uint32(0)
		for i := 14; i < 34; i += 2 {
			sum += uint32(be.Uint16(f[i:]))
		}
		if sum>>16+sum&0xFFFF != 0xFFFF {
			t.Errorf("%d octets: IPv4 checksum is wrong", n)
		}
		// The answer goes where the headers say.
		copy(f[34:36], f[36:38])
		be.PutUint16(f[36:], uint16(client.LocalAddr().(*net.UDPAddr).Port))
		c.Send([]Packet{p})
		c.Flush()
		b := make([]byte, 2048)
		client.SetReadDeadline(time.Now().Add(patience))
		if m, err := client.Read(b); err != nil || string(b[:m]) != string(msg) {
			t.Fatalf("%d octets: answer is %x, %v", n, b[:m], err)
		}
	}
	// Longer than a slot: refused, not cut.
	if _, err := client.Write(message(slotSize-synthLen+1, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write(message(300, 1)); err != nil {
		t.Fatal(err)
	}
	p, _ := recvOne(t, conns)
	if len(p.Data) != synthLen+300 || c.ConnStats().RxRefused != 1 {
		t.Errorf("after a long one: %d octets, %+v", len(p.Data), c.ConnStats())
	}
	// Headers that make no sense are not sent, and their slots come back.
	for name, spoil := range map[string]func(*Packet){
		"empty":          func(p *Packet) { p.Data = p.Data[:0] },
		"short":          func(p *Packet) { p.Data = p.Data[:synthLen-1] },
		"not IP":         func(p *Packet) { p.Data[12] = 9 },
		"IP options":     func(p *Packet) { p.Data[14] = 0x46 },
		"not UDP":        func(p *Packet) { p.Data[23] = 6 },
		"length over":    func(p *Packet) { binary.BigEndian.PutUint16(p.Data[38:], 400) },
		"length under":   func(p *Packet) { binary.BigEndian.PutUint16(p.Data[38:], 7) },
		"foreign source": func(p *Packet) { copy(p.Data[26:], []byte{192, 0, 2, 77}) },
	} {
		if _, err := client.Write(message(300, 1)); err != nil {
			t.Fatal(err)
		}
		q, _ := recvOne(t, conns)
		before := c.ConnStats().TxDropped
		spoil(&q)
		c.Send([]Packet{q})
		c.Flush()
		if got := c.ConnStats().TxDropped - before; got != 1 {
			t.Errorf("%s: TxDropped moved by %d", name, got)
		}
	}
	c.Release([]Packet{p})
	if n := len(c.mem.free); n != 256 {
		t.Errorf("%d slots free of 256", n)
	}
}

// When every slot is on loan nothing is received, Alloc says no, and Wait does
// not turn into a busy loop.
func TestUDPConnWithoutSlots(t *testing.T) {
	conns := openLoopback(t, 1)
	c := conns[0]
	var lent []Packet
	var p Packet
	for c.Alloc(&p) {
		lent = append(lent, p)
	}
	if len(lent) != 256 || c.ConnStats().NoFrame != 1 {
		t.Fatalf("%d slots, %+v", len(lent), c.ConnStats())
	}
	client, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(c.Port())})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write(message(300, 1)); err != nil {
		t.Fatal(err)
	}
	if n := c.Recv(make([]Packet, 4)); n != 0 {
		t.Fatalf("received %d without slots", n)
	}
	before := time.Now()
	c.Wait(5_000_000)
	if d := time.Since(before); d < 4*time.Millisecond {
		t.Errorf("wait of 5 ms took %v", d)
	}
	c.Release(lent)
	recvOne(t, conns)
}

// A client always meets the same of several sockets, and they share the work.
func TestUDPSteering(t *testing.T) {
	conns := openLoopback(t, 3)
	client, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(conns[0].Port())})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	count := [3]int{}
	const clients = 600
	at := [clients]int{}
	for round := range 2 {
		for i := range uint32(clients) {
			if _, err := client.Write(message(300, 0x0200_0000+i)); err != nil {
				t.Fatal(err)
			}
			p, on := recvOne(t, conns)
			conns[on].Release([]Packet{p})
			if round == 0 {
				at[i] = on
				count[on]++
			} else if at[i] != on {
				t.Fatalf("client %d met socket %d and then %d", i, at[i], on)
			}
		}
	}
	if m := max(count[0], count[1], count[2]); float64(m) > 1.2*clients/3 {
		t.Errorf("clients by socket: %v", count)
	}
	// A message without chaddr arrives too.
	if _, err := client.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	recvOne(t, conns)
}

func TestUDPConnAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	conns := openLoopback(t, 1)
	c := conns[0]
	var lo [4]byte
	copy(lo[:], []byte{127, 0, 0, 1})
	var pkts [BatchSize]Packet
	// It talks to itself: what it sends is what it receives.
	p := &pkts[0]
	if !c.Alloc(p) {
		t.Fatal("no slot")
	}
	p.Data = p.Data[:synthLen+300]
	writeSynthetic(p.Data, 0x7F000001, 0x7F000001, c.port, c.port)
	c.Send(pkts[:1])
	c.Flush()
	got := 0
	if n := testing.AllocsPerRun(200, func() {
		n := c.Recv(pkts[:])
		got += n
		c.Send(pkts[:n])
		c.Flush()
	}); n != 0 {
		t.Errorf("%v allocations per round", n)
	}
	if got < 100 {
		t.Errorf("only %d packets went round", got)
	}
}

func TestPortGuard(t *testing.T) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(c.LocalAddr().(*net.UDPAddr).Port)
	if g, err := OpenPortGuard(port, "", 0); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("guard of a taken port: %v, %v", g, err)
	}
	c.Close()
	g, err := OpenPortGuard(port, "lo", 1)
	if err != nil {
		t.Skipf("bind to lo: %v", err)
	}
	defer g.Close()
	// No ICMP port unreachable: a connected socket would report ECONNREFUSED.
	client, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 3 {
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatalf("write: %v", err)
		}
	}
	client.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := client.Read(make([]byte, 10)); !errors.Is(err, unix.ETIMEDOUT) && !isTimeout(err) {
		t.Errorf("read: %v", err)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// Control messages come from the kernel, but nothing in them may make us read
// beyond them.
func FuzzControlMessages(f *testing.F) {
	msg := make([]byte, 40)
	ne := binary.NativeEndian
	ne.PutUint64(msg, 16+20)
	ne.PutUint32(msg[8:], unix.SOL_PACKET)
	ne.PutUint32(msg[12:], unix.PACKET_AUXDATA)
	ne.PutUint32(msg[16:], unix.TP_STATUS_VLAN_VALID|unix.TP_STATUS_VLAN_TPID_VALID)
	ne.PutUint16(msg[32:], 0x2005)
	ne.PutUint16(msg[34:], 0x88A8)
	f.Add(msg)
	info := make([]byte, 32)
	ne.PutUint64(info, 16+12)
	ne.PutUint32(info[8:], unix.IPPROTO_IP)
	ne.PutUint32(info[12:], unix.IP_PKTINFO)
	ne.PutUint32(info[16:], 3)
	copy(info[24:], []byte{192, 0, 2, 1})
	f.Add(info)
	f.Add(append(info, msg...))
	f.Add([]byte{0xFF})
	if tpid, tci, ok := auxVLAN(msg); !ok || tpid != 0x88A8 || tci != 0x2005 {
		f.Fatalf("auxVLAN: %#x %#x %t", tpid, tci, ok)
	}
	if tpid, tci, ok := auxVLAN(append(info, msg...)); !ok || tpid != 0x88A8 || tci != 0x2005 {
		f.Fatalf("auxVLAN of the second: %#x %#x %t", tpid, tci, ok)
	}
	if i, dst, ok := pktinfo(info); !ok || i != 3 || dst != 0xC0000201 {
		f.Fatalf("pktinfo: %d %#x %t", i, dst, ok)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		auxVLAN(b)
		pktinfo(b)
		pktinfo6(b)
	})
}
