package engine

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/subnet"
)

// ClientState is the state of a client that sends a DHCPREQUEST, as its message
// shows it (RFC 2131 §4.3.2 and table 4, WR-03).
type ClientState uint8

const (
	// StateNone: not a DHCPREQUEST.
	StateNone ClientState = iota
	// StateSelecting: option 54 names the chosen server.
	StateSelecting
	// StateInitReboot: option 50, no option 54.
	StateInitReboot
	// StateRenewing: ciaddr alone, unicast.
	StateRenewing
	// StateRebinding: ciaddr alone, broadcast.
	StateRebinding
	// StateNoAddress: neither address nor server. Not a state of the RFC; Kea
	// gives such a client an address (V4-018).
	StateNoAddress
)

var clientStates = [...]string{"NONE", "SELECTING", "INIT-REBOOT", "RENEWING", "REBINDING", "NO-ADDRESS"}

// String is the RFC's spelling.
func (s ClientState) String() string { return clientStates[s] }

// clientState decides in which state the sender of a DHCPREQUEST is.
func clientState(v *dhcp4.View, dst dhcp4.IPv4) ClientState {
	switch {
	case v.Type() != dhcp4.MsgRequest:
		return StateNone
	case v.Has(dhcp4.OptServerIdentifier):
		return StateSelecting
	case v.Has(dhcp4.OptRequestedIPAddress):
		return StateInitReboot
	case v.CIAddr() == 0:
		return StateNoAddress
	case dst == dhcp4.Broadcast:
		return StateRebinding
	default:
		return StateRenewing
	}
}

// queryState is what the engine knows of a query beside the message.
type queryState struct {
	cfg   *Config
	rules *subnetRules // of Query4.Subnet

	// Read from the message by identify at the beginning of each step.
	hw     []byte // chaddr; nil if empty, or all zeros beside an identifier
	cid    []byte // option 61; nil if absent or empty
	flexID []byte
	flexT  config.IdentifierType

	// hosts are the client's reservations in the subnets of its link, global the
	// global one.
	hosts  []*config.Reservation4
	global *config.Reservation4

	clientName
	// stash is a relay's option that the lease has kept, empty: none.
	stash []byte

	// sname and file are what the reply's fields refer to.
	sname [64]byte
	file  [128]byte

	// vendorData is what options 124 and 125 of the reply refer to.
	vendorData []byte

	v6Only bool // answered without an address (V4-078)
}

// identify reads who the client is.
func (q *Query4) identify() {
	q.hw = q.Msg.CHAddr()
	q.cid = q.Msg.ClientID()
	if len(q.cid) == 0 {
		q.cid = nil
	}
	// Kea takes a chaddr of zeros for one like others. So be it for a client that
	// shows nothing else; those with an identifier are not all one.
	if len(q.hw) == 0 || q.cid != nil && q.Msg.Notes()&dhcp4.NoteZeroCHAddr != 0 {
		q.hw = nil
	}
	if q.Classes.vendor != nil {
		q.Classes.vendor = q.Msg.Option(dhcp4.OptVendorClassIdentifier)
	}
}

// HWAddr returns the client's hardware address, nil if it has none; it aliases
// the message.
func (q *Query4) HWAddr() []byte { return q.hw }

// ClientID returns the client identifier, nil if there is none; it aliases the
// message.
func (q *Query4) ClientID() []byte { return q.cid }

// matchCID is the identifier that counts in the query's subnet: none without
// match-client-id (V4-068).
func (q *Query4) matchCID() []byte {
	if q.Subnet.MatchClientID {
		return q.cid
	}
	return nil
}

// owns reports whether l belongs to the client with the hardware address of q
// and the identifier cid: the identifiers are equal, or one side has none and
// the hardware addresses are equal (V4-068, V4-023).
func (q *Query4) owns(l *lease.Lease4, cid []byte) bool {
	if len(cid) > 0 && l.ClientIDLen > 0 {
		return bytes.Equal(cid, l.CID())
	}
	return q.hw != nil && l.HWLen > 0 && l.HWType == q.Msg.HType() && bytes.Equal(q.hw, l.HW())
}

// Relayed says whether a relay agent sent the query, by Kea's test (V4-027).
func (q *Query4) Relayed() bool {
	g := q.Msg.GIAddr()
	return g != 0 && g != dhcp4.Broadcast
}

// leased reports whether nobody else may have the address: an unexpired lease,
// or an address in probation. Offers are not meant.
func leased(l *lease.Lease4, nowUnixS int64) bool {
	return (l.State == lease.StateDefault || l.State == lease.StateDeclined) && !l.Expired(nowUnixS)
}

// isOffer reports whether the record is nothing but an offer.
func isOffer(l *lease.Lease4) bool { return l.State == lease.StateOffered }

// conflictTries is how often a decision is taken anew because a lease it was
// based on has changed meanwhile. Then the query is dropped: the client asks
// again.
const conflictTries = 3

// minJournalRoom is how many records one query may need.
const minJournalRoom = 4

type workerState struct {
	e   *Engine
	t   *lease.Table
	j   lease.Journal
	cfg *Config

	q       *Query4 // whose class guards allowed asks
	allowed func(*config.Subnet4) bool
	sel     subnet.Selector

	// Scratch, large values that would otherwise be on the heap or the stack.
	cur   lease.Lease4 // the client's record
	exist lease.Lease4 // the record of an address
	tmp   lease.Lease4
	under lease.Lease4 // the record that an offer stands over
	next  lease.Lease4 // what is stored

	pkt           packet4
	scratch       class.Scratch
	classFailures uint64
	additional    []uint32
	context       []byte // a user context in the making
	found         []*config.Reservation4
	link          []*config.Subnet4   // see clientSubnets
	usable        func(pool int) bool // of q, made once

	scopes []*config.Options
	plans  plans
	due    [64]lease.Due

	reclaimed ReclaimCounts
	// nothingDueAt is the time at which reclaimForSpace found nothing last.
	nothingDueAt int64
}

// journalReady says why no lease may be promised now, ReasonOK if one may.
func (w *Worker) journalReady() Reason {
	switch {
	case w.j == nil:
		return ReasonOK
	case !w.j.Healthy():
		return ReasonJournalFailed
	case w.j.Room() < minJournalRoom:
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
func (w *Worker) durable(l *lease.Lease4) bool {
	return w.j == nil || w.j.DurableVersion() >= l.Version
}
