package stat

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var t0 = time.Unix(1_700_000_000, 0)

func TestNamesAreCompleteAndUnique(t *testing.T) {
	seen := map[string]bool{}
	for i, n := range names {
		if i == int(firstCounter6) {
			clear(seen)
		}
		if n == "" || strings.ContainsAny(n, " _") || seen[n] {
			t.Errorf("counter %d has the name %q: want a unique name in Kea's spelling", i, n)
		}
		seen[n] = true
		f := V4
		if Counter(i) >= firstCounter6 {
			f = V6
		}
		if c, ok := ByName(f, n); !ok || int(c) != i {
			t.Errorf("ByName(%d, %q) = %d, %v; want %d", f, n, c, ok, i)
		}
	}
	if _, ok := ByName(V4, "no-such-statistic"); ok {
		t.Error("ByName finds a statistic that does not exist")
	}
}

func TestShardsAddUpAndSurviveRetirement(t *testing.T) {
	r := NewRegistry(V4, 20, 0, t0, nil)
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
	r := NewRegistry(V4, 3, 0, t0, nil)
	s := r.NewShard()
	for i := 1; i <= 10; i++ {
		s.Inc(Pkt4Sent)
		s.Publish()
		r.Observe(t0.Add(time.Duration(i) * time.Second))
	}
	got := r.Samples("pkt4-sent", t0.Add(11*time.Second))
	if len(got) != 3 || got[0].Value != Of(10) || got[2].Value != Of(8) || !got[0].At.Equal(t0.Add(10*time.Second)) {
		t.Fatalf("history is %v; want 10, 9, 8, the newest at +10 s", got)
	}
	r.Reset("pkt4-sent", t0.Add(12*time.Second))
	if got = r.Samples("pkt4-sent", t0.Add(12*time.Second)); len(got) != 1 || got[0].Value != Of(0) {
		t.Fatalf("after a reset the history is %v; want one 0", got)
	}
	if r.Total(Pkt4Sent) != 10 {
		t.Fatal("a reset must not change what Prometheus sees")
	}
}

func TestAgeLimitReplacesCountLimit(t *testing.T) {
	r := NewRegistry(V4, 2, 5*time.Second, t0, nil)
	s := r.NewShard()
	for i := 1; i <= 10; i++ {
		s.Inc(Pkt4Sent)
		s.Publish()
		r.Observe(t0.Add(time.Duration(i) * time.Second))
	}
	if got := r.Samples("pkt4-sent", t0.Add(10*time.Second)); len(got) != 6 {
		t.Fatalf("%d samples are kept, want those of the last 5 s: 6", len(got))
	}
}

func TestConcurrentReaders(t *testing.T) {
	r := NewRegistry(V4, 20, 0, t0, nil)
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
	s := NewRegistry(V4, 20, 0, t0, nil).NewShard()
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

func TestKeyNames(t *testing.T) {
	for _, f := range []Family{V4, V6} {
		for kind := Kind(0); kind < numKinds; kind++ {
			if c, end := f.Counters(); kind < Kind(numCounters) && (kind < Kind(c) || kind >= Kind(end)) {
				continue
			}
			for _, k := range []Key{{Kind: kind}, {Kind: kind, Scope: OfSubnet, Subnet: 1<<32 - 1},
				{Kind: kind, Scope: OfPool, Subnet: 7, Pool: 0}, {Kind: kind, Scope: OfPDPool, Subnet: 1, Pool: 12}} {
				if got, ok := ParseKey(f, k.String()); !ok || got != k {
					t.Errorf("ParseKey(%q) = %+v, %v; want %+v", k.String(), got, ok, k)
				}
			}
		}
	}
	for _, name := range []string{"", "subnet[1]", "subnet[1].", "subnet[01].total-addresses", "subnet[-1].total-addresses", "subnet[4294967296].total-addresses",
		"subnet[1].pool[].total-addresses", "subnet[1].pool[2]", "pool[1].total-addresses", "subnet[1].pool[1].pool[1].total-addresses", "pkt6-received"} {
		if k, ok := ParseKey(V4, name); ok {
			t.Errorf("ParseKey(%q) = %+v", name, k)
		}
	}
}

func TestValue(t *testing.T) {
	huge := Value{Hi: 1} // 2^64
	for _, c := range []struct {
		v    Value
		want string
	}{
		{Of(0), "0"}, {Of(1<<64 - 1), "18446744073709551615"}, {huge, "18446744073709551616"}, {huge.Sub(Of(1)), "18446744073709551615"},
		{Of(1).Sub(Of(3)), "-2"}, {Of(0).Sub(huge), "-18446744073709551616"}, {Of(1<<64 - 1).Add(Of(1)), "18446744073709551616"},
		{Value{Hi: 1 << 56}, "1329227995784915872903807060280344576"},
	} {
		if b, err := c.v.MarshalJSON(); err != nil || string(b) != c.want {
			t.Errorf("%+v is %s, %v; want %s", c.v, b, err, c.want)
		}
	}
	if huge.Float() != 1<<64 || Of(1).Sub(Of(3)).Float() != -2 {
		t.Errorf("Float: %v, %v", huge.Float(), Of(1).Sub(Of(3)).Float())
	}
}

// What a source says is a statistic as long as it says so; resets and removals
// hold for it too.
func TestSource(t *testing.T) {
	assigned := Key{Kind: AssignedAddresses, Scope: OfSubnet, Subnet: 1}
	now := map[Key]uint64{assigned: 5}
	r := NewRegistry(V4, 20, 0, t0, func(yield func(Key, Value)) {
		for k, v := range now {
			yield(k, Of(v))
		}
	})
	first := func(name string) string {
		t.Helper()
		if ss := r.Samples(name, t0); ss != nil {
			return ss[0].Value.String()
		}
		return "none"
	}
	const name = "subnet[1].assigned-addresses"
	if got := first(name); got != "5" {
		t.Errorf("%s is %s, want 5", name, got)
	}
	if !r.Reset(name, t0) || first(name) != "0" {
		t.Errorf("after reset: %s", first(name))
	}
	now[assigned] = 3
	if got := first(name); got != "-2" {
		t.Errorf("after two went: %s, want -2", got)
	}
	r.Rebase()
	if got := first(name); got != "3" {
		t.Errorf("after Rebase: %s, want 3", got)
	}
	if !r.Remove(name, t0) || first(name) != "none" || r.Remove(name, t0) {
		t.Errorf("after removal: %s", first(name))
	}
	now[assigned] = 4
	if got := first(name); got != "1" {
		t.Errorf("changed after removal: %s, want 1", got)
	}
	delete(now, assigned)
	if got := first(name); got != "none" {
		t.Errorf("of a subnet that is gone: %s", got)
	}
	if first("subnet[2].assigned-addresses") != "none" || r.Reset("subnet[2].assigned-addresses", t0) {
		t.Error("a subnet that is not there has a statistic")
	}
	n := 0
	r.Each(t0, true, func(name string, _ []Sample) {
		if strings.HasPrefix(name, "subnet[") {
			t.Errorf("%s is not global", name)
		}
		n++
	})
	if n != int(firstCounter6) {
		t.Errorf("%d global statistics, want %d", n, firstCounter6)
	}
}

func TestLimitsByCommand(t *testing.T) {
	r := NewRegistry(V4, 20, 0, t0, nil)
	s := r.NewShard()
	tick := func(from, to int) time.Time {
		at := t0
		for i := from; i <= to; i++ {
			at = t0.Add(time.Duration(i) * time.Second)
			s.Inc(Pkt4Sent)
			s.Publish()
			r.Observe(at)
		}
		return at
	}
	at := tick(1, 10)
	if !r.SetMaxCount("pkt4-sent", 2, at) || len(r.Samples("pkt4-sent", at)) != 2 {
		t.Errorf("%d samples, want 2", len(r.Samples("pkt4-sent", at)))
	}
	if !r.SetMaxAge("pkt4-sent", 3*time.Second, at) {
		t.Error("SetMaxAge")
	}
	at = tick(11, 20)
	if n := len(r.Samples("pkt4-sent", at)); n != 4 {
		t.Errorf("%d samples, want those of the last 3 s: 4", n)
	}
	r.SetMaxCountAll(1, at)
	if n := len(r.Samples("pkt4-sent", at)); n != 1 {
		t.Errorf("%d samples, want 1", n)
	}
	if r.SetMaxCount("none", 1, at) || r.SetMaxAge("none", 1, at) {
		t.Error("a statistic that is not there was limited")
	}
}

// TestEachPacketHasItsSample: Kea makes a sample for every count; between two
// observations there was one of each number.
func TestEachPacketHasItsSample(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	r := NewRegistry(V4, 5, 0, start, nil)
	s := r.NewShard()
	at := func(after time.Duration) time.Time { return start.Add(after) }
	count := func(n uint64, when time.Time) {
		s.Add(Pkt4Received, n)
		s.PublishAt(when.UnixNano())
	}
	values := func(now time.Time) (v []uint64) {
		for _, x := range r.Samples("pkt4-received", now) {
			v = append(v, x.Value.Lo)
		}
		return v
	}
	check := func(what string, got []uint64, want ...uint64) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: samples are %v, want %v", what, got, want)
		}
	}
	count(2, at(time.Second))
	check("two packets", values(at(3*time.Second)), 2, 1, 0)
	if h := r.Samples("pkt4-received", at(3*time.Second)); !h[0].At.Equal(at(time.Second)) || !h[1].At.Equal(at(time.Second/2)) {
		t.Errorf("they came at %v and %v, want the time of the batch and half way to it", h[0].At, h[1].At)
	}
	count(1000, at(4*time.Second))
	check("many", values(at(4*time.Second)), 1002, 1001, 1000, 999, 998)
	r.Remove("pkt4-received", at(5*time.Second))
	count(2, at(6*time.Second))
	check("after its removal", values(at(6*time.Second)), 2, 1)
	r.SetMaxAge("pkt4-received", time.Second, at(7*time.Second))
	count(1, at(8*time.Second))
	check("by age", values(at(8*time.Second)), 3)
	// A clock that was set back loses nothing.
	count(1, at(2*time.Second))
	if v := values(at(9 * time.Second)); v[0] != 4 {
		t.Errorf("after the clock was set back the value is %d, want 4", v[0])
	}
}

func TestSet(t *testing.T) {
	r := NewRegistry(V4, 20, 0, t0, nil)
	const name = "subnet[1].perfmon.DHCPDISCOVER-DHCPOFFER.process_started-process_completed.mean-usecs"
	value := func() string {
		if ss := r.Samples(name, t0); ss != nil {
			return ss[0].Value.String()
		}
		return "none"
	}
	if !r.Set(name, 7, t0) || value() != "7" || !r.Set(name, -3, t0.Add(1)) || value() != "-3" || len(r.Samples(name, t0)) != 2 {
		t.Errorf("%v", r.Samples(name, t0))
	}
	if !r.Reset(name, t0) || value() != "0" || !r.Set(name, 4, t0) || value() != "4" {
		t.Errorf("after a reset: %v", r.Samples(name, t0))
	}
	if !r.Remove(name, t0) || value() != "none" {
		t.Errorf("after a removal: %v", r.Samples(name, t0))
	}
	if r.Set("pkt4-received", 1, t0) || r.Set("subnet[1].assigned-addresses", 1, t0) {
		t.Error("a counter was set")
	}
	for i := range MaxNamed + 1 {
		if ok := r.Set(strconv.Itoa(i), 1, t0); ok != (i < MaxNamed-1) {
			t.Fatalf("statistic %d: %v", i, ok)
		}
	}
}
