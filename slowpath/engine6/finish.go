package engine6

import (
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

// maxMessageLen fits one Ethernet packet with IPv6 and UDP headers.
const maxMessageLen = 1500 - 48

// Finish6 fills the reply's options from the configuration and decides where it
// goes. A reply without a type is left as it is.
func (w *Worker) Finish6(q *Query6, r *Reply6) Reason {
	if r.Type == 0 {
		return ReasonOK
	}
	q.identify()
	v := q.Msg
	r.MaxLen = maxMessageLen
	r.ORO = v.ORO()
	r.CopyRelays(v)
	if q.duid != nil {
		r.Set(dhcp6.OptClientID, q.duid)
	}
	r.Set(dhcp6.OptServerID, q.cfg.ServerID)
	switch v.Type() {
	case dhcp6.MsgRelease, dhcp6.MsgDecline: // nothing is configured for these
	default:
		if v.Type() == dhcp6.MsgAddrRegInform {
			r.Set(dhcp6.OptIAAddr, v.Option(dhcp6.OptIAAddr))
		}
		if q.fqdnPresent {
			r.Set(dhcp6.OptClientFQDN, q.fqdn.encode())
		}
		w.collect(q)
		w.setOptions(q, r)
	}
	supplied(q, r)
	r.Dst = q.Src
	r.DstPort = dhcp6.ClientPort
	if v.Relays() > 0 {
		r.DstPort = dhcp6.ServerPort
		if v.RelayOption(0, dhcp6.OptRelaySourcePort) != nil && q.SrcPort != 0 { // RFC 8357 §5.2
			r.DstPort = q.SrcPort
		}
	}
	return ReasonOK
}

// supplied copies options that relays supply for the client and that may be
// supplied, if the reply has none of them; from the relay nearest to the client
// first (V6-062, RFC 6422 §6).
func supplied(q *Query6, r *Reply6) {
	v := q.Msg
	for level := v.Relays() - 1; level >= 0; level-- {
		o := dhcp6.Options(v.RelayOption(level, dhcp6.OptRSOO))
		for {
			code, data, rest, ok := o.Next()
			if !ok {
				break
			}
			if _, enabled := slices.BinarySearch(q.cfg.Snapshot.Dhcp6.RelaySuppliedOptions, code); enabled && !r.Has(code) {
				if !r.Add(code, data) {
					r.LeftOut++
				}
			}
			o = rest
		}
	}
}
