package limits

import (
	"errors"
	"fmt"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// leases6 are the limits of DHCPv6 leases: of addresses (address-limit) and of
// prefixes (prefix-limit), which count apart.
type leases6 struct {
	lib *Library
	// By lease type, see index.
	types [2]leaseLimits
}

// leaseLimits are the limits of one type of lease by class and subnet.
type leaseLimits struct {
	byClass  map[string]*classLimit
	bySubnet map[uint32]*leaseLimit
	spawned  spawned[classLimit]
}

// class is the count of a class, nil if it has no limit.
func (s *leaseLimits) class(name string) *classLimit {
	if c := s.byClass[name]; c != nil {
		return c
	}
	return s.spawned.get(name)
}

// index is where the limits of a type of lease are.
func index(t lease6.Type) int {
	if t == lease6.TypePD {
		return 1
	}
	return 0
}

// load6 is Load of a Dhcp6 part.
func (lib *Library) load6(env *hooks.Env, cfg *hooks.Config6) error {
	x := &leases6{lib: lib}
	lib.six = x
	for i := range x.types {
		x.types[i].byClass, x.types[i].bySubnet = map[string]*classLimit{}, map[uint32]*leaseLimit{}
	}
	var errs []error
	for _, c := range cfg.Classes {
		s, err := parseUserContext(c.UserContext)
		if err != nil {
			errs = append(errs, fmt.Errorf("client class %q: %w", c.Name, err))
			continue
		}
		if s.rate != nil {
			if c.Template {
				lib.spawnedRates.add(c.Name, maxWindows(*s.rate), func(string) *window { return newWindow(*s.rate) })
			} else {
				lib.rateByClass[c.Name] = newWindow(*s.rate)
			}
		}
		for i, limit := range []*uint32{s.addresses, s.prefixes} {
			switch t := &x.types[i]; {
			case limit == nil:
			case c.Template:
				others := t.spawned.add(c.Name, maxSpawned, func(name string) *classLimit { return newClassLimit(name, *limit) })
				t.byClass[others.name] = others
			default:
				t.byClass[c.Name] = newClassLimit(c.Name, *limit)
			}
		}
	}
	for _, sn := range cfg.Subnets {
		s, err := parseUserContext(sn.UserContext)
		if err != nil {
			errs = append(errs, fmt.Errorf("subnet id %d: %w", sn.ID, err))
			continue
		}
		if s.rate != nil {
			lib.rateBySubnet[sn.ID] = newWindow(*s.rate)
		}
		for i, limit := range []*uint32{s.addresses, s.prefixes} {
			if limit != nil {
				x.types[i].bySubnet[sn.ID] = &leaseLimit{limit: *limit}
			}
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if len(lib.rateByClass)+len(lib.spawnedRates.templates) > 0 {
		env.On6(hooks.Pkt6Receive, func(q *hooks.Query6) hooks.Status { return lib.receive(&q.Query) })
	}
	if len(lib.rateBySubnet) > 0 {
		env.On6(hooks.Subnet6Select, func(q *hooks.Query6) hooks.Status { return lib.subnetSelect(&q.Query) })
	}
	if x.hasClasses() || len(x.types[0].bySubnet)+len(x.types[1].bySubnet) > 0 {
		env.On6(hooks.Lease6Select, x.lease6Select)
		env.Observe6(x)
	}
	if x.hasClasses() {
		env.On6(hooks.Lease6Renew, x.lease6Extend)
		env.On6(hooks.Lease6Rebind, x.lease6Extend)
	}
	return nil
}

func (x *leases6) hasClasses() bool { return len(x.types[0].byClass)+len(x.types[1].byClass) > 0 }

// limited is the limit of a class of any type: what leases note.
func (x *leases6) limited(name string) *classLimit {
	if c := x.types[0].class(name); c != nil {
		return c
	}
	return x.types[1].class(name)
}

// lease6Select is lease4Select for a lease of either type.
func (x *leases6) lease6Select(q *hooks.Query6) hooks.Status {
	if refused(q.Status()) || q.Lease == nil {
		return hooks.Continue
	}
	t, l, old := &x.types[index(q.Lease.Type)], q.Lease, q.OldLease
	if old != nil && old.Type != l.Type {
		old = nil
	}
	if x.hasClasses() {
		x.lib.note(q.Classes, &l.UserContext, x.limited)
	}
	if len(t.byClass) > 0 && q.Classes != nil {
		for name, pos, ok := q.Classes.NextClass(0); ok; name, pos, ok = q.Classes.NextClass(pos) {
			c := t.class(name)
			if c != nil && c.full(old != nil && countsForClass6(old) && leaseInClass(old.UserContext, c.name)) {
				return hooks.Skip
			}
		}
	}
	if s := t.bySubnet[l.SubnetID]; s != nil && s.full(old != nil && countsForSubnet6(old) && old.SubnetID == l.SubnetID) {
		return hooks.Skip
	}
	return hooks.Continue
}

// lease6Extend only notes the classes: who has a lease keeps it.
func (x *leases6) lease6Extend(q *hooks.Query6) hooks.Status {
	if !refused(q.Status()) && q.Lease != nil {
		x.lib.note(q.Classes, &q.Lease.UserContext, x.limited)
	}
	return hooks.Continue
}

func countsForSubnet6(l *lease6.Lease6) bool {
	return l.State == lease.StateDefault || l.State == lease.StateDeclined
}

func countsForClass6(l *lease6.Lease6) bool { return l.State == lease.StateDefault }

// LeaseChanged6 implements lease6.Observer, see Library.LeaseChanged.
func (x *leases6) LeaseChanged6(old, new *lease6.Lease6) {
	var from, to *leaseLimit
	if old != nil && countsForSubnet6(old) {
		from = x.types[index(old.Type)].bySubnet[old.SubnetID]
	}
	if new != nil && countsForSubnet6(new) {
		to = x.types[index(new.Type)].bySubnet[new.SubnetID]
	}
	if from != to {
		if from != nil {
			from.leases.Add(-1)
		}
		if to != nil {
			to.leases.Add(1)
		}
	}
	if !x.hasClasses() {
		return
	}
	was := old != nil && countsForClass6(old) && old.UserContext != ""
	is := new != nil && countsForClass6(new) && new.UserContext != ""
	if was && is && old.Type == new.Type && old.UserContext == new.UserContext {
		return
	}
	// Up before down, so that nobody sees room that is not there.
	if is {
		x.addClasses(new, 1)
	}
	if was {
		x.addClasses(old, -1)
	}
}

func (x *leases6) addClasses(l *lease6.Lease6, n int64) {
	t := &x.types[index(l.Type)]
	eachClass(l.UserContext, func(name string) bool {
		if c := t.class(name); c != nil {
			c.leases.Add(n)
		}
		return true
	})
}

var _ lease6.Observer = (*leases6)(nil)
