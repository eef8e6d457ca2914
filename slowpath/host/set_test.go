package host

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/hostset"
)

// TestSetAgainstAList compares a Set with a list that is searched from end to
// end.
func TestSetAgainstAList(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	random := func() *config.Reservation4 {
		h := &config.Reservation4{SubnetID: r.Uint32N(3), Type: config.IdentifierType(r.UintN(2)), Identifier: []byte{byte(r.UintN(250)), byte(r.UintN(4))}}
		if r.UintN(3) > 0 {
			h.Addr = dhcp4.IPv4(0x0A000000 + r.Uint32N(600))
		}
		return h
	}
	var list []*config.Reservation4
	byID := func(h *config.Reservation4) *config.Reservation4 {
		for _, x := range list {
			if x.SubnetID == h.SubnetID && x.Type == h.Type && string(x.Identifier) == string(h.Identifier) {
				return x
			}
		}
		return nil
	}
	byAddr := func(subnetID uint32, a dhcp4.IPv4) *config.Reservation4 {
		for _, x := range list {
			if x.SubnetID == subnetID && x.Addr == a {
				return x
			}
		}
		return nil
	}
	same := func(h, except *config.Reservation4) error {
		if x := byID(h); x != nil && x != except {
			return hostset.ErrSameIdentifier
		}
		if x := byAddr(h.SubnetID, h.Addr); h.Addr != 0 && x != nil && x != except {
			return hostset.ErrSameAddress
		}
		return nil
	}
	for range 100 {
		if h := random(); same(h, nil) == nil {
			list = append(list, h)
		}
	}
	s := NewSet(append([]*config.Reservation4(nil), list...))
	for i := range 6000 {
		switch op := r.IntN(10); {
		case op < 5 || len(list) == 0:
			h := random()
			want := same(h, nil)
			if err := s.Add(h); err != want {
				t.Fatalf("op %d: Add: %v, want %v", i, err, want)
			}
			if want == nil {
				list = append(list, h)
			}
		case op < 7:
			k := r.IntN(len(list))
			if !s.Remove(list[k]) || s.Remove(list[k]) {
				t.Fatalf("op %d: Remove", i)
			}
			list = append(list[:k], list[k+1:]...)
		default:
			k := r.IntN(len(list))
			h := random()
			want := same(h, list[k])
			if err := s.Replace(list[k], h); err != want {
				t.Fatalf("op %d: Replace: %v, want %v", i, err, want)
			}
			if want == nil {
				list[k] = h
			}
		}
		for range 3 {
			h := random()
			if got, want := s.ByIdentifier(h.SubnetID, h.Type, h.Identifier), byID(h); got != want {
				t.Fatalf("op %d: ByIdentifier %v, want %v", i, got, want)
			}
			if h.Addr != 0 {
				if got, want := s.ByAddr(h.SubnetID, h.Addr), byAddr(h.SubnetID, h.Addr); got != want {
					t.Fatalf("op %d: ByAddr %v, want %v", i, got, want)
				}
			}
		}
		if s.Len() != len(list) {
			t.Fatalf("op %d: %d hosts, want %d", i, s.Len(), len(list))
		}
	}
}

// TestSetIsReadWhileItChanges: a host that stays is found all the time.
func TestSetIsReadWhileItChanges(t *testing.T) {
	stays := &config.Reservation4{SubnetID: 1, Identifier: []byte("stays"), Addr: 7}
	x := NewIndex(&config.Dhcp4{})
	s := NewSet([]*config.Reservation4{stays})
	x.SetMore(s)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if x.ByIdentifier(1, 0, []byte("stays")) != stays || x.ByAddr(1, 7) != stays {
					t.Error("the host was not found")
					return
				}
			}
		})
	}
	for i := range 2000 {
		h := &config.Reservation4{SubnetID: 1, Identifier: []byte{byte(i), byte(i >> 8)}, Addr: dhcp4.IPv4(1000 + i)}
		if err := s.Add(h); err != nil {
			t.Fatal(err)
		}
		if i%3 > 0 {
			s.Remove(h)
		}
	}
	close(done)
	wg.Wait()
	id := []byte("stays")
	if n := testing.AllocsPerRun(100, func() { x.ByIdentifier(1, 0, id); x.ByAddr(1, 8) }); n != 0 {
		t.Errorf("%v allocations per look-up", n)
	}
}

// Exchange leaves what the two lists say, whatever their lengths.
func TestExchange(t *testing.T) {
	var all []*config.Reservation4
	for i := range 3000 {
		all = append(all, &config.Reservation4{SubnetID: 1, Type: config.IdentHWAddr, Identifier: []byte{byte(i >> 8), byte(i)}, Addr: dhcp4.IPv4(i + 1)})
	}
	s := NewSet(all[:100])
	have := map[int]bool{}
	for i := range 100 {
		have[i] = true
	}
	for _, step := range [][4]int{{0, 10, 100, 105}, {10, 100, 200, 2900}, {200, 2800, 0, 3}, {100, 100, 3, 3}, {2800, 2900, 2900, 3000}} {
		s.Exchange(all[step[0]:step[1]], all[step[2]:step[3]])
		for i := step[0]; i < step[1]; i++ {
			delete(have, i)
		}
		for i := step[2]; i < step[3]; i++ {
			have[i] = true
		}
		if s.Len() != len(have) {
			t.Errorf("%v: %d hosts, want %d", step, s.Len(), len(have))
		}
		for i, h := range all {
			found, byAddr := s.ByIdentifier(1, h.Type, h.Identifier), s.ByAddr(1, h.Addr)
			if have[i] && (found != h || byAddr != h) || !have[i] && (found != nil || byAddr != nil) {
				t.Fatalf("%v: host %d: %v, %v; want %v", step, i, found, byAddr, have[i])
			}
		}
	}
}

func TestEmpty(t *testing.T) {
	s, x := NewSet(nil), newIndex(nil)
	x.SetMore(s)
	if !x.Empty() {
		t.Error("an index of nothing is not empty")
	}
	h := &config.Reservation4{SubnetID: 1, Type: config.IdentHWAddr, Identifier: []byte{2, 0, 0, 0, 0, 1}}
	if err := s.Add(h); err != nil {
		t.Fatal(err)
	}
	if x.Empty() {
		t.Error("an index whose set has a host is empty")
	}
	if newIndex([]*config.Reservation4{h}).Empty() {
		t.Error("an index of a host is empty")
	}
}

// TestAppendMore: one look-up finds what a client has in all subnets, each by the
// first set that has it, and nothing that was removed.
func TestAppendMore(t *testing.T) {
	host := func(subnet uint32, id string) *config.Reservation4 {
		return &config.Reservation4{SubnetID: subnet, Type: config.IdentClientID, Identifier: []byte(id)}
	}
	x := newIndex(nil)
	first, second := NewSet([]*config.Reservation4{host(2, "a"), host(3, "b")}), NewSet([]*config.Reservation4{host(1, "a"), host(2, "a"), host(4, "c")})
	x.SetMore(first, second)
	gone := host(5, "a")
	for _, h := range []*config.Reservation4{gone, host(6, "a")} { // in the small index
		if err := second.Add(h); err != nil {
			t.Fatal(err)
		}
	}
	second.Remove(gone)
	subnets := func(id string) string {
		var ids []uint32
		for _, h := range x.AppendMore(nil, config.IdentClientID, []byte(id)) {
			if string(h.Identifier) != id || h.SubnetID == 2 && first.ByIdentifier(2, h.Type, h.Identifier) != h {
				t.Errorf("%q finds %v", id, h)
			}
			ids = append(ids, h.SubnetID)
		}
		slices.Sort(ids)
		return fmt.Sprint(ids)
	}
	for id, want := range map[string]string{"a": "[1 2 6]", "b": "[3]", "c": "[4]", "d": "[]", "": "[]"} {
		if got := subnets(id); got != want {
			t.Errorf("%q is in subnets %s, want %s", id, got, want)
		}
	}
	if l := x.AppendMore(nil, config.IdentDUID, []byte("a")); len(l) != 0 {
		t.Errorf("another kind of identifier finds %v", l)
	}
	id, dst := []byte("a"), make([]*config.Reservation4, 0, 8)
	if n := testing.AllocsPerRun(100, func() { x.AppendMore(dst, config.IdentClientID, id) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
