package hooks

import (
	"sync"
	"sync/atomic"
)

// Parked and Parking are of DHCPv4 queries, Parked6 and Parking6 of DHCPv6.
type (
	Parked   = ParkedQuery[Query4]
	Parking  = ParkingOf[Query4]
	Parked6  = ParkedQuery[Query6]
	Parking6 = ParkingOf[Query6]
)

// ParkedQuery is one callout's reference to a parked query. Resume or Drop may
// be called from any goroutine; the first call counts, later ones return false
// and do nothing.
type ParkedQuery[Q any] struct {
	p    *ParkingOf[Q]
	used atomic.Bool
}

// ParkingOf is the server's side of a parked query: it becomes ready when every
// reference was resumed, one was dropped, or the server calls Expire.
//
// It is never reused, so that a reference kept too long cannot touch another
// query.
type ParkingOf[Q any] struct {
	// refs are the callouts' references and one of the server's until Arm.
	refs     atomic.Int32
	done     atomic.Bool // wake was or will be called, or the parking was given up
	deadline int64

	mu struct {
		sync.Mutex
		edits   []func(*Q)
		outcome Outcome
		wake    func(Outcome)
		ready   bool
	}
}

// Outcome is why a parked query goes on.
type Outcome uint8

const (
	// Resumed: every reference was resumed; the query continues after its point.
	Resumed Outcome = iota
	// Dropped: a library dropped it.
	Dropped
	// Expired: its deadline passed first; it is dropped.
	Expired
)

// Park takes a reference to the query, which will be parked if the point's
// status is Park in the end. deadlineUnixNs is the latest time for Resume; the
// query waits until the latest deadline of its references and is dropped then.
//
// It allocates: parking is for what waits for somebody else.
func (q *Query4) Park(deadlineUnixNs int64) *Parked { return parkAt(&q.parking, deadlineUnixNs) }

// Park: see Query4.Park.
func (q *Query6) Park(deadlineUnixNs int64) *Parked6 { return parkAt(&q.parking, deadlineUnixNs) }

func parkAt[Q any](at **ParkingOf[Q], deadlineUnixNs int64) *ParkedQuery[Q] {
	p := *at
	if p == nil {
		p = &ParkingOf[Q]{}
		p.refs.Store(1)
		*at = p
	}
	p.refs.Add(1)
	p.deadline = max(p.deadline, deadlineUnixNs)
	return &ParkedQuery[Q]{p: p}
}

// Resume gives the reference back; edit, if not nil, is run on the worker with
// the query before it goes on, in the order in which references were resumed. It
// reports whether the query was still parked.
func (r *ParkedQuery[Q]) Resume(edit func(*Q)) bool {
	if !r.used.CompareAndSwap(false, true) || r.p.done.Load() {
		return false
	}
	if edit != nil {
		r.p.mu.Lock()
		r.p.mu.edits = append(r.p.mu.edits, edit)
		r.p.mu.Unlock()
	}
	if r.p.refs.Add(-1) == 0 {
		return r.p.finish(Resumed)
	}
	return true
}

// Drop gives the reference back and has the query dropped, whatever the other
// references say. It reports whether the query was still parked.
func (r *ParkedQuery[Q]) Drop() bool {
	return r.used.CompareAndSwap(false, true) && r.p.finish(Dropped)
}

// Parking returns the parking of a query whose point ended with Park.
func (q *Query4) Parking() *Parking { return q.parking }

// Continue ends a parking: the server calls it on the copy of the query before
// it goes on after the point, and it runs the edits.
func (q *Query4) Continue() { continueQuery(q, &q.parking) }

// Parking and Continue: see Query4.
func (q *Query6) Parking() *Parking6 { return q.parking }

// Continue: see Query4.Continue.
func (q *Query6) Continue() { continueQuery(q, &q.parking) }

func continueQuery[Q any](q *Q, at **ParkingOf[Q]) {
	p := *at
	*at = nil
	if p == nil {
		return
	}
	p.mu.Lock()
	edits := p.mu.edits
	p.mu.edits = nil
	p.mu.Unlock()
	for _, f := range edits {
		f(q)
	}
}

// DeadlineUnixNs is the latest deadline of the references.
func (p *ParkingOf[Q]) DeadlineUnixNs() int64 { return p.deadline }

// Arm tells the parking that the query has been put away. wake is called once,
// on the goroutine that makes the query ready, perhaps before Arm returns; it
// must not block and typically queues the query for its worker.
func (p *ParkingOf[Q]) Arm(wake func(Outcome)) {
	p.mu.Lock()
	p.mu.wake = wake
	ready, o := p.mu.ready, p.mu.outcome
	p.mu.Unlock()
	if ready {
		wake(o)
		return
	}
	if p.refs.Add(-1) == 0 {
		p.finish(Resumed)
	}
}

// Expire makes the query ready with Expired, unless it already is; the server
// calls it when the deadline has passed or it shuts down.
func (p *ParkingOf[Q]) Expire() bool { return p.finish(Expired) }

// abandon gives the parking up without waking anybody.
func (p *ParkingOf[Q]) abandon() { p.done.Store(true) }

func (p *ParkingOf[Q]) finish(o Outcome) bool {
	if !p.done.CompareAndSwap(false, true) {
		return false
	}
	p.mu.Lock()
	p.mu.outcome, p.mu.ready = o, true
	wake := p.mu.wake
	p.mu.Unlock()
	if wake != nil {
		wake(o)
	}
	return true
}
