package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shortTimers makes clients renew after 2 s and rebind after 5 s.
func (c *conf) shortTimers() {
	c.dhcp4["valid-lifetime"], c.dhcp4["renew-timer"], c.dhcp4["rebind-timer"] = 600, 2, 5
	c.dhcp4["cache-threshold"] = 0.0 // every renewal is stored
}

// occupied is the first address of the pool; occupy gives it to somebody else on
// the wire: the server's kernel answers ARP for it.
const occupied = "10.77.1.0"

func (b *bed) occupy() { b.srv.addAddr(b.t, serverIf, occupied+"/32") }

// declined waits until the server has taken the occupied address out of service.
func (b *bed) declined() {
	b.t.Helper()
	b.waitLease(occupied, "to be declined", func(l record, found bool) bool { return found && l.State == 1 && l.HW == "" })
}

func (b *bed) mine(l record, found bool) bool { return found && l.State == 0 && l.HW == b.clientMAC() }

// dhclientArgs runs dhclient without the machine's configuration.
func (b *bed) dhclientArgs(dhclient string) []string {
	b.t.Helper()
	conf := filepath.Join(b.dir, "dhclient.conf")
	if err := os.WriteFile(conf, []byte("timeout 30;\nretry 1;\ninitial-interval 1;\nbackoff-cutoff 1;\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return []string{dhclient, "-4", "-v", "-sf", b.script(), "-cf", conf,
		"-lf", filepath.Join(b.dir, "dhclient.leases"), "-pf", filepath.Join(b.dir, "dhclient.pid")}
}

// TestDhclientRebindsAfterRestart: the server is away when the lease is to be
// renewed, and knows it when the client asks everybody.
func TestDhclientRebindsAfterRestart(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dhclient := lookProgram(t, "dhclient", "isc-dhcp-client")
	c := b.newConf("auto")
	c.shortTimers()
	b.startWith(c)
	p := spawn(t, b.cli, filepath.Join(b.dir, "dhclient.log"), append(b.dhclientArgs(dhclient), "-d", clientIf)...)
	seen := 0
	addr := p.waitFor(&seen, `DHCPACK of (10\.77\.\d+\.\d+) from 10\.77\.0\.1`)[1]
	first := b.waitLease(addr, "to be assigned", b.mine)
	b.p.kill()
	p.waitFor(&seen, `DHCPREQUEST for `+addr+` on `+clientIf+` to 255\.255\.255\.255`)
	b.start()
	p.waitFor(&seen, `event=(RENEW|REBIND) ip=`+addr)
	b.waitLease(addr, "to be rebound", func(l record, found bool) bool { return b.mine(l, found) && l.CLTT > first.CLTT })
	b.p.terminate()
}

// TestDhclientDeclines: an address that its script finds in use.
func TestDhclientDeclines(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dhclient := lookProgram(t, "dhclient", "isc-dhcp-client")
	b.startWith(b.newConf("auto"))
	args := append([]string{"/usr/bin/env", "TEST_DECLINE=" + occupied}, b.dhclientArgs(dhclient)...)
	p := spawn(t, b.cli, filepath.Join(b.dir, "dhclient.log"), append(args, "-e", "TEST_DECLINE="+occupied, "-d", clientIf)...)
	seen := 0
	p.waitFor(&seen, `DHCPDECLINE of `+strings.ReplaceAll(occupied, ".", `\.`))
	b.declined()
	// The answer to a REQUEST that the client repeated before it declined may come
	// late; the lease tells whether the address is given out again.
	addr := occupied
	for addr == occupied {
		addr = p.waitFor(&seen, `DHCPACK of (10\.77\.\d+\.\d+) from 10\.77\.0\.1`)[1]
	}
	b.waitLease(addr, "to be assigned", b.mine)
	b.declined()
	b.p.terminate()
}

// TestUdhcpcDeclines: an address that somebody answers ARP for.
func TestUdhcpcDeclines(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	udhcpc := lookProgram(t, "udhcpc", "udhcpc")
	b.startWith(b.newConf("auto"))
	b.occupy()
	p := spawn(t, b.cli, filepath.Join(b.dir, "udhcpc.log"), udhcpc, "-f", "-a", "-i", clientIf, "-s", b.script(), "-t", "20", "-T", "1", "-A", "1")
	seen := 0
	p.waitFor(&seen, `declining|sending decline`)
	b.declined()
	// It waits a while before it asks again.
	addr := p.waitFor(&seen, `lease of (10\.77\.\d+\.\d+) obtained`)[1]
	if addr == occupied {
		t.Errorf("the declined address is given out again")
	}
	b.p.terminate()
}

// dhcpcd starts one with more lines of configuration.
func (b *bed) dhcpcd(log string, more ...string) (p *process, path string) {
	b.t.Helper()
	dhcpcd := lookProgram(b.t, "dhcpcd", "dhcpcd5")
	if _, err := os.Stat("/var/lib/dhcpcd"); err != nil {
		b.t.Skip("dhcpcd keeps its state elsewhere than in /var/lib/dhcpcd")
	}
	conf := filepath.Join(b.dir, "dhcpcd.conf")
	if err := os.WriteFile(conf, []byte("option subnet_mask, routers\nhostname modem\ntimeout 60\nnodelay\n"+strings.Join(more, "\n")+"\n"), 0o644); err != nil {
		b.t.Fatal(err)
	}
	p = spawn(b.t, b.cli, filepath.Join(b.dir, log), private(b.t, dhcpcd, "-4", "-B", "-d", "-f", conf, "-c", b.script(), clientIf)...)
	return p, dhcpcd
}

// dhcpcdReleases lets a dhcpcd that is running end, until it is seen to have
// released its leases: it misses a signal now and then.
func (b *bed) dhcpcdReleases(p *process, released func() bool, argv ...string) {
	b.t.Helper()
	var k *process
	until(b.t, "dhcpcd to release its leases", func() bool {
		if released() {
			return true
		}
		if k == nil || k.ended() {
			k = b.inside(p, "release.log", argv...)
		}
		return false
	})
}

// TestDhcpcd: acquire, renew, rebind after a restart.
func TestDhcpcd(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.newConf("auto")
	c.shortTimers()
	b.startWith(c)
	p, _ := b.dhcpcd("dhcpcd.log", "noarp") // probing takes some seconds
	seen := 0
	addr := p.waitFor(&seen, clientIf+`: leased (10\.77\.\d+\.\d+) for 600 seconds`)[1]
	first := b.waitLease(addr, "to be assigned", b.mine)
	p.waitFor(&seen, clientIf+`: renewing lease of `+addr)
	second := b.waitLease(addr, "to be renewed", func(l record, found bool) bool { return b.mine(l, found) && l.CLTT > first.CLTT })

	b.p.kill()
	p.waitFor(&seen, clientIf+`: failed to renew DHCP, rebinding`)
	b.start()
	b.waitLease(addr, "to be rebound", func(l record, found bool) bool { return b.mine(l, found) && l.CLTT > second.CLTT })

	b.p.terminate()
}

// TestDhcpcdDeclines: it probes every address by ARP; what it gets in the end it
// releases.
func TestDhcpcdDeclines(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.startWith(b.newConf("auto"))
	b.occupy()
	p, dhcpcd := b.dhcpcd("dhcpcd.log")
	seen := 0
	p.waitFor(&seen, clientIf+`: .*DAD detected|declin|claims `+strings.ReplaceAll(occupied, ".", `\.`))
	b.declined()
	addr := p.waitFor(&seen, clientIf+`: leased (10\.77\.\d+\.\d+) for`)[1]
	if addr == occupied {
		t.Errorf("the declined address is given out again")
	}
	p.waitFor(&seen, `event=BOUND ip=`+addr)
	b.dhcpcdReleases(p, func() bool { return strings.Contains(p.text(), clientIf+": releasing lease of "+addr) }, dhcpcd, "-4", "-k", clientIf)
	b.waitLease(addr, "to be released", func(l record, found bool) bool { return !found || l.State != 0 })
	b.p.terminate()
}
