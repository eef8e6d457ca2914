package netio

import "golang.org/x/sys/unix"

// PortGuard holds a UDP port on an interface and throws away what arrives there.
// Without it the kernel would answer packets that a packet or AF_XDP socket
// serves with ICMP port unreachable, and a second server could start unnoticed.
//
// What came in fragments those sockets cannot serve; a ReassembledConn takes it
// from the guard.
type PortGuard struct {
	fd      int
	ifIndex uint32
	port    uint16
	six     bool
}

// OpenPortGuard takes the port on the device of that index. With index 0 nothing
// can be taken from it.
func OpenPortGuard(port uint16, device string, ifIndex uint32) (*PortGuard, error) {
	fd, err := bindUDP(0, port, device, false, dropAll())
	if err != nil {
		return nil, err
	}
	return &PortGuard{fd: fd, ifIndex: ifIndex, port: port}, nil
}

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
	return &PortGuard{fd: fd, ifIndex: ifIndex, port: port, six: true}, nil
}

// Close gives the port back. A ReassembledConn that takes from it has to let it go
// first.
func (g *PortGuard) Close() error { return unix.Close(g.fd) }
