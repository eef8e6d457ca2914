package netio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// PacketOptions describe a PacketConn. IfIndex and Port4 or Port6 are required.
type PacketOptions struct {
	IfIndex uint32
	// Port4 and Port6 are the UDP destination ports taken; 0: none of that
	// family.
	Port4, Port6 uint16
	// Slots is how many packets may be on loan. 0 means DefaultSlots.
	Slots int
	// RcvBuf is the socket's receive buffer in bytes. 0 means 4 MiB.
	RcvBuf int
}

// PacketConn is an AF_PACKET socket on one interface: it sees frames as they came
// from the wire, after XDP has passed them, tags included, and needs no address
// on the interface to answer. It needs CAP_NET_RAW.
//
// It takes broadcast, the groups of DHCPv6 servers, and what is addressed to one of
// our addresses (SetMembers): frames that are only passing through a router belong
// to somebody else. A frame that belongs to a VLAN interface is received as that
// interface's, by its index; what is sent leaves with the tags that stand in it.
// Fragments are refused and counted: they arrive here one by one; what the kernel
// makes of them is for a ReassembledConn.
type PacketConn struct {
	datagrams

	members atomic.Pointer[Members]
}

var _ Conn = (*PacketConn)(nil)

// vlanRoom is left in front of a received frame for the tag the kernel took out.
const vlanRoom = 4

// OpenPacket opens n PacketConns that share the interface's packets: the kernel
// divides clients among them by their chaddr (PACKET_FANOUT). Until SetMembers
// they take only broadcast and multicast, of the families of opt, tagged or not.
func OpenPacket(opt PacketOptions, n int) (conns []*PacketConn, err error) {
	if n < 1 || n > 256 {
		return nil, fmt.Errorf("open packet sockets: %d wanted, 1 to 256 possible", n)
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
	for range n {
		c, err := openPacket(opt)
		if err != nil {
			return conns, fmt.Errorf("open packet socket on interface %d: %w", opt.IfIndex, err)
		}
		conns = append(conns, c)
	}
	if n > 1 {
		if err := fanout(conns); err != nil {
			return conns, fmt.Errorf("share packets of interface %d among %d sockets: %w", opt.IfIndex, n, err)
		}
	}
	// Only now does anything get through: before they were a group, each would
	// have had a copy of every packet.
	filter := dhcpFilter(opt.Port4, opt.Port6)
	for _, c := range conns {
		if err := attachFilter(c.fd, filter); err != nil {
			return conns, err
		}
	}
	return conns, nil
}

// openPacket opens a bound socket that takes nothing yet.
func openPacket(opt PacketOptions) (c *PacketConn, err error) {
	// Protocol 0: nothing arrives before the filter is in place.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := attachFilter(fd, dropAll()); err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return nil, fmt.Errorf("set PACKET_AUXDATA: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return nil, fmt.Errorf("set PACKET_IGNORE_OUTGOING: %w", err)
	}
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, opt.RcvBuf)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, opt.RcvBuf)
	sa := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: int(opt.IfIndex)}
	if err := unix.Bind(fd, sa); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	c = new(PacketConn)
	c.room, c.nameLen = vlanRoom, unix.SizeofSockaddrLinklayer
	c.received, c.prepare, c.drops = c.frame, c.whole, c.statistics
	c.members.Store(&Members{
		Device: Member{IfIndex: opt.IfIndex, Four: opt.Port4 != 0, Six: opt.Port6 != 0}, Tagged: true,
	})
	if err := c.init(fd, opt.IfIndex, opt.Slots); err != nil {
		return nil, err
	}
	return c, nil
}

func attachFilter(fd int, filter []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("attach filter: %w", err)
	}
	return nil
}

// fanout makes one group of the sockets, with an identifier the kernel chooses.
func fanout(conns []*PacketConn) error {
	first := conns[0].fd
	const mode = unix.PACKET_FANOUT_CBPF << 16
	if err := unix.SetsockoptInt(first, unix.SOL_PACKET, unix.PACKET_FANOUT, mode|unix.PACKET_FANOUT_FLAG_UNIQUEID<<16); err != nil {
		return fmt.Errorf("set PACKET_FANOUT: %w", err)
	}
	v, err := unix.GetsockoptInt(first, unix.SOL_PACKET, unix.PACKET_FANOUT)
	if err != nil {
		return fmt.Errorf("read PACKET_FANOUT: %w", err)
	}
	filter := fanoutFilter()
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(first, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, &prog); err != nil {
		return fmt.Errorf("set PACKET_FANOUT_DATA: %w", err)
	}
	for _, c := range conns[1:] {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_PACKET, unix.PACKET_FANOUT, mode|v&0xFFFF); err != nil {
			return fmt.Errorf("set PACKET_FANOUT: %w", err)
		}
	}
	return nil
}

func htons(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// setBuffer sets a buffer size past the limit for the unprivileged where allowed.
func setBuffer(fd, force, plain, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
	}
}

// SetMembers says which interface each frame belongs to and which destinations
// are ours. Safe from any goroutine.
func (c *PacketConn) SetMembers(m *Members) { c.members.Store(m) }

// SetAddrs4 sets the IPv4 destinations taken beside 255.255.255.255: addresses
// of this machine and its subnets' broadcast addresses. For a socket without VLAN
// interfaces; not at the same time as the other setters.
func (c *PacketConn) SetAddrs4(addrs []uint32) {
	m := *c.members.Load()
	m.Addrs4 = slices.Sorted(slices.Values(addrs))
	c.members.Store(&m)
}

// SetAddrs6 sets the IPv6 destinations taken beside ff02::1:2 and ff05::1:3, as
// SetAddrs4 does.
func (c *PacketConn) SetAddrs6(addrs [][16]byte) {
	m := *c.members.Load()
	m.Addrs6 = slices.SortedFunc(slices.Values(addrs), compare6)
	c.members.Store(&m)
}

func compare6(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) }

// frame makes a packet of message i, with its tag, if it is for us.
func (c *PacketConn) frame(i int, p *Packet) reception {
	n := int(c.rx.hdrs[i].n)
	if n < 14+20+8 {
		return refused
	}
	buf := c.mem.at(c.slot[i])
	data := buf[vlanRoom : vlanRoom+n]
	if tpid, tci, ok := auxVLAN(c.control(i)); ok {
		copy(buf[:12], data[:12])
		binary.BigEndian.PutUint16(buf[12:], tpid)
		binary.BigEndian.PutUint16(buf[14:], tci)
		data = buf[:vlanRoom+n]
	}
	m := c.members.Load()
	who, l3, typ := m.Find(data)
	if who == nil {
		return refused
	}
	// struct sockaddr_ll: sll_pkttype is its octet 10. A VLAN interface may have a
	// MAC address of its own; to the device such frames are for another host.
	switch c.rx.names[i][10] {
	case unix.PACKET_HOST, unix.PACKET_BROADCAST, unix.PACKET_MULTICAST:
	case unix.PACKET_OTHERHOST:
		if who == &m.Device || [6]byte(data) != who.MAC {
			return refused
		}
	default:
		return refused
	}
	switch typ {
	case unix.ETH_P_IP:
		if !who.Four || len(data) < l3+20+8 {
			return refused
		}
		if binary.BigEndian.Uint16(data[l3+6:])&0x3FFF != 0 {
			return refused // a fragment
		}
		if !m.ours4(who, binary.BigEndian.Uint32(data[l3+16:])) {
			return refused
		}
	case unix.ETH_P_IPV6:
		if !who.Six || len(data) < l3+40+8 {
			return refused
		}
		if !m.ours6(who, [16]byte(data[l3+24:])) || data[l3+6] == unix.IPPROTO_FRAGMENT {
			return refused
		}
	default:
		return refused
	}
	p.Data, p.IfIndex = data, who.IfIndex
	return taken
}

// auxVLAN finds the tag in PACKET_AUXDATA.
func auxVLAN(ctrl []byte) (tpid, tci uint16, ok bool) {
	ne := binary.NativeEndian
	// struct tpacket_auxdata: status 0, vlan_tci 16, vlan_tpid 18.
	aux := control(ctrl, unix.SOL_PACKET, unix.PACKET_AUXDATA, 20)
	if aux == nil {
		return 0, 0, false
	}
	status := ne.Uint32(aux)
	if status&unix.TP_STATUS_VLAN_VALID == 0 {
		return 0, 0, false
	}
	tpid = unix.ETH_P_8021Q
	if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = ne.Uint16(aux[18:])
	}
	return tpid, ne.Uint16(aux[16:]), true
}

// whole makes message i of a frame.
func (c *PacketConn) whole(i int, p *Packet) bool {
	if len(p.Data) < 14 {
		return false
	}
	c.tx.set(i, p.Data, 0, 0)
	return true
}

// statistics reads PACKET_STATISTICS, which reading resets.
func (c *PacketConn) statistics() uint64 {
	st, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return uint64(st.Drops)
}
