package lease6

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease/slab"
)

// A lease is kept as a record: fixed size, two cache lines, no pointers. Variable
// parts (DUID, hardware address, host name, relay information, in this order)
// fill the record's inline bytes first; what does not fit goes to the shard's byte
// slabs, see slab.Blobs.
const (
	inlineLen   = 48 // an 18-octet DUID, a MAC and a short host name
	recordBytes = 128

	chunkShift   = 6
	chunkRecords = 1 << chunkShift // 8192 bytes, one of Go's size classes
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
	version   uint64
	addr      IPv6
	subnetID  uint32
	poolID    uint32
	clttS     uint32 // seconds since 1970, good until 2106
	validS    uint32
	prefS     uint32
	iaid      uint32
	rest      uint32 // blob with the bytes beyond inline, 0 if none
	link      slab.Link
	under     uint32 // an offer's: number of the record it covers, 0 if none
	hwType    uint16
	relayLen  uint16
	typ       Type
	prefixLen uint8
	state     lease.State
	flags     uint8
	hwSource  HWSource
	hwLen     uint8
	duidLen   uint8
	hostLen   uint8
	inline    [inlineLen]byte
}

type recordChunk [chunkRecords]record

// rec returns record number i, which is not 0.
func (s *shard) rec(i uint32) *record { return &s.chunks[i>>chunkShift][i&(chunkRecords-1)] }

// newRecord takes a record off the free list or the end of the slabs. The caller
// has asked hasRoom.
func (s *shard) newRecord() uint32 {
	if i := s.free; i != 0 {
		r := s.rec(i)
		s.free = r.link.Next
		*r = record{flags: flagUsed}
		return i
	}
	i := max(s.top, 1) // number 0 means none
	if int(i>>chunkShift) == len(s.chunks) {
		s.chunks = append(s.chunks, new(recordChunk))
		s.t.bytes.Add(chunkRecords*recordBytes + 8)
	}
	s.top = i + 1
	s.rec(i).flags = flagUsed
	return i
}

func (s *shard) hasRoom() bool { return s.free != 0 || s.top < slab.MaxNumber }

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

// setContext keeps the user context of record i.
func (s *shard) setContext(i uint32, text string) {
	r := s.rec(i)
	switch {
	case text != "":
		if s.contexts == nil {
			s.contexts = make(map[uint32]string)
		}
		s.contexts[i] = text
		r.flags |= flagContext
	case r.flags&flagContext != 0:
		delete(s.contexts, i)
		r.flags &^= flagContext
	}
}

// encode writes l into record i, which may hold an older value of the same
// address. Links and under are left alone.
func (s *shard) encode(i uint32, l *Lease6) {
	r := s.rec(i)
	r.version, r.addr = l.Version, l.Addr
	r.typ, r.prefixLen, r.state = l.Type, l.PrefixLen, l.State
	r.iaid, r.subnetID, r.poolID = l.IAID, l.SubnetID, l.PoolID
	r.clttS = uint32(min(max(l.CLTTUnixS, 0), 1<<32-1))
	r.validS, r.prefS = l.ValidLifetimeS, l.PreferredLifetimeS
	r.hwType, r.hwSource = l.HWType, l.HWSource
	r.flags &^= flagFwd | flagRev
	if l.FQDNFwd {
		r.flags |= flagFwd
	}
	if l.FQDNRev {
		r.flags |= flagRev
	}
	s.setContext(i, l.UserContext)

	id, hw, host, relays := l.ID(), l.HW(), l.Host(), l.Relays()
	n := max(len(id)+len(hw)+len(host)+len(relays)-inlineLen, 0)
	if !s.blobs.Fits(r.rest, n) {
		s.blobs.Release(r.rest)
		r.rest = s.blobs.Take(n)
	}
	r.duidLen, r.hwLen, r.hostLen, r.relayLen = uint8(len(id)), uint8(len(hw)), uint8(len(host)), uint16(len(relays))
	rest := s.blobs.Bytes(r.rest)
	off := 0
	for _, p := range [...][]byte{id, hw, host, relays} {
		slab.Split(r.inline[:], rest, off, p)
		off += len(p)
	}
}

// decode sets all of *l from record i; bytes behind the lengths are zero, so that
// values can be compared with ==.
func (s *shard) decode(i uint32, l *Lease6) {
	r := s.rec(i)
	l.Version, l.Addr = r.version, r.addr
	l.Type, l.PrefixLen, l.State = r.typ, r.prefixLen, r.state
	l.IAID, l.SubnetID, l.PoolID = r.iaid, r.subnetID, r.poolID
	l.CLTTUnixS = int64(r.clttS)
	l.ValidLifetimeS, l.PreferredLifetimeS = r.validS, r.prefS
	l.HWType, l.HWSource = r.hwType, r.hwSource
	l.FQDNFwd = r.flags&flagFwd != 0
	l.FQDNRev = r.flags&flagRev != 0
	l.UserContext = ""
	if r.flags&flagContext != 0 {
		l.UserContext = s.contexts[i]
	}
	rest := s.blobs.Bytes(r.rest)
	id, hw, host, relays := int(r.duidLen), int(r.hwLen), int(r.hostLen), int(r.relayLen)
	slab.Join(l.DUID[:id], r.inline[:], rest, 0)
	slab.SetLen(l.DUID[:], &l.DUIDLen, id)
	slab.Join(l.HWAddr[:hw], r.inline[:], rest, id)
	slab.SetLen(l.HWAddr[:], &l.HWLen, hw)
	slab.Join(l.Hostname[:host], r.inline[:], rest, id+hw)
	slab.SetLen(l.Hostname[:], &l.HostnameLen, host)
	slab.Join(l.RelayInfo[:relays], r.inline[:], rest, id+hw+host)
	slab.SetLen(l.RelayInfo[:], &l.RelayInfoLen, relays)
}

// hasID reports whether the DUID of record i is id.
func (s *shard) hasID(i uint32, id []byte) bool {
	r := s.rec(i)
	if int(r.duidLen) != len(id) {
		return false
	}
	if len(id) <= inlineLen {
		return string(r.inline[:len(id)]) == string(id)
	}
	return string(r.inline[:]) == string(id[:inlineLen]) &&
		string(s.blobs.Bytes(r.rest)[:len(id)-inlineLen]) == string(id[inlineLen:])
}
