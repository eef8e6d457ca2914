package slowpath

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine6"
)

// parseHosts6 is parseHosts for DHCPv6.
func (s *Server) parseHosts6(snap *config.Snapshot, subnetID uint32, raw []json.RawMessage) (list []*config.Reservation6, forms []json.RawMessage, err error) {
	prefix := "::/0" // a subnet that is not configured now
	if snap.Dhcp6 != nil {
		for _, x := range snap.Dhcp6.Subnets {
			if x.ID == subnetID {
				prefix = x.Prefix.String()
			}
		}
	}
	mini, forms, err := s.parseMini(snap, "Dhcp6", "subnet6", subnetID, prefix, raw)
	if err != nil {
		return nil, nil, err
	}
	if subnetID == 0 {
		return mini.Dhcp6.GlobalReservations, forms, nil
	}
	return mini.Dhcp6.Subnets[0].Reservations, forms, nil
}

// engineConfig is Server.engineConfig for DHCPv6.
func (x *server6) engineConfig(snap *config.Snapshot, pipe *hooks.Pipeline) *engine6.Config {
	ec := engine6.NewConfig(snap, x.id, x.callouts(pipe))
	h := &x.s.hosts
	if pipe.UsesHostCache() {
		ec.Hosts.SetMore(x.s.cache6.use6(), h.set6)
		x.s.cache6.each(func(e *cachedHost) { reserve6(ec, e.r6, true) })
	} else {
		ec.Hosts.SetMore(h.set6)
		x.s.cache6.clear()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.mu.six.byID {
		reserve6(ec, r, true)
	}
	return ec
}

// reserve6 is reserve for DHCPv6: all addresses and prefixes of the host.
func reserve6(ec *engine6.Config, r *config.Reservation6, on bool) {
	s := ec.Subnets.ByID(r.SubnetID)
	if s == nil || !s.ReservationsInSubnet || s.ReservationsOutOfPool || r.Negative {
		return
	}
	for _, a := range r.Addrs {
		ec.Alloc.Reserve(r.SubnetID, netip.PrefixFrom(a, 128), false, on)
	}
	for i := range r.Prefixes {
		ec.Alloc.Reserve(r.SubnetID, r.Prefixes[i].Prefix, true, on)
	}
}

// hookHosts6 is hookHosts for DHCPv6.
type hookHosts6 struct{ s *Server }

var _ hooks.HostStore = hookHosts6{}

func storedHost6(id uint64, r *config.Reservation6) hooks.StoredHost {
	x := hooks.StoredHost{ID: id, SubnetID: r.SubnetID, IDType: hooks.HostIDType(r.Type), Identifier: r.Identifier, Addrs: r.Addrs, Hostname: r.Hostname}
	for i := range r.Prefixes {
		x.Prefixes = append(x.Prefixes, r.Prefixes[i].Prefix)
	}
	return x
}

// Parse implements hooks.HostStore.
func (h hookHosts6) Parse(subnetID uint32, raw json.RawMessage) (hooks.StoredHost, error) {
	if h.s.opt.FromJSON == nil {
		return hooks.StoredHost{}, errors.New("read host: this server cannot")
	}
	list, forms, err := h.s.parseHosts6(h.s.Snapshot(), subnetID, []json.RawMessage{raw})
	if err != nil {
		return hooks.StoredHost{}, err
	}
	x := storedHost6(0, list[0])
	x.Form = forms[0]
	return x, nil
}

// Configured implements hooks.HostStore.
func (h hookHosts6) Configured(match func(*hooks.StoredHost) bool, limit int) ([]hooks.StoredHost, error) {
	snap := h.s.Snapshot()
	lists := [][]*config.Reservation6{snap.Dhcp6.GlobalReservations}
	for _, x := range snap.Dhcp6.Subnets {
		lists = append(lists, x.Reservations)
	}
	return configuredHosts(snap, "Dhcp6", "subnet6", lists, storedHost6, match, limit)
}

// Stored implements hooks.HostStore.
func (h hookHosts6) Stored(match func(*hooks.StoredHost) bool, limit int) ([]hooks.StoredHost, error) {
	m := &h.s.hosts.mu
	m.Lock()
	defer m.Unlock()
	return m.six.find(m.store, storedHost6, match, limit)
}

func (h hookHosts6) reservation(x *hooks.StoredHost) (*config.Reservation6, string, error) {
	list, _, err := h.s.parseHosts6(h.s.Snapshot(), x.SubnetID, []json.RawMessage{x.Form})
	if err != nil {
		return nil, "", err
	}
	text, err := json.Marshal(storedText{6, x.SubnetID, x.Form})
	return list[0], string(text), err
}

// Add implements hooks.HostStore.
func (h hookHosts6) Add(_ context.Context, x *hooks.StoredHost) error {
	r, text, err := h.reservation(x)
	if err != nil {
		return err
	}
	defer h.s.hosts.change(h.s)()
	m := &h.s.hosts.mu
	store := m.store
	if !h.s.six.persist {
		store = nil
	}
	if x.ID, err = m.six.storeHost(store, h.s.hosts.set6, r, text); err == nil {
		reserve6(h.s.six.engine.Config(), r, true)
	}
	return err
}

// Replace implements hooks.HostStore.
func (h hookHosts6) Replace(_ context.Context, id uint64, x *hooks.StoredHost) error {
	r, text, err := h.reservation(x)
	if err != nil {
		return err
	}
	defer h.s.hosts.change(h.s)()
	m := &h.s.hosts.mu
	old, err := m.six.replaceHost(m.store, h.s.hosts.set6, id, r, text)
	if err == nil {
		reserve6(h.s.six.engine.Config(), old, false)
		reserve6(h.s.six.engine.Config(), r, true)
	}
	return err
}

// Delete implements hooks.HostStore.
func (h hookHosts6) Delete(_ context.Context, id uint64) error {
	defer h.s.hosts.change(h.s)()
	m := &h.s.hosts.mu
	old, err := m.six.deleteHost(m.store, h.s.hosts.set6, id)
	if err == nil {
		reserve6(h.s.six.engine.Config(), old, false)
	}
	return err
}
