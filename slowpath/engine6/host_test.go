package engine6

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

func pdConfig(delegated string) string {
	return `"valid-lifetime": 4000, "subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0",
		"pd-pools": [ { "prefix": "2001:db8:20::", "prefix-len": 48, "delegated-len": ` + delegated + ` } ] } ]`
}

// After delegated-len was changed nobody gets a prefix that holds, or is inside
// of, one that is leased: neither by asking for it nor from the pool.
func TestPrefixesOfOtherLengths(t *testing.T) {
	for _, c := range []struct{ before, after, leased, hint string }{
		{"64", "56", "2001:db8:20:101::/64", "2001:db8:20:100::/56"},
		{"56", "64", "2001:db8:20:100::/56", "2001:db8:20:101::/64"},
	} {
		l := newLab(t, pdConfig(c.before))
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, pd(1, c.leased)))
		if l.addr(0) != c.leased {
			t.Fatalf("got %s", l.addr(0))
		}
		l.reload(pdConfig(c.after))
		leased := netip.MustParsePrefix(c.leased)
		for i := range 300 {
			l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 2+i, pd(1, c.hint)))
			if g := l.ia(0); g.status == stNoPrefix {
				break
			}
			if p := netip.MustParsePrefix(l.addr(0)); p.Overlaps(leased) {
				t.Fatalf("client 1 has %v, client %d got %v", leased, 2+i, p)
			}
		}
		// What it has stays the client's.
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, pd(1, c.leased)))
		if l.addr(0) != c.leased {
			t.Errorf("renewed as %s", l.addr(0))
		}
	}
}

// A global reservation: an address has to be on the link, a prefix need not
// (V6-041).
func TestGlobalReservation(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 4000, "reservations-global": true, "reservations-in-subnet": false,
		"reservations": [
		  { "duid": "00:03:00:01:02:c1:00:00:00:01", "ip-addresses": [ "2001:db8:7::1", "2001:db8:1::abc" ], "prefixes": [ "2001:db8:ffff::/48" ], "hostname": "g" } ],
		"subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0", "pools": [ { "pool": "2001:db8:1::10 - 2001:db8:1::ff" } ] } ]`)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1), pd(2)))
	a, p := l.addr(0), l.addr(1)
	if a != "2001:db8:1::abc" || p != "2001:db8:ffff::/48" || !l.q.Classes.Has("KNOWN") || l.q.Host == nil {
		t.Errorf("%s %s", a, p)
	}
	l.now += 3000
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, na(1, a), pd(2, p)))
	if l.addr(0) != a || l.addr(1) != p {
		t.Errorf("renewed as %s %s", l.addr(0), l.addr(1))
	}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRelease, 1, na(1, a), pd(2, p)))
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1), pd(2)))
	if l.addr(0) != a || l.addr(1) != p || l.ia(0).res[0].ValidS != 4000 || len(l.ia(0).res) != 1 {
		t.Errorf("back as %s %s", l.addr(0), l.addr(1))
	}
}

// early-global-reservations-lookup lets classes of a reservation choose the
// subnet.
func TestEarlyGlobalLookup(t *testing.T) {
	l := newLab(t, `"early-global-reservations-lookup": true, "reservations-global": true,
		"client-classes": [ { "name": "gold" } ],
		"reservations": [ { "duid": "00:03:00:01:02:c1:00:00:00:01", "client-classes": [ "gold" ] } ],
		"subnet6": [
		  { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0", "client-classes": [ "gold" ], "pools": [ { "pool": "2001:db8:1::/80" } ] },
		  { "id": 2, "subnet": "2001:db8:2::/48", "interface": "eth0", "pools": [ { "pool": "2001:db8:2::/80" } ] } ]`)
	for n, want := range map[int]uint32{1: 1, 2: 2} {
		l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, n, na(1)))
		if l.q.Subnet.ID != want {
			t.Errorf("client %d in subnet %d", n, l.q.Subnet.ID)
		}
	}
}

// A reserved address of which an old record of somebody else's is left.
func TestReservedOverStale(t *testing.T) {
	l := newLab(t, simple)
	a := l.sarr(1)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRelease, 1, na(1, a)))
	l.reload(`"valid-lifetime": 4000, "subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0",
		"pools": [ { "pool": "2001:db8:1::10 - 2001:db8:1::ff" } ],
		"reservations": [ { "duid": "00:03:00:01:02:c1:00:00:00:02", "ip-addresses": [ "` + a + `" ] } ] } ]`)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 2, na(1)))
	if l.addr(0) != a {
		t.Errorf("got %s, %s is reserved and free", l.addr(0), a)
	}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1)))
	if l.addr(0) == a {
		t.Error("two owners")
	}
}

// A client with reservations in several subnets of a shared network gets what is
// reserved wherever that is (V6-043).
func TestReservationsInNetwork(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 4000, "client-classes": [ { "name": "c2" } ],
		"shared-networks": [ { "name": "net", "interface": "eth0", "subnet6": [
		  { "id": 1, "subnet": "2001:db8:1::/64", "pools": [ { "pool": "2001:db8:1::10 - 2001:db8:1::20" } ] },
		  { "id": 2, "subnet": "2001:db8:2::/64", "pools": [ { "pool": "2001:db8:2::10 - 2001:db8:2::20" } ],
		    "option-data": [ { "name": "dns-servers", "data": "2001:db8:2::53" } ],
		    "reservations": [ { "duid": "00:03:00:01:02:c1:00:00:00:01", "ip-addresses": [ "2001:db8:2::abc" ], "client-classes": [ "c2" ] } ] } ] } ]`)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1), oro(23)))
	if l.addr(0) != "2001:db8:2::abc" || l.q.Subnet.ID != 2 || !l.answer.Has(dhcp6.OptDNSServers) || !l.q.Classes.Has("c2") {
		t.Errorf("%s of subnet %d", l.addr(0), l.q.Subnet.ID)
	}
	// Again, with a hint elsewhere: what it has stays.
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1, "2001:db8:1::10"), oro(23)))
	if l.addr(0) != "2001:db8:2::abc" || l.q.Subnet.ID != 2 {
		t.Errorf("%s of subnet %d", l.addr(0), l.q.Subnet.ID)
	}
	if l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 2, na(1))); l.addr(0) != "2001:db8:1::10" {
		t.Errorf("client 2 has %s", l.addr(0))
	}
}

// Above adaptive-lease-time-threshold prefixes are delegated for the least time.
func TestAdaptiveLifetimes(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 4000, "min-valid-lifetime": 400, "max-valid-lifetime": 8000,
		"preferred-lifetime": 2000, "min-preferred-lifetime": 200, "max-preferred-lifetime": 4000,
		"pd-allocator": "flq", "adaptive-lease-time-threshold": 0.5,
		"subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0",
		  "pd-pools": [ { "prefix": "2001:db8:20::", "prefix-len": 54, "delegated-len": 56 } ] } ]`)
	for n, want := range []uint32{4000, 400, 400, 400} {
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, n+1, pd(1)))
		if got := l.ia(0).res[0].ValidS; got != want {
			t.Errorf("client %d: %d s, want %d", n+1, got, want)
		}
	}
	// Nothing is taken away of what the first one has.
	l.now += 1500
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, pd(1)))
	if x := l.ia(0).res[0]; x.ValidS != 2500 || x.PreferredS != 500 {
		t.Errorf("%+v", x)
	}
}

// Machines that were cloned have one DUID and one IAID, in as many networks as
// there are of them. Each keeps what it has.
func TestOneIdentityInManyNetworks(t *testing.T) {
	const n = 30
	var nets, own []string
	for i := range n {
		s := fmt.Sprintf(`{ "id": %d, "subnet": "2001:db8:%x::/48", "pools": [ { "pool": "2001:db8:%x::/64" } ] }`, i+1, i+1, i+1)
		if i%3 == 0 {
			own = append(own, s)
		} else {
			nets = append(nets, s)
		}
	}
	// Two thirds of them in shared networks of ten subnets each.
	l := newLab(t, `"valid-lifetime": 4000, "subnet6": [`+strings.Join(own, ",")+`], "shared-networks": [
		{ "name": "a", "subnet6": [`+strings.Join(nets[:10], ",")+`] }, { "name": "b", "subnet6": [`+strings.Join(nets[10:], ",")+`] } ]`)
	links := []string{"2001:db8:2::1", "2001:db8:1e::1"}
	for i := 0; i < n; i += 3 {
		links = append(links, fmt.Sprintf("2001:db8:%x::1", i+1))
	}
	has := map[string]string{}
	for round := range 3 {
		for _, link := range links {
			a := l.sarr(1, relayed(link))
			if round > 0 && a != has[link] {
				t.Fatalf("round %d, link %s: got %s, had %s", round, link, a, has[link])
			}
			has[link] = a
			if l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, na(1, a), relayed(link))); l.addr(0) != a || len(l.ia(0).res) != 1 {
				t.Fatalf("round %d, link %s: renewed %s, had %s", round, link, l.addr(0), a)
			}
		}
		l.now += 3000
	}
	if l.table.Len() != len(links) {
		t.Errorf("%d leases on %d links", l.table.Len(), len(links))
	}
}

// store-extended-info: what the relays say is kept, and a change of it is stored
// though the lease could be answered from the cache (V6-048).
func TestRelayInfo(t *testing.T) {
	l := newLab(t, `"store-extended-info": true, `+simple)
	by := func(port string) part {
		return relayed("2001:db8:1::1", opt(dhcp6.OptInterfaceID, []byte(port)))
	}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1), by("a")))
	a := l.addr(0)
	if !containsPort(l.lease(a).Relays(), "a") {
		t.Errorf("%x", l.lease(a).Relays())
	}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, na(1, a), by("a")))
	if l.r.ReusedNA != 1 {
		t.Error("nothing changed, and it was stored")
	}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, na(1, a), by("b")))
	if l.r.ReusedNA != 0 || !containsPort(l.lease(a).Relays(), "b") {
		t.Errorf("%x", l.lease(a).Relays())
	}
	// Without relays what is known stays.
	l.now += 3000
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, na(1, a)))
	if !containsPort(l.lease(a).Relays(), "b") {
		t.Errorf("%x", l.lease(a).Relays())
	}
}

func containsPort(info []byte, port string) bool {
	var r lease6.Relay
	rest, ok := lease6.NextRelay(info, &r)
	return ok && len(rest) == 0 && string(dhcp6.Options(r.Options).Find(dhcp6.OptInterfaceID)) == port
}
