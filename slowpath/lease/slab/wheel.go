package slab

import (
	"math/bits"
	"sync"
)

// Wheels are the two hierarchical timer wheels of a shard, ticking in seconds:
//
//   - the active one has records in force under the second after their expiry
//     (Kea's test is strict, V4-072), and runs with the reclaimer's clock;
//   - the held one has reclaimed and released records under their expiry, and
//     runs behind that clock by the hold time of the latest call.
//
// A record may be filed earlier than it is due: renewing a lease leaves it where
// it is, and it is filed anew when its old tick is reached. Every change is O(1).
// Lists are doubly linked through record numbers; ticks reached go to a due list,
// from which records leave only by being changed.
type Wheels [2]wheel

// Records are the records of a shard as its wheels see them, by number; 0 is
// none.
type Records interface {
	// Link is the part of a record that belongs to the wheels.
	Link(i uint32) *Link
	// Term is when the record's lifetime began, how long it is (1<<32-1 never
	// ends), and whether it belongs to the held wheel.
	Term(i uint32) (beganS, validS uint32, held bool)
	// Next is the first record after i that is to be in a wheel, 0 if none.
	Next(i uint32) uint32
}

// Link is part of every record. It is zero while the record is in no wheel; its
// owner may then use Next for a list of its own.
type Link struct {
	Next   uint32
	prev   uint32 // record before it, or headFlag and the list's number; 0: in no list
	filedS uint32 // tick under which the wheel has it; filedDue in a due list
}

const (
	active = 0
	held   = 1

	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelLevels = 6 // 2^36 seconds, more than a record can name

	headFlag  uint32 = 1 << 31 // in prev: the rest is a list's number
	dueLists  uint32 = 2 * wheelLevels * wheelSlots
	filedDue  uint32 = 1<<32 - 1
	filedLast uint32 = filedDue - 1
)

func wheelOf(isHeld bool) int {
	if isHeld {
		return held
	}
	return active
}

type wheel struct {
	clock uint64 // every tick up to it is in the due list
	occ   [wheelLevels]uint64
	slots [wheelLevels][wheelSlots]uint32
	due   struct {
		head, tail uint32
		n          int
	}
}

// WheelsBytes is the size of Wheels.
const WheelsBytes = 2 * (8 + wheelLevels*8 + wheelLevels*wheelSlots*4 + 16)

// tickOf is the wheel and the tick of a record, ok false if it never expires.
func tickOf(beganS, validS uint32, isHeld bool) (wi int, tick uint32, ok bool) {
	t := uint64(beganS) + uint64(validS)
	if isHeld {
		wi = held
	} else {
		t++
	}
	return wi, uint32(min(t, uint64(filedLast))), validS != 1<<32-1
}

// File puts record i, which is in no list, where it belongs.
func (ws *Wheels) File(s Records, i uint32) {
	beganS, validS, isHeld := s.Term(i)
	wi, tick, ok := tickOf(beganS, validS, isHeld)
	if !ok {
		return
	}
	w := &ws[wi]
	if w.clock == 0 {
		// A wheel never turned may start anywhere not after the present: near, or
		// the first turn would cascade everything through all levels.
		start := uint64(beganS)
		if isHeld {
			start = uint64(max(tick, 1<<18) - 1<<18)
		}
		w.clock = max(w.clock, min(start, uint64(max(tick, 1)-1)))
	}
	r := s.Link(i)
	t := uint64(tick)
	if t <= w.clock {
		r.filedS = filedDue
		r.Next = 0
		if w.due.tail == 0 {
			r.prev = headFlag | dueLists | uint32(wi)
			w.due.head = i
		} else {
			r.prev = w.due.tail
			s.Link(w.due.tail).Next = i
		}
		w.due.tail = i
		w.due.n++
		return
	}
	level := (bits.Len64(t^w.clock) - 1) / wheelBits
	slot := t >> (wheelBits * level) & (wheelSlots - 1)
	r.filedS = tick
	r.Next = w.slots[level][slot]
	r.prev = headFlag | uint32(wi*wheelLevels*wheelSlots+level*wheelSlots+int(slot))
	if r.Next != 0 {
		s.Link(r.Next).prev = i
	}
	w.slots[level][slot] = i
	w.occ[level] |= 1 << slot
}

// Unfile takes record i, filed in the wheel isHeld names, out of its list; it may
// be in none.
func (ws *Wheels) Unfile(s Records, i uint32, isHeld bool) {
	r := s.Link(i)
	if r.prev == 0 {
		return
	}
	w := &ws[wheelOf(isHeld)]
	due := r.filedS == filedDue
	if due {
		w.due.n--
	}
	before := uint32(0)
	switch {
	case r.prev&headFlag == 0:
		before = r.prev
		s.Link(before).Next = r.Next
	case due:
		w.due.head = r.Next
	default:
		list := int(r.prev &^ headFlag)
		level, slot := list/wheelSlots%wheelLevels, list%wheelSlots
		w.slots[level][slot] = r.Next
		if r.Next == 0 {
			w.occ[level] &^= 1 << slot
		}
	}
	switch {
	case r.Next != 0:
		s.Link(r.Next).prev = r.prev
	case due:
		w.due.tail = before
	}
	*r = Link{}
}

// Refile is to be called after record i has changed; was says in which wheel it
// was before.
func (ws *Wheels) Refile(s Records, i uint32, was bool) {
	r := s.Link(i)
	beganS, validS, isHeld := s.Term(i)
	_, tick, ok := tickOf(beganS, validS, isHeld)
	if ok && r.prev != 0 && isHeld == was && r.filedS != filedDue && r.filedS <= tick {
		return // early is fine
	}
	ws.Unfile(s, i, was)
	ws.File(s, i)
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
func (ws *Wheels) advance(s Records, wi int, target uint64, want int, budget *int) (done bool) {
	w := &ws[wi]
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
				ws.Unfile(s, i, wi == held)
				ws.File(s, i)
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
func (ws *Wheels) rewind(s Records, wi int, target uint64) {
	ws[wi] = wheel{clock: target}
	for i := s.Next(0); i != 0; i = s.Next(i) {
		if _, _, isHeld := s.Term(i); wheelOf(isHeld) == wi {
			*s.Link(i) = Link{}
			ws.File(s, i)
		}
	}
}

// Limits of one call of Collect.
const (
	dueLockMoves  = 256 // records moved under one hold of the lock
	dueLooks      = 64  // records beyond those wanted looked at in a due list
	rewindSeconds = 300 // the clock stepped back by more: wheels are rebuilt
)

// Collect calls report under lock for up to want records that are due at nowS,
// or at nowS-holdS in the held wheel, and returns how many those were. A record
// stays due until it is changed; those reported go behind the others. budget is
// lowered by the records moved, of which at most 256 under one hold of the lock,
// and bounds them.
func (ws *Wheels) Collect(s Records, lock *sync.Mutex, nowS, holdS int64, want int, budget *int, report func(i uint32)) int {
	n := 0
	for wi := range ws {
		target := nowS
		if wi == held {
			target -= max(holdS, 0)
		}
		if target < 0 {
			continue
		}
		for {
			part := min(dueLockMoves, *budget)
			left := part
			lock.Lock()
			if ws[wi].clock > uint64(target)+rewindSeconds {
				ws.rewind(s, wi, uint64(target))
			}
			done := ws.advance(s, wi, uint64(target), want-n, &left)
			*budget -= part - left
			if done || *budget <= 0 {
				n += ws.takeDue(s, wi, uint64(target), want-n, report)
				lock.Unlock()
				break
			}
			lock.Unlock()
		}
		if n == want {
			break
		}
	}
	return n
}

// takeDue reports records of the due list and moves them to its end.
func (ws *Wheels) takeDue(s Records, wi int, target uint64, want int, report func(i uint32)) int {
	w := &ws[wi]
	n := 0
	for looks := min(w.due.n, want+dueLooks); looks > 0 && n < want; looks-- {
		i := w.due.head
		beganS, validS, isHeld := s.Term(i)
		if _, tick, _ := tickOf(beganS, validS, isHeld); uint64(tick) <= target {
			report(i)
			n++
		}
		ws.Unfile(s, i, wi == held)
		ws.File(s, i)
	}
	return n
}
