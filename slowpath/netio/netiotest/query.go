package netiotest

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
)

// MAC is an Ethernet address.
type MAC = [6]byte

// ServerMAC is the destination of unicast queries.
var ServerMAC = MAC{0x02, 0, 0, 0, 0, 0x01}

// RelayMAC is the source of relayed queries.
var RelayMAC = MAC{0x02, 0, 0, 0, 0, 0x02}

// ClientMAC is the i-th of a row of client addresses, which all differ.
func ClientMAC(i uint32) MAC {
	return MAC{0x02, 0xc1, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}
}

// Query is a message of a client or relay on its way to the server. Its fields
// may be changed before Message or Frame is called.
type Query struct {
	dhcp4.Reply            // the message: the encoder serves both directions
	Out         frame.Out4 // the headers around it
}

// Option changes a query when it is built.
type Option func(*Query)

func newQuery(t dhcp4.MsgType, mac MAC, opts []Option) *Query {
	q := &Query{}
	q.Op = dhcp4.BootRequest
	q.Type = t
	q.HType, q.HLen = dhcp4.HTypeEthernet, 6
	q.XID = 0x10000000 | uint32(mac[3])<<16 | uint32(mac[4])<<8 | uint32(mac[5])
	copy(q.CHAddr[:], mac[:])
	q.Out = frame.Out4{
		DstMAC:  MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		SrcMAC:  mac,
		Dst4:    uint32(dhcp4.Broadcast),
		SrcPort: dhcp4.ClientPort,
		DstPort: dhcp4.ServerPort,
	}
	for _, o := range opts {
		o(q)
	}
	return q
}

var defaultPRL = []byte{dhcp4.OptSubnetMask, dhcp4.OptRouter, dhcp4.OptDomainNameServer, dhcp4.OptDomainName}

// Discover is a DHCPDISCOVER with a parameter request list, broadcast.
func Discover(mac MAC, opts ...Option) *Query {
	return newQuery(dhcp4.MsgDiscover, mac, append([]Option{With(dhcp4.OptParameterRequestList, defaultPRL...)}, opts...))
}

// Request is a DHCPREQUEST in state SELECTING: it answers an offer of addr by
// server.
func Request(mac MAC, addr, server dhcp4.IPv4, opts ...Option) *Query {
	return newQuery(dhcp4.MsgRequest, mac, append([]Option{
		With(dhcp4.OptParameterRequestList, defaultPRL...),
		WithIP(dhcp4.OptRequestedIPAddress, addr), WithIP(dhcp4.OptServerIdentifier, server)}, opts...))
}

// InitReboot is a DHCPREQUEST in state INIT-REBOOT.
func InitReboot(mac MAC, addr dhcp4.IPv4, opts ...Option) *Query {
	return newQuery(dhcp4.MsgRequest, mac, append([]Option{
		With(dhcp4.OptParameterRequestList, defaultPRL...), WithIP(dhcp4.OptRequestedIPAddress, addr)}, opts...))
}

// Renew is a DHCPREQUEST in state RENEWING: unicast from ciaddr to server.
func Renew(mac MAC, ciaddr, server dhcp4.IPv4, opts ...Option) *Query {
	return newQuery(dhcp4.MsgRequest, mac, append([]Option{
		With(dhcp4.OptParameterRequestList, defaultPRL...), Unicast(ciaddr, server)}, opts...))
}

// Rebind is a DHCPREQUEST in state REBINDING: broadcast with ciaddr.
func Rebind(mac MAC, ciaddr dhcp4.IPv4, opts ...Option) *Query {
	return newQuery(dhcp4.MsgRequest, mac, append([]Option{
		With(dhcp4.OptParameterRequestList, defaultPRL...),
		func(q *Query) { q.CIAddr = ciaddr; q.Out.Src4 = uint32(ciaddr) }}, opts...))
}

// Release is a DHCPRELEASE, unicast.
func Release(mac MAC, ciaddr, server dhcp4.IPv4, opts ...Option) *Query {
	return newQuery(dhcp4.MsgRelease, mac, append([]Option{
		Unicast(ciaddr, server), WithIP(dhcp4.OptServerIdentifier, server)}, opts...))
}

// Decline is a DHCPDECLINE, broadcast.
func Decline(mac MAC, addr, server dhcp4.IPv4, opts ...Option) *Query {
	return newQuery(dhcp4.MsgDecline, mac, append([]Option{
		WithIP(dhcp4.OptRequestedIPAddress, addr), WithIP(dhcp4.OptServerIdentifier, server)}, opts...))
}

// Inform is a DHCPINFORM of a host that has ciaddr, broadcast.
func Inform(mac MAC, ciaddr dhcp4.IPv4, opts ...Option) *Query {
	return newQuery(dhcp4.MsgInform, mac, append([]Option{
		With(dhcp4.OptParameterRequestList, defaultPRL...),
		func(q *Query) { q.CIAddr = ciaddr; q.Out.Src4 = uint32(ciaddr) }}, opts...))
}

// With sets a DHCP option.
func With(code uint8, data ...byte) Option {
	return func(q *Query) { q.Set(code, data) }
}

// WithIP sets a DHCP option that is an address.
func WithIP(code uint8, a dhcp4.IPv4) Option {
	return func(q *Query) { q.SetIP(code, a) }
}

// Without removes a DHCP option.
func Without(code uint8) Option {
	return func(q *Query) { q.Del(code) }
}

// WithXID sets the transaction identifier.
func WithXID(xid uint32) Option {
	return func(q *Query) { q.XID = xid }
}

// WithClientID sets option 61.
func WithClientID(id ...byte) Option {
	return With(dhcp4.OptClientIdentifier, id...)
}

// WithBroadcast sets the broadcast flag.
func WithBroadcast() Option {
	return func(q *Query) { q.Flags |= dhcp4.FlagBroadcast }
}

// Unicast sends from ciaddr, which is also put into the message, to server.
func Unicast(ciaddr, server dhcp4.IPv4) Option {
	return func(q *Query) {
		q.CIAddr = ciaddr
		q.Out.Src4, q.Out.Dst4 = uint32(ciaddr), uint32(server)
		q.Out.DstMAC = ServerMAC
	}
}

// Relayed sends through a relay: giaddr, one hop, from port 67 of the relay's
// address to server.
func Relayed(giaddr, server dhcp4.IPv4) Option {
	return func(q *Query) {
		q.GIAddr = giaddr
		q.Hops = 1
		q.Out.Src4, q.Out.Dst4 = uint32(giaddr), uint32(server)
		q.Out.SrcPort = dhcp4.ServerPort
		q.Out.SrcMAC, q.Out.DstMAC = RelayMAC, ServerMAC
	}
}

// WithRAI sets option 82 to a circuit-id and a remote-id; a nil one is left
// out.
func WithRAI(circuitID, remoteID []byte) Option {
	var b []byte
	if circuitID != nil {
		b = append(append(b, dhcp4.RAICircuitID, byte(len(circuitID))), circuitID...)
	}
	if remoteID != nil {
		b = append(append(b, dhcp4.RAIRemoteID, byte(len(remoteID))), remoteID...)
	}
	return With(dhcp4.OptRelayAgentInformation, b...)
}

// VLAN adds an 802.1Q tag inside those already there; the first of two becomes
// a service tag (802.1ad).
func VLAN(vid uint16) Option {
	return func(q *Query) {
		o := &q.Out
		if o.VLANCount > 0 {
			o.VLANs[o.VLANCount-1].TPID = frame.EtherTypeQinQ
		}
		o.VLANs[o.VLANCount] = frame.VLAN{TPID: frame.EtherTypeVLAN, TCI: vid}
		o.VLANCount++
	}
}

// Message is the encoded DHCP message.
func (q *Query) Message() []byte {
	b, _ := q.Append(nil, dhcp4.MaxMessageLen, nil)
	return b
}

// Frame is the message with its headers.
func (q *Query) Frame() []byte { return Frame(&q.Out, q.Message()) }

// Frame puts headers in front of a message.
func Frame(o *frame.Out4, msg []byte) []byte {
	n := frame.HeaderLen4(o.VLANCount)
	b := make([]byte, n+len(msg))
	copy(b[n:], msg)
	return b[:frame.Write4(b, o, len(msg))]
}

// Answer is a decoded reply of the server.
type Answer struct {
	frame.Headers
	dhcp4.View
}

// ParseReply decodes a frame the server sent. It fails the test if the frame or
// the message is not valid. The answer has its own copy of the message.
func ParseReply(tb testing.TB, data []byte) *Answer {
	tb.Helper()
	a := &Answer{}
	if r := frame.Decode(data, &a.Headers); r != frame.ReasonOK {
		tb.Fatalf("decode reply frame: %v", r)
	}
	msg := append([]byte(nil), data[a.PayloadOff:][:a.PayloadLen]...)
	if r := a.View.ParseReply(msg); r != dhcp4.ReasonOK {
		tb.Fatalf("parse reply: %v", r)
	}
	return a
}
