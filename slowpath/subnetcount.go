package slowpath

import (
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// subnetKinds are the counters that Kea keeps for each subnet too (ST-014,
// ST-023, ST-024).
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

// subnetCounts are the counters of one subnet.
type subnetCounts [maxSubnetKinds]atomic.Uint64

// subnetCounters counts by subnet what seldom happens, on whatever worker.
type subnetCounters struct {
	kinds []stat.Counter
	byID  atomic.Pointer[map[uint32]*subnetCounts]
}

// configure4 and configure6 take the subnets of a configuration; those that stay
// go on counting.
func (c *subnetCounters) configure4(d *config.Dhcp4) {
	ids := make([]uint32, len(d.Subnets))
	for i, s := range d.Subnets {
		ids[i] = s.ID
	}
	c.configure(subnetKinds4, ids)
}

func (c *subnetCounters) configure6(d *config.Dhcp6) {
	ids := make([]uint32, len(d.Subnets))
	for i, s := range d.Subnets {
		ids[i] = s.ID
	}
	c.configure(subnetKinds6, ids)
}

func (c *subnetCounters) configure(kinds []stat.Counter, ids []uint32) {
	if c.kinds == nil {
		c.kinds = kinds // always the same; before anybody counts
	}
	next := make(map[uint32]*subnetCounts, len(ids))
	var old map[uint32]*subnetCounts
	if p := c.byID.Load(); p != nil {
		old = *p
	}
	for _, id := range ids {
		if next[id] = old[id]; next[id] == nil {
			next[id] = new(subnetCounts)
		}
	}
	c.byID.Store(&next)
}

// count counts one, if there is such a subnet.
func (c *subnetCounters) count(subnet uint32, k stat.Counter) {
	i := subnetKind[k]
	if p := c.byID.Load(); p != nil && i > 0 {
		if x := (*p)[subnet]; x != nil {
			x[i-1].Add(1)
		}
	}
}

// each visits all counters of all subnets.
func (c *subnetCounters) each(f func(subnet uint32, k stat.Counter, v uint64)) {
	p := c.byID.Load()
	if p == nil {
		return
	}
	for id, x := range *p {
		for i, k := range c.kinds {
			f(id, k, x[i].Load())
		}
	}
}
