// Package bpf holds the XDP program of the dataplane and typed access to its maps.
//
// The program (dhcp.bpf.c) passes what is not DHCP for us, drops what is
// malformed or over a limit, and steers the rest to an AF_XDP socket chosen by
// receive queue and by a hash of the client. It never changes a frame: whatever
// it is not sure of goes on to the network stack and so to the ordinary sockets.
//
// There is no policy here. Interfaces, addresses, sockets, limits and scopes are
// whatever userspace sets; with nothing set every packet passes and is counted.
// The price of that is that nothing here can tell a useful setting from a useless
// one.
//
// One Objects is loaded per process, its Program attached to any number of
// interfaces in any network namespace. The compiled objects for both byte orders
// are checked in; "go generate" rebuilds them with clang 14. All structs shared
// with C come from bpf2go.
//
// The oldest kernel served is 5.15.
package bpf

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Default ports of a server: RFC 2131 section 4.1, RFC 8415 section 7.2.
const (
	DefaultPort4 = 67
	DefaultPort6 = 547
)

// Options are the sizes of the maps and the few settings that are fixed while the
// program is loaded. The zero value is the default. Maps are allocated in full
// when loaded; a client or relay takes about 100 bytes of kernel memory.
type Options struct {
	// MaxInterfaces is the most interfaces SetInterface takes. Default 64.
	MaxInterfaces uint32
	// MaxSockets is the length of the socket table: a socket's index is below
	// it. Default 1024.
	MaxSockets uint32
	// MaxClients is how many clients are remembered for their own limit and for
	// telling new clients from known ones; the least recently seen is forgotten
	// first. Default 65536.
	MaxClients uint32
	// MaxRelays is how many relays are remembered for their own limit.
	// Default 4096.
	MaxRelays uint32
	// MaxAddrs is the most addresses of one family, over all interfaces.
	// Default 4096.
	MaxAddrs uint32
	// MaxVLANs is the most VLAN interfaces SetVLANs takes, over all interfaces.
	// Default 4096.
	MaxVLANs uint32
	// MaxScopes is the most scopes SetScopes takes. Default 4096.
	MaxScopes uint32
	// MaxScopePrefixes is the most prefixes of all scopes together, and also the
	// most interfaces. Default 8192.
	MaxScopePrefixes uint32
	// Port4 and Port6 are the UDP destination ports of requests. Default 67 and
	// 547.
	Port4, Port6 uint16
	// Seed is the secret of the client hash, so that nobody can aim clients of
	// their choice at one worker. Zero, the default, takes a random one.
	Seed [2]uint64
}

// maxEntries bounds every size in Options: above it a table is a mistake rather
// than a wish, and twice it still fits the kernel's count.
const maxEntries = 1 << 24

// withDefaults returns o with its zero fields filled in.
func (o Options) withDefaults() (Options, error) {
	for _, f := range []struct {
		name  string
		value *uint32
		def   uint32
	}{
		{"MaxInterfaces", &o.MaxInterfaces, 64},
		{"MaxSockets", &o.MaxSockets, 1024},
		{"MaxClients", &o.MaxClients, 65536},
		{"MaxRelays", &o.MaxRelays, 4096},
		{"MaxAddrs", &o.MaxAddrs, 4096},
		{"MaxVLANs", &o.MaxVLANs, 4096},
		{"MaxScopes", &o.MaxScopes, 4096},
		{"MaxScopePrefixes", &o.MaxScopePrefixes, 8192},
	} {
		if *f.value == 0 {
			*f.value = f.def
		}
		if *f.value > maxEntries {
			return o, fmt.Errorf("check options: %s is %d, the most is %d", f.name, *f.value, maxEntries)
		}
	}
	if o.Port4 == 0 {
		o.Port4 = DefaultPort4
	}
	if o.Port6 == 0 {
		o.Port6 = DefaultPort6
	}
	return o, nil
}

// InterfaceConfig says how an interface's packets are steered: a packet received
// on queue q goes to the socket at Base + q*SocketsPerQueue + hash(client) mod
// SocketsPerQueue.
type InterfaceConfig struct {
	// Base is the interface's first index in the socket table.
	Base uint32
	// Queues is how many receive queues have sockets. Packets of the queues from
	// there on pass to the stack and are counted.
	Queues uint32
	// SocketsPerQueue is at least 1 if Queues is not 0.
	SocketsPerQueue uint32
	// Enabled4 and Enabled6 say which families are served. What is not enabled
	// passes.
	Enabled4, Enabled6 bool
	// Tagged serves here also tagged frames whose VLAN has no interface
	// (SetVLANs). Otherwise they pass.
	Tagged bool
}

// AnyInterface as an interface of SetAddrs4 and SetAddrs6 stands for all: its
// addresses are ours on whichever interface a packet comes in.
const AnyInterface = 0

// Tag is a VLAN tag. VLAN 0 is none: such a tag only carries a priority.
type Tag struct {
	TPID uint16 // 0x8100 or 0x88A8
	VID  uint16 // 1 to 4094
}

// VLAN says which frames belong to a VLAN interface: those whose tags, priority
// tags left out, are just these, outermost first.
type VLAN struct {
	IfIndex uint32
	Tags    [2]Tag // the second is zero if there is one tag
}

func (v *VLAN) validate() error {
	for i, t := range v.Tags {
		if i == 1 && t == (Tag{}) {
			break
		}
		if t.VID < 1 || t.VID > 4094 {
			return fmt.Errorf("interface %d has VLAN %d, want 1 to 4094", v.IfIndex, t.VID)
		}
		if t.TPID != 0x8100 && t.TPID != 0x88A8 {
			return fmt.Errorf("interface %d has tags of type %#04x, want 0x8100 or 0x88a8", v.IfIndex, t.TPID)
		}
	}
	return nil
}

func (c InterfaceConfig) validate(maxSockets uint32) error {
	if c.Queues > 0 && c.SocketsPerQueue == 0 {
		return fmt.Errorf("%d queues have 0 sockets each", c.Queues)
	}
	if c.Queues > math.MaxUint16 || c.SocketsPerQueue > math.MaxUint16 {
		return fmt.Errorf("%d queues of %d sockets are more than a device has", c.Queues, c.SocketsPerQueue)
	}
	if end := uint64(c.Base) + uint64(c.Queues)*uint64(c.SocketsPerQueue); end > uint64(maxSockets) {
		return fmt.Errorf("%d queues of %d sockets from index %d need a socket table of %d, MaxSockets is %d",
			c.Queues, c.SocketsPerQueue, c.Base, end, maxSockets)
	}
	return nil
}

// Rate is the rate of a token bucket; a packet takes a token. The zero value is no
// limit.
type Rate struct {
	// Tokens come in Per, evenly spread. 0 tokens (with a Per) let nothing
	// through, as Kea's "0 packets per second".
	Tokens uint64
	Per    time.Duration
	// Burst is how many tokens a full bucket holds. 0 means as many as Tokens.
	// A bucket is full when it is first used, so up to Burst + Tokens packets
	// can pass in the first Per.
	Burst uint64
}

// maxBurst bounds the time a bucket takes to fill, so that no sum of times
// overflows in the kernel.
const maxBurst = math.MaxInt64 / 2

// encode gives the rate as the program wants it.
func (r Rate) encode() (dhcpRate, error) {
	if r == (Rate{}) {
		return dhcpRate{}, nil
	}
	if r.Per <= 0 {
		return dhcpRate{}, fmt.Errorf("%d tokens per %v: the time must be positive", r.Tokens, r.Per)
	}
	if r.Tokens == 0 {
		return dhcpRate{CostNs: 1}, nil
	}
	cost := uint64(r.Per) / r.Tokens
	if cost == 0 {
		return dhcpRate{}, fmt.Errorf("%d tokens per %v: more than one a nanosecond", r.Tokens, r.Per)
	}
	burst := r.Burst
	if burst == 0 {
		burst = r.Tokens
	}
	if burst > maxBurst/cost {
		return dhcpRate{}, fmt.Errorf("a burst of %d at %d tokens per %v: longer than the clock runs", burst, r.Tokens, r.Per)
	}
	return dhcpRate{CostNs: cost, BurstNs: cost * burst}, nil
}

// Limits are the limits that need no knowledge of subnets. They are off by
// default.
type Limits struct {
	// Client is for each client by itself: chaddr, DUID, or the next best.
	Client Rate
	// Relay is for each relay by itself: giaddr, or the link-address nearest to
	// the client.
	Relay Rate
	// NewClients is for all clients that were not seen lately, together. Above
	// it a new client is dropped and not remembered, so a flood of invented
	// clients cannot push out known ones.
	NewClients Rate
	// DiscoverPerCPU is for DISCOVER, INFORM, SOLICIT and INFORMATION-REQUEST on
	// each CPU by itself. It sheds these while REQUEST, RENEW, REBIND, RELEASE
	// and DECLINE still pass.
	DiscoverPerCPU Rate
}

// Scope is a rate for all packets of a subnet, or of a family as a whole. A packet
// is charged to the global scope of its family and then to one more, if one is
// known to be its own: by IPv4 address (giaddr; without a relay and unless it was
// broadcast, ciaddr or the source address), else by the interface it came in on.
//
// A packet that selects its subnet by option (Relay Agent Information
// link-selection, option 118), whose options cannot be read to the end, or that
// is a relayed DHCPv6 message, is charged to the global scope only and counted as
// NoteScopeUnknown.
type Scope struct {
	// ID is the caller's. A scope that keeps it keeps the state of its bucket.
	ID uint64
	// Family is FamilyIPv4 or FamilyIPv6.
	Family Family
	Rate   Rate
	// Global charges all packets of the family. One scope of a family may.
	Global bool
	// Prefixes are those whose addresses select this subnet, the longest match
	// wins. IPv4 only.
	Prefixes []netip.Prefix
	// IfIndexes are the interfaces whose direct clients are in this subnet.
	IfIndexes []uint32
}
