package engine

import (
	"encoding/json"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// The relay's option is kept with the lease as Kea does, in its user context
// (V4-109), and may stand in for that of a client that renews without a relay
// (V4-108).

// rai returns a sub-option of the relay's option: of the query, or of the stash.
func (q *Query4) rai(sub uint8) []byte {
	if len(q.stash) == 0 {
		return q.Msg.RAI(sub)
	}
	for b := q.stash; len(b) >= 2 && len(b) >= 2+int(b[1]); b = b[2+int(b[1]):] {
		if b[0] == sub {
			return b[2 : 2+int(b[1])]
		}
	}
	return nil
}

// relayOption is the content of option 82: of the query, or the stash.
func (q *Query4) relayOption() []byte {
	if len(q.stash) > 0 {
		return q.stash
	}
	return q.Msg.Option(dhcp4.OptRelayAgentInformation)
}

const upperHex = "0123456789ABCDEF"

func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, upperHex[c>>4], upperHex[c&15])
	}
	return dst
}

// RelayOption and RelaySubOption are option 82 and a sub-option of it as the
// query has them or, where stash-agent-options has recovered them, the lease; nil
// where they are not there. They are valid as long as the query.
func (q *Query4) RelayOption() []byte              { return q.relayOption() }
func (q *Query4) RelaySubOption(code uint8) []byte { return q.rai(code) }

// storeExtendedInfo keeps the relay's option in the lease's user context. A
// lease whose relay says the same again keeps its text, so that nothing is
// allocated.
func (w *Worker) storeExtendedInfo(q *Query4, l *lease.Lease4) {
	if !q.Subnet.StoreExtendedInfo || len(q.stash) > 0 {
		return
	}
	o := q.Msg.Option(dhcp4.OptRelayAgentInformation)
	if o == nil {
		return
	}
	b := append(w.context[:0], `{ "ISC": `...)
	inner := len(b)
	b = append(b, `{ "relay-agent-info": `...)
	info := len(b)
	b = append(b, "{ "...)
	for _, x := range [...]struct {
		name string
		sub  uint8
	}{{"relay-id", dhcp4.RAIRelayID}, {"remote-id", dhcp4.RAIRemoteID}} {
		if v := q.Msg.RAI(x.sub); len(v) > 0 {
			b = append(b, '"')
			b = append(b, x.name...)
			b = append(b, `": "`...)
			b = append(appendHex(b, v), `", `...)
		}
	}
	b = append(b, `"sub-options": "0x`...)
	b = append(appendHex(b, o), `" }`...)
	end := len(b)
	b = append(b, " } }"...)
	w.context = b
	switch old := l.UserContext; {
	case old == string(b):
	case old == "" || strings.HasPrefix(old, string(b[:info])) && strings.Count(old, "{") == 3:
		l.UserContext = string(b)
	default:
		// Somebody else keeps something there too.
		l.UserContext = mergeContext(old, b[info:end], b[inner:len(b)-2], b)
	}
}

// mergeContext puts relay-agent-info into a user context that has more; what is
// no map gives way.
func mergeContext(old string, info, isc, whole []byte) string {
	var m map[string]json.RawMessage
	if json.Unmarshal([]byte(old), &m) != nil || m == nil {
		return string(whole)
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(m["ISC"], &inner) != nil || inner == nil {
		m["ISC"] = isc
	} else {
		inner["relay-agent-info"] = info
		b, err := json.Marshal(inner)
		if err != nil {
			return old
		}
		m["ISC"] = b
	}
	b, err := json.Marshal(m)
	if err != nil {
		return old
	}
	return string(b)
}

// recoverStash takes the relay's option from the lease of a client that renews
// directly, and puts the query into class STASH_AGENT_OPTIONS (V4-108).
func (w *Worker) recoverStash(q *Query4) {
	v := q.Msg
	if v.Type() != dhcp4.MsgRequest || v.CIAddr() == 0 || v.GIAddr() != 0 || len(v.Option(dhcp4.OptRelayAgentInformation)) > 0 {
		return
	}
	l := &w.cur
	if !w.t.Get(v.CIAddr(), l) || l.State != lease.StateDefault || l.Expired(q.NowUnixS) || !q.owns(l, q.cid) {
		return
	}
	if q.stash = appendStash(q.stash[:0], l.UserContext); len(q.stash) > 0 {
		q.Classes.Put(classStash)
	}
}

// appendStash appends the octets of sub-options in relay-agent-info of a user
// context, in its form of before Kea 2.3 too; nothing if they are not well
// formed.
func appendStash(dst []byte, context string) []byte {
	_, rest, ok := strings.Cut(context, `"ISC"`)
	if ok {
		// A variable of that name holds what the client likes.
		if i := strings.Index(rest, bindingVariables); i >= 0 && !strings.Contains(rest[:i], `"relay-agent-info"`) {
			rest = behindMap(rest[i+len(bindingVariables):])
		}
		_, rest, ok = strings.Cut(rest, `"relay-agent-info"`)
	}
	if !ok {
		return dst
	}
	rest = strings.TrimLeft(rest, ": \t\n")
	if strings.HasPrefix(rest, "{") {
		if _, rest, ok = strings.Cut(rest, `"sub-options"`); !ok {
			return dst
		}
		rest = strings.TrimLeft(rest, ": \t\n")
	}
	if rest, ok = strings.CutPrefix(rest, `"0x`); !ok {
		return dst
	}
	from := len(dst)
	for len(rest) >= 2 {
		hi, lo := hexDigit(rest[0]), hexDigit(rest[1])
		if hi > 15 || lo > 15 {
			break
		}
		dst = append(dst, hi<<4|lo)
		rest = rest[2:]
	}
	b := dst[from:]
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		b = b[2+int(b[1]):]
	}
	if !strings.HasPrefix(rest, `"`) || len(b) > 0 {
		return dst[:from]
	}
	return dst
}

// bindingVariables is the member under ISC that hook library lease_cmds keeps: a
// map of texts.
const bindingVariables = `"binding-variables"`

// behindMap is what follows the map of texts that s begins with.
func behindMap(s string) string {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '}' && !quoted:
			return s[i+1:]
		}
	}
	return ""
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
