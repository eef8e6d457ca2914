package config

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// clientClasses6 decodes client-classes and compiles their expressions.
func (d *decoder) clientClasses6(c *Dhcp6, n *keajson.Node) {
	var defs []class.Def
	var nodes []*keajson.Node
	kids := n.List("client-classes")
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		d.push("client-classes", i)
		def := d.classDef(e)
		x := Class6{Name: def.Name, Options: d.options6(e), UserContext: userContext(e)}
		var valid, preferred lifetime6
		d.lifetime6(e, "valid-lifetime", &valid)
		d.lifetime6(e, "preferred-lifetime", &preferred)
		x.Valid, x.Preferred = valid.class(), preferred.class()
		if x.Valid.Set && x.Valid.Default == 0 {
			d.warnf(at(e, "valid-lifetime", "min-valid-lifetime", "max-valid-lifetime"), noClassLifetime)
		}
		if def.OnlyInAdditionalList && (x.Valid.Set || x.Preferred.Set) {
			d.warnf(e, "class %q has only-in-additional-list: its lifetimes have no effect, since such lists are evaluated after the lease is made", keajson.Clip(x.Name))
		}
		c.Classes = append(c.Classes, x)
		defs, nodes = append(defs, def), append(nodes, e)
		d.pop()
	}
	c.defs = d.defs
	c.ClassSet = d.compileClasses(n, defs, nodes, c.Expressions())
}
