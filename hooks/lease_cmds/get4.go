package lease_cmds

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// pageSize is how many leases are copied at a time; service goes on between.
const pageSize = 256

// found4 is the answer with a list of leases.
func found4(leases []lease4JSON, count bool) (hooks.Response, error) {
	return found("IPv4", leases, count)
}

func found[L any](family string, leases []L, count bool) (hooks.Response, error) {
	if leases == nil {
		leases = []L{}
	}
	args := map[string]any{"leases": leases}
	if count {
		args["count"] = len(leases)
	}
	r := hooks.Response{Text: fmt.Sprintf("%d %s lease(s) found.", len(leases), family), Arguments: args}
	if len(leases) == 0 {
		r.Result = hooks.ResultEmpty
	}
	return r, nil
}

// search is the answer with the leases that f fits, by ascending address.
func (c *call) search(f *lease.Filter) (hooks.Response, error) {
	type item struct {
		addr dhcp4.IPv4
		json lease4JSON
	}
	var items []item
	c.leases.Search(f, func(l *lease.Lease4) bool {
		items = append(items, item{l.Addr, toJSON4(l)})
		return c.Err() == nil
	})
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.addr, b.addr) })
	out := make([]lease4JSON, len(items))
	for i := range items {
		out[i] = items[i].json
	}
	if err := c.Err(); err != nil {
		return hooks.Response{}, err
	}
	return found4(out, false)
}

// key is what names one lease in lease4-get, lease4-del and those for DHCPv6.
type key struct {
	addr          netip.Addr // if it is valid
	typ           lease6.Type
	subnetID      uint32
	iaid          uint32
	hw, cid, duid []byte // one of them
}

// key reads the arguments that name one lease: ip-address, or subnet-id,
// identifier-type and identifier; of DHCPv6 also type and iaid.
func (c *call) key(m arguments.Map, v6 bool) (k key, err error) {
	if !m.IsMap() {
		return k, errors.New("Parameters missing or are not a map.")
	}
	if v := m.Raw("update-ddns"); v != nil {
		if _, ok := arguments.BoolOf(v); !ok {
			return k, errors.New("'update-ddns' is not a boolean")
		}
	}
	if v := m.Raw("type"); v != nil {
		switch t, _ := arguments.StringOf(v); t {
		case "IA_NA", "0", "V4", "3":
		case "IA_PD", "2":
			k.typ = lease6.TypePD
		default:
			return k, fmt.Errorf("Invalid lease type specified: %s, only supported values are: IA_NA, IA_PD and V4", t)
		}
	}
	if v := m.Raw("ip-address"); v != nil {
		text, ok := arguments.StringOf(v)
		if !ok {
			return k, errors.New("'ip-address' is not a string.")
		}
		if k.addr, err = arguments.ParseAddr(text); err != nil {
			return k, err
		}
		if k.addr.Is4() == v6 {
			return k, fmt.Errorf("Invalid %s address specified: %s", familyName(v6), text)
		}
		return k, nil
	}
	number := func(name string) (n uint32, err error) {
		id, ok := arguments.IntegerOf(m.Raw(name))
		if !ok {
			return 0, fmt.Errorf("'%s' parameter is not integer.", name)
		}
		if id < 0 || id > math.MaxUint32 {
			return 0, fmt.Errorf("'%s' parameter is not a 32 bit unsigned integer.", name)
		}
		return uint32(id), nil
	}
	if !m.Has("subnet-id") {
		return k, errors.New("Mandatory 'subnet-id' parameter missing.")
	}
	if k.subnetID, err = number("subnet-id"); err != nil {
		return k, err
	}
	if m.Has("iaid") {
		if !v6 {
			return k, errors.New("'iaid' parameter is specific to DHCPv6.")
		}
		if k.iaid, err = number("iaid"); err != nil {
			return k, err
		}
	}
	return k, k.identify(m)
}

func familyName(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

func (k *key) identify(m arguments.Map) (err error) {
	t, ok := arguments.StringOf(m.Raw("identifier-type"))
	if !ok {
		return errors.New("No 'ip-address' provided and 'identifier-type' is either missing or not a string.")
	}
	id, ok := arguments.StringOf(m.Raw("identifier"))
	if !ok {
		return errors.New("No 'ip-address' provided and 'identifier' is either missing or not a string.")
	}
	switch t {
	case "hw-address":
		k.hw, err = arguments.HWAddr(id)
	case "client-id":
		k.cid, err = arguments.Identifier(id, minClientID, maxClientID)
	case "duid":
		k.duid, err = arguments.Identifier(id, minDUID, lease6.MaxDUIDLen)
	default:
		return fmt.Errorf("Incorrect identifier type: %s, the only supported values are: hw-address, duid, client-id", t)
	}
	if err != nil {
		return fmt.Errorf("Bad '%s' identifier: %w", t, err)
	}
	return nil
}

func (c *call) find(k *key, l *lease.Lease4) bool {
	if k.addr.IsValid() {
		return c.leases.Lease(arguments.IPv4(k.addr), l)
	}
	return c.leases.Client(k.hw, k.cid, k.subnetID, l)
}

func (c *call) get4() (hooks.Response, error) {
	k, err := c.key(c.args, false)
	if err == nil && k.duid != nil {
		err = errors.New("Query by duid is not allowed in v4.")
	}
	if err != nil {
		return hooks.Response{}, err
	}
	l := new(lease.Lease4)
	if !c.find(&k, l) {
		return empty("Lease not found.")
	}
	return hooks.Response{Text: "IPv4 lease found.", Arguments: toJSON4(l)}, nil
}

// pages calls f for every lease behind an address until it returns false; page and
// addrOf are the family's.
func pages[A, L any](c *call, after A, page func(after A, out []L) int, addrOf func(l *L) A, f func(l *L) bool) error {
	buf := make([]L, pageSize)
	for {
		n := page(after, buf)
		if n == 0 {
			return nil
		}
		for i := range buf[:n] {
			if !f(&buf[i]) {
				return nil
			}
		}
		after = addrOf(&buf[n-1])
		if err := c.Err(); err != nil {
			return err
		}
	}
}

func (c *call) pages4(after dhcp4.IPv4, f func(l *lease.Lease4) bool) error {
	return pages(c, after, c.leases.Page, func(l *lease.Lease4) dhcp4.IPv4 { return l.Addr }, f)
}

// onlySubnets reads the subnets of a get-all command, nil for all.
func (c *call) onlySubnets() (map[uint32]bool, error) {
	if !c.args.Given() || c.args.Kind() == "null" {
		return nil, nil
	}
	v := c.args.Raw("subnets")
	if v == nil {
		return nil, errors.New("'subnets' parameter not specified")
	}
	list, ok := arguments.ListOf(v)
	if !ok {
		return nil, errors.New("'subnets' parameter must be a list")
	}
	only := make(map[uint32]bool, len(list))
	for _, e := range list {
		id, ok := arguments.IntegerOf(e)
		if !ok {
			return nil, errors.New("listed subnet identifiers must be numbers")
		}
		if id < 0 || id > math.MaxUint32 {
			return nil, fmt.Errorf("out of range subnet identifier %s", e)
		}
		only[uint32(id)] = true
	}
	return only, nil
}

func (c *call) getAll4() (hooks.Response, error) {
	only, err := c.onlySubnets()
	if err != nil {
		return hooks.Response{}, err
	}
	var out []lease4JSON
	err = c.pages4(0, func(l *lease.Lease4) bool {
		if only == nil || only[l.SubnetID] {
			out = append(out, toJSON4(l))
		}
		return true
	})
	if err != nil {
		return hooks.Response{}, err
	}
	return found4(out, false)
}

// page reads the arguments of a get-page command: the address that the page
// begins behind (invalid: the start) and the number of leases.
func (c *call) page(v6 bool) (from netip.Addr, limit int64, err error) {
	m, family := c.args, 4
	if v6 {
		family = 6
	}
	if !m.IsMap() {
		return from, 0, fmt.Errorf("no parameters specified for the lease%d-get-page command", family)
	}
	v := m.Raw("from")
	if v == nil {
		return from, 0, errors.New("'from' parameter not specified")
	}
	text, ok := arguments.StringOf(v)
	if !ok {
		return from, 0, errors.New("'from' parameter must be a string")
	}
	if text != "start" {
		if from, err = arguments.ParseAddr(text); err != nil {
			return from, 0, fmt.Errorf("'from' parameter value is neither 'start' keyword nor a valid IPv%d address", family)
		}
		if from.Is4() == v6 {
			return from, 0, fmt.Errorf("'from' parameter value %s is not an IPv%d address", from, family)
		}
	}
	if v = m.Raw("limit"); v == nil {
		return from, 0, errors.New("'limit' parameter not specified")
	}
	limit, ok = arguments.IntegerOf(v)
	switch {
	case !ok:
		return from, 0, errors.New("'limit' parameter must be a number")
	case limit < 0 || limit > math.MaxUint32:
		return from, 0, errors.New("'limit' parameter is not a 32 bit unsigned integer.")
	case limit == 0:
		return from, 0, errors.New("'limit' parameter must not be 0.")
	}
	return from, limit, nil
}

func (c *call) getPage4() (hooks.Response, error) {
	from, limit, err := c.page(false)
	if err != nil {
		return hooks.Response{}, err
	}
	after := dhcp4.IPv4(0)
	if from.IsValid() {
		after = arguments.IPv4(from)
	}
	var out []lease4JSON
	err = c.pages4(after, func(l *lease.Lease4) bool {
		out = append(out, toJSON4(l))
		return int64(len(out)) < limit
	})
	if err != nil {
		return hooks.Response{}, err
	}
	return found4(out, true)
}

// text reads the string that a get-by command searches for.
func (c *call) text(name string) (string, error) {
	if err := c.needMap(); err != nil {
		return "", err
	}
	v := c.args.Raw(name)
	if v == nil {
		return "", fmt.Errorf("'%s' parameter not specified", name)
	}
	s, ok := arguments.StringOf(v)
	if !ok {
		return "", fmt.Errorf("'%s' parameter must be a string", name)
	}
	return s, nil
}

// hwAddress and hostname read what a get-by command of that name searches for.
func (c *call) hwAddress() ([]byte, error) {
	text, err := c.text("hw-address")
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, errors.New("'hw-address' parameter must not be empty")
	}
	hw, err := arguments.HWAddr(text)
	if err != nil {
		return nil, fmt.Errorf("bad 'hw-address' parameter: %w", err)
	}
	return hw, nil
}

func (c *call) hostname() ([]byte, error) {
	text, err := c.text("hostname")
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, errors.New("'hostname' parameter is empty")
	}
	return []byte(strings.ToLower(text)), nil
}

func (c *call) getByHWAddress4() (hooks.Response, error) {
	hw, err := c.hwAddress()
	if err != nil {
		return hooks.Response{}, err
	}
	return c.search(&lease.Filter{HW: hw})
}

func (c *call) getByClientID4() (hooks.Response, error) {
	text, err := c.text("client-id")
	if err != nil {
		return hooks.Response{}, err
	}
	id, err := arguments.Identifier(text, minClientID, maxClientID)
	if err != nil {
		return hooks.Response{}, fmt.Errorf("bad 'client-id' parameter: %w", err)
	}
	return c.search(&lease.Filter{ClientID: id})
}

func (c *call) getByHostname4() (hooks.Response, error) {
	name, err := c.hostname()
	if err != nil {
		return hooks.Response{}, err
	}
	return c.search(&lease.Filter{Hostname: name})
}

// stateNames are the names of states by number (LS-017).
var stateNames = []string{"default", "declined", "expired-reclaimed", "released", "registered"}

// state reads the state that a get-by-state command searches for.
func (c *call) state() (uint32, error) {
	v := c.args.Raw("state")
	if v == nil {
		return 0, errors.New("'state' parameter not specified")
	}
	if text, ok := arguments.StringOf(v); ok {
		if text == "" {
			return 0, errors.New("'state' parameter is empty")
		}
		if text == "assigned" {
			return 0, nil
		}
		if i := slices.Index(stateNames, text); i >= 0 {
			return uint32(i), nil
		}
		return 0, fmt.Errorf("'state' parameter value (%s) is not recognized", text)
	}
	n, ok := arguments.IntegerOf(v)
	if !ok {
		return 0, errors.New("'state' parameter must be a number or a string")
	}
	return uint32(n), nil // cut to 32 bits, as Kea does
}

// byState reads the arguments of a get-by-state command and turns the answer of
// search into that command's.
func (c *call) byState(search func(st lease.State, subnetID uint32) (hooks.Response, error), none func() (hooks.Response, error)) (r hooks.Response, err error) {
	if err := c.needMap(); err != nil {
		return r, err
	}
	st, err := c.state()
	if err != nil {
		return r, err
	}
	subnetID := uint32(0)
	if v := c.args.Raw("subnet-id"); v != nil {
		id, ok := arguments.IntegerOf(v)
		if !ok {
			return r, errors.New("'subnet-id' parameter must be a number")
		}
		if id < 0 || id > math.MaxUint32 {
			return r, errors.New("'subnet-id' parameter must be a 32 bit unsigned integer")
		}
		subnetID = uint32(id)
	}
	if st <= stateRegistered {
		r, err = search(lease.State(st), subnetID)
	} else {
		r, err = none()
	}
	r.Text = strings.TrimSuffix(r.Text, ".") + " with state "
	if st <= stateRegistered {
		r.Text += fmt.Sprintf("%s (%d)", stateNames[st], st)
	} else {
		r.Text += fmt.Sprint(st)
	}
	if subnetID != 0 {
		r.Text += fmt.Sprintf(" in subnet %d", subnetID)
	}
	r.Text += "."
	return r, err
}

func (c *call) getByState4() (hooks.Response, error) {
	return c.byState(func(st lease.State, subnetID uint32) (hooks.Response, error) {
		return c.search(&lease.Filter{ByState: true, State: st, SubnetID: subnetID})
	}, func() (hooks.Response, error) { return found4(nil, false) })
}
