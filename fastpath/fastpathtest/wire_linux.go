package fastpathtest

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Wire is a raw socket on a device: what goes into it is on the wire as it is.
type Wire struct {
	fd  int
	buf [4096]byte
}

// OpenWire opens a Wire on dev until the test ends.
func OpenWire(tb testing.TB, dev End) *Wire {
	tb.Helper()
	proto := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	if err == nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: int(dev.Index)})
	}
	if err != nil {
		tb.Fatalf("open raw socket on %s: %v", dev.Name, err)
	}
	tb.Cleanup(func() { unix.Close(fd) })
	return &Wire{fd: fd}
}

// Send puts a frame on the wire.
func (w *Wire) Send(tb testing.TB, frame []byte) {
	tb.Helper()
	for {
		_, err := unix.Write(w.fd, frame)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
			tb.Fatalf("send frame: %v", err)
		}
	}
}

// Recv returns the next UDP frame from port 67 within d, nil if none. The slice
// is valid until the next call.
func (w *Wire) Recv(tb testing.TB, d time.Duration) []byte {
	tb.Helper()
	deadline := time.Now().Add(d)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return nil
		}
		fds := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, int(left.Milliseconds())+1); n == 0 || errors.Is(err, unix.EINTR) {
			continue
		}
		n, err := unix.Read(w.fd, w.buf[:])
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
			continue
		}
		if err != nil {
			tb.Fatalf("receive frame: %v", err)
		}
		f := w.buf[:n]
		if n < 42 || f[12] != 8 || f[13] != 0 || f[23] != unix.IPPROTO_UDP {
			continue
		}
		return f
	}
}

// FrameLen is the length of a Query frame: an Ethernet header and the 300 octets
// of payload that BOOTP asks for at least.
const FrameLen = 14 + 20 + 8 + 300

// Query writes a frame that looks like a relayed DHCP request: UDP src:67 to
// dst:67, with client in the last octets of chaddr and seq as xid.
func Query(dstMAC, srcMAC [6]byte, src, dst [4]byte, client, seq uint32) []byte {
	b := make([]byte, FrameLen)
	be := binary.BigEndian
	copy(b[0:], dstMAC[:])
	copy(b[6:], srcMAC[:])
	be.PutUint16(b[12:], unix.ETH_P_IP)
	ip := b[14:]
	ip[0] = 0x45
	be.PutUint16(ip[2:], FrameLen-14)
	ip[8], ip[9] = 64, unix.IPPROTO_UDP
	copy(ip[12:], src[:])
	copy(ip[16:], dst[:])
	be.PutUint16(ip[10:], ^fold(sum16(0, ip[:20])))
	udp := ip[20:]
	be.PutUint16(udp[0:], 67)
	be.PutUint16(udp[2:], 67)
	be.PutUint16(udp[4:], FrameLen-34)
	msg := udp[8:]
	msg[0], msg[1], msg[2], msg[3] = 1, 1, 6, 1
	be.PutUint32(msg[4:], seq)
	copy(msg[24:], src[:]) // giaddr
	msg[28], msg[29] = 0x02, 0x00
	be.PutUint32(msg[30:], client)
	copy(msg[236:], []byte{99, 130, 83, 99, 53, 1, 1, 255})
	pseudo := sum16(uint32(unix.IPPROTO_UDP)+uint32(len(udp)), ip[12:20])
	c := ^fold(sum16(pseudo, udp))
	if c == 0 {
		c = 0xFFFF
	}
	be.PutUint16(udp[6:], c)
	return b
}

func sum16(acc uint32, b []byte) uint32 {
	for i := 0; i+1 < len(b); i += 2 {
		acc += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return acc
}

func fold(acc uint32) uint16 {
	for acc > 0xFFFF {
		acc = acc>>16 + acc&0xFFFF
	}
	return uint16(acc)
}

// ClientSeq reads client and seq out of a Query or its echo.
func ClientSeq(f []byte) (client, seq uint32) {
	return binary.BigEndian.Uint32(f[42+30:]), binary.BigEndian.Uint32(f[42+4:])
}

// Echo turns a frame with IPv4 and UDP around in place: MAC addresses, addresses
// and ports change sides, which leaves the checksums right.
func Echo(f []byte) {
	var t [6]byte
	copy(t[:], f[0:6])
	copy(f[0:6], f[6:12])
	copy(f[6:12], t[:])
	l3 := 14
	for f[l3-2] == 0x81 && f[l3-1] == 0 || f[l3-2] == 0x88 && f[l3-1] == 0xA8 {
		l3 += 4
	}
	ip := f[l3:]
	copy(t[:4], ip[12:16])
	copy(ip[12:16], ip[16:20])
	copy(ip[16:20], t[:4])
	udp := ip[20:]
	copy(t[:2], udp[0:2])
	copy(udp[0:2], udp[2:4])
	copy(udp[2:4], t[:2])
}

// Steer is a small XDP program with its XSKMAP, for tests of sockets without the
// real one: an untagged IPv4 UDP frame goes to socket queue·n + client mod n,
// everything else to the stack.
type Steer struct {
	Program *ebpf.Program
	XSKMap  *ebpf.Map
}

// NewSteer loads a Steer with n, a power of two, sockets per queue.
func NewSteer(tb testing.TB, queues, n int) *Steer {
	tb.Helper()
	RequireXDP(tb)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(queues * n)})
	if err != nil {
		tb.Fatalf("make xskmap: %v", err)
	}
	const clientTail = 42 + 33
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:    ebpf.XDP,
		License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),  // data
			asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),  // data_end
			asm.LoadMem(asm.R6, asm.R1, 16, asm.Word), // rx_queue_index
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, clientTail+1),
			asm.JGT.Reg(asm.R4, asm.R3, "pass"),
			asm.LoadMem(asm.R5, asm.R2, 12, asm.Byte),
			asm.JNE.Imm(asm.R5, 8, "pass"),
			asm.LoadMem(asm.R5, asm.R2, 23, asm.Byte),
			asm.JNE.Imm(asm.R5, unix.IPPROTO_UDP, "pass"),
			asm.LoadMem(asm.R5, asm.R2, clientTail, asm.Byte),
			asm.And.Imm(asm.R5, int32(n-1)),
			asm.Mul.Imm(asm.R6, int32(n)),
			asm.Add.Reg(asm.R6, asm.R5),
			asm.LoadMapPtr(asm.R1, m.FD()),
			asm.Mov.Reg(asm.R2, asm.R6),
			asm.Mov.Imm(asm.R3, 2), // XDP_PASS where no socket is
			asm.FnRedirectMap.Call(),
			asm.Return(),
			asm.Mov.Imm(asm.R0, 2).WithSymbol("pass"),
			asm.Return(),
		},
	})
	if err != nil {
		m.Close()
		tb.Fatalf("load steering program: %v", err)
	}
	tb.Cleanup(func() {
		p.Close()
		m.Close()
	})
	return &Steer{Program: p, XSKMap: m}
}
