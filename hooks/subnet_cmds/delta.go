package subnet_cmds

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// decode reads a map; numbers stay as they are written.
func decode(raw json.RawMessage) (m map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return m, d.Decode(&m)
}

// nameOptions gives the options of a subnet or pool both name and code, and their
// space, as full, which is the same with everything filled in and perhaps in
// another order, has them: a delta may use either.
func nameOptions(m, full map[string]any, space string) {
	pairs(m, full, "option-data", space, func(o, of map[string]any) {
		for _, k := range []string{"code", "name", "space"} {
			if v, has := of[k]; has {
				o[k] = v
			}
		}
	})
	for _, key := range []string{"pools", "pd-pools"} {
		pairs(m, full, key, space, func(p, pf map[string]any) { nameOptions(p, pf, space) })
	}
}

// pairs calls f with each element of a list of m and the same one of full.
func pairs(m, full map[string]any, list, space string, f func(x, y map[string]any)) {
	e := elements[list]
	of, _ := full[list].([]any)
	l, _ := m[list].([]any)
	for _, x := range l {
		xm, ok := x.(map[string]any)
		if !ok {
			continue
		}
		if i := e.index(of, xm, space); i >= 0 {
			f(xm, of[i].(map[string]any))
		}
	}
}

// element says how the elements of a list are told apart in a delta.
type element struct {
	same func(a, b map[string]any, space string) bool
	keys []string // name the element; the rest is its content
}

// elements are the lists whose elements a delta changes one by one; other lists
// are replaced, or have the given values taken out.
var elements = map[string]element{
	"pools":       {samePool, []string{"pool"}},
	"pd-pools":    {samePDPool, []string{"prefix", "prefix-len", "delegated-len"}},
	"option-data": {sameOption, []string{"space", "code", "name"}},
}

// samePool compares pools however their ends are written: "192.0.2.0/24" is
// "192.0.2.0 - 192.0.2.255".
func samePool(a, b map[string]any, _ string) bool {
	x, xok := ends(fmt.Sprint(a["pool"]))
	y, yok := ends(fmt.Sprint(b["pool"]))
	return xok && yok && x == y
}

// ends are the first and last address of a pool's text.
func ends(text string) (e [2]netip.Addr, ok bool) {
	if first, last, found := strings.Cut(text, "-"); found {
		a, err := netip.ParseAddr(strings.TrimSpace(first))
		b, err2 := netip.ParseAddr(strings.TrimSpace(last))
		return [2]netip.Addr{a, b}, err == nil && err2 == nil
	}
	p, err := netip.ParsePrefix(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return e, false
	}
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return [2]netip.Addr{p.Masked().Addr(), last}, true
}

func samePDPool(a, b map[string]any, _ string) bool {
	prefix := func(m map[string]any) any {
		if p, err := netip.ParseAddr(fmt.Sprint(m["prefix"])); err == nil {
			return p
		}
		return m["prefix"]
	}
	return prefix(a) == prefix(b) && fmt.Sprint(a["prefix-len"], a["delegated-len"]) == fmt.Sprint(b["prefix-len"], b["delegated-len"])
}

func sameOption(a, b map[string]any, space string) bool {
	in := func(m map[string]any) any {
		if s, ok := m["space"]; ok {
			return s
		}
		return space
	}
	if in(a) != in(b) {
		return false
	}
	for _, k := range []string{"code", "name"} {
		x, hasX := a[k]
		y, hasY := b[k]
		if hasX && hasY {
			return fmt.Sprint(x) == fmt.Sprint(y)
		}
	}
	return false
}

// mergeAdd puts what is given into old: values replace, elements are added or
// changed.
func mergeAdd(old, given map[string]any, space string) {
	for k, v := range given {
		switch v := v.(type) {
		case map[string]any:
			if o, ok := old[k].(map[string]any); ok && k != "user-context" {
				mergeAdd(o, v, space)
				continue
			}
		case []any:
			e, known := elements[k]
			o, isList := old[k].([]any)
			if known && isList {
				old[k] = addElements(o, v, e, space)
				continue
			}
		}
		old[k] = v
	}
}

func addElements(old, given []any, e element, space string) []any {
	had := len(old)
	for _, g := range given {
		gm, _ := g.(map[string]any)
		i := e.index(old[:had], gm, space)
		if i < 0 {
			old = append(old, g)
			continue
		}
		mergeAdd(old[i].(map[string]any), gm, space)
	}
	return old
}

// index is the place of the element that given names, -1 if there is none.
func (e *element) index(l []any, given map[string]any, space string) int {
	return slices.IndexFunc(l, func(x any) bool {
		m, ok := x.(map[string]any)
		return ok && given != nil && e.same(m, given, space)
	})
}

// identity are the keys of a subnet that a delta does not take away.
var identity = []string{"id", "subnet"}

// mergeDel takes away what is given: a value whatever it is, an element that is
// only named as a whole, of others what is given.
func mergeDel(old, given map[string]any, space string) { remove(old, given, identity, space) }

func remove(old, given map[string]any, keys []string, space string) {
	for k, v := range given {
		if slices.Contains(keys, k) {
			continue
		}
		switch v := v.(type) {
		case map[string]any:
			if o, ok := old[k].(map[string]any); ok {
				remove(o, v, nil, space)
				if len(o) > 0 {
					continue
				}
			}
		case []any:
			if o, ok := old[k].([]any); ok {
				old[k] = removeElements(o, v, k, space)
				continue
			}
		}
		delete(old, k)
	}
}

func removeElements(old, given []any, list, space string) []any {
	e, known := elements[list]
	for _, g := range given {
		if !known {
			old = slices.DeleteFunc(old, func(x any) bool { return reflect.DeepEqual(x, g) })
			continue
		}
		gm, _ := g.(map[string]any)
		i := e.index(old, gm, space)
		if i < 0 {
			continue
		}
		if e.onlyNamed(gm) {
			old = slices.Delete(old, i, i+1)
			continue
		}
		m := old[i].(map[string]any)
		remove(m, gm, e.keys, space)
	}
	return old
}

// onlyNamed says whether an element has nothing but its keys.
func (e *element) onlyNamed(m map[string]any) bool {
	for k := range m {
		if !slices.Contains(e.keys, k) {
			return false
		}
	}
	return true
}
