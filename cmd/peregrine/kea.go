package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// keaFlags are Kea's own, read as getopt does: "-c FILE", "-cFILE", also
// "-c=FILE" as some units write it (V4-001).
type keaFlags struct {
	config, check, checkAll      string
	serverPort, clientPort       int
	debug, version, long, report bool
	relaxed                      bool
}

func parseKeaFlags(args []string) (f keaFlags, err error) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' {
			return f, fmt.Errorf("unexpected argument %q", a)
		}
		value := func() (string, error) {
			if len(a) > 2 {
				return strings.TrimPrefix(a[2:], "="), nil
			}
			if i+1 == len(args) {
				return "", fmt.Errorf("option %s needs a value", a)
			}
			i++
			return args[i], nil
		}
		port := func(into *int) error {
			v, err := value()
			if err != nil {
				return err
			}
			if *into, err = strconv.Atoi(v); err != nil || *into < 1 || *into > 65535 {
				which := "server"
				if a[1] == 'P' {
					which = "client"
				}
				return fmt.Errorf("Failed to parse %s port number: [%s], 1-65535 allowed.", which, v)
			}
			return nil
		}
		switch a[1] {
		case 'c':
			f.config, err = value()
		case 't':
			f.check, err = value()
		case 'T':
			f.checkAll, err = value()
		case 'p':
			err = port(&f.serverPort)
		case 'P':
			err = port(&f.clientPort)
		case 'd':
			f.debug = true
		case 'v':
			f.version = true
		case 'V':
			f.long = true
		case 'W':
			f.report = true
		case 'X':
			f.relaxed = true
		case 'F':
			// A server that cannot start with its configuration always ends.
		case 'R':
			return f, errors.New("option -R (configuration backend repair mode): there is no configuration backend")
		default:
			return f, fmt.Errorf("unsupported option %s", a)
		}
		if err != nil {
			return f, err
		}
	}
	if f.clientPort != 0 {
		return f, fmt.Errorf("option -P (destination port of answers) is not supported yet")
	}
	return f, nil
}

// keaMain is the server under Kea's name.
func keaMain(name string, args []string, stdout, stderr io.Writer) int {
	f, err := parseKeaFlags(args)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		keaUsage(name, stderr)
		return 1
	}
	switch {
	case f.version:
		fmt.Fprintln(stdout, keaVersion)
		return 0
	case f.long:
		fmt.Fprintln(stdout, extendedVersion())
		return 0
	case f.report:
		fmt.Fprint(stdout, buildReport())
		return 0
	case f.check != "" || f.checkAll != "":
		file := f.check + f.checkAll
		snap, err := checkFile(file, f.relaxed, false)
		if err == nil {
			o := serveOptions{name: name, file: file}
			err = o.servesAs(snap)
		}
		if err != nil {
			// Scripts look for these words.
			says := "Error encountered: "
			if !readable(file) {
				says = "Syntax check failed with: "
			}
			for _, line := range strings.Split(err.Error(), "\n") {
				fmt.Fprintf(stderr, "%s%s\n", says, line)
			}
			return 1
		}
		for _, w := range snap.Warnings {
			fmt.Fprintln(stderr, w)
		}
		fmt.Fprintf(stderr, "Syntax check OK for %s\n", file)
		return 0
	case f.config == "":
		fmt.Fprintln(stderr, "Configuration file not specified.")
		keaUsage(name, stderr)
		return 1
	}
	return serve(serveOptions{name: name, file: f.config, port: f.serverPort, debug: f.debug, lenient: f.relaxed}, stderr)
}

// readable says whether a file is a text of Kea's JSON dialect, whatever it means.
func readable(path string) bool {
	text, err := os.ReadFile(path)
	if err == nil {
		_, _, err = keajson.ParseTree(path, text, keajson.TreeOptions{})
	}
	return err == nil
}

func keaUsage(name string, w io.Writer) {
	fmt.Fprintf(w, `
Usage: %s -[v|V|W] [-d|F|X] [-{c|t|T} cfgfile] [-p number]
  -v: print the version of Kea that is served and exit
  -V: print the program's own version too and exit
  -W: print what the program was built from and exit
  -d: log at debug level
  -F: end on a critical error at the start, as is always done
  -X: treat faults of security policy as warnings
  -c file: serve with this configuration
  -t file: check this configuration and exit
  -T file: the same; hook libraries are loaded either way
  -p number: serve this UDP port (for tests)
`, name)
}
