package main

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// TestAddressesMissing: an address that the configuration names and the interface
// does not have is told of; an interface that is missing is for others to tell.
func TestAddressesMissing(t *testing.T) {
	p := &plane{
		snap: &config.Snapshot{
			Dhcp4: &config.Dhcp4{Interfaces: []config.Interface{{Name: "eth0"}, {Name: "eth0", Addr: 0xC0000201}, {Name: "eth0", Addr: 0xC0000209}, {Name: "eth9", Addr: 1}}},
			Dhcp6: &config.Dhcp6{Interfaces: []config.Interface6{
				{Name: "eth0", Addr: netip.MustParseAddr("2001:db8::1")}, {Name: "eth1", Addr: netip.MustParseAddr("2001:db8::1")}, {Name: "eth1"},
			}},
		},
		ifaces: []netio.Interface{
			{Name: "eth0", Addrs4: []netio.Prefix4{{Addr: 0xC0000201, Len: 24}}, Addrs6: []netio.Prefix6{{Addr: netip.MustParseAddr("2001:db8::1").As16(), Len: 64}}},
			{Name: "eth1"},
		},
	}
	want := []string{"eth0/192.0.2.9: the interface does not have this address", "eth1/2001:db8::1: the interface does not have this address"}
	if got := p.addressesMissing(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
