// Command dhcpgun puts load on a DHCP server: perfdhcp's command line and report
// on a generator that is fast enough not to be the limit. See bench/README.md.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/peregrine-dhcp/peregrine/bench/loadgen"
)

// build is set by the linker.
var build = "unknown"

func main() { os.Exit(start(os.Args, os.Stdout)) }

func start(args []string, out io.Writer) int {
	c, err := parse(args[1:])
	if err != nil {
		fmt.Fprint(out, usage)
		fmt.Fprintf(os.Stderr, "\nERROR: parsing command line options: %v\n", err)
		return 1
	}
	switch c.action {
	case help:
		fmt.Fprint(out, usage)
		return 0
	case version:
		fmt.Fprintln(out, build)
		return 0
	case longVersion:
		fmt.Fprintf(out, "%s\ndhcpgun of Peregrine, perfdhcp's report and flags\n", build)
		return 0
	}
	stop := make(chan struct{})
	sigs := make(chan os.Signal, 2)
	signal.Notify(sigs, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-sigs
		close(stop) // the run ends with its report
		<-sigs
		os.Exit(1)
	}()
	code := 0
	if c.reflect != "" {
		err = reflect(c, stop, out)
	} else {
		code, err = fire(c, args, stop, out)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nERROR: running dhcpgun: %v\n", err)
		return 1
	}
	return code
}

// fire runs a scenario and returns the exit status.
func fire(c *config, args []string, stop chan struct{}, out io.Writer) (code int, err error) {
	k, err := c.attach()
	if err != nil {
		return 1, err
	}
	conns, err := loadgen.OpenConns(loadgen.OpenOptions{
		Backend: c.backend, Link: k, Addr: c.bindAddr(k), Port: c.LocalPort, V6: c.V6, ReceiveThread: c.multi,
	})
	if err != nil {
		return 1, err
	}
	defer conns.Close()
	c.Interrupt = stop
	c.writeBanner(out, conns.Mode)
	if c.ineffective != "" {
		fmt.Fprintf(os.Stderr, "WARNING: %s without effect in scenario %s, as in perfdhcp\n", c.ineffective, c.Scenario)
	}
	if c.diag("a") {
		c.writeArguments(out)
	}
	l := newLive(out, c)
	defer l.close()
	c.OnReport = func(g *loadgen.Generator) {
		var b strings.Builder
		g.WriteInterim(&b, c.clean)
		l.line(b.String())
	}
	if l.on() {
		c.Tick = liveInterval
		c.OnTick = func(g *loadgen.Generator) { l.show(g.Snapshot()) }
	}
	c.OnResend = func(e loadgen.Exchange, left, resent, retrying int) {
		l.line(fmt.Sprintf("%s %v: still waiting for %d answers, resent %d, retrying %d\n",
			time.Now().UTC().Format("2006-Jan-02 15:04:05.000000"), e, left, resent, retrying))
	}
	var once sync.Once
	var scriptErr error
	if c.script != "" {
		c.Started = func() { once.Do(func() { scriptErr = runScript(c.script, "start", out) }) }
	}
	var g *loadgen.Generator
	var points []loadgen.Point
	if c.sweep != nil {
		g, points, code, err = c.fireSweep(conns, l, stop)
	} else if g, err = loadgen.New(c.Options, conns.List); err == nil {
		err = g.Run()
		code = -1
	}
	if err == nil {
		err = scriptErr
	}
	l.close()
	if err != nil {
		return 1, err
	}
	if code < 0 {
		code = g.ExitCode()
	}
	if c.diag("e") && g.Reason != "Interrupted" && c.Scenario != loadgen.Avalanche {
		fmt.Fprintln(out, g.Reason)
	}
	if c.sweep == nil {
		g.WriteReport(out)
	}
	if c.diag("i") {
		fmt.Fprintf(out, "Short waits for packets: %d\n", g.ShortWaits)
	}
	if c.sweep == nil {
		g.WriteDetails(out)
	}
	if c.script != "" {
		if err := runScript(c.script, "stop", out); err != nil {
			return 1, err
		}
	}
	if c.diag("t") {
		g.WriteTimestamps(out)
	}
	if c.diag("s") {
		if id, ok := g.ServerID(); ok {
			fmt.Fprintf(out, "Server id: %08x\n", uint32(id))
		} else if id := g.ServerDUID(); id != "" {
			fmt.Fprintf(out, "Server id: %s\n", id)
		}
	}
	if c.diag("e") {
		fmt.Fprintln(out, "Interrupted")
	}
	if c.diag("T") {
		g.WriteTemplates(out)
	}
	if c.diag("l") {
		g.WriteLeases(out)
	}
	if c.Scenario == loadgen.Avalanche || c.Scenario == loadgen.Storm {
		g.WriteStorm(out)
	}
	return code, c.writeFiles(g, k, conns, points, code, args)
}

// writeFiles writes --json and --plot.
func (c *config) writeFiles(g *loadgen.Generator, k *loadgen.Link, conns *loadgen.Conns, points []loadgen.Point, code int, args []string) error {
	if c.json != "" {
		r := g.Result("dhcpgun "+build, k, conns)
		r.Sweep, r.ExitCode = points, code
		b, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			err = os.WriteFile(c.json, append(b, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("write results: %w", err)
		}
	}
	if c.plot == "" {
		return nil
	}
	f, err := os.Create(c.plot)
	if err != nil {
		return fmt.Errorf("write plot: %w", err)
	}
	defer f.Close()
	if err := loadgen.WritePlot(f, fmt.Sprintf("%s, %s", c.Scenario, conns.Mode), points); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write plot: %w", err)
	}
	return nil
}

// fireSweep runs the scenario at every rate of --sweep. The last generator is
// that of the rest of the report.
func (c *config) fireSweep(conns *loadgen.Conns, l *live, stop <-chan struct{}) (g *loadgen.Generator, points []loadgen.Point, code int, err error) {
	l.line(fmt.Sprintf("%12s %12s %12s %8s %12s %12s %12s %10s\n", "offered/s", "begun/s", "done/s", "loss", "p50", "p99", "p99.9", "late sends"))
	for _, rate := range c.sweep {
		c.Rate = rate
		if g, err = loadgen.New(c.Options, conns.List); err != nil {
			return g, points, 1, err
		}
		if err = g.Run(); err != nil {
			return g, points, 1, err
		}
		p := g.Point()
		points = append(points, p)
		l.line(fmt.Sprintf("%12d %12.0f %12.0f %7.2f%% %12v %12v %12v %10d\n", p.Offered, p.Begun, p.Goodput, p.LossPercent,
			short(p.Response.P50), short(p.Response.P99), short(p.Response.P999), p.LateSends))
		if g.Checks.Failed() {
			code = 3
			l.line(fmt.Sprintf("checks failed: %+v\n", g.Checks))
		}
		select {
		case <-stop:
			return g, points, code, nil
		default:
		}
	}
	return g, points, code, nil
}

// scriptPatience is how long -w's command may take at the end.
const scriptPatience = 10 * time.Second

// runScript runs -w's command. At the start it is not waited for, as in perfdhcp.
func runScript(name, arg string, out io.Writer) error {
	cmd := exec.Command(name, arg)
	if f, ok := out.(*os.File); ok { // else the command would be waited for
		cmd.Stdout = f
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run %s %s: %w", name, arg, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	if arg == "start" {
		return nil
	}
	select {
	case <-done: // what it returns is its own business, as in perfdhcp
	case <-time.After(scriptPatience):
	}
	return nil
}

// reflect runs the yardstick until it is interrupted.
func reflect(c *config, stop chan struct{}, out io.Writer) error {
	k, err := loadgen.FindLink(c.reflect, netip.Addr{})
	if err != nil {
		return err
	}
	port := c.ServerPort
	if port == 0 {
		port = 67
	}
	conns, err := loadgen.Open(loadgen.AFXDP, k, k.Addr, port)
	if err != nil {
		return err
	}
	defer conns.Close()
	fmt.Fprintf(out, "Reflecting on %s: %s\n", k.Name, conns.Mode)
	r := loadgen.Reflector{CPUs: c.CPUs}
	began := time.Now()
	if err := r.Run(conns.List, stop); err != nil {
		return err
	}
	fmt.Fprintf(out, "reflected packets: %d in %v, too short: %d\n", r.Packets.Load(), time.Since(began).Round(time.Millisecond), r.Short.Load())
	return nil
}

// writeBanner writes perfdhcp's first lines, the socket in use, and perfdhcp's
// advice about threads.
func (c *config) writeBanner(out io.Writer, mode string) {
	if c.clean == "" {
		fmt.Fprintf(out, "Running: dhcpgun%s\nScenario: %s.\n", c.line, c.Scenario)
		if c.multi {
			fmt.Fprintln(out, "Multi-thread mode enabled.")
		}
		fmt.Fprintf(out, "Sending through: %s\n", mode)
	}
	if c.backend != loadgen.UDP || c.multi == (c.cores > 1) {
		return
	}
	more, better, use := "only 1 thread", "single-threaded", "single"
	if c.cores > 1 {
		more, better, use = "more than 1 thread", "multi-threaded", "multi"
	}
	fmt.Fprintf(out, "WARNING: Currently system can run %s in parallel.\nWARNING: Better results are achieved when run in %s mode.\nWARNING: To switch use -g %s option.\n", more, better, use)
}

// writeArguments writes perfdhcp's -x a.
func (c *config) writeArguments(out io.Writer) {
	v, first := 4, "DISCOVER-OFFER"
	if c.V6 {
		v, first = 6, "SOLICIT-ADVERTISE"
	}
	fmt.Fprintf(out, "IPv%d\n", v)
	if c.TwoWay {
		fmt.Fprintf(out, "%s only\n", first)
	}
	leases := "address-only (IA_NA option added to the client's request)"
	switch {
	case c.NoAddresses:
		leases = "prefix-only (IA_PD option added to the client's request)"
	case c.Prefixes:
		leases = "address-and-prefix (Both IA_NA and IA_PD options added to the client's request)"
	}
	fmt.Fprintf(out, "lease-type=%s\n", leases)
	number := func(name string, n uint64) {
		if n != 0 {
			fmt.Fprintf(out, "%s=%d\n", name, n)
		}
	}
	text := func(name, s string) {
		if s != "" {
			fmt.Fprintf(out, "%s=%s\n", name, s)
		}
	}
	flag := func(name string, on bool) {
		if on {
			fmt.Fprintln(out, name)
		}
	}
	number("rate[1/s]", c.Rate)
	number("renew-rate[1/s]", c.RenewRate)
	number("release-rate[1/s]", c.ReleaseRate)
	number("report[s]", uint64(c.Report/time.Second))
	number("clients", uint64(c.Clients))
	for i, b := range c.base {
		text(fmt.Sprintf("base[%d]", i), b)
	}
	for i, n := range c.Exchanges {
		number(fmt.Sprintf("num-request[%d]", i), n)
	}
	number("test-period", uint64(c.Period/time.Second))
	for i, d := range c.DropTime {
		if d == 0 {
			d = time.Second
		}
		fmt.Fprintf(out, "drop-time[%d]=%g\n", i, d.Seconds())
	}
	for i, n := range c.MaxDrops {
		number(fmt.Sprintf("max-drop{%d]", i), n) // sic
	}
	for i, n := range c.MaxDropPercent {
		if n != 0 {
			fmt.Fprintf(out, "max-pdrop{%d]=%g\n", i, n)
		}
	}
	number("preload", c.Preload)
	number("local-port", uint64(c.ports[0]))
	number("remote-port", uint64(c.ports[1]))
	number("seed", c.Seed)
	flag("broadcast", c.Broadcast || !c.V6 && c.server == "")
	flag("rapid-commit", c.RapidCommit)
	flag("use-first", c.FirstServer)
	text("mac-list-file", c.macFile)
	for i, t := range c.templates {
		text(fmt.Sprintf("template-file[%d]", i), t)
	}
	for i, n := range c.xids {
		number(fmt.Sprintf("xid-offset[%d]", i), uint64(n))
	}
	offset := func(name string, n int) { // -1 if it was not given
		if n != 0 {
			fmt.Fprintf(out, "%s=%d\n", name, n)
		}
	}
	offset("elp-offset", c.offsets[0])
	for i, n := range c.randoms {
		number(fmt.Sprintf("rnd-offset[%d]", i), uint64(n))
	}
	offset("sid-offset", c.offsets[1])
	offset("rip-offset", c.offsets[2])
	text("diagnostic-selectors", c.diags)
	text("wrapped", c.script)
	if _, err := netip.ParseAddr(c.local); err == nil {
		text("local-addr", c.local)
	} else {
		text("interface", c.local)
	}
	server := c.server
	switch {
	case server == "servers":
		server = "FF05::1:3"
	case server == "" && c.V6:
		server = "FF02::1:2"
	case server == "":
		server = "255.255.255.255"
	}
	text("server", server)
	flag("single-thread-mode", !c.multi)
	flag("multi-thread-mode", c.multi)
	mac := c.BaseMAC
	if mac == ([6]byte{}) {
		mac = loadgen.DefaultMAC
	}
	fmt.Fprintf(out, "Set MAC to %02x::%02x::%02x::%02x::%02x::%02x\n", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5])
	if len(c.DUID) > 0 {
		fmt.Fprintf(out, "Set DUID to %x\n", c.DUID)
	}
}
