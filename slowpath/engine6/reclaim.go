package engine6

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// ReclaimCounts are what a Worker has reclaimed since it was made.
type ReclaimCounts = lease.ReclaimCounts

// Reclaimed returns the counts. Only for the worker's goroutine.
func (w *Worker) Reclaimed() ReclaimCounts { return w.reclaimed }

// Reclaim handles up to max due leases (0: all) and stops early when stop
// reports true between two: it expires, recovers declined ones and removes what
// was held long enough (LS-018, LS-019). remove deletes expired leases at once
// (leases-reclaim). It returns how many leases it handled; offers that nobody
// took go on the way, but are no leases. w is the reclaimer's own.
// It also stops while the journal takes no records; what is left stays due.
func (w *Worker) Reclaim(nowUnixS int64, max int, remove bool, stop func() bool) int {
	leases, _ := w.reclaim(w.Begin(), nowUnixS, max, false, remove, stop)
	return leases
}

// spaceBatch is how many records reclaimForSpace handles at once.
const spaceBatch = 64

// reclaimForSpace reclaims some due leases because the pools are exhausted, so
// that expired leases are given out again also before (or without) the next run
// of the reclaimer (V4-071). It reports whether there were any.
func (w *Worker) reclaimForSpace(q *Query6) bool {
	if w.nothingDueAt == q.NowUnixS { // a flood must not scan for every packet
		return false
	}
	if leases, offers := w.reclaim(q.cfg, q.NowUnixS, spaceBatch, true, false, nil); leases+offers == 0 {
		w.nothingDueAt = q.NowUnixS
		return false
	}
	return true
}

// reclaim counts offers towards max with all.
func (w *Worker) reclaim(cfg *Config, nowUnixS int64, max int, all, remove bool, stop func() bool) (leases, offers int) {
	x := &cfg.Snapshot.Dhcp6.Expired
	run := reclaimRun{w, cfg, nowUnixS, int64(x.HoldReclaimedTimeS), remove}
	if !x.Affinity() {
		run.remove, run.holdS = true, 0
	}
	return lease.ReclaimDue(run, w.due[:], max, all, stop)
}

// reclaimRun is a run's lease.Reclaimer.
type reclaimRun struct {
	w        *Worker
	cfg      *Config
	nowUnixS int64
	holdS    int64
	remove   bool
}

// FillDue implements lease.Reclaimer.
func (r reclaimRun) FillDue(out []lease6.Due) int { return r.w.t.Due(r.nowUnixS, r.holdS, out) }

// ReclaimOne implements lease.Reclaimer.
func (r reclaimRun) ReclaimOne(d *lease6.Due) (changed, offer, ok bool) {
	w := r.w
	if w.journalReady() != ReasonOK {
		w.reclaimed.Stopped++
		return false, false, false
	}
	before := w.reclaimed.Offers
	changed = w.reclaimOne(r.cfg, d, r.nowUnixS, r.remove)
	return changed, w.reclaimed.Offers != before, true
}

// reclaimOne reports whether the record was changed.
func (w *Worker) reclaimOne(cfg *Config, d *lease6.Due, nowUnixS int64, remove bool) bool {
	l := &w.exist
	if !w.t.Get(d.Addr, l) || l.Version != d.Version {
		return true // changed meanwhile: no longer due
	}
	switch l.State {
	case lease.StateOffered, lease.StateReleased, lease.StateExpiredReclaimed:
		if _, err := w.t.Delete(l.Addr, l.Version, w.j); err != nil {
			return err == lease.ErrConflict
		}
		switch l.State {
		case lease.StateOffered:
			w.reclaimed.Offers++
		case lease.StateReleased:
			w.countReclaimed(cfg, l)
			w.reclaimed.Removed++
		default:
			w.reclaimed.Removed++
		}
		return true
	}
	if !l.Expired(nowUnixS) {
		return false
	}
	if l.State == lease.StateDeclined || l.State == lease.StateRegistered {
		remove = true // nothing in it is worth keeping (V6-015)
	}
	if f := cfg.Callouts.LeaseExpire; f != nil && f(l, remove) == Skip {
		w.reclaimed.Skipped++
		return false
	}
	if l.State == lease.StateDeclined && !w.recover(cfg, l) {
		w.reclaimed.Skipped++
		return false
	}
	var err error
	if remove {
		_, err = w.t.Delete(l.Addr, l.Version, w.j)
	} else {
		w.next.CopyFrom(l)
		w.next.State = lease.StateExpiredReclaimed
		w.next.SetHost(nil)
		w.next.SetRelays(nil)
		w.next.FQDNFwd, w.next.FQDNRev = false, false
		w.next.UserContext = ""
		_, err = w.t.Put(&w.next, l.Version, w.j)
	}
	if err != nil {
		return err == lease.ErrConflict
	}
	w.countReclaimed(cfg, l)
	return true
}

// recover asks whether the address of an expired declined lease may be used
// again.
func (w *Worker) recover(cfg *Config, l *lease6.Lease6) bool {
	f := cfg.Callouts.LeaseRecover
	return f == nil || f(l) != Skip
}

// expired does what belongs to reclaiming l after its record was replaced by
// another client's, or by a new lease of the same one (V4-071). Reclaimed
// records had it done before.
func (w *Worker) expired(cfg *Config, l *lease6.Lease6, remove bool) {
	switch l.State {
	case lease.StateDefault, lease.StateDeclined, lease.StateReleased, lease.StateRegistered:
		if f := cfg.Callouts.LeaseExpire; f != nil {
			f(l, remove)
		}
		w.countReclaimed(cfg, l)
	}
}

func (w *Worker) countReclaimed(cfg *Config, l *lease6.Lease6) {
	w.reclaimed.Leases++
	if l.State == lease.StateDeclined {
		w.reclaimed.Declined++
	}
	if f := cfg.Callouts.Reclaimed; f != nil {
		f(l)
	}
}
