package fastpath

import (
	"context"
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
	links  []linkInfo
	ports  map[uint32]*port // by interface index
	// failed holds why an interface that is selected is not served.
	failed  map[uint32]*port
	nextCPU int
	// objs is the XDP program, loaded when the first interface wants it.
	objs    *bpf.Objects
	objsErr error
	scopes  []bpf.Scope
	told    bool // OnInterfaces has been called
}

// Start serves the interfaces of opt. It fails if a forced mode cannot be had or
// an interface that exists and is up cannot be served at all. ctx ends the
// Dataplane as Close does, except that Close waits.
func Start(ctx context.Context, opt Options) (*Dataplane, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &Dataplane{
		opt:    opt,
		done:   make(chan struct{}),
		ports:  map[uint32]*port{},
		failed: map[uint32]*port{},
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
// joins what could not be done.
func (d *Dataplane) reconcile() error {
	links, err := listLinks()
	if err != nil {
		d.opt.Log.Error("PEREGRINE_INTERFACES_NOT_FOLLOWED changes of interfaces are not noticed any more", "error", err)
		return err
	}
	before := d.links
	d.links = links
	same := slices.EqualFunc(before, links, func(a, b linkInfo) bool { return sameInterface(a.Interface, b.Interface) })
	if (!same || !d.told) && d.opt.OnInterfaces != nil {
		d.opt.OnInterfaces(published(links))
	}
	d.told = true

	var errs []error
	for i, p := range d.ports {
		l := find(links, i)
		why := ""
		switch {
		case l == nil:
			why = "the interface is gone"
		case l.Name != p.link.Name:
			why = "the interface was renamed to " + l.Name
		case !d.opt.selects(&l.Interface):
			why = "the interface is not configured any more"
		case !p.serves(d.opt.families(&l.Interface)):
			why = "other address families are served on it"
		case p.queues > 0 && l.rxQueues != p.queues:
			why = fmt.Sprintf("the interface has %d queues, not %d", l.rxQueues, p.queues)
		case p.attached != nil && l.xdpProgram == 0:
			why = "the XDP program was detached"
		case p.attached != nil && len(d.vlansOver(i)) > 0:
			why = "a VLAN interface over it is served as well"
		case p.underVLAN && len(d.vlansOver(i)) == 0:
			why = "no VLAN interface over it is served any more"
		}
		if why != "" {
			p.close()
			delete(d.ports, i)
			d.opt.Log.Info("PEREGRINE_INTERFACE_CLOSED", "interface", p.link.Name, "reason", why)
			continue
		}
		p.link.Interface = l.Interface
		if !same {
			if err := p.setAddrs(); err != nil {
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
	for i := range links {
		l := &links[i]
		if d.ports[l.Index] != nil || !d.opt.selects(&l.Interface) || !l.Up {
			continue
		}
		p, err := d.openPort(*l)
		if err != nil {
			errs = append(errs, err)
			if old := d.failed[l.Index]; old == nil || !slices.Equal(old.reasons, p.reasons) {
				d.opt.Log.Error("DHCP4_OPEN_SOCKET_FAIL interface is not served", "interface", l.Name, "reasons", strings.Join(p.reasons, "; "))
			}
			d.failed[l.Index] = p
			continue
		}
		delete(d.failed, l.Index)
		d.ports[l.Index] = p
		st := p.status()
		d.opt.Log.Info("PEREGRINE_INTERFACE_SERVED", "interface", l.Name, "mode", st.Mode, "zero-copy", st.ZeroCopy,
			"queues", st.Queues, "workers", st.Sockets, "reasons", strings.Join(st.Reasons, "; "))
	}
	return errors.Join(errs...)
}

func find(links []linkInfo, index uint32) *linkInfo {
	for i := range links {
		if links[i].Index == index {
			return &links[i]
		}
	}
	return nil
}

// vlansOver are the VLANs of interface parent that are served by an interface of
// their own.
func (d *Dataplane) vlansOver(parent uint32) []uint16 {
	var out []uint16
	for i := range d.links {
		if l := &d.links[i]; l.parent == parent && l.vlan != 0 && d.opt.selects(&l.Interface) {
			out = append(out, l.vlan)
		}
	}
	return out
}

// loadProgram loads the XDP program unless it is loaded. A failure is remembered
// until the options change: it will not go away by itself.
func (d *Dataplane) loadProgram() error {
	if d.objs != nil || d.objsErr != nil {
		return d.objsErr
	}
	objs, err := bpf.Load(bpf.Options{
		MaxInterfaces: 1024, MaxSockets: maxSockets, MaxAddrs: 65536,
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
// interfaces are not served now.
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
		d.failed = map[uint32]*port{}
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
		out = append(out, p.status())
	}
	for _, p := range d.failed {
		out = append(out, p.status())
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
// order they were made.
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
		for _, w := range d.ports[i].workers {
			out = append(out, WorkerStats{Info: w.info, Conn: w.conn.ConnStats(), Loop: w.loop.Stats()})
		}
	}
	return out
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
