package slowpath

import (
	"net/netip"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// counted is what the counters show, without what is 0.
func counted(c *subnetCounters) map[string]string {
	out := map[string]string{}
	c.each(func(k stat.Key, v stat.Value) {
		if v != (stat.Value{}) {
			out[k.String()] = v.String()
		}
	})
	return out
}

func sameCounts(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
		return
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: %s is %s, want %s", what, k, got[k], v)
		}
	}
}

// Reclaimed leases count for their pool, at both of its ends; pools of one id
// count together; what is in no pool counts for the subnet alone. A changed
// configuration goes on counting where there still is such a pool (ST-015).
func TestReclaimedLeasesCountByPool(t *testing.T) {
	addr := func(s string) dhcp4.IPv4 { return dhcp4.AddrFromNetip(netip.MustParseAddr(s)) }
	pool := func(first, last string, id uint32) *config.Pool4 {
		return &config.Pool4{First: addr(first), Last: addr(last), ID: id}
	}
	one := &config.Subnet4{ID: 7}
	one.Pools = append(one.Pools, pool("10.0.0.100", "10.0.0.109", 1), pool("10.0.0.10", "10.0.0.19", 0), pool("10.0.0.200", "10.0.0.200", 1))
	var c subnetCounters
	c.configure4(&config.Dhcp4{Subnets: []*config.Subnet4{one}})
	for _, a := range []string{"10.0.0.9", "10.0.0.10", "10.0.0.19", "10.0.0.20", "10.0.0.99", "10.0.0.100", "10.0.0.109", "10.0.0.110", "10.0.0.200", "10.0.0.201"} {
		c.reclaimed(7, netip.MustParseAddr(a), false, a == "10.0.0.200" || a == "10.0.0.201")
	}
	c.reclaimed(8, netip.MustParseAddr("10.0.0.10"), false, true) // no such subnet
	want := map[string]string{
		"subnet[7].reclaimed-leases": "10", "subnet[7].reclaimed-declined-addresses": "2",
		"subnet[7].pool[0].reclaimed-leases": "2",
		"subnet[7].pool[1].reclaimed-leases": "3", "subnet[7].pool[1].reclaimed-declined-addresses": "1",
	}
	sameCounts(t, "counted", counted(&c), want)

	two := &config.Subnet4{ID: 7}
	two.Pools = append(two.Pools, pool("10.0.0.100", "10.0.0.109", 2), pool("10.0.0.10", "10.0.0.29", 0))
	c.configure4(&config.Dhcp4{Subnets: []*config.Subnet4{two, {ID: 9}}})
	c.reclaimed(7, netip.MustParseAddr("10.0.0.20"), false, false)
	c.reclaimed(9, netip.MustParseAddr("10.0.0.20"), false, false)
	delete(want, "subnet[7].pool[1].reclaimed-leases")
	delete(want, "subnet[7].pool[1].reclaimed-declined-addresses")
	want["subnet[7].reclaimed-leases"], want["subnet[7].pool[0].reclaimed-leases"], want["subnet[9].reclaimed-leases"] = "11", "3", "1"
	sameCounts(t, "after a change", counted(&c), want)
}

// Addresses and prefixes have pools of their own, whose ids do not meet.
func TestReclaimedPrefixesCountByPool(t *testing.T) {
	s := &config.Subnet6{ID: 1}
	s.Pools = append(s.Pools, &config.Pool6{First: netip.MustParseAddr("2001:db8::1"), Last: netip.MustParseAddr("2001:db8::ff"), ID: 5})
	s.PDPools = append(s.PDPools, &config.PDPool6{Prefix: netip.MustParsePrefix("2001:db8:8::/45"), DelegatedLen: 56, ID: 5})
	var c subnetCounters
	c.configure6(&config.Dhcp6{Subnets: []*config.Subnet6{s}})
	for _, x := range []struct {
		addr string
		pd   bool
	}{
		{"2001:db8::1", false}, {"2001:db8::1", true}, {"2001:db8::100", false},
		{"2001:db8:7:ff00::", true}, {"2001:db8:8::", true}, {"2001:db8:f:ff00::", true}, {"2001:db8:10::", true}, {"2001:db8:8::", false},
	} {
		c.reclaimed(1, netip.MustParseAddr(x.addr), x.pd, false)
	}
	sameCounts(t, "counted", counted(&c), map[string]string{
		"subnet[1].reclaimed-leases": "8", "subnet[1].pool[5].reclaimed-leases": "1", "subnet[1].pd-pool[5].reclaimed-leases": "2",
	})
}
