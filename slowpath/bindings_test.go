package slowpath

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// bindingVariables is lease_cmds with variables, each a name, an expression and a
// source.
func bindingVariables(list ...[3]string) string {
	var l []string
	for _, v := range list {
		expr, _ := json.Marshal(v[1])
		l = append(l, fmt.Sprintf(`{ "name": %q, "expression": %s, "source": %q }`, v[0], expr, v[2]))
	}
	return fmt.Sprintf(`"hooks-libraries": [ { "library": "libdhcp_lease_cmds.so", "parameters": { "binding-variables": [ %s ] } } ],`, strings.Join(l, ", "))
}

var someVariables4 = [][3]string{
	{"router", "addrtotext(option[3].hex)", "response"},
	{"vendor", "option[60].hex", "query"},
	{"circuit", "hexstring(relay4[1].hex, ':')", "query"},
	{"mine", "ifelse(member('KNOWN'), 'known', 'unknown')", "query"},
	{"your", "addrtotext(pkt4.yiaddr)", "response"},
}

func withVendor(class string) netiotest.Option {
	return func(q *netiotest.Query) { q.Set(dhcp4.OptVendorClassIdentifier, []byte(class)) }
}

// What binding variables are for query and reply is in the lease, where commands
// and the lease file show it and a restart finds it; a lease that has it already
// is not stored for it.
func TestBindingVariables4(t *testing.T) {
	dir := t.TempDir()
	csv := filepath.Join(dir, "leases.csv")
	text := testConfig(dir, bindingVariables(someVariables4...), fmt.Sprintf(`"lease-file-mirror": %q,`, csv))
	b := newBed(t, text, hookOptions())
	mac := netiotest.MAC{2, 0, 0, 0, 0, 9}
	addr := b.lease(mac, withVendor(`cpe "7"`+"\xff"))
	want := `{"ISC":{"binding-variables":{"circuit":"","mine":"unknown","router":"10.67.0.1","vendor":"cpe \"7\"\u00ff","your":"` + addr.String() + `"}}}`
	look := func() (version uint64) {
		t.Helper()
		var l lease.Lease4
		if b.s.table.Get(addr, &l); l.UserContext != want {
			t.Errorf("the lease has %s, want %s", l.UserContext, want)
		}
		return l.Version
	}
	before := look()
	r := b.command(`{"command": "lease4-get", "arguments": {"ip-address": "` + addr.String() + `"}}`)
	if shown, _ := json.Marshal(r.Arguments); r.Result != control.ResultSuccess || !strings.Contains(string(shown), `"user-context":`+want) {
		t.Errorf("lease4-get: %d %s", r.Result, shown)
	}
	// A renewal stores the lease once.
	renew := func(vendor string) {
		t.Helper()
		b.now += 1800e9 // later than leases are answered from the cache
		a := b.ask(netiotest.Renew(mac, addr, serverIP, withVendor(vendor)))
		if a == nil || a.View.Type() != dhcp4.MsgAck {
			t.Fatalf("renewal: %v, %s", a, b.drops())
		}
	}
	renew(`cpe "7"` + "\xff")
	if after := look(); after != before+1 {
		t.Errorf("an equal lease was stored %d times", after-before)
	}
	// Another value: what else is in the context stays.
	var l lease.Lease4
	b.s.table.Get(addr, &l)
	l.UserContext = strings.Replace(want, `{"ISC":`, `{"A":1,"ISC":`, 1)
	if err := (hookLeases{b.s}).Put(t.Context(), &l, l.Version); err != nil {
		t.Fatal(err)
	}
	want = strings.Replace(l.UserContext, `cpe \"7\"\u00ff`, "other", 1)
	renew("other")
	before = look()
	renew("other") // not the form that is compared first
	if after := look(); after != before+1 {
		t.Errorf("an equal lease was stored %d times", after-before)
	}
	b.close()
	if rows, err := os.ReadFile(csv); err != nil || !strings.Contains(string(rows), strings.ReplaceAll(want, ",", "&#x2c")) {
		t.Errorf("the lease file does not have it (%v): %s", err, rows)
	}
	b = newBed(t, text, hookOptions())
	defer b.close()
	look()
}

// An offer is looked at only if it is stored, a DHCPINFORM and a DHCPNAK never, and
// a reply waits for what is stored.
func TestBindingVariablesWhere(t *testing.T) {
	for _, offerLifetime := range []int{0, 60} {
		b := newBed(t, testConfig(t.TempDir(), bindingVariables([3]string{"v", "option[60].hex", "query"})+fmt.Sprintf(`"offer-lifetime": %d,`, offerLifetime), ""), hookOptions())
		mac := netiotest.MAC{2, 0, 0, 0, 0, 9}
		p := b.send(netiotest.Discover(mac, withVendor("a")).Frame())
		b.settle(p)
		offer := netiotest.ParseReply(t, p.Data)
		var l lease.Lease4
		b.s.table.Get(offer.View.YIAddr(), &l)
		if stored := strings.Contains(l.UserContext, `"v":"a"`); stored != (offerLifetime > 0) || stored && l.ValidLifetimeS != uint32(offerLifetime) {
			t.Errorf("offer-lifetime %d: the offer has %q and %d s", offerLifetime, l.UserContext, l.ValidLifetimeS)
		}
		p = b.send(netiotest.Request(mac, offer.View.YIAddr(), serverIP, withVendor("b")).Frame())
		b.s.table.Get(offer.View.YIAddr(), &l)
		if p.Action != netio.Hold || !strings.Contains(l.UserContext, `"v":"b"`) {
			t.Errorf("action %d, %s", p.Action, l.UserContext)
		}
		b.settle(p)
		before := l.Version
		if a := b.ask(netiotest.Inform(mac, offer.View.YIAddr(), withVendor("c"))); a == nil {
			t.Error("no answer to a DHCPINFORM")
		}
		if b.s.table.Get(offer.View.YIAddr(), &l); l.Version != before {
			t.Errorf("a DHCPINFORM stored %s", l.UserContext)
		}
		b.close()
	}
}

// An expression that cannot be evaluated leaves the lease as it is; the client is
// answered.
func TestBindingVariablesFail(t *testing.T) {
	b := newBed(t, testConfig("", bindingVariables([3]string{"a", "'x'", "query"}, [3]string{"v", "addrtotext(option[60].hex)", "query"}), ""), hookOptions())
	defer b.close()
	addr := b.lease(netiotest.MAC{2, 0, 0, 0, 0, 9}, withVendor("five5"))
	var l lease.Lease4
	if b.s.table.Get(addr, &l); l.UserContext != "" {
		t.Errorf("the lease has %s", l.UserContext)
	}
}

func TestBindingVariables6(t *testing.T) {
	dir := t.TempDir()
	variables := bindingVariables([3]string{"dns", "addrtotext(option[23].hex)", "response"}, [3]string{"client", "hexstring(option[1].hex, '')", "query"},
		[3]string{"type", "uint8totext(pkt6.msgtype)", "response"}) // a type no query has
	variables = strings.Replace(variables, "uint8totext(pkt6.msgtype)", "hexstring(pkt6.msgtype, '')", 1)
	text := testConfig6(dir, "", variables, true)
	b := newBed(t, text, hookOptions())
	c := newClient6(b, 1)
	rep := c.lease()
	want := `{"ISC":{"binding-variables":{"client":"` + fmt.Sprintf("%X", c.duid.ToBytes()) + `","dns":"2001:db8::53","type":"00000007"}}}`
	look := func() (versions uint64) {
		t.Helper()
		for _, a := range []string{"2001:db8:1::100", "2001:db8:8000::"} {
			var l lease6.Lease6
			if b.s.six.table.Get(lease6.AddrFromNetip(netip.MustParseAddr(a)), &l); !strings.EqualFold(l.UserContext, want) {
				t.Errorf("%s has %s, want %s", a, l.UserContext, want)
			}
			versions += l.Version
		}
		return versions
	}
	before := look()
	renew, err := dhcpv6.NewMessage(dhcpv6.WithClientID(c.duid), dhcpv6.WithServerID(rep.Options.ServerID()), dhcpv6.WithRequestedOptions(dhcpv6.OptionDNSRecursiveNameServer))
	if err != nil {
		t.Fatal(err)
	}
	renew.MessageType = dhcpv6.MessageTypeRenew
	renew.AddOption(rep.Options.OneIANA())
	renew.AddOption(rep.Options.OneIAPD())
	b.now += 2000e9
	if a, ok := c.ask(renew).(*dhcpv6.Message); !ok || leased6(a) != leased6(rep) {
		t.Fatalf("renewal: %v", a)
	}
	if after := look(); after != before+4 { // two leases, each two versions later
		t.Errorf("versions in all %d, then %d: equal leases were stored for their variables", before, after)
	}
	b.close()
	b = newBed(t, text, hookOptions())
	look()
	b.close()
}

// Through a relay, whose reply is in a RELAY-REPL.
func TestExpressionOfRelayedReply(t *testing.T) {
	b := newBed(t, testConfig6(t.TempDir(), "", "", false), hookOptions())
	defer b.close()
	compile := compiler(b.s.Snapshot().Dhcp6.Expressions)
	m, err := dhcpv6.NewMessage()
	if err != nil {
		t.Fatal(err)
	}
	m.MessageType = dhcpv6.MessageTypeReply
	m.AddOption(&dhcpv6.OptionGeneric{OptionCode: 23, OptionData: []byte("0123456789abcdef")})
	relay := &dhcpv6.RelayMessage{MessageType: dhcpv6.MessageTypeRelayReply, LinkAddr: netip.MustParseAddr("2001:db8::7").AsSlice(), PeerAddr: netip.MustParseAddr("fe80::7").AsSlice()}
	relay.AddOption(dhcpv6.OptInterfaceID([]byte("eth7")))
	relay.AddOption(dhcpv6.OptRelayMessage(m))
	q := &hooks.Query6{}
	q.Raw = relay.ToBytes()
	for text, want := range map[string]string{"option[23].hex": "0123456789abcdef", "relay6[0].option[18].hex": "eth7", "relay6[0].linkaddr": string(relay.LinkAddr)} {
		x, err := compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := x.Append6(nil, q, hooks.OfReply); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	x, _ := compile("option[23].hex")
	q.Raw = q.Raw[:20]
	if got, err := x.Append6([]byte("x"), q, hooks.OfReply); err != errReplyUnread || string(got) != "x" {
		t.Errorf("cut short: %q, %v", got, err)
	}
}

// A renewal with variables that stay the same allocates nothing.
func TestBindingVariablesAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := newBed(t, testConfig("", bindingVariables(someVariables4...), ""), hookOptions())
	defer b.close()
	mac := netiotest.MAC{2, 0, 0, 0, 0, 9}
	addr := b.lease(mac, withVendor("cpe"))
	f := netiotest.Renew(mac, addr, serverIP, withVendor("cpe")).Frame()
	p := []netio.Packet{{Data: make([]byte, 0, 2048), IfIndex: 7}}
	if n := testing.AllocsPerRun(200, func() {
		p[0] = netio.Packet{Data: append(p[0].Data[:0], f...), IfIndex: 7}
		b.w.HandleBatch(p, b.now)
		if p[0].Action == netio.Drop {
			t.Fatal(b.drops())
		}
	}); n != 0 {
		t.Errorf("a renewal allocates %v times", n)
	}
}
