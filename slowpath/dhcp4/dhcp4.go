// Package dhcp4 is the DHCPv4 wire format (RFC 2131, 2132, 3046, 3396): View
// reads a received message in place, Reply builds an answer as a list of
// references that is encoded once.
//
// What is accepted is what Kea accepts (its V4-012 and V4-013): a message that
// Kea would drop while parsing has a Reason here, and oddities that Kea lives
// with are accepted with a Note. Nothing here decides anything: that is package
// engine's.
//
// No type here is safe for concurrent use; each worker has its own.
package dhcp4

import "strconv"

// Sizes of the fixed part (RFC 2131 §2).
const (
	// HeaderLen is the fixed part up to the options: 236 octets and the magic
	// cookie. No message is shorter.
	HeaderLen = 240
	// MaxMessageLen is the longest message that is parsed. Longer ones, which
	// no Ethernet frame of ordinary size carries, are refused.
	MaxMessageLen = 4096

	chaddrLen = 16
	maxHLen   = 20
	snameLen  = 64
	fileLen   = 128

	cookie = 0x63825363
)

// Offsets in the fixed part.
const (
	offXID    = 4
	offSecs   = 8
	offFlags  = 10
	offCIAddr = 12
	offYIAddr = 16
	offSIAddr = 20
	offGIAddr = 24
	offCHAddr = 28
	offSName  = 44
	offFile   = 108
	offCookie = 236
)

// Values of the op field.
const (
	BootRequest = 1
	BootReply   = 2
)

// Values of the htype field whose addresses have six octets (IANA "Hardware
// Types").
const (
	HTypeEthernet = 1
	HTypeIEEE802  = 6
)

// FlagBroadcast is the B bit of the flags field.
const FlagBroadcast = 0x8000

// Well-known UDP ports.
const (
	ServerPort = 67
	ClientPort = 68
)

// MsgType is option 53 (IANA "DHCP Message Type 53 Values").
type MsgType uint8

const (
	MsgDiscover         MsgType = 1
	MsgOffer            MsgType = 2
	MsgRequest          MsgType = 3
	MsgDecline          MsgType = 4
	MsgAck              MsgType = 5
	MsgNak              MsgType = 6
	MsgRelease          MsgType = 7
	MsgInform           MsgType = 8
	MsgForceRenew       MsgType = 9
	MsgLeaseQuery       MsgType = 10
	MsgLeaseUnassigned  MsgType = 11
	MsgLeaseUnknown     MsgType = 12
	MsgLeaseActive      MsgType = 13
	MsgBulkLeaseQuery   MsgType = 14
	MsgLeaseQueryDone   MsgType = 15
	MsgActiveLeaseQuery MsgType = 16
	MsgLeaseQueryStatus MsgType = 17
	MsgTLS              MsgType = 18
)

var msgNames = [...]string{
	0:                   "NONE",
	MsgDiscover:         "DHCPDISCOVER",
	MsgOffer:            "DHCPOFFER",
	MsgRequest:          "DHCPREQUEST",
	MsgDecline:          "DHCPDECLINE",
	MsgAck:              "DHCPACK",
	MsgNak:              "DHCPNAK",
	MsgRelease:          "DHCPRELEASE",
	MsgInform:           "DHCPINFORM",
	MsgForceRenew:       "DHCPFORCERENEW",
	MsgLeaseQuery:       "DHCPLEASEQUERY",
	MsgLeaseUnassigned:  "DHCPLEASEUNASSIGNED",
	MsgLeaseUnknown:     "DHCPLEASEUNKNOWN",
	MsgLeaseActive:      "DHCPLEASEACTIVE",
	MsgBulkLeaseQuery:   "DHCPBULKLEASEQUERY",
	MsgLeaseQueryDone:   "DHCPLEASEQUERYDONE",
	MsgActiveLeaseQuery: "DHCPACTIVELEASEQUERY",
	MsgLeaseQueryStatus: "DHCPLEASEQUERYSTATUS",
	MsgTLS:              "DHCPTLS",
}

// String is the spelling of the RFCs, DHCPDISCOVER.
func (t MsgType) String() string {
	if int(t) < len(msgNames) {
		return msgNames[t]
	}
	return "UNKNOWN(" + strconv.Itoa(int(t)) + ")"
}

// Reason says why a message was refused. ReasonOK is the zero value.
type Reason uint8

const (
	ReasonOK Reason = iota
	// ReasonTooShort: no room for the fixed part and the magic cookie.
	ReasonTooShort
	// ReasonTooLong: more than MaxMessageLen, or split options that do not fit
	// a View when they are put together.
	ReasonTooLong
	// ReasonNotBootRequest: the op field is not what this side receives.
	ReasonNotBootRequest
	// ReasonHLen: an hlen that chaddr cannot hold.
	ReasonHLen
	// ReasonBadCookie: BOOTP, or not DHCP at all.
	ReasonBadCookie
	// ReasonOptionLen: an option has a length its type does not allow.
	ReasonOptionLen
	// ReasonRAILen: the same of a sub-option of option 82, or more of its
	// sub-options are split than a View holds.
	ReasonRAILen

	// NumReasons is how many reasons there are.
	NumReasons
)

var reasonNames = [NumReasons]string{
	ReasonOK:             "ok",
	ReasonTooShort:       "too-short",
	ReasonTooLong:        "too-long",
	ReasonNotBootRequest: "not-bootrequest",
	ReasonHLen:           "hlen",
	ReasonBadCookie:      "bad-cookie",
	ReasonOptionLen:      "option-length",
	ReasonRAILen:         "relay-agent-information-length",
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
	// stopped before it. Also of a sub-option of option 82.
	NoteTruncatedOption Notes = 1 << iota
	// NoteNoEnd: there is no END option.
	NoteNoEnd
	// NoteOverload: option 52 is there; sname and file are not searched.
	NoteOverload
	// NoteDuplicateOption: a code came more than once and was put together
	// (RFC 3396).
	NoteDuplicateOption
	// NoteContradictoryType: message types that differ; the first counts.
	NoteContradictoryType
	// NoteEmptyOption: an option without a value where there must be one, which
	// was taken as absent.
	NoteEmptyOption
	// NoteExcessLength: a fixed-size option is too long and only its beginning
	// counts.
	NoteExcessLength
	// NoteHLenMismatch: htype is Ethernet or IEEE 802 and hlen is not 6.
	NoteHLenMismatch
	// NoteZeroCHAddr: chaddr is all zeros or hlen is 0.
	NoteZeroCHAddr
	// NoteBroadcastCHAddr: chaddr is all ones.
	NoteBroadcastCHAddr

	// NumNotes is how many kinds of note there are.
	NumNotes = iota
)

var noteNames = [NumNotes]string{
	"truncated-option",
	"no-end",
	"overload",
	"duplicate-option",
	"contradictory-type",
	"empty-option",
	"excess-length",
	"hlen-mismatch",
	"zero-chaddr",
	"broadcast-chaddr",
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
