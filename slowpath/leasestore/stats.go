package leasestore

import (
	"math"
	"sync/atomic"
	"time"
)

// CommitRecordsBounds are the upper bounds, inclusive, of Stats.CommitRecords;
// the last bucket has none.
var CommitRecordsBounds = []uint64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192}

// CommitSecondsBounds are the upper bounds, inclusive, of Stats.CommitSeconds;
// the last bucket has none.
var CommitSecondsBounds = []float64{50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 500e-3, 1, 5}

// Stats are counters since Open. Histogram buckets are counts that do not
// include lower buckets; bounds in CommitRecordsBounds and CommitSecondsBounds,
// one bucket more than bounds.
type Stats struct {
	Commits, Records, Bytes, Errors, Snapshots uint64
	RingFull                                   uint64 // Append calls refused, for whatever reason
	CommitRecords                              []uint64
	CommitSeconds                              []uint64
	CommitSecondsSum                           float64
	JournalBytes                               int64 // since the last snapshot
	LastSnapshot                               time.Time
}

type counters struct {
	commits, records, bytes, errors, snapshots atomic.Uint64
	retiredFull                                atomic.Uint64
	commitRecords, commitSeconds               []atomic.Uint64
	commitNs                                   atomic.Uint64
	journalBytes                               atomic.Int64
	lastSnapshotUnixNs                         atomic.Int64
}

func (c *counters) init() {
	c.commitRecords = make([]atomic.Uint64, len(CommitRecordsBounds)+1)
	c.commitSeconds = make([]atomic.Uint64, len(CommitSecondsBounds)+1)
}

func (c *counters) commit(records, bytes int, took time.Duration) {
	c.commits.Add(1)
	c.records.Add(uint64(records))
	c.bytes.Add(uint64(bytes))
	c.commitNs.Add(uint64(took))
	i := 0
	for i < len(CommitRecordsBounds) && uint64(records) > CommitRecordsBounds[i] {
		i++
	}
	c.commitRecords[i].Add(1)
	i = 0
	for i < len(CommitSecondsBounds) && took.Seconds() > CommitSecondsBounds[i] {
		i++
	}
	c.commitSeconds[i].Add(1)
}

// Stats may be called from any goroutine. It allocates.
func (s *Store) Stats() Stats {
	c := &s.stats
	st := Stats{
		Commits: c.commits.Load(), Records: c.records.Load(), Bytes: c.bytes.Load(),
		Errors: c.errors.Load(), Snapshots: c.snapshots.Load(),
		CommitSecondsSum: float64(c.commitNs.Load()) / 1e9,
		JournalBytes:     c.journalBytes.Load(),
		CommitRecords:    make([]uint64, len(c.commitRecords)),
		CommitSeconds:    make([]uint64, len(c.commitSeconds)),
		RingFull:         c.retiredFull.Load(),
	}
	for i := range c.commitRecords {
		st.CommitRecords[i] = c.commitRecords[i].Load()
	}
	for i := range c.commitSeconds {
		st.CommitSeconds[i] = c.commitSeconds[i].Load()
	}
	for _, w := range *s.writers.Load() {
		st.RingFull += w.full.Load()
	}
	if ns := c.lastSnapshotUnixNs.Load(); ns != 0 && ns != math.MinInt64 {
		st.LastSnapshot = time.Unix(0, ns)
	}
	return st
}

// raiseDurableVersion moves the watermarks up to v.
func (s *Store) raiseDurableVersion(v versions) {
	for f := range s.durableVersion {
		d := &s.durableVersion[f]
		for old := d.Load(); old < v[f] && !d.CompareAndSwap(old, v[f]); {
			old = d.Load()
		}
	}
}
