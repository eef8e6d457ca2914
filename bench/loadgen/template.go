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

// template is an encoded message with the places that differ per packet. A
// place of 0 means the message has no such field.
type template struct {
	msg                              []byte
	clientID, requested, server, rai int // of the values; clientID: of the address in it; rai: of the remote-id's
}

// perfPRL is what perfdhcp asks for.
var perfPRL = []byte{
	dhcp4.OptSubnetMask, dhcp4.OptBroadcastAddress, dhcp4.OptTimeOffset, dhcp4.OptRouter,
	dhcp4.OptDomainName, dhcp4.OptDomainNameServer, dhcp4.OptHostName,
}

// circuitID is the sub-option 1 of every simulated port.
const circuitID = "dhcpgun"

// newTemplate encodes a message; selecting says that it answers an OFFER.
func newTemplate(o *Options, t dhcp4.MsgType, selecting bool) (*template, error) {
	var r dhcp4.Reply
	r.Op = dhcp4.BootRequest
	r.Type = t
	r.HType, r.HLen = dhcp4.HTypeEthernet, 6
	if o.Broadcast {
		r.Flags = dhcp4.FlagBroadcast
	}
	if o.GIAddr != 0 || len(o.Relays) > 0 {
		r.GIAddr = dhcp4.IPv4(o.GIAddr)
		r.Hops = 1
	}
	r.Set(dhcp4.OptParameterRequestList, perfPRL)
	r.Set(dhcp4.OptClientIdentifier, append([]byte{dhcp4.HTypeEthernet}, make([]byte, 6)...))
	if selecting {
		r.SetIP(dhcp4.OptRequestedIPAddress, 0)
	}
	if selecting || t == dhcp4.MsgRelease {
		r.SetIP(dhcp4.OptServerIdentifier, 0)
	}
	if t == dhcp4.MsgRelease || t == dhcp4.MsgRequest && !selecting && o.Scenario == Basic {
		r.Del(dhcp4.OptParameterRequestList) // as perfdhcp
	}
	if o.Scenario != Basic && o.Scenario != Avalanche && t != dhcp4.MsgRelease {
		r.SetU16(dhcp4.OptMaxMessageSize, 1500)
		r.Set(dhcp4.OptVendorClassIdentifier, []byte("dhcpgun"))
	}
	if o.RAI {
		b := append([]byte{dhcp4.RAICircuitID, byte(len(circuitID))}, circuitID...)
		b = append(append(b, dhcp4.RAIRemoteID, 6), make([]byte, 6)...)
		r.Set(dhcp4.OptRelayAgentInformation, b)
	}
	x := &template{}
	x.msg, _ = r.Append(nil, dhcp4.MaxMessageLen, nil)
	if len(o.ExtraOptions) > 0 {
		// Second to last stays option 82, last END.
		at := len(x.msg) - 1
		if rai := r.Get(dhcp4.OptRelayAgentInformation); rai != nil {
			at -= 2 + len(rai)
		}
		var more []byte
		for _, e := range o.ExtraOptions {
			more = append(append(more, e.Code, byte(len(e.Data))), e.Data...)
		}
		x.msg = slices.Insert(x.msg, at, more...)
	}
	for i := dhcp4.HeaderLen; x.msg[i] != dhcp4.OptEnd; i += 2 + int(x.msg[i+1]) {
		v, n := i+2, int(x.msg[i+1])
		set := func(at *int, v int) { // an extra option of the same code stays as it is
			if *at == 0 {
				*at = v
			}
		}
		switch x.msg[i] {
		case dhcp4.OptClientIdentifier:
			set(&x.clientID, v+1)
		case dhcp4.OptRequestedIPAddress:
			if selecting {
				set(&x.requested, v)
			}
		case dhcp4.OptServerIdentifier:
			if selecting || t == dhcp4.MsgRelease {
				set(&x.server, v)
			}
		case dhcp4.OptRelayAgentInformation:
			if o.RAI {
				x.rai = v + n - 6
			}
		}
	}
	if room := 1472; len(x.msg) > room {
		return nil, fmt.Errorf("build %v: %d octets do not fit a packet of %d", t, len(x.msg), room)
	}
	return x, nil
}

// put writes the message for a client at b and returns its length.
func (x *template) put(b []byte, xid uint32, mac uint64) int {
	n := copy(b, x.msg)
	binary.BigEndian.PutUint32(b[offXID:], xid)
	putMAC(b[offCHAddr:], mac)
	putMAC(b[x.clientID:], mac)
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
