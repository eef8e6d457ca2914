// Package host looks up host reservations by identifier and by address. An
// Index is immutable and safe from any goroutine.
package host

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// Index holds the reservations of one configuration.
type Index struct{}

// NewIndex builds the index, global reservations under subnet id 0.
func NewIndex(cfg *config.Dhcp4) *Index { panic("host: not built yet") }

// ByIdentifier returns the reservation, nil if none. No allocation.
func (x *Index) ByIdentifier(subnetID uint32, t config.IdentifierType, id []byte) *config.Reservation4 {
	panic("host: not built yet")
}

// ByAddr returns the reservation of that address, nil if none.
func (x *Index) ByAddr(subnetID uint32, addr dhcp4.IPv4) *config.Reservation4 {
	panic("host: not built yet")
}
