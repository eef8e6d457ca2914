package differential

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
)

// wire4 is a server and a raw socket on its clients' end; one goroutine hands
// every reply to whoever waits for its transaction.
type wire4 struct {
	*server
	waiting[reply]
	fd      int
	stop    chan struct{}
	stopped chan struct{}
}

func newWire4(t testing.TB, name string) wire[packet, reply] {
	t.Helper()
	s := &wire4{server: newServer(t, name, serverCIDR, nil), fd: -1, stop: make(chan struct{}), stopped: make(chan struct{})}
	index := s.peer.Link(s.t, "clients").Attrs().Index
	err := s.peer.In(func() (err error) {
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err == nil {
		err = unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	if err == nil {
		err = unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000})
	}
	if err == nil {
		ip := binary.NativeEndian.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xff})
		err = unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: ip, Ifindex: index})
	}
	if err != nil {
		s.t.Fatalf("open raw socket: %v", err)
	}
	go s.receive()
	s.t.Cleanup(func() {
		close(s.stop)
		<-s.stopped
		unix.Close(s.fd)
	})
	return s
}

func (s *wire4) receive() {
	defer close(s.stopped)
	buf := make([]byte, 8192)
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		n, err := unix.Read(s.fd, buf)
		if err != nil {
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
				continue
			}
			return
		}
		var h frame.Headers
		f := buf[:n]
		switch why := frame.Decode(f, &h); {
		case why != frame.ReasonOK && n > 23 && f[23] == unix.IPPROTO_UDP:
			s.note("frame: %v: %x", why, f)
			continue
		case why != frame.ReasonOK || h.Family != 4 || h.SrcPort != dhcp4.ServerPort:
			continue // ICMP and the like
		}
		r, err := readReply(append([]byte(nil), f[h.PayloadOff:][:h.PayloadLen]...))
		if err != nil {
			s.note("message: %v: %x", err, f)
			continue
		}
		r.dstMAC, r.srcMAC = [6]byte(f[0:6]), [6]byte(f[6:12])
		r.src, r.dst = dhcp4.IPv4(h.Src4).Netip(), dhcp4.IPv4(h.Dst4).Netip()
		r.srcPort, r.dstPort = h.SrcPort, h.DstPort
		s.deliver(binary.BigEndian.Uint32(r.msg[offXID:]), r)
	}
}

func (s *wire4) send(p *packet) {
	room := make([]byte, frame.MaxHeaderLen+len(p.msg))
	f := writeFrame(room, p)
	for range 1000 {
		_, err := unix.Write(s.fd, f)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			s.t.Errorf("send frame of %d octets: %v", len(f), err)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// writeFrame puts Ethernet, IPv4 and UDP headers in front of the message.
func writeFrame(room []byte, p *packet) []byte {
	const headers = 14 + 20 + 8
	copy(room[headers:], p.msg)
	out := frame.Out4{
		DstMAC: p.dstMAC, SrcMAC: p.srcMAC,
		Src4: uint32(dhcp4.AddrFromNetip(p.src)), Dst4: uint32(dhcp4.AddrFromNetip(p.dst)),
		SrcPort: p.srcPort, DstPort: p.dstPort,
	}
	return room[:frame.Write4(room[:headers+len(p.msg)], &out, len(p.msg))]
}
