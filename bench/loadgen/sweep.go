package loadgen

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Point is one load of a sweep.
type Point struct {
	Offered uint64 `json:"offered-per-second"`
	// Begun is what the generator managed to begin.
	Begun float64 `json:"begun-per-second"`
	// Goodput are the exchanges completed.
	Goodput float64 `json:"goodput-per-second"`
	// LossPercent is of what was begun.
	LossPercent float64 `json:"loss-percent"`
	// Response times are of the last message of an exchange.
	Response  Quantiles `json:"response-ns"`
	LateSends uint64    `json:"late-sends"`
}

// maxSteps bounds a sweep.
const maxSteps = 1000

// ParseSweep reads FROM:TO:STEPS and returns the rates, evenly apart, both ends
// included.
func ParseSweep(s string) ([]uint64, error) {
	f := strings.Split(s, ":")
	if len(f) != 3 {
		return nil, fmt.Errorf("read sweep: %q is not FROM:TO:STEPS", s)
	}
	var n [3]uint64
	for i := range f {
		v, err := strconv.ParseUint(f[i], 10, 64)
		if err != nil || v == 0 || v > MaxRate {
			return nil, fmt.Errorf("read sweep: %q is not a positive number up to %d", f[i], MaxRate)
		}
		n[i] = v
	}
	if n[1] <= n[0] || n[2] < 2 || n[2] > maxSteps {
		return nil, fmt.Errorf("read sweep: from %d to %d in %d steps; it must rise, in 2 to %d steps", n[0], n[1], n[2], maxSteps)
	}
	rates := make([]uint64, n[2])
	for i := range rates {
		rates[i] = n[0] + uint64(math.Round(float64(n[1]-n[0])*float64(i)/float64(n[2]-1)))
	}
	return rates, nil
}

// Point is the result of a run as one point of a sweep.
func (g *Generator) Point() Point {
	x := g.Exchanges()
	last := x[min(len(x)-1, 1)]
	if !last.answered() {
		last = x[0]
	}
	p := Point{Offered: g.opt.Rate, Response: quantiles(&g.Stats[last].Response), LateSends: g.LateSends}
	p.Goodput, _ = g.Goodput()
	p.Begun = float64(g.begun) / g.seconds()
	if done := p.Goodput * g.seconds(); g.begun > 0 {
		p.LossPercent = 100 * max(0, 1-done/float64(g.begun))
	}
	return p
}
