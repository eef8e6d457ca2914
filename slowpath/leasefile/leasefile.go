// Package leasefile reads and writes Kea's memfile, the CSV file in which Kea
// keeps its leases, and keeps one as an asynchronous mirror of the lease table.
//
// A file is a header and rows, one per change: the last row of an address is
// its lease, and a row with valid_lifetime 0 says that it has none (LS-004). The
// names and the order of the columns are fixed (LS-001). Kea's lease file
// cleanup spreads the leases over a set of files for a while; Load4 reads the
// set as Kea does when it starts (LS-009).
//
// The file is not our lease database: package leasestore is. It is what comes
// from Kea, what goes back to it, and what Stork and backup scripts read.
//
// # What a row cannot hold
//
// Kea has no column for a DHCPv4 client's hardware type: it is Ethernet when
// read. Kea refuses rows without hardware address and client identifier unless
// they are declined, and client identifiers of a single octet; see Writable4.
// Kea 2.2 also refuses client identifiers of more than 128 octets, which later
// versions take.
package leasefile

import (
	"fmt"
	"strings"
)

// Kea's names beside the lease file (LS-009, WR-22).
const (
	suffixCompleted = ".completed" // a finished cleanup that was not renamed yet
	suffixPrevious  = ".2"         // what the last cleanup made
	suffixInput     = ".1"         // what a cleanup is reading
	suffixOutput    = ".output"    // what a cleanup is writing
	suffixPID       = ".pid"
)

// RowError is a row that cannot be read. Reading can go on after it.
type RowError struct {
	File string
	Line int // from 1
	What string
}

func (e *RowError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.What) }

// columns4 are the DHCPv4 columns, schema 3.0; Kea 2.2 has all but the last.
var columns4 = [...]string{
	"address", "hwaddr", "client_id", "valid_lifetime", "expire", "subnet_id",
	"fqdn_fwd", "fqdn_rev", "hostname", "state", "user_context", "pool_id",
}

const (
	colAddress = iota
	colHWAddr
	colClientID
	colValidLifetime
	colExpire
	colSubnetID
	colFQDNFwd
	colFQDNRev
	colHostname
	colState
	colUserContext
	colPoolID
	numColumns4

	// minColumns4 is how many every file has had: up to hostname.
	minColumns4 = colHostname + 1
)

// Header4 is the first line of a DHCPv4 lease file, without its end.
var Header4 = strings.Join(columns4[:], ",")

// Schema is how a file's header compares with the columns known here.
type Schema uint8

const (
	SchemaCurrent Schema = iota
	SchemaOlder          // fewer columns: the missing ones have defaults
	SchemaNewer          // more columns: the surplus is ignored
)

func (s Schema) String() string {
	switch s {
	case SchemaCurrent:
		return "current"
	case SchemaOlder:
		return "older"
	case SchemaNewer:
		return "newer"
	}
	return fmt.Sprintf("Schema(%d)", uint8(s))
}
