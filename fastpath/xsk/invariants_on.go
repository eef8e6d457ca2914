//go:build invariants

package xsk

import (
	"fmt"
	"math/bits"
	"sync/atomic"
)

// tracker knows which frames are on loan and panics when a frame is lent twice
// or its loan ended twice.
type tracker struct {
	leased []atomic.Bool
	shift  uint
}

func newTracker(frames int, frameSize uint64) tracker {
	return tracker{leased: make([]atomic.Bool, frames), shift: uint(bits.TrailingZeros64(frameSize))}
}

func (t tracker) lease(base uint64) {
	if t.leased[base>>t.shift].Swap(true) {
		panic(fmt.Sprintf("xsk: frame %#x lent twice", base))
	}
}

func (t tracker) end(base uint64) {
	if !t.leased[base>>t.shift].Swap(false) {
		panic(fmt.Sprintf("xsk: loan of frame %#x ended twice", base))
	}
}

// poison makes any use after the loan visible.
func (tracker) poison(frame []byte) {
	for i := range frame {
		frame[i] = 0xDB
	}
}

// take checks that frames going back to the kernel are nobody's loan.
func (t tracker) take(frames []uint64, where string) {
	for _, b := range frames {
		if t.leased[b>>t.shift].Load() {
			panic(fmt.Sprintf("xsk: frame %#x is on loan but in %s", b, where))
		}
	}
}
