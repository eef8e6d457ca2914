package hashindex

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTwin holds a table against a map of lists.
func TestTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, n := range []int{0, 1, 2, 3, 100, 5000} {
		x := New(n)
		twin := map[uint64][]int{}
		for pos := range n {
			h := r.Uint64()
			if r.IntN(3) == 0 { // few different ones
				h = Mix(uint64(r.IntN(10)))
			}
			x.Insert(h, pos)
			twin[h] = append(twin[h], pos)
		}
		for h, want := range twin {
			var got []int
			for c := x.Find(h); c.Next(); {
				if slices.Contains(want, c.Pos) {
					got = append(got, c.Pos)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d entries, hash %x: positions %v, want %v", n, h, got, want)
			}
		}
		for range 100 {
			for c := x.Find(r.Uint64()); c.Next(); {
				if c.Pos < 0 || c.Pos >= n {
					t.Fatalf("position %d of %d", c.Pos, n)
				}
			}
		}
	}
	var zero Table
	for c := zero.Find(1); c.Next(); {
		t.Fatal("a zero table has an entry")
	}
}
