package slowpath

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// savedSuffix is put behind the names of Kea's files when their leases have been
// taken over.
const savedSuffix = ".kea"

// leaseFile is the file in Kea's form that follows the leases of a
// configuration, "" for none: Dataplane.lease-file-mirror if it is given, else lease-database.name, else Kea's own default where Kea has been
// installed and Dataplane.lease-directory does not say that leases are elsewhere.
func leaseFile(snap *config.Snapshot) string {
	dp, db := &snap.Dataplane, &snap.Dhcp4.LeaseDatabase
	switch {
	case dp.LeaseFileMirror == config.NoLeaseFile:
		return ""
	case dp.LeaseFileMirror != "":
		return dp.LeaseFileMirror
	case !db.Persist:
		return ""
	case filepath.IsAbs(db.Name):
		return db.Name
	}
	dir := dirOf(EnvDataDir, defaultDataDir)
	if db.Name != "" {
		return filepath.Join(dir, db.Name)
	}
	if dp.LeaseDirectorySet {
		return ""
	}
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return ""
	}
	return filepath.Join(dir, "kea-leases4.csv")
}

// newMirror makes the mirror that a configuration wants, nil if none. It does
// nothing before Start.
func (s *Server) newMirror(snap *config.Snapshot) (*leasefile.Mirror, error) {
	path := leaseFile(snap)
	if path == "" {
		return nil, nil
	}
	return leasefile.NewMirror(leasefile.MirrorOptions{
		Path: path, Table: s.table, CleanupEvery: time.Duration(snap.Dhcp4.LeaseDatabase.LFCIntervalS) * time.Second,
		Event: func(e leasefile.MirrorEvent) {
			s.log.WithGroup("dhcpsrv").Warn("PEREGRINE_LEASE_FILE_MIRROR "+e.Text, "event", e.Kind)
		},
	})
}

// adoptSlack is how much later than the journal the file may have been written
// by us: the mirror is a moment behind, and more when it had to be written anew.
const adoptSlack = 10 * time.Second

// adoptLeaseFile takes over the leases of Kea's file where they are news: at the
// first start, and when somebody, Kea most likely, has written to the file after
// the journal's last record (journalAt, zero: there was no journal). Of an
// address that both know the later transaction wins. Kea's files are kept under
// another name, since the mirror writes its own over them.
func (s *Server) adoptLeaseFile(path string, journalAt time.Time) error {
	left, err := leasefile.Leftovers(path)
	if err != nil {
		return fmt.Errorf("look for leases of Kea's: %w", err)
	}
	fileAt, err := newest(append(left, path))
	if err != nil || fileAt.IsZero() {
		return err
	}
	if !journalAt.IsZero() && !fileAt.After(journalAt.Add(adoptSlack)) && len(left) == 0 {
		return nil
	}
	l := s.log.WithGroup("dhcpsrv")
	l.Info("DHCPSRV_MEMFILE_LEASE_FILE_LOAD loading leases from file " + path)
	in := lease.NewTable(lease.Options{})
	bad := 0
	sum, err := leasefile.Load4(path, in, leasefile.LoadOptions{
		MaxRowErrors: s.opt.Snapshot.Dhcp4.LeaseDatabase.MaxRowErrors,
		RowError: func(e *leasefile.RowError) {
			if bad++; bad <= maxRowErrorsLogged {
				l.Error("DHCPSRV_MEMFILE_LEASE_LOAD_ROW_ERROR " + e.Error())
			}
		},
	})
	if err != nil {
		return fmt.Errorf("load leases of Kea's: %w", err)
	}
	taken, err := s.take(in)
	if err != nil {
		return fmt.Errorf("take over the leases in %s: %w", path, err)
	}
	if journalAt.IsZero() && sum.Rows > 0 {
		left = append(left, path)
	}
	for _, name := range left {
		if err := os.Rename(name, name+savedSuffix); err != nil {
			return fmt.Errorf("keep the lease file of Kea's: %w", err)
		}
	}
	l.Info("PEREGRINE_LEASE_FILE_TAKEN_OVER leases of Kea's file are in the journal", "file", path, "leases", in.Len(), "taken", taken,
		"bad-rows", sum.RowErrors, "kept-as", savedSuffix)
	return nil
}

// maxRowErrorsLogged keeps a file of another kind from filling the log.
const maxRowErrorsLogged = 100

// take puts leases into the table and the journal, and returns when they are
// durable.
func (s *Server) take(in *lease.Table) (taken int, err error) {
	w := s.store.NewWriter("lease-file")
	defer w.Retire()
	var last uint64
	var old lease.Lease4
	wait := func() error {
		if last == 0 {
			return nil
		}
		w.Kick()
		return w.WaitDurable(context.Background(), last)
	}
	in.Walk(func(l *lease.Lease4) bool {
		expect := uint64(0)
		if s.table.Get(l.Addr, &old) {
			if old.CLTTUnixS >= l.CLTTUnixS {
				return true
			}
			expect = old.Version
		}
		var c lease.Commit
		if c, err = s.table.Put(l, expect, w); errors.Is(err, lease.ErrJournal) {
			// The ring is full, or the record does not fit at all.
			if err = wait(); err == nil {
				c, err = s.table.Put(l, expect, w)
			}
		}
		if err != nil {
			err = fmt.Errorf("%v: %w", l.Addr, err)
			return false
		}
		last = c.Pos
		taken++
		return true
	})
	return taken, errors.Join(err, wait())
}

// journalTime is when the lease store in dir was last written, zero if there is
// none.
func journalTime(dir string) (time.Time, error) {
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, err
	}
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, ".journal") || strings.HasSuffix(n, ".snapshot") {
			names = append(names, filepath.Join(dir, n))
		}
	}
	return newest(names)
}

// newest is the time of the latest change of the files that exist.
func newest(names []string) (at time.Time, err error) {
	for _, n := range names {
		st, err := os.Stat(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return at, err
		}
		if t := st.ModTime(); t.After(at) {
			at = t
		}
	}
	return at, nil
}

var _ leasefile.Source = (*lease.Table)(nil)

// openStore recovers the leases and opens the journal.
func (s *Server) openStore() error {
	dp := &s.opt.Snapshot.Dataplane
	dir := LeaseDir(s.opt.Snapshot)
	sync := leasestore.SyncGroup
	if dp.Sync == config.SyncNone {
		sync = leasestore.SyncNone
	}
	var journalAt time.Time
	if s.opt.FS == nil {
		var err error
		if journalAt, err = journalTime(dir); err != nil {
			return fmt.Errorf("open lease database in %s: %w", dir, err)
		}
	}
	store, rec, err := leasestore.Open(leasestore.Options{
		Dir: dir, FS: s.opt.FS, Sync: sync, SegmentBytes: int64(dp.JournalSizeMB) << 20,
		Load: s.table.Load, Load6: s.table6.Load, Parallel: true, Event: s.storeEvent,
		Reserve: func(n, n6 int) { s.table.Reserve(n); s.table6.Reserve(n6) },
		Quiesce: func() { s.table.Quiesce(); s.table6.Quiesce() }, Gather: gather,
	})
	if err != nil {
		return fmt.Errorf("open lease database in %s: %w", dir, err)
	}
	s.table.Loaded()
	s.table6.Loaded()
	s.table.SetVersion(rec.MaxVersion)
	s.table6.SetVersion(rec.MaxVersion6)
	s.store, s.recovery = store, rec
	l := s.log.WithGroup("dhcpsrv")
	l.Info("DHCPSRV_MEMFILE_DB opening memory file lease database: leases are recovered", "directory", dir, "leases", rec.Leases,
		"journal-records", rec.Records, "snapshot", rec.Snapshot, "took", rec.Took.Round(time.Millisecond))
	if rec.TornBytes > 0 {
		l.Warn("PEREGRINE_JOURNAL_TAIL_CUT the last write before the end was incomplete and is cut off; no answered lease is lost",
			"bytes", rec.TornBytes)
	}
	if path := leaseFile(s.opt.Snapshot); path != "" && s.opt.FS == nil {
		if err := s.adoptLeaseFile(path, journalAt); err != nil {
			s.store = nil
			return errors.Join(err, store.Close())
		}
	}
	return nil
}
