package lease_cmds

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// races is how often a change is tried again when a client or another command
// has changed the lease in between.
const races = 3

func (c *call) add4() (hooks.Response, error) {
	if !c.args.Given() {
		return hooks.Response{}, errors.New("no parameters specified for the command")
	}
	l, _, err := c.parseLease4()
	if err != nil {
		return hooks.Response{}, err
	}
	switch err := c.leases.Put(c, l, 0); {
	case errors.Is(err, lease.ErrConflict):
		return hooks.Response{}, conflict("IPv4 lease already exists.")
	case err != nil:
		return hooks.Response{}, err
	}
	return ok("Lease for address %s, subnet-id %d added.", l.Addr, l.SubnetID)
}

func (c *call) update4() (hooks.Response, error) {
	if !c.args.Given() {
		return hooks.Response{}, errors.New("no parameters specified for lease4-update command")
	}
	l, create, err := c.parseLease4()
	if err != nil {
		return hooks.Response{}, err
	}
	gone := func() (hooks.Response, error) {
		return hooks.Response{}, conflict("failed to update the lease with address %s either because the lease has been "+
			"deleted or it has changed in the database, in both cases a retry might succeed", l.Addr)
	}
	old := new(lease.Lease4)
	for range races {
		had := c.leases.Lease(l.Addr, old)
		if !had && !create {
			return gone()
		}
		expect := uint64(0)
		if had {
			expect = old.Version
		}
		err := c.leases.Put(c, l, expect)
		switch {
		case errors.Is(err, lease.ErrConflict):
			continue
		case err != nil:
			return hooks.Response{}, err
		case had:
			return ok("IPv4 lease updated.")
		}
		return ok("IPv4 lease added.")
	}
	return gone()
}

func (c *call) del4() (hooks.Response, error) {
	k, err := c.key(c.args, false)
	if err == nil && k.duid != nil {
		err = errors.New("Delete by duid is not allowed in v4.")
	}
	if err != nil {
		return hooks.Response{}, err
	}
	l := new(lease.Lease4)
	for range races {
		if !c.find(&k, l) {
			return empty("IPv4 lease not found.")
		}
		err := c.leases.Delete(c, l.Addr, l.Version)
		if errors.Is(err, lease.ErrConflict) {
			continue
		}
		if err != nil {
			return hooks.Response{}, err
		}
		return ok("IPv4 lease deleted.")
	}
	return hooks.Response{}, conflict("lease %s is being changed by others; a retry might succeed", l.Addr)
}

// wipe runs wipe for the subnet that the command names, or for all of ids.
func (c *call) wipe(family string, ids func() []uint32, one func(ctx context.Context, id uint32) (int, error)) (hooks.Response, error) {
	id, err := c.args.Uint32("subnet-id", 0)
	if err != nil {
		return hooks.Response{}, err
	}
	list := []uint32{id}
	if id == 0 {
		list = ids()
	}
	n := 0
	var names strings.Builder
	for _, id := range list {
		k, err := one(c, id)
		n += k
		if err != nil {
			return hooks.Response{}, fmt.Errorf("%d leases deleted, then: %w", n, err)
		}
		fmt.Fprintf(&names, " %d", id)
	}
	r := hooks.Response{Text: fmt.Sprintf("Deleted %d %s lease(s) from subnet(s)%s", n, family, names.String())}
	if n == 0 {
		r.Result = hooks.ResultEmpty
	}
	return r, nil
}

func (c *call) wipe4() (hooks.Response, error) {
	return c.wipe("IPv4", func() (ids []uint32) {
		c.config.EachSubnet4(func(s *hooks.Subnet4, _ *hooks.SubnetCounts4) bool {
			ids = append(ids, s.ID)
			return true
		})
		return ids
	}, c.leases.Wipe)
}

func (c *call) write4() (hooks.Response, error) { return c.write("IPv4", c.leases.WriteFile) }

func (c *call) write(family string, f func(ctx context.Context, name string) (string, error)) (hooks.Response, error) {
	if !c.args.Given() {
		return hooks.Response{}, errors.New("no parameters specified for the command")
	}
	v := c.args.Raw("filename")
	if v == nil {
		return hooks.Response{}, errors.New("'filename' parameter not specified")
	}
	name, isText := arguments.StringOf(v)
	if !isText {
		return hooks.Response{}, errors.New("'filename' parameter must be a string")
	}
	path, err := f(c, name)
	var bad *hooks.PathError
	if errors.As(err, &bad) {
		return hooks.Response{}, fmt.Errorf("'filename' parameter is invalid: %w", err)
	}
	if err != nil {
		return hooks.Response{}, err
	}
	return ok("%s lease database into '%s'.", family, path)
}

func (c *call) resendDDNS4() (hooks.Response, error) { return c.resendDDNS(false) }

// resendDDNS checks as Kea does. The server sends no DNS updates, so that it
// always ends with the first refusal.
func (c *call) resendDDNS(v6 bool) (hooks.Response, error) {
	v := c.args.Raw("ip-address")
	if v == nil {
		return hooks.Response{}, errors.New("'ip-address' parameter is missing.")
	}
	text, isText := arguments.StringOf(v)
	if !isText {
		return hooks.Response{}, errors.New("'ip-address' is not a string.")
	}
	a, err := arguments.ParseAddr(text)
	if err != nil {
		return hooks.Response{}, fmt.Errorf("'%s' is not a valid IP address.", text)
	}
	if a.Is4() == v6 {
		return hooks.Response{}, fmt.Errorf("Invalid %s address specified: %s", familyName(v6), text)
	}
	return hooks.Response{}, conflict("DDNS updating is not enabled")
}
