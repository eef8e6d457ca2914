package slab

import (
	"flag"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
)

var seedFlag = flag.Uint64("seed", 0, "seed of random tests, 0 takes a new one")

func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d (repeat with -seed)", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func TestSizes(t *testing.T) {
	if n := reflect.TypeFor[clientShard]().Size(); n != 64 {
		t.Errorf("a client index shard has %d bytes, not a cache line", n)
	}
	if n := reflect.TypeFor[Wheels]().Size(); n != WheelsBytes {
		t.Errorf("wheels have %d bytes, WheelsBytes says %d", n, WheelsBytes)
	}
}

// TestIndexTwin compares an Index with a map; few hashes make long runs.
func TestIndexTwin(t *testing.T) {
	r := newRand(t)
	var x Index
	twin := map[uint32]uint64{} // record number to hash
	bytes := 0
	find := func(i uint32) (int, bool) {
		h := twin[i]
		for slot, j := x.First(h); j != 0; slot, j = x.Next(slot, h) {
			if j == i {
				return slot, true
			}
		}
		return 0, false
	}
	for step := range 60000 {
		i := 1 + r.Uint32N(3000)
		_, have := twin[i]
		switch {
		case !have && r.IntN(3) > 0:
			h := Mix(uint64(r.IntN(5000)))
			if r.IntN(4) == 0 {
				h = uint64(r.IntN(4))<<32 | 0xFFFFFFF0 // runs that wrap, hashes that collide
			}
			bytes += x.Put(i, h)
			twin[i] = h
		case have && r.IntN(2) == 0:
			slot, ok := find(i)
			if !ok {
				t.Fatalf("step %d: record %d is not found", step, i)
			}
			x.Remove(slot)
			delete(twin, i)
		}
		if x.Len() != len(twin) {
			t.Fatalf("step %d: %d records, want %d", step, x.Len(), len(twin))
		}
	}
	for i := range twin {
		if _, ok := find(i); !ok {
			t.Fatalf("record %d is lost", i)
		}
	}
	if bytes != len(x.slots)*8 {
		t.Errorf("growth adds up to %d bytes of %d", bytes, len(x.slots)*8)
	}
}

func TestBlobs(t *testing.T) {
	r := newRand(t)
	b := &Blobs{Grown: func(int) {}}
	type blob struct {
		ref  uint32
		data []byte
	}
	var live []blob
	for range 20000 {
		if len(live) > 0 && (len(live) > 500 || r.IntN(2) == 0) {
			k := r.IntN(len(live))
			if v := live[k]; string(b.Bytes(v.ref)[:len(v.data)]) != string(v.data) {
				t.Fatal("a string has changed")
			}
			b.Release(live[k].ref)
			live = slices.Delete(live, k, k+1)
			continue
		}
		v := blob{data: make([]byte, r.IntN(MaxBlob+1))}
		for i := range v.data {
			v.data[i] = byte(r.Uint32())
		}
		v.ref = b.Take(len(v.data))
		if !b.Fits(v.ref, len(v.data)) {
			t.Fatalf("%d bytes do not fit where they are", len(v.data))
		}
		copy(b.Bytes(v.ref), v.data)
		live = append(live, v)
	}
}

func TestSplitJoin(t *testing.T) {
	var a [5]byte
	b := make([]byte, 16)
	all := []byte("the quick brown fox")
	for cut := range all {
		Split(a[:], b, 0, all[:cut])
		Split(a[:], b, cut, all[cut:])
		got := make([]byte, len(all))
		Join(got[cut:], a[:], b, cut)
		Join(got[:cut], a[:], b, 0)
		if string(got) != string(all) {
			t.Fatalf("cut at %d: %q", cut, got)
		}
	}
}

// wheelTwin has records without anything else.
type wheelTwin struct {
	links []Link
	recs  []wheelRecord
}

type wheelRecord struct {
	used, held     bool
	beganS, validS uint32
}

func (w *wheelTwin) Link(i uint32) *Link { return &w.links[i] }
func (w *wheelTwin) Term(i uint32) (uint32, uint32, bool) {
	return w.recs[i].beganS, w.recs[i].validS, w.recs[i].held
}
func (w *wheelTwin) Next(i uint32) uint32 {
	for i++; int(i) < len(w.recs); i++ {
		if w.recs[i].used {
			return i
		}
	}
	return 0
}

// TestWheelsTwin compares what is due with a scan, with clocks that step back.
func TestWheelsTwin(t *testing.T) {
	r := newRand(t)
	const many = 400
	w := &wheelTwin{make([]Link, many), make([]wheelRecord, many)}
	var ws Wheels
	var mu sync.Mutex
	nowS := int64(1_790_000_000)
	lifetimes := []uint32{0, 1, 59, 3600, 86400, 1 << 25, 1<<32 - 1}
	for step := range 20000 {
		i := 1 + r.Uint32N(many-1)
		e := &w.recs[i]
		was := *e
		next := wheelRecord{true, r.IntN(3) == 0, uint32(nowS) - r.Uint32N(5000), lifetimes[r.IntN(len(lifetimes))]}
		switch {
		case !was.used:
			*e = next
			ws.File(w, i)
		case r.IntN(3) == 0:
			ws.Unfile(w, i, was.held)
			*e = wheelRecord{}
		default:
			*e = next
			ws.Refile(w, i, was.held)
		}
		nowS += r.Int64N(4) * r.Int64N(40)
		if r.IntN(300) == 0 {
			nowS -= r.Int64N(3000)
		}
		if r.IntN(20) > 0 {
			continue
		}
		holdS := []int64{0, 60, 4000}[r.IntN(3)]
		got := map[uint32]bool{}
		budget := 1 << 20
		n := ws.Collect(w, &mu, nowS, holdS, many, &budget, func(i uint32) { got[i] = true })
		if n != len(got) {
			t.Fatalf("step %d: %d reported, %d different", step, n, len(got))
		}
		for i := range w.recs {
			e := w.recs[i]
			end := int64(e.beganS) + int64(e.validS)
			due := e.used && e.validS != 1<<32-1 && (e.held && end+holdS <= nowS || !e.held && end < nowS)
			if due != got[uint32(i)] {
				t.Fatalf("step %d: now %d, hold %d: due %v of %+v", step, nowS, holdS, got[uint32(i)], e)
			}
		}
	}
}

// TestClientIndexTwin: every entry of a part with at most eight of them is found,
// whatever its key has in others, and FindParts says when it does not give all.
func TestClientIndexTwin(t *testing.T) {
	r := newRand(t)
	grown := 0
	x := &ClientIndex{Grown: func(n int) { grown += n }}
	x.Reserve(300)
	type entry struct {
		h    uint64
		part uint32
	}
	live := map[uint32]entry{}
	crowded := map[entry]bool{}
	keys, parts := map[uint64]int{}, map[entry]int{}
	for step := range 60000 {
		ref := 1 + r.Uint32N(1500)
		if e, ok := live[ref]; ok {
			x.Remove(e.h, e.part, ref)
			delete(live, ref)
			keys[e.h]--
			parts[e]--
		} else {
			e := entry{Mix(uint64(r.IntN(r.IntN(300) + 1))), uint32(r.IntN(6))}
			if r.IntN(3) == 0 {
				x.InsertLater(e.h, e.part, ref)
			} else {
				x.Insert(e.h, e.part, ref)
			}
			live[ref] = e
			keys[e.h]++
			if parts[e]++; parts[e] > MaxCandidates {
				crowded[e] = true
			}
			var out [2 * MaxCandidates]uint32
			if !slices.Contains(out[:x.FindPart(e.h, e.part, &out)], ref) {
				t.Fatalf("step %d: what was just inserted is not found", step)
			}
			if r.IntN(100) == 0 {
				x.Settle()
			}
		}
		e := entry{Mix(uint64(r.IntN(300))), uint32(r.IntN(6))}
		var out [2 * MaxCandidates]uint32
		found := 0
		for _, ref := range out[:x.FindPart(e.h, e.part, &out)] {
			if live[ref].h != e.h {
				t.Fatalf("step %d: found %d, which is not filed there", step, ref)
			}
			if live[ref] == e {
				found++
			}
		}
		if !crowded[e] && found != parts[e] {
			t.Fatalf("step %d: found %d of %d in a part", step, found, parts[e])
		}
		var all [MaxCandidates]uint32
		if n, complete := x.FindParts(e.h, &all); complete != (n == keys[e.h]) {
			t.Fatalf("step %d: found %d of %d in all parts, complete: %v", step, n, keys[e.h], complete)
		} else {
			var more [MaxCandidates]uint32
			both := append(all[:n:n], more[:x.FindBeyond(e.h, e.part, &more)]...)
			found := 0
			for _, ref := range both {
				if live[ref] == e {
					found++
				}
			}
			if !crowded[e] && found != parts[e] {
				t.Fatalf("step %d: found %d of %d in a part and beyond", step, found, parts[e])
			}
		}
	}
	if x.Len() != len(live) || x.LongestRun() > 200 {
		t.Errorf("%d entries, want %d; a run of %d slots", x.Len(), len(live), x.LongestRun())
	}
	if grown <= 0 {
		t.Error("no growth was told")
	}
	for ref, e := range live {
		x.Remove(e.h, e.part, ref)
	}
	for i := range x.shards {
		if c := &x.shards[i]; c.n != 0 || len(c.over) != 0 {
			t.Errorf("shard %d: %d entries are left, %d keys over", i, c.n, len(c.over))
		}
	}
}
