package slowpath

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// iface is what answering needs of an interface.
type iface struct {
	index uint32
	name  string
	mac   [6]byte
	addrs []dhcp4.IPv4
}

// ifaces is an immutable list, swapped whole when an interface changes.
type ifaces struct {
	list  []iface
	local []dhcp4.IPv4 // of all interfaces
}

func newIfaces(in []netio.Interface) *ifaces {
	x := &ifaces{list: make([]iface, 0, len(in))}
	for _, n := range in {
		f := iface{index: n.Index, name: n.Name, mac: n.MAC}
		for _, a := range n.Addrs4 {
			f.addrs = append(f.addrs, dhcp4.IPv4(a.Addr))
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
