package slowpath

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// retireWait is how long an old configuration's hook libraries stay loaded when
// a worker or a parked query does not let go of them.
const retireWait = 10 * time.Second

// libraries finds the hook libraries of a part of a configuration.
func libraries(list []config.HooksLibrary, find func(name string) hooks.Library) ([]hooks.Configured, error) {
	var libs []hooks.Configured
	for _, h := range list {
		var lib hooks.Library
		if find != nil {
			lib = find(h.Name)
		}
		if lib == nil {
			return nil, fmt.Errorf("load hook library %s: there is no built-in library %q", h.Library, h.Name)
		}
		libs = append(libs, hooks.Configured{Library: lib, Params: h.Parameters})
	}
	return libs, nil
}

// hookConfig4 and hookConfig6 are what libraries may know of a configuration.
func hookConfig4(d *config.Dhcp4) *hooks.Config4 {
	c, templates := &hooks.Config4{UserContext: d.UserContext, SharedReservations: !d.IPReservationsUnique}, templates(d.ClassSet)
	for _, x := range d.Classes {
		c.Classes = append(c.Classes, hooks.ClassInfo{Name: x.Name, Template: templates[x.Name], UserContext: x.UserContext})
	}
	for _, x := range d.Subnets {
		c.Subnets = append(c.Subnets, hooks.SubnetInfo{ID: x.ID, Prefix: x.Text, UserContext: x.UserContext})
	}
	return c
}

// templates are the names of the template classes; set may be nil.
func templates(set *class.Set) map[string]bool {
	m := map[string]bool{}
	if set != nil {
		for i := range set.Classes {
			if k := &set.Classes[i]; k.Template != nil {
				m[k.Name] = true
			}
		}
	}
	return m
}

func hookConfig6(d *config.Dhcp6) *hooks.Config6 {
	c, templates := &hooks.Config6{UserContext: d.UserContext, SharedReservations: !d.UniqueReservations}, templates(d.ClassSet)
	for _, x := range d.Classes {
		c.Classes = append(c.Classes, hooks.ClassInfo{Name: x.Name, Template: templates[x.Name], UserContext: x.UserContext})
	}
	for _, x := range d.Subnets {
		c.Subnets = append(c.Subnets, hooks.SubnetInfo{ID: x.ID, Prefix: x.Text, UserContext: x.UserContext})
	}
	return c
}

// CheckHooks says whether the hook libraries of a configuration would load: only
// they understand their parameters and their part of user-contexts. They are
// loaded without leases and unloaded again. find is Options.Hooks. Errors are
// *keajson.Error, at the library.
func CheckHooks(snap *config.Snapshot, find func(name string) hooks.Library) error {
	check := func(list []config.HooksLibrary, srv *hooks.Server) error {
		if len(list) == 0 {
			return nil
		}
		libs, err := libraries(list, find)
		if err != nil {
			return err
		}
		at := func(err error) error {
			var load *hooks.LoadError
			for _, h := range list {
				if errors.As(err, &load) && h.Name == load.Library {
					return &keajson.Error{Pos: h.Pos, Element: "hooks-libraries", Msg: strings.ReplaceAll(err.Error(), "\n", "; ")}
				}
			}
			return err
		}
		srv.Logger = func(string) *slog.Logger { return slog.New(slog.DiscardHandler) }
		srv.NowUnixNs = func() int64 { return time.Now().UnixNano() }
		pipe, err := hooks.Compile(libs, srv)
		if err != nil {
			return at(err)
		}
		return pipe.Close()
	}
	var errs []error
	if d := snap.Dhcp4; d != nil {
		errs = append(errs, check(d.HooksLibraries, &hooks.Server{
			Config4: hookConfig4(d), Leases: lease.NewTable(lease.Options{MaxLeases: 1}), Points: servedPoints, Expression: compiler(d.Expressions)}))
	}
	if d := snap.Dhcp6; d != nil {
		errs = append(errs, check(d.HooksLibraries, &hooks.Server{Config6: hookConfig6(d), Points: servedPoints6, Expression: compiler(d.Expressions)}))
	}
	return errors.Join(errs...)
}

// compile loads the hook libraries of the Dhcp4 part of a configuration.
func (s *Server) compile(snap *config.Snapshot) (*hooks.Pipeline, error) {
	libs, err := libraries(snap.Dhcp4.HooksLibraries, s.opt.Hooks)
	if err != nil {
		return nil, err
	}
	return s.compileFor(libs, snap, hooks.Dhcp4SrvConfigured, &hooks.Server{
		Config4: hookConfig4(snap.Dhcp4), Leases: s.table, Points: servedPoints,
		LeaseStore4: hookLeases{s}, HostStore4: hookHosts{s}, HostCache: hookCache{s, &s.cache, nil}, Configuration: hookConfig{s, "Dhcp4"},
		Expression: compiler(snap.Dhcp4.Expressions),
	})
}

// compile6 loads those of the Dhcp6 part.
func (s *Server) compile6(x *server6, snap *config.Snapshot) (*hooks.Pipeline, error) {
	libs, err := libraries(snap.Dhcp6.HooksLibraries, s.opt.Hooks)
	if err != nil {
		return nil, err
	}
	return s.compileFor(libs, snap, hooks.Dhcp6SrvConfigured, &hooks.Server{
		Config6: hookConfig6(snap.Dhcp6), Points: servedPoints6, LeaseStore6: hookLeases6{s, x}, HostStore6: hookHosts6{s}, HostCache: hookCache{s, &s.cache6, x}, Configuration: hookConfig{s, "Dhcp6"},
		Expression: compiler(snap.Dhcp6.Expressions),
	})
}

// compileFor loads libraries and asks them for their consent.
func (s *Server) compileFor(libs []hooks.Configured, snap *config.Snapshot, point hooks.Point, srv *hooks.Server) (*hooks.Pipeline, error) {
	f := s.family
	if srv.Config6 != nil {
		f = s.six.family
	}
	srv.Logger = func(name string) *slog.Logger { return f.root().WithGroup(name) }
	srv.Stats = hookStatistics{f}
	srv.NowUnixNs = func() int64 { return time.Now().UnixNano() }
	srv.OnPanic = func(library string, p hooks.Point, value any, stack []byte) {
		s.log.WithGroup("callouts").Error("HOOKS_CALLOUT_EXCEPTION a callout failed; its query is dropped",
			"library", library, "point", p, "value", value, "stack", string(stack))
	}
	pipe, err := hooks.Compile(libs, srv)
	if err != nil {
		return nil, err
	}
	ev := hooks.ConfiguredEvent{Config: snap.Get}
	if pipe.RunConfigured(point, &ev) == hooks.Drop {
		if ev.Error == "" {
			ev.Error = "a hook library refused the configuration"
		}
		return nil, errors.Join(errors.New(ev.Error), pipe.Close())
	}
	return pipe, nil
}

// servedPoints6 are the hook points of DHCPv6.
var servedPoints6 = []hooks.Point{
	hooks.ContextCreate, hooks.ContextDestroy, hooks.Dhcp6SrvConfigured, hooks.Buffer6Receive, hooks.Pkt6Receive,
	hooks.Subnet6Select, hooks.Host6Identifier, hooks.Lease6Select, hooks.Lease6Renew, hooks.Lease6Rebind, hooks.Lease6Release,
	hooks.Lease6Decline, hooks.Leases6Committed, hooks.Lease6Expire, hooks.Lease6Recover, hooks.Addr6Register,
	hooks.Pkt6Send, hooks.Buffer6Send, hooks.CommandProcessed, hooks.HTTPAuth, hooks.HTTPResponse,
}

// servedPoints are the hook points this server runs.
var servedPoints = []hooks.Point{
	hooks.ContextCreate, hooks.ContextDestroy, hooks.Dhcp4SrvConfigured, hooks.Buffer4Receive, hooks.Pkt4Receive,
	hooks.Subnet4Select, hooks.Host4Identifier, hooks.Lease4Select, hooks.Lease4Renew, hooks.Lease4Release,
	hooks.Lease4Decline, hooks.Lease4ServerDecline, hooks.Lease4Offer, hooks.Leases4Committed, hooks.Lease4Expire,
	hooks.Lease4Recover, hooks.Pkt4Send, hooks.Buffer4Send, hooks.CommandProcessed, hooks.HTTPAuth, hooks.HTTPResponse,
}

// errRestart are changes that a running server cannot make.
func needsRestart(old, new *config.Snapshot) error {
	switch {
	case (old.Dhcp6 == nil) != (new.Dhcp6 == nil):
		return errors.New("apply configuration: the Dhcp6 part cannot appear or disappear while the server runs; restart it")
	case HasDhcp4(old) != HasDhcp4(new):
		return errors.New("apply configuration: the Dhcp4 part cannot appear or disappear while the server runs; restart it")
	case new.Dhcp6 != nil && old.Dhcp6.LeaseDatabase.Persist != new.Dhcp6.LeaseDatabase.Persist:
		return errors.New("apply configuration: lease-database.persist of Dhcp6 cannot change while the server runs; restart it")
	case old.Dhcp4.LeaseDatabase.Persist != new.Dhcp4.LeaseDatabase.Persist:
		return errors.New("apply configuration: lease-database.persist cannot change while the server runs; restart it")
	case new.Dhcp4.LeaseDatabase.Persist && LeaseDir(old) != LeaseDir(new):
		return fmt.Errorf("apply configuration: the lease directory cannot change from %s to %s while the server runs; restart it", LeaseDir(old), LeaseDir(new))
	case old.Dataplane.Sync != new.Dataplane.Sync:
		return errors.New("apply configuration: Dataplane.sync cannot change while the server runs; restart it")
	case old.Dataplane.MaxLeases != new.Dataplane.MaxLeases:
		return errors.New("apply configuration: Dataplane.max-leases cannot change while the server runs; restart it")
	}
	return nil
}

// Apply puts a configuration in force without dropping a packet: everything is
// built beside the running one and swapped; workers take it up between batches.
// On an error the running configuration stays as it was.
func (s *Server) Apply(snap *config.Snapshot) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	if err := s.applyLocked(snap); err != nil {
		return err
	}
	s.recheckLeases(snap)
	return nil
}

// recheckLeases is checkLeases for a configuration that is in force; the caller
// holds reload.
func (s *Server) recheckLeases(snap *config.Snapshot) {
	if err := s.checkLeases(WithDhcp4(snap)); err != nil {
		s.log.WithGroup("dhcpsrv").Error("PEREGRINE_LEASE_SANITY not all leases could be checked", "error", err)
	}
}

// applyLocked is Apply for a caller that holds reload.
func (s *Server) applyLocked(snap *config.Snapshot) error {
	if snap == nil {
		return errors.New("apply configuration: there is none")
	}
	snap = WithDhcp4(snap)
	old := s.runtime.Load()
	if err := needsRestart(old.snapshot, snap); err != nil {
		return err
	}
	pipe, err := s.compile(snap)
	if err != nil {
		return err
	}
	var pipe6 *hooks.Pipeline
	if s.six != nil {
		if pipe6, err = s.compile6(s.six, snap); err != nil {
			return errors.Join(err, pipe.Close())
		}
	}
	// undo is what an error leaves behind.
	undo := func(err error) error {
		return errors.Join(err, pipe.Close(), pipe6.Close(), s.applySockets(old.snapshot))
	}
	mirror := s.mirror
	if leaseFile(snap) != leaseFile(old.snapshot) {
		if mirror, err = s.newMirror(snap); err != nil {
			return undo(err)
		}
	}
	var mirror6 *leasefile.Mirror
	if s.six != nil {
		mirror6 = s.six.mirror
		if leaseFile6(snap) != leaseFile6(old.snapshot) {
			if mirror6, err = s.six.newMirror(snap); err != nil {
				return undo(err)
			}
		}
	}
	if err := s.applySockets(snap); err != nil {
		return undo(fmt.Errorf("open control channel: %w", err))
	}
	if s.opt.Applied != nil {
		if err := s.opt.Applied(old.snapshot, snap); err != nil {
			return undo(err)
		}
	}
	ec := s.engineConfig(snap, pipe)
	s.table.SetObserver(observer(ec, pipe, mirror), true)
	s.giveUpMirror(s.mirror, mirror)
	s.mirror = mirror
	ec.Alloc.ContinueFrom(s.engine.Config().Alloc)
	rt := newRuntime(snap, pipe, old.generation+1)
	s.engine.SetConfig(ec)
	var old6 *runtime6
	if s.six != nil {
		// Before the other half: who has taken that up has this one too.
		old6 = s.six.runtime.Load()
		s.six.apply(snap, pipe6, mirror6)
	}
	s.subnets.configure4(snap.Dhcp4)
	s.runtime.Store(rt)
	s.mu.Lock()
	s.refreshInterfaces(snap)
	s.mu.Unlock()
	s.stats.SetLimits(snap.Dhcp4.SampleCount, snap.Dhcp4.SampleAge)
	s.stats.Rebase()
	if err := s.installHookCommands(pipe); err != nil {
		s.log.WithGroup("commands").Error("COMMAND_HOOKS_FAILED the commands of hook libraries are not available", "error", err)
	}
	if s.six != nil {
		if err := s.six.installHookCommands(pipe6); err != nil {
			s.log.WithGroup("commands").Error("COMMAND_HOOKS_FAILED the commands of hook libraries are not available", "error", err)
		}
	}
	s.applyKernel(pipe)
	s.service.reset()
	s.reloaded.Store(time.Now().UnixNano())
	s.setTrace()
	s.logSockets(old.snapshot, snap)
	if s.six != nil {
		s.six.logSockets(old.snapshot, snap)
	}
	s.wakeAll()
	s.bg.wg.Go(func() { s.retire(old, old6, rt.generation) })
	return nil
}

// applySockets makes the control sockets those of a configuration.
func (s *Server) applySockets(snap *config.Snapshot) error {
	if err := s.channels.Apply(socketConfigs(snap.Dhcp4)); err != nil {
		return err
	}
	if s.six == nil {
		return nil
	}
	return s.six.channels.Apply(socketsOf(snap.Dhcp6.ControlSockets, "dhcp6"))
}

// ApplyKernel hands the limits of the configuration in force to the dataplane;
// cmd calls it when there is one.
func (s *Server) ApplyKernel() { s.applyKernel(s.runtime.Load().pipe) }

// applyKernel hands the libraries' limits to the dataplane. That it cannot take
// them is no error: the libraries still apply them.
func (s *Server) applyKernel(pipe *hooks.Pipeline) {
	if s.opt.Kernel == nil {
		return
	}
	if err := s.opt.Kernel(pipe.KernelLimits()); err != nil {
		s.log.WithGroup("hooks").Warn("PEREGRINE_KERNEL_LIMITS limits of hook libraries are applied in the server only", "error", err)
	}
}

// wakeAll makes idle workers look up.
func (s *Server) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.mu.workers {
		if f := w.wake.Load(); f != nil {
			(*f)()
		}
	}
}

// retire unloads what an old configuration used as soon as no worker can be
// using it: all have taken up the new one, and none has a query parked from
// before.
func (s *Server) retire(old *runtime, old6 *runtime6, generation uint64) {
	deadline := time.Now().Add(retireWait)
	for !s.settled(generation) && time.Now().Before(deadline) {
		s.wakeAll()
		time.Sleep(10 * time.Millisecond)
	}
	err := old.pipe.Close()
	if old6 != nil {
		err = errors.Join(err, old6.pipe.Close())
	}
	if err != nil {
		s.log.WithGroup("hooks").Error("HOOKS_CLOSE_ERROR an unloaded hook library reported an error", "error", err)
	}
}

func (s *Server) settled(generation uint64) bool {
	if s.clients.parked.Load() > 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.mu.workers {
		if w.seen.Load() < generation && w.wake.Load() != nil {
			return false
		}
	}
	return true
}

// Reload reads the start-up file again and applies it.
func (s *Server) Reload() error {
	if s.opt.Load == nil {
		return errors.New("reload configuration: the server was not started from a file")
	}
	snap, err := s.opt.Load(s.opt.ConfigFile)
	if err != nil {
		return err
	}
	return s.Apply(snap)
}

// CheckSockets says whether the control sockets of a configuration could be
// opened as far as that can be told without opening them: their certificates.
// The error is *keajson.Error, at the socket.
func CheckSockets(snap *config.Snapshot) error {
	for _, v := range []stat.Family{stat.V4, stat.V6} {
		list := partOf(v, snap).controlSockets
		for i, c := range socketsOf(list, "") {
			if c.TLS == nil {
				continue
			}
			if err := c.TLS.Validate(); err != nil {
				return &keajson.Error{Pos: list[i].Pos, Element: "control-sockets", Msg: fmt.Sprintf("control socket %s port %d: %v", c.Address, c.Port, err)}
			}
		}
	}
	return nil
}

// socketConfigs are the control sockets of the Dhcp4 part.
func socketConfigs(d *config.Dhcp4) []control.SocketConfig {
	return socketsOf(d.ControlSockets, "dhcp4")
}

// socketsOf are control sockets whose requests may name a service.
func socketsOf(list []config.ControlSocket, service string) []control.SocketConfig {
	out := make([]control.SocketConfig, 0, len(list))
	for _, c := range list {
		sc := control.SocketConfig{Type: c.Type, Path: socketPath(c.SocketName), Address: c.Address, Port: c.Port, Realm: c.Realm, Services: []string{service}}
		if c.Type == control.TypeHTTPS {
			sc.TLS = &control.TLS{TrustAnchor: c.TrustAnchor, CertFile: c.CertFile, KeyFile: c.KeyFile, CertRequired: c.CertRequired}
		}
		for _, u := range c.Users {
			sc.Users = append(sc.Users, control.User{Name: u.User, Password: u.Password})
		}
		for _, h := range c.Headers {
			sc.Headers = append(sc.Headers, control.Header{Name: h.Name, Value: h.Value})
		}
		out = append(out, sc)
	}
	return out
}
