package leasefile

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// again ends the mirror and begins another of the same table and file; while runs
// between them, when nobody follows the table.
func (g *rig) again(while func()) {
	g.t.Helper()
	g.table.SetObserver(nil, false)
	if err := g.m.finish(); err != nil {
		g.t.Fatal(err)
	}
	while()
	o := g.m.o
	o.Path = g.path
	m, err := NewMirror(o)
	if err != nil {
		g.t.Fatal(err)
	}
	m.fs, m.now, m.pause = g.m.fs, g.m.now, g.m.pause
	g.m = m
	g.table.SetObserver(m, true)
}

func (g *rig) text() string {
	g.t.Helper()
	b, err := os.ReadFile(g.path)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(b)
}

// TestMirrorResumes: a start leaves the rows of the file and appends what the table
// says otherwise.
func TestMirrorResumes(t *testing.T) {
	g := newRig(t, MirrorOptions{CleanupEvery: time.Hour})
	g.simple(1, "a")
	g.simple(2, "b")
	g.m.turn()
	g.simple(1, "c")
	g.m.turn()
	before := g.text()
	g.again(func() {})
	g.m.turn()
	if d := cmp.Diff(before, g.text()); d != "" {
		t.Errorf("nothing has changed: %s", d)
	}
	if st := g.m.Stats(); st.Rewrites != 0 || st.Rows != 0 || st.Behind || st.FileBytes != int64(len(before)) {
		t.Errorf("%+v", st)
	}
	g.simple(2, "d")
	g.m.turn()
	g.check()

	before = g.text()
	g.again(func() {
		var l lease.Lease4
		g.table.Get(addr(10, 0, 0, 1), &l)
		if _, err := g.table.Delete(l.Addr, l.Version, nil); err != nil {
			t.Fatal(err)
		}
		g.nowS++
		g.simple(2, "e")
		g.simple(3, "f")
	})
	g.m.turn()
	g.check()
	added, ok := strings.CutPrefix(g.text(), before)
	want := "10.0.0.2,02:02,,3600,1700003601,1,0,0,e,0,,0\n10.0.0.3,02:03,,3600,1700003601,1,0,0,f,0,,0\n" +
		"10.0.0.1,02:01,,0,1700000000,1,0,0,c,0,,0\n"
	if !ok || added != want {
		t.Errorf("the file had\n%sand has\n%s", before, g.text())
	}
	if st := g.m.Stats(); st.Rewrites != 0 || st.Rows != 3 {
		t.Errorf("%+v", st)
	}
	// Rows that are no more are cleaned up when it is time.
	g.clock = g.clock.Add(2 * time.Hour)
	g.m.turn()
	g.check()
	if n := strings.Count(g.text(), "\n"); n != 3 {
		t.Errorf("not cleaned up:\n%s", g.text())
	}
}

// TestMirrorStartsAnew: what cannot be gone on with is written anew.
func TestMirrorStartsAnew(t *testing.T) {
	for name, spoil := range map[string]func(text string) string{
		"no rows at all":     func(string) string { return "" },
		"the last line cut":  func(s string) string { return s[:len(s)-7] },
		"other columns":      func(s string) string { return strings.Replace(s, ",pool_id", "", 1) },
		"more columns":       func(s string) string { return strings.Replace(s, "pool_id", "pool_id,more", 1) },
		"no address":         func(s string) string { return s + "nonsense,02:01,,3600,1700003600,1,0,0,a,0,,0\n" },
		"no lifetime":        func(s string) string { return s + "10.0.0.1,02:01,,x,1700003600,1,0,0,a,0,,0\n" },
		"no time":            func(s string) string { return s + "10.0.0.1,02:01,,3600,,1,0,0,a,0,,0\n" },
		"too few fields":     func(s string) string { return s + "10.0.0.1,02:01\n" },
		"an empty line":      func(s string) string { return s + "\n" },
		"line ends of DOS":   func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"the other family's": func(string) string { return Header6 + "\n" },
		// What the file lacks is older than what Stork has seen.
		"a later row": func(s string) string { return s + "10.0.0.9,02:09,,3600,1800003600,1,0,0,,0,,0\n" },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, MirrorOptions{})
			g.simple(1, "a")
			g.m.turn()
			g.again(func() {
				g.simple(2, "b")
				if err := os.WriteFile(g.path, []byte(spoil(g.text())), 0o640); err != nil {
					t.Fatal(err)
				}
			})
			g.m.turn()
			g.check()
			if st := g.m.Stats(); st.Rewrites != 1 || st.Behind {
				t.Errorf("%+v", st)
			}
			if n := strings.Count(g.text(), "\n"); n != 3 {
				t.Errorf("the file is\n%s", g.text())
			}
			g.simple(2, "c")
			g.m.turn()
			g.check()
		})
	}
}

// A file of more than resumeBytes is not read.
func TestMirrorStartsAnewIfLong(t *testing.T) {
	g := newRig(t, MirrorOptions{})
	g.simple(1, "a")
	g.m.turn()
	g.again(func() {
		if err := os.Truncate(g.path, resumeBytes+1); err != nil { // a hole, which takes no room
			t.Fatal(err)
		}
	})
	g.m.turn()
	g.check()
	if st := g.m.Stats(); st.Rewrites != 1 {
		t.Errorf("%+v", st)
	}
}

// TestMirrorResumeTwin starts mirrors again and again over one file, while the
// table changes between them, while they start, and afterwards; the twin is the
// table. Disks fail, too.
func TestMirrorResumeTwin(t *testing.T) {
	r := newRand(t)
	g := newRig(t, MirrorOptions{})
	resumed := 0
	for range 100 {
		changes := r.IntN(4) * r.IntN(30)
		g.again(func() {
			for range changes {
				g.change(r, 200)
			}
			if r.IntN(8) == 0 {
				b := []byte(g.text())
				if err := os.WriteFile(g.path, b[:r.IntN(len(b)+1)], 0o640); err != nil {
					t.Fatal(err)
				}
			}
		})
		on := true
		g.m.o.Table = &changingSource{g.table, func() {
			if on && r.IntN(20) == 0 {
				g.change(r, 200)
			}
		}}
		if r.IntN(6) == 0 {
			g.fs.room = r.IntN(4000)
			g.fs.noTrunc = r.IntN(2) == 0
		}
		g.m.turn()
		on = false
		g.m.o.Table = g.table
		*g.fs = faultyFS{room: -1}
		g.clock = g.clock.Add(time.Hour)
		g.m.turn()
		g.m.turn()
		if st := g.m.Stats(); st.Behind {
			t.Fatalf("%+v", st)
		} else if st.Rewrites == 0 {
			resumed++
		}
		g.check()
		for range r.IntN(10) {
			g.change(r, 200)
		}
		g.m.turn()
		g.check()
	}
	if resumed == 0 {
		t.Error("no start went on with the file")
	}
	t.Logf("%d starts of 100 went on with the file", resumed)
}

// TestMirrorResumes6 is the same of DHCPv6, with all kinds of leases.
func TestMirrorResumes6(t *testing.T) {
	r := newRand(t)
	path := t.TempDir() + "/kea-leases6.csv"
	tab := lease6.NewTable(lease6.Options{})
	clttS, version := int64(1_700_000_000), uint64(0)
	put := func(n int) {
		l := randomLease6(r, n)
		clttS++
		l.CLTTUnixS = clttS
		var have lease6.Lease6
		if tab.Get(l.Addr, &have) {
			if _, err := tab.Delete(l.Addr, have.Version, nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := tab.Put(l, 0, nil); err != nil {
			t.Fatal(err)
		}
		version++
	}
	resumed := 0
	for round := range 20 {
		before, _ := os.ReadFile(path)
		m, err := NewMirror(MirrorOptions{Path: path, Table6: tab})
		if err != nil {
			t.Fatal(err)
		}
		tab.SetObserver(m, true)
		m.turn()
		if st := m.Stats(); st.Rewrites == 0 {
			resumed++
			if after, _ := os.ReadFile(path); !bytes.HasPrefix(after, before) {
				t.Fatalf("round %d: rows of before the start are gone", round)
			}
		}
		for range 20 {
			put(r.IntN(300))
		}
		m.turn()
		tab.SetObserver(nil, false)
		if err := m.finish(); err != nil {
			t.Fatal(err)
		}
		want, got := map[string]string{}, map[string]string{}
		tab.Search(&lease6.Filter{}, func(l *lease6.Lease6) bool { want[l.Addr.String()] = asRow(l); return true })
		again := lease6.NewTable(lease6.Options{})
		if _, err := Load6(path, again, LoadOptions{RowError: func(e *RowError) { t.Error(e) }}); err != nil {
			t.Fatal(err)
		}
		again.Search(&lease6.Filter{}, func(l *lease6.Lease6) bool { got[l.Addr.String()] = asRow(l); return true })
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("round %d: %s", round, d)
		}
		for range r.IntN(20) { // nobody looks
			put(r.IntN(300))
		}
	}
	if resumed < 15 {
		t.Errorf("%d starts of 20 went on with the file", resumed)
	}
}
