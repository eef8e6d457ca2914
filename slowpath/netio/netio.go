// Package netio is the border between packets and the server: batches of frames
// come in through a Conn, a Handler decides each, and a Loop joins the two.
//
// A Conn is one of AF_XDP (package fastpath/xsk), AF_PACKET and UDP sockets
// (here), or an in-memory pair (netiotest). All of them speak whole Ethernet
// frames: a backend that has only datagrams writes a synthetic header in front,
// so that nothing behind this border knows where a packet came from.
//
// Ownership: Recv and Alloc lend a frame to the caller; the caller ends the loan
// with exactly one of Send or Release. A Conn and its frames belong to one
// goroutine (the Loop's); only Wake may be called by others.
package netio

// BatchSize is the most packets a Loop handles at a time.
const BatchSize = 64

// Action is what the Handler decided for a packet.
type Action uint8

const (
	// Drop gives the frame back unanswered. The Handler has counted why.
	Drop Action = iota
	// Send transmits Data as it is now.
	Send
	// Hold transmits Data once Handler.DurablePos() has reached CommitPos.
	// Positions of one Handler never decrease, so held replies leave in order.
	Hold
)

// Packet is one leased frame.
type Packet struct {
	// Data is the frame from its Ethernet header on. A Handler answers by
	// writing the reply over it and setting its length; cap(Data) is the room.
	// It is valid until the frame is sent or released.
	Data []byte
	// IfIndex is the interface the frame came in on and its reply leaves by.
	IfIndex uint32
	// Synthetic says that the headers were written by a datagram backend: MAC
	// addresses are zero and checksums were verified by the kernel. The
	// destination of a reply is read back from its headers.
	Synthetic bool
	// Relayed says that what the frame answers came from a relay agent; the
	// Handler's word, for backends that treat such answers in their own way.
	Relayed bool
	Action  Action
	// CommitPos is valid if Action is Hold.
	CommitPos uint64
	// Token is the backend's own: what it needs to know the frame again.
	Token uint64
}

// Conn is a batch packet endpoint with a single owner.
type Conn interface {
	// Recv fills pkts with received frames and returns how many; 0 means none
	// are waiting. It never blocks.
	Recv(pkts []Packet) int
	// Alloc lends an empty frame (len 0) for a packet nobody asked for just
	// now, such as the answer to a parked query. It reports false, and counts,
	// when none is free.
	Alloc(p *Packet) bool
	// Send queues frames for transmission and ends their loan. What does not
	// fit is released and counted in Stats; it is never waited for.
	Send(pkts []Packet)
	// Release ends the loan of frames without sending them.
	Release(pkts []Packet)
	// Flush tells the kernel about everything queued: one system call a batch.
	Flush()
	// Wait blocks until a frame may be there, Wake was called, or timeoutNs
	// have passed.
	Wait(timeoutNs int64)
	// Wake ends a Wait, now or the next one. Safe from any goroutine; cheap
	// when nobody waits.
	Wake()
	// ConnStats reads the counters; safe from any goroutine.
	ConnStats() ConnStats
	// Close gives everything back. Not while the owner uses the Conn.
	Close() error
}

// Backlogger is a Conn that knows how much waits to be received, and out of how
// much room; for the owner. Where that is full the kernel drops whatever comes.
type Backlogger interface {
	Backlog() (waiting, room int)
}

// Pressed is a Handler that sheds load by itself while it falls behind, so that
// what is dropped is what costs least. Before each batch it is told how full the
// Conn's room still is, 0 to 255.
type Pressed interface {
	SetPressure(level uint8)
}

// ConnStats are a Conn's counters since it was opened.
type ConnStats struct {
	RxPackets, TxPackets uint64
	// TxDropped counts frames that found no room to be sent or that the kernel
	// refused.
	TxDropped uint64
	// RxDropped counts frames the kernel dropped before Recv: no descriptor, no
	// free frame, socket buffer full.
	RxDropped uint64
	// NoFrame counts Alloc calls that found no free frame.
	NoFrame uint64
	// RxInvalid counts descriptors the kernel refused (XDP_STATISTICS).
	RxInvalid uint64
	// RxRefused counts frames a backend received and did not hand on: IP
	// fragments, frames for another host's address, more VLAN tags or bytes
	// than its buffers take.
	RxRefused uint64
}

// Handler decides packets. Its methods are called by the one goroutine that
// runs the Loop, and by nobody else.
type Handler interface {
	// HandleBatch sets Action (and Data, CommitPos) of every packet.
	// nowUnixNs is the time of the batch; it reads no other clock.
	HandleBatch(pkts []Packet, nowUnixNs int64)
	// DurablePos is the greatest commit position whose changes are on stable
	// storage.
	DurablePos() uint64
	// Resume is called once per loop turn. It sends what has become ready
	// without a packet of its own (answers to parked queries), with frames from
	// alloc; out is filled as HandleBatch fills its packets. It returns how
	// many it filled and must be cheap when there is nothing.
	Resume(alloc func(*Packet) bool, out []Packet, nowUnixNs int64) int
	// Attach is called once before the first batch. wake ends the Loop's Wait
	// and may be called from any goroutine until the Loop has ended.
	Attach(wake func())
}
