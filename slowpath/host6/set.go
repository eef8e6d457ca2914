package host6

import (
	"net/netip"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/hostset"
)

// Set is reservations that are added and removed while they are looked up.
type Set struct {
	hostset.Set[config.Reservation6, Index]
}

// NewSet makes a set of hosts, which the caller does not change any more.
func NewSet(hosts []*config.Reservation6) *Set {
	s := &Set{}
	s.Init(hosts, newLayer, s.Check)
	return s
}

func newLayer(hosts []*config.Reservation6, dead []atomic.Bool) *Index {
	x := newIndex(hosts)
	x.dead = dead
	return x
}

func (s *Set) empty() bool {
	l := s.Layers()
	return len(l.Late.hosts)+len(l.Base.hosts) == 0
}

// ByIdentifier returns the reservation, nil if none.
func (s *Set) ByIdentifier(subnetID uint32, t config.IdentifierType, id []byte) *config.Reservation6 {
	l := s.Layers()
	if h := l.Late.byIdentifier(subnetID, t, id); h != nil {
		return h
	}
	return l.Base.byIdentifier(subnetID, t, id)
}

func (s *Set) byResource(subnetID uint32, p netip.Prefix, pd bool) *config.Reservation6 {
	l := s.Layers()
	if h := l.Late.byResource(subnetID, p, pd); h != nil {
		return h
	}
	return l.Base.byResource(subnetID, p, pd)
}

// Check says whether h could be added, or put in the place of except.
func (s *Set) Check(h, except *config.Reservation6) error {
	if x := s.ByIdentifier(h.SubnetID, h.Type, h.Identifier); x != nil && x != except {
		return hostset.ErrSameIdentifier
	}
	for _, a := range h.Addrs {
		if x := s.byResource(h.SubnetID, netip.PrefixFrom(a, 128), false); x != nil && x != except {
			return hostset.ErrSameAddress
		}
	}
	for i := range h.Prefixes {
		if x := s.byResource(h.SubnetID, h.Prefixes[i].Prefix, true); x != nil && x != except {
			return hostset.ErrSameAddress
		}
	}
	return nil
}
