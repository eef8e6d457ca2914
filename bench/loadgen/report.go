package loadgen

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteReport writes perfdhcp's report (rates, malformed packets, statistics per
// exchange), word for word so that scripts go on reading it, and behind it what
// perfdhcp does not know.
func (g *Generator) WriteReport(w io.Writer) {
	x := g.Exchanges()
	done, name := g.Goodput()
	fmt.Fprintf(w, "***Rate statistics***\nRate: %s %s/second", float(done), name)
	if g.opt.Rate > 0 {
		fmt.Fprintf(w, ", expected rate: %d\n", g.opt.Rate)
	}
	fmt.Fprintf(w, "\n***Malformed Packets***\nMalformed packets: %d\n", g.Malformed)
	for _, e := range x {
		s := &g.Stats[e]
		ratio := "nan"
		if s.Sent > 0 {
			ratio = float(100 * float64(s.Drops()) / float64(s.Sent))
		}
		fmt.Fprintf(w, "***Statistics for: %s***\n", e)
		fmt.Fprintf(w, "sent packets: %d\nreceived packets: %d\ndrops: %d\ndrops ratio: %s %%\norphans: %d\nrejected leases: %d\nnon unique addresses: %d\n\n",
			s.Sent, s.Received, s.Drops(), ratio, s.Orphans+s.Late, s.Rejected, s.NonUnique)
		if s.RTT.Count() == 0 {
			fmt.Fprint(w, "min delay: n/a\navg delay: n/a\nmax delay: n/a\nstd deviation: n/a\ncollected packets: 0\n\n")
			continue
		}
		ms := func(ns float64) string { return fmt.Sprintf("%.3f ms", ns/1e6) }
		// "Collected" are those given up after the drop time.
		fmt.Fprintf(w, "min delay: %s\navg delay: %s\nmax delay: %s\nstd deviation: %s\ncollected packets: %d\n\n",
			ms(float64(s.RTT.Min())), ms(s.RTT.Mean()), ms(float64(s.RTT.Max())), ms(s.RTT.StdDev()), s.TimedOut)
	}
}

// Goodput is how many exchanges per second were completed, and what perfdhcp
// calls them.
func (g *Generator) Goodput() (perSecond float64, name string) {
	x := g.Exchanges()
	// Of the exchanges' last stage, also beside renewals and releases.
	e := x[min(len(x)-1, 1)]
	if !e.answered() {
		e = x[0]
	}
	n := g.Stats[e].Received
	switch {
	case g.opt.Scenario == Mixed:
		name, n = "exchanges", 0
		for _, e := range x {
			if e.answered() && e != DiscoverOffer && e != SolicitAdvertise {
				n += g.Stats[e].Received
			}
		}
	case !e.answered():
		name, n = e.String(), g.Stats[e].Sent
	case e == RequestAck || e == RequestReply:
		name = "4-way exchanges"
	case e == SolicitAdvertise && g.opt.RapidCommit:
		name = "Solicit-Reply"
	case e == SolicitAdvertise:
		name = "Solicit-Advertise"
	default:
		name = e.String()
	}
	return float64(n) / g.seconds(), name
}

// WriteDetails writes latencies, losses and checks: what perfdhcp does not have.
func (g *Generator) WriteDetails(w io.Writer) {
	for _, e := range g.Exchanges() {
		if !e.answered() {
			continue
		}
		s := &g.Stats[e]
		h := &s.Response
		fmt.Fprintf(w, "***Response times: %s***\n", e)
		fmt.Fprintf(w, "p50: %s p90: %s p99: %s p99.9: %s max: %s\n", dur(h.Quantile(0.5)), dur(h.Quantile(0.9)), dur(h.Quantile(0.99)), dur(h.Quantile(0.999)), dur(h.Max()))
		fmt.Fprintf(w, "unanswered: %d late: %d\n\n", s.TimedOut, s.Late)
	}
	c := &g.Checks
	fmt.Fprintf(w, "***Checks***\nduplicate addresses: %d\nack differs from offer: %d\nrelay agent information not echoed: %d\nwrong client: %d\nwrong vlan: %d\naddresses outside the pools: %d\n",
		c.DuplicateAddresses, c.AckDiffers, c.RAIMissing, c.WrongClient, c.WrongVLAN, c.OutsidePools)
	if g.WithoutLease > 0 {
		fmt.Fprintf(w, "clients without a lease to renew: %d\n", g.WithoutLease)
	}
	if g.junk != nil {
		fmt.Fprintf(w, "malformed packets sent: %d answered: %d not sent in time: %d\n", g.Stats[Junk].Sent, g.Stats[Junk].Received, g.junk.Missed)
	}
	if g.LateSends > 0 {
		fmt.Fprintf(w, "exchanges begun more than %v late: %d (p99 %s, max %s)\n", LateSend, g.LateSends, dur(g.Lag.Quantile(0.99)), dur(g.Lag.Max()))
	}
	if g.NoRoom > 0 {
		fmt.Fprintf(w, "generator was not ready: %d times\n", g.NoRoom)
	}
}

// WriteInterim writes perfdhcp's line of -t. With sep set it is the clean form
// of -C.
func (g *Generator) WriteInterim(w io.Writer, sep string) {
	clean := sep != ""
	if !clean {
		sep = "/"
	}
	var col [4][]string
	for _, e := range g.Exchanges() {
		s := &g.Stats[e]
		for i, v := range []uint64{s.Sent, s.Received, s.Drops(), s.Rejected} {
			col[i] = append(col[i], fmt.Sprint(v))
		}
	}
	var f [4]string
	for i := range col {
		f[i] = strings.Join(col[i], sep)
	}
	if clean {
		fmt.Fprintln(w, strings.Join(f[:], sep))
		return
	}
	fmt.Fprintf(w, "sent: %s; received: %s; drops: %s; rejected: %s\n", f[0], f[1], f[2], f[3])
}

// ExitCode is perfdhcp's: 3 if anything was dropped (to which it counts every
// RELEASE of -F, for those have no answer), but 0 after an avalanche; and 3 if a
// check failed.
func (g *Generator) ExitCode() int {
	if g.Checks.Failed() {
		return 3
	}
	if g.opt.Scenario.retransmits() {
		return 0
	}
	for _, e := range g.Exchanges() {
		if e == Junk || !e.answered() && g.opt.Scenario != Basic {
			continue
		}
		if g.Stats[e].Drops() > 0 {
			return 3
		}
	}
	return 0
}

func (g *Generator) seconds() float64 {
	end := g.EndNs
	if end == 0 {
		end = now()
	}
	return float64(max(end-g.StartNs, 1)) / 1e9
}

// float is a number as C++ streams print it.
func float(f float64) string { return fmt.Sprintf("%.6g", f) }

func dur(ns int64) string { return time.Duration(ns).Round(100 * time.Nanosecond).String() }
