package xsk

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// Defaults of Options.
const (
	DefaultFrameSize = 2048
	DefaultRingSize  = 8192
	DefaultTxBudget  = 128
	// MaxSockets bounds Options.Sockets.
	MaxSockets = 64
)

// reserve is how many free frames each worker gets to start with, and as gifts
// when it has used them up.
const reserve = 64

// localMax is how many free frames a worker keeps for itself.
const localMax = 2 * reserve

// CopyMode chooses how frames reach the driver.
type CopyMode uint8

const (
	// ZeroCopyOrCopy takes zero-copy where the driver has it, else copy.
	ZeroCopyOrCopy CopyMode = iota
	// ZeroCopyOnly fails where the driver has no zero-copy.
	ZeroCopyOnly
	// CopyOnly always copies; generic XDP has nothing else.
	CopyOnly
)

// Options describe a Queue. IfIndex is required; the zero value of the rest is
// the default.
type Options struct {
	IfIndex uint32
	// QueueID is the device's receive queue, from 0.
	QueueID uint32
	// Sockets is how many sockets share the queue. 0 means 1; at most
	// MaxSockets.
	Sockets int
	// FrameSize is 2048 (default) or 4096 bytes; of these the kernel keeps 256
	// and Headroom in front of a received frame.
	FrameSize int
	Headroom  int
	// Frames is the number of frames of the queue, rounded up to a power of
	// two. 0 means what the Loops of all sockets may hold, and as much for
	// reception.
	Frames int
	// RingSize is the number of entries of FILL and of each RX and TX ring, a
	// power of two. 0 means DefaultRingSize.
	RingSize int
	// HugePages tries 2 MiB pages for the UMEM and goes on without; it needs a
	// UMEM of a multiple of that, which the default is.
	HugePages bool
	Copy      CopyMode
	// BusyPollUs turns on preferred busy polling (Linux 5.11) with this
	// SO_BUSY_POLL value in microseconds: the worker drives the driver's NAPI
	// itself. The device needs napi_defer_hard_irqs and gro_flush_timeout set,
	// which is the administrator's to do. 0 is off.
	BusyPollUs int
	// BusyPollBudget is SO_BUSY_POLL_BUDGET. 0 means 64.
	BusyPollBudget int
	// TxBudget is XDP_MAX_TX_SKB_BUDGET: how many frames one system call may
	// transmit in copy mode, where the kernel lets it be set (6.17). 0 means
	// DefaultTxBudget.
	TxBudget int
}

// withDefaults fills in what is 0 and checks the rest.
func (o Options) withDefaults() (Options, error) {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Sockets, 1)
	def(&o.FrameSize, DefaultFrameSize)
	def(&o.RingSize, DefaultRingSize)
	def(&o.BusyPollBudget, 64)
	def(&o.TxBudget, DefaultTxBudget)
	if o.Sockets < 1 || o.Sockets > MaxSockets {
		return o, fmt.Errorf("check xsk options: %d sockets, want 1 to %d", o.Sockets, MaxSockets)
	}
	def(&o.Frames, netio.DefaultMaxHeld*(o.Sockets+1))
	if o.FrameSize != 2048 && o.FrameSize != 4096 {
		return o, fmt.Errorf("check xsk options: frame size %d, want 2048 or 4096", o.FrameSize)
	}
	if o.Headroom < 0 || o.Headroom > 256 {
		return o, fmt.Errorf("check xsk options: headroom %d, want 0 to 256", o.Headroom)
	}
	if o.RingSize < 64 || o.RingSize > 1<<16 || bits.OnesCount(uint(o.RingSize)) != 1 {
		return o, fmt.Errorf("check xsk options: ring size %d, want a power of two from 64 to 65536", o.RingSize)
	}
	if o.Frames > 1<<22 {
		return o, fmt.Errorf("check xsk options: %d frames, want at most %d", o.Frames, 1<<22)
	}
	o.Frames = 1 << bits.Len(uint(o.Frames-1))
	if least := 2*o.RingSize + (localMax+reserve)*o.Sockets; o.Frames < least {
		return o, fmt.Errorf("check xsk options: %d frames, want at least %d for %d sockets with rings of %d", o.Frames, least, o.Sockets, o.RingSize)
	}
	return o, nil
}

// Queue is one queue of a device with its UMEM and sockets. It is made by Open
// and ends when the last of its sockets is closed.
type Queue struct {
	opt       Options
	zeroCopy  bool
	hugePages bool
	umem      []byte
	frameMask uint64 // base of a frame = address &^ frameMask
	track     tracker

	// token is 1 while a worker is the queue's owner. What follows is touched
	// with the token only.
	token atomic.Uint32
	fill  addrRing
	comp  addrRing
	free  []uint64 // stack: the frame used last is the one still in the cache

	sockets []*Socket
	maps    [][]byte // FILL and COMPLETION memory

	mu   sync.Mutex
	open int // sockets not closed yet
}

// Open makes a Queue with its sockets and binds them. The caller puts the
// sockets' file descriptors into the XSKMAP; until then nothing arrives.
//
// In mode ZeroCopyOrCopy everything is made anew when zero-copy is refused: a
// socket whose bind failed is not usable again.
func Open(opt Options) (*Queue, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	if opt.Copy != ZeroCopyOrCopy {
		return open(opt, opt.Copy == ZeroCopyOnly)
	}
	q, err := open(opt, true)
	if err == nil {
		return q, nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
		return nil, err
	}
	return open(opt, false)
}

func open(opt Options, zeroCopy bool) (q *Queue, err error) {
	q = &Queue{opt: opt, frameMask: uint64(opt.FrameSize - 1)}
	defer func() {
		if err != nil {
			q.closeAll()
			q = nil
		}
	}()
	q.track = newTracker(opt.Frames, uint64(opt.FrameSize))
	q.umem, q.hugePages, err = mapMemory(opt.Frames*opt.FrameSize, opt.HugePages)
	if err != nil {
		return q, fmt.Errorf("map umem of %d frames: %w", opt.Frames, err)
	}
	q.free = make([]uint64, 0, opt.Frames)
	for i := opt.Frames - 1; i >= 0; i-- {
		q.free = append(q.free, uint64(i*opt.FrameSize))
	}
	for i := range opt.Sockets {
		s, err := newSocket(q, i)
		if s != nil {
			q.sockets = append(q.sockets, s)
			q.open++
		}
		if err != nil {
			return q, fmt.Errorf("open xsk %d of queue %d on interface %d: %w", i, opt.QueueID, opt.IfIndex, err)
		}
	}
	first := q.sockets[0]
	if err := q.setupOwner(first.fd); err != nil {
		return q, err
	}
	flags := uint16(unix.XDP_USE_NEED_WAKEUP | unix.XDP_COPY)
	if zeroCopy {
		flags = unix.XDP_USE_NEED_WAKEUP | unix.XDP_ZEROCOPY
	}
	sa := &unix.SockaddrXDP{Flags: flags, Ifindex: opt.IfIndex, QueueID: opt.QueueID}
	if err := unix.Bind(first.fd, sa); err != nil {
		return q, fmt.Errorf("bind xsk to queue %d of interface %d (zero-copy %t): %w", opt.QueueID, opt.IfIndex, zeroCopy, err)
	}
	if q.zeroCopy, err = boundZeroCopy(first.fd); err != nil {
		return q, err
	}
	for _, s := range q.sockets[1:] {
		// No flags of its own and no FILL or COMPLETION: it joins the first
		// one's pool.
		sa := &unix.SockaddrXDP{Flags: unix.XDP_SHARED_UMEM, Ifindex: opt.IfIndex, QueueID: opt.QueueID, SharedUmemFD: uint32(first.fd)}
		if err := unix.Bind(s.fd, sa); err != nil {
			return q, fmt.Errorf("bind xsk %d to queue %d of interface %d: %w", s.index, opt.QueueID, opt.IfIndex, err)
		}
	}
	for _, s := range q.sockets {
		for range reserve {
			s.local = append(s.local, q.popFree())
		}
	}
	q.refill()
	return q, nil
}

// setupOwner registers the UMEM with the first socket and maps FILL and
// COMPLETION.
func (q *Queue) setupOwner(fd int) error {
	if err := registerUMEM(fd, q.umem, uint32(q.opt.FrameSize), uint32(q.opt.Headroom)); err != nil {
		return err
	}
	fillSize, compSize := uint32(q.opt.RingSize), uint32(q.opt.Frames)
	if err := setRing(fd, unix.XDP_UMEM_FILL_RING, fillSize); err != nil {
		return fmt.Errorf("set fill ring of %d: %w", fillSize, err)
	}
	if err := setRing(fd, unix.XDP_UMEM_COMPLETION_RING, compSize); err != nil {
		return fmt.Errorf("set completion ring of %d: %w", compSize, err)
	}
	off, err := mmapOffsets(fd)
	if err != nil {
		return err
	}
	mem, r, err := mapRing(fd, unix.XDP_UMEM_PGOFF_FILL_RING, off.Fr, fillSize, addrSize)
	if err != nil {
		return fmt.Errorf("map fill ring: %w", err)
	}
	q.maps = append(q.maps, mem)
	q.fill = addrRing{ring: r, addrs: addrsAt(mem, off.Fr, fillSize)}
	mem, r, err = mapRing(fd, unix.XDP_UMEM_PGOFF_COMPLETION_RING, off.Cr, compSize, addrSize)
	if err != nil {
		return fmt.Errorf("map completion ring: %w", err)
	}
	q.maps = append(q.maps, mem)
	q.comp = addrRing{ring: r, addrs: addrsAt(mem, off.Cr, compSize)}
	return nil
}

// Sockets are the queue's sockets. The slice is the Queue's.
func (q *Queue) Sockets() []*Socket { return q.sockets }

// ZeroCopy says which mode the kernel uses, read back after bind.
func (q *Queue) ZeroCopy() bool { return q.zeroCopy }

// HugePages says whether the UMEM lies on 2 MiB pages.
func (q *Queue) HugePages() bool { return q.hugePages }

// Close closes every socket of the queue and with the last one the queue. No
// goroutine may use any of them any more.
func (q *Queue) Close() error {
	var errs []error
	for _, s := range q.sockets {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// closeAll is Close for a Queue that was only half made.
func (q *Queue) closeAll() {
	for _, s := range q.sockets {
		s.Close()
	}
	if len(q.sockets) == 0 {
		q.unmap()
	}
}

func (q *Queue) unmap() {
	for _, m := range q.maps {
		unix.Munmap(m)
	}
	q.maps = nil
	if q.umem != nil {
		unix.Munmap(q.umem)
		q.umem = nil
	}
}

// popFree takes a frame off the free stack; the caller knows there is one.
func (q *Queue) popFree() uint64 {
	f := q.free[len(q.free)-1]
	q.free = q.free[:len(q.free)-1]
	return f
}

// tryServe looks after the queue unless another worker is doing so. It never
// waits.
func (q *Queue) tryServe() bool {
	if !q.token.CompareAndSwap(0, 1) {
		return false
	}
	q.serve()
	q.token.Store(0)
	return true
}

// serve is the owner's round: gather frames, give the workers theirs, refill.
func (q *Queue) serve() {
	if n := q.comp.available(1); n > 0 {
		start := len(q.free)
		for range n {
			q.free = append(q.free, q.comp.take()&^q.frameMask)
		}
		q.comp.release()
		q.track.take(q.free[start:], "COMPLETION")
	}
	for _, s := range q.sockets {
		if s.back.len() > 0 {
			q.free = s.back.pop(q.free, q.opt.Frames)
		}
	}
	for _, s := range q.sockets {
		if lack := reserve - s.gift.len(); lack > 0 && len(q.free) >= lack {
			n := s.gift.push(q.free[len(q.free)-lack:])
			q.free = q.free[:len(q.free)-n]
		}
	}
	q.refill()
}

// refillBatch is how many entries of FILL have to be free before it is written to.
const refillBatch = 64

// refill puts free frames into FILL, a batch at a time, so that its producer
// index is written seldom.
func (q *Queue) refill() {
	batch := min(refillBatch, q.fill.size/4)
	room := q.fill.free(batch)
	if room < batch {
		return
	}
	n := min(int(room), len(q.free))
	if n <= 0 {
		return
	}
	top := q.free[len(q.free)-n:]
	q.track.take(top, "FILL")
	for i := n - 1; i >= 0; i-- {
		q.fill.put(top[i])
	}
	q.free = q.free[:len(q.free)-n]
	q.fill.publish()
	if q.fill.needWakeup() {
		kickRX(q.sockets[0].fd)
	}
}

// Account is where the frames of a queue are. Leased and in-kernel frames are
// what is missing to Frames.
type Account struct {
	Frames                            int
	Free, Local, Gift, Back           int
	Fill, Rx, Tx, Completion, Missing int
}

// Account counts the frames. For tests and shutdown: no goroutine may use the
// queue meanwhile.
func (q *Queue) Account() Account {
	a := Account{Frames: q.opt.Frames, Free: len(q.free)}
	q.fill.cachedCons = *q.fill.consumer
	a.Fill = int(q.fill.cachedProd - q.fill.cachedCons)
	a.Completion = int(q.comp.available(q.comp.size))
	for _, s := range q.sockets {
		a.Local += len(s.local)
		a.Rx += int(s.rx.available(s.rx.size))
		a.Tx += int(s.tx.unconsumed())
		a.Gift += s.gift.len()
		a.Back += s.back.len()
	}
	a.Missing = a.Frames - a.Free - a.Local - a.Gift - a.Back - a.Fill - a.Rx - a.Tx - a.Completion
	return a
}
