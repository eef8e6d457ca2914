package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/control/controltest"
)

// loadTime is how long the test below gives commands, whole seconds: a few, or
// what PEREGRINE_COMMAND_LOAD says (such as 30s).
func loadTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("PEREGRINE_COMMAND_LOAD")
	if text == "" {
		return 5 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d.Truncate(time.Second)
}

// TestFiftyClientsCommand: 50 clients at once give random commands of all
// libraries to both families, by unix sockets and by HTTP, while a load generator
// of each family takes leases. Every exchange is answered, and afterwards leases,
// indexes and statistics agree with a slow recount, also after kill -9.
func TestFiftyClientsCommand(t *testing.T) {
	b := newBed6(t)
	c := b.newConf("auto")
	c6 := b.newConf6("auto")
	socket6 := filepath.Join(b.dir, "six.sock")
	const http4, http6 = "127.0.0.1:8004", "127.0.0.1:8006"
	channels := func(unix string, port int) []any {
		return []any{object{"socket-type": "unix", "socket-name": unix}, object{"socket-type": "http", "socket-address": "127.0.0.1", "socket-port": port}}
	}
	libraries := hookLibraries("lease_cmds", "host_cmds", "host_cache", "subnet_cmds", "class_cmds", "stat_cmds", "perfmon")
	c.dhcp4["hooks-libraries"], c.dhcp4["control-sockets"] = libraries, channels(b.socket, 8004)
	c6.dhcp6["hooks-libraries"], c6.dhcp6["control-sockets"] = libraries, channels(socket6, 8006)
	b.cli.addAddr(t, clientIf, relayIP.String()+"/16")
	text, err := json.MarshalIndent(object{"Dhcp4": c.dhcp4, "Dhcp6": c6.dhcp6, "Dataplane": c.dataplane}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	b.writeText(text)
	b.start()

	// The generators' clients get what the commands do not touch.
	fields := []*controltest.Field{
		{Family: 4, SubnetID: 1, Subnet: "10.77.0.0/16", Addrs: 20, Addr: func(i int) string { return fmt.Sprintf("10.77.200.%d", i) }, Files: true, Reload: true},
		{Family: 6, SubnetID: 1, Subnet: "2001:db8:77::/64", Addrs: 20, Addr: func(i int) string { return fmt.Sprintf("2001:db8:77::c:%x", i) }, Files: true, Reload: true},
	}
	load := loadTime(t)
	builtGun := loadGenerator(t)
	const clients = 500
	gun := func(name string, args ...string) (*process, string) {
		report := filepath.Join(b.dir, name+".json")
		args = append([]string{builtGun}, args...)
		return spawn(t, b.cli, filepath.Join(b.dir, name+".log"), append(args, "-r", "100", "-R", fmt.Sprint(clients), "-p", fmt.Sprint(int(load.Seconds())),
			"-d", "20", "-d", "20", "-W", "20000000", "-x", "e", "--json", report)...), report
	}
	gun4, report4 := gun("gun4", "-4", "-l", relayIP.String(), serverIP.String())
	gun6, report6 := gun("gun6", "-6", "-l", clientIf, "-e", "address-and-prefix")

	dial := func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = b.srv.In(func() (err error) {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	}
	do := func(c *control.Client) controltest.Do {
		return func(command string, args any) (int, string, json.RawMessage, error) {
			req := object{"command": command}
			if args != nil {
				req["arguments"] = args
			}
			text, err := json.Marshal(req)
			if err != nil {
				return 0, "", nil, err
			}
			a, err := c.Send(context.Background(), text)
			if err != nil {
				return 0, "", nil, err
			}
			return a.Result, a.Text, a.Arguments, nil
		}
	}
	targets := [][2]string{{b.socket, "http://" + http4}, {socket6, "http://" + http6}}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	end := time.Now().Add(load)
	var wg sync.WaitGroup
	var mu sync.Mutex
	total, good := 0, 0
	for i := range 50 {
		field, target := fields[i%2], targets[i%2][i/2%2]
		wg.Go(func() {
			run := do(&control.Client{Target: target, Timeout: patience, Dial: dial})
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for time.Now().Before(end) {
				name, args := field.Random(r)
				result, answer, _, err := run(name, args)
				if err != nil || result == control.ResultUnsupported || result == control.ResultFatal || strings.Contains(answer, "internal") {
					t.Errorf("%s %v: %d %s, %v", name, args, result, answer, err)
					return
				}
				mu.Lock()
				total++
				if result == control.ResultSuccess {
					good++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d commands, %d with success", total, good)
	if good < total/10 {
		t.Errorf("only %d of %d commands did anything", good, total)
	}
	for _, g := range []struct {
		p      *process
		report string
	}{{gun4, report4}, {gun6, report6}} {
		if code := g.p.wait(); code != 0 {
			t.Errorf("dhcpgun: exit status %d\n%s", code, g.p.text())
		}
		var result struct {
			Exchanges []struct{ Sent, Received uint64 }
		}
		text, err := os.ReadFile(g.report)
		if err == nil {
			err = json.Unmarshal(text, &result)
		}
		if err != nil || len(result.Exchanges) < 2 {
			t.Fatalf("dhcpgun's report: %v in %.500s", err, text)
		}
		for i, x := range result.Exchanges[:2] {
			if x.Sent == 0 || x.Received != x.Sent {
				t.Errorf("exchange %d: %d sent, %d answered", i, x.Sent, x.Received)
			}
		}
	}
	recount := func() {
		t.Helper()
		for i, target := range []string{b.socket, socket6} {
			run := do(&control.Client{Target: target, Timeout: patience})
			family := 4 + 2*i
			for _, check := range []func() ([]string, error){
				func() ([]string, error) { return controltest.Statistics(run, family) },
				func() ([]string, error) { return controltest.Indexes(run, family, 50) },
			} {
				wrong, err := check()
				if err != nil {
					t.Fatalf("DHCPv%d: %v\n%s", family, err, b.p.text())
				}
				for _, w := range wrong {
					t.Errorf("DHCPv%d: %s", family, w)
				}
			}
		}
	}
	recount()
	if strings.Contains(b.p.text(), "DATA RACE") {
		t.Error(b.p.text())
	}
	b.p.kill()
	b.start()
	recount()
	b.p.terminate()
	if strings.Contains(b.p.text(), "DATA RACE") {
		t.Error(b.p.text())
	}
}
