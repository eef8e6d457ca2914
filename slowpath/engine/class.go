package engine

import (
	"slices"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

// Indexes of the built-in classes (CL-041, CL-042).
const (
	classAll uint32 = iota
	classKnown
	classUnknown
	classDrop
	classReject
	numBuiltinClasses
)

var builtinClasses = [numBuiltinClasses]string{"ALL", "KNOWN", "UNKNOWN", "DROP", "REJECT"}

// vendorClassPrefix and option 60 make the class a vendor's clients are in
// (CL-044).
const vendorClassPrefix = "VENDOR_CLASS_"

const (
	// MaxQueryClasses is how many classes one query can be in; more are left
	// out (ClassSet.Overflowed).
	MaxQueryClasses = 64
	// maxForeignClasses of them may be names the configuration does not know,
	// given by callouts.
	maxForeignClasses = 4

	classBits    = 512
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
}

func newClassTable(cfg *config.Dhcp4) *classTable {
	t := &classTable{index: make(map[string]uint32), vendor: make(map[string]uint32)}
	for _, n := range builtinClasses {
		t.add(n)
	}
	for i := range cfg.Classes {
		n := t.add(cfg.Classes[i].Name)
		if o := &cfg.Classes[i].Options; !o.Empty() {
			t.options[n] = o
		}
	}
	hosts := func(l []*config.Reservation4) {
		for _, h := range l {
			t.addAll(h.ClientClasses)
		}
	}
	hosts(cfg.GlobalReservations)
	for _, s := range cfg.Subnets {
		t.addAll(s.ClientClasses)
		for _, p := range s.Pools {
			t.addAll(p.ClientClasses)
		}
		hosts(s.Reservations)
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
	t.index[name] = i
	if esc, ok := strings.CutPrefix(name, vendorClassPrefix); ok {
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

// ClassSet is the set of client classes of a query, in order of assignment:
// numbers that the configuration gives each class name it mentions, the spawned
// VENDOR_CLASS_ name if it mentions it not, and a few names of callouts. The
// zero value is empty; Accept4 begins a new one.
type ClassSet struct {
	t        *classTable
	bits     [classBits / 64]uint64
	order    [MaxQueryClasses]uint32
	n        uint8
	nForeign uint8
	overflow bool
	foreign  [maxForeignClasses]string
	vendor   []byte // option 60 of the spawned name; aliases the message
}

func (c *ClassSet) reset(t *classTable) {
	c.t = t
	clear(c.bits[:])
	c.n, c.nForeign, c.overflow = 0, 0, false
	c.vendor = nil
}

func (c *ClassSet) has(i uint32) bool {
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
	if esc, ok := strings.CutPrefix(name, vendorClassPrefix); ok && c.has(classVendor) {
		return equalEscaped(esc, c.vendor)
	}
	return false
}

// Len is the number of classes.
func (c *ClassSet) Len() int { return int(c.n) }

// Overflowed reports that the query should be in more classes than fit.
func (c *ClassSet) Overflowed() bool { return c.overflow }

// Name is the name of the i-th class in order of assignment. It allocates only
// for a vendor class that the configuration does not mention.
func (c *ClassSet) Name(i int) string {
	switch n := c.order[i]; {
	case n == classVendor:
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
		dst = append(dst, vendorClassPrefix...)
		return appendEscaped(dst, c.vendor)
	case n >= classForeign:
		return append(dst, c.foreign[n-classForeign]...)
	default:
		return append(dst, c.t.names[n]...)
	}
}

const hexDigits = "0123456789abcdef"

// plainClassByte reports whether Kea leaves the octet as it is in a generated
// class name (CL-045).
func plainClassByte(b byte) bool {
	switch {
	case b >= '0' && b <= '9', b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z':
		return true
	}
	return strings.IndexByte("!#$&*+-./:?@^_|~", b) >= 0
}

// appendEscaped writes octets as a generated class name: others become %XX, and
// % is doubled.
func appendEscaped(dst, raw []byte) []byte {
	for _, b := range raw {
		switch {
		case b == '%':
			dst = append(dst, '%', '%')
		case plainClassByte(b):
			dst = append(dst, b)
		default:
			dst = append(dst, '%', hexDigits[b>>4], hexDigits[b&15])
		}
	}
	return dst
}

func equalEscaped(esc string, raw []byte) bool {
	for _, b := range raw {
		switch {
		case b == '%':
			if !strings.HasPrefix(esc, "%%") {
				return false
			}
			esc = esc[2:]
		case plainClassByte(b):
			if esc == "" || esc[0] != b {
				return false
			}
			esc = esc[1:]
		default:
			if len(esc) < 3 || esc[0] != '%' || esc[1] != hexDigits[b>>4] || esc[2] != hexDigits[b&15] {
				return false
			}
			esc = esc[3:]
		}
	}
	return esc == ""
}

// unescapeClass is the inverse of appendEscaped; ok is false if nothing escapes
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
