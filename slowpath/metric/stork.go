package metric

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/peregrine-dhcp/peregrine/slowpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// Stork collects Kea's statistics under the names and labels that the exporter
// of Stork's agent gives them (2.5), so that its dashboards work without an
// agent. Its gauges are gauges here, too, though some count.
type Stork struct{ server *slowpath.Server }

// NewStork returns the collector of a server.
func NewStork(s *slowpath.Server) *Stork { return &Stork{s} }

// Describe implements prometheus.Collector: what there is depends on the families
// that are served.
func (*Stork) Describe(chan<- *prometheus.Desc) {}

// storkNames are the exporter's names of statistics of a subnet; global ones have
// "global4_" or "global6_" before them. An N is the family.
var storkNames = names(`
	total-addresses addresses_total
	assigned-addresses addresses_assigned_total
	declined-addresses addresses_declined_total
	reclaimed-leases addresses_reclaimed_total
	reclaimed-declined-addresses addresses_declined_reclaimed_total
	cumulative-assigned-addresses cumulative_addresses_assigned_total
	total-nas na_total
	assigned-nas na_assigned_total
	cumulative-assigned-nas cumulative_nas_assigned_total
	cumulative-registered-nas cumulutive_registered_total
	total-pds pd_total
	assigned-pds pd_assigned_total
	cumulative-assigned-pds cumulative_pds_assigned_total
	vN-allocation-fail allocation_fail_total
	vN-allocation-fail-shared-network allocation_fail_shared_network_total
	vN-allocation-fail-subnet allocation_fail_subnet_total
	vN-allocation-fail-no-pools allocation_fail_no_pools_total
	vN-allocation-fail-classes allocation_fail_classes_total
	v4-lease-reuses lease_reuses_total
	v4-reservation-conflicts reservation_conflicts_total
	v6-ia-na-lease-reuses ia_na_lease_reuses_total
	v6-ia-pd-lease-reuses ia_pd_lease_reuses_total`)

// storkPoolNames and storkPDPoolNames are those of pools.
var (
	storkPoolNames = names(`
	total-addresses pool_addresses_total
	assigned-addresses pool_addresses_assigned_total
	cumulative-assigned-addresses pool_addresses_cumulative_assigned_total
	declined-addresses pool_addresses_declined_total
	reclaimed-leases pool_addresses_reclaimed_total
	reclaimed-declined-addresses pool_addresses_declined_reclaimed_total
	total-nas pool_na_total
	assigned-nas pool_na_assigned_total
	cumulative-assigned-nas pool_cumulative_nas_assigned_total`)
	storkPDPoolNames = names(`
	total-pds pool_pd_total
	assigned-pds pool_pd_assigned_total
	cumulative-assigned-pds pool_cumulative_pds_assigned_total
	reclaimed-leases pool_pd_addresses_reclaimed_total`)
)

func names(table string) map[string]string {
	m := map[string]string{}
	words := strings.Fields(table)
	for i := 0; i+1 < len(words); i += 2 {
		for _, n := range []string{"v4-", "v6-"} {
			m[strings.Replace(words[i], "vN-", n, 1)] = words[i+1]
		}
	}
	return m
}

var (
	storkSubnetLabels = []string{"subnet", "subnet_id", "prefix", "shared_network"}
	storkPoolLabels   = append([]string{"pool_id"}, storkSubnetLabels...)
)

// Collect implements prometheus.Collector.
func (c *Stork) Collect(ch chan<- prometheus.Metric) {
	put := func(family stat.Family, name string, v float64, labels, values []string) {
		full := "kea_dhcp" + strconv.Itoa(int(family)) + "_" + name
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(full, "As the exporter of Stork's agent has it.", labels, nil), prometheus.GaugeValue, v, values...)
	}
	c.collectPackets(stat.V4, c.server.Stats(), put)
	if r := c.server.Stats6(); r != nil {
		c.collectPackets(stat.V6, r, put)
	}
	subnets := c.subnets()
	c.server.EachLeaseStatistic(func(family string, k stat.Key, v stat.Value) {
		f := stat.V4
		if family == "dhcp6" {
			f = stat.V6
		}
		table := storkNames
		switch k.Scope {
		case stat.OfPool:
			table = storkPoolNames
		case stat.OfPDPool:
			table = storkPDPoolNames
		}
		name, known := table[k.Kind.String()]
		switch id := strconv.FormatUint(uint64(k.Subnet), 10); {
		case !known:
		case k.Scope == stat.Global:
			// The exporter has no sums of what is assigned now.
			if k.Kind != stat.AssignedAddresses && k.Kind != stat.AssignedNAs && k.Kind != stat.AssignedPDs {
				put(f, global(f)+name, v.Float(), nil, nil)
			}
		default:
			s := subnets[storkSubnet{f, k.Subnet}]
			if s.prefix == "" {
				s.prefix = id // it went meanwhile
			}
			labels, values := storkSubnetLabels, []string{s.prefix, id, s.prefix, s.network}
			if k.Scope != stat.OfSubnet {
				labels, values = storkPoolLabels, append([]string{strconv.FormatUint(uint64(k.Pool), 10)}, values...)
			}
			put(f, name, v.Float(), labels, values)
		}
	})
}

func global(f stat.Family) string { return "global" + strconv.Itoa(int(f)) + "_" }

// collectPackets collects a family's counters: of packets, and those of leases
// that are not summed up from subnets.
func (c *Stork) collectPackets(f stat.Family, r *stat.Registry, put func(stat.Family, string, float64, []string, []string)) {
	prefix := "pkt" + strconv.Itoa(int(f)) + "-"
	for k, end := f.Counters(); k < end; k++ {
		v := float64(r.Total(k))
		rest, packet := strings.CutPrefix(k.String(), prefix)
		if !packet {
			if name := storkNames[k.String()]; name != "" {
				put(f, global(f)+name, v, nil, nil)
			}
			continue
		}
		operation, received := strings.CutSuffix(rest, "-received")
		sent := false
		switch {
		case rest == "receive-drop":
			operation, received = "drop", true
		case rest == "parse-failed":
			operation, received = rest, true
		case !received:
			operation, sent = strings.CutSuffix(rest, "-sent")
		}
		over4, is4o6 := strings.CutPrefix(operation, "dhcpv4-")
		switch {
		case is4o6 && received:
			put(f, "packets_received_dhcp4_total", v, []string{"operation"}, []string{over4})
		case is4o6 && sent:
			put(f, "packets_sent_dhcp4_total", v, []string{"operation"}, []string{over4})
		case received:
			put(f, "packets_received_total", v, []string{"operation"}, []string{operation})
		case sent:
			put(f, "packets_sent_total", v, []string{"operation"}, []string{operation})
		}
	}
}

type storkSubnet struct {
	family stat.Family
	id     uint32
}

type storkSubnetName struct{ prefix, network string }

// subnets are the prefixes and networks of the subnets in force.
func (c *Stork) subnets() map[storkSubnet]storkSubnetName {
	m := map[storkSubnet]storkSubnetName{}
	snap := c.server.Snapshot()
	if d := snap.Dhcp4; d != nil {
		for _, s := range d.Subnets {
			n := storkSubnetName{prefix: s.Text}
			if s.Network != nil {
				n.network = s.Network.Name
			}
			m[storkSubnet{stat.V4, s.ID}] = n
		}
	}
	if d := snap.Dhcp6; d != nil {
		for _, s := range d.Subnets {
			n := storkSubnetName{prefix: s.Text}
			if s.Network != nil {
				n.network = s.Network.Name
			}
			m[storkSubnet{stat.V6, s.ID}] = n
		}
	}
	return m
}
