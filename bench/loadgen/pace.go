package loadgen

import (
	"math/bits"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// loop sends what is due and takes what comes until end says so.
func (g *Generator) loop(end func(nowNs int64) bool) {
	g.begun = 0
	lastReport, lastTick := g.StartNs, g.StartNs
	idle := 0
	if g.junk != nil {
		g.junk.start(g.StartNs)
	}
	for {
		t := now()
		got := g.receive(t)
		g.expire(t)
		if end(t) {
			return
		}
		g.pretend(t)
		due := g.due(t)
		if g.most > 0 {
			due = min(due, g.most-min(g.begun, g.most))
		}
		if due > 0 {
			n := g.begin(t, due)
			g.begun += n
			// What there was no room for stays due, and shows in Response.
			if n < due && g.opt.Rate > 0 {
				g.NoRoom++
			}
		} else {
			g.ShortWaits++
		}
		for i := range g.streams {
			g.follow(&g.streams[i], t)
		}
		junk := 0
		if g.junk != nil && !g.preload {
			junk = g.junk.send(g, t)
		}
		for _, c := range g.conns {
			c.Flush()
		}
		if g.opt.Report > 0 && t-lastReport >= int64(g.opt.Report) && !g.preload {
			lastReport = t
			g.opt.OnReport(g)
		}
		if g.opt.Tick > 0 && t-lastTick >= int64(g.opt.Tick) {
			lastTick = t
			g.opt.OnTick(g)
		}
		if got > 0 || due > 0 || junk > 0 {
			idle = 0
		} else if idle++; idle > spinTurns {
			g.rest(t)
		}
	}
}

// pretend sets the seconds that first messages claim to have waited (perfdhcp
// -y and -Y).
func (g *Generator) pretend(t int64) {
	if g.opt.SecsFor == 0 {
		return
	}
	g.secs = 0
	passed := time.Duration(t-g.StartNs) / time.Second
	after, during := g.opt.SecsAfter/time.Second, g.opt.SecsFor/time.Second
	if passed >= after && passed < after+during {
		g.secs = uint16(min(passed-after+1, 65535))
	}
}

// due is how many exchanges should have begun by now and have not, at most a
// batch.
func (g *Generator) due(t int64) uint64 {
	if g.opt.Scenario == MalformedFlood { // has but junk
		return 0
	}
	if g.opt.Rate == 0 {
		if g.outstanding >= g.opt.Window {
			return 0
		}
		return min(uint64(g.opt.Window-g.outstanding), netio.BatchSize)
	}
	want := mulDiv(uint64(t-g.StartNs), g.opt.Rate, uint64(time.Second)) + 1
	if want <= g.begun {
		return 0
	}
	return min(want-g.begun, netio.BatchSize)
}

// dueNs is when exchange i should begin.
func (g *Generator) dueNs(i uint64) int64 {
	return g.StartNs + int64(mulDiv(i, uint64(time.Second), g.opt.Rate))
}

const (
	// spinTurns is how many empty turns pass before the thread sleeps: some
	// 20 µs, in which most answers come.
	spinTurns = 200
	// wakeNs is how much later than asked for a sleep may end.
	wakeNs = 100_000
	// restNs bounds a sleep, so that further connections, time-outs and
	// interrupts are looked after.
	restNs = 1_000_000
)

// rest sleeps until a packet comes or the next exchange is nearly due. A
// generator that spins all the time would take its core from a server on the
// same machine.
func (g *Generator) rest(t int64) {
	ns := int64(restNs)
	if g.opt.Rate > 0 && g.opt.Scenario != MalformedFlood {
		ns = min(ns, g.dueNs(g.begun)-t-wakeNs)
	}
	if g.junk != nil {
		ns = min(ns, g.junk.nextNs()-t)
	}
	if len(g.conns) > 1 { // it is woken by the first only
		ns = min(ns, wakeNs)
	}
	if ns > 0 {
		g.conns[0].Wait(ns)
	}
}

// mulDiv is a*b/c without overflow; the quotient fits.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}
