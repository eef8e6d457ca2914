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
	addrs []dhcp4.IPv4
	// serve4 and serve6 say which families the configuration serves there.
	serve4, serve6 bool
	// addrs6 are its IPv6 addresses, linkLocal the first of them that is one.
	addrs6    [][16]byte
	linkLocal [16]byte
}

// ifaces is an immutable list, swapped whole when an interface changes.
type ifaces struct {
	list  []iface
	local []dhcp4.IPv4 // of all interfaces
}

// newIfaces takes the interfaces of the machine. serves says which of them a
// family serves.
func newIfaces(in []netio.Interface, serves func(v stat.Family, name string) bool) *ifaces {
	x := &ifaces{list: make([]iface, 0, len(in))}
	for _, n := range in {
		f := iface{index: n.Index, name: n.Name, mac: n.MAC, serve4: serves(stat.V4, n.Name), serve6: serves(stat.V6, n.Name)}
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
	return x
}

// find returns the interface, nil if it is not known (any more). There are few;
// a scan beats a map.
func (x *ifaces) find(index uint32) *iface {
	for i := range x.list {
		if x.list[i].index == index {
			return &x.list[i]
		}
	}
	return nil
}

// addrFor is the address of the interface that answers a packet sent to dst: dst
// itself if it is the interface's, else its first address, 0 if it has none.
func (f *iface) addrFor(dst dhcp4.IPv4) dhcp4.IPv4 {
	for _, a := range f.addrs {
		if a == dst {
			return a
		}
	}
	if len(f.addrs) == 0 {
		return 0
	}
	return f.addrs[0]
}

// addr6For is the address of the interface that answers a packet sent to dst:
// dst itself if it is the interface's, else its link-local address, as what is
// sent to a multicast address is answered from the link; zero if it has none.
func (f *iface) addr6For(dst [16]byte) [16]byte {
	for _, a := range f.addrs6 {
		if a == dst {
			return a
		}
	}
	if f.linkLocal == ([16]byte{}) && len(f.addrs6) > 0 {
		return f.addrs6[0]
	}
	return f.linkLocal
}
