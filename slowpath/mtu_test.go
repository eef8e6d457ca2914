package slowpath

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// A reply fits the MTU of its interface: options are left out and counted, those
// that were asked for last. What a datagram backend sends may be cut up on the way.
func TestReplyFitsMTU(t *testing.T) {
	long := func(n int, names ...string) string {
		var o []string
		for _, name := range names {
			o = append(o, fmt.Sprintf(`{ "name": %q, "data": %q, "always-send": true }`, name, strings.Repeat("x", n)))
		}
		return `"option-data": [ ` + strings.Join(o, ", ") + " ],"
	}
	four := fmt.Sprintf(`{ "interfaces-config": { "interfaces": [ "dhcp0" ] }, "lease-database": { "type": "memfile", "persist": false }, %s
		"subnet4": [ { "id": 1, "subnet": "10.67.0.0/16", "pools": [ { "pool": "10.67.1.0 - 10.67.1.255" } ] } ] }`,
		long(250, "root-path", "merit-dump", "extensions-path", "nis-domain", "nwip-domain-name", "uap-servers"))
	six := long(450, "bootfile-url", "new-posix-timezone", "new-tzdb-timezone", "v6-captive-portal")
	b := newBed(t, testConfig6("/nowhere", four, six, false), Options{})
	defer b.close()
	c := newClient6(b, 1)
	for _, tc := range []struct {
		mtu       int
		synthetic bool
		longest   int // an IP packet
	}{
		{0, false, 1500}, {1500, false, 1500}, {9000, false, 1500}, {1400, false, 1400},
		{1280, false, 1280}, {1280, true, 1500},
	} {
		ifs := []netio.Interface{{Index: 7, Name: "dhcp0", MAC: [6]byte{2, 0, 0, 0, 0, 1}, Up: true, MTU: tc.mtu,
			Addrs4: []netio.Prefix4{{Addr: uint32(serverIP), Len: 16}}, Addrs6: []netio.Prefix6{{Addr: link6, Len: 64}}}}
		b.s.SetInterfaces(ifs)
		for name, f := range map[string][]byte{
			"DISCOVER": netiotest.Discover(netiotest.ClientMAC(1), netiotest.Relayed(relayIP, serverIP)).Frame(),
			"SOLICIT":  c.frame(c.solicit()),
		} {
			before := b.s.Truncated()
			p := []netio.Packet{{Data: append(make([]byte, 0, 2048), f...), IfIndex: 7, Synthetic: tc.synthetic}}
			b.w.HandleBatch(p, b.now)
			var h frame.Headers
			if why := frame.Decode(p[0].Data, &h); p[0].Action == netio.Drop || why != frame.ReasonOK {
				t.Fatalf("%s, MTU %d: no answer: %s", name, tc.mtu, b.drops())
			}
			n := len(p[0].Data) - 14
			if n > tc.longest || n < tc.longest-460 || b.s.Truncated() == before {
				t.Errorf("%s, MTU %d, synthetic %t: %d octets, %d replies truncated", name, tc.mtu, tc.synthetic, n, b.s.Truncated()-before)
			}
		}
	}
	// What cannot be left out and does not fit is counted, not lost on the way.
	b.s.SetInterfaces([]netio.Interface{{Index: 7, Name: "dhcp0", MAC: [6]byte{2, 0, 0, 0, 0, 1}, Up: true, MTU: 200,
		Addrs4: []netio.Prefix4{{Addr: uint32(serverIP), Len: 16}}}})
	if p := b.send(netiotest.Discover(netiotest.ClientMAC(1), netiotest.Relayed(relayIP, serverIP)).Frame()); p.Action != netio.Drop {
		t.Errorf("an answer of %d octets at an MTU of 200", len(p.Data))
	}
	if d := b.drops(); !strings.Contains(d, "reply-too-long") {
		t.Errorf("drops are %s", d)
	}
}
