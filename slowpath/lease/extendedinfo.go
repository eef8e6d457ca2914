package lease

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Values of Kea's sanity-checks.extended-info-checks.
const (
	ExtendedInfoNone     = "none"     // contexts are left as they are
	ExtendedInfoFix      = "fix"      // old forms become new ones, what is of another type goes
	ExtendedInfoStrict   = "strict"   // as fix, and values must be what they should be
	ExtendedInfoPedantic = "pedantic" // as strict, and nothing else may stand beside them
)

// ownInfo is how the engine begins what it keeps of a relay (store-extended-info).
const ownInfo = `{ "ISC": { "relay-agent-info": { "`

// Sub-options of option 82 by which leases are looked for (RFC 3046 §3.2, RFC 6925).
const (
	raiRemoteID = 2
	raiRelayID  = 12
)

// CheckExtendedInfo4 holds what the user context of a lease says of the relay
// against its form, as Kea does when it loads leases (upgradeLease4ExtendedInfo).
// It returns the context that the lease is to have, which is context itself where
// nothing is to be changed. err says why something was taken away; the context is
// good all the same.
func CheckExtendedInfo4(context, mode string) (fixed string, err error) {
	if mode == ExtendedInfoNone || context == "" || mode == ExtendedInfoFix && strings.HasPrefix(context, ownInfo) {
		return context, nil
	}
	var all, isc, info map[string]json.RawMessage
	if json.Unmarshal([]byte(context), &all) != nil {
		return "", errors.New("in user context a problem was found: user context is not a map")
	}
	if len(all) == 0 {
		return "", nil
	}
	raw, has := all["ISC"]
	if !has {
		return context, nil
	}
	put := func() string {
		if len(isc) > 0 {
			all["ISC"] = marshal(isc)
		} else {
			delete(all, "ISC")
		}
		if len(all) == 0 {
			return ""
		}
		return string(marshal(all))
	}
	if json.Unmarshal(raw, &isc) != nil {
		return put(), errors.New("in isc a problem was found: ISC entry is not a map")
	}
	if len(isc) == 0 {
		return put(), nil
	}
	if raw, has = isc["relay-agent-info"]; !has {
		return context, nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil && raw[0] == '"' {
		b, ok := formattedHex(text)
		if !ok {
			delete(isc, "relay-agent-info")
			return put(), fmt.Errorf("in rai a problem was found: '%s' is not a valid string of hexadecimal digits", text)
		}
		up := map[string]string{"sub-options": text}
		for ; len(b) >= 2 && len(b) >= 2+int(b[1]); b = b[2+int(b[1]):] {
			v := strings.ToUpper(hex.EncodeToString(b[2 : 2+int(b[1])]))
			switch {
			case v == "":
			case b[0] == raiRemoteID:
				up["remote-id"] += v
			case b[0] == raiRelayID:
				up["relay-id"] += v
			}
		}
		isc["relay-agent-info"] = marshal(up)
		return put(), nil
	}
	if raw[0] != '{' || json.Unmarshal(raw, &info) != nil {
		delete(isc, "relay-agent-info")
		return put(), errors.New("in relay-agent-info a problem was found: relay-agent-info is not a map or a string")
	}
	if mode == ExtendedInfoFix {
		return context, nil
	}
	if err := checkRelayInfo(info, mode == ExtendedInfoPedantic); err != nil {
		delete(isc, "relay-agent-info")
		return put(), err
	}
	return context, nil
}

// checkRelayInfo says what is wrong with the members of relay-agent-info.
func checkRelayInfo(info map[string]json.RawMessage, pedantic bool) error {
	for _, name := range []string{"sub-options", "remote-id", "relay-id"} {
		raw, has := info[name]
		if !has {
			continue
		}
		var s string
		if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
			return fmt.Errorf("in %s a problem was found: %s is not a string", name, name)
		}
		if name == "sub-options" {
			if _, ok := formattedHex(s); !ok {
				return fmt.Errorf("in %s a problem was found: '%s' is not a valid string of hexadecimal digits", name, s)
			}
			continue
		}
		switch _, err := hex.DecodeString(s); {
		case err != nil:
			return fmt.Errorf("in %s a problem was found: '%s' is not hexadecimal", name, s)
		case s == "":
			return fmt.Errorf("in %s a problem was found: %s is empty", name, name)
		}
	}
	if !pedantic {
		return nil
	}
	names := make([]string, 0, len(info))
	for name := range info {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch name {
		case "sub-options", "remote-id", "relay-id", "comment":
		default:
			return fmt.Errorf("in relay-agent-info a problem was found: spurious '%s' entry in relay-agent-info", name)
		}
	}
	return nil
}

// formattedHex reads octets in Kea's forms: with colons or blanks between them, or
// digits alone, with or without 0x.
func formattedHex(s string) ([]byte, bool) {
	for _, sep := range []string{":", " "} {
		if !strings.Contains(s, sep) {
			continue
		}
		var out []byte
		for _, p := range strings.Split(s, sep) {
			if len(p) == 1 {
				p = "0" + p
			}
			b, err := hex.DecodeString(p)
			if err != nil || len(b) != 1 {
				return nil, false
			}
			out = append(out, b[0])
		}
		return out, true
	}
	if len(s) > 2 && s[:2] == "0x" {
		s = s[2:]
	}
	if len(s)%2 != 0 {
		s = "0" + s
	}
	b, err := hex.DecodeString(s)
	return b, err == nil
}

func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("{}") // not possible: the values have just been read
	}
	return b
}
