package engine

import (
	"encoding/binary"

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
		sr.v6Only = findOption(s.Options, dhcp4.OptIPv6OnlyPreferred) != nil
		r.bySubnet[s] = sr
		r.anyGuard = r.anyGuard || len(sr.guard) > 0
		r.addServerID(s.Options)
	}
	r.addServerID(d.Options)
	for _, t := range d.HostIdentifiers {
		r.flexID = r.flexID || t == config.IdentFlexID
	}
	return r
}

func (r *rules) addServerID(o config.Options) {
	if id, ok := serverIDOf(o); ok {
		r.serverIDs[id] = struct{}{}
	}
}

func serverIDOf(o config.Options) (dhcp4.IPv4, bool) {
	if e := findOption(o, dhcp4.OptServerIdentifier); e != nil && len(e.Data) == 4 {
		return dhcp4.IPv4(binary.BigEndian.Uint32(e.Data)), true
	}
	return 0, false
}

// findOption returns the entry of a scope, nil if there is none.
func findOption(o config.Options, code uint8) *config.Option {
	lo, hi := 0, len(o)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if o[m].Code < code {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(o) && o[lo].Code == code {
		return &o[lo]
	}
	return nil
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
