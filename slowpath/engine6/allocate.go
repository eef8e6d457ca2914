package engine6

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/alloc6"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// setSubnet makes s the subnet in hand.
func (q *Query6) setSubnet(s *subnetRules) {
	q.rules, q.Subnet = s, s.s
}

// allocateReserved gives the IA the first resource reserved for the client that
// no other of its IAs has (V6-041). ReasonOK does not mean that there was one.
func (w *Worker) allocateReserved(q *Query6, r *Reply6) Reason {
	a := &w.ia
	for k := range a.cands[:a.nCand] {
		c := &a.cands[k]
		l := &w.slots[c.slot]
		if !c.gone && reserves(q.hostOf(l.SubnetID), a.typ, dhcp6.IPv6(l.Addr), l.PrefixLen) {
			if s := q.cfg.byID[l.SubnetID]; q.hostSubnet == nil && s.network != nil {
				q.hostSubnet = s
				q.setSubnet(s)
			}
			return ReasonOK
		}
	}
	first := q.rules
	for k := 0; ; k++ {
		s := first.nth(k)
		if s == nil {
			break
		}
		h := q.hostOf(s.s.ID)
		if h == nil || !s.supports(&q.Classes) {
			continue
		}
		if len(h.Addrs)+len(h.Prefixes) == 0 {
			q.setSubnet(s)
			q.hostSubnet = s
			return ReasonOK
		}
		for i := range reservedCount(h, a.typ) {
			addr, length := reservedAt(h, a.typ, i)
			if q.isAllocated(addr, length) || s.s.ReservationsOutOfPool && s.poolOf(a.typ, addr) != nil {
				continue
			}
			q.setSubnet(s)
			reason := w.take(q, r, addr, length, true)
			if reason == ReasonOK {
				if q.hostSubnet == nil {
					q.hostSubnet = s
				}
				return ReasonOK
			}
			q.setSubnet(first)
			if reason.fatal() {
				return reason
			}
		}
	}
	return w.allocateGlobal(q, r)
}

// allocateGlobal is the same for a global reservation: an address has to be in
// a subnet of the link, a prefix need not.
func (w *Worker) allocateGlobal(q *Query6, r *Reply6) Reason {
	a, h := &w.ia, q.globalHost()
	if h == nil {
		return ReasonOK
	}
	for k := range a.cands[:a.nCand] {
		c := &a.cands[k]
		l := &w.slots[c.slot]
		if !c.gone && reserves(h, a.typ, dhcp6.IPv6(l.Addr), l.PrefixLen) {
			return ReasonOK
		}
	}
	first := q.rules
	for i := range reservedCount(h, a.typ) {
		addr, length := reservedAt(h, a.typ, i)
		if q.isAllocated(addr, length) {
			continue
		}
		s := first
		if a.typ == lease6.TypeNA {
			for k := 0; ; k++ {
				if s = first.nth(k); s == nil || s.contains(addr) {
					break
				}
			}
			if s == nil {
				continue
			}
		}
		q.setSubnet(s)
		reason := w.take(q, r, addr, length, true)
		if reason == ReasonOK {
			return ReasonOK
		}
		q.setSubnet(first)
		if reason.fatal() {
			return reason
		}
	}
	return ReasonOK
}

func reservedCount(h *config.Reservation6, t lease6.Type) int {
	if t == lease6.TypePD {
		return len(h.Prefixes)
	}
	return len(h.Addrs)
}

func reservedAt(h *config.Reservation6, t lease6.Type, i int) (dhcp6.IPv6, uint8) {
	if t == lease6.TypePD {
		p := h.Prefixes[i].Prefix
		return dhcp6.FromNetip(p.Addr()), uint8(p.Bits())
	}
	return dhcp6.FromNetip(h.Addrs[i]), 128
}

// match says which lengths of prefixes are tried (V6-035).
type match uint8

const (
	matchEqual match = iota
	matchLower       // a shorter prefix, so a bigger one
	matchHigher
)

func (m match) ok(pool, hint uint8) bool {
	switch m {
	case matchEqual:
		return pool == hint
	case matchLower:
		return pool < hint
	}
	return pool > hint
}

// allocateUnreserved gives the IA what the client asks for if it is free, what
// it was offered, else something from the pools (Kea's
// allocateUnreservedLeases6).
func (w *Worker) allocateUnreserved(q *Query6, r *Reply6) Reason {
	a := &w.ia
	var hint dhcp6.IPv6
	length := uint8(128)
	if a.nHints > 0 {
		hint, length = a.hints[0].Addr, a.hints[0].PrefixLen
	}
	if a.typ == lease6.TypeNA {
		return w.allocateMatch(q, r, hint, 128, matchEqual)
	}
	if length == 128 || a.nHints == 0 {
		length = 0
	}
	if length == 0 {
		return w.allocateMatch(q, r, hint, 0, matchHigher)
	}
	worst := ReasonNoPools
	for _, m := range [...]match{matchEqual, matchLower, matchHigher} {
		reason := w.allocateMatch(q, r, hint, length, m)
		if reason == ReasonOK || reason.fatal() {
			return reason
		}
		if reason != ReasonNoPools {
			worst = reason
		}
	}
	return worst
}

func (w *Worker) allocateMatch(q *Query6, r *Reply6, hint dhcp6.IPv6, length uint8, m match) Reason {
	a := &w.ia
	first := q.rules
	reason := ReasonAddressInUse
	if !hint.IsZero() {
		reason = w.takeNamed(q, r, first, hint, length, m)
	}
	// Who was offered something and asks for something else does not want that,
	// as Kea takes it.
	if o := a.offered; reason == ReasonAddressInUse && o != nil && dhcp6.IPv6(o.Addr) != hint && (a.offer || hint.IsZero()) {
		reason = w.takeNamed(q, r, first, dhcp6.IPv6(o.Addr), length, m)
	}
	if reason != ReasonAddressInUse {
		return reason
	}
	q.setSubnet(first)
	return w.allocate(q, r, first, length, m)
}

// takeNamed tries one address or prefix in the pools of the link.
// ReasonAddressInUse says that it cannot be had there.
func (w *Worker) takeNamed(q *Query6, r *Reply6, first *subnetRules, addr dhcp6.IPv6, length uint8, m match) Reason {
	a := &w.ia
	for k := 0; ; k++ {
		s := first.nth(k)
		if s == nil {
			return ReasonAddressInUse
		}
		p := s.poolOf(a.typ, addr)
		if p == nil || !s.supports(&q.Classes) || !q.Classes.InAny(p.guard) ||
			a.typ == lease6.TypePD && !m.ok(p.length, length) {
			continue
		}
		x := addr.Masked(p.length)
		if s.s.ReservationsInSubnet && !s.s.ReservationsOutOfPool && w.reservedIn(q, s, a.typ, x, p.length) {
			continue
		}
		if a.typ == lease6.TypePD && q.cfg.Alloc.BlockedPrefix(s.s, lease6.IPv6(x), p.length) {
			continue // somebody has a shorter or longer one there
		}
		q.setSubnet(s)
		reason := w.take(q, r, x, p.length, false)
		if reason != ReasonAddressInUse {
			return reason
		}
	}
}

// allocate takes something from the pools of the link that the client may use:
// what is free in any of them, else a stale record, else what is only offered,
// so that a flood of SOLICITs keeps nobody from being served.
func (w *Worker) allocate(q *Query6, r *Reply6, first *subnetRules, length uint8, m match) Reason {
	a := &w.ia
	for range conflictTries {
		s, p, addr, kind, reason := w.pick(q, first, length, m)
		if reason == ReasonPoolExhausted && w.reclaimForSpace(q) {
			s, p, addr, kind, reason = w.pick(q, first, length, m)
		}
		if reason != ReasonOK {
			return reason
		}
		if s.s.ReservationsInSubnet && !s.s.ReservationsOutOfPool && w.reservedIn(q, s, a.typ, addr, p.length) {
			w.unclaim(q, s, addr, p.length)
			continue
		}
		q.setSubnet(s)
		if kind == alloc6.Free {
			reason = w.put(q, r, addr, p.length, nil, false)
		} else {
			reason = w.take(q, r, addr, p.length, true)
		}
		switch reason {
		case ReasonOK:
			// As in Kea: what the client named is told as lost by its hints.
			a.nLost = 0
			return reason
		case ReasonConflict, ReasonAddressInUse:
			w.unclaim(q, s, addr, p.length)
		default:
			w.unclaim(q, s, addr, p.length)
			return reason
		}
	}
	return ReasonConflict
}

func (w *Worker) unclaim(q *Query6, s *subnetRules, addr dhcp6.IPv6, length uint8) {
	if w.ia.typ == lease6.TypePD {
		q.cfg.Alloc.UnclaimPrefix(s.s, lease6.IPv6(addr), length)
	} else {
		q.cfg.Alloc.Unclaim(s.s, lease6.IPv6(addr))
	}
}

// pick claims an address or prefix of the pools that the client may use, the
// best kind that any of them has.
func (w *Worker) pick(q *Query6, first *subnetRules, length uint8, m match) (*subnetRules, *poolRules, dhcp6.IPv6, alloc6.Kind, Reason) {
	typ, set := w.ia.typ, q.cfg.Alloc
	var bestS *subnetRules
	var bestP *poolRules
	var best dhcp6.IPv6
	kind := alloc6.None
	pools := 0
	for k := 0; kind != alloc6.Free; k++ {
		s := first.nth(k)
		if s == nil {
			break
		}
		if !s.supports(&q.Classes) {
			continue
		}
		l := s.poolsOf(typ)
		for i := range l {
			p := &l[i]
			if !q.Classes.InAny(p.guard) || typ == lease6.TypePD && !m.ok(p.length, length) {
				continue
			}
			pools++
			var a lease6.IPv6
			var got alloc6.Kind
			if typ == lease6.TypePD {
				a, got = set.PickPrefix(s.s, i)
			} else {
				a, got = set.Pick(s.s, i)
			}
			if got == alloc6.None {
				continue
			}
			if kind != alloc6.None && got >= kind { // not better
				w.unclaim(q, s, dhcp6.IPv6(a), p.length)
				continue
			}
			if kind != alloc6.None {
				w.unclaim(q, bestS, best, bestP.length)
			}
			bestS, bestP, best, kind = s, p, dhcp6.IPv6(a), got
			if kind == alloc6.Free {
				break
			}
		}
	}
	switch {
	case kind != alloc6.None:
		return bestS, bestP, best, kind, ReasonOK
	case pools == 0:
		return nil, nil, best, kind, ReasonNoPools
	}
	return nil, nil, best, kind, ReasonPoolExhausted
}

// take gives the IA an address or prefix in the subnet in hand that may not be
// leased to anybody, as a new lease; an offer is kept from others for a moment.
// Offers to others do not count for a REQUEST and where overOffers says so, as
// Kea knows none.
//
// ReasonAddressInUse leaves room for another one.
func (w *Worker) take(q *Query6, r *Reply6, addr dhcp6.IPv6, length uint8, overOffers bool) Reason {
	a, old := &w.ia, &w.exist
	switch {
	case a.offered != nil && a.offered.Addr == lease6.IPv6(addr):
		old = a.offered
	case !w.t.Get(lease6.IPv6(addr), old):
		old = nil
	}
	stale := false
	if old != nil {
		switch {
		case old.State == lease.StateOffered:
			if a.offer && !overOffers && !old.Expired(q.NowUnixS) && !q.owns(old, a.typ, a.iaid) {
				return ReasonAddressInUse
			}
		case leased(old, q.NowUnixS):
			return ReasonAddressInUse
		default:
			stale = true
		}
	}
	return w.put(q, r, addr, length, old, stale)
}

// put stores a new lease, or an offer of one, over the record old (nil: there is
// none): an offer, or stale, which is expired, reclaimed or released.
func (w *Worker) put(q *Query6, r *Reply6, addr dhcp6.IPv6, length uint8, old *lease6.Lease6, stale bool) Reason {
	a, next := &w.ia, &w.next
	if reason := w.journalReady(); reason != ReasonOK {
		return reason
	}
	next.UserContext = ""
	next.PreferredLifetimeS, next.ValidLifetimeS = w.lifetimesOf(q, addr, length, nil)
	w.fill(q, next, addr, length)
	if f := q.cfg.Callouts.LeaseSelect; f != nil {
		if s := f(q, next, a.offer); s == Skip || s == Drop {
			return ReasonLeaseRefused
		}
		next.Addr, next.PrefixLen, next.Type = lease6.IPv6(addr), length, a.typ
	}
	preferredS, validS := next.PreferredLifetimeS, next.ValidLifetimeS
	var version uint64
	var under *lease6.Lease6
	if old != nil {
		version = old.Version
	}
	switch {
	case a.offer:
		next.State = lease.StateOffered
		next.ValidLifetimeS = q.cfg.OfferHoldS
	case old != nil && !stale:
		under = &w.under // what counts is the record below the offer
	}
	if stale && old.State == lease.StateDeclined {
		if !w.recover(q.cfg, old) {
			return ReasonAddressInUse
		}
		if a.offer {
			// No offer stands over a declined address: its probation has to
			// end first.
			if _, err := w.t.Delete(old.Addr, version, w.j); err != nil {
				return w.putReason(err)
			}
			w.expired(q.cfg, old, true)
			version, stale = 0, false
		}
	}
	c, err := w.t.PutOver(next, version, w.j, under)
	if err != nil {
		return w.putReason(err)
	}
	if c.Covered {
		old, stale = under, true
	}
	if stale && !a.offer && !q.owns(old, a.typ, a.iaid) {
		w.expired(q.cfg, old, false)
		a.addLost(old, q.duid)
	}
	r.CommitPos = max(r.CommitPos, c.Pos)
	next.State = lease.StateDefault
	next.PreferredLifetimeS, next.ValidLifetimeS = preferredS, validS
	w.addNew(preferredS, validS)
	return ReasonOK
}

// fill makes *l a lease of the IA in hand in the subnet in hand; lifetimes and
// what the table has beside are left alone.
func (w *Worker) fill(q *Query6, l *lease6.Lease6, addr dhcp6.IPv6, length uint8) {
	l.Addr, l.PrefixLen, l.Type = lease6.IPv6(addr), length, w.ia.typ
	l.IAID = w.ia.iaid
	l.SubnetID = q.Subnet.ID
	l.PoolID = q.rules.poolID(w.ia.typ, addr)
	l.CLTTUnixS = q.NowUnixS
	l.State = lease.StateDefault
	l.SetID(q.duid)
	l.SetHW(q.hw.htype, q.hw.addr, q.hw.source)
	q.setName(l)
	l.SetRelays(nil)
	if q.Subnet.StoreExtendedInfo && q.Msg.Relays() > 0 {
		l.SetRelays(w.relayInfo(q))
	}
}

func (q *Query6) setName(l *lease6.Lease6) {
	l.FQDNFwd, l.FQDNRev = q.fwd, q.rev
	l.SetHost(q.name[:q.nameLen])
}

// poolID is the id of the pool that has addr, 0 if none has.
func (s *subnetRules) poolID(t lease6.Type, addr dhcp6.IPv6) uint32 {
	p := s.poolOf(t, addr)
	if p == nil {
		return 0
	}
	return p.id
}

// lifetimesOf are the lifetimes of a lease of the IA in hand; old is the lease
// that is extended, nil of a new one.
func (w *Worker) lifetimesOf(q *Query6, addr dhcp6.IPv6, length uint8, old *lease6.Lease6) (preferredS, validS uint32) {
	if w.ia.typ == lease6.TypePD && w.crowded(q, addr, length) {
		if old != nil {
			preferredS, validS = remainingS(old, q.NowUnixS)
		}
		return w.minLifetimes(q, preferredS, validS)
	}
	return w.lifetimes(q)
}

// crowded reports whether the prefixes that the client may have are fuller than
// adaptive-lease-time-threshold; only the free lease queue knows.
func (w *Worker) crowded(q *Query6, addr dhcp6.IPv6, length uint8) bool {
	s := q.Subnet
	if s.AdaptiveThreshold <= 0 || s.AdaptiveThreshold >= 1 || s.PDAllocator != "flq" {
		return false
	}
	w.q = q
	return q.cfg.Alloc.PDOccupancy(s, lease6.IPv6(addr), length, w.pdAllowed) >= s.AdaptiveThreshold
}

func (w *Worker) pdPoolAllowed(i int) bool {
	q := w.q
	return i < len(q.rules.pds) && q.Classes.InAny(q.rules.pds[i].guard)
}

// relayInfo is what the relays said, for the lease (V6-048).
func (w *Worker) relayInfo(q *Query6) []byte {
	b := w.relays[:0]
	for level := range q.Msg.Relays() {
		x := lease6.Relay{
			Hop:  q.Msg.HopCount(level),
			Link: lease6.IPv6(q.Msg.LinkAddr(level)),
			Peer: lease6.IPv6(q.Msg.PeerAddr(level)),
		}
		b = lease6.AppendRelay(b, &x)
		at := len(b)
		o := q.Msg.RelayOptions(level)
		for {
			code, data, rest, ok := o.Next()
			if !ok {
				break
			}
			if code != dhcp6.OptRelayMsg {
				b = append(b, o[:4+len(data)]...)
			}
			o = rest
		}
		n := len(b) - at
		b[at-2], b[at-1] = byte(n>>8), byte(n)
	}
	return b
}

// sameRelays reports whether the lease has what the relays say now.
func (w *Worker) sameRelays(q *Query6, l *lease6.Lease6) bool {
	if !q.Subnet.StoreExtendedInfo || q.Msg.Relays() == 0 {
		return true
	}
	info := w.relayInfo(q)
	if len(info) > lease6.MaxRelayInfoLen {
		return l.RelayInfoLen == 0
	}
	return bytes.Equal(info, l.Relays())
}
