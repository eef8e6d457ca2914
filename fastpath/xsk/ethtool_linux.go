package xsk

import (
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's names of the features by which a device takes the outer VLAN tag
// out of a frame before XDP could see it: that of 802.1Q and that of 802.1ad.
const (
	FeatureStripCTag = "rx-vlan-hw-parse"
	FeatureStripSTag = "rx-vlan-stag-hw-parse"
)

const (
	ethSSFeatures  = 4 // ETH_SS_FEATURES
	ethGStringLen  = 32
	maxDevFeatures = 512 // the kernel has about 64
)

// ethtoolFeatures asks the kernel what device features there are, and which of them the
// named device has on and would let be changed.
func ethtoolFeatures(fd int, name string) (names []string, active, changeable []bool, err error) {
	ne := binary.NativeEndian
	// struct ethtool_sset_info: cmd, reserved, sset_mask (64 bits), data.
	info := make([]byte, 16+4)
	ne.PutUint32(info, unix.ETHTOOL_GSSET_INFO)
	ne.PutUint64(info[8:], 1<<ethSSFeatures)
	if err := ethtoolIoctl(fd, name, info); err != nil {
		return nil, nil, nil, err
	}
	n := int(ne.Uint32(info[16:]))
	if n > maxDevFeatures {
		return nil, nil, nil, fmt.Errorf("the kernel has %d device features", n)
	}
	// struct ethtool_gstrings: cmd, string_set, len, data.
	strs := make([]byte, 12+n*ethGStringLen)
	ne.PutUint32(strs, unix.ETHTOOL_GSTRINGS)
	ne.PutUint32(strs[4:], ethSSFeatures)
	ne.PutUint32(strs[8:], uint32(n))
	if err := ethtoolIoctl(fd, name, strs); err != nil {
		return nil, nil, nil, err
	}
	// struct ethtool_gfeatures: cmd, size in blocks, and of each block the bits
	// available, requested, active and never_changed.
	blocks := (n + 31) / 32
	get := make([]byte, 8+16*blocks)
	ne.PutUint32(get, unix.ETHTOOL_GFEATURES)
	ne.PutUint32(get[4:], uint32(blocks))
	if err := ethtoolIoctl(fd, name, get); err != nil {
		return nil, nil, nil, err
	}
	for i := range n {
		names = append(names, unix.ByteSliceToString(strs[12+i*ethGStringLen:][:ethGStringLen]))
		b, bit := get[8+16*(i/32):], uint32(1)<<(i%32)
		active = append(active, ne.Uint32(b[8:])&bit != 0)
		changeable = append(changeable, ne.Uint32(b)&bit != 0 && ne.Uint32(b[12:])&bit == 0)
	}
	return names, active, changeable, nil
}

// SetFeature turns a feature of the named device on or off (ethtool -K). changed
// says whether it was the other way before. The error of a device that does not
// let it be changed says so; that of a feature the kernel does not know is nil, as
// is that of turning off what a device does not have.
func SetFeature(name, feature string, on bool) (changed bool, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	names, active, changeable, err := ethtoolFeatures(fd, name)
	if err != nil {
		return false, fmt.Errorf("read features of %s: %w", name, err)
	}
	for i, n := range names {
		if n != feature || active[i] == on {
			continue
		}
		if !changeable[i] {
			return false, fmt.Errorf("set feature %s of %s: the device does not let it be changed", feature, name)
		}
		ne := binary.NativeEndian
		// struct ethtool_sfeatures: cmd, size in blocks, and of each block the bits
		// valid and requested.
		blocks := (len(names) + 31) / 32
		set := make([]byte, 8+8*blocks)
		ne.PutUint32(set, unix.ETHTOOL_SFEATURES)
		ne.PutUint32(set[4:], uint32(blocks))
		b, bit := set[8+8*(i/32):], uint32(1)<<(i%32)
		ne.PutUint32(b, bit)
		if on {
			ne.PutUint32(b[4:], bit)
		}
		if err := ethtoolIoctl(fd, name, set); err != nil {
			return false, fmt.Errorf("set feature %s of %s: %w", feature, name, err)
		}
		// The kernel takes a wish; whether it came true shows only now.
		if _, active, _, err = ethtoolFeatures(fd, name); err != nil {
			return false, fmt.Errorf("read features of %s: %w", name, err)
		}
		if active[i] != on {
			return false, fmt.Errorf("set feature %s of %s: the device keeps it", feature, name)
		}
		return true, nil
	}
	return false, nil
}

// ethtoolIoctl makes a call of ethtool; data begins with its command.
func ethtoolIoctl(fd int, name string, data []byte) error {
	if len(name) >= unix.IFNAMSIZ {
		return fmt.Errorf("interface name %q is too long", name)
	}
	var ifr ifreqData
	copy(ifr.name[:], name)
	ifr.data = unsafe.Pointer(unsafe.SliceData(data))
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr))); errno != 0 {
		return errno
	}
	return nil
}
