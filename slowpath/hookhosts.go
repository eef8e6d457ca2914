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
	"github.com/peregrine-dhcp/peregrine/slowpath/hoststore"
)

// storedHosts are the reservations made by command: on disk in store, for
// look-ups in set.
type storedHosts struct {
	set *host.Set // never nil
	mu  struct {
		sync.Mutex
		store *hoststore.Store // nil: not persisted
		byID  map[uint64]*config.Reservation4
		ids   []uint64 // of byID, ascending
		// optionDefs are those of the configuration whose hash this is.
		hash       string
		optionDefs []byte
	}
}

// storedText is how a reservation stands in the store.
type storedText struct {
	SubnetID uint32          `json:"subnet-id"`
	Host     json.RawMessage `json:"host"`
}

// openHosts reads the reservations made by command. One that the configuration
// cannot read any more, since it uses an option that is not defined now, is kept
// and not served.
func (s *Server) openHosts() error {
	h := &s.hosts
	h.mu.byID = map[uint64]*config.Reservation4{}
	h.set = host.NewSet(nil)
	if !s.opt.Snapshot.Dhcp4.LeaseDatabase.Persist {
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
	var list []*config.Reservation4
	lost := 0
	s.parseStored(func(id uint64, r *config.Reservation4, err error) {
		if err != nil {
			if lost++; lost <= 10 {
				s.log.WithGroup("hosts").Warn("PEREGRINE_HOST_NOT_SERVED a stored host does not go with the configuration", "host", id, "error", err)
			}
			return
		}
		h.mu.byID[id] = r
		h.mu.ids = append(h.mu.ids, id)
		list = append(list, r)
	})
	slices.Sort(h.mu.ids)
	h.set = host.NewSet(list)
	s.log.WithGroup("hosts").Info("PEREGRINE_HOSTS_LOADED hosts reserved by command are loaded", "hosts", len(list), "not-served", lost)
	return nil
}

// parseBatch is how many stored reservations are read by one configuration.
const parseBatch = 1000

// parseStored reads all that is stored, many at a time where nothing is wrong.
func (s *Server) parseStored(f func(id uint64, r *config.Reservation4, err error)) {
	type item struct {
		id   uint64
		text storedText
	}
	bySubnet := map[uint32][]item{}
	s.hosts.mu.store.Each(func(id uint64, text string) {
		it := item{id: id}
		if err := json.Unmarshal([]byte(text), &it.text); err != nil {
			f(id, nil, err)
			return
		}
		bySubnet[it.text.SubnetID] = append(bySubnet[it.text.SubnetID], it)
	})
	for subnetID, items := range bySubnet {
		for batch := range slices.Chunk(items, parseBatch) {
			raw := make([]json.RawMessage, len(batch))
			for i := range batch {
				raw[i] = batch[i].text.Host
			}
			if list, _, err := s.parseHosts(s.opt.Snapshot, subnetID, raw); err == nil {
				for i := range batch {
					f(batch[i].id, list[i], nil)
				}
				continue
			}
			for i := range batch {
				list, _, err := s.parseHosts(s.opt.Snapshot, subnetID, raw[i:i+1])
				if err != nil {
					f(batch[i].id, nil, err)
				} else {
					f(batch[i].id, list[0], nil)
				}
			}
		}
	}
}

// parseHosts reads reservations of a subnet as snap would: by a configuration
// that has nothing but its option definitions, the subnet, and them. forms are
// config-get's.
func (s *Server) parseHosts(snap *config.Snapshot, subnetID uint32, raw []json.RawMessage) (list []*config.Reservation4, forms []json.RawMessage, err error) {
	defs, err := s.optionDefs(snap)
	if err != nil {
		return nil, nil, err
	}
	hosts, err := json.Marshal(raw)
	if err != nil {
		return nil, nil, err
	}
	path := []any{"Dhcp4", "reservations"}
	text := fmt.Sprintf(`"reservations":%s`, hosts)
	if subnetID != 0 {
		prefix := "0.0.0.0/0" // a subnet that is not configured now: nothing to hold the address against
		for _, x := range snap.Dhcp4.Subnets {
			if x.ID == subnetID {
				prefix = x.Prefix.String()
			}
		}
		path = []any{"Dhcp4", "subnet4", 0, "reservations"}
		text = fmt.Sprintf(`"subnet4":[{"id":%d,"subnet":%q,%s}]`, subnetID, prefix, text)
	}
	mini, err := s.opt.FromJSON(fmt.Appendf(nil, `{"Dhcp4":{"option-def":%s,%s}}`, defs, text))
	if err != nil {
		return nil, nil, asConfigError(err)
	}
	list = mini.Dhcp4.GlobalReservations
	if subnetID != 0 {
		list = mini.Dhcp4.Subnets[0].Reservations
	}
	e, err := config.NewEdit(mini.Get)
	if err != nil {
		return nil, nil, err
	}
	for i := range list {
		forms = append(forms, e.At(append(path[:len(path):len(path)], i)...).AppendJSON(nil))
	}
	return list, forms, nil
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

// optionDefs is the option-def of a configuration, remembered for the last one.
func (s *Server) optionDefs(snap *config.Snapshot) ([]byte, error) {
	h := &s.hosts
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.hash == snap.Hash && h.mu.optionDefs != nil {
		return h.mu.optionDefs, nil
	}
	e, err := config.NewEdit(snap.Get)
	if err != nil {
		return nil, err
	}
	h.mu.hash, h.mu.optionDefs = snap.Hash, []byte("[]")
	if n := e.At("Dhcp4", "option-def"); n != nil {
		h.mu.optionDefs = n.AppendJSON(nil)
	}
	return h.mu.optionDefs, nil
}

// engineConfig is the engine's part of a configuration, with the hosts reserved
// by command.
func (s *Server) engineConfig(snap *config.Snapshot, pipe *hooks.Pipeline) *engine.Config {
	ec := engine.NewConfig(snap, s.callouts(pipe))
	if pipe.UsesHostCache() {
		ec.Hosts.SetMore(s.cache.use(), s.hosts.set)
		s.cache.each(func(r *config.Reservation4) { reserve(ec, r, true) })
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
	if r.Addr == 0 || r.SubnetID == 0 {
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
// (hooks.HostStore4).
type hookHosts struct{ s *Server }

var _ hooks.HostStore4 = hookHosts{}

func storedHost(id uint64, r *config.Reservation4) hooks.StoredHost4 {
	return hooks.StoredHost4{ID: id, SubnetID: r.SubnetID, IDType: hooks.HostIDType(r.Type), Identifier: r.Identifier, Addr: r.Addr, Hostname: r.Hostname}
}

// Parse implements hooks.HostStore4.
func (h hookHosts) Parse(subnetID uint32, raw json.RawMessage) (hooks.StoredHost4, error) {
	if h.s.opt.FromJSON == nil {
		return hooks.StoredHost4{}, errors.New("read host: this server cannot")
	}
	list, forms, err := h.s.parseHosts(h.s.Snapshot(), subnetID, []json.RawMessage{raw})
	if err != nil {
		return hooks.StoredHost4{}, err
	}
	x := storedHost(0, list[0])
	x.Form = forms[0]
	return x, nil
}

// Configured implements hooks.HostStore4. Reservations are numbered global ones
// first, then by subnet.
func (h hookHosts) Configured(match func(*hooks.StoredHost4) bool, limit int) (out []hooks.StoredHost4, err error) {
	snap := h.s.Snapshot()
	type place struct {
		subnetID uint32
		i        int
	}
	var places []place
	id := uint64(0)
	add := func(list []*config.Reservation4) {
		for i, r := range list {
			id++
			x := storedHost(id, r)
			if (limit == 0 || len(out) < limit) && match(&x) {
				out, places = append(out, x), append(places, place{r.SubnetID, i})
			}
		}
	}
	add(snap.Dhcp4.GlobalReservations)
	for _, x := range snap.Dhcp4.Subnets {
		add(x.Reservations)
	}
	if len(out) == 0 {
		return nil, nil
	}
	e, err := config.NewEdit(snap.Get)
	if err != nil {
		return nil, err
	}
	t := &configTree{e, "Dhcp4", true}
	for i, p := range places {
		path := []any{}
		if p.subnetID != 0 {
			path = hooks.SubnetPath(t, "subnet4", p.subnetID)
		}
		out[i].Form = t.Get(append(path, "reservations", p.i)...)
	}
	return out, nil
}

// Stored implements hooks.HostStore4.
func (h hookHosts) Stored(match func(*hooks.StoredHost4) bool, limit int) (out []hooks.StoredHost4, err error) {
	m := &h.s.hosts.mu
	m.Lock()
	defer m.Unlock()
	for _, id := range m.ids {
		x := storedHost(id, m.byID[id])
		if !match(&x) {
			continue
		}
		text, _ := m.store.Text(id)
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
func (h hookHosts) reservation(x *hooks.StoredHost4) (*config.Reservation4, string, error) {
	list, _, err := h.s.parseHosts(h.s.Snapshot(), x.SubnetID, []json.RawMessage{x.Form})
	if err != nil {
		return nil, "", err
	}
	text, err := json.Marshal(storedText{x.SubnetID, x.Form})
	return list[0], string(text), err
}

func existing(err error) error {
	if errors.Is(err, host.ErrSameIdentifier) || errors.Is(err, host.ErrSameAddress) {
		return fmt.Errorf("%w: %w", hooks.ErrHostExists, err)
	}
	return err
}

// Add implements hooks.HostStore4. The host is looked up from the moment it is
// on disk.
func (h hookHosts) Add(_ context.Context, x *hooks.StoredHost4) error {
	r, text, err := h.reservation(x)
	if err != nil {
		return err
	}
	m := &h.s.hosts.mu
	m.Lock()
	defer m.Unlock()
	if m.store == nil {
		return hooks.ErrNoHostStore
	}
	if err := h.s.hosts.set.Check(r, nil); err != nil {
		return existing(err)
	}
	id, err := m.store.Add(text)
	if err != nil {
		return err
	}
	if err := h.s.hosts.set.Add(r); err != nil {
		return existing(err)
	}
	x.ID = id
	m.byID[id] = r
	m.ids = append(m.ids, id)
	reserve(h.s.engine.Config(), r, true)
	return nil
}

// Replace implements hooks.HostStore4.
func (h hookHosts) Replace(_ context.Context, id uint64, x *hooks.StoredHost4) error {
	r, text, err := h.reservation(x)
	if err != nil {
		return err
	}
	m := &h.s.hosts.mu
	m.Lock()
	defer m.Unlock()
	old := m.byID[id]
	if old == nil {
		return hooks.ErrNoHost
	}
	if err := h.s.hosts.set.Check(r, old); err != nil {
		return existing(err)
	}
	if err := m.store.Put(id, text); err != nil {
		return err
	}
	if err := h.s.hosts.set.Replace(old, r); err != nil {
		return existing(err)
	}
	m.byID[id] = r
	reserve(h.s.engine.Config(), old, false)
	reserve(h.s.engine.Config(), r, true)
	return nil
}

// Delete implements hooks.HostStore4.
func (h hookHosts) Delete(_ context.Context, id uint64) error {
	m := &h.s.hosts.mu
	m.Lock()
	defer m.Unlock()
	old := m.byID[id]
	if old == nil {
		return hooks.ErrNoHost
	}
	if err := m.store.Delete(id); err != nil {
		return err
	}
	h.s.hosts.set.Remove(old)
	delete(m.byID, id)
	if i, ok := slices.BinarySearch(m.ids, id); ok {
		m.ids = slices.Delete(m.ids, i, i+1)
	}
	reserve(h.s.engine.Config(), old, false)
	return nil
}
