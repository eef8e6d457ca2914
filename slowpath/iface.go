package slowpath

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// iface is what answering needs of an interface.
type iface struct {
	index uint32
	name  string
	mac   [6]byte
	// mtu is the longest IP packet that leaves there in one piece.
	mtu   int
	addrs []dhcp4.IPv4
	// serve4 and serve6 say which families the configuration serves there.
	serve4, serve6 bool
	// addrs6 are its IPv6 addresses, linkLocal the first of them that is one.
	addrs6    [][16]byte
	linkLocal [16]byte
	all       *ifaces // that it is one of
}

// ifaces is an immutable list, swapped whole when an interface changes.
type ifaces struct {
	list  []iface
	local []dhcp4.IPv4 // of all interfaces
	// byIndex is nil where there are few: then a scan beats a map.
	byIndex map[uint32]*iface
	isLocal map[dhcp4.IPv4]struct{} // of local
}

// fewIfaces is up to how many interfaces are looked for by a scan. A server with
// VLAN interfaces may have thousands.
const fewIfaces = 16

// newIfaces takes the interfaces of the machine. serves says which of them a
// family serves.
func newIfaces(in []netio.Interface, serves func(v stat.Family, name string) bool) *ifaces {
	x := &ifaces{list: make([]iface, 0, len(in)), isLocal: map[dhcp4.IPv4]struct{}{}}
	for _, n := range in {
		f := iface{index: n.Index, name: n.Name, mac: n.MAC, mtu: n.MTU, serve4: serves(stat.V4, n.Name), serve6: serves(stat.V6, n.Name), all: x}
		if f.mtu <= 0 {
			f.mtu = etherMTU
		}
		for _, a := range n.Addrs4 {
			f.addrs = append(f.addrs, dhcp4.IPv4(a.Addr))
		}
		for _, a := range n.Addrs6 {
			f.addrs6 = append(f.addrs6, a.Addr)
			if a.Addr[0] == 0xfe && a.Addr[1]&0xc0 == 0x80 && f.linkLocal == ([16]byte{}) {
				f.linkLocal = a.Addr
			}
		}
		x.local = append(x.local, f.addrs...)
		x.list = append(x.list, f)
	}
	for _, a := range x.local {
		x.isLocal[a] = struct{}{}
	}
	if len(x.list) > fewIfaces {
		x.byIndex = make(map[uint32]*iface, len(x.list))
		for i := range x.list {
			x.byIndex[x.list[i].index] = &x.list[i]
		}
	}
	return x
}

// find returns the interface, nil if it is not known (any more).
func (x *ifaces) find(index uint32) *iface {
	if x.byIndex != nil {
		return x.byIndex[index]
	}
	for i := range x.list {
		if x.list[i].index == index {
			return &x.list[i]
		}
	}
	return nil
}

// etherMTU is the MTU of Ethernet, and of an interface that does not say.
const etherMTU = 1500

// Every network carries packets of these lengths (RFC 791 §3.1, RFC 8200 §5).
const (
	minMTU4 = 576
	minMTU6 = 1280
)

// fullLen is the length up to which options fill the IP packet of a reply: that of
// Ethernet, and less where the MTU is less. A datagram backend cuts a packet into
// fragments by itself. f is nil where the interface is not known.
func (f *iface) fullLen(synthetic bool, least int) int {
	if f == nil || synthetic {
		return etherMTU
	}
	return max(min(f.mtu, etherMTU), least)
}

// carries says whether an IP packet of n octets can leave by the interface.
func (f *iface) carries(synthetic bool, n int) bool {
	return f == nil || synthetic || n <= f.mtu
}

// addrFor is the address that answers a packet sent to dst: dst itself if it is
// the interface's or another's of this machine (a relay may know the server by one
// of a loopback), else the interface's first address, 0 if it has none.
func (f *iface) addrFor(dst dhcp4.IPv4) dhcp4.IPv4 {
	for _, a := range f.addrs {
		if a == dst {
			return a
		}
	}
	if len(f.addrs) == 0 {
		return 0
	}
	if dst != 0xFFFFFFFF {
		if _, ok := f.all.isLocal[dst]; ok {
			return dst
		}
	}
	return f.addrs[0]
}

// addr6For is the address that answers a packet sent to dst: dst itself if that is
// no group, for then it is ours, or it would not have been taken; else the
// interface's link-local address, as what is sent to a group is answered from the
// link; zero if it has none.
func (f *iface) addr6For(dst [16]byte) [16]byte {
	if dst[0] != 0xff {
		return dst
	}
	if f.linkLocal == ([16]byte{}) && len(f.addrs6) > 0 {
		return f.addrs6[0]
	}
	return f.linkLocal
}
