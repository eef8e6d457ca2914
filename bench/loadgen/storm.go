package loadgen

import (
	"fmt"
	"io"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// retry is the schedule of a slot whose client asks until it is served.
type retry struct {
	nextNs int64
	tries  uint8
	stage  uint8 // tries and nextNs are of this stage
}

// storm lets all clients begin at once and send again until each has its answer.
func (g *Generator) storm() {
	retries := make([]retry, len(g.slots))
	g.StartNs = now()
	nextScan := g.StartNs
	lastReport, lastTick := g.StartNs, g.StartNs
	for {
		t := now()
		got := g.receive(t)
		begun := uint64(0)
		if left := uint64(g.opt.Clients - g.head); left > 0 {
			begun = g.begin(t, min(left, netio.BatchSize))
		}
		for _, c := range g.conns {
			c.Flush()
		}
		if begun == 0 && g.head == g.opt.Clients && g.outstanding == 0 {
			g.Reason = "Every client is served."
			break
		}
		if g.interrupted() {
			break
		}
		if g.opt.Period > 0 && t-g.StartNs >= int64(g.opt.Period) {
			g.Reason = "reached test-period."
			break
		}
		if t >= nextScan {
			// As often as perfdhcp looks: no client is in a greater hurry.
			nextScan = t + int64(200*time.Millisecond)
			g.resend(retries)
		}
		if g.opt.Tick > 0 && t-lastTick >= int64(g.opt.Tick) {
			lastTick = t
			g.opt.OnTick(g)
		}
		if g.opt.Report > 0 && t-lastReport >= int64(g.opt.Report) {
			lastReport = t
			g.opt.OnReport(g)
		}
		if got == 0 && begun == 0 {
			g.conns[0].Wait(int64(time.Millisecond))
		}
	}
	g.EndNs = now()
}

// resend sends again what has waited long enough.
func (g *Generator) resend(retries []retry) {
	conn := g.conns[0]
	k := 0
	flush := func() {
		conn.Send(g.toSend[:k])
		conn.Flush()
		k = 0
		g.receive(now()) // answers must not wait for the scan
		for _, c := range g.conns {
			c.Flush()
		}
	}
	var left, resent [numExchanges]int
	defer func() {
		for e, n := range resent {
			if n > 0 && g.opt.OnResend != nil {
				g.opt.OnResend(Exchange(e), left[e], n, g.retrying[e])
			}
		}
	}()
	for i := uint32(0); i < g.head; i++ {
		s := &g.slots[i&g.mask]
		if s.stage == idle {
			continue
		}
		e := exchangeOf(s.stage)
		left[e]++
		r := &retries[i&g.mask]
		if r.stage != s.stage {
			*r = retry{stage: s.stage, nextNs: s.sentNs + g.backOff(0)}
		}
		t := now()
		if t < r.nextNs {
			continue
		}
		if !conn.Alloc(&g.toSend[k]) {
			break
		}
		if g.six != nil {
			g.fill6(&g.toSend[k], exchangeOf(s.stage), s, t)
		} else {
			g.fill(&g.toSend[k], g.messages[exchangeOf(s.stage)], s, t)
		}
		k++
		g.Resent++
		resent[e]++
		if r.tries++; r.tries == 1 {
			g.retrying[e]++
		}
		from := t
		if g.opt.Scenario == Avalanche {
			from = s.sentNs // its times count from the first sending
		}
		r.nextNs = from + g.backOff(r.tries)
		if k == len(g.toSend) {
			flush()
		}
	}
	flush()
}

// backOff is how long a client waits after its tries-th repetition: doubling,
// at most 64 s, give or take a second.
func (g *Generator) backOff(tries uint8) int64 {
	first := uint8(2) // 4 s, RFC 2131 §4.1
	if g.opt.Scenario == Avalanche {
		first = 0
	}
	s := int64(1) << min(first+min(tries, 6), 6)
	return s*int64(time.Second) + g.random.Int64N(int64(2*time.Second)) - int64(time.Second)
}

// WriteStorm writes perfdhcp's last lines of an avalanche.
func (g *Generator) WriteStorm(w io.Writer) {
	d := time.Duration(g.EndNs - g.StartNs)
	sent, got := g.Resent, uint64(0)
	for _, e := range g.Exchanges() {
		sent += g.Stats[e].Sent
		got += g.Stats[e].Received
	}
	fmt.Fprintf(w, "It took %02d:%02d:%02d.%06d to provision %d clients. \nRequests sent + resent: %d\nRequests resent: %d\nResponses received: %d\n",
		int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60, d.Microseconds()%1e6, g.opt.Clients, sent, g.Resent, got)
}
