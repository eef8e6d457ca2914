package slowpath

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/alloc"
	"github.com/peregrine-dhcp/peregrine/slowpath/alloc6"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// hookConfig is the configuration in force as hook libraries see and change it
// (hooks.Configuration).
type hookConfig struct {
	s    *Server
	part string // Dhcp4 or Dhcp6
}

var _ hooks.Configuration = hookConfig{}

func subnetOf(x *config.Subnet4) hooks.Subnet4 {
	s := hooks.Subnet4{ID: x.ID, Prefix: x.Prefix, Text: x.Text, ValidLifetimeS: x.Valid.Default, Guarded: len(x.ClientClasses) > 0}
	if x.Network != nil {
		s.Network = x.Network.Name
		s.Guarded = s.Guarded || len(x.Network.ClientClasses) > 0
	}
	return s
}

// Subnet4 implements hooks.Configuration.
func (h hookConfig) Subnet4(id uint32) (hooks.Subnet4, bool) {
	if x := h.s.engine.Config().Subnets.ByID(id); x != nil {
		return subnetOf(x), true
	}
	return hooks.Subnet4{}, false
}

// SubnetOf4 implements hooks.Configuration.
func (h hookConfig) SubnetOf4(addr dhcp4.IPv4) (hooks.Subnet4, bool) {
	if l := h.s.engine.Config().Subnets.Covering(addr); len(l) > 0 {
		return subnetOf(l[0]), true
	}
	return hooks.Subnet4{}, false
}

// EachSubnet4 implements hooks.Configuration.
func (h hookConfig) EachSubnet4(f func(*hooks.Subnet4, *hooks.SubnetCounts4) bool) {
	ec := h.s.engine.Config()
	counts := map[uint32]hooks.SubnetCounts4{}
	ec.Alloc.EachSubnet(func(x *alloc.SubnetStats) {
		counts[x.SubnetID] = hooks.SubnetCounts4{Total: x.Total, Cumulative: x.Cumulative, Assigned: x.Assigned, Declined: x.Declined}
	})
	for _, x := range ec.Subnets.All() {
		s, n := subnetOf(x), counts[x.ID]
		if !f(&s, &n) {
			return
		}
	}
}

func subnetOf6(x *config.Subnet6) hooks.Subnet6 {
	s := hooks.Subnet6{ID: x.ID, Prefix: x.Prefix, Text: x.Text, ValidLifetimeS: x.Valid.Default}
	s.Guarded = len(x.ClientClasses) > 0
	if x.Network != nil {
		s.Network = x.Network.Name
		s.Guarded = s.Guarded || len(x.Network.ClientClasses) > 0
	}
	return s
}

// Subnet6 implements hooks.Configuration.
func (h hookConfig) Subnet6(id uint32) (hooks.Subnet6, bool) {
	if h.s.six != nil {
		if x := h.s.six.engine.Config().Subnets.ByID(id); x != nil {
			return subnetOf6(x), true
		}
	}
	return hooks.Subnet6{}, false
}

// SubnetOf6 implements hooks.Configuration.
func (h hookConfig) SubnetOf6(addr netip.Addr) (hooks.Subnet6, bool) {
	if h.s.six != nil {
		if l := h.s.six.engine.Config().Subnets.Covering(addr); len(l) > 0 {
			return subnetOf6(l[0]), true
		}
	}
	return hooks.Subnet6{}, false
}

// EachSubnet6 implements hooks.Configuration.
func (h hookConfig) EachSubnet6(f func(*hooks.Subnet6, *hooks.SubnetCounts6) bool) {
	if h.s.six == nil {
		return
	}
	ec := h.s.six.engine.Config()
	counts := map[uint32]hooks.SubnetCounts6{}
	ec.Alloc.EachSubnet(func(x *alloc6.SubnetStats) {
		counts[x.SubnetID] = hooks.SubnetCounts6{
			TotalNA: json.Number(x.NA.Total.String()), TotalPD: json.Number(x.PD.Total.String()),
			CumulativeNA: x.NA.Cumulative, AssignedNA: x.NA.Assigned, DeclinedNA: x.NA.Declined, RegisteredNA: x.NA.Registered,
			CumulativePD: x.PD.Cumulative, AssignedPD: x.PD.Assigned,
		}
	})
	for _, x := range ec.Subnets.All() {
		s, n := subnetOf6(x), counts[x.ID]
		if !f(&s, &n) {
			return
		}
	}
}

// configTree is one family's part of a configuration being read or changed.
type configTree struct {
	e    *keajson.Edit
	part string
	ro   bool
}

func (t *configTree) path(p []any) []any { return append([]any{t.part}, p...) }

// Get implements hooks.ConfigTree.
func (t *configTree) Get(path ...any) json.RawMessage {
	if n := t.e.At(t.path(path)...); n != nil {
		return n.AppendJSON(nil)
	}
	return nil
}

// Len implements hooks.ConfigTree.
func (t *configTree) Len(path ...any) int {
	if n := t.e.At(t.path(path)...); n != nil && n.Kind == keajson.List {
		return len(n.Kids)
	}
	return 0
}

// Set implements hooks.ConfigTree.
func (t *configTree) Set(value json.RawMessage, path ...any) error {
	if t.ro {
		return errors.New("set: this configuration is only looked at")
	}
	return t.e.Set(value, t.path(path)...)
}

// Remove implements hooks.ConfigTree.
func (t *configTree) Remove(path ...any) error {
	if t.ro {
		return errors.New("remove: this configuration is only looked at")
	}
	return t.e.Remove(t.path(path)...)
}

// View implements hooks.Configuration.
func (h hookConfig) View(f func(t hooks.ConfigTree) error) error {
	e, err := keajson.NewEdit(h.s.Snapshot().Get)
	if err != nil {
		return fmt.Errorf("read the configuration in force: %w", err)
	}
	return f(&configTree{e, h.part, true})
}

// Edit implements hooks.Configuration.
func (h hookConfig) Edit(_ context.Context, f func(t hooks.ConfigTree) error) error {
	s := h.s
	s.reload.Lock()
	defer s.reload.Unlock()
	e, err := keajson.NewEdit(s.Snapshot().Given)
	if err != nil {
		return fmt.Errorf("read the configuration in force: %w", err)
	}
	if err := f(&configTree{e, h.part, false}); err != nil {
		if errors.Is(err, hooks.ErrNoChange) {
			return nil
		}
		return err
	}
	if s.opt.FromJSON == nil {
		return errors.New("edit configuration: this server cannot")
	}
	snap, err := s.opt.FromJSON(e.JSON())
	if err != nil {
		return asConfigError(err)
	}
	return s.applyEdited(WithDhcp4(snap))
}

// applyEdited puts an edited configuration in force: as Apply does, but nothing
// beside the engine's part is made anew. The caller holds reload.
func (s *Server) applyEdited(snap *config.Snapshot) error {
	old := s.runtime.Load()
	if err := needsRestart(old.snapshot, snap); err != nil {
		return err
	}
	if !samePart(old.snapshot, snap, "Dhcp4") {
		before := s.engine.Config()
		ec := s.engineConfig(snap, old.pipe)
		if sameAddresses(old.snapshot.Dhcp4, snap.Dhcp4) {
			ec.Alloc = before.Alloc // it goes on following the leases
		} else {
			s.table.SetObserver(continued{observer(ec, old.pipe, s.mirror), ec.Alloc}, true)
			ec.Alloc.ContinueFrom(before.Alloc)
			s.stats.Rebase()
		}
		s.subnets.configure4(snap.Dhcp4)
		s.engine.SetConfig(ec)
	}
	s.runtime.Store(newRuntime(snap, old.pipe, old.generation+1))
	if s.six != nil {
		s.six.applyEdited(old.snapshot, snap)
	}
	s.wakeAll()
	return nil
}

// applyEdited is Server.applyEdited for DHCPv6. Where its part is what it was,
// the engine stays as it is.
func (x *server6) applyEdited(old, snap *config.Snapshot) {
	pipe := x.runtime.Load().pipe
	if !samePart(old, snap, "Dhcp6") {
		before := x.engine.Config()
		ec := x.engineConfig(snap, pipe)
		if sameAddresses6(old.Dhcp6, snap.Dhcp6) {
			ec.Alloc = before.Alloc // it goes on following the leases
		} else {
			x.table.SetObserver(continued6{x.observers(ec, pipe), ec.Alloc}, true)
			ec.Alloc.ContinueFrom(before.Alloc)
			x.stats.Rebase()
		}
		x.subnets.configure6(snap.Dhcp6)
		x.engine.SetConfig(ec)
	}
	x.runtime.Store(newRuntime6(snap, pipe))
}

// samePart reports whether a part of a configuration was given alike.
func samePart(a, b *config.Snapshot, part string) bool {
	var m, n map[string]json.RawMessage
	return json.Unmarshal(a.Given, &m) == nil && json.Unmarshal(b.Given, &n) == nil && bytes.Equal(m[part], n[part])
}

// continued6 is continued for DHCPv6.
type continued6 struct {
	lease6.Observer
	fresh *alloc6.Set
}

// LeaseExists6 implements lease6.ExistingObserver.
func (c continued6) LeaseExists6(l *lease6.Lease6) { c.fresh.LeaseExists6(l) }

// continued is the observers after an edit: only the allocator is new and wants
// to be told of what exists.
type continued struct {
	lease.Observer
	fresh *alloc.Set
}

// LeaseExists implements lease.ExistingObserver.
func (c continued) LeaseExists(l *lease.Lease4) { c.fresh.LeaseExists(l) }

// sameAddresses reports whether an allocator made for a would be the same for
// b: the same subnets with the same pools, allocators and reserved addresses.
// That of a shared network knows its subnets themselves and is made anew.
func sameAddresses(a, b *config.Dhcp4) bool {
	if len(a.Networks)+len(b.Networks) > 0 || a.Compatibility != b.Compatibility {
		return false
	}
	return slices.EqualFunc(a.Subnets, b.Subnets, func(x, y *config.Subnet4) bool {
		return x.ID == y.ID && x.Prefix == y.Prefix && x.Allocator == y.Allocator &&
			x.ReservationsInSubnet == y.ReservationsInSubnet && x.ReservationsOutOfPool == y.ReservationsOutOfPool &&
			slices.EqualFunc(x.Pools, y.Pools, func(p, q *config.Pool4) bool {
				return p.First == q.First && p.Last == q.Last && p.ID == q.ID
			}) && slices.EqualFunc(x.Reservations, y.Reservations, func(p, q *config.Reservation4) bool { return p.Addr == q.Addr })
	})
}

// sameAddresses6 is sameAddresses for DHCPv6, whose allocator knows nothing of
// shared networks.
func sameAddresses6(a, b *config.Dhcp6) bool {
	return slices.EqualFunc(a.Subnets, b.Subnets, func(x, y *config.Subnet6) bool {
		return x.ID == y.ID && x.Allocator == y.Allocator && x.PDAllocator == y.PDAllocator &&
			x.ReservationsInSubnet == y.ReservationsInSubnet && x.ReservationsOutOfPool == y.ReservationsOutOfPool &&
			slices.EqualFunc(x.Pools, y.Pools, func(p, q *config.Pool6) bool {
				return p.First == q.First && p.Last == q.Last && p.ID == q.ID
			}) && slices.EqualFunc(x.PDPools, y.PDPools, func(p, q *config.PDPool6) bool {
			return p.Prefix == q.Prefix && p.DelegatedLen == q.DelegatedLen && p.ID == q.ID
		}) && slices.EqualFunc(x.Reservations, y.Reservations, func(p, q *config.Reservation6) bool {
			return slices.Equal(p.Addrs, q.Addrs) && slices.EqualFunc(p.Prefixes, q.Prefixes, func(i, j config.ReservedPrefix) bool { return i.Prefix == j.Prefix })
		})
	})
}
