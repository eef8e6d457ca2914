package slowpath

import (
	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// Reason says why the server, as opposed to the codec or the engine, did not
// answer a packet.
type Reason uint8

const (
	reasonOK Reason = iota
	ReasonNotDHCP
	ReasonServiceDisabled
	ReasonDuplicate
	ReasonParkedLimit
	ReasonParkedExpired
	ReasonParkedDropped
	ReasonNoFrame
	ReasonReplyTooLong
	ReasonNoServerAddress
	ReasonUnknownInterface
	ReasonOverload
	ReasonHookBuffer4Receive
	ReasonHookPkt4Receive
	ReasonHookSubnet4Select
	ReasonHookLease4Offer
	ReasonHookLeases4Committed
	ReasonHookPkt4Send
	ReasonHookBuffer4Send
	ReasonHookParkRefused
	ReasonHookBuffer6Receive
	ReasonHookPkt6Receive
	ReasonHookSubnet6Select
	ReasonHookLeases6Committed
	ReasonHookPkt6Send
	ReasonHookBuffer6Send
	numReasons
)

// NumReasons is how many reasons there are, the zero one included.
const NumReasons = int(numReasons)

var reasonLabels = [NumReasons]string{
	reasonOK:                   "",
	ReasonNotDHCP:              "not-dhcp",
	ReasonServiceDisabled:      "service-disabled",
	ReasonDuplicate:            "duplicate",
	ReasonParkedLimit:          "parked-limit",
	ReasonParkedExpired:        "parked-expired",
	ReasonParkedDropped:        "parked-dropped",
	ReasonNoFrame:              "no-frame",
	ReasonReplyTooLong:         "reply-too-long",
	ReasonNoServerAddress:      "no-server-address",
	ReasonUnknownInterface:     "unknown-interface",
	ReasonOverload:             "overload",
	ReasonHookBuffer4Receive:   "hook-buffer4-receive",
	ReasonHookPkt4Receive:      "hook-pkt4-receive",
	ReasonHookSubnet4Select:    "hook-subnet4-select",
	ReasonHookLease4Offer:      "hook-lease4-offer",
	ReasonHookLeases4Committed: "hook-leases4-committed",
	ReasonHookPkt4Send:         "hook-pkt4-send",
	ReasonHookBuffer4Send:      "hook-buffer4-send",
	ReasonHookParkRefused:      "hook-park-refused",
	ReasonHookBuffer6Receive:   "hook-buffer6-receive",
	ReasonHookPkt6Receive:      "hook-pkt6-receive",
	ReasonHookSubnet6Select:    "hook-subnet6-select",
	ReasonHookLeases6Committed: "hook-leases6-committed",
	ReasonHookPkt6Send:         "hook-pkt6-send",
	ReasonHookBuffer6Send:      "hook-buffer6-send",
}

// String is the metric's reason label.
func (r Reason) String() string { return reasonLabels[r] }

// keaStat is the statistic that Kea would count beside pkt4-receive-drop; ok is
// false if it has none.
func (r Reason) keaStat() (stat.Counter, bool) {
	switch r {
	case ReasonServiceDisabled:
		return stat.Pkt4ServiceDisabled, true
	case ReasonDuplicate:
		return stat.Pkt4Duplicate, true
	case ReasonParkedLimit, ReasonOverload:
		return stat.Pkt4QueueFull, true
	case ReasonParkedExpired, ReasonNoFrame, ReasonReplyTooLong, ReasonNoServerAddress, ReasonHookParkRefused:
		return stat.Pkt4ProcessingFailed, true
	}
	return 0, false
}

// hookStats maps a library's reason to Kea's statistic.
var hookStats = func() (m [hooks.NumDropReasons]keaCounter) {
	for r := hooks.DropReason(0); r < hooks.NumDropReasons; r++ {
		if s := r.String(); s != "" {
			m[r].c, m[r].ok = stat.ByName(stat.V4, "pkt4-"+s)
		}
	}
	return m
}()

// keaCounter is a statistic, if there is one.
type keaCounter struct {
	c  stat.Counter
	ok bool
}

// engineStats and allocStats map the engine's reasons to Kea's statistics.
var (
	engineStats = mapReasons(engine.Reason.KeaStat)
	allocStats  = mapReasons(engine.Reason.KeaAllocStat)
)

func mapReasons(name func(engine.Reason) string) (m [engine.NumReasons]keaCounter) {
	for r := range m {
		if s := name(engine.Reason(r)); s != "" {
			m[r].c, m[r].ok = stat.ByName(stat.V4, s)
			if !m[r].ok {
				panic("slowpath: the engine names the statistic " + s + " that does not exist")
			}
		}
	}
	return m
}
