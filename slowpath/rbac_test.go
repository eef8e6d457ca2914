package slowpath

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

// rbac stands between HTTP and the commands, and between nothing else.
func TestRBAC(t *testing.T) {
	text := strings.Replace(testConfig("", `"hooks-libraries": [ { "library": "libdhcp_rbac.so", "parameters": { "assign-role-method": "basic-authentication", "api-files": "/nonexistent",
		"roles": [ { "name": "reader", "accept-commands": "READ", "response-filters": [ "list-commands" ] }, { "name": "admin", "accept-commands": "ALL" } ] } } ],`, ""),
		`"control-sockets": [`, fmt.Sprintf(`"control-sockets": [ { "socket-type": "http", "socket-port": %d, "authentication": { "type": "basic", "clients": [
			{ "user": "reader", "password": "p1" }, { "user": "admin", "password": "p2" }, { "user": "other", "password": "p3" } ] } } `, freePort(t)), 1)
	b := newBed(t, text, hookOptions())
	defer b.close()
	addr := b.s.channels.Addr(socketConfigs(b.s.Snapshot().Dhcp4)[0])
	if addr == nil {
		t.Fatal("no control socket")
	}
	do := func(user, password, command string) *control.Answer {
		t.Helper()
		c := control.Client{Target: "http://" + addr.String(), User: user, Password: password}
		a, err := c.Do(context.Background(), command, nil)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, c := range []struct {
		user, password, command string
		result                  int
	}{
		{"reader", "p1", "status-get", 0}, {"reader", "p1", "dhcp-disable", 403}, {"reader", "p2", "status-get", 401},
		{"admin", "p2", "dhcp-disable", 0}, {"admin", "p2", "dhcp-enable", 0}, {"other", "p3", "status-get", 403},
	} {
		if a := do(c.user, c.password, c.command); a.Result != c.result {
			t.Errorf("%s, %s: %s", c.user, c.command, a.Raw)
		}
	}
	// Comments do not hide a command from rbac, and nothing else shows it another one than what is run.
	for body, want := range map[string]string{
		"{ # hello\n\"command\": /* x */ \"status-get\" } // bye": `"result": 0`,
		`{"command": "status-get", "command": "dhcp-disable"}`:    "Forbidden",
		`{"command": "dhcp-disable", "Command": "status-get"}`:    "Forbidden",
		`{"c\u006fmmand": "dhcp-disable"}`:                        "Forbidden",
		`{"command": "dhcp-disable"} {"command": "status-get"}`:   "Forbidden",
		`{"command": ["status-get"]}`:                             "Forbidden",
	} {
		req, err := http.NewRequest("POST", "http://"+addr.String(), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.SetBasicAuth("reader", "p1")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %s %v, want %s", body, text, err, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if b.s.service.disabled.Load() {
		t.Error("the service is disabled")
	}
	// What rbac makes or changes is written as all other answers are.
	if raw := string(do("reader", "p1", "dhcp-disable").Raw); raw != `{ "result": 403, "text": "Forbidden" }` {
		t.Errorf("refused with %s", raw)
	}
	list := string(do("reader", "p1", "list-commands").Raw)
	if !strings.Contains(list, `", "`) || !strings.HasPrefix(list, `[ { "arguments": [ "`) && !strings.HasPrefix(list, `{ "arguments": [ "`) {
		t.Errorf("the reader is shown %s", list)
	}
	if strings.Contains(list, "config-set") || !strings.Contains(list, "config-get") {
		t.Errorf("the reader is shown %s", list)
	}
}

// freePort is a TCP port of the loopback address that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
