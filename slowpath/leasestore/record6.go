package leasestore

import (
	"hash/crc32"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// A record of a DHCPv6 lease, all numbers little endian but for the address:
//
//	 0 u32 CRC32C of everything after it
//	 4 u32 length of the whole record
//	 8 u64 version
//	16 u32 IAID, 20 u32 subnet
//	24 u8  op, 25 u8 state, 26 u8 flags, 27 u8 record format (2)
//	28 [16] address
//	44 u8 prefix length, 45 u8 type, 46 u16 0
//
// a delete ends here, and has 0 in IAID, state and flags; a put goes on
//
//	48 i64 CLTT
//	56 u32 pool, 60 u32 preferred lifetime, 64 u32 valid lifetime
//	68 u16 hardware type, 70 u16 length of the relay information
//	72 u8 DUID length, 73 u8 length of the hardware address
//	74 u8 its source, 75 u8 host name length
//	76    DUID, hardware address, host name, relay information, user context
const (
	recFormat6 = 2
	recDelete6 = 48
	recFixed6  = 76

	maxPlainRecord6 = recFixed6 + lease6.MaxDUIDLen + lease6.MaxHWAddrLen + lease6.MaxHostnameLen + lease6.MaxRelayInfoLen
)

// recordSize6 is the encoded length; more than maxRecord if the user context is
// too long.
func recordSize6(op lease.Op, l *lease6.Lease6) int {
	if op == lease.OpDelete {
		return recDelete6
	}
	if len(l.UserContext) > MaxUserContext {
		return maxRecord + 1
	}
	return recFixed6 + int(min(l.DUIDLen, lease6.MaxDUIDLen)) + int(min(l.HWLen, lease6.MaxHWAddrLen)) + int(l.HostnameLen) +
		int(min(l.RelayInfoLen, lease6.MaxRelayInfoLen)) + len(l.UserContext)
}

// encodeRecord6 writes the record into b, whose length is recordSize6.
func encodeRecord6(b []byte, op lease.Op, l *lease6.Lease6) {
	_ = b[recDelete6-1]
	clear(b[:recDelete6])
	le.PutUint32(b[4:], uint32(len(b)))
	le.PutUint64(b[8:], l.Version)
	le.PutUint32(b[20:], l.SubnetID)
	b[24] = byte(op)
	b[27] = recFormat6
	copy(b[28:44], l.Addr[:])
	b[44], b[45] = l.PrefixLen, byte(l.Type)
	if op != lease.OpDelete {
		_ = b[recFixed6-1]
		le.PutUint32(b[16:], l.IAID)
		b[25] = byte(l.State)
		if l.FQDNFwd {
			b[26] |= flagFQDNFwd
		}
		if l.FQDNRev {
			b[26] |= flagFQDNRev
		}
		le.PutUint64(b[48:], uint64(l.CLTTUnixS))
		le.PutUint32(b[56:], l.PoolID)
		le.PutUint32(b[60:], l.PreferredLifetimeS)
		le.PutUint32(b[64:], l.ValidLifetimeS)
		id, hw := min(l.DUIDLen, lease6.MaxDUIDLen), min(l.HWLen, lease6.MaxHWAddrLen)
		relays := min(l.RelayInfoLen, lease6.MaxRelayInfoLen)
		le.PutUint16(b[68:], l.HWType)
		le.PutUint16(b[70:], relays)
		b[72], b[73], b[74], b[75] = id, hw, byte(l.HWSource), l.HostnameLen
		p := recFixed6
		p += copy(b[p:], l.DUID[:id])
		p += copy(b[p:], l.HWAddr[:hw])
		p += copy(b[p:], l.Hostname[:l.HostnameLen])
		p += copy(b[p:], l.RelayInfo[:relays])
		copy(b[p:], l.UserContext)
	}
	le.PutUint32(b, crc32.Update(0, castagnoli, b[4:]))
}

// checkRecord6 is checkRecord for what stands behind length and checksum.
func checkRecord6(b []byte) error {
	n := len(b)
	if n < recDelete6 || le.Uint16(b[46:]) != 0 || b[44] > 128 {
		return errRecordContent
	}
	switch lease.Op(b[24]) {
	case lease.OpDelete:
		if n != recDelete6 || b[25] != 0 || b[26] != 0 || le.Uint32(b[16:]) != 0 {
			return errRecordContent
		}
	case lease.OpPut:
		if n < recFixed6 || b[26]&^(flagFQDNFwd|flagFQDNRev) != 0 || b[72] > lease6.MaxDUIDLen || b[73] > lease6.MaxHWAddrLen {
			return errRecordContent
		}
		relays := int(le.Uint16(b[70:]))
		ctx := n - recFixed6 - int(b[72]) - int(b[73]) - int(b[75]) - relays
		if relays > lease6.MaxRelayInfoLen || ctx < 0 || ctx > MaxUserContext {
			return errRecordContent
		}
	default:
		return errRecordContent
	}
	return nil
}

// loadRecord6 decodes a put that checkRecord has accepted.
func loadRecord6(b []byte, l *lease6.Lease6) {
	*l = lease6.Lease6{}
	l.Version = le.Uint64(b[8:])
	l.IAID = le.Uint32(b[16:])
	l.SubnetID = le.Uint32(b[20:])
	l.State = lease.State(b[25])
	l.FQDNFwd = b[26]&flagFQDNFwd != 0
	l.FQDNRev = b[26]&flagFQDNRev != 0
	l.Addr = recAddr6(b)
	l.PrefixLen, l.Type = b[44], lease6.Type(b[45])
	l.CLTTUnixS = int64(le.Uint64(b[48:]))
	l.PoolID = le.Uint32(b[56:])
	l.PreferredLifetimeS = le.Uint32(b[60:])
	l.ValidLifetimeS = le.Uint32(b[64:])
	l.HWType = le.Uint16(b[68:])
	l.RelayInfoLen = le.Uint16(b[70:])
	l.DUIDLen, l.HWLen, l.HWSource, l.HostnameLen = b[72], b[73], lease6.HWSource(b[74]), b[75]
	p := b[recFixed6:le.Uint32(b[4:])]
	p = p[copy(l.DUID[:l.DUIDLen], p):]
	p = p[copy(l.HWAddr[:l.HWLen], p):]
	p = p[copy(l.Hostname[:l.HostnameLen], p):]
	p = p[copy(l.RelayInfo[:l.RelayInfoLen], p):]
	if len(p) > 0 {
		l.UserContext = string(p)
	}
}

func recAddr6(b []byte) (a lease6.IPv6) {
	copy(a[:], b[28:])
	return a
}
