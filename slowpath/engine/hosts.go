package engine

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

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
		return q.rai(dhcp4.RAICircuitID)
	case config.IdentClientID:
		return q.cid
	case config.IdentFlexID:
		return q.flexID
	}
	return nil
}

// askHostIdentifier asks the callouts for a flex-id.
func (w *Worker) askHostIdentifier(q *Query4) {
	if q.cfg.flexID && q.cfg.Callouts.HostIdentifier != nil {
		if id, t, ok := q.cfg.Callouts.HostIdentifier(q); ok {
			q.flexID, q.flexT = id, t
		}
	}
}

// findHosts looks for the client's reservations: a global one, and one in each
// subnet of the link that the client may use; by each identifier in the
// configured order (V4-121, V4-122, WR-15). A network of many subnets costs no
// more than one.
func (w *Worker) findHosts(q *Query4) {
	s := q.Subnet
	early := q.cfg.Snapshot.Dhcp4.EarlyGlobal
	if !s.ReservationsInSubnet && !s.ReservationsGlobal || !early && !q.cfg.flexID && q.cfg.Hosts.Empty() {
		return
	}
	if !early {
		w.askHostIdentifier(q)
		if s.ReservationsGlobal {
			q.global = w.hostIn(q, 0)
		}
	}
	switch {
	case s.Network != nil:
		if s.ReservationsInSubnet || early || q.global == nil {
			w.hostsInNetwork(q, s.Network)
		}
	case s.ReservationsInSubnet && q.allowed(s):
		if h := w.hostIn(q, s.ID); h != nil {
			q.hosts = append(q.hosts, h)
		}
	}
	q.Host = q.currentHost()
}

func (w *Worker) hostsInNetwork(q *Query4, net *config.Network4) {
	for _, t := range q.cfg.Snapshot.Dhcp4.HostIdentifiers {
		id := q.identifier(t)
		if len(id) == 0 {
			continue
		}
		if t == config.IdentFlexID {
			t = q.flexT
		}
		w.found = q.cfg.HostLists.AppendInNetwork(w.found[:0], net, t, id)
		for _, h := range w.found {
			if s := q.cfg.Subnets.ByID(h.SubnetID); s != nil && s.ReservationsInSubnet && q.hostOf(s) == nil && q.allowed(s) {
				q.hosts = append(q.hosts, h)
			}
		}
		if !q.cfg.Hosts.HasMore() {
			continue
		}
		// What was added at run time is not in the lists.
		w.found = q.cfg.Hosts.AppendMore(w.found[:0], t, id)
		for _, h := range w.found {
			if s := q.cfg.Subnets.ByID(h.SubnetID); s != nil && !h.Negative && s.Network == net && s.ReservationsInSubnet && q.hostOf(s) == nil && q.allowed(s) {
				q.hosts = append(q.hosts, h)
			}
		}
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

// hostOf returns the reservation that was found in the subnet, nil if none.
func (q *Query4) hostOf(s *config.Subnet4) *config.Reservation4 {
	for _, h := range q.hosts {
		if h.SubnetID == s.ID {
			return h
		}
	}
	return nil
}

// nextHost is the client's reservation in the subnet that comes next behind place
// after of the circle that begins with first, of those that the query may use; nil
// if there is none.
func (q *Query4) nextHost(first *config.Subnet4, after int) (next *config.Reservation4, in *config.Subnet4) {
	for _, h := range q.hosts {
		s := q.cfg.Subnets.ByID(h.SubnetID)
		if s == nil || s != first && (s.Network == nil || s.Network != first.Network || !q.allowed(s)) {
			continue
		}
		if o := circleOrder(first, s); o > after && (in == nil || o < circleOrder(first, in)) {
			next, in = h, s
		}
	}
	return next, in
}

// currentHost is the reservation that counts in the query's subnet: one of the
// subnet, else the global one (V4-122).
func (q *Query4) currentHost() *config.Reservation4 {
	s := q.Subnet
	if s.ReservationsInSubnet {
		if h := q.hostOf(s); h != nil {
			return h
		}
	}
	if s.ReservationsGlobal {
		return q.global
	}
	return nil
}

// reservedAddr returns the address that is reserved for the client, and makes
// its subnet the query's. An address in a pool does not count with
// reservations-out-of-pool; a global one only inside one of the link's subnets,
// and not if the client has a reservation in a subnet, even one without address,
// which only chooses the subnet (V4-056, V4-122, V4-123).
func (w *Worker) reservedAddr(q *Query4) (dhcp4.IPv4, bool) {
	first := q.Subnet
	for h, s := q.nextHost(first, -1); h != nil; h, s = q.nextHost(first, circleOrder(first, s)) {
		switch {
		case !s.ReservationsInSubnet:
		case h.Addr == 0:
			q.setSubnet(s)
			return 0, false
		case !s.ReservationsOutOfPool || poolOf(s, h.Addr) < 0:
			q.setSubnet(s)
			return h.Addr, true
		}
	}
	g := q.global
	if g == nil || g.Addr == 0 {
		return 0, false
	}
	if net := q.rules.net; net != nil && !net.subnets.overlap {
		if r := net.subnets.at(g.Addr); r != nil && r.subnet.ReservationsGlobal && (r.subnet == first || q.allowed(r.subnet)) {
			q.setSubnet(r.subnet)
			return g.Addr, true
		}
		return 0, false
	}
	for s := first; s != nil; s = q.nextSubnet(first, s) {
		if s.ReservationsGlobal && g.Addr >= s.First && g.Addr <= s.Last {
			q.setSubnet(s)
			return g.Addr, true
		}
	}
	return 0, false
}

// reservedForOther reports whether the address is reserved in the subnet for
// somebody who is not this client by any of its identifiers.
func (w *Worker) reservedForOther(q *Query4, a dhcp4.IPv4) bool {
	s := q.Subnet
	if !s.ReservationsInSubnet || q.cfg.Hosts.Empty() || s.ReservationsOutOfPool && poolOf(s, a) >= 0 {
		return false
	}
	h := q.cfg.Hosts.ByAddr(s.ID, a)
	if h == nil || q.isMeant(h) {
		return false
	}
	if !q.cfg.Snapshot.Dhcp4.IPReservationsUnique {
		w.found = q.cfg.HostLists.AppendByAddr(w.found[:0], s.ID, a)
		for _, h := range w.found {
			if q.isMeant(h) {
				return false
			}
		}
	}
	return true
}

// isMeant reports whether the reservation is for this client by any of its
// identifiers.
func (q *Query4) isMeant(h *config.Reservation4) bool {
	if h == q.Host {
		return true
	}
	for _, t := range q.cfg.Snapshot.Dhcp4.HostIdentifiers {
		id := q.identifier(t)
		if t == config.IdentFlexID {
			t = q.flexT
		}
		if t == h.Type && len(id) > 0 && bytes.Equal(id, h.Identifier) {
			return true
		}
	}
	return false
}
