package xsk

import (
	"math/rand/v2"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeOffsets lay a ring out as the kernel does: each index on its own line.
var fakeOffsets = unix.XDPRingOffset{Producer: 0, Consumer: 64, Flags: 128, Desc: 192}

// fakePair is both sides of an address ring over the same memory, starting with
// indices just below their wrap.
func fakePair(size uint32, start uint32) (prod, cons *addrRing) {
	mem := make([]byte, fakeOffsets.Desc+uint64(size)*uint64(addrSize))
	r := ringAt(mem, fakeOffsets, size)
	*r.producer, *r.consumer = start, start
	mk := func() *addrRing {
		return &addrRing{ring: ringAt(mem, fakeOffsets, size), addrs: addrsAt(mem, fakeOffsets, size)}
	}
	return mk(), mk()
}

func TestRingBoundsAndWrap(t *testing.T) {
	for _, start := range []uint32{0, 5, ^uint32(0) - 2} {
		p, c := fakePair(8, start)
		if got := p.free(100); got != 8 {
			t.Fatalf("start %d: empty ring has %d free, want 8", start, got)
		}
		if got := c.available(1); got != 0 {
			t.Fatalf("start %d: empty ring has %d available", start, got)
		}
		for i := range uint64(8) {
			p.put(i)
		}
		if got := c.available(1); got != 0 {
			t.Fatalf("start %d: %d entries visible before publish", start, got)
		}
		p.publish()
		if got := p.free(1); got != 0 {
			t.Fatalf("start %d: full ring has %d free", start, got)
		}
		if got := c.available(1); got != 8 {
			t.Fatalf("start %d: full ring has %d available", start, got)
		}
		for i := range uint64(3) {
			if got := c.take(); got != i {
				t.Fatalf("start %d: took %d, want %d", start, got, i)
			}
		}
		if got := p.free(1); got != 0 {
			t.Fatalf("start %d: entries free before release", start)
		}
		c.release()
		if got := p.free(4); got != 3 {
			t.Fatalf("start %d: %d free after release of 3", start, got)
		}
		if got := p.unconsumed(); got != 5 {
			t.Fatalf("start %d: %d unconsumed, want 5", start, got)
		}
	}
}

// A kernel index that makes no sense must not make us write or read anything.
func TestRingRefusesNonsense(t *testing.T) {
	p, c := fakePair(8, 100)
	*p.consumer = 200
	if got := p.free(1 << 20); got != 0 {
		t.Errorf("consumer ahead of producer: %d free, want 0", got)
	}
	*c.producer = 50
	if got := c.available(1); got != 0 {
		t.Errorf("producer behind consumer: %d available, want 0", got)
	}
	*c.producer = 100 + 9
	if got := c.available(1); got != 0 {
		t.Errorf("more entries than the ring has: %d available, want 0", got)
	}
	*c.producer = 103
	if got := c.available(1); got != 3 {
		t.Errorf("after recovery: %d available, want 3", got)
	}
}

// Two goroutines push numbers through a ring of kernel layout; they arrive in
// order, each once.
func TestRingConcurrent(t *testing.T) {
	const total = 200_000
	p, c := fakePair(64, ^uint32(0)-500)
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for next := uint64(0); next < total; {
			n := min(uint64(p.free(16)), 16, total-next)
			for range n {
				p.put(next)
				next++
			}
			if n > 0 {
				p.publish()
			}
		}
	}()
	for next := uint64(0); next < total; {
		n := c.available(1)
		for range n {
			if got := c.take(); got != next {
				t.Errorf("took %d, want %d", got, next)
				wg.Wait()
				return
			}
			next++
		}
		if n > 0 {
			c.release()
		}
	}
	wg.Wait()
}

func TestFrameRingAgainstSlice(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	r := newFrameRing(16)
	var twin, got []uint64
	next := uint64(0)
	for range 20_000 {
		if rnd.IntN(2) == 0 {
			in := make([]uint64, rnd.IntN(20))
			for i := range in {
				in[i] = next + uint64(i)
			}
			n := r.push(in)
			if want := min(len(in), 16-len(twin)); n != want {
				t.Fatalf("pushed %d of %d with %d inside, want %d", n, len(in), len(twin), want)
			}
			twin = append(twin, in[:n]...)
			next += uint64(n)
		} else {
			limit := rnd.IntN(20)
			got = r.pop(got[:0], limit)
			if want := min(limit, len(twin)); len(got) != want {
				t.Fatalf("popped %d, want %d", len(got), want)
			}
			for i, f := range got {
				if f != twin[i] {
					t.Fatalf("popped %d, want %d", f, twin[i])
				}
			}
			twin = twin[len(got):]
		}
		if r.len() != len(twin) {
			t.Fatalf("len %d, want %d", r.len(), len(twin))
		}
	}
}

func TestFrameRingConcurrent(t *testing.T) {
	const total = 500_000
	r := newFrameRing(128)
	done := make(chan struct{})
	go func() {
		defer close(done)
		in := make([]uint64, 7)
		for next := uint64(0); next < total; {
			for i := range in {
				in[i] = next + uint64(i)
			}
			next += uint64(r.push(in[:min(7, total-next)]))
		}
	}()
	var out []uint64
	for next := uint64(0); next < total; {
		out = r.pop(out[:0], 50)
		for _, f := range out {
			if f != next {
				t.Fatalf("popped %d, want %d", f, next)
			}
			next++
		}
	}
	<-done
}

func TestOptionsRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"sockets":    {Sockets: MaxSockets + 1},
		"frame size": {FrameSize: 3000},
		"headroom":   {Headroom: 300},
		"ring size":  {RingSize: 100},
		"frames few": {Frames: 1024, RingSize: 1024},
		"frames":     {Frames: 1 << 23},
	} {
		if _, err := o.withDefaults(); err == nil {
			t.Errorf("%s: %+v accepted", name, o)
		}
	}
	o, err := Options{Sockets: 3}.withDefaults()
	if err != nil || o.Frames != 65536 || o.FrameSize != 2048 || o.RingSize != DefaultRingSize {
		t.Errorf("defaults are %+v, %v", o, err)
	}
}
