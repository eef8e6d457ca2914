package engine

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/subnet"
)

// SelectSubnet returns the subnet that a query with the given marks gets if it is
// in these classes and no others, nil if none (V4-050): the choice that
// Worker.SelectSubnet4 makes. x.Allowed is set. It allocates; any goroutine may
// call it.
func (c *Config) SelectSubnet(x *subnet.Selector, classes []string) *config.Subnet4 {
	q := &Query4{}
	q.cfg = c
	q.Classes.reset(c.classes)
	for _, n := range classes {
		// Names that are no guard of the configuration need no room.
		if i, ok := c.classes.Number(n); ok {
			q.Classes.Put(i)
		}
	}
	x.Allowed = q.allowed
	return c.Subnets.Select(x)
}
