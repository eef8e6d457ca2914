package alloc6

import (
	"math"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// PoolStats are one pool's numbers, for statistics and metrics.
type PoolStats struct {
	SubnetID, PoolID uint32
	PD               bool
	First            lease6.IPv6
	// Last is the last address; of a pool of prefixes that of its last prefix.
	Last       lease6.IPv6
	Length     uint8  // of the prefixes; 128 for addresses
	Total      Size   // addresses or prefixes in the pool
	Assigned   uint64 // default and declined records (Kea counts declined as assigned)
	Declined   uint64
	Registered uint64
	Offered    uint64
	Stale      uint64
	Cumulative uint64 // assignments since start
}

// SubnetStats are one subnet's numbers, records outside pools included.
type SubnetStats struct {
	SubnetID uint32
	NA, PD   TypeStats
}

// TypeStats are the numbers of one type of lease in a subnet.
type TypeStats struct {
	Total Size // in all pools
	// Assigned, Declined and Registered are records now.
	Assigned, Declined, Registered uint64
	// Cumulative are assignments since start (a record became default from
	// none, expired, released or offered), CumulativeRegistered registrations.
	Cumulative, CumulativeRegistered uint64
}

// EachPool visits the numbers of pools of addresses and then of prefixes, subnet
// by subnet in ascending order of id and first address. What f is given is only
// valid during the call. Numbers are read one by one while service goes on.
func (a *Set) EachPool(f func(*PoolStats)) {
	for _, s := range a.subnets {
		for t, pools := range [2][]*pool{s.na, s.pd} {
			for _, p := range pools {
				f(&PoolStats{
					SubnetID: s.id, PoolID: p.id, PD: t == 1,
					First: p.first.addr(), Last: p.end.addr(), Length: p.length, Total: p.size(),
					Assigned: p.assigned.number(), Declined: p.declined.number(), Registered: p.registered.number(),
					Offered: p.offered.number(), Stale: p.stale.number(), Cumulative: p.cumulative.number(),
				})
			}
		}
	}
}

// EachSubnet: see EachPool.
func (a *Set) EachSubnet(f func(*SubnetStats)) {
	for _, s := range a.subnets {
		f(&SubnetStats{SubnetID: s.id, NA: s.stats[0].typeStats(s.na), PD: s.stats[1].typeStats(s.pd)})
	}
}

func (c *counts) typeStats(pools []*pool) TypeStats {
	t := TypeStats{
		Assigned: c.assigned.number(), Declined: c.declined.number(), Registered: c.registered.number(),
		Cumulative: c.cumulative.number(), CumulativeRegistered: c.cumulativeRegistered.number(),
	}
	for _, p := range pools {
		t.Total = t.Total.Add(p.size())
	}
	return t
}

// PDOccupancy is what share of the prefixes that a client may have is assigned
// or will be if it gets the prefix at addr, for adaptive-lease-time-threshold
// (V4-067): of the pools of s that allowed says yes to (by their index in
// s.PDPools) and whose prefixes are not longer than length. It is 0 where addr is
// in none of them or they have 2^64 prefixes and more. allowed may be nil.
func (a *Set) PDOccupancy(s *config.Subnet6, addr lease6.IPv6, length uint8, allowed func(int) bool) float64 {
	sn := a.byID[s.ID]
	if sn == nil {
		return 0
	}
	var total Size
	busy, found := uint64(0), false
	for i, p := range sn.pd {
		if p.length > length || allowed != nil && !allowed(i) {
			continue
		}
		if total = total.Add(p.size()); total.Hi != 0 {
			return 0
		}
		busy += p.assigned.number()
		if n := addrNumber(addr); p.contains(n) {
			found = true
			p.mu.Lock()
			u := p.unit(n)
			if l := p.tree.get(keyOf(0, u.shr(6))); l == nil || (l.a&l.b)>>(u.lo&63)&1 == 0 {
				busy++
			}
			p.mu.Unlock()
		}
	}
	if !found {
		return 0
	}
	return float64(busy) / float64(total.Lo)
}

// Registered is how many addresses of the configuration's subnets are registered
// by their clients (RFC 9686).
func (a *Set) Registered() uint64 { return a.registered.number() }

// number is the counter's value; during the walk of SetObserver a decrement may
// be seen before its increment, which must not look like 2^64-1.
func (c *counter) number() uint64 {
	if n := c.Load(); n <= math.MaxInt64 {
		return n
	}
	return 0
}
