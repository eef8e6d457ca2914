// Package lease holds leases in memory: values, states, the sharded table with
// its indexes by address, hardware address, client identifier, subnet and
// expiry.
//
// The table is the truth about who owns an address. Every change goes through
// one primitive, Put (or Delete), which succeeds only if the record is still
// the version the caller has read: whoever interleaves, an address never has
// two owners. The change, its sequence number and its journal record are made
// under the lock of the address's shard, so that journal order by sequence
// number is memory order.
//
// All methods may be called from any goroutine unless they say otherwise.
package lease

import (
	"errors"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease/slab"
)

// State is Kea's numbering of lease states (LS-017).
type State uint8

const (
	StateDefault          State = 0
	StateDeclined         State = 1
	StateExpiredReclaimed State = 2
	StateReleased         State = 3
	// StateRegistered is a DHCPv6 address its client chose itself (RFC 9686).
	StateRegistered State = 4
	// StateOffered is ours alone: a DHCPOFFER keeps the address from the
	// allocator for a moment. It is volatile, never journaled, never shown as a
	// lease, and any client's DHCPREQUEST or a full pool may take it over.
	StateOffered State = 255
)

// InfiniteLifetime never expires (RFC 2131 §3.3).
const InfiniteLifetime uint32 = 0xFFFFFFFF

const (
	// MaxHWAddrLen is the longest hardware address kept (Kea's limit).
	MaxHWAddrLen = 20
	// MaxClientIDLen is the longest client identifier: one option.
	MaxClientIDLen = 255
	// MaxHostnameLen is the longest host name.
	MaxHostnameLen = 255
)

// Lease4 is one DHCPv4 lease as a value. It is large (arrays, not slices, so
// that it owns its bytes and needs no allocation): pass it by pointer. What the
// arrays hold beyond their lengths is zero, which its methods and the table see
// to, so that values can be compared with ==.
type Lease4 struct {
	Addr           dhcp4.IPv4
	SubnetID       uint32
	PoolID         uint32
	CLTTUnixS      int64  // client's last transaction time, seconds since 1970
	ValidLifetimeS uint32 // seconds; InfiniteLifetime never expires
	State          State
	FQDNFwd        bool
	FQDNRev        bool
	HWType         uint8 // ARP hardware type, 1 is Ethernet
	HWLen          uint8
	ClientIDLen    uint8
	HostnameLen    uint8
	HWAddr         [MaxHWAddrLen]byte
	ClientID       [MaxClientIDLen]byte
	Hostname       [MaxHostnameLen]byte
	// UserContext is JSON text or empty.
	UserContext string
	// Version is the sequence number of the change that made this value; 0
	// means there is no record. The table sets it.
	Version uint64
}

// HW returns the hardware address; it aliases l.
func (l *Lease4) HW() []byte { return l.HWAddr[:l.HWLen] }

// CID returns the client identifier (empty if none); it aliases l.
func (l *Lease4) CID() []byte { return l.ClientID[:l.ClientIDLen] }

// Host returns the host name (empty if none); it aliases l.
func (l *Lease4) Host() []byte { return l.Hostname[:l.HostnameLen] }

// SetHW copies a hardware address; longer than MaxHWAddrLen is cut.
func (l *Lease4) SetHW(htype uint8, hw []byte) {
	l.HWType = htype
	slab.SetLen(l.HWAddr[:], &l.HWLen, copy(l.HWAddr[:], hw))
}

// SetCID copies a client identifier; longer than MaxClientIDLen is cut.
func (l *Lease4) SetCID(id []byte) {
	slab.SetLen(l.ClientID[:], &l.ClientIDLen, copy(l.ClientID[:], id))
}

// SetHost copies a host name; longer than MaxHostnameLen is cut.
func (l *Lease4) SetHost(name []byte) {
	slab.SetLen(l.Hostname[:], &l.HostnameLen, copy(l.Hostname[:], name))
}

// CopyFrom makes l what o is. It copies only those octets of the arrays that
// count, which are nearly always few; l == o is allowed.
func (l *Lease4) CopyFrom(o *Lease4) {
	l.Addr, l.SubnetID, l.PoolID = o.Addr, o.SubnetID, o.PoolID
	l.CLTTUnixS, l.ValidLifetimeS = o.CLTTUnixS, o.ValidLifetimeS
	l.State, l.FQDNFwd, l.FQDNRev = o.State, o.FQDNFwd, o.FQDNRev
	l.HWType = o.HWType
	l.HWAddr, l.HWLen = o.HWAddr, o.HWLen
	l.SetCID(o.CID())
	l.SetHost(o.Host())
	l.UserContext, l.Version = o.UserContext, o.Version
}

// ExpiresUnixS is CLTT plus lifetime; for an infinite lease the largest int64.
func (l *Lease4) ExpiresUnixS() int64 {
	if l.ValidLifetimeS == InfiniteLifetime {
		return 1<<63 - 1
	}
	return l.CLTTUnixS + int64(l.ValidLifetimeS)
}

// Expired is Kea's test: strictly before now (V4-072).
func (l *Lease4) Expired(nowUnixS int64) bool { return l.ExpiresUnixS() < nowUnixS }

// Errors of Put and Delete. They are plain values: the hot path compares them.
var (
	// ErrConflict: the record is not the version the caller read.
	ErrConflict = errors.New("change lease: record was changed meanwhile")
	// ErrJournal: the journal takes no record now (ring full or store failed);
	// nothing was changed.
	ErrJournal = errors.New("change lease: journal takes no records")
	// ErrTableFull: the table's configured limit is reached; nothing changed.
	ErrTableFull = errors.New("change lease: table is full")
)

// Op says what a journal record does.
type Op uint8

const (
	OpPut    Op = 1
	OpDelete Op = 2
)

// Journal takes lease changes on their way to stable storage. A Journal value
// is a single producer: it belongs to one goroutine (a worker, the reclaimer,
// the control channel each have their own).
type Journal interface {
	// Append queues one change; l.Version is its sequence number, for OpDelete
	// only Addr, SubnetID and Version count. It never blocks. pos is the
	// position to wait for before the change may be promised to anybody; ok is
	// false if there is no room or the store has failed, and then nothing was
	// queued.
	Append(op Op, l *Lease4) (pos uint64, ok bool)
	// Room is how many records can be appended now.
	Room() int
	// Healthy is false while the store cannot make anything durable.
	Healthy() bool
	// DurableVersion is a lower bound: every change with Version up to it is on
	// stable storage, whoever appended it.
	DurableVersion() uint64
}

// Observer is told of every change while the shard is locked: it must be quick,
// must not call the table, and sees the changes of one address in order. old or
// new is nil when there was or is no record.
type Observer interface {
	LeaseChanged(old, new *Lease4)
}
