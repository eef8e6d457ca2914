package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// attackFor makes TestGarbage go on for longer than a test run has time for.
var attackFor = flag.Duration("attack", 0, "how long TestGarbage lasts at least")

// attacker makes frames that no honest client sends.
type attacker struct {
	r   *rand.Rand
	mac [6]byte // the server's
}

func (a *attacker) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(a.r.Uint32())
	}
	return b
}

// stranger is a hardware address that never comes again.
func (a *attacker) stranger() (m netiotest.MAC) {
	copy(m[:], a.bytes(6))
	m[0] = m[0]&^1 | 2
	return m
}

// any is a message of any type and state, well formed.
func (a *attacker) any() *netiotest.Query {
	mac, addr := a.stranger(), dhcp4.IPv4(0x0A4D0100+a.r.Uint32N(4096))
	var q *netiotest.Query
	switch a.r.IntN(9) {
	case 0:
		q = netiotest.Request(mac, addr, serverIP+9) // another server's
	case 1:
		q = netiotest.InitReboot(mac, 0xC0A80000+dhcp4.IPv4(a.r.Uint32N(65536)))
	case 2:
		q = netiotest.Inform(mac, addr)
	case 3:
		q = netiotest.Discover(mac, netiotest.Relayed(relayIP, serverIP), netiotest.WithRAI(a.bytes(20), a.bytes(20)))
	case 4:
		q = netiotest.Discover(mac, netiotest.VLAN(7))
	default:
		q = netiotest.Discover(mac)
	}
	if q.Out.DstMAC == netiotest.ServerMAC {
		q.Out.DstMAC = a.mac
	}
	q.XID = a.r.Uint32()
	return q
}

// bomb is a message full of options.
func (a *attacker) bomb() []byte {
	q := a.any()
	m := q.Message()[:240]
	room := 1200
	put := func(code byte, data []byte) {
		m = append(append(m, code, byte(len(data))), data...)
		room -= 2 + len(data)
	}
	put(dhcp4.OptMessageType, []byte{1})
	switch a.r.IntN(7) {
	case 0: // as many empty options as fit
		for room > 4 {
			put(byte(1+a.r.IntN(253)), nil)
		}
	case 1: // one option in hundreds of pieces (RFC 3396)
		for room > 6 {
			put(dhcp4.OptClientIdentifier, a.bytes(3))
		}
	case 2: // the whole space overloaded, and options that run out of it
		put(52, []byte{3})
		copy(m[44:236], bytes.Repeat([]byte{12, 255}, 96))
	case 3: // agent information that says it is longer than it is
		put(dhcp4.OptRelayAgentInformation, bytes.Repeat([]byte{1, 255}, 100))
	case 4: // every option asked for, many times
		for room > 258 {
			all := make([]byte, 255)
			for i := range all {
				all[i] = byte(i)
			}
			put(dhcp4.OptParameterRequestList, all)
		}
	case 5: // names and addresses that are none
		put(12, a.bytes(255))
		put(81, a.bytes(255))
		put(60, bytes.Repeat([]byte{0}, 255))
		put(50, a.bytes(a.r.IntN(9)))
		put(57, a.bytes(2))
	case 6: // nothing but padding, and no end
		m = append(m, make([]byte, room)...)
		return netiotest.Frame(&q.Out, m)
	}
	return netiotest.Frame(&q.Out, append(m, dhcp4.OptEnd))
}

// frame is one frame of the attack.
func (a *attacker) frame() []byte {
	switch a.r.IntN(8) {
	case 0: // noise
		f := a.bytes(14 + a.r.IntN(1486))
		copy(f, a.mac[:])
		if a.r.IntN(2) == 0 {
			f[12], f[13] = 8, 0
		}
		return f
	case 1: // noise in a good datagram
		q := a.any()
		return netiotest.Frame(&q.Out, a.bytes(a.r.IntN(1400)))
	case 2: // a good frame with some wrong octets: lengths, checksums, anything
		f := a.any().Frame()
		for range 1 + a.r.IntN(6) {
			f[12+a.r.IntN(len(f)-12)] = byte(a.r.Uint32())
		}
		return f
	case 3: // a wrong message in a good frame
		q := a.any()
		m := q.Message()
		for range 1 + a.r.IntN(6) {
			m[a.r.IntN(len(m))] = byte(a.r.Uint32())
		}
		return netiotest.Frame(&q.Out, m)
	case 4: // cut short
		f := a.any().Frame()
		return f[:14+a.r.IntN(len(f)-14)]
	case 5: // a long frame with a short message
		return append(a.any().Frame(), a.bytes(a.r.IntN(900))...)
	case 6:
		return a.bomb()
	}
	return a.any().Frame()
}

// ledger checks that every packet is accounted for, as soon as nothing is under
// way any more: those the workers received, and with xdp the frames sent, too.
func (b *bed) ledger(frames float64, xdp bool) {
	b.t.Helper()
	var text string
	balanced := func() bool {
		m := b.metrics()
		steered := m.sum("peregrine_xdp_packets_total", `reason="steered"`)
		exits := m.sum("peregrine_xdp_packets_total")
		rx := m.sum("peregrine_worker_received_packets_total")
		xskRx := rx - m.sum("peregrine_worker_received_packets_total", "packet.")
		xskLost := m.sum("peregrine_ring_dropped_packets_total", `kind="rx"`) - m.sum("peregrine_ring_dropped_packets_total", "packet.", `kind="rx"`) +
			m.sum("peregrine_ring_dropped_packets_total", `kind="invalid"`) - m.sum("peregrine_ring_dropped_packets_total", "packet.", `kind="invalid"`)
		received := m.sum("peregrine_statistic_total", `name="pkt4-received"`)
		dropped := m.sum("peregrine_packets_dropped_total")
		sent := m.sum("peregrine_packets_sent_total")
		text = fmt.Sprintf("frames sent %v, XDP exits %v, steered %v; workers received %v (AF_XDP %v, lost at the rings %v); DHCP received %v = sent %v + dropped %v",
			frames, exits, steered, rx, xskRx, xskLost, received, sent, dropped)
		if received != sent+dropped || received != rx {
			return false
		}
		return !xdp || steered == xskRx+xskLost && exits >= frames-float64(b.lost()) && exits <= frames+50
	}
	for deadline := time.Now().Add(patience); !balanced(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Errorf("packets are not accounted for: %s\n%s", text, b.why())
			return
		}
	}
	b.t.Log(text)
}

// TestGarbage: whatever is on the wire, the server stays up, its memory stays
// what it was, honest clients are served, and every packet is counted once.
func TestGarbage(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		c.dhcp4["option-data"] = []any{
			object{"name": "domain-name", "data": "example.net"}, object{"name": "domain-name-servers", "data": "10.77.0.1, 10.77.0.3"},
		}
		b.startWith(c)
		w := b.newWire()
		honest := netiotest.ClientMAC(1)
		addr := w.lease(honest).View.YIAddr()
		seed := testSeed(t)
		a := &attacker{r: rand.New(rand.NewPCG(seed, 1)), mac: w.mac}
		before := 0
		rounds, perRound := 5, 20_000
		if testing.Short() {
			perRound = 3000
		}
		began, round := time.Now(), 0
		for ; round < rounds || time.Since(began) < *attackFor; round++ {
			for i := range perRound {
				w.send(a.frame())
				if i%512 == 0 {
					time.Sleep(time.Millisecond) // not faster than the ring is long
				}
			}
			w.ask(fmt.Sprintf("renewal after round %d", round), netiotest.Renew(honest, addr, serverIP), dhcp4.MsgAck)
			if b.p.ended() {
				t.Fatalf("the server ended; seed %d\n%s", seed, b.p.text())
			}
			if round == 1 {
				before = rssKiB(t, b.p.pid())
			}
		}
		after := rssKiB(t, b.p.pid())
		t.Logf("resident memory %d KiB after 2 rounds, %d KiB after %d", before, after, round)
		if after > before+48<<10 {
			t.Errorf("resident memory grew from %d to %d KiB", before, after)
		}
		if n := b.logs(`(panic|goroutine \d|ERROR|FATAL)`); n > 0 {
			t.Errorf("%d lines of trouble in the log\n%s", n, b.p.text())
		}
		m := b.metrics()
		if n := m.sum("peregrine_packets_dropped_total"); n < float64(perRound)/10 {
			t.Errorf("only %v packets dropped by the server: the attack does not reach it", n)
		}
		b.ledger(0, false)
		new := w.lease(netiotest.ClientMAC(2)).View.YIAddr()
		if new == addr {
			t.Errorf("two clients have %v", addr)
		}
		b.p.terminate()
	})
}

// TestLedger: without losses on the way, frames sent, packets steered by XDP,
// received by workers, answered and dropped add up exactly.
func TestLedger(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		b.startWith(c)
		w := b.newWire()
		a := &attacker{r: rand.New(rand.NewPCG(testSeed(t), 2)), mac: w.mac}
		const frames = 5000
		for i := range frames {
			w.send(a.frame())
			if i%64 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		b.ledger(frames, c.dataplane["mode"] != "socket")
		b.p.terminate()
	})
}

// TestPoolExhaustion: thousands of made-up clients ask for addresses of a small
// pool. Who has a lease keeps it, and a new client is served, while they ask.
func TestPoolExhaustion(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		c.subnet["pools"] = []any{object{"pool": "10.77.1.0 - 10.77.1.63"}}
		b.startWith(c)
		w := b.newWire()
		honest := netiotest.ClientMAC(1)
		addr := w.lease(honest).View.YIAddr()
		a := &attacker{r: rand.New(rand.NewPCG(testSeed(t), 3)), mac: w.mac}
		var stop atomic.Bool
		sent, done := 0, make(chan struct{})
		go func() {
			defer close(done)
			for ; !stop.Load(); sent++ {
				w.send(netiotest.Discover(a.stranger()).Frame())
				if sent%16 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}()
		defer func() {
			stop.Store(true)
			<-done
		}()
		until(t, "the flood to be felt", func() bool {
			return b.metrics().sum("peregrine_pool_addresses", `state="offered"`) >= 60
		})
		owners := map[dhcp4.IPv4]netiotest.MAC{addr: honest}
		for i := range uint32(40) {
			mac := netiotest.ClientMAC(100 + i)
			// Another's REQUEST may be faster, as with any server: then start again.
			var ack *netiotest.Answer
			until(t, fmt.Sprintf("new client %d of a flooded pool to be served", i), func() bool {
				o := w.once(netiotest.Discover(mac), time.Second)
				if o == nil {
					return false
				}
				ack = w.once(netiotest.Request(mac, o.View.YIAddr(), serverIP), time.Second)
				return ack != nil && ack.View.Type() == dhcp4.MsgAck
			})
			got := ack.View.YIAddr()
			if by, taken := owners[got]; taken {
				t.Fatalf("%v of %s was given to %s", got, macText(by), macText(mac))
			}
			owners[got] = mac
			if i%10 == 0 {
				w.ask("renewal in a flooded pool", netiotest.Renew(honest, addr, serverIP), dhcp4.MsgAck)
			}
		}
		stop.Store(true)
		<-done
		if got := len(b.leases()); got < len(owners) {
			t.Errorf("%d leases of %d clients", got, len(owners))
		}
		for a, mac := range owners {
			if l := b.leases()[a.String()]; l.HW != macText(mac) || l.State != 0 {
				t.Errorf("lease %v of %s is %+v", a, macText(mac), l)
			}
		}
		// When every address is leased, a newcomer gets silence and a count.
		for i := uint32(0); len(owners) < 64; i++ {
			mac := netiotest.ClientMAC(500 + i)
			owners[w.lease(mac).View.YIAddr()] = mac
		}
		w.silence("full pool", netiotest.Discover(netiotest.ClientMAC(999)))
		if n := b.metrics().sum("peregrine_packets_dropped_total", `reason="pool-exhausted"`); n < 1 {
			t.Errorf("pool-exhausted is %v", n)
		}
		t.Logf("%d DISCOVERs of strangers", sent)
	})
}

// TestHostileControlClients: they hold connections, send slowly, send too much,
// read nothing. DHCP does not notice, and the channel works again.
func TestHostileControlClients(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.startWith(b.newConf("auto"))
	w := b.newWire()
	mac := netiotest.ClientMAC(1)
	addr := w.lease(mac).View.YIAddr()
	dial := func() net.Conn {
		c, err := (&net.Dialer{Timeout: patience}).Dial("unix", b.socket)
		if err != nil {
			return nil // refused: that is an answer, too
		}
		return c
	}
	serves := func(what string) {
		t.Helper()
		if a := w.once(netiotest.Renew(mac, addr, serverIP), patience); a == nil || a.View.Type() != dhcp4.MsgAck {
			t.Errorf("%s: a renewal is not answered\n%s", what, b.why())
		}
	}
	// What the Go heap has had from the system: resident memory holds the race
	// detector's as well, which is several times that.
	heapMiB := func() int { return int(b.metrics().sum("go_memstats_heap_sys_bytes")) >> 20 }
	before := heapMiB()

	// Too large, in every shape.
	for _, junk := range []struct {
		what, head, body string
		n                int
	}{
		{"a huge string", `{ "command": "`, strings.Repeat("x", 1<<20), 200},
		{"brackets", "", strings.Repeat("[", 1<<20), 20},
		{"white space", "", strings.Repeat(" ", 1<<20), 200},
		{"noise", "\x00\xff\xfe", strings.Repeat("\x80", 1<<20), 20},
	} {
		c := dial()
		if c == nil {
			t.Fatalf("%s: no connection", junk.what)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err := io.WriteString(c, junk.head)
		for i := 0; i < junk.n && err == nil; i++ {
			_, err = io.WriteString(c, junk.body)
		}
		answer, _ := io.ReadAll(io.LimitReader(c, 1<<20))
		c.Close()
		if err == nil && !bytes.Contains(answer, []byte(`"result"`)) {
			t.Errorf("%s: taken without a word: %.100q", junk.what, answer)
		}
		serves(junk.what)
		b.command("version-get", nil, nil)
	}

	// More connections than there are places, none of which says anything.
	var idle []net.Conn
	for range 200 {
		if c := dial(); c != nil {
			idle = append(idle, c)
			_, _ = io.WriteString(c, "{")
		}
	}
	serves("idle control clients")
	began := time.Now()
	until(t, "a command to get through idle clients", func() bool {
		c := control.Client{Target: b.socket, Timeout: 2 * time.Second}
		_, err := c.Do(context.Background(), "version-get", nil)
		return err == nil
	})
	t.Logf("a command got through %d idle connections after %v", len(idle), time.Since(began).Round(time.Millisecond))
	for _, c := range idle {
		c.Close()
	}
	b.command("version-get", nil, nil)

	// Asked for much, read nothing.
	for range 30 {
		if c := dial(); c != nil {
			_, _ = io.WriteString(c, `{ "command": "statistic-get-all" }`)
			defer c.Close()
		}
	}
	serves("control clients that read nothing")
	fds := func() int {
		l, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.p.pid()))
		if err != nil {
			t.Fatal(err)
		}
		return len(l)
	}
	until(t, "connections to be closed", func() bool { return fds() < 100 })
	if after := heapMiB(); before == 0 || after > before+600 {
		t.Errorf("the heap grew from %d to %d MiB", before, after)
	} else {
		t.Logf("heap of %d MiB before, %d MiB after", before, after)
	}
	b.p.terminate()
}
