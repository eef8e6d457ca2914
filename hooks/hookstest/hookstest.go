// Package hookstest helps to test hook libraries without a server: fake
// queries, a fake clock of timers, and a library that records what callouts of
// other libraries left behind.
package hookstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Classes is a set of classes for fake queries. It knows every name.
type Classes struct {
	Names []string
	// Max limits AddClass; 0 is no limit.
	Max int
}

// InClass implements hooks.Classes.
func (c *Classes) InClass(name string) bool { return slices.Contains(c.Names, name) }

// AddClass implements hooks.Classes.
func (c *Classes) AddClass(name string) bool {
	if c.InClass(name) {
		return true
	}
	if c.Max > 0 && len(c.Names) >= c.Max {
		return false
	}
	c.Names = append(c.Names, name)
	return true
}

// NextClass implements hooks.Classes.
func (c *Classes) NextClass(pos int) (string, int, bool) {
	if pos >= len(c.Names) {
		return "", pos, false
	}
	return c.Names[pos], pos + 1, true
}

// Subnets are the subnets for fake queries.
type Subnets []hooks.SubnetInfo

// SubnetByID implements hooks.SubnetSelector.
func (s Subnets) SubnetByID(id uint32) *hooks.SubnetInfo {
	for i := range s {
		if s[i].ID == id {
			return &s[i]
		}
	}
	return nil
}

// Query4 returns a fake query at that time in those classes, with a lease.
func Query4(nowUnixNs int64, classes ...string) *hooks.Query4 {
	return &hooks.Query4{
		Query: hooks.Query{NowUnixNs: nowUnixNs, IfName: "eth0", Classes: &Classes{Names: classes}},
		Msg:   new(dhcp4.View),
		Src:   dhcp4.AddrFrom4([4]byte{192, 0, 2, 1}),
		Dst:   dhcp4.AddrFrom4([4]byte{192, 0, 2, 2}),
		Lease: new(lease.Lease4),
	}
}

// Query6 returns a fake DHCPv6 query, see Query4.
func Query6(nowUnixNs int64, classes ...string) *hooks.Query6 {
	return &hooks.Query6{
		Query: hooks.Query{NowUnixNs: nowUnixNs, IfName: "eth0", Classes: &Classes{Names: classes}},
		Msg:   new(dhcp6.View),
		Src:   lease6.AddrFromNetip(netip.MustParseAddr("fe80::1")),
		Dst:   lease6.AddrFromNetip(netip.MustParseAddr("ff02::1:2")),
		Lease: new(lease6.Lease6),
	}
}

// Load compiles libs with s and closes them at the end of the test.
func Load(t testing.TB, s *hooks.Server, libs ...hooks.Configured) *hooks.Pipeline {
	t.Helper()
	pl, err := hooks.Compile(libs, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pl.Close(); err != nil {
			t.Error(err)
		}
	})
	return pl
}

// Logger returns a logger that writes to the buffer returned with it, without
// time; reading it while others log is the caller's race.
func Logger() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	h := slog.NewTextHandler(&b, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	return slog.New(h), &b
}

// Record is one call of a recorded point.
type Record struct {
	Point hooks.Point
	// Status is what the libraries before had made of the point.
	Status hooks.Status
	Reason hooks.DropReason
	// SubnetID is 0 where there was no subnet.
	SubnetID uint32
	Classes  []string
	Fake     bool
	// Lease is a copy, nil where there was none.
	Lease  *lease.Lease4
	Remove bool
	// Text is the command or the configuration error.
	Text string
}

// String is one line for comparing traces.
func (r Record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %v", r.Point, r.Status)
	if s := r.Reason.String(); s != "" {
		fmt.Fprintf(&b, " reason=%s", s)
	}
	if r.SubnetID != 0 {
		fmt.Fprintf(&b, " subnet=%d", r.SubnetID)
	}
	if len(r.Classes) > 0 {
		fmt.Fprintf(&b, " classes=%s", strings.Join(r.Classes, ","))
	}
	if r.Fake {
		b.WriteString(" fake")
	}
	if r.Remove {
		b.WriteString(" remove")
	}
	if r.Lease != nil && r.Lease.Addr != 0 {
		fmt.Fprintf(&b, " lease=%v", r.Lease.Addr)
	}
	if r.Text != "" {
		fmt.Fprintf(&b, " %s", r.Text)
	}
	return b.String()
}

// Recorder is a library that records every point. Put it last to see what the
// others did, first to set a status for them.
type Recorder struct {
	// Answer is what its callouts return, by point; Continue where it says
	// nothing.
	Answer map[hooks.Point]hooks.Status
	// Points limits what it registers for; nil is all points.
	Points []hooks.Point

	mu      sync.Mutex
	records []Record
}

// Name implements hooks.Library.
func (r *Recorder) Name() string { return "recorder" }

// Load implements hooks.Library.
func (r *Recorder) Load(env *hooks.Env, _ json.RawMessage) error {
	want := func(p hooks.Point) bool { return r.Points == nil || slices.Contains(r.Points, p) }
	for _, p := range hooks.QueryPoints() {
		if want(p) {
			env.On(p, r.query)
		}
	}
	for _, p := range hooks.LeasePoints() {
		if want(p) {
			env.OnLease(p, func(e *hooks.LeaseEvent4) hooks.Status {
				l := *e.Lease
				r.add(Record{Point: e.Point(), Status: e.Status(), Lease: &l, Remove: e.Remove})
				return r.Answer[e.Point()]
			})
		}
	}
	for _, p := range []hooks.Point{hooks.Dhcp4SrvConfigured, hooks.CB4Updated} {
		if want(p) {
			env.OnConfigured(p, func(e *hooks.ConfiguredEvent) hooks.Status {
				r.add(Record{Point: p, Text: e.Error})
				return r.Answer[p]
			})
		}
	}
	if want(hooks.CommandProcessed) {
		env.OnCommandProcessed(func(e *hooks.CommandEvent) {
			r.add(Record{Point: hooks.CommandProcessed, Text: fmt.Sprintf("%s=%d", e.Name, e.Response.Result)})
		})
	}
	for _, p := range []hooks.Point{hooks.HTTPAuth, hooks.HTTPResponse} {
		if want(p) {
			env.OnHTTP(p, func(e *hooks.HTTPEvent) hooks.Status {
				r.add(Record{Point: p, Text: e.User})
				return r.Answer[p]
			})
		}
	}
	return nil
}

// Close implements hooks.Library.
func (r *Recorder) Close() error { return nil }

func (r *Recorder) query(q *hooks.Query4) hooks.Status {
	rec := Record{Point: q.Point(), Status: q.Status(), Reason: q.DropReason(), Fake: q.Fake}
	if q.Subnet != nil {
		rec.SubnetID = q.Subnet.ID
	}
	q.EachClass(func(name string) bool {
		rec.Classes = append(rec.Classes, name)
		return true
	})
	if q.Lease != nil {
		l := *q.Lease
		rec.Lease = &l
	}
	r.add(rec)
	return r.Answer[q.Point()]
}

func (r *Recorder) add(rec Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, rec)
}

// Records returns what was recorded so far and forgets it.
func (r *Recorder) Records() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	recs := r.records
	r.records = nil
	return recs
}

// Trace is Records as lines.
func (r *Recorder) Trace() string {
	var b strings.Builder
	for _, rec := range r.Records() {
		b.WriteString(rec.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// Timers is a clock for libraries under test: nothing runs until Advance.
type Timers struct {
	mu     sync.Mutex
	nowNs  int64
	timers []*timer
}

type timer struct {
	atNs, everyNs int64
	f             func(int64)
	stopped       bool
}

// Every implements hooks.Timers.
func (c *Timers) Every(d time.Duration, f func(int64)) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{atNs: c.nowNs + int64(d), everyNs: int64(d), f: f}
	c.timers = append(c.timers, t)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		t.stopped = true
	}
}

// Advance moves the clock and runs what is due, in order.
func (c *Timers) Advance(d time.Duration) {
	c.mu.Lock()
	end := c.nowNs + int64(d)
	for {
		var next *timer
		for _, t := range c.timers {
			if !t.stopped && t.atNs <= end && (next == nil || t.atNs < next.atNs) {
				next = t
			}
		}
		if next == nil {
			break
		}
		c.nowNs = next.atNs
		next.atNs += next.everyNs
		now := c.nowNs
		c.mu.Unlock()
		next.f(now)
		c.mu.Lock()
	}
	c.nowNs = end
	c.mu.Unlock()
}

// Active is how many timers are not stopped.
func (c *Timers) Active() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, t := range c.timers {
		if !t.stopped {
			n++
		}
	}
	return n
}
