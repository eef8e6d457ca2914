package loadgen

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Range is addresses from First to Last, both included.
type Range struct{ First, Last netip.Addr }

// ParsePools reads ranges FIRST-LAST and prefixes ADDRESS/LENGTH with commas
// between them.
func ParsePools(s string) (list []Range, err error) {
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		if p, err := netip.ParsePrefix(part); err == nil {
			list = append(list, prefixRange(p.Masked()))
			continue
		}
		a, b, ok := strings.Cut(part, "-")
		first, err1 := netip.ParseAddr(strings.TrimSpace(a))
		last, err2 := netip.ParseAddr(strings.TrimSpace(b))
		if !ok || err1 != nil || err2 != nil || first.Is4() != last.Is4() || last.Less(first) {
			return nil, fmt.Errorf("read pools: %q is neither FIRST-LAST nor ADDRESS/LENGTH", part)
		}
		list = append(list, Range{first, last})
	}
	return list, nil
}

func prefixRange(p netip.Prefix) Range {
	last := p.Addr().AsSlice()
	for i := p.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	l, _ := netip.AddrFromSlice(last)
	return Range{p.Addr(), l}
}

// pools are ranges in order, joined where they overlap. Without any, all
// addresses are within.
type pools struct {
	four [][2]uint32
	six  [][2][16]byte
}

func newPools(list []Range, v6 bool) (p pools, err error) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Range) int { return a.First.Compare(b.First) })
	for _, r := range list {
		if r.First.Is4() == v6 || r.Last.Is4() == v6 || r.Last.Less(r.First) {
			return p, fmt.Errorf("check options: no pool from %v to %v", r.First, r.Last)
		}
		if v6 {
			x := [2][16]byte{r.First.As16(), r.Last.As16()}
			if n := len(p.six); n > 0 && bytes.Compare(x[0][:], p.six[n-1][1][:]) <= 0 {
				if bytes.Compare(x[1][:], p.six[n-1][1][:]) > 0 {
					p.six[n-1][1] = x[1]
				}
				continue
			}
			p.six = append(p.six, x)
			continue
		}
		x := [2]uint32{number(r.First), number(r.Last)}
		if n := len(p.four); n > 0 && x[0] <= p.four[n-1][1] {
			p.four[n-1][1] = max(p.four[n-1][1], x[1])
			continue
		}
		p.four = append(p.four, x)
	}
	return p, nil
}

// has4 reports whether an address is within.
func (p *pools) has4(a uint32) bool {
	lo, hi := 0, len(p.four)
	if hi == 0 {
		return true
	}
	for lo < hi { // the first range that ends at a or behind it
		if m := (lo + hi) / 2; p.four[m][1] < a {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo < len(p.four) && p.four[lo][0] <= a
}

// has6 is has4 for IPv6.
func (p *pools) has6(a *[16]byte) bool {
	lo, hi := 0, len(p.six)
	if hi == 0 {
		return true
	}
	for lo < hi {
		if m := (lo + hi) / 2; bytes.Compare(p.six[m][1][:], a[:]) < 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo < len(p.six) && bytes.Compare(p.six[lo][0][:], a[:]) <= 0
}
