package slowpath

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// registerCommands registers the commands that a family has without any hook
// library, and those of the libraries that are always there.
func (f *family) registerCommands() {
	add := func(c control.Command) {
		if err := f.registry.Register(c); err != nil {
			panic("slowpath: " + err.Error()) // two commands of one name: a mistake in this function
		}
	}
	read := func(name string, run func(args json.RawMessage) control.Response) {
		add(control.Command{Name: name, Run: func(_ context.Context, c *control.Call) control.Response { return run(c.Arguments) }})
	}
	change := func(name string, run func(ctx context.Context, args json.RawMessage) control.Response) {
		add(control.Command{Name: name, Mutates: true, Run: func(ctx context.Context, c *control.Call) control.Response { return run(ctx, c.Arguments) }})
	}
	read("version-get", f.versionGet)
	read("build-report", f.buildReport)
	read("status-get", f.statusGet)
	read("config-get", f.configGet)
	read("config-hash-get", f.configHashGet)
	read("config-test", f.configTest)
	read("server-tag-get", f.serverTagGet)
	change("config-set", f.configSet)
	change("config-write", f.configWrite)
	change("config-reload", f.configReload)
	change("config-backend-pull", f.configBackendPull)
	read("interface-list", f.interfaceList)
	read("interface-redetect", f.interfaceList)
	change("interface-add", f.interfaceAdd)
	change("dhcp-disable", f.dhcpDisable)
	change("dhcp-enable", f.dhcpEnable)
	change("shutdown", f.shutdown)
	registerStatisticCommands(f.stats, add)
	if f.v == stat.V6 {
		read("subnet6-select-test", f.subnet6SelectTest)
		change("extended-info6-upgrade", f.extendedInfoUpgrade)
	} else {
		read("subnet4-select-test", f.subnet4SelectTest)
		read("subnet4o6-select-test", f.subnet4o6SelectTest)
		change("extended-info4-upgrade", f.extendedInfoUpgrade)
	}
	change("leases-reclaim", f.leasesReclaim)
	change("kea-lfc-start", f.s.lfcStart)
}

// installHookCommands replaces what hook libraries add to the control channel
// (CC-011).
func (f *family) installHookCommands(pipe *hooks.Pipeline) error {
	var h control.Hooks
	for _, c := range pipe.Commands() {
		h.Commands = append(h.Commands, control.Command{Name: c.Name, Mutates: c.Mutates, Run: func(ctx context.Context, call *control.Call) control.Response {
			return fromHook(c.Run(ctx, call.Arguments, nil))
		}})
	}
	if pipe.Has(hooks.CommandProcessed) {
		h.Processed = func(c *control.Call, r *control.Response) {
			x := hooks.Response{Result: r.Result, Text: r.Text, Arguments: r.Arguments}
			pipe.RunCommandProcessed(&hooks.CommandEvent{Name: c.Command, Arguments: c.Arguments, Response: &x})
			*r = fromHook(x)
		}
	}
	if pipe.Has(hooks.HTTPAuth) {
		h.HTTPAuth = func(x *control.HTTPExchange) bool {
			e := httpEvent(x)
			st := pipe.RunHTTP(hooks.HTTPAuth, e)
			x.Status, x.Body, x.Role = e.Status, e.Body, e.Role
			return st == hooks.Continue
		}
	}
	if pipe.Has(hooks.HTTPResponse) {
		h.HTTPResponse = func(x *control.HTTPExchange) {
			e := httpEvent(x)
			pipe.RunHTTP(hooks.HTTPResponse, e)
			x.Body = e.Body
		}
	}
	return f.registry.SetHooks(h)
}

// httpEvent shows an exchange to hook libraries.
func httpEvent(x *control.HTTPExchange) *hooks.HTTPEvent {
	return &hooks.HTTPEvent{Remote: x.Remote, User: x.User, TLS: x.TLS, CertSubject: x.CertSubject, CertIssuer: x.CertIssuer,
		Header: x.Header, Request: x.Request, Command: x.Command, Role: x.Role, Status: x.Status, Body: x.Body}
}

// fromHook turns a library's answer into the channel's.
func fromHook(r hooks.Response) control.Response {
	return control.Response{Result: r.Result, Text: r.Text, Arguments: r.Arguments}
}

// audit logs every command that can change something: who, from where, what.
func (f *family) audit(e control.AuditRecord) {
	args := e.Arguments
	if len(args) > maxAuditArguments {
		args = json.RawMessage(fmt.Sprintf("\"%d octets\"", len(args)))
	}
	f.root().WithGroup("commands").Info("COMMAND_RECEIVED Received command '"+e.Command+"'",
		"command", e.Command, "from", e.Remote.String(), "arguments", string(control.Redact(args)), "result", e.Result)
}

// maxAuditArguments keeps a whole configuration out of a log line.
const maxAuditArguments = 4096

func ok(text string, args any) control.Response { return control.Response{Text: text, Arguments: args} }

func fail(format string, a ...any) control.Response {
	return control.Response{Result: control.ResultError, Text: fmt.Sprintf(format, a...)}
}

// decode reads the arguments of a command strictly: an unknown argument is an
// error that names it. A command without arguments takes none, null or {}.
func decode(args json.RawMessage, into any) error {
	if len(args) == 0 || string(args) == "null" {
		args = json.RawMessage("{}")
	}
	d := json.NewDecoder(bytes.NewReader(args))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) {
			return fmt.Errorf("argument '%s' must be %s, not %s", te.Field, typeWord(te.Type.String()), te.Value)
		}
		return errors.New(strings.Replace(strings.TrimPrefix(err.Error(), "json: "), "unknown field", "unknown argument", 1))
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("arguments must be one JSON map")
	}
	return nil
}

func typeWord(t string) string {
	switch strings.TrimPrefix(t, "*") {
	case "string":
		return "a string"
	case "bool":
		return "a boolean"
	case "int", "int64", "uint32", "uint64":
		return "an integer"
	}
	if strings.HasPrefix(t, "[]") {
		return "a list"
	}
	return "a map"
}

func (f *family) versionGet(json.RawMessage) control.Response {
	return ok(f.s.opt.Version, map[string]any{"extended": f.s.opt.Extended})
}

func (f *family) buildReport(json.RawMessage) control.Response { return ok(f.s.opt.Build, nil) }

func (f *family) serverTagGet(json.RawMessage) control.Response {
	return ok("", map[string]any{"server-tag": partOf(f.v, f.s.Snapshot()).serverTag})
}

// statusGet answers CM-013, and under "dataplane" and "lease-store" what is ours.
func (f *family) statusGet(json.RawMessage) control.Response {
	s := f.s
	snap := s.Snapshot()
	mt := partOf(f.v, snap).multiThreading
	reloaded := s.started
	if ns := s.reloaded.Load(); ns != 0 {
		reloaded = time.Unix(0, ns)
	}
	now := time.Now()
	args := map[string]any{
		"pid":                     os.Getpid(),
		"uptime":                  int64(now.Sub(s.started) / time.Second),
		"reload":                  int64(now.Sub(reloaded) / time.Second),
		"multi-threading-enabled": mt.Enabled,
		"extended-info-tables":    false,
		"sockets":                 s.socketStatus(),
		"dhcp-state":              f.service.state(),
	}
	if mt.Enabled {
		if args["thread-pool-size"] = s.workerCount(); mt.Threads > 0 {
			args["thread-pool-size"] = mt.Threads // of each interface
		}
		args["packet-queue-size"] = mt.QueueSize
		args["packet-queue-statistics"] = s.queueLengths()
	}
	if s.store != nil {
		h := s.store.Health()
		st := map[string]any{"directory": LeaseDir(snap), "ok": h.OK}
		if !h.OK {
			st["error"], st["since"], st["attempts"] = h.Err, h.Since.Format(time.RFC3339), h.Attempts
		}
		args["lease-store"] = st
	}
	if m := leaseFile(s.runtime.Load().snapshot); m != "" {
		s.reload.Lock()
		if s.mirror != nil {
			st := s.mirror.Stats()
			args["csv-lease-file"] = m
			args["lease-file-mirror"] = map[string]any{"rows": st.Rows, "rewrites": st.Rewrites, "behind": st.Behind, "error": st.Err}
		}
		s.reload.Unlock()
	}
	if s.opt.Dataplane != nil {
		args["dataplane"] = s.opt.Dataplane()
	}
	return ok("", args)
}

// queueLengths are how many packets waited for a worker, on average over its last
// 10, 100 and 1000 batches: what came in one batch waited together. Of several
// workers the longest counts, as it is a client's who meets it.
func (s *Server) queueLengths() [len(queueSpans)]float64 {
	var out [len(queueSpans)]float64
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.mu.workers {
		for i := range out {
			out[i] = max(out[i], float64(math.Float32frombits(w.queued[i].Load())))
		}
	}
	return out
}

func (s *Server) workerCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.workers)
}

func (s *Server) socketStatus() map[string]any {
	if s.opt.Sockets != nil {
		if errs := s.opt.Sockets(); len(errs) > 0 {
			return map[string]any{"status": "failed", "errors": errs}
		}
	}
	return map[string]any{"status": "ready"}
}

func (f *family) configGet(json.RawMessage) control.Response {
	text, hash, err := f.shown(f.s.Snapshot())
	if err != nil {
		return fail("read configuration: %v", err)
	}
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return fail("read configuration: %v", err)
	}
	control.RedactValue(m)
	m["hash"] = hash
	return ok("", m)
}

func (f *family) configHashGet(json.RawMessage) control.Response {
	_, hash, err := f.shown(f.s.Snapshot())
	if err != nil {
		return fail("read configuration: %v", err)
	}
	return ok("", map[string]any{"hash": hash})
}

// parseConfig reads the argument of config-set and config-test: the family's
// part, and perhaps Dataplane. What it does not have, the other family's part
// too, is kept as it is in force.
func (f *family) parseConfig(args json.RawMessage) (*config.Snapshot, error) {
	if len(args) == 0 {
		return nil, errors.New("Missing mandatory 'arguments' parameter.")
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(args, &m); err != nil {
		return nil, errors.New("arguments must be a map")
	}
	if _, has := m[f.part()]; !has {
		return nil, fmt.Errorf("Missing mandatory '%s' parameter.", f.part())
	}
	var extra []string
	for k := range m {
		if k != f.part() && k != "Dataplane" {
			extra = append(extra, fmt.Sprintf("'%s'", k))
		}
	}
	if len(extra) > 0 {
		slices.Sort(extra)
		return nil, fmt.Errorf("Unsupported %s parameters.", strings.Join(extra, ", "))
	}
	// Before what is left out is added, which has no secret hidden.
	shown, inForce := m[f.part()], map[string]json.RawMessage{}
	if err := json.Unmarshal(f.s.Snapshot().Get, &inForce); err != nil {
		return nil, fmt.Errorf("read the configuration in force: %w", err)
	}
	kept := keepSecrets(shown, inForce[f.part()])
	m[f.part()] = kept
	var cur map[string]json.RawMessage
	if err := json.Unmarshal(f.s.Snapshot().Given, &cur); err != nil {
		return nil, fmt.Errorf("read the configuration in force: %w", err)
	}
	missing := !bytes.Equal(kept, shown)
	for k, v := range cur {
		if _, has := m[k]; !has {
			m[k], missing = v, true
		}
	}
	if missing {
		b, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		args = b
	}
	return f.s.opt.FromJSON(args)
}

func (f *family) configTest(args json.RawMessage) control.Response {
	snap, err := f.parseConfig(args)
	if err == nil {
		err = CheckHooks(snap, f.s.opt.Hooks)
	}
	if err != nil {
		return fail("%v", err)
	}
	return ok("Configuration seems sane. Control-socket, hook-libraries, and D2 configuration were sanity checked, but not applied.", nil)
}

func (f *family) configSet(_ context.Context, args json.RawMessage) control.Response {
	snap, err := f.setConfig(args)
	if err != nil {
		return fail("%v", err)
	}
	_, hash, err := f.shown(snap)
	if err != nil {
		return fail("%v", err)
	}
	f.log().Info(f.idPrefix()+"CONFIG_COMPLETE server has completed configuration: given by command", "hash", hash)
	return ok("Configuration successful.", map[string]any{"hash": hash})
}

// setConfig puts the argument of config-set in force. Nobody else changes the
// configuration meanwhile: what the argument leaves out is kept as it is now, and
// the other family's commands do not wait for this one's.
func (f *family) setConfig(args json.RawMessage) (*config.Snapshot, error) {
	f.s.reload.Lock()
	defer f.s.reload.Unlock()
	snap, err := f.parseConfig(args)
	if err != nil {
		return nil, err
	}
	if err := f.s.applyLocked(snap); err != nil {
		return snap, err
	}
	f.s.recheckLeases(snap)
	return snap, nil
}

func (f *family) configReload(_ context.Context, _ json.RawMessage) control.Response {
	file := f.s.opt.ConfigFile
	if err := f.s.Reload(); err != nil {
		f.log().Error(f.idPrefix()+"DYNAMIC_RECONFIGURATION_FAIL dynamic server reconfiguration failed with file: "+file+"; the running configuration stays", "error", err)
		return fail("Config reload failed: %v", err)
	}
	f.log().Info(f.idPrefix() + "DYNAMIC_RECONFIGURATION_SUCCESS dynamic server reconfiguration succeeded with file: " + file)
	_, hash, err := f.shown(f.s.Snapshot())
	if err != nil {
		return fail("%v", err)
	}
	return ok("Configuration successful.", map[string]any{"hash": hash})
}

// configWrite writes the running configuration. What is on disk is at any time
// either the old file or the new one.
func (f *family) configWrite(_ context.Context, args json.RawMessage) control.Response {
	var a struct {
		Filename string `json:"filename"`
	}
	if err := decode(args, &a); err != nil {
		return fail("%v", err)
	}
	// The file holds both families' parts, as it did when it was read.
	s := f.s
	path := s.opt.ConfigFile
	if path == "" && a.Filename == "" {
		return fail("Unable to determine filename. Please specify filename explicitly.")
	}
	if a.Filename != "" {
		dir := filepath.Dir(s.opt.ConfigFile)
		path = a.Filename
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		// OP-050: only the directory of the start-up file.
		if filepath.Dir(filepath.Clean(path)) != filepath.Clean(dir) {
			return fail("not allowed to write config into '%s': the only directory for it is '%s'", a.Filename, dir)
		}
		to, err := filepath.EvalSymlinks(path)
		if ownFile(path) || err == nil && ownFile(to) {
			return fail("not allowed to write config into '%s': it is a file of the server's own", a.Filename)
		}
	}
	var out bytes.Buffer
	if err := json.Indent(&out, s.Snapshot().Get, "", "    "); err != nil {
		return fail("write configuration: %v", err)
	}
	out.WriteByte('\n')
	if err := writeFileAtomically(path, out.Bytes()); err != nil {
		return fail("Error during config-write: %v", err)
	}
	return ok(fmt.Sprintf("Configuration written to %s successful", path), map[string]any{"filename": path, "size": out.Len()})
}

type originArgs struct {
	MaxPeriod *int64 `json:"max-period"`
	Origin    any    `json:"origin"`
	OriginID  *int   `json:"origin-id"`
}

// origin reads who disables or enables (CM-014).
func (a *originArgs) number() (int, error) {
	if a.OriginID != nil {
		if *a.OriginID < 1 {
			return 0, errors.New("argument 'origin-id' must be a positive integer")
		}
		return *a.OriginID, nil
	}
	switch o := a.Origin.(type) {
	case nil:
		return OriginUser, nil
	case string:
		switch o {
		case "", "user":
			return OriginUser, nil
		case "ha-partner":
			return OriginHARemote, nil
		}
		return 0, fmt.Errorf("invalid value used for 'origin' parameter: %s", o)
	case float64:
		if o >= 1 && o == float64(int(o)) {
			return int(o), nil
		}
	}
	return 0, errors.New("argument 'origin' must be a string or a positive integer")
}

func (f *family) dhcpDisable(_ context.Context, args json.RawMessage) control.Response {
	var a originArgs
	if err := decode(args, &a); err != nil {
		return fail("%v", err)
	}
	o, err := a.number()
	if err != nil {
		return fail("%v", err)
	}
	var period time.Duration
	text := f.protocol() + " service disabled"
	if a.MaxPeriod != nil {
		if *a.MaxPeriod <= 0 || *a.MaxPeriod > 1<<31 {
			return fail("'max-period' must be positive integer")
		}
		period = time.Duration(*a.MaxPeriod) * time.Second
		text = fmt.Sprintf("%s service disabled for %d seconds", f.protocol(), *a.MaxPeriod)
	}
	if !f.service.disable(o, period) {
		return fail("too many origins hold the service disabled")
	}
	return ok(text, nil)
}

func (f *family) dhcpEnable(_ context.Context, args json.RawMessage) control.Response {
	var a originArgs
	if err := decode(args, &a); err != nil {
		return fail("%v", err)
	}
	if a.MaxPeriod != nil {
		return fail("unknown argument \"max-period\"")
	}
	o, err := a.number()
	if err != nil {
		return fail("%v", err)
	}
	f.service.enable(o)
	return ok("DHCP service successfully enabled", nil)
}

func (f *family) shutdown(_ context.Context, args json.RawMessage) control.Response {
	var a struct {
		ExitValue int `json:"exit-value"`
	}
	if err := decode(args, &a); err != nil {
		return fail("%v", err)
	}
	if f.s.opt.Shutdown == nil {
		return fail("this server cannot be shut down by command")
	}
	go f.s.opt.Shutdown(a.ExitValue)
	return ok("Shutting down.", nil)
}

func (s *Server) lfcStart(ctx context.Context, _ json.RawMessage) control.Response {
	if s.store == nil {
		return fail("leases are not persisted: there is nothing to clean up")
	}
	if err := s.store.Snapshot(ctx, s.table, s.table6); err != nil {
		return fail("snapshot of the leases failed: %v", err)
	}
	s.reload.Lock()
	defer s.reload.Unlock()
	if s.mirror != nil {
		s.mirror.Cleanup()
	}
	if s.six != nil && s.six.mirror != nil {
		s.six.mirror.Cleanup()
	}
	return ok("LFC started", nil)
}
