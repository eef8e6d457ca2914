package lease

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// TestSearchAgainstAWalk compares Search with comparing every lease by itself.
func TestSearchAgainstAWalk(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	tab := NewTable(Options{})
	host := func(n int) []byte { return fmt.Appendf(nil, "Host-%d.example.org", n) }
	cid := func(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 1+n*5) }
	for i := range 4000 {
		l := &Lease4{Addr: dhcp4.IPv4(0x0A000000 + i), SubnetID: 1 + rnd.Uint32N(3), ValidLifetimeS: 100, CLTTUnixS: 1000,
			State: State(rnd.UintN(4))}
		l.SetHW(1, []byte{2, 0, 0, 0, 0, byte(rnd.UintN(20))})
		if rnd.UintN(2) == 0 {
			l.SetCID(cid(rnd.IntN(10)))
		}
		if rnd.UintN(2) == 0 {
			l.SetHost(host(rnd.IntN(10)))
		}
		if _, err := tab.Put(l, 0, nil); err != nil {
			t.Fatal(err)
		}
		if l.State == StateReleased {
			o := *l
			o.State, o.CLTTUnixS = StateOffered, 2000
			if _, err := tab.Put(&o, l.Version, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 300 {
		f := Filter{SubnetID: rnd.Uint32N(4)}
		if rnd.UintN(2) == 0 {
			f.HW = []byte{2, 0, 0, 0, 0, byte(rnd.UintN(21))}
		}
		if rnd.UintN(3) == 0 {
			f.ClientID = cid(rnd.IntN(10))
		}
		if rnd.UintN(3) == 0 {
			f.Hostname = bytes.ToLower(host(rnd.IntN(10)))
		}
		if rnd.UintN(3) == 0 {
			f.State, f.ByState = State(rnd.UintN(4)), true
		}
		var want, got []dhcp4.IPv4
		tab.Walk(func(l *Lease4) bool {
			if l.State != StateOffered && (f.SubnetID == 0 || l.SubnetID == f.SubnetID) && (!f.ByState || l.State == f.State) &&
				(f.HW == nil || bytes.Equal(l.HW(), f.HW)) && (f.ClientID == nil || bytes.Equal(l.CID(), f.ClientID)) &&
				(f.Hostname == nil || bytes.EqualFold(l.Host(), f.Hostname)) {
				want = append(want, l.Addr)
			}
			return true
		})
		tab.Search(&f, func(l *Lease4) bool {
			if l.State == StateOffered {
				t.Errorf("an offer was found at %v", l.Addr)
			}
			got = append(got, l.Addr)
			return true
		})
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Fatalf("search %d, %+v: %d leases found, want %d", i, f, len(got), len(want))
		}
	}
	n := 0
	tab.Search(&Filter{}, func(*Lease4) bool { n++; return n < 3 })
	if n != 3 {
		t.Errorf("Search went on after false: %d leases", n)
	}
}
