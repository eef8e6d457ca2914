package leasefile

import (
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// TestMirror6 changes a table at random while a mirror follows it, with queues
// that overrun and queues that do not; the file in the end is the table.
func TestMirror6(t *testing.T) {
	r := newRand(t)
	for _, queue := range []int{4 << 20, 64 * 300} {
		path := filepath.Join(t.TempDir(), "kea-leases6.csv")
		tab := lease6.NewTable(lease6.Options{})
		for n := range 50 {
			l := randomLease6(r, n)
			l.Version = uint64(n + 1)
			tab.Load(l)
		}
		m, err := NewMirror(MirrorOptions{Path: path, Table6: tab, QueueBytes: queue, FlushEvery: time.Millisecond, CleanupEvery: 5 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		tab.SetObserver(m, true)
		m.Start()
		for m.Stats().Rewrites == 0 { // then changes are rows behind it
			runtime.Gosched()
		}
		var have lease6.Lease6
		for range 5000 {
			next := randomLease6(r, r.IntN(300))
			found := tab.Get(next.Addr, &have)
			if !found {
				have.Version = 0
			}
			switch r.IntN(5) {
			case 0:
				tab.Delete(next.Addr, have.Version, nil)
			case 1:
				next.State, next.CLTTUnixS = lease.StateOffered, 1<<31
				tab.Put(next, have.Version, nil) // refused over a lease in force
			default:
				if _, err := tab.Put(next, have.Version, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		tab.SetObserver(nil, false)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		tab.Search(&lease6.Filter{}, func(l *lease6.Lease6) bool { want[l.Addr.String()] = asRow(l); return true })
		got := map[string]string{}
		again := lease6.NewTable(lease6.Options{})
		if _, err := Load6(path, again, LoadOptions{RowError: func(e *RowError) { t.Error(e) }}); err != nil {
			t.Fatal(err)
		}
		again.Search(&lease6.Filter{}, func(l *lease6.Lease6) bool { got[l.Addr.String()] = asRow(l); return true })
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("queue of %d bytes: %s", queue, d)
		}
		if st := m.Stats(); st.Rewrites == 0 || queue > 1<<20 && (st.Rows == 0 || st.Lost > 0) {
			t.Errorf("queue of %d bytes: %+v", queue, st)
		}
	}
	for _, o := range []MirrorOptions{{}, {Table: lease.NewTable(lease.Options{}), Table6: lease6.NewTable(lease6.Options{})}} {
		o.Path = filepath.Join(t.TempDir(), "f")
		if _, err := NewMirror(o); err == nil {
			t.Error("a mirror of no table or of two")
		}
	}
}

// TestMirror6Unwritable: what Kea could not read is a deletion in the file.
func TestMirror6Unwritable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kea-leases6.csv")
	tab := lease6.NewTable(lease6.Options{})
	m, err := NewMirror(MirrorOptions{Path: path, Table6: tab})
	if err != nil {
		t.Fatal(err)
	}
	tab.SetObserver(m, true)
	m.turn() // writes the file
	l := &lease6.Lease6{Addr: lease6.IPv6{0x20, 15: 1}, PrefixLen: 128, ValidLifetimeS: 5, CLTTUnixS: 1000}
	l.SetID([]byte{1, 2, 3})
	if _, err := tab.Put(l, 0, nil); err != nil {
		t.Fatal(err)
	}
	l.SetID([]byte{1})
	if _, err := tab.Put(l, l.Version, nil); err != nil {
		t.Fatal(err)
	}
	m.turn()
	again := lease6.NewTable(lease6.Options{})
	if sum, err := Load6(path, again, LoadOptions{}); err != nil || sum.RowErrors != 0 || sum.Deletions != 1 || sum.Leases != 0 || m.Stats().Left != 1 {
		t.Errorf("%+v, %v; %+v", sum, err, m.Stats())
	}
	if err := m.finish(); err != nil {
		t.Error(err)
	}
}

func TestLeaseChanged6AllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	m, err := NewMirror(MirrorOptions{Path: filepath.Join(t.TempDir(), "f"), Table6: lease6.NewTable(lease6.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	l := randomLease6(newRand(t), 1)
	l.State = lease.StateDefault
	if n := testing.AllocsPerRun(1000, func() { m.LeaseChanged6(nil, l) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
