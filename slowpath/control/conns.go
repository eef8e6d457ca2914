package control

import (
	"container/list"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Options of Channels. The zero value takes the defaults.
type Options struct {
	// MaxRequestBytes limits one request; default 64 MiB.
	MaxRequestBytes int
	// MaxPendingBytes limits the requests being received or run by all
	// connections together; default 256 MiB, and at least MaxRequestBytes.
	MaxPendingBytes int
	// MaxConnections limits all channels together; default 64.
	MaxConnections int
	// ReceiveTimeout is how long a client may take to send a request; default
	// 10 s (CC-009).
	ReceiveTimeout time.Duration
	// SendTimeout is how long it may take to read the answer, with a second
	// more for each MiB; default 10 s.
	SendTimeout time.Duration
	// IdleTimeout is how long an HTTP connection may wait for its next request;
	// default 30 s.
	IdleTimeout time.Duration
	// SocketMode is the permissions of unix sockets; default 0770, as Kea's.
	SocketMode uint32
	// OnError is told of what no answer shows, such as a failing accept. May be
	// nil.
	OnError func(error)
}

func (o Options) withDefaults() Options {
	or := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	if o.MaxRequestBytes <= 0 {
		o.MaxRequestBytes = 64 << 20
	}
	if o.MaxPendingBytes <= 0 {
		o.MaxPendingBytes = 256 << 20
	}
	o.MaxPendingBytes = max(o.MaxPendingBytes, o.MaxRequestBytes)
	if o.MaxConnections <= 0 {
		o.MaxConnections = 64
	}
	or(&o.ReceiveTimeout, 10*time.Second)
	or(&o.SendTimeout, 10*time.Second)
	or(&o.IdleTimeout, 30*time.Second)
	if o.SocketMode == 0 {
		o.SocketMode = 0o770
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	return o
}

// sendTime is the deadline of an answer of n bytes.
func (o *Options) sendTime(n int) time.Duration {
	return o.SendTimeout + time.Duration(n>>20)*time.Second
}

// Stats counts what happened on the channels since the start.
type Stats struct {
	Connections  uint64 // accepted
	Open         int    // now
	Refused      uint64 // closed at once: too many connections, all busy
	Evicted      uint64 // closed to make room, no complete request yet
	Commands     uint64 // run, by whatever channel
	Panics       uint64 // handlers that panicked
	BadRequests  uint64 // no command
	TooLarge     uint64 // over a limit of size or nesting
	TimedOut     uint64 // not received or not read in time
	Disconnected uint64 // closed by the client before the request was complete
	AuthFailed   uint64
	AcceptErrors uint64
}

type counters struct {
	connections, refused, evicted, badRequests, tooLarge atomic.Uint64
	timedOut, disconnected, authFailed, acceptErrors     atomic.Uint64
}

// conns is the connections of all channels. One is waiting, which means that it
// has not sent a complete request, or busy. When there are too many, the one that
// has been waiting longest is closed for a new one.
type conns struct {
	max     int
	budget  int64
	pending atomic.Int64 // bytes of requests
	count   counters

	mu struct {
		sync.Mutex
		waiting list.List // of *conn, longest waiting first
		all     map[*conn]struct{}
	}
}

// conn is one connection in the table.
type conn struct {
	c      net.Conn
	owner  *listener
	at     *list.Element // in waiting, nil while busy
	closed bool          // evicted or closed by the table
	held   int64         // bytes counted in pending, by the connection's goroutine
}

func newConns(o Options) *conns {
	t := &conns{max: o.MaxConnections, budget: int64(o.MaxPendingBytes)}
	t.mu.all = map[*conn]struct{}{}
	return t
}

// add enters a new connection, waiting; nil if there is no room for it.
func (t *conns) add(c net.Conn, owner *listener) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.mu.all) >= t.max {
		oldest := t.mu.waiting.Front()
		if oldest == nil {
			t.count.refused.Add(1)
			return nil
		}
		t.count.evicted.Add(1)
		t.dropLocked(oldest.Value.(*conn))
	}
	t.count.connections.Add(1)
	x := &conn{c: c, owner: owner}
	x.at = t.mu.waiting.PushBack(x)
	t.mu.all[x] = struct{}{}
	return x
}

// dropLocked closes a waiting connection; its goroutine then gets an error.
func (t *conns) dropLocked(x *conn) {
	x.closed = true
	x.c.Close()
	t.mu.waiting.Remove(x.at)
	x.at = nil
	delete(t.mu.all, x)
}

// busy says that x has a complete request; false if it was closed meanwhile.
func (t *conns) busy(x *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.closed {
		return false
	}
	if x.at != nil {
		t.mu.waiting.Remove(x.at)
		x.at = nil
	}
	return true
}

// wait says that x waits for its next request or for its end.
func (t *conns) wait(x *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !x.closed && x.at == nil {
		x.at = t.mu.waiting.PushBack(x)
	}
}

// remove forgets x.
func (t *conns) remove(x *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.at != nil {
		t.mu.waiting.Remove(x.at)
		x.at = nil
	}
	delete(t.mu.all, x)
}

// closeWaiting closes the waiting connections of a listener (nil: of all), and
// with force the busy ones too.
func (t *conns) closeWaiting(owner *listener, force bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for x := range t.mu.all {
		if owner != nil && x.owner != owner {
			continue
		}
		if x.at != nil {
			t.dropLocked(x)
		} else if force {
			x.closed = true
			x.c.Close()
		}
	}
}

func (t *conns) wasClosed(x *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return x.closed
}

func (t *conns) open() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.mu.all)
}

// hold counts n more bytes of x's request; false if all requests together are
// too large.
func (t *conns) hold(x *conn, n int) bool {
	x.held += int64(n)
	return t.pending.Add(int64(n)) <= t.budget
}

func (t *conns) release(x *conn) {
	t.pending.Add(-x.held)
	x.held = 0
}
