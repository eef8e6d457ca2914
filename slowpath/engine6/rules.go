package engine6

import (
	"net/netip"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// rules are a configuration's class names turned into numbers, its options
// compiled, and what is looked up by value, made once.
type rules struct {
	classes  *classTable
	bySubnet map[*config.Subnet6]*subnetRules
	byID     map[uint32]*subnetRules
	// anyGuard: some subnet or shared network has a class guard.
	anyGuard bool
	flexID   bool // flex-id is among the identifiers
	global   *scope
	hosts    map[*config.Reservation6]*scope // those that have options
	// byClass is what a class defines, by its number; nil where it is not
	// defined.
	byClass []*classRules
}

type classRules struct {
	scope            *scope // nil: no options
	valid, preferred config.ClassLifetime
}

type subnetRules struct {
	s            *config.Subnet6
	ids          []uint32 // its own, see link
	guard        []uint32
	netGuard     []uint32
	additional   []uint32
	scope        *scope
	network      *networkRules // nil: none
	pos          int           // in network.subnets
	first, last  dhcp6.IPv6
	pools, pds   []poolRules // ascending first
	prefixLength uint8
}

type networkRules struct {
	subnets    []*subnetRules
	ids        []uint32 // of subnets
	additional []uint32
	scope      *scope
}

// poolRules is a pool or pd-pool.
type poolRules struct {
	first, last dhcp6.IPv6
	length      uint8 // of its prefixes; 128 for addresses
	id          uint32
	guard       []uint32
	additional  []uint32
	scope       *scope
	excluded    netip.Prefix // see appendExclude; not valid: none
	ddns        *config.DDNS
}

func newRules(d *config.Dhcp6) *rules {
	r := &rules{
		classes:  newClassTable(d),
		bySubnet: make(map[*config.Subnet6]*subnetRules, len(d.Subnets)),
		byID:     make(map[uint32]*subnetRules, len(d.Subnets)),
		hosts:    make(map[*config.Reservation6]*scope),
	}
	networks := make(map[*config.SharedNetwork6]*networkRules, len(d.Networks))
	for _, s := range d.Subnets {
		sr := r.newSubnet(s)
		if n := s.Network; n != nil {
			nr := networks[n]
			if nr == nil {
				nr = &networkRules{additional: r.classes.Numbers(n.AdditionalClasses), scope: r.newScope(&n.Options)}
				networks[n] = nr
			}
			sr.netGuard = r.classes.Numbers(n.ClientClasses)
			sr.network, sr.pos = nr, len(nr.subnets)
			nr.subnets = append(nr.subnets, sr)
			nr.ids = append(nr.ids, s.ID)
		}
		r.anyGuard = r.anyGuard || len(sr.guard)+len(sr.netGuard) > 0
	}
	r.addHosts(d.GlobalReservations)
	r.global = r.newScope(&d.Options)
	for i := range d.Classes {
		c := &d.Classes[i]
		n := r.classes.Add(c.Name)
		for uint32(len(r.byClass)) <= n {
			r.byClass = append(r.byClass, nil)
		}
		r.byClass[n] = &classRules{scope: r.newScope(&c.Options), valid: c.Valid, preferred: c.Preferred}
	}
	for _, t := range d.HostIdentifiers {
		r.flexID = r.flexID || t == config.IdentFlexID
	}
	return r
}

func (r *rules) newSubnet(s *config.Subnet6) *subnetRules {
	sr := &subnetRules{
		s:            s,
		ids:          []uint32{s.ID},
		guard:        r.classes.Numbers(s.ClientClasses),
		additional:   r.classes.Numbers(s.AdditionalClasses),
		scope:        r.newScope(&s.Options),
		first:        dhcp6.FromNetip(s.Prefix.Addr()),
		prefixLength: uint8(s.Prefix.Bits()),
	}
	sr.last = lastOf(sr.first, sr.prefixLength)
	for _, p := range s.Pools {
		pr := poolRules{
			first: dhcp6.FromNetip(p.First), last: dhcp6.FromNetip(p.Last), length: 128, id: p.ID,
			guard: r.classes.Numbers(p.ClientClasses), additional: r.classes.Numbers(p.AdditionalClasses),
			scope: r.newScope(&p.Options), ddns: p.DDNS,
		}
		sr.pools = append(sr.pools, pr)
	}
	for _, p := range s.PDPools {
		first := dhcp6.FromNetip(p.Prefix.Addr())
		pr := poolRules{
			first: first, last: lastOf(first, uint8(p.Prefix.Bits())), length: p.DelegatedLen, id: p.ID,
			guard: r.classes.Numbers(p.ClientClasses), additional: r.classes.Numbers(p.AdditionalClasses),
			scope: r.newScope(&p.Options),
		}
		pr.excluded = p.Excluded
		sr.pds = append(sr.pds, pr)
	}
	r.addHosts(s.Reservations)
	r.bySubnet[s] = sr
	r.byID[s.ID] = sr
	return sr
}

func (r *rules) addHosts(l []*config.Reservation6) {
	for _, h := range l {
		r.classes.Numbers(h.ClientClasses)
		if !h.Options.Empty() {
			r.hosts[h] = r.newScope(&h.Options)
		}
	}
}

// lastOf is the last address of a prefix.
func lastOf(a dhcp6.IPv6, n uint8) dhcp6.IPv6 {
	for i := range a {
		switch bit := 8 * i; {
		case bit >= int(n):
			a[i] = 0xff
		case bit+8 > int(n):
			a[i] |= 0xff >> (int(n) - bit)
		}
	}
	return a
}

// nth is the i-th subnet from s on in its shared network, around; nil at the
// end (V6-043).
func (s *subnetRules) nth(i int) *subnetRules {
	if s.network == nil {
		if i == 0 {
			return s
		}
		return nil
	}
	l := s.network.subnets
	if i >= len(l) {
		return nil
	}
	return l[(s.pos+i)%len(l)]
}

// link are the ids of the subnets of its link: its own, or all of its shared
// network.
func (s *subnetRules) link() []uint32 {
	if s.network != nil {
		return s.network.ids
	}
	return s.ids
}

func (s *subnetRules) supports(c *ClassSet) bool {
	return c.InAny(s.netGuard) && c.InAny(s.guard)
}

func (s *subnetRules) contains(a dhcp6.IPv6) bool {
	return a.Compare(s.first) >= 0 && a.Compare(s.last) <= 0
}

func (s *subnetRules) poolsOf(t lease6.Type) []poolRules {
	if t == lease6.TypePD {
		return s.pds
	}
	return s.pools
}

// poolOf returns the pool of that type that has a, nil if none has.
func (s *subnetRules) poolOf(t lease6.Type, a dhcp6.IPv6) *poolRules {
	l := s.poolsOf(t)
	lo, hi := 0, len(l)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if l[m].last.Compare(a) < 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(l) && l[lo].first.Compare(a) <= 0 {
		return &l[lo]
	}
	return nil
}
