package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// keysOf reads a list of testdata: the keys of each map.
func keysOf(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if name, keys, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && line[0] != '#' {
			m[name] = strings.Fields(keys)
		}
	}
	return m
}

// scopesBelow collects the scopes that can be reached, by name.
func scopesBelow(s *scope, all map[string][]*scope) {
	for _, x := range all[s.name] {
		if x == s {
			return
		}
	}
	all[s.name] = append(all[s.name], s)
	for i := range s.keys {
		if sub := s.keys[i].sub; sub != nil {
			scopesBelow(sub, all)
		}
	}
}

// Every key of Kea's Dhcp6 grammar is known in every map where Kea knows it:
// served, or refused by its own name with what is wrong about it.
func TestKeysOfGrammar6(t *testing.T) {
	all := map[string][]*scope{}
	scopesBelow(scopeDhcp6, all)
	later := map[string]string{}
	seen := 0
	for name, keys := range keysOf(t, "dhcp6-keys.txt") {
		if len(all[name]) == 0 {
			t.Errorf("there is no map %q", name)
		}
		for _, s := range all[name] {
			for _, k := range keys {
				seen++
				switch x := s.key(k); {
				case x == nil && s.removed[k] == "" && !s.open:
					t.Errorf("%s: %q is unknown", name, k)
				case x != nil && x.later:
					later[k] = name
				}
			}
		}
	}
	if seen < 350 {
		t.Errorf("only %d keys were looked at", seen)
	}
	// What is not served, with a value that asks for it.
	wants := map[string]string{
		"dhcp4o6-port":    `"Dhcp6": { "dhcp4o6-port": 786 }`,
		"hosts-database":  `"Dhcp6": { "hosts-database": { "type": "mysql", "name": "kea" } }`,
		"hosts-databases": `"Dhcp6": { "hosts-databases": [ { "type": "mysql", "name": "kea" } ] }`,
	}
	for k, name := range later {
		text := wants[k]
		if text == "" {
			// The rest is how to reach a database or another daemon.
			if name != "lease-database" && name != "config-control" && name != "dhcp-ddns" {
				t.Errorf("%q of %s is not served, and no test shows how it is refused", k, name)
			}
			continue
		}
		_, err := Parse("test.conf", []byte("{ "+text+" }"), LoadOptions{})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("not served by this version: %q", k)) {
			t.Errorf("%s: %v", text, err)
		}
		delete(wants, k)
	}
	for k := range wants {
		t.Errorf("%q is served: it needs a test of its own", k)
	}
}

// TestExtendedInfoChecks6: every value that Kea has is taken, and no other.
func TestExtendedInfoChecks6(t *testing.T) {
	for _, v := range []string{"none", "fix", "strict", "pedantic"} {
		s, err := Parse("test.conf", []byte(`{ "Dhcp6": { "sanity-checks": { "extended-info-checks": "`+v+`" } } }`), LoadOptions{})
		if err != nil || s.Dhcp6.ExtendedInfoChecks != v {
			t.Errorf("%s: %v", v, err)
		}
	}
	if _, err := Parse("test.conf", []byte(`{ "Dhcp6": { "sanity-checks": { "extended-info-checks": "bogus" } } }`), LoadOptions{}); err == nil {
		t.Error("a bogus value is taken")
	}
}
