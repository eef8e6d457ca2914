// Package host looks up host reservations by identifier and by address. An
// Index is immutable and safe from any goroutine; a Set changes while it is
// used.
//
// The index is two open-addressed tables of eight-byte entries (hash and
// position) over one list of reservations, so a million of them costs the
// collector nothing but that list, and a look-up that finds nothing touches one
// cache line.
package host

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// Index holds the reservations of one configuration.
type Index struct {
	seed  maphash.Seed
	hosts []*config.Reservation4
	ids   table
	addrs table
	// clients are the hosts by identifier, whatever the subnet, in the indexes of
	// a Set.
	clients table
	// more are asked, in order, where the configuration has nothing.
	more []*Set
	// dead are the hosts, by position, that a Set has removed; nil where none
	// can be.
	dead []atomic.Bool
}

// table is open addressing with linear probing, at most half full. An entry is
// the upper half of the hash and the position in hosts plus one; 0 is empty.
type table struct {
	entries []uint64
	mask    uint64
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
	x.ids = newTable(len(hosts))
	x.addrs = newTable(nAddr)
	for i, h := range x.hosts {
		if x.ByIdentifier(h.SubnetID, h.Type, h.Identifier) == nil {
			x.ids.insert(x.hashID(h.SubnetID, h.Type, h.Identifier), i)
		}
		if h.Addr != 0 && x.ByAddr(h.SubnetID, h.Addr) == nil {
			x.addrs.insert(hashAddr(h.SubnetID, h.Addr), i)
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
	h := x.hashClient(t, id)
	for i := h & x.clients.mask; x.clients.entries[i] != 0; i = (i + 1) & x.clients.mask {
		e := x.clients.entries[i]
		if e>>32 != h>>32 {
			continue
		}
		r := x.hosts[uint32(e)-1]
		if r.Type == t && bytes.Equal(r.Identifier, id) && !x.dead[uint32(e)-1].Load() &&
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
	h := x.hashID(subnetID, t, id)
	for i := h & x.ids.mask; ; i = (i + 1) & x.ids.mask {
		e := x.ids.entries[i]
		if e == 0 {
			return nil
		}
		if e>>32 != h>>32 {
			continue
		}
		r := x.hosts[uint32(e)-1]
		if r.SubnetID == subnetID && r.Type == t && bytes.Equal(r.Identifier, id) && (x.dead == nil || !x.dead[uint32(e)-1].Load()) {
			return r
		}
	}
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
	h := hashAddr(subnetID, addr)
	for i := h & x.addrs.mask; ; i = (i + 1) & x.addrs.mask {
		e := x.addrs.entries[i]
		if e == 0 {
			return nil
		}
		if e>>32 != h>>32 {
			continue
		}
		r := x.hosts[uint32(e)-1]
		if r.SubnetID == subnetID && r.Addr == addr && (x.dead == nil || !x.dead[uint32(e)-1].Load()) {
			return r
		}
	}
}

// hashID is seeded: identifiers are chosen by clients.
func (x *Index) hashID(subnetID uint32, t config.IdentifierType, id []byte) uint64 {
	return mix(maphash.Bytes(x.seed, id) + uint64(subnetID)<<8 + uint64(t))
}

func (x *Index) hashClient(t config.IdentifierType, id []byte) uint64 {
	return mix(maphash.Bytes(x.seed, id) ^ uint64(t)<<56)
}

func hashAddr(subnetID uint32, a dhcp4.IPv4) uint64 { return mix(uint64(subnetID)<<32 | uint64(a)) }

// mix spreads every bit of v over the result (the finalizer of splitmix64).
func mix(v uint64) uint64 {
	v += 0x9E3779B97F4A7C15
	v = (v ^ v>>30) * 0xBF58476D1CE4E5B9
	v = (v ^ v>>27) * 0x94D049BB133111EB
	return v ^ v>>31
}

func newTable(n int) table {
	size := uint64(2)
	for size < 2*uint64(n) {
		size <<= 1
	}
	return table{entries: make([]uint64, size), mask: size - 1}
}

func (t *table) insert(h uint64, pos int) {
	i := h & t.mask
	for t.entries[i] != 0 {
		i = (i + 1) & t.mask
	}
	t.entries[i] = h>>32<<32 | uint64(uint32(pos+1))
}
