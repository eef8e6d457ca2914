package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
)

// Option spaces with a meaning of their own.
const (
	spaceDHCP4              = "dhcp4" // options of the message
	spaceDHCP6              = "dhcp6"
	spaceRAI                = "dhcp-agent-options-space"          // sub-options of 82
	spaceVendorEncapsulated = "vendor-encapsulated-options-space" // of 43
	spaceCableLabs          = "cablelabs-client-conf"             // of 122
	spaceDOCSIS             = "docsis3-v4"                        // of 125 for enterprise 4491
	spaceDOCSIS6            = "docsis3-v6"                        // of v6 option 17 for it
	space4o6                = "4o6"                               // of v6 option 17 for enterprise 2495
	spaceS46MAPE            = "s46-cont-mape-options"             // of v6 option 94
	spaceS46MAPT            = "s46-cont-mapt-options"             // of v6 option 95
	spaceS46LW              = "s46-cont-lw-options"               // of v6 option 96
	spaceS46Rule            = "s46-rule-options"                  // of s46-rule
	spaceS46Bind            = "s46-v4v6bind-options"              // of s46-v4v6bind
	spaceNTP6               = "v6-ntp-server-suboptions"          // of v6 option 56
	spaceRSOO               = "rsoo-opts"                         // of v6 option 66
	vendorSpacePrefix       = "vendor-"                           // + enterprise number: of 125
	enterpriseCableLabs     = 4491
	enterpriseISC           = 2495
)

// defSpace are the definitions of one space.
type defSpace struct {
	byCode map[uint16]*optDef
	byName map[string]*optDef
}

func (s *defSpace) add(d *optDef) {
	if s.byCode == nil {
		s.byCode, s.byName = map[uint16]*optDef{}, map[string]*optDef{}
	}
	s.byCode[d.code], s.byName[d.name] = d, d
}

// find looks by code, or by name where code is negative.
func (s *defSpace) find(code int, name string) *optDef {
	switch {
	case s == nil:
		return nil
	case code < 0:
		return s.byName[name]
	}
	return s.byCode[uint16(code)]
}

// standardDefs are the built-in definitions by space. Read-only.
var standardDefs = func() map[string]*defSpace {
	m := map[string]*defSpace{}
	for space, defs := range map[string][]optDef{
		spaceDHCP4: builtinOptions, spaceRAI: builtinRAI, spaceCableLabs: builtinCableLabs, spaceDOCSIS: builtinDOCSIS,
	} {
		s := &defSpace{}
		for i := range defs {
			defs[i].space = space
			s.add(&defs[i])
		}
		m[space] = s
	}
	for space, defs := range builtinOptions6 {
		s := &defSpace{}
		for i := range defs {
			defs[i].space, defs[i].v6 = space, true
			s.add(&defs[i])
		}
		m[space] = s
	}
	return m
}()

// OptionName is the name of a built-in option of space dhcp4, "" for others.
func OptionName(code uint8) string {
	if o := standardDefs[spaceDHCP4].byCode[uint16(code)]; o != nil {
		return o.name
	}
	if code == 43 {
		return lastResort43.name
	}
	return ""
}

// optionDefs are the definitions of one option-def list, global or a class's
// own. A nil one has none.
type optionDefs struct {
	spaces map[string]*defSpace
	list   []*optDef // as given
}

func (o *optionDefs) find(space string, code int, name string) *optDef {
	if o == nil {
		return nil
	}
	return o.spaces[space].find(code, name)
}

func (o *optionDefs) add(d *optDef) {
	s := o.spaces[d.space]
	if s == nil {
		s = &defSpace{}
		if o.spaces == nil {
			o.spaces = map[string]*defSpace{}
		}
		o.spaces[d.space] = s
	}
	s.add(d)
	o.list = append(o.list, d)
}

// findDef finds a definition in Kea's order: the class's own (nil: none), built
// in, of the vendor, of the global option-def, and at last that of option 43
// (V4-097). By code, or by name where code is negative.
func findDef(fam *optionFamily, own, global *optionDefs, space string, code int, name string) *optDef {
	if d := own.find(space, code, name); d != nil {
		return d
	}
	if d := standardDefs[space].find(code, name); d != nil {
		return d
	}
	if e := enterpriseOf(space); e != 0 {
		if d := standardDefs[fam.vendors[e]].find(code, name); d != nil {
			return d
		}
	}
	if d := global.find(space, code, name); d != nil {
		return d
	}
	if space == spaceDHCP4 && (code == 43 || code < 0 && name == lastResort43.name) {
		return &lastResort43
	}
	return nil
}

// enterpriseOf is the enterprise number of a space vendor-NUMBER, 0 for others.
func enterpriseOf(space string) uint32 {
	s, ok := strings.CutPrefix(space, vendorSpacePrefix)
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// optionCode4 finds options by name for expressions: class.Env.OptionCode.
func optionCode4(global *optionDefs) func(name string) (code uint16, ok bool) {
	return func(name string) (uint16, bool) {
		if d := findDef(family4, nil, global, spaceDHCP4, -1, name); d != nil {
			return d.code, true
		}
		return 0, false
	}
}

// optionDef4 describes options for expressions: class.Env.OptionDef.
func optionDef4(global *optionDefs) func(space string, code uint16) (class.OptionDef, bool) {
	return func(space string, code uint16) (class.OptionDef, bool) {
		if d := findDef(family4, nil, global, space, int(code), ""); d != nil {
			return d.describe(), true
		}
		return class.OptionDef{}, false
	}
}

// describe is d as package class wants it.
func (o *optDef) describe() class.OptionDef {
	c := class.OptionDef{Type: o.fields[0], Array: o.array, Encapsulates: o.encapsulates}
	if o.isRecord() {
		c.Type, c.Fields = optRecord, o.fields
	}
	return c
}

func (o *optDef) isRecord() bool { return len(o.fields) > 1 }

// exported are the definitions as Dhcp4.OptionDefs has them.
func (o *optionDefs) exported() []OptionDef {
	if o == nil {
		return nil
	}
	var l []OptionDef
	for _, x := range o.list {
		l = append(l, OptionDef{Space: x.space, Code: x.code, Name: x.name, OptionDef: x.describe()})
	}
	slices.SortStableFunc(l, func(a, b OptionDef) int { return strings.Compare(a.Space, b.Space) })
	return l
}

// validWord says whether s can name an option or a space: letters, digits, - and
// _, the latter two not at its ends.
func validWord(s string) bool {
	if s == "" || strings.ContainsAny(s[:1]+s[len(s)-1:], "-_") {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// deferredCode says whether Kea decodes an option of space dhcp4 after
// classification, so that classes may define it (V4-097).
func deferredCode(code uint16) bool { return code == 43 || code >= 224 && code <= 254 }

// optionDefinitions decodes the option-def of n; own says that n is a class.
func (d *decoder) optionDefinitions(n *Node, own bool) *optionDefs {
	kids := n.kids("option-def")
	if len(kids) == 0 {
		return nil
	}
	defs := &optionDefs{}
	for i := range kids {
		e := &kids[i]
		if e.Kind != Map {
			continue
		}
		d.push("option-def", i)
		if o := d.optionDefinition(e); o != nil && d.addDefinition(defs, o, e, own) {
			defs.add(o)
		}
		d.pop()
	}
	d.checkEncapsulation(defs)
	return defs
}

// optionDefinition decodes one option-def, nil where it is wrong.
func (d *decoder) optionDefinition(e *Node) *optDef {
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
	case name.Kind != String || code.Kind != Integer || typ.Kind != String:
		return nil // check has said so
	}
	c := e.int("code", -1)
	if c < 0 || c > d.fam.maxCode() {
		return nil
	}
	o := &optDef{
		name: e.str("name", ""), code: uint16(c), space: e.str("space", d.fam.top), v6: d.fam.v6,
		array: e.bool("array", false), encapsulates: e.str("encapsulate", ""), src: e,
	}
	switch {
	case !validWord(o.name):
		d.errorf(name, "option name %q must have letters, digits, - and _ only, the latter two not at its ends", clip(o.name))
		return nil
	case !validWord(o.space):
		d.errorf(e.Get("space"), "option space %q must have letters, digits, - and _ only, the latter two not at its ends", clip(o.space))
		return nil
	case o.encapsulates != "" && !validWord(o.encapsulates):
		d.errorf(e.Get("encapsulate"), "option space %q must have letters, digits, - and _ only, the latter two not at its ends", clip(o.encapsulates))
		return nil
	case d.fam.reserved(o.space, c):
		d.errorf(code, "option code %d is reserved: options of space %q have codes %d to %d", c, d.fam.top, d.fam.min, d.fam.max)
		return nil
	case o.encapsulates != "" && o.array:
		d.errorf(e.Get("array"), "option %s.%s is an array, which cannot encapsulate an option space", o.space, o.name)
		return nil
	case o.encapsulates != "" && o.encapsulates == o.space:
		d.errorf(e.Get("encapsulate"), "option %s.%s cannot encapsulate the option space it is in", o.space, o.name)
		return nil
	}
	t, ok := class.ParseOptionType(typ.Str)
	if !ok {
		d.errorf(typ, "unknown option type %q: expected one of %s", clip(typ.Str), strings.Join(optionTypeNames(), ", "))
		return nil
	}
	if !d.recordFields(o, e, t) {
		return nil
	}
	return o
}

// recordFields sets the fields of o, of type t, and whether they can be so.
func (d *decoder) recordFields(o *optDef, e *Node, t optType) bool {
	rt := e.Get("record-types")
	var types []string
	if rt != nil && rt.Kind == String {
		for _, s := range strings.Split(rt.Str, ",") {
			if s = strings.TrimSpace(s); s != "" {
				types = append(types, s)
			}
		}
	}
	at := e.Get("type")
	if t != optRecord {
		o.fields = []optType{t}
		if len(types) > 0 {
			d.errorf(rt, `"record-types" is for options of type "record", not %q`, t)
			return false
		}
		if o.array && (t == optString || t == optBinary || t == optEmpty || t == optInternal) {
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
			d.errorf(rt, "unknown option type %q in \"record-types\"", clip(s))
			return false
		case f == optRecord || f == optEmpty || f == optInternal:
			d.errorf(rt, "type %q cannot be a field of a record", s)
			return false
		case i < len(types)-1 && (f == optString || f == optBinary):
			d.errorf(rt, "type %q can only be the last field of a record", s)
			return false
		case i == len(types)-1 && o.array && (f == optString || f == optBinary):
			d.errorf(rt, "an array of type %q is not possible: it could not be told where one value ends", s)
			return false
		}
		o.fields = append(o.fields, f)
	}
	if len(o.fields) < 2 {
		d.errorf(rt, `type "record" needs at least two types in "record-types", not %d`, len(o.fields))
		return false
	}
	return true
}

// addDefinition reports whether o may stand beside what is defined already.
func (d *decoder) addDefinition(defs *optionDefs, o *optDef, e *Node, own bool) bool {
	code, name := e.Get("code"), e.Get("name")
	if own && (o.space != spaceDHCP4 || !deferredCode(o.code)) {
		d.errorf(code, "a class may define the options 43 and 224 to 254 of space %q, not %d of space %q", spaceDHCP4, o.code, clip(o.space))
		return false
	}
	if f := defs.find(o.space, int(o.code), ""); f != nil {
		d.errorf(code, "option %d of space %q is defined twice, first at %s", o.code, clip(o.space), d.t.Position(f.src))
		return false
	}
	if f := defs.find(o.space, -1, o.name); f != nil {
		d.errorf(name, "option %q of space %q is defined twice, first at %s", clip(o.name), clip(o.space), d.t.Position(f.src))
		return false
	}
	std := standardDefs[o.space]
	if f := std.find(int(o.code), ""); f != nil {
		d.errorf(code, "option %d of space %q is built in as %q and cannot be defined anew", o.code, clip(o.space), f.name)
		return false
	}
	if f := std.find(-1, o.name); f != nil {
		d.errorf(name, "option %q of space %q is built in with code %d and cannot be defined anew", clip(o.name), clip(o.space), f.code)
		return false
	}
	return true
}

// checkEncapsulation refuses spaces that encapsulate each other in a circle:
// their options could not be put together.
func (d *decoder) checkEncapsulation(defs *optionDefs) {
	// Which spaces the options of a space encapsulate.
	into := map[string][]*optDef{}
	for _, o := range defs.list {
		if o.encapsulates != "" && o.encapsulates != d.fam.top { // never put into another (Kea does the same)
			into[o.space] = append(into[o.space], o)
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
			if !visit(o.encapsulates) {
				d.errorf(o.src, "option %s.%s encapsulates space %q, whose options encapsulate space %q again", o.space, o.name, clip(o.encapsulates), clip(o.space))
				break
			}
		}
		state[space] = 2
		return true
	}
	for _, o := range defs.list {
		visit(o.space)
	}
}

func optionTypeNames() []string {
	var l []string
	for t := optBinary; t <= optInternal; t++ {
		l = append(l, strconv.Quote(t.String()))
	}
	slices.Sort(l)
	return l
}

// String names the option in messages.
func (o *optDef) String() string {
	if o.space == spaceDHCP4 || o.space == spaceDHCP6 {
		return fmt.Sprintf("%s (%d)", o.name, o.code)
	}
	return fmt.Sprintf("%s.%s (%d)", o.space, o.name, o.code)
}
