package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	hooksall "github.com/peregrine-dhcp/peregrine/hooks/all"
	"github.com/peregrine-dhcp/peregrine/slowpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

// loadOptions are how every command reads a configuration.
func loadOptions(lenient bool) config.LoadOptions {
	return config.LoadOptions{Lenient: lenient, KnownHook: func(name string) bool { return knownHook(name) }}
}

// loadFile reads a configuration that this program can serve.
func loadFile(path string, lenient bool) (*config.Snapshot, error) {
	snap, err := config.Load(path, loadOptions(lenient))
	if err != nil {
		return nil, err
	}
	if snap.Dhcp4 == nil && snap.Dhcp6 == nil {
		return nil, fmt.Errorf("%s:1:1: expected a \"Dhcp4\" or a \"Dhcp6\" part", path)
	}
	snap = slowpath.WithDhcp4(snap)
	return snap, confine(snap, path, lenient)
}

// checkFile is loadFile with everything else that a start would find wrong.
func checkFile(path string, lenient bool) (*config.Snapshot, error) {
	snap, err := loadFile(path, lenient)
	if err != nil {
		return nil, err
	}
	if err := slowpath.CheckSockets(snap); err != nil {
		return nil, fmt.Errorf("%s:1:1: %w", path, err)
	}
	if err := slowpath.CheckHooks(snap, newHook); err != nil {
		return nil, fmt.Errorf("%s:1:1: %s", path, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return snap, nil
}

// newHook gives a hook library by name, nil if there is none.
func newHook(name string) hooks.Library {
	lib, _ := hooksall.New(name)
	return lib
}

func knownHook(name string) bool {
	_, ok := hooksall.New(name)
	return ok
}

func checkMain(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("peregrine check", flag.ContinueOnError)
	fs.SetOutput(stderr)
	file := fs.String("c", "", "configuration `file`")
	lenient := fs.Bool("X", false, "treat faults of security policy as warnings")
	quiet := fs.Bool("q", false, "print errors only")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if *file == "" && fs.NArg() == 1 {
		*file = fs.Arg(0)
	} else if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "peregrine check: unexpected argument %q\n", fs.Arg(0))
		return 2
	}
	if *file == "" {
		fmt.Fprintln(stderr, "peregrine check: -c FILE is missing")
		return 2
	}
	snap, err := checkFile(*file, *lenient)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	for _, w := range snap.Warnings {
		fmt.Fprintf(stderr, "%s\n", w)
	}
	if !*quiet {
		fmt.Fprintf(stdout, "%s: good: %s\n", *file, summary(snap))
	}
	return 0
}

// summary counts what a configuration has.
func summary(snap *config.Snapshot) string {
	var out []string
	if slowpath.HasDhcp4(snap) {
		d := snap.Dhcp4
		pools, hosts := 0, len(d.GlobalReservations)
		for _, s := range d.Subnets {
			pools += len(s.Pools)
			hosts += len(s.Reservations)
		}
		out = append(out, fmt.Sprintf("%d subnets, %d pools, %d reservations, %d hook libraries", len(d.Subnets), pools, hosts, len(d.HooksLibraries)))
	}
	if d := snap.Dhcp6; d != nil {
		pools, pdPools, hosts := 0, 0, len(d.GlobalReservations)
		for _, s := range d.Subnets {
			pools += len(s.Pools)
			pdPools += len(s.PDPools)
			hosts += len(s.Reservations)
		}
		out = append(out, fmt.Sprintf("%d IPv6 subnets, %d pools, %d prefix pools, %d reservations, %d hook libraries",
			len(d.Subnets), pools, pdPools, hosts, len(d.HooksLibraries)))
	}
	return strings.Join(out, "; ")
}
