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

// Callouts are the hook points inside Process4 and Reclaim. A nil function is
// skipped. Leases they get are theirs to read during the call only, and to
// change where it says so.
type Callouts struct {
	// HostIdentifier gives a flex-id; it is asked only if flex-id is among
	// host-reservation-identifiers. id must stay valid as long as the message.
	HostIdentifier func(q *Query4) (id []byte, t config.IdentifierType, ok bool)
	// LeaseSelect sees l before it is stored (fake: for an OFFER) and may change
	// it, but for the address. Skip or Drop refuse the lease.
	LeaseSelect func(q *Query4, l *lease.Lease4, fake bool) Status
	// LeaseRenew sees the client's lease before it is stored again (or offered
	// again, as in Kea) and may change it, but for the address. Skip leaves the
	// stored lease as it is; the client is told what remains of it.
	LeaseRenew func(q *Query4, l *lease.Lease4) Status
	// LeaseRelease, LeaseDecline: Skip or Drop leave the lease as it is.
	LeaseRelease func(q *Query4, l *lease.Lease4) Status
	LeaseDecline func(q *Query4, l *lease.Lease4) Status
	// LeaseExpire is called for each lease that is reclaimed, by Reclaim or
	// because its address is given out again. Skip: the callout has done
	// everything, Reclaim leaves the record alone.
	LeaseExpire func(l *lease.Lease4, remove bool) Status
	// LeaseRecover: Skip leaves the address declined.
	LeaseRecover func(l *lease.Lease4) Status
	// Reclaimed counts: it is told of each lease after it was reclaimed, as it
	// was before, on the goroutine that did it. Not a hook point of Kea's, but what its statistics
	// reclaimed-leases and reclaimed-declined-addresses are made of.
	Reclaimed func(l *lease.Lease4)
}

// Config is everything of one configuration that deciding needs; immutable,
// swapped whole. NewConfig makes it.
type Config struct {
	Snapshot *config.Snapshot
	Subnets  *subnet.Index
	Hosts    *host.Index
	// HostLists are the reservations where a look-up may find several.
	HostLists *host.Lists
	Alloc     *alloc.Set
	Callouts  Callouts
	// OfferHoldS is Dataplane.OfferHoldS.
	OfferHoldS uint32

	rules
}

// NewConfig builds the indexes of s. Alloc still has to be attached to the
// lease table as its observer, see alloc.Set.
func NewConfig(s *config.Snapshot, c Callouts) *Config {
	d := s.Dhcp4
	return &Config{
		Snapshot:   s,
		Subnets:    subnet.NewIndex(d),
		Hosts:      host.NewIndex(d),
		HostLists:  host.NewLists(d),
		Alloc:      alloc.NewSet(d),
		Callouts:   c,
		OfferHoldS: uint32(max(s.Dataplane.OfferHoldS, 0)),
		rules:      newRules(d),
	}
}

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
// it up at their next Begin; queries on their way keep the one they began with.
func (e *Engine) Config() *Config     { return e.cfg.Load() }
func (e *Engine) SetConfig(c *Config) { e.cfg.Store(c) }

// Leases is the table.
func (e *Engine) Leases() *lease.Table { return e.leases }

// Query4 is one query on its way. The fields above the line are set by the
// caller; it is reused, Accept4 resets what is below the line. A parked query
// may be moved: Msg may be parsed again over a copy of the frame before the
// next step, nothing below the line keeps references into the message that
// outlive a step.
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

	// Subnet is what SelectSubnet4 chose; a subnet4_select callout may replace
	// it by another subnet of the same configuration.
	Subnet  *config.Subnet4
	Host    *config.Reservation4 // nil: none
	Classes ClassSet
	// State is the client's, see ClientState.
	State ClientState
	queryState
}

// Reply4 is the decision. Type 0 (dhcp4.Reply.Type) means no answer.
type Reply4 struct {
	dhcp4.Reply
	// CommitPos is the journal position to wait for; 0 means send at once.
	CommitPos uint64
	// Lease is what was offered, granted, released or declined (HaveLease);
	// OldLease what it replaced (HaveOld); Deleted the client's previous lease
	// that was removed (HaveDeleted). A Lease that is only offered shows
	// StateDefault and the lifetime that it would have.
	Lease, OldLease, Deleted        lease.Lease4
	HaveLease, HaveOld, HaveDeleted bool
	// Reused says the lease was answered from the cache (V4-073).
	Reused bool
	// ReservationConflict says that the client's reserved address is leased to
	// another client (v4-reservation-conflicts, V4-069).
	ReservationConflict bool
	// NAKReason explains a DHCPNAK for logs and counters.
	NAKReason Reason
	// ValidLifetimeS is what option 51 says, in seconds: of a reused lease what
	// remains.
	ValidLifetimeS uint32
	// Dst is where it goes (RFC 2131 §4.1, V4-026, V4-027): address and port,
	// and the link layer: to chaddr, to all, or to the source of the query.
	Dst     dhcp4.IPv4
	DstPort uint16
	L2      L2Dest
	// ServerID is the address the reply is sent from.
	ServerID dhcp4.IPv4
	// MaxLen and PRL are for dhcp4.Reply.Append: the longest DHCP message that
	// the client takes (option 57, RFC 2132 §9.10) and a packet carries, and its
	// parameter request list, which aliases the query's message.
	MaxLen int
	PRL    []byte
	// LeftOut is how many options found no room in the reply's list.
	LeftOut int
}

// reset forgets the last decision. The leases keep their old octets, the Have
// fields say that they do not count.
func (r *Reply4) reset() {
	r.Reply.Reset()
	r.CommitPos = 0
	r.HaveLease, r.HaveOld, r.HaveDeleted = false, false, false
	r.Reused, r.ReservationConflict = false, false
	r.NAKReason = ReasonOK
	r.ValidLifetimeS = 0
	r.Dst, r.DstPort, r.L2, r.ServerID = 0, 0, L2Source, 0
	r.MaxLen, r.PRL, r.LeftOut = 0, nil, 0
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
func (e *Engine) NewWorker(j lease.Journal) *Worker {
	w := &Worker{}
	w.e, w.t, w.j = e, e.leases, j
	w.cfg = e.Config()
	w.allowed = w.subnetAllowed // once: a method value made per query would allocate
	w.usable = w.usablePool
	return w
}

// Begin takes up the configuration in force and returns it.
func (w *Worker) Begin() *Config {
	w.cfg = w.e.cfg.Load()
	return w.cfg
}
