package slowpath

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// poolKey names the pools that share their statistics: those of a subnet with
// the same id (V4-060), addresses and prefixes apart.
type poolKey struct {
	id uint32
	pd bool
}

// poolCounts are leases that were reclaimed from the pools of a key.
type poolCounts struct{ leases, declined atomic.Uint64 }

// poolRange is a pool, both ends included.
type poolRange struct {
	first, last netip.Addr
	key         poolKey
	counts      *poolCounts
}

// poolCounters count by pool of one subnet what seldom happens.
type poolCounters struct {
	byKey  map[poolKey]*poolCounts
	ranges [2][]poolRange // addresses, prefixes; ascending, they do not overlap
}

func poolRanges4(s *config.Subnet4) []poolRange {
	out := make([]poolRange, len(s.Pools))
	for i, p := range s.Pools {
		out[i] = poolRange{first: p.First.Netip(), last: p.Last.Netip(), key: poolKey{id: p.ID}}
	}
	return out
}

func poolRanges6(s *config.Subnet6) []poolRange {
	out := make([]poolRange, 0, len(s.Pools)+len(s.PDPools))
	for _, p := range s.Pools {
		out = append(out, poolRange{first: p.First, last: p.Last, key: poolKey{id: p.ID}})
	}
	for _, p := range s.PDPools {
		out = append(out, poolRange{first: p.Prefix.Addr(), last: lastOf(p.Prefix), key: poolKey{id: p.ID, pd: true}})
	}
	return out
}

// lastOf is the last address of an IPv6 prefix.
func lastOf(p netip.Prefix) netip.Addr {
	a := p.Addr().As16()
	for bit := p.Bits(); bit < 128; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom16(a)
}

// configure takes the pools of a subnet; keys that are in old go on counting.
func (c *poolCounters) configure(pools []poolRange, old map[poolKey]*poolCounts) {
	if len(pools) == 0 {
		return
	}
	c.byKey = make(map[poolKey]*poolCounts, len(pools))
	for _, p := range pools {
		x := c.byKey[p.key]
		if x == nil {
			if x = old[p.key]; x == nil {
				x = new(poolCounts)
			}
			c.byKey[p.key] = x
		}
		p.counts = x
		c.ranges[kindOfPool(p.key.pd)] = append(c.ranges[kindOfPool(p.key.pd)], p)
	}
	for _, r := range c.ranges {
		slices.SortFunc(r, func(a, b poolRange) int { return a.first.Compare(b.first) })
	}
}

func kindOfPool(pd bool) int {
	if pd {
		return 1
	}
	return 0
}

// reclaimed counts a lease if its address, or prefix, is in one of the pools.
func (c *poolCounters) reclaimed(addr netip.Addr, pd, declined bool) {
	r := c.ranges[kindOfPool(pd)]
	i, found := slices.BinarySearchFunc(r, addr, func(p poolRange, a netip.Addr) int { return p.first.Compare(a) })
	if !found {
		i-- // the last one that begins before it
	}
	if i < 0 || r[i].last.Less(addr) {
		return
	}
	r[i].counts.leases.Add(1)
	if declined {
		r[i].counts.declined.Add(1)
	}
}

// each visits the counters; of pools of prefixes nothing is ever declined. kinds
// are the family's (subnetKinds4 or subnetKinds6).
func (c *poolCounters) each(subnet uint32, kinds []stat.Counter, f func(stat.Key, stat.Value)) {
	reclaimed, declined := kinds[maxSubnetKinds-2], kinds[maxSubnetKinds-1]
	for k, x := range c.byKey {
		key := stat.Key{Kind: stat.Kind(reclaimed), Scope: stat.OfPool, Subnet: subnet, Pool: k.id}
		if k.pd {
			key.Scope = stat.OfPDPool
		}
		f(key, stat.Of(x.leases.Load()))
		if !k.pd {
			key.Kind = stat.Kind(declined)
			f(key, stat.Of(x.declined.Load()))
		}
	}
}

// reclaimed counts a lease by subnet and pool.
func (c *subnetCounters) reclaimed(subnet uint32, addr netip.Addr, pd, declined bool) {
	x := c.of(subnet)
	if x == nil {
		return
	}
	x.kinds[maxSubnetKinds-2].Add(1)
	if declined {
		x.kinds[maxSubnetKinds-1].Add(1)
	}
	x.pools.reclaimed(addr, pd, declined)
}
