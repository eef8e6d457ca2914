package fastpath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/bpf"
	"github.com/peregrine-dhcp/peregrine/fastpath/xsk"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// maxSockets is the size of the XSKMAP, over all interfaces.
const maxSockets = 4096

// worker is one Loop and what it runs on.
type worker struct {
	info    WorkerInfo
	conn    netio.Conn
	handler netio.Handler
	loop    *netio.Loop
}

// port is one interface being served. The Dataplane's mutex guards it.
type port struct {
	d        *Dataplane
	link     linkInfo
	mode     Mode
	zeroCopy bool
	queues   int // receive queues with AF_XDP sockets
	reasons  []string
	// underVLAN says that XDP was not used for the sake of VLAN interfaces.
	underVLAN bool

	attached link.Link
	inTable  bool // the program's tables know the interface
	base     uint32
	sockets  uint32 // entries of the XSKMAP from base on

	xqueues []*xsk.Queue
	packets []*netio.PacketConn
	udp     []*netio.UDPConn
	guards  []*netio.PortGuard
	// four and six are the families it was opened for.
	four, six bool
	workers   []*worker

	ctx    context.Context // ends the workers
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// openPort serves an interface in the best way that works and is allowed. The
// port is returned also with an error, closed, for what it says in reasons.
func (d *Dataplane) openPort(l linkInfo) (*port, error) {
	p := &port{d: d, link: l}
	p.four, p.six = d.opt.families(&l.Interface)
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
	case l.Loopback, d.opt.UDPOnly:
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
	h, err := o.NewHandler(info)
	if err != nil {
		return fmt.Errorf("make handler of worker %s: %w", info.Name, err)
	}
	lo := netio.LoopOptions{SpinNs: o.SpinNs, NapNs: o.NapNs, MaxHeld: o.MaxHeld, HoldTimeoutNs: o.HoldTimeoutNs, Shed: shed}
	if len(o.CPUs) > 0 {
		lo.Affinity = []int{o.CPUs[p.d.nextCPU%len(o.CPUs)]}
		p.d.nextCPU++
	}
	if p.cancel == nil {
		p.ctx, p.cancel = context.WithCancel(context.Background())
	}
	w := &worker{info: info, conn: conn, handler: h, loop: netio.NewLoop(conn, h, lo)}
	p.workers = append(p.workers, w)
	ctx, log := p.ctx, o.Log
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		if err := w.loop.Run(ctx); err != nil {
			log.Error("PEREGRINE_WORKER_FAILED a worker does not run", "worker", info.Name, "error", err)
		}
	}()
	return nil
}

// openXDP attaches the program and opens AF_XDP sockets on every queue, with a
// packet socket beside them for what the program passes.
func (p *port) openXDP(mode Mode) error {
	d := p.d
	if err := d.loadProgram(); err != nil {
		return err
	}
	if id := p.link.xdpProgram; id != 0 {
		return fmt.Errorf("another XDP program (id %d) is attached; it is left alone", id)
	}
	if vids := d.vlansOver(p.link.Index); len(vids) > 0 {
		p.underVLAN = true
		return fmt.Errorf("VLAN %d has an interface of its own that is served; the XDP program would take its frames", vids[0])
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
	queues := p.link.rxQueues
	perQueue := d.workersPerQueue(queues)
	p.sockets = uint32(queues * perQueue)
	var ok bool
	if p.base, ok = d.allocSockets(p.sockets); !ok {
		p.sockets = 0
		return fmt.Errorf("find room for %d sockets: the table has %d for all interfaces", queues*perQueue, maxSockets)
	}
	o := &d.opt
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
			if err := p.newWorker(s, info, pressure.Set); err != nil {
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
	p.inTable = true
	if err := p.setAddrs(); err != nil {
		return err
	}
	return d.objs.SetInterface(p.link.Index, bpf.InterfaceConfig{
		Base: p.base, Queues: uint32(queues), SocketsPerQueue: uint32(perQueue),
		Enabled4: p.four, Enabled6: p.six, Tagged: true,
	})
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
	if err := p.setAddrs(); err != nil {
		return err
	}
	for i, c := range p.packets {
		info := WorkerInfo{Name: fmt.Sprintf("%s/packet.%d", p.link.Name, i), Kind: "packet", Index: i}
		if err := p.newWorker(c, info, nil); err != nil {
			return err
		}
	}
	return nil
}

// serves says whether the port was opened for these families.
func (p *port) serves(four, six bool) bool { return p.four == four && p.six == six }

// openGuards takes the server's UDP ports of the interface.
func (p *port) openGuards() error {
	if p.four {
		g, err := netio.OpenPortGuard(p.d.opt.Port4, p.link.Name)
		if err != nil {
			return err
		}
		p.guards = append(p.guards, g)
	}
	if p.six {
		g, err := netio.OpenPortGuard6(p.d.opt.Port6, p.link.Name, p.link.Index)
		if err != nil {
			return err
		}
		p.guards = append(p.guards, g)
	}
	return nil
}

// openUDP serves with UDP sockets.
func (p *port) openUDP() error {
	o := &p.d.opt
	if !p.four {
		return errors.New("UDP sockets serve IPv4, which is not enabled")
	}
	n := p.d.workersPerQueue(1)
	var err error
	p.udp, err = netio.OpenUDP(netio.UDPOptions{Port: o.Port4, Device: p.link.Name}, n)
	if err != nil {
		return err
	}
	for i, c := range p.udp {
		info := WorkerInfo{Name: fmt.Sprintf("%s/udp.%d", p.link.Name, i), Kind: "udp", Index: i}
		if err := p.newWorker(c, info, nil); err != nil {
			return err
		}
	}
	return nil
}

// setAddrs tells packet sockets and program which destinations are ours.
func (p *port) setAddrs() error {
	d4 := destinations4(p.d.links, p.link.Index)
	d6 := destinations6(p.d.links, p.link.Index)
	skip := p.d.vlansOver(p.link.Index)
	for _, c := range p.packets {
		c.SetAddrs4(d4)
		c.SetAddrs6(d6)
		c.SetSkipVLANs(skip)
	}
	if !p.inTable {
		return nil
	}
	a4 := make([][4]byte, len(d4))
	for i, a := range d4 {
		binary.BigEndian.PutUint32(a4[i][:], a)
	}
	return errors.Join(
		p.d.objs.SetAddrs4(p.link.Index, a4),
		p.d.objs.SetAddrs6(p.link.Index, d6),
	)
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
	if p.inTable {
		warn(d.objs.DeleteInterface(p.link.Index))
		p.inTable = false
	}
	if p.attached != nil {
		warn(p.attached.Close())
		p.attached = nil
	}
	for i := range p.sockets {
		warn(d.objs.DeleteSocket(p.base + i))
	}
	p.sockets = 0
	if p.cancel != nil {
		p.cancel()
		p.wg.Wait()
		p.ctx, p.cancel = nil, nil
	}
	for _, w := range p.workers {
		if d.opt.WorkerDone != nil {
			d.opt.WorkerDone(w.info, w.handler)
		}
	}
	p.workers = nil
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
	for _, g := range p.guards {
		warn(g.Close())
	}
	p.guards = nil
	p.mode, p.zeroCopy, p.queues = "", false, 0
}

func (p *port) status() InterfaceStatus {
	return InterfaceStatus{
		Name: p.link.Name, Index: p.link.Index, Mode: p.mode, ZeroCopy: p.zeroCopy && p.queues > 0,
		Queues: p.queues, Sockets: len(p.workers), Reasons: append([]string(nil), p.reasons...),
	}
}

// workersPerQueue is how many workers each of an interface's queues gets.
func (d *Dataplane) workersPerQueue(queues int) int {
	if n := d.opt.WorkersPerQueue; n > 0 {
		return n
	}
	served := 0
	for i := range d.links {
		if d.opt.selects(&d.links[i].Interface) {
			served++
		}
	}
	total := d.opt.Workers
	if total == 0 {
		total = runtime.NumCPU()
	}
	return min(max(1, total/(queues*max(1, served))), maxWorkersPerQueue)
}
