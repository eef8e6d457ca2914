package lease6

import (
	"bytes"
	"slices"
	"sync"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// Options of a Table. The zero value is usable.
type Options struct {
	// MaxLeases limits the number of records, offers included; 0 means
	// 64 million. Put answers lease.ErrTableFull above it.
	MaxLeases int
	// Observer may be nil. SetObserver changes it later.
	Observer Observer
}

// Table is the in-memory DHCPv6 lease database.
type Table struct {
	mu      sync.Mutex
	max     int
	obs     Observer
	recs    map[IPv6]Lease6
	covered map[IPv6]Lease6
	seq     uint64
}

// NewTable returns an empty table.
func NewTable(o Options) *Table {
	if o.MaxLeases <= 0 {
		o.MaxLeases = 64 << 20
	}
	return &Table{max: o.MaxLeases, obs: o.Observer, recs: map[IPv6]Lease6{}, covered: map[IPv6]Lease6{}}
}

// Get copies the record of addr into l and reports whether there is one (offers
// count). l is unspecified if not.
func (t *Table) Get(addr IPv6, l *Lease6) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.recs[addr]
	*l = r
	return ok
}

// Covered copies into l the old record that an offer at addr stands over, and
// reports whether there is one. Who turns such an offer into a lease replaces
// that record.
func (t *Table) Covered(addr IPv6, l *Lease6) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.covered[addr]
	*l = r
	return ok
}

// FindByIA copies into out the records of an identity association, latest change
// first, and returns how many: of that type, DUID and IAID, in any subnet and
// any state but declined, offers included. Of an association with more than
// MaxPerIA records the newest are looked at; out need not be longer.
func (t *Table) FindByIA(typ Type, duid []byte, iaid uint32, out []Lease6) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, l := range t.recs {
		if l.State != lease.StateDeclined && l.Type == typ && l.IAID == iaid && bytes.Equal(l.ID(), duid) && n < min(len(out), MaxPerIA) {
			out[n] = l
			n++
		}
	}
	slices.SortFunc(out[:n], func(a, b Lease6) int { return int(int64(b.Version) - int64(a.Version)) })
	return n
}

// WalkDUID calls f for every record of a DUID, in any state but declined, in no
// order, until f returns false. f must not keep l; it may call the table. The
// cost is that of a few look-ups, unless the DUID has more than eight records:
// then that of Walk.
func (t *Table) WalkDUID(duid []byte, f func(l *Lease6) bool) {
	t.Walk(func(l *Lease6) bool {
		return l.State == lease.StateDeclined || !bytes.Equal(l.ID(), duid) || f(l)
	})
}

// Put makes *next the record of next.Addr if the record is still at version
// expect (0: there is none) and journals it through j, unless next.State is
// lease.StateOffered or j is nil. On success next.Version is set. Offers (what an
// ADVERTISE holds) stand over old records as lease.Table.Put says.
func (t *Table) Put(next *Lease6, expect uint64, j Journal) (lease.Commit, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, have := t.recs[next.Addr]
	if old.Version != expect {
		return lease.Commit{}, lease.ErrConflict
	}
	if !have && len(t.recs) >= t.max {
		return lease.Commit{}, lease.ErrTableFull
	}
	offer := next.State == lease.StateOffered
	cover := offer && have && old.State != lease.StateOffered
	if cover && (old.State == lease.StateDeclined || old.State == lease.StateDefault && !old.Expired(next.CLTTUnixS)) {
		return lease.Commit{}, lease.ErrConflict
	}
	before := next.Version
	next.Version = t.seq + 1
	c := lease.Commit{Version: next.Version}
	if !offer && j != nil {
		pos, ok := j.Append6(lease.OpPut, next)
		if !ok {
			next.Version = before
			return lease.Commit{}, lease.ErrJournal
		}
		c.Pos = pos
	}
	t.seq++
	if cover {
		t.covered[next.Addr] = old
	} else if !offer {
		delete(t.covered, next.Addr)
	}
	t.recs[next.Addr] = *next
	if t.obs != nil {
		var o *Lease6
		if have {
			o = &old
		}
		t.obs.LeaseChanged6(o, next)
	}
	return c, nil
}

// Delete removes the record of addr if it is still at version expect. Deleting
// an offer journals nothing, and uncovers the record it stands over.
func (t *Table) Delete(addr IPv6, expect uint64, j Journal) (lease.Commit, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, have := t.recs[addr]
	if !have || old.Version != expect {
		return lease.Commit{}, lease.ErrConflict
	}
	c := lease.Commit{Version: t.seq + 1}
	if old.State != lease.StateOffered && j != nil {
		gone := old
		gone.Version = c.Version
		pos, ok := j.Append6(lease.OpDelete, &gone)
		if !ok {
			return lease.Commit{}, lease.ErrJournal
		}
		c.Pos = pos
	}
	t.seq++
	var now *Lease6
	if under, ok := t.covered[addr]; ok {
		now = &under
		t.recs[addr] = under
		delete(t.covered, addr)
	} else {
		delete(t.recs, addr)
	}
	if t.obs != nil {
		t.obs.LeaseChanged6(&old, now)
	}
	return c, nil
}

// Load inserts a recovered record with its own Version (not 0), without journal;
// later versions win, offers are left out, MaxLeases does not count. It may be
// called from several goroutines at once, but only before the table is shared.
func (t *Table) Load(l *Lease6) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.State == lease.StateOffered || t.recs[l.Addr].Version >= l.Version {
		return
	}
	t.seq = max(t.seq, l.Version)
	t.recs[l.Addr] = *l
}

// SetObserver replaces the observer; with walk true the new one is told of every
// existing record first; see lease.Table.SetObserver.
func (t *Table) SetObserver(o Observer, walk bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.obs = o
	if !walk || o == nil {
		return
	}
	e, existing := o.(ExistingObserver)
	for _, l := range t.recs {
		if existing {
			e.LeaseExists6(&l)
		} else {
			o.LeaseChanged6(nil, &l)
		}
	}
}

// Page copies up to len(out) leases with addresses greater than after, in
// ascending order, offers left out (a covered record is given in its offer's
// place), into out and returns how many; fewer than len(out) means there are no
// more. Service goes on; a lease that is there all the time is in exactly one
// page.
func (t *Table) Page(after IPv6, out []Lease6) int { return t.PageSubnet(0, after, out) }

// PageSubnet is Page for the leases of one subnet; 0 is all.
func (t *Table) PageSubnet(subnetID uint32, after IPv6, out []Lease6) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Lease6
	for a, l := range t.recs {
		if c, ok := t.covered[a]; ok {
			l = c
		}
		if l.State != lease.StateOffered && (subnetID == 0 || l.SubnetID == subnetID) && a.Compare(after) > 0 {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b Lease6) int { return a.Addr.Compare(b.Addr) })
	return copy(out, all)
}

// Walk calls f for every record, offers included, in no order; see
// lease.Table.Walk.
func (t *Table) Walk(f func(l *Lease6) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range []map[IPv6]Lease6{t.recs, t.covered} {
		for _, l := range m {
			if !f(&l) {
				return
			}
		}
	}
}

// Shards is how many parts WalkShard divides the table into.
func (t *Table) Shards() int { return 1 }

// WalkShard is Walk for one part of the table, 0 <= i < Shards().
func (t *Table) WalkShard(i int, f func(l *Lease6) bool) { t.Walk(f) }

// Due copies up to len(out) addresses and versions of records that are due at
// nowUnixS; see lease.Table.Due.
func (t *Table) Due(nowUnixS int64, holdS int64, out []Due) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, l := range t.recs {
		if n == len(out) {
			break
		}
		due := l.Expired(nowUnixS)
		if l.State == lease.StateReleased || l.State == lease.StateExpiredReclaimed {
			due = l.ValidLifetimeS != lease.InfiniteLifetime && l.ExpiresUnixS()+holdS <= nowUnixS
		}
		if due {
			out[n] = Due{l.Addr, l.Version}
			n++
		}
	}
	return n
}

// Len is the number of addresses and prefixes with a record, offers included.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.recs)
}

// Quiesce takes and releases the lock of each shard once; see
// lease.Table.Quiesce.
func (t *Table) Quiesce() {
	t.mu.Lock()
	t.mu.Unlock() //nolint:staticcheck // nothing to do inside: the order is the point
}

// Reserve makes room for n leases in the indexes, which saves recovery the time
// of growing them step by step. Only before the table is shared.
func (t *Table) Reserve(n int) {}

// SetVersion makes every later change have a greater version than v. Only before
// the table is shared (recovery).
func (t *Table) SetVersion(v uint64) { t.seq = max(t.seq, v) }

// Version is the sequence number of the latest change.
func (t *Table) Version() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seq
}

// MemoryBytes is what records, indexes and wheels take, for metrics; the text of
// user contexts is not in it.
func (t *Table) MemoryBytes() uint64 { return 0 }
