package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// networks6 decodes shared-networks.
func (d *decoder) networks6(c *Dhcp6, n *keajson.Node) {
	kids := n.List("shared-networks")
	byName := map[string]*keajson.Node{}
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		if d.r.Full() {
			return
		}
		d.push("shared-networks", i)
		w := &SharedNetwork6{Name: e.Text("name", "")}
		d.six.networks[e] = w
		switch v := e.Get("name"); {
		case v == nil:
			d.errorf(e, `a shared network must have a "name"`)
		case v.Kind != keajson.String:
		case w.Name == "":
			d.errorf(v, "a shared network must have a name that is not empty")
		case byName[w.Name] != nil:
			d.errorf(v, "shared network %q is defined twice, first at %s", keajson.Clip(w.Name), d.t.Position(byName[w.Name]))
		default:
			byName[w.Name] = v
		}
		w.Interface, w.InterfaceID = d.link6(e)
		w.RelayAddrs = d.relayAddrs(e)
		w.ClientClasses, w.AdditionalClasses = d.guard(e), d.additional(e)
		w.Params6 = d.params6(e, &c.Params)
		w.Options = d.options6(e)
		w.Subnets = d.subnets6(c, e, w, &w.Params6)
		w.UserContext = userContext(e)
		d.agree6(e, w)
		slices.SortStableFunc(w.Subnets, func(a, b *Subnet6) int { return cmp.Compare(a.ID, b.ID) })
		c.Networks = append(c.Networks, w)
		c.Subnets = append(c.Subnets, w.Subnets...)
		d.pop()
	}
}

// agree6 checks what all subnets of a shared network must have in common: what
// they do before one of them is chosen (WR-27).
func (d *decoder) agree6(n *keajson.Node, w *SharedNetwork6) {
	iface := w.Interface
	kids := n.List("subnet6")
	for i := range kids {
		s := d.six.subnets[&kids[i]]
		if s == nil {
			continue
		}
		if first := w.Subnets[0]; s.RapidCommit != first.RapidCommit {
			at := kids[i].Get("rapid-commit")
			if at == nil {
				at = &kids[i]
			}
			d.errorf(at, "all subnets of a shared network must have the same rapid-commit: it is %v here and %v for %s", s.RapidCommit, first.RapidCommit, first.Text)
		}
		switch {
		case iface == "":
			iface = s.Interface
		case s.Interface != "" && s.Interface != iface:
			d.errorf(kids[i].Get("interface"), "all subnets of a shared network must have the same interface: it is %q here and %q before", s.Interface, iface)
		}
	}
}

// link6 decodes interface and interface-id, of which a scope may have one.
func (d *decoder) link6(n *keajson.Node) (iface string, id []byte) {
	iface = n.Text("interface", "")
	if iface != "" {
		if err := checkIfName(iface); err != nil {
			d.errorf(n.Get("interface"), `"interface" %v`, err)
		}
	}
	if s := n.Text("interface-id", ""); s != "" {
		id = []byte(s)
		if iface != "" {
			d.errorKey(n.Get("interface-id"), `"interface" is for clients on the wire and "interface-id" for those behind a relay: give one of them`)
		}
	}
	return iface, id
}

// subnets6 decodes subnet6 of n, which is the Dhcp6 map or that of network w.
func (d *decoder) subnets6(c *Dhcp6, n *keajson.Node, w *SharedNetwork6, outer *Params6) []*Subnet6 {
	kids := n.List("subnet6")
	out := make([]*Subnet6, 0, len(kids))
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		if d.r.Full() {
			break
		}
		d.push("subnet6", i)
		s := &Subnet6{Network: w}
		d.six.subnets[e] = s
		d.subnet6(c, s, e, outer)
		out = append(out, s)
		d.pop()
	}
	return out
}

func (d *decoder) subnet6(c *Dhcp6, s *Subnet6, n *keajson.Node, outer *Params6) {
	if n.Get("id") == nil {
		d.errorf(n, "a subnet must have an \"id\" between 1 and %d", uint32(maxUint32-1))
	} else if id := n.Int("id", 0); id >= 1 && id < maxUint32 {
		s.ID = uint32(id)
	}
	d.prefix6(s, n)
	s.Interface, s.InterfaceID = d.link6(n)
	if s.Network != nil && s.Interface == "" && s.InterfaceID == nil {
		s.Interface, s.InterfaceID = s.Network.Interface, s.Network.InterfaceID
	}
	s.RelayAddrs = d.relayAddrs(n)
	s.ClientClasses, s.AdditionalClasses = d.guard(n), d.additional(n)
	s.Params6 = d.params6(n, outer)
	s.Options = d.options6(n)
	d.pools6(s, n)
	d.pdPools(s, n)
	s.Reservations = d.reservations6(c, n, s)
	s.UserContext = userContext(n)
}

// uniqueSubnets6 refuses ids and prefixes that stand twice, in whichever network.
func (d *decoder) uniqueSubnets6(n *keajson.Node) {
	byID, byText := map[uint32]*keajson.Node{}, map[string]*keajson.Node{}
	check := func(kids []keajson.Node) {
		for i := range kids {
			e := &kids[i]
			s := d.six.subnets[e]
			if s == nil {
				continue
			}
			if v := e.Get("id"); v != nil && s.ID != 0 {
				if f := byID[s.ID]; f != nil {
					d.errorf(v, "subnet id %d is given twice, first at %s", s.ID, d.t.Position(f))
				} else {
					byID[s.ID] = v
				}
			}
			if v := e.Get("subnet"); v != nil && s.Text != "" {
				if f := byText[s.Text]; f != nil {
					d.errorf(v, "subnet %s is given twice, first at %s", s.Text, d.t.Position(f))
				} else {
					byText[s.Text] = v
				}
			}
		}
	}
	nets := n.List("shared-networks")
	for i := range nets {
		check(nets[i].List("subnet6"))
	}
	check(n.List("subnet6"))
}

// prefix6 decodes the subnet key (V4-053).
func (d *decoder) prefix6(s *Subnet6, n *keajson.Node) {
	v := n.Get("subnet")
	if v == nil {
		d.errorf(n, `a subnet must have a "subnet", as "2001:db8:1::/64"`)
		return
	}
	if v.Kind != keajson.String {
		return
	}
	text := optiondef.StripBlanks(v.Str)
	p, err := parsePrefix6(text)
	if err != nil {
		d.errorf(v, `"subnet" %v`, err)
		return
	}
	if p.Masked() != p {
		d.warnf(v, "the subnet of %s is %s", text, p.Masked())
	}
	s.Text, s.Prefix = text, p.Masked()
}

// parsePrefix6 reads ADDRESS/LENGTH; host bits may be set.
func parsePrefix6(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is6() {
		return netip.Prefix{}, fmt.Errorf("must be an IPv6 prefix, as \"2001:db8:1::/64\", not %q", keajson.Clip(s))
	}
	return p, nil
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	a := p.Addr().As16()
	for i := range a {
		if bits := p.Bits() - 8*i; bits <= 0 {
			a[i] = 0xff
		} else if bits < 8 {
			a[i] |= 0xff >> bits
		}
	}
	return netip.AddrFrom16(a)
}

// placed is a pool with where it stands.
type placed[P any] struct {
	p           P
	first, last netip.Addr
	at          *keajson.Node
}

// Kea's names of what pools hold.
const (
	poolNA = "IA_NA"
	poolPD = "IA_PD"
)

// inOrder sorts the pools of a subnet by address and refuses those that overlap.
func inOrder[P any](d *decoder, s *Subnet6, kind string, l []placed[P]) (out []P) {
	slices.SortStableFunc(l, func(a, b placed[P]) int { return a.first.Compare(b.first) })
	for i, x := range l {
		if i > 0 {
			if y := l[i-1]; !y.last.Less(x.first) {
				at, other := x, y
				if at.at.Before(other.at) {
					at, other = other, at
				}
				d.errorf(at.at, "subnet configuration failed: a pool of type %s, with the following address range: %s-%s overlaps with an existing pool in the subnet: %s to which it is being added: %s-%s at %s",
					kind, at.first, at.last, s.Prefix, other.first, other.last, d.t.Position(other.at))
			}
		}
		out = append(out, x.p)
	}
	return out
}

// pools6 decodes the address pools of a subnet (V6-032).
func (d *decoder) pools6(s *Subnet6, n *keajson.Node) {
	kids := n.List("pools")
	var l []placed[*Pool6]
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		d.push("pools", i)
		p := &Pool6{ID: e.Uint32("pool-id", 0), Options: d.options6(e), DDNS: d.poolDDNS(e, s.DDNS), UserContext: userContext(e)}
		p.ClientClasses, p.AdditionalClasses = d.guard(e), d.additional(e)
		v := e.Get("pool")
		switch {
		case v == nil:
			d.errorf(e, `a pool must have a "pool", as "2001:db8:1::10 - 2001:db8:1::99" or "2001:db8:1::/80"`)
		case v.Kind == keajson.String:
			var err error
			p.First, p.Last, err = parsePool6(v.Str)
			text := fmt.Sprintf("%s-%s", p.First, p.Last)
			switch {
			case err != nil:
				d.errorf(v, `"pool" %v`, err)
			case s.Prefix.IsValid() && !(s.Prefix.Contains(p.First) && s.Prefix.Contains(p.Last)):
				d.errorf(v, "subnet configuration failed: a pool of type %s, with the following address range: %s does not match the prefix of a subnet: %s to which it is being added", poolNA, text, s.Prefix)
			default:
				l = append(l, placed[*Pool6]{p, p.First, p.Last, v})
			}
		}
		d.pop()
	}
	s.Pools = inOrder(d, s, poolNA, l)
}

// parsePool6 reads both forms of a pool.
func parsePool6(text string) (first, last netip.Addr, err error) {
	t := optiondef.StripBlanks(text)
	if a, b, ok := strings.Cut(t, "-"); ok {
		if first, err = parseIPv6(a); err != nil {
			return first, last, err
		}
		if last, err = parseIPv6(b); err != nil {
			return first, last, err
		}
		if last.Less(first) {
			return first, last, fmt.Errorf("ends (%s) before it begins (%s)", last, first)
		}
		return first, last, nil
	}
	if !strings.Contains(t, "/") {
		return first, last, fmt.Errorf("must be a range, as \"2001:db8:1::10 - 2001:db8:1::99\", or a prefix, as \"2001:db8:1::/80\", not %q", keajson.Clip(text))
	}
	p, err := parsePrefix6(t)
	switch {
	case err != nil:
		return first, last, err
	case p.Bits() == 0:
		return first, last, fmt.Errorf("%s must have a prefix length of at least 1", p)
	case p != p.Masked():
		return first, last, fmt.Errorf("%s has bits set behind its prefix length; did you mean %s?", p, p.Masked())
	}
	return p.Addr(), lastOf(p), nil
}

// pdPools decodes the pools of prefixes of a subnet (V6-033).
func (d *decoder) pdPools(s *Subnet6, n *keajson.Node) {
	kids := n.List("pd-pools")
	var l []placed[*PDPool6]
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		d.push("pd-pools", i)
		p := &PDPool6{ID: e.Uint32("pool-id", 0), Options: d.options6(e), UserContext: userContext(e)}
		p.ClientClasses, p.AdditionalClasses = d.guard(e), d.additional(e)
		if at := d.pdPool(p, e); at != nil {
			l = append(l, placed[*PDPool6]{p, p.Prefix.Addr(), lastOf(p.Prefix), at})
		}
		d.pop()
	}
	s.PDPools = inOrder(d, s, poolPD, l)
}

// pdPool decodes the prefixes of a pool and returns the node of the first, nil
// where something is wrong.
func (d *decoder) pdPool(p *PDPool6, n *keajson.Node) (at *keajson.Node) {
	for _, name := range []string{"prefix", "prefix-len", "delegated-len"} {
		if n.Get(name) == nil {
			d.errorf(n, `a pool of prefixes must have "prefix", "prefix-len" and "delegated-len": %q is missing`, name)
			return nil
		}
	}
	v := n.Get("prefix")
	bits, dlen := n.Int("prefix-len", 0), n.Int("delegated-len", 0)
	if v.Kind != keajson.String || bits < 1 || bits > 128 || dlen < 1 || dlen > 128 {
		return nil // check has said so
	}
	a, err := parseIPv6(strings.TrimSpace(v.Str))
	if err != nil {
		d.errorf(v, `"prefix" %v`, err)
		return nil
	}
	p.Prefix, p.DelegatedLen = netip.PrefixFrom(a, int(bits)), uint8(dlen)
	if p.Prefix != p.Prefix.Masked() {
		d.errorf(v, "%s has bits set behind its prefix length; did you mean %s?", p.Prefix, p.Prefix.Masked())
		return nil
	}
	if dlen < bits {
		d.errorf(n.Get("delegated-len"), "delegated-len %d must not be below prefix-len %d", dlen, bits)
		return nil
	}
	x, xlen := n.Get("excluded-prefix"), n.Int("excluded-prefix-len", 0)
	text := strings.TrimSpace(n.Text("excluded-prefix", "::"))
	xa, err := parseIPv6(text)
	switch {
	case err != nil:
		d.errorf(x, `"excluded-prefix" %v`, err)
		return nil
	case xa.IsUnspecified() && xlen == 0:
		return v
	case xa.IsUnspecified():
		d.errorf(n.Get("excluded-prefix-len"), `"excluded-prefix-len" without "excluded-prefix" has no effect`)
		return nil
	case xlen == 0:
		d.errorf(x, `"excluded-prefix" must have an "excluded-prefix-len"`)
		return nil
	}
	if p.Excluded, err = excluded(netip.PrefixFrom(a, int(dlen)), xa, int(xlen)); err != nil {
		d.errorf(x, `"excluded-prefix" %v`, err)
		return nil
	}
	return v
}

// excluded is the prefix a/bits, which must be part of prefix p (RFC 6603 §4.2).
func excluded(p netip.Prefix, a netip.Addr, bits int) (netip.Prefix, error) {
	x := netip.PrefixFrom(a, bits)
	switch {
	case bits <= p.Bits():
		return x, fmt.Errorf("%s must be longer than the delegated prefix, which has a length of %d", x, p.Bits())
	case !p.Contains(a):
		return x, fmt.Errorf("%s must be inside the delegated prefix %s", x, p)
	}
	return x.Masked(), nil
}
