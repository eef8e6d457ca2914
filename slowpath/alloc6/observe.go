package alloc6

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// LeaseExists6 implements lease6.ExistingObserver: a record that was there
// before counts as assigned, not as an assignment.
func (a *Set) LeaseExists6(l *lease6.Lease6) {
	at := a.place(l)
	a.mark(at, l, nil, l)
	a.count(at, l, 1)
}

// LeaseChanged6 implements lease6.Observer.
func (a *Set) LeaseChanged6(old, new *lease6.Lease6) {
	if new == nil {
		a.gone(old)
		return
	}
	at := a.place(new)
	switch {
	case old == nil:
		a.mark(at, new, nil, new)
		a.count(at, new, 1)
	case old.SubnetID != new.SubnetID || old.Type != new.Type || old.PrefixLen != new.PrefixLen:
		a.gone(old)
		a.mark(at, new, nil, new)
		a.count(at, new, 1)
	case old.State != new.State:
		a.mark(at, new, old, new)
		a.count(at, new, 1)
		a.count(at, old, ^uint64(0))
	default: // A renewal: the numbers stay, but a claim ends.
		at.endClaim(new)
	}
	at.accumulate(old, new)
}

// gone notes that a record is no longer there, or is another's.
func (a *Set) gone(old *lease6.Lease6) {
	at := a.place(old)
	a.mark(at, old, old, nil)
	a.count(at, old, ^uint64(0))
}

// place is where a record belongs: its subnet, nil if that is not of this
// configuration, and the subnet's pool that has it, nil if none has.
type place struct {
	s *subnet
	p *pool
}

func (a *Set) place(l *lease6.Lease6) (at place) {
	if at.s = a.byID[l.SubnetID]; at.s != nil {
		at.p = holding(at.s.pools(l.Type), addrNumber(l.Addr))
	}
	return at
}

// accumulate counts a change that is an assignment or a registration.
func (at place) accumulate(old, new *lease6.Lease6) {
	if at.s == nil {
		return
	}
	live := old != nil && !old.Expired(new.CLTTUnixS)
	switch new.State {
	case lease.StateDefault:
		if !live || old.State != lease.StateDefault && old.State != lease.StateDeclined {
			at.s.stats[index(new.Type)].cumulative.Add(1)
			if at.p != nil {
				at.p.cumulative.Add(1)
			}
		}
	case lease.StateRegistered:
		if !live || old.State != lease.StateRegistered {
			at.s.stats[index(new.Type)].cumulativeRegistered.Add(1)
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

// pools are the subnet's pools for leases of a type.
func (s *subnet) pools(t lease6.Type) []*pool {
	if t == lease6.TypePD {
		return s.pd
	}
	return s.na
}

func lengthOf(l *lease6.Lease6) uint8 {
	if l.Type == lease6.TypePD {
		return l.PrefixLen
	}
	return 128
}

// endClaim ends a claim of what l is in its subnet's pool.
func (at place) endClaim(l *lease6.Lease6) {
	if p := at.p; p != nil && p.claims.Load() > 0 && p.exact(addrNumber(l.Addr), lengthOf(l)) {
		p.unclaim(p.unit(addrNumber(l.Addr)))
	}
}

// mark notes that the record of l's address, which belongs at, was old and is new
// (nil: none), in every pool that has something of it, and ends claims. l, old
// and new have the same type and length.
func (a *Set) mark(at place, l, old, new *lease6.Lease6) {
	f, addr, length := a.family(l.Type), addrNumber(l.Addr), lengthOf(l)
	if !f.overlap && at.p != nil && at.p.exact(addr, length) {
		at.p.setState(at.p.unit(addr), stateOf(new))
		return
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

// count adds d, 1 or its negative, to the numbers that l, which belongs at, is
// part of.
func (a *Set) count(at place, l *lease6.Lease6, d uint64) {
	if at.s == nil {
		return
	}
	n, p := &at.s.stats[index(l.Type)], at.p
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
