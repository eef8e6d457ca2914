package lease

import "github.com/peregrine-dhcp/peregrine/slowpath/lease/slab"

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
func heldState(st State) bool { return st == StateExpiredReclaimed || st == StateReleased }

func (s *shard) file(i uint32)              { s.wheels.File(s, i) }
func (s *shard) unfile(i uint32, st State)  { s.wheels.Unfile(s, i, heldState(st)) }
func (s *shard) refile(i uint32, was State) { s.wheels.Refile(s, i, heldState(was)) }

// dueCallMoves is how many records one call of Due moves at most.
const dueCallMoves = 1 << 20

// Due copies up to len(out) addresses and versions of records that the expiry
// wheel shows due at nowUnixS: expired default, declined and offered records,
// and reclaimed or released ones whose hold time (holdS seconds after expiry)
// is over (reached). A record stays due until it is changed; those just reported
// go behind the others. Work is bounded: by len(out), plus the records whose
// tick was reached since the last call, at most a million, of which at most 256
// are moved while a shard is locked. The next call goes on with the next shard.
// Due is for the reclaimer; several callers wait for each other.
func (t *Table) Due(nowUnixS int64, holdS int64, out []Due) int {
	if nowUnixS <= 0 || len(out) == 0 {
		return 0
	}
	t.due.Lock()
	defer t.due.Unlock()
	t.dueNowS.Store(nowUnixS)
	budget := dueCallMoves
	n, at := 0, 0
	for range shardCount {
		s := &t.shards[t.due.next]
		t.due.next = (t.due.next + 1) % shardCount
		n += s.wheels.Collect(s, &s.mu, nowUnixS, holdS, len(out)-n, &budget, func(i uint32) {
			r := s.rec(i)
			out[at].Addr, out[at].Version = ipv4(r.addr), r.version
			at++
		})
		if n == len(out) || budget <= 0 {
			break
		}
	}
	return n
}
