package stat

import (
	"strings"
	"sync"
	"testing"
	"time"
)

var t0 = time.Unix(1_700_000_000, 0)

func TestNamesAreCompleteAndUnique(t *testing.T) {
	seen := map[string]bool{}
	for i, n := range names {
		if n == "" || strings.ContainsAny(n, " _") || seen[n] {
			t.Errorf("counter %d has the name %q: want a unique name in Kea's spelling", i, n)
		}
		seen[n] = true
		if c, ok := ByName(n); !ok || int(c) != i {
			t.Errorf("ByName(%q) = %d, %v; want %d", n, c, ok, i)
		}
	}
	if _, ok := ByName("no-such-statistic"); ok {
		t.Error("ByName finds a statistic that does not exist")
	}
}

func TestShardsAddUpAndSurviveRetirement(t *testing.T) {
	r := NewRegistry(20, 0, t0)
	a, b := r.NewShard(), r.NewShard()
	a.Inc(Pkt4Received)
	b.Add(Pkt4Received, 4)
	if got := r.Total(Pkt4Received); got != 0 {
		t.Fatalf("unpublished counts are visible: %d", got)
	}
	a.Publish()
	b.Publish()
	if got := r.Total(Pkt4Received); got != 5 {
		t.Fatalf("total is %d, want 5", got)
	}
	b.Inc(Pkt4Received) // not published before it ends
	r.Retire(b)
	if got := r.Total(Pkt4Received); got != 6 {
		t.Fatalf("total after retirement is %d, want 6", got)
	}
}

func TestHistoryIsNewestFirstAndBounded(t *testing.T) {
	r := NewRegistry(3, 0, t0)
	s := r.NewShard()
	for i := 1; i <= 10; i++ {
		s.Inc(Pkt4Sent)
		s.Publish()
		r.Observe(t0.Add(time.Duration(i) * time.Second))
	}
	got := r.Samples(Pkt4Sent, t0.Add(11*time.Second))
	if len(got) != 3 || got[0].Value != 10 || got[2].Value != 8 || !got[0].At.Equal(t0.Add(10*time.Second)) {
		t.Fatalf("history is %v; want 10, 9, 8, the newest at +10 s", got)
	}
	r.Reset(Pkt4Sent, t0.Add(12*time.Second))
	if got = r.Samples(Pkt4Sent, t0.Add(12*time.Second)); len(got) != 1 || got[0].Value != 0 {
		t.Fatalf("after a reset the history is %v; want one 0", got)
	}
	if r.Total(Pkt4Sent) != 10 {
		t.Fatal("a reset must not change what Prometheus sees")
	}
}

func TestAgeLimitReplacesCountLimit(t *testing.T) {
	r := NewRegistry(2, 5*time.Second, t0)
	s := r.NewShard()
	for i := 1; i <= 10; i++ {
		s.Inc(Pkt4Sent)
		s.Publish()
		r.Observe(t0.Add(time.Duration(i) * time.Second))
	}
	if got := r.Samples(Pkt4Sent, t0.Add(10*time.Second)); len(got) != 6 {
		t.Fatalf("%d samples are kept, want those of the last 5 s: 6", len(got))
	}
}

func TestConcurrentReaders(t *testing.T) {
	r := NewRegistry(20, 0, t0)
	s := r.NewShard()
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		var last uint64
		for last < 1000 {
			v := r.Total(Pkt4Received)
			if v < last {
				t.Errorf("a counter went back from %d to %d", last, v)
				return
			}
			last = v
		}
	}()
	for range 1000 {
		s.Inc(Pkt4Received)
		s.Publish()
	}
	wg.Wait()
}

func TestCountingAllocatesNothing(t *testing.T) {
	s := NewRegistry(20, 0, t0).NewShard()
	if n := testing.AllocsPerRun(100, func() { s.Inc(Pkt4Received); s.Publish() }); n != 0 {
		t.Errorf("counting allocates %v times", n)
	}
}

func TestGroupAddsUp(t *testing.T) {
	g := NewGroup(3)
	a, b := g.NewBlock(), g.NewBlock()
	a.Inc(2)
	b.Inc(2)
	b.Inc(0)
	a.Publish()
	if g.Sum(2) != 1 || g.Sum(0) != 0 {
		t.Fatalf("sums are %d and %d, want 1 and 0 while one block is unpublished", g.Sum(2), g.Sum(0))
	}
	g.Retire(b)
	if g.Sum(2) != 2 || g.Sum(0) != 1 || g.Sum(1) != 0 {
		t.Fatalf("sums are %d, %d, %d; want 1, 0, 2", g.Sum(0), g.Sum(1), g.Sum(2))
	}
}
