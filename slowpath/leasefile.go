package slowpath

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// savedSuffix is put behind the names of Kea's files when their leases have been
// taken over.
const savedSuffix = ".kea"

// leaseFile is the file in Kea's form that follows the DHCPv4 leases of a
// configuration, "" for none: Dataplane.lease-file-mirror if it is given, else lease-database.name, else Kea's own default where Kea has been
// installed and Dataplane.lease-directory does not say that leases are elsewhere.
func leaseFile(snap *config.Snapshot) string {
	return leaseFileOf(&snap.Dhcp4.LeaseDatabase, &snap.Dataplane, "kea-leases4.csv")
}

// leaseFile6 is the same for DHCPv6. Where both families are served,
// Dataplane.lease-file-mirror names DHCPv4's file; "none" means both.
func leaseFile6(snap *config.Snapshot) string {
	dp := snap.Dataplane
	if HasDhcp4(snap) && dp.LeaseFileMirror != config.NoLeaseFile {
		dp.LeaseFileMirror = ""
	}
	return leaseFileOf(&snap.Dhcp6.LeaseDatabase, &dp, "kea-leases6.csv")
}

func leaseFileOf(db *config.LeaseDatabase, dp *config.Dataplane, file string) string {
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
	return filepath.Join(dir, file)
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
		Event: s.mirrorEvent,
	})
}

// newMirror makes the one of DHCPv6.
func (x *server6) newMirror(snap *config.Snapshot) (*leasefile.Mirror, error) {
	path := leaseFile6(snap)
	if path == "" {
		return nil, nil
	}
	return leasefile.NewMirror(leasefile.MirrorOptions{
		Path: path, Table6: x.table, CleanupEvery: time.Duration(snap.Dhcp6.LeaseDatabase.LFCIntervalS) * time.Second,
		Event: x.mirrorEvent,
	})
}

func (f *family) mirrorEvent(e leasefile.MirrorEvent) {
	if e.Kind == leasefile.EventCleanup {
		log := f.root().WithGroup("dhcpsrv")
		log.Info("DHCPSRV_MEMFILE_LFC_START starting Lease File Cleanup")
		log.Info("DHCPSRV_MEMFILE_LFC_EXECUTE executing Lease File Cleanup using: this server, which writes " + e.Text + " anew")
		return
	}
	f.root().WithGroup("dhcpsrv").Warn("PEREGRINE_LEASE_FILE_MIRROR "+e.Text, "event", e.Kind)
}

// giveUpMirror ends a mirror that the table has no more as an observer, if another
// one took its place, and starts that.
func (f *family) giveUpMirror(old, now *leasefile.Mirror) {
	if old == now {
		return
	}
	if now != nil {
		now.Start()
	}
	if old == nil {
		return
	}
	if err := old.Close(); err != nil {
		f.root().WithGroup("dhcpsrv").Warn("PEREGRINE_LEASE_FILE_MIRROR the mirror given up was not closed cleanly", "error", err)
	}
}

// adoptSlack is how much later than the journal the file may have been written
// by us: the mirror is a moment behind, and more when it had to be written anew.
const adoptSlack = 10 * time.Second

// adoption is the leases of a file of Kea's on their way into the table of their
// family.
type adoption struct {
	log          *slog.Logger
	maxRowErrors uint32
	load         func(path string, o leasefile.LoadOptions) (*leasefile.Loaded, error)
	// take puts what was loaded into the table and the journal.
	take func(*taker) error
}

func (s *Server) adoption() *adoption {
	in := lease.NewTable(lease.Options{})
	return &adoption{
		log: s.log.WithGroup("dhcpsrv"), maxRowErrors: s.opt.Snapshot.Dhcp4.LeaseDatabase.MaxRowErrors,
		load: func(path string, o leasefile.LoadOptions) (*leasefile.Loaded, error) {
			return leasefile.Load4(path, in, o)
		},
		take: func(t *taker) (err error) {
			var old lease.Lease4
			in.Walk(func(l *lease.Lease4) bool {
				expect := uint64(0)
				if s.table.Get(l.Addr, &old) {
					if old.CLTTUnixS >= l.CLTTUnixS {
						return true
					}
					expect = old.Version
				}
				if err = t.put(func() (lease.Commit, error) { return s.table.Put(l, expect, t.w) }); err != nil {
					err = fmt.Errorf("%v: %w", l.Addr, err)
				}
				return err == nil
			})
			return err
		},
	}
}

func (x *server6) adoption() *adoption {
	in, checks := lease6.NewTable(lease6.Options{}), x.s.opt.Snapshot.Dhcp6.ExtendedInfoChecks
	return &adoption{
		log: x.root().WithGroup("dhcpsrv"), maxRowErrors: x.s.opt.Snapshot.Dhcp6.LeaseDatabase.MaxRowErrors,
		load: func(path string, o leasefile.LoadOptions) (*leasefile.Loaded, error) {
			return leasefile.Load6(path, in, o)
		},
		take: func(t *taker) (err error) {
			var old lease6.Lease6
			in.Walk(func(l *lease6.Lease6) bool {
				expect := uint64(0)
				if x.table.Get(l.Addr, &old) {
					if old.CLTTUnixS >= l.CLTTUnixS {
						return true
					}
					expect = old.Version
				}
				if l.UserContext != "" {
					x.checkContext(l, checks)
					leasefile.SetUserContext6(l, leasefile.UserContext6(l))
				}
				if err = t.put(func() (lease.Commit, error) { return x.table.Put(l, expect, t.w) }); err != nil {
					err = fmt.Errorf("%v: %w", l.Addr, err)
				}
				return err == nil
			})
			return err
		},
	}
}

// adoptLeaseFile takes over the leases of Kea's file where they are news: at the
// first start, and when somebody, Kea most likely, has written to the file after
// the journal's last record (journalAt, zero: it has none of this family). Of an
// address that both know the later transaction wins. Kea's files are kept under
// another name, since the mirror writes its own over them.
func (s *Server) adoptLeaseFile(a *adoption, path string, journalAt time.Time) error {
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
	a.log.Info("DHCPSRV_MEMFILE_LEASE_FILE_LOAD loading leases from file " + path)
	bad := 0
	sum, err := a.load(path, leasefile.LoadOptions{
		MaxRowErrors: a.maxRowErrors,
		RowError: func(e *leasefile.RowError) {
			if bad++; bad <= maxRowErrorsLogged {
				a.log.Error("DHCPSRV_MEMFILE_LEASE_LOAD_ROW_ERROR " + e.Error())
			}
		},
	})
	if err != nil {
		return fmt.Errorf("load leases of Kea's: %w", err)
	}
	taken, err := s.take(a)
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
	a.log.Info("PEREGRINE_LEASE_FILE_TAKEN_OVER leases of Kea's file are in the journal", "file", path, "leases", sum.Leases, "taken", taken,
		"bad-rows", sum.RowErrors, "kept-as", savedSuffix)
	return nil
}

// maxRowErrorsLogged keeps a file of another kind from filling the log.
const maxRowErrorsLogged = 100

// taker journals leases that are taken over.
type taker struct {
	w     *leasestore.Writer
	last  uint64 // position of the last
	taken int
}

// put stores a lease; when the journal's ring is full it waits for the disk
// once.
func (t *taker) put(store func() (lease.Commit, error)) error {
	c, err := store()
	if errors.Is(err, lease.ErrJournal) {
		// The ring is full, or the record does not fit at all.
		if err = t.wait(); err == nil {
			c, err = store()
		}
	}
	if err != nil {
		return err
	}
	t.last = c.Pos
	t.taken++
	return nil
}

func (t *taker) wait() error {
	if t.last == 0 {
		return nil
	}
	t.w.Kick()
	return t.w.WaitDurable(context.Background(), t.last)
}

// take puts leases into the table and the journal, and returns when they are
// durable.
func (s *Server) take(a *adoption) (taken int, err error) {
	t := &taker{w: s.store.NewWriter("lease-file")}
	defer t.w.Retire()
	err = a.take(t)
	return t.taken, errors.Join(err, t.wait())
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
	// Kea's words for it, which operators and their tools look for.
	s.log.WithGroup("dhcpsrv").Info("DHCPSRV_MEMFILE_LEASE_FILE_LOAD loading leases from files in " + dir)
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
	s.table.SetVersion(rec.MaxVersion)
	s.table6.SetVersion(rec.MaxVersion6)
	s.store, s.recovery = store, rec
	l := s.log.WithGroup("dhcpsrv")
	l.Info("DHCPSRV_MEMFILE_DB opening memory file lease database: leases are recovered", "directory", dir, "leases", rec.Leases, "leases6", rec.Leases6,
		"journal-records", rec.Records, "snapshot", rec.Snapshot, "took", rec.Took.Round(time.Millisecond))
	if rec.TornBytes > 0 {
		l.Warn("PEREGRINE_JOURNAL_TAIL_CUT the last write before the end was incomplete and is cut off; no answered lease is lost",
			"bytes", rec.TornBytes)
	}
	if s.opt.FS == nil {
		err = s.adoptLeaseFiles(journalAt, rec)
	}
	if err == nil {
		err = s.checkLeases(s.opt.Snapshot)
	}
	if err != nil {
		s.store = nil
		return errors.Join(err, store.Close())
	}
	return nil
}

// adoptLeaseFiles takes over both families' leases. A journal that has never
// known a lease of a family says nothing about the age of that family's file: it
// may have served the other one for years.
func (s *Server) adoptLeaseFiles(journalAt time.Time, rec *leasestore.Recovery) error {
	since := func(maxVersion uint64) time.Time {
		if maxVersion == 0 {
			return time.Time{}
		}
		return journalAt
	}
	if path := leaseFile(s.opt.Snapshot); path != "" {
		if err := s.adoptLeaseFile(s.adoption(), path, since(rec.MaxVersion)); err != nil {
			return err
		}
	}
	if s.six == nil || !s.six.persist {
		return nil
	}
	if path := leaseFile6(s.opt.Snapshot); path != "" {
		return s.adoptLeaseFile(s.six.adoption(), path, since(rec.MaxVersion6))
	}
	return nil
}
