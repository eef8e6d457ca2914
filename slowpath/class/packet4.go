package class

import (
	"net/netip"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// V4Header, V4Option, V4RelayOption and V4Len are the methods of Packet for a
// message nobody has edited, to build a Packet on. A Packet that shows a
// callout's edits has its own.

// V4Header is Packet.Header.
func V4Header(v *dhcp4.View) []byte { return v.Raw()[:dhcp4.HeaderLen] }

// V4Option is Packet.Option.
func V4Option(v *dhcp4.View, code uint16) []byte {
	if code > 255 {
		return nil
	}
	return v.Option(uint8(code))
}

// V4RelayOption is Packet.RelayOption.
func V4RelayOption(v *dhcp4.View, code uint16) []byte {
	if code > 255 {
		return nil
	}
	return v.RAI(uint8(code))
}

// V4Len is what pkt.len shows: as in Kea not the length of what was received but
// that of the fixed part without magic cookie, and of the options without pad
// and end.
func V4Len(v *dhcp4.View) int {
	n := 236
	for code := 1; code < 255; code++ {
		if b := v.Option(uint8(code)); b != nil {
			n += 2 + len(b)
		}
	}
	return n
}

// Message4 is a Packet over a received DHCPv4 message.
type Message4 struct {
	View      *dhcp4.View
	Interface string
	From, To  dhcp4.IPv4 // addresses in the IP header
	// Classes answers InClass; nil is in no class.
	Classes interface{ InClass(index uint32) bool }
}

var _ Packet = (*Message4)(nil)

func (m *Message4) Header() []byte                     { return V4Header(m.View) }
func (m *Message4) Option(code uint16) []byte          { return V4Option(m.View, code) }
func (m *Message4) RelayOption(_ int, c uint16) []byte { return V4RelayOption(m.View, c) }
func (m *Message4) Relays() int                        { return 0 }
func (m *Message4) RelayHeader(int) []byte             { return nil }
func (m *Message4) Iface() string                      { return m.Interface }
func (m *Message4) Src() netip.Addr                    { return m.From.Netip() }
func (m *Message4) Dst() netip.Addr                    { return m.To.Netip() }
func (m *Message4) Len() int                           { return V4Len(m.View) }
func (m *Message4) InClass(index uint32) bool          { return m.Classes != nil && m.Classes.InClass(index) }

// OptionCode4 is Env.OptionCode for the names of Kea's standard definitions in
// space dhcp4.
func OptionCode4(name string) (code uint16, ok bool) {
	if name == "" {
		return 0, false
	}
	for c := range 256 {
		if dhcp4.OptionName(uint8(c)) == name {
			return uint16(c), true
		}
	}
	return 0, false
}
