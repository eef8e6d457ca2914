package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

// defaultSocket is where the server listens in docs/example.json.
const defaultSocket = "/run/peregrine/dhcp4.sock"

func ctlMain(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("peregrine ctl", flag.ContinueOnError)
	fs.SetOutput(stderr)
	target := fs.String("s", defaultSocket, "unix `socket` or http(s) URL of the server")
	user := fs.String("u", "", "user `name` for HTTP; the password is read from the environment variable PEREGRINE_PASSWORD")
	caFile := fs.String("cacert", "", "`file` or directory of CA certificates to hold an https server against (default the system's)")
	certFile := fs.String("cert", "", "`file` with the client certificate for https")
	keyFile := fs.String("key", "", "`file` with the key of the client certificate")
	table := fs.Bool("table", false, "print tables for people instead of JSON")
	timeout := fs.Duration("t", 0, "give up after this `time` (default 5m)")
	fs.Usage = func() {
		fmt.Fprint(stderr, "usage: peregrine ctl [-s SOCKET-OR-URL] [-table] COMMAND [JSON-ARGUMENTS]\n\n"+
			"Prints the answer as JSON. The exit status is 0 if the result is 0 (success) or 3 (empty), else 1.\n"+
			"JSON-ARGUMENTS may be @FILE or - for standard input. list-commands lists the commands.\n\n")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if fs.NArg() < 1 || fs.NArg() > 2 {
		fs.Usage()
		return 2
	}
	var arguments json.RawMessage
	if fs.NArg() == 2 {
		text, err := readArgument(fs.Arg(1))
		if err != nil {
			fmt.Fprintf(stderr, "peregrine ctl: %v\n", err)
			return 2
		}
		if !json.Valid(text) {
			fmt.Fprintf(stderr, "peregrine ctl: the arguments are no valid JSON: %.80s\n", text)
			return 2
		}
		arguments = text
	}
	tlsConfig, err := control.ClientTLS(*caFile, *certFile, *keyFile)
	if err != nil {
		fmt.Fprintf(stderr, "peregrine ctl: %v\n", err)
		return 2
	}
	c := control.Client{Target: *target, User: *user, Password: os.Getenv("PEREGRINE_PASSWORD"), TLS: tlsConfig, Timeout: *timeout}
	a, err := c.Do(context.Background(), fs.Arg(0), arguments)
	if err != nil {
		fmt.Fprintf(stderr, "peregrine ctl: %v\n", err)
		if strings.Contains(err.Error(), "no such file") || strings.Contains(err.Error(), "connection refused") {
			fmt.Fprintf(stderr, "Is the server running, and is %s its control socket? (-s names another)\n", *target)
		}
		return 1
	}
	var out bytes.Buffer
	if *table {
		err = printTable(&out, a)
	} else {
		err = json.Indent(&out, a.Raw, "", "  ")
		out.WriteByte('\n')
	}
	if err != nil {
		fmt.Fprintf(stderr, "peregrine ctl: %v\n", err)
		return 1
	}
	if _, err := stdout.Write(out.Bytes()); err != nil {
		return 1
	}
	if a.Result != control.ResultSuccess && a.Result != control.ResultEmpty {
		return 1
	}
	return 0
}

func readArgument(s string) ([]byte, error) {
	switch {
	case s == "-":
		return io.ReadAll(os.Stdin)
	case strings.HasPrefix(s, "@"):
		return os.ReadFile(s[1:])
	}
	return []byte(s), nil
}
