package netio

import (
	"context"
	"fmt"
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/thread"
)

// Defaults of LoopOptions.
const (
	DefaultSpinNs        = 20_000
	DefaultMaxHeld       = 16384
	DefaultHoldTimeoutNs = 2_000_000_000
	DefaultDrainNs       = 200_000_000
)

// maxWaitNs bounds one sleep. It is only a net under the wake-ups: nothing in
// the steady state depends on it.
const maxWaitNs = 100_000_000

// LoopOptions tune a Loop. The zero value is the default.
type LoopOptions struct {
	// SpinNs is the longest that empty rings are polled before the thread
	// sleeps. How long they really are adapts: it halves each time polling found
	// nothing and doubles when it did. While replies wait for their commit there
	// is no polling at all: the processor is better left to the committer. 0
	// means DefaultSpinNs; a negative value never spins.
	SpinNs int64
	// NapNs is how long a loop under load sleeps instead of waiting for the next
	// packet, or after a batch of only a few: so long that some come meanwhile,
	// which then share one look at the rings, one wake-up and one kick. Below some
	// packets in that time it waits as ever. 0 never naps.
	NapNs int64
	// MaxHeld is the most replies that wait for their commit; it is rounded up
	// to a power of two. 0 means DefaultMaxHeld.
	MaxHeld int
	// HoldTimeoutNs is how long a reply waits for its commit before it is given
	// up: the client has asked again by then. 0 means DefaultHoldTimeoutNs.
	HoldTimeoutNs int64
	// DrainNs is how long Run goes on after its context ends to send replies
	// whose commit is under way. 0 means DefaultDrainNs; negative, not at all.
	DrainNs int64
	// Shed is told, from the loop's goroutine and only when it changes, what share
	// of the messages that start something is to be thrown away before they reach
	// the Conn, of ShedAll: what is dropped there costs least. nil: nobody can. It
	// follows what waits in a Conn that is a Backlogger.
	Shed func(level uint32)
	// Affinity are the CPUs the thread may run on; nil leaves it alone.
	Affinity []int
	// Now is the clock in Unix nanoseconds. nil means the system's.
	Now func() int64
}

// LoopStats are a Loop's counters since it was made.
type LoopStats struct {
	// Batches counts calls of HandleBatch, Packets what they held.
	Batches, Packets uint64
	// Resumed counts packets filled by Handler.Resume.
	Resumed uint64
	// Sent counts packets handed to Conn.Send, at once or after their commit;
	// Dropped those decided Drop. HeldTotal counts those that were kept for
	// their commit, whatever became of them. At any time
	//
	//	Packets + Resumed = Sent + Dropped + Held + HoldTimeouts + HoldOverflow + HoldAbandoned
	Sent, Dropped, HeldTotal uint64
	// Held is how many replies wait for their commit now.
	Held uint64
	// HoldTimeouts, HoldOverflow and HoldAbandoned count replies released
	// unsent: waited too long, found the queue full, or were still waiting when
	// the loop ended.
	HoldTimeouts, HoldOverflow, HoldAbandoned uint64
	// Sleeps counts calls of Conn.Wait, Naps the sleeps of LoopOptions.NapNs.
	Sleeps, Naps uint64
	// Response counts replies by the time from the receipt of their batch to
	// their sending, see ResponseBounds; the last bucket has no bound.
	// ResponseSumNs is the sum of those times.
	Response      [numResponseBounds + 1]uint64
	ResponseSumNs uint64
}

// loopCounters is LoopStats as the loop writes it: one writer, plain atomic
// stores, once per batch.
type loopCounters struct {
	batches, packets, resumed, sent, dropped, heldTotal atomic.Uint64
	held                                                atomic.Uint64
	holdTimeouts, holdOverflow, holdAbandoned           atomic.Uint64
	sleeps, naps                                        atomic.Uint64
	response                                            [numResponseBounds + 1]atomic.Uint64
	responseSumNs                                       atomic.Uint64
}

// heldPacket is a reply and since when it waits.
type heldPacket struct {
	pkt     Packet
	sinceNs int64
}

// Loop carries batches from a Conn through a Handler and back. Replies that
// wait for their commit are kept in a bounded first-in-first-out queue; since
// commit positions of one Handler never decrease, looking at its head is enough.
type Loop struct {
	conn    Conn
	handler Handler
	opt     LoopOptions
	alloc   func(*Packet) bool
	backlog Backlogger // may be nil, as pressed
	pressed Pressed
	stop    atomic.Bool
	n       loopCounters

	// Used by Run's goroutine only.
	held       []heldPacket // ring, length a power of two
	head, tail uint64       // held[head:tail) modulo its length
	lastPos    uint64       // greatest CommitPos seen, for the invariant
	in         [BatchSize]Packet
	send       [BatchSize]Packet
	drop       [BatchSize]Packet
	perNs      float64 // packets received per nanosecond, smoothed
	lastRecvNs int64
	lastBatch  int // packets of the last turn
	napper     napper
	behind     behind
	nSend      int
	nDrop      int
}

// NewLoop joins conn and handler. Neither may be used by anybody else while Run
// runs, except for what their documentation allows.
func NewLoop(conn Conn, handler Handler, opt LoopOptions) *Loop {
	if opt.SpinNs == 0 {
		opt.SpinNs = DefaultSpinNs
	}
	if opt.MaxHeld <= 0 {
		opt.MaxHeld = DefaultMaxHeld
	}
	size := 1
	for size < opt.MaxHeld {
		size <<= 1
	}
	if opt.HoldTimeoutNs <= 0 {
		opt.HoldTimeoutNs = DefaultHoldTimeoutNs
	}
	if opt.DrainNs == 0 {
		opt.DrainNs = DefaultDrainNs
	}
	if opt.Now == nil {
		opt.Now = func() int64 { return time.Now().UnixNano() }
	}
	l := &Loop{
		conn:    conn,
		handler: handler,
		opt:     opt,
		alloc:   conn.Alloc,
		held:    make([]heldPacket, size),
	}
	l.backlog, _ = conn.(Backlogger)
	l.pressed, _ = handler.(Pressed)
	return l
}

// Stats reads the counters; safe from any goroutine.
func (l *Loop) Stats() LoopStats {
	s := LoopStats{
		Batches:       l.n.batches.Load(),
		Packets:       l.n.packets.Load(),
		Resumed:       l.n.resumed.Load(),
		Sent:          l.n.sent.Load(),
		Dropped:       l.n.dropped.Load(),
		HeldTotal:     l.n.heldTotal.Load(),
		Held:          l.n.held.Load(),
		HoldTimeouts:  l.n.holdTimeouts.Load(),
		HoldOverflow:  l.n.holdOverflow.Load(),
		HoldAbandoned: l.n.holdAbandoned.Load(),
		Sleeps:        l.n.sleeps.Load(),
		Naps:          l.n.naps.Load(),
		ResponseSumNs: l.n.responseSumNs.Load(),
	}
	for i := range s.Response {
		s.Response[i] = l.n.response[i].Load()
	}
	return s
}

// Run serves until ctx ends, then sends what is still waiting for its commit as
// far as that comes within DrainNs, gives every frame back and returns. It may
// be called once. The error is that of pinning the thread: nothing a packet
// does ends the loop.
func (l *Loop) Run(ctx context.Context) error {
	// The kernel keeps per-thread state for busy polling, and a thread of its
	// own keeps the worker from being moved between batches.
	runtime.LockOSThread()
	pinned := false
	if len(l.opt.Affinity) > 0 {
		if err := setAffinity(l.opt.Affinity); err != nil {
			runtime.UnlockOSThread()
			return fmt.Errorf("pin worker to cpus %v: %w", l.opt.Affinity, err)
		}
		pinned = true
	}
	if !pinned {
		// A pinned thread is left locked, so that it ends with its goroutine
		// and no other goroutine inherits its mask.
		defer runtime.UnlockOSThread()
	}

	if l.opt.NapNs > 0 {
		l.napper.sharpen()
	}
	_ = thread.ShortSlice() // without it answers come later when others compute
	l.handler.Attach(l.conn.Wake)
	unhook := context.AfterFunc(ctx, func() {
		l.stop.Store(true)
		l.conn.Wake()
	})
	defer unhook()

	idleSinceNs := int64(0)
	spin := spinner{maxNs: max(l.opt.SpinNs, 0), ns: max(l.opt.SpinNs, 0)}
	for !l.stop.Load() {
		nowNs := l.opt.Now()
		if l.turn(nowNs) {
			if idleSinceNs != 0 {
				spin.found()
				idleSinceNs = 0
			}
			if l.lastBatch < napBatch && l.busy() {
				l.nap(l.opt.NapNs)
			}
			continue
		}
		if idleSinceNs == 0 {
			idleSinceNs = nowNs
		}
		if l.head == l.tail {
			if nowNs-idleSinceNs < spin.ns && nowNs >= idleSinceNs {
				continue
			}
			spin.missed()
		}
		l.sleep(nowNs)
		idleSinceNs = 0
	}
	l.drain()
	return nil
}

// spinner adapts how long to poll before sleeping.
type spinner struct {
	maxNs, ns int64
	sleeps    uint32
}

// minSpinNs is below what a look at the rings costs: polling that short is none.
const minSpinNs = 1_000

// found: polling paid.
func (s *spinner) found() { s.ns = min(s.maxNs, max(2*s.ns, minSpinNs)) }

// missed: it did not. Every sixteenth sleep polls a little again, to notice when
// it would pay.
func (s *spinner) missed() {
	s.ns /= 2
	if s.ns < minSpinNs {
		s.ns = 0
		if s.sleeps++; s.sleeps%16 == 0 {
			s.ns = min(s.maxNs, 4*minSpinNs)
		}
	}
}

// turn does one round and reports whether there was anything to do.
func (l *Loop) turn(nowNs int64) bool {
	n := l.conn.Recv(l.in[:])
	l.lastBatch = n
	if l.backlog != nil {
		l.press(n, nowNs)
	}
	if n > 0 {
		if l.opt.NapNs > 0 {
			l.measure(n, nowNs)
		}
		l.handler.HandleBatch(l.in[:n], nowNs)
		l.n.batches.Add(1)
		l.n.packets.Add(uint64(n))
		l.dispatch(l.in[:n], nowNs)
	}
	r := l.handler.Resume(l.alloc, l.in[:], nowNs)
	if r > 0 {
		l.n.resumed.Add(uint64(r))
		l.dispatch(l.in[:r], nowNs)
	}
	released := l.releaseHeld(nowNs)
	if n > 0 || r > 0 || released {
		l.conn.Flush()
		return true
	}
	return false
}

// dispatch acts on what the Handler decided.
func (l *Loop) dispatch(pkts []Packet, nowNs int64) {
	held, direct := uint64(0), uint64(0)
	overflow := uint64(0)
	for i := range pkts {
		p := &pkts[i]
		switch p.Action {
		case Send:
			l.send[l.nSend] = *p
			l.nSend++
			direct++
		case Hold:
			if p.CommitPos < l.lastPos {
				// Keeping it in line costs a little waiting and never breaks
				// the promise.
				p.CommitPos = l.lastPos
			}
			l.lastPos = p.CommitPos
			if l.tail-l.head == uint64(len(l.held)) {
				overflow++
				l.drop[l.nDrop] = *p
				l.nDrop++
				continue
			}
			h := &l.held[l.tail&uint64(len(l.held)-1)]
			h.pkt = *p
			h.sinceNs = nowNs
			l.tail++
			held++
		default:
			l.drop[l.nDrop] = *p
			l.nDrop++
		}
	}
	if direct > 0 {
		l.responded(direct, l.opt.Now()-nowNs)
	}
	if held > 0 {
		l.n.heldTotal.Add(held)
		l.n.held.Store(l.tail - l.head)
	}
	if overflow > 0 {
		l.n.holdOverflow.Add(overflow)
	}
	if d := uint64(l.nDrop) - overflow; d > 0 {
		l.n.dropped.Add(d)
	}
	l.flushLists()
}

// flushLists hands the gathered packets to the Conn.
func (l *Loop) flushLists() {
	if l.nSend > 0 {
		l.conn.Send(l.send[:l.nSend])
		l.n.sent.Add(uint64(l.nSend))
		l.nSend = 0
	}
	if l.nDrop > 0 {
		l.conn.Release(l.drop[:l.nDrop])
		l.nDrop = 0
	}
}

// releaseHeld sends the replies whose commit is durable and gives up those that
// waited too long. It reports whether any frame left the queue.
func (l *Loop) releaseHeld(nowNs int64) bool {
	if l.head == l.tail {
		return false
	}
	pos := l.handler.DurablePos()
	sentNs := int64(0)
	start := l.head
	timeouts := uint64(0)
	for l.head != l.tail {
		h := &l.held[l.head&uint64(len(l.held)-1)]
		if h.pkt.CommitPos <= pos {
			if sentNs == 0 {
				sentNs = l.opt.Now()
			}
			l.responded(1, sentNs-h.sinceNs)
			l.send[l.nSend] = h.pkt
			l.nSend++
		} else if nowNs-h.sinceNs > l.opt.HoldTimeoutNs {
			l.drop[l.nDrop] = h.pkt
			l.nDrop++
			timeouts++
		} else {
			break
		}
		h.pkt.Data = nil
		l.head++
		if l.nSend == BatchSize || l.nDrop == BatchSize {
			l.flushLists()
		}
	}
	if l.head == start {
		return false
	}
	if timeouts > 0 {
		l.n.holdTimeouts.Add(timeouts)
	}
	l.flushLists()
	l.n.held.Store(l.tail - l.head)
	return true
}

// numResponseBounds is the length of ResponseBounds.
const numResponseBounds = 16

// firstResponseBoundNs is the lowest bound; each next one is double.
const firstResponseBoundNs = 8_192

// ResponseBounds are the upper bounds of LoopStats.Response in seconds: 8 µs,
// doubled up to a quarter of a second.
func ResponseBounds() []float64 {
	b := make([]float64, numResponseBounds)
	for i := range b {
		b[i] = float64(int64(firstResponseBoundNs)<<i) / 1e9
	}
	return b
}

// responded counts n replies that left tookNs after their batch came.
func (l *Loop) responded(n uint64, tookNs int64) {
	tookNs = max(tookNs, 0)
	i := min(bits.Len64(uint64(tookNs)/firstResponseBoundNs), numResponseBounds)
	l.n.response[i].Store(l.n.response[i].Load() + n)
	l.n.responseSumNs.Store(l.n.responseSumNs.Load() + n*uint64(tookNs))
}

// sleep waits for a packet, a wake-up or the next hold timeout.
func (l *Loop) sleep(nowNs int64) {
	timeoutNs := int64(maxWaitNs)
	if l.head != l.tail {
		h := &l.held[l.head&uint64(len(l.held)-1)]
		left := h.sinceNs + l.opt.HoldTimeoutNs - nowNs + 1
		timeoutNs = max(0, min(timeoutNs, left))
	}
	if l.busy() {
		l.nap(min(l.opt.NapNs, timeoutNs))
		if l.perNs *= napDecay; !l.busy() {
			l.lastRecvNs = 0
		}
		return
	}
	l.n.sleeps.Add(1)
	l.conn.Wait(timeoutNs)
}

// napPackets is how many packets a nap must promise; napDecay lowers the rate
// when a nap brought none, so that the last one of a burst is soon over. After a
// batch of napBatch the next one is not waited for: the worker has no time left.
const (
	napPackets = 3
	napDecay   = 0.9
	napBatch   = 16
)

// busy says that a nap would bring packets.
func (l *Loop) busy() bool { return l.perNs*float64(l.opt.NapNs) >= napPackets }

func (l *Loop) nap(ns int64) {
	l.n.naps.Add(1)
	l.napper.nap(ns)
}

// measure follows the rate of packets.
func (l *Loop) measure(n int, nowNs int64) {
	if d := nowNs - l.lastRecvNs; d > 0 && l.lastRecvNs != 0 {
		l.perNs += (float64(n)/float64(d) - l.perNs) / 8
	}
	l.lastRecvNs = nowNs
}

// drain ends the loop: replies whose commit is under way get DrainNs to become
// durable, then every frame goes back.
func (l *Loop) drain() {
	startNs := l.opt.Now()
	for l.head != l.tail {
		nowNs := l.opt.Now()
		if l.releaseHeld(nowNs) {
			l.conn.Flush()
			continue
		}
		leftNs := startNs + l.opt.DrainNs - nowNs
		if l.opt.DrainNs < 0 || leftNs <= 0 || leftNs > l.opt.DrainNs {
			break
		}
		l.n.sleeps.Add(1)
		l.conn.Wait(min(leftNs, 1_000_000))
	}
	for l.head != l.tail {
		h := &l.held[l.head&uint64(len(l.held)-1)]
		l.drop[l.nDrop] = h.pkt
		l.nDrop++
		h.pkt.Data = nil
		l.head++
		l.n.holdAbandoned.Add(1)
		if l.nDrop == BatchSize {
			l.flushLists()
		}
	}
	l.flushLists()
	l.n.held.Store(0)
	l.conn.Flush()
}
