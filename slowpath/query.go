package slowpath

import (
	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine6"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// maxFrame is the room for one received frame: an Ethernet MTU of 1500 with two
// tags, and some.
const maxFrame = 2048

// stage is where a parked query goes on.
type stage uint8

const (
	stageSelected  stage = iota + 1 // after subnet4_select
	stageProcessed                  // after lease4_offer or leases4_committed
)

// query is everything that belongs to one packet on its way. A worker has one
// in use; a parked query keeps its own and the worker takes another, so nothing
// is copied but the frame, and that only where a callout may park.
type query struct {
	frame     []byte // the received frame: the Conn's memory, or buf
	hdr       frame.Headers
	view      dhcp4.View
	q         engine.Query4
	r         engine.Reply4
	hq        hooks.Query4
	old       lease.Lease4
	classes   classes // of q, for hq: made once, so that showing it allocates nothing
	w         *Worker // set for callouts
	rt        *runtime
	iface     *iface
	ifindex   uint32
	synthetic bool

	// While parked.
	stage        stage
	point        hooks.Point
	deadlineNs   int64
	outcome      hooks.Outcome
	keys         [2]uint64 // of the client, in the in-flight set
	nKeys        int
	isParked     bool
	parkedIndex  int
	parking      *hooks.Parking
	receivedAtNs int64

	buf [maxFrame]byte
}

func newQuery() *query {
	c := new(query)
	c.classes.set, c.classes.q = &c.q.Classes, &c.q
	return c
}

// SetUserContext implements hooks.LeaseUpdater.
func (c *query) SetUserContext(_ int, context string) error {
	if err := checkUserContext(context); err != nil {
		return err
	}
	return c.w.engine.SetUserContext(&c.r, context)
}

// classes shows the engine's class set to callouts.
type classes struct {
	set classSet
	q   *engine.Query4 // nil for DHCPv6; for expressions
}

// classSet is what both engines' class sets can.
type classSet interface {
	Has(name string) bool
	Add(name string) bool
	Len() int
	Name(i int) string
}

var (
	_ classSet = (*engine.ClassSet)(nil)
	_ classSet = (*engine6.ClassSet)(nil)
)

// InClass, AddClass and NextClass implement hooks.Classes.
func (c classes) InClass(name string) bool  { return c.set.Has(name) }
func (c classes) AddClass(name string) bool { return c.set.Add(name) }
func (c classes) NextClass(pos int) (name string, next int, ok bool) {
	if pos < 0 || pos >= c.set.Len() {
		return "", pos, false
	}
	return c.set.Name(pos), pos + 1, true
}
