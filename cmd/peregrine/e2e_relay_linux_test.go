package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
)

const (
	relayUp   = "up0"
	relayDown = "down0"
)

// relayBed is a bed whose clients are behind a relay: the server's link ends in
// the relay's namespace, where another begins.
//
//	server 10.77.0.1 ── 10.77.0.2 relay 10.88.0.1 ── client
type relayBed struct {
	*bed
	relay *netNS
}

func newRelayBed(t *testing.T) *relayBed {
	t.Helper()
	b := newBedWithoutLink(t)
	r := &relayBed{bed: b, relay: newNS(t)}
	link := func(ns *netNS, name string, peer *netNS, peerName string) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		v := &netlink.Veth{LinkAttrs: attrs, PeerName: peerName, PeerNamespace: netlink.NsFd(int(peer.Handle))}
		if err := ns.NL.LinkAdd(v); err != nil {
			t.Fatalf("make veth: %v", err)
		}
	}
	link(b.srv, serverIf, r.relay, relayUp)
	link(r.relay, relayDown, b.cli, clientIf)
	b.srv.addAddr(t, serverIf, serverCIDR)
	r.relay.addAddr(t, relayUp, "10.77.0.2/16")
	r.relay.addAddr(t, relayDown, "10.88.0.1/24")
	b.srv.Up(t, serverIf)
	r.relay.Up(t, relayUp)
	r.relay.Up(t, relayDown)
	b.cli.Up(t, clientIf)
	if err := r.relay.In(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }); err != nil {
		t.Fatalf("let the relay forward: %v", err)
	}
	route := &netlink.Route{LinkIndex: b.srv.Link(t, serverIf).Attrs().Index, Gw: []byte{10, 77, 0, 2}}
	if err := b.srv.NL.RouteAdd(route); err != nil {
		t.Fatalf("add the server's route to the clients: %v", err)
	}
	return r
}

func (r *relayBed) conf() *conf {
	c := r.newConf("auto")
	c.shortTimers()
	c.dhcp4["subnet4"] = []any{c.subnet, object{
		"id": 88, "subnet": "10.88.0.0/24", "pools": []any{object{"pool": "10.88.0.10 - 10.88.0.99"}},
		"option-data": []any{object{"name": "routers", "data": "10.88.0.1"}},
	}}
	return c
}

// viaRelay has a client acquire, renew by unicast through the router, rebind
// through the relay after the server was restarted, and release.
func (r *relayBed) viaRelay(relay *process, ready string) {
	t := r.t
	t.Helper()
	from := 0
	relay.waitFor(&from, ready)
	dhclient := lookProgram(t, "dhclient", "isc-dhcp-client")
	args := r.dhclientArgs(dhclient)
	p := spawn(t, r.cli, filepath.Join(r.dir, "dhclient.log"), append(args, "-d", clientIf)...)
	seen := 0
	addr := p.waitFor(&seen, `DHCPACK of (10\.88\.0\.\d+) from`)[1]
	first := r.waitLease(addr, "to be assigned", r.mine)
	if first.Subnet != 88 {
		t.Errorf("the lease is in subnet %d, want that of the relay's link", first.Subnet)
	}
	p.waitFor(&seen, `event=RENEW ip=`+addr)
	second := r.waitLease(addr, "to be renewed", func(l record, found bool) bool { return r.mine(l, found) && l.CLTT > first.CLTT })

	r.p.kill()
	p.waitFor(&seen, `DHCPREQUEST for `+addr+` on `+clientIf+` to 255\.255\.255\.255`)
	r.start()
	p.waitFor(&seen, `event=(RENEW|REBIND) ip=`+addr)
	r.waitLease(addr, "to be rebound", func(l record, found bool) bool { return r.mine(l, found) && l.CLTT > second.CLTT })

	rel := spawn(t, r.cli, filepath.Join(r.dir, "release.log"), append(args, "-r", clientIf)...)
	if code := rel.wait(); code != 0 {
		t.Errorf("dhclient -r: exit status %d\n%s", code, rel.text())
	}
	r.waitLease(addr, "to be released", func(l record, found bool) bool { return !found || l.State != 0 })
	r.p.terminate()
}

func TestISCRelay(t *testing.T) {
	t.Parallel()
	r := newRelayBed(t)
	dhcrelay := lookProgram(t, "dhcrelay", "isc-dhcp-relay")
	c := r.conf()
	r.startWith(c)
	// -a adds option 82, which the server has to return.
	p := spawn(t, r.relay, filepath.Join(r.dir, "relay.log"), dhcrelay, "-4", "-d", "-a", "-pf", filepath.Join(r.dir, "relay.pid"),
		"-id", relayDown, "-iu", relayUp, "10.77.0.1")
	r.viaRelay(p, `Sending on`)
}

func TestDnsmasqRelay(t *testing.T) {
	t.Parallel()
	r := newRelayBed(t)
	dnsmasq := lookProgram(t, "dnsmasq", "dnsmasq-base")
	r.startWith(r.conf())
	p := spawn(t, r.relay, filepath.Join(r.dir, "relay.log"), dnsmasq, "--keep-in-foreground", "--port=0", "--conf-file=/dev/null", "--pid-file=",
		"--user=root", "--log-facility=-", "--log-dhcp", "--dhcp-relay=10.88.0.1,10.77.0.1")
	r.viaRelay(p, `started|relay from 10\.88\.0\.1`)
}
