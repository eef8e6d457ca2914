package engine

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/alloc"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// discover answers a DHCPDISCOVER: reserved address, the client's current one,
// the one it asks for, one from the allocator (V4-069). If there is none it is
// silent (V4-017).
func (w *Worker) discover(q *Query4, r *Reply4) Reason {
	if q.Classes.InClass(classReject) {
		return ReasonClassReject
	}
	if q.Subnet == nil {
		return ReasonNoSubnet
	}
	if reason, done := w.prepare(q, r); done {
		if reason == ReasonOK {
			r.Type = dhcp4.MsgOffer
		}
		return reason
	}
	if !q.enterSubnet() {
		return ReasonSubnetGuarded
	}
	first := q.Subnet
	for range conflictTries {
		q.setSubnet(first)
		reason := w.offer(q, r)
		if reason == ReasonConflict {
			continue
		}
		if reason == ReasonOK {
			r.CopyHeader(q.Msg)
			r.Type = dhcp4.MsgOffer
			r.YIAddr = r.Lease.Addr
		}
		return reason
	}
	return ReasonConflict
}

func (w *Worker) offer(q *Query4, r *Reply4) Reason {
	r.HaveLease, r.HaveOld, r.Reused = false, false, false
	have := w.findClient(q)
	if a, ok := w.reservedAddr(q); ok {
		if have && w.cur.Addr == a {
			return w.renew(q, r, true)
		}
		switch reason := w.take(q, r, a, true, true); reason {
		case ReasonAddressInUse:
			r.ReservationConflict = true
		case ReasonLeaseRefused:
		default:
			return reason
		}
	}
	if have && w.inAllowedPool(q, w.cur.Addr) && !w.reservedForOther(q, w.cur.Addr) {
		return w.renew(q, r, true)
	}
	if a := q.hint(); a != 0 && w.inAllowedPool(q, a) && !w.reservedForOther(q, a) {
		switch reason := w.take(q, r, a, true, false); reason {
		case ReasonAddressInUse, ReasonLeaseRefused:
		default:
			return reason
		}
	}
	return w.allocate(q, r, true)
}

// take gives the client the address, which may not be leased to anybody. With
// offer it is only offered. Offers to others do not count for a DHCPREQUEST and
// for a reserved address (overOffers), as Kea knows none.
//
// ReasonAddressInUse and ReasonLeaseRefused leave room for another address.
func (w *Worker) take(q *Query4, r *Reply4, a dhcp4.IPv4, offer, overOffers bool) Reason {
	return w.takeExisting(q, r, a, w.t.Get(a, &w.exist), offer, overOffers)
}

// takeExisting is take where the record of the address is in w.exist, if found.
func (w *Worker) takeExisting(q *Query4, r *Reply4, a dhcp4.IPv4, found, offer, overOffers bool) Reason {
	old := &w.exist
	stale := false
	if found {
		switch {
		case old.State == lease.StateOffered:
			if !overOffers && !old.Expired(q.NowUnixS) && !q.owns(old, q.matchCID()) {
				return ReasonAddressInUse
			}
		case leased(old, q.NowUnixS):
			if offer && q.onLink(old.SubnetID) && q.owns(old, q.matchCID()) {
				w.cur.CopyFrom(old) // a second lease of the client's
				return w.renew(q, r, true)
			}
			return ReasonAddressInUse
		default:
			stale = true
		}
	}
	return w.put(q, r, a, found, stale, offer)
}

// put stores the lease or offer of a free address, whose record, if found, is
// w.exist: an offer, or stale, which is expired, reclaimed or released. An offer
// stands over a stale record and leaves it as it is; a lease replaces it, which
// reclaims it first (V4-071).
func (w *Worker) put(q *Query4, r *Reply4, a dhcp4.IPv4, found, stale, offer bool) Reason {
	if q.hw == nil && q.matchCID() == nil {
		return ReasonIdentityUnusable
	}
	old, next := &w.exist, &w.next
	next.UserContext = ""
	w.fill(q, next, a, w.validLifetime(q, a, 0))
	if f := q.cfg.Callouts.LeaseSelect; f != nil {
		if s := f(q, next, offer); s == Skip || s == Drop {
			return ReasonLeaseRefused
		}
		next.Addr = a
	}
	validS := next.ValidLifetimeS
	volatile := false
	if offer {
		if next.ValidLifetimeS = q.offerLifetime(); next.ValidLifetimeS == 0 { // V4-074
			volatile = true
			next.ValidLifetimeS = q.cfg.OfferHoldS
			next.State = lease.StateOffered
		}
	}
	var version uint64
	if found {
		version = old.Version
	}
	if stale && old.State == lease.StateDeclined && !w.recover(q.cfg, old) {
		return ReasonAddressInUse
	}
	if volatile && stale && old.State == lease.StateDeclined {
		// No offer stands over a declined address: its probation has to end first.
		if _, err := w.t.Delete(a, version, w.j); err != nil {
			return w.putReason(err)
		}
		w.expired(q.cfg, old, true)
		version, stale = 0, false
	}
	var under *lease.Lease4
	if found && !volatile && !stale {
		under = &w.under // what counts is the record below the offer
	}
	c, err := w.t.PutOver(next, version, w.j, under)
	if err != nil {
		return w.putReason(err)
	}
	if c.Covered {
		old, stale = under, true
	}
	if stale && !volatile {
		w.expired(q.cfg, old, false)
		r.OldLease.CopyFrom(old)
		r.HaveOld = true
	}
	r.CommitPos = c.Pos
	r.Lease.CopyFrom(next)
	r.HaveLease = true
	r.Lease.State = lease.StateDefault
	r.Lease.ValidLifetimeS = validS
	r.ValidLifetimeS = validS
	return ReasonOK
}

// allocate takes an address of the pools that the client may use, of all subnets
// of its link: one that is free or whose lease has ended, else one of an expired
// lease, else one that is only offered, so that a flood of DHCPDISCOVERs keeps
// nobody from being served.
func (w *Worker) allocate(q *Query4, r *Reply4, offer bool) Reason {
	if q.Subnet.Network != nil {
		q.setSubnet(q.cfg.Alloc.Preferred(q.Subnet))
	}
	first := q.Subnet
	for round := range 3 {
		switch {
		case round == 1 && !q.anyPool(first):
			return ReasonNoPools
		case round == 1 && !w.reclaimForSpace(q):
			continue
		}
		for s := first; s != nil; s = q.nextSubnetWith(first, s, round == 2) {
			q.setSubnet(s)
			switch reason := w.allocateIn(q, r, offer, round == 2); reason {
			case ReasonNoPools, ReasonPoolExhausted:
			default:
				return reason
			}
		}
	}
	return ReasonPoolExhausted
}

// reservedTries is how many addresses in a row may be reserved for others by
// reservations that the allocator does not know: those made at run time.
const reservedTries = 256

// allocateIn is allocate in the query's subnet.
func (w *Worker) allocateIn(q *Query4, r *Reply4, offer, offered bool) Reason {
	conflicts := 0
	for range reservedTries {
		a, kind, reason := w.pick(q, offered)
		if reason != ReasonOK {
			return reason
		}
		if w.reservedForOther(q, a) {
			q.cfg.Alloc.Unclaim(q.Subnet, a)
			continue
		}
		// A free address has no record; if it has one by now, Put says so.
		found := kind != alloc.Free && w.t.Get(a, &w.exist)
		over := found && isOffer(&w.exist)
		reason = ReasonConflict
		if !found || over || !leased(&w.exist, q.NowUnixS) {
			reason = w.put(q, r, a, found, found && !over, offer)
			if reason == ReasonOK {
				return reason
			}
		}
		q.cfg.Alloc.Unclaim(q.Subnet, a)
		if reason != ReasonConflict && reason != ReasonAddressInUse {
			return reason
		}
		if conflicts++; conflicts == conflictTries {
			return ReasonConflict
		}
	}
	return ReasonPoolExhausted
}
