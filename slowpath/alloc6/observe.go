package alloc6

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// LeaseExists6 implements lease6.ExistingObserver: a record that was there
// before counts as assigned, not as an assignment.
func (a *Set) LeaseExists6(l *lease6.Lease6) {
	a.mark(l, nil, l)
	a.count(l, 1)
}

// LeaseChanged6 implements lease6.Observer.
func (a *Set) LeaseChanged6(old, new *lease6.Lease6) {
	if old != nil && new != nil && old.SubnetID == new.SubnetID && old.PoolID == new.PoolID && old.State == new.State &&
		old.Type == new.Type && old.PrefixLen == new.PrefixLen {
		// A renewal: the numbers stay, but a claim ends.
		a.endClaim(new)
	} else {
		switch {
		case old == nil:
			a.mark(new, nil, new)
		case new == nil:
			a.mark(old, old, nil)
		case old.Type == new.Type && old.PrefixLen == new.PrefixLen:
			a.mark(new, old, new)
		default:
			a.mark(old, old, nil)
			a.mark(new, nil, new)
		}
		if new != nil {
			a.count(new, 1)
		}
		if old != nil {
			a.count(old, ^uint64(0))
		}
	}
	if new != nil {
		a.accumulate(old, new)
	}
}

// accumulate counts a change that is an assignment or a registration.
func (a *Set) accumulate(old, new *lease6.Lease6) {
	s := a.byID[new.SubnetID]
	if s == nil {
		return
	}
	live := old != nil && !old.Expired(new.CLTTUnixS)
	switch new.State {
	case lease.StateDefault:
		if !live || old.State != lease.StateDefault && old.State != lease.StateDeclined {
			s.stats[index(new.Type)].cumulative.Add(1)
			if p := a.pool(s, new); p != nil {
				p.cumulative.Add(1)
			}
		}
	case lease.StateRegistered:
		if !live || old.State != lease.StateRegistered {
			s.stats[index(new.Type)].cumulativeRegistered.Add(1)
		}
	}
}

// index is where the numbers of a type are.
func index(t lease6.Type) int {
	if t == lease6.TypePD {
		return 1
	}
	return 0
}

func (a *Set) family(t lease6.Type) *family {
	if t == lease6.TypePD {
		return &a.pd
	}
	return &a.na
}

// pool returns the pool of the lease's subnet that has it, nil if none.
func (a *Set) pool(s *subnet, l *lease6.Lease6) *pool {
	if l.Type == lease6.TypePD {
		return holding(s.pd, addrNumber(l.Addr))
	}
	return holding(s.na, addrNumber(l.Addr))
}

func lengthOf(l *lease6.Lease6) uint8 {
	if l.Type == lease6.TypePD {
		return l.PrefixLen
	}
	return 128
}

// endClaim ends a claim of what l is in its subnet's pool.
func (a *Set) endClaim(l *lease6.Lease6) {
	if s := a.byID[l.SubnetID]; s != nil {
		if p := a.pool(s, l); p != nil && p.claims.Load() > 0 && p.exact(addrNumber(l.Addr), lengthOf(l)) {
			p.unclaim(p.unit(addrNumber(l.Addr)))
		}
	}
}

// mark notes that the record of at's address was old and is new (nil: none), in
// every pool that has something of it, and ends claims. at, old and new have the
// same type and length.
func (a *Set) mark(at, old, new *lease6.Lease6) {
	f, addr, length := a.family(at.Type), addrNumber(at.Addr), lengthOf(at)
	if !f.overlap {
		if s := a.byID[at.SubnetID]; s != nil {
			if p := a.pool(s, at); p != nil && p.exact(addr, length) {
				p.setState(p.unit(addr), stateOf(new))
				return
			}
		}
	}
	// Outside the subnet's pools, of another length, or pools overlap: look at
	// all that may have something of it.
	end := addr.add(ones(uint(128 - length)))
	lo, hi := 0, len(f.all)
	for lo < hi {
		if m := (lo + hi) / 2; end.less(f.all[m].first) {
			hi = m
		} else {
			lo = m + 1
		}
	}
	for i := lo - 1; i >= 0 && !f.maxEnd[i].less(addr); i-- {
		switch p := f.all[i]; {
		case p.end.less(addr):
		case p.exact(addr, length):
			p.setState(p.unit(addr), stateOf(new))
		case old == nil && new != nil:
			p.blockPrefix(addr, length, 1)
		case old != nil && new == nil:
			p.blockPrefix(addr, length, -1)
		}
	}
}

// count adds d, 1 or its negative, to the numbers that l is part of.
func (a *Set) count(l *lease6.Lease6, d uint64) {
	s := a.byID[l.SubnetID]
	if s == nil {
		return
	}
	n, p := &s.stats[index(l.Type)], a.pool(s, l)
	if p == nil {
		p = &nowhere
	}
	switch l.State {
	case lease.StateDefault, lease.StateDeclined:
		n.assigned.Add(d)
		p.assigned.Add(d)
		if l.State == lease.StateDeclined {
			n.declined.Add(d)
			p.declined.Add(d)
		}
	case lease.StateRegistered:
		a.registered.Add(d)
		n.registered.Add(d)
		p.registered.Add(d)
	case lease.StateOffered:
		p.offered.Add(d)
	default:
		p.stale.Add(d)
	}
}

// nowhere takes the numbers of records outside all pools; nobody reads it.
var nowhere pool
