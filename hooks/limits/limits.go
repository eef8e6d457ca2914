// Package limits is the hook library "limits": how many packets a second,
// minute and so on the server answers for a client class or a subnet, and how
// many addresses and prefixes it leases to one. README.md describes it for operators; the
// words and the semantics are those of Kea's libdhcp_limits (HK-LIM-1 to
// HK-LIM-3).
//
// Rate limits are counted without locks, in windows shared by all workers.
// Leases are counted by observing every change of the lease table, so that a
// count is right whatever made the change: a client, expiry, a control command
// or recovery. The classes of a lease that have a limit are kept in its
// user-context as Kea keeps them, so that counts survive a restart.
package limits

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/peregrine-dhcp/peregrine/hooks"
)

// Library is one loaded instance of the library. Its maps do not change after
// Load, but for those of spawned classes.
type Library struct {
	rateByClass    map[string]*window
	rateBySubnet   map[uint32]*window
	leasesByClass  map[string]*classLimit
	leasesBySubnet map[uint32]*leaseLimit
	spawnedRates   spawned[window]
	spawnedLeases  spawned[classLimit]
	texts          interned

	six *leases6 // of DHCPv6, whose rates are above; else nil
}

// New returns a library to load.
func New() *Library { return &Library{} }

// Name implements hooks.Library.
func (*Library) Name() string { return "limits" }

// Close implements hooks.Library.
func (*Library) Close() error { return nil }

// Load implements hooks.Library. The library has no parameters: its limits stand
// in the user-context of client classes and subnets. All errors are reported at
// once.
func (lib *Library) Load(env *hooks.Env, _ json.RawMessage) error {
	lib.rateByClass, lib.rateBySubnet = map[string]*window{}, map[uint32]*window{}
	lib.leasesByClass, lib.leasesBySubnet = map[string]*classLimit{}, map[uint32]*leaseLimit{}
	cfg := env.Config4()
	if cfg6 := env.Config6(); cfg6 != nil {
		return lib.load6(env, cfg6)
	}
	if cfg == nil {
		return nil
	}
	var errs []error
	for _, c := range cfg.Classes {
		s, err := parseUserContext(c.UserContext)
		if err != nil {
			errs = append(errs, fmt.Errorf("client class %q: %w", c.Name, err))
			continue
		}
		if c.Template {
			if s.rate != nil {
				lib.spawnedRates.add(c.Name, maxWindows(*s.rate), func(string) *window { return newWindow(*s.rate) })
			}
			if s.addresses != nil {
				// Leases say of the others that they are in this.
				others := lib.spawnedLeases.add(c.Name, maxSpawned, func(name string) *classLimit { return newClassLimit(name, *s.addresses) })
				lib.leasesByClass[others.name] = others
			}
			continue
		}
		if s.rate != nil {
			lib.rateByClass[c.Name] = newWindow(*s.rate)
			if c.Name == classAll {
				env.Kernel(kernelLimit(*s.rate, hooks.ScopeGlobal, 0))
			}
		}
		if s.addresses != nil {
			lib.leasesByClass[c.Name] = newClassLimit(c.Name, *s.addresses)
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
			env.Kernel(kernelLimit(*s.rate, hooks.ScopeSubnet, sn.ID))
		}
		if s.addresses != nil {
			lib.leasesBySubnet[sn.ID] = &leaseLimit{limit: *s.addresses}
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if len(lib.rateByClass)+len(lib.spawnedRates.templates) > 0 {
		env.On(hooks.Pkt4Receive, lib.pkt4Receive)
	}
	if len(lib.rateBySubnet) > 0 {
		env.On(hooks.Subnet4Select, lib.subnet4Select)
	}
	if len(lib.leasesByClass) > 0 || len(lib.leasesBySubnet) > 0 {
		env.On(hooks.Lease4Select, lib.lease4Select)
		env.Observe(lib)
	}
	if len(lib.leasesByClass) > 0 {
		env.On(hooks.Lease4Renew, lib.lease4Renew)
	}
	return nil
}

// classAll is the built-in class that every packet is in, so that its rate
// limit is the server's.
const classAll = "ALL"

// kernelLimit is a token bucket that never refuses what the window admits: in
// any span of time the window admits at most one more limit than the span has
// time units.
func kernelLimit(r rateLimit, s hooks.Scope, id uint32) hooks.KernelLimit {
	return hooks.KernelLimit{Scope: s, SubnetID: id, Packets: r.packets, IntervalNs: r.unitNs, Burst: r.packets}
}

// refused says whether an earlier callout has already decided: then nothing is
// counted.
func refused(s hooks.Status) bool { return s == hooks.Drop || s == hooks.Skip }

// pkt4Receive counts the packet in every class that has a rate limit, or drops
// it, uncounted, if one of them is used up.
func (lib *Library) pkt4Receive(q *hooks.Query4) hooks.Status { return lib.receive(&q.Query) }

func (lib *Library) receive(q *hooks.Query) hooks.Status {
	if refused(q.Status()) || q.Classes == nil {
		return hooks.Continue
	}
	var first *window
	n := 0
	for name, pos, ok := q.Classes.NextClass(0); ok; name, pos, ok = q.Classes.NextClass(pos) {
		w := lib.rate(name)
		if w == nil {
			continue
		}
		if n++; n == 1 {
			first = w
			continue
		}
		if n == 2 && !first.admits(q.NowUnixNs) || !w.admits(q.NowUnixNs) {
			return exceeded(q)
		}
	}
	switch {
	case n == 0:
		return hooks.Continue
	case n == 1:
		if !first.take(q.NowUnixNs) {
			return exceeded(q)
		}
		return hooks.Continue
	}
	for name, pos, ok := q.Classes.NextClass(0); ok; name, pos, ok = q.Classes.NextClass(pos) {
		// Another worker may have used it up since: then the classes before stay
		// counted, which errs by one packet.
		if w := lib.rate(name); w != nil && !w.take(q.NowUnixNs) {
			return exceeded(q)
		}
	}
	return hooks.Continue
}

// subnet4Select counts the packet in the subnet that was selected first.
func (lib *Library) subnet4Select(q *hooks.Query4) hooks.Status { return lib.subnetSelect(&q.Query) }

func (lib *Library) subnetSelect(q *hooks.Query) hooks.Status {
	if refused(q.Status()) || q.Subnet == nil {
		return hooks.Continue
	}
	if w := lib.rateBySubnet[q.Subnet.ID]; w != nil && !w.take(q.NowUnixNs) {
		return exceeded(q)
	}
	return hooks.Continue
}

func exceeded(q *hooks.Query) hooks.Status {
	q.SetDropReason(hooks.DropLimitExceeded)
	return hooks.Drop
}

// lease4Select refuses a lease if one of the query's classes or the subnet has
// as many as it may. The check and the storing of the lease are two steps, so
// that workers together may overshoot by one lease each, as Kea's threads do.
func (lib *Library) lease4Select(q *hooks.Query4) hooks.Status {
	if refused(q.Status()) || q.Lease == nil {
		return hooks.Continue
	}
	if len(lib.leasesByClass) > 0 {
		lib.writeClasses(q)
		if q.Classes != nil {
			for name, pos, ok := q.Classes.NextClass(0); ok; name, pos, ok = q.Classes.NextClass(pos) {
				c := lib.addresses(name)
				if c != nil && c.full(q.OldLease != nil && countsForClass(q.OldLease) && leaseInClass(q.OldLease.UserContext, c.name)) {
					return hooks.Skip
				}
			}
		}
	}
	if s := lib.leasesBySubnet[q.Lease.SubnetID]; s != nil {
		if s.full(q.OldLease != nil && countsForSubnet(q.OldLease) && q.OldLease.SubnetID == q.Lease.SubnetID) {
			return hooks.Skip
		}
	}
	return hooks.Continue
}

// lease4Renew only notes the classes: who has a lease keeps it.
func (lib *Library) lease4Renew(q *hooks.Query4) hooks.Status {
	if !refused(q.Status()) && q.Lease != nil {
		lib.writeClasses(q)
	}
	return hooks.Continue
}
