package keajson

import (
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a configuration text. Line and Col count from 1; Col
// counts bytes. Line 0 means the file as a whole.
type Position struct {
	File      string
	Line, Col int
}

// String is FILE:LINE:COL, or FILE alone.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Error is one fault of a configuration: where, and what was expected there.
type Error struct {
	Pos Position
	Msg string
	// Element is what the reader of the tree says that it is in: the key of Dhcp4
	// or Dhcp6, "" for none.
	Element string

	src int32 // sort order: index of the source, then offset
	off uint32
}

func (e *Error) Error() string { return e.Pos.String() + ": " + e.Msg }

// Errors is all faults that were found in a text, in its order, up to a limit.
type Errors struct {
	List []*Error
	// Full says that the report reached its limit: there may be more faults.
	Full bool
}

// Error is one line per fault.
func (e *Errors) Error() string {
	var b strings.Builder
	for i, x := range e.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(x.Error())
	}
	if e.Full {
		fmt.Fprintf(&b, "\nthere may be more errors: the report ends after %d", len(e.List))
	}
	return b.String()
}

// defaultMaxErrors bounds a report: a wrong key in 100,000 reservations is one
// mistake, not 100,000 lines.
const defaultMaxErrors = 100

// Report gathers the faults and warnings of one text.
type Report struct {
	max      int
	errs     []*Error
	warns    []*Error
	seenWarn int
}

// NewReport returns a report of at most max faults, 0 means 100.
func NewReport(max int) *Report {
	if max <= 0 {
		max = defaultMaxErrors
	}
	return &Report{max: max}
}

// Error reports a fault of the value of n, a node of t.
func (r *Report) Error(t *Tree, n *Node, format string, args ...any) *Error {
	return r.errorAt(t, n.src, n.off, format, args...)
}

// ErrorKey reports a fault of the key of n.
func (r *Report) ErrorKey(t *Tree, n *Node, format string, args ...any) *Error {
	return r.errorAt(t, n.keySrc, n.keyOff, format, args...)
}

// ErrorInString reports a fault of the i-th octet of a string.
func (r *Report) ErrorInString(t *Tree, n *Node, i int, format string, args ...any) *Error {
	return r.errorAt(t, n.src, t.inString(n, i), format, args...)
}

// Warn warns of the value of n.
func (r *Report) Warn(t *Tree, n *Node, format string, args ...any) {
	r.warnAt(t, n.src, n.off, format, args...)
}

// WarnKey warns of the key of n.
func (r *Report) WarnKey(t *Tree, n *Node, format string, args ...any) {
	r.warnAt(t, n.keySrc, n.keyOff, format, args...)
}

func (r *Report) errorAt(t *Tree, src int32, off uint32, format string, args ...any) *Error {
	e := &Error{Pos: t.position(src, off), Msg: fmt.Sprintf(format, args...), src: src, off: off}
	if !r.Full() {
		r.errs = append(r.errs, e)
	}
	return e
}

func (r *Report) warnAt(t *Tree, src int32, off uint32, format string, args ...any) {
	r.seenWarn++
	if len(r.warns) >= r.max {
		return
	}
	r.warns = append(r.warns, &Error{Pos: t.position(src, off), Msg: fmt.Sprintf(format, args...), src: src, off: off})
}

// Full says that there is no use in looking for more.
func (r *Report) Full() bool { return len(r.errs) >= r.max }

func sortErrors(l []*Error) {
	slices.SortStableFunc(l, func(a, b *Error) int {
		if a.src != b.src {
			return int(a.src) - int(b.src)
		}
		return int(int64(a.off) - int64(b.off))
	})
}

// Faults are what was gathered, in the order of the text.
func (r *Report) Faults() []*Error {
	sortErrors(r.errs)
	return r.errs
}

// err returns what was gathered as a *faultList, nil if nothing was.
func (r *Report) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	return &Errors{List: r.Faults(), Full: r.Full()}
}

// Warnings are FILE:LINE:COL: text, in the order of the text.
func (r *Report) Warnings() []string {
	sortErrors(r.warns)
	var out []string
	for _, w := range r.warns {
		out = append(out, w.Error())
	}
	if n := r.seenWarn - len(r.warns); n > 0 {
		out = append(out, fmt.Sprintf("and %d more warnings", n))
	}
	return out
}
