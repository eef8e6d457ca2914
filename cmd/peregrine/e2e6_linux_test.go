package main

// The end-to-end tests of DHCPv6: the same bed with IPv6 on it. Real clients are
// in e2e6_client_linux_test.go, a client of our own that says anything in
// e2e6_wire_linux_test.go.

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
)

const (
	serverCIDR6 = "2001:db8:77::1/64"
	serverIP6   = "2001:db8:77::1"
	// What clients get begins with these.
	addr6Pattern   = `2001:db8:77::1:[0-9a-f]+`
	prefix6Pattern = `2001:db8:80[0-9a-f]{0,2}:?[0-9a-f:]*/56`
)

// enable6 turns IPv6 on for interfaces that are made from now on. Addresses are
// usable at once: duplicate address detection takes a second and has nothing to
// find here.
func (n *netNS) enable6(t testing.TB) {
	t.Helper()
	const conf = "/proc/sys/net/ipv6/conf/"
	if _, err := os.Stat(conf); err != nil {
		t.Skipf("the kernel has no IPv6: %v", err)
	}
	err := n.In(func() error {
		for name, value := range map[string]string{
			"default/disable_ipv6": "0", "lo/disable_ipv6": "0", "default/accept_dad": "0", "default/dad_transmits": "0",
			"default/accept_ra": "0", "default/router_solicitations": "0",
		} {
			if err := os.WriteFile(conf+name, []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("enable IPv6: %v", err)
	}
}

// linkLocal is the link-local address of an interface, as soon as it has one.
func (n *netNS) linkLocal(t testing.TB, name string) (a [16]byte) {
	t.Helper()
	until(t, "the link-local address of "+name, func() bool {
		l, err := n.NL.AddrList(n.Link(t, name), netlink.FAMILY_V6)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range l {
			if x.IP.IsLinkLocalUnicast() && x.Flags&unix.IFA_F_TENTATIVE == 0 {
				a = [16]byte(x.IP.To16())
				return true
			}
		}
		return false
	})
	return a
}

// newBed6 is newBed with IPv6 on both ends.
func newBed6(t testing.TB) *bed {
	t.Helper()
	fastpathtest.RequireNet(t)
	b := newBedWithoutLink(t)
	b.srv.enable6(t)
	b.cli.enable6(t)
	b.addLink()
	b.srv.addAddr(t, serverIf, serverCIDR6)
	b.srv.linkLocal(t, serverIf)
	b.cli.linkLocal(t, clientIf)
	return b
}

// conf6 is a configuration of DHCPv6, and of DHCPv4 if that is not nil.
type conf6 struct{ dhcp6, subnet, dhcp4, dataplane object }

// newConf6 is one /64 on one interface, with prefixes.
func (b *bed) newConf6(mode string) *conf6 {
	c := &conf6{}
	c.subnet = object{
		"id": 1, "subnet": "2001:db8:77::/64", "interface": serverIf,
		"pools":       []any{object{"pool": "2001:db8:77::1:0 - 2001:db8:77::1:ffff"}},
		"pd-pools":    []any{object{"prefix": "2001:db8:8000::", "prefix-len": 40, "delegated-len": 56}},
		"option-data": []any{object{"name": "dns-servers", "data": "2001:db8:77::53"}},
	}
	c.dhcp6 = object{
		"interfaces-config": object{"interfaces": []any{serverIf, serverIf + "/" + serverIP6}},
		"lease-database":    object{"type": "memfile", "persist": true},
		"control-sockets":   []any{object{"socket-type": "unix", "socket-name": b.socket}},
		"valid-lifetime":    3600, "preferred-lifetime": 3000, "renew-timer": 900, "rebind-timer": 1800,
		"subnet6": []any{c.subnet},
	}
	c.dataplane = object{"mode": mode, "metrics-address": metricsAt, "lease-directory": b.lease}
	return c
}

// short makes clients renew after 2 s and rebind after 6 s, and every renewal is
// stored.
func (c *conf6) short() {
	c.dhcp6["valid-lifetime"], c.dhcp6["preferred-lifetime"] = 300, 200
	c.dhcp6["renew-timer"], c.dhcp6["rebind-timer"] = 2, 6
	c.dhcp6["cache-threshold"] = 0.0
}

// start6 writes the configuration, starts the server and waits until it answers.
func (b *bed) start6(c *conf6) {
	b.t.Helper()
	o := object{"Dhcp6": c.dhcp6, "Dataplane": c.dataplane}
	if c.dhcp4 != nil {
		o["Dhcp4"] = c.dhcp4
	}
	text, err := json.MarshalIndent(o, "", "\t")
	if err != nil {
		b.t.Fatal(err)
	}
	b.writeText(text)
	b.again6()
}

// again6 starts the server with the configuration that is there.
func (b *bed) again6() {
	b.t.Helper()
	seen := b.startNoWait()
	b.p.waitFor(&seen, `DHCP6_STARTED`)
}

// stat6 is a statistic of the DHCPv6 server.
func (b *bed) stat6(name string) int {
	b.t.Helper()
	var got map[string][][2]any
	b.command("statistic-get", object{"name": name}, &got)
	if len(got[name]) == 0 {
		b.t.Fatalf("statistic %s is not there: %v", name, got)
	}
	v, ok := got[name][0][0].(float64)
	if !ok {
		b.t.Fatalf("statistic %s is %v", name, got[name][0])
	}
	return int(v)
}

// waitStat6 waits until a statistic is at least n.
func (b *bed) waitStat6(name string, n int) {
	b.t.Helper()
	until(b.t, fmt.Sprintf("%s to be %d", name, n), func() bool { return b.stat6(name) >= n })
}

// wantLeases6 waits until so many addresses and prefixes are assigned.
func (b *bed) wantLeases6(addresses, prefixes int) {
	b.t.Helper()
	until(b.t, fmt.Sprintf("%d addresses and %d prefixes to be assigned", addresses, prefixes), func() bool {
		return b.stat6("assigned-nas") == addresses && b.stat6("assigned-pds") == prefixes
	})
}

// eachMode6 is eachMode for DHCPv6.
func eachMode6(t *testing.T, f func(t *testing.T, b *bed, c *conf6)) {
	for _, m := range modes {
		t.Run(m.configured, func(t *testing.T) {
			t.Parallel()
			if m.configured != "socket" {
				fastpathtest.RequireXDP(t)
			}
			b := newBed6(t)
			f(t, b, b.newConf6(m.configured))
		})
	}
}

// file writes a file into the bed's directory.
func (b *bed) file(name, text string, mode os.FileMode) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		b.t.Fatal(err)
	}
	return path
}
