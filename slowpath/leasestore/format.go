package leasestore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"
)

// A segment or snapshot file is a file header followed by blocks; a block is a
// block header followed by records. All numbers are little endian.
//
//	file header                         block header
//	 0 [8] magic                         0 u32 magic
//	 8 u32 CRC32C of 12..64              4 u32 CRC32C of salt and 8..40
//	12 u32 format (2)                    8 u64 offset of this header in the file
//	16 u64 number                       16 u64 durable (see blockHeader)
//	24 u64 prev     or cut version      24 u32 bytes of records
//	32 u64 prevLen  or v6 cut version   28 u32 number of records
//	40 u64 prevDurable or leases        32 u32 kind
//	48 u64 salt                         36 u32 0
//	56 i64 created, ns since 1970
//
// The leases of a snapshot are two u32, DHCPv4 and DHCPv6. Format 1, which is
// read, knows neither DHCPv6 nor the number of leases.
const (
	fileHeaderLen  = 64
	blockHeaderLen = 40
	fileFormat     = 2

	segmentMagic  = "PGJRNL4\n"
	snapshotMagic = "PGSNAP4\n"
	blockMagic    = 0x4B4C4247 // "GBLK"

	kindData = 1
	kindEnd  = 2

	// maxBlockRecords is when the committer closes a block; a block is what one
	// commit writes.
	maxBlockBytes = 1 << 20
)

// fileHeader is the first 64 bytes of a file.
type fileHeader struct {
	number uint64
	// Of a segment: the segment before it (0: none), how long that one is
	// valid, and up to where it was on stable storage when this one was made.
	// With SyncGroup both lengths are equal; with SyncNone the part between may
	// have been lost with the power.
	prev, prevLen, prevDurable uint64
	// Of a snapshot (in prev's place): journal records with a version up to that
	// of their family are superseded by the snapshot.
	cut versions
	// Of a snapshot: how many leases it has, to make room for them.
	leases [families]uint32
	// salt is mixed into the checksum of block headers: neither a block of
	// another file nor bytes a client chose can pass for a block of this one.
	salt          uint64
	createdUnixNs int64
}

func newSalt() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return le.Uint64(b[:])
}

func (h *fileHeader) encode(b []byte, magic string) {
	clear(b[:fileHeaderLen])
	copy(b, magic)
	le.PutUint32(b[12:], fileFormat)
	le.PutUint64(b[16:], h.number)
	if magic == snapshotMagic {
		le.PutUint64(b[24:], h.cut[v4])
		le.PutUint64(b[32:], h.cut[v6])
		le.PutUint32(b[40:], h.leases[v4])
		le.PutUint32(b[44:], h.leases[v6])
	} else {
		le.PutUint64(b[24:], h.prev)
		le.PutUint64(b[32:], h.prevLen)
		le.PutUint64(b[40:], h.prevDurable)
	}
	le.PutUint64(b[48:], h.salt)
	le.PutUint64(b[56:], uint64(h.createdUnixNs))
	le.PutUint32(b[8:], crc32.Update(0, castagnoli, b[12:fileHeaderLen]))
}

// Reasons why a file header is refused.
var (
	errHeaderShort  = errors.New("file header ends early")
	errHeaderMagic  = errors.New("file does not start with the magic of its kind")
	errHeaderSum    = errors.New("file header checksum does not match")
	errHeaderFields = errors.New("file header fields contradict each other")
)

// formatError is a file of a later release: not damage.
type formatError uint32

func (e formatError) Error() string {
	return fmt.Sprintf("file has format %d, this release reads formats 1 to %d", uint32(e), fileFormat)
}

func decodeFileHeader(b []byte, magic string) (h fileHeader, err error) {
	if len(b) < fileHeaderLen {
		return h, errHeaderShort
	}
	if string(b[:8]) != magic {
		return h, errHeaderMagic
	}
	if crc32.Update(0, castagnoli, b[12:fileHeaderLen]) != le.Uint32(b[8:]) {
		return h, errHeaderSum
	}
	if v := le.Uint32(b[12:]); v == 0 || v > fileFormat {
		return h, formatError(v)
	}
	h.number = le.Uint64(b[16:])
	h.salt = le.Uint64(b[48:])
	h.createdUnixNs = int64(le.Uint64(b[56:]))
	if magic == snapshotMagic {
		h.cut = versions{le.Uint64(b[24:]), le.Uint64(b[32:])}
		h.leases = [families]uint32{le.Uint32(b[40:]), le.Uint32(b[44:])}
		if h.number == 0 {
			return h, errHeaderFields
		}
		return h, nil
	}
	h.prev = le.Uint64(b[24:])
	h.prevLen = le.Uint64(b[32:])
	h.prevDurable = le.Uint64(b[40:])
	if h.number == 0 || h.prev >= h.number || h.prevDurable > h.prevLen || h.prevLen > 1<<62 ||
		h.prev != 0 && h.prevDurable < fileHeaderLen {
		return h, errHeaderFields
	}
	return h, nil
}

// blockHeader starts a block.
type blockHeader struct {
	start uint64
	// durable: of a segment, the bytes of this file known to be on stable
	// storage when the block was written. It is what tells damage from a torn
	// tail: what a later block attests cannot have been torn. Of the end block
	// of a snapshot, the number of leases.
	durable uint64
	length  uint32
	records uint32
	kind    uint32
}

func (h *blockHeader) encode(b []byte, salt uint64) {
	le.PutUint32(b, blockMagic)
	le.PutUint64(b[8:], h.start)
	le.PutUint64(b[16:], h.durable)
	le.PutUint32(b[24:], h.length)
	le.PutUint32(b[28:], h.records)
	le.PutUint32(b[32:], h.kind)
	le.PutUint32(b[36:], 0)
	le.PutUint32(b[4:], blockSum(b, salt))
}

func blockSum(b []byte, salt uint64) uint32 {
	return crc32.Update(saltSum(salt), castagnoli, b[8:blockHeaderLen])
}

// saltSum is the checksum of the salt's eight octets, least significant first:
// what crc32.Update over an array would give, which would escape to the heap at
// every commit.
func saltSum(salt uint64) uint32 {
	crc := ^uint32(0)
	for range 8 {
		crc = castagnoli[byte(crc)^byte(salt)] ^ crc>>8
		salt >>= 8
	}
	return ^crc
}

// Reasons why a block is refused.
var (
	errBlockMagic  = errors.New("no block starts here")
	errBlockSum    = errors.New("block header checksum does not match")
	errBlockFields = errors.New("block header fields contradict each other")
	errBlockCount  = errors.New("block holds another number of records than it says")
	errBlockShort  = errors.New("block ends early")
)

// decodeBlockHeader reads the header in b, which stood at offset start.
func decodeBlockHeader(b []byte, salt, start uint64) (h blockHeader, err error) {
	if len(b) < blockHeaderLen {
		return h, errBlockShort
	}
	if le.Uint32(b) != blockMagic {
		return h, errBlockMagic
	}
	if blockSum(b, salt) != le.Uint32(b[4:]) {
		return h, errBlockSum
	}
	h.start = le.Uint64(b[8:])
	h.durable = le.Uint64(b[16:])
	h.length = le.Uint32(b[24:])
	h.records = le.Uint32(b[28:])
	h.kind = le.Uint32(b[32:])
	if h.start != start || h.kind != kindData && h.kind != kindEnd || h.length > maxBlockBytes ||
		h.kind == kindEnd && (h.length != 0 || h.records != 0) || le.Uint32(b[36:]) != 0 {
		return h, errBlockFields
	}
	return h, nil
}

// checkBlock verifies the records of a block and returns the greatest versions.
// bad is the offset in payload of what is wrong.
func checkBlock(h blockHeader, payload []byte) (greatest versions, bad int, err error) {
	p, n := 0, uint32(0)
	for p < len(payload) {
		k, err := checkRecord(payload[p:])
		if err != nil {
			return greatest, p, err
		}
		f := recFamily(payload[p:])
		greatest[f] = max(greatest[f], recVersion(payload[p:]))
		p += k
		n++
	}
	if n != h.records {
		return greatest, 0, errBlockCount
	}
	return greatest, 0, nil
}

// File names: the number in twelve digits, so that a listing is in order.
const (
	segmentSuffix  = ".journal"
	snapshotSuffix = ".snapshot"
	tempSuffix     = ".tmp"
	lockName       = "lock"
)

func segmentName(dir string, n uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%012d%s", n, segmentSuffix))
}

func snapshotName(dir string, n uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%012d%s", n, snapshotSuffix))
}

// parseName gives the number of a file of the store; ok is false for others.
func parseName(name, suffix string) (n uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) < 12 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 62)
	return n, err == nil && n > 0
}

// Owns reports whether a file of that name in a store's directory is the store's.
// Nobody else may write it.
func Owns(name string) bool {
	name = strings.TrimSuffix(name, tempSuffix)
	return name == lockName || strings.HasSuffix(name, segmentSuffix) || strings.HasSuffix(name, snapshotSuffix)
}
