//go:build !linux

package leasestore

import (
	"errors"
	"os"
)

func allocate(*os.File, int64, int64) error { return errors.ErrUnsupported }

func datasync(f *os.File) error { return f.Sync() }

// lockFile: the server runs on Linux only; elsewhere the store is for reading
// its code and running its tests.
func lockFile(*os.File, bool) error { return nil }
