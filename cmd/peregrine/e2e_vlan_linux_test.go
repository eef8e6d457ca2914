package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/peregrine-dhcp/peregrine/bpf"
	"github.com/peregrine-dhcp/peregrine/fastpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// In the servers of these tests an interface whose name ends in a dot and a number
// passes for a VLAN interface over the one named before it: many kernels that tests
// run on have no 802.1Q.
func init() { linkTable = dottedLinks{} }

type dottedLinks struct{}

func (dottedLinks) Links() ([]fastpath.Link, error) {
	links, err := fastpath.Kernel{}.Links()
	index := map[string]uint32{}
	outer := map[string]bool{} // has a VLAN interface over it that has one over it
	for _, l := range links {
		index[l.Name] = l.Index
		if at := strings.LastIndexByte(l.Name, '.'); at > 0 {
			outer[l.Name[:at]] = true
		}
	}
	for i := range links {
		l := &links[i]
		at := strings.LastIndexByte(l.Name, '.')
		if at < 0 || index[l.Name[:at]] == 0 {
			continue
		}
		if vid, err := strconv.ParseUint(l.Name[at+1:], 10, 12); err == nil {
			l.Parent, l.Tag = index[l.Name[:at]], bpf.Tag{TPID: frame.EtherTypeVLAN, VID: uint16(vid)}
			if outer[l.Name] {
				l.Tag.TPID = frame.EtherTypeQinQ
			}
		}
	}
	return links, err
}

// addVLAN makes what passes for a VLAN interface.
func (b *bed) addVLAN(name, cidr string) {
	b.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := b.srv.NL.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "x" + name[len(serverIf):]}); err != nil {
		b.t.Fatalf("make %s: %v", name, err)
	}
	b.srv.Up(b.t, "x"+name[len(serverIf):])
	if cidr != "" {
		b.srv.addAddr(b.t, name, cidr)
	}
	b.srv.Up(b.t, name)
}

// TestVLANInterfaces: clients on VLAN interfaces, QinQ among them, get addresses of
// their subnets from the device below, which is not served itself; then it is, and a
// VLAN interface goes and comes back.
func TestVLANInterfaces(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		const five, seven, seven5 = serverIf + ".5", serverIf + ".7", serverIf + ".7.5"
		b.addVLAN(five, "10.5.0.1/24")
		b.addVLAN(seven, "")
		b.addVLAN(seven5, "10.75.0.1/24")
		interfaces := func(names ...any) { c.dhcp4["interfaces-config"] = object{"interfaces": names} }
		interfaces(five, seven5)
		c.dhcp4["subnet4"] = []any{
			c.subnet,
			object{"id": 5, "subnet": "10.5.0.0/24", "pools": []any{object{"pool": "10.5.0.100-10.5.0.200"}}},
			object{"id": 75, "subnet": "10.99.0.0/24", "interface": seven5, "pools": []any{object{"pool": "10.99.0.100-10.99.0.200"}}},
		}
		b.startWith(c)
		w := b.newWire()
		mac := func(i uint32) netiotest.MAC { return netiotest.ClientMAC(i) }
		in5 := []netiotest.Option{netiotest.VLAN(5)}
		in75 := []netiotest.Option{netiotest.VLAN(7), netiotest.VLAN(5)}
		device := func(name string) (m [6]byte) {
			copy(m[:], b.srv.Link(t, name).Attrs().HardwareAddr)
			return m
		}
		check := func(what string, a *netiotest.Answer, net, server dhcp4.IPv4, name string, tags ...uint16) {
			t.Helper()
			id, _ := a.View.ServerID()
			if a.View.YIAddr()&^0xFF != net || id != server || a.Src4 != uint32(server) || a.SrcMAC != device(name) || int(a.VLANCount) != len(tags) {
				t.Errorf("%s: address %v, server %v at %x from %v, %d tags", what, a.View.YIAddr(), id, a.SrcMAC, dhcp4.IPv4(a.Src4), a.VLANCount)
			}
			for i, v := range tags[:min(len(tags), int(a.VLANCount))] {
				if a.VLANs[i].TCI&0xFFF != v {
					t.Errorf("%s: tags %+v", what, a.VLANs)
				}
			}
		}
		a5 := w.lease(mac(1), in5...)
		check("VLAN 5", a5, 0x0A050000, 0x0A050001, five, 5)
		a75 := w.lease(mac(2), in75...)
		// The subnet is named by the interface, and its address is of another.
		check("QinQ 7.5", a75, 0x0A630000, 0x0A4B0001, seven5, 7, 5)
		w.silence("untagged, not served", netiotest.Discover(mac(3)))
		w.silence("VLAN 6", netiotest.Discover(mac(3), netiotest.VLAN(6)))
		w.silence("service VLAN 7", netiotest.Discover(mac(3), netiotest.VLAN(7)))

		// By unicast, to the MAC address of the VLAN interface.
		renew := func(net string) *netiotest.Query {
			q := netiotest.Renew(mac(1), a5.View.YIAddr(), 0x0A050001, in5...)
			q.Out.DstMAC = device(net)
			return q
		}
		w.ask("renewal on VLAN 5", renew(five), dhcp4.MsgAck)
		var st struct {
			Dataplane struct {
				Interfaces []interfaceJSON `json:"interfaces"`
			} `json:"dataplane"`
		}
		b.command("status-get", nil, &st)
		for _, i := range st.Dataplane.Interfaces {
			if i.Device != serverIf || i.Mode != wantMode(c) {
				t.Errorf("status-get: %+v", i)
			}
		}
		if n := len(st.Dataplane.Interfaces); n != 2 {
			t.Errorf("status-get tells of %d interfaces, want 2: %+v", n, st)
		}

		// The device too, by a reload.
		interfaces(five, seven5, serverIf)
		b.write(c)
		b.command("config-reload", nil, nil)
		check("untagged", w.lease(mac(4)), 0x0A4D0100, serverIP, serverIf)
		w.ask("renewal on VLAN 5 after the reload", renew(five), dhcp4.MsgAck)
		w.silence("VLAN 6 still", netiotest.Discover(mac(3), netiotest.VLAN(6)))
		b.command("interface-redetect", nil, nil)

		// Gone and back.
		if err := b.srv.NL.LinkDel(b.srv.Link(t, five)); err != nil {
			t.Fatal(err)
		}
		until(t, "the VLAN interface not to be ready", func() bool { return b.socketStatus().Status == "failed" })
		w.silence("VLAN 5, gone", netiotest.Discover(mac(1), in5...))
		check("untagged meanwhile", w.lease(mac(5)), 0x0A4D0100, serverIP, serverIf)
		b.addVLAN(five, "10.5.0.1/24")
		until(t, "the VLAN interface to be ready", func() bool { return b.socketStatus().Status == "ready" })
		w.ask("renewal on VLAN 5, back", renew(five), dhcp4.MsgAck)
		check("QinQ 7.5, undisturbed", w.lease(mac(2), in75...), 0x0A630000, 0x0A4B0001, seven5, 7, 5)
		b.p.terminate()
	})
}
