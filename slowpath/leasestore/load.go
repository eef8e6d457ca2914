package leasestore

import (
	"sync"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// loaders bring records to Options.Load: each owns the addresses of one hash
// class and sees all chunks. First comes the journal, of which they keep the
// latest record of each address; then the snapshot, which is loaded as it is
// read unless the journal is later; then what is left of the journal. So memory
// is bounded by the addresses in the journal, not by the table.
type loaders struct {
	all        []*loader
	wg         sync.WaitGroup
	load       func(*lease.Lease4)
	hasCut     bool
	cutVersion uint64
}

type loader struct {
	ld       *loaders
	class    uint32
	in       chan *chunk // nil chunk: the snapshot follows
	snapshot bool
	index    map[uint32]entry
	slabs    [][]byte
	leases   int
	l        lease.Lease4
}

// entry is the latest journal record of an address.
type entry struct {
	version uint64
	slab    int32
	off     int32
	room    uint16 // bytes at off
	gone    bool   // deleted, or the snapshot has a later one
}

const slabBytes = 1 << 20

func newLoaders(load func(*lease.Lease4), parallel, hasCut bool, cutVersion uint64) *loaders {
	if load == nil {
		load = func(*lease.Lease4) {}
	}
	ld := &loaders{load: load, hasCut: hasCut, cutVersion: cutVersion}
	for i := range loaderCount(parallel) {
		l := &loader{ld: ld, class: uint32(i), in: make(chan *chunk, 2), index: map[uint32]entry{}}
		ld.all = append(ld.all, l)
	}
	for _, l := range ld.all {
		ld.wg.Go(l.run)
	}
	return ld
}

// emit gives a chunk, with its one reference, to all loaders.
func (ld *loaders) emit(c *chunk) {
	c.refs.Store(int32(len(ld.all)))
	for _, l := range ld.all {
		l.in <- c
	}
}

// snapshotPass says that the chunks that follow are the snapshot's.
func (ld *loaders) snapshotPass() {
	for _, l := range ld.all {
		l.in <- nil
	}
}

// finish ends the loaders and returns how many leases there are.
func (ld *loaders) finish(ok bool) (leases int) {
	for _, l := range ld.all {
		close(l.in)
	}
	ld.wg.Wait()
	if !ok {
		return 0
	}
	for _, l := range ld.all {
		ld.wg.Go(l.loadJournal)
	}
	ld.wg.Wait()
	for _, l := range ld.all {
		leases += l.leases
	}
	return leases
}

func (l *loader) run() {
	n := uint32(len(l.ld.all))
	for c := range l.in {
		if c == nil {
			l.snapshot = true
			continue
		}
		for _, p := range c.payloads {
			for len(p) > 0 {
				k := recLen(p)
				rec := p[:k]
				p = p[k:]
				addr := recAddr(rec)
				if addr*0x9E3779B1>>16%n != l.class {
					continue
				}
				if l.snapshot {
					l.takeSnapshot(addr, rec)
				} else {
					l.takeJournal(addr, rec)
				}
			}
		}
		c.release()
	}
}

func (l *loader) takeJournal(addr uint32, rec []byte) {
	v := recVersion(rec)
	if l.ld.hasCut && v <= l.ld.cutVersion {
		return // the snapshot has it, or what came after it
	}
	e, known := l.index[addr]
	if known && e.version >= v {
		return
	}
	e.version = v
	e.gone = recOp(rec) == lease.OpDelete
	if !e.gone {
		if int(e.room) < len(rec) {
			last := len(l.slabs) - 1
			if last < 0 || cap(l.slabs[last])-len(l.slabs[last]) < len(rec) {
				l.slabs = append(l.slabs, make([]byte, 0, slabBytes))
				last++
			}
			e.slab, e.off, e.room = int32(last), int32(len(l.slabs[last])), uint16(len(rec))
			l.slabs[last] = append(l.slabs[last], rec...)
		} else {
			copy(l.slabs[e.slab][e.off:], rec)
		}
	}
	l.index[addr] = e
}

func (l *loader) takeSnapshot(addr uint32, rec []byte) {
	if recOp(rec) != lease.OpPut {
		return
	}
	if len(l.index) > 0 {
		if e, ok := l.index[addr]; ok {
			if e.version >= recVersion(rec) {
				return
			}
			e.gone = true
			l.index[addr] = e
		}
	}
	l.give(rec)
}

func (l *loader) give(rec []byte) {
	loadRecord(rec, &l.l)
	l.ld.load(&l.l)
	l.leases++
}

func (l *loader) loadJournal() {
	for _, e := range l.index {
		if !e.gone {
			l.give(l.slabs[e.slab][e.off:])
		}
	}
}
