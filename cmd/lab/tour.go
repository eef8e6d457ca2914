package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	tourClients   = 2000
	metricsAddr   = "10.67.0.1:9547"
	demoPort      = "16767"
	demoMetrics   = "127.0.0.1:19547"
	clientTimeout = 20 * time.Second
)

func say(format string, a ...any) { fmt.Printf(format+"\n", a...) }

// progress prints a dot a second while f runs.
func progress(what string, f func() error) error {
	fmt.Printf("  %s ", what)
	start := time.Now()
	done := make(chan error, 1)
	go func() { done <- f() }()
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				fmt.Println("failed")
				return err
			}
			fmt.Printf("done (%.1f s)\n", time.Since(start).Seconds())
			return nil
		case <-t.C:
			fmt.Print(".")
		}
	}
}

// tour is `make run`.
func tour(ctx context.Context, bin string) error {
	if os.Geteuid() != 0 {
		return demo(ctx, bin, "this user is not root, and XDP, AF_XDP and network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return demo(ctx, bin, "the program `ip` is not installed (apt-get install iproute2)")
	}
	if err := needClient(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peregrine-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	say("Peregrine in a lab: a server and its clients in two network namespaces, joined by a veth of %d queues.", labQueues)
	t, err := newTopology()
	if err != nil {
		return fmt.Errorf("make the lab: %w", err)
	}
	defer func() {
		if err := t.remove(); err != nil {
			fmt.Fprintln(os.Stderr, "lab: clean up:", err)
		}
	}()
	config := filepath.Join(dir, "peregrine.json")
	if err := os.WriteFile(config, []byte(tourConfig(dir, t.serverIf, dhcp6Config(dir, t.serverIf))), 0o600); err != nil {
		return err
	}

	say("\n1. The server starts, with its XDP program on %s.", t.serverIf)
	s, err := startServer(ctx, bin, t.server, dir, config)
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	if err := s.describe(ctx); err != nil {
		return err
	}

	say("\n2. A real client, udhcpc, asks for an address.")
	c, err := startUdhcpc(ctx, t.client, t.clientIf, dir)
	if err != nil {
		return err
	}
	defer c.stop()
	first, err := c.waitFor(ctx, `lease of (\S+) obtained`)
	if err != nil {
		return err
	}
	say("   it got %s", first)

	say("\n3. %d simulated clients ask behind a relay.", tourClients)
	if err := command("ip", "-n", t.client, "addr", "add", relayAddr+"/16", "dev", t.clientIf); err != nil {
		return err
	}
	gun := in(t.client, filepath.Join(bin, "dhcpgun"), "-4", "-l", t.clientIf, "-R", fmt.Sprint(tourClients),
		"-n", fmt.Sprint(tourClients), "-r", "1000", "-d", "5", "-u", strings.Split(serverAddr, "/")[0])
	var gunOut bytes.Buffer
	gun.Stdout, gun.Stderr = &gunOut, &gunOut
	if err := progress("DISCOVER, OFFER, REQUEST, ACK", func() error { return runUntil(ctx, gun) }); err != nil {
		return fmt.Errorf("dhcpgun: %w\n%s", err, gunOut.String())
	}
	for _, l := range digest(gunOut.String()) {
		say("   %s", l)
	}

	say("\n4. The same process serves DHCPv6 on the same interface.")
	if err := tour6(ctx, bin, t, dir); err != nil {
		return err
	}

	say("\n5. The leases, asked for over the control socket (peregrine ctl -s %s lease4-get-page …).", s.socket)
	before, err := s.leases(ctx)
	if err != nil {
		return err
	}
	before6, err := s.leases6(ctx, dir)
	if err != nil {
		return err
	}
	say("   %d leases; udhcpc's is %s for %s", len(before), first, before[first].HW)
	say("   and %s (peregrine ctl -s %s lease6-get-page …)", count6(before6), socket6(dir))

	say("\n6. The power goes: kill -9. Then the server starts again.")
	s.kill()
	began := time.Now()
	if s, err = startServer(ctx, bin, t.server, dir, config); err != nil {
		return err
	}
	say("   it answers again after %.0f ms", float64(time.Since(began).Microseconds())/1000)
	after, err := s.leases(ctx)
	if err != nil {
		return err
	}
	lost := 0
	for a, l := range before {
		if after[a].HW != l.HW {
			lost++
		}
	}
	say("   of %d acknowledged leases %d are still there, %d are lost", len(before), len(before)-lost, lost)
	if lost > 0 {
		return errors.New("leases were lost: this must never happen")
	}
	after6, err := s.leases6(ctx, dir)
	if err != nil {
		return err
	}
	if err := kept(before6, after6); err != nil {
		return err
	}
	say("   and so are %s", count6(after6))

	say("\n7. udhcpc renews.")
	if err := c.signal(syscall.SIGUSR1); err != nil {
		return err
	}
	again, err := c.waitFor(ctx, `lease of (\S+) obtained`)
	if err != nil {
		return err
	}
	say("   it keeps %s", again)
	if again != first {
		return fmt.Errorf("a renewal changed the address from %s to %s", first, again)
	}

	say("\n8. Metrics for Prometheus at http://%s/metrics (inside namespace %s):", metricsAddr, t.server)
	if err := showMetrics(ctx, t.client); err != nil {
		return err
	}
	say("\nEverything worked. The lab is removed now; docs/example.json and docs/example6.json are configurations to start from.")
	return nil
}

// describe prints which way packets come in.
func (s *server) describe(ctx context.Context) error {
	st, err := s.status(ctx)
	if err != nil {
		return err
	}
	for _, i := range st.Dataplane.Interfaces {
		line := fmt.Sprintf("   pid %d serves %s: %s, %d queues, %d sockets", st.PID, i.Name, i.Mode, i.Queues, i.Sockets)
		if i.Reason != "" {
			line += " (" + i.Reason + ")"
		}
		say("%s", line)
	}
	return nil
}

// tourConfig is the configuration; six is its DHCPv6 part or nothing.
func tourConfig(dir, iface, six string) string {
	return fmt.Sprintf(`{
	// The lab's configuration: one subnet a family on one interface.
	"Dhcp4": {
		"interfaces-config": { "interfaces": [ %q ] },
		"lease-database": { "type": "memfile", "persist": true },
		"control-sockets": [ { "socket-type": "unix", "socket-name": %q } ],
		"hooks-libraries": [ { "library": "libdhcp_lease_cmds.so" } ],
		"valid-lifetime": 3600,
		"renew-timer": 900,
		"rebind-timer": 1800,
		"subnet4": [ {
			"id": 1,
			"subnet": "10.67.0.0/16",
			"pools": [ { "pool": "10.67.1.0 - 10.67.254.255" } ],
			"option-data": [
				{ "name": "routers", "data": "10.67.0.1" },
				{ "name": "domain-name-servers", "data": "10.67.0.1" }
			]
		} ]
	},%s
	"Dataplane": { "metrics-address": %q, "lease-directory": %q }
}
`, iface, filepath.Join(dir, "control.sock"), six, metricsAddr, filepath.Join(dir, "leases"))
}

// runUntil runs a command and ends it with the context.
func runUntil(ctx context.Context, c *exec.Cmd) error {
	if err := c.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		_ = c.Process.Signal(os.Interrupt)
		<-done
		return ctx.Err()
	}
}

// needClient sees to it that udhcpc is there.
func needClient() error {
	if _, err := exec.LookPath("udhcpc"); err == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("udhcpc is not installed, and without apt-get it cannot be installed from here")
	}
	return progress("installing udhcpc from Debian's packages", func() error {
		if err := command("apt-get", "update", "-qq"); err != nil {
			return err
		}
		return command("apt-get", "install", "-y", "-qq", "--no-install-recommends", "udhcpc")
	})
}

// udhcpc is the real client.
type udhcpc struct {
	cmd  *exec.Cmd
	log  string
	seen int
}

// startUdhcpc runs it in the foreground with a script that only configures the
// lab's interface.
func startUdhcpc(ctx context.Context, ns, iface, dir string) (*udhcpc, error) {
	script := filepath.Join(dir, "udhcpc.sh")
	text := "#!/bin/sh\n" +
		"[ \"$1\" = bound ] || [ \"$1\" = renew ] || exit 0\n" +
		"ip addr replace \"$ip/$mask\" dev \"$interface\"\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		return nil, err
	}
	c := &udhcpc{log: filepath.Join(dir, "udhcpc.log")}
	f, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c.cmd = in(ns, "udhcpc", "-f", "-i", iface, "-s", script, "-t", "5", "-T", "1", "-A", "1")
	c.cmd.Stdout, c.cmd.Stderr = f, f
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start udhcpc: %w", err)
	}
	return c, ctx.Err()
}

func (c *udhcpc) signal(s os.Signal) error { return c.cmd.Process.Signal(s) }

func (c *udhcpc) stop() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// waitFor waits for a new line that matches and returns its first group without
// a trailing comma.
func (c *udhcpc) waitFor(ctx context.Context, pattern string) (string, error) {
	re := regexp.MustCompile(pattern)
	deadline := time.Now().Add(clientTimeout)
	for time.Now().Before(deadline) {
		b, err := os.ReadFile(c.log)
		if err != nil {
			return "", err
		}
		if m := re.FindSubmatchIndex(b[c.seen:]); m != nil {
			got := string(b[c.seen+m[2] : c.seen+m[3]])
			c.seen += m[1]
			return strings.TrimSuffix(got, ","), nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return "", fmt.Errorf("udhcpc: no line like %q within %v\n%s", pattern, clientTimeout, tail(c.log, 10))
}

// showMetrics prints a few of them, fetched as Prometheus would.
func showMetrics(ctx context.Context, ns string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "ip", "netns", "exec", ns, exe, "fetch", "http://"+metricsAddr+"/metrics").Output()
	if err != nil {
		return fmt.Errorf("fetch metrics: %w", err)
	}
	printMetrics(out)
	return nil
}

func printMetrics(text []byte) {
	for _, l := range strings.Split(string(text), "\n") {
		for _, want := range []string{
			"peregrine_packets_received_total{type=\"request\"}", "peregrine_packets_sent_total{type=\"ack\"}",
			"peregrine_interface_mode", "peregrine_pool_addresses", "peregrine_pool6_leases", "peregrine_journal_commits_total",
		} {
			if strings.HasPrefix(l, want) && (!strings.HasPrefix(l, "peregrine_pool") || strings.Contains(l, `state="assigned"`)) {
				say("   %s", l)
			}
		}
	}
}

// demo is the tour for a user without rights: ordinary sockets on loopback.
func demo(ctx context.Context, bin, why string) error {
	say("Without XDP: %s.", why)
	say("So here is the same server on an ordinary UDP socket on loopback, port %s.", demoPort)
	dir, err := os.MkdirTemp("", "peregrine-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	config := filepath.Join(dir, "peregrine.json")
	text := strings.NewReplacer(`"interfaces": [ "lo" ]`, `"interfaces": [ "lo" ], "dhcp-socket-type": "udp"`,
		metricsAddr, demoMetrics, `"metrics-address"`, `"mode": "socket", "metrics-address"`,
		"10.67.0.0/16", "127.0.0.0/8", "10.67.1.0 - 10.67.254.255", "127.1.0.0 - 127.1.255.255").Replace(tourConfig(dir, "lo", ""))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	demoArgs := []string{filepath.Join(bin, "peregrine"), "serve", "-c", config, "-p", demoPort}
	// The relay is on a port of its own, as this user may not have port 67.
	const answerSource = "KEA_TEST_SEND_RESPONSES_TO_SOURCE=ENABLE"
	s, err := startServerArgs(ctx, "", dir, demoArgs, answerSource)
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	if err := s.describe(ctx); err != nil {
		return err
	}
	say("\nA hundred simulated clients ask behind a relay on loopback.")
	gun := exec.Command(filepath.Join(bin, "dhcpgun"), "-4", "-l", "127.0.0.1", "-L", "16768", "-N", demoPort, "-R", "100", "-n", "100", "-r", "100", "-u", "127.0.0.1")
	var out bytes.Buffer
	gun.Stdout, gun.Stderr = &out, &out
	if err := progress("DISCOVER, OFFER, REQUEST, ACK", func() error { return runUntil(ctx, gun) }); err != nil {
		return fmt.Errorf("dhcpgun: %w\n%s", err, out.String())
	}
	before, err := s.leases(ctx)
	if err != nil {
		return err
	}
	say("   %d leases. Now kill -9, and start again.", len(before))
	s.kill()
	if s, err = startServerArgs(ctx, "", dir, demoArgs, answerSource); err != nil {
		return err
	}
	after, err := s.leases(ctx)
	if err != nil {
		return err
	}
	for a := range before {
		if after[a] != before[a] {
			return fmt.Errorf("lease %s was lost: this must never happen", a)
		}
	}
	say("   all %d leases are still there.", len(after))
	say("\nMetrics at http://%s/metrics:", demoMetrics)
	text2, err := fetch(ctx, "http://"+demoMetrics+"/metrics")
	if err != nil {
		return err
	}
	printMetrics(text2)
	say("\nWith root, `make run` shows the XDP dataplane and a real client.")
	return nil
}

// digest is dhcpgun's report in short: its rate, and of each exchange a line with
// its drops and its delay.
func digest(report string) (lines []string) {
	exchange := ""
	for l := range strings.SplitSeq(report, "\n") {
		switch {
		case strings.HasPrefix(l, "Rate:"):
			lines = append(lines, l)
		case strings.HasPrefix(l, "***Statistics for: "):
			exchange = strings.Trim(strings.TrimPrefix(l, "***Statistics for: "), "*")
		case strings.HasPrefix(l, "drops ratio: "):
			lines = append(lines, exchange+": "+l)
		case strings.HasPrefix(l, "avg delay: ") && len(lines) > 0:
			lines[len(lines)-1] += ", " + l
		}
	}
	return lines
}
