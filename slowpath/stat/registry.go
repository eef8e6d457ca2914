package stat

import (
	"sync"
	"sync/atomic"
	"time"
)

// Shard is one worker's counters.
type Shard struct {
	local     [NumCounters]uint64
	dirty     bool
	_         [64]byte // the published half is read by others
	published [NumCounters]atomic.Uint64
}

// Inc counts one.
func (s *Shard) Inc(c Counter) {
	s.local[c]++
	s.dirty = true
}

// Add counts n.
func (s *Shard) Add(c Counter, n uint64) {
	s.local[c] += n
	s.dirty = true
}

// Publish makes what was counted visible to readers: once a batch.
func (s *Shard) Publish() {
	if !s.dirty {
		return
	}
	s.dirty = false
	for i := range s.local {
		if v := s.local[i]; v != s.published[i].Load() {
			s.published[i].Store(v)
		}
	}
}

// Sample is a value at a time (ST-001).
type Sample struct {
	Value uint64
	At    time.Time
}

// MaxSamples is the most samples a statistic keeps.
const MaxSamples = 1000

// Registry adds up shards, keeps what resets subtract, and a short history.
type Registry struct {
	mu      sync.Mutex
	shards  []*Shard
	base    [NumCounters]uint64
	retired [NumCounters]uint64
	history [NumCounters][]Sample // newest first, at least one
	limit   int
	maxAge  time.Duration
}

// NewRegistry returns a registry whose statistics all exist with value 0
// (ST-003), keeping limit samples of each, or, if maxAge is not 0, those not
// older than maxAge (at most MaxSamples).
func NewRegistry(limit int, maxAge time.Duration, now time.Time) *Registry {
	r := &Registry{}
	r.SetLimits(limit, maxAge)
	for i := range r.history {
		r.history[i] = []Sample{{At: now}}
	}
	return r
}

// SetLimits changes how many samples are kept from now on.
func (r *Registry) SetLimits(limit int, maxAge time.Duration) {
	if limit < 1 {
		limit = 1
	}
	if maxAge > 0 || limit > MaxSamples {
		limit = MaxSamples
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit, r.maxAge = limit, maxAge
}

// NewShard adds a shard. Retire takes it back with its counts kept.
func (r *Registry) NewShard() *Shard {
	s := new(Shard)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shards = append(r.shards, s)
	return s
}

// Retire removes a shard whose owner has ended; its counts stay in the sums.
func (r *Registry) Retire(s *Shard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, x := range r.shards {
		if x == s {
			r.shards = append(r.shards[:i:i], r.shards[i+1:]...)
			for c := range s.published {
				r.retired[c] += s.local[c]
			}
			return
		}
	}
}

func (r *Registry) sumLocked(c Counter) uint64 {
	v := r.retired[c]
	for _, s := range r.shards {
		v += s.published[c].Load()
	}
	return v
}

// Total is the count since start, resets ignored: what a Prometheus counter is.
func (r *Registry) Total(c Counter) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sumLocked(c)
}

// Observe records the present value of every counter that changed since its
// last sample. Call it about once a second.
func (r *Registry) Observe(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.history {
		r.observeLocked(Counter(c), now)
	}
}

func (r *Registry) observeLocked(c Counter, now time.Time) {
	h := r.history[c]
	v := r.sumLocked(c) - r.base[c]
	if h[0].Value != v {
		if len(h) < r.limit {
			h = append(h, Sample{})
		}
		if len(h) > r.limit {
			h = h[:r.limit]
		}
		copy(h[1:], h)
		h[0] = Sample{Value: v, At: now}
	}
	if r.maxAge > 0 {
		for len(h) > 1 && now.Sub(h[len(h)-1].At) > r.maxAge {
			h = h[:len(h)-1]
		}
	}
	r.history[c] = h
}

// Samples returns the history of a counter, newest first, its present value
// first of all.
func (r *Registry) Samples(c Counter, now time.Time) []Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observeLocked(c, now)
	return append([]Sample(nil), r.history[c]...)
}

// Reset sets a counter to 0 and forgets its history (statistic-reset).
func (r *Registry) Reset(c Counter, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.base[c] = r.sumLocked(c)
	r.history[c] = append(r.history[c][:0], Sample{At: now})
}
