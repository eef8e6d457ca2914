package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

var stateNames = map[lease.State]string{
	lease.StateDefault: "assigned", lease.StateDeclined: "declined",
	lease.StateExpiredReclaimed: "expired-reclaimed", lease.StateReleased: "released",
}

// leaseMain reads a lease directory without a server.
func leaseMain(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] != "list" {
		fmt.Fprintln(stderr, "usage: peregrine lease list {-c FILE | -d DIR}\nimport and export of lease files are not supported yet")
		return 2
	}
	fs := flag.NewFlagSet("peregrine lease list", flag.ContinueOnError)
	fs.SetOutput(stderr)
	file := fs.String("c", "", "configuration `file` that names the lease directory")
	dir := fs.String("d", "", "lease `directory`")
	if err := fs.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if *dir == "" {
		if *file == "" {
			fmt.Fprintln(stderr, "peregrine lease list: give -d DIR or -c FILE")
			return 2
		}
		snap, err := loadFile(*file, true)
		if err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		*dir = slowpath.LeaseDir(snap)
	}
	out := bufio.NewWriter(stdout)
	header := func() {
		fmt.Fprintf(out, "%-15s  %-17s  %-9s  %-17s  %-20s  %s\n", "address", "hw-address", "subnet-id", "state", "expires", "client-id")
	}
	n := 0
	_, err := leasestore.Inspect(*dir, func(l *lease.Lease4) {
		if n++; n == 1 {
			header() // not above an error
		}
		expires := "never"
		if l.ValidLifetimeS != lease.InfiniteLifetime {
			expires = time.Unix(l.ExpiresUnixS(), 0).UTC().Format("2006-01-02 15:04:05Z")
		}
		fmt.Fprintf(out, "%-15s  %-17s  %-9d  %-17s  %-20s  %s\n", l.Addr, colons(l.HW()), l.SubnetID, stateNames[l.State], expires, colons(l.CID()))
	})
	if err == nil && n == 0 {
		header()
	}
	if err = errors.Join(err, out.Flush()); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func colons(b []byte) string {
	s := ""
	for i, x := range b {
		if i > 0 {
			s += ":"
		}
		s += hex.EncodeToString([]byte{x})
	}
	return s
}
