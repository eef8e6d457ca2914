package host6

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/hostset"
)

func addrOf(i uint32) netip.Addr {
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	binary.BigEndian.PutUint32(b[12:], i)
	return netip.AddrFrom16(b)
}

func prefixOf(i uint32) netip.Prefix {
	b := [16]byte{0x20, 0x01, 0x0d, 0xb9}
	binary.BigEndian.PutUint32(b[4:], i)
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

// TestSetAgainstAList compares a Set behind an Index with a list that is searched
// from end to end.
func TestSetAgainstAList(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	random := func() *config.Reservation6 {
		h := &config.Reservation6{SubnetID: r.Uint32N(3), Type: config.IdentifierType(r.UintN(2)), Identifier: []byte{byte(r.UintN(250)), byte(r.UintN(4))}}
		for range r.UintN(3) {
			h.Addrs = append(h.Addrs, addrOf(r.Uint32N(900)))
		}
		for range r.UintN(2) {
			h.Prefixes = append(h.Prefixes, config.ReservedPrefix{Prefix: prefixOf(r.Uint32N(900))})
		}
		return h
	}
	prefixes := func(h *config.Reservation6) (l []netip.Prefix) {
		for _, p := range h.Prefixes {
			l = append(l, p.Prefix)
		}
		return l
	}
	var list []*config.Reservation6
	find := func(ok func(*config.Reservation6) bool) *config.Reservation6 {
		if i := slices.IndexFunc(list, ok); i >= 0 {
			return list[i]
		}
		return nil
	}
	byID := func(h *config.Reservation6) *config.Reservation6 {
		return find(func(x *config.Reservation6) bool {
			return x.SubnetID == h.SubnetID && x.Type == h.Type && string(x.Identifier) == string(h.Identifier)
		})
	}
	byAddr := func(id uint32, a netip.Addr) *config.Reservation6 {
		return find(func(x *config.Reservation6) bool { return x.SubnetID == id && slices.Contains(x.Addrs, a) })
	}
	byPrefix := func(id uint32, p netip.Prefix) *config.Reservation6 {
		return find(func(x *config.Reservation6) bool { return x.SubnetID == id && slices.Contains(prefixes(x), p) })
	}
	same := func(h, except *config.Reservation6) error {
		other := func(x *config.Reservation6) bool { return x != nil && x != except }
		if other(byID(h)) {
			return hostset.ErrSameIdentifier
		}
		if slices.ContainsFunc(h.Addrs, func(a netip.Addr) bool {
			return slices.ContainsFunc(list, func(x *config.Reservation6) bool {
				return x != except && x.SubnetID == h.SubnetID && slices.Contains(x.Addrs, a)
			})
		}) || slices.ContainsFunc(prefixes(h), func(p netip.Prefix) bool { return other(byPrefix(h.SubnetID, p)) }) {
			return hostset.ErrSameAddress
		}
		return nil
	}
	for range 100 {
		if h := random(); same(h, nil) == nil {
			list = append(list, h)
		}
	}
	s := NewSet(slices.Clone(list))
	x := NewIndex(&config.Dhcp6{})
	x.SetMore(s)
	for i := range 4000 {
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
			list = slices.Delete(list, k, k+1)
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
			if got, want := x.ByIdentifier(h.SubnetID, h.Type, h.Identifier), byID(h); got != want {
				t.Fatalf("op %d: ByIdentifier %v, want %v", i, got, want)
			}
			for _, a := range h.Addrs {
				if got, want := x.ByAddr(h.SubnetID, a), byAddr(h.SubnetID, a); got != want {
					t.Fatalf("op %d: ByAddr %v, want %v", i, got, want)
				}
			}
			for _, p := range prefixes(h) {
				if got, want := x.ByPrefix(h.SubnetID, p), byPrefix(h.SubnetID, p); got != want {
					t.Fatalf("op %d: ByPrefix %v, want %v", i, got, want)
				}
			}
		}
		if s.Len() != len(list) || x.Empty() && len(list) > 0 {
			t.Fatalf("op %d: %d hosts, want %d", i, s.Len(), len(list))
		}
	}
}

// TestSetIsReadWhileItChanges: a host that stays is found all the time, and
// without an allocation.
func TestSetIsReadWhileItChanges(t *testing.T) {
	stays := &config.Reservation6{SubnetID: 1, Identifier: []byte("stays"), Addrs: []netip.Addr{addrOf(7)}}
	x := NewIndex(&config.Dhcp6{})
	s := NewSet([]*config.Reservation6{stays})
	x.SetMore(s)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if x.ByIdentifier(1, 0, []byte("stays")) != stays || x.ByAddr(1, addrOf(7)) != stays {
				t.Error("the host was not found")
				return
			}
		}
	})
	for i := range 2000 {
		h := &config.Reservation6{SubnetID: 1, Identifier: []byte{byte(i), byte(i >> 8)}, Addrs: []netip.Addr{addrOf(uint32(1000 + i))}}
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
	if n := testing.AllocsPerRun(100, func() { x.ByIdentifier(1, 0, id); x.ByAddr(1, addrOf(8)); x.ByPrefix(1, prefixOf(8)) }); n != 0 {
		t.Errorf("%v allocations per look-up", n)
	}
}
