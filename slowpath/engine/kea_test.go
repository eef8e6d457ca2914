package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	nt "github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// What Kea adds to the RFC, by inventory id.

// V4-011, V4-015, V4-016 and bad input that is the engine's to judge.
func TestAcceptRefuses(t *testing.T) {
	l := newLab(t, simple)
	msg := func(mt dhcp4.MsgType) *nt.Query { q := nt.Discover(mac(1)); q.Type = mt; return q }
	noHW := func(q *nt.Query) { q.HLen = 0; q.CHAddr = [16]byte{} }
	for _, c := range []struct {
		name string
		q    *nt.Query
		want Reason
	}{
		{"no option 53", msg(0), ReasonNoMessageType},
		{"DHCPOFFER", msg(dhcp4.MsgOffer), ReasonServerMessage},
		{"DHCPACK", msg(dhcp4.MsgAck), ReasonServerMessage},
		{"DHCPNAK", msg(dhcp4.MsgNak), ReasonServerMessage},
		{"DHCPFORCERENEW", msg(dhcp4.MsgForceRenew), ReasonMessageType},
		{"DHCPLEASEQUERY", msg(dhcp4.MsgLeaseQuery), ReasonMessageType},
		{"type 200", msg(200), ReasonMessageType},
		{"hlen 0", nt.Discover(mac(1), noHW), ReasonNoIdentity},
		{"hlen 0, empty client-id", nt.Discover(mac(1), noHW, nt.WithClientID()), ReasonClientIDLength},
		{"client-id of one octet", nt.Discover(mac(1), nt.WithClientID(1)), ReasonClientIDLength},
		{"client-id of 256 octets", nt.Discover(mac(1), nt.WithClientID(make([]byte, 256)...)), ReasonClientIDLength},
		{"DHCPDISCOVER with server identifier", nt.Discover(mac(1), nt.WithIP(54, l.ifAddr)), ReasonServerIDUnwanted},
		{"DHCPREQUEST to another server", nt.Request(mac(1), ip("192.0.2.10"), otherS), ReasonNotForUs},
		{"DHCPRELEASE to another server", nt.Release(mac(1), ip("192.0.2.10"), otherS), ReasonNotForUs},
		{"DHCPDECLINE to another server", nt.Decline(mac(1), ip("192.0.2.10"), otherS), ReasonNotForUs},
		{"DHCPINFORM to another server", nt.Inform(mac(1), ip("192.0.2.10"), nt.WithIP(54, otherS)), ReasonNotForUs},
		{"DHCPINFORM from nowhere", nt.Inform(mac(1), 0), ReasonInformNoAddress},
		{"DHCPDECLINE without address", nt.Decline(mac(1), 0, l.ifAddr, nt.Without(50)), ReasonDeclineNoAddress},
		// RFC 2131 table 5 wants option 54; Kea does not.
		{"DHCPRELEASE without server identifier", nt.Release(mac(1), ip("192.0.2.10"), l.ifAddr, nt.Without(54)), ReasonReleaseNoLease},
		{"DHCPDECLINE without server identifier", nt.Decline(mac(1), ip("192.0.2.10"), l.ifAddr, nt.Without(54)), ReasonDeclineNoLease},
		{"requested address outside every pool", nt.Request(mac(1), ip("10.0.0.1"), l.ifAddr), ReasonUnknownAddress},
		{"the subnet's network address", nt.Request(mac(1), ip("192.0.2.0"), l.ifAddr), ReasonUnknownAddress},
		{"broadcast address", nt.Request(mac(1), dhcp4.Broadcast, l.ifAddr), ReasonUnknownAddress},
	} {
		t.Run(c.name, func(t *testing.T) {
			l.t = t
			l.silent(c.want, c.q)
			if l.table.Len() != 0 {
				t.Error("it left a record")
			}
		})
	}
	// RFC 4390: no hardware address, but an identifier.
	l.t = t
	l.dora(mac(1), noHW, nt.WithClientID(0, 1, 2))
	// Where only chaddr counts that is nobody.
	l.reload(`"match-client-id": false,` + simple)
	l.silent(ReasonIdentityUnusable, nt.Discover(mac(1), noHW, nt.WithClientID(0, 1, 2)))
}

// Clients with a zero chaddr are told apart by their identifiers alone, if they
// have any.
func TestZeroCHAddrIsNotAnIdentity(t *testing.T) {
	l := newLab(t, simple)
	none := l.dora(nt.MAC{})
	wantAddr(t, "a client that is all zeros, again", l.dora(nt.MAC{}), none)
	if a := l.dora(nt.MAC{}, nt.WithClientID(1, 'c')); a == none {
		t.Errorf("a client with an identifier has the address %v of one without", a)
	}
	a := l.dora(nt.MAC{}, nt.WithClientID(1, 'a'))
	b := l.dora(nt.MAC{}, nt.WithClientID(1, 'b'))
	if a == b {
		t.Fatalf("two clients have %v", a)
	}
	l.silent(ReasonReleaseNotOwner, nt.Release(nt.MAC{}, a, l.ifAddr, nt.WithClientID(1, 'b')))
}

// V4-020, WR-04.
func TestNoSubnet(t *testing.T) {
	l := newLab(t, simple)
	l.ifAddr = ip("10.0.0.1")
	l.local = append(l.local, l.ifAddr)
	a := ip("192.0.2.10")
	l.silent(ReasonNoSubnet, nt.Discover(mac(1)))
	l.silent(ReasonNoSubnet, nt.InitReboot(mac(1), a))
	l.silent(ReasonRebindNoSubnet, nt.Rebind(mac(1), a))
	l.want(dhcp4.MsgAck, nt.Inform(mac(1), a))
	if got := l.answer.Option(dhcp4.OptServerIdentifier); len(got) != 4 || l.answer.Has(dhcp4.OptRouter) {
		t.Errorf("server identifier %v, or options of no subnet", got)
	}
	l.nak(ReasonNoSubnet, nt.Request(mac(1), a, l.ifAddr))
	l.nak(ReasonNoSubnet, nt.Renew(mac(1), ip("10.9.9.9"), l.ifAddr))
	l.reload(`"authoritative": true,` + simple)
	l.nak(ReasonNoSubnet, nt.InitReboot(mac(1), a))
	l.silent(ReasonRebindNoSubnet, nt.Rebind(mac(1), a))
}

// V4-018: neither address nor server: a normal allocation.
func TestRequestWithoutAddress(t *testing.T) {
	l := newLab(t, simple)
	q := nt.InitReboot(mac(1), 0, nt.Without(50))
	l.want(dhcp4.MsgAck, q)
	a := l.r.YIAddr
	l.now += 2000
	l.want(dhcp4.MsgAck, q)
	wantAddr(t, "the renewed address", l.r.YIAddr, a)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(2)))
	b := l.r.YIAddr
	l.want(dhcp4.MsgAck, nt.InitReboot(mac(2), 0, nt.Without(50)))
	wantAddr(t, "what was offered before", l.r.YIAddr, b)
}

const guarded = `
	"valid-lifetime": 3600, "match-client-id": true,
	"client-classes": [ { "name": "gold" }, { "name": "VENDOR_CLASS_cpe" } ],
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [
	    { "pool": "192.0.2.10 - 192.0.2.10" },
	    { "pool": "192.0.2.20 - 192.0.2.20", "client-classes": [ "VENDOR_CLASS_cpe", "gold" ] },
	    { "pool": "192.0.2.30 - 192.0.2.30", "client-classes": [ "KNOWN" ] } ],
	  "reservations": [
	    { "hw-address": "02:c1:00:00:00:07", "client-classes": [ "gold" ] },
	    { "hw-address": "02:c1:00:00:00:08", "client-classes": [ "DROP" ] },
	    { "hw-address": "02:c1:00:00:00:09", "client-classes": [ "REJECT" ] } ] } ]`

// V4-054, V4-021: class guards of pools.
func TestPoolGuards(t *testing.T) {
	cpe := nt.With(60, []byte("cpe")...)
	l := newLab(t, guarded)
	wantAddr(t, "the open pool's address", l.dora(mac(1)), ip("192.0.2.10"))
	l.silent(ReasonPoolExhausted, nt.Discover(mac(2)))
	l.nak(ReasonPoolGuarded, nt.Request(mac(2), ip("192.0.2.20"), l.ifAddr))
	wantAddr(t, "by vendor class", l.dora(mac(2), cpe), ip("192.0.2.20"))
	wantAddr(t, "known by reservation", l.dora(mac(7)), ip("192.0.2.30"))
	// Out of the class, the lease is not renewed.
	l.now += 1800
	l.nak(ReasonPoolGuarded, nt.Renew(mac(2), ip("192.0.2.20"), l.ifAddr))
	l.reload(strings.ReplaceAll(guarded, `"192.0.2.10 - 192.0.2.10"`, `"192.0.2.10 - 192.0.2.10", "client-classes": [ "gold" ]`))
	l.silent(ReasonNoPools, nt.Discover(mac(3)))
}

// V4-030: DROP and REJECT.
func TestDropAndReject(t *testing.T) {
	l := newLab(t, guarded)
	l.silent(ReasonClassDrop, nt.Discover(mac(8)))
	l.silent(ReasonClassDrop, nt.Inform(mac(8), ip("192.0.2.77")))
	l.silent(ReasonClassReject, nt.Discover(mac(9)))
	l.nak(ReasonClassReject, nt.Request(mac(9), ip("192.0.2.10"), l.ifAddr))
}

// V4-050, V4-054: class guard of a subnet.
func TestSubnetGuard(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 3600, "client-classes": [ { "name": "VENDOR_CLASS_cpe" } ],
	"subnet4": [
	  { "id": 1, "subnet": "192.0.2.0/24", "client-classes": [ "VENDOR_CLASS_cpe" ], "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ] },
	  { "id": 2, "subnet": "192.0.0.0/16", "pools": [ { "pool": "192.0.3.10 - 192.0.3.19" } ] } ]`)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.With(60, []byte("cpe")...)))
	wantAddr(t, "in the class", l.r.YIAddr, ip("192.0.2.10"))
	l.want(dhcp4.MsgOffer, nt.Discover(mac(2)))
	wantAddr(t, "not in the class", l.r.YIAddr, ip("192.0.3.10"))
	// A callout may choose a subnet; its guard still holds.
	l.q.Subnet = nil
	q := nt.Discover(mac(3))
	if r := l.view.Parse(q.Message()); r != dhcp4.ReasonOK {
		t.Fatal(r)
	}
	if r := l.w.Accept4(&l.q); r != ReasonOK {
		t.Fatal(r)
	}
	l.q.Subnet = l.eng.Config().Subnets.ByID(1)
	if r := l.w.Process4(&l.q, &l.r); r != ReasonSubnetGuarded {
		t.Errorf("reason %v", r)
	}
	l.q.Subnet = &config.Subnet4{ID: 99}
	if r := l.w.Process4(&l.q, &l.r); r != ReasonNoSubnet {
		t.Errorf("foreign subnet: reason %v", r)
	}
}

// V4-121, V4-122, V4-123, V4-115.
func TestReservationIdentifiers(t *testing.T) {
	body := `
	"valid-lifetime": 3600, "reservations-global": true, %s
	"reservations": [
	  { "hw-address": "02:c1:00:00:00:01", "ip-address": "192.0.2.201" },
	  { "hw-address": "02:c1:00:00:00:02", "ip-address": "10.0.0.1" },
	  { "hw-address": "02:c1:00:00:00:03", "hostname": "three" } ],
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ],
	  "reservations": [
	    { "duid": "00:03:00:01:aa:bb", "ip-address": "192.0.2.101" },
	    { "circuit-id": "'c7'", "ip-address": "192.0.2.102" },
	    { "client-id": "01:cc:dd", "ip-address": "192.0.2.103" },
	    { "hw-address": "02:c1:00:00:00:0a", "ip-address": "192.0.2.104" },
	    { "hw-address": "02:c1:00:00:00:03" } ] } ]`
	l := newLab(t, fmt.Sprintf(body, ""))
	duid := nt.WithClientID(255, 1, 2, 3, 4, 0, 3, 0, 1, 0xaa, 0xbb)
	c7 := nt.With(82, 1, 2, 'c', '7')
	for _, c := range []struct {
		name string
		q    *nt.Query
		want string
	}{
		{"duid inside an RFC 4361 client-id", nt.Discover(mac(50), duid), "192.0.2.101"},
		{"circuit-id", nt.Discover(mac(51), c7), "192.0.2.102"},
		{"client-id", nt.Discover(mac(52), nt.WithClientID(1, 0xcc, 0xdd)), "192.0.2.103"},
		{"hw-address first", nt.Discover(mac(10), nt.WithClientID(1, 0xcc, 0xdd), c7), "192.0.2.104"},
		{"duid before circuit-id", nt.Discover(mac(53), duid, c7), "192.0.2.101"},
		{"global", nt.Discover(mac(1)), "192.0.2.201"},
		{"global outside the subnet", nt.Discover(mac(2)), "192.0.2.1?"},
		{"WR-15: the subnet's hides the global one", nt.Discover(mac(3)), "192.0.2.1?"},
	} {
		l.want(dhcp4.MsgOffer, c.q)
		if got := l.r.YIAddr.String(); got != c.want && !(strings.HasSuffix(c.want, "?") && len(got) == len(c.want) && got[:len(got)-1] == c.want[:len(c.want)-1]) {
			t.Errorf("%s: offered %s, want %s", c.name, got, c.want)
		}
		if l.answer.Has(12) {
			t.Errorf("%s: host name %q", c.name, l.answer.Option(12))
		}
	}
	l = newLab(t, fmt.Sprintf(body, `"host-reservation-identifiers": [ "circuit-id", "client-id", "hw-address" ],`))
	l.want(dhcp4.MsgOffer, nt.Discover(mac(10), nt.WithClientID(1, 0xcc, 0xdd), c7))
	wantAddr(t, "circuit-id first", l.r.YIAddr, ip("192.0.2.102"))
	// Whoever is the client by any identifier may ask for the address.
	l.want(dhcp4.MsgOffer, nt.Discover(mac(10), nt.WithClientID(1, 0xcc, 0xdd)))
	wantAddr(t, "client-id before hw-address", l.r.YIAddr, ip("192.0.2.103"))
}

// reservations-out-of-pool: reservations in pools do not count (V4-122).
func TestReservationsOutOfPool(t *testing.T) {
	l := newLab(t, `
	"valid-lifetime": 3600, "reservations-out-of-pool": true,
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.11" } ],
	  "reservations": [
	    { "hw-address": "02:c1:00:00:00:01", "ip-address": "192.0.2.10" },
	    { "hw-address": "02:c1:00:00:00:02", "ip-address": "192.0.2.100" } ] } ]`)
	wantAddr(t, "another client, reserved in-pool address", l.dora(mac(3)), ip("192.0.2.10"))
	wantAddr(t, "the one with the in-pool reservation", l.dora(mac(1)), ip("192.0.2.11"))
	wantAddr(t, "out of pool", l.dora(mac(2)), ip("192.0.2.100"))
	l.nak(ReasonAddressReserved, nt.Request(mac(4), ip("192.0.2.100"), l.ifAddr))
}

// Both switched off: no look-up at all.
func TestReservationsOff(t *testing.T) {
	l := newLab(t, `
	"valid-lifetime": 3600, "reservations-in-subnet": false,
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.11" } ],
	  "reservations": [ { "hw-address": "02:c1:00:00:00:01", "ip-address": "192.0.2.100" } ] } ]`)
	wantAddr(t, "the address", l.dora(mac(1)), ip("192.0.2.10"))
	l.silent(ReasonUnknownAddress, nt.Request(mac(1), ip("192.0.2.100"), l.ifAddr))
}

// V4-093, V4-094, WR-09, WR-10, WR-11.
func TestOptionPrecedence(t *testing.T) {
	l := newLab(t, `
	"valid-lifetime": 3600,
	"client-classes": [
	  { "name": "VENDOR_CLASS_cpe", "option-data": [ { "name": "ntp-servers", "data": "192.0.2.3" }, { "name": "log-servers", "data": "192.0.2.3" } ] },
	  { "name": "gold", "option-data": [ { "name": "log-servers", "data": "192.0.2.33" }, { "name": "smtp-server", "data": "192.0.2.33" } ] } ],
	"option-data": [
	  { "name": "ntp-servers", "data": "192.0.2.4" }, { "name": "time-servers", "data": "192.0.2.4" },
	  { "name": "pop-server", "data": "192.0.2.4", "always-send": true },
	  { "name": "nntp-server", "data": "192.0.2.4" }, { "name": "www-server", "data": "192.0.2.4", "always-send": true },
	  { "name": "domain-name-servers", "data": "192.0.2.4" }, { "name": "domain-name", "data": "global" } ],
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24",
	  "option-data": [ { "name": "time-servers", "data": "192.0.2.2" }, { "name": "name-servers", "data": "192.0.2.2" }, { "name": "impress-servers", "data": "192.0.2.2" },
	                   { "name": "www-server", "never-send": true, "data": "192.0.2.2" }, { "name": "domain-name", "never-send": true, "data": "subnet" } ],
	  "pools": [ { "pool": "192.0.2.10 - 192.0.2.19", "option-data": [ { "name": "name-servers", "data": "192.0.2.1" }, { "name": "impress-servers", "data": "192.0.2.1" } ] } ],
	  "reservations": [ { "hw-address": "02:c1:00:00:00:01", "client-classes": [ "gold" ], "option-data": [ { "name": "impress-servers", "data": "192.0.2.100" } ] } ] } ]`)
	all := nt.With(55, 10, 5, 4, 42, 7, 69, 71, 72, 6)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), all, nt.With(60, []byte("cpe")...)))
	for code, want := range map[uint8]string{
		10: "192.0.2.100", // host
		5:  "192.0.2.1",   // pool
		4:  "192.0.2.2",   // subnet
		42: "192.0.2.3",   // class
		7:  "192.0.2.3",   // first class
		69: "192.0.2.33",  // second class
		71: "192.0.2.4",   // global
		70: "192.0.2.4",   // not asked for, always sent
		6:  "192.0.2.4",
	} {
		if got := dhcp4.IPv4(u32(l.answer.Option(code))); got != ip(want) {
			t.Errorf("option %d is %v, want %s", code, got, want)
		}
	}
	if l.answer.Has(72) {
		t.Error("option 72 is sent in spite of never-send")
	}
	// As in Kea never-send does not keep the basic options away, and the first
	// scope counts.
	if got := string(l.answer.Option(15)); got != "subnet" {
		t.Errorf("domain name %q", got)
	}
	l.want(dhcp4.MsgOffer, nt.Discover(mac(2), nt.Without(55)))
	for _, code := range []uint8{6, 15, 70} {
		if !l.answer.Has(code) {
			t.Errorf("without option 55: option %d is missing", code)
		}
	}
	for _, code := range []uint8{4, 5, 7, 42, 71} {
		if l.answer.Has(code) {
			t.Errorf("without option 55: option %d is sent", code)
		}
	}
}

// V4-106: the configured identifier is sent and accepted, but never in a NAK.
func TestConfiguredServerIdentifier(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 3600,
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ],
	  "option-data": [ { "name": "dhcp-server-identifier", "data": "192.0.2.222" } ] } ]`)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	id, _ := l.answer.ServerID()
	wantAddr(t, "option 54", id, ip("192.0.2.222"))
	wantAddr(t, "source address", l.r.ServerID, l.ifAddr)
	l.want(dhcp4.MsgAck, nt.Request(mac(1), l.r.YIAddr, id))
	l.nak(ReasonAddressInUse, nt.Request(mac(2), l.r.YIAddr, id))
	id, _ = l.answer.ServerID()
	wantAddr(t, "option 54 of the DHCPNAK", id, l.ifAddr)
}

// V4-110.
func TestFixedFields(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 3600, "next-server": "192.0.2.2", "server-hostname": "boot", "boot-file-name": "x.img",
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ], "boot-file-name": "y.img",
	  "reservations": [ { "hw-address": "02:c1:00:00:00:01", "next-server": "192.0.2.3", "server-hostname": "boot3" } ] } ]`)
	field := func(b []byte) string { return strings.TrimRight(string(b), "\x00") }
	check := func(what string, siaddr, sname, file string) {
		t.Helper()
		a := &l.answer
		if a.SIAddr() != ip(siaddr) || field(a.SName()) != sname || field(a.File()) != file {
			t.Errorf("%s: siaddr %v sname %q file %q", what, a.SIAddr(), field(a.SName()), field(a.File()))
		}
	}
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	check("reserved", "192.0.2.3", "boot3", "y.img")
	l.want(dhcp4.MsgOffer, nt.Discover(mac(2)))
	check("others", "192.0.2.2", "boot", "y.img")
	l.want(dhcp4.MsgAck, nt.Inform(mac(2), ip("192.0.2.50")))
	check("DHCPINFORM", "192.0.2.2", "boot", "y.img")
	l.nak(ReasonAddressReserved, func() *nt.Query {
		l.reload(`"valid-lifetime": 3600, "next-server": "192.0.2.2",
		"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ],
		  "reservations": [ { "hw-address": "02:c1:00:00:00:01", "ip-address": "192.0.2.15" } ] } ]`)
		return nt.Request(mac(5), ip("192.0.2.15"), l.ifAddr)
	}())
	check("DHCPNAK", "0.0.0.0", "", "")
}

// V4-112.
func TestHostName(t *testing.T) {
	ddns := parseConfig(t, simple, Callouts{}).Snapshot.Dhcp4.Subnets[0].DDNS
	for _, c := range []struct{ in, want string }{
		{"Host-1", "host-1"},
		{"Host.Example.ORG", "host.example.org"},
		{"host.example.org.", "host.example.org."},
		{"host.", "host"},
		{" my host! ", "myhost"},
		{"a..b", ""}, {".a", ""}, {".", "myhost-192-0-2-9"}, {"", ""}, {"!!!", ""}, {"\x00\x00", ""},
		{strings.Repeat("a", 64), ""},
		{strings.Repeat("a", 63), strings.Repeat("a", 63)},
		{strings.Repeat("a.", 128), ""},
	} {
		var n clientName
		n.fromHostName([]byte(c.in), "", &ddns, ip("192.0.2.9"))
		if got := string(n.name[:n.nameLen]); got != c.want {
			t.Errorf("%q becomes %q, want %q", c.in, got, c.want)
		}
	}
	l := newLab(t, `"option-data": [ { "name": "host-name", "data": "configured" } ],`+simple)
	a := l.dora(mac(1), nt.With(12, []byte("Laptop")...))
	if got := string(l.answer.Option(12)); got != "laptop" || string(l.lease(a).Host()) != "laptop" {
		t.Errorf("option 12 %q, lease %q", got, l.lease(a).Host())
	}
	l.dora(mac(2), nt.With(55, 12))
	if got := string(l.answer.Option(12)); got != "configured" {
		t.Errorf("asked for: option 12 %q", got)
	}
	// Another name: the lease is stored anew, cache or not.
	l.want(dhcp4.MsgAck, nt.Renew(mac(1), a, l.ifAddr, nt.With(12, []byte("desktop")...)))
	if l.r.Reused || string(l.lease(a).Host()) != "desktop" {
		t.Errorf("reused %v, lease %q", l.r.Reused, l.lease(a).Host())
	}
}

// V4-073, WR-12.
func TestLeaseCache(t *testing.T) {
	for _, c := range []struct {
		conf  string
		after int64
		reuse bool
	}{
		{``, 0, true},
		{``, 900, true},
		{``, 901, false},
		{`"cache-threshold": 0.5,`, 1800, true},
		{`"cache-threshold": 0.5,`, 1801, false},
		{`"cache-threshold": 0.0,`, 0, false},
		{`"cache-max-age": 100,`, 100, true},
		{`"cache-max-age": 100,`, 101, false},
		{`"cache-max-age": 0,`, 0, false},
	} {
		l := newLab(t, c.conf+simple)
		a := l.dora(mac(1))
		l.now += c.after
		pos := l.j.Pos
		l.want(dhcp4.MsgAck, nt.Renew(mac(1), a, l.ifAddr))
		got, _ := l.answer.LeaseTime()
		if l.r.Reused != c.reuse {
			t.Errorf("%s after %d s: reused %v", c.conf, c.after, l.r.Reused)
		}
		if c.reuse && (l.r.CommitPos != 0 || l.j.Pos != pos || got != uint32(3600-c.after) || l.lease(a).CLTTUnixS != labStart) {
			t.Errorf("%s after %d s: CommitPos %d, %d records, lifetime %d", c.conf, c.after, l.r.CommitPos, l.j.Pos-pos, got)
		}
		if !c.reuse && (l.r.CommitPos == 0 || got != 3600) {
			t.Errorf("%s after %d s: CommitPos %d, lifetime %d", c.conf, c.after, l.r.CommitPos, got)
		}
	}
}

// The clock stepping back must not make a lease look old or immortal.
func TestClockStepsBack(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	l.now -= 5000
	l.want(dhcp4.MsgAck, nt.Renew(mac(1), a, l.ifAddr))
	if got := l.lease(a); l.r.Reused || got.CLTTUnixS != l.now {
		t.Errorf("reused %v, lease %+v", l.r.Reused, got.CLTTUnixS)
	}
}

// V4-074.
func TestOfferLifetime(t *testing.T) {
	l := newLab(t, simple)
	l.eng.Config().Snapshot.Dhcp4.Subnets[0].OfferLifetimeS = 60 // not read from files yet
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	a := l.r.YIAddr
	got := l.lease(a)
	if s, _ := l.answer.LeaseTime(); s != 3600 || got.State != lease.StateDefault || got.ValidLifetimeS != 60 || l.r.CommitPos == 0 {
		t.Fatalf("told %d, stored %+v, CommitPos %d", s, got, l.r.CommitPos)
	}
	l.want(dhcp4.MsgAck, nt.Request(mac(1), a, l.ifAddr))
	if got := l.lease(a); got.ValidLifetimeS != 3600 || l.r.CommitPos == 0 {
		t.Errorf("stored %+v", got)
	}
	pos := l.j.Pos
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	if l.j.Pos != pos || l.lease(a).ValidLifetimeS != 3600 {
		t.Error("an offer shortened the lease")
	}
}

// A flood of DHCPDISCOVERs: the real client gets and keeps its address.
func TestDiscoverFlood(t *testing.T) {
	l := newLab(t, simple)
	for i := range 1000 {
		l.want(dhcp4.MsgOffer, nt.Discover(mac(1000+i)))
		if i%100 == 50 {
			// Even while the flood goes on between its two messages.
			l.want(dhcp4.MsgOffer, nt.Discover(mac(i/100)))
			a := l.r.YIAddr
			for k := range 40 {
				l.send(nt.Discover(mac(5000 + k)))
			}
			l.want(dhcp4.MsgAck, nt.Request(mac(i/100), a, l.ifAddr))
		}
		if i == 900 {
			break
		}
	}
	if l.table.Len() > 10 {
		t.Errorf("%d records for 10 addresses", l.table.Len())
	}
}

// A client's previous lease is removed when it gets another one (V4-070).
func TestPreviousLeaseIsRemoved(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	b := ip("192.0.2.19")
	l.want(dhcp4.MsgAck, nt.Request(mac(1), b, l.ifAddr))
	if !l.r.HaveDeleted || l.r.Deleted.Addr != a || l.lease(a) != nil || l.lease(b) == nil {
		t.Errorf("deleted %v %v", l.r.HaveDeleted, l.r.Deleted.Addr)
	}
	if l.r.CommitPos != l.j.Pos {
		t.Errorf("CommitPos %d, journal at %d", l.r.CommitPos, l.j.Pos)
	}
}

// The two systems of one machine, one without a client identifier: each renews
// its own lease.
func TestTwoSystemsOnOneCard(t *testing.T) {
	l := newLab(t, simple)
	cid := nt.WithClientID(255, 1, 1, 1, 1, 0, 4, 9)
	boot := l.dora(mac(1))
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), cid, nt.WithIP(50, ip("192.0.2.15"))))
	// Kea: a lease without identifier belongs to the card (V4-068).
	wantAddr(t, "the address with an identifier", l.r.YIAddr, boot)
	l.want(dhcp4.MsgAck, nt.Request(mac(1), boot, l.ifAddr, cid))
	if got := l.lease(boot); got.ClientIDLen == 0 {
		t.Error("the identifier was not taken over")
	}
	l.nak(ReasonAddressInUse, nt.Renew(mac(1), boot, l.ifAddr, nt.WithClientID(1, 2, 3)))
}

// max-leases reached: silence, and renewals go on.
func TestTableFull(t *testing.T) {
	l := newLab(t, simple)
	l.table = lease.NewTable(lease.Options{MaxLeases: 2})
	l.eng = New(l.table, l.eng.Config())
	l.table.SetObserver(l.eng.Config().Alloc, true)
	l.w = l.eng.NewWorker(l.j)
	a := l.dora(mac(1))
	l.dora(mac(2))
	l.silent(ReasonTableFull, nt.Discover(mac(3)))
	l.silent(ReasonTableFull, nt.Request(mac(3), ip("192.0.2.17"), l.ifAddr))
	l.now += 1800
	l.want(dhcp4.MsgAck, nt.Renew(mac(1), a, l.ifAddr))
}

// NewWorker(nil): nothing is durable, nothing to wait for.
func TestWithoutJournal(t *testing.T) {
	l := newLab(t, simple)
	l.w = l.eng.NewWorker(nil)
	a := l.dora(mac(1))
	if l.r.CommitPos != 0 {
		t.Errorf("CommitPos %d", l.r.CommitPos)
	}
	l.want(dhcp4.MsgAck, nt.Renew(mac(1), a, l.ifAddr))
	if !l.r.Reused {
		t.Error("not reused")
	}
}

// A reply that needs an address of ours to come from.
func TestNoLocalAddress(t *testing.T) {
	l := newLab(t, relayedNets)
	l.ifAddr, l.local = 0, nil
	l.silent(ReasonNoLocalAddress, nt.Discover(mac(1), nt.Relayed(relay1, 0)))
	l.silent(ReasonNotForUs, nt.Request(mac(1), relay1+9, 0, nt.Relayed(relay1, 0)))
}

// More options than a reply holds are counted, the necessary ones are there.
func TestManyOptions(t *testing.T) {
	var b strings.Builder
	for code := 128; code < 254; code++ {
		if optiondef.NameOf(uint8(code)) == "" {
			fmt.Fprintf(&b, `{ "code": %d, "csv-format": false, "data": "01", "always-send": true },`, code)
		}
	}
	l := newLab(t, `"option-data": [`+b.String()+` { "name": "domain-name", "data": "x" } ],`+simple)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.WithClientID(1, 2, 3), nt.With(82, 1, 1, 'a')))
	if l.r.LeftOut == 0 {
		t.Error("nothing was left out")
	}
	for _, code := range []uint8{1, 3, 15, 51, 53, 54, 61, 82} {
		if !l.answer.Has(code) {
			t.Errorf("option %d is missing", code)
		}
	}
}

func TestReasonNames(t *testing.T) {
	seen := map[string]Reason{}
	for r := ReasonOK; r < NumReasons; r++ {
		s := r.String()
		if s == "" {
			t.Errorf("reason %d has no label", r)
		}
		if o, ok := seen[s]; ok {
			t.Errorf("reasons %d and %d are both %q", o, r, s)
		}
		seen[s] = r
		if k := r.KeaStat(); k != "" && !strings.HasPrefix(k, "pkt4-") {
			t.Errorf("%s: statistic %q", s, k)
		}
	}
	if ReasonNotForUs.KeaStat() != "pkt4-not-for-us" || ReasonPoolExhausted.KeaAllocStat() != "v4-allocation-fail" ||
		ReasonNoPools.KeaAllocStat() != "v4-allocation-fail-no-pools" || ReasonNoSubnet.KeaAllocStat() != "" {
		t.Error("statistics are mixed up")
	}
}

// A client may come to own two leases by its hardware address: it renews the one
// it names, the other stays.
func TestClientWithTwoLeases(t *testing.T) {
	l := newLab(t, simple)
	cid := nt.WithClientID(255, 1, 1, 1, 1, 0, 4, 9)
	y := l.dora(mac(1))
	x := l.dora(mac(5), cid)
	l.now += 1000
	l.want(dhcp4.MsgAck, nt.Renew(mac(1), x, l.ifAddr, cid)) // the system's disk in another machine
	l.now += 1000
	for _, a := range []dhcp4.IPv4{y, x} {
		l.want(dhcp4.MsgAck, nt.Renew(mac(1), a, l.ifAddr))
		wantAddr(t, "the renewed address", l.r.YIAddr, a)
		if l.r.HaveDeleted || l.lease(x) == nil || l.lease(y) == nil {
			t.Errorf("renewing %v removed the other lease", a)
		}
	}
	// Asked for as a hint, the second one is offered as it is.
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.WithIP(50, y)))
	if a := l.r.YIAddr; a != x && a != y {
		t.Errorf("offered %v", a)
	}
}

// The hold time of a released lease counts from its release (V4-023).
func TestHoldTimeCountsFromRelease(t *testing.T) {
	l := newLab(t, `"expired-leases-processing": { "hold-reclaimed-time": 1000 },`+simple)
	a := l.dora(mac(1))
	l.now += 3000
	l.handled(nt.Release(mac(1), a, l.ifAddr))
	l.now += 999
	l.w.Reclaim(l.now, 0, false, nil)
	if got := l.lease(a); got == nil || got.State != lease.StateReleased {
		t.Errorf("before the end of the hold time: %+v", got)
	}
	l.now++
	l.w.Reclaim(l.now, 0, false, nil)
	if got := l.lease(a); got != nil {
		t.Errorf("after the hold time: %+v", got)
	}
}

// What is offered to one client is not offered to another that hints at it, as
// long as the offer holds.
func TestHintAtAnOfferedAddress(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	a := l.r.YIAddr
	hint := nt.WithIP(50, a)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(2), hint))
	if l.r.YIAddr == a {
		t.Errorf("%v is offered twice", a)
	}
	l.now += 11
	l.want(dhcp4.MsgOffer, nt.Discover(mac(3), hint))
	wantAddr(t, "after the offer's end", l.r.YIAddr, a)
}

// A free address of any pool comes before an old one of the first, and the old
// one is still there when it is needed.
func TestFreeBeforeStaleOverPools(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 3600,
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.10" }, { "pool": "192.0.2.20 - 192.0.2.21" } ] } ]`)
	a := l.dora(mac(1))
	l.handled(nt.Release(mac(1), a, l.ifAddr))
	wantAddr(t, "the second client's", l.dora(mac(2)), ip("192.0.2.20"))
	wantAddr(t, "the third client's", l.dora(mac(3)), ip("192.0.2.21"))
	wantAddr(t, "the fourth client's", l.dora(mac(4)), a)
	l.silent(ReasonPoolExhausted, nt.Discover(mac(5)))
	l.silent(ReasonPoolExhausted, nt.Discover(mac(1)))
}

// A reserved address whose probation is over is offered at once.
func TestReservedAddressAfterProbation(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 3600, "decline-probation-period": 100,
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ],
	  "reservations": [ { "hw-address": "02:c1:00:00:00:01", "ip-address": "192.0.2.100" } ] } ]`)
	a := l.dora(mac(1))
	l.handled(nt.Decline(mac(1), a, l.ifAddr))
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	if l.r.YIAddr == a || !l.r.ReservationConflict {
		t.Errorf("during the probation: offered %v, conflict %v", l.r.YIAddr, l.r.ReservationConflict)
	}
	l.now += 101
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	wantAddr(t, "after the probation the offer", l.r.YIAddr, a)
	l.want(dhcp4.MsgAck, nt.Request(mac(1), a, l.ifAddr))
}

// Leases whose address moved to another subnet by a change of the configuration
// stay whose they are.
func TestAddressMovedToAnotherSubnet(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	l.reload(strings.ReplaceAll(simple, `"id": 1`, `"id": 9`))
	l.nak(ReasonAddressInUse, nt.Renew(mac(2), a, l.ifAddr))
	l.now += 1800
	// As Kea: the lease of the other subnet is in the way even of its client,
	// which starts over.
	l.nak(ReasonAddressInUse, nt.Renew(mac(1), a, l.ifAddr))
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	if l.r.YIAddr == a {
		t.Errorf("offered %v", a)
	}
}
