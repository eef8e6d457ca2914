package netio

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

// fakeConn is a Conn in one goroutine that keeps book of its frames by Token.
type fakeConn struct {
	t       testing.TB
	rx      []uint64 // frames to receive
	lent    map[uint64]bool
	sent    []uint64
	freed   []uint64
	flushes int
	waits   []int64
	woken   int
	onWait  func(timeoutNs int64)
	next    uint64
	buf     [64]byte
	quiet   bool // keep no book, so that nothing is allocated
}

func newFakeConn(t testing.TB) *fakeConn { return &fakeConn{t: t, lent: map[uint64]bool{}} }

func (c *fakeConn) inject(n int) {
	for range n {
		c.rx = append(c.rx, c.next)
		c.next++
	}
}

func (c *fakeConn) Recv(pkts []Packet) int {
	n := min(len(pkts), len(c.rx))
	for i := range n {
		pkts[i] = Packet{Data: c.buf[:], Token: c.rx[i]}
		if !c.quiet {
			c.lent[c.rx[i]] = true
		}
	}
	c.rx = c.rx[n:]
	return n
}

func (c *fakeConn) Alloc(p *Packet) bool {
	*p = Packet{Data: c.buf[:0], Token: c.next}
	if !c.quiet {
		c.lent[c.next] = true
	}
	c.next++
	return true
}

func (c *fakeConn) end(p *Packet) {
	if !c.lent[p.Token] {
		c.t.Errorf("loan of frame %d ended twice", p.Token)
	}
	delete(c.lent, p.Token)
}

func (c *fakeConn) Send(pkts []Packet) {
	for i := range pkts {
		if !c.quiet {
			c.end(&pkts[i])
			c.sent = append(c.sent, pkts[i].Token)
		}
	}
}

func (c *fakeConn) Release(pkts []Packet) {
	for i := range pkts {
		if !c.quiet {
			c.end(&pkts[i])
			c.freed = append(c.freed, pkts[i].Token)
		}
	}
}

func (c *fakeConn) Flush() { c.flushes++ }
func (c *fakeConn) Wait(timeoutNs int64) {
	c.waits = append(c.waits, timeoutNs)
	if c.onWait != nil {
		c.onWait(timeoutNs)
	}
}
func (c *fakeConn) Wake()                { c.woken++ }
func (c *fakeConn) ConnStats() ConnStats { return ConnStats{} }
func (c *fakeConn) Close() error         { return nil }

// funcHandler is a Handler of functions.
type funcHandler struct {
	decide  func(*Packet)
	durable uint64
	resume  func(alloc func(*Packet) bool, out []Packet) int
	wake    func()
	nowNs   int64
}

func (h *funcHandler) HandleBatch(pkts []Packet, nowUnixNs int64) {
	h.nowNs = nowUnixNs
	for i := range pkts {
		h.decide(&pkts[i])
	}
}
func (h *funcHandler) DurablePos() uint64 { return h.durable }
func (h *funcHandler) Resume(alloc func(*Packet) bool, out []Packet, _ int64) int {
	if h.resume == nil {
		return 0
	}
	return h.resume(alloc, out)
}
func (h *funcHandler) Attach(wake func()) { h.wake = wake }

// Random decisions against a slow twin: what is sent, in which order, and that
// every frame ends exactly once.
func TestLoopAgainstTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	const maxHeld, holdTimeoutNs = 256, 1000
	c := newFakeConn(t)
	type held struct {
		token, pos uint64
		since      int64
	}
	var queue []held
	var sent, freed []uint64
	var overflow, timeouts, total uint64
	pos, now, stalledTo := uint64(0), int64(1), int64(0)
	decide := func(p *Packet) {
		total++
		switch rnd.IntN(3) {
		case 0:
			p.Action = Drop
			freed = append(freed, p.Token)
		case 1:
			p.Action = Send
			sent = append(sent, p.Token)
		default:
			pos += uint64(rnd.IntN(2))
			p.Action, p.CommitPos = Hold, pos
			if len(queue) == maxHeld {
				overflow++
				freed = append(freed, p.Token)
			} else {
				queue = append(queue, held{p.Token, pos, now})
			}
		}
	}
	h := &funcHandler{decide: decide}
	h.resume = func(alloc func(*Packet) bool, out []Packet) int {
		n := rnd.IntN(4)
		for i := range n {
			if !alloc(&out[i]) {
				t.Fatal("no frame")
			}
			decide(&out[i])
		}
		return n
	}
	l := NewLoop(c, h, LoopOptions{MaxHeld: maxHeld, HoldTimeoutNs: holdTimeoutNs})
	for range 5000 {
		now += int64(rnd.IntN(100))
		c.inject(rnd.IntN(100))
		if now > stalledTo && rnd.IntN(60) == 0 {
			stalledTo = now + int64(rnd.IntN(2*holdTimeoutNs)) // the disk stalls
		}
		if now > stalledTo && rnd.IntN(3) > 0 && h.durable < pos {
			h.durable += rnd.Uint64N(pos - h.durable + 1)
		}
		sent, freed = sent[:0], freed[:0]
		c.sent, c.freed = c.sent[:0], c.freed[:0]
		l.turn(now)
		for len(queue) > 0 {
			q := queue[0]
			if q.pos <= h.durable {
				sent = append(sent, q.token)
			} else if now-q.since > holdTimeoutNs {
				freed = append(freed, q.token)
				timeouts++
			} else {
				break
			}
			queue = queue[1:]
		}
		if !equal(c.sent, sent) || !equalSet(c.freed, freed) {
			t.Fatalf("sent %v, want %v; released %v, want %v", c.sent, sent, c.freed, freed)
		}
		if len(c.lent) != len(queue) {
			t.Fatalf("%d frames on loan, %d held", len(c.lent), len(queue))
		}
	}
	st := l.Stats()
	if st.HoldOverflow != overflow || st.HoldTimeouts != timeouts || st.Held != uint64(len(queue)) ||
		st.Sent+st.Dropped+st.Held+st.HoldTimeouts+st.HoldOverflow != total || st.Packets+st.Resumed != total {
		t.Errorf("stats are %+v; want overflow %d, timeouts %d, held %d, total %d", st, overflow, timeouts, len(queue), total)
	}
	if overflow == 0 || timeouts == 0 {
		t.Errorf("not tried: overflow %d, timeouts %d", overflow, timeouts)
	}
}

func equal(a, b []uint64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func equalSet(a, b []uint64) bool {
	m := map[uint64]int{}
	for _, x := range a {
		m[x]++
	}
	for _, x := range b {
		m[x]--
	}
	for _, n := range m {
		if n != 0 {
			return false
		}
	}
	return true
}

// A handler whose positions go backwards is held in line instead of breaking the
// promise for its earlier replies.
func TestLoopKeepsPositionsOrdered(t *testing.T) {
	c := newFakeConn(t)
	poss := []uint64{5, 3, 7}
	h := &funcHandler{decide: func(p *Packet) { p.Action, p.CommitPos = Hold, poss[p.Token] }}
	l := NewLoop(c, h, LoopOptions{})
	c.inject(3)
	h.durable = 4
	l.turn(1)
	if len(c.sent) != 0 {
		t.Errorf("sent %v at 4", c.sent)
	}
	h.durable = 5
	l.turn(2)
	if !equal(c.sent, []uint64{0, 1}) {
		t.Errorf("sent %v at 5, want 0 and 1", c.sent)
	}
}

// While a reply is held the loop does not poll and sleeps no longer than the
// reply may wait; with nothing held it polls for SpinNs before it sleeps.
func TestLoopWaits(t *testing.T) {
	c := newFakeConn(t)
	now := int64(1000)
	turns := 0
	h := &funcHandler{decide: func(p *Packet) { p.Action, p.CommitPos = Hold, 1 }}
	h.resume = func(func(*Packet) bool, []Packet) int { turns++; now += 100; return 0 }
	ctx, cancel := context.WithCancel(context.Background())
	l := NewLoop(c, h, LoopOptions{SpinNs: 1000, HoldTimeoutNs: 50_000, DrainNs: -1, Now: func() int64 { return now }})
	c.inject(1)
	var turnsAt []int
	c.onWait = func(timeoutNs int64) {
		turnsAt = append(turnsAt, turns)
		now += timeoutNs
		if len(c.waits) == 3 {
			cancel()
			for !l.stop.Load() {
				time.Sleep(time.Millisecond) // context.AfterFunc has its own goroutine
			}
		}
	}
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if turnsAt[0] > 3 {
		t.Errorf("%d turns before the first sleep with a reply held, want no polling", turnsAt[0])
	}
	// The first sleep is with the reply held, the second after it was given up.
	if n := turnsAt[1] - turnsAt[0]; n < 11 || n > 14 {
		t.Errorf("turns %v: %d of 100 ns before the first sleep with nothing held, want about 12 to poll 1000 ns", turnsAt, n)
	}
	if w := c.waits[0]; w <= 0 || w > 50_001 {
		t.Errorf("first sleep is %d ns with a reply that may wait 50000", w)
	}
	if w := c.waits[2]; w != maxWaitNs {
		t.Errorf("sleep with nothing held is %d, want %d", w, int64(maxWaitNs))
	}
	if st := l.Stats(); st.HoldTimeouts != 1 || st.Sleeps != 3 {
		t.Errorf("stats are %+v", st)
	}
	if len(c.lent) != 0 {
		t.Errorf("frames on loan after Run: %v", c.lent)
	}
}

// Ending, the loop still sends what becomes durable in time and gives back the
// rest.
func TestLoopDrains(t *testing.T) {
	c := newFakeConn(t)
	now := int64(0)
	ctx, cancel := context.WithCancel(context.Background())
	h := &funcHandler{decide: func(p *Packet) { p.Action, p.CommitPos = Hold, p.Token+1 }}
	l := NewLoop(c, h, LoopOptions{SpinNs: -1, DrainNs: 10_000_000, Now: func() int64 { return now }})
	c.inject(10)
	c.onWait = func(timeoutNs int64) {
		now += timeoutNs
		if !l.stop.Load() {
			cancel()
			for !l.stop.Load() {
				time.Sleep(time.Millisecond)
			}
			return
		}
		if h.durable < 6 {
			h.durable += 2 // commits while the loop drains
		}
	}
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if !equal(c.sent, []uint64{0, 1, 2, 3, 4, 5}) || len(c.freed) != 4 || len(c.lent) != 0 {
		t.Errorf("sent %v, released %v, on loan %v", c.sent, c.freed, c.lent)
	}
	if st := l.Stats(); st.HoldAbandoned != 4 || st.Held != 0 {
		t.Errorf("stats are %+v", st)
	}
}

func TestLoopAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c := newFakeConn(t)
	c.quiet = true
	h := &funcHandler{}
	h.decide = func(p *Packet) { p.Action, p.CommitPos = Action(p.Token%3), p.Token/64 }
	h.resume = func(alloc func(*Packet) bool, out []Packet) int {
		alloc(&out[0])
		h.decide(&out[0])
		return 1
	}
	l := NewLoop(c, h, LoopOptions{})
	rx := make([]uint64, BatchSize)
	now := int64(0)
	if n := testing.AllocsPerRun(500, func() {
		for i := range rx {
			rx[i] = c.next
			c.next++
		}
		c.rx = rx
		h.durable = c.next/64 - 2
		now++
		l.turn(now)
	}); n != 0 {
		t.Errorf("%v allocations per turn", n)
	}
	if st := l.Stats(); st.Held == 0 || st.Sent == 0 || st.Dropped == 0 {
		t.Errorf("not everything was tried: %+v", st)
	}
}

func TestPinToNoCPU(t *testing.T) {
	l := NewLoop(newFakeConn(t), &funcHandler{}, LoopOptions{Affinity: []int{1 << 9}})
	if err := l.Run(context.Background()); err == nil {
		t.Error("pinned to a CPU that does not exist")
	}
}

func TestPrefix4Broadcast(t *testing.T) {
	for _, tc := range []struct {
		p    Prefix4
		want uint32
		ok   bool
	}{
		{Prefix4{0xC0000201, 24}, 0xC00002FF, true},
		{Prefix4{0xC0000201, 30}, 0xC0000203, true},
		{Prefix4{0xC0000201, 0}, 0xFFFFFFFF, true},
		{Prefix4{0xC0000201, 31}, 0, false},
		{Prefix4{0xC0000201, 32}, 0, false},
	} {
		if got, ok := tc.p.Broadcast(); got != tc.want || ok != tc.ok {
			t.Errorf("%+v: %#x %t, want %#x %t", tc.p, got, ok, tc.want, tc.ok)
		}
	}
}

func TestSpinAdapts(t *testing.T) {
	s := spinner{maxNs: 20_000, ns: 20_000}
	for range 5 {
		s.missed()
	}
	if s.ns != 0 {
		t.Errorf("after polling in vain five times it still polls %d ns", s.ns)
	}
	probes := 0
	for range 64 {
		if s.missed(); s.ns > 0 {
			probes++
			s.ns = 0
		}
	}
	if probes != 4 {
		t.Errorf("%d probes in 64 sleeps, want one in sixteen", probes)
	}
	for range 6 {
		s.found()
	}
	if s.ns != 20_000 {
		t.Errorf("after polling paid six times it polls %d ns, want the most", s.ns)
	}
	never := spinner{}
	if never.found(); never.ns != 0 {
		t.Error("a loop that must not poll polls")
	}
}

// Under load the loop naps instead of waiting for the next packet, and when the
// load ends it soon waits again.
func TestLoopNapsUnderLoad(t *testing.T) {
	c := newFakeConn(t)
	now := int64(1000)
	batches := 0
	h := &funcHandler{decide: func(p *Packet) { p.Action = Drop }}
	ctx, cancel := context.WithCancel(context.Background())
	l := NewLoop(c, h, LoopOptions{SpinNs: -1, DrainNs: -1, NapNs: 1000, Now: func() int64 { now += 100; return now }})
	h.resume = func(func(*Packet) bool, []Packet) int {
		if batches++; batches <= 100 {
			c.inject(2)
		}
		return 0
	}
	c.inject(2)
	c.onWait = func(int64) {
		cancel()
		for !l.stop.Load() {
			time.Sleep(time.Millisecond) // context.AfterFunc has its own goroutine
		}
	}
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	st := l.Stats()
	if st.Packets != 202 {
		t.Errorf("%d packets handled, want 202", st.Packets)
	}
	// One after each small batch, and some until the rate has decayed.
	if st.Naps < 90 || st.Naps > 160 {
		t.Errorf("%d naps in and after a hundred batches of two packets every hundred ns, want as many and an end of them", st.Naps)
	}
	if st.Sleeps != 1 {
		t.Errorf("%d sleeps, want one, after the burst", st.Sleeps)
	}
}
