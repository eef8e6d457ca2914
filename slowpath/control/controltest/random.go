package controltest

import (
	"fmt"
	"math/rand/v2"
)

// Numbers of what the commands make and remove: few, so that they meet.
const (
	ownSubnets = 5  // ids from firstSubnet on
	ownClients = 24 // identifiers
	ownNames   = 4  // classes, networks, files

	firstSubnet = 101
)

// Random is a random command that is mostly right and its arguments.
func (f *Field) Random(r *rand.Rand) (command string, args any) {
	groups := []func(*rand.Rand) (string, any){f.lease, f.lease, f.find, f.subnet, f.subnet, f.network, f.class, f.host, f.host, f.cache, f.statistic, f.server}
	return groups[r.IntN(len(groups))](r)
}

func (f *Field) subnetID(r *rand.Rand) int { return firstSubnet + r.IntN(ownSubnets) }

// prefix is that of an own subnet.
func (f *Field) prefix(id int) string {
	if f.Family == 4 {
		return fmt.Sprintf("172.20.%d.0/24", id)
	}
	return fmt.Sprintf("2001:db8:f%d::/64", id)
}

// pool is half of an own subnet.
func (f *Field) pool(id, half int) object {
	if f.Family == 4 {
		return object{"pool": fmt.Sprintf("172.20.%d.%d/25", id, half*128)}
	}
	return object{"pool": fmt.Sprintf("2001:db8:f%d::%d:0/112", id, half+1)}
}

// address is one of the served subnet or of an own one, and its subnet.
func (f *Field) address(r *rand.Rand) (addr string, subnet int) {
	if r.IntN(2) == 0 {
		return f.Addr(r.IntN(f.Addrs)), f.SubnetID
	}
	id := f.subnetID(r)
	if f.Family == 4 {
		return fmt.Sprintf("172.20.%d.%d", id, r.IntN(ownClients)*10), id
	}
	return fmt.Sprintf("2001:db8:f%d::%d:%d", id, 1+r.IntN(2), r.IntN(ownClients)), id
}

func mac(r *rand.Rand) string { return fmt.Sprintf("1a:1b:1c:1d:1e:%02x", r.IntN(ownClients)) }
func duid(r *rand.Rand) string {
	return fmt.Sprintf("00:03:00:01:1a:1b:1c:1d:1e:%02x", r.IntN(ownClients))
}
func host(r *rand.Rand) string { return fmt.Sprintf("host%d.example.org", r.IntN(ownNames)) }
func name(r *rand.Rand) string { return fmt.Sprintf("own%d", r.IntN(ownNames)) }

// leaseOf is a lease with what it must have and some of what it may have.
func (f *Field) leaseOf(r *rand.Rand) object {
	addr, subnet := f.address(r)
	l := object{"ip-address": addr, "subnet-id": subnet}
	if f.Family == 6 {
		l["duid"], l["iaid"] = duid(r), r.IntN(3)
		if r.IntN(4) == 0 {
			l["type"], l["prefix-len"] = "IA_PD", 56
			l["ip-address"] = fmt.Sprintf("2001:db8:e%d:%d00::", subnet, r.IntN(9))
		}
	} else {
		l["hw-address"] = mac(r)
		if r.IntN(2) == 0 {
			l["client-id"] = "01:" + mac(r)
		}
	}
	if r.IntN(2) == 0 {
		l["hostname"] = host(r)
	}
	if r.IntN(3) == 0 {
		l["state"] = r.IntN(4)
		if l["type"] == "IA_PD" && l["state"] == 1 {
			l["state"] = 0 // prefixes are never declined
		}
	}
	return l
}

// lease changes leases.
func (f *Field) lease(r *rand.Rand) (string, any) {
	switch r.IntN(9) {
	case 0, 1, 2:
		return f.name("lease%d-add"), f.leaseOf(r)
	case 3, 4:
		l := f.leaseOf(r)
		l["force-create"] = r.IntN(2) == 0
		return f.name("lease%d-update"), l
	case 5:
		l := f.leaseOf(r)
		a := object{"ip-address": l["ip-address"]}
		if t := l["type"]; t != nil {
			a["type"] = t
		}
		return f.name("lease%d-del"), a
	case 6:
		id := f.subnetID(r)
		if f.Wipe && r.IntN(8) == 0 {
			id = f.SubnetID
		}
		return f.name("lease%d-wipe"), object{"subnet-id": id}
	case 7:
		addr, _ := f.address(r)
		return f.name("lease%d-resend-ddns"), object{"ip-address": addr}
	}
	if f.Family == 6 {
		a := object{}
		for _, k := range []string{"leases", "deleted-leases"} {
			var l list
			for range 1 + r.IntN(5) {
				l = append(l, f.leaseOf(r))
			}
			a[k] = l
		}
		return "lease6-bulk-apply", a
	}
	return "lease4-del", object{"subnet-id": f.SubnetID, "identifier-type": "hw-address", "identifier": mac(r)}
}

// find looks leases up.
func (f *Field) find(r *rand.Rand) (string, any) {
	addr, subnet := f.address(r)
	switch r.IntN(10) {
	case 0:
		return f.name("lease%d-get"), object{"ip-address": addr}
	case 1:
		return f.name("lease%d-get-all"), object{"subnets": list{subnet}}
	case 2:
		return f.name("lease%d-get-page"), object{"from": "start", "limit": 1 + r.IntN(100)}
	case 3:
		return f.name("lease%d-get-page"), object{"from": addr, "limit": 1 + r.IntN(10)}
	case 4:
		return f.name("lease%d-get-by-hw-address"), object{"hw-address": mac(r)}
	case 5:
		return f.name("lease%d-get-by-hostname"), object{"hostname": host(r)}
	case 6:
		return f.name("lease%d-get-by-state"), object{"state": r.IntN(4)}
	case 7:
		if f.Family == 6 {
			return "lease6-get-by-duid", object{"duid": duid(r)}
		}
		return "lease4-get-by-client-id", object{"client-id": "01:" + mac(r)}
	case 8:
		return f.name("stat-lease%d-get"), nil
	}
	if !f.Files {
		return f.name("stat-lease%d-get"), object{"subnet-id": subnet}
	}
	return f.name("lease%d-write"), object{"filename": name(r) + ".csv"}
}

// subnet changes own subnets and the options of the served one.
func (f *Field) subnet(r *rand.Rand) (string, any) {
	id := f.subnetID(r)
	key := f.name("subnet%d")
	one := func(s object) object { return object{key: list{s}} }
	s := object{"id": id, "subnet": f.prefix(id), "pools": list{f.pool(id, 0)}}
	option := object{"name": "domain-name", "data": host(r)}
	if f.Family == 6 {
		option = object{"name": "domain-search", "data": host(r)}
	}
	switch r.IntN(9) {
	case 0, 1:
		if f.Family == 6 && r.IntN(2) == 0 {
			s["pd-pools"] = list{object{"prefix": fmt.Sprintf("2001:db8:e%d::", id), "prefix-len": 48, "delegated-len": 56}}
		}
		return f.name("subnet%d-add"), one(s)
	case 2:
		s["pools"] = list{f.pool(id, 0), f.pool(id, 1)}
		return f.name("subnet%d-update"), one(s)
	case 3:
		return f.name("subnet%d-del"), object{"id": id}
	case 4:
		return f.name("subnet%d-delta-add"), one(object{"id": id, "subnet": f.prefix(id), "pools": list{f.pool(id, 1)}})
	case 5:
		return f.name("subnet%d-delta-del"), one(object{"id": id, "subnet": f.prefix(id), "pools": list{f.pool(id, 1)}})
	case 6:
		return f.name("subnet%d-delta-add"), one(object{"id": f.SubnetID, "subnet": f.Subnet, "option-data": list{option}})
	case 7:
		return f.name("subnet%d-get"), object{"id": id}
	}
	return f.name("subnet%d-list"), nil
}

func (f *Field) network(r *rand.Rand) (string, any) {
	n := object{"name": name(r)}
	switch r.IntN(6) {
	case 0:
		return f.name("network%d-add"), object{"shared-networks": list{n}}
	case 1:
		n["subnets-action"] = []string{"keep", "delete"}[r.IntN(2)]
		return f.name("network%d-del"), n
	case 2:
		return f.name("network%d-get"), n
	case 3:
		return f.name("network%d-list"), nil
	case 4:
		n["id"] = f.subnetID(r)
		return f.name("network%d-subnet-add"), n
	}
	n["id"] = f.subnetID(r)
	return f.name("network%d-subnet-del"), n
}

func (f *Field) class(r *rand.Rand) (string, any) {
	c := object{"name": name(r), "test": fmt.Sprintf("option[%d].exists", 60+r.IntN(4))}
	switch r.IntN(5) {
	case 0:
		return "class-add", object{"client-classes": list{c}}
	case 1:
		return "class-update", object{"client-classes": list{c}}
	case 2:
		return "class-del", object{"name": c["name"]}
	case 3:
		return "class-get", object{"name": c["name"]}
	}
	return "class-list", nil
}
