package leasestore

import (
	"hash/maphash"
	"sync"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// loaders bring records to Options.Load: each owns the addresses of one hash
// class and sees all chunks. First comes the journal, of which they keep the
// latest record of each address; then the snapshot, which is loaded as it is
// read unless the journal is later; then what is left of the journal. So memory
// is bounded by the addresses in the journal, not by the table.
type loaders struct {
	all    []*loader
	wg     sync.WaitGroup
	to     loading
	hasCut bool
	cut    versions
	seed   maphash.Seed
}

type loader struct {
	ld       *loaders
	class    uint64
	in       chan *chunk // nil chunk: the snapshot follows
	snapshot bool
	index    latest
	index6   latest
	leases   [families]int
	l        lease.Lease4
	l6       lease6.Lease6
}

// averageRecord is a record's size, for the estimate of how many leases a snapshot
// has that does not say.
const averageRecord = 96

func newLoaders(to loading, snap *snapshotFile) *loaders {
	ld := &loaders{to: to, seed: maphash.MakeSeed()}
	if ld.to.load == nil {
		ld.to.load = func(*lease.Lease4) {}
	}
	if ld.to.load6 == nil {
		ld.to.load6 = func(*lease6.Lease6) {}
	}
	if ld.to.reserve == nil {
		ld.to.reserve = func(int, int) {}
	}
	if snap != nil {
		ld.hasCut, ld.cut = true, snap.cut
	}
	for i := range loaderCount(to.parallel) {
		ld.all = append(ld.all, &loader{ld: ld, class: uint64(i), in: make(chan *chunk, 2)})
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

// snapshotPass says that the chunks that follow are those of snap.
func (ld *loaders) snapshotPass(snap *snapshotFile) {
	var n [families]int
	for f := range n {
		n[f] = int(min(int64(snap.leases[f]), snap.size/recFixed)) // the header is believed as far as the file can bear it out
	}
	if n == [families]int{} { // format 1
		n[v4] = int(snap.size / averageRecord)
	}
	ld.to.reserve(n[v4], n[v6])
	for _, l := range ld.all {
		l.in <- nil
	}
}

// finish ends the loaders and returns how many leases there are.
func (ld *loaders) finish(ok bool) (leases [families]int) {
	for _, l := range ld.all {
		close(l.in)
	}
	ld.wg.Wait()
	if !ok {
		return leases
	}
	if !ld.hasCut { // no snapshot: all there is is in the indexes
		n, n6 := 0, 0
		for _, l := range ld.all {
			n += l.index.n
			n6 += l.index6.n
		}
		ld.to.reserve(n, n6)
	}
	for _, l := range ld.all {
		ld.wg.Go(l.loadJournal)
	}
	ld.wg.Wait()
	for _, l := range ld.all {
		for f := range leases {
			leases[f] += l.leases[f]
		}
	}
	return leases
}

func (l *loader) run() {
	for c := range l.in {
		if c == nil {
			l.snapshot = true
			continue
		}
		for _, p := range c.payloads {
			for len(p) > 0 {
				k := recLen(p)
				l.take(p[:k])
				p = p[k:]
			}
		}
		c.release()
	}
}

// take looks at a record, which may be another loader's.
func (l *loader) take(rec []byte) {
	n := uint64(len(l.ld.all))
	f := recFamily(rec)
	x := &l.index
	var h uint64
	if f == v6 {
		x = &l.index6
		h = maphash.Bytes(l.ld.seed, rec[28:44])
	} else {
		h = uint64(recAddr(rec)) * 0x9E3779B97F4A7C15
	}
	if n > 1 && (h>>32*n)>>32 != l.class {
		return
	}
	switch {
	case !l.snapshot:
		if !l.ld.hasCut || recVersion(rec) > l.ld.cut[f] { // else the snapshot has it, or what came after it
			x.put(rec, uint32(h>>24))
		}
	case recOp(rec) == lease.OpPut && !x.supersedes(rec, uint32(h>>24)):
		l.give(rec, f)
	}
}

func (l *loader) give(rec []byte, f int) {
	l.leases[f]++
	if f == v6 {
		loadRecord6(rec, &l.l6)
		l.ld.to.load6(&l.l6)
		return
	}
	loadRecord(rec, &l.l)
	l.ld.to.load(&l.l)
}

func (l *loader) loadJournal() {
	l.index.each(func(rec []byte) { l.give(rec, v4) })
	l.index6.each(func(rec []byte) { l.give(rec, v6) })
}
