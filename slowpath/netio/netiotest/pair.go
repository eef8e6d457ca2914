// Package netiotest is for tests of what stands behind netio: an in-memory pair
// of Conns, and builders of DHCP queries as messages and as whole frames.
package netiotest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// Options of a pair. The zero value is usable.
type Options struct {
	// Frames is how many frames each end owns. Default 256.
	Frames int
	// FrameSize is the capacity of a frame in octets. Default 2048.
	FrameSize int
	// IfIndex is what received packets of the second end carry; the first end's
	// have IfIndex+1. Default 1.
	IfIndex uint32
	// Synthetic marks received packets as those of a datagram backend.
	Synthetic bool
}

// Conn is one end of a pair. It implements netio.Conn with the same ownership:
// all methods but Wake, ConnStats, Loans and Waiting belong to one goroutine,
// and the two ends may belong to two. It panics when a loan is ended twice or a
// frame of another Conn is handed in, and overwrites frames when their loan
// ends, so that what is read too late is seen to be wrong.
type Conn struct {
	opts Options
	peer *Conn
	wake chan struct{}

	mu     sync.Mutex
	mem    []byte
	free   []uint32 // frames nobody has
	queue  []queued // received, oldest first
	lent   []bool   // by frame
	nLent  int
	closed bool

	waiting atomic.Bool
	stats   struct {
		rx, tx, txDropped, rxDropped, noFrame atomic.Uint64
		flushes                               atomic.Uint64
	}
	pending [][]byte // sent, not flushed; the owner's
}

type queued struct{ frame, n uint32 }

var _ netio.Conn = (*Conn)(nil)

// NewPair returns two ends: what one sends and flushes, the other receives.
func NewPair(o Options) (*Conn, *Conn) {
	if o.Frames == 0 {
		o.Frames = 256
	}
	if o.FrameSize == 0 {
		o.FrameSize = 2048
	}
	if o.IfIndex == 0 {
		o.IfIndex = 1
	}
	b := newConn(o)
	o.IfIndex++
	a := newConn(o)
	a.peer, b.peer = b, a
	return a, b
}

func newConn(o Options) *Conn {
	c := &Conn{
		opts: o,
		wake: make(chan struct{}, 1),
		mem:  make([]byte, o.Frames*o.FrameSize),
		lent: make([]bool, o.Frames),
	}
	for i := o.Frames - 1; i >= 0; i-- {
		c.free = append(c.free, uint32(i))
	}
	return c
}

// lend fills p with n octets of frame f. The caller holds mu. Token is the frame
// plus one, so that a Packet nobody lent is recognised.
func (c *Conn) lend(p *netio.Packet, f, n uint32) {
	o := int(f) * c.opts.FrameSize
	*p = netio.Packet{
		Data:      c.mem[o : o+int(n) : o+c.opts.FrameSize],
		IfIndex:   c.opts.IfIndex,
		Synthetic: c.opts.Synthetic,
		Token:     uint64(f) + 1,
	}
	c.lent[f] = true
	c.nLent++
}

// end ends the loan of p. The caller holds mu.
func (c *Conn) end(p *netio.Packet) {
	f := p.Token - 1
	if p.Token == 0 || f >= uint64(len(c.lent)) {
		panic(fmt.Sprintf("netiotest: token %d was never lent", p.Token))
	}
	if !c.lent[f] {
		panic(fmt.Sprintf("netiotest: the loan of frame %d was ended twice", f))
	}
	c.lent[f] = false
	c.nLent--
	o := int(f) * c.opts.FrameSize
	for i := range c.mem[o : o+c.opts.FrameSize] {
		c.mem[o+i] = 0xdb
	}
	c.free = append(c.free, uint32(f))
	*p = netio.Packet{}
}

// Recv implements netio.Conn.
func (c *Conn) Recv(pkts []netio.Packet) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(pkts), len(c.queue))
	for i, q := range c.queue[:n] {
		c.lend(&pkts[i], q.frame, q.n)
	}
	c.queue = append(c.queue[:0], c.queue[n:]...)
	c.stats.rx.Add(uint64(n))
	return n
}

// Alloc implements netio.Conn.
func (c *Conn) Alloc(p *netio.Packet) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.free) == 0 {
		c.stats.noFrame.Add(1)
		return false
	}
	f := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	c.lend(p, f, 0)
	return true
}

// Send implements netio.Conn. Frames leave at the next Flush.
func (c *Conn) Send(pkts []netio.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range pkts {
		// More than a ring's worth unflushed is dropped, as a real one would.
		if len(c.pending) >= c.opts.Frames {
			c.stats.txDropped.Add(1)
		} else {
			c.pending = append(c.pending, append([]byte(nil), pkts[i].Data...))
		}
		c.end(&pkts[i])
	}
}

// Release implements netio.Conn.
func (c *Conn) Release(pkts []netio.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range pkts {
		c.end(&pkts[i])
	}
}

// Flush implements netio.Conn.
func (c *Conn) Flush() {
	c.stats.flushes.Add(1)
	for _, data := range c.pending {
		c.stats.tx.Add(1)
		c.peer.Inject(data)
	}
	c.pending = c.pending[:0]
}

// Inject lets data arrive at c as if it had come over the wire. It reports
// false, and counts, when there is no frame for it or it is too long. Safe from
// any goroutine.
func (c *Conn) Inject(data []byte) bool {
	c.mu.Lock()
	ok := len(c.free) > 0 && len(data) <= c.opts.FrameSize && !c.closed
	if ok {
		f := c.free[len(c.free)-1]
		c.free = c.free[:len(c.free)-1]
		copy(c.mem[int(f)*c.opts.FrameSize:], data)
		c.queue = append(c.queue, queued{f, uint32(len(data))})
	} else {
		c.stats.rxDropped.Add(1)
	}
	c.mu.Unlock()
	if ok {
		c.Wake()
	}
	return ok
}

// Wait implements netio.Conn.
func (c *Conn) Wait(timeoutNs int64) {
	c.mu.Lock()
	n := len(c.queue)
	c.mu.Unlock()
	if n > 0 {
		return
	}
	c.waiting.Store(true)
	defer c.waiting.Store(false)
	t := time.NewTimer(time.Duration(timeoutNs))
	defer t.Stop()
	select {
	case <-c.wake:
	case <-t.C:
	}
}

// Wake implements netio.Conn.
func (c *Conn) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Waiting reports whether the owner is in Wait just now.
func (c *Conn) Waiting() bool { return c.waiting.Load() }

// Flushes is how often Flush was called.
func (c *Conn) Flushes() uint64 { return c.stats.flushes.Load() }

// Loans is how many frames are lent out just now.
func (c *Conn) Loans() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nLent
}

// CheckLoans fails the test if a frame was lent and its loan never ended.
func (c *Conn) CheckLoans(tb testing.TB) {
	tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for f, l := range c.lent {
		if l {
			tb.Errorf("frame %d of %d was lent and neither sent nor released (%d such frames)", f, len(c.lent), c.nLent)
			return
		}
	}
}

// ConnStats implements netio.Conn.
func (c *Conn) ConnStats() netio.ConnStats {
	return netio.ConnStats{
		RxPackets: c.stats.rx.Load(),
		TxPackets: c.stats.tx.Load(),
		TxDropped: c.stats.txDropped.Load(),
		RxDropped: c.stats.rxDropped.Load(),
		NoFrame:   c.stats.noFrame.Load(),
	}
}

// Close implements netio.Conn. It fails if frames are still lent.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.nLent > 0 {
		return fmt.Errorf("close in-memory conn: %d frames are still lent", c.nLent)
	}
	return nil
}
