package engine6

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// update answers a SOLICIT or REQUEST with a lease the IA has already (Kea's
// updateLeaseData): its lifetimes stay, unless it was released.
func (w *Worker) update(q *Query6, r *Reply6, c *candidate) Reason {
	a, old := &w.ia, &w.slots[c.slot]
	addr := dhcp6.IPv6(old.Addr)
	preferredS, validS := old.PreferredLifetimeS, old.ValidLifetimeS
	if validS == 0 {
		preferredS, validS = w.lifetimesOf(q, addr, old.PrefixLen, nil)
	}
	if a.offer {
		c.preferredS, c.validS = preferredS, validS
		return ReasonOK
	}
	next := &w.next
	next.CopyFrom(old)
	q.setName(next)
	next.PreferredLifetimeS, next.ValidLifetimeS = preferredS, validS
	next.CLTTUnixS = q.NowUnixS
	next.State = lease.StateDefault
	if (a.typ == lease6.TypePD || q.sameName(old)) && w.durable(old) {
		if p, v, ok := reusable(q.Subnet, old, validS, q.NowUnixS); ok {
			c.preferredS, c.validS, c.reused = p, v, true
			return ReasonOK
		}
	}
	return w.storeAgain(q, r, c)
}

// extendLease answers a RENEW or REBIND with a lease the IA has (Kea's
// extendLease6).
func (w *Worker) extendLease(q *Query6, r *Reply6, c *candidate) Reason {
	old, next := &w.slots[c.slot], &w.next
	addr := dhcp6.IPv6(old.Addr)
	s := q.rules
	if s.s.ID != old.SubnetID {
		s = q.cfg.byID[old.SubnetID]
		q.setSubnet(s)
	}
	if !reserves(q.globalHost(), old.Type, addr, old.PrefixLen) &&
		(old.Type == lease6.TypeNA && !s.contains(addr) || !s.supports(&q.Classes)) {
		return w.remove(q, r, c)
	}
	preferredS, validS := w.lifetimesOf(q, addr, old.PrefixLen, old)
	next.CopyFrom(old)
	changed := preferredS != old.PreferredLifetimeS || validS != old.ValidLifetimeS ||
		!q.sameName(old) || old.State != lease.StateDefault ||
		len(q.hw.addr) != int(old.HWLen) || len(q.hw.addr) > 0 && (old.HWType != q.hw.htype || !bytes.Equal(old.HW(), q.hw.addr)) ||
		!w.sameRelays(q, old)
	next.PreferredLifetimeS, next.ValidLifetimeS = preferredS, validS
	next.CLTTUnixS = q.NowUnixS
	next.State = lease.StateDefault
	q.setName(next)
	next.SetHW(q.hw.htype, q.hw.addr, q.hw.source)
	next.PoolID = s.poolID(old.Type, addr)
	if s.s.StoreExtendedInfo && q.Msg.Relays() > 0 {
		next.SetRelays(w.relayInfo(q))
	}
	f := q.cfg.Callouts.LeaseRenew
	if q.Msg.Type() == dhcp6.MsgRebind {
		f = q.cfg.Callouts.LeaseRebind
	}
	if f != nil {
		st := f(q, next)
		next.Addr, next.PrefixLen, next.Type = old.Addr, old.PrefixLen, old.Type
		if st == Skip {
			return w.repeat(q, c)
		}
		changed = changed || next.PreferredLifetimeS != preferredS || next.ValidLifetimeS != validS
	}
	expired := old.State == lease.StateDefault && old.Expired(q.NowUnixS)
	if !changed && !expired && w.durable(old) {
		if p, v, ok := reusable(s.s, old, next.ValidLifetimeS, q.NowUnixS); ok {
			c.preferredS, c.validS, c.reused = p, v, true
			return ReasonOK
		}
	}
	if !expired {
		return w.storeAgain(q, r, c)
	}
	w.exist.CopyFrom(old)
	reason := w.storeAgain(q, r, c)
	if reason == ReasonOK {
		w.expired(q.cfg, &w.exist, false)
	}
	return reason
}

// storeAgain stores w.next as the new value of the lease.
func (w *Worker) storeAgain(q *Query6, r *Reply6, c *candidate) Reason {
	old, next := &w.slots[c.slot], &w.next
	if reason := w.journalReady(); reason != ReasonOK {
		return reason
	}
	p, err := w.t.Put(next, old.Version, w.j)
	if err != nil {
		return w.putReason(err)
	}
	r.CommitPos = max(r.CommitPos, p.Pos)
	old.CopyFrom(next)
	c.preferredS, c.validS = next.PreferredLifetimeS, next.ValidLifetimeS
	return ReasonOK
}

// repeat answers with the stored lease as it is, because a callout wants it so,
// and promises no more than what remains of it.
func (w *Worker) repeat(q *Query6, c *candidate) Reason {
	old := &w.slots[c.slot]
	preferredS, validS := remainingS(old, q.NowUnixS)
	if validS == 0 {
		c.gone = true
		w.ia.addLost(old, q.duid)
		return ReasonOK
	}
	if !w.durable(old) {
		return ReasonNotDurable
	}
	c.preferredS, c.validS = preferredS, validS
	return ReasonOK
}
