// Command lab shows and measures Peregrine on one machine: `lab run` is the
// newcomer's tour (a server with XDP in one network namespace, real and
// simulated clients in another, a kill -9, a restart), `lab bench` prints what
// the machine can do. Everything it makes has its pid in its name and is removed
// when it ends, also when interrupted.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if len(os.Args) < 2 {
		usage()
	}
	exe, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
	bin := filepath.Dir(exe)
	switch os.Args[1] {
	case "run":
		err = tour(ctx, bin)
	case "bench":
		err = benchMain(ctx, bin, os.Args[2:])
	case "fetch": // for the tour itself: run inside a namespace
		if len(os.Args) != 3 {
			usage()
		}
		var b []byte
		if b, err = fetch(ctx, os.Args[2]); err == nil {
			_, err = os.Stdout.Write(b)
		}
	default:
		usage()
	}
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "lab: interrupted; everything it made is removed")
		os.Exit(130)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: lab run\n       lab bench [-h]")
	os.Exit(2)
}
