package hooks

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Query6 is a DHCPv6 query as callouts see it; what is said of Query4 holds.
type Query6 struct {
	Query
	// Msg is the parsed message with the relays around it.
	Msg *dhcp6.View
	// Src and Dst are the IP addresses of the packet.
	Src, Dst lease6.IPv6
	// Reply is the answer so far.
	Reply *dhcp6.Reply
	// Lease is the lease that is selected, renewed, rebound, released, declined
	// or registered, OldLease what it replaces. They are the engine's own
	// values: changes to Lease at Lease6Select, Lease6Renew and Lease6Rebind are
	// stored, but for its key.
	Lease, OldLease *lease6.Lease6
	// Fake is true while the lease is only advertised.
	Fake bool
	// Committed and Deleted are the leases of Leases6Committed; Buffer6Send sees
	// Committed, too.
	Committed, Deleted []lease6.Lease6
	// DDNS is set at DDNS6Update.
	DDNS *DDNS4
	// Updater is the engine's side of SetUserContext.
	Updater LeaseUpdater

	parking *Parking6
}

// SetUserContext gives Committed[i] another user context, see
// Query4.SetUserContext. It is for callouts of Leases6Committed and Buffer6Send.
func (q *Query6) SetUserContext(i int, context string) error {
	if q.Updater == nil || i >= len(q.Committed) {
		return lease.ErrConflict
	}
	return q.Updater.SetUserContext(i, context)
}

// Reset prepares q for the next query, see Query4.Reset.
func (q *Query6) Reset() {
	q.reset()
	q.Msg, q.Reply = nil, nil
	q.Src, q.Dst = lease6.IPv6{}, lease6.IPv6{}
	q.Lease, q.OldLease = nil, nil
	q.Fake, q.Committed, q.Deleted = false, nil, nil
	q.DDNS, q.Updater, q.parking = nil, nil, nil
}

// Callout6 is called at a point of a DHCPv6 query.
type Callout6 func(q *Query6) Status

// LeaseEvent6 is what callouts of Lease6Expire and Lease6Recover see.
type LeaseEvent6 struct {
	NowUnixNs int64
	// Lease may be read only.
	Lease *lease6.Lease6
	// Remove is true where an expired lease will be deleted.
	Remove bool

	point  Point
	status Status
}

// Point is the hook point that is running.
func (e *LeaseEvent6) Point() Point { return e.point }

// Status and SetStatus are as in Query6.
func (e *LeaseEvent6) Status() Status     { return e.status }
func (e *LeaseEvent6) SetStatus(s Status) { e.status = s }

// LeaseCallout6 is called for a DHCPv6 lease without a query.
type LeaseCallout6 func(e *LeaseEvent6) Status

// On6 registers a callout at a point of a DHCPv6 query. ContextCreate and
// ContextDestroy are points of both families.
func (e *Env) On6(p Point, f Callout6) {
	k := kindQuery6
	if p == ContextCreate || p == ContextDestroy {
		k = kindQuery
	}
	if e.accept(p, k, f == nil) {
		e.pl.query6[p] = append(e.pl.query6[p], query6Callout{f: f, meta: e.pl.newMeta(e.name)})
	}
}

// OnLease6 registers a callout at Lease6Expire or Lease6Recover.
func (e *Env) OnLease6(p Point, f LeaseCallout6) {
	if e.accept(p, kindLease6, f == nil) {
		e.pl.lease6[p] = append(e.pl.lease6[p], lease6Callout{f: f, meta: e.pl.newMeta(e.name)})
	}
}

// Observe6 registers an observer of every change of a DHCPv6 lease, see Observe.
func (e *Env) Observe6(o lease6.Observer) {
	if e.closed || o == nil {
		e.fail("register lease observer: only possible in Load and not nil")
		return
	}
	e.pl.observers6 = append(e.pl.observers6, o)
}

type query6Callout struct {
	f Callout6
	*meta
}
type lease6Callout struct {
	f LeaseCallout6
	*meta
}

// Has6 says whether a point has callouts of DHCPv6 queries; it differs from Has
// at the points of both families.
func (pl *Pipeline) Has6(p Point) bool {
	return pl != nil && p < numPoints && len(pl.query6[p]) > 0
}

// Run6 calls the callouts of a point of a DHCPv6 query, see Run.
func (pl *Pipeline) Run6(p Point, q *Query6) Status {
	if pl == nil || len(pl.query6[p]) == 0 {
		return Continue
	}
	q.point, q.status, q.dropReason = p, Continue, DropUnspecified
	cs := pl.query6[p]
	for i := range cs {
		if s := pl.call6(&cs[i], p, q); s != Continue {
			q.status = s
		}
	}
	return endPoint(pl, p, &q.Query, &q.parking)
}

func (pl *Pipeline) call6(c *query6Callout, p Point, q *Query6) (s Status) {
	defer func() {
		if v := recover(); v != nil {
			pl.panicked(c.meta, p, v)
			q.dropReason = DropProcessingFailed
			s = Drop
		}
	}()
	return c.f(q)
}

// RunLease6 calls the callouts of Lease6Expire or Lease6Recover.
func (pl *Pipeline) RunLease6(p Point, e *LeaseEvent6) Status {
	if pl == nil || len(pl.lease6[p]) == 0 {
		return Continue
	}
	e.point, e.status = p, Continue
	for i := range pl.lease6[p] {
		c := &pl.lease6[p][i]
		s := Continue
		if v := pl.guard(c.meta, p, func() { s = c.f(e) }); v != nil {
			s = Drop
		}
		if s != Continue {
			e.status = s
		}
	}
	e.point = 0
	return e.status
}

// Observers6 are the observers of DHCPv6 leases, see Observers.
func (pl *Pipeline) Observers6() []lease6.Observer {
	if pl == nil {
		return nil
	}
	return pl.observers6
}
