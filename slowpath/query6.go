package slowpath

import (
	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine6"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// query6 is everything that belongs to one DHCPv6 packet on its way, see query.
type query6 struct {
	frame     []byte // the received frame: the Conn's memory, or buf
	hdr       frame.Headers
	view      dhcp6.View
	q         engine6.Query6
	r         engine6.Reply6
	hq        hooks.Query6
	old       lease6.Lease6
	classes   classes // of q, for hq
	x         *worker6
	rt        *runtime6
	iface     *iface
	ifindex   uint32
	synthetic bool

	// While parked.
	stage       stage
	point       hooks.Point
	deadlineNs  int64
	outcome     hooks.Outcome
	key         uint64 // of the client, in the in-flight set
	isParked    bool
	parkedIndex int
	parking     *hooks.Parking6

	buf [maxFrame]byte
}

func newQuery6() *query6 {
	c := new(query6)
	c.classes.set = &c.q.Classes
	return c
}

// SetUserContext implements hooks.LeaseUpdater.
func (c *query6) SetUserContext(i int, context string) error {
	if err := checkUserContext(context); err != nil {
		return err
	}
	return c.x.engine.SetUserContext(&c.r, &c.r.Leases[i], context)
}
