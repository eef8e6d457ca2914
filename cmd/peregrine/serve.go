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
	name  string // of the root logger
	file  string
	port  int
	debug bool
	// lenient makes faults of security policy warnings (Kea's -X).
	lenient bool
}

func serveMain(args []string, stderr io.Writer) int {
	fs := flag.NewFlagSet("peregrine serve", flag.ContinueOnError)
	fs.SetOutput(stderr)
	o := serveOptions{name: "kea-dhcp4"}
	fs.StringVar(&o.file, "c", "", "configuration `file`")
	fs.IntVar(&o.port, "p", 0, "serve this UDP `port` instead of 67 (for tests)")
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

	handler := logging.New(o.name)
	snap, err := loadFile(o.file, o.lenient)
	if err != nil {
		fmt.Fprintln(stderr, err)
		logLoadFailure(handler, o.file, err, stderr)
		return 1
	}
	if err := handler.Apply(snap.Dhcp4.Loggers); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", o.file, err)
		return 1
	}
	if o.debug {
		handler.Force(logging.Debug(logging.MaxDebug))
	}
	log := slog.New(handler)
	code, err := run4(o, snap, handler, log, sig)
	if err == nil {
		log.WithGroup("dhcp4").Info("DHCP4_SHUTDOWN server shutdown")
	}
	if err != nil {
		log.WithGroup("dhcp4").Log(context.Background(), logging.LevelFatal, "DHCP4_INIT_FAIL failed to initialize the server", "error", err)
		code = 1
		if !logsToTerminal(snap.Dhcp4.Loggers) {
			fmt.Fprintln(stderr, err)
		}
	}
	if err := handler.Close(); err != nil {
		fmt.Fprintln(stderr, err)
	}
	return code
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
	l := slog.New(handler).WithGroup("dhcp4")
	for _, x := range e.List {
		if x.Element != "" {
			l.Error("DHCP4_PARSER_FAIL failed to create or run parser for configuration element " + x.Element + ": " + x.Msg + " (" + x.Pos.String() + ")")
		}
	}
	l.Error("DHCP4_CONFIG_LOAD_FAIL configuration error using file: " + file + ", reason: " + e.List[0].Error())
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
		for _, out := range l.Outputs {
			if out.Output == "stdout" || out.Output == "stderr" {
				return true
			}
		}
	}
	return false
}

func run4(o serveOptions, snap *config.Snapshot, handler *logging.Handler, log *slog.Logger, sig <-chan os.Signal) (code int, err error) {
	l4 := log.WithGroup("dhcp4")
	l4.Info("DHCP4_STARTING Peregrine DHCPv4 server version "+keaVersion+" ("+build+") starting", "file", o.file)
	l4.Info("DHCP4_START_INFO", "pid", os.Getpid(), "server-port", cmp.Or(o.port, int(slowpath.Port4)), "verbose", o.debug)
	for _, w := range snap.Warnings {
		l4.Warn("DHCP4_CONFIG_WARNING " + w)
	}
	shutdown := make(chan int, 1)
	var exiting atomic.Bool
	p := &plane{log: l4, port: uint16(o.port), snap: snap}
	if p.port == 0 {
		p.port = slowpath.Port4
	}
	s, err := slowpath.New(slowpath.Options{
		Snapshot: snap, ConfigFile: o.file, Load: func(path string) (*config.Snapshot, error) { return loadFile(path, o.lenient) },
		FromJSON: func(raw []byte) (*config.Snapshot, error) {
			snap, err := config.FromJSON("config-set", raw, loadOptions(o.lenient))
			if err != nil {
				return nil, err
			}
			return snap, confine(snap, "config-set", o.lenient)
		},
		Applied: func(old, new *config.Snapshot) error {
			if err := handler.Apply(new.Dhcp4.Loggers); err != nil {
				return err
			}
			if old.Dataplane.MetricsAddress != new.Dataplane.MetricsAddress {
				l4.Warn("PEREGRINE_METRICS_ADDRESS a change of Dataplane.metrics-address takes effect at the next start", "address", new.Dataplane.MetricsAddress)
			}
			if err := p.applied(old, new); err != nil {
				return errors.Join(err, handler.Apply(old.Dhcp4.Loggers))
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
		Log: log, Port: p.port, Version: keaVersion, Extended: extendedVersion(), Build: buildReport(),
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
		l4.Info("PEREGRINE_METRICS_STARTED", "url", "http://"+a+"/metrics")
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
	if stopped, err := p.require(snap.Dhcp4.ServiceSockets, sig); stopped || err != nil {
		return 0, err
	}
	if !snap.Dhcp4.ReDetect {
		l4.Warn("PEREGRINE_RE_DETECT \"re-detect\": false has no effect: interfaces are always followed")
	}
	p.warn()
	notify("READY=1")
	l4.Info("DHCP4_STARTED Peregrine DHCPv4 server version "+keaVersion+" started", "subnets", len(snap.Dhcp4.Subnets), "leases", leases(s))
	for {
		select {
		case v := <-shutdown:
			l4.Info("DHCP4_SHUTDOWN_REQUEST shutdown of server requested by command", "exit-value", v)
			// The command's answer is on its way; give it a moment.
			time.Sleep(50 * time.Millisecond)
			notify("STOPPING=1")
			return v, nil
		case x := <-sig:
			if x != syscall.SIGHUP {
				l4.Info("DHCP4_SHUTDOWN_REQUEST shutdown of server requested by signal", "signal", x.String())
				notify("STOPPING=1")
				return 0, nil
			}
			l4.Info("DHCP4_DYNAMIC_RECONFIGURATION initiate server reconfiguration using file: " + o.file + ", after receiving SIGHUP signal or config-reload command")
			notify("RELOADING=1")
			if err := s.Reload(); err != nil {
				l4.Error("DHCP4_DYNAMIC_RECONFIGURATION_FAIL dynamic server reconfiguration failed with file: "+o.file+"; the running configuration stays", "error", err)
			} else {
				l4.Info("DHCP4_DYNAMIC_RECONFIGURATION_SUCCESS dynamic server reconfiguration succeeded with file: "+o.file, "hash", s.Snapshot().Hash)
			}
			notify("READY=1")
		}
	}
}

func leases(s *slowpath.Server) int {
	n, _ := s.LeaseTable()
	return n
}

// serveMetrics serves /metrics, /livez and /readyz.
func serveMetrics(addr string, s *slowpath.Server, p *plane) (stop func(), err error) {
	reg := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		metric.New(s, p.metrics, build), collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(gcTime)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
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
