// Package leasestoretest is a file system in memory for tests of what is built
// on leasestore: it loses what was not synced when the power is cut, tears
// writes, fails operations on demand, fills up and becomes read-only.
//
// It is stricter than disks are: after a failed Datasync the unsynced writes
// are never made durable by a later one, as on Linux.
package leasestoretest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// ErrPowerCut is what every operation answers after the power was cut.
var ErrPowerCut = errors.New("power was cut")

// Op names an operation for Inject.
type Op string

const (
	OpCreate   Op = "create"
	OpOpen     Op = "open"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpList     Op = "list"
	OpSyncDir  Op = "syncdir"
	OpLock     Op = "lock"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpAllocate Op = "allocate"
	OpDatasync Op = "datasync"
)

// Fault is what Inject makes of an operation. Done means that it takes effect
// although it answers Err; of a failing write a part may take effect anyway.
type Fault struct {
	Err  error
	Done bool
}

// FS is a file system with one directory level of durability: names are durable
// after SyncDir, content after Datasync. The zero value is not usable. All
// methods may be called from several goroutines.
type FS struct {
	mu      sync.Mutex
	dirs    map[string]bool
	files   map[string]*node
	durable map[string]*node // names as on stable storage
	dirOps  []dirOp          // since the last SyncDir
	locks   map[string]*lock
	inject  func(n int, op Op, name string) Fault
	ops     int
	cutAt   int
	dead    bool
	limit   int64
	ro      bool
}

// dirOp is a change of names; a rename is one.
type dirOp struct {
	name    string
	node    *node // nil: none was added
	removed string
}

// node is a file: content without trailing zeroes that were only allocated.
type node struct {
	data, synced     []byte
	size, syncedSize int64
	pending          []write
}

// write is a change that is not durable. data nil: the size becomes off.
type write struct {
	off  int64
	data []byte
}

type lock struct {
	holders int
	shared  bool
}

// New returns an empty file system.
func New() *FS {
	return &FS{dirs: map[string]bool{}, files: map[string]*node{}, durable: map[string]*node{}, locks: map[string]*lock{}}
}

// SetInject makes f decide about each operation before it runs; n counts
// operations from 1. f must not call the FS.
func (m *FS) SetInject(f func(n int, op Op, name string) Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inject = f
}

// CutAt cuts the power just before operation n (counted from 1); 0: never.
func (m *FS) CutAt(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cutAt = n
}

// Cut cuts the power now.
func (m *FS) Cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

// Dead reports whether the power was cut.
func (m *FS) Dead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// Ops is how many operations there were.
func (m *FS) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// SetLimit makes the sum of file contents at most n bytes; more is ENOSPC. 0:
// no limit.
func (m *FS) SetLimit(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = n
}

// Used is the sum of file contents, allocated space not counted.
func (m *FS) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used()
}

func (m *FS) used() (n int64) {
	for _, f := range m.files {
		n += int64(len(f.data))
	}
	return n
}

// SetReadOnly makes every change fail with EROFS.
func (m *FS) SetReadOnly(ro bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ro = ro
}

// Mode is what a Crash leaves of what was not synced.
type Mode int

const (
	LoseAll  Mode = iota // nothing
	KeepAll              // everything is as it was seen: the process died, not the machine, and a later Crash may still lose what was not synced
	KeepSome             // some operations on names; of each write all, nothing, a prefix or some sectors
)

func (m Mode) String() string { return [...]string{"lose-all", "keep-all", "keep-some"}[m] }

// Crash returns what a machine finds after the power was cut; the old file
// system answers ErrPowerCut from then on.
func (m *FS) Crash(mode Mode, r *rand.Rand) *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	n := New()
	n.dirs = m.dirs
	if mode == KeepAll {
		n.files, n.durable, n.dirOps = m.files, m.durable, m.dirOps
		return n
	}
	names := map[string]*node{}
	for name, f := range m.durable {
		names[name] = f
	}
	if mode == KeepSome {
		for _, op := range m.dirOps { // in any combination
			if r.IntN(2) == 0 {
				continue
			}
			if op.removed != "" {
				delete(names, op.removed)
			}
			if op.node != nil {
				names[op.name] = op.node
			}
		}
	}
	for name, f := range names {
		c := f.after(mode, r)
		n.files[name] = c
		n.durable[name] = c
	}
	return n
}

// Clone returns a copy with everything durable, for damage to be done to.
func (m *FS) Clone() *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := New()
	n.dirs = m.dirs
	for name, f := range m.files {
		c := f.after(KeepAll, nil)
		n.files[name] = c
		n.durable[name] = c
	}
	return n
}

const sector = 512

func (f *node) after(mode Mode, r *rand.Rand) *node {
	c := &node{}
	if mode == KeepAll {
		c.data, c.size = append([]byte(nil), f.data...), f.size
	} else {
		c.data, c.size = append([]byte(nil), f.synced...), f.syncedSize
		if mode == KeepSome {
			for _, w := range f.pending {
				switch r.IntN(4) {
				case 0:
				case 1:
					apply(&c.data, &c.size, w)
				case 2:
					if w.data != nil {
						apply(&c.data, &c.size, write{w.off, w.data[:r.IntN(len(w.data)+1)]})
					}
				case 3:
					for p := 0; p < len(w.data); {
						q := min(len(w.data), p+sector-int((w.off+int64(p))%sector))
						if r.IntN(2) == 0 {
							apply(&c.data, &c.size, write{w.off + int64(p), w.data[p:q]})
						}
						p = q
					}
				}
			}
		}
	}
	c.synced, c.syncedSize = append([]byte(nil), c.data...), c.size
	return c
}

func apply(data *[]byte, size *int64, w write) {
	if w.data == nil {
		*size = w.off
		if int64(len(*data)) > w.off {
			*data = (*data)[:w.off]
		}
		return
	}
	end := w.off + int64(len(w.data))
	for int64(len(*data)) < end {
		*data = append(*data, make([]byte, end-int64(len(*data)))...)
	}
	copy((*data)[w.off:], w.data)
	*size = max(*size, end)
}

func (f *node) change(w write) {
	apply(&f.data, &f.size, w)
	f.pending = append(f.pending, w)
}

// begin counts an operation and decides about it. With done, the operation is
// to be carried out and err answered then.
func (m *FS) begin(op Op, name string, changes bool) (done bool, err error) {
	m.ops++
	if m.dead || m.cutAt > 0 && m.ops >= m.cutAt {
		m.dead = true
		return false, ErrPowerCut
	}
	if m.inject != nil {
		if f := m.inject(m.ops, op, name); f.Err != nil {
			return f.Done, &fs.PathError{Op: string(op), Path: name, Err: f.Err}
		}
	}
	if changes && m.ro {
		return false, &fs.PathError{Op: string(op), Path: name, Err: syscall.EROFS}
	}
	return true, nil
}

// MakeDir implements leasestore.FS; directories are durable at once.
func (m *FS) MakeDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirs[dir] = true
	return nil
}

// Create implements leasestore.FS.
func (m *FS) Create(name string) (leasestore.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do, err := m.begin(OpCreate, name, true)
	if !do {
		return nil, err
	}
	if m.files[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f := &node{}
	m.files[name] = f
	m.dirOps = append(m.dirOps, dirOp{name: name, node: f})
	if err != nil {
		return nil, err
	}
	return &file{m: m, name: name, f: f}, nil
}

// Open implements leasestore.FS.
func (m *FS) Open(name string) (leasestore.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.begin(OpOpen, name, false); err != nil {
		return nil, err
	}
	f := m.files[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{m: m, name: name, f: f}, nil
}

// Rename implements leasestore.FS.
func (m *FS) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	do, err := m.begin(OpRename, oldName, true)
	if !do {
		return err
	}
	f := m.files[oldName]
	if f == nil {
		return &fs.PathError{Op: "rename", Path: oldName, Err: fs.ErrNotExist}
	}
	m.files[newName] = f
	delete(m.files, oldName)
	m.dirOps = append(m.dirOps, dirOp{newName, f, oldName})
	return err
}

// Remove implements leasestore.FS.
func (m *FS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	do, err := m.begin(OpRemove, name, true)
	if !do {
		return err
	}
	if m.files[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.files, name)
	m.dirOps = append(m.dirOps, dirOp{removed: name})
	return err
}

// Truncate implements leasestore.FS.
func (m *FS) Truncate(name string, size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	do, err := m.begin(OpTruncate, name, true)
	if !do {
		return err
	}
	f := m.files[name]
	if f == nil {
		return &fs.PathError{Op: "truncate", Path: name, Err: fs.ErrNotExist}
	}
	f.change(write{off: size})
	return err
}

// List implements leasestore.FS.
func (m *FS) List(dir string) (names []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.begin(OpList, dir, false); err != nil {
		return nil, err
	}
	for name := range m.files {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	return names, nil
}

// SyncDir implements leasestore.FS.
func (m *FS) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	do, err := m.begin(OpSyncDir, dir, false)
	if !do {
		return err
	}
	m.durable = map[string]*node{}
	for name, f := range m.files {
		m.durable[name] = f
	}
	m.dirOps = nil
	return err
}

// Lock implements leasestore.FS.
func (m *FS) Lock(name string, shared bool) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.begin(OpLock, name, false); err != nil {
		return nil, err
	}
	l := m.locks[name]
	if l == nil {
		l = &lock{}
		m.locks[name] = l
	}
	if l.holders > 0 && !(l.shared && shared) {
		return nil, leasestore.ErrLocked
	}
	l.holders++
	l.shared = shared
	return &holder{m: m, l: l}, nil
}

type holder struct {
	m *FS
	l *lock
}

func (h *holder) Close() error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if h.l == nil {
		return fs.ErrClosed
	}
	h.l.holders--
	h.l = nil
	return nil
}

// Names returns the names of all files.
func (m *FS) Names() (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.files {
		names = append(names, name)
	}
	return names
}

// Bytes returns the content of a file without its allocated, unwritten end. It
// may be changed: that is damage, and durable.
func (m *FS) Bytes(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.files[name]; f != nil {
		return f.data
	}
	return nil
}

// Cutoff shortens a file to n bytes, durably.
func (m *FS) Cutoff(name string, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	apply(&f.data, &f.size, write{off: n})
	apply(&f.synced, &f.syncedSize, write{off: n})
}

// file is an open file.
type file struct {
	m      *FS
	name   string
	f      *node
	closed bool
}

func (o *file) ReadAt(b []byte, off int64) (int, error) {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	if _, err := o.m.begin(OpRead, o.name, false); err != nil {
		return 0, err
	}
	if off >= o.f.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), o.f.size-off))
	k := 0
	if off < int64(len(o.f.data)) {
		k = copy(b[:n], o.f.data[off:])
	}
	clear(b[k:n])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (o *file) WriteAt(b []byte, off int64) (int, error) {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	if o.closed {
		return 0, fs.ErrClosed
	}
	do, err := o.m.begin(OpWrite, o.name, true)
	n := len(b)
	if !do {
		if errors.Is(err, ErrPowerCut) || o.m.ro {
			return 0, err
		}
		n /= 2
	} else if more := off + int64(n) - int64(len(o.f.data)); o.m.limit > 0 && more > 0 {
		if free := o.m.limit - o.m.used(); more > free {
			n = int(max(0, int64(n)-more+max(free, 0)))
			err = &fs.PathError{Op: "write", Path: o.name, Err: syscall.ENOSPC}
		}
	}
	if n > 0 {
		o.f.change(write{off, append([]byte(nil), b[:n]...)})
	}
	return n, err
}

func (o *file) Close() error {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	if o.closed {
		return fs.ErrClosed
	}
	o.closed = true
	return nil
}

func (o *file) Size() (int64, error) {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	return o.f.size, nil
}

func (o *file) Truncate(size int64) error {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	do, err := o.m.begin(OpTruncate, o.name, true)
	if do {
		o.f.change(write{off: size})
	}
	return err
}

// allocated is how much of a reservation really shows, to keep files small.
const allocated = 8 << 10

func (o *file) Allocate(off, n int64) error {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	do, err := o.m.begin(OpAllocate, o.name, true)
	if do && err == nil && o.m.limit > 0 && o.m.used()+n > o.m.limit {
		return fmt.Errorf("allocate %s: %w", o.name, syscall.ENOSPC)
	}
	if size := off + min(n, allocated); do && size > o.f.size {
		o.f.change(write{off: size})
	}
	return err
}

func (o *file) Datasync() error {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	do, err := o.m.begin(OpDatasync, o.name, false)
	if do {
		for _, w := range o.f.pending {
			apply(&o.f.synced, &o.f.syncedSize, w)
		}
	}
	if !errors.Is(err, ErrPowerCut) {
		o.f.pending = nil // written, or lost for good
	}
	return err
}

var _ leasestore.FS = (*FS)(nil)
