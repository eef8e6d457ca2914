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

// MaxExtHeaders is how many IPv6 extension headers are walked: one of each kind
// that is and another of destination options (RFC 8200 §4.1).
const MaxExtHeaders = 4

// MaxHeaderLen is the room that Ethernet, two tags, IPv6 and UDP take at most
// (14 + 2*4 + 40 + 8).
const MaxHeaderLen = 70

// EtherTypes understood here.
const (
	EtherTypeIPv4 = 0x0800
	EtherTypeIPv6 = 0x86DD
	EtherTypeVLAN = 0x8100 // 802.1Q, the customer tag
	EtherTypeQinQ = 0x88A8 // 802.1ad, the service tag
)

// DefaultTTL is written where Out4.TTL or Out6.HopLimit is 0.
const DefaultTTL = 64

// Sizes of the fixed headers in octets.
const (
	etherLen = 14
	tagLen   = 4
	ip4Len   = 20
	ip6Len   = 40
	udpLen   = 8

	protoUDP = 17
)

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

const (
	ReasonOK Reason = iota
	// ReasonEtherTruncated: shorter than its Ethernet header and tags.
	ReasonEtherTruncated
	// ReasonVLANDepth: more than MaxVLANs tags.
	ReasonVLANDepth
	// ReasonNotIP: neither IPv4 nor IPv6.
	ReasonNotIP
	// ReasonIPTruncated: the frame ends before the IP header does.
	ReasonIPTruncated
	// ReasonIPVersion: the version field contradicts the EtherType.
	ReasonIPVersion
	// ReasonIPHeaderLen: IHL below 5, or past the total length.
	ReasonIPHeaderLen
	// ReasonIPTotalLen: the IP length field reaches past the frame or does not
	// cover the header.
	ReasonIPTotalLen
	// ReasonIPChecksum: wrong IPv4 header checksum.
	ReasonIPChecksum
	// ReasonFragment: any fragment, the first one included, and what has an IPv6
	// fragment header at all.
	ReasonFragment
	// ReasonIPv6ExtHeader: an IPv6 extension header that is not walked, more than
	// MaxExtHeaders, or one that a node has to refuse: see skipExtHeaders.
	ReasonIPv6ExtHeader
	// ReasonNotUDP: another transport protocol.
	ReasonNotUDP
	// ReasonUDPTruncated: no room for the UDP header.
	ReasonUDPTruncated
	// ReasonUDPLen: the UDP length field is below 8 or reaches past the packet.
	ReasonUDPLen
	// ReasonUDPChecksum: wrong UDP checksum.
	ReasonUDPChecksum
	// ReasonUDPChecksumZero: UDP over IPv6 without a checksum (RFC 8200 §8.1).
	ReasonUDPChecksumZero

	// NumReasons is how many reasons there are.
	NumReasons
)

var reasonNames = [NumReasons]string{
	ReasonOK:              "ok",
	ReasonEtherTruncated:  "ether-truncated",
	ReasonVLANDepth:       "vlan-depth",
	ReasonNotIP:           "not-ip",
	ReasonIPTruncated:     "ip-truncated",
	ReasonIPVersion:       "ip-version",
	ReasonIPHeaderLen:     "ip-header-length",
	ReasonIPTotalLen:      "ip-total-length",
	ReasonIPChecksum:      "ip-checksum",
	ReasonFragment:        "fragment",
	ReasonIPv6ExtHeader:   "ipv6-extension-header",
	ReasonNotUDP:          "not-udp",
	ReasonUDPTruncated:    "udp-truncated",
	ReasonUDPLen:          "udp-length",
	ReasonUDPChecksum:     "udp-checksum",
	ReasonUDPChecksumZero: "udp-checksum-zero",
}

// String is the metric label of r.
func (r Reason) String() string {
	if r < NumReasons {
		return reasonNames[r]
	}
	return "unknown"
}
