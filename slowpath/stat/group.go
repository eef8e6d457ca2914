package stat

import (
	"sync"
	"sync/atomic"
)

// Group is a set of counters that are known by number only, such as the reasons
// of one package: every worker has a Block of them.
type Group struct {
	n       int
	mu      sync.Mutex
	blocks  []*Block
	retired []uint64
}

// Block is one worker's counters of a Group.
type Block struct {
	local     []uint64
	dirty     bool
	published []atomic.Uint64
}

// NewGroup returns a group of n counters.
func NewGroup(n int) *Group { return &Group{n: n, retired: make([]uint64, n)} }

// NewBlock adds a block.
func (g *Group) NewBlock() *Block {
	b := &Block{local: make([]uint64, g.n), published: make([]atomic.Uint64, g.n)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.blocks = append(g.blocks, b)
	return b
}

// Retire removes a block whose owner has ended; its counts stay in the sums.
func (g *Group) Retire(b *Block) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, x := range g.blocks {
		if x == b {
			g.blocks = append(g.blocks[:i:i], g.blocks[i+1:]...)
			for j, v := range b.local {
				g.retired[j] += v
			}
			return
		}
	}
}

// Sum adds counter i up over all blocks.
func (g *Group) Sum(i int) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.retired[i]
	for _, b := range g.blocks {
		v += b.published[i].Load()
	}
	return v
}

// Inc counts one; the owner only.
func (b *Block) Inc(i int) {
	b.local[i]++
	b.dirty = true
}

// Publish makes the counts visible: once a batch, by the owner.
func (b *Block) Publish() {
	if !b.dirty {
		return
	}
	b.dirty = false
	for i, v := range b.local {
		if v != b.published[i].Load() {
			b.published[i].Store(v)
		}
	}
}
