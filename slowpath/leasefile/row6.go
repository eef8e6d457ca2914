package leasefile

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// columns6 are the DHCPv6 columns, schema 5.0; Kea 2.2 has all but the last.
var columns6 = [...]string{
	"address", "duid", "valid_lifetime", "expire", "subnet_id", "pref_lifetime", "lease_type", "iaid", "prefix_len",
	"fqdn_fwd", "fqdn_rev", "hostname", "hwaddr", "state", "user_context", "hwtype", "hwaddr_source", "pool_id",
}

const (
	col6Address = iota
	col6DUID
	col6ValidLifetime
	col6Expire
	col6SubnetID
	col6PrefLifetime
	col6LeaseType
	col6IAID
	col6PrefixLen
	col6FQDNFwd
	col6FQDNRev
	col6Hostname
	col6HWAddr
	col6State
	col6UserContext
	col6HWType
	col6HWAddrSource
	col6PoolID
	numColumns6

	// minColumns6 is how many every file has had: up to hostname.
	minColumns6 = col6Hostname + 1
)

// Header6 is the first line of a DHCPv6 lease file, without its end.
var Header6 = strings.Join(columns6[:], ",")

// AppendHeader6 appends Header6 and its line end to dst.
func AppendHeader6(dst []byte) []byte { return append(append(dst, Header6...), '\n') }

// minDUIDLen is the shortest DUID that Kea reads (RFC 8415 §11.1: the type and
// one octet at least).
const minDUIDLen = 3

// Writable6 reports whether a row for l is one that Kea reads: it has a DUID of
// three octets at least or is declined, and is no offer, which exists nowhere but
// in memory.
func Writable6(l *lease6.Lease6) bool {
	return l.State != lease.StateOffered && (l.DUIDLen >= minDUIDLen || l.State == lease.StateDeclined)
}

// AppendRow6 appends the row of l, with its line end, as Kea writes it: a declined
// lease has the DUID 00:00:00. Relay information goes to where Kea has it, the
// user context's ISC.relay-info. A user context that is no JSON map is left out:
// Kea would refuse the whole row. l is not kept.
func AppendRow6(dst []byte, l *lease6.Lease6) []byte { return appendRow6(dst, l, l.ValidLifetimeS) }

// AppendDeletion6 appends a row that says that l is no more.
func AppendDeletion6(dst []byte, l *lease6.Lease6) []byte { return appendRow6(dst, l, 0) }

func appendRow6(dst []byte, l *lease6.Lease6, valid uint32) []byte {
	number := func(n uint64) { dst = strconv.AppendUint(append(dst, ','), n, 10) }
	dst = netip.AddrFrom16(l.Addr).AppendTo(dst)
	dst = append(dst, ',')
	if l.DUIDLen >= minDUIDLen {
		dst = appendColonHex(dst, l.ID())
	} else {
		dst = append(dst, "00:00:00"...)
	}
	number(uint64(valid))
	number(uint64(l.CLTTUnixS) + uint64(valid))
	number(uint64(l.SubnetID))
	number(uint64(l.PreferredLifetimeS))
	number(uint64(l.Type))
	number(uint64(l.IAID))
	number(uint64(l.PrefixLen))
	dst = append(dst, ',', digit(l.FQDNFwd), ',', digit(l.FQDNRev), ',')
	dst = append(appendEscaped(dst, l.Host()), ',')
	dst = appendColonHex(dst, l.HW())
	number(uint64(l.State))
	dst = append(dst, ',')
	if text := context6(l); text != "" && isJSONMap([]byte(text)) {
		dst = appendEscaped(dst, text)
	}
	if l.HWLen == 0 {
		dst = append(dst, ",0,0"...)
	} else {
		number(uint64(l.HWType))
		number(uint64(l.HWSource))
	}
	number(uint64(l.PoolID))
	return append(dst, '\n')
}
