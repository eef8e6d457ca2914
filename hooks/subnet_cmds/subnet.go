package subnet_cmds

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

// plural is "1 IPv4 subnet found", "2 IPv4 subnets found".
func (c *call) found(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s %s found", n, c.family, what)
}

func (c *call) subnetList() (r hooks.Response, err error) {
	type listed struct {
		shortSubnet
		Network *string `json:"shared-network-name"`
	}
	all := []listed{}
	err = c.config.View(func(t hooks.ConfigTree) error {
		c.subnets(t, func(p []any, network string) {
			l := listed{shortSubnet: shortSubnet{idOf(t.Get(path(p, "id")...)), textOf(t.Get(path(p, "subnet")...))}}
			if network != "" {
				l.Network = &network
			}
			all = append(all, l)
		})
		return nil
	})
	slices.SortFunc(all, func(a, b listed) int { return cmp.Compare(a.ID, b.ID) })
	r = hooks.Response{Text: c.found(len(all), "subnet"), Arguments: map[string]any{"subnets": all}}
	if len(all) == 0 {
		r.Result = hooks.ResultEmpty
	}
	return r, err
}

func (c *call) subnetGet() (r hooks.Response, err error) {
	if err := c.needMap(); err != nil {
		return r, err
	}
	if c.args.Len() != 1 {
		return r, fmt.Errorf("invalid number of arguments %d for the '%s' command. Expecting 'id' or 'subnet'", c.args.Len(), c.name)
	}
	var match func(id uint32, prefix string) bool
	var missing string
	if v := c.args.Raw("subnet"); v != nil {
		text, ok := arguments.StringOf(v)
		if !ok {
			return r, errors.New("'subnet' parameter must be a string")
		}
		match, missing = func(_ uint32, prefix string) bool { return prefix == text }, fmt.Sprintf("No %s subnet found", text)
	} else if v := c.args.Raw("id"); v != nil {
		n, ok := arguments.IntegerOf(v)
		if !ok {
			return r, errors.New("'id' parameter must be an integer")
		}
		match, missing = func(id uint32, _ string) bool { return int64(id) == n }, fmt.Sprintf("No subnet with id %d found", n)
	} else {
		return r, errors.New("'id' or 'subnet' parameter required")
	}
	r = hooks.Response{Result: hooks.ResultEmpty, Text: missing}
	err = c.config.View(func(t hooks.ConfigTree) error {
		c.subnets(t, func(p []any, _ string) {
			id, prefix := idOf(t.Get(path(p, "id")...)), textOf(t.Get(path(p, "subnet")...))
			if match(id, prefix) {
				r = hooks.Response{Text: fmt.Sprintf("Info about %s subnet %s (id %d) returned", c.family, prefix, id),
					Arguments: answer(c.list, t.Get(p...))}
			}
		})
		return nil
	})
	return r, err
}

// argument reads the subnet of a command that adds or changes one.
func (c *call) argument() (raw json.RawMessage, m arguments.Map, err error) {
	if err := c.needMap(); err != nil {
		return nil, m, err
	}
	if c.args.Len() != 1 {
		return nil, m, fmt.Errorf("invalid number of arguments %d for the '%s' command. Expecting '%s' list", c.args.Len(), c.name, c.list)
	}
	if raw, m, err = c.single(c.list, "subnet"); err != nil {
		return nil, m, err
	}
	if m.Has("reservations") {
		hint := "."
		if c.name == c.list+"-add" {
			hint = ". Use 'reservation-add' to add a reservation to a subnet"
		}
		return nil, m, fmt.Errorf("must not specify host reservations with '%s'%s", c.name, hint)
	}
	return raw, m, nil
}

// subnetID reads the id of a subnet given as argument.
func subnetID(m arguments.Map) (uint32, error) {
	n, err := m.Integer("id", 0, 1<<62)
	if err == nil && (n < 1 || n > maxSubnetID) {
		err = fmt.Errorf("The 'id' value (%d) is not within expected range: (1 - %d)", n, uint32(maxSubnetID))
	}
	return uint32(n), err
}

func (c *call) subnetAdd() (r hooks.Response, err error) {
	raw, m, err := c.argument()
	if err != nil {
		return r, err
	}
	id, err := subnetID(m)
	if err != nil {
		return r, err
	}
	prefix, err := m.String("subnet")
	if err != nil {
		return r, err
	}
	err = c.config.Edit(c, func(t hooks.ConfigTree) error {
		if hooks.SubnetPath(t, c.list, id) != nil {
			return fmt.Errorf("ID of the new %s subnet '%d' is already in use", c.family, id)
		}
		var taken error
		c.subnets(t, func(p []any, _ string) {
			if textOf(t.Get(path(p, "subnet")...)) == prefix {
				taken = fmt.Errorf("subnet with the prefix of '%s' already exists", prefix)
			}
		})
		if taken != nil {
			return taken
		}
		return t.Set(raw, c.list, t.Len(c.list))
	})
	return c.changed(id, "added"), err
}

// changed is the answer that names the subnet as it is in force.
func (c *call) changed(id uint32, what string) hooks.Response {
	s := shortSubnet{ID: id}
	if shown, err := c.shown(id); err == nil {
		s.Subnet = textOf(arguments.Parse(shown).Raw("subnet"))
	}
	return hooks.Response{Text: fmt.Sprintf("%s subnet %s", c.family, what), Arguments: answer("subnets", s)}
}

// replace puts what f makes of a subnet of the configuration in its place. Its
// reservations stay.
func (c *call) replace(f func(id uint32, old, given json.RawMessage) (json.RawMessage, error)) (r hooks.Response, err error) {
	raw, m, err := c.argument()
	if err != nil {
		return r, err
	}
	if !m.Has("id") {
		return r, fmt.Errorf("must specify subnet id with '%s' command.", c.name)
	}
	id, err := subnetID(m)
	if err != nil {
		return r, err
	}
	err = c.config.Edit(c, func(t hooks.ConfigTree) error {
		p := hooks.SubnetPath(t, c.list, id)
		if p == nil {
			return fmt.Errorf("Can't find subnet '%d' to update", id)
		}
		hosts := t.Get(path(p, "reservations")...)
		next, err := f(id, t.Get(p...), raw)
		if err == nil {
			err = t.Set(next, p...)
		}
		if err == nil && hosts != nil {
			err = t.Set(hosts, path(p, "reservations")...)
		}
		return err
	})
	return c.changed(id, "updated"), err
}

func (c *call) subnetUpdate() (hooks.Response, error) {
	return c.replace(func(_ uint32, _, given json.RawMessage) (json.RawMessage, error) { return given, nil })
}

func (c *call) deltaAdd() (hooks.Response, error) { return c.delta(mergeAdd) }
func (c *call) deltaDel() (hooks.Response, error) { return c.delta(mergeDel) }

func (c *call) delta(merge func(old, given map[string]any, space string)) (hooks.Response, error) {
	return c.replace(func(id uint32, old, given json.RawMessage) (json.RawMessage, error) {
		o, err := decode(old)
		if err != nil {
			return nil, err
		}
		shown, err := c.shown(id)
		if err != nil {
			return nil, err
		}
		full, err := decode(shown)
		if err != nil {
			return nil, err
		}
		nameOptions(o, full, c.space)
		g, err := decode(given)
		if err != nil {
			return nil, err
		}
		if _, ok := g["subnet"]; !ok {
			return nil, errors.New("missing parameter 'subnet'")
		}
		merge(o, g, c.space)
		return json.Marshal(o)
	})
}

func (c *call) subnetDel() (r hooks.Response, err error) {
	if err := c.needMap(); err != nil {
		return r, err
	}
	if c.args.Len() != 1 {
		return r, fmt.Errorf("invalid number of arguments specified for the '%s command. Expected subnet identifier", c.name)
	}
	v := c.args.Raw("id")
	if v == nil {
		return r, fmt.Errorf("subnet identifier is required for the '%s' command", c.name)
	}
	n, ok := arguments.IntegerOf(v)
	if !ok {
		return r, fmt.Errorf("subnet identifier specified for the '%s' is not a number", c.name)
	}
	id := uint32(n)
	if int64(id) != n {
		return empty("no subnet with id %d found", n)
	}
	err = c.config.Edit(c, func(t hooks.ConfigTree) error {
		p := hooks.SubnetPath(t, c.list, id)
		if p == nil {
			r, _ = empty("no subnet with id %d found", id)
			return hooks.ErrNoChange
		}
		s := shortSubnet{id, textOf(t.Get(path(p, "subnet")...))}
		r = hooks.Response{Text: fmt.Sprintf("%s subnet %s (id %d) deleted", c.family, s.Subnet, id), Arguments: answer("subnets", s)}
		return t.Remove(p...)
	})
	return r, err
}
