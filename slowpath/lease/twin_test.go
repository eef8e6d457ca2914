package lease

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease/slab"
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

// twin is the obvious table: a map and linear scans. covered has old records
// under offers.
type twin struct {
	recs    map[dhcp4.IPv4]Lease4
	covered map[dhcp4.IPv4]Lease4
	nowS    int64           // latest of Due
	crowded map[string]bool // client keys that ever had more records than are found
}

// crowd notes the keys of l if they have too many records.
func (w *twin) crowd(l *Lease4) {
	cids, hws := 0, 0
	for _, o := range w.recs {
		if o.State == StateDeclined || o.SubnetID != l.SubnetID {
			continue
		}
		if bytes.Equal(o.CID(), l.CID()) {
			cids++
		}
		if bytes.Equal(o.HW(), l.HW()) && (o.ClientIDLen > 0) == (l.ClientIDLen > 0) {
			hws++
		}
	}
	if cids > slab.MaxCandidates {
		w.crowded[keyText(l, true)] = true
	}
	if hws > slab.MaxCandidates {
		w.crowded[keyText(l, false)] = true
	}
}

func keyText(l *Lease4, byCID bool) string {
	if byCID {
		return fmt.Sprintf("cid %d %x", l.SubnetID, l.CID())
	}
	return fmt.Sprintf("hw %d %v %x", l.SubnetID, l.ClientIDLen > 0, l.HW())
}

func newTwin() *twin {
	return &twin{recs: map[dhcp4.IPv4]Lease4{}, covered: map[dhcp4.IPv4]Lease4{}, crowded: map[string]bool{}}
}

func (w *twin) put(next *Lease4, expect uint64, room bool) error {
	old, have := w.recs[next.Addr]
	if old.Version != expect {
		return ErrConflict
	}
	offer := next.State == StateOffered
	if offer && have && old.State != StateOffered {
		stale := old.State == StateReleased || old.State == StateExpiredReclaimed ||
			old.State == StateDefault && old.Expired(next.CLTTUnixS)
		if !stale {
			return ErrConflict
		}
		w.covered[next.Addr] = old
	}
	if !offer && !room {
		return ErrJournal
	}
	if !offer {
		delete(w.covered, next.Addr)
	}
	return nil
}

func (w *twin) del(addr dhcp4.IPv4, expect uint64, room bool) error {
	old, have := w.recs[addr]
	if !have || old.Version != expect {
		return ErrConflict
	}
	if old.State != StateOffered && !room {
		return ErrJournal
	}
	delete(w.recs, addr)
	if c, ok := w.covered[addr]; ok {
		w.recs[addr] = c
		delete(w.covered, addr)
		w.crowd(&c)
	}
	return nil
}

func (w *twin) find(match func(*Lease4) bool) (best Lease4, found bool) {
	nowS := w.nowS
	var all []Lease4
	for _, l := range w.recs {
		if match(&l) {
			nowS = max(nowS, l.CLTTUnixS)
			all = append(all, l)
		}
	}
	if len(all) == 0 {
		return best, false
	}
	latest := func(a, b Lease4) int { return cmp.Compare(a.Version, b.Version) }
	longest := func(a, b Lease4) int {
		return cmp.Or(cmp.Compare(a.ExpiresUnixS(), b.ExpiresUnixS()), latest(a, b))
	}
	only := func(keep func(l Lease4) bool) []Lease4 {
		return slices.DeleteFunc(slices.Clone(all), func(l Lease4) bool { return !keep(l) })
	}
	if l := only(func(l Lease4) bool { return l.State == StateDefault && !l.Expired(nowS) }); len(l) > 0 {
		return slices.MaxFunc(l, longest), true
	}
	if l := only(func(l Lease4) bool { return l.State == StateOffered }); len(l) > 0 {
		return slices.MaxFunc(l, latest), true
	}
	rest := only(func(l Lease4) bool { return l.State != StateDefault })
	if l := only(func(l Lease4) bool { return l.State == StateDefault }); len(l) > 0 {
		rest = append(rest, slices.MaxFunc(l, longest))
	}
	return slices.MaxFunc(rest, latest), true
}

func (w *twin) isDue(l *Lease4, nowS, holdS int64) bool {
	if l.ValidLifetimeS == InfiniteLifetime {
		return false
	}
	if l.State == StateReleased || l.State == StateExpiredReclaimed {
		return l.ExpiresUnixS()+holdS <= nowS
	}
	return l.Expired(nowS)
}

// fakeJournal records what a journal would; it has room while room is true.
type fakeJournal struct {
	room bool
	recs map[dhcp4.IPv4]Lease4
	last uint64
	n    uint64
}

func newFakeJournal() *fakeJournal { return &fakeJournal{room: true, recs: map[dhcp4.IPv4]Lease4{}} }

func (j *fakeJournal) Append(op Op, l *Lease4) (uint64, bool) {
	if !j.room {
		return 0, false
	}
	if l.Version <= j.last {
		panic("journal: versions of one producer go backwards")
	}
	j.last = l.Version
	if op == OpDelete {
		delete(j.recs, l.Addr)
	} else {
		j.recs[l.Addr] = *l
	}
	j.n++
	return j.n, true
}
func (j *fakeJournal) Room() int              { return 1 }
func (j *fakeJournal) Healthy() bool          { return true }
func (j *fakeJournal) DurableVersion() uint64 { return j.last }

// follower is an Observer that keeps the table it is told of.
type follower struct {
	t    testing.TB
	recs map[dhcp4.IPv4]Lease4
}

func (f *follower) LeaseChanged(old, new *Lease4) {
	switch {
	case old != nil:
		if f.recs[old.Addr] != *old {
			f.t.Errorf("observer: old value of %v is not the last one told", old.Addr)
		}
	case new == nil:
		f.t.Errorf("observer: change from nothing to nothing")
	case f.recs[new.Addr] != (Lease4{}):
		f.t.Errorf("observer: %v is new, but known", new.Addr)
	}
	if new == nil {
		delete(f.recs, old.Addr)
	} else {
		f.recs[new.Addr] = *new
	}
}

func randBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// randLease makes leases of few clients and few addresses, so that everything
// collides; lengths vary over all size classes.
func randLease(r *rand.Rand, nowS int64) *Lease4 {
	l := &Lease4{
		Addr:           dhcp4.IPv4(0x0A00FFA0 + r.Uint32N(192)), // spans two blocks of 65536
		SubnetID:       1 + r.Uint32N(2),
		PoolID:         r.Uint32N(3),
		CLTTUnixS:      nowS - r.Int64N(20),
		ValidLifetimeS: []uint32{0, 5, 60, 4000, 86400, 1 << 25, InfiniteLifetime}[r.IntN(7)],
		State: []State{StateDefault, StateDefault, StateDefault, StateDeclined, StateExpiredReclaimed,
			StateReleased, StateOffered, StateOffered}[r.IntN(8)],
		FQDNFwd: r.IntN(2) == 0, FQDNRev: r.IntN(2) == 0,
	}
	client := byte(r.IntN(40))
	if client > 0 {
		l.SetHW(1, bytes.Repeat([]byte{client}, []int{6, 6, 6, 16, 20}[int(client)%5]))
	}
	if r.IntN(4) > 0 {
		l.SetCID(bytes.Repeat([]byte{client, byte(r.IntN(2))}, []int{4, 9, 10, 127}[client%4]))
	}
	if r.IntN(3) == 0 {
		l.SetHost(randBytes(r, []int{3, 12, 40, 200, 255}[r.IntN(5)]))
	}
	if r.IntN(10) == 0 {
		l.UserContext = fmt.Sprintf(`{"n":%d}`, r.IntN(100))
	}
	return l
}

// TestTwin compares the table with the obvious one over random operations.
func TestTwin(t *testing.T) {
	r := newRand(t)
	nowS := int64(1_790_000_000)
	f := &follower{t, map[dhcp4.IPv4]Lease4{}}
	tab := NewTable(Options{Observer: f})
	w := newTwin()
	j := newFakeJournal()
	var got, kept Lease4
	checked := 0
	steps := 40000
	if raceOn || testing.Short() {
		steps = 8000
	}
	for step := range steps {
		nowS += r.Int64N(3) * r.Int64N(3)
		if r.IntN(500) == 0 {
			nowS += r.Int64N(5000)
		}
		j.room = r.IntN(20) > 0
		switch op := r.IntN(12); {
		case op < 6:
			next := randLease(r, nowS)
			expect := w.recs[next.Addr].Version
			if r.IntN(8) == 0 {
				expect = uint64(r.IntN(step + 1))
			}
			want := w.put(next, expect, j.room)
			c, err := tab.Put(next, expect, j)
			if err != want {
				t.Fatalf("step %d: put: %v, want %v", step, err, want)
			}
			if err == nil {
				if c.Version != next.Version || c.Version != tab.Version() || (c.Pos == 0) != (next.State == StateOffered) {
					t.Fatalf("step %d: put: %+v, version %d", step, c, next.Version)
				}
				w.recs[next.Addr] = *next
				w.crowd(next)
			} else if next.Version != 0 {
				t.Fatalf("step %d: put failed and set a version", step)
			}
		case op < 8:
			addr := randLease(r, nowS).Addr
			expect := w.recs[addr].Version
			if r.IntN(8) == 0 {
				expect = uint64(r.IntN(step + 1))
			}
			want := w.del(addr, expect, j.room)
			if _, err := tab.Delete(addr, expect, j); err != want {
				t.Fatalf("step %d: delete: %v, want %v", step, err, want)
			}
		case op == 8:
			k := randLease(r, nowS)
			want, ok := w.find(func(l *Lease4) bool {
				return l.State != StateDeclined && l.SubnetID == k.SubnetID && l.ClientIDLen > 0 && bytes.Equal(l.CID(), k.CID())
			})
			if w.crowded[keyText(k, true)] {
				break // more than the table promises to find
			}
			checked++
			if tab.FindByClientID(k.CID(), k.SubnetID, &got) != ok || ok && got != want {
				t.Fatalf("step %d: by client id: %+v, want %+v", step, got, want)
			}
		case op == 9:
			k := randLease(r, nowS)
			match := func(l *Lease4) bool {
				return l.State != StateDeclined && l.SubnetID == k.SubnetID && l.HWLen > 0 && l.HWType == k.HWType && bytes.Equal(l.HW(), k.HW()) &&
					(k.ClientIDLen == 0 || l.ClientIDLen == 0 || bytes.Equal(l.CID(), k.CID()))
			}
			other := *k
			other.ClientIDLen ^= 255
			if w.crowded[keyText(k, true)] || w.crowded[keyText(k, false)] || w.crowded[keyText(&other, false)] {
				break
			}
			checked++
			want, ok := w.find(match)
			if tab.FindByHWAddr(k.HWType, k.HW(), k.CID(), k.SubnetID, &got) != ok || ok && got != want {
				t.Fatalf("step %d: by hwaddr: %+v, want %+v", step, got, want)
			}
		case op == 10 && r.IntN(20) == 0:
			holdS := []int64{0, 10, 3600}[r.IntN(3)]
			back := int64(0)
			if r.IntN(5) == 0 {
				back = r.Int64N(2000) // the clock was set back
			}
			w.nowS = nowS - back
			checkDue(t, step, tab, w, nowS-back, holdS)
			if w.nowS > 0 && r.IntN(2) == 0 { // the reclaimer takes some
				var due [8]Due
				for _, d := range due[:tab.Due(nowS-back, holdS, due[:])] {
					want := w.del(d.Addr, d.Version, j.room)
					if _, err := tab.Delete(d.Addr, d.Version, j); err != want {
						t.Fatalf("step %d: delete due: %v, want %v", step, err, want)
					}
				}
			}
		case op == 11 && r.IntN(50) == 0:
			checkAll(t, step, tab, w, j, f)
		default:
			addr := randLease(r, nowS).Addr
			want, ok := w.recs[addr]
			if tab.Get(addr, &got) != ok || ok && got != want {
				t.Fatalf("step %d: get %v: %+v, want %+v", step, addr, got, want)
			}
			want, ok = w.covered[addr]
			if tab.Covered(addr, &kept) != ok || ok && kept != want {
				t.Fatalf("step %d: covered %v: %+v, want %+v", step, addr, kept, want)
			}
		}
	}
	checkAll(t, steps, tab, w, j, f)
	if checked < steps/50 {
		t.Errorf("only %d look-ups by hwaddr compared", checked)
	}
}

func checkDue(t *testing.T, step int, tab *Table, w *twin, nowS, holdS int64) {
	t.Helper()
	out := make([]Due, 2*len(w.recs)+1)
	n := tab.Due(nowS, holdS, out)
	got := map[dhcp4.IPv4]uint64{}
	for _, d := range out[:n] {
		if _, twice := got[d.Addr]; twice {
			t.Fatalf("step %d: %v due twice in one call", step, d.Addr)
		}
		got[d.Addr] = d.Version
	}
	for a, l := range w.recs {
		v, ok := got[a]
		if ok != w.isDue(&l, nowS, holdS) || ok && v != l.Version {
			t.Fatalf("step %d: now %d hold %d: due %v of %+v", step, nowS, holdS, ok, l)
		}
	}
}

func checkAll(t *testing.T, step int, tab *Table, w *twin, j *fakeJournal, f *follower) {
	t.Helper()
	if tab.Len() != len(w.recs) {
		t.Fatalf("step %d: len %d, want %d", step, tab.Len(), len(w.recs))
	}
	walked := 0
	tab.Walk(func(l *Lease4) bool {
		walked++
		if *l != w.recs[l.Addr] && *l != w.covered[l.Addr] {
			t.Fatalf("step %d: walk gives %+v", step, l)
		}
		return true
	})
	for i := range tab.Shards() {
		tab.WalkShard(i, func(*Lease4) bool { walked--; return true })
	}
	if walked != 0 {
		t.Fatalf("step %d: walking shard by shard differs by %d", step, walked)
	}
	tab.Walk(func(*Lease4) bool { walked++; return walked < 3 })
	if walked != min(3, len(w.recs)+len(w.covered)) {
		t.Fatalf("step %d: walk went on to %d", step, walked)
	}
	tab.Walk(func(*Lease4) bool { walked++; return true })
	walked -= min(3, len(w.recs)+len(w.covered))
	if walked != len(w.recs)+len(w.covered) {
		t.Fatalf("step %d: walk gives %d, want %d+%d", step, walked, len(w.recs), len(w.covered))
	}
	// What a journal or a snapshot has is what is in memory but for offers.
	var want []Lease4
	for a, l := range w.recs {
		if c, ok := w.covered[a]; ok {
			l = c
		}
		if l.State != StateOffered {
			want = append(want, l)
		}
	}
	slices.SortFunc(want, func(a, b Lease4) int { return int(int64(a.Addr) - int64(b.Addr)) })
	var got []Lease4
	page := make([]Lease4, 7)
	for after := dhcp4.IPv4(0); ; {
		n := tab.Page(after, page)
		got = append(got, page[:n]...)
		if n < len(page) {
			break
		}
		after = page[n-1].Addr
	}
	if !slices.Equal(got, want) {
		t.Fatalf("step %d: pages give %d leases, want %d", step, len(got), len(want))
	}
	if len(j.recs) != len(want) {
		t.Fatalf("step %d: journal has %d records, want %d", step, len(j.recs), len(want))
	}
	for _, l := range want {
		if j.recs[l.Addr] != l {
			t.Fatalf("step %d: journal has %+v, want %+v", step, j.recs[l.Addr], l)
		}
	}
	if len(f.recs) != len(w.recs) {
		t.Fatalf("step %d: observer knows %d records, want %d", step, len(f.recs), len(w.recs))
	}
	for a, l := range f.recs {
		if w.recs[a] != l {
			t.Fatalf("step %d: observer has %+v", step, l)
		}
	}
	second := &follower{t, map[dhcp4.IPv4]Lease4{}}
	tab.SetObserver(second, true)
	tab.SetObserver(f, false)
	if len(second.recs) != len(w.recs) {
		t.Fatalf("step %d: a new observer was told of %d records, want %d", step, len(second.recs), len(w.recs))
	}
}
