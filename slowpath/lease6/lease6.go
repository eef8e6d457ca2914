// Package lease6 holds DHCPv6 leases in memory: values, and the sharded table
// with its indexes by address, by client (DUID) and by expiry. It is the sibling
// of package lease, whose rules, states and errors it shares: what stands there of
// offers, versions, journal and observer holds here.
//
// # The key
//
// A record is filed under its address alone (of a delegated prefix: its first
// address), as Kea's lease databases do. So an address or prefix start has one
// owner whatever type and length are asked for: a pool whose delegated length
// was changed cannot give a prefix that starts where another client's does. Who
// reads a record checks Type and PrefixLen. That prefixes of different length do
// not overlap otherwise is the allocator's concern.
//
// All methods may be called from any goroutine unless they say otherwise.
package lease6

import (
	"bytes"
	"net/netip"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease/slab"
)

// IPv6 is an IPv6 address in network order. It converts to and from any other
// [16]byte.
type IPv6 [16]byte

// AddrFromNetip converts an IPv6 address; its zone is dropped. Of an IPv4 address
// it is the mapped form.
func AddrFromNetip(a netip.Addr) IPv6 { return a.As16() }

// Netip returns a as a netip.Addr.
func (a IPv6) Netip() netip.Addr { return netip.AddrFrom16(a) }

// String returns the form of RFC 5952.
func (a IPv6) String() string { return a.Netip().String() }

// Compare orders addresses as numbers: -1, 0 or 1.
func (a IPv6) Compare(b IPv6) int { return bytes.Compare(a[:], b[:]) }

// Type is Kea's numbering of lease types (Lease::Type).
type Type uint8

const (
	TypeNA Type = 0 // non-temporary address
	TypePD Type = 2 // delegated prefix
)

// String is the name of the type's option.
func (t Type) String() string {
	switch t {
	case TypeNA:
		return "IA_NA"
	case TypePD:
		return "IA_PD"
	}
	return "unknown"
}

// HWSource says where a hardware address was learnt (Kea's HWAddr sources, RFC
// 8415 has no field for it).
type HWSource uint8

const (
	HWSourceUnknown        HWSource = 0
	HWSourceRaw            HWSource = 0x01
	HWSourceDUID           HWSource = 0x02
	HWSourceLinkLocal      HWSource = 0x04
	HWSourceClientLinkAddr HWSource = 0x08
	HWSourceRemoteID       HWSource = 0x10
	HWSourceSubscriberID   HWSource = 0x20
	HWSourceDOCSISCMTS     HWSource = 0x40
	HWSourceDOCSISModem    HWSource = 0x80
)

const (
	// MaxDUIDLen is the longest DUID (RFC 8415 §11.1: 128 octets and the type).
	MaxDUIDLen = 130
	// MaxHWAddrLen is the longest hardware address kept (Kea's limit).
	MaxHWAddrLen = lease.MaxHWAddrLen
	// MaxHostnameLen is the longest host name.
	MaxHostnameLen = lease.MaxHostnameLen
	// MaxRelayInfoLen is the most that is kept of what relays said, see
	// AppendRelay.
	MaxRelayInfoLen = 512
	// MaxPerIA is how many records of one identity association in one subnet
	// FindByIA finds.
	MaxPerIA = 8
)

// Lease6 is one DHCPv6 lease as a value. It is large (arrays, not slices, so
// that it owns its bytes and needs no allocation): pass it by pointer. States
// are package lease's; a declined lease has no DUID and belongs to nobody.
type Lease6 struct {
	Addr               IPv6 // or the first address of the prefix
	PrefixLen          uint8
	Type               Type
	State              lease.State
	FQDNFwd            bool
	FQDNRev            bool
	HWSource           HWSource
	HWLen              uint8
	DUIDLen            uint8
	HostnameLen        uint8
	HWType             uint16 // ARP hardware type, 1 is Ethernet
	RelayInfoLen       uint16
	IAID               uint32
	SubnetID           uint32
	PoolID             uint32
	PreferredLifetimeS uint32 // seconds
	ValidLifetimeS     uint32 // seconds; lease.InfiniteLifetime never expires
	CLTTUnixS          int64  // client's last transaction time, seconds since 1970
	HWAddr             [MaxHWAddrLen]byte
	DUID               [MaxDUIDLen]byte
	Hostname           [MaxHostnameLen]byte
	// RelayInfo is what the relays said (Kea's store-extended-info), in the form
	// of AppendRelay.
	RelayInfo [MaxRelayInfoLen]byte
	// UserContext is JSON text or empty; relay information is not in it.
	UserContext string
	// Version is the sequence number of the change that made this value; 0
	// means there is no record. The table sets it.
	Version uint64
}

// ID returns the DUID (empty if none); it aliases l.
func (l *Lease6) ID() []byte { return l.DUID[:l.DUIDLen] }

// HW returns the hardware address (empty if none); it aliases l.
func (l *Lease6) HW() []byte { return l.HWAddr[:l.HWLen] }

// Host returns the host name (empty if none); it aliases l.
func (l *Lease6) Host() []byte { return l.Hostname[:l.HostnameLen] }

// Relays returns the relay information (empty if none); it aliases l.
func (l *Lease6) Relays() []byte { return l.RelayInfo[:l.RelayInfoLen] }

// SetID copies a DUID; longer than MaxDUIDLen is cut.
func (l *Lease6) SetID(duid []byte) { slab.SetLen(l.DUID[:], &l.DUIDLen, copy(l.DUID[:], duid)) }

// SetHW copies a hardware address; longer than MaxHWAddrLen is cut.
func (l *Lease6) SetHW(htype uint16, hw []byte, source HWSource) {
	l.HWType, l.HWSource = htype, source
	slab.SetLen(l.HWAddr[:], &l.HWLen, copy(l.HWAddr[:], hw))
}

// SetHost copies a host name; longer than MaxHostnameLen is cut.
func (l *Lease6) SetHost(name []byte) {
	slab.SetLen(l.Hostname[:], &l.HostnameLen, copy(l.Hostname[:], name))
}

// SetRelays copies relay information in the form of AppendRelay. What is longer
// than MaxRelayInfoLen is not kept at all: ok is then false and l has none.
func (l *Lease6) SetRelays(info []byte) (ok bool) {
	if len(info) > MaxRelayInfoLen {
		slab.SetLen(l.RelayInfo[:], &l.RelayInfoLen, 0)
		return false
	}
	slab.SetLen(l.RelayInfo[:], &l.RelayInfoLen, copy(l.RelayInfo[:], info))
	return true
}

// CopyFrom makes l what o is. It copies only those octets of the arrays that
// count, which are nearly always few; l == o is allowed.
func (l *Lease6) CopyFrom(o *Lease6) {
	l.Addr, l.PrefixLen, l.Type, l.State = o.Addr, o.PrefixLen, o.Type, o.State
	l.FQDNFwd, l.FQDNRev = o.FQDNFwd, o.FQDNRev
	l.IAID, l.SubnetID, l.PoolID = o.IAID, o.SubnetID, o.PoolID
	l.PreferredLifetimeS, l.ValidLifetimeS, l.CLTTUnixS = o.PreferredLifetimeS, o.ValidLifetimeS, o.CLTTUnixS
	l.SetHW(o.HWType, o.HW(), o.HWSource)
	l.SetID(o.ID())
	l.SetHost(o.Host())
	l.SetRelays(o.Relays())
	l.UserContext, l.Version = o.UserContext, o.Version
}

// ExpiresUnixS is CLTT plus valid lifetime; for an infinite lease the largest
// int64.
func (l *Lease6) ExpiresUnixS() int64 {
	if l.ValidLifetimeS == lease.InfiniteLifetime {
		return 1<<63 - 1
	}
	return l.CLTTUnixS + int64(l.ValidLifetimeS)
}

// Expired is Kea's test: strictly before now (V4-072).
func (l *Lease6) Expired(nowUnixS int64) bool { return l.ExpiresUnixS() < nowUnixS }

// Journal takes lease changes on their way to stable storage; see lease.Journal,
// whose rules hold. One value may be both.
type Journal interface {
	// Append6 queues one change; for lease.OpDelete only Addr, PrefixLen, Type,
	// SubnetID and Version of l count.
	Append6(op lease.Op, l *Lease6) (pos uint64, ok bool)
	// Room6 is how many records can be appended now.
	Room6() int
	// Healthy is false while the store cannot make anything durable.
	Healthy() bool
	// DurableVersion6 is a lower bound: every change with Version up to it is
	// on stable storage, whoever appended it.
	DurableVersion6() uint64
}

// Observer is told of every change; see lease.Observer.
type Observer interface {
	LeaseChanged6(old, new *Lease6)
}

// ExistingObserver wants to tell records that were there before from new ones;
// see lease.ExistingObserver.
type ExistingObserver interface {
	Observer
	LeaseExists6(l *Lease6)
}

// Due names a record at the version that was due.
type Due struct {
	Addr    IPv6
	Version uint64
}
