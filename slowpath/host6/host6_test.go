package host6

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

func ip(s string) netip.Addr       { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func testHosts() (*config.Dhcp6, map[string]*config.Reservation6) {
	duid := &config.Reservation6{SubnetID: 1, Type: config.IdentDUID, Identifier: []byte{1, 2, 3},
		Addrs:    []netip.Addr{ip("2001:db8::1"), ip("2001:db8::2")},
		Prefixes: []config.ReservedPrefix{{Prefix: prefix("2001:db8:8000::/48")}, {Prefix: prefix("2001:db8:8001::/56")}}}
	mac := &config.Reservation6{SubnetID: 1, Type: config.IdentHWAddr, Identifier: []byte{1, 2, 3},
		Addrs: []netip.Addr{ip("2001:db8::1")}}
	other := &config.Reservation6{SubnetID: 2, Type: config.IdentFlexID, Identifier: []byte{1, 2, 3},
		Addrs: []netip.Addr{ip("2001:db8::1")}}
	global := &config.Reservation6{Type: config.IdentDUID, Identifier: []byte{1, 2, 3}, Hostname: "h"}
	return &config.Dhcp6{
		GlobalReservations: []*config.Reservation6{global},
		Subnets:            []*config.Subnet6{{ID: 1, Reservations: []*config.Reservation6{duid, mac}}, {ID: 2, Reservations: []*config.Reservation6{other}}},
	}, map[string]*config.Reservation6{"duid": duid, "mac": mac, "other": other, "global": global}
}

func TestByIdentifier(t *testing.T) {
	cfg, h := testHosts()
	x := NewIndex(cfg)
	if x.Len() != 4 {
		t.Errorf("%d hosts", x.Len())
	}
	for _, c := range []struct {
		subnet uint32
		typ    config.IdentifierType
		id     []byte
		want   *config.Reservation6
	}{
		{1, config.IdentDUID, []byte{1, 2, 3}, h["duid"]},
		{1, config.IdentHWAddr, []byte{1, 2, 3}, h["mac"]},
		{1, config.IdentFlexID, []byte{1, 2, 3}, nil},
		{2, config.IdentFlexID, []byte{1, 2, 3}, h["other"]},
		{2, config.IdentDUID, []byte{1, 2, 3}, nil},
		{0, config.IdentDUID, []byte{1, 2, 3}, h["global"]},
		{1, config.IdentDUID, []byte{1, 2}, nil},
		{1, config.IdentDUID, nil, nil},
	} {
		if got := x.ByIdentifier(c.subnet, c.typ, c.id); got != c.want {
			t.Errorf("subnet %d %v %x: %+v", c.subnet, c.typ, c.id, got)
		}
	}
}

func TestByResource(t *testing.T) {
	cfg, h := testHosts()
	x := NewIndex(cfg)
	for _, c := range []struct {
		subnet uint32
		addr   string
		want   *config.Reservation6
	}{
		{1, "2001:db8::1", h["duid"]}, {1, "2001:db8::2", h["duid"]}, {2, "2001:db8::1", h["other"]},
		{2, "2001:db8::2", nil}, {0, "2001:db8::1", nil}, {1, "2001:db8:8000::", nil},
	} {
		if got := x.ByAddr(c.subnet, ip(c.addr)); got != c.want {
			t.Errorf("subnet %d %s: %+v", c.subnet, c.addr, got)
		}
	}
	for _, c := range []struct {
		subnet uint32
		prefix string
		want   *config.Reservation6
	}{
		{1, "2001:db8:8000::/48", h["duid"]}, {1, "2001:db8:8001::/56", h["duid"]},
		{1, "2001:db8:8000::/56", nil}, {2, "2001:db8:8000::/48", nil}, {1, "2001:db8::1/128", nil},
	} {
		if got := x.ByPrefix(c.subnet, prefix(c.prefix)); got != c.want {
			t.Errorf("subnet %d %s: %+v", c.subnet, c.prefix, got)
		}
	}
	// ip-reservations-unique false: one address of several hosts.
	if got := x.AppendByAddr(nil, 1, ip("2001:db8::1")); !slices.Equal(got, []*config.Reservation6{h["duid"], h["mac"]}) {
		t.Errorf("all by address: %v", got)
	}
	if got := x.AppendByPrefix(nil, 1, prefix("2001:db8:8001::/56")); !slices.Equal(got, []*config.Reservation6{h["duid"]}) {
		t.Errorf("all by prefix: %v", got)
	}
	empty := NewIndex(&config.Dhcp6{})
	if empty.ByIdentifier(0, config.IdentDUID, []byte{1}) != nil || empty.ByAddr(0, ip("::1")) != nil ||
		empty.ByPrefix(0, prefix("::/0")) != nil || empty.AppendByAddr(nil, 0, ip("::1")) != nil {
		t.Error("an empty index has something")
	}
}

// TestMany finds each of many hosts by all it has.
func TestMany(t *testing.T) {
	cfg := &config.Dhcp6{}
	s := &config.Subnet6{ID: 5}
	cfg.Subnets = append(cfg.Subnets, s)
	const n = 20_000
	for i := range n {
		var a [16]byte
		binary.BigEndian.PutUint32(a[2:], uint32(i))
		s.Reservations = append(s.Reservations, &config.Reservation6{SubnetID: 5, Type: config.IdentDUID, Identifier: a[:6:6],
			Addrs:    []netip.Addr{netip.AddrFrom16(a)},
			Prefixes: []config.ReservedPrefix{{Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 56).Masked()}}})
	}
	x := NewIndex(cfg)
	for _, h := range s.Reservations {
		if x.ByIdentifier(5, h.Type, h.Identifier) != h || x.ByAddr(5, h.Addrs[0]) != h || x.ByPrefix(5, h.Prefixes[0].Prefix) != h {
			t.Fatalf("lost %x", h.Identifier)
		}
	}
	h := s.Reservations[77]
	var room [4]*config.Reservation6
	if n := testing.AllocsPerRun(100, func() {
		x.ByIdentifier(5, h.Type, h.Identifier)
		x.ByAddr(5, h.Addrs[0])
		x.AppendByPrefix(room[:0], 5, h.Prefixes[0].Prefix)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
