package slowpath

import (
	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// park puts the query in use aside until its libraries resume it, see
// Worker.park.
func (x *worker6) park(c *query6, point hooks.Point, st stage) {
	p := c.hq.Parking()
	if p == nil || !c.rt.mayPark {
		x.hookDrop(c, ReasonHookParkRefused)
		return
	}
	limit := int64(c.rt.parkedLimit)
	if len(x.parked) >= hardParkedLimit || (limit > 0 && x.w.s.parkedAt[point].Load() >= limit) {
		p.Expire()
		x.drop(ReasonParkedLimit)
		x.done(c)
		return
	}
	x.w.s.parkedAt[point].Add(1)
	x.s.clients.parked.Add(1)
	c.point, c.stage, c.parking, c.deadlineNs = point, st, p, p.DeadlineUnixNs()
	x.s.clients.add([]uint64{c.key})
	c.parkedIndex = len(x.parked)
	x.parked = append(x.parked, c)
	c.isParked = true
	if c == x.cur {
		if n := len(x.free); n > 0 {
			x.cur = x.free[n-1]
			x.free = x.free[:n-1]
		} else {
			x.cur = newQuery6()
		}
	}
	p.Arm(func(o hooks.Outcome) {
		c.outcome = o
		x.ready <- c // has room for every query that may be parked
		if f := x.w.wake.Load(); f != nil {
			(*f)()
		}
	})
}

// forget takes a query off the parked ones.
func (x *worker6) forget(c *query6) {
	last := len(x.parked) - 1
	x.parked[c.parkedIndex] = x.parked[last]
	x.parked[c.parkedIndex].parkedIndex = c.parkedIndex
	x.parked[last] = nil
	x.parked = x.parked[:last]
	c.isParked = false
	x.w.s.parkedAt[c.point].Add(-1)
	x.s.clients.parked.Add(-1)
	x.s.clients.remove([]uint64{c.key})
}

// resumeReady goes on with what is ready, as far as out has room, and returns
// how many of it are filled.
func (x *worker6) resumeReady(alloc func(*netio.Packet) bool, out []netio.Packet, nowUnixNs int64) int {
	if nowUnixNs >= x.nextExpiryNs {
		x.nextExpiryNs = nowUnixNs + expiryCheckNs
		for _, c := range x.parked {
			if nowUnixNs > c.deadlineNs {
				c.parking.Expire()
			}
		}
	}
	n := 0
	for n < len(out) {
		var c *query6
		select {
		case c = <-x.ready:
		default:
			return n
		}
		x.forget(c)
		if x.resume(c, alloc, &out[n]) {
			n++
		}
		if !c.isParked && len(x.free) < 64 { // it may have been parked again
			x.free = append(x.free, c)
		}
	}
	return n
}

// resume goes on with a query and reports whether p holds a frame to dispose of.
func (x *worker6) resume(c *query6, alloc func(*netio.Packet) bool, p *netio.Packet) bool {
	switch c.outcome {
	case hooks.Dropped:
		x.drop(ReasonParkedDropped)
		x.done(c)
		return false
	case hooks.Expired:
		x.drop(ReasonParkedExpired)
		x.done(c)
		return false
	}
	*p = netio.Packet{IfIndex: c.ifindex, Synthetic: c.synthetic}
	if !alloc(p) {
		x.drop(ReasonNoFrame)
		x.done(c)
		return false
	}
	p.Action = netio.Drop
	unlock := x.s.clients.lock(c.key, 0)
	c.hq.Continue()
	switch c.stage {
	case stageSelected:
		x.takeHookSubnet(c)
		x.process(p, c)
	case stageProcessed:
		x.answer(p, c)
	}
	x.s.clients.unlock(unlock)
	return true
}
