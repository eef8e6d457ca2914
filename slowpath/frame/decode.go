package frame

import "encoding/binary"

// Decode reads the headers of the frame b into h and verifies the IPv4 header
// checksum and the UDP checksum. On ReasonOK the payload is
// b[h.PayloadOff:][:h.PayloadLen]; after any other reason h is
// unspecified but for Family, which is 0 if the frame was not seen to be IP.
// Ethernet padding behind the IP packet is ignored, and so are octets of the IP
// packet behind the UDP datagram, as Linux does.
func Decode(b []byte, h *Headers) Reason {
	h.Family = 0
	if len(b) < etherLen {
		return ReasonEtherTruncated
	}
	copy(h.DstMAC[:], b[0:6])
	copy(h.SrcMAC[:], b[6:12])
	h.ChecksumPartial = false
	off := 12
	typ := binary.BigEndian.Uint16(b[off:])
	off += 2
	n := uint8(0)
	for typ == EtherTypeVLAN || typ == EtherTypeQinQ {
		if n == MaxVLANs {
			return ReasonVLANDepth
		}
		if len(b) < off+tagLen {
			return ReasonEtherTruncated
		}
		h.VLANs[n] = VLAN{TPID: typ, TCI: binary.BigEndian.Uint16(b[off:])}
		n++
		typ = binary.BigEndian.Uint16(b[off+2:])
		off += tagLen
	}
	h.VLANCount = n
	h.L3Off = uint16(off)
	switch typ {
	case EtherTypeIPv4:
		h.Family = 4
		return decode4(b, off, h)
	case EtherTypeIPv6:
		h.Family = 6
		return decode6(b, off, h)
	}
	return ReasonNotIP
}

func decode4(b []byte, off int, h *Headers) Reason {
	ip := b[off:]
	if len(ip) < ip4Len {
		return ReasonIPTruncated
	}
	if ip[0]>>4 != 4 {
		return ReasonIPVersion
	}
	ihl := int(ip[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(ip[2:]))
	if ihl < ip4Len {
		return ReasonIPHeaderLen
	}
	if total > len(ip) {
		return ReasonIPTotalLen
	}
	if ihl > total {
		return ReasonIPHeaderLen
	}
	if fold(sum(ip[:ihl], 0)) != 0xffff {
		return ReasonIPChecksum
	}
	// More fragments, or an offset. The reserved bit and DF do not matter.
	if binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
		return ReasonFragment
	}
	if ip[9] != protoUDP {
		return ReasonNotUDP
	}
	h.Src4 = binary.BigEndian.Uint32(ip[12:])
	h.Dst4 = binary.BigEndian.Uint32(ip[16:])

	udp := ip[ihl:total]
	r := decodeUDP(udp, off+ihl, h)
	if r != ReasonOK {
		return r
	}
	if udp[6]|udp[7] == 0 { // none was computed: allowed over IPv4 (RFC 768)
		return ReasonOK
	}
	return verifyUDP(udp, pseudo4(ip[12:20], h.PayloadLen+udpLen), h)
}

func decode6(b []byte, off int, h *Headers) Reason {
	ip := b[off:]
	if len(ip) < ip6Len {
		return ReasonIPTruncated
	}
	if ip[0]>>4 != 6 {
		return ReasonIPVersion
	}
	plen := int(binary.BigEndian.Uint16(ip[4:]))
	if plen > len(ip)-ip6Len {
		return ReasonIPTotalLen
	}
	next, at := ip[6], ip6Len
	if next != protoUDP {
		var r Reason
		if next, at, r = skipExtHeaders(ip[:ip6Len+plen], next); r != ReasonOK {
			return r
		}
		if next != protoUDP {
			return ReasonNotUDP
		}
	}
	copy(h.Src6[:], ip[8:24])
	copy(h.Dst6[:], ip[24:40])

	udp := ip[at : ip6Len+plen]
	r := decodeUDP(udp, off+at, h)
	if r != ReasonOK {
		return r
	}
	if udp[6]|udp[7] == 0 {
		return ReasonUDPChecksumZero
	}
	return verifyUDP(udp, pseudo6(ip[8:40], h.PayloadLen+udpLen), h)
}

// decodeUDP reads the UDP header at the start of udp, which stands at offset
// off of the frame.
func decodeUDP(udp []byte, off int, h *Headers) Reason {
	if len(udp) < udpLen {
		return ReasonUDPTruncated
	}
	n := binary.BigEndian.Uint16(udp[4:])
	if n < udpLen || int(n) > len(udp) || off+udpLen > 0xffff {
		return ReasonUDPLen
	}
	h.SrcPort = binary.BigEndian.Uint16(udp[0:])
	h.DstPort = binary.BigEndian.Uint16(udp[2:])
	h.PayloadOff = uint16(off + udpLen)
	h.PayloadLen = n - udpLen
	return ReasonOK
}

// verifyUDP checks the checksum of the datagram at the start of udp.
func verifyUDP(udp []byte, pseudo uint64, h *Headers) Reason {
	if fold(sum(udp[:int(h.PayloadLen)+udpLen], pseudo)) == 0xffff {
		return ReasonOK
	}
	// A sender that leaves the checksum to its device writes the folded
	// pseudo-header sum, not complemented, for the device to go on from.
	if binary.LittleEndian.Uint16(udp[6:]) == fold(pseudo) {
		h.ChecksumPartial = true
		return ReasonOK
	}
	return ReasonUDPChecksum
}
