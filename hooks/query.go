package hooks

import (
	"encoding/json"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// SubnetInfo is what callouts may know of a subnet. It belongs to the
// configuration and is not changed.
type SubnetInfo struct {
	ID uint32
	// Prefix is the subnet as written in the configuration.
	Prefix string
	// UserContext is JSON text, nil if there is none.
	UserContext json.RawMessage
}

// Classes is the set of client classes of one query. The server implements it;
// its methods do not allocate. It is used by one goroutine.
type Classes interface {
	// InClass says whether the query is in the class.
	InClass(name string) bool
	// AddClass puts the query into the class and reports whether it could: false
	// if the configuration knows no such class or the set is full.
	AddClass(name string) bool
	// NextClass returns the first class at or after position pos and the
	// position to go on from; ok is false at the end. The first position is 0.
	NextClass(pos int) (name string, next int, ok bool)
}

// SubnetSelector finds subnets of the configuration in force. The server
// implements it.
type SubnetSelector interface {
	// SubnetByID returns the subnet, nil if there is none.
	SubnetByID(id uint32) *SubnetInfo
}

// HostIDType is how a host is identified (V4-120).
type HostIDType uint8

const (
	HostIDHWAddr HostIDType = iota
	HostIDDUID
	HostIDCircuitID
	HostIDClientID
	HostIDFlex
)

// DDNS4 are the arguments of DDNS4Update; callouts may change them.
type DDNS4 struct {
	Hostname  string
	FwdUpdate bool
	RevUpdate bool
}

// maxSlots limits the scratch slots of all libraries of a configuration.
const maxSlots = 16

// Slot is a library's place for its own data in every query, given by
// Env.Slot.
type Slot uint8

type scratch struct {
	value any
	word  uint64
}

// Query is what queries of both families have in common. It is a part of Query4
// and Query6, never used alone.
type Query struct {
	// Raw is the bytes at the points that show a message's wire form. A callout
	// may change them or replace the slice.
	Raw []byte
	// NowUnixNs is the time of the worker's batch.
	NowUnixNs int64
	// IfName and IfIndex are the interface it came in on, "" and 0 if unknown.
	IfName           string
	IfIndex          uint32
	SrcPort, DstPort uint16
	// Subnet is the selected subnet, nil before the subnet is selected or if
	// there is none. Change it with SelectSubnet.
	Subnet *SubnetInfo
	// HostID and HostIDType are set by a callout of Host4Identifier or
	// Host6Identifier. The bytes must stay unchanged until the query is done.
	HostID     []byte
	HostIDType HostIDType
	// Classes and Subnets are the engine's side.
	Classes Classes
	Subnets SubnetSelector

	point      Point
	status     Status
	dropReason DropReason
	dirty      bool // a slot is in use
	slots      [maxSlots]scratch
}

// reset zeroes everything but Classes and Subnets.
func (q *Query) reset() {
	q.Raw, q.Subnet = nil, nil
	q.NowUnixNs, q.IfName, q.IfIndex = 0, "", 0
	q.SrcPort, q.DstPort = 0, 0
	q.HostID, q.HostIDType = nil, 0
	q.point, q.status, q.dropReason = 0, Continue, DropUnspecified
	if q.dirty {
		q.slots = [maxSlots]scratch{}
		q.dirty = false
	}
}

// Query4 is a DHCPv4 query as callouts see it. There is one for each worker; it
// and everything it points to is valid only during the callout, except where a
// parked query has been copied. Callouts of one query never run concurrently.
//
// The server calls Reset and sets the exported fields. A pointer is nil at
// points whose description does not name it.
type Query4 struct {
	Query
	// Msg is the parsed message.
	Msg *dhcp4.View
	// Src and Dst are the IP addresses of the packet.
	Src, Dst dhcp4.IPv4
	// Reply is the answer so far.
	Reply *dhcp4.Reply
	// Lease, OldLease and Deleted: see the points. They are the engine's own
	// values: changes to Lease at Lease4Select and Lease4Renew are stored.
	Lease, OldLease, Deleted *lease.Lease4
	// Fake is true while the lease is only offered.
	Fake bool
	// OfferLifetimeS is how long an offered lease is kept, 0: it is not.
	OfferLifetimeS uint32
	// OfferAddressInUse is set by a callout of Lease4Offer.
	OfferAddressInUse bool
	// DDNS is set at DDNS4Update.
	DDNS *DDNS4
	// Updater is the engine's side of SetUserContext.
	Updater LeaseUpdater

	parking *Parking
}

// LeaseUpdater stores once more what a query has been granted. The server
// implements it.
type LeaseUpdater interface {
	// SetUserContext gives the i-th lease that the query has been granted another
	// user context.
	SetUserContext(i int, context string) error
}

// SetUserContext gives Lease another user context, "" for none, and stores it in
// the journal of the query's worker without waiting: the reply does. It is for
// callouts of Lease4Offer (with OfferLifetimeS), Leases4Committed, Pkt4Send and
// Buffer4Send. lease.ErrConflict: somebody has changed the lease meanwhile;
// another error: it cannot be stored, and is as it was.
func (q *Query4) SetUserContext(context string) error {
	if q.Updater == nil || q.Lease == nil {
		return lease.ErrConflict
	}
	return q.Updater.SetUserContext(0, context)
}

// Reset prepares q for the next query: fields are zeroed, scratch slots
// cleared. It does not touch Classes and Subnets, which belong to the worker.
func (q *Query4) Reset() {
	q.reset()
	q.Msg, q.Reply = nil, nil
	q.Src, q.Dst = 0, 0
	q.Lease, q.OldLease, q.Deleted = nil, nil, nil
	q.Fake, q.OfferLifetimeS, q.OfferAddressInUse = false, 0, false
	q.DDNS, q.Updater, q.parking = nil, nil, nil
}

// Point is the hook point that is running.
func (q *Query) Point() Point { return q.point }

// Status is what the callouts before have made of the point.
func (q *Query) Status() Status { return q.status }

// SetStatus sets the status of the point; with Continue it undoes what an
// earlier callout said. What the callout then returns still counts after it.
func (q *Query) SetStatus(s Status) { q.status = s }

// SetDropReason says why this callout answers Skip or Drop. The latest one
// counts, if the query is dropped.
func (q *Query) SetDropReason(r DropReason) { q.dropReason = r }

// DropReason is the reason set last at this point.
func (q *Query) DropReason() DropReason { return q.dropReason }

// InClass says whether the query is in the class.
func (q *Query) InClass(name string) bool { return q.Classes != nil && q.Classes.InClass(name) }

// AddClass puts the query into the class; false if the configuration knows no
// such class or there is no room.
func (q *Query) AddClass(name string) bool { return q.Classes != nil && q.Classes.AddClass(name) }

// EachClass calls f for every class of the query until it returns false.
func (q *Query) EachClass(f func(name string) bool) {
	if q.Classes == nil {
		return
	}
	for name, pos, ok := q.Classes.NextClass(0); ok; name, pos, ok = q.Classes.NextClass(pos) {
		if !f(name) {
			return
		}
	}
}

// SelectSubnet chooses another subnet by its id, 0 for none, at Subnet4Select
// or in the function given to Parked.Resume there. It reports whether there is
// such a subnet; if not, nothing changes.
func (q *Query) SelectSubnet(id uint32) bool {
	if id == 0 {
		q.Subnet = nil
		return true
	}
	if q.Subnets == nil {
		return false
	}
	s := q.Subnets.SubnetByID(id)
	if s == nil {
		return false
	}
	q.Subnet = s
	return true
}

// Value and SetValue are the library's own data for the life of the query
// (Kea's callout context). A pointer kept across queries costs no allocation.
func (q *Query) Value(s Slot) any { return q.slots[s].value }

// SetValue stores v, see Value.
func (q *Query) SetValue(s Slot, v any) {
	q.slots[s].value = v
	q.dirty = true
}

// Word and SetWord are 64 bits of the library's own for the life of the query,
// 0 at first.
func (q *Query) Word(s Slot) uint64 { return q.slots[s].word }

// SetWord stores w, see Word.
func (q *Query) SetWord(s Slot, w uint64) {
	q.slots[s].word = w
	q.dirty = true
}

// CopyTo copies the query for parking, with its scratch slots and its Parking.
// Pointers and slices are copied as they are: the caller then replaces those
// that point into a frame or into the worker's scratch (Msg, Raw, Reply, Lease,
// OldLease, Deleted, HostID, Classes) by copies of its own.
func (q *Query4) CopyTo(dst *Query4) { *dst = *q }
