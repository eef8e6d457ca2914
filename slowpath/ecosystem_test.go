package slowpath

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

// What tools around Kea send, as they send it, and what they read out of the
// answers: testdata/ecosystem/*.txt. A block is a step of TestCommandConversations
// whose answer does not matter (config, config6, lease, lease6 and commands), or
//
//	CLIENT REQUEST
//	----
//	PATH TYPE
//	PATH = JSON
//	PATH absent
//
// A path's parts are divided by slashes; a number is an index of a list. Types
// are int, string, bool, map, list, time (Kea's of a sample), hash, and any.
// docs/stork.md says which client is which program.
func TestEcosystem(t *testing.T) {
	files, err := filepath.Glob("testdata/ecosystem/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			e := &ecosystem{conversation: conversation{t: t, dir: t.TempDir()}}
			for block := range strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n\n") {
				e.block(block)
			}
			if e.b == nil {
				t.Fatal("nothing was started")
			}
			e.b.close()
			if e.asked == 0 {
				t.Error("nothing was asked")
			}
		})
	}
}

type ecosystem struct {
	conversation
	unix, http string
	asked      int
}

const (
	storkUser     = "stork-agent"
	storkPassword = "correct horse"
)

// ways are how the clients talk: several ways are tried one after the other.
var ways = map[string][]func(*ecosystem, string) []byte{
	"stork":      {(*ecosystem).bare, (*ecosystem).post}, // agent and server
	"stork-unix": {(*ecosystem).bare},                    // what changes something, once
	"stork-http": {(*ecosystem).post},
	"exporter":   {(*ecosystem).bare}, // kea-exporter by unix socket
	"netbox":     {(*ecosystem).post}, // netbox-kea and netbox-kea-ng
	"opnsense":   {(*ecosystem).newline},
	"vyos":       {(*ecosystem).shortRead},
	"puppet":     {(*ecosystem).halfClose},
}

func (e *ecosystem) block(text string) {
	e.t.Helper()
	said, want, _ := strings.Cut(text, "\n----\n")
	var lines []string
	for line := range strings.SplitSeq(said, "\n") {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return
	}
	said = strings.Join(lines, "\n")
	verb, rest, _ := strings.Cut(said, " ")
	switch verb {
	case "config", "config6":
		e.startServer(verb, rest)
		return
	}
	how, ok := ways[verb]
	if !ok {
		e.say(said)
		return
	}
	for i, way := range how {
		answer := way(e, rest)
		var v map[string]any
		d := json.NewDecoder(bytes.NewReader(answer))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			e.t.Fatalf("%s (way %d): %v in %.300q", said, i, err, answer)
		}
		for line := range strings.SplitSeq(want, "\n") {
			if why := expectation(v, line); why != "" {
				e.t.Errorf("%s (way %d): %s: %s\nin %.2000s", said, i, line, why, answer)
			}
		}
	}
	e.asked++
}

// startServer starts the server with a unix and an HTTP socket.
func (e *ecosystem) startServer(verb, rest string) {
	libraries, more, _ := strings.Cut(rest, "\n")
	port := freePort(e.t)
	e.unix = filepath.Join(e.dir, "stork.sock")
	e.http = fmt.Sprintf("http://127.0.0.1:%d/", port)
	sockets := fmt.Sprintf(`"control-sockets": [ { "socket-type": "unix", "socket-name": %q }, { "socket-type": "http", "socket-address": "127.0.0.1", "socket-port": %d,
		"authentication": { "type": "basic", "clients": [ { "user": %q, "password": %q } ] } } ],`, e.unix, port, storkUser, storkPassword)
	extra := librariesKey(strings.Fields(libraries)...) + more
	if verb == "config6" {
		e.text = testConfig6(e.dir, "", extra+sockets, true)
	} else {
		e.text = testConfig(e.dir, extra, "")
		from := strings.Index(e.text, `"control-sockets"`)
		to := from + strings.Index(e.text[from:], "\n")
		e.text = e.text[:from] + sockets + e.text[to:]
	}
	o := hookOptions()
	o.Version, o.Extended = "3.3.1", "3.3.1 (Peregrine)" // cmd/peregrine gives the real ones
	o.ConfigFile = filepath.Join(e.dir, "kea.conf")
	o.Load = func(string) (*config.Snapshot, error) { return parse(e.t, e.text), nil }
	e.b = newBed(e.t, e.text, o)
}

// dial connects to the unix socket and sends.
func (e *ecosystem) dial(request string) *net.UnixConn {
	e.t.Helper()
	c, err := net.Dial("unix", e.unix)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		e.t.Fatal(err)
	}
	if _, err := c.Write([]byte(request)); err != nil {
		e.t.Fatal(err)
	}
	return c.(*net.UnixConn)
}

func (e *ecosystem) readAll(c *net.UnixConn) []byte {
	e.t.Helper()
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		e.t.Fatal(err)
	}
	return b
}

// bare neither ends the line nor its side of the connection.
func (e *ecosystem) bare(request string) []byte { return e.readAll(e.dial(request)) }

func (e *ecosystem) newline(request string) []byte { return e.readAll(e.dial(request + "\n")) }

func (e *ecosystem) halfClose(request string) []byte {
	c := e.dial(request)
	if err := c.CloseWrite(); err != nil {
		e.t.Fatal(err)
	}
	return e.readAll(c)
}

// shortRead takes the first read of less than 4096 octets for the end.
func (e *ecosystem) shortRead(request string) (all []byte) {
	c := e.dial(request)
	defer c.Close()
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil && err != io.EOF {
			e.t.Fatal(err)
		}
		if all = append(all, buf[:n]...); n < len(buf) {
			return all
		}
	}
}

// post sends by HTTP; the answer is a list of one.
func (e *ecosystem) post(request string) []byte {
	e.t.Helper()
	req, err := http.NewRequest(http.MethodPost, e.http, strings.NewReader(request))
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(storkUser, storkPassword)
	cl := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	resp, err := cl.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	var list []json.RawMessage
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &list) != nil || len(list) != 1 {
		e.t.Fatalf("%s by HTTP: status %d: %v: %.300q; want a list of one", request, resp.StatusCode, err, body)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
		e.t.Errorf("%s by HTTP: Content-Type %q", request, ct)
	}
	return list[0]
}

var (
	keaTime    = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$`)
	sha256Text = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)
)

// expectation says in which way v is not what a line says, "" if it is.
func expectation(v any, line string) string {
	path, want, _ := strings.Cut(line, " ")
	for part := range strings.SplitSeq(path, "/") {
		switch x := v.(type) {
		case map[string]any:
			item, ok := x[part]
			if !ok {
				if want == "absent" {
					return ""
				}
				return "there is no " + part
			}
			v = item
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(x) {
				return fmt.Sprintf("there is no item %s of %d", part, len(x))
			}
			v = x[i]
		default:
			return fmt.Sprintf("%v has no %s", v, part)
		}
	}
	is := false
	switch x := v.(type) {
	case json.Number:
		is = want == "int" && !strings.ContainsAny(x.String(), ".eE")
	case string:
		is = want == "string" || want == "time" && keaTime.MatchString(x) || want == "hash" && sha256Text.MatchString(x)
	case bool:
		is = want == "bool"
	case map[string]any:
		is = want == "map"
	case []any:
		is = want == "list"
	}
	if is || want == "any" {
		return ""
	}
	got, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if text, ok := strings.CutPrefix(want, "= "); ok && text == string(got) {
		return ""
	}
	return "it is " + string(got)
}

// Expectations that do not hold are found out.
func TestExpectation(t *testing.T) {
	v := map[string]any{"a": []any{json.Number("18446744073709551616"), "2026-01-02 03:04:05.678901"}, "b": map[string]any{"x": true}}
	for _, line := range []string{"a/0 int", "a/0 = 18446744073709551616", "a/1 time", "a/1 string", "a list", "b map", "b/x bool", "b/y absent", "b any"} {
		if why := expectation(v, line); why != "" {
			t.Errorf("%s: %s", line, why)
		}
	}
	for _, line := range []string{"a/0 string", "a/0 = 1", "a/1 int", "a/2 any", "a map", "b list", "b/x absent", "b/y any", "b/x/z any", "c int", "a/1 hash", "b/x nonsense"} {
		if expectation(v, line) == "" {
			t.Errorf("%s: holds", line)
		}
	}
}

// Nobody learns a password by asking, by an error or from a log (CC-013).
func TestSecretsStaySecret(t *testing.T) {
	const secret = "s3cr3t-Aa+/="
	var log bytes.Buffer
	o := hookOptions()
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	text := strings.Replace(testConfig(t.TempDir(), librariesKey("lease_cmds"), ""), `"control-sockets": [`, fmt.Sprintf(
		`"control-sockets": [ { "socket-type": "http", "socket-address": "127.0.0.1", "socket-port": %d,
		"authentication": { "type": "basic", "clients": [ { "user": "admin", "password": %q } ] } }, `, freePort(t), secret), 1)
	b := newBed(t, text, o)
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	dhcp4 := string(m["Dhcp4"])
	var answers []string
	for _, c := range []string{
		`{"command":"config-set","arguments":{"Dhcp4":` + dhcp4 + `}}`,
		`{"command":"config-test","arguments":{"Dhcp4":` + strings.Replace(dhcp4, `"admin"`, `"admin", "password": "x"`, 1) + `}}`, // twice
		`{"command":"config-set","arguments":{"Dhcp4":` + strings.Replace(dhcp4, `"basic"`, `"digest"`, 1) + `}}`,
		`{"command":"config-set","arguments":{"Dhcp4":` + strings.Replace(dhcp4, `"password": "`+secret, `"password": [ "`+secret+`" ], "x": "`, 1) + `}}`,
		`{"command":"config-set","arguments":{"Dhcp4":` + strings.Replace(dhcp4, `"user": "admin"`, `"user": "ad:min"`, 1) + `}}`,
		`{"command":"lease4-add","arguments":{"password":"` + secret + `"}}`,
		`{"command":"config-set","arguments":{"Dhcp4":{"password":"` + secret + `"}}}`,
		`{"command":"status-get"}`, `{"command":"build-report"}`, `{"command":"config-hash-get"}`,
	} {
		r, err := json.Marshal(b.command(c))
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, string(r))
	}
	for _, a := range answers {
		if strings.Contains(a, secret) {
			t.Errorf("an answer shows the password: %s", a)
		}
	}
	// config-get hides it, and config-set takes it back hidden.
	var got map[string]json.RawMessage
	b.arguments(`{"command":"config-get"}`, &got)
	if part := string(got["Dhcp4"]); strings.Contains(part, secret) || !strings.Contains(part, `"password":"*****"`) {
		t.Errorf("config-get shows %s", part)
	}
	given := string(got["Dhcp4"])
	for what, part := range map[string]string{"as it was": given,
		"with another port": regexp.MustCompile(`"socket-port":\d+`).ReplaceAllString(given, fmt.Sprintf(`"socket-port":%d`, freePort(t)))} {
		if r := b.command(`{"command":"config-set","arguments":{"Dhcp4":` + part + `}}`); r.Result != 0 {
			t.Errorf("config-get's answer is refused, %s: %+v", what, r)
		}
		if !strings.Contains(string(b.s.Snapshot().Get), `"password":"`+secret+`"`) {
			t.Errorf("the password was lost, %s: %s", what, b.s.Snapshot().Get)
		}
	}
	if r := b.command(`{"command":"config-set","arguments":{"Dhcp4":` + strings.Replace(given, `"admin"`, `"eve"`, 1) + `}}`); r.Result != 1 {
		t.Errorf("another user gets the hidden password: %+v", r)
	}
	b.close()
	if !strings.Contains(log.String(), "COMMAND_RECEIVED") {
		t.Fatalf("nothing was logged: %s", log.String())
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("the log shows the password:\n%s", log.String())
	}
}
