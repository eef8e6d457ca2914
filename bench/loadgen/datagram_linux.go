package loadgen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

const (
	datagramSlots = 2048
	datagramSize  = 2048
	datagramRoom  = 64 // in front of a datagram: the headers made up for it
)

// datagram is a UDP socket of either family as a netio.Conn: it writes frames'
// headers in front of what it receives and sends the payload of a frame to the
// destination in its headers. It exists beside netio.UDPConn because that one
// serves only IPv4 and is received from by the thread that sends.
//
// With a receiving thread that thread alone reads the socket and hands buffers
// on in a ring of constant size; what finds no room there stays in the socket's
// buffer, where the kernel counts what it drops.
type datagram struct {
	fd     int
	v6     bool
	zone   uint32
	port   uint16
	local4 uint32
	local6 [16]byte
	mem    []byte
	free   []uint32 // of the owner
	wake   [2]int   // a pipe

	thread   bool
	arrived  chan arrival
	returned chan uint32
	stop     chan struct{}
	done     sync.WaitGroup
	waiting  atomic.Bool

	to4 unix.SockaddrInet4
	to6 unix.SockaddrInet6

	rx, tx, txDropped, noFrame, refused atomic.Uint64
}

type arrival struct{ slot, n uint32 }

var _ netio.Conn = (*datagram)(nil)

// openDatagram opens a socket on port of the address, if that is valid; in IPv6
// on the link's link-local address.
func openDatagram(k *Link, addr netip.Addr, port uint16, v6, thread bool) (d *datagram, err error) {
	family := unix.AF_INET
	if v6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	d = &datagram{fd: fd, v6: v6, port: port, zone: uint32(k.Index), thread: thread, wake: [2]int{-1, -1}}
	defer func() {
		if err != nil {
			_ = d.Close()
		}
	}()
	var sa unix.Sockaddr
	if v6 {
		if addr.IsValid() {
			d.local6 = addr.As16()
		}
		in := &unix.SockaddrInet6{Port: int(port), Addr: d.local6}
		if addr.IsLinkLocalUnicast() {
			in.ZoneId = d.zone
		}
		sa = in
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return d, fmt.Errorf("set IPV6_V6ONLY: %w", err)
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, k.Index); err != nil {
			return d, fmt.Errorf("set IPV6_MULTICAST_IF: %w", err)
		}
	} else {
		d.local4 = number(addr)
		sa = &unix.SockaddrInet4{Port: int(port), Addr: addr.As4()}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
			return d, fmt.Errorf("set SO_BROADCAST: %w", err)
		}
	}
	const buffer = 4 << 20
	for _, o := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[0], buffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[1], buffer) // as much as the unprivileged get
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return d, fmt.Errorf("bind udp port %d of %v: %w", port, addr, err)
	}
	if err := unix.Pipe2(d.wake[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return d, os.NewSyscallError("pipe2", err)
	}
	d.mem = make([]byte, datagramSlots*datagramSize)
	for i := range uint32(datagramSlots) {
		d.free = append(d.free, i)
	}
	if thread {
		d.arrived, d.returned = make(chan arrival, datagramSlots), make(chan uint32, datagramSlots)
		d.stop = make(chan struct{})
		for range datagramSlots / 2 { // the other half is for sending
			d.returned <- d.pop()
		}
		d.done.Go(d.receive)
	}
	return d, nil
}

func (d *datagram) pop() uint32 {
	i := d.free[len(d.free)-1]
	d.free = d.free[:len(d.free)-1]
	return i
}

func (d *datagram) slot(i uint32) []byte {
	return d.mem[i*datagramSize : (i+1)*datagramSize : (i+1)*datagramSize]
}

// receive is the receiving thread.
func (d *datagram) receive() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fds := []unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}}
	for {
		var i uint32
		select {
		case <-d.stop:
			return
		case i = <-d.returned:
		}
		n, ok := d.read(i)
		for !ok {
			_, _ = unix.Poll(fds, 50)
			select {
			case <-d.stop:
				return
			default:
			}
			n, ok = d.read(i)
		}
		d.arrived <- arrival{i, n} // there is room for every slot
		if d.waiting.Load() {
			d.Wake()
		}
	}
}

// read takes one datagram into slot i and writes headers in front of it.
func (d *datagram) read(i uint32) (frameLen uint32, ok bool) {
	b := d.slot(i)
	n, err := unix.Read(d.fd, b[datagramRoom:])
	for range netio.BatchSize {
		if err != nil || n < len(b)-datagramRoom {
			break
		}
		d.refused.Add(1) // it is cut off: longer than any answer
		n, err = unix.Read(d.fd, b[datagramRoom:])
	}
	if err != nil || n == len(b)-datagramRoom {
		return 0, false
	}
	// Where it came from is not asked: answers are known by their contents.
	if d.v6 {
		h := frame.HeaderLen6(0)
		copy(b[h:], b[datagramRoom:datagramRoom+n])
		return uint32(frame.Write6(b, &frame.Out6{Dst6: d.local6, DstPort: d.port}, n)), true
	}
	h := frame.HeaderLen4(0)
	copy(b[h:], b[datagramRoom:datagramRoom+n])
	return uint32(frame.Write4(b, &frame.Out4{Dst4: d.local4, DstPort: d.port, NoUDPChecksum: true}, n)), true
}

// Recv implements netio.Conn.
func (d *datagram) Recv(pkts []netio.Packet) int {
	got := 0
	for ; got < len(pkts); got++ {
		var a arrival
		if d.thread {
			select {
			case a = <-d.arrived:
			default:
				d.rx.Add(uint64(got))
				return got
			}
		} else {
			if len(d.free) == 0 {
				break
			}
			i := d.pop()
			n, ok := d.read(i)
			if !ok {
				d.free = append(d.free, i)
				break
			}
			a = arrival{i, n}
		}
		pkts[got] = netio.Packet{Data: d.slot(a.slot)[:a.n], IfIndex: d.zone, Synthetic: true, Token: uint64(a.slot)}
	}
	d.rx.Add(uint64(got))
	return got
}

// Alloc implements netio.Conn.
func (d *datagram) Alloc(p *netio.Packet) bool {
	if len(d.free) == 0 {
		d.noFrame.Add(1)
		return false
	}
	i := d.pop()
	*p = netio.Packet{Data: d.slot(i)[:0], IfIndex: d.zone, Synthetic: true, Token: uint64(i)}
	return true
}

// give takes a slot back. With a thread, it gets the slots until it has half of
// them.
func (d *datagram) give(i uint32) {
	if d.thread && len(d.free) >= datagramSlots/2 {
		d.returned <- i // there is room for every slot
		return
	}
	d.free = append(d.free, i)
}

// Send implements netio.Conn. A datagram is sent at once.
func (d *datagram) Send(pkts []netio.Packet) {
	for i := range pkts {
		if d.send(pkts[i].Data) == nil {
			d.tx.Add(1)
		} else {
			d.txDropped.Add(1)
		}
	}
	d.Release(pkts)
}

var errNoDatagram = errors.New("the frame holds no datagram of this family")

// send sends the payload of a frame, whose headers this program wrote: without
// tags and options. Checksums are the kernel's to make.
func (d *datagram) send(b []byte) error {
	be := binary.BigEndian
	const l3 = 14
	if d.v6 {
		h := frame.HeaderLen6(0)
		if len(b) < h || be.Uint16(b[12:]) != frame.EtherTypeIPv6 {
			return errNoDatagram
		}
		d.to6 = unix.SockaddrInet6{Port: int(be.Uint16(b[l3+42:])), Addr: [16]byte(b[l3+24 : l3+40])}
		if d.to6.Addr[0] == 0xfe || d.to6.Addr[0] == 0xff {
			d.to6.ZoneId = d.zone
		}
		return unix.Sendto(d.fd, b[h:], unix.MSG_DONTWAIT, &d.to6)
	}
	h := frame.HeaderLen4(0)
	if len(b) < h || be.Uint16(b[12:]) != frame.EtherTypeIPv4 {
		return errNoDatagram
	}
	d.to4 = unix.SockaddrInet4{Port: int(be.Uint16(b[l3+22:])), Addr: [4]byte(b[l3+16 : l3+20])}
	return unix.Sendto(d.fd, b[h:], unix.MSG_DONTWAIT, &d.to4)
}

// Release implements netio.Conn.
func (d *datagram) Release(pkts []netio.Packet) {
	for i := range pkts {
		d.give(uint32(pkts[i].Token))
	}
}

// Flush implements netio.Conn.
func (d *datagram) Flush() {}

// Wait implements netio.Conn.
func (d *datagram) Wait(timeoutNs int64) {
	fds := [2]unix.PollFd{{Fd: int32(d.wake[0]), Events: unix.POLLIN}, {Fd: int32(d.fd), Events: unix.POLLIN}}
	n := 2
	if d.thread {
		n = 1
		d.waiting.Store(true)
		defer d.waiting.Store(false)
		if len(d.arrived) > 0 {
			return
		}
	}
	ts := unix.NsecToTimespec(max(timeoutNs, 0))
	_, _ = unix.Ppoll(fds[:n], &ts, nil)
	if fds[0].Revents != 0 {
		var b [64]byte
		_, _ = unix.Read(d.wake[0], b[:])
	}
}

// Wake implements netio.Conn.
func (d *datagram) Wake() { _, _ = unix.Write(d.wake[1], []byte{0}) }

// ConnStats implements netio.Conn.
func (d *datagram) ConnStats() netio.ConnStats {
	return netio.ConnStats{RxPackets: d.rx.Load(), TxPackets: d.tx.Load(), TxDropped: d.txDropped.Load(), NoFrame: d.noFrame.Load(), RxRefused: d.refused.Load()}
}

// Close implements netio.Conn.
func (d *datagram) Close() error {
	if d.stop != nil {
		close(d.stop)
		d.done.Wait()
		d.stop = nil
	}
	var errs []error
	for _, fd := range []*int{&d.fd, &d.wake[0], &d.wake[1]} {
		if *fd >= 0 {
			errs = append(errs, unix.Close(*fd))
			*fd = -1
		}
	}
	return errors.Join(errs...)
}
