package xsk

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setsockopt and getsockopt take structures x/sys/unix has no call for.
func setsockopt(fd, opt int, p unsafe.Pointer, size uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(opt), uintptr(p), size, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func getsockopt(fd, opt int, p unsafe.Pointer, size *uint32) error {
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(opt), uintptr(p), uintptr(unsafe.Pointer(size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// registerUMEM tells the kernel where the frames are.
func registerUMEM(fd int, mem []byte, frameSize, headroom uint32) error {
	reg := unix.XDPUmemReg{
		Addr:     uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))),
		Len:      uint64(len(mem)),
		Size:     frameSize,
		Headroom: headroom,
	}
	// The structure up to Headroom is its first version, which every kernel
	// takes; no flag of the later ones is wanted.
	err := setsockopt(fd, unix.XDP_UMEM_REG, unsafe.Pointer(&reg), unsafe.Offsetof(reg.Flags))
	if errors.Is(err, unix.ENOBUFS) {
		return fmt.Errorf("register umem: %d bytes would have to be locked in memory: raise RLIMIT_MEMLOCK or grant CAP_IPC_LOCK: %w", len(mem), err)
	}
	if err != nil {
		return fmt.Errorf("register umem of %d bytes: %w", len(mem), err)
	}
	return nil
}

// setRing sets the number of entries of one of the four rings.
func setRing(fd, opt int, entries uint32) error {
	return unix.SetsockoptInt(fd, unix.SOL_XDP, opt, int(entries))
}

func mmapOffsets(fd int) (unix.XDPMmapOffsets, error) {
	var off unix.XDPMmapOffsets
	size := uint32(unsafe.Sizeof(off))
	if err := getsockopt(fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&off), &size); err != nil {
		return off, fmt.Errorf("read ring offsets: %w", err)
	}
	if size != uint32(unsafe.Sizeof(off)) {
		return off, errors.New("read ring offsets: kernel older than 5.4")
	}
	return off, nil
}

// boundZeroCopy reads the mode the kernel chose at bind.
func boundZeroCopy(fd int) (bool, error) {
	var opts uint32
	size := uint32(unsafe.Sizeof(opts))
	if err := getsockopt(fd, unix.XDP_OPTIONS, unsafe.Pointer(&opts), &size); err != nil {
		return false, fmt.Errorf("read xdp options: %w", err)
	}
	return opts&unix.XDP_OPTIONS_ZEROCOPY != 0, nil
}

// statistics reads XDP_STATISTICS.
func statistics(fd int) (unix.XDPStatistics, error) {
	var st unix.XDPStatistics
	size := uint32(unsafe.Sizeof(st))
	err := getsockopt(fd, unix.XDP_STATISTICS, unsafe.Pointer(&st), &size)
	return st, err
}

// mapRing maps the memory of a ring: indices at the offsets of off, entries of
// entrySize bytes behind.
func mapRing(fd int, pgoff int64, off unix.XDPRingOffset, entries uint32, entrySize uintptr) ([]byte, ring, error) {
	mem, err := unix.Mmap(fd, pgoff, int(off.Desc+uint64(entries)*uint64(entrySize)),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, ring{}, err
	}
	return mem, ringAt(mem, off, entries), nil
}

// ringAt lays a ring over mem.
func ringAt(mem []byte, off unix.XDPRingOffset, entries uint32) ring {
	at := func(o uint64) *uint32 { return (*uint32)(unsafe.Pointer(&mem[o])) }
	r := ring{
		producer: at(off.Producer),
		consumer: at(off.Consumer),
		flags:    at(off.Flags),
		size:     entries,
		mask:     entries - 1,
	}
	// A fresh ring starts at zero; taking what is there costs nothing and lets
	// tests start just below the wrap.
	r.cachedProd = *r.producer
	r.cachedCons = *r.consumer
	return r
}

func descsAt(mem []byte, off unix.XDPRingOffset, entries uint32) []unix.XDPDesc {
	return unsafe.Slice((*unix.XDPDesc)(unsafe.Pointer(&mem[off.Desc])), entries)
}

func addrsAt(mem []byte, off unix.XDPRingOffset, entries uint32) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(&mem[off.Desc])), entries)
}

const (
	descSize = unsafe.Sizeof(unix.XDPDesc{})
	addrSize = unsafe.Sizeof(uint64(0))
)

// offsetIn is where b starts within mem, and false if it does not.
func offsetIn(mem, b []byte) (uint64, bool) {
	o := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	return uint64(o), uint64(o)+uint64(len(b)) <= uint64(len(mem)) && uint64(o) < uint64(len(mem))
}

// mapMemory returns zeroed memory outside the Go heap, so that the collector
// neither scans nor moves it. With huge it tries 2 MiB pages first.
func mapMemory(size int, huge bool) (mem []byte, hugePages bool, err error) {
	const flags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_POPULATE
	if huge && size%(2<<20) == 0 { // or it could not be unmapped again
		if mem, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_HUGETLB); err == nil {
			return mem, true, nil
		}
	}
	mem, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, flags)
	return mem, false, err
}

// kickTX starts transmission. The call never blocks (MSG_DONTWAIT), so it skips
// the scheduler's bookkeeping: in copy mode it builds an skb per frame, takes
// longer than the 20 µs after which the runtime would give this thread's
// processor away, and would come back to a cold one.
func kickTX(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// kickRX wakes the driver for reception, or polls it when busy polling.
func kickRX(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// ethtoolChannels is struct ethtool_channels of linux/ethtool.h.
type ethtoolChannels struct {
	cmd                                               uint32
	maxRX, maxTX, maxOther, maxCombined               uint32
	rxCount, txCount, otherCount, combinedCountActive uint32
}

// ifreqData is struct ifreq with a pointer, as SIOCETHTOOL takes it.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [24 - unsafe.Sizeof(uintptr(0))]byte
}

// RXQueues is the number of receive queues of the named interface in use, as
// its driver says (ETHTOOL_GCHANNELS). Drivers without that call return
// EOPNOTSUPP.
func RXQueues(name string) (int, error) {
	if len(name) >= unix.IFNAMSIZ {
		return 0, fmt.Errorf("read channels of %q: name too long", name)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	ch := ethtoolChannels{cmd: unix.ETHTOOL_GCHANNELS}
	var ifr ifreqData
	copy(ifr.name[:], name)
	ifr.data = unsafe.Pointer(&ch)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr))); errno != 0 {
		return 0, fmt.Errorf("read channels of %s: %w", name, errno)
	}
	return int(ch.rxCount + ch.combinedCountActive), nil
}
