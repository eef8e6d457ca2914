package leasefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// fileSystem is what the mirror does with files; tests give one that fails.
type fileSystem interface {
	// create makes a new file in place of whatever has the name.
	create(name string, mode fs.FileMode) (file, error)
	// open opens a file that is there, to read and write.
	open(name string) (file, error)
	stat(name string) (fs.FileInfo, error)
	rename(from, to string) error
	link(from, to string) error
	remove(name string) error
	// free is how many bytes there are to fill where name is; ok is false if
	// nobody knows.
	free(name string) (bytes uint64, ok bool)
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Chmod(mode fs.FileMode) error
	Chown(uid, gid int) error
}

type osFS struct{}

func (osFS) create(name string, mode fs.FileMode) (file, error) {
	// Never through a link that somebody else has laid there.
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
}
func (osFS) open(name string) (file, error)        { return os.OpenFile(name, os.O_RDWR, 0) }
func (osFS) stat(name string) (fs.FileInfo, error) { return os.Stat(name) }
func (osFS) rename(from, to string) error          { return os.Rename(from, to) }
func (osFS) link(from, to string) error            { return os.Link(from, to) }
func (osFS) remove(name string) error              { return os.Remove(name) }
func (osFS) free(name string) (uint64, bool)       { return freeBytes(filepath.Dir(name)) }
