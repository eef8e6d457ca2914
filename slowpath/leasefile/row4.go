package leasefile

import (
	"strconv"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

const (
	hexDigits = "0123456789abcdef"
	// minClientIDLen is the shortest client identifier that Kea reads (RFC 2132
	// §9.14: at least two octets).
	minClientIDLen = 2
)

// row4 is what a row says. Its slices belong to whoever made it.
type row4 struct {
	addr, subnet, pool, valid uint32
	cltt                      int64
	fwd, rev                  bool
	state                     lease.State
	hw, cid, host             []byte
	context                   string
}

func rowOf(l *lease.Lease4) row4 {
	return row4{
		addr: uint32(l.Addr), subnet: l.SubnetID, pool: l.PoolID, valid: l.ValidLifetimeS, cltt: l.CLTTUnixS,
		fwd: l.FQDNFwd, rev: l.FQDNRev, state: l.State, hw: l.HW(), cid: l.CID(), host: l.Host(), context: l.UserContext,
	}
}

func (r *row4) writable() bool {
	return r.state != lease.StateOffered &&
		(len(r.hw) > 0 || len(r.cid) >= minClientIDLen || r.state == lease.StateDeclined)
}

// Writable4 reports whether a row for l is one that Kea reads: it has a hardware
// address or a client identifier of two octets at least, or is declined; and it
// is no offer, which exists nowhere but in memory.
func Writable4(l *lease.Lease4) bool {
	r := rowOf(l)
	return r.writable()
}

// AppendHeader4 appends Header4 and its line end to dst.
func AppendHeader4(dst []byte) []byte { return append(append(dst, Header4...), '\n') }

// AppendRow4 appends the row of l, with its line end, exactly as Kea writes it
// (LS-001, LS-003). A lease of lifetime 0, which is what Kea makes of a released
// one, is a deletion to whoever reads it (LS-005). A client identifier of one
// octet is left out, and so is a user context that is no JSON map: Kea would
// refuse the whole row. l is not kept.
func AppendRow4(dst []byte, l *lease.Lease4) []byte {
	r := rowOf(l)
	return r.append(dst)
}

// AppendDeletion4 appends a row that says that l is no more.
func AppendDeletion4(dst []byte, l *lease.Lease4) []byte {
	r := rowOf(l)
	r.valid = 0
	return r.append(dst)
}

func (r *row4) append(dst []byte) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		dst = strconv.AppendUint(dst, uint64(r.addr>>shift&0xFF), 10)
		if shift > 0 {
			dst = append(dst, '.')
		}
	}
	dst = appendColonHex(append(dst, ','), r.hw)
	dst = append(dst, ',')
	if len(r.cid) >= minClientIDLen {
		dst = appendColonHex(dst, r.cid)
	}
	dst = strconv.AppendUint(append(dst, ','), uint64(r.valid), 10)
	dst = strconv.AppendUint(append(dst, ','), uint64(r.cltt)+uint64(r.valid), 10)
	dst = strconv.AppendUint(append(dst, ','), uint64(r.subnet), 10)
	dst = append(dst, ',', digit(r.fwd), ',', digit(r.rev), ',')
	dst = appendEscaped(dst, r.host)
	dst = strconv.AppendUint(append(dst, ','), uint64(r.state), 10)
	dst = append(dst, ',')
	if r.context != "" && isJSONMap([]byte(r.context)) {
		dst = appendEscaped(dst, r.context)
	}
	dst = strconv.AppendUint(append(dst, ','), uint64(r.pool), 10)
	return append(dst, '\n')
}

func digit(b bool) byte {
	if b {
		return '1'
	}
	return '0'
}

// appendColonHex appends octets as Kea does: "01:23:ab".
func appendColonHex(dst, b []byte) []byte {
	for i, x := range b {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = append(dst, hexDigits[x>>4], hexDigits[x&15])
	}
	return dst
}

// appendEscaped appends s with everything that could end a column or a line
// written as &#xHH (LS-003).
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x20 || c > 0x7E || c == ',' || c == '&' {
			dst = append(dst, '&', '#', 'x', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// unescape undoes appendEscaped in place and returns what is left of b. A tag
// that no two hexadecimal digits follow stands for itself.
func unescape(b []byte) []byte {
	n := 0
	for i := 0; i < len(b); n++ {
		if b[i] == '&' && i+4 < len(b) && b[i+1] == '#' && b[i+2] == 'x' {
			if hi, lo := hexValue(b[i+3]), hexValue(b[i+4]); hi < 16 && lo < 16 {
				b[n] = hi<<4 | lo
				i += 5
				continue
			}
		}
		b[n] = b[i]
		i++
	}
	return b[:n]
}

// hexValue is the value of a hexadecimal digit, 255 of anything else.
func hexValue(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
