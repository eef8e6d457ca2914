package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// agentPort is where the tests' kea-ctrl-agent listens, in the server's namespace.
const agentPort = 8000

// agentAnswer is one daemon's answer through the agent.
type agentAnswer struct {
	Result    int
	Text      string
	Arguments json.RawMessage
}

// startAgent starts Debian's kea-ctrl-agent in front of the server's sockets.
func (b *bed) startAgent(sockets object) *process {
	b.t.Helper()
	agent := lookProgram(b.t, "kea-ctrl-agent", "kea-ctrl-agent")
	text, err := json.Marshal(object{"Control-agent": object{
		"http-host": "127.0.0.1", "http-port": agentPort, "control-sockets": sockets,
		"loggers": []any{object{"name": "kea-ctrl-agent", "output_options": []any{object{"output": "stdout"}}, "severity": "INFO"}},
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	config := b.file("agent.json", string(text), 0o600)
	p := spawn(b.t, b.srv, filepath.Join(b.dir, "agent.log"), "/usr/bin/env", "KEA_PIDFILE_DIR="+b.dir, "KEA_LOCKFILE_DIR="+b.dir, agent, "-c", config)
	seen := 0
	p.waitFor(&seen, `CTRL_AGENT_STARTED|CTRL_AGENT_HTTP_SERVICE_STARTED`)
	return p
}

// throughAgent sends a request to the agent and returns its answers.
func (b *bed) throughAgent(request string) (status int, answers []agentAnswer, body string) {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/", agentPort), strings.NewReader(request))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	until(b.t, "the agent to listen", func() bool {
		req.Body = io.NopCloser(strings.NewReader(request))
		status, body, err = b.get(req)
		return err == nil
	})
	_ = json.Unmarshal([]byte(body), &answers) // an error of HTTP is no list
	return status, answers, body
}

// TestControlAgent: requests with "service" come through Debian's kea-ctrl-agent
// and kea-shell as they do to Kea's own daemons, for both families of one
// process.
func TestControlAgent(t *testing.T) {
	t.Parallel()
	lookProgram(t, "kea-ctrl-agent", "kea-ctrl-agent")
	shell := lookProgram(t, "kea-shell", "kea-ctrl-agent")
	b := newBed6(t)
	c := b.newConf6("socket")
	c.dhcp6["hooks-libraries"] = hookLibraries("lease_cmds", "subnet_cmds")
	four := b.newConf("socket")
	four.dhcp4["hooks-libraries"] = hookLibraries("lease_cmds", "subnet_cmds", "stat_cmds")
	socket4 := filepath.Join(b.dir, "four.sock")
	four.dhcp4["control-sockets"] = []any{object{"socket-type": "unix", "socket-name": socket4}}
	c.dhcp4 = four.dhcp4
	b.start6(c)
	b.startAgent(object{
		"dhcp4": object{"socket-type": "unix", "socket-name": socket4},
		"dhcp6": object{"socket-type": "unix", "socket-name": b.socket},
	})

	for _, tc := range []struct {
		request string
		status  int
		results []int  // of each daemon
		body    string // a regular expression
	}{
		{`{"command":"list-commands","service":["dhcp4"]}`, 200, []int{0}, `"lease4-get-page"`},
		{`{"command":"list-commands","service":["dhcp6"]}`, 200, []int{0}, `"lease6-get-page"`},
		{`{"command":"list-commands","service":["dhcp4","dhcp6"]}`, 200, []int{0, 0}, `(?s)lease4-add.*lease6-add`},
		{`{"command":"config-get","service":["dhcp4"]}`, 200, []int{0}, `"subnet": "10\.77\.0\.0/16"`},
		{`{"command":"config-get","service":["dhcp6"]}`, 200, []int{0}, `"subnet": "2001:db8:77::/64"`},
		{`{"command":"version-get","service":["dhcp4"]}`, 200, []int{0}, `"text": "3\.\d+\.\d+"`},
		{`{"command":"status-get","service":["dhcp4","dhcp6"]}`, 200, []int{0, 0}, `"pid": \d+`},
		{`{"command":"statistic-get-all","service":["dhcp4"]}`, 200, []int{0}, `pkt4-received`},
		{`{"command":"subnet4-list","service":["dhcp4"]}`, 200, []int{0}, `"shared-network-name": null`},
		{`{"command":"stat-lease4-get","service":["dhcp4"]}`, 200, []int{0}, `result-set`},
		{`{"command":"lease4-add","service":["dhcp4"],"arguments":{"ip-address":"10.77.200.1","hw-address":"02:cc:00:00:00:01"}}`, 200, []int{0}, `Lease for address 10\.77\.200\.1`},
		{`{"command":"lease4-add","service":["dhcp4"],"arguments":{"ip-address":"10.77.200.1","hw-address":"02:cc:00:00:00:01"}}`, 200, []int{4}, `already`},
		{`{"command":"lease4-get","service":["dhcp4"],"arguments":{"ip-address":"10.77.200.1"}}`, 200, []int{0}, `02:cc:00:00:00:01`},
		{`{"command":"lease4-get","service":["dhcp4"],"arguments":{"ip-address":"10.77.200.2"}}`, 200, []int{3}, `not found`},
		{`{"command":"lease4-get","service":["dhcp4"],"arguments":{"ip-address":7}}`, 200, []int{1}, `ip-address`},
		{`{"command":"lease4-get","service":["dhcp4"],"arguments":"nonsense"}`, 200, []int{1}, `"text"`},
		{`{"command":"no-such-command","service":["dhcp4","dhcp6"]}`, 200, []int{2, 2}, `'no-such-command' command not supported`},
		{`{"command":"list-commands","service":["d2"]}`, 200, []int{1}, `d2`}, // the agent's own words: it has no such socket
		{`{"command":`, 400, nil, `Bad Request`},
		{`nonsense`, 400, nil, `Bad Request`},
		{`[]`, 200, []int{1}, `expected map`}, // the agent's own words too
	} {
		status, answers, body := b.throughAgent(tc.request)
		var results []int
		for _, a := range answers {
			results = append(results, a.Result)
		}
		if status != tc.status || fmt.Sprint(results) != fmt.Sprint(tc.results) || !regexp.MustCompile(tc.body).MatchString(body) {
			t.Errorf("%s: status %d, results %v, want %d, %v, %s\n%.1000s", tc.request, status, results, tc.status, tc.results, tc.body, body)
		}
	}

	// kea-shell takes the arguments as the inside of a map.
	for _, tc := range []struct {
		service, command, args, want string
		result                       int
	}{
		{"dhcp4", "list-commands", "", `"lease4-wipe"`, 0},
		{"dhcp6", "config-get", "", `2001:db8:77::/64`, 0},
		{"dhcp4", "lease4-get", `"ip-address": "10.77.200.1"`, `02:cc:00:00:00:01`, 0},
		{"dhcp4", "lease4-get", `"ip-address": "10.77.200.2"`, `not found`, 3},
		{"dhcp6", "lease6-get", `"ip-address": "2001:db8:77::9", "type": "IA_NA"`, `not found`, 3},
		{"dhcp4", "no-such-command", "", `not supported`, 2},
	} {
		r := b.shell(shell, tc.args, "--port", fmt.Sprint(agentPort), "--service", tc.service, tc.command)
		var answers []agentAnswer
		if err := json.Unmarshal([]byte(r.stdout), &answers); err != nil || len(answers) != 1 || answers[0].Result != tc.result || !strings.Contains(r.stdout, tc.want) {
			t.Errorf("kea-shell %s %s: %v; want result %d and %s\n%.1000s%s", tc.service, tc.command, err, tc.result, tc.want, r.stdout, r.stderr)
		}
	}
	b.p.terminate()
}

// shell runs kea-shell in the server's namespace.
func (b *bed) shell(shell, stdin string, args ...string) (r result) {
	b.t.Helper()
	cmd := exec.Command(shell, append([]string{"--host", "127.0.0.1", "--timeout", "90"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out, errs strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := b.srv.In(cmd.Run); err != nil {
		b.t.Logf("kea-shell %v: %v", args, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// TestKeaShellWithoutAgent: kea-shell and Peregrine's own HTTP socket.
func TestKeaShellWithoutAgent(t *testing.T) {
	t.Parallel()
	shell := lookProgram(t, "kea-shell", "kea-ctrl-agent")
	b := newBed(t)
	c := b.newConf("socket")
	c.dhcp4["control-sockets"] = []any{
		object{"socket-type": "unix", "socket-name": b.socket},
		object{"socket-type": "http", "socket-address": "127.0.0.1", "socket-port": 8004, "authentication": object{
			"type": "basic", "clients": []any{object{"user": "admin", "password": "a long one"}}}},
	}
	b.startWith(c)
	for _, tc := range []struct {
		password string
		args     []string
		want     string
	}{
		{"a long one", []string{"list-commands"}, `"lease4-get-all"`},
		{"a long one", []string{"--service", "dhcp4", "config-hash-get"}, `"hash"`},
		{"wrong", []string{"config-get"}, `Unauthorized`},
	} {
		r := b.shell(shell, "", append([]string{"--port", "8004", "--auth-user", "admin", "--auth-password", tc.password}, tc.args...)...)
		if !strings.Contains(r.stdout+r.stderr, tc.want) {
			t.Errorf("kea-shell %v: %s%s; want %s", tc.args, r.stdout, r.stderr, tc.want)
		}
	}
	if strings.Contains(b.p.text(), "a long one") {
		t.Error("the log shows the password")
	}
	b.p.terminate()
}

// TestStorkFindsTheServer: what Stork's agent looks at when it lists processes.
func TestStorkFindsTheServer(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.write(b.newConf("socket"))
	kea := program(t, "kea-dhcp4")
	b.p = spawn(t, b.srv, b.logFile, kea, "-c", b.config)
	seen := 0
	b.p.waitFor(&seen, `DHCP4_STARTED`)
	proc := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", b.p.pid(), name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if comm := proc("comm"); comm != "kea-dhcp4\n" {
		t.Errorf("the process is named %q", comm)
	}
	if args := strings.Split(proc("cmdline"), "\x00"); len(args) < 3 || args[0] != kea || args[1] != "-c" || args[2] != b.config {
		t.Errorf("the process has arguments %q", args)
	}
	// Three numbers at the beginning of a line of their own, from 3.0.0 on.
	call(t, "", kea, "-v").expect(t, "kea-dhcp4 -v", 0, `^[3-9]\.\d+\.\d+\n$`, "")
	for _, child := range strings.Fields(proc(fmt.Sprintf("task/%d/children", b.p.pid()))) {
		t.Errorf("it has a child, process %s", child)
	}
	// Its dashboards without it.
	req, err := http.NewRequest(http.MethodGet, "http://"+metricsAt+"/metrics/stork", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, text, err := b.get(req); err != nil || status != http.StatusOK || !strings.Contains(text, `kea_dhcp4_addresses_total{prefix="10.77.0.0/16",shared_network="",subnet="10.77.0.0/16",subnet_id="1"} 4096`) {
		t.Errorf("/metrics/stork: %d %v\n%.2000s", status, err, text)
	}
	b.p.terminate()
}
