package netio

import (
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// datagrams is what the socket backends have in common: frame memory, batches of
// messages in and out, and their counters. It is a Conn but for what tells the
// backends apart, which is in the fields up to drops.
type datagrams struct {
	// room is left free in front of a received message; nameLen is the length of
	// the addresses the socket reports.
	room, nameLen int
	// synthetic marks the packets.
	synthetic bool
	// received makes message i of rx a packet: Data, IfIndex. It keeps nothing of
	// what it is given.
	received func(i int, p *Packet) reception
	// prepare makes message i of tx of a packet. false drops it.
	prepare func(i int, p *Packet) bool
	// drops reads how many packets the kernel has dropped since it was asked
	// before; under mu.
	drops func() uint64

	waiter Waiter
	fd     int
	// txFD is the socket to send from: fd, or another, which Close closes too.
	txFD    int
	ifIndex uint32 // 0 if not bound to one
	mem     slots
	rx      mmsgBatch
	slot    [BatchSize]uint32 // of the messages in rx
	tx      mmsgBatch
	out     [BatchSize]uint32 // slots of the messages in tx
	nOut    int

	rxPackets, txPackets, txDropped, noFrame, rxRefused atomic.Uint64

	mu      sync.Mutex // guards fd in ConnStats, and what follows
	closed  bool
	rxDrops uint64
}

// reception says what became of a message.
type reception uint8

const (
	// refused is counted (ConnStats.RxRefused).
	refused reception = iota
	// taken is handed on.
	taken
	// ignored has been received elsewhere, and counted there.
	ignored
)

// init prepares for a bound socket, which Close closes.
func (c *datagrams) init(fd int, ifIndex uint32, slots int) error {
	c.fd, c.txFD, c.ifIndex, c.mem = fd, fd, ifIndex, newSlots(slots)
	return c.waiter.Init(fd)
}

// Recv implements Conn.
func (c *datagrams) Recv(pkts []Packet) int {
	want := min(len(pkts), BatchSize, len(c.mem.free))
	if want == 0 {
		return 0
	}
	for i := range want {
		c.slot[i] = c.mem.pop()
		c.rx.set(i, c.mem.at(c.slot[i])[c.room:], c.nameLen, ctrlLen)
	}
	n, _ := c.rx.recv(c.fd, want)
	got := 0
	for i := range n {
		p := &pkts[got]
		*p = Packet{Synthetic: c.synthetic, Token: uint64(c.slot[i])}
		became := c.received(i, p)
		if became == taken && c.rx.hdrs[i].hdr.Flags&unix.MSG_TRUNC == 0 {
			got++
			continue
		}
		if became != ignored {
			c.rxRefused.Add(1)
		}
		c.mem.push(c.slot[i])
	}
	for i := want - 1; i >= n; i-- {
		c.mem.push(c.slot[i])
	}
	if got > 0 {
		c.rxPackets.Add(uint64(got))
	}
	return got
}

// control is the control data of message i of rx.
func (c *datagrams) control(i int) []byte {
	return c.rx.ctrls[i][:min(int(c.rx.hdrs[i].hdr.Controllen), ctrlLen)]
}

// Alloc implements Conn. Where the socket is not bound to an interface, that is
// for the caller to set.
func (c *datagrams) Alloc(p *Packet) bool {
	if len(c.mem.free) == 0 {
		c.noFrame.Add(1)
		return false
	}
	i := c.mem.pop()
	*p = Packet{Data: c.mem.at(i)[:0], IfIndex: c.ifIndex, Synthetic: c.synthetic, Token: uint64(i)}
	return true
}

// Send implements Conn.
func (c *datagrams) Send(pkts []Packet) {
	for i := range pkts {
		p := &pkts[i]
		if c.nOut == BatchSize {
			c.Flush()
		}
		if !c.prepare(c.nOut, p) {
			c.txDropped.Add(1)
			c.mem.push(uint32(p.Token))
			continue
		}
		c.out[c.nOut] = uint32(p.Token)
		c.nOut++
	}
}

// Release implements Conn.
func (c *datagrams) Release(pkts []Packet) {
	for i := range pkts {
		c.mem.push(uint32(pkts[i].Token))
	}
}

// Flush implements Conn. The kernel copies what it takes.
func (c *datagrams) Flush() {
	sent, dropped := c.tx.sendAll(c.txFD, c.nOut)
	c.txPackets.Add(uint64(sent))
	c.txDropped.Add(uint64(dropped))
	for i := range c.nOut {
		c.mem.push(c.out[i])
	}
	c.nOut = 0
}

// Wait implements Conn.
func (c *datagrams) Wait(timeoutNs int64) { c.waiter.Wait(timeoutNs, len(c.mem.free) > 0) }

// Wake implements Conn.
func (c *datagrams) Wake() { c.waiter.Wake() }

// ConnStats implements Conn.
func (c *datagrams) ConnStats() ConnStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.rxDrops += c.drops()
	}
	return ConnStats{
		RxPackets: c.rxPackets.Load(),
		TxPackets: c.txPackets.Load(),
		TxDropped: c.txDropped.Load(),
		RxDropped: c.rxDrops,
		NoFrame:   c.noFrame.Load(),
		RxRefused: c.rxRefused.Load(),
	}
}

// Close implements Conn.
func (c *datagrams) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	err := unix.Close(c.fd)
	if c.txFD != c.fd {
		err = errors.Join(err, unix.Close(c.txFD))
	}
	return errors.Join(err, c.waiter.Close())
}
