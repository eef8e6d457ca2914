package config

import (
	"strconv"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// The tables of what surrounds DHCP: sockets, storage, logs, threads, hooks and
// our own Dataplane.

var scopeInterfaces = func() *scope {
	s := newScope("interfaces-config", []key{
		list("interfaces", keajson.String),
		oneOf("dhcp-socket-type", `"raw"`, "raw", "udp"),
		{name: "outbound-interface", kind: keajson.String, def: `"same-as-inbound"`, enum: []string{"same-as-inbound", "use-routing"}},
		boolean("re-detect", "true"),
		boolean("service-sockets-require-all", "false"),
		integer("service-sockets-max-retries", "0", 0, maxUint32),
		integer("service-sockets-retry-wait-time", "5000", 0, maxUint32),
	}, withContext())
	s.value = interfacesValue
	return s
}()

var scopeLeaseDB = newScope("lease-database", []key{
	{name: "type", kind: keajson.String, def: `"memfile"`, enum: []string{"memfile"}, enumLater: []string{"mysql", "postgresql"}},
	unset(boolean("persist", "")),
	unset(str("name", "")),
	unset(integer("lfc-interval", "", 0, maxUint32)),
	unset(integer("max-row-errors", "", 0, maxUint32)),
	// Access to a database server, of no use to memfile.
	later(unset(str("user", ""))),
	later(unset(str("password", ""))),
	later(unset(str("password-file", ""))),
	later(unset(str("host", ""))),
	later(unset(integer("port", "", 0, 65535))),
	later(unset(integer("connect-timeout", "", 0, maxUint32))),
	later(unset(integer("read-timeout", "", 0, maxUint32))),
	later(unset(integer("write-timeout", "", 0, maxUint32))),
	later(unset(integer("tcp-user-timeout", "", 0, maxUint32))),
	later(unset(integer("max-reconnect-tries", "", 0, maxUint32))),
	later(unset(integer("reconnect-wait-time", "", 0, maxUint32))),
	later(unset(str("on-fail", ""))),
	later(unset(boolean("retry-on-startup", ""))),
	later(unset(boolean("readonly", ""))),
	later(unset(str("trust-anchor", ""))),
	later(unset(str("cert-file", ""))),
	later(unset(str("key-file", ""))),
	later(unset(str("ssl-mode", ""))),
	later(unset(str("cipher-list", ""))),
}, withContext())

// scopeExpired is LS-018; the limits of 16 bits are Kea's.
var scopeExpired = newScope("expired-leases-processing", []key{
	integer("reclaim-timer-wait-time", "10", 0, 65535),
	integer("flush-reclaimed-timer-wait-time", "25", 0, 65535),
	integer("hold-reclaimed-time", "3600", 0, maxUint32),
	integer("max-reclaim-leases", "100", 0, maxUint32),
	integer("max-reclaim-time", "250", 0, 65535),
	integer("unwarned-reclaim-cycles", "5", 0, 65535),
}, withContext())

var scopeThreading = newScope("multi-threading", []key{
	boolean("enable-multi-threading", "true"),
	integer("thread-pool-size", "0", 0, 65535),
	integer("packet-queue-size", "64", 0, 65535),
}, withContext())

var scopeAuthClient = newScope("clients", []key{
	unset(str("user", "")),
	unset(str("user-file", "")),
	unset(str("password", "")),
	unset(str("password-file", "")),
}, withContext())

// newAuthScope is authentication with a default realm.
func newAuthScope(realm string) *scope {
	return newScope("authentication", []key{
		oneOf("type", "", "basic"),
		str("realm", strconv.Quote(realm)),
		str("directory", `""`),
		mapList("clients", scopeAuthClient),
	}, withContext())
}

var scopeAuth = newAuthScope(family4.realm)

var scopeHeader = newScope("http-headers", []key{
	unset(str("name", "")),
	unset(str("value", "")),
}, withContext())

// newSocketScope is a control socket whose authentication is auth.
func newSocketScope(auth *scope) *scope {
	return newScope("control-sockets", []key{
		{name: "socket-type", kind: keajson.String, enum: []string{"unix", "http", "https"}},
		unset(str("socket-name", "")),
		unset(str("socket-address", "")),
		unset(integer("socket-port", "", 1, 65535)),
		submap("authentication", auth),
		unset(mapList("http-headers", scopeHeader)),
		// Of https alone.
		unset(str("trust-anchor", "")),
		unset(str("cert-file", "")),
		unset(str("key-file", "")),
		unset(boolean("cert-required", "")),
	}, withContext())
}

var scopeSocket = newSocketScope(scopeAuth)

var scopeOutput = newScope("output-options", []key{
	unset(str("output", "")),
	boolean("flush", "true"),
	integer("maxsize", "10240000", 0, maxUint32),
	integer("maxver", "1", 1, 65535),
	str("pattern", `""`),
}, withContext())

var scopeLogger = newScope("loggers", []key{
	unset(str("name", "")),
	str("severity", `"INFO"`),
	integer("debuglevel", "0", 0, 99),
	mapList("output-options", scopeOutput),
	{name: "output_options", kind: keajson.List, sub: scopeOutput, alias: "output-options"},
}, withContext())

var scopeHook = newScope("hooks-libraries", []key{
	unset(str("library", "")),
	freeMap("parameters"),
}, withContext())

var scopeLimits = newScope("Dataplane.limits", []key{
	integer("client-rate", "0", 0, maxUint32),
	integer("client-burst", "0", 0, maxUint32),
	integer("relay-rate", "0", 0, maxUint32),
	integer("relay-burst", "0", 0, maxUint32),
	integer("new-clients", "0", 0, maxUint32),
	integer("discover-rate", "0", 0, maxUint32),
}, withContext())

var scopeDataplane = func() *scope {
	s := newScope("Dataplane", []key{
		oneOf("mode", `"auto"`, "auto", "native", "generic", "socket"),
		integer("workers-per-queue", "0", 0, 16),
		integer("busy-poll-us", "0", 0, 10000),
		integer("spin-us", "20", 0, 100000),
		oneOf("unknown-vlans", `"pass"`, "pass", "serve"),
		str("metrics-address", `""`),
		oneOf("sync", `"group"`, "group", "none"),
		integer("snapshot-interval", "3600", 0, 7*86400),
		integer("journal-size", "1024", 1, 1<<20),
		integer("offer-hold", "10", 1, 600),
		integer("max-leases", "0", 0, 1<<30),
		str("lease-directory", `""`),
		str("lease-file-mirror", `""`),
		withDef(submap("limits", scopeLimits), "{}"),
		later(str("reply-path", ""), `"reflect"`),
	}, withContext())
	s.value = dataplaneValue
	return s
}()
