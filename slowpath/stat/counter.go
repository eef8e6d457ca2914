// Package stat counts. Counters are listed once, with the names Kea gives them
// (ST-010 … ST-014) where Kea has one.
//
// Every worker owns a Shard: it counts in plain memory and publishes once a
// batch, so counting costs an addition and no shared cache line is written per
// packet. The Registry adds the shards up for whoever asks; it may be used from
// any goroutine, a Shard's counting methods only by its owner.
package stat

// Counter is one counter of a Shard.
type Counter uint16

// The counters. Received and sent by message type, then drops, then what
// happened to leases.
const (
	Pkt4Received Counter = iota
	Pkt4DiscoverReceived
	Pkt4OfferReceived
	Pkt4RequestReceived
	Pkt4AckReceived
	Pkt4NakReceived
	Pkt4ReleaseReceived
	Pkt4DeclineReceived
	Pkt4InformReceived
	Pkt4LeaseQueryReceived
	Pkt4UnknownReceived

	Pkt4Sent
	Pkt4OfferSent
	Pkt4AckSent
	Pkt4NakSent

	Pkt4ReceiveDrop
	Pkt4ParseFailed
	Pkt4ServiceDisabled
	Pkt4QueueFull
	Pkt4Duplicate
	Pkt4RFCViolation
	Pkt4AdminFiltered
	Pkt4NotForUs
	Pkt4ProcessingFailed
	Pkt4LimitExceeded

	V4AllocationFail
	V4AllocationFailSharedNetwork
	V4AllocationFailSubnet
	V4AllocationFailNoPools
	V4AllocationFailClasses
	V4ReservationConflicts
	V4LeaseReuses

	ReclaimedLeases
	ReclaimedDeclinedAddresses

	numCounters
)

// NumCounters is how many counters a Shard has.
const NumCounters = int(numCounters)

var names = [NumCounters]string{
	Pkt4Received:                  "pkt4-received",
	Pkt4DiscoverReceived:          "pkt4-discover-received",
	Pkt4OfferReceived:             "pkt4-offer-received",
	Pkt4RequestReceived:           "pkt4-request-received",
	Pkt4AckReceived:               "pkt4-ack-received",
	Pkt4NakReceived:               "pkt4-nak-received",
	Pkt4ReleaseReceived:           "pkt4-release-received",
	Pkt4DeclineReceived:           "pkt4-decline-received",
	Pkt4InformReceived:            "pkt4-inform-received",
	Pkt4LeaseQueryReceived:        "pkt4-lease-query-received",
	Pkt4UnknownReceived:           "pkt4-unknown-received",
	Pkt4Sent:                      "pkt4-sent",
	Pkt4OfferSent:                 "pkt4-offer-sent",
	Pkt4AckSent:                   "pkt4-ack-sent",
	Pkt4NakSent:                   "pkt4-nak-sent",
	Pkt4ReceiveDrop:               "pkt4-receive-drop",
	Pkt4ParseFailed:               "pkt4-parse-failed",
	Pkt4ServiceDisabled:           "pkt4-service-disabled",
	Pkt4QueueFull:                 "pkt4-queue-full",
	Pkt4Duplicate:                 "pkt4-duplicate",
	Pkt4RFCViolation:              "pkt4-rfc-violation",
	Pkt4AdminFiltered:             "pkt4-admin-filtered",
	Pkt4NotForUs:                  "pkt4-not-for-us",
	Pkt4ProcessingFailed:          "pkt4-processing-failed",
	Pkt4LimitExceeded:             "pkt4-limit-exceeded",
	V4AllocationFail:              "v4-allocation-fail",
	V4AllocationFailSharedNetwork: "v4-allocation-fail-shared-network",
	V4AllocationFailSubnet:        "v4-allocation-fail-subnet",
	V4AllocationFailNoPools:       "v4-allocation-fail-no-pools",
	V4AllocationFailClasses:       "v4-allocation-fail-classes",
	V4ReservationConflicts:        "v4-reservation-conflicts",
	V4LeaseReuses:                 "v4-lease-reuses",
	ReclaimedLeases:               "reclaimed-leases",
	ReclaimedDeclinedAddresses:    "reclaimed-declined-addresses",
}

// String is the counter's name as Kea spells it.
func (c Counter) String() string { return names[c] }

// ByName finds a counter by Kea's name.
func ByName(name string) (Counter, bool) {
	for i, n := range names {
		if n == name {
			return Counter(i), true
		}
	}
	return 0, false
}
