package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// TestInterfaceComesAndGoes: down and up, deleted and made anew, under the eyes
// of a running server, which was started before there was an interface.
func TestInterfaceComesAndGoes(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		t.Run(m.configured, func(t *testing.T) {
			t.Parallel()
			b := newBedWithoutLink(t)
			b.startWith(b.newConf(m.configured))
			if got := b.mode(); got != "" {
				t.Errorf("an interface that does not exist is served in mode %q", got)
			}
			if n := b.logs(`WARN .*` + serverIf + `: there is no such interface`); n != 1 {
				t.Errorf("%d warnings of an interface that does not exist\n%s", n, b.p.text())
			}
			if status, text := b.ready(); status != 503 || !strings.Contains(text, serverIf) {
				t.Errorf("readyz without an interface: %d %s", status, text)
			}
			if s := b.socketStatus(); s.Status != "failed" || len(s.Errors) != 1 || !strings.Contains(s.Errors[0], serverIf) {
				t.Errorf("status-get without an interface: sockets %+v", s)
			}
			b.addLink()
			until(t, "the new interface to be served", func() bool { return b.mode() == m.inUse })
			until(t, "readyz to be 200", func() bool { status, _ := b.ready(); return status == 200 })
			if s := b.socketStatus(); s.Status != "ready" {
				t.Errorf("status-get with the interface: sockets %+v", s)
			}
			w := b.newWire()
			mac := netiotest.ClientMAC(1)
			addr := w.lease(mac).View.YIAddr()

			b.srv.down(t, serverIf)
			time.Sleep(50 * time.Millisecond) // something in between; right with any
			b.srv.Up(t, serverIf)
			w.ask("after down and up", netiotest.Renew(mac, addr, serverIP), dhcp4.MsgAck)
			for range 5 {
				b.srv.down(t, serverIf)
				b.srv.Up(t, serverIf)
			}
			w.ask("after many downs and ups", netiotest.Renew(mac, addr, serverIP), dhcp4.MsgAck)

			for range 2 {
				w.close()
				if err := b.srv.NL.LinkDel(b.srv.Link(t, serverIf)); err != nil {
					t.Fatal(err)
				}
				until(t, "the deleted interface not to be served", func() bool { return b.mode() == "" })
				b.addLink()
				until(t, "the interface made anew to be served", func() bool { return b.mode() == m.inUse })
				w = b.newWire()
				w.ask("after delete and add", netiotest.Renew(mac, addr, serverIP), dhcp4.MsgAck)
			}
			if b.p.ended() {
				t.Fatalf("the server ended\n%s", b.p.text())
			}
			b.p.terminate()
		})
	}
}

// ready asks as an orchestrator does.
func (b *bed) ready() (status int, text string) {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+metricsAt+"/readyz", nil)
	if err == nil {
		status, text, err = b.get(req)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return status, text
}

type socketStatus struct {
	Status string
	Errors []string
}

func (b *bed) socketStatus() socketStatus {
	b.t.Helper()
	var st struct{ Sockets socketStatus }
	b.command("status-get", nil, &st)
	return st.Sockets
}

// TestInterfaceDown: a server on an interface that is down, then without address.
func TestInterfaceDown(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.srv.down(t, serverIf)
	b.srv.delAddr(t, serverIf, serverCIDR)
	b.startWith(b.newConf("auto"))
	if n := b.logs(`WARN .*` + serverIf + `: the interface is down`); n != 1 {
		t.Errorf("%d warnings of an interface that is down\n%s", n, b.p.text())
	}
	b.srv.Up(t, serverIf)
	until(t, "the interface to be served", func() bool { return b.socketStatus().Status == "ready" })
	b.command("config-reload", nil, nil)
	if n := b.logs(`WARN .*PEREGRINE_NO_ADDRESS .*` + serverIf); n != 1 {
		t.Errorf("%d warnings of an interface without address\n%s", n, b.p.text())
	}
	b.srv.addAddr(t, serverIf, serverCIDR)
	b.newWire().lease(netiotest.ClientMAC(1))
	b.p.terminate()
}

// TestAddressComesAndGoes: the server identifier follows the interface.
func TestAddressComesAndGoes(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		b.startWith(c)
		w := b.newWire()
		mac := netiotest.ClientMAC(1)
		addr := w.lease(mac).View.YIAddr()

		const second = serverIP + 4 // 10.77.0.5
		b.srv.addAddr(t, serverIf, "10.77.0.5/16")
		a := w.ask("to a new address", netiotest.Renew(mac, addr, second), dhcp4.MsgAck)
		if id, _ := a.View.ServerID(); id != second {
			t.Errorf("asked at %v, answered as %v", second, id)
		}
		b.srv.delAddr(t, serverIf, serverCIDR)
		// With a primary address the kernel takes its secondaries; put one back.
		if l, err := b.srv.NL.AddrList(b.srv.Link(t, serverIf), netlink.FAMILY_V4); err != nil {
			t.Fatal(err)
		} else if len(l) == 0 {
			b.srv.addAddr(t, serverIf, "10.77.0.5/16")
		}
		until(t, "the server to answer as its new address", func() bool {
			a := w.once(netiotest.Discover(netiotest.ClientMAC(2)), time.Second)
			if a == nil {
				return false
			}
			id, _ := a.View.ServerID()
			return id == second
		})
		b.srv.delAddr(t, serverIf, "10.77.0.5/16")
		until(t, "the server without address to be silent", func() bool {
			return w.once(netiotest.Discover(netiotest.ClientMAC(3)), 200*time.Millisecond) == nil
		})
		until(t, "the silence to be counted", func() bool {
			return b.metrics().sum("peregrine_packets_dropped_total", `reason="no-local-address"`)+
				b.metrics().sum("peregrine_packets_dropped_total", `reason="no-subnet"`) > 0
		})
		b.srv.addAddr(t, serverIf, serverCIDR)
		w.ask("with its address again", netiotest.Renew(mac, addr, serverIP), dhcp4.MsgAck)
	})
}
