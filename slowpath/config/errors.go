package config

import (
	"errors"
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
	// Element is the key of Dhcp4 or Dhcp6 that it is in, "" for none.
	Element string

	src int32 // sort order: index of the source, then offset
	off uint32
}

func (e *Error) Error() string { return e.Pos.String() + ": " + e.Msg }

// Errors is what Load, Parse and FromJSON return for a configuration with
// faults: all of them in the order of the text, at most LoadOptions.MaxErrors.
type Errors struct {
	List []*Error
	// Full says that the report reached its limit: there may be more faults.
	Full bool
	// Warnings and NotServed are what would have been in the Snapshot.
	Warnings  []string
	NotServed []*Error
	// Loggers are the configuration's, as far as they could be read: where an
	// operator looks for what is wrong with the rest.
	Loggers []Logger
}

// Add appends the faults that err has, if it is not nil: those of an Errors or
// Error, those that are joined, or its text as a fault of the whole file.
func (e *Errors) Add(file string, err error) {
	var one *Error
	switch joined, _ := err.(interface{ Unwrap() []error }); {
	case err == nil:
	case joined != nil:
		for _, err := range joined.Unwrap() {
			e.Add(file, err)
		}
	case AsErrors(err) != nil:
		more := AsErrors(err)
		e.List = append(e.List, more.List...)
		if e.Loggers == nil {
			e.Loggers = more.Loggers
		}
	case errors.As(err, &one):
		e.List = append(e.List, one)
	default:
		e.List = append(e.List, &Error{Pos: Position{File: file}, Msg: err.Error()})
	}
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

// report gathers faults and warnings of one load.
type report struct {
	max      int
	errs     []*Error
	warns    []*Error
	seenWarn int
	// notServed are parts of Kea that are not served, if they are no errors.
	notServed []*Error
}

func (r *report) error(t *Tree, src int32, off uint32, format string, args ...any) *Error {
	e := &Error{Pos: t.position(src, off), Msg: fmt.Sprintf(format, args...), src: src, off: off}
	if !r.full() {
		r.errs = append(r.errs, e)
	}
	return e
}

func (r *report) warn(t *Tree, src int32, off uint32, format string, args ...any) {
	r.seenWarn++
	if len(r.warns) >= r.max {
		return
	}
	r.warns = append(r.warns, &Error{Pos: t.position(src, off), Msg: fmt.Sprintf(format, args...), src: src, off: off})
}

// full says that there is no use in looking for more.
func (r *report) full() bool { return len(r.errs) >= r.max }

func sortErrors(l []*Error) {
	slices.SortStableFunc(l, func(a, b *Error) int {
		if a.src != b.src {
			return int(a.src) - int(b.src)
		}
		return int(int64(a.off) - int64(b.off))
	})
}

// err returns what was gathered as an error, nil if nothing was.
func (r *report) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	sortErrors(r.errs)
	sortErrors(r.notServed)
	return &Errors{List: r.errs, Full: r.full(), Warnings: r.warnings(), NotServed: r.notServed}
}

func (r *report) warnings() []string {
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
