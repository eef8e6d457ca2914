package config

import (
	"strings"
	"testing"
)

// sound is a configuration with a bit of everything.
const sound = `{
  "Dhcp4": {
    "interfaces-config": { "interfaces": [ "eth0" ] },
    "lease-database": { "type": "memfile", "lfc-interval": 3600 },
    "valid-lifetime": 4000,
    "renew-timer": 1000,
    "rebind-timer": 2000,
    "option-def": [
      { "name": "site", "code": 224, "type": "record", "record-types": "uint16, string" }
    ],
    "option-data": [
      { "name": "domain-name-servers", "data": "192.0.2.1, 192.0.2.2" },
      { "code": 15, "data": "example.org" }
    ],
    "client-classes": [
      { "name": "phones", "test": "substring(option[60].hex,0,6) == 'Aastra'" },
      { "name": "late", "test": "member('phones')" }
    ],
    "shared-networks": [
      { "name": "floor", "subnet4": [
        { "id": 3, "subnet": "198.51.100.0/24", "pools": [ { "pool": "198.51.100.10 - 198.51.100.20" } ] } ] }
    ],
    "subnet4": [
      {
        "id": 1,
        "subnet": "192.0.2.0/24",
        "pools": [ { "pool": "192.0.2.10 - 192.0.2.100" }, { "pool": "192.0.2.128/28" } ],
        "reservations": [
          { "hw-address": "1a:1b:1c:1d:1e:1f", "ip-address": "192.0.2.201" },
          { "client-id": "01:11:22:33", "ip-address": "192.0.2.202", "hostname": "two" }
        ]
      },
      { "id": 2, "subnet": "203.0.113.0/24", "relay": { "ip-addresses": [ "203.0.113.1" ] } }
    ],
    "loggers": [ { "name": "kea-dhcp4", "severity": "INFO", "output_options": [ { "output": "stdout" } ] } ]
  }
}
`

// TestBroken: each slip of the hand in a sound configuration is reported where it
// is, by the first fault of the report, in words that say what to do.
func TestBroken(t *testing.T) {
	if _, err := Parse("kea.conf", []byte(sound), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		// These Kea 2.2 takes.
		{`negative`, `"valid-lifetime": 4000`, `"valid-lifetime": -1`, `kea.conf:5:23: "valid-lifetime" must be between 0 and 4294967295, not -1`},
		{`too-big`, `"valid-lifetime": 4000`, `"valid-lifetime": 4294967296`, `kea.conf:5:23: "valid-lifetime" must be between 0 and 4294967295, not 4294967296`},
		{`logger-severity`, `"INFO"`, `"INFORM"`, `kea.conf:35:53: "severity" must be "FATAL", "ERROR", "WARN", "INFO", "DEBUG" or "NONE", not "INFORM"`},
		// These it refuses.
		{`missing-comma`, `"valid-lifetime": 4000,`, `"valid-lifetime": 4000`, `kea.conf:6:5: expected a comma or "}", not the string "renew-timer"`},
		{`missing-brace`, `"lfc-interval": 3600 },`, `"lfc-interval": 3600,`, `kea.conf:38:1: expected a comma or "}", not the end of the text`},
		{`missing-bracket`, `[ "eth0" ]`, `[ "eth0"`, `kea.conf:3:51: expected a comma or "]", not "}"`},
		{`missing-quote`, `"eth0"`, `"eth0`, `kea.conf:3:44: this string is not closed: expected " before the end of the line (a line break is written \n)`},
		{`missing-colon`, `"renew-timer": 1000`, `"renew-timer" 1000`, `kea.conf:6:19: expected a colon after the key "renew-timer", not 1000`},
		{`key-unquoted`, `"renew-timer": 1000`, `renew-timer: 1000`, `kea.conf:6:5: unexpected word renew-timer: strings and keys stand in double quotes`},
		{`trailing-text`, "  }\n}\n", "  }\n}\n}\n", `kea.conf:38:1: expected the end of the text after the top-level value, not "}"`},
		{`duplicate-key`, `"renew-timer": 1000,`, `"renew-timer": 1000, "valid-lifetime": 5000,`, `kea.conf:6:26: duplicate key "valid-lifetime", first given at kea.conf:5:5`},
		{`wrong-type-string`, `"valid-lifetime": 4000`, `"valid-lifetime": "4000"`, `kea.conf:5:23: "valid-lifetime" must be an integer, not the string "4000"`},
		{`wrong-type-list`, `{ "interfaces": [ "eth0" ] }`, `{ "interfaces": "eth0" }`, `kea.conf:3:42: "interfaces" must be a list, not the string "eth0"`},
		{`wrong-type-map`, `"relay": { "ip-addresses": [ "203.0.113.1" ] }`, `"relay": "203.0.113.1"`, `kea.conf:33:55: "relay" must be a map, not the string "203.0.113.1"`},
		{`unknown-key`, `"rebind-timer": 2000`, `"rebind-time": 2000`, `kea.conf:7:5: unknown key "rebind-time" in Dhcp4; did you mean "rebind-timer"?`},
		{`key-of-other-scope`, `"id": 2,`, `"id": 2, "lease-database": { },`, `kea.conf:33:18: unknown key "lease-database" in subnet4[1]; it belongs in Dhcp4`},
		{`key-of-v6`, `"rebind-timer": 2000,`, `"rebind-timer": 2000, "preferred-lifetime": 3000,`, `kea.conf:7:27: unknown key "preferred-lifetime" in Dhcp4; it belongs in Dhcp6`},
		{`duplicate-subnet-id`, `"id": 2,`, `"id": 1,`, `kea.conf:33:15: subnet id 1 is given twice, first at kea.conf:25:15`},
		{`duplicate-subnet`, `203.0.113.0/24`, `192.0.2.0/24`, `kea.conf:33:28: subnet 192.0.2.0/24 is given twice, first at kea.conf:26:19`},
		{`bad-prefix`, `"203.0.113.0/24"`, `"203.0.113.0/33"`, `kea.conf:33:28: "subnet" must be an IPv4 prefix, as "192.0.2.0/24", not "203.0.113.0/33"`},
		{`prefix-no-length`, `"203.0.113.0/24"`, `"203.0.113.0"`, `kea.conf:33:28: "subnet" must be an IPv4 prefix, as "192.0.2.0/24", not "203.0.113.0"`},
		{`pool-outside`, `192.0.2.10 - 192.0.2.100`, `192.0.3.10 - 192.0.3.100`, `kea.conf:27:30: subnet configuration failed: a pool of type V4, with the following address range: 192.0.3.10-192.0.3.100 does not match the prefix of a subnet: 192.0.2.0/24 to which it is being added`},
		{`pool-reversed`, `192.0.2.10 - 192.0.2.100`, `192.0.2.100 - 192.0.2.10`, `kea.conf:27:30: "pool" ends (192.0.2.10) before it begins (192.0.2.100)`},
		{`pools-overlap`, `192.0.2.128/28`, `192.0.2.96/28`, `kea.conf:27:70: subnet configuration failed: a pool of type V4, with the following address range: 192.0.2.96-192.0.2.111 overlaps with an existing pool in the subnet: 192.0.2.0/24 to which it is being added: 192.0.2.10-192.0.2.100 at kea.conf:27:30`},
		{`pool-text`, `192.0.2.10 - 192.0.2.100`, `192.0.2.10 to 192.0.2.100`, `kea.conf:27:30: "pool" must be a range, as "192.0.2.10 - 192.0.2.99", or a prefix, as "192.0.2.64/26", not "192.0.2.10 to 192.0.2.100"`},
		{`expression-unclosed`, `substring(option[60].hex,0,6)`, `substring(option[60].hex,0,6`, `kea.conf:16:65: "test": column 30: expected ), got ==`},
		{`expression-function`, `substring(`, `substr(`, `kea.conf:16:36: "test": column 1: unknown word "substr"`},
		{`expression-type`, `member('phones')`, `option[60].hex`, `kea.conf:17:48: "test": column 15: expected == or + after a string, got the end of the expression`},
		{`expression-class`, `member('phones')`, `member('fones')`, `kea.conf:17:41: "test": column 8: class "fones" is not defined before this one: a class may depend on earlier and built-in classes only`},
		{`reserved-address-twice`, `192.0.2.202`, `192.0.2.201`, `kea.conf:30:55: address 192.0.2.201 is reserved twice, first at kea.conf:29:62`},
		{`reserved-client-twice`, `{ "client-id": "01:11:22:33"`, `{ "hw-address": "1a:1b:1c:1d:1e:1f"`, `kea.conf:30:27: hw-address "1a:1b:1c:1d:1e:1f" is reserved for twice, first at kea.conf:29:27`},
		{`reserved-outside`, `192.0.2.202`, `10.0.0.1`, `kea.conf:30:55: reserved address 10.0.0.1 is not in subnet 192.0.2.0/24`},
		{`reserved-no-identifier`, `"client-id": "01:11:22:33", `, ``, `kea.conf:30:11: a reservation must have one of the identifiers hw-address, duid, circuit-id, client-id or flex-id`},
		{`bad-hw-address`, `1a:1b:1c:1d:1e:1f`, `1a:1b:1c:1d:1e:zz`, `kea.conf:29:27: "hw-address": must be hexadecimal digits, as "1a:1b:1c:1d:1e:1f", or text in single quotes: "1a:1b:1c:1d:1e:zz" has 'z', which is no hexadecimal digit`},
		{`option-unknown`, `"domain-name-servers"`, `"domain-name-server"`, `kea.conf:12:17: unknown option "domain-name-server"; did you mean "domain-name-servers"?`},
		{`option-bad-address`, `192.0.2.1, 192.0.2.2`, `192.0.2.1, 192.0.2.256`, `kea.conf:12:48: option domain-name-servers (6): expected an IPv4 address, not "192.0.2.256"`},
		{`option-no-name`, `"code": 15, `, ``, `kea.conf:13:7: option-data must have a "name" or a "code"`},
		{`option-def-type`, `"type": "record"`, `"type": "recrod"`, `kea.conf:9:46: unknown option type "recrod": expected one of "binary", "boolean", "empty", "fqdn", "int16", "int32", "int8", "internal", "ipv4-address", "ipv6-address", "ipv6-prefix", "psid", "record", "string", "tuple", "uint16", "uint32", "uint8"`},
		{`option-def-record`, `"uint16, string"`, `"uint16, strng"`, `kea.conf:9:72: unknown option type "strng" in "record-types"`},
		{`min-above-max`, `"valid-lifetime": 4000`, `"valid-lifetime": 4000, "min-valid-lifetime": 5000`, `kea.conf:5:51: min-valid-lifetime 5000 must not be above valid-lifetime 4000`},
		{`lease-type`, `"memfile"`, `"memfil"`, `kea.conf:4:33: "type" must be "memfile", not "memfil"`},
		{`interface-type`, `[ "eth0" ]`, `[ 5 ]`, `kea.conf:3:44: interfaces[0] must be a string, not 5`},
		{`class-no-name`, `"name": "late", `, ``, `kea.conf:17:7: a class must have a "name"`},
		{`network-no-name`, `"name": "floor", `, ``, `kea.conf:20:7: a shared network must have a "name"`},
		{`relay-address`, `[ "203.0.113.1" ]`, `[ "203.0.113" ]`, `kea.conf:33:75: relay address must be an IPv4 address, not "203.0.113"`},
		{`network-subnet-twice`, `198.51.100.0/24`, `192.0.2.0/24`, `kea.conf:21:30: subnet 192.0.2.0/24 is given twice, first at kea.conf:26:19`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.Count(sound, c.old) != 1 {
				t.Fatalf("%q is not in the text once", c.old)
			}
			_, err := Parse("kea.conf", []byte(strings.Replace(sound, c.old, c.new, 1)), LoadOptions{})
			if err == nil {
				t.Fatal("accepted")
			}
			if first, _, _ := strings.Cut(err.Error(), "\n"); first != c.want {
				t.Errorf("%s\nwant %s", first, c.want)
			}
		})
	}
}
