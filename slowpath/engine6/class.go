package engine6

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

// MaxQueryClasses is how many classes one query can be in.
const MaxQueryClasses = class.MaxMembership

// ClassSet is the set of client classes of a query.
type ClassSet = class.Membership

// classTable numbers every class name that the configuration mentions; first
// those that config.Dhcp6.ClassNames has, by its numbers.
type classTable struct {
	class.Names
	set *class.Set // nil: no class has an expression

	all, known, unknown, drop, reject uint32
}

func newClassTable(d *config.Dhcp6) *classTable {
	t := &classTable{set: d.ClassSet}
	for _, n := range d.ClassNames {
		t.Add(n)
	}
	t.all, t.known, t.unknown = t.Add("ALL"), t.Add("KNOWN"), t.Add("UNKNOWN")
	t.drop, t.reject = t.Add("DROP"), t.Add("REJECT")
	return t
}
