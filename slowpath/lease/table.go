package lease

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease/slab"
)

// Options of a Table. The zero value is usable.
type Options struct {
	// MaxLeases limits the number of records, offers included; 0 means
	// 64 million. Put answers ErrTableFull above it.
	MaxLeases int
	// Observer may be nil. SetObserver changes it later.
	Observer Observer
}

const defaultMaxLeases = 64 << 20

// Commit is what a successful change returns.
type Commit struct {
	// Pos is the journal position to wait for (see Journal.Append); 0 if the
	// change was not journaled, which is so for StateOffered and for a nil
	// Journal.
	Pos uint64
	// Covered: PutOver has copied what the replaced offer stood over.
	Covered bool
	// Version of the record after the change; of Delete, the deletion's own.
	Version uint64
}

// ExistingObserver is an Observer that wants to tell records that were there
// before (found by SetObserver, or recovered by Load) from new ones. LeaseExists
// is called under the same rules.
type ExistingObserver interface {
	Observer
	LeaseExists(l *Lease4)
}

// Due names a record at the version that was due.
type Due struct {
	Addr    dhcp4.IPv4
	Version uint64
}

const shardCount = 256 // by the upper eight bits of an address's hash

// Table is the in-memory DHCPv4 lease database.
//
// Records live in 256 shards by a seeded hash of their address, each with a
// mutex, slabs, an address index and its expiry wheels; two client indexes of
// 256 shards each name candidate addresses by client identifier and by hardware
// address. Lock order: an address shard, then a client index shard; never two of
// a kind. Look-ups by client release the index before they read records, and
// check them there.
//
// An offer may stand over an old record (see Put): the old record then is
// covered. It is in memory as in the journal, but Get, the look-ups, Due and the
// observer see only the offer, until the offer is deleted.
type Table struct {
	// Never changed after NewTable.
	max      int64
	addrSeed uint64
	cidSeed  maphash.Seed
	hwSeed   maphash.Seed
	shards   *[shardCount]shard
	byCID    *slab.ClientIndex
	byHW     *slab.ClientIndex
	present  *present
	_        [64]byte

	// Each on a cache line of its own: all cores write here.
	seq     padded // taken under the address's shard lock
	count   padded
	bytes   padded
	dueNowS padded

	due struct {
		sync.Mutex
		next int // shard
	}
	observing sync.Mutex // serializes SetObserver
}

type padded struct {
	atomic.Int64
	_ [56]byte
}

// shard is guarded by mu but for t. What every look-up touches comes first and
// fills a cache line; the bulk is apart, so that all shards' heads stay in cache.
type shard struct {
	mu     sync.Mutex
	t      *Table
	index  slab.Index
	chunks []*recordChunk
	obs    Observer
	top    uint32 // records ever used; number 0 is none
	free   uint32
	*shardBulk
	_ [24]byte
}

type shardBulk struct {
	// old and now are scratch for values given to journal and observer, which
	// would otherwise escape to the heap at every change.
	old, now Lease4
	blobs    slab.Blobs
	contexts map[uint32]string
	wheels   slab.Wheels
}

const shardBytes = 128 + 2*600 + 256 + slab.WheelsBytes

func ipv4(a uint32) dhcp4.IPv4 { return dhcp4.IPv4(a) }

// NewTable returns an empty table.
func NewTable(o Options) *Table {
	t := &Table{
		shards:   new([shardCount]shard),
		byCID:    new(slab.ClientIndex),
		byHW:     new(slab.ClientIndex),
		present:  new(present),
		max:      int64(o.MaxLeases),
		addrSeed: rand.Uint64(),
		cidSeed:  maphash.MakeSeed(),
		hwSeed:   maphash.MakeSeed(),
	}
	if t.max <= 0 {
		t.max = defaultMaxLeases
	}
	grown := func(n int) { t.bytes.Add(int64(n)) }
	t.byCID.Grown, t.byHW.Grown, t.present.grown = grown, grown, grown
	for i := range t.shards {
		s := &t.shards[i]
		s.t = t
		s.shardBulk = new(shardBulk)
		s.obs = o.Observer
		s.blobs.Grown = grown
	}
	t.bytes.Store(shardCount * (shardBytes + 2*64))
	return t
}

func (t *Table) shardOf(h uint64) *shard { return &t.shards[h>>56] }

// find returns the record number of addr, 0 if none.
func (s *shard) find(addr uint32, h uint64) uint32 {
	_, i := s.findSlot(addr, h)
	return i
}

func (s *shard) findSlot(addr uint32, h uint64) (slot int, i uint32) {
	for slot, i = s.index.First(h); i != 0 && s.rec(i).addr != addr; {
		slot, i = s.index.Next(slot, h)
	}
	return slot, i
}

// Get copies the record of addr into l and reports whether there is one
// (offers count). l is unspecified if not.
func (t *Table) Get(addr dhcp4.IPv4, l *Lease4) bool {
	h := t.addrHash(uint32(addr))
	s := t.shardOf(h)
	s.mu.Lock()
	i := s.find(uint32(addr), h)
	if i != 0 {
		s.decode(i, l)
	}
	s.mu.Unlock()
	return i != 0
}

// Covered copies into l the old record that an offer at addr stands over, and
// reports whether there is one. Who turns such an offer into a lease replaces
// that record (V4-071).
func (t *Table) Covered(addr dhcp4.IPv4, l *Lease4) bool {
	h := t.addrHash(uint32(addr))
	s := t.shardOf(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(uint32(addr), h)
	if i == 0 || s.rec(i).under == 0 {
		return false
	}
	s.decode(s.rec(i).under, l)
	return true
}

// Put makes *next the record of next.Addr if the record is still at version
// expect (0: there is none) and journals it through j, unless next.State is
// StateOffered or j is nil. On success next.Version is set.
//
// An offer may replace an offer, and may stand over a record that is reclaimed,
// released or expired at the offer's CLTT: that record is covered, not lost, so
// memory keeps what a restart would find. Deleting the offer, or its own expiry
// and reclamation, uncovers it at its old version; a Put of another state
// replaces both. Any other record refuses an offer with ErrConflict.
func (t *Table) Put(next *Lease4, expect uint64, j Journal) (Commit, error) {
	return t.PutOver(next, expect, j, nil)
}

// PutOver is Put that copies the old record, which goes with the offer that stood
// over it, into *under (if not nil) and says so in Commit.Covered. It never was
// declined: no offer stands over those.
func (t *Table) PutOver(next *Lease4, expect uint64, j Journal, under *Lease4) (Commit, error) {
	h := t.addrHash(uint32(next.Addr))
	s := t.shardOf(h)
	s.mu.Lock()
	c, err := s.put(next, h, expect, j, under)
	s.mu.Unlock()
	return c, err
}

func (s *shard) put(next *Lease4, h, expect uint64, j Journal, under *Lease4) (Commit, error) {
	t := s.t
	next.HWLen = min(next.HWLen, MaxHWAddrLen)
	p, i := s.findSlot(uint32(next.Addr), h)
	var old *Lease4
	cover := false
	if i == 0 {
		if expect != 0 {
			return Commit{}, ErrConflict
		}
		if !s.hasRoom() {
			return Commit{}, ErrTableFull
		}
		if t.count.Add(1) > t.max {
			t.count.Add(-1)
			return Commit{}, ErrTableFull
		}
	} else {
		if s.rec(i).version != expect {
			return Commit{}, ErrConflict
		}
		old = &s.old
		s.decode(i, old)
		if next.State == StateOffered && old.State != StateOffered {
			if old.State == StateDeclined || old.State == StateDefault && !old.Expired(next.CLTTUnixS) {
				return Commit{}, ErrConflict
			}
			if !s.hasRoom() {
				return Commit{}, ErrTableFull
			}
			cover = true
		}
	}
	var c Commit
	before := next.Version
	next.Version = uint64(t.seq.Add(1))
	if next.State != StateOffered && j != nil {
		pos, ok := j.Append(OpPut, next)
		if !ok {
			next.Version = before
			if i == 0 {
				t.count.Add(-1)
			}
			return Commit{}, ErrJournal
		}
		c.Pos = pos
	}
	c.Version = next.Version
	if under != nil && i != 0 && next.State != StateOffered {
		if u := s.rec(i).under; u != 0 {
			s.decode(u, under)
			c.Covered = true
		}
	}
	s.store(next, h, p, i, old, cover, false)
	if s.obs != nil {
		s.obs.LeaseChanged(old, next)
	}
	return c, nil
}

// store writes l as the record of its address: new if i is 0, else over record
// i at index slot p, whose value is old; with cover, above it. With later, the
// client indexes get a new record when they are next used.
func (s *shard) store(l *Lease4, h uint64, p int, i uint32, old *Lease4, cover, later bool) {
	t := s.t
	switch {
	case i == 0:
		i = s.newRecord()
		s.encode(i, l)
		t.bytes.Add(int64(s.index.Put(i, h)))
		t.present.set(uint32(l.Addr))
		if later {
			t.eachClient(l, (*slab.ClientIndex).InsertLater)
		} else {
			t.addClient(l)
		}
		s.file(i)
		return
	case cover:
		u := i
		s.unfile(u, old.State)
		s.rec(u).flags |= flagCovered
		i = s.newRecord()
		s.encode(i, l)
		s.rec(i).under = u
		s.index.Set(p, i, h)
		s.file(i)
	default:
		r := s.rec(i)
		if r.under != 0 && l.State != StateOffered {
			s.freeRecord(r.under)
			r.under = 0
		}
		s.encode(i, l)
		s.refile(i, old.State)
	}
	if !sameClientKeys(old, l) {
		t.removeClient(old)
		t.addClient(l)
	}
}

// Delete removes the record of addr if it is still at version expect. Deleting
// an offer journals nothing, and uncovers the record it stands over.
func (t *Table) Delete(addr dhcp4.IPv4, expect uint64, j Journal) (Commit, error) {
	h := t.addrHash(uint32(addr))
	s := t.shardOf(h)
	s.mu.Lock()
	c, err := s.delete(uint32(addr), h, expect, j)
	s.mu.Unlock()
	return c, err
}

func (s *shard) delete(addr uint32, h, expect uint64, j Journal) (Commit, error) {
	t := s.t
	p, i := s.findSlot(addr, h)
	if i == 0 || s.rec(i).version != expect {
		return Commit{}, ErrConflict
	}
	old := &s.old
	s.decode(i, old)
	c := Commit{Version: uint64(t.seq.Add(1))}
	if old.State != StateOffered && j != nil {
		old.Version = c.Version
		pos, ok := j.Append(OpDelete, old)
		old.Version = expect
		if !ok {
			return Commit{}, ErrJournal
		}
		c.Pos = pos
	}
	u := s.rec(i).under
	s.unfile(i, old.State)
	var now *Lease4
	if u != 0 {
		s.index.Set(p, u, h)
		s.rec(u).flags &^= flagCovered
		s.file(u)
		now = &s.now
		s.decode(u, now)
	} else {
		s.index.Remove(p)
		t.present.clear(addr)
		t.count.Add(-1)
	}
	s.freeRecord(i)
	if now == nil {
		t.removeClient(old)
	} else if !sameClientKeys(old, now) {
		t.removeClient(old)
		t.addClient(now)
	}
	if s.obs != nil {
		s.obs.LeaseChanged(old, now)
	}
	return c, nil
}

// Load inserts a recovered record with its own Version (not 0), without journal;
// later versions win, offers are left out, MaxLeases does not count. It may be
// called from several goroutines at once, but only before the table is shared.
// The client indexes are filled by Loaded, or part by part at their next use.
func (t *Table) Load(l *Lease4) {
	if l.State == StateOffered {
		return
	}
	l.HWLen = min(l.HWLen, MaxHWAddrLen)
	h := t.addrHash(uint32(l.Addr))
	s := t.shardOf(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	p, i := s.findSlot(uint32(l.Addr), h)
	var old *Lease4
	if i != 0 {
		if s.rec(i).version >= l.Version {
			return
		}
		old = &s.old
		s.decode(i, old)
	} else {
		if !s.hasRoom() {
			panic("lease: load: a shard has 2^24 records")
		}
		t.count.Add(1)
	}
	t.SetVersion(l.Version)
	s.store(l, h, p, i, old, false, true)
	if e, ok := s.obs.(ExistingObserver); ok && old == nil {
		e.LeaseExists(l)
	} else if s.obs != nil {
		s.obs.LeaseChanged(old, l)
	}
}

// Loaded completes what Load has begun; to be called when all is loaded.
func (t *Table) Loaded() {
	var wg sync.WaitGroup
	wg.Go(t.byCID.Settle)
	t.byHW.Settle()
	wg.Wait()
}

// SetObserver replaces the observer; with walk true the new one is told of
// every existing record first (as old nil, new record, or by LeaseExists), each
// under its shard's lock, so that it misses nothing and sees nothing twice.
// Shard by shard it takes over from the one before, which is told nothing more.
// A shard is locked for the time its part of the walk takes.
func (t *Table) SetObserver(o Observer, walk bool) {
	t.observing.Lock()
	defer t.observing.Unlock()
	e, existing := o.(ExistingObserver)
	for k := range t.shards {
		s := &t.shards[k]
		s.mu.Lock()
		s.obs = o
		for i := uint32(1); walk && o != nil && i < s.top; i++ {
			if s.rec(i).flags&(flagUsed|flagCovered) != flagUsed {
				continue
			}
			s.decode(i, &s.now)
			if existing {
				e.LeaseExists(&s.now)
			} else {
				o.LeaseChanged(nil, &s.now)
			}
		}
		s.mu.Unlock()
	}
}

// Page copies up to len(out) leases with addresses greater than after, in
// ascending order, offers left out (a covered record is given in its offer's
// place), into out and returns how many; fewer than len(out) means there are no
// more. It holds no lock between records, so service goes on; a lease that is
// there all the time is in exactly one page. The cost is that of a Get per lease
// plus a scan of one bit per address in the 65536-address blocks between them.
func (t *Table) Page(after dhcp4.IPv4, out []Lease4) int {
	n := 0
	at := uint64(after) + 1
	for n < len(out) {
		a, ok := t.present.next(at)
		if !ok {
			break
		}
		at = uint64(a) + 1
		h := t.addrHash(a)
		s := t.shardOf(h)
		s.mu.Lock()
		i := s.find(a, h)
		if i != 0 && s.rec(i).state == StateOffered {
			i = s.rec(i).under
		}
		if i != 0 {
			s.decode(i, &out[n])
			n++
		}
		s.mu.Unlock()
	}
	return n
}

// walkBatch is how many records Walk looks at under one hold of a lock.
const walkBatch = 32

// Walk calls f for every record, offers included, shard by shard in no order;
// f must not keep l nor call the table, whose shard is locked. It stops when f
// returns false. An offer over an old record and that record are both given.
// The lock is let go every 32 records: what is changed meanwhile is given as it
// was or as it is, what is added or removed may be missed, and an address that is
// removed and added again may come twice.
func (t *Table) Walk(f func(l *Lease4) bool) {
	l := new(Lease4)
	for i := range t.shards {
		if !t.shards[i].walk(l, f) {
			return
		}
	}
}

// Shards is how many parts WalkShard divides the table into.
func (t *Table) Shards() int { return shardCount }

// WalkShard is Walk for one part of the table, 0 <= i < Shards().
func (t *Table) WalkShard(i int, f func(l *Lease4) bool) { t.shards[i].walk(new(Lease4), f) }

func (s *shard) walk(l *Lease4, f func(l *Lease4) bool) bool {
	for i, more := uint32(1), true; more; {
		s.mu.Lock()
		for end := min(i+walkBatch, s.top); i < end; i++ {
			if s.rec(i).flags&flagUsed == 0 {
				continue
			}
			s.decode(i, l)
			if !f(l) {
				s.mu.Unlock()
				return false
			}
		}
		more = i < s.top
		s.mu.Unlock()
	}
	return true
}

// Len is the number of addresses with a record, offers included.
func (t *Table) Len() int { return int(t.count.Load()) }

// Quiesce takes and releases the lock of each shard once: every change that had
// taken its version before has handed its journal record over when it returns.
// The store's durable watermark needs that (leasestore.Options.Quiesce).
func (t *Table) Quiesce() {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		s.mu.Unlock() //nolint:staticcheck // nothing to do inside: the order is the point
	}
}

// Reserve makes room for n leases in the indexes, which saves recovery the time
// of growing them step by step. Only before the table is shared.
func (t *Table) Reserve(n int) {
	for i := range t.shards {
		t.bytes.Add(int64(t.shards[i].index.Reserve(n / shardCount)))
	}
	t.byCID.Reserve(n)
	t.byHW.Reserve(n)
}

// SetVersion makes every later change have a greater version than v. Only
// before the table is shared (recovery).
func (t *Table) SetVersion(v uint64) {
	for {
		cur := t.seq.Load()
		if cur >= int64(v) || t.seq.CompareAndSwap(cur, int64(v)) {
			return
		}
	}
}

// Version is the sequence number of the latest change.
func (t *Table) Version() uint64 { return uint64(t.seq.Load()) }

// MemoryBytes is what records, indexes and wheels take, for metrics; the text of
// user contexts is not in it.
func (t *Table) MemoryBytes() uint64 { return uint64(t.bytes.Load()) }
