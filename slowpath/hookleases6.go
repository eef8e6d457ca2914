package slowpath

import (
	"context"
	"fmt"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// hookLeases6 is the DHCPv6 leases as hook libraries change them
// (hooks.LeaseStore6); see hookLeases.
type hookLeases6 struct {
	s *Server
	x *server6
}

var _ hooks.LeaseStore6 = hookLeases6{}

// shown gives a copy of a lease the user context that Kea has.
func shown(l *lease6.Lease6) { l.UserContext = leasefile.UserContext6(l) }

// Lease implements hooks.LeaseStore6.
func (h hookLeases6) Lease(addr lease6.IPv6, l *lease6.Lease6) bool {
	if !h.x.table.Get(addr, l) || l.State == lease.StateOffered && !h.x.table.Covered(addr, l) {
		return false
	}
	shown(l)
	return true
}

// IA implements hooks.LeaseStore6.
func (h hookLeases6) IA(t lease6.Type, duid []byte, iaid, subnetID uint32, l *lease6.Lease6) bool {
	list := make([]lease6.Lease6, lease6.MaxPerIA)
	for i := range list[:h.x.table.FindByIA(t, duid, iaid, []uint32{subnetID}, list)] {
		if list[i].State != lease.StateOffered {
			*l = list[i]
			shown(l)
			return true
		}
	}
	found := false
	h.x.table.Search(&lease6.Filter{SubnetID: subnetID, DUID: duid, Type: t, ByType: true}, func(x *lease6.Lease6) bool {
		if found = x.IAID == iaid && x.SubnetID == subnetID; found {
			*l = *x
			shown(l)
		}
		return !found
	})
	return found
}

// Page implements hooks.LeaseStore6.
func (h hookLeases6) Page(after lease6.IPv6, out []lease6.Lease6) int {
	n := h.x.table.Page(after, out)
	for i := range out[:n] {
		shown(&out[i])
	}
	return n
}

// Search implements hooks.LeaseStore6.
func (h hookLeases6) Search(f *lease6.Filter, yield func(l *lease6.Lease6) bool) {
	h.x.table.Search(f, func(l *lease6.Lease6) bool {
		shown(l)
		return yield(l)
	})
}

func (h hookLeases6) look(addr lease6.IPv6) func() standing {
	cur := new(lease6.Lease6)
	return func() (at standing) {
		if h.x.table.Get(addr, cur) {
			at.version, at.offered = cur.Version, cur.State == lease.StateOffered
		}
		if at.offered && h.x.table.Covered(addr, cur) {
			at.covered = cur.Version
		}
		return at
	}
}

// journal is w as a journal of DHCPv6 leases, nil where they are not persisted.
func (h hookLeases6) journal(w *leasestore.Writer) lease6.Journal {
	if w == nil || !h.x.persist {
		return nil
	}
	return w
}

// checkContext applies extended-info-checks to a lease that somebody else has
// made.
func (x *server6) checkContext(l *lease6.Lease6, checks string) {
	text, err := leasefile.CheckContext6(l.UserContext, checks)
	if err != nil {
		x.root().WithGroup("dhcpsrv").Error(fmt.Sprintf("DHCPSRV_LEASE6_EXTENDED_INFO_SANITY_FAIL extended info for lease %v failed checks (%v)", l.Addr, err))
	}
	l.UserContext = text
}

// Put implements hooks.LeaseStore6.
func (h hookLeases6) Put(ctx context.Context, next *lease6.Lease6, expect uint64) error {
	h.x.checkContext(next, h.x.runtime.Load().snapshot.Dhcp6.ExtendedInfoChecks)
	leasefile.SetUserContext6(next, next.UserContext)
	if n := len(next.UserContext); n > leasestore.MaxUserContext {
		return fmt.Errorf("user context has %d octets, more than %d", n, leasestore.MaxUserContext)
	}
	c, err := h.s.change(expect, h.look(next.Addr), func(version uint64, w *leasestore.Writer) (lease.Commit, error) {
		return h.x.table.Put(next, version, h.journal(w))
	})
	if err != nil {
		return err
	}
	return h.s.durable(ctx, c.Pos)
}

// Delete implements hooks.LeaseStore6.
func (h hookLeases6) Delete(ctx context.Context, addr lease6.IPv6, expect uint64) error {
	c, err := h.delete(addr, expect)
	if err != nil {
		return err
	}
	return h.s.durable(ctx, c.Pos)
}

func (h hookLeases6) delete(addr lease6.IPv6, expect uint64) (lease.Commit, error) {
	return h.s.change(expect, h.look(addr), func(version uint64, w *leasestore.Writer) (lease.Commit, error) {
		if version != expect {
			if _, err := h.x.table.Delete(addr, version, nil); err != nil {
				return lease.Commit{}, err
			}
		}
		return h.x.table.Delete(addr, expect, h.journal(w))
	})
}

// Wipe implements hooks.LeaseStore6.
func (h hookLeases6) Wipe(ctx context.Context, subnetID uint32) (int, error) {
	var all []victim[lease6.IPv6]
	h.x.table.Search(&lease6.Filter{SubnetID: subnetID}, func(l *lease6.Lease6) bool {
		all = append(all, victim[lease6.IPv6]{l.Addr, l.Version})
		return true
	})
	return wipe(ctx, h.s, all, h.delete)
}

// WriteFile implements hooks.LeaseStore6.
func (h hookLeases6) WriteFile(ctx context.Context, name string) (string, error) {
	page := make([]lease6.Lease6, pageSize)
	var after lease6.IPv6
	return h.s.writeLeases(ctx, name, &h.s.Snapshot().Dhcp6.LeaseDatabase, leasefile.AppendHeader6(nil), func(rows []byte) []byte {
		n := h.x.table.Page(after, page)
		for i := range page[:n] {
			if leasefile.Writable6(&page[i]) {
				rows = leasefile.AppendRow6(rows, &page[i])
			}
			after = page[i].Addr
		}
		if n == 0 {
			return nil
		}
		return rows
	})
}
