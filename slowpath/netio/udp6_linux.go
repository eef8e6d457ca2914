package netio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"

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
	datagrams
	port uint16
	// dropsSeen are the kernel's drops already counted.
	dropsSeen uint64
}

var _ Conn = (*UDP6Conn)(nil)

const (
	synthLen6      = ethLen + 40 + udpLen
	in6PktinfoLen  = 20 // struct in6_pktinfo
	in6PktinfoCtrl = unix.SizeofCmsghdr + (in6PktinfoLen+7)&^7
	// ipv6MulticastAll is IPV6_MULTICAST_ALL of linux/in6.h.
	ipv6MulticastAll = 29
)

// OpenUDP6 opens n sockets that share the address (SO_REUSEPORT). The kernel
// divides what is sent to it by unicast among them, relayed messages by their
// peer-address.
func OpenUDP6(opt UDP6Options, n int) (conns []*UDP6Conn, err error) {
	if n < 1 || n > 256 {
		return nil, fmt.Errorf("open udp sockets for IPv6: %d wanted, 1 to 256 possible", n)
	}
	if opt.Slots <= 0 {
		opt.Slots = DefaultSlots
	}
	if opt.RcvBuf <= 0 {
		opt.RcvBuf = 4 << 20
	}
	defer func() {
		if err != nil {
			for _, c := range conns {
				c.Close()
			}
			conns = nil
		}
	}()
	for i := range n {
		fd, err := bindUDP6(opt.Addr, opt.Port, opt.Device, opt.IfIndex, n > 1, nil)
		if err != nil {
			return conns, err
		}
		c := new(UDP6Conn)
		c.room, c.nameLen, c.synthetic = synthLen6, unix.SizeofSockaddrInet6, true
		c.received, c.prepare, c.drops = c.frame, c.address, c.newDrops
		conns = append(conns, c)
		if err := c.init(fd, opt.IfIndex, opt.Slots); err != nil {
			return conns, err
		}
		if opt.Port == 0 {
			// The others join the port the kernel chose.
			sa, err := unix.Getsockname(fd)
			if err != nil {
				return conns, os.NewSyscallError("getsockname", err)
			}
			opt.Port = uint16(sa.(*unix.SockaddrInet6).Port)
		}
		c.port = opt.Port
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1); err != nil {
			return conns, fmt.Errorf("set IPV6_RECVPKTINFO: %w", err)
		}
		setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, opt.RcvBuf)
		setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, opt.RcvBuf)
		if i == 0 {
			if opt.Groups {
				if err := joinGroups6(fd, opt.Device, opt.IfIndex); err != nil {
					return conns, err
				}
			}
			if n > 1 {
				if err := attachSteering(fd, steerFilter6(n)); err != nil {
					return conns, err
				}
			}
		}
	}
	return conns, nil
}

// bindUDP6 opens and binds an IPv6 UDP socket that receives no multicast yet. The
// filter is in place before the first packet can arrive.
func bindUDP6(addr [16]byte, port uint16, device string, ifIndex uint32, reusePort bool, filter []unix.SockFilter) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	for _, o := range []struct {
		name            string
		level, opt, val int
		wanted          bool
	}{
		{"IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1, true},
		// Without this the kernel hands it also what others have joined.
		{"IPV6_MULTICAST_ALL", unix.IPPROTO_IPV6, ipv6MulticastAll, 0, true},
		{"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, reusePort},
	} {
		if !o.wanted {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.val); err != nil {
			return -1, fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	if device != "" {
		if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, device); err != nil {
			return -1, fmt.Errorf("bind udp socket to device %s: %w", device, err)
		}
	}
	if len(filter) > 0 {
		if err := attachFilter(fd, filter); err != nil {
			return -1, err
		}
	}
	sa := &unix.SockaddrInet6{Port: int(port), Addr: addr}
	if linkScope6(addr) {
		sa.ZoneId = ifIndex
	}
	if err := unix.Bind(fd, sa); err != nil {
		if errors.Is(err, unix.EADDRINUSE) {
			return -1, fmt.Errorf("bind udp port %d%s for IPv6: another DHCP server or relay has it: %w", port, onDevice(device), err)
		}
		return -1, fmt.Errorf("bind udp port %d%s for IPv6: %w", port, onDevice(device), err)
	}
	return fd, nil
}

// joinGroups6 joins the groups of DHCPv6 servers.
func joinGroups6(fd int, device string, ifIndex uint32) error {
	for _, g := range [][16]byte{relaysAndServers, servers} {
		m := &unix.IPv6Mreq{Multiaddr: g, Interface: ifIndex}
		if err := unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, m); err != nil {
			return fmt.Errorf("join %s%s: %w", net.IP(g[:]), onDevice(device), err)
		}
	}
	return nil
}

// linkScope6 says whether an address means something only with an interface.
func linkScope6(a [16]byte) bool {
	return a[0] == 0xFE && a[1]&0xC0 == 0x80 || a[0] == 0xFF
}

// Port is the local port, also where 0 was asked for.
func (c *UDP6Conn) Port() uint16 { return c.port }

// frame writes headers in front of message i. The checksum is a real one: the
// kernel has checked the sender's, and IPv6 has none that says "not used".
func (c *UDP6Conn) frame(i int, p *Packet) bool {
	ifIndex, dst, ok := pktinfo6(c.control(i))
	if !ok {
		return false
	}
	name := &c.rx.names[i] // struct sockaddr_in6: port 2, address 8
	n := int(c.rx.hdrs[i].n)
	p.Data = c.mem.at(c.slot[i])[:synthLen6+n]
	p.IfIndex = ifIndex
	o := frame.Out6{Src6: [16]byte(name[8:24]), Dst6: dst, SrcPort: binary.BigEndian.Uint16(name[2:]), DstPort: c.port}
	frame.Write6(p.Data, &o, n)
	return true
}

// newDrops are those since the last call.
func (c *UDP6Conn) newDrops() uint64 {
	n := socketDrops(c.fd)
	d := n - min(c.dropsSeen, n)
	c.dropsSeen += d
	return d
}

// pktinfo6 finds interface and destination address in IPV6_PKTINFO.
func pktinfo6(ctrl []byte) (ifIndex uint32, dst [16]byte, ok bool) {
	const hdr = unix.SizeofCmsghdr
	ne := binary.NativeEndian
	for len(ctrl) >= hdr {
		l := int(ne.Uint64(ctrl))
		if l < hdr || l > len(ctrl) {
			break
		}
		if ne.Uint32(ctrl[8:]) == unix.IPPROTO_IPV6 && ne.Uint32(ctrl[12:]) == unix.IPV6_PKTINFO && l >= hdr+in6PktinfoLen {
			info := ctrl[hdr:] // struct in6_pktinfo: addr 0, ifindex 16
			return ne.Uint32(info[16:]), [16]byte(info), true
		}
		ctrl = ctrl[min(len(ctrl), (l+7)&^7):]
	}
	return 0, dst, false
}

// address makes message i of the frame in p: payload, destination and source.
func (c *UDP6Conn) address(i int, p *Packet) bool {
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
	c.tx.set(i, udp[udpLen:n], unix.SizeofSockaddrInet6, in6PktinfoCtrl)
	name := &c.tx.names[i]
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
	ctrl := &c.tx.ctrls[i]
	ne.PutUint64(ctrl[0:], unix.SizeofCmsghdr+in6PktinfoLen)
	ne.PutUint32(ctrl[8:], unix.IPPROTO_IPV6)
	ne.PutUint32(ctrl[12:], unix.IPV6_PKTINFO)
	info := ctrl[unix.SizeofCmsghdr:]
	copy(info, src[:])
	ne.PutUint32(info[16:], ifIndex)
	return true
}
