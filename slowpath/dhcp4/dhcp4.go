// Package dhcp4 is the DHCPv4 wire format (RFC 2131, 2132, 3046, 3396): View
// over received bytes and Reply to build an answer. See API.md while it is
// being written.
package dhcp4

// MsgType is option 53.
type MsgType uint8

// View reads a message in place.
type View struct{}

// Reply is an answer as a list of references.
type Reply struct {
	Type MsgType
}
