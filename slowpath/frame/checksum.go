package frame

import (
	"encoding/binary"
	"math/bits"
)

// The Internet checksum (RFC 1071) does not depend on byte order as long as one
// is kept: everything here sums little-endian words, which most machines load
// for nothing, and swaps once when a sum meets a header field.

// sum adds the octets of b to the 64-bit one's complement sum acc.
func sum(b []byte, acc uint64) uint64 {
	var c uint64
	for len(b) >= 64 {
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[0:8]), 0)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[8:16]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[16:24]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[24:32]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[32:40]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[40:48]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[48:56]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[56:64]), c)
		// Cannot carry again: a sum that carried is at most 2^64-2.
		acc += c
		b = b[64:]
	}
	for len(b) >= 8 {
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b), 0)
		acc += c
		b = b[8:]
	}
	if len(b) >= 4 {
		acc, c = bits.Add64(acc, uint64(binary.LittleEndian.Uint32(b)), 0)
		acc += c
		b = b[4:]
	}
	if len(b) >= 2 {
		acc, c = bits.Add64(acc, uint64(binary.LittleEndian.Uint16(b)), 0)
		acc += c
		b = b[2:]
	}
	if len(b) == 1 {
		// An odd last octet is padded with a zero behind it.
		acc, c = bits.Add64(acc, uint64(b[0]), 0)
		acc += c
	}
	return acc
}

// add64 is the one's complement sum of a and b.
func add64(a, b uint64) uint64 {
	s, c := bits.Add64(a, b, 0)
	return s + c
}

// fold reduces a sum to 16 bits.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc)
}

// pseudo4 is the sum of the IPv4 pseudo-header; addrs are the eight octets of
// both addresses, n the UDP length.
func pseudo4(addrs []byte, n uint16) uint64 {
	return add64(binary.LittleEndian.Uint64(addrs),
		uint64(protoUDP)<<8+uint64(bits.ReverseBytes16(n)))
}

// pseudo6 is the sum of the IPv6 pseudo-header; addrs are the 32 octets of both
// addresses.
func pseudo6(addrs []byte, n uint16) uint64 {
	return sum(addrs[:32], uint64(protoUDP)<<8+uint64(bits.ReverseBytes16(n)))
}

// putChecksum writes the complement of acc at b[0:2].
func putChecksum(b []byte, acc uint64) {
	binary.LittleEndian.PutUint16(b, ^fold(acc))
}

// putUDPChecksum is putChecksum with the value 0, which would mean "none", sent
// as its other representation (RFC 768).
func putUDPChecksum(b []byte, acc uint64) {
	c := ^fold(acc)
	if c == 0 {
		c = 0xffff
	}
	binary.LittleEndian.PutUint16(b, c)
}
