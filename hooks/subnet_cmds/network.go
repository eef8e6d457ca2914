package subnet_cmds

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

type shortNetwork struct {
	Name string `json:"name"`
}

// networkAt is the place of the shared network of that name, -1 if there is
// none.
func networkAt(t hooks.ConfigTree, name string) int {
	for i := range t.Len(networks) {
		if textOf(t.Get(networks, i, "name")) == name {
			return i
		}
	}
	return -1
}

func (c *call) networkList() (r hooks.Response, err error) {
	all := []shortNetwork{}
	err = c.config.View(func(t hooks.ConfigTree) error {
		for i := range t.Len(networks) {
			all = append(all, shortNetwork{textOf(t.Get(networks, i, "name"))})
		}
		return nil
	})
	slices.SortFunc(all, func(a, b shortNetwork) int { return strings.Compare(a.Name, b.Name) })
	r = hooks.Response{Text: c.found(len(all), "network"), Arguments: map[string]any{networks: all}}
	if len(all) == 0 {
		r.Result = hooks.ResultEmpty
	}
	return r, err
}

func (c *call) networkGet() (r hooks.Response, err error) {
	if err := c.needMap(); err != nil {
		return r, err
	}
	v := c.args.Raw("name")
	if v == nil {
		return r, fmt.Errorf("invalid '%s': missing mandatory 'name' parameter", c.name)
	}
	name, ok := arguments.StringOf(v)
	if !ok {
		return r, errors.New("'name' parameter must be a string")
	}
	err = c.config.View(func(t hooks.ConfigTree) error {
		i := networkAt(t, name)
		if i < 0 {
			r, _ = empty("No '%s' shared network found", name)
			return nil
		}
		r = hooks.Response{Text: fmt.Sprintf("Info about %s shared network '%s' returned", c.family, name),
			Arguments: answer(networks, t.Get(networks, i))}
		return nil
	})
	return r, err
}

func (c *call) networkAdd() (r hooks.Response, err error) {
	if err := c.needMap(); err != nil {
		return r, err
	}
	raw, m, err := c.single(networks, "network")
	if err != nil {
		return r, err
	}
	name, err := m.String("name")
	if err != nil {
		return r, err
	}
	err = c.config.Edit(c, func(t hooks.ConfigTree) error {
		if networkAt(t, name) >= 0 {
			return fmt.Errorf("duplicate network '%s' found in the configuration", name)
		}
		return t.Set(raw, networks, t.Len(networks))
	})
	return hooks.Response{Text: fmt.Sprintf("A new %s shared network '%s' added", c.family, name),
		Arguments: answer(networks, shortNetwork{name})}, err
}

func (c *call) networkDel() (r hooks.Response, err error) {
	if err := c.needMap(); err != nil {
		return r, err
	}
	v := c.args.Raw("name")
	if v == nil {
		return r, fmt.Errorf("network name ('name') is required for the '%s' command", c.name)
	}
	name, ok := arguments.StringOf(v)
	if !ok {
		return r, fmt.Errorf("network name ('name') specified for the '%s' is not a string", c.name)
	}
	keep := true
	if v := c.args.Raw("subnets-action"); v != nil {
		text, ok := arguments.StringOf(v)
		switch {
		case !ok:
			return r, fmt.Errorf("subnets-action parameter for %s command must be a string. Supported values are: 'keep' and 'delete'.", c.name)
		case text != "keep" && text != "delete":
			return r, fmt.Errorf("Invalid value for subnets-action parameter: %s, Supported values: 'keep' and 'delete'.", text)
		}
		keep = text == "keep"
	}
	err = c.config.Edit(c, func(t hooks.ConfigTree) error {
		i := networkAt(t, name)
		if i < 0 {
			r, _ = empty("no shared network with name '%s' found", name)
			return hooks.ErrNoChange
		}
		var subnets []json.RawMessage
		for k := range t.Len(networks, i, c.list) {
			s, err := c.shown(idOf(t.Get(networks, i, c.list, k, "id"))) // it keeps what it has of the network
			if err != nil {
				return err
			}
			subnets = append(subnets, s)
		}
		if err := t.Remove(networks, i); err != nil {
			return err
		}
		for _, s := range subnets {
			if keep {
				if err := t.Set(s, c.list, t.Len(c.list)); err != nil {
					return err
				}
			}
		}
		r = hooks.Response{Text: fmt.Sprintf("%s shared network '%s' deleted", c.family, name), Arguments: answer(networks, shortNetwork{name})}
		return nil
	})
	return r, err
}

// member reads the network and the subnet of a command that joins or parts them.
func (c *call) member() (name string, id uint32, err error) {
	if err := c.needMap(); err != nil {
		return "", 0, err
	}
	v := c.args.Raw("name")
	if v == nil {
		return "", 0, fmt.Errorf("missing 'name' argument for the '%s' command", c.name)
	}
	name, ok := arguments.StringOf(v)
	if !ok {
		return "", 0, fmt.Errorf("'name' argument specified for the '%s' command is not a string", c.name)
	}
	if v = c.args.Raw("id"); v == nil {
		return "", 0, fmt.Errorf("missing 'id' argument for the '%s' command", c.name)
	}
	n, ok := arguments.IntegerOf(v)
	if !ok || n < 0 || n > maxSubnetID {
		return "", 0, fmt.Errorf("'id' argument specified for the '%s' command is not an integer", c.name)
	}
	return name, uint32(n), nil
}

func (c *call) networkSubnetAdd() (r hooks.Response, err error) {
	name, id, err := c.member()
	if err != nil {
		return r, err
	}
	err = c.config.Edit(c, func(t hooks.ConfigTree) error {
		n := networkAt(t, name)
		if n < 0 {
			r, _ = empty("no %s shared network with name '%s' found", c.family, name)
			return hooks.ErrNoChange
		}
		p := hooks.SubnetPath(t, c.list, id)
		if p == nil {
			r, _ = empty("no %s subnet with id '%d' found", c.family, id)
			return hooks.ErrNoChange
		}
		prefix := textOf(t.Get(path(p, "subnet")...))
		if p[0] == networks {
			return fmt.Errorf("subnet %s being added to a shared network %s already belongs to a shared network %s", prefix, name, textOf(t.Get(networks, p[1], "name")))
		}
		subnet, err := c.shown(id) // with all that it has now: it inherits nothing new
		if err == nil {
			err = t.Remove(p...)
		}
		if err != nil {
			return err
		}
		r.Text = fmt.Sprintf("%s subnet %s (id %d) is now part of shared network '%s'", c.family, prefix, id, name)
		return t.Set(subnet, networks, n, c.list, t.Len(networks, n, c.list))
	})
	return r, err
}

func (c *call) networkSubnetDel() (r hooks.Response, err error) {
	name, id, err := c.member()
	if err != nil {
		return r, err
	}
	err = c.config.Edit(c, func(t hooks.ConfigTree) error {
		n := networkAt(t, name)
		if n < 0 {
			r, _ = empty("no %s shared network with name '%s' found", c.family, name)
			return hooks.ErrNoChange
		}
		p := hooks.SubnetPath(t, c.list, id)
		if len(p) != 4 || p[1] != n {
			r, _ = empty("The %s subnet with id %d is not part of the shared network with name '%s' found", c.family, id, name)
			return hooks.ErrNoChange
		}
		subnet, err := c.shown(id) // with all that it has now: it inherits nothing new
		if err == nil {
			err = t.Remove(p...)
		}
		if err != nil {
			return err
		}
		r.Text = fmt.Sprintf("%s subnet %s (id %d) is now removed from shared network '%s'", c.family, textOf(arguments.Parse(subnet).Raw("subnet")), id, name)
		return t.Set(subnet, c.list, t.Len(c.list))
	})
	return r, err
}
