package netio

import (
	"encoding/binary"
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
)

// Tags are the VLAN tags that say which interface a frame belongs to, outermost
// first, in host order; zero where there is none. Tags of VLAN 0, which only carry
// a priority (IEEE 802.1Q), are left out.
type Tags struct {
	TPID, VID [frame.MaxVLANs]uint16
}

// Member is an interface that a device carries: the device itself, or a VLAN
// interface over it.
type Member struct {
	IfIndex uint32
	MAC     [6]byte
	// Four and Six say which families are served there; what is not is left to
	// the stack.
	Four, Six bool
	// Addrs4 and Addrs6 are destinations that are ours on this member alone,
	// sorted.
	Addrs4 []uint32
	Addrs6 [][16]byte
}

// Members says which interface each frame of a device belongs to. It is immutable
// once in use.
type Members struct {
	// Device is what untagged frames belong to.
	Device Member
	// Tagged gives the device also the frames of VLANs that are not listed.
	// Otherwise those are left to the stack.
	Tagged bool
	// VLANs are the VLAN interfaces over the device.
	VLANs map[Tags]*Member
	// Addrs4 and Addrs6 are destinations that are ours on every member, sorted.
	Addrs4 []uint32
	Addrs6 [][16]byte
}

// Find returns the member that the Ethernet frame b belongs to and the offset and
// EtherType of what follows its tags; nil if it is nobody's here, has more than
// frame.MaxVLANs tags, or ends in them.
func (m *Members) Find(b []byte) (who *Member, l3 int, etherType uint16) {
	if len(b) < 14 {
		return nil, 0, 0
	}
	var tags Tags
	l3, etherType = 14, binary.BigEndian.Uint16(b[12:])
	n := 0
	for seen := 0; etherType == frame.EtherTypeVLAN || etherType == frame.EtherTypeQinQ; seen++ {
		if seen == frame.MaxVLANs || len(b) < l3+4 {
			return nil, 0, 0
		}
		if vid := binary.BigEndian.Uint16(b[l3:]) & 0xFFF; vid != 0 {
			tags.TPID[n], tags.VID[n] = etherType, vid
			n++
		}
		etherType = binary.BigEndian.Uint16(b[l3+2:])
		l3 += 4
	}
	if n == 0 {
		return &m.Device, l3, etherType
	}
	if who = m.VLANs[tags]; who == nil && m.Tagged {
		who = &m.Device
	}
	return who, l3, etherType
}

// ours4 says whether an IPv4 destination is ours on member who.
func (m *Members) ours4(who *Member, dst uint32) bool {
	return dst == 0xFFFFFFFF || contains(m.Addrs4, dst) || contains(who.Addrs4, dst)
}

// ours6 is ours4 for IPv6.
func (m *Members) ours6(who *Member, dst [16]byte) bool {
	return dst == relaysAndServers || dst == servers || contains6(m.Addrs6, dst) || contains6(who.Addrs6, dst)
}

func contains(addrs []uint32, a uint32) bool {
	_, ok := slices.BinarySearch(addrs, a)
	return ok
}

func contains6(addrs [][16]byte, a [16]byte) bool {
	_, ok := slices.BinarySearchFunc(addrs, a, compare6)
	return ok
}

// SortAddrs6 sorts addresses as Members want them.
func SortAddrs6(addrs [][16]byte) { slices.SortFunc(addrs, compare6) }
