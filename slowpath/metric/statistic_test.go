package metric

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/peregrine-dhcp/peregrine/slowpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// Every statistic that commands show is a metric too, with the same value: packet
// statistics always, those of leases at each scope where they are not 0.
func TestStatisticsAreMetrics(t *testing.T) {
	snap, err := config.Parse("t", []byte(`{
		"Dhcp4": {"interfaces-config": {"interfaces": ["dhcp0"]}, "lease-database": {"type": "memfile", "persist": false},
			"subnet4": [{"id": 1, "subnet": "10.67.0.0/16", "pools": [{"pool": "10.67.1.0/24", "pool-id": 3}]}]},
		"Dhcp6": {"interfaces-config": {"interfaces": ["dhcp0"]}, "lease-database": {"type": "memfile", "persist": false},
			"subnet6": [{"id": 1, "subnet": "2001:db8::/40", "interface": "dhcp0", "pools": [{"pool": "2001:db8::/40"}],
				"pd-pools": [{"prefix": "2001:db8:100::", "prefix-len": 40, "delegated-len": 128, "pool-id": 4}]}]},
		"Dataplane": {"lease-directory": "/nowhere"}}`), config.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := slowpath.New(slowpath.Options{Snapshot: snap})
	if err != nil {
		t.Fatal(err)
	}
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
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	registry := prometheus.NewRegistry()
	registry.MustRegister(New(s, func() Dataplane { return Dataplane{} }, "1.2.3"))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			switch f.GetName() {
			case "peregrine_statistic_total":
				got[labels["family"]+" "+labels["name"]] = m.GetCounter().GetValue()
			case "peregrine_lease_statistic":
				got[fmt.Sprintf("%s %s %s %s %s", labels["family"], labels["scope"], labels["subnet_id"], labels["pool_id"], labels["name"])] = m.GetGauge().GetValue()
			}
		}
	}
	check := func(what string, want float64) {
		t.Helper()
		v, there := got[what]
		if delete(got, what); !there || v != want {
			t.Errorf("%s is %v (%v), want %v", what, v, there, want)
		}
	}
	for _, f := range []stat.Family{stat.V4, stat.V6} {
		r := s.Stats()
		if f == stat.V6 {
			r = s.Stats6()
		}
		for c, end := f.Counters(); c < end; c++ {
			check(fmt.Sprintf("dhcp%d %v", f, c), float64(r.Total(c)))
		}
	}
	scopes := map[stat.Scope]int{}
	s.EachLeaseStatistic(func(family string, k stat.Key, v stat.Value) {
		if v == (stat.Value{}) {
			return
		}
		scopes[k.Scope]++
		scope, subnet, pool := scoped(k)
		check(fmt.Sprintf("%s %s %s %s %v", family, scope, subnet, pool, k.Kind), v.Float())
	})
	if len(got) > 0 {
		t.Errorf("no statistics: %v", got)
	}
	for _, c := range []stat.Scope{stat.Global, stat.OfSubnet, stat.OfPool, stat.OfPDPool} {
		if scopes[c] == 0 {
			t.Errorf("nothing of scope %d was there to be seen", c)
		}
	}
}
