package fastpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/bpf"
	"github.com/peregrine-dhcp/peregrine/fastpath/xsk"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// Link is an interface as the dataplane sees it.
type Link struct {
	netio.Interface
	// RXQueues is how many receive queues it has, at least 1.
	RXQueues int
	// XDPProgram is the identifier of the XDP program attached, 0 if none.
	XDPProgram uint32
	// Veth says that it is one end of a veth pair.
	Veth bool
	// Parent is the index of the interface below, for a VLAN interface whose
	// parent is in this network namespace; otherwise 0. Tag is what its frames
	// carry there.
	Parent uint32
	Tag    bpf.Tag
}

// LinkTable lists the interfaces there are.
type LinkTable interface {
	// Links returns all interfaces with their addresses, by ascending index. The
	// caller may keep the list.
	Links() ([]Link, error)
}

// Kernel is the LinkTable of the network namespace of the calling thread, by
// netlink and ethtool.
type Kernel struct{}

// Links implements LinkTable.
func (Kernel) Links() ([]Link, error) {
	var links []netlink.Link
	var addrs []netlink.Addr
	var err error
	// A dump that was interrupted by a change may miss something. The change
	// also notifies us, so after a few tries what there is will do.
	for range 3 {
		if links, err = netlink.LinkList(); err == nil || !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for range 3 {
		if addrs, err = netlink.AddrList(nil, netlink.FAMILY_ALL); err == nil || !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	out := make([]Link, 0, len(links))
	for _, l := range links {
		a := l.Attrs()
		i := Link{Interface: netio.Interface{
			Index:    uint32(a.Index),
			Name:     a.Name,
			MTU:      a.MTU,
			Up:       a.Flags&net.FlagUp != 0,
			Loopback: a.Flags&net.FlagLoopback != 0,
		}, RXQueues: max(1, a.NumRxQueues)}
		if len(a.HardwareAddr) == 6 {
			copy(i.MAC[:], a.HardwareAddr)
		}
		if a.Xdp != nil && a.Xdp.Attached {
			i.XDPProgram = max(1, a.Xdp.ProgId)
		}
		_, i.Veth = l.(*netlink.Veth)
		if v, ok := l.(*netlink.Vlan); ok && a.NetNsID < 0 {
			i.Parent, i.Tag = uint32(a.ParentIndex), bpf.Tag{TPID: uint16(v.VlanProtocol), VID: uint16(v.VlanId)}
			if i.Tag.TPID == 0 {
				i.Tag.TPID = unix.ETH_P_8021Q
			}
		}
		// What the driver says is what is in use; the number in the link is what
		// was allocated.
		if n, err := xsk.RXQueues(a.Name); err == nil && n > 0 {
			i.RXQueues = n
		}
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b Link) int { return int(a.Index) - int(b.Index) })
	for _, a := range addrs {
		at, ok := slices.BinarySearchFunc(out, uint32(a.LinkIndex), func(i Link, x uint32) int { return int(i.Index) - int(x) })
		if !ok || a.IPNet == nil {
			continue
		}
		ones, _ := a.Mask.Size()
		if ip4 := a.IP.To4(); ip4 != nil {
			out[at].Addrs4 = append(out[at].Addrs4, netio.Prefix4{Addr: binary.BigEndian.Uint32(ip4), Len: uint8(ones)})
		} else if ip6 := a.IP.To16(); ip6 != nil && a.Flags&unix.IFA_F_TENTATIVE == 0 {
			out[at].Addrs6 = append(out[at].Addrs6, netio.Prefix6{Addr: [16]byte(ip6), Len: uint8(ones)})
		}
	}
	return out, nil
}

// published is what others see of the list.
func published(links []Link) []netio.Interface {
	out := make([]netio.Interface, len(links))
	for i := range links {
		out[i] = links[i].Interface
	}
	return out
}

// sameLink says whether nothing changed that others are told of, or that decides
// who carries a frame.
func sameLink(a, b Link) bool {
	return a.Parent == b.Parent && a.Tag == b.Tag && sameInterface(a.Interface, b.Interface)
}

func sameInterface(a, b netio.Interface) bool {
	return a.Index == b.Index && a.Name == b.Name && a.MAC == b.MAC && a.MTU == b.MTU && a.Up == b.Up &&
		a.Loopback == b.Loopback && slices.Equal(a.Addrs4, b.Addrs4) && slices.Equal(a.Addrs6, b.Addrs6)
}

// watcher turns netlink notifications into one kind of event: something changed.
type watcher struct {
	socket *nl.NetlinkSocket
	// changed holds at most one event; more than one is not more news.
	changed chan struct{}
	done    chan struct{}
}

func watchLinks() (*watcher, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("subscribe to interface changes: %w", err)
	}
	w := &watcher{socket: s, changed: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w, nil
}

func (w *watcher) run() {
	defer close(w.done)
	for {
		_, _, err := w.socket.Receive()
		// ENOBUFS says that notifications were lost: look at everything, which
		// is what happens anyway.
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return
		}
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

func (w *watcher) close() {
	w.socket.Close()
	<-w.done
}
