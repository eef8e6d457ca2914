package loadgen

import (
	"math"
	"math/bits"
)

// subBits is how many bits of a value a histogram keeps: errors are below
// 1/2^subBits, 1.6 %.
const subBits = 6

// Hist is a log-linear histogram of durations in nanoseconds, like HDR's: each
// power of two is divided into 2^subBits equal buckets. It has a fixed size and
// belongs to one goroutine. The zero value is empty.
type Hist struct {
	n        uint64
	min, max int64
	sum      float64
	sumSq    float64
	bucket   [(64 - subBits) << subBits]uint64
}

// Add records one duration; what is negative counts as 0.
func (h *Hist) Add(ns int64) {
	ns = max(ns, 0)
	if h.n == 0 || ns < h.min {
		h.min = ns
	}
	h.max = max(h.max, ns)
	h.n++
	f := float64(ns)
	h.sum += f
	h.sumSq += f * f
	h.bucket[bucketOf(uint64(ns))]++
}

func bucketOf(v uint64) int {
	if v < 1<<subBits {
		return int(v)
	}
	e := bits.Len64(v) - 1 - subBits
	return e<<subBits + int(v>>e)
}

// upper is the greatest value of bucket i.
func upper(i int) int64 {
	if i < 2<<subBits {
		return int64(i)
	}
	e := i>>subBits - 1
	m := uint64(i&(1<<subBits-1) | 1<<subBits)
	return int64((m+1)<<e - 1)
}

// Quantile returns a value that the share q of the durations does not exceed,
// exact to the width of a bucket and never above the greatest; 0 if there are
// none.
func (h *Hist) Quantile(q float64) int64 {
	if h.n == 0 {
		return 0
	}
	want := max(uint64(math.Ceil(q*float64(h.n))), 1)
	seen := uint64(0)
	for i, c := range h.bucket {
		seen += c
		if seen >= want {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// Count is how many durations were added.
func (h *Hist) Count() uint64 { return h.n }

// Min, Max, Mean and StdDev are in nanoseconds, exact, and 0 if there are none.
func (h *Hist) Min() int64 { return h.min }
func (h *Hist) Max() int64 { return h.max }
func (h *Hist) Mean() float64 {
	if h.n == 0 {
		return 0
	}
	return h.sum / float64(h.n)
}
func (h *Hist) StdDev() float64 {
	if h.n == 0 {
		return 0
	}
	m := h.Mean()
	return math.Sqrt(max(h.sumSq/float64(h.n)-m*m, 0))
}
