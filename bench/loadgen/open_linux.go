package loadgen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/fastpath/xsk"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// Backend is a way to send.
type Backend string

const (
	UDP      Backend = "udp"
	AFPacket Backend = "af_packet"
	AFXDP    Backend = "af_xdp"
)

// Link is where the generator is attached: an interface, its addresses, and the
// way to the server.
type Link struct {
	Name  string
	Index int
	MAC   [6]byte
	Addr  netip.Addr // IPv4; invalid: none
	// Addr6 is the IPv6 address: that named, else a global one if the server's is
	// global, else the link-local one. Without a zone; invalid: none.
	Addr6     netip.Addr
	Queues    int
	ServerMAC [6]byte // of the server or the next hop; all ones for broadcast
	Driver    string
}

// FindLink resolves perfdhcp's -l argument, an interface or one of its
// addresses, or, if it is empty, the interface on the way to server.
func FindLink(local string, server netip.Addr) (*Link, error) {
	var l netlink.Link
	var addr netip.Addr
	var err error
	switch {
	case local == "":
		routes, err := netlink.RouteGet(server.AsSlice())
		if err != nil || len(routes) == 0 {
			return nil, fmt.Errorf("find route to %v: %w", server, err)
		}
		if l, err = netlink.LinkByIndex(routes[0].LinkIndex); err != nil {
			return nil, fmt.Errorf("find interface of route to %v: %w", server, err)
		}
		if server.Is4() {
			addr, _ = netip.AddrFromSlice(routes[0].Src.To4())
		}
	default:
		if addr, err = netip.ParseAddr(local); err == nil {
			if l, err = linkOfAddr(addr); err != nil {
				return nil, err
			}
		} else if l, err = netlink.LinkByName(local); err != nil {
			return nil, fmt.Errorf("find interface %s: %w", local, err)
		}
	}
	a := l.Attrs()
	k := &Link{Name: a.Name, Index: a.Index, Queues: 1, Driver: l.Type()}
	copy(k.MAC[:], a.HardwareAddr)
	if !addr.IsValid() {
		list, err := netlink.AddrList(l, netlink.FAMILY_V4)
		if err != nil {
			return nil, fmt.Errorf("read addresses of %s: %w", k.Name, err)
		}
		if len(list) > 0 {
			addr, _ = netip.AddrFromSlice(list[0].IP.To4())
		}
	}
	k.Addr = addr
	if addr.IsValid() && addr.Is6() {
		k.Addr, k.Addr6 = netip.Addr{}, addr
	} else if k.Addr6, err = addr6(l, server); err != nil {
		return nil, err
	}
	if n, err := xsk.RXQueues(k.Name); err == nil && n > 0 {
		k.Queues = n
	} else if a.NumRxQueues > 0 && l.Type() == "veth" {
		k.Queues = a.NumRxQueues
	}
	return k, nil
}

// addr6 is the address to speak to server from: of its scope if there is one.
// Just after a link has come up the kernel still looks whether another host has
// its address (RFC 4862 §5.4), so it is waited for.
func addr6(l netlink.Link, server netip.Addr) (netip.Addr, error) {
	if !server.Is6() {
		return netip.Addr{}, nil
	}
	global := !server.IsMulticast() && !server.IsLinkLocalUnicast()
	for range 40 {
		list, err := netlink.AddrList(l, netlink.FAMILY_V6)
		if err != nil {
			return netip.Addr{}, fmt.Errorf("read IPv6 addresses of %s: %w", l.Attrs().Name, err)
		}
		best, tentative := netip.Addr{}, false
		for _, a := range list {
			ip, ok := netip.AddrFromSlice(a.IP)
			if !ok {
				continue
			}
			if a.Flags&unix.IFA_F_TENTATIVE != 0 {
				tentative = true
			} else if ip.IsLinkLocalUnicast() != global || !best.IsValid() {
				best = ip
			}
		}
		if best.IsValid() && !tentative || len(list) == 0 {
			return best, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return netip.Addr{}, fmt.Errorf("use %s: its IPv6 addresses stay tentative", l.Attrs().Name)
}

func linkOfAddr(addr netip.Addr) (netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		list, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			continue
		}
		for _, a := range list {
			if ip, ok := netip.AddrFromSlice(a.IP); ok && ip.Unmap() == addr.WithZone("") {
				return l, nil
			}
		}
	}
	return nil, fmt.Errorf("find interface: no one has address %v", addr)
}

// Resolve finds the MAC address of the way to server by asking the kernel's
// neighbour table, which it makes ask the network if need be.
func (k *Link) Resolve(server netip.Addr) error {
	hop := server
	if routes, err := netlink.RouteGet(server.AsSlice()); err == nil && len(routes) > 0 && routes[0].Gw != nil {
		if gw, ok := netip.AddrFromSlice(routes[0].Gw); ok {
			hop = gw.Unmap()
		}
	}
	family, network := netlink.FAMILY_V4, "udp4"
	if server.Is6() {
		family, network = netlink.FAMILY_V6, "udp6"
		if server.IsLinkLocalUnicast() {
			server, hop = server.WithZone(k.Name), server
		}
	}
	for i := range 30 {
		list, err := netlink.NeighList(k.Index, family)
		if err != nil {
			return fmt.Errorf("read neighbours of %s: %w", k.Name, err)
		}
		for _, n := range list {
			ip, ok := netip.AddrFromSlice(n.IP)
			if ok && ip.Unmap() == hop && len(n.HardwareAddr) == 6 && n.State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE) == 0 {
				copy(k.ServerMAC[:], n.HardwareAddr)
				return nil
			}
		}
		if i%10 == 0 { // a datagram to the discard port makes the kernel ask
			if c, err := net.DialUDP(network, nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(server, 9))); err == nil {
				_, _ = c.Write([]byte{0})
				c.Close()
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("find link-layer address of %v on %s: no answer", hop, k.Name)
}

// Conns are open connections with what belongs to them.
type Conns struct {
	List    []netio.Conn
	Mode    string // what is really in use, for the report
	closers []func() error
}

// Close gives everything back.
func (c *Conns) Close() error {
	var errs []error
	for _, f := range slices.Backward(c.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// OpenOptions say what to open. Backend, Link and Port are required.
type OpenOptions struct {
	Backend Backend
	Link    *Link
	// Addr is the local address of a UDP socket and of AF_PACKET; invalid: all.
	Addr netip.Addr
	Port uint16
	// V6 is DHCPv6. AF_PACKET has only DHCPv4.
	V6 bool
	// ReceiveThread lets UDP be received in a thread of its own (perfdhcp -g
	// multi); other backends have no use for it, since the kernel or the card
	// fills their rings.
	ReceiveThread bool
}

// Open opens connections that receive what is sent to port over IPv4, and to the
// client port 68 where the backend allows more than one.
func Open(b Backend, k *Link, addr netip.Addr, port uint16) (c *Conns, err error) {
	return OpenConns(OpenOptions{Backend: b, Link: k, Addr: addr, Port: port})
}

// OpenConns opens connections. AF_XDP is tried again for a while where a queue is
// still held, since the kernel takes a moment to give back those of a process
// that has ended.
func OpenConns(o OpenOptions) (c *Conns, err error) {
	const patience, pause = 3 * time.Second, 100 * time.Millisecond
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		c, err = openConns(o)
		if o.Backend != AFXDP || !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return c, err
		}
	}
}

func openConns(o OpenOptions) (c *Conns, err error) {
	k := o.Link
	c = &Conns{Mode: string(o.Backend)}
	defer func() {
		if err != nil {
			c.Close()
			c = nil
		}
	}()
	if o.ReceiveThread && o.Backend != UDP {
		return c, fmt.Errorf("open connection: %s has no thread that receives", o.Backend)
	}
	switch {
	case o.Backend == UDP && (o.V6 || o.ReceiveThread):
		addr := o.Addr
		if !o.V6 && !addr.IsValid() {
			addr = netip.IPv4Unspecified()
		}
		conn, err := openDatagram(k, addr, o.Port, o.V6, o.ReceiveThread)
		if err != nil {
			return c, err
		}
		if o.ReceiveThread {
			c.Mode += ", received in a thread of its own"
		}
		c.add(conn)
	case o.Backend == UDP:
		u := netio.UDPOptions{Port: o.Port, Slots: 4096}
		if o.Addr.IsValid() && !o.Addr.IsUnspecified() {
			u.Addr = number(o.Addr)
		}
		conns, err := netio.OpenUDP(u, 1)
		if err != nil {
			return c, err
		}
		c.add(conns[0])
	case o.Backend == AFPacket && o.V6:
		return c, fmt.Errorf("open connection: %s serves only DHCPv4", o.Backend)
	case o.Backend == AFPacket:
		conns, err := netio.OpenPacket(netio.PacketOptions{IfIndex: uint32(k.Index), Port4: o.Port, Slots: 4096}, 1)
		if err != nil {
			return c, err
		}
		c.add(conns[0])
		if o.Addr.IsValid() {
			conns[0].SetAddrs4([]uint32{number(o.Addr)})
		}
		// Without a socket on the port the kernel would answer with ICMP.
		if guard, err := netio.OpenPortGuard(o.Port, k.Name, 0); err == nil {
			c.closers = append(c.closers, guard.Close)
		}
	case o.Backend == AFXDP && o.V6:
		return c, c.openXDP(k, true, []uint16{o.Port})
	case o.Backend == AFXDP:
		return c, c.openXDP(k, false, []uint16{o.Port, dhcp4.ClientPort})
	default:
		return c, fmt.Errorf("open connection: unknown backend %q", o.Backend)
	}
	return c, nil
}

func (c *Conns) add(n netio.Conn) {
	c.List = append(c.List, n)
	c.closers = append(c.closers, n.Close)
}

func (c *Conns) openXDP(k *Link, v6 bool, ports []uint16) error {
	s, err := newSteer(k.Index, k.Queues, v6, ports)
	if err != nil {
		return err
	}
	c.closers = append(c.closers, func() error { s.close(); return nil })
	mode, copyMode := "generic", "copy"
	if s.native {
		mode = "native"
	}
	for i := range k.Queues {
		q, err := xsk.Open(xsk.Options{IfIndex: uint32(k.Index), QueueID: uint32(i), RingSize: 8192, Frames: 32768})
		if err != nil {
			return err
		}
		c.add(q.Sockets()[0])
		if err := s.put(uint32(i), q.Sockets()[0].FD()); err != nil {
			return err
		}
		if q.ZeroCopy() {
			copyMode = "zero-copy"
		}
	}
	c.Mode = fmt.Sprintf("%s, %s, %s, %d queues", AFXDP, mode, copyMode, k.Queues)
	return nil
}

// number is an IPv4 address as a number.
func number(a netip.Addr) uint32 { return uint32(dhcp4.AddrFromNetip(a)) }

// cpuNs is the CPU time of this process: in user mode and in the kernel.
func cpuNs() (user, system int64) {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	return u.Utime.Nano(), u.Stime.Nano()
}
