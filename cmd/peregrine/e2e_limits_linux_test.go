package main

import (
	"regexp"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// withLimits loads the hook library beside lease_cmds.
func (c *conf) withLimits() { c.dhcp4["hooks-libraries"] = hookLibraries("limits", "lease_cmds") }

func limits(l object) object { return object{"limits": l} }

// answers sends n queries made by q and counts the answers. It waits until there
// are as many as wanted, and then a moment for more.
func (w *wire) answers(n uint32, want int, q func(i uint32) *netiotest.Query) int {
	var waiting []<-chan *netiotest.Answer
	for i := range n {
		c, release := w.post(q(i))
		defer release()
		waiting = append(waiting, c)
		if i%32 == 31 {
			time.Sleep(time.Millisecond) // not faster than the ring is long
		}
	}
	count := func() (got int) {
		for _, c := range waiting {
			got += min(len(c), 1)
		}
		return got
	}
	for deadline := time.Now().Add(patience / 4); count() < want && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	return count()
}

func (b *bed) statistic(name string) float64 {
	b.t.Helper()
	return b.metrics().sum("peregrine_statistic_total", `name="`+name+`"`)
}

// TestRateLimit: of a subnet and of a class, through the fast path and without.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		c.withLimits()
		c.subnet["user-context"] = limits(object{"rate-limit": "30 packets per hour"})
		c.dhcp4["client-classes"] = []any{object{"name": "VENDOR_CLASS_evil", "user-context": limits(object{"rate-limit": "3 packets per hour"})}}
		c.dhcp4["subnet4"] = []any{c.subnet, object{"id": 2, "subnet": "100.64.0.0/16", "pools": []any{object{"pool": "100.64.1.0 - 100.64.1.255"}}}}
		b.startWith(c)
		w := b.newWire()
		evil := func(i uint32) *netiotest.Query {
			return netiotest.Discover(netiotest.ClientMAC(i), netiotest.Relayed(0x64400001, serverIP), netiotest.With(dhcp4.OptVendorClassIdentifier, []byte("evil")...))
		}
		if n := w.answers(20, 3, evil); n != 3 {
			t.Errorf("class limited to 3 packets: %d answers", n)
		}
		until(t, "pkt4-limit-exceeded to be 17", func() bool { return b.statistic("pkt4-limit-exceeded") == 17 })
		if n := w.answers(300, 30, func(i uint32) *netiotest.Query { return netiotest.Discover(netiotest.ClientMAC(1000 + i)) }); n != 30 {
			t.Errorf("subnet limited to 30 packets: %d answers", n)
		}
		// The other subnet has no limit.
		w.ask("subnet without limit", netiotest.Discover(netiotest.ClientMAC(5000), netiotest.Relayed(0x64400001, serverIP)), dhcp4.MsgOffer)
		lost := float64(b.lost())
		var m samples
		var hook, xdp float64
		until(t, "270 packets above the limit to be dropped by the library or in XDP", func() bool {
			m = b.metrics()
			hook, xdp = b.statistic("pkt4-limit-exceeded")-17, m.sum("peregrine_xdp_packets_total", `reason="limit-scope"`, `action="drop"`)
			return hook+xdp >= 270-lost && m.sum("peregrine_packets_dropped_total", `reason="hook-`) == hook+17
		})
		if hook+xdp > 270 {
			t.Errorf("270 packets above the limit: %v dropped by the library, %v in XDP", hook, xdp)
		}
		if native := c.dataplane["mode"] != "socket"; native && xdp < 200-lost || !native && xdp != 0 {
			t.Errorf("XDP dropped %v of 270 packets above the limit", xdp)
		}

		// A reload without the limit lifts it, in the kernel as well.
		delete(c.subnet, "user-context")
		b.write(c)
		b.command("config-reload", nil, nil)
		until(t, "the limit to be lifted", func() bool {
			return w.answers(100, 100, func(i uint32) *netiotest.Query { return netiotest.Discover(netiotest.ClientMAC(2000 + i)) }) == 100
		})
	})
}

// TestAddressLimit: of a subnet and of a class, over a restart.
func TestAddressLimit(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.newConf("auto")
	c.withLimits()
	c.subnet["user-context"] = limits(object{"address-limit": 5})
	c.dhcp4["client-classes"] = []any{object{"name": "VENDOR_CLASS_modem", "user-context": limits(object{"address-limit": 2})}}
	b.startWith(c)
	w := b.newWire()
	modem := netiotest.With(dhcp4.OptVendorClassIdentifier, []byte("modem")...)
	addrs := map[uint32]dhcp4.IPv4{}
	for i := range uint32(2) {
		addrs[i] = w.lease(netiotest.ClientMAC(i), modem).View.YIAddr()
	}
	w.silence("third of two modems", netiotest.Discover(netiotest.ClientMAC(2), modem))
	for i := uint32(10); i < 13; i++ {
		addrs[i] = w.lease(netiotest.ClientMAC(i)).View.YIAddr()
	}
	full := func(what string) {
		t.Helper()
		w.silence(what, netiotest.Discover(netiotest.ClientMAC(20)))
		w.silence(what, netiotest.Discover(netiotest.ClientMAC(21), modem))
		for i, a := range addrs {
			opts := []netiotest.Option{}
			if i < 2 {
				opts = append(opts, modem)
			}
			if got := w.ask(what, netiotest.Renew(netiotest.ClientMAC(i), a, serverIP, opts...), dhcp4.MsgAck).View.YIAddr(); got != a {
				t.Errorf("%s: client %d has %v and not %v", what, i, got, a)
			}
		}
	}
	full("limits used up")
	b.p.kill()
	b.start()
	full("limits used up before a restart")
	b.command("config-reload", nil, nil)
	full("limits used up before a reload")

	w.send(addressed(w, netiotest.Release(netiotest.ClientMAC(0), addrs[0], serverIP)))
	b.waitLease(addrs[0].String(), "to be released", func(l record, found bool) bool { return !found || l.State != 0 })
	delete(addrs, 0)
	addrs[1] = w.ask("the other modem", netiotest.Renew(netiotest.ClientMAC(1), addrs[1], serverIP, modem), dhcp4.MsgAck).View.YIAddr()
	w.lease(netiotest.ClientMAC(21), modem)
	w.silence("after one has taken the place", netiotest.Discover(netiotest.ClientMAC(22)))
	b.p.terminate()
}

// TestBadLimits: a limit that cannot be read refuses the configuration, by name.
func TestBadLimits(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.newConf("auto")
	b.startWith(c)
	c.withLimits()
	c.subnet["user-context"] = limits(object{"rate-limit": "many packets per second"})
	const want = `subnet id 1: rate-limit: .*"many"`
	for _, command := range []string{"config-test", "config-set"} {
		a, err := b.send(command, object{"Dhcp4": c.dhcp4})
		if err != nil || a.Result != control.ResultError || !regexp.MustCompile(want).MatchString(a.Text) {
			t.Errorf("%s: %+v, %v", command, a, err)
		}
	}
	b.newWire().lease(netiotest.ClientMAC(1))
	b.p.terminate()
	b.write(c)
	call(t, "", b.bin, "check", b.config).expect(t, "check", 1, "", `peregrine\.json:[0-9]+:[0-9]+: load hook library limits: `+want)
	call(t, "", program(t, "kea-dhcp4"), "-t", b.config).expect(t, "kea-dhcp4 -t", 1, "", `^Error encountered: .*`+want)
	b.startNoWait()
	if code := b.p.wait(); code != 1 || b.logs(`FATAL.*rate-limit.*many`) != 1 {
		t.Errorf("started with a bad limit: status %d\n%s", code, b.p.text())
	}
}

// TestDataplaneLimits: the program's own limits, which hold for everybody.
func TestDataplaneLimits(t *testing.T) {
	t.Parallel()
	fastpathtest.RequireXDP(t)
	b := newBed(t)
	c := b.newConf("native")
	c.dataplane["limits"] = object{"client-rate": 1, "client-burst": 5}
	b.startWith(c)
	w := b.newWire()
	mac := netiotest.ClientMAC(1)
	same := func(uint32) *netiotest.Query { return netiotest.Discover(mac) }
	began := time.Now()
	n := w.answers(200, 5, same)
	most := 6 + int(time.Since(began).Seconds())
	if n < 1 || n > most {
		t.Errorf("a client limited to 5 packets and 1 a second got %d answers to 200, at most %d are allowed", n, most)
	}
	until(t, "the rest to be dropped by XDP", func() bool {
		return b.metrics().sum("peregrine_xdp_packets_total", `reason="limit-client"`, `action="drop"`) >= float64(200-most-b.lost())
	})
	others := func(i uint32) *netiotest.Query { return netiotest.Discover(netiotest.ClientMAC(100 + i)) }
	until(t, "100 other clients to be answered", func() bool { return w.answers(100, 100, others) == 100 })
	delete(c.dataplane, "limits")
	b.write(c)
	b.command("config-reload", nil, nil)
	until(t, "all to be answered without the limit", func() bool { return w.answers(100, 100, same) == 100 })
	b.p.terminate()
}
