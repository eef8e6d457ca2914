package netio

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
)

// UDP6Options describe UDP sockets for IPv6. Port and IfIndex are required.
type UDP6Options struct {
	// Addr is the local address; zero is all.
	Addr [16]byte
	Port uint16
	// Device and IfIndex are the interface they are bound to (SO_BINDTODEVICE).
	Device  string
	IfIndex uint32
	// Groups joins ff02::1:2 and ff05::1:3 on the interface. Otherwise only
	// unicast is received.
	Groups bool
	// Slots is how many packets may be on loan. 0 means DefaultSlots.
	Slots int
	// RcvBuf is the socket's receive buffer in bytes. 0 means 4 MiB; the
	// unprivileged get what net.core.rmem_max allows.
	RcvBuf int
}

// UDP6Conn is UDPConn for IPv6: a UDP socket that speaks frames. Packets are
// marked Synthetic; datagrams in fragments arrive whole. Of several sockets that
// share a port the first alone receives multicast, since the kernel would give each
// of them a copy.
type UDP6Conn struct {
	udpConn
	unicast6
}

var _ Conn = (*UDP6Conn)(nil)

const (
	synthLen6      = ethLen + 40 + udpLen
	in6PktinfoLen  = 20 // struct in6_pktinfo
	in6PktinfoCtrl = unix.SizeofCmsghdr + (in6PktinfoLen+7)&^7
	// ipv6MulticastAll is IPV6_MULTICAST_ALL of linux/in6.h.
	ipv6MulticastAll = 29
)

var recvPktinfo6 = socketOption{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1}

// OpenUDP6 opens n sockets that share the address (SO_REUSEPORT). The kernel
// divides what is sent to it by unicast among them, relayed messages by their
// peer-address.
func OpenUDP6(opt UDP6Options, n int) ([]*UDP6Conn, error) {
	return openShared(n, func(i int) (*UDP6Conn, error) {
		fd, err := bindUDP6(opt.Addr, opt.Port, opt.Device, opt.IfIndex, n > 1, nil)
		if err != nil {
			return nil, err
		}
		c := new(UDP6Conn)
		c.room, c.nameLen = synthLen6, unix.SizeofSockaddrInet6
		c.received, c.prepare = c.frame, c.address
		if err := c.start(fd, opt.IfIndex, opt.Slots, opt.RcvBuf, recvPktinfo6); err != nil {
			return nil, err
		}
		opt.Port = c.port // the others join the port the kernel chose
		if i > 0 {
			return c, nil
		}
		if opt.Groups {
			err = joinGroups6(fd, opt.Device, opt.IfIndex)
		}
		if err == nil && n > 1 {
			err = attachSteering(fd, steerFilter6(n))
		}
		if err != nil {
			c.Close()
			return nil, err
		}
		return c, nil
	})
}

// bindUDP6 opens and binds an IPv6 UDP socket that receives no multicast yet. The
// filter is in place before the first packet can arrive.
func bindUDP6(addr [16]byte, port uint16, device string, ifIndex uint32, share bool, filter []unix.SockFilter) (fd int, err error) {
	sa := &unix.SockaddrInet6{Port: int(port), Addr: addr}
	if linkScope6(addr) {
		sa.ZoneId = ifIndex
	}
	s := udpSpec{sa: sa, port: port, family: " for IPv6", device: device, filter: filter, options: []socketOption{
		{"IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
		// Without this the kernel hands it also what others have joined.
		{"IPV6_MULTICAST_ALL", unix.IPPROTO_IPV6, ipv6MulticastAll, 0},
	}}
	if share {
		s.options = append(s.options, reusePort)
	}
	return s.bind()
}

// Groups a DHCPv6 server listens to: All_DHCP_Relay_Agents_and_Servers and
// All_DHCP_Servers (RFC 8415 §7.1).
var (
	relaysAndServers = [16]byte{0: 0xff, 1: 0x02, 13: 0x01, 15: 0x02}
	servers          = [16]byte{0: 0xff, 1: 0x05, 13: 0x01, 15: 0x03}
)

// joinGroups6 joins the groups of DHCPv6 servers.
func joinGroups6(fd int, device string, ifIndex uint32) error {
	for _, g := range [][16]byte{relaysAndServers, servers} {
		m := &unix.IPv6Mreq{Multiaddr: g, Interface: ifIndex}
		if err := unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, m); err != nil {
			return fmt.Errorf("join %s on %s: %w", net.IP(g[:]), device, err)
		}
	}
	return nil
}

// unicast6 are the IPv6 unicast destinations that a socket bound to all addresses
// takes beside those of link-local scope.
type unicast6 struct {
	addrs atomic.Pointer[[][16]byte] // sorted; nil is all
}

// SetUnicast6 has only these unicast destinations taken, and link-local ones; it
// refuses the rest. Until then all are. The list, sorted, is not to be modified any
// more. Safe from any goroutine.
func (u *unicast6) SetUnicast6(sorted [][16]byte) { u.addrs.Store(&sorted) }

func (u *unicast6) takes(dst [16]byte) bool {
	addrs := u.addrs.Load()
	return addrs == nil || linkScope6(dst) || contains6(*addrs, dst)
}

// linkScope6 says whether an address means something only with an interface.
func linkScope6(a [16]byte) bool {
	return a[0] == 0xFE && a[1]&0xC0 == 0x80 || a[0] == 0xFF
}

// frame writes headers in front of message i.
func (c *UDP6Conn) frame(i int, p *Packet) reception { return c.frame6(i, c.port, &c.unicast6, p) }

// address makes message i of the frame in p.
func (c *UDP6Conn) address(i int, p *Packet) bool { return address6(&c.tx, i, p) }

// frame6 writes headers in front of message i, which came to the port. The
// checksum is a real one: the kernel has checked the sender's, and IPv6 has none
// that says "not used".
func (c *datagrams) frame6(i int, port uint16, ours *unicast6, p *Packet) reception {
	ifIndex, dst, ok := pktinfo6(c.control(i))
	if !ok || !ours.takes(dst) {
		return refused
	}
	name := &c.rx.names[i] // struct sockaddr_in6: port 2, address 8
	n := int(c.rx.hdrs[i].n)
	p.Data = c.mem.at(c.slot[i])[:synthLen6+n]
	p.IfIndex = ifIndex
	o := frame.Out6{Src6: [16]byte(name[8:24]), Dst6: dst, SrcPort: binary.BigEndian.Uint16(name[2:]), DstPort: port}
	frame.Write6(p.Data, &o, n)
	return taken
}

// pktinfo6 finds interface and destination address in IPV6_PKTINFO.
func pktinfo6(ctrl []byte) (ifIndex uint32, dst [16]byte, ok bool) {
	// struct in6_pktinfo: addr 0, ifindex 16
	info := control(ctrl, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, in6PktinfoLen)
	if info == nil {
		return 0, dst, false
	}
	return binary.NativeEndian.Uint32(info[16:]), [16]byte(info), true
}

// address6 makes message i of the frame in p: payload, destination and source.
func address6(tx *mmsgBatch, i int, p *Packet) bool {
	be, ne := binary.BigEndian, binary.NativeEndian
	b := p.Data
	if len(b) < synthLen6 || be.Uint16(b[12:]) != unix.ETH_P_IPV6 || b[ethLen]>>4 != 6 || b[ethLen+6] != unix.IPPROTO_UDP {
		return false
	}
	ip, udp := b[ethLen:], b[ethLen+40:]
	n := int(be.Uint16(udp[4:]))
	if n < udpLen || n > len(udp) {
		return false
	}
	src, dst := [16]byte(ip[8:]), [16]byte(ip[24:])
	tx.set(i, udp[udpLen:n], unix.SizeofSockaddrInet6, in6PktinfoCtrl)
	name := &tx.names[i]
	clear(name[:])
	ne.PutUint16(name[0:], unix.AF_INET6)
	copy(name[2:4], udp[2:4])
	copy(name[8:24], dst[:])
	// What has the scope of a link has to be told which; the rest is routed.
	ifIndex := uint32(0)
	if linkScope6(dst) || linkScope6(src) {
		ifIndex = p.IfIndex
	}
	if linkScope6(dst) {
		ne.PutUint32(name[24:], p.IfIndex)
	}
	info := putControl(tx.ctrls[i][:], unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, in6PktinfoLen)
	copy(info, src[:])
	ne.PutUint32(info[16:], ifIndex)
	return true
}
