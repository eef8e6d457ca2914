package config

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// optionRef says which option an option-data entry is about.
type optionRef struct {
	space string
	code  uint16
	def   *optiondef.Def // nil: not defined
	csv   bool
}

// String names the option in messages.
func (r optionRef) String() string {
	switch {
	case r.def != nil:
		return r.def.String()
	case r.space == optiondef.SpaceDHCP4 || r.space == optiondef.SpaceDHCP6:
		return strconv.Itoa(int(r.code))
	}
	return fmt.Sprintf("%s.%d", r.space, r.code)
}

// resolveOption finds space, code, definition and format of an entry (V4-090).
func (d *decoder) resolveOption(n *keajson.Node) (ref optionRef, ok bool) {
	name, code, space := n.Get("name"), n.Get("code"), n.Get("space")
	ref.space = d.fam.options.Top
	if space != nil {
		switch {
		case space.Kind != keajson.String:
			return ref, false
		case !optiondef.ValidWord(space.Str):
			d.errorf(space, "option space %q must have letters, digits, - and _ only, the latter two not at its ends", keajson.Clip(space.Str))
			return ref, false
		case space.Str == d.fam.options.Other:
			d.errorf(space, "option space %q is not of %s", d.fam.options.Other, d.fam.options.Name())
			return ref, false
		}
		ref.space = strings.Clone(space.Str)
	}
	if name == nil && code == nil {
		d.errorf(n, `option-data must have a "name" or a "code"`)
		return ref, false
	}
	if name != nil && name.Kind != keajson.String {
		return ref, false
	}
	if code != nil {
		c := n.Int("code", -1)
		switch {
		case code.Kind != keajson.Integer || c < 0 || c > d.fam.options.MaxCode():
			return ref, false // check has said so
		case d.fam.options.Reserved(ref.space, c):
			d.errorf(code, "option code %d is reserved: options of space %q have codes %d to %d", c, d.fam.options.Top, d.fam.options.Min, d.fam.options.Max)
			return ref, false
		}
		ref.code, ref.def = uint16(c), optiondef.Find(d.fam.options, d.own, d.defs, ref.space, int(c), "")
		if name != nil && ref.def != nil && ref.def.Name != name.Str {
			d.errorf(name, "option %d is %q, not %q", ref.code, ref.def.Name, keajson.Clip(name.Str))
			return ref, false
		}
		if name != nil && ref.def == nil {
			if f := optiondef.Find(d.fam.options, d.own, d.defs, ref.space, -1, name.Str); f != nil {
				d.errorf(name, "option %q has code %d, not %d", name.Str, f.Code, c)
				return ref, false
			}
		}
	} else {
		if ref.def = optiondef.Find(d.fam.options, d.own, d.defs, ref.space, -1, name.Str); ref.def == nil {
			d.unknownOption(name, ref.space)
			return ref, false
		}
		ref.code = ref.def.Code
	}
	ref.csv = n.Bool("csv-format", ref.def != nil)
	if ref.csv && ref.def == nil {
		d.errorf(n.Get("csv-format"), `option %s has no definition: give its data in hexadecimal with "csv-format" false, or define it in "option-def"`, ref)
		return ref, false
	}
	return ref, true
}

// unknownOption reports a name that no definition has.
func (d *decoder) unknownOption(name *keajson.Node, space string) {
	var names []string
	var elsewhere string
	for _, l := range []map[string]*optiondef.Space{optiondef.Standard, d.defs.BySpace(), d.own.BySpace()} {
		for s, defs := range l {
			for n := range defs.ByName {
				if s == space {
					names = append(names, n)
				} else if n == name.Str && (elsewhere == "" || s < elsewhere) {
					elsewhere = s
				}
			}
		}
	}
	slices.Sort(names)
	in := ""
	if space != d.fam.options.Top {
		in = fmt.Sprintf(" in space %q", keajson.Clip(space))
	}
	if near := keajson.Nearest(name.Str, names); near != "" {
		d.errorf(name, "unknown option %q%s; did you mean %q?", keajson.Clip(name.Str), in, near)
	} else if elsewhere != "" {
		d.errorf(name, "unknown option %q%s; one of this name is in space %q", keajson.Clip(name.Str), in, elsewhere)
	} else {
		d.errorf(name, "unknown option %q%s: options without a definition need a \"code\"", keajson.Clip(name.Str), in)
	}
}

// entry is a decoded option-data entry before options are put into each other.
type entry struct {
	optionRef
	node    *keajson.Node
	always  bool
	never   bool
	classes []string
	data    []byte
	// enterprise is the number of a space vendor-NUMBER, 0 for others.
	enterprise uint32
}

// options decodes the option-data of scope n, and before it the option-def of a
// class (V4-097).
func (d *decoder) options(n *keajson.Node) Options {
	if len(d.path) > 0 && d.path[len(d.path)-1].name == "client-classes" {
		d.own = d.optionDefinitions(n, true)
		defer func() { d.own = nil }()
	}
	list := d.entries(n)
	if len(list) == 0 {
		return Options{}
	}
	return d.assemble(list)
}

// entries decodes the elements of option-data of scope n.
func (d *decoder) entries(n *keajson.Node) []entry {
	kids := n.List("option-data")
	if len(kids) == 0 {
		return nil
	}
	list := make([]entry, 0, len(kids))
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		d.push("option-data", i)
		if o, ok := d.option(e); ok {
			list = append(list, o)
		}
		d.pop()
	}
	return list
}

// option decodes one entry.
func (d *decoder) option(e *keajson.Node) (o entry, ok bool) {
	ref, ok := d.resolveOption(e)
	if !ok {
		return o, false
	}
	o = entry{optionRef: ref, node: e, always: e.Bool("always-send", false), never: e.Bool("never-send", false), enterprise: optiondef.EnterpriseOf(ref.space)}
	if d.refs == nil {
		d.refs = map[*keajson.Node]optionRef{}
	}
	d.refs[e] = ref
	for _, c := range e.List("client-classes") {
		if s := strings.TrimSpace(c.Str); c.Kind == keajson.String && s != "" && !slices.Contains(o.classes, s) {
			o.classes = append(o.classes, strings.Clone(s))
			d.numbers.number(s)
		}
	}
	o.data, ok = d.optionData(e, ref, o.never)
	return o, ok
}

// maxOptionData bounds one option: it must fit in a UDP datagram however it is
// split (RFC 3396).
const maxOptionData = 60000

// optionData encodes the data of an entry.
func (d *decoder) optionData(n *keajson.Node, ref optionRef, never bool) (data []byte, ok bool) {
	v := n.Get("data")
	if v != nil && v.Kind != keajson.String {
		return nil, false
	}
	if v == nil && never {
		return []byte{}, true // V4-094
	}
	text, at := "", n
	if v != nil {
		text, at = v.Str, v
	}
	b, note, err := optiondef.Encode(ref.def, ref.csv, text)
	if err == nil && len(b) > maxOptionData {
		err = fmt.Errorf("data may have at most %d bytes, not %d", maxOptionData, len(b))
	}
	if err != nil {
		d.errorf(at, "option %s: %v", ref, err)
		return nil, false
	}
	if note != "" {
		d.warnf(at, "option %s: %s", ref, note)
	}
	if b == nil {
		b = []byte{}
	}
	return b, true
}

// assemble puts the entries of a scope in order and sub-options into the options
// that encapsulate their space.
func (d *decoder) assemble(list []entry) Options {
	var out Options
	l := make([]*entry, 0, len(list))
	for i := range list {
		l = append(l, &list[i])
	}
	// By enterprise number, 0 for the options of the message; others are only
	// inside those.
	slices.SortStableFunc(l, func(a, b *entry) int { return cmp.Compare(a.enterprise, b.enterprise) })
	for len(l) > 0 {
		id, n := l[0].enterprise, 0
		for n < len(l) && l[n].enterprise == id {
			n++
		}
		if id != 0 {
			v := VendorOptions{Enterprise: id}
			v.List, v.Codes, v.Always, v.Never = d.sorted(l[:n], list)
			out.Vendors = append(out.Vendors, v)
		} else {
			top := slices.DeleteFunc(l[:n:n], func(e *entry) bool { return e.space != optiondef.SpaceDHCP4 })
			out.List, out.Codes, out.Always, out.Never = d.sorted(top, list)
		}
		l = l[n:]
	}
	return out
}

// value is the wire form of e with its sub-options, which are in list.
func (d *decoder) value(e *entry, list []entry) []byte {
	b, err := d.encapsulate(e, list, 0)
	if err == nil && len(b) > maxOptionData {
		err = fmt.Errorf("data and sub-options may have at most %d bytes, not %d", maxOptionData, len(b))
	}
	if err != nil {
		d.errorf(e.node, "option %s: %v", e.optionRef, err)
	}
	return b
}

// sorted orders the entries of one space by code, those of one code as they are
// preferred: those for some classes in the order given, then the one for all
// (V4-095).
func (d *decoder) sorted(l []*entry, list []entry) (out []Option, codes, always, never optiondef.CodeSet) {
	slices.SortStableFunc(l, func(a, b *entry) int {
		if c := cmp.Compare(a.code, b.code); c != 0 {
			return c
		}
		return b2i(len(a.classes) == 0) - b2i(len(b.classes) == 0)
	})
	out = make([]Option, 0, len(l))
	for i, e := range l {
		code := uint8(e.code)
		codes.Add(code)
		if e.always {
			always.Add(code)
		}
		if e.never {
			never.Add(code)
		}
		o := Option{Code: code, Always: e.always, Never: e.never, Classes: e.classes, Data: d.value(e, list)}
		if len(o.Data) > 255 && e.def != nil && e.def.Encapsulates != "" {
			if n, err := e.def.FieldsLen(e.data); err == nil && n < 254 {
				o.SubOptions = uint8(n + 1)
			}
		}
		// Vendor options are told apart by their enterprise number.
		byVendor := e.space == optiondef.SpaceDHCP4 && (code == optiondef.VIVCO || code == optVIVSO)
		if i > 0 && l[i-1].code == e.code && len(l[i-1].classes) == 0 && !byVendor {
			d.warnf(e.node, "option %s is given twice in this option-data: the first is used", e.optionRef)
			continue
		}
		out = append(out, o)
	}
	return slices.Clip(out), codes, always, never
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

const optVIVSO = 125 // RFC 3925 §4

// Empty reports whether the scope has no option at all.
func (o *Options) Empty() bool { return len(o.List) == 0 && len(o.Vendors) == 0 }

// Find returns the entries of a code in space dhcp4, the most preferred first:
// more than one only where entries are for certain classes, or for several
// vendors. It allocates nothing.
func (o *Options) Find(code uint8) []Option {
	if !o.Codes.Has(code) {
		return nil
	}
	return findCode(o.List, &o.Codes, code)
}

// Vendor returns the options of an enterprise, nil if there are none.
func (o *Options) Vendor(enterprise uint32) *VendorOptions {
	for i := range o.Vendors {
		if o.Vendors[i].Enterprise == enterprise {
			return &o.Vendors[i]
		}
	}
	return nil
}

// Find is Options.Find in the vendor's space.
func (v *VendorOptions) Find(code uint8) []Option {
	if !v.Codes.Has(code) {
		return nil
	}
	return findCode(v.List, &v.Codes, code)
}

// findCode finds the entries of a code that is among codes. Where each code has
// one entry, which is nearly always, the set tells its place.
func findCode(l []Option, codes *optiondef.CodeSet, code uint8) []Option {
	lo := bits.OnesCount64(codes[code>>6] & (1<<(code&63) - 1))
	for _, w := range codes[:code>>6] {
		lo += bits.OnesCount64(w)
	}
	for l[lo].Code != code {
		lo++
	}
	end := lo
	for end < len(l) && l[end].Code == code {
		end++
	}
	return l[lo:end]
}
