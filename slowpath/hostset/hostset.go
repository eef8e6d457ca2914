// Package hostset keeps host reservations that are added and removed while they
// are looked up. What a reservation is and how it is found is its family's: the
// set makes indexes of them, which it calls layers, and says where to look.
package hostset

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Errors of Set.Add and Set.Replace.
var (
	ErrSameIdentifier = errors.New("add host: its identifier has a reservation in the subnet")
	ErrSameAddress    = errors.New("add host: its address or prefix is reserved in the subnet")
	ErrNotInSet       = errors.New("replace host: it is not in the set")
)

// Set is reservations H in indexes X. A look-up, which is the family's, takes no
// lock and allocates nothing; a change may be made by any goroutine and is seen
// by every look-up that begins after it.
//
// Most hosts are in one layer, those added lately in a small one that is made
// anew for every one added, until it is worth to make one of both. So a change
// costs a few hundred insertions whatever the number of hosts.
type Set[H, X any] struct {
	layers atomic.Pointer[Layers[X]]
	build  func(hosts []*H, dead []atomic.Bool) *X
	check  func(h, except *H) error
	mu     struct {
		sync.Mutex
		base, late hosts[H]
		marks      map[*H]*atomic.Bool // that a host is dead
		removed    int                 // still in the layers
	}
}

// Layers are the indexes of a set at one time; what Late has counts before what
// Base has. Neither is nil, and neither changes but for the marks of the dead.
type Layers[X any] struct{ Base, Late *X }

// hosts is what a layer was made of.
type hosts[H any] struct {
	list []*H
	dead []atomic.Bool
}

// lateMax is how many hosts the small layer has at most, but for a sixteenth of
// all.
const lateMax = 256

// Init makes the set one of hosts, which the caller does not change any more.
// build makes a layer of hosts, of which those at the positions that are set in
// dead must not be found, now or later. check says whether a host could be added,
// or put in the place of except, to what the layers have. Before the set is used
// by others.
func (s *Set[H, X]) Init(list []*H, build func(hosts []*H, dead []atomic.Bool) *X, check func(h, except *H) error) {
	s.build, s.check = build, check
	s.mu.marks = make(map[*H]*atomic.Bool, len(list))
	s.rebuild(list)
}

// Layers returns what look-ups go to.
func (s *Set[H, X]) Layers() *Layers[X] { return s.layers.Load() }

// Len is the number of reservations.
func (s *Set[H, X]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.marks)
}

// Add adds a reservation, unless its identifier, or one of its addresses or
// prefixes, has one in the subnet.
func (s *Set[H, X]) Add(h *H) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(h, nil); err != nil {
		return err
	}
	s.add(h)
	return nil
}

// Remove removes a reservation that the set was given, and reports whether it was
// there.
func (s *Set[H, X]) Remove(h *H) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(h)
}

// Replace puts next in the place of old: for a moment look-ups may find neither.
// The error is Add's, or ErrNotInSet.
func (s *Set[H, X]) Replace(old, next *H) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(next, old); err != nil {
		return err
	}
	if !s.remove(old) {
		return ErrNotInSet
	}
	s.add(next)
	return nil
}

// Exchange removes reservations and adds others whose identifiers, addresses and
// prefixes are none of what stays, at the cost of one layer however many there
// are. For a moment look-ups may find neither.
func (s *Set[H, X]) Exchange(out, in []*H) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range out {
		s.remove(h)
	}
	if len(in) > lateMax/8 {
		s.rebuild(in)
		return
	}
	for _, h := range in {
		s.add(h)
	}
}

// add is Add without its check. mu is held, as for all that follow.
func (s *Set[H, X]) add(h *H) {
	if n := len(s.mu.late.list); n >= lateMax && n >= len(s.mu.base.list)/16 {
		s.rebuild([]*H{h})
		return
	}
	s.mu.late = s.layer(append(s.mu.late.living(1), h))
	s.layers.Store(&Layers[X]{s.layers.Load().Base, s.index(&s.mu.late)})
}

func (s *Set[H, X]) remove(h *H) bool {
	dead := s.mu.marks[h]
	if dead == nil {
		return false
	}
	dead.Store(true)
	delete(s.mu.marks, h)
	s.mu.removed++
	if s.mu.removed > lateMax && s.mu.removed > len(s.mu.base.list)/2 {
		s.rebuild(nil)
	}
	return true
}

// rebuild makes one layer of what there is and of more.
func (s *Set[H, X]) rebuild(more []*H) {
	all := append(s.mu.base.living(len(s.mu.late.list)+len(more)), s.mu.late.living(0)...)
	s.mu.base, s.mu.late, s.mu.removed = s.layer(append(all, more...)), hosts[H]{}, 0
	s.layers.Store(&Layers[X]{s.index(&s.mu.base), s.index(&s.mu.late)})
}

// layer notes where the marks of the hosts are.
func (s *Set[H, X]) layer(list []*H) hosts[H] {
	l := hosts[H]{list, make([]atomic.Bool, len(list))}
	for i, h := range list {
		s.mu.marks[h] = &l.dead[i]
	}
	return l
}

func (s *Set[H, X]) index(l *hosts[H]) *X { return s.build(l.list, l.dead) }

// living are the hosts that were not removed, with room for so many more.
func (l *hosts[H]) living(room int) []*H {
	list := make([]*H, 0, len(l.list)+room)
	for i, h := range l.list {
		if !l.dead[i].Load() {
			list = append(list, h)
		}
	}
	return list
}
