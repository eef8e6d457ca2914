package config

import (
	"sync"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// The tables of Dhcp6 (V6-080 … V6-083), by the grammar of Kea 3.3.1.

// scoped drops the defaults of keys below global scope, where config-get prints
// them only if they are given or inherited by copy.
func scoped(ks []key, global bool) []key {
	if !global {
		for i := range ks {
			if ks[i].kind != keajson.List {
				ks[i].def = ""
			}
		}
	}
	return ks
}

// networkKeys6 are what global, network and subnet scope share.
func networkKeys6(global bool) []key {
	return scoped([]key{
		unset(integer("preferred-lifetime", "", 0, maxUint32)),
		unset(integer("min-preferred-lifetime", "", 0, maxUint32)),
		unset(integer("max-preferred-lifetime", "", 0, maxUint32)),
		integer("valid-lifetime", "7200", 0, maxUint32),
		unset(integer("min-valid-lifetime", "", 0, maxUint32)),
		unset(integer("max-valid-lifetime", "", 0, maxUint32)),
		unset(integer("renew-timer", "", 0, maxUint32)),
		unset(integer("rebind-timer", "", 0, maxUint32)),
		boolean("calculate-tee-times", "true"),
		real("t1-percent", "0.5"),
		real("t2-percent", "0.8"),
		real("cache-threshold", "0.25"),
		unset(integer("cache-max-age", "", 0, maxUint32)),
		boolean("reservations-global", "false"),
		boolean("reservations-in-subnet", "true"),
		boolean("reservations-out-of-pool", "false"),
		{name: "allocator", kind: keajson.String, def: `"iterative"`, enum: []string{"iterative", "random"}, enumLater: []string{"shared-flq"}},
		{name: "pd-allocator", kind: keajson.String, def: `"iterative"`, enum: []string{"iterative", "random", "flq"}, enumLater: []string{"shared-flq"}},
		boolean("store-extended-info", "false"),
		unset(real("adaptive-lease-time-threshold", "")),
		mapList("option-data", scopeOption6),
	}, global)
}

// linkKeys6 are what networks and subnets have and the global scope has not.
func linkKeys6() []key {
	return []key{
		str("interface", `""`),
		unset(str("interface-id", "")),
		{name: "relay", kind: keajson.Map, sub: scopeRelay, def: `{"ip-addresses":[]}`},
		boolean("rapid-commit", "false"),
	}
}

var (
	scopeOption6    = newOptionScope(optiondef.V6.MaxCode())
	scopeOptionDef6 = newOptionDefScope(optiondef.V6)
)

var scopePool6 = func() *scope {
	s := newScope("pools", []key{
		unset(str("pool", "")),
		unset(integer("pool-id", "", 0, maxUint32)),
		mapList("option-data", scopeOption6),
	}, guardKeys(), ddnsKeys(false), withContext())
	s.value = pool6Value
	return s
}()

var scopePDPool = func() *scope {
	s := newScope("pd-pools", []key{
		unset(str("prefix", "")),
		unset(integer("prefix-len", "", 1, 128)),
		unset(integer("delegated-len", "", 1, 128)),
		unset(str("excluded-prefix", "")),
		unset(integer("excluded-prefix-len", "", 0, 128)),
		unset(integer("pool-id", "", 0, maxUint32)),
		mapList("option-data", scopeOption6),
	}, guardKeys(), withContext())
	s.value = pdPoolValue
	return s
}()

var scopeReservation6 = func() *scope {
	s := newScope("reservations", []key{
		unset(str("duid", "")),
		unset(str("hw-address", "")),
		unset(str("flex-id", "")),
		list("ip-addresses", keajson.String),
		list("prefixes", keajson.String),
		unset(list("excluded-prefixes", keajson.String)),
		str("hostname", `""`),
		list("client-classes", keajson.String),
		mapList("option-data", scopeOption6),
	}, withContext())
	s.value = reservation6Value
	s.removed = map[string]string{
		"ip-address":      `is of DHCPv4: a DHCPv6 reservation has "ip-addresses", a list`,
		"circuit-id":      `is of DHCPv4`,
		"client-id":       `is of DHCPv4`,
		"next-server":     `is of DHCPv4`,
		"server-hostname": `is of DHCPv4`,
		"boot-file-name":  `is of DHCPv4`,
	}
	return s
}()

var scopeSubnet6 = func() *scope {
	s := newScope("subnet6", []key{
		unset(integer("id", "", 1, maxUint32-1)),
		unset(str("subnet", "")),
		mapList("pools", scopePool6),
		mapList("pd-pools", scopePDPool),
		mapList("reservations", scopeReservation6),
	}, linkKeys6(), networkKeys6(false), guardKeys(), ddnsKeys(false), withContext())
	s.value = subnet6Value
	s.removed = v4Only
	return s
}()

var scopeNetwork6 = func() *scope {
	s := newScope("shared-networks", []key{
		unset(str("name", "")),
		mapList("subnet6", scopeSubnet6),
	}, linkKeys6(), networkKeys6(false), guardKeys(), ddnsKeys(false), withContext())
	s.value = network6Value
	s.removed = v4Only
	return s
}()

// v4Only are keys that Dhcp4 has in scopes where Dhcp6 has none, and one that Kea
// once had.
var v4Only = map[string]string{
	"reservation-mode":    `was removed from Kea: use "reservations-global", "reservations-in-subnet" and "reservations-out-of-pool"`,
	"authoritative":       `is of DHCPv4`,
	"next-server":         `is of DHCPv4`,
	"server-hostname":     `is of DHCPv4`,
	"boot-file-name":      `is of DHCPv4`,
	"match-client-id":     `is of DHCPv4`,
	"echo-client-id":      `is of DHCPv4`,
	"offer-lifetime":      `is of DHCPv4`,
	"stash-agent-options": `is of DHCPv4`,
	"subnet4":             `is of DHCPv4`,
}

var scopeClass6 = func() *scope {
	s := newScope("client-classes", []key{
		unset(str("name", "")),
		unset(str("test", "")),
		unset(str("template-test", "")),
		unset(boolean("only-in-additional-list", "")),
		{name: "only-if-required", kind: keajson.Bool, alias: "only-in-additional-list"},
		mapList("option-data", scopeOption6),
		unset(integer("preferred-lifetime", "", 0, maxUint32)),
		unset(integer("min-preferred-lifetime", "", 0, maxUint32)),
		unset(integer("max-preferred-lifetime", "", 0, maxUint32)),
		unset(integer("valid-lifetime", "", 0, maxUint32)),
		unset(integer("min-valid-lifetime", "", 0, maxUint32)),
		unset(integer("max-valid-lifetime", "", 0, maxUint32)),
		later(freeMap("metadata")),
	}, withContext())
	s.removed = map[string]string{"option-def": `is of DHCPv4: DHCPv6 has it at global scope`}
	for k, v := range v4Only {
		s.removed[k] = v
	}
	return s
}()

var scopeInterfaces6 = func() *scope {
	s := newScope("interfaces-config", []key{
		list("interfaces", keajson.String),
		boolean("re-detect", "true"),
		boolean("service-sockets-require-all", "false"),
		integer("service-sockets-max-retries", "0", 0, maxUint32),
		integer("service-sockets-retry-wait-time", "5000", 0, maxUint32),
	}, withContext())
	s.removed = map[string]string{
		"dhcp-socket-type":   `is of DHCPv4`,
		"outbound-interface": `is of DHCPv4`,
	}
	return s
}()

var scopeServerID = func() *scope {
	s := newScope("server-id", []key{
		oneOf("type", `"LLT"`, "LLT", "EN", "LL"),
		str("identifier", `""`),
		integer("htype", "0", 0, 65535),
		integer("time", "0", 0, maxUint32),
		integer("enterprise-id", "0", 0, maxUint32),
		boolean("persist", "true"),
	}, withContext())
	s.value = serverIDValue
	return s
}()

var scopeCompatibility6 = func() *scope {
	s := newScope("compatibility", []key{unset(boolean("lenient-option-parsing", ""))})
	s.removed = map[string]string{
		"ignore-dhcp-server-identifier": `is of DHCPv4`,
		"ignore-rai-link-selection":     `is of DHCPv4`,
		"exclude-first-last-24":         `is of DHCPv4`,
	}
	return s
}()

var scopeQueueControl6 = newQueueControlScope("kea-ring6")

// scopeSocket6 is a control socket with the realm of DHCPv6.
var scopeSocket6 = newSocketScope(newAuthScope(family6.realm))

var scopeDhcp6 = func() *scope {
	s := newScope("Dhcp6", []key{
		unset(str("data-directory", "")),
		integer("decline-probation-period", "86400", 0, maxUint32),
		mapList("subnet6", scopeSubnet6),
		mapList("shared-networks", scopeNetwork6),
		withDef(submap("interfaces-config", scopeInterfaces6), "{}"),
		withDef(submap("lease-database", scopeLeaseDB), "{}"),
		later(freeMap("hosts-database")),
		later(list("hosts-databases", keajson.Map)),
		{name: "mac-sources", kind: keajson.List, elem: keajson.String, def: `["any"]`},
		{name: "relay-supplied-options", kind: keajson.List, elem: keajson.String, def: `["65"]`},
		{name: "host-reservation-identifiers", kind: keajson.List, elem: keajson.String, def: `["hw-address","duid"]`},
		mapList("client-classes", scopeClass6),
		mapList("option-def", scopeOptionDef6),
		mapList("hooks-libraries", scopeHook),
		withDef(submap("expired-leases-processing", scopeExpired), "{}"),
		withDef(submap("server-id", scopeServerID), "{}"),
		later(integer("dhcp4o6-port", "0", 0, 65535)),
		unset(mapList("control-sockets", scopeSocket6)),
		{name: "control-socket", kind: keajson.Map, sub: scopeSocket6, alias: "control-sockets"},
		withDef(submap("dhcp-queue-control", scopeQueueControl6), "{}"),
		withDef(submap("dhcp-ddns", scopeDDNS), "{}"),
		withDef(submap("sanity-checks", scopeSanity), "{}"),
		mapList("reservations", scopeReservation6),
		submap("config-control", scopeConfigControl),
		str("server-tag", `""`),
		unset(mapList("loggers", scopeLogger)),
		integer("statistic-default-sample-count", "20", 0, 65535),
		integer("statistic-default-sample-age", "0", 0, maxUint32),
		withDef(submap("multi-threading", scopeThreading), "{}"),
		boolean("early-global-reservations-lookup", "false"),
		boolean("ip-reservations-unique", "true"),
		boolean("reservations-lookup-first", "false"),
		boolean("allow-address-registration", "true"),
		submap("compatibility", scopeCompatibility6),
		integer("parked-packet-limit", "256", 0, 1<<24),
	}, networkKeys6(true), ddnsKeys(true), withContext())
	s.value = dhcp6Value
	s.removed = map[string]string{
		"Logging":      `was removed from Kea: use "loggers"`,
		"interfaces":   `belongs in "interfaces-config"`,
		"rapid-commit": `belongs in "subnet6" or "shared-networks"`,
		"interface-id": `belongs in "subnet6" or "shared-networks"`,
	}
	for k, v := range v4Only {
		s.removed[k] = v
	}
	return s
}()

// allScopes are searched for where an unknown key belongs: those of the family
// that is decoded, and what both have.
func (d *decoder) allScopes() []*scope {
	if !d.fam.options.V6 {
		return allScopes()
	}
	return allScopes6()
}

var allScopes6 = sync.OnceValue(func() []*scope {
	return []*scope{scopeDhcp6, scopeNetwork6, scopeSubnet6, scopePool6, scopePDPool, scopeReservation6, scopeOption6, scopeOptionDef6,
		scopeClass6, scopeRelay, scopeServerID, scopeInterfaces6, scopeLeaseDB, scopeExpired, scopeThreading, scopeSocket6, scopeAuth,
		scopeAuthClient, scopeLogger, scopeOutput, scopeHook, scopeDDNS, scopeCompatibility6, scopeDataplane, scopeLimits}
})
