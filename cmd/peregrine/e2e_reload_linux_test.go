package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// router is option 3 of an answer.
func router(a *netiotest.Answer) string {
	o := a.View.Option(dhcp4.OptRouter)
	if len(o) != 4 {
		return fmt.Sprintf("%x", o)
	}
	return dhcp4.AddrFromSlice(o).String()
}

func (c *conf) setRouter(addr string) {
	c.subnet["option-data"] = []any{object{"name": "routers", "data": addr}}
}

// TestReload: SIGHUP with a good file, with a bad one, and the same by command,
// while a client never misses an answer.
func TestReload(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, b *bed, c *conf) {
		b.startWith(c)
		w := b.newWire()
		mac := netiotest.ClientMAC(1)
		addr := w.lease(mac).View.YIAddr()
		renew := func() *netiotest.Answer {
			t.Helper()
			return w.ask("renew", netiotest.Renew(mac, addr, serverIP), dhcp4.MsgAck)
		}

		// The background client renews without pause. Lost is lost: it sends once.
		stop, lost, renewed := make(chan struct{}), 0, 0
		done := make(chan struct{})
		other := w.lease(netiotest.ClientMAC(2)).View.YIAddr()
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if a := w.once(netiotest.Renew(netiotest.ClientMAC(2), other, serverIP), patience/3); a == nil || a.View.Type() != dhcp4.MsgAck {
					lost++
				} else {
					renewed++
				}
			}
		}()

		seen := 0
		for i := range 5 {
			want := fmt.Sprintf("10.77.0.%d", 100+i)
			c.setRouter(want)
			b.write(c)
			b.p.signal(syscall.SIGHUP)
			b.p.waitFor(&seen, `DHCP4_DYNAMIC_RECONFIGURATION_SUCCESS`)
			if got := router(renew()); got != want {
				t.Errorf("after SIGHUP the router is %s, want %s", got, want)
			}
		}

		good := c.text(t)
		for _, bad := range []struct{ text, want string }{
			{strings.Replace(string(good), `"valid-lifetime": 3600`, `"valid-lifetime": "long"`, 1), `peregrine\.json:\d+:\d+: .*valid-lifetime`},
			{strings.Replace(string(good), `"valid-lifetime"`, `"valid-lifetimes"`, 1), `peregrine\.json:\d+:\d+: .*valid-lifetimes`},
			{string(good[:len(good)/2]), `peregrine\.json:\d+:\d+: `},
			{strings.Replace(string(good), "10.77.1.0 - ", "10.78.1.0 - ", 1), `peregrine\.json:\d+:\d+: `},
			{"", `peregrine\.json:\d+:\d+: `},
		} {
			if bad.text == string(good) {
				t.Fatal("the bad file is the good one")
			}
			b.writeText([]byte(bad.text))
			b.p.signal(syscall.SIGHUP)
			b.p.waitFor(&seen, `ERROR .*DHCP4_DYNAMIC_RECONFIGURATION_FAIL .*`+bad.want)
			a, err := b.send("config-reload", nil)
			if err != nil || a.Result != control.ResultError || !regexp.MustCompile(bad.want).MatchString(a.Text) {
				t.Errorf("config-reload of a bad file: %+v, %v", a, err)
			}
			b.p.waitFor(&seen, `ERROR .*DHCP4_DYNAMIC_RECONFIGURATION_FAIL .*`+bad.want)
			if got := router(renew()); got != "10.77.0.104" {
				t.Errorf("after a bad file the router is %s", got)
			}
		}
		if err := os.Remove(b.config); err != nil {
			t.Fatal(err)
		}
		b.p.signal(syscall.SIGHUP)
		b.p.waitFor(&seen, `DHCP4_DYNAMIC_RECONFIGURATION_FAIL .*no such file`)

		c.setRouter("10.77.0.120")
		b.write(c)
		b.command("config-reload", nil, nil)
		if got := router(renew()); got != "10.77.0.120" {
			t.Errorf("after config-reload the router is %s", got)
		}
		close(stop)
		<-done
		if lost > 0 || renewed < 10 {
			t.Errorf("while configurations changed, %d renewals were answered and %d were not\n%s", renewed, lost, b.why())
		}
		t.Logf("%d renewals during 6 good and 11 bad reloads", renewed)
		b.p.terminate()
	})
}

// TestConfigCommands: config-get, -set, -test, -write, -hash-get.
func TestConfigCommands(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.newConf("auto")
	b.startWith(c)
	w := b.newWire()
	mac := netiotest.ClientMAC(1)
	addr := w.lease(mac).View.YIAddr()
	now := func() string {
		t.Helper()
		return router(w.ask("renew", netiotest.Renew(mac, addr, serverIP), dhcp4.MsgAck))
	}
	hash := func() string {
		var h struct{ Hash string }
		b.command("config-hash-get", nil, &h)
		return h.Hash
	}
	h1 := hash()

	// config-test changes nothing, config-set does; without a Dataplane part the
	// one in force stays.
	c.setRouter("10.77.0.50")
	b.command("config-test", object{"Dhcp4": c.dhcp4}, nil)
	if got := now(); got != "10.77.0.1" || hash() != h1 {
		t.Errorf("after config-test the router is %s", got)
	}
	b.command("config-set", object{"Dhcp4": c.dhcp4}, nil)
	if got := now(); got != "10.77.0.50" || hash() == h1 {
		t.Errorf("after config-set the router is %s, hash %s", got, hash())
	}
	if b.metrics().sum("peregrine_config_info", hash()) != 1 {
		t.Error("the metrics show another configuration")
	}

	for _, bad := range []struct {
		command string
		args    any
		want    string
	}{
		{"config-set", nil, "arguments"},
		{"config-set", object{}, "Dhcp4"},
		{"config-set", object{"Dhcp4": c.dhcp4, "Dhcp5": object{}}, "Dhcp5"},
		{"config-set", object{"Dhcp4": object{"no-such-key": 1}}, "no-such-key"},
		{"config-test", object{"Dhcp4": object{"subnet4": "none"}}, "subnet4"},
		{"config-test", object{"Dhcp4": object{"valid-lifetime": -1}}, "valid-lifetime"},
		{"config-test", []any{}, "map"},
		{"config-write", object{"filename": "/etc/passwd"}, "/etc/passwd"},
		{"config-write", object{"filename": "../elsewhere.json"}, "elsewhere"},
		{"config-write", object{"file": "x"}, "file"},
		{"config-set", object{"Dhcp4": c.dhcp4, "Dataplane": object{"lease-directory": filepath.Join(b.dir, "other")}}, "restart"},
		{"config-set", object{"Dhcp4": c.dhcp4, "Dataplane": object{"lease-directory": b.lease, "sync": "none"}}, "restart"},
		{"no-such-command", nil, "no-such-command"},
	} {
		a, err := b.send(bad.command, bad.args)
		if err != nil || a.Result == control.ResultSuccess || !strings.Contains(a.Text, bad.want) {
			t.Errorf("%s %v: %+v, %v; want an error with %q", bad.command, bad.args, a, err, bad.want)
		}
	}
	if got := now(); got != "10.77.0.50" {
		t.Errorf("after refused commands the router is %s", got)
	}

	// What is written is what is in force, is accepted by check, and serves.
	b.command("config-write", object{"filename": "written.json"}, nil)
	written := filepath.Join(b.dir, "written.json")
	if out, err := exec.Command(b.bin, "check", "-c", written).CombinedOutput(); err != nil {
		text, _ := os.ReadFile(written)
		t.Fatalf("check refuses what config-write wrote: %v\n%s\n%s", err, out, text)
	}
	var get object
	b.command("config-get", nil, &get)
	var file object
	text, err := os.ReadFile(written)
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(get["Dhcp4"]) != fmt.Sprint(file["Dhcp4"]) {
		t.Errorf("config-get and config-write differ:\n%v\n%v", get["Dhcp4"], file["Dhcp4"])
	}
	b.p.terminate()
	b.config = written
	b.start()
	if got := now(); got != "10.77.0.50" {
		t.Errorf("started with the written configuration, the router is %s", got)
	}
	h2 := hash()
	b.command("config-write", nil, nil)
	b.command("config-reload", nil, nil)
	if hash() != h2 {
		t.Error("writing and reading the configuration changes it")
	}
}

// TestReloadInterfaces: a reload that changes what is served.
func TestReloadInterfaces(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.newConf("auto")
	b.startWith(c)
	w := b.newWire()
	mac := netiotest.ClientMAC(1)
	addr := w.lease(mac).View.YIAddr()
	renew := netiotest.Renew(mac, addr, serverIP)

	c.dhcp4["interfaces-config"] = object{"interfaces": []any{"later0"}}
	b.write(c)
	b.command("config-reload", nil, nil)
	until(t, "the interface to be closed", func() bool { return b.mode() == "" })
	w.silence("interface not configured", renew)

	c.dhcp4["interfaces-config"] = object{"interfaces": []any{serverIf}}
	for _, m := range modes {
		c.dataplane["mode"] = m.configured
		b.write(c)
		b.command("config-reload", nil, nil)
		if got := b.mode(); got != m.inUse {
			t.Errorf("reloaded with mode %s: it is %q", m.configured, got)
		}
		w.ask("mode "+m.configured, renew, dhcp4.MsgAck)
	}

	// What cannot be served is refused, and the running configuration stays.
	before := b.command("config-hash-get", nil, nil).Arguments
	c.dhcp4["interfaces-config"] = object{"interfaces": []any{serverIf, "lo"}}
	c.dataplane["mode"] = "native"
	b.write(c)
	if a, err := b.send("config-reload", nil); err != nil || a.Result != control.ResultError || !strings.Contains(a.Text, "lo") {
		t.Errorf("native mode on loopback: %+v, %v", a, err)
	}
	if after := b.command("config-hash-get", nil, nil).Arguments; string(before) != string(after) {
		t.Errorf("a refused configuration is in force: %s, was %s", after, before)
	}
	w.ask("after a refused reload", renew, dhcp4.MsgAck)
	if got := b.mode(); got != "packet" {
		t.Errorf("after a refused reload the interface is served in mode %q", got)
	}
}

// TestReloadUnderFlood: configurations that differ in everything come one after
// the other while clients are served and strangers flood. Nothing is forgotten,
// and nothing falls over.
func TestReloadUnderFlood(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.newConf("auto")
	b.startWith(c)
	w := b.newWire()
	crowd := newCrowd(w)
	seed := testSeed(t)
	stop := make(chan struct{})
	join := crowd.run(0, 200, seed, stop)
	a := &attacker{r: rand.New(rand.NewPCG(seed, 4)), mac: w.mac}
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			w.send(a.frame())
			if i%32 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	pools := []any{
		[]any{object{"pool": "10.77.1.0 - 10.77.16.255"}},
		[]any{object{"pool": "10.77.1.0 - 10.77.8.255"}, object{"pool": "10.77.9.0 - 10.77.16.255"}},
		[]any{object{"pool": "10.77.1.0 - 10.77.32.255"}},
	}
	for i := range 30 {
		c.subnet["pools"] = pools[i%len(pools)]
		c.dataplane["mode"] = modes[i/4%len(modes)].configured
		c.dhcp4["hooks-libraries"] = hookLibraries("lease_cmds")
		delete(c.subnet, "user-context")
		if i%2 == 0 {
			c.withLimits()
			c.subnet["user-context"] = limits(object{"rate-limit": "1000000 packets per second", "address-limit": 100_000})
		}
		b.write(c)
		b.command("config-reload", nil, nil)
		if i%10 == 5 {
			b.command("kea-lfc-start", nil, nil)
		}
	}
	before := crowd.acks.Load()
	until(t, "ACKs after the last change", func() bool { return crowd.acks.Load() >= before+20 })
	close(stop)
	join()
	<-flooded
	crowd.check(t, b)
	if n := b.logs(`panic|goroutine \d| ERROR | FATAL `); n > 0 {
		t.Errorf("%d lines of trouble in the log\n%s", n, b.p.text())
	}
	var m samples
	balanced := func() bool {
		m = b.metrics()
		return m.sum("peregrine_statistic_total", `name="pkt4-received"`) == m.sum("peregrine_packets_sent_total")+m.sum("peregrine_packets_dropped_total")
	}
	for deadline := time.Now().Add(patience); !balanced() && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if !balanced() {
		t.Errorf("received %v, sent %v, dropped %v", m.sum("peregrine_statistic_total", `name="pkt4-received"`), m.sum("peregrine_packets_sent_total"), m.sum("peregrine_packets_dropped_total"))
	}
	t.Logf("%d ACKs, %d turns without answer, %v packets", crowd.acks.Load(), crowd.timeout.Load(), m.sum("peregrine_statistic_total", `name="pkt4-received"`))
	b.p.terminate()
	b.start()
	crowd.check(t, b)
}

// TestTerminateUnderLoad: SIGTERM ends the server soon, with status 0, and what
// it had promised is true; so does the shutdown command.
func TestTerminateUnderLoad(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.newConf("auto")
	c.dhcp4["cache-threshold"] = 0.0
	b.startWith(c)
	crowd := newCrowd(b.newWire())
	for round := range 3 {
		stop := make(chan struct{})
		before := crowd.acks.Load()
		join := crowd.run(0, 400, testSeed(t), stop)
		until(t, "some ACKs", func() bool { return crowd.acks.Load() >= before+100 })
		if round == 1 {
			b.command("shutdown", nil, nil)
			if code := b.p.wait(); code != 0 {
				t.Errorf("shutdown: exit status %d", code)
			}
		} else {
			b.p.terminate()
		}
		close(stop)
		join()
		b.start()
		crowd.check(t, b)
	}
}

// TestServiceDisabled: dhcp-disable and dhcp-enable, and an end by itself.
func TestServiceDisabled(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.startWith(b.newConf("auto"))
	w := b.newWire()
	mac := netiotest.ClientMAC(1)
	renew := netiotest.Renew(mac, w.lease(mac).View.YIAddr(), serverIP)
	b.command("dhcp-disable", nil, nil)
	w.silence("disabled", renew)
	b.command("dhcp-enable", nil, nil)
	w.ask("enabled", renew, dhcp4.MsgAck)
	before := time.Now()
	b.command("dhcp-disable", object{"max-period": 1}, nil)
	if w.once(renew, 300*time.Millisecond) != nil && time.Since(before) < time.Second {
		t.Error("a query is answered within the second for which the service is disabled")
	}
	w.ask("enabled by itself", renew, dhcp4.MsgAck)
	until(t, "the silence to be counted", func() bool {
		return b.metrics().sum("peregrine_packets_dropped_total", `reason="service-disabled"`) >= 1
	})
}
