// Package all knows the hook libraries built into the server. The list is
// generated from hooks.cfg.
package all

import (
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
)

//go:generate go run ../hooksgen -cfg ../hooks.cfg -o zall.go

type library struct {
	name string
	make func() hooks.Library
}

// New returns a new library of that name, or of that path as Kea's
// configuration writes it; ok is false if there is none.
func New(nameOrPath string) (l hooks.Library, ok bool) {
	name := BaseName(nameOrPath)
	for _, l := range libraries {
		if l.name == name {
			return l.make(), true
		}
	}
	return nil, false
}

// Names are the built-in libraries in the order of hooks.cfg.
func Names() []string {
	names := make([]string, len(libraries))
	for i, l := range libraries {
		names[i] = l.name
	}
	return names
}

// BaseName is the name of the library that Kea would load from path:
// "/usr/lib/kea/hooks/libdhcp_limits.so" gives "limits". A bare name is itself.
func BaseName(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	name = strings.TrimSuffix(name, ".so")
	if rest, ok := strings.CutPrefix(name, "libdhcp_"); ok {
		return rest
	}
	return name
}
