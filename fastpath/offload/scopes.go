// Package offload says what of the engine's configuration the XDP program may
// apply by itself. It only ever gives the kernel what is exactly known there: a
// limit of a subnet goes down only where the subnet of a packet can be told from
// its relay address or its interface alone.
//
// Everything is computed from immutable values; safe from any goroutine.
package offload

import (
	"net/netip"
	"time"

	"github.com/peregrine-dhcp/peregrine/bpf"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// Limit is a rate that a hook library wants applied as early as possible: of a
// subnet, or of all DHCPv4 packets if SubnetID is 0. The library applies it
// exactly; the kernel only takes away the bulk of what is above it.
type Limit struct {
	SubnetID   uint32
	Packets    uint32
	IntervalNs int64
	Burst      uint32
}

// Scopes turns limits into scopes of the XDP program. Left out are limits of
// subnets that share addresses or an interface with another subnet, or have a
// class guard: there the choice needs more than the kernel looks at. skipped is
// how many those are.
func Scopes(limits []Limit, d *config.Dhcp4, ifaces []netio.Interface) (scopes []bpf.Scope, skipped int) {
	subnets := map[uint32]*config.Subnet4{}
	for _, s := range d.Subnets {
		subnets[s.ID] = s
	}
	for _, l := range limits {
		sc := bpf.Scope{
			ID: uint64(l.SubnetID), Family: bpf.FamilyIPv4,
			Rate: bpf.Rate{Tokens: uint64(l.Packets), Per: time.Duration(l.IntervalNs), Burst: uint64(l.Burst)},
		}
		if l.SubnetID == 0 {
			sc.Global = true
			scopes = append(scopes, sc)
			continue
		}
		s := subnets[l.SubnetID]
		if s == nil || !alone(s, d.Subnets) {
			skipped++
			continue
		}
		sc.Prefixes = append(sc.Prefixes, s.Prefix)
		for _, a := range s.RelayAddrs {
			sc.Prefixes = append(sc.Prefixes, netip.PrefixFrom(a.Netip(), 32))
		}
		for i := range ifaces {
			if direct(s, d.Subnets, &ifaces[i]) {
				sc.IfIndexes = append(sc.IfIndexes, ifaces[i].Index)
			}
		}
		scopes = append(scopes, sc)
	}
	return scopes, skipped
}

// alone says whether an address in the subnet or of its relays can only mean it.
func alone(s *config.Subnet4, all []*config.Subnet4) bool {
	if len(s.ClientClasses) > 0 {
		return false
	}
	for _, o := range all {
		if o == s {
			continue
		}
		if o.Prefix.Overlaps(s.Prefix) {
			return false
		}
		for _, a := range o.RelayAddrs {
			if within(a, s) || relays(s, a) {
				return false
			}
		}
		for _, a := range s.RelayAddrs {
			if within(a, o) {
				return false
			}
		}
	}
	return true
}

func within(a dhcp4.IPv4, s *config.Subnet4) bool { return a >= s.First && a <= s.Last }

func relays(s *config.Subnet4, a dhcp4.IPv4) bool {
	for _, r := range s.RelayAddrs {
		if r == a {
			return true
		}
	}
	return false
}

// direct says whether direct clients on the interface can only be in the subnet:
// it is the one that names the interface, or none does and all addresses of the
// interface lie in it (V4-050, the last two steps).
func direct(s *config.Subnet4, all []*config.Subnet4, i *netio.Interface) bool {
	named := 0
	for _, o := range all {
		if o.Interface == i.Name {
			named++
		}
	}
	if named > 0 {
		return named == 1 && s.Interface == i.Name
	}
	if len(i.Addrs4) == 0 || s.Interface != "" {
		return false
	}
	for _, a := range i.Addrs4 {
		if !within(dhcp4.IPv4(a.Addr), s) {
			return false
		}
	}
	return true
}
