package leasestore

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/thread"
)

// allocateBytes is how far ahead of the journal disk space is reserved.
const allocateBytes = 16 << 20

// Small blocks go into space that was written with zeroes zeroBytes at a time:
// the first write to space that is only reserved makes fdatasync wait for the
// file system's own journal, which nearly doubles its time on ext4. Blocks
// longer than zeroBlock are not worth writing twice.
const (
	zeroBytes = 256 << 10
	zeroBlock = 64 << 10
)

var zeroes [zeroBytes]byte

// maxGarbage is how many abandoned segments may wait to be removed; with more,
// no further one is made.
const maxGarbage = 8

// segment is the file being written.
type segment struct {
	f      File
	name   string
	number uint64
	salt   uint64
	off    int64 // bytes written
	synced int64 // of them on stable storage
	alloc  int64 // size of the file
	zeroed int64 // up to where it was overwritten with zeroes
	blocks int
}

// tailOf says how a segment ends, for the header of the next one.
type tailOf struct {
	number       uint64
	len, durable int64
}

// batch is the block being committed: a header and whole records.
type batch struct {
	buf     []byte
	records uint32
	maxSeen versions // the greatest of any batch
	from    []drained
}

// drained is what the batch has of one writer.
type drained struct {
	w           *Writer
	bytes, recs uint64 // its positions after the batch
}

func (b *batch) init() {
	b.buf = make([]byte, blockHeaderLen, blockHeaderLen+64<<10)
	b.from = make([]drained, 0, maxWriters)
}

func (b *batch) reset() {
	b.buf = b.buf[:blockHeaderLen]
	b.records = 0
	b.from = b.from[:0]
}

// run is the committer.
func (s *Store) run() {
	// Answers wait for it, so it must not wait for who computes on its core. The
	// thread ends with the goroutine.
	runtime.LockOSThread()
	_ = thread.ShortSlice()
	defer close(s.done)
	defer s.broadcast()
	defer s.finished.Store(true)
	for {
		s.gather()
		s.drain()
		if s.batch.records > 0 {
			if err := s.commit(); err != nil {
				s.abandon(err)
				if !s.resume() {
					return
				}
			}
			s.settle()
		}
		select {
		case r := <-s.rotate:
			s.answer(r)
		default:
		}
		if s.batch.records > 0 { // there may be more
			s.batch.reset()
			continue
		}
		s.dropRetired()
		select {
		case <-s.closing:
			if !s.work() {
				return
			}
		default:
			s.sleep()
		}
	}
}

// sleep waits for a Kick, a rotation or the end. Whoever appends before it
// looks at asleep is seen by work; whoever appends later kicks.
func (s *Store) sleep() {
	s.asleep.Store(1)
	if !s.work() {
		select {
		case <-s.wakeCh:
		case r := <-s.rotate:
			s.asleep.Store(0)
			s.answer(r)
		case <-s.closing:
		}
	}
	s.asleep.Store(0)
}

// work reports whether a ring holds records, or an idle writer is to go.
func (s *Store) work() bool {
	for _, w := range *s.writers.Load() {
		if w.published.Load() != w.drained || w.retired.Load() {
			return true
		}
	}
	return false
}

// drain fills the batch from all rings, beginning with another one each time so
// that a full block starves nobody.
func (s *Store) drain() {
	all := *s.writers.Load()
	b := &s.batch
	s.turn++
	for i := range all {
		w := all[(i+s.turn)%len(all)]
		head := w.published.Load()
		if head == w.drained {
			continue
		}
		t, n := w.drained, uint64(0)
		for t < head {
			rec := w.ring[t&w.mask:]
			k := recLen(rec)
			if len(b.buf)-blockHeaderLen+k > maxBlockBytes {
				break
			}
			b.buf = append(b.buf, rec[:k]...)
			f := recFamily(rec)
			b.maxSeen[f] = max(b.maxSeen[f], recVersion(rec))
			t += uint64(k)
			n++
		}
		if n == 0 {
			return
		}
		w.drained = t
		w.drainedRecs += n
		w.tail.Store(t)
		w.tailRecs.Store(w.drainedRecs)
		b.records += uint32(n)
		b.from = append(b.from, drained{w, t, w.drainedRecs})
	}
}

// commit writes the batch to the segment and makes it durable.
func (s *Store) commit() error {
	began := time.Now()
	s.pace.began(began, int(s.batch.records))
	if err := s.writeBlock(kindData); err != nil {
		return err
	}
	s.stats.commit(int(s.batch.records), len(s.batch.buf), time.Since(began))
	return nil
}

func (s *Store) writeBlock(kind uint32) error {
	g, b := s.seg, &s.batch
	h := blockHeader{start: uint64(g.off), durable: uint64(g.synced), kind: kind,
		length: uint32(len(b.buf) - blockHeaderLen), records: b.records}
	h.encode(b.buf, g.salt)
	end := g.off + int64(len(b.buf))
	if end > g.alloc && !s.noAlloc {
		// Without the reservation each commit would change the file's size. That
		// it fails (full disk) does not mean that this block has no room.
		n := max(int64(allocateBytes), end-g.alloc)
		if err := g.f.Allocate(g.alloc, n); err == nil {
			g.alloc += n
		} else if errors.Is(err, errors.ErrUnsupported) {
			s.noAlloc = true
		}
	}
	if end > g.zeroed && end < g.alloc && len(b.buf) <= zeroBlock && kind == kindData && s.o.Sync == SyncGroup {
		from := max(g.zeroed, g.off)
		g.zeroed = min(from+zeroBytes, g.alloc)
		// Should it fail, so will what follows, or it does not matter.
		_, _ = g.f.WriteAt(zeroes[:g.zeroed-from], from)
	}
	if _, err := g.f.WriteAt(b.buf, g.off); err != nil {
		return err
	}
	if s.o.Sync == SyncGroup || kind == kindEnd {
		if err := g.f.Datasync(); err != nil {
			return err
		}
		g.synced = end
	}
	g.off = end
	g.alloc = max(g.alloc, end)
	g.blocks++
	return nil
}

// settle publishes that the batch is durable.
func (s *Store) settle() {
	b := &s.batch
	for f := range s.committed {
		s.committed[f].Store(b.maxSeen[f])
	}
	for _, d := range b.from {
		d.w.settled.Store(d.bytes)
		if s.o.Sync == SyncGroup {
			d.w.durable.Store(d.recs)
		}
	}
	if s.o.Sync == SyncGroup {
		for _, d := range b.from {
			if f := d.w.wake.Load(); f != nil {
				(*f)()
			}
		}
		if s.durableVersion[v4].Load() < b.maxSeen[v4] || s.durableVersion[v6].Load() < b.maxSeen[v6] {
			select {
			case s.markCh <- struct{}{}:
			default:
			}
		}
	}
	s.stats.journalBytes.Add(int64(len(b.buf)))
	s.askSnapshot()
	s.broadcast()
}

// abandon gives up the segment after a write error: it is valid up to its last
// durable byte and never written again.
func (s *Store) abandon(err error) {
	g := s.seg
	s.seg = nil
	s.prev = tailOf{g.number, g.off, g.synced}
	if s.o.Sync == SyncGroup {
		s.prev.len = g.synced
	}
	g.f.Close() // its error adds nothing
	s.stats.errors.Add(1)
	s.health.Store(&Health{Err: err.Error(), Since: time.Now()})
	s.refuse.Or(refuseFailed)
	s.broadcast()
	s.o.Event(Event{Kind: "journal-failed", Text: "cannot write the lease journal, no lease is granted", Err: err})
}

// resume tries until the batch is durable in a new segment. It reports false
// when the store closes and the last attempt has failed too.
func (s *Store) resume() bool {
	began := time.Now()
	t := time.NewTimer(s.o.RetryEvery)
	defer t.Stop()
	for last := false; ; {
		select {
		case <-t.C:
		case <-s.closing:
			last = true
		case r := <-s.rotate:
			s.answer(r)
			continue
		}
		err := s.retry()
		h := *s.health.Load()
		h.Attempts++
		if err == nil {
			s.health.Store(&Health{OK: true, Since: time.Now(), Attempts: h.Attempts})
			s.refuse.And(^uint32(refuseFailed))
			s.o.Event(Event{Kind: "journal-resumed", Text: fmt.Sprintf("writing the lease journal works again after %v", time.Since(began).Round(time.Millisecond))})
			return true
		}
		h.Err = err.Error()
		s.health.Store(&h)
		s.stats.errors.Add(1)
		if last {
			return false
		}
		t.Reset(s.o.RetryEvery)
	}
}

func (s *Store) retry() error {
	g, err := s.createSegment()
	if err != nil {
		return err
	}
	s.seg = g
	if err := s.commit(); err != nil {
		// Nothing in it was acknowledged: the chain goes past it.
		s.seg = nil
		g.f.Close()
		s.garbage = append(s.garbage, g.name)
		s.removeGarbage()
		return err
	}
	return nil
}

// createSegment makes the next segment, which follows s.prev or the active one,
// and makes its header and name durable before any block is written: so a
// segment with blocks has a valid header.
func (s *Store) createSegment() (_ *segment, err error) {
	s.removeGarbage()
	if len(s.garbage) >= maxGarbage {
		return nil, fmt.Errorf("create segment: %d abandoned ones cannot be removed", len(s.garbage))
	}
	p := s.prev
	if s.seg != nil {
		p = tailOf{s.seg.number, s.seg.off, s.seg.synced}
	}
	g := &segment{}
	for try := 0; ; try++ {
		g.number = s.next
		s.next++
		g.name = segmentName(s.o.Dir, g.number)
		if g.f, err = s.fs.Create(g.name); err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) || try == 16 {
			return nil, fmt.Errorf("create segment: %w", err)
		}
	}
	defer func() {
		if err != nil {
			g.f.Close()
			s.garbage = append(s.garbage, g.name)
			s.removeGarbage()
		}
	}()
	h := fileHeader{number: g.number, prev: p.number, prevLen: uint64(p.len), prevDurable: uint64(p.durable),
		salt: newSalt(), createdUnixNs: time.Now().UnixNano()}
	var b [fileHeaderLen]byte
	h.encode(b[:], segmentMagic)
	g.salt = h.salt
	if !s.noAlloc {
		if err := g.f.Allocate(0, allocateBytes); err == nil {
			g.alloc = allocateBytes
		} else if errors.Is(err, errors.ErrUnsupported) {
			s.noAlloc = true
		}
	}
	if _, err := g.f.WriteAt(b[:], 0); err != nil {
		return nil, err
	}
	g.off = fileHeaderLen
	g.alloc = max(g.alloc, g.off)
	if err := g.f.Datasync(); err != nil {
		return nil, err
	}
	g.synced = g.off
	if err := s.fs.SyncDir(s.o.Dir); err != nil {
		return nil, fmt.Errorf("sync directory: %w", err)
	}
	return g, nil
}

// removeGarbage removes abandoned segments as far as that works.
func (s *Store) removeGarbage() {
	s.garbage = slices.DeleteFunc(s.garbage, func(name string) bool {
		err := s.fs.Remove(name)
		return err == nil || errors.Is(err, fs.ErrNotExist)
	})
}

// rotation asks the committer for a new segment.
type rotation struct{ reply chan rotated }

type rotated struct {
	base    uint64   // number of the segment that follows
	cut     versions // the greatest in any segment before it
	journal int64    // bytes of journal before it
	err     error
}

// answer rotates between two commits: everything drained is settled.
func (s *Store) answer(r rotation) {
	a := rotated{cut: s.batch.maxSeen}
	switch {
	case s.seg == nil:
		a.err = fmt.Errorf("%w: %s", ErrFailed, s.health.Load().Err)
	case s.seg.blocks == 0: // nothing in it yet
		a.base = s.seg.number
	default:
		a.base, a.err = s.turnSegment()
	}
	a.journal = s.stats.journalBytes.Load()
	r.reply <- a
}

func (s *Store) turnSegment() (uint64, error) {
	old := s.seg
	if old.synced < old.off { // SyncNone: the snapshot will rely on it
		if err := old.f.Datasync(); err != nil {
			return 0, err
		}
		old.synced = old.off
	}
	g, err := s.createSegment()
	if err != nil {
		return 0, err
	}
	s.seg = g
	// Give back what was reserved; the header of g says how long it is anyway.
	_ = old.f.Truncate(old.off)
	_ = old.f.Close()
	return g.number, nil
}

// dropRetired forgets writers that have nothing left to settle.
func (s *Store) dropRetired() {
	gone := func(w *Writer) bool { return w.retired.Load() && w.published.Load() == w.settled.Load() }
	if !slices.ContainsFunc(*s.writers.Load(), gone) {
		return
	}
	s.writersMu.Lock()
	defer s.writersMu.Unlock()
	all := slices.DeleteFunc(slices.Clone(*s.writers.Load()), func(w *Writer) bool {
		if !gone(w) {
			return false
		}
		s.stats.retiredFull.Add(w.full.Load())
		return true
	})
	s.writers.Store(&all)
}

// finish ends a clean run: the last segment gets a block that attests all of
// it. It runs after the committer has ended.
func (s *Store) finish() error {
	var errs []error
	if s.seg == nil {
		errs = append(errs, fmt.Errorf("close lease directory %s: %w: %s", s.o.Dir, ErrFailed, s.health.Load().Err))
	} else {
		if s.seg.synced < s.seg.off { // the end block may only attest what is durable
			if err := s.seg.f.Datasync(); err != nil {
				errs = append(errs, err)
			} else {
				s.seg.synced = s.seg.off
			}
		}
		if len(errs) == 0 {
			s.batch.reset()
			if err := s.writeBlock(kindEnd); err != nil {
				errs = append(errs, fmt.Errorf("close lease journal: %w", err))
			} else {
				_ = s.seg.f.Truncate(s.seg.off)
			}
		}
		if err := s.seg.f.Close(); err != nil {
			errs = append(errs, err)
		}
	}
	s.removeGarbage()
	if err := s.lock.Close(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
