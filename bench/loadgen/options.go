// Package loadgen simulates DHCPv4 clients and relays: it sends on a schedule
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
)

// Scenarios are all there are.
var Scenarios = []Scenario{Basic, DORA, Renew, DiscoverFlood, Avalanche, Storm}

// retransmits says that clients ask until they are served.
func (s Scenario) retransmits() bool { return s == Avalanche || s == Storm }

// Limits of Options.
const (
	MaxClients = 1 << 24
	// MaxRate bounds Options.Rate: above it the pacing arithmetic is not exact.
	MaxRate = 100_000_000
	// maxOutstanding is the most exchanges that are waited for at a time.
	maxOutstanding = 1 << 22
)

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
	// as the longest drop time or until nothing is outstanding.
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
	// Seed makes the random choices repeatable; 0: they are not.
	Seed uint64
	// Unique counts addresses seen before in the same exchange (perfdhcp -u).
	Unique bool
	// Report calls OnReport at this interval.
	Report   time.Duration
	OnReport func(*Generator)
	// Interrupt ends the run when it is closed.
	Interrupt <-chan struct{}
}

// ExtraOption is an option for every message.
type ExtraOption struct {
	Code uint8
	Data []byte // at most 255 octets
}

func (o Options) withDefaults() (Options, error) {
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
		o.BaseMAC = [6]byte{0x00, 0x0c, 0x01, 0x02, 0x03, 0x04}
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
	if o.RenewRate+o.ReleaseRate > 0 && (o.TwoWay || o.Scenario != Basic && o.Scenario != DORA) {
		return o, fmt.Errorf("check options: renewals and releases need four-way exchanges of scenario %s or %s", Basic, DORA)
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
		if len(x.Data) > 255 || x.Code == 0 || x.Code == 255 {
			return o, fmt.Errorf("check options: no option %d of %d octets can be added", x.Code, len(x.Data))
		}
	}
	if o.TwoWay && o.Scenario != Basic && o.Scenario != DORA && !o.Scenario.retransmits() {
		return o, fmt.Errorf("check options: two-way exchanges are not for scenario %s", o.Scenario)
	}
	return o, nil
}
