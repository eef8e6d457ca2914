package lease

import "github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"

// Options of a Table. The zero value is usable.
type Options struct {
	// MaxLeases limits the number of records, offers included; 0 means
	// 64 million. Put answers ErrTableFull above it.
	MaxLeases int
	// Observer may be nil. SetObserver changes it later.
	Observer Observer
}

// Commit is what a successful change returns.
type Commit struct {
	// Pos is the journal position to wait for (see Journal.Append); 0 if the
	// change was not journaled, which is so for StateOffered and for a nil
	// Journal.
	Pos uint64
	// Version of the record after the change.
	Version uint64
}

// Table is the in-memory DHCPv4 lease database.
type Table struct{}

// NewTable returns an empty table.
func NewTable(o Options) *Table { panic("lease: not built yet") }

// Get copies the record of addr into l and reports whether there is one
// (offers count). l is unspecified if not.
func (t *Table) Get(addr dhcp4.IPv4, l *Lease4) bool { panic("lease: not built yet") }

// FindByClientID copies into l the client's record in the subnet: same client
// identifier, of any state but declined. Unexpired default-state records are
// preferred, then offers, then expired ones.
func (t *Table) FindByClientID(cid []byte, subnetID uint32, l *Lease4) bool {
	panic("lease: not built yet")
}

// FindByHWAddr copies into l the record in the subnet that belongs to the
// hardware address: a record with a client identifier different from cid is
// another client's, unless cid or the record's is empty (V4-068). Preference as
// in FindByClientID.
func (t *Table) FindByHWAddr(htype uint8, hw, cid []byte, subnetID uint32, l *Lease4) bool {
	panic("lease: not built yet")
}

// Put makes *next the record of next.Addr if the record is still at version
// expect (0: there is none) and journals it through j, unless next.State is
// StateOffered or j is nil. A record that replaces a journaled one by an offer
// is refused with ErrConflict. On success next.Version is set.
func (t *Table) Put(next *Lease4, expect uint64, j Journal) (Commit, error) {
	panic("lease: not built yet")
}

// Delete removes the record of addr if it is still at version expect.
func (t *Table) Delete(addr dhcp4.IPv4, expect uint64, j Journal) (Commit, error) {
	panic("lease: not built yet")
}

// Load inserts a recovered record with its own Version and without journal;
// later versions win. Only before the table is shared.
func (t *Table) Load(l *Lease4) { panic("lease: not built yet") }

// SetObserver replaces the observer; with walk true the new one is told of
// every existing record first (as old nil, new record), each under its shard's
// lock, so that it misses nothing and sees nothing twice.
func (t *Table) SetObserver(o Observer, walk bool) { panic("lease: not built yet") }

// Page copies up to len(out) leases with addresses greater than after, in
// ascending order, offers left out, into out and returns how many. It holds no
// lock between shards, so service goes on.
func (t *Table) Page(after dhcp4.IPv4, out []Lease4) int { panic("lease: not built yet") }

// Walk calls f for every record, offers included, shard by shard in no order;
// f must not keep l nor call the table. It stops when f returns false.
func (t *Table) Walk(f func(l *Lease4) bool) { panic("lease: not built yet") }

// Due copies up to len(out) addresses and versions of records that the expiry
// wheel shows due at nowUnixS: expired default, declined and offered records,
// and reclaimed or released ones whose hold time (holdS seconds after expiry)
// is over. It is for one caller at a time, the reclaimer.
func (t *Table) Due(nowUnixS int64, holdS int64, out []Due) int { panic("lease: not built yet") }

// Due names a record at the version that was due.
type Due struct {
	Addr    dhcp4.IPv4
	Version uint64
}

// Len is the number of records, offers included.
func (t *Table) Len() int { panic("lease: not built yet") }

// SetVersion makes every later change have a greater version than v. Only
// before the table is shared (recovery).
func (t *Table) SetVersion(v uint64) { panic("lease: not built yet") }

// Version is the sequence number of the latest change.
func (t *Table) Version() uint64 { panic("lease: not built yet") }

// MemoryBytes is what records and indexes take, for metrics.
func (t *Table) MemoryBytes() uint64 { panic("lease: not built yet") }
