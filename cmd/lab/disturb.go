package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// disturbance is what a trial suffered from that is no fault of the server.
type disturbance struct {
	// StolenPct is how much of the machine's time its hypervisor gave to others
	// meanwhile, OthersPct what other processes here took.
	StolenPct float64 `json:"stolen-percent"`
	OthersPct float64 `json:"others-percent"`
	// Slowdown is how much longer the server's core took for the same
	// instructions than at its best in this run. A virtual core often shares a
	// physical one with another guest's: that shows nowhere else.
	Slowdown float64 `json:"core-slowdown"`
}

// Up to here a trial counts; one that was disturbed more is repeated.
const (
	quietStolenPct = 3.0
	quietOthersPct = 4.0
	quietSlowdown  = 1.2
)

func (d *disturbance) quiet() bool {
	return d.StolenPct <= quietStolenPct && d.OthersPct <= quietOthersPct && d.Slowdown <= quietSlowdown
}

// score orders disturbed trials.
func (d *disturbance) score() float64 {
	return d.StolenPct + max(d.OthersPct, 0) + 100*max(d.Slowdown-1, 0)
}

func (d disturbance) String() string {
	return fmt.Sprintf("core %.2fx slower, stolen %.1f %%, others %.1f %%", d.Slowdown, d.StolenPct, d.OthersPct)
}

// coreProbe times a fixed piece of work on one core, seldom enough not to matter:
// half a per cent of the core while it watches.
type coreProbe struct {
	core int // -1: any
	best float64
}

const (
	probeEvery = 25 * time.Millisecond
	probeLoops = 3_000 // some 3 µs: between two interrupts
	probeTimes = 16
)

// probeWork keeps many units of a core busy at once, so that a neighbour on the
// other hyperthread shows.
func probeWork(n uint64) uint64 {
	var a, b, c, d, e, f uint64 = 1, 2, 3, 4, 5, 6
	for i := range n {
		a += i
		b ^= a + i
		c += i * 3
		d ^= i + 7
		e += i ^ 5
		f -= i
	}
	return a + b + c + d + e + f
}

var probeSink uint64

// once is the thread's CPU time for the work: the best of some, since interrupts
// count as the thread's.
func (p *coreProbe) once() float64 {
	best := math.Inf(1)
	for range probeTimes {
		var t0, t1 unix.Timespec
		if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t0) != nil {
			return 0
		}
		probeSink += probeWork(probeLoops)
		if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t1) != nil {
			return 0
		}
		best = min(best, float64(t1.Nano()-t0.Nano()))
	}
	return best
}

// watch probes until ctx ends and returns how much slower the core was than at
// its best, on average.
func (p *coreProbe) watch(ctx context.Context) float64 {
	runtime.LockOSThread()
	// The thread must not end: it may be the one that started the server, which
	// dies with it (Pdeathsig).
	defer runtime.UnlockOSThread()
	if p.core >= 0 {
		var before, set unix.CPUSet
		set.Set(p.core)
		if err := unix.SchedGetaffinity(0, &before); err != nil {
			return 1
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return 1
		}
		defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	}
	sum, n := 0.0, 0.0
	t := time.NewTicker(probeEvery)
	defer t.Stop()
	for {
		v := p.once()
		if p.best == 0 || v < p.best {
			p.best = v
		}
		sum += v
		n++
		select {
		case <-ctx.Done():
			return sum / n / p.best
		case <-t.C:
		}
	}
}

// watched is watch in a goroutine of its own; the function returned ends it.
func (p *coreProbe) watched() (stop func() float64) {
	ctx, cancel := context.WithCancel(context.Background())
	var slow float64
	var wg sync.WaitGroup
	wg.Go(func() { slow = p.watch(ctx) })
	return func() float64 {
		cancel()
		wg.Wait()
		return slow
	}
}

// await gives a disturbed machine a moment to calm down.
func (p *coreProbe) await(ctx context.Context) {
	const patience = 6
	for range patience {
		stop := p.watched()
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
		if slow := stop(); slow <= quietSlowdown || ctx.Err() != nil {
			return
		}
	}
}

// machineTicks is the machine's time so far, what of it somebody here used, and
// what the hypervisor took, in ticks.
func machineTicks() (steal, busy, total float64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, 1
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line)[1:] {
		n, err := strconv.ParseFloat(f, 64)
		if err != nil || i >= 8 {
			break
		}
		total += n
		switch i {
		case 3, 4: // idle, waiting for the disk
		case 7:
			steal = n
		default:
			busy += n
		}
	}
	return steal, busy, total
}

// watchTrial notes what disturbs a trial of the process pid by the command gun,
// from now until the function returned is called, after gun has ended.
func (b *bencher) watchTrial(pid int, gun *exec.Cmd) func() disturbance {
	steal0, busy0, total0 := machineTicks()
	server0, _ := cpu(pid) // where it fails the trial does
	var self0 unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &self0)
	slow := b.probe.watched()
	return func() disturbance {
		d := disturbance{Slowdown: slow()}
		steal1, busy1, total1 := machineTicks()
		server1, _ := cpu(pid)
		var self1 unix.Rusage
		_ = unix.Getrusage(unix.RUSAGE_SELF, &self1)
		ours := (server1 - server0).Seconds() +
			float64(self1.Utime.Nano()+self1.Stime.Nano()-self0.Utime.Nano()-self0.Stime.Nano())/1e9
		if gun.ProcessState != nil {
			ours += (gun.ProcessState.UserTime() + gun.ProcessState.SystemTime()).Seconds()
		}
		total := math.Max(total1-total0, 1)
		d.StolenPct = 100 * (steal1 - steal0) / total
		d.OthersPct = 100 * (busy1 - busy0 - 100*ours) / total
		return d
	}
}
