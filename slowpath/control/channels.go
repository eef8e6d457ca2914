package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
)

// Types of sockets.
const (
	TypeUnix  = "unix"
	TypeHTTP  = "http"
	TypeHTTPS = "https"
)

// User is a client of HTTP basic authentication.
type User struct{ Name, Password string }

// Header is added to every HTTP answer.
type Header struct{ Name, Value string }

// SocketConfig is one entry of control-sockets (CC-001 to CC-005).
type SocketConfig struct {
	// Type is TypeUnix, TypeHTTP or TypeHTTPS.
	Type string
	// Path is the socket-name of a unix socket, at most MaxPathLen bytes.
	Path string
	// Address and Port are where HTTP listens; port 0 takes a free one.
	Address string
	Port    uint16
	// Users may give commands by HTTP; none means that everybody may.
	Users []User
	// Realm is what a client without authentication is told.
	Realm   string
	Headers []Header
	// TLS is required for TypeHTTPS and has no meaning for others. Its files are
	// read by each Apply, so that renewed certificates are taken up by one;
	// connections that are open keep theirs.
	TLS *TLS
	// Services are the names that "service" may have by HTTP, such as "dhcp4";
	// none means any.
	Services []string
}

// MaxPathLen is the longest path of a unix socket.
const MaxPathLen = 107

// key names what a socket is bound to. A port speaks HTTP or HTTPS, not both.
func (c *SocketConfig) key() string {
	if c.Type == TypeUnix {
		return "unix:" + c.Path
	}
	return "http:" + c.address()
}

func (c *SocketConfig) address() string {
	return net.JoinHostPort(c.Address, strconv.Itoa(int(c.Port)))
}

// Validate says what is wrong with c.
func (c *SocketConfig) Validate() error {
	switch c.Type {
	case TypeUnix:
		switch {
		case c.Path == "":
			return errors.New("unix control socket: socket-name is missing")
		case len(c.Path) > MaxPathLen:
			return fmt.Errorf("unix control socket: socket-name has %d bytes, at most %d are possible: %s", len(c.Path), MaxPathLen, c.Path)
		}
	case TypeHTTP, TypeHTTPS:
		if net.ParseIP(c.Address) == nil {
			return fmt.Errorf("http control socket: socket-address %q is no IP address", c.Address)
		}
		for _, u := range c.Users {
			if u.Name == "" {
				return errors.New("http control socket: a client has an empty user name")
			}
			// HTTP cannot tell where such a name ends (RFC 7617 §2).
			if strings.Contains(u.Name, ":") {
				return fmt.Errorf("http control socket: user name %q has a colon", u.Name)
			}
		}
	default:
		return fmt.Errorf("control socket: unsupported socket-type %q", c.Type)
	}
	return nil
}

// Channels are the listening sockets. They share the limits of Options.
type Channels struct {
	registry *Registry
	opt      Options
	conns    *conns
	ctx      context.Context // of the commands
	cancel   context.CancelFunc
	wg       sync.WaitGroup // listeners and connections

	mu struct {
		sync.Mutex
		sockets map[string]*listener
		closed  bool
	}
}

// listener is one listening socket. What serves it runs in the Channels'
// WaitGroup.
type listener struct {
	cfg  SocketConfig // guarded by Channels.mu
	addr net.Addr
	// stop ends listening and forgets waiting connections; busy ones finish.
	stop func()
	// update takes over a configuration with the same key; nil if there is
	// nothing to take over.
	update func(*httpState)
}

// NewChannels returns Channels without sockets.
func NewChannels(r *Registry, o Options) *Channels {
	o = o.withDefaults()
	ch := &Channels{registry: r, opt: o, conns: newConns(o)}
	ch.ctx, ch.cancel = context.WithCancel(context.Background())
	ch.mu.sockets = map[string]*listener{}
	return ch
}

// ErrClosed: the Channels were closed.
var ErrClosed = errors.New("control channels are closed")

// Apply makes the sockets those of cfgs (CC-010): a socket that is already open
// stays open, with its connections; new ones are opened; those not named any
// more are closed last, and commands that run on them still get their answer. If
// one cannot be opened, nothing changes and the error says why.
//
// It may be called by a command that came through a socket it closes.
func (ch *Channels) Apply(cfgs []SocketConfig) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.mu.closed {
		return ErrClosed
	}
	next := map[string]*listener{}
	states := make([]*httpState, len(cfgs))
	var opened []*listener
	undo := func(err error) error {
		for _, l := range opened {
			l.stop()
		}
		return err
	}
	for i := range cfgs {
		c := cfgs[i]
		if err := c.Validate(); err != nil {
			return undo(err)
		}
		key := c.key()
		if _, ok := next[key]; ok {
			return undo(fmt.Errorf("control socket %s is configured twice", key))
		}
		if c.Type != TypeUnix {
			var err error
			if states[i], err = newHTTPState(c); err != nil {
				return undo(fmt.Errorf("open control socket %s: %w", key, err))
			}
		}
		if l := ch.mu.sockets[key]; l != nil {
			if l.cfg.Type != c.Type {
				// Connections that are open would be cut off (CC-003).
				return undo(fmt.Errorf("control socket %s cannot change from %s to %s in one step: take it away first, or use another port",
					c.address(), l.cfg.Type, c.Type))
			}
			next[key] = l
			continue
		}
		l, err := ch.listen(c, states[i])
		if err != nil {
			return undo(fmt.Errorf("open control socket %s: %w", key, err))
		}
		opened = append(opened, l)
		next[key] = l
	}
	for i := range cfgs {
		l := next[cfgs[i].key()]
		l.cfg = cfgs[i]
		if l.update != nil {
			l.update(states[i])
		}
	}
	for key, l := range ch.mu.sockets {
		if next[key] == nil {
			l.stop()
		}
	}
	ch.mu.sockets = next
	return nil
}

func (ch *Channels) listen(c SocketConfig, st *httpState) (*listener, error) {
	if c.Type == TypeUnix {
		return ch.listenUnix(c)
	}
	return ch.listenHTTP(c, st)
}

// Addr is where a socket of the configuration listens, nil if it does not: for
// port 0.
func (ch *Channels) Addr(c SocketConfig) net.Addr {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if l := ch.mu.sockets[c.key()]; l != nil {
		return l.addr
	}
	return nil
}

// Close closes the sockets, lets running commands finish until ctx ends, then
// ends their context, closes their connections, and waits for them. It returns
// ctx's error if that was necessary. A command must not call it.
func (ch *Channels) Close(ctx context.Context) error {
	ch.mu.Lock()
	ch.mu.closed = true
	for _, l := range ch.mu.sockets {
		l.stop()
	}
	ch.mu.sockets = nil
	ch.mu.Unlock()

	done := make(chan struct{})
	go func() {
		ch.wg.Wait()
		close(done)
	}()
	defer ch.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	ch.cancel()
	ch.conns.closeWaiting(nil, true)
	<-done
	return ctx.Err()
}

// Stats returns the counters.
func (ch *Channels) Stats() Stats {
	c := &ch.conns.count
	return Stats{
		Connections:  c.connections.Load(),
		Open:         ch.conns.open(),
		Refused:      c.refused.Load(),
		Evicted:      c.evicted.Load(),
		Commands:     ch.registry.commands.Load(),
		Panics:       ch.registry.panics.Load(),
		BadRequests:  c.badRequests.Load(),
		TooLarge:     c.tooLarge.Load(),
		TimedOut:     c.timedOut.Load(),
		Disconnected: c.disconnected.Load(),
		AuthFailed:   c.authFailed.Load(),
		AcceptErrors: c.acceptErrors.Load(),
	}
}
