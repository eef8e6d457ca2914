package hooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/hookstest"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// lib is a library made of functions.
type lib struct {
	name  string
	load  func(env *hooks.Env) error
	close func() error
}

func (l *lib) Name() string { return l.name }
func (l *lib) Load(env *hooks.Env, _ json.RawMessage) error {
	if l.load == nil {
		return nil
	}
	return l.load(env)
}
func (l *lib) Close() error {
	if l.close == nil {
		return nil
	}
	return l.close()
}

func at(p hooks.Point, f hooks.Callout4) hooks.Configured {
	return hooks.Configured{Library: &lib{name: "lib", load: func(env *hooks.Env) error {
		env.On(p, f)
		return nil
	}}}
}

func answers(s hooks.Status) hooks.Callout4 {
	return func(*hooks.Query4) hooks.Status { return s }
}

func TestStatusIsTheLastOneSet(t *testing.T) {
	undo := func(q *hooks.Query4) hooks.Status {
		q.SetStatus(hooks.Continue)
		return hooks.Continue
	}
	boom := func(*hooks.Query4) hooks.Status { panic("boom") }
	for _, tc := range []struct {
		name string
		cs   []hooks.Callout4
		want hooks.Status
	}{
		{"none", nil, hooks.Continue},
		{"one", []hooks.Callout4{answers(hooks.Skip)}, hooks.Skip},
		{"continue leaves a drop", []hooks.Callout4{answers(hooks.Drop), answers(hooks.Continue)}, hooks.Drop},
		{"skip overrides a drop", []hooks.Callout4{answers(hooks.Drop), answers(hooks.Skip)}, hooks.Skip},
		{"undone", []hooks.Callout4{answers(hooks.Drop), undo}, hooks.Continue},
		{"undone and dropped again", []hooks.Callout4{answers(hooks.Skip), undo, answers(hooks.Drop)}, hooks.Drop},
		{"a panic drops", []hooks.Callout4{boom}, hooks.Drop},
		{"a panic does not end the chain", []hooks.Callout4{boom, undo}, hooks.Continue},
		{"park without reference", []hooks.Callout4{answers(hooks.Park)}, hooks.Drop},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var libs []hooks.Configured
			for _, c := range tc.cs {
				libs = append(libs, at(hooks.Subnet4Select, c))
			}
			pl := hookstest.Load(t, nil, libs...)
			q := hookstest.Query4(1)
			for range 2 { // the status of the first run must not leak into the second
				if got := pl.Run(hooks.Subnet4Select, q); got != tc.want {
					t.Fatalf("got %v, want %v", got, tc.want)
				}
			}
			if got := pl.Has(hooks.Subnet4Select); got != (len(tc.cs) > 0) {
				t.Errorf("Has = %v", got)
			}
		})
	}
}

func TestParkWherePointCannot(t *testing.T) {
	pl := hookstest.Load(t, nil, at(hooks.Pkt4Receive, func(q *hooks.Query4) hooks.Status {
		q.Park(5)
		return hooks.Park
	}))
	q := hookstest.Query4(1)
	if s := pl.Run(hooks.Pkt4Receive, q); s != hooks.Drop || q.DropReason() != hooks.DropProcessingFailed || q.Parking() != nil {
		t.Errorf("got %v, %v, %v", s, q.DropReason(), q.Parking())
	}
	if pl.ParkErrors() != 1 {
		t.Errorf("ParkErrors = %d", pl.ParkErrors())
	}
}

func TestPanicsAreCountedAndReportedEverMoreRarely(t *testing.T) {
	reports := 0
	s := &hooks.Server{OnPanic: func(library string, p hooks.Point, v any, stack []byte) {
		reports++
		if library != "lib" || p != hooks.Pkt4Receive || v != "boom" || !bytes.Contains(stack, []byte("pipeline_test.go")) {
			t.Errorf("report %s %v %v %s", library, p, v, stack)
		}
	}}
	pl := hookstest.Load(t, s, at(hooks.Pkt4Receive, func(*hooks.Query4) hooks.Status { panic("boom") }))
	q := hookstest.Query4(1)
	for range 1000 {
		if pl.Run(hooks.Pkt4Receive, q) != hooks.Drop || q.DropReason() != hooks.DropProcessingFailed {
			t.Fatal("a panic did not drop")
		}
	}
	if n := pl.Panics()["lib"]; n != 1000 {
		t.Errorf("counted %d panics", n)
	}
	if reports != 10 { // 1, 2, 4 … 512
		t.Errorf("%d reports", reports)
	}
}

func TestRecorderSeesEveryPoint(t *testing.T) {
	rec := &hookstest.Recorder{}
	pl := hookstest.Load(t, nil, hooks.Configured{Library: rec})
	q := hookstest.Query4(1, "ALL", "gold")
	q.Subnets = hookstest.Subnets{{ID: 7}}
	if q.SelectSubnet(8) || !q.SelectSubnet(7) {
		t.Fatal("SelectSubnet")
	}
	q.Lease.Addr = 0x0a000001
	for _, p := range hooks.QueryPoints() {
		pl.Run(p, q)
	}
	for _, p := range hooks.LeasePoints() {
		pl.RunLease(p, &hooks.LeaseEvent4{Lease: q.Lease, Remove: true})
	}
	pl.RunConfigured(hooks.Dhcp4SrvConfigured, &hooks.ConfiguredEvent{})
	pl.RunConfigured(hooks.CB4Updated, &hooks.ConfiguredEvent{})
	pl.RunCommandProcessed(&hooks.CommandEvent{Name: "config-get", Response: &hooks.Response{Result: 3}})
	pl.RunHTTP(hooks.HTTPAuth, &hooks.HTTPEvent{User: "stork"})
	pl.RunHTTP(hooks.HTTPResponse, &hooks.HTTPEvent{User: "stork"})
	got := rec.Trace()
	seen := map[string]bool{}
	for line := range strings.Lines(got) {
		seen[strings.Fields(line)[0]] = true
	}
	for p := hooks.ContextCreate; p <= hooks.HTTPResponse; p++ {
		if !seen[p.String()] {
			t.Errorf("%v was not recorded", p)
		}
		if !pl.Has(p) {
			t.Errorf("Has(%v) is false", p)
		}
	}
	for _, want := range []string{
		"pkt4_receive CONTINUE subnet=7 classes=ALL,gold lease=10.0.0.1\n",
		"lease4_expire CONTINUE remove lease=10.0.0.1\n",
		"command_processed CONTINUE config-get=3\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// The names are those of Kea's section 8 list, so that documents and tools agree.
func TestPointNames(t *testing.T) {
	for name, p := range map[string]hooks.Point{
		"dhcp4_srv_configured": hooks.Dhcp4SrvConfigured, "buffer4_receive": hooks.Buffer4Receive,
		"leases4_committed": hooks.Leases4Committed, "lease4_server_decline": hooks.Lease4ServerDecline,
		"cb4_updated": hooks.CB4Updated, "http_auth": hooks.HTTPAuth, "leases6_committed": hooks.Leases6Committed,
		"dhcp6_srv_configured": hooks.Dhcp6SrvConfigured, "addr6_register": hooks.Addr6Register, "lease6_rebind": hooks.Lease6Rebind,
	} {
		if p.String() != name {
			t.Errorf("%v, want %s", p, name)
		}
	}
	if hooks.Point(0).String() != "point(0)" || hooks.Point(200).CanPark() {
		t.Error("a point that is none")
	}
}

func TestNilPipeline(t *testing.T) {
	var pl *hooks.Pipeline
	q := hookstest.Query4(1)
	if pl.Has(hooks.Pkt4Receive) || pl.Run(hooks.Pkt4Receive, q) != hooks.Continue ||
		pl.RunLease(hooks.Lease4Expire, nil) != hooks.Continue || pl.Close() != nil ||
		pl.Commands() != nil || pl.Observers() != nil || pl.KernelLimits() != nil || len(pl.Panics()) != 0 {
		t.Error("a nil pipeline is not empty")
	}
}

func TestCompileRefuses(t *testing.T) {
	closed := 0
	good := hooks.Configured{Library: &lib{name: "good", close: func() error { closed++; return nil }}}
	for _, tc := range []struct {
		name string
		load func(env *hooks.Env) error
		want string
	}{
		{"error", func(*hooks.Env) error { return errors.New("bad parameter") }, "load hook library bad: bad parameter"},
		{"panic", func(*hooks.Env) error { panic("oops") }, "panic: oops"},
		{"wrong kind", func(e *hooks.Env) error { e.On(hooks.Lease4Expire, answers(0)); return nil }, "lease4_expire: wrong kind"},
		{"nil callout", func(e *hooks.Env) error { e.On(hooks.Pkt4Receive, nil); return nil }, "pkt4_receive: it is nil"},
		{"no point", func(e *hooks.Env) error { e.On(99, answers(0)); return nil }, "no hook point 99"},
		{"not run here", func(e *hooks.Env) error { e.On(hooks.DDNS4Update, answers(0)); return nil }, "ddns4_update: this server does not run"},
		{"no timers", func(e *hooks.Env) error { e.Every(1, func(int64) {}); return nil }, "the server has none"},
		{"empty command", func(e *hooks.Env) error { e.Command(hooks.Command{}); return nil }, "it needs a name"},
		{"slots", func(e *hooks.Env) error {
			for range 17 {
				e.Slot()
			}
			return nil
		}, "16 are all there is"},
		{"interval", func(e *hooks.Env) error { e.Kernel(hooks.KernelLimit{}); return nil }, "with an interval"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			closed = 0
			badClosed := false
			bad := hooks.Configured{Library: &lib{name: "bad", load: tc.load, close: func() error { badClosed = true; return nil }}}
			s := &hooks.Server{Points: []hooks.Point{hooks.Pkt4Receive, hooks.Lease4Expire}}
			pl, err := hooks.Compile([]hooks.Configured{good, bad}, s)
			if err == nil || pl != nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			if closed != 1 || !badClosed {
				t.Errorf("libraries were not closed: %d, %v", closed, badClosed)
			}
		})
	}
}

func TestRegisteringAfterLoadDoesNothing(t *testing.T) {
	var env *hooks.Env
	pl := hookstest.Load(t, nil, hooks.Configured{Library: &lib{name: "late", load: func(e *hooks.Env) error {
		env = e
		return nil
	}}})
	env.On(hooks.Pkt4Receive, answers(hooks.Drop))
	env.Command(hooks.Command{Name: "x", Run: func(context.Context, json.RawMessage, *hooks.Response) hooks.Response { return hooks.Response{} }})
	if pl.Has(hooks.Pkt4Receive) || len(pl.Commands()) != 0 {
		t.Error("a callout was added to a compiled pipeline")
	}
}

func TestCommandsOfSeveralLibraries(t *testing.T) {
	cmd := func(name string, mutates bool, add int) hooks.Configured {
		return hooks.Configured{Library: &lib{name: "l", load: func(e *hooks.Env) error {
			e.Command(hooks.Command{Name: name, Mutates: mutates, Run: func(_ context.Context, args json.RawMessage, prev *hooks.Response) hooks.Response {
				n := add
				if prev != nil {
					n += prev.Result
				}
				return hooks.Response{Result: n, Text: string(args)}
			}})
			return nil
		}}}
	}
	pl := hookstest.Load(t, nil, cmd("b", false, 1), cmd("a", false, 7), cmd("b", true, 2))
	cs := pl.Commands()
	if len(cs) != 2 || cs[0].Name != "a" || cs[1].Name != "b" || cs[0].Mutates || !cs[1].Mutates {
		t.Fatalf("%+v", cs)
	}
	if r := cs[1].Run(context.Background(), json.RawMessage(`{"x":1}`), nil); r.Result != 3 || r.Text != `{"x":1}` {
		t.Errorf("%+v", r)
	}
}

func TestConfiguredEvent(t *testing.T) {
	l := func(name string, f hooks.ConfiguredCallout) hooks.Configured {
		return hooks.Configured{Library: &lib{name: name, load: func(e *hooks.Env) error {
			e.OnConfigured(hooks.Dhcp4SrvConfigured, f)
			return nil
		}}}
	}
	pl := hookstest.Load(t, nil, l("a", func(e *hooks.ConfiguredEvent) hooks.Status { panic("no") }))
	e := &hooks.ConfiguredEvent{}
	if pl.RunConfigured(hooks.Dhcp4SrvConfigured, e) != hooks.Drop || e.Error != "hook library a: panic: no" {
		t.Errorf("%+v", e)
	}
	if pl.RunConfigured(hooks.CB4Updated, e) != hooks.Continue {
		t.Error("ran at another point")
	}
}

func TestHTTPPanicRefuses(t *testing.T) {
	pl := hookstest.Load(t, nil, hooks.Configured{Library: &lib{name: "rbac", load: func(e *hooks.Env) error {
		e.OnHTTP(hooks.HTTPAuth, func(*hooks.HTTPEvent) hooks.Status { panic("no") })
		return nil
	}}})
	if pl.RunHTTP(hooks.HTTPAuth, &hooks.HTTPEvent{}) != hooks.Drop {
		t.Error("let in")
	}
}

func TestCloseOrderAndTimers(t *testing.T) {
	var order []string
	clock := &hookstest.Timers{}
	ticks := 0
	mk := func(name string) hooks.Configured {
		return hooks.Configured{Library: &lib{name: name,
			load: func(e *hooks.Env) error { e.Every(10, func(int64) { ticks++ }); return nil },
			close: func() error {
				order = append(order, name)
				if name == "a" {
					panic("late")
				}
				return nil
			}}}
	}
	pl, err := hooks.Compile([]hooks.Configured{mk("a"), mk("b")}, &hooks.Server{Timers: clock})
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(35)
	if ticks != 6 {
		t.Errorf("%d ticks", ticks)
	}
	if err := pl.Close(); err == nil || !strings.Contains(err.Error(), "close hook library a: panic: late") {
		t.Errorf("Close: %v", err)
	}
	if pl.Close() != nil || strings.Join(order, "") != "ba" || clock.Active() != 0 {
		t.Errorf("order %v, %d timers", order, clock.Active())
	}
}

func TestSlotsLiveAsLongAsTheQuery(t *testing.T) {
	var a, b hooks.Slot
	pl := hookstest.Load(t, nil, hooks.Configured{Library: &lib{name: "s", load: func(e *hooks.Env) error {
		a, b = e.Slot(), e.Slot()
		e.On(hooks.ContextCreate, func(q *hooks.Query4) hooks.Status {
			q.SetWord(a, q.Word(a)+1)
			q.SetValue(b, e)
			return hooks.Continue
		})
		return nil
	}}})
	q := hookstest.Query4(1)
	for range 3 {
		pl.Run(hooks.ContextCreate, q)
		if q.Word(a) != 1 || q.Value(b) == nil || q.Value(a) != nil {
			t.Fatalf("slots %d %v", q.Word(a), q.Value(b))
		}
		q.Reset()
		if q.Value(b) != nil || q.Classes == nil {
			t.Fatal("Reset")
		}
	}
}

func TestPipelineDoesNotAllocate(t *testing.T) {
	var slot hooks.Slot
	pl := hookstest.Load(t, nil,
		hooks.Configured{Library: &lib{name: "s", load: func(e *hooks.Env) error {
			slot = e.Slot()
			e.On(hooks.Pkt4Receive, func(q *hooks.Query4) hooks.Status {
				q.SetWord(slot, 1)
				if q.InClass("gold") {
					q.SetDropReason(hooks.DropNotForUs)
					return hooks.Drop
				}
				return hooks.Continue
			})
			e.OnLease(hooks.Lease4Expire, func(*hooks.LeaseEvent4) hooks.Status { return hooks.Skip })
			return nil
		}}})
	q := hookstest.Query4(1, "ALL", "gold")
	ev := &hooks.LeaseEvent4{Lease: &lease.Lease4{}}
	classes := q.Classes
	f := func() {
		q.Reset()
		q.Classes = classes
		if pl.Run(hooks.Pkt4Receive, q) != hooks.Drop || pl.Run(hooks.Pkt4Send, q) != hooks.Continue ||
			pl.RunLease(hooks.Lease4Expire, ev) != hooks.Skip {
			t.Fatal("status")
		}
	}
	f()
	if raceEnabled {
		t.Skip("allocations are not counted under -race")
	}
	if n := testing.AllocsPerRun(1000, f); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRunEmptyPoint(b *testing.B) {
	pl := hookstest.Load(b, nil)
	q := hookstest.Query4(1)
	for b.Loop() {
		pl.Run(hooks.Pkt4Receive, q)
	}
}

func BenchmarkRunOneCallout(b *testing.B) {
	pl := hookstest.Load(b, nil, at(hooks.Pkt4Receive, answers(hooks.Continue)))
	q := hookstest.Query4(1)
	b.ReportAllocs()
	for b.Loop() {
		pl.Run(hooks.Pkt4Receive, q)
	}
}
