package alloc

import (
	"math/bits"
	"sync/atomic"
)

// hints is a hierarchical bitmap over the words of a pool: a set bit says that
// the word may have an address of some kind. Level 0 has a bit per word, each
// further level a bit per 64-bit word of the level below that is not zero.
//
// It follows the words, which are the truth, without locks: who makes an address
// available sets the bits after the word, who finds a word without one clears
// the bit and then looks at the word again. So a bit may for a moment be missing
// while others work on the word, and no longer; and one that was set too late may
// stay without cause until a search comes by and clears it.
type hints struct {
	levels [][]atomic.Uint64 // the last is one word
}

func newHints(n int, all bool) hints {
	var h hints
	for m := n; ; m = (m + 63) / 64 {
		level := make([]atomic.Uint64, (m+63)/64)
		if all {
			for i := range level {
				level[i].Store(^uint64(0))
			}
			if m&63 != 0 {
				level[len(level)-1].Store(1<<(m&63) - 1)
			}
		}
		h.levels = append(h.levels, level)
		if m <= 64 {
			return h
		}
	}
}

// set sets bit i. It goes all the way up even if a bit is set already: who set
// that one may be on his way.
func (h *hints) set(i int) { h.setFrom(0, i) }

func (h *hints) setFrom(k, i int) {
	for ; k < len(h.levels); k++ {
		w := &h.levels[k][i>>6]
		if bit := uint64(1) << (i & 63); w.Load()&bit == 0 {
			w.Or(bit)
		}
		i >>= 6
	}
}

// clear clears bit i. The caller looks at the word again afterwards and calls
// set if it has an address after all.
func (h *hints) clear(i int) { h.clearFrom(0, i) }

func (h *hints) clearFrom(k, i int) {
	for ; k < len(h.levels); k++ {
		bit := uint64(1) << (i & 63)
		left := h.levels[k][i>>6].And(^bit) &^ bit
		if k > 0 && h.levels[k-1][i].Load() != 0 {
			h.setFrom(k, i)
			return
		}
		if left != 0 {
			return
		}
		i >>= 6
	}
}

// next returns the first set bit from i on, -1 if there is none. It looks at a
// few words per level, however empty or full the map is.
func (h *hints) next(i int) int { return h.nextAt(0, i) }

func (h *hints) nextAt(k, i int) int {
	for level := h.levels[k]; i>>6 < len(level); {
		if m := level[i>>6].Load() >> (i & 63); m != 0 {
			return i + bits.TrailingZeros64(m)
		}
		if k+1 == len(h.levels) {
			break
		}
		w := h.nextAt(k+1, i>>6+1)
		if w < 0 {
			break
		}
		i = w << 6
		if level[w].Load() == 0 {
			h.clearFrom(k+1, w)
		}
	}
	return -1
}

// empty reports whether no bit is set.
func (h *hints) empty() bool { return h.levels[len(h.levels)-1][0].Load() == 0 }
