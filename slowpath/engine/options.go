package engine

import (
	"math/bits"

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
	for _, c := range q.Classes.order {
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

// setOptions adds what the client asks for and what is always sent, but for
// what is never sent; each from the first scope that has it (V4-094).
func (w *Worker) setOptions(q *Query4, r *Reply4, scopes []*config.Options) {
	// The basic ones first, that they find room. As in Kea, never-send does not
	// keep them away, save where the entry is nothing but that mark.
	basic := uint64(basicOptions)
	for _, o := range scopes {
		for m := basic & o.Codes[0]; m != 0; m &= m - 1 {
			if e := q.pick(o.Find(uint8(bits.TrailingZeros64(m)))); e != nil {
				basic &^= m & -m
				if len(e.Data) > 0 || !e.Never {
					setOption(r, e)
				}
			}
		}
	}
	if !r.Has(dhcp4.OptServerIdentifier) {
		r.SetIP(dhcp4.OptServerIdentifier, r.ServerID)
	}
	var wanted, done config.CodeSet
	for _, code := range r.PRL {
		wanted.Add(code)
	}
	vendors := false
	for _, o := range scopes {
		wanted.Union(&o.Always)
		done.Union(&o.Never)
		vendors = vendors || len(o.Vendors) > 0 || o.Codes.Has(dhcp4.OptVIVendorClass) || o.Codes.Has(dhcp4.OptVIVendorSpecificInformation)
	}
	if vendors {
		w.setVendorOptions(q, r, scopes, &wanted, &done)
	}
	done.Add(dhcp4.OptMessageType)
	done.Add(dhcp4.OptOverload)
	done.Add(dhcp4.OptRelayAgentInformation)
	done.Add(dhcp4.OptVIVendorClass)
	done.Add(dhcp4.OptVIVendorSpecificInformation)
	if r.Type == dhcp4.MsgAck && q.Msg.Type() == dhcp4.MsgInform {
		// RFC 2131 §4.3.5: no lease times.
		done.Add(dhcp4.OptIPAddressLeaseTime)
		done.Add(dhcp4.OptRenewalTime)
		done.Add(dhcp4.OptRebindingTime)
	}
	for _, o := range scopes {
		for word := range wanted {
			for m := wanted[word] & o.Codes[word] &^ done[word]; m != 0; m &= m - 1 {
				code := uint8(word<<6 + bits.TrailingZeros64(m))
				if e := q.pick(o.Find(code)); e != nil {
					done.Add(code)
					if !r.Has(code) {
						setOption(r, e)
					}
				}
			}
		}
	}
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
