package leasefile

import (
	"io"
	"math"
	"net/netip"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Reader6 reads the rows of one DHCPv6 lease file in order, as Kea does. It
// belongs to one goroutine.
type Reader6 struct{ rowReader }

// NewReader6 reads the header; see NewReader4.
func NewReader6(in io.Reader, name string) (*Reader6, error) {
	r := new(Reader6)
	if err := r.header(in, name, columns6[:], minColumns6, [2]string{"hwaddr", "DHCPv4"}); err != nil {
		return nil, err
	}
	return r, nil
}

// Next reads the next row into l, whose Version it leaves 0; see Reader4.Next for
// errors and what is accepted. As Kea does: the prefix length of an address is 128
// whatever the file says, a hardware address that cannot be read is none, and so
// is the DUID of a declined lease that is 00:00:00. Host names keep their case.
func (r *Reader6) Next(l *lease6.Lease6) error {
	line, err := r.next()
	if err != nil {
		return err
	}
	return r.parse(line, l)
}

func (r *Reader6) parse(line []byte, l *lease6.Lease6) error {
	var f [numColumns6][]byte
	n, err := r.split(line, f[:])
	if err != nil {
		return err
	}
	addr, err := netip.ParseAddr(string(f[col6Address]))
	if err != nil || !addr.Is6() || addr.Zone() != "" || addr.IsUnspecified() {
		return r.rowError("address: %q is not an IPv6 address", clip(f[col6Address]))
	}
	*l = lease6.Lease6{Addr: addr.As16(), PrefixLen: 128, State: lease.StateDefault}
	if err := r.parseNumbers(&f, l); err != nil {
		return err
	}
	if l.FQDNFwd, err = r.bool(f[:], col6FQDNFwd); err != nil {
		return err
	}
	if l.FQDNRev, err = r.bool(f[:], col6FQDNRev); err != nil {
		return err
	}
	host := unescape(f[col6Hostname])
	if len(host) > lease6.MaxHostnameLen {
		return r.rowError("hostname: has %d octets, at most %d can be", len(host), lease6.MaxHostnameLen)
	}
	l.SetHost(host)
	if n > col6State {
		state, err := r.uint(f[:], col6State, uint64(lease.StateRegistered))
		if err != nil {
			return err
		}
		l.State = lease.State(state)
	}
	if n > col6UserContext && len(f[col6UserContext]) > 0 {
		text := unescape(f[col6UserContext])
		if !isJSONMap(text) {
			return r.rowError("user_context: %q is not a JSON map", clip(text))
		}
		splitContext6(text, l)
	}
	if n > col6PoolID {
		pool, err := r.uint(f[:], col6PoolID, math.MaxUint32)
		if err != nil {
			return err
		}
		l.PoolID = uint32(pool)
	}
	if err := r.parseHW(&f, n, l); err != nil {
		return err
	}
	return r.parseDUID(&f, l)
}

// parseNumbers reads the columns that every file has.
func (r *Reader6) parseNumbers(f *[numColumns6][]byte, l *lease6.Lease6) error {
	var v [numColumns6]uint64
	for _, c := range [...]struct {
		column int
		most   uint64
	}{
		{col6ValidLifetime, math.MaxUint32}, {col6Expire, math.MaxInt64}, {col6SubnetID, math.MaxUint32},
		{col6PrefLifetime, math.MaxUint32}, {col6LeaseType, 255}, {col6IAID, math.MaxUint32},
	} {
		var err error
		if v[c.column], err = r.uint(f[:], c.column, c.most); err != nil {
			return err
		}
	}
	l.ValidLifetimeS, l.CLTTUnixS = uint32(v[col6ValidLifetime]), int64(v[col6Expire])-int64(v[col6ValidLifetime])
	l.SubnetID, l.PreferredLifetimeS, l.IAID = uint32(v[col6SubnetID]), uint32(v[col6PrefLifetime]), uint32(v[col6IAID])
	l.Type = lease6.Type(v[col6LeaseType])
	switch l.Type {
	case lease6.TypeNA:
	case lease6.TypePD:
		length, err := r.uint(f[:], col6PrefixLen, 128)
		if err != nil {
			return err
		}
		l.PrefixLen = uint8(length)
	default:
		return r.rowError("lease_type: %d is not 0 (IA_NA) or 2 (IA_PD)", l.Type)
	}
	return nil
}

// parseHW reads what a file may have of the hardware address: without its type it
// is Ethernet.
func (r *Reader6) parseHW(f *[numColumns6][]byte, n int, l *lease6.Lease6) error {
	hw, hwErr := parseColonHex(l.HWAddr[:0], f[col6HWAddr], ':', lease6.MaxHWAddrLen)
	l.HWLen = uint8(len(hw))
	htype, source := uint64(1), uint64(0)
	var err error
	if n > col6HWType && len(f[col6HWType]) > 0 {
		if htype, err = r.uint(f[:], col6HWType, math.MaxUint16); err != nil {
			return err
		}
	}
	if n > col6HWAddrSource && len(f[col6HWAddrSource]) > 0 {
		if source, err = r.uint(f[:], col6HWAddrSource, math.MaxUint32); err != nil {
			return err
		}
	}
	if hwErr != nil || l.HWLen == 0 {
		l.SetHW(0, nil, lease6.HWSourceUnknown)
		clear(l.HWAddr[:])
		return nil
	}
	l.HWType = uint16(htype)
	if source <= math.MaxUint8 { // Kea knows no others
		l.HWSource = lease6.HWSource(source)
	}
	return nil
}

func (r *Reader6) parseDUID(f *[numColumns6][]byte, l *lease6.Lease6) error {
	id, err := parseColonHex(l.DUID[:0], f[col6DUID], ':', lease6.MaxDUIDLen)
	if err != nil {
		return r.rowError("duid: %v in %q", err, clip(f[col6DUID]))
	}
	switch empty := len(id) == 0 || string(id) == "\x00" || string(id) == "\x00\x00\x00"; { // one octet: Kea 2.2
	case empty && l.State != lease.StateDeclined:
		return r.rowError("row has no duid, which only a declined lease may")
	case empty:
		id = nil
	case len(id) < minDUIDLen:
		return r.rowError("duid: has %d octets, at least %d must be", len(id), minDUIDLen)
	}
	l.DUIDLen = uint8(len(id))
	return nil
}
