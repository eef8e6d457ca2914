package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// params decodes the inherited parameters of scope n. What it does not give is
// taken from outer, or where that is nil from Kea's defaults.
func (d *decoder) params(n *keajson.Node, outer *Params) Params {
	p := Params{
		Valid:                Triplet{Default: 7200},
		T1Percent:            0.5,
		T2Percent:            0.875,
		MatchClientID:        true,
		CacheThreshold:       0.25,
		CacheMaxAgeS:         -1,
		ReservationsInSubnet: true,
		Allocator:            "iterative",
		DDNS:                 ddnsDefaults(),
	}
	if outer != nil {
		p = *outer
	}
	d.lifetimes(n, &p)
	if v := n.Get("renew-timer"); v != nil {
		p.RenewTimerS, p.renewSet = n.Uint32("renew-timer", 0), true
	}
	if v := n.Get("rebind-timer"); v != nil {
		p.RebindTimerS, p.rebindSet = n.Uint32("rebind-timer", 0), true
	}
	if p.RenewTimerS > 0 && p.RebindTimerS > 0 && p.RenewTimerS >= p.RebindTimerS && (n.Get("renew-timer") != nil || n.Get("rebind-timer") != nil) {
		at := n.Get("renew-timer")
		if at == nil {
			at = n.Get("rebind-timer")
		}
		d.warnf(at, "renew-timer %d is not below rebind-timer %d: clients will not be told T1", p.RenewTimerS, p.RebindTimerS)
	}
	p.CalculateTee = n.Bool("calculate-tee-times", p.CalculateTee)
	if !p.CalculateTee { // of no use, so that Kea does not look at them
		p.T1Percent, p.T2Percent = n.Float("t1-percent", p.T1Percent), n.Float("t2-percent", p.T2Percent)
	} else if p.T1Percent, p.T2Percent = d.percent(n, "t1-percent", p.T1Percent), d.percent(n, "t2-percent", p.T2Percent); p.T1Percent >= p.T2Percent {
		for _, name := range []string{"t1-percent", "t2-percent"} {
			if at := n.Get(name); at != nil {
				d.errorf(at, "t1-percent %v must be below t2-percent %v", p.T1Percent, p.T2Percent)
				break
			}
		}
	}
	p.Authoritative = n.Bool("authoritative", p.Authoritative)
	p.MatchClientID = n.Bool("match-client-id", p.MatchClientID)
	if a, set := d.nextServer(n); set {
		p.NextServer = a
	}
	if s := d.bounded(n, "server-hostname", 63); s != "" {
		p.ServerHostname = s
	}
	if s := d.bounded(n, "boot-file-name", 127); s != "" {
		p.BootFileName = s
	}
	if v := n.Get("cache-threshold"); v != nil {
		p.CacheThreshold = n.Float("cache-threshold", p.CacheThreshold)
		if !(p.CacheThreshold >= 0 && p.CacheThreshold < 1) {
			d.errorf(v, `"cache-threshold" must be at least 0, which turns lease caching off, and below 1, not %s`, describe(v))
		}
	}
	p.CacheMaxAgeS = n.Int("cache-max-age", p.CacheMaxAgeS)
	p.ReservationsGlobal = n.Bool("reservations-global", p.ReservationsGlobal)
	p.ReservationsInSubnet = n.Bool("reservations-in-subnet", p.ReservationsInSubnet)
	p.ReservationsOutOfPool = n.Bool("reservations-out-of-pool", p.ReservationsOutOfPool)
	if v := n.Get("reservations-out-of-pool"); v != nil && p.ReservationsOutOfPool && !p.ReservationsInSubnet {
		d.warnf(v, `"reservations-out-of-pool" true has no effect without "reservations-in-subnet" true`)
	}
	d.allocator(n, &p)
	if n.Get("offer-lifetime") != nil {
		p.OfferLifetimeS, p.offerSet = n.Uint32("offer-lifetime", 0), true
	}
	p.StoreExtendedInfo = n.Bool("store-extended-info", p.StoreExtendedInfo)
	p.DDNS = d.ddns(n, p.DDNS)
	return p
}

// allocator decodes how addresses are chosen (V4-062 … V4-067).
func (d *decoder) allocator(n *keajson.Node, p *Params) {
	p.Allocator = n.Text("allocator", p.Allocator)
	if v := n.Get("allocator"); v != nil && p.Allocator == "shared-flq" {
		if db := d.t.Root.Get("Dhcp4").Get("lease-database").Get("type"); db != nil && db.Str != "memfile" {
			d.notServed(v, `"allocator": "shared-flq"`)
			return
		}
		d.errorf(v, `"allocator" "shared-flq" needs a "lease-database" of type "mysql" or "postgresql", which several servers share`)
	}
	if v := n.Get("adaptive-lease-time-threshold"); v != nil {
		f := n.Float("adaptive-lease-time-threshold", 1)
		if !(f > 0 && f <= 1) {
			d.errorf(v, `"adaptive-lease-time-threshold" must be above 0 and at most 1, not %s`, describe(v))
			f = 1
		}
		p.AdaptiveThreshold = f
	}
}

// triplet decodes valid-lifetime and its bounds of a class, which inherits
// nothing; set is false where it gives none of them.
func (d *decoder) triplet(n *keajson.Node) (t Triplet, set bool) {
	v, lo, hi := n.Get("valid-lifetime"), n.Get("min-valid-lifetime"), n.Get("max-valid-lifetime")
	if v == nil && lo == nil && hi == nil {
		return t, false
	}
	switch {
	case v != nil:
		t.Default = n.Uint32("valid-lifetime", 0)
	case lo != nil && hi != nil:
		d.errorf(n, `"min-valid-lifetime" and "max-valid-lifetime" need a "valid-lifetime"`)
		return t, false
	case lo != nil:
		t.Default = n.Uint32("min-valid-lifetime", 0)
	default:
		t.Default = n.Uint32("max-valid-lifetime", 0)
	}
	t.Min, t.Max = n.Uint32("min-valid-lifetime", t.Default), n.Uint32("max-valid-lifetime", t.Default)
	if t.Min > t.Default {
		d.errorf(at(n, "min-valid-lifetime"), "min-valid-lifetime %d must not be above valid-lifetime %d", t.Min, t.Default)
	}
	if t.Max < t.Default {
		d.errorf(at(n, "max-valid-lifetime"), "max-valid-lifetime %d must not be below valid-lifetime %d", t.Max, t.Default)
	}
	return t, true
}

// lifetimes decodes valid-lifetime and its bounds (V4-075). Each of the three
// is inherited by itself; a bound that nobody gives equals the default.
func (d *decoder) lifetimes(n *keajson.Node, p *Params) {
	v := &p.Valid
	v.Default = n.Uint32("valid-lifetime", v.Default)
	if n.Get("min-valid-lifetime") != nil {
		v.Min, p.minSet = n.Uint32("min-valid-lifetime", 0), true
	}
	if n.Get("max-valid-lifetime") != nil {
		v.Max, p.maxSet = n.Uint32("max-valid-lifetime", 0), true
	}
	if !p.minSet {
		v.Min = v.Default
	}
	if !p.maxSet {
		v.Max = v.Default
	}
	if x := n.Get("valid-lifetime"); x != nil && v.Default == 0 {
		d.warnf(x, noLifetime)
	}
	given := n.Get("valid-lifetime") != nil || n.Get("min-valid-lifetime") != nil || n.Get("max-valid-lifetime") != nil
	if !given {
		return
	}
	if v.Min > v.Default {
		d.errorf(at(n, "min-valid-lifetime", "valid-lifetime"), "min-valid-lifetime %d must not be above valid-lifetime %d", v.Min, v.Default)
	}
	if v.Max < v.Default {
		d.errorf(at(n, "max-valid-lifetime", "valid-lifetime"), "max-valid-lifetime %d must not be below valid-lifetime %d", v.Max, v.Default)
	}
}

// noLifetime is what an operator may not know of a lifetime of 0, which Kea takes.
const noLifetime = `"valid-lifetime" is 0: leases end as soon as they are granted, and their addresses go to the next client, too`

// noClassLifetime is the same for a class: Kea takes its 0 for none.
const noClassLifetime = `"valid-lifetime" 0 of a class has no effect: that of the subnet counts`

func (d *decoder) percent(n *keajson.Node, name string, def float64) float64 {
	v := n.Get(name)
	if v == nil {
		return def
	}
	f := n.Float(name, def)
	if !(f > 0 && f < 1) {
		d.errorf(v, "%q must be between 0 and 1, both excluded, not %s", name, describe(v))
		return def
	}
	return f
}

// subnets4 decodes subnet4 and shared-networks.
func (d *decoder) subnets4(c *Dhcp4, n *keajson.Node, global Params) {
	c.Subnets = d.subnetList(n, &global, nil)
	d.networks4(c, n, &global)
	sortSubnets(c.Subnets)
	for i, s := range c.Subnets {
		s.Index = i
	}
}

// subnetList decodes the subnet4 of n, which is a network or everything.
func (d *decoder) subnetList(n *keajson.Node, outer *Params, net *Network4) []*Subnet4 {
	var out []*Subnet4
	kids := n.List("subnet4")
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		if d.r.Full() {
			break
		}
		d.push("subnet4", i)
		s := &Subnet4{Network: net}
		d.subnets[e] = s
		d.subnet4(s, e, outer)
		if v := e.Get("id"); v != nil && s.ID != 0 {
			if f := d.byID[s.ID]; f != nil {
				d.errorf(v, "subnet id %d is given twice, first at %s", s.ID, d.t.Position(f))
			} else {
				d.byID[s.ID] = v
			}
		}
		if v := e.Get("subnet"); v != nil && s.Text != "" {
			if f := d.byText[s.Text]; f != nil {
				d.errorf(v, "subnet %s is given twice, first at %s", s.Text, d.t.Position(f))
			} else {
				d.byText[s.Text] = v
			}
		}
		out = append(out, s)
		d.pop()
	}
	return out
}

func (d *decoder) subnet4(s *Subnet4, n *keajson.Node, global *Params) {
	if n.Get("id") == nil {
		d.errorf(n, "a subnet must have an \"id\" between 1 and %d", uint32(maxUint32-1))
	} else if id := n.Int("id", 0); id >= 1 && id < maxUint32 {
		s.ID = uint32(id)
	}
	d.prefix(s, n)
	s.Interface = d.ifName(n, "interface")
	s.RelayAddrs = d.relayAddrs4(n)
	s.AdditionalClasses = d.additional(n)
	s.ClientClasses = d.guard(n)
	s.Params = d.params(n, global)
	s.Options = d.options(n)
	d.pools(s, n)
	s.Reservations = d.reservations(n, s)
	s.UserContext = userContext(n)
}

// prefix decodes the subnet key (V4-053).
func (d *decoder) prefix(s *Subnet4, n *keajson.Node) {
	v := n.Get("subnet")
	if v == nil {
		d.errorf(n, `a subnet must have a "subnet", as "192.0.2.0/24"`)
		return
	}
	if v.Kind != keajson.String {
		return
	}
	text := optiondef.StripBlanks(v.Str)
	p, err := parsePrefix4(text)
	if err != nil {
		d.errorf(v, `"subnet" %v`, err)
		return
	}
	if p.Masked() != p {
		d.warnf(v, "the subnet of %s is %s", text, p.Masked())
	}
	s.Text = text
	s.Prefix = p.Masked()
	s.First, s.Last = prefixRange(s.Prefix)
	s.Mask = dhcp4.IPv4(^uint64(0) << (32 - s.Prefix.Bits()))
}

// pools decodes the pools of a subnet (V4-060).
func (d *decoder) pools(s *Subnet4, n *keajson.Node) {
	kids := n.List("pools")
	type placed struct {
		p  *Pool4
		at *keajson.Node
	}
	var l []placed
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		d.push("pools", i)
		p := &Pool4{
			ID:            e.Uint32("pool-id", 0),
			ClientClasses: d.guard(e),
			Options:       d.options(e),
			UserContext:   userContext(e),
		}
		p.AdditionalClasses = d.additional(e)
		p.DDNS = d.poolDDNS(e, s.DDNS)
		v := e.Get("pool")
		switch {
		case v == nil:
			d.errorf(e, `a pool must have a "pool", as "192.0.2.10 - 192.0.2.99" or "192.0.2.64/26"`)
		case v.Kind == keajson.String:
			var err error
			p.First, p.Last, _, err = parsePool4(v.Str)
			switch {
			case err != nil:
				d.errorf(v, `"pool" %v`, err)
			case s.Prefix.IsValid() && (p.First < s.First || p.Last > s.Last):
				d.errorf(v, "subnet configuration failed: a pool of type V4, with the following address range: %s-%s does not match the prefix of a subnet: %s to which it is being added", p.First, p.Last, s.Prefix)
			default:
				l = append(l, placed{p, v})
			}
		}
		d.pop()
	}
	slices.SortStableFunc(l, func(a, b placed) int {
		switch {
		case a.p.First < b.p.First:
			return -1
		case a.p.First > b.p.First:
			return 1
		}
		return 0
	})
	for i, x := range l {
		if i > 0 {
			if y := l[i-1]; x.p.First <= y.p.Last {
				at, other := x, y
				if at.at.Before(other.at) {
					at, other = other, at
				}
				d.errorf(at.at, "subnet configuration failed: a pool of type V4, with the following address range: %s-%s overlaps with an existing pool in the subnet: %s to which it is being added: %s-%s at %s",
					at.p.First, at.p.Last, s.Prefix, other.p.First, other.p.Last, d.t.Position(other.at))
			}
		}
		s.Pools = append(s.Pools, x.p)
	}
}

// parsePool4 reads both forms of a pool; prefix says it was the second one.
func parsePool4(text string) (first, last dhcp4.IPv4, prefix bool, err error) {
	t := optiondef.StripBlanks(text)
	if a, b, ok := strings.Cut(t, "-"); ok {
		if first, err = parseIPv4(a); err != nil {
			return 0, 0, false, err
		}
		if last, err = parseIPv4(b); err != nil {
			return 0, 0, false, err
		}
		if first > last {
			return 0, 0, false, fmt.Errorf("ends (%s) before it begins (%s)", last, first)
		}
		return first, last, false, nil
	}
	if !strings.Contains(t, "/") {
		return 0, 0, false, fmt.Errorf("must be a range, as \"192.0.2.10 - 192.0.2.99\", or a prefix, as \"192.0.2.64/26\", not %q", keajson.Clip(text))
	}
	p, err := parsePrefix4(t)
	if err != nil {
		return 0, 0, false, err
	}
	if p != p.Masked() {
		return 0, 0, false, fmt.Errorf("%s has bits set behind its prefix length; did you mean %s?", p, p.Masked())
	}
	first, last = prefixRange(p)
	return first, last, true, nil
}

func prefixRange(p netip.Prefix) (first, last dhcp4.IPv4) {
	first = dhcp4.AddrFromNetip(p.Addr())
	return first, first | dhcp4.IPv4(uint64(1)<<(32-p.Bits())-1)
}

// parsePrefix4 reads ADDRESS/LENGTH; host bits may be set.
func parsePrefix4(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("must be an IPv4 prefix, as \"192.0.2.0/24\", not %q", keajson.Clip(s))
	}
	return p, nil
}

func parseIPv4(s string) (dhcp4.IPv4, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, fmt.Errorf("must be an IPv4 address, not %q", keajson.Clip(s))
	}
	return dhcp4.AddrFromNetip(a), nil
}

// checkIfName says whether s can be the name of a network interface in Linux
// (15 bytes, no slash, no white space).
func checkIfName(s string) error {
	switch {
	case s == "" || s == "." || s == "..":
		return fmt.Errorf("must be the name of an interface, not %q", s)
	case len(s) > 15:
		return fmt.Errorf("must be the name of an interface, at most 15 bytes, not %q", keajson.Clip(s))
	case strings.ContainsAny(s, "/ \t\n\r\v\f"):
		return fmt.Errorf("must be the name of an interface, without slash or white space, not %q", keajson.Clip(s))
	}
	return nil
}
