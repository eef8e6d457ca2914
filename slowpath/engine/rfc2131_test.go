package engine

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	nt "github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// One test for each MUST, MUST NOT, SHOULD and SHOULD NOT of RFC 2131 §3 and §4
// that binds a server, named by section. Where Kea departs from the text on
// purpose the test says so and checks Kea's way, with the inventory's id.

const relayedNets = `
	"valid-lifetime": 3600,
	"subnet4": [
	  { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ] },
	  { "id": 2, "subnet": "198.51.100.0/24", "pools": [ { "pool": "198.51.100.10 - 198.51.100.19" } ] } ]`

var (
	relay1 = ip("198.51.100.1")
	otherS = ip("203.0.113.77") // another server
)

func u32(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

// §3.1 step 2: "Servers need not reserve the offered network address, although
// the protocol will work more efficiently if the server avoids allocating the
// offered network address to another client."
func TestRFC2131_3_1_2_OfferedAddressIsNotOfferedToAnother(t *testing.T) {
	l := newLab(t, simple)
	seen := map[dhcp4.IPv4]int{}
	for i := range 10 {
		l.want(dhcp4.MsgOffer, nt.Discover(mac(i)))
		if j, ok := seen[l.r.YIAddr]; ok {
			t.Fatalf("%v offered to clients %d and %d", l.r.YIAddr, j, i)
		}
		seen[l.r.YIAddr] = i
	}
}

// §3.1 step 3: "The DHCPREQUEST message MUST include the 'server identifier'
// option to indicate which server it has selected": others take it as a refusal.
func TestRFC2131_3_1_3_NotSelectedServerStoresNothing(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	l.silent(ReasonNotForUs, nt.Request(mac(1), l.r.YIAddr, otherS))
	if len(l.j.State) != 0 {
		t.Errorf("%d leases stored, want none", len(l.j.State))
	}
}

// §3.1 step 4: "commits the binding for the client to persistent storage and
// responds with a DHCPACK".
func TestRFC2131_3_1_4_AckNamesTheCommitToWaitFor(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	if l.r.CommitPos != l.j.Pos || l.r.CommitPos == 0 {
		t.Errorf("CommitPos %d, journal at %d", l.r.CommitPos, l.j.Pos)
	}
	if got := l.j.State[a]; got.ValidLifetimeS != 3600 || got.State != lease.StateDefault {
		t.Errorf("journal has %+v", got)
	}
}

// §3.1 step 4: "If the selected server is unable to satisfy the DHCPREQUEST
// message (e.g., the requested network address has been allocated), the server
// SHOULD respond with a DHCPNAK message."
func TestRFC2131_3_1_4_TakenAddressIsNaked(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	l.nak(ReasonAddressInUse, nt.Request(mac(2), a, l.ifAddr))
}

// §3.1 step 4: "A server MAY choose to mark addresses offered to clients in
// DHCPOFFER messages as unavailable. The server SHOULD mark an address offered
// to a client in a DHCPOFFER message as available if the server receives no
// DHCPREQUEST message from that client."
func TestRFC2131_3_1_4_UnansweredOfferEnds(t *testing.T) {
	l := newLab(t, simple)
	for i := range 10 {
		l.want(dhcp4.MsgOffer, nt.Discover(mac(i)))
	}
	l.now += int64(l.eng.Config().OfferHoldS) + 1
	if n := l.w.Reclaim(l.now, 1, false, nil); n != 0 || l.w.Reclaimed().Offers != 10 || l.table.Len() != 0 {
		t.Errorf("reclaimed %d leases and %d offers, %d records left; want 0, 10 and 0", n, l.w.Reclaimed().Offers, l.table.Len())
	}
	if len(l.j.State) != 0 || l.j.Pos != 0 {
		t.Error("offers reached the journal")
	}
}

// §3.1 step 5: "If the client detects that the address is already in use ...
// the client MUST send a DHCPDECLINE message to the server."
// §4.3.3: "the server MUST mark the network address as not available".
func TestRFC2131_4_3_3_DeclinedAddressIsNotAvailable(t *testing.T) {
	l := newLab(t, `"decline-probation-period": 600,`+simple)
	a := l.dora(mac(1))
	l.handled(nt.Decline(mac(1), a, l.ifAddr))
	if got := l.lease(a); got.State != lease.StateDeclined || got.HWLen != 0 || got.ValidLifetimeS != 600 {
		t.Fatalf("after DHCPDECLINE: %+v", got)
	}
	for i := range 9 {
		if b := l.dora(mac(10 + i)); b == a {
			t.Fatalf("%v given out again", a)
		}
	}
	l.silent(ReasonPoolExhausted, nt.Discover(mac(99)))
	l.nak(ReasonAddressInUse, nt.Request(mac(1), a, l.ifAddr))
	l.now += 601
	l.w.Reclaim(l.now, 0, false, nil)
	wantAddr(t, "after the probation the offered address", l.dora(mac(99)), a)
}

// §4.3.3 again: nobody else's address can be declined.
func TestRFC2131_4_3_3_OnlyTheOwnerDeclines(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	l.silent(ReasonDeclineNotOwner, nt.Decline(mac(2), a, l.ifAddr))
	l.silent(ReasonDeclineNotOwner, nt.Decline(mac(2), a, l.ifAddr, nt.WithClientID(1, 2, 3)))
	l.silent(ReasonDeclineNoLease, nt.Decline(mac(2), a+5, l.ifAddr))
	l.want(dhcp4.MsgOffer, nt.Discover(mac(3)))
	l.silent(ReasonDeclineNoLease, nt.Decline(mac(3), l.r.YIAddr, l.ifAddr))
	l.silent(ReasonDeclineNoAddress, nt.Decline(mac(1), a, l.ifAddr, nt.Without(dhcp4.OptRequestedIPAddress)))
	l.now += 3601
	l.silent(ReasonDeclineNotLeased, nt.Decline(mac(1), a, l.ifAddr))
	if got := l.lease(a); got.State != lease.StateDefault {
		t.Errorf("lease is %+v", got)
	}
}

// §3.1 step 6, §4.3.4: "Upon receipt of a DHCPRELEASE message, the server marks
// the network address as not allocated. The server SHOULD retain a record of the
// client's initialization parameters for possible reuse".
func TestRFC2131_4_3_4_ReleaseKeepsTheRecordForTheClient(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	b := l.dora(mac(2))
	l.handled(nt.Release(mac(1), a, l.ifAddr))
	if got := l.lease(a); got == nil || got.State != lease.StateReleased || got.ValidLifetimeS != 0 || got.HWLen != 6 {
		t.Fatalf("after DHCPRELEASE: %+v", got)
	}
	l.silent(ReasonReleaseNotLeased, nt.Release(mac(1), a, l.ifAddr))
	if c := l.dora(mac(3)); c == a || c == b {
		t.Errorf("a free pool, and another client got %v", c)
	}
	wantAddr(t, "the client's address when it comes again", l.dora(mac(1)), a)
}

func TestRFC2131_4_3_4_OnlyTheOwnerReleases(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1), nt.WithClientID(1, 9, 9))
	l.silent(ReasonReleaseNotOwner, nt.Release(mac(2), a, l.ifAddr))
	l.silent(ReasonReleaseNotOwner, nt.Release(mac(1), a, l.ifAddr, nt.WithClientID(1, 9, 8)))
	l.silent(ReasonReleaseNoLease, nt.Release(mac(2), a+3, l.ifAddr))
	l.silent(ReasonReleaseNoLease, nt.Release(mac(2), 0, l.ifAddr))
	if got := l.lease(a); got.State != lease.StateDefault {
		t.Errorf("lease is %+v", got)
	}
	// Kea: the identifier decides, whatever the hardware address (V4-023).
	l.handled(nt.Release(mac(3), a, l.ifAddr, nt.WithClientID(1, 9, 9)))
}

// §3.2 step 2, §4.3.2: "If the DHCP server has no record of this client, then it
// MUST remain silent, and MAY output a warning".
func TestRFC2131_4_3_2_InitRebootUnknownClientIsSilent(t *testing.T) {
	l := newLab(t, simple)
	l.silent(ReasonInitRebootUnknown, nt.InitReboot(mac(1), ip("192.0.2.12")))
	l.silent(ReasonInitRebootUnknown, nt.InitReboot(mac(1), ip("10.9.9.9")))
}

// Kea departs from it with "authoritative" (V4-019).
func TestRFC2131_4_3_2_InitRebootUnknownClientAuthoritativeNaks(t *testing.T) {
	l := newLab(t, `"authoritative": true,`+simple)
	l.nak(ReasonInitRebootUnknown, nt.InitReboot(mac(1), ip("192.0.2.12")))
}

// §3.2 step 2: "If the client's request is invalid (e.g., the client has moved
// to a new subnet), servers SHOULD respond with a DHCPNAK message to the client."
// §4.3.2 INIT-REBOOT: "Server SHOULD send a DHCPNAK message to the client if the
// 'requested IP address' is incorrect".
func TestRFC2131_4_3_2_InitRebootWrongAddressIsNaked(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	l.nak(ReasonInitRebootAddress, nt.InitReboot(mac(1), a+1))
	l.nak(ReasonInitRebootAddress, nt.InitReboot(mac(1), ip("10.0.0.1")))
	l.want(dhcp4.MsgAck, nt.InitReboot(mac(1), a))
	wantAddr(t, "yiaddr", l.r.YIAddr, a)
}

// §4.3.2 INIT-REBOOT: "or is on the wrong network". A client that has a lease in
// one subnet and reboots in another is unknown there, so that without
// "authoritative" it is met with silence and starts over by itself (V4-019).
func TestRFC2131_4_3_2_InitRebootOnTheWrongNetwork(t *testing.T) {
	l := newLab(t, relayedNets)
	a := l.dora(mac(1))
	l.silent(ReasonInitRebootUnknown, nt.InitReboot(mac(1), a, nt.Relayed(relay1, l.ifAddr)))
	l.reload(`"authoritative": true,` + relayedNets)
	l.nak(ReasonInitRebootUnknown, nt.InitReboot(mac(1), a, nt.Relayed(relay1, l.ifAddr)))
}

// §4.3.2: "If giaddr is set in the DHCPREQUEST message, the client is on a
// different subnet. The server MUST set the broadcast bit in the DHCPNAK".
func TestRFC2131_4_3_2_RelayedNakHasBroadcastBit(t *testing.T) {
	l := newLab(t, relayedNets)
	a := l.dora(mac(1), nt.Relayed(relay1, l.ifAddr))
	l.nak(ReasonInitRebootAddress, nt.InitReboot(mac(1), a+1, nt.Relayed(relay1, l.ifAddr)))
	if !l.answer.Broadcast() || l.r.Dst != relay1 || l.r.DstPort != 67 {
		t.Errorf("broadcast %v to %v:%d", l.answer.Broadcast(), l.r.Dst, l.r.DstPort)
	}
}

// §4.3.1: the order in which an address is chosen: "the client's current
// address as recorded in the client's current binding, ELSE the client's
// previous address as recorded in the client's (now expired or released)
// binding, if that address is in the server's pool of available addresses and
// not already allocated, ELSE the address requested in the 'Requested IP
// Address' option, if that address is valid and not already allocated, ELSE a
// new address".
func TestRFC2131_4_3_1_ChoiceOfAddress(t *testing.T) {
	l := newLab(t, simple)
	want := ip("192.0.2.17")
	ask := nt.WithIP(dhcp4.OptRequestedIPAddress, want)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), ask))
	wantAddr(t, "the requested free address", l.r.YIAddr, want)
	a := l.dora(mac(2))
	l.want(dhcp4.MsgOffer, nt.Discover(mac(2), nt.WithIP(dhcp4.OptRequestedIPAddress, ip("192.0.2.18"))))
	wantAddr(t, "the current address before the requested one", l.r.YIAddr, a)
	l.now += 4000
	l.w.Reclaim(l.now, 0, false, nil)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(2), nt.WithIP(dhcp4.OptRequestedIPAddress, ip("192.0.2.18"))))
	wantAddr(t, "the previous address before the requested one", l.r.YIAddr, a)
	b := l.dora(mac(3))
	l.want(dhcp4.MsgOffer, nt.Discover(mac(4), nt.WithIP(dhcp4.OptRequestedIPAddress, b)))
	if l.r.YIAddr == b {
		t.Errorf("%v is leased and was offered to another", b)
	}
	l.want(dhcp4.MsgOffer, nt.Discover(mac(5), nt.WithIP(dhcp4.OptRequestedIPAddress, ip("10.1.1.1"))))
	if s := l.r.YIAddr; s < ip("192.0.2.10") || s > ip("192.0.2.19") {
		t.Errorf("offered %v", s)
	}
}

// §4.3.1: "the server SHOULD NOT ... the same address": a repeated DISCOVER gets
// the same offer.
func TestRFC2131_4_3_1_RepeatedDiscoverGetsTheSameOffer(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	a := l.r.YIAddr
	for i := range 5 {
		l.want(dhcp4.MsgOffer, nt.Discover(mac(2+i)))
		l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
		wantAddr(t, "the repeated offer", l.r.YIAddr, a)
		l.now += 4
	}
}

// §4.3.1: "the server ... an address is assigned ... on the subnet from which the
// message was received (if 'giaddr' is 0) or from the subnet of the relay agent
// that forwarded the message ('giaddr' when not 0)".
func TestRFC2131_4_3_1_SubnetOfTheRelay(t *testing.T) {
	l := newLab(t, relayedNets)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.Relayed(relay1, l.ifAddr)))
	if a := l.r.YIAddr; a>>8 != relay1>>8 {
		t.Errorf("relayed from %v, offered %v", relay1, a)
	}
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	if a := l.r.YIAddr; a>>8 != l.ifAddr>>8 {
		t.Errorf("received at %v, offered %v", l.ifAddr, a)
	}
	l.silent(ReasonNoSubnet, nt.Discover(mac(1), nt.Relayed(ip("203.0.113.1"), l.ifAddr)))
}

// §4.3.1: the lease: "IF the client has not requested a specific lease ... and
// the client does not already have an assigned network address, the server
// assigns a locally configured default lease time, ELSE the client requested
// one, regardless whether it has an address, the server may choose either to
// return the requested lease or select another".
func TestRFC2131_4_3_1_LeaseTime(t *testing.T) {
	l := newLab(t, `"min-valid-lifetime": 600, "max-valid-lifetime": 7200,`+simple)
	ask := func(s uint32) nt.Option {
		return nt.With(dhcp4.OptIPAddressLeaseTime, byte(s>>24), byte(s>>16), byte(s>>8), byte(s))
	}
	for i, c := range []struct{ asked, want uint32 }{{0, 3600}, {1000, 1000}, {10, 600}, {86400, 7200}, {lease.InfiniteLifetime, 7200}} {
		opts := []nt.Option{}
		if c.asked != 0 {
			opts = append(opts, ask(c.asked))
		}
		l.dora(mac(i), opts...)
		if got, _ := l.answer.LeaseTime(); got != c.want {
			t.Errorf("asked for %d, got %d s, want %d s", c.asked, got, c.want)
		}
	}
}

// §4.3.1 table 3: what a DHCPOFFER carries: 'ciaddr' 0, 'yiaddr' the address,
// 'xid', 'flags', 'giaddr' and 'chaddr' of the DHCPDISCOVER; lease time and
// server identifier MUST; requested address, parameter request list, client
// identifier (now RFC 6842) and maximum message size MUST NOT.
func TestRFC2131_4_3_1_Table3Offer(t *testing.T) {
	l := newLab(t, relayedNets)
	q := nt.Discover(mac(1), nt.Relayed(relay1, l.ifAddr), nt.WithBroadcast(), nt.WithXID(0xCAFE0001),
		nt.WithIP(dhcp4.OptRequestedIPAddress, ip("198.51.100.15")), nt.With(dhcp4.OptMaxMessageSize, 5, 220))
	l.want(dhcp4.MsgOffer, q)
	a := &l.answer
	wantAddr(t, "ciaddr", a.CIAddr(), 0)
	wantAddr(t, "yiaddr", a.YIAddr(), ip("198.51.100.15"))
	wantAddr(t, "giaddr", a.GIAddr(), relay1)
	if a.Op() != dhcp4.BootReply || a.XID() != 0xCAFE0001 || !a.Broadcast() || !bytes.Equal(a.CHAddr(), q.CHAddr[:6]) {
		t.Errorf("header: op %d xid %x broadcast %v chaddr %x", a.Op(), a.XID(), a.Broadcast(), a.CHAddr())
	}
	for _, code := range []uint8{dhcp4.OptIPAddressLeaseTime, dhcp4.OptServerIdentifier, dhcp4.OptMessageType} {
		if !a.Has(code) {
			t.Errorf("option %d is missing", code)
		}
	}
	for _, code := range []uint8{dhcp4.OptRequestedIPAddress, dhcp4.OptParameterRequestList, dhcp4.OptMaxMessageSize} {
		if a.Has(code) {
			t.Errorf("option %d must not be there", code)
		}
	}
}

// Table 3, DHCPACK: 'ciaddr' of the DHCPREQUEST.
func TestRFC2131_4_3_1_Table3AckRepeatsCIAddr(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	wantAddr(t, "ciaddr when SELECTING", l.answer.CIAddr(), 0)
	l.want(dhcp4.MsgAck, nt.Renew(mac(1), a, l.ifAddr))
	wantAddr(t, "ciaddr when RENEWING", l.answer.CIAddr(), a)
	wantAddr(t, "yiaddr", l.answer.YIAddr(), a)
}

// Table 3, DHCPNAK: all addresses 0 but 'giaddr', no lease time, no parameters;
// server identifier MUST. RFC 6842 adds the client identifier, RFC 3046 option
// 82, RFC 3011 option 118 (WR-05).
func TestRFC2131_4_3_1_Table3Nak(t *testing.T) {
	l := newLab(t, `"option-data": [ { "name": "dhcp-server-identifier", "data": "192.0.2.111" }, { "name": "domain-name", "data": "x" } ],`+relayedNets)
	opts := []nt.Option{nt.Relayed(relay1, l.ifAddr), nt.WithClientID(1, 7, 7), nt.WithRAI([]byte("c"), []byte("r")), nt.With(dhcp4.OptHostName, 'h')}
	a := l.dora(mac(1), opts...)
	l.nak(ReasonInitRebootAddress, nt.InitReboot(mac(1), a+1, opts...))
	v := &l.answer
	if v.CIAddr() != 0 || v.YIAddr() != 0 || v.SIAddr() != 0 || v.GIAddr() != relay1 {
		t.Errorf("addresses %v %v %v %v", v.CIAddr(), v.YIAddr(), v.SIAddr(), v.GIAddr())
	}
	var have []uint8
	for c := range 255 {
		if v.Has(uint8(c)) {
			have = append(have, uint8(c))
		}
	}
	if want := []uint8{53, 54, 61, 82}; !bytes.Equal(have, want) {
		t.Errorf("options %v, want %v", have, want)
	}
	if id, _ := v.ServerID(); id != l.ifAddr {
		t.Errorf("server identifier %v, want the local address %v", id, l.ifAddr)
	}
}

// §4.3.1: "The server MUST return to the client: ... parameters requested by the
// client", if it has them; "parameters in the 'parameter request list'"; and
// "any parameters specific to this client" (a reservation).
func TestRFC2131_4_3_1_RequestedParameters(t *testing.T) {
	l := newLab(t, `
	"valid-lifetime": 3600,
	"option-data": [ { "name": "ntp-servers", "data": "192.0.2.7" }, { "name": "log-servers", "data": "192.0.2.8" }, { "name": "domain-name", "data": "example.net" } ],
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ],
	  "reservations": [ { "hw-address": "02:c1:00:00:00:01", "option-data": [ { "name": "ntp-servers", "data": "192.0.2.77" } ] } ] } ]`)
	prl := nt.With(dhcp4.OptParameterRequestList, dhcp4.OptNTPServers, dhcp4.OptSMTPServer)
	for i, want := range map[int]string{1: "192.0.2.77", 2: "192.0.2.7"} {
		l.want(dhcp4.MsgOffer, nt.Discover(mac(i), prl))
		if got := u32(l.answer.Option(dhcp4.OptNTPServers)); got != uint32(ip(want)) {
			t.Errorf("client %d: NTP server %v, want %v", i, dhcp4.IPv4(got), want)
		}
		if l.answer.Has(dhcp4.OptLogServer) || l.answer.Has(dhcp4.OptSMTPServer) {
			t.Error("got an option nobody asked for, or nobody configured")
		}
	}
}

// §4.3.1: the subnet mask: Kea always sends that of the subnet (V4-111).
func TestRFC2131_4_3_1_SubnetMask(t *testing.T) {
	l := newLab(t, simple)
	l.dora(mac(1))
	wantAddr(t, "subnet mask", dhcp4.IPv4(u32(l.answer.Option(dhcp4.OptSubnetMask))), ip("255.255.255.0"))
}

// §4.3.2 SELECTING: "Client inserts the address of the selected server in
// 'server identifier', 'ciaddr' MUST be zero, 'requested IP address' MUST be
// filled in with the yiaddr value from the chosen DHCPOFFER".
func TestRFC2131_4_3_2_SelectingIsAcknowledged(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	a := l.r.YIAddr
	l.want(dhcp4.MsgAck, nt.Request(mac(1), a, l.ifAddr))
	wantAddr(t, "yiaddr", l.r.YIAddr, a)
	if l.q.State != StateSelecting {
		t.Errorf("state %v", l.q.State)
	}
	if got := l.lease(a); got.State != lease.StateDefault {
		t.Errorf("the offer is still %+v", got)
	}
}

func TestRFC2131_4_3_2_SelectingWrongServerIsSilent(t *testing.T) {
	l := newLab(t, simple)
	l.silent(ReasonNotForUs, nt.Request(mac(1), ip("192.0.2.10"), otherS))
	l.silent(ReasonNotForUs, nt.Request(mac(1), ip("192.0.2.10"), 0))
}

// §4.3.2: the state is read from the options (table 4, WR-03).
func TestRFC2131_4_3_2_ClientStates(t *testing.T) {
	l := newLab(t, simple)
	a := ip("192.0.2.10")
	for _, c := range []struct {
		q    *nt.Query
		want ClientState
	}{
		{nt.Request(mac(1), a, l.ifAddr), StateSelecting},
		{nt.Request(mac(1), a, l.ifAddr, nt.Without(dhcp4.OptRequestedIPAddress)), StateSelecting},
		{nt.InitReboot(mac(1), a), StateInitReboot},
		{nt.Renew(mac(1), a, l.ifAddr), StateRenewing},
		{nt.Rebind(mac(1), a), StateRebinding},
		{nt.InitReboot(mac(1), a, nt.Without(dhcp4.OptRequestedIPAddress)), StateNoAddress},
		{nt.Renew(mac(1), a, l.ifAddr, nt.WithIP(dhcp4.OptRequestedIPAddress, a)), StateInitReboot},
		{nt.Discover(mac(1)), StateNone},
	} {
		l.send(c.q)
		if l.q.State != c.want {
			t.Errorf("%v: state %v, want %v", c.q.Type, l.q.State, c.want)
		}
	}
}

// §4.3.2 RENEWING: "the server SHOULD return a DHCPACK ... trusting the client
// address in ciaddr"; the lease is extended.
func TestRFC2131_4_3_2_RenewingExtendsTheLease(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	l.now += 1800
	l.want(dhcp4.MsgAck, nt.Renew(mac(1), a, l.ifAddr))
	if got := l.lease(a); got.CLTTUnixS != l.now || got.ExpiresUnixS() != l.now+3600 {
		t.Errorf("lease %+v at %d", got, l.now)
	}
	if l.r.Dst != a || l.r.DstPort != 68 || l.r.L2 != L2Source {
		t.Errorf("goes to %v:%d %v, want unicast to ciaddr", l.r.Dst, l.r.DstPort, l.r.L2)
	}
}

func TestRFC2131_4_3_2_RebindingExtendsTheLease(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	l.now += 3200
	l.want(dhcp4.MsgAck, nt.Rebind(mac(1), a))
	if got := l.lease(a); got.CLTTUnixS != l.now {
		t.Errorf("lease %+v at %d", got, l.now)
	}
}

// §4.3.2 REBINDING: "The DHCP server SHOULD check 'ciaddr' for correctness
// before replying to the DHCPREQUEST."
func TestRFC2131_4_3_2_RebindingChecksCIAddr(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	l.nak(ReasonAddressInUse, nt.Rebind(mac(2), a))
	l.silent(ReasonUnknownAddress, nt.Rebind(mac(2), ip("192.0.2.200")))
	l.silent(ReasonUnknownAddress, nt.Rebind(mac(2), ip("10.0.0.1")))
}

// §4.3.5: "The server MUST NOT send a lease expiration time to the client and
// SHOULD NOT fill in 'yiaddr'"; it replies directly to ciaddr.
func TestRFC2131_4_3_5_Inform(t *testing.T) {
	l := newLab(t, `"option-data": [ { "name": "domain-name", "data": "example.net" } ],`+simple)
	q := nt.Inform(mac(1), ip("192.0.2.77"), nt.With(dhcp4.OptParameterRequestList, 51, 58, 59, 15))
	l.want(dhcp4.MsgAck, q)
	a := &l.answer
	wantAddr(t, "yiaddr", a.YIAddr(), 0)
	wantAddr(t, "ciaddr", a.CIAddr(), ip("192.0.2.77"))
	wantAddr(t, "destination", l.r.Dst, ip("192.0.2.77"))
	for _, code := range []uint8{51, 58, 59} {
		if a.Has(code) {
			t.Errorf("option %d in the answer to a DHCPINFORM", code)
		}
	}
	if string(a.Option(15)) != "example.net" {
		t.Errorf("domain name %q", a.Option(15))
	}
	if l.table.Len() != 0 {
		t.Error("a DHCPINFORM made a lease")
	}
}

// §4.1: "Any server that receives a DHCPINFORM or other message through a relay
// ('giaddr' non-zero) sends any return messages to the 'DHCP server' port on the
// BOOTP relay agent whose address appears in 'giaddr'."
func TestRFC2131_4_1_RepliesThroughTheRelay(t *testing.T) {
	l := newLab(t, relayedNets)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.Relayed(relay1, l.ifAddr)))
	if l.r.Dst != relay1 || l.r.DstPort != 67 || l.r.L2 != L2Source {
		t.Errorf("goes to %v:%d %v", l.r.Dst, l.r.DstPort, l.r.L2)
	}
	if l.answer.Hops() != 1 || l.answer.GIAddr() != relay1 {
		t.Errorf("hops %d giaddr %v", l.answer.Hops(), l.answer.GIAddr())
	}
}

// §4.1: "If the 'giaddr' field is zero and the 'ciaddr' field is nonzero, then
// the server unicasts DHCPOFFER and DHCPACK messages to the address in 'ciaddr'.
// If 'giaddr' is zero and 'ciaddr' is zero, and the broadcast bit is set, then
// the server broadcasts ... If the broadcast bit is not set and 'giaddr' is zero
// and 'ciaddr' is zero, then the server unicasts DHCPOFFER and DHCPACK messages
// to the client's hardware address and 'yiaddr' address."
func TestRFC2131_4_1_DirectReplies(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	if l.r.Dst != l.r.YIAddr || l.r.L2 != L2CHAddr || l.r.DstPort != 68 {
		t.Errorf("no broadcast bit: goes to %v:%d %v", l.r.Dst, l.r.DstPort, l.r.L2)
	}
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.WithBroadcast()))
	if l.r.Dst != dhcp4.Broadcast || l.r.L2 != L2Broadcast || l.r.DstPort != 68 {
		t.Errorf("broadcast bit: goes to %v:%d %v", l.r.Dst, l.r.DstPort, l.r.L2)
	}
	a := l.dora(mac(1))
	l.want(dhcp4.MsgAck, nt.Rebind(mac(1), a))
	if l.r.Dst != a || l.r.DstPort != 68 {
		t.Errorf("ciaddr: goes to %v:%d %v", l.r.Dst, l.r.DstPort, l.r.L2)
	}
	// Other IEEE 802 networks have the same addresses; others do not.
	for htype, l2 := range map[uint8]L2Dest{dhcp4.HTypeIEEE802: L2CHAddr, 7: L2Broadcast} {
		l.want(dhcp4.MsgOffer, nt.Discover(mac(2), func(q *nt.Query) { q.HType = htype }))
		if l.r.L2 != l2 || l2 == L2CHAddr && l.r.Dst != l.r.YIAddr {
			t.Errorf("htype %d: goes to %v %v", htype, l.r.Dst, l.r.L2)
		}
	}
	// A chaddr no frame can be sent to one station with.
	l.want(dhcp4.MsgOffer, nt.Discover(nt.MAC{}, nt.WithClientID(1, 2, 3)))
	if l.r.Dst != dhcp4.Broadcast || l.r.L2 != L2Broadcast {
		t.Errorf("zero chaddr: goes to %v %v", l.r.Dst, l.r.L2)
	}
	for _, m := range []nt.MAC{{}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		if l.want(dhcp4.MsgOffer, nt.Discover(m)); l.r.L2 != L2Broadcast {
			t.Errorf("chaddr %x: goes to %v %v", m, l.r.Dst, l.r.L2)
		}
	}
	l.want(dhcp4.MsgOffer, nt.Discover(nt.MAC{3, 0, 0, 0, 0, 1}))
	if l.r.L2 != L2Broadcast {
		t.Errorf("group chaddr: goes to %v %v", l.r.Dst, l.r.L2)
	}
}

// §4.1: "In all cases, when 'giaddr' is zero, the server broadcasts any DHCPNAK
// messages to 0xffffffff." Kea sends to ciaddr where there is one (V4-022).
func TestRFC2131_4_1_DirectNak(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1))
	l.nak(ReasonAddressInUse, nt.Request(mac(2), a, l.ifAddr))
	if l.r.Dst != dhcp4.Broadcast || l.r.L2 != L2Broadcast {
		t.Errorf("goes to %v %v", l.r.Dst, l.r.L2)
	}
	l.nak(ReasonAddressInUse, nt.Renew(mac(2), a, l.ifAddr))
	if l.r.Dst != a || l.r.L2 != L2Source {
		t.Errorf("goes to %v %v", l.r.Dst, l.r.L2)
	}
}

// §4.1: "A server with multiple network addresses MUST be prepared to accept any
// of its network addresses as identifying that server in a DHCP message."
func TestRFC2131_4_1_AnyOwnAddressIsOurIdentifier(t *testing.T) {
	l := newLab(t, simple)
	l.local = []dhcp4.IPv4{l.ifAddr, ip("198.51.100.1"), ip("203.0.113.1")}
	for i, id := range l.local {
		l.want(dhcp4.MsgAck, nt.Request(mac(i), ip("192.0.2.10")+dhcp4.IPv4(i), id))
	}
}

// §4.1: "the server MUST choose an address as the 'server identifier' that, to
// the best of the server's knowledge, is reachable from the client."
func TestRFC2131_4_1_ServerIdentifierIsReachable(t *testing.T) {
	l := newLab(t, relayedNets)
	other := ip("198.51.100.2")
	l.local = []dhcp4.IPv4{l.ifAddr, other}
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1)))
	wantAddr(t, "identifier for a broadcast", l.r.ServerID, l.ifAddr)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.Relayed(relay1, other)))
	wantAddr(t, "identifier for a relay that sent to it", l.r.ServerID, other)
	id, _ := l.answer.ServerID()
	wantAddr(t, "option 54", id, other)
}

// §2, RFC 2132 §9.10: no message is longer than the client takes.
func TestRFC2131_2_MaximumMessageSize(t *testing.T) {
	l := newLab(t, simple)
	for _, c := range []struct {
		asked uint16
		want  int
	}{{0, 1472}, {100, 576}, {1000, 1000}, {1472, 1472}, {65535, 1472}} {
		opts := []nt.Option{}
		if c.asked != 0 {
			opts = append(opts, nt.With(dhcp4.OptMaxMessageSize, byte(c.asked>>8), byte(c.asked)))
		}
		l.want(dhcp4.MsgOffer, nt.Discover(mac(1), opts...))
		if l.r.MaxLen != c.want {
			t.Errorf("option 57 %d: MaxLen %d, want %d", c.asked, l.r.MaxLen, c.want)
		}
	}
	// The relay's option is not the client's burden.
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.With(dhcp4.OptMaxMessageSize, 2, 64), nt.WithRAI([]byte("port1"), nil)))
	if l.r.MaxLen != 576+2+7 {
		t.Errorf("with 7 octets of option 82: MaxLen %d, want 585", l.r.MaxLen)
	}
}

// §4.2: "A DHCP server needs to use some unique identifier to associate a client
// with its lease. ... If the client supplies a 'client identifier', the client
// MUST use the same 'client identifier' in all subsequent messages, and the
// server MUST use that identifier to identify the client. If the client does not
// provide a 'client identifier' option, the server MUST use the contents of the
// 'chaddr' field".
func TestRFC2131_4_2_ClientIdentifierIsTheIdentity(t *testing.T) {
	l := newLab(t, simple)
	a := l.dora(mac(1), nt.WithClientID(0, 'a'))
	b := l.dora(mac(1), nt.WithClientID(0, 'b'))
	if a == b {
		t.Errorf("two client identifiers got %v", a)
	}
	wantAddr(t, "the same identifier at another card", l.dora(mac(2), nt.WithClientID(0, 'a')), a)
	l.nak(ReasonAddressInUse, nt.Renew(mac(1), b, l.ifAddr, nt.WithClientID(0, 'c')))
	c := l.dora(mac(3))
	wantAddr(t, "chaddr alone", l.dora(mac(3)), c)
}

// match-client-id false: chaddr decides (V4-068).
func TestRFC2131_4_2_WithoutMatchClientID(t *testing.T) {
	l := newLab(t, `"match-client-id": false,`+simple)
	a := l.dora(mac(1), nt.WithClientID(0, 'a'))
	wantAddr(t, "another identifier at the same card", l.dora(mac(1), nt.WithClientID(0, 'b')), a)
	if b := l.dora(mac(2), nt.WithClientID(0, 'a')); b == a {
		t.Error("two cards got one address")
	}
	if got := l.lease(a); got.ClientIDLen != 0 {
		t.Errorf("the lease keeps the identifier %x", got.CID())
	}
}

// §3.3: infinite leases do not expire.
func TestRFC2131_3_3_InfiniteLease(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 4294967295,
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.10" } ] } ]`)
	a := l.dora(mac(1))
	if s, _ := l.answer.LeaseTime(); s != lease.InfiniteLifetime {
		t.Errorf("lease time %d", s)
	}
	l.now += 1 << 33
	l.w.Reclaim(l.now, 0, false, nil)
	l.silent(ReasonPoolExhausted, nt.Discover(mac(2)))
	l.want(dhcp4.MsgAck, nt.InitReboot(mac(1), a))
}

// §4.4.5: T1 and T2: "T1 MUST be earlier than T2, which, in turn, MUST be
// earlier than the time at which the client's lease will expire" (V4-076).
func TestRFC2131_4_4_5_Timers(t *testing.T) {
	for _, c := range []struct {
		name, conf string
		t1, t2     uint32
	}{
		{"none", `"calculate-tee-times": false`, 0, 0},
		{"configured", `"renew-timer": 1000, "rebind-timer": 2000`, 1000, 2000},
		{"calculated", `"calculate-tee-times": true`, 1800, 3150},
		{"configured before calculated", `"calculate-tee-times": true, "renew-timer": 1000`, 1000, 3150},
		{"T2 not before the end", `"renew-timer": 1000, "rebind-timer": 3600`, 1000, 0},
		{"T1 not before T2", `"renew-timer": 2000, "rebind-timer": 2000`, 0, 2000},
		{"T1 not before the end", `"renew-timer": 3600`, 0, 0},
	} {
		l := newLab(t, c.conf+","+simple)
		l.dora(mac(1))
		t1, t2 := u32(l.answer.Option(dhcp4.OptRenewalTime)), u32(l.answer.Option(dhcp4.OptRebindingTime))
		if t1 != c.t1 || t2 != c.t2 {
			t.Errorf("%s: T1 %d T2 %d, want %d and %d", c.name, t1, t2, c.t1, c.t2)
		}
	}
}

// §4.3.6 and table 4 ask nothing more of the server. RFC 3046 §2.2: "the server
// ... MUST copy the ... option in its entirety".
func TestRFC3046_2_2_RelayAgentInformationIsEchoed(t *testing.T) {
	l := newLab(t, relayedNets)
	rai := []byte{1, 3, 'a', 'b', 'c', 2, 2, 'x', 'y', 77, 1, 0}
	opts := []nt.Option{nt.Relayed(relay1, l.ifAddr), nt.With(82, rai...)}
	l.dora(mac(1), opts...)
	if !bytes.Equal(l.answer.Option(82), rai) {
		t.Errorf("option 82 is %x, want %x", l.answer.Option(82), rai)
	}
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.Relayed(relay1, l.ifAddr), nt.With(82)))
	if l.answer.Has(82) {
		t.Error("an empty option 82 is echoed")
	}
}

// RFC 8357 §5.1.
func TestRFC8357_5_1_RelayPort(t *testing.T) {
	l := newLab(t, relayedNets)
	q := nt.Discover(mac(1), nt.Relayed(relay1, l.ifAddr), nt.With(82, 19, 2, 0x13, 0x88))
	q.Out.SrcPort = 5000
	l.want(dhcp4.MsgOffer, q)
	if l.r.DstPort != 5000 {
		t.Errorf("goes to port %d", l.r.DstPort)
	}
	q = nt.Discover(mac(1), nt.Relayed(relay1, l.ifAddr), nt.With(82, 1, 1, 'a'))
	q.Out.SrcPort = 5000
	l.want(dhcp4.MsgOffer, q)
	if l.r.DstPort != 67 {
		t.Errorf("without the sub-option: goes to port %d", l.r.DstPort)
	}
}

// RFC 6842 §3: the client identifier is returned; echo-client-id turns it off.
func TestRFC6842_3_ClientIdentifierIsEchoed(t *testing.T) {
	l := newLab(t, simple)
	l.dora(mac(1), nt.WithClientID(1, 2, 3))
	if !bytes.Equal(l.answer.ClientID(), []byte{1, 2, 3}) {
		t.Errorf("option 61 is %x", l.answer.ClientID())
	}
	l.reload(`"echo-client-id": false,` + simple)
	l.dora(mac(1), nt.WithClientID(1, 2, 3))
	if l.answer.Has(61) {
		t.Error("echoed with echo-client-id false")
	}
}

// RFC 3011: the subnet selection option selects and is returned; RFC 3527: the
// relay's sub-option comes before it.
func TestRFC3011_SubnetSelection(t *testing.T) {
	l := newLab(t, relayedNets)
	sel := ip("198.51.100.0")
	b := sel.As4()
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.With(118, b[:]...)))
	if l.r.YIAddr>>8 != sel>>8 || !bytes.Equal(l.answer.Option(118), b[:]) {
		t.Errorf("offered %v, option 118 is %x", l.r.YIAddr, l.answer.Option(118))
	}
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.With(118, b[:]...), nt.Relayed(relay1, l.ifAddr), nt.With(82, 5, 4, 192, 0, 2, 0)))
	if l.r.YIAddr>>8 != l.ifAddr>>8 {
		t.Errorf("link selection ignored: offered %v", l.r.YIAddr)
	}
}

// RFC 5107 §4: what the relay overrides the identifier with is ours.
func TestRFC5107_4_ServerIdentifierOverride(t *testing.T) {
	l := newLab(t, relayedNets)
	l.want(dhcp4.MsgAck, nt.Request(mac(1), ip("198.51.100.12"), otherS, nt.Relayed(relay1, l.ifAddr),
		nt.With(82, append([]byte{11, 4}, 203, 0, 113, 77)...)))
	l.silent(ReasonNotForUs, nt.Request(mac(1), ip("198.51.100.12"), otherS, nt.Relayed(relay1, l.ifAddr),
		nt.With(82, append([]byte{11, 4}, 203, 0, 113, 78)...)))
}

// RFC 8925 §3.3: an IPv6-only client gets no address (V4-078).
func TestRFC8925_3_3_IPv6OnlyPreferred(t *testing.T) {
	l := newLab(t, `
	"valid-lifetime": 3600,
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.19" } ],
	  "option-data": [ { "name": "v6-only-preferred", "data": "1800" } ] } ]`)
	prl := nt.With(dhcp4.OptParameterRequestList, 1, 3, 108)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), prl))
	if l.r.YIAddr != 0 || u32(l.answer.Option(108)) != 1800 || l.answer.Has(51) || l.r.Dst != dhcp4.Broadcast {
		t.Errorf("yiaddr %v, option 108 %x, to %v", l.r.YIAddr, l.answer.Option(108), l.r.Dst)
	}
	if l.table.Len() != 0 {
		t.Error("an address is kept for an IPv6-only client")
	}
	l.dora(mac(2))
}
