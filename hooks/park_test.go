package hooks_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/hookstest"
)

// park returns a pipeline whose libs callouts each take a reference.
func park(t *testing.T, refs *[]*hooks.Parked, n int, last hooks.Status) *hooks.Pipeline {
	var libs []hooks.Configured
	for i := range n {
		libs = append(libs, at(hooks.Leases4Committed, func(q *hooks.Query4) hooks.Status {
			*refs = append(*refs, q.Park(int64(100+i)))
			return hooks.Park
		}))
	}
	if last != hooks.Park {
		libs = append(libs, at(hooks.Leases4Committed, func(q *hooks.Query4) hooks.Status {
			q.SetStatus(last)
			return hooks.Continue
		}))
	}
	return hookstest.Load(t, nil, libs...)
}

func TestParkAndResume(t *testing.T) {
	for _, tc := range []struct {
		name  string
		refs  int
		early bool // before the server has put the query away
		do    func(refs []*hooks.Parked, p *hooks.Parking) string
		want  string // what do returned, then what wake was called with
	}{
		{"one", 1, false, func(r []*hooks.Parked, _ *hooks.Parking) string {
			return fmt.Sprint(r[0].Resume(nil), r[0].Resume(nil), r[0].Drop())
		}, "true false false wake 0"},
		{"one, early", 1, true, func(r []*hooks.Parked, _ *hooks.Parking) string {
			return fmt.Sprint(r[0].Resume(nil))
		}, "true wake 0"},
		{"both needed", 2, false, func(r []*hooks.Parked, _ *hooks.Parking) string {
			return fmt.Sprint(r[1].Resume(nil))
		}, "true"},
		{"both", 2, false, func(r []*hooks.Parked, _ *hooks.Parking) string {
			return fmt.Sprint(r[1].Resume(nil), r[0].Resume(nil))
		}, "true true wake 0"},
		{"one drops", 2, false, func(r []*hooks.Parked, _ *hooks.Parking) string {
			return fmt.Sprint(r[1].Drop(), r[0].Resume(nil))
		}, "true false wake 1"},
		{"one drops, early", 2, true, func(r []*hooks.Parked, _ *hooks.Parking) string {
			return fmt.Sprint(r[1].Drop(), r[0].Drop())
		}, "true false wake 1"},
		{"expired", 2, false, func(r []*hooks.Parked, p *hooks.Parking) string {
			return fmt.Sprint(p.Expire(), p.Expire(), r[0].Resume(nil), r[1].Drop())
		}, "true false false false wake 2"},
		{"twice by one is not two", 2, false, func(r []*hooks.Parked, _ *hooks.Parking) string {
			return fmt.Sprint(r[0].Resume(nil), r[0].Resume(nil), r[0].Resume(nil))
		}, "true false false"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var refs []*hooks.Parked
			pl := park(t, &refs, tc.refs, hooks.Park)
			q := hookstest.Query4(1)
			if s := pl.Run(hooks.Leases4Committed, q); s != hooks.Park {
				t.Fatalf("status %v", s)
			}
			p := q.Parking()
			if p.DeadlineUnixNs() != int64(99+tc.refs) {
				t.Errorf("deadline %d", p.DeadlineUnixNs())
			}
			wakes := ""
			wake := func(o hooks.Outcome) { wakes += fmt.Sprintf(" wake %d", o) }
			got := ""
			if tc.early {
				got = tc.do(refs, p)
			}
			p.Arm(wake)
			if !tc.early {
				got = tc.do(refs, p)
			}
			if got+wakes != tc.want {
				t.Errorf("got %q, want %q", got+wakes, tc.want)
			}
		})
	}
}

func TestParkOverridden(t *testing.T) {
	var refs []*hooks.Parked
	pl := park(t, &refs, 1, hooks.Continue)
	q := hookstest.Query4(1)
	if s := pl.Run(hooks.Leases4Committed, q); s != hooks.Continue || q.Parking() != nil {
		t.Fatalf("%v %v", s, q.Parking())
	}
	if refs[0].Resume(func(*hooks.Query4) { t.Error("edited a query that is not parked") }) {
		t.Error("resumed")
	}
}

func TestEditsRunInOrderOnTheCopy(t *testing.T) {
	var refs []*hooks.Parked
	pl := park(t, &refs, 3, hooks.Park)
	q := hookstest.Query4(1)
	pl.Run(hooks.Leases4Committed, q)
	var parked hooks.Query4
	q.CopyTo(&parked)
	q.Reset() // the worker goes on with another query
	woken := 0
	parked.Parking().Arm(func(hooks.Outcome) { woken++ })
	order := ""
	for _, i := range []int{2, 0, 1} {
		refs[i].Resume(func(q *hooks.Query4) {
			if q != &parked {
				t.Error("edit of the wrong query")
			}
			order += fmt.Sprint(i)
		})
	}
	parked.Continue()
	parked.Continue()
	if woken != 1 || order != "201" || parked.Parking() != nil {
		t.Errorf("woken %d, order %s", woken, order)
	}
	// The point of a later park is another parking.
	pl.Run(hooks.Leases4Committed, &parked)
	if parked.Parking() == nil {
		t.Error("cannot park again")
	}
}

// However the libraries, the deadline and the server race, the query is woken
// exactly once.
func TestParkRaces(t *testing.T) {
	for round := range 2000 {
		var refs []*hooks.Parked
		q := hookstest.Query4(1)
		for range 4 {
			refs = append(refs, q.Park(1))
		}
		p := q.Parking()
		var wg sync.WaitGroup
		var mu sync.Mutex
		wakes, trues, edits := 0, 0, 0
		for i, r := range refs {
			wg.Go(func() {
				var ok bool
				if round%3 == 0 && i == 0 {
					ok = r.Drop()
				} else {
					ok = r.Resume(func(*hooks.Query4) { edits++ })
				}
				if ok {
					mu.Lock()
					trues++
					mu.Unlock()
				}
			})
		}
		if round%5 == 0 {
			wg.Go(func() { p.Expire() })
		}
		p.Arm(func(hooks.Outcome) {
			mu.Lock()
			wakes++
			mu.Unlock()
		})
		wg.Wait()
		if wakes != 1 {
			t.Fatalf("round %d: woken %d times", round, wakes)
		}
		q.Continue()
		if round%15 == 1 && (trues != 4 || edits != 4) {
			t.Fatalf("round %d: %d resumed, %d edits", round, trues, edits)
		}
	}
}
