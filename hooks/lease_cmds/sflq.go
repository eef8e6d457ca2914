package lease_cmds

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

// The commands about shared-flq, the allocator that keeps its free leases in a
// database which several servers share. There is none of that here: what is
// wrong is refused as Kea does, what is right with the reason, as Kea refuses it
// with a memfile.

// errNoSFLQ answers every right command.
var errNoSFLQ = errors.New("there are no pools of the allocator 'shared-flq': it keeps them in a MySQL or PostgreSQL lease database, and the leases are in a memfile")

// sflqAll is sflq-poolN-get-all.
func (c *call) sflqAll() (hooks.Response, error) {
	if c.args.Given() && (!c.args.IsMap() || c.args.Len() > 0) && c.args.Kind() != "null" {
		return hooks.Response{}, errors.New("command does not take any arguments")
	}
	return hooks.Response{}, errNoSFLQ
}

// sflqMembers refuses what is not a map of the mandatory names and perhaps the
// optional ones.
func (c *call) sflqMembers(mandatory []string, optional ...string) error {
	if !c.args.IsMap() {
		return errors.New("no parameters specified for the command")
	}
	for _, name := range mandatory {
		if !c.args.Has(name) {
			return fmt.Errorf("missing parameter '%s'", name)
		}
	}
	var spurious []string
	c.args.Each(func(name string, _ json.RawMessage) {
		if !slices.Contains(mandatory, name) && !slices.Contains(optional, name) {
			spurious = append(spurious, "'"+name+"'")
		}
	})
	if len(spurious) > 0 {
		slices.Sort(spurious)
		return fmt.Errorf("spurious %s parameter", strings.Join(spurious, ", "))
	}
	return nil
}

func (c *call) sflqBySubnet() (hooks.Response, error) {
	if err := c.sflqMembers([]string{"subnet-id"}); err != nil {
		return hooks.Response{}, err
	}
	id, ok := arguments.IntegerOf(c.args.Raw("subnet-id"))
	switch {
	case !ok:
		return hooks.Response{}, errors.New("'subnet-id' parameter is not an integer")
	case id < 1 || id >= math.MaxUint32:
		return hooks.Response{}, fmt.Errorf("'subnet-id' %d is invalid, must be greater than zero and less than %d", id, uint32(math.MaxUint32))
	}
	return hooks.Response{}, errNoSFLQ
}

// sflqByRange is what names one pool: get-by-range and rebuild.
func sflqByRange(v6 bool) func(*call) (hooks.Response, error) {
	return func(c *call) (hooks.Response, error) {
		if err := c.sflqRange(v6); err != nil {
			return hooks.Response{}, err
		}
		return hooks.Response{}, errNoSFLQ
	}
}

func sflqDel(v6 bool) func(*call) (hooks.Response, error) {
	return func(c *call) (hooks.Response, error) {
		if err := c.sflqRange(v6, "force"); err != nil {
			return hooks.Response{}, err
		}
		if v := c.args.Raw("force"); v != nil {
			if _, ok := arguments.BoolOf(v); !ok {
				return hooks.Response{}, errors.New("'force' parameter is not boolean.")
			}
		}
		return hooks.Response{}, errNoSFLQ
	}
}

func (c *call) sflqRange(v6 bool, optional ...string) error {
	names := []string{"start-address", "end-address"}
	if err := c.sflqMembers(names, optional...); err != nil {
		return err
	}
	for _, name := range names {
		text, ok := arguments.StringOf(c.args.Raw(name))
		if !ok {
			return fmt.Errorf("'%s' parameter is not a string", name)
		}
		a, err := arguments.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("invalid address '%s' for parameter '%s': %w", text, name, err)
		}
		if a.Is4() == v6 {
			return fmt.Errorf("'%s' %s is not a valid %s address", name, text, familyName(v6))
		}
	}
	first, _ := c.args.Addr(names[0])
	last, _ := c.args.Addr(names[1])
	if last.Less(first) {
		return fmt.Errorf("invalid range: 'start-address' %s is behind 'end-address' %s", first, last)
	}
	return nil
}

var commandsSFLQ = []command{
	{"sflq-pool4-get-all", false, (*call).sflqAll},
	{"sflq-pool4-get-by-subnet", false, (*call).sflqBySubnet},
	{"sflq-pool4-get-by-range", false, sflqByRange(false)},
	{"sflq-pool4-rebuild", true, sflqByRange(false)},
	{"sflq-pool4-del", true, sflqDel(false)},
	{"sflq-pool6-get-all", false, (*call).sflqAll},
	{"sflq-pool6-get-by-subnet", false, (*call).sflqBySubnet},
	{"sflq-pool6-get-by-range", false, sflqByRange(true)},
	{"sflq-pool6-rebuild", true, sflqByRange(true)},
	{"sflq-pool6-del", true, sflqDel(true)},
}
