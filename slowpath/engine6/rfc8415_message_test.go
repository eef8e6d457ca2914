package engine6

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// §6.6, §12: a client may have several IAs of each type; each is a binding of its
// own, known by type and IAID.
func TestRFC8415_12_SeveralIAs(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1), na(2), pd(1), pd(2)))
	has := map[string]bool{}
	for i := range 4 {
		has[l.addr(i)] = true
	}
	if len(has) != 4 || l.table.Len() != 4 {
		t.Fatalf("%v", has)
	}
	a := l.addr(1)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRelease, 1, na(2, a)))
	for k := range has {
		if k == a {
			continue
		}
		addr, _, _ := strings.Cut(k, "/")
		if x := l.lease(addr); x == nil || x.State != lease.StateDefault {
			t.Errorf("%s is gone with another IA", k)
		}
	}
	// One IAID twice is one IA.
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 2, na(7), na(7)))
	if l.answer.IAs() != 1 {
		t.Errorf("IAID 7 is answered %d times", l.answer.IAs())
	}
}

// §13.1: the client's link is that of the interface that a direct message came in
// on, or of the link-address of the relay nearest to the client; one of zero (an
// LDRA, RFC 6221) leaves it to the next.
func TestRFC8415_13_1_Link(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 4000, "subnet6": [
		{ "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0", "pools": [ { "pool": "2001:db8:1::/64" } ] },
		{ "id": 2, "subnet": "2001:db8:2::/48", "pools": [ { "pool": "2001:db8:2::/64" } ] } ]`)
	for _, c := range []struct {
		parts []part
		want  uint32
	}{
		{nil, 1},
		{[]part{relayed("2001:db8:2::1")}, 2},
		{[]part{relayed("2001:db8:2::1"), relayed("2001:db8:1::1")}, 2},
		{[]part{relayed("::"), relayed("2001:db8:2::1")}, 2},
		{[]part{relayed("2001:db8:99::1")}, 0},
	} {
		l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, append(c.parts, na(1))...))
		got := uint32(0)
		if l.q.Subnet != nil {
			got = l.q.Subnet.ID
		}
		if got != c.want {
			t.Errorf("%d relays: subnet %d, want %d", len(c.parts), got, c.want)
		}
	}
}

// §16: options that the server does not know, and those of vendors it does not
// know, are ignored, and the message with them is not discarded.
func TestRFC8415_16_UnknownOptions(t *testing.T) {
	l := newLab(t, simple)
	for _, m := range []dhcp6.MsgType{dhcp6.MsgSolicit, dhcp6.MsgRequest, dhcp6.MsgRenew, dhcp6.MsgRebind, dhcp6.MsgRelease, dhcp6.MsgInformationRequest} {
		q := ask(m, 1, with(65000, []byte("x")), with(9999), with(65000, []byte("y")),
			with(dhcp6.OptVendorClass, u32(99999), []byte{0, 1, 'x'}), with(dhcp6.OptVendorOpts, u32(99999), opt(1, []byte("x"))))
		if m != dhcp6.MsgInformationRequest {
			na(1)(q)
		}
		if r := l.send(q); r != ReasonOK || l.answer.Has(65000) || l.answer.Has(9999) || l.answer.Has(dhcp6.OptVendorOpts) {
			t.Errorf("%v: %v", m, r)
		}
	}
}

// §18.3: every answer has the message's transaction id, the server's identifier
// and, as it came, the client's, with or without relays.
func TestRFC8415_18_3_Identifiers(t *testing.T) {
	for _, m := range []dhcp6.MsgType{dhcp6.MsgSolicit, dhcp6.MsgRequest, dhcp6.MsgConfirm, dhcp6.MsgRenew, dhcp6.MsgRebind,
		dhcp6.MsgRelease, dhcp6.MsgDecline, dhcp6.MsgInformationRequest} {
		for _, relays := range [][]part{nil, {relayed("2001:db8:1::1")}} {
			l := newLab(t, simple)
			q := ask(m, 300, append(relays, na(1, "2001:db8:1::10"))...)
			if r := l.send(q); r != ReasonOK || l.r.Type == 0 {
				t.Errorf("%v: no answer: %v", m, r)
				continue
			}
			v := &l.answer
			if v.XID() != 7 || !bytes.Equal(v.ClientID(), duidOf(300)) || !bytes.Equal(v.ServerID(), serverID) ||
				v.Count(dhcp6.OptServerID) != 1 || v.Count(dhcp6.OptClientID) != 1 {
				t.Errorf("%v:\n%s", m, dhcp6.AppendText(nil, l.out))
			}
			if want := dhcp6.MsgReply; m != dhcp6.MsgSolicit && v.Type() != want {
				t.Errorf("%v is answered with %v", m, v.Type())
			}
		}
	}
}

// §18.3.6: an INFORMATION-REQUEST is answered with configuration and nothing
// else, to a client without identifier too; no lease is made or changed.
func TestRFC8415_18_3_6_InformationRequest(t *testing.T) {
	l := newLab(t, simple+`, "option-data": [ { "name": "dns-servers", "data": "2001:db8::53" }, { "name": "information-refresh-time", "data": "900" } ]`)
	l.want(dhcp6.MsgReply, bare(dhcp6.MsgInformationRequest, oro(23, 32)))
	v := &l.answer
	if v.IAs() != 0 || v.Has(dhcp6.OptClientID) || l.table.Len() != 0 || l.r.CommitPos != 0 ||
		!v.Has(dhcp6.OptDNSServers) || !bytes.Equal(v.Option(32), u32(900)) {
		t.Errorf("\n%s", dhcp6.AppendText(nil, l.out))
	}
	// From a link that nobody has configured: what holds everywhere.
	l.want(dhcp6.MsgReply, bare(dhcp6.MsgInformationRequest, oro(23), relayed("2001:db8:99::1")))
	if !l.answer.Has(dhcp6.OptDNSServers) {
		t.Error("global options depend on the link")
	}
}

// §21.14: a Rapid Commit option is in no REPLY to another
// message than a SOLICIT that asked for it.
func TestRFC8415_21_14_RapidCommit(t *testing.T) {
	l := newLab(t, rapidCommit)
	rapid := with(dhcp6.OptRapidCommit)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgSolicit, 1, na(1), rapid))
	a := l.addr(0)
	for _, m := range []dhcp6.MsgType{dhcp6.MsgRequest, dhcp6.MsgRenew, dhcp6.MsgRebind, dhcp6.MsgRelease} {
		if l.want(dhcp6.MsgReply, ask(m, 1, na(1, a), rapid)); l.answer.Has(dhcp6.OptRapidCommit) {
			t.Errorf("%v", m)
		}
	}
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 2, na(1)))
	if l.answer.Has(dhcp6.OptRapidCommit) {
		t.Error("in an ADVERTISE")
	}
}

// §19.3: up to eight relays in a row (§7.6: HOP_COUNT_LIMIT) are answered through
// the same, each with its hop-count, link-address, peer-address and interface-id.
func TestRFC8415_19_3_EightRelays(t *testing.T) {
	l := newLab(t, simple)
	parts := []part{na(1)}
	for i := range 8 {
		parts = append(parts, relayed(fmt.Sprintf("2001:db8:1::%x", 0x100+i), opt(dhcp6.OptInterfaceID, []byte{byte('a' + i)})))
	}
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, parts...))
	b := l.out
	for i := 7; i >= 0; i-- {
		o := dhcp6.Options(b[dhcp6.RelayHeaderLen:])
		if b[0] != byte(dhcp6.MsgRelayRepl) || b[1] != byte(i) || dhcp6.AddrFromSlice(b[2:]) != ip(fmt.Sprintf("2001:db8:1::%x", 0x100+i)) ||
			dhcp6.AddrFromSlice(b[18:]) != ip("fe80::99") || string(o.Find(dhcp6.OptInterfaceID)) != string(rune('a'+i)) {
			t.Fatalf("level %d:\n%s", i, dhcp6.AppendText(nil, b))
		}
		b = o.Find(dhcp6.OptRelayMsg)
	}
	if b[0] != byte(dhcp6.MsgAdvertise) {
		t.Errorf("inside: %v", dhcp6.MsgType(b[0]))
	}
}

// §21.5: temporary addresses are not given; as in Kea nothing is said of them.
func TestRFC8415_21_5_IATA(t *testing.T) {
	l := newLab(t, simple)
	ta := with(dhcp6.OptIATA, u32(5))
	for _, m := range []dhcp6.MsgType{dhcp6.MsgSolicit, dhcp6.MsgRequest, dhcp6.MsgRenew, dhcp6.MsgRebind} {
		if r := l.send(ask(m, 1, ta, na(1))); r != ReasonOK || l.answer.Has(dhcp6.OptIATA) || l.answer.IAs() != 1 {
			t.Errorf("%v: %v\n%s", m, r, dhcp6.AppendText(nil, l.out))
		}
	}
}

// §21.13: an IA that is served has no status, and a message whose IAs are has
// none.
func TestRFC8415_21_13_StatusCode(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1), pd(2)))
	if l.status() != stNone || l.ia(0).status != stNone || l.ia(1).status != stNone {
		t.Errorf("\n%s", dhcp6.AppendText(nil, l.out))
	}
}

// §21.20: reconfiguration is not done, so the client's readiness for it is not
// answered.
func TestRFC8415_21_20_ReconfigureAccept(t *testing.T) {
	l := newLab(t, simple)
	for _, m := range []dhcp6.MsgType{dhcp6.MsgSolicit, dhcp6.MsgRequest} {
		if r := l.send(ask(m, 1, na(1), with(dhcp6.OptReconfAccept), oro(20))); r != ReasonOK || l.answer.Has(dhcp6.OptReconfAccept) {
			t.Errorf("%v: %v", m, r)
		}
	}
}

// §21.21, §21.22: a client may name a prefix, or with the prefix zero its length
// alone; a prefix that is free is given.
func TestRFC8415_21_22_PrefixHints(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 4000, "subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0", "pd-pools": [
		{ "prefix": "2001:db8:a000::", "prefix-len": 40, "delegated-len": 56 },
		{ "prefix": "2001:db8:b000::", "prefix-len": 40, "delegated-len": 60 },
		{ "prefix": "2001:db8:c000::", "prefix-len": 40, "delegated-len": 48 } ] } ]`)
	for i, c := range []struct{ hint, want string }{
		{"::/60", "2001:db8:b000::/60"},
		{"::/48", "2001:db8:c000::/48"},
		{"::/0", "2001:db8:a000::/56"},
		{"::/58", "2001:db8:a000:100::/56"}, // the next bigger one
		{"::/40", "2001:db8:a000:200::/56"}, // no bigger one: a smaller one
		{"2001:db8:b000:770::/60", "2001:db8:b000:770::/60"},
		{"2001:db8:b000:770::/60", "2001:db8:b000:10::/60"}, // taken: one of that length
		{"2001:db8:ffff::/56", "2001:db8:a000:300::/56"},
	} {
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, i+1, pd(1, c.hint)))
		if got := l.addr(0); got != c.want {
			t.Errorf("asked for %s, got %s, want %s", c.hint, got, c.want)
		}
	}
}

// §11: a DUID is opaque: types 1 to 4 and ones that are not assigned identify
// their clients alike, and those that differ in a bit are different clients.
func TestRFC8415_11_OpaqueDUIDs(t *testing.T) {
	l := newLab(t, simple)
	has := map[string]string{}
	for _, d := range []string{
		"\x00\x01\x00\x01\x2b\x3c\x4d\x5e\x02\x00\x00\x00\x00\x01", // DUID-LLT
		"\x00\x02\x00\x00\x09\xbf\x01\x02\x03",                     // DUID-EN
		"\x00\x03\x00\x01\x02\x00\x00\x00\x00\x01",                 // DUID-LL
		"\x00\x04" + "0123456789abcdef",                            // DUID-UUID
		"\x00\x04" + "0123456789abcdeg",
		"\xff\xfe\x01", "\x00\x00\x01",
		"\x00\x05" + string(bytes.Repeat([]byte{1}, 128)),
	} {
		q := func(m dhcp6.MsgType, addr ...string) *query {
			return bare(m, with(dhcp6.OptClientID, []byte(d)), na(1, addr...))
		}
		l.want(dhcp6.MsgAdvertise, q(dhcp6.MsgSolicit))
		request := q(dhcp6.MsgRequest, l.addr(0))
		with(dhcp6.OptServerID, serverID)(request)
		l.want(dhcp6.MsgReply, request)
		has[d] = l.addr(0)
		l.want(dhcp6.MsgReply, q(dhcp6.MsgRebind, has[d]))
		if l.addr(0) != has[d] {
			t.Errorf("DUID %x: rebound %s, had %s", d, l.addr(0), has[d])
		}
	}
	if l.table.Len() != len(has) {
		t.Errorf("%d leases of %d clients", l.table.Len(), len(has))
	}
}
