package fastpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/bpf"
	"github.com/peregrine-dhcp/peregrine/fastpath/xsk"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// maxSockets is the size of the XSKMAP, over all interfaces.
const maxSockets = 4096

// maxInterfaces is the most interfaces that XDP serves, VLAN interfaces included.
const maxInterfaces = 8192

// member is an interface that a port serves.
type member struct {
	link Link
	// four and six are the families it is served for.
	four, six bool
	guards    []*netio.PortGuard
}

// port is one device being served, for itself or for VLAN interfaces over it, or
// both. The Dataplane's mutex guards it.
type port struct {
	d        *Dataplane
	link     Link
	mode     Mode
	zeroCopy bool
	queues   int // receive queues with AF_XDP sockets
	reasons  []string
	// members are the interfaces it carries, by index.
	members map[uint32]*member
	// four and six are the families of its members together.
	four, six bool
	tagged    bool // ServeTagged when its tables were set
	// tagsLost says that the device takes tags out of frames where XDP does not
	// see them; noXDP that XDP was not used because of that.
	tagsLost, noXDP bool
	// stripping are the features to turn on again in the end.
	stripping []string

	attached link.Link
	config   bpf.InterfaceConfig // but for the families
	inTable  map[uint32]bool     // members that the program's tables have
	vlansSet bool
	base     uint32
	sockets  uint32 // entries of the XSKMAP from base on

	xqueues []*xsk.Queue
	packets []*netio.PacketConn
	udp     []netio.Conn
	table   atomic.Pointer[netio.Members] // of the AF_XDP sockets
	workers workers
}

// errAlone says that a device can only be served by UDP sockets, which each of its
// members has to have by itself.
var errAlone = errors.New("VLAN interfaces have UDP sockets of their own")

// openPort serves a device with these members in the best way that works and is
// allowed. The port is returned also with an error, closed, for what it says in
// reasons.
func (d *Dataplane) openPort(l Link, members []*Link) (*port, error) {
	p := &port{d: d, link: l, members: map[uint32]*member{}, inTable: map[uint32]bool{}}
	for _, m := range members {
		four, six := d.opt.families(&m.Interface)
		p.members[m.Index] = &member{link: *m, four: four, six: six}
		p.four, p.six = p.four || four, p.six || six
	}
	type way struct {
		mode Mode
		open func() error
	}
	native := way{ModeNative, func() error { return p.openXDP(ModeNative) }}
	generic := way{ModeGeneric, func() error { return p.openXDP(ModeGeneric) }}
	packet := way{ModePacket, p.openPacket}
	udp := way{ModeUDP, p.openUDP}
	var ways []way
	switch {
	case l.Loopback && (d.opt.Mode == ModeNative || d.opt.Mode == ModeGeneric):
		err := fmt.Errorf("serve %s in mode %s: a loopback interface has UDP sockets only", l.Name, d.opt.Mode)
		p.reasons = append(p.reasons, err.Error())
		return p, err
	case l.Loopback, d.opt.UDPOnly, d.alone[l.Index]:
		ways = []way{udp}
	case d.opt.Mode == ModeNative:
		ways = []way{native}
	case d.opt.Mode == ModeGeneric:
		ways = []way{generic}
	case d.opt.Mode == ModeSocket:
		ways = []way{packet, udp}
	default:
		ways = []way{native, generic, packet, udp}
	}
	var last error
	for _, w := range ways {
		if err := w.open(); err != nil {
			p.close()
			p.reasons = append(p.reasons, fmt.Sprintf("%s: %v", w.mode, err))
			last = fmt.Errorf("serve %s in mode %s: %w", l.Name, w.mode, err)
			continue
		}
		p.mode = w.mode
		return p, nil
	}
	return p, last
}

// newWorker makes a worker and starts its loop. shed, which may be nil, is
// netio.LoopOptions.Shed.
func (p *port) newWorker(conn netio.Conn, info WorkerInfo, shed func(uint32)) error {
	o := &p.d.opt
	info.IfName, info.IfIndex = p.link.Name, p.link.Index
	lo := netio.LoopOptions{SpinNs: o.SpinNs, NapNs: o.NapNs, MaxHeld: o.MaxHeld, HoldTimeoutNs: o.HoldTimeoutNs, Shed: shed}
	if len(o.CPUs) > 0 {
		lo.Affinity = []int{o.CPUs[p.d.nextCPU%len(o.CPUs)]}
		p.d.nextCPU++
	}
	return p.workers.start(o, conn, info, lo)
}

// openXDP attaches the program and opens AF_XDP sockets on every queue, with a
// packet socket beside them for what the program passes.
func (p *port) openXDP(mode Mode) error {
	d := p.d
	if err := d.loadProgram(); err != nil {
		return err
	}
	if id := p.link.XDPProgram; id != 0 {
		return fmt.Errorf("another XDP program (id %d) is attached; it is left alone", id)
	}
	if err := p.keepTags(); err != nil {
		p.noXDP = true
		return err
	}
	// First, so that the port is known to be ours before anything is attached.
	if err := p.openGuards(); err != nil {
		return err
	}
	flags := link.XDPDriverMode
	if mode == ModeGeneric {
		flags = link.XDPGenericMode
	}
	var err error
	p.attached, err = link.AttachXDP(link.XDPOptions{Program: d.objs.Program(), Interface: int(p.link.Index), Flags: flags})
	if err != nil {
		return fmt.Errorf("attach XDP program: %w", err)
	}
	queues := p.link.RXQueues
	perQueue := d.workersPerQueue(queues)
	p.sockets = uint32(queues * perQueue)
	var ok bool
	if p.base, ok = d.allocSockets(p.sockets); !ok {
		p.sockets = 0
		return fmt.Errorf("find room for %d sockets: the table has %d for all interfaces", queues*perQueue, maxSockets)
	}
	o := &d.opt
	p.table.Store(p.netioMembers())
	p.zeroCopy = true
	for q := range queues {
		xo := xsk.Options{
			IfIndex: p.link.Index, QueueID: uint32(q), Sockets: perQueue,
			Frames: o.FramesPerQueue, RingSize: o.RingSize, HugePages: o.HugePages,
			BusyPollUs: o.BusyPollUs, BusyPollBudget: o.BusyPollBudget,
		}
		if mode == ModeGeneric {
			xo.Copy = xsk.CopyOnly
		}
		xq, err := openQueue(xo)
		if err != nil {
			return err
		}
		p.xqueues = append(p.xqueues, xq)
		p.zeroCopy = p.zeroCopy && xq.ZeroCopy()
		for i, s := range xq.Sockets() {
			info := WorkerInfo{Name: fmt.Sprintf("%s/%d.%d", p.link.Name, q, i), Kind: "xsk", Queue: q, Index: i}
			index := p.base + uint32(q*perQueue+i)
			pressure, err := d.objs.Pressure(index)
			if err != nil {
				return err
			}
			conn := &tagConn{Socket: s, members: &p.table}
			if err := p.newWorker(conn, info, pressure.Set); err != nil {
				return err
			}
			if err := d.objs.SetSocket(index, s.FD()); err != nil {
				return err
			}
		}
	}
	p.queues = queues
	if mode == ModeNative && !p.zeroCopy {
		p.reasons = append(p.reasons, "native zero-copy: the driver does not have it")
	}
	if err := p.openPacketSockets(1); err != nil {
		return err
	}
	p.config = bpf.InterfaceConfig{Base: p.base, Queues: uint32(queues), SocketsPerQueue: uint32(perQueue)}
	return p.setTables()
}

// queueReleaseTime is how long a queue that is busy is tried again.
const queueReleaseTime = 3 * time.Second

// openQueue is xsk.Open for a queue that may have been closed just now, by this
// process or by one that ended: the kernel gives it back a moment later, from a
// work queue, and says EBUSY until then.
func openQueue(o xsk.Options) (*xsk.Queue, error) {
	for deadline := time.Now().Add(queueReleaseTime); ; time.Sleep(20 * time.Millisecond) {
		q, err := xsk.Open(o)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return q, err
		}
	}
}

// vethTags is worth saying where VLAN interfaces stand over a veth: a frame that the
// other end left the tag to its device for has it where XDP does not see it.
const vethTags = "VLAN tags over a veth pair are seen only if the other end writes them: there, ethtool -K DEVICE txvlan off tx-vlan-stag-hw-insert off"

// keepTags sees to it that VLAN tags are still in the frames when XDP gets them:
// many devices take them out before. Without VLAN interfaces that is tolerated
// where it cannot be changed.
func (p *port) keepTags() error {
	var errs []error
	for _, f := range []string{xsk.FeatureStripCTag, xsk.FeatureStripSTag} {
		changed, err := xsk.SetFeature(p.link.Name, f, false)
		if err != nil {
			errs = append(errs, err)
		} else if changed {
			p.stripping = append(p.stripping, f)
		}
	}
	if p.link.Veth && len(p.d.vlansOver(p.link.Index)) > 0 {
		p.reasons = append(p.reasons, vethTags)
	}
	if len(errs) == 0 {
		return nil
	}
	p.tagsLost = true
	err := fmt.Errorf("VLAN tags are taken out before XDP sees them: %w", errors.Join(errs...))
	if len(p.d.vlansOver(p.link.Index)) > 0 {
		return err
	}
	p.reasons = append(p.reasons, err.Error())
	return nil
}

// openPacket serves with AF_PACKET sockets alone.
func (p *port) openPacket() error {
	if err := p.openGuards(); err != nil {
		return err
	}
	return p.openPacketSockets(p.d.workersPerQueue(1))
}

// openPacketSockets opens n packet sockets, each with a worker.
func (p *port) openPacketSockets(n int) error {
	o := &p.d.opt
	po := netio.PacketOptions{IfIndex: p.link.Index}
	if p.four {
		po.Port4 = o.Port4
	}
	if p.six {
		po.Port6 = o.Port6
	}
	var err error
	if p.packets, err = netio.OpenPacket(po, n); err != nil {
		return err
	}
	// Before the workers: they must not answer what belongs to another host.
	table := p.netioMembers()
	for i, c := range p.packets {
		c.SetMembers(table)
		info := WorkerInfo{Name: fmt.Sprintf("%s/packet.%d", p.link.Name, i), Kind: "packet", Index: i}
		if err := p.newWorker(c, info, nil); err != nil {
			return err
		}
	}
	return nil
}

// openGuards takes the server's UDP ports of all members.
func (p *port) openGuards() error {
	for _, x := range p.members {
		if err := x.openGuards(p.d); err != nil {
			return err
		}
	}
	return nil
}

// openGuards takes the server's UDP ports of the interface, and has what comes in
// fragments served from them.
func (x *member) openGuards(d *Dataplane) error {
	o := &d.opt
	if x.four {
		g, err := netio.OpenPortGuard(o.Port4, x.link.Name, x.link.Index)
		if err != nil {
			return err
		}
		x.guards = append(x.guards, g)
	}
	if x.six {
		g, err := netio.OpenPortGuard6(o.Port6, x.link.Name, x.link.Index)
		if err != nil {
			return err
		}
		x.guards = append(x.guards, g)
	}
	for _, g := range x.guards {
		if err := d.fragments.take(d, g); err != nil {
			return err
		}
	}
	return nil
}

func (x *member) closeGuards(d *Dataplane) (err error) {
	for _, g := range x.guards {
		err = errors.Join(err, d.fragments.letGo(&d.opt, g), g.Close())
	}
	x.guards = nil
	return err
}

// openUDP serves with UDP sockets.
func (p *port) openUDP() error {
	o := &p.d.opt
	if p.members[p.link.Index] == nil || len(p.members) > 1 {
		return errAlone
	}
	n := p.d.workersPerQueue(1)
	if p.four {
		conns, err := netio.OpenUDP(netio.UDPOptions{Port: o.Port4, Device: p.link.Name, Routed: o.UseRouting}, n)
		if err != nil {
			return err
		}
		for _, c := range conns {
			p.udp = append(p.udp, c)
		}
		if err := p.newUDPWorkers("udp", p.udp); err != nil {
			return err
		}
	}
	if p.six {
		conns, err := netio.OpenUDP6(netio.UDP6Options{
			Port: o.Port6, Device: p.link.Name, IfIndex: p.link.Index, Groups: !p.link.Loopback,
		}, n)
		if err != nil {
			return err
		}
		have := len(p.udp)
		for _, c := range conns {
			p.udp = append(p.udp, c)
		}
		p.setUnicast6()
		return p.newUDPWorkers("udp6", p.udp[have:])
	}
	return nil
}

// setUnicast6 tells UDP sockets which destinations are ours.
func (p *port) setUnicast6() {
	for _, c := range p.udp {
		if c, ok := c.(*netio.UDP6Conn); ok && !p.link.Loopback {
			c.SetUnicast6(p.d.any6)
		}
	}
}

func (p *port) newUDPWorkers(kind string, conns []netio.Conn) error {
	for i, c := range conns {
		info := WorkerInfo{Name: fmt.Sprintf("%s/%s.%d", p.link.Name, kind, i), Kind: kind, Index: i}
		if err := p.newWorker(c, info, nil); err != nil {
			return err
		}
	}
	return nil
}

// setTables tells sockets of every kind and the program which frames are ours and
// whose. Members that are there no more have left p.members.
func (p *port) setTables() error {
	table := p.netioMembers()
	for _, c := range p.packets {
		c.SetMembers(table)
	}
	p.setUnicast6()
	if p.attached == nil {
		return nil
	}
	p.table.Store(table)
	objs := p.d.objs
	var errs []error
	for i := range p.inTable {
		if p.members[i] == nil {
			errs = append(errs, objs.DeleteInterface(i))
			delete(p.inTable, i)
		}
	}
	for i, x := range p.members {
		own4, own6 := ownAddrs(&x.link)
		a4 := make([][4]byte, len(own4))
		for j, a := range own4 {
			binary.BigEndian.PutUint32(a4[j][:], a)
		}
		c := p.config
		c.Enabled4, c.Enabled6 = x.four, x.six
		c.Tagged = i == p.link.Index && p.d.opt.ServeTagged
		p.inTable[i] = true
		errs = append(errs, objs.SetAddrs4(i, a4), objs.SetAddrs6(i, own6), objs.SetInterface(i, c))
	}
	p.vlansSet = true
	errs = append(errs, objs.SetVLANs(p.link.Index, p.d.vlansOver(p.link.Index)))
	return errors.Join(errs...)
}

// close stops serving. The program is told first, so that packets go to the stack
// while the workers end; it may be called again.
func (p *port) close() {
	d := p.d
	warn := func(err error) {
		if err != nil {
			d.opt.Log.Warn("PEREGRINE_INTERFACE_CLOSE an interface was not closed cleanly", "interface", p.link.Name, "error", err)
		}
	}
	for i := range p.inTable {
		warn(d.objs.DeleteInterface(i))
		delete(p.inTable, i)
	}
	if p.vlansSet {
		warn(d.objs.SetVLANs(p.link.Index, nil))
		p.vlansSet = false
	}
	if p.attached != nil {
		warn(p.attached.Close())
		p.attached = nil
	}
	for i := range p.sockets {
		warn(d.objs.DeleteSocket(p.base + i))
	}
	p.sockets = 0
	p.workers.stop(&d.opt)
	for _, q := range p.xqueues {
		warn(q.Close())
	}
	p.xqueues = nil
	for _, c := range p.packets {
		warn(c.Close())
	}
	p.packets = nil
	for _, c := range p.udp {
		warn(c.Close())
	}
	p.udp = nil
	for _, x := range p.members {
		warn(x.closeGuards(d))
	}
	for _, f := range p.stripping {
		// The device may be gone, which is no trouble.
		if _, err := xsk.SetFeature(p.link.Name, f, true); err != nil && !errors.Is(err, unix.ENODEV) {
			warn(err)
		}
	}
	p.stripping, p.tagsLost = nil, false
	p.mode, p.zeroCopy, p.queues = "", false, 0
}

// status says how a member is served.
func (p *port) status(x *member) InterfaceStatus {
	s := InterfaceStatus{
		Name: x.link.Name, Index: x.link.Index, Mode: p.mode, ZeroCopy: p.zeroCopy && p.queues > 0,
		Queues: p.queues, Sockets: len(p.workers.list), Reasons: append([]string(nil), p.reasons...),
	}
	if x.link.Index != p.link.Index {
		s.Device = p.link.Name
	}
	return s
}

// workersPerQueue is how many workers each of an interface's queues gets.
func (d *Dataplane) workersPerQueue(queues int) int {
	if n := d.opt.WorkersPerQueue; n > 0 {
		return n
	}
	served := len(d.plan())
	total := d.opt.Workers
	if total == 0 {
		total = runtime.NumCPU()
	}
	return min(max(1, total/(queues*max(1, served))), maxWorkersPerQueue)
}
