package host6

import (
	"net/netip"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

// TestMoreSets: sets are asked in their order, and a negative host ends the
// look-up without being found.
func TestMoreSets(t *testing.T) {
	host := func(id string, addr uint32, negative bool) *config.Reservation6 {
		return &config.Reservation6{SubnetID: 1, Type: config.IdentDUID, Identifier: []byte(id), Addrs: []netip.Addr{addrOf(addr)}, Negative: negative}
	}
	a, b, c, no := host("a", 1, false), host("a", 2, false), host("c", 3, false), host("c", 4, true)
	first, second := NewSet(nil), NewSet([]*config.Reservation6{b, c})
	x := NewIndex(&config.Dhcp6{})
	x.SetMore(first, second)
	find := func(id string, want *config.Reservation6) {
		t.Helper()
		if got := x.ByIdentifier(1, config.IdentDUID, []byte(id)); got != want {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
	if x.Empty() {
		t.Error("the index is empty")
	}
	find("a", b)
	find("c", c)
	first.Exchange(nil, []*config.Reservation6{a, no})
	find("a", a)
	find("c", nil)
	if got := x.ByAddr(1, addrOf(4)); got != nil {
		t.Errorf("a negative host is found by address: %v", got)
	}
	if got := x.AppendByAddr(nil, 1, addrOf(4)); len(got) != 0 {
		t.Errorf("negative hosts are appended: %v", got)
	}
	if got := x.AppendByAddr(nil, 1, addrOf(2)); len(got) != 1 || got[0] != b {
		t.Errorf("appended %v", got)
	}
	first.Exchange([]*config.Reservation6{a, no}, nil)
	find("a", b)
	find("c", c)
	// Many at once make one index.
	var many []*config.Reservation6
	for i := range uint32(1000) {
		many = append(many, host(string([]byte{'m', byte(i), byte(i >> 8)}), 100+i, false))
	}
	first.Exchange(nil, many)
	first.Exchange(many[:500], []*config.Reservation6{a})
	find("a", a)
	find(string(many[499].Identifier), nil)
	find(string(many[500].Identifier), many[500])
	if n := first.Len(); n != 501 {
		t.Errorf("%d hosts, want 501", n)
	}
}
