// Package engine decides: given a DHCPv4 query, the time, the configuration and
// the leases, what is the answer and which leases change. It is the only place
// where that is decided.
//
// It does no I/O: no socket, clock, file, goroutine or log. Time comes with the
// query. A change of a lease is put into the lease table, which hands it to the
// worker's journal; the Reply carries the journal position that must be durable
// before it may be sent (RFC 2131 §3.1 step 4: the server commits the binding to
// persistent storage).
//
// An Engine is shared; a Worker belongs to one goroutine and holds its scratch
// space, so that the steady state allocates nothing. The steps are called in
// this order by package slowpath, which runs the hook points between them:
//
//	w.Begin(cfg)                    once per batch
//	  Accept4(q)                    checks, client identity, first classes   [pkt4_receive]
//	  SelectSubnet4(q)                                                       [subnet4_select]
//	  Process4(q, r)                host look-up, lease decision             [lease4_offer, leases4_committed]
//	  Finish4(q, r)                 options, fields, destination             [pkt4_send]
//
// Points inside Process4 (host4_identifier, lease4_select, lease4_renew,
// lease4_release, lease4_decline) are functions in Callouts, nil where nobody
// looks.
package engine

import (
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/alloc"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/host"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/subnet"
)

// Reason says why a query is not answered. ReasonOK means go on. The labels of
// String are the metric's reason label. Owned by reason.go.
type Reason uint8

// Status is what a callout returned; Kea's next step values.
type Status uint8

const (
	Continue Status = iota
	Skip
	Drop
	Park
)

// Callouts are the hook points inside Process4. A nil function is skipped.
type Callouts struct {
	HostIdentifier func(q *Query4) (id []byte, t config.IdentifierType, ok bool)
	// LeaseSelect sees l before it is stored (fake: for an OFFER). Skip or Drop
	// refuse the lease.
	LeaseSelect func(q *Query4, l *lease.Lease4, fake bool) Status
	// LeaseRenew: Skip leaves the stored lease as it is.
	LeaseRenew   func(q *Query4, l *lease.Lease4) Status
	LeaseRelease func(q *Query4, l *lease.Lease4) Status
	LeaseDecline func(q *Query4, l *lease.Lease4) Status
	LeaseExpire  func(l *lease.Lease4, remove bool) Status
	LeaseRecover func(l *lease.Lease4) Status
}

// Config is everything of one configuration that deciding needs; immutable,
// swapped whole.
type Config struct {
	Snapshot *config.Snapshot
	Subnets  *subnet.Index
	Hosts    *host.Index
	Alloc    *alloc.Set
	Callouts Callouts
	// OfferHoldS is Dataplane.OfferHoldS.
	OfferHoldS uint32
}

// NewConfig builds the indexes of s. Alloc still has to be attached to the
// lease table as its observer, see alloc.Set.
func NewConfig(s *config.Snapshot, c Callouts) *Config { panic("engine: not built yet") }

// Engine is the shared part.
type Engine struct {
	leases *lease.Table
	cfg    atomic.Pointer[Config]
}

// New returns an engine over the table.
func New(t *lease.Table, c *Config) *Engine {
	e := &Engine{leases: t}
	e.cfg.Store(c)
	return e
}

// Config returns the configuration in force; SetConfig swaps it. Workers take
// it up at their next Begin.
func (e *Engine) Config() *Config     { return e.cfg.Load() }
func (e *Engine) SetConfig(c *Config) { e.cfg.Store(c) }

// Leases is the table.
func (e *Engine) Leases() *lease.Table { return e.leases }

// Query4 is one query on its way. The fields above the line are set by the
// caller; it is reused, its zeroing is Reset's.
type Query4 struct {
	Msg      *dhcp4.View
	NowUnixS int64
	IfIndex  uint32
	IfName   string     // of the interface it came in on, "" unknown
	IfAddr   dhcp4.IPv4 // an address of that interface: the server identifier by default
	// LocalAddrs are all addresses of the server's interfaces (V4-016).
	LocalAddrs []dhcp4.IPv4
	Src, Dst   dhcp4.IPv4
	SrcPort    uint16
	// Ext is the caller's own, for its callouts.
	Ext any
	// ---- set by the engine
	Subnet  *config.Subnet4
	Host    *config.Reservation4 // nil: none
	Classes ClassSet
	// Declared further by the package: client identity, scratch.
	queryState
}

// Reply4 is the decision. Type 0 (dhcp4.Reply.Type) means no answer.
type Reply4 struct {
	dhcp4.Reply
	// CommitPos is the journal position to wait for; 0 means send at once.
	CommitPos uint64
	// Lease is what was offered, granted, released or declined (HaveLease);
	// OldLease what it replaced (HaveOld); Deleted the client's previous lease
	// that was removed (HaveDeleted).
	Lease, OldLease, Deleted        lease.Lease4
	HaveLease, HaveOld, HaveDeleted bool
	// Reused says the lease was answered from the cache (V4-073).
	Reused bool
	// NAKReason explains a DHCPNAK for logs and counters.
	NAKReason Reason
	// Dst is where it goes (RFC 2131 §4.1, V4-026, V4-027): address and port,
	// and the link layer: to chaddr, to all, or to the source of the query.
	Dst     dhcp4.IPv4
	DstPort uint16
	L2      L2Dest
	// ServerID is the address the reply is sent from.
	ServerID dhcp4.IPv4
}

// L2Dest is the link-layer destination of a reply.
type L2Dest uint8

const (
	L2Source    L2Dest = iota // to the MAC the query came from (relayed, renewing)
	L2CHAddr                  // to chaddr
	L2Broadcast               // ff:ff:ff:ff:ff:ff
)

// Worker is the part of an Engine that one goroutine owns.
type Worker struct {
	workerState
}

// NewWorker returns a worker that journals its changes through j (nil: nothing
// is durable, CommitPos is always 0).
func (e *Engine) NewWorker(j lease.Journal) *Worker { panic("engine: not built yet") }

// Begin takes up the configuration in force and returns it.
func (w *Worker) Begin() *Config { panic("engine: not built yet") }

// Accept4 checks what needs no subnet: message type, identity, server
// identifier (V4-011 … V4-016), and puts the query into the classes that need
// no expression (ALL, VENDOR_CLASS_…).
func (w *Worker) Accept4(q *Query4) Reason { panic("engine: not built yet") }

// SelectSubnet4 sets q.Subnet (nil: none; Process4 then answers as V4-020 says).
func (w *Worker) SelectSubnet4(q *Query4) { panic("engine: not built yet") }

// Process4 decides and changes leases. With a reason other than ReasonOK there
// is no answer; with ReasonOK and r.Type 0 the query was handled and needs none
// (RELEASE, DECLINE).
func (w *Worker) Process4(q *Query4, r *Reply4) Reason { panic("engine: not built yet") }

// Finish4 fills the reply's options and fields from the configuration and
// decides where it goes.
func (w *Worker) Finish4(q *Query4, r *Reply4) Reason { panic("engine: not built yet") }

// Reclaim handles up to max due leases (0: all) and stops early when stop
// reports true between two: it expires, recovers declined ones and removes what
// was held long enough (LS-018, LS-019). remove deletes expired leases at once
// (leases-reclaim). It returns how many it handled. w is the reclaimer's own.
func (w *Worker) Reclaim(nowUnixS int64, max int, remove bool, stop func() bool) int {
	panic("engine: not built yet")
}
