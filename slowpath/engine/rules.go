package engine

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// rules are a configuration's class names turned into numbers, and what is
// looked up by value, made once.
type rules struct {
	classes  *classTable
	bySubnet map[*config.Subnet4]*subnetRules
	// anyGuard: some subnet has a class guard.
	anyGuard bool
	// serverIDs are the identifiers configured for subnets and globally
	// (V4-016).
	serverIDs map[dhcp4.IPv4]struct{}
	flexID    bool // flex-id is among the identifiers
}

type subnetRules struct {
	guard []uint32
	pools [][]uint32 // guards, as Subnet4.Pools
	// v6Only: the subnet has option 108 (V4-078).
	v6Only bool
}

func newRules(d *config.Dhcp4) rules {
	r := rules{
		classes:   newClassTable(d),
		bySubnet:  make(map[*config.Subnet4]*subnetRules, len(d.Subnets)),
		serverIDs: make(map[dhcp4.IPv4]struct{}),
	}
	for _, s := range d.Subnets {
		sr := &subnetRules{guard: r.classes.numbers(s.ClientClasses)}
		for _, p := range s.Pools {
			sr.pools = append(sr.pools, r.classes.numbers(p.ClientClasses))
		}
		sr.v6Only = s.Options.Codes.Has(dhcp4.OptIPv6OnlyPreferred)
		r.bySubnet[s] = sr
		r.anyGuard = r.anyGuard || len(sr.guard) > 0
		r.addServerIDs(&s.Options)
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
