package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
)

// An edge is the size of a configuration as ISPs have them.
type edge struct{ subnets, classes, hosts int }

var (
	bigEdge   = edge{subnets: 500, classes: 40, hosts: 100_000}
	smallEdge = edge{subnets: 1}
)

const (
	// edgeMAC is the first client of the generator, of whom every other has a
	// reservation.
	edgeMAC = 0x02_1E_00_00_00_00
	// edgeRelay is the relay of the first subnet, the next ones have the
	// addresses after it; edgeNet the first subnet's network.
	edgeRelay = 0x0A42_0100 // 10.66.1.0
	edgeNet   = 0x0B00_0000 // 11.0.0.0
	edgeBits  = 20
)

func ipv4(a uint32) string {
	return netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}).String()
}

func edgeHW(i int) string {
	m := uint64(edgeMAC) + uint64(i)
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", byte(m>>40), byte(m>>32), byte(m>>24), byte(m>>16), byte(m>>8), byte(m))
}

type object = map[string]any

// config makes the configuration: subnets behind relays, each with options of its
// own and two pools, one of them guarded by a class; classes by every kind of
// expression, a few of which fit each client; and reservations, half of them
// global, by hardware address, for clients that the generator plays, half of them
// of addresses in the subnets, for clients that never come.
func (e edge) config(b *bencher, dir string) ([]byte, error) {
	var classes, subnets, global []any
	for i := range e.classes {
		c := object{"name": fmt.Sprintf("class-%d", i)}
		switch i % 5 {
		case 0:
			c["test"] = fmt.Sprintf("substring(option[60].hex, 0, 7) == 'modem-%d'", i)
		case 1:
			c["test"] = fmt.Sprintf("substring(pkt4.mac, 5, 1) == 0x%02x", i)
			c["option-data"] = []any{object{"name": "boot-file-name", "data": fmt.Sprintf("boot-%d", i)}}
		case 2:
			c["test"] = fmt.Sprintf("relay4[1].hex == 'port-%d' or option[61].hex == 0x%02x", i, i)
		case 3:
			c["test"] = fmt.Sprintf("member('class-%d') and not member('class-%d')", i-1, i-2)
			c["valid-lifetime"] = 7200
		case 4:
			c["test"] = fmt.Sprintf("pkt4.giaddr == %s and not (pkt.iface == 'eth9')", ipv4(edgeRelay+uint32(i)))
			c["next-server"] = "10.66.0.9"
		}
		classes = append(classes, c)
	}
	if e.classes > 0 {
		classes = append(classes, object{"name": "nobody", "test": "option[60].hex == 'nobody'"})
	}
	own := e.hosts / 2
	for i := range own {
		global = append(global, object{"hw-address": edgeHW(2 * i), "hostname": fmt.Sprintf("cpe-%d", i)})
	}
	for i := range e.subnets {
		net := uint32(edgeNet + i<<(32-edgeBits))
		s := object{
			"id": i + 1, "subnet": fmt.Sprintf("%s/%d", ipv4(net), edgeBits),
			"relay": object{"ip-addresses": []string{ipv4(edgeRelay + uint32(i))}},
			"option-data": []any{
				object{"name": "routers", "data": ipv4(net + 1)},
				object{"name": "domain-name-servers", "data": "10.67.0.1, 10.67.0.2"},
			},
		}
		pools := []any{object{"pool": ipv4(net+256) + " - " + ipv4(net+4000)}}
		if e.classes > 0 {
			pools = append(pools, object{"pool": ipv4(net+4001) + " - " + ipv4(net+4090), "client-classes": []string{"nobody"}})
		}
		if e.subnets == 1 { // it holds the clients of all
			s["subnet"], pools = "11.0.0.0/8", []any{object{"pool": "11.0.1.0 - 11.255.255.254"}}
			var relays []string
			for r := range bigEdge.subnets {
				relays = append(relays, ipv4(edgeRelay+uint32(r)))
			}
			s["relay"] = object{"ip-addresses": relays}
		}
		s["pools"] = pools
		var hosts []any
		for h := range (e.hosts - own) / e.subnets {
			hosts = append(hosts, object{"hw-address": fmt.Sprintf("06:00:00:%02x:%02x:%02x", i>>8, i&255, h), "ip-address": ipv4(net + 4 + uint32(h))})
		}
		if len(hosts) > 0 {
			s["reservations"] = hosts
		}
		subnets = append(subnets, s)
	}
	d := object{
		"interfaces-config": object{"interfaces": []string{b.t.serverIf}},
		"lease-database":    object{"type": "memfile", "persist": true},
		"loggers":           []any{object{"name": "kea-dhcp4", "severity": "WARN", "output-options": []any{object{"output": "stdout"}}}},
		"control-sockets":   []any{object{"socket-type": "unix", "socket-name": filepath.Join(dir, "control.sock")}},
		"valid-lifetime":    86400, "cache-threshold": 0.0,
		"subnet4": subnets,
	}
	if e.hosts > 0 {
		d["reservations"], d["reservations-global"], d["reservations-in-subnet"] = global, true, true
		d["host-reservation-identifiers"] = []string{"hw-address", "client-id"}
	}
	if e.classes > 0 {
		d["client-classes"] = classes
	}
	return json.Marshal(object{"Dhcp4": d, "Dataplane": object{"metrics-address": metricsAddr, "lease-directory": filepath.Join(dir, "leases")}})
}

// edgeRate is well below what one core can do, so that nothing is shed.
const edgeRate = 15_000

// edge compares the price of a DORA under an ISP's configuration with that under
// one subnet: the same clients behind the same relays.
func (b *bencher) edge() error {
	say("\n%d subnets, %d classes, %d reservations", bigEdge.subnets, bigEdge.classes, bigEdge.hosts)
	server := func(e edge, name string) func() (*under, error) {
		return func() (*under, error) {
			dir, err := os.MkdirTemp(b.dir, "edge-")
			if err != nil {
				return nil, err
			}
			text, err := e.config(b, dir)
			if err != nil {
				return nil, err
			}
			return b.peregrineWith(name, dir, text)
		}
	}
	big, base, err := b.inTurns(server(bigEdge, "peregrine 500 subnets"), server(smallEdge, "peregrine 1 subnet"), edgeRate, "-b", "mac="+edgeHW(0),
		"--relays", ipv4(edgeRelay)+"-"+ipv4(edgeRelay+uint32(bigEdge.subnets)-1))
	if err != nil {
		return err
	}
	r := ratios(big, base)
	note := fmt.Sprintf("%.2f against %.2f us with one subnet; %.2f", median(big), median(base), r)
	b.add(fmt.Sprintf("DORA cost, %d subnets, %d classes, %d reservations", bigEdge.subnets, bigEdge.classes, bigEdge.hosts), median(r), "x", "<= 1.5", note)
	return nil
}
