package alloc6

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// twin is a pool as a plain list of units.
type twin struct {
	state   []int
	claimed []bool
	blocked []int
	next    [kinds]int
}

func (w *twin) pick(kind int) int {
	for i := range w.state {
		u := (w.next[kind] + i) % len(w.state)
		if w.state[u] == kind && !w.claimed[u] && w.blocked[u] == 0 {
			w.claimed[u] = true
			w.next[kind] = (u + 1) % len(w.state)
			return u
		}
	}
	return -1
}

func (w *twin) pickAny() (int, Kind) {
	for k := range kinds {
		if u := w.pick(k); u >= 0 {
			return u, Free + Kind(k)
		}
	}
	return -1, None
}

// TestTwin holds pools of several depths against the plain list, with leases of
// other lengths in between.
func TestTwin(t *testing.T) {
	r := newRand(t)
	for _, c := range []struct {
		prefix string
		length uint8
	}{
		{"2001:db8::/64", 64}, // one unit
		{"2001:db8::/60", 64}, // part of a node
		{"2001:db8::/58", 64}, // one node
		{"2001:db8::/56", 64}, // two levels
		{"2001:db8::/51", 64}, // three
		{"2001:db8::/118", 128} /* addresses, as prefixes of 128 bits */} {
		s := withPrefixes(newSubnet(1, "iterative"), c.prefix, c.length)
		a := newSet(s)
		p := a.pd.all[0]
		n := int(p.last.lo) + 1
		w := &twin{state: make([]int, n), claimed: make([]bool, n), blocked: make([]int, n)}
		states := []lease.State{lease.StateExpiredReclaimed, lease.StateOffered, lease.StateDefault}
		recs := map[int]*lease6.Lease6{}
		type span struct{ first, last int }
		foreign := map[span]*lease6.Lease6{}
		at := func(u int) lease6.IPv6 { return p.start(number{0, uint64(u)}).addr() }
		pickUnit := func() int { // mostly in a part that can become full
			if r.IntN(4) > 0 {
				return r.IntN(min(n, 200))
			}
			return r.IntN(n)
		}
		for step := range 6000 {
			switch op := r.IntN(10); {
			case op < 3:
				addr, k := a.PickPrefix(s, 0)
				u, wk := w.pickAny()
				if k != wk || u >= 0 && addr != at(u) {
					t.Fatalf("%s step %d: picked %v kind %d, want unit %d kind %d", c.prefix, step, addr, k, u, wk)
				}
			case op < 4:
				u := pickUnit()
				if ok := a.ClaimPrefix(s, at(u), c.length); ok != !w.claimed[u] {
					t.Fatalf("%s step %d: claim %d: %v", c.prefix, step, u, ok)
				}
				w.claimed[u] = true
			case op < 5:
				u := pickUnit()
				a.UnclaimPrefix(s, at(u), c.length)
				w.claimed[u] = false
			case op < 9 || c.length == 128:
				u := pickUnit()
				var l *lease6.Lease6
				state := kindFree
				if r.IntN(3) > 0 {
					state = 1 + r.IntN(3)
					l = &lease6.Lease6{SubnetID: 1, Type: lease6.TypePD, PrefixLen: c.length, Addr: at(u), State: states[state-1]}
				}
				if old := recs[u]; old != nil || l != nil {
					a.LeaseChanged6(old, l)
					w.state[u], w.claimed[u] = state, false
				}
				recs[u] = l
			default: // a prefix of another length, at an aligned place
				bits := r.IntN(p2(n) + 1)
				first := r.IntN(n) >> bits << bits
				k := span{first, first + 1<<bits - 1}
				length := c.length - uint8(bits)
				addr := number{0, uint64(first)}
				if bits == 0 { // narrower than a unit
					length = c.length + 1
				}
				l := &lease6.Lease6{SubnetID: 2, Type: lease6.TypePD, PrefixLen: length, Addr: p.start(addr).addr()}
				d := 1
				if old := foreign[k]; old != nil {
					a.LeaseChanged6(old, nil)
					delete(foreign, k)
					d = -1
				} else {
					a.LeaseChanged6(nil, l)
					foreign[k] = l
				}
				for u := k.first; u <= k.last; u++ {
					w.blocked[u] += d
				}
			}
			if step%50 == 0 {
				checkTree(t, p)
			}
		}
		// All gone: nothing is left.
		for u, l := range recs {
			if l != nil {
				a.LeaseChanged6(l, nil)
			}
			a.UnclaimPrefix(s, at(u), c.length)
		}
		for u := range n {
			a.UnclaimPrefix(s, at(u), c.length)
		}
		for _, l := range foreign {
			a.LeaseChanged6(l, nil)
		}
		for _, table := range p.tree.tables {
			if table.used != 0 {
				t.Errorf("%s: %d nodes are left", c.prefix, table.used)
			}
		}
		if p.claims.Load() != 0 || len(p.blocks) != 0 {
			t.Errorf("%s: %d claims, %d blocks are left", c.prefix, p.claims.Load(), len(p.blocks))
		}
	}
}

// p2 is log2 of a power of two.
func p2(n int) int { return int(number{0, uint64(n)}.len()) - 1 }

// checkTree holds every level against the one below.
func checkTree(t *testing.T, p *pool) {
	t.Helper()
	claims := int64(0)
	for _, table := range p.tree.tables {
		for i := range table.slots {
			n := &table.slots[i]
			if n.key == (nodeKey{}) {
				continue
			}
			if n.empty() {
				t.Fatal("an empty node was kept")
			}
			level := uint(n.key.hi>>58) - 1
			at := number{n.key.hi & (1<<58 - 1), n.key.lo}
			if level == 0 {
				for b := n.c; b != 0; b &= b - 1 {
					claims++
				}
			}
			if level+1 == p.levels {
				continue
			}
			up := p.tree.get(keyOf(level+1, at.shr(6)))
			for kind := range kinds {
				have := n.having(level, kind) != 0
				var said bool
				switch {
				case up == nil:
					said = kind == kindFree
				case kind == kindFree:
					said = up.a>>(at.lo&63)&1 == 0
				case kind == kindStale:
					said = up.b>>(at.lo&63)&1 != 0
				default:
					said = up.c>>(at.lo&63)&1 != 0
				}
				if have != said {
					t.Fatalf("level %d node %v kind %d: has %v, above it says %v", level, at, kind, have, said)
				}
			}
		}
	}
	if claims != p.claims.Load() {
		t.Fatalf("%d claims, counted %d", claims, p.claims.Load())
	}
}

// TestNodesTwin holds the set of nodes against a map while it grows, is cut and
// shrinks.
func TestNodesTwin(t *testing.T) {
	r := newRand(t)
	var s nodes
	twin := map[nodeKey]uint64{}
	var keys []nodeKey
	for step := range 60_000 {
		grow := step < 30_000
		if r.IntN(10) < 7 == grow || len(keys) == 0 {
			k := keyOf(uint(r.IntN(3)), number{uint64(r.IntN(2)), uint64(r.IntN(50_000))})
			n := s.put(k)
			if n.a != twin[k] {
				t.Fatalf("step %d: node has %d, want %d", step, n.a, twin[k])
			}
			if twin[k] == 0 {
				keys = append(keys, k)
			}
			n.a = uint64(step) + 1
			twin[k] = n.a
			continue
		}
		i := r.IntN(len(keys))
		k := keys[i]
		keys[i] = keys[len(keys)-1]
		keys = keys[:len(keys)-1]
		n := s.get(k)
		if n == nil || n.a != twin[k] {
			t.Fatalf("step %d: lost a node", step)
		}
		s.drop(n)
		delete(twin, k)
		if s.get(k) != nil {
			t.Fatalf("step %d: dropped and still there", step)
		}
	}
	used := 0
	for _, table := range s.tables {
		used += table.used
	}
	if used != len(twin) || len(s.tables) != cuts {
		t.Errorf("%d nodes in %d tables, want %d", used, len(s.tables), len(twin))
	}
	for k, v := range twin {
		if n := s.get(k); n == nil || n.a != v {
			t.Fatalf("node %v: %v, want %d", k, n, v)
		}
	}
}
