package main

import (
	"bytes"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// TestRelay: option 82 comes back as it was, to the relay, and the subnet is
// chosen by giaddr.
func TestRelay(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		c.dhcp4["subnet4"] = []any{c.subnet, object{
			"id": 2, "subnet": "100.64.0.0/16", "pools": []any{object{"pool": "100.64.1.0 - 100.64.1.255"}},
			"reservations": []any{object{"circuit-id": "'olt1/port7'", "ip-address": "100.64.9.9"}},
		}}
		b.startWith(c)
		w := b.newWire()
		const giaddr = dhcp4.IPv4(0x64400001) // 100.64.0.1
		for i, rai := range [][2]string{{"port 1", "modem"}, {"", "only remote"}, {string(bytes.Repeat([]byte{7}, 100)), string(bytes.Repeat([]byte{8}, 100))}} {
			var circuit []byte
			if rai[0] != "" {
				circuit = []byte(rai[0])
			}
			mac := netiotest.ClientMAC(uint32(i))
			q := netiotest.Discover(mac, netiotest.Relayed(giaddr, serverIP), netiotest.WithRAI(circuit, []byte(rai[1])))
			a := w.lease(mac, netiotest.Relayed(giaddr, serverIP), netiotest.WithRAI(circuit, []byte(rai[1])))
			if got, want := a.View.Option(dhcp4.OptRelayAgentInformation), q.Get(dhcp4.OptRelayAgentInformation); !bytes.Equal(got, want) {
				t.Errorf("option 82 is %x, want %x", got, want)
			}
			if raw := a.View.Raw(); !lastOption(raw, dhcp4.OptRelayAgentInformation) {
				t.Errorf("option 82 is not the last option\n%s", dhcp4.AppendText(nil, raw))
			}
			if a.Dst4 != uint32(giaddr) || a.DstPort != dhcp4.ServerPort || a.DstMAC != netiotest.RelayMAC || a.SrcMAC != w.mac {
				t.Errorf("the reply goes to %v:%d at %x from %x", dhcp4.IPv4(a.Dst4), a.DstPort, a.DstMAC, a.SrcMAC)
			}
			if got := a.View.YIAddr(); got>>16 != 0x6440 || a.View.GIAddr() != giaddr {
				t.Errorf("address %v, giaddr %v", got, a.View.GIAddr())
			}
			if l := b.leases()[a.View.YIAddr().String()]; l.Subnet != 2 {
				t.Errorf("lease %+v", l)
			}
		}
		mac := netiotest.ClientMAC(50)
		a := w.lease(mac, netiotest.Relayed(giaddr, serverIP), netiotest.WithRAI([]byte("olt1/port7"), nil))
		if got := a.View.YIAddr().String(); got != "100.64.9.9" {
			t.Errorf("the reserved line got %s", got)
		}
		// A client renews by unicast, the relay being a mere router: no giaddr.
		mac = netiotest.ClientMAC(51)
		a = w.lease(mac, netiotest.Relayed(giaddr, serverIP))
		r := w.ask("relayed client renews", netiotest.Renew(mac, a.View.YIAddr(), serverIP), dhcp4.MsgAck)
		if r.Dst4 != uint32(a.View.YIAddr()) || r.DstPort != dhcp4.ClientPort {
			t.Errorf("the renewal is answered to %v:%d", dhcp4.IPv4(r.Dst4), r.DstPort)
		}
		// A relay whose subnet is not served gets nothing.
		w.silence("unknown giaddr", netiotest.Discover(netiotest.ClientMAC(60), netiotest.Relayed(0x0B000001, serverIP)))
		if n := b.metrics().sum("peregrine_packets_dropped_total", `reason="no-subnet"`); n < 1 {
			t.Errorf("no-subnet is %v", n)
		}
	})
}

// lastOption says whether code is the last option before the end.
func lastOption(msg []byte, code byte) bool {
	at, last := 240, byte(0)
	for at < len(msg) && msg[at] != dhcp4.OptEnd {
		if msg[at] == dhcp4.OptPad {
			at++
			continue
		}
		last = msg[at]
		at += 2 + int(msg[at+1])
	}
	return last == code
}

// TestTags: what came with VLAN tags is answered with them.
func TestTags(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		c.dataplane["unknown-vlans"] = "serve"
		b.startWith(c)
		w := b.newWire()
		for i, vids := range [][]uint16{{}, {100}, {4094}, {200, 300}} {
			var opts []netiotest.Option
			for _, v := range vids {
				opts = append(opts, netiotest.VLAN(v))
			}
			a := w.lease(netiotest.ClientMAC(uint32(i)), opts...)
			want := netiotest.Discover(netiotest.ClientMAC(0), opts...).Out
			if int(a.VLANCount) != len(vids) {
				t.Fatalf("tags %v: the reply has %d", vids, a.VLANCount)
			}
			for j := range vids {
				if a.VLANs[j].TPID != want.VLANs[j].TPID || a.VLANs[j].TCI&0xfff != vids[j] {
					t.Errorf("tags %v: the reply has %+v", vids, a.VLANs[:a.VLANCount])
				}
			}
			if a.ChecksumPartial {
				t.Errorf("tags %v: the UDP checksum is not complete", vids)
			}
		}
		if frame.EtherTypeQinQ != 0x88A8 {
			t.Error("QinQ is not 802.1ad")
		}
	})
}

// TestClientStates: what RFC 2131 asks for beyond a first lease.
func TestClientStates(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		b.startWith(c)
		w := b.newWire()
		mac, other := netiotest.ClientMAC(1), netiotest.ClientMAC(2)
		addr := w.lease(mac).View.YIAddr()

		a := w.ask("renewing", netiotest.Renew(mac, addr, serverIP), dhcp4.MsgAck)
		if a.View.YIAddr() != addr || a.Dst4 != uint32(addr) || a.DstMAC != mac {
			t.Errorf("renewal: %v to %v at %x", a.View.YIAddr(), dhcp4.IPv4(a.Dst4), a.DstMAC)
		}
		a = w.ask("rebinding", netiotest.Rebind(mac, addr), dhcp4.MsgAck)
		if a.View.YIAddr() != addr {
			t.Errorf("rebinding: %v", a.View.YIAddr())
		}
		a = w.ask("rebooting", netiotest.InitReboot(mac, addr), dhcp4.MsgAck)
		if a.View.YIAddr() != addr {
			t.Errorf("rebooting: %v", a.View.YIAddr())
		}
		a = w.ask("broadcast flag", netiotest.Discover(mac, netiotest.WithBroadcast()), dhcp4.MsgOffer)
		if a.Dst4 != uint32(dhcp4.Broadcast) || a.DstMAC != (netiotest.MAC{255, 255, 255, 255, 255, 255}) {
			t.Errorf("broadcast flag: reply to %v at %x", dhcp4.IPv4(a.Dst4), a.DstMAC)
		}
		a = w.ask("inform", netiotest.Inform(other, 0x0A4D0505), dhcp4.MsgAck)
		if _, has := a.View.LeaseTime(); has || a.View.YIAddr() != 0 || router(a) != "10.77.0.1" {
			t.Errorf("inform:\n%s", dhcp4.AppendText(nil, a.View.Raw()))
		}

		// A foreign address, another client's address, an address outside.
		w.ask("foreign address", netiotest.InitReboot(other, 0xC0A80105), dhcp4.MsgNak)
		nak := w.ask("another's address", netiotest.InitReboot(other, addr), dhcp4.MsgNak)
		if nak.Dst4 != uint32(dhcp4.Broadcast) {
			t.Errorf("NAK to %v", dhcp4.IPv4(nak.Dst4))
		}
		w.silence("REQUEST for another server", netiotest.Request(other, addr, serverIP+9))
		w.silence("BOOTP", netiotest.Discover(other, netiotest.Without(dhcp4.OptMessageType), func(q *netiotest.Query) { q.Type = 0 }))

		// DECLINE: the address is not given again, not to the client either.
		w.send(addressed(w, netiotest.Decline(mac, addr, serverIP)))
		b.waitLease(addr.String(), "to be declined", func(l record, found bool) bool { return found && l.State == 1 })
		again := w.lease(mac).View.YIAddr()
		if again == addr {
			t.Errorf("a declined address %v was given again", addr)
		}
		// A RELEASE by somebody else is not obeyed.
		w.send(addressed(w, netiotest.Release(other, again, serverIP)))
		until(t, "the wrong RELEASE to be counted", func() bool {
			return b.metrics().sum("peregrine_packets_dropped_total", `reason="release-not-owner"`) == 1
		})
		b.waitLease(again.String(), "to be there still", func(l record, found bool) bool { return found && l.State == 0 && l.HW == macText(mac) })
		w.send(addressed(w, netiotest.Release(mac, again, serverIP)))
		b.waitLease(again.String(), "to be released", func(l record, found bool) bool { return !found || l.State != 0 })
	})
}

// addressed is the frame of a query with the server's hardware address.
func addressed(w *wire, q *netiotest.Query) []byte {
	if q.Out.DstMAC == netiotest.ServerMAC {
		q.Out.DstMAC = w.mac
	}
	return q.Frame()
}
