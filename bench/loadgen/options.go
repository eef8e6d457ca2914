// Package loadgen simulates DHCP clients and relays: it sends on a schedule
// that does not wait for answers (open loop), matches every answer to its query
// by transaction identifier and client, measures the time between, and checks
// what the server promised.
//
// A Generator is one goroutine over one or more netio.Conns: AF_XDP, AF_PACKET
// or UDP sockets, opened by Open. Packets are copied from templates and patched
// in place; nothing is allocated per packet.
//
// Reflect is the other end without any logic: the yardstick for a machine.
//
// Nothing here is shared with the server but the wire format and the packet
// input and output, so that a mistake of the engine cannot hide in its test.
package loadgen

import (
	"errors"
	"fmt"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
)

// Scenario is what the clients do.
type Scenario string

const (
	// Basic is perfdhcp's: four-way exchanges through a relay which is this
	// host, or two-way with Options.TwoWay.
	Basic Scenario = "basic"
	// DORA is the same with what real clients send beside, option 82 if asked
	// for, and the checks.
	DORA Scenario = "dora"
	// Renew gives every client a lease first, then renews at the rate.
	Renew Scenario = "renew"
	// DiscoverFlood sends DISCOVERs and answers no OFFER. Any answer with the
	// right transaction identifier counts, so it measures a reflector too.
	DiscoverFlood Scenario = "discover-flood"
	// Avalanche is perfdhcp's: all clients begin at once and send again after
	// 1, 2, 4 … 64 s, give or take one, until they are served.
	Avalanche Scenario = "avalanche"
	// Storm is the same with the times of RFC 2131 §4.1 (4, 8, 16, 32, 64 s,
	// give or take one) and what real clients send.
	Storm Scenario = "storm"
	// Rebind and InitReboot are as Renew, with what clients in these states
	// send (RFC 2131 §4.3.2).
	Rebind     Scenario = "rebind"
	InitReboot Scenario = "init-reboot"
	// ReleaseAll and DeclineAll give every client a lease first, then give
	// them up at the rate until there are none.
	ReleaseAll Scenario = "release"
	DeclineAll Scenario = "decline"
	// Mixed draws what to do next by the weights of Options.Mix.
	Mixed Scenario = "mixed"
	// MalformedFlood sends nothing but mutated packets, at Options.Rate.
	MalformedFlood Scenario = "malformed-flood"
	// SARR and Renew6 are DORA and Renew in DHCPv6.
	SARR   Scenario = "sarr"
	Renew6 Scenario = "renew6"
)

// Scenarios are all there are.
var Scenarios = []Scenario{Basic, DORA, Renew, Rebind, InitReboot, ReleaseAll, DeclineAll, Mixed, DiscoverFlood, MalformedFlood, Avalanche, Storm, SARR, Renew6}

// retransmits says that clients ask until they are served.
func (s Scenario) retransmits() bool { return s == Avalanche || s == Storm }

// op is what every exchange of the scenario is.
func (s Scenario) op() Op {
	switch s {
	case Renew, Renew6:
		return OpRenew
	case Rebind:
		return OpRebind
	case InitReboot:
		return OpInitReboot
	case ReleaseAll:
		return OpRelease
	case DeclineAll:
		return OpDecline
	case DiscoverFlood:
		return OpDiscover
	}
	return OpDORA
}

// leased says that it matters which clients have a lease.
func (s Scenario) leased() bool { return s == Mixed || s.op().leased() }

// gives says that the scenario ends when all leases are given up.
func (s Scenario) gives() bool { return s.op().gives() }

// versions says with which version of the protocol the scenario works.
func (s Scenario) versions() (four, six bool) {
	switch s {
	case SARR, Renew6:
		return false, true
	case Basic, Renew, Rebind, ReleaseAll, Mixed, MalformedFlood, Avalanche, Storm:
		return true, true
	}
	return true, false
}

// Limits of Options.
const (
	MaxClients = 1 << 24
	// MaxRate bounds Options.Rate: above it the pacing arithmetic is not exact.
	MaxRate = 100_000_000
	// maxOutstanding is the most exchanges that are waited for at a time.
	maxOutstanding = 1 << 22
)

// NoWait is an Options.Wait.
const NoWait = -1 * time.Nanosecond

// DefaultMAC is perfdhcp's first hardware address.
var DefaultMAC = [6]byte{0x00, 0x0c, 0x01, 0x02, 0x03, 0x04}

// Options of a Generator. Addresses are numbers, in host order.
type Options struct {
	Scenario Scenario
	// TwoWay stops after the OFFER (perfdhcp -i).
	TwoWay bool
	// Rate is how many exchanges are begun per second; 0: as many as Window
	// allows.
	Rate uint64
	// Clients is how many clients there are; they take turns. Default 1.
	Clients uint32
	// BaseMAC is the address of the first client, the others follow. Default
	// 00:0c:01:02:03:04.
	BaseMAC [6]byte
	// Exchanges and Period end the run; 0: they do not. PeriodFor applies to
	// the measured phase alone.
	Exchanges [2]uint64 // first messages and second messages sent
	Period    time.Duration
	// DropTime is how long an answer is waited for, per stage. Default 1 s.
	DropTime [2]time.Duration
	// MaxDrops ends the run at so many unanswered messages of a stage, or at
	// so many percent once more than 10 were sent; 0: it does not.
	MaxDrops       [2]uint64
	MaxDropPercent [2]float64
	// Wait is how long answers are still taken after the end; 0 means as long
	// as the longest drop time or until nothing is outstanding, NoWait not at
	// all.
	Wait time.Duration
	// Window is the most outstanding exchanges where Rate is 0. Default 1024.
	Window uint32

	// GIAddr is the relay's address put into messages; 0: clients are direct.
	GIAddr uint32
	// LocalAddr, ServerAddr, LocalPort and ServerPort address the packets.
	LocalAddr, ServerAddr uint32
	LocalPort, ServerPort uint16
	// LocalMAC and ServerMAC are the link-layer addresses, where they matter.
	LocalMAC, ServerMAC [6]byte
	IfIndex             uint32
	// VLANs are the identifiers of the tags, outermost first; of two the first
	// is a service tag (802.1ad).
	VLANs []uint16
	// Broadcast sets the broadcast flag.
	Broadcast bool
	// RAI adds option 82 with a circuit-id and the client's address as
	// remote-id, and checks that it comes back.
	RAI bool
	// MACs are the hardware addresses to choose from at random for every
	// exchange, in place of BaseMAC and Clients (perfdhcp -M).
	MACs [][6]byte
	// Relays are addresses to choose from at random for every exchange, in
	// place of GIAddr (perfdhcp -J).
	Relays []uint32
	// RenewRate and ReleaseRate are how many leases, chosen at random among
	// those acknowledged, are renewed and released per second beside the
	// exchanges; each lease once (perfdhcp -f and -F).
	RenewRate, ReleaseRate uint64
	// FirstServer puts the server identifier of the first OFFER into every
	// REQUEST (perfdhcp -1).
	FirstServer bool
	// ExtraOptions are added to every message as they are (perfdhcp -o).
	ExtraOptions []ExtraOption
	// RelayByClient puts every client behind one of Relays (or Links6) for good,
	// which then also is the source of its packets.
	RelayByClient bool
	// Mix are the weights of scenario Mixed.
	Mix []Weight
	// JunkRate is how many mutated packets per second are sent beside the
	// scenario.
	JunkRate uint64
	// Pools are where every address given must lie; none: anywhere.
	Pools []Range
	// Preload is how many exchanges are made before the measured ones
	// (perfdhcp -P).
	Preload uint64
	// Templates are messages to send in place of the own DISCOVER (SOLICIT) and
	// REQUEST (perfdhcp -T); at most two.
	Templates []Template
	// SecsFor is how long first messages pretend to have waited, ever longer,
	// beginning SecsAfter into the run (perfdhcp -y and -Y).
	SecsFor, SecsAfter time.Duration
	// Keep records every answer for WriteLeases and WriteTimestamps (perfdhcp
	// -x l and t); Samples keeps the first message of each kind (-x T).
	Keep, Samples bool
	// CPUs are those the generator's thread may run on; none: all.
	CPUs []int
	// Started is called when the untimed part is over (perfdhcp -w).
	Started func()
	// Tick calls OnTick at this interval, also during the untimed part.
	Tick   time.Duration
	OnTick func(*Generator)

	// V6 is DHCPv6; the fields above that speak of IPv4 addresses are not used
	// then, these are.
	V6 bool
	// Prefixes and NoAddresses say what is asked for (perfdhcp -e): an address
	// alone, a prefix alone, or both.
	Prefixes, NoAddresses bool
	// RapidCommit is perfdhcp -c.
	RapidCommit bool
	// Relayed wraps every message in a RELAY-FORW (perfdhcp -A 1).
	Relayed bool
	// Local6 and Server6 address the packets. Local6 is link and peer address
	// of a RELAY-FORW; Links6 are link addresses to choose from (perfdhcp -J).
	Local6, Server6 [16]byte
	Links6          [][16]byte
	// DUID is that of the clients, whose last six octets are the client's
	// hardware address if there are several. Default: a DUID-LLT.
	DUID []byte
	// RelayOptions are added to every RELAY-FORW (perfdhcp --or).
	RelayOptions []ExtraOption

	// Seed makes the random choices repeatable; 0: they are not.
	Seed uint64
	// Unique counts addresses seen before in the same exchange (perfdhcp -u).
	Unique bool
	// Report calls OnReport at this interval.
	Report   time.Duration
	OnReport func(*Generator)
	// OnResend is called whenever clients of a storm or avalanche have sent an
	// exchange's message again: how many still wait, how many just sent again, how
	// many ever did.
	OnResend func(e Exchange, left, resent, retrying int)
	// Interrupt ends the run when it is closed.
	Interrupt <-chan struct{}
}

// ExtraOption is an option for every message.
type ExtraOption struct {
	Code uint16
	Data []byte // at most 255 octets, in DHCPv6 at most 1024
}

// needsLeases says that the measured part begins with leases.
func (o *Options) needsLeases() bool {
	if o.Scenario != Mixed {
		return o.Scenario.op().leased()
	}
	for _, w := range o.Mix {
		if w.Weight > 0 && w.Op.leased() {
			return true
		}
	}
	return false
}

// exchanges are the kinds the scenario has, in perfdhcp's order.
func (o *Options) exchanges() (x []Exchange) {
	has := [numExchanges]bool{}
	add := func(op Op) {
		has[op.first(o.V6)] = true
		if op == OpDORA && !o.TwoWay {
			if o.V6 {
				has[RequestReply] = true
			} else {
				has[RequestAck] = true
			}
		}
	}
	switch o.Scenario {
	case MalformedFlood:
	case Mixed:
		leased := false
		for _, w := range o.Mix {
			if w.Weight > 0 {
				add(w.Op)
				leased = leased || w.Op.leased()
			}
		}
		if leased { // what there is no lease for begins with one
			add(OpDORA)
		}
	default:
		add(o.Scenario.op())
	}
	if o.RenewRate > 0 {
		add(OpRenew)
	}
	if o.ReleaseRate > 0 {
		add(OpRelease)
	}
	if o.Scenario == MalformedFlood { // beside other scenarios it is no exchange of theirs
		has[Junk] = true
	}
	for e, h := range has {
		if h {
			x = append(x, Exchange(e))
		}
	}
	return x
}

func (o Options) withDefaults() (Options, error) {
	if o.Scenario == SARR || o.Scenario == Renew6 {
		o.V6 = true
	}
	if len(o.MACs) > 0 {
		if len(o.MACs) > MaxClients {
			return o, fmt.Errorf("check options: %d hardware addresses, the most is %d", len(o.MACs), MaxClients)
		}
		o.Clients = uint32(len(o.MACs))
	}
	if o.Clients == 0 {
		o.Clients = 1
	}
	if o.BaseMAC == ([6]byte{}) {
		o.BaseMAC = DefaultMAC
	}
	for i := range o.DropTime {
		if o.DropTime[i] == 0 {
			o.DropTime[i] = time.Second
		}
		if o.DropTime[i] < 0 {
			return o, fmt.Errorf("check options: drop time %v is negative", o.DropTime[i])
		}
	}
	if o.Window == 0 {
		o.Window = 1024
	}
	known := false
	for _, s := range Scenarios {
		known = known || s == o.Scenario
	}
	if !known {
		return o, fmt.Errorf("check options: scenario %q is unknown", o.Scenario)
	}
	if four, six := o.Scenario.versions(); o.V6 && !six || !o.V6 && !four {
		return o, fmt.Errorf("check options: scenario %s is not one of this version of the protocol", o.Scenario)
	}
	if err := o.checkMix(); err != nil {
		return o, err
	}
	if o.Scenario == MalformedFlood {
		if o.Rate == 0 {
			return o, fmt.Errorf("check options: scenario %s needs a rate", o.Scenario)
		}
		o.JunkRate = o.Rate
	}
	if o.JunkRate > MaxRate {
		return o, fmt.Errorf("check options: junk rate %d, the most is %d", o.JunkRate, MaxRate)
	}
	if o.JunkRate > 0 && o.Scenario.retransmits() {
		return o, fmt.Errorf("check options: no junk beside scenario %s", o.Scenario)
	}
	if o.Preload > 0 && (o.Scenario != Basic && o.Scenario != DORA && o.Scenario != SARR) {
		return o, fmt.Errorf("check options: a preload is not for scenario %s", o.Scenario)
	}
	if len(o.Templates) > 0 && (o.Scenario != Basic || o.Prefixes || len(o.Templates) > 2 || o.TwoWay && len(o.Templates) > 1) {
		return o, fmt.Errorf("check options: templates are for scenario %s without prefixes, one for each message", Basic)
	}
	for _, r := range o.Relays {
		if r == 0 {
			return o, errors.New("check options: a relay without an address")
		}
	}
	if o.Clients > MaxClients {
		return o, fmt.Errorf("check options: %d clients, the most is %d", o.Clients, MaxClients)
	}
	if o.Rate > MaxRate {
		return o, fmt.Errorf("check options: rate %d, the most is %d", o.Rate, MaxRate)
	}
	if o.Window > maxOutstanding {
		return o, fmt.Errorf("check options: window %d, the most is %d", o.Window, maxOutstanding)
	}
	if o.LocalPort == 0 || o.ServerPort == 0 {
		return o, errors.New("check options: no local or server port")
	}
	if o.RenewRate+o.ReleaseRate > 0 && (o.TwoWay || o.Scenario != Basic && o.Scenario != DORA && o.Scenario != SARR) {
		return o, fmt.Errorf("check options: renewals and releases need four-way exchanges of scenario %s, %s or %s", Basic, DORA, SARR)
	}
	if o.Scenario.retransmits() && o.Clients > maxOutstanding {
		return o, fmt.Errorf("check options: %d clients at once, the most is %d", o.Clients, maxOutstanding)
	}
	if len(o.VLANs) > frame.MaxVLANs {
		return o, fmt.Errorf("check options: %d VLAN tags, the most is %d", len(o.VLANs), frame.MaxVLANs)
	}
	for _, v := range o.VLANs {
		if v > 4094 {
			return o, fmt.Errorf("check options: VLAN %d, the most is 4094", v)
		}
	}
	for _, x := range o.ExtraOptions {
		if !o.V6 && (len(x.Data) > 255 || x.Code == 0 || x.Code >= 255) || o.V6 && (len(x.Data) > 1024 || x.Code == 0) {
			return o, fmt.Errorf("check options: no option %d of %d octets can be added", x.Code, len(x.Data))
		}
	}
	if o.TwoWay && o.Scenario != Basic && o.Scenario != DORA && o.Scenario != SARR && !o.Scenario.retransmits() {
		return o, fmt.Errorf("check options: two-way exchanges are not for scenario %s", o.Scenario)
	}
	return o, nil
}
