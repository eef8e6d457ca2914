package class

import (
	"net/netip"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

// inClass7 is in class 7 alone.
type inClass7 struct{}

func (inClass7) InClass(i uint32) bool { return i == 7 }

// What expressions see of a DHCPv6 message inside two RELAY-FORW messages.
func TestMessage6(t *testing.T) {
	solicit := []byte{1, 0xab, 0xcd, 0xef, 0, 1, 0, 4, 0, 3, 0, 1, 0, 17, 0, 10, 0, 0, 0x11, 0x8b, 0, 1, 0, 2, 0, 32, 0, 15, 0, 0}
	relay := func(hops, last byte, m []byte, opts ...byte) []byte {
		b := make([]byte, 34)
		b[0], b[1], b[2], b[17], b[18], b[33] = 12, hops, 0x20, last, 0xfe, last
		b = append(append(b, opts...), 0, 9, 0, byte(len(m)))
		return append(b, m...)
	}
	// Level 0 is the relay nearest to the server, -1 that nearest to the client.
	m := relay(1, 2, relay(0, 1, solicit, 0, 18, 0, 1, 'c'), 0, 18, 0, 1, 's')
	var v dhcp6.View
	if r := v.Parse(m); r != dhcp6.ReasonOK {
		t.Fatal(r)
	}
	p := &Message6{View: &v, Interface: "eth7", From: netip.MustParseAddr("fe80::1"), To: netip.MustParseAddr("ff02::1:2"), Classes: inClass7{}}
	env := &Env{V6: true, OptionCode: OptionCode6, ClassIndex: func(n string) uint32 { return uint32(len(n)) }}
	var s Scratch
	for text, want := range map[string]bool{
		`pkt6.msgtype == 1`:                            true,
		`pkt6.transid == 0x00abcdef`:                   true,
		`option[1].hex == 0x00030001`:                  true,
		`option[clientid].exists`:                      true,
		`option[15].exists and option[15].hex == ''`:   true,
		`option[2].exists`:                             false,
		`relay6[0].option[18].hex == 's'`:              true,
		`relay6[-1].option[18].hex == 'c'`:             true,
		`relay6[1].option[18].hex == 'c'`:              true,
		`relay6[2].option[18].exists`:                  false,
		`relay6[0].linkaddr == 2000::2`:                true,
		`relay6[-1].peeraddr == fe00::1`:               true,
		`pkt.iface == 'eth7'`:                          true,
		`pkt.src == fe80::1 and pkt.dst == ff02::1:2`:  true,
		`vendor[4491].exists`:                          true,
		`vendor[4491].option[1].hex == 0x0020`:         true,
		`vendor[4492].exists`:                          false,
		`member('seven77') and not member('eight888')`: true,
		`pkt6.msgtype == 3`:                            false,
	} {
		e, err := Compile(text, Bool, env)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := e.Test(p, &s); got != want {
			t.Errorf("%s: %v (%v)", text, got, s.Failed())
		}
	}
	if p.Len() != len(m) || (&Message6{View: &v}).InClass(7) {
		t.Error("length or classes")
	}
	if c, ok := OptionCode6("dns-servers"); !ok || c != 23 {
		t.Error("dns-servers")
	}
	if _, ok := OptionCode6(""); ok {
		t.Error("an option without a name")
	}
}
