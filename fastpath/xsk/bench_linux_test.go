package xsk_test

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/fastpath/xsk"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// generator is a Handler-less user of a Conn: it keeps window queries on the way
// and counts answers.
type generator struct {
	conn        netio.Conn
	frame       []byte
	window      int
	outstanding int
	answers     int
	pkts        [netio.BatchSize]netio.Packet
}

// turn does one round and returns the number of answers.
func (g *generator) turn() int {
	n := g.conn.Recv(g.pkts[:])
	for i := range n {
		// The answer's frame carries the next query.
		g.pkts[i].Data = g.pkts[i].Data[:copy(g.pkts[i].Data[:cap(g.pkts[i].Data)], g.frame)]
		g.pkts[i].Data[42+33] = byte(g.answers + i)
	}
	g.answers += n
	k := n
	for k < len(g.pkts) && g.outstanding < g.window && g.conn.Alloc(&g.pkts[k]) {
		g.pkts[k].Data = append(g.pkts[k].Data, g.frame...)
		g.pkts[k].Data[42+33] = byte(g.answers + k)
		g.outstanding++
		k++
	}
	if k > 0 {
		g.conn.Send(g.pkts[:k])
		g.conn.Flush()
	}
	return n
}

// BenchmarkReflector measures the physical limit: a worker that only turns frames
// of 342 octets around, a generator over AF_XDP on the other end of the veth, each
// on a CPU of its own. One iteration is one packet answered; server-us is the CPU
// time the worker's thread took for it.
func BenchmarkReflector(b *testing.B) {
	for _, sockets := range []int{1, 2} {
		b.Run("sockets="+strconv.Itoa(sockets), func(b *testing.B) { benchmarkReflector(b, sockets) })
	}
}

func benchmarkReflector(b *testing.B, sockets int) {
	r := newRig(b, rigOptions{queues: 1, sockets: sockets, flags: link.XDPDriverMode,
		loop: netio.LoopOptions{Affinity: []int{0}}})
	st := fastpathtest.NewSteer(b, 1, 1)
	l, err := link.AttachXDP(link.XDPOptions{Program: st.Program, Interface: int(r.veth.Client.Index), Flags: link.XDPDriverMode})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	q, err := xsk.Open(xsk.Options{IfIndex: r.veth.Client.Index})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	if err := st.XSKMap.Put(uint32(0), uint32(q.Sockets()[0].FD())); err != nil {
		b.Fatal(err)
	}
	frame := fastpathtest.Query(r.veth.Server.MAC, r.veth.Client.MAC, [4]byte{10, 0, 0, 1}, r.srv, 1, 7)
	done := make(chan time.Duration)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	b.ReportAllocs()
	b.ResetTimer()
	before := threadTimes(b)
	var mine time.Duration
	go func() {
		// The thread is left locked and pinned, and so ends with the goroutine.
		lockTo(1)
		g := &generator{conn: q.Sockets()[0], frame: frame, window: 192}
		idle := 0
		for g.answers < b.N && ctx.Err() == nil {
			if g.turn() > 0 {
				idle = 0
			} else if idle++; idle > 100_000 {
				g.outstanding = 0 // lost: begin anew
				idle = 0
			}
		}
		var ru unix.Rusage
		_ = unix.Getrusage(unix.RUSAGE_THREAD, &ru)
		done <- time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	}()
	mine = <-done
	b.StopTimer()
	total := threadTimes(b) - before
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pkts/s")
	b.ReportMetric(float64((total-mine).Microseconds())/float64(b.N), "server-us/pkt")
	b.ReportMetric(float64(mine.Microseconds())/float64(b.N), "generator-us/pkt")
	kicks, _ := r.queues[0].Sockets()[0].Kicks()
	b.ReportMetric(float64(b.N)/float64(max(1, kicks)*uint64(sockets)), "pkts/kick")
	if s := r.stats(); strings.Contains(s, "TxDropped:0") == false {
		b.Logf("losses: %s", s)
	}
}

func lockTo(cpu int) {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	_ = unix.SchedSetaffinity(0, &set)
}

// threadTimes is the CPU time of the process, user and system.
func threadTimes(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		b.Fatal(err)
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	u, _ := strconv.ParseInt(f[11], 10, 64)
	s, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(u+s) * 10 * time.Millisecond
}
