package leasestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

const (
	// snapshotBlockBytes is when a block of a snapshot is closed.
	snapshotBlockBytes = 256 << 10
	// snapshotSyncBytes is how much of a snapshot is written between syncs, so
	// that the journal's syncs do not wait for all of it.
	snapshotSyncBytes = 4 << 20
	// snapshotQueue is how many blocks may wait between two shards.
	snapshotQueue = 4
)

// snapshotFile is an open snapshot.
type snapshotFile struct {
	fileHeader
	f    File
	name string
	size int64
}

func openSnapshot(fsys FS, name string, number uint64) (*snapshotFile, error) {
	f, h, size, err := openFile(fsys, name, snapshotMagic, number)
	if err != nil {
		return nil, err
	}
	return &snapshotFile{h, f, name, size}, nil
}

// read passes all of it on and returns the greatest version. A snapshot gets
// its name only when it is complete, so whatever is wrong is damage.
func (s *snapshotFile) read(emit func(*chunk)) (maxVersion uint64, err error) {
	sp, err := readBlocks(s.f, s.salt, fileHeaderLen, s.size, emit)
	switch {
	case err != nil:
		return 0, fmt.Errorf("read %s: %w", s.name, err)
	case sp.err != nil:
		return 0, corrupt(s.name, sp.bad, sp.err.Error())
	case !sp.ended:
		return 0, corrupt(s.name, sp.end, "snapshot ends early")
	case sp.end != s.size:
		return 0, corrupt(s.name, sp.end, "bytes follow the end of the snapshot")
	case sp.endCount != uint64(sp.records):
		return 0, corrupt(s.name, sp.end, fmt.Sprintf("snapshot holds %d leases and says %d", sp.records, sp.endCount))
	}
	return sp.maxVersion, nil
}

// blockQueue carries encoded blocks from the walk, which may not wait for the
// disk because it holds a shard's lock, to the goroutine that writes them.
type blockQueue struct {
	mu     sync.Mutex
	cond   sync.Cond
	blocks []snapshotBlock
	free   [][]byte
	ended  bool
	err    error
	failed atomic.Bool // err is set
}

type snapshotBlock struct {
	buf     []byte // room for the header, then records
	records uint32
}

func newBlockQueue() *blockQueue {
	q := &blockQueue{}
	q.cond.L = &q.mu
	return q
}

func (q *blockQueue) buffer() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.free); n > 0 {
		b := q.free[n-1]
		q.free = q.free[:n-1]
		return b[:blockHeaderLen]
	}
	return make([]byte, blockHeaderLen, blockHeaderLen+snapshotBlockBytes+maxRecord)
}

func (q *blockQueue) put(b snapshotBlock) {
	q.mu.Lock()
	q.blocks = append(q.blocks, b)
	q.mu.Unlock()
	q.cond.Broadcast()
}

// wait blocks while more than n blocks are queued.
func (q *blockQueue) wait(n int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.blocks) > n && q.err == nil {
		q.cond.Wait()
	}
	return q.err
}

func (q *blockQueue) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.cond.Broadcast()
}

func (q *blockQueue) next() (b snapshotBlock, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.blocks) == 0 && !q.ended {
		q.cond.Wait()
	}
	if len(q.blocks) == 0 {
		return b, false
	}
	b = q.blocks[0]
	q.blocks[0] = snapshotBlock{}
	q.blocks = q.blocks[1:]
	return b, true
}

func (q *blockQueue) done(buf []byte, err error) {
	q.mu.Lock()
	if len(q.free) < 2*snapshotQueue {
		q.free = append(q.free, buf)
	}
	if err != nil && q.err == nil {
		q.err = err
		q.failed.Store(true)
	}
	q.mu.Unlock()
	q.cond.Broadcast()
}

// snapshotWriter writes the blocks.
type snapshotWriter struct {
	f        File
	salt     uint64
	off      int64
	unsynced int64
	leases   uint64
}

func (w *snapshotWriter) write(b snapshotBlock, kind uint32) error {
	h := blockHeader{start: uint64(w.off), length: uint32(len(b.buf) - blockHeaderLen), records: b.records, kind: kind}
	if kind == kindEnd {
		h.durable = w.leases
	}
	h.encode(b.buf, w.salt)
	if _, err := w.f.WriteAt(b.buf, w.off); err != nil {
		return err
	}
	w.off += int64(len(b.buf))
	w.leases += uint64(b.records)
	if w.unsynced += int64(len(b.buf)); w.unsynced >= snapshotSyncBytes || kind == kindEnd {
		w.unsynced = 0
		return w.f.Datasync()
	}
	return nil
}

// Snapshot rotates the journal and writes all leases of src (offers left out),
// then removes what it makes superfluous. One at a time; others wait. If it
// fails, the directory holds what it held and one segment more. It reports the
// outcome as an Event too.
func (s *Store) Snapshot(ctx context.Context, src Source) error {
	select {
	case s.snapshotting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return ErrClosed
	}
	defer func() { <-s.snapshotting }()
	select {
	case <-s.closing:
		return ErrClosed
	default:
	}
	began := time.Now()
	n, bytes, err := s.snapshot(ctx, src)
	if err != nil {
		err = fmt.Errorf("write snapshot of leases: %w", err)
		s.o.Event(Event{Kind: "snapshot-failed", Text: "the journal keeps growing", Err: err})
		return err
	}
	s.o.Event(Event{Kind: "snapshot-written", Text: fmt.Sprintf("%d leases, %d bytes, in %v", n, bytes, time.Since(began).Round(time.Millisecond))})
	return nil
}

func (s *Store) snapshot(ctx context.Context, src Source) (leases uint64, bytes int64, err error) {
	r := rotation{reply: make(chan rotated, 1)}
	select {
	case s.rotate <- r:
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-s.done:
		return 0, 0, ErrClosed
	}
	cut := <-r.reply
	if cut.err != nil {
		return 0, 0, cut.err
	}

	name := snapshotName(s.o.Dir, cut.base)
	temp := name + tempSuffix
	f, err := s.fs.Create(temp)
	if errors.Is(err, fs.ErrExist) { // one that could not be removed
		if err = s.fs.Remove(temp); err == nil {
			f, err = s.fs.Create(temp)
		}
	}
	if err != nil {
		return 0, 0, err
	}
	w := &snapshotWriter{f: f, salt: newSalt(), off: fileHeaderLen}
	h := fileHeader{number: cut.base, cutVersion: cut.cutVersion, salt: w.salt, createdUnixNs: time.Now().UnixNano()}
	err = s.fillSnapshot(ctx, src, w, h)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		// The table was walked after the rotation, so each change up to the cut
		// version has been appended by now: see the package comment.
		if err = s.flush(ctx); err == nil && s.o.Sync == SyncGroup {
			s.raiseDurableVersion(cut.cutVersion)
		}
	}
	if err == nil {
		err = s.fs.Rename(temp, name)
	}
	if err != nil {
		_ = s.fs.Remove(temp) // Open removes it otherwise
		return 0, 0, err
	}
	// Whether the name survives a power cut is not known if this fails; both
	// ways are sound as long as nothing is removed.
	if err := s.fs.SyncDir(s.o.Dir); err != nil {
		return 0, 0, fmt.Errorf("sync directory: %w", err)
	}
	s.stats.snapshots.Add(1)
	s.stats.journalBytes.Add(-cut.journal)
	s.stats.lastSnapshotUnixNs.Store(h.createdUnixNs)
	s.needReset.Store(true)
	s.removeBefore(cut.base)
	return w.leases, w.off, nil
}

// fillSnapshot writes header, leases and end, and syncs.
func (s *Store) fillSnapshot(ctx context.Context, src Source, w *snapshotWriter, h fileHeader) error {
	var b [fileHeaderLen]byte
	h.encode(b[:], snapshotMagic)
	if _, err := w.f.WriteAt(b[:], 0); err != nil {
		return err
	}
	q := newBlockQueue()
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		for {
			b, ok := q.next()
			if !ok {
				return
			}
			if err == nil {
				err = w.write(b, kindData)
			}
			q.done(b.buf, err)
		}
	})
	err := s.walk(ctx, src, q)
	q.end()
	wg.Wait()
	if err == nil {
		err = q.err
	}
	if err != nil {
		return err
	}
	return w.write(snapshotBlock{buf: b[:blockHeaderLen]}, kindEnd)
}

// walk encodes the leases into blocks. It does not wait while src holds a lock.
func (s *Store) walk(ctx context.Context, src Source, q *blockQueue) error {
	block := snapshotBlock{buf: q.buffer()}
	seen := 0
	stop := func() error {
		if q.failed.Load() {
			return q.wait(0)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closing:
			return ErrClosed
		default:
			return nil
		}
	}
	var err error
	take := func(l *lease.Lease4) bool {
		if seen++; seen&255 == 0 {
			if err = stop(); err != nil {
				return false
			}
		}
		if l.State == lease.StateOffered {
			return true
		}
		n := recordSize(lease.OpPut, l)
		if n > maxRecord {
			err = fmt.Errorf("lease %v: user context of %d bytes is longer than %d", l.Addr, len(l.UserContext), MaxUserContext)
			return false
		}
		p := len(block.buf)
		block.buf = append(block.buf, make([]byte, n)...)
		encodeRecord(block.buf[p:], lease.OpPut, l)
		block.records++
		if len(block.buf) >= snapshotBlockBytes {
			q.put(block)
			block = snapshotBlock{buf: q.buffer()}
		}
		return true
	}
	if sh, ok := src.(ShardedSource); ok {
		for i := range sh.Shards() {
			sh.WalkShard(i, take)
			if err == nil {
				err = q.wait(snapshotQueue)
			}
			if err == nil {
				err = stop()
			}
			if err != nil {
				return err
			}
			runtime.Gosched()
		}
	} else {
		src.Walk(take)
	}
	if err == nil {
		err = stop()
	}
	if err == nil && block.records > 0 {
		q.put(block)
	}
	return err
}

// removeBefore removes the snapshots and segments that snapshot base makes
// superfluous. What remains is removed after the next one, or by Open.
func (s *Store) removeBefore(base uint64) {
	names, err := s.fs.List(s.o.Dir)
	if err != nil {
		s.o.Event(Event{Kind: "cleanup-failed", Text: "list superfluous lease files", Err: err})
		return
	}
	for _, name := range names {
		n, ok := parseName(name, segmentSuffix)
		if !ok {
			n, ok = parseName(name, snapshotSuffix)
		}
		if !ok || n >= base {
			continue
		}
		if err := s.fs.Remove(filepath.Join(s.o.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.o.Event(Event{Kind: "cleanup-failed", Text: "remove superfluous " + name, Err: err})
		}
	}
}
