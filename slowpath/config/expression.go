package config

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/class"

	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// Expressions is what names mean in expressions of hook libraries: the options
// that Kea knows and those of option-def. The caller may add to it; class names
// are its to number.
func (c *Dhcp4) Expressions() *class.Env {
	return &class.Env{OptionCode: optiondef.CodeByName(optiondef.V4, c.defs), OptionDef: optiondef.Describe(optiondef.V4, c.defs)}
}

// Expressions is the same for DHCPv6.
func (c *Dhcp6) Expressions() *class.Env {
	return &class.Env{V6: true, OptionCode: optiondef.CodeByName(optiondef.V6, c.defs), OptionDef: optiondef.Describe(optiondef.V6, c.defs)}
}
