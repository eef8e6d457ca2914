package loadgen

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
)

// Places in the fixed part of a message (RFC 2131 §2).
const (
	offXID    = 4
	offSecs   = 8
	offCIAddr = 12
	offGIAddr = 24
	offCHAddr = 28
)

// maxPayload is the longest message sent: a UDP datagram in an ordinary frame.
const maxPayload = 1472

// template is an encoded message with the places that differ per packet. A
// place of 0 means the message has no such field.
type template struct {
	msg                               []byte
	xid, secs, chaddr, giaddr, ciaddr int
	clientID, requested, server, rai  int // of the values; clientID: of the address in it; rai: of the remote-id's
	broadcast                         bool

	// packet is the message with its headers in front, and with nothing in the
	// fields that differ; nil for a file's, whose fields may overlap. ipSum and
	// udpSum are the checksums' sums over what is the same in all packets, so that
	// a packet costs the addition of what differs.
	packet        []byte
	ipSum, udpSum uint64
	macTimes      uint64 // what a hardware address counts for, by all its places
	ipOff         int
}

// fields are what differs between the packets of a template. Those it has no
// place for are not used.
type fields struct {
	xid             uint32
	secs            uint16
	mac             uint64
	giaddr          uint32 // 0: the template's
	src             uint32 // 0: the template's
	offered, server uint32
}

// perfPRL is what perfdhcp asks for.
var perfPRL = []byte{
	dhcp4.OptSubnetMask, dhcp4.OptBroadcastAddress, dhcp4.OptTimeOffset, dhcp4.OptRouter,
	dhcp4.OptDomainName, dhcp4.OptDomainNameServer, dhcp4.OptHostName,
}

// circuitID is the sub-option 1 of every simulated port.
const circuitID = "dhcpgun"

// newTemplate encodes the message that begins the exchange x.
func newTemplate(o *Options, x Exchange) (*template, error) {
	var r dhcp4.Reply
	r.Op = dhcp4.BootRequest
	r.HType, r.HLen = dhcp4.HTypeEthernet, 6
	requested, server, ciaddr := false, false, false
	switch x {
	case DiscoverOffer:
		r.Type = dhcp4.MsgDiscover
	case RequestAck:
		r.Type, requested, server = dhcp4.MsgRequest, true, true
	case RequestAckRenewal, RequestAckRebinding:
		r.Type, ciaddr = dhcp4.MsgRequest, true
	case RequestAckReboot:
		r.Type, requested = dhcp4.MsgRequest, true
	case Release:
		r.Type, ciaddr, server = dhcp4.MsgRelease, true, true
	case Decline: // RFC 2131 table 5
		r.Type, requested, server = dhcp4.MsgDecline, true, true
	}
	if o.Broadcast {
		r.Flags = dhcp4.FlagBroadcast
	}
	relayed := o.GIAddr != 0 || len(o.Relays) > 0
	if relayed {
		r.GIAddr = dhcp4.IPv4(o.GIAddr)
		r.Hops = 1
	}
	r.Set(dhcp4.OptParameterRequestList, perfPRL)
	r.Set(dhcp4.OptClientIdentifier, append([]byte{dhcp4.HTypeEthernet}, make([]byte, 6)...))
	if requested {
		r.SetIP(dhcp4.OptRequestedIPAddress, 0)
	}
	if server {
		r.SetIP(dhcp4.OptServerIdentifier, 0)
	}
	asks := x != Release && x != Decline
	if !asks || ciaddr && o.Scenario == Basic {
		r.Del(dhcp4.OptParameterRequestList) // as perfdhcp
	}
	if o.Scenario != Basic && o.Scenario != Avalanche && asks {
		r.SetU16(dhcp4.OptMaxMessageSize, 1500)
		r.Set(dhcp4.OptVendorClassIdentifier, []byte("dhcpgun"))
	}
	if o.RAI {
		b := append([]byte{dhcp4.RAICircuitID, byte(len(circuitID))}, circuitID...)
		b = append(append(b, dhcp4.RAIRemoteID, 6), make([]byte, 6)...)
		r.Set(dhcp4.OptRelayAgentInformation, b)
	}
	var more []byte
	for _, e := range o.ExtraOptions {
		if prl := r.Get(dhcp4.OptParameterRequestList); e.Code == dhcp4.OptParameterRequestList && prl != nil {
			r.Set(dhcp4.OptParameterRequestList, append(slices.Clone(prl), e.Data...)) // as perfdhcp
			continue
		}
		more = append(append(more, byte(e.Code), byte(len(e.Data))), e.Data...)
	}
	m := &template{xid: offXID, secs: offSecs, chaddr: offCHAddr}
	if relayed {
		m.giaddr = offGIAddr
	}
	if ciaddr {
		m.ciaddr = offCIAddr
	}
	m.broadcast = x == RequestAckRebinding && !relayed
	m.msg, _ = r.Append(nil, dhcp4.MaxMessageLen, nil)
	if len(more) > 0 {
		// Second to last stays option 82, last END.
		at := len(m.msg) - 1
		if rai := r.Get(dhcp4.OptRelayAgentInformation); rai != nil {
			at -= 2 + len(rai)
		}
		m.msg = slices.Insert(m.msg, at, more...)
	}
	for i := dhcp4.HeaderLen; m.msg[i] != dhcp4.OptEnd; i += 2 + int(m.msg[i+1]) {
		v, n := i+2, int(m.msg[i+1])
		set := func(at *int, v int) { // an extra option of the same code stays as it is
			if *at == 0 {
				*at = v
			}
		}
		switch m.msg[i] {
		case dhcp4.OptClientIdentifier:
			set(&m.clientID, v+1)
		case dhcp4.OptRequestedIPAddress:
			if requested {
				set(&m.requested, v)
			}
		case dhcp4.OptServerIdentifier:
			if server {
				set(&m.server, v)
			}
		case dhcp4.OptRelayAgentInformation:
			if o.RAI {
				m.rai = v + n - 6
			}
		}
	}
	if len(m.msg) > maxPayload {
		return nil, fmt.Errorf("build %v: %d octets do not fit a packet of %d", r.Type, len(m.msg), maxPayload)
	}
	return m, nil
}

// Template is a message of the user's, sent as it is but for the fields at these
// places. They are as perfdhcp's: a place of 0 means its default, which fits
// hardly any message but for the first two.
type Template struct {
	Name string // of the file
	Data []byte
	// XIDOffset is that of the transaction identifier (-X; default 4, in DHCPv6 1).
	XIDOffset int
	// RandomOffset is that of the last octet of the client's hardware address
	// or DUID (-O; default 35, in DHCPv6 21).
	RandomOffset int
	// ElapsedOffset is that of secs, in DHCPv6 of the whole option Elapsed Time
	// (-E; default 8 and 84). Of the second template alone, as the rest.
	ElapsedOffset int
	// ServerIDOffset is that of the whole option (-S; default 54 and 22).
	ServerIDOffset int
	// IPOffset is that of the whole option Requested IP Address or IA_NA (-I;
	// default 240 and 40).
	IPOffset int
}

// place checks that n octets at off lie in the message.
func (t *Template) place(what string, off, n int) error {
	if off < 0 || off+n > len(t.Data) {
		return fmt.Errorf("use template %s: %s at offset %d is out of bounds of %d octets", t.Name, what, off, len(t.Data))
	}
	return nil
}

func orDefault(v *int, d int) {
	if *v == 0 {
		*v = d
	}
}

// fileTemplate makes a template of DHCPv4; second says of a REQUEST.
func fileTemplate(t *Template, i int) (*template, error) {
	orDefault(&t.XIDOffset, offXID)
	orDefault(&t.RandomOffset, 35)
	m := &template{msg: slices.Clone(t.Data), xid: t.XIDOffset, chaddr: t.RandomOffset - 5}
	if len(m.msg) > maxPayload {
		return nil, fmt.Errorf("use template %s: %d octets do not fit a packet of %d", t.Name, len(m.msg), maxPayload)
	}
	if err := t.place("the transaction identifier", m.xid, 4); err != nil {
		return nil, err
	}
	if err := t.place("what is randomised", m.chaddr, 6); err != nil {
		return nil, err
	}
	if i == 0 {
		return m, nil
	}
	orDefault(&t.ElapsedOffset, offSecs)
	orDefault(&t.ServerIDOffset, 54)
	orDefault(&t.IPOffset, 240)
	m.secs, m.server, m.requested = t.ElapsedOffset, t.ServerIDOffset+2, t.IPOffset+2
	if err := t.place("the elapsed time", m.secs, 2); err != nil {
		return nil, err
	}
	if err := t.place("the server identifier", t.ServerIDOffset, 6); err != nil {
		return nil, err
	}
	if err := t.place("the requested address", t.IPOffset, 6); err != nil {
		return nil, err
	}
	copy(m.msg[t.ServerIDOffset:], []byte{dhcp4.OptServerIdentifier, 4})
	copy(m.msg[t.IPOffset:], []byte{dhcp4.OptRequestedIPAddress, 4})
	return m, nil
}

// put writes the message for a client at b and returns its length.
func (x *template) put(b []byte, xid uint32, mac uint64, secs uint16) int {
	n := copy(b, x.msg)
	binary.BigEndian.PutUint32(b[x.xid:], xid)
	if secs != 0 && x.secs != 0 {
		binary.BigEndian.PutUint16(b[x.secs:], secs)
	}
	putMAC(b[x.chaddr:], mac)
	if x.clientID != 0 {
		putMAC(b[x.clientID:], mac)
	}
	if x.rai != 0 {
		putMAC(b[x.rai:], mac)
	}
	return n
}

// putMAC writes a 48-bit number, so that clients are counted by addition.
func putMAC(b []byte, mac uint64) {
	_ = b[5]
	binary.BigEndian.PutUint16(b, uint16(mac>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(mac))
}

func macNumber(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
}

// headers are what every packet of a generator has in front.
func headers(o *Options) frame.Out4 {
	h := frame.Out4{
		DstMAC: o.ServerMAC, SrcMAC: o.LocalMAC,
		Src4: o.LocalAddr, Dst4: o.ServerAddr,
		SrcPort: o.LocalPort, DstPort: o.ServerPort,
		VLANCount: uint8(len(o.VLANs)),
	}
	for i, v := range o.VLANs {
		h.VLANs[i] = frame.VLAN{TPID: frame.EtherTypeVLAN, TCI: v}
		if i < len(o.VLANs)-1 {
			h.VLANs[i].TPID = frame.EtherTypeQinQ
		}
	}
	return h
}

// assemble makes packet; o addresses it.
func (x *template) assemble(o *Options, out *frame.Out4) {
	h := *out
	if x.broadcast {
		h.Dst4, h.DstMAC = 0xFFFFFFFF, broadcastMAC
	}
	head := frame.HeaderLen4(h.VLANCount)
	x.packet = append(make([]byte, head), x.msg...)
	m := x.packet[head:]
	if len(o.Relays) > 0 && x.giaddr != 0 {
		clear(m[x.giaddr:][:4])
		if o.RelayByClient {
			h.Src4 = 0
		}
	}
	frame.Write4(x.packet, &h, len(m))
	x.ipOff = head - 28
	// What is written there is the complement of the sum.
	x.ipSum = uint64(^binary.BigEndian.Uint16(x.packet[x.ipOff+10:]))
	x.udpSum = uint64(^binary.BigEndian.Uint16(x.packet[x.ipOff+26:]))
	x.macTimes = 0
	for _, at := range [...]int{x.chaddr, x.clientID, x.rai} {
		if at != 0 {
			x.macTimes += 1 << odd(at)
		}
	}
}

// odd is how far a field's sum is shifted: by an octet if it begins at an odd
// place, for there high and low octets are exchanged (RFC 1071 §2).
func odd(at int) int { return at & 1 * 8 }

func words(v uint32) uint64 { return uint64(v>>16) + uint64(v&0xffff) }

// checksum is the complement of a sum of 16-bit words.
func checksum(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum)
}

// write writes the packet for f at b, which has the room, and returns its
// length.
func (x *template) write(b []byte, f *fields) int {
	n := copy(b, x.packet)
	ip := b[x.ipOff:n]
	m := ip[28:]
	mac := f.mac
	sum := x.udpSum + words(f.xid) + uint64(f.secs) + (mac>>32+mac>>16&0xffff+mac&0xffff)*x.macTimes
	binary.BigEndian.PutUint32(m[offXID:], f.xid)
	if f.secs != 0 {
		binary.BigEndian.PutUint16(m[offSecs:], f.secs)
	}
	putMAC(m[offCHAddr:], mac)
	if x.clientID != 0 {
		putMAC(m[x.clientID:], mac)
	}
	if x.rai != 0 {
		putMAC(m[x.rai:], mac)
	}
	if f.giaddr != 0 && x.giaddr != 0 {
		binary.BigEndian.PutUint32(m[offGIAddr:], f.giaddr)
		sum += words(f.giaddr)
	}
	if x.ciaddr != 0 {
		binary.BigEndian.PutUint32(m[offCIAddr:], f.offered)
		sum += words(f.offered)
	}
	if x.requested != 0 {
		binary.BigEndian.PutUint32(m[x.requested:], f.offered)
		sum += words(f.offered) << odd(x.requested)
	}
	if x.server != 0 {
		binary.BigEndian.PutUint32(m[x.server:], f.server)
		sum += words(f.server) << odd(x.server)
	}
	if f.src != 0 {
		binary.BigEndian.PutUint32(ip[12:], f.src)
		sum += words(f.src)
		binary.BigEndian.PutUint16(ip[10:], checksum(x.ipSum+words(f.src)))
	}
	c := checksum(sum)
	if c == 0 {
		c = 0xffff // RFC 768: 0 would mean that there is none
	}
	binary.BigEndian.PutUint16(ip[26:], c)
	return n
}
