package bpf

import (
	"fmt"
	"net/netip"
)

// SetLimits replaces the limits; those set to the zero Rate are off. Buckets keep
// their state: one emptied under a slower rate is empty, no more, under the new.
func (o *Objects) SetLimits(l Limits) error {
	var s dhcpSettings
	for _, f := range []struct {
		name string
		rate Rate
		dst  *dhcpRate
	}{
		{"client", l.Client, &s.Client},
		{"relay", l.Relay, &s.Relay},
		{"new clients", l.NewClients, &s.NewClients},
		{"discover", l.DiscoverPerCPU, &s.Discover},
	} {
		r, err := f.rate.encode()
		if err != nil {
			return fmt.Errorf("set %s limit: %w", f.name, err)
		}
		*f.dst = r
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	t := &o.mu.settings
	t.Client, t.Relay, t.NewClients, t.Discover = s.Client, s.Relay, s.NewClients, s.Discover
	o.setLimited()
	return o.putSettings()
}

// setLimited works out the switch that lets the program skip all limits.
func (o *Objects) setLimited() {
	t := &o.mu.settings
	t.Limited = 0
	if t.Client.CostNs|t.Relay.CostNs|t.NewClients.CostNs|t.Discover.CostNs != 0 ||
		t.Scopes != 0 || t.ScopeGlobal != [len(t.ScopeGlobal)]uint32{} {
		t.Limited = 1
	}
}

// scopeTable is what the scope maps hold.
type scopeTable struct {
	slots    map[uint64]uint32 // by Scope.ID
	free     []uint32
	prefixes map[dhcpScope4Key]uint32
	ifaces   map[dhcpScopeIfaceKey]uint32
}

// newScopeTable has twice the slots that may be used: a replacement fills new ones
// before it frees the old.
func newScopeTable(maxScopes uint32) scopeTable {
	t := scopeTable{
		slots:    make(map[uint64]uint32),
		prefixes: make(map[dhcpScope4Key]uint32),
		ifaces:   make(map[dhcpScopeIfaceKey]uint32),
	}
	for slot := 2 * maxScopes; slot > 0; slot-- {
		t.free = append(t.free, slot)
	}
	return t
}

// SetScopes replaces all scopes. A scope that was there before under its ID keeps
// the state of its bucket. On an error about the scopes themselves nothing is
// changed; on one of the kernel the next call puts things right.
func (o *Objects) SetScopes(scopes []Scope) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := &o.mu.scopes

	plan, err := o.planScopes(scopes)
	if err != nil {
		return fmt.Errorf("set scopes: %w", err)
	}
	// Buckets and rates first, then what leads to them, then what no longer
	// does, then the slots that nothing leads to.
	for id, slot := range plan.slots {
		if _, ok := t.slots[id]; !ok {
			if err := o.objs.ScopeBuckets.Put(slot, &dhcpSharedBucket{}); err != nil {
				return fmt.Errorf("set scope %d: clear bucket: %w", id, err)
			}
		}
		r := plan.rates[slot]
		if err := o.objs.ScopeRates.Put(slot, &r); err != nil {
			return fmt.Errorf("set scope %d: write rate: %w", id, err)
		}
	}
	for k, slot := range plan.prefixes {
		if err := o.objs.ScopePrefixes4.Put(&k, slot); err != nil {
			return fmt.Errorf("set scope prefix %v/%d: %w", netip.AddrFrom4(k.Addr), k.PrefixLen, err)
		}
		t.prefixes[k] = slot
	}
	for k, slot := range plan.ifaces {
		if err := o.objs.ScopeInterfaces.Put(&k, slot); err != nil {
			return fmt.Errorf("set scope of interface %d: %w", k.Ifindex, err)
		}
		t.ifaces[k] = slot
	}
	o.mu.settings.ScopeGlobal = plan.global
	o.mu.settings.Scopes = 0
	if len(plan.prefixes)+len(plan.ifaces) > 0 {
		o.mu.settings.Scopes = 1
	}
	o.setLimited()
	if err := o.putSettings(); err != nil {
		return err
	}
	for k := range t.prefixes {
		if _, ok := plan.prefixes[k]; ok {
			continue
		}
		if err := deleteKey(o.objs.ScopePrefixes4, &k); err != nil {
			return fmt.Errorf("delete scope prefix %v/%d: %w", netip.AddrFrom4(k.Addr), k.PrefixLen, err)
		}
		delete(t.prefixes, k)
	}
	for k := range t.ifaces {
		if _, ok := plan.ifaces[k]; ok {
			continue
		}
		if err := deleteKey(o.objs.ScopeInterfaces, &k); err != nil {
			return fmt.Errorf("delete scope of interface %d: %w", k.Ifindex, err)
		}
		delete(t.ifaces, k)
	}
	free := plan.free
	for id, slot := range t.slots {
		if _, ok := plan.slots[id]; !ok {
			free = append(free, slot)
		}
	}
	*t = scopeTable{slots: plan.slots, free: free, prefixes: plan.prefixes, ifaces: plan.ifaces}
	return nil
}

// scopePlan is what SetScopes will write.
type scopePlan struct {
	scopeTable
	rates  map[uint32]dhcpRate
	global [3]uint32
}

// planScopes checks the scopes and gives each a slot, the one it has if it has one.
func (o *Objects) planScopes(scopes []Scope) (*scopePlan, error) {
	t := &o.mu.scopes
	if len(scopes) > int(o.opts.MaxScopes) {
		return nil, fmt.Errorf("%d scopes, MaxScopes is %d", len(scopes), o.opts.MaxScopes)
	}
	p := &scopePlan{
		scopeTable: scopeTable{
			slots:    make(map[uint64]uint32),
			free:     append([]uint32(nil), t.free...),
			prefixes: make(map[dhcpScope4Key]uint32),
			ifaces:   make(map[dhcpScopeIfaceKey]uint32),
		},
		rates: make(map[uint32]dhcpRate),
	}
	for _, s := range scopes {
		if _, ok := p.slots[s.ID]; ok {
			return nil, fmt.Errorf("scope %d is there twice", s.ID)
		}
		if s.Family != FamilyIPv4 && s.Family != FamilyIPv6 {
			return nil, fmt.Errorf("scope %d: family is %v, want %v or %v", s.ID, s.Family, FamilyIPv4, FamilyIPv6)
		}
		rate, err := s.Rate.encode()
		if err != nil {
			return nil, fmt.Errorf("scope %d: %w", s.ID, err)
		}
		slot, ok := t.slots[s.ID]
		if !ok {
			slot = p.free[len(p.free)-1]
			p.free = p.free[:len(p.free)-1]
		}
		p.slots[s.ID] = slot
		p.rates[slot] = rate
		if s.Global {
			if p.global[s.Family] != 0 {
				return nil, fmt.Errorf("scope %d: another scope is global for %v", s.ID, s.Family)
			}
			p.global[s.Family] = slot
		}
		for _, prefix := range s.Prefixes {
			if s.Family != FamilyIPv4 || !prefix.IsValid() || !prefix.Addr().Is4() {
				return nil, fmt.Errorf("scope %d: prefix %v of a scope for %v: only IPv4 has prefixes", s.ID, prefix, s.Family)
			}
			prefix = prefix.Masked()
			k := dhcpScope4Key{PrefixLen: uint32(prefix.Bits()), Addr: prefix.Addr().As4()}
			if _, ok := p.prefixes[k]; ok {
				return nil, fmt.Errorf("scope %d: prefix %v is another scope's", s.ID, prefix)
			}
			p.prefixes[k] = slot
		}
		for _, ifindex := range s.IfIndexes {
			k := dhcpScopeIfaceKey{Ifindex: ifindex, Family: s.Family}
			if _, ok := p.ifaces[k]; ok {
				return nil, fmt.Errorf("scope %d: interface %d is another scope's", s.ID, ifindex)
			}
			p.ifaces[k] = slot
		}
	}
	if n := int(o.opts.MaxScopePrefixes); len(p.prefixes) > n || len(p.ifaces) > n {
		return nil, fmt.Errorf("%d prefixes and %d interfaces, MaxScopePrefixes is %d", len(p.prefixes), len(p.ifaces), n)
	}
	return p, nil
}
