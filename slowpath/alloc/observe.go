package alloc

import "github.com/peregrine-dhcp/peregrine/slowpath/lease"

// stateOf is what a pool's bits say of a record, kindFree of none.
func stateOf(l *lease.Lease4) uint64 {
	if l == nil {
		return kindFree
	}
	switch l.State {
	case lease.StateExpiredReclaimed, lease.StateReleased:
		return kindStale
	case lease.StateOffered:
		return kindOffered
	}
	return inUse
}

// LeaseExists implements lease.ExistingObserver: a record that was there before
// counts as assigned, not as an assignment.
func (a *Set) LeaseExists(l *lease.Lease4) {
	a.mark(l, stateOf(l))
	a.count(l, 1)
}

// LeaseChanged implements lease.Observer.
func (a *Set) LeaseChanged(old, new *lease.Lease4) {
	if old != nil && new != nil && old.SubnetID == new.SubnetID && old.State == new.State {
		// A renewal: the numbers stay, but a claim ends.
		a.mark(new, stateOf(new))
	} else {
		if new != nil {
			a.mark(new, stateOf(new))
			a.count(new, 1)
		} else {
			a.mark(old, kindFree)
		}
		if old != nil {
			a.count(old, ^uint64(0))
		}
	}
	if new != nil && new.State == lease.StateDefault {
		if old == nil || old.State != lease.StateDefault && old.State != lease.StateDeclined ||
			old.State == lease.StateDefault && old.Expired(new.CLTTUnixS) {
			if s := a.subnet(new.SubnetID); s != nil {
				s.cumulative.Add(1)
				if p := s.pool(uint32(new.Addr)); p != nil {
					p.cumulative.Add(1)
				}
			}
		}
	}
}

// mark sets what is known of l's address in every pool that has it, and ends
// claims of it.
func (a *Set) mark(l *lease.Lease4, state uint64) {
	addr := uint32(l.Addr)
	if !a.overlap {
		if s := a.subnet(l.SubnetID); s != nil {
			if p := s.pool(addr); p != nil {
				p.change(addr-p.first, stateMask|claimed, state)
				return
			}
		}
	}
	// Outside the subnet's pools, or pools overlap: look at all that may have it.
	lo, hi := 0, len(a.all)
	for lo < hi {
		if m := (lo + hi) / 2; a.all[m].first <= addr {
			lo = m + 1
		} else {
			hi = m
		}
	}
	for i := lo - 1; i >= 0 && a.maxLast[i] >= addr; i-- {
		if p := a.all[i]; addr <= p.last {
			p.change(addr-p.first, stateMask|claimed, state)
		}
	}
}

// count adds d, 1 or its negative, to the numbers that l is part of.
func (a *Set) count(l *lease.Lease4, d uint64) {
	s := a.subnet(l.SubnetID)
	if s == nil {
		return
	}
	p := s.pool(uint32(l.Addr))
	switch l.State {
	case lease.StateDefault, lease.StateDeclined:
		s.assigned.Add(d)
		if p != nil {
			p.assigned.Add(d)
		}
		if l.State == lease.StateDeclined {
			s.declined.Add(d)
			if p != nil {
				p.declined.Add(d)
			}
		}
	case lease.StateOffered:
		if p != nil {
			p.offered.Add(d)
		}
	default:
		if p != nil {
			p.stale.Add(d)
		}
	}
}
