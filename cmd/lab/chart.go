package main

import (
	"fmt"
	"os"

	"github.com/peregrine-dhcp/peregrine/bench/loadgen"
)

// chart draws goodput and response time of durable DORA against offered load,
// from the trials that were disturbed least.
func (b *bencher) chart(path string) error {
	best := map[uint64]trial{}
	for _, tr := range b.rep.Trials {
		if tr.Server != serverName || tr.Scenario != "dora" || tr.Offered == 0 || tr.junk || tr.Result.Seconds <= 0 {
			continue
		}
		at := uint64(tr.Offered)
		if old, ok := best[at]; !ok || tr.Disturbance.score() < old.Disturbance.score() {
			best[at] = tr
		}
	}
	var points []loadgen.Point
	for at, tr := range best {
		_, last := tr.ends()
		points = append(points, loadgen.Point{
			Offered: at, Begun: float64(tr.Begun) / tr.Result.Seconds, Goodput: tr.Done, LossPercent: tr.LossPct, Response: last.Response,
		})
	}
	if len(points) < 2 {
		return nil // nothing to draw: the parts wanted have no sweep
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := loadgen.WritePlot(f, fmt.Sprintf("Peregrine %s, durable DORA on one core", b.rep.Commit), points); err != nil {
		f.Close()
		return err
	}
	say("drawn in %s", path)
	return f.Close()
}
