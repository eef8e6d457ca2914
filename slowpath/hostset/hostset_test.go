package hostset

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

type entry struct{ key int }

type list struct {
	hosts []*entry
	dead  []atomic.Bool
}

// TestTwin holds a set against a map. What the families look up in it is tested
// with them.
func TestTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	var s Set[entry, list]
	find := func(key int) (found *entry) {
		l := s.Layers()
		for _, x := range []*list{l.Late, l.Base} {
			for i, h := range x.hosts {
				if h.key == key && !x.dead[i].Load() {
					if found != nil {
						t.Fatalf("key %d is there twice", key)
					}
					found = h
				}
			}
		}
		return found
	}
	builds := 0
	s.Init(nil, func(hosts []*entry, dead []atomic.Bool) *list {
		builds++
		return &list{hosts, dead}
	}, func(h, except *entry) error {
		if x := find(h.key); x != nil && x != except {
			return ErrSameIdentifier
		}
		return nil
	})
	twin := map[int]*entry{}
	for op := range 5000 {
		key, other := r.IntN(1200), r.IntN(1200)
		h := &entry{key}
		switch k := r.IntN(100); {
		case k < 60:
			if err := s.Add(h); (err == nil) != (twin[key] == nil) {
				t.Fatalf("op %d: Add %d: %v with %v", op, key, err, twin[key])
			} else if err == nil {
				twin[key] = h
			}
		case k < 80:
			if old := twin[key]; s.Remove(old) != (old != nil) || s.Remove(h) {
				t.Fatalf("op %d: Remove %d", op, key)
			}
			delete(twin, key)
		case k < 98:
			old := twin[other]
			want := error(nil)
			if x := twin[key]; x != nil && x != old {
				want = ErrSameIdentifier
			} else if old == nil {
				want = ErrNotInSet
			}
			if err := s.Replace(old, h); err != want {
				t.Fatalf("op %d: Replace %d by %d: %v, want %v", op, other, key, err, want)
			} else if err == nil {
				delete(twin, other)
				twin[key] = h
			}
		default: // a random part of the keys is exchanged
			var out, in []*entry
			for k, end := key, min(key+r.IntN(300), 1200); k < end; k++ {
				if x := twin[k]; x != nil {
					out = append(out, x)
					delete(twin, k)
				} else {
					twin[k] = &entry{k}
					in = append(in, twin[k])
				}
			}
			before := builds
			if s.Exchange(out, in); len(in) > lateMax/8 && builds > before+4 {
				t.Fatalf("op %d: %d layers are made for %d hosts", op, builds-before, len(in))
			}
		}
		if s.Len() != len(twin) {
			t.Fatalf("op %d: %d hosts, want %d", op, s.Len(), len(twin))
		}
		if op%50 == 0 {
			for key := r.IntN(20); key < 1200; key += 20 {
				if got := find(key); got != twin[key] {
					t.Fatalf("op %d: key %d is %v, want %v", op, key, got, twin[key])
				}
			}
		}
	}
	l := s.Layers()
	if n := len(l.Late.hosts); n > lateMax && n > len(l.Base.hosts)/16+1 {
		t.Errorf("the small layer has %d hosts, the other %d", n, len(l.Base.hosts))
	}
}
