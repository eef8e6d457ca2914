package slowpath

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/subnet"
	"github.com/peregrine-dhcp/peregrine/slowpath/subnet6"
)

// The commands subnet4-select-test, subnet4o6-select-test and subnet6-select-test
// say which subnet a query would get (CM-019 … CM-021). The engines choose.

// selectEntries are the arguments of such a command by name.
type selectEntries map[string]func(name string, v any) error

// read reads the arguments in the order that Kea does, by name.
func (e selectEntries) read(args json.RawMessage) error {
	if len(args) == 0 {
		return fmt.Errorf("empty arguments")
	}
	var m map[string]any
	if err := json.Unmarshal(args, &m); err != nil || m == nil {
		return fmt.Errorf("arguments must be a map")
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		take := e[name]
		if take == nil {
			return fmt.Errorf("unknown entry '%s'", name)
		}
		if err := take(name, m[name]); err != nil {
			return err
		}
	}
	return nil
}

func textEntry(to *string) func(string, any) error {
	return func(name string, v any) error {
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("'%s' entry must be a string", name)
		}
		*to = s
		return nil
	}
}

func addrEntry(v6 bool, to *netip.Addr) func(string, any) error {
	return func(name string, v any) error {
		var s string
		if err := textEntry(&s)(name, v); err != nil {
			return err
		}
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil || a.Zone() != "":
			return fmt.Errorf("bad '%s' entry: Failed to convert string to address '%s': Invalid argument", name, s)
		case v6 && !a.Is6():
			return fmt.Errorf("bad '%s' entry: not IPv6", name)
		case !v6 && !a.Is4():
			return fmt.Errorf("bad '%s' entry: not IPv4", name)
		}
		*to = a
		return nil
	}
}

func classesEntry(to *[]string) func(string, any) error {
	return func(name string, v any) error {
		l, ok := v.([]any)
		if !ok {
			return fmt.Errorf("'%s' entry must be a list", name)
		}
		for _, x := range l {
			s, ok := x.(string)
			if !ok {
				return fmt.Errorf("'%s' entry must be a list of strings", name)
			}
			*to = append(*to, s)
		}
		return nil
	}
}

func interfaceIDEntry(to *[]byte) func(string, any) error {
	return func(name string, v any) error {
		var s string
		if err := textEntry(&s)(name, v); err != nil {
			return err
		}
		id, err := config.ParseIdentifier(s)
		switch {
		case err != nil:
			return fmt.Errorf("value of '%s' was not recognized", name)
		case len(id) == 0:
			return fmt.Errorf("'%s' must be not empty", name)
		}
		*to = id
		return nil
	}
}

// selected is the answer: a subnet, perhaps of a shared network.
func selected(network, prefix string, id uint32) control.Response {
	if network != "" {
		return ok(fmt.Sprintf("selected shared network '%s' starting with subnet '%s' id %d", network, prefix, id), nil)
	}
	return ok(fmt.Sprintf("selected subnet '%s' id %d", prefix, id), nil)
}

func noneSelected() control.Response {
	return control.Response{Result: control.ResultEmpty, Text: "no subnet selected"}
}

func (f *family) subnet4SelectTest(args json.RawMessage) control.Response {
	var address, relay, local, remote, link, option netip.Addr
	var name string
	var classes []string
	ignoreLink := f.s.Snapshot().Dhcp4.Compatibility.IgnoreRAILinkSelection
	takeOption := addrEntry(false, &option)
	err := selectEntries{
		"interface": textEntry(&name), "classes": classesEntry(&classes),
		"address": addrEntry(false, &address), "relay": addrEntry(false, &relay),
		"local": addrEntry(false, &local), "remote": addrEntry(false, &remote),
		"link": addrEntry(false, &link),
		"subnet": func(name string, v any) error {
			if link.IsValid() && !ignoreLink { // read before, it comes first by name
				return nil
			}
			return takeOption(name, v)
		},
	}.read(args)
	if err != nil {
		return fail("%v", err)
	}
	v4 := func(a netip.Addr) dhcp4.IPv4 {
		if !a.IsValid() {
			return 0
		}
		return dhcp4.AddrFromNetip(a)
	}
	x := subnet.Selector{LinkSelection: v4(option), GIAddr: v4(relay), CIAddr: v4(address), Src: v4(remote), Dst: v4(local), IfName: name}
	if link.IsValid() && !ignoreLink {
		x.LinkSelection = v4(link)
	}
	byWire := x.LinkSelection == 0 && x.GIAddr == 0 && (x.Dst == dhcp4.Broadcast || x.CIAddr == 0 && x.Src == 0)
	if byWire && name != "" {
		i := slices.IndexFunc(f.s.ifaces.Load().list, func(i iface) bool { return i.name == name })
		if i < 0 {
			return fail("Error during command processing: interface %s doesn't exist and therefore it is impossible to find a suitable subnet for its IPv4 address", name)
		}
		x.IfAddr = f.s.ifaces.Load().list[i].addrFor(0)
	}
	s := f.s.engine.Config().SelectSubnet(&x, classes)
	if s == nil {
		return noneSelected()
	}
	network := ""
	if s.Network != nil {
		network = s.Network.Name
	}
	return selected(network, s.Text, s.ID)
}

// subnet4o6SelectTest finds none: the keys 4o6-interface, 4o6-interface-id and
// 4o6-subnet, without which a subnet is not for DHCPv4-over-DHCPv6, are refused.
func (f *family) subnet4o6SelectTest(args json.RawMessage) control.Response {
	var address, relay, local, remote, link, option netip.Addr
	var name string
	var id []byte
	var classes []string
	err := selectEntries{
		"interface": textEntry(&name), "interface-id": interfaceIDEntry(&id), "classes": classesEntry(&classes),
		"address": addrEntry(false, &address), "relay": addrEntry(false, &relay), "subnet": addrEntry(false, &option),
		"local": addrEntry(true, &local), "remote": addrEntry(true, &remote), "link": addrEntry(true, &link),
	}.read(args)
	if err != nil {
		return fail("%v", err)
	}
	return noneSelected()
}

func (f *family) subnet6SelectTest(args json.RawMessage) control.Response {
	var x subnet6.Selector
	var classes []string
	err := selectEntries{
		"interface": textEntry(&x.IfName), "interface-id": interfaceIDEntry(&x.InterfaceID), "classes": classesEntry(&classes),
		"remote": addrEntry(true, &x.Src), "link": addrEntry(true, &x.LinkAddr),
	}.read(args)
	if err != nil {
		return fail("%v", err)
	}
	s := f.s.six.engine.Config().SelectSubnet(&x, classes)
	if s == nil {
		return noneSelected()
	}
	network := ""
	if s.Network != nil {
		network = s.Network.Name
	}
	return selected(network, s.Text, s.ID)
}
