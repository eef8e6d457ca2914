package engine6

import (
	"net/netip"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// identifier returns the client's identifier of one kind, nil if it has none.
func (w *Worker) identifier(q *Query6, t config.IdentifierType) (config.IdentifierType, []byte) {
	switch t {
	case config.IdentHWAddr:
		return t, q.hw.addr
	case config.IdentDUID:
		return t, q.duid
	case config.IdentFlexID:
		if f := q.cfg.Callouts.HostIdentifier; f != nil && !q.flexAsked {
			q.flexAsked = true
			if id, kind, ok := f(q); ok {
				q.flexID, q.flexT = id, kind
			}
		}
		return q.flexT, q.flexID
	}
	return t, nil
}

// hostIn looks for the client's reservation in a subnet, 0 for a global one, by
// each identifier in the configured order (V4-121).
func (w *Worker) hostIn(q *Query6, subnetID uint32) *config.Reservation6 {
	for _, t := range q.cfg.Snapshot.Dhcp6.HostIdentifiers {
		t, id := w.identifier(q, t)
		if len(id) == 0 {
			continue
		}
		if h := q.cfg.Hosts.ByIdentifier(subnetID, t, id); h != nil {
			return h
		}
	}
	return nil
}

// earlyLookup is early-global-reservations-lookup: before a subnet is selected
// the classes of a global reservation are known.
func (w *Worker) earlyLookup(q *Query6) {
	d := q.cfg.Snapshot.Dhcp6
	if !d.EarlyGlobalLookup {
		return
	}
	q.early = true
	q.identify() // the message may have moved since Accept6
	if !q.cfg.Hosts.Empty() {
		q.global = w.hostIn(q, 0)
	}
	if q.global == nil {
		return
	}
	if len(q.global.ClientClasses) > 0 {
		w.addHostClasses(q, q.global)
	}
	q.Classes.Put(q.cfg.classes.known)
	w.evaluate(q, true)
	q.drop = q.Classes.InClass(q.cfg.classes.drop)
}

// addHostClasses puts the query into the classes of a reservation and evaluates
// the first pass anew (CL-049).
func (w *Worker) addHostClasses(q *Query6, h *config.Reservation6) {
	if set := q.cfg.classes.set; set != nil {
		q.Classes.RemoveAll(set.Evaluated) // spawned ones stay, as in Kea
	}
	q.setHostClasses(h)
	w.evaluate(q, false)
}

func (q *Query6) setHostClasses(h *config.Reservation6) {
	for _, n := range h.ClientClasses {
		q.Classes.Add(n)
	}
}

// findHosts looks for the client's reservations: a global one, and those in the
// subnets of the link that it may use (V4-122).
func (w *Worker) findHosts(q *Query6) {
	q.nHosts = 0
	if !q.early {
		q.global = nil
	}
	if q.cfg.Hosts.Empty() {
		return
	}
	s := q.rules
	if q.early && !s.s.ReservationsInSubnet {
		return
	}
	if !q.early && s.s.ReservationsGlobal {
		q.global = w.hostIn(q, 0)
		if q.global != nil && !s.s.ReservationsInSubnet {
			return
		}
	}
	for i := 0; int(q.nHosts) < len(q.hosts); i++ {
		n := s.nth(i)
		if n == nil {
			return
		}
		if !n.s.ReservationsInSubnet || !n.supports(&q.Classes) {
			continue
		}
		if h := w.hostIn(q, n.s.ID); h != nil {
			q.hosts[q.nHosts] = subnetHost{n.s.ID, h}
			q.nHosts++
		}
	}
}

func (q *Query6) hasHosts() bool { return q.nHosts > 0 || q.global != nil }

// hostOf returns the client's reservation in a subnet.
func (q *Query6) hostOf(subnetID uint32) *config.Reservation6 {
	for i := range q.hosts[:q.nHosts] {
		if q.hosts[i].subnetID == subnetID {
			return q.hosts[i].host
		}
	}
	return nil
}

// currentHost is the reservation that counts: that of the subnet in hand, else
// the global one.
func (q *Query6) currentHost() *config.Reservation6 {
	s := q.hostSubnet
	if s == nil {
		s = q.rules
	}
	if s != nil && s.s.ReservationsInSubnet {
		if h := q.hostOf(s.s.ID); h != nil {
			return h
		}
	}
	return q.globalHost()
}

func (q *Query6) globalHost() *config.Reservation6 {
	if q.rules != nil && q.rules.s.ReservationsGlobal {
		return q.global
	}
	return nil
}

// hostClasses adds the classes of reservations, KNOWN or UNKNOWN, and those of
// the second pass.
func (w *Worker) hostClasses(q *Query6) {
	global, current := q.globalHost(), q.currentHost()
	network := q.rules != nil && q.rules.network != nil
	if !q.early && global != nil && len(global.ClientClasses) > 0 ||
		!network && current != nil && len(current.ClientClasses) > 0 {
		w.addHostClasses(q, current)
	}
	if q.hasHosts() {
		q.Classes.Put(q.cfg.classes.known)
	} else {
		q.Classes.Put(q.cfg.classes.unknown)
	}
	w.evaluate(q, true)
}

// lateClasses adds, when the subnet is final, the classes of the reservation in
// a shared network, and evaluates the additional ones of pools, subnet and
// network (CL-048).
func (w *Worker) lateClasses(q *Query6) {
	s := q.rules
	if s == nil {
		return
	}
	if s.network != nil {
		if h := q.currentHost(); h != nil && h.SubnetID != 0 {
			q.setHostClasses(h)
		}
	}
	set := q.cfg.classes.set
	if set == nil {
		return
	}
	evaluate := func(list []uint32) {
		if len(list) > 0 {
			w.packet(q)
			res := set.EvaluateAdditional(list, &w.pkt, &q.Classes, &w.scratch)
			w.classFailures += uint64(res.Failures)
		}
	}
	for i := range q.allocated[:q.nAllocated] {
		if p := s.poolOf(q.allocated[i].typ, q.allocated[i].addr); p != nil {
			evaluate(p.additional)
		}
	}
	evaluate(s.additional)
	if s.network != nil {
		evaluate(s.network.additional)
	}
}

// reserves reports whether the reservation has that address or prefix.
func reserves(h *config.Reservation6, t lease6.Type, a dhcp6.IPv6, length uint8) bool {
	if h == nil {
		return false
	}
	if t == lease6.TypePD {
		for i := range h.Prefixes {
			if p := h.Prefixes[i].Prefix; p.Addr().As16() == a && p.Bits() == int(length) {
				return true
			}
		}
		return false
	}
	for _, x := range h.Addrs {
		if x.As16() == a {
			return true
		}
	}
	return false
}

// reservedIn reports whether the resource is reserved in a subnet, for anybody
// (who it is reserved for has been given it before).
func (w *Worker) reservedIn(q *Query6, s *subnetRules, t lease6.Type, a dhcp6.IPv6, length uint8) bool {
	if q.cfg.Hosts.Empty() {
		return false
	}
	if t == lease6.TypePD {
		return q.cfg.Hosts.ByPrefix(s.s.ID, netip.PrefixFrom(a.Netip(), int(length))) != nil
	}
	return q.cfg.Hosts.ByAddr(s.s.ID, a.Netip()) != nil
}
