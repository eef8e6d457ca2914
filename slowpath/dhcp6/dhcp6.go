// Package dhcp6 is the DHCPv6 wire format (RFC 8415 and what belongs to it):
// View reads a received message in place, with all RELAY-FORW messages around
// it; Reply builds an answer as a list of references, wraps it in RELAY-REPL
// messages, and is encoded once.
//
// What is accepted is what Kea accepts: a message that Kea would drop while
// parsing has a Reason here, and oddities that Kea lives with are accepted with
// a Note. Where Kea has no limit, there is one here, which no honest message
// reaches. Nothing here decides anything: that is package engine6's.
//
// No type here is safe for concurrent use; each worker has its own.
package dhcp6

import "strconv"

// Sizes and limits.
const (
	// HeaderLen is msg-type and transaction-id (RFC 8415 §8).
	HeaderLen = 4
	// RelayHeaderLen is msg-type, hop-count, link-address and peer-address
	// (RFC 8415 §9).
	RelayHeaderLen = 34
	// MaxMessageLen is the longest message that is parsed.
	MaxMessageLen = 4096
	// MaxRelays is how many RELAY-FORW messages may be around one message, and
	// hop counts have to be below it (HOP_COUNT_LIMIT of RFC 9915; RFC 8415 has
	// 8).
	MaxRelays = 32
	// MaxOptions is how many options a message may have at its top level.
	MaxOptions = 128
	// MaxIAs is how many IA_NA and IA_PD a message may have.
	MaxIAs = 32
	// MaxResources is how many addresses and prefixes they may name in all.
	MaxResources = 128
	// MinDUIDLen and MaxDUIDLen are the lengths of a DUID in octets (Kea;
	// RFC 8415 §11.1: a type of two octets and at most 128 octets).
	MinDUIDLen = 3
	MaxDUIDLen = 130
)

// Well-known UDP ports (RFC 8415 §7.2).
const (
	ClientPort = 546
	ServerPort = 547
)

// InfiniteLifetime is a lifetime that does not end (RFC 8415 §7.7).
const InfiniteLifetime uint32 = 0xFFFFFFFF

// MsgType is the msg-type field (IANA "DHCPv6 Message Types").
type MsgType uint8

const (
	MsgSolicit            MsgType = 1
	MsgAdvertise          MsgType = 2
	MsgRequest            MsgType = 3
	MsgConfirm            MsgType = 4
	MsgRenew              MsgType = 5
	MsgRebind             MsgType = 6
	MsgReply              MsgType = 7
	MsgRelease            MsgType = 8
	MsgDecline            MsgType = 9
	MsgReconfigure        MsgType = 10
	MsgInformationRequest MsgType = 11
	MsgRelayForw          MsgType = 12
	MsgRelayRepl          MsgType = 13
	MsgLeaseQuery         MsgType = 14
	MsgLeaseQueryReply    MsgType = 15
	MsgDHCPv4Query        MsgType = 20
	MsgDHCPv4Response     MsgType = 21
	MsgAddrRegInform      MsgType = 36
	MsgAddrRegReply       MsgType = 37
)

var msgNames = map[MsgType]string{
	0:                     "NONE",
	MsgSolicit:            "SOLICIT",
	MsgAdvertise:          "ADVERTISE",
	MsgRequest:            "REQUEST",
	MsgConfirm:            "CONFIRM",
	MsgRenew:              "RENEW",
	MsgRebind:             "REBIND",
	MsgReply:              "REPLY",
	MsgRelease:            "RELEASE",
	MsgDecline:            "DECLINE",
	MsgReconfigure:        "RECONFIGURE",
	MsgInformationRequest: "INFORMATION-REQUEST",
	MsgRelayForw:          "RELAY-FORW",
	MsgRelayRepl:          "RELAY-REPL",
	MsgLeaseQuery:         "LEASEQUERY",
	MsgLeaseQueryReply:    "LEASEQUERY-REPLY",
	MsgDHCPv4Query:        "DHCPV4-QUERY",
	MsgDHCPv4Response:     "DHCPV4-RESPONSE",
	MsgAddrRegInform:      "ADDR-REG-INFORM",
	MsgAddrRegReply:       "ADDR-REG-REPLY",
}

// String is the spelling of the RFCs.
func (t MsgType) String() string {
	if s, ok := msgNames[t]; ok {
		return s
	}
	return "UNKNOWN(" + strconv.Itoa(int(t)) + ")"
}

// StatusCode is the status-code field of option 13 (IANA "DHCPv6 Status Codes").
type StatusCode uint16

const (
	StatusSuccess       StatusCode = 0
	StatusUnspecFail    StatusCode = 1
	StatusNoAddrsAvail  StatusCode = 2
	StatusNoBinding     StatusCode = 3
	StatusNotOnLink     StatusCode = 4
	StatusUseMulticast  StatusCode = 5
	StatusNoPrefixAvail StatusCode = 6
)

var statusNames = [...]string{"Success", "UnspecFail", "NoAddrsAvail", "NoBinding", "NotOnLink", "UseMulticast", "NoPrefixAvail"}

// String is the name in RFC 8415 §21.13.
func (s StatusCode) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "UNKNOWN(" + strconv.Itoa(int(s)) + ")"
}

// Types of a DUID (RFC 8415 §11, RFC 6355).
const (
	DUIDTypeLLT  = 1
	DUIDTypeEN   = 2
	DUIDTypeLL   = 3
	DUIDTypeUUID = 4
)

// Reason says why a message was refused. ReasonOK is the zero value.
type Reason uint8

const (
	ReasonOK Reason = iota
	// ReasonTooShort: no room for the header, of the message or of a RELAY-FORW.
	ReasonTooShort
	// ReasonTooLong: more than MaxMessageLen.
	ReasonTooLong
	// ReasonRelayRepl: a message that servers send to relays.
	ReasonRelayRepl
	// ReasonNoRelayMsg: a RELAY-FORW without (or with an empty) option 9.
	ReasonNoRelayMsg
	// ReasonTooManyRelays: more than MaxRelays are nested.
	ReasonTooManyRelays
	// ReasonHopCount: a hop count of MaxRelays or more.
	ReasonHopCount
	// ReasonOptionLen: an option has a length its type does not allow.
	ReasonOptionLen
	// ReasonIALen: an IA, or an option in one, is malformed.
	ReasonIALen
	// ReasonRelayOptionLen: the same of an option that a relay has added.
	ReasonRelayOptionLen
	// ReasonPrefixLen: a prefix of more than 128 bits.
	ReasonPrefixLen
	// ReasonTooManyOptions: more than MaxOptions.
	ReasonTooManyOptions
	// ReasonTooManyIAs: more than MaxIAs.
	ReasonTooManyIAs
	// ReasonTooManyResources: more than MaxResources.
	ReasonTooManyResources

	// NumReasons is how many reasons there are.
	NumReasons
)

var reasonNames = [NumReasons]string{
	ReasonOK:               "ok",
	ReasonTooShort:         "too-short",
	ReasonTooLong:          "too-long",
	ReasonRelayRepl:        "relay-repl",
	ReasonNoRelayMsg:       "no-relay-message",
	ReasonTooManyRelays:    "too-many-relays",
	ReasonHopCount:         "hop-count",
	ReasonOptionLen:        "option-length",
	ReasonIALen:            "ia-length",
	ReasonRelayOptionLen:   "relay-option-length",
	ReasonPrefixLen:        "prefix-length",
	ReasonTooManyOptions:   "too-many-options",
	ReasonTooManyIAs:       "too-many-ias",
	ReasonTooManyResources: "too-many-addresses",
}

// String is the metric label of r.
func (r Reason) String() string {
	if r < NumReasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Notes are things a message was accepted with, because Kea accepts them, but
// which are worth a counter.
type Notes uint16

const (
	// NoteTruncatedOption: the last option reaches past the message; parsing
	// stopped before it.
	NoteTruncatedOption Notes = 1 << iota
	// NoteTruncatedRelayOption: the same of an option of a relay.
	NoteTruncatedRelayOption
	// NoteTruncatedIAOption: the same inside an IA.
	NoteTruncatedIAOption
	// NoteMisplacedOption: an option stands where it has no meaning: IAADDR or
	// IAPREFIX outside an IA (but in ADDR-REG-INFORM), in the wrong kind of IA,
	// an IA or what belongs beside it in one, or an option of relays in the
	// client's message.
	NoteMisplacedOption
	// NoteIATA: there is an IA_TA, which is not served.
	NoteIATA
	// NoteDuplicateIA: two IAs of one kind have the same IAID.
	NoteDuplicateIA

	// NumNotes is how many kinds of note there are.
	NumNotes = iota
)

var noteNames = [NumNotes]string{
	"truncated-option",
	"truncated-relay-option",
	"truncated-ia-option",
	"misplaced-option",
	"ia-ta",
	"duplicate-ia",
}

// String lists the notes of n, joined by commas.
func (n Notes) String() string {
	s := ""
	for i := range NumNotes {
		if n&(1<<i) == 0 {
			continue
		}
		if s != "" {
			s += ","
		}
		s += noteNames[i]
	}
	return s
}
