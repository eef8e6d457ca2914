// Package fastpath carries packets between interfaces and handlers. It chooses
// for each interface the best way the machine allows, runs the workers, follows
// interfaces as they come, go and change, and keeps the XDP program's tables equal
// to that.
//
// The ways, best first: the XDP program in the driver with AF_XDP in zero-copy or
// copy mode (native), the XDP program in the stack (generic), an AF_PACKET socket
// (packet), a UDP socket (udp). Which one is in use, and why no better one, is in
// Status.
//
// Beside AF_XDP there is always an AF_PACKET socket for what the program passes:
// queues without sockets, IP options. No packet is served twice: what the program
// redirects or drops never reaches a packet socket, neither in native nor in
// generic mode, where the program runs before the taps; and the UDP port of the
// interface is held by a socket that throws away what has been served already
// (netio.PortGuard), so that the kernel does not answer with ICMP.
//
// IP fragments are passed by the program (reason fragment) and refused by the packet
// socket, both counted; what the kernel makes of them one worker for all interfaces
// takes from those guards (netio.ReassembledConn). UDP sockets get it anyway.
//
// A VLAN interface is served from the device below it, by that device's program
// and sockets: its frames are known by their tags there, and answered with the same
// tags. The device itself need not be served. Frames of other VLANs are left to the
// stack (but see Options.ServeTagged). Tags of VLAN 0 carry only a priority and do
// not count. Where there are only UDP sockets, a VLAN interface has its own.
package fastpath

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/peregrine-dhcp/peregrine/bpf"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// Mode says how packets are carried: what is wanted (Options) or in use (Status).
type Mode string

const (
	// ModeAuto takes the best that works. It is the default.
	ModeAuto Mode = "auto"
	// ModeNative is XDP in the driver with AF_XDP.
	ModeNative Mode = "native"
	// ModeGeneric is XDP in the kernel's stack with AF_XDP: any device.
	ModeGeneric Mode = "generic"
	// ModeSocket wants ordinary sockets: packet, or udp where that is not
	// possible. It is never in use by itself.
	ModeSocket Mode = "socket"
	// ModePacket and ModeUDP are what ModeSocket came to; they cannot be wanted.
	ModePacket Mode = "packet"
	ModeUDP    Mode = "udp"
)

// AllInterfaces as an entry of Options.Interfaces is every interface that is not
// a loopback and has an address of a family served. (A port of a bridge or bond
// has none: its packets belong to the bridge.)
const AllInterfaces = "*"

// Default UDP ports of a server (RFC 2131 §4.1, RFC 8415 §7.2).
const (
	DefaultPort4 = bpf.DefaultPort4
	DefaultPort6 = bpf.DefaultPort6
)

// Options describe a Dataplane. Interfaces, one of Enable4 and Enable6, and
// NewHandler are required.
type Options struct {
	// Mode is what is wanted. "" means ModeAuto. A forced mode that an interface
	// cannot have is an error.
	Mode Mode
	// Interfaces are the names to serve; AllInterfaces stands for all. A name
	// that does not exist yet is served when it appears. A loopback interface is
	// served only by name, and only over UDP sockets.
	Interfaces []string
	// Enable4 and Enable6 are the families served.
	Enable4, Enable6 bool
	// Interfaces6 are the names to serve for IPv6, where those are others than
	// for IPv4; nil means Interfaces. With it Interfaces are for IPv4 alone.
	Interfaces6 []string
	// Unicast6 are the addresses of this machine to which IPv6 queries are taken by
	// unicast, beside link-local ones and whatever a loopback interface has; nil
	// means all.
	Unicast6 [][16]byte
	// Port4 and Port6 are the server's UDP ports. 0 means the default.
	Port4, Port6 uint16
	// ServeTagged serves a tagged frame of a VLAN that has no interface on the
	// interface it came in on, and answers with its tags.
	ServeTagged bool
	// Links lists the interfaces there are. nil means Kernel.
	Links LinkTable
	// UDPOnly uses UDP sockets and nothing else (Kea's dhcp-socket-type udp), for
	// both families. It goes with ModeAuto and ModeSocket.
	UDPOnly bool
	// UseRouting sends answers to relayed queries of IPv4 where the routing table
	// says, and not by the interface of the query (Kea's outbound-interface
	// use-routing). It goes with UDPOnly.
	UseRouting bool
	// Lenient makes it no error of Start and Apply that an interface cannot be
	// served, as long as no XDP mode is forced: it is logged, shows in Status, and
	// is tried again every few seconds.
	Lenient bool
	// WorkersPerQueue is how many workers share a receive queue. 0 chooses so
	// that all queues of all interfaces together have about Workers of them, and
	// each at least one.
	WorkersPerQueue int
	// Workers is about how many workers there are in all. 0 means one for each
	// CPU. It counts only where WorkersPerQueue is 0.
	Workers int
	// CPUs are those that workers are pinned to, in turn; nil pins none.
	CPUs []int
	// SpinNs, NapNs, MaxHeld and HoldTimeoutNs are those of netio.LoopOptions.
	SpinNs, NapNs int64
	MaxHeld       int
	HoldTimeoutNs int64
	// BusyPollUs, BusyPollBudget, FramesPerQueue, RingSize and HugePages are
	// those of xsk.Options.
	BusyPollUs, BusyPollBudget int
	FramesPerQueue, RingSize   int
	HugePages                  bool
	// Limits are enforced by the XDP program; other modes do not have them.
	Limits bpf.Limits
	// NewHandler makes the handler of a worker, before its first packet. The
	// worker's end is the Loop's: the Handler is not used any more when the
	// worker's interface is closed.
	NewHandler func(WorkerInfo) (netio.Handler, error)
	// WorkerDone, if not nil, is told when a worker has ended and its handler
	// will not be called again.
	WorkerDone func(WorkerInfo, netio.Handler)
	// OnInterfaces, if not nil, gets the list of all interfaces of the machine,
	// served or not, before the first packet and again whenever it changed. The
	// list is not to be modified.
	OnInterfaces func([]netio.Interface)
	// Log gets what an administrator should know. nil means slog.Default.
	Log *slog.Logger
}

// WorkerInfo identifies a worker.
type WorkerInfo struct {
	// Name is unique among the workers running: "eth0/2.1" is the second socket
	// of queue 2, "eth0/packet.0", "eth0/udp.0" and "eth0/udp6.0" are sockets,
	// "fragments" serves what came in fragments on any interface.
	Name string
	// IfName and IfIndex are the device's; "" and 0 where it is no one's.
	IfName  string
	IfIndex uint32
	// Kind is "xsk", "packet", "udp", "udp6" or "fragments".
	Kind string
	// Queue and Index say which socket it is: of which queue, and which of those
	// sharing it.
	Queue, Index int
}

// InterfaceStatus says how an interface is served. It stays so until the interface
// or the options change: what stood in the way of a better mode is looked at again
// only then.
type InterfaceStatus struct {
	Name  string
	Index uint32
	// Mode is ModeNative, ModeGeneric, ModePacket or ModeUDP; "" while the
	// interface is not served, and then the last of Reasons says why.
	Mode Mode
	// ZeroCopy is the mode AF_XDP really uses, as the kernel says.
	ZeroCopy bool
	// Device is the interface whose program and sockets serve this one, where that
	// is another: a VLAN interface's.
	Device string
	// Queues is the number of receive queues with AF_XDP sockets, Sockets the
	// number of workers, all kinds together, of the device.
	Queues, Sockets int
	// Reasons say why nothing better is in use, one for each way tried.
	Reasons []string
}

// WorkerStats are the counters of a worker.
type WorkerStats struct {
	Info WorkerInfo
	Conn netio.ConnStats
	Loop netio.LoopStats
}

// withDefaults fills in what is 0 and checks the rest.
func (o Options) withDefaults() (Options, error) {
	if o.Mode == "" {
		o.Mode = ModeAuto
	}
	if o.Port4 == 0 {
		o.Port4 = DefaultPort4
	}
	if o.Port6 == 0 {
		o.Port6 = DefaultPort6
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	var errs []error
	switch o.Mode {
	case ModeAuto, ModeNative, ModeGeneric, ModeSocket:
	default:
		errs = append(errs, fmt.Errorf("mode %q is none of auto, native, generic, socket", o.Mode))
	}
	if !o.Enable4 && !o.Enable6 {
		errs = append(errs, errors.New("neither IPv4 nor IPv6 is enabled"))
	}
	if o.UDPOnly && (o.Mode == ModeNative || o.Mode == ModeGeneric) {
		errs = append(errs, fmt.Errorf("mode %s and UDP sockets only exclude each other", o.Mode))
	}
	if o.UseRouting && !o.UDPOnly {
		errs = append(errs, errors.New("routed answers need UDP sockets only"))
	}
	if o.WorkersPerQueue < 0 || o.WorkersPerQueue > maxWorkersPerQueue {
		errs = append(errs, fmt.Errorf("%d workers per queue, want 0 to %d", o.WorkersPerQueue, maxWorkersPerQueue))
	}
	if o.Workers < 0 {
		errs = append(errs, fmt.Errorf("%d workers, want 0 or more", o.Workers))
	}
	if o.NewHandler == nil {
		errs = append(errs, errors.New("there is no NewHandler"))
	}
	if len(errs) > 0 {
		return o, fmt.Errorf("check dataplane options: %w", errors.Join(errs...))
	}
	o.Interfaces, o.Interfaces6 = slices.Clone(o.Interfaces), slices.Clone(o.Interfaces6)
	o.CPUs, o.Unicast6 = slices.Clone(o.CPUs), slices.Clone(o.Unicast6)
	if o.Links == nil {
		o.Links = Kernel{}
	}
	return o, nil
}

const maxWorkersPerQueue = 64

// selects says whether the interface is to be served.
func (o *Options) selects(i *netio.Interface) bool {
	four, six := o.families(i)
	return four || six
}

// families says which families the interface is to be served for.
func (o *Options) families(i *netio.Interface) (four, six bool) {
	list6 := o.Interfaces6
	if list6 == nil {
		list6 = o.Interfaces
	}
	in := func(list []string, addrs int) bool {
		return slices.Contains(list, i.Name) || slices.Contains(list, AllInterfaces) && !i.Loopback && addrs > 0
	}
	return o.Enable4 && in(o.Interfaces, len(i.Addrs4)), o.Enable6 && in(list6, len(i.Addrs6))
}

// rebuilds says whether the change from o to n touches what running workers or
// the loaded program were made with.
func (o *Options) rebuilds(n *Options) bool {
	return o.Mode != n.Mode || o.Enable4 != n.Enable4 || o.Enable6 != n.Enable6 ||
		o.Port4 != n.Port4 || o.Port6 != n.Port6 || o.UDPOnly != n.UDPOnly || o.UseRouting != n.UseRouting || o.Links != n.Links ||
		o.WorkersPerQueue != n.WorkersPerQueue || o.Workers != n.Workers || !slices.Equal(o.CPUs, n.CPUs) ||
		o.SpinNs != n.SpinNs || o.NapNs != n.NapNs || o.MaxHeld != n.MaxHeld || o.HoldTimeoutNs != n.HoldTimeoutNs ||
		o.BusyPollUs != n.BusyPollUs || o.BusyPollBudget != n.BusyPollBudget ||
		o.FramesPerQueue != n.FramesPerQueue || o.RingSize != n.RingSize || o.HugePages != n.HugePages
}
