package config

import (
	"fmt"
	"strings"
	"testing"
)

// Every key of Kea's Dhcp4 grammar is known in every map where Kea knows it:
// served, or refused by its own name with what is wrong about it.
func TestKeysOfGrammar4(t *testing.T) {
	all := map[string][]*scope{}
	scopesBelow(scopeDhcp4, all)
	later := map[string]string{}
	seen := 0
	for name, keys := range keysOf(t, "dhcp4-keys.txt") {
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
	const db = `{ "type": "mysql", "name": "kea" }`
	const subnet = `"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", `
	wants := map[string]string{
		"dhcp4o6-port":     `"dhcp4o6-port": 786`,
		"hosts-database":   `"hosts-database": ` + db,
		"hosts-databases":  `"hosts-databases": [ ` + db + ` ]`,
		"config-databases": `"config-control": { "config-databases": [ ` + db + ` ] }`,
		"enable-updates":   `"dhcp-ddns": { "enable-updates": true }`,
		"4o6-interface":    subnet + `"4o6-interface": "eth0" } ]`,
		"4o6-interface-id": subnet + `"4o6-interface-id": "x" } ]`,
		"4o6-subnet":       subnet + `"4o6-subnet": "2001:db8::/64" } ]`,
	}
	for k, name := range later {
		text := wants[k]
		delete(wants, k)
		if text == "" && name == "lease-database" { // access to a database server
			text = fmt.Sprintf(`"lease-database": { "type": "mysql", "name": "kea", %q: 1 }`, k)
			if _, err := Parse("test.conf", []byte(`{ "Dhcp4": { `+text+" } }"), LoadOptions{}); err == nil || !strings.Contains(err.Error(), `"mysql"`) {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if text == "" {
			t.Errorf("%q of %s is not served, and no test shows how it is refused", k, name)
			continue
		}
		_, err := Parse("test.conf", []byte(`{ "Dhcp4": { `+text+" } }"), LoadOptions{})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("not served by this version: %q", k)) || !strings.HasPrefix(err.Error(), "test.conf:1:") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for k := range wants {
		t.Errorf("%q is served: it needs a test of its own", k)
	}
}

// TestValuesOfGrammar4: every value that Kea's grammar names is taken, or refused by
// its name.
func TestValuesOfGrammar4(t *testing.T) {
	later := map[string]bool{"mysql": true, "postgresql": true, "shared-flq": true}
	for socketType, want := range map[string]bool{"udp": true, "raw": false} { // V4-042
		text := fmt.Sprintf(`{ "Dhcp4": { "interfaces-config": { "dhcp-socket-type": %q, "outbound-interface": "use-routing" } } }`, socketType)
		snap, err := Parse("test.conf", []byte(text), LoadOptions{})
		if err != nil || snap.Dhcp4.UseRouting != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, c := range []struct{ text, values string }{
		{`"interfaces-config": { "dhcp-socket-type": % }`, "raw udp"},
		{`"interfaces-config": { "outbound-interface": % }`, "same-as-inbound use-routing"},
		{`"lease-database": { "type": %, "name": "x" }`, "memfile mysql postgresql"},
		{`"host-reservation-identifiers": [ % ]`, "circuit-id client-id duid flex-id hw-address"},
		{`"allocator": %`, "iterative random flq shared-flq"},
		{`"ddns-replace-client-name": %`, "never always when-present when-not-present"},
		{`"ddns-conflict-resolution-mode": %`, "check-with-dhcid no-check-with-dhcid check-exists-with-dhcid no-check-without-dhcid"},
		{`"sanity-checks": { "lease-checks": % }`, "none warn fix fix-del del"},
		{`"sanity-checks": { "extended-info-checks": % }`, "none fix strict pedantic"},
		{`"dhcp-ddns": { "ncr-protocol": % }`, "UDP TCP"},
		{`"loggers": [ { "name": "kea-dhcp4", "severity": % } ]`, "DEBUG INFO WARN ERROR FATAL NONE"},
	} {
		for _, v := range strings.Fields(c.values) {
			text := `{ "Dhcp4": { ` + strings.Replace(c.text, "%", fmt.Sprintf("%q", v), 1) + ` } }`
			_, err := Parse("test.conf", []byte(text), LoadOptions{})
			switch {
			case later[v] && (err == nil || !strings.Contains(err.Error(), v)):
				t.Errorf("%s: error %v, want one that names %q", text, err, v)
			case !later[v] && err != nil:
				t.Errorf("%s: %v", text, err)
			}
		}
		text := `{ "Dhcp4": { ` + strings.Replace(c.text, "%", `"bogus"`, 1) + ` } }`
		if _, err := Parse("test.conf", []byte(text), LoadOptions{}); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
