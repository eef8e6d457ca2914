package metric

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/peregrine-dhcp/peregrine/slowpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

var rewrite = flag.Bool("rewrite", false, "rewrite docs/metrics.md")

const page = "../../docs/metrics.md"

// TestDocumented keeps docs/metrics.md equal to what is collected.
func TestDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Metrics\n\nServed at `Dataplane.metrics-address` under `/metrics`, beside those of the Go runtime and the process. " +
		"`/livez` answers while the process\nruns, `/readyz` while it can answer clients. `/metrics/stork` has Kea's statistics under the names and labels of the exporter of\nStork's agent, " +
		"for dashboards made for that (`kea_dhcp4_addresses_assigned_total` and so on). This page is written by a test.\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n")
	list := slices.Clone(all)
	slices.SortFunc(list, func(a, b struct{ Name, Type, Labels, Help string }) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range list {
		labels := strings.ReplaceAll(strings.Trim(m.Labels, "[]"), " ", ", ")
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, labels, m.Help)
	}
	if *rewrite {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != b.String() {
		t.Errorf("docs/metrics.md is not what is collected (%v): go test ./slowpath/metric -rewrite", err)
	}
}

func newServer(t *testing.T) *slowpath.Server {
	t.Helper()
	snap, err := config.Parse("t", []byte(fmt.Sprintf(`{"Dhcp4": {"interfaces-config": {"interfaces": ["dhcp0"]}, "lease-database": {"type": "memfile"},
		"subnet4": [{"id": 1, "subnet": "10.67.0.0/16", "pools": [{"pool": "10.67.1.0/24"}]}]}, "Dataplane": {"lease-directory": %q}}`, t.TempDir())), config.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := slowpath.New(slowpath.Options{Snapshot: snap})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.SetInterfaces([]netio.Interface{{Index: 7, Name: "dhcp0", Addrs4: []netio.Prefix4{{Addr: 0x0A430001, Len: 16}}}})
	return s
}

// TestEveryMetricIsWellFormedAndDescribed collects from a server that has
// answered, and lints names and help.
func TestEveryMetricIsWellFormedAndDescribed(t *testing.T) {
	s := newServer(t)
	w := s.NewWorker("test")
	w.Attach(func() {})
	p := []netio.Packet{{Data: append(make([]byte, 0, 2048), netiotest.Discover(netiotest.ClientMAC(1)).Frame()...), IfIndex: 7}, {Data: make([]byte, 3, 2048), IfIndex: 7}}
	w.HandleBatch(p, 1_800_000_000_000_000_000)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dp := Dataplane{
		Interfaces: []Interface{{Name: "dhcp0", Mode: "native-copy"}}, Workers: []Worker{{Name: "dhcp0/0.0", Interface: "dhcp0"}},
		XDP: []XDPCounter{{Family: "ipv4", Action: "redirect", Reason: "steered", Packets: 9}},
	}
	c := New(s, func() Dataplane { return dp }, "1.2.3")
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range problems {
		t.Errorf("%s: %s", x.Metric, x.Text)
	}
	fams, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range fams {
		for _, m := range f.Metric {
			key := f.GetName()
			for _, l := range m.Label {
				key += "/" + l.GetValue()
			}
			switch {
			case m.Counter != nil:
				values[key] = m.Counter.GetValue()
			case m.Gauge != nil:
				values[key] = m.Gauge.GetValue()
			}
		}
	}
	for key, want := range map[string]float64{
		"peregrine_packets_received_total/dhcp4/discover": 1, "peregrine_packets_sent_total/dhcp4/offer": 1,
		"peregrine_pool_addresses/10.67.1.0-10.67.1.255/total/1": 256, "peregrine_pool_addresses/10.67.1.0-10.67.1.255/offered/1": 1,
		"peregrine_lease_store_up": 1, "peregrine_xdp_packets_total/redirect/ipv4/steered": 9, "peregrine_interface_mode/dhcp0/native-copy": 1,
		"peregrine_statistic_total/dhcp4/pkt4-receive-drop": 1, "peregrine_build_info/1.2.3": 1,
		"peregrine_lease_statistic/dhcp4/total-addresses/0/pool/1": 256, "peregrine_lease_statistic/dhcp4/total-addresses//subnet/1": 256,
	} {
		if got, ok := values[key]; !ok || got != want {
			t.Errorf("%s is %v (present %v), want %v", key, got, ok, want)
		}
	}
	dropped := 0.0
	for k, v := range values {
		if strings.HasPrefix(k, "peregrine_packets_dropped_total/") {
			dropped += v
		}
	}
	if dropped != 1 {
		t.Errorf("%v packets dropped, want the one that is too short", dropped)
	}
}
