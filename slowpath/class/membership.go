package class

import "slices"

const (
	// MaxMembership is how many classes one query can be in; more are left out
	// (Membership.Overflowed). A set has memory for as many as any query it was
	// used for has been in.
	MaxMembership = 4096
	// MaxForeign of them may be names the configuration does not know, given by
	// callouts, and as many made of what a client sends.
	MaxForeign = 8
	// MaxMadeLen is how many octets the latter have together.
	MaxMadeLen = 2048
	// MaxNumber bounds the numbers that a caller of Membership.AddClass may use
	// for classes of its own, which are in no Names; see Membership.Name.
	MaxNumber = 0xFFFFFDFF

	numberMade    = MaxNumber + 1 // + index in Membership.madeEnd
	numberForeign = numberMade + 256
)

// Names numbers the names of the classes that a configuration mentions. It is
// not changed while sets use it.
type Names struct {
	list  []string
	index map[string]uint32
}

// Add returns the number of a name, which is new if there was none.
func (n *Names) Add(name string) uint32 {
	if i, ok := n.index[name]; ok {
		return i
	}
	if n.index == nil {
		n.index = make(map[string]uint32)
	}
	i := uint32(len(n.list))
	n.list = append(n.list, name)
	n.index[name] = i
	return i
}

// Number is the number of a name, if it has one.
func (n *Names) Number(name string) (uint32, bool) {
	i, ok := n.index[name]
	return i, ok
}

// Len is how many names there are; they are numbered from 0 on.
func (n *Names) Len() int { return len(n.list) }

// Numbers are the numbers of names, which are added.
func (n *Names) Numbers(names []string) (l []uint32) {
	for _, s := range names {
		l = append(l, n.Add(s))
	}
	return l
}

// Membership is the set of client classes of a query, in order of assignment:
// numbers that the configuration gives each class name it mentions, names made of
// what the client sends (VENDOR_CLASS_ and SPAWN_) that it does not mention, and
// a few names of callouts. The zero value is empty; Reset begins a new one. It
// implements Members and what expressions ask of a packet's classes. For one
// goroutine.
type Membership struct {
	names *Names
	bits  []uint64 // by number, as many as names has
	order []uint32

	foreign  [MaxForeign]string
	nForeign uint8
	nMade    uint8
	overflow bool
	// The names made of what the client sent lie in made, each up to its end.
	made    []byte
	madeEnd [MaxForeign]uint16
}

var _ Members = (*Membership)(nil)

// Reset empties the set; numbers are those of n from now on.
func (c *Membership) Reset(n *Names) {
	if words := (n.Len() + 63) / 64; c.names == n && len(c.bits) == words {
		for _, i := range c.order {
			if w := i >> 6; w < uint32(words) {
				c.bits[w] = 0
			}
		}
	} else {
		c.bits = append(c.bits[:0], make([]uint64, words)...)
	}
	c.names = n
	c.order = c.order[:0]
	c.made = c.made[:0]
	c.nForeign, c.nMade = 0, 0
	c.overflow = false
}

// InClass reports whether the query is in the class of that number.
func (c *Membership) InClass(i uint32) bool {
	if w := i >> 6; w < uint32(len(c.bits)) {
		return c.bits[w]&(1<<(i&63)) != 0
	}
	return slices.Contains(c.order, i)
}

// InAny reports whether the query passes a guard: an empty one is open to all
// (V4-054).
func (c *Membership) InAny(guard []uint32) bool {
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

// Put puts the query into the class of that number, and reports false if it is
// in too many already.
func (c *Membership) Put(i uint32) bool {
	if c.InClass(i) {
		return true
	}
	if len(c.order) >= MaxMembership {
		c.overflow = true
		return false
	}
	c.order = append(c.order, i)
	if w := i >> 6; w < uint32(len(c.bits)) {
		c.bits[w] |= 1 << (i & 63)
	}
	return true
}

// AddClass is Members'.
func (c *Membership) AddClass(i uint32) { c.Put(i) }

// RemoveAll takes the query out of classes that Names has.
func (c *Membership) RemoveAll(l []uint32) {
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

// AddSpawned is Members'.
func (c *Membership) AddSpawned(k *Class, escaped []byte) {
	from := len(c.made)
	if from+len(SpawnPrefix)+len(k.Name)+1+len(escaped) > MaxMadeLen {
		c.overflow = true
		return
	}
	c.made = append(c.made, SpawnPrefix...)
	c.made = append(c.made, k.Name...)
	c.made = append(c.made, '_')
	c.made = append(c.made, escaped...)
	c.putMade(from)
}

// AddVendor adds the class VENDOR_CLASS_ of what a client says of its vendor.
func (c *Membership) AddVendor(raw []byte) {
	from := len(c.made)
	if from+len(VendorPrefix)+3*len(raw) > MaxMadeLen {
		c.overflow = true
		return
	}
	c.made = append(c.made, VendorPrefix...)
	c.made = AppendEscaped(c.made, raw)
	if i, ok := c.names.index[string(c.made[from:])]; ok {
		c.made = c.made[:from]
		c.Put(i)
		return
	}
	c.putMade(from)
}

// putMade adds the class whose name is what made has from there on.
func (c *Membership) putMade(from int) {
	for i := range c.nMade {
		if string(c.madeName(int(i))) == string(c.made[from:]) {
			c.made = c.made[:from]
			return
		}
	}
	if int(c.nMade) == len(c.madeEnd) {
		c.overflow = true
		c.made = c.made[:from]
		return
	}
	c.madeEnd[c.nMade] = uint16(len(c.made))
	if !c.Put(numberMade + uint32(c.nMade)) {
		c.made = c.made[:from]
		return
	}
	c.nMade++
}

func (c *Membership) madeName(i int) []byte {
	from := uint16(0)
	if i > 0 {
		from = c.madeEnd[i-1]
	}
	return c.made[from:c.madeEnd[i]]
}

// Add puts the query into a class; callouts do that. It reports false if the
// query is in too many classes already.
func (c *Membership) Add(name string) bool {
	if c.names == nil {
		return false
	}
	if c.Has(name) {
		return true
	}
	if i, ok := c.names.index[name]; ok {
		return c.Put(i)
	}
	if int(c.nForeign) == len(c.foreign) {
		c.overflow = true
		return false
	}
	if !c.Put(numberForeign + uint32(c.nForeign)) {
		return false
	}
	c.foreign[c.nForeign] = name
	c.nForeign++
	return true
}

// Has reports whether the query is in the class of that name. No allocation.
func (c *Membership) Has(name string) bool {
	if c.names == nil {
		return false
	}
	if i, ok := c.names.index[name]; ok {
		return c.InClass(i)
	}
	for i := range c.foreign[:c.nForeign] {
		if c.foreign[i] == name {
			return true
		}
	}
	for i := range c.nMade {
		if string(c.madeName(int(i))) == name {
			return true
		}
	}
	return false
}

// Len is the number of classes.
func (c *Membership) Len() int { return len(c.order) }

// Order are the numbers of the classes in order of assignment, valid until the
// set is changed.
func (c *Membership) Order() []uint32 { return c.order }

// Overflowed reports that the query should be in more classes than fit.
func (c *Membership) Overflowed() bool { return c.overflow }

// Name is the name of the i-th class in order of assignment, "" of one that the
// caller has numbered itself. It allocates only for names made of what the client
// sent.
func (c *Membership) Name(i int) string {
	switch n := c.order[i]; {
	case n >= numberForeign:
		return c.foreign[n-numberForeign]
	case n >= numberMade:
		return string(c.madeName(int(n - numberMade)))
	case int(n) < c.names.Len():
		return c.names.list[n]
	}
	return ""
}

// AppendName appends the name of the i-th class in order of assignment.
func (c *Membership) AppendName(dst []byte, i int) []byte {
	if n := c.order[i]; n >= numberMade && n < numberForeign {
		return append(dst, c.madeName(int(n-numberMade))...)
	}
	return append(dst, c.Name(i)...)
}
