package netio

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// ReassembledConn serves the datagrams that came in IP fragments, on all interfaces
// and in both families: XDP passes fragments, packet sockets refuse them, and the
// kernel puts them together for the UDP sockets of PortGuards. From those it takes
// what the kernel says came in fragments (IP_RECVFRAGSIZE), nothing else: what came
// whole has been served by the sockets the guard stands beside. Answers leave by
// the guard of their interface, in fragments if they have to. Packets are marked
// Synthetic.
//
// It serves datagrams longer than any network may refuse to carry whole, 576
// octets (RFC 791) and 1280 octets (RFC 8200 §5); shorter ones have no reason to
// be in fragments, and the guard throws them away.
type ReassembledConn struct {
	datagrams
	unicast6
	epoll  int
	events [16]unix.EpollEvent

	guards struct {
		sync.Mutex // held while a guard's socket is used
		byFD       map[int32]*PortGuard
		byPlace    map[guardPlace]*PortGuard
	}
	// current is the guard that datagrams' functions work for.
	current *PortGuard
}

type guardPlace struct {
	ifIndex uint32
	six     bool
}

var _ Conn = (*ReassembledConn)(nil)

// reassembledSlots is how many packets a ReassembledConn can have on loan, and
// reassembledBuf a guard's receive buffer: few, since fragments are rare where they
// are not an attack.
const (
	reassembledSlots = 256
	reassembledBuf   = 256 << 10
)

// OpenReassembled opens a ReassembledConn that serves nothing yet.
func OpenReassembled() (*ReassembledConn, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create", err)
	}
	c := &ReassembledConn{epoll: epoll}
	c.guards.byFD, c.guards.byPlace = map[int32]*PortGuard{}, map[guardPlace]*PortGuard{}
	c.synthetic = true
	c.received, c.prepare = c.frame, c.address
	// What a guard throws away by its filter counts as a drop of its socket, so
	// that says nothing.
	c.drops = func() uint64 { return 0 }
	if err := c.init(epoll, 0, reassembledSlots); err != nil {
		unix.Close(epoll)
		return nil, err
	}
	return c, nil
}

// Take serves from the guard what comes from now on, until LetGo. Of an interface
// and family there can be one guard. Safe from any goroutine.
func (c *ReassembledConn) Take(g *PortGuard) error {
	place := guardPlace{g.ifIndex, g.six}
	options := []socketOption{recvPktinfo, broadcast, {"IP_RECVFRAGSIZE", unix.IPPROTO_IP, unix.IP_RECVFRAGSIZE, 1}}
	filter := longerThan(576 - ip4Len)
	if g.six {
		options = []socketOption{recvPktinfo6, {"IPV6_RECVFRAGSIZE", unix.IPPROTO_IPV6, unix.IPV6_RECVFRAGSIZE, 1}}
		filter = longerThan(1280 - 40)
	}
	c.guards.Lock()
	defer c.guards.Unlock()
	if c.guards.byPlace[place] != nil {
		return fmt.Errorf("take fragments of interface %d: there is another guard", g.ifIndex)
	}
	if err := setOptions(g.fd, options); err != nil {
		return err
	}
	setBuffer(g.fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, reassembledBuf)
	if err := attachFilter(g.fd, filter); err != nil {
		return err
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(g.fd)}
	if err := unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, g.fd, &ev); err != nil {
		return errors.Join(os.NewSyscallError("epoll_ctl", err), attachFilter(g.fd, dropAll()))
	}
	c.guards.byFD[int32(g.fd)], c.guards.byPlace[place] = g, g
	return nil
}

// LetGo ends Take; answers that are still to come by the guard are dropped. It is no
// error if the guard was not taken. Safe from any goroutine.
func (c *ReassembledConn) LetGo(g *PortGuard) error {
	c.guards.Lock()
	defer c.guards.Unlock()
	if c.guards.byFD[int32(g.fd)] != g {
		return nil
	}
	delete(c.guards.byFD, int32(g.fd))
	delete(c.guards.byPlace, guardPlace{g.ifIndex, g.six})
	return errors.Join(
		os.NewSyscallError("epoll_ctl", unix.EpollCtl(c.epoll, unix.EPOLL_CTL_DEL, g.fd, nil)),
		attachFilter(g.fd, dropAll()),
	)
}

// use has datagrams work for a guard; nil is nobody. With guards held.
func (c *ReassembledConn) use(g *PortGuard) {
	c.current = g
	if g == nil {
		c.fd, c.txFD = c.epoll, c.epoll
		return
	}
	c.fd, c.txFD = g.fd, g.fd
	c.room, c.nameLen = synthLen, unix.SizeofSockaddrInet4
	if g.six {
		c.room, c.nameLen = synthLen6, unix.SizeofSockaddrInet6
	}
}

// Recv implements Conn.
func (c *ReassembledConn) Recv(pkts []Packet) int {
	c.guards.Lock()
	defer c.guards.Unlock()
	n, err := unix.EpollWait(c.epoll, c.events[:], 0)
	if err != nil {
		return 0 // EINTR: the next turn looks again
	}
	got := 0
	for i := range c.events[:n] {
		if g := c.guards.byFD[c.events[i].Fd]; g != nil {
			c.use(g)
			got += c.datagrams.Recv(pkts[got:])
		}
	}
	c.use(nil)
	return got
}

// frame writes headers in front of message i if it came in fragments.
func (c *ReassembledConn) frame(i int, p *Packet) reception {
	g := c.current
	if g.six {
		if control(c.control(i), unix.IPPROTO_IPV6, unix.IPV6_RECVFRAGSIZE, 4) == nil {
			return ignored
		}
		return c.frame6(i, g.port, &c.unicast6, p)
	}
	if control(c.control(i), unix.IPPROTO_IP, unix.IP_RECVFRAGSIZE, 4) == nil {
		return ignored
	}
	return c.frame4(i, g.port, p)
}

// Send implements Conn.
func (c *ReassembledConn) Send(pkts []Packet) {
	c.guards.Lock()
	defer c.guards.Unlock()
	for i := range pkts {
		p := &pkts[i]
		six := len(p.Data) > ethLen && p.Data[ethLen]>>4 == 6
		g := c.guards.byPlace[guardPlace{p.IfIndex, six}]
		if g == nil {
			c.txDropped.Add(1)
			c.mem.push(uint32(p.Token))
			continue
		}
		c.use(g)
		c.datagrams.Send(pkts[i : i+1])
		c.datagrams.Flush()
	}
	c.use(nil)
}

// address makes message i of the frame in p.
func (c *ReassembledConn) address(i int, p *Packet) bool {
	if c.current.six {
		return address6(&c.tx, i, p)
	}
	return address4(&c.tx, i, p, 0)
}

// Flush implements Conn: Send has done it.
func (c *ReassembledConn) Flush() {}
