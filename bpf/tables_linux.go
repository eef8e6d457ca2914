package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// SetInterface says how an interface's packets are steered, at once for packets
// received from now on. The sockets it names need not be there yet: until they
// are, packets pass.
func (o *Objects) SetInterface(ifindex uint32, c InterfaceConfig) error {
	if err := c.validate(o.opts.MaxSockets); err != nil {
		return fmt.Errorf("set interface %d: %w", ifindex, err)
	}
	v := dhcpIface{Base: c.Base, Queues: c.Queues, SocketsPerQueue: c.SocketsPerQueue}
	if c.Enabled4 {
		v.Flags |= ifaceEnabled4
	}
	if c.Enabled6 {
		v.Flags |= ifaceEnabled6
	}
	if c.Tagged {
		v.Flags |= ifaceTagged
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.mu.ifaces[ifindex]; !ok && len(o.mu.ifaces) >= int(o.opts.MaxInterfaces) {
		return fmt.Errorf("set interface %d: %d are set, MaxInterfaces is %d", ifindex, len(o.mu.ifaces), o.opts.MaxInterfaces)
	}
	if err := o.objs.Interfaces.Put(ifindex, &v); err != nil {
		return fmt.Errorf("set interface %d: %w", ifindex, err)
	}
	o.mu.ifaces[ifindex] = struct{}{}
	return nil
}

// IFACE_ENABLED4, IFACE_ENABLED6 and IFACE_TAGGED of consts.h; a test compares.
const (
	ifaceEnabled4 = 1
	ifaceEnabled6 = 2
	ifaceTagged   = 4
)

// SetVLANs replaces the VLAN interfaces over an interface. A packet that belongs to
// one of them is treated as that interface's by SetInterface and SetAddrs4; one
// that is not set there passes, as do frames of VLANs that are not listed, unless
// InterfaceConfig.Tagged. The order does not matter; of two entries with the same
// tags the last counts. An entry both in the old set and in the new is never
// missing in between. After an error the old set is in force, perhaps with some of
// the new.
func (o *Objects) SetVLANs(ifindex uint32, vlans []VLAN) error {
	want := make(map[dhcpVlanKey]uint32, len(vlans))
	for _, v := range vlans {
		if err := v.validate(); err != nil {
			return fmt.Errorf("set VLANs over interface %d: %w", ifindex, err)
		}
		want[dhcpVlanKey{
			Ifindex: ifindex,
			Tpid:    [2]uint16{v.Tags[0].TPID, v.Tags[1].TPID},
			Vid:     [2]uint16{v.Tags[0].VID, v.Tags[1].VID},
		}] = v.IfIndex
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(want)
	for i, held := range o.mu.vlans {
		if i != ifindex {
			n += len(held)
		}
	}
	if n > int(o.opts.MaxVLANs) {
		return fmt.Errorf("set VLANs over interface %d: %d with those of other interfaces, MaxVLANs is %d", ifindex, n, o.opts.MaxVLANs)
	}
	held := o.mu.vlans[ifindex]
	if held == nil {
		held = make(map[dhcpVlanKey]uint32)
		o.mu.vlans[ifindex] = held
	}
	for k, over := range want {
		if old, ok := held[k]; ok && old == over {
			continue
		}
		if err := o.objs.Vlans.Put(&k, over); err != nil {
			return fmt.Errorf("set VLANs over interface %d: %w", ifindex, err)
		}
		held[k] = over
	}
	for k := range held {
		if _, ok := want[k]; ok {
			continue
		}
		if err := deleteKey(o.objs.Vlans, &k); err != nil {
			return fmt.Errorf("set VLANs over interface %d: %w", ifindex, err)
		}
		delete(held, k)
	}
	if len(held) == 0 {
		delete(o.mu.vlans, ifindex)
	}
	return nil
}

// DeleteInterface makes an interface unknown, with its addresses. Its sockets stay
// in their table, the VLAN interfaces over it in theirs. It is no error if the
// interface was not set.
func (o *Objects) DeleteInterface(ifindex uint32) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := deleteKey(o.objs.Interfaces, &ifindex); err != nil {
		return fmt.Errorf("delete interface %d: %w", ifindex, err)
	}
	delete(o.mu.ifaces, ifindex)
	if err := errors.Join(
		o.mu.addrs4.replace(o.objs.Addrs4, ifindex, nil, o.opts.MaxAddrs),
		o.mu.addrs6.replace(o.objs.Addrs6, ifindex, nil, o.opts.MaxAddrs),
	); err != nil {
		return fmt.Errorf("delete addresses of interface %d: %w", ifindex, err)
	}
	return nil
}

// SetSocket puts an AF_XDP socket into the socket table, in place of what was
// there. The socket must be bound to the queue that the index stands for: the
// kernel drops what is redirected to a socket of another queue. The table holds
// no reference: closing the socket takes it out.
func (o *Objects) SetSocket(index uint32, fd int) error {
	if index >= o.opts.MaxSockets {
		return fmt.Errorf("set socket %d: MaxSockets is %d", index, o.opts.MaxSockets)
	}
	if fd < 0 {
		return fmt.Errorf("set socket %d: bad file descriptor %d", index, fd)
	}
	if err := o.objs.Sockets.Put(index, uint32(fd)); err != nil {
		return fmt.Errorf("set socket %d: %w", index, err)
	}
	return nil
}

// DeleteSocket empties an entry of the socket table: its packets pass from now on.
// It is no error if it was empty.
func (o *Objects) DeleteSocket(index uint32) error {
	if index >= o.opts.MaxSockets {
		return fmt.Errorf("delete socket %d: MaxSockets is %d", index, o.opts.MaxSockets)
	}
	if err := deleteKey(o.objs.Sockets, &index); err != nil {
		return fmt.Errorf("delete socket %d: %w", index, err)
	}
	return nil
}

// SetAddrs4 replaces the IPv4 addresses of an interface: its own and its subnet
// broadcasts. 255.255.255.255 is always ours. An address both in the old set and
// in the new is never missing in between. After an error the old set is in force,
// perhaps with some of the new. ifindex may be AnyInterface.
func (o *Objects) SetAddrs4(ifindex uint32, addrs [][4]byte) error {
	keys := make([]dhcpAddr4Key, len(addrs))
	for i, a := range addrs {
		keys[i] = dhcpAddr4Key{Ifindex: ifindex, Addr: a}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.mu.addrs4.replace(o.objs.Addrs4, ifindex, keys, o.opts.MaxAddrs); err != nil {
		return fmt.Errorf("set IPv4 addresses of interface %d: %w", ifindex, err)
	}
	return nil
}

// SetAddrs6 replaces the IPv6 addresses of an interface, as SetAddrs4 does.
// ff02::1:2 and ff05::1:3 are always ours.
func (o *Objects) SetAddrs6(ifindex uint32, addrs [][16]byte) error {
	keys := make([]dhcpAddr6Key, len(addrs))
	for i, a := range addrs {
		keys[i] = dhcpAddr6Key{Ifindex: ifindex, Addr: a}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.mu.addrs6.replace(o.objs.Addrs6, ifindex, keys, o.opts.MaxAddrs); err != nil {
		return fmt.Errorf("set IPv6 addresses of interface %d: %w", ifindex, err)
	}
	return nil
}

// addrSet is what an address map holds, by interface.
type addrSet[K comparable] map[uint32]map[K]struct{}

// replace makes keys the interface's: what is new is added before what is old is
// deleted.
func (s addrSet[K]) replace(m *ebpf.Map, ifindex uint32, keys []K, limit uint32) error {
	want := make(map[K]struct{}, len(keys))
	for _, k := range keys {
		want[k] = struct{}{}
	}
	n := len(want)
	for i, held := range s {
		if i != ifindex {
			n += len(held)
		}
	}
	if n > int(limit) {
		return fmt.Errorf("%d addresses with those of other interfaces, MaxAddrs is %d", n, limit)
	}
	held := s[ifindex]
	if held == nil {
		held = make(map[K]struct{})
		s[ifindex] = held
	}
	for k := range want {
		if _, ok := held[k]; ok {
			continue
		}
		if err := m.Put(&k, uint32(1)); err != nil {
			return err
		}
		held[k] = struct{}{}
	}
	for k := range held {
		if _, ok := want[k]; ok {
			continue
		}
		if err := deleteKey(m, &k); err != nil {
			return err
		}
		delete(held, k)
	}
	if len(held) == 0 {
		delete(s, ifindex)
	}
	return nil
}

// deleteKey deletes a key that may be absent.
func deleteKey(m *ebpf.Map, key any) error {
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}

// readCounters sums the counters over all CPUs.
func (o *Objects) readCounters() (*dhcpCounters, error) {
	var perCPU []dhcpCounters
	if err := o.objs.Counters.Lookup(uint32(0), &perCPU); err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	sum := new(dhcpCounters)
	for i := range perCPU {
		sum.add(&perCPU[i])
	}
	return sum, nil
}

// Counters appends to dst how many packets left the program in each way, leaving
// out what never happened. They only ever grow.
func (o *Objects) Counters(dst []Counter) ([]Counter, error) {
	c, err := o.readCounters()
	if err != nil {
		return dst, err
	}
	for f := range c.Exits {
		for a := range c.Exits[f] {
			for r, n := range c.Exits[f][a] {
				if n != 0 {
					dst = append(dst, Counter{Family: Family(f), Action: Action(a), Reason: Reason(r), Packets: n})
				}
			}
		}
	}
	return dst, nil
}

// MessageCounters appends to dst how many messages of each type were received,
// leaving out types never seen.
func (o *Objects) MessageCounters(dst []MessageCounter) ([]MessageCounter, error) {
	c, err := o.readCounters()
	if err != nil {
		return dst, err
	}
	for f := range c.Received {
		for t, n := range c.Received[f] {
			if n != 0 {
				dst = append(dst, MessageCounter{Family: Family(f), Type: uint8(t), Packets: n})
			}
		}
	}
	return dst, nil
}

// NoteCounters appends to dst how often each note was made, all of them.
func (o *Objects) NoteCounters(dst []NoteCounter) ([]NoteCounter, error) {
	c, err := o.readCounters()
	if err != nil {
		return dst, err
	}
	for n, times := range c.Notes {
		dst = append(dst, NoteCounter{Note: Note(n), Times: times})
	}
	return dst, nil
}
