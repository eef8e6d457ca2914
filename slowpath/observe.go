package slowpath

import (
	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/alloc6"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// Stats are the server's counters.
func (s *Server) Stats() *stat.Registry { return s.stats }

// Stats6 are the counters of DHCPv6, nil where it is not served.
func (s *Server) Stats6() *stat.Registry {
	if s.six == nil {
		return nil
	}
	return s.six.stats
}

// EachLeaseStatistic visits Kea's statistics of leases at every scope: global, of
// subnets, and of pools.
func (s *Server) EachLeaseStatistic(f func(family string, k stat.Key, v stat.Value)) {
	s.leaseStats(func(k stat.Key, v stat.Value) { f("dhcp4", k, v) })
	if s.six != nil {
		s.six.leaseStats(func(k stat.Key, v stat.Value) { f("dhcp6", k, v) })
	}
}

// Alloc6 is the DHCPv6 allocator in force, nil where DHCPv6 is not served.
func (s *Server) Alloc6() *alloc6.Set {
	if s.six == nil {
		return nil
	}
	return s.six.engine.Config().Alloc
}

// LeaseTable6 is LeaseTable for DHCPv6 leases.
func (s *Server) LeaseTable6() (records int, bytes uint64) {
	return s.table6.Len(), s.table6.MemoryBytes()
}

// LeaseTable is how many records the lease table has, offers included, and what
// they take.
func (s *Server) LeaseTable() (records int, bytes uint64) {
	return s.table.Len(), s.table.MemoryBytes()
}

// Parked is how many queries wait for a hook library.
func (s *Server) Parked() int64 {
	n := s.clients.parked.Load()
	if s.six != nil {
		n += s.six.clients.parked.Load()
	}
	return n
}

// ClassFailures are expressions of classes that could not be evaluated since the
// server was made; the query is then not in the class (CL-027). Any goroutine
// may call it.
func (s *Server) ClassFailures() (v4, v6 uint64) {
	return s.classFailures[0].Load(), s.classFailures[1].Load()
}

// countClassFailures counts those of the batch, once a batch.
func (w *Worker) countClassFailures() {
	now := [2]uint64{w.engine.ClassFailures()}
	if w.six != nil {
		now[1] = w.six.engine.ClassFailures()
	}
	if now == w.classFailures {
		return
	}
	for i := range now {
		w.s.classFailures[i].Add(now[i] - w.classFailures[i])
	}
	w.classFailures = now
}

// Truncated is how many replies left options out for want of room.
func (s *Server) Truncated() uint64 { return s.truncated.Load() }

// HookPanics are the failed callouts by library of the configuration in force.
func (s *Server) HookPanics() map[string]uint64 {
	m := s.runtime.Load().pipe.Panics()
	if s.six != nil {
		for lib, n := range s.six.runtime.Load().pipe.Panics() {
			m[lib] += n
		}
	}
	return m
}

// EachHistogram visits what hook libraries measure, by family.
func (s *Server) EachHistogram(f func(family string, h hooks.Histogram)) {
	s.runtime.Load().pipe.EachHistogram(func(h hooks.Histogram) { f("dhcp4", h) })
	if s.six != nil {
		s.six.runtime.Load().pipe.EachHistogram(func(h hooks.Histogram) { f("dhcp6", h) })
	}
}

// Store is the state of the lease store; ok is false if leases are not
// persisted.
func (s *Server) Store() (st leasestore.Stats, h leasestore.Health, ok bool) {
	if s.store == nil {
		return st, h, false
	}
	return s.store.Stats(), s.store.Health(), true
}

// CommitBounds are the upper bounds of leasestore.Stats' histograms: records and
// seconds of a commit.
func CommitBounds() (records, seconds []float64) {
	for _, b := range leasestore.CommitRecordsBounds {
		records = append(records, float64(b))
	}
	return records, leasestore.CommitSecondsBounds
}
