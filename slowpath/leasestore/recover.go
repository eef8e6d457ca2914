package leasestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// recovered is what recoverDir found; it has changed nothing on disk.
type recovered struct {
	Recovery
	greatest       versions
	next           uint64 // number for the next segment
	prev           tailOf // what that one's header is to say
	tail           *tail  // what it is to begin with
	last           string // newest segment in use
	cutAt          int64  // where that one's good blocks end
	journalBytes   int64
	snapshotUnixNs int64
	dropped        []string // newest segments that were never put to use
	superfluous    []string // all files to remove, those included
}

// tail is the part of the newest segment that nothing attests.
type tail struct {
	name     string
	salt     uint64
	from, to int64
}

// maxTailCopy is how much unattested journal Open copies to the new segment.
// Group commit leaves one block; only SyncNone leaves more, and promised
// nothing.
const maxTailCopy = 64 << 20

// link is one segment of the chain, newest first.
type link struct {
	name string
	fileHeader
	limit   int64 // how long it is valid
	durable int64 // up to where it must be
}

func corrupt(name string, off int64, what string) error {
	return &CorruptError{File: name, Offset: off, What: what}
}

// loading is what recovery calls; see Options.
type loading struct {
	load     func(*lease.Lease4)
	load6    func(*lease6.Lease6)
	reserve  func(leases, leases6 int)
	parallel bool
}

// recoverDir reads the directory and hands over what it holds.
func recoverDir(fsys FS, dir string, to loading) (*recovered, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	d := &recovered{next: 1}
	var segments, snapshots []uint64
	for _, name := range names {
		if n, ok := parseName(name, segmentSuffix); ok {
			segments = append(segments, n)
			d.next = max(d.next, n+1)
		} else if n, ok := parseName(name, snapshotSuffix); ok {
			snapshots = append(snapshots, n)
			d.next = max(d.next, n+1)
		} else if strings.HasSuffix(name, snapshotSuffix+tempSuffix) {
			d.superfluous = append(d.superfluous, filepath.Join(dir, name))
		}
	}
	slices.Sort(segments)
	slices.Sort(snapshots)

	var snap *snapshotFile
	base := uint64(0)
	if n := len(snapshots); n > 0 {
		if snap, err = openSnapshot(fsys, snapshotName(dir, snapshots[n-1]), snapshots[n-1]); err != nil {
			return nil, err
		}
		defer snap.f.Close()
		base = snap.number
		d.Snapshot = snap.name
		d.greatest = snap.cut
		d.snapshotUnixNs = snap.createdUnixNs
		for _, old := range snapshots[:n-1] {
			d.superfluous = append(d.superfluous, snapshotName(dir, old))
		}
	}

	chain, err := d.findChain(fsys, dir, segments, base)
	if err != nil {
		return nil, err
	}
	if snap != nil && (len(segments) == 0 || segments[len(segments)-1] < base) {
		return nil, corrupt(segmentName(dir, base), 0, "segment is missing; snapshot "+filepath.Base(snap.name)+" needs it")
	}
	inChain := func(n uint64) bool {
		return slices.ContainsFunc(chain, func(l link) bool { return l.number == n })
	}
	for _, n := range segments {
		if !inChain(n) {
			d.superfluous = append(d.superfluous, segmentName(dir, n))
		}
	}

	ld := newLoaders(to, snap)
	err = d.replay(fsys, chain, ld)
	if err == nil && snap != nil {
		ld.snapshotPass(snap)
		var v versions
		if v, err = snap.read(ld.emit); err == nil {
			d.greatest.raise(v)
		}
	}
	n := ld.finish(err == nil)
	if err != nil {
		return nil, err
	}
	d.Leases, d.Leases6 = n[v4], n[v6]
	d.MaxVersion, d.MaxVersion6 = d.greatest[v4], d.greatest[v6]
	return d, nil
}

// findChain finds the newest segment in use and follows the headers back to
// base. It returns the newest first.
//
// A newest segment without a single good block was never put to use: nothing
// in it was acknowledged, and it may even be left over from an attempt to
// rotate that failed, after which the segment before it went on. So what it
// says about that one's length does not count, except that this much was
// durable.
func (d *recovered) findChain(fsys FS, dir string, segments []uint64, base uint64) (chain []link, err error) {
	attest := map[uint64]int64{}
	i := len(segments) - 1
	for ; i >= 0 && segments[i] >= base; i-- {
		name := segmentName(dir, segments[i])
		h, size, used, err := d.probe(fsys, name, segments[i])
		if err != nil {
			return nil, err
		}
		if used {
			chain = append(chain, link{name: name, fileHeader: h, limit: size, durable: attest[h.number]})
			break
		}
		if h.number != 0 && h.prev != 0 {
			attest[h.prev] = max(attest[h.prev], int64(h.prevDurable))
		}
		d.dropped = append(d.dropped, name)
	}
	for prev, durable := range attest {
		if prev < base {
			continue
		}
		name := segmentName(dir, prev)
		if _, ok := slices.BinarySearch(segments, prev); !ok {
			return nil, corrupt(name, 0, "segment is missing; a later one continues it")
		}
		if durable > fileHeaderLen && slices.Contains(d.dropped, name) {
			return nil, corrupt(name, fileHeaderLen, "no block starts here; a later segment says there is one")
		}
	}
	for len(chain) > 0 {
		l := chain[len(chain)-1]
		if l.prev < max(base, 1) {
			break
		}
		name := segmentName(dir, l.prev)
		if _, ok := slices.BinarySearch(segments, l.prev); !ok {
			return nil, corrupt(name, 0, "segment is missing; "+filepath.Base(l.name)+" continues it")
		}
		f, h, size, err := openSegment(fsys, name, l.prev)
		if err != nil {
			return nil, err
		}
		f.Close()
		if size < int64(l.prevDurable) {
			return nil, corrupt(name, size, fmt.Sprintf("file ends early; %s says it is valid up to %d", filepath.Base(l.name), l.prevLen))
		}
		chain = append(chain, link{name: name, fileHeader: h, limit: min(int64(l.prevLen), size), durable: int64(l.prevDurable)})
	}
	return chain, nil
}

// openSegment opens a segment whose header must be good.
func openSegment(fsys FS, name string, number uint64) (f File, h fileHeader, size int64, err error) {
	f, h, size, err = openFile(fsys, name, segmentMagic, number)
	return f, h, size, err
}

func openFile(fsys FS, name, magic string, number uint64) (f File, h fileHeader, size int64, err error) {
	if f, err = fsys.Open(name); err != nil {
		return nil, h, 0, err
	}
	opened := f
	defer func() {
		if err != nil {
			opened.Close()
		}
	}()
	if size, err = f.Size(); err != nil {
		return nil, h, 0, err
	}
	var b [fileHeaderLen]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, h, 0, fmt.Errorf("read %s: %w", name, err)
	}
	h, err = decodeFileHeader(b[:n], magic)
	if err == nil && h.number != number {
		err = errors.New("file is numbered otherwise than its name says")
	}
	if _, later := err.(formatError); later {
		return nil, h, 0, fmt.Errorf("read %s: %w", name, err)
	}
	if err != nil {
		return nil, h, size, corrupt(name, 0, err.Error())
	}
	return f, h, size, nil
}

// probe reports whether a segment that may be the newest holds a good block.
// One with a bad header and nothing behind it was being made when the power
// went: h.number is 0.
func (d *recovered) probe(fsys FS, name string, number uint64) (h fileHeader, size int64, used bool, err error) {
	f, h, size, err := openSegment(fsys, name, number)
	var c *CorruptError
	if errors.As(err, &c) {
		raw, oerr := fsys.Open(name)
		if oerr != nil {
			return h, 0, false, oerr
		}
		defer raw.Close()
		empty, zerr := zeroFrom(raw, fileHeaderLen, size)
		if zerr != nil {
			return h, 0, false, zerr
		}
		if !empty {
			return h, 0, false, err
		}
		return fileHeader{}, size, false, nil
	}
	if err != nil {
		return h, 0, false, err
	}
	defer f.Close()
	// One block is enough; limit is where it can end at most.
	sp, err := readBlocks(f, h.salt, fileHeaderLen, min(size, fileHeaderLen+blockHeaderLen+maxBlockBytes), (*chunk).release)
	if err != nil {
		return h, 0, false, fmt.Errorf("read %s: %w", name, err)
	}
	if sp.blocks > 0 || sp.ended {
		return h, size, true, nil
	}
	t, err := scanTail(f, h.salt, fileHeaderLen, size)
	if err != nil {
		return h, 0, false, fmt.Errorf("read %s: %w", name, err)
	}
	if t.attested > fileHeaderLen { // the first block was durable
		return h, 0, false, corrupt(name, sp.bad, sp.err.Error())
	}
	d.TornBytes += t.used - fileHeaderLen
	return h, size, false, nil
}

// replay reads the chain, oldest first.
func (d *recovered) replay(fsys FS, chain []link, ld *loaders) error {
	d.Segments = len(chain)
	for i := len(chain) - 1; i >= 0; i-- {
		if err := d.replayOne(fsys, chain[i], i == 0, ld); err != nil {
			return err
		}
	}
	return nil
}

func (d *recovered) replayOne(fsys FS, l link, last bool, ld *loaders) error {
	f, err := fsys.Open(l.name)
	if err != nil {
		return err
	}
	defer f.Close()
	sp, err := readBlocks(f, l.salt, fileHeaderLen, l.limit, ld.emit)
	if err != nil {
		return fmt.Errorf("read %s: %w", l.name, err)
	}
	attested := max(l.durable, sp.durable)
	var t tailScan
	if sp.err != nil {
		if last {
			if t, err = scanTail(f, l.salt, sp.end, l.limit); err != nil {
				return fmt.Errorf("read %s: %w", l.name, err)
			}
			attested = max(attested, t.attested)
			d.TornBytes += t.used - sp.end
		} else {
			d.TornBytes += l.limit - sp.end
		}
		if attested > sp.end {
			return corrupt(l.name, sp.bad, sp.err.Error())
		}
	}
	d.Records += sp.records
	d.greatest.raise(sp.greatest)
	d.journalBytes += sp.end - fileHeaderLen
	if !last {
		return nil
	}
	d.last, d.cutAt = l.name, sp.end
	d.prev = tailOf{number: l.number, len: sp.end, durable: sp.end}
	if attested = max(attested, fileHeaderLen); attested < sp.end {
		d.tail = &tail{name: l.name, salt: l.salt, from: attested, to: sp.end}
		d.prev.durable = attested
		if sp.end-attested <= maxTailCopy {
			d.prev.len = attested
		}
	}
	return nil
}

// rewriteTail copies what was read of the last segment, but perhaps never
// reached the disk, to the new one.
func (s *Store) rewriteTail(t *tail) error {
	if t == nil || t.to-t.from > maxTailCopy {
		return nil
	}
	f, err := s.fs.Open(t.name)
	if err != nil {
		return err
	}
	defer f.Close()
	var werr error
	sp, err := readBlocks(f, t.salt, t.from, t.to, func(c *chunk) {
		defer c.release()
		for _, p := range c.payloads {
			if werr != nil {
				return
			}
			s.batch.reset()
			s.batch.buf = append(s.batch.buf, p...)
			for q := 0; q < len(p); q += recLen(p[q:]) {
				s.batch.records++
			}
			werr = s.writeBlock(kindData)
			s.stats.journalBytes.Add(int64(len(s.batch.buf)))
		}
	})
	s.batch.reset()
	if err == nil {
		err = sp.err
	}
	if err == nil {
		err = werr
	}
	if err == nil && s.seg.synced < s.seg.off {
		if err = s.seg.f.Datasync(); err == nil {
			s.seg.synced = s.seg.off
		}
	}
	if err != nil {
		return fmt.Errorf("copy the end of %s: %w", t.name, err)
	}
	return nil
}

// trim cuts a torn tail and gives back reserved space. The new segment's header
// says how long the file is, so a failure costs nothing but the space.
func (s *Store) trim(name string, size int64) {
	if err := s.fs.Truncate(name, size); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.o.Event(Event{Kind: "cleanup-failed", Text: "cut " + name, Err: err})
	}
}

func lockPath(dir string) string { return filepath.Join(dir, lockName) }

// loaderCount is how many goroutines index and load.
func loaderCount(parallel bool) int {
	if !parallel {
		return 1
	}
	return max(1, min(runtime.GOMAXPROCS(0), 8))
}
