// Package stat_cmds is the hook library "stat_cmds": lease statistics of the
// subnets in one table. README.md describes it for operators; arguments, results
// and texts are those of Kea's libdhcp_stat_cmds (CM-110).
package stat_cmds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

// Library is one loaded instance.
type Library struct{ env *hooks.Env }

// New returns a library to load.
func New() *Library { return &Library{} }

// Name implements hooks.Library.
func (*Library) Name() string { return "stat_cmds" }

// Close implements hooks.Library.
func (*Library) Close() error { return nil }

// Load implements hooks.Library. There are no parameters.
func (lib *Library) Load(env *hooks.Env, params json.RawMessage) error {
	lib.env = env
	if m := arguments.Parse(params); m.Len() > 0 {
		return errors.New("the library has no parameters")
	}
	for name, get := range map[string]func(string, arguments.Map) hooks.Response{"stat-lease4-get": lib.get4, "stat-lease6-get": lib.get6} {
		env.Command(hooks.Command{Name: name, Run: func(_ context.Context, args json.RawMessage, _ *hooks.Response) hooks.Response {
			return get(name, arguments.Parse(args))
		}})
	}
	return nil
}

// selection is which subnets a command asks for.
type selection struct {
	first, last uint64 // 0, 0: all
	isRange     bool
}

func (s *selection) String() string {
	switch {
	case s.isRange:
		return fmt.Sprintf("[subnets %d through %d]", s.first, s.last)
	case s.first != 0:
		return fmt.Sprintf("[subnet-id=%d]", s.first)
	}
	return "[all subnets]"
}

func (s *selection) has(id uint32) bool {
	return s.first == 0 || uint64(id) >= s.first && uint64(id) <= s.last
}

// nothing says why no subnet is selected.
func (s *selection) nothing() string {
	if s.first != 0 && !s.isRange {
		return fmt.Sprintf("subnet-id: %d does not exist", s.first)
	}
	return fmt.Sprintf("selected ID range: %d through %d includes no known subnets", s.first, s.last)
}

func parseSelection(m arguments.Map) (s selection, err error) {
	if !m.Given() {
		return s, nil
	}
	if !m.IsMap() {
		return s, errors.New("'arguments' parameter is not a map")
	}
	if v := m.Raw("subnet-id"); v != nil {
		n, ok := arguments.IntegerOf(v)
		if !ok {
			return s, errors.New("'subnet-id' parameter is not integer")
		}
		if n <= 0 {
			return s, errors.New("'subnet-id' parameter must be > 0")
		}
		s.first, s.last = uint64(n), uint64(n)
	}
	v := m.Raw("subnet-range")
	if v == nil {
		return s, nil
	}
	if s.first != 0 {
		return s, errors.New("cannot specify both subnet-id and subnet-range")
	}
	r := arguments.Parse(v)
	if !r.IsMap() {
		return s, errors.New("subnet-range parameter is not a map")
	}
	id := func(name string) uint64 {
		n, ok := arguments.IntegerOf(r.Raw(name))
		switch {
		case err != nil:
		case !ok:
			err = fmt.Errorf("'%s' parameter missing or not an integer", name)
		case n <= 0:
			err = fmt.Errorf("'%s' parameter must be > 0", name)
		}
		return uint64(n)
	}
	s = selection{first: id("first-subnet-id"), last: id("last-subnet-id"), isRange: true}
	if err == nil && s.last < s.first {
		err = errors.New("'last-subnet-id' must be greater than 'first-subnet-id'")
	}
	return s, err
}

var columns4 = []string{"subnet-id", "total-addresses", "cumulative-assigned-addresses", "assigned-addresses", "declined-addresses"}

func (lib *Library) get4(command string, m arguments.Map) hooks.Response {
	if lib.env.Config6() != nil {
		return hooks.Response{Result: hooks.ResultError, Text: "this server has no DHCPv4 leases"}
	}
	return lib.table(command, m, columns4, func(has func(uint32) bool) (rows [][]any) {
		lib.env.Configuration().EachSubnet4(func(x *hooks.Subnet4, n *hooks.SubnetCounts4) bool {
			if has(x.ID) {
				rows = append(rows, []any{x.ID, n.Total, n.Cumulative, n.Assigned, n.Declined})
			}
			return true
		})
		return rows
	})
}

var columns6 = []string{"subnet-id", "total-nas", "cumulative-assigned-nas", "assigned-nas", "declined-addresses",
	"total-pds", "cumulative-assigned-pds", "assigned-pds"}

func (lib *Library) get6(command string, m arguments.Map) hooks.Response {
	if lib.env.Config6() == nil {
		return hooks.Response{Result: hooks.ResultError, Text: "this server has no DHCPv6 leases"}
	}
	return lib.table(command, m, columns6, func(has func(uint32) bool) (rows [][]any) {
		lib.env.Configuration().EachSubnet6(func(x *hooks.Subnet6, n *hooks.SubnetCounts6) bool {
			if has(x.ID) {
				rows = append(rows, []any{x.ID, n.TotalNA, n.CumulativeNA, n.AssignedNA, n.DeclinedNA, n.TotalPD, n.CumulativePD, n.AssignedPD})
			}
			return true
		})
		return rows
	})
}

// table is the answer with the rows of the subnets that the command asks for.
func (lib *Library) table(command string, m arguments.Map, columns []string, get func(has func(id uint32) bool) [][]any) hooks.Response {
	s, err := parseSelection(m)
	if err != nil {
		return hooks.Response{Result: hooks.ResultError, Text: err.Error()}
	}
	rows := get(s.has)
	if len(rows) == 0 {
		return hooks.Response{Result: hooks.ResultEmpty, Text: fmt.Sprintf("%s%v: no matching data, %s", command, &s, s.nothing()),
			Arguments: map[string]any{}}
	}
	return hooks.Response{Text: fmt.Sprintf("%s%v: %d rows found", command, &s, len(rows)), Arguments: map[string]any{
		"result-set": map[string]any{
			"columns": columns, "rows": rows,
			"timestamp": time.Unix(0, lib.env.NowUnixNs()).UTC().Format("2006-01-02 15:04:05.000000"),
		},
	}}
}
