package main

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// wire6 sends frames of DHCPv6 from the clients' end and takes what the server
// sends to its addresses, tags and all.
type wire6 struct {
	b    *bed
	conn *netio.PacketConn
}

// newWire6 takes what is sent to port of addrs.
func (b *bed) newWire6(port uint16, addrs ...[16]byte) *wire6 {
	b.t.Helper()
	w := &wire6{b: b}
	index := b.cli.Link(b.t, clientIf).Attrs().Index
	err := b.cli.In(func() error {
		conns, err := netio.OpenPacket(netio.PacketOptions{IfIndex: uint32(index), Port6: port, Slots: 256}, 1)
		if err == nil {
			w.conn = conns[0]
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	w.conn.SetAddrs6(addrs)
	b.t.Cleanup(func() { w.conn.Close() })
	return w
}

// ask sends a frame until something comes back, and returns the headers and the
// message.
func (w *wire6) ask(what string, f []byte) (h frame.Headers, msg dhcpv6.DHCPv6) {
	w.b.t.Helper()
	var p [1]netio.Packet
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if !w.conn.Alloc(&p[0]) {
			w.b.t.Fatal("no frame")
		}
		p[0].Data = append(p[0].Data, f...)
		w.conn.Send(p[:])
		w.conn.Flush()
		for again := time.Now().Add(500 * time.Millisecond); time.Now().Before(again); {
			w.conn.Wait(50_000_000)
			if w.conn.Recv(p[:]) == 0 {
				continue
			}
			why := frame.Decode(p[0].Data, &h)
			if why != frame.ReasonOK || h.SrcPort != 547 || h.ChecksumPartial {
				w.b.t.Fatalf("%s: the answer's headers: %v, %+v", what, why, h)
			}
			m, err := dhcpv6.FromBytes(p[0].Data[h.PayloadOff:][:h.PayloadLen])
			if err != nil {
				w.b.t.Fatalf("%s: %v", what, err)
			}
			w.conn.Release(p[:])
			return h, m
		}
	}
	w.b.t.Fatalf("%s: no answer\n%s", what, w.b.why())
	return h, nil
}

// build writes a frame around a message.
func (w *wire6) build(m dhcpv6.DHCPv6, src [16]byte, dst string, srcPort uint16, tags ...frame.VLAN) []byte {
	msg := m.ToBytes()
	o := frame.Out6{DstMAC: w.b.serverMAC(), Src6: src, Dst6: netip.MustParseAddr(dst).As16(), SrcPort: srcPort, DstPort: 547}
	copy(o.SrcMAC[:], w.b.cli.Link(w.b.t, clientIf).Attrs().HardwareAddr)
	if o.Dst6[0] == 0xff {
		o.DstMAC = [6]byte{0x33, 0x33}
		copy(o.DstMAC[2:], o.Dst6[12:])
	}
	o.VLANCount = uint8(copy(o.VLANs[:], tags))
	off := frame.HeaderLen6(o.VLANCount)
	b := make([]byte, off+len(msg))
	copy(b[off:], msg)
	return b[:frame.Write6(b, &o, len(msg))]
}

// withExtension puts an extension header of eight octets into an untagged frame.
func withExtension(f []byte, typ byte) []byte {
	out := append(bytes.Clone(f[:54]), unix.IPPROTO_UDP, 0, 1, 4, 0, 0, 0, 0)
	out = append(out, f[54:]...)
	out[20] = typ
	binary.BigEndian.PutUint16(out[18:], uint16(len(out)-54))
	return out
}

// TestWire6: SOLICITs as they come from links of all kinds, each answered the way
// it came.
func TestWire6(t *testing.T) {
	t.Parallel()
	eachMode6(t, func(t *testing.T, b *bed, c *conf6) {
		c.dataplane["unknown-vlans"] = "serve"
		b.start6(c)
		if got, want := b.mode(), wantMode(&conf{dataplane: c.dataplane}); got != want {
			t.Errorf("served in mode %q, want %q", got, want)
		}
		local := b.cli.linkLocal(t, clientIf)
		relay := netip.MustParseAddr("2001:db8:77::2").As16()
		client, relays := b.newWire6(546, local), b.newWire6(547, relay, local)
		mac := b.cli.Link(t, clientIf).Attrs().HardwareAddr
		duid := &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: mac}
		solicit, err := dhcpv6.NewMessage(dhcpv6.WithClientID(duid), dhcpv6.WithIAID([4]byte{0, 0, 0, 1}))
		if err != nil {
			t.Fatal(err)
		}
		service, customer := frame.VLAN{TPID: 0x88A8, TCI: 7}, frame.VLAN{TPID: 0x8100, TCI: 5}
		const group = "ff02::1:2"
		plain := client.build(solicit, local, group, 546)
		for _, tc := range []struct {
			name  string
			frame []byte
			tags  uint8
		}{
			{"plain", plain, 0},
			{"VLAN", client.build(solicit, local, group, 546, customer), 1},
			{"QinQ", client.build(solicit, local, group, 546, service, customer), 2},
			{"hop-by-hop options", withExtension(plain, unix.IPPROTO_HOPOPTS), 0},
			{"destination options", withExtension(plain, unix.IPPROTO_DSTOPTS), 0},
		} {
			h, m := client.ask(tc.name, tc.frame)
			if a, ok := m.(*dhcpv6.Message); !ok || a.MessageType != dhcpv6.MessageTypeAdvertise || a.TransactionID != solicit.TransactionID {
				t.Errorf("%s: answered by %v", tc.name, m.Summary())
			}
			if h.Dst6 != local || h.DstPort != 546 || h.Src6 != b.srv.linkLocal(t, serverIf) || h.VLANCount != tc.tags ||
				tc.tags == 1 && h.VLANs[0] != customer || tc.tags == 2 && (h.VLANs[0] != service || h.VLANs[1] != customer) {
				t.Errorf("%s: the answer's headers are %+v", tc.name, h)
			}
		}

		forward, err := dhcpv6.EncapsulateRelay(solicit, dhcpv6.MessageTypeRelayForward, net.ParseIP(serverIP6), local[:])
		if err != nil {
			t.Fatal(err)
		}
		forward.AddOption(dhcpv6.OptInterfaceID([]byte("port 7")))
		for _, tc := range []struct {
			name, dst string
			src       [16]byte
		}{
			{"relay to the servers' group", "ff05::1:3", relay},
			{"relay to the server's address", serverIP6, relay},
			{"relay on the link", group, local},
		} {
			h, m := relays.ask(tc.name, relays.build(forward, tc.src, tc.dst, 547))
			a, ok := m.(*dhcpv6.RelayMessage)
			if !ok || a.MessageType != dhcpv6.MessageTypeRelayReply || string(a.Options.InterfaceID()) != "port 7" {
				t.Fatalf("%s: answered by %v", tc.name, m.Summary())
			}
			if in, err := a.GetInnerMessage(); err != nil || in.MessageType != dhcpv6.MessageTypeAdvertise {
				t.Errorf("%s: inside is %v, %v", tc.name, in, err)
			}
			if h.Dst6 != tc.src || h.DstPort != 547 {
				t.Errorf("%s: the answer's headers are %+v", tc.name, h)
			}
		}

		// Wrong checksums, and none at all, get no answer and are counted.
		for _, sum := range []uint16{0, binary.BigEndian.Uint16(plain[60:]) + 1} {
			f := bytes.Clone(plain)
			binary.BigEndian.PutUint16(f[60:], sum)
			p := []netio.Packet{{}}
			client.conn.Alloc(&p[0])
			p[0].Data = append(p[0].Data, f...)
			client.conn.Send(p)
			client.conn.Flush()
		}
		until(t, "bad checksums to be counted", func() bool {
			m := b.metrics()
			return m.sum("peregrine_xdp_packets_total", "checksum", `action="drop"`)+m.sum("peregrine_packets_dropped_total", `reason="udp-checksum`) >= 2
		})
		b.p.terminate()
	})
}
