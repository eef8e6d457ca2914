package engine6

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

// §13.1: what is reserved for one client is assigned to no other, neither from
// the pool nor when it asks for it by name.
func TestRFC8415_13_1_Reserved(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 4000, "subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0",
		"pools": [ { "pool": "2001:db8:1::10 - 2001:db8:1::11" } ], "pd-pools": [ { "prefix": "2001:db8:8000::", "prefix-len": 55, "delegated-len": 56 } ],
		"reservations": [ { "duid": "0003000102c100000009", "ip-addresses": [ "2001:db8:1::10" ], "prefixes": [ "2001:db8:8000::/56" ] } ] } ]`)
	for n, name := range []string{"2001:db8:1::10", "::"} {
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1+n, na(1, name), pd(1, "2001:db8:8000::/56")))
		a, p := l.ia(0), l.ia(1)
		for _, g := range []got{a, p} {
			for _, x := range g.res {
				if x.Addr == ip("2001:db8:1::10") || x.Addr == ip("2001:db8:8000::") {
					t.Errorf("client %d got %v, which is another's", 1+n, x.Addr)
				}
			}
		}
		if n == 0 && (l.addr(0) != "2001:db8:1::11" || l.addr(1) != "2001:db8:8000:100::/56") {
			t.Errorf("got %s and %s", l.addr(0), l.addr(1))
		}
		if n == 1 && (a.status != stNoAddrs || p.status != stNoPrefix) {
			t.Errorf("nothing else was left:\n%s", dhcp6.AppendText(nil, l.out))
		}
	}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 9, na(1), pd(1)))
	if l.addr(0) != "2001:db8:1::10" || l.addr(1) != "2001:db8:8000::/56" {
		t.Errorf("its owner got %s and %s", l.addr(0), l.addr(1))
	}
}

// §18.1: the IAs of an answer have the same T1 and T2. Where their preferred
// lifetimes differ, so do these, as in Kea.
func TestRFC8415_18_1_SameTimers(t *testing.T) {
	l := newLab(t, simple)
	for _, m := range []dhcp6.MsgType{dhcp6.MsgSolicit, dhcp6.MsgRequest, dhcp6.MsgRenew, dhcp6.MsgRebind} {
		if r := l.send(ask(m, 1, na(1), na(2), pd(3), pd(4))); r != ReasonOK || l.answer.IAs() != 4 {
			t.Fatalf("%v: %v, %d IAs", m, r, l.answer.IAs())
		}
		for i := range 4 {
			if g := l.ia(i); g.T1S != 1500 || g.T2S != 2400 {
				t.Errorf("%v: IA %d has T1 %d and T2 %d", m, i, g.T1S, g.T2S)
			}
		}
		l.now += 2500
	}
}

// §18.3.2: a REQUEST that comes again is decided anew, whatever its transaction
// id.
func TestRFC8415_18_3_2_NotCached(t *testing.T) {
	const config = `"valid-lifetime": 4000, "cache-threshold": 0.0, "subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0", "pools": [ { "pool": "2001:db8:1::/64" } ] } ]`
	l := newLab(t, config+withOptions)
	q := ask(dhcp6.MsgRequest, 1, na(1), oro(23))
	l.want(dhcp6.MsgReply, q)
	first, stored := slices.Clone(l.out), l.j.Pos
	if !l.answer.Has(dhcp6.OptDNSServers) {
		t.Fatal("no dns-servers")
	}
	l.reload(config)
	l.want(dhcp6.MsgReply, q)
	if l.answer.Has(dhcp6.OptDNSServers) || bytes.Equal(first, l.out) {
		t.Error("answered as before the configuration changed")
	}
	l.now += 10
	l.want(dhcp6.MsgReply, q)
	if l.j.Pos == stored {
		t.Error("the binding was not looked at again")
	}
}

// §18.3.4: an IA of which everything is gone has T1 and T2 of its valid
// lifetime, 0.
func TestRFC8415_18_3_4_NothingLeft(t *testing.T) {
	for _, m := range []dhcp6.MsgType{dhcp6.MsgRenew, dhcp6.MsgRebind} {
		l := newLab(t, noPools)
		l.want(dhcp6.MsgReply, ask(m, 1, na(1, "2001:db8:1::55"), pd(2, "2001:db8:8000::/56")))
		for i := range 2 {
			if g := l.ia(i); len(g.res) != 1 || g.res[0].ValidS != 0 || g.T1S != 0 || g.T2S != 0 {
				t.Errorf("%v: %+v", m, g)
			}
		}
	}
}

// §18.3.5: what a REBIND names and the client does not have is not given to it
// unless it is assigned to it then and there, which Kea does also where it does
// not do rapid commit; what is another's comes back with lifetimes of 0.
func TestRFC8415_18_3_5_Rebind(t *testing.T) {
	l := newLab(t, simple)
	other := l.sarr(2)
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRebind, 1, na(1, other)))
	g := l.ia(0)
	if len(g.res) != 2 || g.res[0].ValidS == 0 || g.res[0].Addr == ip(other) || g.res[1].ValidS != 0 || g.res[1].Addr != ip(other) {
		t.Fatalf("%+v", g.res)
	}
	if x := l.lease(g.res[0].Addr.String()); x == nil || !bytes.Equal(x.ID(), duidOf(1)) || l.r.CommitPos == 0 {
		t.Error("the new address is not leased")
	}
	if x := l.lease(other); !bytes.Equal(x.ID(), duidOf(2)) {
		t.Error("the other client has lost its lease")
	}
}

// §18.3.9: the server's preference is 0, which is not sent, unless it is
// configured.
func TestRFC8415_18_3_9_Preference(t *testing.T) {
	l := newLab(t, simple)
	if l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(1), oro(7))); l.answer.Has(dhcp6.OptPreference) {
		t.Error("a preference that nobody configured")
	}
	l = newLab(t, simple+`, "option-data": [ { "name": "preference", "data": "200", "always-send": true } ]`)
	if l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(1))); !bytes.Equal(l.answer.Option(dhcp6.OptPreference), []byte{200}) {
		t.Error("not the configured preference")
	}
}

// §18.3.9: an ADVERTISE has what the next REQUEST would get, and nothing of what
// the client named and would not.
func TestRFC8415_18_3_9_Offer(t *testing.T) {
	l := newLab(t, simple)
	other := l.sarr(2)
	for i, c := range []struct {
		hint, pfx string
		free      bool
	}{
		{"2001:db8:1::77", "2001:db8:8077::/56", true},
		{other, "2001:db8:ffff::/56", false},
		{"2001:db8:77::1", "2001:db8:8078::/64", false},
	} {
		l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 10+i, na(1, c.hint), pd(2, c.pfx)))
		a, p := l.addr(0), l.addr(1)
		if len(l.ia(0).res) != 1 || len(l.ia(1).res) != 1 {
			t.Errorf("more than one resource:\n%s", dhcp6.AppendText(nil, l.out))
		}
		if (a == c.hint) != c.free || (p == c.pfx) != c.free {
			t.Errorf("asked for %s and %s, is offered %s and %s", c.hint, c.pfx, a, p)
		}
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 10+i, na(1, a), pd(2, p)))
		if l.addr(0) != a || l.addr(1) != p {
			t.Errorf("was offered %s and %s, got %s and %s", a, p, l.addr(0), l.addr(1))
		}
	}
}

// §18.3.9: who asks for a container gets everything that is in it.
func TestRFC8415_18_3_9_Container(t *testing.T) {
	l := newLab(t, simple+`, "option-data": [ { "name": "s46-cont-mape" },
		{ "space": "s46-cont-mape-options", "name": "s46-rule", "data": "1, 0, 24, 192.0.2.0, 2001:db8:1::/64" },
		{ "space": "s46-cont-mape-options", "name": "s46-br", "data": "2001:db8::b" } ]`)
	for _, m := range []dhcp6.MsgType{dhcp6.MsgSolicit, dhcp6.MsgRequest} {
		if r := l.send(ask(m, 1, na(1), oro(94))); r != ReasonOK {
			t.Fatal(r)
		}
		in := dhcp6.Options(l.answer.Option(94))
		if in.Find(89) == nil || in.Find(90) == nil {
			t.Errorf("%v: %x", m, []byte(in))
		}
	}
}

// §21: options that come twice are not put together: the first one counts, as in
// Kea.
func TestRFC8415_21_RepeatedOptions(t *testing.T) {
	l := newLab(t, simple+withOptions)
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(1), oro(7), oro(23)))
	if !l.answer.Has(dhcp6.OptPreference) || l.answer.Has(dhcp6.OptDNSServers) {
		t.Errorf("\n%s", dhcp6.AppendText(nil, l.out))
	}
	// Half a code in each would be the code of dns-servers if they were joined.
	if got := l.view.Parse(ask(dhcp6.MsgSolicit, 1, with(dhcp6.OptORO, []byte{0}), with(dhcp6.OptORO, []byte{23})).message()); got != dhcp6.ReasonOptionLen {
		t.Errorf("halves of an option: %v", got)
	}
}

// §21.4, §21.21: T1 and T2 that a client sends do not count.
func TestRFC8415_21_4_TimersOfClients(t *testing.T) {
	l := newLab(t, simple)
	for _, m := range []dhcp6.MsgType{dhcp6.MsgSolicit, dhcp6.MsgRequest, dhcp6.MsgRenew, dhcp6.MsgRebind} {
		if r := l.send(ask(m, 1, with(dhcp6.OptIANA, u32(1, 7, 9)), with(dhcp6.OptIAPD, u32(2, 0xFFFFFFFF, 1)))); r != ReasonOK {
			t.Fatal(r)
		}
		for i := range 2 {
			if g := l.ia(i); g.T1S != 1500 || g.T2S != 2400 || g.res[0].ValidS != 4000 {
				t.Errorf("%v: %+v", m, g)
			}
		}
		l.now += 2500
	}
}

// §21.22: lifetimes that a client sends with a prefix do not count, unless there
// is a range to choose from.
func TestRFC8415_21_22_Lifetimes(t *testing.T) {
	for bounds, want := range map[string]uint32{``: 4000, `"min-valid-lifetime": 3500, "max-valid-lifetime": 5000, `: 3500} {
		l := newLab(t, bounds+simple)
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, pdRes(1, res{"2001:db8:8000::/56", 10, 20})))
		if x := l.ia(0).res[0]; x.ValidS != want {
			t.Errorf("with %q: %+v", bounds, x)
		}
	}
}

// §21.13: no text of a status ends with a NUL.
func TestRFC8415_21_13_StatusText(t *testing.T) {
	l := newLab(t, noPools)
	seen := 0
	check := func(b []byte) {
		if b == nil {
			return
		}
		seen++
		if text := b[2:]; bytes.IndexByte(text, 0) >= 0 || len(text) == 0 {
			t.Errorf("text %q", text)
		}
	}
	for _, m := range []dhcp6.MsgType{dhcp6.MsgSolicit, dhcp6.MsgRequest, dhcp6.MsgConfirm, dhcp6.MsgRenew, dhcp6.MsgRebind, dhcp6.MsgRelease, dhcp6.MsgDecline} {
		for _, link := range []string{"2001:db8:1::1", "2001:db8:99::1"} {
			if r := l.send(ask(m, 1, na(1, "2001:db8:1::5"), relayed(link))); r != ReasonOK {
				t.Fatalf("%v: %v", m, r)
			}
			check(l.answer.Option(dhcp6.OptStatusCode))
			for i := range l.answer.IAs() {
				check(l.ia(i).Options.Find(dhcp6.OptStatusCode))
			}
		}
	}
	if seen < 14 {
		t.Errorf("only %d statuses seen", seen)
	}
}

// §21.16, §21.17: an answer has one option of each vendor, however often it is
// configured and however often the client names it.
func TestRFC8415_21_17_OneOfEachVendor(t *testing.T) {
	l := newLab(t, `"valid-lifetime": 4000, "subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0", "pools": [ { "pool": "2001:db8:1::/64" } ],
		  "option-data": [ { "name": "vendor-opts", "data": "32473" }, { "name": "vendor-class", "data": "32473, 000161" },
		    { "space": "vendor-32473", "code": 1, "csv-format": false, "data": "aa", "always-send": true } ] } ],
		"option-data": [ { "name": "vendor-opts", "data": "32473" }, { "name": "vendor-opts", "data": "4491" }, { "name": "vendor-class", "data": "32473, 000162" },
		  { "space": "vendor-4491", "name": "config-file", "data": "f", "always-send": true },
		  { "space": "vendor-32473", "code": 2, "csv-format": false, "data": "bb", "always-send": true } ]`)
	vendor := with(dhcp6.OptVendorOpts, u32(32473), opt(1, []byte{1}))
	class := with(dhcp6.OptVendorClass, u32(32473), []byte{0, 1, 'x'})
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1), oro(16, 17, 16, 17), vendor, vendor, class, class))
	var opts, classes []uint32
	for i := range l.answer.Len() {
		switch code, b := l.answer.At(i); code {
		case dhcp6.OptVendorOpts:
			opts = append(opts, binary.BigEndian.Uint32(b))
			// §21.17: its inside are options like those of DHCPv6.
			for o := dhcp6.Options(b[4:]); len(o) > 0; {
				_, _, rest, ok := o.Next()
				if !ok {
					t.Fatalf("not a sequence of options: %x", b)
				}
				o = rest
			}
		case dhcp6.OptVendorClass:
			classes = append(classes, binary.BigEndian.Uint32(b))
		}
	}
	slices.Sort(opts)
	if !slices.Equal(opts, []uint32{4491, 32473}) || !slices.Equal(classes, []uint32{32473}) {
		t.Errorf("options 17 of %v and 16 of %v\n%s", opts, classes, dhcp6.AppendText(nil, l.out))
	}
}

// §21.18: an interface-id is in RELAY-REPLs and nowhere else, whoever asks for
// it.
func TestRFC8415_21_18_InterfaceID(t *testing.T) {
	l := newLab(t, simple)
	for _, relays := range [][]part{nil, {relayed("2001:db8:1::1", opt(dhcp6.OptInterfaceID, []byte{0, 1, 2}))}} {
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, append(relays, na(1), oro(18), with(dhcp6.OptInterfaceID, []byte("mine")))...))
		if l.answer.Has(dhcp6.OptInterfaceID) {
			t.Errorf("\n%s", dhcp6.AppendText(nil, l.out))
		}
	}
	if !bytes.Equal(dhcp6.Options(l.out[dhcp6.RelayHeaderLen:]).Find(dhcp6.OptInterfaceID), []byte{0, 1, 2}) {
		t.Errorf("not the relay's:\n%s", dhcp6.AppendText(nil, l.out))
	}
}

// §21.23: information-refresh-time is at the top level of a REPLY to who asks
// for it.
func TestRFC8415_21_23_RefreshTime(t *testing.T) {
	l := newLab(t, simple+`, "option-data": [ { "name": "information-refresh-time", "data": "900" }, { "name": "solmax-rt", "data": "3600" }, { "name": "inf-max-rt", "data": "7200" } ]`)
	l.want(dhcp6.MsgReply, bare(dhcp6.MsgInformationRequest, oro(32, 83)))
	if !bytes.Equal(l.answer.Option(32), u32(900)) || !bytes.Equal(l.answer.Option(83), u32(7200)) {
		t.Errorf("\n%s", dhcp6.AppendText(nil, l.out))
	}
	if l.want(dhcp6.MsgReply, bare(dhcp6.MsgInformationRequest)); l.answer.Has(32) {
		t.Error("unasked")
	}
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(1), oro(82)))
	if !bytes.Equal(l.answer.Option(82), u32(3600)) || l.ia(0).Options.Find(82) != nil {
		t.Errorf("\n%s", dhcp6.AppendText(nil, l.out))
	}
	// It belongs into REPLYs alone; who asks for it with a SOLICIT is answered all
	// the same, as by Kea.
	if l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(1), oro(32))); !bytes.Equal(l.answer.Option(32), u32(900)) {
		t.Error("not in an ADVERTISE")
	}
}

// §24: codes that have no place in an option request option are passed over.
func TestRFC8415_24_ForeignCodes(t *testing.T) {
	l := newLab(t, simple)
	all := []uint16{0, 1, 2, 3, 4, 5, 6, 8, 9, 11, 13, 14, 18, 19, 20, 25, 26, 66, 135}
	l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1), oro(all...)))
	for _, c := range all {
		if n := l.answer.Count(c); n != 0 && c != dhcp6.OptClientID && c != dhcp6.OptServerID && c != dhcp6.OptIANA || n > 1 {
			t.Errorf("option %d comes %d times", c, n)
		}
	}
}
