package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// eachLease6 calls f for each lease in ascending order of addresses.
func eachLease6(t *lease6.Table, f func(*lease6.Lease6) error) error {
	page := make([]lease6.Lease6, 256)
	for n, after := len(page), (lease6.IPv6{}); n == len(page); {
		n = t.Page(after, page)
		for i := range page[:n] {
			after = page[i].Addr
			if err := f(&page[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// exportCSV6 writes Kea's DHCPv6 lease file.
func exportCSV6(w io.Writer, t *lease6.Table) (written, left int, err error) {
	out := bufio.NewWriterSize(w, 256<<10)
	row := leasefile.AppendHeader6(nil)
	if _, err := out.Write(row); err != nil {
		return 0, 0, err
	}
	err = eachLease6(t, func(l *lease6.Lease6) error {
		if l.ValidLifetimeS == 0 || !leasefile.Writable6(l) {
			left++
			return nil
		}
		written++
		row = leasefile.AppendRow6(row[:0], l)
		_, err := out.Write(row)
		return err
	})
	return written, left, errors.Join(err, out.Flush())
}

// run6 is run for a DHCPv6 lease file.
func (im *importer) run6(path string, limit uint32) error {
	in, have := lease6.NewTable(lease6.Options{}), lease6.NewTable(lease6.Options{})
	rows := faults{w: im}
	sum, err := leasefile.Load6(path, in, leasefile.LoadOptions{MaxRowErrors: limit, RowError: func(e *leasefile.RowError) {
		rows.add("%v", e)
	}})
	rows.end("bad rows")
	if err != nil {
		return err
	}
	im.files, im.bad = sum.Files, sum.RowErrors
	if im.dry {
		if _, err := os.Stat(im.dir); errors.Is(err, fs.ErrNotExist) {
			return im.compare6(in, have)
		}
		if _, err := leasestore.Inspect(im.dir, nil, have.Load); err != nil {
			return leaseDirError(im.dir, err)
		}
		return im.compare6(in, have)
	}
	store, rec, err := leasestore.Open(leasestore.Options{Dir: im.dir, Load6: have.Load, Parallel: true})
	if err != nil {
		return leaseDirError(im.dir, err)
	}
	have.SetVersion(rec.MaxVersion6)
	if err = im.compare6(in, have); err == nil {
		err = append6(in, have, store)
	}
	return errors.Join(err, store.Close())
}

// same6 compares values that tables have given.
func same6(a, b *lease6.Lease6) bool {
	c := *a
	c.Version = b.Version
	return c == *b
}

// compare6 is compare for DHCPv6.
func (im *importer) compare6(in, have *lease6.Table) error {
	newer, long := faults{w: im}, faults{w: im}
	var old lease6.Lease6
	_ = eachLease6(in, func(l *lease6.Lease6) error {
		switch known := have.Get(l.Addr, &old); {
		case len(l.UserContext) > leasestore.MaxUserContext:
			long.add("%v: user-context has %d octets, at most %d can be", l.Addr, len(l.UserContext), leasestore.MaxUserContext)
		case !known:
			im.fresh++
		case same6(l, &old):
			im.same++
		default:
			im.replaced++
			if old.CLTTUnixS > l.CLTTUnixS {
				newer.add("%v: the lease of duid %s was last renewed %s, the one in the file (of duid %s) %s",
					l.Addr, colons(old.ID()), when(old.CLTTUnixS), colons(l.ID()), when(l.CLTTUnixS))
			}
		}
		return nil
	})
	newer.end("leases that are newer than the file's")
	long.end("leases with too long a user-context")
	switch {
	case long.n > 0:
		return fmt.Errorf("%d leases cannot be kept; nothing was imported", long.n)
	case newer.n > 0 && !im.force:
		return fmt.Errorf("%d leases in %s are newer than the file's; nothing was imported; --force replaces them", newer.n, im.dir)
	}
	return nil
}

// append6 puts the leases of in through have, which numbers them, into the journal
// and returns when they are durable.
func append6(in, have *lease6.Table, store *leasestore.Store) error {
	w := store.NewWriter("import")
	defer w.Retire()
	var last uint64
	var old lease6.Lease6
	err := eachLease6(in, func(l *lease6.Lease6) error {
		old.Version = 0
		if have.Get(l.Addr, &old) && same6(l, &old) {
			return nil
		}
		c, err := have.Put(l, old.Version, w)
		if errors.Is(err, lease.ErrJournal) && last > 0 { // the ring is full
			if err := w.WaitDurable(context.Background(), last); err != nil {
				return err
			}
			c, err = have.Put(l, old.Version, w)
		}
		if err != nil {
			return fmt.Errorf("%v: %w", l.Addr, err)
		}
		last = c.Pos
		return nil
	})
	if err == nil && last > 0 {
		err = w.WaitDurable(context.Background(), last)
	}
	if h := store.Health(); err != nil && !h.OK {
		err = fmt.Errorf("%w: %s", err, h.Err)
	}
	return err
}

// isLeaseFile6 looks at the header of a lease file, or of what a clean-up of
// Kea's left of it.
func isLeaseFile6(path string) bool {
	left, _ := leasefile.Leftovers(path) // loading says what is wrong
	for _, name := range append([]string{path}, left...) {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		line, _ := bufio.NewReaderSize(f, 4096).ReadString('\n')
		f.Close()
		if line != "" {
			return strings.HasPrefix(line, "address,duid,")
		}
	}
	return false
}
