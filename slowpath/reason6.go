package slowpath

import (
	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine6"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// hookStats6, engineStats6 and serverStats6 are the statistics that Kea would
// count beside pkt6-receive-drop.
var (
	hookStats6 = func() (m [hooks.NumDropReasons]keaCounter) {
		for r := hooks.DropReason(0); r < hooks.NumDropReasons; r++ {
			if s := r.String(); s != "" {
				m[r].c, m[r].ok = stat.ByName(stat.V6, "pkt6-"+s)
			}
		}
		return m
	}()
	engineStats6 = func() (m [engine6.NumReasons]keaCounter) {
		for r := range m {
			if s := engine6.Reason(r).KeaStat(); s != "" {
				m[r].c, m[r].ok = stat.ByName(stat.V6, s)
				if !m[r].ok {
					panic("slowpath: the engine names the statistic " + s + " that does not exist")
				}
			}
		}
		return m
	}()
	serverStats6 = [NumReasons]keaCounter{
		ReasonServiceDisabled:  {stat.Pkt6ServiceDisabled, true},
		ReasonDuplicate:        {stat.Pkt6Duplicate, true},
		ReasonParkedLimit:      {stat.Pkt6QueueFull, true},
		ReasonOverload:         {stat.Pkt6QueueFull, true},
		ReasonParkedExpired:    {stat.Pkt6ProcessingFailed, true},
		ReasonNoFrame:          {stat.Pkt6ProcessingFailed, true},
		ReasonReplyTooLong:     {stat.Pkt6ProcessingFailed, true},
		ReasonNoServerAddress:  {stat.Pkt6ProcessingFailed, true},
		ReasonHookParkRefused:  {stat.Pkt6ProcessingFailed, true},
		ReasonUnknownInterface: {stat.Pkt6ProcessingFailed, true},
	}
)

// received6 is the counter of a message type.
func received6(t dhcp6.MsgType) stat.Counter {
	if int(t) < len(received6ByType) && received6ByType[t] != 0 {
		return received6ByType[t]
	}
	return stat.Pkt6UnknownReceived
}

var received6ByType = [...]stat.Counter{
	dhcp6.MsgSolicit:            stat.Pkt6SolicitReceived,
	dhcp6.MsgAdvertise:          stat.Pkt6AdvertiseReceived,
	dhcp6.MsgRequest:            stat.Pkt6RequestReceived,
	dhcp6.MsgConfirm:            stat.Pkt6ConfirmReceived,
	dhcp6.MsgRenew:              stat.Pkt6RenewReceived,
	dhcp6.MsgRebind:             stat.Pkt6RebindReceived,
	dhcp6.MsgReply:              stat.Pkt6ReplyReceived,
	dhcp6.MsgRelease:            stat.Pkt6ReleaseReceived,
	dhcp6.MsgDecline:            stat.Pkt6DeclineReceived,
	dhcp6.MsgReconfigure:        stat.Pkt6ReconfigureReceived,
	dhcp6.MsgInformationRequest: stat.Pkt6InfRequestReceived,
	dhcp6.MsgLeaseQuery:         stat.Pkt6LeaseQueryReceived,
	dhcp6.MsgDHCPv4Query:        stat.Pkt6DHCPv4QueryReceived,
	dhcp6.MsgDHCPv4Response:     stat.Pkt6DHCPv4ResponseReceived,
	dhcp6.MsgAddrRegInform:      stat.Pkt6AddrRegInformReceived,
	dhcp6.MsgAddrRegReply:       stat.Pkt6AddrRegReplyReceived,
}

// sent6 is the counter of an answer, if it has one.
func sent6(t dhcp6.MsgType) (stat.Counter, bool) {
	switch t {
	case dhcp6.MsgAdvertise:
		return stat.Pkt6AdvertiseSent, true
	case dhcp6.MsgReply:
		return stat.Pkt6ReplySent, true
	case dhcp6.MsgAddrRegReply:
		return stat.Pkt6AddrRegReplySent, true
	}
	return 0, false
}
