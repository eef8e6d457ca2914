package engine

import (
	"encoding/binary"
	"math/bits"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// What a client gets of the configuration's options depends on the scopes that
// count for it and on what it asks for. Clients of one kind ask for the same
// things, so each worker keeps the choice for the combinations that it met last.

const (
	planSlots  = 128 // a power of two
	planScopes = 8
	planPRL    = 48
	// planOptions is as many as a reply holds, and some that it has already.
	planOptions = dhcp4.MaxReplyOptions + 8
)

// plan is the choice of options for scopes and a parameter request list. It is
// good for any query if no entry that was looked at is for some classes only.
type plan struct {
	scopes  [planScopes]*config.Options
	prl     [planPRL]byte
	nScopes uint8 // 0: an unused slot
	nPRL    uint8
	inform  bool
	// direct: the choice cannot be kept.
	direct bool
	// vendors: some scope has options of vendors, which are put together for each
	// query.
	vendors bool
	nBasic  uint8 // the first of list
	n       uint8
	more    uint8 // entries beyond list
	list    [planOptions]*config.Option
	// wanted and never are what setVendorOptions needs.
	wanted, never optiondef.CodeSet
}

type plans struct {
	cfg   *Config
	slots []plan // made when first used
	own   plan   // of what cannot be kept
}

// planOf returns the choice for the query. It is valid until the worker's next
// query.
func (w *Worker) planOf(q *Query4, r *Reply4, scopes []*config.Options) *plan {
	c := &w.plans
	if c.cfg != q.cfg {
		if c.slots == nil {
			c.slots = make([]plan, planSlots)
		}
		clear(c.slots) // they would keep the scopes of another configuration alive
		c.cfg = q.cfg
	}
	inform := r.Type == dhcp4.MsgAck && q.Msg.Type() == dhcp4.MsgInform
	if q.Subnet == nil || len(scopes) == 0 || len(scopes) > planScopes || len(r.PRL) > planPRL {
		c.own.make(q, r.PRL, scopes, inform)
		return &c.own
	}
	p := &c.slots[planHash(q.Subnet, scopes, r.PRL)&(planSlots-1)]
	if !p.is(scopes, r.PRL, inform) {
		p.make(q, r.PRL, scopes, inform)
		clear(p.scopes[copy(p.scopes[:], scopes):])
		copy(p.prl[:], r.PRL)
		p.nScopes, p.nPRL, p.inform = uint8(len(scopes)), uint8(len(r.PRL)), inform
		return p
	}
	if p.direct {
		c.own.make(q, r.PRL, scopes, inform)
		return &c.own
	}
	return p
}

func (p *plan) is(scopes []*config.Options, prl []byte, inform bool) bool {
	if int(p.nScopes) != len(scopes) || p.inform != inform || string(p.prl[:p.nPRL]) != string(prl) {
		return false
	}
	for i, o := range scopes {
		if p.scopes[i] != o {
			return false
		}
	}
	return true
}

// planHash need not be strong: what collides is made anew.
func planHash(s *config.Subnet4, scopes []*config.Options, prl []byte) uint64 {
	const k = 0x9e3779b97f4a7c15
	h := uint64(len(prl))
	if !s.Options.Empty() {
		h += uint64(s.Index+1) << 8
	}
	for _, o := range scopes {
		h = (h ^ o.Codes[0]) * k
	}
	for ; len(prl) >= 8; prl = prl[8:] {
		h = (h>>7 ^ h ^ binary.LittleEndian.Uint64(prl)) * k
	}
	for _, b := range prl {
		h = (h>>7 ^ h ^ uint64(b)) * k
	}
	return h >> 40
}

// make chooses: what the client asks for and what is always sent, but for what is
// never sent; each from the first scope that has it (V4-094).
func (p *plan) make(q *Query4, prl []byte, scopes []*config.Options, inform bool) {
	p.direct, p.vendors, p.n, p.more = false, false, 0, 0
	// The basic ones first, that they find room. As in Kea, never-send does not
	// keep them away, save where the entry is nothing but that mark.
	basic := uint64(basicOptions)
	for _, o := range scopes {
		for m := basic & o.Codes[0]; m != 0; m &= m - 1 {
			if e := p.pick(q, o, uint8(bits.TrailingZeros64(m))); e != nil {
				basic &^= m & -m
				if len(e.Data) > 0 || !e.Never {
					p.add(e)
				}
			}
		}
	}
	p.nBasic = p.n
	var wanted, done optiondef.CodeSet
	for _, code := range prl {
		wanted.Add(code)
	}
	for _, o := range scopes {
		wanted.Union(&o.Always)
		done.Union(&o.Never)
		p.vendors = p.vendors || len(o.Vendors) > 0 || o.Codes.Has(dhcp4.OptVIVendorClass) || o.Codes.Has(dhcp4.OptVIVendorSpecificInformation)
	}
	p.wanted, p.never = wanted, done
	done.Add(dhcp4.OptMessageType)
	done.Add(dhcp4.OptOverload)
	done.Add(dhcp4.OptRelayAgentInformation)
	done.Add(dhcp4.OptVIVendorClass)
	done.Add(dhcp4.OptVIVendorSpecificInformation)
	if inform {
		// RFC 2131 §4.3.5: no lease times.
		done.Add(dhcp4.OptIPAddressLeaseTime)
		done.Add(dhcp4.OptRenewalTime)
		done.Add(dhcp4.OptRebindingTime)
	}
	for _, o := range scopes {
		for word := range wanted {
			for m := wanted[word] & o.Codes[word] &^ done[word]; m != 0; m &= m - 1 {
				code := uint8(word<<6 + bits.TrailingZeros64(m))
				if e := p.pick(q, o, code); e != nil {
					done.Add(code)
					p.add(e)
				}
			}
		}
	}
}

// add adds an entry. What is beyond the list cannot be in a reply either.
func (p *plan) add(e *config.Option) {
	if int(p.n) < len(p.list) {
		p.list[p.n] = e
		p.n++
		return
	}
	p.more++
}

// pick is Query4.pick of what the scope has of a code.
func (p *plan) pick(q *Query4, o *config.Options, code uint8) *config.Option {
	l := o.Find(code)
	p.direct = p.direct || len(l) > 1 || len(l[0].Classes) > 0
	return q.pick(l)
}
