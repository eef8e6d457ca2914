package config

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

type identifier struct {
	key      string
	t        IdentifierType
	min, max int // bytes
}

// identifiers are the keys that name the client of a reservation (V4-120).
var identifiers = []identifier{
	{"hw-address", IdentHWAddr, 1, 20},
	{"duid", IdentDUID, 1, 130},
	{"circuit-id", IdentCircuitID, 1, 255},
	{"client-id", IdentClientID, 1, 255},
	{"flex-id", IdentFlexID, 1, 255},
}

// String is the Kea key of the type.
func (t IdentifierType) String() string {
	for _, i := range identifiers {
		if i.t == t {
			return i.key
		}
	}
	return "unknown"
}

// dhcp4 decodes the Dhcp4 map. Faults are in d.r; the result is of use only
// where there are none.
func (d *decoder) dhcp4(n *keajson.Node) *Dhcp4 {
	c := &Dhcp4{
		DeclineProbationS: n.Uint32("decline-probation-period", 86400),
		ParkedPacketLimit: int(n.Int("parked-packet-limit", 256)),
		EchoClientID:      n.Bool("echo-client-id", true),
		EarlyGlobal:       n.Bool("early-global-reservations-lookup", false),
		StashAgentOptions: n.Bool("stash-agent-options", false),

		IPReservationsUnique: n.Bool("ip-reservations-unique", true),
		ServerTag:            n.Text("server-tag", ""),
		SampleCount:          int(n.Int("statistic-default-sample-count", 20)),
		SampleAge:            time.Duration(n.Int("statistic-default-sample-age", 0)) * time.Second,
		UserContext:          userContext(n),
		LeaseDatabase:        d.leaseDatabase(n.Get("lease-database")),
		MultiThreading:       d.multiThreading(n.Get("multi-threading")),
		Expired:              d.expired(n.Get("expired-leases-processing")),
	}
	d.defs = d.optionDefinitions(n, false)
	c.Received = optiondef.NewReceived(d.defs)
	if x := n.Get("compatibility"); x != nil {
		c.Compatibility = Compatibility{
			LenientOptionParsing:   x.Bool("lenient-option-parsing", false),
			IgnoreServerIdentifier: x.Bool("ignore-dhcp-server-identifier", false),
			IgnoreRAILinkSelection: x.Bool("ignore-rai-link-selection", false),
			ExcludeFirstLast24:     x.Bool("exclude-first-last-24", false),
		}
	}
	d.queueControl(n)
	sanity := n.Get("sanity-checks")
	c.SanityChecks = SanityChecks{sanity.Text("lease-checks", "warn"), sanity.Text("extended-info-checks", "fix")}
	d.interfaces(c, n.Get("interfaces-config"))
	d.controlSockets(&c.ControlSockets, n)
	d.loggers(&c.Loggers, n)
	d.hooks(&c.HooksLibraries, n)
	c.HostIdentifiers = d.hostIdentifiers(n, identifiers, IdentHWAddr, IdentDUID, IdentCircuitID, IdentClientID)
	d.uniqueAddrs = c.IPReservationsUnique
	d.ddnsUpdates = n.Get("dhcp-ddns").Bool("enable-updates", false)
	d.classes, d.numbers = map[string]bool{}, newClassNames()
	d.clientClasses(c, n)

	c.Options = d.options(n)
	p := d.params(n, nil)
	c.Authoritative = p.Authoritative
	d.gatherReservedClasses(n, "subnet4")
	c.GlobalReservations = d.reservations(n, nil)
	d.subnets4(c, n, p)
	c.ClassNames = d.finishClasses(c.ClassSet)
	return c
}

// hostIdentifiers decodes host-reservation-identifiers, of which there are those
// of list; def is what they are by default.
func (d *decoder) hostIdentifiers(n *keajson.Node, list []identifier, def ...IdentifierType) (out []IdentifierType) {
	l := n.Get("host-reservation-identifiers")
	if l == nil {
		return def
	}
	if l.Kind == keajson.List && len(l.Kids) == 0 {
		d.errorf(l, `"host-reservation-identifiers" must name at least one identifier`)
	}
	for _, e := range n.List("host-reservation-identifiers") {
		if e.Kind != keajson.String {
			continue
		}
		i := slices.IndexFunc(list, func(x identifier) bool { return x.key == e.Str })
		switch {
		case i < 0:
			var names []string
			for _, x := range list {
				names = append(names, x.key)
			}
			d.errorf(&e, `"host-reservation-identifiers" holds %s, not %q`, orList(names), keajson.Clip(e.Str))
		case slices.Contains(out, list[i].t):
			d.errorf(&e, "%q stands twice in \"host-reservation-identifiers\"", e.Str)
		default:
			out = append(out, list[i].t)
		}
	}
	return out
}

// reservations decodes the reservations of n: of subnet s, or global ones where
// s is nil.
func (d *decoder) reservations(n *keajson.Node, s *Subnet4) []*Reservation4 {
	kids := n.List("reservations")
	if len(kids) == 0 {
		return nil
	}
	type ident struct {
		t  IdentifierType
		id string
	}
	byID := make(map[ident]*keajson.Node, len(kids))
	byAddr := make(map[dhcp4.IPv4]*keajson.Node, len(kids))
	block := make([]Reservation4, len(kids))
	out := make([]*Reservation4, 0, len(kids))
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
		if at := d.reservation(r, e, s); at != nil {
			k := ident{r.Type, string(r.Identifier)}
			if f := byID[k]; f != nil {
				d.errorf(at, "%s %q is reserved for twice, first at %s", r.Type, keajson.Clip(at.Str), d.t.Position(f))
			} else {
				byID[k] = at
			}
		}
		if r.Addr != 0 {
			at := e.Get("ip-address")
			if f := byAddr[r.Addr]; f != nil && d.uniqueAddrs {
				d.errorf(at, "address %s is reserved twice, first at %s", r.Addr, d.t.Position(f))
			} else {
				byAddr[r.Addr] = at
			}
		}
		out = append(out, r)
		d.pop()
	}
	return out
}

// reservation decodes e into r and returns the node of the identifier, nil
// where that is wrong.
func (d *decoder) reservation(r *Reservation4, e *keajson.Node, s *Subnet4) *keajson.Node {
	if s != nil {
		r.SubnetID = s.ID
	}
	at, ok := d.identifier(e, identifiers, &r.Type, &r.Identifier)
	if v := e.Get("ip-address"); v != nil && v.Kind == keajson.String {
		a, err := parseIPv4(v.Str)
		switch {
		case err != nil:
			d.errorf(v, `"ip-address" %v`, err)
		case a == 0 || a == dhcp4.Broadcast:
			d.errorf(v, "%q cannot be reserved", v.Str)
		case s != nil && s.Prefix.IsValid() && (a < s.First || a > s.Last):
			d.errorf(v, "reserved address %s is not in subnet %s", a, s.Prefix)
		default:
			r.Addr = a
		}
	}
	r.Hostname = e.Text("hostname", "")
	r.NextServer, _ = d.nextServer(e)
	r.ServerHostname = d.bounded(e, "server-hostname", 63)
	r.BootFileName = d.bounded(e, "boot-file-name", 127)
	r.ClientClasses = clientClasses(e)
	if o := d.options(e); !o.Empty() {
		r.Options = &o
	}
	r.UserContext = userContext(e)
	if !ok {
		return nil
	}
	return at
}

// clientClasses are the classes that reservation n gives.
func clientClasses(n *keajson.Node) (out []string) {
	for _, c := range n.List("client-classes") {
		if c.Kind == keajson.String && c.Str != "" {
			out = append(out, strings.Clone(c.Str))
		}
	}
	return out
}

// identifier decodes the one of the identifiers of list that reservation e has.
// It returns its node, nil where there is none; ok says that it is right.
func (d *decoder) identifier(e *keajson.Node, list []identifier, t *IdentifierType, id *[]byte) (at *keajson.Node, ok bool) {
	for _, i := range list {
		v := e.Get(i.key)
		if v == nil {
			continue
		}
		if at != nil {
			d.errorKey(v, "a reservation has one identifier: %q and %q are both given", at.Key, v.Key)
			continue
		}
		at = v
		if v.Kind != keajson.String {
			continue
		}
		b, err := ParseIdentifier(v.Str)
		switch {
		case err != nil:
			d.errorf(v, "%q: %v", i.key, err)
		case len(b) < i.min || len(b) > i.max:
			d.errorf(v, "%q must have %d to %d bytes, not %d", i.key, i.min, i.max, len(b))
		default:
			*t, *id, ok = i.t, b, true
		}
	}
	if at == nil {
		var names []string
		for _, i := range list {
			names = append(names, i.key)
		}
		last := len(names) - 1
		d.errorf(e, "a reservation must have one of the identifiers %s or %s", strings.Join(names[:last], ", "), names[last])
	}
	return at, ok
}

// nextServer decodes next-server; set is false where it is absent.
func (d *decoder) nextServer(n *keajson.Node) (a dhcp4.IPv4, set bool) {
	v := n.Get("next-server")
	if v == nil || v.Kind != keajson.String || v.Str == "" {
		return 0, false
	}
	a, err := parseIPv4(v.Str)
	if err != nil {
		d.errorf(v, `"next-server" %v`, err)
	} else if a == dhcp4.Broadcast {
		d.errorf(v, `"next-server" must not be the broadcast address`)
	}
	return a, true
}

// bounded decodes a text that has a fixed field in the message.
func (d *decoder) bounded(n *keajson.Node, name string, max int) string {
	s := n.Text(name, "")
	if len(s) > max {
		d.errorf(n.Get(name), "%q may have at most %d bytes, not %d", name, max, len(s))
	}
	return s
}

// sortSubnets orders by ID, which is the order in which Kea scans (WR-01).
func sortSubnets(l []*Subnet4) {
	slices.SortFunc(l, func(a, b *Subnet4) int { return cmp.Compare(a.ID, b.ID) })
}
