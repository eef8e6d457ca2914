package lease_cmds

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

func (c *call) add6() (hooks.Response, error) {
	if !c.args.Given() {
		return hooks.Response{}, errors.New("no parameters specified for the command")
	}
	l, _, err := c.parseLease6()
	if err != nil {
		return hooks.Response{}, err
	}
	switch err := c.leases6.Put(c, l, 0); {
	case errors.Is(err, lease.ErrConflict):
		return hooks.Response{}, conflict("IPv6 lease already exists.")
	case err != nil:
		return hooks.Response{}, err
	}
	if l.Type == lease6.TypePD {
		return ok("Lease for prefix %s/%d, subnet-id %d added.", l.Addr, l.PrefixLen, l.SubnetID)
	}
	return ok("Lease for address %s, subnet-id %d added.", l.Addr, l.SubnetID)
}

// put6 adds or replaces a lease and says which.
func (c *call) put6(l *lease6.Lease6, create bool) (added bool, err error) {
	old := new(lease6.Lease6)
	for range races {
		had := c.leases6.Lease(l.Addr, old)
		expect := uint64(0)
		switch {
		case had && old.Type != l.Type:
			return false, conflict("address %s has a lease of type %s", l.Addr, old.Type)
		case !had && !create:
			return false, gone6(l)
		case had && old.State == stateRegistered && l.State != stateRegistered:
			return false, fmt.Errorf("illegal reuse of registered address %s", l.Addr)
		case had && old.State != stateRegistered && l.State == stateRegistered:
			return false, fmt.Errorf("address in use: %s can't be registered", l.Addr)
		case had:
			expect = old.Version
		}
		next := *l
		if err := c.leases6.Put(c, &next, expect); !errors.Is(err, lease.ErrConflict) {
			return !had, err
		}
	}
	return false, gone6(l)
}

func gone6(l *lease6.Lease6) error {
	return conflict("failed to update the lease with address %s either because the lease has been "+
		"deleted or it has changed in the database, in both cases a retry might succeed", l.Addr)
}

func (c *call) update6() (hooks.Response, error) {
	if !c.args.Given() {
		return hooks.Response{}, errors.New("no parameters specified for lease6-update command")
	}
	l, create, err := c.parseLease6()
	if err != nil {
		return hooks.Response{}, err
	}
	added, err := c.put6(l, create)
	if err != nil {
		return hooks.Response{}, err
	}
	if added {
		return ok("IPv6 lease added.")
	}
	return ok("IPv6 lease updated.")
}

// errNoLease6: there is nothing to delete.
var errNoLease6 = errors.New("lease not found")

func (c *call) delete6(k *key) error {
	l := new(lease6.Lease6)
	for range races {
		if !c.find6(k, l) {
			return errNoLease6
		}
		if err := c.leases6.Delete(c, l.Addr, l.Version); !errors.Is(err, lease.ErrConflict) {
			return err
		}
	}
	return conflict("lease %s is being changed by others; a retry might succeed", l.Addr)
}

func (c *call) del6() (hooks.Response, error) {
	k, err := c.key6(c.args, "Delete")
	if err != nil {
		return hooks.Response{}, err
	}
	switch err := c.delete6(&k); {
	case errors.Is(err, errNoLease6):
		return empty("IPv6 lease not found.")
	case err != nil:
		return hooks.Response{}, err
	}
	return ok("IPv6 lease deleted.")
}

func (c *call) wipe6() (hooks.Response, error) {
	return c.wipe("IPv6", func() (ids []uint32) {
		c.config.EachSubnet6(func(s *hooks.Subnet6, _ *hooks.SubnetCounts6) bool {
			ids = append(ids, s.ID)
			return true
		})
		return ids
	}, c.leases6.Wipe)
}

func (c *call) write6() (hooks.Response, error) { return c.write("IPv6", c.leases6.WriteFile) }

func (c *call) resendDDNS6() (hooks.Response, error) { return c.resendDDNS(true) }

// failedLease names a lease that lease6-bulk-apply could not change.
type failedLease struct {
	Type    string `json:"type"`
	Address string `json:"ip-address,omitempty"`
	DUID    string `json:"duid,omitempty"`
	Result  int    `json:"result"`
	Text    string `json:"error-message"`
}

// bulkApply6 deletes and then writes leases, as partners of high availability ask
// for (HA-013). All are read before the first is changed.
func (c *call) bulkApply6() (r hooks.Response, err error) {
	if err := c.needMap(); err != nil {
		return r, err
	}
	deleted, err := c.list("deleted-leases")
	if err != nil {
		return r, err
	}
	written, err := c.list("leases")
	if err != nil {
		return r, err
	}
	if !c.args.Has("deleted-leases") && !c.args.Has("leases") {
		return r, errors.New("neither 'deleted-leases' nor 'leases' parameter specified")
	}
	keys := make([]key, len(deleted))
	for i, d := range deleted {
		if keys[i], err = c.key6(arguments.Parse(d), "Delete"); err != nil {
			return r, err
		}
	}
	leases := make([]*lease6.Lease6, len(written))
	for i, w := range written {
		one := *c
		one.args = arguments.Parse(w)
		if leases[i], _, err = one.parseLease6(); err != nil {
			return r, err
		}
	}
	n := 0
	args := map[string]any{}
	note := func(list string, f failedLease, err error) {
		f.Result, f.Text = hooks.ResultError, err.Error()
		var c *conflictError
		switch {
		case errors.Is(err, errNoLease6):
			f.Result = hooks.ResultEmpty
		case errors.As(err, &c):
			f.Result = hooks.ResultConflict
		}
		old, _ := args[list].([]failedLease)
		args[list] = append(old, f)
	}
	for i := range keys {
		k := &keys[i]
		if err := c.delete6(k); err == nil {
			n++
		} else {
			f := failedLease{Type: k.typ.String(), DUID: arguments.ColonHex(k.duid)}
			if k.addr.IsValid() {
				f.Address = k.addr.String()
			}
			note("failed-deleted-leases", f, err)
		}
	}
	for _, l := range leases {
		if _, err := c.put6(l, true); err == nil {
			n++
		} else {
			note("failed-leases", failedLease{Type: l.Type.String(), Address: l.Addr.String()}, err)
		}
	}
	r.Text = fmt.Sprintf("Bulk apply of %d IPv6 leases completed.", n)
	if n == 0 {
		r.Result = hooks.ResultEmpty
	}
	if len(args) > 0 {
		r.Arguments = args
	}
	return r, nil
}

// list reads an optional list of lease6-bulk-apply.
func (c *call) list(name string) ([]json.RawMessage, error) {
	v := c.args.Raw(name)
	if v == nil {
		return nil, nil
	}
	l, isList := arguments.ListOf(v)
	if !isList {
		return nil, fmt.Errorf("the '%s' parameter must be a list", name)
	}
	return l, nil
}
