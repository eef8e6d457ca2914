package slowpath

import (
	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// hardParkedLimit bounds the parked queries of a worker whatever
// parked-packet-limit says (0 there means no limit).
const hardParkedLimit = 4096

// expiryCheckNs is how often deadlines of parked queries are looked at.
const expiryCheckNs = 5_000_000

// park puts the query in use aside until its libraries resume it. Its frame goes
// back at once: the query was copied when it came in.
func (w *Worker) park(c *query, point hooks.Point, st stage, why Reason) {
	p := c.hq.Parking()
	if p == nil || !c.rt.mayPark {
		w.hookDrop(c, ReasonHookParkRefused)
		return
	}
	limit := int64(c.rt.parkedLimit)
	if len(w.parked) >= hardParkedLimit || (limit > 0 && w.s.parkedAt[point].Load() >= limit) {
		p.Expire()
		w.drop(ReasonParkedLimit)
		w.done(c)
		return
	}
	w.s.parkedAt[point].Add(1)
	w.s.clients.parked.Add(1)
	c.point, c.stage, c.parking, c.deadlineNs = point, st, p, p.DeadlineUnixNs()
	a, b := w.s.clients.keys(&c.view)
	c.keys[0], c.nKeys = a, 1
	if b != 0 {
		c.keys[1], c.nKeys = b, 2
	}
	w.s.clients.add(c.keys[:c.nKeys])
	c.parkedIndex = len(w.parked)
	w.parked = append(w.parked, c)
	c.isParked = true
	if c == w.cur {
		if n := len(w.free); n > 0 {
			w.cur = w.free[n-1]
			w.free = w.free[:n-1]
		} else {
			w.cur = newQuery()
		}
	}
	p.Arm(func(o hooks.Outcome) {
		c.outcome = o
		w.ready <- c // has room for every query that may be parked
		if f := w.wake.Load(); f != nil {
			(*f)()
		}
	})
}

// forget takes a query off the parked ones.
func (w *Worker) forget(c *query) {
	last := len(w.parked) - 1
	w.parked[c.parkedIndex] = w.parked[last]
	w.parked[c.parkedIndex].parkedIndex = c.parkedIndex
	w.parked[last] = nil
	w.parked = w.parked[:last]
	c.isParked = false
	w.s.parkedAt[c.point].Add(-1)
	w.s.clients.parked.Add(-1)
	w.s.clients.remove(c.keys[:c.nKeys])
}

// Resume implements netio.Handler.
func (w *Worker) Resume(alloc func(*netio.Packet) bool, out []netio.Packet, nowUnixNs int64) int {
	if w.s.runtime.Load() != w.rt {
		w.begin(nowUnixNs) // an idle worker takes up a new configuration too
	}
	parked6 := w.six != nil && len(w.six.parked) > 0
	if len(w.parked) == 0 && !parked6 {
		return 0
	}
	w.begin(nowUnixNs)
	n := 0
	if parked6 {
		n = w.six.resumeReady(alloc, out, nowUnixNs)
	}
	if nowUnixNs >= w.nextExpiryNs {
		w.nextExpiryNs = nowUnixNs + expiryCheckNs
		for _, c := range w.parked {
			if nowUnixNs > c.deadlineNs {
				c.parking.Expire()
			}
		}
	}
	for n < len(out) {
		var c *query
		select {
		case c = <-w.ready:
		default:
		}
		if c == nil {
			break
		}
		w.forget(c)
		if w.resume(c, alloc, &out[n]) {
			n++
		}
		if !c.isParked && len(w.free) < 64 { // it may have been parked again
			w.free = append(w.free, c)
		}
	}
	w.end()
	return n
}

// resume goes on with a query and reports whether p holds a frame to dispose of.
func (w *Worker) resume(c *query, alloc func(*netio.Packet) bool, p *netio.Packet) bool {
	switch c.outcome {
	case hooks.Dropped:
		w.drop(ReasonParkedDropped)
		w.done(c)
		return false
	case hooks.Expired:
		w.drop(ReasonParkedExpired)
		w.done(c)
		return false
	}
	*p = netio.Packet{IfIndex: c.ifindex, Synthetic: c.synthetic}
	if !alloc(p) {
		w.drop(ReasonNoFrame)
		w.done(c)
		return false
	}
	p.Action = netio.Drop
	unlock := w.s.clients.lock(c.keys[0], c.keys[1]*uint64(c.nKeys-1))
	c.hq.Continue()
	switch c.stage {
	case stageSelected:
		w.takeHookSubnet(c)
		w.process(p, c)
	case stageProcessed:
		if c.hq.OfferAddressInUse && c.point == hooks.Lease4Offer {
			w.serverDecline(c)
		} else {
			w.answer(p, c)
		}
	}
	w.s.clients.unlock(unlock)
	return true
}

// serverDecline handles an offered address that a callout found in use: it is
// declined and the client gets no answer (V4-025).
func (w *Worker) serverDecline(c *query) {
	if why := w.engine.ServerDecline4(&c.q, &c.r); why != engine.ReasonOK {
		w.engineDrop(c, why)
		w.done(c)
		return
	}
	if c.rt.has[hooks.Lease4ServerDecline] {
		w.setHookLeases(c)
		c.rt.run(hooks.Lease4ServerDecline, &c.hq)
	}
	w.drop(ReasonHookLease4Offer)
	w.done(c)
}
