package engine

import "github.com/peregrine-dhcp/peregrine/slowpath/lease"

// ServerDecline4 declines the address of an OFFER that somebody was found to
// use already (V4-025): it is kept from everybody for the probation period. The
// client gets no answer and asks again.
func (w *Worker) ServerDecline4(q *Query4, r *Reply4) Reason {
	if !r.HaveLease {
		return ReasonOK
	}
	if why := w.journalReady(); why != ReasonOK {
		return why
	}
	l := &w.cur
	if !w.t.Get(r.Lease.Addr, l) || l.Version != r.Lease.Version || l.State != lease.StateOffered {
		return ReasonConflict // it is somebody's by now
	}
	return w.putDeclined(r, l, q.NowUnixS, q.cfg.Snapshot.Dhcp4.DeclineProbationS)
}
