package engine

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/host"
	nt "github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

func (l *lab) offered(want string, q *nt.Query) {
	l.t.Helper()
	l.want(dhcp4.MsgOffer, q)
	if l.r.YIAddr != ip(want) {
		l.t.Errorf("offered %v, want %s", l.r.YIAddr, want)
	}
}

// V4-124: classes of a global reservation, KNOWN too, may guard subnets with
// early-global-reservations-lookup, and DROP is looked at once more.
func TestEarlyGlobalLookUp(t *testing.T) {
	const conf = `"valid-lifetime": 3600, "reservations-global": true, "reservations-in-subnet": false,
	"client-classes": [ { "name": "gold" }, { "name": "late", "test": "member('KNOWN') and member('gold')" }, { "name": "plain", "test": "not member('gold')" },
	  { "name": "DROP", "test": "member('KNOWN') and option[77].hex == 'x'" } ],
	"reservations": [ { "hw-address": "02:c1:00:00:00:01", "client-classes": [ "gold" ] }, { "hw-address": "02:c1:00:00:00:02", "hostname": "two" } ],
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "client-class": "late", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ] },
	  { "id": 2, "subnet": "192.0.0.0/16", "client-class": "KNOWN", "pools": [ { "pool": "192.0.3.10 - 192.0.3.19" } ] },
	  { "id": 3, "subnet": "192.0.0.0/15", "client-class": "plain", "pools": [ { "pool": "192.0.4.10 - 192.0.4.19" } ] } ]`
	l := newLab(t, conf+`, "early-global-reservations-lookup": true`)
	l.offered("192.0.2.10", nt.Discover(mac(1)))
	if l.q.Classes.Has("plain") || !l.q.Classes.Has("late") {
		t.Errorf("classes %s", classNames(&l.q.Classes))
	}
	l.offered("192.0.3.10", nt.Discover(mac(2)))
	l.offered("192.0.4.10", nt.Discover(mac(3)))
	l.silent(ReasonClassDrop, nt.Discover(mac(1), nt.With(77, 'x')))
	l.offered("192.0.4.11", nt.Discover(mac(4), nt.With(77, 'x')))

	// Without it the subnet is selected before anything is known of the client,
	// and may turn out to be for others.
	l = newLab(t, conf)
	l.silent(ReasonSubnetGuarded, nt.Discover(mac(1)))
	l.offered("192.0.4.10", nt.Discover(mac(5)))
	l.silent(ReasonClassDrop, nt.Discover(mac(2), nt.With(77, 'x')))
}

// V4-126: several clients may have the same reserved address, one at a time.
func TestAddressReservedForSeveral(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 3600, "ip-reservations-unique": false,
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ], "reservations": [
	  { "hw-address": "02:c1:00:00:00:01", "ip-address": "192.0.2.15" }, { "hw-address": "02:c1:00:00:00:02", "ip-address": "192.0.2.15" } ] } ]`)
	a := ip("192.0.2.15")
	l.nak(ReasonAddressReserved, nt.Request(mac(3), a, l.ifAddr))
	l.offered("192.0.2.15", nt.Discover(mac(2)))
	l.want(dhcp4.MsgAck, nt.Request(mac(1), a, l.ifAddr))
	l.nak(ReasonAddressInUse, nt.Request(mac(2), a, l.ifAddr))
	l.offered("192.0.2.10", nt.Discover(mac(2)))
}

// V4-016, V4-051: what the compatibility switches leave out.
func TestCompatibility(t *testing.T) {
	const two = `"valid-lifetime": 3600, "subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.0/24" } ] },
	  { "id": 2, "subnet": "10.0.0.0/8", "pools": [ { "pool": "10.0.0.0/30" } ] } ]`
	other := nt.Request(mac(1), ip("192.0.2.10"), ip("203.0.113.1"))
	link := nt.Discover(mac(2), nt.Relayed(ip("192.0.2.254"), ip("192.0.2.1")), nt.With(82, 5, 4, 10, 0, 0, 0))
	l := newLab(t, two)
	l.silent(ReasonNotForUs, other)
	l.offered("10.0.0.0", link)
	l = newLab(t, two+`, "compatibility": { "ignore-dhcp-server-identifier": true, "ignore-rai-link-selection": true, "exclude-first-last-24": true }`)
	l.want(dhcp4.MsgAck, other)
	l.offered("192.0.2.1", link)
	if l.w.Accept4(&l.q); l.q.rai(5) == nil {
		t.Error("the sub-option is gone")
	}
	l.want(dhcp4.MsgAck, nt.Request(mac(3), ip("192.0.2.0"), l.ifAddr)) // asked for by name it may be had (V4-061)
}

// V4-067: nearly full pools give short leases, renewed ones at least what is left.
func TestAdaptiveLeaseTime(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 3600, "min-valid-lifetime": 600, "cache-threshold": 0, "allocator": "flq", "adaptive-lease-time-threshold": 0.5,
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.13" } ] } ]`)
	for i, want := range []uint32{3600, 600, 600} {
		l.want(dhcp4.MsgAck, nt.Request(mac(i), ip("192.0.2.10")+dhcp4.IPv4(i), l.ifAddr))
		if l.r.ValidLifetimeS != want {
			t.Errorf("lease %d: %d seconds, want %d", i, l.r.ValidLifetimeS, want)
		}
	}
	l.now += 1000
	l.want(dhcp4.MsgAck, nt.Renew(mac(0), ip("192.0.2.10"), l.ifAddr))
	if l.r.ValidLifetimeS != 2600 {
		t.Errorf("renewed for %d seconds, want the 2600 that remain", l.r.ValidLifetimeS)
	}
}

// V4-074: the first class with an offer-lifetime counts, else the subnet.
func TestOfferLifetimeOfClass(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 3600, "offer-lifetime": 30,
	"client-classes": [ { "name": "none", "test": "option[77].hex == 'n'", "offer-lifetime": 0 }, { "name": "long", "test": "option[77].exists", "offer-lifetime": 90 } ],
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ] } ]`)
	for i, c := range []struct {
		opts []nt.Option
		want uint32 // 0: nothing is stored
	}{{nil, 30}, {[]nt.Option{nt.With(77, 'n')}, 0}, {[]nt.Option{nt.With(77, 'l')}, 90}} {
		before := l.j.Pos
		l.want(dhcp4.MsgOffer, nt.Discover(mac(i), c.opts...))
		got := uint32(0)
		if l.j.Pos != before {
			got = l.lease(l.r.YIAddr).ValidLifetimeS
		}
		if got != c.want || l.r.ValidLifetimeS != 3600 {
			t.Errorf("client %d: stored for %d seconds, want %d; told %d", i, got, c.want, l.r.ValidLifetimeS)
		}
	}
}

// Reservations made at run time count in every subnet of a network, and however
// many addresses in a row they take.
func TestReservationsOfRunTimeInNetwork(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 3600, "shared-networks": [ { "name": "n", "subnet4": [
	  { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.40" } ] },
	  { "id": 2, "subnet": "10.0.0.0/24", "pools": [ { "pool": "10.0.0.10 - 10.0.0.19" } ] } ] } ]`)
	hosts := []*config.Reservation4{{SubnetID: 2, Type: config.IdentHWAddr, Identifier: []byte{2, 0xc1, 0, 0, 0, 1}, Addr: ip("10.0.0.99")}}
	for i := range 30 {
		hosts = append(hosts, &config.Reservation4{SubnetID: 1, Type: config.IdentHWAddr, Identifier: []byte{9, byte(i)}, Addr: ip("192.0.2.10") + dhcp4.IPv4(i)})
	}
	l.eng.Config().Hosts.SetMore(host.NewSet(hosts))
	l.offered("10.0.0.99", nt.Discover(mac(1)))
	l.offered("192.0.2.40", nt.Discover(mac(2)))
}

// What a flood of expired offers leaves does not make one query scan them all.
func TestReclaimForSpaceIsBounded(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 3600, "subnet4": [ { "id": 1, "subnet": "10.0.0.0/16", "pools": [ { "pool": "10.0.0.0/24" } ] } ]`)
	l.ifAddr = ip("10.0.255.1")
	l.local = []dhcp4.IPv4{l.ifAddr}
	for i := range 256 {
		l.want(dhcp4.MsgOffer, nt.Discover(mac(i)))
	}
	l.now += int64(l.eng.Config().OfferHoldS) + 1
	before := l.w.Reclaimed().Offers
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1000)))
	if n := l.w.Reclaimed().Offers - before; n == 0 || n > spaceBatch {
		t.Errorf("%d offers ended for one query, want 1 to %d", n, spaceBatch)
	}
}

// V4-116: what cannot be is made the best of.
func TestLenientFQDN(t *testing.T) {
	bad := [][]byte{{0x09, 0, 0, 'a'}, {0, 0, 0, 'a', '.', '.', 'b'}, {4, 0, 0, 5, 'a'}}
	for i, o := range bad {
		l := newLab(t, simple)
		l.silent(ReasonMalformedFQDN, nt.Discover(mac(1), nt.With(81, o...)))
		l = newLab(t, simple+`, "compatibility": { "lenient-option-parsing": true }`)
		l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.With(81, o...), nt.With(12, 'h')))
		if i == 0 {
			if got := string(l.answer.Option(81)); got != "\x0a\x00\x00a." {
				t.Errorf("option 81 %q", got)
			}
			continue
		}
		if got := string(l.answer.Option(12)); got != "h" || l.answer.Has(81) {
			t.Errorf("%x: option 12 %q", o, got)
		}
	}
}
