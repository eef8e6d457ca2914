// Command dhcpgun puts load on a DHCP server: perfdhcp's command line and report
// on a generator that is fast enough not to be the limit. See bench/README.md.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
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
		writeUsage(os.Stderr)
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
	var once sync.Once
	sigs := make(chan os.Signal, 1)
	signal.Notify(sigs, os.Interrupt, syscall.SIGTERM)
	go func() {
		for range sigs {
			once.Do(func() { close(stop) })
		}
	}()
	if c.reflect != "" {
		err = reflect(c, stop, out)
	} else {
		var code int
		if code, err = fire(c, args, stop, out); err == nil {
			return code
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nERROR: running dhcpgun: %v\n", err)
		return 1
	}
	return 0
}

// fire runs a scenario and returns the exit status.
func fire(c *config, args []string, stop chan struct{}, out io.Writer) (code int, err error) {
	k, _, err := c.attach()
	if err != nil {
		return 1, err
	}
	conns, err := loadgen.Open(c.backend, k, k.Addr, c.LocalPort)
	if err != nil {
		return 1, err
	}
	defer conns.Close()
	c.Interrupt = stop
	c.OnReport = func(g *loadgen.Generator) { g.WriteInterim(out, c.clean) }
	g, err := loadgen.New(c.Options, conns.List)
	if err != nil {
		return 1, err
	}
	if c.clean == "" {
		fmt.Fprintf(out, "Running: %s\nScenario: %s.\nSending through: %s\n", strings.Join(args, " "), c.Scenario, conns.Mode)
	}
	if err := g.Run(); err != nil {
		return 1, err
	}
	if c.exitReason && g.Reason != "Interrupted" {
		fmt.Fprintln(out, g.Reason)
	}
	g.WriteReport(out)
	g.WriteDetails(out)
	if id, ok := g.ServerID(); ok && c.showServer {
		fmt.Fprintf(out, "Server id: %v\n", id)
	}
	if c.exitReason {
		fmt.Fprintln(out, "Interrupted")
	}
	if c.Scenario == loadgen.Avalanche || c.Scenario == loadgen.Storm {
		g.WriteStorm(out)
	}
	if c.json != "" {
		b, err := json.MarshalIndent(g.Result("dhcpgun "+build, k, conns), "", "  ")
		if err == nil {
			err = os.WriteFile(c.json, append(b, '\n'), 0o644)
		}
		if err != nil {
			return 1, fmt.Errorf("write results: %w", err)
		}
	}
	return g.ExitCode(), nil
}

// reflect runs the yardstick until it is interrupted.
func reflect(c *config, stop chan struct{}, out io.Writer) error {
	k, err := loadgen.FindLink(c.reflect, netip.Addr{})
	if err != nil {
		return err
	}
	conns, err := loadgen.Open(loadgen.AFXDP, k, k.Addr, c.ServerPort)
	if err != nil {
		return err
	}
	defer conns.Close()
	fmt.Fprintf(out, "Reflecting on %s: %s\n", k.Name, conns.Mode)
	var r loadgen.Reflector
	began := time.Now()
	r.Run(conns.List, stop)
	fmt.Fprintf(out, "reflected packets: %d in %v, too short: %d\n", r.Packets.Load(), time.Since(began).Round(time.Millisecond), r.Short.Load())
	return nil
}
