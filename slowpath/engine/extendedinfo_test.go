package engine

import "testing"

// What is recovered from a lease is its relay's option, and nothing that a binding
// variable says, whatever its name and value are.
func TestStashIsTheRelays(t *testing.T) {
	const own = `"relay-agent-info":{"sub-options":"0x0101AA"}`
	for context, want := range map[string]string{
		`{"ISC":{` + own + `}}`:                                                                                  "\x01\x01\xaa",
		`{"ISC":{"binding-variables":{"a":"b"},` + own + `}}`:                                                    "\x01\x01\xaa",
		`{"ISC":{` + own + `,"binding-variables":{"relay-agent-info":"0x0101BB"}}}`:                              "\x01\x01\xaa",
		`{"ISC":{"binding-variables":{"relay-agent-info":"0x0101BB"},` + own + `}}`:                              "\x01\x01\xaa",
		`{"ISC":{"binding-variables":{"relay-agent-info":"0x0101BB"}}}`:                                          "",
		`{"ISC":{"binding-variables":{"a":"}\"}\\","relay-agent-info":"0x0101BB"}}}`:                             "",
		`{"ISC":{"binding-variables":{"a":"\",\"relay-agent-info\":\"0x0101BB"}}}`:                               "",
		`{"ISC":{"binding-variables":{"a":"}},\"ISC\":{\"relay-agent-info\":\"0x0101BB\"}"},` + own + `},"b":1}`: "\x01\x01\xaa",
		`{"ISC":{"binding-variables":{"a":"`:                                                                     "",
	} {
		if got := string(appendStash(nil, context)); got != want {
			t.Errorf("%s: %x, want %x", context, got, want)
		}
	}
}
