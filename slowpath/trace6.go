package slowpath

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/logging"
)

// Kea's lines about DHCPv6 packets, written as those about DHCPv4 are: see
// trace.go. Lines that say why an IA or a query got nothing are in trace6fail.go.

func (x *worker6) debug(l traceLogger, level int, id, format string, a ...any) {
	x.s.tracer.line(x.trace, l, logging.Debug(level), id, format, a)
}

func (x *worker6) info(l traceLogger, id, format string, a ...any) {
	x.s.tracer.line(x.trace, l, slog.LevelInfo, id, format, a)
}

// label6 is how Kea names a query in its log.
func label6(v *dhcp6.View) string {
	duid := "no info"
	if id := v.ClientID(); len(id) > 0 {
		duid = colons(id)
	}
	return fmt.Sprintf("duid=[%s], [no hwaddr info], tid=0x%x", duid, v.XID())
}

// typeName is Kea's spelling of a message type.
func typeName(t dhcp6.MsgType) string { return strings.ReplaceAll(t.String(), "-", "_") }

func details6(msg []byte) string { return oneLine(dhcp6.AppendText(nil, msg)) }

func (c *query6) ifaceName() string {
	if c.iface == nil {
		return fmt.Sprintf("interface %d", c.ifindex)
	}
	return c.iface.name
}

func (c *query6) src() dhcp6.IPv6 { return c.hdr.Src6 }
func (c *query6) dst() dhcp6.IPv6 { return c.hdr.Dst6 }

// traceReceived: a packet has come.
func (x *worker6) traceReceived(c *query6) {
	x.debug(tracePackets, dbgBasic, "DHCP6_BUFFER_RECEIVED", "received buffer from %v:%d to %v:%d over interface %s",
		c.src(), c.hdr.SrcPort, c.dst(), c.hdr.DstPort, c.ifaceName())
	x.debug(traceOptions, dbgDetail, "DHCP6_BUFFER_UNPACK", "parsing buffer received from %v to %v over interface %s", c.src(), c.dst(), c.ifaceName())
}

// traceBad: the packet cannot be read.
func (x *worker6) traceBad(c *query6, msg []byte, why fmt.Stringer) {
	x.debug(traceBadPackets, dbgPacketHandling, "DHCP6_PACKET_DROP_PARSE_FAIL",
		"(malformed): failed to parse packet from %v to %v, received over interface %s, reason: %v, %s", c.src(), c.dst(), c.ifaceName(), why, details6(msg))
}

// traceParsed: the packet is a DHCPv6 message.
func (x *worker6) traceParsed(c *query6) {
	v := &c.view
	l := label6(v)
	x.info(tracePackets, "DHCP6_PACKET_RECEIVED", "%s: %s (type %d) received from %v to %v on interface %s", l, typeName(v.Type()), uint8(v.Type()),
		c.src(), c.dst(), c.ifaceName())
	if x.trace.has(tracePackets) {
		x.debug(tracePackets, dbgDetailData, "DHCP6_QUERY_DATA", "%s, packet details: %s", l, details6(v.Raw()))
	}
	x.info(traceServer, "DHCP6_QUERY_LABEL", "received query: %s", l)
}

// traceRefused: the server does not take the message.
func (x *worker6) traceRefused(c *query6, why Reason) {
	l := label6(&c.view)
	switch why {
	case ReasonServiceDisabled:
		x.debug(traceBadPackets, dbgPacketHandling, "DHCP6_PACKET_DROP_DHCP_DISABLED", "%s: DHCP service is globally disabled", l)
	case ReasonDuplicate:
		x.debug(tracePackets, dbgPacketHandling, "DHCP6_PACKET_DROP_DUPLICATE",
			"dropped as sent by the same client as a packet being processed by another thread: dropped %s", l)
	default:
		x.debug(tracePackets, dbgPacketHandling, "PEREGRINE_PACKET_DROP", "%s: %v", l, why)
	}
}

// traceSubnet: a subnet was looked for.
func (x *worker6) traceSubnet(c *query6) {
	l := label6(&c.view)
	s := c.q.Subnet
	if s == nil {
		x.debug(tracePackets, dbgDetail, "DHCP6_SUBNET_SELECTION_FAILED", "%s: failed to select subnet for the client", l)
		return
	}
	x.debug(tracePackets, dbgBasicData, "DHCP6_SUBNET_SELECTED", "%s: the subnet with ID %d was selected for client assignments", l, s.ID)
	x.debug(tracePackets, dbgDetailData, "DHCP6_SUBNET_DATA", "%s: the selected subnet details: %v", l, s.Prefix)
}

// traceHostLookup: what identified the client, and whether it is known.
func (x *worker6) traceHostLookup(c *query6) {
	s := c.q.Subnet
	if s == nil || !x.trace.has(traceHosts) {
		return
	}
	var scopes []uint32
	if s.ReservationsInSubnet {
		scopes = append(scopes, s.ID)
	}
	if s.ReservationsGlobal {
		scopes = append(scopes, 0)
	}
	ids := []struct {
		name string
		typ  config.IdentifierType
		id   []byte
	}{{"hwaddr", config.IdentHWAddr, c.q.HW()}, {"duid", config.IdentDUID, c.q.DUID()}}
	for _, scope := range scopes {
		for _, i := range ids {
			if len(i.id) == 0 {
				continue
			}
			text := fmt.Sprintf("%s=%X", i.name, i.id)
			x.debug(traceHosts, dbgBasic, "HOSTS_CFG_GET_ONE_SUBNET_ID_IDENTIFIER", "get one host with IPv6 reservation for subnet id %d, identified by %s", scope, text)
			if h := c.q.Host; h == nil || h.SubnetID != scope || h.Type != i.typ || string(h.Identifier) != string(i.id) {
				x.debug(traceHosts, dbgBasicData, "HOSTS_CFG_GET_ONE_SUBNET_ID_IDENTIFIER_NULL", "host not found using subnet id %d and identifier %s", scope, text)
				continue
			}
			x.debug(traceHosts, dbgBasicData, "HOSTS_CFG_GET_ONE_SUBNET_ID_IDENTIFIER_HOST", "using subnet id %d and identifier %s, found host: %s", scope, text, hostText(c.q.Host))
			return
		}
	}
}

func hostText(h *config.Reservation6) string {
	var s strings.Builder
	fmt.Fprintf(&s, "hostname=%s", h.Hostname)
	for _, a := range h.Addrs {
		fmt.Fprintf(&s, " address=%v", a)
	}
	for _, p := range h.Prefixes {
		fmt.Fprintf(&s, " prefix=%v", p.Prefix)
	}
	return s.String()
}

// traceClasses: which classes the query is in, and those that no class
// definition gives anything to.
func (x *worker6) traceClasses(c *query6) {
	if !x.trace.has(traceServer) {
		return
	}
	l := label6(&c.view)
	names := make([]string, c.q.Classes.Len())
	for i := range names {
		names[i] = c.q.Classes.Name(i)
		if names[i] == "KNOWN" || names[i] == "UNKNOWN" {
			x.debug(traceServer, dbgBasic, "DHCP6_CLASS_ASSIGNED", "%s: client packet has been assigned to the following class: %s", l, names[i])
		}
	}
	all := strings.Join(names, ", ")
	x.debug(traceServer, dbgBasic, "DHCP6_CLASSES_ASSIGNED_AFTER_SUBNET_SELECTION", "%s: client packet has been assigned to the following classes: %s", l, all)
	x.debug(traceServer, dbgBasic, "DHCP6_CLASSES_ASSIGNED", "%s: client packet has been assigned on %s message to the following classes: %s", l, typeName(c.view.Type()), all)
	for _, n := range names {
		if !x.classDefined(n) {
			x.debug(traceServer, dbgBasic, "DHCP6_CLASS_UNCONFIGURED", "%s: client packet belongs to an unconfigured class: %s", l, n)
		}
	}
}

func (x *worker6) classDefined(name string) bool {
	d := x.rt.snapshot.Dhcp6
	for i := range d.Classes {
		if d.Classes[i].Name == name {
			return true
		}
	}
	return class.Builtin(name)
}

// traceDecision: what was decided.
func (x *worker6) traceDecision(c *query6) {
	x.traceHostLookup(c)
	x.traceClasses(c)
	v, r := &c.view, &c.r
	l := label6(v)
	if v.Type() == dhcp6.MsgSolicit && r.Type == dhcp6.MsgReply {
		x.debug(traceOptions, dbgDetail, "DHCP6_RAPID_COMMIT", "%s: Rapid Commit option received, following 2-way exchange", l)
	}
	for i := range v.IAs() {
		ia := v.IA(i)
		x.traceIA(c, l, &ia)
	}
	for i := range r.IAs() {
		if ia := r.IA(i); ia.HaveStatus {
			x.debug(traceOptions, dbgDetail, "DHCP6_ADD_STATUS_CODE_FOR_IA", "%s: adding Status Code to IA with iaid=%d: %v (%d) %s",
				l, ia.IAID, ia.Status, uint16(ia.Status), ia.StatusText)
		}
	}
}

// iaNames are parts of ids and lines that differ between addresses and prefixes.
type iaNames struct{ id, lease, what, noun string }

func namesOf(code uint16) iaNames {
	if code == dhcp6.OptIAPD {
		return iaNames{"IA_PD", "PD_LEASE", "prefix", "a prefix lease"}
	}
	return iaNames{"IA_NA", "LEASE", "address", "an address lease"}
}

// resourceText is an address, or a prefix with its length.
func resourceText(a dhcp6.IPv6, length uint8, code uint16) string {
	if code == dhcp6.OptIAPD {
		return fmt.Sprintf("%v/%d", a, length)
	}
	return a.String()
}

// traceIA: one IA of the query.
func (x *worker6) traceIA(c *query6, l string, ia *dhcp6.IA) {
	n, t := namesOf(ia.Code), c.view.Type()
	x.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_GET_IAID_DUID", "obtaining IPv6 leases for IAID %d and DUID %s and lease type %s", ia.IAID, colons(c.view.ClientID()), n.id)
	switch t {
	case dhcp6.MsgSolicit, dhcp6.MsgRequest:
		hint := "(no hint)"
		it := *ia
		if h, ok := it.Next(); ok {
			hint = resourceText(h.Addr, h.PrefixLen, ia.Code)
		}
		x.debug(traceLeases, dbgDetail, "DHCP6_PROCESS_"+n.id+"_"+t.String(), "%s: server is processing %s option with iaid=%d and hint=%s", l, n.id, ia.IAID, hint)
		x.traceLeases(c, l, ia)
	case dhcp6.MsgRenew, dhcp6.MsgRebind:
		x.debug(traceLeases, dbgDetail, "DHCP6_PROCESS_"+n.id+"_EXTEND", "%s: extending lease lifetime for %s option with iaid=%d", l, n.id, ia.IAID)
		x.traceLeases(c, l, ia)
	case dhcp6.MsgRelease:
		x.debug(traceLeases, dbgDetail, "DHCP6_PROCESS_"+n.id+"_RELEASE", "%s: releasing lease for %s option with iaid=%d", l, n.id, ia.IAID)
		x.traceReleased(c, l, ia)
	case dhcp6.MsgDecline:
		x.debug(traceLeases, dbgDetail, "DHCP6_DECLINE_PROCESS_IA", "Processing of IA (IAID: %d) from client %s started.", ia.IAID, l)
		x.traceDeclined(c, l, ia)
	}
}

// traceLeases: what an IA of a SOLICIT, REQUEST, RENEW or REBIND got.
func (x *worker6) traceLeases(c *query6, l string, ia *dhcp6.IA) {
	n, r := namesOf(ia.Code), &c.r
	extend := c.view.Type() == dhcp6.MsgRenew || c.view.Type() == dhcp6.MsgRebind
	got := false
	for i := range r.Leases {
		y := &r.Leases[i]
		if y.IAID != ia.IAID || (y.Type == lease6.TypePD) != (ia.Code == dhcp6.OptIAPD) {
			continue
		}
		got = true
		what := fmt.Sprintf("%s: lease for %s %s and iaid=%d", l, n.what, resourceText(dhcp6.IPv6(y.Addr), y.PrefixLen, ia.Code), y.IAID)
		valid, reused := told(r, ia, y)
		switch {
		case r.Offer:
			x.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V6_ALLOC_UNRESERVED", "no static reservations available - trying to dynamically allocate leases for client %s", l)
			x.info(traceLeases, "DHCP6_"+n.lease+"_ADVERT", "%s will be advertised", what)
		case reused:
			x.info(traceLeases, "DHCP6_"+n.lease+"_REUSE", "%s has been reused for %d seconds", what, valid)
		case extend:
			x.debug(traceAllocEngine, dbgDetail, "ALLOC_ENGINE_V6_EXTEND_LEASE", "%s: extending lifetime of the lease type %s, address %v", l, n.id, dhcp6.IPv6(y.Addr))
			x.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_UPDATE_ADDR6", "updating IPv6 lease for address %v", dhcp6.IPv6(y.Addr))
			x.info(traceLeases, "DHCP6_"+n.lease+"_RENEW", "%s has been allocated", what)
		default:
			x.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_ADD_ADDR6", "adding IPv6 lease with address %v", dhcp6.IPv6(y.Addr))
			x.info(traceLeases, "DHCP6_"+n.lease+"_ALLOC", "%s has been allocated for %d seconds", what, valid)
		}
		x.debug(traceLeases, dbgDetailData, "DHCP6_LEASE_DATA", "%s: detailed lease information for iaid=%d: %s", l, y.IAID, leaseText(y))
	}
	switch {
	case got:
	case r.Offer:
		x.debug(traceLeases, dbgDetail, "DHCP6_"+n.lease+"_ADVERT_FAIL", "%s: failed to advertise %s for iaid=%d", l, n.noun, ia.IAID)
	default:
		x.debug(traceLeases, dbgDetail, "DHCP6_"+n.lease+"_ALLOC_FAIL", "%s: failed to grant %s for iaid=%d", l, n.noun, ia.IAID)
	}
}

// told is the lifetime that the reply tells the client of a lease, and whether
// that is what remains of one that was not stored again (V6-039).
func told(r *engine6.Reply6, ia *dhcp6.IA, y *lease6.Lease6) (validS uint32, reused bool) {
	for i := range r.IAs() {
		z := r.IA(i)
		if z.Code != ia.Code || z.IAID != ia.IAID {
			continue
		}
		for _, res := range r.Resources(z) {
			if res.Addr == dhcp6.IPv6(y.Addr) && res.PrefixLen == y.PrefixLen {
				// Reused: a lease that was stored now has its whole lifetime left.
				return res.ValidS, r.ReusedNA+r.ReusedPD > 0 && (res.ValidS != y.ValidLifetimeS || r.CommitPos == 0)
			}
		}
	}
	return y.ValidLifetimeS, false
}

// leaseText is a lease on one line, with Kea's names.
func leaseText(y *lease6.Lease6) string {
	t := "IA_NA"
	if y.Type == lease6.TypePD {
		t = "IA_PD"
	}
	state := "default"
	switch y.State {
	case lease.StateDeclined:
		state = "declined"
	case lease.StateRegistered:
		state = "registered"
	}
	return fmt.Sprintf("Type: %s(%d), Address: %v, Prefix length: %d, IAID: %d, Pref life: %d, Valid life: %d, Cltt: %d, DUID: %s, Hardware addr: %s, Subnet ID: %d, Pool ID: %d, State: %s",
		t, y.Type, dhcp6.IPv6(y.Addr), y.PrefixLen, y.IAID, y.PreferredLifetimeS, y.ValidLifetimeS, y.CLTTUnixS, orNone(y.ID()), orNone(y.HW()), y.SubnetID, y.PoolID, state)
}

// traceSend: msg is the reply as it leaves.
func (x *worker6) traceSend(c *query6, msg []byte) {
	if !x.trace.has(tracePackets) {
		return
	}
	l := label6(&c.view)
	var src dhcp6.IPv6
	if c.iface != nil {
		src = c.iface.addr6For(c.hdr.Dst6)
	}
	x.info(tracePackets, "DHCP6_PACKET_SEND", "%s: trying to send packet %s (type %d) from [%v]:%d to [%v]:%d on interface %s",
		l, typeName(c.r.Type), uint8(c.r.Type), src, x.s.port, c.r.Dst, c.r.DstPort, c.ifaceName())
	x.debug(tracePackets, dbgDetailData, "DHCP6_RESPONSE_DATA", "%s: responding with packet %s (type %d), packet details: %s", l, typeName(c.r.Type), uint8(c.r.Type), details6(msg))
}
