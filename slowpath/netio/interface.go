package netio

// Prefix4 is an IPv4 address of an interface with its prefix length. Addr is a
// number in host order: 192.0.2.1 is 0xC0000201.
type Prefix4 struct {
	Addr uint32
	Len  uint8
}

// Broadcast returns the directed broadcast address of the prefix, and false for
// /31 and /32, which have none (RFC 3021).
func (p Prefix4) Broadcast() (uint32, bool) {
	if p.Len > 30 {
		return 0, false
	}
	return p.Addr | (1<<(32-p.Len) - 1), true
}

// Prefix6 is an IPv6 address of an interface, in network order, with its prefix
// length.
type Prefix6 struct {
	Addr [16]byte
	Len  uint8
}

// Interface describes a network interface at one moment. Values are immutable
// once published: a change is a new list.
type Interface struct {
	Index    uint32
	Name     string
	MAC      [6]byte // zero where the link has none
	MTU      int
	Addrs4   []Prefix4 // in the kernel's order: primary addresses first
	Addrs6   []Prefix6
	Up       bool
	Loopback bool
}
