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

	"github.com/peregrine-dhcp/peregrine/fastpath/xsk"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// linkInfo is an interface with what only this package needs to know.
type linkInfo struct {
	netio.Interface
	rxQueues int
	// xdpProgram is the identifier of the XDP program attached, 0 if none.
	xdpProgram uint32
	// parent and vlan are set for a VLAN interface.
	parent uint32
	vlan   uint16
}

// listLinks reads all interfaces with their addresses, by index.
func listLinks() ([]linkInfo, error) {
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
	out := make([]linkInfo, 0, len(links))
	for _, l := range links {
		a := l.Attrs()
		i := linkInfo{Interface: netio.Interface{
			Index:    uint32(a.Index),
			Name:     a.Name,
			MTU:      a.MTU,
			Up:       a.Flags&net.FlagUp != 0,
			Loopback: a.Flags&net.FlagLoopback != 0,
		}, rxQueues: max(1, a.NumRxQueues)}
		if len(a.HardwareAddr) == 6 {
			copy(i.MAC[:], a.HardwareAddr)
		}
		if a.Xdp != nil && a.Xdp.Attached {
			i.xdpProgram = max(1, a.Xdp.ProgId)
		}
		if v, ok := l.(*netlink.Vlan); ok {
			i.parent, i.vlan = uint32(a.ParentIndex), uint16(v.VlanId)
		}
		// What the driver says is what is in use; the number in the link is what
		// was allocated.
		if n, err := xsk.RXQueues(a.Name); err == nil && n > 0 {
			i.rxQueues = n
		}
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b linkInfo) int { return int(a.Index) - int(b.Index) })
	for _, a := range addrs {
		at, ok := slices.BinarySearchFunc(out, uint32(a.LinkIndex), func(i linkInfo, x uint32) int { return int(i.Index) - int(x) })
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
func published(links []linkInfo) []netio.Interface {
	out := make([]netio.Interface, len(links))
	for i := range links {
		out[i] = links[i].Interface
	}
	return out
}

func sameInterface(a, b netio.Interface) bool {
	return a.Index == b.Index && a.Name == b.Name && a.MAC == b.MAC && a.MTU == b.MTU && a.Up == b.Up &&
		a.Loopback == b.Loopback && slices.Equal(a.Addrs4, b.Addrs4) && slices.Equal(a.Addrs6, b.Addrs6)
}

// destinations4 are the IPv4 destinations taken on interface on: every address of
// this machine (it answers to all of them on every interface, and a relay may know
// it by one on a loopback), and the interface's own subnet broadcasts.
func destinations4(links []linkInfo, on uint32) []uint32 {
	var out []uint32
	for i := range links {
		l := &links[i]
		for _, p := range l.Addrs4 {
			if p.Addr>>24 == 127 && l.Index != on {
				continue
			}
			out = append(out, p.Addr)
			if b, ok := p.Broadcast(); ok && l.Index == on {
				out = append(out, b)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// destinations6 is destinations4 for IPv6; link-local addresses belong to their
// interface.
func destinations6(links []linkInfo, on uint32) [][16]byte {
	var out [][16]byte
	for i := range links {
		l := &links[i]
		for _, p := range l.Addrs6 {
			if linkLocal := p.Addr[0] == 0xFE && p.Addr[1]&0xC0 == 0x80; (linkLocal || l.Loopback) && l.Index != on {
				continue
			}
			out = append(out, p.Addr)
		}
	}
	return out
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
