package loadgen

// Snapshot is how a run stands, for a display beside it.
type Snapshot struct {
	// Preloading says that leases are being made, untimed; Done of Wanted
	// clients have one.
	Preloading   bool
	Done, Wanted uint64
	// ElapsedNs is how long this phase has taken, Progress the share of it that
	// is over, negative if it has no end.
	ElapsedNs int64
	Progress  float64
	Offered   uint64 // exchanges per second; 0: as many as can be
	Begun     uint64
	Completed uint64
	Exchanges []ExchangeSnapshot
	Junk      JunkResult
	Checks    Checks
	LateSends uint64
	Malformed uint64
}

// ExchangeSnapshot is one exchange; times are nanoseconds.
type ExchangeSnapshot struct {
	Exchange            Exchange
	Sent, Received      uint64
	Lost                uint64 // not to be expected any more
	P50, P99, P999, Max int64
}

// Snapshot reads how the run stands. Only in OnReport and OnTick.
func (g *Generator) Snapshot() Snapshot {
	t := now()
	s := Snapshot{
		Preloading: g.preload, ElapsedNs: t - g.StartNs, Progress: -1, Offered: g.opt.Rate, Begun: g.begun,
		Checks: g.Checks, LateSends: g.LateSends, Malformed: g.Malformed,
	}
	if g.preload {
		s.Wanted, s.Done = g.most, g.begun
	}
	progress := func(done, of float64) {
		if of > 0 {
			s.Progress = min(max(s.Progress, done/of), 1)
		}
	}
	switch {
	case g.preload:
		progress(float64(s.Done), float64(s.Wanted))
	case g.opt.Scenario.retransmits():
		progress(float64(g.opt.Clients-g.outstanding), float64(g.opt.Clients))
	default:
		progress(float64(s.ElapsedNs), float64(g.opt.Period))
		progress(float64(g.begun), float64(g.opt.Exchanges[0]))
	}
	last := Exchange(-1)
	for _, e := range g.Exchanges() {
		if e == Junk {
			continue
		}
		st := &g.Stats[e]
		h := &st.Response
		s.Exchanges = append(s.Exchanges, ExchangeSnapshot{
			Exchange: e, Sent: st.Sent, Received: st.Received, Lost: g.lost(st),
			P50: h.Quantile(0.5), P99: h.Quantile(0.99), P999: h.Quantile(0.999), Max: h.Max(),
		})
		if e.answered() && len(s.Exchanges) <= 2 {
			last = e
		}
	}
	if last >= 0 {
		s.Completed = g.Stats[last].Received
	}
	if g.junk != nil {
		s.Junk = JunkResult{g.junk.rate, g.Stats[Junk].Sent, g.Stats[Junk].Received, g.junk.Missed}
	}
	return s
}
