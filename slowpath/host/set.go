package host

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// Errors of Set.Add.
var (
	ErrSameIdentifier = errors.New("add host: its identifier has a reservation in the subnet")
	ErrSameAddress    = errors.New("add host: its address is reserved in the subnet")
)

// Set is reservations that are added and removed while they are looked up. A
// look-up takes no lock and allocates nothing; a change may be made by any
// goroutine and is seen by every look-up that begins after it.
//
// Most hosts are in one index, those added lately in a small one that is made
// anew for every one added, until it is worth to make one of both. So a change
// costs a few hundred insertions whatever the number of hosts.
type Set struct {
	state atomic.Pointer[setState]
	mu    struct {
		sync.Mutex
		at      map[*config.Reservation4]place
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
func NewSet(hosts []*config.Reservation4) *Set {
	s := &Set{}
	s.mu.at = make(map[*config.Reservation4]place, len(hosts))
	s.swap(s.index(hosts), s.index(nil))
	return s
}

// index makes an index and notes where its hosts are. mu is held, or s new.
func (s *Set) index(hosts []*config.Reservation4) *Index {
	x := newIndex(hosts)
	x.dead = make([]atomic.Bool, len(hosts))
	x.clients = newTable(len(hosts))
	for i, h := range hosts {
		s.mu.at[h] = place{x, i}
		x.clients.insert(x.hashClient(h.Type, h.Identifier), i)
	}
	return x
}

func (s *Set) swap(base, late *Index) { s.state.Store(&setState{base, late}) }

// ByIdentifier returns the reservation, nil if none.
func (s *Set) ByIdentifier(subnetID uint32, t config.IdentifierType, id []byte) *config.Reservation4 {
	st := s.state.Load()
	if r := st.late.byIdentifier(subnetID, t, id); r != nil {
		return r
	}
	return st.base.byIdentifier(subnetID, t, id)
}

func (s *Set) appendByIdentifier(dst []*config.Reservation4, t config.IdentifierType, id []byte) []*config.Reservation4 {
	st := s.state.Load()
	known := len(dst)
	return st.base.appendByIdentifier(st.late.appendByIdentifier(dst, known, t, id), known, t, id)
}

// ByAddr returns the reservation of that address, nil if none.
func (s *Set) ByAddr(subnetID uint32, addr dhcp4.IPv4) *config.Reservation4 {
	st := s.state.Load()
	if r := st.late.byAddr(subnetID, addr); r != nil {
		return r
	}
	return st.base.byAddr(subnetID, addr)
}

// empty reports that there is nothing to be found.
func (s *Set) empty() bool {
	st := s.state.Load()
	return len(st.late.hosts)+len(st.base.hosts) == 0
}

// Len is the number of reservations.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.at)
}

// Check says whether h could be added, or put in the place of except.
func (s *Set) Check(h, except *config.Reservation4) error {
	if x := s.ByIdentifier(h.SubnetID, h.Type, h.Identifier); x != nil && x != except {
		return ErrSameIdentifier
	}
	if h.Addr != 0 {
		if x := s.ByAddr(h.SubnetID, h.Addr); x != nil && x != except {
			return ErrSameAddress
		}
	}
	return nil
}

// Add adds a reservation, unless its identifier or address has one in the
// subnet.
func (s *Set) Add(h *config.Reservation4) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.Check(h, nil); err != nil {
		return err
	}
	s.add(h)
	return nil
}

func (s *Set) add(h *config.Reservation4) {
	st := s.state.Load()
	if n := len(st.late.hosts); n < lateMax || n < len(st.base.hosts)/16 {
		s.swap(st.base, s.index(append(s.living(st.late, n+1), h)))
		return
	}
	all := append(s.living(st.base, len(st.base.hosts)+len(st.late.hosts)+1), s.living(st.late, 0)...)
	s.mu.removed = 0
	s.swap(s.index(append(all, h)), s.index(nil))
}

// living are the hosts of x that were not removed.
func (s *Set) living(x *Index, room int) []*config.Reservation4 {
	l := make([]*config.Reservation4, 0, room)
	for i, h := range x.hosts {
		if !x.dead[i].Load() {
			l = append(l, h)
		}
	}
	return l
}

// Remove removes a reservation that Add or NewSet was given, and reports whether
// it was there.
func (s *Set) Remove(h *config.Reservation4) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(h)
}

func (s *Set) remove(h *config.Reservation4) bool {
	p, ok := s.mu.at[h]
	if !ok {
		return false
	}
	p.x.dead[p.i].Store(true)
	delete(s.mu.at, h)
	s.mu.removed++
	if st := s.state.Load(); s.mu.removed > lateMax && s.mu.removed > len(st.base.hosts)/2 {
		s.mu.removed = 0
		s.swap(s.index(append(s.living(st.base, 0), s.living(st.late, 0)...)), s.index(nil))
	}
	return true
}

// Replace puts next in the place of old: for a moment look-ups may find neither.
// The error is Add's, or ErrSameIdentifier if old is not in the set.
func (s *Set) Replace(old, next *config.Reservation4) error {
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

// Exchange removes reservations and adds others that neither the identifiers nor
// the addresses of what stays are those of, at the cost of one index however many
// there are. For a moment look-ups may find neither.
func (s *Set) Exchange(out, in []*config.Reservation4) {
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
	st := s.state.Load()
	all := append(s.living(st.base, len(st.base.hosts)+len(st.late.hosts)+len(in)), s.living(st.late, 0)...)
	s.mu.removed = 0
	s.swap(s.index(append(all, in...)), s.index(nil))
}
