package engine

import (
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// networkRules is what the engine has to know of a shared network so that no
// query has to go through all of its subnets.
type networkRules struct {
	subnets, pools ranges
	// ignoresClientID: some subnet has match-client-id false; v6Only: some has
	// option 108.
	ignoresClientID, v6Only bool
}

func newNetworkRules(n *config.Network4) *networkRules {
	r := new(networkRules)
	for _, s := range n.Subnets {
		r.ignoresClientID = r.ignoresClientID || !s.MatchClientID
		r.v6Only = r.v6Only || s.Options.Codes.Has(dhcp4.OptIPv6OnlyPreferred)
		r.subnets.list = append(r.subnets.list, subnetRange{s.First, s.Last, s, -1})
		for i, p := range s.Pools {
			r.pools.list = append(r.pools.list, subnetRange{p.First, p.Last, s, i})
		}
	}
	r.subnets.sort()
	r.pools.sort()
	return r
}

// ranges are ranges of addresses of a network's subnets, ascending.
type ranges struct {
	list []subnetRange
	// overlap: some address is in several, so that only going through the subnets
	// tells which comes first.
	overlap bool
}

type subnetRange struct {
	first, last dhcp4.IPv4
	subnet      *config.Subnet4
	pool        int // in subnet.Pools
}

func (r *ranges) sort() {
	slices.SortFunc(r.list, func(a, b subnetRange) int { return int(int64(a.first) - int64(b.first)) })
	for i := 1; i < len(r.list); i++ {
		r.overlap = r.overlap || r.list[i].first <= r.list[i-1].last
	}
}

// at returns the range that has a, nil if none; not to be asked if they overlap.
func (r *ranges) at(a dhcp4.IPv4) *subnetRange {
	lo, hi := 0, len(r.list)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if r.list[m].last < a {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(r.list) && r.list[lo].first <= a {
		return &r.list[lo]
	}
	return nil
}

// circleOrder is the place of s in the circle of its network's subnets that begins
// with first.
func circleOrder(first, s *config.Subnet4) int {
	if d := s.Position - first.Position; d >= 0 {
		return d
	}
	return s.Position - first.Position + len(s.Network.Subnets)
}

// clientSubnets makes w.link the subnets of the query's shared network where the
// client may have records, by identifier and by hardware address, in the order of
// the circle; with hwAny also records of the hardware address with another
// identifier.
func (w *Worker) clientSubnets(q *Query4, hwAny bool) {
	first := q.Subnet
	w.link = w.link[:0]
	var ids [lease.MaxClientSubnets]uint32
	n, all := w.t.ClientSubnets(q.Msg.HType(), q.hw, q.cid, hwAny, &ids)
	if !all {
		for s := first; s != nil; s = q.nextSubnet(first, s) {
			w.link = append(w.link, s)
		}
		return
	}
	for _, id := range ids[:n] {
		s := q.cfg.Subnets.ByID(id)
		if s == nil || s != first && (s.Network != first.Network || !q.allowed(s)) {
			continue
		}
		at := len(w.link)
		for at > 0 && circleOrder(first, w.link[at-1]) > circleOrder(first, s) {
			at--
		}
		w.link = slices.Insert(w.link, at, s)
	}
}
