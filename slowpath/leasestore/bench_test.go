package leasestore_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// typical is a lease as cable modems have it: client-id and no host name.
func typical(addr uint32, version uint64) (l lease.Lease4) {
	l = lease.Lease4{Addr: dhcp4.IPv4(addr), SubnetID: 1, CLTTUnixS: 1700000000, ValidLifetimeS: 3600, Version: version}
	mac := [6]byte{2, 0, byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}
	l.SetHW(1, mac[:])
	l.SetCID(append([]byte{1}, mac[:]...))
	return l
}

func TestAppendAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s, _ := mustOpen(t, leasestore.Options{Dir: t.TempDir()})
	defer s.Close()
	w := s.NewWriter("w")
	l := typical(1, 1)
	n := testing.AllocsPerRun(1000, func() {
		if _, ok := w.Append(lease.OpPut, &l); !ok {
			t.Fatal("ring is full")
		}
		_ = w.Room()
		_ = w.Healthy()
		_ = w.Durable()
		_ = w.DurableVersion()
		w.Kick()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	s, _, err := leasestore.Open(leasestore.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	w := s.NewWriter("w")
	l := typical(1, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Version = uint64(i)
		if _, ok := w.Append(lease.OpPut, &l); !ok {
			b.StopTimer()
			for w.Room() < 7000 {
				w.Kick()
				runtime.Gosched()
			}
			b.StartTimer()
		}
	}
}

// BenchmarkCommit is one producer that waits for each batch, as a worker does
// when it is alone.
func BenchmarkCommit(b *testing.B) {
	for _, batch := range []int{1, 8, 64, 512, 4096} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			s, _, err := leasestore.Open(leasestore.Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			w := s.NewWriter("w")
			l := typical(1, 1)
			b.ReportAllocs()
			wake := make(chan struct{}, 1)
			w.SetWake(func() {
				select {
				case wake <- struct{}{}:
				default:
				}
			})
			n := 0
			began := time.Now()
			for b.Loop() {
				var pos uint64
				for range batch {
					n++
					l.Version = uint64(n)
					pos, _ = w.Append(lease.OpPut, &l)
				}
				w.Kick()
				for w.Durable() < pos {
					<-wake
				}
			}
			took := time.Since(began).Seconds()
			b.ReportMetric(float64(n)/took, "records/s")
			b.ReportMetric(float64(s.Stats().Commits)/took, "commits/s")
		})
	}
}

// BenchmarkRecovery opens a directory of a million leases, as a snapshot, and
// as a journal without one.
func BenchmarkRecovery(b *testing.B) {
	const million = 1 << 20
	for _, from := range []string{"snapshot", "journal"} {
		b.Run(from, func(b *testing.B) {
			dir := b.TempDir()
			s, _, err := leasestore.Open(leasestore.Options{Dir: dir})
			if err != nil {
				b.Fatal(err)
			}
			w := s.NewWriter("w")
			src := newSource()
			for i := range uint32(million) {
				l := typical(i*7, uint64(i)+1)
				if from == "snapshot" {
					src.m[i*7] = l
					if i%1000 != 0 {
						continue
					}
				}
				for {
					if pos, ok := w.Append(lease.OpPut, &l); ok {
						if i%4096 == 0 {
							w.WaitDurable(context.Background(), pos)
						}
						break
					}
					w.Kick()
					runtime.Gosched()
				}
			}
			if from == "snapshot" {
				began := time.Now()
				if err := s.Snapshot(context.Background(), src, nil); err != nil {
					b.Fatal(err)
				}
				b.Logf("snapshot of %d leases took %v", million, time.Since(began))
				src.m = nil
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				var n atomic.Int64
				s, r, err := leasestore.Open(leasestore.Options{Dir: dir, Parallel: true, Load: func(*lease.Lease4) { n.Add(1) }})
				if err != nil {
					b.Fatal(err)
				}
				if n.Load() != million || r.Leases != million {
					b.Fatalf("loaded %d, recovery %+v", n.Load(), r)
				}
				b.ReportMetric(r.Took.Seconds(), "s/recovery")
				s.Close()
			}
		})
	}
}
