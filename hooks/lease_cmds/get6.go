package lease_cmds

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

func found6(leases []lease6JSON, count bool) (hooks.Response, error) {
	return found("IPv6", leases, count)
}

// search6 is the answer with the leases that f fits, by ascending address.
func (c *call) search6(f *lease6.Filter) (hooks.Response, error) {
	type item struct {
		addr lease6.IPv6
		json lease6JSON
	}
	var items []item
	c.leases6.Search(f, func(l *lease6.Lease6) bool {
		items = append(items, item{l.Addr, toJSON6(l)})
		return c.Err() == nil
	})
	slices.SortFunc(items, func(a, b item) int { return a.addr.Compare(b.addr) })
	out := make([]lease6JSON, len(items))
	for i := range items {
		out[i] = items[i].json
	}
	if err := c.Err(); err != nil {
		return hooks.Response{}, err
	}
	return found6(out, false)
}

// find6 finds the lease of k; one of another type is another lease.
func (c *call) find6(k *key, l *lease6.Lease6) bool {
	if k.addr.IsValid() {
		return c.leases6.Lease(lease6.AddrFromNetip(k.addr), l) && l.Type == k.typ
	}
	return c.leases6.IA(k.typ, k.duid, k.iaid, k.subnetID, l)
}

// key6 is key for a DHCPv6 command; verb is "Query" or "Delete".
func (c *call) key6(m arguments.Map, verb string) (key, error) {
	k, err := c.key(m, true)
	switch {
	case err != nil:
	case k.hw != nil:
		err = fmt.Errorf("%s by hw-address is not allowed in v6.", verb)
	case k.cid != nil:
		err = fmt.Errorf("%s by client-id is not allowed in v6.", verb)
	}
	return k, err
}

func (c *call) get6() (hooks.Response, error) {
	k, err := c.key6(c.args, "Query")
	if err != nil {
		return hooks.Response{}, err
	}
	l := new(lease6.Lease6)
	if !c.find6(&k, l) {
		return empty("Lease not found.")
	}
	return hooks.Response{Text: "IPv6 lease found.", Arguments: toJSON6(l)}, nil
}

func (c *call) pages6(after lease6.IPv6, f func(l *lease6.Lease6) bool) error {
	return pages(c, after, c.leases6.Page, func(l *lease6.Lease6) lease6.IPv6 { return l.Addr }, f)
}

func (c *call) getAll6() (hooks.Response, error) {
	only, err := c.onlySubnets()
	if err != nil {
		return hooks.Response{}, err
	}
	var out []lease6JSON
	err = c.pages6(lease6.IPv6{}, func(l *lease6.Lease6) bool {
		if only == nil || only[l.SubnetID] {
			out = append(out, toJSON6(l))
		}
		return true
	})
	if err != nil {
		return hooks.Response{}, err
	}
	return found6(out, false)
}

func (c *call) getPage6() (hooks.Response, error) {
	from, limit, err := c.page(true)
	if err != nil {
		return hooks.Response{}, err
	}
	var after lease6.IPv6
	if from.IsValid() {
		after = lease6.AddrFromNetip(from)
	}
	var out []lease6JSON
	err = c.pages6(after, func(l *lease6.Lease6) bool {
		out = append(out, toJSON6(l))
		return int64(len(out)) < limit
	})
	if err != nil {
		return hooks.Response{}, err
	}
	return found6(out, true)
}

func (c *call) getByHWAddress6() (hooks.Response, error) {
	hw, err := c.hwAddress()
	if err != nil {
		return hooks.Response{}, err
	}
	return c.search6(&lease6.Filter{HW: hw})
}

func (c *call) getByDUID6() (hooks.Response, error) {
	text, err := c.text("duid")
	if err != nil {
		return hooks.Response{}, err
	}
	duid, err := arguments.Identifier(text, minDUID, lease6.MaxDUIDLen)
	if err != nil {
		return hooks.Response{}, fmt.Errorf("bad 'duid' parameter: %w", err)
	}
	if bytes.Equal(duid, make([]byte, minDUID)) { // noDUID: Kea gives it to declined leases
		return c.search6(&lease6.Filter{ByState: true, State: lease.StateDeclined})
	}
	return c.search6(&lease6.Filter{DUID: duid})
}

func (c *call) getByHostname6() (hooks.Response, error) {
	name, err := c.hostname()
	if err != nil {
		return hooks.Response{}, err
	}
	return c.search6(&lease6.Filter{Hostname: name})
}

func (c *call) getByState6() (hooks.Response, error) {
	return c.byState(func(st lease.State, subnetID uint32) (hooks.Response, error) {
		return c.search6(&lease6.Filter{ByState: true, State: st, SubnetID: subnetID})
	}, func() (hooks.Response, error) { return found6(nil, false) })
}
