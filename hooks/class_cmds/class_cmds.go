// Package class_cmds is the hook library "class_cmds": control commands that
// list, add, change and remove client classes while the server runs. README.md
// describes it for operators; names, arguments, results and texts are those of
// Kea's libdhcp_class_cmds (HK-CLASS-1, CM-080).
package class_cmds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

// Library is one loaded instance.
type Library struct{ env *hooks.Env }

// New returns a library to load.
func New() *Library { return &Library{} }

// Name implements hooks.Library.
func (*Library) Name() string { return "class_cmds" }

// Close implements hooks.Library.
func (*Library) Close() error { return nil }

// Load implements hooks.Library. There are no parameters.
func (lib *Library) Load(env *hooks.Env, params json.RawMessage) error {
	lib.env = env
	if m := arguments.Parse(params); m.Len() > 0 {
		return errors.New("the library has no parameters")
	}
	for _, c := range []struct {
		name    string
		mutates bool
		run     func(lib *Library, ctx context.Context, name string, args arguments.Map) (hooks.Response, error)
	}{
		{"class-add", true, (*Library).add},
		{"class-update", true, (*Library).update},
		{"class-del", true, (*Library).del},
		{"class-get", false, (*Library).get},
		{"class-list", false, (*Library).list},
	} {
		env.Command(hooks.Command{Name: c.name, Mutates: c.mutates, Run: func(ctx context.Context, args json.RawMessage, _ *hooks.Response) hooks.Response {
			r, err := c.run(lib, ctx, c.name, arguments.Parse(args))
			if err != nil {
				return hooks.Response{Result: hooks.ResultError, Text: err.Error()}
			}
			return r
		}})
	}
	return nil
}

// key is where the classes stand in the configuration.
const key = "client-classes"

// needArguments refuses a command without arguments, as Kea does.
func needArguments(command string, m arguments.Map) error {
	switch {
	case !m.Given():
		return fmt.Errorf("invalid command '%s': no arguments specified", command)
	case !m.IsMap():
		return fmt.Errorf("invalid command '%s': expected 'arguments' to be a map, got %s instead", command, m.Kind())
	case m.Len() == 0:
		return fmt.Errorf("invalid command '%s': 'arguments' is empty", command)
	}
	return nil
}

// className reads the only argument of class-get and class-del.
func className(command string, m arguments.Map) (string, error) {
	if err := needArguments(command, m); err != nil {
		return "", err
	}
	if m.Len() != 1 {
		return "", fmt.Errorf("invalid number of arguments %d for the '%s' command. Expecting 'name' string", m.Len(), command)
	}
	v := m.Raw("name")
	if v == nil {
		return "", fmt.Errorf("missing 'name' argument for the '%s' command", command)
	}
	name, ok := arguments.StringOf(v)
	if !ok {
		return "", fmt.Errorf("'name' argument specified for the '%s' command is not a string", command)
	}
	return name, nil
}

// keys are what a definition may have (Kea refuses others by its own text), keys4
// and keys6 what is of one family only.
var (
	keys = set("name", "test", "option-data", "user-context", "only-if-required", "only-in-additional-list",
		"valid-lifetime", "min-valid-lifetime", "max-valid-lifetime", "template-test")
	keys4 = set("option-def", "next-server", "server-hostname", "boot-file-name")
	keys6 = set("preferred-lifetime", "min-preferred-lifetime", "max-preferred-lifetime")
)

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// definition reads the only argument of class-add and class-update: a list with
// one class.
func (lib *Library) definition(command string, m arguments.Map) (def arguments.Map, raw json.RawMessage, name string, err error) {
	if err := needArguments(command, m); err != nil {
		return def, nil, "", err
	}
	if m.Len() != 1 {
		return def, nil, "", fmt.Errorf("invalid number of arguments %d for the '%s' command. Expecting 'client-classes' list", m.Len(), command)
	}
	v := m.Raw(key)
	if v == nil {
		return def, nil, "", fmt.Errorf("missing 'client-classes' argument for the '%s' command", command)
	}
	list, ok := arguments.ListOf(v)
	if !ok {
		return def, nil, "", fmt.Errorf("'client-classes' argument specified for the '%s' command is not a list", command)
	}
	if len(list) != 1 {
		return def, nil, "", fmt.Errorf("invalid number of classes specified for the '%s' command. Expected one class", command)
	}
	def = arguments.Parse(list[0])
	if !def.IsMap() {
		return def, nil, "", fmt.Errorf("invalid class definition specified for the '%s' command. Expected a map", command)
	}
	own := keys4
	if lib.env.Config6() != nil {
		own = keys6
	}
	def.Each(func(k string, _ json.RawMessage) {
		if !keys[k] && !own[k] {
			err = fmt.Errorf("unsupported client class parameter '%s'", k)
		}
	})
	if err != nil {
		return def, nil, "", err
	}
	if !def.Has("name") {
		return def, nil, "", errors.New("the class definition is missing a mandatory 'name' parameter")
	}
	name, ok = arguments.StringOf(def.Raw("name"))
	if !ok || name == "" {
		return def, nil, "", errors.New("not empty parameter 'name' is required")
	}
	return def, list[0], name, nil
}

// class is one class of the configuration in force.
type class struct{ name, test string }

func classes(t hooks.ConfigTree) []class {
	l := make([]class, t.Len(key))
	for i := range l {
		l[i].name, _ = arguments.StringOf(t.Get(key, i, "name"))
		l[i].test, _ = arguments.StringOf(t.Get(key, i, "test"))
		if l[i].test == "" {
			l[i].test, _ = arguments.StringOf(t.Get(key, i, "template-test"))
		}
	}
	return l
}

// index is the place of the class of that name, -1 if there is none.
func index(l []class, name string) int {
	for i := range l {
		if l[i].name == name {
			return i
		}
	}
	return -1
}

func (lib *Library) list(context.Context, string, arguments.Map) (r hooks.Response, err error) {
	type entry struct {
		Name string `json:"name"`
	}
	names := []entry{}
	err = lib.env.Configuration().View(func(t hooks.ConfigTree) error {
		for _, c := range classes(t) {
			names = append(names, entry{c.name})
		}
		return nil
	})
	r.Arguments = map[string]any{key: names}
	r.Text = fmt.Sprintf("%d classes found", len(names))
	switch len(names) {
	case 0:
		r.Result = hooks.ResultEmpty
	case 1:
		r.Text = "1 class found"
	}
	return r, err
}

func (lib *Library) get(_ context.Context, command string, m arguments.Map) (r hooks.Response, err error) {
	name, err := className(command, m)
	if err != nil {
		return r, err
	}
	err = lib.env.Configuration().View(func(t hooks.ConfigTree) error {
		i := index(classes(t), name)
		if i < 0 {
			r = hooks.Response{Result: hooks.ResultEmpty, Text: fmt.Sprintf("Class '%s' not found", name)}
			return nil
		}
		r = hooks.Response{Text: fmt.Sprintf("Class '%s' definition returned", name),
			Arguments: map[string]any{key: []json.RawMessage{t.Get(key, i)}}}
		return nil
	})
	return r, err
}

func (lib *Library) add(ctx context.Context, command string, m arguments.Map) (r hooks.Response, err error) {
	def, raw, name, err := lib.definition(command, m)
	if err != nil {
		return r, err
	}
	err = lib.env.Configuration().Edit(ctx, func(t hooks.ConfigTree) error {
		l := classes(t)
		if index(l, name) >= 0 {
			return fmt.Errorf("Client Class: %s has already been defined", name)
		}
		if err := checkMembers(testOf(def), l); err != nil {
			return err
		}
		return t.Set(raw, key, len(l))
	})
	r.Text = fmt.Sprintf("Class '%s' added", name)
	return r, err
}

func testOf(def arguments.Map) string {
	test, _ := arguments.StringOf(def.Raw("test"))
	if test == "" {
		test, _ = arguments.StringOf(def.Raw("template-test"))
	}
	return test
}

func (lib *Library) update(ctx context.Context, command string, m arguments.Map) (r hooks.Response, err error) {
	def, raw, name, err := lib.definition(command, m)
	if err != nil {
		return r, err
	}
	r.Text = fmt.Sprintf("Class '%s' updated", name)
	err = lib.env.Configuration().Edit(ctx, func(t hooks.ConfigTree) error {
		l := classes(t)
		i := index(l, name)
		if i < 0 {
			r = hooks.Response{Result: hooks.ResultEmpty, Text: fmt.Sprintf("Class '%s' is not found", name)}
			return hooks.ErrNoChange
		}
		test := testOf(def)
		if err := checkMembers(test, l[:i]); err != nil {
			return err
		}
		known := dependsOnKnown(l)
		template := t.Get(key, i, "template-test")
		if !def.Has("test") && !def.Has("template-test") && template != nil && string(template) != `""` {
			test = l[i].test // a template stays one, with the test it has
		} else {
			template = nil
		}
		l[i].test = test
		if known[i] != dependsOnKnown(l)[i] {
			return fmt.Errorf("modification of the class '%s' would affect its dependency on the KNOWN and/or UNKNOWN built-in classes. "+
				"Such modification is not allowed because there may be other classes depending on those built-ins via the updated class", name)
		}
		if err := t.Set(raw, key, i); err != nil {
			return err
		}
		if template != nil {
			return t.Set(template, key, i, "template-test")
		}
		return nil
	})
	return r, err
}

func (lib *Library) del(ctx context.Context, command string, m arguments.Map) (r hooks.Response, err error) {
	name, err := className(command, m)
	if err != nil {
		return r, err
	}
	r.Text = fmt.Sprintf("Class '%s' deleted", name)
	err = lib.env.Configuration().Edit(ctx, func(t hooks.ConfigTree) error {
		l := classes(t)
		i := index(l, name)
		if i < 0 {
			r = hooks.Response{Result: hooks.ResultEmpty, Text: fmt.Sprintf("Class '%s' not found", name)}
			return hooks.ErrNoChange
		}
		for _, c := range l[i+1:] {
			for _, used := range members(c.test) {
				if used == name {
					return fmt.Errorf("Class '%s' is used by class '%s'", name, c.name)
				}
			}
		}
		return t.Remove(key, i)
	})
	return r, err
}
