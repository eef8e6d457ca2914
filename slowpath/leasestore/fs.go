package leasestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FS is the little of a file system that the store uses; tests give one that
// loses unsynced data or fails (package leasestoretest). Names are paths below
// Options.Dir. All methods may be called from several goroutines.
type FS interface {
	// MakeDir creates the directory if it is missing.
	MakeDir(dir string) error
	// Create makes a new file for reading and writing; one that exists is an
	// error that wraps fs.ErrExist. The name is on stable storage after SyncDir.
	Create(name string) (File, error)
	// Open opens for reading.
	Open(name string) (File, error)
	Rename(oldName, newName string) error
	Remove(name string) error
	// Truncate sets the size of a file that is not open.
	Truncate(name string, size int64) error
	// List returns the base names of the entries, in any order.
	List(dir string) ([]string, error)
	// SyncDir makes created, renamed and removed names of dir durable.
	SyncDir(dir string) error
	// Lock takes an advisory lock on a file that it creates if missing, without
	// waiting: ErrLocked if another holder is in the way. Closing releases it.
	Lock(name string, shared bool) (io.Closer, error)
}

// File is an open file. One goroutine uses it at a time.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Allocate reserves n bytes at off and makes them part of the file, reading
	// as zero. errors.ErrUnsupported where the file system cannot.
	Allocate(off, n int64) error
	// Datasync puts content and size on stable storage (fdatasync).
	Datasync() error
}

// ErrLocked is what FS.Lock answers when somebody else holds the lock.
var ErrLocked = errors.New("lock file: held by another process")

// osFS is the operating system's file system.
type osFS struct{}

// OSFS returns the operating system's file system, which Options.FS nil means.
func OSFS() FS { return osFS{} }

func (osFS) MakeDir(dir string) error {
	if st, err := os.Stat(dir); err == nil {
		if !st.IsDir() {
			return &fs.PathError{Op: "open", Path: dir, Err: errors.New("not a directory")}
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return osFS{}.SyncDir(filepath.Dir(dir))
}

func (osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, err
	}
	return &osFile{f}, nil
}

func (osFS) Open(name string) (File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &osFile{f}, nil
}

func (osFS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }
func (osFS) Remove(name string) error             { return os.Remove(name) }

func (osFS) Truncate(name string, size int64) error { return os.Truncate(name, size) }

func (osFS) List(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

func (osFS) Lock(name string, shared bool) (io.Closer, error) {
	flags := os.O_RDWR | os.O_CREATE
	if shared {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(name, flags, 0o640)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f, shared); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

type osFile struct{ *os.File }

func (f *osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f *osFile) Allocate(off, n int64) error {
	if err := allocate(f.File, off, n); err != nil {
		return fmt.Errorf("allocate %s: %w", f.Name(), err)
	}
	return nil
}

func (f *osFile) Datasync() error {
	if err := datasync(f.File); err != nil {
		return fmt.Errorf("fdatasync %s: %w", f.Name(), err)
	}
	return nil
}
