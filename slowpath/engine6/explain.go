package engine6

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/subnet6"
)

// SelectSubnet returns the subnet that a query with the given marks gets if it is
// in these classes and no others, nil if none (V6-030): the choice that
// Worker.SelectSubnet6 makes. x.Allowed is set. It allocates; any goroutine may
// call it.
func (c *Config) SelectSubnet(x *subnet6.Selector, classes []string) *config.Subnet6 {
	q := &Query6{}
	q.Classes.Reset(&c.classes.Names)
	for _, n := range classes {
		q.Classes.Add(n)
	}
	x.Allowed = func(s *config.Subnet6) bool { return c.bySubnet[s].supports(&q.Classes) }
	return c.Subnets.Select(x)
}
