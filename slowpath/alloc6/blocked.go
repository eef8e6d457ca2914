package alloc6

import (
	"net/netip"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// BlockedPrefix reports whether a prefix of a pool of s overlaps a record of
// another length, or what is reserved for a host: PickPrefix would not give it.
// Who wants to give a prefix that its client names asks this, as the lease table
// only knows where records begin. It is false for what is not of the length of
// its pool.
func (a *Set) BlockedPrefix(s *config.Subnet6, addr lease6.IPv6, length uint8) bool {
	sn := a.byID[s.ID]
	if sn == nil {
		return false
	}
	n := addrNumber(addr)
	p := holding(sn.pd, n)
	if p == nil || !p.exact(n, length) {
		return false
	}
	u := p.unit(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	for level := uint(0); level < p.levels; level++ {
		if x := p.tree.get(keyOf(level, u.shr(6*(level+1)))); x != nil && x.blocked>>(u.shr(6*level).lo&63)&1 != 0 {
			return true
		}
	}
	return false
}

// Reserve keeps a host's address (length 128, pd false) or prefix of a subnet
// from being picked, or ends that: for hosts that are reserved while the Set is
// in use. What is reserved several times is kept until the last of them ends.
// What is outside of the subnet's pools is none of Pick's.
func (a *Set) Reserve(subnetID uint32, p netip.Prefix, pd, on bool) {
	sn := a.byID[subnetID]
	if sn == nil {
		return
	}
	pools, d := sn.na, int32(1)
	if pd {
		pools = sn.pd
	}
	if !on {
		d = -1
	}
	blockIn(pools, addrNumber(p.Addr().As16()), uint8(p.Bits()), d)
}
