package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// reservations6 decodes the reservations of n: of subnet s, or global ones where
// s is nil (V6-041).
func (d *decoder) reservations6(c *Dhcp6, n *keajson.Node, s *Subnet6) []*Reservation6 {
	kids := n.List("reservations")
	if len(kids) == 0 {
		return nil
	}
	type ident struct {
		t  IdentifierType
		id string
	}
	byID := make(map[ident]*keajson.Node, len(kids))
	byPrefix := make(map[netip.Prefix]*keajson.Node, len(kids))
	block := make([]Reservation6, len(kids))
	out := make([]*Reservation6, 0, len(kids))
	for i := range kids {
		if d.r.Full() {
			return out
		}
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		d.push("reservations", i)
		r := &block[i]
		if s != nil {
			r.SubnetID = s.ID
		}
		if at, ok := d.identifier(e, identifiers6, &r.Type, &r.Identifier); ok {
			k := ident{r.Type, string(r.Identifier)}
			if f := byID[k]; f != nil {
				d.errorf(at, "%s %q is reserved for twice, first at %s", r.Type, keajson.Clip(at.Str), d.t.Position(f))
			} else {
				byID[k] = at
			}
		}
		claim := func(at *keajson.Node, p netip.Prefix) {
			if f := byPrefix[p]; f == nil {
				byPrefix[p] = at
			} else if c.UniqueReservations {
				d.errorf(at, "%s is reserved twice, first at %s", at.Str, d.t.Position(f))
			}
		}
		d.reservedAddrs(r, e, s, claim)
		d.reservedPrefixes(r, e, claim)
		r.Hostname = e.Text("hostname", "")
		r.ClientClasses = clientClasses(e)
		r.Options = d.options6(e)
		r.UserContext = userContext(e)
		out = append(out, r)
		d.pop()
	}
	return out
}

func (d *decoder) reservedAddrs(r *Reservation6, n *keajson.Node, s *Subnet6, claim func(*keajson.Node, netip.Prefix)) {
	kids := n.List("ip-addresses")
	for i := range kids {
		v := &kids[i]
		if v.Kind != keajson.String {
			continue
		}
		a, err := parseIPv6(v.Str)
		switch {
		case err != nil:
			d.errorf(v, `"ip-addresses": invalid prefix '%s' for new IPv6 reservation: %v`, keajson.Clip(v.Str), err)
		case a.IsMulticast() || a.IsUnspecified():
			d.errorf(v, "%q cannot be reserved", v.Str)
		case s != nil && s.Prefix.IsValid() && !s.Prefix.Contains(a):
			d.errorf(v, "specified reservation '%s' is not within the IPv6 subnet '%s'", a, s.Prefix)
		case slices.Contains(r.Addrs, a):
			d.errorf(v, "address %s is given twice", a)
		default:
			claim(v, netip.PrefixFrom(a, 128))
			r.Addrs = append(r.Addrs, a)
		}
	}
}

func (d *decoder) reservedPrefixes(r *Reservation6, n *keajson.Node, claim func(*keajson.Node, netip.Prefix)) {
	kids, ex := n.List("prefixes"), n.Get("excluded-prefixes")
	if ex != nil && ex.Kind == keajson.List && len(ex.Kids) != len(kids) {
		d.errorf(ex, `"excluded-prefixes" must have an element for each of "prefixes": %d, not %d`, len(kids), len(ex.Kids))
		return
	}
	for i := range kids {
		v := &kids[i]
		if v.Kind != keajson.String {
			continue
		}
		p, err := parsePrefix6(optiondef.StripBlanks(v.Str))
		switch {
		case err != nil:
			d.errorf(v, `"prefixes": %v`, err)
			continue
		case p.Bits() == 0 || p.Addr().IsMulticast():
			d.errorf(v, "%q cannot be reserved", v.Str)
			continue
		case p != p.Masked():
			d.errorf(v, "%s has bits set behind its prefix length; did you mean %s?", p, p.Masked())
			continue
		case slices.ContainsFunc(r.Prefixes, func(x ReservedPrefix) bool { return x.Prefix == p }):
			d.errorf(v, "prefix %s is given twice", p)
			continue
		}
		claim(v, p)
		x := ReservedPrefix{Prefix: p}
		if ex != nil && ex.Kind == keajson.List && ex.Kids[i].Kind == keajson.String {
			if text := optiondef.StripBlanks(ex.Kids[i].Str); text != "" {
				if x.Excluded, err = parseExcluded(p, text); err != nil {
					d.errorf(&ex.Kids[i], `"excluded-prefixes": %v`, err)
				}
			}
		}
		r.Prefixes = append(r.Prefixes, x)
	}
}

func parseExcluded(p netip.Prefix, text string) (netip.Prefix, error) {
	x, err := parsePrefix6(strings.TrimSpace(text))
	if err != nil {
		return x, fmt.Errorf("%w, or empty for none", err)
	}
	return excluded(p, x.Addr(), x.Bits())
}
