package main

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// result is what a finished program left.
type result struct {
	status         int
	stdout, stderr string
}

// call runs a program to its end.
func call(t testing.TB, stdin string, argv ...string) (r result) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		t.Fatalf("%v does not end", argv)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// expect checks status and, as regular expressions, both outputs; "" is none.
func (r result) expect(t testing.TB, what string, status int, stdout, stderr string) {
	t.Helper()
	match := func(text, pattern string) bool {
		if pattern == "" {
			return text == ""
		}
		return regexp.MustCompile(pattern).MatchString(text)
	}
	if r.status != status || !match(r.stdout, stdout) || !match(r.stderr, stderr) {
		t.Errorf("%s: status %d, want %d\nstdout (want %q):\n%s\nstderr (want %q):\n%s", what, r.status, status, stdout, r.stdout, stderr, r.stderr)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	bin, dir := program(t, "peregrine"), tempDir(t)
	missing := filepath.Join(dir, "missing.json")
	for _, c := range []struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		{nil, 2, "", `(?m)^usage: peregrine COMMAND$`},
		{[]string{"help"}, 0, `serve -c FILE`, ""},
		{[]string{"-h"}, 0, `serve -c FILE`, ""},
		{[]string{"--help"}, 0, `serve -c FILE`, ""},
		{[]string{"version"}, 0, `^3\.\d+\.\d+ \(Peregrine `, ""},
		{[]string{"--version"}, 0, `^3\.\d+\.\d+ \(Peregrine `, ""},
		{[]string{"frobnicate"}, 2, "", `there is no command "frobnicate"\nusage:`},
		{[]string{"serve"}, 2, "", `-c FILE is missing`},
		{[]string{"serve", "-h"}, 0, "", `configuration file`},
		{[]string{"serve", "--nonsense"}, 2, "", `nonsense`},
		{[]string{"serve", "-c", missing, "more"}, 2, "", `unexpected argument "more"`},
		{[]string{"serve", "-c", missing, "-p", "66000"}, 2, "", `66000`},
		{[]string{"serve", "-c", missing, "-p", "x"}, 2, "", `"x"`},
		{[]string{"serve", "-c", missing}, 1, "", `missing\.json.*no such file`},
		{[]string{"serve", "-c", dir}, 1, "", regexp.QuoteMeta(dir) + `.*is a directory`},
		{[]string{"check"}, 2, "", `-c FILE is missing`},
		{[]string{"check", "-h"}, 0, "", `configuration file`},
		{[]string{"check", missing}, 1, "", `missing\.json.*no such file`},
		{[]string{"check", "-c", dir}, 1, "", regexp.QuoteMeta(dir) + `.*is a directory`},
		{[]string{"check", "-c", missing, "more"}, 2, "", `unexpected argument "more"`},
		{[]string{"check", "--nonsense"}, 2, "", `nonsense`},
		{[]string{"ctl"}, 2, "", `usage: peregrine ctl`},
		{[]string{"ctl", "-h"}, 0, "", `usage: peregrine ctl`},
		{[]string{"ctl", "a", "{}", "c"}, 2, "", `usage: peregrine ctl`},
		{[]string{"ctl", "-s", filepath.Join(dir, "no.sock"), "status-get"}, 1, "", `no such file[^\n]*\nIs the server running`},
		{[]string{"ctl", "-s", filepath.Join(dir, "no.sock"), "lease4-get", "{nonsense"}, 2, "", `no valid JSON: \{nonsense`},
		{[]string{"ctl", "-s", filepath.Join(dir, "no.sock"), "lease4-get", "@" + missing}, 2, "", `missing\.json: no such file`},
		{[]string{"lease"}, 2, "", `usage: peregrine lease`},
		{[]string{"lease", "frobnicate"}, 2, "", `peregrine lease`},
		{[]string{"lease", "list"}, 2, "", `give -d DIR or -c FILE`},
		{[]string{"lease", "list", "-d", filepath.Join(dir, "nothing")}, 1, `^(address.*\n)?$`, `nothing.*no such file`},
		{[]string{"lease", "list", "-c", missing}, 1, "", `missing\.json.*no such file`},
	} {
		call(t, "", append([]string{bin}, c.args...)...).expect(t, "peregrine "+strings.Join(c.args, " "), c.status, c.stdout, c.stderr)
	}
	call(t, "", program(t, "kea-dhcp6"), "-v").expect(t, "kea-dhcp6", 0, `^3\.\d+\.\d+\n$`, "")
	call(t, "", program(t, "kea-dhcp-ddns"), "-v").expect(t, "kea-dhcp-ddns", 1, "", `kea-dhcp-ddns: this server does not send DNS updates`)
	// A daemon of Kea's serves its own part of a file and no other.
	four, six := writeFile(t, "four.json", `{ "Dhcp4": { } }`), writeFile(t, "six.json", `{ "Dhcp6": { } }`)
	both := writeFile(t, "both.json", `{ "Dhcp4": { }, "Dhcp6": { } }`)
	for _, c := range []struct {
		name, file string
		status     int
		stderr     string
	}{
		{"kea-dhcp4", four, 0, "Syntax check OK"}, {"kea-dhcp6", six, 0, "Syntax check OK"},
		{"kea-dhcp4", six, 1, `six\.json:1:1: expected a "Dhcp4" part`}, {"kea-dhcp6", four, 1, `four\.json:1:1: expected a "Dhcp6" part`},
		{"kea-dhcp4", both, 1, `this file has both: start it with "peregrine serve"`}, {"kea-dhcp6", both, 1, `this file has both`},
	} {
		call(t, "", program(t, c.name), "-t", c.file).expect(t, c.name+" -t "+c.file, c.status, "", c.stderr)
	}
}

// badFiles are files with what check must say about them.
var badFiles = []struct{ name, text, want string }{
	{"empty", "", `F:1:1: `},
	{"not-json", "dhcp4 { }", `F:1:1: `},
	{"cut", `{ "Dhcp4": {`, `F:1:\d+: `},
	{"two-errors", "{ \"Dhcp4\": {\n \"valid-lifetime\": \"x\",\n \"renew-timer\": true } }", `F:2:\d+: [^\n]*\nF:3:\d+: `},
	{"unknown-key", "{ \"Dhcp4\": {\n \"subnets4\": [] } }", `F:2:\d+: [^\n]*subnets4`},
	{"no-dhcp", `{ "Dataplane": { } }`, `F:1:1: [^\n]*Dhcp4[^\n]*Dhcp6`},
	{"list", `[ ]`, `F:1:1: `},
	{"pool-outside", `{ "Dhcp4": { "subnet4": [ { "id": 1, "subnet": "10.0.0.0/24",` + "\n" + `"pools": [ { "pool": "10.0.1.1 - 10.0.1.9" } ] } ] } }`, `F:2:\d+: `},
	{"no-hook", `{ "Dhcp4": { "hooks-libraries": [` + "\n" + `{ "library": "/usr/lib/libdhcp_nothing.so" } ] } }`, `F:2:\d+: [^\n]*nothing`},
	{"kea-hook", `{ "Dhcp4": { "hooks-libraries": [` + "\n" + `{ "library": "/usr/lib/libdhcp_radius.so" } ] } }`, `F:2:\d+: not served by this version: hook library "radius"`},
	{"bad-dataplane", `{ "Dhcp4": { }, "Dataplane": {` + "\n" + `"mode": "warp" } }`, `F:2:\d+: [^\n]*warp`},
	{"nul", "{ \"Dhcp4\": { \x00 } }", `F:1:\d+: `},
	{"deep", strings.Repeat("[", 100_000), `F:1:\d+: `},
}

func TestCheckFiles(t *testing.T) {
	t.Parallel()
	bin, dir := program(t, "peregrine"), tempDir(t)
	kea := program(t, "kea-dhcp4")
	for _, f := range badFiles {
		path := filepath.Join(dir, f.name+".json")
		if err := os.WriteFile(path, []byte(f.text), 0o600); err != nil {
			t.Fatal(err)
		}
		name := regexp.QuoteMeta(path)
		want := strings.ReplaceAll(f.want, "F:", name+":")
		r := call(t, "", bin, "check", "-c", path)
		if strings.HasSuffix(f.name, "-hook") { // nothing is wrong with the rest
			r.expect(t, "check "+f.name, 3, "good but for 1 part not served", want)
		} else {
			r.expect(t, "check "+f.name, 1, "", want)
		}
		for _, line := range strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n") {
			if !regexp.MustCompile(`^` + name + `:\d+:\d+: \S`).MatchString(line) {
				t.Errorf("check %s: line %q is not FILE:LINE:COL: message", f.name, line)
			}
		}
		if strings.Count(r.stderr, "\n") > 200 {
			t.Errorf("check %s: %d lines", f.name, strings.Count(r.stderr, "\n"))
		}
		call(t, "", bin, "serve", "-c", path).expect(t, "serve "+f.name, 1, "", want)
		r = call(t, "", kea, "-t", path)
		if r.status != 1 || r.stdout != "" {
			t.Errorf("kea-dhcp4 -t %s: status %d, stdout %q", f.name, r.status, r.stdout)
		}
		for _, line := range strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n") {
			if !strings.HasPrefix(line, "Error encountered: "+path+":") && !strings.HasPrefix(line, "Syntax check failed with: "+path+":") {
				t.Errorf("kea-dhcp4 -t %s: line %q", f.name, line)
			}
		}
	}
	good := filepath.Join("..", "..", "docs", "example.json")
	call(t, "", bin, "check", "-c", good).expect(t, "check of the example", 0, `example\.json: good: 2 subnets, 2 pools, 2 reservations`, "")
	call(t, "", bin, "check", "-q", good).expect(t, "check -q of the example", 0, "", "")
	call(t, "", kea, "-t", good).expect(t, "kea-dhcp4 -t of the example", 0, "", `Syntax check OK`)
	call(t, "", kea, "-T"+good).expect(t, "kea-dhcp4 -T of the example", 0, "", `Syntax check OK`)
}

func TestKeaCommandLine(t *testing.T) {
	t.Parallel()
	kea := program(t, "kea-dhcp4")
	for _, c := range []struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		{[]string{"-v"}, 0, `^3\.\d+\.\d+\n$`, ""},
		{[]string{"-V"}, 0, `^3\.\d+\.\d+ \(Peregrine `, ""},
		{[]string{"-W"}, 0, `cilium/ebpf|Peregrine`, ""},
		{nil, 1, "", `^Configuration file not specified\.\n\nUsage: kea-dhcp4`},
		{[]string{"-x"}, 1, "", `unsupported option -x\n\nUsage: kea-dhcp4`},
		{[]string{"-R", "-c", "x"}, 1, "", `there is no configuration backend`},
		{[]string{"-c"}, 1, "", `option -c needs a value`},
		{[]string{"-p", "0", "-c", "x"}, 1, "", `Failed to parse server port number: \[0\], 1-65535 allowed\.`},
		{[]string{"-P", "68", "-c", "x"}, 1, "", `not supported yet`},
		{[]string{"file"}, 1, "", `unexpected argument "file"`},
		{[]string{"-c", "/nonexistent/kea.conf"}, 1, "", `/nonexistent/kea\.conf.*no such file`},
		{[]string{"-t", "/nonexistent/kea.conf"}, 1, "", `^Syntax check failed with: .*no such file`},
		{[]string{"-F", "-t", "/nonexistent/kea.conf"}, 1, "", `^Syntax check failed with: `},
	} {
		call(t, "", append([]string{kea}, c.args...)...).expect(t, "kea-dhcp4 "+strings.Join(c.args, " "), c.status, c.stdout, c.stderr)
	}
}

// TestKeaName: the server itself under Kea's name.
func TestKeaName(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.write(b.newConf("auto"))
	b.p = spawn(t, b.srv, b.logFile, program(t, "kea-dhcp4"), "-d", "-c"+b.config)
	seen := 0
	b.p.waitFor(&seen, `INFO .*\[kea-dhcp4\.dhcp4.*DHCP4_STARTED`)
	b.newWire().lease(netiotest.ClientMAC(1))
	b.p.terminate()
}

func TestControlFromCommandLine(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.startWith(b.newConf("auto"))
	addr := b.newWire().lease(netiotest.ClientMAC(1)).View.YIAddr().String()
	ctl := func(stdin string, args ...string) result {
		return call(t, stdin, append([]string{b.bin, "ctl", "-s", b.socket}, args...)...)
	}
	file := filepath.Join(b.dir, "args.json")
	if err := os.WriteFile(file, []byte(`{"ip-address": "`+addr+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ctl("", "status-get").expect(t, "status-get", 0, `"pid": \d+`, "")
	ctl("", "list-commands").expect(t, "list-commands", 0, `"lease4-get-page"`, "")
	ctl("", "lease4-get", `{"ip-address": "`+addr+`"}`).expect(t, "lease4-get", 0, regexp.QuoteMeta(addr), "")
	ctl("", "lease4-get", "@"+file).expect(t, "lease4-get @file", 0, regexp.QuoteMeta(addr), "")
	ctl(`{"ip-address": "`+addr+`"}`, "lease4-get", "-").expect(t, "lease4-get -", 0, regexp.QuoteMeta(addr), "")
	ctl("", "lease4-get", `{"ip-address": "10.77.99.99"}`).expect(t, "lease4-get of nothing", 0, `"result": 3`, "")
	ctl("", "lease4-get", `{"ip-address": "nonsense"}`).expect(t, "lease4-get nonsense", 1, `"result": 1`, "")
	ctl("", "lease4-get", `{"address": "x"}`).expect(t, "lease4-get of nobody", 1, `'subnet-id' parameter missing`, "")
	ctl("", "lease4-get", `[1]`).expect(t, "lease4-get of a list", 1, `"result": 1`, "")
	ctl("", "no-such-command").expect(t, "no-such-command", 1, `"result": 2`, "")
	ctl("", "-t", "1ns", "status-get").expect(t, "no time", 1, "", `timeout|deadline exceeded`)

	// The lease directory belongs to the server while it runs.
	call(t, "", b.bin, "lease", "list", "-d", b.lease).expect(t, "lease list beside the server", 1, `^(address.*\n)?$`, `(?s)`+regexp.QuoteMeta(b.lease)+`.*(in use|running|locked)`)
	second := filepath.Join(b.dir, "second.json")
	c := b.newConf("socket")
	c.dhcp4["control-sockets"] = []any{object{"socket-type": "unix", "socket-name": filepath.Join(b.dir, "second.sock")}}
	delete(c.dataplane, "metrics-address")
	if err := os.WriteFile(second, c.text(t), 0o600); err != nil {
		t.Fatal(err)
	}
	call(t, "", b.bin, "serve", "-c", second).expect(t, "second server on the lease directory", 1, `(?s)FATAL.*DHCP4_INIT_FAIL.*`+regexp.QuoteMeta(b.lease)+`.*(in use|running|locked)`, "")

	ctl("", "shutdown", `{"exit-value": 7}`).expect(t, "shutdown", 0, `Shutting down`, "")
	if code := b.p.wait(); code != 7 {
		t.Errorf("after shutdown with exit-value 7 the status is %d", code)
	}
	for _, from := range [][]string{{"-d", b.lease}, {"-c", b.config}} {
		r := call(t, "", append([]string{b.bin, "lease", "list"}, from...)...)
		r.expect(t, "lease list", 0, `(?m)^`+regexp.QuoteMeta(addr)+` +`+macText(netiotest.ClientMAC(1))+` +1 +assigned `, "")
	}
	ctl("", "status-get").expect(t, "status-get of a stopped server", 1, "", `Is the server running`)
}

// TestWhatIsTaken: a server does not take away what another program has.
func TestWhatIsTaken(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.startWith(b.newConf("auto"))
	w := b.newWire()
	mac := netiotest.ClientMAC(1)
	addr := w.lease(mac).View.YIAddr()
	dir := b.dir
	try := func(what, socket, metrics, want string) {
		t.Helper()
		c := b.newConf("auto")
		c.dhcp4["control-sockets"] = []any{object{"socket-type": "unix", "socket-name": socket}}
		c.dataplane["metrics-address"] = metrics
		c.dataplane["lease-directory"] = filepath.Join(dir, "other-leases")
		c.requireSockets()
		path := filepath.Join(dir, "other.json")
		if err := os.WriteFile(path, c.text(t), 0o600); err != nil {
			t.Fatal(err)
		}
		p := spawn(t, b.srv, filepath.Join(tempDir(t), "log"), b.bin, "serve", "-c", path)
		if code := p.wait(); code != 1 || !regexp.MustCompile(want).MatchString(p.text()) {
			t.Errorf("%s: status %d, want 1 and %q\n%s", what, code, want, p.text())
		}
	}
	free := filepath.Join(dir, "free.sock")
	try("control socket in use", b.socket, "127.0.0.1:9999", `FATAL.*ctl\.sock.*(in use|another)`)
	try("metrics address in use", free, metricsAt, `FATAL.*9547.*in use`)
	try("port 67 in use", free, "127.0.0.1:9999", `FATAL.*(67.*in use|in use.*67)`)
	// The first server does not mind.
	w.ask("beside failed servers", netiotest.Renew(mac, addr, serverIP))
	b.command("status-get", nil, nil)
	b.p.kill()

	// What a killed server left in the file system is in nobody's way.
	if _, err := os.Stat(b.socket); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.command("status-get", nil, nil)
	b.p.terminate()
	if _, err := os.Stat(b.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the control socket of an ended server: %v", err)
	}
	// Something that is no socket is left alone.
	if err := os.WriteFile(b.socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.startNoWait()
	if code := b.p.wait(); code != 1 {
		t.Errorf("a file in place of the control socket: status %d", code)
	}
	if text, err := os.ReadFile(b.socket); err != nil || string(text) != "precious" {
		t.Errorf("the file in place of the control socket: %q, %v", text, err)
	}
}

// requireSockets has the server give up where it cannot serve every interface.
func (c *conf) requireSockets() {
	c.dhcp4["interfaces-config"] = object{"interfaces": []any{serverIf}, "service-sockets-require-all": true}
}

// TestOtherDHCPServer: UDP port 67 held by a program that is not ours. The server
// says so, and runs without the interface unless that or a mode is required.
func TestOtherDHCPServer(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	fd := -1
	err := b.srv.In(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
			err = unix.Bind(fd, &unix.SockaddrInet4{Port: 67})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, m := range modes {
		attached := func() bool {
			l := b.srv.Link(t, serverIf).Attrs()
			return l.Xdp != nil && l.Xdp.Attached
		}
		c := b.newConf(m.configured)
		if m.configured == "socket" { // the others are required in themselves
			b.startWith(c)
			if s := b.socketStatus(); b.logs(`DHCP4_OPEN_SOCKET_FAIL.*67.*in use`) == 0 || s.Status != "failed" {
				t.Errorf("mode %s: sockets %+v\n%s", m.configured, s, b.p.text())
			}
			b.p.terminate()
			c.requireSockets()
		}
		b.write(c)
		b.startNoWait()
		if code := b.p.wait(); code != 1 || b.logs(`FATAL.*67.*in use`) == 0 {
			t.Errorf("mode %s: status %d\n%s", m.configured, code, b.p.text())
		}
		if err := os.Remove(b.logFile); err != nil {
			t.Fatal(err)
		}
		if attached() {
			t.Errorf("mode %s: a server that did not start leaves its XDP program", m.configured)
		}
	}
}

// TestHTTPControl: the control channel by HTTP, open and with a password.
func TestHTTPControl(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.newConf("auto")
	c.dhcp4["control-sockets"] = []any{
		object{"socket-type": "unix", "socket-name": b.socket},
		object{"socket-type": "http", "socket-address": "127.0.0.1", "socket-port": 8000},
		object{"socket-type": "http", "socket-address": "127.0.0.1", "socket-port": 8001, "authentication": object{
			"type": "basic", "realm": "lab", "clients": []any{object{"user": "admin", "password": "secret"}}}},
	}
	b.write(c)
	b.start("-X") // Kea's policy wants a password on every HTTP socket
	post := func(port, user, password, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, "http://"+net.JoinHostPort("127.0.0.1", port)+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		status, text, err := b.get(req)
		if err != nil {
			t.Fatal(err)
		}
		return status, text
	}
	const ask = `{ "command": "version-get" }`
	for _, x := range []struct {
		port, user, password, body string
		status                     int
		want                       string
	}{
		{"8000", "", "", ask, 200, `^\[.*"result": ?0`},
		{"8001", "", "", ask, 401, `401`},
		{"8001", "admin", "wrong", ask, 401, `401`},
		{"8001", "admin", "", ask, 401, `401`},
		{"8001", "root", "secret", ask, 401, `401`},
		{"8001", "admin", "secret", ask, 200, `^\[.*"result": ?0`},
		{"8001", "admin", "secret", `{ "command": `, 400, `400`},
		{"8001", "admin", "secret", `{ "command": "nothing" }`, 200, `"result": ?2`},
	} {
		status, text := post(x.port, x.user, x.password, x.body)
		if status != x.status || !regexp.MustCompile(x.want).MatchString(text) {
			t.Errorf("port %s user %q password %q %s: %d %s; want %d %q", x.port, x.user, x.password, x.body, status, text, x.status, x.want)
		}
	}
	if strings.Contains(b.p.text(), "secret") {
		t.Error("the log shows the password")
	}
	// The command line by HTTP.
	run := func(password string) result {
		log := filepath.Join(tempDir(t), "ctl")
		p := spawn(t, b.srv, log, "/usr/bin/env", "PEREGRINE_PASSWORD="+password, b.bin, "ctl", "-s", "http://127.0.0.1:8001/", "-u", "admin", "version-get")
		code := p.wait()
		return result{status: code, stdout: p.text()}
	}
	run("secret").expect(t, "ctl by HTTP", 0, `"result": 0`, "")
	run("wrong").expect(t, "ctl by HTTP with a wrong password", 1, `401`, "")
}
