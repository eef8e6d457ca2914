package config

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
)

// Expressions of hook libraries know Kea's options and those of option-def, each
// family its own.
func TestExpressions(t *testing.T) {
	s, err := Parse("test.json", []byte(`{ "Dhcp4": { "option-def": [ { "name": "mine", "code": 222, "type": "uint32" } ] }, "Dhcp6": { "option-def": [ { "name": "yours", "code": 2222, "type": "uint32" } ] } }`), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text      string
		four, six bool
	}{
		{"option[domain-name].text", true, false}, {"option[mine].text", true, false},
		{"option[dns-servers].text", false, true}, {"option[yours].text", false, true}, {"option[222].hex", true, true},
	} {
		_, err4 := class.Compile(c.text, class.String, s.Dhcp4.Expressions())
		_, err6 := class.Compile(c.text, class.String, s.Dhcp6.Expressions())
		if (err4 == nil) != c.four || (err6 == nil) != c.six {
			t.Errorf("%s: %v, %v", c.text, err4, err6)
		}
	}
}
