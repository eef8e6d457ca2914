package engine6

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/subnet6"
)

// Accept6 checks what needs no subnet: server identifier, unicast, message
// type, identities (V6-001 … V6-005), and puts the query into the classes that
// do not depend on KNOWN. Msg must be parsed.
func (w *Worker) Accept6(q *Query6) Reason {
	q.cfg = w.cfg
	q.Subnet, q.Host, q.rules = nil, nil, nil
	q.flexAsked, q.flexID = false, nil
	q.early, q.drop, q.global, q.nHosts = false, false, nil, 0
	q.Classes.Reset(&q.cfg.classes.Names)
	q.resetAllocation()
	v := q.Msg
	if id := v.ServerID(); id != nil && !bytes.Equal(id, q.cfg.ServerID) {
		return ReasonNotForUs
	}
	if v.Relays() == 0 && !q.Dst.IsMulticast() {
		return ReasonUnicast
	}
	if r := acceptIdentities(v); r != ReasonOK {
		return r
	}
	if v.Has(dhcp6.OptClientFQDN) && !q.fqdn.parse(v.Option(dhcp6.OptClientFQDN)) && !v.Lenient {
		return ReasonFQDN
	}
	q.identify()
	w.classify(q)
	if q.Classes.InClass(q.cfg.classes.drop) {
		return ReasonClassDrop
	}
	return ReasonOK
}

// resetAllocation forgets what was decided before.
func (q *Query6) resetAllocation() {
	q.hostSubnet = nil
	q.nAllocated, q.nameLen, q.nExclude = 0, 0, 0
	q.fwd, q.rev, q.fqdnPresent = false, false, false
}

// acceptIdentities checks who must and must not be named in a message
// (RFC 8415 §16, V6-004).
func acceptIdentities(v *dhcp6.View) Reason {
	const (
		forbidden = iota
		optional
		mandatory
	)
	client, server := mandatory, mandatory
	switch v.Type() {
	case dhcp6.MsgSolicit, dhcp6.MsgRebind, dhcp6.MsgConfirm, dhcp6.MsgAddrRegInform:
		server = forbidden
	case dhcp6.MsgRequest, dhcp6.MsgRenew, dhcp6.MsgRelease, dhcp6.MsgDecline:
	case dhcp6.MsgInformationRequest:
		client, server = optional, optional
	case dhcp6.MsgDHCPv4Query:
		return ReasonDHCPv4Query
	case dhcp6.MsgAdvertise, dhcp6.MsgReply, dhcp6.MsgReconfigure, dhcp6.MsgRelayRepl,
		dhcp6.MsgDHCPv4Response, dhcp6.MsgAddrRegReply:
		return ReasonServerMessage
	default:
		return ReasonMessageType
	}
	n := v.Count(dhcp6.OptClientID)
	switch {
	case n > 1:
		return ReasonClientIDs
	case n == 0 && client == mandatory:
		return ReasonNoClientID
	case n == 1:
		if r := checkDUID(v.ClientID()); r != ReasonOK {
			return r
		}
	}
	n = v.Count(dhcp6.OptServerID)
	switch {
	case n > 0 && server == forbidden:
		return ReasonServerIDUnwanted
	case n > 1:
		return ReasonServerIDs
	case n == 0 && server == mandatory:
		return ReasonNoServerID
	}
	return ReasonOK
}

// classify puts the query into ALL, the classes of its vendors and those of the
// first pass (CL-040).
func (w *Worker) classify(q *Query6) {
	q.Classes.Put(q.cfg.classes.all)
	v := q.Msg
	if v.Has(dhcp6.OptVendorClass) {
		for i := range v.Len() {
			if code, b := v.At(i); code == dhcp6.OptVendorClass {
				addVendor(&q.Classes, b)
			}
		}
	}
	w.evaluate(q, false)
}

var docsisClasses = [...]string{"docsis3.0", "eRouter1.0"}

// addVendor adds the class of a vendor class option: by its first tuple, but by
// a DOCSIS one wherever it is (V6-063).
func addVendor(c *ClassSet, b []byte) {
	first, ok := nextTuple(b[4:])
	if !ok {
		return
	}
	for _, d := range docsisClasses {
		for rest := b[4:]; ; {
			t, ok := nextTuple(rest)
			if !ok {
				break
			}
			if string(t) == d {
				first = t
				rest = nil
				c.AddVendor(first)
				return
			}
			rest = rest[2+len(t):]
		}
	}
	c.AddVendor(first)
}

// nextTuple returns the first of opaque data fields with lengths of two octets
// (RFC 8415 §21.16).
func nextTuple(b []byte) ([]byte, bool) {
	if len(b) < 2 {
		return nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if n > len(b) {
		return nil, false
	}
	return b[2:n], true
}

// evaluate does a pass of the class expressions.
func (w *Worker) evaluate(q *Query6, second bool) {
	set := q.cfg.classes.set
	if set == nil {
		return
	}
	w.packet(q)
	var res class.Result
	if second {
		res = set.EvaluateSecond(&w.pkt, &q.Classes, &w.scratch)
	} else {
		res = set.EvaluateFirst(&w.pkt, &q.Classes, &w.scratch)
	}
	w.classFailures += uint64(res.Failures)
}

func (w *Worker) packet(q *Query6) {
	w.pkt = class.Message6{View: q.Msg, Interface: q.IfName, From: q.Src.Netip(), To: q.Dst.Netip(), Classes: &q.Classes}
}

// SelectSubnet6 sets q.Subnet (nil: none; Process6 then answers as V6-009 and
// V6-010 say).
func (w *Worker) SelectSubnet6(q *Query6) {
	v := q.Msg
	w.earlyLookup(q)
	w.sel = subnet6.Selector{IfName: q.IfName, Src: q.Src.Netip()}
	if n := v.Relays(); n > 0 {
		w.sel.LinkAddr = netip.Addr{}
		for level := n - 1; level >= 0; level-- {
			if a := v.LinkAddr(level); !a.IsZero() && !a.IsLinkLocal() {
				w.sel.LinkAddr = a.Netip()
				break
			}
		}
		w.sel.InterfaceID = v.InnermostRelayOption(dhcp6.OptInterfaceID)
	}
	if q.cfg.anyGuard {
		w.q = q
		w.sel.Allowed = w.allowed
	}
	q.Subnet = q.cfg.Subnets.Select(&w.sel)
}

func (w *Worker) subnetAllowed(s *config.Subnet6) bool {
	return w.q.cfg.bySubnet[s].supports(&w.q.Classes)
}
