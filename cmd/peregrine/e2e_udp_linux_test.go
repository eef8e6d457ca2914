package main

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// TestUDPSockets6: without XDP and packet sockets DHCPv6 is served over UDP sockets,
// as Kea serves it: a real client by multicast, relays by the servers' group and by
// unicast to a global address that the configuration names.
func TestUDPSockets6(t *testing.T) {
	t.Parallel()
	b := newBed6(t)
	args := b.dhclient6(t)
	c := b.newConf6("auto")
	c.dhcp6["interfaces-config"] = object{"interfaces": []any{serverIf + "/" + serverIP6}}
	four := b.newConf("auto")
	four.dhcp4["control-sockets"] = []any{object{"socket-type": "unix", "socket-name": filepath.Join(b.dir, "four.sock")}}
	four.dhcp4["interfaces-config"] = object{"interfaces": []any{serverIf}, "dhcp-socket-type": "udp"}
	c.dhcp4 = four.dhcp4
	b.start6(c)
	if got := b.mode(); got != "udp" {
		t.Errorf("served in mode %q, want udp", got)
	}

	p := spawn(t, b.cli, filepath.Join(b.dir, "dhclient6.log"), append(args, "-d", clientIf)...)
	seen := 0
	for range 2 { // an address and a prefix
		p.waitFor(&seen, `event=BOUND6 (ip|prefix)=\S+`)
	}
	b.wantLeases6(1, 1)

	b.cli.addAddr(t, clientIf, "2001:db8:77::2/64")
	var relay *net.UDPConn
	until(t, "the relay to have its address", func() bool {
		return b.cli.In(func() (err error) {
			relay, err = net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP("2001:db8:77::2"), Port: 547})
			return err
		}) == nil
	})
	defer relay.Close()
	solicit, err := dhcpv6.NewMessage(dhcpv6.WithClientID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 7}}),
		dhcpv6.WithIAID([4]byte{0, 0, 0, 1}))
	if err != nil {
		t.Fatal(err)
	}
	forward, err := dhcpv6.EncapsulateRelay(solicit, dhcpv6.MessageTypeRelayForward, net.ParseIP(serverIP6), net.ParseIP("fe80::7"))
	if err != nil {
		t.Fatal(err)
	}
	zone := strconv.Itoa(b.cli.Link(t, clientIf).Attrs().Index)
	for _, tc := range []struct{ dst, from string }{
		{serverIP6, serverIP6}, // what was asked by unicast answers from there
		{"ff05::1:3", netip.AddrFrom16(b.srv.linkLocal(t, serverIf)).String()},
	} {
		var from *net.UDPAddr
		var m dhcpv6.DHCPv6
		until(t, "an answer from "+tc.from, func() bool {
			if _, err := relay.WriteTo(forward.ToBytes(), &net.UDPAddr{IP: net.ParseIP(tc.dst), Port: 547, Zone: zone}); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 2048)
			_ = relay.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
			n, addr, err := relay.ReadFromUDP(buf)
			if err != nil {
				return false
			}
			from = addr
			if m, err = dhcpv6.FromBytes(buf[:n]); err != nil {
				t.Fatal(err)
			}
			return true
		})
		a, ok := m.(*dhcpv6.RelayMessage)
		if !ok || a.MessageType != dhcpv6.MessageTypeRelayReply {
			t.Fatalf("%s: answered by %v", tc.dst, m.Summary())
		}
		if in, err := a.GetInnerMessage(); err != nil || in.MessageType != dhcpv6.MessageTypeAdvertise {
			t.Errorf("%s: inside is %v, %v", tc.dst, in, err)
		}
		if from.Port != 547 || from.IP.String() != tc.from {
			t.Errorf("%s: answered from %v, want %s", tc.dst, from, tc.from)
		}
	}
	b.p.terminate()
}
