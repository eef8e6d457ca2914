package metric

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/peregrine-dhcp/peregrine/hooks"
	hooksall "github.com/peregrine-dhcp/peregrine/hooks/all"
	"github.com/peregrine-dhcp/peregrine/slowpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// What a library measures is collected, and as a statistic too.
func TestHookHistograms(t *testing.T) {
	snap, err := config.Parse("t", []byte(fmt.Sprintf(`{"Dhcp4": {"interfaces-config": {"interfaces": ["dhcp0"]}, "lease-database": {"type": "memfile", "persist": false},
		"hooks-libraries": [ { "library": "libdhcp_perfmon.so", "parameters": { "enable-monitoring": true, "interval-width-secs": 1 } } ],
		"subnet4": [{"id": 1, "subnet": "10.67.0.0/16", "pools": [{"pool": "10.67.1.0/24"}]}]}, "Dataplane": {"lease-directory": %q}}`, t.TempDir())), config.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := slowpath.New(slowpath.Options{Snapshot: snap, Hooks: func(name string) hooks.Library {
		l, _ := hooksall.New(name)
		return l
	}})
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
	p := []netio.Packet{{Data: append(make([]byte, 0, 2048), netiotest.Discover(netiotest.ClientMAC(1)).Frame()...), IfIndex: 7}}
	w.HandleBatch(p, 1_800_000_000_000_000_000)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(NewHooks(s)); err != nil {
		t.Fatal(err)
	}
	n, err := testutil.GatherAndCount(reg, "peregrine_perfmon_seconds")
	if err != nil || n != 4 {
		t.Errorf("%d histograms, %v; want 4", n, err)
	}
	lint, err := testutil.GatherAndLint(reg)
	if err != nil || len(lint) > 0 {
		t.Errorf("%v, %v", lint, err)
	}
	families, err := reg.Gather()
	if err != nil || !strings.Contains(families[0].String(), "DHCPDISCOVER") {
		t.Errorf("%v, %v", families, err)
	}
}
