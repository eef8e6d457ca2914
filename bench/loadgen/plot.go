package loadgen

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// Sizes of the drawing, in SVG user units.
const (
	plotWidth  = 860
	plotHeight = 720
	plotLeft   = 90
	plotRight  = 30
	panelTop   = 60
	panelGap   = 80
	panelH     = 250
)

// curve is one line of a panel.
type curve struct {
	name, colour string
	dash         string
	y            func(Point) float64
}

// WritePlot draws a sweep as an SVG: goodput and latency against offered load,
// one above the other. Points without an answer have no latency.
func WritePlot(w io.Writer, title string, points []Point) error {
	if len(points) == 0 {
		return fmt.Errorf("draw plot: no points")
	}
	points = slices.Clone(points)
	slices.SortFunc(points, func(a, b Point) int { return int(int64(a.Offered) - int64(b.Offered)) })
	p := &plot{w: bufio.NewWriter(w)}
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, plotHeight, plotWidth, plotHeight)
	p.printf(`<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, plotHeight)
	p.text(plotWidth/2, 28, "middle", 17, title)

	goodput := []curve{
		{"offered", "#999999", "6 4", func(p Point) float64 { return float64(p.Offered) }},
		{"goodput", "#1f77b4", "", func(p Point) float64 { return p.Goodput }},
	}
	latency := []curve{
		{"p50", "#2ca02c", "", func(p Point) float64 { return float64(p.Response.P50) }},
		{"p99", "#ff7f0e", "", func(p Point) float64 { return float64(p.Response.P99) }},
		{"p99.9", "#d62728", "", func(p Point) float64 { return float64(p.Response.P999) }},
	}
	p.x = linear(0, float64(points[len(points)-1].Offered))
	p.panel(panelTop, "exchanges per second", linear(0, highest(points, goodput)), points, goodput, count)
	low, high := lowestAbove(points, latency), highest(points, latency)
	p.panel(panelTop+panelH+panelGap, "response time", logarithmic(low, high), points, latency, func(v float64) string {
		return time.Duration(v).String()
	})
	p.text(plotWidth/2, panelTop+2*panelH+panelGap+48, "middle", 13, "offered load, exchanges per second")
	p.printf("</svg>\n")
	if p.err != nil {
		return fmt.Errorf("draw plot: %w", p.err)
	}
	return p.w.Flush()
}

func highest(points []Point, curves []curve) float64 {
	m := 1.0
	for _, p := range points {
		for _, c := range curves {
			m = max(m, c.y(p))
		}
	}
	return m
}

// lowestAbove is the lowest value above 0; 1 if there is none.
func lowestAbove(points []Point, curves []curve) float64 {
	m := math.Inf(1)
	for _, p := range points {
		for _, c := range curves {
			if v := c.y(p); v > 0 {
				m = min(m, v)
			}
		}
	}
	if math.IsInf(m, 1) {
		return 1
	}
	return m
}

// axis maps values to 0…1 and has ticks.
type axis struct {
	low, high float64
	log       bool
	ticks     []float64
}

// linear is an axis with round ticks that reaches past high.
func linear(low, high float64) axis {
	step := math.Pow(10, math.Floor(math.Log10(max(high-low, 1)/4)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*m) <= 6 {
			step *= m
			break
		}
	}
	a := axis{low: low}
	for v := low; ; v += step {
		a.ticks = append(a.ticks, v)
		if v >= high {
			a.high = v
			return a
		}
	}
}

// logarithmic is an axis of whole decades; where they are few, with ticks between.
func logarithmic(low, high float64) axis {
	from, to := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	if to <= from {
		to = from + 1
	}
	a := axis{low: math.Pow(10, from), high: math.Pow(10, to), log: true}
	steps := []float64{1}
	if to-from <= 3 {
		steps = []float64{1, 2, 5}
	}
	for e := from; e < to; e++ {
		for _, s := range steps {
			a.ticks = append(a.ticks, s*math.Pow(10, e))
		}
	}
	a.ticks = append(a.ticks, a.high)
	return a
}

func (a axis) at(v float64) float64 {
	if a.log {
		return (math.Log10(max(v, a.low)) - math.Log10(a.low)) / (math.Log10(a.high) - math.Log10(a.low))
	}
	return (v - a.low) / (a.high - a.low)
}

// count writes a number of exchanges.
func count(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.4gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.4gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}

type plot struct {
	w   *bufio.Writer
	x   axis
	err error
}

func (p *plot) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format, args...); err != nil && p.err == nil {
		p.err = err
	}
}

func (p *plot) text(x, y float64, anchor string, size int, s string) {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	p.printf(`<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">%s</text>`+"\n", x, y, anchor, size, b.String())
}

// panel draws axes and curves in the rectangle that begins at top.
func (p *plot) panel(top float64, name string, y axis, points []Point, curves []curve, label func(float64) string) {
	width := float64(plotWidth - plotLeft - plotRight)
	px := func(v float64) float64 { return plotLeft + width*p.x.at(v) }
	py := func(v float64) float64 { return top + panelH*(1-y.at(v)) }
	for _, t := range y.ticks {
		p.printf(`<line x1="%d" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#e0e0e0"/>`+"\n", plotLeft, py(t), plotLeft+width, py(t))
		p.text(plotLeft-8, py(t)+4, "end", 12, label(t))
	}
	for _, t := range p.x.ticks {
		p.printf(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#e0e0e0"/>`+"\n", px(t), top, px(t), top+panelH)
		p.text(px(t), top+panelH+18, "middle", 12, count(t))
	}
	p.printf(`<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="none" stroke="#404040"/>`+"\n", plotLeft, top, width, panelH)
	p.text(plotLeft, top-10, "start", 14, name)
	for i, c := range curves {
		var line strings.Builder
		dots := [][2]float64{}
		for _, pt := range points {
			v := c.y(pt)
			if v <= 0 && y.log {
				continue
			}
			x, y := px(float64(pt.Offered)), py(v)
			fmt.Fprintf(&line, "%.1f,%.1f ", x, y)
			dots = append(dots, [2]float64{x, y})
		}
		p.printf(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`+"\n", strings.TrimSpace(line.String()), c.colour, c.dash)
		if c.dash == "" {
			for _, d := range dots {
				p.printf(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", d[0], d[1], c.colour)
			}
		}
		x := plotLeft + width - 90*float64(len(curves)-i)
		p.printf(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`+"\n", x, top-14, x+22, top-14, c.colour, c.dash)
		p.text(x+28, top-10, "start", 12, c.name)
	}
}
