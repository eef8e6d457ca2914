package metric

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/peregrine-dhcp/peregrine/slowpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// The names that Stork's dashboards for kea-dhcp4 and kea-dhcp6 ask for, and the
// rest of what its exporter has (2.5.1).
const storkMetrics = `kea_dhcp4_packets_received_total kea_dhcp4_packets_sent_total kea_dhcp6_packets_received_total kea_dhcp6_packets_sent_total
	kea_dhcp6_packets_received_dhcp4_total kea_dhcp6_packets_sent_dhcp4_total
	kea_dhcp4_addresses_total kea_dhcp4_addresses_assigned_total kea_dhcp4_addresses_declined_total kea_dhcp4_addresses_declined_reclaimed_total
	kea_dhcp4_addresses_reclaimed_total kea_dhcp4_cumulative_addresses_assigned_total kea_dhcp4_lease_reuses_total kea_dhcp4_reservation_conflicts_total
	kea_dhcp4_allocation_fail_total kea_dhcp4_allocation_fail_shared_network_total kea_dhcp4_allocation_fail_subnet_total
	kea_dhcp4_allocation_fail_no_pools_total kea_dhcp4_allocation_fail_classes_total
	kea_dhcp4_pool_addresses_total kea_dhcp4_pool_addresses_assigned_total kea_dhcp4_pool_addresses_cumulative_assigned_total
	kea_dhcp4_pool_addresses_declined_total kea_dhcp4_pool_addresses_reclaimed_total kea_dhcp4_pool_addresses_declined_reclaimed_total
	kea_dhcp4_global4_cumulative_addresses_assigned_total kea_dhcp4_global4_addresses_declined_total kea_dhcp4_global4_addresses_declined_reclaimed_total
	kea_dhcp4_global4_addresses_reclaimed_total kea_dhcp4_global4_allocation_fail_total kea_dhcp4_global4_allocation_fail_shared_network_total
	kea_dhcp4_global4_allocation_fail_subnet_total kea_dhcp4_global4_allocation_fail_no_pools_total kea_dhcp4_global4_allocation_fail_classes_total
	kea_dhcp4_global4_lease_reuses_total kea_dhcp4_global4_reservation_conflicts_total
	kea_dhcp6_na_total kea_dhcp6_na_assigned_total kea_dhcp6_pd_total kea_dhcp6_pd_assigned_total kea_dhcp6_cumulative_nas_assigned_total
	kea_dhcp6_cumulative_pds_assigned_total kea_dhcp6_cumulutive_registered_total kea_dhcp6_addresses_declined_total
	kea_dhcp6_addresses_declined_reclaimed_total kea_dhcp6_addresses_reclaimed_total kea_dhcp6_ia_na_lease_reuses_total kea_dhcp6_ia_pd_lease_reuses_total
	kea_dhcp6_allocation_fail_total kea_dhcp6_allocation_fail_shared_network_total kea_dhcp6_allocation_fail_subnet_total
	kea_dhcp6_allocation_fail_no_pools_total kea_dhcp6_allocation_fail_classes_total
	kea_dhcp6_pool_na_total kea_dhcp6_pool_na_assigned_total kea_dhcp6_pool_cumulative_nas_assigned_total kea_dhcp6_pool_addresses_declined_total
	kea_dhcp6_pool_addresses_reclaimed_total kea_dhcp6_pool_addresses_declined_reclaimed_total
	kea_dhcp6_pool_pd_total kea_dhcp6_pool_pd_assigned_total kea_dhcp6_pool_cumulative_pds_assigned_total kea_dhcp6_pool_pd_addresses_reclaimed_total
	kea_dhcp6_global6_addresses_declined_total kea_dhcp6_global6_addresses_declined_reclaimed_total kea_dhcp6_global6_addresses_reclaimed_total
	kea_dhcp6_global6_cumulative_nas_assigned_total kea_dhcp6_global6_cumulative_pds_assigned_total kea_dhcp6_global6_cumulutive_registered_total
	kea_dhcp6_global6_allocation_fail_total kea_dhcp6_global6_allocation_fail_shared_network_total kea_dhcp6_global6_allocation_fail_subnet_total
	kea_dhcp6_global6_allocation_fail_no_pools_total kea_dhcp6_global6_allocation_fail_classes_total
	kea_dhcp6_global6_ia_na_lease_reuses_total kea_dhcp6_global6_ia_pd_lease_reuses_total`

// All names of Stork's exporter are there, no others, with its labels.
func TestStorkNames(t *testing.T) {
	snap, err := config.Parse("t", []byte(`{
		"Dhcp4": {"interfaces-config": {"interfaces": ["dhcp0"]}, "lease-database": {"type": "memfile", "persist": false},
			"subnet4": [{"id": 1, "subnet": "10.67.0.0/16", "pools": [{"pool": "10.67.1.0/24", "pool-id": 3}]}],
			"shared-networks": [{"name": "net", "subnet4": [{"id": 2, "subnet": "192.0.2.0/24"}]}]},
		"Dhcp6": {"interfaces-config": {"interfaces": ["dhcp0"]}, "lease-database": {"type": "memfile", "persist": false},
			"subnet6": [{"id": 1, "subnet": "2001:db8::/48", "interface": "dhcp0", "pools": [{"pool": "2001:db8::/64"}],
				"pd-pools": [{"prefix": "2001:db8:100::", "prefix-len": 40, "delegated-len": 56, "pool-id": 4}]}]},
		"Dataplane": {"lease-directory": "/nowhere"}}`), config.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := slowpath.New(slowpath.Options{Snapshot: snap})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	s.SetInterfaces([]netio.Interface{{Index: 7, Name: "dhcp0", Addrs4: []netio.Prefix4{{Addr: 0x0A430001, Len: 16}}}})
	w := s.NewWorker("test")
	w.Attach(func() {})
	mac := netiotest.ClientMAC(1)
	for _, q := range []*netiotest.Query{netiotest.Discover(mac), netiotest.Request(mac, 0x0A430100, 0x0A430001)} {
		w.HandleBatch([]netio.Packet{{Data: append(make([]byte, 0, 2048), q.Frame()...), IfIndex: 7}}, 1_800_000_000_000_000_000)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewStork(s))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range families {
		got[f.GetName()] = true
	}
	for name := range strings.FieldsSeq(storkMetrics) {
		if !got[name] {
			t.Errorf("%s is missing", name)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("Stork has none of these: %v", got)
	}
	const want = `
		# HELP kea_dhcp4_addresses_assigned_total As the exporter of Stork's agent has it.
		# TYPE kea_dhcp4_addresses_assigned_total gauge
		kea_dhcp4_addresses_assigned_total{prefix="10.67.0.0/16",shared_network="",subnet="10.67.0.0/16",subnet_id="1"} 1
		kea_dhcp4_addresses_assigned_total{prefix="192.0.2.0/24",shared_network="net",subnet="192.0.2.0/24",subnet_id="2"} 0
		# HELP kea_dhcp4_packets_sent_total As the exporter of Stork's agent has it.
		# TYPE kea_dhcp4_packets_sent_total gauge
		kea_dhcp4_packets_sent_total{operation="ack"} 1
		kea_dhcp4_packets_sent_total{operation="lease-query-response-active"} 0
		kea_dhcp4_packets_sent_total{operation="lease-query-response-unassigned"} 0
		kea_dhcp4_packets_sent_total{operation="lease-query-response-unknown"} 0
		kea_dhcp4_packets_sent_total{operation="nak"} 0
		kea_dhcp4_packets_sent_total{operation="offer"} 1
		# HELP kea_dhcp4_pool_addresses_total As the exporter of Stork's agent has it.
		# TYPE kea_dhcp4_pool_addresses_total gauge
		kea_dhcp4_pool_addresses_total{pool_id="3",prefix="10.67.0.0/16",shared_network="",subnet="10.67.0.0/16",subnet_id="1"} 256
		# HELP kea_dhcp6_pool_pd_total As the exporter of Stork's agent has it.
		# TYPE kea_dhcp6_pool_pd_total gauge
		kea_dhcp6_pool_pd_total{pool_id="4",prefix="2001:db8::/48",shared_network="",subnet="2001:db8::/48",subnet_id="1"} 65536
	`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "kea_dhcp4_addresses_assigned_total", "kea_dhcp4_packets_sent_total",
		"kea_dhcp4_pool_addresses_total", "kea_dhcp6_pool_pd_total"); err != nil {
		t.Error(err)
	}
}
