package alloc

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
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

func ip(s string) dhcp4.IPv4 { return dhcp4.AddrFromNetip(netip.MustParseAddr(s)) }

// newSubnet makes a subnet with the pools first, last, first, last, …
func newSubnet(id uint32, allocator string, ends ...string) *config.Subnet4 {
	s := &config.Subnet4{ID: id}
	s.Allocator = allocator
	s.ReservationsInSubnet = true
	for i := 0; i < len(ends); i += 2 {
		s.Pools = append(s.Pools, &config.Pool4{First: ip(ends[i]), Last: ip(ends[i+1]), ID: uint32(i)})
	}
	return s
}

func newSet(subnets ...*config.Subnet4) *Set { return NewSet(&config.Dhcp4{Subnets: subnets}) }

func record(subnetID uint32, addr dhcp4.IPv4, st lease.State) *lease.Lease4 {
	return &lease.Lease4{SubnetID: subnetID, Addr: addr, State: st, CLTTUnixS: 1000, ValidLifetimeS: 3600}
}

func expectPick(t *testing.T, a *Set, s *config.Subnet4, p int, addr string, kind Kind) {
	t.Helper()
	got, k := a.Pick(s, p)
	want := dhcp4.IPv4(0)
	if addr != "" {
		want = ip(addr)
	}
	if got != want || k != kind {
		t.Fatalf("pick: %v kind %d, want %v kind %d", got, k, want, kind)
	}
}

func TestIterativeGoesOnAndWraps(t *testing.T) {
	s := newSubnet(1, "iterative", "192.0.2.10", "192.0.2.12", "192.0.2.20", "192.0.2.20")
	a := newSet(s)
	expectPick(t, a, s, 0, "192.0.2.10", Free)
	expectPick(t, a, s, 0, "192.0.2.11", Free)
	a.Unclaim(s, ip("192.0.2.10"))
	a.Unclaim(s, ip("192.0.2.11"))
	expectPick(t, a, s, 0, "192.0.2.12", Free) // V4-063: the next, not the lowest
	expectPick(t, a, s, 0, "192.0.2.10", Free)
	expectPick(t, a, s, 0, "192.0.2.11", Free)
	expectPick(t, a, s, 0, "", None)
	expectPick(t, a, s, 1, "192.0.2.20", Free)
	expectPick(t, a, s, 1, "", None)
	expectPick(t, a, s, 2, "", None) // no such pool
	expectPick(t, a, newSubnet(9, "iterative", "192.0.2.10", "192.0.2.12"), 0, "", None)
}

// TestPoolsInTurn: without wrap the pool's end ends the round (V4-063).
func TestPoolsInTurn(t *testing.T) {
	s := newSubnet(1, "iterative", "192.0.2.10", "192.0.2.11", "192.0.2.20", "192.0.2.20")
	a := newSet(s)
	pick := func(p int, wrap bool, want string) {
		t.Helper()
		got, k := a.PickUnused(s, p, wrap)
		if want == "" && k == None || k != None && got == ip(want) {
			return
		}
		t.Fatalf("pick: %v kind %d, want %q", got, k, want)
	}
	pick(0, false, "192.0.2.10")
	pick(0, false, "192.0.2.11")
	a.Unclaim(s, ip("192.0.2.10"))
	pick(0, false, "")
	if a.Turn(s) != 0 {
		t.Error("a pool that gave nothing has no turn")
	}
	pick(1, false, "192.0.2.20")
	if a.Turn(s) != 1 {
		t.Error("it is the second pool's turn")
	}
	pick(1, false, "")
	pick(0, false, "192.0.2.10") // from the beginning again
	pick(0, true, "")
}

// TestPreferred: the subnet of the network that gave an address last, among
// those with the same guard.
func TestPreferred(t *testing.T) {
	x := newSubnet(1, "iterative", "192.0.2.1", "192.0.2.9")
	y := newSubnet(2, "iterative", "192.0.2.11", "192.0.2.19")
	z := newSubnet(3, "iterative", "192.0.2.21", "192.0.2.29")
	lone := newSubnet(4, "iterative", "192.0.2.31", "192.0.2.39")
	z.ClientClasses = []string{"c"}
	net := &config.Network4{Subnets: []*config.Subnet4{x, y, z}}
	x.Network, y.Network, z.Network = net, net, net
	a := newSet(x, y, z, lone)
	for _, s := range []*config.Subnet4{x, y, z, lone} {
		if a.Preferred(s) != s {
			t.Errorf("subnet %d: another is preferred before anything was taken", s.ID)
		}
	}
	a.Pick(y, 0)
	a.Pick(z, 0)
	a.Pick(lone, 0)
	if a.Preferred(x) != y || a.Preferred(y) != y || a.Preferred(z) != z || a.Preferred(lone) != lone {
		t.Error("the last used of the same guard is not preferred")
	}
}

func TestExcludeFirstLast24(t *testing.T) {
	s := newSubnet(1, "iterative", "10.0.0.254", "10.0.1.1", "10.0.2.0", "10.0.2.0")
	s.Prefix = netip.MustParsePrefix("10.0.0.0/16")
	narrow := newSubnet(2, "iterative", "10.1.0.255", "10.1.0.255")
	narrow.Prefix = netip.MustParsePrefix("10.1.0.128/25")
	a := NewSet(&config.Dhcp4{Subnets: []*config.Subnet4{s, narrow}, Compatibility: config.Compatibility{ExcludeFirstLast24: true}})
	expectPick(t, a, s, 0, "10.0.0.254", Free)
	expectPick(t, a, s, 0, "10.0.1.1", Free)
	expectPick(t, a, s, 0, "", None)
	expectPick(t, a, s, 1, "", None)
	expectPick(t, a, narrow, 0, "10.1.0.255", Free) // only for prefixes of up to 24 bits
}

func TestOccupancy(t *testing.T) {
	s := newSubnet(1, "flq", "192.0.2.0", "192.0.2.9", "192.0.2.100", "192.0.2.109")
	plain := newSubnet(2, "iterative", "10.0.0.0", "10.0.0.9")
	a := newSet(s, plain)
	for i := range 4 {
		a.LeaseChanged(nil, record(1, ip("192.0.2.0")+dhcp4.IPv4(i), lease.StateDefault))
	}
	a.LeaseChanged(nil, record(1, ip("192.0.2.9"), lease.StateOffered))
	all := func(int) bool { return true }
	first := func(p int) bool { return p == 0 }
	for _, c := range []struct {
		s      *config.Subnet4
		addr   string
		usable func(int) bool
		want   float64
	}{
		{s, "192.0.2.5", first, 0.5},  // four and this one
		{s, "192.0.2.1", first, 0.4},  // one of the four
		{s, "192.0.2.9", first, 0.5},  // an offer is no lease
		{s, "192.0.2.5", all, 0.25},   // of twenty
		{s, "192.0.2.100", first, 0},  // in a pool that is not usable
		{s, "192.0.2.50", all, 0},     // in none
		{plain, "10.0.0.1", first, 0}, // Kea asks the flq allocator only
	} {
		if got := a.Occupancy(c.s, ip(c.addr), c.usable); got != c.want {
			t.Errorf("%s: %v, want %v", c.addr, got, c.want)
		}
	}
}

func TestKindsInOrder(t *testing.T) {
	s := newSubnet(1, "iterative", "192.0.2.0", "192.0.2.4")
	a := newSet(s)
	a.LeaseChanged(nil, record(1, ip("192.0.2.0"), lease.StateOffered))
	a.LeaseChanged(nil, record(1, ip("192.0.2.1"), lease.StateReleased))
	a.LeaseChanged(nil, record(1, ip("192.0.2.2"), lease.StateDefault))
	a.LeaseChanged(nil, record(1, ip("192.0.2.3"), lease.StateDeclined))
	expectPick(t, a, s, 0, "192.0.2.1", Stale) // V4-071: in the order of addresses
	expectPick(t, a, s, 0, "192.0.2.4", Free)
	expectPick(t, a, s, 0, "192.0.2.0", Offered)
	expectPick(t, a, s, 0, "", None)
	// The table reports the stale one taken over by an offer: the claim is over.
	a.LeaseChanged(record(1, ip("192.0.2.1"), lease.StateReleased), record(1, ip("192.0.2.1"), lease.StateOffered))
	expectPick(t, a, s, 0, "192.0.2.1", Offered)
	// A claim that came to nothing leaves the address what it was.
	a.Unclaim(s, ip("192.0.2.1"))
	expectPick(t, a, s, 0, "192.0.2.1", Offered)
}

func TestReservedNeverPicked(t *testing.T) {
	for _, c := range []struct {
		inSubnet, outOfPool, picked bool
	}{{true, false, false}, {true, true, true}, {false, false, true}} {
		s := newSubnet(1, "iterative", "192.0.2.1", "192.0.2.2")
		s.ReservationsInSubnet, s.ReservationsOutOfPool = c.inSubnet, c.outOfPool
		s.Reservations = []*config.Reservation4{{SubnetID: 1, Addr: ip("192.0.2.1")}, {SubnetID: 1}, {SubnetID: 1, Addr: ip("192.0.2.99")}}
		a := NewSet(&config.Dhcp4{
			Subnets:            []*config.Subnet4{s},
			GlobalReservations: []*config.Reservation4{{Addr: ip("192.0.2.2")}}, // V4-123: not protected
		})
		if c.picked {
			expectPick(t, a, s, 0, "192.0.2.1", Free)
			continue
		}
		expectPick(t, a, s, 0, "192.0.2.2", Free)
		expectPick(t, a, s, 0, "", None)
		if !a.Claim(s, ip("192.0.2.1")) {
			t.Error("claim of a reserved address refused")
		}
		if a.Claim(s, ip("192.0.2.1")) {
			t.Error("claimed twice")
		}
		// Neither a stale record nor its end makes it one to pick.
		a.LeaseChanged(nil, record(1, ip("192.0.2.1"), lease.StateReleased))
		expectPick(t, a, s, 0, "", None)
		a.LeaseChanged(record(1, ip("192.0.2.1"), lease.StateReleased), nil)
		expectPick(t, a, s, 0, "", None)
	}
}

func TestClaim(t *testing.T) {
	s := newSubnet(1, "iterative", "192.0.2.1", "192.0.2.2")
	a := newSet(s)
	if !a.Claim(s, ip("192.0.2.77")) || !a.Claim(s, ip("192.0.2.77")) {
		t.Error("an address outside pools needs no claim")
	}
	if !a.Claim(s, ip("192.0.2.1")) || a.Claim(s, ip("192.0.2.1")) {
		t.Error("claim once, and once only")
	}
	expectPick(t, a, s, 0, "192.0.2.2", Free)
	if a.Claim(s, ip("192.0.2.2")) {
		t.Error("claimed what Pick has claimed")
	}
	a.Unclaim(s, ip("192.0.2.1"))
	expectPick(t, a, s, 0, "192.0.2.1", Free)
}

func TestOverlappingPools(t *testing.T) {
	// V4-060 allows overlap across subnets: the table has one record per address.
	x := newSubnet(1, "iterative", "192.0.2.0", "192.0.2.9")
	y := newSubnet(2, "iterative", "192.0.2.1", "192.0.2.2", "192.0.2.8", "192.0.2.20")
	z := newSubnet(3, "iterative", "198.51.100.1", "198.51.100.1")
	a := newSet(x, y, z)
	a.LeaseChanged(nil, record(1, ip("192.0.2.1"), lease.StateDefault))
	expectPick(t, a, y, 0, "192.0.2.2", Free)
	expectPick(t, a, y, 0, "", None)
	// A record of a subnet without that pool, as of an older configuration.
	a.LeaseChanged(nil, record(77, ip("198.51.100.1"), lease.StateDefault))
	expectPick(t, a, z, 0, "", None)
	a.LeaseChanged(record(77, ip("198.51.100.1"), lease.StateDefault), nil)
	expectPick(t, a, z, 0, "198.51.100.1", Free)
}

func TestStats(t *testing.T) {
	s := newSubnet(5, "iterative", "192.0.2.0", "192.0.2.9")
	a := newSet(s)
	in, out := ip("192.0.2.3"), ip("192.0.2.200")
	a.LeaseExists(record(5, in, lease.StateDefault))
	a.LeaseChanged(nil, record(5, out, lease.StateDefault))
	check := func(step string, p PoolStats, sub SubnetStats) {
		t.Helper()
		p.SubnetID, p.First, p.Last, p.Total = 5, ip("192.0.2.0"), ip("192.0.2.9"), 10
		sub.SubnetID, sub.Total = 5, 10
		p.Cumulative = sub.Cumulative - 1 // one of the subnet's is in no pool
		a.EachPool(func(got *PoolStats) {
			if *got != p {
				t.Errorf("%s: pool %+v, want %+v", step, *got, p)
			}
		})
		a.EachSubnet(func(got *SubnetStats) {
			if *got != sub {
				t.Errorf("%s: subnet %+v, want %+v", step, *got, sub)
			}
		})
	}
	st := func(s lease.State) *lease.Lease4 { return record(5, in, s) }
	check("start", PoolStats{Assigned: 1}, SubnetStats{Assigned: 2, Cumulative: 1})
	a.LeaseChanged(st(lease.StateDefault), st(lease.StateDefault))
	check("renew", PoolStats{Assigned: 1}, SubnetStats{Assigned: 2, Cumulative: 1})
	a.LeaseChanged(st(lease.StateDefault), st(lease.StateDeclined)) // WR-19
	check("decline", PoolStats{Assigned: 1, Declined: 1}, SubnetStats{Assigned: 2, Declined: 1, Cumulative: 1})
	a.LeaseChanged(st(lease.StateDeclined), nil)
	check("recover", PoolStats{}, SubnetStats{Assigned: 1, Cumulative: 1})
	a.LeaseChanged(nil, st(lease.StateOffered))
	check("offer", PoolStats{Offered: 1}, SubnetStats{Assigned: 1, Cumulative: 1})
	a.LeaseChanged(st(lease.StateOffered), st(lease.StateDefault))
	check("grant", PoolStats{Assigned: 1}, SubnetStats{Assigned: 2, Cumulative: 2})
	a.LeaseChanged(st(lease.StateDefault), st(lease.StateReleased)) // WR-18
	check("release", PoolStats{Stale: 1}, SubnetStats{Assigned: 1, Cumulative: 2})
	a.LeaseChanged(st(lease.StateReleased), st(lease.StateDefault))
	check("again", PoolStats{Assigned: 1}, SubnetStats{Assigned: 2, Cumulative: 3})
	late := st(lease.StateDefault)
	late.CLTTUnixS = 1_000_000 // V4-071: the lease had expired, unreclaimed
	a.LeaseChanged(st(lease.StateDefault), late)
	check("expired reuse", PoolStats{Assigned: 1}, SubnetStats{Assigned: 2, Cumulative: 4})
	b := newSet(s)
	b.ContinueFrom(a)
	b.EachSubnet(func(got *SubnetStats) {
		if got.Cumulative != 4 || got.Assigned != 0 {
			t.Errorf("continued: %+v", *got)
		}
	})
	b.EachPool(func(got *PoolStats) {
		if got.Cumulative != 3 {
			t.Errorf("continued: %+v", *got)
		}
	})
}

// TestTwin compares the set with the obvious one, a slice of states.
func TestTwin(t *testing.T) {
	r := newRand(t)
	sizes := []uint32{1, 15, 16, 17, 200, 1024, 1025, 70000}
	for _, size := range sizes {
		first := ip("10.1.2.3")
		s := newSubnet(1, "iterative")
		s.Pools = []*config.Pool4{{First: first, Last: first + dhcp4.IPv4(size-1)}}
		a := newSet(s)
		const free, stale, offered, used = 0, 1, 2, 3
		state := make([]int, size)
		claims := make([]bool, size)
		var hand [3]uint32
		states := []lease.State{0, lease.StateReleased, lease.StateOffered, lease.StateDefault}
		lastOf := make([]lease.State, size)
		set := func(off uint32, to int) {
			addr := first + dhcp4.IPv4(off)
			var old, new *lease.Lease4
			if state[off] != free {
				old = record(1, addr, lastOf[off])
			}
			if to != free {
				lastOf[off] = states[to]
				if to == stale && r.IntN(2) == 0 {
					lastOf[off] = lease.StateExpiredReclaimed
				}
				if to == used && r.IntN(4) == 0 {
					lastOf[off] = lease.StateDeclined
				}
				new = record(1, addr, lastOf[off])
			}
			if old == nil && new == nil {
				return
			}
			a.LeaseChanged(old, new)
			state[off], claims[off] = to, false
		}
		steps := 3000
		if size > 10000 {
			// Fill it, so that searches are long, with little of each kind.
			for off := range size {
				set(off, used)
			}
			for range 20 {
				set(r.Uint32N(size), r.IntN(3))
			}
			steps = 300
		}
		for step := range steps {
			off := r.Uint32N(size)
			switch r.IntN(5) {
			case 0:
				set(off, r.IntN(4))
			case 1:
				if got := a.Claim(s, first+dhcp4.IPv4(off)); got == claims[off] {
					t.Fatalf("size %d step %d: claim %v", size, step, got)
				}
				claims[off] = true
			case 2:
				a.Unclaim(s, first+dhcp4.IPv4(off))
				claims[off] = false
			default:
				want, kind := dhcp4.IPv4(0), None
				for k := free; k <= offered && kind == None; k += 2 {
					for i := range size {
						o := (hand[k]%size + i) % size
						if (state[o] == k || k == free && state[o] == stale) && !claims[o] {
							want, kind = first+dhcp4.IPv4(o), Free+Kind(state[o])
							claims[o] = true
							hand[k] = o + 1
							break
						}
					}
					if kind == None && k == free {
						hand[k] = 0 // all around for nothing
					}
				}
				if got, k := a.Pick(s, 0); got != want || k != kind {
					t.Fatalf("size %d step %d: pick %v kind %d, want %v kind %d", size, step, got, k, want, kind)
				}
			}
			if step%97 == 0 {
				checkHints(t, a, true)
			}
		}
	}
}

// checkHints: when nothing moves, no hint is missing at any level; and none is
// there without cause if all was done by one goroutine.
func checkHints(t *testing.T, a *Set, alone bool) {
	t.Helper()
	for _, p := range a.all {
		for k := range kinds {
			below := func(w int) bool { return having(p.load(w), k) != 0 }
			n := p.words
			for lv, level := range p.hints[k].levels {
				for i := range n {
					if got := level[i>>6].Load()>>(i&63)&1 != 0; got != below(i) && (alone || !got) {
						t.Fatalf("kind %d level %d bit %d is %v", k, lv, i, got)
					}
				}
				below = func(w int) bool { return level[w].Load() != 0 }
				n = len(level)
			}
		}
	}
}

func TestRandomSpreadsAndFindsAll(t *testing.T) {
	s := newSubnet(1, "random", "10.0.0.0", "10.0.15.255")
	a := newSet(s)
	a.Seed(7)
	seen := map[dhcp4.IPv4]bool{}
	low := 0
	for range 4096 {
		addr, k := a.Pick(s, 0)
		if k != Free || seen[addr] || addr < ip("10.0.0.0") || addr > ip("10.0.15.255") {
			t.Fatalf("pick %v kind %d", addr, k)
		}
		seen[addr] = true
		if len(seen) <= 256 && addr < ip("10.0.8.0") {
			low++
		}
	}
	if low < 90 || low > 166 { // 128 ± 4.75 sigma, and the seed is fixed
		t.Errorf("%d of the first 256 in the lower half", low)
	}
	if addr, k := a.Pick(s, 0); k != None {
		t.Errorf("one too many: %v", addr)
	}
	b := newSet(s)
	b.Seed(7)
	c := newSet(s)
	c.Seed(7)
	for range 10 {
		x, _ := b.Pick(s, 0)
		if y, _ := c.Pick(s, 0); x != y {
			t.Fatal("same seed, different picks")
		}
	}
}

// TestConcurrentChanges: claims, and records that come and go under them, leave
// hints and numbers exact.
func TestConcurrentChanges(t *testing.T) {
	for _, allocator := range []string{"iterative", "random"} {
		s := newSubnet(1, allocator, "10.0.0.0", "10.0.0.99")
		a := newSet(s)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := rand.New(rand.NewPCG(uint64(g), 2))
				for range 5000 {
					var addr dhcp4.IPv4
					if r.IntN(2) == 0 {
						got, k := a.Pick(s, 0)
						if k == None {
							continue
						}
						addr = got
					} else if addr = ip("10.0.0.0") + dhcp4.IPv4(r.Uint32N(100)); !a.Claim(s, addr) {
						continue
					}
					switch r.IntN(3) {
					case 0:
						a.Unclaim(s, addr)
					default:
						st := []lease.State{lease.StateDefault, lease.StateReleased, lease.StateOffered}[r.IntN(3)]
						a.LeaseChanged(nil, record(1, addr, st))
						// The claim is over; another may have it now. End it as the
						// table would, whoever has claimed it since.
						a.LeaseChanged(record(1, addr, st), nil)
					}
				}
			}()
		}
		wg.Wait()
		checkHints(t, a, false)
		a.EachPool(func(p *PoolStats) {
			if p.Assigned != 0 || p.Offered != 0 || p.Stale != 0 {
				t.Errorf("%s: %+v", allocator, *p)
			}
		})
	}
}

// TestConcurrentOwners: an address that one worker holds is given to no other, and
// none is lost.
func TestConcurrentOwners(t *testing.T) {
	s := newSubnet(1, "iterative", "10.0.0.0", "10.0.0.39")
	a := newSet(s)
	var owner [40]sync.Mutex
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(uint64(g), 3))
			var mine []dhcp4.IPv4
			for range 10000 {
				if len(mine) > 0 && r.IntN(2) == 0 {
					addr := mine[len(mine)-1]
					mine = mine[:len(mine)-1]
					owner[addr-ip("10.0.0.0")].Unlock()
					a.Unclaim(s, addr)
					continue
				}
				if addr, k := a.Pick(s, 0); k == Free {
					if !owner[addr-ip("10.0.0.0")].TryLock() {
						t.Errorf("%v has two owners", addr)
						return
					}
					mine = append(mine, addr)
				}
			}
			for _, addr := range mine {
				owner[addr-ip("10.0.0.0")].Unlock()
				a.Unclaim(s, addr)
			}
		}()
	}
	wg.Wait()
	checkHints(t, a, false)
	for range 40 {
		if _, k := a.Pick(s, 0); k != Free {
			t.Fatal("an address was lost")
		}
	}
}

// TestFollowsTable drives a table from several workers and compares the set that
// followed it with one that is attached afterwards.
func TestFollowsTable(t *testing.T) {
	s := newSubnet(1, "iterative", "10.0.0.0", "10.0.0.63", "10.0.1.0", "10.0.1.7")
	a := newSet(s)
	tab := lease.NewTable(lease.Options{Observer: a})
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(uint64(g), 4))
			var l lease.Lease4
			for range 5000 {
				addr, k := a.Pick(s, r.IntN(2))
				if k == None {
					addr = ip("10.0.0.0") + dhcp4.IPv4(r.Uint32N(80)) // some outside
				}
				version := uint64(0)
				if tab.Get(addr, &l) {
					version = l.Version
				}
				if r.IntN(3) == 0 && version != 0 {
					tab.Delete(addr, version, nil)
					a.Unclaim(s, addr)
					continue
				}
				st := []lease.State{lease.StateDefault, lease.StateDeclined, lease.StateReleased,
					lease.StateExpiredReclaimed, lease.StateOffered}[r.IntN(5)]
				if _, err := tab.Put(record(1, addr, st), version, nil); err != nil {
					a.Unclaim(s, addr)
				}
			}
		}()
	}
	wg.Wait()
	checkHints(t, a, false)
	b := newSet(s)
	tab.SetObserver(b, true)
	checkHints(t, b, true)
	var want []PoolStats
	b.EachPool(func(p *PoolStats) { want = append(want, *p) })
	a.EachPool(func(p *PoolStats) {
		p.Cumulative = 0 // what exists is not an assignment for who comes later
		if *p != want[0] {
			t.Errorf("pool %+v, afterwards %+v", *p, want[0])
		}
		want = want[1:]
	})
	for i, p := range a.all {
		for w := range p.words {
			if p.load(w) != b.all[i].load(w) {
				t.Errorf("pool %d word %d: %x, afterwards %x", i, w, p.load(w), b.all[i].load(w))
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	s := newSubnet(1, "iterative", "10.0.0.0", "10.0.3.255")
	s2 := newSubnet(2, "random", "10.1.0.0", "10.1.3.255")
	a := newSet(s, s2)
	offer, def := record(1, 0, lease.StateOffered), record(1, 0, lease.StateDefault)
	n := testing.AllocsPerRun(5000, func() {
		for _, x := range []*config.Subnet4{s, s2} {
			addr, k := a.Pick(x, 0)
			if k == None {
				t.Fatal("nothing to pick")
			}
			offer.Addr, def.Addr, offer.SubnetID, def.SubnetID = addr, addr, x.ID, x.ID
			a.LeaseChanged(nil, offer)
			a.LeaseChanged(offer, def)
			a.LeaseChanged(def, nil)
			a.Claim(x, addr)
			a.Unclaim(x, addr)
		}
	})
	if n != 0 && !raceOn {
		t.Errorf("%v allocations", n)
	}
}

// TestSparseMemory: a /8 with few leases does not take memory for all.
func TestSparseMemory(t *testing.T) {
	s := newSubnet(1, "iterative", "10.0.0.0", "10.255.255.255")
	a := newSet(s)
	for range 1000 {
		a.Pick(s, 0)
	}
	chunks := 0
	p := a.all[0]
	for i := range p.chunks {
		if p.chunks[i].Load() != nil {
			chunks++
		}
	}
	if chunks != 1 {
		t.Errorf("%d chunks", chunks)
	}
}

// fill makes a /12 of which one address in every is free.
func fill(every int) (*Set, *config.Subnet4) {
	s := newSubnet(1, "iterative", "10.0.0.0", "10.15.255.255")
	a := newSet(s)
	if every > 0 {
		l := record(1, 0, lease.StateDefault)
		r := rand.New(rand.NewPCG(1, 1))
		for l.Addr = ip("10.0.0.0"); l.Addr <= ip("10.15.255.255"); l.Addr++ {
			if r.IntN(every) != 0 {
				a.LeaseChanged(nil, l)
			}
		}
	}
	return a, s
}

// BenchmarkPick is a Pick and its Unclaim: empty costs what nearly full costs.
func BenchmarkPick(b *testing.B) {
	for _, c := range []struct {
		name  string
		every int
	}{{"empty", 0}, {"full99.9", 1000}, {"full99.999", 100000}} {
		b.Run(c.name, func(b *testing.B) {
			a, s := fill(c.every)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				addr, _ := a.Pick(s, 0)
				a.Unclaim(s, addr)
			}
		})
	}
}

// BenchmarkLeaseChanged is an offer and its end, as the table reports them.
func BenchmarkLeaseChanged(b *testing.B) {
	var subnets []*config.Subnet4
	for id := uint32(1); id <= 1000; id++ {
		s := newSubnet(id, "iterative")
		first := ip("10.0.0.0") + dhcp4.IPv4(id)<<12
		s.Pools = []*config.Pool4{{First: first, Last: first + 2000}, {First: first + 2100, Last: first + 4000}}
		subnets = append(subnets, s)
	}
	a := newSet(subnets...)
	l, d := record(1, 0, lease.StateOffered), record(1, 0, lease.StateDefault)
	b.ReportAllocs()
	for i := range b.N {
		s := subnets[i*7%1000]
		l.SubnetID, l.Addr = s.ID, s.Pools[i&1].First+dhcp4.IPv4(i%1500)
		d.SubnetID, d.Addr = l.SubnetID, l.Addr
		a.LeaseChanged(nil, l)
		a.LeaseChanged(l, d)
		a.LeaseChanged(d, d)
		a.LeaseChanged(d, nil)
	}
}
