// Package subnet6 chooses the subnet of a DHCPv6 query as Kea does (V6-030):
// for a client on the wire by interface name, then source address; for a relayed
// one by interface-id, then the relay addresses of subnets and shared networks,
// then link-address in prefix. Candidates are tried by ascending subnet id. It
// keeps no state but its immutable index; safe from any goroutine.
//
// Nothing is scanned: relay addresses, interface-ids and interface names are
// maps, and the prefixes are a tree laid out in order, so that the subnets
// holding an address are found by one binary search and a step up for each level
// of nesting.
package subnet6

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

// Index answers look-ups for one configuration.
type Index struct {
	byID          []*config.Subnet6 // ascending ID
	byRelay       map[netip.Addr][]*config.Subnet6
	byIface       map[string][]*config.Subnet6
	byInterfaceID map[string][]*config.Subnet6
	// nodes are the distinct prefixes by address, shorter ones first.
	nodes []node
}

// node is one prefix.
type node struct {
	prefix netip.Prefix
	parent int32 // position of the next wider prefix that holds this one, -1 none
	// covering are the subnets of this prefix and of all wider ones, ascending
	// ID.
	covering []*config.Subnet6
}

// NewIndex builds the index of cfg's subnets. It does not keep cfg, but its
// subnets.
func NewIndex(cfg *config.Dhcp6) *Index {
	x := &Index{
		byID:          slices.Clone(cfg.Subnets),
		byRelay:       make(map[netip.Addr][]*config.Subnet6),
		byIface:       make(map[string][]*config.Subnet6),
		byInterfaceID: make(map[string][]*config.Subnet6),
	}
	slices.SortStableFunc(x.byID, byID)
	for _, s := range x.byID {
		relays := s.RelayAddrs
		if len(relays) == 0 && s.Network != nil {
			relays = s.Network.RelayAddrs
		}
		for _, r := range relays {
			if l := x.byRelay[r]; len(l) == 0 || l[len(l)-1] != s {
				x.byRelay[r] = append(l, s)
			}
		}
		if s.Interface != "" {
			x.byIface[s.Interface] = append(x.byIface[s.Interface], s)
		}
		if s.InterfaceID != nil {
			id := string(s.InterfaceID)
			x.byInterfaceID[id] = append(x.byInterfaceID[id], s)
		}
	}
	x.plant()
	return x
}

func byID(a, b *config.Subnet6) int { return cmp.Compare(a.ID, b.ID) }

// plant lays out the tree of prefixes.
func (x *Index) plant() {
	l := slices.Clone(x.byID)
	slices.SortStableFunc(l, func(a, b *config.Subnet6) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	parent := int32(-1) // of what comes next
	for _, s := range l {
		if n := len(x.nodes); n > 0 && x.nodes[n-1].prefix == s.Prefix {
			x.nodes[n-1].covering = append(x.nodes[n-1].covering, s)
			continue
		}
		for parent >= 0 && !x.nodes[parent].prefix.Contains(s.Prefix.Addr()) {
			parent = x.nodes[parent].parent
		}
		x.nodes = append(x.nodes, node{prefix: s.Prefix, parent: parent, covering: []*config.Subnet6{s}})
		parent = int32(len(x.nodes) - 1)
	}
	for i := range x.nodes { // parents come before their children
		n := &x.nodes[i]
		if n.parent >= 0 {
			n.covering = append(n.covering, x.nodes[n.parent].covering...)
		}
		slices.SortStableFunc(n.covering, byID)
	}
}

// Selector is what is known of a query. Addresses have no zone; one that is not
// valid or :: is not known.
type Selector struct {
	// LinkAddr is the link-address of the relay nearest to the client that has
	// one which is neither :: nor link-local (V6-022).
	LinkAddr netip.Addr
	// InterfaceID is the interface-id option of the relay nearest to the client
	// that sent one; nil means that none did, empty is one.
	InterfaceID []byte
	IfName      string     // of the interface the query came in by
	Src         netip.Addr // source address of the IPv6 header
	// Allowed is asked for class guards of subnet and network; nil allows all.
	Allowed func(*config.Subnet6) bool
}

// Select returns the chosen subnet, nil if none. A relayed query that nothing
// matches gets none: its source address is the relay's. It does not allocate.
func (x *Index) Select(s *Selector) *config.Subnet6 {
	if !known(s.LinkAddr) && s.InterfaceID == nil {
		if s.IfName != "" {
			if n := s.first(x.byIface[s.IfName]); n != nil {
				return n
			}
		}
		if known(s.Src) {
			return s.first(x.Covering(s.Src))
		}
		return nil
	}
	if s.InterfaceID != nil {
		if n := s.first(x.byInterfaceID[string(s.InterfaceID)]); n != nil {
			return n
		}
	}
	if known(s.LinkAddr) {
		if n := s.first(x.byRelay[s.LinkAddr]); n != nil {
			return n
		}
		return s.first(x.Covering(s.LinkAddr))
	}
	return nil
}

func known(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() }

// ByID returns the subnet with that id, nil if none.
func (x *Index) ByID(id uint32) *config.Subnet6 {
	i, ok := sort.Find(len(x.byID), func(i int) int { return cmp.Compare(id, x.byID[i].ID) })
	if !ok {
		return nil
	}
	return x.byID[i]
}

// All returns the subnets by ascending id; the slice is the index's own.
func (x *Index) All() []*config.Subnet6 { return x.byID }

// Covering returns the subnets whose prefix holds a, by ascending id; the slice
// is the index's own.
func (x *Index) Covering(a netip.Addr) []*config.Subnet6 {
	// The prefixes between the narrowest that holds a and a itself lie inside of
	// that one, so that going up from the last of them leads to it.
	i := sort.Search(len(x.nodes), func(i int) bool { return a.Less(x.nodes[i].prefix.Addr()) }) - 1
	for i >= 0 && !x.nodes[i].prefix.Contains(a) {
		i = int(x.nodes[i].parent)
	}
	if i < 0 {
		return nil
	}
	return x.nodes[i].covering
}

// first returns the first of l that the query may use.
func (s *Selector) first(l []*config.Subnet6) *config.Subnet6 {
	for _, n := range l {
		if s.Allowed == nil || s.Allowed(n) {
			return n
		}
	}
	return nil
}
