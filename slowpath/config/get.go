package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// getter writes the answer of config-get: every scope with the keys of its
// table in ascending order, given values as they are effective, defaults filled
// in (OP-011).
type getter struct {
	d    *decoder
	snap *Snapshot
	b    []byte
}

// skip, returned by scope.value, prints nothing.
var skip = []byte{}

func (g *getter) top(root *keajson.Node) json.RawMessage {
	g.b = append(g.b, '{')
	g.b = append(g.b, `"Dataplane":`...)
	empty := &keajson.Node{Kind: keajson.Map}
	if n := root.Get("Dataplane"); n != nil {
		g.scope(n, scopeDataplane)
	} else {
		g.scope(empty, scopeDataplane)
	}
	if n := root.Get("Dhcp4"); n != nil {
		g.b = append(g.b, `,"Dhcp4":`...)
		g.scope(n, scopeDhcp4)
	}
	if n := root.Get("Dhcp6"); n != nil {
		g.b = append(g.b, `,"Dhcp6":`...)
		g.scope(n, scopeDhcp6)
	}
	g.b = append(g.b, '}')
	return json.RawMessage(slices.Clip(g.b))
}

func (g *getter) scope(n *keajson.Node, s *scope) {
	g.b = append(g.b, '{')
	first := true
	for i := range s.keys {
		k := &s.keys[i]
		if k.alias != "" {
			continue
		}
		from := len(g.b)
		if !first {
			g.b = append(g.b, ',')
		}
		g.b = keajson.AppendString(g.b, k.name)
		g.b = append(g.b, ':')
		if g.member(n, s, k) {
			first = false
		} else {
			g.b = g.b[:from]
		}
	}
	if s.open {
		for i := range n.Kids {
			if k := &n.Kids[i]; s.key(k.Key) == nil {
				if !first {
					g.b = append(g.b, ',')
				}
				first = false
				g.b = keajson.AppendString(g.b, k.Key)
				g.b = append(g.b, ':')
				g.b = k.AppendJSON(g.b)
			}
		}
	}
	g.b = append(g.b, '}')
}

// member writes the value of key k of n. It reports false where there is none.
func (g *getter) member(n *keajson.Node, s *scope, k *key) bool {
	if k.name == "user-context" {
		uc := userContext(n)
		g.b = append(g.b, uc...)
		return uc != nil
	}
	if s.value != nil {
		if v := s.value(g, n, k); v != nil {
			g.b = append(g.b, v...)
			return len(v) > 0
		}
	}
	v := n.Get(k.name)
	if v == nil {
		// Another spelling of the same key.
		for i := range s.keys {
			if a := &s.keys[i]; a.alias == k.name && v == nil {
				v = n.Get(a.name)
			}
		}
		if v != nil && v.Kind != k.kind { // client-class, control-socket
			if v.Kind == keajson.String && v.Str == "" || v.Kind == keajson.Map && len(v.Kids) == 0 {
				return false
			}
			g.b = append(g.b, '[')
			if k.sub != nil {
				g.scope(v, k.sub)
			} else {
				g.b = v.AppendJSON(g.b)
			}
			g.b = append(g.b, ']')
			return true
		}
	}
	switch {
	case v == nil && k.sub != nil && k.kind == keajson.Map && k.def != "":
		g.scope(&keajson.Node{Kind: keajson.Map}, k.sub)
	case v == nil:
		g.b = append(g.b, k.def...)
		return k.def != ""
	case v.Kind == keajson.Map && k.sub != nil:
		g.scope(v, k.sub)
	case v.Kind == keajson.List && k.sub != nil:
		if k.sub.order != nil && slices.ContainsFunc(v.Kids, func(e keajson.Node) bool { return e.Get("space") != nil }) {
			order := make([]*keajson.Node, 0, len(v.Kids))
			for i := range v.Kids {
				order = append(order, &v.Kids[i])
			}
			slices.SortStableFunc(order, k.sub.order)
			end := g.list(order, k)
			g.b = append(g.b, end...)
			break
		}
		g.b = append(g.b, '[')
		for i := range v.Kids {
			if i > 0 {
				g.b = append(g.b, ',')
			}
			g.scope(&v.Kids[i], k.sub)
		}
		g.b = append(g.b, ']')
	case k.kind == keajson.Real:
		g.b = appendReal(g.b, n.Float(k.name, 0))
	default:
		g.b = v.AppendJSON(g.b)
	}
	return true
}

// bySpace is Kea's order of options: space by space, those of vendors last.
func bySpace(a, b *keajson.Node) int {
	s, t := a.Text("space", optiondef.SpaceDHCP4), b.Text("space", optiondef.SpaceDHCP4)
	v, w := optiondef.EnterpriseOf(s), optiondef.EnterpriseOf(t)
	if v != w {
		return cmp.Compare(v, w)
	}
	return strings.Compare(s, t)
}

// bySpaceName is Kea's order of definitions.
func bySpaceName(a, b *keajson.Node) int {
	return strings.Compare(a.Text("space", optiondef.SpaceDHCP4), b.Text("space", optiondef.SpaceDHCP4))
}

func appendReal(b []byte, f float64) []byte {
	from := len(b)
	b = strconv.AppendFloat(b, f, 'g', -1, 64)
	for _, c := range b[from:] {
		if c == '.' || c == 'e' {
			return b
		}
	}
	return append(b, ".0"...)
}

// dhcp4Value prints the subnets in the order of their ids and the shared
// networks in that of their names.
func dhcp4Value(g *getter, n *keajson.Node, k *key) []byte {
	switch k.name {
	case "subnet4":
		return g.subnetList(n, k)
	case "shared-networks":
		order := pointers(n.List(k.name))
		slices.SortStableFunc(order, func(a, b *keajson.Node) int {
			return strings.Compare(a.Text("name", ""), b.Text("name", ""))
		})
		return g.list(order, k)
	case "client-classes", "reservations", "hosts-databases":
		if len(n.List(k.name)) == 0 {
			return skip
		}
	}
	return nil
}

// interfacesValue prints what differs from Kea's defaults, as Kea does.
func interfacesValue(_ *getter, n *keajson.Node, k *key) []byte {
	retries := n.Int("service-sockets-max-retries", 0) != 0
	switch k.name {
	case "dhcp-socket-type":
		if n.Text(k.name, "raw") == "raw" {
			return skip
		}
	case "outbound-interface":
		if n.Text(k.name, "same-as-inbound") == "same-as-inbound" {
			return skip
		}
	case "service-sockets-require-all":
		if !n.Get(k.name).IsTrue() {
			return skip
		}
	case "service-sockets-max-retries", "service-sockets-retry-wait-time":
		if !retries {
			return skip
		}
	}
	return nil
}

// reservationValue prints identifiers as Kea does: octets with colons where they are
// a hardware address or a DUID, digits alone otherwise.
func reservationValue(_ *getter, n *keajson.Node, k *key) []byte {
	format := "%X"
	switch k.name {
	case "hw-address", "duid":
		format = "% x"
	case "client-id", "circuit-id", "flex-id":
	default:
		return nil
	}
	v := n.Get(k.name)
	if v == nil || v.Kind != keajson.String {
		return nil
	}
	id, err := ParseIdentifier(v.Str)
	if err != nil {
		return nil
	}
	return keajson.AppendString(nil, strings.ReplaceAll(fmt.Sprintf(format, id), " ", ":"))
}

func (g *getter) subnetList(n *keajson.Node, k *key) []byte {
	order := pointers(n.List(k.name))
	slices.SortStableFunc(order, func(a, b *keajson.Node) int {
		return int(int64(g.d.subnets[a].ID) - int64(g.d.subnets[b].ID))
	})
	return g.list(order, k)
}

func pointers(kids []keajson.Node) []*keajson.Node {
	out := make([]*keajson.Node, 0, len(kids))
	for i := range kids {
		out = append(out, &kids[i])
	}
	return out
}

func (g *getter) list(l []*keajson.Node, k *key) []byte {
	g.b = append(g.b, '[')
	for i, e := range l {
		if i > 0 {
			g.b = append(g.b, ',')
		}
		g.scope(e, k.sub)
	}
	return []byte{']'}
}

// networkValue prints what a shared network inherits, as subnetValue does.
func networkValue(g *getter, n *keajson.Node, k *key) []byte {
	net := g.d.networks[n]
	if k.name == "subnet4" {
		return g.subnetList(n, k)
	}
	return inheritedValue(n, &net.Params, k)
}

// classValue prints what Kea does of a class: bounds of the lifetime only where
// they differ from it, the flag only where it is set.
func classValue(_ *getter, n *keajson.Node, k *key) []byte {
	switch k.name {
	case "only-in-additional-list":
		if !n.Get(k.name).IsTrue() && !n.Get("only-if-required").IsTrue() {
			return skip
		}
	case "valid-lifetime", "min-valid-lifetime", "max-valid-lifetime":
		t, ok := (*decoder)(nil).triplet(n)
		switch {
		case !ok, k.name == "min-valid-lifetime" && t.Min >= t.Default, k.name == "max-valid-lifetime" && t.Max <= t.Default:
			return skip
		case k.name == "valid-lifetime":
			return u32Value(t.Default)
		}
	}
	return nil
}

func u32Value(v uint32) []byte { return strconv.AppendUint(nil, uint64(v), 10) }

// subnetValue prints what a subnet inherits of the parameters that Kea copies
// into subnets; the others appear only where they are given.
func subnetValue(g *getter, n *keajson.Node, k *key) []byte {
	s := g.d.subnets[n]
	if k.name == "subnet" {
		return keajson.AppendString(nil, s.Text)
	}
	return inheritedValue(n, &s.Params, k)
}

// inheritedValue prints the parameters that Kea copies into the scopes below.
func inheritedValue(n *keajson.Node, p *Params, k *key) []byte {
	if n.Get(k.name) != nil {
		return nil
	}
	switch k.name {
	case "valid-lifetime":
		return u32Value(p.Valid.Default)
	case "min-valid-lifetime":
		return u32Value(p.Valid.Min)
	case "max-valid-lifetime":
		return u32Value(p.Valid.Max)
	case "renew-timer":
		if p.renewSet {
			return u32Value(p.RenewTimerS)
		}
	case "rebind-timer":
		if p.rebindSet {
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
	case "allocator":
		return keajson.AppendString(nil, p.Allocator)
	case "store-extended-info":
		return strconv.AppendBool(nil, p.StoreExtendedInfo)
	case "offer-lifetime":
		if p.offerSet {
			return u32Value(p.OfferLifetimeS)
		}
	case "adaptive-lease-time-threshold":
		if p.AdaptiveThreshold != 0 {
			return appendReal(nil, p.AdaptiveThreshold)
		}
	}
	return nil
}

// poolValue prints a pool as Kea does: FIRST-LAST, or the prefix it was given as.
func poolValue(g *getter, n *keajson.Node, k *key) []byte {
	if k.name != "pool" {
		return nil
	}
	text := n.Text("pool", "")
	first, last, prefix, err := parsePool4(text)
	if err != nil {
		return nil
	}
	if prefix {
		return keajson.AppendString(nil, optiondef.StripBlanks(text))
	}
	return keajson.AppendString(nil, fmt.Sprintf("%s-%s", first, last))
}

// optionValue prints both name and code of an option, its space and format, and
// data in hexadecimal as Kea writes it.
func optionValue(g *getter, n *keajson.Node, k *key) []byte {
	switch k.name {
	case "name", "code", "space", "csv-format", "data":
	default:
		return nil
	}
	ref, ok := g.d.refs[n]
	if !ok {
		return nil
	}
	text := n.Text("data", "")
	switch k.name {
	case "name":
		if ref.def != nil {
			return keajson.AppendString(nil, ref.def.Name)
		}
		return skip
	case "code":
		return u32Value(uint32(ref.code))
	case "space":
		return keajson.AppendString(nil, ref.space)
	}
	// Without data there is nothing that has a format.
	if n.Get("data") == nil && n.Bool("never-send", false) {
		return skip
	}
	csv := ref.csv && text != ""
	switch {
	case k.name == "csv-format":
		return strconv.AppendBool(nil, csv)
	case csv:
		return nil
	}
	// Kea forgets data in hexadecimal of options of type empty here; config-write
	// would lose it.
	b, _, err := optiondef.Encode(ref.def, ref.csv, text)
	if err != nil {
		return nil
	}
	out := append(make([]byte, 0, 2*len(b)+2), '"')
	for _, x := range b {
		const digits = "0123456789ABCDEF"
		out = append(out, digits[x>>4], digits[x&15])
	}
	return append(out, '"')
}

// optionDefValue prints the types of a record as Kea does.
func optionDefValue(_ *getter, n *keajson.Node, k *key) []byte {
	if k.name != "record-types" || n.Get(k.name) == nil {
		return nil
	}
	var l []string
	for _, s := range strings.Split(n.Text(k.name, ""), ",") {
		if s = strings.TrimSpace(s); s != "" {
			l = append(l, s)
		}
	}
	return keajson.AppendString(nil, strings.Join(l, ", "))
}

// dataplaneValue prints what depends on other keys.
func dataplaneValue(g *getter, n *keajson.Node, k *key) []byte {
	if k.name == "snapshot-interval" {
		return strconv.AppendInt(nil, int64(g.snap.Dataplane.SnapshotIntervalS), 10)
	}
	return nil
}
