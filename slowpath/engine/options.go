package engine

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// collect returns the scopes that options come from, first the one that wins:
// host, pool, subnet, classes in order of assignment, global (V4-093, WR-10,
// WR-11). It is valid until the worker's next call.
func (w *Worker) collect(q *Query4, r *Reply4) []*config.Options {
	l := w.scopes[:0]
	add := func(o *config.Options) {
		if !o.Empty() {
			l = append(l, o)
		}
	}
	if h := q.Host; h != nil && h.Options != nil {
		add(h.Options)
	}
	s := q.Subnet
	if s == nil { // as in Kea, not even the global ones
		return l
	}
	if r.YIAddr != 0 {
		if p := poolOf(s, r.YIAddr); p >= 0 {
			add(&s.Pools[p].Options)
		}
	}
	add(&s.Options)
	if s.Network != nil {
		add(&s.Network.Options)
	}
	for _, c := range q.Classes.Order() {
		if c < uint32(len(q.cfg.classes.options)) {
			if o := q.cfg.classes.options[c]; o != nil {
				l = append(l, o)
			}
		}
	}
	add(&q.cfg.Snapshot.Dhcp4.Options)
	w.scopes = l
	return l
}

// pick returns the entry of one code that counts for the query: the first whose
// classes it is in, nil if there is none (V4-095).
func (q *Query4) pick(l []config.Option) *config.Option {
	for i := range l {
		if q.mayHave(&l[i]) {
			return &l[i]
		}
	}
	return nil
}

func (q *Query4) mayHave(e *config.Option) bool {
	if len(e.Classes) == 0 {
		return true
	}
	for _, c := range e.Classes {
		if q.Classes.Has(c) {
			return true
		}
	}
	return false
}

// basicOptions are sent whenever they are configured (WR-09); all below 64.
const basicOptions = 1<<dhcp4.OptServerIdentifier | 1<<dhcp4.OptRouter | 1<<dhcp4.OptDomainNameServer | 1<<dhcp4.OptDomainName

// setOptions adds what the configuration has for the client.
func (w *Worker) setOptions(q *Query4, r *Reply4, scopes []*config.Options) {
	p := w.planOf(q, r, scopes)
	for _, e := range p.list[:p.nBasic] {
		setOption(r, e)
	}
	if !r.Has(dhcp4.OptServerIdentifier) {
		r.SetIP(dhcp4.OptServerIdentifier, r.ServerID)
	}
	if p.vendors {
		w.setVendorOptions(q, r, scopes, &p.wanted, &p.never)
	}
	for _, e := range p.list[p.nBasic:p.n] {
		if !r.Has(e.Code) {
			setOption(r, e)
		}
	}
	r.LeftOut += int(p.more)
}

func setOption(r *Reply4, e *config.Option) {
	ok := false
	if e.SubOptions > 0 {
		ok = r.SetSubOptions(e.Code, e.Data, int(e.SubOptions)-1)
	} else {
		ok = r.Set(e.Code, e.Data)
	}
	if !ok {
		r.LeftOut++
	}
}
