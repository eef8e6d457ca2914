package frame

import "encoding/binary"

// Out4 says what Write4 puts in front of a payload.
type Out4 struct {
	DstMAC, SrcMAC [6]byte
	VLANs          [MaxVLANs]VLAN // written: VLANs[:VLANCount], outermost first
	VLANCount      uint8
	Src4, Dst4     uint32 // as numbers
	SrcPort        uint16
	DstPort        uint16
	TTL            uint8 // 0 means DefaultTTL
	// NoUDPChecksum leaves the UDP checksum 0. For headers that never reach a
	// wire, such as those a datagram backend makes up.
	NoUDPChecksum bool
}

// Out6 says what Write6 puts in front of a payload.
type Out6 struct {
	DstMAC, SrcMAC [6]byte
	VLANs          [MaxVLANs]VLAN
	VLANCount      uint8
	Src6, Dst6     [16]byte
	SrcPort        uint16
	DstPort        uint16
	HopLimit       uint8 // 0 means DefaultTTL
}

// HeaderLen4 is how many octets Write4 puts in front of the payload. vlans is
// at most MaxVLANs.
func HeaderLen4(vlans uint8) int { return etherLen + int(vlans)*tagLen + ip4Len + udpLen }

// HeaderLen6 is HeaderLen4 for Write6.
func HeaderLen6(vlans uint8) int { return etherLen + int(vlans)*tagLen + ip6Len + udpLen }

// Write4 writes the headers of o in front of the payload of payloadLen octets
// that already stands at b[HeaderLen4(o.VLANCount):], with the IPv4 header
// checksum and the full UDP checksum, and returns the length of the frame.
// The datagram is not to be fragmented (DF), so its identification is 0
// (RFC 6864 §4.1). The caller sees to it that b has the room and that
// payloadLen is at most 65507; Write4 panics otherwise.
func Write4(b []byte, o *Out4, payloadLen int) (frameLen int) {
	if uint(payloadLen) > 0xffff-ip4Len-udpLen {
		panic("frame: payload does not fit IPv4")
	}
	off := writeEther(b, &o.DstMAC, &o.SrcMAC, &o.VLANs, o.VLANCount, EtherTypeIPv4)
	frameLen = off + ip4Len + udpLen + payloadLen
	ip := b[off:frameLen]
	ttl := o.TTL
	if ttl == 0 {
		ttl = DefaultTTL
	}
	binary.BigEndian.PutUint32(ip[0:], 0x4500<<16|uint32(len(ip)))
	binary.BigEndian.PutUint32(ip[4:], 0x4000) // identification 0, DF
	binary.BigEndian.PutUint32(ip[8:], uint32(ttl)<<24|protoUDP<<16)
	binary.BigEndian.PutUint32(ip[12:], o.Src4)
	binary.BigEndian.PutUint32(ip[16:], o.Dst4)
	putChecksum(ip[10:], sum(ip[:ip4Len], 0))

	udp := ip[ip4Len:]
	n := writeUDP(udp, o.SrcPort, o.DstPort)
	if !o.NoUDPChecksum {
		putUDPChecksum(udp[6:], sum(udp, pseudo4(ip[12:20], n)))
	}
	return frameLen
}

// Write6 is Write4 for IPv6.
func Write6(b []byte, o *Out6, payloadLen int) (frameLen int) {
	if uint(payloadLen) > 0xffff-udpLen {
		panic("frame: payload does not fit IPv6")
	}
	off := writeEther(b, &o.DstMAC, &o.SrcMAC, &o.VLANs, o.VLANCount, EtherTypeIPv6)
	frameLen = off + ip6Len + udpLen + payloadLen
	ip := b[off:frameLen]
	hop := o.HopLimit
	if hop == 0 {
		hop = DefaultTTL
	}
	binary.BigEndian.PutUint32(ip[0:], 6<<28)
	binary.BigEndian.PutUint32(ip[4:], uint32(udpLen+payloadLen)<<16|protoUDP<<8|uint32(hop))
	copy(ip[8:24], o.Src6[:])
	copy(ip[24:40], o.Dst6[:])

	udp := ip[ip6Len:]
	n := writeUDP(udp, o.SrcPort, o.DstPort)
	putUDPChecksum(udp[6:], sum(udp, pseudo6(ip[8:40], n)))
	return frameLen
}

// writeEther writes addresses, tags and EtherType and returns their length.
func writeEther(b []byte, dst, src *[6]byte, tags *[MaxVLANs]VLAN, n uint8, typ uint16) int {
	copy(b[0:6], dst[:])
	copy(b[6:12], src[:])
	off := 12
	for _, t := range tags[:n] {
		binary.BigEndian.PutUint16(b[off:], t.TPID)
		binary.BigEndian.PutUint16(b[off+2:], t.TCI)
		off += tagLen
	}
	binary.BigEndian.PutUint16(b[off:], typ)
	return off + 2
}

// writeUDP writes a header with checksum 0 over all of udp and returns the UDP
// length.
func writeUDP(udp []byte, src, dst uint16) uint16 {
	n := uint16(len(udp))
	binary.BigEndian.PutUint16(udp[0:], src)
	binary.BigEndian.PutUint16(udp[2:], dst)
	binary.BigEndian.PutUint32(udp[4:], uint32(n)<<16)
	return n
}
