package slowpath

import (
	"fmt"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// The lines about DHCPv4 packets; what they have in common is in trace.go.

// traceReceived: a packet has come.
func (w *Worker) traceReceived(c *query) {
	src, dst := dhcp4.IPv4(c.hdr.Src4), dhcp4.IPv4(c.hdr.Dst4)
	w.debug(tracePackets, dbgBasic, "DHCP4_BUFFER_RECEIVED", "received buffer from %v:%d to %v:%d over interface %s",
		src, c.hdr.SrcPort, dst, c.hdr.DstPort, c.ifaceName())
	w.debug(traceOptions, dbgDetail, "DHCP4_BUFFER_UNPACK", "parsing buffer received from %v to %v over interface %s", src, dst, c.ifaceName())
}

// traceBad: the packet cannot be read.
func (w *Worker) traceBad(c *query, msg []byte, why fmt.Stringer) {
	w.debug(traceBadPackets, dbgPacketHandling, "DHCP4_PACKET_DROP_0001", "(malformed): failed to parse packet from %v to %v, received over interface %s, reason: %v, %s",
		dhcp4.IPv4(c.hdr.Src4), dhcp4.IPv4(c.hdr.Dst4), c.ifaceName(), why, details(msg))
}

// traceParsed: the packet is a DHCP message.
func (w *Worker) traceParsed(c *query) {
	v := &c.view
	l := label(v)
	w.info(traceDHCP4, "DHCP4_QUERY_LABEL", "received query: %s", l)
	w.info(tracePackets, "DHCP4_PACKET_RECEIVED", "%s: %v (type %d) received from %v to %v on interface %s", l, v.Type(), uint8(v.Type()),
		dhcp4.IPv4(c.hdr.Src4), dhcp4.IPv4(c.hdr.Dst4), c.ifaceName())
	if w.trace.has(tracePackets) {
		w.debug(tracePackets, dbgDetailData, "DHCP4_QUERY_DATA", "%s, packet details: %s", l, details(v.Raw()))
	}
}

// traceRefused: the server does not take the message; why is the server's own
// reason.
func (w *Worker) traceRefused(c *query, why Reason) {
	l := label(&c.view)
	switch why {
	case ReasonServiceDisabled:
		w.debug(traceBadPackets, dbgPacketHandling, "DHCP4_PACKET_DROP_0008", "%s: DHCP service is globally disabled", l)
	case ReasonDuplicate:
		w.debug(tracePackets, dbgPacketHandling, "DHCP4_PACKET_DROP_0012",
			"dropped as sent by the same client as a packet being processed by another thread: dropped %s", l)
	default:
		w.debug(tracePackets, dbgPacketHandling, "PEREGRINE_PACKET_DROP", "%s: %v", l, why)
	}
}

// traceSubnet: a subnet was looked for.
func (w *Worker) traceSubnet(c *query) {
	l := label(&c.view)
	s := c.q.Subnet
	if s == nil {
		w.debug(tracePackets, dbgDetail, "DHCP4_SUBNET_SELECTION_FAILED", "%s: failed to select subnet for the client", l)
		return
	}
	w.debug(tracePackets, dbgBasicData, "DHCP4_SUBNET_SELECTED", "%s: the subnet with ID %d was selected for client assignments", l, s.ID)
	w.debug(tracePackets, dbgDetailData, "DHCP4_SUBNET_DATA", "%s: the selected subnet details: %v", l, s.Prefix)
}

// traceHosts: what identified the client, and whether it is known.
func (w *Worker) traceHostLookup(c *query) {
	s := c.q.Subnet
	if s == nil || !w.trace.has(traceHosts) {
		return
	}
	ids := []struct {
		name string
		id   []byte
	}{{"hwaddr", c.view.CHAddr()}, {"circuit-id", c.view.RAI(dhcp4.RAICircuitID)}, {"client-id", c.view.ClientID()}}
	var scopes []uint32
	if s.ReservationsInSubnet {
		scopes = append(scopes, s.ID)
	}
	if s.ReservationsGlobal {
		scopes = append(scopes, 0)
	}
	for _, scope := range scopes {
		for _, x := range ids {
			if len(x.id) == 0 {
				continue
			}
			text := fmt.Sprintf("%s=%X", x.name, x.id)
			w.debug(traceHosts, dbgBasic, "HOSTS_CFG_GET_ONE_SUBNET_ID_IDENTIFIER", "get one host with IPv4 reservation for subnet id %d, identified by %s", scope, text)
			if h := c.q.Host; h == nil || h.SubnetID != scope || string(h.Identifier) != string(x.id) {
				w.debug(traceHosts, dbgBasicData, "HOSTS_CFG_GET_ONE_SUBNET_ID_IDENTIFIER_NULL", "host not found using subnet id %d and identifier %s", scope, text)
				continue
			}
			w.debug(traceHosts, dbgBasicData, "HOSTS_CFG_GET_ONE_SUBNET_ID_IDENTIFIER_HOST", "using subnet id %d and identifier %s, found host: address=%v hostname=%s",
				scope, text, c.q.Host.Addr, c.q.Host.Hostname)
			return
		}
	}
}

// traceClasses: which classes the query is in.
func (w *Worker) traceClasses(c *query) {
	if !w.trace.has(traceDHCP4) {
		return
	}
	set := &c.q.Classes
	names := make([]string, set.Len())
	for i := range names {
		names[i] = set.Name(i)
		if names[i] == "KNOWN" || names[i] == "UNKNOWN" {
			w.debug(traceDHCP4, dbgBasic, "DHCP4_CLASS_ASSIGNED", "%s: client packet has been assigned to the following class: %s", label(&c.view), names[i])
		}
	}
	w.debug(traceDHCP4, dbgBasic, "DHCP4_CLASSES_ASSIGNED_AFTER_SUBNET_SELECTION", "%s: client packet has been assigned to the following classes: %s",
		label(&c.view), strings.Join(names, ", "))
}

// traceUnconfigured: classes that no class definition gives anything to.
func (w *Worker) traceUnconfigured(c *query) {
	if !w.trace.has(traceDHCP4) {
		return
	}
	w.debug(traceDHCP4, dbgBasic, "DHCP4_CLASSES_ASSIGNED", "%s: client packet has been assigned on %v message to the following classes: %s",
		label(&c.view), c.view.Type(), strings.Join(classNames(&c.q.Classes), ", "))
	for _, n := range classNames(&c.q.Classes) {
		if !w.s.classDefined(n) {
			w.debug(traceDHCP4, dbgBasic, "DHCP4_CLASS_UNCONFIGURED", "%s: client packet belongs to an unconfigured class: %s", label(&c.view), n)
		}
	}
}

func classNames(set *engine.ClassSet) []string {
	names := make([]string, set.Len())
	for i := range names {
		names[i] = set.Name(i)
	}
	return names
}

// traceDecision: what was decided, when there is something to answer or to keep.
func (w *Worker) traceDecision(c *query) {
	w.traceHostLookup(c)
	w.traceClasses(c)
	v, r := &c.view, &c.r
	l := label(v)
	switch v.Type() {
	case dhcp4.MsgRelease:
		w.traceRelease(c, l)
		return
	case dhcp4.MsgDecline:
		w.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_UPDATE_ADDR4", "updating IPv4 lease for address %v", r.Lease.Addr)
		w.info(traceLeases, "DHCP4_DECLINE_LEASE", "Received DHCPDECLINE for addr %v from client %s. The lease will be unavailable for %d seconds.",
			r.Lease.Addr, l, r.Lease.ValidLifetimeS)
		return
	case dhcp4.MsgInform:
		w.traceUnconfigured(c)
		return
	}
	w.traceHint(c, l)
	if c.q.Subnet != nil && c.q.Subnet.MatchClientID && len(v.ClientID()) > 0 {
		w.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_GET_SUBID_CLIENTID", "obtaining IPv4 lease for subnet ID %d and client ID %s", c.q.Subnet.ID, colons(v.ClientID()))
	} else if c.q.Subnet != nil {
		w.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_GET_SUBID_HWADDR", "obtaining IPv4 lease for subnet ID %d and hardware address %s", c.q.Subnet.ID, hwLabel(v.HType(), v.CHAddr()))
	}
	if r.Type == dhcp4.MsgNak {
		w.traceNak(c, l)
		return
	}
	w.traceUnconfigured(c)
	if !r.HaveLease {
		return
	}
	own := r.HaveOld && r.OldLease.Addr == r.Lease.Addr && (string(r.OldLease.HW()) == string(r.Lease.HW()) || string(r.OldLease.CID()) == string(r.Lease.CID()))
	if v.Type() == dhcp4.MsgDiscover {
		w.traceOffer(c, l, own)
	} else {
		w.traceGrant(c, l, own)
	}
}

// hint is the address the client asks for.
func hint(v *dhcp4.View) (text string, addr dhcp4.IPv4) {
	a, ok := v.RequestedIP()
	if !ok {
		a = v.CIAddr()
	}
	if a == 0 {
		return "(no hint)", 0
	}
	return a.String(), a
}

func (w *Worker) traceHint(c *query, l string) {
	text, _ := hint(&c.view)
	switch {
	case c.view.Type() == dhcp4.MsgDiscover:
		w.debug(traceLeases, dbgDetail, "DHCP4_DISCOVER", "%s: server is processing DHCPDISCOVER with hint=%s", l, text)
	case c.q.State == engine.StateInitReboot:
		w.info(traceLeases, "DHCP4_INIT_REBOOT", "%s: client is in INIT-REBOOT state and requests address %s", l, text)
	default:
		w.debug(traceLeases, dbgDetail, "DHCP4_REQUEST", "%s: server is processing DHCPREQUEST with hint=%s", l, text)
	}
}

func (w *Worker) traceOffer(c *query, l string, own bool) {
	r := &c.r
	_, want := hint(&c.view)
	if r.ReservationConflict && c.q.Host != nil && w.mayWarn(traceAllocEngine) {
		w.warn(traceAllocEngine, "ALLOC_ENGINE_V4_DISCOVER_ADDRESS_CONFLICT", "%s: conflicting reservation for address %v with existing lease", l, c.q.Host.Addr)
	}
	switch {
	case c.q.Host != nil && c.q.Host.Addr == r.Lease.Addr:
		w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_DISCOVER_HR", "client %s sending DHCPDISCOVER has reservation for the address %v", l, r.Lease.Addr)
	case own:
		w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_OFFER_EXISTING_LEASE", "allocation engine will try to offer existing lease to the client %s", l)
	case want == r.Lease.Addr:
		w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_OFFER_REQUESTED_LEASE", "allocation engine will try to offer requested lease %v to the client %s", want, l)
	default:
		w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_OFFER_NEW_LEASE", "allocation engine will try to offer new lease to the client %s", l)
	}
	w.info(traceLeases, "DHCP4_LEASE_OFFER", "%s: lease %v will be offered", l, r.Lease.Addr)
}

func (w *Worker) traceGrant(c *query, l string, own bool) {
	r := &c.r
	_, want := hint(&c.view)
	switch {
	case own:
		w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_REQUEST_EXTEND_LEASE", "%s: extending lifetime of the lease for address %v", l, r.Lease.Addr)
	case want == 0 && c.q.Host != nil && c.q.Host.Addr == r.Lease.Addr:
		w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_REQUEST_USE_HR", "client %s hasn't requested specific address, using reserved address %v", l, r.Lease.Addr)
	case want == 0:
		w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_REQUEST_PICK_ADDRESS", "client %s hasn't specified an address - picking available address from the pool", l)
	default:
		w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_REQUEST_ALLOC_REQUESTED", "%s: trying to allocate requested address %v", l, want)
	}
	if r.HaveDeleted {
		w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_REQUEST_REMOVE_LEASE", "%s: removing previous client's lease %v", l, r.Deleted.Addr)
		w.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_DELETE_ADDR4", "deleting lease for address %v", r.Deleted.Addr)
	}
	switch {
	case r.Reused:
		w.info(traceLeases, "DHCP4_LEASE_REUSE", "%s: lease %v has been reused for %d seconds", l, r.Lease.Addr, r.ValidLifetimeS)
		return
	case own:
		w.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_UPDATE_ADDR4", "updating IPv4 lease for address %v", r.Lease.Addr)
	default:
		w.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_ADD_ADDR4", "adding IPv4 lease with address %v", r.Lease.Addr)
	}
	w.info(traceLeases, "DHCP4_LEASE_ALLOC", "%s: lease %v has been allocated for %d seconds", l, r.Lease.Addr, r.ValidLifetimeS)
}

func (w *Worker) traceRelease(c *query, l string) {
	r := &c.r
	w.info(traceLeases, "DHCP4_RELEASE", "%s: address %v was released properly.", l, r.Lease.Addr)
	if r.HaveDeleted {
		w.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_DELETE_ADDR4", "deleting lease for address %v", r.Lease.Addr)
		w.info(traceLeases, "DHCP4_RELEASE_DELETED", "%s: address %v was deleted on release.", l, r.Lease.Addr)
		return
	}
	w.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_UPDATE_ADDR4", "updating IPv4 lease for address %v", r.Lease.Addr)
	w.info(traceLeases, "DHCP4_RELEASE_EXPIRED", "%s: address %v expired on release.", l, r.Lease.Addr)
}

// traceNak: why the client is refused.
func (w *Worker) traceNak(c *query, l string) {
	v := &c.view
	text, _ := hint(v)
	w.traceNoLease(c, l, c.r.NAKReason)
	w.warnNoLease(c, c.r.NAKReason)
	switch c.r.NAKReason {
	case engine.ReasonNoSubnet:
		w.debug(traceBadPackets, dbgDetail, "DHCP4_PACKET_NAK_0001", "%s: failed to select a subnet for incoming packet, src %v, type %v", l, c.q.Src, v.Type())
	case engine.ReasonInitRebootUnknown:
		w.debug(traceBadPackets, dbgDetail, "DHCP4_NO_LEASE_INIT_REBOOT", "%s: no lease for address %s requested by INIT-REBOOT client", l, text)
	case engine.ReasonInitRebootAddress:
		w.debug(traceBadPackets, dbgDetail, "DHCP4_PACKET_NAK_0002", "%s: invalid address %s requested by INIT-REBOOT", l, text)
	case engine.ReasonClassReject:
		w.debug(tracePackets, dbgPacketHandling, "DHCP4_PACKET_NAK_0005", "nacked as member of the special class 'REJECT': %s, %s", l, details(v.Raw()))
	default:
		w.debug(traceBadPackets, dbgDetail, "DHCP4_PACKET_NAK_0004", "%s: failed to grant a lease, client sent ciaddr %v, requested-ip-address %s", l, v.CIAddr(), requested(v))
	}
}

func requested(v *dhcp4.View) string {
	if a, ok := v.RequestedIP(); ok {
		return a.String()
	}
	return "(no address)"
}

// traceNoLease: why no lease could be given.
func (w *Worker) traceNoLease(c *query, l string, why engine.Reason) {
	text, _ := hint(&c.view)
	switch why {
	case engine.ReasonAddressReserved:
		w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_REQUEST_ADDRESS_RESERVED", "%s: requested address %s is reserved", l, text)
	case engine.ReasonAddressInUse:
		w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_REQUEST_IN_USE", "%s: requested address %s is in use", l, text)
	case engine.ReasonReservedElsewhere:
		if c.q.Host != nil {
			w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_REQUEST_INVALID", "client %s having a reservation for address %v is requesting invalid address %s", l, c.q.Host.Addr, text)
		}
	case engine.ReasonUnknownAddress, engine.ReasonPoolGuarded:
		w.debug(traceAllocEngine, dbgBasic, "ALLOC_ENGINE_V4_REQUEST_OUT_OF_POOL", "client %s, which doesn't have a reservation, requested address %s out of the dynamic pool", l, text)
	}
}

// warnNoLease is what Kea warns of whatever the debug level.
func (w *Worker) warnNoLease(c *query, why engine.Reason) {
	s := c.q.Subnet
	if s == nil || why != engine.ReasonPoolExhausted && why != engine.ReasonNoPools || !w.mayWarn(traceAllocEngine) {
		return
	}
	l := label(&c.view)
	if why == engine.ReasonNoPools {
		w.warn(traceAllocEngine, "ALLOC_ENGINE_V4_ALLOC_FAIL_NO_POOLS", "%s: no pools were available for the address allocation", l)
		return
	}
	w.warn(traceAllocEngine, "ALLOC_ENGINE_V4_ALLOC_FAIL_SUBNET", "%s: failed to allocate an IPv4 lease in the subnet %v, subnet-id %d, shared network %s",
		l, s.Prefix, s.ID, networkName(s))
}

// traceDrop: the engine gives no answer.
func (w *Worker) traceDrop(c *query, why engine.Reason) {
	v := &c.view
	switch why {
	case engine.ReasonPoolExhausted, engine.ReasonNoPools:
		w.warnNoLease(c, why)
	case engine.ReasonDeclineNoLease, engine.ReasonDeclineNotOwner, engine.ReasonDeclineNotLeased:
		w.traceDecline(c, why)
	}
	if w.trace == 0 {
		return
	}
	l := label(v)
	text, _ := hint(v)
	if v.Type() == dhcp4.MsgDiscover || v.Type() == dhcp4.MsgRequest {
		w.traceHostLookup(c)
		if c.q.Subnet != nil {
			w.traceHint(c, l)
		}
	}
	switch why {
	case engine.ReasonNoMessageType:
		w.debug(traceBadPackets, dbgPacketHandling, "DHCP4_PACKET_DROP_0009", "%s: Option 53 missing (no DHCP message type), is this a BOOTP packet?", l)
	case engine.ReasonServerMessage:
		w.debug(traceBadPackets, dbgPacketHandling, "DHCP4_PACKET_DROP_0006", "%s: unsupported DHCPv4 message type %d", l, uint8(v.Type()))
	case engine.ReasonMessageType:
		w.debug(traceBadPackets, dbgPacketHandling, "DHCP4_PACKET_DROP_0005", "%s: unrecognized type %d in option 53", l, uint8(v.Type()))
	case engine.ReasonNotForUs:
		w.debug(traceBadPackets, dbgPacketHandling, "DHCP4_PACKET_DROP_0003", "%s, from interface %s: it contains a foreign server identifier", l, c.ifaceName())
	case engine.ReasonDeclineNoAddress:
		w.debug(traceBadPackets, dbgPacketHandling, "DHCP4_PACKET_DROP_0007",
			"%s: failed to process packet: Mandatory 'Requested IP address' option missing in DHCPDECLINE sent from %s", l, l)
	case engine.ReasonNoIdentity, engine.ReasonClientIDLength,
		engine.ReasonServerIDUnwanted, engine.ReasonInformNoAddress, engine.ReasonMalformedAddress:
		w.debug(traceBadPackets, dbgPacketHandling, "DHCP4_PACKET_DROP_0007", "%s: failed to process packet: %v", l, why)
	case engine.ReasonClassDrop:
		w.traceClasses(c)
		w.debug(tracePackets, dbgPacketHandling, "DHCP4_PACKET_DROP_0010", "dropped as member of the special class 'DROP': %s, %s", l, details(v.Raw()))
	case engine.ReasonClassReject:
		w.debug(tracePackets, dbgPacketHandling, "DHCP4_PACKET_NAK_0005", "nacked as member of the special class 'REJECT': %s, %s", l, details(v.Raw()))
	case engine.ReasonNoSubnet, engine.ReasonRebindNoSubnet:
		w.debug(traceBadPackets, dbgDetail, "DHCP4_PACKET_NAK_0001", "%s: failed to select a subnet for incoming packet, src %v, type %v", l, c.q.Src, v.Type())
	case engine.ReasonInitRebootUnknown:
		w.debug(traceBadPackets, dbgDetail, "DHCP4_NO_LEASE_INIT_REBOOT", "%s: no lease for address %s requested by INIT-REBOOT client", l, text)
	case engine.ReasonUnknownAddress:
		w.traceNoLease(c, l, why)
		w.debug(traceBadPackets, dbgDetail, "DHCP4_UNKNOWN_ADDRESS_REQUESTED", "%s: client requested an unknown address, client sent ciaddr %v, requested-ip-address %s",
			l, v.CIAddr(), requested(v))
	case engine.ReasonReleaseNoLease:
		w.debug(traceLeases, dbgDetail, "DHCP4_RELEASE_FAIL_NO_LEASE", "%s: client is trying to release non-existing lease %v", l, v.CIAddr())
	case engine.ReasonReleaseNotOwner:
		w.debug(traceLeases, dbgDetail, "DHCP4_RELEASE_FAIL_WRONG_CLIENT", "%s: client is trying to release the lease %v which belongs to a different client", l, v.CIAddr())
	case engine.ReasonReleaseNotLeased:
		w.debug(traceLeases, dbgDetail, "DHCP4_RELEASE_FAIL_NOT_ASSIGNED", "%s: client is trying to release the lease %v which is not assigned", l, v.CIAddr())
	case engine.ReasonDeclineNoLease, engine.ReasonDeclineNotOwner, engine.ReasonDeclineNotLeased:
	default:
		w.traceNoLease(c, l, why)
		if v.Type() == dhcp4.MsgDiscover {
			w.debug(traceBadPackets, dbgDetail, "DHCP4_PACKET_NAK_0003", "%s: failed to advertise a lease, client sent ciaddr %v, requested-ip-address %s",
				l, v.CIAddr(), requested(v))
			return
		}
		w.debug(tracePackets, dbgPacketHandling, "PEREGRINE_PACKET_DROP", "%s: %v", l, why)
	}
}

// traceDecline: a client declined what is not its own.
func (w *Worker) traceDecline(c *query, why engine.Reason) {
	if !w.mayWarn(traceDHCP4) {
		return
	}
	v := &c.view
	a, _ := v.RequestedIP()
	var old lease.Lease4
	if why == engine.ReasonDeclineNoLease || !w.s.table.Get(a, &old) {
		w.warn(traceDHCP4, "DHCP4_DECLINE_LEASE_NOT_FOUND", "Received DHCPDECLINE for addr %v from client %s, but no such lease found.", a, label(v))
		return
	}
	w.warn(traceDHCP4, "DHCP4_DECLINE_LEASE_MISMATCH",
		"Received DHCPDECLINE for addr %v from client %s, but the data doesn't match: received hwaddr: %s, lease hwaddr: %s, received client-id: %s, lease client-id: %s",
		a, label(v), orNone(v.CHAddr()), orNone(old.HW()), orNone(v.ClientID()), orNone(old.CID()))
}

// traceSend: msg is the reply as it leaves.
func (w *Worker) traceSend(c *query, msg []byte) {
	if !w.trace.has(tracePackets) && !w.trace.has(traceOptions) {
		return
	}
	l := label(&c.view)
	src := c.r.ServerID
	if src == 0 {
		src = c.q.IfAddr
	}
	w.debug(traceOptions, dbgDetail, "DHCP4_PACKET_PACK", "%s: preparing on-wire format of the packet to be sent", l)
	w.info(tracePackets, "DHCP4_PACKET_SEND", "%s: trying to send packet %v (type %d) from %v:%d to %v:%d on interface %s",
		l, c.r.Type, uint8(c.r.Type), src, w.s.port4, c.r.Dst, c.r.DstPort, c.ifaceName())
	w.debug(tracePackets, dbgDetailData, "DHCP4_RESPONSE_DATA", "%s: responding with packet %v (type %d), packet details: %s", l, c.r.Type, uint8(c.r.Type), details(msg))
}

// networkName names the shared network of a subnet.
func networkName(s *config.Subnet4) string {
	if s.Network == nil {
		return "(none)"
	}
	return s.Network.Name
}

// classDefined says whether a class has a definition, or needs none.
func (s *Server) classDefined(name string) bool {
	d := s.Snapshot().Dhcp4
	for i := range d.Classes {
		if d.Classes[i].Name == name {
			return true
		}
	}
	return class.Builtin(name)
}
