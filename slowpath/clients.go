package slowpath

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// clientStripes is how many locks serialise clients; two clients share one
// rarely, and then wait a microsecond.
const clientStripes = 1024

// clients keeps two queries of one client from being decided at once
// (V4-029, OP-031). While a worker decides, it holds the stripes of the
// client's hardware address and client identifier; while a query is parked, its
// keys are in the in-flight set and whatever else the client sends is a
// duplicate.
type clients struct {
	stripes [clientStripes]struct {
		sync.Mutex
		_ [56]byte
	}
	// parked is how many queries are parked; the set is looked at only if any.
	parked atomic.Int64
	set    struct {
		sync.Mutex
		keys map[uint64]struct{}
	}
}

// keys are the client's: of its hardware address and of its client identifier
// (0: has none).
func (c *clients) keys(v *dhcp4.View) (hw, id uint64) {
	hw = maphash.Bytes(clientSeed, v.CHAddr()) | 1
	if cid := v.ClientID(); len(cid) > 0 {
		id = maphash.Bytes(clientSeed, cid) | 1
	}
	return hw, id
}

// held are the stripes a lock took.
type held struct{ a, b int }

// lock takes the stripes of both keys, the lower first, so that no two workers
// wait for each other.
func (c *clients) lock(hw, id uint64) held {
	h := held{int(hw >> 32 % clientStripes), -1}
	if id != 0 {
		h.b = int(id >> 32 % clientStripes)
		if h.b < h.a {
			h.a, h.b = h.b, h.a
		}
		if h.b == h.a {
			h.b = -1
		}
	}
	c.stripes[h.a].Lock()
	if h.b >= 0 {
		c.stripes[h.b].Lock()
	}
	return h
}

func (c *clients) unlock(h held) {
	c.stripes[h.a].Unlock()
	if h.b >= 0 {
		c.stripes[h.b].Unlock()
	}
}

// inFlight says whether a query of the client is parked.
func (c *clients) inFlight(hw, id uint64) bool {
	c.set.Lock()
	defer c.set.Unlock()
	if _, ok := c.set.keys[hw]; ok {
		return true
	}
	_, ok := c.set.keys[id]
	return ok && id != 0
}

func (c *clients) add(keys []uint64) {
	c.set.Lock()
	for _, k := range keys {
		c.set.keys[k] = struct{}{}
	}
	c.set.Unlock()
}

func (c *clients) remove(keys []uint64) {
	c.set.Lock()
	for _, k := range keys {
		delete(c.set.keys, k)
	}
	c.set.Unlock()
}
