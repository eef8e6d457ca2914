// Package alloc finds free addresses. A Set has, for every pool of a
// configuration, hierarchical bitmaps of which addresses are taken, so that an
// allocation costs the same in a nearly full /8 as in an empty /24.
//
// The lease table is the truth; a Set follows it as its lease.Observer, and its
// claims only keep two workers from trying the same address. Everything may be
// called from any goroutine; Pick takes no lock.
package alloc

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// Set is the allocators of one configuration. It implements lease.Observer:
// attach it with lease.Table.SetObserver(set, true) before the configuration
// that it belongs to is used.
type Set struct{}

// NewSet builds the pools of cfg, all free but for addresses reserved for hosts
// (where reservations-in-subnet is on and reservations-out-of-pool is off).
func NewSet(cfg *config.Dhcp4) *Set { panic("alloc: not built yet") }

// Kind says from where Pick took an address, best first.
type Kind uint8

const (
	// None: nothing can be had in these pools.
	None Kind = iota
	// Free: no record in the table.
	Free
	// Stale: a record that is expired, reclaimed or released; take it over by
	// Put at its version after checking that it still is.
	Stale
	// Offered: only an offer to another client (the oldest first, roughly).
	Offered
)

// Pick claims an address of pool p of subnet s (an index in s.Pools; the caller
// tries the pools a client may use, in order) by the subnet's allocator: the
// iterative one goes on from the last address it gave. The claim is dropped by
// Unclaim, or ends by itself when the table reports the record. Kinds after Free
// are only tried when no address is Free.
func (a *Set) Pick(s *config.Subnet4, p int) (dhcp4.IPv4, Kind) { panic("alloc: not built yet") }

// Claim claims one given address (a hint or a requested one) if no other worker
// has; ok is false then. An address outside every pool needs no claim: ok.
func (a *Set) Claim(s *config.Subnet4, addr dhcp4.IPv4) (ok bool) { panic("alloc: not built yet") }

// Unclaim gives back a claim that led to no record.
func (a *Set) Unclaim(s *config.Subnet4, addr dhcp4.IPv4) { panic("alloc: not built yet") }

// LeaseChanged implements lease.Observer.
func (a *Set) LeaseChanged(old, new *lease.Lease4) { panic("alloc: not built yet") }

// PoolStats are one pool's numbers, for statistics and metrics.
type PoolStats struct {
	SubnetID, PoolID uint32
	First, Last      dhcp4.IPv4
	Total            uint64 // addresses in the pool
	Assigned         uint64 // default and declined records (Kea counts declined as assigned)
	Declined         uint64
	Offered          uint64
	Stale            uint64
}

// SubnetStats are one subnet's numbers, records outside pools included.
type SubnetStats struct {
	SubnetID                  uint32
	Total, Assigned, Declined uint64
	Cumulative                uint64 // assignments since start (a record became default from none, expired, released or offered)
}

// EachPool and EachSubnet visit the numbers, in ascending order.
func (a *Set) EachPool(f func(*PoolStats))     { panic("alloc: not built yet") }
func (a *Set) EachSubnet(f func(*SubnetStats)) { panic("alloc: not built yet") }
