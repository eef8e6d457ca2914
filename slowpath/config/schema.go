package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/hostname"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// key says what one key of a scope may hold.
type key struct {
	name     string
	kind     keajson.Kind
	min, max int64 // of an Integer
	// def is the JSON value the key has when it is absent and which config-get
	// then prints; "" prints nothing.
	def string
	// enum are the values a String may have.
	enum []string
	// enumLater are values of Kea that are not served yet.
	enumLater []string
	// later marks a key of Kea that is not served yet. It is refused by name,
	// except with a value that asks for nothing: its default, an empty value,
	// or one of inert.
	later bool
	inert []string // JSON
	// never marks a key not served yet whose empty value asks for something.
	never bool
	// sub is the scope of a Map, or of every element of a List.
	sub *scope
	// elem is the kind of a List's elements where sub is nil; Null allows any.
	elem keajson.Kind
	// alias marks another spelling: config-get prints the key of this name.
	alias string
	// free holds anything below it: parameters of hooks, user contexts.
	free bool
}

// scope is the set of keys of one kind of map.
type scope struct {
	name  string // as "belongs in" says it
	keys  []key  // ascending name
	byKey map[string]int
	// removed are keys Kea once had, with what to do instead.
	removed map[string]string
	// value, where set, overrides what config-get prints for a key of n. It
	// returns nil to leave it to the table and skip to print nothing.
	value func(g *getter, n *keajson.Node, k *key) []byte
	// order, where set, is that of a list of such maps in config-get, if one of
	// them has a "space".
	order func(a, b *keajson.Node) int
	// open accepts unknown keys (Kea does for some maps).
	open bool
}

func newScope(name string, groups ...[]key) *scope {
	s := &scope{name: name, byKey: map[string]int{}}
	for _, g := range groups {
		s.keys = append(s.keys, g...)
	}
	slices.SortFunc(s.keys, func(a, b key) int { return strings.Compare(a.name, b.name) })
	for i := range s.keys {
		if _, dup := s.byKey[s.keys[i].name]; dup {
			panic("config: key " + s.keys[i].name + " stands twice in scope " + name)
		}
		s.byKey[s.keys[i].name] = i
	}
	return s
}

func (s *scope) key(name string) *key {
	if i, ok := s.byKey[name]; ok {
		return &s.keys[i]
	}
	return nil
}

const maxUint32 = math.MaxUint32

func boolean(name, def string) key { return key{name: name, kind: keajson.Bool, def: def} }
func str(name, def string) key     { return key{name: name, kind: keajson.String, def: def} }
func real(name, def string) key    { return key{name: name, kind: keajson.Real, def: def} }
func integer(name, def string, min, max int64) key {
	return key{name: name, kind: keajson.Integer, def: def, min: min, max: max}
}
func list(name string, elem keajson.Kind) key {
	return key{name: name, kind: keajson.List, def: "[]", elem: elem}
}
func mapList(name string, sub *scope) key {
	return key{name: name, kind: keajson.List, def: "[]", sub: sub}
}
func submap(name string, sub *scope) key { return key{name: name, kind: keajson.Map, sub: sub} }
func freeMap(name string) key            { return key{name: name, kind: keajson.Map, free: true} }
func oneOf(name, def string, e ...string) key {
	return key{name: name, kind: keajson.String, def: def, enum: e}
}

// unset is k without a default: config-get prints it only where it is given.
func unset(k key) key { k.def = ""; return k }

// later is k as not served yet.
func later(k key, inert ...string) key {
	k.later, k.inert = true, inert
	return k
}

// withContext are the keys of every scope that allows a user context (OP-003).
func withContext() []key {
	return []key{freeMap("user-context"), {name: "comment", kind: keajson.String, alias: "user-context"}}
}

// decoder walks a tree: first check, which holds it against the schema, then
// the functions that build the snapshot.
type decoder struct {
	t *keajson.Tree
	r *keajson.Report
	// unserved is what is not served, with LoadOptions.ListNotServed.
	unserved *keajson.Report
	o        *LoadOptions
	// path leads from the top to where we are, for messages.
	path []step
	// fam is the family of what is decoded now.
	fam *family
	// subnets are the decoded subnets by their node, for config-get.
	subnets map[*keajson.Node]*Subnet4
	// defs are the global option definitions, own those of the class whose
	// options are decoded; refs are the decoded options by their node, for
	// config-get.
	defs, own *optiondef.Set
	refs      map[*keajson.Node]optionRef
	// six is what decoding Dhcp6 needs beside.
	six *decoder6
	// networks are the decoded shared networks by their node, likewise.
	networks map[*keajson.Node]*Network4
	// byID and byText are where a subnet's id and prefix stand.
	byID   map[uint32]*keajson.Node
	byText map[string]*keajson.Node
	// classes are the class names that may come true, numbers the numbers of
	// all that are mentioned.
	classes map[string]bool
	numbers *classNames
	// sanitizers are those compiled, by expression and replacement.
	sanitizers map[string]*hostname.Sanitizer
	// uniqueAddrs is ip-reservations-unique.
	uniqueAddrs bool
	// ddnsUpdates is dhcp-ddns.enable-updates.
	ddnsUpdates bool
}

type step struct {
	name  string
	index int // -1: none
}

func (d *decoder) push(name string, index int) { d.path = append(d.path, step{name, index}) }
func (d *decoder) pop()                        { d.path = d.path[:len(d.path)-1] }

// where names the current scope: "subnet4[0].pools[1]".
func (d *decoder) where() string {
	var b strings.Builder
	p := d.path
	if len(p) > 1 && (p[0].name == "Dhcp4" || p[0].name == "Dhcp6") {
		p = p[1:]
	}
	for i, s := range p {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.name)
		if s.index >= 0 {
			fmt.Fprintf(&b, "[%d]", s.index)
		}
	}
	if b.Len() == 0 {
		return "the configuration"
	}
	return b.String()
}

func (d *decoder) errorf(n *keajson.Node, format string, args ...any) {
	d.r.Error(d.t, n, format, args...).Element = d.element(n)
}

// notServed refuses a part of Kea that this version does not serve, or lists it
// (LoadOptions.ListNotServed).
func (d *decoder) notServed(n *keajson.Node, format string, args ...any) {
	d.missing().Error(d.t, n, notServedPrefix+format, args...).Element = d.element(n)
}

// notServedKey is notServed at the key of n.
func (d *decoder) notServedKey(n *keajson.Node, format string, args ...any) {
	d.missing().ErrorKey(d.t, n, notServedPrefix+format, args...).Element = d.element(n)
}

const notServedPrefix = "not served by this version: "

// missing is the report of what is not served.
func (d *decoder) missing() *keajson.Report {
	if d.o.ListNotServed {
		return d.unserved
	}
	return d.r
}

func (d *decoder) errorKey(n *keajson.Node, format string, args ...any) {
	d.r.ErrorKey(d.t, n, format, args...).Element = d.element(n)
}

// element names the key of a daemon's part that n is in.
func (d *decoder) element(n *keajson.Node) string {
	switch {
	case len(d.path) > 1:
		return d.path[1].name
	case len(d.path) == 1:
		return n.Key
	}
	return ""
}
func (d *decoder) warnf(n *keajson.Node, format string, args ...any) {
	d.r.Warn(d.t, n, format, args...)
}
func (d *decoder) warnKey(n *keajson.Node, format string, args ...any) {
	d.r.WarnKey(d.t, n, format, args...)
}

// check holds map n against s and goes down into what s describes.
func (d *decoder) check(n *keajson.Node, s *scope) {
	if n.Kind != keajson.Map {
		d.errorf(n, "%s must be a map, not %s", d.where(), n.Kind)
		return
	}
	for i := range n.Kids {
		kid := &n.Kids[i]
		k := s.key(kid.Key)
		if k == nil {
			if !s.open {
				d.unknown(kid, s)
			}
			continue
		}
		d.checkKey(kid, k)
	}
	if c := n.Get("comment"); c != nil && s.key("comment") != nil {
		if in := n.Get("user-context").Get("comment"); in != nil {
			d.errorKey(c, "\"comment\" is given here and in \"user-context\"")
		}
	}
}

// unknown reports a key that s does not have.
func (d *decoder) unknown(kid *keajson.Node, s *scope) {
	if why, ok := s.removed[kid.Key]; ok {
		d.errorKey(kid, "%q %s", kid.Key, why)
		return
	}
	var names []string
	for i := range s.keys {
		names = append(names, s.keys[i].name)
	}
	in := d.where()
	if other := d.ofOtherFamily(kid.Key); other != "" {
		d.errorKey(kid, "unknown key %q in %s; it belongs in %s", keajson.Clip(kid.Key), in, other)
		return
	}
	if near := keajson.Nearest(kid.Key, names); near != "" {
		d.errorKey(kid, "unknown key %q in %s; did you mean %q?", keajson.Clip(kid.Key), in, near)
		return
	}
	for _, o := range d.allScopes() {
		if o != s && o.name != s.name && o.key(kid.Key) != nil && kid.Key != "name" && kid.Key != "type" {
			d.errorKey(kid, "unknown key %q in %s; it belongs in %s", keajson.Clip(kid.Key), in, o.name)
			return
		}
	}
	d.errorKey(kid, "unknown key %q in %s", keajson.Clip(kid.Key), in)
}

// ofOtherFamily names the other family's part if that alone has the key.
func (d *decoder) ofOtherFamily(name string) string {
	has := func(l []*scope) bool {
		return slices.ContainsFunc(l, func(s *scope) bool { return s.key(name) != nil })
	}
	switch four, six := has(allScopes()), has(allScopes6()); {
	case six && !four:
		return "Dhcp6"
	case four && !six:
		return "Dhcp4"
	}
	return ""
}

func (d *decoder) checkKey(n *keajson.Node, k *key) {
	if k.later {
		if !isInert(n, k) {
			d.notServedKey(n, "%q%s", n.Key, k.only())
		}
		return
	}
	if n.Kind != k.kind && !(k.kind == keajson.Real && n.Kind == keajson.Integer) {
		d.errorf(n, "%q must be %s, not %s", n.Key, k.kind, describe(n))
		return
	}
	switch n.Kind {
	case keajson.Integer:
		if k.kind == keajson.Real {
			break
		}
		if v, err := strconv.ParseInt(n.Str, 10, 64); err != nil || v < k.min || v > k.max {
			d.errorf(n, "%q must be between %d and %d, not %s", n.Key, k.min, k.max, keajson.Clip(n.Str))
		}
	case keajson.String:
		if k.enum != nil && !slices.Contains(k.enum, n.Str) {
			if slices.Contains(k.enumLater, n.Str) {
				d.notServed(n, "%q: %q", n.Key, n.Str)
				return
			}
			d.errorf(n, "%q must be %s, not %q", n.Key, orList(k.enum), keajson.Clip(n.Str))
		}
	case keajson.Map:
		if k.sub != nil {
			d.push(n.Key, -1)
			d.check(n, k.sub)
			d.pop()
		}
	case keajson.List:
		for i := range n.Kids {
			e := &n.Kids[i]
			if k.sub != nil {
				d.push(n.Key, i)
				d.check(e, k.sub)
				d.pop()
			} else if k.elem != keajson.Null && e.Kind != k.elem {
				d.errorf(e, "%s[%d] must be %s, not %s", n.Key, i, k.elem, describe(e))
			}
			if d.r.Full() {
				return
			}
		}
	}
}

// only says which value of a key not served yet is accepted.
func (k *key) only() string {
	def := k.def
	if def == "" && len(k.inert) > 0 {
		def = k.inert[0]
	}
	if def == "" || k.kind == keajson.List || k.kind == keajson.Map {
		return ""
	}
	return fmt.Sprintf(" (only %s is)", def)
}

// describe names what stands there: its value where it is short.
func describe(n *keajson.Node) string {
	if keajson.IsSecret(n.Key) {
		return n.Kind.String()
	}
	switch n.Kind {
	case keajson.Integer, keajson.Real, keajson.Bool:
		if len(n.Str) <= 20 {
			return n.Str
		}
	case keajson.String:
		if len(n.Str) <= 40 {
			return fmt.Sprintf("the string %q", n.Str)
		}
	}
	return n.Kind.String()
}

// isInert says whether a key that is not served has a value that asks for
// nothing.
func isInert(n *keajson.Node, k *key) bool {
	js := string(n.AppendJSON(nil))
	if slices.Contains(k.inert, js) {
		return true
	}
	if k.never {
		return false
	}
	if k.def != "" {
		if k.kind == keajson.Real || k.kind == keajson.Integer {
			a, err1 := strconv.ParseFloat(js, 64)
			b, err2 := strconv.ParseFloat(k.def, 64)
			return err1 == nil && err2 == nil && a == b
		}
		return js == k.def
	}
	switch js {
	case "null", "false", "0", `""`, "[]", "{}":
		return true
	}
	return false
}

func orList(l []string) string {
	var b strings.Builder
	for i, s := range l {
		switch {
		case i == 0:
		case i == len(l)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", s)
	}
	return b.String()
}
