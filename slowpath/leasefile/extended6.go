package leasefile

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// CheckContext6 checks the extended information in a DHCPv6 lease's user context
// as Kea's sanity-checks.extended-info-checks says: "none" nothing; "fix" brings
// what Kea before 2.3.2 wrote (ISC.relays) into today's form (ISC.relay-info) and
// looks at its frame; "strict" looks at what Bulk Leasequery uses too, "pedantic"
// at everything. What is wrong is taken out of the context: it returns the one to
// keep, which is text itself where nothing is to be changed, and what the problem
// was, nil if there was none.
func CheckContext6(text, checks string) (string, error) {
	if checks == "none" || text == "" {
		return text, nil
	}
	context, ok := decodeObject([]byte(text))
	if !ok {
		return "", errors.New("in user context a problem was found: user context is not a map")
	}
	if len(context) == 0 {
		return "", nil
	}
	raw, ok := context["ISC"]
	if !ok {
		return text, nil
	}
	isc, ok := raw.(map[string]any)
	if !ok {
		delete(context, "ISC")
		return encodeContext(context), errors.New("in isc a problem was found: ISC entry is not a map")
	}
	before := encodeContext(context)
	err := checkISC(isc, checks)
	if len(isc) == 0 {
		delete(context, "ISC")
	}
	if after := encodeContext(context); after != before {
		return after, err
	}
	return text, err
}

func decodeObject(text []byte) (m map[string]any, ok bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // numbers stay as they were written
	return m, d.Decode(&m) == nil && m != nil
}

func encodeContext(m map[string]any) string {
	if len(m) == 0 {
		return ""
	}
	text, err := json.Marshal(m)
	if err != nil {
		return "" // cannot be: it was JSON before
	}
	return string(text)
}

// checkISC brings relays into the form of relay-info and checks that; if something
// is wrong there, there is none any more.
func checkISC(isc map[string]any, checks string) (err error) {
	old, upgrade := isc["relays"]
	delete(isc, "relays")
	verifying := "relay-info"
	if _, both := isc["relay-info"]; both {
		upgrade = false
	} else if upgrade {
		verifying = "relays"
		isc["relay-info"] = old
	}
	info, have := isc["relay-info"]
	if !have {
		return nil
	}
	defer func() {
		if err != nil {
			delete(isc, "relay-info")
		}
	}()
	list, ok := info.([]any)
	if !ok {
		return fmt.Errorf("in %s a problem was found: %s is not a list", verifying, verifying)
	}
	if len(list) == 0 {
		return fmt.Errorf("in %s a problem was found: %s is empty", verifying, verifying)
	}
	for i, e := range list {
		relay, ok := e.(map[string]any)
		if !ok {
			return fmt.Errorf("in relay [relay#%d] a problem was found: relay#%d is not a map", i, i)
		}
		if where, err := checkRelay(relay, checks, upgrade); err != nil {
			return fmt.Errorf("in %s [relay#%d] a problem was found: %w", where, i, err)
		}
	}
	return nil
}

// checkRelay returns what was looked at when something was wrong.
func checkRelay(relay map[string]any, checks string, upgrade bool) (where string, err error) {
	if v, ok := relay["options"]; ok {
		text, ok := v.(string)
		if !ok {
			return "options", errors.New("options is not a string")
		}
		data, err := decodeFormattedHex(text)
		if err != nil {
			return "options", err
		}
		if upgrade {
			for code, key := range map[uint16]string{optRemoteID: "remote-id", optRelayID: "relay-id"} {
				if b := option(data, code); len(b) > 0 {
					relay[key] = upperHex(b)
				}
			}
		}
	}
	if checks == "fix" {
		return "", nil
	}
	if err := checkAddress(relay, "link"); err != nil {
		return "link", err
	}
	for _, key := range [...]string{"remote-id", "relay-id"} {
		v, ok := relay[key]
		if !ok {
			continue
		}
		text, ok := v.(string)
		if !ok {
			return key, fmt.Errorf("%s is not a string", key)
		}
		if b, err := hex.DecodeString(text); err != nil {
			return key, err
		} else if len(b) == 0 {
			return key, fmt.Errorf("%s is empty", key)
		}
	}
	if checks != "pedantic" {
		return "", nil
	}
	if err := checkAddress(relay, "peer"); err != nil {
		return "peer", err
	}
	switch hop, ok := relay["hop"]; {
	case !ok:
		return "hop", errors.New("no hop")
	default:
		if n, ok := hop.(json.Number); !ok || strings.ContainsAny(n.String(), ".eE") {
			return "hop", errors.New("hop is not an integer")
		}
	}
	known := []string{"hop", "link", "peer", "options", "remote-id", "relay-id", "comment"}
	var spurious []string
	for key := range relay {
		if !slices.Contains(known, key) {
			spurious = append(spurious, key)
		}
	}
	if len(spurious) > 0 {
		slices.Sort(spurious)
		return "relay-info", fmt.Errorf("spurious '%s' entry", spurious[0])
	}
	return "", nil
}

func checkAddress(relay map[string]any, key string) error {
	v, ok := relay[key]
	if !ok {
		return fmt.Errorf("no %s", key)
	}
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("%s is not a string", key)
	}
	if a, err := netip.ParseAddr(text); err != nil || !a.Is6() {
		return fmt.Errorf("%s is not an IPv6 address", key)
	}
	return nil
}

// decodeFormattedHex reads what Kea reads as hexadecimal: with 0x in front, or
// with colons or blanks between octets, or neither.
func decodeFormattedHex(s string) ([]byte, error) {
	if rest, ok := strings.CutPrefix(s, "0x"); ok {
		s = rest
	}
	if sep := strings.IndexAny(s, ": "); sep >= 0 {
		var b []byte
		for part := range strings.SplitSeq(s, s[sep:sep+1]) {
			if len(part) > 2 || part == "" {
				return nil, fmt.Errorf("%q is not an octet in hexadecimal", part)
			}
			x, err := hex.DecodeString(strings.Repeat("0", 2-len(part)) + part)
			if err != nil {
				return nil, err
			}
			b = append(b, x...)
		}
		return b, nil
	}
	if len(s)%2 == 1 {
		s = "0" + s
	}
	return hex.DecodeString(s)
}
