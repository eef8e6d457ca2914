package lease

import (
	"hash/maphash"
	"sync"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// clientIndex maps hashes of client keys to addresses. It answers with
// candidates only: a slot has 32 bits of hash and the address, so that walking,
// inserting and growing never touch a record or its shard's lock. Its shard
// locks are leaves: they may be taken under an address shard's lock, and nothing
// is taken under them.
//
// A key has at most maxCandidates entries that find returns. The next one takes
// the place of the oldest, which is moved to a hash of its own, where only
// remove looks for it. So a client that piles up leases under one hardware
// address lengthens nobody's walk, its own neither.
type clientIndex struct {
	shards [shardCount]clientShard
	grown  func(bytes int)
}

// maxCandidates is how many records of one key are found at most.
const maxCandidates = 8

type clientShard struct {
	mu    sync.Mutex
	n     int
	slots []clientSlot
	_     [24]byte // to a cache line
}

// clientSlot is empty if hash is 0.
type clientSlot struct{ hash, addr uint32 }

func slotHash(h uint64) uint32 { return max(uint32(h), 1) }

// ownHash is where an entry beyond maxCandidates is filed.
func ownHash(h32, addr uint32) uint32 {
	return slotHash(mix64(uint64(h32)<<32 | uint64(addr)))
}

func (x *clientIndex) insert(h uint64, addr uint32) {
	c := &x.shards[h>>56]
	c.mu.Lock()
	if (c.n+2)*5 > len(c.slots)*4 {
		x.grown(c.grow())
	}
	c.n++
	h32 := slotHash(h)
	size := len(c.slots)
	var same [maxCandidates]int
	n := 0
	p := home(h32, size)
	for c.slots[p].hash != 0 {
		if c.slots[p].hash == h32 && n < maxCandidates {
			same[n] = p
			n++
		}
		if p++; p == size {
			p = 0
		}
	}
	if n < maxCandidates {
		c.slots[p] = clientSlot{h32, addr}
	} else {
		oldest := c.slots[same[0]].addr
		for k := 1; k < n; k++ {
			c.slots[same[k-1]].addr = c.slots[same[k]].addr
		}
		c.slots[same[n-1]].addr = addr
		c.place(clientSlot{ownHash(h32, oldest), oldest})
	}
	c.mu.Unlock()
}

func (c *clientShard) place(e clientSlot) {
	size := len(c.slots)
	p := home(e.hash, size)
	for c.slots[p].hash != 0 {
		if p++; p == size {
			p = 0
		}
	}
	c.slots[p] = e
}

// grow returns by how many bytes.
func (c *clientShard) grow() int {
	old := c.slots
	c.slots = make([]clientSlot, indexSize(len(old)))
	for _, e := range old {
		if e.hash != 0 {
			c.place(e)
		}
	}
	return (len(c.slots) - len(old)) * 8
}

func (x *clientIndex) remove(h uint64, addr uint32) {
	c := &x.shards[h>>56]
	h32 := slotHash(h)
	c.mu.Lock()
	if !c.removeEntry(clientSlot{h32, addr}) {
		c.removeEntry(clientSlot{ownHash(h32, addr), addr})
	}
	c.mu.Unlock()
}

func (c *clientShard) removeEntry(e clientSlot) bool {
	size := len(c.slots)
	if size == 0 {
		return false
	}
	p := home(e.hash, size)
	for c.slots[p] != e {
		if c.slots[p].hash == 0 {
			return false
		}
		if p++; p == size {
			p = 0
		}
	}
	c.n--
	for j := p; ; {
		if j++; j == size {
			j = 0
		}
		v := c.slots[j]
		if v.hash == 0 {
			break
		}
		if movable(home(v.hash, size), p, j) {
			c.slots[p] = v
			p = j
		}
	}
	c.slots[p] = clientSlot{}
	return true
}

// find copies candidate addresses into out, oldest first, and returns how many.
func (x *clientIndex) find(h uint64, out *[maxCandidates]uint32) int {
	c := &x.shards[h>>56]
	h32 := slotHash(h)
	n := 0
	c.mu.Lock()
	if size := len(c.slots); size != 0 {
		for p := home(h32, size); c.slots[p].hash != 0 && n < maxCandidates; {
			if c.slots[p].hash == h32 {
				out[n] = c.slots[p].addr
				n++
			}
			if p++; p == size {
				p = 0
			}
		}
	}
	c.mu.Unlock()
	return n
}

// Keys. Hashes are seeded per table: clients choose these bytes. Records with
// and without client identifier are filed apart under the hardware address, so
// that identifiers made up by the dozen cannot push out the one record that has
// none.

func (t *Table) cidHash(cid []byte, subnetID uint32) uint64 {
	return mix64(maphash.Bytes(t.cidSeed, cid) ^ uint64(subnetID)*0x9E3779B97F4A7C15)
}

func (t *Table) hwHash(htype uint8, hw []byte, withCID bool, subnetID uint32) uint64 {
	k := uint64(subnetID)<<9 | uint64(htype)<<1
	if withCID {
		k |= 1
	}
	return mix64(maphash.Bytes(t.hwSeed, hw) ^ k*0x9E3779B97F4A7C15)
}

func (t *Table) addrHash(addr uint32) uint64 { return mix64(uint64(addr) ^ t.addrSeed) }

// mix64 is a bijection in which every input bit moves every output bit (the
// finalizer of MurmurHash3 with Stafford's constants).
func mix64(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	return x ^ x>>31
}

// addClient files l under its client keys; a declined lease belongs to nobody.
func (t *Table) addClient(l *Lease4) {
	if l.State == StateDeclined {
		return
	}
	if l.ClientIDLen > 0 {
		t.byCID.insert(t.cidHash(l.CID(), l.SubnetID), uint32(l.Addr))
	}
	if l.HWLen > 0 {
		t.byHW.insert(t.hwHash(l.HWType, l.HW(), l.ClientIDLen > 0, l.SubnetID), uint32(l.Addr))
	}
}

func (t *Table) removeClient(l *Lease4) {
	if l.State == StateDeclined {
		return
	}
	if l.ClientIDLen > 0 {
		t.byCID.remove(t.cidHash(l.CID(), l.SubnetID), uint32(l.Addr))
	}
	if l.HWLen > 0 {
		t.byHW.remove(t.hwHash(l.HWType, l.HW(), l.ClientIDLen > 0, l.SubnetID), uint32(l.Addr))
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
// Of a client with more than eight records in the subnet the newest are looked
// at.
func (t *Table) FindByClientID(cid []byte, subnetID uint32, l *Lease4) bool {
	if len(cid) == 0 || len(cid) > MaxClientIDLen {
		return false
	}
	var addrs [maxCandidates]uint32
	n := t.byCID.find(t.cidHash(cid, subnetID), &addrs)
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
	var a, b [maxCandidates]uint32
	var all [2 * maxCandidates]uint32
	na := t.byHW.find(t.hwHash(htype, hw, false, subnetID), &a)
	n := copy(all[:], a[:na])
	var nb int
	if len(cid) > 0 {
		// Records with this very identifier and hardware address; those with
		// another identifier are not wanted.
		nb = t.byCID.find(t.cidHash(cid, subnetID), &b)
	} else {
		nb = t.byHW.find(t.hwHash(htype, hw, true, subnetID), &b)
	}
	n += copy(all[n:], b[:nb])
	return t.choose(all[:n], clientKey{htype: htype, hw: hw, cid: cid, subnetID: subnetID}, l)
}

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
