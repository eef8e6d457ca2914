package config

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// dhcp6Value prints subnets in the order of their ids, and what has defaults that
// depend on other keys.
func dhcp6Value(g *getter, n *keajson.Node, k *key) []byte {
	switch k.name {
	case "subnet6":
		return g.subnets6(n, k)
	case "relay-supplied-options":
		return listOf(g.snap.Dhcp6.RelaySuppliedOptions, func(b []byte, c uint16) []byte {
			return keajson.AppendString(b, strconv.Itoa(int(c)))
		})
	case "mac-sources":
		return listOf(g.snap.Dhcp6.MACSources, func(b []byte, s MACSource) []byte { return keajson.AppendString(b, s.String()) })
	}
	return nil
}

// serverIDValue prints the identifier's octets as Kea does.
func serverIDValue(g *getter, n *keajson.Node, k *key) []byte {
	if k.name != "identifier" {
		return nil
	}
	b, err := optiondef.ParseHex(strings.TrimSpace(n.Text("identifier", "")))
	if err != nil {
		return nil
	}
	return keajson.AppendString(nil, strings.ToUpper(hex.EncodeToString(b)))
}

func listOf[T any](l []T, f func([]byte, T) []byte) []byte {
	b := []byte{'['}
	for i, x := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = f(b, x)
	}
	return append(b, ']')
}

// subnets6 prints subnet6 of n in the order of ids.
func (g *getter) subnets6(n *keajson.Node, k *key) []byte {
	kids := n.List("subnet6")
	order := make([]*keajson.Node, 0, len(kids))
	for i := range kids {
		order = append(order, &kids[i])
	}
	slices.SortStableFunc(order, func(a, b *keajson.Node) int { return cmp.Compare(g.d.six.subnets[a].ID, g.d.six.subnets[b].ID) })
	g.b = append(g.b, '[')
	for i, e := range order {
		if i > 0 {
			g.b = append(g.b, ',')
		}
		g.scope(e, k.sub)
	}
	return []byte{']'}
}

// preferredValue prints a preferred lifetime where one is configured.
func preferredValue(p *Params6, name string) []byte {
	switch {
	case !p.PreferredSet:
		return skip
	case strings.HasPrefix(name, "min-"):
		return u32Value(p.Preferred.Min)
	case strings.HasPrefix(name, "max-"):
		return u32Value(p.Preferred.Max)
	}
	return u32Value(p.Preferred.Default)
}

func network6Value(g *getter, n *keajson.Node, k *key) []byte {
	if k.name == "subnet6" {
		return g.subnets6(n, k)
	}
	w := g.d.six.networks[n]
	return inherited6(n, k, &w.Params6)
}

func subnet6Value(g *getter, n *keajson.Node, k *key) []byte {
	s := g.d.six.subnets[n]
	if k.name == "subnet" {
		return keajson.AppendString(nil, s.Text)
	}
	// A subnet of a network that gives one of these has it from there.
	if s.Network != nil && n.Get(k.name) == nil {
		switch k.name {
		case "interface":
			if s.Network.Interface != "" || s.Network.InterfaceID != nil {
				return skip
			}
		case "rapid-commit":
			return skip
		}
	}
	return inherited6(n, k, &s.Params6)
}

// inherited6 prints what a network or subnet inherits of the parameters that Kea
// copies into it; the others appear only where they are given.
func inherited6(n *keajson.Node, k *key, p *Params6) []byte {
	switch k.name {
	// The three of a lifetime are printed together, also where two follow from
	// the third.
	case "preferred-lifetime", "min-preferred-lifetime", "max-preferred-lifetime":
		return preferredValue(p, k.name)
	case "valid-lifetime":
		return u32Value(p.Valid.Default)
	case "min-valid-lifetime":
		return u32Value(p.Valid.Min)
	case "max-valid-lifetime":
		return u32Value(p.Valid.Max)
	}
	if n.Get(k.name) != nil {
		return nil
	}
	switch k.name {
	case "renew-timer":
		if p.RenewTimerSet {
			return u32Value(p.RenewTimerS)
		}
	case "rebind-timer":
		if p.RebindTimerSet {
			return u32Value(p.RebindTimerS)
		}
	case "calculate-tee-times":
		return strconv.AppendBool(nil, p.CalculateTee)
	case "t1-percent":
		return appendReal(nil, p.T1Percent)
	case "t2-percent":
		return appendReal(nil, p.T2Percent)
	case "cache-threshold":
		return appendReal(nil, p.CacheThreshold)
	case "cache-max-age":
		if p.CacheMaxAgeS >= 0 {
			return strconv.AppendInt(nil, p.CacheMaxAgeS, 10)
		}
	case "adaptive-lease-time-threshold":
		if p.AdaptiveThreshold > 0 {
			return appendReal(nil, p.AdaptiveThreshold)
		}
	case "allocator":
		return keajson.AppendString(nil, p.Allocator)
	case "pd-allocator":
		return keajson.AppendString(nil, p.PDAllocator)
	case "store-extended-info":
		return strconv.AppendBool(nil, p.StoreExtendedInfo)
	}
	return nil
}

// pool6Value prints a pool as Kea does: a prefix where it is one, else FIRST-LAST.
func pool6Value(_ *getter, n *keajson.Node, k *key) []byte {
	if k.name != "pool" {
		return nil
	}
	first, last, err := parsePool6(n.Text("pool", ""))
	if err != nil {
		return nil
	}
	for bits := 128; bits > 0; bits-- {
		p := netip.PrefixFrom(first, bits)
		if p.Masked() != p {
			break
		}
		if lastOf(p) == last {
			return keajson.AppendString(nil, p.String())
		}
	}
	return keajson.AppendString(nil, fmt.Sprintf("%s-%s", first, last))
}

// pdPoolValue leaves out an excluded prefix that is none.
func pdPoolValue(_ *getter, n *keajson.Node, k *key) []byte {
	switch k.name {
	case "prefix":
		if a, err := parseIPv6(strings.TrimSpace(n.Text("prefix", ""))); err == nil {
			return keajson.AppendString(nil, a.String())
		}
	case "excluded-prefix", "excluded-prefix-len":
		if n.Int("excluded-prefix-len", 0) == 0 {
			return skip
		}
	}
	return nil
}

// reservation6Value prints identifiers and addresses in one way, however they are
// written.
func reservation6Value(_ *getter, n *keajson.Node, k *key) []byte {
	switch k.name {
	case "duid", "hw-address", "flex-id":
		v := n.Get(k.name)
		if v == nil {
			return nil
		}
		id, err := ParseIdentifier(v.Str)
		if err != nil {
			return nil
		}
		text := hex.EncodeToString(id)
		if k.name == "flex-id" {
			return keajson.AppendString(nil, strings.ToUpper(text))
		}
		var b []byte
		for i := 0; i < len(text); i += 2 {
			if i > 0 {
				b = append(b, ':')
			}
			b = append(b, text[i:i+2]...)
		}
		return keajson.AppendString(nil, string(b))
	case "excluded-prefixes":
		for _, e := range n.List(k.name) {
			if optiondef.StripBlanks(e.Str) != "" {
				return nil
			}
		}
		return skip
	}
	return nil
}
