package config

import (
	"cmp"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// dhcp6 decodes the Dhcp6 map. Faults are in d.r; the result is of use only
// where there are none.
func (d *decoder) dhcp6(n *keajson.Node) *Dhcp6 {
	c := &Dhcp6{
		DataDirectory:      n.Text("data-directory", ""),
		DeclineProbationS:  n.Uint32("decline-probation-period", 86400),
		ParkedPacketLimit:  int(n.Int("parked-packet-limit", 256)),
		AllowRegistration:  n.Bool("allow-address-registration", true),
		EarlyGlobalLookup:  n.Bool("early-global-reservations-lookup", false),
		UniqueReservations: n.Bool("ip-reservations-unique", true),
		LenientOptions:     n.Get("compatibility").Bool("lenient-option-parsing", false),
		LeaseChecks:        n.Get("sanity-checks").Text("lease-checks", "warn"),
		ExtendedInfoChecks: n.Get("sanity-checks").Text("extended-info-checks", "fix"),
		ServerTag:          n.Text("server-tag", ""),
		SampleCount:        int(n.Int("statistic-default-sample-count", 20)),
		SampleAge:          time.Duration(n.Int("statistic-default-sample-age", 0)) * time.Second,
		UserContext:        userContext(n),
		LeaseDatabase:      d.leaseDatabase(n.Get("lease-database")),
		MultiThreading:     d.multiThreading(n.Get("multi-threading")),
		Expired:            d.expired(n.Get("expired-leases-processing")),
	}
	if v := n.Get("data-directory"); v != nil && v.Kind == keajson.String {
		d.warnKey(v, `"data-directory" is deprecated in Kea`)
		if !filepath.IsAbs(c.DataDirectory) {
			d.errorf(v, `"data-directory" must be an absolute path, not %q`, keajson.Clip(c.DataDirectory))
		}
	}
	d.six = &decoder6{subnets: map[*keajson.Node]*Subnet6{}, networks: map[*keajson.Node]*SharedNetwork6{}}
	d.ddnsUpdates = n.Get("dhcp-ddns").Bool("enable-updates", false)
	d.classes, d.numbers = map[string]bool{}, newClassNames()
	defer func(defs *optiondef.Set) { d.defs = defs }(d.defs)
	d.defs = d.optionDefinitions(n, false)
	d.queueControl(n)
	d.interfaces6(c, n.Get("interfaces-config"))
	d.controlSockets(&c.ControlSockets, n)
	d.loggers(&c.Loggers, n)
	d.hooks(&c.HooksLibraries, n)
	c.HostIdentifiers = d.hostIdentifiers(n, identifiers6, IdentHWAddr, IdentDUID)
	d.macSources(c, n)
	d.relaySupplied(c, n)
	d.serverID(c, n.Get("server-id"))
	d.clientClasses6(c, n)
	c.Options = d.options6(n)
	c.Params = d.params6(n, nil)
	d.gatherReservedClasses(n, "subnet6")
	c.GlobalReservations = d.reservations6(c, n, nil)
	d.networks6(c, n)
	c.Subnets = append(c.Subnets, d.subnets6(c, n, nil, &c.Params)...)
	d.uniqueSubnets6(n)
	slices.SortStableFunc(c.Subnets, func(a, b *Subnet6) int { return cmp.Compare(a.ID, b.ID) })
	c.ClassNames = d.finishClasses(c.ClassSet)
	return c
}

// decoder6 is what decoding Dhcp6 needs beside the decoder.
type decoder6 struct {
	// subnets and networks are the decoded ones by their node, for config-get.
	subnets  map[*keajson.Node]*Subnet6
	networks map[*keajson.Node]*SharedNetwork6
}

// interfaces6 decodes interfaces-config (V6-047).
func (d *decoder) interfaces6(c *Dhcp6, n *keajson.Node) {
	c.ReDetect = n.Bool("re-detect", true)
	c.ServiceSockets = d.serviceSockets(n)
	kids := n.List("interfaces")
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.String {
			continue
		}
		text := strings.Trim(e.Str, " \t")
		if text == "*" {
			if c.AllInterfaces {
				d.errorf(e, `"*" stands twice in "interfaces"`)
			}
			c.AllInterfaces = true
			continue
		}
		var f Interface6
		name, addr, has := strings.Cut(text, "/")
		name, addr = strings.TrimSpace(name), strings.TrimSpace(addr)
		if err := checkIfName(name); err != nil {
			d.errorf(e, "interfaces[%d] %v", i, err)
			continue
		}
		f.Name = strings.Clone(name)
		if has {
			a, err := parseIPv6(addr)
			switch {
			case err != nil:
				d.errorf(e, "interfaces[%d]: what follows the slash %v", i, err)
				continue
			case a.IsMulticast() || a.IsUnspecified():
				d.errorf(e, "interfaces[%d]: %s is not a unicast address", i, a)
				continue
			case a.IsLinkLocalUnicast():
				d.warnf(e, "interfaces[%d]: the link-local addresses of %q are served without being named", i, f.Name)
			}
			f.Addr = a
		}
		if slices.Contains(c.Interfaces, f) {
			d.errorf(e, "%q stands twice in \"interfaces\"", text)
			continue
		}
		c.Interfaces = append(c.Interfaces, f)
	}
}

func parseIPv6(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return netip.Addr{}, errorString("must be an IPv6 address, not " + strconv.Quote(keajson.Clip(s)))
	}
	return a, nil
}

// errorString is an error of a text.
type errorString string

func (e errorString) Error() string { return string(e) }

// identifiers6 are the keys that name the client of a reservation (V6-041).
var identifiers6 = []identifier{
	{"hw-address", IdentHWAddr, 1, 20},
	{"duid", IdentDUID, 1, 130},
	{"flex-id", IdentFlexID, 1, 255},
}

// macSources are the names of MACSource; of two the first is what config-get
// prints.
var macSources = []struct {
	name   string
	source MACSource
}{
	{"any", MACSourceAny},
	{"raw", MACSourceRaw},
	{"duid", MACSourceDUID},
	{"ipv6-link-local", MACSourceIPv6LinkLocal},
	{"client-link-addr-option", MACSourceClientLinkAddr},
	{"rfc6939", MACSourceClientLinkAddr},
	{"remote-id", MACSourceRemoteID},
	{"rfc4649", MACSourceRemoteID},
	{"subscriber-id", MACSourceSubscriberID},
	{"rfc4580", MACSourceSubscriberID},
	{"docsis-cmts", MACSourceDOCSISCMTS},
	{"docsis-modem", MACSourceDOCSISModem},
}

// String is the name in mac-sources.
func (s MACSource) String() string {
	for i := range macSources {
		if macSources[i].source == s {
			return macSources[i].name
		}
	}
	return "unknown"
}

// macSources decodes mac-sources (V6-044).
func (d *decoder) macSources(c *Dhcp6, n *keajson.Node) {
	l := n.Get("mac-sources")
	if l == nil || l.Kind != keajson.List {
		c.MACSources = []MACSource{MACSourceAny}
		return
	}
	if len(l.Kids) == 0 {
		d.errorf(l, `"mac-sources" must name at least one source, as "any"`)
	}
	for i := range l.Kids {
		e := &l.Kids[i]
		if e.Kind != keajson.String {
			continue
		}
		var names []string
		found := false
		for _, s := range macSources {
			names = append(names, s.name)
			if s.name != e.Str {
				continue
			}
			if found = true; slices.Contains(c.MACSources, s.source) {
				d.errorf(e, "source %q stands twice in \"mac-sources\"", s.source)
				break
			}
			c.MACSources = append(c.MACSources, s.source)
		}
		if !found {
			d.errorf(e, "unknown source %q: expected %s", keajson.Clip(e.Str), orList(names))
		}
	}
}

// optERPLocalDomainName may always be supplied by relays (RFC 6440 §4).
const optERPLocalDomainName = 65

// relaySupplied decodes relay-supplied-options: codes as text, or names of
// built-in options (V6-062).
func (d *decoder) relaySupplied(c *Dhcp6, n *keajson.Node) {
	c.RelaySuppliedOptions = []uint16{optERPLocalDomainName}
	kids := n.List("relay-supplied-options")
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.String {
			continue
		}
		code, err := strconv.ParseUint(e.Str, 10, 16)
		if o := optiondef.Standard[optiondef.SpaceDHCP6].ByName[e.Str]; o != nil {
			code, err = uint64(o.Code), nil
		}
		if err != nil || code == 0 {
			d.errorf(e, `"relay-supplied-options" holds codes from 1 to 65535 as text, or names of built-in options, not %q`, keajson.Clip(e.Str))
			continue
		}
		c.RelaySuppliedOptions = append(c.RelaySuppliedOptions, uint16(code))
	}
	slices.Sort(c.RelaySuppliedOptions)
	c.RelaySuppliedOptions = slices.Compact(c.RelaySuppliedOptions)
}

// serverID decodes server-id (V6-045).
func (d *decoder) serverID(c *Dhcp6, n *keajson.Node) {
	s := &c.ServerID
	*s = ServerID{
		Type:         DUIDLLT,
		HType:        uint16(n.Int("htype", 0)),
		TimeS:        n.Uint32("time", 0),
		EnterpriseID: n.Uint32("enterprise-id", 0),
		Persist:      n.Bool("persist", true),
	}
	switch n.Text("type", "LLT") {
	case "EN":
		s.Type = DUIDEN
	case "LL":
		s.Type = DUIDLL
	}
	if n != nil && n.Kind == keajson.Map && n.Get("type") == nil {
		d.errorf(n, `"server-id" must have a "type": "LLT", "EN" or "LL"`)
	}
	if v := n.Get("identifier"); v != nil && v.Kind == keajson.String && v.Str != "" {
		id, err := optiondef.ParseHex(strings.TrimSpace(v.Str))
		switch {
		case err != nil:
			d.errorf(v, `"identifier" must be hexadecimal digits: %v`, err)
		case len(id) > 122: // 128 octets with the rest of DUID-LLT and DUID-EN (RFC 8415 §11.1)
			d.errorf(v, `"identifier" may have at most 122 bytes, not %d`, len(id))
		}
		s.Identifier = id
	}
}

// relayAddrs decodes relay.ip-addresses of a network or subnet.
func (d *decoder) relayAddrs(n *keajson.Node) (out []netip.Addr) {
	kids := n.Get("relay").List("ip-addresses")
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.String {
			continue
		}
		a, err := parseIPv6(e.Str)
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

// oneSocketEach refuses a control socket that both families have.
func (d *decoder) oneSocketEach(s *Snapshot) {
	if s.Dhcp4 == nil || s.Dhcp6 == nil {
		return
	}
	at := d.t.Root.Get("Dhcp6")
	for _, k := range []string{"control-sockets", "control-socket"} {
		if v := at.Get(k); v != nil {
			at = v
			break
		}
	}
	for i := range s.Dhcp6.ControlSockets {
		x := &s.Dhcp6.ControlSockets[i]
		for j := range s.Dhcp4.ControlSockets {
			y := &s.Dhcp4.ControlSockets[j]
			switch {
			case x.Type == "unix" && y.Type == "unix" && x.SocketName == y.SocketName:
				d.errorf(at, "Dhcp4 has the control socket %q too: give each its own, or only one of them", x.SocketName)
			case x.Type != "unix" && y.Type != "unix" && x.Address == y.Address && x.Port == y.Port:
				d.errorf(at, "Dhcp4 has the control socket %s port %d too: give each its own, or only one of them", x.Address, x.Port)
			}
		}
	}
}
