package engine6

import (
	"net/netip"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// putExclude writes the value of option 67 for a prefix of delegated bits: the
// length of the excluded prefix, and its bits behind the delegated ones, padded
// with zeros (RFC 6603 §4.2). ok is false if the excluded prefix is not longer.
func putExclude(b *[17]byte, excluded netip.Prefix, delegated uint8) (value []byte, ok bool) {
	n := excluded.Bits() - int(delegated)
	if n <= 0 {
		return nil, false
	}
	a := excluded.Masked().Addr().As16()
	size := (n + 7) / 8
	b[0] = uint8(excluded.Bits())
	for i := range size {
		bit := int(delegated) + 8*i
		x := uint16(a[bit/8]) << 8
		if bit/8+1 < len(a) {
			x |= uint16(a[bit/8+1])
		}
		b[1+i] = byte(x >> (8 - bit%8))
	}
	return b[:1+size], true
}

// excludeOf returns the value of option 67 for the lease, nil for none: of its
// reservation if it has one, which never inherits that of a pool, else of its
// pool (V6-034).
func (w *Worker) excludeOf(q *Query6, l *lease6.Lease6) []byte {
	excluded := netip.Prefix{}
	reserved := false
	if h := q.currentHost(); h != nil {
		for i := range h.Prefixes {
			if p := h.Prefixes[i].Prefix; p.Addr().As16() == l.Addr && p.Bits() == int(l.PrefixLen) {
				excluded, reserved = h.Prefixes[i].Excluded, true
				break
			}
		}
	}
	if !reserved {
		if p := q.rules.poolOf(lease6.TypePD, dhcp6.IPv6(l.Addr)); p != nil && p.length == l.PrefixLen {
			excluded = p.excluded
		}
	}
	if !excluded.IsValid() || int(q.nExclude) == len(q.exclude) {
		return nil
	}
	v, ok := putExclude(&q.exclude[q.nExclude], excluded, l.PrefixLen)
	if !ok {
		return nil
	}
	q.nExclude++
	return v
}
