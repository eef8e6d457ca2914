package bpf

import "strconv"

// Family is an address family as the program counts it.
type Family = dhcpFamily

// Families.
const (
	// FamilyNone is what is neither IPv4 nor IPv6, or too short to tell.
	FamilyNone = dhcpFamilyFAMILY_NONE
	FamilyIPv4 = dhcpFamilyFAMILY_IPV4
	FamilyIPv6 = dhcpFamilyFAMILY_IPV6
)

// Action is what happened to a packet, by the kernel's XDP numbers.
type Action = dhcpAction

// Actions.
const (
	ActionAborted  = dhcpActionACTION_ABORTED
	ActionDrop     = dhcpActionACTION_DROP
	ActionPass     = dhcpActionACTION_PASS
	ActionTX       = dhcpActionACTION_TX
	ActionRedirect = dhcpActionACTION_REDIRECT
)

// Reason is why. Each packet is counted under exactly one.
type Reason = dhcpReason

// Reasons; consts.h says what each means.
const (
	ReasonNotIP            = dhcpReasonREASON_NOT_IP
	ReasonVLANDepth        = dhcpReasonREASON_VLAN_DEPTH
	ReasonTruncatedFrame   = dhcpReasonREASON_TRUNCATED_FRAME
	ReasonNotUDP           = dhcpReasonREASON_NOT_UDP
	ReasonOtherPort        = dhcpReasonREASON_OTHER_PORT
	ReasonOtherAddress     = dhcpReasonREASON_OTHER_ADDRESS
	ReasonInterfaceOff     = dhcpReasonREASON_INTERFACE_OFF
	ReasonFragment         = dhcpReasonREASON_FRAGMENT
	ReasonIPOptions        = dhcpReasonREASON_IP_OPTIONS
	ReasonQueueUnused      = dhcpReasonREASON_QUEUE_UNUSED
	ReasonNoSocket         = dhcpReasonREASON_NO_SOCKET
	ReasonBadIPHeader      = dhcpReasonREASON_BAD_IP_HEADER
	ReasonBadIPLength      = dhcpReasonREASON_BAD_IP_LENGTH
	ReasonBadIPChecksum    = dhcpReasonREASON_BAD_IP_CHECKSUM
	ReasonBadUDPLength     = dhcpReasonREASON_BAD_UDP_LENGTH
	ReasonShortMessage     = dhcpReasonREASON_SHORT_MESSAGE
	ReasonBadOp            = dhcpReasonREASON_BAD_OP
	ReasonBadHLen          = dhcpReasonREASON_BAD_HLEN
	ReasonBadCookie        = dhcpReasonREASON_BAD_COOKIE
	ReasonLimitClient      = dhcpReasonREASON_LIMIT_CLIENT
	ReasonLimitNewClients  = dhcpReasonREASON_LIMIT_NEW_CLIENTS
	ReasonLimitRelay       = dhcpReasonREASON_LIMIT_RELAY
	ReasonLimitScopeGlobal = dhcpReasonREASON_LIMIT_SCOPE_GLOBAL
	ReasonLimitScope       = dhcpReasonREASON_LIMIT_SCOPE
	ReasonShed             = dhcpReasonREASON_SHED
	ReasonSteered          = dhcpReasonREASON_STEERED
	ReasonInternal         = dhcpReasonREASON_INTERNAL
	ReasonOverload         = dhcpReasonREASON_OVERLOAD
	ReasonOtherVLAN        = dhcpReasonREASON_OTHER_VLAN
)

// Note is something counted that does not end a packet.
type Note = dhcpNote

// Notes; consts.h says what each means.
const (
	NoteScopeUnknown    = dhcpNoteNOTE_SCOPE_UNKNOWN
	NoteClientNotStored = dhcpNoteNOTE_CLIENT_NOT_STORED
	NoteRelayNotStored  = dhcpNoteNOTE_RELAY_NOT_STORED
)

// Labels by number, in the words metrics use. A test holds their number to the C
// enums'.
var (
	familyLabels = [...]string{"none", "ipv4", "ipv6"}
	actionLabels = [...]string{"aborted", "drop", "pass", "tx", "redirect"}
	reasonLabels = [...]string{
		"not-ip", "vlan-depth", "truncated-frame", "not-udp", "other-port", "other-address", "interface-off",
		"fragment", "ip-options", "queue-unused", "no-socket",
		"bad-ip-header", "bad-ip-length", "bad-ip-checksum", "bad-udp-length", "short-message", "bad-op", "bad-hlen", "bad-cookie",
		"limit-client", "limit-new-clients", "limit-relay", "limit-scope-global", "limit-scope", "shed",
		"steered",
		"internal",
		"overload",
		"other-vlan",
	}
	noteLabels = [...]string{"scope-unknown", "client-not-stored", "relay-not-stored"}
)

func label(labels []string, n uint32) string {
	if n < uint32(len(labels)) {
		return labels[n]
	}
	return strconv.FormatUint(uint64(n), 10)
}

func (f dhcpFamily) String() string { return label(familyLabels[:], uint32(f)) }
func (a dhcpAction) String() string { return label(actionLabels[:], uint32(a)) }
func (r dhcpReason) String() string { return label(reasonLabels[:], uint32(r)) }
func (n dhcpNote) String() string   { return label(noteLabels[:], uint32(n)) }

// Counter is how many packets left the program in one way since it was loaded.
type Counter struct {
	Family  Family
	Action  Action
	Reason  Reason
	Packets uint64
}

// MessageCounter is how many well-formed DHCP messages of a type were received,
// counted before any limit.
type MessageCounter struct {
	Family Family
	// Type is the message type of the family (of the innermost message if it was
	// relayed), 0 if it was not found. 63 takes all from there on.
	Type    uint8
	Packets uint64
}

// NoteCounter is how often something was noted.
type NoteCounter struct {
	Note  Note
	Times uint64
}

// add adds what another CPU counted.
func (c *dhcpCounters) add(o *dhcpCounters) {
	for f := range c.Exits {
		for a := range c.Exits[f] {
			for r := range c.Exits[f][a] {
				c.Exits[f][a][r] += o.Exits[f][a][r]
			}
		}
	}
	for f := range c.Received {
		for t := range c.Received[f] {
			c.Received[f][t] += o.Received[f][t]
		}
	}
	for n := range c.Notes {
		c.Notes[n] += o.Notes[n]
	}
}
