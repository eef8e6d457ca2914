package stat

import (
	"strings"
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
	at        atomic.Int64 // Unix ns of the last PublishAt that had something to publish
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

// PublishAt is Publish; it remembers the time, for samples.
func (s *Shard) PublishAt(nowUnixNs int64) {
	if s.dirty {
		s.Publish()
		s.at.Store(nowUnixNs)
	}
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
	Value Value
	At    time.Time
}

// MaxSamples is the most samples a statistic keeps, whatever its limits are.
const MaxSamples = 1000

// Source knows the statistics that no Shard counts: it calls yield for each with
// its present value. It may be called from any goroutine and must not call the
// Registry.
type Source func(yield func(Key, Value))

// Registry adds up the shards of a family, keeps what resets subtract, and a
// short history.
type Registry struct {
	family Family
	source Source

	mu      sync.Mutex
	shards  []*Shard
	retired [NumCounters]uint64
	limits  limits // of new statistics
	series  map[Key]*series
	named   map[string]*series // set by name, see Set
	round   uint64             // of Observe: what the source does not name any more goes
}

// limits say how many samples are kept: by number, or by age where that is not 0.
type limits struct {
	count int
	age   time.Duration
}

// series is one statistic.
type series struct {
	raw     Value // as last seen
	base    Value // what a reset subtracts
	removed bool  // by statistic-remove, until the value changes
	limits  limits
	round   uint64
	anew    bool     // the next observation is the first sample again
	history []Sample // newest first, at least one
}

// NewRegistry returns a registry of a family whose counters all exist with value
// 0 (ST-003), keeping limit samples of each, or, if maxAge is not 0, those not
// older than maxAge, in either case at most MaxSamples. source may be nil.
func NewRegistry(f Family, limit int, maxAge time.Duration, now time.Time, source Source) *Registry {
	r := &Registry{family: f, source: source, series: map[Key]*series{}, named: map[string]*series{}}
	r.SetLimits(limit, maxAge)
	for c, end := f.Counters(); c < end; c++ {
		r.series[Key{Kind: Kind(c)}] = &series{limits: r.limits, history: []Sample{{At: now}}}
	}
	return r
}

// SetLimits changes how many samples are kept of statistics that appear from now
// on: the configuration's defaults (statistic-default-sample-count and -age).
func (r *Registry) SetLimits(limit int, maxAge time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limits = limits{count: max(limit, 1), age: maxAge}
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

// Observe records the present value of every statistic that changed since its
// last sample. Call it about once a second.
func (r *Registry) Observe(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observeLocked(now)
}

func (r *Registry) observeLocked(now time.Time) {
	r.round++
	see := func(k Key, v Value) {
		s := r.series[k]
		if s == nil {
			// The first sample is the value it appeared with.
			s = &series{raw: v, limits: r.limits, history: []Sample{{Value: v, At: now}}}
			r.series[k] = s
		}
		s.round = r.round
		s.observe(v, now)
	}
	at := r.countedLocked(now)
	for c, end := r.family.Counters(); c < end; c++ {
		k := Key{Kind: Kind(c)}
		if s := r.series[k]; s != nil {
			s.count(Of(r.sumLocked(c)), at)
			s.trim(now)
		}
		see(k, Of(r.sumLocked(c)))
	}
	if r.source != nil {
		r.source(see)
	}
	for k, s := range r.series {
		if s.round != r.round {
			delete(r.series, k)
		}
	}
}

// countedLocked is when something was counted last, as far as it is known.
func (r *Registry) countedLocked(now time.Time) time.Time {
	last := int64(0)
	for _, s := range r.shards {
		last = max(last, s.at.Load())
	}
	if at := time.Unix(0, last); last != 0 && at.Before(now) {
		return at
	}
	return now
}

// count records the samples of a counter since the last one. Between two
// observations it went through every number, so each has its sample, as many as
// are kept, evenly spread over the time between.
func (s *series) count(raw Value, at time.Time) {
	v, last := raw.Sub(s.base), s.history[0]
	by := v.Sub(last.Value)
	if by.Hi != 0 || by.Lo < 2 || last.At.After(at) {
		if by.Hi == 0 && by.Lo == 1 && !last.At.After(at) {
			s.observe(raw, at)
		}
		return
	}
	keep := uint64(s.limits.count)
	if s.limits.age > 0 {
		keep = MaxSamples
	}
	gap := at.Sub(last.At)
	for i := min(by.Lo, max(keep, 1)); i > 0; i-- {
		back := i - 1 // how many were counted after it
		when := at.Add(-time.Duration(float64(gap) * float64(back) / float64(by.Lo)))
		s.observe(raw.Sub(Of(back)), when)
	}
}

func (s *series) observe(raw Value, now time.Time) {
	if raw != s.raw {
		s.raw = raw
		if s.removed {
			s.removed, s.anew = false, true
		}
	}
	if s.anew {
		s.anew = false
		s.history = append(s.history[:0], Sample{Value: raw.Sub(s.base), At: now})
	}
	if v := raw.Sub(s.base); s.history[0].Value != v {
		s.history = append(s.history, Sample{})
		copy(s.history[1:], s.history)
		s.history[0] = Sample{Value: v, At: now}
	}
	s.trim(now)
}

// trim forgets what the limits do not keep; the newest sample always stays.
func (s *series) trim(now time.Time) {
	n := min(len(s.history), MaxSamples)
	if s.limits.age > 0 {
		for n > 1 && now.Sub(s.history[n-1].At) > s.limits.age {
			n--
		}
	} else {
		n = min(n, s.limits.count)
	}
	clear(s.history[n:])
	s.history = s.history[:n]
}

// findLocked returns a statistic by name after it has been brought up to date.
func (r *Registry) findLocked(name string, now time.Time) *series {
	k, ok := ParseKey(r.family, name)
	if !ok {
		if s := r.named[name]; s != nil && !s.removed {
			return s
		}
		return nil
	}
	if k.Kind < Kind(numCounters) && k.Scope == Global {
		s := r.series[k]
		s.count(Of(r.sumLocked(Counter(k.Kind))), r.countedLocked(now))
		s.observe(Of(r.sumLocked(Counter(k.Kind))), now)
		if s.removed {
			return nil
		}
		return s
	}
	r.observeLocked(now)
	if s := r.series[k]; s != nil && !s.removed {
		return s
	}
	return nil
}

// Samples returns the history of a statistic, newest first, its present value
// first of all; nil if there is none of that name.
func (r *Registry) Samples(name string, now time.Time) []Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.findLocked(name, now); s != nil {
		return append([]Sample(nil), s.history...)
	}
	return nil
}

// Each visits every statistic in no order, or with global only those without
// scope. f must not call the Registry nor keep the samples.
func (r *Registry) Each(now time.Time, global bool, f func(name string, samples []Sample)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observeLocked(now)
	for k, s := range r.series {
		if !s.removed && (!global || k.Scope == Global) {
			f(k.String(), s.history)
		}
	}
	for name, s := range r.named {
		if !s.removed && (!global || !strings.HasPrefix(name, "subnet[")) {
			f(name, s.history)
		}
	}
}

// MaxNamed is how many statistics Set may make.
const MaxNamed = 10_000

// Set gives a statistic that has neither a Counter nor a Source its value, and
// makes it if it is new: hook libraries have such. false: the name is one of the
// others, or there are MaxNamed already.
func (r *Registry) Set(name string, v int64, now time.Time) bool {
	if _, taken := ParseKey(r.family, name); taken {
		return false
	}
	value := Of(uint64(v))
	if v < 0 {
		value.Hi = -1
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.named[name]
	if s == nil {
		if len(r.named) >= MaxNamed {
			return false
		}
		s = &series{raw: value, limits: r.limits, history: []Sample{{Value: value, At: now}}}
		r.named[name] = s
		return true
	}
	s.base = Value{} // a value that is set is not added to
	s.observe(value, now)
	return true
}

// Reset sets a statistic to 0 and forgets its history (statistic-reset); false
// if there is none of that name. Total is not affected.
func (r *Registry) Reset(name string, now time.Time) bool {
	return r.change(name, now, func(s *series) { s.reset(now) })
}

// ResetAll resets every statistic.
func (r *Registry) ResetAll(now time.Time) {
	r.changeAll(now, func(s *series) { s.reset(now) })
}

func (s *series) reset(now time.Time) {
	s.base = s.raw
	clear(s.history)
	s.history = append(s.history[:0], Sample{At: now})
}

// Remove hides a statistic until its value changes again (statistic-remove),
// which then counts from 0.
func (r *Registry) Remove(name string, now time.Time) bool {
	return r.change(name, now, func(s *series) { s.reset(now); s.removed = true })
}

// RemoveAll removes every statistic.
func (r *Registry) RemoveAll(now time.Time) {
	r.changeAll(now, func(s *series) { s.reset(now); s.removed = true })
}

// SetMaxCount limits the samples of a statistic by number, SetMaxAge by age:
// the one ends the other (ST-002).
func (r *Registry) SetMaxCount(name string, n int, now time.Time) bool {
	return r.change(name, now, func(s *series) { s.limits = limits{count: max(n, 1)}; s.trim(now) })
}

// SetMaxAge limits the samples of a statistic by age.
func (r *Registry) SetMaxAge(name string, age time.Duration, now time.Time) bool {
	return r.change(name, now, func(s *series) { s.limits = limits{count: 1, age: age}; s.trim(now) })
}

// SetMaxCountAll and SetMaxAgeAll limit all statistics, later ones too.
func (r *Registry) SetMaxCountAll(n int, now time.Time) {
	l := limits{count: max(n, 1)}
	r.changeAll(now, func(s *series) { s.limits = l; s.trim(now) })
	r.SetLimits(l.count, 0)
}

// SetMaxAgeAll limits all statistics by age, later ones too.
func (r *Registry) SetMaxAgeAll(age time.Duration, now time.Time) {
	r.changeAll(now, func(s *series) { s.limits = limits{count: 1, age: age}; s.trim(now) })
	r.SetLimits(1, age)
}

func (r *Registry) change(name string, now time.Time, f func(*series)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.findLocked(name, now)
	if s != nil {
		f(s)
	}
	return s != nil
}

func (r *Registry) changeAll(now time.Time, f func(*series)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observeLocked(now)
	for _, s := range r.series {
		if !s.removed {
			f(s)
		}
	}
	for _, s := range r.named {
		if !s.removed {
			f(s)
		}
	}
}

// Rebase makes the lease statistics show what is there again, whatever was reset
// or removed: a new configuration counts them anew, as Kea does.
func (r *Registry) Rebase() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, s := range r.series {
		if k.Kind >= Kind(numCounters) {
			// Its samples are of pools that may be others now.
			s.base, s.removed, s.anew = Value{}, false, true
		}
	}
}
