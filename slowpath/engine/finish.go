package engine

import "github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"

const (
	// minMessageLen is what every client takes (RFC 2131 §2): a smaller option 57
	// is not believed.
	minMessageLen = 576
	// maxMessageLen fits one Ethernet packet with IP and UDP headers.
	maxMessageLen = 1500 - 28
)

// maxLen is how long the reply may be. Option 57 counts where the client sends
// it; without it the reply may fill a packet, as Kea's do and clients expect:
// leaving options out for clients that say nothing would change what they get.
// Option 82 is the relay's, who takes it off before the client sees the message
// (RFC 3046 §2.2), so it is not counted.
func maxLen(v *dhcp4.View) int {
	n := int(v.MaxMessageSize())
	if n == 0 {
		return maxMessageLen
	}
	n = max(n, minMessageLen)
	if b := v.Option(dhcp4.OptRelayAgentInformation); len(b) > 0 {
		n += len(b) + 2*(1+(len(b)-1)/255)
	}
	return min(n, maxMessageLen)
}

// Finish4 fills the reply's options and fields from the configuration and
// decides where it goes. A reply without a type (RELEASE, DECLINE) is left as it
// is.
func (w *Worker) Finish4(q *Query4, r *Reply4) Reason {
	if r.Type == 0 {
		return ReasonOK
	}
	q.identify()
	v := q.Msg
	r.ServerID = localAddr(q)
	if r.ServerID == 0 {
		return ReasonNoLocalAddress
	}
	r.MaxLen = maxLen(v)
	r.PRL = v.PRL()

	// What is repeated (V4-028): the relay needs its option back (RFC 3046
	// §2.2), the client its own (RFC 6842, RFC 3011).
	d := q.cfg.Snapshot.Dhcp4
	if q.cid != nil && d.EchoClientID {
		r.Set(dhcp4.OptClientIdentifier, q.cid)
	}
	if b := v.Option(dhcp4.OptSubnetSelection); b != nil {
		r.Set(dhcp4.OptSubnetSelection, b)
	}
	if b := v.Option(dhcp4.OptRelayAgentInformation); len(b) > 0 {
		r.Set(dhcp4.OptRelayAgentInformation, b)
	}

	if r.Type == dhcp4.MsgNak {
		r.SetIP(dhcp4.OptServerIdentifier, r.ServerID) // never the configured one (WR-05)
		address(q, r)
		return ReasonOK
	}
	s := q.Subnet
	if r.HaveLease {
		r.SetU32(dhcp4.OptIPAddressLeaseTime, r.ValidLifetimeS)
		r.SetIP(dhcp4.OptSubnetMask, s.Mask) // V4-111
		setTimers(s, r)
		q.tellName(r)
	}
	w.setOptions(q, r, w.collect(q, r))
	if q.v6Only && !r.Has(dhcp4.OptIPv6OnlyPreferred) {
		return ReasonV6OnlyMissing
	}
	setFields(q, r)
	address(q, r)
	if v.Type() == dhcp4.MsgInform && r.Dst != v.GIAddr() {
		// Not through the relay, so nothing of the relay's (WR-07).
		r.Hops, r.GIAddr = 0, 0
		r.Del(dhcp4.OptRelayAgentInformation)
	}
	return ReasonOK
}

// localAddr is our address that the client or relay knows: the one it sent to,
// else that of the interface.
func localAddr(q *Query4) dhcp4.IPv4 {
	if q.Dst != 0 && q.Dst != q.IfAddr {
		for _, a := range q.LocalAddrs {
			if a == q.Dst {
				return a
			}
		}
	}
	return q.IfAddr
}

// setFields sets siaddr, sname and file, each from the first that has it: the
// host, the classes in order of assignment, the subnet (V4-110).
func setFields(q *Query4, r *Reply4) {
	var sname, file string
	if s := q.Subnet; s != nil {
		r.SIAddr = s.NextServer
		sname, file = s.ServerHostname, s.BootFileName
	}
	if q.cfg.classes.fields {
		var next dhcp4.IPv4
		var cs, cf string
		for _, i := range q.Classes.Order() {
			c := q.cfg.classes.def(i)
			if c == nil {
				continue
			}
			if next == 0 {
				next = c.NextServer
			}
			if cs == "" {
				cs = c.ServerHostname
			}
			if cf == "" {
				cf = c.BootFileName
			}
		}
		if next != 0 {
			r.SIAddr = next
		}
		if cs != "" {
			sname = cs
		}
		if cf != "" {
			file = cf
		}
	}
	if h := q.Host; h != nil {
		if h.NextServer != 0 {
			r.SIAddr = h.NextServer
		}
		if h.ServerHostname != "" {
			sname = h.ServerHostname
		}
		if h.BootFileName != "" {
			file = h.BootFileName
		}
	}
	r.SName = q.sname[:copy(q.sname[:], sname)]
	r.File = q.file[:copy(q.file[:], file)]
}

// address decides where the reply goes (RFC 2131 §4.1, V4-026, V4-027).
func address(q *Query4, r *Reply4) {
	v := q.Msg
	relayed := q.Relayed()
	ciaddr := v.CIAddr()
	r.DstPort = dhcp4.ClientPort
	r.L2 = L2Source
	if v.Type() == dhcp4.MsgInform {
		switch {
		case ciaddr != 0:
			r.Dst = ciaddr
		case relayed:
			// The relay finds no yiaddr to send to.
			r.Flags |= dhcp4.FlagBroadcast
			toRelay(q, r)
		default:
			r.Dst = q.Src
		}
		return
	}
	switch {
	case relayed:
		if r.Type == dhcp4.MsgNak {
			// The client may have no address the relay could send to.
			r.Flags = dhcp4.FlagBroadcast
		}
		toRelay(q, r)
	case ciaddr != 0:
		r.Dst = ciaddr
	case r.Type == dhcp4.MsgNak:
		r.Dst, r.L2 = dhcp4.Broadcast, L2Broadcast
	case r.YIAddr != 0 && !v.Broadcast() && !q.cfg.Snapshot.Dhcp4.SocketUDP && q.unicastable():
		r.Dst, r.L2 = r.YIAddr, L2CHAddr
	case r.YIAddr != 0 || q.Src == 0:
		// UDP sockets cannot reach a client that has no address yet.
		r.Dst, r.L2 = dhcp4.Broadcast, L2Broadcast
	default:
		r.Dst = q.Src
	}
}

// unicastable reports whether chaddr can be the destination of an Ethernet
// frame. The addresses of all IEEE 802 networks are of one kind.
func (q *Query4) unicastable() bool {
	t := q.Msg.HType()
	return (t == dhcp4.HTypeEthernet || t == dhcp4.HTypeIEEE802) && len(q.hw) == 6 && q.hw[0]&1 == 0 &&
		q.Msg.Notes()&dhcp4.NoteZeroCHAddr == 0
}

// toRelay addresses the reply to the relay: to its port, or to the one it sent
// from if it says so (RFC 8357 §5.1).
func toRelay(q *Query4, r *Reply4) {
	r.Dst = q.Msg.GIAddr()
	r.DstPort = dhcp4.ServerPort
	if q.rai(dhcp4.RAIRelayPort) != nil && q.SrcPort != 0 {
		r.DstPort = q.SrcPort
	}
}
