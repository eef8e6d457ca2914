package config

import (
	"fmt"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// lifetime6 is a lifetime and its bounds as they are given in a scope or around
// it. Each of the three is inherited by itself (V6-037).
type lifetime6 struct {
	def, min, max          uint32
	hasDef, hasMin, hasMax bool
}

// lifetime6 adds to l what scope n gives of a lifetime, and checks the result if
// that is anything.
func (d *decoder) lifetime6(n *keajson.Node, name string, l *lifetime6) {
	var at *keajson.Node
	for _, x := range []struct {
		name string
		v    *uint32
		has  *bool
	}{{name, &l.def, &l.hasDef}, {"min-" + name, &l.min, &l.hasMin}, {"max-" + name, &l.max, &l.hasMax}} {
		if v := n.Get(x.name); v != nil {
			*x.v, *x.has = n.Uint32(x.name, *x.v), true
			if at == nil {
				at = v
			}
		}
	}
	if at == nil {
		return
	}
	if _, err := l.triplet(name); err != nil {
		d.errorf(at, "%v", err)
	}
}

// triplet is the lifetime with what is not given made of what is: bounds equal
// the default, and the default the only bound.
func (l *lifetime6) triplet(name string) (Triplet, error) {
	t := Triplet{Min: l.min, Default: l.def, Max: l.max}
	switch {
	case !l.hasDef && l.hasMin && l.hasMax:
		return t, fmt.Errorf("min-%s and max-%s are given, but no %s", name, name, name)
	case !l.hasDef && l.hasMin:
		t.Default = l.min
	case !l.hasDef:
		t.Default = l.max
	}
	if !l.hasMin {
		t.Min = t.Default
	}
	if !l.hasMax {
		t.Max = t.Default
	}
	if t.Min > t.Default {
		return t, fmt.Errorf("min-%s %d must not be above %s %d", name, t.Min, name, t.Default)
	}
	if t.Max < t.Default {
		return t, fmt.Errorf("max-%s %d must not be below %s %d", name, t.Max, name, t.Default)
	}
	return t, nil
}

func (l *lifetime6) given() bool { return l.hasDef || l.hasMin || l.hasMax }

// class is the lifetime of a class.
func (l *lifetime6) class() ClassLifetime {
	t, _ := l.triplet("")
	return ClassLifetime{Set: l.given(), Triplet: t}
}
