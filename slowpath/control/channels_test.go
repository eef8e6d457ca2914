package control

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestApplyKeepsOpensAndCloses(t *testing.T) {
	dir := t.TempDir()
	a := SocketConfig{Type: TypeUnix, Path: filepath.Join(dir, "a")}
	b := SocketConfig{Type: TypeUnix, Path: filepath.Join(dir, "b")}
	h := httpConfig()
	ch, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{}, a)
	clB := &Client{Target: b.Path}

	// A connection on a socket that stays is not touched.
	c, err := net.Dial("unix", a.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte(`{"command":`))
	eventually(t, "received", func() bool { return ch.conns.pending.Load() > 0 })
	ino, _ := inode(a.Path)
	if err := ch.Apply([]SocketConfig{h, b, a}); err != nil {
		t.Fatal(err)
	}
	if now, _ := inode(a.Path); now != ino {
		t.Error("a socket that did not change was opened anew")
	}
	c.Write([]byte(`"echo"}`))
	buf := make([]byte, 100)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != `{ "result": 0 }` {
		t.Errorf("%s %v", buf[:n], err)
	}
	mustDo(t, cl, "echo", "")
	mustDo(t, clB, "echo", "")
	mustDo(t, &Client{Target: "http://" + ch.Addr(h).String()}, "echo", "")

	// Anything wrong changes nothing.
	for _, tc := range []struct {
		cfgs []SocketConfig
		want string
	}{
		{[]SocketConfig{{Type: TypeUnix, Path: dir + "/new"}, {Type: TypeUnix, Path: dir + "/no/dir"}}, "open control socket unix:"},
		{[]SocketConfig{{Type: TypeUnix, Path: dir + "/new"}, {Type: "telnet"}}, `unsupported socket-type "telnet"`},
		{[]SocketConfig{{Type: TypeUnix, Path: dir + "/new"}, b, b}, "is configured twice"},
		{[]SocketConfig{{Type: TypeHTTP, Address: "localhost"}}, `socket-address "localhost" is no IP address`},
		{[]SocketConfig{{Type: TypeHTTP, Address: "192.0.2.77", Port: 1}}, "open control socket http:192.0.2.77:1"},
		{[]SocketConfig{{Type: TypeHTTP, Address: "127.0.0.1", Users: []User{{}}}}, "empty user name"},
		{[]SocketConfig{{Type: TypeHTTP, Address: "127.0.0.1", Users: []User{{"a:b", "c"}}}}, `user name "a:b" has a colon`},
	} {
		if err := ch.Apply(tc.cfgs); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %q", err, tc.want)
		}
		mustDo(t, cl, "echo", "")
		mustDo(t, clB, "echo", "")
	}
	if names, _ := filepath.Glob(dir + "/new*"); len(names) != 0 {
		t.Errorf("left behind %v", names)
	}

	addr := ch.Addr(h).String()
	if err := ch.Apply([]SocketConfig{b}); err != nil {
		t.Fatal(err)
	}
	mustDo(t, clB, "echo", "")
	if _, err := os.Stat(a.Path); !os.IsNotExist(err) {
		t.Errorf("socket is still there: %v", err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("http is still there")
	}
	// And back again.
	if err := ch.Apply([]SocketConfig{a}); err != nil {
		t.Fatal(err)
	}
	mustDo(t, cl, "echo", "")
}

// config-set may come through a socket that it closes.
func TestApplyFromACommand(t *testing.T) {
	for _, cfg := range []SocketConfig{unixConfig(t), httpConfig()} {
		t.Run(cfg.Type, func(t *testing.T) {
			r := NewRegistry(RegistryOptions{})
			var ch *Channels
			other := unixConfig(t)
			r.Register(Command{"config-set", true, func(context.Context, *Call) Response {
				if err := ch.Apply([]SocketConfig{other}); err != nil {
					return Errorf("%v", err)
				}
				return Response{Text: "Configuration successful."}
			}})
			var cl *Client
			ch, cl = serve(t, r, Options{}, cfg)
			if a := mustDo(t, cl, "config-set", ""); a.Text != "Configuration successful." {
				t.Errorf("%s", a.Raw)
			}
			mustDo(t, &Client{Target: other.Path}, "list-commands", "")
		})
	}
}

func TestCloseWaitsForCommands(t *testing.T) {
	for _, cfg := range []SocketConfig{unixConfig(t), httpConfig()} {
		t.Run(cfg.Type, func(t *testing.T) {
			r := NewRegistry(RegistryOptions{})
			started, release := make(chan struct{}), make(chan struct{})
			r.Register(Command{"wait", false, func(ctx context.Context, _ *Call) Response {
				started <- struct{}{}
				select {
				case <-release:
					return Response{Text: "done"}
				case <-ctx.Done():
					return Errorf("interrupted")
				}
			}})
			ch := NewChannels(r, Options{})
			if err := ch.Apply([]SocketConfig{cfg}); err != nil {
				t.Fatal(err)
			}
			cl := &Client{Target: cfg.Path}
			if cfg.Type == TypeHTTP {
				cl.Target = "http://" + ch.Addr(cfg).String()
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if a, err := cl.Do(context.Background(), "wait", nil); err != nil || a.Text != "done" {
					t.Errorf("%+v %v", a, err)
				}
			})
			<-started
			closed := make(chan error)
			go func() { closed <- ch.Close(context.Background()) }()
			eventually(t, "closed for new ones", func() bool { return ch.Apply(nil) == ErrClosed })
			close(release)
			if err := <-closed; err != nil {
				t.Error(err)
			}
			wg.Wait()
			if s := ch.Stats(); s.Open != 0 {
				t.Errorf("%+v", s)
			}
			if err := ch.Close(context.Background()); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

func TestCloseByForce(t *testing.T) {
	for _, cfg := range []SocketConfig{unixConfig(t), httpConfig()} {
		t.Run(cfg.Type, func(t *testing.T) {
			r := NewRegistry(RegistryOptions{})
			started := make(chan struct{})
			r.Register(Command{"wait", false, func(ctx context.Context, _ *Call) Response {
				started <- struct{}{}
				<-ctx.Done()
				return Errorf("interrupted")
			}})
			ch := NewChannels(r, Options{})
			if err := ch.Apply([]SocketConfig{cfg}); err != nil {
				t.Fatal(err)
			}
			cl := &Client{Target: cfg.Path}
			if cfg.Type == TypeHTTP {
				cl.Target = "http://" + ch.Addr(cfg).String()
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				// Its last words may just get through.
				if a, err := cl.Do(context.Background(), "wait", nil); err == nil && a.Text != "interrupted" {
					t.Errorf("%+v", a)
				}
			})
			<-started
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			if err := ch.Close(ctx); err != context.DeadlineExceeded {
				t.Errorf("%v", err)
			}
			wg.Wait()
		})
	}
}

// Opening, closing and talking at once.
func TestApplyUnderLoad(t *testing.T) {
	dir := t.TempDir()
	a := SocketConfig{Type: TypeUnix, Path: filepath.Join(dir, "a")}
	b := SocketConfig{Type: TypeUnix, Path: filepath.Join(dir, "b")}
	h := httpConfig()
	ch, cl := serve(t, newRegistry(t, RegistryOptions{}), Options{}, a)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for _, path := range []string{a.Path, b.Path, b.Path} {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := (&Client{Target: path}).Do(context.Background(), "echo", nil)
				if path == a.Path && (err != nil || got.Result != 0) {
					t.Errorf("on a socket that stays: %+v %v", got, err)
					return
				}
			}
		})
	}
	for i := range 60 {
		cfgs := []SocketConfig{a}
		if i%2 == 0 {
			cfgs = append(cfgs, b)
		}
		if i%3 == 0 {
			cfgs = append(cfgs, h)
		}
		if err := ch.Apply(cfgs); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	mustDo(t, cl, "echo", "")
}

func TestNoDescriptorIsLeftOpen(t *testing.T) {
	fds := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc:", err)
		}
		return len(names)
	}
	ch := NewChannels(newRegistry(t, RegistryOptions{}), Options{})
	u, h := unixConfig(t), httpConfig()
	cycle := func() {
		if err := ch.Apply([]SocketConfig{u, h}); err != nil {
			t.Fatal(err)
		}
		mustDo(t, &Client{Target: u.Path}, "echo", "")
		mustDo(t, &Client{Target: "http://" + ch.Addr(h).String()}, "echo", "")
		if err := ch.Apply([]SocketConfig{u, {Type: TypeUnix, Path: u.Path + "/impossible"}}); err == nil {
			t.Fatal("opened a socket below a socket")
		}
		if err := ch.Apply(nil); err != nil {
			t.Fatal(err)
		}
	}
	cycle() // the runtime's own descriptors
	before := fds()
	for range 20 {
		cycle()
	}
	eventually(t, "descriptors closed", func() bool { return fds() <= before })
	if err := ch.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
