package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/peregrine-dhcp/peregrine/fastpath"
	"github.com/peregrine-dhcp/peregrine/slowpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/logging"
	"github.com/peregrine-dhcp/peregrine/slowpath/metric"
)

type serveOptions struct {
	// name is Kea's daemon that this is started as, "" for our own program, which
	// serves what the file has.
	name  string
	file  string
	port  int // of the family that name says, else of DHCPv4
	port6 int
	debug bool
	// lenient makes faults of security policy warnings (Kea's -X).
	lenient bool
}

func serveMain(args []string, stderr io.Writer) int {
	fs := flag.NewFlagSet("peregrine serve", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var o serveOptions
	fs.StringVar(&o.file, "c", "", "configuration `file`")
	fs.IntVar(&o.port, "p", 0, "serve this UDP `port` instead of 67 (for tests)")
	fs.IntVar(&o.port6, "p6", 0, "serve this UDP `port` instead of 547 (for tests)")
	fs.BoolVar(&o.debug, "d", false, "log everything")
	fs.BoolVar(&o.lenient, "X", false, "treat faults of security policy as warnings")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	switch {
	case fs.NArg() > 0:
		fmt.Fprintf(stderr, "peregrine serve: unexpected argument %q\n", fs.Arg(0))
		return 2
	case o.file == "":
		fmt.Fprintln(stderr, "peregrine serve: -c FILE is missing")
		return 2
	case o.port < 0 || o.port > 65535:
		fmt.Fprintf(stderr, "peregrine serve: -p: expected a port from 1 to 65535, not %d\n", o.port)
		return 2
	}
	return serve(o, stderr)
}

// serve runs the server until a signal or the shutdown command ends it.
func serve(o serveOptions, stderr io.Writer) int {
	// Signals are taken from the first instruction on: one that comes while the
	// leases are read is obeyed when they are.
	sig := make(chan os.Signal, 8)
	signal.Notify(sig, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	defer signal.Stop(sig)
	processors()

	handler := logging.New(cmp.Or(o.name, root4))
	snap, err := loadFile(o.file, o.lenient)
	if err == nil {
		err = o.servesAs(snap)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		logLoadFailure(handler, o.file, err, stderr)
		return 1
	}
	if !slowpath.HasDhcp4(snap) {
		handler = handler.As(root6)
	}
	if err := handler.Apply(loggers(snap)); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", o.file, err)
		return 1
	}
	f := familyLog(slog.New(handler), snap)
	if o.debug {
		handler.Force(logging.Debug(logging.MaxDebug))
	}
	code := 0
	pid, err := o.takePIDFile(f)
	if err == nil {
		code, err = runServer(o, snap, handler, f, sig)
		pid.remove()
	}
	if err == nil {
		f.Info(f.id + "SHUTDOWN server shutdown")
	}
	if err != nil {
		what := "INIT_FAIL failed to initialize the server"
		if running := (*alreadyRunningError)(nil); errors.As(err, &running) {
			what = "ALREADY_RUNNING " + o.name + " already running?"
		}
		f.Log(context.Background(), logging.LevelFatal, f.id+what, "error", err)
		code = 1
		if !logsToTerminal(loggers(snap)) {
			fmt.Fprintln(stderr, err)
		}
	}
	if err := handler.Close(); err != nil {
		fmt.Fprintln(stderr, err)
	}
	return code
}

// root4 and root6 are the names of Kea's root loggers.
const (
	root4 = "kea-dhcp4"
	root6 = "kea-dhcp6"
)

// servesAs says whether a configuration is one of the daemon that this is
// started as. A file with both parts would be served twice if both of Kea's
// daemons were started with it.
func (o *serveOptions) servesAs(snap *config.Snapshot) error {
	four, six := slowpath.HasDhcp4(snap), snap.Dhcp6 != nil
	switch {
	case o.name == "":
		return nil
	case four && six:
		return fmt.Errorf("%s:1:1: %s serves one of Dhcp4 and Dhcp6, and this file has both: start it with \"peregrine serve\"", o.file, o.name)
	case o.name == root4 && !four:
		return fmt.Errorf("%s:1:1: expected a \"Dhcp4\" part", o.file)
	case o.name == root6 && !six:
		return fmt.Errorf("%s:1:1: expected a \"Dhcp6\" part", o.file)
	}
	return nil
}

// loggers are those of a configuration's families, each with Kea's default where
// it has none.
func loggers(snap *config.Snapshot) []config.Logger {
	var out []config.Logger
	add := func(l []config.Logger, root string) {
		if len(l) == 0 {
			l = []config.Logger{{Name: root, Severity: "INFO"}}
		}
		out = append(out, l...)
	}
	if slowpath.HasDhcp4(snap) {
		add(snap.Dhcp4.Loggers, root4)
	}
	if snap.Dhcp6 != nil {
		add(snap.Dhcp6.Loggers, root6)
	}
	return out
}

// serverLog is the logger for what concerns the server as a whole: DHCPv4's, or
// DHCPv6's where that is served alone.
type serverLog struct {
	*slog.Logger
	root     *slog.Logger
	id       string // what message ids begin with
	protocol string
}

func familyLog(root *slog.Logger, snap *config.Snapshot) serverLog {
	if slowpath.HasDhcp4(snap) {
		return serverLog{root.WithGroup("dhcp4"), root, "DHCP4_", "DHCPv4"}
	}
	return serverLog{root.WithGroup("dhcp6"), root, "DHCP6_", "DHCPv6"}
}

// logLoadFailure writes what is wrong with a configuration where its own loggers
// say, as far as they could be read: who starts Kea from a unit looks there.
func logLoadFailure(handler *logging.Handler, file string, err error, stderr io.Writer) {
	e := config.AsErrors(err)
	if e == nil || logsToTerminal(e.Loggers) {
		return // it is on standard error
	}
	if lerr := handler.Apply(e.Loggers); lerr != nil {
		fmt.Fprintln(stderr, lerr)
		return
	}
	name := "dhcp4"
	if !slices.ContainsFunc(e.Loggers, func(l config.Logger) bool { return !strings.HasPrefix(l.Name, root6) }) {
		name, handler = "dhcp6", handler.As(root6)
	}
	l, id := slog.New(handler).WithGroup(name), strings.ToUpper(name)+"_"
	for _, x := range e.List {
		// Kea's line for a lease file at a wrong place, which operators look for.
		if what, ok := strings.CutPrefix(x.Msg, "Unable to open database: "); ok && x.Element == "lease-database" {
			slog.New(handler).WithGroup("dhcpsrv").Error("DHCPSRV_MEMFILE_FAILED_TO_OPEN Could not open lease file: " + what)
		}
		if x.Element != "" {
			l.Error(id + "PARSER_FAIL failed to create or run parser for configuration element " + x.Element + ": " + x.Msg + " (" + x.Pos.String() + ")")
		}
	}
	l.Error(id + "CONFIG_LOAD_FAIL configuration error using file: " + file + ", reason: " + e.List[0].Error())
	if cerr := handler.Close(); cerr != nil {
		fmt.Fprintln(stderr, cerr)
	}
}

// logsToTerminal says whether the log goes where the person who started the
// server looks.
func logsToTerminal(ls []config.Logger) bool {
	if len(ls) == 0 {
		return true
	}
	for _, l := range ls {
		if len(l.Outputs) == 0 {
			return true // standard output
		}
		for _, out := range l.Outputs {
			if out.Output == "stdout" || out.Output == "stderr" {
				return true
			}
		}
	}
	return false
}

func runServer(o serveOptions, snap *config.Snapshot, handler *logging.Handler, log serverLog, sig <-chan os.Signal) (code int, err error) {
	port4, port6 := cmp.Or(o.port, int(slowpath.Port4)), cmp.Or(o.port6, int(slowpath.Port6))
	port := port4
	if !slowpath.HasDhcp4(snap) {
		port6 = cmp.Or(o.port6, o.port, int(slowpath.Port6))
		port = port6
	}
	log.Info(log.id+"STARTING Peregrine "+log.protocol+" server version "+keaVersion+" ("+build+") starting", "file", o.file)
	log.Info(log.id+"START_INFO", "pid", os.Getpid(), "server-port", port, "verbose", o.debug)
	for _, w := range snap.Warnings {
		log.Warn(log.id + "CONFIG_WARNING " + w)
	}
	shutdown := make(chan int, 1)
	var exiting atomic.Bool
	p := &plane{log: log.Logger, port: uint16(port4), port6: uint16(port6), snap: snap}
	s, err := slowpath.New(slowpath.Options{
		Snapshot: snap, ConfigFile: o.file, Load: func(path string) (*config.Snapshot, error) { return loadFile(path, o.lenient) },
		FromJSON: func(raw []byte) (*config.Snapshot, error) {
			snap, err := config.FromJSON("config-set", raw, loadOptions(o.lenient))
			if err != nil {
				return nil, err
			}
			return snap, confine(snap, o.lenient)
		},
		Applied: func(old, new *config.Snapshot) error {
			if err := handler.Apply(loggers(new)); err != nil {
				return err
			}
			if old.Dataplane.MetricsAddress != new.Dataplane.MetricsAddress {
				log.Warn("PEREGRINE_METRICS_ADDRESS a change of Dataplane.metrics-address takes effect at the next start", "address", new.Dataplane.MetricsAddress)
			}
			if err := p.applied(old, new); err != nil {
				return errors.Join(err, handler.Apply(loggers(old)))
			}
			return nil
		},
		Shutdown: func(v int) {
			if exiting.CompareAndSwap(false, true) {
				shutdown <- v
			}
		},
		Hooks:        newHook,
		AnswerSource: os.Getenv("KEA_TEST_SEND_RESPONSES_TO_SOURCE") == "ENABLE",
		Kernel:       p.kernel, Dataplane: p.status, Sockets: p.sockets,
		Log: log.root, Log6: slog.New(handler.As(root6)), Port: p.port, Port6: p.port6, Version: keaVersion, Extended: extendedVersion(), Build: buildReport(),
	})
	if err != nil {
		return 1, err
	}
	p.server, p.missing = s, p.sockets
	defer func() { err = errors.Join(err, s.Close()) }()

	if a := snap.Dataplane.MetricsAddress; a != "" {
		stop, err := serveMetrics(a, s, p)
		if err != nil {
			return 1, err
		}
		defer stop()
		log.Info("PEREGRINE_METRICS_STARTED", "url", "http://"+a+"/metrics")
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dp, err := fastpath.Start(ctx, p.options(snap))
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, dp.Close()) }()
	p.mu.Lock()
	p.dp = dp
	p.mu.Unlock()
	s.ApplyKernel()
	if stopped, err := p.require(serviceSockets(snap), sig); stopped || err != nil {
		return 0, err
	}
	if slowpath.HasDhcp4(snap) && !snap.Dhcp4.ReDetect || snap.Dhcp6 != nil && !snap.Dhcp6.ReDetect {
		log.Warn("PEREGRINE_RE_DETECT \"re-detect\": false has no effect: interfaces are always followed")
	}
	p.warn()
	notify("READY=1")
	if slowpath.HasDhcp4(snap) {
		n, _ := s.LeaseTable()
		log.Info("DHCP4_STARTED Peregrine DHCPv4 server version "+keaVersion+" started", "subnets", len(snap.Dhcp4.Subnets), "leases", n)
	}
	if snap.Dhcp6 != nil {
		n, _ := s.LeaseTable6()
		slog.New(handler.As(root6)).WithGroup("dhcp6").Info("DHCP6_STARTED Peregrine DHCPv6 server version "+keaVersion+" started", "subnets", len(snap.Dhcp6.Subnets), "leases", n)
	}
	for {
		select {
		case v := <-shutdown:
			log.Info(log.id+"SHUTDOWN_REQUEST shutdown of server requested by command", "exit-value", v)
			// The command's answer is on its way; give it a moment.
			time.Sleep(50 * time.Millisecond)
			notify("STOPPING=1")
			return v, nil
		case x := <-sig:
			if x != syscall.SIGHUP {
				log.Info(log.id+"SHUTDOWN_REQUEST shutdown of server requested by signal", "signal", x.String())
				notify("STOPPING=1")
				return 0, nil
			}
			log.Info(log.id + "DYNAMIC_RECONFIGURATION initiate server reconfiguration using file: " + o.file + ", after receiving SIGHUP signal or config-reload command")
			notify("RELOADING=1")
			if err := s.Reload(); err != nil {
				log.Error(log.id+"DYNAMIC_RECONFIGURATION_FAIL dynamic server reconfiguration failed with file: "+o.file+"; the running configuration stays", "error", err)
			} else {
				log.Info(log.id+"DYNAMIC_RECONFIGURATION_SUCCESS dynamic server reconfiguration succeeded with file: "+o.file, "hash", s.Snapshot().Hash)
			}
			notify("READY=1")
		}
	}
}

// serviceSockets is what the families want done about interfaces that cannot be
// served at start: the more demanding of the two.
func serviceSockets(snap *config.Snapshot) config.ServiceSockets {
	ss := snap.Dhcp4.ServiceSockets
	if snap.Dhcp6 != nil && (!slowpath.HasDhcp4(snap) || snap.Dhcp6.ServiceSockets.RequireAll && !ss.RequireAll) {
		ss = snap.Dhcp6.ServiceSockets
	}
	return ss
}

// serveMetrics serves /metrics, /metrics/stork, /livez and /readyz.
func serveMetrics(addr string, s *slowpath.Server, p *plane) (stop func(), err error) {
	reg := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		metric.New(s, p.metrics, build), metric.NewHooks(s), collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(gcTime)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	stork := prometheus.NewRegistry()
	if err := stork.Register(metric.NewStork(s)); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.Handle("/metrics/stork", promhttp.HandlerFor(stork, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if _, h, persisted := s.Store(); persisted && !h.OK {
			http.Error(w, "lease store: "+h.Err, http.StatusServiceUnavailable)
			return
		}
		if e := p.sockets(); len(e) > 0 {
			http.Error(w, strings.Join(e, "\n"), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln) // ends with ErrServerClosed
	}()
	return func() {
		_ = srv.Close()
		<-done
	}, nil
}

// notify tells systemd, if it wants to know.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' {
		path = "\x00" + path[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return // nobody listens: not this server's trouble
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}

// gcTime is the processor time of the collector, beside what is shown by default.
var gcTime = collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/cpu/classes/gc/total:cpu-seconds$`)}
