package lease6

import (
	"bytes"
	"hash/maphash"
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease/slab"
)

// Keys of the client indexes. Hashes are seeded per table: clients choose these
// bytes. A reference is the number of the shard and that of the record.

const golden = 0x9E3779B97F4A7C15

// iaPart is what tells the identity associations of a client apart in the index.
func iaPart(typ Type, iaid, subnetID uint32) uint32 {
	return uint32(slab.Mix(slab.Mix((uint64(iaid)<<2|uint64(typ&3))*golden)^uint64(subnetID))) >> 1
}

func (t *Table) duidHash(duid []byte) uint64 { return slab.Mix(maphash.Bytes(t.idSeed, duid)) }

func refOf(h uint64, i uint32) uint32 { return uint32(h>>56)<<shardShift | i }

// filed reports whether the indexes have l: a declined lease belongs to nobody.
func filed(l *Lease6) bool { return l.State != lease.StateDeclined && l.DUIDLen > 0 }

func sameClient(a, b *Lease6) bool {
	return filed(a) == filed(b) && a.Type == b.Type && a.IAID == b.IAID && a.SubnetID == b.SubnetID &&
		bytes.Equal(a.ID(), b.ID())
}

// fileClient enters record i, whose value is l and whose address has hash h, into
// the client index: under the DUID while there is room, which is nearly always,
// else under DUID and identity association.
func (s *shard) fileClient(i uint32, l *Lease6, h uint64) {
	s.inIndex(i, l, h, (*slab.ClientIndex).Insert)
}

// unfileClient undoes fileClient.
func (s *shard) unfileClient(i uint32, l *Lease6, h uint64) {
	s.inIndex(i, l, h, (*slab.ClientIndex).Remove)
}

func (s *shard) inIndex(i uint32, l *Lease6, h uint64, do func(x *slab.ClientIndex, h uint64, part, ref uint32)) {
	if filed(l) {
		do(s.t.byDUID, s.t.duidHash(l.ID()), iaPart(l.Type, l.IAID, l.SubnetID), refOf(h, i))
	}
}

// read copies the record that ref names into l, if it still is one of duid's, and
// of the association ia unless that is nil.
func (t *Table) read(ref uint32, duid []byte, ia *association, l *Lease6) bool {
	s := &t.shards[ref>>shardShift]
	i := ref & slab.MaxNumber
	s.mu.Lock()
	defer s.mu.Unlock()
	if i >= s.top {
		return false
	}
	r := s.rec(i)
	if r.flags&(flagUsed|flagCovered) != flagUsed || r.state == lease.StateDeclined ||
		ia != nil && !ia.has(r) || !s.hasID(i, duid) {
		return false
	}
	s.decode(i, l)
	return true
}

type association struct {
	typ     Type
	iaid    uint32
	subnets []uint32
}

func (a *association) has(r *record) bool {
	return r.typ == a.typ && r.iaid == a.iaid && slices.Contains(a.subnets, r.subnetID)
}

// Client is what Table.Client found of a client, for look-ups of several
// identity associations of one message. It aliases the DUID.
type Client struct {
	duid     []byte
	hash     uint64
	refs     [slab.MaxCandidates]uint32
	n        int
	complete bool // nothing is to be found but refs
}

// Client looks a client up. What is filed under its DUID afterwards FindIA may
// not find.
func (t *Table) Client(duid []byte, c *Client) {
	c.duid, c.n, c.complete = duid, 0, true
	if len(duid) > 0 && len(duid) <= MaxDUIDLen {
		c.hash = t.duidHash(duid)
		c.n, c.complete = t.byDUID.FindParts(c.hash, &c.refs)
	}
}

// FindByIA is Client and FindIA in one.
func (t *Table) FindByIA(typ Type, duid []byte, iaid uint32, subnets []uint32, out []Lease6) int {
	var c Client
	t.Client(duid, &c)
	return t.FindIA(&c, typ, iaid, subnets, out)
}

// FindIA copies into out the records of an identity association of the client in
// some subnets, those of a link, latest change first, and returns how many: of
// that type and IAID, in any state but declined, offers included. Of an
// association with more than MaxPerIA records in a subnet the newest are looked at;
// out need not be longer. Candidates are read one after the other, each under its
// own shard's lock, so each result is what it was a moment ago; Put's version
// check does the rest.
//
// The index is not asked again, but for each subnet if the DUID has more than eight
// records.
func (t *Table) FindIA(c *Client, typ Type, iaid uint32, subnets []uint32, out []Lease6) int {
	ia := association{typ, iaid, subnets}
	n := 0
	if !c.complete {
		var refs [slab.MaxCandidates]uint32
		for _, subnetID := range subnets {
			k := t.byDUID.FindBeyond(c.hash, iaPart(typ, iaid, subnetID), &refs)
			n += t.readIA(refs[:k], c.duid, &ia, out[n:])
		}
	}
	n += t.readIA(c.refs[:c.n], c.duid, &ia, out[n:])
	for a := 1; a < n; a++ { // nearly always one or two
		for b := a; b > 0 && out[b].Version > out[b-1].Version; b-- {
			out[b], out[b-1] = out[b-1], out[b]
		}
	}
	return n
}

// readIA copies into out what refs name of an association, the newest first, and
// returns how many.
func (t *Table) readIA(refs []uint32, duid []byte, ia *association, out []Lease6) (n int) {
	for k := len(refs) - 1; k >= 0 && n < len(out); k-- {
		if t.read(refs[k], duid, ia, &out[n]) {
			n++
		}
	}
	return n
}

// WalkDUID calls yield for every record of a DUID in any state but declined,
// offers included, in no order, until it returns false. The lease is reused
// afterwards; yield may call the table. The cost is that of a few look-ups, unless
// the DUID has more than eight records: then that of Search.
func (t *Table) WalkDUID(duid []byte, yield func(l *Lease6) bool) {
	if len(duid) == 0 || len(duid) > MaxDUIDLen {
		return
	}
	var refs [slab.MaxCandidates]uint32
	n, complete := t.byDUID.FindParts(t.duidHash(duid), &refs)
	if !complete {
		t.search(&Filter{DUID: duid}, true, yield)
		return
	}
	l := new(Lease6)
	for _, ref := range refs[:n] {
		if t.read(ref, duid, nil, l) && !yield(l) {
			return
		}
	}
}

// Filter says which leases Search gives. A zero field does not restrict.
type Filter struct {
	SubnetID uint32
	DUID     []byte
	HW       []byte // hardware address of any type and source
	Hostname []byte // without regard to case
	// Type and State restrict only if ByType and ByState are set.
	Type    Type
	State   lease.State
	ByType  bool
	ByState bool
}

// searchBatch is how many records Search looks at under one hold of a lock, and
// searchFound how many of them it copies at most before it lets go.
const (
	searchBatch = 512
	searchFound = 8
)

// Search calls yield for every lease that f fits, in no order, until it returns
// false. Offers are left out; a record that an offer covers is given. Records are
// compared where they are; no lock is held while yield runs, which may call the
// table. What is changed meanwhile is given as it was or as it is.
func (t *Table) Search(f *Filter, yield func(l *Lease6) bool) { t.search(f, false, yield) }

// search gives leases, or with visible what the other look-ups see: offers
// instead of what they cover, and nothing declined.
func (t *Table) search(f *Filter, visible bool, yield func(l *Lease6) bool) {
	found := make([]Lease6, searchFound)
	for k := range t.shards {
		s := &t.shards[k]
		for i, more := uint32(1), true; more; {
			n := 0
			s.mu.Lock()
			for end := min(i+searchBatch, s.top); i < end && n < len(found); i++ {
				if r := s.rec(i); r.flags&flagUsed == 0 || visible && (r.flags&flagCovered != 0 || r.state == lease.StateDeclined) ||
					!visible && r.state == lease.StateOffered || !s.fits(i, f) {
					continue
				}
				s.decode(i, &found[n])
				if f.fits(&found[n]) {
					n++
				}
			}
			more = i < s.top
			s.mu.Unlock()
			for j := range found[:n] {
				if !yield(&found[j]) {
					return
				}
			}
		}
	}
}

// fits compares what needs no decoding.
func (s *shard) fits(i uint32, f *Filter) bool {
	r := s.rec(i)
	return (f.SubnetID == 0 || r.subnetID == f.SubnetID) && (!f.ByState || r.state == f.State) && (!f.ByType || r.typ == f.Type) &&
		(f.DUID == nil || s.hasID(i, f.DUID)) && (f.HW == nil || int(r.hwLen) == len(f.HW)) &&
		(f.Hostname == nil || int(r.hostLen) == len(f.Hostname))
}

// fits compares the rest.
func (f *Filter) fits(l *Lease6) bool {
	return (f.HW == nil || bytes.Equal(l.HW(), f.HW)) && (f.Hostname == nil || bytes.EqualFold(l.Host(), f.Hostname))
}
