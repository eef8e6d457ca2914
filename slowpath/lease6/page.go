package lease6

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// pageKeys is how many addresses are found with one scan of the table, in order.
const pageKeys = 32768

// pages remembers the next addresses in order, so that somebody who reads page
// after page does not cause a scan of the table for each.
type pages struct {
	mu       sync.Mutex
	keys     []IPv6 // ascending; all there were behind from, up to the last
	subnetID uint32 // of these only; 0: any
	from     IPv6
	reached  IPv6   // up to where they were given
	version  uint64 // of the table when they were found
	whole    bool   // there were no more
}

// Page copies up to len(out) leases with addresses greater than after, in
// ascending order, offers left out (a covered record is given in its offer's
// place), into out and returns how many; fewer than len(out) means there are no
// more. Service goes on; a lease that is there all the time is in exactly one
// page, what is added meanwhile may be missed. Who goes through all pages causes
// a scan of the table (some ten nanoseconds a lease, shard by shard) for every
// 32768 leases, and a Get for each; so does everybody who interrupts another's
// sequence. At most one MiB are kept between pages.
func (t *Table) Page(after IPv6, out []Lease6) int { return t.PageSubnet(0, after, out) }

// PageSubnet is Page for the leases of one subnet; 0 is all.
func (t *Table) PageSubnet(subnetID uint32, after IPv6, out []Lease6) int {
	p := &t.pages
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(out) {
		if !p.have(subnetID, after, t.Version()) {
			t.findPages(subnetID, after)
		}
		k, exact := slices.BinarySearchFunc(p.keys, after, IPv6.Compare)
		if exact {
			k++
		}
		for ; k < len(p.keys) && n < len(out); k++ {
			after = p.keys[k]
			if t.readStored(&after, &out[n]) && (subnetID == 0 || out[n].SubnetID == subnetID) {
				n++
			}
		}
		p.reached = after
		if k == len(p.keys) && p.whole {
			break
		}
	}
	if n < len(out) {
		p.keys = nil // done
	}
	return n
}

// have reports whether the keys found go on behind after: because nothing has
// changed since, or because they were given up to there.
func (p *pages) have(subnetID uint32, after IPv6, version uint64) bool {
	if p.keys == nil || p.subnetID != subnetID || after.Compare(p.from) < 0 ||
		!p.whole && after.Compare(p.keys[len(p.keys)-1]) >= 0 {
		return false
	}
	return p.version == version || after == p.reached
}

// findPages finds the lowest pageKeys addresses behind after.
func (t *Table) findPages(subnetID uint32, after IPv6) {
	p := &t.pages
	p.subnetID, p.from, p.reached, p.version, p.whole = subnetID, after, after, t.Version(), true
	if p.keys == nil {
		p.keys = make([]IPv6, 0, 2*pageKeys)
	}
	p.keys = p.keys[:0]
	first := numberOf(&after)
	limit := number{1<<64 - 1, 1<<64 - 1} // of the keys worth keeping
	cut := func() {
		slices.SortFunc(p.keys, IPv6.Compare)
		p.keys = slices.Compact(p.keys) // removed and added again meanwhile
		if len(p.keys) > pageKeys {
			p.whole = false
			p.keys = p.keys[:pageKeys]
			limit = numberOf(&p.keys[pageKeys-1])
		}
	}
	for k := range t.shards {
		s := &t.shards[k]
		for i, more := uint32(1), true; more; {
			s.mu.Lock()
			for end := min(i+searchBatch, s.top); i < end; i++ {
				r := s.rec(i)
				if r.flags&flagUsed == 0 || r.state == lease.StateOffered || subnetID != 0 && r.subnetID != subnetID {
					continue
				}
				if n := numberOf(&r.addr); first.less(n) && !limit.less(n) {
					p.keys = append(p.keys, r.addr)
				}
			}
			more = i < s.top
			s.mu.Unlock()
			if len(p.keys) > 2*pageKeys-searchBatch {
				cut()
			}
		}
	}
	cut()
}

// number is an address that is quick to compare.
type number struct{ hi, lo uint64 }

func numberOf(a *IPv6) number {
	return number{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])}
}

func (a number) less(b number) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

// readStored copies the lease that a restart would find at addr.
func (t *Table) readStored(addr *IPv6, l *Lease6) bool {
	s, _, _, i := t.at(addr)
	defer s.mu.Unlock()
	if i != 0 && s.rec(i).state == lease.StateOffered {
		i = s.rec(i).under
	}
	if i != 0 {
		s.decode(i, l)
	}
	return i != 0
}

// walkBatch is how many records Walk looks at under one hold of a lock.
const walkBatch = 32

// Walk calls f for every record, offers included, shard by shard in no order; f
// must not keep l nor call the table, whose shard is locked. It stops when f
// returns false. What lease.Table.Walk says of changes meanwhile holds.
func (t *Table) Walk(f func(l *Lease6) bool) {
	l := new(Lease6)
	for k := range t.shards {
		if !t.shards[k].walk(l, f) {
			return
		}
	}
}

// Shards is how many parts WalkShard divides the table into.
func (t *Table) Shards() int { return shardCount }

// WalkShard is Walk for one part of the table, 0 <= i < Shards().
func (t *Table) WalkShard(i int, f func(l *Lease6) bool) { t.shards[i].walk(new(Lease6), f) }

func (s *shard) walk(l *Lease6, f func(l *Lease6) bool) bool {
	i, more, goOn := uint32(1), true, true
	for more && goOn {
		s.mu.Lock()
		for end := min(i+walkBatch, s.top); i < end && goOn; i++ {
			if s.rec(i).flags&flagUsed != 0 {
				s.decode(i, l)
				goOn = f(l)
			}
		}
		more = i < s.top
		s.mu.Unlock()
	}
	return goOn
}
