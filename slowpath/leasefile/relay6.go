package leasefile

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Codes of the relay options that Kea names in a lease's relay information.
const (
	optRemoteID = 37 // RFC 4649
	optRelayID  = 53 // RFC 5460
)

// relayInfo is an element of ISC.relay-info, as Kea's store-extended-info makes it.
type relayInfo struct {
	Hop      uint8  `json:"hop"`
	Link     string `json:"link"`
	Options  string `json:"options,omitempty"`
	Peer     string `json:"peer"`
	RelayID  string `json:"relay-id,omitempty"`
	RemoteID string `json:"remote-id,omitempty"`
}

// context6 is the user context that Kea has for l: ours and the relay information.
func context6(l *lease6.Lease6) string {
	if l.RelayInfoLen == 0 || !lease6.ValidRelays(l.Relays()) {
		return l.UserContext
	}
	var list []relayInfo
	var r lease6.Relay
	for rest, more := lease6.NextRelay(l.Relays(), &r); more; rest, more = lease6.NextRelay(rest, &r) {
		e := relayInfo{Hop: r.Hop, Link: r.Link.String(), Peer: r.Peer.String()}
		if len(r.Options) > 0 {
			e.Options = "0x" + upperHex(r.Options)
			e.RelayID, e.RemoteID = upperHex(option(r.Options, optRelayID)), upperHex(option(r.Options, optRemoteID))
		}
		list = append(list, e)
	}
	context, isc := map[string]any{}, map[string]any{}
	if l.UserContext != "" {
		if json.Unmarshal([]byte(l.UserContext), &context) != nil {
			return l.UserContext
		}
		if have, ok := context["ISC"].(map[string]any); ok {
			isc = have
		}
	}
	isc["relay-info"] = list
	context["ISC"] = isc
	text, err := json.Marshal(context)
	if err != nil {
		return l.UserContext
	}
	return string(text)
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// option finds the first option of a code in options as they are on the wire, nil
// if there is none.
func option(b []byte, code uint16) []byte {
	for len(b) >= 4 {
		n := int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			return nil
		}
		if binary.BigEndian.Uint16(b) == code {
			return b[4 : 4+n]
		}
		b = b[4+n:]
	}
	return nil
}

// splitContext6 takes the relay information out of a user context of Kea's, if it
// is what Kea 2.3 and later make and is not too long to keep; else all of it stays
// user context.
func splitContext6(text []byte, l *lease6.Lease6) {
	l.UserContext, l.RelayInfoLen = string(text), 0
	if !strings.Contains(l.UserContext, `"relay-info"`) {
		return
	}
	var context map[string]json.RawMessage
	var isc map[string]json.RawMessage
	var list []relayInfo
	if json.Unmarshal(text, &context) != nil || json.Unmarshal(context["ISC"], &isc) != nil || json.Unmarshal(isc["relay-info"], &list) != nil {
		return
	}
	var info []byte
	for _, e := range list {
		link, err := netip.ParseAddr(e.Link)
		peer, err2 := netip.ParseAddr(e.Peer)
		options, err3 := hex.DecodeString(strings.TrimPrefix(e.Options, "0x"))
		if err != nil || err2 != nil || err3 != nil || link.Zone()+peer.Zone() != "" || !link.Is6() || !peer.Is6() || len(options) > lease6.MaxRelayInfoLen {
			return
		}
		info = lease6.AppendRelay(info, &lease6.Relay{Hop: e.Hop, Link: link.As16(), Peer: peer.As16(), Options: options})
	}
	if len(list) == 0 || !l.SetRelays(info) {
		return
	}
	delete(isc, "relay-info")
	delete(context, "ISC")
	if len(isc) > 0 {
		context["ISC"], _ = json.Marshal(isc) // it was JSON before
	}
	l.UserContext = ""
	if len(context) > 0 {
		rest, _ := json.Marshal(context)
		l.UserContext = string(rest)
	}
}
