package limits

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// rateLimit is so many packets in every span of unitNs.
type rateLimit struct {
	packets uint32
	unitNs  int64
}

// settings are the limits of one client class or subnet; nil is no limit.
type settings struct {
	rate      *rateLimit
	addresses *uint32
	prefixes  *uint32 // of DHCPv6 alone
}

// timeUnits are Kea's: a month has 30 days, a year 365.
var timeUnits = []struct {
	name string
	d    time.Duration
}{
	{"second", time.Second},
	{"minute", time.Minute},
	{"hour", time.Hour},
	{"day", 24 * time.Hour},
	{"week", 7 * 24 * time.Hour},
	{"month", 30 * 24 * time.Hour},
	{"year", 365 * 24 * time.Hour},
}

// parseRateLimit reads "N packet(s) per UNIT".
func parseRateLimit(text string) (rateLimit, error) {
	number, unit, ok := strings.Cut(text, " packets per ")
	if !ok {
		number, unit, ok = strings.Cut(text, " packet per ")
	}
	if !ok {
		return rateLimit{}, fmt.Errorf("expected rate limit of format <n> packet[s] per <time-unit>, got: %s", text)
	}
	n, err := parseCount(number)
	if err != nil {
		return rateLimit{}, err
	}
	for _, u := range timeUnits {
		if u.name == unit {
			return rateLimit{packets: n, unitNs: int64(u.d)}, nil
		}
	}
	return rateLimit{}, fmt.Errorf("invalid time period %s", unit)
}

// parseCount reads a limit: 0 to 2^32-1.
func parseCount(text string) (uint32, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && strings.HasPrefix(text, "-"), err == nil && n < 0:
		return 0, fmt.Errorf("expected positive limit configured, got negative limit %s", text)
	case errors.Is(err, strconv.ErrRange), err == nil && n > math.MaxUint32:
		return 0, fmt.Errorf("expected limit in range [0, %d], got limit %s", uint32(math.MaxUint32), text)
	case err != nil:
		return 0, fmt.Errorf("expected a whole number as limit, got %q", text)
	}
	return uint32(n), nil
}

// parseUserContext reads the "limits" of a user-context (nil: none). Other keys
// belong to others.
func parseUserContext(uc json.RawMessage) (settings, error) {
	var s settings
	raw, err := member(uc, "user-context", "limits")
	if err != nil || raw == nil {
		return s, err
	}
	if v, err := member(raw, "limits", "rate-limit"); err != nil {
		return s, err
	} else if v != nil {
		var text string
		if json.Unmarshal(v, &text) != nil || v[0] != '"' {
			return s, fmt.Errorf("rate-limit: expected a string, got %s", v)
		}
		r, err := parseRateLimit(text)
		if err != nil {
			return s, fmt.Errorf("rate-limit: %w", err)
		}
		s.rate = &r
	}
	for _, key := range []string{"address-limit", "prefix-limit"} {
		v, err := member(raw, "limits", key)
		if err != nil {
			return s, err
		}
		if v == nil {
			continue
		}
		n, err := parseCount(string(v))
		if err != nil {
			return s, fmt.Errorf("%s: %w", key, err)
		}
		if key == "address-limit" {
			s.addresses = &n
		} else {
			s.prefixes = &n
		}
	}
	return s, nil
}

// member returns the member of a JSON object, nil if there is none.
func member(object json.RawMessage, name, key string) (json.RawMessage, error) {
	object = bytes.TrimSpace(object)
	if len(object) == 0 || string(object) == "null" && name == "user-context" {
		return nil, nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(object, &m); err != nil || m == nil {
		return nil, fmt.Errorf("%s: expected a map, got %s", name, object)
	}
	v, ok := m[key]
	if !ok {
		return nil, nil
	}
	return bytes.TrimSpace(v), nil
}
