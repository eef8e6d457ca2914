// Package host_cache is the hook library "host_cache": host reservations in
// memory that commands insert and remove and that look-ups find behind those of
// the configuration. README.md describes it for operators; names, arguments,
// results and texts are those of Kea's libdhcp_host_cache (CM-070, HK-HC-2).
package host_cache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

// maxMaximum is the greatest value of "maximum", Kea's.
const maxMaximum = 1_000_000_000

// Library is one loaded instance.
type Library struct {
	env     *hooks.Env
	cache   hooks.HostCache
	maximum int // 0: none
}

// New returns a library to load.
func New() *Library { return &Library{} }

// Name implements hooks.Library.
func (*Library) Name() string { return "host_cache" }

// Close implements hooks.Library.
func (*Library) Close() error { return nil }

// Load implements hooks.Library.
func (lib *Library) Load(env *hooks.Env, params json.RawMessage) error {
	m := arguments.Parse(params)
	if m.Has("host-cache") {
		if m.Len() > 1 {
			return errors.New("'host-cache' is to be the only parameter")
		}
		m = arguments.Parse(m.Raw("host-cache"))
	}
	if m.Given() && !m.IsMap() {
		return errors.New("Host Cache config is not a map")
	}
	var err error
	m.Each(func(k string, v json.RawMessage) {
		n, ok := arguments.IntegerOf(v)
		switch {
		case k != "maximum":
			err = fmt.Errorf("unknown parameter '%s'", k)
		case !ok:
			err = errors.New("'maximum' is not an integer")
		case n < 0:
			err = errors.New("Host Cache maximum parameter is negative")
		case n > maxMaximum:
			err = fmt.Errorf("Host Cache maximum parameter is too large (%d > %d)", n, maxMaximum)
		default:
			lib.maximum = int(n)
		}
	})
	if err != nil {
		return err
	}
	if c4, c6 := env.Config4(), env.Config6(); c4 != nil && c4.SharedReservations || c6 != nil && c6.SharedReservations {
		return errShared
	}
	lib.env, lib.cache = env, env.HostCache()
	for _, c := range []struct {
		name    string
		mutates bool
		run     func(*Library, json.RawMessage) (hooks.Response, error)
	}{
		{"cache-clear", true, (*Library).clear},
		{"cache-flush", true, (*Library).flush},
		{"cache-get", false, (*Library).get},
		{"cache-get-by-id", false, (*Library).getByID},
		{"cache-insert", true, (*Library).insert},
		{"cache-load", true, (*Library).load},
		{"cache-remove", true, (*Library).remove},
		{"cache-size", false, (*Library).size},
		{"cache-write", true, (*Library).write},
	} {
		env.Command(hooks.Command{Name: c.name, Mutates: c.mutates, Run: func(_ context.Context, args json.RawMessage, _ *hooks.Response) hooks.Response {
			if lib.cache == nil {
				return hooks.Response{Result: hooks.ResultError, Text: "this server has no host cache"}
			}
			r, err := c.run(lib, args)
			if err != nil {
				return hooks.Response{Result: hooks.ResultError, Text: err.Error()}
			}
			return r
		}})
	}
	return nil
}

// errShared: the cache has one host for an address, as Kea's (HK-HC-2).
var errShared = errors.New("unable to configure the server to allow non unique IP reservations (ip-reservations-unique=false) " +
	"because some host backends in use do not support this setting")

var (
	errNoArguments = errors.New("no parameters specified for the command")
	errNoMap       = errors.New("invalid (not a map) parameter")
)

func every(*hooks.CachedHost) bool { return true }

func (lib *Library) size(json.RawMessage) (hooks.Response, error) {
	n := lib.cache.Len()
	return hooks.Response{Text: fmt.Sprintf("%d entries.", n), Arguments: map[string]int{"size": n}}, nil
}

func (lib *Library) clear(json.RawMessage) (hooks.Response, error) {
	lib.cache.Remove(every, 0)
	return hooks.Response{Text: "Cache cleared."}, nil
}

// flush removes so many of the oldest entries; the argument is a bare integer.
func (lib *Library) flush(args json.RawMessage) (r hooks.Response, err error) {
	if len(args) == 0 {
		return r, errNoArguments
	}
	n, ok := arguments.IntegerOf(args)
	switch {
	case !ok:
		return r, fmt.Errorf("invalid (not an integer) parameter: %s", arguments.Kind(args))
	case n == 0:
		return r, errors.New("invalid (0) parameter: please use cache-clear command")
	case n < 0:
		return r, errors.New("invalid (<0) parameter")
	}
	gone := lib.cache.Remove(every, int(min(n, maxMaximum+1)))
	r.Text = fmt.Sprintf("Cache flushed (%d entries removed).", gone)
	return r, nil
}

func listed(l []hooks.CachedHost) hooks.Response {
	texts := make([]json.RawMessage, len(l))
	for i := range l {
		texts[i] = l[i].Text
	}
	r := hooks.Response{Text: fmt.Sprintf("%d entries returned.", len(l)), Arguments: texts}
	if len(l) == 0 {
		r.Result = hooks.ResultEmpty
	}
	return r
}

func (lib *Library) get(json.RawMessage) (hooks.Response, error) {
	return listed(lib.cache.Entries(every)), nil
}

// identified reads the identifiers among the members of a map: how many there
// are, and the last of them. Other members go to other.
func identified(m arguments.Map, other func(k string, v json.RawMessage) error) (t hooks.HostIDType, text string, n int, err error) {
	m.Each(func(k string, v json.RawMessage) {
		if err != nil {
			return
		}
		i, ok := idTypes[k]
		if !ok {
			err = other(k, v)
			return
		}
		n++
		t = i
		if text, ok = arguments.StringOf(v); !ok {
			err = fmt.Errorf("'%s' is not a string", k)
		}
	})
	return t, text, n, err
}

func unknown(k string, _ json.RawMessage) error { return fmt.Errorf("unknown parameter '%s'", k) }

func (lib *Library) getByID(args json.RawMessage) (r hooks.Response, err error) {
	m := arguments.Parse(args)
	switch {
	case !m.Given():
		return r, errNoArguments
	case !m.IsMap():
		return r, errNoMap
	}
	t, text, n, err := identified(m, unknown)
	switch {
	case err != nil:
		return r, err
	case n == 0:
		return r, errors.New("an identifier is required")
	case n > 1:
		return r, errors.New("only one identifier can be specified")
	}
	id, err := identifierOf(text)
	if err != nil {
		return r, err
	}
	return listed(lib.cache.Entries(func(h *hooks.CachedHost) bool { return h.IDType == t && bytes.Equal(h.Identifier, id) })), nil
}

// remove takes an address with a subnet, or an identifier with the subnet of a
// family.
func (lib *Library) remove(args json.RawMessage) (r hooks.Response, err error) {
	m := arguments.Parse(args)
	switch {
	case !m.Given():
		return r, errNoArguments
	case !m.IsMap():
		return r, errNoMap
	}
	var subnet int64
	var addr, family string
	families := 0
	t, text, n, err := identified(m, func(k string, v json.RawMessage) error {
		var ok bool
		switch k {
		case "subnet-id", "subnet-id4", "subnet-id6":
			family = k
			families++
			if subnet, ok = arguments.IntegerOf(v); !ok {
				return fmt.Errorf("'%s' is not an integer", k)
			}
			return nil
		case "ip-address":
			if addr, ok = arguments.StringOf(v); !ok {
				return errors.New("'ip-address' is not a string")
			}
			return nil
		}
		return unknown(k, v)
	})
	if err != nil {
		return r, err
	}
	var match func(h *hooks.CachedHost) bool
	switch {
	case families > 1 || n > 1 || addr != "" && n > 0:
		return r, errors.New("inconsistent parameters")
	case addr != "":
		if match, err = byAddress(subnet, family, addr); err != nil {
			return r, err
		}
	case n == 0:
		return r, errors.New("either ip-address or an identifier is required")
	case text == "":
		return r, errors.New("invalid (empty) identifier")
	case family != "subnet-id4" && family != "subnet-id6":
		return r, errors.New("either subnet-id4 or subnet-id6 is required")
	default:
		id, err := identifierOf(text)
		if err != nil {
			return r, err
		}
		match = func(h *hooks.CachedHost) bool {
			of := h.Subnet4
			if family == "subnet-id6" {
				of = h.Subnet6
			}
			return int64(of) == subnet && h.IDType == t && bytes.Equal(h.Identifier, id)
		}
	}
	if lib.cache.Remove(match, 1) == 0 {
		return hooks.Response{Result: hooks.ResultEmpty, Text: "Host not removed (not found)."}, nil
	}
	r.Text = "Host removed."
	return r, nil
}

func byAddress(subnet int64, family, text string) (func(h *hooks.CachedHost) bool, error) {
	if family == "" {
		return nil, errors.New("subnet-id is required")
	}
	a, err := arguments.ParseAddr(text)
	if err != nil {
		return nil, err
	}
	switch {
	case a.IsUnspecified():
		return nil, fmt.Errorf("invalid ip-address '%s'", a)
	case a.Is4() && family == "subnet-id6" || a.Is6() && family == "subnet-id4":
		return nil, errors.New("inconsistent parameters")
	}
	return func(h *hooks.CachedHost) bool {
		if a.Is4() {
			return int64(h.Subnet4) == subnet && h.Addr != 0 && h.Addr.Netip() == a
		}
		return int64(h.Subnet6) == subnet && slices.Contains(h.Addrs, a)
	}, nil
}
