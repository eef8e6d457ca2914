package netio

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
)

func openLoopback6(t testing.TB, n int) ([]*UDP6Conn, *net.UDPConn) {
	t.Helper()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	conns, err := OpenUDP6(UDP6Options{Addr: [16]byte{15: 1}, Device: "lo", IfIndex: uint32(lo.Index), Slots: 256}, n)
	if err != nil {
		t.Skipf("no IPv6 on the loopback: %v", err)
	}
	t.Cleanup(func() {
		for _, c := range conns {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	client, err := net.DialUDP("udp6", nil, &net.UDPAddr{IP: net.IPv6loopback, Port: int(conns[0].Port())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return conns, client
}

// recvOne6 receives one packet from any of the conns.
func recvOne6(t testing.TB, conns []*UDP6Conn) (Packet, int) {
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

func TestUDP6Conn(t *testing.T) {
	conns, client := openLoopback6(t, 1)
	c := conns[0]
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(client.LocalAddr().(*net.UDPAddr).Port)
	for _, n := range []int{0, 1, 33, 300, 1452, slotSize - synthLen6} {
		msg := message(n, 7)
		if _, err := client.Write(msg); err != nil {
			t.Fatal(err)
		}
		p, _ := recvOne6(t, conns)
		var h frame.Headers
		why := frame.Decode(p.Data, &h)
		loopback := [16]byte{15: 1}
		if !p.Synthetic || p.IfIndex != uint32(lo.Index) || why != frame.ReasonOK || h.Family != 6 || h.Src6 != loopback || h.Dst6 != loopback ||
			h.SrcPort != port || h.DstPort != c.Port() || h.ChecksumPartial || string(p.Data[h.PayloadOff:]) != string(msg) {
			t.Fatalf("%d octets: %v, %+v in packet %+v", n, why, h, p)
		}
		// The answer goes where the headers say.
		o := frame.Out6{Src6: h.Dst6, Dst6: h.Src6, SrcPort: h.DstPort, DstPort: h.SrcPort}
		p.Data = p.Data[:frame.Write6(p.Data, &o, n)]
		c.Send([]Packet{p})
		c.Flush()
		b := make([]byte, 2048)
		client.SetReadDeadline(time.Now().Add(patience))
		if m, err := client.Read(b); err != nil || string(b[:m]) != string(msg) {
			t.Fatalf("%d octets: answer is %x, %v", n, b[:m], err)
		}
	}
	// Longer than a slot: refused, not cut.
	if _, err := client.Write(message(slotSize-synthLen6+1, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write(message(300, 1)); err != nil {
		t.Fatal(err)
	}
	p, _ := recvOne6(t, conns)
	if len(p.Data) != synthLen6+300 || c.ConnStats().RxRefused != 1 {
		t.Errorf("after a long one: %d octets, %+v", len(p.Data), c.ConnStats())
	}
	// Headers that make no sense are not sent, and their slots come back.
	for name, spoil := range map[string]func(*Packet){
		"empty":          func(p *Packet) { p.Data = p.Data[:0] },
		"short":          func(p *Packet) { p.Data = p.Data[:synthLen6-1] },
		"not IPv6":       func(p *Packet) { p.Data[12] = 8 },
		"version 4":      func(p *Packet) { p.Data[14] = 0x45 },
		"not UDP":        func(p *Packet) { p.Data[20] = 6 },
		"length over":    func(p *Packet) { binary.BigEndian.PutUint16(p.Data[58:], 400) },
		"length under":   func(p *Packet) { binary.BigEndian.PutUint16(p.Data[58:], 7) },
		"foreign source": func(p *Packet) { copy(p.Data[22:], []byte{0x20, 1, 0xd, 0xb8, 7}) },
	} {
		if _, err := client.Write(message(300, 1)); err != nil {
			t.Fatal(err)
		}
		q, _ := recvOne6(t, conns)
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

// A relay's clients are shared by all sockets, each of them always the same one's.
func TestUDP6Steering(t *testing.T) {
	conns, client := openLoopback6(t, 3)
	count := [3]int{}
	const clients = 300
	at := [clients]int{}
	for round := range 2 {
		for i := range uint32(clients) {
			b := message(100, 0)
			b[0] = 12 // RELAY-FORW
			binary.BigEndian.PutUint32(b[30:], 0x0200_0000+i)
			if _, err := client.Write(b); err != nil {
				t.Fatal(err)
			}
			p, on := recvOne6(t, conns)
			conns[on].Release([]Packet{p})
			if round == 0 {
				at[i] = on
				count[on]++
			} else if at[i] != on {
				t.Fatalf("client %d met socket %d and then %d", i, at[i], on)
			}
		}
	}
	if m := max(count[0], count[1], count[2]); float64(m) > 1.3*clients/3 {
		t.Errorf("clients by socket: %v", count)
	}
	// What is too short to tell, or not relayed, arrives too.
	for _, b := range [][]byte{{}, {12}, {1, 0, 0, 1}} {
		if _, err := client.Write(b); err != nil {
			t.Fatal(err)
		}
		p, on := recvOne6(t, conns)
		conns[on].Release([]Packet{p})
	}
}

func TestUDP6ConnAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	conns, client := openLoopback6(t, 1)
	c := conns[0]
	msg := message(300, 1)
	fd := rawFD(t, client)
	var pkts [4]Packet
	got := 0
	n := testing.AllocsPerRun(200, func() {
		if _, err := unix.Write(fd, msg); err != nil {
			t.Fatal(err)
		}
		k := c.Recv(pkts[:])
		got += k
		c.Send(pkts[:k])
		c.Flush()
	})
	if n != 0 || got == 0 {
		t.Errorf("%v allocations a packet, %d packets", n, got)
	}
}

// rawFD is the descriptor of a connection, which must stay open.
func rawFD(t testing.TB, c *net.UDPConn) (fd int) {
	t.Helper()
	rc, err := c.SyscallConn()
	if err == nil {
		err = rc.Control(func(x uintptr) { fd = int(x) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestPktinfo6Short(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 15), make([]byte, 64), {16, 0, 0, 0, 0, 0, 0, 0, 41, 0, 0, 0, 50, 0, 0, 0}} {
		if _, _, ok := pktinfo6(b); ok {
			t.Errorf("%x: found something", b)
		}
	}
}
