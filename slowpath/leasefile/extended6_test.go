package leasefile

import (
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// What each value of extended-info-checks makes of a user context, as in Kea.
func TestCheckContext6(t *testing.T) {
	const (
		none = 1 << iota
		fix
		strict
		pedantic
	)
	good := `{"ISC":{"relay-info":[{"hop":33,"link":"2001:db8::1","options":"0x00C800080102030405060708","peer":"2001:db8::2"}]},"foo":1.50}`
	old := `{"ISC":{"relays":[{"hop":3,"link":"2001:db8::5","options":"0x00250006010203040506003500086464646464646464","peer":"2001:db8::6"}]}}`
	upgraded := `{"ISC":{"relay-info":[{"hop":3,"link":"2001:db8::5","options":"0x00250006010203040506003500086464646464646464","peer":"2001:db8::6","relay-id":"6464646464646464","remote-id":"010203040506"}]}}`
	for _, c := range []struct {
		in   string
		kept uint // by which it stays as it is
		want string
		why  string
	}{
		{"", none | fix | strict | pedantic, "", ""},
		{good, none | fix | strict | pedantic, "", ""},
		{`{"a":1}`, none | fix | strict | pedantic, "", ""},
		{`[1]`, none, "", "user context is not a map"},
		{`nonsense`, none, "", "user context is not a map"},
		{`null`, none, "", "user context is not a map"},
		{`{}`, none, "", ""},
		{`{"ISC":1,"x":2}`, none, `{"x":2}`, "ISC entry is not a map"},
		{`{"ISC":{}}`, none, "", ""},
		{`{"ISC":{},"x":2}`, none, `{"x":2}`, ""},
		{old, none, upgraded, ""},
		{`{"ISC":{"relay-info":[{"hop":1}],"relays":[{}]}}`, none, "", "no link"},
		{`{"ISC":{"relays":7}}`, none, "", "relays is not a list"},
		{`{"ISC":{"relays":[]},"x":1}`, none, `{"x":1}`, "relays is empty"},
		{`{"ISC":{"relay-info":{}}}`, none, "", "relay-info is not a list"},
		{`{"ISC":{"relay-info":[1],"y":2}}`, none, `{"ISC":{"y":2}}`, "relay#0 is not a map"},
		{`{"ISC":{"relay-info":[{"options":1}]}}`, none, "", "options is not a string"},
		{`{"ISC":{"relay-info":[{"options":"0xZZ"}]}}`, none, "", "invalid byte"},
		{`{"ISC":{"relay-info":[{}]}}`, none | fix, "", "no link"},
		{`{"ISC":{"relay-info":[{"link":1}]}}`, none | fix, "", "link is not a string"},
		{`{"ISC":{"relay-info":[{"link":"10.0.0.1"}]}}`, none | fix, "", "link is not an IPv6 address"},
		{`{"ISC":{"relay-info":[{"link":"::1","remote-id":1}]}}`, none | fix, "", "remote-id is not a string"},
		{`{"ISC":{"relay-info":[{"link":"::1","relay-id":""}]}}`, none | fix, "", "relay-id is empty"},
		{`{"ISC":{"relay-info":[{"link":"::1"}]}}`, none | fix | strict, "", "no peer"},
		{`{"ISC":{"relay-info":[{"link":"::1","peer":"x"}]}}`, none | fix | strict, "", "peer is not an IPv6 address"},
		{`{"ISC":{"relay-info":[{"link":"::1","peer":"::2"}]}}`, none | fix | strict, "", "no hop"},
		{`{"ISC":{"relay-info":[{"hop":1.5,"link":"::1","peer":"::2"}]}}`, none | fix | strict, "", "hop is not an integer"},
		{`{"ISC":{"relay-info":[{"hop":1,"link":"::1","peer":"::2","z":1}]}}`, none | fix | strict, "", "spurious 'z' entry"},
		{`{"ISC":{"relay-info":[{"comment":"c","hop":1,"link":"::1","peer":"::2"}]}}`, none | fix | strict | pedantic, "", ""},
	} {
		for i, checks := range []string{"none", "fix", "strict", "pedantic"} {
			want, why := c.want, c.why
			if c.kept&(1<<i) != 0 {
				want, why = c.in, ""
			} else if strings.Contains(c.in, `"relays":[{}]`) && checks == "fix" {
				want, why = `{"ISC":{"relay-info":[{"hop":1}]}}`, "" // relay-info counts
			}
			got, err := CheckContext6(c.in, checks)
			if got != want {
				t.Errorf("%s %s: %q, want %q", checks, c.in, got, want)
			}
			if (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
				t.Errorf("%s %s: error %v, want %q", checks, c.in, err, why)
			}
		}
	}
	// What comes out can be kept apart from the context.
	l := new(lease6.Lease6)
	if SetUserContext6(l, upgraded); l.RelayInfoLen == 0 || l.UserContext != "" || UserContext6(l) != upgraded {
		t.Errorf("%q, %d octets of relay information", UserContext6(l), l.RelayInfoLen)
	}
}

func TestDecodeFormattedHex(t *testing.T) {
	for s, want := range map[string]string{"0xABcd": "\xab\xcd", "ab:c:01": "\xab\x0c\x01", "01 2": "\x01\x02", "abc": "\x0a\xbc", "": ""} {
		if b, err := decodeFormattedHex(s); err != nil || string(b) != want {
			t.Errorf("%q: %x, %v", s, b, err)
		}
	}
	for _, s := range []string{"zz", "1:zz", "123:4", "1::2", "0xg0"} {
		if b, err := decodeFormattedHex(s); err == nil {
			t.Errorf("%q: %x", s, b)
		}
	}
}
