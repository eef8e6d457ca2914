package engine6

import (
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

const (
	// MaxQueryClasses is how many classes one query can be in; more are left
	// out (ClassSet.Overflowed).
	MaxQueryClasses = 64
	// maxForeign of them may have names that the configuration does not know,
	// of maxForeignText octets in all: spawned ones and those of callouts.
	maxForeign     = 8
	maxForeignText = 512

	classBits    = 512
	classForeign = 0xFFFFFF00 // + index in ClassSet.foreign
)

// classTable numbers every class name that the configuration mentions; first
// those that config.Dhcp6.ClassNames has, by its numbers.
type classTable struct {
	names []string
	index map[string]uint32
	// evaluated are the classes with an expression.
	evaluated map[uint32]struct{}
	set       *class.Set // nil: no class has an expression

	all, known, unknown, drop, reject uint32
}

func newClassTable(d *config.Dhcp6) *classTable {
	t := &classTable{index: make(map[string]uint32), evaluated: make(map[uint32]struct{}), set: d.ClassSet}
	for i, n := range d.ClassNames {
		t.names = append(t.names, n)
		t.index[n] = uint32(i)
	}
	t.all, t.known, t.unknown = t.add("ALL"), t.add("KNOWN"), t.add("UNKNOWN")
	t.drop, t.reject = t.add("DROP"), t.add("REJECT")
	if t.set != nil {
		for _, i := range t.set.Evaluated {
			t.evaluated[i] = struct{}{}
		}
	}
	return t
}

func (t *classTable) add(name string) uint32 {
	if i, ok := t.index[name]; ok {
		return i
	}
	i := uint32(len(t.names))
	t.names = append(t.names, name)
	t.index[name] = i
	return i
}

func (t *classTable) numbers(names []string) []uint32 {
	var l []uint32
	for _, n := range names {
		l = append(l, t.add(n))
	}
	return l
}

// ClassSet is the set of client classes of a query, in order of assignment:
// numbers that the configuration gives each class name it mentions, and a few
// names that it does not. The zero value is empty; Accept6 begins a new one. It
// is what expressions see of a query's classes (class.Members).
type ClassSet struct {
	t        *classTable
	bits     [classBits / 64]uint64
	order    [MaxQueryClasses]uint32
	n        uint8
	nForeign uint8
	overflow bool
	foreign  [maxForeign]span
	text     [maxForeignText]byte
}

type span struct{ off, len uint16 }

var _ class.Members = (*ClassSet)(nil)

func (c *ClassSet) reset(t *classTable) {
	c.t = t
	clear(c.bits[:])
	c.n, c.nForeign, c.overflow = 0, 0, false
}

// InClass is class.Packet's.
func (c *ClassSet) InClass(i uint32) bool {
	if i < classBits {
		return c.bits[i/64]&(1<<(i%64)) != 0
	}
	return slices.Contains(c.order[:c.n], i)
}

// hasAny reports whether the guard lets the query pass: an empty one is open to
// all (V4-054).
func (c *ClassSet) hasAny(guard []uint32) bool {
	if len(guard) == 0 {
		return true
	}
	for _, i := range guard {
		if c.InClass(i) {
			return true
		}
	}
	return false
}

func (c *ClassSet) add(i uint32) bool {
	if c.InClass(i) {
		return true
	}
	if int(c.n) == len(c.order) {
		c.overflow = true
		return false
	}
	c.order[c.n] = i
	c.n++
	if i < classBits {
		c.bits[i/64] |= 1 << (i % 64)
	}
	return true
}

// AddClass is class.Members'.
func (c *ClassSet) AddClass(i uint32) { c.add(i) }

// AddSpawned is class.Members'.
func (c *ClassSet) AddSpawned(k *class.Class, escaped []byte) {
	var buf [maxForeignText]byte
	b := append(buf[:0], class.SpawnPrefix...)
	b = append(b, k.Name...)
	b = append(b, '_')
	if len(b)+len(escaped) > len(buf) {
		c.overflow = true
		return
	}
	c.addName(append(b, escaped...))
}

// removeEvaluated takes the query out of all classes that have an expression
// (CL-049). Spawned ones stay, as in Kea.
func (c *ClassSet) removeEvaluated() {
	n := uint8(0)
	for _, i := range c.order[:c.n] {
		if _, ok := c.t.evaluated[i]; !ok {
			c.order[n] = i
			n++
		} else if i < classBits {
			c.bits[i/64] &^= 1 << (i % 64)
		}
	}
	c.n = n
}

// addName adds a class by name, whether the configuration knows it or not. name
// is copied.
func (c *ClassSet) addName(name []byte) bool {
	if i, ok := c.t.index[string(name)]; ok {
		return c.add(i)
	}
	off := uint16(0)
	for i := range c.foreign[:c.nForeign] {
		f := c.foreign[i]
		if string(c.text[f.off:f.off+f.len]) == string(name) {
			return true
		}
		off = f.off + f.len
	}
	if int(c.nForeign) == len(c.foreign) || int(off)+len(name) > len(c.text) {
		c.overflow = true
		return false
	}
	if !c.add(classForeign + uint32(c.nForeign)) {
		return false
	}
	c.foreign[c.nForeign] = span{off, uint16(copy(c.text[off:], name))}
	c.nForeign++
	return true
}

// Add puts the query into a class; callouts do that. It reports false if the
// query is in too many classes already.
func (c *ClassSet) Add(name string) bool {
	if c.t == nil || len(name) > maxForeignText {
		return false
	}
	if i, ok := c.t.index[name]; ok {
		return c.add(i)
	}
	var buf [maxForeignText]byte
	return c.addName(append(buf[:0], name...))
}

// Has reports whether the query is in the class of that name. No allocation.
func (c *ClassSet) Has(name string) bool {
	if c.t == nil {
		return false
	}
	if i, ok := c.t.index[name]; ok {
		return c.InClass(i)
	}
	for i := range c.foreign[:c.nForeign] {
		f := c.foreign[i]
		if string(c.text[f.off:f.off+f.len]) == name {
			return true
		}
	}
	return false
}

// Len is the number of classes.
func (c *ClassSet) Len() int { return int(c.n) }

// Overflowed reports that the query should be in more classes than fit.
func (c *ClassSet) Overflowed() bool { return c.overflow }

// Name is the name of the i-th class in order of assignment. It allocates only
// for a name that the configuration does not mention.
func (c *ClassSet) Name(i int) string {
	if n := c.order[:c.n][i]; n < classForeign {
		return c.t.names[n]
	}
	return string(c.AppendName(nil, i))
}

// AppendName appends the name of the i-th class in order of assignment.
func (c *ClassSet) AppendName(dst []byte, i int) []byte {
	n := c.order[:c.n][i]
	if n < classForeign {
		return append(dst, c.t.names[n]...)
	}
	f := c.foreign[n-classForeign]
	return append(dst, c.text[f.off:f.off+f.len]...)
}
