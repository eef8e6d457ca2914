package engine

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// A query begins with the subnet that was selected for it, and where that is one
// of a shared network may end in another (V4-055). What is looked for is looked
// for in all of them, in a circle by ascending id from the present one on, as
// Kea does; where it is found becomes the query's subnet.

// setSubnet makes s the query's subnet.
func (q *Query4) setSubnet(s *config.Subnet4) {
	if s == q.Subnet && q.rules != nil {
		return
	}
	q.Subnet = s
	q.rules = q.cfg.rulesOf(s)
	q.Host = q.currentHost()
}

// allowed reports whether the query passes the guards of the subnet and of its
// shared network.
func (q *Query4) allowed(s *config.Subnet4) bool {
	r := q.cfg.rulesOf(s)
	return r.open || q.Classes.InAny(r.guard) && q.Classes.InAny(r.netGuard)
}

// nextSubnet returns the subnet after s in the circle that began with first, of
// those that the query may use; nil if the circle is closed.
func (q *Query4) nextSubnet(first, s *config.Subnet4) *config.Subnet4 {
	for {
		if s = nextMember(first, s); s == nil || q.allowed(s) {
			return s
		}
	}
}

// nextSubnetWith is nextSubnet of those that may have an unused address, or with
// offered one that is only offered.
func (q *Query4) nextSubnetWith(first, s *config.Subnet4, offered bool) *config.Subnet4 {
	for {
		if s = q.cfg.Alloc.NextSubnet(first, s, offered); s == nil || q.allowed(s) {
			return s
		}
	}
}

// anyPool reports whether the query may use any pool of the link.
func (q *Query4) anyPool(first *config.Subnet4) bool {
	for s := first; s != nil; s = q.nextSubnet(first, s) {
		for _, guard := range q.cfg.rulesOf(s).pools {
			if q.Classes.InAny(guard) {
				return true
			}
		}
	}
	return false
}

// nextMember is nextSubnet whatever the guards say.
func nextMember(first, s *config.Subnet4) *config.Subnet4 {
	if s.Network == nil {
		return nil
	}
	l := s.Network.Subnets
	i := s.Position + 1
	if i == len(l) {
		i = 0
	}
	if l[i] == first {
		return nil
	}
	return l[i]
}

// onLink reports whether a subnet is the query's, or one of the same shared
// network that it may use.
func (q *Query4) onLink(id uint32) bool {
	if id == q.Subnet.ID {
		return true
	}
	if q.Subnet.Network == nil {
		return false
	}
	s := q.cfg.Subnets.ByID(id)
	return s != nil && s.Network == q.Subnet.Network && q.allowed(s)
}

// enterSubnet makes the query's subnet one that it may use (V4-055): the
// selected one may be of a callout, or its classes have changed since. It
// reports false if there is none.
func (q *Query4) enterSubnet() bool {
	if q.allowed(q.Subnet) {
		return true
	}
	s := q.nextSubnet(q.Subnet, q.Subnet)
	if s == nil {
		return false
	}
	q.setSubnet(s)
	return true
}

// findClient puts the client's record into w.cur and makes its subnet the
// query's: by client identifier, then by hardware address (V4-068). Offers
// count, where there is no lease.
func (w *Worker) findClient(q *Query4) bool {
	first := q.Subnet
	if first.Network == nil {
		return w.findByClientID(q, first) || w.findByHWAddr(q, first)
	}
	if w.findByClientID(q, first) && !isOffer(&w.cur) {
		return true // nearly always, of those that have any
	}
	offerIn := (*config.Subnet4)(nil)
	w.clientSubnets(q, q.cid == nil || q.rules.net.ignoresClientID)
	for _, find := range [...]func(*Worker, *Query4, *config.Subnet4) bool{(*Worker).findByClientID, (*Worker).findByHWAddr} {
		for _, s := range w.link {
			if !find(w, q, s) {
				continue
			}
			if offered := isOffer(&w.cur); !offered {
				q.setSubnet(s)
				return true
			}
			if offerIn == nil {
				offerIn = s
				w.exist.CopyFrom(&w.cur)
			}
		}
	}
	if offerIn == nil {
		return false
	}
	w.cur.CopyFrom(&w.exist)
	q.setSubnet(offerIn)
	return true
}

func (w *Worker) findByClientID(q *Query4, s *config.Subnet4) bool {
	return q.cid != nil && s.MatchClientID && w.t.FindByClientID(q.cid, s.ID, &w.cur)
}

func (w *Worker) findByHWAddr(q *Query4, s *config.Subnet4) bool {
	var cid []byte
	if s.MatchClientID {
		cid = q.cid
	}
	switch {
	case q.hw == nil:
		return false
	case cid != nil: // those with the identifier were looked for before
		return w.t.FindWithoutClientID(q.Msg.HType(), q.hw, s.ID, &w.cur)
	}
	return w.t.FindByHWAddr(q.Msg.HType(), q.hw, nil, s.ID, &w.cur)
}

// inAllowedPool reports whether the address is in a pool of the link that the
// client's classes let it use, and makes its subnet the query's.
func (w *Worker) inAllowedPool(q *Query4, a dhcp4.IPv4) bool {
	first := q.Subnet
	if net := q.rules.net; net != nil && !net.pools.overlap {
		r := net.pools.at(a)
		if r == nil || r.subnet != first && !q.allowed(r.subnet) || !q.Classes.InAny(q.cfg.rulesOf(r.subnet).pools[r.pool]) {
			return false
		}
		q.setSubnet(r.subnet)
		return true
	}
	for s := first; s != nil; s = q.nextSubnet(first, s) {
		if p := poolOf(s, a); p >= 0 && q.Classes.InAny(q.cfg.rulesOf(s).pools[p]) {
			q.setSubnet(s)
			return true
		}
	}
	return false
}

// inAnyPool reports whether the address is in a pool of the link, whatever the
// guards say (V4-021).
func (q *Query4) inAnyPool(first *config.Subnet4, a dhcp4.IPv4) bool {
	if net := q.rules.net; net != nil && !net.pools.overlap {
		return net.pools.at(a) != nil
	}
	for s := first; s != nil; s = nextMember(first, s) {
		if poolOf(s, a) >= 0 {
			return true
		}
	}
	return false
}

// v6OnlyPreferred reports whether the link prefers clients without IPv4 (V4-078)
// and makes the subnet that says so the query's.
func (q *Query4) v6OnlyPreferred() bool {
	first := q.Subnet
	if net := q.rules.net; net != nil && !net.v6Only {
		return q.rules.netV6Only
	}
	for s := first; s != nil; s = q.nextSubnet(first, s) {
		if q.cfg.rulesOf(s).v6Only {
			q.setSubnet(s)
			return true
		}
	}
	return q.rules.netV6Only
}
