package slowpath

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// contextCheck is sanity-checks.extended-info-checks applied to what a family's
// leases keep of their relays (Kea's upgradeLease4ExtendedInfo and
// upgradeLease6ExtendedInfo), when they have been loaded, when the configuration
// changes, and by command. Service goes on meanwhile: a lease that its client
// changes at the same moment is left to it, as is an old one that is offered to
// another client.
type contextCheck struct {
	family string // "4", "6"
	mode   string
	log    *slog.Logger
	// What was looked at, what was given another context, and of that where
	// something had to be taken away.
	seen, changed, failed int
}

// judge says which context a lease is to have.
func (c *contextCheck) judge(addr fmt.Stringer, context string, check func(context, mode string) (string, error)) (fixed string, differs bool) {
	c.seen++
	fixed, err := check(context, c.mode)
	if err == nil && fixed == context {
		return context, false
	}
	c.changed++
	if err != nil {
		if c.failed++; c.failed <= maxSanityLogged {
			c.log.Error(fmt.Sprintf("DHCPSRV_LEASE%s_EXTENDED_INFO_SANITY_FAIL extended info for lease %v failed checks (%v)", c.family, addr, err))
		}
	} else if c.changed-c.failed <= maxSanityLogged {
		c.log.Debug(fmt.Sprintf("DHCPSRV_LEASE%s_EXTENDED_INFO_UPGRADED extended info for lease %v was upgraded", c.family, addr))
	}
	return fixed, true
}

// store puts a lease with its new context.
func (c *contextCheck) store(addr fmt.Stringer, t *taker, put func() (lease.Commit, error)) error {
	err := t.put(put)
	if errors.Is(err, lease.ErrConflict) {
		c.changed-- // somebody else's now
		return nil
	}
	if err != nil {
		return fmt.Errorf("check extended info of lease %v: %w", addr, err)
	}
	return nil
}

func (c *contextCheck) done() {
	if c.changed > 0 {
		c.log.Info("PEREGRINE_EXTENDED_INFO_CHECKED what leases keep of their relays was held against extended-info-checks", "leases", c.seen, "changed", c.changed, "failed", c.failed)
	}
}

// run4 checks all DHCPv4 leases; what it changes is in t's journal then.
func (c *contextCheck) run4(ctx context.Context, s *Server, t *taker) error {
	if c.mode == lease.ExtendedInfoNone {
		return nil
	}
	table := s.table
	all := true // nearly always, which is seen faster than in pages
	table.Walk(func(l *lease.Lease4) bool {
		fixed, err := lease.CheckExtendedInfo4(l.UserContext, c.mode)
		all = err == nil && fixed == l.UserContext
		return all
	})
	if all {
		return nil
	}
	page := make([]lease.Lease4, pageSize)
	for n := table.Page(0, page); n > 0; n = table.Page(page[n-1].Addr, page) {
		for i := range page[:n] {
			l := &page[i]
			fixed, differs := c.judge(l.Addr, l.UserContext, lease.CheckExtendedInfo4)
			if !differs {
				continue
			}
			l.UserContext = fixed
			err := c.store(l.Addr, t, func() (lease.Commit, error) { return table.Put(l, l.Version, journal4(t.w)) })
			if err = errors.Join(err, ctx.Err()); err != nil {
				return err
			}
		}
	}
	c.done()
	return nil
}

// run6 is the same for DHCPv6. What is kept of a relay apart from the user context
// has its form already.
func (c *contextCheck) run6(ctx context.Context, s *Server, t *taker) error {
	if c.mode == lease.ExtendedInfoNone {
		return nil
	}
	h, table := hookLeases6{s, s.six}, s.six.table
	some := false
	table.Walk(func(l *lease6.Lease6) bool {
		some = l.UserContext != ""
		return !some
	})
	if !some {
		return nil
	}
	page := make([]lease6.Lease6, pageSize)
	for n := table.Page(lease6.IPv6{}, page); n > 0; n = table.Page(page[n-1].Addr, page) {
		for i := range page[:n] {
			l := &page[i]
			if l.UserContext == "" {
				c.seen++
				continue
			}
			fixed, differs := c.judge(l.Addr, leasefile.UserContext6(l), leasefile.CheckContext6)
			if !differs {
				continue
			}
			leasefile.SetUserContext6(l, fixed)
			err := c.store(l.Addr, t, func() (lease.Commit, error) { return table.Put(l, l.Version, h.journal(t.w)) })
			if err = errors.Join(err, ctx.Err()); err != nil {
				return err
			}
		}
	}
	c.done()
	return nil
}

// extendedInfoUpgrade is extended-info4-upgrade and extended-info6-upgrade: it
// holds what leases keep of their relays against extended-info-checks, and answers
// when what it has changed is durable.
func (f *family) extendedInfoUpgrade(ctx context.Context, _ json.RawMessage) control.Response {
	s := f.s
	c := &contextCheck{family: "4", log: f.root().WithGroup("dhcpsrv")}
	t := new(taker)
	if s.store != nil {
		t.w = s.store.NewWriter("extended-info")
		defer t.w.Retire()
	}
	run := c.run4
	if d := s.Snapshot(); f.v == stat.V6 {
		c.family, c.mode, run = "6", d.Dhcp6.ExtendedInfoChecks, c.run6
	} else {
		c.mode = d.Dhcp4.SanityChecks.ExtendedInfoChecks
	}
	if err := errors.Join(run(ctx, s, t), t.wait()); err != nil {
		return fail("%v", err)
	}
	plural := "s"
	if c.changed == 1 {
		plural = ""
	}
	return ok(fmt.Sprintf("Upgraded %d lease%s", c.changed, plural), nil)
}
