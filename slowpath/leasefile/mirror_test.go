package leasefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// faultyFS is the operating system's, with the errors of a bad day.
type faultyFS struct {
	osFS
	room                             int // bytes that can be written; below 0: no limit
	noCreate, noRename, noTrunc, bad bool
	little                           uint64 // free, if not 0
}

var errFault = errors.New("injected fault")

type faultyFile struct {
	file
	s *faultyFS
}

func (s *faultyFS) create(name string, mode fs.FileMode) (file, error) {
	if s.noCreate {
		return nil, errFault
	}
	f, err := s.osFS.create(name, mode)
	if err != nil {
		return nil, err
	}
	return faultyFile{f, s}, nil
}

func (s *faultyFS) open(name string) (file, error) {
	f, err := s.osFS.open(name)
	if err != nil {
		return nil, err
	}
	return faultyFile{f, s}, nil
}

func (s *faultyFS) rename(from, to string) error {
	if s.noRename {
		return errFault
	}
	return s.osFS.rename(from, to)
}

func (s *faultyFS) free(name string) (uint64, bool) {
	if s.little > 0 {
		return s.little, true
	}
	return 1 << 40, true
}

func (f faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if f.s.bad {
		return 0, errFault
	}
	if f.s.room < 0 {
		return f.file.WriteAt(b, off)
	}
	n, err := f.file.WriteAt(b[:min(len(b), f.s.room)], off)
	f.s.room -= n
	if err == nil && n < len(b) {
		err = syscall.ENOSPC
	}
	return n, err
}

func (f faultyFile) Truncate(size int64) error {
	if f.s.noTrunc {
		return errFault
	}
	return f.file.Truncate(size)
}

// rig is a table with a mirror whose goroutine does not run: tests take turns.
type rig struct {
	t      testing.TB
	table  *lease.Table
	m      *Mirror
	fs     *faultyFS
	path   string
	nowS   int64 // of leases
	clock  time.Time
	events []string
}

func newRig(t testing.TB, o MirrorOptions) *rig {
	g := &rig{t: t, table: lease.NewTable(lease.Options{}), fs: &faultyFS{room: -1}, nowS: 1_700_000_000, clock: time.Unix(1_700_000_000, 0)}
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "kea-leases4.csv")
	}
	g.path = o.Path
	o.Table = g.table
	o.Event = func(e MirrorEvent) { g.events = append(g.events, e.Kind) }
	m, err := NewMirror(o)
	if err != nil {
		t.Fatal(err)
	}
	m.fs, m.now, m.pause = g.fs, func() time.Time { return g.clock }, func(time.Duration) {}
	g.m = m
	g.table.SetObserver(m, true)
	return g
}

// put gives an address to a client, over whatever is there.
func (g *rig) put(l *lease.Lease4) {
	g.t.Helper()
	var old lease.Lease4
	expect := uint64(0)
	if g.table.Get(l.Addr, &old) {
		expect = old.Version
	}
	if _, err := g.table.Put(l, expect, nil); err != nil && !errors.Is(err, lease.ErrConflict) {
		g.t.Fatal(err)
	}
}

func (g *rig) simple(last byte, host string) {
	l := &lease.Lease4{Addr: addr(10, 0, 0, last), SubnetID: 1, CLTTUnixS: g.nowS, ValidLifetimeS: 3600}
	l.SetHW(1, []byte{2, last})
	l.SetHost([]byte(host))
	g.put(l)
}

// change makes one random change of one of n addresses.
func (g *rig) change(r *rand.Rand, n int) {
	g.nowS++
	l := randomLease(r, addr(10, 0, byte(r.IntN(n)>>8), byte(r.IntN(n))))
	l.CLTTUnixS = g.nowS
	switch r.IntN(6) {
	case 0:
		var old lease.Lease4
		if g.table.Get(l.Addr, &old) {
			if _, err := g.table.Delete(l.Addr, old.Version, nil); err != nil {
				g.t.Fatal(err)
			}
		}
		return
	case 1, 2:
		l.State = lease.StateOffered
	case 3:
		l.State, l.ValidLifetimeS = lease.StateReleased, 0
	case 4:
		if r.IntN(4) == 0 { // nobody's, which Kea does not know
			l.State = lease.StateExpiredReclaimed
			l.SetHW(0, nil)
			l.SetCID(nil)
		}
	}
	g.put(l)
}

// check compares the file with the table, once everything is written.
func (g *rig) check() {
	g.t.Helper()
	got := readMirror(g.t, g.path)
	want := table(g.table)
	g.table.Walk(func(l *lease.Lease4) bool {
		if l.State != lease.StateOffered && (l.ValidLifetimeS == 0 || !Writable4(l)) {
			delete(want, l.Addr)
		}
		return true
	})
	if d := cmp.Diff(want, got); d != "" {
		g.t.Fatal(d)
	}
}

func readMirror(t testing.TB, path string) map[dhcp4.IPv4]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(text, []byte(Header4+"\n")) || text[len(text)-1] != '\n' {
		t.Fatalf("mirror starts %.100q and ends %q", text, text[max(0, len(text)-20):])
	}
	tab := lease.NewTable(lease.Options{})
	sum, err := Load4(path, tab, LoadOptions{RowError: func(e *RowError) { t.Error(e) }})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Conversion {
		t.Error("mirror needs conversion")
	}
	return table(tab)
}

func TestMirrorRows(t *testing.T) {
	g := newRig(t, MirrorOptions{})
	g.simple(1, "a")
	g.m.turn()
	g.simple(1, "b")
	offer := &lease.Lease4{Addr: addr(10, 0, 0, 2), SubnetID: 1, CLTTUnixS: g.nowS, ValidLifetimeS: 3600, State: lease.StateOffered}
	offer.SetHW(1, []byte{9})
	g.put(offer)
	g.m.turn()
	// An offer over an expired lease, and its end, change nothing; nor does a walk.
	old := &lease.Lease4{Addr: addr(10, 0, 0, 3), SubnetID: 1, CLTTUnixS: g.nowS - 10, ValidLifetimeS: 1}
	old.SetHW(1, []byte{3})
	g.put(old)
	over := *offer
	over.Addr = old.Addr
	g.put(&over)
	if _, err := g.table.Delete(over.Addr, over.Version, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := g.table.Delete(offer.Addr, offer.Version, nil); err != nil {
		t.Fatal(err)
	}
	g.table.SetObserver(g.m, true)
	var l lease.Lease4
	g.table.Get(addr(10, 0, 0, 1), &l)
	if _, err := g.table.Delete(l.Addr, l.Version, nil); err != nil {
		t.Fatal(err)
	}
	g.m.turn()
	text, err := os.ReadFile(g.path)
	if err != nil {
		t.Fatal(err)
	}
	const want = `
10.0.0.1,02:01,,3600,1700003600,1,0,0,a,0,,0
10.0.0.1,02:01,,3600,1700003600,1,0,0,b,0,,0
`
	// Addresses are in different parts of the queue: their order is open.
	if got := string(text); got != Header4+want+"10.0.0.3,03,,1,1699999991,1,0,0,,0,,0\n10.0.0.1,02:01,,0,1700000000,1,0,0,b,0,,0\n" &&
		got != Header4+want+"10.0.0.1,02:01,,0,1700000000,1,0,0,b,0,,0\n10.0.0.3,03,,1,1699999991,1,0,0,,0,,0\n" {
		t.Errorf("mirror is\n%s", text)
	}
	st := g.m.Stats()
	if st.Rows != 3 || st.Batches != 2 || st.Rewrites != 1 || st.Behind || st.FileBytes != int64(len(text)) || st.Lost+st.Left+st.Errors != 0 {
		t.Errorf("%+v", st)
	}
}

// TestMirrorTwin makes random changes with a queue that overruns and with
// rewrites at any time; the twin is the table.
func TestMirrorTwin(t *testing.T) {
	r := newRand(t)
	for _, c := range []struct{ queue, addrs int }{{4 << 20, 300}, {64 * 700, 300}, {64 * 400, 20}} {
		g := newRig(t, MirrorOptions{QueueBytes: c.queue})
		for range 200 {
			for range r.IntN(60) {
				g.change(r, c.addrs)
			}
			if r.IntN(8) == 0 {
				g.m.rewrite()
			}
			g.m.turn()
			if g.m.Stats().Behind {
				t.Fatal("behind after a turn")
			}
			g.check()
		}
		st := g.m.Stats()
		t.Logf("%+v", st)
		if c.queue < 64*500 && st.Lost == 0 || c.queue > 1<<20 && st.Lost > 0 {
			t.Errorf("queue of %d: %+v", c.queue, st)
		}
	}
}

// changingSource changes the table while a rewrite reads it.
type changingSource struct {
	*lease.Table
	change func()
}

func (s *changingSource) Get(a dhcp4.IPv4, l *lease.Lease4) bool {
	s.change()
	ok := s.Table.Get(a, l)
	s.change()
	return ok
}

func TestMirrorChangesDuringRewrite(t *testing.T) {
	r := newRand(t)
	for _, queue := range []int{0, 64 * 400} {
		g := newRig(t, MirrorOptions{QueueBytes: queue})
		for range 3000 {
			g.change(r, 3000)
		}
		on := true
		g.m.o.Table = &changingSource{g.table, func() {
			if on && r.IntN(4) == 0 {
				g.change(r, 3000)
			}
		}}
		g.m.turn()
		on = false
		g.clock = g.clock.Add(time.Hour)
		g.m.turn()
		g.check()
		if st := g.m.Stats(); st.Rewrites < 1 || st.Behind {
			t.Errorf("%+v", st)
		}
	}
}

func TestMirrorFaults(t *testing.T) {
	r := newRand(t)
	g := newRig(t, MirrorOptions{})
	for range 400 {
		for range r.IntN(20) {
			g.change(r, 100)
		}
		switch r.IntN(12) {
		case 0:
			g.fs.room = r.IntN(5000)
		case 1:
			g.fs.noCreate = true
		case 2:
			g.fs.noRename = true
		case 3:
			g.fs.bad = true
		case 4:
			g.fs.room, g.fs.noTrunc = r.IntN(2000), true
			g.fs.little = r.Uint64N(2 * defaultReserveBytes)
		case 5, 6, 7:
			*g.fs = faultyFS{room: -1}
		case 8:
			g.m.rewrite()
		case 9:
			if err := os.Remove(g.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		case 10:
			_ = os.WriteFile(g.path, []byte("what an editor left"), 0o600)
		}
		g.m.turn()
		g.clock = g.clock.Add(time.Duration(r.IntN(8)) * time.Second)
		if *g.fs == (faultyFS{room: -1}) && r.IntN(4) == 0 {
			g.simple(1, "there is something to write")
			g.m.turn()
			g.clock = g.clock.Add(g.m.o.RetryEvery)
			g.m.turn()
			g.clock = g.clock.Add(g.m.o.RetryEvery)
			g.m.turn()
			if st := g.m.Stats(); st.Behind || st.Err != "" {
				t.Fatalf("%+v", st)
			}
			g.check()
			if _, err := os.Stat(g.path + ".output"); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("a rewrite left its file: %v", err)
			}
		}
	}
	st := g.m.Stats()
	t.Logf("%+v", st)
	failed, resumed := 0, 0
	for _, e := range g.events {
		switch e {
		case "mirror-failed":
			failed++
		case "mirror-resumed":
			resumed++
		}
	}
	if st.Errors == 0 || failed == 0 || failed-resumed > 1 || failed < resumed {
		t.Errorf("%d failures, %d resumptions, %+v", failed, resumed, st)
	}
}

// TestMirrorFullDisk: a write that fits in part leaves no half line, and the
// rest comes when there is room.
func TestMirrorFullDisk(t *testing.T) {
	g := newRig(t, MirrorOptions{})
	g.simple(1, "a")
	g.m.turn()
	before, _ := os.ReadFile(g.path)
	g.simple(2, "b")
	g.fs.room = 10
	g.m.turn()
	if after, _ := os.ReadFile(g.path); !bytes.Equal(before, after) {
		t.Errorf("file is %q, was %q", after, before)
	}
	if st := g.m.Stats(); !st.Behind || !strings.Contains(st.Err, "no space left") || st.Errors != 1 {
		t.Errorf("%+v", st)
	}
	g.fs.room = -1
	g.m.turn()
	if !g.m.Stats().Behind {
		t.Error("retried at once")
	}
	g.clock = g.clock.Add(g.m.o.RetryEvery)
	g.m.turn()
	g.check()
	if d := cmp.Diff([]string{"mirror-failed", "mirror-resumed"}, g.events); d != "" {
		t.Error(d)
	}
}

// TestMirrorReserve: the mirror fails before the disk is full.
func TestMirrorReserve(t *testing.T) {
	g := newRig(t, MirrorOptions{ReserveBytes: 10000, CleanupEvery: time.Hour})
	g.simple(1, "a")
	g.m.turn()
	g.fs.little = 10100
	g.simple(2, "b")
	g.m.turn()
	g.check()
	// There is room for a row, and not for a rewrite.
	g.clock = g.clock.Add(time.Hour)
	g.m.turn()
	if st := g.m.Stats(); st.Behind || st.Rewrites != 1 || st.Errors != 1 {
		t.Errorf("%+v", st)
	}
	before, _ := os.ReadFile(g.path)
	g.fs.little = 10001
	g.simple(3, "c")
	g.m.turn()
	if st := g.m.Stats(); !st.Behind || !strings.Contains(st.Err, "the file system has 10001 bytes free, of which 10000 are reserved") {
		t.Errorf("%+v", st)
	}
	if after, _ := os.ReadFile(g.path); !bytes.Equal(before, after) {
		t.Errorf("file is %q, was %q", after, before)
	}
	g.fs.little = 0
	g.clock = g.clock.Add(g.m.o.RetryEvery)
	g.m.turn()
	g.check()
}

// TestMirrorCleanupFails: the file is followed although it cannot be rewritten.
func TestMirrorCleanupFails(t *testing.T) {
	g := newRig(t, MirrorOptions{CleanupEvery: time.Hour})
	g.simple(1, "a")
	g.m.turn()
	g.fs.noRename = true
	for i := range 5 {
		g.clock = g.clock.Add(time.Hour)
		g.simple(2, fmt.Sprint(i))
		g.m.turn()
		g.check()
	}
	if st := g.m.Stats(); st.Errors != 5 || st.Behind || st.Rewrites != 1 || st.Rows != 5 {
		t.Errorf("%+v", st)
	}
	g.fs.noRename = false
	g.clock = g.clock.Add(time.Hour)
	g.m.turn()
	g.check()
	if text, _ := os.ReadFile(g.path); bytes.Count(text, []byte("\n")) != 3 {
		t.Errorf("not cleaned up:\n%s", text)
	}
}

func TestMirrorCleanup(t *testing.T) {
	g := newRig(t, MirrorOptions{CleanupEvery: time.Hour})
	g.simple(1, "a")
	g.m.turn()
	g.clock = g.clock.Add(2 * time.Hour)
	g.m.turn()
	if n := g.m.Stats().Rewrites; n != 1 {
		t.Errorf("rewritten %d times although nothing changed", n)
	}
	g.simple(1, "b")
	g.m.turn()
	if n := g.m.Stats().Rewrites; n != 2 {
		t.Errorf("rewritten %d times after an interval", n)
	}
	// By length: as soon as 16 MiB were added, not before.
	g.m.o.CleanupEvery = 0
	context := `{ "x": "` + strings.Repeat("y", 4000) + `" }`
	for g.m.Stats().Rewrites == 2 {
		if g.m.file.size > cleanupBytes+10000 {
			t.Fatalf("not cleaned up at %d bytes", g.m.file.size)
		}
		for range 10 {
			l := &lease.Lease4{Addr: addr(10, 0, 0, 1), SubnetID: 1, CLTTUnixS: g.nowS, ValidLifetimeS: 3600, UserContext: context}
			l.SetHW(1, []byte{2, 1})
			g.put(l)
		}
		before := g.m.file.size
		g.m.turn()
		if g.m.Stats().Rewrites > 2 && before+50000 < cleanupBytes {
			t.Errorf("cleaned up at %d bytes", before)
		}
	}
	g.check()
}

func TestMirrorDisturbed(t *testing.T) {
	for name, disturb := range map[string]func(path string) error{
		"removed":   os.Remove,
		"renamed":   func(p string) error { return os.Rename(p, p+".old") },
		"replaced":  func(p string) error { return errors.Join(os.Remove(p), os.WriteFile(p, []byte("x"), 0o600)) },
		"truncated": func(p string) error { return os.Truncate(p, 20) },
		"appended": func(p string) error {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("10.0.0.9,")
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, MirrorOptions{})
			g.simple(1, "a")
			g.m.turn()
			if err := disturb(g.path); err != nil {
				t.Fatal(err)
			}
			g.simple(2, "b")
			g.m.turn()
			g.check()
			// A quarrel is told once a minute.
			for range 3 {
				if err := disturb(g.path); err != nil {
					t.Fatal(err)
				}
				g.simple(3, "c")
				g.m.turn()
				g.check()
				g.clock = g.clock.Add(31 * time.Second)
			}
			if d := cmp.Diff([]string{"mirror-disturbed", "mirror-disturbed"}, g.events); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestMirrorOrder: Stork drops rows that are older than the one before.
func TestMirrorOrder(t *testing.T) {
	r := newRand(t)
	g := newRig(t, MirrorOptions{})
	for range 5000 {
		l := randomLease(r, dhcp4.IPv4(1+r.Uint32N(1<<31)))
		g.put(l)
	}
	g.m.turn()
	f, err := os.Open(g.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rd, err := NewReader4(f, g.path)
	if err != nil {
		t.Fatal(err)
	}
	last, rows := int64(0), 0
	for {
		var l lease.Lease4
		if err := rd.Next(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if l.CLTTUnixS < last {
			t.Fatalf("line %d is of %d, the one before of %d", rd.Line(), l.CLTTUnixS, last)
		}
		last = l.CLTTUnixS
		rows++
	}
	if rows != g.table.Len() {
		t.Errorf("%d rows of %d leases", rows, g.table.Len())
	}
}

func TestMirrorRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	try := func(path, want string) {
		t.Helper()
		_, err := NewMirror(MirrorOptions{Path: path, Table: lease.NewTable(lease.Options{})})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
	try(dir, "is not a regular file")
	try(filepath.Join(dir, "none", "f"), "no such file")
	for _, s := range []string{".completed", ".2", ".1"} {
		if err := os.WriteFile(path+s, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		try(path, path+s+" holds leases of Kea's: import them (peregrine lease import "+path+"), then remove it")
		os.Remove(path + s)
	}
	try(filepath.Join(path, "g"), "no such file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	try(filepath.Join(path, "g"), "not a directory")
	if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	try(filepath.Join(dir, "link"), "no such file")
}

// TestMirrorKeepsPlace: a link stays, and so do the rights of the file.
func TestMirrorKeepsPlace(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(real, nil, 0o600), os.Chmod(real, 0o604), os.Symlink("real", link)); err != nil {
		t.Fatal(err)
	}
	root := os.Geteuid() == 0
	if root {
		if err := os.Chown(real, 12, 34); err != nil {
			t.Fatal(err)
		}
	}
	// Somebody's trap: the new file must not be written through it.
	trap := filepath.Join(dir, "trap")
	if err := errors.Join(os.WriteFile(trap, []byte("precious"), 0o600), os.Symlink("trap", real+".output")); err != nil {
		t.Fatal(err)
	}
	g := newRig(t, MirrorOptions{Path: link})
	g.simple(1, "a")
	g.m.turn()
	g.check()
	if to, err := os.Readlink(link); err != nil || to != "real" {
		t.Errorf("link: %q, %v", to, err)
	}
	i, err := os.Stat(real)
	if err != nil || i.Mode().Perm() != 0o604 {
		t.Errorf("mode %v, %v", i.Mode(), err)
	}
	if uid, gid, ok := owner(i); ok && root && (uid != 12 || gid != 34) {
		t.Errorf("owner %d:%d", uid, gid)
	}
	if text, _ := os.ReadFile(trap); string(text) != "precious" {
		t.Errorf("wrote through a link: %q", text)
	}
}

// TestMirrorConcurrent lets the goroutine run while others change the table.
func TestMirrorConcurrent(t *testing.T) {
	seed := newRand(t).Uint64()
	for _, queue := range []int{0, 64 * 500} {
		g := &rig{t: t, table: lease.NewTable(lease.Options{}), path: filepath.Join(t.TempDir(), "f")}
		var overruns atomic.Int64
		m, err := NewMirror(MirrorOptions{Path: g.path, Table: g.table, QueueBytes: queue, FlushEvery: time.Millisecond, CleanupEvery: 20 * time.Millisecond,
			Event: func(e MirrorEvent) {
				if e.Kind == "mirror-overrun" {
					overruns.Add(1)
				} else if e.Kind != EventCleanup {
					t.Errorf("%+v", e)
				}
			}})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				mine := &rig{t: t, table: g.table, nowS: 1_700_000_000}
				for range 4000 {
					// Addresses are of all: Put and Delete settle who wins.
					l := randomLease(r, addr(10, 0, 0, byte(r.IntN(256))))
					l.CLTTUnixS = mine.nowS
					var old lease.Lease4
					expect := uint64(0)
					if g.table.Get(l.Addr, &old) {
						expect = old.Version
					}
					if expect != 0 && r.IntN(4) == 0 {
						_, _ = g.table.Delete(l.Addr, expect, nil)
					} else {
						if r.IntN(3) == 0 {
							l.State = lease.StateOffered
						}
						_, _ = g.table.Put(l, expect, nil)
					}
				}
			})
		}
		g.table.SetObserver(m, true)
		m.Start()
		wg.Go(func() {
			for range 20 {
				g.table.SetObserver(m, true)
				_ = m.Stats()
			}
		})
		wg.Wait()
		g.table.SetObserver(nil, false)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		g.check()
		t.Logf("%d overruns, %+v", overruns.Load(), m.Stats())
	}
}

func TestMirrorClose(t *testing.T) {
	// Not started: nothing is written.
	g := newRig(t, MirrorOptions{})
	if err := g.m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(g.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("file: %v", err)
	}
	g.m.Start()
	// Started: what is queued comes, even if a rewrite failed a moment ago.
	g = newRig(t, MirrorOptions{})
	g.fs.noCreate = true
	g.m.turn()
	g.fs.noCreate = false
	g.m.Start()
	g.simple(1, "a")
	if err := g.m.Close(); err != nil {
		t.Error(err)
	}
	g.check()
	// A file that cannot be written is an error.
	g = newRig(t, MirrorOptions{})
	g.fs.noCreate = true
	g.m.Start()
	if err := g.m.Close(); !errors.Is(err, errFault) {
		t.Errorf("Close: %v", err)
	}
}

func TestMirrorLeavesUnwritable(t *testing.T) {
	g := newRig(t, MirrorOptions{})
	g.m.turn()
	g.put(&lease.Lease4{Addr: 1, ValidLifetimeS: 10, CLTTUnixS: g.nowS})
	g.m.turn()
	if err := g.m.rewrite(); err != nil {
		t.Fatal(err)
	}
	if got := readMirror(t, g.path); len(got) != 0 || g.m.Stats().Left != 2 {
		t.Errorf("%v, %+v", got, g.m.Stats())
	}
}

func TestLeaseChangedAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	g := newRig(t, MirrorOptions{})
	l := randomLease(rand.New(rand.NewPCG(1, 2)), addr(10, 0, 0, 1))
	offer := *l
	offer.State = lease.StateOffered
	n := testing.AllocsPerRun(5000, func() { // more than the queue holds
		g.m.LeaseChanged(nil, &offer)
		g.m.LeaseChanged(&offer, l)
		g.m.LeaseChanged(l, nil)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	if g.m.turn(); g.m.Stats().Lost == 0 {
		t.Error("the queue was not full in the end")
	}
}

func BenchmarkLeaseChanged(b *testing.B) {
	l := &lease.Lease4{SubnetID: 1, CLTTUnixS: 1_700_000_000, ValidLifetimeS: 3600}
	l.SetHW(1, []byte{2, 0, 0, 0, 0, 1})
	l.SetCID([]byte{1, 2, 0, 0, 0, 0, 1})
	l.SetHost([]byte("host-name.example.org"))
	for _, full := range []bool{false, true} {
		b.Run(fmt.Sprintf("full=%v", full), func(b *testing.B) {
			g := newRig(b, MirrorOptions{})
			b.ReportAllocs()
			i := uint32(0)
			for b.Loop() {
				l.Addr = dhcp4.IPv4(0x0A000000 + i)
				g.m.LeaseChanged(nil, l)
				if i++; !full && i%16384 == 0 {
					b.StopTimer()
					for p := range g.m.queue.parts {
						if lost := g.m.queue.take(p, func([]byte) {}); lost > 0 {
							b.Fatal("queue was full")
						}
					}
					b.StartTimer()
				}
			}
		})
	}
	b.Run("offer", func(b *testing.B) {
		g := newRig(b, MirrorOptions{})
		o := *l
		o.State = lease.StateOffered
		for b.Loop() {
			g.m.LeaseChanged(nil, &o)
		}
	})
}

// BenchmarkDrain is what the goroutine does per change.
func BenchmarkDrain(b *testing.B) {
	g := newRig(b, MirrorOptions{CleanupFactor: 1 << 30})
	g.m.turn()
	l := &lease.Lease4{SubnetID: 1, CLTTUnixS: 1_700_000_000, ValidLifetimeS: 3600}
	l.SetHW(1, []byte{2, 0, 0, 0, 0, 1})
	l.SetCID([]byte{1, 2, 0, 0, 0, 0, 1})
	l.SetHost([]byte("host-name.example.org"))
	const rows = 16384
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range rows {
			l.Addr = dhcp4.IPv4(0x0A000000 + i)
			g.m.LeaseChanged(nil, l)
		}
		b.StartTimer()
		g.m.drain(nil)
		b.StopTimer()
		if err := g.m.file.f.Truncate(0); err != nil {
			b.Fatal(err)
		}
		g.m.file.size = 0
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
}

// BenchmarkRewrite is what a rewrite costs per lease, its pauses left out.
func BenchmarkRewrite(b *testing.B) {
	g := newRig(b, MirrorOptions{})
	const leases = 100000
	for i := range leases {
		l := &lease.Lease4{Addr: dhcp4.IPv4(0x0A000000 + i), SubnetID: 1, CLTTUnixS: 1_700_000_000 + int64(i*7919%leases), ValidLifetimeS: 3600}
		l.SetHW(1, []byte{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)})
		l.SetCID([]byte{1, 2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)})
		l.SetHost([]byte("host-name.example.org"))
		if _, err := g.table.Put(l, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
	g.m.turn()
	b.ReportAllocs()
	for b.Loop() {
		if err := g.m.rewrite(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/leases, "ns/lease")
}

// TestMirrorSecondName: a cleanup leaves the file under Kea's second name too, which is
// never another one: whatever is read first, what has ended does not come back.
func TestMirrorSecondName(t *testing.T) {
	g := newRig(t, MirrorOptions{CleanupEvery: time.Minute})
	prev := g.path + ".2"
	linked := func(want bool) {
		t.Helper()
		own, err := os.Stat(g.path)
		if err != nil {
			t.Fatal(err)
		}
		at, err := os.Stat(prev)
		if got := err == nil && os.SameFile(own, at); got != want {
			t.Errorf("%s is the file: %v, want %v (%v)", prev, got, want, err)
		}
		if left, err := Leftovers(g.path); err != nil || len(left) > 0 && want {
			t.Errorf("left over: %v, %v", left, err)
		}
	}
	g.simple(1, "h")
	g.m.turn()
	linked(false) // written at the start
	g.simple(2, "h")
	g.m.turn()
	linked(false) // not yet
	g.clock = g.clock.Add(time.Hour)
	g.m.turn()
	linked(true)
	g.simple(3, "h")
	g.m.turn()
	linked(true)
	g.clock = g.clock.Add(time.Hour)
	g.m.turn()
	linked(true)
	g.m.Cleanup()
	g.clock = g.clock.Add(time.Second)
	g.m.turn()
	linked(true)
	if n := strings.Count(strings.Join(g.events, " "), EventCleanup); n != 3 {
		t.Errorf("%d cleanups told, want 3: %v", n, g.events)
	}

	// Another mirror of the same file knows it again, and writes it anew alone.
	if _, err := NewMirror(MirrorOptions{Path: g.path, Table: g.table}); err != nil {
		t.Errorf("the mirror's own second name is in the way: %v", err)
	}
	// The file is replaced by somebody: the second name goes when it is written anew.
	if err := os.Remove(g.path); err != nil {
		t.Fatal(err)
	}
	g.simple(4, "h")
	g.clock = g.clock.Add(time.Hour)
	g.m.turn()
	if _, err := os.Stat(prev); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is no more is still %s: %v", prev, err)
	}
	// One of Kea's, laid there meanwhile, stays, and there is no second name.
	if err := os.WriteFile(prev, []byte("kea"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.m.Cleanup()
	g.clock = g.clock.Add(time.Hour)
	g.m.turn()
	linked(false)
	if b, err := os.ReadFile(prev); err != nil || string(b) != "kea" {
		t.Errorf("%s has %q, %v", prev, b, err)
	}
}
