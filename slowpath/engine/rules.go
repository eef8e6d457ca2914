package engine

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// rules are a configuration's class names turned into numbers, and what is
// looked up by value, made once.
type rules struct {
	classes *classTable
	subnets []subnetRules // as Dhcp4.Subnets
	// anyGuard: some subnet has a class guard. anyAdditional: something has a
	// list of additional classes.
	anyGuard, anyAdditional bool
	// serverIDs are the identifiers configured for subnets and globally
	// (V4-016).
	serverIDs map[dhcp4.IPv4]struct{}
	flexID    bool // flex-id is among the identifiers
}

// subnetRules are class names and options of a subnet and its shared network,
// prepared. Classes are numbers.
type subnetRules struct {
	open            bool // no guard
	guard, netGuard []uint32
	pools           [][]uint32 // guards, as Subnet4.Pools
	// What is evaluated late, in Kea's order (CL-048).
	poolsAdditional           [][]uint32
	additional, netAdditional []uint32
	// v6Only: the subnet, or its network, has option 108 (V4-078).
	v6Only, netV6Only bool
	net               *networkRules // nil outside of shared networks
}

// rulesOf returns the rules of a subnet of this configuration.
func (r *rules) rulesOf(s *config.Subnet4) *subnetRules { return &r.subnets[s.Index] }

func newRules(d *config.Dhcp4) rules {
	r := rules{
		classes:   newClassTable(d),
		subnets:   make([]subnetRules, len(d.Subnets)),
		serverIDs: make(map[dhcp4.IPv4]struct{}),
	}
	networks := make(map[*config.Network4]*networkRules, len(d.Networks))
	for _, n := range d.Networks {
		networks[n] = newNetworkRules(n)
	}
	for i, s := range d.Subnets {
		sr := &r.subnets[i]
		sr.guard = r.classes.numbers(s.ClientClasses)
		sr.additional = r.classes.numbers(s.AdditionalClasses)
		r.anyAdditional = r.anyAdditional || len(sr.additional) > 0
		for _, p := range s.Pools {
			sr.pools = append(sr.pools, r.classes.numbers(p.ClientClasses))
			sr.poolsAdditional = append(sr.poolsAdditional, r.classes.numbers(p.AdditionalClasses))
			r.anyAdditional = r.anyAdditional || len(p.AdditionalClasses) > 0
		}
		if n := s.Network; n != nil {
			sr.net = networks[n]
			sr.netGuard = r.classes.numbers(n.ClientClasses)
			sr.netAdditional = r.classes.numbers(n.AdditionalClasses)
			sr.netV6Only = n.Options.Codes.Has(dhcp4.OptIPv6OnlyPreferred)
			r.anyAdditional = r.anyAdditional || len(sr.netAdditional) > 0
		}
		sr.v6Only = s.Options.Codes.Has(dhcp4.OptIPv6OnlyPreferred)
		sr.open = len(sr.guard) == 0 && len(sr.netGuard) == 0
		r.anyGuard = r.anyGuard || !sr.open
		r.addServerIDs(&s.Options)
	}
	for _, n := range d.Networks {
		r.addServerIDs(&n.Options)
	}
	r.addServerIDs(&d.Options)
	for _, t := range d.HostIdentifiers {
		r.flexID = r.flexID || t == config.IdentFlexID
	}
	return r
}

func (r *rules) addServerIDs(o *config.Options) {
	for _, e := range o.Find(dhcp4.OptServerIdentifier) {
		if len(e.Data) == 4 {
			r.serverIDs[dhcp4.AddrFromSlice(e.Data)] = struct{}{}
		}
	}
}

// hasServerID reports whether the scope, nil for none, has id as option 54.
func hasServerID(o *config.Options, id dhcp4.IPv4) bool {
	if o == nil {
		return false
	}
	l := o.Find(dhcp4.OptServerIdentifier)
	for i := range l {
		if d := l[i].Data; len(d) == 4 && dhcp4.AddrFromSlice(d) == id {
			return true
		}
	}
	return false
}

// poolOf returns the index of the pool that holds a, -1 if none does.
func poolOf(s *config.Subnet4, a dhcp4.IPv4) int {
	lo, hi := 0, len(s.Pools)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if s.Pools[m].Last < a {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(s.Pools) && s.Pools[lo].First <= a {
		return lo
	}
	return -1
}
