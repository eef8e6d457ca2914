package rbac

// access is the access right that a command needs.
type access uint8

const (
	accessRead access = iota + 1
	accessWrite
)

// command is the definition of a command.
type command struct {
	name   string
	access access
	hook   string // the library it is of, "" for the server's own
}

// role says what who has it may do.
type role struct {
	name           string
	accept, reject acl // nil where there is no list
	acceptOthers   bool
	rejectFirst    bool
	filterList     bool // response-filters has list-commands
	defs           map[string]command
}

// accepts decides (HK-RB-2). A command without a definition matches only lists
// that do not look at one.
func (r *role) accepts(name string) bool {
	c, known := r.defs[name]
	if !known {
		c = command{name: name}
	}
	accepted := r.accept != nil && r.accept(&c)
	rejected := r.reject != nil && r.reject(&c)
	switch {
	case !accepted && !rejected:
		return r.acceptOthers
	case accepted && rejected:
		return !r.rejectFirst
	}
	return accepted
}

// acl is an access control list: whether it matches a command. A command that
// has no definition has no access right and no library.
type acl func(c *command) bool

func matchAll(*command) bool  { return true }
func matchNone(*command) bool { return false }

func matchAccess(a access) acl { return func(c *command) bool { return c.access == a } }
func matchHook(hook string) acl {
	return func(c *command) bool { return c.access != 0 && c.hook == hook }
}

func matchNot(x acl) acl { return func(c *command) bool { return !x(c) } }

func matchAnd(l []acl) acl {
	return func(c *command) bool {
		for _, x := range l {
			if !x(c) {
				return false
			}
		}
		return true
	}
}

func matchOr(l []acl) acl {
	return func(c *command) bool {
		for _, x := range l {
			if x(c) {
				return true
			}
		}
		return false
	}
}

func matchNames(names []string) acl {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return func(c *command) bool { return set[c.name] }
}
