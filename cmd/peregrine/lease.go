package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

var stateNames = map[lease.State]string{
	lease.StateDefault: "assigned", lease.StateDeclined: "declined",
	lease.StateExpiredReclaimed: "expired-reclaimed", lease.StateReleased: "released", lease.StateRegistered: "registered",
}

const leaseUsage = `usage: peregrine lease list|export|import {-c FILE | -d DIR} ...

  list                                 print the leases
  export [-f csv|json] [-6] [-o OUT]   write the leases as Kea's lease file, or as JSON; -6: the DHCPv6 ones
  import [--force] [-n] IN.csv         take over the leases of Kea's lease file, DHCPv4 or DHCPv6

The server must not be running. -d names its lease directory, -c a
configuration that does.
`

// leaseMain works on a lease directory without a server.
func leaseMain(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, leaseUsage)
		return 2
	}
	switch args[0] {
	case "list":
		return leaseListMain(args[1:], stdout, stderr)
	case "export":
		return leaseExportMain(args[1:], stdout, stderr)
	case "import":
		return leaseImportMain(args[1:], stdout, stderr)
	case "help", "-h", "--help":
		fmt.Fprint(stdout, leaseUsage)
		return 0
	}
	fmt.Fprintf(stderr, "peregrine lease: there is no command %q\n%s", args[0], leaseUsage)
	return 2
}

// leaseFlags are the flags of every lease command.
type leaseFlags struct {
	*flag.FlagSet
	file, dir string
	// snap is the configuration, nil with -d alone.
	snap *config.Snapshot
}

func newLeaseFlags(command string, stderr io.Writer) *leaseFlags {
	f := &leaseFlags{FlagSet: flag.NewFlagSet("peregrine lease "+command, flag.ContinueOnError)}
	f.SetOutput(stderr)
	f.StringVar(&f.file, "c", "", "configuration `file` that names the lease directory")
	f.StringVar(&f.dir, "d", "", "lease `directory`")
	return f
}

// parse takes flags before and after so many other arguments, and finds the
// directory. With ok false, code is the exit status.
func (f *leaseFlags) parse(args []string, want ...string) (rest []string, code int, ok bool) {
	for {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, 0, false
			}
			return nil, 2, false
		}
		if f.NArg() == 0 {
			break
		}
		rest = append(rest, f.Arg(0))
		args = f.Args()[1:]
	}
	switch {
	case len(rest) > len(want):
		fmt.Fprintf(f.Output(), "%s: unexpected argument %q\n", f.Name(), rest[len(want)])
		return nil, 2, false
	case len(rest) < len(want):
		fmt.Fprintf(f.Output(), "%s: %s is missing\n", f.Name(), strings.Join(want[len(rest):], " "))
		return nil, 2, false
	case f.dir == "" && f.file == "":
		fmt.Fprintf(f.Output(), "%s: give -d DIR or -c FILE\n", f.Name())
		return nil, 2, false
	}
	if f.file != "" {
		snap, err := loadFile(f.file, true)
		if err != nil {
			fmt.Fprintln(f.Output(), err)
			return nil, 1, false
		}
		f.snap = snap
		if f.dir == "" {
			f.dir = slowpath.LeaseDir(snap)
		}
	}
	return rest, 0, true
}

func leaseListMain(args []string, stdout, stderr io.Writer) int {
	fs := newLeaseFlags("list", stderr)
	if _, code, ok := fs.parse(args); !ok {
		return code
	}
	out := bufio.NewWriter(stdout)
	const line4, line6 = "%-15s  %-17s  %-9v  %-17s  %-20s  %s\n", "%-32s  %-5s  %-10v  %-9v  %-17s  %-20s  %s\n"
	fmt.Fprintf(out, line4, "address", "hw-address", "subnet-id", "state", "expires", "client-id")
	rec, err := leasestore.Inspect(fs.dir, func(l *lease.Lease4) {
		fmt.Fprintf(out, line4, l.Addr, colons(l.HW()), l.SubnetID, stateNames[l.State], expiryText(l.ExpiresUnixS()), colons(l.CID()))
	}, nil)
	if err == nil && rec.Leases6 > 0 {
		fmt.Fprintf(out, "\n"+line6, "address or prefix", "type", "iaid", "subnet-id", "state", "expires", "duid")
		_, err = leasestore.Inspect(fs.dir, nil, func(l *lease6.Lease6) {
			fmt.Fprintf(out, line6, fmt.Sprintf("%v/%d", l.Addr, l.PrefixLen), l.Type, l.IAID, l.SubnetID, stateNames[l.State], expiryText(l.ExpiresUnixS()), colons(l.ID()))
		})
	}
	if err = errors.Join(err, out.Flush()); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// expiryText is a time of expiry in UTC.
func expiryText(unixS int64) string {
	if unixS == 1<<63-1 {
		return "never"
	}
	return time.Unix(unixS, 0).UTC().Format("2006-01-02 15:04:05Z")
}

func colons(b []byte) string { return net.HardwareAddr(b).String() }
