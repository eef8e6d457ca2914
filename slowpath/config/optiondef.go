package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// optionDefinitions decodes the option-def of n; own says that n is a class.
func (d *decoder) optionDefinitions(n *keajson.Node, own bool) *optiondef.Set {
	kids := n.List("option-def")
	if len(kids) == 0 {
		return nil
	}
	defs := &optiondef.Set{}
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		d.push("option-def", i)
		if o := d.optionDefinition(e); o != nil && d.addDefinition(defs, o, e, own) {
			defs.Add(o)
		}
		d.pop()
	}
	d.checkEncapsulation(defs)
	return defs
}

// optionDefinition decodes one option-def, nil where it is wrong.
func (d *decoder) optionDefinition(e *keajson.Node) *optiondef.Def {
	name, code, typ := e.Get("name"), e.Get("code"), e.Get("type")
	switch {
	case name == nil:
		d.errorf(e, `option-def must have a "name"`)
		return nil
	case code == nil:
		d.errorf(e, `option-def must have a "code"`)
		return nil
	case typ == nil:
		d.errorf(e, `option-def must have a "type"`)
		return nil
	case name.Kind != keajson.String || code.Kind != keajson.Integer || typ.Kind != keajson.String:
		return nil // check has said so
	}
	c := e.Int("code", -1)
	if c < 0 || c > d.fam.options.MaxCode() {
		return nil
	}
	o := &optiondef.Def{
		Name: e.Text("name", ""), Code: uint16(c), Space: e.Text("space", d.fam.options.Top), V6: d.fam.options.V6,
		Array: e.Bool("array", false), Encapsulates: e.Text("encapsulate", ""), Src: e,
	}
	switch {
	case !optiondef.ValidWord(o.Name):
		d.errorf(name, "option name %q must have letters, digits, - and _ only, the latter two not at its ends", keajson.Clip(o.Name))
		return nil
	case !optiondef.ValidWord(o.Space):
		d.errorf(e.Get("space"), "option space %q must have letters, digits, - and _ only, the latter two not at its ends", keajson.Clip(o.Space))
		return nil
	case o.Encapsulates != "" && !optiondef.ValidWord(o.Encapsulates):
		d.errorf(e.Get("encapsulate"), "option space %q must have letters, digits, - and _ only, the latter two not at its ends", keajson.Clip(o.Encapsulates))
		return nil
	case d.fam.options.Reserved(o.Space, c):
		d.errorf(code, "option code %d is reserved: options of space %q have codes %d to %d", c, d.fam.options.Top, d.fam.options.Min, d.fam.options.Max)
		return nil
	case o.Encapsulates != "" && o.Array:
		d.errorf(e.Get("array"), "option %s.%s is an array, which cannot encapsulate an option space", o.Space, o.Name)
		return nil
	case o.Encapsulates != "" && o.Encapsulates == o.Space:
		d.errorf(e.Get("encapsulate"), "option %s.%s cannot encapsulate the option space it is in", o.Space, o.Name)
		return nil
	}
	t, ok := class.ParseOptionType(typ.Str)
	if !ok {
		d.errorf(typ, "unknown option type %q: expected one of %s", keajson.Clip(typ.Str), strings.Join(optionTypeNames(), ", "))
		return nil
	}
	if !d.recordFields(o, e, t) {
		return nil
	}
	return o
}

// recordFields sets the fields of o, of type t, and whether they can be so.
func (d *decoder) recordFields(o *optiondef.Def, e *keajson.Node, t optiondef.Type) bool {
	rt := e.Get("record-types")
	var types []string
	if rt != nil && rt.Kind == keajson.String {
		for _, s := range strings.Split(rt.Str, ",") {
			if s = strings.TrimSpace(s); s != "" {
				types = append(types, s)
			}
		}
	}
	at := e.Get("type")
	if t != optiondef.Record {
		o.Fields = []optiondef.Type{t}
		if len(types) > 0 {
			d.errorf(rt, `"record-types" is for options of type "record", not %q`, t)
			return false
		}
		if o.Array && (t == optiondef.String || t == optiondef.Binary || t == optiondef.Empty || t == optiondef.Internal) {
			d.errorf(at, "an array of type %q is not possible: it could not be told where one value ends", t)
			return false
		}
		return true
	}
	if rt == nil {
		rt = at
	}
	for i, s := range types {
		f, ok := class.ParseOptionType(s)
		switch {
		case !ok:
			d.errorf(rt, "unknown option type %q in \"record-types\"", keajson.Clip(s))
			return false
		case f == optiondef.Record || f == optiondef.Empty || f == optiondef.Internal:
			d.errorf(rt, "type %q cannot be a field of a record", s)
			return false
		case i < len(types)-1 && (f == optiondef.String || f == optiondef.Binary):
			d.errorf(rt, "type %q can only be the last field of a record", s)
			return false
		case i == len(types)-1 && o.Array && (f == optiondef.String || f == optiondef.Binary):
			d.errorf(rt, "an array of type %q is not possible: it could not be told where one value ends", s)
			return false
		}
		o.Fields = append(o.Fields, f)
	}
	if len(o.Fields) < 2 {
		d.errorf(rt, `type "record" needs at least two types in "record-types", not %d`, len(o.Fields))
		return false
	}
	return true
}

// addDefinition reports whether o may stand beside what is defined already.
func (d *decoder) addDefinition(defs *optiondef.Set, o *optiondef.Def, e *keajson.Node, own bool) bool {
	code, name := e.Get("code"), e.Get("name")
	if own && (o.Space != optiondef.SpaceDHCP4 || !optiondef.DeferredCode(o.Code)) {
		d.errorf(code, "a class may define the options 43 and 224 to 254 of space %q, not %d of space %q", optiondef.SpaceDHCP4, o.Code, keajson.Clip(o.Space))
		return false
	}
	if f := defs.Find(o.Space, int(o.Code), ""); f != nil {
		d.errorf(code, "option %d of space %q is defined twice, first at %s", o.Code, keajson.Clip(o.Space), d.t.Position(f.Src))
		return false
	}
	if f := defs.Find(o.Space, -1, o.Name); f != nil {
		d.errorf(name, "option %q of space %q is defined twice, first at %s", keajson.Clip(o.Name), keajson.Clip(o.Space), d.t.Position(f.Src))
		return false
	}
	std := optiondef.Standard[o.Space]
	if f := std.Find(int(o.Code), ""); f != nil {
		d.errorf(code, "option %d of space %q is built in as %q and cannot be defined anew", o.Code, keajson.Clip(o.Space), f.Name)
		return false
	}
	if f := std.Find(-1, o.Name); f != nil {
		d.errorf(name, "option %q of space %q is built in with code %d and cannot be defined anew", keajson.Clip(o.Name), keajson.Clip(o.Space), f.Code)
		return false
	}
	return true
}

// checkEncapsulation refuses spaces that encapsulate each other in a circle:
// their options could not be put together.
func (d *decoder) checkEncapsulation(defs *optiondef.Set) {
	// Which spaces the options of a space encapsulate.
	into := map[string][]*optiondef.Def{}
	for _, o := range defs.List {
		if o.Encapsulates != "" && o.Encapsulates != d.fam.options.Top { // never put into another (Kea does the same)
			into[o.Space] = append(into[o.Space], o)
		}
	}
	state := map[string]int{} // 1: on the way, 2: done
	var visit func(space string) bool
	visit = func(space string) bool {
		switch state[space] {
		case 1:
			return false
		case 2:
			return true
		}
		state[space] = 1
		for _, o := range into[space] {
			if !visit(o.Encapsulates) {
				d.errorf(o.Src, "option %s.%s encapsulates space %q, whose options encapsulate space %q again", o.Space, o.Name, keajson.Clip(o.Encapsulates), keajson.Clip(o.Space))
				break
			}
		}
		state[space] = 2
		return true
	}
	for _, o := range defs.List {
		visit(o.Space)
	}
}

func optionTypeNames() []string {
	var l []string
	for t := optiondef.Binary; t <= optiondef.Internal; t++ {
		l = append(l, strconv.Quote(t.String()))
	}
	slices.Sort(l)
	return l
}
