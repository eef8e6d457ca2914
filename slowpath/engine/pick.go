package engine

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/alloc"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// pick claims an address of the pools that the client may use, the best kind
// that any of them has.
func (w *Worker) pick(q *Query4) (dhcp4.IPv4, Reason) {
	s, set := q.Subnet, q.cfg.Alloc
	var best dhcp4.IPv4
	kind := alloc.None
	pools := 0
	for p := range s.Pools {
		if !q.Classes.hasAny(q.rules.pools[p]) {
			continue
		}
		pools++
		a, k := set.Pick(s, p)
		if k == alloc.None {
			continue
		}
		if kind != alloc.None && k >= kind { // not better
			set.Unclaim(s, a)
			continue
		}
		if kind != alloc.None {
			set.Unclaim(s, best)
		}
		best, kind = a, k
		if kind == alloc.Free {
			break
		}
	}
	switch {
	case kind != alloc.None:
		return best, ReasonOK
	case pools == 0:
		return 0, ReasonNoPools
	}
	return 0, ReasonPoolExhausted
}
