package host

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// TestMoreSets: sets are asked in their order, and a negative host ends the
// look-up without being found.
func TestMoreSets(t *testing.T) {
	host := func(id string, addr dhcp4.IPv4, negative bool) *config.Reservation4 {
		return &config.Reservation4{SubnetID: 1, Type: config.IdentDUID, Identifier: []byte(id), Addr: addr, Negative: negative}
	}
	a, b, c, no := host("a", 1, false), host("a", 2, false), host("c", 3, false), host("c", 4, true)
	first, second := NewSet(nil), NewSet([]*config.Reservation4{b, c})
	x := NewIndex(&config.Dhcp4{})
	x.SetMore(first, second)
	find := func(id string, want *config.Reservation4) {
		t.Helper()
		if got := x.ByIdentifier(1, config.IdentDUID, []byte(id)); got != want {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
	find("a", b)
	find("c", c)
	first.Exchange(nil, []*config.Reservation4{a, no})
	find("a", a)
	find("c", nil)
	if got := x.ByAddr(1, 4); got != nil {
		t.Errorf("a negative host is found by address: %v", got)
	}
	first.Exchange([]*config.Reservation4{a, no}, nil)
	find("a", b)
	find("c", c)
	// Many at once make one index.
	var many []*config.Reservation4
	for i := range dhcp4.IPv4(1000) {
		many = append(many, host(string([]byte{'m', byte(i), byte(i >> 8)}), 100+i, false))
	}
	first.Exchange(nil, many)
	first.Exchange(many[:500], []*config.Reservation4{a})
	find("a", a)
	find(string(many[499].Identifier), nil)
	find(string(many[500].Identifier), many[500])
	if n := first.Len(); n != 501 {
		t.Errorf("%d hosts, want 501", n)
	}
}
