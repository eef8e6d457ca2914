package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// key says what one key of a scope may hold.
type key struct {
	name     string
	kind     Kind
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
	elem Kind
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
	value func(g *getter, n *Node, k *key) []byte
	// order, where set, is that of a list of such maps in config-get, if one of
	// them has a "space".
	order func(a, b *Node) int
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

func boolean(name, def string) key { return key{name: name, kind: Bool, def: def} }
func str(name, def string) key     { return key{name: name, kind: String, def: def} }
func real(name, def string) key    { return key{name: name, kind: Real, def: def} }
func integer(name, def string, min, max int64) key {
	return key{name: name, kind: Integer, def: def, min: min, max: max}
}
func list(name string, elem Kind) key { return key{name: name, kind: List, def: "[]", elem: elem} }
func mapList(name string, sub *scope) key {
	return key{name: name, kind: List, def: "[]", sub: sub}
}
func submap(name string, sub *scope) key { return key{name: name, kind: Map, sub: sub} }
func freeMap(name string) key            { return key{name: name, kind: Map, free: true} }
func oneOf(name, def string, e ...string) key {
	return key{name: name, kind: String, def: def, enum: e}
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
	return []key{freeMap("user-context"), {name: "comment", kind: String, alias: "user-context"}}
}

// decoder walks a tree: first check, which holds it against the schema, then
// the functions that build the snapshot.
type decoder struct {
	t *Tree
	r *report
	o *LoadOptions
	// path leads from the top to where we are, for messages.
	path []step
	// fam is the family of what is decoded now.
	fam *optionFamily
	// subnets are the decoded subnets by their node, for config-get.
	subnets map[*Node]*Subnet4
	// defs are the global option definitions, own those of the class whose
	// options are decoded; refs are the decoded options by their node, for
	// config-get.
	defs, own *optionDefs
	refs      map[*Node]optionRef
	// six is what decoding Dhcp6 needs beside.
	six *decoder6
	// networks are the decoded shared networks by their node, likewise.
	networks map[*Node]*Network4
	// byID and byText are where a subnet's id and prefix stand.
	byID   map[uint32]*Node
	byText map[string]*Node
	// classes are the class names that may come true, numbers the numbers of
	// all that are mentioned.
	classes map[string]bool
	numbers *classNames
	// sanitizers are those compiled, by expression and replacement.
	sanitizers map[string]*Sanitizer
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

func (d *decoder) errorf(n *Node, format string, args ...any) {
	d.r.error(d.t, n.src, n.off, format, args...).Element = d.element(n)
}

// notServed refuses a part of Kea that this version does not serve, or lists it
// (LoadOptions.ListNotServed).
func (d *decoder) notServed(n *Node, format string, args ...any) {
	d.listNotServed(n, n.src, n.off, notServedPrefix+fmt.Sprintf(format, args...))
}

// notServedKey is notServed at the key of n.
func (d *decoder) notServedKey(n *Node, format string, args ...any) {
	d.listNotServed(n, n.keySrc, n.keyOff, notServedPrefix+fmt.Sprintf(format, args...))
}

const notServedPrefix = "not served by this version: "

func (d *decoder) listNotServed(n *Node, src int32, off uint32, msg string) {
	if !d.o.ListNotServed {
		d.r.error(d.t, src, off, "%s", msg).Element = d.element(n)
	} else if len(d.r.notServed) < d.r.max {
		d.r.notServed = append(d.r.notServed, &Error{Pos: d.t.position(src, off), Msg: msg, Element: d.element(n), src: src, off: off})
	}
}

func (d *decoder) errorKey(n *Node, format string, args ...any) {
	d.r.error(d.t, n.keySrc, n.keyOff, format, args...).Element = d.element(n)
}

// element names the key of a daemon's part that n is in.
func (d *decoder) element(n *Node) string {
	switch {
	case len(d.path) > 1:
		return d.path[1].name
	case len(d.path) == 1:
		return n.Key
	}
	return ""
}
func (d *decoder) warnf(n *Node, format string, args ...any) {
	d.r.warn(d.t, n.src, n.off, format, args...)
}
func (d *decoder) warnKey(n *Node, format string, args ...any) {
	d.r.warn(d.t, n.keySrc, n.keyOff, format, args...)
}

// check holds map n against s and goes down into what s describes.
func (d *decoder) check(n *Node, s *scope) {
	if n.Kind != Map {
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
func (d *decoder) unknown(kid *Node, s *scope) {
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
		d.errorKey(kid, "unknown key %q in %s; it belongs in %s", clip(kid.Key), in, other)
		return
	}
	if near := nearest(kid.Key, names); near != "" {
		d.errorKey(kid, "unknown key %q in %s; did you mean %q?", clip(kid.Key), in, near)
		return
	}
	for _, o := range d.allScopes() {
		if o != s && o.name != s.name && o.key(kid.Key) != nil && kid.Key != "name" && kid.Key != "type" {
			d.errorKey(kid, "unknown key %q in %s; it belongs in %s", clip(kid.Key), in, o.name)
			return
		}
	}
	d.errorKey(kid, "unknown key %q in %s", clip(kid.Key), in)
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

func (d *decoder) checkKey(n *Node, k *key) {
	if k.later {
		if !isInert(n, k) {
			d.notServedKey(n, "%q%s", n.Key, k.only())
		}
		return
	}
	if n.Kind != k.kind && !(k.kind == Real && n.Kind == Integer) {
		d.errorf(n, "%q must be %s, not %s", n.Key, k.kind, describe(n))
		return
	}
	switch n.Kind {
	case Integer:
		if k.kind == Real {
			break
		}
		if v, err := strconv.ParseInt(n.Str, 10, 64); err != nil || v < k.min || v > k.max {
			d.errorf(n, "%q must be between %d and %d, not %s", n.Key, k.min, k.max, clip(n.Str))
		}
	case String:
		if k.enum != nil && !slices.Contains(k.enum, n.Str) {
			if slices.Contains(k.enumLater, n.Str) {
				d.notServed(n, "%q: %q", n.Key, n.Str)
				return
			}
			d.errorf(n, "%q must be %s, not %q", n.Key, orList(k.enum), clip(n.Str))
		}
	case Map:
		if k.sub != nil {
			d.push(n.Key, -1)
			d.check(n, k.sub)
			d.pop()
		}
	case List:
		for i := range n.Kids {
			e := &n.Kids[i]
			if k.sub != nil {
				d.push(n.Key, i)
				d.check(e, k.sub)
				d.pop()
			} else if k.elem != Null && e.Kind != k.elem {
				d.errorf(e, "%s[%d] must be %s, not %s", n.Key, i, k.elem, describe(e))
			}
			if d.r.full() {
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
	if def == "" || k.kind == List || k.kind == Map {
		return ""
	}
	return fmt.Sprintf(" (only %s is)", def)
}

// describe names what stands there: its value where it is short.
func describe(n *Node) string {
	if isSecret(n.Key) {
		return n.Kind.String()
	}
	switch n.Kind {
	case Integer, Real, Bool:
		if len(n.Str) <= 20 {
			return n.Str
		}
	case String:
		if len(n.Str) <= 40 {
			return fmt.Sprintf("the string %q", n.Str)
		}
	}
	return n.Kind.String()
}

// isInert says whether a key that is not served has a value that asks for
// nothing.
func isInert(n *Node, k *key) bool {
	js := string(n.AppendJSON(nil))
	if slices.Contains(k.inert, js) {
		return true
	}
	if k.never {
		return false
	}
	if k.def != "" {
		if k.kind == Real || k.kind == Integer {
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

// The accessors below return the value of a member, or the default given where
// it is absent or check has refused it.

func (n *Node) str(name, def string) string {
	if v := n.Get(name); v != nil && v.Kind == String {
		return strings.Clone(v.Str)
	}
	return def
}

func (n *Node) bool(name string, def bool) bool {
	if v := n.Get(name); v != nil && v.Kind == Bool {
		return v.Str == "true"
	}
	return def
}

func (n *Node) isTrue() bool { return n != nil && n.Kind == Bool && n.Str == "true" }

func (n *Node) int(name string, def int64) int64 {
	if v := n.Get(name); v != nil && v.Kind == Integer {
		if i, err := strconv.ParseInt(v.Str, 10, 64); err == nil {
			return i
		}
	}
	return def
}

func (n *Node) u32(name string, def uint32) uint32 {
	if i := n.int(name, int64(def)); i >= 0 && i <= maxUint32 {
		return uint32(i)
	}
	return def
}

func (n *Node) real(name string, def float64) float64 {
	if v := n.Get(name); v != nil && (v.Kind == Real || v.Kind == Integer) {
		if f, err := strconv.ParseFloat(v.Str, 64); err == nil {
			return f
		}
	}
	return def
}

// kids are the elements of member name where it is a list, else nothing.
func (n *Node) kids(name string) []Node {
	if v := n.Get(name); v != nil && v.Kind == List {
		return v.Kids
	}
	return nil
}
