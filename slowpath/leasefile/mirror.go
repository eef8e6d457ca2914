package leasefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Source is the table that is mirrored; *lease.Table implements it.
type Source interface {
	Len() int
	Walk(func(*lease.Lease4) bool)
	Get(dhcp4.IPv4, *lease.Lease4) bool
	Covered(dhcp4.IPv4, *lease.Lease4) bool
}

// Source6 is the same of DHCPv6; *lease6.Table implements it.
type Source6 interface {
	Len() int
	Walk(func(*lease6.Lease6) bool)
	Get(lease6.IPv6, *lease6.Lease6) bool
	Covered(lease6.IPv6, *lease6.Lease6) bool
}

var (
	_ Source  = (*lease.Table)(nil)
	_ Source6 = (*lease6.Table)(nil)
)

// MirrorOptions of NewMirror.
type MirrorOptions struct {
	Path string // the file; its directory must exist
	// One of the two is what is mirrored, the other is nil.
	Table  Source
	Table6 Source6
	// FlushEvery is how long a change waits for others, unless many come; 0: 5 ms.
	FlushEvery time.Duration
	// CleanupEvery is how often the file is rewritten if there were changes, Kea's
	// lfc-interval; 0: only when it has grown.
	CleanupEvery time.Duration
	// CleanupFactor: the file is rewritten when it is so many times as long as it
	// was after the last rewrite, and 16 MiB longer; 0: 4.
	CleanupFactor int
	// RetryEvery is how long to wait after an error before the file is written
	// anew; 0: 10 s.
	RetryEvery time.Duration
	// QueueBytes is how much waits at most for the file, about 100 bytes a change;
	// when it is full, changes are dropped and the file is rewritten. 0: 4 MiB.
	QueueBytes int
	// ReserveBytes are left free on the file system, for the lease store if for
	// nobody else: with less, the mirror fails as on a full disk. 0: 64 MiB.
	ReserveBytes uint64
	// Event reports what an operator should know; may be nil. It is called by the
	// mirror's goroutine and must not call Close.
	Event func(MirrorEvent)
}

// MirrorEvent is something to log; Kind is a stable name: "mirror-failed" and
// "mirror-resumed" in turn, "mirror-overrun" and "mirror-disturbed", each at most
// once a minute, and EventCleanup, whose Text is the path.
type MirrorEvent struct {
	Kind string
	Text string
	Err  error
}

// EventCleanup is told before the file is rewritten because it is time (Kea's lease
// file cleanup), not because it lacks something.
const EventCleanup = "cleanup"

// MirrorStats are counters since NewMirror, and the present state.
type MirrorStats struct {
	Rows     uint64 // appended, those of rewrites not counted
	Bytes    uint64 // appended
	Batches  uint64 // writes that appended
	Lost     uint64 // changes that found the queue full; a rewrite made up for them
	Left     uint64 // rows for which there is none or a deletion, as Kea could not read them; see Writable4
	Rewrites uint64
	Errors   uint64
	// FileBytes is the length of the file.
	FileBytes int64
	// Behind is true while the file lacks changes that are not queued: after a
	// full queue or an error, until the next rewrite.
	Behind      bool
	Err         string // the last error while Behind
	LastRewrite time.Time
}

// Mirror keeps a lease file equal to a lease table, a moment behind it. It never
// makes the table wait: what changes goes into a bounded queue, and a goroutine
// appends it to the file in whole lines. At the start it goes on behind the rows that
// the file has, and appends what the table says otherwise. When there is no such
// file, when the queue was full, after errors, and when the file has grown long, it
// writes all leases to a new file, in the order of their last transaction, and
// renames that over the old one.
//
// After a cleanup the file has a second name with the ending .2, by which Kea's own
// cleanup leaves the leases and where tools look for them. Kea reads .2 before the
// file itself: as both are one, it finds nothing that has ended since.
//
// Nothing is synced to disk: the leases are safe in the lease store, and the file
// is held against them at every start.
//
// Use: NewMirror; make it an observer of the table (lease.Table.SetObserver);
// Start; at the end take it away from the table, and Close.
type Mirror struct {
	o     MirrorOptions
	path  string // without symbolic links
	fs    fileSystem
	now   func() time.Time
	pause func(time.Duration)
	queue *queue
	table mirrored

	wanted atomic.Bool // a cleanup, by Cleanup

	start sync.Once
	end   sync.Once
	quit  chan struct{}
	done  chan struct{}
	err   error // of the last turn, after done

	stats struct {
		rows, bytes, batches, lost, left, rewrites, errors atomic.Uint64
		fileBytes, lastRewrite                             atomic.Int64
		behind                                             atomic.Bool
		err                                                atomic.Pointer[string]
	}

	// The goroutine's.
	began     bool        // it was tried to go on behind the file that was there
	file      *mirrorFile // nil: none, or it failed
	out       []byte      // rows on their way
	outRows   uint64
	base      int64 // bytes after the last rewrite
	behind    bool
	failed    bool // reported, not resumed
	rewritten time.Time
	notBefore time.Time // no rewrite before
	// previous is the file that .2 is, nil: none of ours.
	previous fs.FileInfo
	cleanup  bool // the rewrite is one

	overrunAt, disturbedAt time.Time // last told
}

const (
	defaultFlushEvery    = 5 * time.Millisecond
	defaultTurnEvery     = 100 * time.Millisecond
	defaultCleanupFactor = 4
	defaultRetryEvery    = 10 * time.Second
	defaultQueueBytes    = 4 << 20
	defaultReserveBytes  = 64 << 20
	cleanupBytes         = 16 << 20
	mirrorMode           = 0o640 // as Kea: leases name people's devices
)

// NewMirror checks whether the file can be kept; it writes nothing yet. It
// refuses a place where Kea's cleanup has left files: Kea would read them before
// the mirror and find leases in them that have ended since, and they may hold
// leases that were never imported.
func NewMirror(o MirrorOptions) (*Mirror, error) {
	if o.FlushEvery <= 0 {
		o.FlushEvery = defaultFlushEvery
	}
	if o.CleanupFactor <= 1 {
		o.CleanupFactor = defaultCleanupFactor
	}
	if o.RetryEvery <= 0 {
		o.RetryEvery = defaultRetryEvery
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = defaultQueueBytes
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = defaultReserveBytes
	}
	if (o.Table == nil) == (o.Table6 == nil) {
		return nil, errors.New("mirror leases: there must be one table, of either family")
	}
	path := o.Path
	if p, err := filepath.EvalSymlinks(path); err == nil {
		path = p
	} else if l, lerr := os.Lstat(path); lerr == nil && l.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("mirror leases: %w", err)
	}
	if i, err := os.Stat(path); err == nil && !i.Mode().IsRegular() {
		return nil, fmt.Errorf("mirror leases: %s is not a regular file", path)
	}
	switch i, err := os.Stat(filepath.Dir(path)); {
	case err != nil:
		return nil, fmt.Errorf("mirror leases: %w", err)
	case !i.IsDir():
		return nil, fmt.Errorf("mirror leases: %s is not a directory", filepath.Dir(path))
	}
	if left, err := Leftovers(path); err != nil {
		return nil, fmt.Errorf("mirror leases: %w", err)
	} else if len(left) > 0 {
		return nil, fmt.Errorf("mirror leases: %s holds leases of Kea's: import them (peregrine lease import %s), then remove it, or mirror to another file",
			left[0], path)
	}
	m := &Mirror{
		o: o, path: path, fs: osFS{}, now: time.Now, pause: time.Sleep, queue: newQueue(o.QueueBytes),
		quit: make(chan struct{}), done: make(chan struct{}), behind: true,
	}
	if own, err := stat(path); err == nil && own != nil {
		if prev, err := stat(path + suffixPrevious); err == nil && prev != nil && os.SameFile(own, prev) {
			m.previous = prev
		}
	}
	m.table = &mirrored4{m: m}
	if o.Table6 != nil {
		m.table = &mirrored6{m: m}
	}
	m.stats.behind.Store(true)
	return m, nil
}

// LeaseChanged implements lease.Observer. Offers are not leases: what comes and
// goes with them changes nothing in the file.
func (m *Mirror) LeaseChanged(old, new *lease.Lease4) {
	switch {
	case new == nil:
		if old.State != lease.StateOffered {
			m.queue.put(old, 0)
		}
	case new.State == lease.StateOffered:
	case old != nil && old.State == lease.StateOffered && new.Version < old.Version:
		// The offer is gone, and what it stood over is as it was.
	default:
		m.queue.put(new, new.ValidLifetimeS)
	}
}

// LeaseExists implements lease.ExistingObserver: the start looks at what there is,
// and a later walk, of a change of observers, tells nothing new.
func (m *Mirror) LeaseExists(*lease.Lease4) {}

// LeaseChanged6 implements lease6.Observer as LeaseChanged does lease.Observer.
func (m *Mirror) LeaseChanged6(old, new *lease6.Lease6) {
	gone := new == nil
	switch {
	case gone && old.State == lease.StateOffered, !gone && new.State == lease.StateOffered,
		!gone && old != nil && old.State == lease.StateOffered && new.Version < old.Version:
	case gone:
		m.queue.put6(old, 0)
	default:
		m.queue.put6(new, new.ValidLifetimeS)
	}
}

// LeaseExists6 implements lease6.ExistingObserver.
func (m *Mirror) LeaseExists6(*lease6.Lease6) {}

var (
	_ lease.ExistingObserver  = (*Mirror)(nil)
	_ lease6.ExistingObserver = (*Mirror)(nil)
)

// Start brings the file up to the table and begins to follow the table, which m must observe
// already.
func (m *Mirror) Start() {
	m.start.Do(func() { go m.run() })
}

func (m *Mirror) run() {
	defer close(m.done)
	tick := time.NewTicker(defaultTurnEvery)
	defer tick.Stop()
	gather := time.NewTimer(m.o.FlushEvery)
	defer gather.Stop()
	for {
		m.turn()
		if m.queue.rest() {
			select {
			case <-m.quit:
				m.err = m.finish()
				return
			case <-tick.C: // a rewrite may be due
				continue
			case <-m.queue.kick:
			}
		}
		gather.Reset(m.o.FlushEvery)
		select {
		case <-m.quit:
			m.err = m.finish()
			return
		case <-gather.C:
		case <-m.queue.kick:
		}
	}
}

// Close writes what is queued, all leases if the file lacks any, and ends the
// goroutine. m must not observe the table any more. The error says why the file
// is not complete. A mirror that was not started writes nothing.
func (m *Mirror) Close() error {
	m.start.Do(func() { close(m.done) })
	m.end.Do(func() { close(m.quit) })
	<-m.done
	return m.err
}

// Cleanup asks for a cleanup now (Kea's command kea-lfc-start). It may be called from
// any goroutine.
func (m *Mirror) Cleanup() { m.wanted.Store(true) }

// Stats may be called from any goroutine.
func (m *Mirror) Stats() MirrorStats {
	s := &m.stats
	st := MirrorStats{
		Rows: s.rows.Load(), Bytes: s.bytes.Load(), Batches: s.batches.Load(), Lost: s.lost.Load(), Left: s.left.Load(),
		Rewrites: s.rewrites.Load(), Errors: s.errors.Load(), FileBytes: s.fileBytes.Load(), Behind: s.behind.Load(),
	}
	if ns := s.lastRewrite.Load(); ns != 0 {
		st.LastRewrite = time.Unix(0, ns)
	}
	if e := s.err.Load(); e != nil && st.Behind {
		st.Err = *e
	}
	return st
}

func (m *Mirror) event(kind, text string, err error) {
	if m.o.Event != nil {
		m.o.Event(MirrorEvent{Kind: kind, Text: text, Err: err})
	}
}

var errNotComplete = errors.New("mirror leases: the file lacks changes")
