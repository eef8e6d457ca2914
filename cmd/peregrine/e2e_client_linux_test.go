package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// lookProgram skips the test where a client is not installed.
func lookProgram(t testing.TB, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed (Debian package %s)", name, debianPackage)
	}
	return path
}

// clientScript is what the clients run: it configures the test's own interface,
// in the test's own namespace, and says what it was told. Nothing else of the
// machine is touched, no resolv.conf. An address that is $TEST_DECLINE it finds
// unusable, which makes dhclient decline it.
const clientScript = `#!/bin/sh
case "${reason:-$1}" in
bound|renew|BOUND|RENEW|REBIND|REBOOT)
	if [ -n "$new_ip_address" ]; then
		ip="$new_ip_address" mask="$new_subnet_mask" router="$new_routers"
	fi
	[ "$ip" = "$TEST_DECLINE" ] && echo "event=declined ip=$ip" && exit 1
	ip addr replace "$ip/$mask" dev "$interface"
	[ -n "$router" ] && ip route replace default via "${router%% *}" dev "$interface"
	echo "event=${reason:-$1} ip=$ip mask=$mask router=$router"
	;;
deconfig|RELEASE|EXPIRE|STOP|FAIL|PREINIT)
	ip addr flush dev "$interface"
	ip link set "$interface" up
	echo "event=${reason:-$1}"
	;;
esac
exit 0
`

func (b *bed) script() string {
	b.t.Helper()
	path := filepath.Join(b.dir, "client.sh")
	// "ip" is also the name of the variable udhcpc passes.
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(clientScript, "\tip ", "\t/sbin/ip ")), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if _, err := os.Stat("/sbin/ip"); err != nil {
		b.t.Skip("iproute2 is not installed at /sbin/ip")
	}
	return path
}

// clientMAC is the hardware address of the clients' interface.
func (b *bed) clientMAC() string {
	b.t.Helper()
	return b.cli.Link(b.t, clientIf).Attrs().HardwareAddr.String()
}

// leaseOf is what the server knows of an address, as soon as it satisfies ok.
func (b *bed) waitLease(addr, what string, ok func(l record, found bool) bool) (l record) {
	b.t.Helper()
	until(b.t, fmt.Sprintf("lease %s %s", addr, what), func() bool {
		var found bool
		l, found = b.leases()[addr]
		return ok(l, found)
	})
	return l
}

func TestUdhcpc(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		udhcpc := lookProgram(t, "udhcpc", "udhcpc")
		c.dhcp4["cache-threshold"] = 0.0 // every renewal is stored
		b.startWith(c)
		p := spawn(t, b.cli, filepath.Join(b.dir, "udhcpc.log"), udhcpc, "-f", "-i", clientIf, "-s", b.script(), "-t", "20", "-T", "1", "-A", "1", "-x", "hostname:modem")
		seen := 0
		got := p.waitFor(&seen, `lease of (10\.77\.\d+\.\d+) obtained from 10\.77\.0\.1, lease time 3600`)
		addr := got[1]
		p.waitFor(&seen, `event=bound ip=`+addr+` mask=(16|255\.255\.0\.0) router=10\.77\.0\.1`)
		mine := func(l record, found bool) bool { return found && l.State == 0 && l.HW == b.clientMAC() }
		first := b.waitLease(addr, "to be assigned", mine)
		if want := "01:" + b.clientMAC(); first.Client != want {
			t.Errorf("client identifier %q, want %q", first.Client, want)
		}

		// The time of the last transaction has whole seconds: a renewal within the
		// same one cannot be told.
		until(t, "the next second", func() bool { return time.Now().Unix() > first.CLTT })
		p.signal(syscall.SIGUSR1)
		p.waitFor(&seen, `lease of `+addr+` obtained`)
		p.waitFor(&seen, `event=renew ip=`+addr)
		b.waitLease(addr, "to be renewed", func(l record, found bool) bool { return mine(l, found) && l.CLTT > first.CLTT })

		p.signal(syscall.SIGUSR2)
		p.waitFor(&seen, `event=deconfig`)
		b.waitLease(addr, "to be released", func(l record, found bool) bool { return !found || l.State != 0 })
		m := b.metrics()
		if n := m.sum("peregrine_packets_received_total", `type="release"`); n != 1 {
			t.Errorf("%v RELEASEs received", n)
		}
		b.p.terminate()
	})
}

func TestDhclient(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		dhclient := lookProgram(t, "dhclient", "isc-dhcp-client")
		c.dhcp4["valid-lifetime"], c.dhcp4["renew-timer"], c.dhcp4["rebind-timer"] = 40, 2, 30
		c.dhcp4["cache-threshold"] = 0.0 // every renewal is stored
		b.startWith(c)
		empty := filepath.Join(b.dir, "dhclient.conf")
		if err := os.WriteFile(empty, []byte("timeout 30;\nretry 1;\ninitial-interval 1;\nbackoff-cutoff 1;\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{dhclient, "-4", "-v", "-sf", b.script(), "-cf", empty,
			"-lf", filepath.Join(b.dir, "dhclient.leases"), "-pf", filepath.Join(b.dir, "dhclient.pid")}
		p := spawn(t, b.cli, filepath.Join(b.dir, "dhclient.log"), append(args, "-d", clientIf)...)
		seen := 0
		addr := p.waitFor(&seen, `DHCPACK of (10\.77\.\d+\.\d+) from 10\.77\.0\.1`)[1]
		p.waitFor(&seen, `event=(BOUND|REBOOT) ip=`+addr+` mask=255\.255\.0\.0 router=10\.77\.0\.1`)
		mine := func(l record, found bool) bool { return found && l.State == 0 && l.HW == b.clientMAC() }
		first := b.waitLease(addr, "to be assigned", mine)

		// Renewal by unicast, when half of the renew-timer is over.
		p.waitFor(&seen, `DHCPREQUEST for `+addr+` on `+clientIf+` to 10\.77\.0\.1`)
		p.waitFor(&seen, `event=RENEW ip=`+addr)
		b.waitLease(addr, "to be renewed", func(l record, found bool) bool { return mine(l, found) && l.CLTT > first.CLTT })

		r := spawn(t, b.cli, filepath.Join(b.dir, "release.log"), append(args, "-r", clientIf)...)
		if code := r.wait(); code != 0 {
			t.Errorf("dhclient -r: exit status %d\n%s", code, r.text())
		}
		if !strings.Contains(r.text(), "DHCPRELEASE of "+addr) {
			t.Errorf("dhclient -r does not say that it released %s:\n%s", addr, r.text())
		}
		b.waitLease(addr, "to be released", func(l record, found bool) bool { return !found || l.State != 0 })
		b.p.terminate()
	})
}

// TestUdhcpcBroadcast: a client that wants broadcast replies, and one behind a
// lease that lives on while the server is killed.
func TestUdhcpcBroadcastAndRestart(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	udhcpc := lookProgram(t, "udhcpc", "udhcpc")
	b.startWith(b.newConf("auto"))
	p := spawn(t, b.cli, filepath.Join(b.dir, "udhcpc.log"), udhcpc, "-f", "-B", "-C", "-i", clientIf, "-s", b.script(), "-t", "20", "-T", "1", "-A", "1")
	seen := 0
	addr := p.waitFor(&seen, `lease of (10\.77\.\d+\.\d+) obtained`)[1]
	l := b.waitLease(addr, "to be assigned", func(l record, found bool) bool { return found && l.State == 0 })
	if l.Client != "" {
		t.Errorf("client identifier %q of a client that sends none", l.Client)
	}
	b.p.kill()
	b.start()
	p.signal(syscall.SIGUSR1)
	p.waitFor(&seen, `lease of `+addr+` obtained`)
	// The other client of the wire gets another address.
	if a := b.newWire().lease(netiotest.ClientMAC(9)); a.View.YIAddr().String() == addr {
		t.Errorf("two clients have %s", addr)
	}
}
