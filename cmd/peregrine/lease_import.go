package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// shownFaults is how many of each kind of fault are printed one by one.
const shownFaults = 10

// faults prints the first few of many messages.
type faults struct {
	w io.Writer
	n int
}

func (f *faults) add(format string, a ...any) {
	if f.n++; f.n <= shownFaults {
		fmt.Fprintf(f.w, format+"\n", a...)
	}
}

func (f *faults) end(what string) {
	if f.n > shownFaults {
		fmt.Fprintf(f.w, "... and %d more %s\n", f.n-shownFaults, what)
	}
}

func leaseImportMain(args []string, stdout, stderr io.Writer) int {
	flags := newLeaseFlags("import", stderr)
	force := flags.Bool("force", false, "replace leases that are newer than the file's")
	dry := flags.Bool("n", false, "say what would be done and change nothing")
	maxErrors := flags.Uint("max-row-errors", 0, "give up after more than so many bad rows in a file; 0 is never (max-row-errors of the configuration's lease-database)")
	rest, code, ok := flags.parse(args, "IN.csv")
	if !ok {
		return code
	}
	limit := uint32(min(*maxErrors, 1<<32-1))
	if flags.snap != nil && limit == 0 {
		limit = flags.snap.Dhcp4.LeaseDatabase.MaxRowErrors
	}
	im := importer{
		Writer: stderr, dir: flags.dir, force: *force, dry: *dry,
		in: lease.NewTable(lease.Options{}), have: lease.NewTable(lease.Options{}),
	}
	run := func() error { return im.run(rest[0], limit, flags.snap) }
	if isLeaseFile6(rest[0]) {
		run = func() error { return im.run6(rest[0], limit) }
	}
	if err := run(); err != nil {
		fmt.Fprintf(stderr, "peregrine lease import: %v\n", err)
		return 1
	}
	verb := "imported"
	if *dry {
		verb = "would import"
	}
	fmt.Fprintf(stdout, "%s %d leases from %s into %s: %d new, %d replaced; %d were there already, %d bad rows skipped\n",
		verb, im.fresh+im.replaced, strings.Join(im.files, ", "), flags.dir, im.fresh, im.replaced, im.same, im.bad)
	return 0
}

type importer struct {
	io.Writer // for faults
	dir       string
	force     bool
	dry       bool
	in, have  *lease.Table
	files     []string

	fresh, replaced, same, bad int
}

func (im *importer) run(path string, limit uint32, snap *config.Snapshot) error {
	rows := faults{w: im}
	sum, err := leasefile.Load4(path, im.in, leasefile.LoadOptions{MaxRowErrors: limit, RowError: func(e *leasefile.RowError) {
		rows.add("%v", e)
	}})
	rows.end("bad rows")
	if err != nil {
		return err
	}
	im.files, im.bad = sum.Files, sum.RowErrors
	if snap != nil {
		im.checkSubnets(snap)
	}
	if im.dry {
		return im.dryRun()
	}
	store, rec, err := leasestore.Open(leasestore.Options{Dir: im.dir, Load: im.have.Load, Parallel: true})
	if err != nil {
		return leaseDirError(im.dir, err)
	}
	im.have.SetVersion(rec.MaxVersion)
	if err = im.compare(); err == nil {
		err = im.append(store)
	}
	return errors.Join(err, store.Close())
}

func (im *importer) dryRun() error {
	if _, err := os.Stat(im.dir); err == nil {
		if _, err := leasestore.Inspect(im.dir, im.have.Load, nil); err != nil {
			return leaseDirError(im.dir, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return im.compare()
}

// compare counts what there is to do, and refuses to go back in time.
func (im *importer) compare() error {
	newer, long := faults{w: im}, faults{w: im}
	var old lease.Lease4
	_ = eachLease(im.in, func(l *lease.Lease4) error {
		switch {
		case len(l.UserContext) > leasestore.MaxUserContext:
			long.add("%v: user-context has %d octets, at most %d can be", l.Addr, len(l.UserContext), leasestore.MaxUserContext)
		case !im.have.Get(l.Addr, &old):
			im.fresh++
		case sameLease(l, &old):
			im.same++
		case old.CLTTUnixS > l.CLTTUnixS:
			newer.add("%v: the lease of %s was last renewed %s, the one in the file (of %s) %s",
				l.Addr, whose(&old), when(old.CLTTUnixS), whose(l), when(l.CLTTUnixS))
			im.replaced++
		default:
			im.replaced++
		}
		return nil
	})
	newer.end("leases that are newer than the file's")
	long.end("leases with too long a user-context")
	if long.n > 0 {
		return fmt.Errorf("%d leases cannot be kept; nothing was imported", long.n)
	}
	if newer.n > 0 && !im.force {
		return fmt.Errorf("%d leases in %s are newer than the file's; nothing was imported; --force replaces them", newer.n, im.dir)
	}
	return nil
}

// append puts the leases through the table, which numbers them, into the journal,
// and returns when they are durable. If it ends early, the same command finishes
// what it began.
func (im *importer) append(store *leasestore.Store) error {
	w := store.NewWriter("import")
	defer w.Retire()
	ctx := context.Background()
	var last uint64
	var old lease.Lease4
	err := eachLease(im.in, func(l *lease.Lease4) error {
		expect := uint64(0)
		if im.have.Get(l.Addr, &old) {
			if sameLease(l, &old) {
				return nil
			}
			expect = old.Version
		}
		c, err := im.have.Put(l, expect, w)
		if errors.Is(err, lease.ErrJournal) && last > 0 {
			// The ring is full.
			w.Kick()
			if err := w.WaitDurable(ctx, last); err != nil {
				return err
			}
			c, err = im.have.Put(l, expect, w)
		}
		if err != nil {
			return fmt.Errorf("%v: %w", l.Addr, err)
		}
		last = c.Pos
		return nil
	})
	if err == nil && last > 0 {
		w.Kick()
		err = w.WaitDurable(ctx, last)
	}
	if h := store.Health(); err != nil && !h.OK {
		err = fmt.Errorf("%w: %s", err, h.Err)
	}
	return err
}

// checkSubnets warns as Kea does where lease-checks is warn, its default
// (LS-022).
func (im *importer) checkSubnets(snap *config.Snapshot) {
	subnets := make(map[uint32]*config.Subnet4, len(snap.Dhcp4.Subnets))
	for _, s := range snap.Dhcp4.Subnets {
		subnets[s.ID] = s
	}
	f := faults{w: im}
	_ = eachLease(im.in, func(l *lease.Lease4) error {
		switch s := subnets[l.SubnetID]; {
		case s == nil:
			f.add("%v: warning: the configuration has no subnet with id %d", l.Addr, l.SubnetID)
		case !s.Prefix.Contains(l.Addr.Netip()):
			f.add("%v: warning: the address is not in subnet %s with id %d", l.Addr, s.Prefix, l.SubnetID)
		}
		return nil
	})
	f.end("leases that do not fit the configuration's subnets")
}

func sameLease(a, b *lease.Lease4) bool {
	return a.SubnetID == b.SubnetID && a.PoolID == b.PoolID && a.CLTTUnixS == b.CLTTUnixS && a.ValidLifetimeS == b.ValidLifetimeS &&
		a.State == b.State && a.FQDNFwd == b.FQDNFwd && a.FQDNRev == b.FQDNRev &&
		string(a.HW()) == string(b.HW()) && string(a.CID()) == string(b.CID()) && string(a.Host()) == string(b.Host()) &&
		a.UserContext == b.UserContext
}

func whose(l *lease.Lease4) string {
	switch {
	case l.HWLen > 0:
		return colons(l.HW())
	case l.ClientIDLen > 0:
		return "client-id " + colons(l.CID())
	}
	return "nobody"
}

func when(unixS int64) string { return time.Unix(unixS, 0).UTC().Format("2006-01-02 15:04:05Z") }
