package engine6

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Texts of status codes in IAs.
const (
	textNoSubnetNA   = "no subnet for this client"
	textNoSubnetPD   = "no subnet for this client, no prefix"
	textNoBinding    = "no lease known for this IA"
	textNoAddrs      = "no address can be assigned"
	textNoPrefix     = "no prefix can be assigned"
	textRejected     = "rejected by the server"
	textReleased     = "lease released"
	textNoAddress    = "no address or prefix in the IA"
	textNotAssigned  = "not assigned"
	textNotYours     = "assigned to another client"
	textWrongIAID    = "assigned to another IA"
	textReleaseFail  = "the lease could not be released"
	textDeclined     = "address declined"
	textNotOnLink    = "an address is not on link"
	textAllOnLink    = "all addresses are on link"
	textConfirmNoNet = "no subnet selected"
)

func typeOf(code uint16) lease6.Type {
	if code == dhcp6.OptIAPD {
		return lease6.TypePD
	}
	return lease6.TypeNA
}

// fail adds an IA with nothing but a status code.
func (r *Reply6) failIA(code uint16, iaid uint32, s dhcp6.StatusCode, text string) {
	x := r.AddIA(code, iaid)
	if x == nil {
		r.LeftOut++
		return
	}
	x.HaveStatus, x.Status, x.StatusText = true, s, text
}

// assign answers an IA of a SOLICIT or REQUEST (V6-007, V6-009), extend is the
// same for RENEW and REBIND (V6-010). A reason other than ReasonOK drops the
// query.
func (w *Worker) assign(q *Query6, r *Reply6, i *dhcp6.IA, extend bool) Reason {
	noStatus := dhcp6.StatusNoAddrsAvail
	if i.Code == dhcp6.OptIAPD {
		noStatus = dhcp6.StatusNoPrefixAvail
	}
	if q.rules == nil {
		r.fail(IAFailure{Type: typeOf(i.Code), Reason: ReasonNoSubnet})
		switch {
		case !extend && i.Code == dhcp6.OptIANA:
			r.failIA(i.Code, i.IAID, noStatus, textNoSubnetNA)
		case !extend:
			r.failIA(i.Code, i.IAID, noStatus, textNoSubnetPD)
		case i.Code == dhcp6.OptIAPD && q.Msg.Type() == dhcp6.MsgRebind:
			// Another server may have delegated it (RFC 8415 §18.3.5).
			return ReasonNoSubnet
		default:
			r.failIA(i.Code, i.IAID, dhcp6.StatusNoBinding, textNoBinding)
		}
		return ReasonOK
	}
	a := &w.ia
	a.typ, a.iaid, a.extend, a.offer = typeOf(i.Code), i.IAID, extend, r.Offer
	a.nHints = 0
	for x, ok := i.Next(); ok; x, ok = i.Next() {
		a.hints[a.nHints] = x
		a.nHints++
		if !extend {
			break // Kea looks at the first one only
		}
	}
	first := q.rules
	var reason Reason
	for range conflictTries {
		a.nCand, a.slots, a.nLost, a.offered = 0, 0, 0, nil
		if extend {
			reason = w.renewLeases(q, r)
		} else {
			reason = w.allocateLeases(q, r)
		}
		if reason != ReasonConflict {
			break
		}
		w.clientKnown = false
	}
	if reason.fatal() {
		return reason
	}
	if reason != ReasonOK {
		r.fail(IAFailure{SubnetID: first.s.ID, Type: a.typ, Network: first.network != nil, Classes: q.Classes.Len() > 0, Reason: reason})
	}
	w.tell(q, r, i.Code, noStatus)
	return ReasonOK
}

// tell writes the IA in hand into the reply.
func (w *Worker) tell(q *Query6, r *Reply6, code uint16, noStatus dhcp6.StatusCode) {
	a := &w.ia
	x := r.AddIA(code, a.iaid)
	if x == nil {
		r.LeftOut++
		return
	}
	wantExclude := a.typ == lease6.TypePD && q.Msg.Requests(dhcp6.OptPDExclude)
	told := 0
	shortest := uint32(0)
	for k := range a.cands[:a.nCand] {
		c := &a.cands[k]
		if c.gone {
			continue
		}
		l := &w.slots[c.slot]
		r.Leases = appendLease(r.Leases, l)
		q.addAllocated(dhcp6.IPv6(l.Addr), l.PrefixLen, a.typ)
		if told > 0 && a.typ == lease6.TypeNA && !a.extend {
			continue // Kea answers a SOLICIT or REQUEST with one address
		}
		if c.reused {
			if a.typ == lease6.TypePD {
				r.ReusedPD++
			} else {
				r.ReusedNA++
			}
		}
		res := dhcp6.ReplyResource{Addr: dhcp6.IPv6(l.Addr), PrefixLen: l.PrefixLen, PreferredS: c.preferredS, ValidS: c.validS}
		if wantExclude {
			res.Exclude = w.excludeOf(q, l)
		}
		if !r.AddResource(res) {
			r.LeftOut++
		}
		if told == 0 || c.preferredS > 0 && (c.preferredS < shortest || shortest == 0) {
			shortest = c.preferredS
		}
		told++
	}
	if a.extend {
		w.tellLost(r)
	}
	if told == 0 {
		x.HaveStatus, x.Status = true, noStatus
		x.StatusText = textNoAddrs
		if a.typ == lease6.TypePD {
			x.StatusText = textNoPrefix
		}
		return
	}
	setTimers(q.rules.s, x, shortest)
}

// tellLost adds with lifetimes of zero what the client named or had and does
// not have any more (RFC 8415 §18.3.4, V6-010).
func (w *Worker) tellLost(r *Reply6) {
	a := &w.ia
	zero := func(addr dhcp6.IPv6, length uint8) {
		if !r.AddResource(dhcp6.ReplyResource{Addr: addr, PrefixLen: length}) {
			r.LeftOut++
		}
	}
	for k := range a.lost[:a.nLost] {
		if l := &a.lost[k]; l.own && !a.has(w, l.addr, l.length) {
			zero(l.addr, l.length)
		}
	}
	for k := range a.hints[:a.nHints] {
		h := &a.hints[k]
		if a.has(w, h.Addr, h.PrefixLen) || a.hasLost(h.Addr, h.PrefixLen) ||
			a.typ == lease6.TypePD && h.Addr.IsZero() || a.namedBefore(k) {
			continue
		}
		zero(h.Addr, h.PrefixLen)
	}
}

// has reports whether the resource is among the leases of the IA.
func (a *ia) has(w *Worker, addr dhcp6.IPv6, length uint8) bool {
	for k := range a.cands[:a.nCand] {
		if c := &a.cands[k]; !c.gone && w.slots[c.slot].Addr == lease6.IPv6(addr) && w.slots[c.slot].PrefixLen == length {
			return true
		}
	}
	return false
}

func (a *ia) hasLost(addr dhcp6.IPv6, length uint8) bool {
	for k := range a.lost[:a.nLost] {
		if a.lost[k].addr == addr && a.lost[k].length == length {
			return true
		}
	}
	return false
}

func (a *ia) namedBefore(k int) bool {
	for j := range a.hints[:k] {
		if a.hints[j].Addr == a.hints[k].Addr && a.hints[j].PrefixLen == a.hints[k].PrefixLen {
			return true
		}
	}
	return false
}

// existing collects the leases of the IA in the subnets of the link, in any
// state but offered and registered.
func (w *Worker) existing(q *Query6) {
	a := &w.ia
	if !w.clientKnown {
		w.t.Client(q.duid, &w.client)
		w.clientKnown = true
	}
	n := w.t.FindIA(&w.client, a.typ, a.iaid, q.rules.link(), w.slots[:lease6.MaxPerIA])
	for k := range n {
		l := &w.slots[k]
		switch {
		case l.State == lease.StateRegistered:
		case l.State == lease.StateOffered:
			if a.offered == nil {
				a.offered = l
			}
		default:
			a.cands[a.nCand] = candidate{slot: uint8(k)}
			a.nCand++
		}
	}
	a.slots = n
}

// addNew adds w.next as a lease of the IA.
func (w *Worker) addNew(preferredS, validS uint32) {
	a := &w.ia
	if a.nCand == len(a.cands) || a.slots == len(w.slots) {
		return
	}
	w.slots[a.slots].CopyFrom(&w.next)
	a.cands[a.nCand] = candidate{slot: uint8(a.slots), isNew: true, preferredS: preferredS, validS: validS}
	a.slots++
	a.nCand++
}

// left is how many leases the IA has.
func (a *ia) left() int {
	n := 0
	for k := range a.cands[:a.nCand] {
		if !a.cands[k].gone {
			n++
		}
	}
	return n
}

// remove takes a lease away from the IA. For an offer nothing is changed.
func (w *Worker) remove(q *Query6, r *Reply6, c *candidate) Reason {
	a, l := &w.ia, &w.slots[c.slot]
	if !a.offer {
		if reason := w.journalReady(); reason != ReasonOK {
			return reason
		}
		p, err := w.t.Delete(l.Addr, l.Version, w.j)
		if err != nil {
			return w.putReason(err)
		}
		r.CommitPos = max(r.CommitPos, p.Pos)
		r.Deleted = appendLease(r.Deleted, l)
	}
	c.gone = true
	a.addLost(l, q.duid)
	return ReasonOK
}

func (a *ia) addLost(l *lease6.Lease6, duid []byte) {
	if a.nLost < len(a.lost) {
		a.lost[a.nLost] = lost{dhcp6.IPv6(l.Addr), l.PrefixLen, l.DUIDLen > 0 && bytes.Equal(l.ID(), duid)}
		a.nLost++
	}
}

// inAllowedPool reports whether the address is in a pool of the link that the
// client may use.
func (q *Query6) inAllowedPool(t lease6.Type, addr dhcp6.IPv6) bool {
	for k := 0; ; k++ {
		s := q.rules.nth(k)
		if s == nil {
			return false
		}
		if !s.supports(&q.Classes) {
			continue
		}
		if p := s.poolOf(t, addr); p != nil && q.Classes.InAny(p.guard) {
			return true
		}
	}
}

// hasReservation reports whether a lease is the client's by reservation.
func (q *Query6) hasReservation(l *lease6.Lease6) bool {
	a := dhcp6.IPv6(l.Addr)
	return reserves(q.globalHost(), l.Type, a, l.PrefixLen) || reserves(q.hostOf(l.SubnetID), l.Type, a, l.PrefixLen)
}

// removeNonmatching takes away leases that are reserved for other clients or in
// no pool that the client may use (V6-040).
func (w *Worker) removeNonmatching(q *Query6, r *Reply6) Reason {
	a := &w.ia
	s := q.rules.s
	for k := range a.cands[:a.nCand] {
		c := &a.cands[k]
		if c.gone || c.isNew {
			continue
		}
		l := &w.slots[c.slot]
		addr := dhcp6.IPv6(l.Addr)
		if s.ReservationsInSubnet || s.ReservationsGlobal {
			if q.hasReservation(l) {
				continue
			}
			if !w.reservedIn(q, q.rules, a.typ, addr, l.PrefixLen) && q.inAllowedPool(a.typ, addr) {
				continue
			}
		} else if q.inAllowedPool(a.typ, addr) {
			continue
		}
		if reason := w.remove(q, r, c); reason != ReasonOK {
			return reason
		}
	}
	return ReasonOK
}

// removeNonreserved takes away leases that are not reserved, but leaves one
// (V6-042).
func (w *Worker) removeNonreserved(q *Query6, r *Reply6) Reason {
	a := &w.ia
	total := a.left()
	for k := range a.cands[:a.nCand] {
		if total <= 1 {
			break
		}
		c := &a.cands[k]
		if c.gone || c.isNew || q.hasReservation(&w.slots[c.slot]) {
			continue
		}
		if reason := w.remove(q, r, c); reason != ReasonOK {
			return reason
		}
		total--
	}
	return ReasonOK
}

// allocateLeases finds the leases for an IA of a SOLICIT or REQUEST (Kea's
// allocateLeases6).
func (w *Worker) allocateLeases(q *Query6, r *Reply6) Reason {
	a := &w.ia
	w.existing(q)
	have := a.nCand > 0
	if q.hasHosts() {
		if reason := w.allocateReserved(q, r); reason.fatal() {
			return reason
		}
	}
	if have {
		if reason := w.removeNonmatching(q, r); reason != ReasonOK {
			return reason
		}
		if q.hasHosts() {
			if reason := w.removeNonreserved(q, r); reason != ReasonOK {
				return reason
			}
		}
	}
	for k := range a.cands[:a.nCand] {
		if c := &a.cands[k]; !c.gone && !c.isNew {
			if reason := w.update(q, r, c); reason != ReasonOK {
				return reason
			}
		}
	}
	if a.left() == 0 {
		return w.allocateUnreserved(q, r)
	}
	return ReasonOK
}

// renewLeases finds the leases for an IA of a RENEW or REBIND (Kea's
// renewLeases6).
func (w *Worker) renewLeases(q *Query6, r *Reply6) Reason {
	a := &w.ia
	w.existing(q)
	if a.nCand > 0 {
		if reason := w.removeNonmatching(q, r); reason != ReasonOK {
			return reason
		}
	}
	if q.hasHosts() {
		if reason := w.allocateReserved(q, r); reason.fatal() {
			return reason
		}
		if reason := w.removeNonreserved(q, r); reason != ReasonOK {
			return reason
		}
	}
	for k := range a.cands[:a.nCand] {
		if c := &a.cands[k]; !c.gone && !c.isNew {
			if reason := w.extendLease(q, r, c); reason != ReasonOK {
				return reason
			}
		}
	}
	if a.left() == 0 {
		return w.allocateUnreserved(q, r)
	}
	return ReasonOK
}
