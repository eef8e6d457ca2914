package slowpath

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// testConfig6 serves DHCPv6 on dhcp0, and DHCPv4 too if four is its Dhcp4 part.
func testConfig6(dir, four, extra string, persist bool) string {
	if four != "" {
		four = `"Dhcp4": ` + four + `,`
	}
	return fmt.Sprintf(`{ %s
	"Dhcp6": {
		"interfaces-config": { "interfaces": [ "dhcp0" ] },
		"lease-database": { "type": "memfile", "persist": %v },
		"preferred-lifetime": 3000, "valid-lifetime": 4000,
		%s
		"subnet6": [ { "id": 1, "subnet": "2001:db8:1::/64", "interface": "dhcp0",
			"pools": [ { "pool": "2001:db8:1::100 - 2001:db8:1::1ff" } ],
			"pd-pools": [ { "prefix": "2001:db8:8000::", "prefix-len": 40, "delegated-len": 56 } ],
			"option-data": [ { "name": "dns-servers", "data": "2001:db8::53" } ] } ]
	},
	"Dataplane": { "lease-directory": %q } }`, four, persist, extra, filepath.Join(dir, "leases"))
}

var link6 = netip.MustParseAddr("fe80::1").As16()

// client6 is a DHCPv6 client behind its bed.
type client6 struct {
	b    *bed
	duid dhcpv6.DUID
	src  [16]byte
}

func newClient6(b *bed, i byte) *client6 {
	b.s.SetInterfaces([]netio.Interface{{Index: 7, Name: "dhcp0", MAC: [6]byte{2, 0, 0, 0, 0, 1}, Up: true,
		Addrs4: []netio.Prefix4{{Addr: uint32(serverIP), Len: 16}}, Addrs6: []netio.Prefix6{{Addr: link6, Len: 64}}}})
	return &client6{b, &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 1, i}},
		netip.MustParseAddr(fmt.Sprintf("fe80::1:%d", i)).As16()}
}

// frame is a message in a frame to the multicast address.
func (c *client6) frame(m dhcpv6.DHCPv6) []byte {
	msg := m.ToBytes()
	o := frame.Out6{DstMAC: [6]byte{0x33, 0x33, 0, 1, 0, 2}, SrcMAC: [6]byte{2, 0, 0, 0, 1, 1},
		Src6: c.src, Dst6: netip.MustParseAddr("ff02::1:2").As16(), SrcPort: 546, DstPort: 547}
	b := make([]byte, frame.HeaderLen6(0)+len(msg))
	copy(b[frame.HeaderLen6(0):], msg)
	return b[:frame.Write6(b, &o, len(msg))]
}

// ask sends a message and returns the answer, nil if there is none. The answer
// is held until it is durable.
func (c *client6) ask(m dhcpv6.DHCPv6) dhcpv6.DHCPv6 {
	c.b.t.Helper()
	p := c.b.send(c.frame(m))
	if p.Action == netio.Drop {
		return nil
	}
	c.b.settle(p)
	var h frame.Headers
	if why := frame.Decode(p.Data, &h); why != frame.ReasonOK || h.Family != 6 || h.Dst6 != c.src || h.Src6 != link6 || h.SrcPort != 547 {
		c.b.t.Fatalf("the answer's headers: %v, %+v", why, h)
	}
	a, err := dhcpv6.FromBytes(p.Data[h.PayloadOff : int(h.PayloadOff)+int(h.PayloadLen)])
	if err != nil {
		c.b.t.Fatal(err)
	}
	return a
}

func (c *client6) solicit() *dhcpv6.Message {
	c.b.t.Helper()
	m, err := dhcpv6.NewMessage(dhcpv6.WithClientID(c.duid), dhcpv6.WithIAID([4]byte{0, 0, 0, 1}), dhcpv6.WithRequestedOptions(dhcpv6.OptionDNSRecursiveNameServer))
	if err != nil {
		c.b.t.Fatal(err)
	}
	m.AddOption(&dhcpv6.OptIAPD{IaId: [4]byte{0, 0, 0, 2}})
	return m
}

// lease does a whole exchange and returns the last reply.
func (c *client6) lease() *dhcpv6.Message {
	c.b.t.Helper()
	adv, ok := c.ask(c.solicit()).(*dhcpv6.Message)
	if !ok || adv.MessageType != dhcpv6.MessageTypeAdvertise {
		c.b.t.Fatalf("no ADVERTISE: %s", c.b.drops())
	}
	req, err := dhcpv6.NewRequestFromAdvertise(adv)
	if err != nil {
		c.b.t.Fatal(err)
	}
	rep, ok := c.ask(req).(*dhcpv6.Message)
	if !ok || rep.MessageType != dhcpv6.MessageTypeReply {
		c.b.t.Fatalf("no REPLY: %s", c.b.drops())
	}
	return rep
}

// leased6 is what a reply leases, as text.
func leased6(m *dhcpv6.Message) string {
	var out []string
	for _, ia := range m.Options.IANA() {
		for _, a := range ia.Options.Addresses() {
			out = append(out, a.IPv6Addr.String())
		}
	}
	for _, ia := range m.Options.IAPD() {
		for _, p := range ia.Options.Prefixes() {
			out = append(out, p.Prefix.String())
		}
	}
	return strings.Join(out, " ")
}

// A REPLY waits for its leases to be durable, and after a restart the client
// finds what it had.
func TestDHCPv6IsDurable(t *testing.T) {
	dir := t.TempDir()
	b := newBed(t, testConfig6(dir, "", "", true), Options{})
	c := newClient6(b, 1)
	adv := c.b.send(c.frame(c.solicit()))
	if adv.Action != netio.Send {
		t.Fatalf("ADVERTISE has action %d: %s", adv.Action, b.drops())
	}
	rep := c.lease()
	want := "2001:db8:1::100 2001:db8:8000::/56"
	if got := leased6(rep); got != want {
		t.Errorf("leased %s, want %s", got, want)
	}
	if dns := rep.Options.DNS(); len(dns) != 1 || dns[0].String() != "2001:db8::53" {
		t.Errorf("DNS servers %v", dns)
	}
	req, err := dhcpv6.NewRequestFromAdvertise(c.ask(newClient6(b, 2).solicit()).(*dhcpv6.Message))
	if err != nil {
		t.Fatal(err)
	}
	if p := b.send(c.frame(req)); p.Action != netio.Hold || p.CommitPos == 0 {
		t.Errorf("REPLY has action %d and position %d: it would leave before its leases are durable", p.Action, p.CommitPos)
	}
	id := string(b.s.six.id)
	b.close()

	b = newBed(t, testConfig6(dir, "", "", true), Options{})
	defer b.close()
	if string(b.s.six.id) != id {
		t.Errorf("the server's DUID was %x and is %x", id, b.s.six.id)
	}
	c = newClient6(b, 1)
	renew := c.solicit()
	renew.MessageType = dhcpv6.MessageTypeRenew
	renew.AddOption(dhcpv6.OptServerID(rep.Options.ServerID()))
	for _, ia := range renew.Options.IANA() {
		ia.Options = rep.Options.OneIANA().Options
	}
	if got := leased6(c.ask(renew).(*dhcpv6.Message)); got != want {
		t.Errorf("after a restart it renews %s, want %s", got, want)
	}
}

// Both families in one process, in one batch; each has its statistics and its
// own stop.
func TestBothFamilies(t *testing.T) {
	b := newBed(t, testConfig6(t.TempDir(), `{ "interfaces-config": { "interfaces": [ "dhcp0" ] }, "lease-database": { "type": "memfile", "persist": false },
		"subnet4": [ { "id": 1, "subnet": "10.67.0.0/16", "pools": [ { "pool": "10.67.1.0/24" } ] } ] }`, "", false), Options{})
	defer b.close()
	c := newClient6(b, 1)
	b.lease([6]byte{2, 0, 0, 0, 1, 1})
	c.lease()
	six := func(command, args string) control.Response {
		return b.s.six.registry.Run(context.Background(), &control.Call{Command: command, Arguments: []byte(args)})
	}
	for _, x := range []struct {
		r    control.Response
		want string
	}{
		{b.command(`{"command": "statistic-get", "arguments": {"name": "assigned-addresses"}}`), "1"},
		{six("statistic-get", `{"name": "assigned-nas"}`), "1"},
		{six("statistic-get", `{"name": "subnet[1].assigned-pds"}`), "1"},
		{six("statistic-get", `{"name": "pkt6-reply-sent"}`), "1"},
		{six("statistic-get", `{"name": "pkt6-received"}`), "2"},
		{b.command(`{"command": "statistic-get", "arguments": {"name": "pkt4-received"}}`), "2"},
	} {
		if got := fmt.Sprint(x.r.Arguments); !strings.Contains(got, "[["+x.want+" ") {
			t.Errorf("%s, want %s", got, x.want)
		}
	}
	if r := six("dhcp-disable", `{}`); r.Result != 0 || r.Text != "DHCPv6 service disabled" {
		t.Errorf("%+v", r)
	}
	if c.ask(c.solicit()) != nil {
		t.Error("a SOLICIT was answered though the service is disabled")
	}
	b.lease([6]byte{2, 0, 0, 0, 1, 2})
	if got := fmt.Sprint(six("config-get", "").Arguments); strings.Contains(got, "Dhcp4") || !strings.Contains(got, "Dhcp6") {
		t.Errorf("config-get of DHCPv6: %.200s", got)
	}
	if r := six("dhcp-enable", `{}`); r.Result != 0 || c.ask(c.solicit()) == nil {
		t.Errorf("enable: %+v, %s", r, b.drops())
	}
}

// A worker does not allocate for a SOLICIT, a REQUEST or a RENEW, of an address and
// a prefix, nor behind a relay.
func TestDHCPv6AllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := newBed(t, testConfig6(t.TempDir(), "", "", false), Options{})
	defer b.close()
	c := newClient6(b, 1)
	rep := c.lease()
	renew := c.solicit()
	renew.MessageType = dhcpv6.MessageTypeRenew
	renew.AddOption(dhcpv6.OptServerID(rep.Options.ServerID()))
	request := c.solicit()
	request.MessageType = dhcpv6.MessageTypeRequest
	request.AddOption(dhcpv6.OptServerID(rep.Options.ServerID()))
	relayed, err := dhcpv6.EncapsulateRelay(c.solicit(), dhcpv6.MessageTypeRelayForward, net.ParseIP("2001:db8:1::fe"), c.src[:])
	if err != nil {
		t.Fatal(err)
	}
	relayed.AddOption(dhcpv6.OptInterfaceID([]byte("port 7")))
	for name, m := range map[string]dhcpv6.DHCPv6{"SOLICIT": c.solicit(), "REQUEST": request, "RENEW": renew, "RELAY-FORW": relayed} {
		f := c.frame(m)
		p := []netio.Packet{{Data: make([]byte, 0, 2048), IfIndex: 7}}
		run := func() {
			p[0].Data = append(p[0].Data[:0], f...)
			b.now += 1e9
			b.w.HandleBatch(p, b.now)
			if p[0].Action == netio.Drop {
				t.Fatalf("%s is not answered: %s", name, b.drops())
			}
		}
		run()
		if n := testing.AllocsPerRun(200, run); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// raw6 is octets that stand for a message.
type raw6 []byte

func (r raw6) ToBytes() []byte                            { return r }
func (raw6) Type() dhcpv6.MessageType                     { return 0 }
func (raw6) String() string                               { return "" }
func (raw6) Summary() string                              { return "" }
func (raw6) LongString(int) string                        { return "" }
func (raw6) IsRelay() bool                                { return false }
func (raw6) GetInnerMessage() (*dhcpv6.Message, error)    { return nil, nil }
func (raw6) GetOption(dhcpv6.OptionCode) []dhcpv6.Option  { return nil }
func (raw6) GetOneOption(dhcpv6.OptionCode) dhcpv6.Option { return nil }
func (raw6) AddOption(dhcpv6.Option)                      {}
func (raw6) UpdateOption(dhcpv6.Option)                   {}

// RFC 8415 §14: whether a message to the multicast address came in a frame that
// is addressed to the server alone is not looked at.
func TestRFC8415_14_LinkLayerUnicast(t *testing.T) {
	b := newBed(t, testConfig6(t.TempDir(), "", "", false), Options{})
	defer b.close()
	c := newClient6(b, 1)
	f := c.frame(c.solicit())
	copy(f, []byte{2, 0, 0, 0, 0, 1})
	if p := b.send(f); p.Action != netio.Send {
		t.Errorf("action %d: %s", p.Action, b.drops())
	}
}
