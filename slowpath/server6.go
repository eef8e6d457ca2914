package slowpath

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/alloc6"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// Port6 is the DHCPv6 server port.
const Port6 = 547

// server6 is the DHCPv6 half of a Server. It shares the store, the workers, the
// interfaces and the changes of configuration with the DHCPv4 half.
type server6 struct {
	*family
	port    uint16
	id      []byte // the server's DUID, the same as long as the process runs
	persist bool
	mirror  *leasefile.Mirror // nil: none; changed under Server.reload
	table   *lease6.Table
	engine  *engine6.Engine
	runtime atomic.Pointer[runtime6]
	clients clients
	subnets subnetCounters
	drops   struct {
		parse, notes, engine, server *stat.Group
	}
	reclaimed struct {
		sync.Mutex
		leases, declined atomic.Uint64
		shard            *stat.Shard
	}
	// commandJournal is under Server.commandJournal's lock.
	commandJournal struct{ e *engine6.Worker }
	tracer         tracer
	traced         atomic.Uint32 // a traceSet
}

// runtime6 is what workers use of one configuration beside the engine's part,
// see runtime.
type runtime6 struct {
	snapshot    *config.Snapshot
	pipe        *hooks.Pipeline
	subnets     map[uint32]*hooks.SubnetInfo
	mayPark     bool
	parkedLimit int
	any         bool
	has         [maxPoints]bool
}

// run runs a point if it has callouts.
func (r *runtime6) run(p hooks.Point, q *hooks.Query6) hooks.Status {
	if !r.has[p] {
		return hooks.Continue
	}
	return r.pipe.Run6(p, q)
}

// SubnetByID implements hooks.SubnetSelector.
func (r *runtime6) SubnetByID(id uint32) *hooks.SubnetInfo { return r.subnets[id] }

func newRuntime6(snap *config.Snapshot, pipe *hooks.Pipeline) *runtime6 {
	d := snap.Dhcp6
	rt := &runtime6{snapshot: snap, pipe: pipe, parkedLimit: d.ParkedPacketLimit, subnets: make(map[uint32]*hooks.SubnetInfo, len(d.Subnets))}
	for _, s := range d.Subnets {
		rt.subnets[s.ID] = &hooks.SubnetInfo{ID: s.ID, Prefix: s.Text, UserContext: s.UserContext}
	}
	for _, p := range hooks.QueryPoints6() {
		rt.has[p] = pipe.Has6(p)
		rt.any = rt.any || rt.has[p]
		rt.mayPark = rt.mayPark || rt.has[p] && p.CanPark()
	}
	return rt
}

// observers6 is everybody who wants to know of DHCPv6 lease changes.
type observers6 []lease6.Observer

// LeaseChanged6 implements lease6.Observer.
func (o observers6) LeaseChanged6(old, new *lease6.Lease6) {
	for _, x := range o {
		x.LeaseChanged6(old, new)
	}
}

// LeaseExists6 implements lease6.ExistingObserver, see observers.
func (o observers6) LeaseExists6(l *lease6.Lease6) {
	for _, x := range o {
		if e, ok := x.(lease6.ExistingObserver); ok {
			e.LeaseExists6(l)
		} else {
			x.LeaseChanged6(nil, l)
		}
	}
}

var _ lease6.ExistingObserver = observers6(nil)

// new6 makes the DHCPv6 half before the store is opened, which fills its table.
func (s *Server) new6(snap *config.Snapshot) (*server6, error) {
	id, err := serverID(snap, systemIDSource())
	if err != nil {
		return nil, err
	}
	x := &server6{port: s.opt.Port6, id: id, persist: snap.Dhcp6.LeaseDatabase.Persist}
	x.clients.set.keys = map[uint64]struct{}{}
	x.table = s.table6
	x.tracer = newTracer(s.opt.Log6, "dhcp6")
	x.traced.Store(uint32(x.tracer.wanted()))
	x.family = s.newFamily(stat.V6, snap, x.leaseStats)
	x.reclaimed.shard = x.stats.NewShard()
	x.drops.parse = stat.NewGroup(int(dhcp6.NumReasons))
	x.drops.notes = stat.NewGroup(dhcp6.NumNotes)
	x.drops.engine = stat.NewGroup(int(engine6.NumReasons))
	x.drops.server = stat.NewGroup(NumReasons)
	return x, nil
}

// start6 makes the rest, when the leases are there.
func (s *Server) start6(x *server6, snap *config.Snapshot) error {
	pipe, err := s.compile6(x, snap)
	if err != nil {
		return err
	}
	x.runtime.Store(newRuntime6(snap, pipe))
	x.subnets.configure6(snap.Dhcp6)
	ec := x.engineConfig(snap, pipe)
	x.engine = engine6.New(x.table, ec)
	if x.mirror, err = x.newMirror(snap); err != nil {
		return err
	}
	x.observe(ec, pipe)
	if x.mirror != nil {
		x.mirror.Start()
	}
	var j lease6.Journal
	if w := s.commandJournal.w; w != nil && x.persist {
		j = w
	}
	x.commandJournal.e = x.engine.NewWorker(j)
	x.registerCommands()
	if err := x.installHookCommands(pipe); err != nil {
		return err
	}
	x.channels = control.NewChannels(x.registry, control.Options{})
	if err := x.channels.Apply(socketsOf(partOf(stat.V6, snap).controlSockets, "dhcp6")); err != nil {
		return fmt.Errorf("open control channel: %w", err)
	}
	x.logSockets(nil, snap)
	x.log().Info("DHCP6_USING_SERVERID server identifier", "duid", colons(x.id))
	return nil
}

// observe attaches who follows the leases of a configuration.
func (x *server6) observe(ec *engine6.Config, pipe *hooks.Pipeline) {
	x.table.SetObserver(x.observers(ec, pipe), true)
}

func (x *server6) observers(ec *engine6.Config, pipe *hooks.Pipeline) lease6.Observer {
	all := observers6{ec.Alloc}
	all = append(all, pipe.Observers6()...)
	if x.mirror != nil {
		all = append(all, x.mirror)
	}
	if len(all) == 1 {
		return ec.Alloc
	}
	return all
}

// apply puts a configuration in force whose pipeline is compiled and whose lease
// file has that mirror, nil for none.
func (x *server6) apply(snap *config.Snapshot, pipe *hooks.Pipeline, mirror *leasefile.Mirror) {
	ec := x.engineConfig(snap, pipe)
	old := x.mirror
	x.mirror = mirror
	x.observe(ec, pipe)
	x.giveUpMirror(old, mirror)
	ec.Alloc.ContinueFrom(x.engine.Config().Alloc)
	x.subnets.configure6(snap.Dhcp6)
	x.engine.SetConfig(ec)
	x.runtime.Store(newRuntime6(snap, pipe))
	x.stats.SetLimits(snap.Dhcp6.SampleCount, snap.Dhcp6.SampleAge)
	x.stats.Rebase()
	x.service.reset()
}

// callouts are the points inside the engine, nil where the pipeline has nobody.
func (x *server6) callouts(pipe *hooks.Pipeline) (c engine6.Callouts) {
	c.Reclaimed = x.countReclaimed
	old := func(c *query6, l *lease6.Lease6) *lease6.Lease6 {
		if !x.table.Get(l.Addr, &c.old) {
			return nil
		}
		return &c.old
	}
	onLease := func(point hooks.Point, withOld bool) func(*engine6.Query6, *lease6.Lease6) engine6.Status {
		if !pipe.Has6(point) {
			return nil
		}
		return func(q *engine6.Query6, l *lease6.Lease6) engine6.Status {
			c := q.Ext.(*query6)
			h := &c.hq
			h.Lease, h.OldLease = l, nil
			if withOld {
				h.OldLease = old(c, l)
			}
			st := pipe.Run6(point, h)
			h.Lease, h.OldLease = nil, nil
			return engine6.Status(st)
		}
	}
	c.LeaseRenew = onLease(hooks.Lease6Renew, true)
	c.LeaseRebind = onLease(hooks.Lease6Rebind, true)
	c.LeaseRelease = onLease(hooks.Lease6Release, false)
	c.LeaseDecline = onLease(hooks.Lease6Decline, false)
	if pipe.Has6(hooks.Lease6Select) {
		c.LeaseSelect = func(q *engine6.Query6, l *lease6.Lease6, fake bool) engine6.Status {
			c := q.Ext.(*query6)
			h := &c.hq
			h.Lease, h.OldLease, h.Fake = l, old(c, l), fake
			st := pipe.Run6(hooks.Lease6Select, h)
			h.Lease, h.OldLease = nil, nil
			return engine6.Status(st)
		}
	}
	if pipe.Has6(hooks.Addr6Register) {
		c.AddrRegister = func(q *engine6.Query6, old, l *lease6.Lease6) engine6.Status {
			h := &q.Ext.(*query6).hq
			h.Lease, h.OldLease = l, old
			st := pipe.Run6(hooks.Addr6Register, h)
			h.Lease, h.OldLease = nil, nil
			return engine6.Status(st)
		}
	}
	if pipe.Has6(hooks.Host6Identifier) {
		c.HostIdentifier = func(q *engine6.Query6) ([]byte, config.IdentifierType, bool) {
			h := &q.Ext.(*query6).hq
			h.HostID = nil
			if pipe.Run6(hooks.Host6Identifier, h) != hooks.Continue || h.HostID == nil {
				return nil, 0, false
			}
			return h.HostID, config.IdentifierType(h.HostIDType), true
		}
	}
	if pipe.Has(hooks.Lease6Expire) {
		c.LeaseExpire = func(l *lease6.Lease6, remove bool) engine6.Status {
			return engine6.Status(pipe.RunLease6(hooks.Lease6Expire, &hooks.LeaseEvent6{NowUnixNs: time.Now().UnixNano(), Lease: l, Remove: remove}))
		}
	}
	if pipe.Has(hooks.Lease6Recover) {
		c.LeaseRecover = func(l *lease6.Lease6) engine6.Status {
			return engine6.Status(pipe.RunLease6(hooks.Lease6Recover, &hooks.LeaseEvent6{NowUnixNs: time.Now().UnixNano(), Lease: l}))
		}
	}
	return c
}

// countReclaimed counts a reclaimed lease, see Server.countReclaimed.
func (x *server6) countReclaimed(l *lease6.Lease6) {
	x.reclaimed.leases.Add(1)
	x.subnets.reclaimed(l.SubnetID, l.Addr.Netip(), l.Type == lease6.TypePD, isDeclined(l.State))
	if isDeclined(l.State) {
		x.reclaimed.declined.Add(1)
	}
}

// publishReclaimed moves the counts into the statistics.
func (x *server6) publishReclaimed() {
	r := &x.reclaimed
	r.Lock()
	defer r.Unlock()
	r.shard.Add(stat.ReclaimedLeases6, r.leases.Swap(0))
	r.shard.Add(stat.ReclaimedDeclinedAddresses6, r.declined.Swap(0))
	r.shard.Publish()
}

// reclaimLoop expires leases, see Server.reclaimLoop.
func (x *server6) reclaimLoop(ctx context.Context) {
	s := x.s
	var j lease6.Journal
	kick := func() {}
	if s.store != nil && x.persist {
		w := s.store.NewWriter("reclaim6")
		defer w.Retire()
		j, kick = w, w.Kick
	}
	ew := x.engine.NewWorker(j)
	reclaimCycles(ctx, func() config.ExpiredProcessing { return x.runtime.Load().snapshot.Dhcp6.Expired },
		func(now time.Time, max int, stop func() bool) int {
			ew.Begin()
			n := ew.Reclaim(now.Unix(), max, false, stop)
			kick()
			return n
		},
		func(cycles int) {
			x.root().WithGroup("alloc-engine").Warn("ALLOC_ENGINE_V6_LEASES_RECLAMATION_SLOW expired leases are found faster than they are reclaimed; raise max-reclaim-leases or max-reclaim-time",
				"cycles", cycles)
		})
}

// leaseStats are the statistics that the allocator counts (ST-024): a
// stat.Source.
func (x *server6) leaseStats(yield func(stat.Key, stat.Value)) {
	if x.engine == nil {
		return // the server is being built
	}
	value := func(s alloc6.Size) stat.Value { return stat.Value{Hi: int64(s.Hi), Lo: s.Lo} }
	var na, pd, declined uint64
	a := x.engine.Config().Alloc
	goneNA, gonePD := a.GoneCumulative()
	naCumulative, pdCumulative, registeredCumulative := goneNA.Cumulative, gonePD.Cumulative, goneNA.CumulativeRegistered
	a.EachSubnet(func(n *alloc6.SubnetStats) {
		put := func(k stat.Kind, v stat.Value) {
			yield(stat.Key{Kind: k, Scope: stat.OfSubnet, Subnet: n.SubnetID}, v)
		}
		put(stat.TotalNAs, value(n.NA.Total))
		put(stat.AssignedNAs, stat.Of(n.NA.Assigned))
		put(stat.CumulativeAssignedNAs, stat.Of(n.NA.Cumulative))
		put(stat.RegisteredNAs, stat.Of(n.NA.Registered))
		put(stat.CumulativeRegisteredNAs, stat.Of(n.NA.CumulativeRegistered))
		put(stat.DeclinedAddresses, stat.Of(n.NA.Declined))
		put(stat.TotalPDs, value(n.PD.Total))
		put(stat.AssignedPDs, stat.Of(n.PD.Assigned))
		put(stat.CumulativeAssignedPDs, stat.Of(n.PD.Cumulative))
		na += n.NA.Assigned
		pd += n.PD.Assigned
		naCumulative += n.NA.Cumulative
		pdCumulative += n.PD.Cumulative
		declined += n.NA.Declined
		registeredCumulative += n.NA.CumulativeRegistered
	})
	// Pools of one subnet with the same id share their statistics.
	type key struct {
		subnet, pool uint32
		pd           bool
	}
	sums := map[key]alloc6.PoolStats{}
	a.EachPool(func(p *alloc6.PoolStats) {
		k := key{p.SubnetID, p.PoolID, p.PD}
		y := sums[k]
		y.Total = y.Total.Add(p.Total)
		y.Assigned += p.Assigned
		y.Cumulative += p.Cumulative
		y.Declined += p.Declined
		sums[k] = y
	})
	for k, p := range sums {
		put := func(kind stat.Kind, v stat.Value) {
			scope := stat.OfPool
			if k.pd {
				scope = stat.OfPDPool
			}
			yield(stat.Key{Kind: kind, Scope: scope, Subnet: k.subnet, Pool: k.pool}, v)
		}
		if k.pd {
			put(stat.TotalPDs, value(p.Total))
			put(stat.AssignedPDs, stat.Of(p.Assigned))
			put(stat.CumulativeAssignedPDs, stat.Of(p.Cumulative))
			continue
		}
		put(stat.TotalNAs, value(p.Total))
		put(stat.AssignedNAs, stat.Of(p.Assigned))
		put(stat.CumulativeAssignedNAs, stat.Of(p.Cumulative))
		put(stat.DeclinedAddresses, stat.Of(p.Declined))
	}
	for _, g := range []struct {
		k stat.Kind
		v uint64
	}{
		{stat.AssignedNAs, na}, {stat.AssignedPDs, pd}, {stat.CumulativeAssignedNAs, naCumulative}, {stat.CumulativeAssignedPDs, pdCumulative},
		{stat.DeclinedAddresses, declined}, {stat.CumulativeRegisteredNAs, registeredCumulative},
	} {
		yield(stat.Key{Kind: g.k}, stat.Of(g.v))
	}
	x.subnets.each(yield)
}
