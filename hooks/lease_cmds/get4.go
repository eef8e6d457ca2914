package lease_cmds

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// pageSize is how many leases are copied at a time; service goes on between.
const pageSize = 256

// found is the answer with a list of leases.
func found(leases []lease4JSON, count bool) (hooks.Response, error) {
	if leases == nil {
		leases = []lease4JSON{}
	}
	args := map[string]any{"leases": leases}
	if count {
		args["count"] = len(leases)
	}
	r := hooks.Response{Text: fmt.Sprintf("%d IPv4 lease(s) found.", len(leases)), Arguments: args}
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
	return found(out, false)
}

// key is what names one lease in lease4-get and lease4-del.
type key struct {
	addr     dhcp4.IPv4 // if byAddr
	byAddr   bool
	subnetID uint32
	hw, cid  []byte
	duid     bool
}

// key4 reads the arguments that name one lease: ip-address, or subnet-id,
// identifier-type and identifier.
func (c *call) key4() (k key, err error) {
	m := c.args
	if !m.IsMap() {
		return k, errors.New("Parameters missing or are not a map.")
	}
	if v := m.Raw("update-ddns"); v != nil {
		if _, ok := arguments.BoolOf(v); !ok {
			return k, errors.New("'update-ddns' is not a boolean")
		}
	}
	if v := m.Raw("type"); v != nil {
		t, _ := arguments.StringOf(v)
		if !slices.Contains([]string{"IA_NA", "0", "IA_PD", "2", "V4", "3"}, t) {
			return k, fmt.Errorf("Invalid lease type specified: %s, only supported values are: IA_NA, IA_PD and V4", t)
		}
	}
	if v := m.Raw("ip-address"); v != nil {
		text, ok := arguments.StringOf(v)
		if !ok {
			return k, errors.New("'ip-address' is not a string.")
		}
		a, err := arguments.ParseAddr(text)
		if err != nil {
			return k, err
		}
		if !a.Is4() {
			return k, fmt.Errorf("Invalid IPv4 address specified: %s", text)
		}
		k.addr, k.byAddr = arguments.IPv4(a), true
		return k, nil
	}
	v := m.Raw("subnet-id")
	if v == nil {
		return k, errors.New("Mandatory 'subnet-id' parameter missing.")
	}
	id, ok := arguments.IntegerOf(v)
	if !ok {
		return k, errors.New("'subnet-id' parameter is not integer.")
	}
	if id < 0 || id > math.MaxUint32 {
		return k, errors.New("'subnet-id' parameter is not a 32 bit unsigned integer.")
	}
	k.subnetID = uint32(id)
	if m.Has("iaid") {
		return k, errors.New("'iaid' parameter is specific to DHCPv6.")
	}
	return k, k.identify(m)
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
		if k.hw, err = arguments.HWAddr(id); err != nil {
			return fmt.Errorf("Bad 'hw-address' identifier: %w", err)
		}
	case "client-id":
		if k.cid, err = arguments.Identifier(id, minClientID, maxClientID); err != nil {
			return fmt.Errorf("Bad 'client-id' identifier: %w", err)
		}
	case "duid":
		k.duid = true
	default:
		return fmt.Errorf("Incorrect identifier type: %s, the only supported values are: hw-address, duid, client-id", t)
	}
	return nil
}

func (c *call) find(k *key, l *lease.Lease4) bool {
	if k.byAddr {
		return c.leases.Lease(k.addr, l)
	}
	return c.leases.Client(k.hw, k.cid, k.subnetID, l)
}

func (c *call) get4() (hooks.Response, error) {
	k, err := c.key4()
	if err == nil && k.duid {
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

// pages calls f for every lease from after on until it returns false.
func (c *call) pages(after dhcp4.IPv4, f func(l *lease.Lease4) bool) error {
	buf := make([]lease.Lease4, pageSize)
	for {
		n := c.leases.Page(after, buf)
		if n == 0 {
			return nil
		}
		for i := range buf[:n] {
			if !f(&buf[i]) {
				return nil
			}
		}
		after = buf[n-1].Addr
		if err := c.Err(); err != nil {
			return err
		}
	}
}

func (c *call) getAll4() (hooks.Response, error) {
	var only map[uint32]bool
	if c.args.Given() && c.args.Kind() != "null" {
		v := c.args.Raw("subnets")
		if v == nil {
			return hooks.Response{}, errors.New("'subnets' parameter not specified")
		}
		list, ok := arguments.ListOf(v)
		if !ok {
			return hooks.Response{}, errors.New("'subnets' parameter must be a list")
		}
		only = make(map[uint32]bool, len(list))
		for _, e := range list {
			id, ok := arguments.IntegerOf(e)
			if !ok {
				return hooks.Response{}, errors.New("listed subnet identifiers must be numbers")
			}
			if id < 0 || id > math.MaxUint32 {
				return hooks.Response{}, fmt.Errorf("out of range subnet identifier %s", e)
			}
			only[uint32(id)] = true
		}
	}
	var out []lease4JSON
	err := c.pages(0, func(l *lease.Lease4) bool {
		if only == nil || only[l.SubnetID] {
			out = append(out, toJSON4(l))
		}
		return true
	})
	if err != nil {
		return hooks.Response{}, err
	}
	return found(out, false)
}

func (c *call) getPage4() (hooks.Response, error) {
	m := c.args
	if !m.IsMap() {
		return hooks.Response{}, errors.New("no parameters specified for the lease4-get-page command")
	}
	from, err := pageStart4(m)
	if err != nil {
		return hooks.Response{}, err
	}
	v := m.Raw("limit")
	if v == nil {
		return hooks.Response{}, errors.New("'limit' parameter not specified")
	}
	limit, ok := arguments.IntegerOf(v)
	switch {
	case !ok:
		return hooks.Response{}, errors.New("'limit' parameter must be a number")
	case limit < 0 || limit > math.MaxUint32:
		return hooks.Response{}, errors.New("'limit' parameter is not a 32 bit unsigned integer.")
	case limit == 0:
		return hooks.Response{}, errors.New("'limit' parameter must not be 0.")
	}
	var out []lease4JSON
	err = c.pages(from, func(l *lease.Lease4) bool {
		out = append(out, toJSON4(l))
		return int64(len(out)) < limit
	})
	if err != nil {
		return hooks.Response{}, err
	}
	return found(out, true)
}

// pageStart4 reads "from": the address that the page begins behind.
func pageStart4(m arguments.Map) (dhcp4.IPv4, error) {
	v := m.Raw("from")
	if v == nil {
		return 0, errors.New("'from' parameter not specified")
	}
	text, ok := arguments.StringOf(v)
	if !ok {
		return 0, errors.New("'from' parameter must be a string")
	}
	if text == "start" {
		return 0, nil
	}
	a, err := arguments.ParseAddr(text)
	if err != nil {
		return 0, errors.New("'from' parameter value is neither 'start' keyword nor a valid IPv4 address")
	}
	if !a.Is4() {
		return 0, fmt.Errorf("'from' parameter value %s is not an IPv4 address", a)
	}
	return arguments.IPv4(a), nil
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

func (c *call) getByHWAddress4() (hooks.Response, error) {
	text, err := c.text("hw-address")
	if err != nil {
		return hooks.Response{}, err
	}
	if text == "" {
		return hooks.Response{}, errors.New("'hw-address' parameter must not be empty")
	}
	hw, err := arguments.HWAddr(text)
	if err != nil {
		return hooks.Response{}, fmt.Errorf("bad 'hw-address' parameter: %w", err)
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
	text, err := c.text("hostname")
	if err != nil {
		return hooks.Response{}, err
	}
	if text == "" {
		return hooks.Response{}, errors.New("'hostname' parameter is empty")
	}
	return c.search(&lease.Filter{Hostname: []byte(strings.ToLower(text))})
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

func (c *call) getByState4() (hooks.Response, error) {
	if err := c.needMap(); err != nil {
		return hooks.Response{}, err
	}
	st, err := c.state()
	if err != nil {
		return hooks.Response{}, err
	}
	f := lease.Filter{ByState: true, State: lease.State(st)}
	if v := c.args.Raw("subnet-id"); v != nil {
		id, ok := arguments.IntegerOf(v)
		if !ok {
			return hooks.Response{}, errors.New("'subnet-id' parameter must be a number")
		}
		if id < 0 || id > math.MaxUint32 {
			return hooks.Response{}, errors.New("'subnet-id' parameter must be a 32 bit unsigned integer")
		}
		f.SubnetID = uint32(id)
	}
	r, err := hooks.Response{}, error(nil)
	if st <= stateRegistered {
		r, err = c.search(&f)
	} else {
		r, err = found(nil, false)
	}
	r.Text = strings.TrimSuffix(r.Text, ".") + " with state "
	if st <= stateRegistered {
		r.Text += fmt.Sprintf("%s (%d)", stateNames[st], st)
	} else {
		r.Text += fmt.Sprint(st)
	}
	if f.SubnetID != 0 {
		r.Text += fmt.Sprintf(" in subnet %d", f.SubnetID)
	}
	r.Text += "."
	return r, err
}
