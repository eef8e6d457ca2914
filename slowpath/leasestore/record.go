package leasestore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// A record, all numbers little endian:
//
//	 0 u32 CRC32C of everything after it
//	 4 u32 length of the whole record
//	 8 u64 version
//	16 u32 address, 20 u32 subnet
//	24 u8  op, 25 u8 state, 26 u8 flags, 27 u8 record format (1)
//
// a delete ends here; a put goes on
//
//	28 u32 pool, 32 i64 CLTT, 40 u32 valid lifetime
//	44 u8  hardware type, 45 u8 its address's length
//	46 u8  client-id length, 47 u8 host name length
//	48     hardware address, client-id, host name, user context (the rest)
const (
	recDelete  = 28
	recFixed   = 48
	recFormat1 = 1

	flagFQDNFwd = 1
	flagFQDNRev = 2

	// maxPlainRecord is the longest record of a DHCPv4 lease without user context.
	maxPlainRecord = recFixed + lease.MaxHWAddrLen + lease.MaxClientIDLen + lease.MaxHostnameLen

	// MaxUserContext is the longest user context the journal takes, in bytes;
	// Append and Append6 refuse a longer one.
	MaxUserContext = 32 << 10

	maxRecord = maxPlainRecord6 + MaxUserContext // the longer of the two
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var le = binary.LittleEndian

// recordSize is the encoded length; more than maxRecord if the user context is
// too long.
func recordSize(op lease.Op, l *lease.Lease4) int {
	if op == lease.OpDelete {
		return recDelete
	}
	if len(l.UserContext) > MaxUserContext {
		return maxRecord + 1
	}
	return recFixed + min(int(l.HWLen), lease.MaxHWAddrLen) + int(l.ClientIDLen) + int(l.HostnameLen) + len(l.UserContext)
}

// encodeRecord writes the record into b, whose length is recordSize.
func encodeRecord(b []byte, op lease.Op, l *lease.Lease4) {
	_ = b[recDelete-1]
	le.PutUint32(b[4:], uint32(len(b)))
	le.PutUint64(b[8:], l.Version)
	le.PutUint32(b[16:], uint32(l.Addr))
	le.PutUint32(b[20:], l.SubnetID)
	b[24] = byte(op)
	b[27] = recFormat1
	if op == lease.OpDelete {
		b[25], b[26] = 0, 0
	} else {
		_ = b[recFixed-1]
		var flags byte
		if l.FQDNFwd {
			flags |= flagFQDNFwd
		}
		if l.FQDNRev {
			flags |= flagFQDNRev
		}
		b[25] = byte(l.State)
		b[26] = flags
		le.PutUint32(b[28:], l.PoolID)
		le.PutUint64(b[32:], uint64(l.CLTTUnixS))
		le.PutUint32(b[40:], l.ValidLifetimeS)
		hw := min(int(l.HWLen), lease.MaxHWAddrLen)
		b[44] = l.HWType
		b[45] = byte(hw)
		b[46] = l.ClientIDLen
		b[47] = l.HostnameLen
		p := recFixed
		p += copy(b[p:], l.HWAddr[:hw])
		p += copy(b[p:], l.ClientID[:l.ClientIDLen])
		p += copy(b[p:], l.Hostname[:l.HostnameLen])
		copy(b[p:], l.UserContext)
	}
	le.PutUint32(b, crc32.Update(0, castagnoli, b[4:]))
}

// Reasons why a record is refused.
var (
	errRecordShort   = errors.New("record ends early")
	errRecordLength  = errors.New("record length out of range")
	errRecordSum     = errors.New("record checksum does not match")
	errRecordFormat  = errors.New("record format is not known")
	errRecordContent = errors.New("record fields contradict each other")
)

// checkRecord verifies the record at the start of b completely, so that
// loadRecord cannot fail, and returns its length.
func checkRecord(b []byte) (int, error) {
	if len(b) < recDelete {
		return 0, errRecordShort
	}
	n := int(le.Uint32(b[4:]))
	if n < recDelete || n > maxRecord {
		return 0, errRecordLength
	}
	if n > len(b) {
		return 0, errRecordShort
	}
	b = b[:n]
	if crc32.Update(0, castagnoli, b[4:]) != le.Uint32(b) {
		return 0, errRecordSum
	}
	switch b[27] {
	case recFormat1:
	case recFormat6:
		return n, checkRecord6(b)
	default:
		return 0, errRecordFormat
	}
	switch lease.Op(b[24]) {
	case lease.OpDelete:
		if n != recDelete || b[25] != 0 || b[26] != 0 {
			return 0, errRecordContent
		}
	case lease.OpPut:
		if n < recFixed || b[26]&^(flagFQDNFwd|flagFQDNRev) != 0 || b[45] > lease.MaxHWAddrLen {
			return 0, errRecordContent
		}
		ctx := n - recFixed - int(b[45]) - int(b[46]) - int(b[47])
		if ctx < 0 || ctx > MaxUserContext {
			return 0, errRecordContent
		}
	default:
		return 0, errRecordContent
	}
	return n, nil
}

// loadRecord decodes a put that checkRecord has accepted.
func loadRecord(b []byte, l *lease.Lease4) {
	*l = lease.Lease4{} // not a literal: that would be built aside and copied
	l.Version = le.Uint64(b[8:])
	l.Addr = dhcp4.IPv4(le.Uint32(b[16:]))
	l.SubnetID = le.Uint32(b[20:])
	l.State = lease.State(b[25])
	l.FQDNFwd = b[26]&flagFQDNFwd != 0
	l.FQDNRev = b[26]&flagFQDNRev != 0
	l.PoolID = le.Uint32(b[28:])
	l.CLTTUnixS = int64(le.Uint64(b[32:]))
	l.ValidLifetimeS = le.Uint32(b[40:])
	l.HWType, l.HWLen = b[44], b[45]
	l.ClientIDLen, l.HostnameLen = b[46], b[47]
	p := b[recFixed:le.Uint32(b[4:])]
	p = p[copy(l.HWAddr[:l.HWLen], p):]
	p = p[copy(l.ClientID[:l.ClientIDLen], p):]
	p = p[copy(l.Hostname[:l.HostnameLen], p):]
	if len(p) > 0 {
		l.UserContext = string(p)
	}
}

// Families: numbers are taken from one counter each.
const (
	v4       = 0
	v6       = 1
	families = 2
)

// versions are sequence numbers by family.
type versions [families]uint64

func (v *versions) raise(w versions) {
	for f := range v {
		v[f] = max(v[f], w[f])
	}
}

// Fields of a checked record.
func recFamily(b []byte) int {
	if b[27] == recFormat6 {
		return v6
	}
	return v4
}
func recLen(b []byte) int        { return int(le.Uint32(b[4:])) }
func recVersion(b []byte) uint64 { return le.Uint64(b[8:]) }
func recAddr(b []byte) uint32    { return le.Uint32(b[16:]) }
func recOp(b []byte) lease.Op    { return lease.Op(b[24]) }
