package control

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Client gives commands to a server.
type Client struct {
	// Target is the path of a unix socket or a URL (http:// or https://).
	Target string
	// User and Password are for basic authentication by HTTP.
	User, Password string
	// TLS is for https, nil takes the system's CAs and no client certificate;
	// ClientTLS makes one.
	TLS *tls.Config
	// Timeout limits a command where its context does not; default 5 minutes.
	Timeout time.Duration
	// Dial connects to http and https targets, nil is the net package's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// MaxAnswerBytes limits the answer; default 1 GiB.
	MaxAnswerBytes int64
}

// Answer is the answer to a command.
type Answer struct {
	Result    int
	Text      string
	Arguments json.RawMessage // nil if absent
	// Raw is the whole answer, by HTTP without the list around it.
	Raw json.RawMessage
}

// ErrAnswer: the server's answer cannot be understood.
var ErrAnswer = errors.New("no valid answer")

// Do runs a command; args may be nil. A command that failed is an Answer, not
// an error.
func (c *Client) Do(ctx context.Context, command string, args json.RawMessage, service ...string) (*Answer, error) {
	req := struct {
		Command   string          `json:"command"`
		Service   []string        `json:"service,omitempty"`
		Arguments json.RawMessage `json:"arguments,omitempty"`
	}{command, service, args}
	text, err := encode(req)
	if err != nil {
		return nil, fmt.Errorf("encode command %s: %w", command, err)
	}
	return c.Send(ctx, text)
}

// Send sends the text of a whole request as it is.
func (c *Client) Send(ctx context.Context, request []byte) (*Answer, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if strings.HasPrefix(c.Target, "http://") || strings.HasPrefix(c.Target, "https://") {
		return c.sendHTTP(ctx, request)
	}
	return c.sendUnix(ctx, request)
}

func (c *Client) maxAnswer() int64 {
	if c.MaxAnswerBytes > 0 {
		return c.MaxAnswerBytes
	}
	return 1 << 30
}

func (c *Client) sendUnix(ctx context.Context, request []byte) (*Answer, error) {
	conn, err := dialUnix(ctx, c.Target)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	// A context that ends closes the connection, so that reading ends too.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(request); err != nil {
		// A server that refuses answers before it has read everything.
		if a, aerr := c.readAnswer(conn); aerr == nil {
			return a, nil
		}
		return nil, fmt.Errorf("send command: %w", firstErr(ctx.Err(), err))
	}
	a, err := c.readAnswer(conn)
	if err != nil {
		return nil, firstErr(ctx.Err(), err)
	}
	return a, nil
}

// dialUnix tries again while the server's queue of connections is full, for a
// second.
func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	for try := 0; ; try++ {
		conn, err := d.DialContext(ctx, "unix", path)
		if err == nil || try == 100 || !errors.Is(err, syscall.EAGAIN) {
			return conn, err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Client) sendHTTP(ctx context.Context, request []byte) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Target, bytes.NewReader(request))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.User != "" {
		req.SetBasicAuth(c.User, c.Password)
	}
	// One command, one connection: nothing is left behind.
	tr := &http.Transport{DisableKeepAlives: true, Proxy: nil, TLSClientConfig: c.TLS, DialContext: c.Dial}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("send command: %w", err)
	}
	defer resp.Body.Close()
	a, err := c.readAnswer(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("HTTP status %s: %w", resp.Status, err)
	}
	return a, nil
}

func (c *Client) readAnswer(r io.Reader) (*Answer, error) {
	limit := c.maxAnswer()
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil && len(raw) == 0 {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("read answer: it is longer than %d bytes", limit)
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '[' {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil || len(list) != 1 {
			return nil, fmt.Errorf("read answer: expected a list of one: %w", ErrAnswer)
		}
		raw = list[0]
	}
	var m struct {
		Result    *int            `json:"result"`
		Text      string          `json:"text"`
		Arguments json.RawMessage `json:"arguments"`
	}
	if err := json.Unmarshal(raw, &m); err != nil || m.Result == nil {
		return nil, fmt.Errorf("read answer %q: %w", raw[:min(len(raw), 100)], ErrAnswer)
	}
	return &Answer{Result: *m.Result, Text: m.Text, Arguments: m.Arguments, Raw: raw}, nil
}

func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
