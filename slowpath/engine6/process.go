package engine6

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

// Process6 decides and changes leases. With a reason other than ReasonOK there
// is no answer.
func (w *Worker) Process6(q *Query6, r *Reply6) Reason {
	r.reset()
	q.identify()
	q.resetAllocation()
	w.clientKnown = false
	q.flexAsked, q.flexID = false, nil // of a message that may have moved
	q.Host, q.rules = nil, nil
	if q.drop {
		return ReasonClassDrop
	}
	if q.Subnet != nil {
		if q.rules = q.cfg.bySubnet[q.Subnet]; q.rules == nil {
			q.Subnet = nil // of another configuration: a callout's mistake
		} else {
			w.findHosts(q)
		}
	}
	w.hostClasses(q)
	if q.Classes.InClass(q.cfg.classes.drop) {
		return ReasonClassDrop
	}
	r.Type = dhcp6.MsgReply
	r.XID = q.Msg.XID()
	reason := w.dispatch(q, r)
	if reason != ReasonOK {
		r.Type = 0
		return reason
	}
	q.Host = q.currentHost()
	return ReasonOK
}

func (w *Worker) dispatch(q *Query6, r *Reply6) Reason {
	switch q.Msg.Type() {
	case dhcp6.MsgSolicit:
		return w.solicit(q, r)
	case dhcp6.MsgRequest:
		return w.leases(q, r, false)
	case dhcp6.MsgRenew, dhcp6.MsgRebind:
		return w.leases(q, r, true)
	case dhcp6.MsgConfirm:
		w.lateClasses(q)
		return w.confirm(q, r)
	case dhcp6.MsgRelease:
		w.lateClasses(q)
		return w.release(q, r)
	case dhcp6.MsgDecline:
		w.lateClasses(q)
		return w.decline(q, r)
	case dhcp6.MsgAddrRegInform:
		return w.register(q, r)
	default: // INFORMATION-REQUEST: nothing but options (V6-014)
		w.lateClasses(q)
		return ReasonOK
	}
}

// solicit answers with an ADVERTISE, or with a REPLY where client and subnet
// want rapid commit (V6-007, V6-008).
func (w *Worker) solicit(q *Query6, r *Reply6) Reason {
	if q.Subnet != nil && q.Subnet.RapidCommit && q.Msg.Has(dhcp6.OptRapidCommit) {
		r.Set(dhcp6.OptRapidCommit, nil)
	} else {
		r.Type = dhcp6.MsgAdvertise
		r.Offer = true
	}
	return w.leases(q, r, false)
}

// leases answers the IAs of a SOLICIT, REQUEST, RENEW or REBIND. IA_TA is not
// answered (V6-019).
func (w *Worker) leases(q *Query6, r *Reply6, extend bool) Reason {
	// Also for a SOLICIT: to offer what cannot be granted helps nobody.
	if reason := w.journalReady(); reason != ReasonOK {
		return reason
	}
	w.clientName(q)
	v := q.Msg
	if q.Classes.InClass(q.cfg.classes.reject) {
		for i := range v.IAs() {
			ia := v.IA(i)
			s := dhcp6.StatusNoAddrsAvail
			if ia.Code == dhcp6.OptIAPD {
				s = dhcp6.StatusNoPrefixAvail
			}
			r.failIA(ia.Code, ia.IAID, s, textRejected)
			r.fail(IAFailure{Type: typeOf(ia.Code), Reason: ReasonClassReject})
		}
	} else {
		selected := q.rules
		for i := range v.IAs() {
			ia := v.IA(i)
			if r.answered(ia.Code, ia.IAID) {
				// Kea answers such an IA again, and may tell it another lifetime
				// than it has just promised.
				r.LeftOut++
				continue
			}
			if reason := w.assign(q, r, &ia, extend); reason != ReasonOK {
				return reason
			}
		}
		if reason := w.renameLeases(q, r, selected); reason != ReasonOK {
			return reason
		}
	}
	w.lateClasses(q)
	return w.generateName(q, r)
}

// answered reports whether the reply has that IA already.
func (r *Reply6) answered(code uint16, iaid uint32) bool {
	for i := range r.IAs() {
		if x := r.IA(i); x.Code == code && x.IAID == iaid {
			return true
		}
	}
	return false
}

// confirm tells whether the client's addresses are right for its link (V6-011,
// RFC 8415 §18.3.3).
func (w *Worker) confirm(q *Query6, r *Reply6) Reason {
	named := false
	for i := range q.Msg.IAs() {
		ia := q.Msg.IA(i)
		if ia.Code != dhcp6.OptIANA {
			continue
		}
		for x, ok := ia.Next(); ok; x, ok = ia.Next() {
			if q.rules != nil && !q.rules.contains(x.Addr) {
				r.SetStatus(dhcp6.StatusNotOnLink, textNotOnLink)
				return ReasonOK
			}
			named = true
		}
	}
	switch {
	case !named:
		return ReasonConfirmNoAddress
	case q.rules == nil:
		r.SetStatus(dhcp6.StatusNotOnLink, textConfirmNoNet)
	default:
		r.SetStatus(dhcp6.StatusSuccess, textAllOnLink)
	}
	return ReasonOK
}
