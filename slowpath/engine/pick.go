package engine

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/alloc"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// pick claims an address of the pools of the query's subnet that the client may
// use: the next unused one, the pools in turn; with offered one that is only
// offered.
func (w *Worker) pick(q *Query4, offered bool) (dhcp4.IPv4, alloc.Kind, Reason) {
	s, set := q.Subnet, q.cfg.Alloc
	n, pools := len(s.Pools), 0
	turn := set.Turn(s)
	for round := range 2 {
		for i := range n {
			p := turn + i
			if p >= n {
				p -= n
			}
			if !q.Classes.InAny(q.rules.pools[p]) {
				continue
			}
			pools++
			if offered {
				if a, ok := set.PickOffered(s, p); ok {
					return a, alloc.Offered, ReasonOK
				}
			} else if a, kind := set.PickUnused(s, p, round == 1); kind != alloc.None {
				return a, kind, ReasonOK
			}
		}
		if offered || pools == 0 {
			break
		}
	}
	set.Spent(s, offered)
	if pools == 0 {
		return 0, alloc.None, ReasonNoPools
	}
	return 0, alloc.None, ReasonPoolExhausted
}
