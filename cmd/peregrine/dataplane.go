package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/peregrine-dhcp/peregrine/bpf"
	"github.com/peregrine-dhcp/peregrine/fastpath"
	"github.com/peregrine-dhcp/peregrine/fastpath/offload"
	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/metric"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// plane joins the server to the fast path: it turns a configuration into
// dataplane options, and what hook libraries want limited into XDP scopes.
type plane struct {
	log    *slog.Logger
	port   uint16
	port6  uint16
	server *slowpath.Server
	// missing are the interfaces that are configured and not served: sockets.
	missing func() []string

	mu     sync.Mutex
	dp     *fastpath.Dataplane
	limits []offload.Limit
	snap   *config.Snapshot
	ifaces []netio.Interface
	scopes []bpf.Scope

	scopesTurn sync.Mutex
}

// napNs lets the packets of a busy worker come in small batches; it adds no more
// than that to a reply.
const napNs = 100_000

// linkTable is where interfaces are looked up; nil is the kernel. Tests have their
// own.
var linkTable fastpath.LinkTable

// options of a configuration.
func (p *plane) options(snap *config.Snapshot) fastpath.Options {
	d, x := snap.Dhcp4, &snap.Dataplane
	o := fastpath.Options{
		Mode: fastpath.Mode(x.Mode), Enable4: slowpath.HasDhcp4(snap), Enable6: snap.Dhcp6 != nil, Port4: p.port, Port6: p.port6, UDPOnly: d.SocketUDP, UseRouting: d.UseRouting,
		WorkersPerQueue: x.WorkersPerQueue, SpinNs: int64(x.SpinUs) * 1000, NapNs: napNs, BusyPollUs: x.BusyPollUs,
		ServeTagged: x.ServeUnknownVLANs, Lenient: true, // what Kea's service-sockets-require-all demands is for require
		Limits: bpf.Limits{
			Client: rate(x.Limits.ClientPerS, x.Limits.ClientBurst), Relay: rate(x.Limits.RelayPerS, x.Limits.RelayBurst),
			NewClients: rate(x.Limits.NewClientsPerS, 0), DiscoverPerCPU: rate(x.Limits.DiscoverPerS, 0),
		},
		NewHandler: func(w fastpath.WorkerInfo) (netio.Handler, error) { return p.server.NewWorker(w.Name), nil },
		WorkerDone: func(w fastpath.WorkerInfo, h netio.Handler) {
			if c, ok := h.(io.Closer); ok {
				if err := c.Close(); err != nil {
					p.log.Error("PEREGRINE_WORKER_CLOSE", "worker", w.Name, "error", err)
				}
			}
		},
		OnInterfaces: p.onInterfaces,
		Links:        linkTable,
		Log:          p.log,
	}
	// Kea's own key says how many threads there are; without multi-threading each
	// queue has one worker, which is the least there can be.
	mt := d.MultiThreading
	if !o.Enable4 {
		mt = snap.Dhcp6.MultiThreading
	}
	if o.Workers = mt.Threads; !mt.Enabled {
		o.Workers = 1
	}
	if x.SpinUs == 0 {
		o.SpinNs = -1
	}
	o.Unicast6 = unicast6(snap)
	if o.Interfaces, o.Interfaces6 = interfaceNames(snap); o.Interfaces6 == nil {
		o.Interfaces6 = []string{}
	}
	return o
}

// interfaceNames are the interfaces that each family serves, AllInterfaces among
// them.
func interfaceNames(snap *config.Snapshot) (four, six []string) {
	add := func(l []string, name string) []string {
		if slices.Contains(l, name) {
			return l
		}
		return append(l, name)
	}
	if snap.Dhcp4.AllInterfaces {
		four = append(four, fastpath.AllInterfaces)
	}
	for _, i := range snap.Dhcp4.Interfaces {
		four = add(four, i.Name)
	}
	if d := snap.Dhcp6; d != nil {
		if d.AllInterfaces {
			six = append(six, fastpath.AllInterfaces)
		}
		for _, i := range d.Interfaces {
			six = add(six, i.Name)
		}
	}
	return four, six
}

// unicast6 are the addresses that the configuration names ("eth0/2001:db8::1"): Kea
// opens a unicast socket for each, and else only those for link-local addresses
// and the groups (V6-047).
func unicast6(snap *config.Snapshot) [][16]byte {
	addrs := [][16]byte{}
	if d := snap.Dhcp6; d != nil {
		for _, i := range d.Interfaces {
			if i.Addr.IsValid() {
				addrs = append(addrs, i.Addr.As16())
			}
		}
	}
	return addrs
}

func rate(perS, burst uint32) bpf.Rate {
	if perS == 0 {
		return bpf.Rate{}
	}
	return bpf.Rate{Tokens: uint64(perS), Per: time.Second, Burst: uint64(burst)}
}

// onInterfaces tells the server of interfaces; where the configuration names an
// address ("eth0/192.0.2.1"), the server knows the interface by that alone.
func (p *plane) onInterfaces(list []netio.Interface) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ifaces = list
	p.tell()
}

// tell passes on the interfaces; with mu held.
func (p *plane) tell() {
	out := slices.Clone(p.ifaces)
	for i := range out {
		var only []netio.Prefix4
		for _, c := range p.snap.Dhcp4.Interfaces {
			if c.Name != out[i].Name || c.Addr == 0 {
				continue
			}
			for _, a := range out[i].Addrs4 {
				if a.Addr == uint32(c.Addr) {
					only = append(only, a)
				}
			}
		}
		if only != nil {
			out[i].Addrs4 = only
		}
	}
	p.server.SetInterfaces(out)
	p.setScopes()
}

// applied puts a new configuration's dataplane part in force, or on an error
// leaves the old one's.
func (p *plane) applied(old, snap *config.Snapshot) error {
	p.mu.Lock()
	dp := p.dp
	p.mu.Unlock()
	if dp != nil {
		if err := dp.Apply(p.options(snap)); err != nil {
			// Some interfaces may be served in the new way already.
			return errors.Join(err, dp.Apply(p.options(old)))
		}
	}
	p.mu.Lock()
	p.snap = snap
	p.tell()
	p.mu.Unlock()
	p.warn()
	return nil
}

// kernel takes the limits of hook libraries.
func (p *plane) kernel(ls []hooks.KernelLimit) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits = p.limits[:0]
	for _, l := range ls {
		id := l.SubnetID
		if l.Scope == hooks.ScopeGlobal {
			id = 0
		}
		p.limits = append(p.limits, offload.Limit{SubnetID: id, Packets: l.Packets, IntervalNs: l.IntervalNs, Burst: l.Burst})
	}
	return p.setScopes()
}

// setScopes computes and sets the XDP scopes; with mu held. The dataplane calls
// back under its own lock when interfaces change, so it is asked on another
// goroutine.
func (p *plane) setScopes() error {
	dp := p.dp
	if dp == nil || p.snap == nil {
		return nil
	}
	scopes, skipped := offload.Scopes(p.limits, p.snap.Dhcp4, p.ifaces)
	if skipped > 0 {
		p.log.Info("PEREGRINE_LIMITS_NOT_OFFLOADED limits of subnets that a packet's addresses alone do not tell are applied in the server only", "subnets", skipped)
	}
	p.scopes = scopes
	go func() {
		p.scopesTurn.Lock() // whoever comes last sets what is wanted last
		defer p.scopesTurn.Unlock()
		p.mu.Lock()
		scopes := p.scopes
		p.mu.Unlock()
		if err := dp.SetScopes(scopes); err != nil && !errors.Is(err, fastpath.ErrClosed) {
			p.log.Warn("PEREGRINE_KERNEL_LIMITS limits of hook libraries are applied in the server only", "error", err)
		}
	}()
	return nil
}

// interfaceJSON is an interface in status-get.
type interfaceJSON struct {
	Name     string `json:"name"`
	Mode     string `json:"mode"`
	ZeroCopy bool   `json:"zero-copy"`
	Device   string `json:"device,omitempty"` // that carries a VLAN interface
	Queues   int    `json:"queues"`
	Sockets  int    `json:"sockets"`
	Reason   string `json:"reason,omitempty"`
}

func (p *plane) dataplane() *fastpath.Dataplane {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dp
}

// status is the dataplane part of status-get.
func (p *plane) status() any {
	out := []interfaceJSON{}
	if dp := p.dataplane(); dp != nil {
		for _, i := range dp.Status() {
			out = append(out, interfaceJSON{Name: i.Name, Mode: modeName(i), ZeroCopy: i.ZeroCopy, Device: i.Device, Queues: i.Queues, Sockets: i.Sockets,
				Reason: strings.Join(i.Reasons, "; ")})
		}
	}
	return map[string]any{"interfaces": out}
}

// sockets are the interfaces that are configured and not served, and why.
func (p *plane) sockets() []string {
	dp := p.dataplane()
	if dp == nil {
		return nil
	}
	var out []string
	known := map[string]bool{}
	for _, i := range dp.Status() {
		known[i.Name] = true
		if i.Mode == "" {
			out = append(out, i.Name+": "+strings.Join(i.Reasons, "; "))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out = append(out, p.addressesMissing()...)
	four, six := interfaceNames(p.snap)
	for _, name := range append(four, six...) {
		if known[name] || name == fastpath.AllInterfaces {
			continue
		}
		known[name] = true
		why := "there is no such interface; it will be served when it appears"
		if p.iface(name) != nil {
			why = "the interface is down; it will be served when it is up"
		}
		out = append(out, name+": "+why)
	}
	if len(known) == 0 && (slices.Contains(four, fastpath.AllInterfaces) || slices.Contains(six, fastpath.AllInterfaces)) {
		out = append(out, "no interface is up and has an IP address")
	}
	return out
}

// addressesMissing are the addresses that the configuration names ("eth0/192.0.2.1")
// and the interface does not have; with mu held. An interface that is missing
// itself is not for it to tell.
func (p *plane) addressesMissing() (out []string) {
	missing := func(name string, a netip.Addr, has bool) {
		if !has {
			out = append(out, fmt.Sprintf("%s/%s: the interface does not have this address", name, a))
		}
	}
	for _, c := range p.snap.Dhcp4.Interfaces {
		if i := p.iface(c.Name); i != nil && c.Addr != 0 {
			a := uint32(c.Addr)
			missing(c.Name, netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}),
				slices.ContainsFunc(i.Addrs4, func(x netio.Prefix4) bool { return x.Addr == a }))
		}
	}
	if d := p.snap.Dhcp6; d != nil {
		for _, c := range d.Interfaces {
			if i := p.iface(c.Name); i != nil && c.Addr.IsValid() {
				missing(c.Name, c.Addr, slices.ContainsFunc(i.Addrs6, func(x netio.Prefix6) bool { return x.Addr == c.Addr.As16() }))
			}
		}
	}
	return out
}

// require waits, as often and as long as configured, until all configured
// interfaces are served, if the configuration demands that they are (V4-044).
// stopped is true if a signal ended the server meanwhile.
func (p *plane) require(ss config.ServiceSockets, sig <-chan os.Signal) (stopped bool, err error) {
	if !ss.RequireAll {
		return false, nil
	}
	for try := uint32(0); ; try++ {
		missing := p.missing()
		if len(missing) == 0 {
			return false, nil
		}
		if try >= ss.MaxRetries {
			return false, fmt.Errorf("serve all interfaces (service-sockets-require-all): %s", strings.Join(missing, "; "))
		}
		p.log.Warn("DHCPSRV_OPEN_SOCKET_FAIL waiting for interfaces", "missing", strings.Join(missing, "; "), "retry", try+1)
		select {
		case x := <-sig:
			if x != syscall.SIGHUP { // a reload at this moment would read what was just read
				return true, nil
			}
		case <-time.After(time.Duration(ss.RetryWaitTimeMs) * time.Millisecond):
		}
	}
}

// iface finds an interface of the machine; with mu held.
func (p *plane) iface(name string) *netio.Interface {
	for i := range p.ifaces {
		if p.ifaces[i].Name == name {
			return &p.ifaces[i]
		}
	}
	return nil
}

// warn tells the operator what of the configured interfaces does not work.
func (p *plane) warn() {
	for _, e := range p.sockets() {
		p.log.Warn("DHCPSRV_OPEN_SOCKET_FAIL an interface is not served", "reason", e)
	}
	dp := p.dataplane()
	if dp == nil {
		return
	}
	status := dp.Status()
	p.mu.Lock()
	defer p.mu.Unlock()
	four, six := interfaceNames(p.snap)
	for _, s := range status {
		i := p.iface(s.Name)
		if s.Mode == "" || i == nil {
			continue
		}
		if slices.Contains(four, s.Name) && len(i.Addrs4) == 0 {
			p.log.Warn("PEREGRINE_NO_ADDRESS the interface has no IPv4 address: clients on it get no answer", "interface", s.Name)
		}
		if slices.Contains(six, s.Name) && len(i.Addrs6) == 0 {
			p.log.Warn("PEREGRINE_NO_ADDRESS the interface has no IPv6 address: clients on it get no answer", "interface", s.Name)
		}
	}
}

func modeName(i fastpath.InterfaceStatus) string {
	switch {
	case i.Mode == fastpath.ModeNative && i.ZeroCopy:
		return "native-zero-copy"
	case i.Mode == fastpath.ModeNative:
		return "native-copy"
	case i.Mode == "":
		return "none"
	}
	return string(i.Mode)
}

// metrics is what the collector reads.
func (p *plane) metrics() (m metric.Dataplane) {
	dp := p.dataplane()
	if dp == nil {
		return m
	}
	for _, i := range dp.Status() {
		m.Interfaces = append(m.Interfaces, metric.Interface{Name: i.Name, Mode: modeName(i)})
	}
	for _, w := range dp.Workers() {
		m.Workers = append(m.Workers, metric.Worker{Name: w.Info.Name, Interface: w.Info.IfName, Conn: w.Conn, Loop: w.Loop})
	}
	exits, _, _, err := dp.XDPCounters()
	if err != nil {
		p.log.Warn("PEREGRINE_XDP_COUNTERS", "error", err)
	}
	for _, c := range exits {
		m.XDP = append(m.XDP, metric.XDPCounter{Family: c.Family.String(), Action: c.Action.String(), Reason: c.Reason.String(), Packets: c.Packets})
	}
	return m
}

// processors sets GOMAXPROCS: workers spin and sit in system calls, and what
// runs beside them (committer, control channel, collector) must not wait for
// one of them to be preempted.
func processors() { runtime.GOMAXPROCS(2*runtime.NumCPU() + 2) }
