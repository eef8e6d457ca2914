// Package leasestore makes lease changes durable: an append-only journal of
// checksummed records with group commit, snapshots written without pausing
// service, and recovery.
//
// # Commit
//
// Producers (one Writer per goroutine) put encoded records into single-producer
// rings; one committer goroutine drains all rings into a block, writes it to
// the active segment, calls fdatasync once, and then advances every Writer's
// durable position. A Writer's record is durable when its Durable() has reached
// the position that Append returned. While a sync runs the next block gathers
// in the rings; there is no other delay.
//
// # On disk
//
// A directory holds numbered segments and snapshots and a lock file (flock).
// Every record carries the lease's whole value and its sequence number
// (lease.Lease4.Version, lease6.Lease6.Version); of the records of one address
// the greatest sequence number wins, so the order of records from different rings
// does not matter. DHCPv4 and DHCPv6 leases share segments, commits and
// snapshots; their sequence numbers are independent, and so is all below that is
// said of versions.
//
// A segment's header names the segment before it and that one's valid length,
// so that a segment abandoned after a write error is cut at its last durable
// byte. Recovery follows these names from the newest segment back to the one
// the snapshot starts with; a segment that is not on that chain was abandoned
// before anything in it was durable.
//
// Every block says how much of its file was durable when it was written. Bytes
// that do not check out in the newest segment are a torn tail, cut and
// reported, unless a later block attests them: then, and anywhere else, they
// are damage, and Open refuses with file and offset. A clean Close ends the
// segment with a block that attests all of it. What the newest segment holds
// beyond the last attested byte was perhaps read from a page cache whose write
// had failed, so Open copies it to the new segment instead of trusting it.
//
// # Failure
//
// After any write error the segment is abandoned: once fdatasync has failed,
// the kernel may have dropped the pages, so a later success would prove
// nothing. Health becomes bad, Append refuses, and every RetryEvery the
// committer makes a new segment and writes to it all that is not yet durable.
// Rings are bounded and nothing else queues. Nothing that was acknowledged is
// touched.
//
// # Snapshots
//
// A snapshot rotates to a new segment and then walks the table. With it goes
// the cut version: the greatest version in any record drained before the
// rotation. Every change numbered up to it was numbered, under its shard's lock,
// before the walk took that lock, so the walk sees it; recovery therefore
// ignores journal records up to the cut version, wherever they are. That is
// what keeps an old put that was still in some ring at the rotation, and so
// landed in the new segment, from resurrecting a lease whose deletion stood in
// an old, now removed segment. Before the snapshot gets its name, everything
// appended up to the end of the walk is made durable, so that it never holds a
// change that the journal lacks.
//
// # The durable watermark
//
// DurableVersion must not pass a number that was taken but not yet appended:
// the lease table takes a version and calls Append under a shard's lock, and
// the goroutine may be descheduled in between for any time. Looking at the
// rings cannot tell. So the watermark advances in this way:
//
//  1. X is the greatest version that a commit has made durable.
//  2. Options.Quiesce locks and unlocks each shard of the table once. A number
//     v ≤ X was taken before X was (numbers come from one counter), with a
//     shard lock held until after its Append; X was taken before step 1. So
//     after step 2 v has been appended, or will never be.
//  3. The published positions of all rings are read; they cover every such v.
//  4. When all those positions are durable, so is every change up to X, and the
//     watermark becomes X.
//
// This costs the hot path nothing and runs at most every 20 ms. Without
// Quiesce, the walk of a snapshot is the only time each shard lock is taken,
// and the watermark advances to the cut version then; until the first one it is
// what recovery found. With SyncNone everything counts as durable.
package leasestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Sync is what Durable waits for.
type Sync uint8

const (
	SyncGroup Sync = iota // fdatasync of a group commit
	SyncNone              // nothing: positions are durable as soon as they are queued (Kea's behaviour)
)

// Options of Open.
type Options struct {
	Dir  string // made if missing
	FS   FS     // nil: the operating system's
	Sync Sync
	// RingRecords is the size of each Writer's ring, a power of two; 0: 16384.
	// A ring takes 256 bytes for each (64 KiB at least), a typical record 80.
	RingRecords int
	// SegmentBytes: a snapshot is asked for (see NeedSnapshot) when the journal
	// since the last one is longer; 0: 1 GiB.
	SegmentBytes int64
	// Load and Load6 are called for each recovered record, the latest of its
	// address, deleted ones left out, from several goroutines at once if Parallel.
	// The lease is reused after they return. When Open fails, what was loaded is
	// to be thrown away. Of a family whose function is nil the leases stay in the
	// directory, and Snapshot refuses to forget them.
	Load     func(*lease.Lease4)
	Load6    func(*lease6.Lease6)
	Parallel bool
	// Reserve may be nil. It is called at most once, before Load and Load6, with
	// how many leases to expect: those of the snapshot, or if there is none, the
	// addresses in the journal.
	Reserve func(leases, leases6 int)
	// Quiesce locks and unlocks each shard of the lease tables once, so that
	// changes that were in progress when it was called are finished when it
	// returns. nil: DurableVersion advances with snapshots only.
	Quiesce func()
	// Event reports what an operator should know; may be nil; called outside
	// all locks. It must not call Close.
	Event func(Event)
	// Gather is how long after the beginning of a commit the next one waits, to
	// have more records in it, while records come so fast that it would gain at
	// least a few: on a fast disk, a commit for every record or two costs more
	// processor time than everything else. 0 never waits. Below that rate, and
	// after a pause, records are committed at once.
	Gather time.Duration
	// RetryEvery is how long to wait between attempts while writing fails; 0: 1 s.
	RetryEvery time.Duration
}

// Event is something to log: Kind is a stable name.
type Event struct {
	// Kind is one of "journal-failed", "journal-resumed", "snapshot-written",
	// "snapshot-failed", "tail-cut", "segment-dropped", "cleanup-failed".
	Kind string
	Text string
	Err  error
}

// Recovery is what Open found.
type Recovery struct {
	Leases      int // DHCPv4
	Leases6     int
	Records     int // journal records replayed
	MaxVersion  uint64
	MaxVersion6 uint64
	TornBytes   int64  // cut from the last segment
	Snapshot    string // its path; empty: none
	Segments    int
	Took        time.Duration
}

// Store is an open lease directory. Its methods may be called from any
// goroutine.
type Store struct {
	o       Options
	fs      FS
	lock    io.Closer
	closing chan struct{}
	close1  sync.Once
	done    chan struct{} // committer has ended
	marked  chan struct{} // watermark goroutine has ended
	ended   atomic.Pointer[error]
	pace    pace // the committer's

	_      [cacheLine]byte
	refuse atomic.Uint32 // bit 0: failed, bit 1: closing; read by every Append
	_      [cacheLine]byte
	asleep atomic.Uint32
	_      [cacheLine]byte

	durableVersion [families]atomic.Uint64
	_              [cacheLine]byte

	wakeCh chan struct{}
	rotate chan rotation

	writersMu sync.Mutex // for changes
	writers   atomic.Pointer[[]*Writer]

	waitMu   sync.Mutex
	waitCh   chan struct{}
	waiters  atomic.Int32
	finished atomic.Bool

	snapshotting chan struct{} // holds one token
	needCh       chan struct{}
	markCh       chan struct{}
	markEvery    time.Duration
	needReset    atomic.Bool // a snapshot was written

	health    atomic.Pointer[Health]
	stats     counters
	committed [families]atomic.Uint64 // greatest version in a durable record

	// The committer's.
	seg      *segment // nil while failed
	prev     tailOf   // what the next segment's header says when seg is nil
	next     uint64   // number of the next segment
	garbage  []string // abandoned segments to remove
	batch    batch
	turn     int
	noAlloc  bool
	needMark int64 // journal bytes at which NeedSnapshot is signalled
}

const (
	refuseFailed  = 1
	refuseClosing = 2
)

// markEvery is how often the watermark advances at most; tests change it.
var markEvery = 20 * time.Millisecond

// Open recovers and starts the committer. The error of a corrupt file is a
// *CorruptError; of a directory that is in use it wraps ErrLocked. Open writes:
// on a full or read-only file system it fails.
func Open(o Options) (*Store, *Recovery, error) {
	if o.FS == nil {
		o.FS = osFS{}
	}
	if o.RingRecords == 0 {
		o.RingRecords = defaultRingSlots
	}
	if o.RingRecords < 0 || o.RingRecords&(o.RingRecords-1) != 0 || o.RingRecords > 1<<22 {
		return nil, nil, fmt.Errorf("open lease directory %s: ring of %d records is not a power of two up to 4194304", o.Dir, o.RingRecords)
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 1 << 30
	}
	if o.RetryEvery <= 0 {
		o.RetryEvery = time.Second
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	s, r, err := open(o)
	if err != nil {
		var c *CorruptError
		if errors.As(err, &c) {
			return nil, nil, err // names the file
		}
		return nil, nil, fmt.Errorf("open lease directory %s: %w", o.Dir, err)
	}
	return s, r, nil
}

func open(o Options) (_ *Store, _ *Recovery, err error) {
	began := time.Now()
	if err := o.FS.MakeDir(o.Dir); err != nil {
		return nil, nil, err
	}
	lock, err := o.FS.Lock(lockPath(o.Dir), false)
	if errors.Is(err, ErrLocked) {
		return nil, nil, fmt.Errorf("in use by another process: %w", err)
	} else if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	d, err := recoverDir(o.FS, o.Dir, loading{o.Load, o.Load6, o.Reserve, o.Parallel})
	if err != nil {
		return nil, nil, err
	}
	s := &Store{
		o: o, fs: o.FS, lock: lock, pace: pace{gather: o.Gather},
		closing: make(chan struct{}), done: make(chan struct{}), marked: make(chan struct{}),
		wakeCh: make(chan struct{}, 1), rotate: make(chan rotation), waitCh: make(chan struct{}),
		snapshotting: make(chan struct{}, 1), needCh: make(chan struct{}, 1), markCh: make(chan struct{}, 1),
		markEvery: markEvery,
		next:      d.next,
		prev:      d.prev,
		needMark:  o.SegmentBytes,
	}
	s.writers.Store(new([]*Writer))
	s.health.Store(&Health{OK: true, Since: began})
	s.batch.init()
	s.stats.init()
	if d.snapshotUnixNs != 0 {
		s.stats.lastSnapshotUnixNs.Store(d.snapshotUnixNs)
	}
	s.batch.maxSeen = d.greatest
	for f, v := range d.greatest {
		s.committed[f].Store(v)
		if o.Sync == SyncNone {
			v = ^uint64(0)
		}
		s.durableVersion[f].Store(v)
	}

	// The new segment, and in it what was not attested of the last one.
	if s.seg, err = s.createSegment(); err != nil {
		s.removeGarbage()
		return nil, nil, err
	}
	s.stats.journalBytes.Store(d.journalBytes)
	if err := s.rewriteTail(d.tail); err != nil {
		s.seg.f.Close()
		s.fs.Remove(s.seg.name)
		return nil, nil, err
	}
	if d.TornBytes > 0 {
		o.Event(Event{Kind: "tail-cut", Text: fmt.Sprintf("cut %d bytes of a write that was not finished, behind offset %d of %s", d.TornBytes, d.cutAt, d.last)})
	}
	if d.last != "" {
		s.trim(d.last, d.cutAt)
	}
	for _, name := range d.dropped {
		o.Event(Event{Kind: "segment-dropped", Text: "removed " + name + ", which was never put to use"})
	}
	for _, name := range d.superfluous {
		if err := s.fs.Remove(name); err != nil {
			o.Event(Event{Kind: "cleanup-failed", Text: "remove superfluous " + name, Err: err})
		}
	}
	s.askSnapshot()
	go s.run()
	if o.Sync == SyncGroup && o.Quiesce != nil {
		go s.mark()
	} else {
		close(s.marked)
	}
	d.Took = time.Since(began)
	return s, &d.Recovery, nil
}

// CorruptError says which file is damaged where.
type CorruptError struct {
	File   string
	Offset int64
	What   string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("lease file %s is damaged at offset %d: %s", e.File, e.Offset, e.What)
}

// SourceOf is what a snapshot is made of. Walk must take the lock of a shard,
// under which changes are numbered, appended and made visible, before it reads
// the shard.
type SourceOf[L any] interface {
	Walk(func(*L) bool)
}

// Source and Source6 are implemented by *lease.Table and *lease6.Table.
type (
	Source  = SourceOf[lease.Lease4]
	Source6 = SourceOf[lease6.Lease6]
)

// ShardedSourceOf is a source that can be walked shard by shard, which bounds the
// memory that a snapshot takes: under a shard's lock leases are only encoded,
// and written between shards. Of a plain source the encoded leases wait in
// memory when the disk is slower than the walk.
type ShardedSourceOf[L any] interface {
	SourceOf[L]
	Shards() int
	WalkShard(i int, f func(*L) bool)
}

// ShardedSource is that of DHCPv4 leases.
type ShardedSource = ShardedSourceOf[lease.Lease4]

// NeedSnapshot is signalled when the journal has grown past SegmentBytes, and
// again with each further eighth of it until a snapshot succeeds.
func (s *Store) NeedSnapshot() <-chan struct{} { return s.needCh }

func (s *Store) askSnapshot() {
	if s.needReset.Load() && s.needReset.Swap(false) {
		s.needMark = s.o.SegmentBytes
	}
	if n := s.stats.journalBytes.Load(); n > s.needMark {
		s.needMark = n + s.o.SegmentBytes/8
		select {
		case s.needCh <- struct{}{}:
		default:
		}
	}
}

// Close commits what is queued and gives up the directory. The error is that of
// records that could not be made durable. Later calls return the same.
func (s *Store) Close() error {
	s.close1.Do(func() {
		s.refuse.Or(refuseClosing)
		close(s.closing)
		s.snapshotting <- struct{}{} // a running snapshot ends; no other begins
		<-s.done
		<-s.marked
		err := s.finish()
		s.ended.Store(&err)
	})
	return *s.ended.Load()
}

// Health is the state for status-get and metrics.
type Health struct {
	OK       bool
	Err      string    // why not
	Since    time.Time // since when
	Attempts uint64    // to resume, in this failure
}

// Health may be called from any goroutine.
func (s *Store) Health() Health { return *s.health.Load() }

// flush waits until everything appended before the call has been written, and
// with SyncGroup is durable.
func (s *Store) flush(ctx context.Context) error {
	all := *s.writers.Load()
	heads := make([]uint64, len(all))
	for i, w := range all {
		heads[i] = w.published.Load()
	}
	s.kick()
	return s.wait(ctx, func() bool {
		for i, w := range all {
			if w.settled.Load() < heads[i] {
				return false
			}
		}
		return true
	})
}

// mark advances the durable watermark; see the package comment.
func (s *Store) mark() {
	defer close(s.marked)
	pace := time.NewTimer(s.markEvery)
	defer pace.Stop()
	for {
		select {
		case <-s.markCh:
		case <-s.closing:
			return
		}
		x := versions{s.committed[v4].Load(), s.committed[v6].Load()}
		if x[v4] > s.durableVersion[v4].Load() || x[v6] > s.durableVersion[v6].Load() {
			s.o.Quiesce()
			err := s.flush(context.Background()) // ends with the store
			if err == nil {
				s.raiseDurableVersion(x)
			}
		}
		pace.Reset(s.markEvery)
		select {
		case <-pace.C:
		case <-s.closing:
			return
		}
	}
}
