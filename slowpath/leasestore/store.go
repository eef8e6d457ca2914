// Package leasestore makes lease changes durable: an append-only journal of
// checksummed records with group commit, snapshots written without pausing
// service, and recovery.
//
// Producers (one Writer per goroutine) put encoded records into single-producer
// rings; one committer goroutine drains all rings into the active segment,
// calls fdatasync once, and then advances every Writer's durable position. A
// Writer's record is durable when its Durable() has reached the position that
// Append returned.
//
// On disk a directory holds numbered segments and snapshots and a lock file
// (flock). Every record carries the lease's whole value and its sequence number
// (lease.Lease4.Version); of the records of one address the greatest sequence
// number wins, so the order of records from different rings does not matter. A
// segment header names the segment before it and that one's valid length, so
// that a segment abandoned after a write error is cut at its last durable byte.
// A torn tail of the last segment is cut and reported; anything else that does
// not check out refuses to open, naming file and offset.
package leasestore

import (
	"context"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// Sync is what Durable waits for.
type Sync uint8

const (
	SyncGroup Sync = iota // fdatasync of a group commit
	SyncNone              // nothing: positions are durable as soon as they are queued (Kea's behaviour)
)

// Options of Open.
type Options struct {
	Dir  string
	FS   FS // nil: the operating system's
	Sync Sync
	// RingRecords is the size of each Writer's ring, a power of two; 0: 16384.
	RingRecords int
	// SegmentBytes: a snapshot is asked for (see NeedSnapshot) when the journal
	// since the last one is longer; 0: 1 GiB.
	SegmentBytes int64
	// Load is called for each recovered record, the latest of its address,
	// deleted ones left out, from several goroutines at once if Parallel.
	Load     func(*lease.Lease4)
	Parallel bool
	// Event reports what an operator should know; may be nil; called outside
	// all locks.
	Event func(Event)
	// RetryEvery is how long to wait between attempts while writing fails; 0: 1 s.
	RetryEvery time.Duration
}

// Event is something to log: Kind is a stable name.
type Event struct {
	Kind string // "journal-failed", "journal-resumed", "snapshot-written", "snapshot-failed", "tail-cut", ...
	Text string
	Err  error
}

// Recovery is what Open found.
type Recovery struct {
	Leases     int
	Records    int // journal records replayed
	MaxVersion uint64
	TornBytes  int64 // cut from the last segment
	Snapshot   string
	Segments   int
	Took       time.Duration
}

// Store is an open lease directory.
type Store struct{}

// Open recovers and starts the committer. The error of a corrupt file is a
// *CorruptError.
func Open(o Options) (*Store, *Recovery, error) { panic("leasestore: not built yet") }

// CorruptError says which file is damaged where.
type CorruptError struct {
	File   string
	Offset int64
	What   string
}

func (e *CorruptError) Error() string { return "" }

// NewWriter adds a producer. Writers live as long as the Store, or until
// Retire; at most 256.
func (s *Store) NewWriter(name string) *Writer { panic("leasestore: not built yet") }

// Writer is a single producer; it implements lease.Journal.
type Writer struct{}

var _ lease.Journal = (*Writer)(nil)

func (w *Writer) Append(op lease.Op, l *lease.Lease4) (pos uint64, ok bool) {
	panic("leasestore: not built yet")
}
func (w *Writer) Room() int              { panic("leasestore: not built yet") }
func (w *Writer) Healthy() bool          { panic("leasestore: not built yet") }
func (w *Writer) DurableVersion() uint64 { panic("leasestore: not built yet") }

// Durable is the greatest position that is durable; one atomic load.
func (w *Writer) Durable() uint64 { panic("leasestore: not built yet") }

// Kick tells the committer that the batch is complete: cheap (an atomic) when
// it is awake, one futex or eventfd call when it sleeps.
func (w *Writer) Kick() { panic("leasestore: not built yet") }

// SetWake makes the committer call f after it has advanced Durable and the
// writer has records it waited for. f must not block.
func (w *Writer) SetWake(f func()) { panic("leasestore: not built yet") }

// WaitDurable blocks until pos is durable, the context ends or the store fails.
// For control commands, never for a worker.
func (w *Writer) WaitDurable(ctx context.Context, pos uint64) error {
	panic("leasestore: not built yet")
}

// Retire ends the writer after what it has queued is drained.
func (w *Writer) Retire() { panic("leasestore: not built yet") }

// Source is what a snapshot is made of; *lease.Table implements it.
type Source interface {
	Walk(func(*lease.Lease4) bool)
}

// Snapshot rotates the journal and writes all leases of src (offers left out),
// then removes what it makes superfluous. One at a time; others wait.
func (s *Store) Snapshot(ctx context.Context, src Source) error { panic("leasestore: not built yet") }

// NeedSnapshot is signalled when the journal has grown past SegmentBytes.
func (s *Store) NeedSnapshot() <-chan struct{} { panic("leasestore: not built yet") }

// Health is the state for status-get and metrics.
type Health struct {
	OK       bool
	Err      string    // why not
	Since    time.Time // since when
	Attempts uint64
}

func (s *Store) Health() Health { panic("leasestore: not built yet") }

// Stats are counters since Open. Histogram buckets are cumulative-free counts;
// bounds in CommitRecordsBounds and CommitSecondsBounds.
type Stats struct {
	Commits, Records, Bytes, Errors, Snapshots uint64
	RingFull                                   uint64 // Append calls refused
	CommitRecords                              []uint64
	CommitSeconds                              []uint64
	CommitSecondsSum                           float64
	JournalBytes                               int64 // since the last snapshot
	LastSnapshot                               time.Time
}

func (s *Store) Stats() Stats { panic("leasestore: not built yet") }

// Close commits what is queued and gives up the directory.
func (s *Store) Close() error { panic("leasestore: not built yet") }

// FS is the little of a file system that the store uses; tests give one that
// loses unsynced data or fails.
type FS interface{}
