package control

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newRegistry knows echo (its arguments), fail (result 1), set (mutates) and
// boom (panics).
func newRegistry(t testing.TB, o RegistryOptions) *Registry {
	t.Helper()
	r := NewRegistry(o)
	for _, c := range []Command{
		{"echo", false, func(_ context.Context, c *Call) Response { return Response{Arguments: c.Arguments} }},
		{"fail", false, func(context.Context, *Call) Response { return Errorf("no %s", "luck") }},
		{"set", true, func(context.Context, *Call) Response { return Response{Text: "done"} }},
		{"boom", true, func(context.Context, *Call) Response { panic("boom") }},
		{"who", false, func(_ context.Context, c *Call) Response {
			return Response{Text: c.Remote.String(), Arguments: c.Remote}
		}},
		{"odd", false, func(context.Context, *Call) Response { return Response{Arguments: func() {}} }},
	} {
		if err := r.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// serve opens one socket and returns a client for it.
func serve(t testing.TB, r *Registry, o Options, c SocketConfig) (*Channels, *Client) {
	t.Helper()
	ch := NewChannels(r, o)
	if err := ch.Apply([]SocketConfig{c}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := ch.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	cl := &Client{Target: c.Path}
	if c.Type == TypeHTTP {
		cl.Target = "http://" + ch.Addr(c).String()
	}
	return ch, cl
}

func unixConfig(t testing.TB) SocketConfig {
	return SocketConfig{Type: TypeUnix, Path: filepath.Join(t.TempDir(), "kea4-ctrl-socket")}
}

func httpConfig() SocketConfig { return SocketConfig{Type: TypeHTTP, Address: "127.0.0.1"} }

// eventually waits for what another goroutine does; it is how long a test may
// take to fail, not how long it takes.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); {
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func mustDo(t testing.TB, c *Client, command string, args string) *Answer {
	t.Helper()
	var raw json.RawMessage
	if args != "" {
		raw = json.RawMessage(args)
	}
	a, err := c.Do(context.Background(), command, raw)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return a
}
