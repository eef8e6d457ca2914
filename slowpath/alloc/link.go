package alloc

import "github.com/peregrine-dhcp/peregrine/slowpath/config"

// link says which subnets of a shared network may have an address to give, so that
// those that are full cost nothing. Its bitmaps follow the pools' as those follow
// the words: who makes an address available sets the bit last, who finds a subnet
// without clears the bit and then looks again.
type link struct {
	unused  hints // free or stale
	offered hints
}

func newLink(subnets int) *link {
	return &link{unused: newHints(subnets, true), offered: newHints(subnets, false)}
}

func (l *link) of(k int) *hints {
	if k == kindOffered {
		return &l.offered
	}
	return &l.unused
}

// has notes that the subnet has an address of kind k.
func (s *subnet) has(k int) {
	if s.link != nil {
		s.link.of(k).set(s.position)
	}
}

// spent notes that the subnet has no address like those of kind k any more, if
// that is so.
func (s *subnet) spent(k int) {
	if s.link == nil || s.mayHave(k) {
		return
	}
	s.link.of(k).clear(s.position)
	if s.mayHave(k) {
		s.link.of(k).set(s.position)
	}
}

func (s *subnet) mayHave(k int) bool {
	for _, p := range s.pools {
		if k == kindOffered && !p.hints[kindOffered].empty() ||
			k != kindOffered && !(p.hints[kindFree].empty() && p.hints[kindStale].empty()) {
			return true
		}
	}
	return false
}

// Spent tells that no pool of s gave an address, by PickUnused or with offered by
// PickOffered. If that was so of all its pools NextSubnet leaves it out from now
// on, until it has one again.
func (a *Set) Spent(s *config.Subnet4, offered bool) {
	sn := a.subnet(s.ID)
	switch {
	case sn == nil:
	case offered:
		sn.spent(kindOffered)
	default:
		sn.spent(kindFree)
	}
}

// NextSubnet returns the next subnet of the shared network of first that may have
// an unused address, or with offered one that is only offered, behind s in the
// circle by ascending id that begins with first; nil if there is none before the
// circle closes. Outside of networks it is nil.
func (a *Set) NextSubnet(first, s *config.Subnet4, offered bool) *config.Subnet4 {
	sn := a.subnet(first.ID)
	if sn == nil || sn.link == nil {
		return nil
	}
	h := &sn.link.unused
	if offered {
		h = &sn.link.offered
	}
	l := first.Network.Subnets
	i := s.Position + 1
	if i > first.Position {
		if i < len(l) {
			if n := h.next(i); n >= 0 {
				return l[n]
			}
		}
		i = 0
	}
	if n := h.next(i); n >= 0 && n < first.Position {
		return l[n]
	}
	return nil
}
