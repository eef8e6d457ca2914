package slowpath

import (
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// subnetKinds4 and subnetKinds6 are the counters that Kea keeps for each subnet too (ST-014,
// ST-023, ST-024); the last two are of reclaimed leases.
var (
	subnetKinds4 = []stat.Counter{
		stat.V4AllocationFail, stat.V4AllocationFailSharedNetwork, stat.V4AllocationFailSubnet, stat.V4AllocationFailNoPools,
		stat.V4AllocationFailClasses, stat.V4LeaseReuses, stat.V4ReservationConflicts, stat.ReclaimedLeases, stat.ReclaimedDeclinedAddresses,
	}
	subnetKinds6 = []stat.Counter{
		stat.V6AllocationFail, stat.V6AllocationFailSharedNetwork, stat.V6AllocationFailSubnet, stat.V6AllocationFailNoPools,
		stat.V6AllocationFailClasses, stat.V6NALeaseReuses, stat.V6PDLeaseReuses, stat.ReclaimedLeases6, stat.ReclaimedDeclinedAddresses6,
	}
)

// maxSubnetKinds is how many counters a subnet has at most.
const maxSubnetKinds = 9

// subnetKind is the place of a counter in the list of its family and one, 0 if
// it is not there.
var subnetKind = func() (m [stat.NumCounters]uint8) {
	for _, kinds := range [][]stat.Counter{subnetKinds4, subnetKinds6} {
		for i, k := range kinds {
			m[k] = uint8(i + 1)
		}
	}
	return m
}()

// subnetCounts are the counters of one subnet of a configuration. What counts is
// behind pointers, which the next configuration's go on with.
type subnetCounts struct {
	kinds *[maxSubnetKinds]atomic.Uint64
	pools poolCounters
}

// subnetCounters counts by subnet what seldom happens, on whatever worker.
type subnetCounters struct {
	kinds []stat.Counter
	byID  atomic.Pointer[map[uint32]*subnetCounts]
}

// configure4 and configure6 take the subnets of a configuration; those that stay
// go on counting.
func (c *subnetCounters) configure4(d *config.Dhcp4) {
	c.configure(subnetKinds4, len(d.Subnets), func(i int) (uint32, []poolRange) {
		s := d.Subnets[i]
		return s.ID, poolRanges4(s)
	})
}

func (c *subnetCounters) configure6(d *config.Dhcp6) {
	c.configure(subnetKinds6, len(d.Subnets), func(i int) (uint32, []poolRange) {
		s := d.Subnets[i]
		return s.ID, poolRanges6(s)
	})
}

func (c *subnetCounters) configure(kinds []stat.Counter, n int, subnet func(int) (id uint32, pools []poolRange)) {
	if c.kinds == nil {
		c.kinds = kinds // always the same; before anybody counts
	}
	next := make(map[uint32]*subnetCounts, n)
	var old map[uint32]*subnetCounts
	if p := c.byID.Load(); p != nil {
		old = *p
	}
	for i := range n {
		id, pools := subnet(i)
		x := &subnetCounts{}
		if o := old[id]; o != nil {
			x.kinds = o.kinds
			x.pools.configure(pools, o.pools.byKey)
		} else {
			x.kinds = new([maxSubnetKinds]atomic.Uint64)
			x.pools.configure(pools, nil)
		}
		next[id] = x
	}
	c.byID.Store(&next)
}

// count counts one, if there is such a subnet.
func (c *subnetCounters) count(subnet uint32, k stat.Counter) {
	i := subnetKind[k]
	if x := c.of(subnet); x != nil && i > 0 {
		x.kinds[i-1].Add(1)
	}
}

// of is the subnet's counters, nil if there is no such subnet.
func (c *subnetCounters) of(subnet uint32) *subnetCounts {
	if p := c.byID.Load(); p != nil {
		return (*p)[subnet]
	}
	return nil
}

// each visits all counters of all subnets and of their pools.
func (c *subnetCounters) each(f func(stat.Key, stat.Value)) {
	p := c.byID.Load()
	if p == nil {
		return
	}
	for id, x := range *p {
		for i, k := range c.kinds {
			f(stat.Key{Kind: stat.Kind(k), Scope: stat.OfSubnet, Subnet: id}, stat.Of(x.kinds[i].Load()))
		}
		x.pools.each(id, c.kinds, f)
	}
}
