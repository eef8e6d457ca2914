package hooks

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// Env is a library's side of the server. The registering methods may be called
// only in Load; their errors refuse the configuration, so that Load need not
// look at them. The rest may be used from any goroutine until Close.
type Env struct {
	name   string
	server *Server
	pl     *Pipeline
	closed bool // registration is over
	errs   []error
	stops  []func()
}

func (e *Env) fail(format string, a ...any) {
	e.errs = append(e.errs, fmt.Errorf(format, a...))
}

// accept checks one registration.
func (e *Env) accept(p Point, k kind, isNil bool) bool {
	switch {
	case e.closed:
		e.fail("register callout at %v: only possible in Load", p)
	case p == 0 || p >= numPoints:
		e.fail("register callout: no hook point %d", uint8(p))
	case points[p].kind != k:
		e.fail("register callout at %v: wrong kind of callout for this point", p)
	case isNil:
		e.fail("register callout at %v: it is nil", p)
	case e.server.Points != nil && !slices.Contains(e.server.Points, p):
		e.fail("register callout at %v: this server does not run that point", p)
	default:
		return true
	}
	return false
}

// On registers a callout at a point of a query.
func (e *Env) On(p Point, f Callout4) {
	if e.accept(p, kindQuery, f == nil) {
		e.pl.query[p] = append(e.pl.query[p], queryCallout{f: f, meta: e.pl.newMeta(e.name)})
	}
}

// OnLease registers a callout at Lease4Expire or Lease4Recover.
func (e *Env) OnLease(p Point, f LeaseCallout4) {
	if e.accept(p, kindLease, f == nil) {
		e.pl.lease[p] = append(e.pl.lease[p], leaseCallout{f: f, meta: e.pl.newMeta(e.name)})
	}
}

// OnConfigured registers a callout at Dhcp4SrvConfigured or CB4Updated.
func (e *Env) OnConfigured(p Point, f ConfiguredCallout) {
	if e.accept(p, kindConfigured, f == nil) {
		e.pl.configured = append(e.pl.configured, configuredCallout{p, f, e.pl.newMeta(e.name)})
	}
}

// OnCommandProcessed registers a callout at CommandProcessed.
func (e *Env) OnCommandProcessed(f CommandProcessedCallout) {
	if e.accept(CommandProcessed, kindCommand, f == nil) {
		e.pl.processed = append(e.pl.processed, processedCallout{f, e.pl.newMeta(e.name)})
	}
}

// OnHTTP registers a callout at HTTPAuth or HTTPResponse.
func (e *Env) OnHTTP(p Point, f HTTPCallout) {
	if e.accept(p, kindHTTP, f == nil) {
		e.pl.http = append(e.pl.http, httpCallout{p, f, e.pl.newMeta(e.name)})
	}
}

// Command registers a control command.
func (e *Env) Command(c Command) {
	switch {
	case e.closed:
		e.fail("register command %q: only possible in Load", c.Name)
	case c.Name == "" || c.Run == nil:
		e.fail("register command %q: it needs a name and a function", c.Name)
	default:
		e.pl.addCommand(c)
	}
}

// Observe registers an observer of every change of a lease. It is told of all
// existing leases first (as old nil), see lease.Table.SetObserver: what it
// counts is complete.
func (e *Env) Observe(o lease.Observer) {
	if e.closed || o == nil {
		e.fail("register lease observer: only possible in Load and not nil")
		return
	}
	e.pl.observers = append(e.pl.observers, o)
}

// Histograms registers what the library measures: f yields every histogram when
// metrics are asked for, on any goroutine.
func (e *Env) Histograms(f func(yield func(Histogram))) {
	if e.closed || f == nil {
		e.fail("register histograms: only possible in Load and not nil")
		return
	}
	e.pl.histograms = append(e.pl.histograms, f)
}

// Kernel declares a limit that may be applied in XDP too.
func (e *Env) Kernel(l KernelLimit) {
	if e.closed || l.IntervalNs <= 0 {
		e.fail("declare kernel limit: only possible in Load and with an interval")
		return
	}
	e.pl.kernel = append(e.pl.kernel, l)
}

// Slot gives the library a place for its own data in every query; several may be
// taken.
func (e *Env) Slot() Slot {
	if e.closed || e.pl.slots >= maxSlots {
		e.fail("take scratch slot: only possible in Load, and %d are all there is", maxSlots)
		return 0
	}
	e.pl.slots++
	return Slot(e.pl.slots - 1)
}

// Config4 is the DHCPv4 configuration, nil if there is none.
func (e *Env) Config4() *Config4 { return e.server.Config4 }

// Config6 is the DHCPv6 configuration, nil if there is none. A library that
// serves both families finds out here which one loads it.
func (e *Env) Config6() *Config6 { return e.server.Config6 }

// Leases, Hosts and Stats are nil where the server has none.
func (e *Env) Leases() Leases { return e.server.Leases }
func (e *Env) Hosts() Hosts   { return e.server.Hosts }
func (e *Env) Stats() Stats   { return e.server.Stats }

// NowUnixNs is the time, for what has no query.
func (e *Env) NowUnixNs() int64 {
	if e.server.NowUnixNs != nil {
		return e.server.NowUnixNs()
	}
	return time.Now().UnixNano()
}

// Logger is the library's logger, such as "limits-hooks". It is not for the
// hot path.
func (e *Env) Logger() *slog.Logger {
	if e.server.Logger != nil {
		if l := e.server.Logger(e.name + "-hooks"); l != nil {
			return l
		}
	}
	return slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 4}))
}

// ErrNoTimers: the server has no timers.
var ErrNoTimers = errors.New("start timer: the server has none")

// Every runs f every d until the library is closed. Only in Load.
func (e *Env) Every(d time.Duration, f func(nowUnixNs int64)) {
	switch {
	case e.closed || d <= 0 || f == nil:
		e.fail("start timer: only possible in Load, with an interval and a function")
	case e.server.Timers == nil:
		e.errs = append(e.errs, ErrNoTimers)
	default:
		e.stops = append(e.stops, e.server.Timers.Every(d, f))
	}
}

func (e *Env) stopTimers() {
	for _, f := range e.stops {
		f()
	}
	e.stops = nil
}
