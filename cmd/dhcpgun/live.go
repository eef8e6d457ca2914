package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/bench/loadgen"
)

// liveInterval is how often the display is drawn anew.
const liveInterval = 500 * time.Millisecond

// live is the display beside a run: on a terminal one block, drawn anew in place,
// with lines above it; else lines alone. A goroutine of its own writes, so that a
// slow terminal does not hold up the generator: what finds it busy is not shown.
type live struct {
	out   io.Writer
	width func() int // nil: no terminal
	in    chan message
	done  sync.WaitGroup
	once  sync.Once
}

// message is a line or a block.
type message struct {
	line  string
	block *loadgen.Snapshot
}

func newLive(out io.Writer, c *config) *live {
	l := &live{out: out, in: make(chan message, 64)}
	if f, ok := out.(*os.File); ok && c.clean == "" && os.Getenv("TERM") != "dumb" {
		if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			l.width = func() int {
				w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
				if err != nil || w.Col < 20 {
					return 80
				}
				return int(w.Col)
			}
		}
	}
	l.done.Go(l.write)
	return l
}

func (l *live) on() bool { return l.width != nil }

// line prints a line that stays. Lines are never lost.
func (l *live) line(s string) { l.in <- message{line: s} }

// show draws the block anew, unless the last one is still being drawn.
func (l *live) show(s loadgen.Snapshot) {
	select {
	case l.in <- message{block: &s}:
	default:
	}
}

// close takes the block away and ends the writing.
func (l *live) close() {
	l.once.Do(func() {
		close(l.in)
		l.done.Wait()
	})
}

func (l *live) write() {
	lines := 0 // of the block on the screen
	var last *loadgen.Snapshot
	var block []string
	erase := func(b *strings.Builder) {
		if lines > 0 {
			fmt.Fprintf(b, "\x1b[%dA\r\x1b[J", lines)
			lines = 0
		}
	}
	draw := func(b *strings.Builder) {
		w := l.width()
		for _, s := range block {
			if r := []rune(s); len(r) >= w {
				s = string(r[:w-1])
			}
			b.WriteString(s + "\n")
		}
		lines = len(block)
	}
	for m := range l.in {
		var b strings.Builder
		erase(&b)
		b.WriteString(m.line)
		if m.block != nil {
			block = blockOf(m.block, last)
			last = m.block
		}
		if l.on() && len(block) > 0 {
			draw(&b)
		}
		_, _ = io.WriteString(l.out, b.String())
	}
	var b strings.Builder
	erase(&b)
	_, _ = io.WriteString(l.out, b.String())
}

// blockOf are the lines of the display; rates are since the last one.
func blockOf(s, last *loadgen.Snapshot) []string {
	const barLen = 30
	head := fmt.Sprintf("%6.1f s ", float64(s.ElapsedNs)/1e9)
	if s.Progress >= 0 {
		n := int(s.Progress * barLen)
		head += fmt.Sprintf("[%s%s] %3.0f %%", strings.Repeat("#", n), strings.Repeat(".", barLen-n), 100*s.Progress)
	}
	if s.Preloading {
		return []string{head, fmt.Sprintf("giving leases: %d of %d", s.Done, s.Wanted)}
	}
	began, done, junk := uint64(0), uint64(0), uint64(0)
	seconds := float64(s.ElapsedNs) / 1e9
	if last != nil && !last.Preloading && last.ElapsedNs < s.ElapsedNs {
		began, done, junk = last.Begun, last.Completed, last.Junk.Sent
		seconds = float64(s.ElapsedNs-last.ElapsedNs) / 1e9
	}
	rate := func(now, before uint64) float64 {
		if now < before || seconds <= 0 {
			return 0
		}
		return float64(now-before) / seconds
	}
	line := fmt.Sprintf("begun %.0f/s  completed %.0f/s", rate(s.Begun, began), rate(s.Completed, done))
	if s.Offered > 0 {
		line += fmt.Sprintf("  wanted %d/s", s.Offered)
	}
	if s.LateSends > 0 {
		line += fmt.Sprintf("  late sends %d", s.LateSends)
	}
	lines := []string{head, line}
	for _, e := range s.Exchanges {
		loss := 0.0
		if e.Sent > 0 {
			loss = 100 * float64(e.Lost) / float64(e.Sent)
		}
		lines = append(lines, fmt.Sprintf("%-24s sent %d  received %d  lost %d (%.2f %%)  p50 %v  p99 %v  p99.9 %v  max %v",
			e.Exchange, e.Sent, e.Received, e.Lost, loss, short(e.P50), short(e.P99), short(e.P999), short(e.Max)))
	}
	if s.Junk.Rate > 0 {
		lines = append(lines, fmt.Sprintf("malformed %.0f/s  answered %d", rate(s.Junk.Sent, junk), s.Junk.Answered))
	}
	if s.Checks.Failed() {
		lines = append(lines, fmt.Sprintf("CHECKS FAILED %+v", s.Checks))
	}
	return lines
}

// short is a duration of three or four digits.
func short(ns int64) time.Duration {
	d := time.Duration(ns)
	switch {
	case d >= time.Second:
		return d.Round(time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Nanosecond)
}
