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
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
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
func (s *snapshotFile) read(emit func(*chunk)) (greatest versions, err error) {
	sp, err := readBlocks(s.f, s.salt, fileHeaderLen, s.size, emit)
	switch {
	case err != nil:
		return greatest, fmt.Errorf("read %s: %w", s.name, err)
	case sp.err != nil:
		return greatest, corrupt(s.name, sp.bad, sp.err.Error())
	case !sp.ended:
		return greatest, corrupt(s.name, sp.end, "snapshot ends early")
	case sp.end != s.size:
		return greatest, corrupt(s.name, sp.end, "bytes follow the end of the snapshot")
	case sp.endCount != uint64(sp.records):
		return greatest, corrupt(s.name, sp.end, fmt.Sprintf("snapshot holds %d leases and says %d", sp.records, sp.endCount))
	}
	return sp.greatest, nil
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

// Snapshot rotates the journal and writes all leases of src and src6 (offers left
// out), then removes what it makes superfluous. Either may be nil if the directory
// has no lease of that family. One at a time; others wait. If it fails, the
// directory holds what it held and one segment more. It reports the outcome as an
// Event too.
func (s *Store) Snapshot(ctx context.Context, src Source, src6 Source6) error {
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
	n, bytes, err := s.snapshot(ctx, src, src6)
	if err != nil {
		err = fmt.Errorf("write snapshot of leases: %w", err)
		s.o.Event(Event{Kind: "snapshot-failed", Text: "the journal keeps growing", Err: err})
		return err
	}
	s.o.Event(Event{Kind: "snapshot-written", Text: fmt.Sprintf("%d leases, %d bytes, in %v", n, bytes, time.Since(began).Round(time.Millisecond))})
	return nil
}

func (s *Store) snapshot(ctx context.Context, src Source, src6 Source6) (leases uint64, bytes int64, err error) {
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
	if src == nil && cut.cut[v4] > 0 || src6 == nil && cut.cut[v6] > 0 {
		return 0, 0, errors.New("the directory has leases of a family that the snapshot is to leave out")
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
	h := fileHeader{number: cut.base, cut: cut.cut, salt: w.salt, createdUnixNs: time.Now().UnixNano()}
	err = s.fillSnapshot(ctx, src, src6, w, &h)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		// The table was walked after the rotation, so each change up to the cut
		// version has been appended by now: see the package comment.
		if err = s.flush(ctx); err == nil && s.o.Sync == SyncGroup {
			s.raiseDurableVersion(cut.cut)
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
func (s *Store) fillSnapshot(ctx context.Context, src Source, src6 Source6, w *snapshotWriter, h *fileHeader) error {
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
	k := &snapshotWalk{s: s, ctx: ctx, q: q}
	k.block.buf = q.buffer()
	if src != nil {
		h.leases[v4] = walk(k, src, k.take)
	}
	if src6 != nil && k.err == nil {
		h.leases[v6] = walk(k, src6, k.take6)
	}
	err := k.finish()
	q.end()
	wg.Wait()
	if err == nil {
		err = q.err
	}
	if err != nil {
		return err
	}
	var b [fileHeaderLen]byte
	h.encode(b[:], snapshotMagic)
	if _, err := w.f.WriteAt(b[:], 0); err != nil {
		return err
	}
	return w.write(snapshotBlock{buf: make([]byte, blockHeaderLen)}, kindEnd)
}

// snapshotWalk encodes leases into blocks. It does not wait while a source holds
// a lock.
type snapshotWalk struct {
	s     *Store
	ctx   context.Context
	q     *blockQueue
	block snapshotBlock
	seen  int // leases looked at
	taken uint32
	err   error
}

// walk takes the leases of src, as take does it, and returns how many they are.
func walk[L any](k *snapshotWalk, src SourceOf[L], take func(*L) bool) uint32 {
	k.taken = 0
	if sh, ok := src.(ShardedSourceOf[L]); ok {
		for i := 0; i < sh.Shards() && k.err == nil; i++ {
			sh.WalkShard(i, take)
			if k.err == nil {
				k.err = k.q.wait(snapshotQueue)
			}
			if k.err == nil {
				k.err = k.stopped()
			}
			runtime.Gosched()
		}
	} else {
		src.Walk(take)
	}
	return k.taken
}

func (k *snapshotWalk) finish() error {
	if k.err == nil {
		k.err = k.stopped()
	}
	if k.err == nil && k.block.records > 0 {
		k.q.put(k.block)
	}
	return k.err
}

// stopped is why the walk is to end.
func (k *snapshotWalk) stopped() error {
	if k.q.failed.Load() {
		return k.q.wait(0)
	}
	select {
	case <-k.ctx.Done():
		return k.ctx.Err()
	case <-k.s.closing:
		return ErrClosed
	default:
		return nil
	}
}

func (k *snapshotWalk) take(l *lease.Lease4) bool {
	if l.State != lease.StateOffered {
		if b := k.room(recordSize(lease.OpPut, l), l.Addr, l.UserContext); b != nil {
			encodeRecord(b, lease.OpPut, l)
		}
	}
	return k.goOn()
}

func (k *snapshotWalk) take6(l *lease6.Lease6) bool {
	if l.State != lease.StateOffered {
		if b := k.room(recordSize6(lease.OpPut, l), l.Addr, l.UserContext); b != nil {
			encodeRecord6(b, lease.OpPut, l)
		}
	}
	return k.goOn()
}

// room makes room for a record of n bytes in the block.
func (k *snapshotWalk) room(n int, addr fmt.Stringer, userContext string) []byte {
	if n > maxRecord {
		k.err = fmt.Errorf("lease %v: user context of %d bytes is longer than %d", addr, len(userContext), MaxUserContext)
		return nil
	}
	p := len(k.block.buf)
	k.block.buf = append(k.block.buf, make([]byte, n)...)
	k.block.records++
	k.taken++
	return k.block.buf[p:]
}

// goOn queues the block if it is full and reports whether to go on.
func (k *snapshotWalk) goOn() bool {
	if len(k.block.buf) >= snapshotBlockBytes {
		k.q.put(k.block)
		k.block = snapshotBlock{buf: k.q.buffer()}
	}
	if k.seen++; k.seen&255 == 0 && k.err == nil {
		k.err = k.stopped()
	}
	return k.err == nil
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
