package netio

import (
	"encoding/binary"
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
	// Routed sends answers to relayed queries (Packet.Relayed) where the routing
	// table says, from the address that it says, also if that is not Device.
	Routed bool
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
	udpConn
	routed bool
}

var _ Conn = (*UDPConn)(nil)

const (
	ethLen     = 14
	ip4Len     = 20
	udpLen     = 8
	synthLen   = ethLen + ip4Len + udpLen
	pktinfoLen = 12 // struct in_pktinfo
)

// pktinfoCtrl is the room of a control message with a struct in_pktinfo.
const pktinfoCtrl = unix.SizeofCmsghdr + (pktinfoLen+7)&^7

var (
	recvPktinfo = socketOption{"IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 1}
	broadcast   = socketOption{"SO_BROADCAST", unix.SOL_SOCKET, unix.SO_BROADCAST, 1}
)

// OpenUDP opens n sockets that share the address (SO_REUSEPORT). The kernel
// divides clients among them by their chaddr.
func OpenUDP(opt UDPOptions, n int) ([]*UDPConn, error) {
	ifIndex := uint32(0)
	if opt.Device != "" {
		dev, err := net.InterfaceByName(opt.Device)
		if err != nil {
			return nil, fmt.Errorf("open udp sockets on %s: %w", opt.Device, err)
		}
		ifIndex = uint32(dev.Index)
	}
	return openShared(n, func(i int) (*UDPConn, error) {
		// The sending socket of a routed one shares the port.
		fd, err := bindUDP(opt.Addr, opt.Port, opt.Device, n > 1 || opt.Routed, nil)
		if err != nil {
			return nil, err
		}
		c := &UDPConn{routed: opt.Routed}
		c.room, c.nameLen = synthLen, unix.SizeofSockaddrInet4
		c.received, c.prepare = c.frame, c.address
		if err := c.start(fd, ifIndex, opt.Slots, opt.RcvBuf, recvPktinfo, broadcast); err != nil {
			return nil, err
		}
		opt.Port = c.port // the others join the port the kernel chose
		if c.routed {
			tx, err := openSender(c.port)
			if err != nil {
				c.Close()
				return nil, err
			}
			c.txFD = tx
		}
		if n > 1 && i == 0 {
			if err := attachSteering(fd, steerFilter(n)); err != nil {
				c.Close()
				return nil, err
			}
		}
		return c, nil
	})
}

// senderAddr is 192.0.0.8, the IPv4 dummy address, which is no host's (RFC 7600
// §4.8).
const senderAddr = 0xC0000008

// openSender opens a socket that sends from a port by any interface and receives
// nothing: what is bound to a device cannot send elsewhere, and a second socket
// that is bound to none would take datagrams that are not its own. So it is bound
// to an address that nothing is sent to; each message says its source itself.
func openSender(port uint16) (fd int, err error) {
	sa := &unix.SockaddrInet4{Port: int(port)}
	binary.BigEndian.PutUint32(sa.Addr[:], senderAddr)
	s := udpSpec{sa: sa, port: port, filter: dropAll(), options: []socketOption{
		reusePort, broadcast, {"IP_FREEBIND", unix.IPPROTO_IP, unix.IP_FREEBIND, 1},
	}}
	return s.bind()
}

// bindUDP opens and binds an IPv4 UDP socket. The filter is in place before the
// first packet can arrive.
func bindUDP(addr uint32, port uint16, device string, share bool, filter []unix.SockFilter) (fd int, err error) {
	sa := &unix.SockaddrInet4{Port: int(port)}
	binary.BigEndian.PutUint32(sa.Addr[:], addr)
	s := udpSpec{sa: sa, port: port, device: device, filter: filter}
	if share {
		s.options = append(s.options, reusePort)
	}
	return s.bind()
}

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
func (c *UDPConn) frame(i int, p *Packet) reception { return c.frame4(i, c.port, p) }

// address makes message i of the frame in p.
func (c *UDPConn) address(i int, p *Packet) bool {
	switch {
	case !c.routed:
		return address4(&c.tx, i, p, 0)
	case p.Relayed:
		return address4(&c.tx, i, p, byRouting)
	}
	return address4(&c.tx, i, p, p.IfIndex)
}

// frame4 writes headers in front of message i, which came to the port.
func (c *datagrams) frame4(i int, port uint16, p *Packet) reception {
	ifIndex, dst, ok := pktinfo(c.control(i))
	if !ok {
		return refused
	}
	name := &c.rx.names[i] // struct sockaddr_in: port 2, address 4
	p.Data = c.mem.at(c.slot[i])[:synthLen+int(c.rx.hdrs[i].n)]
	p.IfIndex = ifIndex
	writeSynthetic(p.Data, binary.BigEndian.Uint32(name[4:]), dst, binary.BigEndian.Uint16(name[2:]), port)
	return taken
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
	// struct in_pktinfo: ifindex 0, spec_dst 4, addr 8
	info := control(ctrl, unix.IPPROTO_IP, unix.IP_PKTINFO, pktinfoLen)
	if info == nil {
		return 0, 0, false
	}
	return binary.NativeEndian.Uint32(info), binary.BigEndian.Uint32(info[8:]), true
}

// byRouting as address4's interface leaves interface and source address to the
// routing table.
const byRouting = ^uint32(0)

// address4 makes message i of the frame in p: payload, destination and source. It
// leaves by the interface of that index; 0 is the socket's, and p.IfIndex for what
// is not unicast.
func address4(tx *mmsgBatch, i int, p *Packet, ifIndex uint32) bool {
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
	src, dst := ip[12:16], be.Uint32(ip[16:])
	switch {
	case dst == 0xFFFFFFFF || dst>>28 == 0xE:
		ifIndex = p.IfIndex // which the kernel could not know
	case ifIndex == byRouting:
		ifIndex, src = 0, nil
	}
	tx.set(i, udp[udpLen:n], unix.SizeofSockaddrInet4, pktinfoCtrl)
	name := &tx.names[i]
	ne.PutUint16(name[0:], unix.AF_INET)
	copy(name[2:4], udp[2:4])
	copy(name[4:8], ip[16:20])
	clear(name[8:16])
	info := putControl(tx.ctrls[i][:], unix.IPPROTO_IP, unix.IP_PKTINFO, pktinfoLen)
	clear(info)
	ne.PutUint32(info, ifIndex)
	copy(info[4:8], src)
	return true
}
