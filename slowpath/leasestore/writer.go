package leasestore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Errors of WaitDurable and Snapshot.
var (
	// ErrFailed: the store cannot write now; Health says why. It may resume.
	ErrFailed = errors.New("lease store cannot write")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("lease store is closed")
)

const (
	maxWriters       = 256
	ringRecordBytes  = 256 // ring bytes per record of Options.RingRecords
	minRingBytes     = 64 << 10
	cacheLine        = 64
	defaultRingSlots = 16384
)

// Writer is a single producer: Append, Room, Kick, SetWake and Retire belong to
// the goroutine that owns it; the other methods may be called from any. It
// implements lease.Journal.
//
// The ring is bytes: a record lies contiguous at its position modulo the ring's
// size, running over into slack behind the end when it does not fit before it.
type Writer struct {
	s    *Store
	name string
	ring []byte
	mask uint64
	recs uint64 // greatest number of records in the ring

	_ [cacheLine]byte
	// The owner's.
	head, pos          uint64 // bytes and records appended
	tailSeen, recsSeen uint64 // what the owner last saw of tail and tailRecs
	gone               bool   // Retire was called
	_                  [cacheLine]byte

	published atomic.Uint64 // head as the committer may see it
	full      atomic.Uint64 // Append calls refused
	retired   atomic.Bool
	_         [cacheLine]byte

	tail     atomic.Uint64 // bytes copied out of the ring
	tailRecs atomic.Uint64
	durable  atomic.Uint64 // records; with SyncNone the owner stores it
	settled  atomic.Uint64 // bytes durable
	wake     atomic.Pointer[func()]
	_        [cacheLine]byte

	// The committer's.
	drained, drainedRecs uint64
}

var (
	_ lease.Journal  = (*Writer)(nil)
	_ lease6.Journal = (*Writer)(nil)
)

// NewWriter adds a producer. Writers live as long as the Store, or until
// Retire. More than 256 at once is a programming error and panics. A Writer of
// a closed store refuses every record.
func (s *Store) NewWriter(name string) *Writer {
	n := uint64(minRingBytes)
	for n < uint64(s.o.RingRecords)*ringRecordBytes {
		n *= 2
	}
	w := &Writer{s: s, name: name, ring: make([]byte, n+maxRecord), mask: n - 1, recs: uint64(s.o.RingRecords)}
	s.writersMu.Lock()
	defer s.writersMu.Unlock()
	old := *s.writers.Load()
	if len(old) >= maxWriters {
		panic("leasestore: more than 256 writers")
	}
	all := make([]*Writer, 0, len(old)+1)
	all = append(append(all, old...), w)
	s.writers.Store(&all)
	return w
}

// Name is what NewWriter was given.
func (w *Writer) Name() string { return w.name }

// Append queues one change; see lease.Journal. It refuses while the store has
// failed, when the ring is full, and a user context longer than MaxUserContext.
// It takes no lock and allocates nothing.
func (w *Writer) Append(op lease.Op, l *lease.Lease4) (pos uint64, ok bool) {
	b := w.place(uint64(recordSize(op, l)))
	if b == nil {
		return 0, false
	}
	encodeRecord(b, op, l)
	return w.publish(len(b)), true
}

// Append6 queues one change; see Append. Positions are those of one sequence for
// both families.
func (w *Writer) Append6(op lease.Op, l *lease6.Lease6) (pos uint64, ok bool) {
	b := w.place(uint64(recordSize6(op, l)))
	if b == nil {
		return 0, false
	}
	encodeRecord6(b, op, l)
	return w.publish(len(b)), true
}

// place returns the room for a record of n bytes in the ring, nil if there is
// none.
func (w *Writer) place(n uint64) []byte {
	if w.s.refuse.Load() != 0 || w.gone || n > maxRecord ||
		(w.head+n-w.tailSeen > w.mask+1 || w.pos-w.recsSeen >= w.recs) && !w.hasRoom(n) {
		w.refused()
		return nil
	}
	p := w.head & w.mask
	return w.ring[p : p+n]
}

// publish hands the record of n bytes at the place to the committer.
func (w *Writer) publish(n int) (pos uint64) {
	w.head += uint64(n)
	w.pos++
	w.published.Store(w.head)
	if w.s.o.Sync == SyncNone {
		w.durable.Store(w.pos)
	}
	return w.pos
}

func (w *Writer) refused() {
	if w.gone { // w may be forgotten already
		w.s.stats.retiredFull.Add(1)
	} else {
		w.full.Add(1)
	}
}

// hasRoom looks again at what the committer has taken.
func (w *Writer) hasRoom(n uint64) bool {
	w.tailSeen = w.tail.Load()
	w.recsSeen = w.tailRecs.Load()
	return w.head+n-w.tailSeen <= w.mask+1 && w.pos-w.recsSeen < w.recs
}

// Room is how many records of DHCPv4 leases without user context can be appended
// now, however long; 0 while the store has failed. Of an empty ring it is less
// than Options.RingRecords, since typical records are far shorter than the
// longest.
func (w *Writer) Room() int { return w.roomFor(maxPlainRecord) }

// Room6 is Room for records of DHCPv6 leases.
func (w *Writer) Room6() int { return w.roomFor(maxPlainRecord6) }

func (w *Writer) roomFor(longest uint64) int {
	if w.s.refuse.Load() != 0 || w.gone {
		return 0
	}
	w.tailSeen = w.tail.Load()
	w.recsSeen = w.tailRecs.Load()
	return int(min((w.mask+1-(w.head-w.tailSeen))/longest, w.recs-(w.pos-w.recsSeen)))
}

// Healthy is false while the store cannot make anything durable; one atomic
// load.
func (w *Writer) Healthy() bool { return w.s.refuse.Load() == 0 }

// DurableVersion is a lower bound: every change of a DHCPv4 lease with a Version
// up to it is on stable storage, whichever Writer appended it, and changes that are about to
// be appended have greater ones; see the package comment. One atomic load.
func (w *Writer) DurableVersion() uint64 { return w.s.durableVersion[v4].Load() }

// DurableVersion6 is DurableVersion for DHCPv6 leases.
func (w *Writer) DurableVersion6() uint64 { return w.s.durableVersion[v6].Load() }

// Durable is the greatest position that is durable; one atomic load.
func (w *Writer) Durable() uint64 { return w.durable.Load() }

// Kick tells the committer that the batch is complete: an atomic load when it
// is awake, a wake-up when it sleeps. Records appended without a Kick are
// committed with the next one of any Writer.
func (w *Writer) Kick() { w.s.kick() }

// SetWake makes the committer call f after it has advanced Durable; nil ends
// it. f must not block. With SyncNone it is never called: there is nothing to
// wait for.
func (w *Writer) SetWake(f func()) {
	if f == nil {
		w.wake.Store(nil)
		return
	}
	w.wake.Store(&f)
}

// WaitDurable blocks until pos is durable (nil), the context ends, or the store
// fails (ErrFailed) or closes (ErrClosed). After ErrFailed the record is still
// queued and may become durable later. For control commands, never for a
// worker. pos must come from an Append of w.
func (w *Writer) WaitDurable(ctx context.Context, pos uint64) error {
	w.s.kick()
	return w.s.wait(ctx, func() bool { return w.durable.Load() >= pos })
}

// Retire ends the writer after what it has queued is drained. Append refuses
// from now on.
func (w *Writer) Retire() {
	w.gone = true
	w.retired.Store(true)
	w.s.kick()
}

// wait blocks until ok holds, which changes only when the committer says so.
func (s *Store) wait(ctx context.Context, ok func() bool) error {
	s.waiters.Add(1)
	defer s.waiters.Add(-1)
	for {
		s.waitMu.Lock()
		ch := s.waitCh
		s.waitMu.Unlock()
		if ok() {
			return nil
		}
		if s.finished.Load() {
			return ErrClosed
		}
		if h := s.health.Load(); !h.OK {
			return fmt.Errorf("%w: %s", ErrFailed, h.Err)
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// broadcast makes all waiters look again.
func (s *Store) broadcast() {
	if s.waiters.Load() == 0 {
		return
	}
	s.waitMu.Lock()
	close(s.waitCh)
	s.waitCh = make(chan struct{})
	s.waitMu.Unlock()
}

func (s *Store) kick() {
	if s.asleep.Load() != 0 && s.asleep.CompareAndSwap(1, 0) {
		select {
		case s.wakeCh <- struct{}{}:
		default:
		}
	}
}

// Writers is how many there are that are not retired, or not drained yet.
func (s *Store) Writers() int { return len(*s.writers.Load()) }
