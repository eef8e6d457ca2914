// Package host6 looks up DHCPv6 host reservations by identifier, by address and
// by prefix (V6-041). An Index is immutable and safe from any goroutine, a Set
// changes while it is used; no look-up allocates.
package host6

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/hashindex"
)

// Index holds the reservations of one configuration.
type Index struct {
	seed     maphash.Seed
	hosts    []*config.Reservation6
	ids      hashindex.Table // to hosts
	resource []resource
	byRes    hashindex.Table // to resource
	// more are asked, in order, where the configuration has nothing.
	more []*Set
	// dead are the hosts, by position, that a Set has removed; nil where none
	// can be.
	dead []atomic.Bool
}

// resource is an address (bits 128) or prefix that a host has.
type resource struct {
	prefix netip.Prefix
	pd     bool
	host   int32
}

// NewIndex builds the index, global reservations under subnet id 0. Of several
// reservations with the same identifier in one subnet the first is found; the
// configuration refuses such.
func NewIndex(cfg *config.Dhcp6) *Index {
	var hosts []*config.Reservation6
	hosts = append(hosts, cfg.GlobalReservations...)
	for _, s := range cfg.Subnets {
		hosts = append(hosts, s.Reservations...)
	}
	return newIndex(hosts)
}

func newIndex(hosts []*config.Reservation6) *Index {
	x := &Index{seed: maphash.MakeSeed(), hosts: hosts}
	for i, h := range x.hosts {
		for _, a := range h.Addrs {
			x.resource = append(x.resource, resource{prefix: netip.PrefixFrom(a, 128), host: int32(i)})
		}
		for _, p := range h.Prefixes {
			x.resource = append(x.resource, resource{prefix: p.Prefix, pd: true, host: int32(i)})
		}
	}
	x.ids = hashindex.New(len(x.hosts))
	for i, h := range x.hosts {
		x.ids.Insert(x.hashID(h.SubnetID, h.Type, h.Identifier), i)
	}
	x.byRes = hashindex.New(len(x.resource))
	for i := range x.resource {
		r := &x.resource[i]
		x.byRes.Insert(hashResource(x.hosts[r.host].SubnetID, r.prefix, r.pd), i)
	}
	return x
}

// SetMore makes look-ups that find nothing in the configuration look into the
// sets, in that order (DB-005), and no further than a negative one. Before the
// index is used by others.
func (x *Index) SetMore(sets ...*Set) { x.more = sets }

// Len is the number of reservations, without those of SetMore.
func (x *Index) Len() int { return len(x.hosts) }

// Empty says that no look-up can find anything now.
func (x *Index) Empty() bool {
	for _, s := range x.more {
		if !s.empty() {
			return false
		}
	}
	return len(x.hosts) == 0
}

// positive is h unless that is negative.
func positive(h *config.Reservation6) *config.Reservation6 {
	if h != nil && h.Negative {
		return nil
	}
	return h
}

// ByIdentifier returns the reservation, nil if none. Subnet id 0 asks for global
// ones.
func (x *Index) ByIdentifier(subnetID uint32, t config.IdentifierType, id []byte) *config.Reservation6 {
	h := x.byIdentifier(subnetID, t, id)
	for i := 0; h == nil && i < len(x.more); i++ {
		h = x.more[i].ByIdentifier(subnetID, t, id)
	}
	return positive(h)
}

func (x *Index) byIdentifier(subnetID uint32, t config.IdentifierType, id []byte) *config.Reservation6 {
	if len(x.hosts) == 0 || len(id) == 0 {
		return nil
	}
	for c := x.ids.Find(x.hashID(subnetID, t, id)); c.Next(); {
		if h := x.hosts[c.Pos]; h.SubnetID == subnetID && h.Type == t && bytes.Equal(h.Identifier, id) && !x.removed(c.Pos) {
			return h
		}
	}
	return nil
}

// ByAddr returns the reservation of that address in that subnet, nil if none.
// Where ip-reservations-unique is false there may be more than the one it
// returns: see AppendByAddr.
func (x *Index) ByAddr(subnetID uint32, a netip.Addr) *config.Reservation6 {
	return x.resourceOf(subnetID, netip.PrefixFrom(a, 128), false)
}

// ByPrefix is ByAddr for a delegated prefix, which must be canonical.
func (x *Index) ByPrefix(subnetID uint32, p netip.Prefix) *config.Reservation6 {
	return x.resourceOf(subnetID, p, true)
}

// AppendByAddr appends all reservations of that address in that subnet.
func (x *Index) AppendByAddr(dst []*config.Reservation6, subnetID uint32, a netip.Addr) []*config.Reservation6 {
	return x.appendByResource(dst, subnetID, netip.PrefixFrom(a, 128), false)
}

// AppendByPrefix is AppendByAddr for a delegated prefix.
func (x *Index) AppendByPrefix(dst []*config.Reservation6, subnetID uint32, p netip.Prefix) []*config.Reservation6 {
	return x.appendByResource(dst, subnetID, p, true)
}

func (x *Index) resourceOf(subnetID uint32, p netip.Prefix, pd bool) *config.Reservation6 {
	h := x.byResource(subnetID, p, pd)
	for i := 0; h == nil && i < len(x.more); i++ {
		h = x.more[i].byResource(subnetID, p, pd)
	}
	return positive(h)
}

func (x *Index) byResource(subnetID uint32, p netip.Prefix, pd bool) *config.Reservation6 {
	if len(x.resource) == 0 {
		return nil
	}
	for c := x.byRes.Find(hashResource(subnetID, p, pd)); c.Next(); {
		if h := x.match(c.Pos, subnetID, p, pd); h != nil {
			return h
		}
	}
	return nil
}

func (x *Index) appendByResource(dst []*config.Reservation6, subnetID uint32, p netip.Prefix, pd bool) []*config.Reservation6 {
	for c := x.byRes.Find(hashResource(subnetID, p, pd)); c.Next(); {
		if h := x.match(c.Pos, subnetID, p, pd); h != nil {
			dst = append(dst, h)
		}
	}
	for _, s := range x.more {
		if h := s.byResource(subnetID, p, pd); h != nil { // there are no two
			if !h.Negative {
				dst = append(dst, h)
			}
			break
		}
	}
	return dst
}

func (x *Index) removed(pos int) bool { return x.dead != nil && x.dead[pos].Load() }

// match returns the host of a resource if that is the one looked for.
func (x *Index) match(pos int, subnetID uint32, p netip.Prefix, pd bool) *config.Reservation6 {
	r := &x.resource[pos]
	if h := x.hosts[r.host]; h.SubnetID == subnetID && r.pd == pd && r.prefix == p && !x.removed(int(r.host)) {
		return h
	}
	return nil
}

// hashID is seeded: identifiers are chosen by clients.
func (x *Index) hashID(subnetID uint32, t config.IdentifierType, id []byte) uint64 {
	return hashindex.Mix(maphash.Bytes(x.seed, id) + uint64(subnetID)<<8 + uint64(t))
}

func hashResource(subnetID uint32, p netip.Prefix, pd bool) uint64 {
	a := p.Addr().As16()
	h := hashindex.Mix(binary.BigEndian.Uint64(a[:8]) ^ uint64(subnetID)<<16 ^ uint64(p.Bits()))
	if pd {
		h = ^h
	}
	return hashindex.Mix(h ^ binary.BigEndian.Uint64(a[8:]))
}
