package differential

import (
	"net/netip"
	"os"
	"testing"
)

// baseConfig6 is what every file about DHCPv6 starts from, see baseConfig. The
// servers' DUID is given, so that they send the same one.
const baseConfig6 = `{
  "interfaces-config": { "interfaces": [ "eth0" ] },
  "lease-database": { "type": "memfile", "persist": true, "name": "leases.csv", "lfc-interval": 0 },
  "multi-threading": { "enable-multi-threading": false },
  "loggers": [ { "name": "kea-dhcp6", "severity": "INFO", "output_options": [ { "output": "stdout" } ] } ],
  "server-id": { "type": "EN", "enterprise-id": 2495, "identifier": "0102030405060708", "persist": false },
  "cache-threshold": 0.25, "cache-max-age": 0,
  "preferred-lifetime": 3000, "valid-lifetime": 4000,
  "subnet6": [ {
    "id": 1, "subnet": "2001:db8:1::/64", "interface": "eth0",
    "pools": [ { "pool": "2001:db8:1::8:0/112" } ],
    "pd-pools": [ { "prefix": "2001:db8:8000::", "prefix-len": 40, "delegated-len": 56 } ],
    "option-data": [ { "name": "dns-servers", "data": "2001:db8::53" } ]
  } ]
}`

const serverCIDR6 = "2001:db8:1::1/64"

// serverDUID6 is the server-id of baseConfig6 on the wire (RFC 8415 §11.3).
const serverDUID6 = "\x00\x02\x00\x00\x09\xbf\x01\x02\x03\x04\x05\x06\x07\x08"

// conversationVerbs6 are message types of RFC 8415 §7.3.
var conversationVerbs6 = map[string]int{
	"SOLICIT": 1, "ADVERTISE": 2, "REQUEST": 3, "CONFIRM": 4, "RENEW": 5, "REBIND": 6, "REPLY": 7, "RELEASE": 8, "DECLINE": 9,
	"RECONFIGURE": 10, "INFORMATION-REQUEST": 11, "RELAY-REPL": 13, "LEASEQUERY": 14, "unknown": 200,
}

func parseScript6(text []byte) (*script, error) {
	return (&script{part: "Dhcp6"}).parse(text, baseConfig6, conversationVerbs6)
}

func corpus6(t *testing.T) []*script { return scripts(t, "testdata/v6/*.txt") }

const minConversations6 = 100

// TestCorpus6 needs no server: every file can be read, and every message of it
// built.
func TestCorpus6(t *testing.T) {
	n := 0
	for _, s := range corpus6(t) {
		n += len(s.convs)
		for _, c := range s.convs {
			for _, st := range c.steps {
				if st.verb == "wait" || st.verb == "restart" {
					continue
				}
				any := func(name string) (string, error) {
					if name[0] == 'p' {
						return "2001:db8:8000::/56", nil
					}
					return "2001:db8:1::8:1", nil
				}
				if _, err := build6(st, c.index, 1, any); err != nil {
					t.Errorf("testdata/v6/%s.txt:%d: %v", s.name, st.line, err)
				}
			}
		}
	}
	if n < minConversations6 {
		t.Errorf("%d conversations, want at least %d", n, minConversations6)
	}
	if _, err := os.Stat("testdata/v6/README.md"); err != nil {
		t.Error(err)
	}
}

var (
	allServers6 = netip.MustParseAddr("ff02::1:2")
	relaySource = netip.MustParseAddr("fe80::ffff")
)
