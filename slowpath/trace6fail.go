package slowpath

import (
	"fmt"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// mayWarn is Worker.mayWarn for DHCPv6.
func (x *worker6) mayWarn(l traceLogger) bool {
	if x.trace.has(l) {
		return true
	}
	w := x.w
	if w.nowNs-w.warnedNs < warnEveryNs && w.nowNs >= w.warnedNs {
		return false
	}
	w.warnedNs = w.nowNs
	return true
}

func (x *worker6) warn(l traceLogger, id, format string, a ...any) { x.s.tracer.warn(l, id, format, a) }

// warnFailures is what Kea warns of whatever the debug level: IAs that got
// nothing.
func (x *worker6) warnFailures(c *query6) {
	for i := range c.r.Failures() {
		f := &c.r.Failures()[i]
		if f.Reason != engine6.ReasonPoolExhausted && f.Reason != engine6.ReasonNoPools || !x.mayWarn(traceAllocEngine) {
			continue
		}
		l := label6(&c.view)
		if f.Reason == engine6.ReasonNoPools {
			x.warn(traceAllocEngine, "ALLOC_ENGINE_V6_ALLOC_FAIL_NO_POOLS", "%s: no pools were available for the lease allocation", l)
			continue
		}
		s := x.cfg.Subnets.ByID(f.SubnetID)
		switch {
		case s == nil:
		case f.Network && s.Network != nil:
			x.warn(traceAllocEngine, "ALLOC_ENGINE_V6_ALLOC_FAIL_SHARED_NETWORK", "%s: failed to allocate a lease in the shared network %s", l, s.Network.Name)
		default:
			x.warn(traceAllocEngine, "ALLOC_ENGINE_V6_ALLOC_FAIL_SUBNET", "%s: failed to allocate an IPv6 lease in the subnet %v, subnet-id %d, shared network (none)", l, s.Prefix, s.ID)
		}
	}
}

// statusOf is what the reply says of an IA.
func statusOf(r *engine6.Reply6, ia *dhcp6.IA) dhcp6.StatusCode {
	for i := range r.IAs() {
		if z := r.IA(i); z.Code == ia.Code && z.IAID == ia.IAID && z.HaveStatus {
			return z.Status
		}
	}
	return dhcp6.StatusSuccess
}

// traceReleased: what came of an IA of a RELEASE.
func (x *worker6) traceReleased(c *query6, l string, ia *dhcp6.IA) {
	it := *ia
	h, ok := it.Next()
	if !ok {
		return
	}
	what, kind, noun := resourceText(h.Addr, h.PrefixLen, ia.Code), "NA", "binding for address"
	if ia.Code == dhcp6.OptIAPD {
		kind, noun = "PD", "prefix"
	}
	var old lease6.Lease6
	known := x.s.table.Get(lease6.IPv6(h.Addr), &old)
	if statusOf(&c.r, ia) != dhcp6.StatusSuccess {
		switch {
		case !known || old.State != lease.StateDefault:
			x.debug(tracePackets, dbgBasic, "DHCP6_RELEASE_"+kind+"_FAIL_NOT_ASSIGNED", "%s: client tried to release %s which is not assigned", l, what)
		case string(old.ID()) != string(c.q.DUID()):
			x.info(traceLeases, "DHCP6_RELEASE_"+kind+"_FAIL_WRONG_DUID", "%s: client tried to release %s, but it belongs to another client using duid=%s", l, what, orNone(old.ID()))
		case old.IAID != ia.IAID && x.mayWarn(traceLeases):
			x.warn(traceLeases, "DHCP6_RELEASE_"+kind+"_FAIL_WRONG_IAID", "%s: client tried to release %s, but it used wrong IAID (expected %d, but got %d)", l, what, old.IAID, ia.IAID)
		}
		return
	}
	text := fmt.Sprintf("%s: %s %s and iaid=%d", l, noun, what, ia.IAID)
	x.info(traceLeases, "DHCP6_RELEASE_"+kind, "%s was released properly", text)
	if known {
		x.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_UPDATE_ADDR6", "updating IPv6 lease for address %v", h.Addr)
		x.info(traceLeases, "DHCP6_RELEASE_"+kind+"_EXPIRED", "%s expired on release", text)
		return
	}
	x.debug(traceDHCPSrv, dbgDetail, "DHCPSRV_MEMFILE_DELETE_ADDR6", "deleting lease for address %v", h.Addr)
	x.info(traceLeases, "DHCP6_RELEASE_"+kind+"_DELETED", "%s was deleted on release", text)
}

// traceDeclined: what came of an IA of a DECLINE.
func (x *worker6) traceDeclined(c *query6, l string, ia *dhcp6.IA) {
	if ia.Code != dhcp6.OptIANA {
		return
	}
	it := *ia
	for h, ok := it.Next(); ok; h, ok = it.Next() {
		declined := false
		for i := range c.r.Leases {
			y := &c.r.Leases[i]
			if dhcp6.IPv6(y.Addr) == h.Addr && y.State == lease.StateDeclined {
				x.info(traceLeases, "DHCP6_DECLINE_LEASE", "Client %s sent DECLINE for address %v and the server marked it as declined. The lease will be recovered in %d seconds.",
					l, h.Addr, y.ValidLifetimeS)
				declined = true
			}
		}
		if declined {
			continue
		}
		var old lease6.Lease6
		switch {
		case !x.s.table.Get(lease6.IPv6(h.Addr), &old):
			x.info(traceLeases, "DHCP6_DECLINE_FAIL_NO_LEASE", "Client %s sent DECLINE for address %v, but there's no lease for it", l, h.Addr)
		case string(old.ID()) != string(c.q.DUID()):
			x.info(traceLeases, "DHCP6_DECLINE_FAIL_DUID_MISMATCH", "Client %s sent DECLINE for address %v, but it belongs to client with DUID %s", l, h.Addr, orNone(old.ID()))
		case old.IAID != ia.IAID:
			x.info(traceLeases, "DHCP6_DECLINE_FAIL_IAID_MISMATCH", "Client %s sent DECLINE for address %v, but used a wrong IAID (%d), instead of expected %d", l, h.Addr, ia.IAID, old.IAID)
		default:
			x.info(traceLeases, "DHCP6_DECLINE_FAIL", "%s: error on decline lease for address %v", l, h.Addr)
		}
	}
}

// traceDrop: the engine gives no answer.
func (x *worker6) traceDrop(c *query6, why engine6.Reason) {
	v := &c.view
	l := label6(v)
	switch why {
	case engine6.ReasonMessageType, engine6.ReasonServerMessage, engine6.ReasonDHCPv4Query:
		x.debug(traceBadPackets, dbgBasic, "DHCP6_UNKNOWN_MSG_RECEIVED", "%s: received unknown message (type %d) on interface %s", l, uint8(v.Type()), c.ifaceName())
	case engine6.ReasonNotForUs:
		x.debug(traceBadPackets, dbgPacketHandling, "DHCP6_PACKET_DROP_SERVERID_MISMATCH", "%s: dropping packet with server identifier: %s, server is using: %s",
			l, colons(v.ServerID()), colons(x.s.id))
	case engine6.ReasonUnicast:
		x.debug(traceBadPackets, dbgPacketHandling, "DHCP6_PACKET_DROP_UNICAST", "%s: dropping unicast %s packet as this packet should be sent to multicast", l, typeName(v.Type()))
	case engine6.ReasonNoClientID, engine6.ReasonClientIDs, engine6.ReasonDUIDLength, engine6.ReasonDUIDEmpty,
		engine6.ReasonServerIDUnwanted, engine6.ReasonNoServerID, engine6.ReasonServerIDs:
		x.debug(traceBadPackets, dbgBasic, "DHCP6_REQUIRED_OPTIONS_CHECK_FAIL", "%s: %s message received from %v failed the following check: %s",
			l, typeName(v.Type()), c.src(), identityText(v, why))
	case engine6.ReasonFQDN:
		x.debug(traceBadPackets, dbgPacketHandling, "DHCP6_PACKET_DROP_PARSE_FAIL", "%s: failed to parse packet from %v to %v, received over interface %s, reason: %v, %s",
			l, c.src(), c.dst(), c.ifaceName(), why, details6(v.Raw()))
	case engine6.ReasonClassDrop:
		x.traceClasses(c)
		x.debug(tracePackets, dbgPacketHandling, "DHCP6_PACKET_DROP_DROP_CLASS", "dropped as member of the special class 'DROP': %s %s", l, details6(v.Raw()))
	case engine6.ReasonRegisterDisabled:
		x.debug(tracePackets, dbgBasic, "DHCP6_ADDR6_REGISTER_DISABLED_DROP", "ADDR-REG-INFORM from %s was dropped because address registration is disabled.", l)
	case engine6.ReasonRegisterNoSubnet, engine6.ReasonRegisterIA, engine6.ReasonRegisterAddresses, engine6.ReasonRegisterMismatch,
		engine6.ReasonRegisterOffLink, engine6.ReasonRegisterInUse, engine6.ReasonRegisterReserved:
		x.info(tracePackets, "DHCP6_ADDR_REG_INFORM_FAIL", "error on ADDR-REG-INFORM from client %v, %s", registrant(c), registerText(c, why))
	default:
		x.debug(tracePackets, dbgPacketHandling, "PEREGRINE_PACKET_DROP", "%s: %v", l, why)
	}
}

// identityText is Kea's text of a check of identifiers.
func identityText(v *dhcp6.View, why engine6.Reason) string {
	t, clients, servers := typeName(v.Type()), v.Count(dhcp6.OptClientID), v.Count(dhcp6.OptServerID)
	switch why {
	case engine6.ReasonNoClientID, engine6.ReasonClientIDs:
		return fmt.Sprintf("Exactly 1 client-id option expected in %s, but %d received", t, clients)
	case engine6.ReasonDUIDLength, engine6.ReasonDUIDEmpty:
		return fmt.Sprintf("Received invalid DUID for client-id, received %d byte(s)", len(v.ClientID()))
	case engine6.ReasonServerIDUnwanted:
		return fmt.Sprintf("Server-id option was not expected, but %d received in %s", servers, t)
	}
	return fmt.Sprintf("Invalid number of server-id options received (%d), exactly 1 expected in message %s", servers, t)
}

// registrant is the address of who registers an address.
func registrant(c *query6) dhcp6.IPv6 {
	if n := c.view.Relays(); n > 0 {
		return c.view.PeerAddr(n - 1)
	}
	return c.src()
}

// registerText is Kea's text of why an address is not registered.
func registerText(c *query6, why engine6.Reason) string {
	addr := registrant(c)
	switch why {
	case engine6.ReasonRegisterNoSubnet:
		return "No subnet"
	case engine6.ReasonRegisterIA:
		return "unexpected IA option"
	case engine6.ReasonRegisterAddresses:
		return fmt.Sprintf("Exactly 1 IAADDR option expected, but %d received", c.view.Count(dhcp6.OptIAAddr))
	case engine6.ReasonRegisterMismatch:
		return fmt.Sprintf("Address mismatch: client at %v wants to register %v", addr, dhcp6.ParseIAAddr(c.view.Option(dhcp6.OptIAAddr)).Addr)
	case engine6.ReasonRegisterOffLink:
		if s := c.q.Subnet; s != nil {
			return fmt.Sprintf("Address %v is not in subnet %v (id %d)", addr, s.Prefix, s.ID)
		}
	case engine6.ReasonRegisterInUse:
		return fmt.Sprintf("Address %v already in use", addr)
	}
	return fmt.Sprintf("Address %v is reserved", addr)
}
