package main

import (
	"slices"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// TestInterfaceAddServes: an interface that is added by command is served from
// then on, and config-get says so.
func TestInterfaceAddServes(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.newConf("socket")
	c.dhcp4["interfaces-config"] = object{"interfaces": []any{}}
	b.startWith(c)
	w, mac := b.newWire(), netiotest.ClientMAC(1)
	if w.once(netiotest.Discover(mac), 300*time.Millisecond) != nil {
		t.Error("an interface that is not configured is served")
	}
	if a, err := b.send("interface-add", object{"interfaces": []any{"not an interface/nonsense"}}); err != nil || a.Result != 1 {
		t.Errorf("interface-add of nonsense: %+v, %v", a, err)
	}
	b.command("interface-add", object{"interfaces": []any{serverIf}}, nil)
	until(t, "the interface to be served", func() bool { return b.socketStatus().Status == "ready" })
	w.lease(mac)
	var get struct {
		Dhcp4 struct {
			Interfaces struct{ Interfaces []string } `json:"interfaces-config"`
		}
	}
	b.command("config-get", nil, &get)
	if !slices.Equal(get.Dhcp4.Interfaces.Interfaces, []string{serverIf}) {
		t.Errorf("config-get has the interfaces %q", get.Dhcp4.Interfaces.Interfaces)
	}
	b.p.terminate()
}
