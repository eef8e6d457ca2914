package bpf

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// testSeed makes runs repeatable.
var testSeed = [2]uint64{0x0123456789abcdef, 0xfedcba9876543210}

// program is loaded Objects under test.
type program struct {
	*Objects
	t testing.TB
}

// load loads the program with the loopback interface enabled, a queue of n
// sockets and the server's addresses set, and no socket there.
func load(t testing.TB, o Options) *program {
	t.Helper()
	if err := Probe(); err != nil {
		t.Skipf("cannot load XDP programs here: %v", err)
	}
	if o.Seed == ([2]uint64{}) {
		o.Seed = testSeed
	}
	x, err := Load(o)
	if err != nil {
		var verifier *ebpf.VerifierError
		if errors.As(err, &verifier) {
			t.Logf("%+v", verifier)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &program{x, t}
	p.check(x.SetInterface(testIf, InterfaceConfig{Queues: 1, SocketsPerQueue: 1, Enabled4: true, Enabled6: true, Tagged: true}))
	p.check(x.SetAddrs4(testIf, [][4]byte{serverAddr4, serverBcast}))
	p.check(x.SetAddrs6(testIf, [][16]byte{serverAddr6}))
	return p
}

func (p *program) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// socket puts an AF_XDP socket into the table. It is not bound: BPF_PROG_RUN ends
// at the verdict.
func (p *program) socket(index uint32) {
	p.t.Helper()
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	p.check(err)
	p.t.Cleanup(func() { unix.Close(fd) })
	p.check(p.SetSocket(index, fd))
}

// outcome is how a packet leaves the program.
type outcome struct {
	family Family
	action Action
	reason Reason
}

// run runs the program on a packet. It fails the test unless the packet is
// unchanged, the verdict is the action counted, and exactly one exit was counted.
// It also returns the message type counted and whether one was.
func (p *program) run(data []byte) (outcome, int) {
	p.t.Helper()
	before, err := p.readCounters()
	p.check(err)
	verdict := p.runOnly(data)
	after, err := p.readCounters()
	p.check(err)

	var got outcome
	exits, msgType := 0, -1
	for f := range after.Exits {
		for a := range after.Exits[f] {
			for r, n := range after.Exits[f][a] {
				if d := n - before.Exits[f][a][r]; d != 0 {
					exits += int(d)
					got = outcome{Family(f), Action(a), Reason(r)}
				}
			}
		}
	}
	if exits != 1 {
		p.t.Fatalf("%d exits counted, want 1\n%x", exits, data)
	}
	if uint32(got.action) != verdict {
		p.t.Fatalf("verdict %v, but counted as %v\n%x", Action(verdict), got.action, data)
	}
	for f := range after.Received {
		for m, n := range after.Received[f] {
			if d := n - before.Received[f][m]; d != 0 {
				if d != 1 || msgType >= 0 || Family(f) != got.family {
					p.t.Fatalf("message counted more than once or elsewhere\n%x", data)
				}
				msgType = m
			}
		}
	}
	return got, msgType
}

// runOnly runs the program on a packet and returns its verdict.
func (p *program) runOnly(data []byte) uint32 {
	p.t.Helper()
	in := slices.Clone(data)
	out := make([]byte, len(data)+256)
	opts := ebpf.RunOptions{Data: in, DataOut: out}
	verdict, err := p.Program().Run(&opts)
	p.check(err)
	if !bytes.Equal(opts.DataOut, data) {
		p.t.Fatalf("frame changed\nfrom %x\nto   %x", data, opts.DataOut)
	}
	return verdict
}

// notes returns how often a note was made.
func (p *program) notes(n Note) uint64 {
	p.t.Helper()
	c, err := p.readCounters()
	p.check(err)
	return c.Notes[n]
}

// wantReasons runs a packet once for each reason and compares.
func (p *program) wantReasons(data []byte, want ...Reason) {
	p.t.Helper()
	for i, w := range want {
		if got, _ := p.run(data); got.reason != w {
			p.t.Fatalf("packet %d: %v, want %v", i, got.reason, w)
		}
	}
}

// times repeats a reason.
func times(n int, r Reason) []Reason { return slices.Repeat([]Reason{r}, n) }
