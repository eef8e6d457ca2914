// Package slowpath is the server: it takes datagrams from netio loops, decodes
// them, runs the hook points and the engine, makes lease changes durable, and
// answers. Every way in ends here, and only here DHCP is decided.
//
// A Server owns the lease table, the lease store, the hook libraries, the
// control channel and the background work (reclamation, snapshots, statistics).
// It knows no dataplane: cmd gives it interfaces and takes its Workers, one for
// each netio.Loop. Exported methods may be called from any goroutine; a
// Worker's belong to its loop.
//
// The way of a packet is in worker.go, what waits in park.go, a change of
// configuration in reload.go, control commands in command*.go.
package slowpath

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/alloc"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// Port4 is the DHCPv4 server port.
const Port4 = 67

// Options of New.
type Options struct {
	// Snapshot is the configuration to start with; it must have a Dhcp4 part.
	Snapshot *config.Snapshot
	// ConfigFile is where it came from; config-reload reads it again and
	// config-write writes beside it.
	ConfigFile string
	// Load reads a configuration file as the command line does, "" for the
	// start-up file.
	Load func(path string) (*config.Snapshot, error)
	// FromJSON reads the argument of config-set and config-test.
	FromJSON func(raw []byte) (*config.Snapshot, error)
	// Applied is called, if not nil, when a configuration is about to be used:
	// it changes interfaces, limits, loggers. An error refuses it.
	Applied func(old, new *config.Snapshot) error
	// Shutdown is called by the shutdown command after it was answered.
	Shutdown func(exitValue int)
	// Hooks gives the library of that name, nil if there is none.
	Hooks func(name string) hooks.Library
	// Kernel takes what hook libraries want limited in the kernel; nil: nothing
	// can be.
	Kernel func([]hooks.KernelLimit) error
	// Dataplane describes the way packets come in, for status-get; Sockets are
	// the errors of sockets that could not be opened. Both may be nil.
	Dataplane func() any
	Sockets   func() []string
	// Log is for operators; nil is silent. Log6 is for what concerns DHCPv6, nil
	// is Log.
	Log, Log6 *slog.Logger
	// Port and Port6 are the UDP ports served, 0 is Port4 and Port6.
	Port, Port6 uint16
	// AnswerSource sends every answer to where its query came from, address, port
	// and link layer: for tests behind one address (OP-061).
	AnswerSource bool
	// FS is the lease store's file system, nil the operating system's.
	FS leasestore.FS
	// Version is Kea-shaped, Extended the long text of version-get.
	Version, Extended, Build string
}

// Server is a running DHCPv4 server without its packets.
type Server struct {
	opt     Options
	log     *slog.Logger
	started time.Time
	port4   uint16

	table   *lease.Table
	store   *leasestore.Store // nil: not persisted
	mirror  *leasefile.Mirror // nil: none; changed under reload
	engine  *engine.Engine
	runtime atomic.Pointer[runtime]
	ifaces  atomic.Pointer[ifaces]
	clients clients
	// family is DHCPv4's. It is there, and serves nothing, where the configuration
	// has no Dhcp4 part.
	*family
	six    *server6 // nil where the configuration has no Dhcp6 part
	table6 *lease6.Table
	drops  struct {
		frame, parse, notes, engine, nak, server *stat.Group
	}
	reclaimed struct {
		sync.Mutex
		leases, declined atomic.Uint64
		shard            *stat.Shard
	}
	tracer    tracer
	traced    atomic.Uint32 // a traceSet
	subnets   subnetCounters
	truncated atomic.Uint64 // replies that left options out
	// classFailures are expressions of classes that could not be evaluated.
	classFailures [2]atomic.Uint64 // DHCPv4, DHCPv6
	parkedAt      [256]atomic.Int64

	mu struct {
		sync.Mutex
		workers map[*Worker]struct{}
		netifs  []netio.Interface
	}
	reload   sync.Mutex   // one change of configuration at a time
	reloaded atomic.Int64 // Unix ns; 0: not since the start
	bg       struct {
		cancel context.CancelFunc
		wg     sync.WaitGroup
	}
	commandJournal struct {
		sync.Mutex
		w *leasestore.Writer
		e *engine.Worker
	}
	recovery *leasestore.Recovery
	hosts    storedHosts
	cache    cachedHosts
	cache6   cachedHosts
	writing  sync.Mutex // one file by lease4-write or lease6-write at a time
}

// New recovers the leases, loads the hook libraries and opens the control
// channel. The server then answers what its Workers are given; Close ends it.
func New(o Options) (_ *Server, err error) {
	if o.Snapshot == nil || o.Snapshot.Dhcp4 == nil && o.Snapshot.Dhcp6 == nil {
		return nil, errors.New("start server: the configuration has neither a Dhcp4 nor a Dhcp6 part")
	}
	o.Snapshot = WithDhcp4(o.Snapshot)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Log6 == nil {
		o.Log6 = o.Log
	}
	if o.Port == 0 {
		o.Port = Port4
	}
	if o.Port6 == 0 {
		o.Port6 = Port6
	}
	d := o.Snapshot.Dhcp4
	s := &Server{opt: o, log: o.Log, started: time.Now(), port4: o.Port}
	s.tracer = newTracer(o.Log, "dhcp4")
	s.setTrace()
	s.mu.workers = map[*Worker]struct{}{}
	s.clients.set.keys = map[uint64]struct{}{}
	s.ifaces.Store(&ifaces{})
	s.family = s.newFamily(stat.V4, o.Snapshot, s.leaseStats)
	s.reclaimed.shard = s.stats.NewShard()
	s.drops.frame = stat.NewGroup(int(frame.NumReasons))
	s.drops.parse = stat.NewGroup(int(dhcp4.NumReasons))
	s.drops.notes = stat.NewGroup(dhcp4.NumNotes)
	s.drops.engine = stat.NewGroup(int(engine.NumReasons))
	s.drops.nak = stat.NewGroup(int(engine.NumReasons))
	s.drops.server = stat.NewGroup(NumReasons)

	s.table = lease.NewTable(lease.Options{MaxLeases: o.Snapshot.Dataplane.MaxLeases})
	s.table6 = lease6.NewTable(lease6.Options{MaxLeases: o.Snapshot.Dataplane.MaxLeases})
	if o.Snapshot.Dhcp6 != nil {
		if s.six, err = s.new6(o.Snapshot); err != nil {
			return nil, err
		}
	}
	if d.LeaseDatabase.Persist || s.six != nil && s.six.persist {
		if err := s.openStore(); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeParts())
		}
	}()

	if err := s.openHosts(); err != nil {
		return nil, err
	}
	pipe, err := s.compile(o.Snapshot)
	if err != nil {
		return nil, err
	}
	rt := newRuntime(o.Snapshot, pipe, 1)
	ec := s.engineConfig(o.Snapshot, pipe)
	if s.mirror, err = s.newMirror(o.Snapshot); err != nil {
		return nil, errors.Join(err, pipe.Close())
	}
	s.table.SetObserver(observer(ec, pipe, s.mirror), true)
	if s.mirror != nil {
		s.mirror.Start()
	}
	s.subnets.configure4(d)
	s.engine = engine.New(s.table, ec)
	s.runtime.Store(rt)
	if s.store != nil {
		s.commandJournal.w = s.store.NewWriter("commands")
		s.commandJournal.e = s.engine.NewWorker(s.commandJournal.w)
	} else {
		s.commandJournal.e = s.engine.NewWorker(nil)
	}

	s.registerCommands()
	if err := s.installHookCommands(pipe); err != nil {
		return nil, err
	}
	s.channels = control.NewChannels(s.registry, control.Options{})
	if err := s.channels.Apply(socketsOf(d.ControlSockets, "dhcp4")); err != nil {
		return nil, fmt.Errorf("open control channel: %w", err)
	}
	s.logSockets(nil, o.Snapshot)
	if s.six != nil {
		if err := s.start6(s.six, o.Snapshot); err != nil {
			return nil, err
		}
	}

	ctx, cancel := context.WithCancel(context.Background())
	s.bg.cancel = cancel
	s.goBackground(ctx)
	return s, nil
}

// gather is how long a commit waits for company under load; it adds no more than
// that to an ACK and divides the commits by twenty and more.
const gather = 600 * time.Microsecond

// LeaseDir is the directory of the journal and the snapshots of a
// configuration.
func LeaseDir(snap *config.Snapshot) string {
	return snap.Dataplane.LeaseDirectory
}

// storeEvent logs what happens to the store, once per event.
func (s *Server) storeEvent(e leasestore.Event) {
	l := s.log.WithGroup("dhcpsrv")
	if e.Err != nil {
		l.Error("PEREGRINE_LEASE_STORE "+e.Text, "event", e.Kind, "error", e.Err)
		return
	}
	l.Info("PEREGRINE_LEASE_STORE "+e.Text, "event", e.Kind)
}

// SetInterfaces takes the present interfaces; call it before their packets come
// and at every change.
func (s *Server) SetInterfaces(list []netio.Interface) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.netifs = list
	s.refreshInterfaces(s.Snapshot())
}

// refreshInterfaces shows workers the interfaces as a configuration uses them.
// The caller holds mu.
func (s *Server) refreshInterfaces(snap *config.Snapshot) {
	s.ifaces.Store(newIfaces(s.mu.netifs, func(v stat.Family, name string) bool { return usesInterface(v, snap, name) }))
}

// Snapshot is the configuration in force.
func (s *Server) Snapshot() *config.Snapshot { return s.runtime.Load().snapshot }

// Recovery says what was found at start, nil if leases are not persisted.
func (s *Server) Recovery() *leasestore.Recovery { return s.recovery }

// Close ends the control channel, the background work and the store. The loops
// must have ended and their Workers be closed.
func (s *Server) Close() error { return s.closeParts() }

func (s *Server) closeParts() error {
	var errs []error
	if s.channels != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		errs = append(errs, s.channels.Close(ctx))
		cancel()
	}
	if s.six != nil && s.six.channels != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		errs = append(errs, s.six.channels.Close(ctx))
		cancel()
	}
	if s.bg.cancel != nil {
		s.bg.cancel()
		s.bg.wg.Wait()
	}
	if s.six != nil {
		if rt := s.six.runtime.Load(); rt != nil {
			errs = append(errs, rt.pipe.Close())
		}
	}
	if rt := s.runtime.Load(); rt != nil {
		errs = append(errs, rt.pipe.Close())
	}
	if s.mirror != nil {
		s.table.SetObserver(nil, false)
		errs = append(errs, s.mirror.Close())
	}
	if s.six != nil && s.six.mirror != nil {
		s.table6.SetObserver(nil, false)
		errs = append(errs, s.six.mirror.Close())
	}
	if s.hosts.mu.store != nil {
		errs = append(errs, s.hosts.mu.store.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// Alloc is the allocator in force, for statistics.
func (s *Server) Alloc() *alloc.Set { return s.engine.Config().Alloc }
