package limits

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/hookstest"
)

func TestParseRateLimit(t *testing.T) {
	day := 24 * time.Hour
	for _, tc := range []struct {
		text    string
		packets uint32
		unit    time.Duration
		err     string
	}{
		{"1 packet per second", 1, time.Second, ""},
		{"2 packets per minute", 2, time.Minute, ""},
		{"1000 packets per hour", 1000, time.Hour, ""},
		{"5 packet per day", 5, day, ""},
		{"0 packets per week", 0, 7 * day, ""},
		{"1 packets per month", 1, 30 * day, ""},
		{"4294967295 packets per year", 4294967295, 365 * day, ""},
		{"", 0, 0, "expected rate limit of format <n> packet[s] per <time-unit>, got: "},
		{"1 packet", 0, 0, "expected rate limit of format <n> packet[s] per <time-unit>, got: 1 packet"},
		{"1 leases per second", 0, 0, "expected rate limit of format <n> packet[s] per <time-unit>, got: 1 leases per second"},
		{"1 packet per eon", 0, 0, "invalid time period eon"},
		{"1 packet per seconds", 0, 0, "invalid time period seconds"},
		{"1 packet per ", 0, 0, "invalid time period "},
		{"-1 packets per second", 0, 0, "expected positive limit configured, got negative limit -1"},
		{"-99999999999999999999 packets per second", 0, 0, "expected positive limit configured, got negative limit -99999999999999999999"},
		{"4294967296 packets per second", 0, 0, "expected limit in range [0, 4294967295], got limit 4294967296"},
		{"99999999999999999999 packets per second", 0, 0, "expected limit in range [0, 4294967295], got limit 99999999999999999999"},
		{"many packets per second", 0, 0, `expected a whole number as limit, got "many"`},
		{"1.5 packets per second", 0, 0, `expected a whole number as limit, got "1.5"`},
		{"12x packets per second", 0, 0, `expected a whole number as limit, got "12x"`},
		{" packets per second", 0, 0, `expected a whole number as limit, got ""`},
	} {
		r, err := parseRateLimit(tc.text)
		if tc.err != "" {
			if err == nil || err.Error() != tc.err {
				t.Errorf("%q: %v, want %q", tc.text, err, tc.err)
			}
			continue
		}
		if err != nil || r.packets != tc.packets || r.unitNs != int64(tc.unit) {
			t.Errorf("%q: %+v, %v", tc.text, r, err)
		}
	}
}

func TestParseUserContext(t *testing.T) {
	for _, tc := range []struct{ uc, want string }{
		{``, "no rate, no addresses"},
		{`null`, "no rate, no addresses"},
		{`{}`, "no rate, no addresses"},
		{`{"radius":{"limits":{"rate-limit":7}}}`, "no rate, no addresses"},
		{`{"limits":{}}`, "no rate, no addresses"},
		{`{"limits":{"note":"x"}}`, "no rate, no addresses"},
		{` {"limits": {"rate-limit": "3 packets per hour", "address-limit": 0, "prefix-limit": 5}}`, "rate 3, addresses 0"},
		{`{"limits":{"address-limit":4294967295}}`, "no rate, addresses 4294967295"},
		{`{"limits":7}`, `limits: expected a map, got 7`},
		{`{"limits":null}`, `limits: expected a map, got null`},
		{`[1]`, `user-context: expected a map, got [1]`},
		{`{"limits":{"rate-limit":5}}`, `rate-limit: expected a string, got 5`},
		{`{"limits":{"rate-limit":null}}`, `rate-limit: expected a string, got null`},
		{`{"limits":{"rate-limit":"5"}}`, `rate-limit: expected rate limit of format <n> packet[s] per <time-unit>, got: 5`},
		{`{"limits":{"address-limit":-1}}`, `address-limit: expected positive limit configured, got negative limit -1`},
		{`{"limits":{"address-limit":4294967296}}`, `address-limit: expected limit in range [0, 4294967295], got limit 4294967296`},
		{`{"limits":{"address-limit":"5"}}`, `address-limit: expected a whole number as limit, got "\"5\""`},
		{`{"limits":{"address-limit":1e3}}`, `address-limit: expected a whole number as limit, got "1e3"`},
		{`{"limits":{"prefix-limit":-7}}`, `prefix-limit: expected positive limit configured, got negative limit -7`},
	} {
		s, err := parseUserContext(json.RawMessage(tc.uc))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = "no rate"
			if s.rate != nil {
				got = "rate " + string(rune('0'+s.rate.packets))
			}
			if s.addresses == nil {
				got += ", no addresses"
			} else {
				n, _ := json.Marshal(*s.addresses)
				got += ", addresses " + string(n)
			}
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s", tc.uc, got, tc.want)
		}
	}
}

func TestLoadReportsEveryError(t *testing.T) {
	_, err := hooks.Compile([]hooks.Configured{{Library: New()}}, &hooks.Server{Config4: &hooks.Config4{
		Classes: []hooks.ClassInfo{
			{Name: "gold", UserContext: json.RawMessage(`{"limits":{"rate-limit":"1 packet per eon"}}`)},
			{Name: "fine", UserContext: json.RawMessage(`{"limits":{"address-limit":1}}`)},
		},
		Subnets: []hooks.SubnetInfo{{ID: 7, UserContext: json.RawMessage(`{"limits":{"address-limit":-3}}`)}},
	}})
	if err == nil {
		t.Fatal("loaded")
	}
	for _, want := range []string{
		"load hook library limits:",
		`client class "gold": rate-limit: invalid time period eon`,
		"subnet id 7: address-limit: expected positive limit configured, got negative limit -3",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// A configuration without limits costs nothing on any point.
func TestNothingConfigured(t *testing.T) {
	for _, cfg := range []*hooks.Config4{nil, {Classes: []hooks.ClassInfo{{Name: "a"}}, Subnets: []hooks.SubnetInfo{{ID: 1}}}} {
		pl := hookstest.Load(t, &hooks.Server{Config4: cfg}, hooks.Configured{Library: New()})
		for _, p := range hooks.QueryPoints() {
			if pl.Has(p) {
				t.Errorf("a callout at %v", p)
			}
		}
		if len(pl.Observers()) != 0 || len(pl.KernelLimits()) != 0 {
			t.Error("an observer or a kernel limit")
		}
	}
}

func TestKernelLimits(t *testing.T) {
	pl := load(t, conf{
		classes: map[string]string{"ALL": `"rate-limit":"9 packets per second"`, "gold": `"rate-limit":"3 packets per second"`},
		subnets: map[uint32]string{5: `"rate-limit":"2 packets per minute"`, 6: `"address-limit":1`},
	})
	got := pl.KernelLimits()
	want := []hooks.KernelLimit{
		{Scope: hooks.ScopeGlobal, Packets: 9, IntervalNs: 1e9, Burst: 9},
		{Scope: hooks.ScopeSubnet, SubnetID: 5, Packets: 2, IntervalNs: 60e9, Burst: 2},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v", got)
	}
}
