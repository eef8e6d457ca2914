package hooks

import "fmt"

// Point is one of Kea's hook points (HP-001 to HP-034). The zero value is no
// point.
type Point uint8

// The points of DHCPv4 and of the control channel. Where nothing else is said
// the callout is a Callout4 and may use Msg, Classes, the addresses and the
// interface of the query.
const (
	_ Point = iota
	// ContextCreate and ContextDestroy are the first and the last thing that
	// happens to a query, whatever becomes of it. The status is ignored.
	ContextCreate
	ContextDestroy
	// Dhcp4SrvConfigured runs when a configuration has been accepted and before
	// it is used (OnConfigured). Drop refuses it with the event's Error.
	Dhcp4SrvConfigured
	// CB4Updated follows a change through the configuration backend
	// (OnConfigured). The status is ignored.
	CB4Updated
	// Buffer4Receive sees Raw, the unparsed message; Msg is not parsed yet.
	// Skip: the callout has parsed Msg itself. Drop: discard.
	Buffer4Receive
	// Pkt4Receive sees the parsed message and the first classes. Skip and Drop
	// discard.
	Pkt4Receive
	// Subnet4Select sees Subnet (nil: none was found) and may change it with
	// SelectSubnet. Skip: go on without a subnet. Drop: discard. Park.
	Subnet4Select
	// Host4Identifier sets HostID and HostIDType; it runs only when flex-id is
	// among host-reservation-identifiers. Anything but Continue: ignored.
	Host4Identifier
	// Lease4Select sees Lease before it is stored and may change it; Fake is
	// true for an OFFER, OfferLifetimeS its lifetime, OldLease the record of the
	// address that it replaces (nil: none). Skip and Drop: lease refused.
	Lease4Select
	// Lease4Renew sees Lease as it will be stored and OldLease. Skip: the stored
	// lease stays as it is.
	Lease4Renew
	// Lease4Release and Lease4Decline see Lease. Skip and Drop: it is kept.
	Lease4Release
	Lease4Decline
	// Lease4ServerDecline follows a conflict found by Lease4Offer. The status is
	// ignored.
	Lease4ServerDecline
	// Lease4Offer sees Reply, Lease, OldLease and OfferLifetimeS and may set
	// OfferAddressInUse, which declines the address and drops the query. Drop:
	// no OFFER. Park.
	Lease4Offer
	// Leases4Committed sees Reply (nil where there is none), Lease and Deleted,
	// each nil where there is none, after REQUEST, RELEASE and DECLINE. Drop: no
	// answer. Park.
	Leases4Committed
	// DDNS4Update sees DDNS and may change it. The status is ignored.
	DDNS4Update
	// Lease4Expire sees one expired lease (OnLease). Skip: the callout has
	// reclaimed it.
	Lease4Expire
	// Lease4Recover sees a declined lease whose probation is over (OnLease).
	// Skip: it stays declined.
	Lease4Recover
	// Pkt4Send sees Reply and Subnet. Skip: the callout has put the wire form
	// into Raw. Drop: not sent.
	Pkt4Send
	// Buffer4Send sees Raw, the wire form of the reply, Reply, Lease and
	// OfferLifetimeS. Skip and Drop: not sent; what was leased stays leased.
	Buffer4Send
	// CommandProcessed follows every control command (OnCommandProcessed). The
	// status is ignored.
	CommandProcessed
	// HTTPAuth and HTTPResponse are around a command that came by HTTP (OnHTTP).
	// At HTTPAuth anything but Continue answers what the callout has put into
	// the event; at HTTPResponse the status is ignored and the body may be
	// changed.
	HTTPAuth
	HTTPResponse

	// CB6Updated and Dhcp6SrvConfigured are as their siblings of DHCPv4, and so
	// are the points of DHCPv6 queries (Callout6, registered with On6) where
	// nothing else is said.
	Dhcp6SrvConfigured
	CB6Updated
	Buffer6Receive
	Pkt6Receive
	Subnet6Select
	Host6Identifier
	// Lease6Select is called for every address and prefix of a message.
	Lease6Select
	// Lease6Renew and Lease6Rebind see Lease as it will be stored and OldLease.
	// Skip: the stored lease stays as it is.
	Lease6Renew
	Lease6Rebind
	Lease6Release
	Lease6Decline
	// Leases6Committed sees Reply, Committed and Deleted after REQUEST, RENEW,
	// REBIND, RELEASE, DECLINE and SOLICIT with rapid commit. Drop: no answer.
	// Park.
	Leases6Committed
	DDNS6Update
	// Lease6Expire and Lease6Recover take a LeaseCallout6 (OnLease6).
	Lease6Expire
	Lease6Recover
	// Addr6Register sees Lease as it will be registered (RFC 9686) and OldLease.
	// Skip: not registered, answered all the same. Drop: discard.
	Addr6Register
	Pkt6Send
	Buffer6Send

	numPoints
	// Numbers from 64 on are kept for DHCP-DDNS.
)

// kind is which callouts a point takes.
type kind uint8

const (
	kindQuery kind = iota + 1
	kindLease
	kindConfigured
	kindCommand
	kindHTTP
	kindQuery6
	kindLease6
)

var points = [numPoints]struct {
	name string
	kind kind
	park bool
}{
	ContextCreate:       {"context_create", kindQuery, false},
	ContextDestroy:      {"context_destroy", kindQuery, false},
	Dhcp4SrvConfigured:  {"dhcp4_srv_configured", kindConfigured, false},
	CB4Updated:          {"cb4_updated", kindConfigured, false},
	Buffer4Receive:      {"buffer4_receive", kindQuery, false},
	Pkt4Receive:         {"pkt4_receive", kindQuery, false},
	Subnet4Select:       {"subnet4_select", kindQuery, true},
	Host4Identifier:     {"host4_identifier", kindQuery, false},
	Lease4Select:        {"lease4_select", kindQuery, false},
	Lease4Renew:         {"lease4_renew", kindQuery, false},
	Lease4Release:       {"lease4_release", kindQuery, false},
	Lease4Decline:       {"lease4_decline", kindQuery, false},
	Lease4ServerDecline: {"lease4_server_decline", kindQuery, false},
	Lease4Offer:         {"lease4_offer", kindQuery, true},
	Leases4Committed:    {"leases4_committed", kindQuery, true},
	DDNS4Update:         {"ddns4_update", kindQuery, false},
	Lease4Expire:        {"lease4_expire", kindLease, false},
	Lease4Recover:       {"lease4_recover", kindLease, false},
	Pkt4Send:            {"pkt4_send", kindQuery, false},
	Buffer4Send:         {"buffer4_send", kindQuery, false},
	CommandProcessed:    {"command_processed", kindCommand, false},
	HTTPAuth:            {"http_auth", kindHTTP, false},
	HTTPResponse:        {"http_response", kindHTTP, false},
	Dhcp6SrvConfigured:  {"dhcp6_srv_configured", kindConfigured, false},
	CB6Updated:          {"cb6_updated", kindConfigured, false},
	Buffer6Receive:      {"buffer6_receive", kindQuery6, false},
	Pkt6Receive:         {"pkt6_receive", kindQuery6, false},
	Subnet6Select:       {"subnet6_select", kindQuery6, true},
	Host6Identifier:     {"host6_identifier", kindQuery6, false},
	Lease6Select:        {"lease6_select", kindQuery6, false},
	Lease6Renew:         {"lease6_renew", kindQuery6, false},
	Lease6Rebind:        {"lease6_rebind", kindQuery6, false},
	Lease6Release:       {"lease6_release", kindQuery6, false},
	Lease6Decline:       {"lease6_decline", kindQuery6, false},
	Leases6Committed:    {"leases6_committed", kindQuery6, true},
	DDNS6Update:         {"ddns6_update", kindQuery6, false},
	Lease6Expire:        {"lease6_expire", kindLease6, false},
	Lease6Recover:       {"lease6_recover", kindLease6, false},
	Addr6Register:       {"addr6_register", kindQuery6, false},
	Pkt6Send:            {"pkt6_send", kindQuery6, false},
	Buffer6Send:         {"buffer6_send", kindQuery6, false},
}

// String returns Kea's name of the point.
func (p Point) String() string {
	if p == 0 || p >= numPoints {
		return fmt.Sprintf("point(%d)", uint8(p))
	}
	return points[p].name
}

// CanPark says whether Park means something at the point. Elsewhere it is an
// error of the library and treated as Drop.
func (p Point) CanPark() bool { return p < numPoints && points[p].park }

// QueryPoints returns the points that take a Callout4, in the order of the
// constants.
func QueryPoints() []Point { return ofKind(kindQuery) }

// LeasePoints returns the points that take a LeaseCallout4.
func LeasePoints() []Point { return ofKind(kindLease) }

// QueryPoints6 returns the points that take a Callout6: those of both families
// first.
func QueryPoints6() []Point {
	return append([]Point{ContextCreate, ContextDestroy}, ofKind(kindQuery6)...)
}

func ofKind(k kind) []Point {
	var ps []Point
	for p := Point(1); p < numPoints; p++ {
		if points[p].kind == k {
			ps = append(ps, p)
		}
	}
	return ps
}

// Status is what a callout answers: Kea's next step. See the package comment
// for how the statuses of several callouts are joined.
type Status uint8

const (
	// Continue goes on.
	Continue Status = iota
	// Skip leaves out the step that follows the point.
	Skip
	// Drop discards the query, the reply or the change.
	Drop
	// Park keeps the query until it is resumed.
	Park
)

// String returns Kea's word.
func (s Status) String() string {
	switch s {
	case Continue:
		return "CONTINUE"
	case Skip:
		return "SKIP"
	case Drop:
		return "DROP"
	case Park:
		return "PARK"
	}
	return fmt.Sprintf("status(%d)", uint8(s))
}

// DropReason says why a callout dropped a query, so that the server counts it
// under Kea's statistic.
type DropReason uint8

const (
	// DropUnspecified is a callout's plain Skip or Drop.
	DropUnspecified DropReason = iota
	// DropLimitExceeded is pkt4-limit-exceeded.
	DropLimitExceeded
	// DropNotForUs is pkt4-not-for-us: another server's scope.
	DropNotForUs
	// DropAdminFiltered is pkt4-admin-filtered.
	DropAdminFiltered
	// DropQueueFull is pkt4-queue-full: what the library asks has no room.
	DropQueueFull
	// DropDuplicate is pkt4-duplicate: the client's query is already in work.
	DropDuplicate
	// DropProcessingFailed is pkt4-processing-failed: also a panic, and a Park
	// without a reference.
	DropProcessingFailed

	// NumDropReasons is for tables by DropReason.
	NumDropReasons
)

var dropReasons = [NumDropReasons]string{
	"", "limit-exceeded", "not-for-us", "admin-filtered", "queue-full", "duplicate", "processing-failed",
}

// String returns the end of Kea's statistic name after "pkt4-" or "pkt6-"; it is
// empty for DropUnspecified, which counts in receive-drop alone.
func (r DropReason) String() string {
	if r >= NumDropReasons {
		return ""
	}
	return dropReasons[r]
}
