package slowpath

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine"
	"github.com/peregrine-dhcp/peregrine/slowpath/host"
	"github.com/peregrine-dhcp/peregrine/slowpath/host6"
	"github.com/peregrine-dhcp/peregrine/slowpath/hostset"
	"github.com/peregrine-dhcp/peregrine/slowpath/hoststore"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// storedHosts are the reservations made by command: on disk in store, for
// look-ups in set.
type storedHosts struct {
	set  *host.Set  // never nil
	set6 *host6.Set // never nil
	mu   struct {
		sync.Mutex
		store *hoststore.Store // nil: not persisted
		servedHosts[config.Reservation4]
		six servedHosts[config.Reservation6]
		// optionDefs are those of the configuration whose hash this is, by part.
		hash       string
		optionDefs map[string][]byte
	}
}

// servedHosts are the stored reservations of a family by their numbers.
type servedHosts[R any] struct {
	byID map[uint64]*R
	ids  []uint64 // of byID, ascending
}

func (h *servedHosts[R]) put(id uint64, r *R) {
	if h.byID[id] == nil {
		i, _ := slices.BinarySearch(h.ids, id)
		h.ids = slices.Insert(h.ids, i, id)
	}
	h.byID[id] = r
}

func (h *servedHosts[R]) remove(id uint64) {
	delete(h.byID, id)
	if i, ok := slices.BinarySearch(h.ids, id); ok {
		h.ids = slices.Delete(h.ids, i, i+1)
	}
}

// storedText is how a reservation stands in the store.
type storedText struct {
	Family   int             `json:"family,omitempty"` // 6; 0 is DHCPv4
	SubnetID uint32          `json:"subnet-id"`
	Host     json.RawMessage `json:"host"`
}

// openHosts reads the reservations made by command. One that the configuration
// cannot read any more, since it uses an option that is not defined now, is kept
// and not served.
func (s *Server) openHosts() error {
	h := &s.hosts
	h.mu.byID = map[uint64]*config.Reservation4{}
	h.mu.six.byID = map[uint64]*config.Reservation6{}
	h.set, h.set6 = host.NewSet(nil), host6.NewSet(nil)
	if !s.opt.Snapshot.Dhcp4.LeaseDatabase.Persist && (s.six == nil || !s.six.persist) {
		return nil
	}
	store, err := hoststore.Open(hoststore.Options{Dir: LeaseDir(s.opt.Snapshot), FS: s.opt.FS})
	if err != nil {
		return err
	}
	h.mu.store = store
	if store.TornBytes > 0 {
		s.log.WithGroup("hosts").Warn("PEREGRINE_HOSTS_TAIL_CUT the last change of a host before the end was incomplete and is cut off; it was not answered",
			"bytes", store.TornBytes)
	}
	if store.Len() == 0 {
		return nil
	}
	if s.opt.FromJSON == nil {
		return errors.New("open host store: this server cannot read it")
	}
	lost := 0
	notServed := func(id uint64, err error) {
		if lost++; lost <= 10 {
			s.log.WithGroup("hosts").Warn("PEREGRINE_HOST_NOT_SERVED a stored host does not go with the configuration", "host", id, "error", err)
		}
	}
	stored := map[int]map[uint32][]storedItem{}
	store.Each(func(id uint64, text string) {
		it := storedItem{id: id}
		if err := json.Unmarshal([]byte(text), &it.text); err != nil {
			notServed(id, err)
			return
		}
		f, n := it.text.Family, it.text.SubnetID
		if stored[f] == nil {
			stored[f] = map[uint32][]storedItem{}
		}
		stored[f][n] = append(stored[f][n], it)
	})
	// What is of a family that the configuration has not is kept.
	list := serveStored(&h.mu.servedHosts, stored[0], func(subnetID uint32, raw []json.RawMessage) ([]*config.Reservation4, error) {
		l, _, err := s.parseHosts(s.opt.Snapshot, subnetID, raw)
		return l, err
	}, notServed)
	h.set = host.NewSet(list)
	var list6 []*config.Reservation6
	if s.six != nil {
		list6 = serveStored(&h.mu.six, stored[6], func(subnetID uint32, raw []json.RawMessage) ([]*config.Reservation6, error) {
			l, _, err := s.parseHosts6(s.opt.Snapshot, subnetID, raw)
			return l, err
		}, notServed)
		h.set6 = host6.NewSet(list6)
	}
	s.log.WithGroup("hosts").Info("PEREGRINE_HOSTS_LOADED hosts reserved by command are loaded", "hosts", len(list)+len(list6), "not-served", lost)
	return nil
}

// storedItem is a reservation as it is in the store.
type storedItem struct {
	id   uint64
	text storedText
}

// parseBatch is how many stored reservations are read by one configuration.
const parseBatch = 1000

// serveStored reads what is stored of a family, by subnet, many at a time where
// nothing is wrong.
func serveStored[R any](h *servedHosts[R], bySubnet map[uint32][]storedItem,
	parse func(subnetID uint32, raw []json.RawMessage) ([]*R, error), notServed func(id uint64, err error)) (all []*R) {
	take := func(id uint64, r *R) {
		h.byID[id] = r
		h.ids = append(h.ids, id)
		all = append(all, r)
	}
	for subnetID, items := range bySubnet {
		for batch := range slices.Chunk(items, parseBatch) {
			raw := make([]json.RawMessage, len(batch))
			for i := range batch {
				raw[i] = batch[i].text.Host
			}
			if list, err := parse(subnetID, raw); err == nil {
				for i := range batch {
					take(batch[i].id, list[i])
				}
				continue
			}
			for i := range batch {
				list, err := parse(subnetID, raw[i:i+1])
				if err != nil {
					notServed(batch[i].id, err)
				} else {
					take(batch[i].id, list[0])
				}
			}
		}
	}
	slices.Sort(h.ids)
	return all
}

// parseHosts reads reservations of a subnet as snap would; see parseMini.
func (s *Server) parseHosts(snap *config.Snapshot, subnetID uint32, raw []json.RawMessage) (list []*config.Reservation4, forms []json.RawMessage, err error) {
	prefix := "0.0.0.0/0" // a subnet that is not configured now: nothing to hold the address against
	for _, x := range snap.Dhcp4.Subnets {
		if x.ID == subnetID {
			prefix = x.Prefix.String()
		}
	}
	mini, forms, err := s.parseMini(snap, "Dhcp4", "subnet4", subnetID, prefix, raw)
	if err != nil {
		return nil, nil, err
	}
	if subnetID == 0 {
		return mini.Dhcp4.GlobalReservations, forms, nil
	}
	return mini.Dhcp4.Subnets[0].Reservations, forms, nil
}

// parseMini reads reservations of a subnet, or with id 0 global ones, as snap
// would: by a configuration that has nothing but its option definitions, the
// subnet, and them. forms are config-get's.
func (s *Server) parseMini(snap *config.Snapshot, part, key string, subnetID uint32, prefix string, raw []json.RawMessage) (mini *config.Snapshot, forms []json.RawMessage, err error) {
	defs, err := s.optionDefs(snap, part)
	if err != nil {
		return nil, nil, err
	}
	hosts, err := json.Marshal(raw)
	if err != nil {
		return nil, nil, err
	}
	path := []any{part, "reservations"}
	text := fmt.Sprintf(`"reservations":%s`, hosts)
	if subnetID != 0 {
		path = []any{part, key, 0, "reservations"}
		text = fmt.Sprintf(`%q:[{"id":%d,"subnet":%q,%s}]`, key, subnetID, prefix, text)
	}
	if mini, err = s.opt.FromJSON(fmt.Appendf(nil, `{%q:{"option-def":%s,%s}}`, part, defs, text)); err != nil {
		return nil, nil, asConfigError(err)
	}
	e, err := keajson.NewEdit(mini.Get)
	if err != nil {
		return nil, nil, err
	}
	for i := range raw {
		n := e.At(append(path[:len(path):len(path)], i)...)
		if n == nil {
			return nil, nil, errors.New("read host: it is not in its own configuration")
		}
		forms = append(forms, n.AppendJSON(nil))
	}
	return mini, forms, nil
}

// position is a place in a text that a command has made.
var position = regexp.MustCompile(`,? (first )?(given )?at config-set:\d+:\d+`)

// asConfigError takes the positions off an error of a text that nobody has
// written.
func asConfigError(err error) error {
	if l := config.AsErrors(err); l != nil && len(l.List) > 0 {
		return &hooks.ConfigError{Text: position.ReplaceAllString(l.List[0].Msg, "")}
	}
	return err
}

// optionDefs is the option-def of a part of a configuration, remembered for the
// last one.
func (s *Server) optionDefs(snap *config.Snapshot, part string) ([]byte, error) {
	h := &s.hosts
	h.mu.Lock()
	defer h.mu.Unlock()
	if d := h.mu.optionDefs[part]; h.mu.hash == snap.Hash && d != nil {
		return d, nil
	}
	e, err := keajson.NewEdit(snap.Get)
	if err != nil {
		return nil, err
	}
	h.mu.hash, h.mu.optionDefs = snap.Hash, map[string][]byte{}
	for _, p := range []string{"Dhcp4", "Dhcp6"} {
		h.mu.optionDefs[p] = []byte("[]")
		if n := e.At(p, "option-def"); n != nil {
			h.mu.optionDefs[p] = n.AppendJSON(nil)
		}
	}
	return h.mu.optionDefs[part], nil
}

// engineConfig is the engine's part of a configuration, with the hosts reserved
// by command.
func (s *Server) engineConfig(snap *config.Snapshot, pipe *hooks.Pipeline) *engine.Config {
	ec := engine.NewConfig(snap, s.callouts(pipe))
	if pipe.UsesHostCache() {
		ec.Hosts.SetMore(s.cache.use(), s.hosts.set)
		s.cache.each(func(e *cachedHost) { reserve(ec, e.r4, true) })
	} else {
		ec.Hosts.SetMore(s.hosts.set)
		s.cache.clear()
	}
	s.hosts.mu.Lock()
	defer s.hosts.mu.Unlock()
	for _, r := range s.hosts.mu.byID {
		reserve(ec, r, true)
	}
	return ec
}

// reserve keeps a host's address from the allocator, or gives it back, where
// reservations of its subnet do that (V4-122).
func reserve(ec *engine.Config, r *config.Reservation4, on bool) {
	if r.Addr == 0 || r.SubnetID == 0 || r.Negative {
		return
	}
	x := ec.Subnets.ByID(r.SubnetID)
	if x == nil || !x.ReservationsInSubnet || x.ReservationsOutOfPool {
		return
	}
	if !on && (ec.Hosts.ByAddr(r.SubnetID, r.Addr) != nil || ec.Snapshot.Dhcp4.Compatibility.ExcludeFirstLast24) {
		return // the configuration keeps it too, or may
	}
	ec.Alloc.Reserve(r.SubnetID, r.Addr, on)
}

// hookHosts is the host reservations as hook libraries change them
// (hooks.HostStore).
type hookHosts struct{ s *Server }

var _ hooks.HostStore = hookHosts{}

func storedHost(id uint64, r *config.Reservation4) hooks.StoredHost {
	return hooks.StoredHost{ID: id, SubnetID: r.SubnetID, IDType: hooks.HostIDType(r.Type), Identifier: r.Identifier, Addr: r.Addr, Hostname: r.Hostname}
}

// Parse implements hooks.HostStore.
func (h hookHosts) Parse(subnetID uint32, raw json.RawMessage) (hooks.StoredHost, error) {
	if h.s.opt.FromJSON == nil {
		return hooks.StoredHost{}, errors.New("read host: this server cannot")
	}
	list, forms, err := h.s.parseHosts(h.s.Snapshot(), subnetID, []json.RawMessage{raw})
	if err != nil {
		return hooks.StoredHost{}, err
	}
	x := storedHost(0, list[0])
	x.Form = forms[0]
	return x, nil
}

// Configured implements hooks.HostStore. Reservations are numbered global ones
// first, then by subnet.
func (h hookHosts) Configured(match func(*hooks.StoredHost) bool, limit int) (out []hooks.StoredHost, err error) {
	snap := h.s.Snapshot()
	lists := [][]*config.Reservation4{snap.Dhcp4.GlobalReservations}
	for _, x := range snap.Dhcp4.Subnets {
		lists = append(lists, x.Reservations)
	}
	return configuredHosts(snap, "Dhcp4", "subnet4", lists, storedHost, match, limit)
}

// configuredHosts is Configured of a family whose reservations are lists.
func configuredHosts[R any](snap *config.Snapshot, part, key string, lists [][]*R, shown func(id uint64, r *R) hooks.StoredHost,
	match func(*hooks.StoredHost) bool, limit int) (out []hooks.StoredHost, err error) {
	var places []int // in the list of the subnet
	id := uint64(0)
	for _, list := range lists {
		for i, r := range list {
			id++
			x := shown(id, r)
			if (limit == 0 || len(out) < limit) && match(&x) {
				out, places = append(out, x), append(places, i)
			}
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	e, err := keajson.NewEdit(snap.Get)
	if err != nil {
		return nil, err
	}
	t := &configTree{e, part, true}
	for i, at := range places {
		path := []any{}
		if out[i].SubnetID != 0 {
			path = hooks.SubnetPath(t, key, out[i].SubnetID)
		}
		out[i].Form = t.Get(append(path, "reservations", at)...)
	}
	return out, nil
}

// Stored implements hooks.HostStore.
func (h hookHosts) Stored(match func(*hooks.StoredHost) bool, limit int) ([]hooks.StoredHost, error) {
	m := &h.s.hosts.mu
	m.Lock()
	defer m.Unlock()
	return m.find(m.store, storedHost, match, limit)
}

// find is Stored of a family. The caller holds mu.
func (f *servedHosts[R]) find(store *hoststore.Store, shown func(id uint64, r *R) hooks.StoredHost,
	match func(*hooks.StoredHost) bool, limit int) (out []hooks.StoredHost, err error) {
	for _, id := range f.ids {
		x := shown(id, f.byID[id])
		if !match(&x) {
			continue
		}
		text, _ := store.Text(id)
		var st storedText
		if err := json.Unmarshal([]byte(text), &st); err != nil {
			return nil, fmt.Errorf("read stored host %d: %w", id, err)
		}
		x.Form = st.Host
		if out = append(out, x); len(out) == limit {
			break
		}
	}
	return out, nil
}

// reservation turns what Parse has returned into what look-ups give.
func (h hookHosts) reservation(x *hooks.StoredHost) (*config.Reservation4, string, error) {
	list, _, err := h.s.parseHosts(h.s.Snapshot(), x.SubnetID, []json.RawMessage{x.Form})
	if err != nil {
		return nil, "", err
	}
	text, err := json.Marshal(storedText{0, x.SubnetID, x.Form})
	return list[0], string(text), err
}

func existing(err error) error {
	if errors.Is(err, hostset.ErrSameIdentifier) || errors.Is(err, hostset.ErrSameAddress) {
		return fmt.Errorf("%w: %w", hooks.ErrHostExists, err)
	}
	return err
}

// change begins a change of stored hosts: no configuration is put in force until
// done is called, so that the allocator that is told is the one that counts.
func (h *storedHosts) change(s *Server) (done func()) {
	s.reload.Lock()
	h.mu.Lock()
	return func() {
		h.mu.Unlock()
		s.reload.Unlock()
	}
}

// hostSet is what look-ups of a family go to.
type hostSet[R any] interface {
	Check(h, except *R) error
	Add(h *R) error
	Replace(old, next *R) error
	Remove(h *R) bool
}

// storeHost adds a reservation, which is looked up from the moment it is on disk.
func (f *servedHosts[R]) storeHost(store *hoststore.Store, set hostSet[R], r *R, text string) (id uint64, err error) {
	if store == nil {
		return 0, hooks.ErrNoHostStore
	}
	if err := set.Check(r, nil); err != nil {
		return 0, existing(err)
	}
	if id, err = store.Add(text); err != nil {
		return 0, err
	}
	if err := set.Add(r); err != nil {
		return 0, existing(err)
	}
	f.put(id, r)
	return id, nil
}

// replaceHost puts a reservation in the place of another, which it returns.
func (f *servedHosts[R]) replaceHost(store *hoststore.Store, set hostSet[R], id uint64, r *R, text string) (old *R, err error) {
	if old = f.byID[id]; old == nil {
		return nil, hooks.ErrNoHost
	}
	if err := set.Check(r, old); err != nil {
		return nil, existing(err)
	}
	if err := store.Put(id, text); err != nil {
		return nil, err
	}
	if err := set.Replace(old, r); err != nil {
		return nil, existing(err)
	}
	f.put(id, r)
	return old, nil
}

// deleteHost removes a reservation and returns it.
func (f *servedHosts[R]) deleteHost(store *hoststore.Store, set hostSet[R], id uint64) (old *R, err error) {
	if old = f.byID[id]; old == nil {
		return nil, hooks.ErrNoHost
	}
	if err := store.Delete(id); err != nil {
		return nil, err
	}
	set.Remove(old)
	f.remove(id)
	return old, nil
}

// Add implements hooks.HostStore.
func (h hookHosts) Add(_ context.Context, x *hooks.StoredHost) error {
	r, text, err := h.reservation(x)
	if err != nil {
		return err
	}
	defer h.s.hosts.change(h.s)()
	m := &h.s.hosts.mu
	store := m.store
	if !h.s.Snapshot().Dhcp4.LeaseDatabase.Persist {
		store = nil
	}
	if x.ID, err = m.storeHost(store, h.s.hosts.set, r, text); err == nil {
		reserve(h.s.engine.Config(), r, true)
	}
	return err
}

// Replace implements hooks.HostStore.
func (h hookHosts) Replace(_ context.Context, id uint64, x *hooks.StoredHost) error {
	r, text, err := h.reservation(x)
	if err != nil {
		return err
	}
	defer h.s.hosts.change(h.s)()
	m := &h.s.hosts.mu
	old, err := m.replaceHost(m.store, h.s.hosts.set, id, r, text)
	if err == nil {
		reserve(h.s.engine.Config(), old, false)
		reserve(h.s.engine.Config(), r, true)
	}
	return err
}

// Delete implements hooks.HostStore.
func (h hookHosts) Delete(_ context.Context, id uint64) error {
	defer h.s.hosts.change(h.s)()
	m := &h.s.hosts.mu
	old, err := m.deleteHost(m.store, h.s.hosts.set, id)
	if err == nil {
		reserve(h.s.engine.Config(), old, false)
	}
	return err
}
