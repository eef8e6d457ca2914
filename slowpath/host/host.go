// Package host looks up host reservations by identifier and by address. An
// Index is immutable and safe from any goroutine; a Set changes while it is
// used.
//
// The indexes are hash tables over one list of reservations, so a million of them
// costs the collector nothing but that list, and a look-up that finds nothing
// touches one cache line.
package host

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/hashindex"
)

// Index holds the reservations of one configuration.
type Index struct {
	seed  maphash.Seed
	hosts []*config.Reservation4
	ids   hashindex.Table
	addrs hashindex.Table
	// clients are the hosts by identifier, whatever the subnet, in the indexes of
	// a Set.
	clients hashindex.Table
	// more are asked, in order, where the configuration has nothing.
	more []*Set
	// dead are the hosts, by position, that a Set has removed; nil where none
	// can be.
	dead []atomic.Bool
}

// NewIndex builds the index, global reservations under subnet id 0. Of several
// reservations with the same identifier (or address) in one subnet the first is
// found; the configuration refuses such, except global ones by address.
func NewIndex(cfg *config.Dhcp4) *Index {
	n := len(cfg.GlobalReservations)
	for _, s := range cfg.Subnets {
		n += len(s.Reservations)
	}
	hosts := append(make([]*config.Reservation4, 0, n), cfg.GlobalReservations...)
	for _, s := range cfg.Subnets {
		hosts = append(hosts, s.Reservations...)
	}
	return newIndex(hosts)
}

func newIndex(hosts []*config.Reservation4) *Index {
	x := &Index{seed: maphash.MakeSeed(), hosts: hosts}
	nAddr := 0
	for _, h := range x.hosts {
		if h.Addr != 0 {
			nAddr++
		}
	}
	x.ids = hashindex.New(len(hosts))
	x.addrs = hashindex.New(nAddr)
	for i, h := range x.hosts {
		x.ids.Insert(x.hashID(h.SubnetID, h.Type, h.Identifier), i)
		if h.Addr != 0 {
			x.addrs.Insert(hashAddr(h.SubnetID, h.Addr), i)
		}
	}
	return x
}

// SetMore makes look-ups that find nothing in the configuration look into the
// sets, in that order (DB-005), and no further than a negative one. Before the
// index is used by others.
func (x *Index) SetMore(sets ...*Set) { x.more = sets }

// HasMore says whether SetMore was used: then Lists do not know all.
func (x *Index) HasMore() bool { return len(x.more) > 0 }

// AppendMore appends what the sets of SetMore have for the identifier, in any
// subnet: of a subnet the first, which may be a negative one. The configuration
// comes before it.
func (x *Index) AppendMore(dst []*config.Reservation4, t config.IdentifierType, id []byte) []*config.Reservation4 {
	for _, s := range x.more {
		dst = s.appendByIdentifier(dst, t, id)
	}
	return dst
}

// appendByIdentifier appends the hosts of the identifier, but for those of subnets
// that the first known of dst have one of.
func (x *Index) appendByIdentifier(dst []*config.Reservation4, known int, t config.IdentifierType, id []byte) []*config.Reservation4 {
	if len(x.hosts) == 0 || len(id) == 0 {
		return dst
	}
	for c := x.clients.Find(x.hashClient(t, id)); c.Next(); {
		r := x.hosts[c.Pos]
		if r.Type == t && bytes.Equal(r.Identifier, id) && !x.removed(c.Pos) &&
			!slices.ContainsFunc(dst[:known], func(o *config.Reservation4) bool { return o.SubnetID == r.SubnetID }) {
			dst = append(dst, r)
		}
	}
	return dst
}

// Empty reports that no look-up would find anything, so that there is no need to
// ask by each identifier.
func (x *Index) Empty() bool {
	if len(x.hosts) > 0 {
		return false
	}
	for _, s := range x.more {
		if !s.empty() {
			return false
		}
	}
	return true
}

// Len is the number of reservations.
func (x *Index) Len() int { return len(x.hosts) }

// ByIdentifier returns the reservation, nil if none. No allocation.
func (x *Index) ByIdentifier(subnetID uint32, t config.IdentifierType, id []byte) *config.Reservation4 {
	r := x.byIdentifier(subnetID, t, id)
	for i := 0; r == nil && i < len(x.more); i++ {
		r = x.more[i].ByIdentifier(subnetID, t, id)
	}
	if r != nil && r.Negative {
		return nil
	}
	return r
}

func (x *Index) byIdentifier(subnetID uint32, t config.IdentifierType, id []byte) *config.Reservation4 {
	if len(x.hosts) == 0 || len(id) == 0 {
		return nil
	}
	for c := x.ids.Find(x.hashID(subnetID, t, id)); c.Next(); {
		if r := x.hosts[c.Pos]; r.SubnetID == subnetID && r.Type == t && bytes.Equal(r.Identifier, id) && !x.removed(c.Pos) {
			return r
		}
	}
	return nil
}

// ByAddr returns the reservation of that address, nil if none. No allocation.
func (x *Index) ByAddr(subnetID uint32, addr dhcp4.IPv4) *config.Reservation4 {
	r := x.byAddr(subnetID, addr)
	for i := 0; r == nil && i < len(x.more); i++ {
		r = x.more[i].ByAddr(subnetID, addr)
	}
	if r != nil && r.Negative {
		return nil
	}
	return r
}

func (x *Index) byAddr(subnetID uint32, addr dhcp4.IPv4) *config.Reservation4 {
	if len(x.hosts) == 0 {
		return nil
	}
	for c := x.addrs.Find(hashAddr(subnetID, addr)); c.Next(); {
		if r := x.hosts[c.Pos]; r.SubnetID == subnetID && r.Addr == addr && !x.removed(c.Pos) {
			return r
		}
	}
	return nil
}

func (x *Index) removed(pos int) bool { return x.dead != nil && x.dead[pos].Load() }

// hashID is seeded: identifiers are chosen by clients.
func (x *Index) hashID(subnetID uint32, t config.IdentifierType, id []byte) uint64 {
	return hashindex.Mix(maphash.Bytes(x.seed, id) + uint64(subnetID)<<8 + uint64(t))
}

func (x *Index) hashClient(t config.IdentifierType, id []byte) uint64 {
	return hashindex.Mix(maphash.Bytes(x.seed, id) ^ uint64(t)<<56)
}

func hashAddr(subnetID uint32, a dhcp4.IPv4) uint64 {
	return hashindex.Mix(uint64(subnetID)<<32 | uint64(a))
}
