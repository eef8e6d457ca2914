package lease

import (
	"math/bits"
	"sync/atomic"
)

// present has one bit per address that has a record, in blocks of 65536
// addresses made when first needed (8 KiB each). It gives Page ascending order
// without any lock; bits change under the lock of the address's shard.
type present struct {
	top   [256]atomic.Pointer[presentTop]
	grown func(bytes int)
}

type presentTop [256]atomic.Pointer[presentBlock]

type presentBlock [1024]atomic.Uint64

func (p *present) block(addr uint32) *presentBlock {
	top := p.top[addr>>24].Load()
	if top == nil {
		top = new(presentTop)
		if p.top[addr>>24].CompareAndSwap(nil, top) {
			p.grown(256 * 8)
		} else {
			top = p.top[addr>>24].Load()
		}
	}
	b := top[addr>>16&0xFF].Load()
	if b == nil {
		b = new(presentBlock)
		if top[addr>>16&0xFF].CompareAndSwap(nil, b) {
			p.grown(1024 * 8)
		} else {
			b = top[addr>>16&0xFF].Load()
		}
	}
	return b
}

func (p *present) set(addr uint32) {
	p.block(addr)[addr>>6&1023].Or(1 << (addr & 63))
}

func (p *present) clear(addr uint32) {
	p.block(addr)[addr>>6&1023].And(^uint64(1 << (addr & 63)))
}

// next returns the first address from at on that is present.
func (p *present) next(at uint64) (uint32, bool) {
	for at < 1<<32 {
		top := p.top[at>>24].Load()
		if top == nil {
			at = (at>>24 + 1) << 24
			continue
		}
		b := top[at>>16&0xFF].Load()
		if b == nil {
			at = (at>>16 + 1) << 16
			continue
		}
		for end := (at>>16 + 1) << 16; at < end; at = (at>>6 + 1) << 6 {
			if m := b[at>>6&1023].Load() >> (at & 63); m != 0 {
				return uint32(at) + uint32(bits.TrailingZeros64(m)), true
			}
		}
	}
	return 0, false
}
