package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"strconv"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// LeaseStore4 is the DHCPv4 leases for a library that serves commands. Its
// methods may be called from any goroutine but not from callouts: those that
// change wait until the change is on stable storage. Service goes on meanwhile,
// whatever they do.
//
// Offers are ours alone and volatile, so they are not seen here: an offered
// address shows the lease the offer stands over, or none, and a change replaces
// the offer, whose client then gets a DHCPNAK or another address.
type LeaseStore4 interface {
	// Lease copies the lease of addr into l and reports whether there is one.
	Lease(addr dhcp4.IPv4, l *lease.Lease4) bool
	// Client finds the client's lease in a subnet by hardware address (hw) or
	// client identifier (cid); one of them is nil.
	Client(hw, cid []byte, subnetID uint32, l *lease.Lease4) bool
	// Page copies leases after that address in ascending order, see
	// lease.Table.Page.
	Page(after dhcp4.IPv4, out []lease.Lease4) int
	// Search gives every lease that f fits, in no order, see lease.Table.Search.
	Search(f *lease.Filter, yield func(l *lease.Lease4) bool)
	// Put makes *next the lease of its address if that lease still is the
	// version the caller has seen (0: there was none) and returns when it is
	// durable. lease.ErrConflict: it changed meanwhile; lease.ErrTableFull;
	// another error: the store cannot write now, and the change may be in force
	// or not.
	Put(ctx context.Context, next *lease.Lease4, expect uint64) error
	// Delete removes the lease likewise.
	Delete(ctx context.Context, addr dhcp4.IPv4, expect uint64) error
	// Wipe deletes all leases of a subnet and returns how many.
	Wipe(ctx context.Context, subnetID uint32) (int, error)
	// WriteFile writes the leases into a file in Kea's CSV form, in the data
	// directory only (else a *PathError), and returns its path.
	WriteFile(ctx context.Context, name string) (string, error)
}

// LeaseStore6 is the DHCPv6 leases, see LeaseStore4. The user context of a lease
// has Kea's form here: relay information is in it.
type LeaseStore6 interface {
	// Lease copies the lease of an address or prefix into l.
	Lease(addr lease6.IPv6, l *lease6.Lease6) bool
	// IA finds a lease of an identity association in a subnet.
	IA(t lease6.Type, duid []byte, iaid, subnetID uint32, l *lease6.Lease6) bool
	Page(after lease6.IPv6, out []lease6.Lease6) int
	Search(f *lease6.Filter, yield func(l *lease6.Lease6) bool)
	Put(ctx context.Context, next *lease6.Lease6, expect uint64) error
	Delete(ctx context.Context, addr lease6.IPv6, expect uint64) error
	Wipe(ctx context.Context, subnetID uint32) (int, error)
	WriteFile(ctx context.Context, name string) (string, error)
}

// PathError refuses the name of a file that a command may not write.
type PathError struct{ Text string }

func (e *PathError) Error() string { return e.Text }

// Subnet4 is what libraries may know of a subnet of the configuration in force.
type Subnet4 struct {
	ID             uint32
	Prefix         netip.Prefix
	Text           string // the prefix as written
	ValidLifetimeS uint32
	Guarded        bool   // only for some client classes
	Network        string // its shared network, "" for none
}

// SubnetCounts4 are the numbers of a subnet's addresses.
type SubnetCounts4 struct {
	Total      uint64 // in the pools
	Cumulative uint64 // assigned since start
	Assigned   uint64 // declined ones among them, as Kea counts
	Declined   uint64
}

// Subnet6 is Subnet4 for DHCPv6.
type Subnet6 struct {
	ID             uint32
	Prefix         netip.Prefix
	Text           string
	ValidLifetimeS uint32
	Network        string
	Guarded        bool // it or its network is for some client classes only
}

// SubnetCounts6 are the numbers of a subnet's leases; totals are decimal, since
// they may be beyond 64 bits.
type SubnetCounts6 struct {
	TotalNA, TotalPD                                   json.Number
	CumulativeNA, AssignedNA, DeclinedNA, RegisteredNA uint64
	CumulativePD, AssignedPD                           uint64
}

// ErrNoChange ends an Edit without a change and without an error.
var ErrNoChange = errors.New("edit configuration: nothing to change")

// Configuration is the configuration in force, also after it was changed by
// command (Env.Config4 stays what the library was loaded with), and the way to
// change parts of it. Methods may be called from any goroutine, but not from
// callouts.
type Configuration interface {
	// Subnet4 returns the subnet of that id.
	Subnet4(id uint32) (Subnet4, bool)
	// SubnetOf4 returns the subnet whose prefix holds addr.
	SubnetOf4(addr dhcp4.IPv4) (Subnet4, bool)
	// EachSubnet4 calls f for every subnet by ascending id until it returns false.
	EachSubnet4(f func(s *Subnet4, n *SubnetCounts4) bool)
	// Subnet6, SubnetOf6 and EachSubnet6 are the same for DHCPv6.
	Subnet6(id uint32) (Subnet6, bool)
	SubnetOf6(addr netip.Addr) (Subnet6, bool)
	EachSubnet6(f func(s *Subnet6, n *SubnetCounts6) bool)
	// View lets f read the configuration in the form of config-get: defaults
	// and what is inherited filled in, subnets and networks sorted.
	View(f func(t ConfigTree) error) error
	// Edit lets f change the configuration as it was given, without defaults:
	// what nobody has set goes on following what it is inherited from. The
	// elements of a reservation list, option list or pool list are in the order
	// that View has them; View may be called meanwhile. When f returns nil the result is
	// validated as a whole and put in force in one step, between two batches of
	// every worker; hook libraries stay loaded, sockets open, parked queries
	// parked, and what was not changed keeps its state. If f or the validation
	// fails nothing has changed; the error of the validation is a *ConfigError.
	// Edits do not overlap each other or a reload. What was edited lasts until
	// the configuration is loaded again; config-write keeps it.
	Edit(ctx context.Context, f func(t ConfigTree) error) error
}

// ConfigError says what is wrong with an edited configuration.
type ConfigError struct {
	// Text is the first fault, without position: the text is nobody's file.
	Text string
}

func (e *ConfigError) Error() string { return e.Text }

// ConfigTree is the configuration of one family, the map under
// Dhcp4 or Dhcp6 by which the library was loaded. A path goes down from there by keys (string)
// and places in lists (int), such as "shared-networks", 2, "name". It is valid
// during the call of View or Edit; only Edit's can be changed.
type ConfigTree interface {
	// Get is what stands there as compact JSON, nil if there is nothing.
	Get(path ...any) json.RawMessage
	// Len is the number of elements of a list, 0 if there is none.
	Len(path ...any) int
	// Set replaces or adds a member of a map, or replaces an element of a list;
	// the place behind the last one appends, also to a list that is not there.
	// value is JSON. An error is one of value's syntax or of the path.
	Set(value json.RawMessage, path ...any) error
	// Remove takes away a member or an element; the elements behind move up.
	Remove(path ...any) error
}

// StoredHost is a host reservation of either family as libraries that serve
// commands see it.
type StoredHost struct {
	// ID names it in its source: ascending from 1.
	ID         uint64
	SubnetID   uint32 // 0: global
	IDType     HostIDType
	Identifier []byte
	Addr       dhcp4.IPv4 // DHCPv4; 0: none reserved
	// Addrs and Prefixes are a DHCPv6 host's, in order, not to be changed.
	Addrs    []netip.Addr
	Prefixes []netip.Prefix
	Hostname string
	// Form is the reservation as config-get has it in a subnet, without
	// subnet-id. Match functions do not get it.
	Form json.RawMessage
}

// StoredHost4 is a StoredHost where only DHCPv4 is meant.
type StoredHost4 = StoredHost

// Errors of HostStore.
var (
	// ErrNoHostStore: leases are not persisted, and hosts made by command neither.
	ErrNoHostStore = errors.New("no host store")
	// ErrHostExists: the subnet has a reservation for the identifier or the
	// address.
	ErrHostExists = errors.New("host exists")
	// ErrNoHost: there is no such reservation.
	ErrNoHost = errors.New("no such host")
)

// HostStore is a family's host reservations for a library that serves commands:
// those of the configuration (changed through Configuration.Edit), and those of
// the server's own store, which are Kea's hosts of a database. A client's
// reservation is looked for in the configuration first (DB-005).
//
// Methods may be called from any goroutine but not from callouts. Changes are
// seen by the next query, and on stable storage when they return.
type HostStore interface {
	// Parse reads a reservation, in the form it has in the configuration, as the
	// configuration in force would; subnetID 0 is global. The error is a
	// *ConfigError if the reservation is wrong.
	Parse(subnetID uint32, raw json.RawMessage) (StoredHost, error)
	// Configured returns the reservations of the configuration that match says
	// yes to, at most limit (0: all), by ascending ID.
	Configured(match func(h *StoredHost) bool, limit int) ([]StoredHost, error)
	// Stored is the same for the store.
	Stored(match func(h *StoredHost) bool, limit int) ([]StoredHost, error)
	// Add adds what Parse has returned to the store and sets its ID.
	Add(ctx context.Context, h *StoredHost) error
	// Replace puts it in the place of the one with that ID.
	Replace(ctx context.Context, id uint64, h *StoredHost) error
	// Delete removes the one with that ID from the store.
	Delete(ctx context.Context, id uint64) error
}

// HostStore4 is a HostStore where only DHCPv4 is meant.
type HostStore4 = HostStore

// NoSubnet is the number of a subnet that a CacheEntry does not have, Kea's.
const NoSubnet = math.MaxUint32

// CacheEntry is what HostCache.Parse reads: a host with what it has in either
// family.
type CacheEntry struct {
	Subnet4, Subnet6 uint32 // 0: global; NoSubnet: the host is none of that family
	// Host4 and Host6 are the host as a reservation of Dhcp4 and of Dhcp6 with the
	// same identifier. Where DHCPv6 has no such identifier, Host6 has its octets as
	// a flex-id.
	Host4, Host6 json.RawMessage
	// Negative: nobody is to look further for this host, who has no reservation.
	Negative bool
}

// CachedHost is a reservation of HostCache.
type CachedHost struct {
	Subnet4, Subnet6 uint32
	IDType           HostIDType
	Identifier       []byte
	Addr             dhcp4.IPv4 // 0: none reserved
	Addrs            []netip.Addr
	Prefixes         []netip.Prefix
	Negative         bool
	// Form4 and Form6 are the host as config-get has it in a subnet of each
	// family. Match functions do not get them, nor Entries.
	Form4, Form6 json.RawMessage
	// Text is what the library wants to have back, in Entries.
	Text json.RawMessage
	// Reservation is the server's own, from Parse to Insert.
	Reservation any
}

// HostCache is a family's host reservations in memory, which are looked for where
// the configuration has none and before those of the store (HK-HC-2). They are
// kept while configurations follow each other that use them (Env.HostCache in
// Load), and nowhere else. Hosts of the other family alone are kept too, for
// those who read the cache. Methods may be called from any goroutine but not
// from callouts; changes are seen by the next query.
type HostCache interface {
	// Parse reads hosts as the configuration in force would; the error is a
	// *ConfigError if one of them is wrong.
	Parse(list []CacheEntry) ([]CachedHost, error)
	// Insert adds what Parse has returned, one after the other: what has its
	// identifier or one of its addresses in its subnet, or one of its prefixes,
	// makes way, and then the oldest, until there are at most max (0: any number).
	// overwritten is how many of the first kind there were.
	Insert(list []CachedHost, max int) (overwritten int, err error)
	// Entries returns those that match says yes to, oldest first.
	Entries(match func(h *CachedHost) bool) []CachedHost
	// Remove removes the oldest that match says yes to, at most limit (0: all),
	// and says how many there were.
	Remove(match func(h *CachedHost) bool, limit int) int
	// Len is the number of entries.
	Len() int
	// WriteFile writes a file in the data directory (else a *PathError), which is
	// at any time the old or the new one, and returns its path; ReadFile reads one
	// of there.
	WriteFile(name string, text []byte) (path string, err error)
	ReadFile(name string) (text []byte, path string, err error)
}

// HostCache takes the cache into use, nil where the server has none. Only in
// Load.
func (e *Env) HostCache() HostCache {
	if e.closed {
		e.fail("use the host cache: only possible in Load")
		return nil
	}
	e.pl.hostCache = true
	return e.server.HostCache
}

// UsesHostCache says whether a library has taken the host cache into use.
func (p *Pipeline) UsesHostCache() bool { return p.hostCache }

// HostStore4 is the host reservations, nil where the server has none to change.
func (e *Env) HostStore4() HostStore { return e.server.HostStore4 }

// HostStore6 is the same for DHCPv6.
func (e *Env) HostStore6() HostStore { return e.server.HostStore6 }

// SubnetPath is where the subnet of that id stands in t, at the top or in a
// shared network; nil if it is nowhere. list is "subnet4" or "subnet6".
func SubnetPath(t ConfigTree, list string, id uint32) []any {
	want := strconv.FormatUint(uint64(id), 10)
	find := func(path ...any) []any {
		for i := range t.Len(path...) {
			if string(t.Get(append(path, i, "id")...)) == want {
				return append(path, i)
			}
		}
		return nil
	}
	if p := find(list); p != nil {
		return p
	}
	for i := range t.Len("shared-networks") {
		if p := find("shared-networks", i, list); p != nil {
			return p
		}
	}
	return nil
}

// LeaseStore4 is the leases, nil where the server has none to change.
func (e *Env) LeaseStore4() LeaseStore4 { return e.server.LeaseStore4 }

// LeaseStore6 is the DHCPv6 leases, nil in a library that is loaded by Dhcp4, as
// LeaseStore4 is in one that is loaded by Dhcp6.
func (e *Env) LeaseStore6() LeaseStore6 { return e.server.LeaseStore6 }

// Configuration is nil while a configuration is only checked: look at it in a
// command, not in Load.
func (e *Env) Configuration() Configuration { return e.server.Configuration }
