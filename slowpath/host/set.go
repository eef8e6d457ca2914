package host

import (
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/hashindex"
	"github.com/peregrine-dhcp/peregrine/slowpath/hostset"
)

// Set is reservations that are added and removed while they are looked up.
type Set struct {
	hostset.Set[config.Reservation4, Index]
}

// NewSet makes a set of hosts, which the caller does not change any more.
func NewSet(hosts []*config.Reservation4) *Set {
	s := &Set{}
	s.Init(hosts, newLayer, s.Check)
	return s
}

func newLayer(hosts []*config.Reservation4, dead []atomic.Bool) *Index {
	x := newIndex(hosts)
	x.dead = dead
	x.clients = hashindex.New(len(hosts))
	for i, h := range hosts {
		x.clients.Insert(x.hashClient(h.Type, h.Identifier), i)
	}
	return x
}

// ByIdentifier returns the reservation, nil if none.
func (s *Set) ByIdentifier(subnetID uint32, t config.IdentifierType, id []byte) *config.Reservation4 {
	l := s.Layers()
	if r := l.Late.byIdentifier(subnetID, t, id); r != nil {
		return r
	}
	return l.Base.byIdentifier(subnetID, t, id)
}

func (s *Set) appendByIdentifier(dst []*config.Reservation4, t config.IdentifierType, id []byte) []*config.Reservation4 {
	l := s.Layers()
	known := len(dst)
	return l.Base.appendByIdentifier(l.Late.appendByIdentifier(dst, known, t, id), known, t, id)
}

// ByAddr returns the reservation of that address, nil if none.
func (s *Set) ByAddr(subnetID uint32, addr dhcp4.IPv4) *config.Reservation4 {
	l := s.Layers()
	if r := l.Late.byAddr(subnetID, addr); r != nil {
		return r
	}
	return l.Base.byAddr(subnetID, addr)
}

// empty reports that there is nothing to be found.
func (s *Set) empty() bool {
	l := s.Layers()
	return len(l.Late.hosts)+len(l.Base.hosts) == 0
}

// Check says whether h could be added, or put in the place of except.
func (s *Set) Check(h, except *config.Reservation4) error {
	if x := s.ByIdentifier(h.SubnetID, h.Type, h.Identifier); x != nil && x != except {
		return hostset.ErrSameIdentifier
	}
	if h.Addr != 0 {
		if x := s.ByAddr(h.SubnetID, h.Addr); x != nil && x != except {
			return hostset.ErrSameAddress
		}
	}
	return nil
}
