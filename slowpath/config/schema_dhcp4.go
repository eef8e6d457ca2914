package config

import (
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// The tables of section 1.8 of Kea's DHCPv4 key inventory (V4-140 … V4-144).

// ddnsKeys are the DDNS parameters of global, network, subnet and pool scope
// (V4-129).
func ddnsKeys(global bool) []key {
	ks := []key{
		boolean("ddns-send-updates", "true"),
		boolean("ddns-override-no-update", "false"),
		boolean("ddns-override-client-update", "false"),
		boolean("ddns-update-on-renew", "false"),
		str("ddns-generated-prefix", `"myhost"`),
		oneOf("ddns-conflict-resolution-mode", `"check-with-dhcid"`, "check-with-dhcid", "no-check-with-dhcid", "check-exists-with-dhcid", "no-check-without-dhcid"),
		unset(boolean("ddns-use-conflict-resolution", "")),
		unset(real("ddns-ttl-percent", "")),
		unset(integer("ddns-ttl", "", 0, maxUint32)),
		unset(integer("ddns-ttl-min", "", 0, maxUint32)),
		unset(integer("ddns-ttl-max", "", 0, maxUint32)),
		oneOf("ddns-replace-client-name", `"never"`, replaceNames...),
		str("ddns-qualifying-suffix", `""`),
		str("hostname-char-set", `"[^A-Za-z0-9.-]"`),
		str("hostname-char-replacement", `""`),
	}
	return scoped(ks, global)
}

// networkKeys are what global, network and subnet scope share.
func networkKeys(global bool) []key {
	ks := []key{
		integer("valid-lifetime", "7200", 0, maxUint32),
		unset(integer("min-valid-lifetime", "", 0, maxUint32)),
		unset(integer("max-valid-lifetime", "", 0, maxUint32)),
		unset(integer("renew-timer", "", 0, maxUint32)),
		unset(integer("rebind-timer", "", 0, maxUint32)),
		boolean("calculate-tee-times", "false"),
		real("t1-percent", "0.5"),
		real("t2-percent", "0.875"),
		unset(integer("offer-lifetime", "", 0, maxUint32)),
		boolean("authoritative", "false"),
		boolean("match-client-id", "true"),
		str("next-server", `"0.0.0.0"`),
		str("server-hostname", `""`),
		str("boot-file-name", `""`),
		real("cache-threshold", "0.25"),
		unset(integer("cache-max-age", "", 0, maxUint32)),
		boolean("reservations-global", "false"),
		boolean("reservations-in-subnet", "true"),
		boolean("reservations-out-of-pool", "false"),
		{name: "allocator", kind: keajson.String, def: `"iterative"`, enum: []string{"iterative", "random", "flq", "shared-flq"}},
		boolean("store-extended-info", "false"),
		unset(real("adaptive-lease-time-threshold", "")),
		mapList("option-data", scopeOption),
	}
	return scoped(ks, global)
}

// guardKeys are class guards and the classes evaluated late.
func guardKeys() []key {
	return []key{
		unset(list("client-classes", keajson.String)),
		{name: "client-class", kind: keajson.String, alias: "client-classes"},
		unset(list("evaluate-additional-classes", keajson.String)),
		{name: "require-client-classes", kind: keajson.List, elem: keajson.String, alias: "evaluate-additional-classes"},
		freeMap("metadata"),
	}
}

// newOptionScope is option-data with codes up to maxCode.
func newOptionScope(maxCode int64) *scope {
	s := newScope("option-data", []key{
		unset(str("name", "")),
		unset(integer("code", "", 0, maxCode)),
		unset(str("space", "")),
		unset(boolean("csv-format", "")),
		unset(str("data", "")),
		boolean("always-send", "false"),
		boolean("never-send", "false"),
		unset(list("client-classes", keajson.String)),
		freeMap("metadata"),
	}, withContext())
	s.value, s.order = optionValue, bySpace
	return s
}

var scopeOption = newOptionScope(optiondef.V4.MaxCode())

// newOptionDefScope is option-def of a family.
func newOptionDefScope(f *optiondef.Family) *scope {
	s := newScope("option-def", []key{
		unset(str("name", "")),
		unset(integer("code", "", 0, f.MaxCode())),
		unset(str("type", "")),
		boolean("array", "false"),
		str("record-types", `""`),
		str("space", strconv.Quote(f.Top)),
		str("encapsulate", `""`),
		freeMap("metadata"),
	}, withContext())
	s.value, s.order = optionDefValue, bySpaceName
	return s
}

var scopeOptionDef = newOptionDefScope(optiondef.V4)

var scopePool = func() *scope {
	s := newScope("pools", []key{
		unset(str("pool", "")),
		unset(integer("pool-id", "", 0, maxUint32)),
		mapList("option-data", scopeOption),
	}, guardKeys(), ddnsKeys(false), withContext())
	s.value = poolValue
	return s
}()

var scopeReservation = func() *scope {
	s := newScope("reservations", []key{
		unset(str("hw-address", "")),
		unset(str("duid", "")),
		unset(str("circuit-id", "")),
		unset(str("client-id", "")),
		unset(str("flex-id", "")),
		unset(str("ip-address", "")),
		str("hostname", `""`),
		str("next-server", `"0.0.0.0"`),
		str("server-hostname", `""`),
		str("boot-file-name", `""`),
		list("client-classes", keajson.String),
		mapList("option-data", scopeOption),
	}, withContext())
	s.value = reservationValue
	s.removed = map[string]string{
		"ip-addresses": `is of DHCPv6: a DHCPv4 reservation has one "ip-address"`,
		"prefixes":     `is of DHCPv6`,
	}
	return s
}()

var scopeRelay = func() *scope {
	s := newScope("relay", []key{list("ip-addresses", keajson.String)})
	s.removed = map[string]string{"ip-address": `was removed from Kea: use "ip-addresses", a list`}
	return s
}()

var scopeSubnet = func() *scope {
	s := newScope("subnet4", []key{
		unset(integer("id", "", 1, maxUint32-1)),
		unset(str("subnet", "")),
		mapList("pools", scopePool),
		str("interface", `""`),
		{name: "relay", kind: keajson.Map, sub: scopeRelay, def: `{"ip-addresses":[]}`},
		mapList("reservations", scopeReservation),
		later(str("4o6-interface", `""`)),
		later(str("4o6-interface-id", `""`)),
		later(str("4o6-subnet", `""`)),
	}, networkKeys(false), guardKeys(), ddnsKeys(false), withContext())
	s.value = subnetValue
	s.removed = removedOfSubnets
	return s
}()

var scopeNetwork = func() *scope {
	s := newScope("shared-networks", []key{
		unset(str("name", "")),
		mapList("subnet4", scopeSubnet),
		str("interface", `""`),
		{name: "relay", kind: keajson.Map, sub: scopeRelay, def: `{"ip-addresses":[]}`},
	}, networkKeys(false), guardKeys(), ddnsKeys(false), withContext())
	s.value = networkValue
	s.removed = removedOfSubnets
	return s
}()

var removedOfSubnets = map[string]string{
	"reservation-mode": `was removed from Kea: use "reservations-global", "reservations-in-subnet" and "reservations-out-of-pool"`,
	"rapid-commit":     `is of DHCPv6`,
	"pd-pools":         `is of DHCPv6`,
}

var scopeClass = func() *scope {
	s := newScope("client-classes", []key{
		unset(str("name", "")),
		unset(str("test", "")),
		unset(str("template-test", "")),
		mapList("option-data", scopeOption),
		mapList("option-def", scopeOptionDef),
		str("next-server", `"0.0.0.0"`),
		str("server-hostname", `""`),
		str("boot-file-name", `""`),
		unset(boolean("only-in-additional-list", "")),
		{name: "only-if-required", kind: keajson.Bool, alias: "only-in-additional-list"},
		unset(integer("valid-lifetime", "", 0, maxUint32)),
		unset(integer("min-valid-lifetime", "", 0, maxUint32)),
		unset(integer("max-valid-lifetime", "", 0, maxUint32)),
		unset(integer("offer-lifetime", "", 0, maxUint32)),
		freeMap("metadata"),
	}, withContext())
	s.value = classValue
	return s
}()

var scopeDDNS = func() *scope {
	s := newScope("dhcp-ddns", []key{
		later(boolean("enable-updates", "false")),
		str("server-ip", `"127.0.0.1"`),
		integer("server-port", "53001", 0, 65535),
		str("sender-ip", `"0.0.0.0"`),
		integer("sender-port", "0", 0, 65535),
		integer("max-queue-size", "1024", 0, maxUint32),
		oneOf("ncr-protocol", `"UDP"`, "UDP", "TCP"),
		oneOf("ncr-format", `"JSON"`, "JSON"),
	}, withContext())
	moved := func(to string) string { return `was moved out of "dhcp-ddns": use "` + to + `" beside it` }
	s.removed = map[string]string{
		"override-no-update":        moved("ddns-override-no-update"),
		"override-client-update":    moved("ddns-override-client-update"),
		"replace-client-name":       moved("ddns-replace-client-name"),
		"generated-prefix":          moved("ddns-generated-prefix"),
		"qualifying-suffix":         moved("ddns-qualifying-suffix"),
		"hostname-char-set":         moved("hostname-char-set"),
		"hostname-char-replacement": moved("hostname-char-replacement"),
	}
	return s
}()

var scopeCompatibility = newScope("compatibility", []key{
	unset(boolean("lenient-option-parsing", "")),
	unset(boolean("ignore-dhcp-server-identifier", "")),
	unset(boolean("ignore-rai-link-selection", "")),
	unset(boolean("exclude-first-last-24", "")),
})

var scopeConfigControl = newScope("config-control", []key{
	later(list("config-databases", keajson.Null)),
	integer("config-fetch-wait-time", "30", 0, 65535),
}, withContext())

// newSanityScope is sanity-checks with what a family does of extended-info-checks.
func newSanityScope(info key) *scope {
	return newScope("sanity-checks", []key{oneOf("lease-checks", `"warn"`, "none", "warn", "fix", "fix-del", "del"), info})
}

var scopeSanity = newSanityScope(oneOf("extended-info-checks", `"fix"`, "none", "fix", "strict", "pedantic"))

// newQueueControlScope is dhcp-queue-control with its default queue type.
func newQueueControlScope(queue string) *scope {
	s := newScope("dhcp-queue-control", []key{
		boolean("enable-queue", "false"),
		str("queue-type", strconv.Quote(queue)),
		integer("capacity", "64", 0, maxUint32),
	}, withContext())
	s.open = true // parameters of a queue type, none of which is in use
	return s
}

var scopeQueueControl = newQueueControlScope("kea-ring4")

var scopeDhcp4 = func() *scope {
	ddns := submap("dhcp-ddns", scopeDDNS)
	ddns.def = "{}"
	s := newScope("Dhcp4", []key{
		integer("decline-probation-period", "86400", 0, maxUint32),
		mapList("subnet4", scopeSubnet),
		mapList("shared-networks", scopeNetwork),
		withDef(submap("interfaces-config", scopeInterfaces), "{}"),
		withDef(submap("lease-database", scopeLeaseDB), "{}"),
		later(freeMap("hosts-database")),
		later(list("hosts-databases", keajson.Map)),
		{name: "host-reservation-identifiers", kind: keajson.List, elem: keajson.String, def: `["hw-address","duid","circuit-id","client-id"]`},
		mapList("client-classes", scopeClass),
		mapList("option-def", scopeOptionDef),
		mapList("hooks-libraries", scopeHook),
		withDef(submap("expired-leases-processing", scopeExpired), "{}"),
		later(integer("dhcp4o6-port", "0", 0, 65535)),
		unset(mapList("control-sockets", scopeSocket)),
		{name: "control-socket", kind: keajson.Map, sub: scopeSocket, alias: "control-sockets"},
		withDef(submap("dhcp-queue-control", scopeQueueControl), "{}"),
		ddns,
		boolean("echo-client-id", "true"),
		withDef(submap("sanity-checks", scopeSanity), "{}"),
		mapList("reservations", scopeReservation),
		submap("config-control", scopeConfigControl),
		str("server-tag", `""`),
		unset(mapList("loggers", scopeLogger)),
		integer("statistic-default-sample-count", "20", 0, 65535),
		integer("statistic-default-sample-age", "0", 0, maxUint32),
		withDef(submap("multi-threading", scopeThreading), "{}"),
		boolean("early-global-reservations-lookup", "false"),
		boolean("ip-reservations-unique", "true"),
		boolean("reservations-lookup-first", "false"),
		submap("compatibility", scopeCompatibility),
		integer("parked-packet-limit", "256", 0, 1<<24),
		boolean("stash-agent-options", "false"),
	}, networkKeys(true), ddnsKeys(true), withContext())
	s.value = dhcp4Value
	s.removed = map[string]string{
		"reservation-mode": `was removed from Kea: use "reservations-global", "reservations-in-subnet" and "reservations-out-of-pool"`,
		"Logging":          `was removed from Kea: use "loggers"`,
		"subnet6":          `is of DHCPv6`,
		"interfaces":       `belongs in "interfaces-config"`,
		"data-directory":   `is of DHCPv6`,
	}
	return s
}()

func withDef(k key, def string) key { k.def = def; return k }

// allScopes are searched, in this order, for where an unknown key belongs.
var allScopes = sync.OnceValue(func() []*scope {
	return []*scope{scopeDhcp4, scopeNetwork, scopeSubnet, scopePool, scopeReservation, scopeOption, scopeOptionDef, scopeClass, scopeRelay,
		scopeInterfaces, scopeLeaseDB, scopeExpired, scopeThreading, scopeSocket, scopeAuth, scopeAuthClient, scopeLogger,
		scopeOutput, scopeHook, scopeDDNS, scopeCompatibility, scopeDataplane, scopeLimits}
})

// topKeys are the top-level keys: what is served, and the parts of Kea's other
// daemons, which a file may hold beside it (OP-007).
var otherParts = map[string]bool{"DhcpDdns": true, "Control-agent": true, "Netconf": true}

func topNames() []string {
	return append(slices.Sorted(maps.Keys(otherParts)), "Dhcp4", "Dhcp6", "Dataplane")
}
