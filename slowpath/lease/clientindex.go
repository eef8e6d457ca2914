package lease

import (
	"hash/maphash"
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease/slab"
)

// Keys. Hashes are seeded per table: clients choose these bytes. Records with
// and without client identifier are filed apart under the hardware address, so
// that identifiers made up by the dozen cannot push out the one record that has
// none. Subnets are parts of the keys (slab.ClientIndex), so that a client is
// found in a shared network whatever number of subnets that has.

func (t *Table) cidHash(cid []byte) uint64 { return slab.Mix(maphash.Bytes(t.cidSeed, cid)) }

// hwHash differs in its lowest bit for records with and without identifier, so
// that both are in one cache line.
func (t *Table) hwHash(htype uint8, hw []byte, withCID bool) uint64 {
	h := slab.Mix(maphash.Bytes(t.hwSeed, hw)^uint64(htype)*0x9E3779B97F4A7C15) &^ 3
	if withCID {
		return h | 2
	}
	return h | 1
}

func (t *Table) addrHash(addr uint32) uint64 { return slab.Mix(uint64(addr) ^ t.addrSeed) }

// addClient files l under its client keys; a declined lease belongs to nobody.
func (t *Table) addClient(l *Lease4) { t.eachClient(l, (*slab.ClientIndex).Insert) }

func (t *Table) removeClient(l *Lease4) { t.eachClient(l, (*slab.ClientIndex).Remove) }

// eachClient does the same to every index entry that l is to have.
func (t *Table) eachClient(l *Lease4, do func(x *slab.ClientIndex, h uint64, subnetID, ref uint32)) {
	if l.State == StateDeclined {
		return
	}
	if l.ClientIDLen > 0 {
		do(t.byCID, t.cidHash(l.CID()), l.SubnetID, uint32(l.Addr))
	}
	if l.HWLen > 0 {
		do(t.byHW, t.hwHash(l.HWType, l.HW(), l.ClientIDLen > 0), l.SubnetID, uint32(l.Addr))
	}
}

// sameClientKeys reports whether a and b are filed alike.
func sameClientKeys(a, b *Lease4) bool {
	return a.SubnetID == b.SubnetID && (a.State == StateDeclined) == (b.State == StateDeclined) &&
		a.HWType == b.HWType && string(a.HW()) == string(b.HW()) && string(a.CID()) == string(b.CID())
}

// FindByClientID copies into l the client's record in the subnet: same client
// identifier, of any state but declined. Unexpired default-state records are
// preferred (the one that lasts longest), then offers (the latest), then of the
// rest the latest changed, of expired default ones the one that lasted longest. Now is taken to be the latest time that the records looked at
// or Due have seen.
// Of a client with more than eight records in the subnet the newest eight are
// looked at.
func (t *Table) FindByClientID(cid []byte, subnetID uint32, l *Lease4) bool {
	if len(cid) == 0 || len(cid) > MaxClientIDLen {
		return false
	}
	var addrs [perKey]uint32
	n := t.byCID.FindPart(t.cidHash(cid), subnetID, &addrs)
	return t.choose(addrs[:n], clientKey{cid: cid, subnetID: subnetID}, l)
}

// FindByHWAddr copies into l the record in the subnet that belongs to the
// hardware address: a record with a client identifier different from cid is
// another client's, unless cid or the record's is empty (V4-068). Preference and
// limit are those of FindByClientID; records without client identifier are
// counted apart from those with one.
func (t *Table) FindByHWAddr(htype uint8, hw, cid []byte, subnetID uint32, l *Lease4) bool {
	if len(hw) == 0 || len(hw) > MaxHWAddrLen || len(cid) > MaxClientIDLen {
		return false
	}
	var a, b [perKey]uint32
	var all [2 * perKey]uint32
	na := t.byHW.FindPart(t.hwHash(htype, hw, false), subnetID, &a)
	n := copy(all[:], a[:na])
	var nb int
	if len(cid) > 0 {
		// Records with this very identifier and hardware address; those with
		// another identifier are not wanted.
		nb = t.byCID.FindPart(t.cidHash(cid), subnetID, &b)
	} else {
		nb = t.byHW.FindPart(t.hwHash(htype, hw, true), subnetID, &b)
	}
	n += copy(all[n:], b[:nb])
	return t.choose(all[:n], clientKey{htype: htype, hw: hw, cid: cid, subnetID: subnetID}, l)
}

// FindWithoutClientID is FindByHWAddr for a client whose identifier
// FindByClientID does not know in the subnet: only records without identifier
// are left to be its own.
func (t *Table) FindWithoutClientID(htype uint8, hw []byte, subnetID uint32, l *Lease4) bool {
	if len(hw) == 0 || len(hw) > MaxHWAddrLen {
		return false
	}
	var a [perKey]uint32
	n := t.byHW.FindPart(t.hwHash(htype, hw, false), subnetID, &a)
	return t.choose(a[:n], clientKey{htype: htype, hw: hw, cid: noneAlike[:], subnetID: subnetID}, l)
}

// MaxClientSubnets is how many subnets ClientSubnets gives at most.
const MaxClientSubnets = 3 * slab.MaxCandidates

// ClientSubnets copies into out the subnets, each once and in no order, in which
// the look-ups above may find records of a client: those by client identifier,
// unless cid is empty, and by hardware address, unless hw is. It returns how many
// they are; all is false if there may be more, because the client has records in
// a great many. The cost does not depend on how many subnets there are.
//
// With hwAny records of the hardware address count whatever their identifier,
// which is for look-ups without one; else only those that have none.
func (t *Table) ClientSubnets(htype uint8, hw, cid []byte, hwAny bool, out *[MaxClientSubnets]uint32) (n int, all bool) {
	all = true
	look := func(x *slab.ClientIndex, h uint64) {
		var addrs [slab.MaxCandidates]uint32
		k, complete := x.FindParts(h, &addrs)
		all = all && complete
		for _, addr := range addrs[:k] {
			if id, ok := t.subnetOf(addr); ok && !slices.Contains(out[:n], id) {
				out[n] = id
				n++
			}
		}
	}
	if len(cid) > 0 && len(cid) <= MaxClientIDLen {
		look(t.byCID, t.cidHash(cid))
	}
	if len(hw) > 0 && len(hw) <= MaxHWAddrLen {
		look(t.byHW, t.hwHash(htype, hw, false))
		if hwAny {
			look(t.byHW, t.hwHash(htype, hw, true))
		}
	}
	return n, all
}

// subnetOf is the subnet of an address's record.
func (t *Table) subnetOf(addr uint32) (id uint32, ok bool) {
	h := t.addrHash(addr)
	s := t.shardOf(h)
	s.mu.Lock()
	i := s.find(addr, h)
	if i != 0 {
		id = s.rec(i).subnetID
	}
	s.mu.Unlock()
	return id, i != 0
}

// perKey is how many candidates a look-up in one subnet has: those that are filed
// under the whole key, and those under the subnet's part.
const perKey = 2 * slab.MaxCandidates

// noneAlike is longer than any client identifier.
var noneAlike [MaxClientIDLen + 1]byte

// clientKey is what a look-up asks for; hw nil asks by client identifier.
type clientKey struct {
	htype    uint8
	hw, cid  []byte
	subnetID uint32
}

func (k *clientKey) matches(l *Lease4) bool {
	if l.SubnetID != k.subnetID || l.State == StateDeclined {
		return false
	}
	if k.hw == nil {
		return string(l.CID()) == string(k.cid)
	}
	return l.HWType == k.htype && string(l.HW()) == string(k.hw) &&
		(len(k.cid) == 0 || l.ClientIDLen == 0 || string(l.CID()) == string(k.cid))
}

// choose copies the best record among those of addrs that match. Candidates are
// read one after the other, each under its own shard's lock, so the result is
// what one of them was a moment ago; Put's version check does the rest.
func (t *Table) choose(addrs []uint32, k clientKey, l *Lease4) bool {
	if len(addrs) == 1 { // nearly always
		return t.Get(dhcp4.IPv4(addrs[0]), l) && k.matches(l)
	}
	return len(addrs) > 1 && t.chooseOf(addrs, &k, l)
}

// chooseOf keeps the best of each class, since which defaults have expired is
// known only when all have been seen.
func (t *Table) chooseOf(addrs []uint32, k *clientKey, l *Lease4) bool {
	var c, active, offer, old Lease4
	var haveActive, haveOffer, haveOld bool
	nowS := t.dueNowS.Load()
	for _, addr := range addrs {
		if !t.Get(dhcp4.IPv4(addr), &c) || !k.matches(&c) {
			continue
		}
		nowS = max(nowS, c.CLTTUnixS)
		switch c.State {
		case StateDefault:
			if !haveActive || c.ExpiresUnixS() > active.ExpiresUnixS() ||
				c.ExpiresUnixS() == active.ExpiresUnixS() && c.Version > active.Version {
				active, haveActive = c, true
			}
		case StateOffered:
			if !haveOffer || c.Version > offer.Version {
				offer, haveOffer = c, true
			}
		default:
			if !haveOld || c.Version > old.Version {
				old, haveOld = c, true
			}
		}
	}
	switch {
	case haveActive && !active.Expired(nowS):
		*l = active
	case haveOffer:
		*l = offer
	case haveActive && (!haveOld || active.Version > old.Version):
		*l = active
	case haveOld:
		*l = old
	default:
		return false
	}
	return true
}
