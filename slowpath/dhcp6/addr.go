package dhcp6

import (
	"bytes"
	"net/netip"
)

// IPv6 is an address or the address part of a prefix, in network byte order. It
// has no zone and no pointers.
type IPv6 [16]byte

// AllRelayAgentsAndServers is ff02::1:2 and AllServers is ff05::1:3 (RFC 8415
// §7.1).
var (
	AllRelayAgentsAndServers = IPv6{0: 0xff, 1: 0x02, 13: 1, 15: 2}
	AllServers               = IPv6{0: 0xff, 1: 0x05, 13: 1, 15: 3}
)

// AddrFromSlice reads the first 16 octets of b, which must have them.
func AddrFromSlice(b []byte) IPv6 { return IPv6(b[:16]) }

// FromNetip converts an address; what is not IPv6 gives the unspecified address.
func FromNetip(a netip.Addr) IPv6 {
	if !a.Is6() {
		return IPv6{}
	}
	return a.As16()
}

// Netip converts to the standard library's type.
func (a IPv6) Netip() netip.Addr { return netip.AddrFrom16(a) }

// String is the form of RFC 5952.
func (a IPv6) String() string { return a.Netip().String() }

// IsZero reports whether a is the unspecified address.
func (a IPv6) IsZero() bool { return a == IPv6{} }

// IsMulticast reports whether a is in ff00::/8.
func (a IPv6) IsMulticast() bool { return a[0] == 0xff }

// IsLinkLocal reports whether a is a unicast address in fe80::/10.
func (a IPv6) IsLinkLocal() bool { return a[0] == 0xfe && a[1]&0xc0 == 0x80 }

// Compare orders by value: -1, 0 or 1.
func (a IPv6) Compare(b IPv6) int { return bytes.Compare(a[:], b[:]) }

// Masked returns a with all bits after the first n cleared; n above 128 counts
// as 128.
func (a IPv6) Masked(n uint8) IPv6 {
	for i := range a {
		switch bit := 8 * i; {
		case bit >= int(n):
			a[i] = 0
		case bit+8 > int(n):
			a[i] &= ^byte(0) << (8 - (int(n) - bit))
		}
	}
	return a
}
