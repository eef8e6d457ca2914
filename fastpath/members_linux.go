package fastpath

import (
	"slices"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/bpf"
	"github.com/peregrine-dhcp/peregrine/fastpath/xsk"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// carrier is the device that brings a VLAN interface's frames, and the tags they
// have there, outermost first. ok is false for what is no VLAN interface, and where
// the way down to the device is not known or has more tags than are understood:
// such an interface is served by itself.
func carrier(links []Link, l *Link) (device *Link, tags [frame.MaxVLANs]bpf.Tag, ok bool) {
	n := 0
	for ; l.Parent != 0; n++ {
		if n == frame.MaxVLANs {
			return nil, tags, false
		}
		tags[1], tags[0] = tags[0], l.Tag
		if l = find(links, l.Parent); l == nil {
			return nil, tags, false
		}
	}
	return l, tags, n > 0 && !l.Loopback
}

func netioTags(tags [frame.MaxVLANs]bpf.Tag) (t netio.Tags) {
	for i, x := range tags {
		t.TPID[i], t.VID[i] = x.TPID, x.VID
	}
	return t
}

// plan says by device which of the selected interfaces that are up it carries:
// itself, the VLAN interfaces over it, or both. In modes without tags every
// interface carries itself.
func (d *Dataplane) plan() map[uint32][]*Link {
	out := map[uint32][]*Link{}
	for i := range d.links {
		l := &d.links[i]
		if !l.Up || !d.opt.selects(&l.Interface) {
			continue
		}
		device := l.Index
		if c, _, ok := carrier(d.links, l); ok && !d.opt.UDPOnly && !d.alone[l.Index] {
			if device = c.Index; !c.Up {
				continue
			}
		}
		out[device] = append(out[device], l)
	}
	return out
}

// vlansOver are all VLAN interfaces over a device, served or not.
func (d *Dataplane) vlansOver(device uint32) []bpf.VLAN {
	var out []bpf.VLAN
	for i := range d.links {
		if c, tags, ok := carrier(d.links, &d.links[i]); ok && c.Index == device {
			out = append(out, bpf.VLAN{IfIndex: d.links[i].Index, Tags: tags})
		}
	}
	return out
}

// anyAddrs are the destinations that are ours on every interface: the addresses of
// this machine, which answers to all of them on each (a relay may know it by one of
// a loopback), for IPv6 as far as Options.Unicast6 has them. The addresses of a
// link are left out.
func (d *Dataplane) anyAddrs() (a4 []uint32, a6 [][16]byte) {
	links, wanted := d.links, d.opt.Unicast6
	for i := range links {
		for _, p := range links[i].Addrs4 {
			if p.Addr>>24 != 127 {
				a4 = append(a4, p.Addr)
			}
		}
		for _, p := range links[i].Addrs6 {
			if !linkLocal(p.Addr) && p.Addr != ([16]byte{15: 1}) && (wanted == nil || slices.Contains(wanted, p.Addr)) {
				a6 = append(a6, p.Addr)
			}
		}
	}
	slices.Sort(a4)
	netio.SortAddrs6(a6)
	return slices.Compact(a4), slices.Compact(a6)
}

// ownAddrs are the destinations that are ours on this interface alone: the
// broadcast addresses of its subnets and its link-local addresses.
func ownAddrs(l *Link) (a4 []uint32, a6 [][16]byte) {
	for _, p := range l.Addrs4 {
		if b, ok := p.Broadcast(); ok {
			a4 = append(a4, b)
		}
	}
	for _, p := range l.Addrs6 {
		if linkLocal(p.Addr) {
			a6 = append(a6, p.Addr)
		}
	}
	slices.Sort(a4)
	netio.SortAddrs6(a6)
	return slices.Compact(a4), slices.Compact(a6)
}

func linkLocal(a [16]byte) bool { return a[0] == 0xFE && a[1]&0xC0 == 0x80 }

// members is what the sockets of the device of p are to know.
func (p *port) netioMembers() *netio.Members {
	m := &netio.Members{Device: netio.Member{IfIndex: p.link.Index}, VLANs: map[netio.Tags]*netio.Member{}}
	m.Addrs4, m.Addrs6 = p.d.any4, p.d.any6
	for _, v := range p.d.vlansOver(p.link.Index) {
		w := &netio.Member{IfIndex: v.IfIndex}
		if x := p.members[v.IfIndex]; x != nil {
			x.describe(w)
		}
		m.VLANs[netioTags(v.Tags)] = w
	}
	if x := p.members[p.link.Index]; x != nil {
		x.describe(&m.Device)
		m.Tagged = p.d.opt.ServeTagged
	}
	return m
}

func (x *member) describe(m *netio.Member) {
	m.MAC, m.Four, m.Six = x.link.MAC, x.four, x.six
	m.Addrs4, m.Addrs6 = ownAddrs(&x.link)
}

// tagConn is an AF_XDP socket that gives each frame the index of the interface it
// belongs to.
type tagConn struct {
	*xsk.Socket
	members *atomic.Pointer[netio.Members]
	refused atomic.Uint64
}

var (
	_ netio.Conn       = (*tagConn)(nil)
	_ netio.Backlogger = (*tagConn)(nil)
)

// Recv implements netio.Conn. What belongs to nobody here was redirected just
// before the interface it was for went; it is refused.
func (c *tagConn) Recv(pkts []netio.Packet) int {
	n := c.Socket.Recv(pkts)
	m := c.members.Load()
	kept := 0
	for i := range n {
		p := &pkts[i]
		if b := p.Data; len(b) >= 14 && (b[12] == 0x81 || b[12] == 0x88) { // tagged
			who, _, _ := m.Find(b)
			if who == nil {
				c.Release(pkts[i : i+1])
				c.refused.Add(1)
				continue
			}
			p.IfIndex = who.IfIndex
		}
		if kept != i {
			pkts[kept] = *p
		}
		kept++
	}
	return kept
}

// ConnStats implements netio.Conn.
func (c *tagConn) ConnStats() netio.ConnStats {
	s := c.Socket.ConnStats()
	s.RxRefused += c.refused.Load()
	return s
}
