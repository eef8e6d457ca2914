package config

import (
	"encoding/json"
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// Network4 is a shared network: subnets on one link (V4-055). What its subnets
// inherit is in their own Params; what is here is the network's own.
type Network4 struct {
	Name              string
	Interface         string
	RelayAddrs        []dhcp4.IPv4
	ClientClasses     []string // guard of all subnets, beside their own
	AdditionalClasses []string // evaluate-additional-classes
	Params
	Options     Options
	Subnets     []*Subnet4 // ascending ID; may be empty
	UserContext json.RawMessage
}

// networks4 decodes shared-networks.
func (d *decoder) networks4(c *Dhcp4, n *keajson.Node, global *Params) {
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
		net := &Network4{
			Interface:         d.ifName(e, "interface"),
			RelayAddrs:        d.relayAddrs4(e),
			ClientClasses:     d.guard(e),
			AdditionalClasses: d.additional(e),
			Params:            d.params(e, global),
			UserContext:       userContext(e),
		}
		net.Options = d.options(e)
		d.networks[e] = net
		switch name := e.Get("name"); {
		case name == nil:
			d.errorf(e, `a shared network must have a "name"`)
		case name.Kind != keajson.String:
		case name.Str == "":
			d.errorf(name, "a shared network must have a name that is not empty")
		case byName[name.Str] != nil:
			d.errorf(name, "shared network %q is defined twice, first at %s", keajson.Clip(name.Str), d.t.Position(byName[name.Str]))
		default:
			byName[name.Str] = name
			net.Name = e.Text("name", "")
		}
		net.Subnets = d.subnetList(e, &net.Params, net)
		d.sameLink(e, net)
		c.Subnets = append(c.Subnets, net.Subnets...)
		sortSubnets(net.Subnets)
		for i, s := range net.Subnets {
			s.Position = i
		}
		c.Networks = append(c.Networks, net)
		d.pop()
	}
	slices.SortStableFunc(c.Networks, func(a, b *Network4) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
}

// sameLink refuses what the subnets of one link cannot differ in. net.Subnets
// are still in the order of the file.
func (d *decoder) sameLink(n *keajson.Node, net *Network4) {
	iface := net.Interface
	kids := n.List("subnet4")
	for i := range kids {
		s := d.subnets[&kids[i]]
		if s == nil {
			continue
		}
		if s.Authoritative != net.Authoritative {
			d.errorf(at(&kids[i], "authoritative"), `subnet %s has "authoritative" %v and its shared network %v: they must agree`, s.Text, s.Authoritative, net.Authoritative)
		}
		own := kids[i].Text("interface", "")
		switch {
		case own == "":
		case iface == "":
			iface = own
		case own != iface:
			d.errorf(at(&kids[i], "interface"), "subnet %s is on interface %s, but its shared network on %s", s.Text, own, iface)
		}
	}
}

// at is the first of the members that n has, else n.
func at(n *keajson.Node, names ...string) *keajson.Node {
	for _, s := range names {
		if x := n.Get(s); x != nil {
			return x
		}
	}
	return n
}

// ifName decodes the name of an interface; "" is none.
func (d *decoder) ifName(n *keajson.Node, name string) string {
	s := n.Text(name, "")
	if s != "" {
		if err := checkIfName(s); err != nil {
			d.errorf(n.Get(name), `%q %v`, name, err)
		}
	}
	return s
}

// relayAddrs4 decodes relay.
func (d *decoder) relayAddrs4(n *keajson.Node) []dhcp4.IPv4 {
	var out []dhcp4.IPv4
	l := n.Get("relay").List("ip-addresses")
	for i := range l {
		e := &l[i]
		if e.Kind != keajson.String {
			continue
		}
		a, err := parseIPv4(e.Str)
		switch {
		case err != nil:
			d.errorf(e, `relay address %v`, err)
		case slices.Contains(out, a):
			d.errorf(e, "relay address %s is given twice", a)
		default:
			out = append(out, a)
		}
	}
	return out
}
