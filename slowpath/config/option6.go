package config

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

const opt6VendorOpts = 17 // RFC 8415 §21.17

// options6 decodes the option-data of scope n.
func (d *decoder) options6(n *keajson.Node) Options6 {
	list := d.entries(n)
	if len(list) == 0 {
		return Options6{}
	}
	return d.assemble6(list)
}

// assemble6 sorts the entries of a scope into options of the message and of
// vendors, with the sub-options that they encapsulate.
func (d *decoder) assemble6(list []entry) Options6 {
	var out Options6
	byVendor := map[uint32][]*entry{}
	var top []*entry
	for i := range list {
		switch e := &list[i]; {
		case e.enterprise != 0:
			byVendor[e.enterprise] = append(byVendor[e.enterprise], e)
		case e.space == optiondef.SpaceDHCP6:
			top = append(top, e)
		}
	}
	out.List = d.sorted6(top, list)
	for id, l := range byVendor {
		out.Vendors = append(out.Vendors, VendorOptions6{EnterpriseID: id, List: d.sorted6(l, list)})
	}
	slices.SortFunc(out.Vendors, func(a, b VendorOptions6) int { return cmp.Compare(a.EnterpriseID, b.EnterpriseID) })
	return out
}

// sorted6 orders the entries of one space by code, and those of one code as they
// are preferred: those for some classes in the order given, then the one for all
// (V4-095). Of several for all only the first is used, but for options of which a
// message may have one for each vendor.
func (d *decoder) sorted6(l []*entry, list []entry) []Option6 {
	slices.SortStableFunc(l, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.code, b.code), cmp.Compare(b2i(len(a.classes) == 0), b2i(len(b.classes) == 0)))
	})
	out := make([]Option6, 0, len(l))
	for i, e := range l {
		data := d.value(e, list)
		many := e.space == optiondef.SpaceDHCP6 && (e.code == optiondef.VendorClass6 || e.code == opt6VendorOpts)
		if i > 0 && l[i-1].code == e.code && len(l[i-1].classes) == 0 && !many {
			d.warnf(e.node, "option %s is given twice in this option-data: the first is used", e.optionRef)
			continue
		}
		out = append(out, Option6{Code: e.code, Always: e.always, Never: e.never, ClientClasses: e.classes, Data: data})
	}
	return slices.Clip(out)
}

// Find returns the entries of a code in space dhcp6, the most preferred first.
// It allocates nothing.
func (o *Options6) Find(code uint16) []Option6 { return findCode6(o.List, code) }

// Vendor returns the options of an enterprise, nil if there are none.
func (o *Options6) Vendor(enterprise uint32) *VendorOptions6 {
	for i := range o.Vendors {
		if o.Vendors[i].EnterpriseID == enterprise {
			return &o.Vendors[i]
		}
	}
	return nil
}

// Find is Options6.Find in the vendor's space.
func (v *VendorOptions6) Find(code uint16) []Option6 { return findCode6(v.List, code) }

func findCode6(l []Option6, code uint16) []Option6 {
	from, ok := slices.BinarySearchFunc(l, code, func(o Option6, c uint16) int { return cmp.Compare(o.Code, c) })
	if !ok {
		return nil
	}
	to := from + 1
	for to < len(l) && l[to].Code == code {
		to++
	}
	return l[from:to]
}

// splitSubOptions6 reads the options in hexadecimal data; what is cut short ends
// the list.
func splitSubOptions6(b []byte) []subOption {
	var out []subOption
	for len(b) >= 4 {
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < n {
			break
		}
		out = append(out, subOption{binary.BigEndian.Uint16(b), slices.Clone(b[4:n])})
		b = b[n:]
	}
	return out
}

// appendSubOptions6 appends options by ascending code.
func appendSubOptions6(b []byte, subs []subOption) []byte {
	slices.SortStableFunc(subs, func(a, b subOption) int { return cmp.Compare(a.code, b.code) })
	for _, s := range subs {
		b = binary.BigEndian.AppendUint16(b, s.code)
		b = binary.BigEndian.AppendUint16(b, uint16(len(s.data)))
		b = append(b, s.data...)
	}
	return b
}
