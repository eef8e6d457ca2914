package engine

import "github.com/peregrine-dhcp/peregrine/slowpath/lease"

// OfferLifetimeS is how long what is offered to the client is stored, 0 if it is
// not (offer-lifetime, V4-074).
func (q *Query4) OfferLifetimeS() uint32 { return q.offerLifetime() }

// SetUserContext gives the lease that r grants, or offers for a lifetime, another
// user context and stores it once more: the reply waits for that, too. A lease
// that was answered from the cache is left alone. lease.ErrConflict: the lease is
// no longer what this worker has stored.
func (w *Worker) SetUserContext(r *Reply4, context string) error {
	if !r.HaveLease || r.Reused {
		return nil
	}
	l := &w.next
	if !w.t.Get(r.Lease.Addr, l) || l.Version != r.Lease.Version || l.State != lease.StateDefault {
		return lease.ErrConflict
	}
	l.UserContext = context
	c, err := w.t.Put(l, r.Lease.Version, w.j)
	if err != nil {
		return err
	}
	r.Lease.UserContext, r.Lease.Version = context, l.Version
	r.CommitPos = max(r.CommitPos, c.Pos)
	return nil
}
