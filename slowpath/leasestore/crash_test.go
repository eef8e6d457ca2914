package leasestore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore/leasestoretest"
)

const testDir = "/leases"

// change is one change of an address, as the model knows it.
type change struct {
	version uint64
	deleted bool
	lease   lease.Lease4
	lease6  lease6.Lease6
}

// six marks the keys of DHCPv6 leases in the model.
const six = 1 << 31

// model is what may and must be found after a power cut.
type model struct {
	src     *mapSource
	src6    *sixSource
	history map[uint32][]change
	acked   map[uint32]uint64 // version that must not be lost
	waiting map[uint32]uint64 // appended, not yet known durable
}

func newModel() *model {
	return &model{newSource(), newSixSource(), map[uint32][]change{}, map[uint32]uint64{}, map[uint32]uint64{}}
}

func (m *model) appended(addr uint32, c change) {
	m.history[addr] = append(m.history[addr], c)
	m.waiting[addr] = c.version
}

func (m *model) ack() {
	for a, v := range m.waiting {
		m.acked[a] = v
	}
	clear(m.waiting)
}

// verify compares what was recovered with the model and makes it the model.
func (m *model) verify(got *loaded, got6 *loaded6, rec *leasestore.Recovery) error {
	if got.dup || got6.dup {
		return errors.New("an address was loaded twice")
	}
	for a, l := range got.m {
		i := slices.IndexFunc(m.history[a], func(c change) bool { return c.version == l.Version })
		if i < 0 {
			return fmt.Errorf("%v has version %d, which was never appended", l.Addr, l.Version)
		}
		if c := m.history[a][i]; c.deleted || c.lease != l {
			return fmt.Errorf("%v at version %d is %+v, was %+v", l.Addr, l.Version, l, c)
		}
		if l.Version < m.acked[a] {
			return fmt.Errorf("%v has version %d, %d was acknowledged", l.Addr, l.Version, m.acked[a])
		}
	}
	for k, l := range got6.m {
		a := k | six
		i := slices.IndexFunc(m.history[a], func(c change) bool { return c.version == l.Version })
		if i < 0 || m.history[a][i].deleted || m.history[a][i].lease6 != l || l.Version < m.acked[a] {
			return fmt.Errorf("%v at version %d is %+v, %d was acknowledged", l.Addr, l.Version, l, m.acked[a])
		}
	}
	for a, v := range m.acked {
		_, ok := got.m[a]
		if _, ok6 := got6.m[a&^six]; ok || ok6 && a >= six {
			continue
		}
		if !slices.ContainsFunc(m.history[a], func(c change) bool { return c.deleted && c.version >= v }) {
			return fmt.Errorf("%v is missing, version %d was acknowledged", dhcp4.IPv4(a), v)
		}
	}
	for a, v := range m.acked {
		if a < six && rec.MaxVersion < v || a >= six && rec.MaxVersion6 < v {
			return fmt.Errorf("MaxVersion is %d, %v was acknowledged with %d", rec.MaxVersion, dhcp4.IPv4(a), v)
		}
	}
	// Versions of changes that were lost are given again: they must not come
	// back.
	n := newModel()
	n.src.v, n.src6.v = rec.MaxVersion, rec.MaxVersion6
	for k, l := range got6.m {
		n.src6.m[k] = l
		n.history[k|six] = []change{{version: l.Version, lease6: l}}
		n.acked[k|six] = l.Version
	}
	for a, l := range got.m {
		n.src.m[a] = l
		n.history[a] = []change{{version: l.Version, lease: l}}
		n.acked[a] = l.Version
	}
	*m = *n
	return nil
}

// scenario opens, changes leases, waits, takes snapshots and closes, until
// something fails. Only what it says in the model happened. With cleanly, it
// closes without error at the end, else it just stops as a killed process does.
type scenario struct {
	fs      *leasestoretest.FS
	m       *model
	r       *rand.Rand
	sync    leasestore.Sync
	rounds  int
	batches int
	heal    bool // go on after failures
}

var errStopped = errors.New("stopped")

func (sc *scenario) open() (*leasestore.Store, *loaded, *loaded6, *leasestore.Recovery, error) {
	var got loaded
	var got6 loaded6
	retry := time.Hour
	if sc.heal {
		retry = time.Millisecond
	}
	s, rec, err := leasestore.Open(leasestore.Options{Dir: testDir, FS: sc.fs, Sync: sc.sync, Load: got.load, Load6: got6.load,
		RingRecords: 64, RetryEvery: retry, Quiesce: func() {
			sc.m.src.mu.Lock()
			sc.m.src.mu.Unlock()
			sc.m.src6.mu.Lock()
			sc.m.src6.mu.Unlock()
		}})
	return s, &got, &got6, rec, err
}

// durable waits until pos is durable; with heal, through failures.
func (sc *scenario) durable(w *leasestore.Writer, pos uint64) error {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := w.WaitDurable(ctx, pos)
		cancel()
		if !sc.heal || sc.fs.Dead() || !errors.Is(err, leasestore.ErrFailed) {
			return err
		}
		time.Sleep(100 * time.Microsecond) // only to leave the processor
	}
}

func (sc *scenario) run() error {
	for range sc.rounds {
		s, got, got6, rec, err := sc.open()
		for try := 0; sc.heal && err != nil && try < 20; try++ {
			s, got, got6, rec, err = sc.open()
		}
		if err != nil {
			return err
		}
		if err := sc.m.verify(got, got6, rec); err != nil {
			s.Close()
			return fmt.Errorf("VERIFY: %w", err)
		}
		err = sc.work(s)
		cerr := s.Close()
		if err == nil && (!sc.heal || sc.fs.Dead()) {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (sc *scenario) work(s *leasestore.Store) error {
	ws := []*leasestore.Writer{s.NewWriter("a"), s.NewWriter("b")}
	pos := make([]uint64, len(ws))
	for b := range sc.batches {
		for range 1 + sc.r.IntN(12) {
			k := sc.r.IntN(len(ws))
			addr := 0x0A000000 + uint32(sc.r.IntN(24)) + six*uint32(sc.r.IntN(2))
			var c change
			for {
				var ok bool
				c = change{deleted: sc.r.IntN(3) == 0}
				if addr >= six {
					pos[k], c.version, ok = sc.m.src6.change(ws[k], addr&^six, c.deleted)
					c.lease6 = sc.m.src6.m[addr&^six]
				} else if c.deleted {
					pos[k], c.version, ok = sc.m.src.del(ws[k], addr)
				} else {
					pos[k], c.version, ok = sc.m.src.put(ws[k], addr)
					c.lease = sc.m.src.m[addr]
				}
				if ok {
					break
				}
				if !sc.heal || sc.fs.Dead() {
					return errStopped
				}
				time.Sleep(100 * time.Microsecond) // only to leave the processor
			}
			sc.m.appended(addr, c)
		}
		for k, w := range ws {
			if err := sc.durable(w, pos[k]); err != nil {
				return err
			}
		}
		sc.m.ack()
		if dv := ws[0].DurableVersion(); sc.sync == leasestore.SyncGroup && dv > sc.m.src.v {
			return fmt.Errorf("VERIFY: DurableVersion is %d, the latest is %d", dv, sc.m.src.v)
		}
		if b%3 == 2 {
			if err := s.Snapshot(context.Background(), sc.m.src, sc.m.src6); err != nil && (!sc.heal || sc.fs.Dead()) {
				return err
			}
		}
	}
	for _, w := range ws {
		w.Retire()
	}
	return nil
}

// step is how many operations lie between two tries: the race detector looks
// for races, not for lost leases.
func step() int {
	if raceEnabled {
		return 1 + rand.IntN(7)
	}
	return 1
}

func isVerify(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "VERIFY") }

// TestPowerCut cuts the power before every operation of a scenario, in every
// mode, recovers, checks, and cuts again during recovery and after.
func TestPowerCut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	seeds := 3
	if testing.Short() || raceEnabled {
		seeds = 1
	}
	cases := 0
	for si := range seeds {
		for _, mode := range []leasestoretest.Mode{leasestoretest.LoseAll, leasestoretest.KeepAll, leasestoretest.KeepSome} {
			for n := 1; ; n += step() {
				cases++
				r := rand.New(rand.NewPCG(seed+uint64(si), uint64(n)))
				sc := &scenario{fs: leasestoretest.New(), m: newModel(), r: r, rounds: 2, batches: 7}
				sc.fs.CutAt(n)
				err := sc.run()
				if isVerify(err) {
					t.Fatalf("cut at %d, %v: before the cut: %v", n, mode, err)
				}
				if err == nil {
					break
				}
				if sc.fs.Ops() < n {
					t.Fatalf("cut at %d, %v: failed before the cut: %v", n, mode, err)
				}
				trace := fmt.Sprintf("cut at %d (%v), seed %d", n, mode, seed+uint64(si))
				// More cuts, some of them while recovering.
				for k := range 4 {
					sc.fs = sc.fs.Crash(mode, r)
					if k < 3 {
						sc.fs.CutAt(1 + r.IntN(20<<(2*k)))
					}
					sc.rounds, sc.batches = 1+k/3, 4
					err = sc.run()
					trace += fmt.Sprintf("; ops %d: %v", sc.fs.Ops(), err)
					if isVerify(err) || k == 3 && err != nil || errors.As(err, new(*leasestore.CorruptError)) {
						t.Fatalf("%s", trace)
					}
					if mode == leasestoretest.KeepAll && k == 1 {
						mode := leasestoretest.LoseAll // the machine goes down after all
						sc.fs = sc.fs.Crash(mode, r)
					}
				}
			}
		}
	}
	t.Logf("%d cuts", cases)
}

// TestWriteErrors fails every operation once, and for a while, in several ways,
// with and without effect; the store must resume by itself and lose nothing.
func TestWriteErrors(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	cases := 0
	for _, how := range []struct {
		name  string
		err   error
		done  bool
		count int
	}{
		{"eio", syscall.EIO, false, 1},
		{"eio with effect", syscall.EIO, true, 1},
		{"enospc for a while", syscall.ENOSPC, false, 9},
		{"eio every other", syscall.EIO, false, -12},
	} {
		for n := 1; ; n += step() {
			cases++
			r := rand.New(rand.NewPCG(seed, uint64(n)))
			sc := &scenario{fs: leasestoretest.New(), m: newModel(), r: r, rounds: 2, batches: 4, heal: true}
			sc.fs.SetInject(func(i int, op leasestoretest.Op, name string) leasestoretest.Fault {
				last := n + how.count
				if how.count < 0 {
					last = n - how.count
				}
				if i >= n && i < last && (how.count > 0 || i%2 == n%2) {
					return leasestoretest.Fault{Err: how.err, Done: how.done}
				}
				return leasestoretest.Fault{}
			})
			err := sc.run()
			if err != nil {
				t.Fatalf("%s at operation %d, seed %d: %v", how.name, n, seed, err)
			}
			ops := sc.fs.Ops()
			// Whatever was acknowledged must be there when the power fails now,
			// on the disk and not only in the page cache.
			sc.fs = sc.fs.Crash(leasestoretest.LoseAll, r)
			sc.rounds = 1
			if err := sc.run(); err != nil {
				t.Fatalf("%s at operation %d, seed %d, after a power cut: %v", how.name, n, seed, err)
			}
			if n > ops || testing.Short() && n > 60 {
				break
			}
		}
	}
	t.Logf("%d cases", cases)
}

// TestErrorThenPowerCut fails one operation and cuts the power a little later:
// what a failed attempt left behind must not mislead recovery.
func TestErrorThenPowerCut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	cases, bad := 0, syscall.EIO
	for round := range 12 {
		if round >= 3 && (testing.Short() || raceEnabled) {
			break
		}
		for n := 1; ; n += step() {
			cases++
			r := rand.New(rand.NewPCG(seed+uint64(round), uint64(n)))
			mode := leasestoretest.Mode(r.IntN(3))
			done := r.IntN(2) == 0
			from, to := n, n+1+r.IntN(4)
			if r.IntN(2) == 0 {
				from = max(1, n-r.IntN(10)) // a second one before
			}
			sc := &scenario{fs: leasestoretest.New(), m: newModel(), r: r, rounds: 2, batches: 4, heal: true}
			sc.fs.SetInject(func(i int, op leasestoretest.Op, name string) leasestoretest.Fault {
				if i == from || i >= n && i < to {
					return leasestoretest.Fault{Err: bad, Done: done}
				}
				return leasestoretest.Fault{}
			})
			cut := n + 1 + r.IntN(25)
			sc.fs.CutAt(cut)
			err := sc.run()
			if isVerify(err) {
				t.Fatal(err)
			}
			if err == nil && !sc.fs.Dead() {
				break
			}
			trace := fmt.Sprintf("errors at %d and %d to %d (done: %v), cut at %d (%v), seed %d", from, n, to, done, cut, mode, seed+uint64(round))
			sc.fs = sc.fs.Crash(mode, r)
			if mode == leasestoretest.KeepAll && r.IntN(2) == 0 {
				sc.fs.CutAt(1 + r.IntN(60))
				if err := sc.run(); isVerify(err) || errors.As(err, new(*leasestore.CorruptError)) {
					t.Fatalf("%s: after the process died: %v", trace, err)
				}
				sc.fs = sc.fs.Crash(leasestoretest.LoseAll, r)
			}
			sc.heal, sc.rounds = false, 2
			if err := sc.run(); err != nil {
				t.Fatalf("%s: %v", trace, err)
			}
		}
	}
	t.Logf("%d cases", cases)
}
