package alloc6

import (
	"sync"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// TestFollowsTable: workers take addresses and prefixes, release and delete
// them at once, over a real table; meanwhile another Set takes over. At the end
// each Set knows exactly what the table has.
func TestFollowsTable(t *testing.T) {
	s := withPrefixes(newSubnet(1, "iterative", "2001:db8::", "2001:db8::ff"), "2001:db8:8000::/40", 48)
	first, second := newSet(s), newSet(s)
	table := lease6.NewTable(lease6.Options{Observer: first})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := newRandOf(uint64(w))
			var l, old lease6.Lease6
			for i := range 250 {
				l = lease6.Lease6{SubnetID: 1, PrefixLen: 128, CLTTUnixS: 1000, ValidLifetimeS: 3600}
				l.SetID([]byte{0, 3, byte(w), byte(i), byte(i >> 8)})
				var k Kind
				pd := i&1 == 0
				if pd {
					l.Type, l.PrefixLen = lease6.TypePD, 48
					l.Addr, k = first.PickPrefix(s, 0)
				} else {
					l.Addr, k = first.Pick(s, 0)
				}
				if k == None {
					continue
				}
				version := uint64(0)
				if table.Get(l.Addr, &old) {
					version = old.Version
				}
				if _, err := table.Put(&l, version, nil); err != nil {
					first.Unclaim(s, l.Addr)
					first.UnclaimPrefix(s, l.Addr, 48)
					continue
				}
				switch r.IntN(3) {
				case 0:
					table.Delete(l.Addr, l.Version, nil)
				case 1:
					l.State, l.ValidLifetimeS = lease.StateReleased, 0
					table.Put(&l, l.Version, nil)
				}
			}
		}()
	}
	wg.Wait()
	table.SetObserver(second, true)
	want := map[lease6.Type]map[lease.State]uint64{lease6.TypeNA: {}, lease6.TypePD: {}}
	table.Walk(func(l *lease6.Lease6) bool { want[l.Type][l.State]++; return true })
	if want[lease6.TypeNA][lease.StateDefault] == 0 || want[lease6.TypePD][lease.StateReleased] == 0 {
		t.Fatalf("the table has %v: too little for a test", want)
	}
	for name, a := range map[string]*Set{"told of changes": first, "told of what there is": second} {
		a.EachPool(func(p *PoolStats) {
			typ := lease6.TypeNA
			if p.PD {
				typ = lease6.TypePD
			}
			if p.Assigned != want[typ][lease.StateDefault] || p.Stale != want[typ][lease.StateReleased] || p.Offered != 0 {
				t.Errorf("%s, %v: %+v, want %v", name, typ, p, want[typ])
			}
		})
		for _, p := range append(a.na.all, a.pd.all...) {
			if n := p.claims.Load(); n != 0 {
				t.Errorf("%s: %d claims are left", name, n)
			}
			checkTree(t, p)
		}
		// What is free, then what is stale, and no more.
		free := 0
		for {
			_, k := a.PickPrefix(s, 0)
			if k == None {
				break
			}
			free++
		}
		if n := 256 - int(want[lease6.TypePD][lease.StateDefault]); free != n {
			t.Errorf("%s: %d prefixes to be had, want %d", name, free, n)
		}
	}
}
