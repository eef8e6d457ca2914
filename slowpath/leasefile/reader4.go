package leasefile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// maxLineBytes limits a line, so that a file that is none cannot take all memory.
const maxLineBytes = 1 << 20

// Reader4 reads the rows of one DHCPv4 lease file in order, as Kea does. It
// belongs to one goroutine.
type Reader4 struct {
	name    string
	in      *bufio.Reader
	line    int
	long    []byte // of a line longer than in's buffer
	columns int    // of the header
	schema  Schema
	err     RowError // reused
}

// NewReader4 reads the header. name is for messages. A file without a single
// line is no error: it has no rows, as Kea writes the header when it opens one.
func NewReader4(in io.Reader, name string) (*Reader4, error) {
	r := &Reader4{name: name, in: bufio.NewReaderSize(in, 256<<10)}
	head, err := r.next()
	if errors.Is(err, io.EOF) {
		r.columns = numColumns4
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	fields := bytes.Split(head, []byte{','})
	for i, f := range fields {
		if i == numColumns4 {
			break
		}
		if string(f) != columns4[i] {
			hint := ""
			if i == 1 && string(f) == "duid" {
				hint = ": this is a DHCPv6 lease file"
			}
			return nil, r.rowError("header: column %d is %q, expected %q%s", i+1, clip(f), columns4[i], hint)
		}
	}
	if len(fields) < minColumns4 {
		return nil, r.rowError("header: has %d columns, expected at least %d (up to %q)", len(fields), minColumns4, columns4[minColumns4-1])
	}
	r.columns = len(fields)
	switch {
	case r.columns < numColumns4:
		r.schema = SchemaOlder
	case r.columns > numColumns4:
		r.schema = SchemaNewer
	}
	return r, nil
}

// Schema says how the header compares with Header4.
func (r *Reader4) Schema() Schema { return r.schema }

// Line is the number of the line read last, from 1.
func (r *Reader4) Line() int { return r.line }

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

func (r *Reader4) rowError(format string, a ...any) error {
	r.err = RowError{File: r.name, Line: r.line, What: fmt.Sprintf(format, a...)}
	return &r.err
}

// next returns the next line that is not blank, without its end; it is valid
// until the next call and may be written to.
func (r *Reader4) next() ([]byte, error) {
	for {
		line, err := r.in.ReadSlice('\n')
		r.line++
		if errors.Is(err, bufio.ErrBufferFull) {
			if line, err = r.nextLong(line); err == nil && line == nil {
				return nil, r.rowError("line is longer than %d bytes", maxLineBytes)
			}
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			if errors.Is(err, io.EOF) {
				r.line--
				return nil, io.EOF
			}
			return nil, fmt.Errorf("read %s: %w", r.name, err)
		}
		line = bytes.TrimSuffix(line, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) > 0 {
			return line, nil
		}
	}
}

// nextLong reads the rest of a line that starts with start. Both results nil: it
// was too long, and was skipped.
func (r *Reader4) nextLong(start []byte) (line []byte, err error) {
	r.long = append(r.long[:0], start...)
	tooLong := false
	for {
		part, err := r.in.ReadSlice('\n')
		if tooLong = tooLong || len(r.long)+len(part) > maxLineBytes; !tooLong {
			r.long = append(r.long, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case tooLong:
			r.long = nil
			return nil, nil
		default:
			return r.long, err
		}
	}
}

func (r *Reader4) parse(line []byte, l *lease.Lease4) error {
	var f [numColumns4][]byte
	n, all := 0, 0
	for rest, more := line, true; more; all++ {
		var field []byte
		if i := bytes.IndexByte(rest, ','); i >= 0 {
			field, rest = rest[:i], rest[i+1:]
		} else {
			field, more = rest, false
		}
		if n < numColumns4 {
			f[n] = field
			n++
		}
	}
	if want := min(r.columns, numColumns4); n < want {
		return r.rowError("row has %d columns, expected %d", n, want)
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
	valid, ok := parseUint(f[colValidLifetime], math.MaxUint32)
	if !ok {
		return r.badNumber(colValidLifetime, f[colValidLifetime])
	}
	expire, ok := parseUint(f[colExpire], math.MaxInt64)
	if !ok {
		return r.badNumber(colExpire, f[colExpire])
	}
	l.ValidLifetimeS, l.CLTTUnixS = uint32(valid), int64(expire)-int64(valid)
	subnet, ok := parseUint(f[colSubnetID], math.MaxUint32)
	if !ok {
		return r.badNumber(colSubnetID, f[colSubnetID])
	}
	l.SubnetID = uint32(subnet)
	if l.FQDNFwd, ok = parseBool(f[colFQDNFwd]); !ok {
		return r.rowError("fqdn_fwd: %q is not 0 or 1", clip(f[colFQDNFwd]))
	}
	if l.FQDNRev, ok = parseBool(f[colFQDNRev]); !ok {
		return r.rowError("fqdn_rev: %q is not 0 or 1", clip(f[colFQDNRev]))
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
		pool, ok := parseUint(f[colPoolID], math.MaxUint32)
		if !ok {
			return r.badNumber(colPoolID, f[colPoolID])
		}
		l.PoolID = uint32(pool)
	}
	if l.HWLen == 0 && l.ClientIDLen == 0 && l.State != lease.StateDeclined {
		return r.rowError("row has neither hwaddr nor client_id, which only a declined lease may")
	}
	return nil
}

func (r *Reader4) badNumber(column int, text []byte) error {
	return r.rowError("%s: %q is not a number in range", columns4[column], clip(text))
}

func isJSONMap(b []byte) bool {
	t := bytes.TrimLeft(b, " \t\r\n")
	return len(t) > 0 && t[0] == '{' && json.Valid(b)
}

// clip keeps messages short.
func clip(b []byte) string {
	const most = 64
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(b)
}
