package engine

import (
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/subnet"
)

// Accept4 checks what needs no subnet: message type, identity, server
// identifier (V4-011 … V4-016), and puts the query into its first classes: ALL,
// VENDOR_CLASS_… and those of expressions that do not depend on a reservation.
// Msg must be parsed.
func (w *Worker) Accept4(q *Query4) Reason {
	q.cfg = w.cfg
	q.Subnet, q.Host, q.rules = nil, nil, nil
	q.flexID, q.v6Only = nil, false
	q.hosts, q.global, q.stash = q.hosts[:0], nil, q.stash[:0]
	q.clientName.reset()
	q.Classes.reset(q.cfg.classes)
	q.identify()
	v := q.Msg
	q.State = clientState(v, q.Dst)

	if !q.cfg.Snapshot.Dhcp4.Received.Check(v) {
		return ReasonMalformedOption
	}
	if q.cfg.Snapshot.Dhcp4.StashAgentOptions {
		w.recoverStash(q)
	}
	q.Classes.Put(classAll)
	if vendor := v.Option(dhcp4.OptVendorClassIdentifier); len(vendor) > 0 {
		q.Classes.addVendor(vendor)
	}
	w.scratch.Unpacked = false
	w.classifyFirst(q)
	w.scratch.Unpacked = true

	t := v.Type()
	switch t {
	case dhcp4.MsgDiscover, dhcp4.MsgRequest, dhcp4.MsgDecline, dhcp4.MsgRelease, dhcp4.MsgInform:
	case 0:
		return ReasonNoMessageType
	case dhcp4.MsgOffer, dhcp4.MsgAck, dhcp4.MsgNak:
		return ReasonServerMessage
	default:
		return ReasonMessageType
	}
	if r := w.acceptIdentity(q); r != ReasonOK {
		return r
	}
	if o := v.Option(dhcp4.OptClientFQDN); o != nil && !checkFQDN(o, q.cfg.Snapshot.Dhcp4.Compatibility.LenientOptionParsing) {
		return ReasonMalformedFQDN
	}
	if v.Has(dhcp4.OptRequestedIPAddress) {
		if _, ok := v.RequestedIP(); !ok {
			return ReasonMalformedAddress
		}
	}
	if v.Has(dhcp4.OptServerIdentifier) {
		id, ok := v.ServerID()
		switch {
		case !ok:
			return ReasonMalformedAddress
		case t == dhcp4.MsgDiscover:
			return ReasonServerIDUnwanted
		case !w.ownServerID(q, id):
			return ReasonNotForUs
		}
	}
	switch t {
	case dhcp4.MsgInform:
		if !q.Relayed() && q.Src == 0 && v.CIAddr() == 0 {
			return ReasonInformNoAddress
		}
	case dhcp4.MsgDecline:
		if !v.Has(dhcp4.OptRequestedIPAddress) {
			return ReasonDeclineNoAddress
		}
	}
	return ReasonOK
}

// acceptIdentity wants a chaddr or a client identifier (V4-015). Addresses that no
// station has, zeros and ones, are clients to Kea like others; what is sent to
// them is broadcast.
func (w *Worker) acceptIdentity(q *Query4) Reason {
	switch l := len(q.Msg.ClientID()); {
	case l == 0 && q.Msg.Has(dhcp4.OptClientIdentifier), l == 1, l > lease.MaxClientIDLen: // cut, it might be another client's
		return ReasonClientIDLength
	case q.hw != nil || q.cid != nil:
		return ReasonOK
	}
	return ReasonNoIdentity
}

// ownServerID reports whether option 54 means us: what the relay said it would
// override it with (RFC 5107), an address of ours, or an identifier configured
// for a subnet, globally, or for a class of the query (V4-016).
func (w *Worker) ownServerID(q *Query4, id dhcp4.IPv4) bool {
	if o := q.rai(dhcp4.RAIServerIDOverride); len(o) == 4 && dhcp4.AddrFromSlice(o) == id {
		return true
	}
	if q.cfg.Snapshot.Dhcp4.Compatibility.IgnoreServerIdentifier {
		return true
	}
	if id == 0 {
		return false
	}
	if id == q.IfAddr || slices.Contains(q.LocalAddrs, id) {
		return true
	}
	if _, ok := q.cfg.serverIDs[id]; ok {
		return true
	}
	for _, c := range q.Classes.Order() {
		if c < uint32(len(q.cfg.classes.options)) {
			if hasServerID(q.cfg.classes.options[c], id) {
				return true
			}
		}
	}
	return false
}

// SelectSubnet4 sets q.Subnet (nil: none; Process4 then answers as V4-020 says).
// With a reason other than ReasonOK the query is dropped: it is in class DROP,
// perhaps by a global reservation that is looked up here (V4-124).
func (w *Worker) SelectSubnet4(q *Query4) Reason {
	q.identify()
	if q.Classes.InClass(classDrop) {
		return ReasonClassDrop
	}
	w.scratch.Unpacked = true
	if q.cfg.Snapshot.Dhcp4.EarlyGlobal {
		if reason := w.lookUpEarly(q); reason != ReasonOK {
			return reason
		}
	}
	v := q.Msg
	w.sel = subnet.Selector{
		GIAddr: v.GIAddr(),
		CIAddr: v.CIAddr(),
		Src:    q.Src,
		Dst:    q.Dst,
		IfName: q.IfName,
		IfAddr: q.IfAddr,
	}
	// The relay's word comes before the client's (RFC 3527, RFC 3011).
	if b := q.rai(dhcp4.RAILinkSelection); len(b) == 4 && !q.cfg.Snapshot.Dhcp4.Compatibility.IgnoreRAILinkSelection {
		w.sel.LinkSelection = dhcp4.AddrFromSlice(b)
	} else if b := v.Option(dhcp4.OptSubnetSelection); len(b) == 4 {
		w.sel.LinkSelection = dhcp4.AddrFromSlice(b)
	}
	if q.cfg.anyGuard {
		w.q = q
		w.sel.Allowed = w.allowed
	}
	q.Subnet = q.cfg.Subnets.Select(&w.sel)
	return ReasonOK
}

func (w *Worker) subnetAllowed(s *config.Subnet4) bool { return w.q.allowed(s) }
