package slowpath

import (
	"container/list"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/host"
	"github.com/peregrine-dhcp/peregrine/slowpath/host6"
)

// cachedHosts are the reservations of a family's host cache: for look-ups in a
// set, oldest first in a list.
type cachedHosts struct {
	mu    sync.Mutex
	set   *host.Set  // DHCPv4's, nil until the cache is used
	set6  *host6.Set // DHCPv6's, likewise
	order list.List  // of *cachedHost
	byKey map[cacheKey]*list.Element
}

// cachedHost is an entry. r4 and r6 are never nil; the subnet of one of them may
// be hooks.NoSubnet.
type cachedHost struct {
	r4    *config.Reservation4
	r6    *config.Reservation6
	text  json.RawMessage
	fresh bool // not looked up yet
}

// cacheKey is something that only one entry can have.
type cacheKey struct {
	what   uint8 // a family; with resourceKey one of its resources
	subnet uint32
	id     string
}

const resourceKey = 0x80

// keys calls f for all keys of an entry.
func (e *cachedHost) keys(f func(k cacheKey)) {
	if r := e.r4; r.SubnetID != hooks.NoSubnet {
		f(cacheKey{4, r.SubnetID, string(rune(r.Type)) + string(r.Identifier)})
		if r.Addr != 0 {
			f(cacheKey{4 | resourceKey, r.SubnetID, string(binary.BigEndian.AppendUint32(nil, uint32(r.Addr)))})
		}
	}
	if r := e.r6; r.SubnetID != hooks.NoSubnet {
		f(cacheKey{6, r.SubnetID, string(rune(r.Type)) + string(r.Identifier)})
		for _, a := range r.Addrs {
			f(cacheKey{6 | resourceKey, r.SubnetID, string(a.AsSlice())})
		}
		for i := range r.Prefixes { // in whatever subnet, as in Kea
			f(cacheKey{6 | resourceKey, hooks.NoSubnet, r.Prefixes[i].Prefix.String()})
		}
	}
}

// use returns the set that look-ups of DHCPv4 go to.
func (c *cachedHosts) use() *host.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil {
		c.set = host.NewSet(nil)
	}
	return c.set
}

// use6 is use for the cache of DHCPv6.
func (c *cachedHosts) use6() *host6.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set6 == nil {
		c.set6 = host6.NewSet(nil)
	}
	return c.set6
}

// clear forgets everything; a set that somebody still uses stays as it is.
func (c *cachedHosts) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set, c.set6, c.byKey = nil, nil, nil
	c.order.Init()
}

func (c *cachedHosts) each(f func(e *cachedHost)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := c.order.Front(); i != nil; i = i.Next() {
		f(i.Value.(*cachedHost))
	}
}

// take removes an entry from the list. mu is held.
func (c *cachedHosts) take(el *list.Element) *cachedHost {
	e := el.Value.(*cachedHost)
	e.keys(func(k cacheKey) { delete(c.byKey, k) })
	c.order.Remove(el)
	return e
}

// push appends one that has no key of another's. mu is held.
func (c *cachedHosts) push(e *cachedHost) {
	el := c.order.PushBack(e)
	e.keys(func(k cacheKey) { c.byKey[k] = el })
}

// hookCache is a family's host cache as a hook library changes it
// (hooks.HostCache).
type hookCache struct {
	s   *Server
	c   *cachedHosts
	six *server6 // nil for DHCPv4
}

var _ hooks.HostCache = hookCache{}

// Insert implements hooks.HostCache. The allocator that is told must be the one
// that counts, so no configuration is put in force meanwhile.
func (h hookCache) Insert(added []hooks.CachedHost, limit int) (overwritten int, err error) {
	h.s.reload.Lock()
	defer h.s.reload.Unlock()
	c := h.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil && c.set6 == nil {
		return 0, errors.New("cache host: the configuration does not use the cache any more")
	}
	for i := range added {
		if _, ok := added[i].Reservation.(*cachedHost); !ok {
			return 0, errors.New("cache host: it was not read by this cache")
		}
	}
	if c.byKey == nil {
		c.byKey = map[cacheKey]*list.Element{}
	}
	var out, in []*cachedHost
	take := func(el *list.Element) {
		if e := c.take(el); e.fresh {
			e.fresh = false // gone before it was looked up
		} else {
			out = append(out, e)
		}
	}
	for i := range added {
		e := added[i].Reservation.(*cachedHost)
		e = &cachedHost{r4: e.r4, r6: e.r6, text: added[i].Text, fresh: true}
		e.keys(func(k cacheKey) {
			if el := c.byKey[k]; el != nil {
				overwritten++
				take(el)
			}
		})
		c.push(e)
		in = append(in, e)
		if limit > 0 && c.order.Len() > limit {
			take(c.order.Front())
		}
	}
	h.exchange(out, in)
	return overwritten, nil
}

// exchange makes look-ups and allocators of the family follow: those of in that
// are still fresh are added. mu is held.
func (h hookCache) exchange(out, in []*cachedHost) {
	fresh := in[:0]
	for _, e := range in {
		if e.fresh {
			fresh = append(fresh, e)
		}
		e.fresh = false
	}
	if h.six != nil {
		ec := h.six.engine.Config()
		host := func(e *cachedHost) (*config.Reservation6, uint32) { return e.r6, e.r6.SubnetID }
		exchangeHosts(out, fresh, host, h.c.set6.Exchange, func(r *config.Reservation6, on bool) { reserve6(ec, r, on) })
		return
	}
	ec := h.s.engine.Config()
	host := func(e *cachedHost) (*config.Reservation4, uint32) { return e.r4, e.r4.SubnetID }
	exchangeHosts(out, fresh, host, h.c.set.Exchange, func(r *config.Reservation4, on bool) { reserve(ec, r, on) })
}

// exchangeHosts is exchange in one family: host gives an entry's part in it and
// that part's subnet.
func exchangeHosts[R any](out, in []*cachedHost, host func(*cachedHost) (R, uint32), exchange func(out, in []R), reserve func(r R, on bool)) {
	parts := func(l []*cachedHost) (rs []R) {
		for _, e := range l {
			if r, subnetID := host(e); subnetID != hooks.NoSubnet {
				rs = append(rs, r)
			}
		}
		return rs
	}
	gone, come := parts(out), parts(in)
	exchange(gone, come)
	for _, r := range gone {
		reserve(r, false)
	}
	for _, r := range come {
		reserve(r, true)
	}
}

// shown is an entry as libraries see it.
func (e *cachedHost) shown() hooks.CachedHost {
	x := hooks.CachedHost{
		Subnet4: e.r4.SubnetID, Subnet6: e.r6.SubnetID, IDType: hooks.HostIDType(e.r4.Type), Identifier: e.r4.Identifier,
		Addr: e.r4.Addr, Addrs: e.r6.Addrs, Negative: e.r4.Negative,
	}
	for i := range e.r6.Prefixes {
		x.Prefixes = append(x.Prefixes, e.r6.Prefixes[i].Prefix)
	}
	return x
}

// Entries implements hooks.HostCache.
func (h hookCache) Entries(match func(*hooks.CachedHost) bool) (out []hooks.CachedHost) {
	h.c.each(func(e *cachedHost) {
		if x := e.shown(); match(&x) {
			x.Text = e.text
			out = append(out, x)
		}
	})
	return out
}

// Remove implements hooks.HostCache.
func (h hookCache) Remove(match func(*hooks.CachedHost) bool, limit int) (n int) {
	h.s.reload.Lock()
	defer h.s.reload.Unlock()
	c := h.c
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*cachedHost
	for el := c.order.Front(); el != nil && (limit == 0 || len(out) < limit); {
		next := el.Next()
		if x := el.Value.(*cachedHost).shown(); match(&x) {
			out = append(out, c.take(el))
		}
		el = next
	}
	if len(out) > 0 {
		h.exchange(out, nil)
	}
	return len(out)
}

// Len implements hooks.HostCache.
func (h hookCache) Len() int {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.c.order.Len()
}

// Parse implements hooks.HostCache: both families' parts are read, those of a
// subnet together where nothing is wrong.
func (h hookCache) Parse(given []hooks.CacheEntry) ([]hooks.CachedHost, error) {
	if h.s.opt.FromJSON == nil {
		return nil, errors.New("read host: this server cannot")
	}
	snap := h.s.Snapshot()
	fresh := make([]*cachedHost, len(given))
	out := make([]hooks.CachedHost, len(given))
	by4, by6 := map[uint32][]int{}, map[uint32][]int{}
	for i := range given {
		fresh[i] = &cachedHost{}
		by4[given[i].Subnet4] = append(by4[given[i].Subnet4], i)
		by6[given[i].Subnet6] = append(by6[given[i].Subnet6], i)
	}
	err := eachBatch(by4, func(subnet uint32, at []int) error {
		raw := make([]json.RawMessage, len(at))
		for i, p := range at {
			raw[i] = given[p].Host4
		}
		l, forms, err := h.s.parseCached(snap, subnet, raw)
		for i := range l {
			l[i].SubnetID, l[i].Negative = subnet, given[at[i]].Negative
			fresh[at[i]].r4, out[at[i]].Form4 = l[i], forms[i]
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = eachBatch(by6, func(subnet uint32, at []int) error {
		raw := make([]json.RawMessage, len(at))
		for i, p := range at {
			raw[i] = given[p].Host6
		}
		l, forms, err := h.s.parseCached6(snap, subnet, raw)
		for i := range l {
			l[i].SubnetID, l[i].Negative = subnet, given[at[i]].Negative
			fresh[at[i]].r6, out[at[i]].Form6 = l[i], forms[i]
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, e := range fresh {
		e.r6.Type = e.r4.Type // not flex-id where that stood in for another
		x := e.shown()
		x.Form4, x.Form6, x.Reservation = out[i].Form4, out[i].Form6, e
		out[i] = x
	}
	return out, nil
}

// eachBatch calls f for some of a subnet at a time, and for each alone where f
// refuses some: only one of them may be wrong, or two go together in the cache
// that do not in a configuration.
func eachBatch(bySubnet map[uint32][]int, f func(subnet uint32, at []int) error) error {
	for subnet, at := range bySubnet {
		for ; len(at) > 0; at = at[min(len(at), parseBatch):] {
			batch := at[:min(len(at), parseBatch)]
			if f(subnet, batch) == nil {
				continue
			}
			for i := range batch {
				if err := f(subnet, batch[i:i+1]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// parseCached is parseHosts for hosts that may have no subnet.
func (s *Server) parseCached(snap *config.Snapshot, subnet uint32, raw []json.RawMessage) ([]*config.Reservation4, []json.RawMessage, error) {
	if subnet != hooks.NoSubnet {
		return s.parseHosts(snap, subnet, raw)
	}
	mini, forms, err := s.parseMini(snap, "Dhcp4", "subnet4", 1, "0.0.0.0/0", raw)
	if err != nil {
		return nil, nil, err
	}
	return mini.Dhcp4.Subnets[0].Reservations, forms, nil
}

// parseCached6 is parseCached for DHCPv6.
func (s *Server) parseCached6(snap *config.Snapshot, subnet uint32, raw []json.RawMessage) ([]*config.Reservation6, []json.RawMessage, error) {
	if subnet != hooks.NoSubnet {
		return s.parseHosts6(snap, subnet, raw)
	}
	mini, forms, err := s.parseMini(snap, "Dhcp6", "subnet6", 1, "::/0", raw)
	if err != nil {
		return nil, nil, err
	}
	return mini.Dhcp6.Subnets[0].Reservations, forms, nil
}

// maxCacheFile limits what is read into memory.
const maxCacheFile = 1 << 30

// path is where a file of that name is: in the data directory.
func (h hookCache) path(name string) (string, error) {
	snap := h.s.Snapshot()
	db := &snap.Dhcp4.LeaseDatabase
	if h.six != nil {
		db = &snap.Dhcp6.LeaseDatabase
	}
	dir := h.s.dataDirectory(db)
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
	if ownFile(path) || path == filepath.Clean(h.s.opt.ConfigFile) {
		return "", &hooks.PathError{Text: fmt.Sprintf("'%s' is a file of the server's own", filepath.Base(path))}
	}
	return path, nil
}

// WriteFile implements hooks.HostCache.
func (h hookCache) WriteFile(name string, text []byte) (string, error) {
	path, err := h.path(name)
	if err != nil {
		return "", err
	}
	return path, writeFileAtomically(path, text)
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
