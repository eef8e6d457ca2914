package leasestore

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// Inspect reads a lease directory that no server uses, without changing it, and
// calls f for each lease, in no order; the lease is reused after f returns. A
// torn tail is skipped and counted in TornBytes, not cut. It holds a shared
// lock, so a server cannot start meanwhile; while one runs the error wraps
// ErrLocked. A directory whose lock file the user may not read is read without
// lock. Damage is a *CorruptError.
func Inspect(dir string, f func(*lease.Lease4)) (*Recovery, error) {
	return inspect(osFS{}, dir, f)
}

func inspect(fsys FS, dir string, f func(*lease.Lease4)) (*Recovery, error) {
	began := time.Now()
	lock, err := fsys.Lock(lockPath(dir), true)
	switch {
	case errors.Is(err, ErrLocked):
		return nil, fmt.Errorf("read lease directory %s: in use by another process: %w", dir, err)
	case err == nil:
		defer lock.Close()
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("read lease directory %s: %w", dir, err)
	}
	d, err := recoverDir(fsys, dir, f, false)
	var c *CorruptError
	if errors.As(err, &c) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("read lease directory %s: %w", dir, err)
	}
	d.Took = time.Since(began)
	return &d.Recovery, nil
}
