package optiondef

// CodeSet is a set of option codes.
type CodeSet [4]uint64

// Add, Has and Union are what they say.
func (c *CodeSet) Add(code uint8)      { c[code>>6] |= 1 << (code & 63) }
func (c *CodeSet) Has(code uint8) bool { return c[code>>6]&(1<<(code&63)) != 0 }
func (c *CodeSet) Union(o *CodeSet) {
	for i := range c {
		c[i] |= o[i]
	}
}
