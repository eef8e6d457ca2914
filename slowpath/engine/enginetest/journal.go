// Package enginetest is what the tests of the engines of both families share: a
// journal in memory, and conversations in files.
package enginetest

import "github.com/peregrine-dhcp/peregrine/slowpath/lease"

// Journal keeps the leases L of addresses A that are appended to it. Everything is
// durable at once unless Hold is set. For one goroutine.
type Journal[A comparable, L any] struct {
	Pos     uint64  // of the last record
	Last    uint64  // greatest version
	Durable uint64  // greatest version that is durable
	Hold    bool    // nothing becomes durable
	Broken  bool    // as after a write error
	Full    bool    // there is no room
	Quiet   bool    // nothing is kept, for measurements
	State   map[A]L // what a recovery would find
}

// NewJournal returns a journal without records.
func NewJournal[A comparable, L any]() Journal[A, L] { return Journal[A, L]{State: make(map[A]L)} }

// Record appends a lease of which the other arguments are fields.
func (j *Journal[A, L]) Record(op lease.Op, a A, s lease.State, version uint64, l *L) (pos uint64, ok bool) {
	if j.Broken || j.Full {
		return 0, false
	}
	j.Pos++
	j.Last = max(j.Last, version)
	if !j.Hold {
		j.Durable = j.Last
	}
	switch {
	case j.Quiet:
	case s == lease.StateOffered:
		panic("an offer reached the journal")
	case op == lease.OpDelete:
		delete(j.State, a)
	default:
		j.State[a] = *l
	}
	return j.Pos, true
}

// Free is how many records there is room for.
func (j *Journal[A, L]) Free() int {
	if j.Full {
		return 3
	}
	return 1000
}

// Healthy is what the engines ask before they decide.
func (j *Journal[A, L]) Healthy() bool { return !j.Broken }

// Set changes the journal as a conversation says: full, broken, hold, sync or ok.
func (j *Journal[A, L]) Set(word string) {
	switch word {
	case "full":
		j.Full = true
	case "broken":
		j.Broken = true
	case "hold":
		j.Hold = true
	case "sync":
		j.Hold, j.Durable = false, j.Last
	case "ok":
		j.Full, j.Broken = false, false
	default:
		panic("a journal cannot be " + word)
	}
}
