package class

import (
	"net/netip"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

// V6Header and V6Option are the methods of Packet for a message nobody has
// edited, to build a Packet on.

// V6Header is Packet.Header.
func V6Header(v *dhcp6.View) []byte { return v.Message()[:dhcp6.HeaderLen] }

// V6Option is Packet.Option.
func V6Option(v *dhcp6.View, code uint16) []byte { return v.Option(code) }

// Message6 is a Packet over a received DHCPv6 message.
type Message6 struct {
	View      *dhcp6.View
	Interface string
	From, To  netip.Addr // addresses in the IPv6 header
	// Classes answers InClass; nil is in no class.
	Classes interface{ InClass(index uint32) bool }
}

var _ Packet = (*Message6)(nil)

func (m *Message6) Header() []byte                         { return V6Header(m.View) }
func (m *Message6) Option(code uint16) []byte              { return V6Option(m.View, code) }
func (m *Message6) RelayOption(level int, c uint16) []byte { return m.View.RelayOption(level, c) }
func (m *Message6) Relays() int                            { return m.View.Relays() }
func (m *Message6) RelayHeader(level int) []byte           { return m.View.RelayHeader(level) }
func (m *Message6) Iface() string                          { return m.Interface }
func (m *Message6) Src() netip.Addr                        { return m.From }
func (m *Message6) Dst() netip.Addr                        { return m.To }
func (m *Message6) Len() int                               { return len(m.View.Raw()) }
func (m *Message6) InClass(index uint32) bool              { return m.Classes != nil && m.Classes.InClass(index) }

// OptionCode6 is Env.OptionCode for the names of Kea's standard definitions in
// space dhcp6.
func OptionCode6(name string) (code uint16, ok bool) { return dhcp6.OptionCode(name) }
