package engine6

import (
	"encoding/binary"
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

// scope is the option-data of one place of the configuration, class tags turned
// into numbers.
type scope struct {
	list    []scopeOption // ascending by code
	never   []uint16
	always  bool          // list has what is always sent
	vendors []vendorScope // ascending by enterprise
}

type vendorScope struct {
	enterprise uint32
	list       []scopeOption // ascending by code
	never      []uint16
}

type scopeOption struct {
	code   uint16
	always bool
	data   []byte
	guard  []uint32 // class tags
}

// newScope compiles option-data, nil if there is none.
func (r *rules) newScope(o *config.Options6) *scope {
	if o.Empty() {
		return nil
	}
	s := &scope{}
	s.list, s.never = r.newList(o.List)
	for i := range s.list {
		s.always = s.always || s.list[i].always
	}
	for i := range o.Vendors {
		v := &o.Vendors[i]
		list, never := r.newList(v.List)
		s.vendors = append(s.vendors, vendorScope{v.EnterpriseID, list, never})
	}
	return s
}

func (r *rules) newList(l []config.Option6) (list []scopeOption, never []uint16) {
	for i := range l {
		o := &l[i]
		list = append(list, scopeOption{o.Code, o.Always, o.Data, r.classes.Numbers(o.ClientClasses)})
		if o.Never {
			never = append(never, o.Code)
		}
	}
	return list, never
}

const maxScopes = 4 + maxAllocated + MaxQueryClasses + 1

// maxVendors is for how many vendors one reply has options 17.
const maxVendors = 8

// maxVendorOptions is how many sub-options one of them has.
const maxVendorOptions = 32

// optionScratch is what finding options needs.
type optionScratch struct {
	scopes  [maxScopes]*scope
	nScopes int

	vendors [maxVendors]vendorReply
	nVendor int
	sub     [maxVendorOptions]*scopeOption
}

type vendorReply struct {
	enterprise uint32
	inReply    bool // an option 17 was asked for and is configured
}

// collect puts together the scopes that options come from, first the one that
// wins: host, pools of the leases, subnet, shared network, classes in order of
// assignment, global (V6-061).
func (w *Worker) collect(q *Query6) {
	o := &w.opts
	o.nScopes = 0
	add := func(s *scope) {
		if s != nil && o.nScopes < len(o.scopes) {
			o.scopes[o.nScopes] = s
			o.nScopes++
		}
	}
	if h := q.currentHost(); h != nil {
		add(q.cfg.hosts[h])
	}
	if s := q.rules; s != nil {
		for i := range q.allocated[:q.nAllocated] {
			if p := s.poolOf(q.allocated[i].typ, q.allocated[i].addr); p != nil {
				add(p.scope)
			}
		}
		add(s.scope)
		if s.network != nil {
			add(s.network.scope)
		}
	}
	for _, n := range q.Classes.Order() {
		if n < uint32(len(q.cfg.byClass)) && q.cfg.byClass[n] != nil {
			add(q.cfg.byClass[n].scope)
		}
	}
	add(q.cfg.global)
}

// requested is what a client asks for: codes below 256 in a bitmap, others
// looked up in its option request option.
type requested struct {
	low [4]uint64
	oro []byte
}

func newRequested(oro []byte) (q requested) {
	q.oro = oro
	for i := 0; i+2 <= len(oro); i += 2 {
		if c := binary.BigEndian.Uint16(oro[i:]); c < 256 {
			q.low[c>>6] |= 1 << (c & 63)
		}
	}
	return q
}

func (q *requested) has(c uint16) bool {
	if c < 256 {
		return q.low[c>>6]&(1<<(c&63)) != 0
	}
	for i := 0; i+2 <= len(q.oro); i += 2 {
		if binary.BigEndian.Uint16(q.oro[i:]) == c {
			return true
		}
	}
	return false
}

// setOptions adds what the client asks for and what is always sent, but for
// what is never sent; each from the first scope that has it for the client's
// classes (V6-060).
func (w *Worker) setOptions(q *Query6, r *Reply6) {
	o := &w.opts
	scopes := o.scopes[:o.nScopes]
	want := newRequested(r.ORO)
	o.nVendor = 0
	for _, s := range scopes {
		for i := range s.list {
			e := &s.list[i]
			if r.Has(e.code) && e.code != dhcp6.OptVendorClass && e.code != dhcp6.OptVendorOpts ||
				!want.has(e.code) && !always(scopes, e.code) || never(scopes, e.code) ||
				!q.Classes.InAny(e.guard) {
				continue
			}
			switch e.code {
			case dhcp6.OptVendorOpts:
				if len(e.data) >= 4 {
					o.vendor(binary.BigEndian.Uint32(e.data), true)
				}
			case dhcp6.OptVendorClass:
				addVendorClass(r, e)
			default:
				if !r.Add(e.code, e.data) {
					r.LeftOut++
				}
			}
		}
	}
	w.setVendorOptions(q, r, scopes)
}

// always and never report whether any scope says so of the code, whatever
// classes its entry is for, as in Kea.
func always(scopes []*scope, code uint16) bool {
	for _, s := range scopes {
		if !s.always {
			continue
		}
		i, ok := slices.BinarySearchFunc(s.list, code, byCode)
		for ; ok && i < len(s.list) && s.list[i].code == code; i++ {
			if s.list[i].always {
				return true
			}
		}
	}
	return false
}

func byCode(o scopeOption, code uint16) int { return int(o.code) - int(code) }

func never(scopes []*scope, code uint16) bool {
	for _, s := range scopes {
		if len(s.never) > 0 && slices.Contains(s.never, code) {
			return true
		}
	}
	return false
}

// addVendorClass adds an option 16 if there is none of its vendor yet.
func addVendorClass(r *Reply6, e *scopeOption) {
	if len(e.data) < 4 {
		return
	}
	for i := range r.Len() {
		if code, b := r.At(i); code == dhcp6.OptVendorClass && len(b) >= 4 && [4]byte(b) == [4]byte(e.data) {
			return
		}
	}
	if !r.Add(e.code, e.data) {
		r.LeftOut++
	}
}

// vendor notes that options of a vendor may be sent.
func (o *optionScratch) vendor(enterprise uint32, inReply bool) {
	for i := range o.vendors[:o.nVendor] {
		if v := &o.vendors[i]; v.enterprise == enterprise {
			v.inReply = v.inReply || inReply
			return
		}
	}
	if o.nVendor < len(o.vendors) {
		o.vendors[o.nVendor] = vendorReply{enterprise, inReply}
		o.nVendor++
	}
}

// setVendorOptions makes the options 17: for vendors that the client names in
// options 16 and 17 or whose option is sent anyway, with what is always sent and
// what a DOCSIS client asks for (V6-063).
func (w *Worker) setVendorOptions(q *Query6, r *Reply6, scopes []*scope) {
	o := &w.opts
	v := q.Msg
	var docsisORO []byte
	if v.Has(dhcp6.OptVendorOpts) || v.Has(dhcp6.OptVendorClass) {
		for i := range v.Len() {
			code, b := v.At(i)
			if code != dhcp6.OptVendorOpts && code != dhcp6.OptVendorClass {
				continue
			}
			o.vendor(binary.BigEndian.Uint32(b), false)
			if code == dhcp6.OptVendorOpts && docsisORO == nil {
				docsisORO = docsis(b, dhcp6.DOCSISORO)
			}
		}
	}
	// Grown once, so that what it holds of other vendors does not move.
	for i := range o.vendors[:o.nVendor] {
		x := &o.vendors[i]
		var oro []byte
		if x.enterprise == dhcp6.VendorCableLabs {
			oro = docsisORO
		}
		n := 0
		if q.Subnet != nil {
			n = w.findVendorOptions(q, scopes, x.enterprise, oro)
		}
		if n == 0 && !x.inReply {
			continue
		}
		at := len(r.vendor)
		r.vendor = binary.BigEndian.AppendUint32(r.vendor, x.enterprise)
		for _, e := range o.sub[:n] {
			r.vendor = binary.BigEndian.AppendUint16(r.vendor, e.code)
			r.vendor = binary.BigEndian.AppendUint16(r.vendor, uint16(len(e.data)))
			r.vendor = append(r.vendor, e.data...)
		}
		end := len(r.vendor)
		if !r.Add(dhcp6.OptVendorOpts, r.vendor[at:end:end]) {
			r.LeftOut++
		}
	}
}

// findVendorOptions puts a vendor's sub-options into w.opts.sub by ascending
// code and returns how many.
func (w *Worker) findVendorOptions(q *Query6, scopes []*scope, enterprise uint32, oro []byte) int {
	o := &w.opts
	want := newRequested(oro)
	n := 0
	for _, s := range scopes {
		v := s.ofVendor(enterprise)
		if v == nil {
			continue
		}
		for i := range v.list {
			e := &v.list[i]
			if n == len(o.sub) {
				return n
			}
			if !want.has(e.code) && !alwaysOfVendor(scopes, enterprise, e.code) ||
				neverOfVendor(scopes, enterprise, e.code) || !q.Classes.InAny(e.guard) {
				continue
			}
			at := 0
			for at < n && o.sub[at].code < e.code {
				at++
			}
			if at < n && o.sub[at].code == e.code {
				continue
			}
			copy(o.sub[at+1:n+1], o.sub[at:n])
			o.sub[at] = e
			n++
		}
	}
	return n
}

func (s *scope) ofVendor(enterprise uint32) *vendorScope {
	for i := range s.vendors {
		if s.vendors[i].enterprise == enterprise {
			return &s.vendors[i]
		}
	}
	return nil
}

func alwaysOfVendor(scopes []*scope, enterprise uint32, code uint16) bool {
	for _, s := range scopes {
		if v := s.ofVendor(enterprise); v != nil {
			for i := range v.list {
				if v.list[i].code == code && v.list[i].always {
					return true
				}
			}
		}
	}
	return false
}

func neverOfVendor(scopes []*scope, enterprise uint32, code uint16) bool {
	for _, s := range scopes {
		if v := s.ofVendor(enterprise); v != nil && slices.Contains(v.never, code) {
			return true
		}
	}
	return false
}
