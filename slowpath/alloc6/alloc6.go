// Package alloc6 finds free addresses and prefixes. A Set has, for every pool
// and pd-pool of a configuration, a sparse tree of what is taken (see pool), so
// that a pool of any size costs memory for its leases only, and an allocation
// the same in a nearly full pool as in an empty one.
//
// The lease table is the truth; a Set follows it as its lease6.Observer, and its
// claims only keep two workers from trying the same address. Everything may be
// called from any goroutine.
package alloc6

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Set is the allocators of one configuration. It implements lease6.Observer and
// lease6.ExistingObserver: attach it with lease6.Table.SetObserver(set, true)
// before the configuration that it belongs to is used.
//
// What a Set knows of an address or prefix it knows in every pool of that kind
// that it overlaps, whatever the subnet and the length: a prefix that was
// delegated before a pool's delegated-len was changed keeps what it covers from
// being given again.
type Set struct {
	subnets []*subnet // ascending id
	byID    map[uint32]*subnet
	na, pd  family
	// registered is how many registered addresses there are in all.
	registered counter
	// past are the cumulative numbers of the subnets that earlier Sets had and
	// this one has not.
	past [2]Gone
}

// Gone are cumulative numbers of a type of lease, see GoneCumulative.
type Gone struct{ Cumulative, CumulativeRegistered uint64 }

// family is all pools of addresses, or all of prefixes.
type family struct {
	all     []*pool  // of all subnets, ascending first
	maxEnd  []number // greatest end of all[:i+1]
	overlap bool     // some address is in several pools
}

type subnet struct {
	id     uint32
	na, pd []*pool // ascending first, as in the configuration
	// Records of the subnet wherever their address is.
	stats [2]counts
}

// counts are the numbers of a subnet for one type of lease.
type counts struct {
	assigned, declined, registered, cumulative, cumulativeRegistered counter
}

// counter is an atomic on a cache line of its own.
type counter struct {
	atomic.Uint64
	_ [56]byte
}

// NewSet builds the pools of cfg, all free but for addresses and prefixes
// reserved for hosts (where reservations-in-subnet is on and
// reservations-out-of-pool is off; global reservations are not protected,
// V4-123).
func NewSet(cfg *config.Dhcp6) *Set {
	a := &Set{byID: make(map[uint32]*subnet, len(cfg.Subnets))}
	for _, c := range cfg.Subnets {
		s := &subnet{id: c.ID}
		for _, p := range c.Pools {
			s.na = append(s.na, newPool(addrNumber(p.First.As16()), addrNumber(p.Last.As16()), 128, p.ID, c.Allocator != "iterative"))
		}
		for _, p := range c.PDPools {
			first := addrNumber(p.Prefix.Addr().As16())
			end := first.add(ones(uint(128 - p.Prefix.Bits())))
			s.pd = append(s.pd, newPool(first, end, p.DelegatedLen, p.ID, c.PDAllocator != "iterative"))
		}
		if c.ReservationsInSubnet && !c.ReservationsOutOfPool {
			for _, r := range c.Reservations {
				for _, addr := range r.Addrs {
					blockIn(s.na, addrNumber(addr.As16()), 128, 1)
				}
				for _, p := range r.Prefixes {
					blockIn(s.pd, addrNumber(p.Prefix.Addr().As16()), uint8(p.Prefix.Bits()), 1)
				}
			}
		}
		a.subnets = append(a.subnets, s)
		a.byID[s.id] = s
		a.na.all = append(a.na.all, s.na...)
		a.pd.all = append(a.pd.all, s.pd...)
	}
	slices.SortFunc(a.subnets, func(x, y *subnet) int { return cmp.Compare(x.id, y.id) })
	a.na.sort()
	a.pd.sort()
	return a
}

func byFirst(x, y *pool) int {
	return cmp.Or(cmp.Compare(x.first.hi, y.first.hi), cmp.Compare(x.first.lo, y.first.lo))
}

func (f *family) sort() {
	slices.SortStableFunc(f.all, byFirst)
	var end number
	for i, p := range f.all {
		f.overlap = f.overlap || i > 0 && !end.less(p.first)
		if end.less(p.end) {
			end = p.end
		}
		f.maxEnd = append(f.maxEnd, end)
	}
}

// blockIn blocks what a prefix covers in the pools of one subnet.
func blockIn(pools []*pool, a number, length uint8, d int32) {
	for _, p := range pools {
		p.blockPrefix(a, length, d)
	}
}

// blockPrefix blocks the units that a prefix overlaps, if any.
func (p *pool) blockPrefix(a number, length uint8, d int32) {
	end := a.add(ones(uint(128 - length)))
	if end.less(p.first) || p.end.less(a) {
		return
	}
	first, last := number{}, p.last
	if p.first.less(a) {
		first = p.unit(a)
	}
	if end.less(p.end) {
		last = p.unit(end)
	}
	p.block(first, last, d)
}

// Seed makes the random allocators repeatable, for tests.
func (a *Set) Seed(seed uint64) {
	for _, f := range []*family{&a.na, &a.pd} {
		for i, p := range f.all {
			p.mu.Lock()
			p.rng.Seed(seed, uint64(i))
			p.mu.Unlock()
		}
	}
}

// ContinueFrom takes over from the Set before, after a change of the
// configuration: the cumulative numbers, and of pools that are still there where
// their iterative allocator goes on. Call it when SetObserver has returned; nil
// does nothing.
func (a *Set) ContinueFrom(before *Set) {
	if before == nil {
		return
	}
	a.past = before.past
	for _, b := range before.subnets {
		if a.byID[b.id] != nil {
			continue
		}
		for t := range b.stats {
			a.past[t].Cumulative += b.stats[t].cumulative.number()
			a.past[t].CumulativeRegistered += b.stats[t].cumulativeRegistered.number()
		}
	}
	for _, s := range a.subnets {
		b := before.byID[s.id]
		if b == nil {
			continue
		}
		for t := range s.stats {
			s.stats[t].cumulative.Add(b.stats[t].cumulative.Load())
			s.stats[t].cumulativeRegistered.Add(b.stats[t].cumulativeRegistered.Load())
		}
		continuePools(s.na, b.na)
		continuePools(s.pd, b.pd)
	}
}

// GoneCumulative are the addresses and prefixes assigned and registered in subnets
// that are there no more. What counts those of all must not become less with a
// subnet.
func (a *Set) GoneCumulative() (na, pd Gone) {
	return a.past[index(lease6.TypeNA)], a.past[index(lease6.TypePD)]
}

func continuePools(now, before []*pool) {
	for _, p := range now {
		i, ok := slices.BinarySearchFunc(before, p, byFirst)
		if !ok || before[i].end != p.end || before[i].length != p.length {
			continue
		}
		b := before[i]
		b.mu.Lock()
		next := b.next
		b.mu.Unlock()
		p.mu.Lock()
		p.next = next
		p.mu.Unlock()
		p.cumulative.Add(b.cumulative.Load())
	}
}

// Kind says from where Pick took an address, best first.
type Kind uint8

const (
	// None: nothing can be had in these pools.
	None Kind = iota
	// Free: no record in the table.
	Free
	// Stale: a record that is reclaimed or released; take it over by Put at its
	// version after checking that it still is. An expired record is assigned
	// until the reclaimer has seen it (LS-018).
	Stale
	// Offered: only an offer to another client (the oldest first, roughly).
	Offered
)

// Pick claims an address of pool p of subnet s (an index in s.Pools; the caller
// tries the pools a client may use, in order) by the subnet's allocator: the
// iterative one goes on from the last address it gave, the random one and the
// free lease queue take the next that can be had from a random point on. (The
// queue's promise, that what was free longest is given first, is kept in that
// Free comes before Stale.) The claim is dropped by Unclaim, or ends by itself
// when the table reports the record. Kinds after Free are only tried when no
// address is Free, then Stale before Offered. A subnet or pool that is not of
// this Set's configuration gives None.
func (a *Set) Pick(s *config.Subnet6, p int) (lease6.IPv6, Kind) {
	if sn := a.byID[s.ID]; sn != nil && uint(p) < uint(len(sn.na)) {
		return sn.na[p].pickAny()
	}
	return lease6.IPv6{}, None
}

// PickPrefix is Pick for a prefix of pool p of s.PDPools; its length is the
// pool's DelegatedLen.
func (a *Set) PickPrefix(s *config.Subnet6, p int) (lease6.IPv6, Kind) {
	if sn := a.byID[s.ID]; sn != nil && uint(p) < uint(len(sn.pd)) {
		return sn.pd[p].pickAny()
	}
	return lease6.IPv6{}, None
}

func (p *pool) pickAny() (lease6.IPv6, Kind) {
	for k := range kinds {
		if u, ok := p.pick(k); ok {
			return p.start(u).addr(), Free + Kind(k)
		}
	}
	return lease6.IPv6{}, None
}

// Claim claims one given address (a hint or a requested one) if no other worker
// has; ok is false then. It may be one that Pick would not give: in use or
// reserved; whether the client may have it is the caller's business. An address
// outside the subnet's pools needs no claim: ok.
func (a *Set) Claim(s *config.Subnet6, addr lease6.IPv6) (ok bool) {
	if sn := a.byID[s.ID]; sn != nil {
		return claimIn(sn.na, addrNumber(addr), 128)
	}
	return true
}

// ClaimPrefix is Claim for a prefix. One that is not of the length of its pool
// needs no claim either.
func (a *Set) ClaimPrefix(s *config.Subnet6, addr lease6.IPv6, length uint8) (ok bool) {
	if sn := a.byID[s.ID]; sn != nil {
		return claimIn(sn.pd, addrNumber(addr), length)
	}
	return true
}

func claimIn(pools []*pool, a number, length uint8) (ok bool) {
	if p := holding(pools, a); p != nil && p.exact(a, length) {
		return p.claim(p.unit(a))
	}
	return true
}

// Unclaim gives back a claim that led to no record.
func (a *Set) Unclaim(s *config.Subnet6, addr lease6.IPv6) {
	if sn := a.byID[s.ID]; sn != nil {
		unclaimIn(sn.na, addrNumber(addr), 128)
	}
}

// UnclaimPrefix is Unclaim for a prefix.
func (a *Set) UnclaimPrefix(s *config.Subnet6, addr lease6.IPv6, length uint8) {
	if sn := a.byID[s.ID]; sn != nil {
		unclaimIn(sn.pd, addrNumber(addr), length)
	}
}

func unclaimIn(pools []*pool, a number, length uint8) {
	if p := holding(pools, a); p != nil && p.exact(a, length) {
		p.unclaim(p.unit(a))
	}
}

// holding returns the pool of a subnet that has an address, nil if none.
func holding(pools []*pool, a number) *pool {
	lo, hi := 0, len(pools)
	for lo < hi {
		if m := (lo + hi) / 2; pools[m].end.less(a) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(pools) && !a.less(pools[lo].first) {
		return pools[lo]
	}
	return nil
}

// stateOf is what a record makes of its unit, kindFree if there is none.
func stateOf(l *lease6.Lease6) int {
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

var _ lease6.ExistingObserver = (*Set)(nil)
