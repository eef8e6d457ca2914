// Package hoststore keeps host reservations that are made by command: a log of
// checksummed records in the lease directory, rewritten when most of it is
// history. A change is on stable storage when the call returns. Reservations are
// text here; what they mean is their reader's matter.
//
// There is one file, NUMBER.hosts. Only its last record can be incomplete, since
// each is synced before the next is written: such a tail is cut. Anything else
// that does not check refuses to open, with file and offset. A rewrite is a new
// file with the next number, complete before it gets its name.
package hoststore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// MaxText is the longest text of a reservation.
const MaxText = 64 << 10

const (
	suffix    = ".hosts"
	newSuffix = ".hosts-new"

	magic      = 0x54534F48 // "HOST"
	headerSize = 4 + 4 + 1 + 8 + 4

	opPut    = 1
	opDelete = 2

	// minRewrite is the history in bytes below which a log is not rewritten.
	minRewrite = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrNotFound: there is no reservation of that number.
var ErrNotFound = errors.New("no such host in the store")

// Options of Open.
type Options struct {
	// Dir is the directory, which the caller has locked.
	Dir string
	// FS is nil for the operating system's.
	FS leasestore.FS
}

// Store is an open store. Methods may be called from any goroutine; changes run
// one at a time.
type Store struct {
	o Options
	// TornBytes is how much of an incomplete last record was cut by Open.
	TornBytes int64

	mu struct {
		sync.Mutex
		texts  map[uint64]string
		next   uint64 // number of the next new reservation
		file   leasestore.File
		number uint64 // of the file
		size   int64
		live   int64 // bytes of records that count
		failed bool  // what the file holds after a failed write is not known
	}
}

// Open reads the store of a directory; there is nothing on disk before the first
// change.
func Open(o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = leasestore.OSFS()
	}
	s := &Store{o: o}
	m := &s.mu
	m.texts, m.next = map[uint64]string{}, 1
	names, err := o.FS.List(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open host store: %w", err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, newSuffix) {
			if err := o.FS.Remove(filepath.Join(o.Dir, n)); err != nil {
				return nil, fmt.Errorf("open host store: %w", err)
			}
		}
	}
	numbers := numbersOf(names)
	if len(numbers) == 0 {
		return s, nil
	}
	last := numbers[len(numbers)-1]
	if err := s.load(s.name(last, suffix)); err != nil {
		return nil, err
	}
	m.number = last
	m.failed = true // written into only after a rewrite: the tail may be torn
	return s, nil
}

// Owns reports whether a file of that name in a store's directory is the store's.
// Nobody else may write it.
func Owns(name string) bool {
	return strings.HasSuffix(name, suffix) || strings.HasSuffix(name, newSuffix)
}

func numbersOf(names []string) (l []uint64) {
	for _, n := range names {
		if text, ok := strings.CutSuffix(n, suffix); ok {
			if i, err := strconv.ParseUint(text, 10, 64); err == nil {
				l = append(l, i)
			}
		}
	}
	slices.Sort(l)
	return l
}

func (s *Store) name(number uint64, suffix string) string {
	return filepath.Join(s.o.Dir, fmt.Sprintf("%08d%s", number, suffix))
}

func (s *Store) load(name string) error {
	f, err := s.o.FS.Open(name)
	if err != nil {
		return fmt.Errorf("open host store: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("open host store: %w", err)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for off := 0; off < len(b); {
		op, id, text, n := decode(b[off:])
		if n == 0 {
			if len(b)-off > headerSize+MaxText || followed(b[off+1:]) {
				return fmt.Errorf("read %s: the record at offset %d is damaged", name, off)
			}
			s.TornBytes = int64(len(b) - off)
			break
		}
		off += n
		s.mu.next = max(s.mu.next, id+1)
		if op == opPut {
			s.mu.texts[id] = string(text)
		} else {
			delete(s.mu.texts, id)
		}
	}
	for _, t := range s.mu.texts {
		s.mu.live += int64(headerSize + len(t))
	}
	return nil
}

// followed says whether there is a whole record anywhere in b.
func followed(b []byte) bool {
	for i := range b {
		if _, _, _, n := decode(b[i:]); n > 0 {
			return true
		}
	}
	return false
}

// decode reads the record at the beginning of b; n is 0 if there is none.
func decode(b []byte) (op byte, id uint64, text []byte, n int) {
	if len(b) < headerSize || binary.LittleEndian.Uint32(b) != magic {
		return 0, 0, nil, 0
	}
	size := binary.LittleEndian.Uint32(b[17:])
	op = b[8]
	if size > MaxText || headerSize+int(size) > len(b) || op != opPut && op != opDelete {
		return 0, 0, nil, 0
	}
	n = headerSize + int(size)
	if crc32.Checksum(b[8:n], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, 0, nil, 0
	}
	return op, binary.LittleEndian.Uint64(b[9:]), b[headerSize:n], n
}

func encode(b []byte, op byte, id uint64, text string) []byte {
	from := len(b)
	b = binary.LittleEndian.AppendUint32(b, magic)
	b = append(b, 0, 0, 0, 0, op)
	b = binary.LittleEndian.AppendUint64(b, id)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	b = append(b, text...)
	binary.LittleEndian.PutUint32(b[from+4:], crc32.Checksum(b[from+8:], castagnoli))
	return b
}

// Len is the number of reservations.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.texts)
}

// Each calls f for every reservation by ascending number.
func (s *Store) Each(f func(id uint64, text string)) {
	s.mu.Lock()
	ids := make([]uint64, 0, len(s.mu.texts))
	for id := range s.mu.texts {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	slices.Sort(ids)
	for _, id := range ids {
		if text, ok := s.Text(id); ok {
			f(id, text)
		}
	}
}

// Text is the reservation of that number.
func (s *Store) Text(id uint64) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.mu.texts[id]
	return text, ok
}

// Add adds a reservation and returns its number, which no other has had.
func (s *Store) Add(text string) (id uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id = s.mu.next
	return id, s.change(opPut, id, text)
}

// Put replaces a reservation.
func (s *Store) Put(id uint64, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.mu.texts[id]; !ok {
		return ErrNotFound
	}
	return s.change(opPut, id, text)
}

// Delete removes a reservation.
func (s *Store) Delete(id uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.mu.texts[id]; !ok {
		return ErrNotFound
	}
	return s.change(opDelete, id, "")
}

// change writes one record and makes it durable. After an error the reservation
// is as before here; on disk it may be either until the next change succeeds,
// which writes everything anew.
func (s *Store) change(op byte, id uint64, text string) error {
	m := &s.mu
	if len(text) > MaxText {
		return fmt.Errorf("store host: it has %d octets, more than %d", len(text), MaxText)
	}
	if m.file == nil || m.failed || m.size > minRewrite && m.size > 4*m.live {
		if err := s.rewrite(); err != nil {
			m.failed = true
			return fmt.Errorf("store host: %w", err)
		}
	}
	rec := encode(nil, op, id, text)
	_, err := m.file.WriteAt(rec, m.size)
	if err == nil {
		err = m.file.Datasync()
	}
	if err != nil {
		m.failed = true
		return fmt.Errorf("store host: %w", err)
	}
	m.size += int64(len(rec))
	if old, ok := m.texts[id]; ok {
		m.live -= int64(headerSize + len(old))
	}
	m.next = max(m.next, id+1)
	if op == opPut {
		m.texts[id] = text
		m.live += int64(len(rec))
	} else {
		delete(m.texts, id)
	}
	return nil
}

// rewrite writes all reservations into a new file, which takes over when it is
// complete.
func (s *Store) rewrite() error {
	m := &s.mu
	var b []byte
	ids := make([]uint64, 0, len(m.texts))
	for id := range m.texts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		b = encode(b, opPut, id, m.texts[id])
	}
	// The greatest number ever given must not be given again.
	if len(ids) == 0 || ids[len(ids)-1] != m.next-1 {
		b = encode(b, opDelete, m.next-1, "")
	}
	number := m.number + 1
	tmp, name := s.name(number, newSuffix), s.name(number, suffix)
	fs := s.o.FS
	_ = fs.Remove(tmp) // of an earlier attempt, if there was one
	f, err := fs.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Datasync()
	}
	if err == nil {
		err = fs.Rename(tmp, name)
	}
	if err == nil {
		err = fs.SyncDir(s.o.Dir)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if m.file != nil {
		_ = m.file.Close() // it has been given up
	}
	old := m.number
	m.file, m.number, m.size, m.failed = f, number, int64(len(b)), false
	if old > 0 {
		_ = fs.Remove(s.name(old, suffix)) // the next Open takes the greatest number; a leftover costs space
	}
	return nil
}

// Close ends the store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.file == nil {
		return nil
	}
	err := s.mu.file.Close()
	s.mu.file = nil
	return err
}
