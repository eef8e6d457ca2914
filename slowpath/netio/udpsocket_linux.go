package netio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// udpSpec says how a UDP socket is to be bound.
type udpSpec struct {
	sa     unix.Sockaddr // with the port
	port   uint16
	family string // for errors: "" or " for IPv6"
	device string // SO_BINDTODEVICE; "" is none
	// options are set before the socket is bound.
	options []socketOption
	// filter is in place before the first packet can arrive; nil is none.
	filter []unix.SockFilter
}

type socketOption struct {
	name              string
	level, opt, value int
}

var reusePort = socketOption{"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}

// bind opens and binds the socket.
func (s *udpSpec) bind() (fd int, err error) {
	domain := unix.AF_INET
	if _, six := s.sa.(*unix.SockaddrInet6); six {
		domain = unix.AF_INET6
	}
	fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := setOptions(fd, s.options); err != nil {
		return -1, err
	}
	on := ""
	if s.device != "" {
		on = " on " + s.device
		if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, s.device); err != nil {
			return -1, fmt.Errorf("bind udp socket to device %s: %w", s.device, err)
		}
	}
	if len(s.filter) > 0 {
		if err := attachFilter(fd, s.filter); err != nil {
			return -1, err
		}
	}
	if err := unix.Bind(fd, s.sa); err != nil {
		if errors.Is(err, unix.EADDRINUSE) {
			return -1, fmt.Errorf("bind udp port %d%s%s: another DHCP server or relay has it: %w", s.port, on, s.family, err)
		}
		return -1, fmt.Errorf("bind udp port %d%s%s: %w", s.port, on, s.family, err)
	}
	return fd, nil
}

func setOptions(fd int, options []socketOption) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	return nil
}

// udpConn is what UDPConn and UDP6Conn have in common.
type udpConn struct {
	datagrams
	port uint16
	// dropsSeen are the kernel's drops already counted.
	dropsSeen uint64
}

// start makes a Conn of a bound socket, which Close closes, as does start where it
// fails. slots 0 and rcvBuf 0 are the defaults.
func (c *udpConn) start(fd int, ifIndex uint32, slots, rcvBuf int, options ...socketOption) (err error) {
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if slots <= 0 {
		slots = DefaultSlots
	}
	if rcvBuf <= 0 {
		rcvBuf = 4 << 20
	}
	c.synthetic, c.drops = true, c.newDrops
	if err := c.init(fd, ifIndex, slots); err != nil {
		return err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		c.port = uint16(sa.Port)
	case *unix.SockaddrInet6:
		c.port = uint16(sa.Port)
	}
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, rcvBuf)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, rcvBuf)
	return setOptions(fd, options)
}

// Port is the local port, also where 0 was asked for.
func (c *udpConn) Port() uint16 { return c.port }

// newDrops are those since the last call.
func (c *udpConn) newDrops() uint64 {
	n := socketDrops(c.fd)
	d := n - min(c.dropsSeen, n)
	c.dropsSeen += d
	return d
}

// openShared opens n Conns by open. After an error none of them is open.
func openShared[C Conn](n int, open func(i int) (C, error)) (conns []C, err error) {
	if n < 1 || n > 256 {
		return nil, fmt.Errorf("open udp sockets: %d wanted, 1 to 256 possible", n)
	}
	for i := range n {
		c, err := open(i)
		if err != nil {
			for _, c := range conns {
				c.Close()
			}
			return nil, err
		}
		conns = append(conns, c)
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

// control finds the data of a control message, at least n octets of it; nil if
// there is none.
func control(ctrl []byte, level, typ uint32, n int) []byte {
	const hdr = unix.SizeofCmsghdr
	ne := binary.NativeEndian
	for len(ctrl) >= hdr {
		l := ne.Uint64(ctrl)
		if l < hdr || l > uint64(len(ctrl)) {
			break
		}
		if ne.Uint32(ctrl[8:]) == level && ne.Uint32(ctrl[12:]) == typ && l >= uint64(hdr+n) {
			return ctrl[hdr:l]
		}
		ctrl = ctrl[min(uint64(len(ctrl)), (l+7)&^7):]
	}
	return nil
}

// putControl writes the head of a control message with n octets of data and
// returns where those go.
func putControl(ctrl []byte, level, typ uint32, n int) []byte {
	ne := binary.NativeEndian
	ne.PutUint64(ctrl, uint64(unix.SizeofCmsghdr+n))
	ne.PutUint32(ctrl[8:], level)
	ne.PutUint32(ctrl[12:], typ)
	return ctrl[unix.SizeofCmsghdr:][:n]
}
