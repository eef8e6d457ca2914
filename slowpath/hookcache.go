package slowpath

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/host"
)

// cachedHosts are the reservations of the host cache: for look-ups in a set,
// oldest first in a list.
type cachedHosts struct {
	mu      sync.Mutex
	set     *host.Set // nil until the cache is used
	entries []cachedHost
}

type cachedHost struct {
	r    *config.Reservation4
	form json.RawMessage
	text json.RawMessage
}

// use returns the set that look-ups go to.
func (c *cachedHosts) use() *host.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil {
		c.set = host.NewSet(nil)
	}
	return c.set
}

// clear forgets everything; a set that somebody still uses stays as it is.
func (c *cachedHosts) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set, c.entries = nil, nil
}

func (c *cachedHosts) each(f func(r *config.Reservation4)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		f(e.r)
	}
}

// hookCache is the host cache as a hook library changes it (hooks.HostCache).
type hookCache struct {
	s *Server
	c *cachedHosts // nil for DHCPv6
}

var _ hooks.HostCache = hookCache{}

// Insert implements hooks.HostCache.
func (h hookCache) Insert(list []hooks.CachedHost4, limit int) (overwritten int, err error) {
	if h.c == nil {
		return 0, errors.New("cache host: reservations of IPv6 hosts at run time are not supported yet")
	}
	fresh := make([]cachedHost, 0, len(list))
	for i := range list {
		x := &list[i]
		l, _, err := h.s.parseHosts(h.s.Snapshot(), x.SubnetID, []json.RawMessage{x.Form})
		if err != nil {
			return 0, err
		}
		fresh = append(fresh, cachedHost{l[0], x.Form, x.Text})
	}
	c := h.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil {
		return 0, errors.New("cache host: the configuration does not use the cache any more")
	}
	// What makes way: older entries with an identifier or address of a newer one.
	type identifier struct {
		subnet uint32
		t      config.IdentifierType
		id     string
	}
	type address struct{ subnet, addr uint32 }
	ids, addrs := map[identifier]bool{}, map[address]bool{}
	all := append(slices.Clone(c.entries), fresh...)
	keep := make([]bool, len(all))
	for i := len(all) - 1; i >= 0; i-- {
		r := all[i].r
		id, addr := identifier{r.SubnetID, r.Type, string(r.Identifier)}, address{r.SubnetID, uint32(r.Addr)}
		if ids[id] || r.Addr != 0 && addrs[addr] {
			overwritten++
			continue
		}
		ids[id], keep[i] = true, true
		if r.Addr != 0 {
			addrs[addr] = true
		}
	}
	next := make([]cachedHost, 0, len(all))
	for i, e := range all {
		if keep[i] {
			next = append(next, e)
		}
	}
	if limit > 0 && len(next) > limit {
		next = slices.Clone(next[len(next)-limit:])
	}
	c.replace(h.s, next)
	return overwritten, nil
}

// replace makes next the entries. mu is held.
func (c *cachedHosts) replace(s *Server, next []cachedHost) {
	have := make(map[*config.Reservation4]bool, len(c.entries))
	for _, e := range c.entries {
		have[e.r] = true
	}
	var in, out []*config.Reservation4
	for _, e := range next {
		if have[e.r] {
			delete(have, e.r)
		} else {
			in = append(in, e.r)
		}
	}
	for _, e := range c.entries {
		if have[e.r] {
			out = append(out, e.r)
		}
	}
	c.set.Exchange(out, in)
	c.entries = next
	ec := s.engine.Config()
	for _, r := range out {
		reserve(ec, r, false)
	}
	for _, r := range in {
		reserve(ec, r, true)
	}
}

// Entries implements hooks.HostCache.
func (h hookCache) Entries(match func(*hooks.StoredHost4) bool) (out []hooks.CachedHost4) {
	if h.c == nil {
		return nil
	}
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	for _, e := range h.c.entries {
		x := storedHost(0, e.r)
		if match(&x) {
			x.Form = e.form
			out = append(out, hooks.CachedHost4{StoredHost4: x, Text: e.text})
		}
	}
	return out
}

// Remove implements hooks.HostCache.
func (h hookCache) Remove(match func(*hooks.StoredHost4) bool, limit int) (n int) {
	if h.c == nil {
		return 0
	}
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if h.c.set == nil {
		return 0
	}
	var next []cachedHost
	for _, e := range h.c.entries {
		if x := storedHost(0, e.r); (limit == 0 || n < limit) && match(&x) {
			n++
			continue
		}
		next = append(next, e)
	}
	h.c.replace(h.s, next)
	return n
}

// Len implements hooks.HostCache.
func (h hookCache) Len() int {
	if h.c == nil {
		return 0
	}
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return len(h.c.entries)
}

// maxCacheFile limits what is read into memory.
const maxCacheFile = 1 << 30

// path is where a file of that name is: in the data directory.
func (h hookCache) path(name string) (string, error) {
	snap := h.s.Snapshot()
	dir := h.s.dataDirectory(&config.LeaseDatabase{})
	switch {
	case h.c != nil:
		dir = h.s.dataDirectory(&snap.Dhcp4.LeaseDatabase)
	case snap.Dhcp6 != nil:
		dir = h.s.dataDirectory(&snap.Dhcp6.LeaseDatabase)
	}
	path := filepath.Clean(name)
	if filepath.Base(name) == name {
		path = filepath.Join(dir, name)
	}
	if base := filepath.Base(path); base == "." || base == "/" || base == ".." {
		return "", &hooks.PathError{Text: fmt.Sprintf("path: '%s' has no filename", name)}
	}
	if filepath.Dir(path) != dir {
		return "", &hooks.PathError{Text: fmt.Sprintf("invalid path specified: '%s', supported path is '%s'", filepath.Dir(path), dir)}
	}
	return path, nil
}

// WriteFile implements hooks.HostCache.
func (h hookCache) WriteFile(name string, text []byte) (string, error) {
	path, err := h.path(name)
	if err != nil {
		return "", err
	}
	tmp := fmt.Sprintf("%s.tmp%d", path, os.Getpid())
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return "", err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(tmp))
	}
	return path, nil
}

// ReadFile implements hooks.HostCache.
func (h hookCache) ReadFile(name string) ([]byte, string, error) {
	path, err := h.path(name)
	if err != nil {
		return nil, "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCacheFile+1))
	if err == nil && len(text) > maxCacheFile {
		err = fmt.Errorf("read %s: it is longer than %d octets", path, maxCacheFile)
	}
	return text, path, err
}
