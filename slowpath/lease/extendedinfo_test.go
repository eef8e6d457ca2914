package lease

import (
	"strings"
	"testing"
)

// TestCheckExtendedInfo4: Kea's upgradeLease4ExtendedInfo with each value of
// extended-info-checks. A result of = leaves the context alone.
func TestCheckExtendedInfo4(t *testing.T) {
	const rai = `{"ISC":{"relay-agent-info":`
	for _, c := range []struct{ context, fix, strict, pedantic, err string }{
		{"", "=", "=", "=", ""},
		{`{}`, "", "", "", ""},
		{`[]`, "", "", "", "user context is not a map"},
		{`{"a":1}`, "=", "=", "=", ""},
		{`{"ISC":{}}`, "", "", "", ""},
		{`{"ISC":{},"a":1}`, `{"a":1}`, `{"a":1}`, `{"a":1}`, ""},
		{`{"ISC":1}`, "", "", "", "ISC entry is not a map"},
		{`{"ISC":{"b":2}}`, "=", "=", "=", ""},
		{rai + `"0x0202ABCD0C0101"}}`, `{"ISC":{"relay-agent-info":{"relay-id":"01","remote-id":"ABCD","sub-options":"0x0202ABCD0C0101"}}}`, "fix", "fix", ""},
		{rai + `"02:1:5"}}`, `{"ISC":{"relay-agent-info":{"remote-id":"05","sub-options":"02:1:5"}}}`, "fix", "fix", ""},
		{rai + `"0xzz"}}`, "", "", "", "not a valid string"},
		{rai + `7}}`, "", "", "", "not a map or a string"},
		{rai + `null},"a":1}`, `{"a":1}`, `{"a":1}`, `{"a":1}`, "not a map or a string"},
		{rai + `7,"b":2}}`, `{"ISC":{"b":2}}`, `{"ISC":{"b":2}}`, `{"ISC":{"b":2}}`, "not a map or a string"},
		{rai + `{}}}`, "=", "=", "=", ""},
		{rai + `{"sub-options":"0x0101AA","remote-id":"AA","relay-id":"BB"}}}`, "=", "=", "=", ""},
		{rai + `{"sub-options":1}}}`, "=", "", "", "sub-options is not a string"},
		{rai + `{"sub-options":"0xq"}}}`, "=", "", "", "hexadecimal"},
		{rai + `{"remote-id":""}}}`, "=", "", "", "remote-id is empty"},
		{rai + `{"remote-id":"ABC"}}}`, "=", "", "", "not hexadecimal"},
		{rai + `{"relay-id":[]}}}`, "=", "", "", "relay-id is not a string"},
		{rai + `{"sub-options":"01","comment":"x"}}}`, "=", "=", "=", ""},
		{rai + `{"sub-options":"01","more":"x"}}}`, "=", "=", "", "spurious 'more'"},
		{ownInfo + `remote-id": "0", "sub-options": "0x00" } } }`, "=", "", "", "not hexadecimal"},
	} {
		want := map[string]string{ExtendedInfoNone: "=", ExtendedInfoFix: c.fix, ExtendedInfoStrict: c.strict, ExtendedInfoPedantic: c.pedantic}
		for mode, w := range want {
			switch w {
			case "=":
				w = c.context
			case "fix":
				w = c.fix
			}
			got, err := CheckExtendedInfo4(c.context, mode)
			if got != w {
				t.Errorf("%s of %s: %s, want %s", mode, c.context, got, w)
			}
			if wantErr := c.err != "" && got != c.context; wantErr != (err != nil) || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s of %s: error %v, want %q", mode, c.context, err, c.err)
			}
		}
	}
}
