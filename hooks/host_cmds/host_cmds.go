// Package host_cmds is the hook library "host_cmds": control commands that look
// up, add, change and remove host reservations. README.md describes it for
// operators; names, arguments, results and texts are those of Kea's
// libdhcp_host_cmds (CM-060 to CM-067).
//
// What Kea keeps in a database of hosts is kept here in a store of the server's
// own, which needs no setting up.
package host_cmds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

// Library is one loaded instance.
type Library struct{ env *hooks.Env }

// New returns a library to load.
func New() *Library { return &Library{} }

// Name implements hooks.Library.
func (*Library) Name() string { return "host_cmds" }

// Close implements hooks.Library.
func (*Library) Close() error { return nil }

// call is one command being run.
type call struct {
	context.Context
	config hooks.Configuration
	hosts  hooks.HostStore
	v6     bool
	args   arguments.Map
	target target
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
		{"reservation-add", true, (*call).add},
		{"reservation-update", true, (*call).update},
		{"reservation-del", true, (*call).del},
		{"reservation-get", false, (*call).get},
		{"reservation-get-all", false, (*call).getAll},
		{"reservation-get-page", false, (*call).getPage},
		{"reservation-get-by-address", false, (*call).getByAddress},
		{"reservation-get-by-hostname", false, (*call).getByHostname},
		{"reservation-get-by-id", false, (*call).getByID},
	} {
		env.Command(hooks.Command{Name: c.name, Mutates: c.mutates, Run: func(ctx context.Context, args json.RawMessage, _ *hooks.Response) hooks.Response {
			cl := &call{Context: ctx, config: env.Configuration(), hosts: env.HostStore4(), args: arguments.Parse(args)}
			if cl.hosts == nil {
				cl.hosts, cl.v6 = env.HostStore6(), true
			}
			r, err := c.run(cl)
			if err != nil {
				return hooks.Response{Result: hooks.ResultError, Text: err.Error()}
			}
			return r
		}})
	}
	return nil
}

// target is where a command looks or changes.
type target uint8

const (
	memory   target = 1 << iota // the configuration
	database                    // the store
)

// readTarget reads operation-target (CM-067).
func (c *call) readTarget(def target) error {
	c.target = def
	if !c.args.Has("operation-target") {
		return nil
	}
	text, err := c.args.String("operation-target")
	if err != nil {
		return err
	}
	switch text {
	case "memory":
		c.target = memory
	case "database":
		c.target = database
	case "all":
		c.target = memory | database
	case "default":
	default:
		return fmt.Errorf("The 'operation-target' value (%s) is not within expected set: (memory, database, all, default)", text)
	}
	return nil
}

// maxSubnetID is Kea's greatest subnet id.
const maxSubnetID = math.MaxUint32 - 1

// subnetID reads subnet-id; given is false where it is absent.
func subnetID(m arguments.Map) (id uint32, given bool, err error) {
	if !m.Has("subnet-id") {
		return 0, false, nil
	}
	n, err := m.Integer("subnet-id", math.MinInt64, math.MaxInt64)
	if err == nil && (n < 0 || n > maxSubnetID) {
		err = fmt.Errorf("The 'subnet-id' value (%s) is not within expected range: (0 - %d)", m.Raw("subnet-id"), uint32(maxSubnetID))
	}
	return uint32(n), true, err
}

// family is the digit of IPv4 and IPv6.
func (c *call) family() int {
	if c.v6 {
		return 6
	}
	return 4
}

// subnet is a subnet of either family.
type subnet struct {
	id      uint32
	prefix  netip.Prefix
	text    string
	guarded bool
}

func (c *call) subnet(id uint32) (subnet, bool) {
	if c.v6 {
		s, ok := c.config.Subnet6(id)
		return subnet{s.ID, s.Prefix, s.Text, s.Guarded}, ok
	}
	s, ok := c.config.Subnet4(id)
	return subnet{s.ID, s.Prefix, s.Text, s.Guarded}, ok
}

// addresses are what h reserves of a subnet's addresses; prefixes need not be of
// the subnet.
func addresses(h *hooks.StoredHost) []netip.Addr {
	if h.Addr != 0 {
		return []netip.Addr{h.Addr.Netip()}
	}
	return h.Addrs
}

// has says whether h reserves a, as an address or as that of a prefix.
func has(h *hooks.StoredHost, a netip.Addr) bool {
	return slices.Contains(addresses(h), a) ||
		slices.ContainsFunc(h.Prefixes, func(p netip.Prefix) bool { return p.Addr() == a })
}

// checkSubnet refuses a subnet that is not configured and addresses outside of
// it.
func (c *call) checkSubnet(id uint32, addrs ...netip.Addr) error {
	if id == 0 {
		return nil
	}
	s, ok := c.subnet(id)
	if !ok {
		return fmt.Errorf("IPv%d subnet with ID of '%d' is not configured", c.family(), id)
	}
	for _, a := range addrs {
		if !s.prefix.Contains(a) {
			return fmt.Errorf("specified reservation '%s' is not matching the IPv%d subnet prefix '%s'", a, c.family(), s.text)
		}
	}
	return nil
}

// idTypes are Kea's names of hooks.HostIDType.
var idTypes = []string{"hw-address", "duid", "circuit-id", "client-id", "flex-id"}

// identifier reads identifier-type and identifier.
func identifier(m arguments.Map, prefix string) (t hooks.HostIDType, id []byte, err error) {
	name, ok := arguments.StringOf(m.Raw("identifier-type"))
	if !ok {
		return 0, nil, fmt.Errorf("%s'identifier-type' is either missing or not a string.", prefix)
	}
	text, ok := arguments.StringOf(m.Raw("identifier"))
	if !ok {
		return 0, nil, fmt.Errorf("%s'identifier' is either missing or not a string.", prefix)
	}
	if q := strings.TrimSpace(text); len(q) > 2 && q[0] == '\'' && q[len(q)-1] == '\'' {
		id = []byte(q[1 : len(q)-1])
	} else if id, err = arguments.Identifier(text, 0, math.MaxInt); err != nil {
		return 0, nil, errors.New("Unable to parse 'identifier' value.")
	}
	if len(id) == 0 {
		return 0, nil, errors.New("Unable to query for empty 'identifier'.")
	}
	i := slices.Index(idTypes, name)
	if i < 0 {
		return 0, nil, errors.New("Value of 'identifier-type' was not recognized.")
	}
	return hooks.HostIDType(i), id, nil
}

// source returns the reservations of one source that match.
func (c *call) source(t target, match func(*hooks.StoredHost) bool, limit int) ([]hooks.StoredHost, error) {
	if c.target&t == 0 {
		return nil, nil
	}
	if t == memory {
		return c.hosts.Configured(match, limit)
	}
	return c.hosts.Stored(match, limit)
}

// find returns the reservations that match, those of the configuration first.
func (c *call) find(match func(*hooks.StoredHost) bool, limit int) ([]hooks.StoredHost, error) {
	l, err := c.source(memory, match, limit)
	if err != nil || limit > 0 && len(l) >= limit {
		return l, err
	}
	more, err := c.source(database, match, limit)
	return append(l, more...), err
}

// withSubnet is the reservation as commands answer it.
func withSubnet(h *hooks.StoredHost) json.RawMessage {
	b := fmt.Appendf(nil, `{"subnet-id":%d`, h.SubnetID)
	if len(h.Form) > len("{}") {
		b = append(append(b, ','), h.Form[1:]...)
		return b
	}
	return append(b, '}')
}

func (c *call) list(l []hooks.StoredHost) hooks.Response {
	forms := make([]json.RawMessage, len(l))
	for i := range l {
		forms[i] = withSubnet(&l[i])
	}
	r := hooks.Response{Text: fmt.Sprintf("%d IPv%d host(s) found.", len(l), c.family()), Arguments: map[string]any{"hosts": forms}}
	if len(l) == 0 {
		r.Result = hooks.ResultEmpty
	}
	return r
}
