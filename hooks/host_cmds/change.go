package host_cmds

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

var (
	errNoStore   = errors.New("Host database not available, cannot add host.")
	errDuplicate = errors.New("Database duplicate entry error")
	errMissing   = errors.New("Host not updated (not found).")
)

// reservation reads the argument "reservation" and holds it against the
// configuration. Without subnet-id a host that reserves no address is global;
// else the error says which subnet may be meant.
func (c *call) reservation(needSubnet bool) (h hooks.StoredHost, global bool, err error) {
	m := arguments.Parse(c.args.Raw("reservation"))
	if !m.IsMap() {
		return h, false, fmt.Errorf("invalid command: expected 'reservation' to be a map, got %s instead", m.Kind())
	}
	id, given := uint32(0), m.Has("subnet-id")
	if given {
		n, ok := arguments.IntegerOf(m.Raw("subnet-id"))
		if !ok {
			return h, false, errors.New("'subnet-id' parameter is not integer.")
		}
		if n < 0 || n > maxSubnetID {
			return h, false, fmt.Errorf("subnet-id: %d is invalid, must be between 0 and %d (inclusive).", n, uint32(maxSubnetID))
		}
		id = uint32(n)
	} else if needSubnet {
		return h, false, errors.New("Mandatory 'subnet-id' parameter missing. Use `reservation-get-by-id' or 'reservation-get-by-address' " +
			"to get the list of reservations with given identifier or address.")
	}
	raw, err := without(m, "subnet-id")
	if err != nil {
		return h, false, err
	}
	// The address is held against the subnet below, in Kea's words; here it is
	// read as a global reservation's.
	if h, err = c.hosts.Parse(0, raw); err != nil {
		return h, false, err
	}
	if !given && len(addresses(&h))+len(h.Prefixes) > 0 {
		return h, false, c.hint(&h)
	}
	if err = c.checkSubnet(id, addresses(&h)...); err != nil {
		return h, false, err
	}
	if id != 0 {
		h, err = c.hosts.Parse(id, raw)
	}
	return h, !given, err
}

// without is the map without one member, in the order of names.
func without(m arguments.Map, name string) (json.RawMessage, error) {
	left := map[string]json.RawMessage{}
	m.Each(func(k string, v json.RawMessage) {
		if k != name {
			left[k] = v
		}
	})
	return json.Marshal(left)
}

// hint is the error for reserved addresses or prefixes without subnet-id.
func (c *call) hint(h *hooks.StoredHost) error {
	addrs := addresses(h)
	var in []subnet
	take := func(s subnet) bool {
		if !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !s.prefix.Contains(a) }) {
			in = append(in, s)
		}
		return true
	}
	text := "Mandatory 'subnet-id' parameter missing. "
	switch {
	case len(addrs) == 0:
		return errors.New(text + "Prefixes are not attached to subnets so no hint is available.")
	case c.v6:
		c.config.EachSubnet6(func(s *hooks.Subnet6, _ *hooks.SubnetCounts6) bool {
			return take(subnet{s.ID, s.Prefix, s.Text, s.Guarded})
		})
		if len(in) == 0 {
			return errors.New(text + "Reserved IPv6 addresses do not belong to a common configured subnet.")
		}
		text += "Reserved IPv6 addresses belong to "
	default:
		c.config.EachSubnet4(func(s *hooks.Subnet4, _ *hooks.SubnetCounts4) bool {
			return take(subnet{s.ID, s.Prefix, s.Text, s.Guarded})
		})
		text += fmt.Sprintf("The address '%s' belongs to ", addrs[0])
		if len(in) == 0 {
			return errors.New(text + "no configured subnet.")
		}
	}
	s, guarded := in[0], "guarded "
	for _, x := range in {
		if !x.guarded {
			s, guarded = x, ""
			break
		}
	}
	others := "."
	if len(in) > 1 {
		others = " and others."
	}
	return fmt.Errorf("%s%ssubnet '%s' id %d%s", text, guarded, s.text, s.id, others)
}

// sameAs matches the reservation with the identifier of h.
func sameAs(h *hooks.StoredHost) func(*hooks.StoredHost) bool {
	return func(x *hooks.StoredHost) bool {
		return x.SubnetID == h.SubnetID && x.IDType == h.IDType && bytes.Equal(x.Identifier, h.Identifier)
	}
}

// storeError is an error of the store in Kea's words.
func storeError(err error) error {
	switch {
	case errors.Is(err, hooks.ErrNoHostStore):
		return errNoStore
	case errors.Is(err, hooks.ErrHostExists):
		return errDuplicate
	case errors.Is(err, hooks.ErrNoHost):
		return errMissing
	}
	return err
}

func (c *call) add() (r hooks.Response, err error) {
	if !c.args.Given() {
		return r, errors.New("no parameters specified for the command")
	}
	if err := c.readTarget(database); err != nil {
		return r, err
	}
	if !c.args.Has("reservation") {
		return r, errors.New("reservation must be specified")
	}
	h, global, err := c.reservation(false)
	if err != nil {
		return r, err
	}
	if c.target&database != 0 {
		if err := c.hosts.Add(c, &h); err != nil {
			return r, storeError(err)
		}
	}
	if c.target&memory != 0 {
		if err := c.edit(&h, place); err != nil {
			if c.target&database != 0 { // both or none
				err = errors.Join(err, c.hosts.Delete(c, h.ID))
			}
			return r, err
		}
	}
	r.Text = "Host added."
	if global {
		r.Text += " subnet-id not specified, assumed global (subnet-id 0)."
	}
	return r, nil
}

func (c *call) update() (r hooks.Response, err error) {
	switch {
	case !c.args.Given():
		return r, errors.New("invalid command: does not contain mandatory 'arguments'")
	case !c.args.IsMap():
		return r, fmt.Errorf("invalid command: expected 'arguments' to be a map, got %s instead", c.args.Kind())
	case !c.args.Has("reservation"):
		return r, errors.New("invalid command: expected 'reservation' as the sole parameter inside the 'arguments' map, didn't get it instead")
	}
	if err := c.readTarget(database); err != nil {
		return r, err
	}
	h, _, err := c.reservation(true)
	if err != nil {
		return r, err
	}
	if c.target&memory != 0 {
		if err := c.edit(&h, replace); err != nil {
			return r, err
		}
	}
	if c.target&database != 0 {
		old, err := c.hosts.Stored(sameAs(&h), 1)
		if err != nil {
			return r, err
		}
		if len(old) == 0 {
			return r, errMissing
		}
		if err := c.hosts.Replace(c, old[0].ID, &h); err != nil {
			return r, storeError(err)
		}
	}
	r.Text = "Host updated."
	return r, nil
}

func (c *call) del() (r hooks.Response, err error) {
	match, err := c.one(database)
	if err != nil {
		return r, err
	}
	n := 0
	for _, t := range []target{memory, database} {
		l, err := c.source(t, match, 1)
		if err != nil {
			return r, err
		}
		if len(l) == 0 {
			continue
		}
		if t == memory {
			err = c.edit(&l[0], remove)
		} else {
			err = c.hosts.Delete(c, l[0].ID)
		}
		switch {
		case errors.Is(err, errMissing) || errors.Is(err, hooks.ErrNoHost): // somebody was faster
		case err != nil:
			return r, err
		default:
			n++
		}
	}
	if n == 0 {
		return hooks.Response{Result: hooks.ResultEmpty, Text: "Host not deleted (not found)."}, nil
	}
	r.Text = "Host deleted."
	return r, nil
}

// change is what edit does with a reservation of the configuration.
type change uint8

const (
	place change = iota
	replace
	remove
)

// edit changes the reservations of the configuration.
func (c *call) edit(h *hooks.StoredHost, what change) error {
	return c.config.Edit(c, func(t hooks.ConfigTree) error {
		path := []any{}
		if h.SubnetID != 0 {
			if path = hooks.SubnetPath(t, fmt.Sprintf("subnet%d", c.family()), h.SubnetID); path == nil {
				return fmt.Errorf("IPv%d subnet with ID of '%d' is not configured", c.family(), h.SubnetID)
			}
		}
		path = append(path, "reservations")
		if what == place {
			return t.Set(h.Form, append(path, t.Len(path...))...)
		}
		// The list is in the order of the tree.
		l, err := c.hosts.Configured(func(x *hooks.StoredHost) bool { return x.SubnetID == h.SubnetID }, 0)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(l, func(x hooks.StoredHost) bool { return sameAs(h)(&x) })
		switch {
		case i < 0:
			return errMissing
		case what == remove:
			return t.Remove(append(path, i)...)
		}
		return t.Set(h.Form, append(path, i)...)
	})
}
