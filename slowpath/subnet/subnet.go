// Package subnet chooses the subnet of a query as Kea does (V4-050): RAI link
// selection, subnet selection option, relay addresses, giaddr, ciaddr, source
// address, interface name, interface address. Candidates are tried by ascending
// subnet id. It keeps no state but its immutable index; safe from any goroutine.
package subnet

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// Index answers look-ups for one configuration.
type Index struct{}

// NewIndex builds the index of cfg's subnets.
func NewIndex(cfg *config.Dhcp4) *Index { panic("subnet: not built yet") }

// Selector is what is known of a query.
type Selector struct {
	LinkSelection dhcp4.IPv4 // RAI sub-option 5 or option 118, 0 if absent
	GIAddr        dhcp4.IPv4
	CIAddr        dhcp4.IPv4
	Src, Dst      dhcp4.IPv4
	IfName        string
	IfAddr        dhcp4.IPv4
	// Allowed is asked for class guards; nil allows all.
	Allowed func(*config.Subnet4) bool
}

// Select returns the chosen subnet, nil if none.
func (x *Index) Select(s *Selector) *config.Subnet4 { panic("subnet: not built yet") }

// ByID returns the subnet with that id, nil if none.
func (x *Index) ByID(id uint32) *config.Subnet4 { panic("subnet: not built yet") }
