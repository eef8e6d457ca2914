package lease6

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

const now = int64(1_790_000_000)

// millionth sets l to lease number n of the memory and speed tests: addresses
// and prefixes by turns, a DUID-LLT, a MAC and for some a short host name.
func millionth(l *Lease6, n int) {
	*l = Lease6{PrefixLen: 128, IAID: 1, SubnetID: uint32(1 + n>>14), CLTTUnixS: now + int64(n%3600), ValidLifetimeS: 86400, PreferredLifetimeS: 43200}
	client := n / 2
	l.Addr = IPv6{0x20, 0x01, 0x0D, 0xB8}
	if n%2 == 1 {
		l.Type, l.PrefixLen = TypePD, 56
		binary.BigEndian.PutUint32(l.Addr[3:], 1<<30+uint32(client))
	} else {
		binary.BigEndian.PutUint64(l.Addr[8:], uint64(client)*0x9E3779B97F4A7C15)
	}
	id := [14]byte{0, 1, 0, 1}
	binary.BigEndian.PutUint64(id[4:], uint64(client)*0xBF58476D1CE4E5B9)
	l.SetID(id[:])
	l.SetHW(1, id[4:10], HWSourceDUID)
	if n%4 == 0 {
		l.SetHost([]byte("cpe.example.net"))
	}
}

func leaseOf(n uint32, st lease.State, duid string, iaid uint32) *Lease6 {
	l := &Lease6{Addr: addrN(n), PrefixLen: 128, SubnetID: 1, State: st, IAID: iaid, CLTTUnixS: now, ValidLifetimeS: 3600}
	l.SetID([]byte(duid))
	return l
}

func mustPut(t testing.TB, tab *Table, l *Lease6, expect uint64, j Journal) {
	t.Helper()
	if _, err := tab.Put(l, expect, j); err != nil {
		t.Fatalf("put %v: %v", l.Addr, err)
	}
}

func TestSizes(t *testing.T) {
	if n := reflect.TypeFor[record]().Size(); n != recordBytes {
		t.Errorf("a record has %d bytes, MemoryBytes believes %d", n, recordBytes)
	}
	if n := reflect.TypeFor[shard]().Size(); n != 128 {
		t.Errorf("a shard's head has %d bytes, not two cache lines", n)
	}
	if n := 128 + int(reflect.TypeFor[shardBulk]().Size()); n > shardBytes+300 || n < shardBytes-300 {
		t.Errorf("a shard has %d bytes, MemoryBytes believes %d", n, shardBytes)
	}
}

// TestValues: texts, conversions, and what setters cut.
func TestValues(t *testing.T) {
	a := addrN(7)
	if AddrFromNetip(a.Netip()) != a || a.String() != "2001:db8:700::7" || a.Compare(addrN(8)) >= 0 || TypePD.String() != "IA_PD" || TypeNA.String() != "IA_NA" {
		t.Errorf("address %v", a)
	}
	var l Lease6
	long := slices.Repeat([]byte{9}, 1000)
	l.SetID(long)
	l.SetHW(1, long, HWSourceRaw)
	l.SetHost(long)
	if len(l.ID()) != MaxDUIDLen || len(l.HW()) != MaxHWAddrLen || len(l.Host()) != MaxHostnameLen {
		t.Error("setters keep more than there is room for, or less")
	}
	if l.SetRelays(long) || len(l.Relays()) != 0 || !l.SetRelays(long[:MaxRelayInfoLen]) {
		t.Error("relay information is kept whole or not at all")
	}
	l = Lease6{ValidLifetimeS: lease.InfiniteLifetime}
	if l.Expired(1<<62) || (&Lease6{CLTTUnixS: 5, ValidLifetimeS: 5}).Expired(10) || !(&Lease6{CLTTUnixS: 5, ValidLifetimeS: 5}).Expired(11) {
		t.Error("expiry")
	}
}

func TestRelays(t *testing.T) {
	in := []Relay{{Hop: 2, Link: addrN(1), Peer: addrN(2), Options: []byte("interface")}, {Hop: 1, Peer: addrN(3), Options: []byte{}}}
	var b []byte
	for i := range in {
		b = AppendRelay(b, &in[i])
	}
	rest := b
	for i := range in {
		var r Relay
		var ok bool
		if rest, ok = NextRelay(rest, &r); !ok || !reflect.DeepEqual(r, in[i]) {
			t.Fatalf("relay %d: %+v", i, r)
		}
	}
	for n := range len(b) + 1 {
		whole := n == 0 || n == relayFixed+9 || n == len(b)
		if ValidRelays(b[:n]) != whole {
			t.Errorf("%d octets: valid %v", n, !whole)
		}
	}
	var l Lease6
	if l.SetRelays(AppendRelay(nil, &Relay{Options: make([]byte, 1<<17)})) {
		t.Error("options that were cut are kept")
	}
}

func FuzzNextRelay(f *testing.F) {
	f.Add(AppendRelay(AppendRelay(nil, &Relay{Hop: 1, Options: []byte("x")}), &Relay{}))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		var r Relay
		rest, ok := b, true
		for len(rest) > 0 && ok {
			if rest, ok = NextRelay(rest, &r); ok {
				again = AppendRelay(again, &r)
			}
		}
		if ok != ValidRelays(b) || ok && string(again) != string(b) {
			t.Errorf("%x comes back as %x", b, again)
		}
	})
}

// TestOneOwner: an address is one key, whatever type and prefix length.
func TestOneOwner(t *testing.T) {
	tab := NewTable(Options{})
	a := leaseOf(1, lease.StateDefault, "a", 1)
	a.Type, a.PrefixLen = TypePD, 56
	mustPut(t, tab, a, 0, nil)
	b := leaseOf(1, lease.StateDefault, "b", 1)
	b.Type, b.PrefixLen = TypePD, 60
	if _, err := tab.Put(b, 0, nil); !errors.Is(err, lease.ErrConflict) {
		t.Errorf("a prefix that starts where another does: %v", err)
	}
}

// TestAssociations: several leases per association, several associations per
// DUID, in any subnet.
func TestAssociations(t *testing.T) {
	tab := NewTable(Options{})
	for n := range uint32(3) {
		l := leaseOf(10+n, lease.StateDefault, "duid", 1)
		l.Type, l.PrefixLen, l.SubnetID = TypePD, 56, 1+n
		mustPut(t, tab, l, 0, nil)
	}
	mustPut(t, tab, leaseOf(20, lease.StateReleased, "duid", 1), 0, nil)
	mustPut(t, tab, leaseOf(21, lease.StateOffered, "duid", 2), 0, nil)
	mustPut(t, tab, leaseOf(22, lease.StateDeclined, "duid", 1), 0, nil)
	var out [MaxPerIA]Lease6
	for _, c := range []struct {
		typ  Type
		duid string
		iaid uint32
		want []uint32
	}{
		{TypePD, "duid", 1, []uint32{12, 11, 10}}, {TypeNA, "duid", 1, []uint32{20}}, {TypeNA, "duid", 2, []uint32{21}},
		{TypePD, "duid", 2, nil}, {TypeNA, "dui", 1, nil}, {TypeNA, "", 1, nil}, {TypeNA, string(make([]byte, 200)), 1, nil},
	} {
		n := tab.FindByIA(c.typ, []byte(c.duid), c.iaid, subnets, out[:])
		var got []uint32
		for i := range out[:n] {
			got = append(got, uint32(out[i].Addr[15]))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v %q %d: %v, want %v", c.typ, c.duid, c.iaid, got, c.want)
		}
	}
	if n := tab.FindByIA(TypePD, []byte("duid"), 1, subnets, out[:2]); n != 2 {
		t.Errorf("room for two: %d", n)
	}
	n := 0
	tab.WalkDUID([]byte("duid"), func(*Lease6) bool { n++; return true })
	tab.WalkDUID([]byte("duid"), func(*Lease6) bool { n++; return false })
	tab.WalkDUID(nil, func(*Lease6) bool { n++; return true })
	if n != 6 {
		t.Errorf("%d records of the DUID seen", n)
	}
}

// TestPiledUpClient: a client takes thousands of leases under one DUID, and under
// one association. Look-ups and changes stay cheap; its newest ones and others'
// are found; a walk of its DUID finds all.
func TestPiledUpClient(t *testing.T) {
	tab := NewTable(Options{})
	const many = 20000
	other := leaseOf(1<<20, lease.StateDefault, "other", 1)
	mustPut(t, tab, other, 0, nil)
	var out [MaxPerIA]Lease6
	for n := range uint32(many) {
		mustPut(t, tab, leaseOf(n, lease.StateDefault, "greedy", n%2*n), 0, nil) // half of them in association 0
	}
	if run := tab.byDUID.LongestRun(); run > 400 {
		t.Errorf("a look-up may take %d steps", run)
	}
	if n := tab.FindByIA(TypeNA, []byte("greedy"), 0, subnets, out[:]); n != MaxPerIA || out[0].Addr != addrN(many-2) {
		t.Errorf("%d of association 0, first %v", n, out[0].Addr)
	}
	if n := tab.FindByIA(TypeNA, []byte("greedy"), 77, subnets, out[:]); n != 1 || out[0].Addr != addrN(77) {
		t.Errorf("%d of association 77", n)
	}
	if n := tab.FindByIA(TypeNA, []byte("other"), 1, subnets, out[:]); n != 1 {
		t.Errorf("%d of the other client", n)
	}
	n := 0
	tab.WalkDUID([]byte("greedy"), func(*Lease6) bool { n++; return true })
	if n != many {
		t.Errorf("%d of the DUID", n)
	}
	var all []Lease6
	tab.Walk(func(l *Lease6) bool { all = append(all, Lease6{Addr: l.Addr, Version: l.Version}); return true })
	for i := range all {
		if _, err := tab.Delete(all[i].Addr, all[i].Version, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := tab.byDUID.Len() + tab.Len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// TestOfferOverStale is the life of an offer of an address that has an old
// record: it holds the address, and leaves no trace if nothing comes of it.
func TestOfferOverStale(t *testing.T) {
	for _, st := range []lease.State{lease.StateReleased, lease.StateExpiredReclaimed, lease.StateDefault, lease.StateRegistered} {
		tab, j := NewTable(Options{}), &mapJournal{room: true, recs: map[IPv6]Lease6{}}
		old := leaseOf(1, st, "old", 1)
		old.CLTTUnixS = now - 3601
		mustPut(t, tab, old, 0, j)
		offer := leaseOf(1, lease.StateOffered, "new", 2)
		mustPut(t, tab, offer, old.Version, j)
		var l Lease6
		var out [MaxPerIA]Lease6
		if !tab.Get(addrN(1), &l) || l != *offer || !tab.Covered(addrN(1), &l) || l != *old || j.recs[addrN(1)] != *old {
			t.Errorf("state %d: under an offer", st)
		}
		if tab.FindByIA(TypeNA, []byte("old"), 1, subnets, out[:]) != 0 || tab.FindByIA(TypeNA, []byte("new"), 2, subnets, out[:]) != 1 {
			t.Errorf("state %d: look-up under an offer", st)
		}
		if n := tab.Page(IPv6{}, out[:]); n != 1 || out[0] != *old {
			t.Errorf("state %d: page under an offer", st)
		}
		if c, err := tab.Delete(addrN(1), offer.Version, j); err != nil || c.Pos != 0 || !tab.Get(addrN(1), &l) || l != *old || tab.Len() != 1 {
			t.Errorf("state %d: after the offer: %+v, %v", st, l, err)
		}
		if tab.FindByIA(TypeNA, []byte("old"), 1, subnets, out[:]) != 1 || tab.FindByIA(TypeNA, []byte("new"), 2, subnets, out[:]) != 0 {
			t.Errorf("state %d: look-up after the offer", st)
		}
		mustPut(t, tab, offer, old.Version, j)
		granted := leaseOf(1, lease.StateDefault, "new", 2)
		mustPut(t, tab, granted, offer.Version, j)
		if tab.Covered(addrN(1), &l) || j.recs[addrN(1)] != *granted || tab.Len() != 1 {
			t.Errorf("state %d: after the grant", st)
		}
	}
	tab := NewTable(Options{})
	for n, st := range []lease.State{lease.StateDefault, lease.StateDeclined, lease.StateRegistered} {
		l := leaseOf(uint32(n), st, "a", 1)
		mustPut(t, tab, l, 0, nil)
		if _, err := tab.Put(leaseOf(uint32(n), lease.StateOffered, "b", 1), l.Version, nil); !errors.Is(err, lease.ErrConflict) {
			t.Errorf("offer over state %d: %v", st, err)
		}
	}
}

func TestLimitAndLoad(t *testing.T) {
	tab := NewTable(Options{MaxLeases: 2})
	a, b := leaseOf(1, lease.StateDefault, "a", 1), leaseOf(2, lease.StateOffered, "b", 1)
	mustPut(t, tab, a, 0, nil)
	mustPut(t, tab, b, 0, nil)
	if _, err := tab.Put(leaseOf(3, lease.StateDefault, "c", 1), 0, nil); !errors.Is(err, lease.ErrTableFull) {
		t.Errorf("third: %v", err)
	}
	if _, err := tab.Delete(a.Addr, a.Version, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tab.Put(leaseOf(3, lease.StateDefault, "c", 1), 0, &mapJournal{}); !errors.Is(err, lease.ErrJournal) || tab.Len() != 1 {
		t.Errorf("journal full: %v, %d records", err, tab.Len())
	}
	tab = NewTable(Options{MaxLeases: 1})
	tab.Reserve(100)
	for _, v := range []struct {
		n     uint32
		st    lease.State
		duid  string
		iaid  uint32
		index uint64
	}{{1, lease.StateDefault, "a", 1, 7}, {1, lease.StateReleased, "b", 2, 3}, {1, lease.StateDefault, "c", 3, 9}, {2, lease.StateOffered, "d", 4, 100}, {3, lease.StateDefault, "e", 5, 8}} {
		l := leaseOf(v.n, v.st, v.duid, v.iaid)
		l.Version = v.index
		tab.Load(l)
	}
	var l Lease6
	var out [1]Lease6
	if !tab.Get(addrN(1), &l) || l.Version != 9 || tab.Get(addrN(2), &l) || tab.Len() != 2 || tab.Version() != 9 ||
		tab.FindByIA(TypeNA, []byte("a"), 1, subnets, out[:]) != 0 || tab.FindByIA(TypeNA, []byte("c"), 3, subnets, out[:]) != 1 {
		t.Errorf("after load: %d records, version %d", tab.Len(), tab.Version())
	}
	tab.SetVersion(50)
	tab.SetVersion(20)
	next := leaseOf(1, lease.StateReleased, "c", 3)
	if mustPut(t, tab, next, 9, nil); next.Version != 51 {
		t.Errorf("version %d", next.Version)
	}
}

// TestPagesWhileChanging: what is there all the time is in exactly one page,
// whoever changes what, and whoever else reads pages.
func TestPagesWhileChanging(t *testing.T) {
	r := newRand(t)
	tab := NewTable(Options{})
	const stay = 3 * pageKeys / 2
	for n := range uint32(stay) {
		mustPut(t, tab, leaseOf(n*2, lease.StateDefault, "stay", n), 0, nil)
	}
	seen := map[IPv6]int{}
	page, other := make([]Lease6, 500), make([]Lease6, 3)
	last := IPv6{}
	for n := len(page); n == len(page); {
		n = tab.Page(last, page)
		for i := range page[:n] {
			if page[i].Addr.Compare(last) <= 0 {
				t.Fatalf("%v after %v", page[i].Addr, last)
			}
			last = page[i].Addr
			seen[last]++
		}
		for range 20 { // others come, go and are renewed
			l := leaseOf(r.Uint32N(stay*2)|1, lease.StateDefault, "go", 1)
			var have Lease6
			if tab.Get(l.Addr, &have) {
				tab.Delete(l.Addr, have.Version, nil)
			} else {
				mustPut(t, tab, l, 0, nil)
			}
		}
		if r.IntN(10) == 0 {
			tab.PageSubnet(r.Uint32N(2), addrN(r.Uint32N(stay)), other)
		}
	}
	for n := range uint32(stay) {
		if seen[addrN(n*2)] != 1 {
			t.Fatalf("%v was seen %d times", addrN(n*2), seen[addrN(n*2)])
		}
	}
	// Without other changes an added lease is seen at once.
	l := leaseOf(1<<22|5, lease.StateDefault, "late", 1)
	mustPut(t, tab, l, 0, nil)
	before := l.Addr
	before[15]--
	if n := tab.Page(before, other); n == 0 || other[0] != *l {
		t.Errorf("%d leases behind %v", n, before)
	}
}

// TestConcurrentOwners: workers fight for few addresses. At any time an address
// has one owner, and the observer's view is what is there in the end.
func TestConcurrentOwners(t *testing.T) {
	f := &lockedFollower{follower: follower{t, map[IPv6]Lease6{}}}
	tab := NewTable(Options{Observer: f})
	const addrs = 16
	var owner [addrs]atomic.Int32
	var granted atomic.Int64
	var wg sync.WaitGroup
	worker := func(me int32) {
		r := rand.New(rand.NewPCG(uint64(me), 1))
		duid := string(rune('a' + me))
		var out [MaxPerIA]Lease6
		var l Lease6
		for range 4000 {
			n := r.Uint32N(addrs)
			addr := addrN(n)
			have := tab.Get(addr, &l)
			mine := have && string(l.ID()) == duid
			switch {
			case !have:
				if _, err := tab.Put(leaseOf(n, lease.StateDefault, duid, n), 0, nil); err == nil {
					granted.Add(1)
					if !owner[n].CompareAndSwap(0, me) {
						t.Errorf("%v has two owners", addr)
					}
				}
			case mine && r.IntN(2) == 0:
				l.CLTTUnixS++
				if _, err := tab.Put(&l, l.Version, nil); err != nil {
					t.Errorf("renew own: %v", err)
				}
			case mine:
				owner[n].Store(0)
				if _, err := tab.Delete(addr, l.Version, nil); err != nil {
					t.Errorf("release own: %v", err)
				}
			default:
				if _, err := tab.Put(leaseOf(n, lease.StateDefault, duid, n), l.Version-1, nil); !errors.Is(err, lease.ErrConflict) {
					t.Errorf("took over a lease: %v", err)
				}
			}
			for i := range out[:tab.FindByIA(TypeNA, []byte(duid), n, subnets, out[:])] {
				if string(out[i].ID()) != duid || out[i].IAID != n {
					t.Errorf("looked for %s %d, found %s %d", duid, n, out[i].ID(), out[i].IAID)
				}
			}
			if r.IntN(500) == 0 {
				tab.WalkDUID([]byte(duid), func(l *Lease6) bool { return tab.Get(l.Addr, &out[0]) || true })
				tab.Page(IPv6{}, out[:])
				var due [4]Due
				tab.Due(now+r.Int64N(8000), 0, due[:])
				tab.Quiesce()
			}
		}
	}
	for g := range int32(8) {
		wg.Go(func() { worker(g + 1) })
	}
	wg.Wait()
	if granted.Load() < 100 {
		t.Errorf("only %d grants", granted.Load())
	}
	n := 0
	tab.Walk(func(l *Lease6) bool {
		n++
		if f.recs[l.Addr] != *l || string(rune('a'+owner[l.Addr[15]].Load())) != string(l.ID()) {
			t.Errorf("%v belongs to %d, table says %s", l.Addr, owner[l.Addr[15]].Load(), l.ID())
		}
		return true
	})
	if n != len(f.recs) || n != tab.Len() {
		t.Errorf("%d records, observer has %d, len %d", n, len(f.recs), tab.Len())
	}
}

type lockedFollower struct {
	sync.Mutex
	follower
}

func (f *lockedFollower) LeaseChanged6(old, new *Lease6) {
	f.Lock()
	defer f.Unlock()
	f.follower.LeaseChanged6(old, new)
}

type nullJournal struct{ n uint64 }

func (j *nullJournal) Append6(lease.Op, *Lease6) (uint64, bool) { j.n++; return j.n, true }
func (j *nullJournal) Room6() int                               { return 1 }
func (j *nullJournal) Healthy() bool                            { return true }
func (j *nullJournal) DurableVersion6() uint64                  { return 0 }

func TestNoAllocation(t *testing.T) {
	tab := NewTable(Options{})
	var j nullJournal
	var l, got Lease6
	for n := range 20000 {
		millionth(&l, n)
		mustPut(t, tab, &l, 0, nil)
	}
	var due [8]Due
	var out [MaxPerIA]Lease6
	relays := AppendRelay(nil, &Relay{Hop: 1, Options: make([]byte, 70)})
	n := 0
	cycle := func() {
		n++
		millionth(&l, n%20000+20000)
		l.SetRelays(relays)
		l.State = lease.StateOffered
		tab.Put(&l, 0, &j)
		l.State = lease.StateDefault
		tab.Put(&l, l.Version, &j)
		l.CLTTUnixS += 1000
		tab.Put(&l, l.Version, &j)
		if !tab.Get(l.Addr, &got) || tab.FindByIA(l.Type, l.ID(), l.IAID, subnets, out[:]) != 1 {
			t.Fatal("not found")
		}
		tab.Delete(l.Addr, l.Version, &j)
		tab.Due(now, 0, due[:])
	}
	warm, runs := 20001, 2000 // slabs and indexes get their size
	if raceOn {
		warm, runs = 200, 10
	}
	for range warm {
		cycle()
	}
	if a := testing.AllocsPerRun(runs, cycle); a != 0 && !raceOn {
		t.Errorf("%v allocations", a)
	}
}

// TestMillion loads a million leases as recovery does, and asserts the memory
// target of 250 bytes each, everything counted, and that MemoryBytes tells it;
// speeds are logged.
func TestMillion(t *testing.T) {
	if raceOn || testing.Short() {
		t.Skip("a million leases: not with -race or -short")
	}
	const million = 1_000_000
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	start := time.Now()
	tab := NewTable(Options{})
	var l Lease6
	worst := 0.0
	for n := range million {
		millionth(&l, n)
		l.Version = uint64(n + 1)
		tab.Load(&l)
		if n >= 300_000 && n%10_000 == 0 {
			worst = max(worst, float64(tab.MemoryBytes())/float64(n))
		}
	}
	took := time.Since(start)
	each, own := float64(heap()-before)/million, float64(tab.MemoryBytes())/million
	t.Logf("loaded in %v; %.1f bytes a lease in the heap, %.1f by MemoryBytes, at most %.1f on the way", took, each, own, worst)
	if each > 250 || worst > 250 || tab.Len() != million {
		t.Errorf("%.1f bytes a lease, at most %.1f, %d leases", each, worst, tab.Len())
	}
	if own < each*0.95 || own > each*1.05 {
		t.Errorf("MemoryBytes says %.1f bytes a lease, the heap %.1f", own, each)
	}
	start = time.Now()
	page := make([]Lease6, 1000)
	seen := 0
	for n, last := len(page), (IPv6{}); n == len(page); seen += n {
		if n = tab.Page(last, page); n > 0 {
			last = page[n-1].Addr
		}
	}
	t.Logf("all pages of 1000 in %v", time.Since(start))
	if seen != million {
		t.Errorf("%d paged", seen)
	}
	start = time.Now()
	var due [100]Due
	removed := 0
	for n := -1; n != 0; removed += n {
		n = tab.Due(now+90001, 3600, due[:])
		for _, d := range due[:n] {
			if _, err := tab.Delete(d.Addr, d.Version, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("expired and removed in %v", time.Since(start))
	if removed != million || tab.Len() != 0 {
		t.Errorf("%d removed, %d left", removed, tab.Len())
	}
	runtime.KeepAlive(tab)
}

// BenchmarkRenew is what a renewal of one IA does: a look-up and a Put.
func BenchmarkRenew(b *testing.B) {
	tab := NewTable(Options{})
	var l Lease6
	const many = 500_000
	for n := range many {
		millionth(&l, n)
		mustPut(b, tab, &l, 0, nil)
	}
	var out [MaxPerIA]Lease6
	var j nullJournal
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		millionth(&l, i*7919%many)
		if tab.FindByIA(l.Type, l.ID(), l.IAID, subnets, out[:]) != 1 {
			b.Fatal("not found")
		}
		out[0].CLTTUnixS += 100
		if _, err := tab.Put(&out[0], out[0].Version, &j); err != nil {
			b.Fatal(err)
		}
	}
}
