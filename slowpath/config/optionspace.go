package config

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// maxSubOption is how much of a sub-option stands in one piece: what is longer is
// split so that each piece fits an option of its own (RFC 3396).
const maxSubOption = 255 - 2 - 2

// maxEncapsulation is how deep options may be put into options; checkEncapsulation
// refuses circles, so this ends nothing but absurd depths.
const maxEncapsulation = 16

// subOption is an option inside another.
type subOption struct {
	code uint16
	data []byte
}

// encapsulate returns the value of e with the sub-options that its definition
// says follow its fields: those its data gives in hexadecimal and, of codes that
// are not among them, those of its scope's option-data.
func (d *decoder) encapsulate(e *entry, list []entry, depth int) ([]byte, error) {
	if e.def == nil || e.def.Encapsulates == "" || e.never && e.node.Get("data") == nil {
		return e.data, nil // the latter is nothing but the mark
	}
	if depth > maxEncapsulation {
		return nil, fmt.Errorf("options are encapsulated more than %d deep", maxEncapsulation)
	}
	space := e.def.Encapsulates
	fields, rest := e.data, []byte(nil)
	if n, err := e.def.FieldsLen(e.data); err == nil {
		fields, rest = e.data[:n:n], e.data[n:]
	}
	// In option 43 codes 0 and 255 are pad and end where nothing else defines them.
	is43 := e.space == optiondef.SpaceDHCP4 && e.code == 43
	var subs []subOption
	if e.def.V6 {
		subs = splitSubOptions6(rest)
	} else {
		subs = splitSubOptions(rest, is43 && optiondef.Find(d.fam.options, d.own, d.defs, space, 0, "") == nil, is43 && optiondef.Find(d.fam.options, d.own, d.defs, space, 255, "") == nil)
	}
	given := len(subs)
	for i, s := range subs {
		if def := optiondef.Find(d.fam.options, d.own, d.defs, space, int(s.code), ""); def != nil {
			b, err := def.Trim(s.data)
			if err != nil {
				return nil, fmt.Errorf("sub-option %s: %w", def, err)
			}
			subs[i].data = b
		}
	}
	if space != d.fam.options.Top {
		for i := range list {
			s := &list[i]
			if s.space != space || s == e || space != optiondef.SpaceNTP6 && slices.ContainsFunc(subs, func(x subOption) bool { return x.code == s.code }) {
				continue
			}
			b, err := d.encapsulate(s, list, depth+1)
			if err != nil {
				return nil, err
			}
			subs = append(subs, subOption{s.code, b})
		}
	}
	if given == len(subs) && given == 0 {
		return e.data, nil
	}
	out := slices.Clone(fields)
	if e.def.V6 {
		return appendSubOptions6(out, subs), nil
	}
	slices.SortStableFunc(subs, func(a, b subOption) int { return cmp.Compare(subOrder(a.code), subOrder(b.code)) })
	for _, s := range subs {
		out = appendSubOption(out, s)
	}
	return out, nil
}

// subOrder sorts by code, but for 82 and 255, which Kea writes last.
func subOrder(code uint16) int {
	switch code {
	case 82:
		return 256
	case 255:
		return 257
	}
	return int(code)
}

func appendSubOption(b []byte, s subOption) []byte {
	d := s.data
	for len(d) > maxSubOption {
		b = append(b, byte(s.code), maxSubOption)
		b = append(b, d[:maxSubOption]...)
		d = d[maxSubOption:]
	}
	b = append(b, byte(s.code), byte(len(d)))
	return append(b, d...)
}

// splitSubOptions reads the sub-options in hexadecimal data; pieces of one code
// are put together, and what is cut short ends the list, as in Kea. pad and end
// say that codes 0 and 255 are those.
func splitSubOptions(b []byte, pad, end bool) []subOption {
	var out []subOption
	for len(b) > 0 {
		switch {
		case pad && b[0] == 0:
			b = b[1:]
			continue
		case end && b[0] == 255, len(b) < 2, len(b) < 2+int(b[1]):
			return out
		}
		n := 2 + int(b[1])
		if i := slices.IndexFunc(out, func(s subOption) bool { return s.code == uint16(b[0]) }); i >= 0 {
			out[i].data = append(out[i].data, b[2:n]...)
		} else {
			out = append(out, subOption{uint16(b[0]), slices.Clone(b[2:n])})
		}
		b = b[n:]
	}
	return out
}
