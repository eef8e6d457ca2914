package leasestore

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Inspect reads a lease directory that no server uses, without changing it, and
// calls f for each DHCPv4 lease and f6 for each DHCPv6 lease, in no order; either
// may be nil, and the lease is reused after they return. A
// torn tail is skipped and counted in TornBytes, not cut. It holds a shared
// lock, so a server cannot start meanwhile; while one runs the error wraps
// ErrLocked. A directory whose lock file the user may not read is read without
// lock. Damage is a *CorruptError.
func Inspect(dir string, f func(*lease.Lease4), f6 func(*lease6.Lease6)) (*Recovery, error) {
	return inspect(osFS{}, dir, loading{load: f, load6: f6})
}

func inspect(fsys FS, dir string, to loading) (*Recovery, error) {
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
	d, err := recoverDir(fsys, dir, to)
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
