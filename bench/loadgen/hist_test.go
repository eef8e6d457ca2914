package loadgen

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestBuckets(t *testing.T) {
	prev := -1
	for _, v := range []uint64{0, 1, 63, 64, 65, 127, 128, 129, 130, 255, 256, 1000, 1 << 20, 1<<20 + 1<<14, 1 << 40, math.MaxInt64} {
		i := bucketOf(v)
		if i < prev || i >= len(Hist{}.bucket) {
			t.Fatalf("%d is in bucket %d", v, i)
		}
		prev = i
		u := upper(i)
		if uint64(u) < v || bucketOf(uint64(u)) != i || float64(u) > float64(v)*(1+1.0/64) {
			t.Fatalf("%d is in bucket %d, whose end is %d in bucket %d", v, i, u, bucketOf(uint64(u)))
		}
	}
}

// The naive twin is a sorted list.
func TestQuantileTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	var h Hist
	var all []int64
	sum := 0.0
	for range 10000 {
		v := int64(math.Exp(r.Float64() * 25))
		h.Add(v)
		all = append(all, v)
		sum += float64(v)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
		got := h.Quantile(q)
		if got < want || float64(got) > float64(want)*(1+1.0/64) {
			t.Errorf("quantile %v: %d, want %d", q, got, want)
		}
	}
	if h.Min() != all[0] || h.Max() != all[len(all)-1] || h.Count() != 10000 || math.Abs(h.Mean()/sum*10000-1) > 1e-9 {
		t.Errorf("min %d max %d mean %f", h.Min(), h.Max(), h.Mean())
	}
	var e Hist
	if e.Quantile(0.5) != 0 || e.Mean() != 0 || e.StdDev() != 0 {
		t.Error("empty histogram")
	}
	e.Add(-5)
	e.Add(10)
	if e.Min() != 0 || e.StdDev() != 5 {
		t.Errorf("min %d deviation %v", e.Min(), e.StdDev())
	}
}
