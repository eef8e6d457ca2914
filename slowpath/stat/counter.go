// Package stat counts. Statistics are listed once, with the names Kea gives them
// (ST-010 … ST-024) where Kea has one.
//
// Every worker owns a Shard: it counts in plain memory and publishes once a
// batch, so counting costs an addition and no shared cache line is written per
// packet. A Registry, one for each family, adds the shards up for whoever asks,
// asks others for what they know (leases per subnet), and keeps the samples that
// statistic commands show; it may be used from any goroutine, a Shard's counting
// methods only by its owner.
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
	Pkt4LeaseQueryResponseUnassignedSent
	Pkt4LeaseQueryResponseUnknownSent
	Pkt4LeaseQueryResponseActiveSent

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

	Pkt6Received
	Pkt6SolicitReceived
	Pkt6AdvertiseReceived
	Pkt6RequestReceived
	Pkt6ReplyReceived
	Pkt6RenewReceived
	Pkt6RebindReceived
	Pkt6ConfirmReceived
	Pkt6ReleaseReceived
	Pkt6DeclineReceived
	Pkt6ReconfigureReceived
	Pkt6InfRequestReceived
	Pkt6LeaseQueryReceived
	Pkt6DHCPv4QueryReceived
	Pkt6DHCPv4ResponseReceived
	Pkt6AddrRegInformReceived
	Pkt6AddrRegReplyReceived
	Pkt6UnknownReceived

	Pkt6Sent
	Pkt6AdvertiseSent
	Pkt6ReplySent
	Pkt6LeaseQueryReplySent
	Pkt6DHCPv4ResponseSent
	Pkt6AddrRegReplySent

	Pkt6ReceiveDrop
	Pkt6ParseFailed
	Pkt6ServiceDisabled
	Pkt6QueueFull
	Pkt6Duplicate
	Pkt6RFCViolation
	Pkt6AdminFiltered
	Pkt6NotForUs
	Pkt6ProcessingFailed
	Pkt6LimitExceeded

	V6AllocationFail
	V6AllocationFailSharedNetwork
	V6AllocationFailSubnet
	V6AllocationFailNoPools
	V6AllocationFailClasses
	V6NALeaseReuses
	V6PDLeaseReuses

	ReclaimedLeases6
	ReclaimedDeclinedAddresses6

	numCounters

	firstCounter6 = Pkt6Received
)

// NumCounters is how many counters a Shard has.
const NumCounters = int(numCounters)

// Family is whose statistics they are.
type Family uint8

const (
	V4 Family = 4
	V6 Family = 6
)

// Counters returns the range of a family's counters, the last one excluded.
func (f Family) Counters() (first, end Counter) {
	if f == V6 {
		return firstCounter6, numCounters
	}
	return 0, firstCounter6
}

var names = [NumCounters]string{
	Pkt4Received:                         "pkt4-received",
	Pkt4DiscoverReceived:                 "pkt4-discover-received",
	Pkt4OfferReceived:                    "pkt4-offer-received",
	Pkt4RequestReceived:                  "pkt4-request-received",
	Pkt4AckReceived:                      "pkt4-ack-received",
	Pkt4NakReceived:                      "pkt4-nak-received",
	Pkt4ReleaseReceived:                  "pkt4-release-received",
	Pkt4DeclineReceived:                  "pkt4-decline-received",
	Pkt4InformReceived:                   "pkt4-inform-received",
	Pkt4LeaseQueryReceived:               "pkt4-lease-query-received",
	Pkt4UnknownReceived:                  "pkt4-unknown-received",
	Pkt4Sent:                             "pkt4-sent",
	Pkt4OfferSent:                        "pkt4-offer-sent",
	Pkt4AckSent:                          "pkt4-ack-sent",
	Pkt4NakSent:                          "pkt4-nak-sent",
	Pkt4LeaseQueryResponseUnassignedSent: "pkt4-lease-query-response-unassigned-sent",
	Pkt4LeaseQueryResponseUnknownSent:    "pkt4-lease-query-response-unknown-sent",
	Pkt4LeaseQueryResponseActiveSent:     "pkt4-lease-query-response-active-sent",
	Pkt4ReceiveDrop:                      "pkt4-receive-drop",
	Pkt4ParseFailed:                      "pkt4-parse-failed",
	Pkt4ServiceDisabled:                  "pkt4-service-disabled",
	Pkt4QueueFull:                        "pkt4-queue-full",
	Pkt4Duplicate:                        "pkt4-duplicate",
	Pkt4RFCViolation:                     "pkt4-rfc-violation",
	Pkt4AdminFiltered:                    "pkt4-admin-filtered",
	Pkt4NotForUs:                         "pkt4-not-for-us",
	Pkt4ProcessingFailed:                 "pkt4-processing-failed",
	Pkt4LimitExceeded:                    "pkt4-limit-exceeded",
	V4AllocationFail:                     "v4-allocation-fail",
	V4AllocationFailSharedNetwork:        "v4-allocation-fail-shared-network",
	V4AllocationFailSubnet:               "v4-allocation-fail-subnet",
	V4AllocationFailNoPools:              "v4-allocation-fail-no-pools",
	V4AllocationFailClasses:              "v4-allocation-fail-classes",
	V4ReservationConflicts:               "v4-reservation-conflicts",
	V4LeaseReuses:                        "v4-lease-reuses",
	ReclaimedLeases:                      "reclaimed-leases",
	ReclaimedDeclinedAddresses:           "reclaimed-declined-addresses",

	Pkt6Received:                  "pkt6-received",
	Pkt6SolicitReceived:           "pkt6-solicit-received",
	Pkt6AdvertiseReceived:         "pkt6-advertise-received",
	Pkt6RequestReceived:           "pkt6-request-received",
	Pkt6ReplyReceived:             "pkt6-reply-received",
	Pkt6RenewReceived:             "pkt6-renew-received",
	Pkt6RebindReceived:            "pkt6-rebind-received",
	Pkt6ConfirmReceived:           "pkt6-confirm-received",
	Pkt6ReleaseReceived:           "pkt6-release-received",
	Pkt6DeclineReceived:           "pkt6-decline-received",
	Pkt6ReconfigureReceived:       "pkt6-reconfigure-received",
	Pkt6InfRequestReceived:        "pkt6-infrequest-received",
	Pkt6LeaseQueryReceived:        "pkt6-lease-query-received",
	Pkt6DHCPv4QueryReceived:       "pkt6-dhcpv4-query-received",
	Pkt6DHCPv4ResponseReceived:    "pkt6-dhcpv4-response-received",
	Pkt6AddrRegInformReceived:     "pkt6-addr-reg-inform-received",
	Pkt6AddrRegReplyReceived:      "pkt6-addr-reg-reply-received",
	Pkt6UnknownReceived:           "pkt6-unknown-received",
	Pkt6Sent:                      "pkt6-sent",
	Pkt6AdvertiseSent:             "pkt6-advertise-sent",
	Pkt6ReplySent:                 "pkt6-reply-sent",
	Pkt6LeaseQueryReplySent:       "pkt6-lease-query-reply-sent",
	Pkt6DHCPv4ResponseSent:        "pkt6-dhcpv4-response-sent",
	Pkt6AddrRegReplySent:          "pkt6-addr-reg-reply-sent",
	Pkt6ReceiveDrop:               "pkt6-receive-drop",
	Pkt6ParseFailed:               "pkt6-parse-failed",
	Pkt6ServiceDisabled:           "pkt6-service-disabled",
	Pkt6QueueFull:                 "pkt6-queue-full",
	Pkt6Duplicate:                 "pkt6-duplicate",
	Pkt6RFCViolation:              "pkt6-rfc-violation",
	Pkt6AdminFiltered:             "pkt6-admin-filtered",
	Pkt6NotForUs:                  "pkt6-not-for-us",
	Pkt6ProcessingFailed:          "pkt6-processing-failed",
	Pkt6LimitExceeded:             "pkt6-limit-exceeded",
	V6AllocationFail:              "v6-allocation-fail",
	V6AllocationFailSharedNetwork: "v6-allocation-fail-shared-network",
	V6AllocationFailSubnet:        "v6-allocation-fail-subnet",
	V6AllocationFailNoPools:       "v6-allocation-fail-no-pools",
	V6AllocationFailClasses:       "v6-allocation-fail-classes",
	V6NALeaseReuses:               "v6-ia-na-lease-reuses",
	V6PDLeaseReuses:               "v6-ia-pd-lease-reuses",
	ReclaimedLeases6:              "reclaimed-leases",
	ReclaimedDeclinedAddresses6:   "reclaimed-declined-addresses",
}

// String is the counter's name as Kea spells it.
func (c Counter) String() string { return names[c] }

// ByName finds a counter of a family by Kea's name.
func ByName(f Family, name string) (Counter, bool) {
	for c, end := f.Counters(); c < end; c++ {
		if names[c] == name {
			return c, true
		}
	}
	return 0, false
}
