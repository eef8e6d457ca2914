package fastpath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/peregrine-dhcp/peregrine/bpf"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

const (
	// settleTime gathers notifications that come together, as when an interface
	// is made, given addresses and set up.
	settleTime = 20 * time.Millisecond
	// resyncTime is how often everything is looked at without a notification:
	// for changed queue numbers, which the kernel does not announce, and to try
	// again what did not work.
	resyncTime = 2 * time.Second
)

// ErrClosed is returned by methods of a Dataplane that was closed.
var ErrClosed = errors.New("dataplane is closed")

// Dataplane serves a set of interfaces until Close. Its methods may be called by
// any goroutine, but not from within the functions of its Options.
type Dataplane struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when follow has ended

	mu     sync.Mutex // guards everything below
	opt    Options
	closed bool
	links  []Link
	ports  map[uint32]*port // by index of the device
	// failed holds why an interface that is selected is not served.
	failed map[uint32]InterfaceStatus
	// alone are interfaces that are served by UDP sockets of their own, though a
	// device carries them.
	alone map[uint32]bool
	// any4 and any6 are the destinations that are ours on every interface.
	any4    []uint32
	any6    [][16]byte
	nextCPU int
	// objs is the XDP program, loaded when the first interface wants it.
	objs    *bpf.Objects
	objsErr error
	scopes  []bpf.Scope
	told    bool // OnInterfaces has been called
	// fragments serves what comes in IP fragments, on all interfaces.
	fragments fragments
}

// Start serves the interfaces of opt. It fails if a forced mode cannot be had or,
// unless Options.Lenient, an interface that exists and is up cannot be served at
// all. ctx ends the Dataplane as Close does, except that Close waits.
func Start(ctx context.Context, opt Options) (*Dataplane, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &Dataplane{
		opt:    opt,
		done:   make(chan struct{}),
		ports:  map[uint32]*port{},
		failed: map[uint32]InterfaceStatus{},
		alone:  map[uint32]bool{},
	}
	// Before the first look, so that no change falls in between.
	w, err := watchLinks()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	err = d.reconcile()
	d.mu.Unlock()
	if err != nil {
		w.close()
		d.shutdown()
		return nil, fmt.Errorf("start dataplane: %w", err)
	}
	ctx, d.cancel = context.WithCancel(ctx)
	go d.follow(ctx, w)
	return d, nil
}

// follow keeps up with the machine until ctx ends.
func (d *Dataplane) follow(ctx context.Context, w *watcher) {
	defer close(d.done)
	defer d.shutdown()
	defer w.close()
	resync := time.NewTicker(resyncTime)
	defer resync.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-resync.C:
		case <-w.changed:
			settle := time.NewTimer(settleTime)
			select {
			case <-ctx.Done():
				settle.Stop()
				return
			case <-settle.C:
			}
			select {
			case <-w.changed:
			default:
			}
		}
		d.mu.Lock()
		if !d.closed {
			// Every failure has been logged and shows in Status; the next round
			// tries again.
			_ = d.reconcile()
		}
		d.mu.Unlock()
	}
}

// shutdown stops everything.
func (d *Dataplane) shutdown() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for i, p := range d.ports {
		p.close()
		delete(d.ports, i)
	}
	d.unloadProgram()
}

// Close stops serving and waits until every goroutine has ended. Replies whose
// commit is under way are still sent if that comes soon (netio.LoopOptions).
func (d *Dataplane) Close() error {
	d.cancel()
	<-d.done
	return nil
}

// reconcile makes what is served equal to what is there and wanted. The error
// joins what could not be done, as far as that is an error by Options.Lenient.
func (d *Dataplane) reconcile() error {
	links, err := d.opt.Links.Links()
	if err != nil {
		d.opt.Log.Error("PEREGRINE_INTERFACES_NOT_FOLLOWED changes of interfaces are not noticed any more", "error", err)
		return err
	}
	before := d.links
	d.links = links
	same := slices.EqualFunc(before, links, sameLink)
	if (!same || !d.told) && d.opt.OnInterfaces != nil {
		d.opt.OnInterfaces(published(links))
	}
	d.told = true

	var errs []error
	any4, any6 := d.anyAddrs()
	if !slices.Equal(any4, d.any4) || !slices.Equal(any6, d.any6) {
		d.any4, d.any6 = any4, any6
		same = false
		errs = append(errs, d.setAnyAddrs())
		if d.fragments.conn != nil {
			d.fragments.conn.SetUnicast6(any6)
		}
	}
	for i := range d.alone {
		if l := find(links, i); l == nil || !d.opt.selects(&l.Interface) {
			delete(d.alone, i)
		}
	}
	plan := d.plan()
	for i, p := range d.ports {
		l := find(links, i)
		if why := d.outdated(p, l, plan[i]); why != "" {
			p.close()
			delete(d.ports, i)
			d.opt.Log.Info("PEREGRINE_INTERFACE_CLOSED", "interface", p.link.Name, "reason", why)
			continue
		}
		p.link.Interface = l.Interface
		changed, err := d.update(p, plan[i])
		errs = append(errs, err)
		if changed || !same || p.tagged != d.opt.ServeTagged {
			p.tagged = d.opt.ServeTagged
			if err := p.setTables(); err != nil {
				d.opt.Log.Error("PEREGRINE_INTERFACE_ADDRESSES cannot tell the XDP program the addresses of an interface", "interface", p.link.Name, "error", err)
				errs = append(errs, err)
			}
		}
	}
	for i := range d.failed {
		if l := find(links, i); l == nil || !d.opt.selects(&l.Interface) {
			delete(d.failed, i)
		}
	}
	again, err := d.openPlanned(plan)
	errs = append(errs, err)
	if again {
		_, err := d.openPlanned(d.plan())
		errs = append(errs, err)
	}
	if d.opt.Lenient && d.opt.Mode != ModeNative && d.opt.Mode != ModeGeneric {
		return nil // it has been logged, shows in Status, and is tried again
	}
	return errors.Join(errs...)
}

// outdated says why a port cannot go on, "" if it can. l is its device now, nil if
// gone; members are what it is to carry.
func (d *Dataplane) outdated(p *port, l *Link, members []*Link) string {
	switch {
	case l == nil:
		return "the interface is gone"
	case l.Name != p.link.Name:
		return "the interface was renamed to " + l.Name
	case len(members) == 0 && !p.waits():
		return "the interface is not configured any more"
	case p.queues > 0 && l.RXQueues != p.queues:
		return fmt.Sprintf("the interface has %d queues, not %d", l.RXQueues, p.queues)
	case p.attached != nil && l.XDPProgram == 0:
		return "the XDP program was detached"
	case p.attached != nil && p.tagsLost && len(d.vlansOver(l.Index)) > 0:
		return "there is a VLAN interface over it, whose tags XDP does not see"
	case p.noXDP && len(d.vlansOver(l.Index)) == 0:
		return "there is no VLAN interface over it any more"
	}
	four, six := false, false
	for _, m := range members {
		f, s := d.opt.families(&m.Interface)
		four, six = four || f, six || s
	}
	for i, x := range p.members {
		if p.isDown(i) {
			four, six = four || x.four, six || x.six
		}
	}
	if four != p.four || six != p.six {
		return "other address families are served on it"
	}
	return ""
}

// isDown says whether a member, or the device that carries it, is only down for
// now: it keeps its place.
func (p *port) isDown(index uint32) bool {
	l, device := find(p.d.links, index), find(p.d.links, p.link.Index)
	return l != nil && device != nil && !(l.Up && device.Up) && l.Name == p.members[index].link.Name && p.d.opt.selects(&l.Interface)
}

// waits says whether the port has members that are down for now.
func (p *port) waits() bool {
	for i := range p.members {
		if p.isDown(i) {
			return true
		}
	}
	return false
}

// update makes the port's members those wanted, and reports whether any came, went
// or changed.
func (d *Dataplane) update(p *port, want []*Link) (changed bool, err error) {
	var errs []error
	for i, x := range p.members {
		if p.isDown(i) {
			continue
		}
		at := slices.IndexFunc(want, func(l *Link) bool { return l.Index == i })
		if at >= 0 {
			four, six := d.opt.families(&want[at].Interface)
			if want[at].Name == x.link.Name && four == x.four && six == x.six {
				x.link.Interface = want[at].Interface
				continue
			}
		}
		errs = append(errs, x.closeGuards(d))
		delete(p.members, i)
		changed = true
		if i != p.link.Index {
			d.opt.Log.Info("PEREGRINE_INTERFACE_CLOSED", "interface", x.link.Name, "reason", "the interface is gone, or not configured any more")
		}
	}
	for _, l := range want {
		if p.members[l.Index] != nil {
			continue
		}
		four, six := d.opt.families(&l.Interface)
		x := &member{link: *l, four: four, six: six}
		if err := x.openGuards(d); err != nil {
			errs = append(errs, x.closeGuards(d), d.fail(*l, []string{err.Error()}, err))
			continue
		}
		p.members[l.Index] = x
		changed = true
		delete(d.failed, l.Index)
		d.served(p, x)
	}
	return changed, errors.Join(errs...)
}

// fail keeps and logs why an interface is not served, unless that is known.
func (d *Dataplane) fail(l Link, reasons []string, err error) error {
	if old, ok := d.failed[l.Index]; !ok || !slices.Equal(old.Reasons, reasons) {
		d.opt.Log.Error("DHCP4_OPEN_SOCKET_FAIL interface is not served", "interface", l.Name, "reasons", strings.Join(reasons, "; "))
	}
	d.failed[l.Index] = InterfaceStatus{Name: l.Name, Index: l.Index, Reasons: reasons}
	return err
}

// served logs that an interface is served from now on.
func (d *Dataplane) served(p *port, x *member) {
	st := p.status(x)
	attrs := []any{"interface", st.Name, "mode", st.Mode, "zero-copy", st.ZeroCopy, "queues", st.Queues, "workers", st.Sockets,
		"reasons", strings.Join(st.Reasons, "; ")}
	if st.Device != "" {
		attrs = append(attrs, "device", st.Device)
	}
	d.opt.Log.Info("PEREGRINE_INTERFACE_SERVED", attrs...)
}

// openPlanned opens the devices of the plan that are not served. again says that
// there is a new plan: a device has UDP sockets only, so each of its members goes
// by itself.
func (d *Dataplane) openPlanned(plan map[uint32][]*Link) (again bool, err error) {
	var errs []error
	for i := range d.links {
		l := &d.links[i]
		members := plan[l.Index]
		if len(members) == 0 || d.ports[l.Index] != nil {
			continue
		}
		p, err := d.openPort(*l, members)
		if errors.Is(err, errAlone) {
			for _, m := range members {
				d.alone[m.Index] = true
			}
			again = true
			continue
		}
		if err != nil {
			for _, m := range members {
				errs = append(errs, d.fail(*m, p.reasons, err))
			}
			continue
		}
		d.ports[l.Index] = p
		for _, m := range members {
			delete(d.failed, m.Index)
			d.served(p, p.members[m.Index])
		}
	}
	return again, errors.Join(errs...)
}

func find(links []Link, index uint32) *Link {
	for i := range links {
		if links[i].Index == index {
			return &links[i]
		}
	}
	return nil
}

// setAnyAddrs tells the program the addresses that are ours on every interface.
func (d *Dataplane) setAnyAddrs() error {
	if d.objs == nil {
		return nil
	}
	a4 := make([][4]byte, len(d.any4))
	for i, a := range d.any4 {
		binary.BigEndian.PutUint32(a4[i][:], a)
	}
	return errors.Join(d.objs.SetAddrs4(bpf.AnyInterface, a4), d.objs.SetAddrs6(bpf.AnyInterface, d.any6))
}

// loadProgram loads the XDP program unless it is loaded. A failure is remembered
// until the options change: it will not go away by itself.
func (d *Dataplane) loadProgram() error {
	if d.objs != nil || d.objsErr != nil {
		return d.objsErr
	}
	objs, err := bpf.Load(bpf.Options{
		MaxInterfaces: maxInterfaces, MaxVLANs: maxInterfaces, MaxSockets: maxSockets, MaxAddrs: 65536,
		Port4: d.opt.Port4, Port6: d.opt.Port6,
	})
	if err == nil {
		err = objs.SetLimits(d.opt.Limits)
		if err == nil && len(d.scopes) > 0 {
			err = objs.SetScopes(d.scopes)
		}
		if err != nil {
			objs.Close()
		}
	}
	if err != nil {
		d.objsErr = err
		return err
	}
	d.objs = objs
	if err := d.setAnyAddrs(); err != nil {
		d.unloadProgram()
		d.objsErr = err
		return err
	}
	return nil
}

func (d *Dataplane) unloadProgram() {
	if d.objs != nil {
		if err := d.objs.Close(); err != nil {
			d.opt.Log.Warn("PEREGRINE_XDP_CLOSE the XDP program was not closed cleanly", "error", err)
		}
	}
	d.objs, d.objsErr = nil, nil
}

// allocSockets finds n free entries of the XSKMAP in a row.
func (d *Dataplane) allocSockets(n uint32) (uint32, bool) {
	type span struct{ from, to uint32 }
	var used []span
	for _, p := range d.ports {
		if p.sockets > 0 {
			used = append(used, span{p.base, p.base + p.sockets})
		}
	}
	slices.SortFunc(used, func(a, b span) int { return int(a.from) - int(b.from) })
	at := uint32(0)
	for _, u := range used {
		if u.from-at >= n {
			break
		}
		at = u.to
	}
	return at, at+n <= maxSockets
}

// Apply changes the options of a running Dataplane. Interfaces that both the old
// and the new select keep running if nothing else about them changed; a change of
// mode, ports, workers or rings stops all of them for a moment. If the options are
// not valid or the limits are refused, nothing changes; any other error says which
// interfaces are not served now; with Options.Lenient that is none.
func (d *Dataplane) Apply(opt Options) error {
	opt, err := opt.withDefaults()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	if d.opt.rebuilds(&opt) {
		for i, p := range d.ports {
			p.close()
			delete(d.ports, i)
		}
		d.unloadProgram()
		d.failed = map[uint32]InterfaceStatus{}
		d.alone = map[uint32]bool{}
	} else if d.objs != nil && opt.Limits != d.opt.Limits {
		if err := d.objs.SetLimits(opt.Limits); err != nil {
			return err
		}
	}
	d.objsErr = nil
	d.opt = opt
	d.told = false
	return d.reconcile()
}

// SetScopes replaces the limits of subnets that the XDP program enforces. They
// hold for interfaces opened later as well.
func (d *Dataplane) SetScopes(scopes []bpf.Scope) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	if d.objs != nil {
		if err := d.objs.SetScopes(scopes); err != nil {
			return err
		}
	}
	d.scopes = slices.Clone(scopes)
	return nil
}

// Interfaces is the list last given to OnInterfaces.
func (d *Dataplane) Interfaces() []netio.Interface {
	d.mu.Lock()
	defer d.mu.Unlock()
	return published(d.links)
}

// Status says how each selected interface is served, by name. Interfaces that are
// selected and down are left out.
func (d *Dataplane) Status() []InterfaceStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []InterfaceStatus
	for _, p := range d.ports {
		for _, x := range p.members {
			out = append(out, p.status(x))
		}
	}
	for _, s := range d.failed {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b InterfaceStatus) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// Workers reads the counters of all running workers, by interface and then in the
// order they were made; last that of what comes in fragments.
func (d *Dataplane) Workers() []WorkerStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	var indexes []uint32
	for i := range d.ports {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	var out []WorkerStats
	for _, i := range indexes {
		out = d.ports[i].workers.stats(out)
	}
	return d.fragments.workers.stats(out)
}

// XDPCounters are the counters of the XDP program: how packets left it, messages
// by type, and notes. All are empty while no interface uses it.
func (d *Dataplane) XDPCounters() (exits []bpf.Counter, messages []bpf.MessageCounter, notes []bpf.NoteCounter, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.objs == nil {
		return nil, nil, nil, nil
	}
	var e1, e2, e3 error
	exits, e1 = d.objs.Counters(nil)
	messages, e2 = d.objs.MessageCounters(nil)
	notes, e3 = d.objs.NoteCounters(nil)
	return exits, messages, notes, errors.Join(e1, e2, e3)
}
