package engine6

// Why a query is not answered, or why an IA gets nothing (IAFailure).
const (
	ReasonOK Reason = iota

	// Accept6: the message itself.
	ReasonMessageType      // a message type that is not served
	ReasonServerMessage    // a message only servers send
	ReasonDHCPv4Query      // DHCPV4-QUERY: DHCPv4 over DHCPv6 is not served
	ReasonNotForUs         // option 2 names another server (V6-005)
	ReasonUnicast          // not relayed and not to a multicast address (V6-003)
	ReasonNoClientID       // no client identifier where there must be one (V6-004)
	ReasonClientIDs        // more than one client identifier
	ReasonDUIDLength       // a DUID of less than 3 or more than 130 octets
	ReasonDUIDEmpty        // DUID 00:00:00, which declined leases have in Kea
	ReasonServerIDUnwanted // server identifier where there must be none
	ReasonNoServerID       // no server identifier where there must be one
	ReasonServerIDs        // more than one server identifier
	ReasonFQDN             // option 39 is malformed

	ReasonClassDrop         // in class DROP
	ReasonClassReject       // in class REJECT (V6-017); of an IA
	ReasonNoSubnet          // no subnet serves the client's link; of an IA, or of a REBIND with IA_PD (V6-010)
	ReasonConfirmNoAddress  // CONFIRM without address (V6-011)
	ReasonPoolExhausted     // v6-allocation-fail: all pools the client may use are full
	ReasonNoPools           // v6-allocation-fail-no-pools: there is no pool the client may use
	ReasonAddressInUse      // the address is leased to another client, or declined
	ReasonLeaseRefused      // a callout refused
	ReasonConflict          // a lease was changed by somebody else again and again
	ReasonNotDurable        // the answer would repeat a promise that is not on stable storage yet
	ReasonJournalFull       // the journal's ring is full
	ReasonJournalFailed     // the journal cannot be written
	ReasonTableFull         // max-leases is reached
	ReasonDeclineRefused    // a lease6_decline callout said Drop
	ReasonRegisterDisabled  // allow-address-registration is false
	ReasonRegisterNoSubnet  // ADDR-REG-INFORM from a link without subnet
	ReasonRegisterIA        // ADDR-REG-INFORM with an IA
	ReasonRegisterAddresses // ADDR-REG-INFORM without exactly one IAADDR
	ReasonRegisterMismatch  // the address is not the one it was sent from (RFC 9686 §4.2.1)
	ReasonRegisterOffLink   // the address is not in the subnet
	ReasonRegisterInUse     // the address is leased
	ReasonRegisterReserved  // the address is reserved
	ReasonRegisterRefused   // an addr6_register callout said Drop
	ReasonRegisterFull      // too many addresses are registered

	// NumReasons is how many there are.
	NumReasons
)

type reasonInfo struct{ label, keaStat string }

const (
	statRFC    = "pkt6-rfc-violation"
	statNotUs  = "pkt6-not-for-us"
	statAdmin  = "pkt6-admin-filtered"
	statParse  = "pkt6-parse-failed"
	statFailed = "pkt6-processing-failed"
	// statDrop: pkt6-receive-drop alone.
	statDrop = "pkt6-receive-drop"
)

var reasons = [NumReasons]reasonInfo{
	ReasonOK:                {"ok", ""},
	ReasonMessageType:       {"message-type", statDrop},
	ReasonServerMessage:     {"server-message", statDrop},
	ReasonDHCPv4Query:       {"dhcpv4-query", statDrop},
	ReasonNotForUs:          {"not-for-us", statNotUs},
	ReasonUnicast:           {"unicast", statRFC},
	ReasonNoClientID:        {"no-client-id", statRFC},
	ReasonClientIDs:         {"several-client-ids", statRFC},
	ReasonDUIDLength:        {"duid-length", statRFC},
	ReasonDUIDEmpty:         {"duid-empty", statRFC},
	ReasonServerIDUnwanted:  {"unwanted-server-id", statRFC},
	ReasonNoServerID:        {"no-server-id", statRFC},
	ReasonServerIDs:         {"several-server-ids", statRFC},
	ReasonFQDN:              {"malformed-fqdn", statParse},
	ReasonClassDrop:         {"class-drop", statAdmin},
	ReasonClassReject:       {"class-reject", ""},
	ReasonNoSubnet:          {"no-subnet", statFailed},
	ReasonConfirmNoAddress:  {"confirm-no-address", ""},
	ReasonPoolExhausted:     {"pool-exhausted", ""},
	ReasonNoPools:           {"no-pools", ""},
	ReasonAddressInUse:      {"address-in-use", ""},
	ReasonLeaseRefused:      {"lease-refused", ""},
	ReasonConflict:          {"conflict", statFailed},
	ReasonNotDurable:        {"not-durable", ""},
	ReasonJournalFull:       {"journal-full", statFailed},
	ReasonJournalFailed:     {"journal-failed", statFailed},
	ReasonTableFull:         {"table-full", statFailed},
	ReasonDeclineRefused:    {"decline-refused", ""},
	ReasonRegisterDisabled:  {"register-disabled", statAdmin},
	ReasonRegisterNoSubnet:  {"register-no-subnet", ""},
	ReasonRegisterIA:        {"register-with-ia", statRFC},
	ReasonRegisterAddresses: {"register-addresses", statRFC},
	ReasonRegisterMismatch:  {"register-mismatch", statRFC},
	ReasonRegisterOffLink:   {"register-off-link", statRFC},
	ReasonRegisterInUse:     {"register-in-use", statRFC},
	ReasonRegisterReserved:  {"register-reserved", statRFC},
	ReasonRegisterRefused:   {"register-refused", ""},
	ReasonRegisterFull:      {"register-full", statFailed},
}

// String is the label of metrics, stable across releases.
func (r Reason) String() string {
	if r >= NumReasons {
		return "unknown"
	}
	return reasons[r].label
}

// KeaStat is the name of the statistic that Kea counts such a drop in, beside
// pkt6-receive-drop, which is also what it returns where Kea counts nothing
// else. It is "" where Kea counts nothing, not even that: a query that was
// processed and got no answer.
func (r Reason) KeaStat() string {
	if r >= NumReasons {
		return ""
	}
	return reasons[r].keaStat
}

// KeaAllocStat is the name of Kea's detailed statistic of a failed allocation,
// "" if the reason is none. Kea counts v6-allocation-fail-subnet or
// v6-allocation-fail-shared-network and v6-allocation-fail-classes beside it,
// globally and for the subnet (see IAFailure).
func (r Reason) KeaAllocStat() string {
	switch r {
	case ReasonPoolExhausted, ReasonLeaseRefused, ReasonAddressInUse:
		return "v6-allocation-fail"
	case ReasonNoPools:
		return "v6-allocation-fail-no-pools"
	}
	return ""
}

// fatal reports whether the whole query has to be dropped: we cannot do our
// work now, so no answer at all is better than one that says no.
func (r Reason) fatal() bool {
	switch r {
	case ReasonConflict, ReasonNotDurable, ReasonJournalFull, ReasonJournalFailed, ReasonTableFull:
		return true
	}
	return false
}
