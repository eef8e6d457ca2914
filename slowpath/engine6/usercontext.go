package engine6

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// SetUserContext gives *granted, one of r.Leases, another user context and stores
// it once more: the reply waits for that, too. lease.ErrConflict: the lease is no
// longer what this worker has stored.
func (w *Worker) SetUserContext(r *Reply6, granted *lease6.Lease6, context string) error {
	if r.Offer {
		return nil
	}
	l := &w.next
	if !w.t.Get(granted.Addr, l) || l.Version != granted.Version || l.State != lease.StateDefault {
		return lease.ErrConflict
	}
	l.UserContext = context
	c, err := w.t.Put(l, granted.Version, w.j)
	if err != nil {
		return err
	}
	granted.UserContext, granted.Version = context, l.Version
	r.CommitPos = max(r.CommitPos, c.Pos)
	return nil
}
