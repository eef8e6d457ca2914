package hostname

import (
	"errors"
	"fmt"
	"slices"
)

// automaton is deterministic: from a state each octet leads to one other.
type automaton struct {
	class [256]uint8 // octets that no set tells apart are of one class
	width int        // classes
	// next has the states by state and class; state 0 leads nowhere.
	next []uint16
	// accept: a match may end here. acceptEnd: it may where the name ends.
	accept, acceptEnd []bool
	// begin is the state at the beginning of a name, later behind it.
	begin, later uint16
}

// find returns the leftmost longest match at or behind at. After an empty match
// there only one that is not empty counts at that place.
func (a *automaton) find(name []byte, at int, wasEmpty bool) (from, to int, ok bool) {
	for from = at; from <= len(name); from++ {
		s := a.later
		if from == 0 {
			s = a.begin
		}
		to = -1
		for i := from; ; i++ {
			if (a.accept[s] || i == len(name) && a.acceptEnd[s]) && !(wasEmpty && i == at) {
				to = i
			}
			if i == len(name) {
				break
			}
			if s = a.next[int(s)*a.width+int(a.class[name[i]])]; s == 0 {
				break
			}
		}
		if to >= 0 {
			return from, to, true
		}
	}
	return 0, 0, false
}

// nfa are states to be told apart: what is expected, and what comes then.
type nfaState struct {
	op    exprOp // exprSet, exprBegin, exprEnd; exprAlt: out or alt; exprEmpty: the end
	set   *[256]bool
	out   int
	other int
}

func newAutomaton(nodes []exprNode, root int) (*automaton, error) {
	errLarge := errors.New("the expression is too complex: it makes too many states")
	states := []nfaState{{op: exprEmpty}}
	var build func(n, then int) int
	full := false
	build = func(n, then int) int {
		if len(states) > maxExprNodes {
			full = true
			return then
		}
		e := &nodes[n]
		switch e.op {
		case exprCat:
			return build(e.left, build(e.right, then))
		case exprAlt:
			l, r := build(e.left, then), build(e.right, then)
			states = append(states, nfaState{op: exprAlt, out: l, other: r})
		case exprStar:
			at := len(states)
			states = append(states, nfaState{op: exprAlt, other: then})
			body := build(e.left, at)
			states[at].out = body
			return at
		case exprEmpty:
			return then
		default:
			states = append(states, nfaState{op: e.op, set: &e.set, out: then})
		}
		return len(states) - 1
	}
	start := build(root, 0)
	if full {
		return nil, errLarge
	}
	a := &automaton{}
	a.classes(states)

	// reach adds what is reached without an octet.
	steps := 0
	var reach func(in map[int]bool, s int, begin, end bool)
	reach = func(in map[int]bool, s int, begin, end bool) {
		if steps++; in[s] {
			return
		}
		in[s] = true
		switch x := &states[s]; {
		case x.op == exprAlt:
			reach(in, x.out, begin, end)
			reach(in, x.other, begin, end)
		case x.op == exprBegin && begin, x.op == exprEnd && end:
			reach(in, x.out, begin, end)
		}
	}
	index := map[string]uint16{"": 0}
	var sets [][]int
	a.next = make([]uint16, a.width)
	a.accept, a.acceptEnd, sets = []bool{false}, []bool{false}, [][]int{nil}
	intern := func(in map[int]bool, begin bool) (uint16, bool) {
		l := make([]int, 0, len(in))
		for s := range in {
			if op := states[s].op; op == exprSet || op == exprEmpty || op == exprEnd {
				l = append(l, s)
			}
		}
		slices.Sort(l)
		key := fmt.Sprint(begin, l)
		if len(l) == 0 {
			key = ""
		}
		if i, ok := index[key]; ok {
			return i, true
		}
		if len(sets) > maxAutomatStates || steps > maxAutomatSteps {
			return 0, false
		}
		i := uint16(len(sets))
		index[key] = i
		end := map[int]bool{}
		for _, s := range l {
			if states[s].op == exprEnd {
				reach(end, states[s].out, begin, true)
			}
		}
		sets = append(sets, l)
		a.accept, a.acceptEnd = append(a.accept, in[0]), append(a.acceptEnd, in[0] || end[0])
		a.next = append(a.next, make([]uint16, a.width)...)
		return i, true
	}
	for _, begin := range []bool{true, false} {
		in := map[int]bool{}
		reach(in, start, begin, false)
		i, ok := intern(in, begin)
		if !ok {
			return nil, errLarge
		}
		if begin {
			a.begin = i
		} else {
			a.later = i
		}
	}
	var of [256]byte // an octet of each class
	for c := 255; c >= 0; c-- {
		of[a.class[c]] = byte(c)
	}
	for done := 1; done < len(sets); done++ {
		for c := range a.width {
			in := map[int]bool{}
			steps += len(sets[done])
			for _, s := range sets[done] {
				if x := &states[s]; x.op == exprSet && x.set[of[c]] {
					reach(in, x.out, false, false)
				}
			}
			i, ok := intern(in, false)
			if !ok || steps > maxAutomatSteps {
				return nil, errLarge
			}
			a.next[done*a.width+c] = i
		}
	}
	return a, nil
}

// classes tells octets apart by the sets they are in.
func (a *automaton) classes(states []nfaState) {
	seen := map[*[256]bool]bool{}
	keys := make([][]byte, 256)
	for i := range states {
		s := states[i].set
		if states[i].op != exprSet || seen[s] {
			continue
		}
		seen[s] = true
		for c := range keys {
			bit := byte(0)
			if s[c] {
				bit = 1
			}
			keys[c] = append(keys[c], bit)
		}
	}
	index := map[string]uint8{}
	for c, k := range keys {
		i, ok := index[string(k)]
		if !ok {
			i = uint8(len(index))
			index[string(k)] = i
		}
		a.class[c] = i
	}
	a.width = len(index)
}
