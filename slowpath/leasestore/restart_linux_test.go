package leasestore_test

import (
	"context"
	"encoding/binary"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// subscriber is lease number n of a large network: MAC and a client identifier.
func subscriber(l *lease.Lease4, n int) {
	*l = lease.Lease4{Addr: dhcp4.IPv4(0x0A000000 + n), SubnetID: uint32(1 + n>>14), CLTTUnixS: 1_790_000_000 + int64(n%3600), ValidLifetimeS: 86400, Version: uint64(n + 1)}
	var id [20]byte
	id[0] = 1
	binary.BigEndian.PutUint64(id[1:], uint64(n)*0x9E3779B97F4A7C15)
	l.SetHW(1, id[1:7])
	l.SetCID(id[:7+n%13])
}

// cpuSeconds is the processor time of this process.
func cpuSeconds() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// BenchmarkRestart is what a start does with a million leases: from the
// directory into a table.
func BenchmarkRestart(b *testing.B) {
	const million = 1_000_000
	for _, from := range []string{"snapshot", "journal"} {
		dir := b.TempDir()
		s, _, err := leasestore.Open(leasestore.Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		w := s.NewWriter("w")
		t := lease.NewTable(lease.Options{})
		var l lease.Lease4
		for n := range million {
			subscriber(&l, n)
			if from == "snapshot" {
				t.Load(&l)
				continue
			}
			for {
				if _, ok := w.Append(lease.OpPut, &l); ok {
					break
				}
				w.Kick()
				runtime.Gosched()
			}
		}
		if from == "snapshot" {
			if err := s.Snapshot(context.Background(), t, nil); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		t = nil
		b.Run(from, func(b *testing.B) {
			took, cpu := 0.0, 0.0
			for range b.N {
				runtime.GC()
				t := lease.NewTable(lease.Options{})
				cpu -= cpuSeconds()
				s, r, err := leasestore.Open(leasestore.Options{Dir: dir, Parallel: true, Load: t.Load, Reserve: func(n, _ int) { t.Reserve(n) }})
				if err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				t.Loaded()
				took += time.Since(began).Seconds()
				cpu += cpuSeconds()
				if t.Len() != million {
					b.Fatalf("%d leases", t.Len())
				}
				took += r.Took.Seconds()
				s.Close()
			}
			b.ReportMetric(took/float64(b.N), "s/restart")
			b.ReportMetric(cpu/float64(b.N), "cpu-s/restart")
		})
	}
}
