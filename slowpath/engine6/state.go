package engine6

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/subnet6"
)

const (
	// MaxQueryHosts is in how many subnets of a shared network a client's
	// reservations are looked at, a global one not counted.
	MaxQueryHosts = 8
	// maxAllocated is how many leases of a query are kept in mind for their
	// pools' options.
	maxAllocated = 64
)

// queryState is what the engine knows of a query beside the message.
type queryState struct {
	cfg   *Config
	rules *subnetRules // of Query6.Subnet

	// Read from the message by identify at the beginning of each step.
	duid []byte
	hw   hwaddr
	eui  [6]byte

	flexAsked bool
	flexID    []byte
	flexT     config.IdentifierType

	early  bool // early-global-reservations-lookup has been done
	drop   bool // and put the query into class DROP
	global *config.Reservation6
	hosts  [MaxQueryHosts]subnetHost
	nHosts uint8
	// hostSubnet is where a reserved resource was given from; it decides which
	// of the hosts counts (Kea's host_subnet_).
	hostSubnet *subnetRules

	allocated  [maxAllocated]resource
	nAllocated uint8

	fqdn fqdn
	// name is the host name of the client's leases, without option 39's flags.
	name        [lease.MaxHostnameLen]byte
	nameLen     uint8
	fwd, rev    bool
	fqdnPresent bool

	// exclude are the values of option 67 of the reply's prefixes.
	exclude  [maxExclude][17]byte
	nExclude uint8
}

const maxExclude = 32

type subnetHost struct {
	subnetID uint32
	host     *config.Reservation6
}

// resource is an address or prefix of a lease of the query.
type resource struct {
	addr   dhcp6.IPv6
	length uint8
	typ    lease6.Type
}

// isAllocated reports whether another IA of the query has the resource already.
func (q *Query6) isAllocated(a dhcp6.IPv6, length uint8) bool {
	for i := range q.allocated[:q.nAllocated] {
		if x := &q.allocated[i]; x.addr == a && x.length == length {
			return true
		}
	}
	return false
}

func (q *Query6) addAllocated(a dhcp6.IPv6, length uint8, t lease6.Type) {
	if int(q.nAllocated) < len(q.allocated) {
		q.allocated[q.nAllocated] = resource{a, length, t}
		q.nAllocated++
	}
}

// owns reports whether l is of the IA of that type and IAID of the client.
func (q *Query6) owns(l *lease6.Lease6, t lease6.Type, iaid uint32) bool {
	return l.Type == t && l.IAID == iaid && l.DUIDLen > 0 && bytes.Equal(l.ID(), q.duid)
}

// leased reports whether nobody else may have the address: an unexpired lease,
// an address in probation, or a registered one, which is removed before it can
// be given out (V6-015). Offers are not meant.
func leased(l *lease6.Lease6, nowUnixS int64) bool {
	switch l.State {
	case lease.StateRegistered:
		return true
	case lease.StateDefault, lease.StateDeclined:
		return !l.Expired(nowUnixS)
	}
	return false
}

// conflictTries is how often a decision is taken anew because a lease it was
// based on has changed meanwhile. Then the query is dropped: the client asks
// again.
const conflictTries = 3

// minJournalRoom is how many records one IA may need.
const minJournalRoom = 4

// maxCandidates is how many leases of one IA are looked at.
const maxCandidates = lease6.MaxPerIA + 4

// candidate is a lease of the IA in hand: one the client has, or a new one.
type candidate struct {
	slot  uint8 // in workerState.slots
	isNew bool
	gone  bool
	// What the client is told; of a reused lease what remains.
	preferredS, validS uint32
	reused             bool
}

// lost is a lease that the client no longer has.
type lost struct {
	addr   dhcp6.IPv6
	length uint8
	own    bool // it was of the client's DUID
}

const maxLost = 16

// ia is the IA in hand.
type ia struct {
	typ    lease6.Type
	iaid   uint32
	extend bool // RENEW, REBIND
	offer  bool // nothing is promised

	cands  [maxCandidates]candidate
	nCand  int
	slots  int
	lost   [maxLost]lost
	nLost  int
	hints  [dhcp6.MaxResources]dhcp6.Resource
	nHints int

	// offered is the slot of what was offered to the IA and not yet taken.
	offered *lease6.Lease6
}

type workerState struct {
	e   *Engine
	t   *lease6.Table
	j   lease6.Journal
	cfg *Config

	q       *Query6 // whose class guards allowed asks
	allowed func(*config.Subnet6) bool
	// pdAllowed is the same for the pd-pools of its subnet.
	pdAllowed func(int) bool
	sel       subnet6.Selector
	pkt       class.Message6
	scratch   class.Scratch

	ia ia
	// client is where the leases of the query's client are, once asked for.
	client      lease6.Client
	clientKnown bool
	// Scratch, large values that would otherwise be on the heap or the stack.
	slots  [maxCandidates]lease6.Lease6 // the leases of ia
	exist  lease6.Lease6                // the record of an address
	under  lease6.Lease6                // the record that an offer stands over
	next   lease6.Lease6                // what is stored
	relays [lease6.MaxRelayInfoLen]byte

	opts optionScratch
	due  [64]lease6.Due
	// classFailures counts expressions that could not be evaluated.
	classFailures uint64

	reclaimed ReclaimCounts
	// maxRegistered is maxRegistered but for tests.
	maxRegistered uint64
	// nothingDueAt is the time at which reclaimForSpace found nothing last.
	nothingDueAt int64
}

// ClassFailures is how many expressions could not be evaluated since the worker
// was made (CL-027). Only for the worker's goroutine.
func (w *Worker) ClassFailures() uint64 { return w.classFailures }

// journalReady says why no lease may be promised now, ReasonOK if one may.
func (w *Worker) journalReady() Reason {
	switch {
	case w.j == nil:
		return ReasonOK
	case !w.j.Healthy():
		return ReasonJournalFailed
	case w.j.Room6() < minJournalRoom:
		return ReasonJournalFull
	}
	return ReasonOK
}

// putReason turns an error of the table into a reason.
func (w *Worker) putReason(err error) Reason {
	switch err {
	case nil:
		return ReasonOK
	case lease.ErrConflict:
		return ReasonConflict
	case lease.ErrTableFull:
		return ReasonTableFull
	}
	if w.j != nil && !w.j.Healthy() {
		return ReasonJournalFailed
	}
	return ReasonJournalFull
}

// durable reports whether the stored lease l is on stable storage.
func (w *Worker) durable(l *lease6.Lease6) bool {
	return w.j == nil || w.j.DurableVersion6() >= l.Version
}
