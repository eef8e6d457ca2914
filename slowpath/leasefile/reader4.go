package leasefile

import (
	"io"
	"math"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// Reader4 reads the rows of one DHCPv4 lease file in order, as Kea does. It
// belongs to one goroutine.
type Reader4 struct{ rowReader }

// NewReader4 reads the header. name is for messages. A file without a single
// line is no error: it has no rows, as Kea writes the header when it opens one.
func NewReader4(in io.Reader, name string) (*Reader4, error) {
	r := new(Reader4)
	if err := r.header(in, name, columns4[:], minColumns4, [2]string{"duid", "DHCPv6"}); err != nil {
		return nil, err
	}
	return r, nil
}

// Next reads the next row into l, whose Version it leaves 0; rows with
// ValidLifetimeS 0 are deletions. At the end the error is io.EOF. Of a bad row it
// is a *RowError, valid until the next call, l is unspecified, and the next call
// goes on behind it. Any other error is one of reading and final.
//
// As Kea does: blank lines are skipped, the last line needs no end, surplus
// columns are ignored, a column that the header lacks has its default, host names
// become lower case. Unlike it: lines may end in CR LF, and numbers have no sign.
func (r *Reader4) Next(l *lease.Lease4) error {
	line, err := r.next()
	if err != nil {
		return err
	}
	return r.parse(line, l)
}

func (r *Reader4) parse(line []byte, l *lease.Lease4) error {
	var f [numColumns4][]byte
	n, err := r.split(line, f[:])
	if err != nil {
		return err
	}
	addr, ok := parseIPv4(f[colAddress])
	if !ok {
		return r.rowError("address: %q is not an IPv4 address", clip(f[colAddress]))
	}
	// Set field by field: the arrays of a Lease4 are large.
	l.Addr, l.Version, l.UserContext, l.PoolID, l.State = dhcp4.IPv4(addr), 0, "", 0, lease.StateDefault
	l.HWType, l.HWLen, l.ClientIDLen, l.HostnameLen = 0, 0, 0, 0

	hw, err := parseColonHex(l.HWAddr[:0], f[colHWAddr], ':', lease.MaxHWAddrLen)
	if err != nil {
		return r.rowError("hwaddr: %v in %q", err, clip(f[colHWAddr]))
	}
	if l.HWLen = uint8(len(hw)); l.HWLen > 0 {
		l.HWType = 1
	}
	if len(f[colClientID]) > 0 {
		cid, err := parseClientID(l.ClientID[:0], f[colClientID])
		if err != nil {
			return r.rowError("client_id: %v in %q", err, clip(f[colClientID]))
		}
		l.ClientIDLen = uint8(len(cid))
	}
	valid, err := r.uint(f[:], colValidLifetime, math.MaxUint32)
	if err != nil {
		return err
	}
	expire, err := r.uint(f[:], colExpire, math.MaxInt64)
	if err != nil {
		return err
	}
	l.ValidLifetimeS, l.CLTTUnixS = uint32(valid), int64(expire)-int64(valid)
	subnet, err := r.uint(f[:], colSubnetID, math.MaxUint32)
	if err != nil {
		return err
	}
	l.SubnetID = uint32(subnet)
	if l.FQDNFwd, err = r.bool(f[:], colFQDNFwd); err != nil {
		return err
	}
	if l.FQDNRev, err = r.bool(f[:], colFQDNRev); err != nil {
		return err
	}
	host := unescape(f[colHostname])
	if len(host) > lease.MaxHostnameLen {
		return r.rowError("hostname: has %d octets, at most %d can be", len(host), lease.MaxHostnameLen)
	}
	for i, c := range host {
		if c >= 'A' && c <= 'Z' {
			host[i] = c + 'a' - 'A'
		}
	}
	l.SetHost(host)
	if n > colState {
		state, ok := parseUint(f[colState], uint64(lease.StateReleased))
		if !ok {
			return r.rowError("state: %q is not one of 0 to %d", clip(f[colState]), lease.StateReleased)
		}
		l.State = lease.State(state)
	}
	if n > colUserContext && len(f[colUserContext]) > 0 {
		text := unescape(f[colUserContext])
		if !isJSONMap(text) {
			return r.rowError("user_context: %q is not a JSON map", clip(text))
		}
		l.UserContext = string(text)
	}
	if n > colPoolID {
		pool, err := r.uint(f[:], colPoolID, math.MaxUint32)
		if err != nil {
			return err
		}
		l.PoolID = uint32(pool)
	}
	if l.HWLen == 0 && l.ClientIDLen == 0 && l.State != lease.StateDeclined {
		return r.rowError("row has neither hwaddr nor client_id, which only a declined lease may")
	}
	return nil
}
