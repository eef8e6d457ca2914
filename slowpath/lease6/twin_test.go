package lease6

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
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

// twin is the obvious table: maps and scans.
type twin struct {
	recs, covered map[IPv6]Lease6
	crowded       map[string]bool // identity associations that ever had too many records
}

func newTwin() *twin { return &twin{map[IPv6]Lease6{}, map[IPv6]Lease6{}, map[string]bool{}} }

// subnets are all that tests have.
var subnets = []uint32{1, 2, 3}

func iaText(l *Lease6) string { return fmt.Sprintf("%v %x %d", l.Type, l.ID(), l.IAID) }

func (w *twin) set(l Lease6) {
	w.recs[l.Addr] = l
	n := 0
	for _, o := range w.recs {
		if o.State != lease.StateDeclined && iaText(&o) == iaText(&l) {
			n++
		}
	}
	if n > slab.MaxCandidates {
		w.crowded[iaText(&l)] = true
	}
}

// put is what Put is to do; journaled says whether the journal is asked.
func (w *twin) put(l *Lease6, expect uint64, room bool) error {
	old, have := w.recs[l.Addr]
	if old.Version != expect {
		return lease.ErrConflict
	}
	if l.State == lease.StateOffered {
		if !have || old.State == lease.StateOffered {
			return nil
		}
		free := old.State == lease.StateReleased || old.State == lease.StateExpiredReclaimed ||
			(old.State == lease.StateDefault || old.State == lease.StateRegistered) && old.Expired(l.CLTTUnixS)
		if !free {
			return lease.ErrConflict
		}
		w.covered[l.Addr] = old
		return nil
	}
	if !room {
		return lease.ErrJournal
	}
	delete(w.covered, l.Addr)
	return nil
}

func (w *twin) remove(addr IPv6, expect uint64, room bool) error {
	old, have := w.recs[addr]
	switch {
	case !have || old.Version != expect:
		return lease.ErrConflict
	case old.State != lease.StateOffered && !room:
		return lease.ErrJournal
	}
	delete(w.recs, addr)
	if c, ok := w.covered[addr]; ok {
		delete(w.covered, addr)
		w.set(c)
	}
	return nil
}

// sorted are the records that match, latest first.
func (w *twin) sorted(match func(l *Lease6) bool) []Lease6 {
	var all []Lease6
	for _, l := range w.recs {
		if l.State != lease.StateDeclined && match(&l) {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b Lease6) int { return cmp.Compare(b.Version, a.Version) })
	return all
}

// stored is what a restart would find, in order.
func (w *twin) stored(keep func(l *Lease6) bool) []Lease6 {
	all := maps.Clone(w.recs)
	maps.Copy(all, w.covered)
	maps.DeleteFunc(all, func(_ IPv6, l Lease6) bool { return l.State == lease.StateOffered || !keep(&l) })
	return slices.SortedFunc(maps.Values(all), func(a, b Lease6) int { return a.Addr.Compare(b.Addr) })
}

// mapJournal has what a journal would; it has room while room is true.
type mapJournal struct {
	room bool
	recs map[IPv6]Lease6
	last uint64
	n    uint64
}

func (j *mapJournal) Append6(op lease.Op, l *Lease6) (uint64, bool) {
	if !j.room {
		return 0, false
	}
	if l.Version <= j.last {
		panic("journal: versions of one producer go backwards")
	}
	j.last = l.Version
	j.n++
	if op == lease.OpDelete {
		delete(j.recs, l.Addr)
	} else {
		j.recs[l.Addr] = *l
	}
	return j.n, true
}
func (j *mapJournal) Room6() int              { return 1 }
func (j *mapJournal) Healthy() bool           { return true }
func (j *mapJournal) DurableVersion6() uint64 { return j.last }

// follower keeps the table it is told of.
type follower struct {
	t    testing.TB
	recs map[IPv6]Lease6
}

func (f *follower) LeaseChanged6(old, new *Lease6) {
	if old != nil {
		if f.recs[old.Addr] != *old {
			f.t.Errorf("observer: old value of %v is not the last one told", old.Addr)
		}
		delete(f.recs, old.Addr)
	}
	if new != nil {
		if _, known := f.recs[new.Addr]; known {
			f.t.Errorf("observer: %v is new, but known", new.Addr)
		}
		f.recs[new.Addr] = *new
	}
}

func addrN(n uint32) IPv6 {
	return IPv6{0x20, 0x01, 0x0D, 0xB8, byte(n), 0, 0, byte(n >> 8), 0, 0, 0, 0, 0, byte(n >> 16), 0, byte(n)}
}

// randLease makes leases of few clients and few addresses, so that everything
// collides; lengths vary over all size classes.
func randLease(r *rand.Rand, nowS int64) *Lease6 {
	l := &Lease6{Addr: addrN(r.Uint32N(200)), PrefixLen: 128, IAID: r.Uint32N(3), SubnetID: 1 + r.Uint32N(3), PoolID: r.Uint32N(3),
		CLTTUnixS: nowS - r.Int64N(20), PreferredLifetimeS: r.Uint32(), FQDNFwd: r.IntN(2) == 0, FQDNRev: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		l.Type, l.PrefixLen = TypePD, uint8(48+r.IntN(17))
	}
	l.ValidLifetimeS = []uint32{0, 5, 60, 4000, 86400, 1 << 25, lease.InfiniteLifetime}[r.IntN(7)]
	l.State = []lease.State{lease.StateDefault, lease.StateDefault, lease.StateRegistered, lease.StateDeclined, lease.StateExpiredReclaimed,
		lease.StateReleased, lease.StateOffered, lease.StateOffered}[r.IntN(8)]
	client := byte(r.IntN(9))
	if client > 0 {
		l.SetID(bytes.Repeat([]byte{client}, []int{10, 14, 18, 48, 49, 130}[client%6]))
	}
	fill := func(n int) []byte { return bytes.Repeat([]byte{byte(r.IntN(200))}, n) }
	if r.IntN(2) == 0 {
		l.SetHW(uint16(r.IntN(300)), fill(r.IntN(MaxHWAddrLen+1)), HWSource(r.IntN(256)))
	}
	if r.IntN(3) == 0 {
		l.SetHost(fill([]int{3, 30, 200, 255}[r.IntN(4)]))
	}
	if r.IntN(4) == 0 {
		l.SetRelays(AppendRelay(nil, &Relay{Hop: 1, Link: l.Addr, Options: fill(r.IntN(MaxRelayInfoLen - relayFixed + 1))}))
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
	f := &follower{t, map[IPv6]Lease6{}}
	tab := NewTable(Options{Observer: f})
	j := &mapJournal{recs: map[IPv6]Lease6{}}
	w := newTwin()
	var got Lease6
	found, steps := 0, 30000
	if raceOn || testing.Short() {
		steps = 6000
	}
	for step := range steps {
		nowS += r.Int64N(3) * r.Int64N(3)
		if r.IntN(500) == 0 {
			nowS += r.Int64N(5000)
		}
		j.room = r.IntN(20) > 0
		k := randLease(r, nowS)
		expect := w.recs[k.Addr].Version
		if r.IntN(9) == 0 {
			expect = uint64(r.IntN(step + 1))
		}
		switch op := r.IntN(100); {
		case op < 50:
			want := w.put(k, expect, j.room)
			c, err := tab.Put(k, expect, j)
			if err != want {
				t.Fatalf("step %d: put: %v, want %v", step, err, want)
			}
			if err != nil && k.Version != 0 || err == nil && (c.Version != k.Version || c.Version != tab.Version() || (c.Pos == 0) != (k.State == lease.StateOffered)) {
				t.Fatalf("step %d: put: %+v, version %d, %v", step, c, k.Version, err)
			}
			if err == nil {
				w.set(*k)
			}
		case op < 65:
			want := w.remove(k.Addr, expect, j.room)
			if _, err := tab.Delete(k.Addr, expect, j); err != want {
				t.Fatalf("step %d: delete: %v, want %v", step, err, want)
			}
		case op < 80:
			want, ok := w.recs[k.Addr]
			if tab.Get(k.Addr, &got) != ok || ok && got != want {
				t.Fatalf("step %d: get %v: %+v, want %+v", step, k.Addr, got, want)
			}
			want, ok = w.covered[k.Addr]
			if tab.Covered(k.Addr, &got) != ok || ok && got != want {
				t.Fatalf("step %d: covered %v: %+v, want %+v", step, k.Addr, got, want)
			}
		case op < 95:
			if w.crowded[iaText(k)] || k.DUIDLen == 0 {
				break
			}
			var out [MaxPerIA]Lease6
			n := tab.FindByIA(k.Type, k.ID(), k.IAID, subnets, out[:])
			want := w.sorted(func(l *Lease6) bool { return iaText(l) == iaText(k) })
			if found += n; !slices.Equal(out[:n], want) {
				t.Fatalf("step %d: %s has %d records, want %d", step, iaText(k), n, len(want))
			}
		case op < 97:
			var all []Lease6
			tab.WalkDUID(k.ID(), func(l *Lease6) bool { all = append(all, *l); return true })
			slices.SortFunc(all, func(a, b Lease6) int { return cmp.Compare(b.Version, a.Version) })
			if want := w.sorted(func(l *Lease6) bool { return l.DUIDLen > 0 && bytes.Equal(l.ID(), k.ID()) }); !slices.Equal(all, want) {
				t.Fatalf("step %d: DUID %x has %d records, want %d", step, k.ID(), len(all), len(want))
			}
		case op == 97 && r.IntN(5) == 0:
			back := int64(0)
			if r.IntN(5) == 0 {
				back = r.Int64N(2000) // the clock was set back
			}
			checkDue(t, tab, w, nowS-back, []int64{0, 10, 3600}[r.IntN(3)])
		case op == 98 && r.IntN(10) == 0:
			checkAll(t, tab, w, j, f)
		}
		if t.Failed() {
			t.Fatalf("step %d", step)
		}
	}
	checkAll(t, tab, w, j, f)
	if found < steps/10 {
		t.Errorf("only %d records found by identity association", found)
	}
}

func checkDue(t *testing.T, tab *Table, w *twin, nowS, holdS int64) {
	out := make([]Due, 2*len(w.recs)+1)
	got := map[IPv6]uint64{}
	n := tab.Due(nowS, holdS, out)
	for _, d := range out[:n] {
		got[d.Addr] = d.Version
	}
	want := map[IPv6]uint64{}
	for a, l := range w.recs {
		waits := l.State == lease.StateReleased || l.State == lease.StateExpiredReclaimed
		if l.ValidLifetimeS != lease.InfiniteLifetime && (waits && l.ExpiresUnixS()+holdS <= nowS || !waits && l.Expired(nowS)) {
			want[a] = l.Version
		}
	}
	if n != len(got) || !maps.Equal(got, want) {
		t.Errorf("due at %d, hold %d: %d (%d different), want %d", nowS, holdS, n, len(got), len(want))
	}
}

func checkAll(t *testing.T, tab *Table, w *twin, j *mapJournal, f *follower) {
	if tab.Len() != len(w.recs) {
		t.Errorf("len %d, want %d", tab.Len(), len(w.recs))
	}
	var walked, sharded int
	tab.Walk(func(l *Lease6) bool {
		if walked++; *l != w.recs[l.Addr] && *l != w.covered[l.Addr] {
			t.Errorf("walk gives %+v", l)
		}
		return true
	})
	for i := range tab.Shards() {
		tab.WalkShard(i, func(*Lease6) bool { sharded++; return true })
	}
	if want := len(w.recs) + len(w.covered); walked != want || sharded != want {
		t.Errorf("walk gives %d, shard by shard %d, want %d", walked, sharded, want)
	}
	tab.Walk(func(*Lease6) bool { walked--; return false })
	if walked != len(w.recs)+len(w.covered)-min(1, len(w.recs)) {
		t.Error("walk does not end")
	}
	for subnet := range uint32(4) {
		ofSubnet := func(l *Lease6) bool { return subnet == 0 || l.SubnetID == subnet }
		var got []Lease6
		page := make([]Lease6, 7)
		for n, after := 7, (IPv6{}); n == 7; {
			n = tab.PageSubnet(subnet, after, page)
			if got = append(got, page[:n]...); n > 0 {
				after = page[n-1].Addr
			}
		}
		want := w.stored(ofSubnet)
		if !slices.Equal(got, want) {
			t.Errorf("pages of subnet %d give %d leases, want %d", subnet, len(got), len(want))
		}
		got = got[:0]
		tab.Search(&Filter{SubnetID: subnet}, func(l *Lease6) bool { got = append(got, *l); return true })
		slices.SortFunc(got, func(a, b Lease6) int { return a.Addr.Compare(b.Addr) })
		if !slices.Equal(got, want) {
			t.Errorf("search of subnet %d gives %d leases, want %d", subnet, len(got), len(want))
		}
	}
	want := w.stored(func(*Lease6) bool { return true })
	if len(j.recs) != len(want) {
		t.Errorf("journal has %d records, want %d", len(j.recs), len(want))
	}
	for _, l := range want {
		if j.recs[l.Addr] != l {
			t.Errorf("journal has %+v, want %+v", j.recs[l.Addr], l)
		}
	}
	second := &follower{t, map[IPv6]Lease6{}}
	tab.SetObserver(second, true)
	tab.SetObserver(f, false)
	if !maps.Equal(f.recs, w.recs) || !maps.Equal(second.recs, w.recs) {
		t.Errorf("observer knows %d records, a new one %d, want %d", len(f.recs), len(second.recs), len(w.recs))
	}
}
