package alloc6

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
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

func newRandOf(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, 7)) }

func ip(s string) lease6.IPv6 { return netip.MustParseAddr(s).As16() }

// newSubnet makes a subnet with the pools first, last, first, last, …
func newSubnet(id uint32, allocator string, ends ...string) *config.Subnet6 {
	s := &config.Subnet6{ID: id}
	s.Allocator, s.PDAllocator = allocator, allocator
	s.ReservationsInSubnet = true
	for i := 0; i < len(ends); i += 2 {
		s.Pools = append(s.Pools, &config.Pool6{First: netip.MustParseAddr(ends[i]), Last: netip.MustParseAddr(ends[i+1]), ID: uint32(i)})
	}
	return s
}

// withPrefixes adds a pool of prefixes.
func withPrefixes(s *config.Subnet6, prefix string, length uint8) *config.Subnet6 {
	s.PDPools = append(s.PDPools, &config.PDPool6{Prefix: netip.MustParsePrefix(prefix), DelegatedLen: length})
	return s
}

func newSet(subnets ...*config.Subnet6) *Set { return NewSet(&config.Dhcp6{Subnets: subnets}) }

func record(subnetID uint32, addr string, st lease.State) *lease6.Lease6 {
	return &lease6.Lease6{SubnetID: subnetID, Addr: ip(addr), PrefixLen: 128, State: st, CLTTUnixS: 1000, ValidLifetimeS: 3600}
}

func prefix(subnetID uint32, p string, st lease.State) *lease6.Lease6 {
	n := netip.MustParsePrefix(p)
	return &lease6.Lease6{SubnetID: subnetID, Type: lease6.TypePD, Addr: n.Addr().As16(), PrefixLen: uint8(n.Bits()), State: st, CLTTUnixS: 1000, ValidLifetimeS: 3600}
}

func expectPick(t *testing.T, a *Set, s *config.Subnet6, p int, addr string, kind Kind) {
	t.Helper()
	got, k := a.Pick(s, p)
	expect(t, got, k, addr, kind)
}

func expectPrefix(t *testing.T, a *Set, s *config.Subnet6, p int, addr string, kind Kind) {
	t.Helper()
	got, k := a.PickPrefix(s, p)
	expect(t, got, k, addr, kind)
}

func expect(t *testing.T, got lease6.IPv6, k Kind, addr string, kind Kind) {
	t.Helper()
	want := lease6.IPv6{}
	if addr != "" {
		want = ip(addr)
	}
	if got != want || k != kind {
		t.Fatalf("pick: %v kind %d, want %v kind %d", got, k, want, kind)
	}
}

func TestIterativeGoesOnAndWraps(t *testing.T) {
	s := newSubnet(1, "iterative", "2001:db8::fffe", "2001:db8::1:0", "2001:db8::2:0", "2001:db8::2:0")
	a := newSet(s)
	expectPick(t, a, s, 0, "2001:db8::fffe", Free)
	expectPick(t, a, s, 0, "2001:db8::ffff", Free)
	a.Unclaim(s, ip("2001:db8::fffe"))
	a.Unclaim(s, ip("2001:db8::ffff"))
	expectPick(t, a, s, 0, "2001:db8::1:0", Free) // the next, not the lowest
	expectPick(t, a, s, 0, "2001:db8::fffe", Free)
	expectPick(t, a, s, 0, "2001:db8::ffff", Free)
	expectPick(t, a, s, 0, "", None)
	expectPick(t, a, s, 1, "2001:db8::2:0", Free)
	expectPick(t, a, s, 1, "", None)
	expectPick(t, a, s, 2, "", None)  // no such pool
	expectPick(t, a, s, -1, "", None) // nor that
	expectPrefix(t, a, s, 0, "", None)
	expectPick(t, a, newSubnet(9, "iterative", "2001:db8::", "2001:db8::2"), 0, "", None)
}

func TestIterativePrefixes(t *testing.T) {
	s := withPrefixes(newSubnet(1, "iterative"), "2001:db8:4000::/46", 48)
	a := newSet(s)
	for _, p := range []string{"2001:db8:4000::", "2001:db8:4001::", "2001:db8:4002::", "2001:db8:4003::"} {
		expectPrefix(t, a, s, 0, p, Free)
	}
	expectPrefix(t, a, s, 0, "", None)
	a.UnclaimPrefix(s, ip("2001:db8:4002::"), 56) // of another length: no claim
	expectPrefix(t, a, s, 0, "", None)
	a.UnclaimPrefix(s, ip("2001:db8:4002::"), 48)
	expectPrefix(t, a, s, 0, "2001:db8:4002::", Free)
}

func TestLargestPools(t *testing.T) {
	s := newSubnet(1, "iterative", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	withPrefixes(s, "::/0", 128)
	a := newSet(s)
	expectPick(t, a, s, 0, "::", Free)
	expectPick(t, a, s, 0, "::1", Free)
	expectPrefix(t, a, s, 0, "::", Free)
	a.na.all[0].next[kindFree] = number{^uint64(0), ^uint64(0)}
	expectPick(t, a, s, 0, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Free)
	expectPick(t, a, s, 0, "::2", Free) // around the end
	n := 0
	a.EachPool(func(p *PoolStats) {
		n++
		if p.Total.String() != "340282366920938463463374607431768211455" {
			t.Errorf("total %v", p.Total)
		}
	})
	if n != 2 {
		t.Errorf("%d pools", n)
	}
	random := newSubnet(2, "random", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	b := newSet(random)
	seen := map[lease6.IPv6]bool{}
	for range 1000 {
		addr, k := b.Pick(random, 0)
		if k != Free || seen[addr] {
			t.Fatalf("%v kind %d, seen %v", addr, k, seen[addr])
		}
		seen[addr] = true
	}
	if len(seen) != 1000 {
		t.Error("random addresses repeat")
	}
}

func TestKindsInOrder(t *testing.T) {
	s := newSubnet(1, "iterative", "2001:db8::", "2001:db8::5")
	a := newSet(s)
	a.LeaseChanged6(nil, record(1, "2001:db8::", lease.StateOffered))
	a.LeaseChanged6(nil, record(1, "2001:db8::1", lease.StateReleased))
	a.LeaseChanged6(nil, record(1, "2001:db8::2", lease.StateDefault))
	a.LeaseChanged6(nil, record(1, "2001:db8::3", lease.StateDeclined))
	a.LeaseChanged6(nil, record(1, "2001:db8::5", lease.StateRegistered))
	expectPick(t, a, s, 0, "2001:db8::4", Free)
	expectPick(t, a, s, 0, "2001:db8::1", Stale)
	expectPick(t, a, s, 0, "2001:db8::", Offered)
	expectPick(t, a, s, 0, "", None)
	// The table reports the stale one taken over by an offer: the claim is over.
	a.LeaseChanged6(record(1, "2001:db8::1", lease.StateReleased), record(1, "2001:db8::1", lease.StateOffered))
	expectPick(t, a, s, 0, "2001:db8::1", Offered)
	// A claim that came to nothing leaves the address what it was.
	a.Unclaim(s, ip("2001:db8::1"))
	expectPick(t, a, s, 0, "2001:db8::1", Offered)
	// A renewal ends a claim, as when a client asks for its own address.
	if !a.Claim(s, ip("2001:db8::2")) {
		t.Error("claim of an address in use")
	}
	a.LeaseChanged6(record(1, "2001:db8::2", lease.StateDefault), record(1, "2001:db8::2", lease.StateDefault))
	if !a.Claim(s, ip("2001:db8::2")) {
		t.Error("the claim outlived the renewal")
	}
}

func TestReservedNeverPicked(t *testing.T) {
	for _, c := range []struct {
		inSubnet, outOfPool, picked bool
	}{{true, false, false}, {true, true, true}, {false, false, true}} {
		s := withPrefixes(newSubnet(1, "iterative", "2001:db8::1", "2001:db8::2"), "2001:db8:8000::/40", 48)
		s.ReservationsInSubnet, s.ReservationsOutOfPool = c.inSubnet, c.outOfPool
		s.Reservations = []*config.Reservation6{{SubnetID: 1,
			Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::99")},
			Prefixes: []config.ReservedPrefix{
				{Prefix: netip.MustParsePrefix("2001:db8:8000::/41")}, // half of the pool
				{Prefix: netip.MustParsePrefix("2001:db8:8080:ff00::/56")},
				{Prefix: netip.MustParsePrefix("2001:db8:8080:f000::/56")}, // of the same unit
			},
		}}
		a := NewSet(&config.Dhcp6{
			Subnets:            []*config.Subnet6{s},
			GlobalReservations: []*config.Reservation6{{Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::2")}}},
		})
		if c.picked {
			expectPick(t, a, s, 0, "2001:db8::1", Free)
			expectPrefix(t, a, s, 0, "2001:db8:8000::", Free)
			continue
		}
		expectPick(t, a, s, 0, "2001:db8::2", Free)
		expectPick(t, a, s, 0, "", None)
		expectPrefix(t, a, s, 0, "2001:db8:8081::", Free)
		if !a.Claim(s, ip("2001:db8::1")) {
			t.Error("claim of a reserved address refused")
		}
		if a.Claim(s, ip("2001:db8::1")) {
			t.Error("claimed twice")
		}
		// Neither a stale record nor its end makes it one to pick.
		a.LeaseChanged6(nil, record(1, "2001:db8::1", lease.StateReleased))
		expectPick(t, a, s, 0, "", None)
		a.LeaseChanged6(record(1, "2001:db8::1", lease.StateReleased), nil)
		expectPick(t, a, s, 0, "", None)
	}
}

func TestClaim(t *testing.T) {
	s := withPrefixes(newSubnet(1, "iterative", "2001:db8::1", "2001:db8::2"), "2001:db8:8000::/48", 56)
	a := newSet(s)
	if !a.Claim(s, ip("2001:db8::77")) || !a.Claim(s, ip("2001:db8::77")) {
		t.Error("an address outside pools needs no claim")
	}
	if !a.Claim(s, ip("2001:db8::1")) || a.Claim(s, ip("2001:db8::1")) {
		t.Error("claim once, and once only")
	}
	expectPick(t, a, s, 0, "2001:db8::2", Free)
	if a.Claim(s, ip("2001:db8::2")) {
		t.Error("claimed what Pick has claimed")
	}
	a.Unclaim(s, ip("2001:db8::1"))
	expectPick(t, a, s, 0, "2001:db8::1", Free)
	if !a.ClaimPrefix(s, ip("2001:db8:8000:100::"), 56) || a.ClaimPrefix(s, ip("2001:db8:8000:100::"), 56) {
		t.Error("claim a prefix once, and once only")
	}
	if !a.ClaimPrefix(s, ip("2001:db8:8000:180::"), 57) {
		t.Error("a prefix of another length needs no claim")
	}
	expectPrefix(t, a, s, 0, "2001:db8:8000::", Free)
	expectPrefix(t, a, s, 0, "2001:db8:8000:200::", Free)
}

// TestOtherLengths: prefixes delegated under an earlier configuration keep what
// they cover, whatever delegated-len is now.
func TestOtherLengths(t *testing.T) {
	s := withPrefixes(newSubnet(1, "iterative"), "2001:db8:8000::/36", 56) // 2^20 units
	a := newSet(s)
	wide, wider := prefix(1, "2001:db8:8000::/44", lease.StateDefault), prefix(1, "2001:db8:8000::/41", lease.StateDefault)
	narrow := prefix(1, "2001:db8:8080:10::/60", lease.StateDefault)
	other := prefix(1, "2001:db8:8080:20::/60", lease.StateDefault)
	for _, l := range []*lease6.Lease6{wide, narrow, other} {
		a.LeaseExists6(l)
	}
	a.LeaseChanged6(wide, wider) // the same address with another length
	expectPrefix(t, a, s, 0, "2001:db8:8080:100::", Free)
	a.LeaseChanged6(wider, nil)
	a.LeaseChanged6(narrow, nil)
	a.na, a.pd.all[0].next[kindFree] = family{}, a.pd.all[0].unit(addrNumber(ip("2001:db8:8080::")))
	expectPrefix(t, a, s, 0, "2001:db8:8080:200::", Free) // one is left of the two in its unit
	a.LeaseChanged6(other, nil)
	a.pd.all[0].next[kindFree] = a.pd.all[0].unit(addrNumber(ip("2001:db8:8080::")))
	expectPrefix(t, a, s, 0, "2001:db8:8080::", Free)
	a.pd.all[0].next[kindFree] = number{}
	expectPrefix(t, a, s, 0, "2001:db8:8000::", Free)
	if n := len(a.pd.all[0].blocks); n != 0 {
		t.Errorf("%d blocks are left", n)
	}
	// One that covers the pool and more.
	all := prefix(7, "2001:db8::/32", lease.StateDefault)
	a.LeaseChanged6(nil, all)
	expectPrefix(t, a, s, 0, "", None)
	a.LeaseChanged6(all, nil)
	expectPrefix(t, a, s, 0, "2001:db8:8000:100::", Free)
}

func TestOverlappingPools(t *testing.T) {
	s1 := withPrefixes(newSubnet(1, "iterative", "2001:db8::1", "2001:db8::3"), "2001:db8:8000::/46", 48)
	s2 := withPrefixes(newSubnet(2, "iterative", "2001:db8::2", "2001:db8::4"), "2001:db8:8000::/47", 48)
	a := newSet(s1, s2)
	a.LeaseChanged6(nil, record(1, "2001:db8::2", lease.StateDefault))
	expectPick(t, a, s2, 0, "2001:db8::3", Free)
	a.LeaseChanged6(nil, record(9, "2001:db8::1", lease.StateDefault)) // of an unknown subnet
	expectPick(t, a, s1, 0, "2001:db8::3", Free)                       // claims are of one subnet only
	a.LeaseChanged6(nil, prefix(1, "2001:db8:8000::/48", lease.StateDefault))
	expectPrefix(t, a, s2, 0, "2001:db8:8001::", Free)
	a.LeaseChanged6(prefix(1, "2001:db8:8000::/48", lease.StateDefault), nil)
	expectPrefix(t, a, s2, 0, "2001:db8:8000::", Free)
}

func TestStats(t *testing.T) {
	s := withPrefixes(newSubnet(1, "iterative", "2001:db8::1", "2001:db8::ff"), "2001:db8:8000::/40", 56)
	a := newSet(s)
	step := func(old, new *lease6.Lease6) { a.LeaseChanged6(old, new) }
	off, def := record(1, "2001:db8::1", lease.StateOffered), record(1, "2001:db8::1", lease.StateDefault)
	step(nil, off)
	step(off, def)
	step(def, def)                                      // a renewal is no assignment
	step(nil, record(1, "fe80::1", lease.StateDefault)) // outside the pools
	step(nil, record(1, "2001:db8::2", lease.StateDeclined))
	step(nil, record(1, "2001:db8::3", lease.StateRegistered))
	step(nil, record(1, "2001:db8::4", lease.StateReleased))
	step(nil, prefix(1, "2001:db8:8000::/56", lease.StateDefault))
	a.LeaseExists6(prefix(1, "2001:db8:8000:100::/56", lease.StateDefault))
	var got SubnetStats
	a.EachSubnet(func(s *SubnetStats) { got = *s })
	want := SubnetStats{SubnetID: 1,
		NA: TypeStats{Total: Size{0, 255}, Assigned: 3, Declined: 1, Registered: 1, Cumulative: 2, CumulativeRegistered: 1},
		PD: TypeStats{Total: Size{0, 1 << 16}, Assigned: 2, Cumulative: 1},
	}
	if got != want {
		t.Errorf("subnet: %+v\n want %+v", got, want)
	}
	var pools []PoolStats
	a.EachPool(func(p *PoolStats) { pools = append(pools, *p) })
	if p := pools[0]; p.PD || p.Assigned != 2 || p.Declined != 1 || p.Registered != 1 || p.Stale != 1 || p.Offered != 0 || p.Cumulative != 1 || p.Length != 128 {
		t.Errorf("pool %+v", p)
	}
	if p := pools[1]; !p.PD || p.Assigned != 2 || p.Cumulative != 1 || p.Length != 56 || p.Last != ip("2001:db8:80ff:ffff:ffff:ffff:ffff:ffff") {
		t.Errorf("pool %+v", p)
	}
	b := newSet(s)
	b.ContinueFrom(nil)
	b.ContinueFrom(a)
	b.EachSubnet(func(s *SubnetStats) {
		if s.NA.Cumulative != 2 || s.PD.Cumulative != 1 || s.NA.Assigned != 0 {
			t.Errorf("continued: %+v", s)
		}
	})
}

func TestContinueFromGoesOn(t *testing.T) {
	s := withPrefixes(newSubnet(1, "iterative", "2001:db8::1", "2001:db8::ff"), "2001:db8:8000::/40", 56)
	a := newSet(s)
	expectPick(t, a, s, 0, "2001:db8::1", Free)
	expectPrefix(t, a, s, 0, "2001:db8:8000::", Free)
	b := newSet(s)
	b.ContinueFrom(a)
	expectPick(t, b, s, 0, "2001:db8::2", Free)
	expectPrefix(t, b, s, 0, "2001:db8:8000:100::", Free)
	s.PDPools[0].DelegatedLen = 60 // another pool now
	c := newSet(s)
	c.ContinueFrom(a)
	expectPrefix(t, c, s, 0, "2001:db8:8000::", Free)
}

func TestPDOccupancy(t *testing.T) {
	s := withPrefixes(withPrefixes(newSubnet(1, "flq"), "2001:db8:8000::/54", 56), "2001:db8:9000::/54", 56)
	a := newSet(s)
	first := func(i int) bool { return i == 0 }
	for _, c := range []struct {
		addr    string
		length  uint8
		allowed func(int) bool
		want    float64
	}{
		{"2001:db8:8000::", 56, nil, 2.0 / 8},
		{"2001:db8:8000::", 56, first, 1.0 / 4}, // assigned already
		{"2001:db8:8000:100::", 56, first, 2.0 / 4},
		{"2001:db8:9000::", 56, first, 0},
		{"2001:db8:8000::", 48, nil, 0},
	} {
		if c.addr == "2001:db8:8000::" && c.length == 56 && c.allowed == nil {
			a.LeaseChanged6(nil, prefix(1, "2001:db8:8000::/56", lease.StateDefault))
			a.LeaseChanged6(nil, prefix(1, "2001:db8:9000::/56", lease.StateDefault))
		}
		if got := a.PDOccupancy(s, ip(c.addr), c.length, c.allowed); got != c.want {
			t.Errorf("%s/%d: %v, want %v", c.addr, c.length, got, c.want)
		}
	}
}

// TestRandomSpreadsAndFindsAll: the random allocator gives every unit once.
func TestRandomSpreadsAndFindsAll(t *testing.T) {
	for _, allocator := range []string{"random", "flq"} {
		s := withPrefixes(newSubnet(1, allocator), "2001:db8::/48", 60) // 4096
		a := newSet(s)
		seen := map[lease6.IPv6]bool{}
		ascending := 0
		var before lease6.IPv6
		for range 4096 {
			addr, k := a.PickPrefix(s, 0)
			if k != Free || seen[addr] {
				t.Fatalf("%s: %v kind %d after %d", allocator, addr, k, len(seen))
			}
			seen[addr] = true
			if before.Compare(addr) < 0 {
				ascending++
			}
			before = addr
		}
		if ascending < 1024 || ascending > 3072 {
			t.Errorf("%s: %d of 4096 steps go up", allocator, ascending)
		}
		expectPrefix(t, a, s, 0, "", None)
	}
}

// TestConcurrentOwners: however many pick, claim and report at once, no unit has
// two claims, and all come back.
func TestConcurrentOwners(t *testing.T) {
	s := newSubnet(1, "iterative", "2001:db8::", "2001:db8::1ff")
	a := newSet(s)
	var mu sync.Mutex
	owner := map[lease6.IPv6]int{}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := newRandOf(uint64(w))
			for range 2000 {
				addr, k := a.Pick(s, 0)
				if k == None {
					continue
				}
				mu.Lock()
				owner[addr]++
				if owner[addr] != 1 {
					t.Errorf("%v has %d owners", addr, owner[addr])
				}
				mu.Unlock()
				mu.Lock()
				owner[addr]--
				mu.Unlock()
				if r.IntN(2) == 0 {
					a.Unclaim(s, addr)
					continue
				}
				l := &lease6.Lease6{SubnetID: 1, Addr: addr, PrefixLen: 128}
				a.LeaseChanged6(nil, l)
				a.LeaseChanged6(l, nil)
			}
		}()
	}
	wg.Wait()
	if p := a.na.all[0]; p.claims.Load() != 0 {
		t.Errorf("%d claims are left", p.claims.Load())
	}
	for i := range 512 {
		if _, k := a.Pick(s, 0); k != Free {
			t.Fatalf("pick %d: kind %d", i, k)
		}
	}
}

// What is leased already, be it the first or the last of a pool, is not picked.
func TestExistingLeases(t *testing.T) {
	s := withPrefixes(newSubnet(1, "iterative", "2001:db8::1", "2001:db8::2"), "2001:db8:8000::/47", 48)
	a := newSet(s)
	a.LeaseExists6(record(1, "2001:db8::1", lease.StateDefault))
	a.LeaseExists6(prefix(1, "2001:db8:8001::/48", lease.StateDefault))
	expectPick(t, a, s, 0, "2001:db8::2", Free)
	expectPrefix(t, a, s, 0, "2001:db8:8000::", Free)
	expectPrefix(t, a, s, 0, "", None)
}

func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := withPrefixes(newSubnet(1, "iterative", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"), "2001:db8:8000::/24", 48)
	r := withPrefixes(newSubnet(2, "random", "2001:db9::", "2001:db9::ffff:ffff:ffff:ffff"), "2001:db9::/32", 56)
	a := newSet(s, r)
	// Some thousands of leases, as in service: the tables have grown.
	for range 5000 {
		for _, sub := range []*config.Subnet6{s, r} {
			addr, _ := a.Pick(sub, 0)
			a.LeaseChanged6(nil, &lease6.Lease6{SubnetID: sub.ID, Addr: addr, PrefixLen: 128})
			addr, _ = a.PickPrefix(sub, 0)
			a.LeaseChanged6(nil, &lease6.Lease6{SubnetID: sub.ID, Addr: addr, PrefixLen: sub.PDPools[0].DelegatedLen, Type: lease6.TypePD})
		}
	}
	l := &lease6.Lease6{PrefixLen: 128}
	pd := &lease6.Lease6{Type: lease6.TypePD}
	if n := testing.AllocsPerRun(1000, func() {
		for _, sub := range []*config.Subnet6{s, r} {
			l.SubnetID, pd.SubnetID, pd.PrefixLen = sub.ID, sub.ID, sub.PDPools[0].DelegatedLen
			l.Addr, _ = a.Pick(sub, 0)
			a.LeaseChanged6(nil, l)
			a.LeaseChanged6(l, l)
			a.Claim(sub, l.Addr)
			a.LeaseChanged6(l, nil)
			pd.Addr, _ = a.PickPrefix(sub, 0)
			a.LeaseChanged6(nil, pd)
			a.LeaseChanged6(pd, nil)
			a.PDOccupancy(sub, pd.Addr, 128, nil)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestMemory: what a pool costs depends on its leases, not on its size.
func TestMemory(t *testing.T) {
	heap := func() int64 { // which may shrink: what went before is freed
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const leases = 100_000
	// The free lease queue too is made when it is asked for, not of all prefixes.
	for _, allocator := range []string{"iterative", "random", "flq"} {
		before := heap()
		s := withPrefixes(newSubnet(1, "iterative", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"), "2001:db8:8000::/24", 48)
		s.PDAllocator = allocator
		if allocator != "flq" {
			s.Allocator = allocator
		}
		a := newSet(s)
		if n := heap() - before; n > 1<<16 {
			t.Errorf("%s: empty pools of 2^64 addresses and 2^24 prefixes take %d bytes", allocator, n)
		}
		for range leases {
			addr, _ := a.PickPrefix(s, 0)
			a.LeaseChanged6(nil, &lease6.Lease6{SubnetID: 1, Addr: addr, PrefixLen: 48, Type: lease6.TypePD})
		}
		if n := (heap() - before) / leases; n > 250 {
			t.Errorf("%s: %d bytes for each of %d prefixes", allocator, n, leases)
		}
		runtime.KeepAlive(a)
	}
	before := heap()
	s := newSubnet(1, "iterative", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff")
	b := newSet(s)
	for range leases {
		addr, _ := b.Pick(s, 0)
		b.LeaseChanged6(nil, &lease6.Lease6{SubnetID: 1, Addr: addr, PrefixLen: 128})
	}
	if n := (heap() - before) / leases; n > 5 {
		t.Errorf("%d bytes for each of %d addresses in a row", n, leases)
	}
	for i := range leases {
		b.LeaseChanged6(&lease6.Lease6{SubnetID: 1, Addr: number{0x20010db8 << 32, uint64(i)}.addr(), PrefixLen: 128}, nil)
	}
	for _, table := range b.na.all[0].tree.tables {
		if table.used != 0 || len(table.slots) > firstSlots {
			t.Fatalf("%d of %d nodes are left", table.used, len(table.slots))
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, full := range []uint64{0, 1 << 20, 1<<24 - 1<<10} {
		s := withPrefixes(newSubnet(1, "iterative"), "2001:db8:8000::/24", 48)
		a := newSet(s)
		for i := range full {
			a.LeaseExists6(&lease6.Lease6{SubnetID: 1, Type: lease6.TypePD, PrefixLen: 48, Addr: a.pd.all[0].start(number{0, i}).addr()})
		}
		b.Run(Size{0, full}.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				addr, _ := a.PickPrefix(s, 0)
				a.UnclaimPrefix(s, addr, 48)
			}
		})
	}
}
