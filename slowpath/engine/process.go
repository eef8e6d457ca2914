package engine

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// Process4 decides and changes leases. With a reason other than ReasonOK there
// is no answer; with ReasonOK and r.Type 0 the query was handled and needs none
// (RELEASE, DECLINE).
func (w *Worker) Process4(q *Query4, r *Reply4) Reason {
	r.reset()
	q.identify()
	if q.Classes.has(classDrop) {
		return ReasonClassDrop
	}
	switch q.Msg.Type() {
	case dhcp4.MsgRelease:
		return w.release(q, r)
	case dhcp4.MsgDecline:
		return w.decline(q, r)
	}
	if q.Subnet != nil {
		if q.rules = q.cfg.bySubnet[q.Subnet]; q.rules == nil {
			q.Subnet = nil // of another configuration: a callout's mistake
		} else {
			w.findHost(q)
		}
	}
	w.hostClasses(q)
	if q.Classes.has(classDrop) {
		return ReasonClassDrop
	}
	switch q.Msg.Type() {
	case dhcp4.MsgDiscover:
		return w.discover(q, r)
	case dhcp4.MsgRequest:
		return w.request(q, r)
	default:
		return w.inform(q, r)
	}
}

// inform answers a DHCPINFORM: an acknowledgement without lease (V4-026).
func (w *Worker) inform(q *Query4, r *Reply4) Reason {
	if q.Subnet == nil {
		return ReasonNoSubnet
	}
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

// identifier returns the client's identifier of one kind, nil if it has none.
func (q *Query4) identifier(t config.IdentifierType) []byte {
	switch t {
	case config.IdentHWAddr:
		return q.hw
	case config.IdentDUID:
		// RFC 4361 §6.1: type 255, IAID of four octets, DUID (V4-115).
		if len(q.cid) > 5 && q.cid[0] == 255 {
			return q.cid[5:]
		}
	case config.IdentCircuitID:
		return q.Msg.RAI(dhcp4.RAICircuitID)
	case config.IdentClientID:
		return q.cid
	case config.IdentFlexID:
		return q.flexID
	}
	return nil
}

// findHost looks for the client's reservation: in the subnet, else a global
// one; by each identifier in the configured order (V4-121, V4-122, WR-15).
func (w *Worker) findHost(q *Query4) {
	q.Host = nil
	s := q.Subnet
	if !s.ReservationsInSubnet && !s.ReservationsGlobal {
		return
	}
	if q.cfg.flexID && q.cfg.Callouts.HostIdentifier != nil {
		if id, t, ok := q.cfg.Callouts.HostIdentifier(q); ok {
			q.flexID, q.flexT = id, t
		}
	}
	if s.ReservationsInSubnet {
		q.Host = w.hostIn(q, s.ID)
	}
	if q.Host == nil && s.ReservationsGlobal {
		q.Host = w.hostIn(q, 0)
	}
}

func (w *Worker) hostIn(q *Query4, subnetID uint32) *config.Reservation4 {
	for _, t := range q.cfg.Snapshot.Dhcp4.HostIdentifiers {
		id := q.identifier(t)
		if len(id) == 0 {
			continue
		}
		if t == config.IdentFlexID {
			t = q.flexT
		}
		if h := q.cfg.Hosts.ByIdentifier(subnetID, t, id); h != nil {
			return h
		}
	}
	return nil
}

// hostClasses adds the reservation's classes and KNOWN or UNKNOWN.
func (w *Worker) hostClasses(q *Query4) {
	if q.Host == nil {
		q.Classes.add(classUnknown)
		return
	}
	for _, n := range q.Host.ClientClasses {
		q.Classes.Add(n)
	}
	q.Classes.add(classKnown)
}

// reservedAddr returns the address reserved for the client that counts in its
// subnet. One in a pool does not with reservations-out-of-pool; a global one
// only inside the subnet, and not if the client has a reservation in the subnet,
// even one without address (V4-122, V4-123).
func (w *Worker) reservedAddr(q *Query4) (dhcp4.IPv4, bool) {
	h, s := q.Host, q.Subnet
	if h == nil || h.Addr == 0 {
		return 0, false
	}
	if h.SubnetID == 0 {
		return h.Addr, h.Addr >= s.First && h.Addr <= s.Last
	}
	return h.Addr, !s.ReservationsOutOfPool || poolOf(s, h.Addr) < 0
}

// reservedForOther reports whether the address is reserved in the subnet for
// somebody who is not this client by any of its identifiers.
func (w *Worker) reservedForOther(q *Query4, a dhcp4.IPv4) bool {
	s := q.Subnet
	if !s.ReservationsInSubnet || s.ReservationsOutOfPool && poolOf(s, a) >= 0 {
		return false
	}
	h := q.cfg.Hosts.ByAddr(s.ID, a)
	if h == nil || h == q.Host {
		return false
	}
	for _, t := range q.cfg.Snapshot.Dhcp4.HostIdentifiers {
		id := q.identifier(t)
		if t == config.IdentFlexID {
			t = q.flexT
		}
		if t == h.Type && len(id) > 0 && bytes.Equal(id, h.Identifier) {
			return false
		}
	}
	return true
}

// allowedPool reports whether the address is in a pool that the client's
// classes let it use.
func (w *Worker) allowedPool(q *Query4, a dhcp4.IPv4) bool {
	p := poolOf(q.Subnet, a)
	return p >= 0 && q.Classes.hasAny(q.rules.pools[p])
}

// findClient puts the client's record in the subnet into w.cur: by client
// identifier, then by hardware address (V4-068). Offers count.
func (w *Worker) findClient(q *Query4) bool {
	cid := q.matchCID()
	if cid != nil && w.t.FindByClientID(cid, q.Subnet.ID, &w.cur) {
		return true
	}
	return q.hw != nil && w.t.FindByHWAddr(q.Msg.HType(), q.hw, cid, q.Subnet.ID, &w.cur)
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
	if q.rules.v6Only && bytes.IndexByte(q.Msg.PRL(), dhcp4.OptIPv6OnlyPreferred) >= 0 {
		q.v6Only = true // no lease is made, none is promised (V4-078)
		r.CopyHeader(q.Msg)
		return ReasonOK, true
	}
	if q.hw == nil && q.matchCID() == nil {
		return ReasonIdentityUnusable, true
	}
	if reason := w.journalReady(); reason != ReasonOK {
		return reason, true
	}
	w.clientName(q)
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
	l.FQDNFwd, l.FQDNRev = false, false
	l.SetHW(q.Msg.HType(), q.Msg.CHAddr())
	l.SetCID(q.matchCID())
	l.SetHost(q.name[:q.nameLen])
}
