package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// wire is a raw socket on the clients' end of the veth. One goroutine receives
// and hands every reply of the server to whoever waits for its transaction. Its
// methods may be called by any goroutine.
type wire struct {
	t   testing.TB
	b   *bed
	fd  int
	mac [6]byte // of the server's interface

	xid     atomic.Uint32
	replies atomic.Int64 // received in all
	stop    atomic.Bool
	done    chan struct{}

	mu      sync.Mutex
	waiting map[uint32]chan *netiotest.Answer
	bad     []string // replies that are not valid
	early   func(a *netiotest.Answer)
}

// newWire opens one until the test ends.
func (b *bed) newWire() *wire {
	b.t.Helper()
	w := &wire{t: b.t, b: b, fd: -1, mac: b.serverMAC(), done: make(chan struct{}), waiting: map[uint32]chan *netiotest.Answer{}}
	w.xid.Store(uint32(time.Now().UnixNano()))
	index := b.cli.Link(b.t, clientIf).Attrs().Index
	err := b.cli.In(func() (err error) {
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	set := func(level, opt, v int) {
		if err == nil {
			err = unix.SetsockoptInt(w.fd, level, opt, v)
		}
	}
	set(unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	set(unix.SOL_PACKET, unix.PACKET_AUXDATA, 1) // the outer VLAN tag, which the kernel takes out
	set(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	set(unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
	if err == nil {
		err = unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	}
	if err == nil {
		all := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})
		err = unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
	}
	if err != nil {
		b.t.Fatalf("open raw socket: %v", err)
	}
	go w.receive()
	b.t.Cleanup(w.close)
	return w
}

func (w *wire) close() {
	if w.stop.Swap(true) {
		return
	}
	<-w.done
	unix.Close(w.fd)
	for _, s := range w.bad {
		w.t.Errorf("the server sent something invalid: %s", s)
	}
}

// receive takes what comes until close.
func (w *wire) receive() {
	defer close(w.done)
	buf := make([]byte, 4096)
	oob := make([]byte, 128)
	for !w.stop.Load() {
		n, oobn, _, _, err := unix.Recvmsg(w.fd, buf[4:], oob, 0)
		if err != nil {
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
				continue
			}
			return
		}
		f := putTagBack(buf, n, oob[:oobn])
		var h frame.Headers
		if why := frame.Decode(f, &h); why != frame.ReasonOK || h.Family != 4 || h.SrcPort != dhcp4.ServerPort {
			if why == frame.ReasonOK || len(f) < 42 || f[23] != unix.IPPROTO_UDP {
				continue // ARP and whatever else the kernel says
			}
			w.note("frame: %v: %x", why, f)
			continue
		}
		a := &netiotest.Answer{Headers: h}
		msg := append([]byte(nil), f[h.PayloadOff:][:h.PayloadLen]...)
		if why := a.View.ParseReply(msg); why != dhcp4.ReasonOK {
			w.note("message: %v: %x", why, msg)
			continue
		}
		w.replies.Add(1)
		w.mu.Lock()
		if w.early != nil {
			w.early(a)
		}
		c := w.waiting[a.View.XID()]
		w.mu.Unlock()
		if c != nil {
			select {
			case c <- a:
			default: // more answers than anybody waits for
			}
		}
	}
}

func (w *wire) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.bad) < 5 {
		w.bad = append(w.bad, fmt.Sprintf(format, args...))
	}
}

// putTagBack restores the outer tag of the frame in buf[4:4+n].
func putTagBack(buf []byte, n int, oob []byte) []byte {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return buf[4 : 4+n]
	}
	for _, m := range msgs {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < 20 {
			continue
		}
		// struct tpacket_auxdata: status, len, snaplen, mac and net, vlan_tci, vlan_tpid.
		ne := binary.NativeEndian
		status, tci, tpid := ne.Uint32(m.Data[0:]), ne.Uint16(m.Data[16:]), ne.Uint16(m.Data[18:])
		if status&unix.TP_STATUS_VLAN_VALID == 0 {
			continue
		}
		if status&unix.TP_STATUS_VLAN_TPID_VALID == 0 {
			tpid = unix.ETH_P_8021Q
		}
		copy(buf[0:12], buf[4:16])
		binary.BigEndian.PutUint16(buf[12:], tpid)
		binary.BigEndian.PutUint16(buf[14:], tci)
		return buf[:4+n]
	}
	return buf[4 : 4+n]
}

// send puts a frame on the wire.
func (w *wire) send(f []byte) {
	for range 1000 {
		_, err := unix.Write(w.fd, f)
		if err == nil || errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENXIO) {
			return // a wire that is cut loses frames
		}
		if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			w.t.Errorf("send frame of %d octets: %v", len(f), err)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// post sends a query under a new transaction id; replies come on the channel
// until release is called.
func (w *wire) post(q *netiotest.Query) (replies <-chan *netiotest.Answer, release func()) {
	xid := w.xid.Add(1)
	c := make(chan *netiotest.Answer, 4)
	w.mu.Lock()
	w.waiting[xid] = c
	w.mu.Unlock()
	q.XID = xid
	if q.Out.DstMAC == netiotest.ServerMAC {
		q.Out.DstMAC = w.mac
	}
	w.send(q.Frame())
	return c, func() {
		w.mu.Lock()
		delete(w.waiting, xid)
		w.mu.Unlock()
	}
}

// once sends a query once and waits for its reply for d; nil if none comes.
func (w *wire) once(q *netiotest.Query, d time.Duration) *netiotest.Answer {
	c, release := w.post(q)
	defer release()
	select {
	case a := <-c:
		return a
	case <-time.After(d):
		return nil
	}
}

// ask sends a query as a client does, again and again, until its reply comes.
func (w *wire) ask(what string, q *netiotest.Query, types ...dhcp4.MsgType) *netiotest.Answer {
	w.t.Helper()
	a := w.tryAsk(q, patience)
	if a == nil {
		w.t.Fatalf("%s: no answer to %v of %x\n%s", what, q.Type, q.CHAddr[:6], w.b.why())
	}
	for _, t := range types {
		if a.View.Type() == t {
			return a
		}
	}
	if len(types) > 0 {
		w.t.Fatalf("%s: %v to %v, want %v\n%s", what, a.View.Type(), q.Type, types, dhcp4.AppendText(nil, a.View.Raw()))
	}
	return a
}

// tryAsk repeats the query every half second.
func (w *wire) tryAsk(q *netiotest.Query, d time.Duration) *netiotest.Answer {
	for deadline := time.Now().Add(d); time.Now().Before(deadline); {
		if a := w.once(q, min(500*time.Millisecond, time.Until(deadline))); a != nil {
			return a
		}
	}
	return nil
}

// silence fails if the query is answered.
func (w *wire) silence(what string, q *netiotest.Query) {
	w.t.Helper()
	if a := w.once(q, 300*time.Millisecond); a != nil {
		w.t.Fatalf("%s: %v was answered:\n%s", what, q.Type, dhcp4.AppendText(nil, a.View.Raw()))
	}
}

// lease does a whole exchange and returns the acknowledgement.
func (w *wire) lease(mac netiotest.MAC, opts ...netiotest.Option) *netiotest.Answer {
	w.t.Helper()
	o := w.ask("lease", netiotest.Discover(mac, opts...), dhcp4.MsgOffer)
	id, _ := o.View.ServerID()
	return w.ask("lease", netiotest.Request(mac, o.View.YIAddr(), id, opts...), dhcp4.MsgAck)
}

// why collects what the server says about packets it did not answer.
func (b *bed) why() string {
	if b.p == nil || b.p.ended() {
		return "the server does not run\n" + b.p.text()
	}
	s := ""
	for k, v := range b.metrics() {
		if v > 0 && (len(k) > 26 && k[:26] == "peregrine_packets_dropped_" || len(k) > 26 && k[:26] == "peregrine_xdp_packets_tota" ||
			len(k) > 26 && k[:26] == "peregrine_packets_received") {
			s += fmt.Sprintf("%s %v\n", k, v)
		}
	}
	text := b.p.text()
	return s + text[max(0, len(text)-3000):]
}

// modes are the ways packets come in that a veth has.
var modes = []struct{ configured, inUse string }{
	{"native", "native-copy"}, {"generic", "generic"}, {"socket", "packet"},
}

// eachMode runs a test for each of them, in parallel.
func eachMode(t *testing.T, f func(t *testing.T, b *bed, c *conf)) {
	for _, m := range modes {
		t.Run(m.configured, func(t *testing.T) {
			t.Parallel()
			if m.configured != "socket" {
				fastpathtest.RequireXDP(t)
			}
			b := newBed(t)
			f(t, b, b.newConf(m.configured))
		})
	}
}

func TestLeaseInEveryMode(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		b.startWith(c)
		if got := b.mode(); got != wantMode(c) {
			t.Errorf("served in mode %q, want %q", got, wantMode(c))
		}
		w := b.newWire()
		mac := netiotest.ClientMAC(1)
		a := w.lease(mac)
		if id, _ := a.View.ServerID(); id != serverIP {
			t.Errorf("server identifier %v", id)
		}
		l, ok := b.leases()[a.View.YIAddr().String()]
		if !ok || l.HW != macText(mac) || l.State != 0 || l.Subnet != 1 || l.Valid != 3600 {
			t.Errorf("lease %+v (found %v) of %s", l, ok, macText(mac))
		}
		b.p.terminate()
	})
}

func wantMode(c *conf) string {
	for _, m := range modes {
		if m.configured == c.dataplane["mode"] {
			return m.inUse
		}
	}
	return ""
}

func macText(m netiotest.MAC) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}
