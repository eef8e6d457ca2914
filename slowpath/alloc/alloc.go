// Package alloc finds free addresses. A Set has, for every pool of a
// configuration, hierarchical bitmaps of which addresses are taken, so that an
// allocation costs the same in a nearly full /8 as in an empty /24.
//
// The lease table is the truth; a Set follows it as its lease.Observer, and its
// claims only keep two workers from trying the same address. Everything may be
// called from any goroutine; Pick takes no lock.
package alloc

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// Set is the allocators of one configuration. It implements lease.Observer and
// lease.ExistingObserver: attach it with lease.Table.SetObserver(set, true)
// before the configuration that it belongs to is used.
//
// What a Set knows of an address it knows in every pool that has the address,
// also where pools of different subnets overlap.
type Set struct {
	subnets []*subnet          // ascending id
	dense   []int32            // index by id, -1 none; nil if ids are too far apart
	byID    map[uint32]*subnet // then this
	all     []*pool            // of all subnets, ascending first
	maxLast []uint32           // greatest last of all[:i+1]
	overlap bool               // some address is in several pools
	seed    atomic.Uint64      // of random allocators
	// gone is the cumulative number of the subnets that earlier Sets had and
	// this one has not.
	gone uint64
}

type subnet struct {
	id    uint32
	pools []*pool // ascending first
	total uint64
	flq   bool
	// turn is the pool that the iterative allocator has reached.
	turn atomic.Uint32
	// likes is what the subnet has in common with the others of its shared
	// network that have the same guard; nil outside of networks.
	likes *likes
	// link is the shared network's, nil outside of networks; position the place in
	// it.
	link     *link
	position int
	// Records of the subnet wherever their address is.
	assigned, declined, cumulative padded
}

// likes are the subnets of a shared network with the same class guard.
type likes struct {
	// last is the subnet from which an address was taken last, nil: none yet.
	last atomic.Pointer[config.Subnet4]
}

// NewSet builds the pools of cfg, all free but for addresses reserved for hosts
// (where reservations-in-subnet is on and reservations-out-of-pool is off;
// addresses of global reservations are not protected, V4-123).
func NewSet(cfg *config.Dhcp4) *Set {
	a := &Set{}
	a.seed.Store(rand.Uint64())
	maxID := uint32(0)
	links := map[*config.Network4]*link{}
	for i, c := range cfg.Subnets {
		maxID = max(maxID, c.ID)
		s := &subnet{id: c.ID, flq: c.Allocator == "flq", likes: alike(c, cfg.Subnets[:i], a)}
		if n := c.Network; n != nil {
			if links[n] == nil {
				links[n] = newLink(len(n.Subnets))
			}
			s.link, s.position = links[n], c.Position
		}
		exclude := cfg.Compatibility.ExcludeFirstLast24 && c.Prefix.Bits() <= 24
		for _, cp := range c.Pools {
			// Kea's queue of free addresses begins in random order.
			p := newPool(s, cp.First, cp.Last, cp.ID, c.Allocator == "random" || s.flq, &a.seed)
			if exclude {
				p.excludeFirstLast24()
			}
			s.pools = append(s.pools, p)
			s.total += p.size()
		}
		if c.ReservationsInSubnet && !c.ReservationsOutOfPool {
			for _, r := range c.Reservations {
				if p := s.pool(uint32(r.Addr)); r.Addr != 0 && p != nil {
					p.change(uint32(r.Addr)-p.first, 0, reserved)
				}
			}
		}
		a.subnets = append(a.subnets, s)
		a.all = append(a.all, s.pools...)
	}
	slices.SortFunc(a.subnets, func(x, y *subnet) int { return int(int64(x.id) - int64(y.id)) })
	slices.SortFunc(a.all, func(x, y *pool) int { return int(int64(x.first) - int64(y.first)) })
	last := uint32(0)
	for i, p := range a.all {
		a.overlap = a.overlap || i > 0 && p.first <= last
		last = max(last, p.last)
		a.maxLast = append(a.maxLast, last)
	}
	if uint64(maxID) <= uint64(len(a.subnets))*8+4096 {
		a.dense = make([]int32, maxID+1)
		for i := range a.dense {
			a.dense[i] = -1
		}
		for i, s := range a.subnets {
			a.dense[s.id] = int32(i)
		}
	} else {
		a.byID = make(map[uint32]*subnet, len(a.subnets))
		for _, s := range a.subnets {
			a.byID[s.id] = s
		}
	}
	return a
}

// alike finds the likes of c among the subnets before it.
func alike(c *config.Subnet4, before []*config.Subnet4, a *Set) *likes {
	if c.Network == nil {
		return nil
	}
	for i, o := range before {
		if o.Network == c.Network && slices.Equal(o.ClientClasses, c.ClientClasses) {
			return a.subnets[i].likes
		}
	}
	return new(likes)
}

// excludeFirstLast24 keeps the addresses that end in 0 and 255 from being picked
// (V4-061).
func (p *pool) excludeFirstLast24() {
	for a := uint64(p.first) &^ 255; a <= uint64(p.last); a += 256 {
		for _, x := range [...]uint64{a, a + 255} {
			if x >= uint64(p.first) && x <= uint64(p.last) {
				p.change(uint32(x)-p.first, 0, reserved)
			}
		}
	}
}

// Seed makes the random allocators repeatable, for tests.
func (a *Set) Seed(seed uint64) { a.seed.Store(seed) }

// ContinueFrom takes over the cumulative numbers of the Set before, after a
// change of the configuration. Call it when SetObserver has returned; nil does
// nothing.
func (a *Set) ContinueFrom(before *Set) {
	if before == nil {
		return
	}
	a.gone = before.gone
	for _, b := range before.subnets {
		if a.subnet(b.id) == nil {
			a.gone += b.cumulative.number()
		}
	}
	for _, s := range a.subnets {
		if b := before.subnet(s.id); b != nil {
			s.cumulative.Add(b.cumulative.Load())
			for _, p := range s.pools {
				for _, o := range b.pools {
					if o.first == p.first && o.last == p.last {
						p.cumulative.Add(o.cumulative.Load())
					}
				}
			}
		}
	}
}

// GoneCumulative is how many addresses were assigned in subnets that are there no
// more. What counts assignments of all must not become less with a subnet.
func (a *Set) GoneCumulative() uint64 { return a.gone }

func (a *Set) subnet(id uint32) *subnet {
	if a.dense == nil {
		return a.byID[id]
	}
	if id < uint32(len(a.dense)) {
		if i := a.dense[id]; i >= 0 {
			return a.subnets[i]
		}
	}
	return nil
}

// pool returns the subnet's pool that has addr, nil if none.
func (s *subnet) pool(addr uint32) *pool {
	lo, hi := 0, len(s.pools)
	for lo < hi {
		m := (lo + hi) / 2
		if s.pools[m].last < addr {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(s.pools) && s.pools[lo].first <= addr {
		return s.pools[lo]
	}
	return nil
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

// Pick claims an address of pool p of subnet s (an index in s.Pools): the best
// that PickUnused or else PickOffered gives.
func (a *Set) Pick(s *config.Subnet4, p int) (dhcp4.IPv4, Kind) {
	if addr, k := a.PickUnused(s, p, true); k != None {
		return addr, k
	}
	if addr, ok := a.PickOffered(s, p); ok {
		return addr, Offered
	}
	return 0, None
}

// PickUnused claims an address of pool p of subnet s that is Free or Stale, by
// the subnet's allocator: the iterative one goes on from the last address it gave
// to the end of the pool, and with wrap from its beginning (V4-063); the random
// and flq ones take the next from a random point on. The claim is dropped by
// Unclaim, or ends by itself when the table reports the record. A subnet or pool
// that is not of this Set's configuration gives None.
func (a *Set) PickUnused(s *config.Subnet4, p int, wrap bool) (dhcp4.IPv4, Kind) {
	sn := a.subnet(s.ID)
	if sn == nil || p < 0 || p >= len(sn.pools) {
		return 0, None
	}
	addr, k, ok := sn.pools[p].pickUnused(wrap)
	if !ok {
		return 0, None
	}
	sn.turn.Store(uint32(p))
	if sn.likes != nil {
		sn.likes.last.Store(s)
	}
	return addr, Free + Kind(k)
}

// PickOffered claims an address that is only offered to another client.
func (a *Set) PickOffered(s *config.Subnet4, p int) (dhcp4.IPv4, bool) {
	sn := a.subnet(s.ID)
	if sn == nil || p < 0 || p >= len(sn.pools) {
		return 0, false
	}
	return sn.pools[p].pickOffered()
}

// Turn is the pool of subnet s to begin with: where the iterative allocator is,
// a random one for the others.
func (a *Set) Turn(s *config.Subnet4) int {
	sn := a.subnet(s.ID)
	if sn == nil || len(sn.pools) <= 1 {
		return 0
	}
	if sn.pools[0].random {
		return int(mix64(a.seed.Add(0x9E3779B97F4A7C15)) % uint64(len(sn.pools)))
	}
	return int(sn.turn.Load())
}

// Preferred returns the subnet of the shared network of s with the guard of s
// from which an address was taken last, since there are more most likely; s
// itself if there is none.
func (a *Set) Preferred(s *config.Subnet4) *config.Subnet4 {
	if sn := a.subnet(s.ID); sn != nil && sn.likes != nil {
		if l := sn.likes.last.Load(); l != nil {
			return l
		}
	}
	return s
}

// Occupancy is which part of the pools of s for which usable holds is in use, if
// addr, an address of one of them, is counted as such (V4-067). It is 0 but for
// the flq allocator, as in Kea, or if addr is in none of them.
func (a *Set) Occupancy(s *config.Subnet4, addr dhcp4.IPv4, usable func(pool int) bool) float64 {
	sn := a.subnet(s.ID)
	if sn == nil || !sn.flq {
		return 0
	}
	var total, busy uint64
	found := false
	for i, p := range sn.pools {
		if !usable(i) {
			continue
		}
		total += p.size()
		busy += min(p.assigned.number(), p.size())
		if off := uint64(addr) - uint64(p.first); uint64(addr) >= uint64(p.first) && addr <= dhcp4.IPv4(p.last) {
			found = true
			if p.load(int(off/perWord))>>(4*(off%perWord))&stateMask != inUse {
				busy++
			}
		}
	}
	if !found {
		return 0
	}
	return float64(busy) / float64(total)
}

// Claim claims one given address (a hint or a requested one) if no other worker
// has; ok is false then. It may be one that Pick would not give: in use or
// reserved; whether the client may have it is the caller's business. An address
// outside the subnet's pools needs no claim: ok.
func (a *Set) Claim(s *config.Subnet4, addr dhcp4.IPv4) (ok bool) {
	sn := a.subnet(s.ID)
	if sn == nil {
		return true
	}
	p := sn.pool(uint32(addr))
	if p == nil {
		return true
	}
	before, _ := p.change(uint32(addr)-p.first, 0, claimed)
	return before&claimed == 0
}

// Unclaim gives back a claim that led to no record.
func (a *Set) Unclaim(s *config.Subnet4, addr dhcp4.IPv4) {
	if sn := a.subnet(s.ID); sn != nil {
		if p := sn.pool(uint32(addr)); p != nil {
			p.change(uint32(addr)-p.first, claimed, 0)
		}
	}
}

// Reserve keeps an address of the subnet from being picked, or lets it be again:
// for hosts that are reserved while the Set is in use. An address outside the
// subnet's pools is none of Pick's.
func (a *Set) Reserve(subnetID uint32, addr dhcp4.IPv4, on bool) {
	s := a.subnet(subnetID)
	if s == nil {
		return
	}
	p := s.pool(uint32(addr))
	switch {
	case p == nil:
	case on:
		p.change(uint32(addr)-p.first, 0, reserved)
	default:
		p.change(uint32(addr)-p.first, reserved, 0)
	}
}

// PoolStats are one pool's numbers, for statistics and metrics.
type PoolStats struct {
	SubnetID, PoolID uint32
	First, Last      dhcp4.IPv4
	Total            uint64 // addresses in the pool
	Assigned         uint64 // default and declined records (Kea counts declined as assigned)
	Declined         uint64
	Offered          uint64
	Stale            uint64
	Cumulative       uint64 // as SubnetStats.Cumulative
}

// SubnetStats are one subnet's numbers, records outside pools included.
type SubnetStats struct {
	SubnetID                  uint32
	Total, Assigned, Declined uint64
	Cumulative                uint64 // assignments since start (a record became default from none, expired, released or offered)
}

// EachPool and EachSubnet visit the numbers, in ascending order of subnet id and
// first address. What f is given is only valid during the call. Numbers are read
// one by one while service goes on.
func (a *Set) EachPool(f func(*PoolStats)) {
	for _, s := range a.subnets {
		for _, p := range s.pools {
			f(&PoolStats{
				SubnetID: s.id, PoolID: p.id,
				First: dhcp4.IPv4(p.first), Last: dhcp4.IPv4(p.last), Total: p.size(),
				Assigned: p.assigned.number(), Declined: p.declined.number(),
				Offered: p.offered.number(), Stale: p.stale.number(), Cumulative: p.cumulative.number(),
			})
		}
	}
}

// EachSubnet: see EachPool.
func (a *Set) EachSubnet(f func(*SubnetStats)) {
	for _, s := range a.subnets {
		f(&SubnetStats{
			SubnetID: s.id, Total: s.total, Assigned: s.assigned.number(),
			Declined: s.declined.number(), Cumulative: s.cumulative.number(),
		})
	}
}

// number is the counter's value; during the walk of SetObserver a decrement may
// be seen before its increment, which must not look like 2^64-1.
func (c *padded) number() uint64 {
	if n := c.Load(); n <= math.MaxInt64 {
		return n
	}
	return 0
}

var _ lease.ExistingObserver = (*Set)(nil)
