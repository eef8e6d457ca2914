package config

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// Dhcp6 is the DHCPv6 part of a snapshot, inheritance resolved. Like all of the
// snapshot it is immutable. No address in it has a zone.
type Dhcp6 struct {
	Interfaces     []Interface6 // interfaces-config.interfaces
	AllInterfaces  bool         // "*" is among them
	ReDetect       bool         // re-detect
	ServiceSockets ServiceSockets
	LeaseDatabase  LeaseDatabase
	ControlSockets []ControlSocket
	Loggers        []Logger
	MultiThreading MultiThreading
	HooksLibraries []HooksLibrary
	Expired        ExpiredProcessing
	// HostIdentifiers are host-reservation-identifiers in order: of hw-address,
	// duid and flex-id (V6-041).
	HostIdentifiers []IdentifierType
	// MACSources are tried in this order for the hardware address of a client
	// (V6-044); never empty.
	MACSources []MACSource
	// RelaySuppliedOptions are the codes a relay may supply in RSOO, ascending;
	// 65 is always among them (V6-062, RFC 6422 §8).
	RelaySuppliedOptions []uint16
	ServerID             ServerID
	// DataDirectory holds the file of the server's DUID: data-directory,
	// deprecated in Kea; "" where it is not given (V6-046).
	DataDirectory      string
	DeclineProbationS  uint32
	ParkedPacketLimit  int
	AllowRegistration  bool // allow-address-registration (V6-015)
	EarlyGlobalLookup  bool // early-global-reservations-lookup
	UniqueReservations bool // ip-reservations-unique
	LenientOptions     bool // compatibility.lenient-option-parsing (V6-070)
	// LeaseChecks is sanity-checks.lease-checks ("none", "warn", "fix",
	// "fix-del", "del"), ExtendedInfoChecks its extended-info-checks ("none",
	// "fix", "strict", "pedantic").
	LeaseChecks, ExtendedInfoChecks string

	// Classes are client-classes in order; ClassSet is what evaluates them,
	// and ClassNames gives the name of each number that ClassSet uses. Names
	// that only guards, tags and reservations mention have numbers too.
	Classes    []Class6
	ClassSet   *class.Set
	ClassNames []string
	defs       *optiondef.Set // option-def, for Expressions

	Params             Params6  // the global values
	Options            Options6 // global option-data
	Networks           []*SharedNetwork6
	Subnets            []*Subnet6 // all, those of shared networks too; ascending ID (WR-01)
	GlobalReservations []*Reservation6
	ServerTag          string
	SampleCount        int // statistic-default-sample-count
	SampleAge          time.Duration
	UserContext        json.RawMessage
}

// Interface6 is one entry of interfaces-config: a name, perhaps with a global
// address that unicasts are received at (V6-047).
type Interface6 struct {
	Name string
	Addr netip.Addr // not valid: none
}

// DUIDType is a type of DUID (RFC 8415 §11).
type DUIDType uint16

// The types that a server can be told to make.
const (
	DUIDLLT DUIDType = 1
	DUIDEN  DUIDType = 2
	DUIDLL  DUIDType = 3
)

// ServerID is server-id: how the server's DUID is made (V6-045). What is zero or
// empty is taken from the stored DUID where that has the same type, else made up.
type ServerID struct {
	Type         DUIDType // default DUIDLLT
	Identifier   []byte   // link-layer address or identifier of DUID-EN
	HType        uint16   // hardware type of LLT and LL
	TimeS        uint32   // of LLT: seconds since 2000-01-01 UTC
	EnterpriseID uint32   // of EN
	Persist      bool     // keep it in a file, default true
}

// MACSource is where a client's hardware address may be taken from (V6-044).
// The values are those that Kea keeps in leases (HWAddr::HWADDR_SOURCE_*).
type MACSource uint32

// The values of mac-sources.
const (
	MACSourceAny            MACSource = 0xffffffff // all, in Kea's order
	MACSourceRaw            MACSource = 1 << 0     // the frame
	MACSourceDUID           MACSource = 1 << 1     // DUID-LLT and DUID-LL
	MACSourceIPv6LinkLocal  MACSource = 1 << 2     // EUI-64 of a link-local source address
	MACSourceClientLinkAddr MACSource = 1 << 3     // RFC 6939; also "rfc6939"
	MACSourceRemoteID       MACSource = 1 << 4     // RFC 4649; also "rfc4649"
	MACSourceSubscriberID   MACSource = 1 << 5     // RFC 4580; also "rfc4580"
	MACSourceDOCSISCMTS     MACSource = 1 << 6     // option 1026 of vendor 4491
	MACSourceDOCSISModem    MACSource = 1 << 7     // option 36 of vendor 4491
)

// Params6 are the parameters that global scope, shared networks and subnets
// have, inherited and resolved.
type Params6 struct {
	Valid Triplet
	// Preferred is zero where nobody configures it: then the preferred lifetime
	// is five eighths of the valid one, as it also is where it would be above
	// the valid one (V6-037).
	Preferred    Triplet
	PreferredSet bool
	// RenewTimerS and RebindTimerS are renew-timer and rebind-timer; 0 counts
	// as configured where the Set field says so, and is what the client is told
	// then (V6-038).
	RenewTimerS, RebindTimerS     uint32
	RenewTimerSet, RebindTimerSet bool
	CalculateTee                  bool // calculate-tee-times, default true
	T1Percent, T2Percent          float64
	CacheThreshold                float64 // as Params.CacheThreshold
	CacheMaxAgeS                  int64   // -1: not configured
	// AdaptiveThreshold is adaptive-lease-time-threshold in (0,1]; 0 where it
	// is not configured. It acts where an allocator is "flq".
	AdaptiveThreshold     float64
	ReservationsGlobal    bool
	ReservationsInSubnet  bool
	ReservationsOutOfPool bool
	RapidCommit           bool // network and subnet alone; never global
	StoreExtendedInfo     bool
	Allocator             string // "iterative", "random" or "flq"
	PDAllocator           string // "iterative", "random" or "flq"
	DDNS                  DDNS

	// What was given so far, for inheritance.
	valid, preferred lifetime6
}

// Class6 is one element of client-classes. Its expression is in Dhcp6.ClassSet.
type Class6 struct {
	Name string
	// Valid and Preferred override those of subnet and network where their Set
	// says so (WR-10).
	Valid, Preferred ClassLifetime
	Options          Options6
	UserContext      json.RawMessage
}

// ClassLifetime is a lifetime that a class may have.
type ClassLifetime struct {
	Set bool
	Triplet
}

// Options6 is the option-data of one scope. A zero Options6 has none.
type Options6 struct {
	// List is space dhcp6: ascending by code, and of one code in the order of
	// the configuration. A code stands several times only where its entries have
	// different class tags, or where instances of it differ in what they are
	// for (vendor-class 16 and vendor-opts 17 by enterprise, v6-dnr 144).
	List []Option6
	// Vendors are the spaces vendor-<enterprise>, ascending by enterprise: what
	// goes into options 17 (V6-063).
	Vendors []VendorOptions6
}

// VendorOptions6 are the options of one vendor's space.
type VendorOptions6 struct {
	EnterpriseID uint32
	List         []Option6 // as Options6.List
}

// Option6 is one option-data entry, encoded.
type Option6 struct {
	Code   uint16
	Always bool // always-send
	Never  bool // never-send
	// Data is the value without code and length. It includes the sub-options
	// that the scope configures for the space that the option encapsulates, but
	// for those of vendors: a vendor-opts (17) has its enterprise number alone.
	Data []byte
	// ClientClasses are the option's class tags: it is for queries in any of
	// them, for all if there is none (V4-095).
	ClientClasses []string
}

// Empty says that the scope configures no option.
func (o *Options6) Empty() bool { return len(o.List) == 0 && len(o.Vendors) == 0 }

// SharedNetwork6 is a shared-networks element, inheritance resolved.
type SharedNetwork6 struct {
	Name              string
	Interface         string
	InterfaceID       []byte // nil: none
	RelayAddrs        []netip.Addr
	ClientClasses     []string // guard; empty is open to all
	AdditionalClasses []string // evaluate-additional-classes
	Params6
	Options     Options6
	Subnets     []*Subnet6 // ascending ID
	UserContext json.RawMessage
}

// Subnet6 is a subnet with everything inherited resolved into Params6.
type Subnet6 struct {
	ID     uint32
	Prefix netip.Prefix // canonical
	Text   string       // as written
	// Interface and InterfaceID are the subnet's own or else its network's; at
	// most one of them is given (V6-031).
	Interface         string
	InterfaceID       []byte       // nil: none
	RelayAddrs        []netip.Addr // the subnet's own; a network's are in Network
	ClientClasses     []string     // guard; empty is open to all
	AdditionalClasses []string     // evaluate-additional-classes
	Params6
	Pools        []*Pool6   // ascending First
	PDPools      []*PDPool6 // ascending Prefix
	Options      Options6   // the subnet's own, not inherited
	Reservations []*Reservation6
	Network      *SharedNetwork6 // nil: none
	UserContext  json.RawMessage
}

// Pool6 is a range of addresses.
type Pool6 struct {
	First, Last       netip.Addr
	ID                uint32 // pool-id
	Options           Options6
	ClientClasses     []string
	AdditionalClasses []string
	// DDNS are the pool's parameters over the subnet's, nil if it gives none: a
	// name is made again once the pool is known.
	DDNS        *DDNS
	UserContext json.RawMessage
}

// PDPool6 is a pool of prefixes of one length (V6-033).
type PDPool6 struct {
	Prefix            netip.Prefix // canonical: prefix and prefix-len
	DelegatedLen      uint8        // of each prefix; Prefix.Bits() to 128
	Excluded          netip.Prefix // RFC 6603, canonical; not valid: none
	ID                uint32
	Options           Options6
	ClientClasses     []string
	AdditionalClasses []string
	UserContext       json.RawMessage
}

// Reservation6 is a host reservation (V6-041).
type Reservation6 struct {
	SubnetID      uint32         // 0: global
	Type          IdentifierType // IdentHWAddr, IdentDUID or IdentFlexID
	Identifier    []byte         // for hw-address without the hardware type
	Addrs         []netip.Addr   // ip-addresses, in order
	Prefixes      []ReservedPrefix
	Hostname      string
	ClientClasses []string
	Options       Options6
	UserContext   json.RawMessage
	Negative      bool // see Reservation4
}

// ReservedPrefix is one of a reservation's prefixes with the prefix excluded
// from it (V6-034).
type ReservedPrefix struct {
	Prefix   netip.Prefix // canonical
	Excluded netip.Prefix // not valid: none
}
