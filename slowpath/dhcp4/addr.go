package dhcp4

import (
	"encoding/binary"
	"net/netip"
)

// IPv4 is an IPv4 address as a number: 192.0.2.1 is 0xC0000201. It is never
// stored in wire order; convert at the edge with AddrFrom4 and As4. Being a
// number, addresses of a pool can be counted and compared directly.
type IPv4 uint32

// Broadcast is the limited broadcast address 255.255.255.255.
const Broadcast IPv4 = 0xFFFFFFFF

// AddrFrom4 returns the address whose four octets, in network order, are b.
func AddrFrom4(b [4]byte) IPv4 { return IPv4(binary.BigEndian.Uint32(b[:])) }

// AddrFromSlice reads the first four octets of b, in network order. The caller
// has checked that len(b) >= 4.
func AddrFromSlice(b []byte) IPv4 { return IPv4(binary.BigEndian.Uint32(b)) }

// AddrFromNetip converts an IPv4 (or unmapped IPv4) netip.Addr. Other addresses
// give 0.
func AddrFromNetip(a netip.Addr) IPv4 {
	a = a.Unmap()
	if !a.Is4() {
		return 0
	}
	return AddrFrom4(a.As4())
}

// As4 returns the octets of a in network order.
func (a IPv4) As4() (b [4]byte) {
	binary.BigEndian.PutUint32(b[:], uint32(a))
	return b
}

// Put writes the octets of a in network order into b[0:4].
func (a IPv4) Put(b []byte) { binary.BigEndian.PutUint32(b, uint32(a)) }

// Netip returns a as a netip.Addr.
func (a IPv4) Netip() netip.Addr { return netip.AddrFrom4(a.As4()) }

// String returns the dotted form.
func (a IPv4) String() string { return a.Netip().String() }
