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

const (
	// MaxQueryClasses is how many classes one query can be in; more are left
	// out (ClassSet.Overflowed). A set has memory for as many as any query it
	// was used for has been in.
	MaxQueryClasses = 4096
	// maxForeignClasses of them may be names the configuration does not know,
	// given by callouts, and as many spawned by templates.
	maxForeignClasses = 8
	// maxSpawnedLen is how many octets the latter have together.
	maxSpawnedLen = 2048

	classSpawned = 0xFFFFFE00 // + index in ClassSet.spawnedEnd
	classForeign = 0xFFFFFF00 // + index in ClassSet.foreign
	classVendor  = 0xFFFFFFFF
)

// classTable numbers every class name that the configuration mentions:
// definitions, guards and reservations.
type classTable struct {
	names   []string
	index   map[string]uint32
	vendor  map[string]uint32 // VENDOR_CLASS_ names by what option 60 has to be
	options []*config.Options // by number; nil where a class defines none
	defs    []*config.Class   // by number; nil where there is no definition
	set     *class.Set        // nil: no expressions
	// fields and lifetimes: some class has such.
	fields, lifetimes bool
}

func newClassTable(cfg *config.Dhcp4) *classTable {
	t := &classTable{index: make(map[string]uint32), vendor: make(map[string]uint32)}
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
	if i, ok := t.index[name]; ok {
		return i
	}
	i := uint32(len(t.names))
	t.names = append(t.names, name)
	t.options = append(t.options, nil)
	t.defs = append(t.defs, nil)
	t.index[name] = i
	if esc, ok := strings.CutPrefix(name, class.VendorPrefix); ok {
		if raw, ok := unescapeClass(esc); ok {
			t.vendor[raw] = i
		}
	}
	return i
}

func (t *classTable) numbers(names []string) []uint32 {
	var l []uint32
	for _, n := range names {
		l = append(l, t.index[n])
	}
	return l
}

// def is the definition of class i, nil if it has none.
func (t *classTable) def(i uint32) *config.Class {
	if i < uint32(len(t.defs)) {
		return t.defs[i]
	}
	return nil
}

// ClassSet is the set of client classes of a query, in order of assignment:
// numbers that the configuration gives each class name it mentions, the
// VENDOR_CLASS_ and SPAWN_ names that it does not mention, and a few names of
// callouts. The zero value is empty; Accept4 begins a new one.
type ClassSet struct {
	t     *classTable
	bits  []uint64 // by number, as many as t has names
	order []uint32

	foreign  [maxForeignClasses]string
	nForeign uint8
	nSpawned uint8
	overflow bool
	// The names that templates have spawned lie in spawned, each up to its end.
	spawned    []byte
	spawnedEnd [maxForeignClasses]uint16
	// vendor is option 60 while the class of it has no number; it aliases the
	// message.
	vendor []byte
}

func (c *ClassSet) reset(t *classTable) {
	if words := (len(t.names) + 63) / 64; c.t == t && len(c.bits) == words {
		for _, i := range c.order {
			if i>>6 < uint32(words) {
				c.bits[i>>6] = 0
			}
		}
	} else {
		c.bits = append(c.bits[:0], make([]uint64, words)...)
	}
	c.t = t
	c.order = c.order[:0]
	c.spawned = c.spawned[:0]
	c.nForeign, c.nSpawned = 0, 0
	c.overflow = false
	c.vendor = nil
}

func (c *ClassSet) has(i uint32) bool {
	if w := i >> 6; w < uint32(len(c.bits)) {
		return c.bits[w]&(1<<(i&63)) != 0
	}
	for _, n := range c.order {
		if n == i {
			return true
		}
	}
	return false
}

// hasAny reports whether the query passes a guard: an empty one is open to
// all (V4-054).
func (c *ClassSet) hasAny(guard []uint32) bool {
	if len(guard) == 0 {
		return true
	}
	for _, i := range guard {
		if c.has(i) {
			return true
		}
	}
	return false
}

func (c *ClassSet) add(i uint32) bool {
	if c.has(i) {
		return true
	}
	if len(c.order) >= MaxQueryClasses {
		c.overflow = true
		return false
	}
	c.order = append(c.order, i)
	if w := i >> 6; w < uint32(len(c.bits)) {
		c.bits[w] |= 1 << (i & 63)
	}
	return true
}

// removeAll takes the query out of classes with a number.
func (c *ClassSet) removeAll(l []uint32) {
	for _, i := range l {
		if w := i >> 6; w < uint32(len(c.bits)) {
			c.bits[w] &^= 1 << (i & 63)
		}
	}
	kept := c.order[:0]
	for _, i := range c.order {
		if w := i >> 6; w >= uint32(len(c.bits)) || c.bits[w]&(1<<(i&63)) != 0 {
			kept = append(kept, i)
		}
	}
	c.order = kept
}

// InClass, AddClass and AddSpawned are for class.Set: numbers are the places in
// config.Dhcp4.ClassNames.
func (c *ClassSet) InClass(i uint32) bool { return c.has(i) }

// AddClass: see InClass.
func (c *ClassSet) AddClass(i uint32) { c.add(i) }

// AddSpawned adds a class that the configuration does not mention.
func (c *ClassSet) AddSpawned(t *class.Class, escaped []byte) {
	n := len(class.SpawnPrefix) + len(t.Name) + 1 + len(escaped)
	if int(c.nSpawned) == len(c.spawnedEnd) || len(c.spawned)+n > maxSpawnedLen {
		c.overflow = true
		return
	}
	from := len(c.spawned)
	c.spawned = append(c.spawned, class.SpawnPrefix...)
	c.spawned = append(c.spawned, t.Name...)
	c.spawned = append(c.spawned, '_')
	c.spawned = append(c.spawned, escaped...)
	for i := range c.nSpawned {
		if string(c.spawnedName(int(i))) == string(c.spawned[from:]) {
			c.spawned = c.spawned[:from]
			return
		}
	}
	c.spawnedEnd[c.nSpawned] = uint16(len(c.spawned))
	if !c.add(classSpawned + uint32(c.nSpawned)) {
		c.spawned = c.spawned[:from]
		return
	}
	c.nSpawned++
}

func (c *ClassSet) spawnedName(i int) []byte {
	from := uint16(0)
	if i > 0 {
		from = c.spawnedEnd[i-1]
	}
	return c.spawned[from:c.spawnedEnd[i]]
}

// addVendor adds the class of option 60.
func (c *ClassSet) addVendor(vendor []byte) {
	if i, ok := c.t.vendor[string(vendor)]; ok {
		c.add(i)
		return
	}
	c.vendor = vendor
	c.add(classVendor)
}

// Add puts the query into a class; callouts do that. It reports false if the
// query is in too many classes already.
func (c *ClassSet) Add(name string) bool {
	if c.Has(name) {
		return true
	}
	if c.t != nil {
		if i, ok := c.t.index[name]; ok {
			return c.add(i)
		}
	}
	if int(c.nForeign) == len(c.foreign) {
		c.overflow = true
		return false
	}
	if !c.add(classForeign + uint32(c.nForeign)) {
		return false
	}
	c.foreign[c.nForeign] = name
	c.nForeign++
	return true
}

// Has reports whether the query is in the class of that name. No allocation.
func (c *ClassSet) Has(name string) bool {
	if c.t == nil {
		return false
	}
	if i, ok := c.t.index[name]; ok {
		return c.has(i)
	}
	for i := range c.foreign[:c.nForeign] {
		if c.foreign[i] == name {
			return true
		}
	}
	for i := range c.nSpawned {
		if string(c.spawnedName(int(i))) == name {
			return true
		}
	}
	if esc, ok := strings.CutPrefix(name, class.VendorPrefix); ok && c.has(classVendor) {
		return equalEscaped(esc, c.vendor)
	}
	return false
}

// Len is the number of classes.
func (c *ClassSet) Len() int { return len(c.order) }

// Overflowed reports that the query should be in more classes than fit.
func (c *ClassSet) Overflowed() bool { return c.overflow }

// Name is the name of the i-th class in order of assignment. It allocates only
// for generated names that the configuration does not mention.
func (c *ClassSet) Name(i int) string {
	switch n := c.order[i]; {
	case n == classVendor || n >= classSpawned && n < classForeign:
		return string(c.AppendName(nil, i))
	case n >= classForeign:
		return c.foreign[n-classForeign]
	default:
		return c.t.names[n]
	}
}

// AppendName appends the name of the i-th class in order of assignment.
func (c *ClassSet) AppendName(dst []byte, i int) []byte {
	switch n := c.order[i]; {
	case n == classVendor:
		dst = append(dst, class.VendorPrefix...)
		return class.AppendEscaped(dst, c.vendor)
	case n >= classForeign:
		return append(dst, c.foreign[n-classForeign]...)
	case n >= classSpawned:
		return append(dst, c.spawnedName(int(n-classSpawned))...)
	default:
		return append(dst, c.t.names[n]...)
	}
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
