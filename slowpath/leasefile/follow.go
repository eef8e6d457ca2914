package leasefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

const (
	writeBytes = 256 << 10 // a write is about so long at most
	// rewriteRows is how many leases a rewrite takes between looks at the queue.
	rewriteRows = 1024
	guessedRow  = 100 // bytes
	eventEvery  = time.Minute
)

// mirrorFile is an open file that ends with a line end at size.
type mirrorFile struct {
	name string
	f    file
	size int64
}

// append writes whole lines at the end. After an error the file ends where it
// did, if that is possible, so that a reader sees no half line.
func (w *mirrorFile) append(lines []byte) error {
	n, err := w.f.WriteAt(lines, w.size)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, w.f.Truncate(w.size))
		}
		return err
	}
	w.size += int64(n)
	return nil
}

// room fails if the disk has not so many bytes and the reserve.
func (m *Mirror) room(need int) error {
	if free, ok := m.fs.free(m.path); ok && free < m.o.ReserveBytes+uint64(need) {
		return fmt.Errorf("%s: the file system has %d bytes free, of which %d are reserved, but %d are needed", m.path, free, m.o.ReserveBytes, need)
	}
	return nil
}

var errDisturbed = errors.New("the file was replaced or changed by another program")

// mine reports whether the file at its path is still the one that is written.
func (w *mirrorFile) mine(sys fileSystem, path string) error {
	at, err := sys.stat(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return errDisturbed
		}
		return err
	}
	is, err := w.f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(at, is) || is.Size() != w.size {
		return errDisturbed
	}
	return nil
}

// turn appends what is queued, and rewrites the file if that is due.
func (m *Mirror) turn() {
	m.drain(nil)
	if !m.began {
		m.began = true
		if m.resume() {
			return
		}
	}
	now := m.now()
	if now.Before(m.notBefore) {
		return
	}
	m.cleanup = !m.behind && m.cleanupDue(now)
	if !m.behind && !m.cleanup {
		return
	}
	if m.cleanup {
		m.event(EventCleanup, m.path, nil)
	}
	m.rewrite()
	m.cleanup = false
}

func (m *Mirror) cleanupDue(now time.Time) bool {
	if m.wanted.Swap(false) {
		return m.file != nil
	}
	if m.file == nil || m.file.size == m.base {
		return false
	}
	if m.o.CleanupEvery > 0 && now.Sub(m.rewritten) >= m.o.CleanupEvery {
		return true
	}
	return m.file.size-m.base >= cleanupBytes && m.file.size >= int64(m.o.CleanupFactor)*m.base
}

// finish is the last turn.
func (m *Mirror) finish() error {
	m.drain(nil)
	var err error
	if m.behind {
		err = m.rewrite()
		m.drain(nil)
	}
	if m.file != nil {
		err = errors.Join(err, m.file.f.Close())
		m.file = nil
	}
	if err == nil && m.behind {
		err = errNotComplete
	}
	return err
}

// drain appends what is queued to the file, and to next, which a rewrite is
// making, if it is not nil. It returns the error of writing next.
func (m *Mirror) drain(next *mirrorFile) error {
	var nextErr error
	flush := func() {
		if next != nil && nextErr == nil && len(m.out) > 0 {
			nextErr = next.append(m.out)
		}
		m.flush()
	}
	lost := uint64(0)
	for i := range m.queue.parts {
		lost += m.queue.take(i, func(rec []byte) {
			out, left := m.table.appendQueued(m.out, rec)
			if left {
				m.stats.left.Add(1)
			}
			m.out = out
			m.outRows++
			if len(m.out) >= writeBytes {
				flush()
			}
		})
	}
	flush()
	if lost > 0 {
		m.stats.lost.Add(lost)
		if !m.behind && m.seldom(&m.overrunAt) {
			m.event("mirror-overrun", fmt.Sprintf("%d lease changes did not fit into the queue of the lease file mirror %s; it will be written anew", lost, m.path), nil)
		}
		m.setBehind(nil)
	}
	return nextErr
}

// flush appends m.out to the file and empties it.
func (m *Mirror) flush() {
	out, rows := m.out, m.outRows
	m.out, m.outRows = m.out[:0], 0
	if len(out) == 0 || m.file == nil {
		return
	}
	err := m.file.mine(m.fs, m.path)
	if err == nil {
		err = m.room(len(out))
	}
	if err == nil {
		err = m.file.append(out)
	}
	if err != nil {
		m.file.f.Close()
		m.file = nil
		m.stats.errors.Add(1)
		if errors.Is(err, errDisturbed) {
			if m.seldom(&m.disturbedAt) {
				m.event("mirror-disturbed", fmt.Sprintf("the lease file mirror %s was replaced or changed by another program; it will be written anew", m.path), nil)
			}
		} else {
			m.notBefore = m.now().Add(m.o.RetryEvery)
			m.fail(err)
		}
		m.setBehind(err)
		return
	}
	m.stats.rows.Add(rows)
	m.stats.bytes.Add(uint64(len(out)))
	m.stats.batches.Add(1)
	m.stats.fileBytes.Store(m.file.size)
}

func (m *Mirror) setBehind(err error) {
	m.behind = true
	if err != nil {
		text := err.Error()
		m.stats.err.Store(&text)
	} else {
		m.stats.err.Store(nil)
	}
	m.stats.behind.Store(true)
}

// seldom lets an event through that may come again and again.
func (m *Mirror) seldom(last *time.Time) bool {
	now := m.now()
	if now.Sub(*last) < eventEvery {
		return false
	}
	*last = now
	return true
}

func (m *Mirror) fail(err error) {
	if !m.failed {
		m.failed = true
		m.event("mirror-failed", fmt.Sprintf("cannot write the lease file mirror %s; service goes on, and it is tried again every %v", m.path, m.o.RetryEvery), err)
	}
}

// rewrite writes all leases to a new file and renames it over the old one.
//
// What changes meanwhile is appended to both, between the leases. That keeps the
// last row of an address its lease: a lease is read from the table after all
// changes that were appended before it, and changes that are appended after it
// are as new or end with one that is.
func (m *Mirror) rewrite() error {
	began := m.now()
	wasBehind := m.behind
	// What is lost from here on makes it behind again; what was lost before, the
	// table shows.
	m.behind = false
	next, err := m.writeNext()
	if err == nil {
		err = m.exchange(next)
	}
	ended := m.now()
	if err != nil {
		if next != nil {
			next.f.Close()
			m.fs.remove(next.name)
		}
		m.stats.errors.Add(1)
		m.notBefore = ended.Add(m.o.RetryEvery)
		m.fail(err)
		if wasBehind || m.behind {
			m.setBehind(err)
		}
		return fmt.Errorf("mirror leases: %w", err)
	}
	// A queue that overruns again and again must not keep a processor busy.
	m.notBefore = ended.Add(4 * ended.Sub(began))
	m.rewritten = ended
	m.stats.rewrites.Add(1)
	m.stats.lastRewrite.Store(ended.UnixNano())
	m.stats.fileBytes.Store(next.size)
	m.stats.behind.Store(m.behind)
	if m.failed {
		m.failed = false
		m.event("mirror-resumed", fmt.Sprintf("the lease file mirror %s is written again", m.path), nil)
	}
	return nil
}

// writeNext makes the new file. The result is not nil if there is something to
// close and remove.
func (m *Mirror) writeNext() (*mirrorFile, error) {
	if err := m.room(m.table.len() * guessedRow); err != nil {
		return nil, err
	}
	f, err := m.fs.create(m.path+suffixOutput, mirrorMode)
	if err != nil {
		return nil, err
	}
	next := &mirrorFile{name: m.path + suffixOutput, f: f}
	if old, err := m.fs.stat(m.path); err == nil {
		// Who may read the old one may read the new one. Giving it away needs
		// privileges; without, it is the user's.
		if err := f.Chmod(old.Mode().Perm()); err != nil {
			return next, err
		}
		if uid, gid, ok := owner(old); ok {
			_ = f.Chown(uid, gid)
		}
	}
	if err := next.append(m.table.appendHeader(nil)); err != nil {
		return next, err
	}
	many := m.table.order()
	rows := make([]byte, 0, rewriteRows*guessedRow)
	for k := 0; k < many; {
		began := m.now()
		for end := min(k+rewriteRows, many); k < end; k++ {
			out, left := m.table.appendRow(rows, k)
			if left {
				m.stats.left.Add(1)
			}
			rows = out
		}
		if err := m.room(len(rows)); err != nil {
			return next, err
		}
		if err := next.append(rows); err != nil {
			return next, err
		}
		rows = rows[:0]
		if err := m.drain(next); err != nil {
			return next, err
		}
		if k < many {
			// Half of the time is for others.
			m.pause(m.now().Sub(began))
		}
	}
	return next, m.drain(next)
}

// exchange makes next the file.
func (m *Mirror) exchange(next *mirrorFile) error {
	if err := m.unlinkPrevious(); err != nil {
		return err
	}
	if err := m.fs.rename(next.name, m.path); err != nil {
		return err
	}
	if m.file != nil {
		m.file.f.Close()
	}
	next.name = m.path
	m.file, m.base = next, next.size
	// Stork opens the new file when it gets its name and reads it when it is
	// written to: this changes nothing, but counts as that.
	_ = next.f.Truncate(next.size)
	if m.cleanup {
		m.linkPrevious()
	}
	return nil
}

// unlinkPrevious takes the name .2 away before the file is another one: Kea would
// find leases there that have ended since. What is not ours stays.
func (m *Mirror) unlinkPrevious() error {
	if m.previous == nil {
		return nil
	}
	name := m.path + suffixPrevious
	at, err := m.fs.stat(name)
	if err == nil && os.SameFile(at, m.previous) {
		err = m.fs.remove(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.previous = nil
	return nil
}

// linkPrevious gives the file its second name. Not all file systems can: then there
// is none, and nothing is missing in the file.
func (m *Mirror) linkPrevious() {
	if m.fs.link(m.path, m.path+suffixPrevious) != nil {
		return
	}
	if at, err := m.fs.stat(m.path + suffixPrevious); err == nil {
		m.previous = at
	}
}
