package loadgen

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSweep(t *testing.T) {
	r, err := ParseSweep("1000:5000:5")
	if err != nil || !slices.Equal(r, []uint64{1000, 2000, 3000, 4000, 5000}) {
		t.Error(r, err)
	}
	if r, err := ParseSweep("10:11:2"); err != nil || !slices.Equal(r, []uint64{10, 11}) {
		t.Error(r, err)
	}
	for _, bad := range []string{"", "1:2", "1:2:3:4", "0:5:2", "5:5:2", "5:1:2", "1:5:1", "1:5:1001", "a:5:2", "1:999999999999:2"} {
		if _, err := ParseSweep(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestPoint(t *testing.T) {
	g := runAgainst(t, options(DORA), nil)
	p := g.Point()
	if p.Offered != 5000 || p.Goodput <= 0 || p.Goodput > 5100 || p.LossPercent > 1 || p.Response.P50 <= 0 || p.Response.P99 < p.Response.P50 {
		t.Errorf("%+v", p)
	}
}

func TestWritePlot(t *testing.T) {
	var points []Point
	for i := range 8 {
		rate := uint64(8-i) * 25000 // in any order
		points = append(points, Point{Offered: rate, Goodput: min(float64(rate), 120_000),
			Response: Quantiles{P50: 40_000 + int64(rate), P99: 900_000 + 20*int64(rate), P999: 2_000_000 + 50*int64(rate)}})
	}
	points[3].Response = Quantiles{} // a point without an answer
	var b bytes.Buffer
	if err := WritePlot(&b, "dora <&> more", points); err != nil {
		t.Fatal(err)
	}
	lines, dots := 0, 0
	text := map[string]bool{}
	for d := xml.NewDecoder(&b); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch x := tok.(type) {
		case xml.StartElement:
			for _, a := range x.Attr {
				var v float64
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s: %s=%q", x.Name.Local, a.Name.Local, a.Value)
				}
				if n, _ := fmt.Sscanf(a.Value, "%g", &v); n == 1 && (v < 0 || v > plotWidth) {
					t.Errorf("%s: %s=%q is off the drawing", x.Name.Local, a.Name.Local, a.Value)
				}
				if a.Name.Local == "points" && !strings.HasPrefix(a.Value, "N") {
					lines++
				}
			}
			if x.Name.Local == "circle" {
				dots++
			}
		case xml.CharData:
			text[string(x)] = true
		}
	}
	for _, want := range []string{"dora <&> more", "goodput", "offered", "p50", "p99", "p99.9", "response time", "exchanges per second", "offered load, exchanges per second", "0", "50k", "200k", "100µs", "10ms"} {
		if !text[want] {
			t.Errorf("no label %q in %v", want, text)
		}
	}
	if lines != 5 || dots != 8+3*7 {
		t.Errorf("%d lines, %d dots", lines, dots)
	}
	// Every point's place is in its panel, whatever the values.
	for _, ps := range [][]Point{{{Offered: 1}}, {{Offered: 5, Goodput: 5, Response: Quantiles{P50: 1, P99: 1, P999: 1}}}, {{Offered: 1, Goodput: 1e8, Response: Quantiles{P999: int64(100 * time.Hour)}}}} {
		b.Reset()
		if err := WritePlot(&b, "", ps); err != nil || strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
			t.Errorf("%v: %v\n%s", ps, err, b.String())
		}
	}
	if WritePlot(&b, "", nil) == nil {
		t.Error("a drawing of nothing")
	}
	if WritePlot(full{}, "", points) == nil {
		t.Error("a full disk was not noticed")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAxis(t *testing.T) {
	for _, high := range []float64{1, 3, 7, 10, 99, 1001, 123456, 1e8} {
		a := linear(0, high)
		if n := len(a.ticks); n < 3 || n > 8 || a.high < high || a.at(0) != 0 || a.at(a.high) != 1 {
			t.Errorf("to %v: %+v", high, a)
		}
	}
	for _, r := range [][2]float64{{1, 1}, {20e3, 30e3}, {15e3, 2e6}, {1e3, 1e10}} {
		a := logarithmic(r[0], r[1])
		if n := len(a.ticks); n < 2 || n > 12 || a.at(r[0]) < -1e-9 || a.at(r[1]) > 1+1e-9 {
			t.Errorf("%v: %+v", r, a)
		}
	}
}
