package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
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
				return fmt.Errorf("option %s: expected a port from 1 to 65535, not %q", a[:2], v)
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
		fmt.Fprintf(stderr, "%s: %v\nUsage: %s -[v|V|W] [-d] [-{c|t|T} cfgfile] [-p number] [-X]\n", name, err, name)
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
		snap, err := checkFile(file, f.relaxed)
		if err == nil {
			o := serveOptions{name: name, file: file}
			err = o.servesAs(snap)
		}
		if err != nil {
			// Scripts look for these words.
			for _, line := range strings.Split(err.Error(), "\n") {
				fmt.Fprintf(stderr, "Error encountered: %s\n", line)
			}
			return 1
		}
		for _, w := range snap.Warnings {
			fmt.Fprintln(stderr, w)
		}
		fmt.Fprintf(stderr, "Syntax check OK for %s\n", file)
		return 0
	case f.config == "":
		fmt.Fprintf(stderr, "%s: configuration file not specified (-c)\n", name)
		return 1
	}
	return serve(serveOptions{name: name, file: f.config, port: f.serverPort, debug: f.debug, lenient: f.relaxed}, stderr)
}
