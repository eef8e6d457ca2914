// Package frame decodes and writes the headers around a DHCP message: Ethernet,
// 802.1Q and 802.1ad tags, IPv4, IPv6 and UDP, with their checksums.
//
// Everything works in place on a caller's byte slice, allocates nothing and
// keeps no state, so every function may be called from any goroutine. Addresses
// are numbers in host order (Src4) or octets in network order (Src6); nothing
// here knows DHCP.
package frame

// MaxVLANs is how many tags are understood (QinQ, IEEE 802.1ad). A frame with
// more is refused as ReasonVLANDepth.
const MaxVLANs = 2

// MaxHeaderLen is the room that Ethernet, two tags, IPv6 and UDP take at most
// (14 + 2*4 + 40 + 8).
const MaxHeaderLen = 70

// VLAN is one tag of a frame, outermost first.
type VLAN struct {
	TPID uint16 // 0x8100 or 0x88A8
	TCI  uint16 // priority, DEI and VLAN identifier
}

// Headers is what Decode found. Family says which address fields are valid.
type Headers struct {
	DstMAC, SrcMAC [6]byte
	VLANs          [MaxVLANs]VLAN // valid: VLANs[:VLANCount], outermost first
	VLANCount      uint8
	Family         uint8    // 4 or 6
	Src4, Dst4     uint32   // valid if Family is 4; as numbers: 192.0.2.1 is 0xC0000201
	Src6, Dst6     [16]byte // valid if Family is 6
	SrcPort        uint16
	DstPort        uint16
	// ChecksumPartial says that the UDP checksum field held only the
	// pseudo-header sum: the frame never saw a wire (veth, virtio) and its
	// sender left the rest to an offload. Such a frame is accepted.
	ChecksumPartial bool
	L3Off           uint16 // offset of the IP header
	PayloadOff      uint16 // offset of the UDP payload
	PayloadLen      uint16 // length of the UDP payload by the UDP length field
}

// Reason says why Decode refused a frame. The zero value ReasonOK is success.
// Text labels for metrics come from Reason.String.
type Reason uint8
