package slowpath

import (
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// subnetKinds are the counters that Kea keeps for each subnet too (ST-014,
// ST-023, ST-024).
var subnetKinds = [...]stat.Counter{
	stat.V6AllocationFail, stat.V6AllocationFailSharedNetwork, stat.V6AllocationFailSubnet, stat.V6AllocationFailNoPools,
	stat.V6AllocationFailClasses, stat.ReclaimedLeases6, stat.ReclaimedDeclinedAddresses6,
}

// subnetKind is the place of a counter in subnetKinds and one, 0 if it is not
// there.
var subnetKind = func() (m [stat.NumCounters]uint8) {
	for i, k := range subnetKinds {
		m[k] = uint8(i + 1)
	}
	return m
}()

// subnetCounts are the counters of one subnet.
type subnetCounts [len(subnetKinds)]atomic.Uint64

// subnetCounters counts by subnet what seldom happens, on whatever worker.
type subnetCounters struct {
	byID atomic.Pointer[map[uint32]*subnetCounts]
}

// configure takes the subnets of a configuration; those that stay go on
// counting.
func (c *subnetCounters) configure(d *config.Dhcp6) {
	next := make(map[uint32]*subnetCounts, len(d.Subnets))
	var old map[uint32]*subnetCounts
	if p := c.byID.Load(); p != nil {
		old = *p
	}
	for _, s := range d.Subnets {
		if next[s.ID] = old[s.ID]; next[s.ID] == nil {
			next[s.ID] = new(subnetCounts)
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
		for i, k := range subnetKinds {
			f(id, k, x[i].Load())
		}
	}
}
