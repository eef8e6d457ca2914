package slowpath

import (
	"context"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// goBackground starts what runs beside the packets.
func (s *Server) goBackground(ctx context.Context) {
	s.bg.wg.Go(func() { s.reclaimLoop(ctx) })
	s.bg.wg.Go(func() { s.observeLoop(ctx) })
	if s.six != nil {
		s.bg.wg.Go(func() { s.six.reclaimLoop(ctx) })
	}
	if s.store != nil {
		s.bg.wg.Go(func() { s.snapshotLoop(ctx) })
	}
}

// observeLoop takes the statistics' samples.
func (s *Server) observeLoop(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			s.publishReclaimed()
			s.stats.Observe(now)
			if s.six != nil {
				s.six.publishReclaimed()
				s.six.stats.Observe(now)
			}
		}
	}
}

// reclaimLoop expires leases in Kea's cycles (LS-018): so many, or for so long,
// then a pause.
func (s *Server) reclaimLoop(ctx context.Context) {
	var j lease.Journal
	var w *leasestore.Writer
	if s.store != nil {
		w = s.store.NewWriter("reclaim")
		defer w.Retire()
		j = w
	}
	ew := s.engine.NewWorker(j)
	reclaimCycles(ctx, func() config.ExpiredProcessing { return s.Snapshot().Dhcp4.Expired },
		func(now time.Time, max int, stop func() bool) int {
			ew.Begin()
			n := ew.Reclaim(now.Unix(), max, false, stop)
			if w != nil {
				w.Kick()
			}
			return n
		},
		func(cycles int) {
			s.log.WithGroup("alloc-engine").Warn("ALLOC_ENGINE_V4_LEASES_RECLAMATION_SLOW expired leases are found faster than they are reclaimed; raise max-reclaim-leases or max-reclaim-time",
				"cycles", cycles)
		})
}

// reclaimCycles calls reclaim as expired-leases-processing says, and slow when
// it was at its limit as often as that says too.
func reclaimCycles(ctx context.Context, expired func() config.ExpiredProcessing, reclaim func(now time.Time, max int, stop func() bool) int, slow func(cycles int)) {
	unfinished := 0
	for {
		x := expired()
		wait := time.Duration(x.ReclaimTimerWaitTimeS) * time.Second
		if wait == 0 {
			wait = time.Second // no periodic reclamation: look again whether that changed
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if x.ReclaimTimerWaitTimeS == 0 {
			continue
		}
		start := time.Now()
		limit := time.Duration(x.MaxReclaimTimeMs) * time.Millisecond
		stop := func() bool {
			return ctx.Err() != nil || limit > 0 && time.Since(start) > limit
		}
		if n := reclaim(start, x.MaxReclaimLeases, stop); x.MaxReclaimLeases > 0 && n >= x.MaxReclaimLeases {
			unfinished++
			if unfinished == x.UnwarnedReclaimCycles {
				slow(unfinished)
			}
		} else {
			unfinished = 0
		}
	}
}

// countReclaimed counts a reclaimed lease; it is called by whoever reclaimed it,
// a worker in want of addresses too.
func (s *Server) countReclaimed(l *lease.Lease4) {
	s.reclaimed.leases.Add(1)
	s.subnets.reclaimed(l.SubnetID, l.Addr.Netip(), false, isDeclined(l.State))
	if isDeclined(l.State) {
		s.reclaimed.declined.Add(1)
	}
}

// publishReclaimed moves the counts into the statistics.
func (s *Server) publishReclaimed() {
	r := &s.reclaimed
	r.Lock()
	defer r.Unlock()
	r.shard.Add(stat.ReclaimedLeases, r.leases.Swap(0))
	r.shard.Add(stat.ReclaimedDeclinedAddresses, r.declined.Swap(0))
	r.shard.Publish()
}

// snapshotLoop keeps the journal short.
func (s *Server) snapshotLoop(ctx context.Context) {
	last := time.Now()
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.store.NeedSnapshot():
		case now := <-t.C:
			every := time.Duration(s.Snapshot().Dataplane.SnapshotIntervalS) * time.Second
			if every == 0 || now.Sub(last) < every {
				continue
			}
		}
		last = time.Now()
		if err := s.store.Snapshot(ctx, s.table, s.table6); err != nil && ctx.Err() == nil {
			s.log.WithGroup("dhcpsrv").Error("DHCPSRV_MEMFILE_LFC_FAIL the snapshot of the leases failed; the journal is kept", "error", err)
		}
	}
}

func isDeclined(s lease.State) bool { return s == lease.StateDeclined }
