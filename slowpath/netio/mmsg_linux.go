package netio

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// recvmmsg and sendmmsg are in no library without an allocation per packet, so
// this file is the package's one use of unsafe: it passes preallocated arrays of
// headers to the kernel. Their pointers are ordinary Go pointers, which keeps
// what they point at alive and in place.

// mmsghdr is struct mmsghdr of socket(7).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   uint32
}

const (
	nameLen = 32 // sockaddr_in, sockaddr_in6 and sockaddr_ll fit
	ctrlLen = 64 // one IP_PKTINFO, IPV6_PKTINFO or PACKET_AUXDATA message fits
)

// mmsgBatch is the headers of up to BatchSize messages of one part each.
type mmsgBatch struct {
	hdrs  [BatchSize]mmsghdr
	iovs  [BatchSize]unix.Iovec
	names [BatchSize][nameLen]byte
	ctrls [BatchSize][ctrlLen]byte
}

// set points message i at data, with room for a name and control data of the
// given lengths.
func (b *mmsgBatch) set(i int, data []byte, name, ctrl int) {
	h := &b.hdrs[i].hdr
	b.iovs[i].Base = unsafe.SliceData(data)
	b.iovs[i].SetLen(len(data))
	h.Iov = &b.iovs[i]
	h.SetIovlen(1)
	h.Name, h.Namelen = nil, 0
	if name > 0 {
		h.Name, h.Namelen = &b.names[i][0], uint32(name)
	}
	h.Control = nil
	h.SetControllen(0)
	if ctrl > 0 {
		h.Control = &b.ctrls[i][0]
		h.SetControllen(ctrl)
	}
	h.Flags = 0
	b.hdrs[i].n = 0
}

// recv receives up to n messages without blocking.
//
// The call never blocks, so it skips the scheduler's bookkeeping: with it the
// runtime would take this thread's processor away after 20 µs, in the middle of
// an ordinary batch.
func (b *mmsgBatch) recv(fd, n int) (int, unix.Errno) {
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.hdrs[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// send sends messages from..n without blocking and returns how many.
func (b *mmsgBatch) send(fd, from, n int) (int, unix.Errno) {
	r, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.hdrs[from])), uintptr(n-from), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// sendAll sends the first n messages. When the kernel has no room for one, it and
// all after it are lost; when it refuses one for itself, only that one is.
func (b *mmsgBatch) sendAll(fd, n int) (sent, dropped int) {
	for from := 0; from < n; {
		k, errno := b.send(fd, from, n)
		sent += k
		from += k
		switch {
		case errno == 0 && k > 0, errno == unix.EINTR:
			// sendmmsg stops at an error and reports it with the next call.
		case errno == unix.EAGAIN || errno == unix.ENOBUFS || errno == unix.ENOMEM || errno == 0:
			return sent, dropped + n - from
		default:
			dropped++
			from++
		}
	}
	return sent, dropped
}

// socketDrops reads how many packets the kernel could not queue on the socket
// (SO_MEMINFO).
func socketDrops(fd int) uint64 {
	var info [9]uint32 // up to SK_MEMINFO_DROPS, the last
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(info[8])
}
