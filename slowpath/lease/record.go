package lease

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease/slab"
)

// A lease is kept as a record: fixed size, no pointers, so that the garbage
// collector never looks into a slab. Variable parts (hardware address, client
// identifier, host name, in this order) fill the record's inline bytes first;
// what does not fit goes to the shard's byte slabs, see slab.Blobs.
const (
	inlineLen   = 26 // a MAC and a 20-byte client identifier
	recordBytes = 80 // checked by a test

	chunkShift   = 7
	chunkRecords = 1 << chunkShift // 10240 bytes, one of Go's size classes

	// maxShardRecords is bounded by the index, which keeps 24 bits of a
	// record's number beside 8 bits of its hash.
	maxShardRecords = slab.MaxNumber
)

// Flags of a record.
const (
	flagUsed    uint8 = 1 << iota // the slot holds a record
	flagFwd                       // FQDNFwd
	flagRev                       // FQDNRev
	flagContext                   // has an entry in shard.contexts
	flagCovered                   // an offer of the same address hides this one
)

type record struct {
	version  uint64
	addr     uint32
	subnetID uint32
	poolID   uint32
	clttS    uint32 // seconds since 1970, good until 2106
	validS   uint32
	rest     uint32 // blob with the bytes beyond inline, 0 if none
	link     slab.Link
	under    uint32 // an offer's: number of the record it covers, 0 if none
	state    State
	flags    uint8
	hwType   uint8
	hwLen    uint8
	cidLen   uint8
	hostLen  uint8
	inline   [inlineLen]byte
}

type recordChunk [chunkRecords]record

// rec returns record number i, which is not 0.
func (s *shard) rec(i uint32) *record { return &s.chunks[i>>chunkShift][i&(chunkRecords-1)] }

// newRecord takes a record off the free list or the end of the slabs. The caller
// has asked hasRoom.
func (s *shard) newRecord() uint32 {
	i := s.free
	if i != 0 {
		r := s.rec(i)
		s.free = r.link.Next
		*r = record{flags: flagUsed}
		return i
	}
	if s.top == 0 {
		s.top = 1 // number 0 means none
	}
	i = s.top
	if int(i>>chunkShift) == len(s.chunks) {
		s.chunks = append(s.chunks, new(recordChunk))
		s.t.bytes.Add(chunkRecords*recordBytes + 8)
	}
	s.top++
	s.rec(i).flags = flagUsed
	return i
}

func (s *shard) hasRoom() bool { return s.free != 0 || s.top < maxShardRecords }

// freeRecord gives back record i, which is in no list and no index.
func (s *shard) freeRecord(i uint32) {
	r := s.rec(i)
	s.blobs.Release(r.rest)
	if r.flags&flagContext != 0 {
		delete(s.contexts, i)
	}
	*r = record{link: slab.Link{Next: s.free}}
	s.free = i
}

// encode writes l into record i, which may hold an older value of the same
// address. Links and under are left alone.
func (s *shard) encode(i uint32, l *Lease4) {
	r := s.rec(i)
	r.version = l.Version
	r.addr = uint32(l.Addr)
	r.subnetID = l.SubnetID
	r.poolID = l.PoolID
	r.clttS = clampS(l.CLTTUnixS)
	r.validS = l.ValidLifetimeS
	r.state = l.State
	r.hwType = l.HWType
	flags := r.flags &^ (flagFwd | flagRev)
	if l.FQDNFwd {
		flags |= flagFwd
	}
	if l.FQDNRev {
		flags |= flagRev
	}
	if l.UserContext != "" {
		if s.contexts == nil {
			s.contexts = make(map[uint32]string)
		}
		s.contexts[i] = l.UserContext
		flags |= flagContext
	} else if flags&flagContext != 0 {
		delete(s.contexts, i)
		flags &^= flagContext
	}
	r.flags = flags

	hw, cid, host := l.HW(), l.CID(), l.Host()
	n := max(len(hw)+len(cid)+len(host)-inlineLen, 0)
	if !s.blobs.Fits(r.rest, n) {
		s.blobs.Release(r.rest)
		r.rest = s.blobs.Take(n)
	}
	r.hwLen, r.cidLen, r.hostLen = uint8(len(hw)), uint8(len(cid)), uint8(len(host))
	rest := s.blobs.Bytes(r.rest)
	slab.Split(r.inline[:], rest, 0, hw)
	slab.Split(r.inline[:], rest, len(hw), cid)
	slab.Split(r.inline[:], rest, len(hw)+len(cid), host)
}

// decode sets all of *l from record i.
func (s *shard) decode(i uint32, l *Lease4) {
	r := s.rec(i)
	l.Addr = dhcp4.IPv4(r.addr)
	l.SubnetID = r.subnetID
	l.PoolID = r.poolID
	l.CLTTUnixS = int64(r.clttS)
	l.ValidLifetimeS = r.validS
	l.State = r.state
	l.FQDNFwd = r.flags&flagFwd != 0
	l.FQDNRev = r.flags&flagRev != 0
	l.HWType = r.hwType
	l.Version = r.version
	l.UserContext = ""
	if r.flags&flagContext != 0 {
		l.UserContext = s.contexts[i]
	}
	rest := s.blobs.Bytes(r.rest)
	hw, cid, host := int(r.hwLen), int(r.cidLen), int(r.hostLen)
	slab.Join(l.HWAddr[:hw], r.inline[:], rest, 0)
	slab.SetLen(l.HWAddr[:], &l.HWLen, hw)
	slab.Join(l.ClientID[:cid], r.inline[:], rest, hw)
	slab.SetLen(l.ClientID[:], &l.ClientIDLen, cid)
	slab.Join(l.Hostname[:host], r.inline[:], rest, hw+cid)
	slab.SetLen(l.Hostname[:], &l.HostnameLen, host)
}

func clampS(t int64) uint32 { return uint32(min(max(t, 0), 1<<32-1)) }
