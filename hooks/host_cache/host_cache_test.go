package host_cache

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/hooks"
)

// What the commands do is tested where there are look-ups: by conversations with
// the server.

func TestParameters(t *testing.T) {
	for _, tc := range []struct {
		params string
		want   int
		err    string
	}{
		{``, 0, ""},
		{`{}`, 0, ""},
		{`{"maximum": 0}`, 0, ""},
		{`{"maximum": 1000}`, 1000, ""},
		{`{"maximum": 1000000000}`, 1000000000, ""},
		{`{"host-cache": {"maximum": 7}}`, 7, ""},
		{`{"host-cache": {}}`, 0, ""},
		{`{"maximum": -1}`, 0, "Host Cache maximum parameter is negative"},
		{`{"maximum": 1000000001}`, 0, "Host Cache maximum parameter is too large (1000000001 > 1000000000)"},
		{`{"maximum": "x"}`, 0, "'maximum' is not an integer"},
		{`{"minimum": 1}`, 0, "unknown parameter 'minimum'"},
		{`{"host-cache": {"minimum": 7}}`, 0, "unknown parameter 'minimum'"},
		{`{"host-cache": {}, "maximum": 7}`, 0, "'host-cache' is to be the only parameter"},
		{`{"host-cache": 7}`, 0, "Host Cache config is not a map"},
		{`[]`, 0, "Host Cache config is not a map"},
	} {
		lib := New()
		pl, err := hooks.Compile([]hooks.Configured{{Library: lib, Params: json.RawMessage(tc.params)}}, &hooks.Server{})
		if err != nil {
			if tc.err == "" || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: %v, want %q", tc.params, err, tc.err)
			}
			continue
		}
		if tc.err != "" || lib.maximum != tc.want || !pl.UsesHostCache() {
			t.Errorf("%s: maximum %d, want %d, %q", tc.params, lib.maximum, tc.want, tc.err)
		}
		if err := pl.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Kea's cache cannot hold several hosts of one address either.
func TestUniqueReservationsOnly(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for _, srv := range []*hooks.Server{{Config4: &hooks.Config4{SharedReservations: shared}}, {Config6: &hooks.Config6{SharedReservations: shared}}} {
			pl, err := hooks.Compile([]hooks.Configured{{Library: New()}}, srv)
			if (err != nil) != shared || shared && !strings.Contains(err.Error(), "ip-reservations-unique=false") {
				t.Errorf("shared %v: %v", shared, err)
			}
			if err == nil {
				if err := pl.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// FuzzEntry: an entry is read or refused, whatever it is.
func FuzzEntry(f *testing.F) {
	for _, s := range []string{
		`{"subnet-id4": 1, "hw-address": "02:c1:00:00:00:01", "ip-address": "10.67.1.0"}`, `{"negative": true}`, `[]`, `{"prefixes": ["::/0"], "duid": "01"}`,
		`{"host-id": 1e5, "flex-id": "'x'"}`, `{"subnet-id4": 4294967296}`, `{"option-data6": [1]}`, `null`, `{`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if !json.Valid(in) {
			return
		}
		x, err := entryOf(in)
		if err != nil {
			return
		}
		for _, h := range []json.RawMessage{x.Host4, x.Host6} {
			var m map[string]json.RawMessage
			if json.Unmarshal(h, &m) != nil || len(m) == 0 {
				t.Errorf("%s is read as %s", in, h)
			}
		}
	})
}
