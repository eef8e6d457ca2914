package leasestore_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

func addr6(n uint32) lease6.IPv6 {
	return lease6.IPv6{0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// mkLease6 makes a lease whose fields all depend on n and version.
func mkLease6(n uint32, version uint64) lease6.Lease6 {
	r := rand.New(rand.NewPCG(uint64(n), version))
	l := lease6.Lease6{
		Addr: addr6(n), PrefixLen: 128, IAID: r.Uint32(), Version: version, SubnetID: r.Uint32(), PoolID: r.Uint32(),
		CLTTUnixS: r.Int64N(1 << 40), PreferredLifetimeS: r.Uint32(), ValidLifetimeS: r.Uint32(),
		State: lease.State(r.IntN(5)), FQDNFwd: r.IntN(2) == 0, FQDNRev: r.IntN(2) == 0,
	}
	if r.IntN(2) == 0 {
		l.Type, l.PrefixLen = lease6.TypePD, uint8(r.IntN(129))
	}
	var b [600]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	l.SetID(b[:r.IntN(20)])
	l.SetHW(uint16(r.Uint32()), b[:r.IntN(lease6.MaxHWAddrLen+1)], lease6.HWSource(r.Uint32()))
	l.SetHost(b[:r.IntN(20)])
	switch r.IntN(20) {
	case 0:
		l.UserContext = `{"n":` + strings.Repeat("1", 1+r.IntN(1000)) + `}`
	case 1:
		l.SetID(b[:])
		l.SetHost(b[:])
		l.SetRelays(b[:lease6.MaxRelayInfoLen])
	}
	return l
}

// sixSource is a Source6 under one lock.
type sixSource struct {
	mu sync.Mutex
	m  map[uint32]lease6.Lease6
	v  uint64 // taken
}

func newSixSource() *sixSource { return &sixSource{m: map[uint32]lease6.Lease6{}} }

func (s *sixSource) Walk(f func(*lease6.Lease6) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.m {
		if !f(&l) {
			return
		}
	}
}

// change puts a lease, or deletes it if gone.
func (s *sixSource) change(w *leasestore.Writer, n uint32, gone bool) (pos, version uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v++
	l := mkLease6(n, s.v)
	if gone {
		if pos, ok = w.Append6(lease.OpDelete, &l); ok {
			delete(s.m, n)
		}
	} else if pos, ok = w.Append6(lease.OpPut, &l); ok {
		s.m[n] = l
	}
	return pos, s.v, ok
}

// loaded6 collects what Load6 is given.
type loaded6 struct {
	mu  sync.Mutex
	m   map[uint32]lease6.Lease6
	dup bool
}

func (c *loaded6) load(l *lease6.Lease6) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[uint32]lease6.Lease6{}
	}
	n := uint32(l.Addr[12])<<24 | uint32(l.Addr[13])<<16 | uint32(l.Addr[14])<<8 | uint32(l.Addr[15])
	_, dup := c.m[n]
	c.dup = c.dup || dup
	c.m[n] = *l
}

// TestBothFamilies: one directory, one commit and one snapshot for both; the
// numbers of one family say nothing of the other's.
func TestBothFamilies(t *testing.T) {
	for _, parallel := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "leases")
		src, six := newSource(), newSixSource()
		six.v = 1 << 40 // far from the other's
		r := rand.New(rand.NewPCG(3, 4))
		for round := range 4 {
			var got loaded
			var got6 loaded6
			reserved := -1
			s, rec := mustOpen(t, leasestore.Options{Dir: dir, Load: got.load, Load6: got6.load, Parallel: parallel, RingRecords: 256,
				Reserve: func(n, n6 int) {
					if reserved != -1 || got.m != nil || got6.m != nil {
						t.Error("Reserve comes twice or late")
					}
					reserved = n + n6
				}})
			src.check(t, &got)
			if got6.dup || len(got6.m) != len(six.m) || rec.Leases6 != len(six.m) || rec.Leases != len(src.m) || round > 0 && rec.MaxVersion6 != six.v {
				t.Errorf("round %d: %d of %d DHCPv6 leases, %+v", round, len(got6.m), len(six.m), rec)
			}
			for n, l := range six.m {
				if got6.m[n] != l {
					t.Errorf("round %d: lease %v is\n%+v\nwant\n%+v", round, l.Addr, got6.m[n], l)
				}
			}
			// More than there are only as far as the journal deletes.
			if round > 0 && (reserved < 100 || reserved > 1000) {
				t.Errorf("round %d: room for %d, there are %d", round, reserved, len(src.m)+len(six.m))
			}
			w := s.NewWriter("w")
			var last uint64
			for i := range 2000 {
				n, gone := uint32(r.IntN(500)), r.IntN(3) == 0
				var pos uint64
				var ok bool
				switch {
				case r.IntN(2) == 0:
					pos, _, ok = six.change(w, n, gone)
				case gone:
					pos, _, ok = src.del(w, n)
				default:
					pos, _, ok = src.put(w, n)
				}
				if !ok {
					wait(t, w, last)
					continue
				}
				last = pos
				if i%700 == 699 && round%2 == 1 {
					if err := s.Snapshot(context.Background(), src, six); err != nil {
						t.Fatal(err)
					}
				}
			}
			wait(t, w, last)
			if s.Snapshot(context.Background(), src, nil) == nil || s.Snapshot(context.Background(), nil, six) == nil {
				t.Error("a snapshot of one family forgets the other's leases")
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		if _, err := leasestore.Inspect(dir, nil, func(l *lease6.Lease6) { n++ }); err != nil || n != len(six.m) {
			t.Errorf("Inspect gives %d DHCPv6 leases, want %d: %v", n, len(six.m), err)
		}
	}
}

// TestWatermark6: DurableVersion6 follows the DHCPv6 changes alone.
func TestWatermark6(t *testing.T) {
	defer leasestore.SetMarkEvery(1)()
	src, six := newSource(), newSixSource()
	s, _ := mustOpen(t, leasestore.Options{Dir: t.TempDir(), Quiesce: func() {
		src.mu.Lock()
		six.mu.Lock()
		six.mu.Unlock()
		src.mu.Unlock()
	}})
	defer s.Close()
	w := s.NewWriter("w")
	if w.Room6() <= 0 || w.Room6() > w.Room() {
		t.Errorf("room for %d", w.Room6())
	}
	for n := range uint32(20) {
		pos, v, _ := six.change(w, n, false)
		wait(t, w, pos)
		for w.DurableVersion6() < v { // the watermark comes by itself
			wait(t, w, pos)
		}
		if w.DurableVersion6() > six.v || w.DurableVersion() != 0 {
			t.Errorf("watermarks %d and %d after %d", w.DurableVersion(), w.DurableVersion6(), v)
		}
	}
}

func TestAppend6AllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s, _ := mustOpen(t, leasestore.Options{Dir: t.TempDir()})
	defer s.Close()
	w := s.NewWriter("w")
	l := mkLease6(1, 1)
	if n := testing.AllocsPerRun(1000, func() {
		if _, ok := w.Append6(lease.OpPut, &l); !ok {
			t.Fatal("ring is full")
		}
		_ = w.Room6()
		_ = w.DurableVersion6()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
