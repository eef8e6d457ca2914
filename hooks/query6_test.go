package hooks_test

import (
	"encoding/json"
	"testing"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// lib6 registers what it is told to.
type lib6 struct{ load func(env *hooks.Env) }

func (l *lib6) Name() string                                 { return "lib6" }
func (l *lib6) Load(env *hooks.Env, _ json.RawMessage) error { l.load(env); return nil }
func (l *lib6) Close() error                                 { return nil }

func compile6(t *testing.T, load func(env *hooks.Env)) *hooks.Pipeline {
	t.Helper()
	pl, err := hooks.Compile([]hooks.Configured{{Library: &lib6{load}}}, &hooks.Server{Config6: &hooks.Config6{}})
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

func TestPoints6(t *testing.T) {
	for _, p := range hooks.QueryPoints6() {
		for _, st := range []hooks.Status{hooks.Continue, hooks.Skip, hooks.Drop, hooks.Park} {
			pl := compile6(t, func(env *hooks.Env) {
				env.On6(p, func(q *hooks.Query6) hooks.Status {
					if q.Point() != p {
						t.Errorf("at %v the query says %v", p, q.Point())
					}
					if st == hooks.Park {
						q.Park(1)
					}
					return st
				})
			})
			if !pl.Has6(p) {
				t.Errorf("%v has no callout", p)
			}
			want := st
			if st == hooks.Park && !p.CanPark() {
				want = hooks.Drop
			}
			q := &hooks.Query6{}
			q.Reset()
			if got := pl.Run6(p, q); got != want {
				t.Errorf("%v with %v: %v, want %v", p, st, got, want)
			}
			if parked := q.Parking() != nil; parked != (want == hooks.Park) {
				t.Errorf("%v with %v: parking %v", p, st, parked)
			}
		}
	}
	if !hooks.Leases6Committed.CanPark() || !hooks.Subnet6Select.CanPark() || hooks.Pkt6Receive.CanPark() {
		t.Error("where a DHCPv6 query can be parked")
	}
	// The callouts of both families share two points and nothing else.
	pl := compile6(t, func(env *hooks.Env) {
		env.On(hooks.ContextCreate, func(*hooks.Query4) hooks.Status { return hooks.Drop })
	})
	if pl.Has6(hooks.ContextCreate) || !pl.Has(hooks.ContextCreate) {
		t.Error("a callout for DHCPv4 queries is one for DHCPv6 queries")
	}
	if _, err := hooks.Compile([]hooks.Configured{{Library: &lib6{func(env *hooks.Env) {
		env.On6(hooks.Pkt4Receive, func(*hooks.Query6) hooks.Status { return hooks.Continue })
	}}}}, nil); err == nil {
		t.Error("a DHCPv6 callout was taken at pkt4_receive")
	}
}

func TestPark6(t *testing.T) {
	var ref *hooks.Parked6
	pl := compile6(t, func(env *hooks.Env) {
		env.On6(hooks.Leases6Committed, func(q *hooks.Query6) hooks.Status {
			ref = q.Park(1)
			return hooks.Park
		})
	})
	q := &hooks.Query6{}
	q.Reset()
	if got := pl.Run6(hooks.Leases6Committed, q); got != hooks.Park {
		t.Fatalf("status %v", got)
	}
	var outcome []hooks.Outcome
	q.Parking().Arm(func(o hooks.Outcome) { outcome = append(outcome, o) })
	if !ref.Resume(func(q *hooks.Query6) { q.Fake = true }) || len(outcome) != 1 || outcome[0] != hooks.Resumed {
		t.Fatalf("outcome %v", outcome)
	}
	q.Continue()
	if !q.Fake || q.Parking() != nil {
		t.Error("the edit did not run")
	}
}

func TestPanic6(t *testing.T) {
	pl := compile6(t, func(env *hooks.Env) {
		env.On6(hooks.Pkt6Receive, func(*hooks.Query6) hooks.Status { panic("at pkt6_receive") })
		env.OnLease6(hooks.Lease6Expire, func(*hooks.LeaseEvent6) hooks.Status { panic("at lease6_expire") })
	})
	q := &hooks.Query6{}
	if got := pl.Run6(hooks.Pkt6Receive, q); got != hooks.Drop || q.DropReason() != hooks.DropProcessingFailed {
		t.Errorf("%v, %v", got, q.DropReason())
	}
	if got := pl.RunLease6(hooks.Lease6Expire, &hooks.LeaseEvent6{Lease: &lease6.Lease6{}}); got != hooks.Drop {
		t.Errorf("%v", got)
	}
	if n := pl.Panics()["lib6"]; n != 2 {
		t.Errorf("%d panics, want 2", n)
	}
}

func TestRun6AllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	pl := compile6(t, func(env *hooks.Env) {
		env.On6(hooks.Pkt6Receive, func(q *hooks.Query6) hooks.Status { q.SetWord(0, 1); return hooks.Continue })
	})
	q := &hooks.Query6{}
	if n := testing.AllocsPerRun(100, func() { q.Reset(); pl.Run6(hooks.Pkt6Receive, q) }); n != 0 {
		t.Errorf("%v allocations a query", n)
	}
}
