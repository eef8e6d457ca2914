package engine

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// release ends a lease at its client's wish (V4-023, RFC 2131 §4.3.4). Subnet,
// reservations and match-client-id do not matter; the address, in ciaddr, must
// be leased to the client. With lease affinity the record is kept for it.
func (w *Worker) release(q *Query4, r *Reply4) Reason {
	for range conflictTries {
		if reason := w.releaseOnce(q, r); reason != ReasonConflict {
			return reason
		}
	}
	return ReasonConflict
}

func (w *Worker) releaseOnce(q *Query4, r *Reply4) Reason {
	l := &w.cur
	switch {
	case !w.t.Get(q.Msg.CIAddr(), l) || l.State == lease.StateOffered:
		return ReasonReleaseNoLease
	case !q.owns(l, q.cid):
		return ReasonReleaseNotOwner
	case l.State != lease.StateDefault:
		return ReasonReleaseNotLeased
	}
	if reason := w.journalReady(); reason != ReasonOK {
		return reason
	}
	if f := q.cfg.Callouts.LeaseRelease; f != nil {
		if s := f(q, l); s == Skip || s == Drop {
			return ReasonReleaseRefused
		}
	}
	if q.cfg.Snapshot.Dhcp4.Expired.Affinity() && l.ValidLifetimeS != lease.InfiniteLifetime {
		w.next = *l
		w.next.State = lease.StateReleased
		w.next.ValidLifetimeS = 0
		// The hold time counts from here, not from the last renewal.
		w.next.CLTTUnixS = q.NowUnixS
		c, err := w.t.Put(&w.next, l.Version, w.j)
		if err != nil {
			return w.putReason(err)
		}
		r.CommitPos = c.Pos
		r.Lease = w.next
	} else {
		c, err := w.t.Delete(l.Addr, l.Version, w.j)
		if err != nil {
			return w.putReason(err)
		}
		r.CommitPos = c.Pos
		r.Lease = *l
		r.Deleted, r.HaveDeleted = *l, true
	}
	r.HaveLease = true
	r.OldLease, r.HaveOld = *l, true
	return ReasonOK
}

// decline takes an address that its client found in use out of service for
// decline-probation-period (V4-024, RFC 2131 §4.3.3). The record forgets the
// client. Only an unexpired lease of that client can be declined, so that
// nobody declines a pool away.
func (w *Worker) decline(q *Query4, r *Reply4) Reason {
	for range conflictTries {
		if reason := w.declineOnce(q, r); reason != ReasonConflict {
			return reason
		}
	}
	return ReasonConflict
}

func (w *Worker) declineOnce(q *Query4, r *Reply4) Reason {
	l := &w.cur
	a, _ := q.Msg.RequestedIP()
	switch {
	case !w.t.Get(a, l) || l.State == lease.StateOffered:
		return ReasonDeclineNoLease
	case l.State != lease.StateDeclined && !q.owns(l, q.cid):
		return ReasonDeclineNotOwner
	case l.State != lease.StateDefault || l.Expired(q.NowUnixS):
		return ReasonDeclineNotLeased
	}
	if reason := w.journalReady(); reason != ReasonOK {
		return reason
	}
	if f := q.cfg.Callouts.LeaseDecline; f != nil {
		if s := f(q, l); s == Skip || s == Drop {
			return ReasonDeclineRefused
		}
	}
	return w.putDeclined(r, l, q.NowUnixS, q.cfg.Snapshot.Dhcp4.DeclineProbationS)
}

// putDeclined stores l as declined, without its client.
func (w *Worker) putDeclined(r *Reply4, l *lease.Lease4, nowUnixS int64, probationS uint32) Reason {
	n := &w.next
	n.Addr, n.SubnetID, n.PoolID = l.Addr, l.SubnetID, l.PoolID
	n.CLTTUnixS = nowUnixS
	n.ValidLifetimeS = probationS
	n.State = lease.StateDeclined
	n.FQDNFwd, n.FQDNRev = false, false
	n.SetHW(0, nil)
	n.SetCID(nil)
	n.SetHost(nil)
	n.UserContext = ""
	c, err := w.t.Put(n, l.Version, w.j)
	if err != nil {
		return w.putReason(err)
	}
	r.CommitPos = c.Pos
	r.OldLease, r.HaveOld = *l, true
	r.Lease, r.HaveLease = *n, true
	return ReasonOK
}

// ServerDecline4 declines the address that Process4 has just offered in r,
// because a probe found it in use (V4-025): it is kept from everybody for the
// probation period. The offer must not be sent; the client asks again.
func (w *Worker) ServerDecline4(q *Query4, r *Reply4) Reason {
	if !r.HaveLease {
		return ReasonOK
	}
	q.identify()
	for range conflictTries {
		if reason := w.journalReady(); reason != ReasonOK {
			return reason
		}
		l := &w.cur
		if !w.t.Get(r.Lease.Addr, l) {
			*l = r.Lease // the offer has ended meanwhile
			l.Version = 0
		} else if leased(l, q.NowUnixS) && !q.owns(l, q.cid) || l.State == lease.StateOffered && !q.owns(l, q.cid) {
			return ReasonAddressInUse // meanwhile somebody else's
		}
		if reason := w.putDeclined(r, l, q.NowUnixS, q.cfg.Snapshot.Dhcp4.DeclineProbationS); reason != ReasonConflict {
			return reason
		}
	}
	return ReasonConflict
}
