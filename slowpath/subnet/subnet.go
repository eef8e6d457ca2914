// Package subnet chooses the subnet of a query as Kea does (V4-050): RAI link
// selection, subnet selection option, relay addresses, giaddr, ciaddr, source
// address, interface name, interface address. Candidates are tried by ascending
// subnet id. It keeps no state but its immutable index; safe from any goroutine.
//
// Nothing is scanned: relay addresses and interface names are maps, and
// prefixes are cut into elementary ranges, so that the subnets holding an
// address are found by one binary search whatever their number.
package subnet

import (
	"cmp"
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// Index answers look-ups for one configuration.
type Index struct {
	byID    []*config.Subnet4 // ascending ID
	byRelay map[dhcp4.IPv4][]*config.Subnet4
	byIface map[string][]*config.Subnet4

	// Range i is the addresses from starts[i] up to before starts[i+1]; the
	// subnets that hold it are covers[offs[i]:offs[i+1]], ascending ID. Prefixes
	// nest or are disjoint, so a range has few.
	starts []dhcp4.IPv4
	offs   []uint32
	covers []*config.Subnet4
}

// NewIndex builds the index of cfg's subnets. It does not keep cfg, but its
// subnets.
func NewIndex(cfg *config.Dhcp4) *Index {
	x := &Index{
		byID:    slices.Clone(cfg.Subnets),
		byRelay: make(map[dhcp4.IPv4][]*config.Subnet4),
		byIface: make(map[string][]*config.Subnet4),
	}
	slices.SortStableFunc(x.byID, func(a, b *config.Subnet4) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range x.byID {
		// What the subnet does not say its shared network does.
		relays, iface := s.RelayAddrs, s.Interface
		if net := s.Network; net != nil {
			if len(relays) == 0 {
				relays = net.RelayAddrs
			}
			if iface == "" {
				iface = net.Interface
			}
		}
		for _, r := range relays {
			if l := x.byRelay[r]; len(l) == 0 || l[len(l)-1] != s {
				x.byRelay[r] = append(l, s)
			}
		}
		if iface != "" {
			x.byIface[iface] = append(x.byIface[iface], s)
		}
	}
	x.buildRanges()
	return x
}

// buildRanges sweeps over the prefixes by address, keeping the open ones.
func (x *Index) buildRanges() {
	bounds := make([]uint64, 0, 2*len(x.byID)) // 64 bits: one past 255.255.255.255
	for _, s := range x.byID {
		bounds = append(bounds, uint64(s.First), uint64(s.Last)+1)
	}
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)

	byFirst := slices.Clone(x.byID)
	slices.SortStableFunc(byFirst, func(a, b *config.Subnet4) int { return cmp.Compare(a.First, b.First) })
	var open []*config.Subnet4
	next := 0
	for _, b := range bounds {
		if b > uint64(dhcp4.Broadcast) {
			break
		}
		open = slices.DeleteFunc(open, func(s *config.Subnet4) bool { return uint64(s.Last) < b })
		for ; next < len(byFirst) && uint64(byFirst[next].First) == b; next++ {
			open = append(open, byFirst[next])
		}
		slices.SortStableFunc(open, func(a, b *config.Subnet4) int { return cmp.Compare(a.ID, b.ID) })
		x.starts = append(x.starts, dhcp4.IPv4(b))
		x.offs = append(x.offs, uint32(len(x.covers)))
		x.covers = append(x.covers, open...)
	}
	x.offs = append(x.offs, uint32(len(x.covers)))
}

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

// Select returns the chosen subnet, nil if none. Each step of V4-050 that
// applies to the query ends the search, found or not, but for the relay address
// (then giaddr by prefix) and the interface name (then the interface's own
// address).
func (x *Index) Select(s *Selector) *config.Subnet4 {
	if s.LinkSelection != 0 {
		return x.byAddr(s.LinkSelection, s)
	}
	if s.GIAddr != 0 {
		if n := s.first(x.byRelay[s.GIAddr]); n != nil {
			return n
		}
		return x.byAddr(s.GIAddr, s)
	}
	// A broadcast says nothing about where the client is but the wire.
	if s.Dst != dhcp4.Broadcast {
		if s.CIAddr != 0 {
			return x.byAddr(s.CIAddr, s)
		}
		if s.Src != 0 {
			return x.byAddr(s.Src, s)
		}
	}
	if s.IfName != "" {
		if n := s.first(x.byIface[s.IfName]); n != nil {
			return n
		}
	}
	if s.IfAddr != 0 {
		return x.byAddr(s.IfAddr, s)
	}
	return nil
}

// ByID returns the subnet with that id, nil if none.
func (x *Index) ByID(id uint32) *config.Subnet4 {
	lo, hi := 0, len(x.byID)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if x.byID[m].ID < id {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(x.byID) && x.byID[lo].ID == id {
		return x.byID[lo]
	}
	return nil
}

// All returns the subnets by ascending id; the slice is the index's own.
func (x *Index) All() []*config.Subnet4 { return x.byID }

func (x *Index) byAddr(a dhcp4.IPv4, s *Selector) *config.Subnet4 {
	return s.first(x.Covering(a))
}

// Covering returns the subnets whose prefix holds a, by ascending id; the slice
// is the index's own.
func (x *Index) Covering(a dhcp4.IPv4) []*config.Subnet4 {
	lo, hi := 0, len(x.starts)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if x.starts[m] <= a {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo == 0 {
		return nil
	}
	return x.covers[x.offs[lo-1]:x.offs[lo]]
}

// first returns the first of l that the query may use.
func (s *Selector) first(l []*config.Subnet4) *config.Subnet4 {
	for _, n := range l {
		if s.Allowed == nil || s.Allowed(n) {
			return n
		}
	}
	return nil
}
