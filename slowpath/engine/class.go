package engine

import (
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

// Numbers of the classes that the engine itself looks at.
const (
	classAll     = config.ClassAll
	classKnown   = config.ClassKnown
	classUnknown = config.ClassUnknown
	classDrop    = config.ClassDrop
	classReject  = config.ClassReject
	classBOOTP   = config.ClassBOOTP
	classStash   = config.ClassStashAgentOptions
)

// MaxQueryClasses is how many classes one query can be in.
const MaxQueryClasses = class.MaxMembership

// classVendor is the class of option 60 where it has no number.
const classVendor = class.MaxNumber

// classTable numbers every class name that the configuration mentions:
// definitions, guards and reservations.
type classTable struct {
	class.Names
	vendor  map[string]uint32 // VENDOR_CLASS_ names by what option 60 has to be
	options []*config.Options // by number; nil where a class defines none
	defs    []*config.Class   // by number; nil where there is no definition
	set     *class.Set        // nil: no expressions
	// fields and lifetimes: some class has such.
	fields, lifetimes bool
}

func newClassTable(cfg *config.Dhcp4) *classTable {
	t := &classTable{vendor: make(map[string]uint32)}
	for _, n := range config.ServerClasses() {
		t.add(n)
	}
	for _, n := range cfg.ClassNames {
		t.add(n)
	}
	for i := range cfg.Classes {
		c := &cfg.Classes[i]
		n := t.add(c.Name)
		if !c.Options.Empty() {
			t.options[n] = &c.Options
		}
		t.defs[n] = c
		t.fields = t.fields || c.NextServer != 0 || c.ServerHostname != "" || c.BootFileName != ""
		t.lifetimes = t.lifetimes || c.HasValid || c.HasOfferLifetime
	}
	t.set = cfg.ClassSet
	hosts := func(l []*config.Reservation4) {
		for _, h := range l {
			t.addAll(h.ClientClasses)
		}
	}
	hosts(cfg.GlobalReservations)
	for _, s := range cfg.Subnets {
		t.addAll(s.ClientClasses)
		t.addAll(s.AdditionalClasses)
		for _, p := range s.Pools {
			t.addAll(p.ClientClasses)
			t.addAll(p.AdditionalClasses)
		}
		hosts(s.Reservations)
	}
	for _, n := range cfg.Networks {
		t.addAll(n.ClientClasses)
		t.addAll(n.AdditionalClasses)
	}
	return t
}

func (t *classTable) addAll(names []string) {
	for _, n := range names {
		t.add(n)
	}
}

func (t *classTable) add(name string) uint32 {
	if i, ok := t.Number(name); ok {
		return i
	}
	i := t.Names.Add(name)
	t.options = append(t.options, nil)
	t.defs = append(t.defs, nil)
	if esc, ok := strings.CutPrefix(name, class.VendorPrefix); ok {
		if raw, ok := unescapeClass(esc); ok {
			t.vendor[raw] = i
		}
	}
	return i
}

func (t *classTable) numbers(names []string) []uint32 { return t.Numbers(names) }

// def is the definition of class i, nil if it has none.
func (t *classTable) def(i uint32) *config.Class {
	if i < uint32(len(t.defs)) {
		return t.defs[i]
	}
	return nil
}

// ClassSet is the set of client classes of a query. The zero value is empty;
// Accept4 begins a new one.
type ClassSet struct {
	class.Membership
	t *classTable
	// vendor is option 60 while the class of it has no number; it aliases the
	// message.
	vendor []byte
}

func (c *ClassSet) reset(t *classTable) {
	c.Membership.Reset(&t.Names)
	c.t = t
	c.vendor = nil
}

// addVendor adds the class of option 60.
func (c *ClassSet) addVendor(vendor []byte) {
	if i, ok := c.t.vendor[string(vendor)]; ok {
		c.Put(i)
		return
	}
	c.vendor = vendor
	c.Put(classVendor)
}

// Add puts the query into a class; callouts do that. It reports false if the
// query is in too many classes already.
func (c *ClassSet) Add(name string) bool { return c.isVendor(name) || c.Membership.Add(name) }

// Has reports whether the query is in the class of that name. No allocation.
func (c *ClassSet) Has(name string) bool { return c.Membership.Has(name) || c.isVendor(name) }

// isVendor reports whether name is that of the class of option 60 without a
// number.
func (c *ClassSet) isVendor(name string) bool {
	if c.vendor == nil {
		return false
	}
	esc, ok := strings.CutPrefix(name, class.VendorPrefix)
	return ok && c.InClass(classVendor) && equalEscaped(esc, c.vendor)
}

// Name is the name of the i-th class in order of assignment. It allocates only
// for generated names that the configuration does not mention.
func (c *ClassSet) Name(i int) string {
	if c.Order()[i] == classVendor {
		return string(c.AppendName(nil, i))
	}
	return c.Membership.Name(i)
}

// AppendName appends the name of the i-th class in order of assignment.
func (c *ClassSet) AppendName(dst []byte, i int) []byte {
	if c.Order()[i] == classVendor {
		return class.AppendEscaped(append(dst, class.VendorPrefix...), c.vendor)
	}
	return c.Membership.AppendName(dst, i)
}

// equalEscaped reports whether esc is what class.AppendEscaped makes of raw.
func equalEscaped(esc string, raw []byte) bool {
	var b [3]byte
	for i := range raw {
		e := class.AppendEscaped(b[:0], raw[i:i+1])
		if len(esc) < len(e) || esc[:len(e)] != string(e) {
			return false
		}
		esc = esc[len(e):]
	}
	return esc == ""
}

const hexDigits = "0123456789abcdef"

// unescapeClass is the inverse of class.AppendEscaped; ok is false if nothing escapes
// to esc.
func unescapeClass(esc string) (raw string, ok bool) {
	var b []byte
	for i := 0; i < len(esc); i++ {
		if esc[i] != '%' {
			b = append(b, esc[i])
			continue
		}
		if i+1 < len(esc) && esc[i+1] == '%' {
			b = append(b, '%')
			i++
			continue
		}
		if i+2 >= len(esc) {
			return "", false
		}
		hi, lo := strings.IndexByte(hexDigits, esc[i+1]), strings.IndexByte(hexDigits, esc[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b = append(b, byte(hi<<4|lo))
		i += 2
	}
	if !equalEscaped(esc, b) {
		return "", false
	}
	return string(b), true
}
