package hooks

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// Library is a hook library. A value is loaded once: every configuration gets a
// new one from its constructor.
type Library interface {
	// Name is the library's short name, such as "limits".
	Name() string
	// Load reads the parameters (nil if the configuration has none) and
	// registers callouts and commands with env. An error refuses the
	// configuration; Close is called then too.
	Load(env *Env, params json.RawMessage) error
	// Close frees what the library holds. No callout runs any more, and none of
	// its timers.
	Close() error
}

// Callout4 is called at a point of a query.
type Callout4 func(q *Query4) Status

// LeaseEvent4 is what callouts of Lease4Expire and Lease4Recover see.
type LeaseEvent4 struct {
	NowUnixNs int64
	// Lease may be read only.
	Lease *lease.Lease4
	// Remove is true where an expired lease will be deleted.
	Remove bool

	point  Point
	status Status
}

// Point is the hook point that is running.
func (e *LeaseEvent4) Point() Point { return e.point }

// Status and SetStatus are as in Query4.
func (e *LeaseEvent4) Status() Status     { return e.status }
func (e *LeaseEvent4) SetStatus(s Status) { e.status = s }

// LeaseCallout4 is called for a lease without a query.
type LeaseCallout4 func(e *LeaseEvent4) Status

// ConfiguredEvent is what callouts of Dhcp4SrvConfigured and CB4Updated see.
type ConfiguredEvent struct {
	// Config is the configuration as config-get shows it.
	Config json.RawMessage
	// Error is set by a callout that answers Drop.
	Error string
}

// ConfiguredCallout is called for a configuration.
type ConfiguredCallout func(e *ConfiguredEvent) Status

// CommandEvent is what callouts of CommandProcessed see; Response may be
// changed.
type CommandEvent struct {
	Name      string
	Arguments json.RawMessage
	Response  *Response
}

// CommandProcessedCallout is called after a control command.
type CommandProcessedCallout func(e *CommandEvent)

// HTTPEvent is a control command that came by HTTP. At HTTPAuth Status and
// Body are what is answered if the callouts do not say Continue (Status 0: 403);
// at HTTPResponse they are the answer.
type HTTPEvent struct {
	Remote string // address of the client
	User   string // by basic authentication, "" if there was none
	// TLS says that it is HTTPS, CertSubject and CertIssuer are the common names
	// of the client's verified certificate and of its issuer, "" without one.
	TLS                     bool
	CertSubject, CertIssuer string
	Header                  map[string][]string
	// Request is the body of the request, Command the name of the command that
	// will be run, "" if the request is none.
	Request []byte
	Command string
	// Role is for a library that gives roles: what its callout at HTTPAuth puts
	// there is what rbac's "custom-value" goes by, if it is loaded before rbac.
	Role   string
	Status int
	Body   []byte
}

// HTTPCallout is called around a command by HTTP.
type HTTPCallout func(e *HTTPEvent) Status

// Results of a command (CC-008).
const (
	ResultSuccess     = 0
	ResultError       = 1
	ResultUnsupported = 2
	ResultEmpty       = 3
	ResultConflict    = 4
	ResultFatal       = 5
)

// Response is the answer to a control command. Arguments is anything
// encoding/json can write, nil for none.
type Response struct {
	Result    int
	Text      string
	Arguments any
}

// CommandHandler runs a control command. args is the JSON of "arguments", nil if
// absent. Where several libraries have the same command they are called in order
// and prev is what the one before answered, nil for the first (CC-011).
type CommandHandler func(ctx context.Context, args json.RawMessage, prev *Response) Response

// Command is a control command of a library.
type Command struct {
	Name string
	// Mutates says that it can change state and is audited.
	Mutates bool
	Run     CommandHandler
}

// ClassInfo is a client class of the configuration.
type ClassInfo struct {
	Name string
	// Template says that it has a template-test: queries are then in the classes
	// that it spawns, whose names begin with SPAWN_, its name and "_".
	Template    bool
	UserContext json.RawMessage // nil if there is none
}

// Config4 is what libraries may know of the configuration they are loaded by.
// They do not change it.
type Config4 struct {
	Classes     []ClassInfo
	Subnets     []SubnetInfo
	UserContext json.RawMessage
	// SharedReservations: several hosts may have the same address reserved
	// (ip-reservations-unique is false).
	SharedReservations bool
}

// Config6 is Config4 of the DHCPv6 part.
type Config6 Config4

// Leases is the lease store of a library. lease.Table implements it.
type Leases interface {
	// Get copies the lease of addr into l and reports whether there is one.
	Get(addr dhcp4.IPv4, l *lease.Lease4) bool
	// Walk calls f for every lease in no order until it returns false; f must
	// neither keep l nor call the store.
	Walk(f func(l *lease.Lease4) bool)
}

// Host4 is a host reservation as libraries see it.
type Host4 struct {
	SubnetID    uint32 // 0: global
	Addr        dhcp4.IPv4
	Hostname    string
	Classes     []string
	UserContext json.RawMessage
}

// Hosts finds host reservations.
type Hosts interface {
	HostByAddr(subnetID uint32, addr dhcp4.IPv4) (Host4, bool)
	HostByIdentifier(subnetID uint32, t HostIDType, id []byte) (Host4, bool)
}

// Stats shows statistics of a library's own, as statistic-get does.
type Stats interface {
	// Set gives the statistic its value and makes it if it is new. false: the name
	// is one of the server's own, or there are too many. From any goroutine.
	Set(name string, v int64) bool
}

// Histogram is a distribution that a library counts, for metrics.
type Histogram struct {
	// Name and Help are the same for all of one name; Labels are pairs of name and
	// value, always the same names in the same order.
	Name, Help string
	Labels     [][2]string
	// Bounds are the upper bounds of the buckets in seconds, Counts how many are
	// in each of them and, at the end, above all of them.
	Bounds []float64
	Counts []uint64
	SumS   float64
}

// Timers run functions of libraries on goroutines of the server's.
type Timers interface {
	// Every runs f every d, never twice at a time. stop ends that and waits for
	// a run that has begun.
	Every(d time.Duration, f func(nowUnixNs int64)) (stop func())
}

// Scope is what a KernelLimit is counted for.
type Scope uint8

const (
	// ScopeGlobal counts every DHCP packet to the server.
	ScopeGlobal Scope = iota
	// ScopeSubnet counts the packets of a subnet.
	ScopeSubnet
)

// KernelLimit declares a rate limit that may also be applied before packets
// reach the server, as a token bucket that holds Burst packets and is refilled
// with Packets every IntervalNs. The library still decides exactly: the bucket
// only takes away what would be dropped anyway. How and whether it is done is
// the fast path's matter.
type KernelLimit struct {
	Scope      Scope
	SubnetID   uint32 // ScopeSubnet
	Packets    uint32
	IntervalNs int64
	Burst      uint32
}

// Server is what the server gives to the libraries of one configuration. Parts
// it does not have are nil.
type Server struct {
	// Config4 is set where the libraries are of Dhcp4, Config6 where they are of
	// Dhcp6: one of them.
	Config4 *Config4
	Config6 *Config6
	Leases  Leases
	Hosts   Hosts
	// LeaseStore4 and Configuration are for libraries that serve commands.
	LeaseStore4   LeaseStore4
	LeaseStore6   LeaseStore6
	HostStore4    HostStore
	HostStore6    HostStore
	HostCache     HostCache
	Configuration Configuration
	Stats         Stats
	Timers        Timers
	// Expression compiles an expression for Env.Expression.
	Expression func(text string) (Expression, error)
	// Logger returns the logger of a name such as "limits-hooks" (OP-025).
	Logger func(name string) *slog.Logger
	// NowUnixNs is the clock for what has no query.
	NowUnixNs func() int64
	// Points are the points that the server runs; a callout elsewhere refuses
	// the configuration. Nil means all.
	Points []Point
	// OnPanic is told of a callout's panic with its stack: the first, second,
	// fourth, eighth and so on of each callout, on the worker.
	OnPanic func(library string, p Point, value any, stack []byte)
}
