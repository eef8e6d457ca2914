package lease

import "math/bits"

// Each shard has two hierarchical timer wheels, ticking in seconds:
//
//   - active has default, declined and offered records under the second after
//     their expiry (V4-072 is strict), and runs with the reclaimer's clock;
//   - held has reclaimed and released records under their expiry, and runs
//     behind that clock by the hold time of the latest call.
//
// A record may be filed earlier than it is due: renewing a lease leaves it where
// it is, and it is filed anew when its old tick is reached. Every change is O(1).
// Lists are doubly linked through record numbers; ticks reached go to a due list,
// from which records leave only by being changed.
const (
	wheelActive = 0
	wheelHeld   = 1

	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelLevels = 6 // 2^36 seconds, more than a record can name

	headFlag  uint32 = 1 << 31 // in prev: the rest is a list's number
	dueLists  uint32 = 2 * wheelLevels * wheelSlots
	filedDue  uint32 = 1<<32 - 1
	filedLast uint32 = filedDue - 1
)

type wheel struct {
	clock uint64 // every tick up to it is in the due list
	occ   [wheelLevels]uint64
	slots [wheelLevels][wheelSlots]uint32
	due   struct {
		head, tail uint32
		n          int
	}
}

const wheelBytes = 2 * (8 + wheelLevels*8 + wheelLevels*wheelSlots*4 + 16)

// tickOf is the wheel and the tick of a record, ok false if it never expires.
func tickOf(r *record) (w int, tick uint32, ok bool) {
	t, ok := r.expiresS()
	if !ok {
		return 0, 0, false
	}
	if r.state == StateExpiredReclaimed || r.state == StateReleased {
		w = wheelHeld
	} else {
		t++
	}
	return w, uint32(min(t, uint64(filedLast))), true
}

// wheelOf is the wheel that record r is in by its state.
func wheelOf(st State) int {
	if st == StateExpiredReclaimed || st == StateReleased {
		return wheelHeld
	}
	return wheelActive
}

// file puts record i, which is in no list, where it belongs.
func (s *shard) file(i uint32) {
	r := s.rec(i)
	wi, tick, ok := tickOf(r)
	if !ok {
		return
	}
	w := &s.wheels[wi]
	if w.clock == 0 {
		// A wheel never turned may start anywhere not after the present: near, or
		// the first turn would cascade everything through all levels.
		start := uint64(r.clttS)
		if wi == wheelHeld {
			start = uint64(max(tick, 1<<18) - 1<<18)
		}
		w.clock = max(w.clock, min(start, uint64(max(tick, 1)-1)))
	}
	t := uint64(tick)
	if t <= w.clock {
		r.filedS = filedDue
		r.next = 0
		if w.due.tail == 0 {
			r.prev = headFlag | dueLists | uint32(wi)
			w.due.head = i
		} else {
			r.prev = w.due.tail
			s.rec(w.due.tail).next = i
		}
		w.due.tail = i
		w.due.n++
		return
	}
	level := (bits.Len64(t^w.clock) - 1) / wheelBits
	slot := t >> (wheelBits * level) & (wheelSlots - 1)
	r.filedS = tick
	r.next = w.slots[level][slot]
	r.prev = headFlag | uint32(wi*wheelLevels*wheelSlots+level*wheelSlots+int(slot))
	if r.next != 0 {
		s.rec(r.next).prev = i
	}
	w.slots[level][slot] = i
	w.occ[level] |= 1 << slot
}

// unfile takes record i, filed in wheel wi, out of its list; it may be in none.
func (s *shard) unfile(i uint32, wi int) {
	r := s.rec(i)
	if r.prev == 0 {
		return
	}
	w := &s.wheels[wi]
	due := r.filedS == filedDue
	if due {
		w.due.n--
	}
	before := uint32(0)
	switch {
	case r.prev&headFlag == 0:
		before = r.prev
		s.rec(before).next = r.next
	case due:
		w.due.head = r.next
	default:
		list := int(r.prev &^ headFlag)
		level, slot := list/wheelSlots%wheelLevels, list%wheelSlots
		w.slots[level][slot] = r.next
		if r.next == 0 {
			w.occ[level] &^= 1 << slot
		}
	}
	switch {
	case r.next != 0:
		s.rec(r.next).prev = r.prev
	case due:
		w.due.tail = before
	}
	r.next, r.prev, r.filedS = 0, 0, 0
}

// refile is to be called after record i has changed; was is its state before.
func (s *shard) refile(i uint32, was State) {
	r := s.rec(i)
	wi, tick, ok := tickOf(r)
	if ok && r.prev != 0 && wi == wheelOf(was) && r.filedS != filedDue && r.filedS <= tick {
		return // early is fine
	}
	s.unfile(i, wheelOf(was))
	s.file(i)
}

// next is the start of the first occupied slot after the clock.
func (w *wheel) next() (uint64, bool) {
	for level := range wheelLevels {
		sh := wheelBits * level
		at := w.clock >> sh & (wheelSlots - 1)
		if m := w.occ[level] &^ (1<<(at+1) - 1); m != 0 {
			base := w.clock >> (sh + wheelBits) << (sh + wheelBits)
			return base + uint64(bits.TrailingZeros64(m))<<sh, true
		}
	}
	return 0, false
}

// advance turns wheel wi to target, or until its due list has want records, or
// until budget records have been moved; done is false in the last case.
func (s *shard) advance(wi int, target uint64, want int, budget *int) (done bool) {
	w := &s.wheels[wi]
	for {
		// Cascade what the clock has reached, highest level first, so that what
		// falls into a lower slot of this tick falls on.
		for level := wheelLevels - 1; level >= 0; level-- {
			slot := &w.slots[level][w.clock>>(wheelBits*level)&(wheelSlots-1)]
			for *slot != 0 {
				if *budget <= 0 {
					return false
				}
				*budget--
				i := *slot
				s.unfile(i, wi)
				s.file(i)
			}
		}
		if w.due.n >= want {
			return true
		}
		t, ok := w.next()
		if !ok || t > target {
			w.clock = max(w.clock, target)
			return true
		}
		w.clock = t
	}
}

// rewind sets wheel wi back to target and files its records anew.
func (s *shard) rewind(wi int, target uint64) {
	s.wheels[wi] = wheel{clock: target}
	for i := uint32(1); i < s.top; i++ {
		if r := s.rec(i); r.flags&(flagUsed|flagCovered) == flagUsed && wheelOf(r.state) == wi {
			r.next, r.prev, r.filedS = 0, 0, 0
			s.file(i)
		}
	}
}

// Limits of one call of Due.
const (
	dueLockMoves  = 256     // records moved under one hold of a shard's lock
	dueCallMoves  = 1 << 20 // records moved in one call
	dueLooks      = 64      // records beyond those wanted looked at in a due list
	rewindSeconds = 300     // the clock stepped back by more: wheels are rebuilt
)

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
	n := 0
	for range shardCount {
		s := &t.shards[t.due.next]
		t.due.next = (t.due.next + 1) % shardCount
		n += s.dueRecords(nowUnixS, holdS, out[n:], &budget)
		if n == len(out) || budget <= 0 {
			break
		}
	}
	return n
}

func (s *shard) dueRecords(nowS, holdS int64, out []Due, budget *int) int {
	n := 0
	for wi := range s.wheels {
		target := nowS
		if wi == wheelHeld {
			target -= max(holdS, 0)
		}
		if target < 0 {
			continue
		}
		for {
			part := min(dueLockMoves, *budget)
			left := part
			s.mu.Lock()
			if s.wheels[wi].clock > uint64(target)+rewindSeconds {
				s.rewind(wi, uint64(target))
			}
			done := s.advance(wi, uint64(target), len(out)-n, &left)
			*budget -= part - left
			if done || *budget <= 0 {
				n += s.takeDue(wi, uint64(target), out[n:])
				s.mu.Unlock()
				break
			}
			s.mu.Unlock()
		}
		if n == len(out) {
			break
		}
	}
	return n
}

// takeDue reports records of the due list and moves them to its end.
func (s *shard) takeDue(wi int, target uint64, out []Due) int {
	w := &s.wheels[wi]
	n := 0
	for looks := min(w.due.n, len(out)+dueLooks); looks > 0 && n < len(out); looks-- {
		i := w.due.head
		r := s.rec(i)
		_, tick, _ := tickOf(r)
		if uint64(tick) <= target {
			out[n].Addr, out[n].Version = ipv4(r.addr), r.version
			n++
		}
		s.unfile(i, wi)
		s.file(i)
	}
	return n
}
