package host6

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

// Errors of Set.Add.
var (
	ErrSameIdentifier = errors.New("add host: its identifier has a reservation in the subnet")
	ErrSameAddress    = errors.New("add host: its address or prefix is reserved in the subnet")
)

// Set is reservations that are added and removed while they are looked up, as
// host.Set is: look-ups take no lock and allocate nothing, a change may be made
// by any goroutine and is seen by every look-up that begins after it. Those added
// lately are in an index of their own, which stays small.
type Set struct {
	state atomic.Pointer[setState]
	mu    struct {
		sync.Mutex
		at      map[*config.Reservation6]place
		removed int // still in the indexes
	}
}

type setState struct{ base, late *Index }

type place struct {
	x *Index
	i int
}

// lateMax is how many hosts the small index has at most, but for a sixteenth of
// all.
const lateMax = 256

// NewSet makes a set of hosts, which the caller does not change any more.
func NewSet(hosts []*config.Reservation6) *Set {
	s := &Set{}
	s.mu.at = make(map[*config.Reservation6]place, len(hosts))
	s.state.Store(&setState{s.index(hosts), s.index(nil)})
	return s
}

// index makes an index and notes where its hosts are. mu is held, or s new.
func (s *Set) index(hosts []*config.Reservation6) *Index {
	x := newIndex(hosts)
	x.dead = make([]atomic.Bool, len(hosts))
	for i, h := range hosts {
		s.mu.at[h] = place{x, i}
	}
	return x
}

func (s *Set) empty() bool {
	st := s.state.Load()
	return len(st.base.hosts)+len(st.late.hosts) == 0
}

// ByIdentifier returns the reservation, nil if none.
func (s *Set) ByIdentifier(subnetID uint32, t config.IdentifierType, id []byte) *config.Reservation6 {
	st := s.state.Load()
	if h := st.late.byIdentifier(subnetID, t, id); h != nil {
		return h
	}
	return st.base.byIdentifier(subnetID, t, id)
}

func (s *Set) byResource(subnetID uint32, p netip.Prefix, pd bool) *config.Reservation6 {
	st := s.state.Load()
	if h := st.late.byResource(subnetID, p, pd); h != nil {
		return h
	}
	return st.base.byResource(subnetID, p, pd)
}

// Len is the number of reservations.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.at)
}

// Check says whether h could be added, or put in the place of except.
func (s *Set) Check(h, except *config.Reservation6) error {
	if x := s.ByIdentifier(h.SubnetID, h.Type, h.Identifier); x != nil && x != except {
		return ErrSameIdentifier
	}
	for _, a := range h.Addrs {
		if x := s.byResource(h.SubnetID, netip.PrefixFrom(a, 128), false); x != nil && x != except {
			return ErrSameAddress
		}
	}
	for i := range h.Prefixes {
		if x := s.byResource(h.SubnetID, h.Prefixes[i].Prefix, true); x != nil && x != except {
			return ErrSameAddress
		}
	}
	return nil
}

// Add adds a reservation, unless its identifier, or one of its addresses or
// prefixes, has one in the subnet.
func (s *Set) Add(h *config.Reservation6) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.Check(h, nil); err != nil {
		return err
	}
	s.add(h)
	return nil
}

func (s *Set) add(h *config.Reservation6) {
	st := s.state.Load()
	if n := len(st.late.hosts); n < lateMax || n < len(st.base.hosts)/16 {
		s.state.Store(&setState{st.base, s.index(append(living(nil, st.late), h))})
		return
	}
	s.rebuild(h)
}

// rebuild makes one index of all and of those that are new.
func (s *Set) rebuild(more ...*config.Reservation6) {
	st := s.state.Load()
	all := append(living(living(nil, st.base), st.late), more...)
	s.mu.removed = 0
	s.state.Store(&setState{s.index(all), s.index(nil)})
}

// living appends the hosts of x that were not removed.
func living(l []*config.Reservation6, x *Index) []*config.Reservation6 {
	for i, h := range x.hosts {
		if !x.removed(i) {
			l = append(l, h)
		}
	}
	return l
}

// Remove removes a reservation that Add or NewSet was given, and reports whether
// it was there.
func (s *Set) Remove(h *config.Reservation6) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(h)
}

func (s *Set) remove(h *config.Reservation6) bool {
	p, ok := s.mu.at[h]
	if !ok {
		return false
	}
	p.x.dead[p.i].Store(true)
	delete(s.mu.at, h)
	s.mu.removed++
	if st := s.state.Load(); s.mu.removed > lateMax && s.mu.removed > len(st.base.hosts)/2 {
		s.rebuild()
	}
	return true
}

// Replace puts next in the place of old: for a moment look-ups may find neither.
// The error is Add's, or ErrSameIdentifier if old is not in the set.
func (s *Set) Replace(old, next *config.Reservation6) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.Check(next, old); err != nil {
		return err
	}
	if !s.remove(old) {
		return ErrSameIdentifier
	}
	s.add(next)
	return nil
}

// Exchange removes reservations and adds others whose identifiers, addresses and
// prefixes are none of what stays, at the cost of one index however many there
// are. For a moment look-ups may find neither.
func (s *Set) Exchange(out, in []*config.Reservation6) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range out {
		s.remove(h)
	}
	if len(in) <= lateMax/8 {
		for _, h := range in {
			s.add(h)
		}
		return
	}
	s.rebuild(in...)
}
