package lease6

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease/slab"
)

// shard is the wheels' slab.Records.
var _ slab.Records = (*shard)(nil)

// Link implements slab.Records.
func (s *shard) Link(i uint32) *slab.Link { return &s.rec(i).link }

// Term implements slab.Records.
func (s *shard) Term(i uint32) (beganS, validS uint32, held bool) {
	r := s.rec(i)
	return r.clttS, r.validS, heldState(r.state)
}

// Next implements slab.Records.
func (s *shard) Next(i uint32) uint32 {
	for i++; i < s.top; i++ {
		if s.rec(i).flags&(flagUsed|flagCovered) == flagUsed {
			return i
		}
	}
	return 0
}

// heldState is true of records that wait for their removal.
func heldState(st lease.State) bool {
	return st == lease.StateExpiredReclaimed || st == lease.StateReleased
}

// dueCallMoves is how many records one call of Due moves at most.
const dueCallMoves = 1 << 20

// Due copies up to len(out) addresses and versions of records that the expiry
// wheel shows due at nowUnixS; rules and limits are those of lease.Table.Due,
// registered addresses (RFC 9686) are treated as default ones.
func (t *Table) Due(nowUnixS int64, holdS int64, out []Due) int {
	if nowUnixS <= 0 || len(out) == 0 {
		return 0
	}
	t.due.Lock()
	defer t.due.Unlock()
	budget, n, at := dueCallMoves, 0, 0
	for range shardCount {
		s := &t.shards[t.due.next]
		t.due.next = (t.due.next + 1) % shardCount
		n += s.wheels.Collect(s, &s.mu, nowUnixS, holdS, len(out)-n, &budget, func(i uint32) {
			out[at] = Due{s.rec(i).addr, s.rec(i).version}
			at++
		})
		if n == len(out) || budget <= 0 {
			break
		}
	}
	return n
}
