package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// HTTPExchange is a command by HTTP as hook libraries see it.
type HTTPExchange struct {
	Remote  string // address and port of the client
	User    string // by basic authentication
	Header  http.Header
	Request []byte
	Command string // its name, as it will be run; "" if it is none
	Role    string // what HTTPAuth has put there, for HTTPResponse
	// CertSubject and CertIssuer are the common names of the client's verified
	// certificate and of who issued it, "" without; TLS says that it is https.
	TLS                     bool
	CertSubject, CertIssuer string
	// Status and Body are the answer. If HTTPAuth refuses and leaves them zero,
	// 403 is answered.
	Status int
	Body   []byte
}

// httpState is what may change while the socket stays open.
type httpState struct {
	users    [][sha256.Size]byte // of "name:password", in the order of names
	names    []string
	realm    string
	headers  []Header
	services []string
	tls      *tls.Config // nil for http
}

func newHTTPState(c SocketConfig) (*httpState, error) {
	s := &httpState{realm: c.Realm, headers: slices.Clone(c.Headers), services: slices.Clone(c.Services)}
	for _, u := range c.Users {
		s.users = append(s.users, sha256.Sum256([]byte(u.Name+":"+u.Password)))
		s.names = append(s.names, u.Name)
	}
	if c.Type == TypeHTTPS {
		var err error
		if s.tls, err = c.TLS.load(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// user returns who has that name and password. It takes as long whether the name
// is right, the password, or neither.
func (s *httpState) user(name, password string) (string, bool) {
	sum := sha256.Sum256([]byte(name + ":" + password))
	found := -1
	for i := range s.users {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], s.users[i][:]), i, found)
	}
	if found < 0 {
		return "", false
	}
	return s.names[found], true
}

// httpServer serves one address.
type httpServer struct {
	ch    *Channels
	addr  string
	state atomic.Pointer[httpState]
}

// connKey is where a request's context has the *conn.
type connKey struct{}

// listenHTTP opens an HTTP socket: POST with a JSON body, answered by a list of
// one object (CC-003, CC-007).
func (ch *Channels) listenHTTP(c SocketConfig, st *httpState) (*listener, error) {
	ln, err := net.Listen("tcp", c.address())
	if err != nil {
		return nil, err
	}
	h := &httpServer{ch: ch, addr: ln.Addr().String()}
	h.state.Store(st)
	l := &listener{cfg: c, addr: ln.Addr()}
	l.update = func(st *httpState) { h.state.Store(st) }
	tl := &tableListener{Listener: ln, ch: ch, l: l}
	var serve net.Listener = tl
	if c.Type == TypeHTTPS {
		serve = tls.NewListener(tl, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return h.state.Load().tls, nil
		}})
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: ch.opt.ReceiveTimeout,
		ReadTimeout:       ch.opt.ReceiveTimeout,
		IdleTimeout:       ch.opt.IdleTimeout,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ch.ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if t, ok := c.(*tls.Conn); ok {
				c = t.NetConn()
			}
			return context.WithValue(ctx, connKey{}, c.(*tableConn))
		},
		// What clients do wrong is counted, not logged.
		ErrorLog: discardLog,
	}
	l.stop = func() {
		tl.stopped.Store(true)
		srv.SetKeepAlivesEnabled(false)
		ln.Close()
		ch.conns.closeWaiting(l, false)
	}
	ch.wg.Add(1)
	go func() {
		defer ch.wg.Done()
		if err := srv.Serve(serve); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			ch.opt.OnError(fmt.Errorf("serve control socket %s: %w", h.addr, err))
		}
	}()
	return l, nil
}

// tableListener enters connections in the table of all channels.
type tableListener struct {
	net.Listener
	ch      *Channels
	l       *listener
	stopped atomic.Bool
}

// tableConn leaves the table when it is closed.
type tableConn struct {
	net.Conn
	ch   *Channels
	x    *conn
	gone atomic.Bool
}

// Accept implements net.Listener.
func (t *tableListener) Accept() (net.Conn, error) {
	for {
		c, err := t.Listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.ch.conns.count.acceptErrors.Add(1)
			}
			return nil, err
		}
		x := t.ch.conns.add(c, t.l)
		if x == nil {
			c.Close()
			continue
		}
		t.ch.wg.Add(1)
		if t.stopped.Load() {
			t.ch.conns.closeWaiting(t.l, false)
		}
		return &tableConn{Conn: c, ch: t.ch, x: x}, nil
	}
}

// Close implements net.Conn. net/http closes every connection it was given.
func (c *tableConn) Close() error {
	err := c.Conn.Close()
	if c.gone.CompareAndSwap(false, true) {
		c.ch.conns.remove(c.x)
		c.ch.wg.Done()
	}
	return err
}

// ServeHTTP implements http.Handler. Errors of HTTP are bare maps (CC-007).
func (h *httpServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	st := h.state.Load()
	count := &h.ch.conns.count
	w.Header().Set("Content-Type", "application/json")
	for _, x := range st.headers {
		w.Header().Set(x.Name, x.Value)
	}
	if len(r.TransferEncoding) > 0 {
		// It may have had a Content-Length, too, which net/http has removed: what a
		// proxy before us takes for the next request may be part of this one (RFC
		// 9112 §6.1).
		w.Header().Set("Connection", "close")
	}
	user := ""
	if len(st.users) > 0 {
		name, password, _ := r.BasicAuth()
		var ok bool
		if user, ok = st.user(name, password); !ok {
			count.authFailed.Add(1)
			w.Header().Set("WWW-Authenticate", "Basic realm="+strconv.Quote(st.realm))
			discardBody(r)
			h.fail(w, http.StatusUnauthorized)
			return
		}
	}
	// The type may have parameters such as a charset.
	ctype, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || ctype != "application/json" {
		count.badRequests.Add(1)
		discardBody(r)
		h.fail(w, http.StatusBadRequest)
		return
	}
	tc := r.Context().Value(connKey{}).(*tableConn)
	defer h.ch.conns.release(tc.x)
	text, body, status := h.receive(tc.x, r.Body)
	if status != 0 {
		h.fail(w, status)
		return
	}
	if !h.ch.conns.busy(tc.x) {
		return
	}
	defer h.ch.conns.wait(tc.x)
	h.answer(w, r, st, user, text, body)
}

func (h *httpServer) answer(w http.ResponseWriter, r *http.Request, st *httpState, user string, text, body []byte) {
	hooks := h.ch.registry.hooks.Load()
	req, err := ParseRequest(text)
	x := &HTTPExchange{Remote: r.RemoteAddr, User: user, Header: r.Header, Request: body, Command: req.Command}
	transport := TypeHTTP
	if r.TLS != nil {
		x.TLS, transport = true, TypeHTTPS
		if len(r.TLS.VerifiedChains) > 0 {
			cert := r.TLS.VerifiedChains[0][0]
			x.CertSubject, x.CertIssuer = cert.Subject.CommonName, cert.Issuer.CommonName
		}
	}
	if hooks.HTTPAuth != nil && !hooks.HTTPAuth(x) {
		h.ch.conns.count.authFailed.Add(1)
		if x.Status < 100 || x.Status > 999 || x.Body == nil {
			h.fail(w, http.StatusForbidden)
			return
		}
		h.write(w, x.Status, spaced(x.Body))
		return
	}
	remote := Remote{Transport: transport, Socket: h.addr, Address: r.RemoteAddr, User: user, Certificate: x.CertSubject}
	var resp Response
	if err != nil {
		h.ch.conns.count.badRequests.Add(1)
		resp = Errorf("Error during command processing: %v", err)
	} else {
		resp = h.run(st, req, remote)
	}
	x.Status, x.Body = http.StatusOK, append(resp.appendOrFail([]byte("[ ")), " ]"...)
	if hooks.HTTPResponse != nil {
		hooks.HTTPResponse(x)
		x.Body = spaced(x.Body)
	}
	h.write(w, x.Status, x.Body)
}

func (h *httpServer) run(st *httpState, req Request, remote Remote) Response {
	if text := checkService(req, st.services); text != "" {
		return Errorf("%s", text)
	}
	// Not the request's context: a client that goes away does not end a command.
	return h.ch.registry.Run(h.ch.ctx, &Call{Command: req.Command, Arguments: req.Arguments, Service: req.Service, Remote: remote})
}

// checkService is CC-006: by HTTP "service" may name this server only.
func checkService(req Request, services []string) string {
	switch {
	case len(services) == 0:
		return ""
	case req.badService != "":
		return req.badService
	case len(req.Service) > 1:
		return "service value has more than one item"
	case len(req.Service) == 0, req.Service[0] == "", slices.Contains(services, req.Service[0]):
		return ""
	}
	return fmt.Sprintf("unsupported service '%s', expected '%s'", clip(req.Service[0], 100), services[0])
}

// receive reads the body; status is 0 or what to answer. text is the body
// without comments.
func (h *httpServer) receive(x *conn, r io.Reader) (text, body []byte, status int) {
	count := &h.ch.conns.count
	s := scanner{maxBytes: h.ch.opt.MaxRequestBytes}
	var all bytes.Buffer
	buf := make([]byte, 32<<10)
	done := false
	for {
		n, err := r.Read(buf)
		if n > 0 {
			all.Write(buf[:n])
			if all.Len() > h.ch.opt.MaxRequestBytes || !h.ch.conns.hold(x, n) {
				count.tooLarge.Add(1)
				return nil, nil, http.StatusRequestEntityTooLarge
			}
			var ferr error
			if done, ferr = s.feed(buf[:n]); ferr != nil {
				count.badRequests.Add(1)
				return nil, nil, http.StatusBadRequest
			}
		}
		switch {
		case err == io.EOF && done:
			return s.text, all.Bytes(), 0
		case err == io.EOF:
			count.badRequests.Add(1)
			return nil, nil, http.StatusBadRequest
		case err != nil:
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				count.timedOut.Add(1)
			} else {
				count.disconnected.Add(1)
			}
			return nil, nil, http.StatusRequestTimeout
		}
	}
}

// maxDiscard is how much of the body of a refused request is read, in octets.
const maxDiscard = 256 << 10

// discardBody reads, and keeps nothing of, a body that nobody will look at: a
// connection that is closed with octets unread is reset, and the client may
// lose the answer with it. ReceiveTimeout bounds the time.
func discardBody(r *http.Request) {
	if r.Header.Get("Expect") == "" {
		io.CopyN(io.Discard, r.Body, maxDiscard)
	}
}

// fail answers an error of HTTP.
func (h *httpServer) fail(w http.ResponseWriter, status int) {
	h.write(w, status, Response{Result: status, Text: http.StatusText(status)}.appendOrFail(nil))
}

func (h *httpServer) write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	rc := http.NewResponseController(w)
	rc.SetWriteDeadline(time.Now().Add(h.ch.opt.sendTime(len(body))))
	w.WriteHeader(status)
	_, err := w.Write(body)
	if err == nil {
		// Now, because a connection that waits again may have to make way.
		err = rc.Flush()
	}
	if err != nil {
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			h.ch.conns.count.timedOut.Add(1)
		}
	}
}
