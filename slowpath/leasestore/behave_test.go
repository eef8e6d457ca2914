package leasestore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore/leasestoretest"
)

// commit appends a put and waits for it.
func commit(t *testing.T, src *mapSource, w *leasestore.Writer, addr uint32) {
	t.Helper()
	pos, _, ok := src.put(w, addr)
	if !ok {
		t.Fatal("Append refuses")
	}
	wait(t, w, pos)
}

// TestDamage flips every byte, and cuts at every length, of every file of a
// directory that was closed, and of one whose server was killed. Damage must be
// refused by name or have no effect; of the killed one, the last commit may be
// taken for torn.
func TestDamage(t *testing.T) {
	for _, closed := range []bool{true, false} {
		m := leasestoretest.New()
		src := newSource()
		s, _ := mustOpen(t, leasestore.Options{Dir: testDir, FS: m, RingRecords: 64})
		w := s.NewWriter("w")
		for a := range uint32(6) {
			commit(t, src, w, a)
		}
		if err := s.Snapshot(context.Background(), src, nil); err != nil {
			t.Fatal(err)
		}
		for a := range uint32(5) {
			commit(t, src, w, a+3)
		}
		if closed { // a second segment
			s.Close()
			s, _ = mustOpen(t, leasestore.Options{Dir: testDir, FS: m, RingRecords: 64})
			w = s.NewWriter("w")
			commit(t, src, w, 9)
		}
		prior := &mapSource{m: map[uint32]lease.Lease4{}}
		for a, l := range src.m {
			prior.m[a] = l
		}
		commit(t, src, w, 20)
		image := m
		if closed {
			s.Close()
		} else {
			image = m.Clone()
			s.Close()
		}
		same := func(got *loaded, want *mapSource) bool {
			if len(got.m) != len(want.m) {
				return false
			}
			for a, l := range want.m {
				if got.m[a] != l {
					return false
				}
			}
			return true
		}
		cases, refused := 0, 0
		try := func(what, name string, c *leasestoretest.FS) {
			cases++
			var got loaded
			s, r, err := leasestore.Open(leasestore.Options{Dir: testDir, FS: c, Load: got.load})
			if err == nil {
				s.Close()
				if !same(&got, src) && (closed || !same(&got, prior)) {
					t.Errorf("closed=%v: %s of %s gives %d leases, want %d; %+v", closed, what, name, len(got.m), len(src.m), r)
				}
				return
			}
			refused++
			var ce *leasestore.CorruptError
			if !errors.As(err, &ce) && !strings.Contains(err.Error(), "format") || !strings.Contains(err.Error(), "/leases/0") {
				t.Errorf("closed=%v: %s of %s: %v", closed, what, name, err)
			}
		}
		names := image.Names()
		slices.Sort(names)
		for _, name := range names {
			n := len(image.Bytes(name))
			for n > 0 && image.Bytes(name)[n-1] == 0 { // written ahead
				n--
			}
			for i := 0; i < n; i += step() {
				c := image.Clone()
				c.Bytes(name)[i] ^= 1 << (i % 8)
				try(fmt.Sprintf("a flip at %d", i), name, c)
			}
			if last := name == names[len(names)-1] || strings.Contains(name, "journal") && name == lastJournal(names); !last || closed {
				for i := 0; i < n && !last; i += step() { // the newest may be torn anywhere
					c := image.Clone()
					c.Cutoff(name, int64(i))
					try(fmt.Sprintf("a cut at %d", i), name, c)
				}
			}
			if name != lastJournal(names) {
				c := image.Clone()
				if err := c.Remove(name); err != nil {
					t.Fatal(err)
				}
				try("removal", name, c)
			}
		}
		if cases < 100 || refused < cases/2 {
			t.Errorf("%d of %d refused", refused, cases)
		}
	}
}

func lastJournal(names []string) string {
	last := ""
	for _, n := range names {
		if strings.HasSuffix(n, ".journal") {
			last = max(last, n)
		}
	}
	return last
}

// events collects Events and tells of them.
type events struct {
	mu sync.Mutex
	e  []leasestore.Event
	ch chan string
}

func newEvents() *events { return &events{ch: make(chan string, 1000)} }

func (v *events) event(e leasestore.Event) {
	v.mu.Lock()
	v.e = append(v.e, e)
	v.mu.Unlock()
	v.ch <- e.Kind
}

func (v *events) await(t *testing.T, kind string) {
	t.Helper()
	for {
		select {
		case k := <-v.ch:
			if k == kind {
				return
			}
		case <-time.After(time.Minute):
			t.Fatalf("no event %s", kind)
		}
	}
}

func (v *events) count(kind string) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range v.e {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// TestCannotWrite: with a full or read-only disk nothing becomes durable,
// Append refuses, it is reported once, and the store resumes by itself with
// what was queued.
func TestCannotWrite(t *testing.T) {
	for _, how := range []string{"full", "read-only", "fdatasync"} {
		t.Run(how, func(t *testing.T) {
			m := leasestoretest.New()
			src := newSource()
			ev := newEvents()
			s, _ := mustOpen(t, leasestore.Options{Dir: testDir, FS: m, RingRecords: 64, RetryEvery: time.Millisecond, Event: ev.event})
			w := s.NewWriter("w")
			for a := range uint32(100) {
				commit(t, src, w, a)
			}
			wakes := make(chan struct{}, 1)
			w.SetWake(func() {
				select {
				case wakes <- struct{}{}:
				default:
				}
			})
			switch how {
			case "full":
				m.SetLimit(m.Used() + 10)
				// The space written ahead has to be used up first.
				for {
					src.put(w, 7)
					if !w.Healthy() {
						break
					}
					w.Kick()
					runtime.Gosched()
				}
			case "read-only":
				m.SetReadOnly(true)
			case "fdatasync":
				m.SetInject(func(n int, op leasestoretest.Op, name string) leasestoretest.Fault {
					if op == leasestoretest.OpDatasync {
						return leasestoretest.Fault{Err: syscall.EIO}
					}
					return leasestoretest.Fault{}
				})
			}
			pos, _, ok := src.put(w, 200)
			durable := w.Durable()
			if how != "full" {
				if !ok {
					t.Fatal("Append refuses before anything failed")
				}
				if err := w.WaitDurable(context.Background(), pos); !errors.Is(err, leasestore.ErrFailed) {
					t.Fatalf("WaitDurable: %v", err)
				}
			}
			ev.await(t, "journal-failed")
			if h := s.Health(); h.OK || h.Err == "" || h.Since.IsZero() {
				t.Errorf("health %+v", h)
			}
			if w.Healthy() || w.Room() != 0 {
				t.Errorf("Healthy %v, Room %d while failed", w.Healthy(), w.Room())
			}
			if _, _, ok := src.put(w, 201); ok {
				t.Error("Append succeeds while failed")
			}
			if ok && w.Durable() >= pos && how != "full" {
				t.Errorf("position %d is durable (%d before)", w.Durable(), durable)
			}
			if err := s.Snapshot(context.Background(), src, nil); !errors.Is(err, leasestore.ErrFailed) {
				t.Errorf("Snapshot while failed: %v", err)
			}
			for s.Health().Attempts < 20 {
				runtime.Gosched()
			}
			if n := len(m.Names()); n > 20 {
				t.Errorf("%d files after 20 attempts", n)
			}
			m.SetLimit(0)
			m.SetReadOnly(false)
			m.SetInject(nil)
			ev.await(t, "journal-resumed")
			if h := s.Health(); !h.OK {
				t.Errorf("health after healing %+v", h)
			}
			commit(t, src, w, 300)
			<-wakes
			if n := ev.count("journal-failed"); n != 1 {
				t.Errorf("failure was reported %d times", n)
			}
			if st := s.Stats(); st.Errors == 0 || st.RingFull == 0 {
				t.Errorf("stats %+v", st)
			}
			s.Close()
			var got loaded
			s, _ = mustOpen(t, leasestore.Options{Dir: testDir, FS: m.Crash(leasestoretest.LoseAll, nil), Load: got.load})
			s.Close()
			src.check(t, &got)
		})
	}
}

// TestRingFull: records wait while the disk hangs; the ring fills, refuses, and
// goes on.
func TestRingFull(t *testing.T) {
	m := leasestoretest.New()
	s, _ := mustOpen(t, leasestore.Options{Dir: testDir, FS: m, RingRecords: 16})
	w := s.NewWriter("w")
	hang, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.SetInject(func(n int, op leasestoretest.Op, name string) leasestoretest.Fault {
		if op == leasestoretest.OpDatasync {
			once.Do(func() { close(hang); <-free })
		}
		return leasestoretest.Fault{}
	})
	l := typical(1, 1)
	w.Append(lease.OpPut, &l)
	w.Kick()
	<-hang
	if w.Room() != 16 {
		t.Errorf("Room %d, want 16", w.Room())
	}
	var pos uint64
	for i := range 16 {
		l.Version++
		p, ok := w.Append(lease.OpPut, &l)
		if !ok {
			t.Fatalf("refused at %d", i)
		}
		pos = p
	}
	if _, ok := w.Append(lease.OpPut, &l); ok || w.Room() != 0 {
		t.Errorf("appended a 17th, room %d", w.Room())
	}
	if w.Durable() != 0 {
		t.Errorf("durable %d before the sync has ended", w.Durable())
	}
	close(free)
	wait(t, w, pos)
	if w.Room() != 16 || s.Stats().RingFull != 1 {
		t.Errorf("room %d, stats %+v", w.Room(), s.Stats())
	}
	l.UserContext = strings.Repeat("x", leasestore.MaxUserContext+1)
	if _, ok := w.Append(lease.OpPut, &l); ok {
		t.Error("user context beyond the limit was taken")
	}
	s.Close()
}

// TestWatermarkInFlight holds a change between its number and its Append.
func TestWatermarkInFlight(t *testing.T) {
	m := leasestoretest.New()
	var shard sync.Mutex
	quiescing := make(chan struct{}, 10)
	s, _ := mustOpen(t, leasestore.Options{Dir: testDir, FS: m, RingRecords: 64, Quiesce: func() {
		quiescing <- struct{}{}
		shard.Lock()
		shard.Unlock()
	}})
	a, b := s.NewWriter("a"), s.NewWriter("b")
	shard.Lock() // a has taken version 1
	l2 := mkLease(2, 2)
	pos, _ := b.Append(lease.OpPut, &l2)
	wait(t, b, pos)
	<-quiescing
	if v := a.DurableVersion(); v != 0 {
		t.Fatalf("DurableVersion is %d, version 1 is not appended yet", v)
	}
	// Now version 1 is appended and visible, but the disk hangs.
	hang, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.SetInject(func(n int, op leasestoretest.Op, name string) leasestoretest.Fault {
		if op == leasestoretest.OpDatasync {
			once.Do(func() { close(hang); <-free })
		}
		return leasestoretest.Fault{}
	})
	l1 := mkLease(1, 1)
	pos, _ = a.Append(lease.OpPut, &l1)
	shard.Unlock()
	a.Kick()
	<-hang
	if v := a.DurableVersion(); v != 0 {
		t.Fatalf("DurableVersion is %d, version 1 is not durable yet", v)
	}
	close(free)
	wait(t, a, pos)
	for a.DurableVersion() != 2 { // reached without further changes
		runtime.Gosched()
	}
	s.Close()
}

// shards is a table of several shards that numbers changes as lease.Table does.
type shards struct {
	seq atomic.Uint64
	s   [8]struct {
		mu sync.Mutex
		m  map[uint32]placed
	}
}

// placed is a lease with where its record went.
type placed struct {
	l      lease.Lease4
	w, pos uint64
}

func (t *shards) quiesce() {
	for i := range t.s {
		t.s[i].mu.Lock()
		t.s[i].mu.Unlock()
	}
}

func (t *shards) Walk(f func(*lease.Lease4) bool) {
	for i := range t.Shards() {
		t.WalkShard(i, f)
	}
}

func (t *shards) Shards() int { return len(t.s) }

func (t *shards) WalkShard(i int, f func(*lease.Lease4) bool) {
	t.s[i].mu.Lock()
	defer t.s[i].mu.Unlock()
	for _, p := range t.s[i].m {
		if !f(&p.l) {
			return
		}
	}
}

// plain hides that shards are a ShardedSource.
type plain struct{ t *shards }

func (p plain) Walk(f func(*lease.Lease4) bool) { p.t.Walk(f) }

// TestConcurrent has writers on a sharded table that dawdle between number and
// Append, snapshots of both kinds at the same time, and a reader that holds the
// watermark to its promise. At the end the directory holds the table.
func TestConcurrent(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dir := t.TempDir()
	tb := &shards{}
	for i := range tb.s {
		tb.s[i].m = map[uint32]placed{}
	}
	defer leasestore.SetMarkEvery(10 * time.Microsecond)()
	ev := newEvents()
	s, _ := mustOpen(t, leasestore.Options{Dir: dir, RingRecords: 256, SegmentBytes: 64 << 10, Quiesce: tb.quiesce, Event: ev.event})
	const writers, changes = 4, 4000
	ws := make([]*leasestore.Writer, writers)
	for k := range ws {
		ws[k] = s.NewWriter(fmt.Sprint(k))
	}
	var producers, others sync.WaitGroup
	for k, w := range ws {
		producers.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(k)))
			for range changes {
				addr := uint32(r.IntN(24))
				sh := &tb.s[addr%uint32(len(tb.s))]
				sh.mu.Lock()
				l := mkLease(addr, tb.seq.Add(1))
				for range r.IntN(40) - 20 {
					runtime.Gosched()
				}
				op := lease.OpPut
				if r.IntN(3) == 0 {
					op = lease.OpDelete
				}
				pos, ok := w.Append(op, &l)
				if ok && op == lease.OpPut {
					sh.m[addr] = placed{l, uint64(k), pos}
				} else if ok {
					delete(sh.m, addr)
				}
				sh.mu.Unlock()
				if !ok || r.IntN(8) == 0 {
					w.Kick()
				}
				if !ok {
					_ = w.WaitDurable(context.Background(), pos)
					runtime.Gosched()
				}
			}
			w.Kick()
		})
	}
	stop := make(chan struct{})
	var said, served atomic.Int64
	others.Go(func() {
		r := rand.New(rand.NewPCG(seed, 99))
		for {
			select {
			case <-stop:
				return
			default:
			}
			addr := uint32(r.IntN(24))
			sh := &tb.s[addr%uint32(len(tb.s))]
			sh.mu.Lock()
			p, ok := sh.m[addr]
			sh.mu.Unlock()
			if !ok {
				continue
			}
			said.Add(1)
			if ws[0].DurableVersion() >= p.l.Version {
				served.Add(1)
				if d := ws[p.w].Durable(); d < p.pos {
					t.Errorf("version %d is said to be durable, its writer is at %d of %d", p.l.Version, d, p.pos)
					return
				}
			}
			runtime.Gosched()
		}
	})
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-s.NeedSnapshot():
			}
			var src leasestore.Source = tb
			if i%2 == 0 {
				src = plain{tb}
			}
			if err := s.Snapshot(context.Background(), src, nil); err != nil {
				t.Error(err)
				return
			}
		}
	})
	producers.Wait()
	for _, w := range ws {
		pos, ok := uint64(0), false
		l := lease.Lease4{Addr: 5000, Version: tb.seq.Add(1)}
		for !ok {
			if pos, ok = w.Append(lease.OpDelete, &l); !ok {
				w.Kick()
				runtime.Gosched()
			}
		}
		wait(t, w, pos)
	}
	for ws[0].DurableVersion() < tb.seq.Load() {
		runtime.Gosched()
	}
	for served.Load() == 0 && !t.Failed() { // all that is left is durable
		runtime.Gosched()
	}
	close(stop)
	others.Wait()
	if served.Load() == 0 || s.Stats().Snapshots == 0 {
		t.Errorf("%d of %d looks found a durable version; %d snapshots", served.Load(), said.Load(), s.Stats().Snapshots)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := newSource()
	for i := range tb.s {
		for a, p := range tb.s[i].m {
			want.m[a] = p.l
		}
	}
	var got loaded
	s, _ = mustOpen(t, leasestore.Options{Dir: dir, Load: got.load, Parallel: true})
	want.check(t, &got)
	s.Close()
}

func TestSyncNone(t *testing.T) {
	m := leasestoretest.New()
	var syncs atomic.Int64
	m.SetInject(func(n int, op leasestoretest.Op, name string) leasestoretest.Fault {
		if op == leasestoretest.OpDatasync {
			syncs.Add(1)
		}
		return leasestoretest.Fault{}
	})
	s, _ := mustOpen(t, leasestore.Options{Dir: testDir, FS: m, Sync: leasestore.SyncNone})
	w := s.NewWriter("w")
	before := syncs.Load()
	src := newSource()
	for a := range uint32(100) {
		pos, v, ok := src.put(w, a)
		if !ok || w.Durable() != pos || w.DurableVersion() < v {
			t.Fatalf("position %d, durable %d, version %d", pos, w.Durable(), w.DurableVersion())
		}
	}
	w.Kick()
	for s.Stats().Records < 100 {
		runtime.Gosched()
	}
	if n := syncs.Load() - before; n != 0 {
		t.Errorf("%d syncs", n)
	}
	// The process dies: all is there. The power fails: nothing need be, but the
	// directory opens.
	m.Cut()
	s.Close()
	m2 := m.Crash(leasestoretest.KeepAll, nil)
	var got loaded
	s, _ = mustOpen(t, leasestore.Options{Dir: testDir, FS: m2, Sync: leasestore.SyncNone, Load: got.load})
	src.check(t, &got)
	m2.Cut()
	s.Close()
	s, _ = mustOpen(t, leasestore.Options{Dir: testDir, FS: m2.Crash(leasestoretest.LoseAll, nil)})
	s.Close()
}

// TestSyncNonePowerCut: after a power cut the directory opens with some state
// that was, whatever of the unsynced writes survived.
func TestSyncNonePowerCut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for n := 1; n < 120; n++ {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		sc := &scenario{fs: leasestoretest.New(), m: newModel(), r: r, rounds: 2, batches: 7, sync: leasestore.SyncNone}
		sc.fs.CutAt(n)
		_ = sc.run()
		for range 3 {
			sc.fs = sc.fs.Crash(leasestoretest.Mode(r.IntN(3)), r)
			s, _, err := leasestore.Open(leasestore.Options{Dir: testDir, FS: sc.fs, Sync: leasestore.Sync(r.IntN(2))})
			if err != nil {
				t.Fatalf("cut at %d: %v", n, err)
			}
			if r.IntN(2) == 0 {
				sc.fs.Cut()
			}
			s.Close()
		}
	}
}

func TestRetire(t *testing.T) {
	m := leasestoretest.New()
	src := newSource()
	s, _ := mustOpen(t, leasestore.Options{Dir: testDir, FS: m, RingRecords: 16})
	for range 1000 { // far more than 256
		w := s.NewWriter("command")
		src.put(w, 1)
		w.Retire()
		if _, _, ok := src.put(w, 2); ok {
			t.Fatal("Append succeeds after Retire")
		}
		pos := uint64(1)
		wait(t, w, pos)
		if n := s.Stats().Records; n%200 == 0 {
			commitOther := s.NewWriter("other")
			commit(t, src, commitOther, 3)
			commitOther.Retire()
		}
		for s.Writers() > 100 {
			runtime.Gosched()
		}
	}
	if n := s.Stats().RingFull; n != 1000 {
		t.Errorf("%d refused, want 1000", n)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the 257th writer does not panic")
			}
		}()
		for range 400 {
			s.NewWriter("many")
		}
	}()
	s.Close()
	var got loaded
	s, _ = mustOpen(t, leasestore.Options{Dir: testDir, FS: m, Load: got.load})
	s.Close()
	src.check(t, &got)
}

func TestSnapshot(t *testing.T) {
	m := leasestoretest.New()
	src := newSource()
	ev := newEvents()
	s, _ := mustOpen(t, leasestore.Options{Dir: testDir, FS: m, Event: ev.event, SegmentBytes: 4096})
	w := s.NewWriter("w")
	for a := range uint32(300) {
		commit(t, src, w, a)
	}
	<-s.NeedSnapshot()
	offer := mkLease(5000, 0)
	offer.State = lease.StateOffered
	src.m[5000] = offer
	// A failure leaves everything as it was.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Snapshot(ctx, src, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	m.SetInject(func(n int, op leasestoretest.Op, name string) leasestoretest.Fault {
		if op == leasestoretest.OpRename {
			return leasestoretest.Fault{Err: syscall.EIO}
		}
		return leasestoretest.Fault{}
	})
	if err := s.Snapshot(context.Background(), src, nil); !errors.Is(err, syscall.EIO) {
		t.Errorf("rename fails: %v", err)
	}
	if ev.count("snapshot-failed") == 0 || !s.Health().OK {
		t.Error("failed snapshot: no event, or the journal failed with it")
	}
	for _, n := range m.Names() {
		if strings.Contains(n, "snapshot") {
			t.Errorf("%s remains", n)
		}
	}
	m.SetInject(nil)
	if err := s.Snapshot(context.Background(), src, nil); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Snapshots != 1 || st.JournalBytes != 0 || st.LastSnapshot.IsZero() {
		t.Errorf("stats %+v", st)
	}
	if n := m.Names(); len(n) != 2 {
		t.Errorf("files after a snapshot: %v", n)
	}
	s.Close()
	delete(src.m, 5000)
	var got loaded
	s, r := mustOpen(t, leasestore.Options{Dir: testDir, FS: m, Load: got.load})
	src.check(t, &got)
	if r.Snapshot == "" || r.Records != 0 || r.MaxVersion != src.ok {
		t.Errorf("recovery %+v", r)
	}
	s.Close()
	if err := s.Snapshot(context.Background(), src, nil); !errors.Is(err, leasestore.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestInspectAndBadDirectories(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	src := newSource()
	s, _ := mustOpen(t, leasestore.Options{Dir: dir})
	w := s.NewWriter("w")
	for a := range uint32(50) {
		commit(t, src, w, a)
	}
	s.Close()
	list := func() (out string) {
		e, _ := os.ReadDir(dir)
		for _, e := range e {
			i, _ := e.Info()
			out += fmt.Sprintln(e.Name(), i.Size(), i.ModTime())
		}
		return out
	}
	before := list()
	var got loaded
	r, err := leasestore.Inspect(dir, got.load, nil)
	if err != nil || r.Leases != 50 || r.MaxVersion != 50 {
		t.Fatalf("Inspect: %+v, %v", r, err)
	}
	src.check(t, &got)
	if list() != before {
		t.Errorf("Inspect changed the directory:\n%s\nwas\n%s", list(), before)
	}
	if _, err := leasestore.Inspect(dir+"x", nil, nil); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), dir+"x") {
		t.Errorf("Inspect of a missing directory: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := leasestore.Open(leasestore.Options{Dir: file}); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("Open of a file: %v", err)
	}
	if _, _, err := leasestore.Open(leasestore.Options{Dir: dir, RingRecords: 3}); err == nil {
		t.Error("a ring of 3 records is taken")
	}
	// A name of ours that is no file.
	if err := os.Mkdir(filepath.Join(dir, "000000000099.journal"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := leasestore.Open(leasestore.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "000000000099.journal: not a regular file") {
		t.Errorf("directory in a segment's place: %v", err)
	}
	if os.Geteuid() == 0 {
		return // root may do anything
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, _, err := leasestore.Open(leasestore.Options{Dir: dir}); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open without permission: %v", err)
	}
}

// TestTornTail cuts the newest segment of a killed server at every byte of its
// last commit.
func TestTornTail(t *testing.T) {
	m := leasestoretest.New()
	src := newSource()
	s, _ := mustOpen(t, leasestore.Options{Dir: testDir, FS: m})
	w := s.NewWriter("w")
	for a := range uint32(10) {
		commit(t, src, w, a)
	}
	name := lastJournal(m.Names())
	used := func() int {
		b := m.Clone().Bytes(name)
		n := len(b)
		for n > 0 && b[n-1] == 0 {
			n--
		}
		return n
	}
	from := used()
	image := m.Clone()
	l := mkLease(99, 1000)
	l.UserContext = `{"x":1}` // does not end in zero
	pos, _ := w.Append(lease.OpPut, &l)
	wait(t, w, pos)
	to := used()
	image = m.Clone()
	s.Close()
	for cut := from; cut < to; cut++ {
		c := image.Clone()
		c.Cutoff(name, int64(cut))
		var got loaded
		ev := newEvents()
		s, r := mustOpen(t, leasestore.Options{Dir: testDir, FS: c, Load: got.load, Event: ev.event})
		src.check(t, &got)
		if torn := cut > from; torn != (r.TornBytes > 0) || torn && ev.count("tail-cut") != 1 {
			t.Errorf("cut at %d of %d to %d: %+v, %d events", cut, from, to, r, ev.count("tail-cut"))
		}
		s.Close()
	}
	var got loaded
	s, _ = mustOpen(t, leasestore.Options{Dir: testDir, FS: image, Load: got.load})
	s.Close()
	if got.m[99] != l {
		t.Error("the whole commit is not recovered")
	}
}
