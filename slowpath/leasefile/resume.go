package leasefile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// resumeBytes is the longest file that a start reads to go on behind it. A longer
// one is written anew, which takes no more time and no memory for its rows.
const resumeBytes = 32 << 20

// fileRow is the last row of an address.
type fileRow struct {
	off, end int // in the file, with the line end
	live     bool
	clttS    int64
}

// errAnew: the file is not one to go on behind.
var errAnew = errors.New("written anew")

// resume goes on behind the rows that the file has, as Kea does at a start: it
// appends what the table says otherwise, so that the last row of each address is
// its lease. It reports whether it could: if not, because there is no file or none
// of ours, because it is long, or because Stork would pass over the rows that it
// lacks, a rewrite is due.
//
// What changes meanwhile is as it is in a rewrite: a lease is read from the table
// after all changes that were appended before its row.
func (m *Mirror) resume() bool {
	f, size, err := m.openOld()
	if err != nil {
		return false
	}
	m.behind = false
	m.file = f
	if err = m.append(size); err == nil && m.file != nil && !m.behind {
		now := m.now()
		m.rewritten = now
		m.stats.fileBytes.Store(m.file.size)
		m.stats.behind.Store(false)
		return true
	}
	if m.file != nil {
		m.file.f.Close()
		m.file = nil
	}
	m.out, m.outRows = m.out[:0], 0
	m.behind = true
	return false
}

// openOld opens the file if its length is one to go on behind.
func (m *Mirror) openOld() (*mirrorFile, int, error) {
	at, err := m.fs.stat(m.path)
	if err != nil {
		return nil, 0, err
	}
	if !at.Mode().IsRegular() || at.Size() == 0 || at.Size() > resumeBytes {
		return nil, 0, errAnew
	}
	f, err := m.fs.open(m.path)
	if err != nil {
		return nil, 0, err
	}
	w := &mirrorFile{name: m.path, f: f, size: at.Size()}
	if err := w.mine(m.fs, m.path); err != nil {
		f.Close()
		return nil, 0, err
	}
	return w, int(at.Size()), nil
}

// append brings the file, which is open, up to the table.
func (m *Mirror) append(size int) error {
	text := make([]byte, size)
	if n, err := m.file.f.ReadAt(text, 0); n < size {
		return fmt.Errorf("read %s: %w", m.path, err)
	}
	rows, newest, err := m.lastRows(text)
	if err != nil {
		return err
	}
	m.base = int64(len(m.table.appendHeader(nil)))
	for many, k := m.table.order(), 0; k < many; {
		began := m.now()
		for end := min(k+rewriteRows, many); k < end; k++ {
			at := len(m.out)
			out, left := m.table.appendRow(m.out, k)
			row := out[at:]
			if left {
				m.stats.left.Add(1)
			}
			if len(row) == 0 {
				continue // no lease any more: its row is looked at below
			}
			m.base += int64(len(row))
			addr := m.table.key(k)
			old, is := rows[addr]
			delete(rows, addr)
			if is && bytes.Equal(text[old.off:old.end], row) {
				continue // m.out is as it was
			}
			if r, ok := m.readRow(row); !ok || r.clttS < newest {
				return errAnew
			}
			m.out = out
			m.outRows++
		}
		m.flush()
		if err := m.drain(nil); err != nil || m.file == nil || m.behind {
			return errors.Join(err, errAnew)
		}
		if k < many {
			m.pause(m.now().Sub(began))
		}
	}
	return m.appendDeletions(text, rows)
}

// appendDeletions ends the leases that the file has and the table has not.
func (m *Mirror) appendDeletions(text []byte, rows map[netip.Addr]fileRow) error {
	gone := make([]netip.Addr, 0, len(rows))
	for a, r := range rows {
		if r.live && !m.table.has(a) { // has: since then, and its row is queued
			gone = append(gone, a)
		}
	}
	slices.SortFunc(gone, func(a, b netip.Addr) int { return cmp.Compare(rows[a].off, rows[b].off) })
	for _, a := range gone {
		r := rows[a]
		m.out = m.appendDeletion(m.out, text[r.off:r.end], r.clttS)
		m.outRows++
		if len(m.out) >= writeBytes {
			m.flush()
		}
	}
	m.flush()
	return nil
}

// lastRows finds the last row of each address, and the time of the latest
// transaction. It refuses a file of other columns, one whose last line was cut, and
// one with rows that it does not understand.
func (m *Mirror) lastRows(text []byte) (rows map[netip.Addr]fileRow, newestS int64, err error) {
	header := m.table.appendHeader(nil)
	if !bytes.HasPrefix(text, header) || text[len(text)-1] != '\n' {
		return nil, 0, errAnew
	}
	rows = make(map[netip.Addr]fileRow, min(m.table.len(), len(text)/guessedRow+1))
	for off := len(header); off < len(text); {
		end := off + bytes.IndexByte(text[off:], '\n') + 1
		line := text[off:end]
		r, ok := m.readRow(line)
		addr, aerr := netip.ParseAddr(string(line[:max(bytes.IndexByte(line, ','), 0)]))
		if !ok || aerr != nil {
			return nil, 0, errAnew
		}
		r.off, r.end = off, end
		rows[addr] = r
		newestS = max(newestS, r.clttS)
		off = end
	}
	return rows, newestS, nil
}

// readRow reads of a row what matters here.
func (m *Mirror) readRow(line []byte) (r fileRow, ok bool) {
	validAt, expireAt, end, ok := m.lifetimeColumns(line)
	if !ok {
		return r, false
	}
	valid, ok1 := parseUint(line[validAt:expireAt-1], 1<<32-1)
	expire, ok2 := parseUint(line[expireAt:end], 1<<62)
	return fileRow{live: valid != 0, clttS: int64(expire) - int64(valid)}, ok1 && ok2
}

// lifetimeColumns says where a line has its valid lifetime and, behind it, the time
// at which that ends.
func (m *Mirror) lifetimeColumns(line []byte) (validAt, expireAt, end int, ok bool) {
	at := 0
	next := func() {
		i := bytes.IndexByte(line[at:], ',')
		ok = i >= 0
		at += i + 1
	}
	for range m.table.columnsBeforeValid() {
		if next(); !ok {
			return 0, 0, 0, false
		}
	}
	validAt = at
	if next(); !ok {
		return 0, 0, 0, false
	}
	expireAt = at
	next()
	return validAt, expireAt, at - 1, ok
}

// appendDeletion appends the row that ends the lease of another row.
func (m *Mirror) appendDeletion(dst, row []byte, clttS int64) []byte {
	validAt, _, end, _ := m.lifetimeColumns(row)
	dst = append(append(dst, row[:validAt]...), '0', ',')
	dst = strconv.AppendInt(dst, max(clttS, 0), 10)
	return append(dst, row[end:]...)
}
