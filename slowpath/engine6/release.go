package engine6

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// release ends leases at their client's wish (V6-012, RFC 8415 §18.3.7). Of
// each IA the first address or prefix counts. With lease affinity the record is
// kept for the client.
func (w *Worker) release(q *Query6, r *Reply6) Reason {
	general := dhcp6.StatusSuccess
	for i := range q.Msg.IAs() {
		ia := q.Msg.IA(i)
		status, text := dhcp6.StatusNoBinding, textNoAddress
		if x, ok := ia.Next(); ok {
			var reason Reason
			for range conflictTries {
				if status, text, reason = w.releaseOne(q, r, &ia, &x); reason != ReasonConflict {
					break
				}
			}
			if reason.fatal() {
				return reason
			}
		}
		if status != dhcp6.StatusSuccess {
			general = status
		}
		r.failIA(ia.Code, ia.IAID, status, text)
	}
	if general == dhcp6.StatusSuccess {
		r.SetStatus(general, "all leases released")
	} else {
		r.SetStatus(general, "not all leases released")
	}
	return ReasonOK
}

func (w *Worker) releaseOne(q *Query6, r *Reply6, ia *dhcp6.IA, x *dhcp6.Resource) (dhcp6.StatusCode, string, Reason) {
	l := &w.exist
	switch {
	case !w.t.Get(lease6.IPv6(x.Addr), l) || l.State != lease.StateDefault || l.Type != typeOf(ia.Code):
		return dhcp6.StatusNoBinding, textNotAssigned, ReasonOK
	case l.DUIDLen == 0 || !bytes.Equal(l.ID(), q.duid):
		return dhcp6.StatusNoBinding, textNotYours, ReasonOK
	case l.IAID != ia.IAID:
		return dhcp6.StatusNoBinding, textWrongIAID, ReasonOK
	}
	if reason := w.journalReady(); reason != ReasonOK {
		return 0, "", reason
	}
	if f := q.cfg.Callouts.LeaseRelease; f != nil {
		if s := f(q, l); s == Skip || s == Drop {
			return dhcp6.StatusUnspecFail, textReleaseFail, ReasonOK
		}
	}
	var c lease.Commit
	var err error
	if q.cfg.Snapshot.Dhcp6.Expired.Affinity() && l.ValidLifetimeS != lease.InfiniteLifetime {
		w.next.CopyFrom(l)
		w.next.State = lease.StateReleased
		w.next.ValidLifetimeS, w.next.PreferredLifetimeS = 0, 0
		// The hold time counts from here, not from the last renewal.
		w.next.CLTTUnixS = q.NowUnixS
		c, err = w.t.Put(&w.next, l.Version, w.j)
	} else {
		c, err = w.t.Delete(l.Addr, l.Version, w.j)
	}
	if err != nil {
		return 0, "", w.putReason(err)
	}
	r.CommitPos = max(r.CommitPos, c.Pos)
	r.Deleted = appendLease(r.Deleted, l)
	return dhcp6.StatusSuccess, textReleased, ReasonOK
}

// decline takes addresses that their client found in use out of service for
// decline-probation-period (V6-013, RFC 8415 §18.3.8). The record forgets the
// client. Only an unexpired lease of that client can be declined, so that nobody
// declines a pool away.
func (w *Worker) decline(q *Query6, r *Reply6) Reason {
	for i := range q.Msg.IAs() {
		ia := q.Msg.IA(i)
		if ia.Code != dhcp6.OptIANA {
			continue
		}
		iaid := ia.IAID
		status, text := dhcp6.StatusNoBinding, textNoAddress
		failed := false
		for x, ok := ia.Next(); ok; x, ok = ia.Next() {
			var reason Reason
			s, t := dhcp6.StatusSuccess, ""
			for range conflictTries {
				if s, t, reason = w.declineOne(q, r, iaid, x.Addr); reason != ReasonConflict {
					break
				}
			}
			if reason == ReasonDeclineRefused || reason.fatal() {
				return reason
			}
			// One status speaks for the IA: a failure if there is any.
			if !failed {
				status, text = s, t
				failed = s != dhcp6.StatusSuccess
			}
		}
		if text != "" {
			r.failIA(dhcp6.OptIANA, iaid, status, text)
		} else if r.AddIA(dhcp6.OptIANA, iaid) == nil {
			r.LeftOut++
		}
	}
	return ReasonOK
}

// declineOne declines one address. Without text the IA gets no status: a callout
// has left the lease alone.
func (w *Worker) declineOne(q *Query6, r *Reply6, iaid uint32, a dhcp6.IPv6) (dhcp6.StatusCode, string, Reason) {
	l := &w.exist
	switch {
	case !w.t.Get(lease6.IPv6(a), l) || l.State != lease.StateDefault || l.Type != lease6.TypeNA || l.Expired(q.NowUnixS):
		return dhcp6.StatusNoBinding, textNotAssigned, ReasonOK
	case l.DUIDLen == 0 || !bytes.Equal(l.ID(), q.duid):
		return dhcp6.StatusNoBinding, textNotYours, ReasonOK
	case l.IAID != iaid:
		return dhcp6.StatusNoBinding, textWrongIAID, ReasonOK
	}
	if reason := w.journalReady(); reason != ReasonOK {
		return 0, "", reason
	}
	if f := q.cfg.Callouts.LeaseDecline; f != nil {
		switch f(q, l) {
		case Skip:
			return dhcp6.StatusSuccess, "", ReasonOK
		case Drop:
			return 0, "", ReasonDeclineRefused
		}
	}
	n := &w.next
	n.CopyFrom(l)
	n.CLTTUnixS = q.NowUnixS
	n.PreferredLifetimeS, n.ValidLifetimeS = 0, q.cfg.Snapshot.Dhcp6.DeclineProbationS
	n.State = lease.StateDeclined
	n.FQDNFwd, n.FQDNRev = false, false
	n.SetID(nil)
	n.SetHW(0, nil, 0)
	n.SetHost(nil)
	n.SetRelays(nil)
	n.UserContext = ""
	c, err := w.t.Put(n, l.Version, w.j)
	if err != nil {
		return 0, "", w.putReason(err)
	}
	r.CommitPos = max(r.CommitPos, c.Pos)
	r.Leases = appendLease(r.Leases, n)
	return dhcp6.StatusSuccess, textDeclined, ReasonOK
}
