package slowpath

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/subnet"
	"github.com/peregrine-dhcp/peregrine/slowpath/subnet6"
)

// sanity is what sanity-checks.lease-checks wants done with leases whose subnet
// does not exist or does not hold their address (Kea's SanityChecker).
type sanity struct {
	mode string // "none", "warn", "fix", "fix-del", "del"
	log  *slog.Logger
	// What was found, and done.
	bad, fixed, deleted int
}

// judge says what becomes of a lease at an address of subnet is, which should be
// in subnet want, 0 for none: its new subnet, or that it goes.
func (c *sanity) judge(addr fmt.Stringer, is, want uint32) (fix, del bool) {
	c.bad++
	switch c.mode {
	case "fix", "fix-del":
		fix = want != 0
		del = want == 0 && c.mode == "fix-del"
	case "del":
		del = true
	}
	if c.bad <= maxSanityLogged {
		why := "the lease IP address did not belong to a configured subnet"
		if want != 0 {
			why = fmt.Sprintf("the lease should have subnet-id %d", want)
		}
		switch {
		case fix:
			c.log.Info(fmt.Sprintf("DHCPSRV_LEASE_SANITY_FIXED The lease %v with subnet-id %d failed subnet-id checks, but was corrected to subnet-id %d.", addr, is, want))
		case del:
			c.log.Info(fmt.Sprintf("DHCPSRV_LEASE_SANITY_FAIL_DISCARD The lease %v with subnet-id %d failed subnet-id checks (%s) and was dropped.", addr, is, why))
		default:
			c.log.Warn(fmt.Sprintf("DHCPSRV_LEASE_SANITY_FAIL The lease %v with subnet-id %d failed subnet-id checks (%s).", addr, is, why))
		}
	}
	return fix, del
}

// maxSanityLogged bounds the log of a start with the wrong configuration.
const maxSanityLogged = 100

func (c *sanity) done() {
	if c.bad > maxSanityLogged {
		c.log.Warn("PEREGRINE_LEASE_SANITY more leases failed subnet-id checks than are listed", "failed", c.bad, "corrected", c.fixed, "dropped", c.deleted)
	}
}

// checkLeases applies lease-checks to the leases that were loaded, before anybody
// is served, and again when another configuration is given, as Kea does, which
// then reads its lease file anew. What it changes is durable when it returns; what
// a client or a command changes meanwhile is left to them.
func (s *Server) checkLeases(snap *config.Snapshot) error {
	if s.store == nil {
		return nil
	}
	t := &taker{w: s.store.NewWriter("lease-checks")}
	defer t.w.Retire()
	d := snap.Dhcp4
	var err error
	if c := (&sanity{mode: d.SanityChecks.LeaseChecks, log: s.log.WithGroup("dhcpsrv")}); d.LeaseDatabase.Persist && c.mode != "none" {
		err = c.check4(s.table, d, t)
	}
	if err == nil && d.LeaseDatabase.Persist {
		c := &contextCheck{family: "4", mode: d.SanityChecks.ExtendedInfoChecks, log: s.log.WithGroup("dhcpsrv")}
		err = c.run4(context.Background(), s, t)
	}
	if x := s.six; err == nil && x != nil && x.persist {
		d := snap.Dhcp6
		if c := (&sanity{mode: d.LeaseChecks, log: s.opt.Log6.WithGroup("dhcpsrv")}); c.mode != "none" {
			err = c.check6(x.table, d, t)
		}
		if err == nil {
			c := &contextCheck{family: "6", mode: d.ExtendedInfoChecks, log: s.opt.Log6.WithGroup("dhcpsrv")}
			err = c.run6(context.Background(), s, t)
		}
	}
	return errors.Join(err, t.wait())
}

func (c *sanity) check4(table *lease.Table, d *config.Dhcp4, t *taker) error {
	x := subnet.NewIndex(d)
	good := func(l *lease.Lease4) bool {
		s := x.ByID(l.SubnetID)
		return s != nil && l.Addr >= s.First && l.Addr <= s.Last
	}
	all := true // nearly always, which is seen faster than in pages
	table.Walk(func(l *lease.Lease4) bool {
		all = all && good(l)
		return all
	})
	if all {
		return nil
	}
	page := make([]lease.Lease4, pageSize)
	for n := table.Page(0, page); n > 0; n = table.Page(page[n-1].Addr, page) {
		for i := range page[:n] {
			l := &page[i]
			if good(l) {
				continue
			}
			// A guarded subnet may not be the client's.
			want := uint32(0)
			for _, s := range x.Covering(l.Addr) {
				if len(s.ClientClasses) == 0 && (s.Network == nil || len(s.Network.ClientClasses) == 0) {
					want = s.ID
					break
				}
			}
			fix, del := c.judge(l.Addr, l.SubnetID, want)
			var err error
			switch {
			case fix:
				l.SubnetID = want
				c.fixed++
				err = t.put(func() (lease.Commit, error) { return table.Put(l, l.Version, t.w) })
			case del:
				c.deleted++
				err = t.put(func() (lease.Commit, error) { return table.Delete(l.Addr, l.Version, t.w) })
			}
			if err != nil && !errors.Is(err, lease.ErrConflict) {
				return fmt.Errorf("check lease %v: %w", l.Addr, err)
			}
		}
	}
	c.done()
	return nil
}

// check6 looks at addresses only, as Kea does.
func (c *sanity) check6(table *lease6.Table, d *config.Dhcp6, t *taker) error {
	x := subnet6.NewIndex(d)
	good := func(l *lease6.Lease6) bool {
		if l.Type != lease6.TypeNA {
			return true
		}
		s := x.ByID(l.SubnetID)
		return s != nil && s.Prefix.Contains(l.Addr.Netip())
	}
	all := true
	table.Walk(func(l *lease6.Lease6) bool {
		all = all && good(l)
		return all
	})
	if all {
		return nil
	}
	page := make([]lease6.Lease6, pageSize)
	for n := table.Page(lease6.IPv6{}, page); n > 0; n = table.Page(page[n-1].Addr, page) {
		for i := range page[:n] {
			l := &page[i]
			if good(l) {
				continue
			}
			addr := l.Addr.Netip()
			want := uint32(0)
			for _, s := range x.Covering(addr) {
				if len(s.ClientClasses) == 0 && (s.Network == nil || len(s.Network.ClientClasses) == 0) {
					want = s.ID
					break
				}
			}
			fix, del := c.judge(addr, l.SubnetID, want)
			var err error
			switch {
			case fix:
				l.SubnetID = want
				c.fixed++
				err = t.put(func() (lease.Commit, error) { return table.Put(l, l.Version, t.w) })
			case del:
				c.deleted++
				err = t.put(func() (lease.Commit, error) { return table.Delete(l.Addr, l.Version, t.w) })
			}
			if err != nil && !errors.Is(err, lease.ErrConflict) {
				return fmt.Errorf("check lease %v: %w", addr, err)
			}
		}
	}
	c.done()
	return nil
}
