package config

import (
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

func (d *decoder) serviceSockets(n *keajson.Node) ServiceSockets {
	return ServiceSockets{
		RequireAll:      n.Bool("service-sockets-require-all", false),
		MaxRetries:      n.Uint32("service-sockets-max-retries", 0),
		RetryWaitTimeMs: n.Uint32("service-sockets-retry-wait-time", 5000),
	}
}

// interfaces decodes interfaces-config (V4-040 … V4-044).
func (d *decoder) interfaces(c *Dhcp4, n *keajson.Node) {
	c.SocketUDP = n.Text("dhcp-socket-type", "raw") == "udp"
	if v := n.Get("outbound-interface"); v != nil && v.Str == "use-routing" {
		if c.UseRouting = c.SocketUDP; !c.UseRouting {
			d.warnf(v, `"outbound-interface": "use-routing" has no effect without "dhcp-socket-type" "udp"`)
		}
	}
	c.ReDetect = n.Bool("re-detect", true)
	c.ServiceSockets = d.serviceSockets(n)
	kids := n.List("interfaces")
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.String {
			continue
		}
		text := strings.Trim(e.Str, " \t")
		if text == "*" {
			if c.AllInterfaces {
				d.errorf(e, `"*" stands twice in "interfaces"`)
			}
			c.AllInterfaces = true
			continue
		}
		var f Interface
		name, addr, has := strings.Cut(text, "/")
		if err := checkIfName(name); err != nil {
			d.errorf(e, "interfaces[%d] %v", i, err)
			continue
		}
		f.Name = strings.Clone(name)
		if has {
			a, err := parseIPv4(addr)
			if err != nil {
				d.errorf(e, "interfaces[%d]: what follows the slash %v", i, err)
				continue
			}
			f.Addr = a
		}
		if slices.Contains(c.Interfaces, f) {
			d.errorf(e, "%q stands twice in \"interfaces\"", text)
			continue
		}
		c.Interfaces = append(c.Interfaces, f)
	}
}

func (d *decoder) leaseDatabase(n *keajson.Node) LeaseDatabase {
	return LeaseDatabase{
		Persist:      n.Bool("persist", true),
		Name:         n.Text("name", ""),
		NamePos:      d.positionOf(n, "name"),
		LFCIntervalS: int(n.Int("lfc-interval", 3600)),
		MaxRowErrors: n.Uint32("max-row-errors", 0),
	}
}

// positionOf is where a value of n is, or n itself if it has none.
func (d *decoder) positionOf(n *keajson.Node, key string) keajson.Position {
	if v := n.Get(key); v != nil {
		return d.t.Position(v)
	} else if n != nil {
		return d.t.Position(n)
	}
	return keajson.Position{}
}

func (d *decoder) multiThreading(n *keajson.Node) MultiThreading {
	return MultiThreading{
		Enabled:   n.Bool("enable-multi-threading", true),
		Threads:   int(n.Int("thread-pool-size", 0)),
		QueueSize: int(n.Int("packet-queue-size", 64)),
	}
}

func (d *decoder) expired(n *keajson.Node) ExpiredProcessing {
	return ExpiredProcessing{
		ReclaimTimerWaitTimeS:        int(n.Int("reclaim-timer-wait-time", 10)),
		FlushReclaimedTimerWaitTimeS: int(n.Int("flush-reclaimed-timer-wait-time", 25)),
		HoldReclaimedTimeS:           int(n.Int("hold-reclaimed-time", 3600)),
		MaxReclaimLeases:             int(n.Int("max-reclaim-leases", 100)),
		MaxReclaimTimeMs:             int(n.Int("max-reclaim-time", 250)),
		UnwarnedReclaimCycles:        int(n.Int("unwarned-reclaim-cycles", 5)),
	}
}

// queueControl says what dhcp-queue-control does not do.
func (d *decoder) queueControl(n *keajson.Node) {
	if v := n.Get("dhcp-queue-control").Get("enable-queue"); v.IsTrue() {
		// Nor does Kea with multi-threading.
		d.warnf(v, `"enable-queue" has no effect: what comes too fast is shed as it arrives`)
	}
}

// controlSockets decodes control-sockets and the older control-socket (CC-001).
func (d *decoder) controlSockets(l *[]ControlSocket, n *keajson.Node) {
	if one := n.Get("control-socket"); one != nil && one.Kind == keajson.Map {
		if n.Get("control-sockets") != nil {
			d.errorKey(one, `"control-socket" is the old spelling of "control-sockets": give one of them`)
			return
		}
		d.warnKey(one, `"control-socket" is deprecated: use "control-sockets", a list`)
		if len(one.Kids) == 0 {
			return
		}
		d.push("control-socket", -1)
		d.controlSocket(l, one)
		d.pop()
	}
	kids := n.List("control-sockets")
	for i := range kids {
		if kids[i].Kind != keajson.Map {
			continue
		}
		d.push("control-sockets", i)
		d.controlSocket(l, &kids[i])
		d.pop()
	}
}

// maxUnixPath is what sun_path holds beside its final zero (CC-002).
const maxUnixPath = 107

func (d *decoder) controlSocket(l *[]ControlSocket, n *keajson.Node) {
	s := ControlSocket{Type: n.Text("socket-type", ""), Pos: d.t.Position(n)}
	not := func(why string, keys ...string) {
		for _, k := range keys {
			if v := n.Get(k); v != nil {
				d.errorKey(v, "%q is %s", k, why)
			}
		}
	}
	switch s.Type {
	case "unix":
		s.SocketName = n.Text("socket-name", "")
		s.Pos = d.positionOf(n, "socket-name")
		v := n.Get("socket-name")
		switch {
		case v == nil:
			d.errorf(n, `a unix control socket must have a "socket-name"`)
		case v.Kind != keajson.String:
		case v.Str == "":
			d.errorf(v, `"socket-name" must be the path of a socket`)
		case len(v.Str) > maxUnixPath:
			d.errorf(v, `"socket-name" may have at most %d bytes, not %d`, maxUnixPath, len(v.Str))
		}
		if slices.ContainsFunc(*l, func(o ControlSocket) bool { return o.Type == "unix" }) {
			d.errorf(n, "there may be only one unix control socket")
		}
		not("of http control sockets", "socket-address", "socket-port", "authentication", "http-headers", "trust-anchor", "cert-file", "key-file", "cert-required")
	case "http", "https":
		not("of unix control sockets", "socket-name")
		d.socketTLS(&s, n)
		s.Address = n.Text("socket-address", d.fam.loopback)
		s.Port = uint16(n.Int("socket-port", 8000))
		ip := net.ParseIP(s.Address)
		if ip == nil {
			d.errorf(n.Get("socket-address"), `"socket-address" must be an IP address, not %q`, keajson.Clip(s.Address))
		}
		for _, o := range *l {
			if o.Type != "unix" && o.Address == s.Address && o.Port == s.Port {
				d.errorf(n, "two control sockets have the address %s port %d", s.Address, s.Port)
			}
		}
		d.authentication(&s, n.Get("authentication"))
		if len(s.Users) == 0 && ip != nil && n.Get("authentication").Get("clients") == nil && !s.CertRequired {
			if ip.IsLoopback() || d.o.Lenient {
				d.warnf(n, "control over %s on %s has no authentication: every user who reaches it controls the server", s.Type, s.Address)
			} else {
				d.errorf(n, `control over %s on %s must have "authentication" (only loopback addresses, and https with "cert-required", may do without)`, s.Type, s.Address)
			}
		}
		heads := n.List("http-headers")
		for i := range heads {
			h := &heads[i]
			if h.Kind != keajson.Map {
				continue
			}
			x := HTTPHeader{Name: h.Text("name", ""), Value: h.Text("value", "")}
			if x.Name == "" || h.Get("value") == nil {
				d.errorf(h, `http-headers[%d] must have a "name" and a "value"`, i)
				continue
			}
			if !isToken(x.Name) {
				d.errorf(h.Get("name"), "%q cannot be the name of an HTTP header", keajson.Clip(x.Name))
			}
			if strings.ContainsAny(x.Value, "\r\n\x00") {
				d.errorf(h.Get("value"), "the value of an HTTP header must be one line")
			}
			s.Headers = append(s.Headers, x)
		}
	default:
		if n.Get("socket-type") == nil {
			d.errorf(n, `a control socket must have a "socket-type": "unix", "http" or "https"`)
		}
		return
	}
	*l = append(*l, s)
}

// socketTLS decodes what https needs and http refuses (CC-004). Whether the files
// are what they should be, who opens the socket finds out.
func (d *decoder) socketTLS(s *ControlSocket, n *keajson.Node) {
	files := []struct {
		key string
		to  *string
	}{{"trust-anchor", &s.TrustAnchor}, {"cert-file", &s.CertFile}, {"key-file", &s.KeyFile}}
	for _, f := range files {
		v := n.Get(f.key)
		*f.to = n.Text(f.key, "")
		switch {
		case s.Type == "http" && v != nil:
			d.errorKey(v, `%q is of https control sockets: "socket-type" must be "https"`, f.key)
		case s.Type == "https" && v == nil:
			d.errorf(n, "an https control socket must have a %q", f.key)
		case s.Type == "https" && v.Kind == keajson.String && v.Str == "":
			d.errorf(v, "%q must name a file", f.key)
		}
	}
	if v := n.Get("cert-required"); s.Type == "http" && v != nil {
		d.errorKey(v, `"cert-required" is of https control sockets: "socket-type" must be "https"`)
	}
	s.CertRequired = s.Type == "https" && n.Bool("cert-required", true)
}

// isToken says whether s is a token of RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if alnum := '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'; !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// examplePasswords stand in ISC's documents; whoever copies them has none
// (OP-059).
var examplePasswords = []string{"1234", "keatest", "*****"}

// authentication decodes basic authentication (CC-005).
func (d *decoder) authentication(s *ControlSocket, n *keajson.Node) {
	if n == nil || n.Kind != keajson.Map {
		return
	}
	if n.Get("type") == nil {
		d.errorf(n, `"authentication" must have a "type": "basic"`)
	}
	s.Realm = n.Text("realm", d.fam.realm)
	if strings.ContainsAny(s.Realm, "\"\\\r\n") {
		d.errorf(n.Get("realm"), "a realm cannot hold quotes, backslashes or line breaks")
	}
	dir := n.Text("directory", "")
	kids := n.List("clients")
	if len(kids) == 0 {
		d.errorf(n, `"authentication" must have at least one of "clients"`)
	}
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		d.push("clients", i)
		if u, ok := d.basicUser(e, dir); ok {
			s.Users = append(s.Users, u)
		}
		d.pop()
	}
}

const maxSecretFile = 4096

func (d *decoder) basicUser(e *keajson.Node, dir string) (u BasicUser, ok bool) {
	read := func(key string) (string, bool) {
		v := e.Get(key)
		if v.Kind != keajson.String || v.Str == "" {
			if v.Kind == keajson.String {
				d.errorf(v, "%q must name a file", key)
			}
			return "", false
		}
		name := v.Str
		if dir != "" && !path.IsAbs(name) {
			name = path.Join(dir, name)
		}
		f := d.o.ReadFile
		if f == nil {
			f = keajson.ReadFile
		}
		b, err := f(name, maxSecretFile)
		if err != nil {
			d.errorf(v, "%s %q: %v", key, keajson.Clip(name), err)
			return "", false
		}
		if len(b) > maxSecretFile {
			d.errorf(v, "%s %q: has more than %d bytes", key, keajson.Clip(name), maxSecretFile)
			return "", false
		}
		return strings.TrimRight(string(b), "\r\n"), true
	}
	one := func(a, b string) bool {
		if x := e.Get(a); x != nil && e.Get(b) != nil {
			d.errorKey(x, "%q and %q are both given", a, b)
			return false
		}
		return true
	}
	if !one("user", "user-file") || !one("password", "password-file") {
		return u, false
	}
	haveUser := true
	switch {
	case e.Get("user") != nil:
		u.User = e.Text("user", "")
	case e.Get("user-file") != nil:
		if u.User, ok = read("user-file"); !ok {
			return u, false
		}
	default:
		haveUser = false
	}
	switch {
	case e.Get("password") != nil:
		u.Password = e.Text("password", "")
	case e.Get("password-file") != nil:
		if u.Password, ok = read("password-file"); !ok {
			return u, false
		}
		if !haveUser { // the file then holds user:password
			u.User, u.Password, haveUser = strings.Cut(u.Password, ":")
		}
	}
	at := e.Get("password")
	if at == nil {
		at = e
	}
	switch {
	case !haveUser || u.User == "":
		d.errorf(e, `a client must have a "user" or "user-file"`)
	case strings.Contains(u.User, ":"):
		d.errorf(e, "a user name cannot hold a colon")
	case slices.Contains(examplePasswords, u.Password):
		d.errorf(at, "this password stands in published examples: choose another")
	default:
		switch {
		case u.Password == "":
			d.warnf(e, "user %q has an empty password", keajson.Clip(u.User))
		case e.Get("password") != nil:
			d.warnf(at, `this password stands in the configuration for all who read it: "password-file" names a file instead`)
		}
		return u, true
	}
	return u, false
}

// severities of OP-020.
var severities = []string{"FATAL", "ERROR", "WARN", "INFO", "DEBUG", "NONE"}

// loggers decodes loggers (OP-020, OP-021).
func (d *decoder) loggers(to *[]Logger, n *keajson.Node) {
	kids := n.List("loggers")
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		d.push("loggers", i)
		l := Logger{
			Name:       e.Text("name", ""),
			Severity:   strings.ToUpper(e.Text("severity", "INFO")),
			DebugLevel: int(e.Int("debuglevel", 0)),
		}
		if l.Name == "" {
			d.errorf(e, `a logger must have a "name", as "kea-dhcp4"`)
		}
		if !slices.Contains(severities, l.Severity) {
			d.errorf(e.Get("severity"), `"severity" must be %s, not %q`, orList(severities), keajson.Clip(l.Severity))
		}
		if old := e.Get("output_options"); old != nil {
			if e.Get("output-options") != nil {
				d.errorKey(old, `"output_options" is the old spelling of "output-options": give one of them`)
			} else {
				d.warnKey(old, `"output_options" is deprecated: use "output-options"`)
			}
		}
		for _, key := range []string{"output-options", "output_options"} {
			outs := e.List(key)
			for j := range outs {
				o := &outs[j]
				if o.Kind != keajson.Map {
					continue
				}
				x := LogOutput{
					Output:  o.Text("output", ""),
					Flush:   o.Bool("flush", true),
					MaxSize: o.Int("maxsize", 10240000),
					MaxVer:  int(o.Int("maxver", 1)),
					Pattern: o.Text("pattern", ""),
					Pos:     d.positionOf(o, "output"),
				}
				if x.Output == "" {
					d.errorf(o, `%s[%d] must have an "output": "stdout", "stderr", "syslog", "syslog:NAME" or the name of a file`, key, j)
				}
				l.Outputs = append(l.Outputs, x)
			}
		}
		*to = append(*to, l)
		d.pop()
	}
}

// HookName is the name a hook library is resolved by: the base name of the path
// without "libdhcp_" and ".so".
func HookName(library string) string {
	s := path.Base(library)
	s = strings.TrimSuffix(s, ".so")
	return strings.TrimPrefix(s, "libdhcp_")
}

// keaHooks are the hook libraries that Kea has, by HookName; mysql_cb and pgsql_cb
// are those of Kea 2.
var keaHooks = []string{
	"bootp", "cb_cmds", "class_cmds", "ddns_gss_tsig", "ddns_tuning", "flex_id", "flex_option", "ha", "host_cache", "host_cmds", "lease_cmds", "lease_query",
	"legal_log", "limits", "mysql", "mysql_cb", "perfmon", "pgsql", "pgsql_cb", "ping_check", "radius", "rbac", "run_script", "stat_cmds", "subnet_cmds", "user_chk",
}

// unknownHook is for a library that Kea has not either: somebody's own, which it
// may be able to load, or a misspelling.
func (d *decoder) unknownHook(v *keajson.Node, name string) {
	msg := fmt.Sprintf("unknown hook library %q (from %q), which is not one of Kea's either", keajson.Clip(name), keajson.Clip(v.Str))
	if near := keajson.Nearest(name, keaHooks); near != "" {
		msg = fmt.Sprintf("unknown hook library %q (from %q): did you mean %q?", keajson.Clip(name), keajson.Clip(v.Str), near)
	}
	d.missing().Error(d.t, v, "%s", msg).Element = d.element(v)
}

func (d *decoder) hooks(l *[]HooksLibrary, n *keajson.Node) {
	kids := n.List("hooks-libraries")
	for i := range kids {
		e := &kids[i]
		if e.Kind != keajson.Map {
			continue
		}
		v := e.Get("library")
		if v == nil {
			d.errorf(e, `hooks-libraries[%d] must have a "library"`, i)
			continue
		}
		if v.Kind != keajson.String {
			continue
		}
		h := HooksLibrary{Library: strings.Clone(v.Str), Name: strings.Clone(HookName(v.Str)), Parameters: rawJSON(e.Get("parameters")), Pos: d.t.Position(v)}
		switch {
		case strings.TrimSpace(v.Str) == "" || h.Name == "." || h.Name == "/" || h.Name == "":
			d.errorf(v, `"library" must be the path of a hook library`)
			continue
		case d.o.KnownHook != nil && !d.o.KnownHook(h.Name):
			if slices.Contains(keaHooks, h.Name) {
				d.notServed(v, "hook library %q (from %q)", keajson.Clip(h.Name), keajson.Clip(v.Str))
			} else {
				d.unknownHook(v, h.Name)
			}
			if d.o.ListNotServed {
				continue
			}
		}
		for _, o := range *l {
			if o.Name == h.Name {
				d.errorf(v, "hook library %q is given twice", keajson.Clip(h.Name))
			}
		}
		*l = append(*l, h)
	}
}

// checkHostPort checks an address to listen at.
func checkHostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q has no port", keajson.Clip(s))
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		return fmt.Errorf("%q is no port number", keajson.Clip(port))
	}
	if host != "" && host != "localhost" && net.ParseIP(host) == nil {
		return fmt.Errorf("%q is no IP address", keajson.Clip(host))
	}
	return nil
}
