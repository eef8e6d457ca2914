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
	snap, err := readConfig(path, loadOptions(lenient))
	if err != nil {
		return nil, err
	}
	return snap, confine(snap, lenient)
}

func readConfig(path string, o config.LoadOptions) (*config.Snapshot, error) {
	snap, err := config.Load(path, o)
	if err != nil {
		return nil, err
	}
	if snap.Dhcp4 == nil && snap.Dhcp6 == nil {
		return nil, fmt.Errorf("%s:1:1: expected a \"Dhcp4\" or a \"Dhcp6\" part", path)
	}
	return slowpath.WithDhcp4(snap), nil
}

// checkFile is loadFile with everything else that a start would find wrong, which
// is all in the error. As in Kea the certificates of control sockets are none of a
// configuration's faults: what is wrong with them is a warning. With listNotServed
// parts that are not served do not count: they are listed in the snapshot, or in the
// error's *config.Errors.
func checkFile(path string, lenient, listNotServed bool) (*config.Snapshot, error) {
	o := loadOptions(lenient)
	o.ListNotServed = listNotServed
	snap, err := readConfig(path, o)
	if err != nil {
		return nil, err
	}
	all := &config.Errors{Warnings: snap.Warnings, NotServed: snap.NotServed}
	all.Add(path, confine(snap, lenient))
	all.Add(path, slowpath.CheckHooks(snap, newHook))
	if err := slowpath.CheckSockets(snap); err != nil {
		snap.Warnings = append(snap.Warnings, err.Error())
	}
	if len(all.List) > 0 {
		return nil, all
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
	fs.Usage = func() {
		fmt.Fprint(stderr, "usage: peregrine check [-c] FILE\n\n"+
			"Says everything that is wrong with a configuration, and which parts of Kea in it\n"+
			"are not served by this version. The exit status is 0 if it is good, 1 if it is\n"+
			"broken, 3 if it is good but for parts that are not served: no server starts with it.\n\n")
		fs.PrintDefaults()
	}
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
	snap, err := checkFile(*file, *lenient, true)
	if err != nil {
		if e := config.AsErrors(err); e != nil {
			for _, x := range e.NotServed {
				fmt.Fprintln(stderr, x)
			}
		}
		fmt.Fprintln(stderr, err)
		return statusBroken
	}
	for _, w := range snap.Warnings {
		fmt.Fprintln(stderr, w)
	}
	for _, x := range snap.NotServed {
		fmt.Fprintln(stderr, x)
	}
	verdict, status := "good", 0
	if n := len(snap.NotServed); n > 0 {
		verdict, status = fmt.Sprintf("good but for %d %s not served", n, plural(n, "part")), statusNotServed
	}
	if !*quiet {
		fmt.Fprintf(stdout, "%s: %s: %s\n", *file, verdict, summary(snap))
	}
	return status
}

// Exit statuses of peregrine check beside 0, good, and 2, usage.
const (
	statusBroken = 1
	// statusNotServed: Kea would serve the file, this version serves it not in all
	// its parts, and does not start with it.
	statusNotServed = 3
)

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
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
