package xsk

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// minFrameLen is the least the kernel transmits: an Ethernet header.
const minFrameLen = 14

// txRetryNs is the longest sleep while frames wait in TX for a system call that
// takes them: the driver was full, nobody would tell us when it is not.
const txRetryNs = 1_000_000

// sndBuf is the socket's send buffer. In copy mode every frame on its way is an
// skb charged to it; the default holds fewer than 300.
const sndBuf = 4 << 20

// Socket is one AF_XDP socket of a Queue and a netio.Conn: one goroutine owns
// it, ConnStats, Wake and FD are for everybody.
type Socket struct {
	q      *Queue
	index  int
	fd     int
	waiter netio.Waiter
	rx     descRing
	tx     descRing
	maps   [][]byte

	local []uint64   // stack of free frames, the worker's own
	back  *frameRing // to the queue's owner
	gift  *frameRing // from the queue's owner

	// passed counts frames that changed hands since this worker last looked
	// after the queue.
	passed    int
	passedMax int
	txPending bool // TX holds frames the kernel may not know of
	busyPoll  bool
	scratch   [1]uint64

	rxPackets, txPackets, txDropped, noFrame, rxInvalid atomic.Uint64
	kicks, kickErrors                                   atomic.Uint64

	mu     sync.Mutex // guards closing against ConnStats and Wake
	closed bool
	last   netio.ConnStats
}

var _ netio.Conn = (*Socket)(nil)

// newSocket opens socket number index of q and maps its RX and TX rings. On an
// error it may still return a Socket, to be closed.
func newSocket(q *Queue, index int) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &Socket{q: q, index: index, fd: fd}
	if err := s.waiter.Init(fd); err != nil {
		return s, err
	}
	s.local = make([]uint64, 0, localMax+reserve)
	s.back = newFrameRing(q.opt.Frames)
	s.gift = newFrameRing(reserve)
	s.passedMax = max(1, q.opt.RingSize/(4*q.opt.Sockets))
	size := uint32(q.opt.RingSize)
	if err := setRing(fd, unix.XDP_RX_RING, size); err != nil {
		return s, fmt.Errorf("set rx ring of %d: %w", size, err)
	}
	if err := setRing(fd, unix.XDP_TX_RING, size); err != nil {
		return s, fmt.Errorf("set tx ring of %d: %w", size, err)
	}
	off, err := mmapOffsets(fd)
	if err != nil {
		return s, err
	}
	mem, r, err := mapRing(fd, unix.XDP_PGOFF_RX_RING, off.Rx, size, descSize)
	if err != nil {
		return s, fmt.Errorf("map rx ring: %w", err)
	}
	s.maps = append(s.maps, mem)
	s.rx = descRing{ring: r, descs: descsAt(mem, off.Rx, size)}
	mem, r, err = mapRing(fd, unix.XDP_PGOFF_TX_RING, off.Tx, size, descSize)
	if err != nil {
		return s, fmt.Errorf("map tx ring: %w", err)
	}
	s.maps = append(s.maps, mem)
	s.tx = descRing{ring: r, descs: descsAt(mem, off.Tx, size)}

	// What the kernel or our privileges do not allow only costs speed.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sndBuf) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sndBuf)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, min(q.opt.TxBudget, q.opt.RingSize))
	if q.opt.BusyPollUs > 0 {
		if err := s.setBusyPoll(); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *Socket) setBusyPoll() error {
	o := &s.q.opt
	for _, v := range []struct {
		name     string
		opt, val int
	}{
		{"SO_PREFER_BUSY_POLL", unix.SO_PREFER_BUSY_POLL, 1},
		{"SO_BUSY_POLL", unix.SO_BUSY_POLL, o.BusyPollUs},
		{"SO_BUSY_POLL_BUDGET", unix.SO_BUSY_POLL_BUDGET, o.BusyPollBudget},
	} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, v.opt, v.val); err != nil {
			return fmt.Errorf("set %s to %d: %w", v.name, v.val, err)
		}
	}
	s.busyPoll = true
	return nil
}

// FD is the socket's descriptor for the XSKMAP; valid until Close.
func (s *Socket) FD() int { return s.fd }

// Queue is the queue the socket belongs to.
func (s *Socket) Queue() *Queue { return s.q }

// Recv implements netio.Conn. It also looks after the queue's rings: the first
// worker at every turn, so that the others need not; each of those only when much
// went through its hands, which the first one should have noticed.
func (s *Socket) Recv(pkts []netio.Packet) int {
	q := s.q
	if s.index == 0 || s.passed >= s.passedMax {
		s.serve()
	}
	n := int(s.rx.available(uint32(len(pkts))))
	if n == 0 {
		if s.busyPoll {
			kickRX(s.fd)
		}
		return 0
	}
	n = min(n, len(pkts))
	got := 0
	for range n {
		d := s.rx.take()
		base := d.Addr &^ q.frameMask
		end := base + q.frameMask + 1
		if end > uint64(len(q.umem)) || d.Addr+uint64(d.Len) > end {
			// Cannot happen unless kernel and we disagree on the layout; the
			// frame, if it is one, goes back.
			s.rxInvalid.Add(1)
			if end <= uint64(len(q.umem)) {
				s.giveBack(base)
			}
			continue
		}
		q.track.lease(base)
		p := &pkts[got]
		p.Data = q.umem[d.Addr : d.Addr+uint64(d.Len) : end]
		p.IfIndex = q.opt.IfIndex
		p.Synthetic = false
		p.Action = netio.Drop
		p.CommitPos = 0
		p.Token = base
		got++
	}
	s.rx.release()
	s.rxPackets.Add(uint64(got))
	s.passed += n
	return got
}

// Backlog implements netio.Backlogger: the RX ring.
func (s *Socket) Backlog() (waiting, room int) { return int(s.rx.waiting()), int(s.rx.size) }

// Alloc implements netio.Conn.
func (s *Socket) Alloc(p *netio.Packet) bool {
	q := s.q
	if len(s.local) == 0 {
		s.local = s.gift.pop(s.local, reserve)
		if len(s.local) == 0 && s.serve() {
			s.local = s.gift.pop(s.local, reserve)
		}
		if len(s.local) == 0 {
			s.noFrame.Add(1)
			return false
		}
	}
	base := s.local[len(s.local)-1]
	s.local = s.local[:len(s.local)-1]
	q.track.lease(base)
	start := base + unix.XDP_PACKET_HEADROOM + uint64(q.opt.Headroom)
	end := base + q.frameMask + 1
	*p = netio.Packet{Data: q.umem[start:start:end], IfIndex: q.opt.IfIndex, Token: base}
	return true
}

// Send implements netio.Conn. Data may begin anywhere in its frame.
func (s *Socket) Send(pkts []netio.Packet) {
	q := s.q
	room := int(s.tx.free(uint32(len(pkts))))
	if room < len(pkts) {
		// In copy mode nothing but our own system call empties the ring.
		s.kick()
		room = int(s.tx.free(uint32(len(pkts))))
	}
	sent := 0
	for i := range pkts {
		p := &pkts[i]
		off, ok := offsetIn(q.umem, p.Data)
		base := p.Token
		q.track.end(base)
		if sent == room || !ok || off&^q.frameMask != base || len(p.Data) < minFrameLen || off+uint64(len(p.Data)) > base+q.frameMask+1 {
			s.txDropped.Add(1)
			s.giveBack(base)
			continue
		}
		s.tx.put(off, uint32(len(p.Data)))
		sent++
	}
	if sent > 0 {
		s.tx.publish()
		s.txPackets.Add(uint64(sent))
		s.txPending = true
	}
	s.passed += len(pkts)
}

// Release implements netio.Conn.
func (s *Socket) Release(pkts []netio.Packet) {
	q := s.q
	for i := range pkts {
		base := pkts[i].Token
		q.track.end(base)
		q.track.poison(q.umem[base : base+q.frameMask+1])
		s.giveBack(base)
	}
	s.passed += len(pkts)
}

// giveBack returns a frame that is not on loan any more.
func (s *Socket) giveBack(base uint64) {
	if len(s.local) < localMax {
		s.local = append(s.local, base)
		return
	}
	s.scratch[0] = base
	s.back.push(s.scratch[:]) // has room for every frame there is
}

// serve looks after the queue unless somebody else is at it.
func (s *Socket) serve() bool {
	if !s.q.tryServe() {
		return false
	}
	s.passed = 0
	return true
}

// Flush implements netio.Conn.
func (s *Socket) Flush() {
	if s.txPending {
		s.kick()
	}
}

// kick makes the kernel take what TX holds. In zero-copy mode the driver does so
// by itself unless it asks for a call. In copy mode the call is the
// transmission, of a limited number of frames (32 where the budget cannot be
// set), after which it says EAGAIN: it is repeated while that makes progress.
// What is left after that waits for the next kick; the device is full and
// spinning would not empty it.
func (s *Socket) kick() {
	if s.q.zeroCopy {
		s.txPending = false
		if s.tx.needWakeup() {
			s.kicks.Add(1)
			if errno := kickTX(s.fd); errno != 0 && !transient(errno) {
				s.kickErrors.Add(1)
			} else if errno == unix.EAGAIN || errno == unix.EBUSY {
				s.txPending = true
			}
		}
		return
	}
	before := s.tx.unconsumed()
	// Each call but the last makes progress, so this ends; the bound also
	// holds should the kernel's index run backwards.
	for range s.tx.size/32 + 2 {
		if before == 0 {
			break
		}
		s.kicks.Add(1)
		errno := kickTX(s.fd)
		after := s.tx.unconsumed()
		if errno != 0 && !transient(errno) {
			s.kickErrors.Add(1)
			before = after
			break
		}
		if after >= before && errno != unix.EINTR {
			break
		}
		before = after
	}
	s.txPending = before != 0
}

// transient says whether a later call may succeed where this one failed.
func transient(e unix.Errno) bool {
	return e == unix.EAGAIN || e == unix.EBUSY || e == unix.ENOBUFS || e == unix.EINTR
}

// Wait implements netio.Conn. In copy mode the poll also transmits what TX still
// holds, but nothing would tell us when the device has room again.
func (s *Socket) Wait(timeoutNs int64) {
	if s.txPending {
		timeoutNs = min(timeoutNs, txRetryNs)
	}
	if s.passed > 0 {
		s.serve()
	}
	s.waiter.Wait(timeoutNs, true)
	if s.txPending {
		s.kick()
	}
}

// Wake implements netio.Conn.
func (s *Socket) Wake() { s.waiter.Wake() }

// ConnStats implements netio.Conn.
func (s *Socket) ConnStats() netio.ConnStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connStatsLocked()
}

func (s *Socket) connStatsLocked() netio.ConnStats {
	st := s.last
	st.RxPackets = s.rxPackets.Load()
	st.TxPackets = s.txPackets.Load()
	st.NoFrame = s.noFrame.Load()
	if s.closed {
		return st
	}
	st.TxDropped = s.txDropped.Load()
	st.RxInvalid = s.rxInvalid.Load()
	if k, err := statistics(s.fd); err == nil {
		// An empty FILL ring shows as rx_dropped in copy mode already.
		st.RxDropped = k.Rx_dropped + k.Rx_ring_full
		st.TxDropped += k.Tx_invalid_descs
		if s.index == 0 {
			st.RxInvalid += k.Rx_invalid_descs // of the FILL ring: the same for all
		}
	}
	return st
}

// Statistics are the kernel's counters of the socket (XDP_STATISTICS). The
// fields about the FILL ring are the queue's and equal for all its sockets. Safe
// from any goroutine.
func (s *Socket) Statistics() (unix.XDPStatistics, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return unix.XDPStatistics{}, os.ErrClosed
	}
	return statistics(s.fd)
}

// Kicks are the system calls made to transmit and how many of them failed for
// good. Safe from any goroutine.
func (s *Socket) Kicks() (calls, failed uint64) { return s.kicks.Load(), s.kickErrors.Load() }

// Close implements netio.Conn. With its last socket the queue ends; until then
// the frames stay mapped.
func (s *Socket) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.last = s.connStatsLocked()
	s.closed = true
	var errs []error
	if s.fd >= 0 {
		errs = append(errs, unix.Close(s.fd))
	}
	errs = append(errs, s.waiter.Close())
	for _, m := range s.maps {
		errs = append(errs, unix.Munmap(m))
	}
	s.maps = nil
	s.mu.Unlock()

	q := s.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open--; q.open == 0 {
		q.unmap()
	}
	return errors.Join(errs...)
}
