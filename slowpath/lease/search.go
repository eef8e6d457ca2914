package lease

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease/slab"
)

// Filter says which leases Search gives. A zero field does not restrict.
type Filter struct {
	SubnetID uint32
	HW       []byte // hardware address of any type
	ClientID []byte
	Hostname []byte // without regard to case
	// State restricts only if ByState is set.
	State   State
	ByState bool
}

// searchBatch is how many records Search looks at under one hold of a lock, and
// searchFound how many of them it copies at most before it lets go.
const (
	searchBatch = 512
	searchFound = 16
)

// Search calls yield for every lease that f fits, in no order, until it returns
// false. Offers are left out; a record that an offer covers is given. Records
// are compared where they are, so that looking through a million costs some tens
// of milliseconds; no lock is held while yield runs, which may call the table.
// What is changed meanwhile is given as it was or as it is.
func (t *Table) Search(f *Filter, yield func(l *Lease4) bool) {
	found := make([]Lease4, searchFound)
	for k := range t.shards {
		s := &t.shards[k]
		for i, more := uint32(1), true; more; {
			n := 0
			s.mu.Lock()
			end := min(i+searchBatch, s.top)
			for ; i < end && n < len(found); i++ {
				if s.fits(i, f) {
					s.decode(i, &found[n])
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

func (s *shard) fits(i uint32, f *Filter) bool {
	r := s.rec(i)
	if r.flags&flagUsed == 0 || r.state == StateOffered ||
		f.SubnetID != 0 && r.subnetID != f.SubnetID || f.ByState && r.state != f.State ||
		f.HW != nil && int(r.hwLen) != len(f.HW) || f.ClientID != nil && int(r.cidLen) != len(f.ClientID) ||
		f.Hostname != nil && int(r.hostLen) != len(f.Hostname) {
		return false
	}
	if f.HW == nil && f.ClientID == nil && f.Hostname == nil {
		return true
	}
	var buf [MaxHostnameLen]byte
	rest := s.blobs.Bytes(r.rest)
	part := func(off, n int) []byte {
		slab.Join(buf[:n], r.inline[:], rest, off)
		return buf[:n]
	}
	hw, cid := int(r.hwLen), int(r.cidLen)
	return (f.HW == nil || bytes.Equal(part(0, hw), f.HW)) &&
		(f.ClientID == nil || bytes.Equal(part(hw, cid), f.ClientID)) &&
		(f.Hostname == nil || bytes.EqualFold(part(hw+cid, int(r.hostLen)), f.Hostname))
}
