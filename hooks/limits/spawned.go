package limits

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// spawnPrefix is how the names of classes begin that a template class spawns:
// SPAWN_, the template's name, "_" and what its expression gave. A limit of a
// template class is the limit of each of them (Kea's getSubClassesRelations);
// the template itself is not counted.
const spawnPrefix = "SPAWN_"

// maxSpawned is how many spawned classes of a template have a counter of their
// own, at most: clients can make up as many as they like. All others share one.
const maxSpawned = 65536

// spawned are the counters of spawned classes, made when they are met first.
// They may be used by any number of workers.
type spawned[T any] struct {
	templates []*template[T] // longest name first
	seed      maphash.Seed
	shards    [64]struct {
		sync.RWMutex
		byName map[string]*T
	}
}

type template[T any] struct {
	prefix string // of the names of its classes
	max    int64
	n      atomic.Int64
	new    func(name string) *T
	others *T // of those beyond max
}

// add adds a template class of which at most max classes have their own counter.
func (s *spawned[T]) add(name string, max int64, new func(name string) *T) *T {
	if s.templates == nil {
		s.seed = maphash.MakeSeed()
	}
	t := &template[T]{prefix: spawnPrefix + name + "_", max: max, new: new, others: new(spawnPrefix + name)}
	s.templates = append(s.templates, t)
	// Of "a" and "a_b" the longer is meant: a name tells no more.
	slices.SortFunc(s.templates, func(a, b *template[T]) int { return len(b.prefix) - len(a.prefix) })
	return t.others
}

// get is the counter of a spawned class, nil if no template with a limit has it.
// It allocates when a class is met first.
func (s *spawned[T]) get(name string) *T {
	if len(s.templates) == 0 || !strings.HasPrefix(name, spawnPrefix) {
		return nil
	}
	var of *template[T]
	for _, t := range s.templates {
		if strings.HasPrefix(name, t.prefix) {
			of = t
			break
		}
	}
	if of == nil {
		return nil
	}
	sh := &s.shards[maphash.String(s.seed, name)%uint64(len(s.shards))]
	sh.RLock()
	c := sh.byName[name]
	sh.RUnlock()
	if c != nil {
		return c
	}
	if of.n.Load() >= of.max {
		return of.others
	}
	sh.Lock()
	defer sh.Unlock()
	if c := sh.byName[name]; c != nil {
		return c
	}
	if of.n.Add(1) > of.max {
		of.n.Add(-1)
		return of.others
	}
	if sh.byName == nil {
		sh.byName = map[string]*T{}
	}
	name = strings.Clone(name) // it may stand in a worker's buffer
	c = of.new(name)
	sh.byName[name] = c
	return c
}

// maxWindowBytes limits the memory of the windows of one template's classes.
const maxWindowBytes = 64 << 20

// maxWindows is how many classes of a template may have a window of their own.
func maxWindows(r rateLimit) int64 {
	if r.packets == 0 || r.packets > maxExact {
		return maxSpawned
	}
	return min(maxSpawned, max(1, maxWindowBytes/(8*int64(r.packets))))
}

// rate is the window of a class, nil if it has no limit.
func (lib *Library) rate(class string) *window {
	if w := lib.rateByClass[class]; w != nil {
		return w
	}
	return lib.spawnedRates.get(class)
}

// addresses is the count of leases of a class, nil if it has no limit.
func (lib *Library) addresses(class string) *classLimit {
	if c := lib.leasesByClass[class]; c != nil {
		return c
	}
	return lib.spawnedLeases.get(class)
}
