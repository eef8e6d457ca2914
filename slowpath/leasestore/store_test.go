package leasestore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mkLease makes a lease whose fields all depend on addr and version.
func mkLease(addr uint32, version uint64) lease.Lease4 {
	r := rand.New(rand.NewPCG(uint64(addr), version))
	l := lease.Lease4{
		Addr: dhcp4.IPv4(addr), Version: version, SubnetID: r.Uint32(), PoolID: r.Uint32(),
		CLTTUnixS: r.Int64N(1 << 40), ValidLifetimeS: r.Uint32(),
		State: lease.State(r.IntN(4)), FQDNFwd: r.IntN(2) == 0, FQDNRev: r.IntN(2) == 0,
	}
	var b [255]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	l.SetHW(uint8(r.Uint32()), b[:r.IntN(lease.MaxHWAddrLen+1)])
	l.SetCID(b[:r.IntN(20)])
	l.SetHost(b[:r.IntN(20)])
	switch r.IntN(20) {
	case 0:
		l.UserContext = `{"n":` + strings.Repeat("1", 1+r.IntN(1000)) + `}`
	case 1:
		l.SetCID(b[:])
		l.SetHost(b[:])
	}
	return l
}

// loaded collects what Load is given.
type loaded struct {
	mu  sync.Mutex
	m   map[uint32]lease.Lease4
	dup bool
}

func (c *loaded) load(l *lease.Lease4) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[uint32]lease.Lease4{}
	}
	if _, ok := c.m[uint32(l.Addr)]; ok {
		c.dup = true
	}
	c.m[uint32(l.Addr)] = *l
}

// mapSource is a Source under one lock, as a table of one shard is.
type mapSource struct {
	mu sync.Mutex
	m  map[uint32]lease.Lease4
	v  uint64 // taken
	ok uint64 // the latest that was appended
}

func (s *mapSource) Walk(f func(*lease.Lease4) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.m {
		if !f(&l) {
			return
		}
	}
}

func (s *mapSource) put(w *leasestore.Writer, addr uint32) (pos, version uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v++
	l := mkLease(addr, s.v)
	pos, ok = w.Append(lease.OpPut, &l)
	if ok {
		s.m[addr] = l
		s.ok = s.v
	}
	return pos, s.v, ok
}

func (s *mapSource) del(w *leasestore.Writer, addr uint32) (pos, version uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v++
	pos, ok = w.Append(lease.OpDelete, &lease.Lease4{Addr: dhcp4.IPv4(addr), Version: s.v})
	if ok {
		delete(s.m, addr)
		s.ok = s.v
	}
	return pos, s.v, ok
}

func newSource() *mapSource { return &mapSource{m: map[uint32]lease.Lease4{}} }

func (s *mapSource) check(t *testing.T, got *loaded) {
	t.Helper()
	if got.dup {
		t.Errorf("an address was loaded twice")
	}
	if len(got.m) != len(s.m) {
		t.Errorf("recovered %d leases, want %d", len(got.m), len(s.m))
	}
	for a, want := range s.m {
		if l, ok := got.m[a]; !ok {
			t.Errorf("lease %v is missing", want.Addr)
		} else if l != want {
			t.Errorf("lease %v is\n%+v\nwant\n%+v", want.Addr, l, want)
		}
	}
}

func wait(t *testing.T, w *leasestore.Writer, pos uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.WaitDurable(ctx, pos); err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t *testing.T, o leasestore.Options) (*leasestore.Store, *leasestore.Recovery) {
	t.Helper()
	s, r, err := leasestore.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

// TestReopen puts, deletes, takes snapshots and reopens a real directory.
func TestReopen(t *testing.T) {
	for _, sync := range []leasestore.Sync{leasestore.SyncGroup, leasestore.SyncNone} {
		for _, parallel := range []bool{false, true} {
			t.Run(fmt.Sprintf("sync=%d/parallel=%v", sync, parallel), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "leases")
				src := newSource()
				r := rand.New(rand.NewPCG(1, 2))
				for round := range 4 {
					var got loaded
					s, rec := mustOpen(t, leasestore.Options{Dir: dir, Sync: sync, Load: got.load, Parallel: parallel, RingRecords: 256})
					src.check(t, &got)
					if rec.MaxVersion != src.ok || rec.Leases != len(src.m) || rec.TornBytes != 0 {
						t.Errorf("round %d: recovery %+v, want %d leases up to version %d", round, rec, len(src.m), src.ok)
					}
					ws := []*leasestore.Writer{s.NewWriter("a"), s.NewWriter("b")}
					var pos [2]uint64
					for i := range 2000 {
						k := r.IntN(2)
						op := src.put
						if r.IntN(3) == 0 {
							op = src.del
						}
						p, _, ok := op(ws[k], uint32(r.IntN(500)))
						if !ok {
							wait(t, ws[k], pos[k])
							continue
						}
						pos[k] = p
						if i == 1000 && round > 0 {
							if err := s.Snapshot(context.Background(), src, nil); err != nil {
								t.Fatal(err)
							}
						}
					}
					for k, w := range ws {
						wait(t, w, pos[k])
						if w.Durable() < pos[k] {
							t.Errorf("Durable is %d, want %d", w.Durable(), pos[k])
						}
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					if _, ok := ws[0].Append(lease.OpPut, &lease.Lease4{}); ok {
						t.Error("Append succeeds after Close")
					}
				}
				names, _ := os.ReadDir(dir)
				if len(names) > 6 {
					t.Errorf("superfluous files remain: %v", names)
				}
			})
		}
	}
}

func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	s, _ := mustOpen(t, leasestore.Options{Dir: dir})
	_, _, err := leasestore.Open(leasestore.Options{Dir: dir})
	if !errors.Is(err, leasestore.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second Open: %v", err)
	}
	if _, err := leasestore.Inspect(dir, nil, nil); !errors.Is(err, leasestore.ErrLocked) {
		t.Errorf("Inspect of a directory in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	s, _ = mustOpen(t, leasestore.Options{Dir: dir})
	s.Close()
}
