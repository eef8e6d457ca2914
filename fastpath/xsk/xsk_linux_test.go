package xsk_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/fastpath/xsk"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

func TestMain(m *testing.M) { os.Exit(fastpathtest.Main(fastpathtest.NoLeaks(m.Run))) }

// echo answers every packet with its mirror image, some of them held.
type echo struct {
	n atomic.Uint64
	// holdEvery: every so-manieth reply waits for pos; 0 none.
	holdEvery int
	committed uint64 // greatest position given out
	durable   *atomic.Uint64
	wake      func()
}

func (e *echo) HandleBatch(pkts []netio.Packet, _ int64) {
	for i := range pkts {
		fastpathtest.Echo(pkts[i].Data)
		pkts[i].Action = netio.Send
		if e.holdEvery > 0 {
			e.committed++
			pkts[i].Action = netio.Hold
			pkts[i].CommitPos = e.committed / uint64(e.holdEvery)
		}
	}
	e.n.Add(uint64(len(pkts)))
}

func (e *echo) DurablePos() uint64 {
	if e.durable == nil {
		return 0
	}
	return e.durable.Load()
}
func (e *echo) Resume(func(*netio.Packet) bool, []netio.Packet, int64) int { return 0 }
func (e *echo) Attach(wake func())                                         { e.wake = wake }

// rig is a veth whose server end is answered by echoes over AF_XDP.
type rig struct {
	veth    *fastpathtest.Veth
	queues  []*xsk.Queue
	loops   []*netio.Loop
	echoes  []*echo
	stop    func()
	srv     [4]byte
	durable atomic.Uint64
}

type rigOptions struct {
	queues, sockets int
	flags           link.XDPAttachFlags
	hold            int
	frames, ring    int
	busyPollUs      int
	loop            netio.LoopOptions
}

func newRig(tb testing.TB, o rigOptions) *rig {
	tb.Helper()
	fastpathtest.RequireXDP(tb)
	r := &rig{veth: fastpathtest.NewVeth(tb, o.queues), srv: [4]byte{192, 0, 2, 1}}
	st := fastpathtest.NewSteer(tb, o.queues, o.sockets)
	l, err := link.AttachXDP(link.XDPOptions{Program: st.Program, Interface: int(r.veth.Server.Index), Flags: o.flags})
	if err != nil {
		tb.Fatalf("attach xdp: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for qi := range o.queues {
		q, err := xsk.Open(xsk.Options{IfIndex: r.veth.Server.Index, QueueID: uint32(qi), Sockets: o.sockets,
			Frames: o.frames, RingSize: o.ring, BusyPollUs: o.busyPollUs})
		if err != nil {
			tb.Fatalf("open queue %d: %v", qi, err)
		}
		if q.ZeroCopy() {
			tb.Errorf("zero-copy on a veth")
		}
		r.queues = append(r.queues, q)
		for i, s := range q.Sockets() {
			if err := st.XSKMap.Put(uint32(qi*o.sockets+i), uint32(s.FD())); err != nil {
				tb.Fatalf("put socket into xskmap: %v", err)
			}
			e := &echo{holdEvery: o.hold, durable: &r.durable}
			loop := netio.NewLoop(s, e, o.loop)
			r.echoes, r.loops = append(r.echoes, e), append(r.loops, loop)
			wg.Add(1)
			go func() {
				defer wg.Done()
				if err := loop.Run(ctx); err != nil {
					tb.Errorf("run loop: %v", err)
				}
			}()
		}
	}
	r.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		l.Close()
	})
	tb.Cleanup(func() {
		r.stop()
		for _, q := range r.queues {
			if err := q.Close(); err != nil {
				tb.Errorf("close queue: %v", err)
			}
		}
	})
	return r
}

// checkFrames stops the loops and counts the frames of every queue.
func (r *rig) checkFrames(tb testing.TB) {
	tb.Helper()
	r.stop()
	for i, q := range r.queues {
		if a := q.Account(); a.Missing != 0 {
			tb.Errorf("queue %d: frames are missing: %+v", i, a)
		}
	}
}

func (r *rig) stats() (s string) {
	for _, q := range r.queues {
		for _, c := range q.Sockets() {
			k, _ := c.Statistics()
			s += fmt.Sprintf("%+v %+v\n", c.ConnStats(), k)
		}
	}
	return s
}

// burst sends n frames of each client, no more than window unanswered, and
// checks the answers: bytes, once each, in order for each client.
func (r *rig) burst(t *testing.T, w *fastpathtest.Wire, clients, n, window int) {
	t.Helper()
	next := make([]uint32, clients)
	outstanding := 0
	recv := func() {
		f := w.Recv(t, fastpathtest.Patience)
		if f == nil {
			t.Fatalf("no answer with %d outstanding; %s", outstanding, r.stats())
		}
		client, seq := fastpathtest.ClientSeq(f)
		if int(client) >= clients || next[client] != seq {
			t.Fatalf("answer %d of client %d, want %d; %s", seq, client, next[client], r.stats())
		}
		next[client]++
		want := fastpathtest.Query(r.veth.Client.MAC, r.veth.Server.MAC, r.srv, [4]byte{10, 0, 0, 1}, client, seq)
		copy(want[42+24:], []byte{10, 0, 0, 1}) // giaddr is not mirrored
		binary.BigEndian.PutUint16(want[40:], binary.BigEndian.Uint16(f[40:]))
		if string(f) != string(want) {
			t.Fatalf("answer of client %d is\n%x, want\n%x", client, f, want)
		}
		outstanding--
	}
	for seq := range n {
		for client := range clients {
			w.Send(t, fastpathtest.Query(r.veth.Server.MAC, r.veth.Client.MAC, [4]byte{10, 0, 0, 1}, r.srv, uint32(client), uint32(seq)))
			for outstanding++; outstanding >= window; {
				recv()
			}
		}
	}
	for outstanding > 0 {
		recv()
	}
	if f := w.Recv(t, 20*time.Millisecond); f != nil {
		t.Errorf("one answer too many: %x", f)
	}
}

func TestEcho(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    rigOptions
	}{
		{"native", rigOptions{queues: 1, sockets: 1, flags: link.XDPDriverMode}},
		{"native shared", rigOptions{queues: 1, sockets: 2, flags: link.XDPDriverMode}},
		{"native queues", rigOptions{queues: 2, sockets: 2, flags: link.XDPDriverMode}},
		{"native hold", rigOptions{queues: 1, sockets: 2, flags: link.XDPDriverMode, hold: 1 << 30}},
		{"native few frames", rigOptions{queues: 1, sockets: 4, flags: link.XDPDriverMode, frames: 2048, ring: 256}},
		{"native smallest rings", rigOptions{queues: 1, sockets: 1, flags: link.XDPDriverMode, frames: 512, ring: 64}},
		{"native never spins", rigOptions{queues: 1, sockets: 2, flags: link.XDPDriverMode, loop: netio.LoopOptions{SpinNs: -1}}},
		{"native busy poll", rigOptions{queues: 1, sockets: 2, flags: link.XDPDriverMode, busyPollUs: 20}},
		{"generic", rigOptions{queues: 1, sockets: 1, flags: link.XDPGenericMode}},
		{"generic shared", rigOptions{queues: 1, sockets: 2, flags: link.XDPGenericMode}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, tc.o)
			w := fastpathtest.OpenWire(t, r.veth.Client)
			window := 64
			if tc.o.ring == 64 {
				window = 16
			}
			r.burst(t, w, 8, 2000, window)
			r.checkFrames(t)
			// Clients 0…7 are spread over the sockets by their number.
			if tc.o.queues == 1 {
				for i, e := range r.echoes {
					if got, want := e.n.Load(), uint64(8*2000/len(r.echoes)); got != want {
						t.Errorf("worker %d answered %d, want %d", i, got, want)
					}
				}
			}
		})
	}
}

// Replies wait until their position is durable, and then leave in order; the
// worker sleeps meanwhile and is woken by the commit.
func TestHold(t *testing.T) {
	r := newRig(t, rigOptions{queues: 1, sockets: 2, flags: link.XDPDriverMode, hold: 1})
	w := fastpathtest.OpenWire(t, r.veth.Client)
	const clients, each = 2, 1000
	for seq := range each {
		for c := range clients {
			w.Send(t, fastpathtest.Query(r.veth.Server.MAC, r.veth.Client.MAC, [4]byte{10, 0, 0, 1}, r.srv, uint32(c), uint32(seq)))
		}
		if seq%100 == 99 {
			// The veth's ring takes 256 frames.
			waitFor(t, func() bool { return r.echoes[0].n.Load()+r.echoes[1].n.Load() == uint64(clients*(seq+1)) })
		}
	}
	if f := w.Recv(t, 20*time.Millisecond); f != nil {
		t.Fatalf("reply left before its commit: %x", f)
	}
	held := r.loops[0].Stats().Held + r.loops[1].Stats().Held
	if held != clients*each {
		t.Fatalf("%d held, want %d", held, clients*each)
	}
	next := [clients]uint32{}
	for _, pos := range []uint64{10, 500, each} {
		r.durable.Store(pos)
		for _, e := range r.echoes {
			e.wake()
		}
		for next[0] < uint32(pos) || next[1] < uint32(pos) {
			f := w.Recv(t, fastpathtest.Patience)
			if f == nil {
				t.Fatalf("no reply at position %d: %v", pos, next)
			}
			c, seq := fastpathtest.ClientSeq(f)
			if seq != next[c] || seq >= uint32(pos) {
				t.Fatalf("reply %d of client %d at position %d, want %d", seq, c, pos, next[c])
			}
			next[c]++
		}
	}
	r.checkFrames(t)
}

// A flood that nobody paces loses packets, but never frames.
func TestFloodLeaksNothing(t *testing.T) {
	r := newRig(t, rigOptions{queues: 1, sockets: 2, flags: link.XDPDriverMode, frames: 2048, ring: 512})
	w := fastpathtest.OpenWire(t, r.veth.Client)
	for i := range 30_000 {
		w.Send(t, fastpathtest.Query(r.veth.Server.MAC, r.veth.Client.MAC, [4]byte{10, 0, 0, 1}, r.srv, uint32(i%7), uint32(i)))
	}
	got := 0
	for w.Recv(t, 50*time.Millisecond) != nil {
		got++
	}
	if got == 0 {
		t.Fatal("no answer at all")
	}
	var rx, tx, dropped uint64
	for _, q := range r.queues {
		for _, s := range q.Sockets() {
			st := s.ConnStats()
			rx, tx, dropped = rx+st.RxPackets, tx+st.TxPackets, dropped+st.RxDropped
		}
	}
	if tx != rx {
		t.Errorf("received %d, sent %d", rx, tx)
	}
	t.Logf("30000 sent, %d received, %d dropped by AF_XDP, %d answers", rx, dropped, got)
	// Frames the kernel had in hand for packets it then dropped stay with it,
	// to be used first: at most one for each.
	r.stop()
	for _, q := range r.queues {
		if a := q.Account(); a.Missing < 0 || uint64(a.Missing) > dropped {
			t.Errorf("frames are missing: %+v, %d dropped", a, dropped)
		}
	}
	// The rest is still usable.
}

func TestAllocAndRelease(t *testing.T) {
	fastpathtest.RequireXDP(t)
	v := fastpathtest.NewVeth(t, 1)
	q, err := xsk.Open(xsk.Options{IfIndex: v.Server.Index, Sockets: 2, Copy: xsk.CopyOnly, Frames: 1024, RingSize: 256})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	w := fastpathtest.OpenWire(t, v.Client)
	owner, other := q.Sockets()[0], q.Sockets()[1]
	frame := fastpathtest.Query(v.Client.MAC, v.Server.MAC, [4]byte{192, 0, 2, 1}, [4]byte{10, 0, 0, 1}, 1, 7)
	// The other worker sends far more than its own frames: gifts keep it going.
	sent := 0
	for range 1000 {
		var p netio.Packet
		if !other.Alloc(&p) {
			owner.Recv(nil)
			if !other.Alloc(&p) {
				t.Fatalf("no frame after %d sent", sent)
			}
		}
		p.Data = append(p.Data, frame...)
		other.Send([]netio.Packet{p})
		other.Flush()
		if f := w.Recv(t, fastpathtest.Patience); string(f) != string(frame) {
			t.Fatalf("frame %d arrived as %x", sent, f)
		}
		sent++
	}
	// Everything at once, until there is none left, and back.
	for _, s := range q.Sockets() {
		var lent []netio.Packet
		var p netio.Packet
		for s.Alloc(&p) {
			lent = append(lent, p)
		}
		if len(lent) < 32 || s.ConnStats().NoFrame == 0 {
			t.Errorf("socket lent %d frames, NoFrame %d", len(lent), s.ConnStats().NoFrame)
		}
		s.Release(lent)
		owner.Recv(nil)
	}
	// What is no frame is dropped and the loan still ends.
	var p netio.Packet
	if !owner.Alloc(&p) {
		t.Fatal("no frame")
	}
	p.Data = make([]byte, 100)
	before := owner.ConnStats().TxDropped
	owner.Send([]netio.Packet{p})
	if got := owner.ConnStats().TxDropped - before; got != 1 {
		t.Errorf("foreign memory: TxDropped moved by %d", got)
	}
	owner.Recv(nil)
	if a := q.Account(); a.Missing != 0 {
		t.Errorf("frames are missing: %+v", a)
	}
}

func TestWrongQueue(t *testing.T) {
	fastpathtest.RequireXDP(t)
	v := fastpathtest.NewVeth(t, 1)
	if q, err := xsk.Open(xsk.Options{IfIndex: v.Server.Index, QueueID: 5, Copy: xsk.CopyOnly}); !errors.Is(err, unix.EINVAL) {
		t.Errorf("queue 5 of 1: %v, %v", q, err)
	}
	if n, err := xsk.RXQueues(v.Server.Name); err != nil || n != 1 {
		t.Errorf("RXQueues is %d, %v", n, err)
	}
	if _, err := xsk.RXQueues("no-such-dev"); err == nil {
		t.Error("RXQueues of no device has no error")
	}
	if q, err := xsk.Open(xsk.Options{IfIndex: v.Server.Index, Copy: xsk.ZeroCopyOnly}); err == nil {
		q.Close()
		t.Error("zero-copy on a veth")
	}
	// A second UMEM on the same queue is refused by the kernel.
	q, err := xsk.Open(xsk.Options{IfIndex: v.Server.Index, Copy: xsk.CopyOnly})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if q2, err := xsk.Open(xsk.Options{IfIndex: v.Server.Index}); !errors.Is(err, unix.EBUSY) {
		t.Errorf("same queue twice: %v, %v", q2, err)
	}
}

// The device goes away under running workers; they go on sleeping and end when
// told to.
func TestDeviceVanishes(t *testing.T) {
	r := newRig(t, rigOptions{queues: 1, sockets: 2, flags: link.XDPDriverMode})
	w := fastpathtest.OpenWire(t, r.veth.Client)
	r.burst(t, w, 2, 10, 4)
	r.veth.Delete(t)
	waitFor(t, func() bool { return r.loops[0].Stats().Sleeps > 0 })
	done := make(chan struct{})
	go func() { r.stop(); close(done) }()
	select {
	case <-done:
	case <-time.After(fastpathtest.Patience):
		t.Fatal("loops do not end")
	}
}

func waitFor(tb testing.TB, ok func() bool) {
	tb.Helper()
	deadline := time.Now().Add(fastpathtest.Patience)
	for !ok() {
		if time.Now().After(deadline) {
			tb.Fatalf("condition not reached in %v", fastpathtest.Patience)
		}
		time.Sleep(time.Millisecond)
	}
}
