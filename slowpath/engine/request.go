package engine

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// request answers a DHCPREQUEST in any state (V4-018 … V4-021, V4-070).
func (w *Worker) request(q *Query4, r *Reply4) Reason {
	if q.Classes.InClass(classReject) {
		return w.nak(q, r, ReasonClassReject)
	}
	if q.Subnet == nil {
		switch {
		case q.State == StateRebinding:
			return ReasonRebindNoSubnet
		case q.State == StateInitReboot && !q.cfg.Snapshot.Dhcp4.Authoritative:
			return ReasonNoSubnet
		}
		return w.nak(q, r, ReasonNoSubnet)
	}
	if reason, done := w.prepare(q, r); done {
		if reason == ReasonOK {
			r.Type = dhcp4.MsgAck
			r.CIAddr = q.Msg.CIAddr()
		}
		return reason
	}
	if !q.enterSubnet() {
		return w.nak(q, r, ReasonSubnetGuarded)
	}
	first := q.Subnet
	for range conflictTries {
		q.setSubnet(first)
		reason := w.grant(q, r)
		switch {
		case reason == ReasonConflict:
			continue
		case reason == ReasonOK:
			r.CopyHeader(q.Msg)
			r.Type = dhcp4.MsgAck
			r.YIAddr = r.Lease.Addr
			r.CIAddr = q.Msg.CIAddr()
			return ReasonOK
		case w.silent(q, reason):
			return reason
		}
		return w.nak(q, r, reason)
	}
	return ReasonConflict
}

// silent says for which reasons a DHCPREQUEST that got no lease gets no
// DHCPNAK either: we know nothing of the address or client, so that another
// server may (WR-04), or we cannot do our work now, so that the client's lease
// may be good.
func (w *Worker) silent(q *Query4, reason Reason) bool {
	switch reason {
	case ReasonUnknownAddress, ReasonConflict, ReasonNotDurable, ReasonIdentityUnusable,
		ReasonJournalFull, ReasonJournalFailed, ReasonTableFull:
		return true
	case ReasonInitRebootUnknown:
		return !q.Subnet.Authoritative
	}
	return false
}

// grant renews the client's lease or makes a new one.
func (w *Worker) grant(q *Query4, r *Reply4) Reason {
	r.HaveLease, r.HaveOld, r.HaveDeleted, r.Reused = false, false, false, false
	first := q.Subnet
	req := q.hint()
	if q.State == StateInitReboot {
		switch known, right := w.rebootLease(q, req); {
		case !known:
			return ReasonInitRebootUnknown
		case !right:
			return ReasonInitRebootAddress
		}
	}
	have := w.findClient(q)
	if req == 0 {
		resAddr, reserved := w.reservedAddr(q)
		if !reserved {
			return w.grantAny(q, r, have)
		}
		req = resAddr
	} else if w.reservedForOther(q, req) {
		return ReasonAddressReserved
	}

	own := false
	found := have && w.cur.Addr == req
	if found {
		w.exist.CopyFrom(&w.cur)
	} else {
		found = w.t.Get(req, &w.exist)
	}
	if found && leased(&w.exist, q.NowUnixS) {
		if !q.owns(&w.exist, q.matchCID()) {
			return ReasonAddressInUse
		}
		own = q.onLink(w.exist.SubnetID)
	}
	if resAddr, reserved := w.reservedAddr(q); !reserved || resAddr != req {
		// While the reserved address is not free the client may have another
		// one; as soon as it is free it shall ask for it (V4-128).
		if reserved && !(w.t.Get(resAddr, &w.tmp) && leased(&w.tmp, q.NowUnixS)) {
			return ReasonReservedElsewhere
		}
		if !w.inAllowedPool(q, req) {
			if q.inAnyPool(first, req) {
				return ReasonPoolGuarded
			}
			return ReasonUnknownAddress
		}
	}

	// Any other record of the client's in the subnet goes, in w.tmp.
	goes := have && w.cur.Addr != req
	if goes {
		w.tmp.CopyFrom(&w.cur)
	}
	if own && (goes || !have) {
		// The client has two leases and asks for the one that the look-up did
		// not prefer. Unless it is the first step from an address it should no
		// longer have (V4-074), both stay: they may be of two systems that boot
		// on one machine.
		w.cur.CopyFrom(&w.exist)
		have = true
		goes = goes && q.offerLifetime() > 0
	}
	var reason Reason
	if have && w.cur.Addr == req && w.cur.State != lease.StateOffered {
		reason = w.renew(q, r, false)
	} else {
		reason = w.takeExisting(q, r, req, found, false, true)
	}
	if reason == ReasonOK && goes {
		w.drop(r, &w.tmp)
	}
	return reason
}

// grantAny serves a client that names no address and has none reserved.
func (w *Worker) grantAny(q *Query4, r *Reply4, have bool) Reason {
	if have && w.inAllowedPool(q, w.cur.Addr) && !w.reservedForOther(q, w.cur.Addr) {
		if w.cur.State != lease.StateOffered {
			return w.renew(q, r, false)
		}
		return w.take(q, r, w.cur.Addr, false, true)
	}
	if have {
		w.tmp.CopyFrom(&w.cur)
	}
	reason := w.allocate(q, r, false)
	if reason == ReasonOK && have {
		w.drop(r, &w.tmp)
	}
	return reason
}

// rebootLease looks for the lease of a client in INIT-REBOOT, whatever
// match-client-id says (V4-019). right: it is one of the address it asks for.
func (w *Worker) rebootLease(q *Query4, req dhcp4.IPv4) (known, right bool) {
	l, first := &w.tmp, q.Subnet
	if w.t.Get(req, l) && (!isOffer(l) || w.t.Covered(req, l)) && q.onLink(l.SubnetID) && q.owns(l, q.cid) {
		return true, true
	}
	w.link = append(w.link[:0], first)
	if first.Network != nil {
		w.clientSubnets(q, q.cid == nil)
	}
	for _, s := range w.link {
		if q.cid != nil && w.t.FindByClientID(q.cid, s.ID, l) && !isOffer(l) {
			return true, l.Addr == req
		}
	}
	for _, s := range w.link {
		if q.hw != nil && w.t.FindByHWAddr(q.Msg.HType(), q.hw, q.cid, s.ID, l) && !isOffer(l) {
			return true, l.Addr == req
		}
	}
	return false, false
}

// drop removes a record that the client had beside its new lease. If it was
// changed meanwhile it stays and expires.
func (w *Worker) drop(r *Reply4, l *lease.Lease4) {
	if l.Addr == r.Lease.Addr {
		return
	}
	c, err := w.t.Delete(l.Addr, l.Version, w.j)
	if err != nil || l.State == lease.StateOffered {
		return
	}
	r.Deleted, r.HaveDeleted = *l, true
	r.CommitPos = max(r.CommitPos, c.Pos)
}

// renew gives or offers the client's own record w.cur again.
func (w *Worker) renew(q *Query4, r *Reply4, offer bool) Reason {
	old, next := &w.cur, &w.next
	if old.State == lease.StateOffered {
		w.exist.CopyFrom(&w.cur)
		return w.put(q, r, old.Addr, true, false, offer)
	}
	now := q.NowUnixS
	inUse := leased(old, now)
	offerS := uint32(0)
	if offer {
		offerS = q.offerLifetime() // V4-074
	}
	if offer && !inUse && offerS == 0 {
		// An old lease does not keep the address for its client, so it is
		// offered like any other.
		w.exist.CopyFrom(&w.cur)
		return w.put(q, r, old.Addr, true, true, true)
	}
	if inUse && old.ExpiresUnixS() > now+int64(offerS) {
		offerS = 0
	}
	next.CopyFrom(old)
	w.fill(q, next, old.Addr, w.validLifetime(q, old.Addr, remainingS(old, now)))
	var reuseS uint32
	if inUse && offerS == 0 && sameLease(old, next) && (offer || w.durable(old)) {
		reuseS = reusable(q.Subnet, old, now)
	}
	if f := q.cfg.Callouts.LeaseRenew; f != nil {
		s := f(q, next)
		next.Addr = old.Addr
		if s == Skip {
			return w.repeat(q, r, offer)
		}
	}
	validS := next.ValidLifetimeS
	switch {
	case reuseS != 0:
		next.CopyFrom(old)
		validS = reuseS
		r.Reused = true
	case offer && offerS == 0:
		// Nothing is stored: the record keeps the address for the client as it is.
	default:
		if offerS != 0 {
			next.ValidLifetimeS = offerS
		}
		c, err := w.t.Put(next, old.Version, w.j)
		if err != nil {
			return w.putReason(err)
		}
		r.CommitPos = c.Pos
		if !inUse {
			w.expired(q.cfg, old, false)
		}
	}
	r.OldLease.CopyFrom(old)
	r.HaveOld = true
	r.Lease.CopyFrom(next)
	r.HaveLease = true
	r.Lease.State = lease.StateDefault
	if !r.Reused {
		r.Lease.ValidLifetimeS = validS
	}
	r.ValidLifetimeS = validS
	return ReasonOK
}

// repeat answers with the stored lease w.cur as it is, because a callout wants
// it so, and promises no more than what remains of it.
func (w *Worker) repeat(q *Query4, r *Reply4, offer bool) Reason {
	old := &w.cur
	left := remainingS(old, q.NowUnixS)
	switch {
	case !leased(old, q.NowUnixS) || left == 0:
		return ReasonLeaseRefused
	case !offer && !w.durable(old):
		return ReasonNotDurable
	}
	r.OldLease.CopyFrom(old)
	r.HaveOld = true
	r.Lease.CopyFrom(old)
	r.HaveLease = true
	r.ValidLifetimeS = left
	return ReasonOK
}
