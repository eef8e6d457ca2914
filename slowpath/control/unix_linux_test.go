package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// talk writes the parts, half-closes if asked, and returns all that comes back.
func talk(t testing.TB, path string, halfClose bool, parts ...string) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	for _, p := range parts {
		if _, err := c.Write([]byte(p)); err != nil {
			break // refused early: the answer says why
		}
	}
	if halfClose {
		c.(*net.UnixConn).CloseWrite()
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("read answer: %v after %q", err, b)
	}
	return string(b)
}

func TestUnix(t *testing.T) {
	cfg := unixConfig(t)
	ch, _ := serve(t, newRegistry(t, RegistryOptions{}), Options{MaxRequestBytes: 1000}, cfg)
	for _, tc := range []struct {
		name  string
		half  bool
		parts []string
		want  string
	}{
		{"as Stork: no newline, no half-close", false, []string{`{"command":"echo","service":["dhcp4"],"arguments":{"a":"}"}}`}, `{ "arguments": { "a": "}" }, "result": 0 }`},
		{"as OPNsense: newline", false, []string{"{\"command\":\"echo\"}\n"}, `{ "result": 0 }`},
		{"newline by itself", false, []string{"{\"command\":\"echo\"}", "\n\n"}, `{ "result": 0 }`},
		{"as puppet: half-close", true, []string{`{"command":"fail"}`}, `{ "result": 1, "text": "no luck" }`},
		{"in pieces", false, []string{"  ", "// hello\n", `{"com`, `mand":"ec`, `ho"`, "}"}, `{ "result": 0 }`},
		{"only one command", false, []string{`{"command":"echo"}{"command":"fail"}`}, `{ "result": 0 }`},
		{"service is ignored", false, []string{`{"command":"echo","service":"what"}`}, `{ "result": 0 }`},
		{"unknown", false, []string{`{"command":"nosuch"}`}, `{ "result": 2, "text": "'nosuch' command not supported." }`},
		{"bad key", false, []string{`{"command":"echo","x":1}`}, `{ "result": 1, "text": "Error during command processing: invalid command: unsupported parameter 'x'" }`},
		{"no json", false, []string{"hello"}, `{ "result": 1, "text": "invalid first character h" }`},
		{"binary", false, []string{"\x00\xff\x16\x03\x01" + strings.Repeat("\x80", 500)}, `{ "result": 1, "text": "invalid first character 0x00" }`},
		{"not quite json", false, []string{`{"command" "echo"}`}, `{ "result": 1, "text": "Error during command processing: parse command: invalid character '\"' after object key" }`},
		{"incomplete", true, []string{`{"command":`}, `{ "result": 1, "text": "command is incomplete, discarded 11 bytes" }`},
		{"nothing", true, nil, ""},
		{"too large", false, []string{`{"command":"` + strings.Repeat("x", 100_000)}, `{ "result": 1, "text": "command is too large" }`},
		{"too deep", false, []string{strings.Repeat("[", 900)}, `{ "result": 1, "text": "command is nested deeper than 256 levels" }`},
		{"panic", false, []string{`{"command":"boom"}`}, `{ "result": 1, "text": "internal server error: command failed" }`},
		{"answer that is no JSON", false, []string{`{"command":"odd"}`}, `{ "result": 1, "text": "internal server error: answer cannot be written as JSON: json: unsupported type: func()" }`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := talk(t, cfg.Path, tc.half, tc.parts...); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
	s := ch.Stats()
	if s.Connections != 18 || s.TooLarge != 2 || s.Disconnected != 2 || s.BadRequests != 4 || s.Commands != 10 || s.Panics != 1 {
		t.Errorf("%+v", s)
	}
	eventually(t, "connections closed", func() bool { return ch.Stats().Open == 0 })
	if n := ch.conns.pending.Load(); n != 0 {
		t.Errorf("%d bytes are still held", n)
	}
}

func TestUnixLargeAnswer(t *testing.T) {
	big := bytes.Repeat([]byte("lease "), 400_000)
	r := NewRegistry(RegistryOptions{})
	r.Register(Command{"get", false, func(context.Context, *Call) Response { return Response{Arguments: string(big)} }})
	_, cl := serve(t, r, Options{}, unixConfig(t))
	a := mustDo(t, cl, "get", "")
	var got string
	if err := json.Unmarshal(a.Arguments, &got); err != nil || got != string(big) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	cl.MaxAnswerBytes = 1000
	if _, err := cl.Do(context.Background(), "get", nil); err == nil || !strings.Contains(err.Error(), "longer than 1000 bytes") {
		t.Errorf("%v", err)
	}
}

func TestUnixRemote(t *testing.T) {
	_, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{}, unixConfig(t))
	if a := mustDo(t, cl, "who", ""); a.Text != fmt.Sprintf("unix:uid=%d,pid=%d", os.Getuid(), os.Getpid()) {
		t.Error(a.Text)
	}
}

func TestUnixSlowClients(t *testing.T) {
	cfg := unixConfig(t)
	ch, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{ReceiveTimeout: 50 * time.Millisecond}, cfg)
	const silent = `{ "result": 1, "text": "Connection over control channel timed out" }`
	eventually(t, "a partial command is discarded", func() bool {
		got := talk(t, cfg.Path, false, `{"comm`)
		if got == silent {
			return false // it was too late: the machine is busy
		}
		if want := `{ "result": 1, "text": "Connection over control channel timed out, discarded partial command of 6 bytes" }`; got != want {
			t.Errorf("%s", got)
		}
		return true
	})
	if got := talk(t, cfg.Path, false); got != silent {
		t.Errorf("%s", got)
	}
	// Dripping does not extend the time.
	c, err := net.Dial("unix", cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				c.Write([]byte(" "))
			}
		}
	})
	c.SetReadDeadline(time.Now().Add(time.Minute))
	b, _ := io.ReadAll(c)
	close(stop)
	wg.Wait()
	if !strings.Contains(string(b), "timed out") {
		t.Errorf("%s", b)
	}
	if s := ch.Stats(); s.TimedOut < 3 || s.TimedOut != s.Connections {
		t.Errorf("%+v", s)
	}
	eventually(t, "a client that is fast enough", func() bool {
		_, err := cl.Do(context.Background(), "echo", nil)
		return err == nil
	})
}

// A client that does not read its answer is cut off.
func TestUnixSlowReader(t *testing.T) {
	r := NewRegistry(RegistryOptions{})
	r.Register(Command{"get", false, func(context.Context, *Call) Response {
		return Response{Arguments: strings.Repeat("x", 1<<20-100)}
	}})
	cfg := unixConfig(t)
	ch, _ := serve(t, r, Options{SendTimeout: 50 * time.Millisecond}, cfg)
	c, err := net.Dial("unix", cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte(`{"command":"get"}`))
	eventually(t, "cut off", func() bool { s := ch.Stats(); return s.TimedOut == 1 && s.Open == 0 })
}

// Idle connections, however many, do not keep an operator out.
func TestUnixThousandsOfConnections(t *testing.T) {
	cfg := unixConfig(t)
	ch, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{MaxConnections: 8}, cfg)
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	for i := range 2000 {
		c, err := dialUnix(context.Background(), cfg.Path)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
		if i%2 == 0 {
			c.Write([]byte(`{"command":`))
		}
		if n := ch.Stats().Open; n > 8 {
			t.Fatalf("%d connections", n)
		}
	}
	for range 20 {
		if a := mustDo(t, cl, "echo", `{"x":1}`); a.Result != 0 {
			t.Fatalf("%+v", a)
		}
	}
	if s := ch.Stats(); s.Evicted < 1900 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
}

// When all connections run commands, a new one is told so.
func TestUnixAllBusy(t *testing.T) {
	r := NewRegistry(RegistryOptions{})
	release := make(chan struct{})
	started := make(chan struct{}, 4)
	r.Register(Command{"wait", false, func(context.Context, *Call) Response {
		started <- struct{}{}
		<-release
		return Response{Text: "late"}
	}})
	cfg := unixConfig(t)
	ch, cl := serve(t, r, Options{MaxConnections: 2}, cfg)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if a, err := cl.Do(context.Background(), "wait", nil); err != nil || a.Text != "late" {
				t.Errorf("%+v %v", a, err)
			}
		})
	}
	<-started
	<-started
	if got := talk(t, cfg.Path, true); got != `{ "result": 1, "text": "too many connections" }` {
		t.Errorf("%s", got)
	}
	if s := ch.Stats(); s.Refused != 1 || s.Evicted != 0 {
		t.Errorf("%+v", s)
	}
	close(release)
	wg.Wait()
}

func TestUnixRequestsShareABudget(t *testing.T) {
	cfg := unixConfig(t)
	ch, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{MaxRequestBytes: 100_000, MaxPendingBytes: 100_000}, cfg)
	c, err := net.Dial("unix", cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte(`{"command":"` + strings.Repeat("x", 90_000)))
	eventually(t, "received", func() bool { return ch.conns.pending.Load() > 90_000 })
	if got := talk(t, cfg.Path, false, `{"command":"`+strings.Repeat("y", 20_000)); got != `{ "result": 1, "text": "too many large commands at once" }` {
		t.Errorf("%.200s", got)
	}
	mustDo(t, cl, "echo", "")
	c.Close()
	eventually(t, "given back", func() bool { return ch.conns.pending.Load() == 0 })
}

func TestUnixSocketFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	r := newRegistry(t, RegistryOptions{})
	open := func() (*Channels, error) {
		ch := NewChannels(r, Options{})
		return ch, ch.Apply([]SocketConfig{{Type: TypeUnix, Path: path}})
	}
	closeIt := func(ch *Channels) {
		t.Helper()
		if err := ch.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	mustFail := func(want string) {
		t.Helper()
		ch, err := open()
		closeIt(ch)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}

	ch, err := open()
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode() != os.ModeSocket|0o770 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	mustFail("another process serves this socket")
	mustDo(t, &Client{Target: path}, "echo", "")
	closeIt(ch)
	if names, _ := filepath.Glob(dir + "/*"); len(names) != 0 {
		t.Errorf("left behind %v", names)
	}

	// A server that was killed leaves both files.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	os.WriteFile(path+".lock", nil, 0o600)
	// While it lives, its socket is left alone although nobody holds the lock.
	mustFail("another process listens on it")
	stale.Close()
	if ch, err = open(); err != nil {
		t.Fatal(err)
	}
	mustDo(t, &Client{Target: path}, "echo", "")
	// A socket that somebody else has put there stays.
	os.Remove(path)
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	closeIt(ch)
	if _, err := os.Stat(path); err != nil {
		t.Error("another's socket was removed")
	}
	other.Close()

	os.WriteFile(path, []byte("precious"), 0o600)
	mustFail("exists and is no socket")
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("a file was removed")
	}
	os.Remove(path)
	os.Symlink(dir+"/elsewhere", path+".lock")
	mustFail("create lock file")
	os.Remove(path + ".lock")
	path = filepath.Join(dir, "no", "such", "dir")
	mustFail("create lock file")
	path = dir + "/" + strings.Repeat("x", 120)
	mustFail("at most 107 are possible")
	path = ""
	mustFail("socket-name is missing")
}

func TestUnixLongestPath(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "c")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := dir + "/" + strings.Repeat("x", MaxPathLen-len(dir)-1)
	_, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{}, SocketConfig{Type: TypeUnix, Path: path})
	mustDo(t, cl, "echo", "")
}

func TestClientErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	if _, err := (&Client{Target: path}).Do(context.Background(), "x", nil); err == nil || !strings.Contains(err.Error(), "connect") {
		t.Errorf("%v", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	answers := []string{"", "hello", `{"text":"x"}`, `[]`, `[ { "result": 0 }, { "result": 0 } ]`, `{ "result": "0" }`}
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, a := range answers {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 1000))
			c.Write([]byte(a))
			c.Close()
		}
		// The last one is never answered.
		c, err := ln.Accept()
		if err == nil {
			io.Copy(io.Discard, c)
			c.Close()
		}
	})
	for _, a := range answers {
		if got, err := (&Client{Target: path}).Do(context.Background(), "x", nil); err == nil {
			t.Errorf("%q: %+v", a, got)
		}
	}
	if _, err := (&Client{Target: path, Timeout: 20 * time.Millisecond}).Do(context.Background(), "x", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	wg.Wait()
	ln.Close()
}
