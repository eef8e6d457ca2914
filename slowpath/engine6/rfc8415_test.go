package engine6

import (
	"bytes"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// Tests of what RFC 8415 asks of servers, by section. testdata/rfc8415.txt lists
// every MUST and SHOULD with the tests that hold us to it, and where we depart
// from it, as Kea does; RFC 9915 has made some of that the rule.

const (
	stSuccess    = int(dhcp6.StatusSuccess)
	stNoAddrs    = int(dhcp6.StatusNoAddrsAvail)
	stNoBinding  = int(dhcp6.StatusNoBinding)
	stNotOnLink  = int(dhcp6.StatusNotOnLink)
	stNoPrefix   = int(dhcp6.StatusNoPrefixAvail)
	stNone       = -1
	withOptions  = `, "option-data": [ { "name": "dns-servers", "data": "2001:db8::53" }, { "name": "preference", "data": "255" } ]`
	rapidCommit  = `"valid-lifetime": 4000, "subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0", "rapid-commit": true, "pools": [ { "pool": "2001:db8:1::10 - 2001:db8:1::1f" } ] } ]`
	noPools      = `"subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0" } ]`
	clientIDCode = dhcp6.OptClientID
)

// §11.1: a DUID has a type of two octets and at most 128 octets more.
func TestRFC8415_11_1_DUIDLength(t *testing.T) {
	l := newLab(t, simple)
	for _, c := range []struct {
		n    int
		want Reason
	}{{0, ReasonDUIDLength}, {2, ReasonDUIDLength}, {3, ReasonOK}, {130, ReasonOK}, {131, ReasonDUIDLength}, {1000, ReasonDUIDLength}} {
		duid := bytes.Repeat([]byte{7}, c.n)
		if got := l.send(bare(dhcp6.MsgSolicit, with(clientIDCode, duid), na(1))); got != c.want {
			t.Errorf("DUID of %d octets: %v, want %v", c.n, got, c.want)
		}
	}
	// Kea marks declined leases with 00:00:00, so nobody may come as that.
	l.silent(ReasonDUIDEmpty, bare(dhcp6.MsgSolicit, with(clientIDCode, []byte{0, 0, 0}), na(1)))
}

// §16.2: a SOLICIT must have a Client Identifier and no Server Identifier.
func TestRFC8415_16_2_Solicit(t *testing.T) { checkIdentities(t, dhcp6.MsgSolicit, true, false) }

// §16.3, §16.10: servers must discard ADVERTISE and REPLY; §16.11 RECONFIGURE.
func TestRFC8415_16_3_ServerMessages(t *testing.T) {
	l := newLab(t, simple)
	for _, m := range []dhcp6.MsgType{dhcp6.MsgAdvertise, dhcp6.MsgReply, dhcp6.MsgReconfigure} {
		l.silent(ReasonServerMessage, ask(m, 1, na(1)))
	}
	for _, m := range []dhcp6.MsgType{0, 14, 22, 200, 255} {
		l.silent(ReasonMessageType, ask(m, 1))
	}
	l.silent(ReasonDHCPv4Query, ask(dhcp6.MsgDHCPv4Query, 1))
}

// §16.4: a REQUEST must have both identifiers, the server's own.
func TestRFC8415_16_4_Request(t *testing.T) { checkIdentities(t, dhcp6.MsgRequest, true, true) }

// §16.5: a CONFIRM must have a Client Identifier and no Server Identifier.
func TestRFC8415_16_5_Confirm(t *testing.T) { checkIdentities(t, dhcp6.MsgConfirm, true, false) }

// §16.6: a RENEW must have both.
func TestRFC8415_16_6_Renew(t *testing.T) { checkIdentities(t, dhcp6.MsgRenew, true, true) }

// §16.7: a REBIND must have no Server Identifier.
func TestRFC8415_16_7_Rebind(t *testing.T) { checkIdentities(t, dhcp6.MsgRebind, true, false) }

// §16.8: a DECLINE must have both.
func TestRFC8415_16_8_Decline(t *testing.T) { checkIdentities(t, dhcp6.MsgDecline, true, true) }

// §16.9: a RELEASE must have both.
func TestRFC8415_16_9_Release(t *testing.T) { checkIdentities(t, dhcp6.MsgRelease, true, true) }

func checkIdentities(t *testing.T, m dhcp6.MsgType, client, server bool) {
	t.Helper()
	l := newLab(t, simple)
	a := na(1, "2001:db8:1::10")
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, a))
	id, sid := with(clientIDCode, duidOf(1)), with(dhcp6.OptServerID, serverID)
	good := bare(m, id, a)
	if server {
		good = bare(m, id, sid, a)
	}
	if r := l.send(good); r != ReasonOK {
		t.Errorf("with what it needs: %v", r)
	}
	if server {
		l.silent(ReasonNoServerID, bare(m, id, a))
		l.silent(ReasonServerIDs, bare(m, id, sid, sid, a))
	} else {
		l.silent(ReasonServerIDUnwanted, bare(m, id, sid, a))
	}
	l.silent(ReasonNotForUs, bare(m, id, with(dhcp6.OptServerID, []byte{0, 3, 0, 1, 9}), a))
	l.silent(ReasonNotForUs, bare(m, id, with(dhcp6.OptServerID), a))
	if client && server {
		l.silent(ReasonNoClientID, bare(m, sid, a))
		l.silent(ReasonClientIDs, bare(m, id, id, sid, a))
	} else {
		l.silent(ReasonNoClientID, bare(m, a))
		l.silent(ReasonClientIDs, bare(m, id, id, a))
	}
}

// §16.12: an INFORMATION-REQUEST is discarded if its Server Identifier is of
// another server. (That it must have no IA is not enforced by Kea: they are not
// answered.)
func TestRFC8415_16_12_InformationRequest(t *testing.T) {
	l := newLab(t, simple+withOptions)
	l.want(dhcp6.MsgReply, bare(dhcp6.MsgInformationRequest, oro(23)))
	if l.answer.Has(clientIDCode) || !bytes.Equal(l.answer.ServerID(), serverID) || !l.answer.Has(dhcp6.OptDNSServers) {
		t.Error("not what an anonymous client gets")
	}
	l.want(dhcp6.MsgReply, bare(dhcp6.MsgInformationRequest, with(dhcp6.OptServerID, serverID), na(1)))
	if l.answer.IAs() != 0 {
		t.Error("an IA in the answer")
	}
	l.silent(ReasonNotForUs, bare(dhcp6.MsgInformationRequest, with(dhcp6.OptServerID, duidOf(9))))
	l.silent(ReasonClientIDs, bare(dhcp6.MsgInformationRequest, with(clientIDCode, duidOf(1)), with(clientIDCode, duidOf(1))))
}

// §16.1 with RFC 9915: messages of clients are multicast; what is unicast and
// not relayed is discarded.
func TestRFC8415_16_Unicast(t *testing.T) {
	l := newLab(t, simple)
	for _, m := range []dhcp6.MsgType{dhcp6.MsgSolicit, dhcp6.MsgRequest, dhcp6.MsgRenew, dhcp6.MsgInformationRequest} {
		l.silent(ReasonUnicast, ask(m, 1, to("2001:db8:1::1")))
	}
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, to("ff05::1:3")))
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, relayed("2001:db8:1::1"), to("2001:db8:1::1")))
}

// §18.3.1: a SOLICIT with rapid commit is answered with a REPLY if the server
// does that, and leases are committed; otherwise the option is ignored.
func TestRFC8415_18_3_1_RapidCommit(t *testing.T) {
	l := newLab(t, rapidCommit)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgSolicit, 1, na(1), with(dhcp6.OptRapidCommit)))
	if !l.answer.Has(dhcp6.OptRapidCommit) {
		t.Error("§21.14: the REPLY must have a Rapid Commit option")
	}
	if x := l.lease(l.addr(0)); x == nil || x.State != lease.StateDefault || l.r.CommitPos == 0 {
		t.Error("nothing was committed")
	}
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 2, na(1)))
	l = newLab(t, simple)
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(1), with(dhcp6.OptRapidCommit)))
	if l.answer.Has(dhcp6.OptRapidCommit) || l.r.CommitPos != 0 {
		t.Error("rapid commit without being told to")
	}
}

// §18.3.9: an ADVERTISE has the transaction id of the SOLICIT, both
// identifiers, and the options that the client asks for.
func TestRFC8415_18_3_9_Advertise(t *testing.T) {
	l := newLab(t, simple+withOptions)
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(5), pd(6), oro(23, 7)))
	v := &l.answer
	if v.XID() != 7 || !bytes.Equal(v.ClientID(), duidOf(1)) || !bytes.Equal(v.ServerID(), serverID) ||
		!v.Has(dhcp6.OptDNSServers) || !bytes.Equal(v.Option(dhcp6.OptPreference), []byte{255}) {
		t.Errorf("\n%s", dhcp6.AppendText(nil, l.out))
	}
	if l.ia(0).IAID != 5 || l.ia(1).IAID != 6 {
		t.Error("IAIDs")
	}
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(5)))
	if l.answer.Has(dhcp6.OptDNSServers) {
		t.Error("§21.7: an option nobody asked for")
	}
}

// §18.3.9: an IA without address has NoAddrsAvail, one without prefix
// NoPrefixAvail, and the ADVERTISE is sent all the same.
func TestRFC8415_18_3_9_NothingAvailable(t *testing.T) {
	l := newLab(t, noPools)
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(5), pd(6)))
	if l.ia(0).status != stNoAddrs || l.ia(1).status != stNoPrefix || l.status() != stNone {
		t.Errorf("\n%s", dhcp6.AppendText(nil, l.out))
	}
	if f := l.r.Failures(); len(f) != 2 || f[0].Reason.KeaAllocStat() != "v6-allocation-fail-no-pools" || f[0].SubnetID != 1 {
		t.Errorf("%+v", f)
	}
}

// §18.3.2: a REQUEST is answered with a REPLY; leases are committed; IAs that
// get nothing have a status.
func TestRFC8415_18_3_2_Request(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1, "2001:db8:1::42"), na(2, "2001:db8:9::1"), pd(3, "2001:db8:8001::/56")))
	if l.addr(0) != "2001:db8:1::42" {
		t.Errorf("got %s, asked for a free one", l.addr(0))
	}
	// One that is not on the link: Kea gives another instead of NotOnLink.
	if l.addr(1) == "2001:db8:9::1" || l.ia(1).status != stNone {
		t.Error("IA 2")
	}
	if l.addr(2) != "2001:db8:8001::/56" {
		t.Errorf("got %s", l.addr(2))
	}
	for _, a := range []string{l.addr(0), l.addr(1)} {
		if x, ok := l.j.State[l.lease(a).Addr]; !ok || x.State != lease.StateDefault {
			t.Errorf("%s is not in the journal", a)
		}
	}
	if l.r.CommitPos != l.j.Pos || l.j.Pos != 3 {
		t.Errorf("waits for %d, the journal is at %d", l.r.CommitPos, l.j.Pos)
	}
}

// §18.3.2: an address of another client's is not given.
func TestRFC8415_18_3_2_InUse(t *testing.T) {
	l := newLab(t, simple)
	a := l.sarr(1)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 2, na(1, a)))
	if l.addr(0) == a {
		t.Fatalf("%s has two owners", a)
	}
	// Another IA of the same client is another binding.
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(2, a)))
	if l.addr(0) == a {
		t.Fatalf("%s is in two IAs", a)
	}
}

// §18.3.3: all addresses on link: Success; any not: NotOnLink; none named: no
// answer. Prefixes do not count.
func TestRFC8415_18_3_3_Confirm(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgConfirm, 1, na(1, "2001:db8:1::1", "2001:db8:1::2")))
	if l.status() != stSuccess || l.answer.IAs() != 0 {
		t.Errorf("status %d", l.status())
	}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgConfirm, 1, na(1, "2001:db8:1::1", "2001:db8:2::2")))
	if l.status() != stNotOnLink {
		t.Errorf("status %d", l.status())
	}
	l.silent(ReasonConfirmNoAddress, ask(dhcp6.MsgConfirm, 1, na(1)))
	l.silent(ReasonConfirmNoAddress, ask(dhcp6.MsgConfirm, 1, pd(1, "2001:db8:8000::/56")))
	// From a link that nobody has configured: Kea says NotOnLink instead of
	// nothing.
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgConfirm, 1, na(1, "2001:db8:1::1"), relayed("2001:db8:99::1")))
	if l.status() != stNotOnLink {
		t.Errorf("unknown link: status %d", l.status())
	}
}

// §18.3.4, §18.3.5: RENEW and REBIND extend leases with T1, T2 and lifetimes.
func TestRFC8415_18_3_4_Renew(t *testing.T) {
	for _, m := range []dhcp6.MsgType{dhcp6.MsgRenew, dhcp6.MsgRebind} {
		l := newLab(t, simple)
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1), pd(2)))
		a, p := l.addr(0), l.addr(1)
		l.now += 2500
		l.want(dhcp6.MsgReply, ask(m, 1, na(1, a), pd(2, p)))
		if l.addr(0) != a || l.addr(1) != p {
			t.Fatalf("%v: the lease changed", m)
		}
		for i := range 2 {
			g := l.ia(i)
			if g.res[0].ValidS != 4000 || g.res[0].PreferredS != 3000 || g.T1S != 1500 || g.T2S != 2400 || g.status != stNone {
				t.Errorf("%v: %+v", m, g)
			}
		}
		if x := l.lease(a); x.CLTTUnixS != l.now || l.r.CommitPos == 0 {
			t.Errorf("%v: not stored", m)
		}
	}
}

// §18.3.4: addresses that are not appropriate are returned with lifetimes of 0,
// and so are those that the IA has no lease of.
func TestRFC8415_18_3_4_LifetimesOfZero(t *testing.T) {
	l := newLab(t, simple)
	a := l.sarr(1)
	l.now += 2500
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, na(1, "2001:db8:1::99", a, "2001:db8:7::1", "2001:db8:7::1")))
	g := l.ia(0)
	if len(g.res) != 3 || g.res[0].ValidS == 0 || g.res[1].ValidS+g.res[2].ValidS+g.res[1].PreferredS+g.res[2].PreferredS != 0 {
		t.Errorf("%+v", g.res)
	}
}

// §18.3.4: of an IA that the server has no binding of, it may make one; Kea
// does.
func TestRFC8415_18_3_4_NoBinding(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, na(1, "2001:db8:1::55"), pd(1, "::/0")))
	if l.addr(0) != "2001:db8:1::55" || l.addr(1) == "" {
		t.Errorf("got %s", l.addr(0))
	}
	// And if it cannot: NoAddrsAvail, what was named is gone.
	l = newLab(t, noPools)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, na(1, "2001:db8:1::55"), pd(2, "2001:db8:8000::/56")))
	g, p := l.ia(0), l.ia(1)
	if g.status != stNoAddrs || len(g.res) != 1 || g.res[0].ValidS != 0 || p.status != stNoPrefix || len(p.res) != 1 || p.res[0].ValidS != 0 {
		t.Errorf("%+v %+v", g, p)
	}
}

// §18.3.5: a REBIND for prefixes from a link of which the server knows nothing
// is discarded: another server may have delegated them. A RENEW came for us.
func TestRFC8415_18_3_5_UnknownLink(t *testing.T) {
	l := newLab(t, simple)
	far := relayed("2001:db8:99::1")
	l.silent(ReasonNoSubnet, ask(dhcp6.MsgRebind, 1, pd(1, "2001:db8:8000::/56"), far))
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, pd(1, "2001:db8:8000::/56"), na(2, "2001:db8:1::1"), far))
	if l.ia(0).status != stNoBinding || l.ia(1).status != stNoBinding {
		t.Error("status")
	}
}

// §18.3.7: what is released is no longer the client's; each IA has a status, and
// so has the message.
func TestRFC8415_18_3_7_Release(t *testing.T) {
	for _, hold := range []string{"0", "3600"} {
		l := newLab(t, simple+`, "expired-leases-processing": { "hold-reclaimed-time": `+hold+` }`)
		a := l.sarr(1)
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRelease, 2, na(1, a)))
		if l.ia(0).status != stNoBinding || l.status() != stNoBinding || l.lease(a).State != lease.StateDefault {
			t.Fatal("released by another client")
		}
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRelease, 1, na(2, a)))
		if l.ia(0).status != stNoBinding || l.lease(a).State != lease.StateDefault {
			t.Fatal("released by another IA")
		}
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRelease, 1, na(1, a)))
		if l.ia(0).status != stSuccess || l.status() != stSuccess || len(l.ia(0).res) != 0 || l.r.CommitPos == 0 {
			t.Errorf("\n%s", dhcp6.AppendText(nil, l.out))
		}
		if x := l.lease(a); hold == "0" && x != nil || hold != "0" && (x == nil || x.State != lease.StateReleased || x.ValidLifetimeS != 0) {
			t.Errorf("hold %s: %+v", hold, x)
		}
		if len(l.r.Deleted) != 1 || l.r.Deleted[0].State != lease.StateDefault {
			t.Error("the released lease is not told")
		}
	}
}

// §18.3.8: a declined address is given to nobody for the probation period.
func TestRFC8415_18_3_8_Decline(t *testing.T) {
	l := newLab(t, `"decline-probation-period": 300, "valid-lifetime": 4000, "subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0", "pools": [ { "pool": "2001:db8:1::10 - 2001:db8:1::10" } ] } ]`)
	a := l.sarr(1)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgDecline, 2, na(1, a)))
	if l.ia(0).status != stNoBinding || l.lease(a).State != lease.StateDefault {
		t.Fatal("declined by another client")
	}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgDecline, 1, na(1, a, "2001:db8:1::77")))
	if l.ia(0).status != stNoBinding {
		t.Error("one of two is not the client's, the IA says Success")
	}
	if x := l.lease(a); x.State != lease.StateDeclined || x.DUIDLen != 0 || x.ValidLifetimeS != 300 {
		t.Fatalf("%+v", x)
	}
	for range 3 {
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1, a)))
		if l.ia(0).status != stNoAddrs {
			t.Fatal("a declined address is given out")
		}
		l.now += 100
	}
	l.now++
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 2, na(1, a)))
	if l.addr(0) != a {
		t.Error("the probation has ended")
	}
	// Prefixes cannot be declined.
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgDecline, 1, pd(1, "2001:db8:8000::/56")))
	if l.answer.IAs() != 0 {
		t.Error("an IA_PD is answered")
	}
}

// §18.3.10: replies go back to whom the query came from; directly to port 546.
func TestRFC8415_18_3_10_Destination(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(1), from("fe80::abcd")))
	if l.r.Dst != ip("fe80::abcd") || l.r.DstPort != 546 {
		t.Errorf("%v %d", l.r.Dst, l.r.DstPort)
	}
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(1), relayed("2001:db8:1::1")))
	if l.r.Dst != ip("2001:db8:ffff::1") || l.r.DstPort != 547 {
		t.Errorf("%v %d", l.r.Dst, l.r.DstPort)
	}
}

// §19.3: the server's answer to a relay mirrors the way; interface-id is copied.
func TestRFC8415_19_3_RelayRepl(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(1), relayed("2001:db8:1::1", opt(dhcp6.OptInterfaceID, []byte("x"))), relayed("::")))
	b := l.out
	if b[0] != byte(dhcp6.MsgRelayRepl) || b[1] != 1 || dhcp6.Options(b[34:]).Find(dhcp6.OptInterfaceID) != nil {
		t.Fatalf("\n%s", dhcp6.AppendText(nil, b))
	}
	b = dhcp6.Options(b[34:]).Find(dhcp6.OptRelayMsg)
	if b[0] != byte(dhcp6.MsgRelayRepl) || b[1] != 0 || string(dhcp6.Options(b[34:]).Find(dhcp6.OptInterfaceID)) != "x" ||
		dhcp6.AddrFromSlice(b[2:]) != ip("2001:db8:1::1") || dhcp6.AddrFromSlice(b[18:]) != ip("fe80::99") {
		t.Fatalf("\n%s", dhcp6.AppendText(nil, b))
	}
}

// §21.4: T1 is not later than T2; where the configuration says otherwise T1 is
// left to the client (0). §14.2: by default 0.5 and 0.8 of the shortest
// preferred lifetime.
func TestRFC8415_21_4_Timers(t *testing.T) {
	for _, c := range []struct {
		keys   string
		t1, t2 uint32
	}{
		{``, 1500, 2400},
		{`"renew-timer": 100, "rebind-timer": 200,`, 100, 200},
		{`"renew-timer": 300, "rebind-timer": 200,`, 0, 200},
		{`"renew-timer": 200, "rebind-timer": 200,`, 0, 200},
		{`"rebind-timer": 1000,`, 0, 1000},
		{`"renew-timer": 0, "rebind-timer": 0,`, 0, 0},
		{`"calculate-tee-times": false,`, 0, 0},
		{`"t1-percent": 0.1, "t2-percent": 0.2,`, 300, 600},
	} {
		l := newLab(t, c.keys+simple)
		l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(1)))
		if g := l.ia(0); g.T1S != c.t1 || g.T2S != c.t2 {
			t.Errorf("%s T1 %d T2 %d, want %d %d", c.keys, g.T1S, g.T2S, c.t1, c.t2)
		}
	}
}

// §21.6: the preferred lifetime is not longer than the valid one; the client's
// wishes count within the bounds.
func TestRFC8415_21_6_Lifetimes(t *testing.T) {
	for _, c := range []struct {
		keys         string
		askP, askV   uint32
		pref, valid_ uint32
	}{
		{`"valid-lifetime": 1000`, 0, 0, 625, 1000},
		{`"valid-lifetime": 1000, "preferred-lifetime": 2000`, 0, 0, 625, 1000},
		{`"valid-lifetime": 1000, "preferred-lifetime": 800`, 5, 5, 800, 1000},
		{`"valid-lifetime": 1000, "min-valid-lifetime": 500, "max-valid-lifetime": 2000`, 0, 5, 312, 500},
		{`"valid-lifetime": 1000, "min-valid-lifetime": 500, "max-valid-lifetime": 2000`, 0, 5000, 1250, 2000},
		{`"valid-lifetime": 1000, "min-valid-lifetime": 500, "max-valid-lifetime": 2000`, 0, 700, 437, 700},
		{`"valid-lifetime": 1000, "preferred-lifetime": 900, "min-preferred-lifetime": 100`, 50, 0, 100, 1000},
		{`"valid-lifetime": 4294967295`, 0, 0, 0xFFFFFFFF / 8 * 5, 0xFFFFFFFF},
	} {
		l := newLab(t, c.keys+`, "subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0", "pools": [ { "pool": "2001:db8:1::/64" } ] } ]`)
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, naRes(1, res{"2001:db8:1::5", c.askP, c.askV})))
		x := l.ia(0).res[0]
		if x.PreferredS != c.pref || x.ValidS != c.valid_ {
			t.Errorf("%s asked %d %d: %d %d, want %d %d", c.keys, c.askP, c.askV, x.PreferredS, x.ValidS, c.pref, c.valid_)
		}
	}
}

// RFC 6603 §4.2: the excluded prefix, only for who asks.
func TestRFC6603_4_2_PrefixExclude(t *testing.T) {
	l := newLab(t, busy)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, pd(1), oro(67)))
	if got := l.ia(0).res[0].Options.Find(dhcp6.OptPDExclude); !bytes.Equal(got, []byte{64, 0}) {
		t.Errorf("%x", got)
	}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, pd(1)))
	if l.ia(0).res[0].Options.Find(dhcp6.OptPDExclude) != nil {
		t.Error("not asked for")
	}
	// A reserved prefix does not inherit the pool's.
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 5, pd(1), oro(67)))
	if l.addr(0) != "2001:db8:ff00::/48" || l.ia(0).res[0].Options.Find(dhcp6.OptPDExclude) != nil {
		t.Errorf("\n%s", dhcp6.AppendText(nil, l.out))
	}
}

// RFC 8357 §5.2: the reply goes to the port that the relay sent from.
func TestRFC8357_5_2_RelayPort(t *testing.T) {
	l := newLab(t, simple)
	q := ask(dhcp6.MsgSolicit, 1, na(1), relayed("2001:db8:1::1", opt(dhcp6.OptRelaySourcePort, []byte{0, 0})))
	q.srcPort = 12345
	l.want(dhcp6.MsgAdvertise, q)
	if l.r.DstPort != 12345 || dhcp6.Options(l.out[34:]).Find(dhcp6.OptRelaySourcePort) == nil {
		t.Errorf("port %d", l.r.DstPort)
	}
	// Only the relay that we answer counts.
	q = ask(dhcp6.MsgSolicit, 1, na(1), relayed("2001:db8:1::1", opt(dhcp6.OptRelaySourcePort, []byte{0, 0})), relayed("::"))
	q.srcPort = 12345
	l.want(dhcp6.MsgAdvertise, q)
	if l.r.DstPort != 547 {
		t.Errorf("port %d", l.r.DstPort)
	}
}
