package rbac

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

// Limits of a configuration.
const (
	maxAPIFiles = 4096
	maxAPIFile  = 1 << 20 // octets
	maxACLDepth = 32
)

// parameters are the library's.
type parameters struct {
	Method      *string                      `json:"assign-role-method"`
	APIFiles    *string                      `json:"api-files"`
	RequireTLS  *bool                        `json:"require-tls"`
	Commands    []commandParam               `json:"commands"`
	Lists       []map[string]json.RawMessage `json:"access-control-lists"`
	Roles       []roleParam                  `json:"roles"`
	DefaultRole *roleParam                   `json:"default-role"`
	UnknownRole *roleParam                   `json:"unknown-role"`
	UserContext json.RawMessage              `json:"user-context"`
	Comment     json.RawMessage              `json:"comment"`
}

type commandParam struct {
	Name        string          `json:"name"`
	Access      string          `json:"access"`
	Hook        string          `json:"hook"`
	UserContext json.RawMessage `json:"user-context"`
	Comment     json.RawMessage `json:"comment"`
}

type roleParam struct {
	Name        *string         `json:"name"`
	Accept      json.RawMessage `json:"accept-commands"`
	Reject      json.RawMessage `json:"reject-commands"`
	Others      *string         `json:"other-commands"`
	First       *string         `json:"list-match-first"`
	Filters     []string        `json:"response-filters"`
	UserContext json.RawMessage `json:"user-context"`
	Comment     json.RawMessage `json:"comment"`
}

// parser is what lists are made of.
type parser struct {
	defs  map[string]command
	lists map[string]acl
}

func (l *library) parse(params json.RawMessage) error {
	if len(params) == 0 {
		return errors.New("parameters are missing: assign-role-method and api-files are mandatory")
	}
	var p parameters
	if err := arguments.Strict(params, &p); err != nil {
		return fmt.Errorf("read parameters: %w", err)
	}
	if p.Method == nil {
		return errors.New("assign-role-method is mandatory")
	}
	if p.APIFiles == nil || *p.APIFiles == "" {
		return errors.New("api-files is mandatory")
	}
	switch l.method = method(*p.Method); l.method {
	case byAddress, bySubject, byIssuer, byBasicAuth, byCustomValue:
	default:
		return fmt.Errorf("assign-role-method %q is none of remote-address, cert-subject, cert-issuer, basic-authentication, custom-value", *p.Method)
	}
	l.requireTLS = l.method == bySubject || l.method == byIssuer
	if p.RequireTLS != nil {
		if l.requireTLS && !*p.RequireTLS {
			return fmt.Errorf("require-tls cannot be false where assign-role-method is %q", *p.Method)
		}
		l.requireTLS = *p.RequireTLS
	}
	defs, err := definitions(*p.APIFiles)
	if err != nil {
		return fmt.Errorf("read api-files: %w", err)
	}
	for i, c := range p.Commands {
		if err := define(defs, c.Name, c.Access, c.Hook); err != nil {
			return fmt.Errorf("commands[%d]: %w", i, err)
		}
	}
	x := &parser{defs: defs, lists: map[string]acl{
		"ALL": matchAll, "NONE": matchNone, "READ": matchAccess(accessRead), "WRITE": matchAccess(accessWrite),
	}}
	for i, m := range p.Lists {
		if len(m) != 1 {
			return fmt.Errorf("access-control-lists[%d] must have one entry, its name, not %d", i, len(m))
		}
		for name, spec := range m {
			if _, had := x.lists[name]; had || name == "" {
				return fmt.Errorf("access-control-lists[%d]: the name %q is taken", i, name)
			}
			a, err := x.list(spec, 0)
			if err != nil {
				return fmt.Errorf("access-control-lists[%d] %q: %w", i, name, err)
			}
			x.lists[name] = a
		}
	}
	l.roles = map[string]*role{}
	for i := range p.Roles {
		if p.Roles[i].Name == nil || *p.Roles[i].Name == "" {
			return fmt.Errorf("roles[%d] has no name", i)
		}
		r, err := x.role(*p.Roles[i].Name, &p.Roles[i])
		if err != nil {
			return fmt.Errorf("role %q: %w", *p.Roles[i].Name, err)
		}
		if l.roles[r.name] != nil {
			return fmt.Errorf("role %q is defined twice", r.name)
		}
		l.roles[r.name] = r
	}
	for _, s := range []struct {
		to   **role
		name string
		p    *roleParam
	}{{&l.byDefault, "default-role", p.DefaultRole}, {&l.unknown, "unknown-role", p.UnknownRole}} {
		if s.p == nil {
			s.p = &roleParam{} // rejects everything
		}
		if s.p.Name != nil {
			return fmt.Errorf("%s has a name", s.name)
		}
		r, err := x.role(s.name, s.p)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		*s.to = r
	}
	return nil
}

func (x *parser) role(name string, p *roleParam) (*role, error) {
	r := &role{name: name, defs: x.defs}
	var err error
	if p.Accept != nil {
		if r.accept, err = x.list(p.Accept, 0); err != nil {
			return nil, fmt.Errorf("accept-commands: %w", err)
		}
	}
	if p.Reject != nil {
		if r.reject, err = x.list(p.Reject, 0); err != nil {
			return nil, fmt.Errorf("reject-commands: %w", err)
		}
	}
	choose := func(key string, v *string, def string) (bool, error) {
		if v == nil {
			return def == "accept", nil
		}
		if *v != "accept" && *v != "reject" {
			return false, fmt.Errorf("%s must be \"accept\" or \"reject\", not %q", key, *v)
		}
		return *v == "accept", nil
	}
	if r.acceptOthers, err = choose("other-commands", p.Others, "reject"); err != nil {
		return nil, err
	}
	acceptFirst, err := choose("list-match-first", p.First, "accept")
	if err != nil {
		return nil, err
	}
	r.rejectFirst = !acceptFirst
	for _, f := range p.Filters {
		if f != "list-commands" {
			return nil, fmt.Errorf("response-filters: there is no filter %q", f)
		}
		r.filterList = true
	}
	return r, nil
}

// list compiles an access control list: a name, or a map of one entry.
func (x *parser) list(spec json.RawMessage, depth int) (acl, error) {
	if depth > maxACLDepth {
		return nil, fmt.Errorf("lists are nested more than %d deep", maxACLDepth)
	}
	var name string
	if json.Unmarshal(spec, &name) == nil {
		if a := x.lists[name]; a != nil {
			return a, nil
		}
		return nil, fmt.Errorf("there is no access control list %q", name)
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(spec, &m) != nil || len(m) != 1 {
		return nil, errors.New("an access control list is a name or a map of one entry")
	}
	for kind, arg := range m {
		switch kind {
		case "not":
			a, err := x.list(arg, depth+1)
			if err != nil {
				return nil, err
			}
			return matchNot(a), nil
		case "and", "or":
			var specs []json.RawMessage
			if err := json.Unmarshal(arg, &specs); err != nil || specs == nil {
				return nil, fmt.Errorf("%q needs a list of access control lists", kind)
			}
			l := make([]acl, len(specs))
			for i := range specs {
				var err error
				if l[i], err = x.list(specs[i], depth+1); err != nil {
					return nil, err
				}
			}
			if kind == "and" {
				return matchAnd(l), nil
			}
			return matchOr(l), nil
		case "commands", "command": // the one is what Kea does, the other what its manual's table says (DC-17)
			var names []string
			if err := json.Unmarshal(arg, &names); err != nil || names == nil {
				return nil, fmt.Errorf("%q needs a list of command names", kind)
			}
			for _, n := range names {
				if _, ok := x.defs[n]; !ok {
					return nil, fmt.Errorf("command %q has no definition", n)
				}
			}
			return matchNames(names), nil
		case "access":
			var s string
			if json.Unmarshal(arg, &s) == nil {
				if a, ok := parseAccess(s); ok {
					return matchAccess(a), nil
				}
			}
			return nil, errors.New(`"access" must be "read" or "write"`)
		case "hook":
			var s string
			if err := json.Unmarshal(arg, &s); err != nil {
				return nil, errors.New(`"hook" needs the name of a library`)
			}
			return matchHook(s), nil
		default:
			return nil, fmt.Errorf("there is no kind of access control list %q", kind)
		}
	}
	panic("unreachable")
}

func parseAccess(s string) (access, bool) {
	switch s {
	case "read":
		return accessRead, true
	case "write":
		return accessWrite, true
	}
	return 0, false
}

func define(defs map[string]command, name, acc, hook string) error {
	a, ok := parseAccess(acc)
	switch {
	case name == "":
		return errors.New("a command has no name")
	case !ok:
		return fmt.Errorf("command %q: access must be \"read\" or \"write\", not %q", name, acc)
	}
	defs[name] = command{name, a, hook}
	return nil
}

// definitions reads the files of dir, or takes the built-in ones if there is no
// such directory. A file may hold comments after its map, as templates do not
// matter; names that do not end in .json are left alone.
func definitions(dir string) (map[string]command, error) {
	defs := map[string]command{}
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		for _, c := range builtinCommands {
			defs[c.name] = c
		}
		return defs, nil
	}
	if err != nil {
		return nil, err
	}
	if len(list) > maxAPIFiles {
		return nil, fmt.Errorf("%s holds %d files, more than %d", dir, len(list), maxAPIFiles)
	}
	for _, e := range list {
		// _template.json and its like are no commands.
		if !strings.HasSuffix(e.Name(), ".json") || strings.HasPrefix(e.Name(), "_") {
			continue
		}
		name := filepath.Join(dir, e.Name())
		st, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if !st.Mode().IsRegular() || st.Size() > maxAPIFile {
			return nil, fmt.Errorf("%s is no regular file of at most %d octets", name, maxAPIFile)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var c struct {
			Name   string `json:"name"`
			Access string `json:"access"`
			Hook   string `json:"hook"`
		}
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := define(defs, c.Name, c.Access, c.Hook); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(defs) == 0 {
		return nil, fmt.Errorf("%s describes no command", dir)
	}
	return defs, nil
}
