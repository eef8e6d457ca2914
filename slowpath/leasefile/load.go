package leasefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// ErrCleanupRunning: Kea's lease file cleanup is at work on the files.
var ErrCleanupRunning = errors.New("Kea's lease file cleanup is running")

// LoadOptions of Load4 and Load6; the zero value reads everything that can be read.
type LoadOptions struct {
	// MaxRowErrors is how many bad rows a file may have; 0 is any number (LS-006).
	MaxRowErrors uint32
	// RowError is told of each bad row, which is skipped; may be nil. It must not
	// keep e.
	RowError func(e *RowError)
}

// Loaded is what Load4 or Load6 found.
type Loaded struct {
	Files     []string // read, in order
	Rows      int      // good ones, deletions included
	RowErrors int
	Deletions int // rows that ended a lease
	Leases    int
	// Conversion says that some file has other columns than Header4 or Header6.
	Conversion bool
}

// fileSet lists the files that make up the lease file at path, in the order in
// which Kea loads them (LS-009).
func fileSet(path string) ([]string, error) {
	if pid, running := cleanupRunning(path + suffixPID); running {
		return nil, fmt.Errorf("load %s: %w as process %d; try again when it has ended", path, ErrCleanupRunning, pid)
	}
	order := []string{path + suffixPrevious, path + suffixInput, path}
	if is, err := exists(path + suffixCompleted); err != nil {
		return nil, err
	} else if is {
		order = []string{path + suffixCompleted, path}
	}
	var files []string
	for _, f := range order {
		is, err := exists(f)
		if err != nil {
			return nil, err
		}
		if is {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil, &fs.PathError{Op: "load", Path: path, Err: fs.ErrNotExist}
	}
	return files, nil
}

// Leftovers lists the files that a cleanup of Kea's left beside the lease file at
// path. Kea reads them before it: who writes the file anew must know that leases
// which ended since would come back from them. A file that is path itself by
// another name, as a cleanup of a Mirror leaves it, is none of them.
func Leftovers(path string) ([]string, error) {
	var left []string
	own, err := stat(path)
	if err != nil {
		return nil, err
	}
	for _, s := range []string{suffixCompleted, suffixPrevious, suffixInput} {
		i, err := stat(path + s)
		if err != nil {
			return nil, err
		}
		if i != nil && (own == nil || !os.SameFile(own, i)) {
			left = append(left, path+s)
		}
	}
	return left, nil
}

func exists(path string) (bool, error) {
	i, err := stat(path)
	return i != nil, err
}

// stat returns nil where there is no file.
func stat(path string) (fs.FileInfo, error) {
	i, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return i, err
}

// cleanupRunning says whether the process that a pid file names is a cleanup. The
// number alone is not believed: it may be anybody's by now.
func cleanupRunning(pidFile string) (pid int, running bool) {
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || pid <= 0 {
		return 0, false
	}
	comm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	return pid, err == nil && string(bytes.TrimSpace(comm)) == "kea-lfc"
}

// Load4 puts into the empty table t the leases that Kea would have if it started
// with the lease file at path, and numbers them from 1 (lease.Lease4.Version). It
// reads the files that a cleanup of Kea's left beside it too. Nobody may use t
// meanwhile; after an error it is to be thrown away.
func Load4(path string, t *lease.Table, o LoadOptions) (*Loaded, error) {
	sum, err := loadSet(path, func(sum *Loaded, in io.Reader, name string) error { return sum.load(in, name, t, o) })
	t.Loaded()
	if err == nil {
		sum.Leases = t.Len()
	}
	return sum, err
}

// Load6 is Load4 for a DHCPv6 lease file.
func Load6(path string, t *lease6.Table, o LoadOptions) (*Loaded, error) {
	sum, err := loadSet(path, func(sum *Loaded, in io.Reader, name string) error { return sum.load6(in, name, t, o) })
	if err == nil {
		sum.Leases = t.Len()
	}
	return sum, err
}

// loadSet calls load for each of the files that make up the lease file at path.
func loadSet(path string, load func(sum *Loaded, in io.Reader, name string) error) (*Loaded, error) {
	files, err := fileSet(path)
	if err != nil {
		return nil, err
	}
	sum := &Loaded{Files: files}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		err = load(sum, f, name)
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return sum, nil
}

// load reads one file. Rows must be in order: the table keeps the last one.
func (sum *Loaded) load(in io.Reader, name string, t *lease.Table, o LoadOptions) error {
	r, err := NewReader4(in, name)
	if err != nil {
		return err
	}
	var l, old lease.Lease4
	return sum.rows(r.Schema(), o, func() error {
		if err := r.Next(&l); err != nil {
			return err
		}
		if l.ValidLifetimeS > 0 {
			l.Version = t.Version() + 1
			t.Load(&l)
		} else if t.Get(l.Addr, &old) {
			sum.Deletions++
			_, err := t.Delete(l.Addr, old.Version, nil)
			return err
		}
		return nil
	})
}

// load6 is load for DHCPv6.
func (sum *Loaded) load6(in io.Reader, name string, t *lease6.Table, o LoadOptions) error {
	r, err := NewReader6(in, name)
	if err != nil {
		return err
	}
	var l, old lease6.Lease6
	return sum.rows(r.Schema(), o, func() error {
		if err := r.Next(&l); err != nil {
			return err
		}
		if l.ValidLifetimeS > 0 {
			l.Version = t.Version() + 1
			t.Load(&l)
		} else if t.Get(l.Addr, &old) {
			sum.Deletions++
			_, err := t.Delete(l.Addr, old.Version, nil)
			return err
		}
		return nil
	})
}

// rows calls next, which reads a row and applies it, until the end of the file.
func (sum *Loaded) rows(schema Schema, o LoadOptions, next func() error) error {
	sum.Conversion = sum.Conversion || schema != SchemaCurrent
	errs := uint32(0)
	for {
		err := next()
		var bad *RowError
		switch {
		case err == nil:
			sum.Rows++
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			sum.RowErrors++
			if o.RowError != nil {
				o.RowError(bad)
			}
			if errs++; o.MaxRowErrors > 0 && errs > o.MaxRowErrors {
				return fmt.Errorf("%w; this is more than the %d bad rows that max-row-errors allows", bad, o.MaxRowErrors)
			}
		default:
			return err
		}
	}
}
