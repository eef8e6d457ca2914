package netio

import (
	"encoding/binary"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Waiter is what a Conn sleeps on: its socket and an eventfd. Wait is for the
// Conn's owner, everything else for everybody.
type Waiter struct {
	// pending is 1 from a Wake until the owner noticed it; sleeping is 1 while
	// the owner may be in the kernel. A waker writes pending before it reads
	// sleeping, the owner the other way round, so one of them sees the other.
	pending, sleeping atomic.Uint32

	fds   [2]unix.PollFd
	ts    unix.Timespec
	drain [8]byte

	mu  sync.Mutex // guards efd against Close
	efd int
}

var wakeBytes = binary.NativeEndian.AppendUint64(nil, 1)

// Init opens the eventfd and watches fd, which stays the caller's.
func (w *Waiter) Init(fd int) error {
	efd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	w.efd = efd
	w.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	w.fds[1] = unix.PollFd{Fd: int32(efd), Events: unix.POLLIN}
	return nil
}

// deadFdNs is the longest sleep on a socket that reports an error.
const deadFdNs = 10_000_000

// Wait blocks until the socket is readable, Wake is or was called, or timeoutNs
// have passed. With watch false it looks at Wake only: for an owner who could not
// take a packet now.
func (w *Waiter) Wait(timeoutNs int64, watch bool) {
	w.sleeping.Store(1)
	if w.pending.Load() == 0 && timeoutNs > 0 {
		fds := w.fds[:]
		if !watch {
			fds = w.fds[1:]
		}
		w.fds[0].Revents, w.fds[1].Revents = 0, 0
		w.ts = unix.NsecToTimespec(timeoutNs)
		_, _ = unix.Ppoll(fds, &w.ts, nil)
		if w.fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 && w.fds[1].Revents == 0 {
			// The device is down or gone, and poll would return at once for as
			// long as it is. Whoever follows the interfaces will act.
			w.ts = unix.NsecToTimespec(min(timeoutNs, deadFdNs))
			_, _ = unix.Ppoll(w.fds[1:], &w.ts, nil)
		}
	}
	w.sleeping.Store(0)
	w.pending.Store(0)
	if w.fds[1].Revents&unix.POLLIN != 0 {
		_, _ = unix.Read(w.efd, w.drain[:])
		w.fds[1].Revents = 0
	}
}

// Wake ends a Wait, now or the next one. It costs an atomic load while an earlier
// Wake has not been noticed, a store more if nobody sleeps, and a system call
// only if somebody does.
func (w *Waiter) Wake() {
	if w.pending.Load() != 0 {
		return
	}
	w.pending.Store(1)
	if w.sleeping.Load() == 0 {
		return
	}
	w.mu.Lock()
	if w.efd > 0 {
		_, _ = unix.Write(w.efd, wakeBytes)
	}
	w.mu.Unlock()
}

// Sleeping says whether the owner may be asleep just now.
func (w *Waiter) Sleeping() bool { return w.sleeping.Load() != 0 }

// Close closes the eventfd; a later Wake does nothing.
func (w *Waiter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.efd <= 0 {
		return nil
	}
	err := unix.Close(w.efd)
	w.efd = 0
	return err
}
