package config

import (
	"errors"
	"slices"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
)

// classNames numbers the class names of a configuration.
type classNames struct {
	names   []string
	index   map[string]uint32
	defined map[string]bool
}

func newClassNames() *classNames {
	return &classNames{index: map[string]uint32{}, defined: map[string]bool{}}
}

// number is the number of a name, a new one where it has none yet.
func (c *classNames) number(name string) uint32 {
	i, ok := c.index[name]
	if !ok {
		i = uint32(len(c.names))
		name = strings.Clone(name)
		c.names = append(c.names, name)
		c.index[name] = i
	}
	return i
}

// clientClasses6 decodes client-classes and compiles their expressions.
func (d *decoder) clientClasses6(c *Dhcp6, n *Node) {
	names := d.six.classes
	var defs []class.Def
	var nodes []*Node
	kids := n.kids("client-classes")
	for i := range kids {
		e := &kids[i]
		if e.Kind != Map {
			continue
		}
		d.push("client-classes", i)
		if v := e.Get("name"); v == nil {
			d.errorf(e, `a class must have a "name"`)
		} else if v.Kind == String && v.Str != "" {
			names.defined[v.Str] = true
			if esc := string(class.AppendEscaped(nil, []byte(v.Str))); esc != v.Str {
				d.warnf(v, "class name %q has characters that generated names have escaped: such a name is %q", clip(v.Str), clip(esc))
			}
			def := class.Def{Name: v.Str, Test: e.text("test"), TemplateTest: e.text("template-test"),
				OnlyInAdditionalList: d.renamed(e, "only-if-required", "only-in-additional-list").isTrue()}
			defs, nodes = append(defs, def), append(nodes, e)
		} else if v.Kind == String {
			d.errorf(v, "a class must have a name that is not empty")
		}
		x := Class6{Name: e.str("name", ""), Options: d.options6(e), UserContext: userContext(e)}
		var valid, preferred lifetime6
		d.lifetime6(e, "valid-lifetime", &valid)
		d.lifetime6(e, "preferred-lifetime", &preferred)
		x.Valid, x.Preferred = valid.class(), preferred.class()
		c.Classes = append(c.Classes, x)
		d.pop()
	}
	set, err := class.NewSet(defs, &class.Env{
		V6:         true,
		OptionCode: optionCode6(d.defs),
		OptionDef:  optionDef6(d.defs),
		ClassIndex: names.number,
	})
	var bad *class.DefError
	if errors.As(err, &bad) {
		at := nodes[bad.Def]
		if v := at.Get(bad.Key); v != nil {
			at = v
		}
		d.errorf(at, "class %q: %v", clip(defs[bad.Def].Name), err)
	} else if err != nil {
		d.errorf(n.Get("client-classes"), "%v", err)
	}
	c.ClassSet = set
}

// text is a member as class.Def wants it, nil where it is absent.
func (n *Node) text(name string) *string {
	v := n.Get(name)
	if v == nil || v.Kind != String {
		return nil
	}
	s := strings.Clone(v.Str)
	return &s
}

func (n *Node) isTrue() bool { return n != nil && n.Kind == Bool && n.Str == "true" }

// renamed is the member that has an old and a new name, nil if neither is there.
func (d *decoder) renamed(n *Node, old, name string) *Node {
	o, v := n.Get(old), n.Get(name)
	if o == nil {
		return v
	}
	if v != nil {
		d.errorKey(o, "%q is the old spelling of %q: give one of them", old, name)
		return v
	}
	d.warnKey(o, "%q is deprecated: use %q", old, name)
	return o
}

// classList decodes a list of class names, or one name where n is a string.
func (d *decoder) classList(n *Node) (out []string) {
	if n == nil {
		return nil
	}
	kids := n.Kids
	if n.Kind == String {
		if n.Str == "" {
			return nil
		}
		kids = []Node{*n}
	}
	for i := range kids {
		e := &kids[i]
		switch {
		case e.Kind != String:
		case e.Str == "":
			d.errorf(e, "a class name must not be empty")
		case !slices.Contains(out, e.Str):
			out = append(out, strings.Clone(e.Str))
			d.six.classes.number(e.Str)
		}
	}
	return out
}

// guard6 decodes client-classes and evaluate-additional-classes of a network,
// subnet or pool, with their old spellings (V4-054, CL-048).
func (d *decoder) guard6(n *Node) (guard, additional []string) {
	return d.classList(d.renamed(n, "client-class", "client-classes")),
		d.classList(d.renamed(n, "require-client-classes", "evaluate-additional-classes"))
}

// finishClasses6 tells the set the names that templates may spawn.
func (d *decoder) finishClasses6(c *Dhcp6) {
	names := d.six.classes
	tags := func(o *Options6) {
		for i := range o.List {
			for _, s := range o.List[i].ClientClasses {
				names.number(s)
			}
		}
		for i := range o.Vendors {
			for j := range o.Vendors[i].List {
				for _, s := range o.Vendors[i].List[j].ClientClasses {
					names.number(s)
				}
			}
		}
	}
	hosts := func(l []*Reservation6) {
		for _, h := range l {
			tags(&h.Options)
		}
	}
	tags(&c.Options)
	hosts(c.GlobalReservations)
	for i := range c.Classes {
		tags(&c.Classes[i].Options)
	}
	for _, n := range c.Networks {
		tags(&n.Options)
	}
	for _, s := range c.Subnets {
		tags(&s.Options)
		hosts(s.Reservations)
		for _, p := range s.Pools {
			tags(&p.Options)
		}
		for _, p := range s.PDPools {
			tags(&p.Options)
		}
	}
	for _, name := range []string{"ALL", "KNOWN", "UNKNOWN", "DROP", "REJECT"} {
		names.number(name)
	}
	c.ClassNames = names.names
	if c.ClassSet != nil {
		for i, name := range names.names {
			c.ClassSet.AddSpawned(name, uint32(i))
		}
	}
}
