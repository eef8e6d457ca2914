package control

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// post sends one request and returns status, body and header.
func post(t testing.TB, method, url, ctype, body string, set func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if ctype != "" {
		req.Header.Set("Content-Type", ctype)
	}
	if set != nil {
		set(req)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

func TestHTTP(t *testing.T) {
	cfg := httpConfig()
	cfg.Headers = []Header{{"X-Extra", "yes"}}
	cfg.Services = []string{"dhcp4"}
	ch, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{MaxRequestBytes: 1000}, cfg)
	const js = "application/json"
	for _, tc := range []struct {
		name, method, ctype, body string
		status                    int
		want                      string
	}{
		{"command", "POST", js, `{"command":"echo","arguments":{"a":1}}`, 200, `[ { "arguments": { "a": 1 }, "result": 0 } ]`},
		{"newline and comment", "POST", js, "// x\n{\"command\":\"echo\"}\n", 200, `[ { "result": 0 } ]`},
		{"charset", "POST", "application/JSON; charset=utf-8", `{"command":"echo"}`, 200, `[ { "result": 0 } ]`},
		{"failed", "POST", js, `{"command":"fail"}`, 200, `[ { "result": 1, "text": "no luck" } ]`},
		{"unknown", "POST", js, `{"command":"x"}`, 200, `[ { "result": 2, "text": "'x' command not supported." } ]`},
		{"bad key", "POST", js, `{"command":"echo","x":1}`, 200, `[ { "result": 1, "text": "Error during command processing: invalid command: unsupported parameter 'x'" } ]`},
		{"answer that is no JSON", "POST", js, `{"command":"odd"}`, 200, `[ { "result": 1, "text": "internal server error: answer cannot be written as JSON: json: unsupported type: func()" } ]`},
		{"service", "POST", js, `{"command":"echo","service":["dhcp4"]}`, 200, `[ { "result": 0 } ]`},
		{"no service", "POST", js, `{"command":"echo","service":[]}`, 200, `[ { "result": 0 } ]`},
		{"other service", "POST", js, `{"command":"echo","service":["dhcp6"]}`, 200, `[ { "result": 1, "text": "unsupported service 'dhcp6', expected 'dhcp4'" } ]`},
		{"two services", "POST", js, `{"command":"echo","service":["dhcp4","dhcp6"]}`, 200, `[ { "result": 1, "text": "service value has more than one item" } ]`},
		{"service no list", "POST", js, `{"command":"echo","service":"dhcp4"}`, 200, `[ { "result": 1, "text": "service value must be a list" } ]`},
		{"get", "GET", js, ``, 400, `{ "result": 400, "text": "Bad Request" }`},
		{"put", "PUT", js, `{"command":"echo"}`, 400, `{ "result": 400, "text": "Bad Request" }`},
		{"form", "POST", "application/x-www-form-urlencoded", `{"command":"echo"}`, 400, `{ "result": 400, "text": "Bad Request" }`},
		{"no type", "POST", "", `{"command":"echo"}`, 400, `{ "result": 400, "text": "Bad Request" }`},
		{"empty", "POST", js, ``, 400, `{ "result": 400, "text": "Bad Request" }`},
		{"garbage", "POST", js, "\x00\x01", 400, `{ "result": 400, "text": "Bad Request" }`},
		{"incomplete", "POST", js, `{"command":`, 400, `{ "result": 400, "text": "Bad Request" }`},
		{"too deep", "POST", js, strings.Repeat("[", 900), 400, `{ "result": 400, "text": "Bad Request" }`},
		{"too large", "POST", js, `{"command":"` + strings.Repeat("x", 2000), 413, `{ "result": 413, "text": "Request Entity Too Large" }`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, body, header := post(t, tc.method, cl.Target+"/any/path", tc.ctype, tc.body, nil)
			if status != tc.status || body != tc.want {
				t.Errorf("%d %s, want %d %s", status, body, tc.status, tc.want)
			}
			if header.Get("X-Extra") != "yes" || header.Get("Content-Type") != js {
				t.Errorf("header %v", header)
			}
		})
	}
	eventually(t, "nothing held", func() bool { return ch.conns.pending.Load() == 0 })
	if s := ch.Stats(); s.TooLarge != 1 || s.BadRequests != 9 {
		t.Errorf("%+v", s)
	}
}

func TestHTTPClient(t *testing.T) {
	cfg := httpConfig()
	cfg.Users = []User{{"admin", "s:cret"}, {"stork", "other"}}
	cfg.Realm = `the "realm"`
	cfg.Headers = []Header{{"X-Extra", "yes"}}
	ch, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{}, cfg)
	for _, u := range []struct {
		name, password string
		ok             bool
	}{{"", "", false}, {"admin", "other", false}, {"admin", "", false}, {"admin", "S:cret", false}, {"nobody", "s:cret", false}, {"admin", "s:cret", true}, {"stork", "other", true}} {
		cl.User, cl.Password = u.name, u.password
		a := mustDo(t, cl, "who", "")
		if u.ok && (a.Result != 0 || !strings.HasPrefix(a.Text, "http:"+u.name+"@127.0.0.1:")) ||
			!u.ok && string(a.Raw) != `{ "result": 401, "text": "Unauthorized" }` {
			t.Errorf("%s/%s: %s", u.name, u.password, a.Raw)
		}
	}
	status, _, h := post(t, "POST", cl.Target, "application/json", `{"command":"echo"}`, nil)
	if status != 401 || h.Get("WWW-Authenticate") != `Basic realm="the \"realm\""` || h.Get("X-Extra") != "yes" {
		t.Errorf("%d %v", status, h)
	}
	// Without authentication nothing of the body is kept, and the answer arrives
	// although the body was sent.
	if status, _, _ = post(t, "POST", cl.Target, "application/json", strings.Repeat("[", 100_000), nil); status != 401 {
		t.Errorf("%d", status)
	}
	if s := ch.Stats(); s.AuthFailed != 7 || s.Commands != 2 || s.TooLarge != 0 {
		t.Errorf("%+v", s)
	}
}

func TestHTTPKeepsConnections(t *testing.T) {
	ch, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{}, httpConfig())
	tr := &http.Transport{MaxIdleConns: 1}
	defer tr.CloseIdleConnections()
	for range 5 {
		resp, err := (&http.Client{Transport: tr}).Post(cl.Target, "application/json", strings.NewReader(`{"command":"echo"}`))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if s := ch.Stats(); s.Connections != 1 || s.Commands != 5 {
		t.Errorf("%+v", s)
	}
}

// A request with two ideas of its length is the last of its connection (RFC 9112
// §6.1): what follows may be what somebody wanted a proxy not to see.
func TestHTTPAmbiguousLength(t *testing.T) {
	ch, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{}, httpConfig())
	for name, head := range map[string]string{
		"both":       "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
		"both, late": "Transfer-Encoding: chunked\r\nContent-Length: 300\r\n",
		"two":        "Content-Length: 18\r\nContent-Length: 40\r\n",
	} {
		before := ch.Stats().Commands
		c, err := net.Dial("tcp", strings.TrimPrefix(cl.Target, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(time.Minute))
		request := "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		body := `{"command":"echo"}`
		fmt.Fprintf(c, "%s%s\r\n%x\r\n%s\r\n0\r\n\r\n", request, head, len(body), body)
		fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", request, len(body), body)
		b, _ := io.ReadAll(c)
		if n := strings.Count(string(b), "HTTP/1.1"); n != 1 || ch.Stats().Commands > before+1 {
			t.Errorf("%s: %d answers: %s", name, n, b)
		}
		c.Close()
	}
}

func TestHTTPSlowAndManyClients(t *testing.T) {
	ch, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{MaxConnections: 8, ReceiveTimeout: 500 * time.Millisecond}, httpConfig())
	addr := strings.TrimPrefix(cl.Target, "http://")
	dial := func(text string) net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte(text))
		c.SetReadDeadline(time.Now().Add(time.Minute))
		return c
	}
	// The header and the body have to come in time.
	for _, text := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
	} {
		c := dial(text)
		if b, err := io.ReadAll(c); err != nil || strings.Contains(string(b), "200 OK") {
			t.Errorf("%v %s", err, b)
		}
		c.Close()
	}
	var idle []net.Conn
	for range 500 {
		idle = append(idle, dial("POST / HTTP/1.1\r\n"))
	}
	for range 10 {
		eventually(t, "a command beside idle clients", func() bool { // a slow machine may be late
			a, err := cl.Do(context.Background(), "echo", nil)
			return err == nil && a.Result == 0
		})
	}
	for _, c := range idle {
		c.Close()
	}
	if s := ch.Stats(); s.Evicted == 0 || s.Open > 8 {
		t.Errorf("%+v", s)
	}
	// A header that is too long.
	c := dial("POST / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10))
	if b, _ := io.ReadAll(c); len(b) > 0 && !bytes.Contains(b, []byte("431")) {
		t.Errorf("%s", b)
	}
	c.Close()
	eventually(t, "closed", func() bool { return ch.Stats().Open == 0 })
}

func TestHTTPHooks(t *testing.T) {
	r := newRegistry(t, RegistryOptions{})
	cfg := httpConfig()
	cfg.Users = []User{{"a", "b"}}
	_, cl := serve(t, r, Options{}, cfg)
	cl.User, cl.Password = "a", "b"
	var saw string
	mode := ""
	if err := r.SetHooks(Hooks{
		HTTPAuth: func(x *HTTPExchange) bool {
			saw = fmt.Sprintf("%s %s %s", x.User, x.Header.Get("Content-Type"), x.Request)
			if mode == "custom" {
				x.Status, x.Body = 401, []byte(`{ "result": 401, "text": "who?" }`)
			}
			return mode == ""
		},
		HTTPResponse: func(x *HTTPExchange) { x.Body = bytes.Replace(x.Body, []byte("luck"), []byte("way"), 1) },
	}); err != nil {
		t.Fatal(err)
	}
	if a := mustDo(t, cl, "fail", ""); a.Text != "no way" || saw != `a application/json {"command":"fail"}` {
		t.Errorf("%s, saw %s", a.Raw, saw)
	}
	for m, want := range map[string]string{"plain": `{ "result": 403, "text": "Forbidden" }`, "custom": `{ "result": 401, "text": "who?" }`} {
		mode = m
		if a := mustDo(t, cl, "fail", ""); string(a.Raw) != want {
			t.Errorf("%s: %s", m, a.Raw)
		}
	}
}

// Users and headers change without closing the socket.
func TestHTTPUpdate(t *testing.T) {
	cfg := httpConfig()
	cfg.Users = []User{{"a", "old"}}
	ch, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{}, cfg)
	cl.User, cl.Password = "a", "new"
	if a := mustDo(t, cl, "echo", ""); a.Result != 401 {
		t.Fatalf("%s", a.Raw)
	}
	before := ch.Addr(cfg)
	cfg.Users = []User{{"a", "new"}}
	if err := ch.Apply([]SocketConfig{cfg}); err != nil {
		t.Fatal(err)
	}
	if a := mustDo(t, cl, "echo", ""); a.Result != 0 || ch.Addr(cfg).String() != before.String() {
		t.Errorf("%s, %v became %v", a.Raw, before, ch.Addr(cfg))
	}
}

// A client that gives up does not end its command, and a command that takes
// longer than the time for sending it is answered.
func TestHTTPLongCommand(t *testing.T) {
	r := NewRegistry(RegistryOptions{})
	release, started := make(chan struct{}), make(chan struct{}, 2)
	finished := make(chan error, 2)
	r.Register(Command{"wait", true, func(ctx context.Context, _ *Call) Response {
		started <- struct{}{}
		<-release
		finished <- ctx.Err()
		return Response{Text: "late"}
	}})
	const receive = time.Second // long enough for the request on a busy machine
	_, cl := serve(t, r, Options{ReceiveTimeout: receive, SendTimeout: time.Minute}, httpConfig())
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := cl.Do(ctx, "wait", nil); err == nil {
			t.Error("no error")
		}
	})
	<-started
	cancel()
	wg.Wait()
	release <- struct{}{}
	if err := <-finished; err != nil {
		t.Errorf("the command's context ended: %v", err)
	}
	wg.Go(func() {
		a, err := cl.Do(context.Background(), "wait", nil)
		if err != nil || a.Text != "late" {
			t.Errorf("%+v %v", a, err)
		}
	})
	<-started
	time.Sleep(receive + receive/5) // past the time for receiving: that is the case
	close(release)
	wg.Wait()
}
