package controltest

import (
	"fmt"
	"math/rand/v2"
)

// hostOf is a reservation: "identifier" and "identifier-type" name it.
func (f *Field) hostOf(r *rand.Rand) (h object, identifier, kind string) {
	addr, subnet := f.address(r)
	h = object{"subnet-id": subnet, "hostname": host(r)}
	kind, identifier = "hw-address", mac(r)
	if f.Family == 6 {
		kind, identifier = "duid", duid(r)
		h["ip-addresses"] = list{addr}
		if r.IntN(3) == 0 {
			h["prefixes"] = list{fmt.Sprintf("2001:db8:e%d:%d00::/56", subnet, r.IntN(9))}
		}
	} else {
		h["ip-address"] = addr
	}
	h[kind] = identifier
	return h, identifier, kind
}

// host changes and finds reservations.
func (f *Field) host(r *rand.Rand) (string, any) {
	h, identifier, kind := f.hostOf(r)
	a := object{"operation-target": []string{"memory", "database", "all", "default"}[r.IntN(4)]}
	switch r.IntN(10) {
	case 0, 1, 2:
		a["reservation"] = h
		return "reservation-add", a
	case 3:
		a["reservation"] = h
		return "reservation-update", a
	case 4, 5:
		a["subnet-id"], a["identifier-type"], a["identifier"] = h["subnet-id"], kind, identifier
		return "reservation-del", a
	case 6:
		a["subnet-id"], a["identifier-type"], a["identifier"] = h["subnet-id"], kind, identifier
		return "reservation-get", a
	case 7:
		a["subnet-id"] = h["subnet-id"]
		return "reservation-get-all", a
	case 8:
		return "reservation-get-page", object{"limit": 1 + r.IntN(10)}
	}
	switch r.IntN(3) {
	case 0:
		addr, _ := f.address(r)
		a["ip-address"] = addr
		return "reservation-get-by-address", a
	case 1:
		a["hostname"] = host(r)
		return "reservation-get-by-hostname", a
	}
	a["identifier-type"], a["identifier"] = kind, identifier
	return "reservation-get-by-id", a
}

// cache changes and reads the host cache.
func (f *Field) cache(r *rand.Rand) (string, any) {
	h, identifier, kind := f.hostOf(r)
	subnet := f.name("subnet-id%d")
	h[subnet] = h["subnet-id"]
	delete(h, "subnet-id")
	switch r.IntN(9) {
	case 0, 1:
		if r.IntN(6) == 0 {
			h["negative"] = true
		}
		return "cache-insert", h
	case 2:
		return "cache-get", nil
	case 3:
		return "cache-get-by-id", object{kind: identifier}
	case 4:
		return "cache-remove", object{kind: identifier, subnet: h[subnet]}
	case 5:
		addr, id := f.address(r)
		return "cache-remove", object{"ip-address": addr, subnet: id}
	case 6:
		return "cache-flush", 1 + r.IntN(5)
	case 7:
		if f.Files {
			return []string{"cache-write", "cache-load"}[r.IntN(2)], name(r) + ".json"
		}
		return "cache-clear", nil
	}
	return "cache-size", nil
}

// statistics are some that there are in either family, and one that is not. Those
// of leases are never reset: they would not be what a recount gives until the next
// change of configuration, as in Kea.
var statistics = []string{"pkt4-received", "pkt6-received", "pkt4-ack-sent", "pkt6-reply-sent", "reclaimed-leases", "nothing"}

func (f *Field) statistic(r *rand.Rand) (string, any) {
	n := object{"name": statistics[r.IntN(len(statistics))]}
	switch r.IntN(9) {
	case 0:
		return "statistic-get", n
	case 1:
		return "statistic-get-all", nil
	case 2:
		return "statistic-global-get-all", nil
	case 3:
		return "statistic-reset", n
	case 4:
		n["max-samples"] = 1 + r.IntN(5)
		return "statistic-sample-count-set", n
	case 5:
		n["duration"] = r.IntN(100)
		return "statistic-sample-age-set", n
	case 6:
		return "statistic-sample-count-set-all", object{"max-samples": 1 + r.IntN(5)}
	case 7:
		return "statistic-sample-age-set-all", object{"duration": r.IntN(100)}
	}
	return "statistic-remove", n
}

// server is what concerns all of it.
func (f *Field) server(r *rand.Rand) (string, any) {
	plain := []string{"status-get", "version-get", "build-report", "list-commands", "server-tag-get", "config-get", "config-hash-get",
		"interface-list", "interface-redetect", "kea-lfc-start", "config-backend-pull", "perfmon-get-all-durations"}
	switch r.IntN(8) {
	case 0:
		return "leases-reclaim", object{"remove": r.IntN(2) == 0}
	case 1:
		return "perfmon-control", object{"enable-monitoring": r.IntN(2) == 0, "stats-mgr-reporting": r.IntN(2) == 0}
	case 2:
		if f.Family == 4 {
			return "subnet4-select-test", object{"address": f.Addr(0)}
		}
		return "subnet6-select-test", object{"remote": "fe80::1", "link": f.Addr(0)}
	case 3:
		if f.Files && r.IntN(3) == 0 {
			return "config-write", object{"filename": name(r) + ".json"}
		}
	case 4:
		if f.Reload && r.IntN(10) == 0 {
			return "config-reload", nil
		}
	}
	return plain[r.IntN(len(plain))], nil
}
