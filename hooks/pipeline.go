package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Configured is one hooks-libraries entry, resolved.
type Configured struct {
	Library Library
	Params  json.RawMessage
}

// Pipeline is the callouts of one configuration. After Compile it does not
// change and may be used by every worker at once.
type Pipeline struct {
	query      [numPoints][]queryCallout
	lease      [numPoints][]leaseCallout
	query6     [numPoints][]query6Callout
	lease6     [numPoints][]lease6Callout
	configured []configuredCallout
	processed  []processedCallout
	http       []httpCallout
	commands   map[string][]Command
	observers  []lease.Observer
	observers6 []lease6.Observer
	kernel     []KernelLimit
	histograms []func(yield func(Histogram))
	slots      int
	hostCache  bool // a library uses it

	onPanic func(string, Point, any, []byte)
	loaded  []loaded
	metas   []*meta
	parkErr atomic.Uint64
	closed  atomic.Bool
}

type loaded struct {
	lib Library
	env *Env
}

// meta is shared by nothing but the counting of panics.
type meta struct {
	library string
	panics  atomic.Uint64
}

type queryCallout struct {
	f Callout4
	*meta
}
type leaseCallout struct {
	f LeaseCallout4
	*meta
}
type configuredCallout struct {
	p Point
	f ConfiguredCallout
	*meta
}
type processedCallout struct {
	f CommandProcessedCallout
	*meta
}
type httpCallout struct {
	p Point
	f HTTPCallout
	*meta
}

// Compile loads the libraries in order and returns their callouts. If one fails,
// all are closed and the error names it.
func Compile(libs []Configured, s *Server) (*Pipeline, error) {
	if s == nil {
		s = &Server{}
	}
	pl := &Pipeline{commands: map[string][]Command{}, onPanic: s.OnPanic}
	for _, c := range libs {
		env := &Env{name: c.Library.Name(), server: s, pl: pl}
		pl.loaded = append(pl.loaded, loaded{c.Library, env})
		err := load(c, env)
		env.closed = true
		if err = errors.Join(append([]error{err}, env.errs...)...); err != nil {
			return nil, errors.Join(&LoadError{env.name, err}, pl.Close())
		}
	}
	return pl, nil
}

// LoadError is what Compile returns of the library that does not load.
type LoadError struct {
	Library string // its name
	Err     error
}

func (e *LoadError) Error() string { return "load hook library " + e.Library + ": " + e.Err.Error() }

// Unwrap gives what the library said.
func (e *LoadError) Unwrap() error { return e.Err }

func load(c Configured, env *Env) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return c.Library.Load(env, c.Params)
}

func (pl *Pipeline) newMeta(library string) *meta {
	m := &meta{library: library}
	pl.metas = append(pl.metas, m)
	return m
}

func (pl *Pipeline) addCommand(c Command) {
	pl.commands[c.Name] = append(pl.commands[c.Name], c)
}

// Has says whether a point has callouts. pl may be nil: it has none.
func (pl *Pipeline) Has(p Point) bool {
	if pl == nil || p >= numPoints {
		return false
	}
	switch points[p].kind {
	case kindQuery:
		return len(pl.query[p]) > 0
	case kindLease:
		return len(pl.lease[p]) > 0
	case kindQuery6:
		return len(pl.query6[p]) > 0
	case kindLease6:
		return len(pl.lease6[p]) > 0
	case kindConfigured:
		return slices.ContainsFunc(pl.configured, func(c configuredCallout) bool { return c.p == p })
	case kindCommand:
		return len(pl.processed) > 0
	case kindHTTP:
		return slices.ContainsFunc(pl.http, func(c httpCallout) bool { return c.p == p })
	}
	return false
}

// Run calls the callouts of a point of a query and returns the status that the
// package comment describes. Drop's reason is q.DropReason. With Park the query
// has a Parking, which the server must Arm or Expire; a callout that said Park
// without taking a reference, or where CanPark is false, has it dropped. pl may
// be nil.
func (pl *Pipeline) Run(p Point, q *Query4) Status {
	if pl == nil || len(pl.query[p]) == 0 {
		return Continue
	}
	return pl.run(p, q)
}

func (pl *Pipeline) run(p Point, q *Query4) Status {
	q.point, q.status, q.dropReason = p, Continue, DropUnspecified
	cs := pl.query[p]
	for i := range cs {
		if s := pl.call(&cs[i], p, q); s != Continue {
			q.status = s
		}
	}
	return endPoint(pl, p, &q.Query, &q.parking)
}

// endPoint is what a point's status comes to when all its callouts have run.
func endPoint[Q any](pl *Pipeline, p Point, q *Query, parking **ParkingOf[Q]) Status {
	s := q.status
	if s == Park && (*parking == nil || !points[p].park) {
		pl.parkErr.Add(1)
		q.dropReason = DropProcessingFailed
		q.status, s = Drop, Drop
	}
	if s != Park && *parking != nil {
		(*parking).abandon()
		*parking = nil
	}
	q.point = 0
	return s
}

func (pl *Pipeline) call(c *queryCallout, p Point, q *Query4) (s Status) {
	defer func() {
		if v := recover(); v != nil {
			pl.panicked(c.meta, p, v)
			q.dropReason = DropProcessingFailed
			s = Drop
		}
	}()
	return c.f(q)
}

// RunLease calls the callouts of Lease4Expire or Lease4Recover.
func (pl *Pipeline) RunLease(p Point, e *LeaseEvent4) Status {
	if pl == nil || len(pl.lease[p]) == 0 {
		return Continue
	}
	e.point, e.status = p, Continue
	for i := range pl.lease[p] {
		c := &pl.lease[p][i]
		if s := pl.callLease(c, e); s != Continue {
			e.status = s
		}
	}
	e.point = 0
	return e.status
}

func (pl *Pipeline) callLease(c *leaseCallout, e *LeaseEvent4) (s Status) {
	defer func() {
		if v := recover(); v != nil {
			pl.panicked(c.meta, e.point, v)
			s = Drop
		}
	}()
	return c.f(e)
}

// RunConfigured calls the callouts of Dhcp4SrvConfigured or CB4Updated. Drop at
// the former refuses the configuration with e.Error.
func (pl *Pipeline) RunConfigured(p Point, e *ConfiguredEvent) Status {
	if pl == nil {
		return Continue
	}
	status := Continue
	for i := range pl.configured {
		c := &pl.configured[i]
		if c.p != p {
			continue
		}
		s := Continue
		if v := pl.guard(c.meta, p, func() { s = c.f(e) }); v != nil {
			s = Drop
			e.Error = fmt.Sprintf("hook library %s: panic: %v", c.library, v)
		}
		if s != Continue {
			status = s
		}
	}
	return status
}

// RunCommandProcessed calls the callouts of CommandProcessed.
func (pl *Pipeline) RunCommandProcessed(e *CommandEvent) {
	if pl == nil {
		return
	}
	for i := range pl.processed {
		c := &pl.processed[i]
		pl.guard(c.meta, CommandProcessed, func() { c.f(e) })
	}
}

// RunHTTP calls the callouts of HTTPAuth or HTTPResponse. A panic at HTTPAuth
// refuses.
func (pl *Pipeline) RunHTTP(p Point, e *HTTPEvent) Status {
	if pl == nil {
		return Continue
	}
	status := Continue
	for i := range pl.http {
		c := &pl.http[i]
		if c.p != p {
			continue
		}
		s := Continue
		if v := pl.guard(c.meta, p, func() { s = c.f(e) }); v != nil {
			s = Drop
		}
		if s != Continue {
			status = s
		}
	}
	return status
}

// guard runs f and returns what it panicked with, nil if it did not.
func (pl *Pipeline) guard(m *meta, p Point, f func()) (v any) {
	defer func() {
		if v = recover(); v != nil {
			pl.panicked(m, p, v)
		}
	}()
	f()
	return nil
}

// panicked counts, and reports ever more rarely: a client that has found a
// panic must not be able to fill the log.
func (pl *Pipeline) panicked(m *meta, p Point, v any) {
	n := m.panics.Add(1)
	if pl.onPanic != nil && bits.OnesCount64(n) == 1 {
		pl.onPanic(m.library, p, v, debug.Stack())
	}
}

// Commands returns the libraries' commands by ascending name, those of the same
// name joined in order (CC-011).
func (pl *Pipeline) Commands() []Command {
	if pl == nil {
		return nil
	}
	out := make([]Command, 0, len(pl.commands))
	for name, chain := range pl.commands {
		c := Command{Name: name}
		for _, h := range chain {
			c.Mutates = c.Mutates || h.Mutates
		}
		c.Run = func(ctx context.Context, args json.RawMessage, prev *Response) Response {
			for _, h := range chain {
				r := h.Run(ctx, args, prev)
				prev = &r
			}
			return *prev
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Command) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// Observers are the lease observers of the libraries. The server attaches them
// to the table, with a walk, when it attaches the configuration's own.
func (pl *Pipeline) Observers() []lease.Observer {
	if pl == nil {
		return nil
	}
	return pl.observers
}

// KernelLimits are the limits declared for XDP.
func (pl *Pipeline) KernelLimits() []KernelLimit {
	if pl == nil {
		return nil
	}
	return pl.kernel
}

// EachHistogram visits what the libraries measure.
func (pl *Pipeline) EachHistogram(yield func(Histogram)) {
	if pl == nil {
		return
	}
	for _, f := range pl.histograms {
		f(yield)
	}
}

// Libraries are the names of the loaded libraries in order.
func (pl *Pipeline) Libraries() []string {
	if pl == nil {
		return nil
	}
	names := make([]string, len(pl.loaded))
	for i, l := range pl.loaded {
		names[i] = l.env.name
	}
	return names
}

// Panics returns how many callouts of each library have panicked, and
// ParkErrors how often Park was said without a reference or where it means
// nothing.
func (pl *Pipeline) Panics() map[string]uint64 {
	n := map[string]uint64{}
	if pl != nil {
		for _, m := range pl.metas {
			n[m.library] += m.panics.Load()
		}
	}
	return n
}

// ParkErrors: see Panics.
func (pl *Pipeline) ParkErrors() uint64 {
	if pl == nil {
		return 0
	}
	return pl.parkErr.Load()
}

// Close stops timers and closes the libraries, last loaded first. The caller
// has made sure that no worker uses the pipeline and that no query of it is
// parked. Closing again does nothing.
func (pl *Pipeline) Close() error {
	if pl == nil || !pl.closed.CompareAndSwap(false, true) {
		return nil
	}
	var errs []error
	for i := len(pl.loaded) - 1; i >= 0; i-- {
		l := pl.loaded[i]
		l.env.stopTimers()
		if err := closeLibrary(l.lib); err != nil {
			errs = append(errs, fmt.Errorf("close hook library %s: %w", l.env.name, err))
		}
	}
	return errors.Join(errs...)
}

func closeLibrary(l Library) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return l.Close()
}
