package config

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// Snapshot is one validated configuration. It is immutable: workers load a
// pointer to it between batches and share it without locks.
type Snapshot struct {
	Dhcp4     *Dhcp4 // nil if the file has none
	Dhcp6     *Dhcp6 // nil if the file has none
	Dataplane Dataplane
	// Get is what config-get answers: the effective configuration with
	// defaults filled in, {"Dhcp4": {...}, "Dataplane": {...}}.
	Get json.RawMessage
	// Given is what was given of Dhcp4, Dhcp6 and Dataplane, without defaults
	// and comments, include files in their places: what a change by command
	// begins with (see Edit).
	Given json.RawMessage
	// Hash is the SHA-256 of Get in hexadecimal (config-hash-get).
	Hash string
	// Warnings are things accepted but worth saying (surplus commas,
	// deprecated keys), each "FILE:LINE:COL: text".
	Warnings []string
	// NotServed are the parts left out, with LoadOptions.ListNotServed.
	NotServed []*keajson.Error
}

// Mode is Dataplane.mode: which way packets come in.
type Mode string

const (
	ModeAuto    Mode = "auto"    // native, then generic, then sockets
	ModeNative  Mode = "native"  // native XDP or refuse to start
	ModeGeneric Mode = "generic" // generic XDP or refuse to start
	ModeSocket  Mode = "socket"  // AF_PACKET and UDP sockets only
)

// SyncMode is Dataplane.sync: what an ACK waits for.
type SyncMode string

const (
	SyncGroup SyncMode = "group" // fdatasync of a group commit (default)
	SyncNone  SyncMode = "none"  // nothing, as Kea
)

// Dataplane holds what is ours alone: the top-level key "Dataplane".
type Dataplane struct {
	Mode              Mode     // "mode", default auto
	WorkersPerQueue   int      // "workers-per-queue": sockets per NIC queue, 1..16; 0 (default) chooses by cores
	BusyPollUs        int      // "busy-poll-us": SO_BUSY_POLL, 0 off (default)
	SpinUs            int      // "spin-us": how long a worker polls empty rings before it sleeps, default 20
	ServeUnknownVLANs bool     // "unknown-vlans" is "serve"; default "pass"
	MetricsAddress    string   // "metrics-address": host:port, "" (default) serves none
	Sync              SyncMode // "sync"
	SnapshotIntervalS int      // "snapshot-interval": seconds between lease snapshots, default 3600 (lfc-interval of lease-database if given), 0 only at journal-size
	JournalSizeMB     int      // "journal-size": MiB of journal after which a snapshot is taken, default 1024
	OfferHoldS        int      // "offer-hold": seconds an offer keeps its address from the allocator, default 10
	MaxLeases         int      // "max-leases": limit of the lease table, default 0 = 64 million
	// LeaseFileMirror is a file that follows the leases in Kea's CSV form:
	// "lease-file-mirror"; "" (default) leaves it to the server, which keeps Kea's
	// own file; NoLeaseFile is none.
	LeaseFileMirror string
	// LeaseDirectory holds journal and snapshots: "lease-directory", or the
	// directory of lease-database.name where that is an absolute path, or
	// DefaultLeaseDirectory. Never empty. LeaseDirectorySet says that the key
	// was given.
	LeaseDirectory    string
	LeaseDirectorySet bool
	Limits            Limits // "limits": all off by default
}

// DefaultLeaseDirectory holds the leases where the configuration names no place.
const DefaultLeaseDirectory = "/var/lib/peregrine"

// NoLeaseFile is the value of Dataplane.LeaseFileMirror for no file.
const NoLeaseFile = "none"

// Limits are the XDP rate limits; every zero is off. A burst that is not
// configured is one second's worth.
type Limits struct {
	ClientPerS, ClientBurst uint32 // "client-rate", "client-burst": packets of one chaddr or DUID
	RelayPerS, RelayBurst   uint32 // "relay-rate", "relay-burst": packets of one giaddr or link-address
	NewClientsPerS          uint32 // "new-clients": clients not seen lately
	// DiscoverPerS sheds DISCOVER and SOLICIT above this rate per queue CPU,
	// before any REQUEST is lost: "discover-rate".
	DiscoverPerS uint32
}

// Dhcp4 is the DHCPv4 part, inheritance resolved.
type Dhcp4 struct {
	Interfaces        []Interface // interfaces-config.interfaces
	AllInterfaces     bool        // "*" is among them
	SocketUDP         bool        // dhcp-socket-type "udp"
	UseRouting        bool        // outbound-interface "use-routing", and dhcp-socket-type "udp"
	ReDetect          bool        // re-detect
	ServiceSockets    ServiceSockets
	LeaseDatabase     LeaseDatabase
	ControlSockets    []ControlSocket
	Loggers           []Logger
	MultiThreading    MultiThreading
	HooksLibraries    []HooksLibrary
	HostIdentifiers   []IdentifierType // host-reservation-identifiers, in order
	Expired           ExpiredProcessing
	DeclineProbationS uint32
	ParkedPacketLimit int
	EchoClientID      bool
	Classes           []Class // in order of definition
	// ClassSet are their expressions; nil without classes. ClassNames numbers
	// every class name that the configuration mentions, those of ServerClasses
	// first: the numbers are the places in it.
	ClassSet   *class.Set
	ClassNames []string
	Options    Options             // global option-data
	Received   *optiondef.Received // what messages are held against of option-def
	defs       *optiondef.Set      // of option-def, for Expressions
	Subnets    []*Subnet4          // of all networks and none, ascending ID (V4-050, WR-01)
	Networks   []*Network4         // ascending name
	// EarlyGlobal: global reservations are looked up before the subnet is
	// selected (V4-124).
	EarlyGlobal          bool
	IPReservationsUnique bool
	StashAgentOptions    bool // V4-108
	Compatibility        Compatibility
	SanityChecks         SanityChecks
	GlobalReservations   []*Reservation4
	Authoritative        bool // the global value (V4-020)
	ServerTag            string
	SampleCount          int // statistic-default-sample-count
	SampleAge            time.Duration
	UserContext          json.RawMessage
}

// Interface is one entry of interfaces-config: a name, perhaps with an address.
type Interface struct {
	Name string
	Addr dhcp4.IPv4 // 0: all addresses of the interface
}

// ServiceSockets says what happens when an interface cannot be bound at start
// (V4-044).
type ServiceSockets struct {
	RequireAll      bool // stop the server after the last retry
	MaxRetries      uint32
	RetryWaitTimeMs uint32
}

// LeaseDatabase is lease-database; Type is always "memfile" here.
type LeaseDatabase struct {
	Persist      bool
	Name         string // as configured; "" takes the default under the data directory
	LFCIntervalS int
	MaxRowErrors uint32 // bad rows of a lease file after which its import is given up; 0 never
	NamePos      keajson.Position
}

// ControlSocket is one control-sockets entry.
type ControlSocket struct {
	Type       string // "unix", "http" or "https"
	SocketName string // unix
	Address    string // http, https: socket-address
	Port       uint16 // http, https: socket-port
	// Of https, all three of them, PEM: the CA certificates clients are held
	// against (a file or a directory), the server's certificate and its key.
	TrustAnchor, CertFile, KeyFile string
	CertRequired                   bool // https: only clients with a certificate
	Users                          []BasicUser
	Realm                          string
	Headers                        []HTTPHeader
	Pos                            keajson.Position
}

// BasicUser is a client of HTTP basic authentication.
type BasicUser struct{ User, Password string }

// HTTPHeader is added to every HTTP answer.
type HTTPHeader struct{ Name, Value string }

// Logger is one loggers entry (OP-020, OP-021).
type Logger struct {
	Name       string
	Severity   string
	DebugLevel int
	Outputs    []LogOutput
}

// LogOutput is one output-options entry.
type LogOutput struct {
	Output  string
	Flush   bool
	MaxSize int64
	MaxVer  int
	Pattern string
	Pos     keajson.Position // of Output
}

// MultiThreading is multi-threading; Threads 0 means one per core.
type MultiThreading struct {
	Enabled   bool
	Threads   int
	QueueSize int
}

// HooksLibrary is one hooks-libraries entry. Name is the base name of the path
// without "libdhcp_" and ".so": "/usr/lib/kea/hooks/libdhcp_limits.so" gives
// "limits". Parameters may be nil.
type HooksLibrary struct {
	Library    string
	Name       string
	Parameters json.RawMessage
	Pos        keajson.Position // of Library
}

// ExpiredProcessing is expired-leases-processing (LS-018).
type ExpiredProcessing struct {
	ReclaimTimerWaitTimeS        int
	FlushReclaimedTimerWaitTimeS int
	HoldReclaimedTimeS           int
	MaxReclaimLeases             int
	MaxReclaimTimeMs             int
	UnwarnedReclaimCycles        int
}

// Affinity says whether released and reclaimed leases are kept (V4-023).
func (e *ExpiredProcessing) Affinity() bool {
	return e.FlushReclaimedTimerWaitTimeS > 0 && e.HoldReclaimedTimeS > 0
}

// Option is one encoded option-data entry of space dhcp4 or of a vendor's space,
// with the sub-options that it encapsulates.
type Option struct {
	Code   uint8
	Always bool
	Never  bool
	// Classes, if not empty, says that the entry is for queries in one of these
	// classes only (V4-095).
	Classes []string
	Data    []byte // wire form, may be longer than 255 (RFC 3396)
	// SubOptions says of Data longer than 255 that behind SubOptions-1 octets
	// there is a list of sub-options; 0 says nothing.
	SubOptions uint8
}

// Options are the option-data of one scope; the zero value is none.
type Options struct {
	// List is space dhcp4, ascending by code. There are several entries of a
	// code where they are for certain classes, then in the order in which the
	// first that fits is used, the one for all last; and of options 124 and
	// 125, which are told apart by their enterprise number.
	List []Option
	// Codes are the codes in List; Always and Never those that some entry says
	// always or never to send.
	Codes, Always, Never optiondef.CodeSet
	// Vendors are the spaces vendor-NUMBER, sub-options of option 125, ascending
	// by number.
	Vendors []VendorOptions
}

// VendorOptions are the options of one vendor's space; see Options.
type VendorOptions struct {
	Enterprise           uint32
	List                 []Option
	Codes, Always, Never optiondef.CodeSet
}

// Triplet is a lifetime with its bounds in seconds (V4-075).
type Triplet struct{ Min, Default, Max uint32 }

// Params are the inherited parameters of a subnet, resolved.
type Params struct {
	Valid                 Triplet
	RenewTimerS           uint32 // 0: not configured
	RebindTimerS          uint32 // 0: not configured
	CalculateTee          bool
	T1Percent             float64
	T2Percent             float64
	OfferLifetimeS        uint32
	Authoritative         bool
	MatchClientID         bool
	NextServer            dhcp4.IPv4
	ServerHostname        string
	BootFileName          string
	CacheThreshold        float64 // V4-073: 0.25; 0 or >1 off
	CacheMaxAgeS          int64   // -1: not configured
	ReservationsGlobal    bool
	ReservationsInSubnet  bool
	ReservationsOutOfPool bool
	Allocator             string // "iterative", "random", "flq"
	StoreExtendedInfo     bool   // V4-109
	// AdaptiveThreshold is the occupancy from which on new leases are as short
	// as may be (V4-067); 0 or 1 never.
	AdaptiveThreshold float64
	DDNS              DDNS

	// renewSet and rebindSet tell 0 from not configured, for config-get.
	renewSet, rebindSet, minSet, maxSet, offerSet bool
}

// Subnet4 is a subnet with everything inherited resolved into Params.
type Subnet4 struct {
	ID            uint32
	Prefix        netip.Prefix // canonical
	Text          string       // as written (V4-053)
	First, Last   dhcp4.IPv4
	Mask          dhcp4.IPv4
	Interface     string
	RelayAddrs    []dhcp4.IPv4
	ClientClasses []string // guard; empty is open to all
	// AdditionalClasses is evaluate-additional-classes.
	AdditionalClasses []string
	// Network is the shared network, nil: none; Position the place in its
	// Subnets. Index is the place in Dhcp4.Subnets.
	Network  *Network4
	Position int
	Index    int
	Params
	Pools        []*Pool4 // ascending First
	Options      Options  // the subnet's own, not inherited
	Reservations []*Reservation4
	UserContext  json.RawMessage
}

// Pool4 is a range of addresses.
type Pool4 struct {
	First, Last   dhcp4.IPv4
	ID            uint32
	Options       Options
	ClientClasses []string
	// AdditionalClasses is evaluate-additional-classes.
	AdditionalClasses []string
	// DDNS are the pool's parameters over the subnet's, nil if it gives none.
	DDNS        *DDNS
	UserContext json.RawMessage
}

// Compatibility are the switches of that name (V4-144).
type Compatibility struct {
	LenientOptionParsing   bool // V4-116
	IgnoreServerIdentifier bool // V4-016
	IgnoreRAILinkSelection bool // V4-051
	ExcludeFirstLast24     bool // V4-061
}

// SanityChecks is sanity-checks: what happens to leases of the wrong subnet when
// they are loaded.
type SanityChecks struct {
	LeaseChecks        string // "none", "warn", "fix", "fix-del", "del"
	ExtendedInfoChecks string // "none", "fix", "strict", "pedantic"
}

// IdentifierType is how a reservation names its client (V4-120).
type IdentifierType uint8

const (
	IdentHWAddr IdentifierType = iota
	IdentDUID
	IdentCircuitID
	IdentClientID
	IdentFlexID
)

// Reservation4 is a host reservation.
type Reservation4 struct {
	SubnetID       uint32 // 0: global
	Type           IdentifierType
	Identifier     []byte     // for hw-address without the hardware type
	Addr           dhcp4.IPv4 // 0: none reserved
	Hostname       string
	NextServer     dhcp4.IPv4
	ServerHostname string
	BootFileName   string
	ClientClasses  []string
	Options        *Options // nil: none
	UserContext    json.RawMessage
	// Negative says that nobody is to look further: only hosts of the host cache
	// can be so.
	Negative bool
}
