package engine

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// Process4 decides and changes leases. With a reason other than ReasonOK there
// is no answer; with ReasonOK and r.Type 0 the query was handled and needs none
// (RELEASE, DECLINE).
func (w *Worker) Process4(q *Query4, r *Reply4) Reason {
	r.reset()
	q.identify()
	if q.Classes.InClass(classDrop) {
		return ReasonClassDrop
	}
	switch q.Msg.Type() {
	case dhcp4.MsgRelease:
		return w.release(q, r)
	case dhcp4.MsgDecline:
		return w.decline(q, r)
	}
	q.hosts, q.Host = q.hosts[:0], nil
	if s := q.Subnet; s != nil {
		if l := q.cfg.Snapshot.Dhcp4.Subnets; s.Index >= len(l) || l[s.Index] != s {
			q.Subnet = nil // of another configuration: a callout's mistake
		} else {
			q.rules = q.cfg.rulesOf(s)
			w.findHosts(q)
		}
	}
	w.classifyHost(q)
	if q.Classes.InClass(classDrop) {
		return ReasonClassDrop
	}
	var reason Reason
	switch q.Msg.Type() {
	case dhcp4.MsgDiscover:
		reason = w.discover(q, r)
	case dhcp4.MsgRequest:
		reason = w.request(q, r)
	default:
		reason = w.inform(q, r)
	}
	if reason == ReasonOK && r.Type != dhcp4.MsgNak {
		w.lateClasses(q, r)
	}
	return reason
}

// inform answers a DHCPINFORM: an acknowledgement without lease (V4-026), and
// where no subnet was selected without options of the configuration, as Kea does.
func (w *Worker) inform(q *Query4, r *Reply4) Reason {
	r.CopyHeader(q.Msg)
	r.Type = dhcp4.MsgAck
	r.CIAddr = q.Msg.CIAddr()
	return ReasonOK
}

// nak turns the reply into a DHCPNAK.
func (w *Worker) nak(q *Query4, r *Reply4, why Reason) Reason {
	r.CopyHeader(q.Msg)
	r.Type = dhcp4.MsgNak
	r.YIAddr, r.CIAddr = 0, 0
	r.HaveLease, r.HaveOld, r.HaveDeleted, r.Reused = false, false, false, false
	r.NAKReason = why
	return ReasonOK
}

// hint is the address the client asks for, 0 if none (V4-018).
func (q *Query4) hint() dhcp4.IPv4 {
	if a, ok := q.Msg.RequestedIP(); ok {
		return a
	}
	return q.Msg.CIAddr()
}

// prepare is what DISCOVER and REQUEST have in common before a lease is looked
// for. done: the query needs no lease.
func (w *Worker) prepare(q *Query4, r *Reply4) (reason Reason, done bool) {
	if bytes.IndexByte(q.Msg.PRL(), dhcp4.OptIPv6OnlyPreferred) >= 0 && q.v6OnlyPreferred() {
		q.v6Only = true // no lease is made, none is promised (V4-078)
		r.CopyHeader(q.Msg)
		return ReasonOK, true
	}
	if q.hw == nil && q.Subnet.Network == nil && q.matchCID() == nil {
		return ReasonIdentityUnusable, true
	}
	if reason := w.journalReady(); reason != ReasonOK {
		return reason, true
	}
	return ReasonOK, false
}

// fill makes *l a lease of addr for the client, valid for validS seconds from
// now, keeping what the table has beside: version and user context.
func (w *Worker) fill(q *Query4, l *lease.Lease4, addr dhcp4.IPv4, validS uint32) {
	l.Addr = addr
	l.SubnetID = q.Subnet.ID
	l.PoolID = 0
	if p := poolOf(q.Subnet, addr); p >= 0 {
		l.PoolID = q.Subnet.Pools[p].ID
	}
	l.CLTTUnixS = q.NowUnixS
	l.ValidLifetimeS = validS
	l.State = lease.StateDefault
	l.SetHW(q.Msg.HType(), q.Msg.CHAddr())
	l.SetCID(q.matchCID())
	w.nameLease(q, l)
	w.storeExtendedInfo(q, l)
}
