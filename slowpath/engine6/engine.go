// Package engine6 decides: given a DHCPv6 query, the time, the configuration and
// the leases, what is the answer and which leases change. It is the sibling of
// package engine, with the same rules: no I/O, no clock, no goroutine, no log;
// an Engine is shared, a Worker belongs to one goroutine and allocates nothing
// in the steady state.
//
// The steps are called in this order by package slowpath, which runs the hook
// points between them:
//
//	w.Begin()                       once per batch
//	  Accept6(q)                    checks, client identity, first classes   [pkt6_receive]
//	  SelectSubnet6(q)                                                       [subnet6_select]
//	  Process6(q, r)                host look-up, lease decisions            [leases6_committed]
//	  Finish6(q, r)                 options, destination                     [pkt6_send]
//
// Points inside Process6 (host6_identifier, lease6_select, lease6_renew,
// lease6_rebind, lease6_release, lease6_decline, addr6_register) are functions
// in Callouts, nil where nobody looks.
//
// The reference is Kea 3.3.1 (RFC 8415 with the amendments of RFC 9915). Where
// this engine is stricter than Kea:
//
//   - A SOLICIT changes no lease. Kea deletes what the client should no longer
//     have while it makes the ADVERTISE; here that waits for the REQUEST, as the
//     client may choose another server and go on using its lease until then.
//   - What an ADVERTISE offers is kept from the allocator for
//     Dataplane.OfferHoldS (a record in state offered), so that two clients are
//     not offered one address. Any REQUEST may take it over.
//   - A reserved address or prefix whose last lease is expired or released is
//     free for whom it is reserved; in Kea it is not before that record has been
//     removed.
//   - A reused or repeated lease is never promised for longer than what remains
//     of it on stable storage.
package engine6

import (
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/alloc6"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/host6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/subnet6"
)

// Reason says why a query is not answered. ReasonOK means go on. The labels of
// String are the metric's reason label. See reason.go.
type Reason uint8

// Status is what a callout returned; Kea's next step values.
type Status uint8

const (
	Continue Status = iota
	Skip
	Drop
	Park
)

// Callouts are the hook points inside Process6 and Reclaim. A nil function is
// skipped. Leases they get are theirs to read during the call only, and to
// change where it says so.
type Callouts struct {
	// HostIdentifier gives a flex-id; it is asked only if flex-id is among
	// host-reservation-identifiers. id must stay valid as long as the message.
	HostIdentifier func(q *Query6) (id []byte, t config.IdentifierType, ok bool)
	// LeaseSelect sees a new lease before it is stored (fake: for an ADVERTISE)
	// and may change it, but for address, prefix length and type. Skip or Drop
	// refuse the lease.
	LeaseSelect func(q *Query6, l *lease6.Lease6, fake bool) Status
	// LeaseRenew and LeaseRebind see the client's lease before it is stored
	// again and may change it, but for address, prefix length and type. Skip
	// leaves the stored lease as it is; the client is told what remains of it.
	LeaseRenew  func(q *Query6, l *lease6.Lease6) Status
	LeaseRebind func(q *Query6, l *lease6.Lease6) Status
	// LeaseRelease: Skip or Drop leave the lease as it is.
	LeaseRelease func(q *Query6, l *lease6.Lease6) Status
	// LeaseDecline: Skip leaves the lease as it is, Drop drops the query.
	LeaseDecline func(q *Query6, l *lease6.Lease6) Status
	// AddrRegister sees a registration (RFC 9686) before it is stored and may
	// change it, but for its address; old is nil if there is none. Skip stores
	// nothing, Drop drops the query.
	AddrRegister func(q *Query6, old, l *lease6.Lease6) Status
	// LeaseExpire is called for each lease that is reclaimed, by Reclaim or
	// because its address is given out again. Skip: the callout has done
	// everything, Reclaim leaves the record alone.
	LeaseExpire func(l *lease6.Lease6, remove bool) Status
	// LeaseRecover: Skip leaves the address declined.
	LeaseRecover func(l *lease6.Lease6) Status
	// Reclaimed counts: it is told of each lease after it was reclaimed, as it
	// was before, on the goroutine that did it. Not a hook point of Kea's.
	Reclaimed func(l *lease6.Lease6)
}

// Config is everything of one configuration that deciding needs; immutable,
// swapped whole. NewConfig makes it.
type Config struct {
	Snapshot *config.Snapshot
	Subnets  *subnet6.Index
	Hosts    *host6.Index
	Alloc    *alloc6.Set
	Callouts Callouts
	// ServerID is the server's DUID (RFC 8415 §11).
	ServerID []byte
	// OfferHoldS is Dataplane.OfferHoldS.
	OfferHoldS uint32

	*rules
}

// NewConfig builds the indexes of s. serverID is kept. Alloc still has to be
// attached to the lease table as its observer, see alloc6.Set.
func NewConfig(s *config.Snapshot, serverID []byte, c Callouts) *Config {
	d := s.Dhcp6
	return &Config{
		Snapshot:   s,
		Subnets:    subnet6.NewIndex(d),
		Hosts:      host6.NewIndex(d),
		Alloc:      alloc6.NewSet(d),
		Callouts:   c,
		ServerID:   serverID,
		OfferHoldS: uint32(max(s.Dataplane.OfferHoldS, 0)),
		rules:      newRules(d),
	}
}

// Engine is the shared part.
type Engine struct {
	leases *lease6.Table
	cfg    atomic.Pointer[Config]
}

// New returns an engine over the table.
func New(t *lease6.Table, c *Config) *Engine {
	e := &Engine{leases: t}
	e.cfg.Store(c)
	return e
}

// Config returns the configuration in force; SetConfig swaps it. Workers take
// it up at their next Begin; queries on their way keep the one they began with.
func (e *Engine) Config() *Config     { return e.cfg.Load() }
func (e *Engine) SetConfig(c *Config) { e.cfg.Store(c) }

// Leases is the table.
func (e *Engine) Leases() *lease6.Table { return e.leases }

// Query6 is one query on its way. The fields above the line are set by the
// caller; it is reused, Accept6 resets what is below the line. A parked query
// may be moved: Msg may be parsed again over a copy of the frame before the
// next step, nothing below the line keeps references into the message that
// outlive a step.
type Query6 struct {
	Msg      *dhcp6.View
	NowUnixS int64
	IfIndex  uint32
	IfName   string // of the interface it came in on, "" unknown
	// IfHWType is the ARP hardware type of that interface, for mac-sources
	// remote-id; 0 unknown.
	IfHWType uint16
	// HWAddr is the source of the frame where it came from the client itself
	// and is known, for mac-sources raw; nil where not, as in Kea, which never
	// knows it.
	HWAddr   []byte
	Src, Dst dhcp6.IPv6
	SrcPort  uint16
	// Ext is the caller's own, for its callouts.
	Ext any
	// ---- set by the engine

	// Subnet is what SelectSubnet6 chose; a subnet6_select callout may replace
	// it by another subnet of the same configuration. After Process6 it is the
	// one that the last lease is of (V6-043).
	Subnet *config.Subnet6
	// Host is the client's reservation that counts in Subnet, nil if none.
	Host    *config.Reservation6
	Classes ClassSet
	queryState
}

// IAFailure is an IA that got no lease, for statistics.
type IAFailure struct {
	SubnetID uint32 // where it was looked for first; 0: nowhere
	Type     lease6.Type
	Network  bool // the subnet is in a shared network
	Classes  bool // the client is in a class
	Reason   Reason
}

// Reply6 is the decision. Type 0 (dhcp6.Reply.Type) means no answer.
type Reply6 struct {
	dhcp6.Reply
	// CommitPos is the journal position to wait for, the greatest of all
	// changes; 0 means send at once.
	CommitPos uint64
	// Leases are those that were granted, extended, declined or registered, or
	// are offered (Offer says so; an offered lease shows the lifetimes it would
	// have). Deleted are the client's leases that were removed or released, as
	// they were. Both are valid until the next Process6 with this reply.
	Leases, Deleted []lease6.Lease6
	// Offer says that nothing was promised (an ADVERTISE).
	Offer bool
	// ReusedNA and ReusedPD count leases answered from the cache (V6-039).
	ReusedNA, ReusedPD uint8
	// Failures are the IAs that got nothing.
	failures  [dhcp6.MaxIAs]IAFailure
	nFailures uint8
	// Dst and DstPort are where it goes: to whom the query came from. It leaves
	// by the interface and to the link-layer address the query came from.
	Dst     dhcp6.IPv6
	DstPort uint16
	// MaxLen and ORO are for dhcp6.Reply.Append: the longest message that a
	// packet carries, and the client's option request option, which aliases the
	// query's message.
	MaxLen int
	ORO    []byte
	// LeftOut is how many options, IAs and addresses found no room in the
	// reply's list.
	LeftOut int

	vendor []byte // option 17 of the reply
}

// Failures are the IAs that got no lease.
func (r *Reply6) Failures() []IAFailure { return r.failures[:r.nFailures] }

func (r *Reply6) fail(f IAFailure) {
	if int(r.nFailures) < len(r.failures) {
		r.failures[r.nFailures] = f
		r.nFailures++
	}
}

// reset forgets the last decision.
func (r *Reply6) reset() {
	r.Reply.Reset()
	r.CommitPos = 0
	r.Leases, r.Deleted = r.Leases[:0], r.Deleted[:0]
	r.Offer = false
	r.ReusedNA, r.ReusedPD, r.nFailures = 0, 0, 0
	r.Dst, r.DstPort = dhcp6.IPv6{}, 0
	r.MaxLen, r.ORO, r.LeftOut = 0, nil, 0
	r.vendor = r.vendor[:0]
}

// appendLease is append for values too large to be copied whole for a message.
func appendLease(list []lease6.Lease6, l *lease6.Lease6) []lease6.Lease6 {
	n := len(list)
	if n == cap(list) {
		return append(list, *l)
	}
	list = list[:n+1]
	list[n].CopyFrom(l)
	return list
}

// Worker is the part of an Engine that one goroutine owns.
type Worker struct {
	workerState
}

// NewWorker returns a worker that journals its changes through j (nil: nothing
// is durable, CommitPos is always 0).
func (e *Engine) NewWorker(j lease6.Journal) *Worker {
	w := &Worker{}
	w.e, w.t, w.j = e, e.leases, j
	w.cfg = e.Config()
	w.maxRegistered = maxRegistered
	// Once: a method value made per query would allocate.
	w.allowed, w.pdAllowed = w.subnetAllowed, w.pdPoolAllowed
	return w
}

// Begin takes up the configuration in force and returns it.
func (w *Worker) Begin() *Config {
	w.cfg = w.e.cfg.Load()
	return w.cfg
}
