package netio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// UDPOptions describe UDP sockets. Port is required.
type UDPOptions struct {
	// Addr is the local IPv4 address as a number; 0 is all.
	Addr uint32
	Port uint16
	// Device binds to the named interface (SO_BINDTODEVICE); "" is all.
	Device string
	// Slots is how many packets may be on loan. 0 means DefaultSlots.
	Slots int
	// RcvBuf is the socket's receive buffer in bytes. 0 means 4 MiB; the
	// unprivileged get what net.core.rmem_max allows.
	RcvBuf int
}

// UDPConn is a UDP socket that speaks frames: in front of every datagram it
// writes Ethernet, IPv4 and UDP headers with the addresses the kernel reported,
// and when sending it reads the destination back from the headers the server
// wrote. Packets are marked Synthetic.
//
// Fragmented datagrams arrive reassembled. A client that has no address yet can
// only be reached by broadcast: the kernel would ask for it with ARP. It needs no
// privilege on a port above 1023. It serves IPv4; UDP6Conn stands beside it.
type UDPConn struct {
	datagrams
	port uint16
	// dropsSeen are the kernel's drops already counted.
	dropsSeen uint64
}

var _ Conn = (*UDPConn)(nil)

const (
	ethLen     = 14
	ip4Len     = 20
	udpLen     = 8
	synthLen   = ethLen + ip4Len + udpLen
	pktinfoLen = 12 // struct in_pktinfo
)

// OpenUDP opens n sockets that share the address (SO_REUSEPORT). The kernel
// divides clients among them by their chaddr.
func OpenUDP(opt UDPOptions, n int) (conns []*UDPConn, err error) {
	if n < 1 || n > 256 {
		return nil, fmt.Errorf("open udp sockets: %d wanted, 1 to 256 possible", n)
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
	ifIndex := uint32(0)
	if opt.Device != "" {
		dev, err := net.InterfaceByName(opt.Device)
		if err != nil {
			return nil, fmt.Errorf("open udp sockets on %s: %w", opt.Device, err)
		}
		ifIndex = uint32(dev.Index)
	}
	for i := range n {
		fd, err := bindUDP(opt.Addr, opt.Port, opt.Device, n > 1, nil)
		if err != nil {
			return conns, err
		}
		c := new(UDPConn)
		c.room, c.nameLen, c.synthetic = synthLen, unix.SizeofSockaddrInet4, true
		c.received, c.prepare, c.drops = c.frame, c.address, c.newDrops
		conns = append(conns, c)
		if err := c.init(fd, ifIndex, opt.Slots); err != nil {
			return conns, err
		}
		if opt.Port == 0 {
			// The others join the port the kernel chose.
			sa, err := unix.Getsockname(fd)
			if err != nil {
				return conns, os.NewSyscallError("getsockname", err)
			}
			opt.Port = uint16(sa.(*unix.SockaddrInet4).Port)
		}
		c.port = opt.Port
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1); err != nil {
			return conns, fmt.Errorf("set IP_PKTINFO: %w", err)
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
			return conns, fmt.Errorf("set SO_BROADCAST: %w", err)
		}
		setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, opt.RcvBuf)
		setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, opt.RcvBuf)
		if n > 1 && i == 0 {
			if err := attachSteering(fd, steerFilter(n)); err != nil {
				return conns, err
			}
		}
	}
	return conns, nil
}

// attachSteering has the filter choose among the sockets that share fd's port.
func attachSteering(fd int, f []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &prog); err != nil {
		return fmt.Errorf("attach steering of udp sockets: %w", err)
	}
	return nil
}

// bindUDP opens and binds an IPv4 UDP socket. The filter is in place before the
// first packet can arrive.
func bindUDP(addr uint32, port uint16, device string, reusePort bool, filter []unix.SockFilter) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if reusePort {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return -1, fmt.Errorf("set SO_REUSEPORT: %w", err)
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
	sa := &unix.SockaddrInet4{Port: int(port)}
	binary.BigEndian.PutUint32(sa.Addr[:], addr)
	if err := unix.Bind(fd, sa); err != nil {
		if errors.Is(err, unix.EADDRINUSE) {
			return -1, fmt.Errorf("bind udp port %d%s: another DHCP server or relay has it: %w", port, onDevice(device), err)
		}
		return -1, fmt.Errorf("bind udp port %d%s: %w", port, onDevice(device), err)
	}
	return fd, nil
}

func onDevice(d string) string {
	if d == "" {
		return ""
	}
	return " on " + d
}

// PortGuard holds a UDP port on an interface and throws away what arrives there.
// Without it the kernel would answer packets that a packet or AF_XDP socket
// serves with ICMP port unreachable, and a second server could start unnoticed.
type PortGuard struct{ fd int }

// OpenPortGuard takes the port on device.
func OpenPortGuard(port uint16, device string) (*PortGuard, error) {
	fd, err := bindUDP(0, port, device, false, dropAll())
	if err != nil {
		return nil, err
	}
	return &PortGuard{fd: fd}, nil
}

// Groups a DHCPv6 server listens to: All_DHCP_Relay_Agents_and_Servers and
// All_DHCP_Servers (RFC 8415 §7.1).
var (
	relaysAndServers = [16]byte{0: 0xff, 1: 0x02, 13: 0x01, 15: 0x02}
	servers          = [16]byte{0: 0xff, 1: 0x05, 13: 0x01, 15: 0x03}
)

// OpenPortGuard6 takes the port on the device of that index for IPv6, and joins
// the groups of DHCPv6 servers there as long as it is open: without that the
// interface, or a switch that follows MLD, need not pass on what is sent to them.
func OpenPortGuard6(port uint16, device string, ifIndex uint32) (*PortGuard, error) {
	fd, err := bindUDP6([16]byte{}, port, device, ifIndex, false, dropAll())
	if err != nil {
		return nil, err
	}
	if err := joinGroups6(fd, device, ifIndex); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &PortGuard{fd: fd}, nil
}

// Close gives the port back.
func (g *PortGuard) Close() error { return unix.Close(g.fd) }

// Port is the local port, also where 0 was asked for.
func (c *UDPConn) Port() uint16 { return c.port }

// LocalAddr is the address the socket is bound to.
func (c *UDPConn) LocalAddr() (*net.UDPAddr, error) {
	sa, err := unix.Getsockname(c.fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	in := sa.(*unix.SockaddrInet4)
	return &net.UDPAddr{IP: net.IP(in.Addr[:]), Port: in.Port}, nil
}

// frame writes headers in front of message i.
func (c *UDPConn) frame(i int, p *Packet) bool {
	ifIndex, dst, ok := pktinfo(c.control(i))
	if !ok {
		return false
	}
	name := &c.rx.names[i] // struct sockaddr_in: port 2, address 4
	p.Data = c.mem.at(c.slot[i])[:synthLen+int(c.rx.hdrs[i].n)]
	p.IfIndex = ifIndex
	writeSynthetic(p.Data, binary.BigEndian.Uint32(name[4:]), dst, binary.BigEndian.Uint16(name[2:]), c.port)
	return true
}

// newDrops are those since the last call.
func (c *UDPConn) newDrops() uint64 {
	n := socketDrops(c.fd)
	d := n - min(c.dropsSeen, n)
	c.dropsSeen += d
	return d
}

// writeSynthetic writes headers for the payload that stands in b behind them. The
// UDP checksum is 0, not used (RFC 768): the kernel has checked the real one.
func writeSynthetic(b []byte, src, dst uint32, srcPort, dstPort uint16) {
	be := binary.BigEndian
	clear(b[:12])
	be.PutUint16(b[12:], unix.ETH_P_IP)
	ip := b[ethLen : ethLen+ip4Len]
	ip[0], ip[1] = 0x45, 0
	be.PutUint16(ip[2:], uint16(len(b)-ethLen))
	be.PutUint32(ip[4:], 0)
	ip[8], ip[9] = 64, unix.IPPROTO_UDP
	be.PutUint16(ip[10:], 0)
	be.PutUint32(ip[12:], src)
	be.PutUint32(ip[16:], dst)
	sum := uint32(0)
	for i := 0; i < ip4Len; i += 2 {
		sum += uint32(be.Uint16(ip[i:]))
	}
	sum = sum>>16 + sum&0xFFFF
	sum += sum >> 16
	be.PutUint16(ip[10:], ^uint16(sum))
	udp := b[ethLen+ip4Len : synthLen]
	be.PutUint16(udp[0:], srcPort)
	be.PutUint16(udp[2:], dstPort)
	be.PutUint16(udp[4:], uint16(len(b)-ethLen-ip4Len))
	be.PutUint16(udp[6:], 0)
}

// pktinfo finds interface and destination address in IP_PKTINFO.
func pktinfo(ctrl []byte) (ifIndex, dst uint32, ok bool) {
	const hdr = unix.SizeofCmsghdr
	ne := binary.NativeEndian
	for len(ctrl) >= hdr {
		l := int(ne.Uint64(ctrl))
		if l < hdr || l > len(ctrl) {
			break
		}
		if ne.Uint32(ctrl[8:]) == unix.IPPROTO_IP && ne.Uint32(ctrl[12:]) == unix.IP_PKTINFO && l >= hdr+pktinfoLen {
			info := ctrl[hdr:] // struct in_pktinfo: ifindex 0, spec_dst 4, addr 8
			return ne.Uint32(info), binary.BigEndian.Uint32(info[8:]), true
		}
		ctrl = ctrl[min(len(ctrl), (l+7)&^7):]
	}
	return 0, 0, false
}

// address makes message i of the frame in p: payload, destination and source.
func (c *UDPConn) address(i int, p *Packet) bool {
	be, ne := binary.BigEndian, binary.NativeEndian
	b := p.Data
	if len(b) < synthLen || be.Uint16(b[12:]) != unix.ETH_P_IP || b[ethLen] != 0x45 || b[ethLen+9] != unix.IPPROTO_UDP {
		return false
	}
	ip, udp := b[ethLen:], b[ethLen+ip4Len:]
	n := int(be.Uint16(udp[4:]))
	if n < udpLen || n > len(udp) {
		return false
	}
	c.tx.set(i, udp[udpLen:n], unix.SizeofSockaddrInet4, unix.SizeofCmsghdr+(pktinfoLen+7)&^7)
	name := &c.tx.names[i]
	ne.PutUint16(name[0:], unix.AF_INET)
	copy(name[2:4], udp[2:4])
	copy(name[4:8], ip[16:20])
	clear(name[8:16])
	ctrl := &c.tx.ctrls[i]
	ne.PutUint64(ctrl[0:], unix.SizeofCmsghdr+pktinfoLen)
	ne.PutUint32(ctrl[8:], unix.IPPROTO_IP)
	ne.PutUint32(ctrl[12:], unix.IP_PKTINFO)
	info := ctrl[unix.SizeofCmsghdr:]
	// A broadcast has to be told its interface; a unicast packet is routed.
	ifIndex := uint32(0)
	if dst := be.Uint32(ip[16:]); dst == 0xFFFFFFFF || dst>>28 == 0xE {
		ifIndex = p.IfIndex
	}
	ne.PutUint32(info[0:], ifIndex)
	copy(info[4:8], ip[12:16])
	clear(info[8:12])
	return true
}
