package leasefile

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// mirrored is the table that a mirror writes, of either family. It belongs to the
// mirror's goroutine.
type mirrored interface {
	len() int
	appendHeader(dst []byte) []byte
	// appendQueued appends the row of a change; left is true if it is one that
	// Kea could not read, and a deletion stands for it.
	appendQueued(dst, rec []byte) (out []byte, left bool)
	// order lists the leases by their last transaction and returns how many there
	// are. Stork takes no row that is older than the one before it.
	order() int
	// appendRow appends the row of number k of that list, as it is now, if there
	// is one.
	appendRow(dst []byte, k int) (out []byte, left bool)
	// key is the address of number k of that list.
	key(k int) netip.Addr
	// has reports whether the file should have a lease of the address.
	has(addr netip.Addr) bool
	// columnsBeforeValid is how many columns a row has before its valid lifetime.
	columnsBeforeValid() int
}

type mirrored4 struct {
	m    *Mirror
	keys []uint64 // CLTT<<32 | address
	l    lease.Lease4
}

func (t *mirrored4) len() int                       { return t.m.o.Table.Len() }
func (t *mirrored4) appendHeader(dst []byte) []byte { return AppendHeader4(dst) }

func (t *mirrored4) appendQueued(dst, rec []byte) (out []byte, left bool) {
	r := queuedRow(rec)
	if left = !r.writable(); left {
		// Kea would skip the row and keep the one before it. Without a client it
		// takes a row of a declined lease only.
		r.valid, r.state, r.cid = 0, lease.StateDeclined, nil
	}
	return r.append(dst), left
}

func (t *mirrored4) order() int {
	t.keys = make([]uint64, 0, t.len()+64)
	t.m.o.Table.Walk(func(l *lease.Lease4) bool {
		if l.State != lease.StateOffered && l.ValidLifetimeS != 0 {
			cltt := uint64(min(max(l.CLTTUnixS, 0), 1<<32-1))
			t.keys = append(t.keys, cltt<<32|uint64(l.Addr))
		}
		return true
	})
	slices.Sort(t.keys)
	return len(t.keys)
}

func (t *mirrored4) appendRow(dst []byte, k int) (out []byte, left bool) {
	if !t.get(dhcp4.IPv4(uint32(t.keys[k]))) {
		return dst, false
	}
	if !Writable4(&t.l) {
		return dst, true
	}
	return AppendRow4(dst, &t.l), false
}

// get reads the lease of an address, if there is one that the file should have.
func (t *mirrored4) get(addr dhcp4.IPv4) bool {
	l := &t.l
	if !t.m.o.Table.Get(addr, l) || l.State == lease.StateOffered && !t.m.o.Table.Covered(addr, l) {
		return false
	}
	// Kea's cleanup drops released leases too (LS-005).
	return l.State != lease.StateOffered && l.ValidLifetimeS != 0
}

func (t *mirrored4) key(k int) netip.Addr { return dhcp4.IPv4(uint32(t.keys[k])).Netip() }

func (t *mirrored4) has(addr netip.Addr) bool {
	if !addr.Is4() {
		return false
	}
	a := addr.As4()
	return t.get(dhcp4.IPv4(binary.BigEndian.Uint32(a[:]))) && Writable4(&t.l)
}

func (t *mirrored4) columnsBeforeValid() int { return colValidLifetime }

type mirrored6 struct {
	m    *Mirror
	keys []key6
	l    lease6.Lease6
}

type key6 struct {
	clttS int64
	addr  lease6.IPv6
}

func (t *mirrored6) len() int                       { return t.m.o.Table6.Len() }
func (t *mirrored6) appendHeader(dst []byte) []byte { return AppendHeader6(dst) }

func (t *mirrored6) appendQueued(dst, rec []byte) (out []byte, left bool) {
	valid := queuedLease6(rec, &t.l)
	if left = !Writable6(&t.l); left {
		valid, t.l.State, t.l.DUIDLen = 0, lease.StateDeclined, 0
	}
	return appendRow6(dst, &t.l, valid), left
}

func (t *mirrored6) order() int {
	t.keys = make([]key6, 0, t.len()+64)
	t.m.o.Table6.Walk(func(l *lease6.Lease6) bool {
		if l.State != lease.StateOffered && l.ValidLifetimeS != 0 {
			t.keys = append(t.keys, key6{l.CLTTUnixS, l.Addr})
		}
		return true
	})
	slices.SortFunc(t.keys, func(a, b key6) int { return cmp.Or(cmp.Compare(a.clttS, b.clttS), a.addr.Compare(b.addr)) })
	return len(t.keys)
}

func (t *mirrored6) appendRow(dst []byte, k int) (out []byte, left bool) {
	if !t.get(t.keys[k].addr) {
		return dst, false
	}
	if !Writable6(&t.l) {
		return dst, true
	}
	return AppendRow6(dst, &t.l), false
}

// get is that of mirrored4.
func (t *mirrored6) get(addr lease6.IPv6) bool {
	l := &t.l
	if !t.m.o.Table6.Get(addr, l) || l.State == lease.StateOffered && !t.m.o.Table6.Covered(addr, l) {
		return false
	}
	return l.State != lease.StateOffered && l.ValidLifetimeS != 0
}

func (t *mirrored6) key(k int) netip.Addr { return t.keys[k].addr.Netip() }

func (t *mirrored6) has(addr netip.Addr) bool {
	return addr.Is6() && t.get(lease6.AddrFromNetip(addr)) && Writable6(&t.l)
}

func (t *mirrored6) columnsBeforeValid() int { return col6ValidLifetime }

// A queued record of a DHCPv6 lease, little endian:
//
//	 0 u32 length of the whole record
//	 4 u8  flags, 5 u8 state, 6 u8 type, 7 u8 prefix length
//	 8 u8  DUID length, 9 u8 hwlen, 10 u8 hwaddr's source, 11 u8 host name length
//	12 u16 hardware type, 14 u16 length of the relay information
//	16 u32 IAID, 20 u32 subnet, 24 u32 pool, 28 u32 preferred, 32 u32 valid lifetime
//	36 i64 CLTT, 44 [16] address
//	60     DUID, hardware address, host name, relay information, user context
const queueRecord6 = 60

// put6 queues that valid is now the lifetime of l, which is otherwise as given.
func (q *queue) put6(l *lease6.Lease6, valid uint32) {
	n := queueRecord6 + int(l.DUIDLen) + int(l.HWLen) + int(l.HostnameLen) + int(l.RelayInfoLen) + len(l.UserContext)
	part := binary.LittleEndian.Uint32(l.Addr[4:]) ^ binary.LittleEndian.Uint32(l.Addr[12:])
	q.room(part, n, func(b []byte) {
		b[4], b[5], b[6], b[7] = fqdnFlags(l.FQDNFwd, l.FQDNRev), byte(l.State), byte(l.Type), l.PrefixLen
		b[8], b[9], b[10], b[11] = l.DUIDLen, l.HWLen, byte(l.HWSource), l.HostnameLen
		binary.LittleEndian.PutUint16(b[12:], l.HWType)
		binary.LittleEndian.PutUint16(b[14:], l.RelayInfoLen)
		for i, v := range [...]uint32{l.IAID, l.SubnetID, l.PoolID, l.PreferredLifetimeS, valid} {
			binary.LittleEndian.PutUint32(b[16+4*i:], v)
		}
		binary.LittleEndian.PutUint64(b[36:], uint64(l.CLTTUnixS))
		copy(b[44:], l.Addr[:])
		i := queueRecord6
		i += copy(b[i:], l.ID())
		i += copy(b[i:], l.HW())
		i += copy(b[i:], l.Host())
		i += copy(b[i:], l.Relays())
		copy(b[i:], l.UserContext)
	})
}

// queuedLease6 reads a record of put6.
func queuedLease6(b []byte, l *lease6.Lease6) (valid uint32) {
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	*l = lease6.Lease6{
		State: lease.State(b[5]), Type: lease6.Type(b[6]), PrefixLen: b[7], FQDNFwd: b[4]&queuedFwd != 0, FQDNRev: b[4]&queuedRev != 0,
		IAID: u32(16), SubnetID: u32(20), PoolID: u32(24), PreferredLifetimeS: u32(28), CLTTUnixS: int64(binary.LittleEndian.Uint64(b[36:])),
	}
	copy(l.Addr[:], b[44:])
	p := b[queueRecord6:]
	cut := func(n int) (part []byte) { part, p = p[:n], p[n:]; return part }
	l.SetID(cut(int(b[8])))
	l.SetHW(binary.LittleEndian.Uint16(b[12:]), cut(int(b[9])), lease6.HWSource(b[10]))
	l.SetHost(cut(int(b[11])))
	l.SetRelays(cut(int(binary.LittleEndian.Uint16(b[14:]))))
	l.UserContext = string(p)
	return u32(32)
}
