// Package controltest gives a server random control commands and checks
// afterwards, through commands too, that its leases, indexes and statistics agree
// with a slow recount. It is for tests and knows nothing of the server.
package controltest

import (
	"encoding/json"
	"fmt"
)

// Do runs a command: how, is the test's matter. args is anything encoding/json
// can write, nil for none; arguments is the answer's as JSON.
type Do func(command string, args any) (result int, text string, arguments json.RawMessage, err error)

// object is a JSON map.
type object = map[string]any

// list is a JSON list.
type list = []any

// Field says what the commands may use: the addresses and identifiers named here
// are theirs alone, so that what clients have is not touched, except by what is
// about the whole server.
type Field struct {
	// Family is 4 or 6.
	Family int
	// SubnetID and Subnet are the subnet that clients are served in; commands
	// change its options, and have its addresses Addr(0) to Addr(Addrs-1), which
	// no client may be given.
	SubnetID int
	Subnet   string
	Addrs    int
	Addr     func(i int) string
	// Wipe lets the commands delete the leases of that subnet too.
	Wipe bool
	// Files lets them write files, and Reload read the start-up file again.
	Files, Reload bool
}

// name is a command of the family: name("lease%d-add").
func (f *Field) name(format string) string { return fmt.Sprintf(format, f.Family) }
