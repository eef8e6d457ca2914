package slowpath

import (
	"time"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
)

// runtime is what workers use of one configuration beside the engine's part;
// immutable, swapped whole.
type runtime struct {
	generation  uint64
	snapshot    *config.Snapshot
	pipe        *hooks.Pipeline
	subnets     map[uint32]*hooks.SubnetInfo
	mayPark     bool
	parkedLimit int
	any         bool // some callout sees queries
	// has says which points of a query have callouts, so that looking costs one
	// load.
	has [maxPoints]bool
}

// maxPoints is above every hooks.Point of a query.
const maxPoints = 64

// run runs a point if it has callouts.
func (r *runtime) run(p hooks.Point, q *hooks.Query4) hooks.Status {
	if !r.has[p] {
		return hooks.Continue
	}
	return r.pipe.Run(p, q)
}

// observers is everybody who wants to know of lease changes.
type observers []lease.Observer

// LeaseChanged implements lease.Observer.
func (o observers) LeaseChanged(old, new *lease.Lease4) {
	for _, x := range o {
		x.LeaseChanged(old, new)
	}
}

// LeaseExists implements lease.ExistingObserver: a lease that was there before
// the observer is a change for those that do not know the difference.
func (o observers) LeaseExists(l *lease.Lease4) {
	for _, x := range o {
		if e, ok := x.(lease.ExistingObserver); ok {
			e.LeaseExists(l)
		} else {
			x.LeaseChanged(nil, l)
		}
	}
}

var _ lease.ExistingObserver = observers(nil)

// observer joins the allocator, the hook libraries' observers and the mirror
// (nil: none).
func observer(ec *engine.Config, pipe *hooks.Pipeline, m *leasefile.Mirror) lease.Observer {
	all := append(observers{ec.Alloc}, pipe.Observers()...)
	if m != nil {
		all = append(all, m)
	}
	if len(all) == 1 {
		return ec.Alloc
	}
	return all
}

// SubnetByID implements hooks.SubnetSelector.
func (r *runtime) SubnetByID(id uint32) *hooks.SubnetInfo { return r.subnets[id] }

// newRuntime compiles the hook pipeline of a configuration.
func newRuntime(snap *config.Snapshot, pipe *hooks.Pipeline, generation uint64) *runtime {
	rt := &runtime{generation: generation, snapshot: snap, pipe: pipe, subnets: subnetInfos(snap.Dhcp4),
		parkedLimit: snap.Dhcp4.ParkedPacketLimit}
	for _, p := range hooks.QueryPoints() {
		rt.has[p] = pipe.Has(p)
		rt.any = rt.any || rt.has[p]
		rt.mayPark = rt.mayPark || rt.has[p] && p.CanPark()
	}
	return rt
}

func subnetInfos(d *config.Dhcp4) map[uint32]*hooks.SubnetInfo {
	m := make(map[uint32]*hooks.SubnetInfo, len(d.Subnets))
	for _, s := range d.Subnets {
		m[s.ID] = &hooks.SubnetInfo{ID: s.ID, Prefix: s.Text, UserContext: s.UserContext}
	}
	return m
}

// callouts are the points inside the engine, nil where the pipeline has nobody.
func (s *Server) callouts(pipe *hooks.Pipeline) (c engine.Callouts) {
	c.Reclaimed = s.countReclaimed
	// old is the record that a lease is about to replace, as the table has it.
	old := func(c *query, l *lease.Lease4) *lease.Lease4 {
		if !s.table.Get(l.Addr, &c.old) {
			return nil
		}
		if c.old.State == lease.StateOffered && !s.table.Covered(l.Addr, &c.old) {
			return nil // an offer over nothing
		}
		return &c.old
	}
	onLease := func(point hooks.Point) func(*engine.Query4, *lease.Lease4) engine.Status {
		if !pipe.Has(point) {
			return nil
		}
		return func(q *engine.Query4, l *lease.Lease4) engine.Status {
			c := q.Ext.(*query)
			h := &c.hq
			h.Lease, h.OldLease = l, nil
			if point == hooks.Lease4Renew {
				h.OldLease = old(c, l)
			}
			st := pipe.Run(point, h)
			h.Lease, h.OldLease = nil, nil
			return engine.Status(st)
		}
	}
	c.LeaseRenew = onLease(hooks.Lease4Renew)
	c.LeaseRelease = onLease(hooks.Lease4Release)
	c.LeaseDecline = onLease(hooks.Lease4Decline)
	if pipe.Has(hooks.Lease4Select) {
		c.LeaseSelect = func(q *engine.Query4, l *lease.Lease4, fake bool) engine.Status {
			c := q.Ext.(*query)
			h := &c.hq
			h.Lease, h.OldLease, h.Fake = l, old(c, l), fake
			st := pipe.Run(hooks.Lease4Select, h)
			h.Lease, h.OldLease = nil, nil
			return engine.Status(st)
		}
	}
	if pipe.Has(hooks.Host4Identifier) {
		c.HostIdentifier = func(q *engine.Query4) ([]byte, config.IdentifierType, bool) {
			h := &q.Ext.(*query).hq
			h.HostID = nil
			if pipe.Run(hooks.Host4Identifier, h) != hooks.Continue || h.HostID == nil {
				return nil, 0, false
			}
			return h.HostID, config.IdentifierType(h.HostIDType), true
		}
	}
	if pipe.Has(hooks.Lease4Expire) {
		c.LeaseExpire = func(l *lease.Lease4, remove bool) engine.Status {
			return engine.Status(pipe.RunLease(hooks.Lease4Expire, &hooks.LeaseEvent4{NowUnixNs: time.Now().UnixNano(), Lease: l, Remove: remove}))
		}
	}
	if pipe.Has(hooks.Lease4Recover) {
		c.LeaseRecover = func(l *lease.Lease4) engine.Status {
			return engine.Status(pipe.RunLease(hooks.Lease4Recover, &hooks.LeaseEvent4{NowUnixNs: time.Now().UnixNano(), Lease: l}))
		}
	}
	return c
}
