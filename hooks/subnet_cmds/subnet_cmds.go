// Package subnet_cmds is the hook library "subnet_cmds": control commands that
// list, add, change and remove subnets and shared networks while the server
// runs. README.md describes it for operators; names, arguments, results and
// texts are those of Kea's libdhcp_subnet_cmds (CM-090 to CM-099).
//
// A change is made of the configuration as it was given and put in force as a
// whole, see hooks.Configuration.Edit.
package subnet_cmds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

// Library is one loaded instance.
type Library struct{ env *hooks.Env }

// New returns a library to load.
func New() *Library { return &Library{} }

// Name implements hooks.Library.
func (*Library) Name() string { return "subnet_cmds" }

// Close implements hooks.Library.
func (*Library) Close() error { return nil }

// networks is where the shared networks stand in the configuration.
const networks = "shared-networks"

// call is one command being run.
type call struct {
	context.Context
	config hooks.Configuration
	name   string // of the command
	list   string // "subnet4"
	family string // "IPv4"
	space  string // of options that name none
	args   arguments.Map
}

// Load implements hooks.Library. There are no parameters.
func (lib *Library) Load(env *hooks.Env, params json.RawMessage) error {
	lib.env = env
	if m := arguments.Parse(params); m.Len() > 0 {
		return errors.New("the library has no parameters")
	}
	for _, c := range []struct {
		name    string
		mutates bool
		run     func(*call) (hooks.Response, error)
	}{
		{"subnet%d-list", false, (*call).subnetList},
		{"subnet%d-get", false, (*call).subnetGet},
		{"subnet%d-add", true, (*call).subnetAdd},
		{"subnet%d-update", true, (*call).subnetUpdate},
		{"subnet%d-del", true, (*call).subnetDel},
		{"subnet%d-delta-add", true, (*call).deltaAdd},
		{"subnet%d-delta-del", true, (*call).deltaDel},
		{"network%d-list", false, (*call).networkList},
		{"network%d-get", false, (*call).networkGet},
		{"network%d-add", true, (*call).networkAdd},
		{"network%d-del", true, (*call).networkDel},
		{"network%d-subnet-add", true, (*call).networkSubnetAdd},
		{"network%d-subnet-del", true, (*call).networkSubnetDel},
	} {
		for _, v := range []int{4, 6} {
			name := fmt.Sprintf(c.name, v)
			env.Command(hooks.Command{Name: name, Mutates: c.mutates, Run: func(ctx context.Context, args json.RawMessage, _ *hooks.Response) hooks.Response {
				if v6 := env.Config6() != nil; v6 != (v == 6) { // Kea has both lists in every server
					return hooks.Response{Result: hooks.ResultError, Text: fmt.Sprintf("this server has no IPv%d subnets", v)}
				}
				cl := &call{ctx, env.Configuration(), name, fmt.Sprintf("subnet%d", v), fmt.Sprintf("IPv%d", v), fmt.Sprintf("dhcp%d", v), arguments.Parse(args)}
				r, err := c.run(cl)
				if err != nil {
					return hooks.Response{Result: hooks.ResultError, Text: err.Error()}
				}
				return r
			}})
		}
	}
	return nil
}

// maxSubnetID is Kea's greatest subnet id.
const maxSubnetID = math.MaxUint32 - 1

func empty(format string, a ...any) (hooks.Response, error) {
	return hooks.Response{Result: hooks.ResultEmpty, Text: fmt.Sprintf(format, a...)}, nil
}

// needMap refuses a command without a map of arguments.
func (c *call) needMap() error {
	if !c.args.Given() {
		return fmt.Errorf("no arguments specified for the '%s' command", c.name)
	}
	if !c.args.IsMap() {
		return fmt.Errorf("arguments specified for the '%s' command are not a map", c.name)
	}
	return nil
}

// single reads the only element, a map, of a list argument. what is "subnet" or
// "network".
func (c *call) single(list, what string) (json.RawMessage, arguments.Map, error) {
	none := arguments.Map{}
	v := c.args.Raw(list)
	if v == nil {
		return nil, none, fmt.Errorf("missing '%s' argument for the '%s' command", list, c.name)
	}
	l, ok := arguments.ListOf(v)
	if !ok {
		return nil, none, fmt.Errorf("'%s' argument specified for the '%s' command is not a list", list, c.name)
	}
	if len(l) != 1 {
		return nil, none, fmt.Errorf("invalid number of %ss specified for the '%s' command. Expected one %s", what, c.name, what)
	}
	m := arguments.Parse(l[0])
	if !m.IsMap() {
		return nil, none, fmt.Errorf("invalid %s information specified for the'%s' command. Expected a map", what, c.name)
	}
	return l[0], m, nil
}

// id reads a subnet id of the configuration form.
func idOf(v json.RawMessage) uint32 {
	n, _ := arguments.IntegerOf(v)
	return uint32(n)
}

func textOf(v json.RawMessage) string {
	s, _ := arguments.StringOf(v)
	return s
}

// path is places and keys behind p, in memory of its own.
func path(p []any, more ...any) []any { return append(append([]any(nil), p...), more...) }

// subnets calls f for every subnet of the tree, at the top and in networks (then
// with the network's name).
func (c *call) subnets(t hooks.ConfigTree, f func(p []any, network string)) {
	for i := range t.Len(c.list) {
		f([]any{c.list, i}, "")
	}
	for n := range t.Len(networks) {
		name := textOf(t.Get(networks, n, "name"))
		for i := range t.Len(networks, n, c.list) {
			f([]any{networks, n, c.list, i}, name)
		}
	}
}

// shown is a subnet as config-get has it, nil if there is none.
func (c *call) shown(id uint32) (s json.RawMessage, err error) {
	err = c.config.View(func(t hooks.ConfigTree) error {
		if p := hooks.SubnetPath(t, c.list, id); p != nil {
			s = t.Get(p...)
		}
		return nil
	})
	return s, err
}

// shortSubnet is how answers name a subnet.
type shortSubnet struct {
	ID     uint32 `json:"id"`
	Subnet string `json:"subnet"`
}

func answer(list string, elements ...any) map[string]any { return map[string]any{list: elements} }
