package engine

// Why a query is not answered, or why it is answered with a DHCPNAK. Reasons up
// to reasonsOfEngine are given by this package; the rest are for package
// slowpath, which drops queries before or after the engine has seen them, so
// that one enumeration labels every drop.
const (
	ReasonOK Reason = iota

	// Accept4: the message itself.
	ReasonNoMessageType     // no option 53 (BOOTP)
	ReasonServerMessage     // a message only servers send (V4-011)
	ReasonMessageType       // a message type that is not served
	ReasonNoIdentity        // neither chaddr nor client identifier (V4-015)
	ReasonClientIDLength    // option 61 of one octet or of more than 255 (RFC 2132 §9.14)
	ReasonServerIDUnwanted  // DHCPDISCOVER with option 54 (V4-016)
	ReasonNotForUs          // option 54 names another server (V4-016)
	ReasonInformNoAddress   // direct DHCPINFORM from 0.0.0.0 without ciaddr (V4-026)
	ReasonDeclineNoAddress  // DHCPDECLINE without option 50 (V4-024)
	ReasonMalformedAddress  // option 50 or 54 is not one address
	ReasonMalformedFQDN     // option 81 has N and S both, or no domain name (RFC 4702 §2.1)
	ReasonMalformedOption   // an option is not what option-def says it is (V4-096)
	ReasonNoLocalAddress    // no address of ours to send from
	ReasonClassDrop         // in class DROP
	ReasonClassReject       // in class REJECT (V4-030)
	ReasonNoSubnet          // no subnet serves the client's link (V4-020)
	ReasonSubnetGuarded     // the subnet's class guard refuses the client
	ReasonRebindNoSubnet    // REBINDING, no subnet (V4-020)
	ReasonIdentityUnusable  // only a client identifier, and the subnet does not match by it
	ReasonInitRebootUnknown // INIT-REBOOT of a client without lease (V4-019)
	ReasonInitRebootAddress // INIT-REBOOT with another address than the lease's (V4-019)
	ReasonUnknownAddress    // the requested address is in no pool (V4-021)
	ReasonPoolGuarded       // the requested address is in a pool of a class the client is not in
	ReasonAddressReserved   // the requested address is reserved for another client
	ReasonAddressInUse      // the requested address is leased to another client, or declined
	ReasonReservedElsewhere // the client has a reservation of another address, which is free (V4-128)
	ReasonPoolExhausted     // v4-allocation-fail: all pools the client may use are full
	ReasonNoPools           // v4-allocation-fail-no-pools: there is no pool the client may use
	ReasonLeaseRefused      // a lease4_select or lease4_renew callout refused
	ReasonConflict          // the lease was changed by somebody else again and again
	ReasonNotDurable        // the answer would repeat a promise that is not on stable storage yet
	ReasonJournalFull       // the journal's ring is full
	ReasonJournalFailed     // the journal cannot be written
	ReasonTableFull         // max-leases is reached
	ReasonReleaseNoLease    // DHCPRELEASE of an address without lease
	ReasonReleaseNotOwner   // DHCPRELEASE of another client's lease
	ReasonReleaseNotLeased  // DHCPRELEASE of a lease that is not assigned any more
	ReasonReleaseRefused    // a lease4_release callout refused
	ReasonDeclineNoLease    // DHCPDECLINE of an address without lease
	ReasonDeclineNotOwner   // DHCPDECLINE of another client's lease
	ReasonDeclineNotLeased  // DHCPDECLINE of an expired, released or declined lease
	ReasonDeclineRefused    // a lease4_decline callout refused
	ReasonV6OnlyMissing     // an IPv6-only answer without option 108 (V4-078)

	// NumReasons is how many there are.
	NumReasons
)

type reasonInfo struct{ label, keaStat string }

const (
	statRFC    = "pkt4-rfc-violation"
	statNotUs  = "pkt4-not-for-us"
	statAdmin  = "pkt4-admin-filtered"
	statParse  = "pkt4-parse-failed"
	statFailed = "pkt4-processing-failed"
)

var reasons = [NumReasons]reasonInfo{
	ReasonOK:                {"ok", ""},
	ReasonNoMessageType:     {"no-message-type", statRFC},
	ReasonServerMessage:     {"server-message", statRFC},
	ReasonMessageType:       {"message-type", statRFC},
	ReasonNoIdentity:        {"no-identity", statRFC},
	ReasonClientIDLength:    {"client-id-length", statFailed},
	ReasonServerIDUnwanted:  {"discover-with-server-id", statRFC},
	ReasonNotForUs:          {"not-for-us", statNotUs},
	ReasonInformNoAddress:   {"inform-no-address", statRFC},
	ReasonDeclineNoAddress:  {"decline-no-address", statRFC},
	ReasonMalformedAddress:  {"malformed-address", statParse},
	ReasonMalformedFQDN:     {"malformed-fqdn", statParse},
	ReasonMalformedOption:   {"malformed-option", statParse},
	ReasonNoLocalAddress:    {"no-local-address", statFailed},
	ReasonClassDrop:         {"class-drop", statAdmin},
	ReasonClassReject:       {"class-reject", ""},
	ReasonNoSubnet:          {"no-subnet", ""},
	ReasonSubnetGuarded:     {"subnet-guarded", ""},
	ReasonRebindNoSubnet:    {"rebind-no-subnet", ""},
	ReasonIdentityUnusable:  {"identity-unusable", ""},
	ReasonInitRebootUnknown: {"init-reboot-unknown", ""},
	ReasonInitRebootAddress: {"init-reboot-address", ""},
	ReasonUnknownAddress:    {"out-of-pools", ""},
	ReasonPoolGuarded:       {"pool-guarded", ""},
	ReasonAddressReserved:   {"address-reserved", ""},
	ReasonAddressInUse:      {"address-in-use", ""},
	ReasonReservedElsewhere: {"reserved-elsewhere", ""},
	ReasonPoolExhausted:     {"pool-exhausted", ""},
	ReasonNoPools:           {"no-pools", ""},
	ReasonLeaseRefused:      {"lease-refused", ""},
	ReasonConflict:          {"conflict", statFailed},
	ReasonNotDurable:        {"not-durable", ""},
	ReasonJournalFull:       {"journal-full", statFailed},
	ReasonJournalFailed:     {"journal-failed", statFailed},
	ReasonTableFull:         {"table-full", statFailed},
	ReasonReleaseNoLease:    {"release-no-lease", ""},
	ReasonReleaseNotOwner:   {"release-not-owner", ""},
	ReasonReleaseNotLeased:  {"release-not-leased", ""},
	ReasonReleaseRefused:    {"release-refused", ""},
	ReasonDeclineNoLease:    {"decline-no-lease", ""},
	ReasonDeclineNotOwner:   {"decline-not-owner", ""},
	ReasonDeclineNotLeased:  {"decline-not-leased", ""},
	ReasonDeclineRefused:    {"decline-refused", ""},
	ReasonV6OnlyMissing:     {"v6-only-missing", ""},
}

// String is the label of metrics, stable across releases.
func (r Reason) String() string {
	if r >= NumReasons {
		return "unknown"
	}
	return reasons[r].label
}

// KeaStat is the name of the statistic that Kea counts such a drop in, beside
// pkt4-receive-drop (ST-012). It is "" where Kea counts nothing, not even
// pkt4-receive-drop: a query that was processed and got no lease.
func (r Reason) KeaStat() string {
	if r >= NumReasons {
		return ""
	}
	return reasons[r].keaStat
}

// KeaAllocStat is the name of Kea's detailed statistic of a failed allocation,
// "" if the reason is none (V4-080, ST-013). Kea counts
// v4-allocation-fail-subnet and v4-allocation-fail-classes beside it, globally
// and for the subnet. It counts also when the answer was a DHCPNAK
// (Reply4.NAKReason).
func (r Reason) KeaAllocStat() string {
	switch r {
	case ReasonPoolExhausted, ReasonLeaseRefused:
		return "v4-allocation-fail"
	case ReasonNoPools:
		return "v4-allocation-fail-no-pools"
	}
	return ""
}
