package lease6

import (
	"encoding/binary"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease/slab"
)

// Options of a Table. The zero value is usable.
type Options struct {
	// MaxLeases limits the number of records, offers included; 0 means
	// 64 million. Put answers lease.ErrTableFull above it.
	MaxLeases int
	// Observer may be nil. SetObserver changes it later.
	Observer Observer
}

const (
	defaultMaxLeases = 64 << 20
	shardCount       = 256 // by the upper eight bits of an address's hash
	shardShift       = 24  // of a reference: the shard; below it the record's number
)

// Table is the in-memory DHCPv6 lease database.
//
// It is built as lease.Table is: 256 shards by a seeded hash of the address, each
// with a mutex, slabs, an address index and its expiry wheels; and an index that
// names candidate records by DUID, of the few clients that have more than eight by
// DUID and identity association. Lock order: a shard, then the client index.
// Look-ups by client release the index before they read records, and check them
// there.
type Table struct {
	// Never changed after NewTable.
	max      int64
	addrSeed uint64
	idSeed   maphash.Seed
	shards   *[shardCount]shard
	byDUID   *slab.ClientIndex // by parts: identity associations
	_        [64]byte

	// Each on a cache line of its own: all cores write here.
	seq   padded // taken under the address's shard lock
	count padded
	bytes padded

	due struct {
		sync.Mutex
		next int // shard
	}
	observing sync.Mutex // serializes SetObserver
	pages     pages
}

type padded struct {
	atomic.Int64
	_ [56]byte
}

// shard is guarded by mu but for t. What every look-up touches comes first and
// fills two cache lines; the bulk is apart, so that all shards' heads stay in
// cache.
type shard struct {
	mu     sync.Mutex
	t      *Table
	index  slab.Index
	chunks []*recordChunk
	obs    Observer
	top    uint32 // one above the greatest record number ever used
	free   uint32
	*shardBulk
	_ [24]byte
}

type shardBulk struct {
	// old and now are scratch for values given to journal and observer, which
	// would otherwise escape to the heap at every change.
	old, now Lease6
	blobs    slab.Blobs
	contexts map[uint32]string
	wheels   slab.Wheels
}

const shardBytes = 128 + 2*1024 + 300 + slab.WheelsBytes

// NewTable returns an empty table.
func NewTable(o Options) *Table {
	t := &Table{
		shards:   new([shardCount]shard),
		byDUID:   new(slab.ClientIndex),
		max:      int64(o.MaxLeases),
		addrSeed: rand.Uint64(),
		idSeed:   maphash.MakeSeed(),
	}
	if t.max <= 0 {
		t.max = defaultMaxLeases
	}
	grown := func(n int) { t.bytes.Add(int64(n)) }
	t.byDUID.Grown = grown
	for k := range t.shards {
		s := &t.shards[k]
		s.t = t
		s.obs = o.Observer
		s.shardBulk = new(shardBulk)
		s.blobs.Grown = grown
	}
	t.bytes.Store(shardCount * (shardBytes + 2*64))
	return t
}

func (t *Table) addrHash(a *IPv6) uint64 {
	hi, lo := binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])
	return slab.Mix(lo ^ slab.Mix(hi^t.addrSeed))
}

// at locks the shard of addr and returns its record's number, 0 if none, and its
// slot in the index.
func (t *Table) at(addr *IPv6) (s *shard, h uint64, slot int, i uint32) {
	h = t.addrHash(addr)
	s = &t.shards[h>>56]
	s.mu.Lock()
	for slot, i = s.index.First(h); i != 0 && s.rec(i).addr != *addr; {
		slot, i = s.index.Next(slot, h)
	}
	return s, h, slot, i
}

// Get copies the record of addr into l and reports whether there is one (offers
// count). l is unspecified if not.
func (t *Table) Get(addr IPv6, l *Lease6) bool {
	s, _, _, i := t.at(&addr)
	if i != 0 {
		s.decode(i, l)
	}
	s.mu.Unlock()
	return i != 0
}

// Covered copies into l the old record that an offer at addr stands over, and
// reports whether there is one. Who turns such an offer into a lease replaces
// that record.
func (t *Table) Covered(addr IPv6, l *Lease6) bool {
	s, _, _, i := t.at(&addr)
	covered := i != 0 && s.rec(i).under != 0
	if covered {
		s.decode(s.rec(i).under, l)
	}
	s.mu.Unlock()
	return covered
}

// Put makes *next the record of next.Addr if the record is still at version
// expect (0: there is none) and journals it through j, unless next.State is
// lease.StateOffered or j is nil. On success next.Version is set.
//
// Offers (what an ADVERTISE holds) may replace offers and cover records that are
// reclaimed, released or expired at the offer's CLTT; any other record refuses
// them with lease.ErrConflict. See lease.Table.Put.
func (t *Table) Put(next *Lease6, expect uint64, j Journal) (lease.Commit, error) {
	return t.PutOver(next, expect, j, nil)
}

// PutOver is Put that copies the old record, which goes with the offer that stood
// over it, into *under (if not nil) and says so in Commit.Covered. It never was
// declined: no offer stands over those.
func (t *Table) PutOver(next *Lease6, expect uint64, j Journal, under *Lease6) (lease.Commit, error) {
	next.DUIDLen = min(next.DUIDLen, MaxDUIDLen)
	next.HWLen = min(next.HWLen, MaxHWAddrLen)
	next.RelayInfoLen = min(next.RelayInfoLen, MaxRelayInfoLen)
	s, h, slot, i := t.at(&next.Addr)
	c, err := s.put(next, h, slot, i, expect, j, under)
	s.mu.Unlock()
	return c, err
}

func (s *shard) put(next *Lease6, h uint64, slot int, i uint32, expect uint64, j Journal, under *Lease6) (c lease.Commit, err error) {
	t := s.t
	var old *Lease6
	cover := false
	if i != 0 {
		if s.rec(i).version != expect {
			return c, lease.ErrConflict
		}
		old = &s.old
		s.decode(i, old)
		if cover, err = s.mayCover(next, old); err != nil {
			return c, err
		}
	} else if err = s.reserve(expect); err != nil {
		return c, err
	}
	before := next.Version
	next.Version = uint64(t.seq.Add(1))
	if next.State != lease.StateOffered && j != nil {
		var ok bool
		if c.Pos, ok = j.Append6(lease.OpPut, next); !ok {
			next.Version = before
			if i == 0 {
				t.count.Add(-1)
			}
			return lease.Commit{}, lease.ErrJournal
		}
	}
	c.Version = next.Version
	if i != 0 && under != nil && s.rec(i).under != 0 {
		s.decode(s.rec(i).under, under)
		c.Covered = true
	}
	s.store(next, h, slot, i, old, cover)
	if s.obs != nil {
		s.obs.LeaseChanged6(old, next)
	}
	return c, nil
}

// mayCover reports whether next is an offer that is to stand over old, or why it
// may not.
func (s *shard) mayCover(next, old *Lease6) (bool, error) {
	if next.State != lease.StateOffered || old.State == lease.StateOffered {
		return false, nil
	}
	switch old.State {
	case lease.StateReleased, lease.StateExpiredReclaimed:
	default:
		if old.State == lease.StateDeclined || !old.Expired(next.CLTTUnixS) {
			return false, lease.ErrConflict
		}
	}
	if !s.hasRoom() {
		return false, lease.ErrTableFull
	}
	return true, nil
}

// reserve counts a new address.
func (s *shard) reserve(expect uint64) error {
	if expect != 0 {
		return lease.ErrConflict
	}
	if !s.hasRoom() {
		return lease.ErrTableFull
	}
	if s.t.count.Add(1) > s.t.max {
		s.t.count.Add(-1)
		return lease.ErrTableFull
	}
	return nil
}

// store writes l as the record of its address: new if i is 0, else over record i
// at index slot, whose value is old; with cover, above it.
func (s *shard) store(l *Lease6, h uint64, slot int, i uint32, old *Lease6, cover bool) {
	switch {
	case i == 0:
		i = s.newRecord()
		s.encode(i, l)
		s.t.bytes.Add(int64(s.index.Put(i, h)))
		s.fileClient(i, l, h)
		s.wheels.File(s, i)
	case cover:
		u := i
		s.unfileClient(u, old, h)
		s.wheels.Unfile(s, u, heldState(old.State))
		s.rec(u).flags |= flagCovered
		i = s.newRecord()
		s.encode(i, l)
		s.rec(i).under = u
		s.index.Set(slot, i, h)
		s.fileClient(i, l, h)
		s.wheels.File(s, i)
	default:
		if r := s.rec(i); r.under != 0 && l.State != lease.StateOffered {
			s.freeRecord(r.under)
			r.under = 0
		}
		s.encode(i, l)
		if !sameClient(old, l) {
			s.unfileClient(i, old, h)
			s.fileClient(i, l, h)
		}
		s.wheels.Refile(s, i, heldState(old.State))
	}
}

// Delete removes the record of addr if it is still at version expect. Deleting
// an offer journals nothing, and uncovers the record it stands over.
func (t *Table) Delete(addr IPv6, expect uint64, j Journal) (lease.Commit, error) {
	s, h, slot, i := t.at(&addr)
	c, err := s.delete(h, slot, i, expect, j)
	s.mu.Unlock()
	return c, err
}

func (s *shard) delete(h uint64, slot int, i uint32, expect uint64, j Journal) (c lease.Commit, err error) {
	t := s.t
	if i == 0 || s.rec(i).version != expect {
		return c, lease.ErrConflict
	}
	old := &s.old
	s.decode(i, old)
	version := uint64(t.seq.Add(1))
	if old.State != lease.StateOffered && j != nil {
		old.Version = version
		var ok bool
		if c.Pos, ok = j.Append6(lease.OpDelete, old); !ok {
			return lease.Commit{}, lease.ErrJournal
		}
		old.Version = expect
	}
	c.Version = version
	var now *Lease6
	u := s.rec(i).under
	s.unfileClient(i, old, h)
	s.wheels.Unfile(s, i, heldState(old.State))
	s.freeRecord(i)
	if u != 0 {
		s.index.Set(slot, u, h)
		s.rec(u).flags &^= flagCovered
		now = &s.now
		s.decode(u, now)
		s.fileClient(u, now, h)
		s.wheels.File(s, u)
	} else {
		s.index.Remove(slot)
		t.count.Add(-1)
	}
	if s.obs != nil {
		s.obs.LeaseChanged6(old, now)
	}
	return c, nil
}

// Load inserts a recovered record with its own Version (not 0), without journal;
// later versions win, offers are left out, MaxLeases does not count. It may be
// called from several goroutines at once, but only before the table is shared.
func (t *Table) Load(l *Lease6) {
	if l.State == lease.StateOffered {
		return
	}
	s, h, slot, i := t.at(&l.Addr)
	defer s.mu.Unlock()
	var old *Lease6
	if i != 0 {
		if s.rec(i).version >= l.Version {
			return
		}
		old = &s.old
		s.decode(i, old)
	} else {
		if !s.hasRoom() {
			panic("lease6: load: a shard has 2^24 records")
		}
		t.count.Add(1)
	}
	t.SetVersion(l.Version)
	s.store(l, h, slot, i, old, false)
	if e, ok := s.obs.(ExistingObserver); ok && old == nil {
		e.LeaseExists6(l)
	} else if s.obs != nil {
		s.obs.LeaseChanged6(old, l)
	}
}

// SetObserver replaces the observer; with walk true the new one is told of every
// existing record first; see lease.Table.SetObserver.
func (t *Table) SetObserver(o Observer, walk bool) {
	t.observing.Lock()
	defer t.observing.Unlock()
	tell := func(l *Lease6) { o.LeaseChanged6(nil, l) }
	if e, ok := o.(ExistingObserver); ok {
		tell = e.LeaseExists6
	}
	for k := range t.shards {
		s := &t.shards[k]
		s.mu.Lock()
		s.obs = o
		if walk && o != nil {
			for i := s.Next(0); i != 0; i = s.Next(i) {
				s.decode(i, &s.now)
				tell(&s.now)
			}
		}
		s.mu.Unlock()
	}
}

// Len is the number of addresses and prefixes with a record, offers included.
func (t *Table) Len() int { return int(t.count.Load()) }

// Quiesce takes and releases the lock of each shard once; see
// lease.Table.Quiesce.
func (t *Table) Quiesce() {
	for k := range t.shards {
		s := &t.shards[k]
		s.mu.Lock()
		s.mu.Unlock() //nolint:staticcheck // nothing to do inside: the order is the point
	}
}

// Reserve makes room for n leases in the indexes, which saves recovery the time
// of growing them step by step. Only before the table is shared.
func (t *Table) Reserve(n int) {
	for k := range t.shards {
		t.bytes.Add(int64(t.shards[k].index.Reserve(n / shardCount)))
	}
	t.byDUID.Reserve(n)
}

// SetVersion makes every later change have a greater version than v. Only before
// the table is shared (recovery).
func (t *Table) SetVersion(v uint64) {
	for cur := t.seq.Load(); cur < int64(v) && !t.seq.CompareAndSwap(cur, int64(v)); {
		cur = t.seq.Load()
	}
}

// Version is the sequence number of the latest change.
func (t *Table) Version() uint64 { return uint64(t.seq.Load()) }

// MemoryBytes is what records, indexes and wheels take, for metrics; the text of
// user contexts is not in it.
func (t *Table) MemoryBytes() uint64 { return uint64(t.bytes.Load()) }
