// Command peregrine is the DHCP server and its tools:
//
//	peregrine serve -c FILE        the server
//	peregrine check -c FILE        would this configuration load?
//	peregrine ctl COMMAND [ARGS]   one control command
//	peregrine lease list|export|import   the leases of a stopped server
//	peregrine completion bash|zsh
//	peregrine version
//
// Started through a link named kea-dhcp4 or kea-dhcp6 it takes Kea's own flags, so that units,
// scripts and monitoring written for Kea keep working.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// keaVersion is the Kea whose configuration, commands and statistics are
// served; tools compare it, so it is what -v and version-get say.
const keaVersion = "3.2.0"

// build is set by the linker.
var build = "unknown"

func main() {
	name := filepath.Base(os.Args[0])
	os.Exit(run(name, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `usage: peregrine COMMAND

  serve -c FILE          run the server
  check -c FILE          check a configuration: FILE:LINE:COL: message; exit status 1 if
                         it is broken, 3 if parts of it are not served
  ctl COMMAND [JSON]     send a control command to a running server
  lease list|export|import   the leases of a server that is not running
  completion bash|zsh    print a script that completes all this
  version                print the version

peregrine COMMAND -h explains a command.
`

func run(name string, args []string, stdout, stderr io.Writer) int {
	switch name {
	case root4, root6:
		return keaMain(name, args, stdout, stderr)
	case "kea-dhcp-ddns":
		fmt.Fprintf(stderr, "%s: this server does not send DNS updates yet; it serves as kea-dhcp4 and kea-dhcp6\n", name)
		return 1
	}
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	switch args[0] {
	case "completion":
		return completionMain(args[1:], stdout, stderr)
	case "__complete":
		return complete(args[1:], stdout, serverCommands)
	case "serve":
		return serveMain(args[1:], stderr)
	case "check":
		return checkMain(args[1:], stdout, stderr)
	case "ctl":
		return ctlMain(args[1:], stdout, stderr)
	case "lease":
		return leaseMain(args[1:], stdout, stderr)
	case "version", "-v", "--version":
		fmt.Fprintln(stdout, extendedVersion())
		return 0
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return 0
	}
	fmt.Fprintf(stderr, "peregrine: there is no command %q\n%s", args[0], usage)
	return 2
}

// extendedVersion is the long text of version-get and -V.
func extendedVersion() string {
	return fmt.Sprintf("%s (Peregrine %s)\n%s %s/%s", keaVersion, build, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// buildReport lists what the program was built from.
func buildReport() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Peregrine %s\n%s %s/%s\n", build, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			fmt.Fprintf(&b, "%s %s\n", d.Path, d.Version)
		}
	}
	return b.String()
}
