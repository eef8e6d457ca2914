package offload

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

func sub(id uint32, prefix, iface string, relays ...string) *config.Subnet4 {
	p := netip.MustParsePrefix(prefix)
	first := dhcp4.AddrFromNetip(p.Addr())
	s := &config.Subnet4{ID: id, Prefix: p, First: first, Last: first | dhcp4.IPv4(1<<(32-p.Bits())-1), Interface: iface}
	for _, r := range relays {
		s.RelayAddrs = append(s.RelayAddrs, dhcp4.AddrFromNetip(netip.MustParseAddr(r)))
	}
	return s
}

func TestScopes(t *testing.T) {
	guarded := sub(9, "198.51.100.0/24", "")
	guarded.ClientClasses = []string{"KNOWN"}
	ifaces := []netio.Interface{
		{Index: 3, Name: "eth0", Addrs4: []netio.Prefix4{{Addr: 0xC0000201, Len: 24}}},
		{Index: 4, Name: "eth1", Addrs4: []netio.Prefix4{{Addr: 0x0A000001, Len: 8}}},
	}
	cases := []struct {
		name     string
		subnets  []*config.Subnet4
		want     []string // prefixes of subnet 1's scope, nil: left out
		ifaces   []uint32
		rejected int
	}{
		{"alone", []*config.Subnet4{sub(1, "192.0.2.0/24", ""), sub(2, "203.0.113.0/24", "")}, []string{"192.0.2.0/24"}, []uint32{3}, 0},
		{"relay address", []*config.Subnet4{sub(1, "192.0.2.0/24", "", "203.0.113.1")}, []string{"192.0.2.0/24", "203.0.113.1/32"}, []uint32{3}, 0},
		{"named interface", []*config.Subnet4{sub(1, "192.0.2.0/24", "eth1")}, []string{"192.0.2.0/24"}, []uint32{4}, 0},
		{"interface of two subnets", []*config.Subnet4{sub(1, "192.0.2.0/24", "eth1"), sub(2, "203.0.113.0/24", "eth1")}, []string{"192.0.2.0/24"}, nil, 0},
		{"interface named by another", []*config.Subnet4{sub(1, "192.0.2.0/24", ""), sub(2, "203.0.113.0/24", "eth0")}, []string{"192.0.2.0/24"}, nil, 0},
		{"overlap", []*config.Subnet4{sub(1, "192.0.2.0/24", ""), sub(2, "192.0.2.128/25", "")}, nil, nil, 1},
		{"shared relay", []*config.Subnet4{sub(1, "192.0.2.0/24", "", "10.9.9.9"), sub(2, "203.0.113.0/24", "", "10.9.9.9")}, nil, nil, 1},
		{"relay of another inside", []*config.Subnet4{sub(1, "192.0.2.0/24", ""), sub(2, "203.0.113.0/24", "", "192.0.2.7")}, nil, nil, 1},
	}
	for _, c := range cases {
		scopes, skipped := Scopes([]Limit{{SubnetID: 1, Packets: 10, IntervalNs: 1e9, Burst: 20}}, &config.Dhcp4{Subnets: c.subnets}, ifaces)
		if skipped != c.rejected {
			t.Errorf("%s: %d left out, want %d", c.name, skipped, c.rejected)
		}
		if c.want == nil {
			if len(scopes) != 0 {
				t.Errorf("%s: scope %+v, want none", c.name, scopes)
			}
			continue
		}
		if len(scopes) != 1 {
			t.Errorf("%s: %d scopes, want 1", c.name, len(scopes))
			continue
		}
		var got []string
		for _, p := range scopes[0].Prefixes {
			got = append(got, p.String())
		}
		if !reflect.DeepEqual(got, c.want) || !reflect.DeepEqual(scopes[0].IfIndexes, c.ifaces) {
			t.Errorf("%s: %v on %v, want %v on %v", c.name, got, scopes[0].IfIndexes, c.want, c.ifaces)
		}
	}
	if _, skipped := Scopes([]Limit{{SubnetID: 9, Packets: 1, IntervalNs: 1}}, &config.Dhcp4{Subnets: []*config.Subnet4{guarded}}, nil); skipped != 1 {
		t.Error("the limit of a guarded subnet went to the kernel")
	}
	if s, _ := Scopes([]Limit{{Packets: 5, IntervalNs: 1e9}}, &config.Dhcp4{}, nil); len(s) != 1 || !s[0].Global {
		t.Errorf("the limit of everything gave %+v", s)
	}
}
