package class

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Def is one element of client-classes.
type Def struct {
	Name string
	// Test and TemplateTest are nil where the key is absent; an empty text is
	// an error, as in Kea.
	Test, TemplateTest *string
	// OnlyInAdditionalList is the key of that name, formerly only-if-required.
	OnlyInAdditionalList bool
}

// Class is a compiled Def.
type Class struct {
	Name  string
	Index uint32 // by Env.ClassIndex
	// Test or Template is the expression; both are nil in a class that only
	// reservations, callouts and additional lists put queries into.
	Test, Template *Expr

	OnlyInAdditionalList bool
	// DependsOnKnown says that KNOWN or UNKNOWN is behind the class, directly
	// or through other classes, so that it is evaluated in the second pass
	// (CL-009). Through other classes is not followed in a template: nor does
	// Kea.
	DependsOnKnown bool

	// spawned are the numbers of SPAWN_ names of this template by their last
	// part, escaped.
	spawned map[string]uint32
}

// Set is the classes of a configuration in order. It is immutable once the last
// AddSpawned has returned.
type Set struct {
	// Classes are in order of definition.
	Classes []Class
	// Evaluated are the numbers of the classes with an expression: before the
	// first pass is repeated because a reservation gave classes, the query is
	// taken out of these (CL-049). Spawned classes stay, as in Kea.
	Evaluated []uint32

	first, second []uint32 // positions in Classes
	byIndex       []int32  // number to position, -1 where there is no definition
	byName        map[string]int32
}

// DefError says which definition is wrong, and which key of it.
type DefError struct {
	Def int    // its place in the list, from 0
	Key string // "name", "test", "template-test" or "only-in-additional-list"
	Err error  // an *Error has the column in the expression
}

func (e *DefError) Error() string { return fmt.Sprintf("%s: %v", e.Key, e.Err) }
func (e *DefError) Unwrap() error { return e.Err }

// NewSet compiles definitions in their order. env.ClassIndex is required and
// must number each name below 1<<16; env.ClassDefined is not used: a class may
// depend on those defined before it and on built-in ones, a template on any
// (CL-054). Errors are *DefError.
func NewSet(defs []Def, env *Env) (*Set, error) {
	s := &Set{Classes: make([]Class, len(defs)), byName: make(map[string]int32, len(defs))}
	for i := range defs {
		if err := s.add(i, &defs[i], env); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Set) add(i int, d *Def, env *Env) error {
	fail := func(key, format string, a ...any) error {
		return &DefError{i, key, fmt.Errorf(format, a...)}
	}
	if d.Name == "" {
		return fail("name", "a class needs a name")
	}
	if d.Test != nil && d.TemplateTest != nil {
		return fail("template-test", "class %q has both test and template-test: give one of them", clip(d.Name))
	}
	c := &s.Classes[i]
	c.Name = strings.Clone(d.Name)
	c.OnlyInAdditionalList = d.OnlyInAdditionalList
	e := *env
	text, key, kind := d.Test, "test", Bool
	e.ClassDefined = func(name string) bool {
		if !Builtin(name) {
			p, ok := s.byName[name]
			if ok && s.Classes[p].DependsOnKnown {
				c.DependsOnKnown = true
			}
			return ok
		}
		c.DependsOnKnown = c.DependsOnKnown || known(name)
		return true
	}
	if d.TemplateTest != nil {
		text, key, kind = d.TemplateTest, "template-test", String
		e.ClassDefined = func(name string) bool {
			c.DependsOnKnown = c.DependsOnKnown || known(name)
			return true
		}
	}
	if text != nil {
		if *text == "" {
			return fail(key, "%w", &Error{1, "the expression is empty: leave the key out for a class without one"})
		}
		x, err := Compile(*text, kind, &e)
		if err != nil {
			return &DefError{i, key, err}
		}
		if kind == Bool {
			c.Test = x
		} else {
			c.Template = x
		}
	}
	if builtinName(d.Name) {
		if d.OnlyInAdditionalList {
			return fail("only-in-additional-list", "built-in class %q must not have only-in-additional-list", d.Name)
		}
		if text != nil {
			return fail(key, "built-in class %q must not have an expression", d.Name)
		}
	}
	if d.OnlyInAdditionalList && (d.Name == "DROP" || d.Name == "REJECT") {
		return fail("only-in-additional-list", "special class %q must not have only-in-additional-list", d.Name)
	}
	if p, ok := s.byName[d.Name]; ok {
		return fail("name", "class %q is defined already, as number %d of the list", clip(d.Name), p+1)
	}
	c.Index = env.ClassIndex(d.Name)
	if c.Index > math.MaxUint16 {
		return fail("name", "there are more than %d class names", math.MaxUint16)
	}
	s.byName[c.Name] = int32(i)
	for len(s.byIndex) <= int(c.Index) {
		s.byIndex = append(s.byIndex, -1)
	}
	s.byIndex[c.Index] = int32(i)
	if text != nil {
		s.Evaluated = append(s.Evaluated, c.Index)
		switch {
		case c.OnlyInAdditionalList:
		case c.DependsOnKnown:
			s.second = append(s.second, uint32(i))
		default:
			s.first = append(s.first, uint32(i))
		}
	}
	return nil
}

func known(name string) bool { return name == "KNOWN" || name == "UNKNOWN" }

// AddSpawned tells the templates that the configuration mentions a name, in a
// definition, a guard or a reservation, and its number; other names than
// SPAWN_<template>_<value> of one of them are ignored. It is for use before the
// set is shared.
func (s *Set) AddSpawned(name string, index uint32) {
	rest, ok := strings.CutPrefix(name, SpawnPrefix)
	if !ok {
		return
	}
	for i := range s.Classes {
		c := &s.Classes[i]
		if c.Template == nil {
			continue
		}
		value, ok := strings.CutPrefix(rest, c.Name)
		if !ok || len(value) < 2 || value[0] != '_' {
			continue
		}
		if c.spawned == nil {
			c.spawned = make(map[string]uint32)
		}
		c.spawned[strings.Clone(value[1:])] = index
	}
}

// Lookup returns the definition with a number, nil if that name has none.
func (s *Set) Lookup(index uint32) *Class {
	if int64(index) >= int64(len(s.byIndex)) || s.byIndex[index] < 0 {
		return nil
	}
	return &s.Classes[s.byIndex[index]]
}

// Dependent returns the first class after the one of that name whose expression
// mentions it, for class-del to refuse.
func (s *Set) Dependent(name string) (dependent string, ok bool) {
	p, ok := s.byName[name]
	if !ok {
		return "", false
	}
	for i := int(p) + 1; i < len(s.Classes); i++ {
		c := &s.Classes[i]
		x := c.Test
		if x == nil {
			x = c.Template
		}
		if x == nil {
			continue
		}
		for _, m := range x.Members() {
			if m == name {
				return c.Name, true
			}
		}
	}
	return "", false
}

// Members takes the classes that an evaluation puts a query into, in order. It
// is usually the same object that answers Packet.InClass, and must answer for a
// class at once: later expressions may ask for it. Adding a class twice changes
// nothing.
type Members interface {
	AddClass(index uint32)
	// AddSpawned adds the class SPAWN_<c.Name>_<escaped> that the configuration
	// does not mention, so that only logs and callouts see it. escaped is valid
	// during the call.
	AddSpawned(c *Class, escaped []byte)
}

// Result is what happened in a pass.
type Result struct {
	// Failures is how many expressions failed, and Failed the first of their
	// classes with its reason, for a log line (CL-027).
	Failures int
	Failed   *Class
	Reason   Failure
}

func (r *Result) failed(c *Class, f Failure) {
	if r.Failures == 0 {
		r.Failed, r.Reason = c, f
	}
	r.Failures++
}

// EvaluateFirst is the pass before subnet selection: the classes that do not
// depend on KNOWN.
func (s *Set) EvaluateFirst(q Packet, m Members, scratch *Scratch) Result {
	return s.evaluate(s.first, q, m, scratch)
}

// EvaluateSecond is the pass after host look-up, when KNOWN or UNKNOWN is set.
func (s *Set) EvaluateSecond(q Packet, m Members, scratch *Scratch) Result {
	return s.evaluate(s.second, q, m, scratch)
}

func (s *Set) evaluate(pass []uint32, q Packet, m Members, scratch *Scratch) (r Result) {
	for _, i := range pass {
		c := &s.Classes[i]
		if c.Test != nil {
			if c.Test.Test(q, scratch) {
				m.AddClass(c.Index)
			} else if scratch.failed != FailNone {
				r.failed(c, scratch.failed)
			}
			continue
		}
		if v := c.Template.value(q, scratch); len(v) > 0 {
			if !c.spawn(v, m, scratch) {
				r.failed(c, scratch.failed)
			}
		} else if scratch.failed != FailNone {
			r.failed(c, scratch.failed)
		}
	}
	return r
}

// spawn adds the spawned class, then the template, so that the options of the
// spawned one come first (CL-046).
func (c *Class) spawn(v []byte, m Members, s *Scratch) bool {
	if !s.room(3 * len(v)) {
		return false
	}
	mark := len(s.buf)
	s.buf = AppendEscaped(s.buf, v)
	escaped := s.since(mark)
	if i, ok := c.spawned[string(escaped)]; ok {
		m.AddClass(i)
	} else {
		m.AddSpawned(c, escaped)
	}
	m.AddClass(c.Index)
	return true
}

// EvaluateAdditional evaluates an evaluate-additional-classes list, of numbers:
// in Kea's order that is the pool's, then the subnet's, then the shared
// network's, each class once (CL-048). A class without definition is ignored,
// one without expression is added. A template spawns nothing here: Kea takes its
// value for true or false.
func (s *Set) EvaluateAdditional(list []uint32, q Packet, m Members, scratch *Scratch) (r Result) {
	for _, index := range list {
		c := s.Lookup(index)
		if c == nil {
			continue
		}
		in, f := true, FailNone
		if c.Test != nil {
			in = c.Test.Test(q, scratch)
			f = scratch.failed
		} else if c.Template != nil {
			v := c.Template.value(q, scratch)
			f = scratch.failed
			in = string(v) == "true"
			if f == FailNone && !in && string(v) != "false" {
				f = FailBool
			}
		}
		if f != FailNone {
			r.failed(c, f)
		} else if in {
			m.AddClass(index)
		}
	}
	return r
}

// AsError finds the place of the mistake in an expression, if err is about one.
func AsError(err error) (e *Error, ok bool) {
	ok = errors.As(err, &e)
	return e, ok
}
